"""The right sender texts each phone, from the number that it knows, and somebody stands in when a way is out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Finding
from gateway.quality import Score, Way
from gateway.routes import (
    CAMPAIGNS,
    KNOWN,
    LOCAL,
    ONLY,
    REPLIES,
    SPREAD,
    Destination,
    Pool,
    Router,
    fallback_findings,
    fits,
    route_findings,
    substitutes,
)
from gateway.settings import RouteSettings, SenderSettings

MAYA = Destination("+12065550142", "US", "mobile or landline", "")
LI = Destination("+8613812345678", "CN", "mobile", "China Mobile")


def sender(key: str, channel: str = "", **values: object) -> SenderSettings:
    known: dict[str, object] = {
        "number": f"{len(key)}00{key[0]}",
        "channel": channel or f"{key}_sms",
        "countries": ["US"],
    }
    if "numbers" in values:
        known.pop("number")
    return SenderSettings.model_validate(known | values).model_copy(update={"key": key})


def senders(*every: SenderSettings) -> dict[str, SenderSettings]:
    return {one.key: one for one in every}


def rule(key: str = "rule", /, **values: object) -> RouteSettings:
    return RouteSettings.model_validate({"senders": ["one"]} | values).model_copy(update={"key": key})


THREE = senders(sender("one"), sender("two"), sender("three", countries=["US", "CN"]))


def best(router: Router, to: Destination, **given: object) -> list[str]:
    return [each.sender.key for each in router.decide(to, **given).senders]  # type: ignore[arg-type]


# --- rules


@pytest.mark.parametrize(
    ("asks", "holds"),
    [
        ({}, True),
        ({"country": "US"}, True),
        ({"country": ["CN", "US"]}, True),
        ({"country": "CN"}, False),
        ({"prefix": "+1206"}, True),
        ({"prefix": ["+1425", "+1206"]}, True),
        ({"prefix": "+1425"}, False),
        ({"type": "mobile"}, True),
        ({"type": "landline"}, False),  # it may be one, but we are a texting business
        ({"network": "China Mobile"}, False),
        ({"country": "US", "prefix": "+1425"}, False),
    ],
)
def test_a_rule_fits_when_all_that_it_names_holds(asks: dict[str, object], holds: bool) -> None:
    assert fits(rule(**asks), MAYA) is holds


def test_the_first_rule_that_fits_decides_although_a_later_one_knows_better() -> None:
    rules = [rule("all", senders=["two", "one"]), rule("locals", prefix="+1206", senders=["one"])]
    decision = Router(THREE, rules).decide(MAYA)
    assert decision.rule is rules[0]
    assert [each.sender.key for each in decision.senders] == ["two", "one"]
    assert decision.out == (("three", "the rule all does not name it"),)


def test_whom_no_rule_fits_the_campaigns_own_senders_serve_in_their_order() -> None:
    router = Router(THREE, [rule(country="CN", senders=["three"])], wanted=["two", "one"])
    decision = router.decide(MAYA)
    assert (decision.rule, [each.sender.key for each in decision.senders]) == (None, ["two", "one"])
    assert decision.out == (("three", "the campaign does not name it"),)


def test_nobody_is_served_by_a_sender_that_does_not_serve_their_country() -> None:
    decision = Router(THREE, [rule(senders=["one", "three"])]).decide(LI)
    assert [each.sender.key for each in decision.senders] == ["three"]
    assert dict(decision.out)["one"] == "serves US, not CN"


def test_without_a_rule_and_without_a_campaign_nobody_sends() -> None:
    decision = Router(THREE, [rule(country="CN")]).decide(MAYA)
    assert decision.senders == ()
    assert {why for _, why in decision.out} == {"no rule fits"}


def test_rules_of_other_campaigns_and_of_the_other_lane_are_not_asked() -> None:
    rules = [rule("fall", campaign="fall", senders=["two"]), rule("answers", lane="replies", senders=["three"]), rule()]
    assert best(Router(THREE, rules, campaign="spring"), MAYA) == ["one"]
    assert best(Router(THREE, rules, campaign="fall"), MAYA) == ["two"]
    assert best(Router(THREE, rules, lane=REPLIES), MAYA) == ["three"]


def test_cost_puts_the_cheapest_first_and_equal_ones_as_listed() -> None:
    router = Router(THREE, [rule(senders=["one", "two", "three"], order="cost")])
    costs = {"one": 3, "two": 1, "three": 1}
    assert best(router, MAYA, cost=lambda one: costs[one.key]) == ["two", "three", "one"]


@pytest.mark.parametrize(
    ("scores", "order"),
    [
        ({}, ["one", "two", "three"]),
        ({"one": Score(0.8, 900, 500)}, ["two", "three", "one"]),  # those whom nobody knows get their chance
        ({"one": Score(0.8, 900, 12)}, ["one", "two", "three"]),  # too few to judge
        ({"two": Score(0.97, 900, 500)}, ["two", "one", "three"]),
        ({"one": Score(0.971, 9_000, 500), "two": Score(0.974, 2_000, 500)}, ["two", "one", "three"]),
        ({"one": Score(0.971, 2_100, 500), "two": Score(0.974, 2_000, 500)}, ["one", "two", "three"]),  # chance
    ],
)
def test_quality_puts_the_best_delivered_first_then_the_fastest(scores: dict[str, Score], order: list[str]) -> None:
    known: dict[Way, Score] = {(f"{name}_sms", "US"): score for name, score in scores.items()}
    router = Router(THREE, [rule(senders=["one", "two", "three"], order="quality")])
    assert best(router, MAYA, scores=known) == order
    assert best(router, LI, scores=known) == ["three"]


@pytest.mark.parametrize("order", ["listed", "cost", "quality"])
def test_a_sender_whose_channel_is_out_comes_last_and_stays(order: str) -> None:
    router = Router(THREE, [rule(senders=["one", "two"], order=order)])
    decision = router.decide(MAYA, out={"one_sms"})
    assert [(each.sender.key, each.is_out) for each in decision.senders] == [("two", False), ("one", True)]


def test_without_a_rule_the_campaigns_order_stands_whatever_happens() -> None:
    assert best(Router(THREE, [], wanted=["one", "two"]), MAYA, out={"one_sms"}) == ["one", "two"]


NUMBERS = st.sampled_from(["+1206555", "+1206777", "+1425555", "+8613812", "+44"]).flatmap(
    lambda start: st.integers(0, 9999).map(lambda rest: f"{start}{rest:04}")
)
KINDS = ["mobile", "mobile or landline", "voip"]
DESTINATIONS = st.builds(
    Destination,
    NUMBERS,
    st.sampled_from(["US", "CN", "GB"]),
    st.sampled_from(KINDS),
    st.sampled_from(["", "China Mobile", "O2"]),
)
RULES = st.builds(
    rule,
    country=st.lists(st.sampled_from(["US", "CN"]), max_size=2),
    prefix=st.lists(st.sampled_from(["+1", "+1206", "+1206555", "+86"]), max_size=2),
    type=st.lists(st.sampled_from(["mobile", "voip"]), max_size=1),
    network=st.lists(st.sampled_from(["China Mobile", "O2"]), max_size=1),
    senders=st.permutations(["one", "two", "three"]).map(lambda names: names[:2]),
)


@given(st.lists(RULES, max_size=4), DESTINATIONS, DESTINATIONS)
def test_two_people_with_one_key_are_served_alike(
    rules: list[RouteSettings], one: Destination, other: Destination
) -> None:
    router = Router(THREE, rules, wanted=["two", "three"])
    keys = [router.key(each.address, each.country, each.line_type, each.network) for each in (one, other)]
    if keys[0] == keys[1]:
        assert router.decide(one) == router.decide(other)


@given(st.lists(RULES, max_size=4), DESTINATIONS)
def test_every_sender_is_either_a_candidate_or_out_with_a_reason(rules: list[RouteSettings], to: Destination) -> None:
    decision = Router(THREE, rules).decide(to)
    chosen = [each.sender.key for each in decision.senders]
    assert sorted([*chosen, *(name for name, _ in decision.out)]) == sorted(THREE)
    assert all(to.country in THREE[name].countries for name in chosen)


# --- pools

SEATTLE, TACOMA, NEW_YORK, CODE = "+12065550100", "+12535550100", "+12125550100", "20655"


def test_the_number_that_a_person_knows_comes_before_one_of_their_area() -> None:
    pool = Pool([SEATTLE, NEW_YORK])
    assert pool.choose(1, "+12065550142", [NEW_YORK]) == (NEW_YORK, KNOWN)
    assert pool.choose(1, "+12065550142", ["+19995550100", SEATTLE, NEW_YORK]) == (SEATTLE, KNOWN)  # one that is gone


def test_a_stranger_gets_a_number_of_their_area_the_nearest_of_several() -> None:
    pool = Pool([NEW_YORK, "+12067770100", SEATTLE, CODE])
    assert pool.choose(1, "+12065550142") == (SEATTLE, LOCAL)
    assert pool.choose(1, "+12067779999") == ("+12067770100", LOCAL)


def test_an_area_code_is_the_least_that_makes_a_number_local() -> None:
    assert Pool([SEATTLE, NEW_YORK]).choose(1, "+12055550142").why == SPREAD  # +120 in common says nothing


def test_one_number_is_no_choice() -> None:
    assert Pool([CODE]).choose(1, "+12065550142", [SEATTLE]) == (CODE, ONLY)


OWN = [f"+1206555{n:04}" for n in range(100, 108)]


def test_strangers_are_spread_evenly() -> None:
    pool = Pool(OWN)
    counted = Counter(pool.choose(person, "+13035550142").number for person in range(16_000))
    assert set(counted) == set(OWN)
    assert max(counted.values()) - min(counted.values()) < 300  # of 2,000 each; five deviations are 209


@given(st.sets(st.sampled_from(OWN), min_size=2), st.sampled_from(OWN), st.integers(0, 2**62))
def test_a_number_that_comes_moves_only_the_people_who_get_it(own: set[str], new: str, person: int) -> None:
    before = Pool(sorted(own - {new}) or [OWN[0]]).choose(person, "+13035550142").number
    after = Pool(sorted(own | {new})).choose(person, "+13035550142").number
    assert after in (before, new)


@given(st.permutations(OWN), st.integers(0, 2**62))
def test_the_order_in_the_file_moves_nobody(own: list[str], person: int) -> None:
    assert Pool(own).choose(person, "+13035550142") == Pool(OWN).choose(person, "+13035550142")


# --- taking over


def test_each_number_has_its_stand_ins_in_order_and_one_of_its_own_area() -> None:
    found = substitutes(
        senders(
            sender("one", "a", numbers=[SEATTLE, NEW_YORK], fallback=["two", "three"]),
            sender("two", "b", numbers=["+12125550200", "+12065550200"], fallback=["one"]),
            sender("three", "c", number=CODE),
        )
    )
    assert found == {
        "a": {SEATTLE: (("b", "+12065550200"), ("c", CODE)), NEW_YORK: (("b", "+12125550200"), ("c", CODE))},
        "b": {"+12125550200": (("a", NEW_YORK),), "+12065550200": (("a", SEATTLE),)},
    }


def test_without_a_fallback_nobody_stands_in() -> None:
    assert substitutes(THREE) == {}


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"channel": "a"}, "two goes through a too, which is what would be out"),
        ({"countries": ["US"]}, "two does not serve CA, as one does"),
        ({"begin": "Hi"}, "two has another begin than one"),
        ({"end": "Bye"}, "two has another end than one"),
        ({"stop_words": ["R"]}, "two has another stop_words than one"),
        ({"channel": "turkish"}, "turkish has other alphabets than a"),
    ],
)
def test_who_cannot_carry_what_is_written_cannot_stand_in(other: dict[str, object], complaint: str) -> None:
    both = senders(
        sender("one", "a", countries=["US", "CA"], fallback=["two"]),
        sender("two", **({"channel": "b", "countries": ["CA", "US"]} | other)),  # type: ignore[arg-type]
    )
    [found] = fallback_findings(both, {"turkish": ["turkish"]})
    assert found.path == ("senders", "one", "fallback", 0)
    assert found.text.startswith(complaint)
    assert not found.is_warning


def test_two_may_stand_in_for_each_other_but_nobody_for_itself_or_twice() -> None:
    both = senders(sender("one", "a", fallback=["two"]), sender("two", "b", fallback=["one"]))
    assert list(fallback_findings(both, {})) == []
    alone = senders(
        sender("one", "a", fallback=["one"]), sender("two", "b", fallback=["three", "three"]), sender("three")
    )
    assert [(each.path[1], each.path[3]) for each in fallback_findings(alone, {})] == [("one", 0), ("two", 1)]


# --- findings


def found_in(*rules: RouteSettings, wanted: dict[str, list[str]] | None = None) -> list[Finding]:
    return list(route_findings({each.key: each for each in rules}, THREE, wanted or {}))


@pytest.mark.parametrize(
    ("asks", "path", "complaint"),
    [
        (
            {"country": "CN", "prefix": "+1", "senders": ["three"]},
            ("prefix", 0),
            'found "+1"; numbers of CN begin with +86',
        ),
        ({"country": "CN"}, ("senders", 0), "one serves US, and this rule is for CN"),
        ({"network": "China Mobil"}, ("network", 0), 'no network "China Mobil" is known; did you mean China Mobile'),
        ({"network": "Zzzzqq"}, ("network", 0), 'no network "Zzzzqq" is known; run.py route NUMBER shows'),
        ({"campaign": "spring", "lane": "replies"}, ("lane",), "a reply belongs to no campaign"),
    ],
)
def test_what_no_number_can_fulfil_is_told(asks: dict[str, object], path: tuple[object, ...], complaint: str) -> None:
    [found] = found_in(rule(**asks))
    assert found.path == ("routes", "rule", *path)
    assert found.text.startswith(complaint)
    assert not found.is_warning


@pytest.mark.parametrize(("country", "prefix"), [("US", "+1"), ("US", "+1206"), ("CN", "+8"), ("CN", "+86139")])
def test_a_prefix_may_be_shorter_or_longer_than_the_countrys_code(country: str, prefix: str) -> None:
    assert found_in(rule(country=country, prefix=prefix, senders=["three"])) == []


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ({}, {"country": "US"}, True),
        ({"country": ["US", "CA"]}, {"country": "US", "prefix": "+1206"}, True),
        ({"prefix": "+1"}, {"prefix": ["+1206", "+1425"]}, True),
        ({"prefix": "+1206"}, {"prefix": "+1"}, False),
        ({"prefix": "+1206"}, {}, False),
        ({"country": "US"}, {}, False),
        ({"lane": CAMPAIGNS}, {}, False),
        ({"lane": CAMPAIGNS}, {"lane": REPLIES}, False),
        ({}, {"lane": REPLIES}, True),
        ({"campaign": "spring"}, {"campaign": "fall"}, False),
    ],
)
def test_a_rule_that_an_earlier_one_hides_is_warned_of(
    first: dict[str, object], second: dict[str, object], hidden: bool
) -> None:
    found = found_in(rule("first", **first), rule("second", **second))
    assert [each.path[:2] for each in found] == [("routes", "second")] * hidden
    assert all(each.is_warning and each.see == ("routes", "first", -1) for each in found)


@given(st.lists(RULES, min_size=2, max_size=2), DESTINATIONS)
def test_a_rule_that_is_called_hidden_never_decides(rules: list[RouteSettings], to: Destination) -> None:
    first, second = (each.model_copy(update={"key": key}) for each, key in zip(rules, ("a", "b"), strict=True))
    if any(each.path[:2] == ("routes", "b") and each.see == ("routes", "a", -1) for each in found_in(first, second)):
        assert Router(THREE, [first, second]).rule_for(to) is not second


def test_a_campaign_whose_senders_a_rule_rules_out_is_warned_of() -> None:
    [found] = found_in(rule(senders=["two"]), wanted={"spring": ["one"], "fall": ["two"], "any": []})
    assert found.is_warning
    assert found.see == ("campaigns", "spring", "senders")
    assert found_in(rule(country="CN", senders=["three"]), wanted={"spring": ["one"]}) == []  # nobody there anyway
