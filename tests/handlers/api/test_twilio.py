"""Programs made for Twilio: the official helper library against our door, unchanged but for its address."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from campaigns.clients import Kind
from gateway.store import Tx
from handlers.api.twilio_resources import (
    REMEMBERED,
    Place,
    Text,
    message,
    page_token,
    price,
    read_page_token,
    read_sid,
    sid,
)
from tests.handlers.api.programs import ACCOUNT, DESK, LEO, MAYA, OTHER, SHORT, SLOW, TOKEN, Stage, staged
from tests.peers.fake_twilio import RESPONSE

pytestmark = pytest.mark.asyncio(loop_scope="module")
T = TypeVar("T")
SERVICE = "MG" + "a" * 32


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A business that serves two programs."""
    async with staged(tmp_path_factory.mktemp("twilio")) as set_up:
        yield set_up


def helper(stage: Stage, user: str = ACCOUNT, password: str = TOKEN, account: str = ACCOUNT) -> Client:
    """The official helper library with another address: all that a program changes."""
    client = Client(user, password, account)
    client.api.base_url = stage.api
    return client


async def beside(work: Callable[[], T]) -> T:
    """Run what blocks in a thread, as a program of its own would."""
    return await asyncio.to_thread(work)


async def refused(work: Callable[[], object]) -> TwilioRestException:
    """The error that the helper library makes of our answer."""
    with pytest.raises(TwilioRestException) as raised:
        await beside(work)
    return raised.value


async def ask(
    stage: Stage, method: str, path: str, form: Mapping[str, str] | str = "", *, user: str = ACCOUNT,
    password: str = TOKEN, headers: Mapping[str, str] | None = None,
) -> tuple[int, Any, Mapping[str, str]]:  # fmt: skip
    """One call without a helper: status, JSON, headers."""
    body = form if isinstance(form, str) else urlencode(form)
    login = {"Authorization": aiohttp.encode_basic_auth(user, password)}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, stage.api + path, data=body.encode() if body else None, headers={**login, **kind, **(headers or {})}
        ) as response,
    ):
        return response.status, await response.json(), dict(response.headers)


MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
GOOD = {"To": MAYA, "From": DESK, "Body": "Your order is ready"}


async def create(stage: Stage, **fields: str) -> tuple[int, Any]:
    """Ask for a text with the usual fields and these; one that is empty is left out."""
    form = {name: value for name, value in {**GOOD, **fields}.items() if value}
    status, answer, _ = await ask(stage, "POST", MESSAGES, form)
    return status, answer


# Sending and fetching


async def test_the_helper_library_sends_and_fetches(stage: Stage) -> None:
    client = helper(stage)
    made = await beside(lambda: client.messages.create(to=MAYA, from_=DESK, body="Hello ☕ there"))
    assert (made.status, made.direction, made.to, made.from_) == ("queued", "outbound-api", MAYA, DESK)
    assert (made.num_segments, made.num_media, made.price, made.price_unit) == ("1", "0", "-0.00790", "USD")
    assert abs(made.date_created - datetime.now(UTC)) < timedelta(minutes=1)

    async def now() -> str:
        return str((await beside(lambda: client.messages(made.sid).fetch())).status)

    for _ in range(200):
        if await now() == "delivered":
            break
        await asyncio.sleep(0.05)
    fetched = await beside(lambda: client.messages(made.sid).fetch())
    assert (fetched.status, fetched.body, fetched.error_code) == ("delivered", "Hello ☕ there", None)
    assert fetched.date_sent is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the helper's own
async def test_the_asynchronous_helper_sends_fetches_and_lists(stage: Stage) -> None:
    async with AsyncTwilioHttpClient() as http:
        client = Client(ACCOUNT, TOKEN, http_client=http)
        client.api.base_url = stage.api
        made = await client.messages.create_async(to=LEO, from_=DESK, body="later")
        assert (await client.messages(made.sid).fetch_async()).body == "later"
        assert made.sid in [each.sid for each in await client.messages.list_async(to=LEO, limit=5)]
        with pytest.raises(TwilioRestException) as raised:
            await client.messages.create_async(to="+1", from_=DESK, body="x")
        assert raised.value.code == 21211


