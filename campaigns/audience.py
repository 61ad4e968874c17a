"""Who of a segment gets a campaign, in which words, and why the others do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import compress
from typing import NamedTuple

import orjson

from campaigns import segments
from campaigns.business import Business, in_ms
from campaigns.gate import CAPPED, HOURS, LEFT, Rule
from campaigns.hours import zone_of
from campaigns.settings import SUBSCRIBER, Campaign, Config, alphabets_of
from gateway import numbers
from gateway.clock import to_ms
from gateway.codecs.national import Alphabet
from gateway.codecs.parts import count, measure
from gateway.codecs.straighten import straighten
from gateway.quality import Score, Way, alike
from gateway.rendering import CompiledText, compile_text
from gateway.routes import NO_SCORES, Chosen, Decision, Destination, Pool, Router
from gateway.settings import SenderSettings
from gateway.store import conditions

NO_CONSENT, NO_SENDER, BUDGET = "no consent", "no sender", "budget"
NO_CODE, COUPON_USED, COUPON_OVER = "no code left", "coupon used", "coupon over"
PERSON_FIELDS = ("first_name", "last_name", "city")
COUPON_FIELDS = ("coupon.link", "coupon.code")
FIRST_ZONE, LAST_ZONE = "Pacific/Kiritimati", "Etc/GMT+12"  # where on earth a time of day comes first, and last
WITHIN_MS = 24 * 3_600_000  # how long a campaign goes out when it does not say


class Member(NamedTuple):
    """One person of the audience, as the query reads it."""

    id: int
    address: str
    country: str
    zone: str
    language: str
    first_name: str
    last_name: str
    city: str
    attributes: str
    stopped_at: int | None
    joined_at: int | None
    reached: bytes | None
    line_type: str = ""
    network: str = ""

    @property
    def destination(self) -> Destination:
        """Their phone, as routes ask about it."""
        return Destination(self.address, self.country, self.line_type, self.network)


# The same person as the planner reads them, with no more than it asks about: id, kind, address; when they left, joined
# and were reached (in hexadecimal, empty where never); first name, last name, city, attributes, each None where no text
# has it. Their kind is all by which people are alike, in one value: country, zone, language, line type, network. A
# plain tuple, as the store hands it on: a name for each place would cost as much as all that is decided.
Brief = tuple[
    int, str, str, int | None, int | None, str | None, str | None, str | None, str | None, str | None
]  # fmt: skip


def in_full(brief: Brief) -> Member:
    """A person as everybody but the planner reads them."""
    person, kind, address, stopped_at, joined_at, reached, first_name, last_name, city, attributes = brief
    country, zone, language, line_type, network = kind.split("|", 4)
    return Member(
        person, address, country, zone, language, first_name or "", last_name or "", city or "", attributes or "{}",
        stopped_at, joined_at, bytes.fromhex(reached) if reached else None, line_type, network,
    )  # fmt: skip


class Wording(NamedTuple):
    """A campaign's text as one sender says it in one language; `plain` is what straightening makes of it."""

    text: CompiledText
    plain: CompiledText | None = None  # None where it would gain nothing
    changes: Mapping[str, str] = {}  # each character that it changes, and into what


class Invitation(NamedTuple):
    """That a member may be texted: from which sender, in which words, not before when."""

    member: Member
    sender: SenderSettings
    text: CompiledText
    price: int  # of one part, in millionths
    due: int


class Crowd(NamedTuple):
    """People of one page who get the same text from the same sender at the same hour, a column for each thing.

    `sample` is the invitation of one of them; all but the member holds for all, and the member's zone. `columns` are
    what is known of them, by field; `texts` and `parts` are empty as long as the text waits for its codes.
    """

    sample: Invitation
    people: Sequence[int]
    addresses: Sequence[str]
    columns: Mapping[str, Sequence[str]]
    texts: Sequence[str] = ()
    parts: Sequence[int] = ()

    @property
    def cost(self) -> int:
        """What their texts cost together, in millionths."""
        return sum(self.parts) * self.sample.price

    def among(self, chosen: Collection[int]) -> Crowd:
        """Those of them who are chosen."""
        keep = [person in chosen for person in self.people]
        return Crowd(
            self.sample,
            [*compress(self.people, keep)],
            [*compress(self.addresses, keep)],
            {field: [*compress(values, keep)] for field, values in self.columns.items()},
            [*compress(self.texts, keep)],
            [*compress(self.parts, keep)],
        )


