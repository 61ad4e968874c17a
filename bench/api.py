"""How fast programs are served: batches, one text a request at each HTTP door, SMPP in to SMPP out, a lone request.

A Carillon of its own serves for each case, durable, with receipts; the carrier is the C stand-in of bench/sink.py.
Beside it goes Kannel's own sendsms, called by the same caller: with nothing kept and no receipts, with receipts, and
with its spool store, which it does not sync.
A text counts as accepted when its answer is read, and as delivered when the carrier's receipt for it was thanked for,
which is after the commit. Key, number and, at the REST door, an idempotency key are checked for every request.

    python bench/api.py                                # everything on SQLite: some two minutes
    python bench/api.py --store postgresql --workers 2 # on an embedded PostgreSQL, with two processes
    python bench/api.py --messages 2000 --only batch --only smpp   # a look

Figures go to standard output as JSON lines, the table to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import create_connection
from typing import cast
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
from rich.console import Console
from rich.table import Table

from bench import kannel as kannels
from bench.capacity import loop_s
from bench.fleet import children, cpu_s
from bench.sink import Sink, compiled, sink
from bench.stage import installed_loop, phone_of, say
from gateway.codecs import smpp
from tests.ports import free_ports
from tests.servers import PostgresServer

ROOT = Path(__file__).parent.parent
ACCOUNT, TOKEN = "AC" + "0" * 32, "0123456789abcdef0123456789abcdef"
TEXT = "Lantern Coffee: your order is ready at Pike Place. Show this text at the counter, please."
CONFIG = """
brand: {{name: Bench, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels:
  carrier:
    {{kind: smpp, carrier: "{smsc}", account: bench, password_file: bench.password, rate: 1000000/s, window: 2000,
     binds: {workers}, price: 0.0079 USD per part}}
senders: {{shop: {{number: "20655", channel: carrier, countries: [US]}}}}
clients:
  bench: {{smpp: {{binds: 100, window: 2000}}, twilio: {{account: {account}, token_file: token}}}}
store: "{store}"
listen: {{public: 127.0.0.1:{0}, private: 127.0.0.1:{1}, api: 127.0.0.1:{2}, smpp: 127.0.0.1:{3}}}
"""
Figures = dict[str, float]
PATIENCE_S = 60.0
HOLDERS = "SELECT count(DISTINCT node) FROM lease WHERE name LIKE 'slot:carrier:%' AND node > 0"


# --- who is measured


@dataclass(frozen=True)
class House:
    """A Carillon that serves, and the carrier behind it."""

    api: int
    smpp: int
    key: str
    password: str
    pids: Callable[[], list[int]]
    far: Sink
    log: Path
    store: str = ""
    store_pids: Callable[[], list[int]] = list  # of the store's server, where it has one of its own

    def ends(self, why: str) -> SystemExit:
        """The end of the measurement, with what the house said last."""
        return SystemExit(f"{why}\n{self.log.read_text('utf-8', 'replace')[-2_000:]}")


@contextmanager
def peer(program: Path, messages: int, *, receipts: bool, store: str) -> Iterator[House]:
    """Kannel in our place."""
    programs = kannels.find()
    if programs is None:
        raise SystemExit(f"Kannel is not here: {kannels.INSTALL}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-kannel-")))
        far = stack.enter_context(sink(program, "-d", int(receipts), "-n", messages, "-i", kannels.SILENCE_S))
        pids, port = stack.enter_context(kannels.door(programs, far, folder, store))
        yield House(port, 0, "", "", lambda: pids, far, folder / "smsbox.log")


@contextmanager
def serving(program: Path, messages: int, store: str, workers: int, server: PostgresServer | None) -> Iterator[House]:
    """One, for a case of so many messages: the carrier leaves when it has been thanked for the last receipt."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-bench-")))
        far = stack.enter_context(sink(program, "-d", 1, "-n", messages))
        ports = free_ports(4)
        text = CONFIG.format(*ports, smsc=far.address, workers=workers, account=ACCOUNT, store=store)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        for name, secret in (("bench.password", "secret"), ("token", TOKEN)):
            (folder / name).write_text(secret)
            (folder / name).chmod(0o600)
        command = [sys.executable, str(ROOT / "run.py"), "--config", str(folder / "config.yaml")]
        subprocess.run([*command, "apply", "--yes"], check=True, stdout=subprocess.DEVNULL)
        key, password = (
            json.loads(subprocess.run([*command, "key", "new", "bench", *kind, "--json"], check=True,
                                      capture_output=True).stdout)["key"]
            for kind in ([], ["--smpp"])
        )  # fmt: skip
        more = ["--workers", str(workers)] if workers > 1 else []
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*command, "serve", *more], stdout=log, stderr=log)
        stack.callback(stopped, process)
        for port in ports[2:]:
            opened(port, process, folder / "log")
        time.sleep(2)  # until the carrier is bound to
        yield House(
            ports[2], ports[3], key, password, lambda: children(process.pid), far, folder / "log", store,
            lambda: children(server.pid) if server else [],
        )  # fmt: skip