async def test_every_answer_has_the_shape_of_the_published_schema(stage: Stage) -> None:
    status, answer = await create(stage)
    assert status == 201
    RESPONSE.validate(answer)
    _, fetched, _ = await ask(stage, "GET", answer["uri"])
    RESPONSE.validate(fetched)


async def test_the_account_and_the_empty_list_of_media_can_be_read(stage: Stage) -> None:
    client = helper(stage)
    account = await beside(lambda: client.api.v2010.accounts(ACCOUNT).fetch())
    assert (account.sid, account.status, account.friendly_name) == (ACCOUNT, "active", "shop")
    _, made = await create(stage)
    assert await beside(client.messages(made["sid"]).media.list) == []


async def test_a_messaging_service_leaves_the_number_to_us(stage: Stage) -> None:
    status, answer = await create(stage, From="", MessagingServiceSid=SERVICE)
    assert (status, answer["status"], answer["messaging_service_sid"]) == (201, "accepted", SERVICE)
    assert answer["from"] in {DESK, SHORT}


async def test_a_service_may_also_be_the_name_of_a_sender(stage: Stage) -> None:
    status, answer = await create(stage, From="", MessagingServiceSid="seattle")
    assert (status, answer["from"]) == (201, SHORT)


async def test_fine_typography_is_made_plain_where_it_is_asked_for(stage: Stage) -> None:
    _, plain = await create(stage, Body="“quoted”", SmartEncoded="true")
    _, fine = await create(stage, Body="“quoted”")
    assert (plain["body"], fine["body"]) == ('"quoted"', "“quoted”")


async def test_the_same_idempotency_token_has_one_effect(stage: Stage) -> None:
    token = {"I-Twilio-Idempotency-Token": "order-7"}
    _, first, _ = await ask(stage, "POST", MESSAGES, GOOD, headers=token)
    _, again, _ = await ask(stage, "POST", MESSAGES, GOOD, headers=token)
    status, other, _ = await ask(stage, "POST", MESSAGES, GOOD | {"Body": "another"}, headers=token)
    assert first["sid"] == again["sid"]
    assert (status, other["code"]) == (409, 20409)


# Who is let in


async def test_a_wrong_token_is_refused_as_twilio_does(stage: Stage) -> None:
    error = await refused(lambda: helper(stage, password="wrong").messages.create(to=MAYA, from_=DESK, body="x"))
    assert (error.status, error.code) == (401, 20003)
    _, _, headers = await ask(stage, "GET", MESSAGES, password="wrong")
    assert headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize("shown", ["", "Basic", "Basic !!!", "Bearer x", "Basic " + "QUM=", "Basic /w=="])
async def test_a_login_that_cannot_be_read_is_no_login(stage: Stage, shown: str) -> None:
    status, answer, _ = await ask(stage, "GET", MESSAGES, headers={"Authorization": shown})
    assert (status, answer["code"]) == (401, 20003)


async def test_the_token_of_one_program_does_not_open_the_account_of_another(stage: Stage) -> None:
    assert (await refused(helper(stage, ACCOUNT, TOKEN, OTHER).messages(sid(1)).fetch)).code == 20003
    assert (await refused(helper(stage, OTHER, TOKEN, OTHER).messages(sid(1)).fetch)).code == 20003


async def test_an_api_key_logs_in_by_its_id(stage: Stage) -> None:
    key = await stage.key()
    key_id = key.rpartition("_")[0]
    found = await stage.app.keys.login_twilio(ACCOUNT, key)
    assert found is not None
    made = await beside(lambda: helper(stage, found.key_id, key).messages.create(to=MAYA, from_=DESK, body="by key"))
    assert made.status == "queued"
    error = await refused(helper(stage, f"{key_id}x", key).messages(sid(1)).fetch)
    assert error.code == 20003


async def test_a_key_without_the_right_to_send_may_only_read(stage: Stage) -> None:
    client = helper(stage, OTHER, "other-token-of-another-program", OTHER)
    assert await beside(client.messages.list) == []
    error = await refused(lambda: client.messages.create(to=MAYA, from_=SHORT, body="x"))
    assert (error.status, error.code) == (403, 20403)


