"""The words of the REST API: what a program may say, and what it is told. The same models validate and document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from gateway.messages import MOST_PICTURES, State

MOST = 10_000  # messages in one batch
LONGEST_REFERENCE = 200
LONGEST_LIFE_S = 30 * 24 * 3600

StateName = Literal[
    "queued", "in_doubt", "sent", "stopped", "refused", "expired", "failed", "unknown", "delivered"
]  # fmt: skip
STATES: dict[str, State] = {state.name.lower(): state for state in State}


def _moment(value: object) -> datetime:
    """A moment of RFC 3339; without an offset nobody could say when it is."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a time such as 2026-11-22T18:30:00Z, in quotes")
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("expected a time such as 2026-11-22T18:30:00Z or 2026-11-22T18:30:00-08:00") from None
    if at.tzinfo is None:
        raise ValueError("expected an offset behind the time: Z, or -08:00")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("this is beyond the calendar") from None


Moment = Annotated[
    datetime, BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T18:30:00Z"]}),
]  # fmt: skip


def _whole(value: object) -> object:
    """600.0 is a whole number, too (JSON Schema, 4.2.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Seconds = Annotated[
    int, Field(ge=1, le=LONGEST_LIFE_S), BeforeValidator(_whole),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LONGEST_LIFE_S, "examples": [600]}),
]  # fmt: skip
# NUL is in no text that a phone shows, and in none that a database keeps.
Plain = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Number = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]
Short = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


MessageClass = Annotated[int, Field(ge=0, le=3), BeforeValidator(_whole)]
Note = Annotated[int, Field(ge=0, le=15), BeforeValidator(_whole)]
Picture = Annotated[str, StringConstraints(min_length=10, max_length=2048, pattern=r"^https://[!-~]+$")]
Octets = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^([0-9a-fA-F]{2})*$")]


class Said(BaseModel):
    """What a program says: nothing is guessed, nothing is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Told(BaseModel):
    """What a program is told."""

    model_config = ConfigDict(extra="forbid")


# --- what a program says ---------------------------------------------------------------------------------------------


class Callback(Said):
    """Where the fate of this one message is told."""

    url: Annotated[str, StringConstraints(min_length=8, max_length=2048, pattern=r"^https?://[!-~]+$")] = Field(
        description="A web address; what we send is signed as a webhook is.",
        examples=["https://shop.example/carillon"],
    )


class _Wanted(Said):
    text: Plain = Field(
        "", description="What the person reads; 1,600 characters at most. Empty only beside `media` or `octets`.",
        examples=["Your order 7 is ready."],
    )  # fmt: skip
    media: Annotated[list[Picture], Field(max_length=MOST_PICTURES)] = Field(
        [], description="Pictures, as https:// addresses from which the carrier fetches them.",
        examples=[["https://shop.example/latte.jpg"]],
    )  # fmt: skip
    message_class: MessageClass | None = Field(
        None, description="0 flashes on the screen and is not kept; 1 to 3 as 3GPP 23.038 says. A channel that cannot "
        "say so sends a usual text.",
    )  # fmt: skip
    short_class: bool = Field(False, description="Write the class as data coding 0xF0 and its kin instead of 0x10.")
    waiting: Note | None = Field(
        None, description="The phone shows that a message waits: 0 voice, 1 fax, 2 e-mail, 3 other; 4 to 7: no more. "
        "8 to 15: the same, and it may throw the text away.",
    )  # fmt: skip
    octets: Octets | None = Field(
        None, description="Octets for a program on the phone, in place of a text, in hexadecimal. What does not fit "
        "into 140 with the header goes in parts, unless the header says that it is one.", examples=["025506035601"],
    )  # fmt: skip
    header: Octets = Field(
        "", description="A user data header (3GPP 23.040, 9.2.3.24), in hexadecimal, its length in front.",
        examples=["0605040b8423f0"],
    )  # fmt: skip
    from_: Annotated[str, StringConstraints(max_length=40, pattern=r"^[^\x00]*$")] = Field(
        "", alias="from",
        description="A number or name of ours, or a sender of config.yaml. Left out: we choose one that serves the "
        "country.", examples=["20655"],
    )  # fmt: skip
    program: Short | None = Field(
        None,
        description="It is marketing of this programme: consent, hours and caps hold. Left out: as config.yaml says of "
        "the client. Empty: a service text, which only STOP holds back.",
        examples=["lantern_club"],
    )
    urgent: bool = Field(False, description="Goes before everything else: for codes and alarms.")
    send_at: Moment | None = Field(None, description="When it may leave; else at once.")
    valid_for: Seconds | None = Field(
        None, description="Seconds after `send_at` after which it must not arrive any more; else a day.",
    )  # fmt: skip
    valid_until: Moment | None = Field(None, description="The same as a moment. Give one of the two.")
    reference: Annotated[str, StringConstraints(max_length=LONGEST_REFERENCE, pattern=r"^[^\x00]*$")] = Field(
        "", description="Your own words for it, given back wherever it is told of.", examples=["order 7"]
    )
    callback: Callback | None = Field(None, description="Where its fate is told, beside the client's webhook.")


