"""What jcli was told or shows, in our words."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.smpp import SmppCarrier
from handlers.console.convert import convert
from handlers.console.convert_draft import Kind
from handlers.console.convert_writing import written
from tests.handlers.console.converting import filled, of, whats


def added(module: str, **settings: str) -> str:
    """What is typed to make something."""
    return "\n".join([f"{module} -a", *(f"{key} {value}" for key, value in settings.items()), "ok", ""])


def connector(cid: str, **more: str) -> str:
    return added("smppccm", cid=cid, host=f"{cid}.example.net", username="lantern", password="hush", **more)


def user(uid: str, *lines: str) -> str:
    return "\n".join(["user -a", f"username {uid}", "password hush", "gid g", f"uid {uid}", *lines, "ok", ""])


def channel_of(folder: Path, script: str) -> SmppCarrier:
    (channel,) = of(folder, script)[1].channels.values()
    assert isinstance(channel, SmppCarrier)
    return channel


# --- connectors ------------------------------------------------------------------------------------------------------


def test_a_connector_becomes_a_channel_with_all_that_has_a_word_here(tmp_path: Path) -> None:
    channel = channel_of(
        tmp_path,
        connector(
            "tele2", port="2776", bind="transceiver", submit_throughput="110", elink_interval="15", res_to="60",
            systype="ESME", dlr_msgid="2", src_ton="5", src_npi="0", src_addr="Lantern",
        ),
    )  # fmt: skip
    assert (channel.place, channel.account, channel.system_type) == ("tele2.example.net:2776", "lantern", "ESME")
    assert (channel.rate.per_s, channel.enquire.total_seconds(), channel.answer_within.total_seconds()) == (110, 15, 60)
    assert channel.message_ids == "hex in receipts"
    assert str(channel.address_types.name) == "5/0"


def test_a_connector_that_only_has_a_name_has_jasmins_defaults(tmp_path: Path) -> None:
    channel = channel_of(tmp_path, added("smppccm", cid="Demo"))
    assert (channel.place, channel.account, channel.rate.per_s) == ("127.0.0.1:2775", "smppclient", 1)
    assert (channel.binds, str(channel.address_types.plain)) == (("transceiver",), "2/1")


def test_a_dump_says_the_same_as_the_script_that_made_it(tmp_path: Path) -> None:
    """The listing of smppccm -s in Jasmin's manual, "SMPP Client connector manager"."""
    dump = """jcli : smppccm -s Demo
ripf 0
dlr_expiry 86400
coding 0
submit_throughput 1
elink_interval 10
port 2775
password hush
src_addr None
addr_range None
dst_ton 1
res_to 60
priority 0
username smppclient
validity None
host 127.0.0.1
src_npi 1
systype
cid Demo
bind transmitter
src_ton 2
jcli : quit
"""
    draft, config = of(tmp_path, dump)
    shown = config.channels["Demo"]
    script = added("smppccm", cid="Demo", bind="transmitter", elink_interval="10", res_to="60")
    assert shown == of(tmp_path, script)[1].channels["Demo"]
    assert whats(draft, Kind.LOST) == []


def test_an_update_and_a_removal_count(tmp_path: Path) -> None:
    script = connector("a") + connector("b") + "smppccm -u a\nhost changed.example\nok\nsmppccm -r b\n"
    assert channel_of(tmp_path, script).place == "changed.example:2775"


def test_what_was_not_saved_does_not_count(tmp_path: Path) -> None:
    abandoned = connector("b").replace("\nok\n", "\nko\n")
    assert channel_of(tmp_path, connector("a") + abandoned).place == "a.example.net:2775"


def test_what_a_connector_had_and_a_channel_has_not_is_told(tmp_path: Path) -> None:
    draft, _ = of(tmp_path, connector("a", addr_range="^2", validity="60", coding="8"))
    assert [note.what for note in draft.noted(Kind.LOST)] == ["addr_range ^2"]
    assert [note.what for note in draft.noted(Kind.DIFFERS)] == ["validity 60", "coding 8"]


# --- users -----------------------------------------------------------------------------------------------------------


