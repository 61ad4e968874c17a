"""The first five minutes: `serve --demo` as a process, the commands beside it, Ctrl-C, and once more."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.console.conftest import ROOT, Edit
from tests.ports import free_ports

MAYA = "+12065550142"


class Demo:
    """A process that serves, and commands typed beside it."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.out = config.parent / "out.txt"
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        with self.out.open("wb") as out, (self.config.parent / "err.txt").open("wb") as err:
            command = [sys.executable, str(ROOT / "run.py"), "--config", str(self.config), "serve", "--demo"]
            self.process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        until(lambda: "TRY " in self.banner() or self.process.poll() is not None)
        assert self.process.poll() is None, (self.config.parent / "err.txt").read_text()

    def banner(self) -> str:
        return self.out.read_text("utf-8")

    def say(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "run.py"), "--config", str(self.config), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def ask(self, *words: str) -> Any:
        done = self.say(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def leave(self) -> float:
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=10) == 0
        return time.monotonic() - began


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.fixture
def demo(config_file: Path) -> Iterator[Demo]:
    made = Demo(config_file)
    yield made
    if made.process.poll() is None:
        os.killpg(made.process.pid, signal.SIGKILL)
        made.process.wait()


def settled(report: dict[str, Any]) -> bool:
    states = report["states"]
    return bool(report["is_complete"]) and not (states["queued"] or states["sent"] or states["in doubt"])


def hurry(edit: Edit) -> None:
    """Carriers that take twenty times as much a second."""
    for rate in ("rate: 50/s", "rate: 100/s"):
        edit(rate, "rate: 2000/s")


def test_the_first_five_minutes(demo: Demo, edit: Edit) -> None:
    hurry(edit)
    demo.start()
    banner = demo.banner()
    assert banner.startswith("  SIMULATOR  no text leaves this machine. Clock: ")
    assert "18:30 Los Angeles" in banner
    assert "1,000 imported from sample.csv (992 new, 5 merged, 3 rejected: " in banner
    assert re.search(r"spring     matched 3\d\d = left 0 \+ no consent \d+ \+ capped 0 \+ ", banner)
    assert "cup, latte open. 5,000 codes, at most " in banner

    until(lambda: settled(demo.ask("report", "spring")))
    report = demo.ask("report", "spring")
    assert 300 < report["matched"] == sum(line["n"] for line in report["lines"])
    assert report["adds_up"]
    assert report["sending"] == report["states"]["delivered"] + report["states"]["failed"]
    assert report["parts"] >= report["sending"] == report["messages"]
    assert report["cost"] == report["spent"]

    unsure = demo.say("text", MAYA, "votee", "3").stdout
    assert unsure.startswith("  < Did you mean 3, The owl? Reply 3.")
    assert unsure.rstrip().endswith(" s, 1 part)")
    assert "Got it: 3, The owl." in demo.say("text", MAYA, "3").stdout
    assert "you are unsubscribed" in demo.say("text", MAYA, "STOP").stdout
    story = [each["words"] for each in demo.ask("explain", MAYA)["story"]]
    assert 'texted "3" to 20655: vote 3 counted' in story
    assert 'texted "STOP" to 20655: left by text "STOP"' in story

    assert demo.leave() < 5
    demo.start()
    again = demo.banner()
    assert "992 known from before" in again
    after = demo.ask("report", "spring")
    assert {**after["states"]} == report["states"]
    assert demo.ask("explain", MAYA)["story"][-1]["words"].startswith("reply from 20655")
    assert demo.leave() < 5


def test_commands_work_beside_serve_while_the_file_is_being_edited(demo: Demo, edit: Edit) -> None:
    demo.start()
    edit("segment: spring_crowd", "segment: spring_crwd")
    broken = demo.say("plan")
    assert broken.returncode == 1
    assert 'no segment "spring_crwd"; did you mean spring_crowd (line ' in broken.stderr
    assert demo.ask("pause", "spring")["state"] in ("paused", "done")
    wrong = demo.say("report", "sprng")
    assert (wrong.returncode, wrong.stderr) == (1, 'no campaign "sprng"; did you mean spring?\n')


