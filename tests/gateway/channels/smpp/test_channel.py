"""The channel against a carrier on a real socket: our own server session, told by each test how to behave."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.channels.base import Channel, Upward
from gateway.channels.smpp import AddressType, AddressTypes, SmppAddress, SmppChannel, SmppSettings, wire
from gateway.codecs import smpp
from gateway.codecs import smpp_session as sessions
from gateway.errors import Retry
from gateway.messages import Answer, Asked, Inbound, Joint, Outbound, Receipt, State

NOW_MS = 1_780_000_000_000
PEERS = Path(__file__).parents[3] / "peers"
HELLO = Outbound(7, 1, "20655", "+12065550142", "Hello")
CHINESE = "灯笼咖啡" * 40  # 160 characters: 67 + 67 + 26


class Guest(asyncio.Protocol):
    """One line at the carrier."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.session = sessions.Server("SMSC", carrier.admit)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.carrier.guests.append(self)

    def data_received(self, data: bytes) -> None:
        if self.carrier.is_deaf:
            return
        for event in self.session.receive(data, 0):
            if isinstance(event, sessions.Arrived):
                self.carrier.taken += [message for _, message in event.messages]
                self.session.answer(
                    [(sequence, *self.carrier.answer(message)) for sequence, message in event.messages]
                    if self.carrier.is_answering
                    else []
                )
            elif isinstance(event, sessions.Requested):
                self.carrier.questions.append(event.pdu)
                state = self.carrier.states.get(str(event.pdu.fields["message_id"]))
                if state is None:
                    self.session.reply(event.pdu, 0x67)
                else:
                    self.session.reply(event.pdu, 0, message_id="any", message_state=state, error_code=1)
            elif isinstance(event, sessions.Answered):
                self.carrier.thanks += [(token, status) for token, status, _ in event.answers]
            elif isinstance(event, sessions.Closed):
                self.carrier.goodbyes.append(event.why)
        self.write(self.session.take_out())

    def write(self, octets: bytes) -> None:
        if octets:
            self.transport.write(octets)

    def deliver(self, token: object, body: bytes) -> None:
        self.session.send([(token, body)], 0)
        self.write(self.session.take_out())


@dataclass
class Carrier:
    """A carrier that takes everything, unless a test says otherwise."""

    is_answering: bool = True
    is_deaf: bool = False
    is_dropping: bool = False
    bind_status: int = 0
    status: int = 0
    taken: list[smpp.ShortMessage] = field(default_factory=list)
    thanks: list[tuple[object, int]] = field(default_factory=list)
    guests: list[Guest] = field(default_factory=list)
    binds: list[sessions.Bind] = field(default_factory=list)
    goodbyes: list[str] = field(default_factory=list)
    questions: list[smpp.Pdu] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)  # message_state by id; of others nothing is known
    port: int = 0

    def admit(self, bind: sessions.Bind) -> int:
        self.binds.append(bind)
        if self.is_dropping:
            self.guests[-1].transport.abort()
        return self.bind_status

    def answer(self, message: smpp.ShortMessage) -> tuple[int, str]:
        return self.status, f"id-{len(self.taken)}"

    @contextlib.asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Carrier]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Guest(self), "127.0.0.1", self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for guest in self.guests:
                guest.transport.abort()
            await asyncio.sleep(0)


@dataclass
class House:
    """What a channel tells upwards, and the means to wait for it."""

    answers: list[Answer] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    texts: list[Inbound] = field(default_factory=list)
    ready: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def upward(self) -> Upward:
        return Upward(
            answered=lambda _, answers: self.answers.extend(answers), arrived=self._arrived, ready=self._became_ready
        )

    def _arrived(self, _: str, receipts: list[Receipt], texts: list[Inbound]) -> None:
        self.receipts += receipts
        self.texts += texts

    def _became_ready(self, _: str) -> None:
        self.ready += 1


