"""Votes by page, durable: every vote a form posted by a phone of its own, answered after its commit.

A second process plays the phones over kept-alive connections; the answer must be the redirect that says it counts.

    python bench/votes.py --votes 20000 --connections 64
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.stage import Stage, add_people, installed_loop, say
from campaigns import contests, links
from gateway import web
from gateway.store import Tx
from handlers import pages

CONFIG = """
brand: {name: Bench, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD, site: "http://127.0.0.1"}
channels: {carrier: {kind: smpp, carrier: simulator, rate: 100/s, price: 0.0079 USD per part}}
senders: {shop: {number: "20655", channel: carrier, countries: [US]}}
programs: {club: {name: Club, consent: Yes please}}
contests:
  cup:
    {kind: vote, question: "Which drawing?", options: {1: The fox, 2: The crane, 3: The owl}, votes: 1 per day,
     open: {from: apply, for: 30 d}}
keywords: {VOTE: {vote: cup}}
pages: {cup: {vote: cup}}
store: "sqlite:bench.db"
"""


async def main() -> None:
    """Run once and print the figures as one JSON line, last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--phones", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phones:
        await vote_all(Path(options.phones), options.connections)
        return
    with tempfile.TemporaryDirectory(prefix="carillon-bench-") as folder:
        async with Stage.open(Path(folder), CONFIG) as stage:
            await add_people(stage, options.votes)
            figures = await measure(stage, Path(folder) / "links", options.votes, options.connections)
    print(json.dumps(figures))


async def measure(stage: Stage, links_file: Path, votes: int, connections: int) -> dict[str, float]:
    """Serve the pages, let the phones vote, count."""
    app = stage.app
    listener = web.Listener(
        web.application(pages.public_site(app), pages=pages.routes(app)), "127.0.0.1", 0, setting="listen.public"
    )
    await listener.start()
    people = [row[0] for row in await app.store.read(_people)]
    paths = [urlsplit(links.vote_link(app.business, "cup", person)).path for person in people]
    write_links(links_file, listener.port, paths)
    say(f"{votes:,} phones vote over {connections} connections")
    cpu = time.process_time()
    phones = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--phones", str(links_file), "--connections", str(connections),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await phones.communicate()
    used = time.process_time() - cpu
    answered = json.loads(told)
    results = await app.store.read(contests.recount, app.business, "cup")
    await listener.stop()
    if not answered["counted"] == results.total == votes:
        raise SystemExit(f"{answered['counted']} answers say counted, {results.total} rows, {votes} phones")
    return {
        "votes": votes,
        "votes_per_s": round(votes / answered["seconds"]),
        "p50_ms": answered["p50_ms"],
        "p99_ms": answered["p99_ms"],
        "cpu_us_per_vote": round(used / votes * 1e6, 1),
    }


def write_links(path: Path, port: int, paths: list[str]) -> None:
    """What the phones have to know: the port, then a link a line."""
    path.write_text("\n".join([str(port), *paths]), encoding="utf-8")


def read_links(path: Path) -> list[str]:
    """The same, read by the process that plays the phones."""
    return path.read_text(encoding="utf-8").splitlines()


async def _people(tx: Tx) -> list[tuple[int]]:
    return await tx.rows("person_all")


async def vote_all(links_file: Path, connections: int) -> None:
    """The phones: one form from a page, then a post for each link."""
    port, *paths = read_links(links_file)
    token, cookie = await open_page(int(port), paths[0])
    left, took, counted = iter(paths), [], 0

    async def phone() -> None:
        nonlocal counted
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        body = f"choice=3&token={token}".encode()
        for path in left:
            started = time.perf_counter()
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n"
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            counted += head.startswith(b"HTTP/1.1 303") and b"/voted?" in head
            took.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(phone() for _ in range(connections)))
    seconds = time.perf_counter() - started
    took.sort()
    ms = {name: round(took[int(len(took) * share)] * 1000, 1) for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))}
    print(json.dumps({"counted": counted, "seconds": seconds, **ms}))


async def open_page(port: int, path: str) -> tuple[str, str]:
    """The form's token and the cookie that it is bound to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    token = re.search(r'name="token" value="([^"]+)"', answer)
    cookies = re.findall(r"(?i)set-cookie: ([^;]+)", answer)
    if token is None:
        raise SystemExit(f"no form on {path}: {answer[:400]}")
    return token[1], "; ".join(cookies)


if __name__ == "__main__":
    installed_loop(main)
