"""Our SMPP against software that others wrote: smpp34 (Rust) and npm `smpp` (JavaScript), over sockets.

npm `smpp` is looked for in `node_modules` of the checkout, or of the folder that CARILLON_NODE names.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import smpp34

from gateway.channels.base import Upward
from gateway.channels.smpp import SmppAddress, SmppChannel, SmppSettings
from gateway.codecs import parts, smpp
from gateway.codecs import smpp_session as sessions
from gateway.messages import Answer, Asked, Inbound, Outbound, Receipt, State
from tests.ports import free_port

CHECKOUT = Path(__file__).parents[4]
PEM = CHECKOUT / "tests/peers/localhost.pem"
PACKAGES = Path(os.environ.get("CARILLON_NODE", CHECKOUT)) / "node_modules"
CHINESE = "【灯笼咖啡】春天来了，拿铁买一送一，请到南京路店出示此短信。" * 6 + "拒收请回复R"
MESSAGE = Outbound(7, 1, "20655", "+12065550142", CHINESE)

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (PACKAGES / "smpp").is_dir(),
    reason="needs node and: npm install --no-save smpp@0.5.1 (or a folder with it in CARILLON_NODE)",
)


@dataclass
class Peer:
    """What a foreign carrier saw."""

    port: int = 0
    whole: list[tuple[str, str, str]] = field(default_factory=list)  # text, from, to
    thanked: list[int] = field(default_factory=list)
    is_unbound: bool = False
    binds: list[bool] = field(default_factory=list)  # whether the password was right
    modes: list[str] = field(default_factory=list)
    throttled: int = 0
    asked: list[str] = field(default_factory=list)

    def hear(self, line: dict[str, Any]) -> None:
        """Take one line that the node process printed."""
        assert "error" not in line, line
        self.port = line.get("listening", self.port)
        if "whole" in line:
            self.whole.append((line["whole"], line["from"], line["to"]))
        if "thanked" in line:
            self.thanked.append(line["thanked"])
        if "bind" in line:
            self.binds.append(line["known"])
            self.modes.append(line["mode"])
        if "asked" in line:
            self.asked.append(line["asked"])
        self.throttled = line.get("throttled", self.throttled)
        self.is_unbound |= "unbound" in line


@contextlib.asynccontextmanager
async def npm_smpp(**options: object) -> AsyncIterator[Peer]:
    """The carrier of tests/peers/smsc.js, with its options."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(CHECKOUT / "tests/peers/smsc.js"),
        json.dumps(options),
        env={**os.environ, "NODE_PATH": str(PACKAGES)},
        stdout=asyncio.subprocess.PIPE,
    )
    peer = Peer()

    async def listen() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            peer.hear(json.loads(line))

    listening = asyncio.create_task(listen())
    try:
        await until(lambda: peer.port or listening.done())
        yield peer
    finally:
        process.kill()
        await process.wait()
        await listening


@contextlib.asynccontextmanager
async def rust_smpp34() -> AsyncIterator[Peer]:
    """A carrier of smpp34's server. Its ids, too, are hexadecimal in answers and decimal in receipts."""
    peer = Peer(free_port())
    server = smpp34.Server("127.0.0.1", peer.port, system_id="rust")
    await server.start()

    async def serve() -> None:
        esme: Any = None
        pieces: dict[int, str] = {}
        while True:
            event = await server.next()
            if isinstance(event, smpp34.SubmitSmEvent):
                number = 0x9F0000 + len(pieces)
                pieces[event.short_message[5]] = event.short_message[6:].decode("utf-16-be")
                event.accept(f"{number:x}")
                peer.thanked.append(await give_receipt(esme, event, number))
                if len(pieces) == event.short_message[4]:
                    text = "".join(pieces[place] for place in sorted(pieces))
                    peer.whole.append((text, event.source_addr, event.destination_addr))
                    peer.thanked += [await give_back(esme, event, text, place) for place in (3, 1, 2)]
            elif isinstance(event, smpp34.Unbound):
                peer.is_unbound = True
            else:
                esme = event
                peer.binds.append(True)  # it lets everyone in

    serving = asyncio.create_task(serve())
    try:
        yield peer
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await server.stop()


