"""All manners of programs find the same port, it is opened only for those who have programs, and processes share it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import run
from campaigns import launching
from campaigns.settings import Config
from gateway.errors import CarillonError, PortTaken, StoreError
from gateway.values import HostPort
from handlers.console import operations
from handlers.console.doors import Programs, doors
from tests.handlers.api.binding import bindable
from tests.handlers.api.conftest import ANA, Caller, key_of, listening, served
from tests.ports import free_ports


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


def heard_at(port: int) -> bool:
    """Whether anybody is let in there."""
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex(("127.0.0.1", port)) == 0


async def fail_in(programs: Programs, config: Config, *silent: int) -> None:
    """Fail to apply a file; meanwhile nobody is heard at these ports."""
    async with programs.opening(config):
        assert not any(heard_at(port) for port in silent)
        raise StoreError("the disk is full")


@pytest.mark.engine("sqlite")
async def test_nobody_is_heard_before_a_file_is_applied_nor_after_that_has_failed(config_file: Path) -> None:
    path, (api_port, smpp_port) = bindable(config_file), free_ports(2)
    text = path.read_text("utf-8")
    path.write_text(text.replace("smpp: 127.0.0.1:0", f"smpp: 127.0.0.1:{smpp_port}"), "utf-8")
    async with served(path) as app:
        programs, config = Programs(app, HostPort("127.0.0.1", api_port)), app.business.config
        for _ in range(2):
            with pytest.raises(StoreError):
                await fail_in(programs, config, api_port, smpp_port)
            assert programs.address == ""
            assert not heard_at(api_port)
            assert not heard_at(smpp_port)

        async with programs.opening(config):
            pass
        assert heard_at(api_port)
        assert heard_at(smpp_port)
        with pytest.raises(StoreError):  # what was open before stays so
            await fail_in(programs, config)
        assert heard_at(api_port)
        assert heard_at(smpp_port)
        await programs.close()


@pytest.mark.engine("sqlite")
async def test_an_apply_that_fails_late_leaves_no_port_open(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without, _, _ = config_file.read_text("utf-8").partition("\nclients:")  # noqa: ASYNC240  a test may wait
    path, (api_port, smpp_port) = bindable(config_file), free_ports(2)
    text = re.sub(r"api: 127\.0\.0\.1:\d+, smpp: 127\.0\.0\.1:0",
                  f"api: 127.0.0.1:{api_port}, smpp: 127.0.0.1:{smpp_port}", path.read_text("utf-8"))  # fmt: skip
    (listen,) = re.findall("^listen:.*$", text, flags=re.MULTILINE)
    path.write_text(re.sub("^listen:.*$", listen, without, flags=re.MULTILINE), "utf-8")

    async def fails(*_: object) -> None:
        raise StoreError("the disk is full")

    async with served(path) as app, doors(app):
        path.write_text(text, "utf-8")
        with monkeypatch.context() as patched:
            patched.setattr(launching, "keep", fails)
            with pytest.raises(StoreError):
                await operations.apply(app, _hush, config=str(path), accept=True)
        assert not heard_at(api_port)
        assert not heard_at(smpp_port)
        await operations.apply(app, _hush, config=str(path), accept=True)
        assert heard_at(api_port)
        assert heard_at(smpp_port)


@pytest.mark.engine("sqlite")
async def test_a_port_that_another_listens_at_first_is_opened_by_the_next_apply(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (smpp_port,) = bindable(config_file), free_ports(1)
    text = path.read_text("utf-8").replace("smpp: 127.0.0.1:0", f"smpp: 127.0.0.1:{smpp_port}")
    without = text.partition("\nclients:")[0]
    path.write_text(without, "utf-8")
    keep, rivals = launching.keep, []

    async def keeps(*work: Any) -> launching.Outcome:
        rivals.append(socket.create_server(("127.0.0.1", smpp_port)))
        return await keep(*work)

    async with served(path) as app, doors(app):
        path.write_text(text, "utf-8")
        with monkeypatch.context() as patched:
            patched.setattr(launching, "keep", keeps)
            with pytest.raises(CarillonError, match=r"taken by another program.*is applied as version \d"):
                await operations.apply(app, _hush, config=str(path), accept=True)
        assert app.business.clients
        rivals[0].close()
        await operations.apply(app, _hush, config=str(path), accept=True)
        assert heard_at(smpp_port)


async def _hush(_progress: Mapping[str, Any]) -> None:
    """Nobody listens."""


@pytest.mark.engine("postgresql")
async def test_who_follows_opens_nothing_while_one_port_is_taken_and_all_once_it_is_free(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "FOLLOW_S", 0.05)
    path, (api_port,) = bindable(config_file), free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = path.read_text("utf-8")
        path.write_text(text.replace("smpp: 127.0.0.1:0", f"smpp: 127.0.0.1:{port}"), "utf-8")
        async with served(path, "web", "plan", "dispatch") as app:
            programs = Programs(app, HostPort("127.0.0.1", api_port))
            app.opening = programs.opening
            for _ in range(20):
                await asyncio.sleep(0.02)
                assert not heard_at(api_port)
            taken.close()
            async with asyncio.timeout(5):
                while not (heard_at(api_port) and heard_at(port)):  # noqa: ASYNC110  it rings no bell
                    await asyncio.sleep(0.05)
            app.opening = None
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
