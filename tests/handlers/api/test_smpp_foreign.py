"""Programs that others wrote bind to us: npm `smpp`, smpp34 (Rust), Net::SMPP (Perl), and Debian's Kannel.

npm `smpp` is looked for in `node_modules` of the checkout, or of the folder that CARILLON_NODE names.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import smpp34
from aiohttp import web
from yarl import URL

from campaigns.clients import Kind
from gateway.codecs import parts
from gateway.messages import Content
from handlers.api import kannel_fields
from handlers.app import App
from tests.handlers.api.binding import LONG, bindable, open_door
from tests.handlers.api.conftest import ANA, BEN, key_of, served
from tests.ports import free_ports
from tests.tables import look

pytestmark = pytest.mark.engine("sqlite")

PEERS = Path(__file__).parents[2] / "peers"
PACKAGES = Path(os.environ.get("CARILLON_NODE", PEERS.parents[1])) / "node_modules"
DAEMONS = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
BOXES = {name: shutil.which(name, path=DAEMONS) for name in ("bearerbox", "smsbox")}

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (PACKAGES / "smpp").is_dir(),
    reason="needs node and: npm install --no-save smpp@0.5.1 (or a folder with it in CARILLON_NODE)",
)
needs_perl = pytest.mark.skipif(
    shutil.which("perl") is None
    or subprocess.run(["perl", "-MNet::SMPP", "-e", "1"], capture_output=True, check=False).returncode != 0,
    reason="needs Net::SMPP: apt-get install libnet-smpp-perl",
)
needs_kannel = pytest.mark.skipif(not all(BOXES.values()), reason="needs Kannel: apt-get install kannel")


@pytest.fixture
async def app(config_file: Path) -> AsyncIterator[App]:
    async with served(bindable(config_file)) as running:
        yield running


@pytest.fixture
async def password(app: App) -> str:
    return await key_of(app, "shop", Kind.SMPP)


async def said(*command: str) -> list[str]:
    """What a program says until its end."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "NODE_PATH": str(PACKAGES)}
    )
    try:
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode().splitlines()


# --- npm smpp --------------------------------------------------------------------------------------------------------


async def node(**options: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in await said("node", str(PEERS / "esme.js"), json.dumps(options))]


