import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import carrier, timezone

from gateway import numbers
from gateway.errors import CarillonError


def by_the_library_alone(text: str, country: str) -> tuple[str, str | None, tuple[str, ...]] | None:
    """E.164, country and zones as phonenumbers has them, or None for no valid number."""
    try:
        parsed = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return e164, phonenumbers.region_code_for_number(parsed), tuple(timezone.time_zones_for_number(parsed))


@st.composite
def number_like(draw: st.DrawFn) -> tuple[str, str]:
    """A text near a real number of some country, with plus, trunk prefix or neither; and a country."""
    country = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
    kind = draw(st.sampled_from(["MOBILE", "FIXED_LINE", "TOLL_FREE", "PERSONAL_NUMBER", "PREMIUM_RATE"]))
    model = phonenumbers.example_number_for_type(country, getattr(phonenumbers.PhoneNumberType, kind))
    national = str(model.national_number) if model else "2065550142"
    kept = draw(st.integers(0, len(national)))
    national = national[:kept] + draw(
        st.text("0123456789", min_size=len(national) - kept, max_size=len(national) - kept + 1)
    )
    start = draw(st.sampled_from([f"+{phonenumbers.country_code_for_region(country)}", "", "0", "1"]))
    return start + national, draw(st.sampled_from([country, "US", "CN"]))


@given(number_like())
@example(("+12065550142", "US"))
@example(("+14165550142", "CA"))
@example(("4165550142", "CA"))
@example(("+18765550142", "US"))
@example(("+8613800138000", "CN"))
@example(("+79123456789", "US"))
@example(("+18005550142", "US"))
@example(("+5491123456789", "AR"))
def test_every_number_is_read_as_the_whole_library_reads_it(case: tuple[str, str]) -> None:
    text, country = case
    expected = by_the_library_alone(text, country)
    if expected is None and text.startswith("00"):
        expected = by_the_library_alone("+" + text[2:], country)

    try:
        number = numbers.parse(text, country)
    except numbers.BadNumber:
        assert expected is None
        return

    assert expected is not None
    assert (number.e164, number.country) == expected[:2]
    assert number.zone in number.zones
    assert set(number.zones) <= set(expected[2])
    assert numbers.parse(number.e164, "ZA") == number


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("+12065550142", "US"),
        ("+1 206 555 0142", "CN"),
        ("(206) 555-0142", "US"),
        ("206.555.0142", "US"),
        ("1-206-555-0142", "US"),
        ("＋１２０６５５５０１４２", "CN"),
        ("001 206 555 0142", "CN"),
        ("0011 1 206 555 0142", "AU"),
        ("'+12065550142", "US"),
        ("2065550142.0", "US"),
        ("\u202a+1 (206) 555\u20110142\u202c", "US"),
        ("tel:+1-206-555-0142", "US"),
    ],
)
def test_one_phone_written_in_many_ways_is_one_number(text: str, country: str) -> None:
    assert numbers.parse(text, country) == numbers.Number(
        "+12065550142", "US", "America/Los_Angeles", ("America/Los_Angeles",)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("1.38E+10", "a spreadsheet shortened it"),
        ("1,38e+10", "a spreadsheet shortened it"),
        ("ask at the till", "not a phone number"),
        ("555-0142", "lacks the area code"),
        ("206 555 014", "too short"),
        ("206 555 01422", "too long"),
        ("+1 555 123 4567", "not in use"),
        ("+999 123 456", "country code that no country has"),
        ("206 555 0142 / 206 555 0143", "more than one number"),
        ("206 555 0142 or 206 555 0143", "more than one number"),
        ("206 555 0142 ext 5", "extension"),
        ("1-800-FLOWERS", "letters"),
        ("8613800138000", "if it is +86 13800138000, write the plus"),
    ],
)
def test_what_is_no_number_is_refused_with_the_reason_and_the_cure(text: str, words: str) -> None:
    with pytest.raises(numbers.BadNumber, match=words.replace("+", r"\+")) as refused:
        numbers.parse(text, "US")

    assert isinstance(refused.value, CarillonError)
    assert refused.value.reason == str(refused.value)


def test_digits_that_are_a_number_elsewhere_are_never_guessed_to_be_it() -> None:
    # 206 555 01425 with its one slip would be a phone in Egypt (+20).
    with pytest.raises(numbers.BadNumber):
        numbers.parse("20655501425", "US")


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_a_reason_with_its_cure(text: str) -> None:
    try:
        outcome = numbers.parse(text, "US").e164
    except numbers.BadNumber as bad:
        outcome = bad.reason

    assert numbers.SHAPE.fullmatch(outcome) or ":" in outcome


def test_a_number_that_may_be_anywhere_in_its_country_has_all_its_zones_and_no_neighbours() -> None:
    toll_free = numbers.parse("+18005550142", "US")
    russian = numbers.parse("+79123456789", "US")

    assert toll_free.zone == "America/New_York"
    assert {"America/Los_Angeles", "Pacific/Honolulu"} <= set(toll_free.zones)
    assert "America/Toronto" not in toll_free.zones
    assert russian.zone == "Europe/Moscow"
    assert "Asia/Kamchatka" in russian.zones
    assert "Asia/Almaty" not in russian.zones


