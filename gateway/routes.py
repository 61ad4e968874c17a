"""Decides which sender, and which of its numbers, texts a person; and who takes over when a carrier's way is out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from gateway import numbers
from gateway.config import KEY, Finding, Where
from gateway.quality import NOTHING, Score, Way
from gateway.settings import RouteSettings, SenderSettings
from gateway.wording import either, nearest

CAMPAIGNS, REPLIES = "campaigns", "replies"
LANES = (CAMPAIGNS, REPLIES)
NO_SCORES: Mapping[Way, Score] = {}


class Destination(NamedTuple):
    """Whose phone it is: as the number says, and as it is kept with the person."""

    address: str
    country: str
    line_type: str = ""
    network: str = ""


class Weighed(NamedTuple):
    """A sender that may be used, with all that puts it in its place. `cost` is of one text, in millionths."""

    sender: SenderSettings
    cost: int
    score: Score
    is_out: bool  # its channel carries nothing at this moment


class Decision(NamedTuple):
    """Who may text somebody: the best first. `out` holds the names of all others, each with the reason."""

    rule: RouteSettings | None
    senders: tuple[Weighed, ...]
    out: tuple[tuple[str, str], ...]


# --- the rules -------------------------------------------------------------------------------------------------------


class Router:
    """The rules of the file for one campaign, or for replies.

    `wanted` are the senders that the campaign names, in its order; none: those of the rule. `key` holds all that a
    decision depends on, so that the planner looks most people up instead of deciding anew.
    """

    def __init__(
        self,
        senders: Mapping[str, SenderSettings],
        routes: Iterable[RouteSettings],
        *,
        wanted: Sequence[str] = (),
        campaign: str = "",
        lane: str = CAMPAIGNS,
    ) -> None:
        self._senders, self._wanted = senders, tuple(wanted)
        self.rules = [rule for rule in routes if _concerns(rule, campaign, lane)]
        self.asks_line = any(rule.type or rule.network for rule in self.rules)
        self.asks_cost = any(rule.order == "cost" for rule in self.rules)
        self.asks_quality = any(rule.order == "quality" for rule in self.rules)
        prefixes = frozenset(prefix for rule in self.rules for prefix in rule.prefix)
        self._prefixes = prefixes
        self._lengths = sorted({len(prefix) for prefix in prefixes}, reverse=True)
        self._by_country = not (self.asks_line or prefixes)

    @property
    def names(self) -> list[str]:
        """The senders that anybody may be texted from."""
        named = list(self._wanted) or [name for rule in self.rules for name in rule.senders]
        return [name for name in dict.fromkeys(named) if name in self._senders]

    def key(self, address: str, country: str, line_type: str, network: str) -> Hashable:
        """Equal for people about whom everything is decided alike."""
        if self._by_country:
            return country
        for length in self._lengths:  # the longest prefix that fits tells which of the shorter ones do
            if address[:length] in self._prefixes:
                return country, line_type, network, address[:length]
        return country, line_type, network

    def rule_for(self, to: Destination) -> RouteSettings | None:
        """The first rule of the file that fits."""
        return next((rule for rule in self.rules if fits(rule, to)), None)

    def decide(
        self,
        to: Destination,
        cost: Callable[[SenderSettings], int] = lambda sender: 0,
        scores: Mapping[Way, Score] = NO_SCORES,
        out: Collection[str] = (),
    ) -> Decision:
        """Who may text this phone, the best first, and why the others may not.

        `cost` tells what a text from a sender costs, `scores` what is known of the carriers, `out` which channels
        carry nothing now: their senders come last, for what waits there may still leave. Without a rule the order is
        the campaign's own, whatever happens.
        """
        rule = self.rule_for(to)
        listed = rule.senders if rule else self._wanted
        left_out: list[tuple[str, str]] = []
        weighed: list[Weighed] = []
        for name in dict.fromkeys([*listed, *self._wanted, *self._senders]):
            sender = self._senders.get(name)
            if sender is None:
                continue
            if why := self._against(name, sender, to, rule):
                left_out.append((name, why))
                continue
            score = scores.get((sender.channel, to.country), NOTHING)
            weighed.append(Weighed(sender, cost(sender), score, sender.channel in out))
        if rule:
            weighed.sort(key=_ORDERS[rule.order])
        return Decision(rule, tuple(weighed), tuple(left_out))

    def _against(self, name: str, sender: SenderSettings, to: Destination, rule: RouteSettings | None) -> str:
        """Why a sender may not text this phone; empty if it may."""
        if rule and name not in rule.senders:
            return f"the rule {rule.key} does not name it"
        if self._wanted and name not in self._wanted:
            return "the campaign does not name it"
        if not rule and not self._wanted:
            return "no rule fits"
        if to.country not in sender.countries:
            return f"serves {either(sender.countries)}, not {to.country or 'numbers of no country'}"
        return ""


_ORDERS: Mapping[str, Callable[[Weighed], tuple[object, ...]]] = {  # sorting keeps what is equal as listed
    "listed": lambda one: (one.is_out,),
    "cost": lambda one: (one.is_out, one.cost),
    "quality": lambda one: (one.is_out, one.score.rank),
}


def fits(rule: RouteSettings, to: Destination) -> bool:
    """Whether a phone is one that the rule is about."""
    return (
        (not rule.country or to.country in rule.country)
        and (not rule.prefix or to.address.startswith(rule.prefix))
        and (not rule.type or _counts_as(to.line_type) in rule.type)
        and (not rule.network or to.network in rule.network)
    )


def _concerns(rule: RouteSettings, campaign: str, lane: str) -> bool:
    return rule.lane in (None, lane) and (not rule.campaign or campaign in rule.campaign)


def _counts_as(line_type: str) -> str:
    return "mobile" if line_type == numbers.EITHER else line_type


# --- the number of a pool --------------------------------------------------------------------------------------------


class Chosen(NamedTuple):
    """A number of ours, and why it is this one."""

    number: str
    why: str


KNOWN, LOCAL, SPREAD, ONLY = "they know it", "of their area", "spread evenly", "the only one"


class Pool:
    """The numbers of one sender, and which of them each person gets."""

    def __init__(self, own: Sequence[str]) -> None:
        self.numbers = tuple(own)
        self._seeds = {number: crc32(number.encode()) for number in own}
        self._areas: dict[str, tuple[str, ...]] = {}
        for number in own:
            if area := numbers.area_of(number):
                self._areas[area] = (*self._areas.get(area, ()), number)
        self._lengths = sorted({len(area) for area in self._areas}, reverse=True)

    def choose(self, person: int, address: str, known: Sequence[str] = ()) -> Chosen:
        """The number for a person with this id and phone; `known` are ours that they know, the latest first.

        Known ones first; else the one that shares most digits with the phone, if it shares the area code; else any,
        spread evenly and always the same: a number that comes or goes moves only the people who get or lose it.
        """
        if len(self.numbers) == 1:
            return Chosen(self.numbers[0], ONLY)
        for number in known:
            if number in self._seeds:
                return Chosen(number, KNOWN)
        local = next((found for length in self._lengths if (found := self._areas.get(address[:length]))), ())
        if local:
            most = max(_shared(number, address) for number in local)
            local = tuple(number for number in local if _shared(number, address) == most)
        among = local or self.numbers
        number = among[0] if len(among) == 1 else max(among, key=lambda one: _draw(person, self._seeds[one]))
        return Chosen(number, LOCAL if local else SPREAD)


def _shared(one: str, other: str) -> int:
    """How many characters two numbers have in common from the left."""
    for place, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return place
    return min(len(one), len(other))


def _draw(person: int, seed: int) -> int:
    """A number's lot for a person; the highest wins (rendezvous hashing, with the mixer of SplitMix64)."""
    mixed = (person + 1) * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03 & _WORD
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _WORD
    return mixed ^ mixed >> 31


