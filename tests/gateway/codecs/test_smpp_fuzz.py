"""The fuzzer itself: a short run on each machine, so that the long ones start from something that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.codecs import smpp
from tests.gateway.codecs import fuzz_smpp


@pytest.mark.parametrize("seed", [1, 20261122])
def test_a_few_thousand_damaged_packets_break_no_reader(seed: int, tmp_path: Path) -> None:
    executions, size, outcomes = fuzz_smpp.run(1, seed, tmp_path, most=4_000)
    assert executions == 4_000
    assert outcomes > 100
    assert size >= len(fuzz_smpp.corpus(tmp_path)) > len(fuzz_smpp.corpus(None)) > len(smpp.BODIES)
