"""What Twilio brings is believed only when signed, kept before it is thanked, and understood as far as it goes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.channels.base import Call, Reply
from gateway.channels.twilio import doors
from gateway.channels.twilio.failures import FAILURES
from gateway.codecs.twilio_signature import NO_REPLY, signature
from gateway.config import Secret
from gateway.messages import Media, State
from tests.gateway.channels.twilio.conftest import ACCOUNT, FROM, TO, TOKEN, Stage, Staged, text

SID = "SM" + "c" * 32
TEXT = {
    "MessageSid": SID, "SmsSid": SID, "AccountSid": ACCOUNT, "From": TO, "To": FROM, "Body": "VOTE 3", "NumMedia": "0",
    "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01", "FromCity": "",
}  # fmt: skip
STATUS = {
    "MessageSid": SID, "SmsSid": SID, "AccountSid": ACCOUNT, "From": FROM, "To": TO, "MessageStatus": "delivered",
    "SmsStatus": "delivered",
}  # fmt: skip
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


def form_call(stage: Stage, door: str, fields: Mapping[str, str], *, token: str = TOKEN, query: str = "") -> Call:
    url = f"{stage.site}/carriers/tw/{door}{query}"
    headers = {"content-type": FORM, "x-twilio-signature": signature(token, url, fields.items())}
    return Call("POST", url, headers, urlencode(fields).encode())


async def knock(stage: Stage, door: str, fields: Mapping[str, str], **rest: str) -> Reply:
    return await stage.call(form_call(stage, door, fields, **rest))


# --- texts


async def test_a_text_is_brought_and_thanked_with_a_reply_that_says_nothing(staged: Staged) -> None:
    stage = await staged()
    reply = await knock(stage, "in", TEXT | {"Body": "投票 3 👍 <&> "})
    assert (reply.status, reply.body, reply.content_type) == (200, NO_REPLY, "text/xml; charset=utf-8")
    [found] = stage.texts
    assert (found.sender, found.recipient, found.text, found.carrier_id) == (TO, FROM, "投票 3 👍 <&> ", SID)
    assert (found.media, found.obeyed, found.line) == ((), "", 0)


@pytest.mark.parametrize(("word", "obeyed"), [("STOP", "stop"), ("START", "start"), ("HELP", "help"), ("NEW", "")])
async def test_a_word_that_twilio_has_obeyed_is_told_as_obeyed(staged: Staged, word: str, obeyed: str) -> None:
    stage = await staged()
    await knock(stage, "in", TEXT | {"OptOutType": word})
    assert stage.texts[0].obeyed == obeyed


async def test_pictures_are_named_and_one_that_is_missing_is_missing(staged: Staged) -> None:
    stage = await staged()
    urls = {f"MediaUrl{n}": f"https://api.twilio.com/m/{n}" for n in (0, 1)}
    await knock(stage, "in", TEXT | urls | {"NumMedia": "3", "MediaContentType0": "image/jpeg"})
    assert stage.texts[0].media == (
        Media("https://api.twilio.com/m/0", "image/jpeg"),
        Media("https://api.twilio.com/m/1", ""),
    )


@pytest.mark.parametrize("count", ["many", "-1", "", "9" * 30, "1000000"])
async def test_no_count_of_pictures_does_harm(staged: Staged, count: str) -> None:
    stage = await staged()
    assert (await knock(stage, "in", TEXT | {"NumMedia": count, "MediaUrl0": "https://a"})).status == 200
    assert len(stage.texts) == 1


async def test_new_fields_and_missing_ones_do_no_harm(staged: Staged) -> None:
    stage = await staged()
    assert (await knock(stage, "in", {"From": TO, "Whatever": "x"})).status == 200
    assert (stage.texts[0].text, stage.texts[0].carrier_id) == ("", "")
    assert (await knock(stage, "in", {"Whatever": "x"})).status == 200
    assert len(stage.texts) == 1


async def test_nothing_is_thanked_before_it_is_kept(staged: Staged) -> None:
    stage = await staged()
    kept: list[list[object]] = []
    stage.keep = kept.append
    call = asyncio.create_task(stage.call(form_call(stage, "in", TEXT)))
    await stage.until(lambda: kept)
    await asyncio.sleep(0.02)
    assert not call.done()
    stage.channel.thank(kept[0])
    assert (await call).status == 200
    stage.channel.thank(kept[0])  # a second time does nothing
    stage.channel.refuse([None, *kept[0]])


async def test_what_could_not_be_kept_is_to_come_again(staged: Staged) -> None:
    stage = await staged()
    stage.keep = stage.channel.refuse
    for door, fields in (("in", TEXT), ("status", STATUS)):
        reply = await knock(stage, door, fields)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "2")


async def test_a_store_that_hangs_is_not_waited_for_longer_than_twilio_waits(
    staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await staged()
    monkeypatch.setattr(doors, "KEPT_S", 0.05)
    stage.keep = lambda handles: None
    assert (await knock(stage, "in", TEXT)).status == 503


# --- who may come in


async def test_only_what_twilio_signed_changes_anything(staged: Staged) -> None:
    stage = await staged()
    good = form_call(stage, "in", TEXT)
    wrong = [
        form_call(stage, "in", TEXT, token="another"),
        good._replace(url=good.url + "?x=1"),
        good._replace(url=good.url.replace("/in", "/status")),
        good._replace(url="https://elsewhere.example/carriers/tw/in"),
        good._replace(body=good.body.replace(b"VOTE", b"VOTF")),
        good._replace(body=good.body + b"&New=1"),
        good._replace(body=good.body + b"&New=%ff"),
        good._replace(body=b"\xff\xfe"),
        good._replace(body=b"&".join([b"a=1"] * 300)),
        good._replace(headers={"content-type": FORM}),
        good._replace(headers={**good.headers, "content-type": "application/json"}),
        good._replace(headers={**good.headers, "content-type": "multipart/form-data; boundary=x"}),
    ]
    assert [(await stage.call(call)).status for call in wrong] == [403] * len(wrong)
    assert (await stage.call(good._replace(method="GET"))).status == 405
    assert stage.order == []
    assert (await stage.call(good)).status == 200


async def test_every_flipped_bit_of_the_body_and_the_signature_is_refused(staged: Staged) -> None:
    """Save where the fields stay the same: %2b is %2B."""
    stage = await staged()
    good = form_call(stage, "in", TEXT)
    for place in range(len(good.body) * 8):
        octets = bytearray(good.body)
        octets[place // 8] ^= 1 << place % 8
        if octets.upper() == good.body.upper() and octets[place // 8 - 2 : place // 8 - 1] == b"%":
            continue
        assert (await stage.call(good._replace(body=bytes(octets)))).status == 403, octets
    shown = good.headers["x-twilio-signature"]
    for place in range(len(shown)):
        other = shown[:place] + chr(ord(shown[place]) ^ 1) + shown[place + 1 :]
        headers = dict(good.headers) | {"x-twilio-signature": other}
        assert (await stage.call(good._replace(headers=headers))).status == 403
    assert stage.texts == []


async def test_the_address_that_counts_is_that_of_our_site_whoever_the_call_says_it_called(staged: Staged) -> None:
    stage = await staged()
    good = form_call(stage, "in", TEXT)
    proxied = dict(good.headers) | {
        "host": "evil.example",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "http",
    }
    assert (await stage.call(good._replace(headers=proxied))).status == 200


async def test_both_tokens_open_while_both_are_given(staged: Staged, tmp_path: Path) -> None:
    stage = await staged(previous_token_file=Secret(tmp_path / "old", "old"))
    assert [(await knock(stage, "in", TEXT, token=each)).status for each in (TOKEN, "old", "older")] == [200, 200, 403]
    after = await staged()
    assert (await knock(after, "in", TEXT, token="old")).status == 403


async def test_a_call_in_json_is_read_when_its_body_is_the_one_that_was_signed(staged: Staged) -> None:
    stage = await staged()
    body = json.dumps(TEXT | {"NumMedia": 0}).encode()
    url = f"{stage.site}/carriers/tw/in?bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers = {"content-type": "application/json", "x-twilio-signature": signature(TOKEN, url)}
    call = Call("POST", url, headers, body)
    assert (await stage.call(call)).status == 200
    assert stage.texts[0].text == "VOTE 3"
    assert (await stage.call(call._replace(body=body + b" "))).status == 403
    for other in (b"[]", b"{"):
        url = f"{stage.site}/carriers/tw/in?bodySHA256={hashlib.sha256(other).hexdigest()}"
        headers = {"content-type": "application/json", "x-twilio-signature": signature(TOKEN, url)}
        assert (await stage.call(Call("POST", url, headers, other))).status == 403
    assert len(stage.texts) == 1


# --- receipts


@pytest.mark.parametrize(
    ("status", "error", "state", "code"),
    [
        *[(word, "", State.SENT, "") for word in ("scheduled", "accepted", "queued", "sending", "sent")],
        ("delivered", "", State.DELIVERED, ""),
        ("read", "", State.DELIVERED, ""),
        ("undelivered", "30003", State.FAILED, "30003"),
        ("failed", "30007", State.FAILED, "30007"),
        ("failed", "", State.FAILED, "failed"),
        ("undelivered", "30036", State.EXPIRED, "30036"),
        ("canceled", "", State.FAILED, "canceled"),
        ("undelivered", "99999", State.FAILED, "99999"),
        ("delivered", "x", State.DELIVERED, ""),
    ],
)
async def test_each_status_is_a_state(staged: Staged, status: str, error: str, state: State, code: str) -> None:
    stage = await staged()
    assert (await knock(stage, "status", STATUS | {"MessageStatus": status, "ErrorCode": error})).status == 200
    [found] = stage.receipts
    assert (found.carrier_ids, found.state, found.code) == ((SID,), state, code)
    assert (found.sender, found.recipient) == (FROM, TO)
    assert stage.answers == []  # its address names no text


async def test_a_status_that_nobody_knows_is_thanked_and_written_down(
    staged: Staged, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await staged()
    with caplog.at_level(logging.WARNING):
        assert (await knock(stage, "status", STATUS | {"MessageStatus": "beamed\nup"})).status == 200
    assert stage.order == []
    assert r"beamed\nup" in caplog.text


async def test_a_receipt_at_the_door_for_texts_is_a_receipt(staged: Staged) -> None:
    stage = await staged()
    await knock(stage, "in", STATUS)
    assert (len(stage.receipts), len(stage.texts)) == (1, 0)


@pytest.mark.parametrize("query", ["?message=x&attempt=0", "?message=&attempt=", "?message=-5", f"?message={10**30}"])
async def test_an_address_that_names_no_text_is_a_receipt_all_the_same(staged: Staged, query: str) -> None:
    stage = await staged()
    assert (await knock(stage, "status", STATUS, query=query)).status == 200
    assert (len(stage.receipts), len(stage.answers)) == (1, 0)


async def test_a_receipt_after_a_restart_brings_the_answer_with_it(staged: Staged) -> None:
    stage = await staged()
    for status in ("sent", "delivered"):
        await knock(stage, "status", STATUS | {"MessageStatus": status}, query="?message=77&attempt=2")
    [answer] = stage.answers
    assert (answer.message, answer.attempt, answer.part, answer.carrier_id) == (77, 2, -1, SID)
    assert stage.order == ["answer", "receipt", "receipt"]


# reliability-security.md 1.3, the codes that come as receipts
@pytest.mark.parametrize("code", ["30002", "30024", "30032", "30034"])
async def test_a_receipt_that_our_account_is_refused_holds_this_channel_alone(staged: Staged, code: str) -> None:
    stage, other = await staged(), await staged()
    await knock(stage, "status", STATUS | {"MessageStatus": "failed", "ErrorCode": code})
    assert stage.channel.room() == 0
    assert stage.channel.lines()[0].trouble == FAILURES[int(code)]
    assert stage.channel.send([text()]) == [text()]
    assert other.channel.room() == 5


@pytest.mark.parametrize("code", ["30001", "30022", "30017", "21611"])
async def test_a_receipt_of_a_jam_slows_us_down(staged: Staged, code: str) -> None:
    stage = await staged(at_once=8)
    await knock(stage, "status", STATUS | {"MessageStatus": "failed", "ErrorCode": code})
    assert stage.channel.room() == 0
    await stage.until(stage.channel.room)
    assert stage.channel.room() == 4


@pytest.mark.parametrize("code", ["30003", "30005", "30006", "30007", "30008", "30011", "30023", "30027", "30410"])
async def test_a_receipt_about_one_phone_slows_nobody_down(staged: Staged, code: str) -> None:
    stage = await staged()
    await knock(stage, "status", STATUS | {"MessageStatus": "undelivered", "ErrorCode": code})
    assert stage.channel.room() == 5