async def test_what_a_test_key_sends_is_not_among_what_was_sent(stage: Stage) -> None:
    key = await stage.key(kind=Kind.TEST)
    tester = helper(stage, ACCOUNT, key)
    made = await beside(lambda: tester.messages.create(to="+15005550010", from_="+15005550006", body="try"))
    assert made.sid in [each.sid for each in await beside(lambda: tester.messages.list(to="+15005550010"))]
    assert made.sid not in [each.sid for each in await beside(helper(stage).messages.list)]
    assert (await beside(tester.messages(made.sid).fetch)).body == "try"
    await create(stage, To=MAYA)  # whom we know, though not with a test key
    known = await beside(lambda: tester.messages.create(to=MAYA, from_=DESK, body="try"))
    assert known.sid in [each.sid for each in await beside(lambda: tester.messages.list(to=MAYA))]
    assert (await refused(helper(stage).messages(made.sid).fetch)).code == 20404
    for number, code in (("+15005550001", 21211), ("+15005550004", 21610), ("+15005550009", 21614)):
        error = await refused(lambda to=number: tester.messages.create(to=to, from_="+15005550006", body="x"))  # type: ignore[misc]
        assert error.code == code


async def test_a_text_of_another_program_is_not_found(stage: Stage) -> None:
    _, made = await create(stage)
    other = helper(stage, OTHER, "other-token-of-another-program", OTHER)
    error = await refused(lambda: other.messages(made["sid"]).fetch())
    assert (error.status, error.code) == (404, 20404)


# What is refused


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"To": ""}, 400, 21604),
        ({"To": "12"}, 400, 21211),
        ({"To": "+442079460000"}, 400, 21614),
        ({"To": "+447911123456"}, 400, 21612),
        ({"From": ""}, 400, 21603),
        ({"From": "???"}, 400, 21212),
        ({"From": "+12065550199"}, 400, 21606),
        ({"From": "", "MessagingServiceSid": "MG1"}, 400, 21701),
        ({"From": "", "MessagingServiceSid": SERVICE, "To": "+447911123456"}, 400, 21703),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"StatusCallback": "nonsense"}, 400, 21609),
        ({"StatusCallback": "ftp://a.example/"}, 400, 21609),
        ({"MediaUrl": "https://a.example/cat.png"}, 400, 21621),
        ({"MediaUrl0": "https://a.example/cat.png", "Body": ""}, 400, 21621),
        ({"ContentSid": "HX" + "0" * 32}, 400, 20422),
        ({"SendAsMms": "true"}, 400, 21621),
        ({"MediaUrl": "cat.png"}, 400, 21620),
        ({"MediaUrl": "https://a.example/a cat.png"}, 400, 21620),
        ({"ScheduleType": "fixed"}, 400, 35111),
        ({"ScheduleType": "fixed", "SendAt": "soon"}, 400, 35114),
        ({"ScheduleType": "fixed", "SendAt": "2020-01-01T00:00:00Z"}, 400, 35114),
        ({"ScheduleType": "fixed", "SendAt": "2099-01-01T00:00:00Z"}, 400, 35114),
        ({"ValidityPeriod": "0"}, 400, 90007),
        ({"ValidityPeriod": "36001"}, 400, 90007),
        ({"ValidityPeriod": "long"}, 400, 90007),
    ],
)
async def test_what_is_wrong_is_told_by_twilios_number(
    stage: Stage, fields: dict[str, str], status: int, code: int
) -> None:
    found, answer = await create(stage, **fields)
    assert (found, answer["code"], answer["status"]) == (status, code, status)
    assert answer["message"]
    assert answer["more_info"] == "docs/twilio-door.md#errors"


async def test_who_has_left_is_refused_with_21610(stage: Stage) -> None:
    assert stage.app.simulator is not None
    await stage.app.simulator.text("+12065550188", DESK, "STOP")
    status, answer = await create(stage, To="+12065550188")
    for _ in range(100):
        if status == 400:
            break
        await asyncio.sleep(0.05)
        status, answer = await create(stage, To="+12065550188")
    assert (status, answer["code"]) == (400, 21610)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("DELETE", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid(1)}.json", 405, 20004),
        ("PUT", MESSAGES, 405, 20004),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/Messages", 404, 20404),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.xml", 404, 20404),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json", 404, 20404),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid(1)}.json", 404, 20404),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM12.json", 404, 20404),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM{'f' * 32}.json", 404, 20404),
        ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid(1)}.json", 404, 20404),
    ],
)
async def test_other_addresses_and_methods_are_refused_in_twilios_shape(
    stage: Stage, method: str, path: str, status: int, code: int
) -> None:
    found, answer, _ = await ask(stage, method, path)
    assert (found, answer["code"], answer["status"]) == (status, code, status)