def having(lines: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [line for line in lines if name in line]


@needs_node
async def test_npm_smpp_sends_a_text_and_one_in_pieces_and_reads_its_receipts(app: App, password: str) -> None:
    pieces = [LONG[at : at + 150] for at in range(0, len(LONG), 150)]
    async with open_door(app) as server:
        lines = await node(
            port=server.port, password=password, to=ANA[1:], text="Caffè [€5] für dich", pieces=pieces, deliveries=4
        )
    assert having(lines, "bound") == [{"bound": 0}]
    answers = having(lines, "status")
    assert [each["status"] for each in answers] == [0] * 4
    receipts = having(lines, "receipted")
    assert {each["receipted"] for each in receipts} == {each["id"] for each in answers}
    assert {(each["esm_class"], each["state"]) for each in receipts} == {(4, 2)}
    assert all(f"id:{each['receipted']} " in each["message"] for each in receipts)
    assert "stat:DELIVRD" in receipts[0]["message"]
    assert having(lines, "unbound")
    assert app.simulator is not None
    shown = [each.text for each in app.simulator.handset(ANA).messages if each.incoming]
    assert Counter(shown) == Counter([LONG, "Caffè [€5] für dich"])


@needs_node
async def test_npm_smpp_is_brought_what_people_texted_while_it_was_away(app: App, password: str) -> None:
    assert app.simulator is not None
    chinese = "【灯笼咖啡】春天来了，拿铁买一送一" * 10
    pieces = len(parts.split(chinese, 1)[1])
    async with open_door(app) as server:
        await app.simulator.text(ANA, "20655", "Where are you?")
        await app.simulator.text(BEN, "20655", chinese)
        lines = await node(port=server.port, password=password, to=ANA[1:], deliveries=1 + pieces)
    brought = having(lines, "from")
    assert [each["message"] for each in brought if each["from"] == ANA[1:]] == ["Where are you?"]
    others = sorted((each for each in brought if each["from"] == BEN[1:]), key=lambda each: each["place"])
    assert "".join(each["message"] for each in others) == chinese


@needs_node
async def test_npm_smpp_is_refused_with_a_wrong_password(app: App) -> None:
    async with open_door(app) as server:
        lines = await node(port=server.port, password="wrong", to=ANA[1:])
    assert having(lines, "bound") == [{"bound": 0x0E}]
    assert having(lines, "closed")


@needs_node
async def test_npm_smpp_is_throttled_beyond_its_rate(app: App, password: str) -> None:
    async with open_door(app) as server:
        lines = await node(port=server.port, password=password, to=ANA[1:], many=3000)
    statuses = Counter(each["status"] for each in having(lines, "status"))
    assert statuses.keys() == {0, 0x58}
    assert statuses.total() == 3000


# --- smpp34 ----------------------------------------------------------------------------------------------------------


async def test_smpp34_sends_reads_its_receipt_and_is_brought_a_text(app: App, password: str) -> None:
    assert app.simulator is not None
    async with open_door(app) as server, asyncio.timeout(30):
        client = smpp34.Client("127.0.0.1", server.port, "shop", password)
        smsc = await client.connect()
        answer = await smsc.submit_sm(
            ANA[1:], b"Hello", source_addr="20655", source_addr_ton=3, dest_addr_ton=1, dest_addr_npi=1,
            registered_delivery=1,
        )  # fmt: skip
        receipt: Any = await smsc.next()
        assert f"id:{answer.message_id} ".encode() in receipt.short_message
        assert b"stat:DELIVRD" in receipt.short_message
        await app.simulator.text(BEN, "20655", "Hello you")
        text: Any = await smsc.next()
        assert (text.source_addr, text.destination_addr, text.short_message) == (BEN[1:], "20655", b"Hello you")
        await smsc.unbind()
        await client.stop()


async def test_smpp34_is_refused_with_a_wrong_password(app: App) -> None:
    async with open_door(app) as server:
        client = smpp34.Client("127.0.0.1", server.port, "shop", "wrong")
        with pytest.raises(smpp34.SmppError, match=r"14|0x0*[eE]|(?i:passw|bind)"):
            await client.connect()


# --- Net::SMPP -------------------------------------------------------------------------------------------------------


@needs_perl
async def test_net_smpp_sends_a_text_in_pieces_and_reads_its_receipts(app: App, password: str) -> None:
    count = -(-len(LONG) // 153)
    async with open_door(app) as server:
        lines = await said("perl", str(PEERS / "esme.pl"), str(server.port), password, ANA[1:], LONG, str(count))
    taken = [line.split()[2] for line in lines if line.startswith("taken 0 ")]
    receipts = [line for line in lines if line.startswith("delivered 4 ")]
    assert lines[0] == "bound 0"
    assert len(taken) == len(receipts) == count
    assert all(any(f"id:{ident} " in line and "stat:DELIVRD" in line for line in receipts) for ident in taken)
    assert lines[-1] == "unbound 0"
    assert app.simulator is not None
    assert [each.text for each in app.simulator.handset(ANA).messages if each.incoming] == [LONG]


@needs_perl
async def test_net_smpp_is_brought_a_text_and_refused_with_a_wrong_password(app: App, password: str) -> None:
    assert app.simulator is not None
    async with open_door(app) as server:
        await app.simulator.text(BEN, "20655", "Hello you")
        lines = await said("perl", str(PEERS / "esme.pl"), str(server.port), password, ANA[1:], "", "1")
        assert f"delivered 0 {BEN[1:]} Hello you" in lines
        wrong = await said("perl", str(PEERS / "esme.pl"), str(server.port), "wrong", ANA[1:], "Hi", "1")
    assert wrong == ["bound 14"]


# --- Kannel ----------------------------------------------------------------------------------------------------------

CORE = """
group = core
admin-port = {admin}
admin-password = bar
smsbox-port = {boxes}
log-level = 0
log-file = "{folder}/bearerbox.log"
box-allow-ip = "127.0.0.1"
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = carillon
host = 127.0.0.1
port = {port}
transceiver-mode = true
smsc-username = shop
smsc-password = {password}
system-type = ""
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
log-level = 0
log-file = "{folder}/smsbox.log"
sendsms-chars = "0123456789+ "

group = sendsms-user
username = foo
password = bar
max-messages = 5
concatenation = true

group = sms-service
keyword = default
get-url = "http://127.0.0.1:{http}/mo?from=%p&to=%P&text=%b"
max-messages = 0
catch-all = true
"""


@dataclass
class Kannel:
    """Bearerbox and smsbox, and what they told a web server of ours."""

    folder: Path
    sendsms: int
    running: list[asyncio.subprocess.Process] = field(default_factory=list)
    heard: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def start(self) -> None:
        for program in BOXES.values():
            assert program is not None
            self.running.append(
                await asyncio.create_subprocess_exec(
                    program, "-v", "4", str(self.folder / "kannel.conf"),
                    stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
                )
            )  # fmt: skip
            await asyncio.sleep(0.7)

    async def stop(self) -> None:
        for process in reversed(self.running):
            process.kill()
            await process.wait()
        self.running.clear()

    async def send(self, **values: str) -> str:
        """Its own `sendsms`, as its users call it."""
        return await self.call(urlencode({"username": "foo", "password": "bar", "from": "20655", **values}))

    async def call(self, query: str) -> str:
        """The same with a query as it goes over the wire."""
        url = URL(f"http://127.0.0.1:{self.sendsms}/cgi-bin/sendsms?{query}", encoded=True)
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()

    def told(self, path: str) -> list[dict[str, str]]:
        return [query for at, query in self.heard if at == path]


@asynccontextmanager
async def kannel(folder: Path, port: int, password: str) -> AsyncIterator[tuple[Kannel, str]]:
    """Kannel as a program of ours, and the address of our web server."""
    admin, boxes, sendsms = free_ports(3)
    box = Kannel(folder, sendsms)

    async def hear(request: web.Request) -> web.Response:
        box.heard.append((request.path, dict(request.query)))
        return web.Response(text="")

    listener = web.Application()
    listener.router.add_get("/{path}", hear)
    runner = web.AppRunner(listener)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    http = runner.addresses[0][1]
    (folder / "kannel.conf").write_text(
        CORE.format(
            admin=admin, boxes=boxes, sendsms=sendsms, folder=folder, port=port, password=password, http=http
        )
    )  # fmt: skip
    await box.start()
    try:
        yield box, f"http://127.0.0.1:{http}"
    finally:
        await box.stop()
        await runner.cleanup()


async def until(is_so: Callable[[], object], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110  other programs ring no bell
            await asyncio.sleep(0.05)


@needs_kannel
async def test_kannel_sends_through_us_reads_receipts_and_is_brought_texts_also_those_while_it_was_away(
    app: App, password: str, tmp_path: Path
) -> None:
    simulator = app.simulator
    assert simulator is not None
    async with open_door(app) as server, kannel(tmp_path, server.port, password) as (box, url):
        await until(lambda: server.accounts)
        short = await box.send(
            to=ANA, text="Your order is ready", **{"dlr-mask": "31", "dlr-url": f"{url}/dlr?n=short&is=%d"}
        )
        assert short.startswith("0: Accepted"), short
        long = await box.send(to=BEN, text=LONG, **{"dlr-mask": "3", "dlr-url": f"{url}/dlr?n=long&is=%d"})
        assert long.startswith("0: Accepted"), long
        await until(
            lambda: {"n": "short", "is": "1"} in box.told("/dlr") and {"n": "long", "is": "1"} in box.told("/dlr")
        )
        assert {"n": "short", "is": "8"} in box.told("/dlr")  # taken by us
        assert [each.text for each in simulator.handset(ANA).messages if each.incoming] == ["Your order is ready"]
        assert [each.text for each in simulator.handset(BEN).messages if each.incoming] == [LONG]
        refused = await box.send(
            to="+8613800138000", text="Hi", **{"dlr-mask": "31", "dlr-url": f"{url}/dlr?n=no&is=%d"}
        )
        assert refused.startswith("0: Accepted")
        await until(lambda: {"n": "no", "is": "16"} in box.told("/dlr"))  # our sender does not serve China
        await simulator.text(ANA, "20655", "Hello shop")
        await until(lambda: box.told("/mo"))
        await box.stop()
        await until(lambda: not server.accounts)
        await simulator.text(ANA, "20655", "Are you there?")
        await box.start()
        await until(lambda: len(box.told("/mo")) == 2)
    assert [(each["from"], each["text"]) for each in box.told("/mo")] == [
        (ANA, "Hello shop"),
        (ANA, "Are you there?"),
    ]


# What is to be shown or run otherwise, as Kannel's user guide has it. (UCS-2 with mwi is left out: Kannel 1.4.5 gives
# it a data coding of GSM letters.)
AS_KANNEL = [
    "text=flash&mclass=0",
    "text=sim&mclass=2",
    "text=short&mclass=0&alt-dcs=1",
    "text=zero&mclass=0&alt-dcs=0",
    "text=%00H%00i&coding=2&mclass=0",
    "text=voice&mwi=0",
    "text=fax&mwi=5",
    "text=%01%00%FF%1B&coding=1",
    "text=%02%00%FF%1B&coding=1&mclass=1",
    "text=%03%00%FF%1B&coding=1&mclass=1&alt-dcs=1",
    "text=%04%06%01&coding=1&udh=%06%05%04%0B%84%23%F0",
    "text=%05%06%01&coding=1&udh=%0B%00%03%07%02%01%05%04%15%8A%00%00",
    "text=BEGIN:VCARD&udh=%06%05%04%23%F4%00%00",
    "text=BEGIN:VCARD&coding=0&udh=%06%05%04%23%F4%00%00",
]


@needs_kannel
async def test_what_kannel_makes_of_a_call_is_what_our_own_door_makes_of_it(
    app: App, password: str, tmp_path: Path
) -> None:
    login = "username=foo&password=bar&from=20655&to=%2B12065550142"
    asked = [kannel_fields.read(kannel_fields.parse(f"{login}&{query}")) for query in AS_KANNEL]
    async with open_door(app) as server, kannel(tmp_path, server.port, password) as (box, _):
        await until(lambda: server.accounts)
        for query in AS_KANNEL:
            assert (await box.call(f"{login}&{query}")).startswith("0: Accepted"), query
        kept: list[tuple[str, str | None]] = []
        async with asyncio.timeout(20):
            while len(kept) < len(AS_KANNEL):
                kept = await app.store.read(look, "SELECT text, content FROM message ORDER BY id")
                await asyncio.sleep(0.05)
    expected = {(each.content.shown(each.text), each.content) for each in asked if each.content}
    assert {(text, Content.read(content)) for text, content in kept if content} == expected
