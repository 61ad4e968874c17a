"""run.py convert: which files are whose, what is refused with a cure, and that what comes out loads."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from handlers.console.commands import cli
from handlers.console.convert import LARGEST, MOST_FILES, convert
from handlers.console.convert_draft import ConvertError
from handlers.console.convert_writing import flow, scalar

ROOT = Path(__file__).parents[3]
Say = Callable[..., Result]
KANNEL = """\
group = core
admin-port = 13000
admin-password = hush-admin

group = smsc
smsc = smpp
smsc-id = north
host = smpp.north.example
port = 2775
transceiver-mode = yes
smsc-username = lantern
smsc-password = hush-carrier
my-number = 20655

group = sendsms-user
username = shop
password = hush-shop
"""
JASMIN = "smppccm -a\ncid north\nhost smpp.north.example\nusername lantern\npassword hush-carrier\nok\n"


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Type run.py convert with these words."""

    def said(*words: object) -> Result:
        return CliRunner().invoke(cli, ["convert", *map(str, words)], obj=lambda: importlib.import_module("run"))

    return said


@pytest.fixture
def kannel(tmp_path: Path) -> Path:
    """A small kannel.conf."""
    path = tmp_path / "kannel.conf"
    path.write_text(KANNEL)
    return path


# --- the command -----------------------------------------------------------------------------------------------------


def test_without_out_the_config_goes_to_standard_output_and_the_notes_do_not(say: Say, kannel: Path) -> None:
    done = say(kannel)
    assert done.exit_code == 0
    assert done.stdout.startswith("# Made by run.py convert from ")
    assert "brand:" in done.stdout
    assert done.stderr.endswith("Kannel: 1 channel, 1 sender, 1 client; not needed 1\n")


