"""What is wrong only when seen together is found, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns import checks
from campaigns.segment_language import AllOf, AnyOf, Not, Ref, Segment, Tag
from campaigns.settings import Config
from gateway.config import ConfigErrors, Mistake, load
from gateway.values import LocalText

SHIPPED = (Path(__file__).parents[2] / "config.yaml").read_text("utf-8")


def word(text: str, owner: str = "the keyword A") -> checks.Word:
    return checks.Word(("keywords", text), text, owner)


@pytest.mark.parametrize(
    "text",
    ["STOP", "stopall", "Unsubscribe", "cancel", "END", "quit", "revoke", "OptOut", "退订", "ＳＴＯＰ", "HELP", "info",
     "START", "unstop", "YES"],
)  # fmt: skip
def test_a_word_that_belongs_to_everyone_is_refused(text: str) -> None:
    assert len(list(checks.reserved([word(text)], {}))) == 1


@pytest.mark.parametrize("text", ["LATTE", "1", "The end of the road", "R"])
def test_any_other_word_may_be_used(text: str) -> None:
    assert list(checks.reserved([word(text)], {})) == []


def test_a_senders_own_stop_words_are_refused_in_any_width_and_case() -> None:
    (finding,) = checks.reserved([word("ｒ")], {"shanghai": ["R", "T"]})
    assert finding.text == '"ｒ" is a stop word of the sender shanghai; choose another word'


def test_words_that_fold_alike_collide() -> None:
    (finding,) = checks.collisions([word("LATTE"), word("ｌatte", "the keyword B")])
    assert (finding.text, finding.see) == ('"ｌatte" is already a word of the keyword A', ("keywords", "LATTE"))


def test_a_segment_within_itself_is_a_circle() -> None:
    found = list(checks.circles({"a": Not(Ref("a"))}))
    assert [finding.text for finding in found] == ["goes round in a circle: a -> a"]


def test_a_segment_used_twice_is_no_circle() -> None:
    leaf: Segment = Tag(("vip",))
    tree = {"leaf": leaf, "b": Ref("leaf"), "c": AllOf((Ref("leaf"), Ref("b"))), "d": AnyOf((Ref("b"), Ref("c")))}
    assert list(checks.circles(tree)) == []


def test_a_field_that_nobody_can_fill_is_found_in_its_language() -> None:
    text = LocalText({"en": "Hi {{ first_name }}", "zh": "{{ nickname }}"})
    (finding,) = checks.placeholders([(("text",), text)], ["first_name"])
    assert finding.path == ("text", "zh")


@pytest.mark.parametrize(
    ("at", "zone", "is_asked"),
    [
        ((47.6, -122.3), "America/Los_Angeles", False),
        ((31.2, 121.5), "Asia/Shanghai", False),
        ((43.8, 87.6), "Asia/Shanghai", False),  # Urumqi, the farthest city of the zone
        ((13.4, 52.5), "Europe/Berlin", True),
        ((52.5, 13.4), "Europe/Berlin", False),
        ((52.5, 13.4), "Nowhere/Else", False),
    ],
)
def test_a_position_is_asked_about_only_when_swapping_would_bring_it_home(
    at: tuple[float, float], zone: str, is_asked: bool
) -> None:
    assert bool(list(checks.swapped(("at",), at, zone))) is is_asked


EDITS = st.tuples(
    st.integers(0, len(SHIPPED) - 1),
    st.integers(0, 6),
    st.sampled_from([*"{}[]:,#'\"\n -&*!x0\t|>?@", "", "[]", "{a: b}", "latte", "30 d", "${NOPE}"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_whatever_is_done_to_the_shipped_file_is_read_or_told_within_it(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, str]]
) -> None:
    text = SHIPPED
    for place, dropped, put_in in edits:
        text = text[:place] + put_in + text[place + dropped :]
    path = tmp_path_factory.mktemp("edited") / "config.yaml"
    path.write_text(text, encoding="utf-8")
    mistakes: list[Mistake] = []
    try:
        load(path, Config, {})
    except ConfigErrors as errors:
        mistakes = errors.mistakes
    lines = len(text.split("\n"))
    assert all(one.file == str(path) and 1 <= one.line <= lines and one.column >= 1 for one in mistakes)


def test_a_text_that_no_carrier_would_take_is_a_mistake_in_its_language() -> None:
    text = LocalText({"en": "x" * 1_600, "zh": "字" * 1_601})

    (finding,) = checks.lengths([(("campaigns", "spring", "text"), text)])

    assert finding.path == ("campaigns", "spring", "text", "zh")
    assert finding.text.startswith("found 1,601 characters, expected at most 1,600")
