"""A carrier's door is handed what came as it came, within limits, and never by a page's rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, FormData
from yarl import URL

from gateway import web
from gateway.channels.base import Call, Door, Reply

SITE = web.Site(b"s" * 32, ("en",), lambda status, _: f"sorry {status}", "default-src 'none'")
PUBLIC = "https://sms.lantern.example/carillon"


class Carrier:
    """A door that notes who calls, and answers as a test says."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.reply = Reply(200, "<Response/>", "text/xml", {"X-More": "1"})

    async def serve(self, call: Call) -> Reply:
        self.calls.append(call)
        return self.reply


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
async def listener(carrier: Carrier) -> AsyncIterator[web.Listener]:
    doors = [Door("/carriers/us sms/receipts", carrier.serve)]
    app = web.application(SITE, pages=[], doors=doors, address=PUBLIC + "/")
    opened = web.Listener(app, "127.0.0.1", 0, setting="listen.public")
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def client(listener: web.Listener) -> AsyncIterator[ClientSession]:
    async with ClientSession(f"http://127.0.0.1:{listener.port}") as session:
        yield session


DOOR = URL("/carriers/us%20sms/receipts", encoded=True)


async def test_a_call_comes_as_it_was_made_and_under_our_own_address(carrier: Carrier, client: ClientSession) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Signature": "Abc", "X-Two": "1"}
    url = URL("/carriers/us%20sms/receipts?b=%7e+1&a=%E5%A5%BD&lang=zh", encoded=True)
    async with client.post(url, data=b"\x00\xff raw", headers=headers) as reply:
        assert (reply.status, await reply.text(), reply.content_type) == (200, "<Response/>", "text/xml")
        assert reply.headers["X-More"] == "1"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
    (call,) = carrier.calls
    assert (call.method, call.body) == ("POST", b"\x00\xff raw")
    assert call.url == f"{PUBLIC}/carriers/us%20sms/receipts?b=%7e+1&a=%E5%A5%BD&lang=zh"
    assert (call.headers["x-signature"], call.headers["x-two"]) == ("Abc", "1")
    assert all(name == name.lower() for name in call.headers)


async def test_a_form_needs_no_token_of_ours_and_a_get_is_a_call(carrier: Carrier, client: ClientSession) -> None:
    async with client.post(DOOR, data=FormData({"a": "1"}), headers={"Origin": "https://carrier.example"}) as reply:
        assert reply.status == 200
    async with client.get(DOOR) as reply:
        assert reply.status == 200
    assert [call.method for call in carrier.calls] == ["POST", "GET"]


async def test_a_refusal_of_the_door_is_passed_on(carrier: Carrier, client: ClientSession) -> None:
    carrier.reply = Reply(503, headers={"Retry-After": "10"})
    async with client.get(DOOR) as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (503, "10")


async def test_a_body_beyond_the_limit_never_reaches_the_door(carrier: Carrier, client: ClientSession) -> None:
    async with client.post(DOOR, data=b"x" * (web.DOOR_LIMIT + 1)) as reply:
        assert reply.status == 413

    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(web.DOOR_LIMIT // 4096 + 1):
            yield b"x" * 4096

    async with client.post(DOOR, data=without_length()) as reply:
        assert reply.status == 413
    async with client.post(DOOR, data=b"x" * web.DOOR_LIMIT) as reply:
        assert reply.status == 200
    assert len(carrier.calls) == 1


async def test_a_body_that_never_ends_is_given_up(
    carrier: Carrier, client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "BODY_TIMEOUT_S", 0.05)

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(1)

    async with client.post(DOOR, data=endless()) as reply:
        assert reply.status == 408
    assert carrier.calls == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/carriers/nobody/receipts", 404), ("GET", "/carriers/us%20sms/x", 404), ("PUT", DOOR.raw_path, 405)],
)
async def test_where_there_is_no_door_nobody_is_let_in(
    carrier: Carrier, client: ClientSession, method: str, path: str, status: int
) -> None:
    async with client.request(method, URL(path, encoded=True)) as reply:
        assert reply.status == status
    assert carrier.calls == []


async def test_a_whole_address_in_the_request_line_cannot_name_another_host(
    carrier: Carrier, listener: web.Listener
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    line = b"GET http://evil.example/carriers/us%20sms/receipts HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    writer.write(line)
    assert b" 400 " in await reader.readline()
    writer.close()
    assert carrier.calls == []
