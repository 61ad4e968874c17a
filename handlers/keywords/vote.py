"""VOTE 3, votee 3, or a bare 3 after our question: counts a vote, or says why not, or asks which."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from campaigns import contests
from campaigns.words import Intent
from gateway import rendering
from gateway.clock import from_ms
from gateway.values import Calendar
from handlers.keywords.matching import Match, Option, without_article
from handlers.keywords.turn import MINUTE_MS, TOLD, Turn, option_of, word

VOTE = "vote"  # the topic of the question which one it shall be
ASKED_FOR_MS = 60 * MINUTE_MS


async def answer(turn: Turn, contest: str, match: Match) -> str:
    """The text opened with the contest's keyword, or nearly so."""
    option = option_of(turn.business, contest, match.rest) if match.rest else None
    if option and option.sure and match.sure:
        return await cast(turn, contest, option.key)
    if option:
        return await ask_whether(turn, contest, option)
    return await _ask_which(turn, contest, match)


def chosen(turn: Turn) -> Option | None:
    """What a text without a keyword answers to our question, if we asked one within the hour."""
    dialog = turn.dialog
    contest = turn.business.config.contests.get(dialog.subject) if dialog.topic == VOTE else None
    if contest is None:
        return None
    if turn.kept.intent == Intent.YES and dialog.detail in contest.options:
        return Option(dialog.detail, True)
    return option_of(turn.business, dialog.subject, turn.kept.text)


async def cast(turn: Turn, contest: str, choice: str) -> str:
    """Count the vote, and say so; or say why it does not count."""
    if turn.dialog.topic == VOTE:
        await turn.tx.run("dialog_end", person=turn.person.id)
    try:
        voted = await contests.take(
            turn.tx, turn.business, contest, turn.person.id, choice, contests.TEXT, turn.kept.at
        )
    except (contests.AlreadyVoted, contests.NotOpenYet, contests.Closed) as refusal:
        return await _refuse(turn, contest, choice, refusal)
    turn.talk.ballot(contests.Ballot(contest, choice, turn.person.id, turn.kept.at))
    named = _named(turn, contest, choice)
    if voted.left:
        text = turn.say("vote_counted_more", **named, count=str(voted.left))
    elif voted.next is None:
        text = turn.say("vote_counted", **named)
    else:
        text = turn.say("vote_counted_next", **named, next=_next(turn, voted.next))
    await turn.reply(text)
    return f"vote {choice} counted"


async def ask_whether(turn: Turn, contest: str, option: Option) -> str:
    """Ask whether we guess right; the answer may be YES or a bare number."""
    guess = _named(turn, contest, option.key)
    return await _ask(turn, contest, turn.say("vote_unsure", **guess, choices=_choices(turn, contest)), option.key)


async def _ask_which(turn: Turn, contest: str, match: Match) -> str:
    """Ask the question itself after a bare VOTE, else which option it shall be."""
    fields = {"keyword": word(turn.business, match.keyword, turn.language), "choices": _choices(turn, contest)}
    if match.rest:
        return await _ask(turn, contest, turn.say("vote_which", **fields), "")
    settings, languages = turn.business.config.contests[contest], turn.business.config.brand.languages
    question = settings.question.say(turn.language, languages)
    return await _ask(turn, contest, turn.say("vote_question", question=question, **fields), "")


async def _ask(turn: Turn, contest: str, question: str, guess: str) -> str:
    try:
        contests.check_open(turn.business, contest, turn.kept.at)
    except (contests.NotOpenYet, contests.Closed) as refusal:
        return await _refuse(turn, contest, turn.kept.text, refusal)
    await turn.ask(VOTE, contest, guess, for_ms=ASKED_FOR_MS)
    said = await turn.reply_bounded(question, f"vote {contest}")
    return f"{turn.kept.text} unsure, " + ("asked" if said else "asked often enough")


async def _refuse(
    turn: Turn, contest: str, choice: str, refusal: contests.AlreadyVoted | contests.NotOpenYet | contests.Closed
) -> str:
    zone, language = turn.business.zone, turn.language
    if isinstance(refusal, contests.AlreadyVoted):
        by_day = turn.business.config.contests[contest].votes.period is Calendar.DAY
        text = turn.say("vote_again_today" if by_day else "vote_again", **_named(turn, contest, refusal.choice))
        why = f"voted {refusal.choice} already"
    elif isinstance(refusal, contests.NotOpenYet):
        text = turn.say("vote_not_yet", when=rendering.day_and_time(from_ms(refusal.at), zone, language))
        why = "not open yet"
    else:
        last_day, page = rendering.day(from_ms(refusal.at - 1), zone, language), _page(turn, contest)
        text = (
            turn.say("vote_closed_results", day=last_day, link=page) if page else turn.say("vote_closed", day=last_day)
        )
        why = "closed"
    said = await turn.reply_bounded(text, f"vote {contest}")
    return f"vote {choice} not counted: {why}" + ("" if said else TOLD)


def _named(turn: Turn, contest: str, choice: str) -> dict[str, str]:
    """A choice by number and name; one that was taken out of the file has its number only."""
    option = turn.business.config.contests[contest].options.get(choice)
    name = option.say(turn.language, turn.business.config.brand.languages) if option else choice
    return {"number": choice, "option": name}


def _choices(turn: Turn, contest: str) -> str:
    """All choices, short: in a list an article only costs characters."""
    named = [_named(turn, contest, key) for key in turn.business.config.contests[contest].options]
    short = [{**each, "option": without_article(each["option"])} for each in named]
    return turn.say("between").join(turn.say("choice", **each) for each in short)


def _next(turn: Turn, at: int) -> str:
    if _is_tomorrow(at, turn.kept.at // MINUTE_MS, turn.business.zone):
        return turn.say("tomorrow")
    return rendering.day_and_time(from_ms(at), turn.business.zone, turn.language)


@lru_cache(256)  # thousands vote within a minute
def _is_tomorrow(at: int, minute: int, zone: ZoneInfo) -> bool:
    """Whether a time is the beginning of the day after the one that this minute is in."""
    then, now = from_ms(at).astimezone(zone), from_ms(minute * MINUTE_MS).astimezone(zone)
    return then.date() == now.date() + timedelta(days=1) and then.hour == then.minute == 0


def _page(turn: Turn, contest: str) -> str:
    """The address where people see how it ended, or an empty text."""
    config = turn.business.config
    shows = [key for key, page in config.pages.items() if page.results == contest]
    votes = [key for key, page in config.pages.items() if page.vote == contest]
    return f"{config.brand.site}/{(shows + votes)[0]}" if shows + votes else ""
