"""docs/moving-in.md is true: what it says is carried over is, and its piece of config loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handlers.console.convert import convert
from handlers.console.convert_draft import Kind
from handlers.console.convert_writing import written
from tests.handlers.console.converting import filled

DOC = (Path(__file__).parents[2] / "docs" / "moving-in.md").read_text("utf-8")
REST = """
brand: {name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}
channels: {us: {kind: smpp, carrier: simulator, price: 0.0079 USD per part}}
senders: {seattle: {number: 20655, channel: us, countries: [US]}}
"""
KANNEL = """
group = core
unified-prefix = "+358,00358,0"

group = smsc
smsc = smpp
smsc-id = north
host = smpp.example.net
port = 2775
receive-port = 0
transceiver-mode = yes
instances = 2
smsc-username = lantern
smsc-password = secret
system-type = VMA
throughput = 25
max-pending-submits = 50
enquire-link-interval = 20
wait-ack = 45
use-ssl = yes
msg-id-type = 1
source-addr-ton = 3
source-addr-npi = 0
my-number = 20655
allowed-prefix = "+358"
preferred-prefix = "+35840"

group = smsc
smsc = fake

group = smsbox
sendsms-port = 13013
sendsms-interface = 127.0.0.1
global-sender = 20656

group = smsbox-route
shortcode = "20657"

group = sendsms-user
username = shop
password = secret
forced-smsc = north
default-smsc = north
faked-sender = Lantern
default-sender = Lantern

group = sms-service
keyword = hours
aliases = open
text = "7 to 19"
"""
JASMIN = """
smppccm -a
cid north
host smpp.example.net
port 2776
username lantern
password secret
bind transceiver
submit_throughput 50
elink_interval 20
res_to 45
systype VMA
dlr_msgid 1
src_addr 20655
src_ton 3
src_npi 0
ok
user -a
username shop
password secret
gid g
uid shop
mt_messaging_cred quota http_throughput 10
mt_messaging_cred quota smpps_throughput 20
mt_messaging_cred valuefilter src_addr ^Lantern$
smpps_cred quota max_bindings 2
ok
httpccm -a
cid mo
url http://10.0.0.1/
method GET
ok
filter -a
type DestinationAddrFilter
fid uk
destination_addr ^44
ok
filter -a
type UserFilter
fid u
uid shop
ok
mtrouter -a
type FailoverMTRoute
order 20
filters uk
connectors smppc(north)
rate 0
ok
mtrouter -a
type StaticMTRoute
order 10
filters u
connector smppc(north)
rate 0
ok
morouter -a
type DefaultRoute
connector smpps(shop)
ok
morouter -a
type StaticMORoute
order 5
connector http(mo)
ok
"""
CFG = "[http-api]\nport = 1401\n[smpp-server]\nport = 2777\n"
OTHER_WORDS = {"mtrouter", "valuefilter src_addr ^NAME$", "morouter", "http(cid)", "smpps(user)"}


def carried(section: str) -> set[str]:
    """Every name of a setting in the first column of the first table of a section."""
    text = DOC.partition(f"## From {section}\n")[2].partition("\n## ")[0]
    table = text.partition("| --- |")[0].partition("|---|---|\n")[2].partition("\n\n")[0]
    firsts = [row.split(" | ")[0] for row in table.splitlines()]
    return {word for first in firsts for word in re.findall(r"`([^`]+)`", first)}


def words_of(conf: str) -> set[str]:
    return set(re.findall(r"^(\S+)", conf, re.MULTILINE)) | set(re.findall(r"[\w-]+", conf))


def test_every_setting_of_kannel_that_is_said_to_be_carried_over_is(tmp_path: Path) -> None:
    named = {word for each in carried("Kannel") for word in re.findall(r"[a-z][a-z-]+", each)}
    assert len(named) > 30
    assert named <= words_of(KANNEL)
    (tmp_path / "kannel.conf").write_text(KANNEL)
    draft = convert([tmp_path / "kannel.conf"])
    assert draft.noted(Kind.LOST) == draft.noted(Kind.UNNEEDED) == []
    config = filled(written(draft, "kannel.conf"), tmp_path)
    assert {number for sender in config.senders.values() for number in sender.numbers} >= {
        "20655", "20656", "20657", "Lantern",
    }  # fmt: skip


def test_every_setting_of_jasmin_that_is_said_to_be_carried_over_is(tmp_path: Path) -> None:
    named = {word for each in carried("Jasmin") - OTHER_WORDS for word in re.findall(r"[a-z_-]{3,}", each)}
    assert len(named) > 12
    assert named <= words_of(JASMIN) | words_of(CFG)
    (tmp_path / "jasmin.txt").write_text(JASMIN)
    (tmp_path / "jasmin.cfg").write_text(CFG)
    draft = convert([tmp_path / "jasmin.txt", tmp_path / "jasmin.cfg"])
    assert draft.noted(Kind.LOST) == draft.noted(Kind.UNNEEDED) == []
    config = filled(written(draft, "jasmin.txt"), tmp_path)
    assert config.clients["shop"].receives == ("number_20655", "Lantern")


@pytest.mark.parametrize("piece", re.findall(r"^```yaml\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL))
def test_its_piece_of_config_loads(piece: str, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "twilio_token").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "secrets" / "twilio_token").chmod(0o600)
    assert filled(REST + piece, tmp_path).clients["shop"].twilio is not None
