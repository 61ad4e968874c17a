"""A process that was told where to die dies there, at the right time, and leaves on disk what a kill leaves."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import failpoints
from gateway.store import Tx, open_store

ROOT = Path(__file__).parents[2]


def run(wish: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own with this wish."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, env={"CARILLON_FAILPOINT": wish}, capture_output=True,
        text=True, check=False, timeout=20,
    )  # fmt: skip


COUNT = """
from gateway import failpoints
for n in range(1, 6):
    failpoints.hit("claim")
    failpoints.hit("settle")
    print(n, flush=True)
"""


@pytest.mark.parametrize(
    ("wish", "survived"), [("", 5), ("settle", 0), ("settle:3", 2), ("claim:5", 4), ("settle:6", 5), ("fold", 5)]
)
def test_it_dies_at_the_wished_place_and_time_by_kill_and_else_not_at_all(wish: str, survived: int) -> None:
    found = run(wish, COUNT)

    assert found.stdout.split() == [str(n) for n in range(1, survived + 1)]
    assert found.returncode == (0 if survived == 5 else -signal.SIGKILL)


def test_a_place_that_does_not_exist_is_refused_with_those_that_do() -> None:
    found = run("setle", "import gateway.failpoints")

    assert found.returncode == 1
    assert "no place 'setle'; there are plan, claim, claimed" in found.stderr


def test_every_place_is_told_and_is_in_the_code_and_none_is_in_the_code_that_is_not_told() -> None:
    text = " ".join(path.read_text() for folder in ("gateway", "campaigns") for path in (ROOT / folder).rglob("*.py"))
    found = set(re.findall(r'failpoints\.(?:hit|is_set)\("(\w+)"\)', text))

    assert found == set(failpoints.PLACES)
    assert failpoints.__doc__ is not None
    assert all(f"`{place}`" in failpoints.__doc__ for place in failpoints.PLACES)


KILLED = """
import asyncio, sys
from pathlib import Path
from gateway import failpoints
from gateway.store import Tx, open_store

async def set_fact(tx: Tx, name: str) -> None:
    await tx.run("fact_set", brand=1, name=name, value="1")
    failpoints.hit("settle")

async def main() -> None:
    store = open_store(Path(sys.argv[1]))
    for n in range(5):
        await store.write(set_fact, f"fact {n}")
        failpoints.hit("settled")
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(("wish", "told", "kept"), [("settle:3", 2, 2), ("settled:3", 2, 3)])
async def test_of_a_transaction_a_kill_leaves_all_or_nothing_and_never_less_than_was_told(
    tmp_path: Path, wish: str, told: int, kept: int
) -> None:
    path = tmp_path / "killed.db"
    found = run(wish, KILLED, str(path))

    async def facts(tx: Tx) -> int:
        return len([n for n in range(5) if await tx.value("fact_get", brand=1, name=f"fact {n}") is not None])

    store = open_store(path)
    try:
        assert (len(found.stdout.split()), await store.read(facts)) == (told, kept)
    finally:
        store.close()
