"""The far end of a measurement, in C: compiled on the fly, started on any free port, asked for its figures."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("smsc_sink.c")


def compiled(folder: Path) -> Path:
    """The program, made in this folder. Ends the measurement in plain words where there is no compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise SystemExit("no C compiler found (cc, gcc or clang); bench/smsc_sink.c needs one: apt-get install gcc")
    program = folder / "smsc_sink"
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


class Sink:
    """A running SMSC stand-in: `smpp` and `http` are its ports."""

    def __init__(self, process: subprocess.Popen[str], smpp: int, http: int) -> None:
        self._process, self.smpp, self.http = process, smpp, http

    @property
    def address(self) -> str:
        """HOST:PORT for a carrier."""
        return f"127.0.0.1:{self.smpp}"

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def go(self) -> None:
        """Let it send its first text (-g)."""
        self._process.send_signal(signal.SIGUSR2)

    def left(self, timeout_s: float) -> dict[str, float]:
        """Wait until it leaves by itself (-n, -i), at most so long; its figures by name."""
        try:
            said, _ = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return self.stopped()
        return {name: float(figure) for name, figure in re.findall(r"(\w+)=([\d.]+)", said)}

    def stopped(self) -> dict[str, float]:
        """End it; its figures by name."""
        self._process.terminate()
        return self.left(10)


@contextmanager
def sink(program: Path, *options: object) -> Iterator[Sink]:
    """A sink for the length of the block, with options as in its head."""
    process = subprocess.Popen(
        [str(program), "-p", "0", "-H", "0", *map(str, options)], stdout=subprocess.PIPE, text=True
    )
    try:
        said = process.stdout.readline() if process.stdout else ""
        ports = dict(re.findall(r"(\w+)=(\d+)", said))
        yield Sink(process, int(ports["smpp"]), int(ports["http"]))
    finally:
        process.kill()
        process.wait()
