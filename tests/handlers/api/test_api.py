"""The manners of the API: who may come in, what is said to those who may not, and that nothing brings it down."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import random
from typing import Any

import aiohttp
import pytest

from campaigns import clients
from campaigns.clients import Kind
from gateway import web
from gateway.errors import StoreError
from handlers.api import app as api
from handlers.api import problems
from handlers.api.calls import next_cursor
from handlers.app import App
from tests.handlers.api.conftest import ANA, Caller, key_of

pytestmark = pytest.mark.engine("sqlite")


async def test_a_key_may_be_shown_as_bearer_or_as_the_user_of_basic(shop: Caller) -> None:
    basic = base64.b64encode(f"{shop.key}:".encode()).decode()

    assert (await shop.get("/v1/me")).status == 200
    assert (await shop.get("/v1/me", Authorization=f"Basic {basic}")).status == 200
    assert (await shop.get("/v1/me", Authorization=f"bearer {shop.key}")).status == 200


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ck_live_aaaaaaaa_bbbb",
        "Basic !!!",
        "Basic /////w==",
        "Digest x",
        "Bearer \xff\xfe",
        "Bearer x x",
    ],
)
async def test_whoever_shows_no_right_key_is_told_the_same(shop: Caller, shown: str) -> None:
    answer = await shop.by("").get("/v1/me", **({"Authorization": shown} if shown else {}))

    assert answer.problem == "no-key"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    body = answer.body
    del body["request_id"]
    assert body == {
        "type": "/problems/no-key", "title": "No key, or not a right one", "status": 401,
        "detail": problems.KINDS["no-key"].cure,
    }  # fmt: skip


async def test_a_key_that_is_ended_is_refused_within_a_second(shop: Caller, app: App) -> None:
    assert (await shop.get("/v1/me")).status == 200
    key = clients.key_id(shop.key)

    await app.store.write(clients.end_key, app.business, key, app.clock.now_ms())
    await asyncio.sleep(1)

    assert (await shop.get("/v1/me")).problem == "no-key"


async def test_a_key_without_the_scope_is_told_which_it_wants(shop: Caller, app: App) -> None:
    reader = shop.by(await key_of(app, "shop", Kind.LIVE, "read"))

    answer = await reader.post("/v1/messages", {"to": ANA, "text": "hi"})

    assert answer.status == 403
    assert answer.problem == "scope"
    assert "send" in answer.body["detail"]
    assert (await reader.get("/v1/messages")).status == 200


async def test_me_tells_what_the_client_may_do(shop: Caller, app: App) -> None:
    slow = shop.by(await key_of(app, "slow", Kind.TEST))

    told = (await slow.get("/v1/me")).body

    assert told["client"] == "slow"
    assert told["test"] is True
    assert told["scopes"] == ["send"]
    assert told["rate"] == 5
    assert told["program"] == "lantern_club"
    assert [each["name"] for each in told["senders"]] == ["seattle", "shanghai"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "bad-json"),
        (b"{", "bad-json"),
        (b"\xff\xfe{}", "bad-json"),
        (b'{"to": NaN, "text": "x"}', "bad-json"),
        (b'{"to": "\\ud800", "text": "x"}', "bad-json"),
        (b'{"to": "+12065550142", "text": "\\u0000"}', "bad-request"),
        (b"[" * 5000 + b"]" * 5000, "bad-json"),
        (b"[]", "bad-request"),
        (b"null", "bad-request"),
        (b'"x"', "bad-request"),
        (b'{"to": 1e400, "text": "x"}', "bad-json"),
        (b'{"to": 123456789012345678901234567890, "text": "x"}', "bad-request"),
        (b'{"to": "x", "text": "' + b"x" * 70_000 + b'"}', "too-large"),
        (b'{"to": "+12065550142", "text": "hi"} x', "bad-json"),
        ('{"to": "+12065550142", "text": "hi"}'.encode("utf-16"), "bad-json"),
    ],
)
async def test_a_body_that_cannot_be_read_is_never_our_failure(shop: Caller, body: bytes, problem: str) -> None:
    assert (await shop.post("/v1/messages", body)).problem == problem


async def test_of_two_fields_of_one_name_the_last_counts(shop: Caller) -> None:
    answer = await shop.post("/v1/messages", b'{"to": "1", "to": "+12065550142", "text": "hi"}')

    assert answer.body["to"] == ANA


async def test_a_body_must_say_that_it_is_json_in_utf_8(shop: Caller, example: dict[str, Any]) -> None:
    good, bad = "application/json; charset=UTF-8", "application/json; charset=latin-1"

    assert (await shop.post("/v1/messages", example, Content_Type=good)).status == 201
    assert (await shop.post("/v1/messages", example, Content_Type=bad)).problem == "media-type"
    form = await shop.post("/v1/messages", b"to=1", Content_Type="application/x-www-form-urlencoded")
    assert form.problem == "media-type"


async def test_a_batch_may_have_ten_megabytes_and_no_more(shop: Caller) -> None:
    answer = await shop.post("/v1/messages/batch", b" " * (10 * 1024 * 1024 + 1))

    assert answer.problem == "too-large"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=1&limit=2", "lmit=3", "state=gone", "cursor=x", "to=%00"]
)
async def test_a_parameter_that_is_wrong_is_named(shop: Caller, query: str) -> None:
    answer = await shop.get(f"/v1/messages?{query}")

    assert answer.problem == "bad-request"
    assert answer.body["errors"][0]["parameter"] in query + " query"


async def test_addresses_and_methods_that_are_not_there_are_told_apart(shop: Caller) -> None:
    assert (await shop.get("/v1/nothing")).problem == "not-found"
    wrong = await shop("DELETE", "/v1/messages")
    assert wrong.problem == "method"
    assert set(wrong.headers["Allow"].split(",")) >= {"GET", "POST"}
    assert (await shop.get("/v1/messages/batch")).headers["Allow"] == "POST"
    assert (await shop.get("/v1/messages/abc")).problem == "not-found"
    assert (await shop.get(f"/v1/messages/{1 << 63}")).problem == "not-found"
    options = await shop("OPTIONS", "/v1/messages")
    assert options.status == 204
    assert "POST" in options.headers["Allow"]
    head = await shop("HEAD", "/v1/messages")
    assert (head.status, head.raw) == (200, b"")


async def test_every_answer_has_a_name_and_keeps_browsers_tame(shop: Caller) -> None:
    mine = await shop.get("/v1/me", X_Request_Id="my-own-name-7")
    wild = await shop.get("/v1/me", X_Request_Id="no good; name")

    assert mine.headers["X-Request-Id"] == "my-own-name-7"
    assert len(wild.headers["X-Request-Id"]) == 20
    for header, value in {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}.items():
        assert mine.headers[header] == value
    assert "default-src 'none'" in mine.headers["Content-Security-Policy"]


async def test_every_problem_has_a_page_that_explains_it(shop: Caller) -> None:
    first = await shop.by("").get("/")

    assert first.status == 200
    assert b"<script" not in first.raw
    for name, kind in problems.KINDS.items():
        page = await shop.by("").get(f"/problems/{name}")
        assert page.status == 200
        assert kind.title.encode() in page.raw
    assert (await shop.by("").get("/problems/nothing")).problem == "not-found"


async def test_the_document_is_there_for_everybody(shop: Caller) -> None:
    told = (await shop.by("").get("/v1/openapi.json")).body

    assert told["openapi"].startswith("3.1")
    assert {*told["paths"]} == {each.path for each in api.OPERATIONS}


async def test_a_body_of_any_octets_never_gives_500(shop: Caller) -> None:
    chance = random.Random(7)
    seed = json.dumps(
        {"to": ANA, "text": "hi", "from": "20655", "send_at": "2026-11-22T18:30:00Z", "valid_for": 60, "urgent": True,
         "callback": {"url": "https://x.example/a"}, "mode": "each", "messages": [{"to": ANA, "text": "x"}]}
    ).encode()  # fmt: skip
    paths = [each for each in api.OPERATIONS if each.method != "GET"]
    for _ in range(5_000 if os.environ.get("CARILLON_TORTURE") else 300):
        body = bytearray(seed)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(body))
            piece = chance.choice(
                [b"\xff", b'"', b"{", b"[", b"null", b"-1", b"\\u0000", b"\\ud83d", b"1e999", b",", b""]
            )
            body[at : at + chance.randrange(4)] = piece
        operation = chance.choice(paths)
        path = (
            operation.path.replace("{id}", "7")
            .replace("{phone}", "%2B12065550142")
            .replace("{program}", "lantern_club")
        )
        answer = await shop(operation.method, path, bytes(body))
        assert answer.status < 500, (operation.path, bytes(body), answer.raw)


async def test_a_bomb_in_a_small_wrapping_is_too_large(shop: Caller) -> None:
    bomb = gzip.compress(b" " * (11 * 1024 * 1024))
    small = gzip.compress(json.dumps({"to": ANA, "text": "hi"}).encode())

    assert (await shop.post("/v1/messages/batch", bomb, Content_Encoding="gzip")).problem == "too-large"
    assert (await shop.post("/v1/messages", small, Content_Encoding="gzip")).status == 201


async def test_bodies_that_would_fill_the_memory_together_are_asked_to_come_again(
    shop: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ROOM", 100_000)

    answer = await shop.post("/v1/messages/batch", b"[" + b" " * 200_000 + b"]")

    assert answer.problem == "busy"
    assert answer.headers["Retry-After"] == "1"
    assert (await shop.post("/v1/messages", {"to": ANA, "text": "hi"})).status == 201


async def test_who_looks_too_often_is_told_when_to_come_again(shop: Caller) -> None:
    answers = await asyncio.gather(*(shop.get("/v1/me") for _ in range(400)))

    assert answers[0].headers["RateLimit-Policy"] == '"reads";q=200;w=1'
    refused = [each for each in answers if each.status != 200]
    assert refused
    assert {each.problem for each in refused} == {"rate"}


@pytest.mark.parametrize(("error", "problem"), [(StoreError("disk full"), "not-kept"), (RuntimeError(ANA), "failed")])
async def test_our_own_failures_are_problems_that_tell_nothing(
    app: App, error: Exception, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_request: web.Request, _app: App) -> web.Response:
        raise error

    listener = web.Listener(
        api.application(app, [("GET", "/fail/{phone}", fail)]), "127.0.0.1", 0, setting="listen.api"
    )
    await listener.start()
    async with aiohttp.ClientSession() as session:
        answer = await Caller(session, f"http://127.0.0.1:{listener.port}", "").get(f"/fail/{ANA}")
    await listener.stop()

    assert answer.problem == problem
    assert ("Retry-After" in answer.headers) is (answer.status == 503)
    assert str(error) not in answer.raw.decode()
    assert [vars(record)["route"] for record in caplog.records if record.name == "carillon.api"] == ["/fail/{phone}"]


def test_a_page_goes_on_where_it_stopped_looking() -> None:
    assert next_cursor([9, 8], 2, (1, 3), walk=5) == "8"  # full: the last one of it
    assert next_cursor([9], 2, (4, 5), walk=5) == "4"  # few that fit: the last one looked at
    assert next_cursor([], 2, (4, 5), walk=5) == "4"
    assert next_cursor([9], 2, (4, 3), walk=5) is None  # nothing more to look at
    assert next_cursor([], 2, (0, 0), walk=5) is None
