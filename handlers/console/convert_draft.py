"""What another gateway's files say, in our own nouns, with a note about everything that is not as it was."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from campaigns import practice
from gateway.channels.smpp.settings import MOST_BINDS
from gateway.errors import CarillonError

Source = tuple[str, str]  # a file's name and its text

FILL_IN = "FILL_IN"
UNLIMITED = 100.0  # parts a second where the old file sets no limit: enough to begin with, and no flood
LONGEST_ACCOUNT = 15  # system_id and system_type, SMPP 3.4, 4.1.1
LONGEST_SYSTEM_TYPE = 12
OWN_NUMBER = re.compile(r"\+?\d{3,15}|[A-Za-z0-9 ]{1,11}")
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]")


class ConvertError(CarillonError):
    """The file cannot be converted; its text says why, where, and the cure."""


class Place(NamedTuple):
    """Where it stood."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Kind(StrEnum):
    """What a note says has become of something."""

    LOST = "not carried over"
    DIFFERS = "works otherwise"
    UNNEEDED = "not needed"
    TO_DO = "to do"


class Note(NamedTuple):
    """What has become of something, and why or what to do."""

    kind: Kind
    place: Place
    what: str
    why: str


class Given(NamedTuple):
    """A value with its place."""

    text: str
    place: Place


class Setting(NamedTuple):
    """A value as config.yaml shall have it: a text, or a list or map of them."""

    value: object
    comment: str = ""


NO_COUNTRY = Setting(FILL_IN, "two capital letters: how to read a number that is written without +")
NO_PRICE = Setting(FILL_IN, "what one part costs, such as 0.0079 USD per part")
NO_CARRIER = Setting(FILL_IN, "host and port such as smpp.example.net:2775")


@dataclass(slots=True)
class Entry:
    """Something under a name of its own. `aside` are lines that are written below it as comments."""

    place: Place
    settings: dict[str, Setting] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Link:
    """One connection to a carrier over SMPP, or several alike. `rate` is of one of them; None has no limit."""

    name: str
    place: Place
    host: str
    port: str
    account: str
    password: Given | None
    mode: str
    number: Given | None = None
    count: int = 1
    rate: float | None = None
    settings: dict[str, Setting] = field(default_factory=dict)


@dataclass(slots=True)
class Draft:
    """Everything that is written, section by section, in the order of the old files."""

    origin: str  # Kannel or Jasmin
    country: Setting = NO_COUNTRY
    channels: dict[str, Entry] = field(default_factory=dict)
    senders: dict[str, Entry] = field(default_factory=dict)
    routes: dict[str, Entry] = field(default_factory=dict)
    clients: dict[str, Entry] = field(default_factory=dict)
    keywords: dict[str, Entry] = field(default_factory=dict)
    listen: dict[str, Setting] = field(default_factory=dict)
    secrets: dict[str, Given] = field(default_factory=dict)  # by the name of the file that shall hold each
    notes: list[Note] = field(default_factory=list)
    called: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # channels by their old name
    carried: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # senders by their channel
    numbered: dict[str, str] = field(default_factory=dict)  # senders by their number
    spoken: set[str] = field(default_factory=set)  # words of keywords, folded
    counts: dict[tuple[int, str], int] = field(default_factory=dict)  # how often a name was wanted, by section

    def note(self, kind: Kind, place: Place, what: str, why: str) -> None:
        """Say what has become of something."""
        self.notes.append(Note(kind, place, what, why))

    def noted(self, kind: Kind) -> list[Note]:
        """The notes of a kind, in the order of the files."""
        return sorted((note for note in self.notes if note.kind is kind), key=lambda note: note.place)

    def senders_on(self, channels: Iterable[str]) -> list[str]:
        """The senders that these channels carry."""
        return [name for channel in channels for name in self.carried.get(channel, ())]

    def name(self, section: Mapping[str, Entry], text: str, otherwise: str, longest: int = 40) -> str:
        """A name that is like a text and not taken yet in a section."""
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")
        plain = (plain if plain[:1].isalpha() else f"{otherwise}_{plain}".rstrip("_"))[: longest - 6]
        count = self.counts.get((id(section), plain), 1)
        name = plain if count == 1 else f"{plain}_{count}"
        while name in section or name == practice.CHANNEL:
            count += 1
            name = f"{plain}_{count}"
        self.counts[id(section), plain] = count
        return name

    def add_sender(self, name: str, entry: Entry) -> None:
        """Write down a sender."""
        self.senders[name] = entry
        self.carried[str(entry.settings["channel"].value)].append(name)
        self.numbered.setdefault(str(entry.settings["number"].value), name)

    def channels_called(self, old: str) -> list[str]:
        """The channels that an old name stands for; of any case, as Kannel has it."""
        return self.called.get(old.casefold(), [])


