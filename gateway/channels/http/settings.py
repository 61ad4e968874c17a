"""The words of config.yaml for a carrier that is reached by HTTP: what we send, how its answers and calls are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, GetJsonSchemaHandler, model_validator

from gateway.channels.base import CarrierSettings
from gateway.channels.http import bodies
from gateway.channels.http.reading import Place
from gateway.channels.http.templates import Template, complaint
from gateway.config import Holds, Secret, Settings, Where, wrong
from gateway.messages import Cargo
from gateway.values import As, Duration, Money
from gateway.wording import either, found

MESSAGE_FIELDS = (
    "sender", "recipient", "text", "message", "alphabet", "valid.seconds", "valid.milliseconds",
    "now.iso", "now.seconds", "now.milliseconds", "nonce", "media", "class",
)  # fmt: skip
SIGNED_FIELDS = ("fields", "body", "method", "url.path")
CALLED_FIELDS = ("fields", "body", "method", "url", "url.base", "url.path")
DOOR = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
Codes = tuple[str, ...]
Mistakes = Iterator[tuple[Where, str]]


def parse_country(text: str) -> str:
    """A country as two letters, `CN`."""
    if not re.fullmatch(r"[A-Z]{2}", text):
        raise ValueError(f"found {found(text)}, expected a country such as CN")
    return text


def parse_url(text: str) -> str:
    """A web address whose host stands in the file, so that no value can lead elsewhere."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "{" in parts.netloc:
        raise ValueError(f"found {found(text)}, expected an address such as https://api.example.com/send")
    if parts.username is not None:
        raise ValueError("found a password in the address; say basic: and keep it in secrets")
    if parts.query or parts.fragment or "?" in text:
        raise ValueError(f"found {found(text)}; what stands behind ? goes under query:")
    return text


class JsonBody:
    """Tells pydantic and editors what may stand under `json:`, a map of texts or one text of JSON."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "string"}]}


IN_A_FILE = "keep it in a file: name that under secrets, and write {{ secret.NAME }}"
SECRET_NAME = re.compile(r"(^|[-_. ])(authorization|pass|passwd|password|secret|token|api[-_]?key)$", re.IGNORECASE)


def _is_key(_name: str, text: str) -> bool:
    return "{{" not in text and bool(text.strip())


def _has_password(name: str, text: str) -> bool:
    return _is_key(name, text.partition(":")[2])


def _is_named_so(name: str, text: str) -> bool:
    """Whether a field is called as secrets are, and holds more than the word in front of one such as Bearer."""
    scheme, space, rest = text.partition(" ")
    is_written = "{{" not in text and bool(rest if space else scheme)
    return is_written and SECRET_NAME.search(name) is not None


Login = Annotated[str, Holds(_has_password, IN_A_FILE)]
Key = Annotated[str, Holds(_is_key, IN_A_FILE)]
Fields = Annotated[Mapping[str, str], Holds(_is_named_so, IN_A_FILE, is_guess=True)]
Country = Annotated[str, As(parse_country, "a country such as CN", ("CN",))]
Url = Annotated[str, As(parse_url, "a web address", ("https://api.example.com/send",))]


class Signature(Settings):
    """How a request is signed."""

    over: str = Field(description="The text that is signed.", examples=["{{ body }}"])
    each: str = Field("{{ name }}={{ value }}", description="How one field is written in {{ fields }}.")
    between: str = Field("&", description="What stands between two of them; they are sorted by name.")
    key: Key = Field("", description="The key of an HMAC.", examples=["{{ secret.token }}"])
    by: Literal[
        "hmac-sha256", "hmac-sha1", "hmac-sha512", "hmac-md5", "sha256", "sha1", "sha512", "md5"
    ] = Field("hmac-sha256", description="hmac-sha256 and so on; without hmac- it is a bare digest.")  # fmt: skip
    written: Literal["hex", "base64"] = Field("hex", description="How the signature is written: hex or base64.")
    at: Place = Field(
        description="Where the signature stands: header NAME, or the name of a field.", examples=["header X-Signature"]
    )

    def mistakes(self, fields: tuple[str, ...], openings: tuple[str, ...]) -> Mistakes:
        """What is wrong with its texts, which may use these fields."""
        for name in ("over", "key"):
            yield from _checked((name,), getattr(self, name), fields, openings)
        yield from _checked(("each",), self.each, ("name", "value"))
        if self.by.startswith("hmac-") != bool(self.key):
            yield ("by",), "an HMAC wants a key" if not self.key else "a bare digest has no key; put it into over"
        if self.at.kind not in ("header", "body"):
            yield ("at",), f"found {found(str(self.at))}, expected header NAME, or the name of a field"


class Seal(Signature):
    """How a call of the carrier is signed."""

    time: Place | None = Field(
        None, description="Where the time of signing stands, if the signature covers it.", examples=["timestamp"]
    )
    within: Duration = Field(
        timedelta(minutes=5), description="How far that time may be from ours.", examples=["5 min"]
    )


class Alphabets(Settings):
    """What {{ alphabet }} says of a text."""

    gsm7: str = Field("gsm7", description="Where the text fits into the usual alphabet of 160 letters a part.")
    ucs2: str = Field("ucs2", description="Where it does not.")


class Send(Settings):
    """The request that sends one text. Of query, form, json and body at most one of the last three stands."""

    url: Url = Field(description="Where the request goes; a value in it is percent-encoded.")
    method: Literal["POST", "GET", "PUT"] = Field("POST", description="POST, GET or PUT.")
    insecure: bool = Field(False, description="Allows http://, over which everybody on the way can read along.")
    basic: Login = Field("", description="User and password for HTTP Basic.", examples=["me:{{ secret.token }}"])
    headers: Fields = Field({}, description="More headers.", examples=[{"X-Key": "{{ secret.key }}"}])
    query: Fields = Field({}, description="Fields of the address.", examples=[{"to": "{{ recipient }}"}])
    form: Fields = Field({}, description="Fields of a form.", examples=[{"to": "{{ recipient }}"}])
    json_: Annotated[Any, JsonBody(), Holds(_is_named_so, IN_A_FILE, is_guess=True)] = Field(
        None, alias="json", description="A map whose values are texts, or JSON as one text where it holds numbers.",
        examples=[{"to": "{{ recipient }}"}],
    )  # fmt: skip
    body: str = Field("", description="Any other body; in XML values are escaped.")
    content_type: str = Field("text/plain; charset=utf-8", description="What that body is.", examples=["text/xml"])
    alphabet: Alphabets = Field(Alphabets(), description="What the carrier calls the alphabets.")
    sign: Signature | None = Field(None, description="How the request is signed.")

    def uses(self, field: str) -> bool:
        """Whether a field of a message stands anywhere in the request."""
        texts = (self.url, self.body, *self.headers.values(), *self.query.values(), *self.form.values())
        return any(field in Template(text).fields for text in (*texts, *bodies.texts(self.json_)))

    def mistakes(self, secrets: tuple[str, ...], ours: tuple[str, ...]) -> Mistakes:
        """What is wrong with it, each at its place; `ours` are the fields with our addresses."""
        fields = (*MESSAGE_FIELDS, *ours, *secrets)
        yield from _checked(("basic",), self.basic, secrets)
        for name in ("url", "body"):
            yield from _checked((name,), getattr(self, name), fields)
        for name in ("headers", "query", "form"):
            for key, text in getattr(self, name).items():
                yield from _checked((name, key), text, fields)
        for path, text in bodies.problems(self.json_, fields):
            yield ("json", *path), text
        standing = [name for name, value in (("form", self.form), ("json", self.json_), ("body", self.body)) if value]
        if len(standing) > 1:
            yield (standing[1],), f"{standing[0]} stands already; a request has one body"
        if standing and self.method == "GET":
            yield (standing[0],), "GET has no body; say query:, or method: POST"
        if self.body and re.search("json|form-urlencoded", self.content_type):
            yield ("body",), "say json: or form: instead, so that no text can break out of its field"
        if self.url.startswith("http:") and not self.insecure:
            yield ("url",), "everybody on the way could read along; say https://, or insecure: yes"
        if self.sign:
            for path, text in self.sign.mistakes((*fields, *SIGNED_FIELDS), ()):
                yield ("sign", *path), text


class AnswerWords(Settings):
    """How the carrier's answer to a request is read. Without `code` it goes by the HTTP status."""

    id: Place | None = Field(
        None, description="Where the carrier's id of the message stands; with * one for each part.",
        examples=["messages.0.id", "messages.*.id", "header X-Id", r"/OK (\S+)/"],
    )  # fmt: skip
    code: Place | None = Field(
        None, description="Where the code stands that says whether it was taken.", examples=["messages.0.status"]
    )
    words: Place | None = Field(None, description="Where the carrier says it in words.", examples=["error"])
    good: Codes = Field((), description="Codes of what was taken.", examples=[["0", "OK"]])
    throttled: Codes = Field((), description="Slow down and try again; costs no attempt.", examples=[["1"]])
    later_: Codes = Field((), alias="later", description="Try again later.", examples=[["5"]])
    once: Codes = Field((), description="Try once more.")
    never: Codes = Field((), description="Never try again; so is every code that is not named.")
    stop: Codes = Field((), description="Our account or set-up is wrong: hold the whole channel.", examples=[["401"]])
    elsewhere: Codes = Field((), description="Another carrier may take it.")
    left: Codes = Field((), description="The person has left the sender at the carrier: as if STOP had been texted.")
    safe_5xx: bool = Field(False, description="The carrier promises that it took nothing when it answers 5xx.")

    def by_name(self) -> Iterator[tuple[str, Codes]]:
        """The codes of what was taken, and those that say when to try again, each list with its name."""
        yield from (("good", self.good), ("throttled", self.throttled), ("later", self.later_))
        yield from (("once", self.once), ("never", self.never), ("stop", self.stop))

    def mistakes(self) -> Mistakes:
        """Codes that would mean two things."""
        seen: dict[str, str] = {}
        for name, codes in self.by_name():
            for place, code in enumerate(codes):
                if code in seen:
                    yield (name, place), f"{code} stands in {seen[code]} already"
                seen.setdefault(code, name)
        if self.code is None and any(not re.fullmatch(r"\d{3}", code) for code in seen):
            yield (), "without code: the codes are HTTP statuses such as 429; say where the carrier's own stands"


class ReplyWords(Settings):
    """What we answer once a call of the carrier is on disk."""

    status: int = Field(200, description="The HTTP status.", ge=200, le=299)
    body: str = Field("", description="The body.", examples=['{"code": 0}'])
    type: str = Field("text/plain; charset=utf-8", description="What the body is.", examples=["application/json"])


class Receipts(Settings):
    """How the carrier tells what became of messages."""

    path: str = Field("receipts", description="Our door: SITE/carriers/CHANNEL/path.", pattern=DOOR)
    list: Place | None = Field(
        None, description="Where the list stands, when a call brings several; at the top it needs no word.",
        examples=["events"],
    )  # fmt: skip
    id: Place = Field(description="Where the id stands that the answer gave.", examples=["messageId"])
    state: Place = Field(description="Where the word stands that says what became of it.", examples=["status"])
    delivered: Codes = Field(description="Words for what has arrived.", min_length=1, examples=[["delivered"]])
    failed: Codes = Field((), description="Words for what will never arrive.", examples=[["failed", "rejected"]])
    expired: Codes = Field((), description="Words for what was given up.", examples=[["expired"]])
    unknown: Codes = Field((), description="Words for what nobody will ever know. Any other word: on the way.")
    code: Place | None = Field(None, description="Where the reason stands.", examples=["err-code"])
    sender: Place | None = Field(None, description="Where our number stands.", examples=["from"])
    recipient: Place | None = Field(None, description="Where the phone's number stands.", examples=["to"])
    reply: ReplyWords = Field(ReplyWords(), description="What we answer.")


class Pieces(Settings):
    """Which piece of a long text it is."""

    reference: Place = Field(description="Where the number stands that all pieces share.", examples=["concat-ref"])
    total: Place = Field(description="Where it says how many there are.", examples=["concat-total"])
    number: Place = Field(description="Where it says which one this is, counted from 1.", examples=["concat-part"])


class Texts(Settings):
    """How the carrier brings what people text."""

    path: str = Field("inbound", description="Our door: SITE/carriers/CHANNEL/path.", pattern=DOOR)
    list: Place | None = Field(
        None, description="Where the list stands, when a call brings several; at the top it needs no word.",
        examples=["events"],
    )  # fmt: skip
    sender: Place = Field(description="Where the phone's number stands.", examples=["msisdn"])
    recipient: Place | None = Field(
        None, description="Where our number stands; left out, it is the channel's only one.", examples=["to"]
    )
    text: Place = Field(description="Where the text stands.", examples=["text"])
    encoding: Literal["plain", "hex_ucs2", "hex_utf8", "base64_utf8"] = Field(
        "plain", description="How the text is written: plain, hex_ucs2, hex_utf8 or base64_utf8."
    )
    id: Place | None = Field(
        None,
        description="Where the carrier's id of the text stands, by which a repeat is known.",
        examples=["messageId"],
    )
    piece: Pieces | None = Field(None, description="Where it stands of a long text in pieces which piece it is.")
    reply: ReplyWords = Field(ReplyWords(), description="What we answer.")


class Token(Settings):
    """A secret word that the carrier shows with each call."""

    at: Place = Field(description="Where it stands: header NAME, query NAME or a field.", examples=["query key"])
    value: str = Field(description="The word.", examples=["{{ secret.hook }}"])


class Proof(Settings):
    """How a call shows that it is the carrier's; all that stands here must hold."""

    basic: Login = Field("", description="User and password of HTTP Basic.", examples=["me:{{ secret.hook }}"])
    token: Token | None = Field(None, description="A secret word.")
    signature: Seal | None = Field(None, description="A signature.")

    def mistakes(self, secrets: tuple[str, ...]) -> Mistakes:
        """What is wrong with it, each at its place."""
        if not (self.basic or self.token or self.signature):
            yield (), "expected basic, token or signature"
        yield from _checked(("basic",), self.basic, secrets)
        if self.token:
            yield from _checked(("token", "value"), self.token.value, secrets)
            if "{{" not in self.token.value:
                yield ("token", "value"), "keep the word in a file: name it under secrets, and write {{ secret.NAME }}"
        if self.signature:
            opened = ("header.", "field.")
            for path, text in self.signature.mistakes((*CALLED_FIELDS, *secrets), opened):
                yield ("signature", *path), text


class HttpCarrier(CarrierSettings):
    """A carrier with an API of its own over HTTP, described here: what we send, and how to read what it says."""

    kind: Literal["http"] = Field(description="How the carrier is spoken to: http.")
    secrets: Mapping[str, Secret] = Field(
        {}, description="Files with secrets, each under the name that {{ secret.NAME }} uses.",
        examples=[{"key": "secrets/vonage_key"}],
    )  # fmt: skip
    country: Country | None = Field(None, description="How to read numbers that it writes without a country code.")
    at_once: int = Field(20, description="How many requests may wait for an answer at once.", ge=1, le=1000)
    answer_within: Duration = Field(
        timedelta(seconds=20), description="How long an answer is waited for.", examples=["20 s"]
    )
    price_media: Money | None = Field(
        None, description="What one message with pictures costs, if not what a part does.", examples=["0.02 USD"]
    )
    send: Send = Field(description="The request that sends one text.")
    answer: AnswerWords = Field(AnswerWords(), description="How its answer is read.")
    receipts: Receipts | None = Field(None, description="How it tells what became of messages.")
    inbound: Texts | None = Field(None, description="How it brings what people text.")
    proof: Proof | None = Field(None, description="How its calls prove that they are the carrier's.")

    @property
    def carries(self) -> frozenset[Cargo]:
        """Pictures, where the request says them."""
        return frozenset((Cargo.PICTURES,)) if self.send.uses("media") else frozenset()

    @property
    def shows_class(self) -> bool:
        """Whether the request says it."""
        return self.send.uses("class")

    @property
    def media_price(self) -> Money:
        """What one message with pictures costs."""
        return self.price_media or self.price

    @property
    def comes_to_us(self) -> bool:
        """Whether receipts or texts come to doors of ours."""
        return self.receipts is not None or self.inbound is not None

    @property
    def place(self) -> str:
        """The host of its API."""
        return urlsplit(self.send.url).hostname or ""

    @model_validator(mode="after")
    def _is_sound(self) -> HttpCarrier:
        mistakes = list(self._mistakes())
        if mistakes:
            raise wrong(mistakes)
        return self

    def _mistakes(self) -> Mistakes:
        secrets = tuple(f"secret.{name}" for name in self.secrets)
        doors = tuple(name for name in ("receipts", "inbound") if getattr(self, name))
        for path, text in self.send.mistakes(secrets, tuple(f"{name}.url" for name in doors)):
            yield ("send", *path), text
        for path, text in self.answer.mistakes():
            yield ("answer", *path), text
        for path, text in self.proof.mistakes(secrets) if self.proof else ():
            yield ("proof", *path), text
        if doors and self.proof is None:
            yield (doors[0],), f"anybody could call this door; say under proof: {either(Proof.model_fields)}"
        if self.receipts and self.inbound and self.receipts.path == self.inbound.path:
            yield ("inbound", "path"), f"{self.inbound.path} is the door of receipts already"


def _checked(path: Where, text: str, fields: tuple[str, ...], openings: tuple[str, ...] = ()) -> Mistakes:
    problem = complaint(text, fields, openings)
    if problem:
        yield path, problem
