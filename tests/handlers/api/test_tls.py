"""Both doors of programs with a certificate of ours: who checks our name is let in, and plain text gets nowhere."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from campaigns.clients import Kind
from gateway.channels.smpp_server import Server
from gateway.codecs import smpp
from gateway.codecs.smpp_session import Bind, Client
from gateway.values import HostPort
from handlers.app import App
from handlers.console.doors import Programs
from tests.gateway.channels.smpp_server.esme import HELLO, dialled
from tests.handlers.api.binding import bindable, open_door
from tests.handlers.api.conftest import key_of, served

PEM = Path(__file__).parents[2] / "peers/localhost.pem"  # made by ourselves, for the name localhost
ALERT = 0x15  # the first octet of a TLS record that says why there is no line (RFC 8446, 5.1)


@pytest.fixture
def trusting() -> ssl.SSLContext:
    """A program that trusts our certificate, and checks that it bears the name that was called."""
    return ssl.create_default_context(cafile=PEM)


@pytest.fixture
async def app(config_file: Path) -> AsyncIterator[App]:
    own = config_file.parent / "own.pem"
    shutil.copy(PEM, own)
    own.chmod(0o600)
    pair = f"{{certificate_file: {own.name}, key_file: {own.name}}}"
    path = bindable(config_file)
    text = re.sub("^listen: {", f"listen: {{api_tls: {pair}, smpp_tls: {pair}, ", path.read_text("utf-8"), flags=re.M)
    path.write_text(text, "utf-8")
    async with served(path) as running:
        yield running


@pytest.fixture
async def password(app: App) -> str:
    return await key_of(app, "shop", Kind.SMPP)


@pytest.fixture
async def smpp_server(app: App) -> AsyncIterator[Server]:
    async with open_door(app) as server:
        yield server


@pytest.fixture
async def api(app: App) -> AsyncIterator[int]:
    """The port for programs by HTTP."""
    programs = Programs(app, HostPort("127.0.0.1", 0))
    await programs.open(app.business.config)
    yield int(programs.address.rpartition(":")[2])
    await programs.close()


async def test_a_program_that_checks_our_name_binds_and_sends(
    smpp_server: Server, password: str, trusting: ssl.SSLContext
) -> None:
    async with dialled(smpp_server.port, password=password, tls=trusting) as esme:
        (answer,) = await esme.submitted([HELLO])
        assert answer[0] == smpp.OK
        await esme.until(lambda: esme.arrived, 15)  # its receipt
        assert esme.transport.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")


async def test_a_program_that_calls_another_name_hangs_up(smpp_server: Server, trusting: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
        await asyncio.open_connection("127.0.0.1", smpp_server.port, ssl=trusting, server_hostname="other.example")


async def test_a_program_that_trusts_nobody_of_us_hangs_up(smpp_server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed"):
        await asyncio.open_connection(
            "127.0.0.1", smpp_server.port, ssl=ssl.create_default_context(), server_hostname="localhost"
        )


async def said_in_plain(port: int, words: bytes) -> bytes:
    """All that is answered to words without TLS, until we are hung up on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(words)
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


async def test_a_bind_in_plain_text_is_hung_up_on_and_its_password_is_not_looked_at(
    smpp_server: Server, password: str, trusting: ssl.SSLContext
) -> None:
    session = Client(Bind("transceiver", "shop", password))
    session.start(0)
    answer = await said_in_plain(smpp_server.port, session.take_out())
    assert answer[:1] in (b"", bytes((ALERT,)))
    assert not smpp_server.lines
    async with dialled(smpp_server.port, password=password, tls=trusting) as esme:  # and it harms nobody
        assert await esme.submitted([HELLO])


async def test_a_call_over_tls_is_answered_and_told_to_stay_there(app: App, api: int, trusting: ssl.SSLContext) -> None:
    known = {"Authorization": f"Bearer {await key_of(app, 'shop')}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(
            f"https://127.0.0.1:{api}/v1/me", headers=known, ssl=trusting, server_hostname="localhost"
        ) as answer:
            assert answer.status == 200
            assert "max-age" in answer.headers["Strict-Transport-Security"]
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://127.0.0.1:{api}/v1/me", headers=known, ssl=trusting)


async def test_a_call_in_plain_text_is_hung_up_on(app: App, api: int) -> None:
    key = await key_of(app, "shop")
    answer = await said_in_plain(api, f"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    assert answer[:1] in (b"", bytes((ALERT,)))
    assert b"HTTP" not in answer
