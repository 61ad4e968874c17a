"""config.yaml says what a marketer means, and every mistake in it is told at its place."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from campaigns.settings import APPLY, LEAST_RETENTION, Config
from gateway.config import ConfigErrors, Loaded, Mistake, load
from gateway.journal import REF_MS
from gateway.values import Calendar, Frequency, HostPort, Hours, Money, Rate

SHIPPED = Path(__file__).parents[2] / "config.yaml"

SMALL = """\
brand: {name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en, zh], currency: USD}
channels:
  us_sms: {kind: smpp, carrier: simulator, price: 0.0079 USD per part}
senders:
  seattle: {number: 20655, channel: us_sms, countries: [US], stop_words: [R]}
programs:
  club: {name: Club, consent: Offers by text}
attributes:
  tier: [gold, silver]
places:
  pike: {name: Pike, at: [47.6, -122.3], till_pin: 8642}
segments:
  gold: {tier: gold}
coupons:
  latte: {offer: Two for one, codes: 10, valid: 14 d}
campaigns:
  spring: {program: club, audience: {segment: gold}, senders: [seattle], coupon: latte, text: "Hi {{ coupon.link }}"}
contests:
  cup: {kind: vote, question: Which?, options: {1: The fox, 2: The owl}, open: {for: 30 d}}
keywords:
  VOTE: {vote: cup}
