"""Reads a phone number however people write it, and says which country and time zone it belongs to."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Literal, NamedTuple, Protocol, get_args

import phonenumbers
from babel.core import get_global
from phonenumbers import timezone
from phonenumbers.phonenumberutil import is_number_geographical, is_number_type_geographical
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

from gateway.errors import CarillonError

SHAPE = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164, section 6: at most 15 digits after the plus

# Chinese service numbers begin with 106 and have up to 20 digits; a sender of 3-8 bare digits is a short code anywhere.
_SHORT_CODE = re.compile(r"\+?[0-9]{3,6}|[0-9]{7,8}|106[0-9]{5,17}")
_SEPARATORS = str.maketrans("", "", " -.()")
_SPREADSHEET = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]+")
_DECIMAL = re.compile(r"(\+?[0-9]{7,})\.0+")  # a number column that went through a program as a decimal
_VANITY = re.compile(r"[0-9].*[A-Za-z]")  # 1-800-FLOWERS: keys of a telephone, never a subscriber's own number
_SEVERAL = re.compile(r"[0-9]\D*(?:[/;,|、；，]|\bor\b|\band\b)\D*[0-9]")

# Where a number may be in several zones, the one with most people is taken for the best guess.
_MOST_PEOPLE = (
    "America/New_York America/Chicago America/Los_Angeles America/Denver America/Toronto America/Vancouver "
    "America/Edmonton America/Sao_Paulo America/Mexico_City America/Tijuana Europe/Moscow Asia/Yekaterinburg "
    "Asia/Almaty Europe/Madrid Europe/Lisbon Asia/Jakarta Asia/Makassar Australia/Sydney Australia/Brisbane "
    "Australia/Melbourne Australia/Perth Australia/Adelaide Pacific/Auckland Africa/Kinshasa America/Guayaquil "
    "America/Santiago Asia/Ulaanbaatar Pacific/Tahiti America/Godthab"
)
_RANK = {zone: place for place, zone in enumerate(_MOST_PEOPLE.split())}

# ISO 3166-2 codes, each before the name under which the geocoder lists area codes (one with the geocoder's slip).
_STATE_NAMES = (
    "AL Alabama;AK Alaska;AZ Arizona;AR Arkansas;CA California;CO Colorado;CT Connecticut;DE Delaware;"
    "DC Washington D.C.;FL Florida;GA Georgia;HI Hawaii;ID Idaho;IL Illinois;IN Indiana;IA Iowa;KS Kansas;"
    "KY Kentucky;LA Louisiana;ME Maine;MD Maryland;MA Massachusetts;MI Michigan;MN Minnesota;MS Mississippi;"
    "MO Missouri;MT Montana;NE Nebraska;NV Nevada;NH New Hampshire;NJ New Jersey;NM New Mexico;NY New York;"
    "NC North Carolina;ND North Dakota;OH Ohio;OK Oklahoma;OR Oregon;PA Pennsylvania;RI Rhode Island;"
    "SC South Carolina;SD South Dakota;TN Tennessee;TX Texas;UT Utah;VT Vermont;VA Virginia;"
    "WA Washington State;WV West Virginia;WI Wisconsin;WY Wyoming;"
    "AB Alberta;BC British Columbia;BC British Colombia;MB Manitoba;NB New Brunswick;"
    "NL Newfoundland and Labrador;ON Ontario;QC Quebec;SK Saskatchewan"
)
_STATES = {name: code for code, _, name in (pair.partition(" ") for pair in _STATE_NAMES.split(";"))}


class BadNumber(CarillonError):
    """A text that is no phone number we could reach; `reason` says what is wrong with it and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Number:
    """One phone number that may exist.

    `e164` is the one spelling kept everywhere: `+12065550142`. `country` is ISO 3166-1 (`US`). `zone` is the
    best single guess (IANA); `zones` holds all that may apply, so that hours can be kept in the strictest.
    """

    e164: str
    country: str
    zone: str
    zones: tuple[str, ...]

    @property
    def region(self) -> str:
        """The state or province; see `region_of`."""
        return region_of(self.e164)


def parse(text: str, country: str) -> Number:
    """Read one number; `country` (ISO, `US`) says how to read it when it has no plus.

    Spaces, brackets, dashes, full-width digits and a leading 00 are understood. Raises `BadNumber`.
    """
    if not SHAPE.fullmatch(text):
        text = _tidy(text)
    return _at_once(text.translate(_SEPARATORS), country) or _in_full(text, country)


