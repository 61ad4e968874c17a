"""Pictures, flash texts and octets go from each door to a carrier as they came, and are told of by all doors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp.web
import pytest
import pytest_asyncio
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.handlers.api.programs import ACCOUNT, DESK, LEO, MAYA, SHORT, TOKEN, Stage, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURES = ["https://shop.example/latte.jpg?size=1&of=2", "https://shop.example/tea"]
MMS = """channels:
  mms:
    kind: http
    rate: 50/s
    price: 0.01 USD per part
    price_media: 0.03 USD
    send:
      url: %s/mms
      insecure: yes
      form: {to: "{{ recipient }}", text: "{{ text }}", media: "{{ media }}", ref: "{{ message }}"}
    answer: {id: header X-Id}
"""
SENDER = """senders:
  pictures: {number: +12065550177, channel: mms, countries: [US]}
"""


def with_mms(text: str, url: str) -> str:
    """The file with one more channel, which carries pictures to the letterbox."""
    later = "  desk: {number"
    text = text.replace("channels:\n", MMS % url)
    return text.replace(later, SENDER.removeprefix("senders:\n") + later)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A business with a carrier of texts and one of pictures."""
    async with staged(tmp_path_factory.mktemp("content"), change=with_mms) as set_up:
        set_up.box.answer = lambda came: aiohttp.web.Response(headers={"X-Id": "1"})
        yield set_up


@pytest.fixture
def stage(house: Stage) -> Stage:
    """The same with an empty letterbox."""
    house.box.came.clear()
    return house


async def rest(stage: Stage, method: str, path: str, key: str, **body: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        answer = await session.request(method, f"{stage.api}{path}", json=body or None)
        return answer.status, await answer.json()


async def test_pictures_of_a_rest_call_reach_the_carrier_and_are_told_of(stage: Stage) -> None:
    key = await stage.key()
    status, taken = await rest(stage, "POST", "/v1/messages", key, to=MAYA, text="Look", media=PICTURES)
    assert (status, taken["channel"], taken["parts"]) == (201, "mms", 1)
    assert taken["price"] == {"amount": "0.03", "currency": "USD"}
    await stage.box.until(lambda: stage.box.came)
    (came,) = stage.box.came
    expected = [("to", MAYA), ("text", "Look"), *(("media", each) for each in PICTURES), ("ref", taken["id"])]
    assert came.fields == expected
    _, shown = await rest(stage, "GET", f"/v1/messages/{taken['id']}", key)
    assert (shown["text"], shown["media"]) == ("Look", PICTURES)


async def test_twilios_own_library_sends_pictures_and_lists_them(stage: Stage) -> None:
    client = Client(ACCOUNT, TOKEN)
    client.api.base_url = stage.api

    def send(**fields: Any) -> Any:
        return client.messages.create(to=MAYA, **fields)

    sent = await asyncio.to_thread(send, messaging_service_sid="MG" + "0" * 32, media_url=PICTURES)
    assert (sent.num_media, sent.num_segments, sent.body) == ("2", "1", "")
    await stage.box.until(lambda: stage.box.came)
    assert [value for name, value in stage.box.came[0].fields if name == "media"] == PICTURES
    listed = await asyncio.to_thread(client.messages(sent.sid).media.list)
    assert [each.content_type for each in listed] == ["image/jpeg", "application/octet-stream"]
    assert (await asyncio.to_thread(client.messages(sent.sid).fetch)).num_media == "2"

    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(send, from_=SHORT, body="Look", media_url=PICTURES)
    assert (refused.value.status, refused.value.code) == (400, 21621)
    assert "these senders can: pictures" in refused.value.msg
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(send, from_="pictures", media_url=PICTURES * 6)
    assert refused.value.code == 21623


@pytest.mark.parametrize("name", ["MediaUrl10", "MediaUrls", "MediaUrl1x"])
async def test_a_field_that_only_looks_like_one_of_pictures_is_refused(stage: Stage, name: str) -> None:
    login = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with aiohttp.ClientSession(headers=login) as session:
        form = {"To": MAYA, "From": "pictures", "Body": "Look", name: PICTURES[0]}
        answer = await session.post(f"{stage.api}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form)
        assert answer.status == 400
        assert name in (await answer.json())["message"]


async def test_blanked_pictures_are_gone_from_the_answer_and_from_then_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.box, "answer", lambda came: aiohttp.web.Response(status=400))
    client = Client(ACCOUNT, TOKEN)
    client.api.base_url = stage.api
    sent = await asyncio.to_thread(client.messages.create, to=MAYA, from_="pictures", media_url=PICTURES)
    await stage.box.until(lambda: stage.box.came)
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(client.messages(sent.sid).fetch)).status != "failed":  # noqa: ASYNC110  it rings no bell
            await asyncio.sleep(0.05)
    blanked = await asyncio.to_thread(client.messages(sent.sid).update, body="")
    assert (blanked.body, blanked.num_media) == ("", "0")
    assert (await asyncio.to_thread(client.messages(sent.sid).fetch)).num_media == "0"


