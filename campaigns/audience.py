"""Who of a segment gets a campaign, in which words, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import orjson

from campaigns import segments
from campaigns.business import Business, in_ms
from campaigns.gate import CAPPED, LEFT, Rule
from campaigns.hours import zone_of
from campaigns.settings import SUBSCRIBER, Campaign, Config
from gateway.clock import to_ms
from gateway.codecs.parts import measure
from gateway.rendering import CompiledText, compile_text
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


class Invitation(NamedTuple):
    """That a member may be texted: from which sender, in which words, not before when."""

    member: Member
    sender: SenderSettings
    text: CompiledText
    price: int  # of one part, in millionths
    due: int


class Casting:
    """A campaign made ready to decide about a million people: texts compiled, senders by country, hours at hand."""

    def __init__(self, business: Business, campaign: Campaign) -> None:
        config = business.config
        self.business = business
        self.campaign = campaign
        self.rule = Rule(config.programs[campaign.program])
        self._languages = config.brand.languages
        self._senders: dict[str, SenderSettings] = {}
        for name in reversed(campaign.senders):  # the first named serves where two could
            sender = config.senders[name]
            self._senders |= dict.fromkeys(sender.countries, sender)
        self._fields = (*PERSON_FIELDS, *config.attributes, *(COUPON_FIELDS if campaign.coupon else ()))
        self._texts: dict[tuple[str, str], CompiledText] = {}
        self._prices = {name: channel.price.millionths for name, channel in config.channels.items()}
        self._attributes = tuple(config.attributes)

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
        """The invitation of somebody who may be texted; None when no sender serves their country."""
        sender = self._senders.get(member.country)
        if sender is None:
            return None
        language = member.language if member.language in self._languages else self._languages[0]
        text = self._texts.get((sender.key, language)) or self._compile(sender, language)
        due = self.rule.open.opens(member.zone, max(now, self._at(member.zone)))
        return Invitation(member, sender, text, self._prices[sender.channel], due)

    def _compile(self, sender: SenderSettings, language: str) -> CompiledText:
        """The text with the sender's own beginning and end, which count in the parts."""
        words = self.campaign.text.say(language, self._languages)
        begin = "" if words.startswith(sender.begin) else sender.begin
        end = "" if words.endswith(sender.end) else sender.end
        text = compile_text(f"{begin}{words}{end}", self._fields)
        self._texts[sender.key, language] = text
        return text

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
        member = invitation.member
        text = invitation.text
        values = {"first_name": member.first_name, "last_name": member.last_name, "city": member.city, **coupon}
        if self._attributes:
            known = orjson.loads(member.attributes)
            for name in self._attributes:
                values[name] = known.get(name) or ""
        said = text.render(values)
        return said, measure(said).parts


def lasts_ms(campaign: Campaign) -> int:
    """How long a campaign goes out after it is due."""
    return in_ms(campaign.send.within) if campaign.send.within else WITHIN_MS


def share(campaign: Campaign, config: Config) -> float:
    """What each channel may send of a campaign's rate, in parts a second: together never more than it. 0 = no limit."""
    channels = {config.senders[name].channel for name in campaign.senders}
    return campaign.send.rate.per_s / len(channels) if campaign.send.rate else 0.0


def due_at(campaign: Campaign, brand_timezone: str, now: int, anywhere: str = FIRST_ZONE) -> int:
    """When a campaign is due: now, at its time, or when that time comes `anywhere`; there first, if not said."""
    send = campaign.send
    if not isinstance(send.at, datetime):
        return now
    if send.timezone == SUBSCRIBER:
        return to_ms(send.at.replace(tzinfo=zone_of(anywhere)))
    return to_ms(send.at.replace(tzinfo=zone_of(send.timezone or brand_timezone)))
