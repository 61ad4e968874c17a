"""The three carriers of docs/http-carriers.md, word by word, against servers that behave as their documents say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote

import aiohttp
import pytest
from aiohttp import web as http

from gateway.channels.http import HttpCarrier
from gateway.channels.http.proving import Signer
from gateway.channels.http.settings import Signature
from gateway.errors import Failure, Retry
from gateway.messages import Joint, Outbound, State
from tests.gateway.channels.http.house import HELLO, NOW_MS, SITE, Asked, House, Server, example, public, settings_of

CHINESE = "拿铁买一送一 & more = 100%"


def form(asked: Asked) -> dict[str, str]:
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    pairs = parse_qsl(asked.body.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


# --- Vonage


class Vonage:
    """SMS API: https://developer.vonage.com/en/api/sms."""

    def __init__(self) -> None:
        self.status = "0"

    async def answer(self, asked: Asked) -> http.StreamResponse:
        fields = form(asked)
        if (asked.method, asked.path) != ("POST", "/sms/json") or fields["api_secret"] != "abcd":
            return http.json_response(
                {"message-count": "1", "messages": [{"status": "4", "error-text": "Bad Credentials"}]}
            )
        if self.status != "0":
            return http.json_response(
                {"message-count": "1", "messages": [{"status": self.status, "error-text": "no luck"}]}
            )
        count = 2 if len(fields["text"]) > 160 else 1
        messages = [
            {"to": fields["to"], "message-id": f"0A00-{number}", "status": "0", "remaining-balance": "3.14"}
            for number in range(count)
        ]
        return http.json_response({"message-count": str(count), "messages": messages})


def vonage_signed(fields: Mapping[str, str], key: str = "whisper") -> dict[str, str]:
    """As Vonage's own helper does: &name=value in the order of names, & and = in values become _."""
    text = "".join(f"&{name}={value.replace('&', '_').replace('=', '_')}" for name, value in sorted(fields.items()))
    return {**fields, "sig": hmac.new(key.encode(), text.encode(), "sha256").hexdigest().upper()}


@pytest.fixture
def vonage(server: Server) -> Vonage:
    carrier = Vonage()
    server.answer = carrier.answer
    return carrier


def vonage_settings(folder: Path, server: Server, secret: str = "abcd") -> HttpCarrier:
    text = example("vonage", "rest.nexmo.com", server.url)
    return settings_of(folder, text, vonage_key="k1", vonage_secret=secret, vonage_signature="whisper")


async def test_vonage_takes_a_text(tmp_path: Path, house: House, server: Server, vonage: Vonage) -> None:
    message = HELLO._replace(text=CHINESE, valid_until=NOW_MS + 90_000)
    async with house.hold(vonage_settings(tmp_path, server), name="vonage") as channel:
        (answer,) = await house.send(channel, message)
    assert (answer.message, answer.part, answer.carrier_id, answer.failure) == (7, -1, "0A00-0", None)
    assert form(server.asked[0]) == {
        "api_key": "k1", "api_secret": "abcd", "from": "12065550100", "to": "12065550142", "text": CHINESE,
        "type": "unicode", "ttl": "90000", "client-ref": "7", "status-report-req": "1",
        "callback": f"{SITE}/carriers/vonage/receipts",
    }  # fmt: skip


async def test_vonage_names_each_part_of_a_long_text(
    tmp_path: Path, house: House, server: Server, vonage: Vonage
) -> None:
    async with house.hold(vonage_settings(tmp_path, server)) as channel:
        answers = await house.send(channel, HELLO._replace(text="x" * 200))
    assert [(one.part, one.parts, one.carrier_id) for one in answers] == [(0, 2, "0A00-0"), (1, 2, "0A00-1")]
    assert "ttl" not in form(server.asked[0])


@pytest.mark.parametrize(
    ("status", "retry"),
    [("1", Retry.THROTTLED), ("5", Retry.LATER), ("9", Retry.STOP_CHANNEL), ("3", Retry.NEVER), ("7", Retry.NEVER)],
)
async def test_what_vonage_refuses_has_its_class(
    tmp_path: Path, house: House, server: Server, vonage: Vonage, status: str, retry: Retry
) -> None:
    vonage.status = status
    async with house.hold(vonage_settings(tmp_path, server)) as channel:
        (answer,) = await house.send(channel)
    assert answer.failure == Failure(status, "no luck", retry, elsewhere=status == "7")
    assert (answer.part, answer.in_doubt) == (-1, False)


