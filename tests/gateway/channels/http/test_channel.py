"""The channel against a server on a real socket that takes, refuses, stalls, throttles, redirects and hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web as http

from gateway.channels.base import Channel
from gateway.channels.http import HttpCarrier, channel
from gateway.errors import Failure, Retry
from gateway.messages import Answer, Outbound, State
from tests.gateway.channels.http.house import HELLO, SITE, Asked, House, Server, public, settings_of, until

WELL = """\
channels:
  line:
    kind: http
    price: 0.01 USD per part
    answer_within: 1 s
    at_once: 4
    send:
      url: URL/send
      insecure: yes
      json: {to: "{{ recipient }}", text: "{{ text }}"}
    answer: {id: id, code: code, words: words, safe_5xx: no}
"""


def settings(folder: Path, url: str, more: str = "", **swaps: str) -> HttpCarrier:
    text = WELL.replace("URL", url) + more
    for old, new in swaps.items():
        assert old in text
        text = text.replace(f"{old}:", new)
    return settings_of(folder, text, hook="sesame")


def says(status: int = 200, body: object = None, **headers: str) -> Callable[[Asked], Awaitable[http.StreamResponse]]:
    async def answer(_: Asked) -> http.StreamResponse:
        return http.json_response({"id": "a-1"} if body is None else body, status=status, headers=headers)

    return answer


async def one(house: House, folder: Path, server: Server, message: Outbound = HELLO, more: str = "") -> Answer:
    async with house.hold(settings(folder, server.url, more)) as line:
        (answer,) = await house.send(line, message)
    return answer


def test_it_is_a_channel(tmp_path: Path, house: House) -> None:
    made: Channel = channel(settings(tmp_path, "http://127.0.0.1:1"), house.surroundings())
    assert (made.name, made.room(), made.alive(), list(made.doors())) == ("line", 0, [], [])
    assert not made.lines()[0].bound
    made.query([])
    made.thank([None, "what"])


async def test_a_text_is_taken_with_its_id(tmp_path: Path, house: House, server: Server) -> None:
    server.answer = says()
    answer = await one(house, tmp_path, server)
    assert answer == Answer(7, 1, -1, 1, "a-1")
    assert json.loads(server.asked[0].body) == {"to": "+12065550142", "text": "Hello"}
    assert server.asked[0].headers["User-Agent"] == "Carillon"


@pytest.mark.parametrize(
    ("status", "body", "retry"),
    [
        (400, {"words": "bad\nnumber"}, Retry.NEVER),
        (400, {"code": "E1"}, Retry.NEVER),
        (401, {}, Retry.STOP_CHANNEL),
        (403, {}, Retry.STOP_CHANNEL),
        (404, [], Retry.STOP_CHANNEL),
        (408, {}, Retry.LATER),
        (422, "no", Retry.NEVER),
        (429, {}, Retry.THROTTLED),
        (302, {}, Retry.STOP_CHANNEL),
        (200, {"code": "E1"}, Retry.NEVER),
    ],
)
async def test_a_refusal_has_its_class(
    tmp_path: Path, house: House, server: Server, status: int, body: object, retry: Retry
) -> None:
    server.answer = says(status, body)
    answer = await one(house, tmp_path, server)
    assert answer.failure
    assert answer.failure.retry is retry
    assert answer.failure.code == (body["code"] if isinstance(body, dict) and "code" in body else str(status))
    assert "\n" not in answer.failure.words
    assert (answer.part, answer.in_doubt, len(server.asked)) == (-1, False, 1)


@pytest.mark.parametrize(("status", "body"), [(500, {}), (503, {"code": "x"}), (200, {}), (200, ["what"])])
async def test_what_nobody_can_know_is_in_doubt(
    tmp_path: Path, house: House, server: Server, status: int, body: object
) -> None:
    server.answer = says(status, body)
    answer = await one(house, tmp_path, server)
    assert (answer.in_doubt, answer.failure, answer.part) == (True, None, -1)


async def test_a_page_instead_of_json_is_in_doubt(tmp_path: Path, house: House, server: Server) -> None:
    async def answer(_: Asked) -> http.StreamResponse:
        return http.Response(text="<h1>Welcome</h1>" + "x" * 1_000_000, content_type="text/html")

    server.answer = answer
    assert (await one(house, tmp_path, server)).in_doubt


async def test_a_carrier_that_promises_it_took_nothing_is_tried_again(
    tmp_path: Path, house: House, server: Server
) -> None:
    server.answer = says(503)
    made = settings(tmp_path, server.url)
    made = made.model_copy(update={"answer": made.answer.model_copy(update={"safe_5xx": True})})
    async with house.hold(made) as line:
        (answer,) = await house.send(line)
    assert answer.failure
    assert answer.failure.retry is Retry.LATER


async def test_a_redirect_is_never_followed(tmp_path: Path, house: House, server: Server) -> None:
    server.answer = says(307, {}, Location=f"{server.url}/elsewhere")
    assert (await one(house, tmp_path, server)).failure
    assert [each.path for each in server.asked] == ["/send"]


async def test_no_answer_in_time_is_in_doubt_and_the_line_rests(tmp_path: Path, house: House, server: Server) -> None:
    async def answer(_: Asked) -> http.StreamResponse:
        await asyncio.sleep(3)
        return http.json_response({})

    server.answer = answer
    async with house.hold(settings(tmp_path, server.url)) as line:
        (answered,) = await house.send(line)
        assert (answered.in_doubt, line.room()) == (True, 0)
        state = line.lines()[0]
        assert (state.bound, state.lost) == (False, 1)
        assert state.trouble
        assert state.trouble.words == "the carrier does not answer"


async def test_a_line_that_falls_after_the_request_is_in_doubt(tmp_path: Path, house: House) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with tcp(hang_up) as url, house.hold(settings(tmp_path, url)) as line:
        (answer,) = await house.send(line)
    assert (answer.in_doubt, answer.failure) == (True, None)


async def test_a_carrier_who_is_not_there_is_tried_again_and_gets_one_text_at_a_time(
    tmp_path: Path, house: House, server: Server
) -> None:
    async with tcp(lambda *_: None) as url:
        pass  # nobody listens there now
    async with house.hold(settings(tmp_path, url)) as line:
        (answer,) = await house.send(line)
        assert answer.failure == Failure("no connection", "no connection to the carrier", Retry.LATER)
        assert line.send([HELLO]) == [HELLO]
        ready = house.ready
        await until(lambda: house.ready > ready)
        assert line.room() == 1
        (answer,) = await house.send(line)
        assert answer.failure
        assert line.lines()[0].lost == 1


async def test_a_failed_handshake_leaves_no_doubt(tmp_path: Path, house: House) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        writer.close()

    async with tcp(babble) as url, house.hold(settings(tmp_path, url.replace("http:", "https:"))) as line:
        (answer,) = await house.send(line)
    assert answer.failure
    assert answer.failure.retry is Retry.LATER


async def test_a_carrier_who_comes_back_gets_everything(tmp_path: Path, house: House, server: Server) -> None:
    server.answer = says(500)
    async with house.hold(settings(tmp_path, server.url)) as line:
        await house.send(line)
        server.answer = says()
        await until(lambda: line.room() > 0)
        assert line.room() == 1
        await house.send(line)
        assert line.room() == 4
        assert (line.lines()[0].bound, line.lines()[0].trouble) == (True, None)


async def test_asked_to_slow_down_it_waits_as_long_as_it_is_told(tmp_path: Path, house: House, server: Server) -> None:
    server.answer = says(429, {}, **{"Retry-After": "2"})
    async with house.hold(settings(tmp_path, server.url)) as line:
        (answer,) = await house.send(line)
        assert answer.failure
        assert answer.failure.retry is Retry.THROTTLED
        assert line.room() == 0
        began = asyncio.get_running_loop().time()
        await until(lambda: line.room() > 0)
        assert asyncio.get_running_loop().time() - began > 1.8
        assert (line.room(), line.lines()[0].throttled) == (4, 1)


async def test_no_more_requests_wait_than_were_allowed(tmp_path: Path, house: House, server: Server) -> None:
    gate, waiting, most = asyncio.Event(), 0, 0

    async def answer(_: Asked) -> http.StreamResponse:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await gate.wait()
        waiting -= 1
        return http.json_response({"id": "x"})

    server.answer = answer
    batch = [HELLO._replace(id=number) for number in range(10)]
    async with house.hold(settings(tmp_path, server.url)) as line:
        assert [each.id for each in line.send(batch)] == [4, 5, 6, 7, 8, 9]
        assert line.room() == 0
        assert line.send(batch[4:]) == batch[4:]
        await until(lambda: waiting == 4)
        gate.set()
        await until(lambda: len(house.answers) == 4)
        assert (most, line.room()) == (4, 4)


async def test_draining_waits_for_answers_and_takes_nothing_more(tmp_path: Path, house: House, server: Server) -> None:
    gate = asyncio.Event()

    async def answer(_: Asked) -> http.StreamResponse:
        await gate.wait()
        return http.json_response({"id": "x"})

    server.answer = answer
    async with house.hold(settings(tmp_path, server.url)) as line:
        line.send([HELLO])
        await until(lambda: len(server.asked) == 1)
        draining = asyncio.create_task(line.drain(5))
        await asyncio.sleep(0)
        assert line.send([HELLO]) == [HELLO]
        gate.set()
        await draining
        assert [each.carrier_id for each in house.answers] == ["x"]


async def test_cancelled_it_answers_for_everything_it_was_given(tmp_path: Path, house: House, server: Server) -> None:
    async def answer(_: Asked) -> http.StreamResponse:
        await asyncio.sleep(3)
        return http.json_response({})

    server.answer = answer
    async with house.hold(settings(tmp_path, server.url)) as line:
        line.send([HELLO._replace(id=number) for number in range(4)])
        await until(lambda: len(server.asked) == 4)
    assert sorted(each.message for each in house.answers if each.in_doubt) == [0, 1, 2, 3]


async def test_what_was_not_begun_when_it_was_cancelled_can_go_again(
    tmp_path: Path, house: House, server: Server
) -> None:
    async with house.hold(settings(tmp_path, server.url)) as line:
        line.send([HELLO])  # cancelled before a worker wakes
    (answer,) = house.answers
    assert answer.failure
    assert answer.failure.retry is Retry.LATER


async def test_half_a_character_can_never_be_written(tmp_path: Path, house: House, server: Server) -> None:
    server.answer = says()
    answer = await one(house, tmp_path, server, HELLO._replace(text="\ud83d"))
    assert answer.failure
    assert (answer.failure.code, answer.failure.retry, server.asked) == ("unwritable", Retry.NEVER, [])


async def test_a_line_break_begins_no_header(tmp_path: Path, house: House, server: Server) -> None:
    server.answer = says()
    made = settings(tmp_path, server.url)
    made = made.model_copy(update={"send": made.send.model_copy(update={"headers": {"X-Text": "{{ text }}"}})})
    async with house.hold(made) as line:
        (answer,) = await house.send(line, HELLO._replace(text="a\r\nX-Evil: 1"))
    assert answer.failure
    assert (answer.failure.code, server.asked) == ("unwritable", [])


async def test_by_get_a_text_leaves_once_even_where_lines_fall(tmp_path: Path, house: House) -> None:
    heard = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                heard += 1
                if heard > 1:
                    writer.transport.abort()
                writer.write(
                    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id": "x"}'
                )

    async with tcp(once) as url:
        made = settings(tmp_path, url)
        send = made.send.model_copy(update={"json_": None, "method": "GET", "query": {"t": "{{ text }}"}})
        async with house.hold(made.model_copy(update={"send": send})) as line:
            await house.send(line)
            (answer,) = await house.send(line)
    assert (answer.in_doubt, heard) == (True, 2)


async def test_a_partly_taken_text_is_not_sent_again(tmp_path: Path, house: House, server: Server) -> None:
    more = '    receipts: {id: id, state: s, delivered: [d]}\n    proof: {basic: "x:{{ secret.hook }}"}\n'
    server.answer = says(200, {"m": [{"id": "a", "s": "0"}, {"s": "5", "w": "broken"}]})
    words = "{id: m.*.id, code: m.*.s, words: m.*.w, good: [0], later: [5]}"
    text = WELL.replace("URL", server.url).replace("{id: id, code: code, words: words, safe_5xx: no}", words)
    made = settings_of(tmp_path, text + "    secrets: {hook: secrets/hook}\n" + more, hook="sesame")
    async with house.hold(made) as line:
        first, second = await house.send(line, HELLO._replace(text="x" * 200))
        (short,) = await house.send(line)
    assert first == Answer(7, 1, 0, 2, "a")
    assert second == Answer(7, 1, 1, 2, "", Failure("5", "broken", Retry.NEVER))
    assert short == Answer(7, 1, -1, 1, "a")


# --- doors

DOORS = """\
    secrets: {hook: secrets/hook}
    receipts: {id: id, state: state, delivered: [ok], failed: [bad], list: events}
    inbound: {sender: from, text: text, encoding: hex_ucs2}
    proof: {basic: "carrier:{{ secret.hook }}", token: {at: header X-Key, value: "{{ secret.hook }}"}}
