"""What programs are told, by the command line: seen, told again, and brought to a machine at home."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from gateway import notices
from gateway.errors import CarillonError
from gateway.notices import GIVEN_UP, TOLD, WAITS
from handlers.api import webhooks as letters
from handlers.app import App
from handlers.console import forwarding, webhooks
from handlers.console.client import Business
from handlers.console.commands import cli
from tests.gateway.receiver import Call, Receiver
from tests.handlers.housed import MAYA, House, applied, housed, note, with_client

HOUR = 3_600_000


@dataclass
class Typed:
    """The command line over the store of a file with one program."""

    path: Path

    def say(self, *words: str) -> Result:
        parts = lambda: importlib.import_module("run")  # noqa: E731
        return CliRunner().invoke(cli, ["--config", str(self.path), *words], obj=parts)

    def ask(self, *words: str) -> Any:
        done = self.say(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    def within(self, work: Callable[[App], Any]) -> Any:
        async def opened() -> Any:
            async with applied(self.path) as app:
                return await work(app)

        return asyncio.run(opened())


@pytest.fixture
def typed(config_file: Path) -> Typed:
    with_client(config_file, "{private: yes, webhook: {url: http://127.0.0.1:9/hook}}")
    made = Typed(config_file)
    assert made.say("apply").exit_code == 0
    return made


# --- seen


def test_the_list_tells_what_waits_what_was_told_and_the_last_trouble(typed: Typed) -> None:
    async def write(app: App) -> None:
        await note(app, 3, TOLD)
        await note(app, 2, GIVEN_UP, "HTTP 500")
        await note(app, 4, WAITS, "no answer within 10 s")

    typed.within(write)
    (shop,) = typed.ask("webhooks", "list")["clients"]
    assert (shop["waiting"], shop["told"], shop["given_up"], shop["trouble"]) == (4, 3, 2, "no answer within 10 s")
    shown = typed.say("webhooks", "list").output
    assert "shop          4     3         2  http://127.0.0.1:9/hook  no answer within 10 s" in shown
    assert "in the last 24 hours" in shown


def test_one_client_is_shown_with_its_latest_notices_and_no_number_in_full(typed: Typed) -> None:
    async def write(app: App) -> list[str]:
        return [*await note(app, 30, TOLD), *await note(app, 1, GIVEN_UP, "HTTP 404", "message.received")]

    ids = typed.within(write)
    shown = typed.ask("webhooks", "show", "shop")
    assert [each["id"] for each in shown["latest"]] == ids[: -webhooks.LATEST - 1 : -1]
    assert shown["latest"][0]["about"] == "+1206***0142"
    text = typed.say("webhooks", "show", "shop").output
    assert MAYA not in text
    assert "message.received" in text
    assert "0 waiting; in the last 24 hours 30 told, 1 given up" in text


def test_the_secret_is_told_bare_so_that_it_can_go_into_a_file(typed: Typed) -> None:
    first, second = typed.say("webhooks", "secret", "shop").output, typed.say("webhooks", "secret", "shop").output
    assert first == second
    assert first.startswith("whsec_")
    assert len(first.split()) == 1


def test_a_program_that_is_not_there_is_told_with_the_nearest(typed: Typed) -> None:
    done = typed.say("webhooks", "show", "shp")
    assert (done.exit_code, "did you mean shop?" in done.output) == (1, True)


# --- told again


def test_a_day_is_told_again(typed: Typed) -> None:
    async def write(app: App) -> list[str]:
        ids = [*await note(app, 5, TOLD), *await note(app, 5, GIVEN_UP, "HTTP 500"), *await note(app, 2, WAITS)]
        await note(app, 1, TOLD, kind="message.received")
        return ids

    typed.within(write)
    assert typed.ask("webhooks", "replay", "shop", "--since", "24 h", "--kind", "message.sent")["again"] == 10
    assert (
        "  shop       1 notice will be told again, in order"
        in typed.say("webhooks", "replay", "shop", "--since", "24 h").output
    )
    (shop,) = typed.ask("webhooks", "list")["clients"]
    assert (shop["waiting"], shop["told"], shop["trouble"]) == (13, 0, "")


def test_more_than_one_piece_is_told_again(typed: Typed) -> None:
    async def write(app: App) -> None:
        await note(app, notices.PIECE * 2, TOLD)

    typed.within(write)
    assert typed.ask("webhooks", "replay", "shop", "--since", "1 h")["again"] == notices.PIECE * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "yesterday"), "such as 24 h"),
        (("--since", "2099-01-01"), "expected a time before --until"),
        (("--since", "1 h", "--until", "2 h"), "expected a time before --until"),
        (("--since", "1 h", "--kind", "message.delivred"), "did you mean message.delivered?"),
    ],
)
def test_a_slip_is_told_with_its_cure(typed: Typed, words: tuple[str, ...], told: str) -> None:
    done = typed.say("webhooks", "replay", "shop", *words)
    assert (done.exit_code, told in done.output) == (1, True), done.output


def test_times_are_on_the_brands_clock(typed: Typed) -> None:
    async def read(app: App) -> tuple[int, int]:
        now = app.clock.now_ms()
        return (
            webhooks._time("--since", "2026-12-01 18:30", app.business, now),
            now - webhooks._time("--since", "2 h", app.business, now),
        )

    assert typed.within(read) == (1_796_178_600_000, 2 * HOUR)  # 2026-12-02T02:30Z


def test_a_program_without_a_webhook_cannot_be_told_again(config_file: Path) -> None:
    with_client(config_file, "{}")
    typed = Typed(config_file)
    typed.say("apply")
    done = typed.say("webhooks", "replay", "shop", "--since", "1 h")
    assert (done.exit_code, "has no webhook" in done.output) == (1, True)


# --- brought home


@contextmanager
def taken(house: House, url: str) -> Iterator[list[dict[str, Any]]]:
    """What listening at home shows, as long as the block runs."""
    shown: list[dict[str, Any]] = []
    stopped = False

    def listen(business: Business) -> None:
        for each in forwarding.forwarded(business, "shop", url):
            shown.append(each)
            if stopped:
                return

    task = asyncio.create_task(house.ask(listen))
    yield shown
    stopped = True
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110  what is waited for happens elsewhere
            await asyncio.sleep(0.02)


async def test_what_happens_is_told_signed_and_also_brought_home(config_file: Path) -> None:
    async with housed(config_file) as house:
        home = Receiver()
        await home.open()
        [secret] = letters.secrets(house.app.business, house.app.business.clients["shop"])
        with taken(house, f"http://127.0.0.1:{home.port}/dev") as shown:
            await asyncio.sleep(0.3)
            await house.send()
            await house.receiver.has(2, seconds=20)
            await home.has(2)
            await until(lambda: len(shown) == 2)
            await house.send()  # lets the listener see that it shall end
            await home.has(3)
            await asyncio.sleep(0.1)
        for call in (*house.receiver.calls[:2], *home.calls[:2]):
            verified = Webhook(secret).verify(call.body, call.headers)
            assert verified["data"]["to"] == MAYA
        assert [call.id for call in home.calls[:2]] == [call.id for call in house.receiver.calls[:2]]
        assert [(each["type"], each["status"]) for each in shown[:2]] == [
            ("message.sent", 204), ("message.delivered", 204),
        ]  # fmt: skip
        await home.close()


async def test_a_day_that_the_receiver_lost_is_told_again_by_a_command_while_serving(config_file: Path) -> None:
    async with housed(config_file) as house:
        await house.send()
        await house.receiver.has(2, seconds=20)
        again = await house.ask(lambda business: business.ask("webhook_replay", client="shop", since="24 h"))
        assert again["again"] == 2
        await house.receiver.has(4)
        assert house.receiver.good[:2] == house.receiver.good[2:]


async def test_nothing_is_brought_home_where_nobody_serves(config_file: Path) -> None:
    with_client(config_file, "{webhook: {url: https://shop.example/hook}}")
    typed = Typed(config_file)
    await asyncio.to_thread(typed.say, "apply")
    done = await asyncio.to_thread(typed.say, "listen", "shop", "--forward", "http://localhost:1/")
    assert (done.exit_code, "run.py serve" in done.output) == (1, True)


async def test_listening_to_a_program_for_which_nothing_is_kept_says_so(config_file: Path) -> None:
    async with housed(config_file, "{}") as house:
        with pytest.raises(CarillonError, match="nothing is kept for shop"):
            await house.ask(lambda business: next(forwarding.forwarded(business, "shop", "http://localhost:1/")))
        with pytest.raises(CarillonError, match="expected a web address"):
            await house.ask(lambda business: next(forwarding.forwarded(business, "shop", "localhost:3000")))


NOTICE: dict[str, Any] = {"id": "1", "type": "message.sent", "about": "1", "made_at": 0, "headers": {}, "body": "{}"}


@pytest.mark.parametrize(("status", "seen"), [(200, 200), (404, 404), (302, 302)])
async def test_each_call_home_is_shown_with_its_status_and_no_redirect_is_followed(status: int, seen: int) -> None:
    home = Receiver()
    await home.open()

    async def answer(_call: Call) -> web.Response:
        return web.Response(status=status, headers={"Location": home.url} if status == 302 else {})

    home.answer = answer
    called = await asyncio.to_thread(forwarding.call, home.url, NOTICE)
    assert (called["status"], called["trouble"], len(home.calls)) == (seen, "", 1)
    line = forwarding.line({**NOTICE, **called}, "UTC").plain
    assert line.startswith(f"  00:00:00  {seen}  message.sent")
    await home.close()


async def test_a_home_where_nobody_listens_is_shown_too() -> None:
    called = await asyncio.to_thread(forwarding.call, "http://127.0.0.1:9/", NOTICE)
    assert called["status"] == 0
    assert "refused" in forwarding.line({**NOTICE, **called}, "UTC").plain
