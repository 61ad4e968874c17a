"""`run.py migrate-store`: a whole business moved there and back, and what the person at the keyboard is told."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import run
from gateway.errors import StoreError
from gateway.store import open_store
from handlers.app import App
from handlers.console import moving
from handlers.console.commands import cli
from handlers.console.operations import OPERATIONS
from handlers.console.serving import import_sample
from tests.gateway.test_moving import content, with_nul
from tests.handlers.console.conftest import Edit, hush, opened
from tests.servers import PostgresServer

MAYA = "+12065550142"


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database."""
    lent = postgres.lend()
    yield lent
    postgres.take_back(lent)


async def live_through_an_evening(config_file: Path, edit: Edit) -> None:
    """Import, apply, send a whole campaign, vote, ask for a coupon, leave."""
    for rate in ("rate: 50/s", "rate: 100/s"):
        edit(rate, "rate: 2000/s")
    path = str(config_file)
    async with opened(config_file, {}) as app:
        await import_sample(app, path)
        await OPERATIONS["apply"](app, hush, config=path)
        async with run.serving(app, {}):
            async with asyncio.timeout(90):
                while not settled(await OPERATIONS["report"](app, hush, campaign="spring")):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            for number, words in ((MAYA, "VOTE 1"), (MAYA, "LATTE"), ("+12065550199", "VOTE 2"), (MAYA, "STOP")):
                await OPERATIONS["text"](app, hush, number=number, words=words)
        await app.store.write(leave_something_open)


def settled(report: dict[str, Any]) -> bool:
    states = report["states"]
    return bool(report["is_complete"]) and not (states["queued"] or states["sent"] or states["in doubt"])


async def leave_something_open(tx: Any) -> None:
    """A receipt that fits nothing, and a claim that was not answered."""
    await tx.run(
        "parked_insert", brand=1, channel="us", refs='["us:1"]', fit="", state=50, code="", at=1_795_867_200_000
    )
    await tx.run("flight_insert", id=1, queue=1, brand=1, epoch=1, now=1, messages="[[1, 1, 0, -1, 0]]")


async def told(config_file: Path) -> list[Any]:
    """What the business answers."""
    async with opened(config_file, {}) as app:
        asked: list[tuple[str, dict[str, str]]] = [("report", {"campaign": "spring"}), ("explain", {"number": MAYA})]
        return [timeless(await OPERATIONS[name](app, hush, **words)) for name, words in asked] + [await everybody(app)]


async def everybody(app: App) -> Any:
    rows = (await OPERATIONS["export_page"](app, hush, after=0))["rows"]
    plain = [{**row, "attributes": json.loads(row["attributes"])} for row in rows]  # spelled by each engine
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in plain)


def timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the minute at which it is asked."""
    return {name: value for name, value in answer.items() if name not in ("now", "per_second")}


async def test_a_whole_business_answers_the_same_in_every_place(config_file: Path, edit: Edit, url: str) -> None:
    await live_through_an_evening(config_file, edit)
    before, rows = await told(config_file), content(f"sqlite:{config_file.parent}/data/carillon.db")
    assert all(rows[table] for table in ("message", "event", "state", "vote", "coupon", "parked", "flight", "inbound"))

    first = await asyncio.to_thread(moving.move, config_file, "sqlite:data/carillon.db", url)
    edit("sqlite:data/carillon.db", url)
    there = await told(config_file)
    second = await asyncio.to_thread(moving.move, config_file, url, "sqlite:data/back.db")
    edit(url, "sqlite:data/back.db")
    back = await told(config_file)

    assert first["is_complete"]
    assert second["is_complete"]
    assert there == before
    assert back == before
    here = content(f"sqlite:{config_file.parent}/data/back.db")
    assert {**here, "fact": []} == {**rows, "fact": []}  # each command writes the clock down


def shown(lines: list[Any]) -> str:
    """As a terminal shows it."""
    out = io.StringIO()
    console = Console(file=out, width=120, markup=False, highlight=False)
    for line in lines:
        console.print(line, soft_wrap=isinstance(line, str))
    return out.getvalue()


def test_a_move_tells_each_table_what_it_altered_and_what_to_do_next(config_file: Path, url: str) -> None:
    (config_file.parent / "old" / "media").mkdir(parents=True)
    with_nul(f"sqlite:{config_file.parent}/old/store.db")

    said = shown(moving.lines(moving.move(config_file, "sqlite:old/store.db", url)))

    assert "inbound" in said
    assert "agrees" in said
    assert (
        "inbound: 1 row held the character NUL, which PostgreSQL keeps in no text; it is U+FFFD there now (77)" in said
    )
    assert f"copy {config_file.parent}/old/media to {config_file.parent}/data/media" in said
    assert f"Now write store: {url} into config.yaml" in said


def test_what_does_not_agree_is_shown_with_both_sums() -> None:
    one, other = {"rows": 3, "sum": "00000000000000aa"}, {"rows": 2, "sum": "00000000000000bb"}
    table = {"table": "vote", "agrees": False, "source": one, "target": other, "altered": 0, "altered_keys": []}
    facts = {"tables": [table], "copied": 5, "seconds": 1.0, "to": "there", "pictures": None}

    said = shown(moving.lines(facts))

    assert "3 / 2" in said
    assert "00000000000000aa / 00000000000000bb" in said
    assert "vote differ, so that the move is not finished" in said


def say(capfd: pytest.CaptureFixture[str], config_file: Path, *words: str) -> tuple[int, str, str]:
    """A command; its exit status and what it said."""
    with pytest.raises(SystemExit) as left:
        cli(["--config", str(config_file), "migrate-store", *words], obj=lambda: run, prog_name="run.py")
    out, err = capfd.readouterr()
    return int(left.value.code or 0), out, err


def test_the_command_moves_and_takes_back(config_file: Path, capfd: pytest.CaptureFixture[str], url: str) -> None:
    old = config_file.parent / "old.db"
    open_store(old).close()

    status, out, _ = say(capfd, config_file, "sqlite:old.db", url, "--json")
    assert (status, json.loads(out)["is_complete"]) == (0, True)
    with pytest.raises(StoreError, match="has moved"):
        open_store(old)
    assert say(capfd, config_file, "sqlite:old.db", url)[0] == 1

    status, out, _ = say(capfd, config_file, "sqlite:old.db", url, "--undo")
    assert (status, "may be served again" in out) == (0, True)
    open_store(old).close()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("sqlite:none.db", "sqlite:new.db"), "there is no such file"),
        (("old.db", "sqlite:new.db"), "expected sqlite:FILE"),
        (("sqlite:a.db", "sqlite:./a.db"), "the same place twice"),
        (("sqlite:a.db", "sqlite:b.db", "--force"), "--force is for --undo"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_exit_status_1(
    config_file: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    status, out, err = say(capfd, config_file, *words)

    assert (status, out) == (1, "")
    assert complaint in err
    assert err.count("\n") == 1
