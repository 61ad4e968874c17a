"""What tests of run.py convert share: files converted, placeholders filled in, and the real loader's word on it."""

from __future__ import annotations

import re
from pathlib import Path

from campaigns.settings import Config
from gateway.config import load
from handlers.console.convert import convert
from handlers.console.convert_draft import Draft, Kind
from handlers.console.convert_writing import written

WORDS = {
    "${BRAND_NAME}": "Lantern", "country: FILL_IN": "country: US", "timezone: FILL_IN": "timezone: America/Los_Angeles",
    "[FILL_IN]": "[US]", "currency: FILL_IN": "currency: USD", "price: FILL_IN": "price: 0.0079 USD per part",
    "carrier: FILL_IN": "carrier: smpp.example.net:2775", "account: FILL_IN_ACCOUNT": "account: lantern",
}  # fmt: skip


def filled(text: str, folder: Path) -> Config:
    """What the file says once a person has replaced every placeholder; any mistake that is left fails."""
    for placeholder, word in WORDS.items():
        text = text.replace(placeholder, word)
    for number in range(text.count("number: FILL_IN")):
        text = text.replace("number: FILL_IN", f"number: 9{number:04}", 1)
    for name in re.findall(r"password_file: (\S+)", text):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch(0o600)
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return load(path, Config, {}).value


def of(folder: Path, text: str, name: str = "kannel.conf", kind: str = "") -> tuple[Draft, Config]:
    """A file of another gateway converted, and the config that comes of it."""
    path = folder / name
    path.write_text(text, "utf-8")
    draft = convert([path], kind)
    return draft, filled(written(draft, name), folder)


def whats(draft: Draft, kind: Kind) -> list[str]:
    """What the notes of a kind are about, with the lines."""
    return [f"{note.place.line}: {note.what}" for note in draft.noted(kind)]
