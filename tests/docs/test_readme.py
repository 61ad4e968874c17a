"""The documents are true: the README's tour is typed as it stands, and what documents name exists."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from handlers.console.commands import cli
from tests.handlers.console.conftest import PORTS
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
QUOTED = re.compile(r"`([^`\n]+)`")
NAMED = re.compile(r"([a-z_]+)\.([A-Za-z_]+)")
PAGE = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+/(?!c/|v1/)\w*")
SUFFIXES = {"py", "yaml", "yml", "sql", "md", "csv", "db", "json", "token", "lock", "html"}

# What differs from day to day and from run to run.
VARIABLE = [
    (re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b"), "DAY"),
    (re.compile(r"\b\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b"), "DATE"),
    (re.compile(r"\b\d{1,2}:\d{2}\b"), "TIME"),
    (re.compile(r"\((?:under )?\d+\.\d\d s"), "(SECONDS"),
    (re.compile(r"/c/[0-9a-z]{16}\b"), "/c/TOKEN"),
    (re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b"), "CODE"),
    (re.compile(r"\bplan [0-9a-f]{4}:"), "plan ID:"),
    (re.compile(r"http://[\w.]+:\d+"), "http://HOST"),
    (re.compile(r": (sent|delivered)$"), ": STATE"),
    (re.compile(r"\b\d+\.\d a second"), "SPEED"),
    (re.compile(r"ck_test_\w+"), "KEY"),
    (re.compile(r"\btest key \w+"), "test key ID"),
    (re.compile(r'"id":"\d+"'), '"id":"ID"'),
    (re.compile(r'"created_at":"[^"]+"'), '"created_at":"NOW"'),
    (re.compile(r"\b(\d+) (?:person|people) replied"), r"\1 replied"),
    (re.compile(r"\b(\d+) votes? in"), r"\1 votes in"),
]
LIVELY = re.compile(r"replied|redeemed|about \d+ s")  # what simulated people and the machine decide
OF_THE_AUDIENCE = re.compile(r"matched|audience|refused  |delivered  |parts? taken|at most|people known")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass
class Tour:
    """A folder with the shipped file on free ports, and the process that serves it."""

    folder: Path
    ports: list[int]
    process: subprocess.Popen[bytes] | None = None
    key: str = ""

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def run(self, command: str) -> str:
        """Type one command of the README; what it printed."""
        words = shlex.split(command)
        if words == ["make", "run"]:
            return self.serve()
        if words[0] == "curl":
            return self.curl(words)
        assert words[0] == "./run.py", command
        if words[1] in ("report", "explain"):
            self.settle()
        done = self.say(*words[1:])
        shown = re.search(r"ck_test_\w+", done.stdout)
        self.key = shown[0] if shown else self.key
        return done.stdout + done.stderr

    def curl(self, words: list[str]) -> str:
        """Call an address of the README with the key that was shown last."""
        words = [re.sub(r"ck_test_\w+", self.key, self.here(word)) for word in words]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout

    def say(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "run.py"), "--config", str(self.config), *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd=self.folder, env=environ()
        )

    def serve(self) -> str:
        """What `make run` runs, until it has said everything."""
        out = self.folder / "out.txt"
        with out.open("wb") as stream, (self.folder / "err.txt").open("wb") as errors:
            command = [sys.executable, str(ROOT / "run.py"), "--config", str(self.config), "serve", "--demo"]
            self.process = subprocess.Popen(command, stdout=stream, stderr=errors, cwd=self.folder, env=environ())
        end = time.monotonic() + 60
        while "TRY " not in out.read_text("utf-8"):
            assert self.process.poll() is None, (self.folder / "err.txt").read_text("utf-8")
            assert time.monotonic() < end, "it did not come up"
            time.sleep(0.05)
        return out.read_text("utf-8")

    def leave(self) -> int:
        """Ctrl-C; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=10)

    def settle(self) -> None:
        """A reader takes a few seconds; by then every campaign is through."""
        end = time.monotonic() + 60
        while True:
            told = json.loads(self.say("status", "--json").stdout)
            moving = [each["states"][word] for each in told["campaigns"] for word in ("queued", "sent", "in doubt")]
            if all(each["state"] == "done" for each in told["campaigns"]) and not any(moving):
                return
            assert time.monotonic() < end, told["campaigns"]
            time.sleep(0.1)

    def paste(self, text: str) -> None:
        """Put lines right below `campaigns:`."""
        self.replace("\ncampaigns:\n", f"\ncampaigns:\n{text}")

    def patch(self, text: str) -> None:
        """Change the lines that a diff names."""
        lines = text.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
        self.replace(old, new)

    def replace(self, old: str, new: str) -> None:
        before = self.config.read_text("utf-8")
        assert before.count(old) == 1, old
        self.config.write_text(before.replace(old, new), "utf-8")

    def fetch(self, address: str) -> int:
        """Open an address of the README."""
        with urllib.request.urlopen(self.here(address).replace("localhost", "127.0.0.1"), timeout=10) as answer:
            status: int = answer.status
            return status

    def here(self, address: str) -> str:
        """An address of the README on the ports that were free."""
        for shipped, port in zip(PORTS, self.ports, strict=True):
            address = address.replace(f":{shipped.rpartition(':')[2]}", f":{port}")
        return address


