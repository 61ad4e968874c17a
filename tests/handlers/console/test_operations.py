"""What a marketer asks for, against the real store and the shipped config."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from campaigns import consent, contests, coupons, people
from campaigns.settings import Config
from gateway.errors import CarillonError, PortTaken
from gateway.store import Tx
from handlers.app import App
from handlers.console import operations
from tests.handlers.console.conftest import LIVE, Edit, hush, opened

MAYA = "+12065550142"


async def plan(app: App, path: str) -> dict[str, Any]:
    return await operations.plan(app, hush, config=path)


async def apply(app: App, path: str, **wants: Any) -> dict[str, Any]:
    return await operations.apply(app, hush, config=path, **wants)


# --- plan and apply


async def test_nothing_runs_before_the_first_apply(app: App) -> None:
    assert (await operations.show_status(app, hush))["version"] is None
    with pytest.raises(CarillonError, match="nothing has been applied yet"):
        await operations.explain(app, hush, number=MAYA)


async def test_a_mistake_is_told_with_its_place_and_nothing_changes(peopled: App, edit: Edit) -> None:
    path = edit("segment: spring_crowd", "segment: spring_crwd")
    with pytest.raises(CarillonError) as caught:
        await plan(peopled, path)
    assert str(caught.value).startswith("config.yaml:")
    assert 'no segment "spring_crwd"; did you mean spring_crowd (line ' in str(caught.value)
    assert str(caught.value).endswith("Nothing changed.")


async def test_apply_launches_what_plan_showed(peopled: App, edit: Edit) -> None:
    shown = (await plan(peopled, edit()))["new"][0]
    done = await apply(peopled, edit())
    assert done["launched"] == ["spring"]
    assert done["plan"]["new"][0] == shown
    assert done["is_served"] is False


async def test_what_is_kept_is_launched_also_where_a_door_cannot_be_opened_any_more(peopled: App, edit: Edit) -> None:
    @asynccontextmanager
    async def opening(_config: Config) -> AsyncIterator[None]:
        yield
        raise PortTaken("port 8080 is taken")

    peopled.opening = opening
    with pytest.raises(CarillonError, match=r"8080 is taken\. The file is applied as version 1; to open its doors"):
        await apply(peopled, edit())

    assert (await operations.run_named(peopled, "spring")).state == "waiting"


async def test_apply_refuses_what_grew_and_names_the_way_on(peopled: App, edit: Edit) -> None:
    path = edit()

    async def leave(tx: Tx) -> None:
        for row in await tx.rows("person_export", brand=1, after=0, limit=500):
            await consent.leave(tx, peopled.business, row[0], at=0, source="text")

    async def return_(tx: Tx) -> None:
        for row in await tx.rows("person_export", brand=1, after=0, limit=500):
            await consent.come_back(tx, peopled.business, row[0], language="en", at=1, source="text")

    await peopled.store.write(leave)
    await plan(peopled, path)
    await peopled.store.write(return_)
    with pytest.raises(CarillonError, match=r"people grew since plan \w+ \(\+\d+%\)(.|\n)*run.py apply --accept"):
        await apply(peopled, path)
    assert (await apply(peopled, path, accept=True))["launched"] == ["spring"]


async def test_apply_by_the_id_of_a_plan_wants_the_same_file(peopled: App, edit: Edit) -> None:
    shown = await plan(peopled, edit())
    path = edit("budget: 40 USD", "budget: 41 USD")
    with pytest.raises(CarillonError, match=f"the file has changed since plan {shown['id']}"):
        await apply(peopled, path, plan=shown["id"])
    with pytest.raises(CarillonError, match="no plan nope"):
        await apply(peopled, path, plan="nope")


async def test_a_past_date_is_a_mistake_until_it_was_sent_in_time(peopled: App, edit: Edit) -> None:
    path = edit("at: apply, rate", "at: 2001-01-01 10:00, rate")
    with pytest.raises(CarillonError, match="2001-01-01 10:00 is past"):
        await plan(peopled, path)


# --- live


@pytest.fixture
def live_file(config_file: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit) -> str:
    """The shipped file with real carriers, a password, the machine's clock and PINs of one's own."""
    secret = config_file.parent / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    for name, value in {**LIVE, "US_PASSWORD_FILE": "secret", "CN_PASSWORD_FILE": "secret"}.items():
        monkeypatch.setenv(name, value)
    edit("clock: 18:30, ", "")
    edit("till_pin: 2468", "till_pin: 8642")
    edit("hours: 9:00-20:00", "hours: 0:00-24:00")
    edit("${SITE:-http://localhost:8080}", "https://lantern.example")
    return edit("till_pin: 1357", "till_pin: 7531")


async def test_a_live_campaign_goes_to_testers_first_and_waits_for_go(live_file: str, config_file: Path) -> None:
    async with opened(config_file, os.environ) as app:
        with pytest.raises(CarillonError, match="no tester has seen spring yet"):
            await apply(app, live_file, go=True)
        first = await apply(app, live_file)
        assert (first["waiting"], first["launched"], first["to_testers"]) == (["spring"], [], {"spring": 1})
        again = await apply(app, live_file)
        assert (again["waiting"], again["to_testers"]) == (["spring"], {})
        gone = await apply(app, live_file, go=True)
        assert (gone["waiting"], gone["launched"], gone["to_testers"]) == ([], ["spring"], {})


async def test_a_script_launches_live_at_once(live_file: str, config_file: Path) -> None:
    async with opened(config_file, os.environ) as app:
        assert (await apply(app, live_file, yes=True))["launched"] == ["spring"]
        assert operations.hello(app)["mode"] == "LIVE"


async def test_without_testers_a_live_launch_wants_a_yes(live_file: str, config_file: Path, edit: Edit) -> None:
    edit("testers: [+1 206 555 0142]", "testers: []")
    async with opened(config_file, os.environ) as app:
        with pytest.raises(CarillonError, match=r"name some under brand\.testers"):
            await apply(app, live_file)


async def test_links_that_no_phone_can_open_never_go_live(live_file: str, config_file: Path, edit: Edit) -> None:
    edit("https://lantern.example", "http://localhost:8080")
    async with opened(config_file, os.environ) as app:
        with pytest.raises(CarillonError, match=r"config.yaml:9:9: http://localhost:8080 is this machine alone"):
            await apply(app, live_file, yes=True)


async def test_the_shipped_pins_never_go_live(live_file: str, edit: Edit, app: App) -> None:
    path = edit("till_pin: 8642", "till_pin: 2468")
    with pytest.raises(CarillonError, match="the PIN 2468 came with Carillon"):
        await plan(app, path)


# --- runs


async def test_a_wrong_name_is_answered_with_the_nearest(peopled: App, edit: Edit) -> None:
    with pytest.raises(CarillonError, match='no campaign "sprng"; there are none yet'):
        await operations.pause(peopled, hush, campaign="sprng")
    await apply(peopled, edit())
    with pytest.raises(CarillonError, match=r'no campaign "sprng"; did you mean spring\?'):
        await operations.pause(peopled, hush, campaign="sprng")
    with pytest.raises(CarillonError, match=r'no campaign "x"; there is spring$'):
        await operations.pause(peopled, hush, campaign="x")


async def test_pause_resume_and_stop_change_the_run_once(peopled: App, edit: Edit) -> None:
    await apply(peopled, edit())
    held = await operations.pause(peopled, hush, campaign="spring", why="typo")
    assert (held["state"], held["why"], held["changed"]) == ("paused", "typo", True)
    assert (await operations.pause(peopled, hush, campaign="spring"))["changed"] is False
    assert (await operations.resume(peopled, hush, campaign="spring"))["state"] == "waiting"
    assert (await operations.stop(peopled, hush, campaign="spring"))["state"] == "stopping"
    with pytest.raises(CarillonError, match="spring is stopping, so it cannot resume"):
        await operations.resume(peopled, hush, campaign="spring")


# --- people


async def test_an_import_before_the_first_apply_opens_no_contest(peopled: App) -> None:
    assert not peopled.business.windows
    assert await operations.count_people(peopled) == 992


async def test_a_broken_off_import_goes_on_and_counts_nobody_twice(app: App, edit: Edit) -> None:
    path = edit()
    known = await operations.import_begin(app, hush, config=path, digest="abc", program=None)
    batch = {
        "config": path, "digest": known["digest"], "name": "x.csv", "program": "lantern_club", "merged": 0,
        "rejected": 1, "rows": [a_row("+12065550199")],
    }  # fmt: skip
    counts = await operations.import_batch(app, hush, was=0, line=2, **batch)
    assert (counts["new"], counts["rejected"], counts["joined"]) == (1, 1, 1)
    with pytest.raises(CarillonError, match="another import of this file"):
        await operations.import_batch(app, hush, was=0, line=2, **batch)
    again = await operations.import_begin(app, hush, config=path, digest="abc", program=None)
    assert (again["line"], again["counts"]) == (2, counts)


def a_row(number: str) -> dict[str, Any]:
    return {"line": 2, "e164": number, "country": "US", "zone": "America/Los_Angeles",
            "zones": ["America/Los_Angeles"], "region": "WA", "tags": ["vip"], "consent": True}  # fmt: skip


async def test_an_import_to_an_unknown_programme_names_the_nearest(app: App, edit: Edit) -> None:
    with pytest.raises(CarillonError, match=r'no program "latern_club"; did you mean lantern_club\?'):
        await operations.import_begin(app, hush, config=edit(), digest="x", program="latern_club")


async def test_an_export_gives_every_person_once(peopled: App) -> None:
    seen: list[str] = []
    page = await operations.export_page(peopled, hush, after=0)
    while page["rows"]:
        seen += [row["phone"] for row in page["rows"]]
        page = await operations.export_page(peopled, hush, after=page["after"])
    assert len(seen) == len(set(seen)) == 992


# --- preview, explain


async def test_explain_tells_a_stranger_from_what_is_no_number(peopled: App, edit: Edit) -> None:
    await apply(peopled, edit())
    with pytest.raises(CarillonError, match=r"nobody with the number \+12065550000 is known"):
        await operations.explain(peopled, hush, number="206 555 0000")
    with pytest.raises(CarillonError, match="banana: not a phone number"):
        await operations.explain(peopled, hush, number="banana")


async def test_a_story_tells_each_thing_once_and_a_test_copy_as_such(peopled: App, edit: Edit) -> None:
    await apply(peopled, edit())
    business, now = peopled.business, peopled.clock.now_ms()

    async def live(tx: Tx) -> str:
        maya = await people.find_by_address(tx, business, MAYA)
        assert maya is not None
        held = coupons.shown((await tx.rows("coupon_of_person", person=maya.id))[0][0])
        for words, outcome in (("LATTE", f"latte {held} shown again"), ("Stop", 'left by text "Stop"')):
            await tx.run(
                "inbound_insert", id=business.ids.next(), brand=1, channel="us_sms", sender=MAYA, recipient="20655",
                text=words, person=maya.id, at=now, intent="", thought=1, outcome=outcome,
            )  # fmt: skip
        await consent.leave(tx, business, maya.id, at=now, source="text", said="Stop")
        return held

    code = await peopled.store.write(live)
    words = [each["words"] for each in (await operations.explain(peopled, hush, number=MAYA))["story"]]
    assert f"latte {code} given" in words
    assert any(each.startswith("test copy from 20655, 1 part: ") for each in words)
    assert [each for each in words if "left" in each] == ['texted "Stop" to 20655: left by text "Stop"']


async def test_a_preview_is_exact_about_parts_and_what_made_them_dear(peopled: App, edit: Edit) -> None:
    shown = await operations.preview(peopled, hush, config=edit(), campaign="spring")
    by = {(each["sender"], each["language"]): each for each in shown["texts"]}
    assert (by["20655", "en"]["parts"], by["20655", "en"]["dear"]) == (1, "")
    assert by["10690555", "zh"]["text"].startswith("【灯笼咖啡】")
    assert by["10690555", "zh"]["text"].endswith("拒收请回复R")
    assert by["10690555", "zh"]["alphabet"] == "UCS-2"


async def test_a_preview_for_one_person_bears_their_name(peopled: App, edit: Edit) -> None:
    shown = await operations.preview(peopled, hush, config=edit(), campaign="spring", number="206 555 0142")
    assert "2 lattes for 1, Maya." in shown["texts"][0]["text"]


async def test_a_story_holds_the_consent_with_its_wording_the_votes_and_the_leaving(peopled: App, edit: Edit) -> None:
    await apply(peopled, edit())
    business, now = peopled.business, peopled.clock.now_ms()

    async def live(tx: Tx) -> None:
        maya = await people.find_by_address(tx, business, MAYA)
        assert maya is not None
        await contests.vote(tx, business, "cup", maya.id, "3", "page", now)
        await consent.leave(tx, business, maya.id, at=now + 1, source="text", said="Stop")

    await peopled.store.write(live)
    told = await operations.explain(peopled, hush, number=MAYA)
    words = [each["words"] for each in told["story"]]
    times = [each["at"] for each in told["story"]]
    assert times == sorted(times)
    assert any(each.startswith('joined lantern_club by import: form (was shown: "Offers by text') for each in words)
    assert "voted 3, The owl in cup by page" in words
    assert 'left everything by text "Stop"' in words
    assert told["now"] == [{"program": "lantern_club", "verdict": "left", "due": 0}]


# --- who texts whom

ROUTES = """
routes:
  locals: {prefix: +1206, senders: [seattle, backup], order: quality}
  spring_only: {campaign: spring, country: US, senders: [seattle]}
  america: {country: [US, CA], senders: [seattle, backup], order: cost}

