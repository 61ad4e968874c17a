"""Judges texts that programs ask for: from which of our numbers, at what price, or why not."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from campaigns import practice
from campaigns.business import Business
from campaigns.client_settings import Client
from campaigns.people import CHINA, CHINESE, zone_of
from campaigns.settings import alphabets_of
from campaigns.wishes import Outcome, Refused, Result, Submission, Taken, Why, Wish
from gateway import numbers, outbox
from gateway.channels import AnyCarrier
from gateway.codecs import parts
from gateway.messages import Content, Lane, Purpose
from gateway.routes import Destination, Pool, Router
from gateway.settings import SenderSettings
from gateway.store import Tx
from gateway.wording import either

GOOD_FOR_MS = 24 * 3_600_000
MOST_LETTERS = 1_600  # as a text of a campaign
LANDLINE = "landline"
MARKETING, SERVICE = Purpose.MARKETING.value, Purpose.SERVICE.value


Asked = tuple[str, Mapping[str, object]]  # a query and its values
Rows = tuple[str, list[tuple[Any, ...]]]  # a plain insert and its rows


class Standing(NamedTuple):
    """A phone as far as it decides about a text to it."""

    person: int
    country: str
    zone: str
    line_type: str
    network: str
    stopped_at: int | None


class Way(NamedTuple):
    """The sender that texts from a client to some kind of phone leave from."""

    sender: SenderSettings
    number: str  # empty: to be chosen from its pool for each person
    price: int
    alphabets: tuple[Any, ...]


@dataclass(slots=True)
class Batch:
    """The wishes of one transaction: what is known of their phones, and the rows that they become."""

    business: Business
    now: int
    is_new: bool = False
    queues: set[int] = field(default_factory=set)
    people: dict[str, Standing | str] = field(default_factory=dict)  # by the number as written; or why it is none
    spelled: dict[str, str] = field(default_factory=dict)  # the number as written, and as it is kept
    consents: dict[str, set[int]] = field(default_factory=dict)
    known: dict[int, list[str]] = field(default_factory=dict)
    ways: dict[Hashable, Way | Refused] = field(default_factory=dict)
    sizes: dict[tuple[str, tuple[Any, ...], Content | None], int] = field(default_factory=dict)
    messages: dict[tuple[int, str, Lane, int], list[tuple[Any, ...]]] = field(default_factory=dict)
    submitted: list[tuple[Any, ...]] = field(default_factory=list)
    clients: dict[int, Client] = field(default_factory=dict)
    contents: list[tuple[str, int]] = field(default_factory=list)  # of messages that are more than letters
    made: list[tuple[Any, ...]] = field(default_factory=list)  # people, in the order of their addresses
    waits: dict[tuple[int, str, Lane, int], int] = field(default_factory=dict)  # the queues of the clients

    # --- reading

    async def look_up(self, tx: Tx, submissions: Sequence[Submission], *others: Asked) -> list[list[tuple[Any, ...]]]:
        """What most wishes need to be decided about, with what else is asked for: the rows of that come back."""
        wishes = [(each.is_test, wish.to) for each in submissions for wish in each.wishes]
        self._spell({to for _, to in wishes})
        real = {self.spelled[to] for is_test, to in wishes if not is_test and to in self.spelled}
        self.clients = {each.client.id: each.client for each in submissions}
        brand = self.business.brand
        people, queues, *found = await tx.look(
            ("submission_people", {"brand": brand, "addresses": [*real]}),
            ("queues_of_runs", {"brand": brand, "runs": [*self.clients]}),
            *others,
        )
        for row in people:
            self.people[row[0]] = Standing._make(row[1:])
        self.waits = {(run, channel, Lane(lane), shard): id_ for run, channel, lane, shard, id_ in queues}
        return found

    async def complete(self, tx: Tx, submissions: Sequence[Submission]) -> None:
        """What is left to ask for these: who has said yes, what number they know; and make people of unknown phones."""
        wishes = [(each, wish) for each in submissions for wish in each.wishes]
        addresses = {self.spelled[wish.to] for each, wish in wishes if not each.is_test and wish.to in self.spelled}
        self._make(sorted(addresses.difference(self.people)))
        programs: dict[str, set[int]] = {}
        for each, wish in wishes:
            program = each.client.settings.program or "" if wish.program is None else wish.program
            standing = self.people.get(self.spelled.get(wish.to, ""))
            if program and isinstance(standing, Standing):
                programs.setdefault(program, set()).add(standing.person)
        for program, people in programs.items():
            rows = await tx.rows("submission_consent", people=[*people], program=program)
            self.consents[program] = {person for (person,) in rows}
        if any(sender.is_pool for sender in self.business.config.senders.values()):
            people = {each.person for each in self.people.values() if isinstance(each, Standing)}
            for person, number in await tx.rows("submission_known", people=[*people]):
                self.known.setdefault(person, []).append(number)

    def _spell(self, written: Iterable[str]) -> None:
        country = self.business.config.brand.country
        for text in written:
            if numbers.SHAPE.fullmatch(text):
                self.spelled[text] = text
                continue
            try:
                self.spelled[text] = numbers.parse(text, country).e164
            except numbers.BadNumber as error:
                self.people[text] = error.reason

    def _make(self, addresses: Iterable[str]) -> None:
        """People of phones that we do not know; written with the batch."""
        business, made = self.business, []
        for address in addresses:
            try:
                number = numbers.parse(address, business.config.brand.country)
            except numbers.BadNumber as error:
                self.people[address] = error.reason
            else:
                made.append(number)
        for id_, number in zip(business.ids.take(len(made)), made, strict=True):
            line = numbers.line_of(number.e164)
            zone, language = (
                zone_of(business, number.zone),
                business.language(CHINESE if number.country == CHINA else ""),
            )
            self.people[number.e164] = Standing(id_, number.country, zone, line.type, line.network, None)
            self.made.append(
                (id_, business.brand, number.e164, number.country, zone, line.type, line.network, language, self.now)
            )

    # --- deciding

    def decide(self, submission: Submission) -> Result:
        """What becomes of each wish; those that are taken are written with the batch."""
        outcomes: list[Outcome] = []
        drafts: list[tuple[Wish, Draft]] = []
        judge = self._practise if submission.is_test else self._judge
        for wish in submission.wishes:
            draft = judge(submission.client, wish)
            if isinstance(draft, Refused):
                outcomes.append(draft)
            else:
                drafts.append((wish, draft))
                outcomes.append(draft.taken)
        if submission.is_all_or_none and len(drafts) < len(outcomes):
            other = Refused(Why.NOT_ALL, "another text of the same call was refused, and all or none were asked for")
            return Result([each if isinstance(each, Refused) else other for each in outcomes])
        ids = self.business.ids.take(len(drafts))
        fresh = iter(ids)
        outcomes = [each if isinstance(each, Refused) else Taken(next(fresh), *each[1:]) for each in outcomes]
        for id_, (wish, draft) in zip(ids, drafts, strict=True):
            self._draft(submission, id_, wish, draft)
        return Result(outcomes)

    def _judge(self, client: Client, wish: Wish) -> Draft | Refused:
        """A wish with a real key."""
        address = self.spelled.get(wish.to)
        standing = self.people.get(wish.to if address is None else address, "no number that we could reach")
        if isinstance(standing, str) or address is None:
            return Refused(Why.BAD_NUMBER, f'"{wish.to[:40]}": {standing}')
        if standing.line_type == LANDLINE:
            return Refused(Why.LANDLINE, f"{address} is a landline, which gets no texts; give a mobile number")
        if bad := _bad_text(wish.text, wish.content):
            return bad
        if standing.stopped_at is not None:
            return Refused(Why.LEFT, f"{address} has opted out; only a START from that phone lifts it")
        program = client.settings.program or "" if wish.program is None else wish.program
        if program:
            if program not in self.business.config.programs:
                return Refused(Why.NO_PROGRAM, f'no programme "{program}" stands in config.yaml')
            if standing.person not in self.consents[program]:
                return Refused(Why.NO_CONSENT, f"{address} has not said yes to {program}")
        way = self._way(client, wish.sender, address, standing, wish.content)
        if isinstance(way, Refused):
            return way
        return self._sized(wish, way, address, program, standing)

    def _practise(self, client: Client, wish: Wish) -> Draft | Refused:
        """A wish with a test key: judged by its number alone, and no person is made or asked about."""
        address = self.spelled.get(wish.to)
        if address is None:
            return Refused(Why.BAD_NUMBER, f'"{wish.to[:40]}": {self.people[wish.to]}')
        if why := practice.refusal(address):
            return Refused(Why(why), f"{address} is a number for tests, for which this is the answer")
        if bad := _bad_text(wish.text, wish.content):
            return bad
        is_any = wish.sender in ("", practice.SENDER)
        sender = _senders(self.business, client.name)[0] if is_any else self._named(client, wish.sender)
        if sender is None:
            return _not_yours(self.business, client, wish.sender)
        number = wish.sender if wish.sender in (*sender.numbers, practice.SENDER) else sender.number
        way = Way(sender, number, 0, ())
        country = numbers.country_at_once(address)
        standing = Standing(0, country, self.business.config.brand.timezone, "", "", None)
        draft = self._sized(wish, way, address, "", standing)
        if isinstance(draft, Draft):
            draft.taken = draft.taken._replace(channel=practice.CHANNEL)
        return draft

    def _named(self, client: Client, wanted: str) -> SenderSettings | None:
        """The sender of this number, name or key, if the client may use it."""
        business = self.business
        sender = business.senders.get(wanted) or business.config.senders.get(wanted)
        own = client.settings.senders
        return sender if sender and (not own or sender.key in own) else None

    def _way(self, client: Client, wanted: str, address: str, to: Standing, content: Content | None) -> Way | Refused:
        router = _router(self.business, client.name)
        load = content and (content.needs, content.is_shown_otherwise)
        key = client.id, wanted, load, router.key(address, to.country, to.line_type, to.network)
        way = self.ways.get(key)
        if way is None:
            way = self.ways[key] = self._find_way(client, router, wanted, address, to, content)
        if isinstance(way, Way) and not way.number:
            number = _pool(way.sender.numbers).choose(to.person, address, self.known.get(to.person, ())).number
            return way._replace(number=number)
        return way

    def _find_way(
        self, client: Client, router: Router, wanted: str, address: str, to: Standing, content: Content | None
    ) -> Way | Refused:
        business, carriers = self.business, self.business.config.channels
        pictures = bool(content and content.media)
        if wanted:
            sender = self._named(client, wanted)
            if sender is None:
                return _not_yours(business, client, wanted)
            if to.country not in sender.countries:
                text = (
                    f"{sender.key} serves {either(sender.countries)}, and {address} is of {to.country or 'no country'}"
                )
                return Refused(Why.NO_SENDER, text)
            number = wanted if wanted in sender.numbers else ""
            if content and not content.needs <= carriers[sender.channel].carries:
                return _cannot_carry(
                    business, client, content, f"{sender.channel}, the channel of {sender.key}, carries no"
                )
        else:
            scores = business.quality.scores(self.now) if router.asks_quality else {}
            found = router.decide(
                Destination(address, to.country, to.line_type, to.network),
                lambda sender: _price(carriers[sender.channel], pictures=pictures), scores, business.quality.out,
            )  # fmt: skip
            weighed = found.senders
            if not weighed:
                text = f"none of the senders of {client.name} serves {to.country or 'numbers of no country'}"
                return Refused(Why.NO_SENDER, text)
            if content:
                weighed = tuple(each for each in weighed if content.needs <= carriers[each.sender.channel].carries)
                if not weighed:
                    served = to.country or "numbers of no country"
                    return _cannot_carry(business, client, content, f"no channel that serves {served} carries")
                if content.is_shown_otherwise and (found.rule is None or found.rule.order == "listed"):
                    # One that shows it so, where there is any that works; what is cheaper or better goes before that.
                    weighed = tuple(
                        sorted(weighed, key=lambda each: (each.is_out, not carriers[each.sender.channel].shows_class))
                    )
            sender, number = weighed[0].sender, ""
        carrier = carriers[sender.channel]
        if not number and not sender.is_pool:
            number = sender.number
        return Way(sender, number, _price(carrier, pictures=pictures), alphabets_of(carrier))

    def _sized(self, wish: Wish, way: Way, address: str, program: str, to: Standing) -> Draft | Refused:
        sender, text, content = way.sender, wish.text, wish.content
        if content is not None and content.is_for_a_program:
            text = content.shown(text)
        else:
            if sender.begin and not text.startswith(sender.begin):
                text = sender.begin + text
            if program and sender.end and not text.endswith(sender.end):
                text += sender.end
        key = text, way.alphabets, content
        size = self.sizes.get(key)
        if size is None:
            try:
                size = self.sizes[key] = _size(text, way.alphabets, content)
            except ValueError as error:
                return Refused(Why.TOO_LONG, str(error))
        if not size or size > outbox.MOST_PARTS:
            return _too_long(text, content, size)
        due = max(wish.send_at, self.now)
        until = wish.valid_until or due + GOOD_FOR_MS
        if until <= due:
            return Refused(Why.TOO_LATE, "it would be void before it could leave; give it a later end")
        taken = Taken(0, address, way.number, sender.channel, size, size * way.price, due)
        return Draft(taken, text, program, to.person, to.zone, until, content)

    # --- writing

    def _draft(self, submission: Submission, id_: int, wish: Wish, draft: Draft) -> None:
        client, taken, program = submission.client, draft.taken, draft.program
        lane = Lane.URGENT if wish.urgent else Lane.BULK
        repeat = int(wish.urgent if wish.repeat is None else wish.repeat)
        if draft.content is not None:
            repeat |= outbox.MORE
            self.contents.append((draft.content.written(), id_))
        self.messages.setdefault((client.id, taken.channel, lane, taken.due), []).append(
            (
                id_, self.business.brand, client.id, draft.person, MARKETING if program else SERVICE, program,
                taken.channel, taken.sender, taken.to, draft.zone, draft.text, taken.parts, taken.price, draft.until,
                repeat, 0,
            )
        )  # fmt: skip
        self.submitted.append(
            (
                client.id, id_, self.business.brand, int(submission.is_test), wish.reference.replace("\0", ""),
                wish.callback.replace("\0", ""),
            )
        )  # fmt: skip

    async def write(self, tx: Tx, *others: Rows) -> None:
        """Messages into their queues, and whose they are; with rows of other tables."""
        carriers = self.business.config.carriers
        fillings = []
        for (client, channel, lane, due), messages in self.messages.items():
            slots = carriers[channel].slots if lane is Lane.BULK and channel in carriers else 1
            share = -(-len(messages) // slots)
            turn = messages[0][0] if len(messages) < slots else 0  # single texts take turns
            for slot in range(slots):
                piece = messages[slot * share : (slot + 1) * share]
                if piece:
                    key = client, channel, lane, (slot + turn) % slots
                    if key not in self.waits:
                        self.waits[key] = await self._queue(tx, *key, slots)
                    self.queues.add(self.waits[key])
                    fillings.append(outbox.Filling(self.waits[key], due, piece))
        await outbox.put_all(tx, fillings, ("person_insert", self.made), ("submission_insert", self.submitted), *others)
        if self.contents:
            await tx.many("message_content_set", self.contents)

    async def _queue(self, tx: Tx, client: int, channel: str, lane: Lane, shard: int, slots: int) -> int:
        self.is_new = True
        rate = self.clients[client].settings.rate
        pace = rate.per_s / slots if rate and lane is Lane.BULK else 0
        business = self.business
        return await outbox.ensure_queue(
            tx, business.ids, business.brand, channel, lane, run=client, rate=pace, shard=shard
        )  # fmt: skip


@dataclass(slots=True)
class Draft:
    """A wish that is granted, before it has its id."""

    taken: Taken
    text: str
    program: str
    person: int
    zone: str
    until: int
    content: Content | None = None


def _size(text: str, alphabets: Sequence[Any], content: Content | None) -> int:
    """The parts of a message, one with pictures; 0 for too many letters. Raises ValueError for other bounds."""
    if len(text) > MOST_LETTERS:
        return 0
    if content is None:
        return parts.measure(text, alphabets).parts
    return 1 if content.media else parts.count_content(text, content, alphabets)


def _too_long(text: str, content: Content | None, size: int) -> Refused:
    if content is not None and content.octets is not None:
        what = f"{len(content.octets):,} octets are {size:,} parts with this header; {outbox.MOST_PARTS} are the most"
        return Refused(Why.TOO_LONG, what)
    return Refused(Why.TOO_LONG, f"a text of {len(text):,} characters; {MOST_LETTERS:,} are the most")


def _price(carrier: AnyCarrier, *, pictures: bool) -> int:
    """Of a part, or of a message with pictures, in millionths."""
    return (carrier.media_price if pictures else carrier.price).millionths


def _cannot_carry(business: Business, client: Client, content: Content, who: str) -> Refused:
    carriers = business.config.channels
    others = [each.key for each in _senders(business, client.name) if content.needs <= carriers[each.channel].carries]
    cure = (
        f"these senders can: {', '.join(others)}" if others else "add a channel that can, or put a link into the text"
    )
    return Refused(Why.CANNOT_CARRY, f"{who} {either(sorted(content.needs))}; {cure}")


def _bad_text(text: str, content: Content | None) -> Refused | None:
    if (not text or text.isspace()) and (content is None or content.is_empty):
        return Refused(Why.NO_TEXT, "the text is empty")
    if len(text) > MOST_LETTERS:
        return Refused(Why.TOO_LONG, f"a text of {len(text):,} characters; {MOST_LETTERS:,} are the most")
    if content is not None and (excess := content.excess()):
        return Refused(Why.TOO_LONG, excess)
    if "\0" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        return Refused(Why.BAD_TEXT, "the text holds a character that no phone can show (NUL, or half of a pair)")
    return None


def _not_yours(business: Business, client: Client, wanted: str) -> Refused:
    may = [sender.number for sender in _senders(business, client.name)]
    return Refused(Why.NOT_YOURS, f'{client.name} may not send from "{wanted[:40]}"; it may from {either(may)}')


@lru_cache(256)
def _senders(business: Business, client: str) -> tuple[SenderSettings, ...]:
    own = business.clients[client].settings.senders
    return tuple(sender for key, sender in business.config.senders.items() if not own or key in own)


@lru_cache(256)
def _router(business: Business, client: str) -> Router:
    config = business.config
    wanted = business.clients[client].settings.senders or tuple(config.senders)
    return Router(config.senders, config.routes.values(), wanted=wanted)


@lru_cache(256)
def _pool(own: tuple[str, ...]) -> Pool:
    return Pool(own)