@pytest.mark.parametrize(
    ("body", "problem", "pointer"),
    [
        ({"from": DESK, "text": "Look", "media": PICTURES}, "cannot-carry", ""),
        ({"from": "pictures", "octets": "00ff"}, "cannot-carry", ""),
        ({"text": "Look", "octets": "00ff"}, "bad-value", "/octets"),
        ({"octets": "00ff", "header": "0604"}, "bad-value", "/header"),
        ({"octets": "00ff", "header": "0605040b8423f000"}, "bad-value", "/header"),
        ({"octets": "00ff", "waiting": 0}, "bad-value", "/waiting"),
        ({"text": "Look", "header": "050003010201"}, "bad-value", "/header"),
        ({"text": "caffè", "header": "03250101"}, "bad-value", "/header"),
        ({"text": "caffè", "header": "03240101"}, "bad-value", "/header"),
        ({"text": "Look", "waiting": 0, "message_class": 0}, "bad-value", "/waiting"),
        ({"octets": "00" * 9_999}, "too-long", "/octets"),
        ({"media": [each + "a" * 1_020 for each in PICTURES]}, "too-long", "/media"),
        ({"media": PICTURES * 6}, "bad-request", "/media"),
        ({"media": ["http://shop.example/a.jpg"]}, "bad-request", "/media/0"),
        ({"octets": "f"}, "bad-request", "/octets"),
        ({"text": "Look", "message_class": 4}, "bad-request", "/message_class"),
        ({}, "no-text", "/text"),
    ],
)
async def test_what_cannot_be_carried_is_refused_with_the_place_and_the_cure(
    stage: Stage, body: dict[str, Any], problem: str, pointer: str
) -> None:
    _, answer = await rest(stage, "POST", "/v1/messages", await stage.key(), to=MAYA, **body)
    found = answer.get("pointer", "") or "".join(each["pointer"] for each in answer.get("errors", ()))
    assert (answer["type"], found) == (f"/problems/{problem}", pointer)
    assert answer["detail"]


async def test_octets_and_their_class_are_told_as_they_were_said_and_people_see_how_many(stage: Stage) -> None:
    key = await stage.key()
    said = {"octets": "00ff1b" * 14, "header": "0605040b8423f0", "message_class": 1, "short_class": True}
    status, taken = await rest(stage, "POST", "/v1/messages", key, to=MAYA, **said)
    assert (status, taken["parts"], taken["channel"]) == (201, 1, "us_sms")
    _, shown = await rest(stage, "GET", f"/v1/messages/{taken['id']}", key)
    assert {name: shown[name] for name in said} == said
    assert shown["text"] == "[42 octets]"
    assert stage.app.simulator is not None
    await stage.box.until(lambda: stage.app.simulator and stage.app.simulator.handset(MAYA).messages)
    assert [each.text for each in stage.app.simulator.handset(MAYA).messages] == ["[42 octets]"]


async def test_a_header_that_says_that_a_text_is_one_piece_is_left_out_and_we_cut_it(stage: Stage) -> None:
    key = await stage.key()
    said = {"text": "y" * 200, "header": "0500030A0101"}
    _, taken = await rest(stage, "POST", "/v1/messages", key, to=LEO, **said)
    _, shown = await rest(stage, "GET", f"/v1/messages/{taken['id']}", key)
    assert (taken["parts"], "header" in shown) == (2, False)
    simulator = stage.app.simulator
    assert simulator is not None
    await stage.box.until(lambda: simulator.handset(LEO).messages)
    assert [each.text for each in simulator.handset(LEO).messages] == [said["text"]]


async def test_a_batch_whose_contents_are_too_much_at_once_is_refused_whole_with_the_cure(stage: Stage) -> None:
    phones = [f"+1206555{n:04}" for n in range(3_000)]
    media = ["https://shop.example/" + "a" * 2_000]
    status, answer = await rest(stage, "POST", "/v1/messages/batch", await stage.key(), to=phones, text="", media=media)
    assert (status, answer["type"]) == (413, "/problems/too-large")
    assert "send to fewer at once" in answer["detail"]


async def test_a_callback_tells_what_a_message_was(stage: Stage) -> None:
    url = f"{stage.box.url}/fate"
    await rest(
        stage, "POST", "/v1/messages", await stage.key(), to=MAYA, text="Fire!", message_class=0, callback={"url": url}
    )
    await stage.box.until(lambda: any('"message.delivered"' in came.body for came in stage.box.came))
    told = next(json.loads(came.body)["data"] for came in stage.box.came if "message.delivered" in came.body)
    assert (told["text"], told["message_class"]) == ("Fire!", 0)
    assert "octets" not in told
