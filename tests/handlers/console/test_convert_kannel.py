"""kannel.conf in our words: its syntax by the guide's own rules, and what each group becomes."""

from __future__ import annotations

import string
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.smpp import SmppCarrier
from handlers.console.convert import convert
from handlers.console.convert_draft import ConvertError, Kind
from handlers.console.convert_kannel import GROUPS, read_groups
from handlers.console.convert_writing import written
from tests.handlers.console.converting import filled, of, whats


def groups_of(text: str) -> list[dict[str, str]]:
    """Each group's settings."""
    return [{key: each.text for key, each in group.values.items()} for group in read_groups([("k", text)], _none)]


def _none(name: str, file: str) -> list[tuple[str, str]]:
    raise ConvertError(f"{file} includes {name}")


SMSC = "group = smsc\nsmsc = smpp\nsmsc-id = north\nhost = smpp.example.net\nport = 2775\nsmsc-username = lantern\n"


# --- syntax (Kannel User Guide, "Configuration file syntax") ---------------------------------------------------------


def test_empty_lines_part_groups_and_comments_do_not() -> None:
    text = "group = a\nx = 1\n# not the end\n  y = 2\n\n\ngroup = b\n"
    assert groups_of(text) == [{"group": "a", "x": "1", "y": "2"}, {"group": "b"}]


@pytest.mark.parametrize(
    ("written_so", "means"),
    [
        ("plain words ", "plain words"), ('" kept "', " kept "), (r'"a \"b\" \\ c"', r'a "b" \ c'),
        (r'"a\tb"', r"a\tb"),
        ('"', '"'), ("a=b", "a=b"), ('""', ""), ('"unclosed', '"unclosed'),
    ],
)  # fmt: skip
def test_quotation_marks_keep_blanks_and_a_backslash_keeps_marks(written_so: str, means: str) -> None:
    assert groups_of(f"group = a\nx = {written_so}\n")[0]["x"] == means


def test_a_backslash_at_the_end_joins_lines() -> None:
    assert groups_of("group = a\nx = one;\\\n two;\\\nthree\ny = 2\n") == [
        {"group": "a", "x": "one;two;three", "y": "2"}
    ]


def test_two_backslashes_at_the_end_are_one() -> None:
    assert groups_of("group = a\nx = c:\\\\\ny = 2\n") == [{"group": "a", "x": "c:\\", "y": "2"}]


def test_included_files_and_folders_stand_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name, text in {
        "kannel.conf": f"group = core\ninclude = carrier.conf\n\n{'include = more'}\n",
        "carrier.conf": f"admin-port = 1\n\n{SMSC}",
        "more/b.conf": "group = sendsms-user\nusername = b",
        "more/a.conf": "group = sendsms-user\nusername = a",
    }.items():
        (tmp_path / name).write_text(text)
    draft = convert([tmp_path / "kannel.conf"])
    assert list(draft.clients) == ["a", "b"]
    assert str(draft.channels["north"].place) == f"{tmp_path / 'carrier.conf'}:3"


# --- carriers --------------------------------------------------------------------------------------------------------


def test_an_smpp_group_becomes_a_channel_with_all_that_has_a_word_here(tmp_path: Path) -> None:
    more = """transceiver-mode = true
smsc-password = x
system-type = ESME
throughput = 25.5
max-pending-submits = 50
enquire-link-interval = 20
wait-ack = 45
use-ssl = yes
msg-id-type = 0x01
my-number = 20655
source-addr-ton = 3
source-addr-npi = 0
"""
    draft, config = of(tmp_path, SMSC + more)
    channel = config.channels["north"]
    assert isinstance(channel, SmppCarrier)
    assert (channel.place, channel.account, channel.system_type) == ("smpp.example.net:2775", "lantern", "ESME")
    assert (channel.binds, channel.window, channel.rate.per_s) == (("transceiver",), 50, 25.5)
    assert (channel.enquire.total_seconds(), channel.answer_within.total_seconds()) == (20, 45)
    assert (channel.tls, channel.message_ids) == (True, "decimal in receipts")
    assert str(channel.address_types.short_code) == "3/0"
    assert config.senders["number_20655"].channel == "north"
    assert whats(draft, Kind.LOST) == []


@pytest.mark.parametrize(
    ("kind", "ids"), [(0, "same"), (1, "decimal in receipts"), (2, "hex in receipts"), (3, "same"), (None, "auto")]
)
def test_ids_of_receipts_are_read_as_kannel_was_told_to(tmp_path: Path, kind: int | None, ids: str) -> None:
    line = "" if kind is None else f"msg-id-type = {kind}\n"
    channel = of(tmp_path, f"{SMSC}transceiver-mode = yes\n{line}")[1].channels["north"]
    assert isinstance(channel, SmppCarrier)
    assert channel.message_ids == ids


def test_what_kannel_does_when_nothing_is_said_is_written_out(tmp_path: Path) -> None:
    channel = of(tmp_path, SMSC)[1].channels["north"]
    assert isinstance(channel, SmppCarrier)
    assert (channel.binds, channel.window, channel.system_type) == (("transmitter",), 10, "VMA")
    assert str(channel.address_types.plain) == "2/1"  # guide: source-addr-ton defaults to 2, source-addr-npi to 1