_WORD = (1 << 64) - 1


# --- taking over -----------------------------------------------------------------------------------------------------

Substitutes = Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]]


def substitutes(senders: Mapping[str, SenderSettings]) -> Substitutes:
    """For each channel and each number of ours on it, the (channel, number) that may carry its texts, best first.

    Of a pool that takes over, each number has the one of its own area, else always the same one. Numbers without a
    fallback are left out.
    """
    pools = {name: Pool(sender.numbers) for name, sender in senders.items()}
    found: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {}
    for sender in senders.values():
        others = [name for name in sender.fallback if name in senders]
        for number in sender.numbers if others else ():
            found.setdefault(sender.channel, {})[number] = tuple(
                (senders[name].channel, pools[name].choose(crc32(number.encode()), number).number) for name in others
            )
    return found


# --- what is wrong in the file ---------------------------------------------------------------------------------------


def fallback_findings(
    senders: Mapping[str, SenderSettings], alphabets: Mapping[str, Collection[str]]
) -> Iterator[Finding]:
    """Senders that could not carry what another hands over: its texts are written, cut and priced already.

    `alphabets` are the national alphabets by channel.
    """
    for key, sender in senders.items():
        for place, name in enumerate(sender.fallback):
            other = senders.get(name)
            why = _not_instead(key, sender, other, alphabets) if other else ""
            if not why and name in sender.fallback[:place]:
                why = f"{name} stands here already"
            if why:
                yield Finding(("senders", key, "fallback", place), why)


