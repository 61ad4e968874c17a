"""Several serving processes on one machine under one that starts them, starts them again and passes signals on."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from gateway.config import load
from gateway.errors import CarillonError
from gateway.values import HostPort

log = logging.getLogger(__name__)

LOOK_S = 0.2
PAUSE_S = 1.0  # before a process that fell is started again; it doubles while it falls within `STEADY_S`
LONGEST_PAUSE_S = 30.0
STEADY_S = 20.0
LEAVES_S = 60.0  # how long a process that was asked to stop may take


class Worker:
    """One of the processes, and what is remembered from one life of it to the next."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self._command = command
        self._pause_s = PAUSE_S
        self._due = 0.0
        self._started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def keep_up(self, now: float) -> None:
        """Start it where it is down and its pause is over."""
        if self.is_up:
            return
        if self._process is not None:
            log.warning("worker %s ended with %s and is started again", self.number, self._process.returncode)
            self._pause_s = PAUSE_S if now - self._started_at > STEADY_S else min(LONGEST_PAUSE_S, self._pause_s * 2)
            self._due, self._process = now + self._pause_s, None
        if now >= self._due:
            self._started_at = now
            self._process = subprocess.Popen(self._command)  # noqa: S603  our own command line

    def ask_to_stop(self) -> None:
        """Send SIGTERM: it drains, hands over and ends."""
        if self._process is not None and self.is_up:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end; kill it when it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            log.error("worker %s did not stop in time and is killed", self.number)
            self._process.kill()
            self._process.wait()
        self._process = None


def supervise(config_path: Path, roles: Sequence[str], listen: Mapping[str, str], count: int) -> None:
    """Serve with so many processes until asked to stop (SIGINT, SIGTERM). SIGHUP starts one after the other anew."""
    workers = [Worker(n, command) for n, command in enumerate(_commands(config_path, roles, listen, count))]
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: asked.append(received))
    while not (set(asked) & {signal.SIGINT, signal.SIGTERM}):
        if signal.SIGHUP in asked:
            asked.remove(signal.SIGHUP)
            _roll(workers, asked)
        for worker in workers:
            worker.keep_up(time.monotonic())
        time.sleep(LOOK_S)
    for worker in workers:
        worker.ask_to_stop()
    for worker in workers:
        worker.wait(LEAVES_S)


def _roll(workers: Sequence[Worker], asked: Sequence[int]) -> None:
    """One after the other: the others carry on meanwhile."""
    for worker in workers:
        if asked:
            return
        worker.ask_to_stop()
        worker.wait(LEAVES_S)
        worker.keep_up(time.monotonic())
        time.sleep(STEADY_ENOUGH_S)


STEADY_ENOUGH_S = 3.0  # the new one has joined by then and holds its share


def _commands(config_path: Path, roles: Sequence[str], listen: Mapping[str, str], count: int) -> Iterator[list[str]]:
    """The doors of the public and of programs are shared; each process has a private one of its own."""
    from campaigns.settings import Config  # noqa: PLC0415  costs a third of a second

    settings = load(config_path, Config, os.environ).value.listen
    doors = {name: address for name, address in settings if isinstance(address, HostPort)}
    for name, text in listen.items():
        if text:
            doors[name] = address_of(name, text)
    host, port = doors.pop("private")
    command = [sys.executable, str(Path(sys.argv[0]).absolute()), "--config", str(config_path.absolute()), "serve"]
    command += [word for role in roles for word in ("--role", role)]
    shared = ["--public", listen["public"]] if listen["public"] else []
    for each in private_ports(port, {address.port for address in doors.values()}, count):
        yield [*command, "--private", f"{host}:{each}", *shared]


def address_of(name: str, text: str) -> HostPort:
    """An address that the command line names instead of the file's. Raises CarillonError."""
    try:
        return HostPort.parse(text)
    except ValueError as error:
        raise CarillonError(f"--{name}: {error}") from None


def private_ports(first: int, others: Collection[int], count: int) -> list[int]:
    """So many, one after the other, but for the ports of the other doors. From 0 on: any that is free, for each."""
    if not first:
        return [0] * count
    return list(islice((port for port in itertools.count(first) if port not in others), count))
