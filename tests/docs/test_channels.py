"""docs/channels.md is true: its files load, its table knows every kind, and the carrier that it builds works."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from campaigns.settings import Config
from gateway import channels as carriers
from gateway import outbox
from gateway.channels.base import CarrierSettings, Surroundings, Upward
from gateway.clock import StoppedClock
from gateway.config import Document, load
from gateway.engine import Gateway
from gateway.errors import Retry, StoreError
from gateway.ids import Ids
from gateway.inbox import Heard, Kept
from gateway.messages import Answer, Inbound, Lane, Outbound, Purpose, Receipt, State
from gateway.outbox import Go, Message
from gateway.store import Store, Tx
from gateway.values import HostPort

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "channels.md").read_text("utf-8")
KINDS = {
    str(get_args(model.model_fields["kind"].annotation)[0]): model
    for model in get_args(get_args(carriers.AnyCarrier)[0])
}
FILES = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
REST = """
brand: {name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}
store: "sqlite:lantern.db"
"""
RUN = 7
HELLO = Outbound(7, 0, "20655", "+12065550142", "hello")


def written(folder: Path, text: str) -> Path:
    """A file with the secrets that it names."""
    for name in re.findall(r"secrets/\w+", text):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
        (folder / name).chmod(0o600)
    (channel,) = re.findall(r"^channels:\n  (\w+):", text)
    senders = f"senders: {{shop: {{number: 20655, channel: {channel}, countries: [US]}}}}\n"
    path = folder / "config.yaml"
    path.write_text(f"{text}{'' if 'senders:' in text else senders}{REST}", "utf-8")
    return path


@pytest.mark.parametrize("text", [each for each in FILES if "kind: folder" not in each], ids=lambda text: text[10:30])
def test_every_file_in_the_document_loads(tmp_path: Path, text: str) -> None:
    loaded = load(written(tmp_path, text), Config, {})

    named = re.findall(r"^  (\w+):(?: \{|$)", text.partition("senders:")[0], re.MULTILINE)
    assert list(loaded.value.channels) == named


def test_the_table_and_the_sections_know_every_kind_there_is() -> None:
    heads = re.findall(r"^\| \| (.*) \|$", TEXT, re.MULTILINE)
    assert [each.strip(" `") for head in heads for each in head.split("|")] == [*re.findall(r"^## (\w+)$", TEXT, re.M)]
    assert set(re.findall(r"^## (\w+)$", TEXT, re.MULTILINE)) == set(KINDS)


def test_the_table_tells_of_settings_that_are_there() -> None:
    assert set(KINDS["smpp"].model_fields) >= {"tls", "window", "binds", "long_texts", "use_data_sm", "alphabets"}
    for kind, model in KINDS.items():
        assert ("alphabets" in model.model_fields) is (kind == "smpp")
        assert ("at_once" in model.model_fields) is (kind != "smpp")


def test_the_registration_in_the_document_changes_lines_that_are_there() -> None:
    registry = (DOCS.parent / "gateway" / "channels" / "__init__.py").read_text("utf-8")
    (diff,) = re.findall(r"^```diff\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in diff.splitlines():
        assert (line[1:] in registry.splitlines()) is (line[0] == "-") or line.strip("+") in ("]", ")")


# --- the carrier that is a folder ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder() -> Iterator[ModuleType]:
    """The module as it stands in the document."""
    (source,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    module = ModuleType("gateway.channels.folder")
    sys.modules[module.__name__] = module
    exec(compile(source, "docs/channels.md", "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.fixture
def settings(folder: ModuleType, tmp_path: Path) -> CarrierSettings:
    """What the document says of it in the file, loaded."""

    class Lines(Document):
        channels: Mapping[str, folder.FolderCarrier]  # type: ignore[name-defined]  # made when the test runs

    (text,) = [each for each in FILES if "kind: folder" in each]
    path = tmp_path / "lines.yaml"
    path.write_text(text)
    found: CarrierSettings = load(path, Lines, {}).value.channels["shelf"]
    return found


class Peer:
    """Somebody else's program: takes texts out of one folder, and puts receipts and texts into another."""

    def __init__(self, folder: Path) -> None:
        self.out, self.back = folder / "carrier" / "out", folder / "carrier" / "back"
        self.taken: list[dict[str, str]] = []
        for each in (self.out, self.back):
            each.mkdir(parents=True, exist_ok=True)

    def take(self) -> list[dict[str, str]]:
        some = []
        for path in sorted(self.out.glob("*.json")):
            some.append(json.loads(path.read_text()))
            path.unlink()
        self.taken += some
        return some

    def put(self, name: str, **said: str) -> Path:
        path = self.back / f"{name}.json"
        path.with_suffix(".part").write_text(json.dumps(said))
        return path.with_suffix(".part").rename(path)

    def receipt(self, text: Mapping[str, str], state: str = "delivered") -> Path:
        said = {"from": text["from"], "to": text["to"]}
        return self.put(f"receipt-{text['id']}", id=text["id"], state=state, **said)


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    return Peer(tmp_path)


