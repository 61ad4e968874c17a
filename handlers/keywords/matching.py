"""Finds the keyword and the choice that a text means, also when thumbs, scripts or habits spelt them differently."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from campaigns.words import fold
from gateway.errors import CarillonError

SHORTEST_FUZZY = 4  # letters; a slip in a shorter word makes another word more often than not
LONGEST_FUZZY = 32  # letters; the search grows with the square
CHATTY = 3  # words after a keyword that takes none, beyond which the text is likely about something else


class Keyword(NamedTuple):
    """How a keyword may also be written, and whether something follows it (VOTE 3) or not (LATTE)."""

    also: Iterable[str] = ()
    takes_argument: bool = False


class Match(NamedTuple):
    """The keyword as configured, what followed it, and False where the person should be asked first."""

    keyword: str
    rest: str
    sure: bool


class Option(NamedTuple):
    """The key of the choice, and False where the person should be asked first."""

    key: str
    sure: bool


class SameSpelling(CarillonError):
    """Two keywords are written the same, so that nobody could tell which one a person means."""


class Matcher:
    """Every keyword of a brand, ready to be found in a text; built once, then only read."""

    def __init__(self, keywords: Mapping[str, Keyword]) -> None:
        """`keywords` by their configured names. Raises SameSpelling."""
        self._takes_argument = {word: keyword.takes_argument for word, keyword in keywords.items()}
        self._spelt: dict[str, str] = {}
        for word, keyword in keywords.items():
            for spelling in map(fold, (word, *keyword.also)):
                if self._spelt.setdefault(spelling, word) != word:
                    raise SameSpelling(f'"{spelling}" is written for {self._spelt[spelling]} and for {word}')
        longest_first = sorted(self._spelt, key=len, reverse=True)
        # Chinese runs on without a space, and a spelling of several words has one inside: both are found as prefixes.
        self._written = [spelling for spelling in longest_first if _RUNS_ON.search(spelling)]
        self._phrases = [spelling for spelling in longest_first if " " in spelling]
        self._near = _Near((spelling, word) for spelling, word in self._spelt.items())

    def match(self, text: str) -> Match | None:
        """The keyword that the text opens with, or None; a spelling one slip away is found, but never as sure."""
        folded = fold(text)
        word = self._spelt.get(folded)
        if word is not None:
            return Match(word, "", True)
        found = self._opening(folded)
        if found is None and (polite := _OPENINGS.match(folded)):
            folded = folded[polite.end() :]
            found = self._opening(folded)
        return found or self._nearly(folded)

    def _opening(self, folded: str) -> Match | None:
        for spelling in self._phrases:
            if folded.startswith(spelling) and not folded[len(spelling) :][:1].isalpha():
                return self._followed(self._spelt[spelling], folded[len(spelling) :])
        first, _, rest = folded.partition(" ")
        word = self._spelt.get(first.rstrip(_SEPARATORS))
        if word is not None:
            return self._followed(word, rest)
        if head := _HEAD.match(folded):
            word = self._spelt.get(head[1])
            if word is not None:
                return self._followed(word, head[2])
        return None if folded.isascii() else self._written_opening(folded.replace(" ", ""))

    def _written_opening(self, run: str) -> Match | None:
        for spelling in self._written:
            if run.startswith(spelling):
                return self._followed(self._spelt[spelling], run[len(spelling) :])
        return None

    def _followed(self, word: str, rest: str) -> Match:
        rest = fold(rest)
        return Match(word, rest, self._takes_argument[word] or len(rest.split()) <= CHATTY)

    def _nearly(self, folded: str) -> Match | None:
        head = _HEAD.match(folded)
        word = head and self._near.find(head[1])
        if not head or word is None:
            return None
        rest = fold(head[2])
        # "late for work" is not a slip of LATTE.
        return Match(word, rest, False) if self._takes_argument[word] or not rest else None


class Options:
    """The choices of a contest, ready to be found by number in any script or by name; built once, then only read."""

    def __init__(self, options: Mapping[str, Iterable[str]]) -> None:
        """`options` maps each key ("3") to its names in every language ("The owl", "猫头鹰")."""
        owners: dict[str, set[str]] = defaultdict(set)
        parts: dict[str, set[str]] = defaultdict(set)
        for key, names in options.items():
            for name in map(fold, names):
                for spelling in (name, without_article(name), name.replace(" ", "")):
                    owners[spelling].add(key)
                for part in without_article(name).split():
                    parts[part].add(key)
        self._shared = {spelling for spelling, keys in owners.items() if len(keys) > 1}
        named = {spelling: next(iter(keys)) for spelling, keys in owners.items() if len(keys) == 1}
        self._parts = {part: next(iter(keys)) for part, keys in parts.items() if len(keys) == 1 and len(part) > 2}
        # A number beats a name: an option called "Two" that stands third is asked for as 3.
        self._spelt = named | {spelling: key for key in options for spelling in _spellings(key)}
        self._near = _Near(named.items())

    def option_of(self, text: str) -> Option | None:
        """The choice that a text names (`3`, `③`, `three`, `#3`, `第三个`, `the owl`), or None."""
        folded = fold(text)
        key = self._spelt.get(folded)
        if key is not None:
            return Option(key, True)
        bare = without_article(_BEFORE_CHOICE.sub("", _AFTER_CHOICE.sub("", folded)))
        # Chinese may have spaces anywhere; "1 2" is not 12.
        key = self._spelt.get(bare if bare.isascii() else bare.replace(" ", ""))
        if key is not None:
            return Option(key, True)
        return self._number_and_words(bare) or self._nearly(bare)

    def _number_and_words(self, bare: str) -> Option | None:
        number = _NUMBER_FIRST.match(bare)
        if not number or (key := self._spelt.get(number[1])) is None:
            return None
        named = self._spelt.get(without_article(number[2]))
        if named is None:
            # "1 or 2" names two, which is none; "3 is so cute" is most likely 3.
            doubtful = any(word in self._spelt or word.isdigit() for word in number[2].split())
            return None if doubtful else Option(key, False)
        return Option(key, True) if named == key else None

    def _nearly(self, bare: str) -> Option | None:
        if bare in self._shared:
            return None
        key = self._near.find(bare)
        if key is None:
            owners = {self._parts.get(part) for part in bare.split()}
            key = owners.pop() if len(owners) == 1 else None
        return None if key is None else Option(key, False)


def without_article(name: str) -> str:
    """`The owl` as people type it: `owl`."""
    return _ARTICLE.sub("", name)


_RUNS_ON = re.compile("[\u2e80-\u9fff\uf900-\ufaff]$")  # Chinese and Japanese
_SEPARATORS = ":,.;!-=#"
_HEAD = re.compile(r"([^\W\d_]+)[\W_]*(.*)", re.DOTALL)
_OPENINGS = re.compile(
    r"(?:i |please |pls |text |send |reply |want |a |the |my )+|(?:请给我|我想要|我要|我想|请|我)\s*"
)
_ARTICLE = re.compile(r"^(?:the|a|an|el|la|los|las|le|les|un|una|une) |^l['’]", re.IGNORECASE)
_BEFORE_CHOICE = re.compile(
    r"^(?:(?:i|my|vote|voting|choose|pick|want|like|is|for|the|number|num|no|nr|option|choice|answer)\b[\s.:#]*)+"
    r"|^(?:我)?(?:[选選投要]|投给|喜欢)?\s*第?\s*"
)
_AFTER_CHOICE = re.compile(r"(?: please| pls| plz| thanks| thank you| one|\s*[号號个個票]|请|谢谢)+$")
_NUMBER_FIRST = re.compile(r"(\d+)[\s\W_]+(.+)", re.DOTALL)

_CHINESE = "零一二三四五六七八九"
_COUNTED = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
    "uno dos tres cuatro cinco seis siete ocho nueve diez",
    "un deux trois quatre cinq six sept huit neuf dix",
    "❶ ❷ ❸ ❹ ❺ ❻ ❼ ❽ ❾ ❿",  # unlike ①, these have no compatibility form
    "一 两",
)
_ZEROS = "٠۰०๐"  # Arabic, Persian, Devanagari and Thai digits, which no compatibility form folds


def _spellings(key: str) -> Iterable[str]:
    """Every way to write a choice's key: `3`, `03`, `three`, `third`, `三`, `tres`, `٣`."""
    yield fold(key)
    if not (key.isascii() and key.isdecimal() and 0 < int(key) < 100):
        return
    number = int(key)
    yield from (str(number), f"{number:02}", _in_chinese(number))
    for words in _COUNTED:
        yield from words.split()[number - 1 : number]
    for zero in _ZEROS:
        yield "".join(chr(ord(zero) + int(digit)) for digit in str(number))