def test_a_user_becomes_a_client_that_may_bind(tmp_path: Path) -> None:
    script = connector("a", src_addr="20655") + user(
        "shop",
        "mt_messaging_cred quota http_throughput 10",
        "mt_messaging_cred quota balance 44.2",
        "mt_messaging_cred valuefilter src_addr ^Lantern$",
        "smpps_cred quota max_bindings 2",
    )
    draft, config = of(tmp_path, script)
    client = config.clients["shop"]
    assert client.smpp is not None
    assert client.smpp.binds == 2
    assert client.rate is not None
    assert client.rate.per_s == 10
    assert client.senders == ("Lantern",)
    assert [note.what for note in draft.noted(Kind.LOST)] == ["balance 44.2"]
    assert "run.py key new shop --smpp" in written(draft, "jasmin.txt")
    assert "hush" not in written(draft, "jasmin.txt")


def test_a_user_that_may_not_bind_does_not(tmp_path: Path) -> None:
    _, config = of(tmp_path, connector("a") + user("shop", "smpps_cred authorization bind False"))
    assert config.clients["shop"].smpp is None


# --- routes ----------------------------------------------------------------------------------------------------------

TWO = connector("a", src_addr="1111") + connector("b", src_addr="2222")


def test_a_route_by_prefix_becomes_a_rule_and_the_highest_order_comes_first(tmp_path: Path) -> None:
    script = TWO + "".join(
        added("filter", type="destinationaddrfilter", fid=fid, destination_addr=pattern)
        for fid, pattern in (("uk", r"^44\d+"), ("wales", r"^\+4429.*$".replace("\\", "")))
    )
    script += added("mtrouter", type="DefaultRoute", connector="smppc(b)", rate="0.0")
    script += added("mtrouter", type="StaticMTRoute", order="10", filters="uk", connector="smppc(a)", rate="0")
    script += added("mtrouter", type="StaticMTRoute", order="20", filters="wales", connector="smppc(b)", rate="0")
    _, config = of(tmp_path, script)
    assert [(key, rule.prefix, rule.senders) for key, rule in config.routes.items()] == [
        ("to_4429", ("+4429",), ("number_2222",)),
        ("to_44", ("+44",), ("number_1111",)),
        ("default", (), ("number_2222",)),
    ]


def test_a_route_of_a_user_or_group_becomes_its_senders(tmp_path: Path) -> None:
    script = TWO + user("shop") + user("till")
    script += added("filter", type="UserFilter", fid="u", uid="shop") + added(
        "filter", type="GroupFilter", fid="g", gid="g"
    )
    script += added("mtrouter", type="StaticMTRoute", order="9", filters="u", connector="smppc(b)", rate="0")
    script += added("mtrouter", type="StaticMTRoute", order="5", filters="g", connector="smppc(a)", rate="0")
    _, config = of(tmp_path, script)
    assert config.clients["shop"].senders == ("number_2222", "number_1111")
    assert config.clients["till"].senders == ("number_1111",)


def test_connectors_that_stand_in_for_each_other_do_so_still(tmp_path: Path) -> None:
    script = TWO + added("mtrouter", type="FailoverMTRoute", order="0", connectors="smppc(a);smppc(b)", rate="0")
    _, config = of(tmp_path, script)
    assert config.senders["number_1111"].fallback == ("number_2222",)


@pytest.mark.parametrize(
    ("kind", "setting"),
    [("ShortMessageFilter", "short_message ^hi"), ("EvalPyFilter", "pyCode /x.py"),
     ("TimeIntervalFilter", "timeInterval 08:00:00;18:00:00")],
)  # fmt: skip
def test_a_route_by_something_else_is_told(tmp_path: Path, kind: str, setting: str) -> None:
    key, value = setting.split(" ")
    script = TWO + added("filter", type=kind, fid="f", **{key: value})
    script += added("mtrouter", type="StaticMTRoute", order="3", filters="f", connector="smppc(b)", rate="0")
    draft, config = of(tmp_path, script)
    assert not config.routes
    (note,) = draft.noted(Kind.LOST)
    assert note.what == "mtrouter StaticMTRoute 3 to b"
    assert value in note.why


