"""The simulated carrier on a real socket: what it takes it keeps, and what it must bring it brings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.channels.simulator import HandsetMessage, Rules, Simulator, lines
from gateway.codecs import smpp
from gateway.errors import CarillonError, PortTaken
from gateway.messages import State

ANN, OURS = "+12065550142", "20655"
AT_MS = 1_800_000_000_000  # 2027-01-15 08:00 UTC
PROMPT = Rules(delay_ms=(0, 20))

Open = Callable[..., Awaitable[Simulator]]
Dial = Callable[..., Awaitable[Any]]  # of conftest.py


@pytest.fixture
async def open_carrier() -> AsyncIterator[Open]:
    """Start a simulator on a free port."""
    carriers: list[Simulator] = []

    async def start(rules: Rules = PROMPT, **options: Any) -> Simulator:
        carrier = Simulator(rules, numbers={OURS: "lantern"}, now_ms=lambda: AT_MS, seed=7, **options)
        await carrier.start("127.0.0.1", 0)
        carriers.append(carrier)
        return carrier

    yield start
    for carrier in carriers:
        await carrier.stop()


async def test_a_text_reaches_its_handset_and_its_receipt_names_it(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    client.submit(ANN, "Two lattes for one @ Pike Place")
    await client.until(lambda: bool(client.receipts()))
    assert carrier.handset(ANN).messages == [
        HandsetMessage(AT_MS, True, OURS, "Two lattes for one @ Pike Place", 1, None)
    ]
    [(_, status, message_id)] = client.answers
    assert status == 0
    assert client.receipts() == [smpp.Reading((message_id,), State.DELIVERED, "000")]


async def test_a_receipt_says_the_same_in_words_and_in_options(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    client.submit("+12065550000", "Hi")
    await client.until(lambda: bool(client.arrived))
    [receipt], [(_, _, message_id)] = client.arrived, client.answers
    assert receipt.octets.decode() == (
        f"id:{message_id} sub:001 dlvrd:000 submit date:2701150800 done date:2701150800 stat:UNDELIV err:001 text:Hi"
    )
    assert receipt.options == {
        smpp.RECEIPTED_MESSAGE_ID: message_id.encode() + b"\0",
        smpp.MESSAGE_STATE: b"\x05",
        smpp.NETWORK_ERROR_CODE: b"\x03\x00\x01",
    }
    assert (receipt.sender, receipt.recipient, receipt.esm_class) == ("12065550000", OURS, 4)
    assert carrier.handset("+12065550000").messages == []


async def test_a_long_chinese_text_shows_whole_and_each_part_has_its_receipt(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    words = "您好，拿铁买一送一" * 20
    client.submit(ANN, words)
    await client.until(lambda: len(client.receipts()) == 3)
    [message] = carrier.handset(ANN).messages
    assert (message.text, message.parts) == (words, 3)
    assert {receipt.ids[0] for receipt in client.receipts()} == {answer[2] for answer in client.answers}


@pytest.mark.parametrize(
    ("registered", "recipient", "count"),
    [(0, ANN, 0), (1, ANN, 1), (2, ANN, 0), (2, "+12065550000", 1), (1, "+12065550002", 0)],
)
async def test_a_receipt_comes_only_when_it_was_asked_for(
    open_carrier: Open, dial: Dial, registered: int, recipient: str, count: int
) -> None:
    carrier = await open_carrier(Rules(delay_ms=(0, 0)))
    client = await dial(carrier.port)
    client.submit(recipient, "Hi", registered=registered)
    client.submit("+12065550144", "the last receipt")
    await client.until(lambda: len(client.receipts()) == count + 1)
    assert carrier.counters.receipts_sent == count + 1


async def test_refused_and_throttled_submits_get_their_status_and_no_id(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(Rules(reject=1.0, throttle=2))
    client = await dial(carrier.port)
    for _ in range(10):
        client.submit(ANN, "Hi")
    await client.until(lambda: len(client.answers) == 10)
    statuses = [answer[1] for answer in client.answers]
    assert statuses[:3] == [0x0B, 0x0B, smpp.THROTTLED]
    assert carrier.counters.rejected + carrier.counters.throttled == carrier.counters.submitted == 10
    assert carrier.handset(ANN).messages == []


async def test_answers_may_come_late(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(Rules(delay_ms=(0, 0), answer_ms=60))
    client = await dial(carrier.port)
    client.submit(ANN, "Hi")
    await client.until(lambda: bool(client.receipts()))
    assert not client.answers  # the receipt has overtaken it, as real ones do
    await client.until(lambda: bool(client.answers))


async def test_the_log_is_written_before_the_answer(open_carrier: Open, dial: Dial, tmp_path: Path) -> None:
    log = tmp_path / "taken.jsonl"
    carrier = await open_carrier(log=log, fsync=True)
    client = await dial(carrier.port)
    client.submit(ANN, "你好")
    client.submit("+12065550001", "refused")
    await client.until(lambda: len(client.answers) == 2)
    [record] = map(orjson.loads, log.read_bytes().splitlines())
    assert record == {
        "at_ms": AT_MS,
        "id": client.answers[0][2],
        "account": "lantern",
        "sender": OURS,
        "recipient": ANN,
        "text": "你好",
        "reference": 0,
        "part": 1,
        "parts": 1,
    }


async def test_the_line_falls_after_so_many_submits_with_the_last_one_taken(
    open_carrier: Open, dial: Dial, tmp_path: Path
) -> None:
    log = tmp_path / "taken.jsonl"
    carrier = await open_carrier(Rules(delay_ms=(0, 0), drop_every=3), log=log)
    client = await dial(carrier.port)
    for number in range(5):
        client.submit(f"+1206555010{number}", "Hi")
    await client.until(lambda: client.closed)
    assert len(log.read_bytes().splitlines()) == 3
    assert ("+12065550102", 0) in client.in_doubt
    again = await dial(carrier.port)
    await again.until(lambda: len(again.receipts()) + len(client.receipts()) >= 3)
    assert carrier.counters.lines_dropped == 1


async def test_receipts_wait_for_the_next_line_of_their_account(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    sender = await dial(carrier.port, mode="transmitter")
    for number in range(10):
        sender.submit(f"+1206555010{number}", "Hi")
    await sender.until(lambda: len(sender.answers) == 10)
    stranger = await dial(carrier.port, account="other", mode="receiver")
    silent = await dial(carrier.port, mode="receiver", acknowledge_with=None)
    await silent.until(lambda: len(silent.receipts()) >= 1)
    silent.transport.abort()
    receiver = await dial(carrier.port, mode="receiver")
    await receiver.until(lambda: len({receipt.ids for receipt in receiver.receipts()}) == 10)
    assert not stranger.arrived
    assert not sender.arrived


async def test_receipts_spread_over_the_lines_of_an_account(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(Rules(delay_ms=(0, 0)))
    first, second = await dial(carrier.port), await dial(carrier.port)
    for number in range(100):
        first.submit(f"+120655501{number:02}", "Hi")
    await first.until(lambda: len(first.answers) == 100)
    await first.until(lambda: len(first.receipts()) + len(second.receipts()) == 100)
    # Of an odd number that falls due together one line has one more, and they fall due in a few lots.
    assert min(len(first.receipts()), len(second.receipts())) >= 40
    assert carrier.counters.receipts_sent == 100


async def test_a_text_from_a_handset_returns_once_it_is_taken(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    await carrier.text(ANN, OURS, "VOTE 3")
    assert client.texts() == ["VOTE 3"]
    assert (client.arrived[0].sender_ton, client.arrived[0].sender, client.arrived[0].recipient) == (1, ANN[1:], OURS)
    assert carrier.handset(ANN).messages == [HandsetMessage(AT_MS, False, OURS, "VOTE 3", 1, None)]


async def test_a_text_waits_for_a_line(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    texting = asyncio.create_task(carrier.text(ANN, OURS, "投票" * 100))
    silent = await dial(carrier.port, acknowledge_with=None)
    await silent.until(lambda: len(silent.texts()) == 3)
    assert not texting.done()
    silent.transport.abort()
    client = await dial(carrier.port)
    await asyncio.wait_for(texting, 5)
    assert "".join(client.texts()) == "投票" * 100


async def test_a_text_that_could_not_be_kept_comes_again(
    open_carrier: Open, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "COME_BACK_S", 0.02)
    carrier = await open_carrier()
    client = await dial(carrier.port, acknowledge_with=smpp.COME_AGAIN)
    texting = carrier.post(ANN, OURS, "STOP")
    await client.until(lambda: len(client.texts()) == 2)
    client.acknowledge_with = smpp.OK
    await asyncio.wait_for(texting, 5)
    assert set(client.texts()) == {"STOP"}


async def test_a_text_without_an_acknowledgement_comes_again(
    open_carrier: Open, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "ANSWER_S", 0.5)
    carrier = await open_carrier()
    client = await dial(carrier.port, acknowledge_with=None)
    carrier.post(ANN, OURS, "STOP")
    await client.until(lambda: len(client.texts()) == 2)
    assert carrier.counters.texts_acknowledged == 0


async def test_a_text_on_a_line_that_says_goodbye_behind_a_submit_comes_again(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    leaving = await dial(carrier.port, acknowledge_with=None)
    texting = carrier.post(ANN, OURS, "STOP")
    await leaving.until(lambda: leaving.texts() == ["STOP"])
    leaving.session.send([("last", smpp.message_body(smpp.address(0, 0, OURS), smpp.address(1, 1, ANN[1:]), b"Hi"))], 0)
    leaving.session.unbind(0)
    leaving.transport.write(leaving.session.take_out())
    await leaving.until(lambda: leaving.closed)
    client = await dial(carrier.port)
    await asyncio.wait_for(texting, 5)
    assert client.texts() == ["STOP"]


async def test_a_line_that_cannot_keep_up_is_brought_nothing_until_it_can(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    [line] = carrier._deliveries.lines
    line.pause_writing()
    texting = carrier.post(ANN, OURS, "Hi")
    assert carrier.counters.texts_sent == 0
    line.resume_writing()
    await asyncio.wait_for(texting, 5)
    assert client.texts() == ["Hi"]


async def test_a_text_to_a_number_that_is_nobodys_is_refused(open_carrier: Open) -> None:
    carrier = await open_carrier()
    with pytest.raises(CarillonError, match=r"99 is not one of our numbers \(20655\)"):
        await carrier.text(ANN, "99", "Hi")
    assert carrier.handset(ANN).messages == []


async def test_lively_people_answer_what_reaches_them(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    carrier.on_message.append(lambda message, number: void(carrier.post(number, message.other, "3")))
    client = await dial(carrier.port)
    client.submit(ANN, "Which drawing goes on our next cup?")
    await client.until(lambda: client.texts() == ["3"])
    assert [message.incoming for message in carrier.handset(ANN).messages] == [True, False]


def void(_: object) -> None:
    """Let go of a future: the carrier holds it."""


async def test_what_was_sent_twice_is_counted(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(watch_duplicates=True)
    client = await dial(carrier.port)
    for text in ("Offer", "Offer", "Another", "a" * 306):
        client.submit(ANN, text)
    await client.until(lambda: len(client.answers) == 5)
    assert carrier.counters.duplicates == 1


@pytest.mark.parametrize(
    ("account", "password", "status"),
    [("lantern", "secret", 0), ("lantern", "wrong", 0x0E), ("nobody", "secret", 0x0F)],
)
async def test_only_the_right_password_opens_the_line(
    open_carrier: Open, dial: Dial, account: str, password: str, status: int
) -> None:
    carrier = await open_carrier(passwords={"lantern": "secret"})
    client = await dial(carrier.port, account, password)
    assert (client.refused, client.bound) == (status, status == 0)


async def test_a_question_about_a_message_is_answered_with_a_failure(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    client.transport.write(smpp.encode(smpp.Pdu(smpp.QUERY_SM, 0, 77, {"message_id": "1"})))
    client.submit(ANN, "Hi")
    await client.until(lambda: bool(client.answers))
    assert not client.closed


async def test_a_taken_port_is_said_in_plain_words(open_carrier: Open) -> None:
    carrier = await open_carrier()
    second = Simulator(PROMPT, numbers={}, now_ms=lambda: AT_MS, seed=1)
    with pytest.raises(PortTaken, match=rf"cannot listen on 127.0.0.1:{carrier.port}: another program does. Stop"):
        await second.start("127.0.0.1", carrier.port)


async def test_a_host_that_is_not_ours_is_no_taken_port() -> None:
    carrier = Simulator(PROMPT, numbers={}, now_ms=lambda: AT_MS, seed=1)
    with pytest.raises(OSError, match="assign requested address"):
        await carrier.start("203.0.113.1", 0)


async def test_stopping_says_goodbye_and_tells_who_still_waits(dial: Dial) -> None:
    carrier = Simulator(PROMPT, numbers={OURS: "lantern"}, now_ms=lambda: AT_MS, seed=1)
    await carrier.start("127.0.0.1", 0)
    client = await dial(carrier.port, acknowledge_with=None)
    texting = carrier.post(ANN, OURS, "Hi")
    await carrier.stop()
    await client.until(lambda: client.closed)
    with pytest.raises(CarillonError, match="stopped before anyone took this text"):
        await texting


async def test_ids_are_not_given_again_after_a_restart(open_carrier: Open, dial: Dial) -> None:
    ids = set()
    for now_ms in (AT_MS, AT_MS + 1):
        carrier = Simulator(PROMPT, numbers={}, now_ms=lambda at=now_ms: at, seed=1)  # type: ignore[misc]
        await carrier.start("127.0.0.1", 0)
        client = await dial(carrier.port)
        for _ in range(50):
            client.submit(ANN, "Hi")
        await client.until(lambda client=client: len(client.answers) == 50)
        ids |= {answer[2] for answer in client.answers}
        await carrier.stop()
    assert len(ids) == 100


# --- asked, cancelled, too late, and otherwise


def bring(client: Any, recipient: str, octets: bytes = b"Hi", **fields: Any) -> None:
    """Submit one part with these fields."""
    to = smpp.address(smpp.INTERNATIONAL, 1, recipient.lstrip("+"))
    body = smpp.message_body(smpp.address(smpp.NETWORK, 0, OURS), to, octets, registered=1, **fields)
    client.session.send([((recipient, 0), body)], 0)
    client.transport.write(client.session.take_out())


async def asked(client: Any, command: int, message_id: str, sender: str = OURS) -> smpp.Pdu:
    """What the carrier answers to a request about a message."""
    heard: list[smpp.Pdu] = []
    session = client.session

    def listen(frame: bytes, now: float, read: object) -> None:
        pdu = smpp.decode(frame)
        if pdu.command == command | smpp.ANSWER:
            heard.append(pdu)

    session._other = listen
    client.transport.write(smpp.encode(smpp.Pdu(command, 0, 900, {"message_id": message_id, "source_addr": sender})))
    await client.until(lambda: bool(heard))
    del session._other
    return heard[0]


async def submitted(client: Any, recipient: str, **fields: Any) -> str:
    """Submit one part; its id."""
    before = len(client.answers)
    bring(client, recipient, **fields)
    await client.until(lambda: len(client.answers) > before)
    return str(client.answers[-1][2])


async def test_a_text_that_would_come_too_late_expires(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(Rules(delay_ms=(5000, 5000)))
    client = await dial(carrier.port)
    bring(client, ANN, validity=smpp.relative_time(1))
    await client.until(lambda: bool(client.receipts()))
    [reading] = client.receipts()
    assert (reading.state, reading.code) == (State.EXPIRED, "EXPIRED 000")
    assert carrier.handset(ANN).messages == []


async def test_a_text_that_comes_in_time_does_not_expire_and_a_time_that_is_none_says_nothing(
    open_carrier: Open, dial: Dial
) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    absolute = smpp.absolute_time(AT_MS + 60_000)
    for validity in (smpp.relative_time(1), absolute, b"tomorrow"):
        bring(client, ANN, validity=validity)
    await client.until(lambda: len(client.receipts()) == 3)
    assert {reading.state for reading in client.receipts()} == {State.DELIVERED}


@pytest.mark.parametrize(("recipient", "state", "error"), [(ANN, 2, 0), ("+12065550002", 2, 0), ("+12065550000", 5, 1)])
async def test_the_carrier_says_truly_what_became_of_a_text(
    open_carrier: Open, dial: Dial, recipient: str, state: int, error: int
) -> None:
    carrier = await open_carrier(Rules(delay_ms=(0, 0)))
    client = await dial(carrier.port)
    message_id = await submitted(client, recipient)
    await asyncio.sleep(0.05)
    answer = await asked(client, smpp.QUERY_SM, message_id)
    assert (answer.status, answer.fields["message_id"]) == (0, message_id)
    assert (answer.fields["message_state"], answer.fields["error_code"]) == (state, error)


async def test_nobody_is_told_of_a_text_that_is_not_his(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    message_id = await submitted(client, ANN)
    assert (await asked(client, smpp.QUERY_SM, message_id, sender="40404")).status == 0x67
    assert (await asked(client, smpp.QUERY_SM, "never heard of")).status == 0x67
    assert (await asked(client, smpp.REPLACE_SM, message_id)).status == 0x13


@pytest.mark.parametrize("hex_ids", [False, True])
async def test_a_text_that_has_not_reached_the_phone_may_be_cancelled_once(
    open_carrier: Open, dial: Dial, hex_ids: bool
) -> None:
    carrier = await open_carrier(Rules(delay_ms=(300, 300), hex_ids=hex_ids))
    client = await dial(carrier.port)
    message_id = await submitted(client, "+12065550000")
    assert (await asked(client, smpp.QUERY_SM, message_id)).fields["message_state"] == 1
    assert (await asked(client, smpp.CANCEL_SM, message_id)).status == 0
    assert (await asked(client, smpp.CANCEL_SM, message_id)).status == 0x11
    assert (await asked(client, smpp.QUERY_SM, message_id)).fields["message_state"] == 4
    await client.until(lambda: bool(client.receipts()))
    assert [(reading.state, reading.code) for reading in client.receipts()] == [(State.FAILED, "DELETED 000")]


async def test_a_text_on_the_handset_can_no_longer_be_cancelled(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    message_id = await submitted(client, ANN)
    assert (await asked(client, smpp.CANCEL_SM, message_id)).status == 0x11


async def test_parts_with_sar_fields_show_as_one_text(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier()
    client = await dial(carrier.port)
    for number, piece in ((2, b"for one"), (1, b"Two lattes ")):
        bring(client, ANN, piece, more=smpp.sar(77, 2, number))
    await client.until(lambda: len(client.receipts()) == 2)
    assert [(message.text, message.parts) for message in carrier.handset(ANN).messages] == [("Two lattes for one", 2)]


async def test_a_payload_and_a_data_sm_show_like_any_text(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(Rules(delay_ms=(5000, 5000)))
    client = await dial(carrier.port)
    bring(client, ANN, b"", more=smpp.payload(b"as payload"))
    fields: dict[str, smpp.Value] = {"source_addr": OURS, "destination_addr": ANN[1:], "registered_delivery": 1}
    options = {smpp.MESSAGE_PAYLOAD: b"by data", 0x0017: (1).to_bytes(4, "big")}
    client.transport.write(smpp.encode(smpp.Pdu(smpp.DATA_SM, 0, 901, fields, {smpp.MESSAGE_PAYLOAD: b"by data"})))
    client.transport.write(smpp.encode(smpp.Pdu(smpp.DATA_SM, 0, 902, fields, options)))
    await client.until(lambda: bool(client.receipts()))
    assert [message.text for message in carrier.handset(ANN).messages] == ["as payload", "by data"]
    assert [reading.state for reading in client.receipts()] == [State.EXPIRED]


async def test_ids_may_be_hexadecimal_in_answers_and_decimal_in_receipts(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(Rules(delay_ms=(0, 0), hex_ids=True))
    client = await dial(carrier.port)
    message_id = await submitted(client, ANN)
    await client.until(lambda: bool(client.receipts()))
    assert client.receipts()[0].ids == (f"{int(message_id, 16):010d}",)


async def test_receipts_may_come_on_another_line(open_carrier: Open, dial: Dial) -> None:
    carrier = await open_carrier(Rules(delay_ms=(0, 0), elsewhere=True))
    sender, receiver = await dial(carrier.port), await dial(carrier.port, mode="receiver")
    for number in range(10):
        sender.submit(f"+1206555010{number}", "Hi")
    await receiver.until(lambda: len(receiver.receipts()) == 10)
    assert not sender.arrived
    receiver.transport.abort()
    await receiver.until(lambda: receiver.closed)
    sender.submit(ANN, "Hi")
    await sender.until(lambda: len(sender.receipts()) == 1)
