"""What programs are told, at a glance on the private listener, and a form to tell one again what it has lost."""

from __future__ import annotations

from typing import Any, Final

from campaigns.client_settings import KINDS
from gateway import web
from gateway.clock import from_ms
from gateway.notices import WEBHOOK
from handlers.console import webhooks
from handlers.console.facts import Facts
from handlers.pages.guest import Guest
from handlers.pages.private import frame

HOUR_MS: Final = 3_600_000
SPANS: Final = {1: "page_webhooks_hour", 24: "page_webhooks_24", 72: "page_webhooks_3", 168: "page_webhooks_7"}
AGAIN: Final = "again"
SHOWN_S: Final = 60  # how long a page may be loaded anew and still tell what the form has done


async def show(guest: Guest) -> web.Response:
    """Every program with what waits for it, what it was told and what was given up."""
    app = guest.front.app
    facts = await webhooks.overview(app.store, guest.business, app.clock)
    return guest.page(
        "webhooks.html", here="/webhooks", **frame(guest), token=web.token(guest.request),
        clients=[_client(each) for each in facts["clients"]],
        spans=[(str(hours), guest.say(words)) for hours, words in SPANS.items()],
        kinds=KINDS,
        again=guest.unseal(AGAIN),
    )  # fmt: skip


async def replay(guest: Guest) -> web.Response:
    """Tell a program again what happened in the last hours; then back to the page."""
    app, form = guest.front.app, guest.form
    client, hours, kind = guest.business.clients.get(form.get("client", "")), form.get("span", ""), form.get("kind", "")
    if client is None or hours not in map(str, SPANS) or kind not in ("", *KINDS):
        raise web.Refused(400)
    since = guest.now - int(hours) * HOUR_MS
    done = await webhooks.again(app.store, app.clock, client, since, guest.now, [kind] if kind else [])
    told = guest.seal(AGAIN, {"client": client.name, "n": done["again"]}, SHOWN_S)
    return web.see_other(f"/webhooks?{AGAIN}={told}")


def _client(facts: Facts) -> dict[str, Any]:
    return {
        "name": facts["client"],
        "where": facts["url"],
        "others": [door for door in facts["doors"] if door != WEBHOOK],
        **{name: facts[name] for name in ("waiting", "told", "given_up", "kept", "trouble")},
        "trouble_at": from_ms(facts["trouble_at"]) if facts["trouble_at"] else None,
    }