async def until(is_so: Callable[[], object]) -> None:
    """Wait for what must come within 5 seconds."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens at the other end of a socket
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(channel: SmppChannel, *, bound: bool = True) -> AsyncIterator[SmppChannel]:
    task = asyncio.create_task(channel.run())
    try:
        if bound:
            await until(lambda: all(line.bound for line in channel.lines()))
        yield channel
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def channel_to(carrier: Carrier, house: House, **changes: object) -> SmppChannel:
    settings = SmppSettings(
        SmppAddress("127.0.0.1", carrier.port, tls=False), "lantern", "secret", window=10, longest_pause_s=0.05
    )
    chance = house.chance
    return SmppChannel("simulator", replace(settings, **changes), house.upward(), now_ms=lambda: NOW_MS, chance=chance)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def bound(**changes: object) -> AsyncIterator[tuple[SmppChannel, Carrier, House]]:
    """A channel that is bound to a willing carrier."""
    house = House()
    async with Carrier().open() as carrier, running(channel_to(carrier, house, **changes)) as channel:
        yield channel, carrier, house


def from_phone(octets: bytes, **more: object) -> bytes:
    return smpp.message_body(smpp.address(1, 1, "12065550142"), smpp.address(3, 0, "20655"), octets, **more)  # type: ignore[arg-type]


RECEIPT = b"id:id-1 sub:001 dlvrd:001 submit date:2605281200 done date:2605281200 stat:DELIVRD err:000 text:Hello"


# --- out


async def test_a_text_is_written_answered_receipted_and_thanked() -> None:
    async with bound() as (channel, carrier, house):
        contract: Channel = channel
        assert contract.send([HELLO]) == []
        await until(lambda: house.answers)
        carrier.guests[0].deliver("receipt", from_phone(RECEIPT, esm_class=4))
        await until(lambda: house.receipts)
        await asyncio.sleep(0.02)
        assert carrier.thanks == []
        channel.thank([house.receipts[0].handle])
        await until(lambda: carrier.thanks)

    assert house.answers == [Answer(7, 1, 0, 1, "id-1")]
    assert house.receipts[0][:5] == (("id-1",), State.DELIVERED, "000", "20655", "+12065550142")
    assert carrier.thanks == [("receipt", 0)]


async def test_a_text_in_parts_leaves_together_with_its_numbers() -> None:
    async with bound() as (channel, carrier, house):
        assert channel.send([replace_text(CHINESE), HELLO]) == []
        await until(lambda: len(house.answers) == 4)

    headers = [message.octets[:6] for message in carrier.taken[:3]]
    assert [header[:3] + header[4:] for header in headers] == [b"\5\0\3\3\1", b"\5\0\3\3\2", b"\5\0\3\3\3"]
    assert len({header[3] for header in headers}) == 1
    assert [message.esm_class for message in carrier.taken] == [0x40, 0x40, 0x40, 0]
    assert b"".join(message.octets[6:] for message in carrier.taken[:3]).decode("utf-16-be") == CHINESE
    assert [answer[:4] for answer in house.answers] == [(7, 1, 0, 3), (7, 1, 1, 3), (7, 1, 2, 3), (7, 1, 0, 1)]


async def test_only_missing_parts_are_sent_again_and_the_phone_can_join_them_with_the_others() -> None:
    async with bound() as (channel, carrier, house):
        channel.send([replace_text(CHINESE)])
        channel.send([replace_text(CHINESE)._replace(attempt=2, missing=0b100)])
        await until(lambda: len(house.answers) == 4)

    assert carrier.taken[3] == carrier.taken[2]
    assert house.answers[3][:4] == (7, 2, 2, 3)


def replace_text(text: str) -> Outbound:
    return HELLO._replace(text=text)


@pytest.mark.parametrize(
    ("who", "on_the_wire"),
    [("+12065550142", (1, 1, "12065550142")), ("20655", (3, 0, "20655")), ("12065550142", (0, 1, "12065550142"))],
)
async def test_the_type_of_a_number_is_told_by_its_shape(who: str, on_the_wire: tuple[int, int, str]) -> None:
    async with bound() as (channel, carrier, _):
        channel.send([HELLO._replace(recipient=who)])
        await until(lambda: carrier.taken)

    assert carrier.taken[0][3:6] == on_the_wire


async def test_a_name_is_a_sender_and_the_configuration_may_type_short_codes() -> None:
    async with bound(types=AddressTypes(short_code=AddressType(0, 0))) as (channel, carrier, _):
        channel.send([HELLO._replace(sender="Lantern"), HELLO])
        await until(lambda: len(carrier.taken) == 2)

    assert [message[:3] for message in carrier.taken] == [(5, 0, "Lantern"), (0, 0, "20655")]


async def test_a_receipt_is_asked_for_and_the_carrier_is_told_how_long_the_text_is_worth_sending() -> None:
    async with bound() as (channel, carrier, _):
        channel.send([HELLO._replace(valid_until=NOW_MS + 3_600_000), HELLO])
        await until(lambda: len(carrier.taken) == 2)

    assert [message.validity for message in carrier.taken] == ["000000010000000R", ""]
    assert {message.registered_delivery for message in carrier.taken} == {1}


async def test_no_more_than_the_window_is_on_the_way_and_the_rest_is_given_back() -> None:
    """R-2.5"""
    async with bound(window=3) as (channel, carrier, _house):
        carrier.is_answering = False
        batch = [HELLO._replace(id=number) for number in range(5)]

        assert channel.send(batch) == batch[3:]
        assert (channel.room(), channel.lines()[0].in_flight) == (0, 3)
        assert channel.send(batch[3:]) == batch[3:]


async def test_a_text_whose_parts_do_not_all_fit_is_given_back_whole() -> None:
    async with bound(window=4) as (channel, carrier, _):
        carrier.is_answering = False
        long = replace_text(CHINESE)

        assert channel.send([HELLO, HELLO, long, HELLO]) == [long, HELLO]
        assert channel.room() == 2


async def test_answers_make_room_and_say_so() -> None:
    async with bound(window=1) as (channel, _, house):
        before = house.ready
        channel.send([HELLO])
        await until(lambda: house.ready > before)

        assert channel.room() == 1


@pytest.mark.parametrize(
    "message",
    [
        replace_text(CHINESE),
        replace_text("x" * 40_000),
        HELLO._replace(recipient="电话"),
        HELLO._replace(sender="a\0b"),
    ],
    ids=["greater than the window", "of too many parts", "to no number", "from no name"],
)
async def test_what_cannot_be_written_is_answered_with_a_failure_and_the_rest_goes_on(message: Outbound) -> None:
    async with bound(window=2) as (channel, carrier, house):
        assert channel.send([message, HELLO._replace(id=8)]) == []
        await until(lambda: len(house.answers) == 2)

    refused = next(answer for answer in house.answers if answer.message == 7)
    assert refused.failure is not None
    assert refused.failure.retry is Retry.NEVER
    assert len(carrier.taken) == 1


async def test_a_refusal_has_the_carriers_code_plain_words_and_when_to_try_again() -> None:
    async with bound() as (channel, carrier, house):
        carrier.status = 0x0B
        channel.send([HELLO])
        await until(lambda: house.answers)

    assert house.answers == [Answer(7, 1, 0, 1, failure=smpp.failure(0x0B))]


async def test_a_carrier_that_asks_us_to_slow_down_gets_nothing_new_for_a_second() -> None:
    """R-2.6"""
    async with bound() as (channel, carrier, house):
        loop = asyncio.get_running_loop()
        carrier.status = smpp.THROTTLED
        channel.send([HELLO, HELLO])
        await until(lambda: len(house.answers) == 2)
        began, before = loop.time(), house.ready

        assert channel.room() == 0
        assert channel.send([HELLO]) == [HELLO]
        await until(lambda: house.ready > before)

        assert loop.time() - began > 0.9
        assert channel.room() == 1
        assert channel.lines()[0].throttled == 1
        assert house.answers[0].failure == smpp.failure(smpp.THROTTLED)


# --- the line


async def test_a_lost_line_leaves_what_was_on_the_way_in_doubt_and_is_bound_again() -> None:
    """R-2.8"""
    async with bound() as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([replace_text(CHINESE)])
        await until(lambda: len(carrier.taken) == 3)
        carrier.guests[0].transport.abort()
        await until(lambda: len(carrier.binds) == 2 and channel.room() == 10)

    assert house.answers == [Answer(7, 1, part, 3, in_doubt=True) for part in range(3)]
    assert len(carrier.taken) == 3
    assert channel.lines()[0].lost == 1


async def test_an_answer_that_does_not_come_leaves_a_doubt_and_the_line_goes_on() -> None:
    async with bound(answer_s=0.1) as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO])
        await until(lambda: house.answers)
        await asyncio.sleep(0.1)

    assert house.answers == [Answer(7, 1, 0, 1, in_doubt=True)]
    assert len(carrier.binds) == 1


async def test_a_carrier_that_does_not_say_whether_it_is_there_is_left_and_bound_again() -> None:
    """R-2.4"""
    async with bound(enquire_s=0.1, answer_s=0.1) as (channel, carrier, _house):
        await asyncio.sleep(0.3)
        assert len(carrier.binds) == 1
        carrier.is_deaf = True
        await until(lambda: not channel.lines()[0].bound)
        carrier.is_deaf = False
        await until(lambda: channel.lines()[0].bound)

    assert channel.lines()[0].lost == 1


async def test_a_wrong_password_is_told_and_not_tried_again_and_again() -> None:
    """R-2.7"""
    house = House()
    async with Carrier(bind_status=0x0E).open() as carrier, running(channel_to(carrier, house), bound=False) as channel:
        await until(lambda: channel.lines()[0].trouble)
        await asyncio.sleep(0.3)

        assert channel.lines()[0].trouble == smpp.failure(0x0E)
        assert channel.room() == 0
    assert len(carrier.binds) == 1


class ShortestPauses(random.Random):
    """Draws pauses that a test can wait for, and notes how long they might have been."""

    def __init__(self) -> None:
        super().__init__()
        self.longest: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.longest.append(b)
        return 0.001


async def test_a_carrier_that_drops_every_line_is_tried_after_ever_longer_pauses() -> None:
    """R-2.7"""
    chance = ShortestPauses()
    house = House(chance=chance)
    async with (
        Carrier(is_dropping=True).open() as carrier,
        running(channel_to(carrier, house, longest_pause_s=60), bound=False),
    ):
        await until(lambda: len(chance.longest) >= 8)

    assert chance.longest[:8] == [2, 4, 8, 16, 32, 60, 60, 60]


async def test_a_carrier_that_is_not_there_yet_is_found_when_it_comes() -> None:
    house = House()
    async with Carrier().open() as gone:
        pass
    async with running(channel_to(gone, house), bound=False) as channel:
        await until(lambda: channel.lines()[0].trouble)
        assert channel.send([HELLO]) == [HELLO]
        async with gone.open():
            await until(channel.room)


async def test_a_carrier_that_forgot_the_bind_is_bound_again_and_leaves_no_doubt() -> None:
    async with bound() as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO, HELLO._replace(id=8)])
        await until(lambda: len(carrier.taken) == 2)
        guest = carrier.guests[0]
        guest.session.answer([(2, smpp.NOT_BOUND, "")])
        guest.write(guest.session.take_out())
        await until(lambda: house.answers)
        assert (channel.room(), len(carrier.binds)) == (0, 1)
        guest.session.answer([(3, 0, "id-8")])
        guest.write(guest.session.take_out())
        await until(lambda: len(carrier.binds) == 2)

    assert house.answers == [Answer(7, 1, 0, 1, failure=smpp.failure(smpp.NOT_BOUND)), Answer(8, 1, 0, 1, "id-8")]


async def test_a_carrier_that_reads_too_slowly_gets_nothing_new_until_it_has_caught_up() -> None:
    async with bound(window=100_000) as (channel, carrier, house):
        carrier.guests[0].transport.pause_reading()
        text = replace_text("x" * 160)
        while channel.room() and channel.lines()[0].in_flight < 90_000:
            channel.send([text] * 1000)
        assert (channel.room(), channel.send([text])) == (0, [text])
        before = house.ready

        carrier.guests[0].transport.resume_reading()
        await until(channel.room)

        assert house.ready > before
        assert channel.lines()[0].in_flight < 90_000


async def test_a_host_that_is_no_name_is_told_and_ends_nothing() -> None:
    house = House()
    address = SmppAddress("x" * 70, 2775, tls=False)
    async with running(channel_to(Carrier(), house, address=address), bound=False) as channel:
        await until(lambda: channel.lines()[0].trouble)


async def test_a_line_that_comes_up_while_we_leave_is_not_bound() -> None:
    house = House()
    async with Carrier().open() as carrier:
        channel = channel_to(carrier, house)
        task = asyncio.create_task(channel.run())
        for _ in range(3):
            await asyncio.sleep(0)  # connecting now
        await channel.drain(1)
        await asyncio.wait_for(task, 5)

    assert (carrier.binds, channel.room()) == ([], 0)


async def test_a_goodbye_of_the_carrier_is_answered_and_the_line_comes_back() -> None:
    """R-2.7"""
    async with bound() as (channel, carrier, _):
        guest = carrier.guests[0]
        guest.session.unbind(0)
        guest.write(guest.session.take_out())
        await until(lambda: len(carrier.binds) == 2 and channel.room())

    assert carrier.goodbyes[0] == "we said goodbye"


async def test_noise_ends_the_line_and_not_the_channel() -> None:
    async with bound() as (channel, carrier, _):
        carrier.guests[0].write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await until(lambda: len(carrier.binds) == 2 and channel.room())


async def test_a_carrier_may_want_one_line_for_each_direction() -> None:
    async with bound(binds=("transmitter", "receiver")) as (channel, carrier, house):
        assert channel.room() == 10
        channel.send([HELLO])
        receiver = next(guest for guest in carrier.guests if guest.session.mode == "receiver")
        receiver.deliver("mo", from_phone(b"STOP"))
        await until(lambda: house.answers and house.texts)

    assert {bind.mode for bind in carrier.binds} == {"transmitter", "receiver"}


async def test_two_lines_share_the_work_and_a_text_in_parts_stays_on_one() -> None:
    async with bound(binds=("transceiver", "transceiver"), window=4) as (channel, carrier, _):
        carrier.is_answering = False
        assert channel.room() == 8
        assert channel.send([replace_text(CHINESE), replace_text(CHINESE)._replace(id=8), HELLO, HELLO, HELLO]) == [
            HELLO
        ]
        await until(lambda: len(carrier.taken) == 8)

        assert [line.in_flight for line in channel.lines()] == [4, 4]


async def test_drain_waits_for_answers_and_says_goodbye() -> None:
    """R-2.7"""
    house = House()
    async with Carrier().open() as carrier:
        channel = channel_to(carrier, house)
        task = asyncio.create_task(channel.run())
        await until(channel.room)
        channel.send([HELLO])

        await channel.drain(5)
        await asyncio.wait_for(task, 5)

    assert house.answers == [Answer(7, 1, 0, 1, "id-1")]
    assert carrier.goodbyes[0] == "the other side said goodbye"
    assert (channel.room(), channel.send([HELLO])) == (0, [HELLO])


async def test_drain_does_not_wait_for_ever_and_tells_its_doubts() -> None:
    async with bound() as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO])
        await channel.drain(0.05)

    assert house.answers == [Answer(7, 1, 0, 1, in_doubt=True)]


async def test_a_line_that_another_process_gets_is_ended_when_all_that_it_brought_has_been_thanked_for() -> None:
    async with bound(binds=("transceiver", "transceiver")) as (channel, carrier, house):
        for guest in carrier.guests:
            guest.deliver("receipt", from_phone(RECEIPT, esm_class=4))
        await until(lambda: len(house.receipts) == 2)

        channel.share({0})
        parting = asyncio.create_task(channel.parted())
        await asyncio.sleep(0.05)
        assert (carrier.goodbyes, parting.done(), channel.room()) == ([], False, 10)
        channel.thank([each.handle for each in house.receipts])
        await parting

        assert carrier.thanks == [("receipt", 0)] * 2
        assert carrier.goodbyes == ["the other side said goodbye"]
        assert [line.bound for line in channel.lines()] == [True]


async def test_a_line_is_not_kept_by_what_nobody_thanks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PARTS_S", 0.05)
    async with bound() as (channel, carrier, house):
        carrier.is_answering = False
        carrier.guests[0].deliver("text", from_phone(b"STOP"))
        channel.send([HELLO])
        await until(lambda: house.texts and carrier.taken)

        channel.share(())
        await channel.parted()

        assert carrier.goodbyes == []  # it owes us an answer, and keeps our goodbye waiting
        assert house.answers == [Answer(7, 1, 0, 1, in_doubt=True)]


async def test_drain_is_quick_while_no_carrier_is_there() -> None:
    house = House()
    async with Carrier().open() as gone:
        pass
    channel = channel_to(gone, house, longest_pause_s=60)
    async with running(channel, bound=False):
        await until(lambda: channel.lines()[0].trouble)
        await asyncio.wait_for(channel.drain(5), 1)


async def test_cancelling_the_channel_tells_its_doubts() -> None:
    async with bound() as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO])

    assert house.answers == [Answer(7, 1, 0, 1, in_doubt=True)]


async def test_an_account_that_cannot_be_written_is_known_at_once() -> None:
    with pytest.raises(ValueError, match="latin-1"):
        channel_to(Carrier(), House(), account="灯笼")


def test_the_password_is_in_no_text_about_the_settings() -> None:
    """R-2.14"""
    assert "secret" not in repr(SmppSettings(SmppAddress("127.0.0.1", 1, tls=False), "lantern", "secret"))


def our_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEERS / "localhost.pem")
    return context


@pytest.mark.parametrize(
    ("host", "authorities", "words"),
    [
        ("localhost", (PEERS / "localhost.pem").read_text(), ""),
        ("127.0.0.1", (PEERS / "localhost.pem").read_text(), "IP address mismatch"),
        ("localhost", None, "self-signed"),
    ],
    ids=["known", "another name", "another authority"],
)
async def test_the_carriers_certificate_and_name_are_checked(host: str, authorities: str | None, words: str) -> None:
    """R-2.14"""
    house = House()
    async with Carrier().open(our_tls()) as carrier:
        address = SmppAddress(host, carrier.port, tls=True, authorities=authorities)
        async with running(channel_to(carrier, house, address=address), bound=False) as channel:
            await until(lambda: channel.lines()[0].bound or channel.lines()[0].trouble)
            state = channel.lines()[0]

    assert state.bound is not bool(words)
    assert words in (state.trouble.words if state.trouble else "")


# --- in


async def arrives(body: bytes, **changes: object) -> Inbound:
    async with bound(**changes) as (_, carrier, house):
        carrier.guests[0].deliver("mo", body)
        await until(lambda: house.texts)
    return house.texts[0]


async def test_a_text_from_a_phone_is_read() -> None:
    inbound = await arrives(from_phone("投票3".encode("utf-16-be"), data_coding=8))

    assert (inbound.sender, inbound.recipient, inbound.text) == ("+12065550142", "20655", "投票3")
    assert (inbound.carrier_id, inbound.joint) == ("", None)


async def test_a_piece_of_a_long_text_says_which() -> None:
    """R-2.15"""
    inbound = await arrives(from_phone(b"\5\0\3\x2a\2\1VOTE", esm_class=0x40))

    assert (inbound.text, inbound.joint) == ("VOTE", Joint(42, 2, 1))


async def test_a_piece_that_the_carrier_numbered_says_which() -> None:
    numbered = {smpp.SAR_REFERENCE: b"\1\2", smpp.SAR_TOTAL: b"\3", smpp.SAR_NUMBER: b"\2"}

    inbound = await arrives(from_phone(b"VOTE", more=smpp.options(numbered)))

    assert (inbound.text, inbound.joint) == ("VOTE", Joint(0x102, 3, 2))


async def test_a_text_that_comes_as_payload_is_read() -> None:
    inbound = await arrives(from_phone(b"", more=smpp.options({smpp.MESSAGE_PAYLOAD: b"VOTE 3"})))

    assert (inbound.text, inbound.joint) == ("VOTE 3", None)


@pytest.mark.parametrize(
    ("ton", "digits", "bare_is_international", "sender"),
    [
        (1, "12065550142", True, "+12065550142"),
        (1, "12065550142", False, "+12065550142"),
        (0, "12065550142", True, "+12065550142"),
        (2, "2065550142", False, "2065550142"),
        (1, "40404", True, "40404"),
        (5, "Lantern", True, "Lantern"),
        (5, "12345678", True, "12345678"),
    ],
)
async def test_a_sender_is_written_as_people_write_it(
    ton: int, digits: str, bare_is_international: bool, sender: str
) -> None:
    body = smpp.message_body(smpp.address(ton, 1, digits), smpp.address(3, 0, "20655"), b"hi")

    assert (await arrives(body, bare_is_international=bare_is_international)).sender == sender


async def test_a_repeat_has_the_same_fingerprint_and_another_text_or_piece_has_another() -> None:
    """R-2.11"""
    bodies = [
        from_phone(b"VOTE 3"),
        from_phone(b"VOTE 3"),
        from_phone(b"VOTE 4"),
        from_phone(b"\5\0\3\x2a\2\1VOTE", esm_class=0x40),
        from_phone(b"\5\0\3\x2a\2\2VOTE", esm_class=0x40),
        from_phone(
            b"VOTE",
            more=smpp.options({smpp.SAR_REFERENCE: b"\0\1", smpp.SAR_TOTAL: b"\2", smpp.SAR_NUMBER: b"\2"}),
        ),
    ]
    async with bound() as (_, carrier, house):
        for body in bodies:
            carrier.guests[0].deliver("mo", body)
        await until(lambda: len(house.texts) == 6)

    first, repeat, *others = [text.fingerprint for text in house.texts]
    assert first == repeat
    assert len({first, *others}) == 5


async def test_what_could_not_be_kept_is_brought_again_later() -> None:
    """R-2.10"""
    async with bound() as (channel, carrier, house):
        carrier.guests[0].deliver("a", from_phone(b"one"))
        carrier.guests[0].deliver("b", from_phone(b"two"))
        await until(lambda: len(house.texts) == 2)
        channel.refuse([house.texts[0].handle])
        channel.thank([house.texts[1].handle])
        await until(lambda: len(carrier.thanks) == 2)

    assert carrier.thanks == [("a", 0x64), ("b", 0)]


async def test_thanks_for_a_line_that_is_gone_are_forgotten_and_a_later_line_has_a_greater_number() -> None:
    async with bound() as (channel, carrier, house):
        carrier.guests[0].deliver("a", from_phone(b"one"))
        await until(lambda: house.texts)
        carrier.guests[0].transport.abort()
        await until(lambda: len(carrier.binds) == 2 and channel.room())
        channel.thank([house.texts[0].handle])
        carrier.guests[1].deliver("b", from_phone(b"two"))
        await until(lambda: len(house.texts) == 2)
        channel.thank([house.texts[1].handle])
        await until(lambda: carrier.thanks)

    assert carrier.thanks == [("b", 0)]
    assert NOW_MS <= house.texts[0].line < house.texts[1].line


async def test_a_receipt_that_cannot_be_read_is_told_without_an_end() -> None:
    """R-2.12"""
    async with bound() as (_, carrier, house):
        carrier.guests[0].deliver("receipt", from_phone(b"???", esm_class=4))
        await until(lambda: house.receipts)

    assert house.receipts[0][:3] == ((), State.SENT, "")


async def test_whatever_a_carrier_brings_is_told_and_may_be_thanked() -> None:
    dice = random.Random(7)
    bodies = [
        from_phone(
            dice.randbytes(dice.randrange(40)),
            esm_class=dice.randrange(256),
            data_coding=dice.choice([0, 1, 3, 4, 8, dice.randrange(256)]),
            more=smpp.options(
                {dice.choice([0x001E, 0x020C, 0x0424, 0x0427, 0x1400]): dice.randbytes(dice.randrange(4))}
            ),
        )
        for _ in range(1000)
    ]
    async with bound() as (channel, carrier, house):
        carrier.guests[0].session.send(enumerate(bodies), 0)
        carrier.guests[0].write(carrier.guests[0].session.take_out())
        await until(lambda: len(house.receipts) + len(house.texts) == 1000)
        channel.thank([told.handle for told in house.receipts])
        channel.thank([told.handle for told in house.texts])
        await until(lambda: len(carrier.thanks) == 1000)

    assert {token for token, _ in carrier.thanks} == set(range(1000))


# --- slower, later, and asked


async def test_a_complaint_on_one_line_slows_that_line_and_no_other() -> None:
    """R-2.6"""
    async with bound(binds=("transceiver", "transceiver")) as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO, HELLO._replace(id=8)])
        await until(lambda: len(carrier.taken) == 2)
        guest = carrier.guests[0]
        guest.session.answer([(2, smpp.THROTTLED, "")])
        guest.write(guest.session.take_out())
        await until(lambda: house.answers)

        assert channel.room() == 9
        assert [(line.throttled, line.rate) for line in channel.lines()] == [(1, 1.0), (0, None)]
        assert channel.send([HELLO._replace(id=9)]) == []
        await until(lambda: len(carrier.taken) == 3)
        assert carrier.guests[1].session.mode
        assert [line.in_flight for line in channel.lines()] == [0, 2]


@pytest.mark.parametrize(("status", "options"), [(0x14, {}), (0, {smpp.CONGESTION_STATE: b"\x63"})])
async def test_a_full_queue_and_a_carrier_that_says_it_is_congested_slow_the_line_too(
    status: int, options: dict[int, bytes]
) -> None:
    """R-2.6"""
    async with bound() as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO])
        await until(lambda: carrier.taken)
        body = b"id-1\0" + smpp.options(options) if not status else b""
        header = smpp.HEADER.pack(16 + len(body), smpp.SUBMIT_SM | smpp.ANSWER, status, 2)
        carrier.guests[0].write(header + body)
        await until(lambda: house.answers)

        assert channel.room() == 0
        assert channel.lines()[0].throttled == 1


async def test_after_the_rest_a_long_text_still_leaves_whole() -> None:
    async with bound(window=4) as (channel, carrier, house):
        carrier.status = smpp.THROTTLED
        channel.send([HELLO])
        await until(lambda: house.answers)
        carrier.status = 0
        await until(channel.room)

        assert channel.room() < 3
        assert channel.send([replace_text(CHINESE)]) == []
        await until(lambda: len(carrier.taken) == 4)


async def test_an_answer_that_comes_after_all_is_told_with_its_id() -> None:
    """R-2.4, R-2.8"""
    async with bound(answer_s=0.2) as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO])
        await until(lambda: house.answers)
        guest = carrier.guests[0]
        guest.session.answer([(2, 0, "after-all")])
        guest.write(guest.session.take_out())
        await until(lambda: len(house.answers) == 2)

    assert house.answers == [Answer(7, 1, 0, 1, in_doubt=True), Answer(7, 1, 0, 1, "after-all")]
    assert len(carrier.binds) == 1


async def test_a_wrong_password_is_tried_once_however_many_lines_there_are() -> None:
    """R-2.7"""
    house = House()
    async with (
        Carrier(bind_status=0x0E).open() as carrier,
        running(channel_to(carrier, house, binds=("transceiver",) * 4), bound=False) as channel,
    ):
        await until(lambda: all(line.trouble for line in channel.lines()))
        await asyncio.sleep(0.3)

        assert {line.trouble for line in channel.lines()} == {smpp.failure(0x0E)}
    assert len(carrier.binds) == 1


async def test_what_is_no_longer_worth_sending_is_not_sent() -> None:
    async with bound() as (channel, carrier, house):
        assert channel.send([HELLO._replace(valid_until=NOW_MS), HELLO._replace(id=8, valid_until=NOW_MS + 1)]) == []
        await until(lambda: len(house.answers) == 2)

    failures = {answer.message: answer.failure for answer in house.answers if answer.failure}
    assert [(id_, failure.code, failure.retry) for id_, failure in failures.items()] == [(7, "expired", Retry.NEVER)]
    assert [message.validity for message in carrier.taken] == ["000000000001000R"]


async def test_a_receipt_may_come_by_another_line_than_its_text_went() -> None:
    async with bound(binds=("transmitter", "receiver")) as (channel, carrier, house):
        channel.send([HELLO])
        await until(lambda: house.answers)
        receiver = next(guest for guest in carrier.guests if guest.session.mode == "receiver")
        receiver.deliver("receipt", from_phone(RECEIPT, esm_class=4))
        await until(lambda: house.receipts)
        channel.thank([house.receipts[0].handle])
        await until(lambda: carrier.thanks)

    assert house.receipts[0].carrier_ids == (house.answers[0].carrier_id,)


async def test_a_receipt_before_the_answer_is_brought_at_once() -> None:
    """R-2.9: parking it until the answer comes is the journal's."""
    async with bound() as (channel, carrier, house):
        carrier.is_answering = False
        channel.send([HELLO])
        await until(lambda: carrier.taken)
        guest = carrier.guests[0]
        guest.deliver("receipt", from_phone(RECEIPT, esm_class=4))
        await until(lambda: house.receipts)
        guest.session.answer([(2, 0, "id-1")])
        guest.write(guest.session.take_out())
        await until(lambda: house.answers)

    assert house.receipts[0].carrier_ids == (house.answers[0].carrier_id,)