def number_of(text: str) -> str:
    """A number or name of ours as config.yaml writes it, or an empty text."""
    bare = re.sub(r"[\s().-]", "", text) if re.fullmatch(r"[\s()+.\d-]+", text) else text.strip()
    bare = re.sub(r"^00", "+", bare)
    return bare if OWN_NUMBER.fullmatch(bare) else ""


# --- carriers --------------------------------------------------------------------------------------------------------


def add_channels(draft: Draft, links: Iterable[Link]) -> None:
    """Make channels of links. Links of one account at one host are lines of one channel, if one of them sends."""
    bundles: dict[tuple[str, str, str], list[Link]] = {}
    for link in links:
        bundles.setdefault((link.host, link.account, link.port), []).append(link)
    _join_receivers(draft, bundles)
    for bundle in bundles.values():
        _add_channel(draft, bundle)


def _join_receivers(draft: Draft, bundles: dict[tuple[str, str, str], list[Link]]) -> None:
    """Put what only receives, at a port of its own, beside what sends for the same account."""
    sending = {key[:2]: key for key, bundle in bundles.items() if not _only_receives(bundle)}
    for key in [key for key, bundle in bundles.items() if _only_receives(bundle)]:
        home = sending.get(key[:2])
        if home is None or not key[1]:
            continue
        moved = bundles.pop(key)
        port = bundles[home][0].port
        why = f"all lines of a channel go to one port, here {port}; ask the carrier whether that one also brings texts"
        draft.note(Kind.DIFFERS, moved[0].place, f"receiver at port {key[2]}", why)
        bundles[home] += moved


def _only_receives(bundle: list[Link]) -> bool:
    return all(link.mode == "receiver" for link in bundle)


def _add_channel(draft: Draft, bundle: list[Link]) -> None:
    first = next((link for link in bundle if link.mode != "receiver"), bundle[0])
    name = draft.name(draft.channels, first.name, "carrier")
    entry = Entry(first.place)
    draft.channels[name] = entry
    for link in bundle:
        if name not in draft.called[link.name.casefold()]:
            draft.called[link.name.casefold()].append(name)
    host = first.host if HOST.fullmatch(first.host) else ""
    port = first.port if re.fullmatch(r"\d{1,5}", first.port) and 0 < int(first.port) < 65536 else ""
    entry.settings |= {
        "kind": Setting("smpp"),
        "carrier": Setting(f"{host}:{port}") if host and port else NO_CARRIER,
        "account": _fitting(draft, first, first.account, LONGEST_ACCOUNT),
        "password_file": _secret(draft, name, first),
        **_lines(draft, bundle),
        "price": NO_PRICE,
        **first.settings,
    }  # fmt: skip
    for link in bundle:
        for key in sorted(
            key for key, each in link.settings.items() if each.value != first.settings.get(key, each).value
        ):
            why = f"the lines of one account are one channel, which has that of {first.place}"
            draft.note(Kind.DIFFERS, link.place, f"{key} of {link.name or link.host}", why)
        if link.number is not None:
            add_sender(draft, link.number, [name])


def _fitting(draft: Draft, link: Link, text: str, longest: int) -> Setting:
    if text and len(text) <= longest:
        return Setting(text)
    draft.note(Kind.TO_DO, link.place, f"account {text!r}", f"expected 1 to {longest} characters (SMPP 3.4, 4.1.1)")
    return Setting(f"{FILL_IN}_ACCOUNT", "the account (system_id) that the carrier gave us")


