"""A description with mistakes is told each of them at its place, in plain words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import ConfigErrors, load
from tests.gateway.channels.http.house import Lines, settings_of

WELL = """\
channels:
  line:
    kind: http
    price: 0.01 USD per part
    send:
      url: https://api.example.com/send
      json: {to: "{{ recipient }}", text: "{{ text }}"}
"""


def mistakes(folder: Path, text: str) -> list[str]:
    path = folder / "lines.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigErrors) as caught:
        load(path, Lines, {})
    return [f"{one.line}:{one.column}: {one.text}" for one in caught.value.mistakes]


def test_a_short_description_suffices(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, WELL)
    assert (settings.place, settings.is_simulated, settings.is_secured) == ("api.example.com", False, True)


def test_an_unknown_kind_is_told_with_the_nearest_and_its_other_mistakes_too(tmp_path: Path) -> None:
    told = mistakes(tmp_path, WELL.replace("kind: http", "kind: htpp").replace("price", "prize"))
    assert (told[0], told[2]) == (
        "2:3: price is missing; What one part costs",
        '4:5: no setting "prize" in channels.line; did you mean price?',
    )
    assert re.fullmatch(r'3:11: found "htpp", expected smpp.* or \w+; did you mean http\?', told[1])


def test_a_missing_kind_is_told(tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, WELL.replace("    kind: http\n", ""))
    assert re.fullmatch(r"2:3: kind is missing; expected smpp.* or \w+", told)


def test_every_mistake_in_templates_is_told_at_its_place(tmp_path: Path) -> None:
    text = """\
channels:
  line:
    kind: http
    price: 0.01 USD per part
    secrets: {}
    send:
      url: https://api.example.com/{{ acount }}
      headers: {X-Key: "{{ secret.kee }}"}
      json: {to: "{{ recipent }}", deep: [{text: "{{ text.upper() }}"}], when: "{{ text.upper }}"}
      sign: {over: "{{ fieldz }}", at: header X-Sig}
    answer: {good: [0], later: [0], code: status}
    receipts: {id: id, state: state, delivered: [ok]}
"""
    assert mistakes(tmp_path, text) == [
        '7:12: no field "acount"; there are ' + NAMES,
        '8:24: no field "secret.kee"; there are ' + NAMES,
        '9:18: no field "recipent"; did you mean recipient?',
        "9:50: {{ text.upper() }}: only {{ field }}, {{ field.variant }} or {{ field or 'text' }}",
        '9:80: no field "text.upper"; there are ' + NAMES,
        "10:13: an HMAC wants a key",
        '10:20: no field "fieldz"; did you mean fields?',
        "11:33: 0 stands in good already",
        "12:15: anybody could call this door; say under proof: basic, token or signature",
    ]


NAMES = (
    "sender, recipient, text, message, alphabet, valid.seconds, valid.milliseconds, now.iso, now.seconds, "
    "now.milliseconds, nonce, media, class, receipts.url"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("url: ftp://x", '6:12: found "ftp://x", expected an address such as https://api.example.com/send'),
        ("url: https://{{ text }}.example.com/", "expected an address such as"),
        ("url: https://me:you@example.com/", "found a password in the address; say basic: and keep it in secrets"),
        ("url: https://example.com/?to={{ text }}", "what stands behind ? goes under query:"),
        ("url: http://example.com/", "6:12: everybody on the way could read along; say https://, or insecure: yes"),
        ("url: https://example.com/\n      method: GET", "GET has no body; say query:, or method: POST"),
        ("url: https://example.com/\n      form: {a: b}", "form stands already; a request has one body"),
        (
            "url: https://example.com/\n      methud: PUT",
            '7:7: no setting "methud" in channels.line.send; did you mean method?',
        ),
        (
            "url: https://example.com/\n      sign: {over: x, by: sha1, key: y, at: query x}",
            "a bare digest has no key; put it into over",
        ),
        (
            "url: https://example.com/\n      sign: {over: x, key: y, at: query x}",
            "expected header NAME, or the name of a field",
        ),
    ],
)
def test_what_cannot_be_sent_is_told(tmp_path: Path, line: str, told: str) -> None:
    assert any(told in each for each in mistakes(tmp_path, WELL.replace("url: https://api.example.com/send", line)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("answer: {good: [OK]}", "without code: the codes are HTTP statuses such as 429"),
        ("answer: {id: /x/}", "expected brackets around what is wanted"),
        ("answer: {id: '/(x/'}", "which is no pattern"),
        ("answer: {id: two words}", 'found "two words", expected where it stands'),
        ("proof: {}", "expected basic, token or signature"),
        ("proof: {token: {at: query key, value: sesame}}", "keep the word in a file: name it under secrets"),
        ("proof: {signature: {over: '{{ header.x-t }}{{ sender }}', key: x, at: header X}}", 'no field "sender"'),
        ("country: China", 'found "China", expected a country such as CN'),
        ("inbound: {sender: a, text: b, path: a/b}", 'found "a/b"'),
        ("secrets: {key: nowhere}", "cannot read the secret in nowhere"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert any(told in each for each in mistakes(tmp_path, f"{WELL}    {text}\n"))


def test_json_as_one_text_is_read_as_json(tmp_path: Path) -> None:
    good = WELL.replace(
        'json: {to: "{{ recipient }}", text: "{{ text }}"}', """json: '{"to": {{ recipient.digits }}}'"""
    )
    assert settings_of(tmp_path, good).send.json_ == '{"to": {{ recipient.digits }}}'
    bad = WELL.replace('json: {to: "{{ recipient }}", text: "{{ text }}"}', """json: '{"to": {{ recipient }}'""")
    assert mistakes(tmp_path, bad) == ['7:13: found "{"to": {{ recipient }}", which is no JSON: unexpected end of data']


@pytest.mark.parametrize(
    "line",
    [
        "basic: me:tulip",
        "sign: {over: '{{ fields }}', key: tulip, at: header X-Sig}",
        "sign: {over: '{{ fields }}', key: '${KEY:-tulip}', at: header X-Sig}",
    ],
)
def test_a_secret_in_the_description_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    (told,) = mistakes(tmp_path, f"{WELL}      {line}\n")
    assert told.startswith("8:")
    assert "keep it in a file: name that under secrets, and write {{ secret.NAME }}" in told
    assert "tulip" not in told


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("headers: {Authorization: Bearer tulip, X-Api-Key: tulip}", 2),
        ("query: {api_secret: tulip, passwd: tulip, to: '{{ recipient }}'}", 2),
        ("headers: {Authorization: 'Bearer ${TULIP}', X-Api-Key: '{{ secret.token }}', Token-Type: mac}", 0),
    ],
)
def test_what_only_looks_like_a_secret_by_its_name_is_warned_of(tmp_path: Path, line: str, count: int) -> None:
    (tmp_path / "token").write_text("tulip")
    (tmp_path / "token").chmod(0o600)
    path = tmp_path / "lines.yaml"
    path.write_text(WELL.replace("    send:", "    secrets: {token: token}\n    send:") + f"      {line}\n", "utf-8")
    warnings = load(path, Lines, {"TULIP": "tulip"}).warnings
    assert [warning.text.partition(";")[0] for warning in warnings] == [
        "found a secret in the file, where others read it"
    ] * count