class MessageWanted(_Wanted):
    """One text to one phone."""

    to: Number = Field(
        description="The phone. +12065550142 is best; without a plus it is read as the brand's country does.",
        examples=["+12065550142"],
    )


class TextToMany(_Wanted):
    """The same text to many phones."""

    to: list[Number] = Field(description="The phones.", min_length=1, max_length=MOST)
    mode: Literal["all", "each"] = Field(
        "each", description="each: what is right is accepted. all: nothing is, unless everything is right."
    )


class ManyMessages(Said):
    """Many texts, each as if it came alone."""

    messages: list[MessageWanted] = Field(description="The messages.", min_length=1, max_length=MOST)
    mode: Literal["all", "each"] = Field(
        "each", description="each: what is right is accepted. all: nothing is, unless everything is right."
    )


class JoinWanted(Said):
    """A yes that a person has given."""

    language: Short = Field(
        "", description="The language of the wording that they were shown; else theirs.", examples=["en"]
    )
    said: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")] = Field(
        "", description="How they said it, kept as evidence.", examples=["ticked the box at the checkout, order 7"]
    )


class StopWanted(Said):
    """A person wants to hear nothing more."""

    said: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")] = Field(
        "", description="How they said it, kept as evidence.", examples=["asked our service desk by phone"]
    )


class SubscriberChange(Said):
    """What is to change; what is left out stays, null empties (RFC 7396)."""

    first_name: Short | None = Field(None, description="Their first name.", examples=["Ana"])
    last_name: Short | None = Field(None, description="Their last name.", examples=["Ruiz"])
    language: Short | None = Field(None, description="One of the brand's languages.", examples=["en"])
    city: Short | None = Field(None, description="Where they live.", examples=["Seattle"])
    gender: Literal["female", "male", "other"] | None = Field(None, description="As segments ask for it.")
    birthday: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = Field(
        None, description="A day such as 2004-03-25.", examples=["2004-03-25"]
    )
    tags: list[Word] | None = Field(None, description="All their tags: this list takes the place of the old one.")
    attributes: dict[str, Short | None] | None = Field(
        None, description="Attributes that config.yaml declares, by name; null takes one away.",
        examples=[{"tier": "gold"}],
    )  # fmt: skip


# --- what stands behind the question mark ----------------------------------------------------------------------------


class Query(BaseModel):
    """What may stand behind the question mark."""

    model_config = ConfigDict(extra="forbid")


Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}$")]


class Page(Query):
    """Which page."""

    cursor: Cursor | None = Field(
        None, description="Where to go on: `next_cursor` of the page before. A page may hold fewer than `limit`, even "
        "none: the last one is that without `next_cursor`.",
    )  # fmt: skip
    limit: int = Field(50, description="How many at most.", ge=1, le=1000)


class MessagesPage(Page):
    """Which messages, the newest first."""

    to: Number | None = Field(None, description="Only those to this phone.")
    state: StateName | None = Field(None, description="Only those in this state.")
    reference: Short | None = Field(None, description="Only those with this reference.", min_length=1)
    since: Moment | None = Field(None, description="Only those that were accepted then or later.")
    until: Moment | None = Field(None, description="Only those that were accepted before.")


class InboundPage(Page):
    """Which texts, the newest first."""

    from_: Number | None = Field(None, alias="from", description="Only those of this phone.")
    since: Moment | None = Field(None, description="Only those that came then or later.")
    until: Moment | None = Field(None, description="Only those that came before.")


class SubscribersPage(Page):
    """Which people, in the order in which they came to us."""

    program: Word | None = Field(None, description="Only those who are in this programme.")
    tag: Word | None = Field(None, description="Only those with this tag.")
    language: Word | None = Field(None, description="Only those who read this language.")
    left: Literal["yes", "no"] | None = Field(None, description="Only those who have opted out, or who have not.")