async def shared_out(store: str, workers: int) -> None:
    """Wait until every process holds a line to the carrier: who came first gives the others theirs after a moment."""
    connection = await asyncpg.connect(store)
    end = time.monotonic() + PATIENCE_S
    while await connection.fetchval(HOLDERS) < workers:
        if time.monotonic() > end:
            raise SystemExit("the lines to the carrier were not shared out")
        await asyncio.sleep(0.1)
    await connection.close()


def stopped(process: subprocess.Popen[bytes]) -> None:
    """End it; the carrier is gone already, so it would drain for nothing."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def opened(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody listens. Ends the measurement with the log where nobody ever will."""
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nobody listens on {port}:\n{log.read_text('utf-8', 'replace')}")


# --- callers by HTTP: as little work as can be, for they share the machine with whom they measure

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Load:
    """Requests that several connections take turns at; each waits for its answer before it sends the next."""

    requests: Sequence[bytes]
    taken: int = 0
    latencies_s: list[float] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: bytes = b""
    began: float = 0.0  # when all had connected; perf_counter


class Caller(asyncio.Protocol):
    """A connection that is kept alive."""

    def __init__(self, load: Load) -> None:
        self._load, self._buffer, self._asked = load, b"", 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no common class

    def ask(self) -> None:
        """Send the next request, if there is one."""
        load = self._load
        if load.taken == len(load.requests):
            return
        request = load.requests[load.taken]
        load.taken += 1
        self._asked = time.perf_counter()
        if self._transport:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        length = LENGTH.search(self._buffer, 0, head + 2) if head >= 0 else None
        if length is None or len(self._buffer) < head + 4 + int(length[1]):
            return
        load = self._load
        load.latencies_s.append(time.perf_counter() - self._asked)
        if self._buffer[9:11] != b"20":
            load.wrong = self._buffer
        self._buffer = b""
        if len(load.latencies_s) == len(load.requests) or load.wrong:
            load.done.set()
        else:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._load.done.is_set():
            self._load.wrong = b"the connection was lost"
            self._load.done.set()


async def call(house: House, requests: Sequence[bytes], connections: int) -> Load:
    """Make all requests. Ends the measurement where one is refused."""
    loop, load = asyncio.get_running_loop(), Load(requests)
    lines = [
        await loop.create_connection(lambda: Caller(load), "127.0.0.1", house.api)
        for _ in range(min(connections, len(requests)))
    ]
    load.began = time.perf_counter()
    for _, caller in lines:
        caller.ask()
    await asyncio.wait_for(load.done.wait(), PATIENCE_S + len(requests) / 50)
    for transport, _ in lines:
        transport.abort()
    if load.wrong:
        raise house.ends(f"refused: {load.wrong.decode('utf-8', 'replace')[:600]}")
    return load


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def rest(house: House, messages: int) -> list[bytes]:
    """One text a request at the REST door, each with an idempotency key."""
    known = (f"Authorization: Bearer {house.key}", "Content-Type: application/json")
    return [
        request("POST", "/v1/messages", json.dumps({"to": phone_of(n), "text": TEXT}).encode(), *known,
                f"Idempotency-Key: order-{n}")
        for n in range(messages)
    ]  # fmt: skip


