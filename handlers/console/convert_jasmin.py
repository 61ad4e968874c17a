"""Reads what jcli of Jasmin was told or shows, and jasmin.cfg, and says it in the words of config.yaml; opens no file.

Commands and settings are those of Jasmin's manual, "Management CLI Modules", and of Jasmin 0.11 where it is silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from handlers.console.convert_draft import (
    LONGEST_ACCOUNT,
    LONGEST_SYSTEM_TYPE,
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

MODULES = ("user", "group", "smppccm", "httpccm", "filter", "mtrouter", "morouter", "mtinterceptor", "mointerceptor")
SECTIONS = (
    "smpp-server",
    "smpp-server-pb",
    "client-management",
    "http-api",
    "router",
    "jcli",
    "amqp-broker",
    "sm-listener",
)
COMMAND = re.compile(
    r"(?:jcli\s*:\s*)?(" + "|".join(MODULES) + r")\s+(--?[A-Za-z0-9]+)(?:[\s=]+(\S.*))?$"
)  # jcli's own prompt may stand before it
PROMPT = re.compile(r"^(?:jcli\s*:|>)\s*")
ROW = re.compile(r"#(\d+)\s+(\w+Route)\s+(?:([\d.]+|\(!\)\s*[\d.]+)\s+)?(.+)$")  # of mtrouter -l and morouter -l
CONNECTOR = re.compile(r"(smppc|smpps|http)\(([^)\s]+)\)")
SHOWN_FILTER = re.compile(r"<(\w+)(?:\s*\(([^>]*)\))?>")
NUMBERED = re.compile(
    r"\^?\+?(\d{1,15})(\$|\.\*\$?|\\d[+*]\$?|\[0-9\][+*]\$?)?"
)  # expressions that mean a beginning or a number
WORDS = frozenset({"ok", "ko", "quit", "exit", "persist", "load", "stats", "help"})


def is_jasmin(text: str) -> bool:
    """Whether a text looks like a script or a dump of jcli, or like jasmin.cfg."""
    return _is_cfg(text) or any(COMMAND.match(PROMPT.sub("", line.strip())) for line in text.split("\n"))


def _is_cfg(text: str) -> bool:
    return any(re.match(rf"\s*\[({'|'.join(SECTIONS)})\]", line) for line in text.split("\n"))


# --- what stands there -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Thing:
    """Something that a module of jcli made, with its settings as they stand at the end."""

    place: Place
    values: dict[str, Given] = field(default_factory=dict)

    def text(self, key: str, otherwise: str = "") -> str:
        """A setting; `None` and `ND` are how Jasmin writes that there is none."""
        found = self.values.get(key)
        return found.text if found and found.text not in ("", "None", "none", "ND") else otherwise

    def given(self, key: str) -> Given | None:
        """A setting with its place, if it says anything."""
        return self.values[key] if self.text(key) else None

    def says(self, key: str, *, otherwise: bool) -> bool:
        """A setting that is yes or no."""
        text = self.text(key).lower()
        return text in ("yes", "true", "1", "y") if text else otherwise

    def number(self, key: str, otherwise: int) -> int:
        """A whole number."""
        text = self.text(key)
        return int(text) if re.fullmatch(r"\d{1,9}", text) else otherwise


Things = dict[str, dict[str, Thing]]  # by module, then by what each is called
IDS = {
    "user": "uid",
    "group": "gid",
    "smppccm": "cid",
    "httpccm": "cid",
    "filter": "fid",
    "mtrouter": "order",
    "morouter": "order",
}


class _Reader:
    """Follows what was typed and shown, and keeps what it comes to."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.things: Things = {module: {} for module in MODULES}
        self._module, self._open, self._is_shown = "", Thing(Place("", 0)), False

    def read(self, source: Source) -> None:
        """All lines of a file."""
        for number, raw in enumerate(source[1].split("\n"), 1):
            line = PROMPT.sub("", raw.strip())
            place = Place(source[0], number)
            command = COMMAND.match(line)
            if command:
                self._close()
                self._begin(command, place)
            elif not line or line in ("ko", "quit", "exit"):
                self._end(keep=self._is_shown)
            elif line == "ok":
                self._end(keep=True)
            elif self._module:
                self._hear(line, place)
        self._close()

    def _begin(self, command: re.Match[str], place: Place) -> None:
        module, option, argument = command[1], command[2].lstrip("-"), (command[3] or "").strip()
        if option in ("a", "add", "s", "show", "l", "list"):
            self._module, self._open = module, Thing(place)
            self._is_shown = option not in ("a", "add")
            if argument and option in ("s", "show"):
                self._open.values[IDS.get(module, "id")] = Given(argument, place)
        elif option in ("u", "update"):
            before = self.things[module].get(argument, Thing(place))
            self._module, self._open, self._is_shown = module, Thing(before.place, dict(before.values)), False
            self._open.values[IDS.get(module, "id")] = Given(argument, place)
        elif option in ("r", "remove"):
            self.things[module].pop(argument, None)
        elif option in ("f", "flush"):
            self.things[module].clear()
        elif option in ("0", "stop") and module == "smppccm" and argument in self.things[module]:
            why = "the channel is held whenever somebody serves; leave it out until you want it"
            self._draft.note(Kind.DIFFERS, place, f"smppccm -0 {argument}", why)

    def _hear(self, line: str, place: Place) -> None:
        row = ROW.match(line)
        if row and self._module in ("mtrouter", "morouter"):
            self._row(row, place)
            return
        if line.startswith(("#", "Total ")) or (not self._is_shown and " arguments:" in line):
            return
        words = line.replace(" = ", " ", 1).split()
        long = 3 if words[0] in ("mt_messaging_cred", "smpps_cred") else 1
        if len(words) > long and not line.startswith("Adding a new"):
            key = " ".join(words[:long])
            self._open.values[key.replace("baseurl", "url")] = Given(" ".join(words[long:]).rstrip(), place)

    def _row(self, row: re.Match[str], place: Place) -> None:
        connectors = ";".join(f"{kind}({name})" for kind, name in CONNECTOR.findall(row[4]))
        filters = SHOWN_FILTER.findall(row[4])
        thing = Thing(place, {"type": Given(row[2], place), "order": Given(row[1], place)})
        thing.values["connectors"] = Given(connectors, place)
        thing.values["shown filters"] = Given(";".join(f"{kind} {said}" for kind, said in filters), place)
        if row[3]:
            thing.values["rate"] = Given(row[3], place)
        self.things[self._module][row[1]] = thing

    def _end(self, *, keep: bool) -> None:
        if keep and self._module:
            key = IDS.get(self._module, "order")
            called = self._open.text(key, "0" if key == "order" else "")
            if called and len(self._open.values) > (1 if self._is_shown else 0):
                self.things[self._module].setdefault(called, self._open)
                self.things[self._module][called] = self._open
        self._module, self._open, self._is_shown = "", Thing(Place("", 0)), False

    def _close(self) -> None:
        self._end(keep=self._is_shown)


