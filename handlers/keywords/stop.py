"""Leaving and coming back: the one confirmation of a STOP, START, and YES to our question."""

from __future__ import annotations

from campaigns import consent
from handlers.keywords import help as helping
from handlers.keywords.turn import TOLD, Turn

JOIN = "join"  # the topic of the question whether somebody wants to join
PENDING_MS = 24 * 60 * 60_000


async def confirm_stop(turn: Turn) -> str:
    """The person has just left, when the text was kept: say so, once, and without marketing."""
    await turn.reply(turn.say("stopped"))
    return f'left by text "{turn.kept.text}"'


async def stop_again(turn: Turn) -> str:
    """The person had left before: nothing is sent."""
    return "has left already, no answer"


async def wrong_number(turn: Turn) -> str:
    """The phone has another owner, who never asked for this: one apology."""
    await turn.reply(turn.say("wrong_number"))
    return "wrong number: consent ended, apologised"


async def start(turn: Turn) -> str:
    """Bring back whoever left; ask strangers whether they want to join."""
    tx, business, kept = turn.tx, turn.business, turn.kept
    if await turn.has_left_since():
        return "START, but a STOP came after it: not obeyed"
    known = await consent.come_back(
        tx, business, turn.person.id, language=turn.language, at=kept.at, source="text", said=kept.text,
        inbound=kept.id,
    )  # fmt: skip
    if known:
        await turn.reply(turn.say("welcome_back", **helping.terms(turn, known)))
        return f'came back by text "{kept.text}": {", ".join(known)}'
    joined = [program for program, _ in await tx.rows("consent_list", person=turn.person.id)]
    if joined:
        said = await turn.reply_bounded(turn.say("still_in", **helping.terms(turn, joined)), "start")
        return "START, is in already" + ("" if said else TOLD)
    program = next(iter(business.config.programs), None)
    if program is None:
        return await helping.answer(turn)
    await turn.ask(JOIN, program, "", for_ms=PENDING_MS)
    said = await turn.reply_bounded(turn.say("confirm", **helping.terms(turn, [program])), "start")
    return f"START, asked whether to join {program}" + ("" if said else " before")


async def yes(turn: Turn) -> str:
    """The YES that we asked for: the person joins. Without a question of ours it is a START."""
    program, kept = turn.dialog.subject, turn.kept
    is_asked = turn.dialog.topic == JOIN and program in turn.business.config.programs
    if not is_asked or turn.person.stopped_at is not None:
        return await start(turn)
    await consent.join(
        turn.tx, turn.business, turn.person.id, program, language=turn.language, at=kept.at, source="text",
        said=kept.text, inbound=kept.id,
    )  # fmt: skip
    await turn.tx.run("dialog_end", person=turn.person.id)
    await turn.reply(turn.say("welcome", **helping.terms(turn, [program])))
    return f'joined {program} by text "{kept.text}"'
