"""A serving process that stands still, as if it were swapped out, between the claim on disk and the first byte."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time

from gateway import failpoints
from handlers.console.commands import main

WRITES_S = 0.2  # by then the thread that writes has nothing more to do, so that others can write
left = int(os.environ.get("CARILLON_STANDS_STILL", "1"))


def stand_still(place: str) -> None:
    """SIGSTOP at a claim, once."""
    global left  # noqa: PLW0603  it stands still once
    left -= place == "claimed"
    if place == "claimed" and left == 0:
        time.sleep(WRITES_S)
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    failpoints.hit = stand_still
    sys.argv[0] = "run.py"
    main(lambda: importlib.import_module("run"))
