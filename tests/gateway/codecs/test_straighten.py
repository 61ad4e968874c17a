"""Fine typography becomes plain where that makes a text cheap, and nowhere else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import gsm7, parts
from gateway.codecs.national import Alphabet
from gateway.codecs.straighten import straighten


@pytest.mark.parametrize(
    ("fine", "plain"),
    [
        ("“Two for one” – it’s ours…", '"Two for one" - it\'s ours...'),
        ("‘a’ ‚b‛ „c‟ «d» ‹e› 5′ 6″", "'a' 'b' \"c\" \"d\" 'e' 5' 6\""),
        ("a‐b‑c‒d–e—f―g−h • i", "a-b-c-d-e-f-g-h - i"),
        ("10\u00a0% off\u202fnow\u3000ok\tend", "10 % off now ok end"),
        ("zero\u200bwidth\ufeff, soft\u00adhyphen, \u200fmarks\u200e", "zerowidth, softhyphen, marks"),
        ("ＬＡＴＴＥ　２ ＠１．５（ｏｋ）～", "LATTE 2 @1.5(ok)~"),
        ("line\u2028line", "line\nline"),
        ("cafe\u0301 ﬁne ‼ ⁉", "café fine !! !?"),
        ("`x´", "'x'"),
        ("10 ￡ or ￥", "10 £ or ¥"),
    ],
)
def test_what_only_typography_made_dear_becomes_plain(fine: str, plain: str) -> None:
    assert straighten(fine) == plain
    assert (parts.measure(fine).coding, parts.measure(plain).coding) == (8, 0)


@pytest.mark.parametrize(
    "text",
    [
        "Two for one, [today] 3 €",
        "你好，“灯笼”。",
        "“nice” 👍",
        "½ price “today”",
        "ok。",
        "çok “iyi”",
    ],
    ids=["plain already", "chinese", "emoji", "a fraction", "chinese stop", "turkish"],
)
def test_a_text_that_stays_dear_or_is_cheap_already_is_left_as_it_is(text: str) -> None:
    assert straighten(text) is text


def test_a_text_that_a_national_alphabet_holds_then_becomes_plain() -> None:
    assert straighten("İstanbul’da “şimdi”", (Alphabet.TURKISH,)) == 'İstanbul\'da "şimdi"'
    assert straighten("İstanbul’da “şimdi”", (Alphabet.SPANISH,)) == "İstanbul’da “şimdi”"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("see “https://x.io/a”, ok", 'see "https://x.io/a", ok'),
        ("(‘lantern.example/a’) – now", "('lantern.example/a') - now"),
        ("www.x.io…", "www.x.io..."),
        ("http://x.io/a\u200b b", "http://x.io/a b"),
    ],
)
def test_what_stands_around_a_link_changes(text: str, plain: str) -> None:
    assert straighten(text) == plain


@pytest.mark.parametrize(
    "text",
    ["https://x.io/a–b “x”", "x.io/“a”b “x”", "HTTP://X.io/it’s", "www.x.io/a\u00adb “x”", "shop.x.io:8080/ａ ok"],
)
def test_what_stands_inside_a_link_never_changes(text: str) -> None:
    assert straighten(text) == text


@given(st.text(alphabet="ab /.:“”’–…\u00a0\u200bＡé你https", max_size=80) | st.text(max_size=80))
def test_the_answer_is_cheap_or_the_text_itself_and_plain_once_is_plain_for_ever(text: str) -> None:
    plain = straighten(text)
    assert plain == text or gsm7.is_gsm(plain)
    assert straighten(plain) == plain
    for link in re.findall(r"https?://[\x21-\x7e]+", text):
        assert link in plain