def _sections(source: Source) -> Iterator[tuple[str, str, Given]]:
    """Section, key and value of each line of jasmin.cfg that is not a comment."""
    section = ""
    for number, raw in enumerate(source[1].split("\n"), 1):
        line = raw.strip()
        head = re.match(r"\[([\w-]+)\]", line)
        if head:
            section = head[1]
        elif line and line[0] not in "#;" and "=" in line:
            key, _, value = line.partition("=")
            yield section, key.strip(), Given(value.strip().strip("\"'"), Place(source[0], number))


# --- what it has become ----------------------------------------------------------------------------------------------

LOGS = "logs go to standard error; see docs/operations.md"
NO_BROKER = "there is no broker beside the store"
UNNEEDED_SECTIONS: Mapping[str, str] = {
    "amqp-broker": NO_BROKER, "redis-client": NO_BROKER, "sm-listener": NO_BROKER, "service-smppclient": NO_BROKER,
    "client-management": "the commands need listen.private only", "router": "the commands need listen.private only",
    "jcli": "run.py is the command line; everything else stands in config.yaml",
    "deliversm-thrower": "what a program is told is tried again for 3 days",
    "dlr-thrower": "what a program is told is tried again for 3 days",
    "dlr": NO_BROKER, "smpp-server-pb": "there is one process", "interceptor-client": "see interceptors",
}  # fmt: skip
CONNECTOR_RULES: Mapping[str, tuple[Kind, str]] = {
    "validity": (Kind.DIFFERS, "a text says itself until when it is good: valid_until, validity_period, send.within"),
    "priority": (Kind.DIFFERS, "urgent texts have a lane of their own"),
    "coding": (Kind.DIFFERS, "each text is counted and written as what it needs: GSM 03.38 or UCS-2"),
    "addr_range": (Kind.LOST, "it is left empty, which every carrier takes; ask yours if it brings no texts"),
    "proto_id": (Kind.LOST, "it is 0"),
    "def_msg_id": (Kind.LOST, "texts are sent, never the number of one"),
    "ripf": (Kind.LOST, "a text never replaces another on the phone"),
    "ssl_client_cert": (Kind.LOST, "a line cannot show a certificate of ours yet"),
}
QUIET = {  # what is so by default in Jasmin, and says nothing
    "validity": "", "priority": "0", "coding": "0", "addr_range": "", "proto_id": "", "def_msg_id": "0", "ripf": "0",
}  # fmt: skip
NO_BILLING = "there is no billing of clients; budgets stand with campaigns"