async def test_the_carrier_is_asked_what_became_of_a_text_and_only_an_end_is_told() -> None:
    async with bound() as (channel, carrier, house):
        carrier.states |= {"gone": 5, "there": 2, "on its way": 1, "taken": 6, "nobody knows": 7}
        asked = [Asked(id_, "20655", "+12065550142") for id_ in (*carrier.states, "never heard of", "gone", "电话", "")]
        channel.query(asked)
        await until(lambda: len(carrier.questions) == 6)
        await until(lambda: len(house.receipts) == 2)
        await asyncio.sleep(0.05)

    assert house.receipts == [
        Receipt(("gone",), State.FAILED, "UNDELIV 001", "20655", "+12065550142"),
        Receipt(("there",), State.DELIVERED, "001", "20655", "+12065550142"),
    ]
    sender = {name: carrier.questions[0].fields[name] for name in ("source_addr_ton", "source_addr_npi", "source_addr")}
    assert sender == {"source_addr_ton": 3, "source_addr_npi": 0, "source_addr": "20655"}


async def test_nobody_is_asked_while_the_window_is_needed_for_texts() -> None:
    async with bound(window=4) as (channel, carrier, _):
        carrier.is_answering = False
        channel.send([HELLO] * 3)
        channel.query([Asked("x", "20655", "+12065550142")])
        await asyncio.sleep(1.2)

        assert carrier.questions == []


