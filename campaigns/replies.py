"""Answers one person: one text in the urgent lane, from the number that they wrote to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from campaigns.business import Business
from campaigns.people import Person
from campaigns.settings import SEND_AGAIN, alphabets_of
from gateway import numbers, outbox
from gateway.codecs import parts
from gateway.codecs.national import Alphabet
from gateway.messages import Purpose
from gateway.routes import REPLIES, Destination, Pool, Router
from gateway.store import Tx

GOOD_FOR_MS = 24 * 60 * 60_000  # an answer that comes a day late only puzzles


class Reply(NamedTuple):
    """A text that is to wait in a queue."""

    queue: int
    message: outbox.Message


async def reply(
    tx: Tx, business: Business, person: Person, sender: str, channel: str, text: str, *, answers: int, now: int
) -> Reply | None:
    """The answer to a person, to be put; None where nobody can be answered.

    `sender` is the number that was texted, so the answer comes from it. Only when it is no longer in the file, routes
    for replies choose another. The sender's `begin` stands before the text, once. Nothing goes to short codes and
    names, which are machines, nor out through a channel that is no longer in the file.
    """
    if sender not in business.senders or channel not in business.queues:
        sender, channel = await _routed(tx, business, person) or (sender, channel)
    queue = business.queues.get(channel)
    if queue is None or not numbers.SHAPE.fullmatch(person.address):
        return None
    settings = business.senders.get(sender)
    if settings and not text.startswith(settings.begin):
        text = settings.begin + text
    carrier = business.config.channels[channel]
    size = _parts_of(text, alphabets_of(carrier))
    return Reply(
        queue,
        outbox.Message(
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
            price=size * carrier.price.millionths,
            valid_until=now + GOOD_FOR_MS,
            repeat=int(business.config.replies.when_in_doubt == SEND_AGAIN),
            answers=answers,
        ),
    )


async def put(tx: Tx, replies: Iterable[Reply], now: int) -> None:
    """Let answers wait for their carriers."""
    by_queue: dict[int, list[outbox.Message]] = {}
    for queue, message in replies:
        by_queue.setdefault(queue, []).append(message)
    for queue, messages in by_queue.items():
        await outbox.put(tx, messages, queue, now)


async def _routed(tx: Tx, business: Business, person: Person) -> tuple[str, str] | None:
    """The number and the channel that the file's rules name for an answer to this person; None where none does."""
    router = _router(business)
    if not router.rules:
        return None
    lines = await tx.rows("person_line", person=person.id)
    to = Destination(person.address, person.country, *(lines[0] if lines else ()))
    scores = business.quality.scores(business.clock.now_ms()) if router.asks_quality else {}
    found = router.decide(
        to, lambda sender: business.config.channels[sender.channel].price.millionths, scores, business.quality.out
    ).senders
    if not found:
        return None
    sender = found[0].sender
    return Pool(sender.numbers).choose(person.id, person.address).number, sender.channel


@lru_cache(4096)  # a word is answered with one text, whoever asks
def _parts_of(text: str, alphabets: tuple[Alphabet, ...]) -> int:
    return parts.measure(text, alphabets).parts


@lru_cache(4)
def _router(business: Business) -> Router:
    return Router(business.config.senders, business.config.routes.values(), lane=REPLIES)
