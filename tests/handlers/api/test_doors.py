"""All manners of programs find the same port, it is opened only for those who have programs, and processes share it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.errors import PortTaken
from gateway.values import HostPort
from handlers.console.doors import Programs, doors
from tests.handlers.api.binding import bindable
from tests.handlers.api.conftest import ANA, Caller, key_of, listening, served


@pytest.mark.engine("sqlite")
async def test_every_manner_is_answered_at_one_port(config_file: Path) -> None:
    async with served(config_file) as app, doors(app) as open_doors, aiohttp.ClientSession() as session:
        caller = Caller(session, open_doors.api, await key_of(app, "shop"))

        assert (await caller.get("/v1/me")).status == 200
        assert (await caller.get(f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json")).status == 401
        assert (await caller.get("/cgi-bin/sendsms")).status == 403
        assert (await caller.get("/metrics")).problem == "not-found"


@pytest.fixture
def file_without_programs(config_file: Path) -> Path:
    """The shipped business as it would be without programs."""
    config_file.write_text(config_file.read_text("utf-8").partition("\nclients:")[0], "utf-8")
    return config_file


@pytest.mark.engine("sqlite")
async def test_without_programs_no_port_is_opened(file_without_programs: Path) -> None:
    async with served(file_without_programs) as app, doors(app) as open_doors:
        assert open_doors.api == ""


@pytest.mark.engine("sqlite")
async def test_only_the_role_web_opens_it(config_file: Path) -> None:
    async with served(config_file) as app, doors(app, ("dispatch",)) as open_doors:
        assert open_doors.api == ""


@pytest.mark.engine("sqlite")
async def test_of_two_doors_one_is_not_left_open_when_the_port_of_the_other_is_taken(config_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = bindable(config_file)
        text = path.read_text("utf-8")
        path.write_text(text.replace("smpp: 127.0.0.1:0", f"smpp: 127.0.0.1:{taken.getsockname()[1]}"), "utf-8")
        async with served(path) as app:
            programs = Programs(app, HostPort("127.0.0.1", 0))
            with pytest.raises(PortTaken):
                await programs.open(app.business.config)
            assert programs.address == ""

            taken.close()
            await programs.open(app.business.config)
            assert programs.address
            await programs.close()


@pytest.mark.engine("postgresql")
async def test_the_same_key_in_two_processes_at_once_has_one_effect(config_file: Path, example: dict[str, Any]) -> None:
    async with (
        served(config_file, "web", "plan", "dispatch") as one,
        served(config_file, "web") as two,
        listening(one) as here,
        listening(two) as there,
        aiohttp.ClientSession() as session,
    ):
        key = await key_of(one, "shop")
        callers = [Caller(session, url, key) for url in (here, there)] * 4
        for n in range(10):
            answers = await asyncio.gather(
                *(each.post("/v1/messages", example, Idempotency_Key=f"k{n}") for each in callers)
            )

            assert {each.status for each in answers} == {201}
            assert len({each.raw for each in answers}) == 1
            assert sum("Idempotent-Replayed" not in each.headers for each in answers) == 1
        found = (await callers[1].get("/v1/messages?to=%2B12065550142")).body["data"]

    assert len(found) == 10
    assert {each["to"] for each in found} == {ANA}
