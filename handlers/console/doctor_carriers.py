"""Looks at carriers: asks the process that holds their lines, else knocks at each, and sends nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateway.channels import AnyCarrier
from gateway.channels.http import HttpCarrier
from gateway.channels.smpp import SmppCarrier, SmppSettings
from gateway.channels.smpp.settings import settings_of, tls_of
from gateway.channels.twilio import TwilioCarrier
from gateway.codecs import smpp
from gateway.codecs import smpp_session as sessions
from gateway.values import HostPort
from handlers.console.findings import ANSWER_S, CONNECT_S, Line, in_time, judged, ok, skew, wrong


async def carrier_lines(
    channels: Mapping[str, AnyCarrier], told: Sequence[Mapping[str, Any]], *, may_bind: bool
) -> list[Line]:
    """Each carrier: by what processes tell of the lines that they hold, or, where nobody does, by knocking.

    Not `may_bind`: others may hold its lines from elsewhere, and a bind more could cost them one.
    """
    held = {each["channel"]: each for each in told if each["lines"]}
    lines = [_told_line(name, held[name]) for name in channels if name in held]
    lines += [ok(name, "the simulator") for name, each in channels.items() if each.is_simulated and name not in held]
    asked = {name: each for name, each in channels.items() if name not in held and not each.is_simulated}
    found = await asyncio.gather(*(in_time(name, _carrier(name, each, may_bind)) for name, each in asked.items()))
    return [*lines, *(line for some in found for line in some)]


def _told_line(name: str, told: Mapping[str, Any]) -> Line:
    """As the process sees it that holds its lines."""
    found = f"{told['carrier']}: {told['bound']} of {told['lines']} lines bound, {told['standing']}"
    why = told["trouble"] or told["why"]
    cure = f"{why}; see docs/operations.md, Carriers" if why else "see the log of serve, and ask the carrier"
    is_wrong = bool(told["trouble"]) or not told["bound"]
    return judged(name, found, cure, is_wrong=is_wrong, is_doubtful=told["standing"] != "open")


async def _carrier(name: str, settings: AnyCarrier, may_bind: bool) -> list[Line]:
    match settings:
        case SmppCarrier():
            return [await _smpp(name, settings_of(settings, HostPort("", 0), name, ()), may_bind=may_bind)]
        case TwilioCarrier():
            return await _web(name, settings.api)
        case HttpCarrier():
            return await _web(name, settings.send.url)


async def _smpp(name: str, settings: SmppSettings, *, may_bind: bool) -> Line:
    """Connect, be bound, say goodbye. As transmitter: nothing can be brought to us that we would not keep."""
    where = f"{settings.address.host}:{settings.address.port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                settings.address.host, settings.address.port, ssl=tls_of(settings.address)
            )
    except (OSError, TimeoutError) as error:
        return wrong(name, f"{where}: {reason(error)}", cure_of(error))
    if not may_bind:
        writer.transport.abort()
        return ok(name, f"{where}: picks up; not bound, for another process may hold its lines")
    try:
        async with asyncio.timeout(ANSWER_S):
            told = await _bind(name, settings, reader, writer)
    except (OSError, TimeoutError) as error:
        said = "does not answer to a bind" if isinstance(error, TimeoutError) else reason(error)
        return wrong(name, f"{where}: connected, but it {said}", "is this the SMPP port? Is TLS wanted, or not?")
    finally:
        writer.transport.abort()
    return told or ok(name, f"{where}: bound as {settings.account}")


async def _bind(
    name: str, settings: SmppSettings, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Line | None:
    """What is wrong, after the carrier has answered."""
    where = f"{settings.address.host}:{settings.address.port}"
    bind = sessions.Bind("transmitter", settings.account, settings.password, settings.system_type)
    session = sessions.Client(bind)
    session.start(time.monotonic())
    while True:
        writer.write(session.take_out())
        data = await reader.read(65_536)
        for event in session.receive(data, time.monotonic()) if data else session.lost("it hung up"):
            if isinstance(event, sessions.Bound):
                session.unbind(time.monotonic())
                writer.write(session.take_out())
                await writer.drain()
                return None
            if isinstance(event, sessions.Refused):
                failure = smpp.failure(event.status)
                cure = "mend account, password_file and system_type, or ask the carrier"
                return wrong(name, f"{where}: {failure.code} {failure.words}", cure)
            if isinstance(event, sessions.Closed):
                cure = "is this the SMPP port? Is TLS wanted, or not? Is our address let in?"
                return wrong(name, f"{where}: {event.why} before it had answered to a bind", cure)


async def _web(name: str, url: str) -> list[Line]:
    """Resolve, connect, shake hands, and hear what time it is there. Asks for nothing and shows no secret."""
    parts = urlsplit(url)
    home = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    sent = time.time()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CONNECT_S)) as session,
            session.head(home, allow_redirects=False) as answer,
        ):
            date, came = answer.headers.get("Date", ""), time.time()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return [wrong(name, f"{parts.hostname}: {reason(error)}", cure_of(error))]
    found = f"{parts.hostname}: answers in {(came - sent) * 1000:.0f} ms"
    lines = [ok(name, found + (", encrypted" if parts.scheme == "https" else ""))]
    with contextlib.suppress(ValueError):
        # The header counts whole seconds, and was written at some time while we waited.
        there = parsedate_to_datetime(date).timestamp()
        ahead_s = there - came if there > came else min(0.0, there + 1 - sent)
        lines.append(skew(name, ahead_s, "NTP here (timedatectl): signatures and hours go by the clock"))
    return lines


def reason(error: BaseException) -> str:
    """Why there is no connection, in words."""
    inner = getattr(error, "os_error", None) or error
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return "no such host"
    if isinstance(inner, ssl.SSLCertVerificationError) or isinstance(error, aiohttp.ClientConnectorCertificateError):
        found = getattr(error, "certificate_error", inner)
        return f"its certificate is not right ({getattr(found, 'verify_message', '') or found})"
    if isinstance(inner, ssl.SSLError) or isinstance(error, aiohttp.ClientSSLError):
        return "no encrypted line could be agreed upon"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:g} s"
    number = getattr(inner, "errno", None)
    return (os.strerror(number) if number else str(inner) or type(inner).__name__).lower()


def cure_of(error: BaseException) -> str:
    """What helps."""
    words = reason(error)
    if words == "no such host":
        return "mend the name in channels:, or the name server"
    if "certificate" in words:
        return "ask the carrier; authorities_file where it is not a public one"
    if "encrypted" in words:
        return "is TLS wanted at this port?"
    if "refused" in words:
        return "is it the right port? Ask the carrier whether our address is let in"
    return "does a firewall drop us? Ask the carrier whether our address is let in"