"""
SHOWN = {"Authorization": "Basic Y2FycmllcjpzZXNhbWU=", "X-Key": "sesame"}


@contextlib.asynccontextmanager
async def opened(house: House, folder: Path) -> AsyncIterator[tuple[Callable[..., Awaitable[int]], str]]:
    async with house.hold(settings(folder, "http://127.0.0.1:1", DOORS)) as line, public(line) as (client, url):

        async def post(path: str, body: object, **headers: str) -> int:
            async with client.post(f"{url}/{path}", json=body, headers={**SHOWN, **headers}) as reply:
                return reply.status

        yield post, url


async def test_a_call_is_answered_only_once_it_is_kept(tmp_path: Path, house: House) -> None:
    house.keeps = None
    async with opened(house, tmp_path) as (post, _):
        calling = asyncio.ensure_future(post("receipts", {"events": [{"id": "1", "state": "ok"}] * 2}))
        await until(lambda: len(house.receipts) == 2)
        await asyncio.sleep(0.05)
        assert not calling.done()
        assert house.channel
        house.channel.thank([house.receipts[0].handle])
        assert await calling == 200


async def test_what_could_not_be_kept_is_brought_again(tmp_path: Path, house: House) -> None:
    house.keeps = False
    async with opened(house, tmp_path) as (post, _):
        assert await post("inbound", {"from": "12065550142", "text": "0048"}) == 503


async def test_all_that_stands_under_proof_must_hold(tmp_path: Path, house: House) -> None:
    async with opened(house, tmp_path) as (post, _):
        body = {"from": "12065550142", "text": "0048"}
        assert await post("inbound", body, Authorization="Basic eDp5") == 403
        assert await post("inbound", body, **{"X-Key": "sesam\u00e9".encode().decode("latin-1")}) == 403
        assert await post("inbound", body) == 200
    (text,) = house.texts
    assert (text.sender, text.recipient, text.text) == ("+12065550142", "+12065550100", "H")


async def test_who_knocks_all_day_does_not_fill_the_log(
    tmp_path: Path, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(house, tmp_path) as (post, _):
        for _ in range(20):
            assert await post("inbound", {}, Authorization="") == 403
    assert [record.getMessage() for record in caplog.records if "prove" in record.getMessage()] == [
        "line: 1 call(s), the last to inbound did not prove to be the carrier's"
    ]


async def test_calls_that_say_nothing_are_told_so(tmp_path: Path, house: House) -> None:
    async with opened(house, tmp_path) as (post, _):
        assert await post("receipts", {"events": [{"id": "1"}, "what", None, [[]]]}) == 400
        assert await post("receipts", {"events": []}) == 200
        assert await post("inbound", "what") == 400
        assert await post("nothing", {}) == 404
    assert (house.receipts, house.texts) == ([], [])


async def test_an_unnamed_word_means_on_the_way(tmp_path: Path, house: House) -> None:
    async with opened(house, tmp_path) as (post, _):
        await post("receipts", {"events": [{"id": 1, "state": "buffered"}, {"id": "2", "state": "bad"}]})
    assert [(each.carrier_ids[0], each.state) for each in house.receipts] == [("1", State.SENT), ("2", State.FAILED)]


async def test_a_text_without_an_id_is_on_one_line_until_an_answer_may_be_lost(tmp_path: Path, house: House) -> None:
    body = {"from": "12065550142", "text": "0048"}
    async with opened(house, tmp_path) as (post, _):
        await post("inbound", body)
        await post("inbound", body)
        house.keeps = False
        await post("inbound", body)
        house.keeps = True
        await post("inbound", body)
        assert house.channel
        assert house.channel.alive() == [house.texts[3].line]
    lines = [text.line for text in house.texts]
    assert lines[0] == lines[1] == lines[2] < lines[3]
    assert len({text.fingerprint for text in house.texts}) == 1


async def test_our_addresses_stand_on_the_public_site(tmp_path: Path, house: House, server: Server) -> None:
    server.answer = says()
    made = settings(tmp_path, server.url, DOORS)
    made = made.model_copy(
        update={"send": made.send.model_copy(update={"json_": {"r": "{{ receipts.url }}", "i": "{{ inbound.url }}"}})}
    )
    async with house.hold(made, name="a line") as line:
        await house.send(line)
    assert json.loads(server.asked[0].body) == {
        "r": f"{SITE}/carriers/a%20line/receipts", "i": f"{SITE}/carriers/a%20line/inbound",
    }  # fmt: skip


@contextlib.asynccontextmanager
async def tcp(serve: Callable[..., object]) -> AsyncIterator[str]:
    opened = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    try:
        yield f"http://127.0.0.1:{opened.sockets[0].getsockname()[1]}"
    finally:
        opened.close()