def region_of(e164: str) -> str:
    """The state or province of a number: `WA`, `ON`, `Shanghai`; empty if its digits do not tell.

    American and Canadian ones are two letters (ISO 3166-2), others the English name. The first call loads
    about 100 MB of tables, so only the import asks.
    """
    code, national = _place(e164)
    plan = code.plan(national) if code else None
    if plan is None or not plan.goes_by_area(national):
        parsed = phonenumbers.parse(e164, None)
        if not is_number_geographical(parsed):
            return ""
    return _state(_area_name(e164[1:]), american=e164.startswith("+1"))


LineType = Literal[
    "mobile", "landline", "toll free", "premium", "shared cost", "voip", "personal", "pager", "company", "voicemail"
]
LINE_TYPES: Final[tuple[str, ...]] = get_args(LineType)
EITHER: Final = "mobile or landline"  # where digits do not tell, as in North America
UNKNOWN: Final = "unknown"

_LINE_TYPES: Final = {
    phonenumbers.PhoneNumberType.FIXED_LINE: "landline",
    phonenumbers.PhoneNumberType.MOBILE: "mobile",
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE: EITHER,
    phonenumbers.PhoneNumberType.TOLL_FREE: "toll free",
    phonenumbers.PhoneNumberType.PREMIUM_RATE: "premium",
    phonenumbers.PhoneNumberType.SHARED_COST: "shared cost",
    phonenumbers.PhoneNumberType.VOIP: "voip",
    phonenumbers.PhoneNumberType.PERSONAL_NUMBER: "personal",
    phonenumbers.PhoneNumberType.PAGER: "pager",
    phonenumbers.PhoneNumberType.UAN: "company",
    phonenumbers.PhoneNumberType.VOICEMAIL: "voicemail",
    phonenumbers.PhoneNumberType.UNKNOWN: UNKNOWN,
}
_ON_A_NETWORK: Final = frozenset({"mobile", EITHER, "pager"})


class Line(NamedTuple):
    """What kind of number it is (a `LineType`, or one of EITHER and UNKNOWN), and the network that it was given to.

    The network is the one to which the digits were allotted; who moved to another with their number is not known to
    have done so. It is empty where a country does not publish it.
    """

    type: str
    network: str


def line_of(e164: str) -> Line:
    """The kind and the network of a number. Takes 3-8 µs where one pattern tells, else about 35."""
    kind = _line_type(e164)
    return Line(kind, _network(e164[1:]) if kind in _ON_A_NETWORK else "")


def area_of(e164: str) -> str:
    """A number through its area code: `+1206`; empty where its digits name no area."""
    if not SHAPE.fullmatch(e164):
        return ""
    parsed = phonenumbers.parse(e164, None)
    length = phonenumbers.length_of_geographical_area_code(parsed)
    return e164[: 1 + len(str(parsed.country_code)) + length] if length else ""


def country_at_once(e164: str) -> str:
    """The country of a number that we text, for sums and figures: by its first six digits as first met."""
    country = _countries.get(e164[:7])
    if country is None:
        if len(_countries) >= _MOST_COUNTRIES:
            _countries.clear()
        country = _countries[e164[:7]] = _country_of(e164)
    return country


def _country_of(e164: str) -> str:
    try:
        return parse(e164, "").country
    except BadNumber:  # not in use, yet of some country
        code, _ = _place(e164)
        return phonenumbers.region_code_for_country_code(int(code.digits)) if code else ""


def calling_code(country: str) -> str:
    """How the numbers of a country begin: `+1` for US; empty for what is no country."""
    code = phonenumbers.country_code_for_region(country)
    return f"+{code}" if code else ""


@cache
def networks() -> frozenset[str]:
    """The names of all networks that a number can be known to belong to."""
    return frozenset(name for names in _networks()[0].values() if (name := names.get("en")))


_countries: dict[str, str] = {}
_MOST_COUNTRIES: Final = 100_000


def mask(address: str) -> str:
    """A number as logs may show it: `+1206***0142`. Short codes and names are not secret and stay as they are.

    At least three digits are hidden, however short the number is.
    """
    if is_short_code(address) or is_alphanumeric(address):
        return address
    shown = max(0, min(5, len(address) - 7))
    return f"{address[:shown]}***{address[-4:]}"


def is_short_code(address: str) -> bool:
    """True for a service's own number (`20655`, `10690555`), which no person's phone has."""
    return _SHORT_CODE.fullmatch(address) is not None


def is_alphanumeric(address: str) -> bool:
    """True for a sender that is a name (`Lantern`): nobody can answer it."""
    return any(map(str.isalpha, address))


# The whole library takes 25-35 µs for a number. Nearly all numbers of a subscriber file are mobile ones of a
# country's main plan, for which one of its own patterns decides; that takes 3 µs. The rest goes the long way.


