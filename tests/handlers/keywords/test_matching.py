"""What thumbs make of keywords and choices, and what we make of that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.keywords.matching import Keyword, Match, Matcher, Option, Options, SameSpelling

MATCHER = Matcher(
    {
        "LATTE": Keyword(also=["拿铁"]),
        "VOTE": Keyword(also=["投票"], takes_argument=True),
        "HOURS": Keyword(also=["营业时间", "opening times"]),
        "TEA": Keyword(),
        "2FOR1": Keyword(),
    }
)
CUP = Options({"1": ["The fox", "狐狸"], "2": ["The crane", "仙鹤"], "3": ["The owl", "猫头鹰"], "4": ["A red panda"]})


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("vote 3", "3"),
        ("vote3", "3"),
        ("VOTE: 3", "3"),
        ("Vote, 3!", "3"),
        ("VOTE#3", "3"),
        ("vote-3", "3"),
        ("vote.3", "3"),
        ("ＶＯＴＥ３", "3"),
        ("vote ③", "3"),
        ("“VOTE 3”", "3"),
        ("VOTE\n3", "3"),
        ("vote 3 🦉", "3"),
        ("vote the owl", "the owl"),
        ("I vote 3", "3"),
        ("please vote 3", "3"),
        ("投票3", "3"),
        ("投票 3", "3"),
        ("投 票 3", "3"),
        ("投票：3", "3"),
        ("投票猫头鹰", "猫头鹰"),
        ("我要投票3", "3"),
        ("VOTE", ""),
    ],
)
def test_a_vote_is_found_however_it_is_typed(text: str, rest: str) -> None:
    assert MATCHER.match(text) == Match("VOTE", rest, sure=True)


@pytest.mark.parametrize("text", ["votee 3", "vot 3", "voet 3", "vpte 3", "VOTEE3", "vvote: 3", "please votee 3"])
def test_a_keyword_one_slip_away_is_found_but_asked_about(text: str) -> None:
    assert MATCHER.match(text) == Match("VOTE", "3", sure=False)


@pytest.mark.parametrize("text", ["vt 3", "voyages 3", "boat 3", "ovet 3", "x" * 1600, "", "3", "🦉", "gotcha"])
def test_two_slips_are_another_word(text: str) -> None:
    assert MATCHER.match(text) is None


def test_a_slip_towards_two_keywords_is_none() -> None:
    matcher = Matcher({"MOCHA": Keyword(), "MOCKA": Keyword()})

    assert matcher.match("mocga") is None
    assert matcher.match("mochaa") == Match("MOCHA", "", sure=False)


@pytest.mark.parametrize("text", ["te", "tae", "ta"])
def test_a_slip_in_a_word_of_three_letters_is_another_word(text: str) -> None:
    assert MATCHER.match(text) is None


@pytest.mark.parametrize(
    "text", ["latte", "LATTE!", "Latte please", "i want a latte", "拿铁", "我要拿铁", "拿铁谢谢", "拿 铁"]
)
def test_a_keyword_without_an_argument_is_found_among_a_few_words(text: str) -> None:
    match = MATCHER.match(text)

    assert match is not None
    assert (match.keyword, match.sure) == ("LATTE", True)


def test_a_whole_sentence_after_a_keyword_is_asked_about() -> None:
    match = MATCHER.match("latte is too expensive at your shop")

    assert match is not None
    assert not match.sure


@pytest.mark.parametrize("text", ["late for work", "latter half"])
def test_a_slip_within_a_sentence_is_no_keyword(text: str) -> None:
    assert MATCHER.match(text) is None


@pytest.mark.parametrize("text", ["opening times", "Opening times?", "opening times on sunday", "HOURS"])
def test_a_spelling_of_several_words_is_found(text: str) -> None:
    match = MATCHER.match(text)

    assert match is not None
    assert (match.keyword, match.sure) == ("HOURS", True)


def test_a_keyword_may_open_with_a_digit() -> None:
    assert MATCHER.match("2for1 please") == Match("2FOR1", "please", sure=True)


def test_two_keywords_written_the_same_are_refused() -> None:
    with pytest.raises(SameSpelling, match='"拿铁" is written for LATTE and for MOCHA'):
        Matcher({"LATTE": Keyword(also=["拿铁"]), "MOCHA": Keyword(also=["拿铁 "])})


@pytest.mark.parametrize(
    "text",
    [
        "3", "３", "③", "⑶", "❸", "3️⃣", "٣", "۳", "३", "๓", "03", "#3", "3!", "3.", "3)", "(3)", "No. 3", "no 3", "nr 3",
        "number 3", "option 3", "choice: 3", "3 please", "3 thanks", "for 3", "I vote 3",
        "I choose 3", "three", "Three!",
        "third", "the third one", "tres", "trois", "三", "三号", "3号", "第三", "第三个", "第3個", "选3", "我选三",
        "投3号",
        "我投3", "3 owl", "3 the owl", "3. The owl", "3, 猫头鹰", "the owl", "The Owl", "owl", "OWL 🦉", "for the owl",
        "an owl",
        "猫头鹰", "猫头鹰！", "猫 头 鹰", "我投猫头鹰", "my vote is the owl",
    ],
)  # fmt: skip
def test_the_third_choice_is_found_in_any_script(text: str) -> None:
    assert CUP.option_of(text) == Option("3", sure=True)


@pytest.mark.parametrize(
    ("text", "key"),
    [("owll", "3"), ("the owll", "3"), ("crnae", "2"), ("caner", None), ("cranes", "2"), ("panda", "4"),
     ("red pnda", "4"), ("3 is so cute", "3")],
)  # fmt: skip
def test_a_choice_one_slip_away_is_asked_about(text: str, key: str | None) -> None:
    assert CUP.option_of(text) == (key and Option(key, sure=False))


@pytest.mark.parametrize(
    "text",
    ["", "5", "33", "0", "-", "1 2", "1 or 2", "3 fox", "1.5", "½", "the", "is it open", "cow", "🦉", "五", "x" * 1600],
)
def test_what_names_no_choice_or_two_is_none(text: str) -> None:
    assert CUP.option_of(text) is None


def test_a_name_that_two_choices_share_is_none() -> None:
    options = Options({"1": ["The fox"], "2": ["A fox"]})

    assert options.option_of("fox") is None
    assert options.option_of("the fox") == Option("1", sure=True)


def test_a_number_beats_a_name() -> None:
    assert Options({"1": ["Two"], "2": ["One"]}).option_of("two") == Option("2", sure=True)


def test_choices_may_have_letters_for_keys() -> None:
    assert Options({"A": ["The fox"], "B": ["The owl"]}).option_of("b!") == Option("B", sure=True)


@given(st.integers(1, 99))
def test_any_number_is_found_in_digits_and_in_chinese(number: int) -> None:
    options = Options({str(key): [] for key in range(1, 100)})
    tens, ones = divmod(number, 10)
    chinese = (
        "〇一二三四五六七八九"[tens if tens > 1 else 0].strip("〇")
        + "十" * (tens > 0)
        + " 一二三四五六七八九"[ones].strip()
    )

    assert options.option_of(str(number)) == Option(str(number), sure=True)
    assert options.option_of(chinese) == Option(str(number), sure=True)


WORDS = st.text("abcdef", min_size=4, max_size=8)


@given(WORDS, st.data())
def test_every_single_slip_is_found(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("abcdefgh"))
    slips = [word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :]]
    slips += [word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]] if at else []
    matcher = Matcher({word.upper(): Keyword(takes_argument=True)})

    for slip in slips:
        assert matcher.match(slip + " 3") == Match(word.upper(), "3", sure=slip == word)


@given(st.text(max_size=100))
def test_every_text_is_read_without_an_error(text: str) -> None:
    match, option = MATCHER.match(text), CUP.option_of(text)

    assert match is None or match.keyword in {"LATTE", "VOTE", "HOURS", "TEA", "2FOR1"}
    assert option is None or option.key in {"1", "2", "3", "4"}