async def give_receipt(esme: Any, event: Any, number: int) -> int:
    words = f"id:{number:010d} sub:001 dlvrd:001 submit date:2605281200 done date:2605281201 stat:DELIVRD err:000 text:"
    return await deliver(esme, event, words.encode(), esm_class=4)


async def give_back(esme: Any, event: Any, text: str, place: int) -> int:
    piece = text[67 * (place - 1) : 67 * place].encode("utf-16-be")
    return await deliver(esme, event, bytes((5, 0, 3, 77, 3, place)) + piece, esm_class=0x40, data_coding=8)


async def deliver(esme: Any, event: Any, octets: bytes, **fields: int) -> int:
    answer = await esme.deliver_sm(
        event.source_addr, octets, source_addr=event.destination_addr, source_addr_ton=1, source_addr_npi=1, **fields
    )
    return int(answer.command_status)


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - the peer is a process, it sets no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("carrier", [pytest.param(npm_smpp, marks=needs_node), rust_smpp34])
async def test_a_foreign_carrier_sees_a_long_chinese_text_whole_and_its_receipts_and_texts_are_ours(
    carrier: Callable[[], contextlib.AbstractAsyncContextManager[Peer]],
) -> None:
    answers: list[Answer] = []
    receipts: list[Receipt] = []
    texts: list[Inbound] = []

    def arrived(_: str, some_receipts: list[Receipt], some_texts: list[Inbound]) -> None:
        receipts.extend(some_receipts)
        texts.extend(some_texts)
        channel.thank([*(receipt.handle for receipt in some_receipts), *(text.handle for text in some_texts)])

    async with carrier() as peer:
        channel = SmppChannel(
            "foreign",
            SmppSettings(SmppAddress("127.0.0.1", peer.port, tls=False), "lantern", "secret"),
            Upward(lambda _, some: answers.extend(some), arrived, lambda _: None),
            now_ms=lambda: 0,
            chance=random.Random(7),
        )
        running = asyncio.create_task(channel.run())
        await until(channel.room)
        assert channel.send([MESSAGE]) == []
        await until(lambda: len(peer.thanked) == 6)
        await channel.drain(5)
        await asyncio.wait_for(running, 5)
        await until(lambda: peer.is_unbound)

    assert peer.whole == [(CHINESE, "20655", "12065550142")]
    assert sorted(answer[:4] for answer in answers) == [(7, 1, 0, 3), (7, 1, 1, 3), (7, 1, 2, 3)]
    assert [any(answer.carrier_id in receipt.spellings for receipt in receipts) for answer in answers] == [True] * 3
    assert {(receipt.state, receipt.sender, receipt.recipient) for receipt in receipts} == {
        (State.DELIVERED, "20655", "+12065550142")
    }
    assert {(text.sender, text.recipient) for text in texts} == {("+12065550142", "20655")}
    assert parts.join({text.joint.number: text.text for text in texts if text.joint}) == CHINESE
    assert peer.thanked == [0] * 6


@needs_node
async def test_a_foreign_carriers_refusal_of_the_password_is_understood() -> None:
    async with npm_smpp() as peer:
        channel = SmppChannel(
            "foreign",
            SmppSettings(SmppAddress("127.0.0.1", peer.port, tls=False), "lantern", "wrong"),
            Upward(lambda *_: None, lambda *_: None, lambda *_: None),
            now_ms=lambda: 0,
            chance=random.Random(7),
        )
        running = asyncio.create_task(channel.run())
        await until(lambda: channel.lines()[0].trouble)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    assert channel.lines()[0].trouble == smpp.failure(0x0E)
    assert peer.binds == [False]


