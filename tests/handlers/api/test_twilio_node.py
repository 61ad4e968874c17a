"""Programs made for Twilio in JavaScript: the npm package `twilio` against our door.

It is looked for in `node_modules` of the checkout, or of the folder that CARILLON_NODE names.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.api.programs import ACCOUNT, DESK, MAYA, TOKEN, Came, staged

CHECKOUT = Path(__file__).parents[3]
PROGRAM = CHECKOUT / "tests" / "peers" / "twilio_client.js"
PACKAGES = Path(os.environ.get("CARILLON_NODE", CHECKOUT)) / "node_modules"
TEXTS = 7

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (PACKAGES / "twilio").is_dir(),
    reason="needs node and: npm install --no-save twilio@6.2.0 (or a folder with it in CARILLON_NODE)",
)


async def node(options: dict[str, object]) -> Any:
    """What the program saw."""
    process = await asyncio.create_subprocess_exec(
        "node", str(PROGRAM), json.dumps(options), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(PACKAGES)},
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


def signed(came: Came) -> dict[str, object]:
    return {"url": came.url, "form": came.form, "signature": came.headers["X-Twilio-Signature"]}


@needs_node
async def test_the_npm_package_works_unchanged_but_for_its_address(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        callback = f"{stage.box.url}/status?order=7&name=caf%C3%A9"
        seen = await node(
            {"api": stage.api, "account": ACCOUNT, "user": ACCOUNT, "token": TOKEN, "to": MAYA, "from": DESK,
             "texts": TEXTS, "callback": callback}
        )  # fmt: skip
        assert seen["created"]["status"] == "queued"
        assert (seen["created"]["direction"], seen["created"]["segments"]) == ("outbound-api", "1")
        assert seen["fetched"] == "text 0 ☕"
        assert seen["listed"][-TEXTS:] == seen["made"][::-1]
        assert (seen["today"], seen["later"]) == (2, 0)
        assert (seen["planned"], seen["canceled"]) == ("scheduled", "canceled")
        assert (seen["badNumber"]["status"], seen["badNumber"]["code"]) == (400, 21211)
        assert (seen["noSuch"]["status"], seen["noSuch"]["code"]) == (404, 20404)
        assert (seen["deleted"]["status"], seen["deleted"]["code"]) == (405, 20004)
        assert (seen["wrongToken"]["status"], seen["wrongToken"]["code"]) == (401, 20003)
        assert (seen["account"], seen["media"]) == ("active", 0)
        await stage.box.until(lambda: len(stage.box.came) >= 2 * TEXTS)
        told = [signed(came) for came in stage.box.came]
        forged = [
            {**each, "form": {**came.form, "MessageStatus": "failed"}}
            for each, came in zip(told, stage.box.came, strict=True)
        ]
        assert await node({"validate": told, "token": TOKEN}) == [True] * len(told)
        assert await node({"validate": forged, "token": TOKEN}) == [False] * len(told)
        assert await node({"validate": told, "token": "another"}) == [False] * len(told)