_CODES = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


class _Pattern(Protocol):
    """What a compiled expression is asked here: its bound `fullmatch` or `match`."""

    def __call__(self, string: str, /) -> re.Match[str] | None: ...


class _Plan(NamedTuple):
    """The numbering plan of one country: which digits are a mobile number, which a line in a house."""

    country: str
    mobile: _Pattern
    fixed: _Pattern
    special: _Pattern  # numbers of other kinds, which are looked for before these two
    every_mobile_by_area: bool

    def goes_by_area(self, national: str) -> bool:
        """True when the first digits of this (mobile) number tell where it belongs."""
        return self.every_mobile_by_area or self.fixed(national) is not None


class _Code(NamedTuple):
    """One calling code: the plans of the countries that share it, the main one first."""

    digits: str
    has_prefix: _Pattern  # begins like a trunk or international prefix, so needs the library's care
    plans: tuple[_Plan, ...]

    def plan(self, national: str) -> _Plan | None:
        """The plan in which these digits are a plain mobile number."""
        for plan in self.plans:
            if plan.mobile(national):
                return None if self.has_prefix(national) else plan
        return None


@cache
def _code(digits: str) -> _Code:
    """What is known of a calling code (`1`, `86`), without plans where one pattern alone cannot judge."""
    countries = phonenumbers.region_codes_for_country_code(int(digits))
    known = [plan for country in countries if (plan := phonenumbers.PhoneMetadata.metadata_for_region(country, None))]
    prefixes = {p for plan in known for p in (plan.national_prefix_for_parsing, plan.international_prefix) if p}
    has_prefix = re.compile("|".join(["0", *(f"(?:{prefix})" for prefix in sorted(prefixes))])).match
    if not known or known[0].leading_digits:
        return _Code(digits, has_prefix, ())
    by_area = is_number_type_geographical(phonenumbers.PhoneNumberType.MOBILE, int(digits))
    plans = []
    for plan in known:
        mobile, fixed = plan.mobile, plan.fixed_line
        if mobile and mobile.national_number_pattern and fixed and fixed.national_number_pattern:
            patterns = re.compile(mobile.national_number_pattern), re.compile(fixed.national_number_pattern)
            plans.append(_Plan(plan.id, patterns[0].fullmatch, patterns[1].fullmatch, _special(plan), by_area))
    return _Code(digits, has_prefix, tuple(plans))


def _special(plan: phonenumbers.PhoneMetadata) -> _Pattern:
    """The pattern of all kinds of numbers that are neither mobile ones nor lines in a house."""
    kinds = (
        plan.premium_rate, plan.toll_free, plan.shared_cost, plan.voip, plan.personal_number, plan.pager, plan.uan,
        plan.voicemail,
    )  # fmt: skip
    patterns = [f"(?:{kind.national_number_pattern})" for kind in kinds if kind and kind.national_number_pattern]
    return re.compile("|".join(patterns) or "(?!)").fullmatch


def _place(e164: str) -> tuple[_Code | None, str]:
    """The calling code (none begins another, E.164 section 6.2.1) and the digits after it."""
    for end in (2, 3, 4):
        digits = e164[1:end]
        if digits in _CODES:
            return _code(digits), e164[end:]
    return None, ""


def _at_once(compact: str, country: str) -> Number | None:
    """The number if one pattern tells that it is a mobile one; None says nothing, the library must look."""
    if SHAPE.fullmatch(compact):
        code, national = _place(compact)
    else:
        code, national = _code(str(phonenumbers.country_code_for_region(country))), compact
    plan = code.plan(national) if code and national.isascii() else None
    if code is None or plan is None:
        return None
    e164 = f"+{code.digits}{national}"
    digits = e164[1:] if plan.goes_by_area(national) else code.digits
    for end in range(min(TIMEZONE_LONGEST_PREFIX, len(digits)), 0, -1):
        if zones := TIMEZONE_DATA.get(digits[:end]):
            return Number(e164, plan.country, *_choose(plan.country, zones))
    return None