def _secret(draft: Draft, channel: str, link: Link) -> Setting:
    file = f"secrets/{channel}"
    if link.password is None:
        return Setting(file, "put the carrier's password there")
    draft.secrets[file] = link.password
    return Setting(file, f"put the password of {link.password.place} there")


def _lines(draft: Draft, bundle: list[Link]) -> dict[str, Setting]:
    """How many lines of which kind, and how fast all of them together."""
    modes = [link.mode for link in bundle for _ in range(min(link.count, MOST_BINDS + 1))]
    if len(modes) > MOST_BINDS:
        draft.note(
            Kind.DIFFERS, bundle[0].place, f"{len(modes)} lines or more", f"at most {MOST_BINDS} are held at once"
        )
        modes = modes[:MOST_BINDS]
    comment = ""
    if set(modes) == {"receiver"}:
        why = "a channel needs a line that sends, so this is a transceiver now; ask the carrier whether it may be"
        draft.note(Kind.DIFFERS, bundle[0].place, "a connection that only receives", why)
        modes, comment = ["transceiver"], "only received before"
    sending = [link for link in bundle if link.mode != "receiver"] or bundle
    limits = [link.rate for link in sending]
    per_s = sum(link.rate * link.count for link in sending if link.rate)
    found: dict[str, Setting] = {}
    if set(modes) == {"transceiver"}:
        if len(modes) > 1:
            found["binds"] = Setting(str(len(modes)))
        elif comment:
            found["binds"] = Setting(["transceiver"], comment)
    else:
        found["binds"] = Setting(modes)
    if all(limits) and per_s:
        found["rate"] = Setting(f"{per_s:g}/s" if per_s < 1e6 else f"{per_s:.0f}/s")
    else:
        found["rate"] = Setting(f"{UNLIMITED:g}/s", "no limit stood there; ask the carrier what it takes")
    return found


# --- our numbers -----------------------------------------------------------------------------------------------------


def add_sender(draft: Draft, given: Given, channels: list[str]) -> str:
    """A number or name that texts come from, on the first of these channels; its name in the file, or an empty text."""
    number = number_of(given.text)
    if not number:
        why = "expected a number, or a name of at most 11 letters, digits and spaces"
        draft.note(Kind.LOST, given.place, f"the sender {given.text!r}", why)
        return ""
    known = draft.numbered.get(number)
    if known:
        home = draft.senders[known].settings["channel"].value
        if channels and home not in channels:
            why = f"a number belongs to one channel, here {home}; see fallback in docs/config.md"
            draft.note(Kind.DIFFERS, given.place, f"{number} also on {channels[0]}", why)
        return known
    if not channels and not draft.channels:
        return ""
    name = draft.name(draft.senders, number.removeprefix("+"), "number")
    draft.add_sender(name, _sender(given.place, number, channels[0] if channels else next(iter(draft.channels))))
    return name


def _sender(place: Place, number: str, channel: str, comment: str = "") -> Entry:
    return Entry(place, {
        "number": Setting(number, comment),
        "channel": Setting(channel),
        "countries": Setting([FILL_IN], "whose subscribers it serves, such as [US, CA]"),
    })  # fmt: skip


def complete(draft: Draft, start: Place) -> None:
    """See to what every config needs: a channel, and a sender on each of them."""
    if not draft.channels:
        simulated = Setting("simulator", "no text leaves this machine")
        settings = {"kind": Setting("smpp"), "carrier": simulated, "price": NO_PRICE}
        draft.channels["simulated"] = Entry(start, settings)
        why = "there stands the simulator, so that the rest can be tried; see docs/channels.md"
        draft.note(Kind.TO_DO, start, "no carrier that could be carried over", why)
    for channel, entry in draft.channels.items():
        if not draft.senders_on([channel]):
            name = draft.name(draft.senders, channel, "number")
            draft.add_sender(name, _sender(entry.place, FILL_IN, channel, "the number or name that people see"))
