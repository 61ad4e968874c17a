"""Asks Twilio by its own library, over one bundle of connections, and tells what is sure from what is not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import orjson
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from gateway.channels.twilio import failures
from gateway.channels.twilio.answers import Refused, Taken, Unknown
from gateway.channels.twilio.settings import TwilioCarrier
from gateway.errors import Failure, Retry

IDLE_S: Final = 20.0  # shorter than Twilio's own patience: a connection that it closes as we write is a doubt
LONGEST_WAIT_S: Final = 600.0  # the most that a Retry-After is believed

_quiet = logging.getLogger(f"{__name__}.library")
_quiet.setLevel(logging.WARNING)  # the library writes each request down, with the phone's number


class Requests:
    """One account at Twilio. Use inside a running loop, and `close` at the end."""

    def __init__(self, settings: TwilioCarrier) -> None:
        answer_s = settings.answer_within.total_seconds()
        self._http = _Http(settings.at_once, answer_s)
        self._service = settings.messaging_service
        login = settings.login
        # Named empty, or the library would take them from the environment and send elsewhere.
        nowhere = {"TWILIO_REGION": "", "TWILIO_EDGE": ""}
        client = Client(login.user, login.password, settings.account, http_client=self._http, environment=nowhere)
        client.api.base_url = settings.api
        self._messages = client.messages

    async def send(
        self, sender: str, recipient: str, text: str, callback: str, life_s: int, media: Sequence[str] = ()
    ) -> Taken:
        """One text. `life_s` is how long it may wait at Twilio, 1 to 36,000; 0 is as long as Twilio likes.

        `media` are addresses of pictures, which Twilio fetches.

        Raises Refused when it was surely not taken, Unknown when nobody knows.
        """
        fields: dict[str, Any] = {"body": text, "from_": sender, "status_callback": callback, "smart_encoded": False}
        if self._service:
            fields["messaging_service_sid"] = self._service
        if life_s:
            fields["validity_period"] = life_s
        if media:
            fields["media_url"] = [*media]
            if not text:
                del fields["body"]
        return await _read(self._messages.create_async(recipient, **fields))

    async def fetch(self, sid: str) -> Taken:
        """How a text stands that Twilio has taken. Raises as `send` does."""
        return await _read(self._messages(sid).fetch_async())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


async def _read(asking: Awaitable[Any]) -> Taken:
    try:
        message = await asking
        segments = int(message.num_segments or 0)
    except ValueError as error:  # it was taken, or a proxy says so; the answer is no answer of Twilio's
        raise Unknown("the answer cannot be read") from error
    if not message.sid:
        raise Unknown("the answer names no message")
    sender, recipient = message.from_ or "", message.to or ""
    return Taken(message.sid, message.status or "", message.error_code or 0, segments, sender, recipient)


class _Http(AsyncHttpClient):  # type: ignore[misc]  # the library has no types
    """How the library reaches the network: on our own session, where a failure tells whether bytes have left."""

    def __init__(self, connections: int, answer_s: float) -> None:
        super().__init__(_quiet, is_async=True)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections + 8, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=answer_s, connect=answer_s / 2),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, str] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  the session has one
        allow_redirects: bool = False,
    ) -> Response:
        """One request as the library wants it. Raises Refused or Unknown for everything but success."""
        proof = {"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {}
        try:
            async with self._session.request(
                method,
                url,
                params=params,
                data=_form(data),
                headers={**(headers or {}), **proof},
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            reason = Failure("unreachable", f"Twilio cannot be reached: {_why(error)}", Retry.LATER, elsewhere=True)
            raise Refused(reason, 0) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unknown(_why(error)) from error
        if response.status >= 300:
            raise _refused(response.status, response.headers.get("Retry-After", ""), body)
        return Response(response.status, body.decode(errors="replace"), response.headers)

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()


def _form(data: Mapping[str, object] | None) -> list[tuple[str, object]] | None:
    """The fields of a form; a list is as many fields of one name."""
    if data is None:
        return None
    return [(name, each) for name, value in data.items() for each in (value if isinstance(value, list) else [value])]


def _refused(status: int, retry_after: str, body: bytes) -> Refused | Unknown:
    failure = failures.refusal(status, _code(body))
    return Unknown(f"HTTP {status}") if failure is None else Refused(failure, wait_s(retry_after))


def _code(body: bytes) -> int:
    """Twilio's own number in an error's body; 0 where it is none of Twilio's."""
    try:
        code = orjson.loads(body)["code"]
    except (ValueError, TypeError, KeyError):
        return 0
    return code if isinstance(code, int) else 0


def wait_s(retry_after: str) -> float:
    """How many seconds a Retry-After header asks us to wait (RFC 9110, section 10.2.3); 0 for none, and for a date."""
    is_number = retry_after.isascii() and retry_after.isdecimal()
    return min(float(retry_after), LONGEST_WAIT_S) if is_number else 0


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
