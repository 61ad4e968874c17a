"""Each member of an audience gets the right sender, the right words and the right hour, or one plain reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.audience import (
    NO_CONSENT,
    NO_SENDER,
    Brief,
    Casting,
    Invitation,
    Member,
    channels_of,
    due_at,
    lasts_ms,
    share,
    straightened,
)
from campaigns.business import Business
from campaigns.gate import CAPPED, HOURS, LEFT, Rule
from campaigns.runs import ends_at
from campaigns.settings import Campaign, Config, Send
from gateway.clock import to_ms
from gateway.codecs.national import Alphabet
from gateway.codecs.parts import measure
from gateway.rendering import compile_text
from gateway.settings import RouteSettings
from gateway.values import LocalText, Price
from tests.conftest import Apply

SEATTLE, SHANGHAI = "America/Los_Angeles", "Asia/Shanghai"
HOUR = 3_600_000
LINK = {"coupon.link": "LINK", "coupon.code": "CODE"}
SPRING_DAY = to_ms(datetime(2027, 3, 20, 17, 0, tzinfo=UTC))  # 10:00 in Seattle


def member(**values: object) -> Member:
    known: dict[str, object] = {
        "id": 1, "address": "+12065550199", "country": "US", "zone": SEATTLE, "language": "en", "first_name": "Maya",
        "last_name": "Okafor", "city": "Seattle", "attributes": "{}", "stopped_at": None, "joined_at": 5,
        "reached": None,
    }  # fmt: skip
    return Member(**(known | values))  # type: ignore[arg-type]


def changed(business: Business, **changes: object) -> Campaign:
    return business.config.campaigns["spring"].model_copy(update=changes)


def invited(casting: Casting, who: Member, now: int) -> Invitation:
    verdict = casting.decide(who, now)
    assert isinstance(verdict, Invitation)
    return verdict


def said(business: Business, text: dict[str, str] | str, who: Member) -> tuple[str, int]:
    words = LocalText({"": text} if isinstance(text, str) else text)
    casting = Casting(business, changed(business, text=words))
    return casting.words(invited(casting, who, business.clock.now_ms()), LINK)


def test_who_has_left_gets_that_reason_before_any_other(business: Business) -> None:
    casting = Casting(business, changed(business))
    now = business.clock.now_ms()
    full = Rule(business.config.programs["lantern_club"]).charge(None, now) * 2

    assert casting.decide(member(stopped_at=1, joined_at=None, reached=full, country="FR"), now) == LEFT
    assert casting.decide(member(joined_at=None, reached=full, country="FR"), now) == NO_CONSENT
    assert casting.decide(member(reached=full, country="FR"), now) == CAPPED
    assert casting.decide(member(country="FR"), now) == NO_SENDER


def test_each_country_has_its_sender_with_its_price_and_words_around_the_text(business: Business) -> None:
    casting = Casting(business, changed(business))
    now = business.clock.now_ms()

    here = invited(casting, member(), now)
    there = invited(casting, member(country="CN", zone=SHANGHAI, language="zh"), now)

    assert (here.sender.number, here.price) == ("20655", 7_900)
    assert (there.sender.number, there.price) == ("10690555", 6_500)
    assert casting.words(there, LINK)[0].startswith("【灯笼咖啡】")
    assert casting.words(there, LINK)[0].endswith("拒收请回复R")


def test_words_that_a_sender_adds_stand_once_when_the_text_has_them_already(business: Business) -> None:
    text, _ = said(business, "【灯笼咖啡】你好，拒收请回复R", member(country="CN", zone=SHANGHAI, language="zh"))

    assert text == "【灯笼咖啡】你好，拒收请回复R"


async def test_of_two_senders_for_a_country_the_first_named_serves(apply: Apply, shipped_config: Config) -> None:
    second = shipped_config.senders["shanghai"].model_copy(update={"countries": ("CN", "US")})
    business = await apply(
        shipped_config.model_copy(update={"senders": {**shipped_config.senders, "shanghai": second}})
    )
    now = business.clock.now_ms()

    for order, number in ((("seattle", "shanghai"), "20655"), (("shanghai", "seattle"), "10690555")):
        casting = Casting(business, changed(business, senders=order))
        assert invited(casting, member(), now).sender.number == number


@pytest.mark.parametrize(("language", "got"), [("zh", "您好"), ("en", "Hello"), ("fr", "Hello"), ("", "Hello")])
def test_a_reader_of_another_language_gets_our_first(business: Business, language: str, got: str) -> None:
    assert said(business, {"en": "Hello", "zh": "您好"}, member(language=language))[0] == got


def test_what_is_not_known_of_a_person_is_left_empty_and_parts_are_those_of_their_own_text(business: Business) -> None:
    template = "{{ first_name or 'friend' }} {{ city }} {{ favourite }}!"
    known = member(attributes=orjson.dumps({"favourite": "latte"}).decode())

    assert said(business, template, known) == ("Maya Seattle latte!", 1)
    assert said(business, template, member(first_name="", city="")) == ("friend  !", 1)
    assert said(business, "{{ first_name }}" + "x" * 155, member(first_name="Maya!"))[1] == 1
    assert said(business, "{{ first_name }}" + "x" * 155, member(first_name="Maya!!"))[1] == 2
    assert said(business, "{{ first_name }}" + "x" * 66, member(first_name="诗涵"))[1] == 1
    assert said(business, "{{ first_name }}" + "x" * 66, member(first_name="诗涵马马马"))[1] == 2


def test_at_once_is_now_within_the_hours_and_the_next_morning_outside_them(business: Business) -> None:
    casting = Casting(business, changed(business))
    now = business.clock.now_ms()  # 18:30 in Seattle, 2:30 in London

    assert invited(casting, member(), now).due == now
    assert invited(casting, member(zone="Europe/London"), now).due == now + int(6.5 * HOUR)


def at(business: Business, timezone: str | None, within: timedelta | None = None) -> Campaign:
    send = Send.model_validate({"at": "2027-03-20 10:00"}).model_copy(update={"timezone": timezone, "within": within})
    return changed(business, send=send)


def test_a_time_is_on_the_brands_clock_unless_it_says_otherwise(business: Business) -> None:
    now = business.clock.now_ms()
    for timezone, due in ((None, SPRING_DAY), (SHANGHAI, SPRING_DAY - 15 * HOUR)):
        campaign = at(business, timezone)
        casting = Casting(business, campaign)

        assert due_at(campaign, SEATTLE, now) == due
        assert ends_at(business, campaign, now) == due + 24 * HOUR
        assert casting.ends_at(SHANGHAI, due + 24 * HOUR) == due + 24 * HOUR
        assert invited(casting, member(), now).due == due  # 19:00 the day before is within Seattle's hours too


def test_on_the_subscribers_clock_each_zone_has_its_own_ten_oclock_and_its_own_end(business: Business) -> None:
    now = business.clock.now_ms()
    campaign = at(business, "subscriber", timedelta(hours=6))
    casting = Casting(business, campaign)
    until = ends_at(business, campaign, now)
    tens = {SEATTLE: SPRING_DAY, SHANGHAI: SPRING_DAY - 15 * HOUR, "Pacific/Honolulu": SPRING_DAY + 3 * HOUR}

    for zone, ten in tens.items():
        assert invited(casting, member(zone=zone), now).due == ten
        assert casting.ends_at(zone, until) == ten + 6 * HOUR  # nobody's time is over before it has come
    assert due_at(campaign, SEATTLE, now) <= min(tens.values())
    assert until >= max(tens.values()) + 6 * HOUR


def test_a_campaign_lasts_as_long_as_it_says_or_a_day(business: Business) -> None:
    assert lasts_ms(at(business, None)) == 24 * HOUR
    assert lasts_ms(at(business, None, timedelta(hours=6))) == 6 * HOUR
    now = business.clock.now_ms()
    assert ends_at(business, business.config.campaigns["spring"], now) == now + 6 * HOUR


# --- routes

RULES: dict[str, dict[str, object]] = {
    "locals": {"prefix": ["+1206"], "senders": ["backup"]},
    "china": {"country": ["CN"], "network": ["China Mobile"], "senders": ["shanghai"]},
    "rest": {"senders": ["seattle", "backup"], "order": "cost"},
}


def routed(config: Config, rules: dict[str, dict[str, object]], backup: str = "") -> Config:
    """The shipped config with rules, and one more American sender with a cheaper channel."""
    routes = {key: RouteSettings.model_validate(rule).model_copy(update={"key": key}) for key, rule in rules.items()}
    cheap = config.channels["us_sms"].model_copy(update={"key": "cheap", "price": Price(7_000, "USD")})
    second = config.senders["seattle"].model_copy(
        update={"key": "backup", "number": "20656", "numbers": ("20656",), "channel": "cheap", "end": backup}
    )
    return config.model_copy(
        update={
            "routes": routes,
            "channels": {**config.channels, "cheap": cheap},
            "senders": {**config.senders, "backup": second},
        }
    )


ELSEWHERE = "+12125550143"
CHINA = {"country": "CN", "zone": SHANGHAI, "language": "zh", "address": "+8613812345678"}


async def test_rules_choose_the_sender_by_what_is_known_of_the_number(apply: Apply, shipped_config: Config) -> None:
    business = await apply(routed(shipped_config, RULES))
    casting = Casting(business, changed(business, senders=()))
    now = business.clock.now_ms()

    assert invited(casting, member(), now).sender.key == "backup"
    assert invited(casting, member(address=ELSEWHERE), now).sender.key == "backup"  # the cheapest
    assert invited(casting, member(**CHINA, line_type="mobile", network="China Mobile"), now).sender.key == "shanghai"
    assert casting.decide(member(**CHINA, line_type="mobile", network="China Unicom"), now) == NO_SENDER


async def test_what_a_sender_adds_counts_when_the_cheapest_is_looked_for(apply: Apply, shipped_config: Config) -> None:
    business = await apply(routed(shipped_config, {"rest": RULES["rest"]}, backup=" Reply STOP to end, please"))
    now = business.clock.now_ms()

    short = Casting(business, changed(business, senders=(), text=LocalText({"": "x" * 100})))
    long = Casting(business, changed(business, senders=(), text=LocalText({"en": "x" * 150, "zh": "x"})))

    assert invited(short, member(), now).sender.key == "backup"
    assert invited(long, member(), now).sender.key == "seattle"  # one part, where backup needs two
    assert invited(long, member(language="zh"), now).sender.key == "backup"


async def test_a_page_is_routed_by_one_look_at_the_carriers(apply: Apply, shipped_config: Config) -> None:
    rule: dict[str, object] = {"senders": ["seattle", "backup"], "order": "quality"}
    business = await apply(routed(shipped_config, {"rest": rule}))
    casting = Casting(business, changed(business, senders=()))
    now = business.clock.now_ms()
    casting.look(now)
    assert invited(casting, member(), now).sender.key == "seattle"

    business.quality.failed("us_sms", "US", 500, now)

    assert invited(casting, member(), now).sender.key == "seattle"  # the page goes on as it began
    casting.look(now)
    assert invited(casting, member(), now).sender.key == "backup"
    business.quality.out.add("cheap")
    casting.look(now)
    assert invited(casting, member(), now).sender.key == "seattle"


async def test_without_senders_of_its_own_a_campaign_leaves_through_the_channels_of_its_rules(
    apply: Apply, shipped_config: Config
) -> None:
    business = await apply(routed(shipped_config, RULES))

    assert channels_of(changed(business, senders=()), business.config) == ["cheap", "cn_sms", "us_sms"]
    assert channels_of(changed(business, senders=("seattle",)), business.config) == ["us_sms"]
    rate = changed(business, senders=(), send=Send.model_validate({"at": "apply", "rate": "30/s"}))
    assert share(rate, business.config) == 10


def test_numbers_are_looked_at_only_where_a_rule_asks(business: Business) -> None:
    casting = Casting(business, changed(business))
    assert casting.looked_at([member()]) == ([member()], [])


async def test_numbers_that_nobody_has_looked_at_are_looked_at_once(apply: Apply, shipped_config: Config) -> None:
    business = await apply(routed(shipped_config, RULES))
    casting = Casting(business, changed(business, senders=()))
    old, fresh = member(id=1, **CHINA), member(id=2, line_type="mobile", **(CHINA | {"address": "+8613912345678"}))

    seen, new = casting.looked_at([old, fresh])

    assert [(each.line_type, each.network) for each in seen] == [("mobile", "China Mobile"), ("mobile", "")]
    assert new == [("mobile", "China Mobile", 1)]


# --- plain characters and national alphabets


def test_fine_typography_stays_unless_the_campaign_asks_for_plain_characters(business: Business) -> None:
    fine = "“Today’s latte” for {{ first_name or 'a friend’s friend' }}… https://x.example/ab"
    kept = Casting(business, changed(business, text=LocalText.parse(fine)))
    plain = Casting(business, changed(business, text=LocalText.parse(fine), straighten=True))
    now = business.clock.now_ms()

    assert kept.words(invited(kept, member(), now), {})[0].startswith("“Today’s latte” for Maya…")
    assert plain.words(invited(plain, member(first_name=""), now), {}) == (
        "\"Today's latte\" for a friend's friend... https://x.example/ab",
        1,
    )


def test_what_is_filled_in_is_never_straightened(business: Business) -> None:
    casting = Casting(business, changed(business, text=LocalText.parse("For you, {{ first_name }}…"), straighten=True))
    now = business.clock.now_ms()

    assert casting.words(invited(casting, member(first_name="D’Arcy"), now), {})[0] == "For you, D’Arcy..."
    assert casting.wording(business.config.senders["seattle"], "en").changes == {"…": "..."}


@pytest.mark.parametrize(
    "text",
    ["plain", "你好…", "“quoted” 你好", "Łódź’s best"],  # nothing to gain: cheap already, or dear for another letter
)
def test_a_text_that_would_gain_nothing_stays_as_it_is(text: str) -> None:
    assert straightened(compile_text(text, ())).plain is None


def test_straightening_saves_the_parts_that_a_plan_tells(business: Business) -> None:
    fine = LocalText.parse("x" * 140 + "…")
    now = business.clock.now_ms()

    for straighten, parts in ((True, 1), (False, 3)):
        casting = Casting(business, changed(business, text=fine, straighten=straighten))
        invitation = invited(casting, member(), now)
        assert casting.words(invitation, {})[1] == parts
        assert casting.saves(invitation, {}, parts) == 2


async def test_parts_are_counted_in_the_alphabets_that_the_channel_sends_in(
    apply: Apply, shipped_config: Config
) -> None:
    turkish = shipped_config.channels["us_sms"].model_copy(update={"alphabets": ("turkish",)})
    business = await apply(
        shipped_config.model_copy(update={"channels": {**shipped_config.channels, "us_sms": turkish}})
    )
    words = "şğı " * 30
    casting = Casting(business, changed(business, text=LocalText.parse(words)))

    _, parts = casting.words(invited(casting, member(), business.clock.now_ms()), {})

    assert (parts, measure(words).parts) == (measure(words, [Alphabet.TURKISH]).parts, 2)
    assert parts == 1


# --- a page at once

NAMES = st.sampled_from(["Maya", "", "José", "诗涵", "👩‍👧", "[Max]", "€uro", "A\nB", "x" * 61]) | st.text(max_size=12)
HOUSEHOLDS = st.sampled_from([
    {"country": "US", "zone": SEATTLE, "language": "en", "address": "+12065550143"},
    {"country": "US", "zone": SEATTLE, "language": "en", "address": "+12125550144"},
    {"country": "US", "zone": "America/New_York", "language": "zh", "address": "+12125550143"},
    {"country": "US", "zone": "Pacific/Honolulu", "language": "", "address": "+14255550143"},
    {**CHINA, "line_type": "mobile", "network": "China Mobile"},
    {**CHINA, "line_type": "mobile", "network": "China | Unicom"},
    {"country": "FR", "zone": "Europe/Paris", "language": "fr", "address": "+33612345678"},
])  # fmt: skip
PEOPLE = st.lists(
    st.builds(
        lambda household, **values: {**household, **values},
        HOUSEHOLDS,
        stopped_at=st.sampled_from([None, None, None, 7]),
        joined_at=st.sampled_from([5, 5, 5, None]),
        reached_before=st.lists(st.integers(0, 45 * 24), max_size=4).map(sorted),  # hours
        first_name=NAMES,
        last_name=NAMES,
        city=NAMES,
        attributes=NAMES.map(lambda value: orjson.dumps({"favourite": value}).decode()) | st.just("{}"),
    ),
    max_size=12,
)
WORDS = [
    "Lantern Coffee: hello",
    "Hello {{ first_name or 'friend' }} {{ last_name }}, " + "x" * 100,
    "{{ city }}: {{ favourite or 'latte' }}… for {{ first_name }}",
    "你好{{ first_name }}，" + "好" * 60,
]


def brief_of(who: Member, asks: dict[str, int]) -> Brief:
    """A person as the planner's query reads them."""
    kind = f"{who.country}|{who.zone}|{who.language}|{who.line_type}|{who.network}"
    fields = (who.first_name if asks["first_name"] else None, who.last_name if asks["last_name"] else None,
              who.city if asks["city"] else None, who.attributes if asks["attributes"] else None)  # fmt: skip
    reached = None if who.reached is None else who.reached.hex()
    return who.id, kind, who.address, who.stopped_at, who.joined_at, reached, *fields


