"""docs/snippets.md is true: every snippet runs against a serving Carillon, and prints what stands below it.

npm packages are looked for in `node_modules` of the checkout, or of the folder that CARILLON_NODE names.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "snippets.md").read_text("utf-8")
PACKAGES = Path(os.environ.get("CARILLON_NODE", ROOT)) / "node_modules"
ACCOUNT, TOKEN = "AC" + "0" * 31 + "7", "0123456789abcdef0123456789abcdef"
SECRET = base64.b64encode(b"a secret of thirty-two bytes....").decode()
CONFIG = """
brand: {{name: Lantern, country: US, timezone: America/Los_Angeles, languages: [en], currency: USD}}
channels: {{us: {{kind: smpp, carrier: simulator, rate: 500/s, price: 0.0079 USD per part}}}}
senders: {{seattle: {{number: 20655, channel: us, countries: [US]}}}}
clients:
  shop: {{private: yes, smpp: {{}}, twilio: {{account: {account}, token_file: token}}}}
{hearers}
simulator: {{delay: 1 s}}
store: "sqlite:data/carillon.db"
listen: {{public: 127.0.0.1:{0}, private: 127.0.0.1:{1}, smsc: 127.0.0.1:{2}, api: 127.0.0.1:{3}, smpp: 127.0.0.1:{4}}}
"""
HEARERS = ("python", "js", "php")
HEARER = """\
  of_{name}:
    private: yes
    events: [message.sent, message.delivered]
    webhook: {{url: "http://127.0.0.1:{port}/", secret_file: secret}}"""
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Snippet:
    """A piece of code with the heading that it stands under, and what it prints."""

    heading: str
    language: str
    code: str
    printed: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What it prints: an ellipsis in it stands for anything."""
        return re.compile(".*".join(map(re.escape, self.printed.strip().split("…"))), re.DOTALL)


def snippets() -> Iterator[Snippet]:
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        for language, code, printed in re.findall(r"^```(\w+)\n(.*?)^```\n```text\n(.*?)^```$", section, re.M | re.S):
            yield Snippet(heading, language, code, printed)


ALL = list(snippets())
RUNS: Mapping[str, tuple[Sequence[str], str]] = {
    "sh": (["bash", "-eu", "snippet.sh"], "curl"),
    "python": ([sys.executable, "snippet.python"], ""),
    "js": (["node", "snippet.js"], "node"),
    "php": (["php", "snippet.php"], "php"),
}


def missing(snippet: Snippet) -> str:
    """What has to be installed to run it, or an empty text."""
    program = RUNS[snippet.language][1]
    if program and shutil.which(program) is None:
        return f"needs {program}: apt-get install {'php-cli' if program == 'php' else program}"
    for package in re.findall(r'require\("(twilio|smpp)"\)', snippet.code):
        if not (PACKAGES / package).is_dir():
            return f"needs: npm install --no-save {package} (or a folder with it in CARILLON_NODE)"
    if "import smpplib" in snippet.code and importlib.util.find_spec("smpplib") is None:
        return "needs: pip install smpplib"
    return ""