@dataclass
class House:
    """What a channel tells upwards; it thanks for everything."""

    channel: SmppChannel = field(init=False)
    answers: list[Answer] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    def arrived(self, _: str, receipts: list[Receipt], texts: list[Inbound]) -> None:
        self.receipts += receipts
        self.channel.thank([*(receipt.handle for receipt in receipts), *(text.handle for text in texts)])

    @property
    def taken(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.carrier_id]


@contextlib.asynccontextmanager
async def bound_to(peer: Peer, *, tls: bool = False, **settings: Any) -> AsyncIterator[House]:
    """A channel with all its lines bound to a foreign carrier; at the end it says goodbye."""
    house = House()
    authorities = PEM.read_text() if tls else None
    address = SmppAddress("localhost" if tls else "127.0.0.1", peer.port, tls=tls, authorities=authorities)
    house.channel = SmppChannel(
        "foreign",
        SmppSettings(address, "lantern", "secret", longest_pause_s=0.1, **settings),
        Upward(lambda _, some: house.answers.extend(some), house.arrived, lambda _: None),
        now_ms=lambda: 0,
        chance=random.Random(7),
    )
    running = asyncio.create_task(house.channel.run())
    await until(lambda: all(line.bound for line in house.channel.lines()))
    try:
        yield house
    finally:
        await house.channel.drain(5)
        await asyncio.wait_for(running, 5)


HELLO = MESSAGE._replace(text="Two lattes for one")


@needs_node
@pytest.mark.parametrize(
    "binds",
    [("transceiver",), ("transmitter", "receiver"), ("transceiver", "transceiver")],
    ids=["one", "a pair", "two"],
)
async def test_a_foreign_carrier_binds_lines_of_every_mode_and_brings_receipts_on_any(binds: tuple[str, ...]) -> None:
    async with npm_smpp() as peer, bound_to(peer, binds=binds) as house:
        assert house.channel.send([HELLO, HELLO._replace(id=8)]) == []
        await until(lambda: len(house.receipts) == 2 and len(peer.thanked) == 2)

    assert sorted(peer.modes) == sorted(binds)
    assert all(any(answer.carrier_id in receipt.spellings for receipt in house.receipts) for answer in house.taken)


@needs_node
async def test_a_foreign_carrier_that_throttles_gets_nothing_new_for_a_second() -> None:
    """R-2.6"""
    loop = asyncio.get_running_loop()
    async with npm_smpp(throttle=3) as peer, bound_to(peer) as house:
        assert house.channel.send([HELLO._replace(id=id_) for id_ in range(3)]) == []
        await until(lambda: len(house.answers) == 3)
        began = loop.time()
        refused = [answer.failure for answer in house.answers]
        assert house.channel.send([HELLO]) == [HELLO]
        await until(house.channel.room)
        assert loop.time() - began > 0.9
        assert house.channel.send([HELLO]) == []
        await until(lambda: house.taken)

    assert refused == [smpp.failure(smpp.THROTTLED)] * 3
    assert peer.throttled == 3


async def test_a_foreign_carrier_whose_queue_is_full_and_that_says_goodbye_is_bound_again() -> None:
    """R-2.6, R-2.7"""
    peer = Peer(free_port())
    server = smpp34.Server("127.0.0.1", peer.port, system_id="rust")
    await server.start()
    guests: list[Any] = []

    async def serve() -> None:
        while True:
            event = await server.next()
            if isinstance(event, smpp34.Esme):
                guests.append(event)
            elif isinstance(event, smpp34.SubmitSmEvent):
                peer.throttled += 1
                if peer.throttled == 1:
                    event.reject(int(smpp34.ESME_RMSGQFUL))  # type: ignore[attr-defined]
                else:
                    event.accept(f"id-{peer.throttled}")

    serving = asyncio.create_task(serve())
    async with bound_to(peer, binds=("transmitter", "receiver")) as house:
        house.channel.send([HELLO])
        await until(lambda: house.answers)
        assert house.channel.room() == 0
        await guests[0].unbind()
        await guests[1].unbind()
        await until(lambda: len(guests) == 4 and house.channel.room())
        house.channel.send([HELLO._replace(attempt=2)])
        await until(lambda: house.taken)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await server.stop()

    assert [answer.failure for answer in house.answers] == [smpp.failure(0x14), None]
    assert [line.lost for line in house.channel.lines()] == [2, 2]


