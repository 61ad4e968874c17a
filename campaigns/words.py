"""Hears what a person means apart from any campaign: stop, help, start, yes, wrong number, anger, or a machine talking.

Where the line runs between STOP and anything else (47 CFR 64.1200(a)(10): any reasonable means; MIIT order 31):

- A stop word alone is a stop, in any case, width, script and punctuation, doubled, misspelt by a held or swapped
  key, among words of courtesy, or as one sentence of several ("Who is this? Stop.").
- CANCEL, END, QUIT and the like also name other things, so beside other words they count only with a word for our
  messages: "cancel my texts" is a stop, "cancel my order" and "the end of the road" are not.
- A phrase asking for no more messages is a stop wherever it stands, unless a negation stands before it ("dont stop
  texting me"). Telling us to go away is such a phrase, with or without swearing.
- An instruction that we wrote ourselves ("Reply STOP to end", 拒收请回复R), quoted or forwarded, is no stop; sent
  back as the whole text it is one.
- What stays in doubt after that is a stop: a wrong stop costs the person one START, a missed one is unlawful.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache
from string import punctuation, whitespace

from campaigns import phrases


class Intent(StrEnum):
    """What a text asks for, whatever campaign is on."""

    STOP = "stop"
    HELP = "help"
    START = "start"
    YES = "yes"  # a START only from a person who is opted out or pending
    WRONG_NUMBER = "wrong number"
    ANGRY = "angry"  # swearing or a threat without a request: for a person to read, never answered
    REACTION = "reaction"  # a phone's thumbs-up, which quotes our own words: kept, never matched
    ROBOT = "robot"  # an auto-reply: kept, never answered


_WHOLE_TEXTS = (
    (Intent.START, phrases.START_WORDS),
    (Intent.HELP, phrases.HELP_WORDS),
    (Intent.YES, phrases.YES_WORDS),
)
_PHRASES = (
    (Intent.WRONG_NUMBER, phrases.WRONG_NUMBER_PHRASES, phrases.WRONG_NUMBER_WRITTEN),
    (Intent.ROBOT, phrases.ROBOT_PHRASES, phrases.ROBOT_WRITTEN),
    (Intent.ANGRY, phrases.ANGRY_PHRASES, phrases.ANGRY_WRITTEN),
)

_ASCII_ENDS = punctuation + whitespace
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\u20e3]")
_APOSTROPHES = re.compile("['’‘`´ʼ]")
_INSIDE_SENTENCES = re.compile(r"[-_‐-―\"“”„«»「」『』()\[\]<>&@#/~]+")
_SENTENCE_ENDS = re.compile(r"[^\w\s]+|\n+")
_HELD_LETTERS = re.compile(r"(.)\1+")
_ANSWERED_WITH = re.compile(r"^(?:请?回复?|reply|text|send) ?")

# The traditional characters of the phrases; not a converter.
_SIMPLER = str.maketrans(
    "訂閱發別請給煩擾騷錯動開駛車們這號碼訊刪認幫說復覆滾聯繫電話謝單實無為會議結束絕傳確",
    "订阅发别请给烦扰骚错动开驶车们这号码讯删认帮说复复滚联系电话谢单实无为会议结束绝传确",
)


def fold(text: str) -> str:
    """Make spellings of one word equal: half width, lower case, spaces squeezed, ends trimmed to letters and digits."""
    if text.isascii():
        return " ".join(text.lower().strip(_ASCII_ENDS).split())
    plain = " ".join(_half_width(text).split())
    start, end = 0, len(plain)
    while start < end and _is_trimming(plain[start]):
        start += 1
    while start < end and _is_trimming(plain[end - 1]):
        end -= 1
    return plain[start:end]


def intent_of(text: str, stop_words: Collection[str] = ()) -> Intent | None:
    """What the text asks for, or None where it is for the campaigns to read.

    `stop_words` are the sender's own further words for STOP (R, T, TD, N), which count only as the whole text.
    """
    if stop_words and _ANSWERED_WITH.sub("", fold(text)) in {fold(word) for word in stop_words}:
        return Intent.STOP
    return _intent_of(text)


@lru_cache(4096)  # most texts that arrive are the same few hundred
def _intent_of(text: str) -> Intent | None:
    if _is_reaction(text):
        return Intent.REACTION
    sentences = _sentences(text)
    if not sentences:
        return _intent_of_signs(text)
    if _is_stop(sentences):
        return Intent.STOP
    words = [word for sentence in sentences for word in sentence.split() if word not in phrases.COURTESY]
    for intent, vocabulary in _WHOLE_TEXTS:
        if words and vocabulary.issuperset(words):
            return intent
    run = _run(sentences)
    for intent, said, written in _PHRASES:
        if any(said.search(sentence) for sentence in sentences) or written.search(run):
            return intent
    return None


def _intent_of_signs(text: str) -> Intent | None:
    if not phrases.STOP_SIGNS.isdisjoint(text):
        return Intent.STOP
    return Intent.ANGRY if "🖕" in text else None


def _is_stop(sentences: list[str]) -> bool:
    own = [rest for sentence in sentences if (rest := phrases.INSTRUCTION.sub(" ", sentence).strip())]
    if not own:
        return True  # our instruction, typed back as the whole text
    letters = _run(own)
    spelt_out = letters in phrases.STOP_WORDS and all(len(word) == 1 for one in own for word in one.split())
    return spelt_out or any(map(_is_stop_sentence, own)) or phrases.STOP_WRITTEN.search(letters) is not None


def _is_stop_sentence(sentence: str) -> bool:
    words = [word for word in sentence.split() if word not in phrases.AROUND_A_STOP]
    if words and all(word in phrases.STOP_WORDS or _is_held_stop(word) for word in words):
        return True
    if " ".join(words) in phrases.STOP_TEXTS or phrases.STOP_AND_NAME.fullmatch(sentence):
        return True
    found = phrases.STOP_PHRASES.finditer(sentence)
    return any(not phrases.NEGATED.search(sentence, 0, phrase.start()) for phrase in found)


def _is_held_stop(word: str) -> bool:
    """True for STOP with a letter held too long: `stoppp`, `STOOOP`."""
    return word.startswith("s") and _HELD_LETTERS.sub(r"\1", word) == "stop"


def _is_reaction(text: str) -> bool:
    plain = _INVISIBLE.sub("", text).strip()
    reacted = phrases.REACTED.match(plain)
    if not reacted:
        return False
    quote = plain[reacted.end() :]
    if phrases.ATTACHMENT.match(quote):
        return True
    closing = phrases.QUOTES.get(quote[:1])
    if closing is None:
        return False
    # A quote may be cut off by the length of a text; whoever writes on after it speaks for himself.
    end = quote.rfind(closing, 1)
    return end < 0 or phrases.AFTER_THE_QUOTE.match(quote, end + 1) is not None


def _sentences(text: str) -> list[str]:
    """The sentences without accents, apostrophes and quotes, as the phrases want them: `don’t` is `dont`."""
    plain = text.lower()
    if not text.isascii():
        apart = unicodedata.normalize("NFD", _half_width(text).translate(_SIMPLER))
        plain = unicodedata.normalize("NFC", "".join(c for c in apart if unicodedata.category(c) != "Mn"))
    plain = _INSIDE_SENTENCES.sub(" ", _APOSTROPHES.sub("", plain))
    return [" ".join(words) for piece in _SENTENCE_ENDS.split(plain) if (words := piece.split())]


def _run(sentences: list[str]) -> str:
    return "".join(sentences).replace(" ", "")


def _half_width(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _INVISIBLE.sub("", folded)


def _is_trimming(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSZC"
