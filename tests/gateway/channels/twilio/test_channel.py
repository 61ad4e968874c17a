"""Texts leave through Twilio as its own library would send them, and each is answered once, whatever happens."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from gateway.channels.base import Channel
from gateway.channels.twilio.failures import FAILURES
from gateway.channels.twilio.requests import Requests
from gateway.config import Secret
from gateway.errors import Retry
from gateway.messages import ALL_PARTS, Asked, Content, Outbound, State
from tests.gateway.channels.twilio.conftest import (
    ACCOUNT,
    FROM,
    NOW_MS,
    TO,
    TOKEN,
    Stage,
    Staged,
    serving,
    settings,
    text,
)
from tests.peers.fake_twilio import wrong

SERVICE = "MG" + "a" * 32


def taken(tmp_path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (tmp_path / "taken.jsonl").read_text().splitlines()]


async def test_it_is_a_channel(staged: Staged) -> None:
    channel: Channel = (await staged()).channel
    assert [door.path for door in channel.doors()] == ["in", "status"]
    assert channel.alive() == []
    assert channel.lines()[0].bound


async def test_a_text_is_taken_under_twilios_name_and_receipts_follow(staged: Staged, tmp_path: Path) -> None:
    stage = await staged()
    assert stage.channel.send([text(7, words="投票 3 👍")]) == []
    await stage.until(lambda: len(stage.receipts) == 3)

    [line] = taken(tmp_path)
    [answer] = stage.answers
    assert (answer.message, answer.part, answer.carrier_id, answer.failure) == (7, ALL_PARTS, line["sid"], None)
    assert (line["From"], line["To"], line["Body"], line["SmartEncoded"]) == (FROM, TO, "投票 3 👍", "false")
    assert "ValidityPeriod" not in line
    assert {each.carrier_ids for each in stage.receipts} == {(line["sid"],)}
    assert [each.state for each in stage.receipts] == [State.SENT, State.SENT, State.DELIVERED]
    assert stage.order[0] == "answer"


@pytest.mark.parametrize(
    ("left_ms", "period"),
    [(86_400_000, "36000"), (36_000_000, "36000"), (35_999_999, "35999"), (5_000, "5"), (1_000, "1")],
)
async def test_twilio_keeps_a_text_no_longer_than_it_lives(
    staged: Staged, tmp_path: Path, left_ms: int, period: str
) -> None:
    stage = await staged("--receipts", "-1")
    stage.channel.send([text(valid_until=NOW_MS + left_ms)])
    await stage.until(lambda: stage.answers)
    assert taken(tmp_path)[0]["ValidityPeriod"] == period


async def test_a_text_whose_time_is_over_never_leaves(staged: Staged, tmp_path: Path) -> None:
    stage = await staged()
    assert stage.channel.send([text(valid_until=NOW_MS + 999), text(2, valid_until=NOW_MS - 1)]) == []
    await stage.until(lambda: len(stage.answers) == 2)
    assert [answer.failure for answer in stage.answers] == [FAILURES[30036]] * 2
    assert taken(tmp_path) == []


async def test_a_text_of_more_than_1600_code_units_never_leaves(staged: Staged, tmp_path: Path) -> None:
    stage = await staged("--receipts", "-1")
    stage.channel.send([text(1, words="👍" * 801), text(2, words="👍" * 800)])
    await stage.until(lambda: len(stage.answers) == 2)
    assert {answer.message: answer.failure for answer in stage.answers} == {1: FAILURES[21617], 2: None}
    assert [line["Body"] for line in taken(tmp_path)] == ["👍" * 800]


async def test_a_messaging_service_sends_from_the_number_that_we_chose(staged: Staged, tmp_path: Path) -> None:
    stage = await staged("--receipts", "-1", messaging_service=SERVICE)
    stage.channel.send([text()])
    await stage.until(lambda: stage.answers)
    [line] = taken(tmp_path)
    assert (line["MessagingServiceSid"], line["From"]) == (SERVICE, FROM)
    assert stage.channel.drifts == 0  # it does not know the parts yet


async def test_an_api_key_is_shown_in_place_of_the_token(staged: Staged, tmp_path: Path) -> None:
    key = "SK" + "b" * 32
    (tmp_path / "secret").write_text("s3cret\n")
    stage = await staged(
        "--receipts", "-1", "--key", key, "--secret", "s3cret", api_key=key, api_key_file=Secret(tmp_path, "s3cret")
    )
    stage.fake.options.token = "not this one"
    stage.channel.send([text()])
    await stage.until(lambda: stage.answers)
    assert stage.answers[0].carrier_id


# --- what fails


async def answer_to(stage: Stage, number: str) -> tuple[str, Retry | None, bool]:
    stage.channel.send([text(to=number)])
    await stage.until(lambda: stage.answers)
    answer = stage.answers.pop()
    failure = answer.failure
    return (failure.code if failure else answer.carrier_id, failure.retry if failure else None, answer.in_doubt)


# reliability-security.md 1.3, row by row; what only ever comes as a receipt is in test_doors.py
@pytest.mark.parametrize(
    ("codes", "retry"),
    [
        ([20429, 21611, 14107, 63018], Retry.THROTTLED),
        ([21211, 21214, 21614, 21612, 21610, 21602, 21617, 21620, 21623, 11751, 21408, 21608], Retry.NEVER),
        ([20003, 20404, 21603, 21606, 21703, 21704, 21705], Retry.STOP_CHANNEL),
        ([21999], Retry.NEVER),
    ],
)
async def test_each_error_has_its_class(staged: Staged, codes: list[int], retry: Retry) -> None:
    for code in codes:
        stage = await staged()
        assert await answer_to(stage, f"+19990{code}") == (str(code), retry, False)
        assert stage.fake.messages == {}


async def test_a_person_who_left_at_twilio_has_left(staged: Staged) -> None:
    stage = await staged()
    stage.channel.send([text(to="+1999021610")])
    await stage.until(lambda: stage.answers)
    failure = stage.answers[0].failure
    assert failure is not None
    assert failure.left
    assert not failure.elsewhere


@pytest.mark.parametrize("number", ["+1999200500", "+1999200502", "+1999200503", "+1999200599", "+1999200408"])
async def test_a_servers_fault_is_a_doubt(staged: Staged, number: str) -> None:
    assert await answer_to(await staged(), number) == ("", None, True)


@pytest.mark.parametrize("number", ["+19993000001", "+19993100001", "+19993200001", "+19993300001"])
async def test_no_answer_or_half_of_one_is_a_doubt(staged: Staged, number: str) -> None:
    """Twilio is silent, hangs up after taking it, hangs up before, or answers nonsense: we cannot know which."""
    stage = await staged("--receipts", "-1", answer_within=timedelta(seconds=1))
    assert await answer_to(stage, number) == ("", None, True)
    assert stage.channel.room() == 0  # it rests


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (301, Retry.STOP_CHANNEL),
        (403, Retry.STOP_CHANNEL),
        (404, Retry.STOP_CHANNEL),
        (400, Retry.NEVER),
        (429, Retry.THROTTLED),
    ],
)
async def test_an_answer_without_an_error_of_twilios_is_judged_by_its_status(
    staged: Staged, status: int, retry: Retry
) -> None:
    assert (await answer_to(await staged(), f"+19992{status:05}"))[1:] == (retry, False)


async def test_what_cannot_be_reached_is_tried_later_or_elsewhere(staged: Staged) -> None:
    stage = await staged(api="http://127.0.0.1:1")
    assert await answer_to(stage, TO) == ("unreachable", Retry.LATER, False)
    line = stage.channel.lines()[0]
    assert line.trouble is not None
    assert line.trouble.elsewhere
    assert not line.bound
    assert stage.channel.room() == 0
    await stage.until(stage.channel.room)
    assert stage.channel.lines()[0].bound  # so that somebody tries it


async def test_a_certificate_that_is_not_twilios_lets_nothing_leave(staged: Staged) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parents[3] / "peers" / "localhost.pem")
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(10))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    stage = await staged(api=f"https://localhost:{server.sockets[0].getsockname()[1]}")
    assert (await answer_to(stage, TO))[1:] == (Retry.LATER, False)
    assert not any(heard)
    server.close()


# --- how many at once


async def test_no_more_wait_for_an_answer_than_may(staged: Staged) -> None:
    stage = await staged("--receipts", "-1", "--delay", "0.05", at_once=3)
    batch = [text(n) for n in range(1, 6)]
    assert stage.channel.send(batch) == batch[3:]
    assert stage.channel.room() == 0
    await stage.until(lambda: len(stage.answers) == 3)
    assert stage.channel.room() == 3
    assert stage.fake.most_at_once == 3


async def test_slow_down_halves_the_requests_and_waits_for_as_long_as_was_asked(staged: Staged) -> None:
    stage = await staged("--receipts", "-1", at_once=8)
    stage.channel.send([text(n, to=f"+1999340000{n}") for n in range(1, 7)])
    await stage.until(lambda: len(stage.answers) == 6)
    began = asyncio.get_running_loop().time()

    assert {answer.failure.retry for answer in stage.answers if answer.failure} == {Retry.THROTTLED}
    assert stage.channel.room() == 0
    assert stage.channel.lines()[0].bound
    await stage.until(stage.channel.room)
    assert asyncio.get_running_loop().time() - began > 0.9  # Retry-After: 1
    assert stage.channel.room() == 4  # six refusals of one moment halve it once
    assert stage.channel.lines()[0].throttled == 6

    stage.answers.clear()
    for n in range(20):
        stage.channel.send([text(100 + n)])
        await stage.until(lambda: not stage.channel.lines()[0].in_flight)
    assert stage.channel.room() > 6


async def test_a_carrier_that_is_out_costs_a_handful_of_texts_and_not_the_campaign(staged: Staged) -> None:
    stage = await staged(api="http://127.0.0.1:1", at_once=20)
    end = asyncio.get_running_loop().time() + 2
    n = 0
    while asyncio.get_running_loop().time() < end:
        batch = [text(n := n + 1) for _ in range(20)]
        stage.channel.send(batch)
        await asyncio.sleep(0.01)
    assert len(stage.answers) <= 40


async def test_what_is_under_way_at_the_end_is_a_doubt_and_nothing_leaves_after(staged: Staged) -> None:
    stage = await staged("--receipts", "-1")
    stage.channel.send([text(1, to="+19993000001"), text(2)])
    await stage.until(lambda: stage.answers)
    await stage.channel.drain(0.1)
    assert {answer.message: answer.in_doubt for answer in stage.answers} == {1: True, 2: False}
    assert stage.channel.room() == 0
    assert stage.channel.send([text(3)]) == [text(3)]


async def test_a_text_that_had_no_time_to_begin_is_answered_too(staged: Staged) -> None:
    stage = await staged("--receipts", "-1")
    stage.channel.send([text(n) for n in range(1, 4)])
    await stage.channel.drain(0)
    assert len(stage.answers) == 3


# --- receipts and answers


async def test_a_receipt_that_comes_before_the_answer_is_the_answer(staged: Staged) -> None:
    stage = await staged("--receipts", "0.01")
    stage.channel.send([text(5, to="+19993500001")])
    await stage.until(lambda: len(stage.receipts) == 3 and not stage.channel.lines()[0].in_flight)
    [answer] = stage.answers
    assert (answer.message, answer.carrier_id) == (5, stage.receipts[0].carrier_ids[0])
    assert stage.order[:2] == ["answer", "receipt"]


async def test_a_receipt_brings_the_answer_that_was_lost(staged: Staged) -> None:
    stage = await staged("--receipts", "0.3")
    stage.channel.send([text(5, to="+19993100001", attempt=1)])
    await stage.until(lambda: len(stage.answers) == 1)
    assert stage.answers[0].in_doubt
    await stage.until(lambda: len(stage.receipts) == 3)
    late = stage.answers[1]
    sid = next(iter(stage.fake.messages))
    assert (late.message, late.attempt, late.carrier_id, late.in_doubt) == (5, 1, sid, False)
    assert len(stage.answers) == 2  # one more, and no more


async def test_twilio_is_asked_what_became_of_a_text(staged: Staged) -> None:
    stage = await staged("--receipts", "-1", "--key", "", "--secret", "")
    stage.channel.send([text(n) for n in (1, 2)])
    await stage.until(lambda: len(stage.answers) == 2)
    one, two = (answer.carrier_id for answer in stage.answers)
    stage.fake.messages[one]["status"] = "delivered"
    stage.fake.messages[two] |= {"status": "undelivered", "error_code": 30005}

    stage.channel.query([Asked(sid, FROM, TO) for sid in (one, two, "SM" + "f" * 32, "")])
    await stage.until(lambda: len(stage.receipts) == 2)
    found = {each.carrier_ids[0]: (each.state, each.code, each.handle) for each in stage.receipts}
    assert found == {one: (State.DELIVERED, "", None), two: (State.FAILED, "30005", None)}


async def test_other_parts_than_ours_are_counted_and_said_once(
    staged: Staged, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await staged("--receipts", "-1")
    words = "é" * 71  # two parts to the fake, which knows no GSM alphabet, one to us
    with caplog.at_level(logging.WARNING):
        stage.channel.send([text(n, words=words) for n in (1, 2)])
        await stage.until(lambda: len(stage.answers) == 2)
    assert stage.channel.drifts == 2
    assert len([line for line in caplog.messages if "we count 1" in line]) == 1


async def test_no_log_names_a_phone_or_a_text(staged: Staged, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        stage = await staged("--receipts", "0.01")
        numbers = [TO, "+1999021211", "+1999200500", "+19993300001"]
        stage.channel.send([text(n, to=to, words="a-secret-word") for n, to in enumerate(numbers, 1)])
        await stage.until(lambda: len(stage.answers) >= 4 and len(stage.receipts) >= 3)
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("gateway"))
    assert not [number for number in numbers if number.removeprefix("+") in ours]
    assert "a-secret-word" not in ours


# --- the same request as Twilio's own library


class Recorder(TwilioHttpClient):  # type: ignore[misc]  # the library has no types
    """Keeps what the library would send."""

    def request(self, method: str, url: str, **rest: object) -> Response:
        self.sent = (method, url, rest)
        return Response(201, json.dumps({"sid": "SM" + "0" * 32}))


OUTBOUNDS = st.builds(
    lambda n, sender, to, words, left, media: Outbound(
        n,
        n % 3,
        sender,
        to,
        words,
        valid_until=left and NOW_MS + left,
        content=Content(tuple(media)) if media else None,
    ),
    st.integers(1, 2**63 - 1),
    st.sampled_from([FROM, "20655", "Lantern"]),
    st.from_regex(r"\+[1-9][0-9]{6,13}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
    st.one_of(st.just(0), st.integers(1_000, 200_000_000)),
    st.lists(st.sampled_from(["https://shop.example/a.jpg?a=1&b=2", "https://shop.example/灯.png"]), max_size=3),
)


async def test_our_requests_are_those_of_twilios_own_library_field_for_field(tmp_path: Path) -> None:
    """And every one of them fits the strict schema."""
    heard: list[tuple[str, str, str, list[tuple[str, str]]]] = []

    async def take(request: web.Request) -> web.Response:
        form = await request.post()
        pairs = [(name, str(value)) for name, value in form.items()]
        assert wrong(pairs) == []
        heard.append((request.method, request.path, request.headers["Authorization"], pairs))
        return web.json_response({"sid": "SM" + "0" * 32}, status=201)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    async with serving(app) as api:
        loop = asyncio.get_running_loop()
        recorder = Recorder()
        client = Client(ACCOUNT, TOKEN, http_client=recorder)
        client.api.base_url = api
        clients = {
            service: Requests(settings(tmp_path, api=api, messaging_service=service)) for service in (None, SERVICE)
        }

        async def both(message: Outbound, service: str | None) -> None:
            left = (message.valid_until - NOW_MS) // 1000 if message.valid_until else 0
            life, callback = min(left, 36_000), f"https://gw.example/status?message={message.id}"
            fields: dict[str, object] = {"validity_period": life} if life else {}
            fields |= {"messaging_service_sid": service} if service else {}
            media = message.content.media if message.content else ()
            fields |= {"media_url": [*media]} if media else {}
            client.messages.create(
                to=message.recipient, from_=message.sender, body=message.text, status_callback=callback,
                smart_encoded=False, **fields,
            )  # fmt: skip
            await clients[service].send(message.sender, message.recipient, message.text, callback, life, media)
            method, url, rest = recorder.sent
            data = rest["data"].items()  # type: ignore[attr-defined]
            form = [
                (name, str(each)) for name, value in data for each in (value if isinstance(value, list) else [value])
            ]
            assert heard[-1][:2] == (method, url.removeprefix(api))
            assert heard[-1][3] == form

        @examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(OUTBOUNDS, st.sampled_from([None, SERVICE]))
        def compare(message: Outbound, service: str | None) -> None:
            asyncio.run_coroutine_threadsafe(both(message, service), loop).result(10)

        await asyncio.to_thread(compare)
        for each in clients.values():
            await each.close()
    assert len(heard) >= 300
    assert {authorization for _, _, authorization, _ in heard} == {heard[0][2]}