def plainly(casting: Casting, page: list[Member], now: int, until: int) -> dict[int, object]:
    """What becomes of each person of a page, decided about one by one."""
    found: dict[int, object] = {}
    for who in page:
        verdict = casting.decide(who, now)
        if isinstance(verdict, str):
            found[who.id] = verdict
        elif verdict.due >= until:
            found[who.id] = HOURS
        else:
            words = casting.words(verdict, {})
            found[who.id] = (verdict.sender.key, verdict.price, verdict.due, who.zone, who.address, *words)
    return found


def at_once(casting: Casting, page: list[Member], now: int, until: int) -> dict[int, object]:
    """The same, decided about at once."""
    crowds, refused = casting.cast([brief_of(who, casting.asks) for who in page], now, until)
    found: dict[int, object] = dict(refused)
    assert len(found) == len(refused)
    for crowd in crowds:
        sample = crowd.sample
        for person, address, text, parts in zip(
            crowd.people, crowd.addresses, crowd.texts, crowd.parts, strict=True
        ):  # fmt: skip
            assert person not in found
            found[person] = (
                sample.sender.key, sample.price, sample.due, sample.member.zone, address, text, parts,
            )  # fmt: skip
    return found


@pytest.mark.parametrize("rules", [{}, RULES, {"china": RULES["china"], "rest": RULES["rest"]}], ids=len)
@pytest.mark.parametrize("timezone", [None, "subscriber"])
async def test_a_page_at_once_is_each_of_its_people_one_by_one(
    apply: Apply, shipped_config: Config, rules: dict[str, dict[str, object]], timezone: str | None
) -> None:
    business = await apply(routed(shipped_config, rules))
    now = business.clock.now_ms()

    @settings(deadline=None, max_examples=40)
    @given(PEOPLE, st.sampled_from(WORDS), st.booleans(), st.integers(1, 30))
    def holds(people: list[dict[str, Any]], words: str, straighten: bool, hours: int) -> None:
        changes: dict[str, object] = {"text": LocalText.parse(words), "coupon": None, "straighten": straighten}
        changes |= {"senders": ()} if rules else {}
        casting = Casting(business, at(business, timezone).model_copy(update=changes) if timezone else
                          changed(business, **changes))  # fmt: skip
        page = [
            member(id=number, reached=b"".join((now - ago * HOUR).to_bytes(8, "little") for ago in before[::-1]), **one)
            for number, one in enumerate(people)
            for before in [one.pop("reached_before")]
        ]
        until = (SPRING_DAY if timezone else now) + (hours - 15) * HOUR

        assert at_once(casting, page, now, until) == plainly(casting, page, now, until)

    holds()


async def test_a_page_whose_numbers_nobody_has_looked_at_is_looked_at_as_its_people_are(
    apply: Apply, shipped_config: Config
) -> None:
    business = await apply(routed(shipped_config, RULES))
    casting = Casting(business, changed(business, senders=()))
    page = [member(id=1, **CHINA), member(id=2, line_type="mobile", network="A|B", **CHINA), member(id=3)]

    seen, new = casting.looked_up([brief_of(who, casting.asks) for who in page])

    in_turn, found = casting.looked_at(page)
    assert ([each[1] for each in seen], new) == ([brief_of(who, casting.asks)[1] for who in in_turn], found)


def test_the_planner_reads_only_what_some_text_asks_for(business: Business) -> None:
    def asked(**words: str) -> set[str]:
        return {
            field for field, asked in Casting(business, changed(business, text=LocalText(words))).asks.items() if asked
        }

    assert asked(en="Hello") == set()
    assert asked(en="Hello", zh="{{ city }}{{ first_name or '朋友' }}") == {"city", "first_name"}
    assert asked(en="Your {{ favourite }}, {{ last_name }}") == {"attributes", "last_name"}