def test_a_sender_and_a_receiver_of_one_account_are_one_channel(tmp_path: Path) -> None:
    receiver = SMSC.replace("port = 2775", "receive-port = 2776")
    draft, config = of(tmp_path, f"{SMSC}instances = 2\nthroughput = 10\n\n{receiver}")
    (channel,) = config.channels.values()
    assert isinstance(channel, SmppCarrier)
    assert channel.binds == ("transmitter", "transmitter", "receiver")
    assert channel.rate.per_s == 20
    assert "10: receiver at port 2776" in whats(draft, Kind.DIFFERS)


def test_a_carrier_that_is_only_heard_becomes_a_transceiver_and_is_told(tmp_path: Path) -> None:
    draft, config = of(tmp_path, SMSC.replace("port", "receive-port"))
    channel = config.channels["north"]
    assert isinstance(channel, SmppCarrier)
    assert channel.binds == ("transceiver",)
    assert "1: a connection that only receives" in whats(draft, Kind.DIFFERS)


def test_two_carriers_with_one_id_are_two_channels_and_a_user_of_it_has_both(tmp_path: Path) -> None:
    other = SMSC.replace("smpp.example.net", "other.example.net").replace("NORTH", "north")
    user = "group = sendsms-user\nusername = shop\npassword = p\nforced-smsc = NORTH\n"
    _, config = of(tmp_path, f"{SMSC}my-number = 1111\n\n{other}my-number = 2222\n\n{user}")
    assert list(config.channels) == ["north", "north_2"]
    assert config.clients["shop"].senders == ("number_1111", "number_2222")


def test_more_lines_than_can_be_held_are_cut_and_told(tmp_path: Path) -> None:
    draft, config = of(tmp_path, f"{SMSC}instances = 999999999\n")
    channel = config.channels["north"]
    assert isinstance(channel, SmppCarrier)
    assert len(channel.binds) == 32
    assert "1: 33 lines or more" in whats(draft, Kind.DIFFERS)


@pytest.mark.parametrize("kind", ["at", "cimd2", "emi", "http", "ois", "sema", "loopback", ""])
def test_other_protocols_are_told_and_the_simulator_stands_in(tmp_path: Path, kind: str) -> None:
    draft, config = of(tmp_path, f"group = smsc\nsmsc = {kind}\nhost = x\n")
    assert config.is_simulated
    assert whats(draft, Kind.LOST) == [f"1: smsc = {kind or '(none)'}"]
    assert whats(draft, Kind.TO_DO) == ["1: no carrier that could be carried over"]


def test_a_fake_centre_is_the_simulator_and_never_the_first_choice(tmp_path: Path) -> None:
    box = "group = smsbox\nglobal-sender = 20655\n"
    _, config = of(tmp_path, f"group = smsc\nsmsc = fake\nsmsc-id = F\n\n{SMSC}\n{box}")
    assert [channel.place for channel in config.channels.values()] == ["smpp.example.net:2775", "simulator"]
    assert config.senders["number_20655"].channel == "north"


@pytest.mark.parametrize(("prefixes", "rule"), [("+35840;0035850", ("+35840", "+35850")), ("040;050", None)])
def test_prefixes_with_a_plus_become_a_rule(tmp_path: Path, prefixes: str, rule: tuple[str, ...] | None) -> None:
    draft, config = of(tmp_path, f"{SMSC}my-number = 20655\npreferred-prefix = {prefixes}\n")
    if rule:
        assert config.routes["north_preferred"].prefix == rule
    else:
        assert not config.routes
        assert whats(draft, Kind.LOST) == [f"8: preferred-prefix = {prefixes}"]


def test_the_country_is_seen_by_unified_prefix(tmp_path: Path) -> None:
    draft, _ = of(tmp_path, f'group = core\nunified-prefix = "+358,00358,0;+,00"\n\n{SMSC}')
    assert draft.country.value == "FI"


# --- programs --------------------------------------------------------------------------------------------------------


def test_a_user_becomes_a_client_of_the_same_name_with_its_sender(tmp_path: Path) -> None:
    user = """group = sendsms-user
username = shop
password = secret
faked-sender = Lantern
user-allow-ip = 10.0.0.1
dlr-url = "http://10.0.0.3/dlr?password=hush"
"""
    box = "group = smsbox\nsendsms-port = 13013\nsendsms-interface = 127.0.0.1\n"
    draft, config = of(tmp_path, f"{SMSC}\n{user}\n{box}")
    client = config.clients["shop"]
    assert (client.senders, client.may, client.private) == (("Lantern",), ("send", "read"), True)
    assert str(config.listen.api) == "127.0.0.1:13013"
    assert "run.py key new shop" in written(draft, "kannel.conf")
    assert "12: user-allow-ip = 10.0.0.1" in whats(draft, Kind.LOST)
    assert "13: dlr-url = http://10.0.0.3/dlr?..." in whats(draft, Kind.DIFFERS)