class Casting:
    """A campaign made ready to decide about a million people: texts compiled, senders looked up, hours at hand."""

    def __init__(self, business: Business, campaign: Campaign) -> None:
        config = business.config
        self.business = business
        self.campaign = campaign
        self.rule = Rule(config.programs[campaign.program])
        self._languages = config.brand.languages
        self.router = Router(config.senders, config.routes.values(), wanted=campaign.senders, campaign=campaign.key)
        self._senders: dict[Hashable, SenderSettings | None] = {}  # who serves people of this kind; None: nobody
        self._scores: Mapping[Way, Score] = NO_SCORES
        self._out: frozenset[str] = frozenset()
        self._asks_prefix = any(rule.prefix for rule in self.router.rules)
        self._pools = {name: Pool(config.senders[name].numbers) for name in self.router.names
                       if config.senders[name].is_pool}  # fmt: skip
        self.alphabets = {name: alphabets_of(channel) for name, channel in config.channels.items()}
        self._fields = (*PERSON_FIELDS, *config.attributes, *(COUPON_FIELDS if campaign.coupon else ()))
        self._texts: dict[tuple[str, str], CompiledText] = {}
        self._wordings: dict[tuple[str, str], Wording] = {}
        self._prices = {name: channel.price.millionths for name, channel in config.channels.items()}
        self._attributes = tuple(config.attributes)
        words = [*campaign.text.texts.values()]
        words += [side for name in self.router.names for side in (config.senders[name].begin, config.senders[name].end)]
        self._mentioned = {field for field in self._fields if any(field in each for each in words)}

    def condition(self, now: int) -> conditions.Condition:
        """Who matches, as of a moment."""
        config, audience = self.business.config, self.campaign.audience
        lookup = segments.Lookup.at(config, now)
        wanted = segments.condition(config.segments[audience.segment], lookup)
        if audience.except_ is None:
            return wanted
        left_out = segments.condition(config.segments[audience.except_], lookup)
        return conditions.All((wanted, conditions.Not(left_out)))

    def decide(self, member: Member, now: int) -> Invitation | str:
        """An invitation, or the reason why this member gets nothing."""
        if member.stopped_at is not None:
            return LEFT
        if member.joined_at is None:
            return NO_CONSENT
        if self.rule.free_at(member.reached, now) > now:
            return CAPPED
        return self.invite(member, now) or NO_SENDER

    def invite(self, member: Member, now: int) -> Invitation | None:
        """The invitation of somebody who may be texted; None when no sender serves them."""
        key = self.router.key(member.address, member.country, member.line_type, member.network)
        language = member.language if member.language in self._languages else self._languages[0]
        if self.router.asks_cost:
            key = key, language
        sender = self._senders[key] if key in self._senders else self._choose(key, member, language)
        return None if sender is None else self.invite_from(sender, member, language, now)

    def invite_from(self, sender: SenderSettings, member: Member, language: str, now: int) -> Invitation:
        """The invitation that this sender would send."""
        text = self._texts.get((sender.key, language)) or self._compile(sender, language)
        due = self.rule.open.opens(member.zone, max(now, self._at(member.zone)))
        return Invitation(member, sender, text, self._prices[sender.channel], due)

    # --- a page at once

    @property
    def asks(self) -> dict[str, int]:
        """Which fields the planner must read of people, 1 or 0 each: those whose names any text has in it anywhere."""
        asks = {field: int(field in self._mentioned) for field in PERSON_FIELDS}
        return asks | {"attributes": int(not self._mentioned.isdisjoint(self._attributes))}

    def cast(self, page: Sequence[Brief], now: int, until: int) -> tuple[list[Crowd], list[tuple[int, str]]]:
        """Decide about a page: as `decide` and `words` do about each of its people, but once for all who are alike.

        Returns the crowds that may be texted, and each other person with the reason. Whose hours come only after
        `until` is refused: the gate would say so later, and better nobody waits for it. A profile showed that nearly
        all time went into doing for each person what comes out alike for most.
        """
        refused: list[tuple[int, str]] = []
        crowds: list[Crowd] = []
        for those in self._by_kind(page, now, refused):
            invitation = self.invite(in_full(those[0]), now)
            if invitation is None or invitation.due >= until:
                reason = NO_SENDER if invitation is None else HOURS
                refused += [(brief[0], reason) for brief in those]
            else:
                crowds.append(self._crowd(invitation, those))
        return crowds, refused

    def _by_kind(self, page: Sequence[Brief], now: int, refused: list[tuple[int, str]]) -> Collection[Sequence[Brief]]:
        """Those who may be texted, put together by all that the router and the hours ask about; the others refused."""
        kinds: defaultdict[Hashable, list[Brief]] = defaultdict(list)
        free_at, asks_prefix = self.rule.free_at, self._asks_prefix
        for brief in page:
            person, kind, _, stopped_at, joined_at, reached, _, _, _, _ = brief
            if stopped_at is not None:
                refused.append((person, LEFT))
            elif joined_at is None:
                refused.append((person, NO_CONSENT))
            elif reached and free_at(bytes.fromhex(reached), now) > now:
                refused.append((person, CAPPED))
            else:
                kinds[self._kind(brief) if asks_prefix else kind].append(brief)
        return kinds.values()

    def _kind(self, brief: Brief) -> Hashable:
        """What people have in common where rules ask for the beginning of a number, too."""
        member = in_full(brief)
        return brief[1], self.router.key(member.address, member.country, member.line_type, member.network)

    def _crowd(self, invitation: Invitation, those: Sequence[Brief]) -> Crowd:
        people, _, addresses, _, _, _, *names, attributes = zip(*those, strict=True)
        columns: dict[str, Sequence[str]] = dict(zip(PERSON_FIELDS, names, strict=True))
        if own := invitation.text.fields.intersection(self._attributes):
            known = [orjson.loads(each) for each in attributes]
            columns |= {field: [each.get(field) or "" for each in known] for field in own}
        crowd = Crowd(invitation, people, addresses, columns)
        return crowd if self.campaign.coupon else self.say(crowd)

    def say(self, crowd: Crowd, coupon: Mapping[str, Sequence[str]] | None = None) -> Crowd:
        """The crowd with its texts and their exact parts; `coupon` are the columns of what a text may say of codes."""
        text, alphabets = crowd.sample.text, self.alphabets[crowd.sample.sender.channel]
        texts = text.render_many({**crowd.columns, **(coupon or {})}, len(crowd.people))
        return crowd._replace(texts=texts, parts=count(texts, alphabets))

    # --- the sender

    def look(self, now: int) -> None:
        """Take a look at the carriers, by which people are routed until the next one: called once a page."""
        if not self.router.rules or (not self.router.asks_quality and self._out == self.business.quality.out):
            return
        scores = self.business.quality.scores(now) if self.router.asks_quality else NO_SCORES
        if self._out != self.business.quality.out or not alike(scores, self._scores):
            self._senders.clear()
        self._scores, self._out = scores, frozenset(self.business.quality.out)

    def route(self, to: Destination, language: str) -> Decision:
        """Who may text this phone in this language, the best first, and why not the others."""
        return self.router.decide(to, lambda sender: self._cost(sender, language), self._scores, self._out)

    def _choose(self, key: Hashable, member: Member, language: str) -> SenderSettings | None:
        found = self.route(member.destination, language).senders
        self._senders[key] = found[0].sender if found else None
        return self._senders[key]

    def _cost(self, sender: SenderSettings, language: str) -> int:
        """What the text costs from this sender, for somebody of whom nothing is known; in millionths."""
        text = self._texts.get((sender.key, language)) or self._compile(sender, language)
        said = text.render(dict.fromkeys(text.fields, ""))
        price: int = self._prices[sender.channel]
        return measure(said, self.alphabets[sender.channel]).parts * price

    @property
    def has_pools(self) -> bool:
        """Whether any sender has several numbers, so that it matters which of them people know."""
        return bool(self._pools)

    def number(self, invitation: Invitation, known: Sequence[str] = ()) -> Chosen:
        """The number that a member is texted from; `known` are those of ours that they know, the latest first."""
        return self.number_for(invitation.sender, invitation.member.id, invitation.member.address, known)

    def number_for(self, sender: SenderSettings, person: int, address: str, known: Sequence[str]) -> Chosen:
        """The number of this sender for a person whom we know only as far as this."""
        return self._pools[sender.key].choose(person, address, known)

    def is_pooled(self, sender: SenderSettings) -> bool:
        """Whether a number of this sender is to be chosen for each person."""
        return sender.key in self._pools

    def looked_at(self, members: Sequence[Member]) -> tuple[list[Member], list[tuple[str, str, int]]]:
        """The members with the kind and the network of their numbers, where a rule asks; and what is new of that.

        People who were known before numbers were looked at are looked at here, once: what is new is kept with them.
        """
        if not self.router.asks_line or all(member.line_type for member in members):
            return list(members), []
        fresh = {each.id: numbers.line_of(each.address) for each in members if not each.line_type}
        seen = [
            member._replace(line_type=line.type, network=line.network) if (line := fresh.get(member.id)) else member
            for member in members
        ]
        return seen, [(line.type, line.network, person) for person, line in fresh.items()]

    def looked_up(self, page: Sequence[Brief]) -> tuple[Sequence[Brief], list[tuple[str, str, int]]]:
        """The same for people as the planner reads them."""
        if not self.router.asks_line:
            return page, []
        _, lines = self.looked_at([in_full(brief) for brief in page])
        fresh = {person: f"{line_type}|{network}" for line_type, network, person in lines}
        return [_with_line(brief, fresh[brief[0]]) if brief[0] in fresh else brief for brief in page], lines

    # --- the words

    def _compile(self, sender: SenderSettings, language: str) -> CompiledText:
        """The text with the sender's own beginning and end, which count in the parts."""
        wording = self.wording(sender, language)
        text = wording.plain if wording.plain and self.campaign.straighten else wording.text
        self._texts[sender.key, language] = text
        return text

    def wording(self, sender: SenderSettings, language: str) -> Wording:
        """The text of a sender in a language, as it was written and straightened."""
        known = self._wordings.get((sender.key, language))
        if known is None:
            words = self.campaign.text.say(language, self._languages)
            begin = "" if words.startswith(sender.begin) else sender.begin
            end = "" if words.endswith(sender.end) else sender.end
            text = compile_text(f"{begin}{words}{end}", self._fields)
            known = self._wordings[sender.key, language] = straightened(text, self.alphabets[sender.channel])
        return known

    def _at(self, zone: str) -> int:
        """When the campaign is due for people of this zone; 0 for at once."""
        send = self.campaign.send
        if not isinstance(send.at, datetime):
            return 0
        where = zone if send.timezone == SUBSCRIBER else send.timezone or self.business.config.brand.timezone
        return to_ms(send.at.replace(tzinfo=zone_of(where)))

    def ends_at(self, zone: str, until: int) -> int:
        """When a text to this zone is too late: at the run's end, or earlier on a subscriber's own clock."""
        if self.campaign.send.timezone != SUBSCRIBER or not (at := self._at(zone)):
            return until
        return min(until, at + lasts_ms(self.campaign))

    def words(self, invitation: Invitation, coupon: Mapping[str, str]) -> tuple[str, int]:
        """The text for one member and its exact parts."""
        return self._said(invitation.text, invitation, coupon)

    def saves(self, invitation: Invitation, coupon: Mapping[str, str], parts: int) -> int:
        """How many parts straightening saves of a text of so many; or would, where the campaign does not straighten."""
        member = invitation.member
        language = member.language if member.language in self._languages else self._languages[0]
        wording = self.wording(invitation.sender, language)
        if wording.plain is None:
            return 0
        other = wording.text if self.campaign.straighten else wording.plain
        return abs(self._said(other, invitation, coupon)[1] - parts)

    def _said(self, text: CompiledText, invitation: Invitation, coupon: Mapping[str, str]) -> tuple[str, int]:
        member = invitation.member
        values = {"first_name": member.first_name, "last_name": member.last_name, "city": member.city, **coupon}
        if self._attributes:
            known = orjson.loads(member.attributes)
            for name in self._attributes:
                values[name] = known.get(name) or ""
        said = text.render(values)
        return said, measure(said, self.alphabets[invitation.sender.channel]).parts

    @property
    def wordings(self) -> Mapping[tuple[str, str], Wording]:
        """The texts that anybody got so far, by sender and language."""
        return self._wordings


