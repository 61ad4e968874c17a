"""A carrier that is only described in config.yaml brings a text, is thanked, carries our answer, tells its fate."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession
from aiohttp import web as http

import run
from campaigns.settings import Config
from gateway.config import load
from handlers.console import operations
from handlers.console.doors import doors
from tests.gateway.channels.http.house import until
from tests.handlers.console.conftest import config_file, hush

__all__ = ["config_file"]

LINE = """\
  us_sms:
    kind: http
    price: 0.0079 USD per part
    secrets: {{hook: hook}}
    send: {{url: "{url}/send", insecure: yes, json: {{to: "{{{{ recipient }}}}", text: "{{{{ text }}}}"}}}}
    answer: {{id: id}}
    receipts: {{id: id, state: state, delivered: [ok]}}
    inbound: {{sender: from, recipient: to, text: text, id: id}}
    proof: {{token: {{at: header X-Key, value: "{{{{ secret.hook }}}}"}}}}
"""
SHOWN = {"X-Key": "sesame"}


@asynccontextmanager
async def carrier() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A carrier on a socket, and what it was given to send."""
    sent: list[dict[str, str]] = []

    async def take(request: http.Request) -> http.StreamResponse:
        sent.append(await request.json())
        return http.json_response({"id": f"c-{len(sent)}"})

    app = http.Application()
    app.router.add_post("/send", take)
    runner = http.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await http.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", sent
    finally:
        await runner.cleanup()


def lead_to(config_file: Path, url: str) -> Path:
    """The shipped config, its American line described anew, and fit for real phones."""
    text = config_file.read_text("utf-8")
    text = re.sub(r"  us_sms:\n(    .*\n)+", LINE.format(url=url), text)
    text = re.sub(r"till_pin: (\d)", r"till_pin: 9\1", text)
    text = re.sub(r"(?m)^campaigns:\n(  .*\n)+", "", text)
    text = re.sub(r"(?m)^simulator:.*\n", "", text)
    config_file.write_text(text, "utf-8")
    hook = config_file.parent / "hook"
    hook.write_text("sesame\n")
    hook.chmod(0o600)
    return config_file


async def test_a_described_carrier_carries_a_conversation(config_file: Path) -> None:
    async with carrier() as (url, sent):
        path = lead_to(config_file, url)
        async with run.opened(load(path, Config, {}).value, path, {}) as app:
            await operations.apply(app, hush, config=str(path), yes=True)
            async with run.serving(app, {}) as served, doors(served) as both, ClientSession() as client:
                door = f"{both.public}/carriers/us_sms"
                text = {"from": "12065550142", "to": "20655", "text": "HOURS", "id": "m-1"}

                async def brings(path: str, body: object, **headers: str) -> int:
                    async with client.post(f"{door}/{path}", json=body, headers=headers) as reply:
                        return reply.status

                assert await brings("inbound", text) == 403
                assert await brings("inbound", text, **SHOWN) == 200
                assert await brings("inbound", text, **SHOWN) == 200
                await until(lambda: bool(sent))
                assert await brings("receipts", {"id": "c-1", "state": "ok"}, **SHOWN) == 200
                assert await brings("nothing", {}, **SHOWN) == 404
                assert served.gateway
                await served.gateway.fold()
                told = await operations.explain(app, hush, number="+12065550142")
    assert [(each["to"], "7am-7pm" in each["text"]) for each in sent] == [("+12065550142", True)]
    heard, answered = (chapter["words"] for chapter in told["story"])
    assert heard == 'texted "HOURS" to 20655: HOURS answered'
    assert answered.endswith(": delivered")
