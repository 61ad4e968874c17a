"""Tells one person's whole story in the order of time: what they said, what we sent, what became of it."""

from __future__ import annotations

from typing import NamedTuple

from campaigns import coupons
from campaigns.audience import Casting, Member
from campaigns.business import Business
from campaigns.people import Person
from campaigns.reports import words_of
from gateway.ids import moment
from gateway.messages import State
from gateway.outbox import SENT_AGAIN
from gateway.store import Tx
from gateway.store.conditions import All

ORDER = ("text", "consent", "vote", "coupon", "refusal", "message", "receipt")  # of what happened at one moment
SOON_MS = 60_000  # what a text brought about stands so shortly after it
MOST_WORDS = 80  # characters of a text of ours that a line of the story quotes


class Chapter(NamedTuple):
    """One thing that happened: when (milliseconds since 1970), what kind, and in words."""

    at: int
    kind: str
    words: str


class Outlook(NamedTuple):
    """What would happen if a campaign of this programme ran now: sent, later (until `due`), or refused and why."""

    program: str
    verdict: str
    due: int


async def chapters(tx: Tx, business: Business, person: Person) -> list[Chapter]:
    """Everything that is known of a person, oldest first."""
    texts = await _texts_in(tx, person)
    told = [
        *texts,
        *await _texts_out(tx, business, person),
        *await _consent(tx, person, texts),
        *await _votes(tx, business, person),
        *await _coupons(tx, business, person, texts),
        *await _refusals(tx, person),
    ]
    return sorted(told, key=lambda chapter: (chapter.at, ORDER.index(chapter.kind)))


async def _texts_in(tx: Tx, person: Person) -> list[Chapter]:
    rows = await tx.rows("inbound_of_person", person=person.id)
    waiting = {0: "waits to be answered", 2: "a person must look"}
    return [
        Chapter(at, "text", f'texted "{text}" to {recipient}: {outcome or waiting.get(thought, intent or "done")}')
        for _, _, recipient, text, at, intent, thought, outcome in rows
    ]


async def _texts_out(tx: Tx, business: Business, person: Person) -> list[Chapter]:
    names = {run_id: campaign for run_id, campaign, *_ in await tx.rows("run_list", brand=business.brand)}
    names |= {id_: f"text of {name}" for id_, name in await tx.rows("client_list", brand=business.brand)}
    told = []
    for id_, run, _, _, sender, text, parts, state, code, settled_at, answers in await tx.rows(
        "messages_to_person", person=person.id
    ):
        # What belongs to no campaign's run and answers nothing is what our own phones get first.
        what = names.get(run) or ("reply" if answers else "test copy")
        short = text if len(text) <= MOST_WORDS else f"{text[: MOST_WORDS - 1]}…"
        said = f'{what} from {sender}, {parts} {"part" if parts == 1 else "parts"}: "{short}": {_fate(state, code)}'
        told.append(Chapter(moment(id_), "message", said))
        if State(state).is_final and state != State.DELIVERED and settled_at:
            told.append(Chapter(settled_at, "receipt", f"{what} {_fate(state, code)}"))
    return told


def _fate(state: int, code: str) -> str:
    word, why = State(state).word, words_of(code)
    if code == SENT_AGAIN and state in (State.SENT, State.DELIVERED):
        return f"{word}, may have come twice"
    return f"{word}, {why}" if why and state != State.DELIVERED else word


def _is_told(texts: list[Chapter], words: str, at: int) -> bool:
    """Whether a text of theirs just then tells these words already."""
    return any(words in text.words and abs(text.at - at) < SOON_MS for text in texts)


async def _consent(tx: Tx, person: Person, texts: list[Chapter]) -> list[Chapter]:
    """Changes of consent with what was shown; a STOP stands with its text."""
    told = []
    for program, change, at, source, words, wording, _ in await tx.rows("ledger_of_person", person=person.id):
        if change == "left" and _is_told(texts, f'left by {source} "{words}"', at):
            continue
        said = f"{change} {program or 'everything'} by {source}"
        said += f' "{words}"' if words else ""
        said += f' (was shown: "{wording}")' if wording and change == "joined" else ""
        told.append(Chapter(at, "consent", said))
    return told


async def _votes(tx: Tx, business: Business, person: Person) -> list[Chapter]:
    """Votes by page; those by text stand with the text."""
    told = []
    for key, contest in business.config.contests.items():
        languages = business.config.brand.languages
        for choice, at, door in await tx.rows("votes_of_person", contest=key, person=person.id):
            option = contest.options.get(choice)
            name = f", {option.say(languages[0], languages)}" if option else ""
            told += [] if door == "text" else [Chapter(at, "vote", f"voted {choice}{name} in {key} by {door}")]
    return told


async def _coupons(tx: Tx, business: Business, person: Person, texts: list[Chapter]) -> list[Chapter]:
    """Codes given and redeemed; one that was given for a text stands with the text."""
    told: list[Chapter] = []
    languages = business.config.brand.languages
    for code, coupon, _, given_at, expires_at, _, _, _ in await tx.rows("coupon_of_person", person=person.id):
        shown = coupons.shown(code)
        if not _is_told(texts, f"{coupon} {shown} given", given_at):
            told.append(Chapter(given_at, "coupon", f"{coupon} {shown} given"))
        for change, at, place, till, door, reason in await tx.rows("redemption_of_code", code=code):
            where = business.config.places.get(place)
            name = where.name.say(languages[0], languages) if where else place
            said = f"{coupon} {shown} {change}, {name}, {till or door}" + (f": {reason}" if reason else "")
            told.append(Chapter(at, "coupon", said))
        if expires_at < business.clock.now_ms():
            told.append(Chapter(expires_at, "coupon", f"{coupon} {shown} was over"))
    return told


async def _refusals(tx: Tx, person: Person) -> list[Chapter]:
    rows = await tx.rows("refusals_of_person", person=person.id)
    return [
        Chapter(at, "refusal", f'{campaign} not sent, "{reason}": {words_of(reason)}') for campaign, at, reason in rows
    ]


async def outlook(tx: Tx, business: Business, person: Person, now: int) -> list[Outlook]:
    """For each campaign of the file: what the planner would decide about this person now."""
    told = []
    for campaign in business.config.campaigns.values():
        casting = Casting(business, campaign)
        rows = await tx.people(
            "audience_page", All(()), brand=business.brand, program=campaign.program, after=person.id - 1, limit=1
        )
        casting.look(now)
        verdict = casting.decide(casting.looked_at([Member._make(rows[0])])[0][0], now)
        if isinstance(verdict, str):
            told.append(Outlook(campaign.program, verdict, 0))
        else:
            told.append(Outlook(campaign.program, "sent" if verdict.due <= now else "later", verdict.due))
    return list(dict.fromkeys(told))
