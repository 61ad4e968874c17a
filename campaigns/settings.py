"""What a marketer writes in config.yaml: programmes, segments, campaigns, contests, coupons, keywords and pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from campaigns import checks, practice
from campaigns.client_settings import ClientSettings, client_findings
from campaigns.maps import to_wgs84
from campaigns.segment_language import Segment, read_segment
from gateway.channels import AnyCarrier, BuiltIn
from gateway.channels.base import CarrierSettings
from gateway.codecs.national import Alphabet
from gateway.config import KEY, Document, Finding, Name, Named, Settings, Where, wrong
from gateway.routes import Router, fallback_findings, route_findings
from gateway.settings import (
    Brand,
    Listen,
    RouteSettings,
    SenderSettings,
    Simulator,
    StorePlace,
    is_loopback,
    is_only_here,
)
from gateway.shared import SharedPlace
from gateway.values import (
    MOMENT,
    As,
    Distance,
    Duration,
    Frequency,
    HostPort,
    Hours,
    LocalText,
    Money,
    PhoneNumber,
    Rate,
    TimeZone,
    duration_text,
    is_date_only,
    parse_moment,
    parse_timezone,
)
from gateway.wording import found

ProgramName = Annotated[str, Name("programs")]
SegmentName = Annotated[str, Name("segments")]
SenderName = Annotated[str, Name("senders")]
PlaceName = Annotated[str, Name("places")]
CouponName = Annotated[str, Name("coupons")]
ContestName = Annotated[str, Name("contests")]

APPLY: Literal["apply"] = "apply"
PRACTICE = BuiltIn()
SUBSCRIBER = "subscriber"
LEAST_RETENTION = timedelta(days=9)  # a receipt finds its text for eight days (gateway.journal.REF_MS)
SEND_AGAIN = "send again"
InDoubt = Literal["leave", "send again"]


def _start(text: str) -> datetime | str:
    return APPLY if text == APPLY else parse_moment(text)


def _end(text: str) -> datetime:
    """The moment at which it is over: a day that is named alone is included."""
    moment = parse_moment(text)
    return moment + timedelta(days=1) if is_date_only(text) else moment


def _clock(text: str) -> str:
    return text if text == SUBSCRIBER else parse_timezone(text)


Start = Annotated[
    datetime | Literal["apply"],
    As(_start, f"apply, or {MOMENT}", (APPLY, "2027-03-20 10:00"), kinds=(datetime,)),
]
End = Annotated[datetime, As(_end, MOMENT, ("2027-03-21",))]
SendClock = Annotated[str, As(_clock, "subscriber, or a time zone", (SUBSCRIBER, "Asia/Shanghai"))]
AnySegment = Annotated[Segment, PlainValidator(read_segment, json_schema_input_type=Any)]


class Program(Named):
    """What a person says yes to."""

    name: LocalText = Field(description="The name that people read.")
    consent: LocalText = Field(description="What a person agrees to; kept with every yes.")
    at_most: tuple[Frequency, ...] = Field((), description="How many marketing texts a person gets at most.")
    hours: Hours = Field(Hours(9 * 60, 20 * 60), description="When they may be texted, in the subscriber's own zone.")

    @model_validator(mode="after")
    def _within_one_day(self) -> Self:
        if self.hours.begin > self.hours.end:
            text = f"found {self.hours}, which goes through the night; expected hours such as 9:00-20:00"
            raise wrong([(("hours",), text)])
        return self


class AttributeSettings(Named):
    """A column of the customer file beyond name, birthday, gender, city and language."""

    values: tuple[str, ...] = Field(description="The values that it may have. Empty: any.")

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        if value == "text":
            return {"values": ()}
        if not isinstance(value, list) or not value:
            raise ValueError(f"found {found(value)}, expected the list of its values such as [gold, silver], or: text")
        return {"values": value}


def _position(value: object) -> object:
    if isinstance(value, list | tuple) and len(value) == 2:
        return tuple(value)
    raise ValueError(f"found {found(value)}, expected [latitude, longitude] such as [47.6097, -122.3425]")


def _long_enough(span: timedelta) -> timedelta:
    if span < LEAST_RETENTION:
        least = f"{duration_text(LEAST_RETENTION)} or more, since carriers' receipts are awaited for eight days"
        raise ValueError(f"found {duration_text(span)}, expected {least}")
    return span


def _on_earth(at: tuple[float, float]) -> tuple[float, float]:
    latitude, longitude = at
    if abs(latitude) <= 90 and abs(longitude) <= 180:
        return at
    could_swap = abs(latitude) <= 180 and abs(longitude) <= 90
    hint = f"is it swapped? [{longitude:g}, {latitude:g}]" if could_swap else "expected [latitude, longitude]"
    raise ValueError(f"[{latitude:g}, {longitude:g}] is nowhere on earth; {hint}")


class Place(Named):
    """A shop: where it is, when it is open, and the PIN of its till."""

    name: LocalText = Field(description="The name that people read.")
    at: Annotated[tuple[float, float], BeforeValidator(_position), AfterValidator(_on_earth)] = Field(
        description="[latitude, longitude]; kept in WGS 84.", examples=[[47.6097, -122.3425]]
    )
    map: Literal["wgs84", "gcj02"] = Field(
        "wgs84", description="The map that `at` was read from: gcj02 for maps made in China."
    )
    radius: Distance = Field(500.0, description="Who counts as near.")
    open: Hours = Field(Hours(0, 24 * 60), description="The opening hours, in the place's zone.")
    timezone: TimeZone | None = Field(None, description="The place's zone; else the brand's.")
    till_pin: str | None = Field(
        None, description="What staff sign in with at the till: 4 to 8 digits.", pattern=r"^\d{4,8}$", examples=["2468"]
    )
    phones: tuple[PhoneNumber, ...] = Field((), description="The shop's own phones, which may redeem by text.")

    @model_validator(mode="after")
    def _in_wgs84(self) -> Self:
        if self.map == "gcj02":
            # Kept in one system from here on, so that nobody shifts a place twice.
            object.__setattr__(self, "at", to_wgs84(*self.at))
            object.__setattr__(self, "map", "wgs84")
        return self


class Coupon(Named):
    """A unique code for each person, redeemed once at a till."""

    offer: LocalText = Field(description="What it is good for, as people read it.")
    codes: int = Field(description="How many codes there are.", ge=1, le=100_000_000, examples=[5000])
    per_person: int = Field(
        1, description="How many one person may have; asking again shows the same code.", ge=1, le=100
    )
    valid: Duration = Field(
        description="How long it is good from the day it is given, through closing time of the last day."
    )
    places: tuple[PlaceName, ...] = Field((), description="Where it may be redeemed; none named: everywhere.")


class Audience(Settings):
    """Who a campaign is for."""

    later: ClassVar[dict[str, str]] = {"hold_out": "hold-out groups come with experiments"}

    segment: SegmentName = Field(description="The segment that gets it.")
    except_: SegmentName | None = Field(None, alias="except", description="The segment that is left out.")


class Send(Settings):
    """When and how fast a campaign leaves."""

    at: Start = Field(APPLY, description="apply: at once; or a date and a time on the clock of `timezone`.")
    timezone: SendClock | None = Field(
        None, description="The clock of `at`: a zone, or subscriber for each person's own; else the brand's."
    )
    rate: Rate | None = Field(None, description="How many leave in a second; else as fast as the channels carry.")
    within: Duration | None = Field(None, description="What has not left after this time is dropped.")


class Campaign(Named):
    """Texts to a segment of a programme's subscribers. The key is the campaign's identity."""

    later: ClassVar[dict[str, str]] = {
        "hold_out": "hold-out groups come with experiments",
        "goal": "goals come with experiments",
        "then": "follow-ups come later",
        "variants": "variants come with experiments; for one text say text: {en: ..., zh: ...}",
        "channels": "push comes later; senders name the channel so far",
    }

    program: ProgramName = Field(description="The programme whose subscribers said yes to it.")
    audience: Audience = Field(description="Who it is for.")
    senders: tuple[SenderName, ...] = Field(
        (),
        description="The senders; each person gets it from the first that serves their country, or from the one that "
        "routes prefer among these. May be left out where routes name the senders.",
        min_length=1,
    )
    send: Send = Field(Send(), description="When and how fast it leaves.")
    budget: Money | None = Field(
        None, description="What its texts may cost; whoever would exceed it is not texted, with that reason."
    )
    coupon: CouponName | None = Field(None, description="The coupon that {{ coupon.link }} and {{ coupon.code }} show.")
    text: LocalText = Field(description="What people read; {{ first_name or 'friend' }} puts in a field.")
    straighten: bool = Field(
        False,
        description="Write curly quotes, dashes and the like plainly where only they make a text dear; links and what "
        "is filled in stay as they are. plan and preview show what it changes.",
    )
    when_in_doubt: InDoubt = Field(
        "leave",
        description="When a crash or a silent carrier leaves open whether a text was sent. leave: nobody gets it "
        "twice; send again: nobody misses it.",
    )
    was: str | None = Field(None, description="The key that this campaign had before it was renamed.")


class Replies(Settings):
    """How we answer."""

    when_in_doubt: InDoubt = Field(
        "send again",
        description="When a crash or a silent carrier leaves open whether an answer was sent. send again: nobody waits "
        "in vain; leave: nobody is answered twice.",
    )


class Opening(Settings):
    """When a contest takes votes."""

    from_: Start = Field(APPLY, alias="from", description="apply: at once; or a date, or a date and time.")
    for_: Duration | None = Field(None, alias="for", description="How long it is open.")
    until: End | None = Field(
        None, description="The last day, which is included; or a date and time. Kept as the moment when it is over."
    )

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if (self.for_ is None) == (self.until is None):
            raise ValueError("expected one end: for (such as 30 d) or until (such as 2027-03-21)")
        if self.until and isinstance(self.from_, datetime) and self.until <= self.from_:
            raise ValueError("it ends before it begins")
        return self


class Contest(Named):
    """A question that people vote on."""

    later: ClassVar[dict[str, str]] = {"prizes": "prize draws come later"}

    kind: Literal["vote"] = Field(description="vote: the option with most votes wins.")
    question: LocalText = Field(description="What people are asked.")
    options: Mapping[str, LocalText] = Field(
        description="The choices by the number or word that a phone texts.",
        min_length=2,
        examples=[{"1": "The fox", "2": "The owl"}],
    )
    open: Opening = Field(description="When it takes votes, in the brand's zone.")
    votes: Frequency = Field(Frequency(1, None), description="How many votes a phone has, by text and page together.")
    results: Literal["live", "when closed"] = Field("live", description="When people see the figures.")


class Keyword(Named):
    """What happens when a phone texts us a word."""

    also: tuple[str, ...] = Field((), description="Other words that do the same.", examples=[["拿铁"]])
    join: ProgramName | None = Field(None, description="Joins this programme.")
    give: CouponName | None = Field(None, description="Gives this coupon.")
    vote: ContestName | None = Field(None, description="Votes in this contest: VOTE 3.")
    redeem: tuple[CouponName, ...] = Field((), description="Redeems a code of these coupons, from a shop's own phone.")
    say: LocalText | None = Field(None, description="Answers with this text.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        doors = [bool(self.join or self.give), bool(self.vote), bool(self.redeem), bool(self.say)]
        if sum(doors) == 0:
            raise ValueError("does nothing; expected join, give, vote, redeem or say")
        if sum(doors) > 1:
            raise ValueError("does too much; expected only one of: join and give, vote, redeem, say")
        return self


class Page(Named):
    """A page for phones; its key is its address."""

    vote: ContestName | None = Field(None, description="Votes in this contest.")
    results: ContestName | None = Field(None, description="Shows how this contest stands.")
    give: CouponName | None = Field(None, description="Gives this coupon.")
    join: ProgramName | None = Field(None, description="Joins this programme, with give.")
    redeem: tuple[CouponName, ...] = Field((), description="The till: staff redeem codes of these coupons.")

    @model_validator(mode="after")
    def _is_one_page(self) -> Self:
        if sum(bool(door) for door in (self.vote, self.results, self.give, self.redeem)) != 1:
            raise ValueError("expected exactly one of vote, results, give and redeem")
        if self.join and not self.give:
            raise ValueError("join stands with give only")
        return self


class Config(Document):
    """All of config.yaml."""

    brand: Brand = Field(description="Who we are to the people whom we text.")
    channels: Mapping[str, AnyCarrier] = Field(description="Lines to carriers.", min_length=1)
    senders: Mapping[str, SenderSettings] = Field(description="The numbers that texts come from.", min_length=1)
    routes: Mapping[str, RouteSettings] = Field(
        {},
        description="Who is texted from which sender: read from top to bottom, the first rule that fits decides; whom "
        "none fits, the campaign's own senders serve. run.py route NUMBER explains it.",
    )
    replies: Replies = Field(Replies(), description="How we answer.")
    programs: Mapping[str, Program] = Field(
        {}, description="What a person says yes to; the wording is kept with every yes."
    )
    attributes: Mapping[str, AttributeSettings] = Field(
        {}, description="Columns of our customer file beyond name, birthday, gender, city and language."
    )
    places: Mapping[str, Place] = Field({}, description="Our shops.")
    segments: Mapping[str, AnySegment] = Field(
        {}, description="Groups of people, by what they are and did. Several keys in one segment: all of them hold."
    )
    coupons: Mapping[str, Coupon] = Field({}, description="Codes that a till redeems once.")
    campaigns: Mapping[str, Campaign] = Field({}, description="Texts to segments. The key is the identity.")
    contests: Mapping[str, Contest] = Field({}, description="Questions that people vote on.")
    keywords: Mapping[str, Keyword] = Field({}, description="Every word that a phone may text us.")
    pages: Mapping[str, Page] = Field({}, description="Pages for phones; the key is the address.")
    clients: Mapping[str, ClientSettings] = Field(
        {}, description="Programs that talk to us; run.py key new NAME makes a key for one."
    )
    simulator: Simulator = Field(Simulator(), description="What the simulated carrier and its people do.")
    store: StorePlace = Field("sqlite:data/carillon.db", description="Where everything is kept.")
    shared: SharedPlace = Field(
        "none",
        description="A Redis or Valkey for what several processes share and may lose: limits and live figures. "
        "none: each process for itself. Its password comes from the environment.",
        examples=[
            "rediss://:${REDIS_PASSWORD}@cache.example:6379",
            "redis+cluster://one.example:6379,two.example:6379",
        ],
    )
    retention: Annotated[Duration, AfterValidator(_long_enough)] | None = Field(
        None,
        description="For how long texts and what became of them are kept, 9 days at least; for ever where it is not "
        "said. On PostgreSQL only: a day there is a table of its own, which is dropped in a moment. A day stays while "
        "a text of it waits (a paused run, a `send_at` far ahead) or may still get a receipt.",
        examples=["400 d"],
    )
    listen: Listen = Field(Listen(), description="The ports that we open.")

    @property
    def is_simulated(self) -> bool:
        """True when every channel's carrier is the simulator: no text leaves this machine."""
        return all(channel.is_simulated for channel in self.channels.values())

    @property
    def carriers(self) -> Mapping[str, AnyCarrier | BuiltIn]:
        """The channels of the file, and what carries the texts of test keys: a program may come at any time."""
        return {practice.CHANNEL: PRACTICE, **self.channels}

    @property
    def opened(self) -> dict[str, HostPort]:
        """The ports that are opened, by their names under `listen`: those of programs only when there are any."""
        names = ["public", "private", "smsc"]
        names += ["api"] if self.clients else []
        names += ["smpp"] if any(client.smpp for client in self.clients.values()) else []
        return {name: getattr(self.listen, name) for name in names}

    def findings(self) -> Iterable[Finding]:
        """What is wrong or doubtful only when things are seen together."""
        yield from self._names()
        yield from self._words()
        yield from self._texts()
        yield from self._campaigns()
        yield from self._places()
        yield from self._lines()
        yield from self._routing()
        yield from client_findings(self.clients, self.channels)
        yield from self._unused()

    def past(self, now: datetime, launched: Collection[str] = ()) -> Iterator[Finding]:
        """Dates of campaigns and contests not yet launched that are over; `now` is aware.

        Not among `findings`: a campaign that was sent in time stays in the file when its date is past.
        """
        brand: Brand | None = self.__dict__["brand"]
        local = now.astimezone(ZoneInfo(brand.timezone) if brand else UTC).replace(tzinfo=None)
        dates: list[tuple[Where, object]] = [
            (("campaigns", key, "send", "at"), one.send.at)
            for key, one in self.campaigns.items()
            if key not in launched
        ]
        dates += [
            (("contests", key, "open", "until"), one.open.until)
            for key, one in self.contests.items()
            if key not in launched
        ]
        yield from checks.past(dates, local)

    def _names(self) -> Iterator[Finding]:
        sections = [name for name, value in self if isinstance(value, Mapping) and name != "keywords"]
        yield from checks.keys((section, name) for section in sections for name in getattr(self, section))
        yield from checks.circles(self.segments)

    def _words(self) -> Iterator[Finding]:
        spoken: list[checks.Word] = []
        answers: list[checks.Word] = []
        for key, keyword in self.keywords.items():
            places: list[tuple[Where, str]] = [(("keywords", key, KEY), key)]
            places += [(("keywords", key, "also", place), word) for place, word in enumerate(keyword.also)]
            spoken += [checks.Word(path, word, f"the keyword {key}") for path, word in places]
        for key, contest in self.contests.items():
            choices = [
                checks.Word(("contests", key, "options", option, KEY), option, f"option {option}")
                for option in contest.options
            ]
            for option, text in contest.options.items():
                for code, said in text.texts.items():
                    path = ("contests", key, "options", option, *([code] if code else []))
                    choices.append(checks.Word(path, said, f"option {option}"))
            yield from checks.collisions(choices)
            answers += choices
        yield from checks.reserved(spoken + answers, {key: sender.stop_words for key, sender in self.senders.items()})
        yield from checks.collisions(spoken)
        yield from checks.keyword_shapes(spoken, {key: contest.options for key, contest in self.contests.items()})

    def _texts(self) -> Iterator[Finding]:
        brand: Brand | None = self.__dict__["brand"]
        texts = list(checks.local_texts(self))
        if brand:
            yield from checks.languages(texts, brand.languages)
        yield from checks.lengths(texts)
        yield from checks.placeholders([(path, text) for path, text in texts if path[0] != "campaigns"], ())
        for key, campaign in self.campaigns.items():
            fields = [*checks.PERSON_FIELDS, *self.attributes, *(checks.COUPON_FIELDS if campaign.coupon else ())]
            yield from checks.placeholders([(("campaigns", key, "text"), campaign.text)], fields)

    def _campaigns(self) -> Iterator[Finding]:
        brand: Brand | None = self.__dict__["brand"]
        for key, campaign in self.campaigns.items():
            path = ("campaigns", key)
            serving = [
                ((*path, "senders", place), country)
                for place, name in enumerate(campaign.senders)
                for country in (self.senders[name].countries if name in self.senders else ())
            ]
            if not self.routes:  # with routes, several senders for one country are what is wanted
                yield from _twice(serving)
            if not campaign.senders and not self._routed(key):
                text = "senders is missing, and no rule of routes: is for it; name those that it is sent from"
                yield Finding((*path, KEY), text)
            if campaign.audience.segment == campaign.audience.except_:
                yield Finding((*path, "audience", "except"), "leaves out the whole segment; nobody would be left")
            if campaign.send.timezone and campaign.send.at == APPLY:
                yield Finding((*path, "send", "timezone"), "says nothing with at: apply; take it out, or name a time")
            if campaign.was is not None and campaign.was in self.campaigns:
                yield Finding((*path, "was"), f"{campaign.was} still stands here; was names a key that is gone")
            if brand and campaign.budget and campaign.budget.currency != brand.currency:
                yield Finding((*path, "budget"), f"found {campaign.budget.currency}, expected {brand.currency}")

    def _places(self) -> Iterator[Finding]:
        brand: Brand | None = self.__dict__["brand"]
        pins = [(("places", key, "till_pin"), place.till_pin) for key, place in self.places.items() if place.till_pin]
        yield from checks.shared(pins, "the PIN")
        for key, place in self.places.items():
            zone = place.timezone or (brand.timezone if brand else "")
            yield from checks.swapped(("places", key, "at"), place.at, zone)
            numbered = [(("places", key, "phones", number), phone) for number, phone in enumerate(place.phones)]
            yield from checks.telephones(numbered, brand.country if brand else "")
        for key, page in self.pages.items():
            if page.redeem and not pins:
                yield Finding(("pages", key, "redeem"), "nobody could sign in; give a place its till_pin")

    def _lines(self) -> Iterator[Finding]:
        brand: Brand | None = self.__dict__["brand"]
        if brand:
            testers = [(("brand", "testers", place), phone) for place, phone in enumerate(brand.testers)]
            yield from checks.telephones(testers, brand.country)
        numbers: list[tuple[Where, str]] = []
        for key, sender in self.senders.items():
            if sender.is_pool:
                numbers += [(("senders", key, "numbers", place), each) for place, each in enumerate(sender.numbers)]
            else:
                numbers.append((("senders", key, "number"), sender.number))
        yield from checks.shared(numbers, "the number")
        for key, channel in self.channels.items():
            if brand and channel.price.currency != brand.currency:
                text = f"found {channel.price.currency}, expected {brand.currency} as brand.currency says"
                yield Finding(("channels", key, "price"), text)
            if brand and channel.media_price.currency != channel.price.currency:
                text = f"found {channel.media_price.currency}, expected {channel.price.currency} as of a part"
                yield Finding(("channels", key, "price_media"), text)
            if not channel.is_secured:
                yield Finding(("channels", key, "carrier"), "a real carrier wants a password; add password_file")
            if not channel.is_encrypted:
                text = "the line to the carrier is not encrypted; tls: yes, if the carrier offers it"
                yield Finding(("channels", key, "carrier"), text, is_warning=True)
            if brand and channel.comes_to_us and is_only_here(brand.site):
                text = f"the carrier cannot reach {brand.site} to bring receipts and texts; set brand.site"
                yield Finding(("channels", key), text, is_warning=True)
        yield from self._ports()
        if not self.is_simulated:
            yield from self._not_when_live()

    def _routed(self, campaign: str) -> bool:
        """Whether any rule could name a sender for a campaign; True when a rule is there that could not be read."""
        is_unread = "routes" in self.model_fields_set and not self.routes
        return is_unread or bool(Router(self.senders, self.routes.values(), campaign=campaign).rules)

    def _routing(self) -> Iterator[Finding]:
        alphabets = {name: alphabets_of(channel) for name, channel in self.channels.items()}
        yield from fallback_findings(self.senders, alphabets)
        yield from route_findings(
            self.routes, self.senders, {key: campaign.senders for key, campaign in self.campaigns.items()}
        )

    def _ports(self) -> Iterator[Finding]:
        listen: Listen | None = self.__dict__["listen"]
        if listen is None:
            return
        opened = self.opened
        ports = [(("listen", name), str(address.port)) for name, address in opened.items() if address.port]
        yield from checks.shared(ports, "the port")
        for name in ("api", "smpp"):
            if name in opened and getattr(listen, f"{name}_tls") is None and not is_loopback(opened[name].host):
                text = f"keys and texts cross the network for all to read; add {name}_tls, or put a proxy before it"
                yield Finding(("listen", name), text, is_warning=True)
        if listen.private.host in ("0.0.0.0", "::"):  # noqa: S104  this is what we warn of
            text = "the whole network can reach the board; 127.0.0.1 keeps it to this machine"
            yield Finding(("listen", "private"), text, is_warning=True)

    def _not_when_live(self) -> Iterator[Finding]:
        simulator: Simulator | None = self.__dict__["simulator"]
        if simulator and simulator.clock is not None:
            yield Finding(("simulator", "clock"), "a channel is real, so the clock must be too; take this out")
        for key, place in self.places.items():
            if place.till_pin in checks.SHIPPED_PINS:
                text = f"the PIN {place.till_pin} came with Carillon and everybody knows it; choose another"
                yield Finding(("places", key, "till_pin"), text)

    def _unused(self) -> Iterator[Finding]:
        doors: list[Keyword | Page] = [*self.keywords.values(), *self.pages.values()]
        campaigns = self.campaigns.values()
        used = checks.names_of(self.segments.values())
        used |= {name for one in campaigns for name in (one.audience.segment, one.audience.except_) if name}
        yield from checks.unused("segments", self.segments, used, "take it out, or name it in an audience")
        coupons = {one.give for one in doors if one.give} | {one.coupon for one in campaigns if one.coupon}
        yield from checks.unused("coupons", self.coupons, coupons, "give it by a campaign, a keyword or a page")
        votes = {one.vote for one in doors if one.vote}
        yield from checks.unused("contests", self.contests, votes, "open it by a keyword or a page")


def alphabets_of(channel: CarrierSettings) -> tuple[Alphabet, ...]:
    """The national alphabets that texts through this channel may use, and be counted in."""
    return tuple(map(Alphabet, getattr(channel, "alphabets", ())))  # only some kinds of carriers know any


def _twice(serving: Iterable[tuple[Where, str]]) -> Iterator[Finding]:
    first: dict[str, Where] = {}
    for path, country in serving:
        if first.setdefault(country, path) != path:
            text = f"an earlier sender serves {country} already; this one serves nobody there"
            yield Finding(path, text, is_warning=True)