def test_channels_do_not_change_under_a_running_serve(demo: Demo, edit: Edit) -> None:
    demo.start()
    edit("rate: 100/s", "rate: 200/s")
    assert demo.ask("apply")["is_served"]  # all but the rate, which can be followed
    edit("rate: 200/s", "rate: 200/s\n    binds: 2")
    refused = demo.say("apply")
    assert refused.returncode == 1
    assert "cn_sms changed, which a running serve cannot take over" in refused.stderr


def test_the_private_listener_tells_health_and_figures_and_lets_no_stranger_command(demo: Demo, edit: Edit) -> None:
    hurry(edit)
    demo.start()
    token, address = (demo.config.parent / "data" / "control.token").read_text().split()
    assert (demo.config.parent / "data" / "control.token").stat().st_mode & 0o777 == 0o600
    assert json.loads(fetch(f"{address}/healthz")[1])["alive"]
    until(lambda: fetch(f"{address}/readyz")[0] == 200, 10)
    assert json.loads(fetch(f"{address}/status")[1])["mode"] == "SIMULATOR"
    until(lambda: settled(demo.ask("report", "spring")))
    figures = fetch(f"{address}/metrics")[1]
    assert 'gateway_smpp_bind_state{channel="us_sms"} 1.0' in figures
    assert 'gateway_queue_depth{lane="bulk"} 0.0' in figures
    assert "+1206" not in figures
    assert fetch(f"{address}/control/status", data=b"{}")[0] == 401
    assert fetch(f"{address}/control/status", data=b"{}", key="wrong")[0] == 401
    with urlopen(f"{address}/control/status", data=b"{}", key=token) as streamed:
        assert '"result"' in streamed.read().decode()
        assert re.fullmatch(r"[0-9a-f]{16}", streamed.headers["X-Request-Id"])
    assert '"error"' in fetch(f"{address}/control/statuss", data=b"{}", key=token)[1]
    assert '"error"' in fetch(f"{address}/control/report", data=b"{}", key=token)[1]
    assert fetch(f"{address}/control/status", data=b"[", key=token)[0] == 400


def urlopen(url: str, data: bytes | None = None, key: str = "") -> http.client.HTTPResponse:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer: http.client.HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10)
    return answer


def fetch(url: str, data: bytes | None = None, key: str = "") -> tuple[int, str]:
    try:
        with urlopen(url, data, key) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_program_that_is_added_is_served_at_once(demo: Demo, edit: Edit) -> None:
    demo.start()
    edit("  shop: {senders", "  till: {may: [send]}\n  shop: {senders")
    assert demo.ask("apply")["is_served"]
    key = demo.ask("key", "new", "till", "--test")
    assert sent(demo, key["key"]) == 201
    demo.ask("key", "end", key["id"])
    until(lambda: sent(demo, key["key"]) == 401, seconds=5)


def test_the_ports_of_programs_open_with_the_first_who_wants_them(demo: Demo, config_file: Path, edit: Edit) -> None:
    whole = config_file.read_text("utf-8")
    (api,) = map(int, re.findall(r"api: 127.0.0.1:(\d+)", whole))
    (smpp,) = free_ports(1)
    whole = whole.replace("listen: {", f"listen: {{smpp: 127.0.0.1:{smpp}, ")
    config_file.write_text(re.sub(r"\nclients:.*\n.*", "", whole), "utf-8")
    demo.start()
    assert "  API  " not in demo.banner()

    config_file.write_text(whole, "utf-8")
    with socket.create_server(("127.0.0.1", api)):
        assert f"port {api} is taken by another program" in demo.say("apply").stderr
    assert demo.ask("apply")["is_served"]
    key = demo.ask("key", "new", "shop", "--test")["key"]
    assert sent(demo, key, f"http://127.0.0.1:{api}/") == 201

    edit("  shop: {senders", "  till: {smpp: {}}\n  shop: {senders")
    assert demo.ask("apply")["is_served"]
    socket.create_connection(("127.0.0.1", smpp)).close()
    assert demo.leave() < 5


def sent(demo: Demo, key: str, place: str = "") -> int:
    """What the API, at this place or else at that of the banner, answers to a text that is brought with this key."""
    (place,) = [place] if place else re.findall(r"^  API +(\S+)", demo.banner(), re.MULTILINE)
    request = urllib.request.Request(
        f"{place}v1/messages",
        json.dumps({"to": "+15005550010", "text": "hello"}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