def convert_jasmin(sources: Sequence[Source]) -> Draft:
    """What these files say: any of jcli's scripts, dumps, and jasmin.cfg."""
    draft = Draft("Jasmin")
    reader = _Reader(draft)
    split = ""
    for source in sources:
        if _is_cfg(source[1]):
            split = _listeners(draft, source) or split
        else:
            reader.read(source)
    things = reader.things
    add_channels(draft, [_link(draft, cid, thing, split) for cid, thing in things["smppccm"].items()])
    start = Place(sources[0][0], 1)
    _clients(draft, things)
    complete(draft, start)
    _mt_routes(draft, things)
    _mo_routes(draft, things)
    for module in ("mtinterceptor", "mointerceptor"):
        for thing in things[module].values():
            draft.note(
                Kind.LOST, thing.place, module, "no script of yours runs inside; let a program do it, as a client"
            )
    for entry in draft.clients.values():
        for key in ("senders", "receives"):
            if key in entry.settings and not entry.settings[key].value:
                del entry.settings[key]
    return draft


def _listeners(draft: Draft, source: Source) -> str:
    """The ports of jasmin.cfg; returns how long texts are split, where it says so."""
    split, quiet = "", dict[str, Given]()
    hosts, ports = {"http-api": "0.0.0.0", "smpp-server": "0.0.0.0"}, dict[str, Given]()  # noqa: S104  its own default
    for section, key, given in _sections(source):
        if key == "bind" and section in hosts and re.fullmatch(r"[\w.:-]+", given.text):
            hosts[section] = given.text
        elif key == "port" and section in hosts and re.fullmatch(r"\d{1,5}", given.text):
            ports[section] = given
        elif key == "long_content_split":
            split = {"sar": "sar", "udh": "header"}.get(given.text, "")
        elif section in UNNEEDED_SECTIONS:
            quiet.setdefault(section, given)
        elif key.startswith(("log", "access_log")):
            quiet.setdefault("log_*", given)
        elif section == "smpp-server" and key == "id":
            draft.note(Kind.UNNEEDED, given.place, "id", "what answers a bind is called carillon")
        else:
            draft.note(
                Kind.UNNEEDED, given.place, f"[{section}] {key} = {given.text}"[:120], "see listen in docs/config.md"
            )
    for section, given in quiet.items():
        why = UNNEEDED_SECTIONS.get(section, LOGS)
        draft.note(Kind.UNNEEDED, given.place, section if section == "log_*" else f"[{section}]", why)
    for section, key, why in (
        ("http-api", "api", "where Jasmin's /send was; the doors are /v1/messages and /cgi-bin/sendsms"),
        ("smpp-server", "smpp", "where programs bind"),
    ):
        if section in ports:
            draft.listen[key] = Setting(f"{hosts[section]}:{ports[section].text}", why)
    return split


