"""Programs are known by what they show, at every door, and let go of when their keys end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from campaigns import clients
from campaigns.clients import Kind
from gateway import intake
from handlers.app import App
from tests.handlers.api.conftest import ANA, Caller, key_of

ACCOUNT, TOKEN = "AC" + "1" * 32, "a-token-of-twilio"


@pytest.fixture
def config_file(config_file: Path) -> Path:
    """The shop may bind, and speaks as to Twilio."""
    text = config_file.read_text("utf-8")
    token = config_file.with_name("token")
    token.write_text(TOKEN)
    token.chmod(0o600)
    more = f"shop: {{smpp: {{}}, twilio: {{account: {ACCOUNT}, token_file: token}}, "
    config_file.write_text(text.replace("shop: {", more), "utf-8")
    return config_file


async def test_an_smpp_password_is_known_and_remembered(app: App) -> None:
    password = await key_of(app, "shop", Kind.SMPP)

    login = await app.keys.login_smpp("shop", password)
    began = time.process_time()
    again = await app.keys.login_smpp("shop", password)
    took = time.process_time() - began

    assert login is not None
    assert login == again
    assert login.client.name == "shop"
    assert took < 0.02
    assert await app.keys.login_smpp("other", password) is None
    assert await app.keys.login_smpp("nobody", password) is None
    assert await app.keys.login(password) is None


async def test_who_guesses_passwords_is_slowed_down_and_the_right_one_goes_on(app: App) -> None:
    password = await key_of(app, "shop", Kind.SMPP)
    assert await app.keys.login_smpp("shop", password)
    for guess in range(12):
        assert await app.keys.login_smpp("shop", f"no{guess}") is None

    began = time.process_time()
    assert await app.keys.login_smpp("shop", "another") is None
    assert time.process_time() - began < 0.02
    assert await app.keys.login_smpp("shop", password)


async def test_an_account_of_twilio_takes_its_token_or_a_key_of_the_same_client(app: App) -> None:
    mine, other = await key_of(app, "shop", Kind.TEST), await key_of(app, "other")

    by_token = await app.keys.login_twilio(ACCOUNT, TOKEN)
    by_key = await app.keys.login_twilio(ACCOUNT, mine)

    assert by_token is not None
    assert by_key is not None
    assert (by_token.client.name, by_token.is_test) == ("shop", False)
    assert (by_key.client.name, by_key.is_test) == ("shop", True)
    for shown in (other, "", "a-token", "\udcff"):
        assert await app.keys.login_twilio(ACCOUNT, shown) is None
    assert await app.keys.login_twilio("AC" + "2" * 32, TOKEN) is None


async def test_kannel_s_user_is_the_client_and_its_password_a_key(app: App) -> None:
    key = await key_of(app, "shop")

    assert await app.keys.login_kannel("shop", key)
    assert await app.keys.login_kannel("other", key) is None
    assert await app.keys.login_kannel("shop", "wrong") is None


async def test_a_key_is_ended_for_who_has_stayed_too(app: App) -> None:
    key = clients.key_id(await key_of(app, "shop"))
    await app.keys.login("ck_live_nothing")
    assert not await app.keys.is_ended(key)

    await app.store.write(clients.end_key, app.business, key, app.clock.now_ms())
    await asyncio.sleep(0.6)

    assert await app.keys.is_ended(key)


@pytest.mark.engine("sqlite")
async def test_a_batch_beyond_the_rate_goes_through_and_those_after_it_wait_the_longer(app: App) -> None:
    login = await app.keys.login(await key_of(app, "slow"))
    assert login is not None

    first = await app.keys.limited(login, 50)
    second = await app.keys.limited(login, 1)

    assert first.wait_s == 0
    assert 8 < second.wait_s < 10
    assert int(second.headers["Retry-After"]) in (9, 10)


@pytest.mark.engine("sqlite")
async def test_when_too_much_waits_more_is_refused_before_memory_grows(
    shop: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MOST", 1)

    answers = await asyncio.gather(*(shop.post("/v1/messages", {"to": ANA, "text": str(n)}) for n in range(30)))

    refused = [each for each in answers if each.status != 201]
    assert refused
    assert len(refused) < 30
    for each in refused:
        assert each.problem == "busy"
        assert each.headers["Retry-After"] == "1"