def batches(house: House, messages: int, size: int) -> list[bytes]:
    """Many texts a request."""
    known = (f"Authorization: Bearer {house.key}", "Content-Type: application/json")
    spans = [range(first, min(first + size, messages)) for first in range(0, messages, size)]
    return [
        request("POST", "/v1/messages/batch",
                json.dumps({"messages": [{"to": phone_of(n), "text": TEXT} for n in span]}).encode(), *known,
                f"Idempotency-Key: batch-{span.start}")
        for span in spans
    ]  # fmt: skip


def twilio(house: House, messages: int) -> list[bytes]:
    """One text a request as Twilio's helper libraries make it."""
    login = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    known = (f"Authorization: Basic {login}", "Content-Type: application/x-www-form-urlencoded")
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    return [
        request("POST", path, f"To={quote(phone_of(n))}&From=20655&Body={quote(TEXT)}".encode(), *known)
        for n in range(messages)
    ]  # fmt: skip


def kannel(house: House, messages: int) -> list[bytes]:
    """One text a request as Kannel's callers make it."""
    return sendsms(house.key, messages)


def sendsms(password: str, messages: int, asked: str = "") -> list[bytes]:
    """Requests to a sendsms, ours or Kannel's own; what else is `asked` begins with an ampersand."""
    who = f"username=bench&password={password}&from=20655&text={quote(TEXT)}{asked}"
    return [request("GET", f"/cgi-bin/sendsms?{who}&to={quote(phone_of(n))}") for n in range(messages)]


# --- a program by SMPP

SUBMIT, SUBMITTED, DELIVER, DELIVERED, BIND = 4, 0x80000004, 5, 0x80000005, 9
ASK, THERE = 0x15, 0x80000015
HEAD = struct.Struct(">IIII")


@dataclass
class Tally:
    """What all binds of the program have seen; a receipt may come on any of them."""

    messages: int
    answered: int = 0
    receipts: int = 0
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: str = ""

    def fail(self, why: str) -> None:
        """Wait no longer."""
        self.wrong = why
        self.accepted.set()
        self.told.set()

    def look(self) -> None:
        """Whether all is there."""
        if self.answered == self.messages:
            self.accepted.set()
        if self.receipts >= self.messages:
            self.told.set()


def _same(program: Program) -> Program:
    """The protocol of a line that is about to be opened."""
    return program


class Program(asyncio.Protocol):
    """A bind that sends texts with receipts asked for, and thanks for the receipts."""

    def __init__(self, tally: Tally, pdus: Sequence[bytes], password: str, window: int) -> None:
        self._tally, self._pdus, self._window = tally, pdus, window
        body = smpp.text("bench") + smpp.text(password) + smpp.text("") + bytes([0x34, 0, 0]) + smpp.text("")
        self._bind = HEAD.pack(HEAD.size + len(body), BIND, 0, 1) + body
        self._buffer = b""
        self._sent = self._answered = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own has no common class
        self._transport.write(self._bind)

    def data_received(self, data: bytes) -> None:
        buffer, at, thanks = self._buffer + data, 0, []
        while len(buffer) - at >= HEAD.size:
            length, command, status, sequence = HEAD.unpack_from(buffer, at)
            if len(buffer) - at < length:
                break
            at += length
            if command == DELIVER:
                self._tally.receipts += 1
                thanks.append(HEAD.pack(17, DELIVERED, 0, sequence) + b"\0")
            elif command == ASK:
                thanks.append(HEAD.pack(HEAD.size, THERE, 0, sequence))
            elif command == SUBMITTED:
                self._answered += 1
                self._tally.answered += 1
            if status:
                self._tally.fail(f"command {command:#x} was answered with status {status:#x}")
        self._buffer = buffer[at:]
        self._write(thanks)

    def _write(self, thanks: list[bytes]) -> None:
        room = self._window - (self._sent - self._answered)
        page = self._pdus[self._sent : self._sent + room]
        self._sent += len(page)
        if self._transport and (thanks or page):
            self._transport.write(b"".join([*thanks, *page]))
        self._tally.look()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._tally.told.is_set():
            self._tally.fail("the line was lost")


