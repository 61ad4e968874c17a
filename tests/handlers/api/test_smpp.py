"""A program binds to the whole house: texts in, receipts and texts back, away and back, on both engines."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import run
from campaigns import clients
from campaigns.clients import Kind
from campaigns.settings import Config
from campaigns.wishes import Why
from gateway import notices
from gateway.binds import LOOK_S
from gateway.codecs import parts, smpp
from gateway.config import load
from gateway.errors import StoreError
from gateway.intake import Busy
from gateway.messages import State
from gateway.store import Tx
from handlers.api import smpp as door
from handlers.api import smpp_notices, smpp_pieces
from handlers.app import App
from tests.gateway.channels.smpp_server.esme import Esme, dialled
from tests.handlers.api.binding import LONG, bindable, open_door
from tests.handlers.api.conftest import ANA, BEN, key_of, served
from tests.tables import look

HELD = "SELECT coalesce(sum(CAST(target AS BIGINT)), 0) FROM notice WHERE subject = 'parcel'"
SHORT = smpp.address(3, 0, "20655")


def phone(number: str) -> bytes:
    return smpp.address(1, 1, number.removeprefix("+"))


def body(text: str, to: str = ANA, *, sender: bytes = SHORT, registered: int = 1, **more: Any) -> bytes:
    coding, octets = parts.whole(text)
    return smpp.message_body(sender, phone(to), octets, data_coding=coding, registered=registered, **more)


def pieces(text: str, reference: int, to: str = ANA) -> list[bytes]:
    coding, cut = parts.split(text, reference)
    return [
        smpp.message_body(SHORT, phone(to), piece, esm_class=smpp.HAS_HEADER, data_coding=coding, registered=1)
        for piece in cut
    ]


def receipts(esme: Esme) -> list[smpp.Reading]:
    return [smpp.read_receipt(message) for message in esme.arrived if smpp.is_receipt(message)]


def texts(esme: Esme) -> list[smpp.ShortMessage]:
    return [message for message in esme.arrived if not smpp.is_receipt(message)]


@pytest.fixture
async def app(config_file: Path) -> AsyncIterator[App]:
    async with served(bindable(config_file)) as running:
        yield running


@pytest.fixture
async def password(app: App) -> str:
    return await key_of(app, "shop", Kind.SMPP)


async def test_a_text_goes_out_and_its_receipt_comes_back(app: App, password: str) -> None:
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        (answer,) = await esme.submitted([body("Your order 7 is ready.")])
        assert answer[0] == smpp.OK
        await esme.until(lambda: receipts(esme), 15)
        message = esme.arrived[0]
        assert receipts(esme) == [smpp.Reading((answer[1],), State.DELIVERED, "000")]
        assert (message.sender_ton, message.sender, message.recipient) == (1, ANA[1:], "20655")
        assert message.octets.startswith(f"id:{answer[1]} sub:001 dlvrd:001 submit date:".encode())
        assert message.octets.endswith(b"stat:DELIVRD err:000 text:Your order 7 is read")
        assert app.simulator is not None
        assert app.simulator.handset(ANA).messages[-1].text == "Your order 7 is ready."


async def test_no_receipt_comes_where_none_was_asked_for(app: App, password: str) -> None:
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        await esme.submitted([body("One", registered=0), body("Two", registered=2), body("Three")])
        await esme.until(lambda: receipts(esme), 15)
        await asyncio.sleep(2)
        assert [reading.ids for reading in receipts(esme)] == [(esme.answers[2][1],)]


async def test_a_text_in_pieces_is_one_text_and_each_piece_has_its_receipt(app: App, password: str) -> None:
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        cut = pieces(LONG, 7)
        first = await esme.submitted(cut[2:])
        last = await esme.submitted(cut[:2], 10)
        idents = {ident for _, ident in first + last}
        assert len(idents) == len(cut)
        await esme.until(lambda: len(receipts(esme)) == len(cut), 15)
        assert {reading.ids[0] for reading in receipts(esme)} == idents
        assert {reading.state for reading in receipts(esme)} == {State.DELIVERED}
        assert app.simulator is not None
        assert [each.text for each in app.simulator.handset(ANA).messages if each.incoming] == [LONG]
        await until(lambda: rows(app, "SELECT count(*) FROM fragment"), 0)


async def test_a_text_with_sar_fields_or_as_a_payload_is_one_text(app: App, password: str) -> None:
    coding, bare = parts.bare(LONG)
    with_sar = [
        smpp.message_body(SHORT, phone(ANA), piece, data_coding=coding, more=smpp.sar(300, len(bare), number))
        for number, piece in enumerate(bare, 1)
    ]
    whole = smpp.message_body(SHORT, phone(BEN), b"", data_coding=coding, more=smpp.payload(parts.whole(LONG)[1]))
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        answers = await esme.submitted([*with_sar, whole])
        assert {status for status, _ in answers} == {0}
        assert app.simulator is not None
        for number in (ANA, BEN):
            shown = await app.simulator.handset(number).wait(0, 15)
            assert shown.text == LONG


async def test_octets_and_flash_texts_reach_the_phone_each_part_of_octets_by_itself(app: App, password: str) -> None:
    ports, joint = bytes.fromhex("0605040b8423f0"), bytes.fromhex("050003070201")
    wishes = [
        smpp.message_body(SHORT, phone(ANA), ports + bytes(20), esm_class=smpp.HAS_HEADER, data_coding=4, registered=1),
        smpp.message_body(SHORT, phone(ANA), joint + bytes(30), esm_class=smpp.HAS_HEADER, data_coding=4, registered=1),
        smpp.message_body(SHORT, phone(ANA), b"Fire!", data_coding=0x10, registered=1),
    ]
    flash = [
        smpp.message_body(SHORT, phone(BEN), piece, esm_class=smpp.HAS_HEADER, data_coding=0x10, registered=1)
        for piece in parts.split(LONG, 9)[1]
    ]
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        answers = await esme.submitted([*wishes, *flash])
        assert {status for status, _ in answers} == {0}
        await esme.until(lambda: len(receipts(esme)) == len(answers), 15)
    kept = await rows(app, "SELECT text, content FROM message ORDER BY id")
    assert dict(kept) == {
        "[20 octets]": f'{{"octets":"{"00" * 20}","header":"0605040b8423f0"}}',
        "[30 octets]": f'{{"octets":"{"00" * 30}","header":"050003070201"}}',
        "Fire!": '{"message_class":0}',
        LONG: '{"message_class":0}',
    }


async def test_a_refusal_has_its_status(app: App, password: str) -> None:
    name = smpp.address(5, 0, "Nobody")
    wishes = [
        (body("Hello", "+1206"), door.BAD_RECIPIENT),
        (body("Hello", sender=name), door.BAD_SENDER),
        (body("Hello", "+8613800138000"), door.BAD_RECIPIENT),
        (body("x" * 200), 0),
        (body(" "), door.BAD_TEXT_LENGTH),
    ]
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        answers = await esme.submitted([wish for wish, _ in wishes])
    assert [status for status, _ in answers] == [status for _, status in wishes]


async def test_a_number_without_its_type_is_one_at_home_or_else_abroad(app: App, password: str) -> None:
    def bare(digits: str) -> bytes:
        return smpp.message_body(smpp.address(0, 0, "20655"), smpp.address(0, 0, digits), b"Hello")

    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        answers = await esme.submitted(
            [bare("2065550142"), bare("12065550142"), bare("0012065550142"), bare("16045550142")]
        )
    assert [status for status, _ in answers] == [0, 0, 0, 0]
    assert set(await rows(app, "SELECT address FROM message")) == {(ANA,), ("+16045550142",)}


async def test_who_has_opted_out_gets_nothing(app: App, password: str) -> None:
    assert app.simulator is not None
    await app.simulator.text(ANA, "20655", "STOP")
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        assert await esme.submitted([body("Hello")]) == [(door.BAD_RECIPIENT, "")]
        cut = pieces(LONG, 9)
        await esme.submitted(cut[:-1], 10)
        assert await esme.submitted(cut[-1:], 20) == [(door.BAD_RECIPIENT, "")]
        await esme.until(lambda: len(receipts(esme)) == len(cut) - 1, 15)
        assert {reading.code for reading in receipts(esme)} == {"REJECTD 000"}


async def test_what_people_text_is_brought_while_bound_and_waits_while_away(app: App, password: str) -> None:
    assert app.simulator is not None
    async with open_door(app) as server:
        await app.simulator.text(ANA, "20655", "first")
        await app.simulator.text(ANA, "20655", "second 你好")
        await app.simulator.text(BEN, "20655", LONG)
        async with dialled(server.port, "receiver", password=password) as esme:
            await esme.until(lambda: len(texts(esme)) == 2 + len(parts.split(LONG, 0)[1]), 15)
            found = [message for message in texts(esme) if message.sender == ANA[1:]]
            read = [parts.read(each.octets, each.data_coding, False)[0] for each in found]
            assert read == ["first", "second 你好"]
            joined = {}
            for message in texts(esme):
                if message.sender == BEN[1:]:
                    text, joint = parts.read(message.octets, message.data_coding, True)
                    assert joint is not None
                    joined[joint.number] = text
            assert parts.join(joined) == LONG
        await app.simulator.text(ANA, "20655", "third")
        async with dialled(server.port, "receiver", password=password) as esme:
            await esme.until(lambda: texts(esme), 15)
            assert [message.octets for message in texts(esme)] == [b"third"]


async def test_what_was_not_taken_comes_again_and_in_order(app: App, password: str) -> None:
    assert app.simulator is not None
    async with open_door(app) as server, dialled(server.port, "receiver", password=password) as esme:
        esme.status = smpp.COME_AGAIN
        await app.simulator.text(ANA, "20655", "first")
        await app.simulator.text(ANA, "20655", "second")
        await esme.until(lambda: texts(esme), 15)
        esme.status = smpp.OK
        await esme.until(lambda: len(texts(esme)) == 3, 15)
        assert [message.octets for message in texts(esme)] == [b"first", b"first", b"second"]


async def test_a_receipt_that_nobody_acknowledged_comes_again_after_a_restart_of_the_door(
    app: App, password: str
) -> None:
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        esme.status = None
        (answer,) = await esme.submitted([body("Hello")])
        await esme.until(lambda: receipts(esme), 15)
        esme.transport.abort()
    async with open_door(app) as server, dialled(server.port, "receiver", password=password) as esme:
        await esme.until(lambda: receipts(esme), 15)
        assert receipts(esme)[0].ids == (answer[1],)
        await until(lambda: rows(app, "SELECT count(*) FROM notice WHERE state = 0"), 0)


async def test_a_text_that_never_was_whole_ends_as_undelivered(
    app: App, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smpp_pieces, "MISSING_MS", 500)
    monkeypatch.setattr(door, "SWEEP_S", 0.1)
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        answers = await esme.submitted(pieces(LONG, 5)[:2])
        assert [status for status, _ in answers] == [0, 0]
        await esme.until(lambda: len(receipts(esme)) == 2, 15)
        assert {reading.ids[0] for reading in receipts(esme)} == {ident for _, ident in answers}
        assert {reading.code for reading in receipts(esme)} == {"UNDELIV 000"}


async def test_a_text_that_a_dead_process_left_whole_is_accepted_once(
    app: App, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smpp_pieces, "LEFT_MS", -1_000)
    monkeypatch.setattr(smpp_pieces.Pieces, "_accept", lambda *_: None)  # it dies just before
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        esme.submit(pieces(LONG, 5))
        await until(lambda: rows(app, "SELECT count(*) FROM fragment"), len(pieces(LONG, 5)))
    monkeypatch.undo()
    monkeypatch.setattr(smpp_pieces, "LEFT_MS", -1_000)
    async with open_door(app):
        await until(lambda: rows(app, "SELECT count(*) FROM fragment"), 0)
    assert await rows(app, "SELECT text FROM message") == [(LONG,)]


async def test_a_piece_that_comes_twice_keeps_its_id(app: App, password: str) -> None:
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        cut = pieces(LONG, 5)
        first = await esme.submitted(cut[:1])
        assert await esme.submitted(cut[:1], 5) == first
        other = pieces("Another text under the same reference, later. " * 7, 5)
        assert len(other) == len(cut) - 1 or await esme.submitted(other[:1], 8) != first


async def test_a_program_asks_what_became_of_its_text_and_of_no_other(app: App, password: str) -> None:
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        (answer,) = await esme.submitted([body("Hello")])
        await esme.until(lambda: receipts(esme), 15)
        esme.ask(smpp.query_body(answer[1], SHORT))
        esme.ask(smpp.query_body(str(int(answer[1]) + 1), SHORT))
        await esme.until(lambda: len(esme.learned) == 2)
        known, unknown = sorted(esme.learned, key=lambda each: each.status)
        assert known.reading is not None
        assert known.reading.state is State.DELIVERED
        assert unknown.status == 0x67


async def test_a_text_for_later_leaves_later_and_can_be_taken_back(app: App, password: str) -> None:
    later = smpp.absolute_time(app.clock.now_ms() + 3_600_000).decode()
    fields: dict[str, Any] = {
        "source_addr_ton": 3, "source_addr": "20655", "dest_addr_ton": 1, "dest_addr_npi": 1,
        "destination_addr": ANA[1:], "schedule_delivery_time": later, "registered_delivery": 1,
        "short_message": b"Later",
    }  # fmt: skip
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        whole = smpp.encode(smpp.Pdu(smpp.SUBMIT_SM, 0, 1, fields))
        (answer,) = await esme.submitted([whole[16:]])
        assert answer[0] == 0
        assert await rows(app, "SELECT count(*) FROM outbox WHERE due > 0") == [(1,)]
        esme.transport.write(smpp.encode(smpp.Pdu(smpp.CANCEL_SM, 0, 9, {"message_id": answer[1]})))
        await esme.until(lambda: receipts(esme), 15)
        assert receipts(esme)[0].code.startswith("DELETED")


async def test_what_a_program_refuses_for_good_is_given_up_and_the_next_is_brought(app: App, password: str) -> None:
    assert app.simulator is not None
    async with open_door(app) as server, dialled(server.port, "receiver", password=password) as esme:
        esme.status = smpp_notices.REFUSED_FOR_GOOD
        await app.simulator.text(ANA, "20655", "first")
        await until(lambda: rows(app, "SELECT count(*) FROM notice WHERE state = 2"), 1)
        esme.status = smpp.OK
        await app.simulator.text(ANA, "20655", "second")
        await until(lambda: rows(app, "SELECT count(*) FROM notice WHERE state = 1"), 1)
        assert [message.octets for message in texts(esme)] == [b"first", b"second"]


async def test_a_receipt_that_is_refused_comes_again_and_those_beside_it_do_not(app: App, password: str) -> None:
    tries: Counter[str] = Counter()

    def judge(message: smpp.ShortMessage) -> int:
        (ident,) = smpp.read_receipt(message).ids
        tries[ident] += 1
        wrong = {refused: smpp.COME_AGAIN if tries[ident] == 1 else smpp.OK, ended: smpp_notices.REFUSED_FOR_GOOD}
        return wrong.get(ident, smpp.OK)

    async with open_door(app) as server, dialled(server.port, "transmitter", password=password) as esme:
        idents = [
            ident for _, ident in await esme.submitted([body(f"Text {n}", f"+120655501{n:02}") for n in range(9)])
        ]
        refused, ended = idents[3], idents[5]
        await until(lambda: rows(app, HELD), 9)
        async with dialled(server.port, "receiver", password=password) as ear:
            ear.judge = judge
            await ear.until(lambda: tries[refused] == 2, 15)
            await until(lambda: rows(app, "SELECT count(*) FROM notice WHERE state = 0"), 0)
    assert tries == {ident: 2 if ident == refused else 1 for ident in idents}
    given_up = await rows(app, "SELECT subject, trouble FROM notice WHERE state = 2")
    assert given_up == [(f"m:{ended}:callback", "command_status 0x00000065")]


async def test_a_line_that_falls_amid_a_parcel_brings_only_the_rest_again(app: App, password: str) -> None:
    async with open_door(app) as server, dialled(server.port, "transmitter", password=password) as esme:
        idents = [
            ident for _, ident in await esme.submitted([body(f"Text {n}", f"+120655501{n:02}") for n in range(9)])
        ]
        await until(lambda: rows(app, HELD), 9)
        async with dialled(server.port, "receiver", password=password) as ear:
            ear.judge = lambda message: smpp.OK if smpp.read_receipt(message).ids[0] in idents[:6] else None
            await ear.until(lambda: len(ear.arrived) == 9, 15)
            await asyncio.sleep(0.2)
        async with dialled(server.port, "receiver", password=password) as ear:
            await ear.until(lambda: len(ear.arrived) == 3, 15)
            await until(lambda: rows(app, "SELECT count(*) FROM notice WHERE state = 0"), 0)
            assert sorted(reading.ids[0] for reading in receipts(ear)) == sorted(idents[6:])


async def test_what_was_on_its_way_when_we_died_comes_as_soon_as_we_are_back(
    app: App, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smpp_notices, "LEASE_MS", notices.LEASE_MS)
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        esme.status = None
        await esme.submitted([body("Hello")])
        await esme.until(lambda: receipts(esme), 15)
        monkeypatch.setattr(smpp_notices.Teller, "told", lambda *_: None)  # from here on nothing is written down
    monkeypatch.undo()
    started = time.monotonic()
    async with open_door(app) as server, dialled(server.port, "receiver", password=password) as esme:
        await esme.until(lambda: receipts(esme), 15)
    assert time.monotonic() - started < 7


async def test_who_is_slow_is_brought_nothing_twice(app: App, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp_notices, "LEASE_MS", 1_500)
    monkeypatch.setattr(smpp_notices, "RENEWED_MS", 300)
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        esme.status = None
        await esme.submitted([body("Hello")])
        await esme.until(lambda: receipts(esme), 15)
        async with dialled(server.port, password=password) as other:
            await asyncio.sleep(3)
            assert len(receipts(esme)) + len(receipts(other)) == 1
        assert await rows(app, "SELECT state FROM notice") == [(0,)]


async def test_a_notice_that_cannot_be_written_holds_up_no_other(app: App, password: str) -> None:
    assert app.simulator is not None
    client, now = app.business.clients["shop"].id, app.clock.now_ms()
    broken = (app.ids.next(), app.brand, client, "smpp", "message.received", "p:x", now, "{}", "", now, 0, 0, "")

    async def put(tx: Tx) -> None:
        await tx.many("notice_insert", [broken])

    await app.store.write(put)
    async with open_door(app) as server, dialled(server.port, "receiver", password=password) as esme:
        await app.simulator.text(ANA, "20655", "Hello")
        await esme.until(lambda: texts(esme), 15)
        await until(lambda: rows(app, "SELECT count(*) FROM notice WHERE state = 2 AND trouble <> ''"), 1)


async def test_what_nobody_fetches_is_given_up_in_the_end(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.simulator is not None
    await app.simulator.text(ANA, "20655", "Hello")
    await until(lambda: rows(app, "SELECT count(*) FROM notice"), 1)
    await smpp_notices.tidy(app)
    assert await rows(app, "SELECT state FROM notice") == [(0,)]
    monkeypatch.setattr(smpp_notices, "OLDEST_MS", -1_000)
    await smpp_notices.tidy(app)
    assert await rows(app, "SELECT state FROM notice") == [(2,)]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


async def test_a_config_that_is_applied_holds_for_who_is_bound(app: App, config_file: Path, password: str) -> None:
    async def applied(old: str, new: str) -> None:
        edit(config_file, old, new)
        app.take(await run.business_of(app, load(config_file, Config, {}).value, app.business.version + 1))

    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        await applied("window: 200", "window: 1")
        async with asyncio.timeout(5):
            while {each.window for each in server.accounts.values()} != {1}:  # noqa: ASYNC110  it rings no bell
                await asyncio.sleep(0.05)
        answers = await esme.submitted([body("One"), body("Two")])
        assert [status for status, _ in answers] == [0, smpp.THROTTLED]
        await applied(", smpp: {binds: 2, window: 1}", "")
        await esme.until(lambda: esme.is_closed)


def test_trouble_of_ours_is_told_as_such() -> None:
    told: list[tuple[int, int, str]] = []
    door._answer([4, 5], told.extend, None, Busy(1))
    door._answer([6], told.extend, None, StoreError("the disk is full"))
    assert told == [(4, door.QUEUE_FULL, ""), (5, door.QUEUE_FULL, ""), (6, 0x08, "")]


async def test_who_unbinds_behind_a_text_gets_every_receipt_when_it_is_back(app: App, password: str) -> None:
    async with open_door(app) as server:
        async with dialled(server.port, password=password) as esme:
            esme.status = None
            await esme.submitted([body("One")])
            await esme.until(lambda: receipts(esme), 15)
            esme.submit([body("Two")], 1)
            esme.unbind()
            await esme.until(lambda: esme.is_closed)
        idents = {ident for _, ident in esme.answers.values()}
        async with dialled(server.port, password=password) as again:
            await again.until(lambda: {reading.ids[0] for reading in receipts(again)} == idents, 15)
    assert len(idents) == 2


async def test_a_key_that_has_ended_holds_no_line(app: App, password: str) -> None:
    async with open_door(app) as server, dialled(server.port, password=password) as esme:
        (key,) = await app.store.read(clients.listed, app.brand, app.clock.now_ms())
        await app.store.write(clients.end_key, app.business, key.id, app.clock.now_ms())
        await esme.until(lambda: esme.is_closed)
        async with dialled(server.port, password=password) as again:
            assert again.refused == 0x0E


async def test_a_key_that_may_only_send_is_refused_as_receiver(app: App) -> None:
    secret = await key_of(app, "shop", Kind.SMPP, "send")
    async with open_door(app) as server, dialled(server.port, "receiver", password=secret) as esme:
        assert esme.refused == 0x0D


@pytest.mark.engine("postgresql")
async def test_lines_and_pace_hold_over_all_processes(config_file: Path) -> None:
    edit(bindable(config_file), "rate: 1000/s", "rate: 40/s")
    async with (
        served(config_file, "web", "plan", "dispatch") as one,
        served(config_file, "web") as two,
        open_door(one) as here,
        open_door(two) as there,
    ):
        password = await key_of(one, "shop", Kind.SMPP)
        async with dialled(here.port, password=password) as first, dialled(there.port, password=password) as second:
            for door_of in (here, there):
                async with dialled(door_of.port, password=password) as third:
                    assert third.refused == 0x0D
            await asyncio.sleep(2 * LOOK_S)
            answers = await asyncio.gather(*(each.submitted([body("One")] * 40) for each in (first, second)))
            taken = [sum(not status for status, _ in each) for each in answers]
            assert all(20 <= count < 30 for count in taken), taken
            second.unbind()
            await second.until(lambda: second.is_closed)
            async with dialled(here.port, password=password) as again:
                assert again.session.mode


@pytest.mark.engine("postgresql")
async def test_where_fewer_lines_are_applied_so_many_are_left_over_all_processes(config_file: Path) -> None:
    edit(bindable(config_file), "binds: 2", "binds: 4")
    async with (
        served(config_file, "web", "plan", "dispatch") as one,
        served(config_file, "web") as two,
        open_door(one) as here,
        open_door(two) as there,
        AsyncExitStack() as stack,
    ):
        password = await key_of(one, "shop", Kind.SMPP)
        esmes = []
        for door_of in (here, there, here, there):
            esmes.append(await stack.enter_async_context(dialled(door_of.port, password=password)))
        edit(config_file, "binds: 4", "binds: 2")
        config = load(config_file, Config, {}).value
        for each in (one, two):
            each.take(await run.business_of(each, config, each.business.version + 1))
        for esme in esmes[2:]:
            await esme.until(lambda esme=esme: esme.is_closed)  # type: ignore[misc]
        await asyncio.sleep(1.5)

        assert [esme.is_closed for esme in esmes] == [False, False, True, True]


async def test_two_processes_join_pieces_and_bring_each_receipt_once(app: App, password: str) -> None:
    """Two doors of one house stand in for two processes: all that they share is the store."""
    cut = pieces(LONG, 3)
    async with (
        open_door(app) as one,
        open_door(app) as other,
        dialled(one.port, password=password) as first,
        dialled(other.port, password=password) as second,
    ):
        answers = await asyncio.gather(
            first.submitted([*cut[::2], *(body(f"Text {n}", f"+1206555{n:04}") for n in range(100, 150))]),
            second.submitted([*cut[1::2], *(body(f"Text {n}", f"+1206555{n:04}") for n in range(150, 200))]),
        )
        idents = [ident for each in answers for _, ident in each]
        await first.until(lambda: len(receipts(first)) + len(receipts(second)) >= len(idents), 15)
        await until(lambda: rows(app, "SELECT count(*) FROM notice WHERE state = 0"), 0)
        found = [reading.ids[0] for reading in (*receipts(first), *receipts(second))]
    assert sorted(found) == sorted(idents)
    assert len(set(idents)) == len(cut) + 100


def test_every_refusal_has_a_status() -> None:
    assert door.STATUSES.keys() == {*Why}


async def test_nothing_listens_where_no_client_may_bind(config_file: Path) -> None:
    async with served(config_file) as app, door.smpp_door(app, app.business.config) as server:
        assert server is None


async def rows(app: App, sql: str) -> list[tuple[Any, ...]]:
    async def read(tx: Any) -> list[tuple[Any, ...]]:
        return await look(tx, sql)

    return await app.store.read(read)


async def until(read: Callable[[], Any], count: int) -> None:
    async with asyncio.timeout(15):
        while (await read())[0][0] != count:  # noqa: ASYNC110  the store rings no bell here
            await asyncio.sleep(0.05)