def test_with_out_check_says_what_is_left_to_fill_in(say: Say, kannel: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "config.yaml"
    done = say(kannel, "--out", out, "--with-secrets")
    assert done.exit_code == 0, done.output
    left = [line for line in done.stdout.splitlines() if line.startswith(f"  {out}:")]
    assert [line.partition(": ")[2] for line in left] == [
        "BRAND_NAME is not set in the environment; set it, or write ${BRAND_NAME:-default}",
        'found "FILL_IN", expected a country\'s two capital letters such as US or CN',
        'no time zone "FILL_IN", expected one such as Asia/Shanghai',
        'found "FILL_IN", expected a currency\'s three capital letters such as USD',
        'found "FILL_IN", expected a price such as 0.0079 USD per part',
        'found "FILL_IN", expected a country\'s two capital letters such as US or CN',
    ]
    secret = out.parent / "secrets" / "north"
    assert secret.read_text() == "hush-carrier"
    assert secret.stat().st_mode & 0o777 == 0o600


def test_no_password_stands_in_what_is_written_or_told(say: Say, kannel: Path, tmp_path: Path) -> None:
    jasmin = tmp_path / "jasmin.txt"
    jasmin.write_text(JASMIN + "user -a\nusername shop\nuid shop\ngid g\npassword hush-shop\nok\n")
    for file in (kannel, jasmin):
        for words in ([file], [file, "--json"], [file, "--out", tmp_path / f"{file.name}.yaml"]):
            done = say(*words)
            assert done.exit_code == 0, done.output
            assert "hush" not in done.output
        assert "hush" not in (tmp_path / f"{file.name}.yaml").read_text()


def test_nothing_is_written_over(say: Say, kannel: Path, tmp_path: Path) -> None:
    out = tmp_path / "config.yaml"
    out.write_text("mine")
    done = say(kannel, "--out", out)
    assert done.exit_code == 1
    assert done.stderr == f"{out}: stands there already and is left as it is; name another --out\n"
    assert out.read_text() == "mine"


def test_a_program_reads_json(say: Say, kannel: Path) -> None:
    told = json.loads(say(kannel, "--json").stdout)
    assert told["origin"] == "Kannel"
    assert told["made"] == {"channels": 1, "senders": 1, "routes": 0, "clients": 1, "keywords": 0}
    assert told["config"].startswith("# Made by")
    (note,) = told["notes"]
    assert (note["kind"], note["line"], note["what"]) == ("not needed", 2, "admin-port, admin-password")


def test_secrets_want_a_place(say: Say, kannel: Path) -> None:
    done = say(kannel, "--with-secrets")
    assert done.exit_code == 1
    assert "--out" in done.stderr


def test_whose_files_they_are_can_be_said(say: Say, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("# only comments\n")
    done = say(tmp_path / "a", "--from", "kannel")
    assert done.exit_code == 1
    assert "no group of Kannel stands here" in done.stderr


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (b"", "this file is empty"),
        (b"hello world\n", "neither Kannel's nor Jasmin's; expected kannel.conf"),
        (b"\x7fELF\0\0\0", "this is no text; name the configuration itself"),
        (b"group = core\n" * (LARGEST // 12), "no configuration is so large"),
        (b"Persisted on 2026-01-01 00:00:00 [Jasmin 0.11.1]\n\n\x80\x02cos\nsystem\n", "make a text of it with jcli"),
        (b"[http-api]\nport = 1401\n", "connectors, users and routes are in jcli"),
        (b"group = core\nnothing\n", ':2: found "nothing", expected a name, = and a value'),
        (b"group = core\ninclude = nowhere.conf\n", "kannel.conf:2: "),
        (b"group = core\ninclude = kannel.conf\n", "kannel.conf:2: "),
        (b"group = core\ninclude = \"\x01\"\n", "cannot read this file"),
    ],
)  # fmt: skip
def test_what_is_not_a_configuration_is_refused_with_the_cure(tmp_path: Path, content: bytes, cure: str) -> None:
    path = tmp_path / "kannel.conf"
    path.write_bytes(content)
    with pytest.raises(ConvertError, match=re.escape(cure)):
        convert([path])


def test_files_that_include_each_other_are_told_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("group = core\n\ninclude = b.conf\n")
    (tmp_path / "b.conf").write_text("# back\ninclude = a.conf\n")
    with pytest.raises(ConvertError, match=r"b\.conf:2: .*a\.conf includes itself"):
        convert([tmp_path / "a.conf"])


def test_a_fan_of_includes_ends(tmp_path: Path) -> None:
    """Two includes a file, each of the next one: without a bound they are read 2 to the power of their depth times."""
    for depth in range(15):
        (tmp_path / f"{depth}.conf").write_text(f"include = {depth + 1}.conf\n" * 2)
    (tmp_path / "15.conf").write_text("group = core\n")
    with pytest.raises(ConvertError, match=f"{MOST_FILES} files together"):
        convert([tmp_path / "0.conf"])


@pytest.mark.parametrize("special", ["/dev/zero", ".", "pipe"])
def test_a_device_a_folder_or_a_pipe_is_not_read(tmp_path: Path, special: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConvertError, match="this is no file"):
        convert([tmp_path / special])


def test_what_a_terminal_obeys_is_neither_shown_nor_written(say: Say, tmp_path: Path) -> None:
    path = tmp_path / "kannel.conf"
    path.write_bytes(KANNEL.encode() + b"\ngroup = \x1b[31mred\xc2\x9b\xe2\x80\xae\nx = 1\n")
    done = say(path)
    assert done.exit_code == 0
    assert not set("\x1b\x9b\u202e") & set(done.output)


def test_latin_1_and_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    path = tmp_path / "kannel.conf"
    service = '\ngroup = sms-service\nkeyword = kahvi\ntext = "Päivää"\n'
    path.write_bytes((KANNEL + service).replace("\n", "\r\n").encode("latin-1"))
    assert convert([path]).keywords["kahvi"].settings["say"].value == "Päivää"


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "yaml"),
    [
        ("shop", "shop"), ("+12065550100", "+12065550100"), ("", '""'), ("a: b", '"a: b"'), ("# no", '"# no"'),
        ("${HOME}", '"$${HOME}"'), ("a\nb\x85\u2028", '"a\\nb\\u0085\\u2028"'), ('say "hi"', '"say \\"hi\\""'),
        ("- x", '"- x"'), ("host:2775", "host:2775"), ("[::1]:2775", '"[::1]:2775"'), ("a, b", '"a, b"'),
    ],
)  # fmt: skip
def test_a_text_is_quoted_wherever_it_could_mean_something_else(text: str, yaml: str) -> None:
    assert scalar(text) == yaml


def test_lists_and_maps_stand_in_one_line() -> None:
    assert flow({"number": "1/1", "x": ["a", "b, c"]}) == '{number: 1/1, x: [a, "b, c"]}'


def test_the_command_line_itself_works(kannel: Path) -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "convert", str(kannel)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "channels:\n  north:" in done.stdout