def test_a_username_that_cannot_be_a_name_is_told(tmp_path: Path) -> None:
    draft, config = of(tmp_path, f"{SMSC}\ngroup = sendsms-user\nusername = 7 up\npassword = x\n")
    assert list(config.clients) == ["user_7_up"]
    assert "8: username = 7 up" in whats(draft, Kind.DIFFERS)


def test_a_carrier_that_is_not_there_is_told(tmp_path: Path) -> None:
    draft, _ = of(tmp_path, f"{SMSC}\ngroup = sendsms-user\nusername = a\nforced-smsc = SOL\n")
    assert whats(draft, Kind.LOST) == ["10: forced-smsc = SOL"]


# --- services --------------------------------------------------------------------------------------------------------


def service(text: str) -> str:
    return f"{SMSC}\ngroup = sms-service\n{text}\n"


def test_a_text_service_becomes_a_keyword_with_its_aliases(tmp_path: Path) -> None:
    _, config = of(tmp_path, service('keyword = nop\naliases = "noppy;niente"\ntext = "Nothing: 50% off, $5"'))
    keyword = config.keywords["nop"]
    assert keyword.also == ("noppy", "niente")
    assert keyword.say is not None
    assert keyword.say.say("en") == "Nothing: 50% off, $5"


@pytest.mark.parametrize(
    ("lines", "what", "why"),
    [
        ("keyword = stop\ntext = bye", "8: keyword stop: bye", "always means STOP"),
        ("keyword = a b\ntext = hi", "8: keyword a b: hi", "one word"),
        ("keyword = echo\ntext = You said %r", "8: keyword echo: You said %r", "%r is filled in by nobody"),
        ("keyword = x\ntext = {{ y }}", "8: keyword x: {{ y }}", "field"),
        (
            "keyword = x\nget-url = http://u:p@h.example/s?t=%r",
            "10: keyword x: get-url = http://h.example/s?...",
            "webhook",
        ),
        ("keyword = x\nexec = rm -rf", "8: keyword x: exec or file", "webhook"),
        ("keyword-regex = ^a\ntext = hi", "8: keyword-regex = ^a", "write each under also"),
    ],
)
def test_a_service_that_cannot_be_a_keyword_is_told_with_the_reason(
    tmp_path: Path, lines: str, what: str, why: str
) -> None:
    draft, config = of(tmp_path, service(lines))
    assert not config.keywords
    (note,) = draft.noted(Kind.LOST)
    assert f"{note.place.line}: {note.what}" == what
    assert why in note.why


def test_a_keyword_that_stands_twice_is_carried_over_once(tmp_path: Path) -> None:
    twice = "keyword = nop\ntext = one\n\ngroup = sms-service\nkeyword = NOP\naccepted-smsc = x\ntext = two"
    draft, config = of(tmp_path, service(twice))
    assert list(config.keywords) == ["nop"]
    assert "it stands twice" in draft.noted(Kind.LOST)[0].why


def test_every_line_of_a_group_is_used_or_told(tmp_path: Path) -> None:
    """Nothing is dropped in silence, not even what Kannel itself does not know."""
    draft, _ = of(tmp_path, f"{SMSC}frobnicate = 7\ndead-start = yes\naddress-range = ^2\n")
    told = {note.what.partition(" =")[0] for note in draft.notes}
    assert {"frobnicate", "dead-start", "address-range"} <= told


# --- whatever stands there -------------------------------------------------------------------------------------------

KEYS = st.sampled_from([
    "smsc", "smsc-id", "host", "port", "receive-port", "smsc-username", "smsc-password", "transceiver-mode", "username",
    "throughput", "instances", "my-number", "msg-id-type", "source-addr-ton", "max-pending-submits", "wait-ack", "text",
    "enquire-link-interval", "preferred-prefix", "password", "forced-smsc", "faked-sender", "keyword", "aliases",
    "system-type", "sendsms-port", "global-sender", "unified-prefix", "dlr-url", "shortcode", "x", "use-ssl",
])  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["smpp", "fake", "0", "1", "20655", "+358,0", "a;b", "stop", "http://10.0.0.1/", "+35840", "north"]
    ),
    st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"), max_size=30),
    st.text(string.digits, max_size=12),
)
GROUP = st.tuples(
    st.one_of(st.sampled_from(["smsc", "smsc", "smsc", "sendsms-user", "sms-service", "core", "smsbox"]),
              st.sampled_from(sorted(GROUPS))),
    st.dictionaries(KEYS, VALUES, max_size=9),
)  # fmt: skip


@given(st.lists(GROUP, min_size=1, max_size=6))
def test_whatever_stands_there_the_config_loads_once_it_is_filled_in(groups: list[tuple[str, dict[str, str]]]) -> None:
    text = "\n\n".join(
        "\n".join([f"group = {name}", *(f'{key} = "{value}"' for key, value in settings.items())])
        for name, settings in groups
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kannel.conf"
        path.write_text(text, "utf-8", newline="\n")
        draft = convert([path], "kannel")
        config = filled(written(draft, "kannel.conf"), Path(folder))
    assert len(config.channels) == len(draft.channels)