def name_of(snippet: Snippet) -> str:
    return f"{snippet.heading}, {snippet.language}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Carillon that serves; the environment of a program that talks to it."""
    folder = tmp_path_factory.mktemp("house")
    ports = free_ports(8)
    hearers = [HEARER.format(name=name, port=port) for name, port in zip(HEARERS, ports[5:], strict=True)]
    text = CONFIG.format(*ports, account=ACCOUNT, hearers="\n".join(hearers))
    (folder / "config.yaml").write_text(text, "utf-8")
    (folder / "token").write_text(TOKEN)
    (folder / "secret").write_text(f"whsec_{SECRET}")

    def say(*words: str) -> str:
        command = [sys.executable, "run.py", "--config", str(folder / "config.yaml"), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    say("apply")
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "run.py", "--config", str(folder / "config.yaml"), "serve"]
        serving = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        for port in ports[3:5]:
            connected(port)
        yield {
            "CARILLON": f"http://127.0.0.1:{ports[3]}",
            "KEY": json.loads(say("key", "new", "shop", "--json"))["key"],
            **{f"KEY_{name}": json.loads(say("key", "new", f"of_{name}", "--json"))["key"] for name in HEARERS},
            **{f"PORT_{name}": str(port) for name, port in zip(HEARERS, ports[5:], strict=True)},
            "SMPP_PORT": str(ports[4]),
            "SMPP_PASSWORD": json.loads(say("key", "new", "shop", "--smpp", "--json"))["key"],
            "ACCOUNT": ACCOUNT,
            "TOKEN": TOKEN,
            "WEBHOOK_SECRET": f"whsec_{SECRET}",
            "NODE_PATH": str(PACKAGES),
        }
    finally:
        serving.terminate()
        serving.wait(PATIENCE_S)


def connected(port: int) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("snippet", [each for each in ALL if "webhook" not in each.heading], ids=name_of)
def test_it_prints_what_stands_below_it(snippet: Snippet, house: dict[str, str], tmp_path: Path) -> None:
    if reason := missing(snippet):
        pytest.skip(reason)
    (tmp_path / f"snippet.{snippet.language}").write_text(snippet.code, "utf-8")
    done = subprocess.run(
        RUNS[snippet.language][0], cwd=tmp_path, env={**os.environ, **house}, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert snippet.pattern.fullmatch(done.stdout.strip()), done.stdout


@pytest.mark.parametrize("snippet", [each for each in ALL if "webhook" in each.heading], ids=name_of)
def test_a_webhook_believes_us_and_nobody_else(snippet: Snippet, house: dict[str, str], tmp_path: Path) -> None:
    if reason := missing(snippet):
        pytest.skip(reason)
    port = int(house[f"PORT_{snippet.language}"])
    (tmp_path / f"snippet.{snippet.language}").write_text(snippet.code, "utf-8")
    command = RUNS[snippet.language][0]
    if snippet.language == "php":
        command = [command[0], "-S", f"127.0.0.1:{port}", command[1]]
    receiver = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **house, "PORT": str(port)}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    giving_up = threading.Timer(PATIENCE_S, receiver.kill)
    giving_up.start()
    try:
        connected(port)
        assert receiver.stdout is not None
        assert posted(f"http://127.0.0.1:{port}/", FORGED, b'{"type": "forged", "data": {"to": "+1"}}') == 401
        key = {"Authorization": f"Bearer {house[f'KEY_{snippet.language}']}", "Content-Type": "application/json"}
        text = b'{"to": "+12065550142", "text": "Are you there?"}'
        assert posted(house["CARILLON"] + "/v1/messages", key, text) == 201
        heard = "".join(receiver.stdout.readline() for _ in snippet.printed.strip().split("\n"))
        assert heard == snippet.printed
    finally:
        giving_up.cancel()
        receiver.kill()
        receiver.wait(PATIENCE_S)
        if receiver.stdout is not None:
            receiver.stdout.close()


FORGED = {"webhook-id": "1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA v1,"}


def posted(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """The status of a call."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers)), timeout=PATIENCE_S) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_every_door_has_a_snippet_in_every_language_that_fits() -> None:
    languages: dict[str, set[str]] = {}
    for each in ALL:
        languages.setdefault(each.heading, set()).add(each.language)
    for heading in ("REST: one text", "REST: many texts in one call", "As to Twilio", "As to Kannel"):
        assert languages[heading] == {"sh", "python", "js", "php"}, heading
    assert languages["A webhook of yours"] == {"python", "js", "php"}
    assert languages["SMPP"] == {"python", "js"}


def test_no_block_of_code_is_left_unrun() -> None:
    blocks = re.findall(r"^```(sh|python|js|php)$", TEXT, re.MULTILINE)
    assert len(blocks) == len(ALL)
