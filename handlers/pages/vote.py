"""Votes by page: the same function as a text, for the phone whose personal link was opened in this browser."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from campaigns import contests, links, people
from campaigns.people import Person
from campaigns.settings import Page
from gateway import web
from gateway.clock import from_ms
from gateway.values import Calendar
from handlers.keywords.turn import word
from handlers.pages import leave, paths, results
from handlers.pages.guest import Guest, digits

VOTED = "v"  # the query that says what was counted, for the page after
VOTED_S = 24 * 3600


async def show(guest: Guest, page: Page) -> web.Response:
    """/cup: for a phone that we know from its link, else how to vote by text."""
    return await _ballot(guest, page.vote or "", guest.phone())


async def cast(guest: Guest, page: Page) -> web.Response:
    """A vote on /cup; without a phone it leads back to how to vote."""
    person = guest.phone()
    return await _cast(guest, page.vote or "", person) if person else web.see_other(guest.path)


async def show_personal(guest: Guest) -> web.Response:
    """/v/cup/TOKEN, as in a text. From then on this browser is that phone, also on /cup."""
    contest, person = _of_link(guest)
    guest.remember_phone(person)
    return await _ballot(guest, contest, person)


async def cast_personal(guest: Guest) -> web.Response:
    """A vote by personal link."""
    return await _cast(guest, *_of_link(guest))


async def voted(guest: Guest) -> web.Response:
    """After a vote: which one it was and when the next is possible, however often the page is loaded."""
    sealed = guest.unseal(VOTED)
    ballot = guest.path.rpartition("/")[0]
    if sealed is None or sealed[0] not in guest.business.config.contests:
        return web.see_other(ballot)
    contest, choice, left, again = sealed
    return guest.page(
        "voted.html", key=choice, label=_label(guest, contest, choice), left=left,
        again=guest.moment(again) if again else "", results=_results(guest, contest),
    )  # fmt: skip


def _of_link(guest: Guest) -> tuple[str, int]:
    contest = guest.request.match_info["contest"]
    person = links.voter_of(guest.business, contest, guest.request.match_info["token"])
    if person is None or contest not in guest.business.config.contests:
        raise web.Refused(404)
    return contest, person


async def _cast(guest: Guest, contest: str, person: int) -> web.Response:
    """Count a vote by the rule that texts are counted by, and lead on; this is the whole cost of a vote."""
    choice = guest.form.get("choice", "")
    try:
        done = await guest.front.app.store.write(
            contests.vote, guest.business, contest, person, choice, contests.PAGE, guest.now
        )
    except contests.AlreadyVoted as refusal:
        return _already(guest, contest, refusal)
    except contests.NoSuchOption:
        return await _ballot(guest, contest, person, mistake=guest.say("page_vote_choose"), status=400)
    except (contests.NotOpenYet, contests.Closed):
        return await _ballot(guest, contest, person, status=409)
    sealed = guest.seal(VOTED, [contest, choice, done.left, done.next], VOTED_S)
    return web.see_other(f"{guest.path}/voted?{VOTED}={sealed}")


def _already(guest: Guest, contest: str, refusal: contests.AlreadyVoted) -> web.Response:
    """Say for what this phone has voted; never "you", since a phone may be shared."""
    return guest.page(
        "already.html", status=409, key=refusal.choice, label=_label(guest, contest, refusal.choice),
        today=guest.business.config.contests[contest].votes.period is Calendar.DAY,
        again=guest.moment(refusal.next) if refusal.next else "",
        results=_results(guest, contest),
    )  # fmt: skip


async def _ballot(
    guest: Guest, contest: str, person_id: int | None, *, mistake: str = "", status: int = 200
) -> web.Response:
    """The question with its choices; after the end, how it ended."""
    business = guest.business
    window, settings = business.windows[contest], business.config.contests[contest]
    if guest.now >= window.closes_at:
        return await results.of_contest(guest, contest, status=status)
    person = await _person(guest, person_id)
    keyword = next((key for key, one in business.config.keywords.items() if one.vote == contest), "")
    return guest.page(
        "vote.html", status=status, here=guest.path, question=guest.read(settings.question), mistake=mistake,
        options=[(key, guest.read(text)) for key, text in settings.options.items()], chosen="",
        phone=digits(person.address) if person else "", number=guest.sender(person.country if person else "").number,
        keyword=word(business, keyword, guest.language) if keyword else "",
        token=web.token(guest.request) if person else "",
        opens=from_ms(window.opens_at) if guest.now < window.opens_at else None,
        zone=ZoneInfo(person.zone) if person else business.zone,
        leave=leave.path(business, person.id) if person else "", until=from_ms(window.closes_at),
        results=_results(guest, contest),
    )  # fmt: skip


def _results(guest: Guest, contest: str) -> str:
    """Where the figures are, once they may be seen; else an empty text."""
    is_shown = contests.shows_results(guest.business, contest, guest.now)
    return paths.results_page(guest.business, contest) if is_shown else ""


async def _person(guest: Guest, person_id: int | None) -> Person | None:
    return await guest.front.app.store.read(people.find, guest.business, person_id) if person_id else None


def _label(guest: Guest, contest: str, choice: str) -> str:
    """An option's name; its number when it was taken out of the file."""
    text = guest.business.config.contests[contest].options.get(choice)
    return guest.read(text) if text else choice
