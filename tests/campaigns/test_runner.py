"""The runner moves every run that can move, keeps each to its own version, and lets no bad run hold up a good one."""

from __future__ import annotations

import asyncio

import pytest

from campaigns import runs
from campaigns.business import Business
from campaigns.settings import Config, Send
from gateway.messages import State
from gateway.store import Store, Tx
from tests.campaigns.conftest import Office, OfficeOf, campaign_like, config_with
from tests.conftest import BRAND, Apply


@pytest.fixture
async def two(office_of: OfficeOf, shipped_config: Config) -> Office:
    return await office_of(campaign_like(shipped_config, "first"), campaign_like(shipped_config, "second"))


async def pin(office: Office, key: str, version: int) -> None:
    """The run was launched with another version of the config."""

    async def change(tx: Tx) -> None:
        await tx.run("run_rename", brand=BRAND, was=key, name=key, config=version)

    await office.store.write(change)


async def texts(office: Office, people: list[int]) -> set[str]:
    return {row[5] for person in people for row in await office.rows("messages_to_person", person=person)}


async def test_a_run_that_cannot_be_moved_holds_up_no_other(two: Office, caplog: pytest.LogCaptureFixture) -> None:
    await two.people(3)
    await two.launch("first")
    await two.launch("second")
    await pin(two, "first", 99)  # a version that cannot be read any more: its secret is gone, say
    await two.runner.step()

    assert (await two.run("first")).state == "waiting"
    assert (await two.run("second")).state == "sending"
    assert "first could not be moved along" in caplog.text


async def test_a_stopped_run_is_drained_though_its_version_cannot_be_read(two: Office) -> None:
    await two.people(3)
    run = await two.launch("first")
    await two.runner.step()
    await pin(two, "first", 99)
    await two.store.write(runs.stop, BRAND, run, "enough")
    await two.new_runner().step()
    await two.new_runner().step()

    assert (await two.run("first")).state == "stopped"
    assert (await two.sums("first")).in_state(State.STOPPED) == 3


async def test_a_run_waits_for_its_time(office_of: OfficeOf, shipped_config: Config) -> None:
    send = Send.model_validate({"at": "2026-12-01 18:40"})  # ten minutes from now on the brand's clock
    office = await office_of(campaign_like(shipped_config, "later", send=send))
    await office.people(3)
    await office.launch("later")
    office.clock.advance(seconds=599)
    await office.runner.step()
    assert (await office.run("later")).state == "waiting"
    office.clock.advance(seconds=1)
    await office.runner.step()

    assert (await office.run("later")).state == "sending"


async def test_a_run_keeps_the_words_that_it_was_launched_with(two: Office, apply: Apply) -> None:
    people = await two.people(3)
    await two.launch("first")
    newer = two.business.config.campaigns["first"].model_copy(
        update={"text": type(two.business.config.campaigns["first"].text).parse("Other words")}
    )
    two.older[two.business.version] = two.business
    two.business = newer_version(await apply(config_with(two.business.config, newer)))
    await two.runner.step()

    assert await texts(two, people) == {"Lantern Coffee: hello. Reply STOP to end"}


def newer_version(business: Business) -> Business:
    object.__setattr__(business, "version", business.version + 1)
    return business


async def test_when_everything_has_left_a_run_is_done_and_its_queues_are_gone(two: Office) -> None:
    await two.people(3)
    run = await two.launch("first")
    await two.runner.step()
    claimed = await two.claim("first")
    await two.runner.step()
    assert (await two.run("first")).state == "sending"  # three are in the air
    await two.answer(claimed)
    await two.runner.step()

    assert (await two.run("first")).state == "done"
    assert (await two.run("first")).ended_at == two.clock.now_ms()
    assert not await two.rows("run_queues", brand=BRAND, run=run.id)


async def test_dispatchers_own_a_runs_queues_before_its_first_page_and_hear_of_each_page(
    two: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PAGE", 2)
    await two.people(5)
    await two.launch("first")
    adopted: list[int] = []
    two.on_page = lambda: adopted.append(two.adopted)
    await two.runner.step()

    assert adopted == [1, 1, 1]


async def test_the_loop_works_on_after_a_failure_and_at_once_when_stirred(
    two: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("campaigns.runner.TICK_S", 30)
    await two.people(3)
    runner, read, fail = two.runner, Store.read, [True]

    async def fails_once(self: Store, *args: object) -> object:
        if fail and fail.pop():
            raise OSError("the disk is gone for a moment")
        return await read(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "read", fails_once)
    task = asyncio.create_task(runner.run())
    try:
        await asyncio.sleep(0.05)
        await two.launch("first")
        runner.stir()
        for _ in range(200):
            await asyncio.sleep(0.01)
            if (await two.run("first")).state == "sending":
                return
        raise AssertionError("it was not planned")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert "runs could not be moved along" in caplog.text
