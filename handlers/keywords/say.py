"""Keywords that answer with a text of the marketer: HOURS."""

from __future__ import annotations

from gateway.values import LocalText
from handlers.keywords.turn import Turn


async def answer(turn: Turn, keyword: str, text: LocalText) -> str:
    """Say it."""
    said = await turn.reply_bounded(text.say(turn.language, turn.business.config.brand.languages), keyword)
    return f"{keyword} answered" if said else f"{keyword}, told often enough"