class House:
    """A gateway with this one channel."""

    def __init__(self, store: Store, clock: StoppedClock, settings: CarrierSettings) -> None:
        self.store, self.clock, self.settings = store, clock, settings
        self.ids = Ids(clock.now_ms)
        self.thought: list[str] = []
        self.is_full = False
        self.gateway: Gateway

    async def recognise(self, tx: Tx, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
        if self.is_full:
            raise StoreError("the disk is full")
        return [Heard(1, "")] * len(texts)

    async def answer(self, tx: Tx, texts: Sequence[Kept]) -> list[str]:
        self.thought += [kept.text for kept in texts]
        return ["heard"] * len(texts)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        self.gateway = Gateway(
            store=self.store, clock=self.clock, ids=self.ids, brand=1, gate=lambda waiting, now: Go(),
            recognise=self.recognise, answer=self.answer, chance=random.Random(1),
        )  # fmt: skip
        channels: Any = {"shelf": self.settings}
        await self.gateway.open(channels, {}, HostPort("127.0.0.1", 1), "me")
        task = asyncio.create_task(self.gateway.run())
        try:
            yield
        finally:
            await self.gateway.drain(2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def put(self, count: int) -> None:
        queue = await self.store.write(outbox.ensure_queue, self.ids, 1, "shelf", Lane.BULK, run=RUN)
        texts = [
            Message(self.ids.next(), 1, RUN, n + 1, Purpose.MARKETING, "club", "shelf", "20655", f"+1206555{n:04}",
                    "UTC", f"hello {n}", 1, 100) for n in range(count)
        ]  # fmt: skip
        await self.store.write(outbox.put, texts, queue, self.clock.now_ms())
        await self.gateway.adopt()

    async def tally(self) -> dict[State, int]:
        async def read(tx: Tx) -> dict[State, int]:
            return {State(state): n for state, _, n in await tx.rows("tally_of_run", run=RUN)}

        await self.gateway.fold()
        return await self.store.read(read)


@pytest.fixture
def house(
    store: Store, clock: StoppedClock, folder: ModuleType, settings: CarrierSettings, monkeypatch: pytest.MonkeyPatch
) -> House:
    # In place of the lines that the document adds to the registry.
    monkeypatch.setattr(carriers, "make", folder.channel)
    return House(store, clock, settings)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  files tell nobody
            await asyncio.sleep(0.02)


async def test_texts_become_files_and_receipts_delivered(house: House, peer: Peer) -> None:
    async with house.serving():
        await house.put(250)
        async with asyncio.timeout(20):
            while (await house.tally()).get(State.DELIVERED) != 249:
                for text in peer.take():
                    peer.receipt(text, "failed" if text["text"] == "hello 3" else "delivered")
                await asyncio.sleep(0.05)

        assert await house.tally() == {State.DELIVERED: 249, State.FAILED: 1}
        assert {text["text"] for text in peer.taken} == {f"hello {n}" for n in range(250)}
        assert len(peer.taken) == 250
        await until(lambda: not any(peer.back.iterdir()))


async def test_a_text_is_removed_when_it_is_on_disk_and_has_one_effect(house: House, peer: Peer) -> None:
    async with house.serving():
        house.is_full = True
        path = peer.put("text-1", **{"from": "+12065550142", "to": "20655", "text": "VOTE 3"})
        await asyncio.sleep(0.5)
        assert path.exists()

        house.is_full = False
        await until(lambda: not path.exists())
        peer.put("text-1", **{"from": "+12065550142", "to": "20655", "text": "VOTE 3"})
        await until(lambda: not path.exists())
        await until(lambda: bool(house.thought))

        assert house.thought == ["VOTE 3"]


async def test_what_is_not_as_agreed_is_put_aside_and_ends_nothing(house: House, peer: Peer) -> None:
    async with house.serving():
        for number, said in enumerate(('{"from"', "[]", "5", '{"state": "delivered"}', '{"state": "lost", "id": "1"}')):
            (peer.back / f"{number}.json").write_text(said)
        await until(lambda: len(list(peer.back.glob("*.bad"))) == 5)
        path = peer.put("good", **{"from": "+12065550142", "to": "20655", "text": "HELLO"})
        await until(lambda: not path.exists() and house.thought == ["HELLO"])


# --- the rules, one by one


class Stage:
    """What the channel told, without a gateway."""

    def __init__(self, folder: ModuleType, settings: CarrierSettings) -> None:
        self.answers: list[Answer] = []
        upward = Upward(self._answered, self._arrived, lambda name: None)
        around = Surroundings("shelf", ("20655",), upward, lambda: 0, HostPort("", 0), "", random.Random(1))
        self.channel = folder.channel(settings, around)

    def _answered(self, name: str, answers: list[Answer]) -> None:
        self.answers += answers

    def _arrived(self, name: str, receipts: list[Receipt], texts: list[Inbound]) -> None: ...

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.channel.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def stage(folder: ModuleType, settings: CarrierSettings) -> Stage:
    return Stage(folder, settings)


async def test_nothing_is_taken_while_the_folder_is_not_there(stage: Stage, tmp_path: Path) -> None:
    async with stage.running():
        await asyncio.sleep(0.3)
        assert stage.channel.send([HELLO]) == [HELLO]
        assert not stage.channel.lines()[0].bound

        Peer(tmp_path)
        await until(lambda: stage.channel.room() > 0)
        assert stage.channel.lines()[0].bound


async def test_what_there_is_no_room_for_comes_back_in_its_order(stage: Stage, peer: Peer) -> None:
    async with stage.running():
        await until(lambda: stage.channel.room() > 0)
        room = stage.channel.room()
        batch = [HELLO._replace(id=n) for n in range(room + 5)]

        assert stage.channel.send(batch) == batch[room:]
        await stage.channel.drain(5)

    assert sorted(answer.message for answer in stage.answers) == list(range(room))
    assert len(peer.take()) == room


async def test_what_cannot_be_written_fails_surely_and_says_whether_to_try_again(stage: Stage, peer: Peer) -> None:
    async with stage.running():
        await until(lambda: stage.channel.room() > 0)
        (peer.out / "7-0.part").mkdir()  # in the way of the first
        stage.channel.send([HELLO, HELLO._replace(id=8, text="half a character: \ud83d")])
        await until(lambda: len(stage.answers) == 2)

    failures = [answer.failure.retry for answer in stage.answers if answer.failure]
    assert failures == [Retry.LATER, Retry.NEVER]


async def test_what_was_taken_and_not_written_when_it_is_given_up_can_go_again(stage: Stage, peer: Peer) -> None:
    async with stage.running():
        await until(lambda: stage.channel.room() > 0)
        stage.channel.send([HELLO])

    (answer,) = stage.answers
    assert answer.in_doubt or (answer.failure is not None and answer.failure.retry is Retry.LATER)