def test_texts_that_come_in_go_to_the_client_that_had_them(tmp_path: Path) -> None:
    script = TWO + user("shop") + added("httpccm", cid="HTTP-01", url="http://10.10.20.125/mo.php", method="GET")
    script += added("filter", type="destinationaddrfilter", fid="f", destination_addr="^1111$")
    script += added("morouter", type="StaticMORoute", order="15", filters="f", connector="smpps(shop)")
    script += added("morouter", type="DefaultRoute", connector="http(HTTP-01)")
    draft, config = of(tmp_path, script)
    assert config.clients["shop"].receives == ("number_1111",)
    assert config.clients["HTTP_01"].receives == ("number_1111", "number_2222")
    assert "# webhook: {url: http://10.10.20.125/mo.php}" in written(draft, "jasmin.txt")
    assert [note.what for note in draft.noted(Kind.TO_DO)] == ["httpccm HTTP-01 http://10.10.20.125/mo.php"]


def test_listed_routes_are_read_as_well(tmp_path: Path) -> None:
    """Tables as mtrouter -l and morouter -l print them in Jasmin's manual."""
    tables = """jcli : mtrouter -l
#Order Type                    Rate    Connector ID(s)                     Filter(s)
#10    StaticMTRoute           0.00    smppc(b)                     <DA (dst_addr=^44)>
#0     DefaultRoute            0.00    smppc(a)
Total MT Routes: 2
jcli : morouter -l
#Order Type                    Connector ID(s)                  Filter(s)
#15    StaticMORoute           smpps(shop)                    <DestinationAddrFilter (dst_addr=^2222$)>
Total MO Routes: 1
"""
    _, config = of(tmp_path, TWO + user("shop") + tables)
    assert [(rule.prefix, rule.senders) for rule in config.routes.values()] == [(("+44",), ("number_2222",))]
    assert config.clients["shop"].receives == ("number_2222",)


def test_jasmin_cfg_beside_it_brings_ports_and_how_texts_are_split(tmp_path: Path) -> None:
    (tmp_path / "jasmin.cfg").write_text(
        "[smpp-server]\nport = 2777\nlog_level = INFO\n[http-api]\nbind = 127.0.0.1\nport\t= 1401\n"
        "long_content_split = sar\n"
        "[amqp-broker]\nhost = q\npassword = hush\n"
    )
    (tmp_path / "jcli.txt").write_text(connector("a"))
    draft = convert([tmp_path / "jasmin.cfg", tmp_path / "jcli.txt"])
    config = filled(written(draft, "both") + "\nclients: {shop: {}}\n", tmp_path)
    channel = config.channels["a"]
    assert isinstance(channel, SmppCarrier)
    assert (str(config.listen.api), str(config.listen.smpp), channel.long_texts) == (
        "127.0.0.1:1401", "0.0.0.0:2777", "sar",
    )  # fmt: skip
    assert [note.what for note in draft.noted(Kind.UNNEEDED)] == ["log_*", "[amqp-broker]"]


# --- whatever stands there -------------------------------------------------------------------------------------------

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=20)
LINES = st.one_of(
    st.sampled_from([
        "smppccm -a", "user -a", "filter -a", "mtrouter -a", "morouter -a", "httpccm -a", "group -a", "smppccm -s x",
        "ok", "ok", "ko", "", "cid a", "cid b", "uid u", "username u", "gid g", "fid f", "type UserFilter", "uid u",
        "type destinationaddrfilter", "destination_addr ^44", "destination_addr ^1111$", "filters f", "order 7",
        "connector smppc(a)", "connectors smppc(a);smppc(b)", "connector http(h)", "connector smpps(u)", "cid h",
        "url http://x/", "src_addr 1111", "bind receiver", "user -u u", "smppccm -r a", "mtrouter -f", "smppccm -0 a",
        "#1 StaticMTRoute 0.00 smppc(a) <U (uid=u)>", "smpps_cred quota max_bindings 900", "mt_messaging_cred x y z",
    ]),
    st.builds("{} {}".format, st.sampled_from(["cid", "host", "port", "username", "src_addr", "uid"]), WORD),
    WORD,
)  # fmt: skip


@given(st.lists(LINES, max_size=60))
def test_whatever_was_typed_the_config_loads_once_it_is_filled_in(lines: list[str]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "jcli.txt"
        path.write_text("\n".join([connector("a"), *lines]), "utf-8", newline="\n")
        draft = convert([path], "jasmin") if "smppccm -r a" not in lines else None
        if draft is not None:
            config = filled(written(draft, "jcli.txt"), Path(folder))
            assert len(config.channels) == len(draft.channels)
