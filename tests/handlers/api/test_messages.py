"""Texts that programs want sent: accepted after the commit, refused with the cure, told of until their end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from campaigns.clients import Kind
from gateway.clock import from_ms
from handlers.app import App
from tests.handlers.api.conftest import ANA, BEN, LI, Caller, key_of, listening, served


async def until_state(caller: Caller, message: str, state: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(200):
        found = (await caller.get(f"/v1/messages/{message}")).body
        if found["state"] == state:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def test_a_text_is_accepted_and_arrives(shop: Caller) -> None:
    answer = await shop.post("/v1/messages", {"to": "(206) 555-0142", "text": "Order 7.", "reference": "order 7"})

    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/messages/{answer.body['id']}"
    assert answer.body["to"] == ANA
    assert answer.body["from"] == "20655"
    assert answer.body["reference"] == "order 7"
    assert answer.body["price"] == {"amount": "0.0079", "currency": "USD"}
    found = await until_state(shop, answer.body["id"], "delivered")
    assert found["text"].startswith("Order 7.")
    timeline = (await shop.get(f"/v1/messages/{answer.body['id']}/timeline")).body
    assert [each["what"] for each in timeline["entries"]] == ["accepted", "sent", "delivered"]


async def test_a_long_text_has_a_timeline_part_by_part(shop: Caller) -> None:
    message = (await shop.post("/v1/messages", {"to": ANA, "text": "long " * 40})).body
    await until_state(shop, message["id"], "delivered")

    entries = (await shop.get(f"/v1/messages/{message['id']}/timeline")).body["entries"]

    assert message["parts"] == 2
    assert sorted((each["what"], each["part"]) for each in entries[1:]) == [
        ("delivered", 1), ("delivered", 2), ("sent", 1), ("sent", 2),
    ]  # fmt: skip
    assert {"part 1 of 2 was taken by the carrier", "part 2 of 2 was delivered"} <= {each["words"] for each in entries}
    assert [each["at"] for each in entries] == sorted(each["at"] for each in entries)


@pytest.mark.parametrize(
    ("change", "problem", "pointer"),
    [
        ({"to": "123"}, "bad-number", "/to"),
        ({"text": ""}, "no-text", "/text"),
        ({"text": "x" * 1601}, "too-long", "/text"),
        ({"from": "nobody"}, "sender-not-yours", "/from"),
        ({"to": "+447911123456"}, "no-sender", "/to"),
        ({"program": "nothing"}, "no-program", "/program"),
        ({"program": "lantern_club"}, "no-consent", "/to"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, "too-late", "/valid_until"),
        ({"callback": {"url": "ftp://x.example/a"}}, "bad-request", "/callback/url"),
        ({"txt": "hello"}, "bad-request", "/txt"),
        ({"send_at": "2026-11-22T18:30:00"}, "bad-request", "/send_at"),
        ({"send_at": "2126-11-22T18:30:00Z"}, "bad-value", "/send_at"),
        ({"urgent": "yes"}, "bad-request", "/urgent"),
        ({"to": 12065550142}, "bad-request", "/to"),
    ],
)
@pytest.mark.engine("sqlite")
async def test_what_is_wrong_is_named_in_its_place(
    shop: Caller, example: dict[str, Any], change: dict[str, Any], problem: str, pointer: str
) -> None:
    answer = await shop.post("/v1/messages", example | change)

    assert answer.problem == problem
    assert answer.body["pointer"] == pointer


@pytest.mark.engine("sqlite")
async def test_an_unknown_field_is_told_the_nearest_right_word(shop: Caller, example: dict[str, Any]) -> None:
    answer = await shop.post("/v1/messages", {**example, "sendat": "2026-11-22T18:30:00Z"})

    assert "did you mean send_at?" in answer.body["detail"]


async def test_the_same_key_has_one_effect_also_for_two_at_once(shop: Caller, example: dict[str, Any]) -> None:
    first, second = await asyncio.gather(
        *(shop.post("/v1/messages", example, Idempotency_Key="order-7") for _ in range(2))
    )

    assert first.status == second.status == 201
    assert first.raw == second.raw
    assert sorted("Idempotent-Replayed" in each.headers for each in (first, second)) == [False, True]
    again = await shop.post("/v1/messages", dict(reversed(example.items())), Idempotency_Key="order-7")
    assert again.raw == first.raw
    assert len((await shop.get("/v1/messages")).body["data"]) == 1


async def test_the_same_key_with_another_body_is_refused(shop: Caller, example: dict[str, Any]) -> None:
    await shop.post("/v1/messages", example, Idempotency_Key="k")

    answer = await shop.post("/v1/messages", {**example, "text": "another"}, Idempotency_Key="k")

    assert answer.status == 422
    assert answer.problem == "idempotency-key-reused"


async def test_a_refusal_is_repeated_too_whatever_has_changed_since(shop: Caller, example: dict[str, Any]) -> None:
    wanted = {**example, "program": "lantern_club"}
    first = await shop.post("/v1/messages", wanted, Idempotency_Key="k")
    await shop("PUT", f"/v1/subscribers/{ANA}/programs/lantern_club")

    second = await shop.post("/v1/messages", wanted, Idempotency_Key="k")

    assert first.problem == second.problem == "no-consent"
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (await shop.post("/v1/messages", wanted, Idempotency_Key="other")).status == 201


async def test_an_answer_is_the_same_after_a_restart(config_file: Path, example: dict[str, Any]) -> None:
    wanted = {**example, "valid_for": 600}
    async with served(config_file) as app, listening(app) as url, aiohttp.ClientSession() as session:
        key = await key_of(app, "shop")
        first = await Caller(session, url, key).post("/v1/messages", wanted, Idempotency_Key="k")
    async with served(config_file) as app, listening(app) as url, aiohttp.ClientSession() as session:
        second = await Caller(session, url, key).post("/v1/messages", wanted, Idempotency_Key="k")

    assert first.status == second.status == 201
    assert first.raw == second.raw


@pytest.mark.engine("sqlite")
@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
async def test_a_key_that_could_not_be_kept_is_refused(shop: Caller, example: dict[str, Any], key: str) -> None:
    answer = await shop.post("/v1/messages", example, Idempotency_Key=key)

    assert answer.problem == "bad-idempotency-key"


@pytest.mark.engine("sqlite")
async def test_what_a_test_key_did_is_no_answer_to_a_live_one(shop: Caller, app: App, example: dict[str, Any]) -> None:
    test = shop.by(await key_of(app, "shop", Kind.TEST))

    first = await test.post("/v1/messages", example, Idempotency_Key="k")
    second = await shop.post("/v1/messages", example, Idempotency_Key="k")

    assert (first.body["test"], second.body["test"]) == (True, False)


# --- batches ---------------------------------------------------------------------------------------------------------


async def test_a_batch_tells_each_by_its_place(shop: Caller) -> None:
    wanted = [
        {"to": ANA, "text": "one"}, {"to": "12", "text": "two"}, {"to": BEN, "txt": "three"},
        {"to": LI, "text": "four"}, {"to": BEN, "text": "five", "callback": {"url": "http://["}},
    ]  # fmt: skip

    answer = await shop.post("/v1/messages/batch", {"messages": wanted})

    assert answer.status == 201
    assert (answer.body["accepted"], answer.body["refused"]) == (2, 3)
    assert [each["index"] for each in answer.body["results"]] == [0, 1, 2, 3, 4]
    assert answer.body["results"][0]["message"]["to"] == ANA
    assert answer.body["results"][1]["problem"]["type"] == "/problems/bad-number"
    assert answer.body["results"][2]["problem"]["index"] == 2
    assert answer.body["results"][4]["problem"]["type"] == "/problems/bad-callback"


@pytest.mark.parametrize("bad", [{"to": "12", "text": "two"}, {"to": BEN, "txt": "three"}])
async def test_all_or_none_is_none_when_one_is_bad(shop: Caller, bad: dict[str, str]) -> None:
    wanted = [{"to": ANA, "text": "one"}, bad]

    answer = await shop.post("/v1/messages/batch", {"messages": wanted, "mode": "all"}, Idempotency_Key="k")

    assert answer.problem == "batch-refused"
    assert [each["index"] for each in answer.body["errors"]] == [1]
    assert (await shop.get("/v1/messages")).body["data"] == []


async def test_one_text_goes_to_many(shop: Caller) -> None:
    wanted = {"to": [ANA, BEN, "nobody"], "text": "Open today.", "reference": "r"}

    first = await shop.post("/v1/messages/batch", wanted, Idempotency_Key="k")
    second = await shop.post("/v1/messages/batch", wanted, Idempotency_Key="k")

    assert first.body["accepted"] == 2
    assert first.raw == second.raw
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.engine("sqlite")
async def test_ten_thousand_are_a_batch_and_one_more_is_too_many(shop: Caller) -> None:
    wanted = {"to": [f"+1206555{n:04d}" for n in range(10_000)], "text": "Open today."}

    answer = await shop.post("/v1/messages/batch", wanted)

    assert answer.status == 201
    assert len(answer.body["results"]) == 10_000
    wanted["to"] += [ANA]  # type: ignore[operator]
    assert (await shop.post("/v1/messages/batch", wanted)).problem == "bad-request"


# --- looking, cancelling ---------------------------------------------------------------------------------------------


async def test_pages_go_from_the_newest_to_the_oldest_without_a_gap(shop: Caller) -> None:
    ids = [(await shop.post("/v1/messages", {"to": ANA, "text": str(n)})).body["id"] for n in range(5)]

    seen, path = [], "/v1/messages?limit=2"
    while path:
        page = await shop.get(path)
        seen += [each["id"] for each in page.body["data"]]
        link = page.headers.get("Link", "")
        path = link.partition("<")[2].partition(">")[0]

    assert seen == ids[::-1]


async def test_messages_are_found_by_phone_state_reference_and_time(shop: Caller, app: App) -> None:
    first = (await shop.post("/v1/messages", {"to": ANA, "text": "a", "reference": "x 1"})).body
    second = (await shop.post("/v1/messages", {"to": BEN, "text": "b", "reference": "x 2"})).body
    await until_state(shop, second["id"], "delivered")

    async def found(query: str) -> list[str]:
        return [each["id"] for each in (await shop.get(f"/v1/messages?{query}")).body["data"]]

    assert await found("to=%2B12065550142") == [first["id"]]
    assert await found("to=+12065550142") == [first["id"]]
    assert await found("to=2065550143&state=delivered") == [second["id"]]
    assert await found("reference=x+2") == [second["id"]]
    assert await found("state=failed") == []
    assert await found("until=2020-01-01T00:00:00Z") == []
    assert set(await found("since=2020-01-01T00:00:00Z")) == {first["id"], second["id"]}


async def test_nobody_sees_the_messages_of_another(shop: Caller, app: App, example: dict[str, Any]) -> None:
    mine = (await shop.post("/v1/messages", example)).body["id"]
    other, test = shop.by(await key_of(app, "other")), shop.by(await key_of(app, "shop", Kind.TEST))

    for caller in (other, test):
        assert (await caller.get(f"/v1/messages/{mine}")).problem == "not-found"
        assert (await caller.get("/v1/messages")).body["data"] == []
        assert (await caller.post(f"/v1/messages/{mine}/cancel")).problem == "not-found"


async def test_what_is_planned_can_be_cancelled_and_what_has_left_cannot(shop: Caller, app: App) -> None:
    tomorrow = (from_ms(app.clock.now_ms()) + timedelta(hours=5)).isoformat()
    planned = (await shop.post("/v1/messages", {"to": ANA, "text": "later", "send_at": tomorrow})).body
    gone = (await shop.post("/v1/messages", {"to": ANA, "text": "now"})).body
    await until_state(shop, gone["id"], "delivered")

    cancelled = await shop.post(f"/v1/messages/{planned['id']}/cancel")

    assert planned["send_at"][:16] == tomorrow[:16]
    assert cancelled.body["state"] == "stopped"
    found = await until_state(shop, planned["id"], "stopped")
    assert found["code"] == "cancelled"
    assert (await shop.post(f"/v1/messages/{planned['id']}/cancel")).status == 200
    assert (await shop.post(f"/v1/messages/{gone['id']}/cancel")).problem == "left-already"


async def test_a_test_key_sends_nothing(shop: Caller, app: App, example: dict[str, Any]) -> None:
    test = shop.by(await key_of(app, "shop", Kind.TEST))

    answer = await test.post("/v1/messages", {**example, "to": "+15005550006"})

    assert answer.body["test"] is True
    assert answer.body["channel"] == "test"
    assert (await test.get(f"/v1/messages/{answer.body['id']}")).status == 200


@pytest.mark.engine("sqlite")
async def test_a_key_that_brings_too_much_is_told_when_to_come_again(shop: Caller, app: App) -> None:
    slow = shop.by(await key_of(app, "slow"))
    wanted = {"to": ANA, "text": "hi", "program": ""}

    first = await slow.post("/v1/messages", wanted)
    assert first.status == 201
    assert first.headers["RateLimit-Policy"] == '"messages";q=5;w=1'
    assert first.headers["RateLimit"] == '"messages";r=4;t=1'
    for _ in range(4):
        await slow.post("/v1/messages", wanted)
    refused = await slow.post("/v1/messages", wanted)

    assert refused.problem == "rate"
    assert int(refused.headers["Retry-After"]) == 1
    assert refused.headers["RateLimit"].startswith('"messages";r=0')