def _in_full(text: str, country: str) -> Number:
    """The number as the whole library reads it."""
    # 00 is tried as a plus only after the country's own reading: in Australia 0011 is the prefix.
    readings = [text, "+" + text[2:]] if text.startswith("00") else [text]
    for reading in readings:
        try:
            parsed = phonenumbers.parse(reading, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            break
    else:
        raise BadNumber(_why(readings[-1], country))
    if parsed.extension:
        raise BadNumber(f"has an extension ({parsed.extension}), which no text can reach: give a direct number")
    if _VANITY.search(text):
        raise BadNumber("letters among the digits: write digits only")
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    home = phonenumbers.region_code_for_number(parsed) or ""
    return Number(e164, home, *_choose(home, timezone.time_zones_for_number(parsed)))


def _tidy(text: str) -> str:
    """The text in plain digits and signs, without what copying and spreadsheets leave. Raises `BadNumber`."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        # Phones put invisible direction marks round a number that is copied from their contacts.
        text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    text = text.strip().removeprefix("'").strip()
    if not text:
        raise BadNumber("empty: write a phone number, such as +1 206 555 0142")
    if _SPREADSHEET.fullmatch(text):
        raise BadNumber(
            f"a spreadsheet shortened it to {text} and its last digits are lost: "
            "format the column as text there and export again"
        )
    decimal = _DECIMAL.fullmatch(text)
    return decimal[1] if decimal else text


def _why(text: str, country: str) -> str:
    """What is wrong with a text that no reading makes a number, and the cure."""
    if any(map(str.isdigit, text)) and _SEVERAL.search(text):
        return "more than one number: keep one in this cell"
    try:
        parsed = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            return "begins with a country code that no country has: check the digits after the plus"
        return "not a phone number: write digits, such as +1 206 555 0142"
    where = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    match phonenumbers.is_possible_number_with_reason(parsed):
        case phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            return f"lacks the area code of a number in {where}: write it in full, with + and the country code"
        case phonenumbers.ValidationResult.TOO_SHORT:
            return f"too short for a number in {where}: a digit is missing"
        case phonenumbers.ValidationResult.TOO_LONG:
            fault = f"too long for a number in {where}"
        case _:
            fault = f"not in use as a number in {where}"
    return fault + (_perhaps_abroad(text) or ": check the digits")


def _perhaps_abroad(text: str) -> str:
    """A hint when the digits are a number elsewhere that lost its plus. Guessing would text a stranger."""
    if not text.startswith("+"):
        abroad, national = _place("+" + text.translate(_SEPARATORS))
        if abroad and abroad.plan(national):
            return f"; if it is +{abroad.digits} {national}, write the plus and the country code"
    return ""


def _line_type(e164: str) -> str:
    code, national = _place(e164)
    plan = code.plan(national) if code else None
    if plan is not None and plan.special(national) is None:
        return EITHER if plan.fixed(national) else "mobile"
    try:
        return _LINE_TYPES[phonenumbers.number_type(phonenumbers.parse(e164, None))]
    except phonenumbers.NumberParseException:
        return UNKNOWN


def _network(digits: str) -> str:
    networks, longest = _networks()
    for end in range(min(longest, len(digits)), 0, -1):
        if names := networks.get(digits[:end]):
            return names.get("en", "")
    return ""


@cache
def _networks() -> tuple[dict[str, dict[str, str]], int]:
    """The library's names of networks by prefix and language, and the length of the longest prefix."""
    from phonenumbers.carrierdata import CARRIER_DATA, CARRIER_LONGEST_PREFIX  # noqa: PLC0415  10 MB, on demand

    return CARRIER_DATA, CARRIER_LONGEST_PREFIX


@lru_cache(4096)
def _choose(country: str, zones: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The best zone and all that may apply, without those of other countries under the same calling code."""
    if len(zones) == 1:
        return zones[0], zones
    territories, aliases = get_global("zone_territories"), get_global("zone_aliases")
    own = tuple(zone for zone in zones if territories.get(aliases.get(zone, zone)) == country) or zones
    return min(own, key=lambda zone: _RANK.get(zone, len(_RANK))), own


def _area_name(digits: str) -> str:
    """What the geocoder calls the area of the longest prefix it knows, in English."""
    areas, longest = _areas()
    for end in range(longest, 0, -1):
        names = areas.get(digits[:end])
        if names and "en" in names:
            return names["en"]
    return ""


@cache
def _areas() -> tuple[dict[str, dict[str, str]], int]:
    """The geocoder's names by prefix and language, and the length of the longest prefix."""
    from phonenumbers.geodata import GEOCODE_DATA, GEOCODE_LONGEST_PREFIX  # noqa: PLC0415  (100 MB, on demand)

    return GEOCODE_DATA, GEOCODE_LONGEST_PREFIX


@lru_cache(65536)
def _state(area: str, *, american: bool) -> str:
    """The state or province in the name of an area: `Suzhou, Jiangsu` is in `Jiangsu`."""
    last = area.rpartition(", ")[2]
    if american:
        return last if len(last) == 2 and last.isupper() else _STATES.get(last, "")
    return last
