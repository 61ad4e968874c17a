"""One browser at our door: for which business, when, in which language, and how it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
from babel import Locale
from babel.core import get_global

from campaigns.business import Business
from gateway import rendering, web
from gateway.clock import from_ms
from gateway.palette import Palette, palette
from gateway.settings import SenderSettings
from gateway.values import LocalText
from handlers.app import App
from handlers.pages.tries import Tries

PHONE = "phone"  # the cookie that remembers whose personal link was opened in this browser
PHONE_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Front:
    """What all public pages share for as long as the process lives.

    The colours stay those of the start: the policy of the site names its styles by their hash.
    """

    app: App
    palette: Palette
    pins: Tries
    codes: Tries


def open_front(app: App) -> Front:
    """The front of the business that has been applied. LookupError before the first apply."""
    return Front(
        app,
        palette(app.business.config.brand.colour),
        pins=Tries(app.shared, "pins", device=5, address=20, pause_s=60),
        codes=Tries(app.shared, "codes", device=10, address=40, pause_s=30),
    )


class Guest(NamedTuple):
    """One request, with the business and the time that hold for all of it."""

    front: Front
    request: web.Request
    business: Business
    now: int

    @property
    def language(self) -> str:
        """The reader's language, one of the brand's."""
        return self.business.language(web.language(self.request))

    @property
    def path(self) -> str:
        """Where the guest is, without a query."""
        return self.request.rel_url.raw_path

    @property
    def form(self) -> Mapping[str, str]:
        """What was posted."""
        return web.form(self.request)

    def say(self, name: str, /, **values: str) -> str:
        """One of our own texts."""
        return self.business.say(name, self.language, **values)

    def read(self, text: LocalText) -> str:
        """A text of the marketer."""
        return text.say(self.language, self.business.config.brand.languages)

    def page(self, template: str, *, status: int = 200, **context: Any) -> web.Response:
        """A page; `context` is what the template asks for beyond the frame."""
        frame = {"site": site_of(self.business, self.front.palette, self.language), "zone": self.business.zone}
        return web.page(
            self.front.app.pages.render(template, self.language, **{"here": "", **frame, **context}), status=status
        )

    def seal(self, purpose: str, value: object, seconds: int) -> str:
        """A value for an address of ours that this browser is sent to: nobody can change it or hand it on."""
        named = f"{purpose}.{web.visit(self.request)}"
        secret = self.request.app[web.SITE].secret
        return web.seal(secret, named, orjson.dumps(value).decode(), self.now + seconds * 1000)

    def unseal(self, purpose: str) -> Any:
        """The value that `seal` put into the query under its purpose, or None."""
        named = f"{purpose}.{web.visit(self.request)}"
        sealed = self.request.query.get(purpose, "")
        value = web.unseal(self.request.app[web.SITE].secret, named, sealed, self.now)
        return None if value is None else orjson.loads(value)

    def remember_phone(self, person: int) -> None:
        """From now on this browser is the phone of the person whose link it opened."""
        web.remember(self.request, PHONE, str(person), seconds=PHONE_S, now_ms=self.now)

    def phone(self) -> int | None:
        """The person whose personal link was opened in this browser before, if any."""
        kept = web.recall(self.request, PHONE, now_ms=self.now)
        return int(kept) if kept else None

    def remember_coupon(self, coupon: str, code: str) -> None:
        """This browser has held this code, so that a lost link is found again on the coupon's page."""
        web.remember(self.request, f"coupon-{coupon}", code, seconds=PHONE_S, now_ms=self.now)

    def coupon(self, coupon: str) -> str | None:
        """The code of this coupon that was shown in this browser last, if any."""
        return web.recall(self.request, f"coupon-{coupon}", now_ms=self.now)

    def sender(self, country: str = "") -> SenderSettings:
        """The number that somebody in `country` texts to; without one, by the reader's language."""
        return sender_for(self.business, country or country_of(self.business, self.language))

    def moment(self, at: int) -> str:
        """When a thing is possible again, as people say it: `tomorrow`, or a day and a time."""
        zone = self.business.zone
        then, today = from_ms(at).astimezone(zone), from_ms(self.now).astimezone(zone).date()
        is_tomorrow = then.date() == today + timedelta(days=1) and then.hour == then.minute == 0
        return self.say("tomorrow") if is_tomorrow else rendering.day_and_time(then, zone, self.language)

    def place_name(self, place: str) -> str:
        """A shop's name; its key when it was taken out of the file."""
        settings = self.business.config.places.get(place)
        return self.read(settings.name) if settings else place

    def place_zone(self, place: str) -> ZoneInfo:
        """The zone of a shop's clock."""
        settings = self.business.config.places.get(place)
        return ZoneInfo(settings.timezone) if settings and settings.timezone else self.business.zone


def digits(address: str) -> str:
    """The last digits of a phone, by which its owner knows it."""
    return address[-2:]


def sender_for(business: Business, country: str) -> SenderSettings:
    """The first sender that serves a country, else the first of all."""
    senders = list(business.config.senders.values())
    return next((sender for sender in senders if country in sender.countries), senders[0])


def country_of(business: Business, language: str) -> str:
    """Where a reader of a language most likely is: at home for our first language, else where it is mostly spoken."""
    brand = business.config.brand
    if language == brand.languages[0]:
        return brand.country
    served = {country for sender in business.config.senders.values() for country in sender.countries}
    # "zh" is "zh_Hans_CN" in the CLDR's likely subtags (UTS 35, part 1, section 4.3).
    likely = str(get_global("likely_subtags").get(language.partition("-")[0], "")).rpartition("_")[2]
    return likely if likely in served else brand.country


@lru_cache(32)
def site_of(business: Business, colours: Palette, language: str) -> dict[str, Any]:
    """What stands in the frame of every page (templates/pages/base.html)."""
    brand = business.config.brand
    return {
        "name": brand.name.say(language, brand.languages),
        "palette": colours,
        "languages": [(code, own_name(code)) for code in brand.languages],
        "simulated": business.config.is_simulated,
        "home": "/",
        "support": {"phone": brand.support.phone or "", "email": brand.support.email or ""},
    }


@lru_cache(64)
def own_name(language: str) -> str:
    """A language's name for itself: `English`, `中文`."""
    return Locale.parse(language, sep="-").display_name or language
