"""People as programs see them: what is known, what they said yes to, and a STOP that no program can lift."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.store import Tx
from handlers.app import App
from tests.handlers.api.conftest import ANA, BEN, Caller

PATH = "/v1/subscribers/%2B12065550142"


async def test_a_person_is_written_down_and_changed(shop: Caller) -> None:
    first = await shop("PATCH", PATH, {"first_name": "Ana", "tags": ["VIP", "shop"], "attributes": {"tier": "Gold"}})
    second = await shop("PATCH", PATH, {"last_name": "Ruiz", "tags": ["vip"], "attributes": {"favourite": "latte"}})

    assert (first.status, second.status) == (201, 200)
    told = (await shop.get(PATH)).body
    assert told == second.body
    assert (told["first_name"], told["last_name"]) == ("Ana", "Ruiz")
    assert told["tags"] == ["vip"]
    assert told["attributes"] == {"tier": "gold", "favourite": "latte"}
    assert told["country"] == "US"
    assert told["programs"] == []
    third = await shop("PATCH", PATH, {"first_name": None, "attributes": {"tier": None}})
    assert third.body["first_name"] == ""
    assert third.body["attributes"] == {"favourite": "latte"}


async def test_what_cannot_be_is_named_all_at_once(shop: Caller) -> None:
    answer = await shop(
        "PATCH", PATH, {"language": "tlh", "birthday": "2030-01-01", "attributes": {"x": "y", "tier": "tin"}}
    )

    assert answer.problem == "bad-value"
    assert {each["pointer"] for each in answer.body["errors"]} == {
        "/language", "/birthday", "/attributes/x", "/attributes/tier",
    }  # fmt: skip
    assert (await shop.get(PATH)).problem == "not-found"


async def test_a_yes_is_kept_with_what_was_shown_and_said(shop: Caller, app: App) -> None:
    joined = await shop("PUT", f"{PATH}/programs/lantern_club", {"said": "ticked the box", "language": "zh"})
    again = await shop("PUT", f"{PATH}/programs/lantern_club")

    assert (joined.status, again.status) == (201, 200)
    assert [each["program"] for each in joined.body["programs"]] == ["lantern_club"]
    person = int(joined.body["id"])
    ((program, change, _, source, words, wording, _),) = await app.store.read(_ledger, person)
    assert (program, change, source, words) == ("lantern_club", "joined", "api", "ticked the box")
    assert "同意" in wording
    left = await shop("DELETE", f"{PATH}/programs/lantern_club")
    assert left.body["programs"] == []
    assert left.body["left_at"] is None
    assert (await shop("PUT", f"{PATH}/programs/nothing")).problem == "no-program"


async def test_a_stop_holds_at_once_and_no_program_lifts_it(shop: Caller) -> None:
    stopped = await shop.post(f"{PATH}/stop", {"said": "by phone"})

    assert stopped.body["left_at"]
    assert (await shop.post("/v1/messages", {"to": ANA, "text": "hi"})).problem == "left"
    assert (await shop("PUT", f"{PATH}/programs/lantern_club")).problem == "opted-out"
    assert (await shop("DELETE", f"{PATH}/stop")).problem == "opted-out"
    assert (await shop.get(PATH)).body["left_at"] == stopped.body["left_at"]
    assert (await shop.post(f"{PATH}/stop")).body["left_at"] == stopped.body["left_at"]


async def test_people_are_found_by_programme_tag_and_stop(shop: Caller) -> None:
    await shop("PATCH", "/v1/subscribers/2065550142", {"tags": ["vip"], "language": "en"})
    await shop("PUT", "/v1/subscribers/2065550143/programs/lantern_club")
    await shop.post("/v1/subscribers/2065550143/stop")

    async def found(query: str) -> list[str]:
        return [each["phone"] for each in (await shop.get(f"/v1/subscribers?{query}")).body["data"]]

    assert await found("tag=vip") == [ANA]
    assert await found("program=lantern_club") == []
    assert await found("left=yes") == [BEN]
    assert await found("left=no&language=en") == [ANA]
    page = await shop.get("/v1/subscribers?limit=1")
    rest = await shop.get(page.headers["Link"].partition("<")[2].partition(">")[0])
    assert [each["phone"] for each in page.body["data"] + rest.body["data"]] == [ANA, BEN]


async def test_texts_that_came_in_and_what_happened_are_told_to_whom_they_are_for(shop: Caller, app: App) -> None:
    assert app.simulator is not None
    await app.simulator.text(ANA, "20655", "hello there")
    told: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for _ in range(200):
        told = (await shop.get("/v1/inbound")).body["data"]
        events = (await shop.get("/v1/events?type=message.received")).body["data"]
        if told and events:
            break
        await asyncio.sleep(0.05)

    assert [(each["from"], each["to"], each["text"]) for each in told] == [(ANA, "20655", "hello there")]
    assert (await shop.get(f"/v1/inbound/{told[0]['id']}")).body == told[0]
    assert (await shop.get(f"/v1/inbound?from={BEN.replace('+', '%2B')}")).body["data"] == []
    assert events[0]["data"]["text"] == "hello there"
    assert (await shop.get(f"/v1/events/{events[0]['id']}")).body == events[0]
    polled = (await shop.get("/v1/events?order=oldest")).body
    assert polled["next_cursor"]
    assert (await shop.get(f"/v1/events?order=oldest&cursor={polled['next_cursor']}")).body["data"] == []


async def _ledger(tx: Tx, person: int) -> list[tuple[Any, ...]]:
    return await tx.rows("ledger_of_person", person=person)
