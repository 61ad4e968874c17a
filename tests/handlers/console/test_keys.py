"""Keys of programs by the command line: made, shown once, listed, changed for others and ended."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from campaigns import clients
from campaigns.clients import Key
from gateway.errors import CarillonError
from handlers.app import App
from handlers.console import operations
from handlers.console.commands import cli
from tests.handlers.console.conftest import Edit, hush

Say = Callable[..., Result]
TWO = "clients:\n  till: {may: [send]}\n  shop: {smpp: {}}\n"


@pytest.fixture
def say(config_file: Path, edit: Edit) -> Say:
    """Type a command for the shipped config with two programs, which is applied."""
    line = next(line for line in config_file.read_text("utf-8").splitlines() if line.startswith("  shop:"))
    head = next(line for line in config_file.read_text("utf-8").splitlines() if line.startswith("clients:"))
    edit(f"{head}\n{line}\n", TWO)

    def said(*words: str) -> Result:
        return CliRunner().invoke(
            cli, ["--config", str(config_file), *words], obj=lambda: importlib.import_module("run")
        )

    assert said("apply").exit_code == 0
    return said


def made(say: Say, *words: str) -> dict[str, Any]:
    """A new key, as a program is told of it."""
    done = say("key", "new", *words, "--json")
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.output)
    return answer


def listed(say: Say, *words: str) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(say("key", "list", *words, "--json").output)["keys"]
    return keys


def test_a_key_is_shown_once_and_never_again(say: Say) -> None:
    done = say("key", "new", "shop", "--test", "--label", "the tour")
    (shown,) = [line.split()[1] for line in done.output.splitlines() if line.startswith("  key ")]
    assert clients.key_id(shown)
    assert f"test key {clients.key_id(shown)}, the tour; may send, read, subscribers" in done.output
    assert "cannot show it again" in done.output
    (kept,) = listed(say)
    assert (kept["id"], kept["client"], kept["kind"], kept["label"]) == (
        clients.key_id(shown), "shop", "test", "the tour",
    )  # fmt: skip
    assert shown not in json.dumps(kept)


def test_without_another_word_a_key_is_live_and_may_what_the_client_may(say: Say) -> None:
    answer = made(say, "till")
    assert (answer["kind"], answer["may"]) == ("live", ["send"])
    assert answer["key"].startswith("ck_live_")


def test_a_key_may_have_less(say: Say) -> None:
    assert made(say, "shop", "--may", "read, send")["may"] == ["send", "read"]


def test_a_password_to_bind_with_comes_with_its_system_id(say: Say) -> None:
    done = say("key", "new", "shop", "--smpp")
    assert "  system_id  shop\n" in done.output
    assert "  password   " in done.output
    answer = made(say, "shop", "--smpp")
    assert len(answer["key"]) == 8


def test_an_old_key_is_given_time_when_it_is_changed_for_another(say: Say) -> None:
    old = made(say, "shop")
    test = made(say, "shop", "--test")
    new = made(say, "shop", "--expires-old", "24 h")
    assert [each["id"] for each in new["ended"]] == [old["id"]]
    states = {each["id"]: (each["is_live"], each["ended_at"] is None) for each in listed(say)}
    assert states == {old["id"]: (True, False), test["id"]: (True, True), new["id"]: (True, True)}
    last = say("key", "new", "shop", "--expires-old", "now").output
    assert f"live key {old['id']} opens no door any more" in last
    assert f"live key {new['id']} opens no door any more" in last


def test_a_key_is_ended_by_its_id_or_by_itself(say: Say) -> None:
    first, second = made(say, "shop"), made(say, "shop")
    assert f"live key {first['id']} opens no door any more" in say("key", "end", first["id"]).output
    assert f"live key {second['id']} opens no door any more" in say("key", "end", second["key"]).output
    assert [each["is_live"] for each in listed(say)] == [False, False]
    assert "ended " in say("key", "list").output


def test_a_key_may_be_ended_later(say: Say) -> None:
    key = made(say, "shop")
    assert "opens doors for 2 d more" in say("key", "end", key["id"], "--after", "48 h").output
    assert [each["is_live"] for each in listed(say)] == [True]


def test_the_list_is_of_all_or_of_one(say: Say) -> None:
    assert "No key has been made yet: run.py key new CLIENT" in say("key", "list").output
    made(say, "shop", "--label", "warehouse")
    made(say, "till")
    assert [each["client"] for each in listed(say)] == ["shop", "till"]
    assert [each["client"] for each in listed(say, "till")] == ["till"]
    assert "warehouse" in say("key", "list").output


def test_keys_of_a_program_that_has_left_the_file_are_listed_as_such(say: Say, edit: Edit) -> None:
    made(say, "shop")
    edit("  shop: {smpp: {}}\n", "")
    say("apply")
    assert "shop (not in the file)" in say("key", "list").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("new", "shpo"), 'no client "shpo" in the applied file; did you mean shop? (after an edit: run.py apply)'),
        (("new", "quite_other"), "there are till, shop"),
        (("new", "shop", "--may", "snd"), 'no key may "snd"; did you mean send?'),
        (("new", "till", "--may", "read"), "till may send only; to read, add it under may: and apply it"),
        (("new", "till", "--smpp"), "till may not bind; write smpp: {} under clients: till: and apply it"),
        (("new", "shop", "--expires-old", "24"), "--expires-old: found 24 without a unit"),
        (("new", "shop", "--label", "x" * 81), "--label: expected at most 80 printable characters"),
        (("list", "shpo"), 'no client "shpo"'),
        (("end", "abcdefgh"), 'no key "abcdefgh"; run.py key list shows them all'),
        (("end", "abcdefgh", "--after", "soon"), "--after: found"),
        (("ned", "abcdefgh"), 'no command "ned"; did you mean'),
    ],
)
def test_a_slip_is_told_with_its_cure(say: Say, words: tuple[str, ...], told: str) -> None:
    done = say("key", *words)
    assert done.exit_code == 1
    assert told in done.output


async def test_before_the_first_apply_there_is_nobody_to_make_a_key_for(app: App) -> None:
    with pytest.raises(CarillonError, match="nothing has been applied yet"):
        await operations.key_new(app, hush, client="shop")


async def test_a_key_that_is_made_opens_a_door_at_once(app: App, edit: Edit) -> None:
    await operations.apply(app, hush, config=edit())
    answer = await operations.key_new(app, hush, client="shop", kind="test")
    keys = await app.store.read(clients.listed, app.brand, app.clock.now_ms())
    assert [key.id for key in keys] == [answer["id"]]
    assert isinstance(keys[0], Key)
    assert clients.is_right(keys[0], answer["key"])