def submits(messages: int) -> list[bytes]:
    """Texts that ask for a receipt."""
    source = smpp.text("") + smpp.address(3, 0, "20655")
    octets = TEXT.encode("ascii")
    rest_of = bytes([0, 0, 0]) + smpp.text("") * 2 + bytes([1, 0, 0, 0, len(octets)]) + octets
    pdus = []
    for n in range(messages):
        body = source + smpp.address(1, 1, phone_of(n).removeprefix("+")) + rest_of
        pdus.append(HEAD.pack(HEAD.size + len(body), SUBMIT, 0, n + 2) + body)
    return pdus


# --- cases


async def by_http(house: House, requests: Sequence[bytes], messages: int, connections: int) -> Figures:
    """Make requests, and wait until the carrier has been thanked for all receipts."""
    cpu, stored, own = cpu_s(house.pids()), cpu_s(house.store_pids()), time.process_time()
    load = await call(house, requests, connections)
    started = load.began
    accepted, own = time.perf_counter() - started, time.process_time() - own
    await asyncio.to_thread(house.far.left, PATIENCE_S + messages / 500)
    delivered = time.perf_counter() - started
    return {
        "accepted_per_s": round(messages / accepted),
        "delivered_per_s": round(messages / delivered),
        "cpu_us_per_message": round((cpu_s(house.pids()) - cpu) / messages * 1e6, 1),
        "store_us_per_message": round((cpu_s(house.store_pids()) - stored) / messages * 1e6, 1),
        "caller_us_per_message": round(own / messages * 1e6, 1),
        **quantiles(load.latencies_s),
    }


async def by_smpp(house: House, messages: int, binds: int) -> Figures:
    """Submit by several binds, and wait until each has its receipts."""
    loop, pdus = asyncio.get_running_loop(), submits(messages)
    cpu, stored, started = cpu_s(house.pids()), cpu_s(house.store_pids()), time.perf_counter()
    tally = Tally(messages)
    for n in range(binds):
        program = Program(tally, pdus[n::binds], house.password, 1_000)
        await loop.create_connection(partial(_same, program), "127.0.0.1", house.smpp)
    patience = PATIENCE_S + messages / 500
    accepted = delivered = 0.0
    try:
        async with asyncio.timeout(patience):
            await tally.accepted.wait()
            accepted = time.perf_counter() - started
            if not tally.wrong:
                await asyncio.to_thread(house.far.left, patience)
                delivered = time.perf_counter() - started
            await tally.told.wait()
    except TimeoutError:
        tally.wrong = f"{messages - tally.receipts:,} receipts have not come"
    if tally.wrong:
        raise house.ends(tally.wrong)
    told = time.perf_counter() - started
    return {
        "accepted_per_s": round(messages / accepted),
        "delivered_per_s": round(messages / delivered),
        "receipts_per_s": round(messages / told),
        "cpu_us_per_message": round((cpu_s(house.pids()) - cpu) / messages * 1e6, 1),
        "store_us_per_message": round((cpu_s(house.store_pids()) - stored) / messages * 1e6, 1),
    }


def quantiles(latencies_s: Sequence[float]) -> Figures:
    """Half and 99 of 100 are answered within so many milliseconds."""
    ordered = sorted(latencies_s)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
    }


PEERS = {"peer": (False, "none"), "peer receipts": (True, "none"), "peer spool": (True, "spool")}
CASES = ("batch", "single", "peer", "twilio", "peer receipts", "kannel", "peer spool", "smpp", "lone")
RATIOS = {
    f"{words} / {theirs}": (ours, peer_case)
    for words, ours in {"REST": "single", "our sendsms": "kannel"}.items()
    for theirs, peer_case in {
        "Kannel's sendsms with everything off": "peer", "Kannel's sendsms with receipts": "peer receipts",
        "Kannel's sendsms with receipts and spool": "peer spool",
    }.items()
}  # fmt: skip


