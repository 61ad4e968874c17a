"""HELP: who we are, how often we write, whom to ask and how to end it; also for people who have left."""

from __future__ import annotations

from collections.abc import Sequence

from campaigns.business import dialled
from handlers.keywords.turn import TOLD, Turn


async def answer(turn: Turn) -> str:
    """Tell it, but not for ever to a machine that says help back."""
    business, brand = turn.business, turn.business.config.brand
    support, site = brand.support, brand.site.partition("://")[2]
    said = await turn.reply_bounded(
        turn.say(
            "help",
            **terms(turn, list(business.config.programs)),
            phone=dialled(support.phone, brand.country) if support.phone else site,
            email=support.email or site,
        ),
        "help",
    )
    return "help" + ("" if said else TOLD)


def terms(turn: Turn, programs: Sequence[str]) -> dict[str, str]:
    """The fields that every text about programmes needs: their names, how often we write, the word to end it."""
    business, language = turn.business, turn.language
    brand, found = business.config.brand, [business.config.programs[key] for key in programs]
    names = [program.name.say(language, brand.languages) for program in found]
    return {
        "program": turn.say("between").join(names) or brand.name.say(language, brand.languages),
        "often": business.often(found[0] if found else None, language),
        "stop": business.stop_word(turn.kept.recipient),
    }
