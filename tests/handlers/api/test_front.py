"""The first page of the API: for the makers of programs, on any screen, without a script."""

from __future__ import annotations

import shutil

import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestClient, TestServer
from playwright.async_api import async_playwright

from handlers.api import app as api
from handlers.api import front
from handlers.api.problems import KINDS

CHROMIUM = shutil.which("chromium")


async def served() -> TestClient[http.Request, http.Application]:
    application = http.Application()
    application.add_routes(front.routes(api.OPERATIONS))
    client = TestClient(TestServer(application))
    await client.start_server()
    return client


async def test_it_names_every_operation_and_every_problem_and_the_address_that_was_called() -> None:
    client = await served()
    try:
        answer = await client.get("/", headers={"Host": "sms.example:8082"})
        page = await answer.text()
        assert all(operation.path in page for operation in api.OPERATIONS)
        assert all(f'href="/problems/{name}"' in page for name in KINDS)
        assert "curl http://sms.example:8082/v1/messages" in page
    finally:
        await client.close()


async def test_a_host_that_is_no_name_is_not_shown() -> None:
    client = await served()
    try:
        page = await (await client.get("/", headers={"Host": "a<script>"})).text()
        assert "<script" not in page
        assert "curl http://localhost/v1/messages" in page
    finally:
        await client.close()


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_each_problem_has_a_page_with_its_cure(name: str) -> None:
    client = await served()
    try:
        answer = await client.get(f"/problems/{name}")
        assert answer.status == 200
        assert f"<code>{name}</code>" in await answer.text()
    finally:
        await client.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
async def test_it_fits_a_narrow_phone() -> None:
    client = await served()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 360, "height": 780}, java_script_enabled=True)
        await page.goto(str(client.make_url("/")))
        assert await page.evaluate("document.scrollingElement.scrollWidth") <= 360
        await browser.close()
    await client.close()
