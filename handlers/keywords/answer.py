"""Chooses the one answer to a text: opt-out first, then help, our own question, keywords, and a bounded default."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from campaigns import consent, telling
from campaigns.business import Business
from campaigns.words import Intent
from gateway.inbox import Kept
from gateway.store import Tx
from handlers.keywords import coupon, default, redeem, say, stop, vote
from handlers.keywords import help as helping
from handlers.keywords.matching import Match
from handlers.keywords.turn import Talk, Turn, match_of

# What always means the same, whatever campaign is on and whatever we asked.
ALWAYS: dict[str, Callable[[Turn], Coroutine[Any, Any, str]]] = {
    Intent.STOP: stop.confirm_stop,
    consent.STOPPED: stop.stop_again,
    Intent.WRONG_NUMBER: stop.wrong_number,
    Intent.HELP: helping.answer,
    Intent.START: stop.start,
}
SILENT: dict[str, str] = {
    consent.OBEYED: "the carrier obeyed and answered, so we do not",
    consent.OBEYED_STOP: "the carrier obeyed and answered, so we do not",
    Intent.REACTION: "a phone's reaction, no answer",
    Intent.ROBOT: "an auto-reply, no answer",
    Intent.ANGRY: "angry: a person should read this, no answer",
}


async def answer(tx: Tx, business: Business, texts: Sequence[Kept]) -> list[str]:
    """Put at most one reply to each of these texts, in their order, and tell programs of them.

    What happened with each, in one line for `explain`.
    """
    talk = Talk(tx, business, texts)
    await talk.begin()
    outcomes = []
    for kept in texts:
        outcomes.append(await _answer(talk, kept))
        await telling.received(tx, business, kept, outcomes[-1])
    await talk.end()
    return outcomes


async def _answer(talk: Talk, kept: Kept) -> str:
    turn = await talk.turn(kept)
    if turn is None:
        return "not from a phone, no answer"
    if kept.intent in SILENT:
        return SILENT[kept.intent]
    if kept.intent in ALWAYS:
        return await ALWAYS[kept.intent](turn)
    if kept.intent == Intent.YES and _is_start(turn):
        return await stop.yes(turn)
    talk.hear(kept)
    return await _converse(turn)


def _is_start(turn: Turn) -> bool:
    """YES is START only from a person who is opted out or pending, and only while no other question waits."""
    return turn.dialog.topic == stop.JOIN or (turn.dialog.topic == "" and turn.person.stopped_at is not None)


async def _converse(turn: Turn) -> str:
    """Sure answers to our question, then keywords, then guesses at either, then the default."""
    option = vote.chosen(turn)
    if option and option.sure:
        return await vote.cast(turn, turn.dialog.subject, option.key)
    match = match_of(turn.business, turn.kept.text)
    if match and (match.sure or not option):
        return await _follow(turn, match)
    if option:
        return await vote.ask_whether(turn, turn.dialog.subject, option)
    if telling.receivers(turn.business, turn.kept.recipient):
        return "told to a program, which may answer"
    return await default.answer(turn)


async def _follow(turn: Turn, match: Match) -> str:
    """Do what a keyword says. A word that was only nearly written is asked about, never acted upon."""
    keyword = turn.business.config.keywords[match.keyword]
    if keyword.vote:
        return await vote.answer(turn, keyword.vote, match)
    if keyword.redeem:
        return await redeem.answer(turn, keyword, match.rest)
    if keyword.say and match.sure:
        return await say.answer(turn, match.keyword, keyword.say)
    if match.sure:
        return await coupon.answer(turn, keyword)
    return await default.answer(turn, near=match.keyword)
