"""Kannel, driven in bulk by its own tools against the same far end as ours."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.sink import Sink, sink
from tests.ports import free_port

INSTALL = "apt-get install kannel"
TEXT = "Your order 1234 has left our depot and will reach you today"
SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"  # where daemons lie that an ordinary PATH leaves out
TICKS = os.sysconf("SC_CLK_TCK")
LONGEST_S = 120.0  # of one run
SILENCE_S = 4  # nothing came for so long: what is missing will not come

CORE = """
group = core
admin-port = {admin}
admin-password = bench
smsbox-port = {boxes}
log-level = 3
log-file = "{folder}/bearerbox.log"
box-allow-ip = "127.0.0.1"
dlr-storage = internal
{store}
group = smsc
smsc = smpp
smsc-id = sink
host = 127.0.0.1
port = {smpp}
transceiver-mode = true
smsc-username = bench
smsc-password = secret
system-type = ""
max-pending-submits = 1000

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
log-level = 3
log-file = "{folder}/smsbox.log"
global-sender = 13013
max-pending-requests = 2000

group = sms-service
keyword = default
{answer}
max-messages = 1
catch-all = true
accept-x-kannel-headers = true
omit-empty = true

group = sendsms-user
username = bench
password = secret
"""
STORES = {"none": "", "spool": "store-type = spool\nstore-location = {folder}/spool\n"}
ANSWERS = {"text": 'text = "Thanks, noted."', "get-url": 'get-url = "http://127.0.0.1:{http}/mo?from=%p&text=%a"'}


def find() -> dict[str, str] | None:
    """Its programs and where they are; None when any is missing."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM}"
    programs = {name: shutil.which(name, path=path) for name in ("bearerbox", "smsbox", "mtbatch")}
    found = {name: where for name, where in programs.items() if where}
    return found if len(found) == len(programs) else None


def version(programs: dict[str, str]) -> str:
    """What bearerbox calls itself."""
    said = subprocess.run([programs["bearerbox"], "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"[Vv]ersion\D{0,4}(\d[\w.]*)", said.stdout + said.stderr)
    return number[1] if number else "unknown"


def bulk(
    programs: dict[str, str], program: Path, folder: Path, *, texts: int, receipts: bool, store: str
) -> dict[str, float]:
    """One text to each of so many phones by mtbatch, straight into bearerbox: the fastest way that it has."""
    options = ("-d", int(receipts), "-n", texts, "-i", SILENCE_S)
    with sink(program, *options) as far, _boxes(programs, far, folder, store=store) as (running, port, _):
        (folder / "content").write_text(TEXT)
        (folder / "phones").write_text("".join(f"4479{number:08d}\n" for number in range(texts)))
        asked = ["-D", "3", "-u", f"http://127.0.0.1:{far.http}/dlr"] if receipts else []
        before = _cpu_s(running)
        subprocess.run(
            [programs["mtbatch"], "-v", "4", "-b", "127.0.0.1", "-p", str(port), "-f", "100", *asked,
             str(folder / "content"), str(folder / "phones")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LONGEST_S, check=True,
        )  # fmt: skip
        figures = far.left(LONGEST_S)
        done = figures["acked"] if receipts else figures["accepted"]
        return {
            "per_s": figures["receipt_per_s"] if receipts else figures["submit_per_s"],
            "done": done,
            "cpu_us": (_cpu_s(running) - before) / max(1, done) * 1e6,
            "rss_mb": _rss_mb(running),
        }


def answers(
    programs: dict[str, str], program: Path, folder: Path, *, texts: int, answer: str, store: str
) -> dict[str, float]:
    """So many phones text, and each gets an answer; round trips a second with 1,000 of them outstanding."""
    options = ("-M", texts, "-w", 1000, "-S", 12345, "-R", "-g", "-n", texts, "-i", SILENCE_S)
    with (
        sink(program, *options) as far,
        _boxes(programs, far, folder, store=store, answer=answer, has_smsbox=True) as (running, _, _),
    ):
        before = _cpu_s(running)
        far.go()
        figures = far.left(LONGEST_S)
        done = figures["round_trips"]
        return {
            "per_s": figures["round_trip_per_s"],
            "done": done,
            "cpu_us": (_cpu_s(running) - before) / max(1, done) * 1e6,
            "rss_mb": _rss_mb(running),
            "p50_ms": figures.get("lat_ms_p50", 0.0),
            "p99_ms": figures.get("p99", 0.0),
        }


@contextmanager
def door(programs: dict[str, str], far: Sink, folder: Path, store: str) -> Iterator[tuple[list[int], int]]:
    """Its sendsms, where programs bring a text a request: its process ids, and the port."""
    with _boxes(programs, far, folder, store=store, has_smsbox=True) as (running, _, port):
        yield running, port


@contextmanager
def _boxes(
    programs: dict[str, str], far: Sink, folder: Path, *, store: str, answer: str = "text", has_smsbox: bool = False
) -> Iterator[tuple[list[int], int, int]]:
    """Bearerbox, and smsbox where it is wanted: their process ids, the ports that boxes and senders connect to."""
    (folder / "spool").mkdir(parents=True)
    boxes, sendsms = free_port(), free_port()
    config = folder / "kannel.conf"
    kept, said = STORES[store].format(folder=folder), ANSWERS[answer].format(http=far.http)
    config.write_text(
        CORE.format(
            admin=free_port(), boxes=boxes, sendsms=sendsms, folder=folder, smpp=far.smpp, store=kept, answer=said
        )
    )
    wanted = [("smsbox", sendsms)] if has_smsbox else []
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, port in [("bearerbox", boxes), *wanted]:
            # -v 4: left to itself it writes debug lines to standard error, which halves its rate
            argv = [programs[name], "-v", "4", str(config)]
            started.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            _wait_for(port)
        time.sleep(1.0)  # until they have found each other and the carrier
        yield [each.pid for each in started], boxes, sendsms
    finally:
        for each in reversed(started):
            each.terminate()
        for each in reversed(started):
            try:
                each.wait(1)
            except subprocess.TimeoutExpired:  # it waits for a carrier that has left
                each.kill()
                each.wait()


def _wait_for(port: int, timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing came to listen on port {port}")


def _cpu_s(pids: list[int]) -> float:
    """Seconds of CPU that these processes have used, with all their threads."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


def _rss_mb(pids: list[int]) -> float:
    """The most memory that each has held, together."""
    return sum(peak_mb(pid) for pid in pids)


def peak_mb(pid: int | str = "self", key: str = "VmHWM") -> float:
    """The most memory that a process has held so far; with key VmRSS, what it holds now."""
    found = re.search(key + r":\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