def _link(draft: Draft, cid: str, thing: Thing, split: str) -> Link:
    """A connector, with Jasmin's defaults where it says nothing."""
    for key, (kind, why) in CONNECTOR_RULES.items():
        if thing.text(key) not in ("", QUIET.get(key, "")):
            draft.note(kind, thing.values[key].place, f"{key} {thing.text(key)}", why)
    mode = thing.text("bind", "transceiver").lower()
    limit = thing.text("submit_throughput", "1")
    rate = float(limit) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", limit) and float(limit) else None
    return Link(
        cid, thing.place, thing.text("host", "127.0.0.1"), thing.text("port", "2775"),
        thing.text("username", "smppclient"), thing.given("password"),
        mode if mode in ("transceiver", "transmitter", "receiver") else "transceiver",
        number=thing.given("src_addr"), rate=rate, settings=_link_settings(thing, split),
    )  # fmt: skip


def _link_settings(thing: Thing, split: str) -> dict[str, Setting]:
    found = {}
    if thing.text("systype"):
        found["system_type"] = Setting(thing.text("systype")[:LONGEST_SYSTEM_TYPE])
    for key, ours in (("elink_interval", "enquire"), ("res_to", "answer_within")):
        if thing.number(key, 0):
            found[ours] = Setting(f"{thing.number(key, 0)} s")
    if thing.says("ssl", otherwise=False) or thing.says("useSSL", otherwise=False):
        found["tls"] = Setting("yes", "the carrier's certificate and name are checked")
    ids = {1: "decimal in receipts", 2: "hex in receipts"}.get(thing.number("dlr_msgid", 0))
    if ids:
        found["message_ids"] = Setting(ids, f"dlr_msgid was {thing.text('dlr_msgid')}")
    if split and split != "header":
        found["long_texts"] = Setting(split, "long_content_split")
    ton, npi = thing.number("src_ton", 2), thing.number("src_npi", 1)
    source = f"{ton & 255}/{npi & 255}"
    types = {"short_code": source, "plain": source} | ({"name": source} if ton == 5 else {})
    to = f"{thing.number('dst_ton', 1) & 255}/{thing.number('dst_npi', 1) & 255}"
    found["address_types"] = Setting(types | ({"number": to} if to != "1/1" else {}), "as Jasmin sent them")
    return found


# --- programs --------------------------------------------------------------------------------------------------------


def _clients(draft: Draft, things: Things) -> None:
    for uid, user in things["user"].items():
        username = user.text("username", uid)
        is_fit = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,14}", username) and username not in draft.clients
        name = username if is_fit else draft.name(draft.clients, username, "user", LONGEST_ACCOUNT)
        if not is_fit:
            draft.note(Kind.DIFFERS, user.place, f"username {username}", f"the program says {name} from now on")
        draft.clients[name] = _client(draft, name, user)
        user.values |= {"client": Given(name, user.place), "uid": Given(uid, user.place)}
    for gid, group in things["group"].items():
        members = [user.text("client") for user in things["user"].values() if user.text("gid") == gid]
        why = f"clients have no groups; {', '.join(members) or 'nobody'} was in it"
        draft.note(Kind.UNNEEDED, group.place, f"group {gid}", why)