"""


def standing(mistake: Mistake) -> str:
    """The rest of the line from where a mistake points to."""
    return Path(mistake.file).read_text("utf-8").splitlines()[mistake.line - 1][mistake.column - 1 :]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Loaded[Config]]:
    """Reads the small config with some words in it changed."""

    def read(*changes: tuple[str, str], **environ: str) -> Loaded[Config]:
        text = SMALL.replace("question: Which?", 'question: "Which?"')
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, Config, environ)

    return read


@pytest.fixture
def mistakes(read: Callable[..., Loaded[Config]]) -> Callable[..., list[tuple[str, str]]]:
    """The mistakes of the small config with some words in it changed: what stands at the place, and what is told."""

    def mistakes(*changes: tuple[str, str]) -> list[tuple[str, str]]:
        with pytest.raises(ConfigErrors) as caught:
            read(*changes)
        return [(standing(one), one.text) for one in caught.value.mistakes]

    return mistakes


def test_the_shipped_file_has_no_mistakes_and_no_warnings() -> None:
    loaded = load(SHIPPED, Config, {})
    assert loaded.warnings == ()
    assert loaded.value.is_simulated


def test_the_shipped_file_says_what_the_demo_needs() -> None:
    config = load(SHIPPED, Config, {}).value
    spring, cup = config.campaigns["spring"], config.contests["cup"]
    assert (spring.key, spring.program, spring.audience.segment, spring.audience.except_) == (
        "spring", "lantern_club", "spring_crowd", "gone_quiet",
    )  # fmt: skip
    assert (spring.send.at, spring.send.rate, spring.send.within) == (APPLY, Rate(50), timedelta(hours=6))
    assert spring.budget == Money(40_000_000, "USD")
    assert list(cup.options) == ["1", "2", "3"]
    assert (cup.open.from_, cup.open.for_, cup.votes) == (APPLY, timedelta(days=30), Frequency(1, Calendar.DAY))
    assert config.programs["lantern_club"].hours == Hours(540, 1200)
    assert config.senders["shanghai"].begin == "【灯笼咖啡】"
    assert config.places["pike_place"].till_pin == "2468"
    assert (config.simulator.clock, config.listen.private) == (time(18, 30), HostPort("127.0.0.1", 8081))


def test_what_is_left_out_has_its_default(read: Callable[..., Loaded[Config]]) -> None:
    config = read().value
    assert config.store == "sqlite:data/carillon.db"
    assert config.listen.smsc == HostPort("127.0.0.1", 2775)
    assert config.simulator.people == "quiet"
    assert config.campaigns["spring"].send.at == APPLY
    assert config.contests["cup"].votes == Frequency(1, None)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("hold_out: 10%", '"hold_out" is not known yet: hold-out groups come with experiments'),
        ("goal: {redeemed: latte}", '"goal" is not known yet: goals come with experiments'),
        ("then: []", '"then" is not known yet: follow-ups come later'),
        ("variants: {}", '"variants" is not known yet: variants come with experiments; for one text say text:'),
        ("channels: [push]", '"channels" is not known yet: push comes later'),
    ],
)
def test_what_comes_later_is_refused_and_not_ignored(
    mistakes: Callable[..., list[tuple[str, str]]], setting: str, sentence: str
) -> None:
    ((there, text),) = mistakes(("{program: club, audience", f"{{{setting}, program: club, audience"))
    assert there.startswith(setting)
    assert text.startswith(sentence)


@pytest.mark.parametrize(
    ("old", "new", "at", "complaint"),
    [
        ("segment: gold", "segment: glod", "glod", 'no segment "glod"; did you mean gold (line 13)?'),
        ("program: club,", "program: clubb,", "clubb", 'no program "clubb"; did you mean club (line 7)?'),
        ("senders: [seattle]", "senders: [seatle]", "seatle", 'no sender "seatle"; did you mean seattle (line 5)?'),
        ("channel: us_sms", "channel: us_smss", "us_smss", 'no channel "us_smss"; did you mean us_sms (line 3)?'),
        ("coupon: latte", "coupon: mocha", "mocha", 'no coupon "mocha"; there are latte'),
        ("vote: cup", "vote: cupp", "cupp", 'no contest "cupp"; did you mean cup (line 19)?'),
        ("valid: 14 d", "valid: 14 d, places: [pikee]", "pikee", 'no place "pikee"; did you mean pike (line 11)?'),
        ("tier: gold", "tier: glod", "glod", 'no tier "glod"; did you mean gold?'),
        ("senders: [seattle]", "senders: []", "[],", "found an empty list, expected at least 1"),
        (
            "till_pin: 8642",
            "till_pin: 86",
            "86}",
            'found "86"; What staff sign in with at the till: 4 to 8 digits, for example 2468',
        ),
        (
            "[47.6, -122.3]",
            "[-122.3, 47.6]",
            "[-122.3",
            "[-122.3, 47.6] is nowhere on earth; is it swapped? [47.6, -122.3]",
        ),
        ("[47.6, -122.3]", "here", "here", 'found "here", expected [latitude, longitude] such as [47.6097, -122.3425]'),
        ("[47.6, -122.3]", "[47.6, west]", "west", 'found "west", expected a number'),
        ("1: The fox", "END: The fox", "END:", '"END" always means STOP; choose another word'),
        ("1: The fox", "r: The fox", "r: The", '"r" is a stop word of the sender seattle; choose another word'),
        ("The fox", "Yes", "Yes,", '"Yes" always means YES; choose another word'),
        ("The fox", "the OWL", "The owl", '"The owl" is already a word of option 1 (line 19)'),
        ("VOTE: {", "stopp: {", "stopp:", '"stopp" always means STOP; choose another word'),
        ("{vote: cup}", "{vote: cup, also: [Ｈelp]}", "Ｈelp", '"Ｈelp" always means HELP; choose another word'),
        (
            "{vote: cup}",
            "{vote: cup, also: [votes, VOTES]}",
            "VOTES]",
            '"VOTES" is already a word of the keyword VOTE (line 21)',
        ),
        ("{vote: cup}", "{vote: cup, also: [1]}", "1]", '"1" is an answer in the contest cup; choose another word'),
        ("{vote: cup}", "{vote: cup, also: [my vote]}", "my vote", 'found "my vote", expected one word'),
        ("{vote: cup}", "{}", "{}", "does nothing; expected join, give, vote, redeem or say"),
        (
            "{vote: cup}",
            "{vote: cup, give: latte}",
            "{vote: cup, give",
            "does too much; expected only one of: join and give, vote, redeem, say",
        ),
        ("Hi {{ coupon.link }}", "Hi {{ name }}", '"Hi', 'no field "name"; '),
        ("Hi {{ coupon.link }}", "Hi {{ frist_name }}", '"Hi', 'no field "frist_name"; did you mean first_name?'),
        ("Hi {{ coupon.link }}", "{{ coupon.link | upper }}", '"{{', "{{ coupon.link | upper }}: only {{ field }} or"),
        ("coupon: latte, ", "", '"Hi', 'no field "coupon.link"; '),
        ("offer: Two for one", 'offer: "{{ tier }}"', '"{{ tier', 'no field "tier"; there are none'),
        (
            "segment: gold",
            "segment: gold, except: gold",
            "gold},",
            "leaves out the whole segment; nobody would be left",
        ),
        ("coupon: latte,", "coupon: latte, budget: 40 EUR,", "40 EUR", "found EUR, expected USD"),
        (
            "coupon: latte,",
            "coupon: latte, send: {timezone: subscriber},",
            "subscriber",
            "says nothing with at: apply; ",
        ),
        (
            "coupon: latte,",
            "coupon: latte, was: spring,",
            "spring,",
            "spring still stands here; was names a key that is gone",
        ),
        ("0.0079 USD", "0.0079 CNY", "0.0079", "found CNY, expected USD as brand.currency says"),
        ("{for: 30 d}", "{}", "{}", "expected one end: for (such as 30 d) or until (such as 2027-03-21)"),
        ("{for: 30 d}", "{from: 2027-03-02, until: 2027-03-01}", "{from", "it ends before it begins"),
        ("gold: {tier", "Straße: {tier", "Straße", 'found "Straße", expected a name of letters, digits, _ and -'),
        ("languages: [en, zh]", "languages: [English]", "English", 'found "English"; The languages we write;'),
        (
            "country: US",
            "country: USA",
            "USA",
            'found "USA", expected a country\'s two capital letters such as US or CN',
        ),
        (
            "carrier: simulator",
            "carrier: simulater",
            "simulater",
            'found "simulater", expected simulator, or a host and a port',
        ),
    ],
)
def test_a_mistake_is_told_at_its_place_with_the_right_word(
    mistakes: Callable[..., list[tuple[str, str]]], old: str, new: str, at: str, complaint: str
) -> None:
    found = mistakes((old, new))
    assert any(there.startswith(at) and text.startswith(complaint) for there, text in found), found


def test_a_field_may_be_a_declared_attribute(read: Callable[..., Loaded[Config]]) -> None:
    loaded = read(("Hi {{", "Hi {{ tier or 'friend' }} {{ first_name }} {{"))
    assert loaded.warnings == ()


def test_a_text_in_one_language_only_is_a_warning(read: Callable[..., Loaded[Config]]) -> None:
    (warning,) = read(("offer: Two for one", "offer: {en: Two for one}")).warnings
    assert standing(warning).startswith("{en: Two for one}")
    assert warning.text == "no text for readers of zh; they would get en"


def test_a_language_that_the_brand_does_not_speak_is_told(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("offer: Two for one", "offer: {en: Two, fr: Deux}"))
    ((there, text),) = [one for one in found if "fr" in one[1]]
    assert there.startswith("fr: Deux")
    assert text.startswith('found the language "fr", expected one of brand.languages (en, zh); put quotes around')


def test_what_nothing_uses_is_a_warning(read: Callable[..., Loaded[Config]]) -> None:
    loaded = read(
        ("  gold: {tier: gold}", "  gold: {tier: gold}\n  silver: {tier: silver}"),
        ("  latte: {offer", "  mocha: {offer: Mocha, codes: 1, valid: 1 d}\n  latte: {offer"),
        ("  VOTE: {vote: cup}", "  HOURS: {say: 7am}"),
    )
    assert [one.text.partition(";")[0] for one in loaded.warnings] == [
        "nothing uses the segment silver",
        "nothing uses the coupon mocha",
        "nothing uses the contest cup",
    ]


def test_segments_that_go_round_in_a_circle_are_told_once(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("  gold: {tier: gold}", "  gold: {any: [a, {tier: gold}]}\n  a: {not: b}\n  b: {all: [a]}"))
    ((there, text),) = found
    assert there.startswith("a: {not")
    assert text == "goes round in a circle: a -> b -> a"


def test_two_senders_for_one_country_are_warned_of(read: Callable[..., Loaded[Config]]) -> None:
    loaded = read(
        ("programs:", "  second: {number: 20656, channel: us_sms, countries: [CA, US]}\nprograms:"),
        ("senders: [seattle]", "senders: [seattle, second]"),
    )
    (warning,) = loaded.warnings
    assert standing(warning).startswith("second]")
    assert warning.text == "an earlier sender serves US already; this one serves nobody there"


def test_one_number_cannot_be_two_senders(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("programs:", "  second: {number: 20655, channel: us_sms, countries: [CA]}\nprograms:"))
    ((there, text),) = found
    assert there.startswith("20655, channel: us_sms, countries: [CA]")
    assert text == "the number 20655 is taken already by senders.seattle (line 5)"


def test_one_pin_cannot_be_of_two_places(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("segments:", "  hall: {name: Hall, at: [47.6, -122.3], till_pin: 8642}\nsegments:"))
    ((there, text),) = found
    assert there.startswith("8642}")
    assert text == "the PIN 8642 is taken already by places.pike (line 11)"


def test_one_port_cannot_be_opened_twice(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("keywords:", "listen: {public: 0.0.0.0:8080, private: 127.0.0.1:8080}\nkeywords:"))
    ((there, text),) = found
    assert there.startswith("127.0.0.1:8080")
    assert text == "the port 8080 is taken already by listen.public (line 20)"


def test_a_board_that_the_network_can_reach_is_warned_of(read: Callable[..., Loaded[Config]]) -> None:
    (warning,) = read(("keywords:", "listen: {private: 0.0.0.0:8081}\nkeywords:")).warnings
    assert "the whole network can reach the board" in warning.text


def test_a_tester_who_has_no_number_is_told(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    ((there, text),) = mistakes(("currency: USD", "currency: USD, testers: [+1 206 555 01]"))
    assert there.startswith("+1 206 555 01]")
    assert "digit" in text


def test_a_till_without_any_pin_is_told(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes((", till_pin: 8642", ""), ("keywords:", "pages: {till: {redeem: [latte]}}\nkeywords:"))
    ((there, text),) = found
    assert there.startswith("[latte]")
    assert text == "nobody could sign in; give a place its till_pin"


@pytest.mark.parametrize("page", ["{}", "{vote: cup, results: cup}", "{give: latte, redeem: [latte]}"])
def test_a_page_is_one_page(mistakes: Callable[..., list[tuple[str, str]]], page: str) -> None:
    found = mistakes(("keywords:", f"pages: {{door: {page}}}\nkeywords:"))
    ((there, text),) = found
    assert there.startswith(page)
    assert text == "expected exactly one of vote, results, give and redeem"


def test_a_page_joins_only_what_it_gives(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("keywords:", "pages: {door: {vote: cup, join: club}}\nkeywords:"))
    ((there, text),) = found
    assert there.startswith("{vote")
    assert text == "join stands with give only"


def test_a_programme_does_not_text_through_the_night(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("consent: Offers by text", "consent: Offers by text, hours: 20:00-8:00"))
    ((there, text),) = found
    assert there.startswith("20:00-8:00")
    assert text == "found 20:00-8:00, which goes through the night; expected hours such as 9:00-20:00"


def test_texts_are_kept_for_as_long_as_their_receipts_are_awaited(
    mistakes: Callable[..., list[tuple[str, str]]], read: Callable[..., Loaded[Config]]
) -> None:
    assert timedelta(milliseconds=REF_MS) < LEAST_RETENTION
    assert read(("keywords:", "retention: 9 d\nkeywords:")).value.retention == LEAST_RETENTION
    ((there, text),) = mistakes(("keywords:", "retention: 36 h\nkeywords:"))
    assert there.startswith("36 h")
    assert text == "found 36 h, expected 9 d or more, since carriers' receipts are awaited for eight days"


def test_a_position_in_the_wrong_order_is_asked_about(read: Callable[..., Loaded[Config]]) -> None:
    (warning,) = read(("[47.6, -122.3]", "[13.40, 52.52], timezone: Europe/Berlin")).warnings
    assert warning.text == "far from Europe/Berlin; is it swapped? [52.52, 13.4] would be near"


def test_a_position_from_a_chinese_map_is_brought_home_once(read: Callable[..., Loaded[Config]]) -> None:
    loaded = read(("[47.6, -122.3]", "[31.175304, 121.531542], map: gcj02, timezone: Asia/Shanghai"))
    place = loaded.value.places["pike"]
    assert place.at == pytest.approx((31.1774276, 121.5272106), abs=1e-5)
    assert place.map == "wgs84"


def test_a_real_carrier_needs_a_password(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    found = mistakes(("carrier: simulator", "carrier: smpp.example.net:2776"))
    ((there, text),) = found
    assert there.startswith("smpp.example")
    assert text == "a real carrier wants a password; add password_file"


def test_a_real_channel_bears_neither_a_moved_clock_nor_the_pins_that_we_ship(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret")
    environ = {"US_CARRIER": "smpp.example.net:2776", "US_PASSWORD_FILE": str(secret)}
    with pytest.raises(ConfigErrors) as caught:
        load(SHIPPED, Config, environ)
    assert [one.text.partition(";")[0] for one in caught.value.mistakes] == [
        "the PIN 2468 came with Carillon and everybody knows it",
        "the PIN 1357 came with Carillon and everybody knows it",
        "a channel is real, so the clock must be too",
    ]


def test_a_day_that_ends_a_contest_is_included(read: Callable[..., Loaded[Config]]) -> None:
    contest = read(("{for: 30 d}", "{from: 2027-03-01, until: 2027-03-21}")).value.contests["cup"]
    assert contest.open.until == datetime(2027, 3, 22)  # noqa: DTZ001  the brand's zone holds
    assert contest.open.from_ == datetime(2027, 3, 1)  # noqa: DTZ001


NOW = datetime(2027, 3, 20, 12, tzinfo=UTC)


def test_a_past_date_is_told_on_the_brands_clock(read: Callable[..., Loaded[Config]]) -> None:
    loaded = read(
        ("coupon: latte,", "coupon: latte, send: {at: 2027-03-20 04:59},"),
        ("{for: 30 d}", "{from: 2027-03-01, until: 2027-03-19}"),
    )
    found = [loaded.mistake(finding) for finding in loaded.value.past(NOW)]
    assert [(standing(one)[:10], one.text) for one in found] == [
        ("2027-03-20", "2027-03-20 04:59 is past; it is 2027-03-20 05:00"),
        ("2027-03-19", "2027-03-20 00:00 is past; it is 2027-03-20 05:00"),
    ]


def test_a_date_that_is_to_come_or_was_kept_is_no_mistake(read: Callable[..., Loaded[Config]]) -> None:
    loaded = read(
        ("coupon: latte,", "coupon: latte, send: {at: 2027-03-20 05:01},"),
        ("{for: 30 d}", "{from: 2027-03-01, until: 2027-03-19}"),
    )
    assert list(loaded.value.past(NOW, launched={"cup"})) == []


@pytest.mark.parametrize("attributes", ["latte", "{tier: [{gold: silver}]}", "[tier]", "{tier: gold}"])
def test_attributes_that_make_no_sense_are_told_and_not_stumbled_over(
    mistakes: Callable[..., list[tuple[str, str]]], attributes: str
) -> None:
    assert mistakes(("attributes:\n  tier: [gold, silver]", f"attributes: {attributes}"))


# --- routes and pools

POOL = "{numbers: [+12065550100, +12125550100], channel: us_sms, countries: [US]}"


def routed(*rules: str) -> tuple[str, str]:
    """A change of the small config that adds rules."""
    return "programs:", "routes:\n" + "".join(f"  {rule}\n" for rule in rules) + "programs:"


def test_routes_are_read_in_the_order_of_the_file(read: Callable[..., Loaded[Config]]) -> None:
    config = read(routed("b: {prefix: +1206, senders: [seattle]}", "a: {senders: [seattle], order: cost}")).value
    assert [(rule.key, rule.prefix, rule.order) for rule in config.routes.values()] == [
        ("b", ("+1206",), "listed"), ("a", (), "cost"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "there", "text"),
    [
        ("a: {senders: [seatle]}", "seatle", 'no sender "seatle"; did you mean seattle (line 5)?'),
        ("a: {campaign: sping, senders: [seattle]}", "sping", 'no campaign "sping"; did you mean spring (line 19)?'),
        ("a: {type: mobil, senders: [seattle]}", "mobil", "did you mean mobile?"),
        ("a: {order: price, senders: [seattle]}", "price", 'found "price", expected listed, cost or quality'),
        ("a: {lane: reply, senders: [seattle]}", "reply", "did you mean replies?"),
        ("a: {country: us, senders: [seattle]}", "us,", "expected a country's two capital letters"),
        ("a: {country: CN, prefix: +86, senders: [seattle]}", "seattle]", "seattle serves US, and this rule is for CN"),
        ("a: {country: US, prefix: +86, senders: [seattle]}", "+86", "numbers of US begin with +1"),
        ("a: {network: China Mobil, senders: [seattle]}", "China Mobil", "did you mean China Mobile?"),
        ("a: {contry: US, senders: [seattle]}", "contry", 'no setting "contry" in routes.a; did you mean country?'),
        ("a: {country: US}", "a: {country", "senders is missing"),
    ],
)
def test_a_slip_in_a_rule_is_told_at_its_place(
    mistakes: Callable[..., list[tuple[str, str]]], rule: str, there: str, text: str
) -> None:
    ((found, told),) = mistakes(routed(rule))
    assert found.startswith(there)
    assert text in told


def test_a_campaign_may_leave_its_senders_to_the_routes(
    read: Callable[..., Loaded[Config]], mistakes: Callable[..., list[tuple[str, str]]]
) -> None:
    without = ("senders: [seattle], coupon", "coupon")
    assert read(without, routed("a: {senders: [seattle]}")).value.campaigns["spring"].senders == ()
    for rules in ((), (routed("a: {senders: [seattle], lane: replies}"),)):
        ((there, told),) = mistakes(without, *rules)
        assert there.startswith("spring:")
        assert told == "senders is missing, and no rule of routes: is for it; name those that it is sent from"


def test_with_routes_several_senders_for_one_country_are_no_slip(read: Callable[..., Loaded[Config]]) -> None:
    loaded = read(
        routed("a: {senders: [seattle, second], order: quality}"),
        ("routes:", "  second: {number: 20656, channel: us_sms, countries: [US]}\nroutes:"),
        ("senders: [seattle], coupon", "senders: [seattle, second], coupon"),
    )
    assert loaded.warnings == ()


def test_every_number_of_a_pool_is_its_own(mistakes: Callable[..., list[tuple[str, str]]]) -> None:
    two = f"  one: {POOL}\n  two: {POOL.replace('+12065550100', '+14155550100')}\nprograms:"
    ((there, told),) = mistakes(("programs:", two))
    assert there.startswith("+12125550100]")
    assert told == "the number +12125550100 is taken already by senders.one (line 6)"


@pytest.mark.parametrize(
    ("sender", "there", "text"),
    [
        ("{channel: us_sms, countries: [US]}", "one:", "number is missing; the short code"),
        ("{number: 20656, numbers: [20657], channel: us_sms, countries: [US]}", "numbers:", "found both number and"),
        ("{numbers: [20656, 'x/y'], channel: us_sms, countries: [US]}", "'x/y'", 'found "x/y"'),
        (
            "{number: 20656, channel: us_sms, countries: [US], fallback: [seattle]}",
            "seattle]",
            "goes through us_sms too",
        ),
        ("{number: 20656, channel: us_sms, countries: [US], fallback: [seatle]}", "seatle]", "did you mean seattle"),
        ("{number: 20656, channel: us_sms, countries: [US], rate: 5}", "5}", "expected a rate such as 50/s"),
    ],
)
def test_a_slip_in_a_sender_is_told_at_its_place(
    mistakes: Callable[..., list[tuple[str, str]]], sender: str, there: str, text: str
) -> None:
    ((found, told),) = mistakes(("programs:", f"  one: {sender}\nprograms:"))
    assert found.startswith(there)
    assert text in told


def test_bulk_is_left_in_doubt_and_answers_are_sent_again_unless_the_file_says_otherwise(
    read: Callable[..., Loaded[Config]],
) -> None:
    plain = read().value
    assert (plain.campaigns["spring"].when_in_doubt, plain.replies.when_in_doubt) == ("leave", "send again")
    said = read(
        ("coupon: latte, text", "when_in_doubt: send again, straighten: yes, coupon: latte, text"),
        ("programs:", "replies: {when_in_doubt: leave}\nprograms:"),
    ).value
    assert (said.campaigns["spring"].when_in_doubt, said.replies.when_in_doubt) == ("send again", "leave")
    assert said.campaigns["spring"].straighten


def test_a_line_that_anybody_can_read_is_warned_of_but_not_refused(
    read: Callable[..., Loaded[Config]], tmp_path: Path
) -> None:
    (tmp_path / "pw").write_text("secret", "utf-8")
    (tmp_path / "pw").chmod(0o600)
    line = "carrier: smpp.example.net:2775, password_file: pw"
    assert [one.text for one in read(("carrier: simulator", line)).warnings] == [
        "the line to the carrier is not encrypted; tls: yes, if the carrier offers it"
    ]
    assert read(("carrier: simulator", f"{line}, tls: yes")).warnings == ()


def test_a_carrier_that_could_not_reach_our_pages_is_told_of(
    read: Callable[..., Loaded[Config]], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("0" * 32, "utf-8")
    (tmp_path / "token").chmod(0o600)
    twilio = ("kind: smpp, carrier: simulator", f"kind: twilio, account: AC{'0' * 32}, token_file: token")
    assert [one.text for one in read(twilio).warnings] == [
        "the carrier cannot reach http://localhost:8080 to bring receipts and texts; set brand.site"
    ]
    assert read(twilio, ("currency: USD}", 'currency: USD, site: "https://lantern.example"}')).warnings == ()


@pytest.mark.parametrize(
    "line",
    [
        "store: postgresql://carillon:tulip@db.example/carillon",
        "store: ${STORE:-postgresql://carillon:tulip@db.example/carillon}",
        "store: postgresql://carillon:tu${DIGIT}lip@db.example/carillon",
        "store: postgresql://carillon@db.example/carillon?password=tulip",
        "shared: redis://:tulip@cache.example",
        "shared: rediss://carillon:tulip@cache.example",
    ],
)
def test_a_password_in_the_address_of_a_server_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    (told,) = mistakes_of(tmp_path, line, DIGIT="7")
    assert "found a secret in the file, where others read it;" in told
    assert "${NAME}" in told
    assert "tulip" not in told


@pytest.mark.parametrize(
    "line",
    [
        "store: postgresql://carillon@db.example/carillon",
        "store: postgresql://carillon:${PASSWORD}@db.example/carillon",
        "store: ${STORE}",
        "shared: redis://:${PASSWORD}@cache.example",
        "shared: redis://carillon@cache.example",
    ],
)
def test_a_password_from_the_environment_is_taken(tmp_path: Path, line: str) -> None:
    assert mistakes_of(tmp_path, line, PASSWORD="tulip", STORE="postgresql://carillon:tulip@db.example/c") == []


def test_a_store_that_is_misspelled_is_told_without_its_password(tmp_path: Path) -> None:
    told = mistakes_of(tmp_path, "store: postgres://carillon:tulip@db.example/carillon")
    assert "expected sqlite:FILE or postgresql://USER@HOST/DATABASE" in told[0]
    assert "tulip" not in "".join(told)


def mistakes_of(folder: Path, line: str, **environ: str) -> list[str]:
    """What is wrong with a small file that holds this line."""
    path = folder / "config.yaml"
    path.write_text(
        "brand: {name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}\n"
        "channels: {us: {kind: smpp, carrier: simulator, price: 0.01 USD per part}}\n"
        "senders: {seattle: {number: 20655, channel: us, countries: [US]}}\n" + line + "\n",
        "utf-8",
    )
    try:
        load(path, Config, environ)
    except ConfigErrors as errors:
        return [mistake.text for mistake in errors.mistakes]
    return []