def _in_chinese(number: int) -> str:
    tens, ones = divmod(number, 10)
    if not tens:
        return _CHINESE[ones]
    return ("" if tens == 1 else _CHINESE[tens]) + "十" + (_CHINESE[ones] if ones else "")


class _Near:
    """Words found also with one letter missing, added, wrong, or two swapped (Damerau-Levenshtein distance 1).

    Every word is filed under itself and under each form with one letter left out; two words one slip apart share a
    form. A slip towards two owners is no find.
    """

    def __init__(self, words: Iterable[tuple[str, str]]) -> None:
        self._filed: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for word, owner in words:
            for form in _forms(word):
                self._filed[form].append((word, owner))

    def find(self, typed: str) -> str | None:
        """The owner of the one word at distance 1, or None."""
        if len(typed) > LONGEST_FUZZY:
            return None
        owners = {
            owner
            for form in _forms(typed)
            for word, owner in self._filed.get(form, ())
            if max(len(typed), len(word)) >= SHORTEST_FUZZY and _is_one_slip(typed, word)
        }
        return owners.pop() if len(owners) == 1 else None


def _forms(word: str) -> set[str]:
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _is_one_slip(typed: str, word: str) -> bool:
    if len(typed) == len(word):
        wrong = [at for at, (one, other) in enumerate(zip(typed, word, strict=True)) if one != other]
        if len(wrong) == 2:
            first, second = wrong
            return second == first + 1 and typed[first] == word[second] and typed[second] == word[first]
        return len(wrong) == 1
    longer, shorter = sorted((typed, word), key=len, reverse=True)
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))