async def test_a_wrong_password_at_vonage_holds_the_channel(
    tmp_path: Path, house: House, server: Server, vonage: Vonage
) -> None:
    async with house.hold(vonage_settings(tmp_path, server, secret="wrong")) as channel:
        (answer,) = await house.send(channel)
        assert answer.failure
        assert answer.failure.retry is Retry.STOP_CHANNEL
        assert channel.lines()[0].trouble == answer.failure


async def test_vonage_brings_receipts_and_texts_signed(
    tmp_path: Path, house: House, server: Server, vonage: Vonage
) -> None:
    receipt = {
        "msisdn": "12065550142", "to": "12065550100", "network-code": "310260", "messageId": "0A00-0",
        "price": "0.03", "status": "failed", "scts": "2605282026", "err-code": "6", "api-key": "k1",
        "message-timestamp": "2026-05-28 20:26:40", "timestamp": str(NOW_MS // 1000), "nonce": "aaaa",
    }  # fmt: skip
    text = {
        "msisdn": "12065550142", "to": "12065550100", "messageId": "0B01", "text": "VOTE & = 3", "type": "text",
        "concat": "true", "concat-ref": "17", "concat-total": "3", "concat-part": "2",
        "message-timestamp": "2026-05-28 20:26:40", "timestamp": str(NOW_MS // 1000), "nonce": "bbbb",
    }  # fmt: skip
    async with house.hold(vonage_settings(tmp_path, server)) as channel, public(channel) as (client, url):
        async with client.get(f"{url}/receipts", params=vonage_signed(receipt)) as by_get:
            assert by_get.status == 200
        async with client.post(f"{url}/receipts", data=vonage_signed({**receipt, "status": "delivered"})) as by_form:
            assert by_form.status == 200
        async with client.post(f"{url}/inbound", json=vonage_signed(text)) as by_json:
            assert by_json.status == 200
    assert [(one.carrier_ids, one.state, one.code) for one in house.receipts] == [
        (("0A00-0",), State.FAILED, "6"), (("0A00-0",), State.DELIVERED, "6"),
    ]  # fmt: skip
    assert (house.receipts[0].sender, house.receipts[0].recipient) == ("+12065550100", "+12065550142")
    (inbound,) = house.texts
    assert (inbound.sender, inbound.recipient, inbound.text) == ("+12065550142", "+12065550100", "VOTE & = 3")
    assert (inbound.carrier_id, inbound.joint) == ("0B01", Joint(17, 3, 2))


async def test_a_forged_stale_or_changed_call_of_vonage_is_refused(
    tmp_path: Path, house: House, server: Server, vonage: Vonage
) -> None:
    fields = {"msisdn": "12065550142", "to": "12065550100", "messageId": "1", "text": "STOP",
              "timestamp": str(NOW_MS // 1000)}  # fmt: skip
    good = vonage_signed(fields)
    forged = [
        fields,
        {**fields, "sig": ""},
        vonage_signed(fields, key="guess"),
        {**good, "text": "START"},
        {**good, "extra": "1"},
        {**good, "sig": good["sig"][:-1]},
        vonage_signed({**fields, "timestamp": str(NOW_MS // 1000 - 301)}),
        vonage_signed({**fields, "timestamp": "soon"}),
    ]
    async with house.hold(vonage_settings(tmp_path, server)) as channel, public(channel) as (client, url):
        for each in forged:
            async with client.post(f"{url}/inbound", data=each) as reply:
                assert reply.status == 403, each
        async with client.post(f"{url}/inbound", data=good) as reply:
            assert reply.status == 200
    assert len(house.texts) == 1


def test_vonage_signs_like_its_own_helper_does() -> None:
    """The vector of Vonage's Python helper: an MD5 digest over &a=1&b=2&timestamp=1461605396 and the secret."""
    signer = Signer(Signature.model_validate({"over": "&{{ fields }}{{ secret.s }}", "by": "md5", "at": "sig"}))
    pairs = [("b", "2"), ("a", "1"), ("timestamp", "1461605396"), ("sig", "x")]
    assert signer.sign({"secret.s": "secret"}, pairs) == "6af838ef94998832dbfc29020b564830"


# --- Plivo


class Plivo:
    """Send a message: https://www.plivo.com/docs/messaging/api/message/send-a-message."""

    status, error = 202, ""

    async def answer(self, asked: Asked) -> http.StreamResponse:
        if asked.headers["Authorization"] != aiohttp.encode_basic_auth("MA/1", "token"):
            return http.json_response({"api_id": "x", "error": "authentication failed"}, status=401)
        if self.status != 202:
            return http.json_response({"api_id": "x", "error": self.error}, status=self.status)
        assert asked.path == "/v1/Account/MA/1/Message/"  # what the percent-encoded id is decoded to
        body = {"message": "message(s) queued", "message_uuid": ["db3ce55a-7f1d"], "api_id": "x"}
        return http.json_response(body, status=202)


@pytest.fixture
def plivo(server: Server) -> Plivo:
    carrier = Plivo()
    server.answer = carrier.answer
    return carrier


def plivo_settings(folder: Path, server: Server, token: str = "token") -> HttpCarrier:
    return settings_of(folder, example("plivo", "api.plivo.com", server.url), plivo_id="MA/1", plivo_token=token)


def plivo_signed(url: str, nonce: str = "12345", token: str = "token") -> dict[str, str]:
    """V2: HMAC-SHA256 over the address without its query, and the nonce."""
    digest = hmac.digest(token.encode(), (url + nonce).encode(), "sha256")
    return {"X-Plivo-Signature-V2": base64.b64encode(digest).decode(), "X-Plivo-Signature-V2-Nonce": nonce}


async def test_plivo_takes_a_text(tmp_path: Path, house: House, server: Server, plivo: Plivo) -> None:
    async with house.hold(plivo_settings(tmp_path, server), name="plivo") as channel:
        (answer,) = await house.send(channel, HELLO._replace(text='He said "hi"\n' + CHINESE))
    assert (answer.carrier_id, answer.part, answer.failure) == ("db3ce55a-7f1d", -1, None)
    assert json.loads(server.asked[0].body) == {
        "src": "12065550100", "dst": "12065550142", "text": 'He said "hi"\n' + CHINESE, "type": "sms",
        "url": f"{SITE}/carriers/plivo/receipts", "method": "POST",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "retry"),
    [(400, Retry.NEVER), (401, Retry.STOP_CHANNEL), (404, Retry.STOP_CHANNEL), (429, Retry.THROTTLED)],
)
async def test_what_plivo_refuses_has_its_class(
    tmp_path: Path, house: House, server: Server, plivo: Plivo, status: int, retry: Retry
) -> None:
    plivo.status, plivo.error = status, "src is invalid"
    async with house.hold(plivo_settings(tmp_path, server)) as channel:
        (answer,) = await house.send(channel)
    assert answer.failure == Failure(str(status), "src is invalid", retry)


async def test_a_failing_plivo_leaves_a_doubt(tmp_path: Path, house: House, server: Server, plivo: Plivo) -> None:
    plivo.status = 500
    async with house.hold(plivo_settings(tmp_path, server)) as channel:
        (answer,) = await house.send(channel)
        assert (answer.in_doubt, answer.failure, channel.room()) == (True, None, 0)


async def test_plivo_brings_receipts_and_texts_signed(
    tmp_path: Path, house: House, server: Server, plivo: Plivo
) -> None:
    receipt = {"From": "12065550100", "To": "12065550142", "Status": "undelivered", "MessageUUID": "db3ce55a-7f1d",
               "ErrorCode": "30", "Units": "1"}  # fmt: skip
    text = {"From": "12065550142", "To": "12065550100", "Type": "sms", "Text": "STOP", "MessageUUID": "u-2"}
    async with house.hold(plivo_settings(tmp_path, server)) as channel, public(channel) as (client, url):
        signed = plivo_signed(f"{SITE}/carriers/line/receipts")
        async with client.post(f"{url}/receipts?x=1", data=receipt, headers=signed) as reply:
            assert (reply.status, await reply.text()) == (200, "")
        signed = plivo_signed(f"{SITE}/carriers/line/inbound")
        signed["X-Plivo-Signature-V2"] = f"bm8=, {signed['X-Plivo-Signature-V2']}"  # with a main account's beside
        async with client.post(f"{url}/inbound", data=text, headers=signed) as reply:
            assert reply.status == 200
    assert [(one.carrier_ids, one.state, one.code) for one in house.receipts] == [
        (("db3ce55a-7f1d",), State.FAILED, "30")
    ]
    assert [(one.sender, one.text, one.carrier_id) for one in house.texts] == [("+12065550142", "STOP", "u-2")]


async def test_a_forged_call_of_plivo_is_refused(tmp_path: Path, house: House, server: Server, plivo: Plivo) -> None:
    ours = f"{SITE}/carriers/line/inbound"
    wrong = [
        {},
        plivo_signed(ours, token="guess"),
        plivo_signed(f"{SITE}/carriers/line/receipts"),
        {**plivo_signed(ours), "X-Plivo-Signature-V2-Nonce": "54321"},
        {**plivo_signed("https://evil.example/carriers/line/inbound"), "Host": "evil.example"},
    ]
    async with house.hold(plivo_settings(tmp_path, server)) as channel, public(channel) as (client, url):
        for headers in wrong:
            async with client.post(f"{url}/inbound", data={"From": "1", "Text": "x"}, headers=headers) as reply:
                assert reply.status == 403, headers
    assert house.texts == []


def test_plivo_signs_like_its_own_helper_does() -> None:
    """The vector of Plivo's Python helper."""
    signed = plivo_signed("https://answer.url", "12345", "my_auth_token")
    assert signed["X-Plivo-Signature-V2"] == "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="


# --- Aliyun


class Aliyun:
    """SendSms of 2017-05-25 with an RPC signature, which it checks as its documents say."""

    code = "OK"

    async def answer(self, asked: Asked) -> http.StreamResponse:
        fields = form(asked)
        if aliyun_signature(asked.method, fields, "hush") != fields["Signature"]:
            return http.json_response({"Code": "SignatureDoesNotMatch", "Message": "no"}, status=400)
        if self.code != "OK":
            return http.json_response({"Code": self.code, "Message": "没有", "RequestId": "R"})
        return http.json_response({"Code": "OK", "Message": "OK", "RequestId": "R", "BizId": "9006197469^0"})


def aliyun_signature(method: str, fields: Mapping[str, str], secret: str) -> str:
    def encode(text: str) -> str:
        return quote(text, safe="~")

    signed = sorted((name, value) for name, value in fields.items() if name != "Signature")
    canonical = "&".join(f"{encode(name)}={encode(value)}" for name, value in signed)
    over = f"{method}&{encode('/')}&{encode(canonical)}"
    return base64.b64encode(hmac.new(f"{secret}&".encode(), over.encode(), hashlib.sha1).digest()).decode()


@pytest.fixture
def aliyun(server: Server) -> Aliyun:
    carrier = Aliyun()
    server.answer = carrier.answer
    return carrier


def aliyun_settings(folder: Path, server: Server, secret: str = "hush") -> HttpCarrier:
    text = example("aliyun", "dysmsapi.aliyuncs.com", server.url)
    return settings_of(folder, text, aliyun_id="LTAI", aliyun_secret=secret, aliyun_hook="open sesame")


async def test_aliyun_takes_a_signed_text(tmp_path: Path, house: House, server: Server, aliyun: Aliyun) -> None:
    message = Outbound(7, 1, "10690555", "+8613912345678", f'"{CHINESE}" *~')
    async with house.hold(aliyun_settings(tmp_path, server), own=("10690555",)) as channel:
        (answer,) = await house.send(channel, message)
        await house.send(channel, message)
    assert (answer.carrier_id, answer.failure) == ("9006197469^0", None)
    first, second = form(server.asked[0]), form(server.asked[1])
    assert json.loads(first["TemplateParam"]) == {"text": f'"{CHINESE}" *~'}
    assert first["Timestamp"] == "2026-05-28T20:26:40Z"
    assert first["PhoneNumbers"] == "8613912345678"
    assert first["SignatureNonce"] != second["SignatureNonce"]


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("Throttling.User", Retry.THROTTLED), ("isv.BUSINESS_LIMIT_CONTROL", Retry.LATER),
        ("isv.AMOUNT_NOT_ENOUGH", Retry.STOP_CHANNEL), ("isv.MOBILE_NUMBER_ILLEGAL", Retry.NEVER),
    ],
)  # fmt: skip
async def test_what_aliyun_refuses_has_its_class(
    tmp_path: Path, house: House, server: Server, aliyun: Aliyun, code: str, retry: Retry
) -> None:
    aliyun.code = code
    async with house.hold(aliyun_settings(tmp_path, server)) as channel:
        (answer,) = await house.send(channel)
    assert answer.failure == Failure(code, "没有", retry)


async def test_a_wrong_signature_at_aliyun_holds_the_channel(
    tmp_path: Path, house: House, server: Server, aliyun: Aliyun
) -> None:
    async with house.hold(aliyun_settings(tmp_path, server, secret="wrong")) as channel:
        (answer,) = await house.send(channel)
    assert answer.failure == Failure("SignatureDoesNotMatch", "no", Retry.STOP_CHANNEL)


async def test_aliyun_brings_lists(tmp_path: Path, house: House, server: Server, aliyun: Aliyun) -> None:
    reports = [
        {"phone_number": "13912345678", "success": True, "err_code": "DELIVERED", "err_msg": "用户接收成功",
         "sms_size": "1", "biz_id": "9006197469^0", "out_id": "7", "send_time": "2026-05-28 20:26:40"},
        {"phone_number": "13912345679", "success": False, "err_code": "MK:0001", "biz_id": "9006197470^0"},
        {"phone_number": "13912345679", "success": None},
    ]  # fmt: skip
    texts = [{"phone_number": "13912345678", "content": "投票3", "dest_code": "10690555", "sequence_id": 1234567890,
              "sign_name": "灯笼咖啡", "send_time": "2026-05-28 20:26:40"}]  # fmt: skip
    async with (
        house.hold(aliyun_settings(tmp_path, server), own=("10690555",)) as channel,
        public(channel) as (client, url),
    ):
        async with client.post(f"{url}/receipts?key=open+sesame", json=reports) as reply:
            assert (reply.status, await reply.json()) == (200, {"code": 0, "msg": "OK"})
        async with client.post(f"{url}/inbound", params={"key": "open sesame"}, json=texts) as reply:
            assert (reply.status, reply.content_type) == (200, "application/json")
        async with client.post(f"{url}/receipts?key=open+sesame", json=[]) as reply:
            assert reply.status == 200
        for key in ("", "?key=", "?key=open", "?key=open+sesam%C3%A9"):
            async with client.post(f"{url}/receipts{key}", json=reports) as reply:
                assert reply.status == 403
    assert [(one.carrier_ids, one.state, one.code, one.recipient) for one in house.receipts] == [
        (("9006197469^0",), State.DELIVERED, "DELIVERED", "+8613912345678"),
        (("9006197470^0",), State.FAILED, "MK:0001", "+8613912345679"),
    ]
    (inbound,) = house.texts
    assert (inbound.sender, inbound.recipient, inbound.text, inbound.carrier_id) == (
        "+8613912345678", "10690555", "投票3", "1234567890",
    )  # fmt: skip


def test_aliyun_signs_like_its_documents_do() -> None:
    """The example of the RPC signature in Aliyun's documents (DescribeRegions, testid, testsecret)."""
    fields = {
        "AccessKeyId": "testid", "Action": "DescribeRegions", "Format": "XML", "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", "SignatureVersion": "1.0",
        "Timestamp": "2016-02-23T12:46:24Z", "Version": "2014-05-26",
    }  # fmt: skip
    assert aliyun_signature("GET", fields, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="
