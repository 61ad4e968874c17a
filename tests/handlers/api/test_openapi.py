"""The documents are true: made from what validates, kept in step, and held against the running API by schemathesis."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import jsonschema
import pytest

from campaigns.clients import Kind
from handlers.api import app as api
from handlers.api import openapi, problems, reference
from handlers.app import App
from tests.handlers.api.conftest import ANA, Caller, key_of

DOCS = Path(__file__).parents[3] / "docs"
SETTINGS = Path(__file__).with_name("schemathesis.toml")
IS_LONG = bool(os.environ.get("CARILLON_TORTURE"))
SEED = os.environ.get("CARILLON_SEED", "7")
SECONDS, EXAMPLES = (600, 2_000) if IS_LONG else (25, 10)


def test_the_committed_documents_are_what_the_models_say() -> None:
    page = (DOCS / "api.md").read_text("utf-8")

    assert (DOCS / "openapi.json").read_text("utf-8") == openapi.text(api.OPERATIONS), (
        "python -m handlers.api.reference"
    )
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


@pytest.mark.engine("sqlite")
async def test_schemathesis_finds_nothing(shop: Caller, app: App, tmp_path: Path) -> None:
    """The tests of an OpenAPI document by those who know how APIs break: ten minutes of it under CARILLON_TORTURE."""
    await shop("PATCH", "/v1/subscribers/%2B12065550142", {"first_name": "Ana"})
    command = [
        str(Path(sys.executable).with_name("st")), "--config-file", str(SETTINGS), "run", f"{shop.url}/v1/openapi.json",
        "--url", shop.url, "--header", f"Authorization: Bearer {await key_of(app, 'shop', Kind.TEST)}",
        "--max-time", str(SECONDS), "--max-examples", str(EXAMPLES), "--seed", SEED, "--no-color",
    ]  # fmt: skip
    ran = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await ran.communicate()

    assert ran.returncode == 0, said.decode()
    assert "18 selected / 18 total" in said.decode()