def _with_line(brief: Brief, line: str) -> Brief:
    """A person whose number has been looked at; `line` is its kind and network, as they stand at the end of a kind."""
    person, kind, *others = brief
    country, zone, language, _ = kind.split("|", 3)
    return person, f"{country}|{zone}|{language}|{line}", *others  # type: ignore[return-value]  # loses count of others


def straightened(text: CompiledText, alphabets: Sequence[Alphabet] = ()) -> Wording:
    """What straightening makes of the literal words of a text; what is filled in stays as it is.

    Only where all of them become cheap: what stays dear for one letter gains nothing from the others.
    """
    pieces = tuple(straighten(piece, alphabets) for piece in text.pieces)
    slots = tuple(
        slot._replace(otherwise=straighten(slot.otherwise, alphabets)) if slot.otherwise else slot
        for slot in text.slots
    )
    plain = replace(text, pieces=pieces, slots=slots)
    if plain == text or measure(_literal(plain), alphabets).dear:
        return Wording(text)
    kept = set(_literal(plain))
    return Wording(text, plain, {sign: straighten(sign) for sign in dict.fromkeys(_literal(text)) if sign not in kept})


def _literal(text: CompiledText) -> str:
    """All that a marketer wrote into a text."""
    return "".join([*text.pieces, *(slot.otherwise or "" for slot in text.slots)])


def lasts_ms(campaign: Campaign) -> int:
    """How long a campaign goes out after it is due."""
    return in_ms(campaign.send.within) if campaign.send.within else WITHIN_MS


def share(campaign: Campaign, config: Config) -> float:
    """What each channel may send of a campaign's rate, in parts a second: together never more than it. 0 = no limit."""
    return campaign.send.rate.per_s / (len(channels_of(campaign, config)) or 1) if campaign.send.rate else 0.0


def channels_of(campaign: Campaign, config: Config) -> list[str]:
    """The channels that a campaign's texts may leave through."""
    router = Router(config.senders, config.routes.values(), wanted=campaign.senders, campaign=campaign.key)
    return sorted({config.senders[name].channel for name in router.names})


def due_at(campaign: Campaign, brand_timezone: str, now: int, anywhere: str = FIRST_ZONE) -> int:
    """When a campaign is due: now, at its time, or when that time comes `anywhere`; there first, if not said."""
    send = campaign.send
    if not isinstance(send.at, datetime):
        return now
    if send.timezone == SUBSCRIBER:
        return to_ms(send.at.replace(tzinfo=zone_of(anywhere)))
    return to_ms(send.at.replace(tzinfo=zone_of(send.timezone or brand_timezone)))