@pytest.mark.parametrize("body", ["%ff=1", "&".join(f"a{n}=1" for n in range(200)), "To=%ed%a0%80", "x" * 70_000, "é"])
async def test_a_form_that_cannot_be_read_is_the_callers_fault(stage: Stage, body: str) -> None:
    status, answer, _ = await ask(stage, "POST", MESSAGES, body)
    assert (status, answer["code"]) in {(400, 20422), (400, 21604), (400, 21211)}


async def test_json_is_not_what_is_spoken_here(stage: Stage) -> None:
    status, answer, _ = await ask(stage, "POST", MESSAGES, "{}", headers={"Content-Type": "application/json"})
    assert (status, answer["code"]) == (400, 20422)
    assert "form" in answer["message"]


# Planned texts


async def test_a_planned_text_can_be_cancelled_once(stage: Stage) -> None:
    client = helper(stage)
    made = await beside(
        lambda: client.messages.create(
            to=MAYA, messaging_service_sid=SERVICE, body="tomorrow", schedule_type="fixed",
            send_at=datetime.now(UTC) + timedelta(days=1),
        )
    )  # fmt: skip
    assert made.status == "scheduled"
    assert (await beside(lambda: client.messages(made.sid).fetch())).status == "scheduled"
    assert (await beside(lambda: client.messages(made.sid).update(status="canceled"))).status == "canceled"
    for _ in range(100):
        if (await beside(lambda: client.messages(made.sid).fetch())).status == "canceled":
            break
        await asyncio.sleep(0.05)
    assert (await beside(lambda: client.messages(made.sid).update(status="canceled"))).status == "canceled"


async def test_a_text_that_has_left_cannot_be_cancelled_but_its_words_can_be_removed(stage: Stage) -> None:
    client = helper(stage)
    made = await beside(lambda: client.messages.create(to=MAYA, from_=DESK, body="secret 1234"))
    for _ in range(200):
        if (await beside(lambda: client.messages(made.sid).fetch())).status == "delivered":
            break
        await asyncio.sleep(0.05)
    error = await refused(lambda: client.messages(made.sid).update(status="canceled"))
    assert (error.status, error.code) == (409, 30409)
    assert (await beside(lambda: client.messages(made.sid).update(body=""))).body == ""
    assert (await beside(lambda: client.messages(made.sid).fetch())).body == ""


async def test_words_stay_while_a_text_is_on_its_way(stage: Stage) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    _, made = await create(stage, ScheduleType="fixed", SendAt=tomorrow)
    status, answer, _ = await ask(stage, "POST", made["uri"], "Body=")
    assert (status, answer["code"]) == (400, 20009)
    status, answer, _ = await ask(stage, "POST", made["uri"], "Body=other")
    assert (status, answer["code"]) == (400, 20422)


# Lists


async def test_a_list_is_walked_page_by_page_and_holds_each_text_once(stage: Stage) -> None:
    client, phone = helper(stage), "+12065550151"
    made = [(await create(stage, To=phone, Body=f"text {n}"))[1]["sid"] for n in range(7)]
    found = await beside(lambda: client.messages.list(to=phone, page_size=3))
    assert [each.sid for each in found] == made[::-1]
    everything = [each.sid for each in await beside(lambda: client.messages.list(page_size=3))]
    assert len(everything) == len(set(everything))
    assert set(made) <= set(everything)
    page = await beside(lambda: client.messages.page(to=phone, page_size=3))
    assert [each.sid for each in page] == made[:3:-1]
    following = await beside(page.next_page)
    assert [each.sid for each in following] == made[3:0:-1]
    last = await beside(following.next_page)
    assert [each.sid for each in last] == made[:1]
    assert await beside(last.next_page) is None
    assert [each.sid for each in await beside(last.previous_page)] == made[3:0:-1]
    first = await beside((await beside(last.previous_page)).previous_page)
    assert [each.sid for each in first] == made[:3:-1]
    assert await beside(first.previous_page) is None