async def measured(case: str, house: House, options: argparse.Namespace) -> Figures:
    """One case."""
    count = messages_of(case, options.messages)
    match case:
        case "batch":
            return await by_http(house, batches(house, count, options.batch), count, options.callers)
        case "lone":
            return await by_http(house, rest(house, count), count, 1)
        case "smpp":
            return await by_smpp(house, count, options.binds)
    if case in PEERS:
        told = f"&dlr-mask=3&dlr-url={quote(f'http://127.0.0.1:{house.far.http}/dlr', '')}" if PEERS[case][0] else ""
        return await by_http(house, sendsms("secret", count, told), count, options.connections)
    made = {"single": rest, "twilio": twilio, "kannel": kannel}[case](house, count)
    return await by_http(house, made, count, options.connections)


def messages_of(case: str, messages: int) -> int:
    """How many texts a case takes: fewer where each costs a request."""
    return {"batch": messages, "smpp": messages, "lone": max(1, messages // 100)}.get(case, max(1, messages // 4))


async def main() -> None:
    """Run the cases in turns and show the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--only", action="append", choices=CASES, help="these cases; may be said more than once")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--store", default="sqlite", help="sqlite; postgresql: an embedded one that syncs; or a URL")
    parser.add_argument("--workers", type=int, default=1, help="processes that serve; PostgreSQL only")
    parser.add_argument("--connections", type=int, default=64, help="kept alive, one request at a time on each")
    parser.add_argument("--batch", type=int, default=1_000, help="texts in one call")
    parser.add_argument("--callers", type=int, default=8, help="connections that bring batches")
    parser.add_argument("--binds", type=int, default=2, help="SMPP lines of the program")
    options = parser.parse_args()
    found: dict[str, list[Figures]] = {}
    chosen = options.only or [case for case in CASES if case not in PEERS or kannels.find()]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-sink-")))
        program = compiled(folder)
        server = PostgresServer(is_safe=True) if options.store == "postgresql" else None
        if server:
            stack.callback(server.close)
        for _ in range(options.rounds):
            for case in chosen:
                count = messages_of(case, options.messages)
                say(f"{case}: {count:,} texts")
                with opened_for(case, program, count, server, options) as house:
                    if options.workers > 1 and case not in PEERS:
                        await shared_out(house.store, options.workers)
                    found.setdefault(case, []).append(await measured(case, house, options))
    told = {case: {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
            for case, rounds in found.items()}  # fmt: skip
    for case, figures in told.items():
        about = {"case": case, "messages": messages_of(case, options.messages), "rounds": options.rounds}
        print(json.dumps({**about, "store": options.store, "workers": options.workers, **figures}))
    ratios = {
        words: round(told[ours]["accepted_per_s"] / told[theirs]["accepted_per_s"], 2)
        for words, (ours, theirs) in RATIOS.items()
        if ours in told and theirs in told
    }
    print(json.dumps({"loop_s": loop_s(), "ratios": ratios}))
    show(told, ratios)


def opened_for(
    case: str, program: Path, messages: int, server: PostgresServer | None, options: argparse.Namespace
) -> AbstractContextManager[House]:
    """Who is measured in a case: Kannel, or a Carillon with an empty store."""
    if case in PEERS:
        receipts, kept = PEERS[case]
        return peer(program, messages, receipts=receipts, store=kept)
    store = server.url(server.empty_database()) if server else options.store
    return serving(program, messages, "sqlite:bench.db" if store == "sqlite" else store, options.workers, server)


def show(told: dict[str, Figures], ratios: Figures) -> None:
    """The table, and what is how many times as fast as what."""
    table = Table(box=None, pad_edge=False)
    columns = [
        "accepted_per_s", "delivered_per_s", "receipts_per_s", "cpu_us_per_message", "store_us_per_message",
        "caller_us_per_message", "p50_ms", "p99_ms",
    ]  # fmt: skip
    table.add_column("case")
    for each in columns:
        table.add_column(each.replace("_", " "), justify="right")
    for case, figures in told.items():
        table.add_row(case, *(f"{figures[each]:,g}" if each in figures else "" for each in columns))
    screen = Console(stderr=True)
    screen.print(table)
    for words, ratio in ratios.items():
        screen.print(f"{ratio:5.2f}  {words}", highlight=False)


if __name__ == "__main__":
    installed_loop(main)