@needs_node
async def test_a_foreign_carrier_that_hangs_up_leaves_a_doubt_and_is_bound_again() -> None:
    """R-2.8"""
    async with npm_smpp(hangUp=1) as peer, bound_to(peer) as house:
        house.channel.send([HELLO])
        await until(lambda: house.answers)
        await until(lambda: len(peer.binds) == 2 and house.channel.room())
        house.channel.send([HELLO._replace(id=8)])
        await until(lambda: house.taken)

    assert [(answer.message, answer.in_doubt) for answer in house.answers] == [(7, True), (8, False)]
    assert [whole[0] for whole in peer.whole] == [HELLO.text]


@needs_node
async def test_a_foreign_carrier_is_spoken_to_over_tls() -> None:
    """R-2.14"""
    async with npm_smpp(pem=str(PEM)) as peer, bound_to(peer, tls=True) as house:
        house.channel.send([MESSAGE])
        await until(lambda: len(house.taken) == 3 and peer.whole)

    assert peer.whole == [(CHINESE, "20655", "12065550142")]


@needs_node
async def test_a_foreign_carrier_takes_data_sm_and_tells_what_became_of_a_text() -> None:
    async with npm_smpp() as peer, bound_to(peer, use_data_sm=True, long_texts="payload") as house:
        house.channel.send([HELLO, MESSAGE._replace(id=8)])
        await until(lambda: len(house.taken) == 2 and len(house.receipts) == 2)
        house.channel.query([Asked(house.taken[0].carrier_id, "20655", "+12065550142")])
        await until(lambda: len(house.receipts) == 3)

    assert {text for text, _, _ in peer.whole} == {HELLO.text, CHINESE}
    assert {(answer.message, answer.part, answer.parts) for answer in house.taken} == {(7, 0, 1), (8, -1, 3)}
    assert peer.asked == [house.taken[0].carrier_id]
    assert house.receipts[2][:3] == ((house.taken[0].carrier_id,), State.DELIVERED, "000")


class OurCarrier(asyncio.Protocol):
    """Our server session as a carrier for a foreign client: it takes every text and sends it back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.session = sessions.Server("carillon", lambda bind: 0 if bind.password == "secret" else 0x0E)

    def data_received(self, data: bytes) -> None:
        for event in self.session.receive(data, 0):
            if isinstance(event, sessions.Arrived):
                self.session.answer([(sequence, 0, "our-id") for sequence, _ in event.messages])
                bodies = [
                    smpp.message_body(
                        smpp.address(message.recipient_ton, message.recipient_npi, message.recipient),
                        smpp.address(message.sender_ton, message.sender_npi, message.sender),
                        message.octets,
                        data_coding=message.data_coding,
                    )
                    for _, message in event.messages
                ]
                self.session.send([(body, body) for body in bodies], 0)
        self.transport.write(self.session.take_out())


async def test_a_foreign_client_binds_to_our_server_session_sends_and_receives() -> None:
    server = await asyncio.get_running_loop().create_server(OurCarrier, "127.0.0.1", 0)
    client = smpp34.Client("127.0.0.1", server.sockets[0].getsockname()[1], "guest", "secret", bind_type="trx")
    try:
        line = await asyncio.wait_for(client.connect(), 5)
        answer = await line.submit_sm("12065550142", "你好".encode("utf-16-be"), source_addr="20655", data_coding=8)
        back = await asyncio.wait_for(line.next(), 5)
        await line.unbind()
    finally:
        await client.stop()
        server.close()

    assert isinstance(back, smpp34.DeliverSmEvent)
    assert (answer.command_status, answer.message_id) == (0, "our-id")
    assert (back.source_addr, back.short_message) == ("12065550142", bytes.fromhex("4f60597d"))
