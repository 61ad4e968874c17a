"""Answers one person: one text in the urgent lane, from the number that they wrote to."""

from __future__ import annotations

from campaigns.business import Business
from campaigns.people import Person
from gateway import numbers, outbox
from gateway.codecs import parts
from gateway.messages import Purpose
from gateway.store import Tx

GOOD_FOR_MS = 24 * 60 * 60_000  # an answer that comes a day late only puzzles


async def reply(
    tx: Tx, business: Business, person: Person, sender: str, channel: str, text: str, *, answers: int, now: int
) -> int:
    """Put one text to the person and return its id; 0 where nobody can be answered.

    `sender` is the number that was texted. Its `begin` stands before the text, once. Nothing goes to short
    codes and names, which are machines, nor out through a channel that is no longer in the file.
    """
    queue = business.queues.get(channel)
    if queue is None or numbers.is_short_code(person.address) or numbers.is_alphanumeric(person.address):
        return 0
    settings = business.senders.get(sender)
    if settings and not text.startswith(settings.begin):
        text = settings.begin + text
    size = parts.measure(text).parts
    message = outbox.Message(
        id=business.ids.next(),
        brand_id=business.brand,
        run=0,
        person=person.id,
        purpose=Purpose.REPLY,
        program="",
        channel=channel,
        sender=sender,
        address=person.address,
        zone=person.zone,
        text=text,
        parts=size,
        price=size * business.config.channels[channel].price.millionths,
        valid_until=now + GOOD_FOR_MS,
        answers=answers,
    )
    await outbox.put(tx, [message], queue, now)
    return message.id
