"""One brand as it runs now: the applied config.yaml with what is looked up from it at every text and page."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import phonenumbers

from campaigns.client_settings import Client, ClientSettings
from campaigns.settings import Config, Contest, Program
from gateway import numbers, outbox
from gateway.clock import Clock, to_ms
from gateway.ids import Ids
from gateway.messages import Lane
from gateway.quality import Quality
from gateway.rendering import Texts
from gateway.settings import SenderSettings
from gateway.store import Tx
from gateway.values import Calendar, Frequency

STOP = "STOP"
SECRET_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Window:
    """When a contest takes votes, in milliseconds since 1970: from `opens_at` until just before `closes_at`."""

    opens_at: int
    closes_at: int


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity, so that things may be cached for one
class Business:
    """What every rule and every handler is given.

    `queues` are the urgent lanes by channel, `senders` the numbers we send from, `wordings` the ids of the
    consent texts by programme and language, `staff` the places by the number of a shop's own phone, `clients` the
    programs that may talk to us, `quality` what has been measured of the carriers.
    """

    brand: int
    config: Config
    version: int
    ids: Ids
    clock: Clock
    texts: Texts
    secret: bytes
    zone: ZoneInfo
    windows: Mapping[str, Window]
    queues: Mapping[str, int]
    senders: Mapping[str, SenderSettings]
    wordings: Mapping[tuple[str, str], int]
    staff: Mapping[str, str]
    testers: frozenset[str]
    clients: Mapping[str, Client] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)

    def language(self, wanted: str) -> str:
        """The language we use for a reader of `wanted`: theirs if we speak it, else our first."""
        languages = self.config.brand.languages
        if wanted in languages:
            return wanted
        short = wanted.partition("-")[0]
        return short if short in languages else languages[0]

    def say(self, name: str, language: str, /, **values: str) -> str:
        """One of our own texts; the brand's name is filled in."""
        brand = self.config.brand
        return self.texts.say(name, language, brand=brand.name.say(language, brand.languages), **values)

    def stop_word(self, number: str) -> str:
        """The word that ends texts from this sender, as we tell it to people."""
        sender = self.senders.get(number)
        return sender.stop_words[0] if sender and sender.stop_words else STOP

    def often(self, program: Program | None, language: str) -> str:
        """How often a programme writes, in words: its limit over the longest time."""
        limits = [limit for limit in program.at_most if limit.period is not None] if program else []
        if not limits:
            return self.say("often_varies", language)
        longest = max(limits, key=_days)
        days = round(_days(longest))
        name = {1: "often_day", 7: "often_week", 30: "often_month", 31: "often_month"}.get(days)
        if name:
            return self.say(name, language, count=str(longest.count))
        return self.say("often_days", language, count=str(longest.count), days=str(max(days, 1)))


def _days(limit: Frequency) -> float:
    if isinstance(limit.period, Calendar):
        return {Calendar.DAY: 1, Calendar.WEEK: 7, Calendar.MONTH: 30}[limit.period]
    return limit.period.total_seconds() / 86_400 if limit.period else 0


async def open_business(
    tx: Tx, *, brand: int, config: Config, version: int, ids: Ids, clock: Clock, texts: Texts, now: int,
    quality: Quality | None = None,
) -> Business:  # fmt: skip
    """Make a business of an applied config: queues, pools, wordings and the time of its first apply are kept.

    For a config that is applied, not for one that is only looked at: contests that open with the apply do so.
    """
    zone = ZoneInfo(config.brand.timezone)
    queues = {channel: await outbox.ensure_queue(tx, ids, brand, channel, Lane.URGENT) for channel in config.channels}
    windows = {}
    for key, contest in config.contests.items():
        first = int(await remember(tx, brand, f"first_apply:contest:{key}", str(now)))
        windows[key] = window_of(contest, zone, first)
    await tx.many("pool_put", [(key, brand, coupon.codes) for key, coupon in config.coupons.items()])
    return Business(
        brand=brand,
        config=config,
        version=version,
        ids=ids,
        clock=clock,
        texts=texts,
        secret=bytes.fromhex(await remember(tx, brand, "secret", secrets.token_hex(SECRET_OCTETS))),
        zone=zone,
        windows=windows,
        queues=queues,
        senders=by_number(config),
        wordings=await _keep_wordings(tx, brand, config, ids, now),
        staff={
            phone: key for key, place in config.places.items() for phone in _addresses(place.phones, config)
        },
        testers=frozenset(_addresses(config.brand.testers, config)),
        clients={name: await _client(tx, brand, ids, name, each) for name, each in config.clients.items()},
        quality=quality or Quality(),
    )  # fmt: skip


async def _client(tx: Tx, brand: int, ids: Ids, name: str, settings: ClientSettings) -> Client:
    await tx.run("client_put", id=ids.next(), brand=brand, name=name)
    return Client(await tx.value("client_find", brand=brand, name=name), name, settings)


def by_number(config: Config) -> dict[str, SenderSettings]:
    """The senders by each of their numbers."""
    return {number: sender for sender in config.senders.values() for number in sender.numbers}


async def remember(tx: Tx, brand: int, name: str, value: str) -> str:
    """Keep a fact unless it is kept already; returns the one that stands."""
    await tx.run("fact_keep", brand=brand, name=name, value=value)
    kept: str = await tx.value("fact_get", brand=brand, name=name)
    return kept


def window_of(contest: Contest, zone: ZoneInfo, first_apply: int) -> Window:
    """When a contest takes votes; its dates stand on the brand's clock."""
    opening = contest.open
    opens_at = _on_clock(opening.from_, zone) if isinstance(opening.from_, datetime) else first_apply
    if opening.until is not None:
        return Window(opens_at, _on_clock(opening.until, zone))
    return Window(opens_at, opens_at + in_ms(opening.for_ or timedelta()))


def in_ms(span: timedelta) -> int:
    """A span of time in milliseconds."""
    return span // timedelta(milliseconds=1)


def _on_clock(moment: datetime, zone: ZoneInfo) -> int:
    return to_ms(moment.replace(tzinfo=zone))


async def _keep_wordings(tx: Tx, brand: int, config: Config, ids: Ids, now: int) -> dict[tuple[str, str], int]:
    """Each programme's consent text in each language, kept once per wording."""
    wordings = {}
    for key, program in config.programs.items():
        for language in config.brand.languages:
            text = program.consent.say(language, config.brand.languages)
            values = {"brand": brand, "program": key, "language": language, "text": text}
            await tx.run("wording_keep", **values, id=ids.next(), since=now)
            wordings[key, language] = await tx.value("wording_find", **values)
    return wordings


def _addresses(phones: Iterable[str], config: Config) -> list[str]:
    return [numbers.parse(phone, config.brand.country).e164 for phone in phones]


@cache
def dialled(phone: str, country: str) -> str:
    """A telephone number as people dial it at home: `206-555-0100`."""
    parsed = phonenumbers.parse(phone, country)
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return national.replace("(", "").replace(") ", "-")
