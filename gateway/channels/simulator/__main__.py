"""The simulated carrier as a program of its own, so that a test may kill the gateway and keep the carrier.

It takes JSON lines on its input: {"text": [number, to, words]} makes a handset text, {"counters": true} asks for the
counters. It prints a JSON line once it listens, each time a handset's text was taken, and with --echo for each text
that reaches a handset.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from gateway import clock
from gateway.channels.simulator import HandsetMessage, Rules, Simulator
from gateway.errors import CarillonError


def main() -> int:
    """Run until SIGINT or SIGTERM; 1 when it cannot listen."""
    options = _options().parse_args()
    try:
        rules = Rules(
            delay_ms=tuple(options.delay_ms),
            lose=options.lose,
            fail=options.fail,
            reject=options.reject,
            throttle=options.throttle,
            drop_every=options.drop_every,
            answer_ms=options.answer_ms,
            hex_ids=options.hex_ids,
            elsewhere=options.elsewhere,
        )
        asyncio.run(_serve(options, rules))
    except (CarillonError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.channels.simulator", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=2775, help="0 takes any free one, told in the first line")
    add("--number", action="append", default=[], metavar="NUMBER=ACCOUNT", help="whose number it is; may be repeated")
    add("--log", type=Path, help="a JSON line for each submit taken, written before the answer")
    add("--fsync", action="store_true", help="the log is on disk before the answer")
    add("--seed", type=int, default=7)
    add("--keep", type=int, default=20_000, help="messages kept on all handsets together; 0 for none")
    add("--echo", action="store_true", help="print each text that reaches a handset")
    add("--watch-duplicates", action="store_true")
    add("--delay-ms", type=int, nargs=2, default=[300, 1500], metavar=("LEAST", "MOST"))
    for share in ("--lose", "--fail", "--reject"):
        add(share, type=float, default=0.0, metavar="SHARE")
    add("--hex-ids", action="store_true", help="ids are hexadecimal in answers and decimal in receipts")
    add("--elsewhere", action="store_true", help="receipts come on another line of the account than the text went")
    for count in ("--throttle", "--drop-every", "--answer-ms"):
        add(count, type=int, default=0, metavar="N")
    return parser


async def _serve(options: argparse.Namespace, rules: Rules) -> None:
    simulator = Simulator(
        rules,
        numbers=dict(pair.split("=", 1) for pair in options.number),
        now_ms=clock.wall_ms,
        seed=options.seed,
        log=options.log,
        fsync=options.fsync,
        keep=options.keep,
        watch_duplicates=options.watch_duplicates,
    )
    if options.echo:
        simulator.on_message.append(_echo)
    await simulator.start(options.host, options.port)
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    _say({"listening": simulator.port})
    threading.Thread(target=_read_orders, args=(simulator, loop), daemon=True).start()
    await stopped.wait()
    await simulator.stop()


def _read_orders(simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
    """In a thread, since the input may be a file or a pipe; ends with the input, while the carrier goes on.

    It reads the descriptor itself: a thread that waits within sys.stdin would abort the interpreter's end.
    """
    rest = b""
    while octets := os.read(0, 65_536):
        *lines, rest = (rest + octets).split(b"\n")
        try:
            loop.call_soon_threadsafe(_obey_all, simulator, lines)
        except RuntimeError:  # the loop is closed: we are stopping
            return


def _obey_all(simulator: Simulator, lines: Sequence[bytes]) -> None:
    for line in lines:
        _obey(simulator, line)


def _obey(simulator: Simulator, line: bytes) -> None:
    try:
        order = orjson.loads(line)
        if order.get("counters"):
            _say({"counters": asdict(simulator.counters)})
        if "text" in order:
            text = [str(word) for word in order["text"]]
            number, to, words = text
            simulator.post(number, to, words).add_done_callback(
                lambda taken: _say({"taken": text} if not taken.exception() else {"not taken": text})
            )
    except (ValueError, AttributeError, TypeError, CarillonError) as error:
        _say({"error": str(error)})


def _echo(message: HandsetMessage, number: str) -> None:
    _say({"handset": number, **message._asdict()})


def _say(what: Mapping[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(what, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
