"""Only what Twilio has signed is believed, in every form that its own library believes."""

from __future__ import annotations

import random
from collections import Counter
from urllib.parse import parse_qsl, urlencode

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from gateway.codecs.twilio_signature import NO_REPLY, Field, is_genuine, signature

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CALL = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
BODY = b'{"property": "value", "boolean": true}'
BODY_URL = f"{URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
TEXT_URL = "https://gw.example.com/hooks/twilio/inbound"
TEXT = [
    ("MessageSid", "SM00000000000000000000000000000001"),
    ("AccountSid", "AC00000000000000000000000000000000"),
    ("From", "+14155550100"),
    ("To", "+14155550199"),
    ("Body", "STOP"),
    ("NumMedia", "0"),
    ("NumSegments", "1"),
    ("OptOutType", "STOP"),
    ("FromCity", ""),
    ("SmsStatus", "received"),
]
VOTE = [(name, "投票 3 👍" if name == "Body" else value) for name, value in TEXT if name != "OptOutType"]


@pytest.mark.parametrize(
    ("url", "content", "shown"),
    [  # twilio-python, tests/unit/test_request_validator.py; the last two computed with it
        (URL, CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (URL.replace(".com", ".com:443"), CALL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (URL.replace("https", "http").replace(".com", ".com:80"), CALL, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        (URL.replace("https", "http").replace(".com", ".com:1234"), CALL, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        (URL.replace(".com", ".com:1234"), CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (
            URL,
            [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")],
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        (BODY_URL, BODY, "a9nBmqA0ju/hNViExpshrM61xv4="),
        (TEXT_URL, TEXT, "GtSVwdDJIi6vZ1AHH9yYvQ8x6Bo="),
        (TEXT_URL, VOTE, "7gm8T7IUTQTXxRXz+ZAv9+TW7Eg="),
    ],
)
def test_published_signatures_are_genuine(url: str, content: list[Field] | bytes, shown: str) -> None:
    assert is_genuine([TOKEN], url, shown, content)
    assert not is_genuine(["another"], url, shown, content)


def test_what_is_signed_is_what_twilio_signs() -> None:
    assert signature(TOKEN, URL, CALL) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_the_token_before_is_believed_for_as_long_as_it_is_given() -> None:
    shown = signature("old", TEXT_URL, TEXT)
    assert is_genuine(["new", "old"], TEXT_URL, shown, TEXT)
    assert not is_genuine(["new"], TEXT_URL, shown, TEXT)
    assert not is_genuine([], TEXT_URL, shown, TEXT)


def test_another_body_under_a_genuine_address_is_refused() -> None:
    shown = signature(TOKEN, BODY_URL)
    assert is_genuine([TOKEN], BODY_URL, shown, BODY)
    assert not is_genuine([TOKEN], BODY_URL, shown, BODY + b" ")


def test_a_body_without_its_hash_in_the_address_is_refused() -> None:
    assert not is_genuine([TOKEN], URL, signature(TOKEN, URL), BODY)


def test_a_hash_that_somebody_added_does_not_make_a_form_anything_else() -> None:
    url = f"{TEXT_URL}?bodySHA256={'0' * 64}"
    assert is_genuine([TOKEN], url, signature(TOKEN, url, TEXT), TEXT)
    assert not is_genuine([TOKEN], url, signature(TOKEN, url), TEXT)


def test_empty_values_and_spaces_are_part_of_what_is_signed() -> None:
    fields = [("Body", " hi "), ("FromCity", "")]
    shown = signature(TOKEN, TEXT_URL, fields)
    assert is_genuine([TOKEN], TEXT_URL, shown, fields)
    assert not is_genuine([TOKEN], TEXT_URL, shown, [("Body", "hi"), ("FromCity", "")])
    assert not is_genuine([TOKEN], TEXT_URL, shown, [*fields, ("FromZip", "1")])


@pytest.mark.parametrize("shown", ["", "é", "\ud800", "GtSVwdDJIi6vZ1AHH9yYvQ8x6Bo"])
def test_a_signature_that_is_none_is_refused(shown: str) -> None:
    assert not is_genuine([TOKEN], TEXT_URL, shown, TEXT)


def test_text_that_cannot_be_signed_is_refused() -> None:
    assert not is_genuine([TOKEN], TEXT_URL, "x", [("Body", "\ud800")])
    assert not is_genuine([TOKEN], "https://host:port/", "x", [])


def _flip(chance: random.Random, text: str) -> str:
    """A text with one bit of one of its octets changed, as far as it is still text."""
    octets = bytearray(text.encode())
    if octets:
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return octets.decode(errors="replace")


def _mutated(chance: random.Random) -> tuple[str, str, list[Field], str]:
    """A genuine call of which one thing was changed, or nothing, or its order."""
    url = chance.choice([URL, TEXT_URL, "https://gw.example.com:8443/in?a=1", "http://gw.example.com/in"])
    fields = list(chance.choice([CALL, TEXT, VOTE, []]))
    chance.shuffle(fields)
    shown = RequestValidator(TOKEN).compute_signature(url, MultiDict(fields))
    place = chance.randrange(len(fields)) if fields else 0
    what = chance.randrange(10)
    if what == 0:
        url = _flip(chance, url)
    elif what == 1:
        url = url.replace("example.com", "example.com:443") if url.startswith("https") else url.replace("/in", ":80/in")
    elif what == 2:
        shown = _flip(chance, shown)
    elif what == 3 and fields:
        fields[place] = (_flip(chance, fields[place][0]), fields[place][1])
    elif what == 4 and fields:
        fields[place] = (fields[place][0], _flip(chance, fields[place][1]))
    elif what == 5 and fields:
        fields.append(fields[place])  # the same once more counts once
    elif what == 6 and fields:
        del fields[place]
    elif what == 7:
        fields.append((chance.choice(["From", "New"]), chance.choice(["", "x"])))
    elif what == 8 and fields:
        name, value = fields[place]
        fields[place] = (name + value[:1], value[1:])  # where a name ends is not signed: Twilio's scheme, not ours
    return url, shown, fields, ("nothing" if what == 9 else "one thing")


def test_exactly_what_twilios_own_library_accepts_is_accepted_over_ten_thousand_changes() -> None:
    chance = random.Random(20261122)
    validator = RequestValidator(TOKEN)
    seen: Counter[tuple[str, bool]] = Counter()
    for _ in range(10_000):
        url, shown, fields, changed = _mutated(chance)
        try:
            theirs = validator.validate(url, MultiDict(fields), shown)
        except ValueError:  # a port that is no number: it cannot judge that
            theirs = False
        assert is_genuine([TOKEN], url, shown, fields) == theirs, (url, shown, fields)
        seen[changed, theirs] += 1
    assert seen["nothing", True] > 500
    assert seen["nothing", False] == 0
    assert seen["one thing", False] > 4_000


def test_exactly_the_json_calls_that_twilios_own_library_accepts_are_accepted() -> None:
    chance = random.Random(7)
    validator = RequestValidator(TOKEN)
    seen: Counter[bool] = Counter()
    for _ in range(1_000):
        url, body, shown = BODY_URL, BODY.decode(), signature(TOKEN, BODY_URL)
        what = chance.randrange(4)
        if what == 0:
            url = _flip(chance, url)
        elif what == 1:
            body = _flip(chance, body)
        elif what == 2:
            shown = _flip(chance, shown)
        try:
            theirs = validator.validate(url, body, shown)
        except (ValueError, TypeError):  # no bodySHA256 in the address: it cannot judge a text
            theirs = False
        assert is_genuine([TOKEN], url, shown, body.encode()) == theirs, (url, body, shown)
        seen[theirs] += 1
    assert min(seen[True], seen[False]) > 150


def test_a_form_survives_the_wire_as_it_was_signed() -> None:
    wire = urlencode(VOTE)
    assert parse_qsl(wire, keep_blank_values=True, errors="strict") == VOTE


def test_the_answer_that_says_nothing_is_an_empty_response() -> None:
    assert NO_REPLY == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
