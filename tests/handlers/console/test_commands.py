"""The command line where nobody serves: it opens the store itself, and says what is wrong in one line."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from handlers.console.commands import cli
from tests.handlers.console.conftest import ROOT, SAMPLE, Edit

Say = Callable[..., Result]


@pytest.fixture
def say(config_file: Path) -> Say:
    """Type a command for the copy of the shipped config."""

    def said(*words: str) -> Result:
        return CliRunner().invoke(
            cli, ["--config", str(config_file), *words], obj=lambda: importlib.import_module("run")
        )

    return said


def test_help_loads_nothing_that_is_slow() -> None:
    slow = {"pydantic", "aiohttp", "rich", "phonenumbers", "jinja2"}
    loaded = f"import sys, handlers.console.commands; print(sorted({slow} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_check_says_simulator_first_and_that_there_are_no_mistakes(say: Say) -> None:
    done = say("check")
    assert done.exit_code == 0
    first, last = done.output.splitlines()
    assert first.startswith("  SIMULATOR  no text leaves this machine.")
    assert last.endswith("config.yaml: no mistakes.")


def test_import_plan_apply_and_report_without_serve(say: Say) -> None:
    imported = say("import", str(SAMPLE))
    assert "1,000 imported from sample.csv (992 new, 5 merged, 3 rejected: " in imported.output
    again = say("import", str(SAMPLE))
    assert "it had been read through line" in again.output
    planned = say("plan")
    assert "new: matched 368 = left 0 + no consent 19 + capped 0 + " in planned.output
    assert "nothing changed yet. To go on: run.py apply" in planned.output
    assert "Nothing leaves until somebody serves" in say("apply").output
    report = json.loads(say("report", "spring", "--json").output)
    assert (report["state"], report["matched"], report["is_complete"]) == ("waiting", 0, False)
    exported = say("export").output
    assert len(exported.splitlines()) == 993
    assert exported.startswith("\ufeffphone,first_name")


def test_a_list_of_stops_is_tried_taken_and_told_line_by_line(say: Say, config_file: Path) -> None:
    (config_file.parent / "left.txt").write_text("+12065550142\n(206) 555-0143\nhello\n206-555-0142\n")
    path = str(config_file.parent / "left.txt")
    people, real, trial = (
        config_file.parent / "data" / f"left{end}.csv" for end in (".rejects", ".stops.rejects", ".dry-run.rejects")
    )
    people.parent.mkdir(exist_ok=True)
    people.write_text("line,reason,row\n7,bad,x\n")
    assert "2 would be stopped, 1 had left already (left.txt)" in say("import-stops", path, "--dry-run").output
    assert (real.exists(), trial.exists()) == (False, True)
    taken = say("import-stops", path, "--source", "Kannel").output
    written = real.read_text("utf-8")
    assert "hello" in written
    say("import-stops", path, "--dry-run")
    assert (real.read_text("utf-8"), people.read_text()) == (written, "line,reason,row\n7,bad,x\n")
    assert "  STOP       2 stopped, 1 had left already (left.txt)" in taken
    assert "1 line that is no STOP we can read: " in taken
    assert "line 3: not a phone number" in taken
    again = json.loads(say("import-stops", path, "--json").output)
    assert (again["added"], again["already"], again["rejected"], again["before"]) == (2, 1, 1, 4)
    say("apply")
    assert "left everything by import: Kannel" in say("explain", "+12065550143").output
    wrong = say("import-stops", path, "--program", "latern_club")
    assert (wrong.exit_code, 'no program "latern_club"; did you mean lantern_club?' in wrong.output) == (1, True)


def test_a_wrong_command_names_the_nearest(say: Say) -> None:
    done = say("reprt")
    assert done.exit_code == 1
    assert 'no command "reprt"; did you mean report?' in done.output


def test_the_list_of_commands_reads_whole_in_80_columns_in_the_order_of_the_work(say: Say) -> None:
    listed = say("--help").output.partition("Commands:\n")[2].splitlines()
    assert "..." not in "".join(listed)
    assert [line.split()[0] for line in listed[:4]] == ["serve", "check", "plan", "apply"]


def test_a_route_is_told_in_lines_and_as_json(say: Say) -> None:
    lines = say("route", "206 555 0142", "--campaign", "spring").output.splitlines()
    assert lines[1] == "  +12065550142, US, mobile or landline, network not known"
    assert lines[4].startswith("  1 seattle  us_sms, 0.0079 USD per part")
    assert "  from       20655" in lines
    told = json.loads(say("route", "+8613812345678", "--json").output)
    assert (told["network"], told["chosen"]["number"]) == ("China Mobile", "10690555")


def test_a_file_in_another_encoding_is_told_with_its_line(say: Say, config_file: Path) -> None:
    config_file.write_bytes(config_file.read_text("utf-8").encode("gb18030"))
    done = say("check")
    assert done.exit_code == 1
    assert "config.yaml:4:1: found bytes that are not UTF-8; save the file as UTF-8" in done.output


def test_a_broken_file_is_told_line_by_line(say: Say, edit: Edit) -> None:
    edit("country: US", "country: us")
    done = say("status")
    assert done.exit_code == 1
    assert "config.yaml:5:" in done.output


def test_a_text_wants_somebody_who_serves(say: Say) -> None:
    done = say("text", "+12065550142", "LATTE")
    assert done.exit_code == 1
    assert "no handset is there" in done.output


def test_a_taken_port_is_told_before_the_demo_imports_or_launches_anything(config_file: Path, say: Say) -> None:
    port = int(config_file.read_text("utf-8").partition("private: 127.0.0.1:")[2].partition(",")[0])
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            [sys.executable, ROOT / "run.py", "--config", "config.yaml", "serve", "--demo"], cwd=config_file.parent,
            timeout=60, capture_output=True, text=True, check=False,
        )  # fmt: skip
    told = f"port {port} is taken by another program; stop it, or set listen.private in config.yaml\n"
    assert (done.returncode, done.stderr) == (1, told)
    assert say("status").output.splitlines()[1].startswith("Nothing has been applied yet")


def test_serve_wants_an_applied_config(config_file: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", "--config", "config.yaml", "serve"], cwd=config_file.parent, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1, "nothing has been applied yet: look with run.py plan, then run.py apply\n"
    )  # fmt: skip


def test_the_schema_offers_the_names_of_the_file(say: Say) -> None:
    assert "spring_crowd" in json.dumps(json.loads(say("schema").output))
