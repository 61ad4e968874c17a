"""Two sessions talk to each other, or one to octets written by hand. No socket, no clock."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import smpp
from gateway.codecs.smpp import ANSWER, HEADER, LAST_SEQUENCE, Pdu
from gateway.codecs.smpp_session import (
    Answered,
    Arrived,
    Bind,
    Bound,
    Client,
    Closed,
    Delivered,
    Event,
    Learned,
    Reassured,
    Refused,
    Requested,
    Server,
    Unanswered,
)
from gateway.codecs.smpp_usual import Delivery
from gateway.messages import State

PHONE = smpp.address(1, 1, "12065550142")
SHOP = smpp.address(3, 0, "20655")
HELLO = smpp.message_body(SHOP, PHONE, b"Hello", registered=1)
RECEIPT = smpp.message_body(
    PHONE,
    SHOP,
    b"id:7 sub:001 dlvrd:001 submit date:2605281200 done date:2605281200 stat:DELIVRD err:000 text:",
    esm_class=4,
)


def pair(mode: str = "transceiver", window: int = 10, *, reads_deliveries: bool = False) -> tuple[Client, Server]:
    """A bound client and the server it is bound to, at second 0, with an answer timer of 5 s and questions after 30."""
    client = Client(Bind(mode, "lantern", "secret"), window=window, answer_s=5, reads_deliveries=reads_deliveries)
    server = Server("SMSC", lambda bind: 0 if bind.password == "secret" else 0x0E, window=window, answer_s=5)
    client.start(0)
    assert server.receive(client.take_out(), 0) == [Bound(mode, "lantern")]
    assert client.receive(server.take_out(), 0) == [Bound(mode, "SMSC")]
    return client, server


def frames(octets: bytes) -> list[Pdu]:
    """The packets that were written."""
    found = []
    while octets:
        length = int.from_bytes(octets[:4], "big")
        found.append(smpp.decode(octets[:length]))
        octets = octets[length:]
    return found


def one_by_one(session: Client | Server, octets: bytes) -> list[Event]:
    """What comes of octets that arrive alone, events of one kind put together."""
    found: list[Event] = []
    for octet in octets:
        for event in session.receive(bytes((octet,)), 0):
            last = found[-1] if found else None
            if isinstance(event, Answered) and isinstance(last, Answered):
                last.answers.extend(event.answers)
            elif isinstance(event, Arrived) and isinstance(last, Arrived):
                last.messages.extend(event.messages)
            else:
                found.append(event)
    return found


def send(session: Client | Server, tokens: Iterable[object]) -> bytes:
    session.send([(token, HELLO) for token in tokens], 0)
    return session.take_out()


def arrived(events: list[Event]) -> list[tuple[int, smpp.ShortMessage]]:
    return [message for event in events if isinstance(event, Arrived) for message in event.messages]


@pytest.mark.parametrize("mode", ["transceiver", "transmitter", "receiver"])
def test_a_client_is_bound_in_each_mode_and_has_room_only_where_it_may_send(mode: str) -> None:
    client, server = pair(mode)

    assert (client.mode, server.mode, server.client) == (mode, mode, "lantern")
    assert client.room == (0 if mode == "receiver" else 10)
    assert server.room == (0 if mode == "transmitter" else 10)


def test_a_wrong_password_is_refused_and_the_line_ends() -> None:
    client = Client(Bind("transceiver", "lantern", "wrong"))
    server = Server("SMSC", lambda bind: 0x0E)
    client.start(0)

    assert server.receive(client.take_out(), 0) == []
    assert client.receive(server.take_out(), 0) == [Refused(0x0E), Closed("the carrier refused the bind", [])]
    assert (client.room, server.mode) == (0, "")


def test_the_password_is_in_no_text_about_the_bind() -> None:
    assert "secret" not in f"{Bind('transceiver', 'lantern', 'secret')}"


def test_a_bind_on_a_bound_line_is_refused() -> None:
    _, server = pair()
    again = Client(Bind("transmitter", "lantern", "secret"))
    again.start(0)

    server.receive(again.take_out(), 0)

    assert [pdu.status for pdu in frames(server.take_out())] == [smpp.ALREADY_BOUND]
    assert server.mode == "transceiver"


def test_a_message_goes_over_and_its_answer_comes_back_with_its_token() -> None:
    client, server = pair()

    [(sequence, message)] = arrived(server.receive(send(client, ["first"]), 0))
    server.answer([(sequence, 0, "id-1")])

    assert (message.sender, message.recipient, message.octets) == ("20655", "12065550142", b"Hello")
    assert client.receive(server.take_out(), 0) == [Answered([("first", 0, "id-1")])]
    assert client.in_flight == 0


def test_the_window_is_what_may_wait_for_an_answer_and_answers_come_in_any_order() -> None:
    """R-2.5"""
    client, server = pair(window=3)

    messages = arrived(server.receive(send(client, "abc"), 0))
    assert (client.room, client.in_flight) == (0, 3)
    server.answer([(sequence, 0, str(sequence)) for sequence, _ in reversed(messages)])

    [event] = client.receive(server.take_out(), 0)
    assert isinstance(event, Answered)
    assert [token for token, _, _ in event.answers] == ["c", "b", "a"]
    assert client.room == 3


def test_a_refused_message_has_the_carriers_status() -> None:
    client, server = pair()
    [(sequence, _)] = arrived(server.receive(send(client, ["x"]), 0))

    server.answer([(sequence, smpp.THROTTLED, "")])

    assert client.receive(server.take_out(), 0) == [Answered([("x", smpp.THROTTLED, "")])]


def test_a_generic_nack_is_an_answer_too() -> None:
    client, _ = pair()
    sent = frames(send(client, ["x", "y"]))

    events = client.receive(
        HEADER.pack(16, smpp.GENERIC_NACK, smpp.BAD_LENGTH, sent[0].sequence)
        + HEADER.pack(16, smpp.GENERIC_NACK, 0, sent[1].sequence),
        0,
    )

    assert events == [Answered([("x", smpp.BAD_LENGTH, ""), ("y", smpp.UNKNOWN_ERROR, "")])]


def test_a_delivery_is_answered_only_when_it_is_acknowledged() -> None:
    client, server = pair()

    [(sequence, message)] = arrived(client.receive(send(server, ["mo"]), 0))
    assert client.take_out() == b""
    client.acknowledge([sequence])

    assert message.octets == b"Hello"
    assert server.receive(client.take_out(), 0) == [Answered([("mo", 0, "")])]


def test_a_delivery_that_could_not_be_kept_is_to_come_again() -> None:
    client, server = pair()
    [(sequence, _)] = arrived(client.receive(send(server, ["mo"]), 0))

    client.acknowledge([sequence], smpp.COME_AGAIN)

    assert server.receive(client.take_out(), 0) == [Answered([("mo", 0x64, "")])]


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_data_sm_arrives_like_any_message_and_is_answered_as_data_sm(side: str) -> None:
    client, server = pair()
    session = client if side == "client" else server
    fields: dict[str, smpp.Value] = {"source_addr": "1", "destination_addr": "2"}
    octets = smpp.encode(Pdu(smpp.DATA_SM, 0, 77, fields, {smpp.MESSAGE_PAYLOAD: b"hi"}))

    [(sequence, message)] = arrived(session.receive(octets, 0))
    if isinstance(session, Client):
        session.acknowledge([78, sequence])
    else:
        session.answer([(78, 0, "10"), (sequence, 0, "9")])

    assert message.octets == b"hi"
    assert [(pdu.command, pdu.sequence) for pdu in frames(session.take_out())] == [
        ((smpp.DELIVER_SM if side == "client" else smpp.SUBMIT_SM) | ANSWER, 78),
        (smpp.DATA_SM | ANSWER, 77),
    ]


def test_a_query_and_a_cancellation_reach_the_owner_of_the_server() -> None:
    _, server = pair()
    fields: dict[str, smpp.Value] = {"message_id": "12345", "source_addr": "20655"}

    events = server.receive(smpp.encode(Pdu(smpp.QUERY_SM, 0, 7, fields)), 0)
    assert [event.pdu.fields["message_id"] for event in events if isinstance(event, Requested)] == ["12345"]
    for event in events:
        assert isinstance(event, Requested)
        server.reply(event.pdu, 0, message_id="12345", message_state=2)

    assert frames(server.take_out()) == [
        Pdu(
            smpp.QUERY_SM | ANSWER,
            0,
            7,
            {"message_id": "12345", "final_date": "", "message_state": 2, "error_code": 0},
        )
    ]


# --- streams


def conversation() -> tuple[Client, bytes]:
    """A client with three messages on the way, and octets that answer them, bring two texts and ask a question."""
    client, server = pair()
    messages = arrived(server.receive(send(client, "abc"), 0))
    server.answer([(sequence, 0, f"id-{sequence}") for sequence, _ in messages])
    server.send([(1, HELLO), (2, HELLO)], 0)
    return client, server.take_out() + HEADER.pack(16, smpp.ENQUIRE_LINK, 0, 500)


def test_a_stream_cut_at_any_octet_yields_the_same_events() -> None:
    """R-2.2"""
    client, octets = conversation()
    whole = client.receive(octets, 0)
    assert frames(client.take_out()) == [Pdu(smpp.ENQUIRE_LINK | ANSWER, 0, 500)]

    for cut in range(1, len(octets)):
        client, octets = conversation()
        parts = [*client.receive(octets[:cut], 0), *client.receive(octets[cut:], 0)]
        answers = [answer for event in parts if isinstance(event, Answered) for answer in event.answers]
        assert whole == [Answered(answers), Arrived(arrived(parts))]


def test_a_stream_that_comes_an_octet_at_a_time_yields_the_same_events() -> None:
    """R-2.2"""
    client, octets = conversation()
    whole = client.receive(octets, 0)
    client, octets = conversation()

    assert one_by_one(client, octets) == whole


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_no_octets_make_a_session_raise(reads: list[bytes], is_client: bool) -> None:
    session: Client | Server = pair()[0 if is_client else 1]
    for read in reads:
        session.receive(read, 0)
    session.take_out()


@given(st.data())
def test_no_packet_makes_a_session_raise(data: st.DataObject) -> None:
    session: Client | Server = pair()[data.draw(st.integers(0, 1))]
    if isinstance(session, Client):
        session._reads_deliveries = data.draw(st.booleans())
    for command in data.draw(st.lists(st.sampled_from([*smpp.BODIES, 0x77]), max_size=5)):
        body = data.draw(st.binary(max_size=60))
        session.receive(HEADER.pack(16 + len(body), command, 0, data.draw(st.integers(0, 5))) + body, 0)
    session.tick(100)


@given(st.lists(st.sampled_from(["send", "answer", "refuse", "nack", "wait", "heard"]), max_size=60), st.integers(1, 5))
def test_whatever_happens_every_message_is_told_once_and_a_late_answer_once_more(story: list[str], window: int) -> None:
    """Rule 4 of channels, R-2.5, R-2.8"""
    client, _ = pair(window=window)
    now, sent, open_sequences = 0.0, 0, list[int]()
    told: dict[object, list[str]] = {}
    for act in [*story, "end"]:
        octets = b""
        if act == "send" and client.room:
            client.send([(sent, HELLO)], now)
            sent += 1
            open_sequences += [pdu.sequence for pdu in frames(client.take_out()) if pdu.command == smpp.SUBMIT_SM]
        elif act == "wait":
            now += 3
        elif act == "heard":
            octets = HEADER.pack(16, smpp.ENQUIRE_LINK, 0, 9)
        elif act != "end" and open_sequences:
            sequence = open_sequences.pop(int(now) % len(open_sequences))
            command = smpp.GENERIC_NACK if act == "nack" else smpp.SUBMIT_SM | ANSWER
            octets = HEADER.pack(16, command, act != "answer", sequence)
        events = client.lost() if act == "end" else [*client.receive(octets, now), *client.tick(now)]
        for event in events:
            if isinstance(event, Answered):
                for token, _, _ in event.answers:
                    told.setdefault(token, []).append("answer")
            elif isinstance(event, Unanswered | Closed):
                for token in event.tokens:
                    told.setdefault(token, []).append("doubt")
        assert client.in_flight <= window

    assert set(told) == set(range(sent))
    assert all(words in (["answer"], ["doubt"], ["doubt", "answer"]) for words in told.values())


@pytest.mark.parametrize("length", [0, 15, smpp.MOST_OCTETS + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be_is_told_and_ends_the_line(length: int) -> None:
    """R-2.2"""
    client, _ = pair()
    send(client, ["on the way"])

    events = client.receive(HEADER.pack(length, smpp.ENQUIRE_LINK, 0, 9) + b"more", 0)

    assert events == [Closed(f"a packet says it has {length} octets", ["on the way"])]
    assert frames(client.take_out()) == [Pdu(smpp.GENERIC_NACK, smpp.BAD_LENGTH, 9)]
    assert client.receive(HEADER.pack(16, smpp.ENQUIRE_LINK, 0, 10), 0) == []


def test_an_unknown_command_is_told_and_the_line_survives() -> None:
    """R-2.3"""
    client, _ = pair()

    assert client.receive(HEADER.pack(20, 0x77, 0, 9) + b"abcd", 0) == []

    assert frames(client.take_out()) == [Pdu(smpp.GENERIC_NACK, smpp.BAD_COMMAND, 9)]
    assert client.room == 10


@pytest.mark.parametrize(
    "command", [0x77 | ANSWER, smpp.ENQUIRE_LINK | ANSWER, smpp.GENERIC_NACK, smpp.UNBIND | ANSWER]
)
def test_an_answer_that_nobody_waits_for_changes_nothing(command: int) -> None:
    client, _ = pair()

    assert client.receive(HEADER.pack(16, command, 0, 999), 0) == []
    assert (client.take_out(), client.room) == (b"", 10)


def test_a_message_that_cannot_be_read_is_refused_and_the_line_survives() -> None:
    client, server = pair()

    assert server.receive(HEADER.pack(20, smpp.SUBMIT_SM, 0, 9) + b"abcd", 0) == []
    assert client.receive(HEADER.pack(20, smpp.DELIVER_SM, 0, 9) + b"abcd", 0) == []

    assert [(pdu.command, pdu.status) for pdu in frames(server.take_out() + client.take_out())] == [
        (smpp.SUBMIT_SM | ANSWER, smpp.BAD_LENGTH),
        (smpp.DELIVER_SM | ANSWER, smpp.BAD_LENGTH),
    ]
    assert client.room == 10


def test_a_request_that_cannot_be_read_is_refused_by_its_own_answer() -> None:
    _, server = pair()

    server.receive(HEADER.pack(17, smpp.QUERY_SM, 0, 9) + b"a", 0)

    assert frames(server.take_out()) == [Pdu(smpp.QUERY_SM | ANSWER, smpp.BAD_LENGTH, 9)]


@pytest.mark.parametrize("command", [smpp.SUBMIT_SM, smpp.DATA_SM, smpp.QUERY_SM])
def test_nothing_is_taken_from_a_client_that_is_not_bound(command: int) -> None:
    server = Server("SMSC", lambda bind: 0)

    assert server.receive(smpp.encode(Pdu(command, 0, 4)), 0) == []

    assert [(pdu.command, pdu.status) for pdu in frames(server.take_out())] == [(command | ANSWER, smpp.NOT_BOUND)]


def test_a_receiver_may_not_submit() -> None:
    _, server = pair("receiver")

    assert server.receive(smpp.encode(Pdu(smpp.SUBMIT_SM, 0, 4)), 0) == []

    assert [pdu.status for pdu in frames(server.take_out())] == [smpp.NOT_BOUND]


def test_a_client_takes_no_submits() -> None:
    client, _ = pair()

    assert client.receive(smpp.encode(Pdu(smpp.SUBMIT_SM, 0, 4)), 0) == []

    assert frames(client.take_out()) == [Pdu(smpp.GENERIC_NACK, smpp.BAD_COMMAND, 4)]


def test_after_the_last_sequence_number_comes_one() -> None:
    """R-2.13"""
    client, _ = pair()
    client._sequence = LAST_SEQUENCE - 1  # two thousand million messages later

    assert [pdu.sequence for pdu in frames(send(client, "abc"))] == [LAST_SEQUENCE, 1, 2]


def test_a_request_that_no_server_of_ours_knows_is_told_by_a_generic_nack() -> None:
    _, server = pair()

    assert server.receive(smpp.encode(Pdu(smpp.DELIVER_SM, 0, 4)), 0) == []

    assert frames(server.take_out()) == [Pdu(smpp.GENERIC_NACK, smpp.BAD_COMMAND, 4)]


@pytest.mark.parametrize("sequence", [0, 0x80000000])
def test_a_peer_may_count_as_it_likes(sequence: int) -> None:
    """R-2.13"""
    client, _ = pair()

    client.receive(HEADER.pack(16, smpp.ENQUIRE_LINK, 0, sequence), 0)

    assert frames(client.take_out()) == [Pdu(smpp.ENQUIRE_LINK | ANSWER, 0, sequence)]


# --- time


def test_a_silent_peer_is_asked_and_its_answer_keeps_the_line() -> None:
    """R-2.4"""
    client, server = pair()

    assert client.tick(29.9) == []
    assert client.take_out() == b""
    assert client.tick(30) == []
    server.receive(client.take_out(), 30)
    assert client.receive(server.take_out(), 30.1) == []

    assert client.tick(36) == []
    assert client.room == 10


def test_a_peer_that_does_not_answer_the_question_is_left_and_what_was_on_the_way_is_told() -> None:
    """R-2.4"""
    client, _ = pair()
    client.tick(30)
    client.send([("x", HELLO)], 34)

    assert client.tick(34.9) == []
    assert client.tick(35) == [Closed("no answer to a bind, an enquire_link or an unbind", ["x"])]
    assert client.tick(99) == []


def test_a_question_is_answered_even_when_the_window_is_full() -> None:
    """R-2.4"""
    client, _ = pair(window=1)
    send(client, "a")

    client.receive(HEADER.pack(16, smpp.ENQUIRE_LINK, 0, 3), 0)

    assert frames(client.take_out()) == [Pdu(smpp.ENQUIRE_LINK | ANSWER, 0, 3)]


def test_an_answer_that_does_not_come_is_told_once_and_the_line_survives() -> None:
    client, server = pair()
    late = arrived(server.receive(send(client, ["old"]), 0))
    client.send([("young", HELLO)], 4)

    assert client.tick(5) == [Unanswered(["old"])]
    assert client.tick(6) == []
    server.answer([(sequence, 0, "too late") for sequence, _ in late])
    [late_answer] = [event for event in client.receive(server.take_out(), 6) if isinstance(event, Answered)]
    assert late_answer.answers == [("old", 0, "too late")]
    assert client.in_flight == 1


def test_a_bind_without_an_answer_ends_the_line() -> None:
    client = Client(Bind("transceiver", "lantern", "secret"), answer_s=5)
    client.start(0)

    assert client.tick(5) == [Closed("no answer to a bind, an enquire_link or an unbind", [])]


def test_a_guest_that_never_binds_is_shown_out() -> None:
    server = Server("SMSC", lambda bind: 0, enquire_s=30)

    assert server.tick(1000) == []
    assert server.tick(1030) == [Closed("nobody was bound in time", [])]


# --- the end


def test_goodbye_is_said_and_answered() -> None:
    """R-2.7"""
    client, server = pair()

    client.unbind(0)
    assert client.room == 0
    assert server.receive(client.take_out(), 0) == [Closed("the other side said goodbye", [])]
    assert client.receive(server.take_out(), 0) == [Closed("we said goodbye", [])]


def test_who_parts_with_nothing_open_says_goodbye_at_once() -> None:
    client, _ = pair()
    client.part(0)
    assert [pdu.command for pdu in frames(client.take_out())] == [smpp.UNBIND]
    assert (client.room, client.is_parting) == (0, False)


@pytest.mark.parametrize("thanks_first", [True, False])
def test_who_parts_first_hears_all_answers_and_thanks_for_all_that_came(thanks_first: bool) -> None:
    client, server = pair()
    messages = arrived(server.receive(send(client, "a"), 0))
    came = arrived(client.receive(send(server, "x"), 0))

    client.part(0)
    assert (client.take_out(), client.room) == (b"", 0)
    if thanks_first:
        client.acknowledge([came[0][0]])
        server.answer([(messages[0][0], 0, "1")])
        client.receive(server.take_out(), 0)
    else:
        server.answer([(messages[0][0], 0, "1")])
        client.receive(server.take_out(), 0)
        client.acknowledge([came[0][0]], smpp.COME_AGAIN)

    assert [pdu.command for pdu in frames(client.take_out())] == [smpp.DELIVER_SM | ANSWER, smpp.UNBIND]


def test_what_comes_to_who_is_parting_is_still_thanked_for_first() -> None:
    client, server = pair()
    first = arrived(client.receive(send(server, "x"), 0))
    client.part(0)
    second = arrived(client.receive(send(server, "y"), 0))
    client.acknowledge([first[0][0]])
    assert [pdu.command for pdu in frames(client.take_out())] == [smpp.DELIVER_SM | ANSWER]
    client.acknowledge([second[0][0]])
    assert [pdu.command for pdu in frames(client.take_out())] == [smpp.DELIVER_SM | ANSWER, smpp.UNBIND]


def test_receipts_that_are_read_in_columns_are_waited_for_too() -> None:
    client, server = pair(reads_deliveries=True)
    server.send([(n, RECEIPT) for n in range(40)], 0)
    (told,) = (event for event in client.receive(server.take_out(), 0) if isinstance(event, Delivered))

    client.part(0)
    assert client.take_out() == b""
    client.acknowledge(told.sequences)

    assert frames(client.take_out())[-1].command == smpp.UNBIND


def test_who_parts_does_not_wait_for_ever() -> None:
    client, server = pair()
    send(client, "a")
    client.part(0)
    assert client.take_out() == b""
    client.unbind(1)
    assert [pdu.command for pdu in frames(client.take_out())] == [smpp.UNBIND]
    assert client.tick(6) == [Closed("no answer to a bind, an enquire_link or an unbind", ["a"])]
    assert server.closed is False


def test_answers_that_come_before_the_goodbye_still_count() -> None:
    client, server = pair()
    messages = arrived(server.receive(send(client, "ab"), 0))
    server.answer([(messages[0][0], 0, "id")])
    server.unbind(0)

    events = client.receive(server.take_out(), 0)

    assert events == [Answered([("a", 0, "id")]), Closed("the other side said goodbye", ["b"])]
    assert [pdu.command for pdu in frames(client.take_out())] == [smpp.UNBIND | ANSWER]


def test_a_lost_line_tells_once_what_was_on_the_way() -> None:
    client, _ = pair()
    send(client, "ab")

    assert client.lost() == [Closed("the line was lost", ["a", "b"])]
    assert client.lost() == []
    client.unbind(0)
    client.acknowledge([1])
    assert client.take_out() == b""


def test_a_closed_server_answers_nothing() -> None:
    _, server = pair()
    server.lost()

    server.answer([(1, 0, "id")])
    server.reply(Pdu(smpp.QUERY_SM, 0, 1), 0)

    assert server.take_out() == b""


def test_a_bind_answered_by_something_else_stays_unbound() -> None:
    client = Client(Bind("transceiver", "lantern", "secret"))
    client.start(0)
    [asked] = frames(client.take_out())

    assert client.receive(HEADER.pack(16, smpp.ENQUIRE_LINK | ANSWER, 0, asked.sequence), 0) == []
    assert client.mode == ""


def test_a_bind_answered_by_a_generic_nack_is_refused() -> None:
    client = Client(Bind("transceiver", "lantern", "secret"))
    client.start(0)
    [asked] = frames(client.take_out())

    events = client.receive(HEADER.pack(16, smpp.GENERIC_NACK, 0, asked.sequence), 0)

    assert events[0] == Refused(smpp.UNKNOWN_ERROR)


# --- what is late, asked and told beside


def test_after_a_late_answer_nothing_leaves_until_the_other_side_has_shown_that_it_is_there() -> None:
    """R-2.4"""
    client, server = pair()
    late = arrived(server.receive(send(client, ["old"]), 0))

    assert client.tick(5) == [Unanswered(["old"])]
    assert client.room == 0
    asked = client.take_out()
    assert [pdu.command for pdu in frames(asked)] == [smpp.ENQUIRE_LINK]
    server.receive(asked, 5)
    assert client.receive(server.take_out(), 5) == [Reassured()]
    assert client.room == 10
    server.answer([(sequence, 0, "after all") for sequence, _ in late])
    assert client.receive(server.take_out(), 6) == [Answered([("old", 0, "after all")])]
    server.answer([(sequence, 0, "again") for sequence, _ in late])
    assert client.receive(server.take_out(), 6) == []


def test_a_late_answer_and_silence_thereafter_end_the_line() -> None:
    """R-2.4"""
    client, _ = pair()
    send(client, ["old"])

    assert client.tick(5) == [Unanswered(["old"])]
    assert client.tick(10) == [Closed("no answer to a bind, an enquire_link or an unbind", [])]


def test_a_peer_too_busy_for_the_question_is_none_the_less_there() -> None:
    client, server = pair()
    late = arrived(server.receive(send(client, "ab"), 0))
    client.tick(5)
    server.answer([(late[0][0], 0, "id")])
    client.receive(server.take_out(), 7)

    assert client.tick(10) == [Reassured()]
    assert client.room == 10


def test_not_more_than_so_many_late_answers_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.codecs.smpp_session.MOST_LATE", 2)
    client, server = pair()
    messages = arrived(server.receive(send(client, "abc"), 0))
    client.tick(5)
    server.answer([(sequence, 0, "id") for sequence, _ in messages])

    [event] = [event for event in client.receive(server.take_out(), 6) if isinstance(event, Answered)]
    assert [token for token, _, _ in event.answers] == ["b", "c"]


def test_how_busy_the_carrier_says_it_is_comes_with_its_answers() -> None:
    client, _ = pair()
    first, second = frames(send(client, "ab"))
    busy = smpp.options({smpp.CONGESTION_STATE: b"\x5a"})
    octets = b"".join(
        HEADER.pack(16 + len(body), smpp.SUBMIT_SM | ANSWER, 0, pdu.sequence) + body
        for pdu, body in ((first, b"id-1\0" + busy), (second, b""))
    )

    assert client.receive(octets, 0) == [Answered([("a", 0, "id-1"), ("b", 0, "")], 90)]


def test_a_question_about_a_message_is_answered_and_takes_room_meanwhile() -> None:
    client, server = pair()
    client.ask_about([("x", smpp.query_body("12345", SHOP)), ("y", smpp.query_body("6", SHOP))], 0)
    assert (client.room, client.in_flight) == (8, 0)
    for event, status in zip(server.receive(client.take_out(), 0), (0, 0x67), strict=True):
        assert isinstance(event, Requested)
        server.reply(event.pdu, status, message_id="12345", message_state=2)

    assert client.receive(server.take_out(), 0) == [
        Learned("x", 0, smpp.Reading(("12345",), State.DELIVERED, "000")),
        Learned("y", 0x67, None),
    ]
    assert client.room == 10


def test_a_question_that_is_nacked_cannot_be_read_or_has_no_answer_leaves_nothing_behind() -> None:
    client, _ = pair()
    client.ask_about([(token, smpp.query_body("1", SHOP)) for token in "xyz"], 0)
    nacked, unread, _ = frames(client.take_out())

    assert client.receive(HEADER.pack(16, smpp.GENERIC_NACK, 3, nacked.sequence), 0) == [Learned("x", 3, None)]
    broken = HEADER.pack(18, smpp.QUERY_SM | ANSWER, 0, unread.sequence) + b"ab"
    assert client.receive(broken, 0) == [Learned("y", smpp.BAD_LENGTH, None)]
    assert client.receive(broken, 0) == []
    client.tick(5)
    assert client.room == 10


@pytest.mark.parametrize("command", [smpp.ALERT_NOTIFICATION, smpp.OUTBIND])
def test_what_the_standard_knows_no_answer_to_is_not_answered(command: int) -> None:
    client, _ = pair()

    assert client.receive(smpp.encode(Pdu(command, 0, 4)), 0) == []
    assert (client.take_out(), client.room) == (b"", 10)


def test_a_client_may_send_by_data_sm_and_its_answers_are_its_own() -> None:
    client = Client(Bind("transceiver", "lantern", "secret"), use_data_sm=True)
    server = Server("SMSC", lambda bind: 0)
    client.start(0)
    server.receive(client.take_out(), 0)
    client.receive(server.take_out(), 0)
    client.send([("x", smpp.data_body(SHOP, PHONE, b"Hello"))], 0)

    [(sequence, message)] = arrived(server.receive(client.take_out(), 0))
    server.answer([(sequence, 0, "id-1")])

    assert (message.sender, message.octets) == ("20655", b"Hello")
    assert client.receive(server.take_out(), 0) == [Answered([("x", 0, "id-1")])]


def test_usual_receipts_are_told_apart_where_that_is_wanted() -> None:
    client, server = pair(reads_deliveries=True)
    server.send([(1, RECEIPT), (2, HELLO)], 0)

    deliveries, messages = client.receive(server.take_out(), 0)
    assert deliveries == Delivered([1], [Delivery("\1", "12065550142", "\3", "20655", "7", "000")])
    assert isinstance(messages, Arrived)
    client.acknowledge([2, 1])
    assert server.receive(client.take_out(), 0) == [Answered([(2, 0, ""), (1, 0, "")])]


# --- a server that takes its time ------------------------------------------------------------------------------------


def undecided() -> tuple[Client, Server]:
    """A client that has asked to be bound, and a server that has not made up its mind."""
    client, server = Client(Bind("transceiver", "lantern", "secret")), Server("SMSC", lambda bind: None)
    client.start(0)
    assert server.receive(client.take_out(), 0) == []
    assert server.take_out() == b""
    return client, server


def test_a_bind_may_be_decided_on_later() -> None:
    client, server = undecided()
    assert server.decide(0) == [Bound("transceiver", "lantern")]
    assert client.receive(server.take_out(), 0) == [Bound("transceiver", "SMSC")]
    assert server.decide(0) == []
    assert server.take_out() == b""


def test_a_bind_may_be_refused_later() -> None:
    client, server = undecided()
    assert server.decide(0x0E) == []
    assert client.receive(server.take_out(), 0)[0] == Refused(0x0E)


def test_before_a_bind_is_decided_on_nothing_else_is_taken() -> None:
    _, server = undecided()
    bind = smpp.encode(Pdu(smpp.BIND_TRANSCEIVER, 0, 8, {"system_id": "lantern", "password": "secret"}))
    submit = HEADER.pack(16 + len(HELLO), smpp.SUBMIT_SM, 0, 9) + HELLO
    assert server.receive(bind + submit, 0) == []
    assert [pdu[:3] for pdu in frames(server.take_out())] == [
        (smpp.BIND_TRANSCEIVER | ANSWER, smpp.ALREADY_BOUND, 8),
        (smpp.SUBMIT_SM | ANSWER, smpp.NOT_BOUND, 9),
    ]


def test_a_decision_about_a_line_that_is_gone_is_nothing() -> None:
    _, server = undecided()
    server.lost()
    assert server.decide(0) == []
    assert server.take_out() == b""


@pytest.mark.parametrize("together", [True, False])
def test_a_server_says_goodbye_after_it_has_answered_all(together: bool) -> None:
    client, server = pair()
    octets = send(client, "ab")
    client.unbind(0)
    if together:
        messages = arrived(server.receive(octets + client.take_out(), 0))
    else:
        messages = arrived(server.receive(octets, 0))
        assert server.receive(client.take_out(), 0) == []
    assert server.unanswered == 2
    server.answer([(messages[0][0], 0, "1")])
    assert not server.closed
    server.answer([(messages[1][0], 0, "2")])
    assert server.closed
    assert [pdu.command for pdu in frames(server.take_out())] == [
        smpp.SUBMIT_SM | ANSWER, smpp.SUBMIT_SM | ANSWER, smpp.UNBIND | ANSWER,
    ]  # fmt: skip


@pytest.mark.parametrize("together", [True, False])
def test_a_goodbye_that_waited_for_answers_tells_what_was_on_the_way(together: bool) -> None:
    client, server = pair()
    send(server, "xy")
    octets = send(client, "a")
    client.unbind(0)
    if together:
        messages = arrived(server.receive(octets + client.take_out(), 0))
    else:
        messages = arrived(server.receive(octets, 0))
        assert server.receive(client.take_out(), 0) == []

    assert server.answer([(messages[0][0], 0, "1")]) == [Closed("the other side said goodbye", ["x", "y"])]
    assert server.lost() == []


def test_who_has_said_goodbye_is_sent_nothing_more_while_it_waits_for_answers() -> None:
    client, server = pair()
    octets = send(client, "a")
    client.unbind(0)
    server.receive(octets + client.take_out(), 0)
    assert server.room == 0
    assert not server.closed