async def test_a_list_is_cut_by_days_and_by_sender(stage: Stage) -> None:
    client, phone = helper(stage), "+12065550152"
    made = (await create(stage, To=phone))[1]["sid"]
    today = datetime.now(UTC).date()

    async def sids(**filters: Any) -> list[str]:
        return [each.sid for each in await beside(lambda: client.messages.list(to=phone, **filters))]

    assert await sids(date_sent=today) == [made]
    assert await sids(date_sent_after=today) == [made]
    assert await sids(date_sent_before=today + timedelta(days=1)) == [made]
    assert await sids(date_sent_before=today) == []
    assert await sids(date_sent_after=today + timedelta(days=1)) == []
    assert await sids(date_sent=date(2020, 1, 1)) == []
    assert await sids(from_=DESK) == [made]
    assert await sids(from_=SHORT) == []
    assert await sids(from_="+12065550199") == []


@pytest.mark.parametrize(
    "query", ["Page=1", "PageSize=many", "Page=1&PageToken=x", "DateSent=today", "DateSent%3C=2026-13-01"]
)
async def test_a_list_that_cannot_be_meant_is_refused(stage: Stage, query: str) -> None:
    status, answer, _ = await ask(stage, "GET", f"{MESSAGES}?{query}")
    assert (status, answer["code"]) == (400, 20422)


