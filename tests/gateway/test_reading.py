"""YAML is read with its positions, without the traps of YAML 1.1, and goes on after each mistake."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.reading import read_yaml
from gateway.tree import Items, Map, Mistake, Node, Scalar


def read(text: str, **environ: str) -> tuple[Any, list[str]]:
    mistakes: list[Mistake] = []
    tree = read_yaml(text, "f", environ, mistakes)
    return plain(tree), [str(mistake) for mistake in mistakes]


def plain(node: Node) -> Any:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Items):
        return [plain(inside) for inside in node.nodes]
    return {key: plain(entry.node) for key, entry in node.entries.items()} if isinstance(node, Map) else None


@pytest.mark.parametrize(
    "scalar", ["no", "on", "0031612", "017", "12:30", "+12065550100", "2027-03-20", "1_000", "0x1F", "null", "~", "1e3"]
)
def test_a_scalar_stays_the_text_that_stands_there(scalar: str) -> None:
    assert read(f"a: {scalar}\nb: {{c: {scalar}}}\n") == ({"a": scalar, "b": {"c": scalar}}, [])


def test_a_key_stays_the_text_that_stands_there() -> None:
    assert read("on: {1: a, 017: b}\n") == ({"on": {"1": "a", "017": "b"}}, [])


def test_a_position_counts_characters_from_one() -> None:
    tree = read_yaml("a:\n  名: {b: 灯笼, c: x}\n", "f", {}, [])
    inside = tree.entries["a"].node
    assert isinstance(inside, Map)
    entry = inside.entries["名"]
    assert (entry.spot, entry.node.spot) == (("f", 2, 3), ("f", 2, 6))
    assert isinstance(entry.node, Map)
    assert entry.node.entries["c"].node.spot == ("f", 2, 17)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: Spring is here: x", '1:4: put quotes around this text: "Spring is here: x"'),
        ("a: {en: Which cup?, zh: x}", '1:9: put quotes around this text: "Which cup?"'),
        ("a: {en: 50% off: now, zh: x}", '1:9: put quotes around this text: "50% off: now"'),
        ("a: {at: ${X:-y}}", '1:9: put quotes around this text: "${X:-y}"'),
        ("a: {{ name }}", '1:4: found {{ }} without quotes; put the whole text in quotes: "{{ ... }}"'),
        ("a: {{ name }}, hello", '1:4: put quotes around this text: "{{ name }}, hello"'),
        ("a: {t: {{ n }} hi}", '1:8: put quotes around this text: "{{ n }} hi"'),
        ("a: @home", '1:4: put quotes around this text: "@home"'),
        ("a: *star", '1:4: put quotes around this text: "*star"'),
        ("a: &anchor x", '1:4: put quotes around this text: "&anchor x"'),
        ("a: !!python/object:os.system x", '1:4: put quotes around this text: "!!python/object:os.system x"'),
        ("a: %x", '1:4: put quotes around this text: "%x"'),
        ("a: > x", '1:4: put quotes around this text: "> x"'),
        ("a:\n  - x: y: z", '2:8: put quotes around this text: "y: z"'),
        ("a:\n  b: 1\n  c:50/s # fast\n  d: 2", '3:3: found "c:50/s", expected a key, a colon, a space and a value'),
        ("a:\n\tb: c", "2:1: found a tab; indent with spaces"),
        ("a:\n  b: 1\n c: 2", "3:2: indented unlike the lines above it"),
        ("a: 1\n  b: 2", "2:3: indented unlike the lines above it"),
        ("a: x # c\n  b: c", "2:3: indented unlike the lines above it"),
        ("a: 'x", "1:4: this quote is never closed"),
        ("a: {x: 1, y: [1, 2}", "1:14: this [ is not closed with ]"),
        ("a: [{x: 1, y: 2]", "1:5: this { is not closed with }"),
        ("#{\na: [1, 2", "2:4: this [ is not closed with ]"),
        ("a: {en: #x}", "1:4: this { is not closed with }; what follows # is a comment"),
        ("a: {x: 1}}", "1:10: one } too many"),
        ("a: [1]]", "1:7: one ] too many"),
        ("a: 'don't'", "1:4: text goes on behind the closing quote; inside ' write '' for an apostrophe"),
        ('a: "say "hi""', '1:4: text goes on behind the closing quote; inside " write \\" for a quote'),
        (r'a: "\d"', r"1:6: found \ in double quotes; write \\ or use single quotes"),
        ("a: 1\n---\nb: 2", "2:1: a second document begins here; take the line --- out"),
        ("a: b\x07c", "1:5: found the invisible character U+0007; delete it"),
        ("- a\n- b", "1:1: found a list, expected sections such as brand: and campaigns:"),
        ("just words", '1:1: found "just words", expected sections such as brand: and campaigns:'),
        ("[a, b]: c", "1:1: found a list as a key, expected a word"),
        ("a: 1\nb: 2\na: 3", "3:1: a stands twice; it is already in line 1"),
        ("x: {a: 1, a: 2}", "1:11: a stands twice; it is already in line 1"),
        ("a: " + "[" * 100, "1:43: nested more than 40 levels deep"),
    ],
)
def test_a_slip_is_told_with_its_cure(text: str, mistake: str) -> None:
    assert read(text)[1] == [f"f:{mistake}"]


def test_the_mistake_behind_two_brackets_is_the_inner_one() -> None:
    assert read("a: {x: [1, 2\nb: 3\n") == ({"a": None, "b": "3"}, ["f:1:8: this [ is not closed with ]"])


def test_a_slip_hides_nothing_in_other_entries() -> None:
    text = "a: 1\nb: {en: Which?, zh: x}\nc:\n  d: Spring: is here: x\n  e: {t: 1\n  f:\n    g: @x\n    h: ok\n"
    tree, mistakes = read(text)
    assert tree == {"a": "1", "b": None, "c": {"d": None, "e": None, "f": {"g": None, "h": "ok"}}}
    assert [mistake.partition(": ")[0] for mistake in mistakes] == ["f:2:9", "f:4:6", "f:5:6", "f:7:8"]


def test_the_environment_is_put_in_after_reading() -> None:
    tree, mistakes = read("a: ${A}\nb: ${B:-x}/${A}\nc: '${C:-}'\n", A="no: [")
    assert (tree, mistakes) == ({"a": "no: [", "b": "x/no: [", "c": ""}, [])


def test_two_dollars_write_one() -> None:
    assert read("a: $${A}\n") == ({"a": "${A}"}, [])


def test_a_missing_name_of_the_environment_is_told_where_it_stands() -> None:
    tree, mistakes = read("a: 1\nb: {c: '${HOST}'}\n")
    assert tree == {"a": "1", "b": {"c": None}}
    assert mistakes == ["f:2:8: HOST is not set in the environment; set it, or write ${HOST:-default}"]


def test_a_bomb_of_aliases_is_not_lit() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(50))
    assert len(read(bomb)[1]) == 51


def test_line_ends_of_windows_and_a_byte_order_mark_do_no_harm() -> None:
    assert read("\ufeffa: 1\r\nb:\r\n  c: x: y\r\n") == (
        {"a": "1", "b": {"c": None}},
        ['f:3:6: put quotes around this text: "x: y"'],
    )


WORDS = st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"]))


@given(st.dictionaries(WORDS, WORDS | st.lists(WORDS), max_size=5))
def test_whatever_is_quoted_reads_back_the_same(content: dict[str, Any]) -> None:
    written = yaml.safe_dump(content, default_style='"', allow_unicode=True)
    assert read(written) == (content, [])


@given(st.text(alphabet="ab:{}[]\"',# \n-?&*!|>%@\t0$", max_size=60))
def test_no_text_is_too_broken_to_be_told(text: str) -> None:
    tree, mistakes = read(text)
    lines = text.split("\n")
    assert isinstance(tree, dict)
    assert all(1 <= int(mistake.split(":")[1]) <= len(lines) + 1 for mistake in mistakes)


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000"])
def test_what_only_looks_like_a_space_is_told_and_never_swallows_its_section(blank: str) -> None:
    tree, mistakes = read(f"brand:\n  country: US\n  currency:{blank}USD\nstore: x\n")
    assert mistakes == [f"f:3:12: U+{ord(blank):04X} only looks like a space; write a space"]
    assert tree["store"] == "x"


@pytest.mark.parametrize("hidden", ["\x85", "\u2028", "\u2029"])
def test_a_line_break_that_no_editor_shows_moves_no_position(hidden: str) -> None:
    _, mistakes = read(f"a: 1  # one{hidden}two\nb: 2\nb: 3\n")
    assert mistakes == [
        f"f:1:12: found the invisible character U+{ord(hidden):04X}; delete it",
        "f:3:1: b stands twice; it is already in line 2",
    ]
