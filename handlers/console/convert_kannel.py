"""Reads the configuration of Kannel and says it in the words of config.yaml; opens no file itself.

The syntax is that of the Kannel User Guide, "Configuration file syntax", and of Kannel 1.4.5 where the guide is silent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from campaigns import words
from campaigns.checks import LONGEST_TEXT
from campaigns.client_settings import is_inside
from gateway.rendering import BadTemplate, compile_text
from handlers.console.convert_draft import (
    FILL_IN,
    LONGEST_SYSTEM_TYPE,
    ConvertError,
    Draft,
    Entry,
    Given,
    Kind,
    Link,
    Place,
    Setting,
    Source,
    add_channels,
    add_sender,
    complete,
)

Include = Callable[[str, str], Sequence[Source]]  # what a name in a file of that name leads to

GROUPS = frozenset({
    "core", "smsbox", "smsbox-route", "smsc", "sms-service", "sendsms-user", "wapbox", "wtls", "radius-acct",
    "modems", "ota-setting", "ota-bookmark", "ppg", "wap-push-user", "dlr-db", "store-db", "mysql-connection",
    "pgsql-connection", "oracle-connection", "sqlite3-connection", "sdb-connection", "mssql-connection",
    "redis-connection", "cassandra-connection", "test-ppg", "wap-user", "opensmppbox", "smpp-logins",
})  # fmt: skip
DEEPEST = 16  # includes within includes
ESCAPE = re.compile(r"%[kKsSraAbetTpPqQiIdRNDFncmMCuBoOfxvV#]")  # table "Parameters (Escape Codes)"


# --- syntax ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Group:
    """Settings that stand together. Asking for one marks it as carried over."""

    name: str
    place: Place
    values: dict[str, Given] = field(default_factory=dict)
    asked: set[str] = field(default_factory=lambda: {"group"})

    def given(self, key: str) -> Given | None:
        """A setting that stands there and says something."""
        self.asked.add(key)
        found = self.values.get(key)
        return found if found and found.text else None

    def text(self, key: str, otherwise: str = "") -> str:
        """The text of a setting."""
        found = self.given(key)
        return found.text if found else otherwise

    def says(self, key: str, *, otherwise: bool = False) -> bool:
        """A setting that is yes or no; as Kannel has it, any other word means yes."""
        found = self.given(key)
        return found.text.lower() not in ("false", "no", "off", "0") if found else otherwise

    def number(self, key: str) -> int | None:
        """A whole number, decimal or with 0x; None where none stands."""
        text = self.text(key)
        if re.fullmatch(r"\d{1,9}", text):
            return int(text)
        return int(text, 16) if re.fullmatch(r"0[xX][0-9A-Fa-f]{1,8}", text) else None

    def several(self, key: str) -> list[str]:
        """The words of a list, which semicolons divide."""
        return [each.strip() for each in self.text(key).split(";") if each.strip()]


def is_kannel(text: str) -> bool:
    """Whether a text looks like a configuration of Kannel."""
    found = re.findall(r"^[ \t]*group[ \t]*=[ \t]*\"?([\w-]+)", text, re.MULTILINE)
    return bool(GROUPS.intersection(found)) or bool(re.search(r"^[ \t]*include[ \t]*=", text, re.MULTILINE))


def read_groups(sources: Sequence[Source], include: Include) -> list[Group]:
    """All groups in the order of the files. Raises ConvertError with the place of a line that is none."""
    groups: list[Group] = []
    for source in sources:
        current: Group | None = None
        for line, place in _lines(source, include, (source[0],)):
            if not line:
                current = None
                continue
            key, equals, value = line.partition("=")
            if not equals:
                raise ConvertError(f'{place}: found "{line[:40]}", expected a name, = and a value as Kannel has it')
            if current is None:
                current = Group("", place)
                groups.append(current)
            current.values[key.strip()] = Given(_unquoted(value.strip()), place)
    for group in groups:
        group.name = group.text("group")
    return groups


def _lines(source: Source, include: Include, above: tuple[str, ...]) -> Iterator[tuple[str, Place]]:
    """Lines without comments, joined where a backslash says so, with those of included files in between."""
    file, text = source
    begun, first = "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith("#") and not begun:
            continue
        place = Place(file, first or number)
        if line.endswith("\\") and not line.endswith("\\\\"):
            begun, first = begun + line[:-1], first or number
            continue
        line, begun, first = (begun + line).removesuffix("\\") if line.endswith("\\\\") else begun + line, "", 0
        key, equals, value = line.partition("=")
        if equals and key.strip() == "include":
            yield from _included(_unquoted(value.strip()), place, include, above)
        else:
            yield line, place
    if begun:
        yield begun, Place(file, first)
    yield "", Place(file, text.count("\n") + 1)  # a group ends with its file


def _included(name: str, place: Place, include: Include, above: tuple[str, ...]) -> Iterator[tuple[str, Place]]:
    if len(above) > DEEPEST:
        raise ConvertError(f"{place}: more than {DEEPEST} files include each other; put some of them together")
    try:
        sources = include(name, place.file)
    except ConvertError as error:
        raise ConvertError(f"{place}: include: {error}; bring the file, or take the line out") from None
    for source in sources:
        if source[0] in above:
            raise ConvertError(f"{place}: {source[0]} includes itself; Kannel refuses this too. Take the line out")
        yield from _lines(source, include, (*above, source[0]))


def _unquoted(value: str) -> str:
    """What a value says: within quotation marks, a backslash stands before a mark or a backslash that is meant."""
    if len(value) < 2 or not (value.startswith('"') and value.endswith('"')):
        return value
    return re.sub(r'\\(["\\])', r"\1", value[1:-1])


# --- what settings have become ---------------------------------------------------------------------------------------

Rule = tuple[str, Kind, str]
LOGS: Rule = ("*log-*", Kind.UNNEEDED, "logs go to standard error; see docs/operations.md")
ACCESS: Rule = ("access-log*", Kind.UNNEEDED, "every message has its timeline in the store: run.py explain NUMBER")
NO_BOXES = "there are no boxes: one process does it all"
LISTS = "who shall get nothing is told to us once, by POST /v1/subscribers/PHONE/stop; see docs/moving-in.md"
OWN_PARTS = "a long text is always joined by the phone, and counted and priced in parts"
ROUTED = "who carries what is said under routes: and senders; see docs/config.md"
PROXIED = "a proxy or a firewall before listen.api can see to this"

CORE: tuple[Rule, ...] = (
    ("admin-*", Kind.UNNEEDED, "the board and the commands need listen.private only"),
    ("status-password", Kind.UNNEEDED, "the board and the commands need listen.private only"),
    ("*box-*", Kind.UNNEEDED, NO_BOXES),
    ("smsbox-interface", Kind.UNNEEDED, NO_BOXES),
    ("store-*", Kind.UNNEEDED, "everything is on disk before it is answered, always"),
    ("dlr-*", Kind.UNNEEDED, "receipts are matched in the same store"),
    ("*-list*", Kind.LOST, LISTS),
    ("http-proxy-*", Kind.LOST, "webhooks go out directly"),
    ("ssl-*", Kind.DIFFERS, "put a proxy with TLS in front of listen.api and listen.public"),
    ("udp-*", Kind.LOST, "there is no WAP gateway"),
    ("wdp-*", Kind.LOST, "there is no WAP gateway"),
    ("sms-*", Kind.UNNEEDED, "the same is done for every text"),
    LOGS, ACCESS,
    ("syslog-*", *LOGS[1:]), ("log-*", *LOGS[1:]),
)  # fmt: skip
SMSBOX: tuple[Rule, ...] = (
    ("bearerbox-*", Kind.UNNEEDED, NO_BOXES),
    ("smsbox-*", Kind.UNNEEDED, NO_BOXES),
    ("sendsms-port-ssl", Kind.DIFFERS, "put a proxy with TLS in front of listen.api"),
    ("sendsms-url", Kind.DIFFERS, "the address is /cgi-bin/sendsms"),
    ("sendsms-chars", Kind.DIFFERS, "numbers are read in any way of writing them"),
    ("sendota-url", Kind.LOST, "there are no settings over the air"),
    ("immediate-sendsms-reply", Kind.DIFFERS, "the answer always waits for the disk; that takes a millisecond"),
    ("*-list*", Kind.LOST, LISTS),
    ("mo-recode", Kind.UNNEEDED, "texts are Unicode everywhere"),
    ("reply-*", Kind.LOST, "no web page is fetched to answer a text"),
    ("http-*", Kind.DIFFERS, "what a program is told is tried again for 3 days"),
    ("max-pending-requests", Kind.UNNEEDED, "each program has bounds of its own"),
    ("sms-length", Kind.UNNEEDED, OWN_PARTS),
    ("*-prefix", Kind.UNNEEDED, "numbers are read as brand.country says"),
    LOGS, ACCESS,
    ("syslog-*", *LOGS[1:]), ("log-*", *LOGS[1:]),
)  # fmt: skip
SMSC: tuple[Rule, ...] = (
    ("*smsc-id*", Kind.DIFFERS, ROUTED),
    ("*-prefix*", Kind.DIFFERS, ROUTED),
    ("alt-charset", Kind.DIFFERS, "texts are GSM 03.38 under data coding 0, as the standard says, else UCS-2"),
    ("alt-addr-charset", Kind.DIFFERS, "names of senders are plain letters and digits"),
    ("alt-dcs", Kind.DIFFERS, "each text says it: alt-dcs of sendsms"),
    ("address-range", Kind.LOST, "it is left empty, which every carrier takes; ask yours if it brings no texts"),
    ("service-type", Kind.LOST, "it is left empty; ask the carrier whether it needs one"),
    ("interface-version", Kind.DIFFERS, "it is 3.4"),
    ("validityperiod", Kind.DIFFERS, "a text says itself until when it is good: validity, valid_until, send.within"),
    ("esm-class", Kind.UNNEEDED, "it is store and forward"),
    ("priority", Kind.DIFFERS, "urgent texts have a lane of their own"),
    ("wait-ack-expire", Kind.DIFFERS, "whether an unanswered text is sent again is said by when_in_doubt"),
    ("connection-timeout", Kind.UNNEEDED, "a silent line is asked, and held anew when it does not answer"),
    ("reconnect-delay", Kind.UNNEEDED, "a lost line is held anew after pauses that grow to a minute"),
    ("retry", Kind.UNNEEDED, "a lost line is always held anew"),
    ("max-sms-octets", Kind.UNNEEDED, OWN_PARTS),
    ("our-host", Kind.LOST, "the system chooses the address to call from"),
    ("ssl-client-certkey-file", Kind.LOST, "a line cannot show a certificate of ours yet"),
    ("dead-start", Kind.DIFFERS, "the channel is held from the start; leave it out until you want it"),
    ("reroute*", Kind.LOST, "texts that come in do not go out again"),
    ("source-addr-autodetect", Kind.UNNEEDED, "it is always done; address_types says otherwise"),
    ("bind-addr-*", Kind.UNNEEDED, "it goes with address-range, which is left empty"),
    LOGS,
    ("log-*", *LOGS[1:]),
)  # fmt: skip
USER: tuple[Rule, ...] = (
    ("name", Kind.UNNEEDED, "the client's name is what stands in logs"),
    ("user-*-ip", Kind.LOST, PROXIED),
    ("max-messages", Kind.UNNEEDED, OWN_PARTS),
    ("concatenation", Kind.UNNEEDED, OWN_PARTS),
    ("split-*", Kind.UNNEEDED, OWN_PARTS),
    ("omit-empty", Kind.UNNEEDED, "an empty text is refused"),
    ("header", Kind.DIFFERS, "write it under begin of the sender, if all its texts shall have it"),
    ("footer", Kind.DIFFERS, "write it under end of the sender, if all its texts shall have it"),
    ("*-list*", Kind.LOST, LISTS),
    ("*-prefix*", Kind.DIFFERS, "a sender serves the countries that stand under it"),
    ("dlr-url", Kind.DIFFERS, "give dlr-url with each request, or the client a webhook"),
)  # fmt: skip
SERVICE: tuple[Rule, ...] = (
    ("name", Kind.UNNEEDED, "the keyword is what stands in the story of a person"),
    ("accepted-smsc*", Kind.DIFFERS, "a keyword is known on every number"),
    ("accepted-account*", Kind.DIFFERS, "a keyword is known on every number"),
    ("*-prefix*", Kind.DIFFERS, "a keyword is known on every number, for everybody"),
    ("catch-all", Kind.UNNEEDED, "words behind the keyword do no harm"),
    ("max-messages", Kind.UNNEEDED, OWN_PARTS),
    ("concatenation", Kind.UNNEEDED, OWN_PARTS),
    ("split-*", Kind.UNNEEDED, OWN_PARTS),
    ("omit-empty", Kind.UNNEEDED, "nothing empty is sent"),
    ("*-list*", Kind.LOST, LISTS),
    ("faked-sender", Kind.DIFFERS, "an answer leaves from the number that was texted"),
    ("header", Kind.DIFFERS, "write it into the text, or under begin of the sender"),
    ("footer", Kind.DIFFERS, "write it into the text, or under end of the sender"),
    ("dlr-*", Kind.UNNEEDED, "what becomes of an answer is kept anyway"),
    ("accept-x-kannel-headers", Kind.LOST, "no web page is fetched to answer a text"),
    ("assume-plain-text", Kind.LOST, "no web page is fetched to answer a text"),
    ("*-keyword", Kind.LOST, "no web page is fetched to answer a text"),
    ("send-sender", Kind.LOST, "no web page is fetched to answer a text"),
    ("prefix", Kind.LOST, "no web page is fetched to answer a text"),
    ("suffix", Kind.LOST, "no web page is fetched to answer a text"),
    ("alt-charset", Kind.UNNEEDED, "texts are Unicode everywhere"),
)  # fmt: skip
OTHERS: tuple[Rule, ...] = (
    ("*-connection", Kind.UNNEEDED, "receipts and messages are in the one store"),
    ("*-db", Kind.UNNEEDED, "receipts and messages are in the one store"),
    ("modems", Kind.LOST, "modems are not spoken to"),
    ("ota-*", Kind.LOST, "there are no settings over the air"),
    ("opensmppbox", Kind.DIFFERS, "programs bind to listen.smpp; give each a client with smpp: {}"),
    ("smpp-logins", Kind.DIFFERS, "programs bind to listen.smpp; give each a client with smpp: {}"),
    ("*", Kind.LOST, "there is no WAP gateway, and WAP push comes later"),
)
OTHER_CENTRES: Mapping[str, str] = {
    "at": "a modem is not spoken to; ask a carrier for SMPP or HTTP",
    "at2": "a modem is not spoken to; ask a carrier for SMPP or HTTP",
    "http": "describe it as kind: http; docs/http-carriers.md shows three whole carriers",
    "loopback": "what we send does not come in again; the simulator answers tests",
}


def rest(draft: Draft, group: Group, rules: Collection[Rule]) -> None:
    """Note what nobody has asked a group for, one note for all that have become the same."""
    found: dict[tuple[Kind, str], list[str]] = {}
    for key in group.values:
        if key in group.asked:
            continue
        kind, why = next(
            ((kind, why) for pattern, kind, why in rules if fnmatchcase(key, pattern)),
            (Kind.LOST, "Carillon has nothing of the kind, or it is no setting of Kannel"),
        )
        found.setdefault((kind, why), []).append(key)
    for (kind, why), keys in found.items():
        shown = f"{keys[0]} = {shown_value(keys[0], group.values[keys[0]].text)}" if len(keys) == 1 else ", ".join(keys)
        draft.note(kind, group.values[keys[0]].place, shown[:120], why)


def shown_value(key: str, text: str) -> str:
    """A value as a note may show it: no password, nor what stands in a web address for one."""
    if re.search(r"password|secret|pin$|community", key):
        return "..."
    return re.sub(
        r"(\w+://)([^/@\s]*@)?([^?\s]*)(\?\S*)?", lambda url: url[1] + url[3] + ("?..." if url[4] else ""), text
    )


# --- the groups ------------------------------------------------------------------------------------------------------


def convert_kannel(sources: Sequence[Source], include: Include) -> Draft:
    """What these files say. Raises ConvertError where they cannot be read."""
    groups = read_groups(sources, include)
    if not groups:
        raise ConvertError(f"{sources[0][0]}: no group of Kannel stands here; name kannel.conf")
    draft = Draft("Kannel")
    by_name: dict[str, list[Group]] = {}
    for group in groups:
        by_name.setdefault(group.name, []).append(group)
    _carriers(draft, by_name.pop("smsc", []))
    cores, boxes = by_name.pop("core", []), by_name.pop("smsbox", [])
    for box in boxes:
        _box(draft, box)
    for route in by_name.pop("smsbox-route", []):
        _shortcodes(draft, route)
    users = by_name.pop("sendsms-user", [])
    for user in users:
        _user(draft, user)
    for service in by_name.pop("sms-service", []):
        _service(draft, service)
    for core in cores:
        _country(draft, core)
        rest(draft, core, CORE)
    for name, others in by_name.items():
        kind, why = next((kind, why) for pattern, kind, why in OTHERS if fnmatchcase(name, pattern))
        if name not in GROUPS:
            kind, why = Kind.LOST, "Kannel knows no such group"
        shown = f"group = {name}" if name else "settings without a group"
        draft.note(kind, others[0].place, f"{shown} ({len(others)} times)" if len(others) > 1 else shown, why)
    complete(draft, Place(sources[0][0], 1))
    _routes(draft, [group for group in groups if group.name == "smsc"])
    return draft


def _carriers(draft: Draft, groups: list[Group]) -> None:
    spoken = {"smpp", "fake"}
    for group in groups:
        kind = group.text("smsc")
        if kind not in spoken:
            why = OTHER_CENTRES.get(kind, "this protocol is not spoken; ask the carrier for SMPP or HTTP")
            draft.note(Kind.LOST, group.place, f"smsc = {kind or '(none)'} {group.text('smsc-id')}".strip(), why)
    add_channels(draft, [_smpp(draft, group) for group in groups if group.text("smsc") == "smpp"])
    for group in groups:
        if group.text("smsc") == "fake":
            _fake(draft, group)


def _fake(draft: Draft, group: Group) -> None:
    name = draft.name(draft.channels, group.text("smsc-id", "fake"), "fake")
    price = Setting(FILL_IN, "made up: what one part shall cost, such as 0.0079 USD per part")
    simulated = Setting("simulator", "no text leaves this machine")
    draft.channels[name] = Entry(group.place, {"kind": Setting("smpp"), "carrier": simulated, "price": price})
    draft.called[group.text("smsc-id", "fake").casefold()].append(name)
    draft.note(Kind.DIFFERS, group.place, "smsc = fake", "the simulator stands in; its phones are at listen.private")


def _smpp(draft: Draft, group: Group) -> Link:
    port, receive = group.text("port", "0"), group.text("receive-port", "0")
    mode = "transceiver" if group.says("transceiver-mode") else "transmitter"
    if port in ("", "0"):
        port, mode = receive, "receiver"
    elif receive not in ("", "0") and mode == "transmitter":
        why = "a sending and a receiving line at one port; ask the carrier, or write transceiver"
        draft.note(Kind.DIFFERS, group.place, f"port = {port} and receive-port = {receive}", why)
    rate = _rate(draft, group)
    link = Link(
        group.text("smsc-id") or group.text("host", "carrier"),
        group.place,
        group.text("host"),
        port,
        group.text("smsc-username") or group.text("system-id"),
        group.given("smsc-password"),
        mode,
        number=group.given("my-number"),
        count=max(1, group.number("instances") or 1),
        rate=rate,
        settings=_smpp_settings(draft, group),
    )
    group.asked |= {"smsc-admin-id", "preferred-prefix", "allowed-prefix"}
    rest(draft, group, SMSC)
    return link


def _rate(draft: Draft, group: Group) -> float | None:
    text = group.text("throughput")
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) and float(text):
        return float(text)
    if text and text not in ("0", "0.0"):
        draft.note(Kind.LOST, group.values["throughput"].place, f"throughput = {text}", "expected a number")
    return None


def _smpp_settings(draft: Draft, group: Group) -> dict[str, Setting]:
    """What has a word of its own here; what Kannel does when nothing is said is written out."""
    system_type = group.text("system-type", "VMA")
    waiting, enquire, answer = (
        group.number(key) for key in ("max-pending-submits", "enquire-link-interval", "wait-ack")
    )
    found = {
        "system_type": Setting(
            system_type[:LONGEST_SYSTEM_TYPE], "" if group.given("system-type") else "Kannel's default"
        ),
        "window": Setting(str(waiting))
        if waiting and waiting <= 10_000
        else Setting("10", "Kannel's default; more is faster, where the carrier allows it"),
    }
    if enquire:
        found["enquire"] = Setting(f"{enquire} s")
    if answer:
        found["answer_within"] = Setting(f"{answer} s")
    if group.says("use-ssl"):
        found["tls"] = Setting("yes", "the carrier's certificate and name are checked; Kannel did not")
    ids = group.number("msg-id-type")
    if ids is not None:
        meaning = {1: "decimal in receipts", 2: "hex in receipts"}
        found["message_ids"] = Setting(meaning.get(ids, "same"), f"msg-id-type was {ids}")
    found["address_types"] = Setting(_address_types(draft, group), "as Kannel sent them")
    return found


def _address_types(draft: Draft, group: Group) -> dict[str, str]:
    """Kannel takes a plain number for a national one unless told otherwise (guide, source-addr-ton and -npi)."""
    ton, npi = group.number("source-addr-ton"), group.number("source-addr-npi")
    source = f"{2 if ton is None else ton & 255}/{1 if npi is None else npi & 255}"
    found = {"short_code": source, "plain": source}
    to_ton, to_npi = group.number("dest-addr-ton"), group.number("dest-addr-npi")
    if to_ton is not None and (to_ton, to_npi) != (1, None):
        wanted = f"{to_ton}/{1 if to_npi is None else to_npi}"
        why = f"numbers go out as international, 1/1; write number: {wanted} if it must be so"
        draft.note(Kind.DIFFERS, group.values["dest-addr-ton"].place, f"dest-addr-ton = {to_ton}", why)
    return found


def _box(draft: Draft, box: Group) -> None:
    port = box.number("sendsms-port")
    if port and port < 65536:
        host = box.text("sendsms-interface", "0.0.0.0")  # noqa: S104  where Kannel listens when nothing is said
        draft.listen["api"] = Setting(f"{host}:{port}", "where sendsms-port was: POST and GET /cgi-bin/sendsms")
    sender = box.given("global-sender")
    if sender:
        add_sender(draft, sender, [])
        why = "a request says from, or the client's first sender is taken"
        draft.note(Kind.DIFFERS, sender.place, f"global-sender = {sender.text}", why)
    rest(draft, box, SMSBOX)


def _shortcodes(draft: Draft, route: Group) -> None:
    given = route.given("shortcode")
    channels = [name for old in route.several("smsc-id") for name in draft.channels_called(old)]
    for each in route.several("shortcode"):
        if given:
            add_sender(draft, Given(each, given.place), channels)
    why = "name the program as a client that receives: these numbers"
    draft.note(Kind.DIFFERS, route.place, f"group = smsbox-route {route.text('smsbox-id')}".strip(), why)


def _country(draft: Draft, group: Group) -> None:
    """The country that numbers without a plus belong to, of `+358,00358,0`."""
    given = group.given("unified-prefix")
    found = re.match(r"\+(\d{1,3}),", given.text) if given else None
    if given and found and int(found[1]) in COUNTRY_CODE_TO_REGION_CODE:
        regions = COUNTRY_CODE_TO_REGION_CODE[int(found[1])]
        if regions[0].isalpha():
            draft.country = Setting(regions[0], f"{given.place} says unified-prefix = {given.text}")


def _user(draft: Draft, user: Group) -> None:
    username = user.text("username")
    is_fit = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", username) and username not in draft.clients
    name = username if is_fit else draft.name(draft.clients, username, "user")
    if not is_fit:
        draft.note(Kind.DIFFERS, user.place, f"username = {username}", f"the program says {name} from now on")
    channels = []
    for key in ("forced-smsc", "default-smsc"):
        given = user.given(key)
        found = draft.channels_called(given.text) if given else []
        channels += [each for each in found if each not in channels]
        if given and not found:
            draft.note(
                Kind.LOST,
                given.place,
                f"{key} = {given.text}",
                "no group smsc has this smsc-id, or it is not carried over",
            )
    own = [user.given("faked-sender") or user.given("default-sender")]
    user.asked.add("default-sender")
    senders = [each for each in (add_sender(draft, given, channels) for given in own if given) if each]
    entry = Entry(user.place, {"may": Setting(["send", "read"])})
    draft.clients[name] = entry
    if channels and not senders:
        for channel in channels:
            if not draft.senders_on([channel]):
                complete(draft, user.place)
        senders = draft.senders_on(channels)
    if senders:
        entry.settings["senders"] = Setting(senders)
    notified = user.values.get("dlr-url")
    if notified and _is_inside(notified.text):
        entry.settings["private"] = Setting("yes", f"{notified.place} leads into our own network")
    if user.given("password"):
        place = user.values["password"].place
        entry.aside = [
            f"run.py key new {name} makes its key; the program shows that instead of the password of {place}"
        ]
    rest(draft, user, USER)


def _is_inside(url: str) -> bool:
    try:
        return is_inside(url)
    except ValueError:  # it is no address at all
        return False


# --- services --------------------------------------------------------------------------------------------------------


def _service(draft: Draft, service: Group) -> None:
    keyword, shown = service.text("keyword"), service.text("keyword") or service.text("keyword-regex")
    text, place = service.given("text"), service.place
    address = next(filter(None, (service.given(key) for key in ("get-url", "url", "post-url", "post-xml"))), None)
    if address:
        _relay(draft, service, shown, address)
    elif service.given("exec") or service.given("file"):
        why = "a command or file does not answer a text; make it a client with a webhook"
        draft.note(Kind.LOST, place, f"keyword {shown}: exec or file", why)
    elif service.given("keyword-regex"):
        draft.note(Kind.LOST, place, f"keyword-regex = {shown}", "keywords are words; write each under also:")
    elif keyword == "default":
        why = "what nobody understands is answered by templates/texts, once a day for each phone; change it there"
        draft.note(Kind.DIFFERS, place, "keyword = default", why)
    elif keyword == "black-list":
        draft.note(Kind.UNNEEDED, place, "keyword = black-list", "people who left are not answered, save to START")
    elif text:
        _say(draft, service, keyword, text)
    else:
        draft.note(Kind.LOST, place, f"keyword {shown}", "it has neither text nor url")
    service.asked |= {"aliases", "text"}
    rest(draft, service, SERVICE)


def _say(draft: Draft, service: Group, keyword: str, text: Given) -> None:
    trouble = _trouble(keyword, draft.spoken) or _unsayable(text.text)
    if trouble:
        draft.note(Kind.LOST, service.place, f"keyword {keyword}: {text.text[:60]}", trouble)
        return
    draft.spoken.add(words.fold(keyword))
    also = []
    for alias in service.several("aliases"):
        trouble = _trouble(alias, draft.spoken)
        draft.spoken.add(words.fold(alias))
        if trouble:
            draft.note(Kind.LOST, service.place, f"alias {alias} of {keyword}", trouble)
        else:
            also.append(alias)
    settings = {"also": Setting(also)} if also else {}
    draft.keywords[keyword] = Entry(service.place, {**settings, "say": Setting(text.text)})


def _trouble(word: str, known: Collection[str]) -> str:
    """Why a word cannot be a keyword, or an empty text."""
    intent = words.intent_of(word)
    if intent is not None:
        return f"it always means {intent.upper()}, and is obeyed and answered without being written down"
    if not words.fold(word) or re.search(r"\s", word):
        return "a keyword is one word"
    return "it stands twice; one of them holds for every number" if words.fold(word) in known else ""


def _unsayable(text: str) -> str:
    """Why a text cannot be an answer as it stands, or an empty text."""
    if ESCAPE.search(text):
        return f"{ESCAPE.findall(text)[0]} is filled in by nobody; write the text anew under keywords:"
    if len(text) > LONGEST_TEXT:
        return f"it has {len(text):,} characters, and at most {LONGEST_TEXT:,} are sent"
    try:
        compile_text(text, ())
    except BadTemplate as error:
        return str(error)
    return "" if text.strip() else "it is empty"


def _relay(draft: Draft, service: Group, shown: str, address: Given) -> None:
    """A program that answers texts is a client that is told of them, and sends its answer itself."""
    key = next(key for key in ("get-url", "url", "post-url", "post-xml") if service.given(key) is address)
    why = "a program is told of every text by its client's webhook, and answers by sending; see docs/moving-in.md"
    draft.note(Kind.LOST, address.place, f"keyword {shown}: {key} = {shown_value(key, address.text)}"[:120], why)


# --- routing ---------------------------------------------------------------------------------------------------------


def _routes(draft: Draft, groups: list[Group]) -> None:
    """Prefixes that a carrier takes, or shall rather take, as rules; only where they are written as + and digits."""
    for group in groups:
        channels = draft.channels_called(group.text("smsc-id") or group.text("host", "carrier"))
        for key in ("allowed-prefix", "preferred-prefix"):
            given = group.given(key)
            if given is None:
                continue
            prefixes = [f"+{each.removeprefix('00').removeprefix('+')}" for each in group.several(key)
                        if re.fullmatch(r"(\+|00)\d{1,14}", each)]  # fmt: skip
            senders = draft.senders_on(channels)
            if prefixes and senders and len(prefixes) == len(group.several(key)):
                name = draft.name(draft.routes, f"{channels[0]}_{key.partition('-')[0]}", "route")
                draft.routes[name] = Entry(given.place, {"prefix": Setting(prefixes), "senders": Setting(senders)})
                why = f"the rule {name} says it; the first rule that fits decides"
                draft.note(Kind.DIFFERS, given.place, f"{key} = {given.text}", why)
            else:
                draft.note(Kind.LOST, given.place, f"{key} = {given.text}", f"write the prefixes with + ; {ROUTED}")