@pytest.mark.parametrize("name", ["DateSent", "DateSent<", "DateSent>"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
async def test_days_that_are_far_away_are_days(stage: Stage, name: str, day: str) -> None:
    status, answer, _ = await ask(stage, "GET", f"{MESSAGES}?{urlencode({name: day})}")
    assert (status, answer["page"]) == (200, 0)


async def test_texts_that_came_in_are_listed_and_fetched(stage: Stage) -> None:
    assert stage.app.simulator is not None
    phone = "+12065550153"
    await stage.app.simulator.text(phone, DESK, "Is my order ready? 👍")
    client = helper(stage)
    found: list[Any] = []
    for _ in range(100):
        found = await beside(lambda: client.messages.list(from_=phone))
        if found:
            break
        await asyncio.sleep(0.05)
    (one,) = found
    assert (one.direction, one.status, one.to, one.body) == ("inbound", "received", DESK, "Is my order ready? 👍")
    assert one.price is None
    fetched = await beside(lambda: client.messages(one.sid).fetch())
    assert fetched.body == one.body
    assert one.sid in [each.sid for each in await beside(lambda: client.messages.list(to=DESK))]
    assert (await refused(lambda: client.messages(one.sid).update(status="canceled"))).code == 30409
    assert (await beside(lambda: client.messages(one.sid).update(body=""))).body == ""


async def test_pictures_that_came_in_are_listed_and_fetched_by_their_program_alone(stage: Stage) -> None:
    assert stage.app.simulator is not None
    phone, client = "+12065550164", helper(stage)
    await stage.app.simulator.text(phone, DESK, "Look at this")
    async with asyncio.timeout(10):
        while not (found := await beside(lambda: client.messages.list(from_=phone))):  # noqa: ASYNC110  it rings no bell
            await asyncio.sleep(0.05)
    inbound = read_sid(found[0].sid)
    (stage.app.folder / "media").mkdir(exist_ok=True)
    (stage.app.folder / "media" / ("0" * 32)).write_bytes(b"\x89PNG\r\n\x1a\n...")

    async def bring(tx: Tx) -> None:
        later = stage.app.clock.now_ms() + 3_600_000  # that of the second is not fetched meanwhile
        rows = [(inbound, n, 1, "us_sms", "https://a.example/", "image/png", later, later) for n in (0, 1, 2)]
        await tx.many("media_insert", rows)
        await tx.run("media_kept", inbound=inbound, n=0, file="0" * 32, kind="image/png", size=11)
        await tx.run("media_kept", inbound=inbound, n=2, file="0" * 32, kind="text/vcard", size=11)

    await stage.app.store.write(bring)
    assert (await beside(client.messages(found[0].sid).fetch)).num_media == "3"
    assert [each.num_media for each in await beside(lambda: client.messages.list(from_=phone))] == ["3"]
    one, two, three = await beside(client.messages(found[0].sid).media.list)
    assert (one.content_type, one.parent_sid) == ("image/png", found[0].sid)
    assert (await beside(client.messages(found[0].sid).media(one.sid).fetch)).uri == one.uri
    url = stage.api + one.uri.removesuffix(".json")
    login = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with aiohttp.ClientSession(headers=login) as session:
        async with session.get(url) as response:
            assert (response.status, response.content_type) == (200, "image/png")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert "Content-Disposition" not in response.headers
            assert (await response.read()).startswith(b"\x89PNG")
        async with session.get(stage.api + three.uri.removesuffix(".json")) as response:
            assert (response.content_type, response.headers["Content-Disposition"]) == ("text/vcard", "attachment")
        async with session.get(stage.api + two.uri.removesuffix(".json")) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        async with session.get(url[:-1] + "7") as response:
            assert (response.status, (await response.json())["code"]) == (404, 20404)
        async with session.delete(url) as response:
            assert (response.status, (await response.json())["code"]) == (405, 20004)
    status, answer, _ = await ask(
        stage, "GET", one.uri.replace(ACCOUNT, OTHER), user=OTHER, password="other-token-of-another-program"
    )
    assert (status, answer["code"]) == (404, 20404)


async def test_of_a_very_long_list_the_last_pages_are_remembered_and_the_address_stays_short() -> None:
    starts = list(range(1000, 0, -1))
    token = page_token(starts)
    assert read_page_token(token) == starts[-REMEMBERED:]
    assert len(token) < 1100
    deep = Place("/x", 1000, 50, starts[-1:], ())
    assert deep.previous is None


# What is told


async def test_a_status_callback_is_signed_so_that_the_validator_accepts_it(stage: Stage) -> None:
    url = f"{stage.box.url}/status?order=7&name=caf%C3%A9"
    _, made = await create(stage, StatusCallback=url)

    def came() -> list[str]:
        return [each.form["MessageStatus"] for each in stage.box.came if each.form.get("MessageSid") == made["sid"]]

    await stage.box.until(lambda: "delivered" in came())
    assert came() == ["sent", "delivered"]
    validator = RequestValidator(TOKEN)
    for each in stage.box.came:
        if each.form.get("MessageSid") == made["sid"]:
            assert each.url == url
            assert validator.validate(each.url, each.form, each.headers["X-Twilio-Signature"])
            assert not validator.validate(each.url + "x", each.form, each.headers["X-Twilio-Signature"])
            assert each.form["AccountSid"] == ACCOUNT


async def test_a_text_that_comes_in_is_brought_and_its_twiml_is_obeyed(stage: Stage) -> None:
    assert stage.app.simulator is not None
    phone = "+12065550154"
    twiml = '<?xml version="1.0" encoding="UTF-8"?><Response><Message>Yes &amp; it is ☕</Message></Response>'
    stage.box.answer = lambda came: web.Response(text=twiml, content_type="text/xml")
    await stage.app.simulator.text(phone, DESK, "Ready?")
    handset = stage.app.simulator.handset(phone)
    await stage.box.until(lambda: [each for each in handset.messages if "it is" in each.text])
    replies = [(each.other, each.text) for each in handset.messages if "it is" in each.text]
    assert replies == [(DESK, "Yes & it is ☕")]
    (came,) = [each for each in stage.box.came if each.form.get("From") == phone]
    assert (came.form["Body"], came.form["To"], came.form["SmsStatus"]) == ("Ready?", DESK, "received")
    assert RequestValidator(TOKEN).validate(came.url, came.form, came.headers["X-Twilio-Signature"])


async def test_a_reply_may_go_elsewhere_and_be_told_of(stage: Stage) -> None:
    assert stage.app.simulator is not None
    twiml = (
        '<Response><Message to="+12065550156" from="20655" statusCallback="/told?n=1">Passed on</Message></Response>'
    )
    stage.box.answer = lambda came: web.Response(
        text=twiml if came.form.get("Body") == "Pass it on" else "", content_type="text/html"
    )
    await stage.app.simulator.text("+12065550155", DESK, "Pass it on")
    handset = stage.app.simulator.handset("+12065550156")
    await stage.box.until(lambda: [each for each in handset.messages if each.text == "Passed on"])
    assert handset.messages[-1].other == SHORT
    await stage.box.until(lambda: [each for each in stage.box.came if each.url == f"{stage.box.url}/told?n=1"])


async def test_who_is_too_fast_is_told_when_to_come_again(stage: Stage) -> None:
    path, token = f"/2010-04-01/Accounts/{SLOW}/Messages.json", "token-of-a-slow-program-of-ours"
    answers = [await ask(stage, "POST", path, GOOD, user=SLOW, password=token) for _ in range(4)]
    assert answers[0][0] == 201
    status, answer, headers = answers[-1]
    assert (status, answer["code"]) == (429, 20429)
    assert int(headers["Retry-After"]) >= 1
    assert "RateLimit" in headers


async def test_a_callback_into_our_own_network_is_refused_unless_the_file_allows_it(stage: Stage) -> None:
    path, token = f"/2010-04-01/Accounts/{SLOW}/Messages.json", "token-of-a-slow-program-of-ours"
    for url in (
        "http://[",
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://localhost/x",
        "http://169.254.169.254/latest",
    ):
        form = GOOD | {"StatusCallback": url}
        status, answer, _ = await ask(stage, "POST", path, form, user=SLOW, password=token)
        assert (status, answer["code"]) == (400, 21609)


async def test_no_fuzzed_form_or_query_fails_on_our_side(stage: Stage) -> None:
    chance = random.Random(5)
    names = [*GOOD, "StatusCallback", "SendAt", "ScheduleType", "ValidityPeriod", "MessagingServiceSid", "DateSent<",
             "DateSent", "PageSize", "PageToken", "Page", "Status", "\0", "é"]  # fmt: skip
    values = ["", "\0", "fixed", "-1", "9" * 400, "٣", "\ufffd", "%", "'", '"', "<x>", "http://", "http://[",
              "http://x:99999/", "2026-11-22", MAYA, DESK, SERVICE, "x" * 5000, "MG" + "é" * 32, "PASM" + "f" * 32,
              "0001-01-01", "9999-12-31", "canceled"]  # fmt: skip
    for _ in range(150):
        fields = {name: chance.choice(values) for name in chance.sample(names, chance.randint(1, 6))}
        method = chance.choice(["GET", "POST"])
        path = MESSAGES if method == "POST" else f"{MESSAGES}?{urlencode(fields)}"
        header = {"I-Twilio-Idempotency-Token": chance.choice(["", "x" * 300, "k"])}
        status, answer, _ = await ask(stage, method, path, fields if method == "POST" else "", headers=header)
        assert status < 500, (method, fields, answer)


# How things are written


@pytest.mark.parametrize(
    ("millionths", "written"),
    [(7_900, "-0.00790"), (0, "-0.00000"), (1_234_567, "-1.234567"), (12_000_000, "-12.00000")],
)
async def test_money_that_was_spent_is_negative(millionths: int, written: str) -> None:
    assert price(millionths) == written


async def test_a_text_that_came_in_may_be_of_any_length() -> None:
    written = message(Text(912253093129752576, MAYA, DESK, "é" * 100_000), ACCOUNT, "USD", 0)
    assert (written["num_segments"], written["status"], written["price"]) == ("255", "received", None)
    RESPONSE.validate(written)


async def test_a_sid_stands_for_one_text(stage: Stage) -> None:
    assert read_sid(sid(912253093129752576)) == 912253093129752576
    assert read_sid("MM" + sid(5)[2:]) == 5
    for wrong in ("", "SM", "SM" + "0" * 32, "SM" + "f" * 32, "CA" + "1" * 32, sid(5) + "0"):
        assert read_sid(wrong) is None


@pytest.mark.parametrize(
    ("state", "code", "taken", "status", "error"),
    [
        (0, "", 0, "queued", None),
        (10, "", 0, "sending", None),
        (20, "", 1, "sent", None),
        (40, "", 0, "canceled", None),
        (41, "left", 0, "failed", 21610),
        (41, "capped", 0, "failed", 30007),
        (42, "expired", 0, "failed", 30036),
        (42, "", 1, "undelivered", 30036),
        (43, "30003", 1, "undelivered", 30003),
        (43, "0x0B RINVDSTADR", 0, "failed", 30005),
        (43, "001", 1, "undelivered", 30008),
        (44, "", 1, "sent", None),
        (50, "", 1, "delivered", None),
    ],
)
async def test_each_state_has_its_status_and_number(
    state: int, code: str, taken: int, status: str, error: int | None
) -> None:
    text = Text(912253093129752576, DESK, MAYA, "x", 1, 0, state, code, 0, taken)
    written = message(text, ACCOUNT, "USD", 0)
    assert (written["status"], written["error_code"]) == (status, error)
    RESPONSE.validate(written)