async def test_texts_go_and_come_by_data_sm_where_the_carrier_wants_that() -> None:
    async with bound(use_data_sm=True) as (channel, carrier, house):
        channel.send([HELLO._replace(valid_until=NOW_MS + 60_000), replace_text(CHINESE)._replace(id=8)])
        await until(lambda: len(house.answers) == 4)
        fields: dict[str, smpp.Value] = {"source_addr": "12065550142", "destination_addr": "20655", "esm_class": 4}
        guest = carrier.guests[0]
        guest.write(smpp.encode(smpp.Pdu(smpp.DATA_SM, 0, 77, fields, {smpp.MESSAGE_PAYLOAD: RECEIPT})))
        await until(lambda: house.receipts)
        channel.thank([house.receipts[0].handle])
        await asyncio.sleep(0.05)

    assert all(answer.carrier_id for answer in house.answers)
    assert carrier.taken[0].options[0x0017] == (60).to_bytes(4, "big")
    assert carrier.taken[0].octets == b"Hello"
    assert [message.esm_class for message in carrier.taken] == [0, 0x40, 0x40, 0x40]
    assert house.receipts[0].state is State.DELIVERED


@pytest.mark.parametrize(
    ("message_ids", "in_receipt", "ids"),
    [
        ("same", "0059113978", ("0059113978",)),
        ("decimal in receipts", "0059113978", ("38601fa", "38601FA", "0059113978")),
        ("hex in receipts", "38601fa", ("59113978", "0059113978", "38601fa")),
        ("hex in receipts", "no-number", ("no-number",)),
    ],
)
async def test_ids_of_receipts_are_written_as_answers_write_them(
    message_ids: str, in_receipt: str, ids: tuple[str, ...]
) -> None:
    async with bound(message_ids=message_ids) as (_, carrier, house):
        octets = RECEIPT.replace(b"id-1", in_receipt.encode())
        carrier.guests[0].deliver("usual", from_phone(octets, esm_class=4))
        carrier.guests[0].deliver("other", from_phone(octets.replace(b"DELIVRD", b"EXPIRED"), esm_class=4))
        await until(lambda: len(house.receipts) == 2)

    assert [receipt.spellings for receipt in house.receipts] == [ids, ids]


async def test_ids_are_tried_in_every_spelling_where_nothing_is_said() -> None:
    async with bound() as (_, carrier, house):
        carrier.guests[0].deliver("usual", from_phone(RECEIPT.replace(b"id-1", b"0059113978"), esm_class=4))
        await until(lambda: house.receipts)

    assert house.receipts[0].carrier_ids == ("0059113978",)
    assert "38601fa" in house.receipts[0].spellings