class EventsPage(Page):
    """Which events."""

    type: Word | None = Field(None, description="Only those of this kind.", examples=["message.delivered"])
    order: Literal["newest", "oldest"] = Field(
        "newest", description="oldest: from the first, or from `cursor`, onwards; keep the last cursor to ask for news."
    )


# --- what a program is told ------------------------------------------------------------------------------------------


class Price(Told):
    """What it costs."""

    amount: str = Field(description="A decimal number.", examples=["0.0079"])
    currency: str = Field(description="ISO 4217.", examples=["USD"])


class MessageAccepted(Told):
    """A message that is on disk. It will reach exactly one final state."""

    id: str = Field(description="Its name for ever.", examples=["913422817730560000"])
    to: str = Field(description="The phone, as +12065550142.")
    from_: str = Field(alias="from", description="The sender that the person sees.")
    state: StateName = Field(description="`queued` until it leaves.")
    parts: int = Field(description="How many texts it is for the carrier.")
    price: Price = Field(description="The price of all parts.")
    channel: str = Field(description="By which channel it goes; `test` with a test key.")
    reference: str = Field(description="Your own words for it.")
    test: bool = Field(description="Made with a test key: nothing leaves.")
    created_at: str = Field(description="When it was accepted.", json_schema_extra={"format": "date-time"})
    send_at: str | None = Field(
        None, description="When it may leave, if that is later.", json_schema_extra={"format": "date-time"}
    )


class Message(Told):
    """A message, and what has become of it."""

    id: str = Field(description="Its name for ever.", examples=["913422817730560000"])
    to: str = Field(description="The phone.")
    from_: str = Field(alias="from", description="The sender that the person sees.")
    text: str = Field(
        description="What the person reads, with what config.yaml sets before and behind it; `[42 octets]` for octets."
    )
    state: StateName = Field(description="What has become of it.")
    code: str = Field(description="Why, in the carrier's code or our own words; empty where there is no reason.")
    parts: int = Field(description="How many texts it is for the carrier.")
    price: Price = Field(description="The price of all parts.")
    channel: str = Field(description="By which channel it goes.")
    program: str = Field(description="The programme whose marketing it is; empty: a service text.")
    reference: str = Field(description="Your own words for it.")
    test: bool = Field(description="Made with a test key: nothing leaves.")
    created_at: str = Field(description="When it was accepted.", json_schema_extra={"format": "date-time"})
    valid_until: str = Field(description="When it must not arrive any more.", json_schema_extra={"format": "date-time"})
    changed_at: str = Field(description="When its state last changed.", json_schema_extra={"format": "date-time"})
    media: list[str] = Field([], description="The addresses of its pictures; left out where it has none, as all below.")
    message_class: int | None = Field(None, description="Its class.")
    short_class: bool = Field(False, description="The class is written as data coding 0xF0 and its kin.")
    waiting: int | None = Field(None, description="What it says of messages that wait.")
    octets: str | None = Field(None, description="Its octets, in hexadecimal.")
    header: str = Field("", description="Its user data header, in hexadecimal.")


class Flaw(Told):
    """One thing that is wrong."""

    detail: str = Field(description="What was found, and the cure.")
    type: str | None = Field(None, description="Which kind of problem.", examples=["/problems/bad-number"])
    pointer: str | None = Field(None, description="Where in the body (RFC 6901).", examples=["/to"])
    parameter: str | None = Field(None, description="Or which parameter or header.")
    index: int | None = Field(None, description="Of which message of a batch, counted from 0.")


class Problem(Told):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Which kind of problem; the address explains it.", examples=["/problems/bad-number"])
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was found, and the cure.")
    pointer: str | None = Field(None, description="Where in the body (RFC 6901).")
    errors: list[Flaw] | None = Field(None, description="All that is wrong, where it is more than one thing.")
    request_id: str | None = Field(None, description="By which we find this call in our logs.")


class BatchOutcome(Told):
    """What became of one message of a batch."""

    index: int = Field(description="Its place in the call, counted from 0.")
    message: MessageAccepted | None = Field(None, description="If it was accepted.")
    problem: Flaw | None = Field(None, description="If it was not.")


class BatchAccepted(Told):
    """What became of a batch."""

    accepted: int = Field(description="How many were accepted.")
    refused: int = Field(description="How many were not.")
    results: list[BatchOutcome] = Field(description="In the order of the call.")


