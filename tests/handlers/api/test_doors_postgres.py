"""The doors in others' manners on PostgreSQL: what they write and read is the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.handlers.api.programs import ACCOUNT, DESK, MAYA, TOKEN, Stage, staged

BASE = f"/2010-04-01/Accounts/{ACCOUNT}"
LOGIN = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}


async def texts(session: aiohttp.ClientSession, stage: Stage, query: str = "") -> list[str]:
    """The words of the texts that a list holds."""
    async with session.get(f"{stage.api}{BASE}/Messages.json{query}", headers=LOGIN) as response:
        return [each["body"] for each in (await response.json())["messages"]]


@pytest.mark.engine("postgresql")
async def test_texts_are_sent_listed_cancelled_blanked_and_joined(store_place: str, tmp_path: Path) -> None:
    async with staged(tmp_path, str(store_place)) as stage, aiohttp.ClientSession() as session:
        assert stage.app.simulator is not None
        form = {"To": MAYA, "From": DESK, "Body": "one", "StatusCallback": f"{stage.box.url}/status"}
        async with session.post(f"{stage.api}{BASE}/Messages.json", data=form, headers=LOGIN) as response:
            assert response.status == 201
            uri = (await response.json())["uri"]
        await stage.box.until(lambda: [c for c in stage.box.came if c.form.get("MessageStatus") == "delivered"])
        assert await texts(session, stage, f"?To=%2B{MAYA[1:]}&From=%2B{DESK[1:]}") == ["one"]
        async with session.post(f"{stage.api}{uri}", data={"Body": ""}, headers=LOGIN) as response:
            assert response.status == 200
        assert await texts(session, stage) == [""]
        await stage.app.simulator.text(MAYA, DESK, "and back")
        async with asyncio.timeout(10):
            while await texts(session, stage, f"?From=%2B{MAYA[1:]}") != ["and back"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        key = await stage.key()
        for number, words in ((2, "end"), (1, "Beginning and ")):
            query = {"username": "shop", "password": key, "to": MAYA, "from": DESK, "text": words,
                     "udh": f"0500030702{number:02}"}  # fmt: skip
            async with session.get(f"{stage.api}/cgi-bin/sendsms", params=query) as response:
                assert (response.status, await response.text()) == (202, "0: Accepted for delivery")
        handset = stage.app.simulator.handset(MAYA)
        await stage.box.until(lambda: [each for each in handset.messages if each.text == "Beginning and end"])