@pytest.mark.parametrize(
    ("e164", "region"),
    [
        ("+12065550142", "WA"),
        ("+13055550142", "FL"),
        ("+14055550142", "OK"),
        ("+12125550142", "NY"),
        ("+14165550142", "ON"),
        ("+18765550142", ""),  # Jamaica has no states
        ("+18005550142", ""),
        ("+8613764000000", "Shanghai"),
        ("+8613800138000", "Beijing"),
        ("+447400123456", ""),  # a British mobile may be anywhere
        ("+79123456789", ""),
        ("+61206555014", "New South Wales"),
    ],
)
def test_the_region_is_the_state_or_province_where_the_digits_tell(e164: str, region: str) -> None:
    assert numbers.region_of(e164) == region
    assert numbers.parse(e164, "US").region == region


def test_every_american_and_canadian_area_code_has_a_state_of_two_letters_but_those_that_provinces_share() -> None:
    samples = [phonenumbers.parse(f"+1{area}5550142") for area in range(200, 1000)]
    at_home = [
        f"+1{sample.national_number}"
        for sample in samples
        if phonenumbers.region_code_for_number(sample) in {"US", "CA"}
        and phonenumbers.number_type(sample) == phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
    ]

    regions = {e164[:5]: numbers.region_of(e164) for e164 in at_home}

    assert {area for area, region in regions.items() if not region} == {"+1782", "+1867", "+1902"}
    assert {len(region) for region in regions.values()} == {0, 2}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("+12065550142", "+1206***0142"),
        ("+8613800138000", "+8613***8000"),
        ("+6834000", "+***4000"),
        ("20655", "20655"),
        ("10690555", "10690555"),
        ("Lantern", "Lantern"),
    ],
)
def test_logs_show_no_whole_number(address: str, shown: str) -> None:
    assert numbers.mask(address) == shown


@given(st.from_regex(numbers.SHAPE, fullmatch=True))
def test_a_mask_hides_three_digits_of_any_number(e164: str) -> None:
    assert len(numbers.mask(e164).replace("***", "")) <= len(e164) - 3


@pytest.mark.parametrize("address", ["20655", "611", "10690555", "1069055512345678", "+20655"])
def test_service_numbers_are_short_codes(address: str) -> None:
    assert numbers.is_short_code(address)


@pytest.mark.parametrize("address", ["+12065550142", "12065550142", "+8613800138000", "Lantern", "", "+6834000"])
def test_phones_and_names_are_no_short_codes(address: str) -> None:
    assert not numbers.is_short_code(address)


def test_a_sender_with_a_letter_is_a_name() -> None:
    assert [
        numbers.is_alphanumeric(address) for address in ("Lantern", "7-Eleven", "灯笼", "+12065550142", "20655")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]


@given(number_like())
@example(("+12065550142", "US"))
@example(("+18005550100", "US"))
@example(("+8613812345678", "CN"))
@example(("+861059000000", "CN"))
def test_kind_and_network_of_a_number_are_those_that_the_library_tells(near: tuple[str, str]) -> None:
    try:
        number = numbers.parse(*near)
    except numbers.BadNumber:
        return
    parsed = phonenumbers.parse(number.e164, None)
    kind = phonenumbers.PhoneNumberType.to_string(phonenumbers.number_type(parsed))
    words = {
        "FIXED_LINE": "landline", "FIXED_LINE_OR_MOBILE": "mobile or landline", "PREMIUM_RATE": "premium",
        "PERSONAL_NUMBER": "personal", "UAN": "company",
    }  # fmt: skip
    expected = words.get(kind, kind.lower().replace("_", " ")), carrier.name_for_number(parsed, "en")
    assert numbers.line_of(number.e164) == expected


@pytest.mark.parametrize(
    ("number", "area"),
    [
        ("+12065550142", "+1206"),
        ("+861059000000", "+8610"),
        ("+8613812345678", ""),  # mobile numbers of China tell no area
        ("+18005550100", ""),
        ("20655", ""),
        ("Lantern", ""),
    ],
)
def test_the_area_of_a_number_is_its_area_code(number: str, area: str) -> None:
    assert numbers.area_of(number) == area


@pytest.mark.parametrize(
    ("number", "country"),
    [("+12065550142", "US"), ("+14165550142", "CA"), ("+8613812345678", "CN"), ("+447700900123", "GB"), ("+9990", "")],
)
def test_the_country_for_figures_is_told_by_the_first_digits(number: str, country: str) -> None:
    assert numbers.country_at_once(number) == country
    assert numbers.country_at_once(number[:7] + "0000000") == country  # as first met


def test_how_numbers_of_a_country_begin_and_which_networks_there_are() -> None:
    assert (numbers.calling_code("US"), numbers.calling_code("CN"), numbers.calling_code("XX")) == ("+1", "+86", "")
    assert {"China Mobile", "Optus"} <= numbers.networks()
