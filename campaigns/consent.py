"""Who may be texted: joining, leaving, coming back, each kept with its time, its source and the person's words."""

from __future__ import annotations

from collections.abc import Sequence

from campaigns import people, telling, words
from campaigns.business import Business
from campaigns.words import Intent
from gateway.inbox import Heard
from gateway.messages import Inbound
from gateway.store import Tx

STOPPED = "stopped"  # a STOP from a person who had left already
OBEYED = "obeyed"  # the carrier has obeyed this word and answered the person: ours would be one answer too many
OBEYED_STOP = "obeyed stop"  # and this was a word to leave


class HasLeft(Exception):
    """The person left at `at` (milliseconds); only their own START lifts that."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


async def recognise(tx: Tx, business: Business, channel: str, texts: Sequence[Inbound], at: int) -> list[Heard]:
    """Find the people who text, and obey opt-outs in their order, in the transaction that keeps the texts.

    Of each text the person's id, 0 for a sender that is no phone, and the intent's word: `stop` and `wrong number`
    when they changed something, `stopped` when the person had left before, else the other intents or ''.
    """
    known = await people.find_or_create_all(tx, business, [text.sender for text in texts], at)
    pools = [
        (known[text.sender], text.recipient, business.brand, at)
        for text in texts
        if (sender := business.senders.get(text.recipient)) and sender.is_pool and text.sender in known
    ]
    if pools:  # from now on they know this number of it
        await tx.many("sticky_put", pools)
    return [await _recognise(tx, business, known.get(text.sender, 0), text, at) for text in texts]


async def _recognise(tx: Tx, business: Business, person: int, text: Inbound, at: int) -> Heard:
    if not person:
        return Heard(0, "")
    if text.obeyed:
        await _follow_carrier(tx, business, person, text, at)
        is_stop = text.obeyed == "stop"
        return Heard(person, OBEYED_STOP if is_stop else OBEYED, leaves=is_stop)
    sender = business.senders.get(text.recipient)
    intent = words.intent_of(text.text, sender.stop_words if sender else ())
    if intent in (Intent.STOP, Intent.WRONG_NUMBER):
        changed = await leave(tx, business, person, at=at, source="text", said=text.text)
        return Heard(person, str(intent) if changed else STOPPED, leaves=True)
    return Heard(person, str(intent or ""))


async def _follow_carrier(tx: Tx, business: Business, person_id: int, inbound: Inbound, at: int) -> None:
    """Write into our ledger what the carrier has done by its own list."""
    if inbound.obeyed == "stop":
        await leave(tx, business, person_id, at=at, source="text", said=inbound.text)
    elif inbound.obeyed == "start":
        language = business.config.brand.languages[0]
        await come_back(tx, business, person_id, language=language, at=at, source="text", said=inbound.text)


async def left_by_carrier(tx: Tx, business: Business, person_id: int, why: str, at: int) -> None:
    """The carrier refused a text because the person has left the sender there: it is a STOP like any other."""
    await leave(tx, business, person_id, at=at, source="carrier", said=why)


async def join(
    tx: Tx, business: Business, person_id: int, program: str, *, language: str, at: int, source: str, said: str = "",
    inbound: int | None = None,
) -> bool:  # fmt: skip
    """Say yes to a programme; False when the person is in it already. Raises HasLeft.

    `language` decides which wording they were shown, `said` is what they wrote, `source` text or page.
    """
    if not await tx.run("consent_join", brand=business.brand, person=person_id, program=program, since=at):
        left_at = await tx.value("stop_get", person=person_id)
        if left_at is not None:
            raise HasLeft(left_at)
        return False
    await _record(tx, business, person_id, program, "joined", language, at, source, said, inbound)
    return True


async def leave(
    tx: Tx, business: Business, person_id: int, *, at: int, source: str, said: str = "", inbound: int | None = None
) -> bool:
    """Leave everything that the brand sends, at once; False when the person had left before."""
    if not await tx.run("stop_insert", person=person_id, brand=business.brand, at=at, source=source):
        return False
    ended = [program for (program,) in await tx.rows("consent_end", person=person_id)]
    await tx.run("dialog_end", person=person_id)
    await tx.run(
        "ledger_insert", brand=business.brand, person=person_id, program="", change="left", at=at, source=source,
        words=said, wording=None, inbound=inbound,
    )  # fmt: skip
    await tx.many(
        "activity_insert", [(business.brand, person_id, "left", program, at, source) for program in ended or [""]]
    )
    await telling.subscriber(tx, business, person_id, "left", "", at, source)
    return True


async def come_back(
    tx: Tx, business: Business, person_id: int, *, language: str, at: int, source: str, said: str = "",
    inbound: int | None = None,
) -> list[str] | None:  # fmt: skip
    """Lift the person's STOP by their own word: they are again in the programmes that they left, which are returned.

    None when they had not left.
    """
    left_at = await tx.value("stop_delete", person=person_id)
    if left_at is None:
        return None
    known = [program for (program,) in await tx.rows("programs_left", person=person_id, at=left_at)
             if program in business.config.programs]  # fmt: skip
    for program in known:
        await tx.run("consent_join", brand=business.brand, person=person_id, program=program, since=at)
        await _record(tx, business, person_id, program, "returned", language, at, source, said, inbound)
    if not known:
        await tx.run(
            "ledger_insert", brand=business.brand, person=person_id, program="", change="returned", at=at,
            source=source, words=said, wording=None, inbound=inbound,
        )  # fmt: skip
        await telling.subscriber(tx, business, person_id, "returned", "", at, source)
    return known


async def _record(
    tx: Tx, business: Business, person_id: int, program: str, change: str, language: str, at: int, source: str,
    said: str, inbound: int | None,
) -> None:  # fmt: skip
    """Write into the ledger that a person is in a programme from now on, with the wording that they were shown."""
    wording = business.wordings[program, business.language(language)]
    await tx.run(
        "ledger_insert", brand=business.brand, person=person_id, program=program, change=change, at=at, source=source,
        words=said, wording=wording, inbound=inbound,
    )  # fmt: skip
    await tx.run(
        "activity_insert", brand=business.brand, person=person_id, kind="joined", subject=program, at=at, detail=source
    )
    await telling.subscriber(tx, business, person_id, change, program, at, source)