programs:"""
BACKUP = """
  backup: {number: 20657, channel: cheap, countries: [US, CA]}

programs:"""
CHEAP = "  cheap: {kind: smpp, carrier: simulator, rate: 5/s, price: 0.0070 USD per part}\n\nsenders:"


@pytest.fixture
def routed(edit: Edit) -> str:
    """The shipped file with rules, a pool in Seattle, and one more sender that may stand in for it."""
    edit("\nprograms:", BACKUP)
    edit("\nprograms:", ROUTES)
    edit("\nsenders:", CHEAP)
    return edit(
        "seattle: {number: 20655, channel: us_sms, countries: [US, CA]}",
        "seattle: {numbers: [+12065550100, +12125550100], channel: us_sms, countries: [US, CA], fallback: [backup]}",
    )


def line_of(word: str, path: str) -> int:
    lines = Path(path).read_text("utf-8").splitlines()
    return next(number for number, text in enumerate(lines, 1) if text.strip().startswith(word))


async def route(app: App, path: str, number: str, **wants: str) -> dict[str, Any]:
    return await operations.route(app, hush, config=path, number=number, **wants)


async def test_a_route_tells_the_rule_with_its_line_and_everybody_in_and_out(peopled: App, routed: str) -> None:
    told = await route(peopled, routed, MAYA)
    line = line_of("locals:", routed)
    assert told["rule"] == {
        "name": "locals", "when": "prefix +1206", "order": "quality", "place": f"config.yaml:{line}",
    }  # fmt: skip
    assert [each["sender"] for each in told["candidates"]] == ["seattle", "backup"]
    assert told["out"] == [{"sender": "shanghai", "why": "the rule locals does not name it"}]
    assert told["chosen"] == {"sender": "seattle", "number": "+12065550100", "why": "of their area", "of": 2}
    assert told["fallback"] == [{"channel": "cheap", "number": "20657"}]
    assert told["channels"] == {"us_sms": None, "cheap": None}  # nobody serves


async def test_a_route_tells_what_the_planner_does(peopled: App, routed: str) -> None:
    peopled.quality.failed("us_sms", "US", 500, peopled.clock.now_ms())
    assert (await route(peopled, routed, MAYA))["chosen"]["sender"] == "backup"
    first = (await route(peopled, routed, MAYA))["candidates"][1]
    assert (first["sender"], first["rate"], first["samples"], first["is_known"]) == ("seattle", 0.0, 500, True)


async def test_a_campaigns_own_senders_stand_above_the_rules_that_name_others(peopled: App, routed: str) -> None:
    told = await route(peopled, routed, "+13035550142", campaign="spring")
    assert told["rule"]["name"] == "spring_only"
    assert told["skipped"] == []
    anybody = await route(peopled, routed, "+13035550142")
    assert anybody["skipped"] == ["spring_only"]
    assert (anybody["rule"]["name"], [each["sender"] for each in anybody["candidates"]]) == (
        "america", ["backup", "seattle"],
    )  # fmt: skip
    far = await route(peopled, routed, "+14165550142", campaign="spring")
    assert {each["sender"]: each["why"] for each in far["out"]}["backup"] == "the campaign does not name it"


async def test_where_no_rule_fits_the_campaigns_line_is_told(peopled: App, routed: str) -> None:
    told = await route(peopled, routed, "+8613812345678", campaign="spring")
    assert (told["rule"], told["chosen"]["number"]) == (None, "10690555")
    assert told["named"].startswith("config.yaml:")
    assert (told["line_type"], told["network"]) == ("mobile", "China Mobile")
    assert (await route(peopled, routed, "+8613812345678"))["chosen"] is None


async def test_a_stranger_in_a_pool_is_told_that_nothing_is_settled(peopled: App, routed: str) -> None:
    why = (await route(peopled, routed, "+13035550142", campaign="spring"))["chosen"]["why"]
    assert why == "any of them: settled when we come to know this phone"


async def test_without_rules_whoever_serves_the_country_texts(peopled: App, edit: Edit) -> None:
    told = await route(peopled, edit(), MAYA)
    assert (told["rule"], told["has_routes"], told["chosen"]["number"]) == (None, False, "20655")
    assert told["out"] == [{"sender": "shanghai", "why": "serves CN, not US"}]


@pytest.mark.parametrize(
    ("wants", "told"),
    [
        ({"campaign": "sprng"}, 'no campaign "sprng"; did you mean spring?'),
        ({"lane": "reply"}, 'no lane "reply"; did you mean replies?'),
        ({"lane": "replies", "campaign": "spring"}, "a reply belongs to no campaign"),
        ({"number": "12"}, "12: "),
    ],
)
async def test_a_slip_in_asking_for_a_route_names_the_right_word(
    peopled: App, edit: Edit, wants: dict[str, str], told: str
) -> None:
    with pytest.raises(CarillonError) as caught:
        await route(peopled, edit(), **({"number": MAYA} | wants))
    assert str(caught.value).startswith(told)


async def test_a_plan_and_a_preview_show_what_straightening_changes(peopled: App, edit: Edit) -> None:
    edit("Lantern Coffee: 2 lattes for 1, {{", "Lantern’s 2 lattes for 1: from nine till noon, and a smile… {{")
    shown = await plan(peopled, edit())
    assert any("straighten: yes would save" in each and "’ as '" in each for each in shown["warnings"])

    path = edit("    coupon: latte\n    text:", "    coupon: latte\n    straighten: yes\n    text:")
    shown = (await plan(peopled, path))["new"][0]
    assert shown["straightened"] == "’ as ', … as ..."
    assert shown["parts_saved"] >= shown["sending"] // 2
    english = (await operations.preview(peopled, hush, config=path, campaign="spring"))["texts"][0]
    assert (english["straightened"], english["alphabet"]) == ("’ as ', … as ...", "GSM")
    assert "Lantern's" in english["text"]
