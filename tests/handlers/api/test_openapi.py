"""The documents are true: made from what validates, kept in step, and held against the running API by schemathesis."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from campaigns.clients import Kind
from handlers.api import app as api
from handlers.api import openapi, problems, reference
from tests.handlers.api.conftest import ANA, Caller, key_of, listening, served

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = 400 if os.environ.get("CARILLON_TORTURE") else 6  # a kind of each operation


def test_the_committed_documents_are_what_the_models_say() -> None:
    page = (DOCS / "api.md").read_text("utf-8")

    assert (DOCS / "openapi.json").read_text("utf-8") == openapi.text(api.OPERATIONS), "python -m handlers.api.reference"
    assert page == reference.renewed(page), "python -m handlers.api.reference"


def test_every_link_inside_the_page_leads_somewhere() -> None:
    page = (DOCS / "api.md").read_text("utf-8")
    heads = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", page, re.M)}

    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= heads


def test_every_problem_that_an_operation_may_meet_is_known() -> None:
    named = {name for each in api.OPERATIONS for name in each.problems}

    assert named <= set(problems.KINDS)


@pytest.mark.engine("sqlite")
async def test_the_example_of_the_page_is_accepted_and_answers_fit_the_schema(shop: Caller) -> None:
    document = openapi.document(api.OPERATIONS)
    body = {"to": ANA, "text": "Your order 7 is ready.", "reference": "order 7"}

    answer = await shop.post("/v1/messages", body, Idempotency_Key="order-7-ready")

    schema = {"$ref": "#/components/schemas/MessageAccepted", "components": document["components"]}
    jsonschema.validate(answer.body, schema)


class House(threading.Thread):
    """The API, served in a thread beside the tests."""

    def __init__(self, config_file: Path) -> None:
        super().__init__(daemon=True)
        self._file = config_file
        self.ready = threading.Event()
        self.url = self.key = ""
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with served(self._file) as app, listening(app) as self.url:
            self.key = await key_of(app, "shop", Kind.TEST)
            async with aiohttp.ClientSession() as session:
                caller = Caller(session, self.url, self.key)
                await caller.post("/v1/messages", {"to": "+15005550006", "text": "hi"})
                await caller("PATCH", "/v1/subscribers/%2B12065550142", {"first_name": "Ana"})
            self.ready.set()
            await self._over.wait()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join()


@pytest.fixture
def house(config_file: Path) -> Iterator[House]:
    made = House(config_file)
    made.start()
    assert made.ready.wait(20)
    yield made
    made.end()
