"""The capacity model: what the page says of a machine follows from its own table, and was within a fifth of a run."""

from __future__ import annotations

import re

import pytest

from bench import capacity

TEXT = capacity.PAGE.read_text(encoding="utf-8")
MODEL = capacity.read(TEXT)
QUICK_S = MODEL.loop_s


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("PostgreSQL, 1 dispatcher", r"2 cores at that pace carry ([\d,]+) a second"),
        ("PostgreSQL, 2 dispatchers", r"one dispatcher, ([\d,]+) with two"),
        ("SQLite", r"with two and ([\d,]+) on SQLite"),
    ],
)
def test_what_the_page_says_of_two_cores_follows_from_its_table(case: str, words: str) -> None:
    said = re.search(words, TEXT)
    assert said is not None
    told = int(said[1].replace(",", ""))
    assert abs(MODEL.predicted(case, QUICK_S, 2)["delivered_per_s"] - told) < 100


def test_a_machine_half_as_fast_carries_half_and_one_with_twice_the_cores_twice_as_much() -> None:
    here = MODEL.predicted("SQLite", QUICK_S, 2)
    assert MODEL.predicted("SQLite", 2 * QUICK_S, 4)["delivered_per_s"] == here["delivered_per_s"]
    assert MODEL.predicted("SQLite", 2 * QUICK_S, 2)["planner"] == 2 * here["planner"]


def test_every_run_that_the_page_names_was_within_a_fifth_of_the_model() -> None:
    """With the costs of that run: the model's own part is how much of the cores is used."""
    runs = re.findall(r"^\|[^|]+\| ([\d,]+) \| ([\d, ]+?)(?: in all)? \| ([\d.]+) \|$", TEXT, re.MULTILINE)
    assert len(runs) > 5
    for delivered, costs, ratio in runs:
        total = sum(map(float, costs.split(", "))) + MODEL.costs["SQLite"]["carrier"]
        modelled = MODEL.share * 2e6 / total / int(delivered.replace(",", ""))
        assert modelled == pytest.approx(float(ratio), abs=0.02)
        assert 0.8 <= modelled <= 1.2


def test_a_page_without_its_table_is_told() -> None:
    with pytest.raises(ValueError, match=r"scale\.md"):
        capacity.read("## What a message costs\n\nNothing.\n")
