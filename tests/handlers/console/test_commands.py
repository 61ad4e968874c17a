"""The command line where nobody serves: it opens the store itself, and says what is wrong in one line."""

from __future__ import annotations

import importlib
import json
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


def test_a_wrong_command_names_the_nearest(say: Say) -> None:
    done = say("reprt")
    assert done.exit_code == 1
    assert 'no command "reprt"; did you mean report?' in done.output


def test_a_broken_file_is_told_line_by_line(say: Say, edit: Edit) -> None:
    edit("country: US", "country: us")
    done = say("status")
    assert done.exit_code == 1
    assert "config.yaml:5:" in done.output


def test_a_text_wants_somebody_who_serves(say: Say) -> None:
    done = say("text", "+12065550142", "LATTE")
    assert done.exit_code == 1
    assert "no handset is there" in done.output


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
