"""Programs bind over real sockets; behind the server is a house that keeps things in memory."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.smpp_server import Account, Delivery, Server, Submit, doorkeeper, lines, reading
from gateway.channels.smpp_server import server as servers
from gateway.codecs import smpp
from gateway.codecs import smpp_session as sessions
from gateway.codecs.smpp import ShortMessage
from gateway.errors import CarillonError, PortTaken, StoreError
from tests.gateway.channels.smpp_server.elsewhere import Elsewhere
from tests.gateway.channels.smpp_server.esme import HELLO, PHONE, SHOP, Esme, dialled

PEM = Path(__file__).parents[3] / "peers/localhost.pem"
House = Any  # the fixture of conftest.py


def numbered(count: int) -> list[bytes]:
    return [smpp.message_body(SHOP, PHONE, b"Text %d" % place, registered=1) for place in range(count)]


async def quiet() -> None:
    """Let everything that is on the way on this machine arrive."""
    await asyncio.sleep(0.1)


async def test_a_text_is_answered_with_its_id_once_the_house_has_it(server: Server, house: House) -> None:
    async with dialled(server.port) as esme:
        assert await esme.submitted([HELLO]) == [(0, "0")]
    submit = house.submits[0]
    assert (submit.recipient, submit.sender, submit.text) == ("+12065550142", "20655", "Hello")


async def test_nothing_is_answered_before_the_house_has_it(server: Server, house: House) -> None:
    house.holds_back = True
    async with dialled(server.port) as esme:
        esme.submit([HELLO])
        await house.until(lambda: house.held)
        await quiet()
        assert not esme.answers
        house.let_go()
        await esme.until(lambda: esme.answers)


async def test_texts_of_one_read_go_to_the_house_together_and_are_answered_together(
    server: Server, house: House
) -> None:
    async with dialled(server.port) as esme:
        before = esme.reads
        assert len(await esme.submitted(numbered(50))) == 50
        assert house.reads == [50]
        assert esme.reads == before + 1


@pytest.mark.parametrize("mode", ["transmitter", "receiver", "transceiver"])
async def test_a_program_binds_in_any_mode(server: Server, mode: str) -> None:
    async with dialled(server.port, mode) as esme:
        assert esme.session.mode == mode


async def test_a_receiver_may_not_send(server: Server, house: House) -> None:
    async with dialled(server.port, "receiver") as esme:
        assert await esme.submitted([HELLO]) == [(smpp.NOT_BOUND, "")]
    assert not house.submits


@pytest.mark.parametrize(("name", "password"), [("shop", "wrong"), ("nobody", "secret"), ("", "")])
async def test_a_wrong_name_and_a_wrong_password_are_refused_alike(server: Server, name: str, password: str) -> None:
    async with dialled(server.port, name=name, password=password) as esme:
        await esme.until(lambda: esme.is_closed)
        assert esme.refused == servers.BAD_PASSWORD


async def test_a_right_password_from_a_strange_address_is_refused_alike(server: Server, house: House) -> None:
    house.may(addresses=(ipaddress.ip_network("203.0.113.0/24"),))
    async with dialled(server.port) as esme:
        assert esme.refused == servers.BAD_PASSWORD
    house.may(addresses=(ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("127.0.0.0/8")))
    async with dialled(server.port) as esme:
        assert esme.session.mode


async def test_one_line_more_than_agreed_is_refused_until_another_has_gone(server: Server) -> None:
    async with dialled(server.port) as first, dialled(server.port), dialled(server.port) as third:
        assert third.refused == servers.BIND_FAILED
        first.unbind()
        await first.until(lambda: first.is_closed)
        await quiet()
        async with dialled(server.port) as fourth:
            assert fourth.session.mode


@pytest.mark.parametrize(("mode", "may"), [("receiver", "may_read"), ("transceiver", "may_send")])
async def test_a_mode_that_the_key_does_not_allow_is_refused(server: Server, house: House, mode: str, may: str) -> None:
    house.may(**{may: False})
    async with dialled(server.port, mode) as esme:
        assert esme.refused == servers.BIND_FAILED


async def test_a_second_try_after_a_wrong_password_waits(
    server: Server, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorkeeper, "FIRST_S", 0.2)
    monkeypatch.setattr(servers, "REFUSED_S", 0.0)
    loop = asyncio.get_running_loop()
    async with dialled(server.port, password="wrong"):
        pass
    began = loop.time()
    async with dialled(server.port):
        assert loop.time() - began >= 0.15
    began = loop.time()
    async with dialled(server.port):
        assert loop.time() - began < 0.15  # a right one has made it forgotten


async def test_after_many_wrong_passwords_nobody_looks_at_another(
    server: Server, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "PATIENCE_S", 0.1)
    for _ in range(3):
        server.keeper.was_wrong("127.0.0.1", server.loop.time())
    async with dialled(server.port) as esme:
        assert esme.refused == servers.BAD_PASSWORD
    assert house.asked == []


async def test_who_is_not_bound_in_time_is_hung_up_on_however_it_drips(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BIND_S", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    began = server.loop.time()
    while not reader.at_eof() and server.loop.time() - began < 5:
        try:
            writer.write(b"\0")
            await writer.drain()
        except ConnectionError:
            break
        await asyncio.sleep(0.1)
    assert server.loop.time() - began < 3
    writer.close()


async def test_the_hall_before_the_door_does_not_fill_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorkeeper, "MOST_WAITING_EACH", 3)
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with contextlib.suppress(ConnectionError):
        assert await reader.read(1) == b""
    for _, each in [*idle, (reader, writer)]:
        each.close()
    await quiet()
    async with dialled(server.port) as esme:
        assert esme.session.mode


async def test_beyond_the_window_a_text_is_throttled_and_enquire_link_is_answered_all_the_same(
    server: Server, house: House
) -> None:
    house.holds_back = True
    house.may(window=10)
    async with dialled(server.port) as esme:
        esme.submit(numbered(12))
        await esme.until(lambda: len(esme.answers) == 2)
        assert esme.answers == {10: (smpp.THROTTLED, ""), 11: (smpp.THROTTLED, "")}
        assert len(house.submits) == 10
        before = esme.reads
        esme.transport.write(smpp.encode(smpp.Pdu(smpp.ENQUIRE_LINK, 0, 50)))
        await esme.until(lambda: esme.reads > before)
        house.holds_back = False
        house.let_go()
        await esme.until(lambda: len(esme.answers) == 12)
        assert await esme.submitted([HELLO], 20)


async def test_beyond_the_rate_a_text_is_throttled(server: Server, house: House) -> None:
    house.may(rate=20)
    async with dialled(server.port) as esme:
        answers = await esme.submitted(numbered(60))
        statuses = [status for status, _ in answers]
        assert statuses[:20] == [0] * 20
        assert statuses.count(smpp.THROTTLED) >= 38
        await asyncio.sleep(0.3)
        later = [status for status, _ in await esme.submitted(numbered(20), 100)]
        assert 4 <= later.count(0) <= 9


async def test_a_rate_below_one_a_second_lets_one_through_at_a_time(server: Server, house: House) -> None:
    house.may(rate=0.5)
    async with dialled(server.port) as esme:
        assert [status for status, _ in await esme.submitted(numbered(3))] == [0, smpp.THROTTLED, smpp.THROTTLED]


@pytest.fixture
def elsewhere(house: House) -> Elsewhere:
    """The house is one of several processes."""
    there = Elsewhere(free=1)
    house.others = there.others()
    return there


async def test_a_line_counts_among_those_of_other_processes_until_it_has_ended(
    elsewhere: Elsewhere, server: Server, house: House
) -> None:
    async with dialled(server.port, "receiver") as esme:
        assert elsewhere.places == ["7 2 reads 0"]
        async with dialled(server.port) as more:
            assert more.refused == servers.BIND_FAILED
        assert not elsewhere.given_back
        esme.unbind()
        await house.until(lambda: elsewhere.given_back == elsewhere.places)
    async with dialled(server.port) as again:
        assert again.session.mode
        assert elsewhere.places[1:] == ["7 2 sends 1"]


async def test_a_line_that_ends_before_it_is_let_in_holds_nothing(
    elsewhere: Elsewhere, server: Server, house: House
) -> None:
    elsewhere.is_slow = True
    loop = asyncio.get_running_loop()
    esme = Esme(sessions.Bind("transceiver", "shop", "secret"))
    transport, _ = await loop.create_connection(lambda: esme, "127.0.0.1", server.port)
    await asyncio.sleep(0.1)
    transport.abort()
    async with asyncio.timeout(5):
        while not elsewhere.given_back:  # noqa: ASYNC110  it rings no bell
            await asyncio.sleep(0.01)
    assert elsewhere.given_back == elsewhere.places


async def test_a_line_that_cannot_be_counted_is_refused_as_trouble_of_ours(
    elsewhere: Elsewhere, server: Server
) -> None:
    elsewhere.trouble = StoreError("the database is away")
    async with dialled(server.port) as esme:
        assert esme.refused == reading.SYSTEM_ERROR


async def test_of_the_rate_only_our_part_holds_here(elsewhere: Elsewhere, server: Server, house: House) -> None:
    house.may(rate=40)
    elsewhere.part = 0.25
    async with dialled(server.port) as esme:
        statuses = [status for status, _ in await esme.submitted(numbered(60))]
        assert 10 <= statuses.count(0) <= 12


async def test_a_text_that_cannot_be_taken_does_not_hold_up_the_others(server: Server, house: House) -> None:
    binary = smpp.message_body(SHOP, PHONE, b"\1\2\3", data_coding=0x24)  # compressed
    async with dialled(server.port) as esme:
        assert await esme.submitted([HELLO, binary, HELLO]) == [(0, "0"), (0x104, ""), (0, "1")]


async def test_a_text_that_we_fail_to_read_costs_one_answer_and_not_the_line(
    server: Server, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = reading.read

    def fails(sequence: int, message: ShortMessage, now_ms: int) -> Submit | int:
        return read(sequence, message, now_ms) if message.octets != b"bad" else 1 // 0

    monkeypatch.setattr(reading, "read", fails)
    async with dialled(server.port) as esme:
        bad = smpp.message_body(SHOP, PHONE, b"bad")
        assert await esme.submitted([HELLO, bad, HELLO]) == [(0, "0"), (0x08, ""), (0, "1")]
    assert "could not be read" in caplog.text


async def test_data_sm_is_taken_as_well_and_answered_as_such(server: Server, house: House) -> None:
    async with dialled(server.port) as esme:
        body = smpp.data_body(SHOP, PHONE, b"Hello", registered=1)
        esme.transport.write(smpp.HEADER.pack(16 + len(body), smpp.DATA_SM, 0, 77) + body)
        await house.until(lambda: house.submits)
    assert house.submits[0].text == "Hello"


async def test_a_question_about_a_text_is_answered(server: Server) -> None:
    async with dialled(server.port) as esme:
        esme.ask(smpp.query_body("5", SHOP))
        await esme.until(lambda: esme.learned)
        reading = esme.learned[0].reading
        assert reading is not None
        assert (reading.ids, reading.state.word) == (("5",), "delivered")
        esme.ask(smpp.query_body("no number", SHOP))
        await esme.until(lambda: len(esme.learned) == 2)
        assert esme.learned[1].status == servers.CANNOT_QUERY


@pytest.mark.parametrize(
    ("command", "ident", "status"),
    [
        (smpp.CANCEL_SM, "5", 0),
        (smpp.CANCEL_SM, "6", servers.CANNOT_CANCEL),
        (smpp.REPLACE_SM, "5", servers.CANNOT_REPLACE),
    ],
)
async def test_a_text_that_has_not_left_can_be_taken_back_and_none_be_replaced(
    server: Server, command: int, ident: str, status: int
) -> None:
    async with dialled(server.port) as esme:
        answers: list[smpp.Pdu] = []
        other = esme.session._other  # what the client's side has no use for

        def heard(frame: bytes, now: float, read: Any) -> None:
            answers.append(smpp.decode(frame))
            other(frame, now, read)

        esme.session._other = heard  # type: ignore[method-assign]
        esme.transport.write(smpp.encode(smpp.Pdu(command, 0, 99, {"message_id": ident})))
        await esme.until(lambda: answers)
        assert (answers[0].command, answers[0].status) == (command | smpp.ANSWER, status)


async def test_submit_multi_is_no_command_that_we_know(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(smpp.encode(smpp.Pdu(smpp.SUBMIT_MULTI, 0, 4)))
    answer = smpp.decode(await reader.readexactly(16))
    assert answer[:3] == (smpp.GENERIC_NACK, smpp.BAD_COMMAND, 4)
    writer.close()


# --- what we bring ---------------------------------------------------------------------------------------------------


def delivery(token: object, count: int = 1) -> Delivery:
    return Delivery(token, 7, [smpp.message_body(PHONE, SHOP, b"%d" % place) for place in range(count)])


async def test_what_we_bring_is_told_once_all_its_parts_are_taken(server: Server, house: House) -> None:
    async with dialled(server.port, "receiver") as esme:
        assert server.rooms() == {7: 200}
        server.bring([delivery("one"), delivery("long", 3)])
        await house.until(lambda: len(house.told) == 2)
        assert [(each.token, each.status) for each in house.told] == [("one", 0), ("long", 0)]
        assert [message.octets for message in esme.arrived] == [b"0", b"0", b"1", b"2"]


async def test_a_part_that_is_not_taken_fails_the_whole(server: Server, house: House) -> None:
    async with dialled(server.port) as esme:
        esme.status = smpp.COME_AGAIN
        server.bring([delivery("long", 3)])
        await house.until(lambda: house.told)
        await quiet()
        assert [(each.token, each.status) for each in house.told] == [("long", smpp.COME_AGAIN)]


async def test_no_more_than_a_window_is_on_the_way(server: Server, house: House) -> None:
    house.may(window=5)
    async with dialled(server.port) as esme:
        esme.status = None
        server.bring([delivery(token) for token in range(9)])
        await esme.until(lambda: len(esme.arrived) == 5)
        await quiet()
        assert len(esme.arrived) == 5
        assert server.rooms() == {7: 1}
        esme.transport.abort()
        await house.until(lambda: len(house.told) == 9)
        assert {each.status for each in house.told} == {-1}


async def test_what_was_on_a_lost_line_or_behind_it_is_given_back(server: Server, house: House) -> None:
    house.may(window=2)
    async with dialled(server.port) as first, dialled(server.port) as second:
        first.status = second.status = None
        server.bring([delivery(token) for token in range(6)])
        await first.until(lambda: len(first.arrived) == 2)
        await second.until(lambda: len(second.arrived) == 2)
        first.transport.abort()
        await house.until(lambda: len(house.told) == 2)
        second.status = 0
        second.session.acknowledge([1, 2])
        second.flush()
        await house.until(lambda: len(house.told) == 6)
        assert sorted(each.status for each in house.told) == [-1, -1, 0, 0, 0, 0]


async def test_nothing_is_brought_to_a_transmitter(server: Server, house: House) -> None:
    async with dialled(server.port, "transmitter") as esme:
        assert server.rooms() == {}
        server.bring([delivery("one")])
        await house.until(lambda: house.told)
        assert house.told[0].status == -1
        assert not esme.arrived


# --- the end -------------------------------------------------------------------------------------------------------


async def test_a_goodbye_is_answered_after_the_texts_before_it(server: Server, house: House) -> None:
    house.holds_back = True
    async with dialled(server.port) as esme:
        esme.submit([HELLO])
        esme.unbind()
        await house.until(lambda: house.held)
        await quiet()
        assert not esme.session.closed
        house.let_go()
        await esme.until(lambda: esme.is_closed)
        assert esme.answers == {0: (0, "9")}


async def test_what_was_on_the_way_to_who_says_goodbye_before_the_last_answer_is_given_back(
    server: Server, house: House
) -> None:
    house.holds_back = True
    async with dialled(server.port) as leaving, dialled(server.port) as staying:
        leaving.status = staying.status = None
        server.bring([delivery("one"), delivery("two")])
        await leaving.until(lambda: leaving.arrived)
        await staying.until(lambda: staying.arrived)
        leaving.submit([HELLO])
        leaving.unbind()
        await house.until(lambda: house.held)
        house.let_go()
        await leaving.until(lambda: leaving.is_closed)
        assert leaving.answers == {0: (0, "9")}
        assert [each.status for each in house.told] == [-1]


async def test_who_says_goodbye_behind_texts_that_are_all_refused_is_hung_up_on(server: Server, house: House) -> None:
    house.may(window=0)
    async with dialled(server.port) as esme:
        esme.session.send([(0, HELLO)], 0)
        esme.unbind()
        await esme.until(lambda: esme.is_closed)
        assert esme.answers == {0: (smpp.THROTTLED, "")}


async def test_when_we_leave_what_came_is_answered_and_every_line_hears_goodbye(house: House) -> None:
    server = Server(house.upward(), lambda: 0)
    await server.start("127.0.0.1", 0)
    house.holds_back = True
    async with dialled(server.port) as esme:
        esme.submit([HELLO])
        await house.until(lambda: house.held)
        stopping = asyncio.create_task(server.stop())
        await quiet()
        esme.submit([HELLO], 1)
        await esme.until(lambda: esme.answers)
        assert esme.answers == {1: (smpp.THROTTLED, "")}
        with pytest.raises(OSError, match=r"(?i)connect"):
            await asyncio.open_connection("127.0.0.1", server.port)
        house.let_go()
        await stopping
        await esme.until(lambda: esme.is_closed)
        assert esme.answers[0] == (0, "9")
        assert esme.session.closed


async def test_who_may_no_longer_bind_is_sent_away(server: Server, house: House) -> None:
    async with dialled(server.port) as esme:
        server.follow(7, "another key", None)
        await quiet()
        assert not esme.is_closed
        server.follow(7, "k1", None)
        await esme.until(lambda: esme.is_closed)


async def test_where_fewer_lines_may_be_held_the_youngest_say_goodbye(server: Server, house: House) -> None:
    house.may(binds=4)
    async with contextlib.AsyncExitStack() as stack:
        esmes = [await stack.enter_async_context(dialled(server.port)) for _ in range(4)]
        house.may(binds=2)
        server.follow(7, "k1", house.account)
        for each in esmes[2:]:
            await each.until(lambda each=each: each.is_closed)  # type: ignore[misc]
        assert [each.is_closed for each in esmes] == [False, False, True, True]
        assert (await esmes[0].submitted([HELLO]))[0][0] == smpp.OK


async def test_a_line_that_is_too_many_goes_once_its_texts_are_answered_and_brings_no_more(
    server: Server, house: House
) -> None:
    async with dialled(server.port), dialled(server.port) as esme:
        house.holds_back = True
        esme.submit([HELLO])
        await house.until(lambda: house.held)
        house.may(binds=1)
        server.follow(7, "k1", house.account)
        await quiet()
        esme.submit([HELLO], 1)
        await esme.until(lambda: esme.answers)
        assert esme.answers == {1: (smpp.THROTTLED, "")}
        assert not esme.is_closed
        house.let_go()
        await esme.until(lambda: esme.is_closed)
        assert esme.answers[0] == (0, "9")


async def test_which_lines_are_too_many_is_counted_over_all_processes_as_soon_as_that_can_be(
    elsewhere: Elsewhere, server: Server, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "AGAIN_S", 0.05)
    elsewhere.free = 2
    async with dialled(server.port) as elder, dialled(server.port) as younger:
        elsewhere.too_many, elsewhere.trouble = elsewhere.places[1:], StoreError("the database is away")
        house.may(binds=1)
        server.follow(7, "k1", house.account)
        await asyncio.sleep(0.1)
        assert elsewhere.counted
        assert not younger.is_closed
        elsewhere.trouble = None
        await younger.until(lambda: younger.is_closed)
        assert not elder.is_closed


async def test_where_there_are_other_processes_only_they_all_together_are_counted(
    elsewhere: Elsewhere, server: Server, house: House
) -> None:
    elsewhere.free = 2
    house.may(binds=1)  # a line that has ended here may be counted for a moment longer, or no more
    async with dialled(server.port) as one, dialled(server.port) as two, dialled(server.port) as three:
        assert one.session.mode
        assert two.session.mode
        assert three.refused == servers.BIND_FAILED


async def test_who_is_sent_away_and_does_not_go_is_hung_up_on_and_brings_nothing(
    server: Server, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "GOODBYE_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(smpp.encode(smpp.Pdu(smpp.BIND_TRANSMITTER, 0, 1, {"system_id": "shop", "password": "secret"})))
    await reader.readuntil(b"Carillon")
    server.follow(7, "k1", None)
    server.follow(7, "k1", None)
    writer.write(smpp.HEADER.pack(16 + len(HELLO), smpp.SUBMIT_SM, 0, 2) + HELLO)
    with contextlib.suppress(ConnectionError):
        heard = await reader.read()
        assert heard.count(smpp.HEADER.pack(16, smpp.UNBIND, 0, 1)) == 1
    assert not house.submits
    writer.close()


async def test_a_new_window_holds_for_those_who_are_bound(server: Server, house: House) -> None:
    async with dialled(server.port) as esme:
        house.account = Account(7, "shop", "k1", 2, 3)
        server.follow(7, "k1", house.account)
        house.holds_back = True
        esme.submit(numbered(4))
        await esme.until(lambda: esme.answers)
        assert len(house.submits) == 3


async def test_a_port_that_is_taken_says_how_to_move_it(server: Server, house: House) -> None:
    with pytest.raises(PortTaken, match=r"listen\.smpp"):
        await Server(house.upward(), lambda: 0).start("127.0.0.1", server.port)
    with pytest.raises(CarillonError, match=r"listen\.smpp"):
        await Server(house.upward(), lambda: 0).start("203.0.113.1", 0)


async def test_a_line_may_be_encrypted(house: House) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    server = Server(house.upward(), lambda: 0, tls=context)
    await server.start("127.0.0.1", 0)
    try:
        async with dialled(server.port, tls=ssl.create_default_context(cafile=PEM)) as esme:
            assert await esme.submitted([HELLO]) == [(0, "0")]
    finally:
        await server.stop()