def environ() -> dict[str, str]:
    """Ours without what the shipped file asks for."""
    return {name: value for name, value in os.environ.items() if not re.match(r"SITE$|(US|CN)_", name)}


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    made = Tour(tmp_path, free_ports(len(PORTS)))
    text = (ROOT / "config.yaml").read_text("utf-8")
    for shipped, port in zip(PORTS, made.ports, strict=True):
        assert shipped in text
        text = text.replace(shipped, f"127.0.0.1:{port}")
    made.config.write_text(text, "utf-8")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def section(title: str) -> str:
    """What stands in the README under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(console: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what it prints."""
    for piece in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, shown = piece.partition("\n")
        yield command, shown


def plain(line: str) -> str:
    """A line without what varies."""
    for pattern, word in VARIABLE:
        line = pattern.sub(word, line.rstrip())
    if LIVELY.search(line) or OF_THE_AUDIENCE.search(line):
        line = NUMBER.sub("N", line)
    return " ".join(line.split())


def numbers(line: str) -> list[float]:
    """The numbers of a line that counts people, codes or money; none of any other line."""
    if not OF_THE_AUDIENCE.search(line):
        return []
    return [float(each.replace(",", "")) for each in NUMBER.findall(re.sub(r"about \d+ s", "", line))]


def test_the_tour_prints_what_the_readme_shows(tour: Tour) -> None:
    typed = 0
    for kind, text in BLOCK.findall(section("The first five minutes")):
        if kind == "yaml":
            tour.paste(text)
        elif kind == "diff":
            tour.patch(text)
        for command, shown in commands(text) if kind == "console" else ():
            printed = tour.run(command)
            wanted, found = ([plain(line) for line in each.splitlines()] for each in (shown, printed))
            assert found == wanted, "\n".join([command, *difflib.unified_diff(wanted, found, "README", "printed")])
            for wanted_line, found_line in zip(shown.splitlines(), printed.splitlines(), strict=True):
                for want, have in zip(numbers(wanted_line), numbers(found_line), strict=True):
                    assert abs(want - have) <= max(5, want / 10), (wanted_line, found_line)
            typed += 1
    assert typed >= 10
    for address in PAGE.findall(section("The first five minutes")):
        assert tour.fetch(address) == 200
    before = tour.say("report", "spring", "--json").stdout
    assert tour.leave() == 0
    assert "known from before" in tour.serve()
    states = [json.loads(each)["states"] for each in (before, tour.say("report", "spring", "--json").stdout)]
    assert states[0] == states[1]
    assert tour.leave() == 0


def test_the_tour_uses_the_pin_and_the_place_of_the_shipped_file() -> None:
    shipped = (ROOT / "config.yaml").read_text("utf-8")
    pin = re.search(r"choose (.+?), PIN (\d+)", section("The first five minutes"))
    assert pin is not None
    assert re.search(rf"name: {{en: {pin[1]},.*till_pin: {pin[2]}}}", shipped)


def test_make_run_is_what_the_tour_test_runs() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"^run: setup\n\t@\$\(BIN\)/python run\.py serve --demo$", makefile, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    code = " \n".join([*QUOTED.findall(text), *(block for _, block in BLOCK.findall(text))])
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code)) <= targets
    assert set(re.findall(r"run\.py (?:--config \S+ )?([a-z][a-z-]*)", code)) <= set(cli.commands)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text("utf-8")):
        if target.startswith("http"):
            continue
        path = document.parent / target if target else document
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """The headings of a document as addresses."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["architecture.md", "channels.md", "operations.md"])
def test_every_file_and_function_that_is_named_exists(name: str) -> None:
    text = (ROOT / "docs" / name).read_text("utf-8")
    sources = {path: path.read_text("utf-8") for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))}
    checked = 0
    for quoted in QUOTED.findall(text):
        if re.fullmatch(rf"({'|'.join([*ROOMS, 'templates', 'tests', 'docs', 'bench'])})/[\w/.]*", quoted):
            assert (ROOT / quoted).exists(), quoted
            checked += 1
            continue
        named = NAMED.fullmatch(quoted)
        if named is None or named[2] in SUFFIXES:
            continue
        module, word = named.groups()
        where = [source for path, source in sources.items() if path.stem == module]
        if where:
            stands = re.compile(rf"^\s*(?:async def|def|class) {word}\b|^{word}\b.*=", re.MULTILINE)
            assert any(map(stands.search, where)), quoted
            checked += 1
    assert checked or name == "operations.md"


ROOMS = ("gateway", "campaigns", "handlers")


def test_the_changelog_names_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    assert f"\n## {version[1]}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").glob("*.png")), ids=lambda path: path.name)
def test_pictures_are_small_and_shown(picture: Path) -> None:
    assert picture.stat().st_size < 300_000
    assert f"docs/{picture.name}" in README
