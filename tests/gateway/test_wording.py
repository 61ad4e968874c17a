"""Mistakes are put into words that help."""

import pytest

from gateway.wording import either, flow, found, nearest


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("30", '"30"'),
        ({"a": 1}, "a map"),
        ({}, "an empty map"),
        (["a"], "a list"),
        ([], "an empty list"),
        (None, "nothing"),
        ("x" * 60, '"' + "x" * 39 + '…"'),
    ],
)
def test_what_stands_in_the_file_is_named(value: object, words: str) -> None:
    assert found(value) == words


def test_the_nearest_word_is_found_in_any_case() -> None:
    assert nearest("SPRING_CRWD", ["students", "spring_crowd"]) == "spring_crowd"


def test_no_word_is_offered_when_none_is_near() -> None:
    assert nearest("zebra", ["students", "spring_crowd"]) == ""


def test_a_choice_reads_as_people_say_it() -> None:
    assert [either(["a"]), either(["a", "b"]), either(["a", "b", "c"])] == ["a", "a or b", "a, b or c"]


def test_an_example_is_written_as_in_the_file() -> None:
    assert flow({"1": "The fox", "2": ["a", "b"]}) == "{1: The fox, 2: [a, b]}"
