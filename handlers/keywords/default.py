"""What we say to a text that we do not understand: little, and once a day."""

from __future__ import annotations

from handlers.keywords.turn import Turn, word

DAY_MS = 24 * 60 * 60_000
MOST_WORDS = 4


async def answer(turn: Turn, near: str = "") -> str:
    """Name the words that we know, or the one that the person nearly wrote (`near`), once in 24 hours.

    Silent towards people who have left: they asked for nothing.
    """
    if turn.person.stopped_at is not None:
        return "not understood, has left: no answer"
    if not turn.may_say("default", DAY_MS):
        return "not understood, told today"
    keywords = turn.business.config.keywords
    known = [near] if near else [key for key, keyword in keywords.items() if not keyword.redeem][:MOST_WORDS]
    if not known:
        return "not understood, no words to name"
    words = turn.say("between").join(word(turn.business, key, turn.language) for key in known)
    await turn.reply(turn.say("unknown_word", words=words))
    return f"not understood, named {words}"
