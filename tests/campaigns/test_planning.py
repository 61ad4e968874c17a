"""A plan shows exactly what a launch would do, and does none of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns import consent, coupons, importing, launching, people, planning, runs, versions
from campaigns.audience import Casting, Member
from campaigns.business import Business, open_business
from campaigns.estimates import NEW, Estimate, Survey, code_for
from campaigns.planning import Plan, Saved
from campaigns.settings import Config
from gateway.clock import StoppedClock
from gateway.config import Loaded, load
from gateway.rendering import Texts
from gateway.store import Store, Tx

ROOT = Path(__file__).parents[2]
BRAND = 1
SUMMER = """
  summer:
    program: lantern_club
    audience: {segment: students}
    senders: [seattle, shanghai]
    text: {en: "Lantern Coffee: summer is here. Reply STOP to end", zh: "夏天到了"}

contests:"""


async def silence(_campaign: str, _people: int) -> None:
    """Nobody listens to progress."""


@dataclass(slots=True)
class Office:
    """A marketer's desk: the sample's people, a file to edit, and the planner."""

    store: Store
    business: Business
    texts: Texts
    file: Path

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text("utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), "utf-8")

    def load(self) -> Loaded[Config]:
        return load(self.file, Config, {})

    async def pinned(self, number: int) -> Config:
        return await planning.pinned_config(self.store, BRAND, number, {}, self.file.parent)

    async def plan(self) -> Plan:
        loaded = self.load()
        business = self.business
        draft = planning.draft(
            loaded.value, brand=BRAND, ids=business.ids, clock=business.clock, texts=self.texts
        )  # fmt: skip
        return await planning.plan(self.store, draft, loaded, self.pinned, silence)

    async def apply(self, made: Plan, *, trial: bool = False) -> launching.Outcome:
        loaded, now = self.load(), self.business.clock.now_ms()
        outcome = await self.store.write(launching.keep, BRAND, loaded, self.file, made, now)
        self.business = await self.store.write(
            open_business, brand=BRAND, config=loaded.value, version=outcome.version, ids=self.business.ids,
            clock=self.business.clock, texts=self.texts, now=now,
        )  # fmt: skip
        return await self.store.write(launching.launch, self.business, made, outcome, trial=trial, now=now)

    async def run_out(self, campaign: str) -> runs.Waterfall:
        """Plan a launched run to its end, as the runner does."""
        business, store, now = self.business, self.store, self.business.clock.now_ms()
        run = await store.read(runs.find, BRAND, campaign)
        assert run is not None
        casting = Casting(business, business.config.campaigns[campaign])
        queues = await store.write(runs.begin, business, run, casting, now)
        after: int | None = 0
        while after is not None:
            cast = await store.read(runs.cast_page, business, run, casting, after, now)
            assert await store.write(runs.write_page, business, run, casting, queues, cast, now)
            after = cast.page.last
        return await store.read(runs.waterfall, run)


@pytest.fixture
async def office(store: Store, business: Business, texts: Texts, tmp_path: Path) -> Office:
    """The sample imported, the shipped file on the desk, nothing launched."""
    config = business.config
    attributes = {key: each.values for key, each in config.attributes.items()}
    with (ROOT / "campaigns" / "sample.csv").open("rb") as stream:
        for batch in importing.read(
            stream, country="US", languages=["en", "zh"], attributes=attributes, now_ms=business.clock.now_ms()
        ):
            await store.write(people.import_rows, business, batch.rows, "lantern_club", business.clock.now_ms())
    file = tmp_path / "config.yaml"
    file.write_text((ROOT / "config.yaml").read_text("utf-8"), "utf-8")
    return Office(store, business, texts, file)


async def test_the_audience_of_a_plan_adds_up(office: Office) -> None:
    made = await office.plan()
    (spring,) = made.new
    assert spring.matched == sum(spring.refused.values()) + spring.sending
    assert spring.sending > 300


async def test_a_page_whose_reading_is_begun_anew_is_counted_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = await office.plan()
    step = Survey.step

    async def broken_once(survey: Survey, tx: Tx) -> list[int]:
        await step(survey, tx)  # and the line is lost
        tx.endings.clear()
        return await step(survey, tx)

    monkeypatch.setattr(Survey, "step", broken_once)

    assert (await office.plan()).new == sound.new


async def test_a_plan_is_what_the_run_comes_to_to_the_last_part_and_cent(office: Office) -> None:
    await leave_some(office, 20)
    made = await office.plan()
    await office.apply(made)
    counted = await office.run_out("spring")
    (spring,) = made.new
    assert counted.matched == spring.matched
    assert dict(counted.refused) == {why: n for why, n in spring.refused.items() if n}
    assert counted.sending == spring.sending
    assert counted.refused["left"] > 0
    run = await office.store.read(runs.find, BRAND, "spring")
    assert run is not None
    assert run.spent == spring.cost


async def leave_some(office: Office, count: int) -> None:
    async def leave(tx: Tx) -> None:
        rows = await tx.rows("person_export", brand=BRAND, after=0, limit=count)
        for row in rows:
            await consent.leave(tx, office.business, row[0], at=office.business.clock.now_ms(), source="text")

    await office.store.write(leave)


async def test_a_budget_and_a_pool_that_run_out_are_told_as_they_will_be(office: Office) -> None:
    office.edit("budget: 40 USD", "budget: 1 USD")
    office.edit("codes: 5000", "codes: 100")
    made = await office.plan()
    await office.apply(made)
    counted = await office.run_out("spring")
    (spring,) = made.new
    assert spring.refused["budget"] == counted.refused.get("budget", 0)
    assert spring.refused["no code left"] == counted.refused["no code left"] > 0
    assert spring.cost <= 1_000_000
    assert any("latte: 100 codes are left" in warning for warning in made.warnings)


async def test_a_plan_opens_no_contest_and_gives_no_code(office: Office) -> None:
    office.edit("  cup:\n    kind: vote", "  mug:\n    kind: vote")
    office.edit("vote: cup", "vote: mug")
    made = await office.plan()
    assert "mug" in made.opening
    assert "cup" not in made.opening  # opened before
    kept = await office.store.read(facts)
    assert "first_apply:contest:mug" not in kept
    rows = await office.store.read(pool)
    assert rows == [(5000, 0)]


async def facts(tx: Tx) -> set[str]:
    return {name for name, _ in await tx.rows("fact_list", brand=BRAND, like="%")}


async def pool(tx: Tx) -> list[tuple[int, int]]:
    return [(size, given) for size, given in await tx.rows("pool_of", coupon="latte")]


async def test_a_tester_counts_in_nothing_and_gets_it_first(office: Office) -> None:
    made = await office.plan()
    outcome = await office.apply(made)
    assert outcome.to_testers == {"spring": 1}
    counted = await office.run_out("spring")
    maya = await office.store.read(messages_to, office.business, "+12065550142")
    assert len(maya) == 1
    assert maya[0][1] == 0  # of no run
    assert counted.adds_up


async def messages_to(tx: Tx, business: Business, number: str) -> list[tuple[object, ...]]:
    person = await people.find_by_address(tx, business, number)
    assert person is not None
    return await tx.rows("messages_to_person", person=person.id)


async def test_a_tester_who_has_left_gets_nothing(office: Office) -> None:
    async def leave(tx: Tx) -> None:
        maya = await people.find_by_address(tx, office.business, "+12065550142")
        assert maya is not None
        await consent.leave(tx, office.business, maya.id, at=0, source="text")

    await office.store.write(leave)
    outcome = await office.apply(await office.plan())
    assert outcome.to_testers == {"spring": 0}


async def test_a_second_apply_launches_nothing_and_tells_testers_nothing(office: Office) -> None:
    await office.apply(await office.plan())
    again = await office.plan()
    assert again.changes_nothing
    assert again.same == ["spring"]
    outcome = await office.apply(again)
    assert (outcome.launched, outcome.to_testers) == ([], {})


async def test_the_text_of_a_launched_campaign_cannot_change_and_says_who_has_the_old_one(office: Office) -> None:
    await office.apply(await office.plan())
    await office.run_out("spring")
    office.edit("2 lattes for 1,", "3 lattes for 1,")
    made = await office.plan()
    assert len(made.mistakes) == 1
    place, _, words = made.mistakes[0].partition(": ")
    assert place.split(":")[-2] == str(line_of(office.file, "3 lattes"))
    assert words.startswith("0 already got the old wording")


def line_of(file: Path, words: str) -> int:
    lines = file.read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


async def test_another_audience_for_a_launched_campaign_is_not_taken_in_silence(office: Office) -> None:
    await office.apply(await office.plan())
    office.edit("{segment: spring_crowd, except: gone_quiet}", "{segment: students, except: gone_quiet}")
    office.edit("spring_crowd: {any", "spring_crows: {any")
    made = await office.plan()
    assert any("launched with another audience" in mistake for mistake in made.mistakes)


async def test_a_removed_campaign_tells_how_many_unsent_are_stopped_and_stops(office: Office) -> None:
    await office.apply(await office.plan())
    counted = await office.run_out("spring")
    remove_spring(office)
    made = await office.plan()
    assert made.gone == {"spring": counted.sending}
    outcome = await office.apply(made)
    assert outcome.stopped == ["spring"]
    run = await office.store.read(runs.find, BRAND, "spring")
    assert run is not None
    assert run.state == "stopping"


def remove_spring(office: Office) -> None:
    text = office.file.read_text("utf-8")
    begin, end = text.index("campaigns:\n  spring:"), text.index("contests:\n")
    office.file.write_text(text[:begin] + text[end:], "utf-8")


async def test_a_renamed_campaign_keeps_its_run(office: Office) -> None:
    await office.apply(await office.plan())
    await office.run_out("spring")
    office.edit("  spring:  ", "  april:  ")
    office.edit("    program: lantern_club\n    audience", "    was: spring\n    program: lantern_club\n    audience")
    made = await office.plan()
    assert (made.new, made.renamed, made.mistakes) == ([], [("spring", "april")], [])
    await office.apply(made)
    run = await office.store.read(runs.find, BRAND, "april")
    assert run is not None
    assert (run.state, run.config) == ("sending", 2)
    assert (await office.plan()).changes_nothing


async def test_a_campaign_that_looks_like_a_removed_one_is_asked_about(office: Office) -> None:
    await office.apply(await office.plan())
    await office.run_out("spring")
    office.edit("  spring:  ", "  april:  ")
    made = await office.plan()
    (question,) = made.questions
    assert "is this spring renamed? Then say  was: spring" in question
    assert question.split(":")[1] == str(line_of(office.file, "  april:"))


async def test_people_who_would_get_two_campaigns_are_counted(office: Office) -> None:
    office.edit("\ncontests:", SUMMER)
    made = await office.plan()
    both = made.both["spring", "summer"]
    ids = await office.store.read(students_in_spring, office.business, office.load().value)
    assert both == ids
    assert any(f"{both:,} people would get both spring and summer" in warning for warning in made.warnings)


async def students_in_spring(tx: Tx, business: Business, config: Config) -> int:
    """The overlap counted the plain way: everybody decided about twice."""
    now = business.clock.now_ms()
    draft = planning.draft(config, brand=BRAND, ids=business.ids, clock=business.clock, texts=business.texts)
    sets = []
    for key in ("spring", "summer"):
        casting = Casting(draft, config.campaigns[key])
        rows = await tx.people(
            "audience_page", casting.condition(now), brand=BRAND, program="lantern_club", after=0, limit=10_000
        )
        members = [Member._make(row) for row in rows]
        until = runs.ends_at(draft, config.campaigns[key], now)
        verdicts = ((member, casting.decide(member, now)) for member in members)
        sets.append(
            {member.id for member, verdict in verdicts
             if not isinstance(verdict, str) and verdict.due < until and member.address not in draft.testers}
        )  # fmt: skip
    return len(sets[0] & sets[1])


async def test_everything_else_that_changed_is_named(office: Office) -> None:
    await office.apply(await office.plan())
    office.edit("Pike Place: 7am-7pm every day.", "Pike Place: 8am-8pm every day.")
    office.edit('colour: "#7A3E1D"', 'colour: "#7A3E1E"')
    made = await office.plan()
    assert made.changed == ["brand.colour", "keywords.HOURS"]
    assert not made.changes_nothing


async def test_readers_who_would_get_another_language_are_counted(office: Office) -> None:
    office.edit("\ncontests:", SUMMER.replace(', zh: "夏天到了"', ""))
    made = await office.plan()
    assert any(warning.startswith("summer: ") and "readers of zh would get en" in warning for warning in made.warnings)


async def test_the_time_a_campaign_takes_goes_by_the_slowest_line(office: Office, clock: StoppedClock) -> None:
    made = await office.plan()
    (spring,) = made.new
    # Both channels carry it side by side, each with half of its 50/s.
    assert spring.parts / 50 <= spring.seconds <= 2 * spring.parts / 50


async def test_at_night_everybody_waits_for_the_morning(office: Office, clock: StoppedClock) -> None:
    office.edit("within: 6 h", "within: 20 h")
    clock.advance(seconds=5 * 3600)  # 23:30 in Seattle, 15:30 in Shanghai
    made = await office.plan()
    (spring,) = made.new
    assert 0 < spring.later < spring.sending
    assert spring.opens_at > clock.now_ms()


def test_a_plan_may_grow_by_five_per_cent_and_no_more() -> None:
    before = Saved("ab12", 0, "", {"spring": (100, 1_000)})
    assert planning.grown(before, plan_with(105, 1_050)) == []
    (complaint,) = planning.grown(before, plan_with(106, 1_050))
    assert complaint == "spring: people grew since plan ab12 (+6%)"
    assert "cost" in planning.grown(before, plan_with(100, 2_000))[0]


def plan_with(sending: int, cost: int) -> Plan:
    estimate = Estimate("spring", sending=sending, cost=cost)
    return Plan("x", 0, "", 0, [estimate], [], [], {}, {}, [], {}, [], [], [], [])


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        pytest.param([], NEW, id="has none"),
        pytest.param([(2_000, None)], "", id="has a good one"),
        pytest.param([(500, None)], "coupon over", id="has one that is over"),
        pytest.param([(2_000, 900)], "coupon used", id="has used it"),
    ],
)
def test_who_gets_a_code_is_foreseen(codes: list[tuple[int, int | None]], verdict: str) -> None:
    assert code_for(codes, 1, 1_000) == verdict


async def test_codes_are_foreseen_as_they_are_given(office: Office) -> None:
    async def use_some(tx: Tx) -> None:
        rows = await tx.rows("person_export", brand=BRAND, after=0, limit=300)
        now = office.business.clock.now_ms()
        for row in rows[:150]:
            given = await coupons.give(tx, office.business, "latte", row[0], 0, now)
            if row[0] % 2:
                await coupons.redeem(tx, office.business, given.code, "pike_place", "1", "page", now)

    await office.store.write(use_some)
    made = await office.plan()
    await office.apply(made)
    counted = await office.run_out("spring")
    assert made.new[0].refused["coupon used"] == counted.refused.get("coupon used", 0)
    assert made.new[0].sending == counted.sending


async def test_the_applied_version_is_kept_once(office: Office) -> None:
    await office.apply(await office.plan())
    await office.apply(await office.plan())
    latest = await office.store.read(versions.latest, BRAND)
    assert latest is not None
    assert latest.number == 1


async def test_a_sender_that_may_send_only_so_fast_makes_the_plan_longer(office: Office) -> None:
    office.edit("seattle: {number: 20655,", "seattle: {number: 20655, rate: 2/s,")
    (one,) = (await office.plan()).new
    office.edit("seattle: {number: 20655,", "seattle: {numbers: [20655, 20656],")
    (two,) = (await office.plan()).new
    assert (two.sending, two.parts) == (one.sending, one.parts)
    assert one.seconds == pytest.approx(2 * two.seconds)
    assert one.seconds > one.sending / 4  # most of them are in America


async def test_what_is_planned_by_rules_is_what_the_run_does(office: Office) -> None:
    cheap = "  cheap: {kind: smpp, carrier: simulator, rate: 5/s, price: 0.0050 USD per part}\n\nsenders:"
    office.edit("\nsenders:", cheap)
    backup = "  backup: {numbers: [+12065550100, +12125550100], channel: cheap, countries: [US, CA]}\n"
    rules = "routes:\n  west: {prefix: [+1206, +1425], type: mobile, senders: [backup]}\n  china: {country: CN, "
    rules += "network: China Mobile, senders: [shanghai]}\n  rest: {country: [US, CA], senders: [seattle]}\n\nprograms:"
    office.edit("\nprograms:", f"{backup}{rules}")
    office.edit("    senders: [seattle, shanghai]       # the one that serves the subscriber's country\n", "")

    made = await office.plan()
    await office.apply(made)
    done = await office.run_out("spring")

    (spring,) = made.new
    assert 0 < spring.refused["no sender"] < spring.matched  # Chinese networks that no rule is for
    assert (done.matched, dict(done.refused)) == (spring.matched, {k: n for k, n in spring.refused.items() if n})
    assert done.sending == spring.sending
    assert done.adds_up