def _not_instead(
    key: str, sender: SenderSettings, other: SenderSettings, alphabets: Mapping[str, Collection[str]]
) -> str:
    """Why `other` cannot carry the texts of `sender`; empty if it can."""
    name = other.key
    if name == key:
        return f"{key} cannot stand in for itself; name a sender on another channel"
    if other.channel == sender.channel:
        return f"{name} goes through {other.channel} too, which is what would be out; name one on another channel"
    unserved = [country for country in sender.countries if country not in other.countries]
    if unserved:
        return f"{name} does not serve {either(unserved)}, as {key} does"
    for what in ("begin", "end", "stop_words"):
        mine, its = getattr(sender, what), getattr(other, what)
        if mine != its:
            return f"{name} has another {what} than {key}, and texts that wait are written already; make them equal"
    if set(alphabets.get(other.channel, ())) != set(alphabets.get(sender.channel, ())):
        return f"{other.channel} has other alphabets than {sender.channel}, so its texts would be cut into other parts"
    return ""


def route_findings(
    routes: Mapping[str, RouteSettings],
    senders: Mapping[str, SenderSettings],
    wanted: Mapping[str, Sequence[str]],
) -> Iterator[Finding]:
    """Rules that can never hold, that an earlier one hides, or that leave nobody to send.

    `wanted` are the senders that each campaign names.
    """
    before: list[RouteSettings] = []
    for key, rule in routes.items():
        path: Where = ("routes", key)
        yield from _impossible(path, rule)
        for place, name in enumerate(rule.senders):
            serves = senders[name].countries if name in senders else ()
            if rule.country and serves and not set(serves).intersection(rule.country):
                text = f"{name} serves {either(serves)}, and this rule is for {either(rule.country)}"
                yield Finding((*path, "senders", place), text)
        hides = next((one for one in before if _covers(one, rule)), None)
        if hides is not None:
            text = f"never holds: {hides.key} stands above it and takes everybody whom it is for"
            yield Finding((*path, KEY), text, is_warning=True, see=("routes", hides.key, KEY))
        for campaign, named in wanted.items():
            if not _concerns(rule, campaign, CAMPAIGNS) or set(named).intersection(rule.senders):
                continue
            served = {country for name in named if name in senders for country in senders[name].countries}
            if served.intersection(rule.country or served):
                text = f"whom this rule takes, gets nothing of {campaign}: it names none of these senders"
                yield Finding((*path, "senders"), text, is_warning=True, see=("campaigns", campaign, "senders"))
        before.append(rule)


def _impossible(path: Where, rule: RouteSettings) -> Iterator[Finding]:
    """What no number can fulfil."""
    if rule.campaign and rule.lane == REPLIES:
        yield Finding((*path, "lane"), "a reply belongs to no campaign; take lane out, or campaign")
    codes = [code for country in rule.country if (code := numbers.calling_code(country))]
    for place, prefix in enumerate(rule.prefix):
        if codes and not any(prefix.startswith(code) or code.startswith(prefix) for code in codes):
            begin = f"numbers of {either(rule.country)} begin with {either(dict.fromkeys(codes))}"
            yield Finding((*path, "prefix", place), f'found "{prefix}"; {begin}')
    for place, network in enumerate(rule.network):
        if network not in numbers.networks():  # loads 10 MB, for those who ask for a network only
            near = nearest(network, numbers.networks())
            hint = f"; did you mean {near}?" if near else "; run.py route NUMBER shows the network of a number"
            yield Finding((*path, "network", place), f'no network "{network}" is known{hint}')


def _covers(one: RouteSettings, other: RouteSettings) -> bool:
    """Whether the first takes everybody whom the second is for."""
    return (
        one.lane in (None, other.lane)
        and all(
            not mine or (its and set(its) <= set(mine))
            for mine, its in (
                (one.country, other.country), (one.type, other.type), (one.network, other.network),
                (one.campaign, other.campaign),
            )
        )
        and (not one.prefix or (bool(other.prefix) and all(each.startswith(one.prefix) for each in other.prefix)))
    )  # fmt: skip