class Messages(Told):
    """A page of messages."""

    data: list[Message] = Field(description="The newest first.")
    next_cursor: str | None = Field(description="Where the next page begins; null on the last.")


class TimelineEntry(Told):
    """One thing that happened to a message."""

    at: str = Field(description="When.", json_schema_extra={"format": "date-time"})
    what: str = Field(description="In one word.", examples=["delivered"])
    part: int | None = Field(description="To which part, counted from 1; null: to all of it.")
    code: str = Field(description="The carrier's code, or our own reason.")
    words: str = Field(description="For people.", examples=["part 1 of 2 was delivered"])


class Timeline(Told):
    """Everything that happened to a message."""

    id: str = Field(description="The message.")
    state: StateName = Field(description="What has become of it.")
    entries: list[TimelineEntry] = Field(description="In the order of time.")


class Media(Told):
    """A picture or another file that came with a text."""

    number: int = Field(description="Its place, from 0.")
    type: str = Field(description="The media type.", examples=["image/jpeg"])
    size: int = Field(description="In octets; 0 until we have it.")


class Inbound(Told):
    """A text that a person sent."""

    id: str = Field(description="Its name for ever.")
    from_: str = Field(alias="from", description="Who sent it.")
    to: str = Field(description="To which number of ours.")
    text: str = Field(description="What they wrote.")
    intent: str = Field(description="What we recognised: stop, start, help; else empty.")
    channel: str = Field(description="By which channel it came.")
    at: str = Field(description="When.", json_schema_extra={"format": "date-time"})
    person: str | None = Field(description="The subscriber's id; null for what is no phone.")
    media: list[Media] = Field(description="What came with it.")


class InboundTexts(Told):
    """A page of texts that came in."""

    data: list[Inbound] = Field(description="The newest first.")
    next_cursor: str | None = Field(description="Where the next page begins; null on the last.")


class Membership(Told):
    """A programme that a person is in."""

    program: str = Field(description="Its name in config.yaml.")
    since: str = Field(description="Since when.", json_schema_extra={"format": "date-time"})


class Subscriber(Told):
    """A person whom we know."""

    id: str = Field(description="Their name for ever.")
    phone: str = Field(description="Their number.", examples=["+12065550142"])
    country: str = Field(description="Of the number, ISO 3166.")
    timezone: str = Field(description="Where hours are kept for them.")
    language: str = Field(description="What they read.")
    first_name: str
    last_name: str
    city: str
    gender: str
    birthday: str | None
    line_type: str = Field(description="mobile, landline and so on; empty: not known.")
    tags: list[str]
    attributes: dict[str, Any]
    programs: list[Membership] = Field(description="What they said yes to.")
    left_at: str | None = Field(
        description="When they opted out; null: they have not.", json_schema_extra={"format": "date-time"}
    )
    created_at: str = Field(description="Since when we know them.", json_schema_extra={"format": "date-time"})


class Subscribers(Told):
    """A page of people."""

    data: list[Subscriber]
    next_cursor: str | None = Field(description="Where the next page begins; null on the last.")


class Delivery(Told):
    """Whether the webhook has been told of it."""

    state: Literal["waits", "told", "given up", "kept"] = Field(description="kept: there is no webhook.")
    tries: int
    trouble: str = Field(description="What the last try came to.")


class Event(Told):
    """One thing that the client is told; the same as its webhook gets."""

    id: str
    type: str = Field(examples=["message.delivered"])
    at: str = Field(json_schema_extra={"format": "date-time"})
    data: dict[str, Any] = Field(description="What it is about.")
    delivery: Delivery


class Events(Told):
    """A page of events."""

    data: list[Event]
    next_cursor: str | None = Field(description="Where the next page begins; null when there is nothing more yet.")


class OwnSender(Told):
    """A sender that the client may use."""

    name: str = Field(description="Its name in config.yaml.")
    numbers: list[str]
    countries: list[str] = Field(description="The countries that it serves, ISO 3166.")


class Me(Told):
    """Who is asking."""

    client: str
    key: str = Field(description="The part of the key that may be shown.")
    test: bool = Field(description="With a test key nothing leaves.")
    scopes: list[str]
    rate: float | None = Field(description="How many messages a second it may bring; null: no limit.")
    program: str | None = Field(description="The programme whose marketing its texts are unless they say otherwise.")
    senders: list[OwnSender]
    programs: list[str] = Field(description="The programmes that there are.")