def _client(draft: Draft, name: str, user: Thing) -> Entry:
    entry = Entry(user.place, {"may": Setting(["send", "read"])})
    own = user.given("mt_messaging_cred defaultvalue src_addr") or _only_sender(user)
    sender = add_sender(draft, own, []) if own else ""
    entry.settings["senders"] = Setting([sender] if sender else [])
    entry.settings["receives"] = Setting([])
    rates = [user.text(f"mt_messaging_cred quota {door}_throughput") for door in ("http", "smpps")]
    limits = [float(each) for each in rates if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", each) and float(each)]
    if limits:
        entry.settings["rate"] = Setting(
            f"{max(limits):g}/s", "at all doors together; more waits, and is not refused at once"
        )
    binds = min(100, user.number("smpps_cred quota max_bindings", 4))
    if user.says("smpps_cred authorization bind", otherwise=True) and binds:
        entry.settings["smpp"] = Setting({"binds": str(binds)})
        entry.aside.append(
            f"run.py key new {name} --smpp makes the password that it binds with; the system_id is {name}"
        )
    entry.aside.append(f"run.py key new {name} makes the key that it shows by HTTP")
    _limits(draft, user)
    return entry


def _only_sender(user: Thing) -> Given | None:
    """The one sender that a filter of values allows, of `^LANTERN$`."""
    given = user.given("mt_messaging_cred valuefilter src_addr")
    found = re.fullmatch(r"\^(\+?[A-Za-z0-9 ]{1,15})\$", given.text) if given else None
    return Given(found[1], given.place) if given and found else None


def _limits(draft: Draft, user: Thing) -> None:
    """What restricted a user and does so no longer."""
    usual = {"": ".*", "priority": "^[0-3]$", "validity_period": "^\\d+$"}
    for key, given in user.values.items():
        section, _, last = key.rpartition(" ")
        if section.endswith("quota") and last in ("balance", "sms_count", "early_percent") and user.text(key):
            draft.note(Kind.LOST, given.place, f"{last} {given.text}", NO_BILLING)
        elif section.endswith("valuefilter") and user.text(key) and given.text != usual.get(last, ".*"):
            is_ours = last == "src_addr" and _only_sender(user)
            if not is_ours:
                why = "only senders: restricts a client" if last == "src_addr" else "nothing restricts a client so"
                draft.note(Kind.LOST, given.place, f"{last} {given.text}"[:120], why)
        elif section.endswith("authorization") and not user.says(key, otherwise=True) and last != "bind":
            why = "a client may send at every door that it has a key for"
            draft.note(Kind.DIFFERS, given.place, f"{last} {given.text}", why)


# --- routes ----------------------------------------------------------------------------------------------------------


def _connectors(route: Thing, kind: str) -> list[str]:
    text = f"{route.text('connector')};{route.text('connectors')}"
    return [name for found, name in CONNECTOR.findall(text) if found == kind]


def _filters(route: Thing, things: Things) -> list[tuple[str, str, Place]]:
    """Kind, value and place of what must hold."""
    found = []
    for fid in filter(None, (each.strip() for each in route.text("filters").split(";"))):
        thing = things["filter"].get(fid)
        if thing is None:
            found.append((fid, "", route.place))
            continue
        keys = (
            "uid",
            "gid",
            "cid",
            "source_addr",
            "destination_addr",
            "short_message",
            "dateInterval",
            "timeInterval",
            "pyCode",
            "tag",
        )
        value = next((thing.text(key) for key in keys if thing.text(key)), "")
        found.append((thing.text("type", fid).lower().removesuffix("filter"), value, thing.place))
    for shown in filter(None, route.text("shown filters").split(";")):
        kind, _, value = shown.partition(" ")
        short = {
            "T": "transparent",
            "U": "user",
            "G": "group",
            "C": "connector",
            "SA": "sourceaddr",
            "DA": "destinationaddr",
        }
        found.append(
            (short.get(kind, kind).lower().removesuffix("filter"), value.partition("=")[2].strip(), route.place)
        )
    return [each for each in found if each[0] != "transparent"]


def _ordered(routes: Mapping[str, Thing]) -> list[Thing]:
    """Jasmin asks the highest order first."""
    return sorted(routes.values(), key=lambda route: -route.number("order", 0))


def _mt_routes(draft: Draft, things: Things) -> None:
    for route in _ordered(things["mtrouter"]):
        cids = _connectors(route, "smppc")
        senders = draft.senders_on(name for cid in cids for name in draft.channels_called(cid))
        shown = f"mtrouter {route.text('type', 'Route')} {route.text('order', '0')} to {', '.join(cids) or 'nothing'}"
        if re.search("[1-9]", route.text("rate")):
            why = f"{NO_BILLING}; what a part costs is price of the channel"
            draft.note(Kind.LOST, route.place, f"rate {route.text('rate')}", why)
        filters = _filters(route, things)
        if not senders:
            draft.note(Kind.LOST, route.place, shown, "there is no such connector")
            continue
        how = _carried(draft, things, route, senders, filters)
        if how:
            draft.note(Kind.DIFFERS, route.place, shown, how + _stand_in(draft, senders))
        else:
            said = ", ".join(f"{kind} {value}".strip() for kind, value, _ in filters)
            why = f"rules know country, prefix, type, network and campaign, not {said}"
            draft.note(Kind.LOST, route.place, shown, why[:200])


def _carried(
    draft: Draft, things: Things, route: Thing, senders: list[str], filters: list[tuple[str, str, Place]]
) -> str:
    """What says it now, or an empty text where nothing can."""
    if not filters:
        if senders == draft.senders_on(draft.channels)[: len(senders)]:
            return "the order of the senders says it"
        name = draft.name(draft.routes, "default", "route")
        draft.routes[name] = Entry(route.place, {"senders": Setting(senders)})
        return f"the rule {name} says it"
    kind, value, _ = filters[0] if len(filters) == 1 else ("", "", route.place)
    if kind in ("user", "group"):
        return _for_users(draft, things, "uid" if kind == "user" else "gid", value, senders)
    found = NUMBERED.fullmatch(value) if kind == "destinationaddr" else None
    if not found:
        return ""
    name = draft.name(draft.routes, f"to_{found[1]}", "route")
    draft.routes[name] = Entry(route.place, {"prefix": Setting([f"+{found[1]}"]), "senders": Setting(senders)})
    return f"the rule {name} says it"


def _for_users(draft: Draft, things: Things, key: str, value: str, senders: list[str]) -> str:
    users = [user for user in things["user"].values() if user.text(key) == value]
    for user in users:
        add_to(draft.clients[user.text("client")], "senders", senders)
    return "the senders of the client say it" if users else ""


def _stand_in(draft: Draft, senders: list[str]) -> str:
    """Let the first sender be stood in for by those on other channels; says so."""
    first = draft.senders[senders[0]].settings
    others = [name for name in senders[1:] if draft.senders[name].settings["channel"] != first["channel"]]
    if not others or "fallback" in first:
        return ""
    first["fallback"] = Setting(others)
    return "; the others stand in for the first while its channel is out, as fallback says"


def add_to(client: Entry, key: str, names: list[str]) -> None:
    """Put names behind those of a list of a client."""
    own = client.settings[key].value
    if isinstance(own, list):
        own += [name for name in names if name not in own]


def _mo_routes(draft: Draft, things: Things) -> None:
    for route in _ordered(things["morouter"]):
        where = _connectors(route, "smpps") + _connectors(route, "http")
        shown = f"morouter {route.text('type', 'Route')} {route.text('order', '0')} to {', '.join(where) or 'nothing'}"
        senders = _received(draft, route, things)
        if not senders:
            draft.note(
                Kind.LOST,
                route.place,
                shown,
                "a client receives texts by our number, see receives; not by what this looks at",
            )
            continue
        clients = [user.text("client") for username in _connectors(route, "smpps")
                   for uid, user in things["user"].items() if user.text("username", uid) == username]  # fmt: skip
        for cid in _connectors(route, "http"):
            clients.append(_web_client(draft, cid, things["httpccm"].get(cid), route))
        for client in clients:
            add_to(draft.clients[client], "receives", senders)
        if clients:
            draft.note(
                Kind.DIFFERS, route.place, shown, f"{', '.join(clients)} receives the texts to {', '.join(senders)}"
            )
        else:
            draft.note(Kind.LOST, route.place, shown, "there is no such user or connector")


def _received(draft: Draft, route: Thing, things: Things) -> list[str]:
    """The senders whose texts a route is about, or none where it looks at something else."""
    senders = draft.senders_on(draft.channels)
    for kind, value, place in _filters(route, things):
        if kind == "connector":
            on = draft.senders_on(draft.channels_called(value))
            senders = [name for name in senders if name in on]
        elif kind == "destinationaddr":
            found = re.fullmatch(r"\^?(\+?[A-Za-z0-9]{1,15})\$?", value)
            name = add_sender(draft, Given(found[1], place), []) if found else ""
            senders = [name] if name else []
        else:
            return []
    return senders


def _web_client(draft: Draft, cid: str, connector: Thing | None, route: Thing) -> str:
    """The client that an HTTP connector has become; its webhook is written beside it until the program knows ours."""
    thing = connector or route
    known = thing.text(f"client of {cid}")
    if known:
        return known
    name, url = draft.name(draft.clients, cid, "program"), thing.text("url", "https://...")
    thing.values[f"client of {cid}"] = Given(name, thing.place)
    entry = Entry(thing.place, {"may": Setting(["read"]), "receives": Setting([])})
    entry.aside = [f"webhook: {{url: {url}}}", "^ once the program reads our webhooks; see docs/moving-in.md"]
    draft.clients[name] = entry
    why = "its URL is called in another way: JSON, signed, any 2xx; the webhook stands there as a comment"
    draft.note(Kind.TO_DO, thing.place, f"httpccm {cid} {url}"[:120], why)
    return name
