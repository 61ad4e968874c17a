"""A segment in the file becomes a tree, and each mistake in it is told where it stands."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from campaigns.segment_language import (
    Age,
    AllOf,
    AnyOf,
    Attribute,
    City,
    Did,
    Gender,
    Kind,
    Language,
    Not,
    Ref,
    Seen,
    Segment,
    Tag,
    every,
)
from campaigns.settings import AnySegment
from gateway.config import KEY, Reading
from gateway.tree import Spot

HERE = Spot("f", 7, 1)


def reading() -> Reading:
    raw: dict[str, Any] = {
        "segments": {"students": {}}, "places": {"pike": {}}, "coupons": {"latte": {}}, "contests": {"cup": {}},
        "programs": {"club": {}}, "campaigns": {"spring": {}},
        "attributes": {"tier": ["gold", "silver"], "size": "text"},
    }  # fmt: skip
    return Reading(Path(), "f", {section: dict.fromkeys(names, HERE) for section, names in raw.items()}, raw)


def read(value: object) -> Segment:
    segment: Segment = TypeAdapter(AnySegment).validate_python(value, context=reading())
    return segment


def mistakes(value: object) -> list[tuple[Any, str]]:
    with pytest.raises(ValidationError) as caught:
        read(value)
    return list(caught.value.errors()[0]["ctx"]["mistakes"])


@pytest.mark.parametrize(
    ("written", "tree"),
    [
        ({"age": "17-25"}, Age(17, 25)),
        ({"age": "18+"}, Age(18, None)),
        ({"age": "30"}, Age(30, 30)),
        ({"city": "Seattle"}, City(("Seattle",))),
        ({"language": ["en", "zh"]}, Language(("en", "zh"))),
        ({"gender": "f"}, Gender(("f",))),
        ({"tag": ["vip"]}, Tag(("vip",))),
        ({"tier": ["gold", "silver"]}, Attribute("tier", ("gold", "silver"))),
        ({"size": "anything"}, Attribute("size", ("anything",))),
        ({"seen": {"within": "pike", "last": "2 h"}}, Seen("pike", timedelta(hours=2))),
        ({"seen": {"within": "pike"}}, Seen("pike", None)),
        ({"redeemed": {"last": "60 d"}}, Did(Kind.REDEEMED, "", timedelta(days=60))),
        ({"redeemed": "latte"}, Did(Kind.REDEEMED, "latte", None)),
        ({"voted": {"contest": "cup", "last": "1 d"}}, Did(Kind.VOTED, "cup", timedelta(days=1))),
        ({"joined": "club"}, Did(Kind.JOINED, "club", None)),
        ({"replied": {"campaign": "spring"}}, Did(Kind.REPLIED, "spring", None)),
        ("students", Ref("students")),
        ({"not": "students"}, Not(Ref("students"))),
        ({"not": {"tier": "gold"}}, Not(Attribute("tier", ("gold",)))),
        ({"any": ["students", {"tier": "gold"}]}, AnyOf((Ref("students"), Attribute("tier", ("gold",))))),
        ({"all": ["students"]}, AllOf((Ref("students"),))),
        ({"age": "18+", "city": "Seattle"}, AllOf((Age(18, None), City(("Seattle",))))),
    ],
)
def test_what_stands_in_the_file_becomes_a_tree(written: object, tree: Segment) -> None:
    assert read(written) == tree


@pytest.mark.parametrize(
    ("written", "path", "text"),
    [
        ({"age": "25-17"}, ("age",), 'found "25-17", expected ages such as 17-25, 18+ or 30'),
        ({"age": "young"}, ("age",), 'found "young", expected ages'),
        ({"age": ["17"]}, ("age",), "found a list, expected ages"),
        ({"city": {}}, ("city",), "found an empty map, expected a word or a list such as [Seattle, Shanghai]"),
        ({"tier": ["gold", "silvr"]}, ("tier", 1), 'no tier "silvr"; did you mean silver?'),
        ({"tier": "tin"}, ("tier",), 'no tier "tin"; expected gold or silver'),
        ({"teir": "gold"}, ("teir", KEY), 'no attribute "teir" to choose people by; did you mean tier?'),
        ({"clicked": "spring"}, ("clicked", KEY), '"clicked" comes later; so far there are joined, replied, voted, '),
        ({"received": {}}, ("received", KEY), '"received" comes later'),
        ({"seen": "pike"}, ("seen",), 'found "pike", expected {within: pike_place, last: 2 h}'),
        ({"seen": {"last": "2 h"}}, ("seen",), "within is missing"),
        ({"seen": {"within": "pke"}}, ("seen", "within"), 'no place "pke"; did you mean pike (line 7)?'),
        ({"seen": {"within": "pike", "last": "2"}}, ("seen", "last"), "found 2 without a unit"),
        ({"seen": {"within": "pike", "lst": "2 h"}}, ("seen", "lst", KEY), 'no setting "lst" here; did you mean last?'),
        ({"redeemed": "late"}, ("redeemed",), 'no coupon "late"; did you mean latte (line 7)?'),
        ({"voted": {"contest": "cap"}}, ("voted", "contest"), 'no contest "cap"; did you mean cup (line 7)?'),
        ({"voted": ["cup"]}, ("voted",), "found a list, expected a contest, or a map such as {last: 60 d}"),
        ({"not": ["students"]}, ("not",), "found a list, expected one segment; for several say {any: [...]}"),
        ({"any": "students"}, ("any",), 'found "students", expected a list'),
        ({"any": ["studnts"]}, ("any", 0), 'no segment "studnts"; did you mean students (line 7)?'),
        ({}, (), "found an empty map, expected a segment such as {age: 17-25, city: Seattle}"),
        (["students"], (), "found a list, expected a segment"),
    ],
)
def test_a_mistake_is_told_where_it_stands(written: object, path: tuple[Any, ...], text: str) -> None:
    ((where, told),) = mistakes(written)
    assert where == path
    assert told.startswith(text)


def test_all_mistakes_of_a_segment_are_told() -> None:
    written = {"age": "x", "any": ["a_stranger", {"tier": "tin"}, {"seen": {"within": "z", "last": "9"}}]}
    assert [where for where, _ in mistakes(written)] == [
        ("age",), ("any", 0), ("any", 1, "tier"), ("any", 2, "seen", "within"), ("any", 2, "seen", "last"),
    ]  # fmt: skip


def test_every_part_of_a_segment_is_walked() -> None:
    tree = read({"any": ["students", {"not": {"tier": "gold"}}]})
    assert [type(part).__name__ for part in every(tree)] == ["AnyOf", "Ref", "Not", "Attribute"]
