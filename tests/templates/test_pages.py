"""Every page, with ordinary, longest and hostile contents: legible, light, whole, and deaf to what people type."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import segno
from markupsafe import Markup
from playwright.sync_api import Page, sync_playwright

from gateway.palette import contrast, palette
from gateway.rendering import Pages, Texts
from gateway.web import content_policy

ROOT = Path(__file__).parents[2] / "templates"
LANGUAGES = ("en", "zh")
PAGES = Pages(ROOT / "pages", Texts(ROOT / "texts", LANGUAGES))
CHROMIUM = shutil.which("chromium")
LIGHT = 14 * 1024  # octets: what a server may send before it must wait for the phone (ten segments, RFC 6928)
SEATTLE = ZoneInfo("America/Los_Angeles")
EVENING = datetime(2026, 12, 2, 2, 42, tzinfo=UTC)
TOKEN = "A" * 22
HOSTILE = "\"><script>alert('x')</script>' onload=alert(1) {{ 7 * 7 }} </style><img src=x onerror=alert(2)>"

EN = {
    "brand": "Lantern Coffee",
    "question": "Which drawing goes on our next cup?",
    "options": [("1", "The fox"), ("2", "The crane"), ("3", "The owl")],
    "offer": "Two lattes for the price of one",
    "consent": "Offers by text from Lantern Coffee, up to 4 a month. Not needed to buy anything.",
    "program": "Lantern Club",
    "places": ["Pike Place", "Nanjing Road"],
    "keywords": ("VOTE", "LATTE"),
    "again": "tomorrow",
    "why": "Used on Tue 1 Dec at 6:34 pm, Pike Place",
    "reply": "Got it: 3, The owl. Next vote from this phone: tomorrow.",
    "welcome": "Welcome to Lantern Club! Up to 4 msgs/mo. Msg&data rates may apply. HELP for help, STOP to end. "
    "Your 2 for 1 latte: http://localhost:8080/c/K7QM2X9F",
}
ZH = {
    "brand": "灯笼咖啡",
    "question": "下一款杯子选哪幅画？",
    "options": [("1", "狐狸"), ("2", "仙鹤"), ("3", "猫头鹰")],
    "offer": "拿铁买一送一",
    "consent": "同意接收灯笼咖啡优惠短信，每月最多4条，非购买条件。",
    "program": "灯笼会",
    "places": ["派克市场店", "南京路店"],
    "keywords": ("投票", "拿铁"),
    "again": "明天",
    "why": "已于12月1日18:34在派克市场店使用",
    "reply": "【灯笼咖啡】已收到：3号 猫头鹰。本机明天可再投。",
    "welcome": "【灯笼咖啡】欢迎加入灯笼会！每月最多4条。拿铁买一送一：http://localhost:8080/c/K7QM2X9F 拒收请回复R",
}
LONG = {
    **EN,
    "brand": "The Remarkable Lantern & Steamship Coffee Roasting Company of Seattle",
    "question": "Donaudampfschifffahrtsgesellschaftskapitänsmütze or another drawing, which one of all these should be "
    "printed on our next limited winter edition cup?",
    "options": [(str(n), f"The {'very ' * 9}curious animal with the number {n} and the lantern") for n in range(1, 9)],
    "offer": "Two large oat milk lattes with any syrup of your choice for the price of a single small one, all day",
    "consent": EN["consent"] * 3,  # type: ignore[operator]
    "places": [f"Pike Place Market Entrance {n}" for n in range(1, 8)],
    "again": "on Wednesday 31 December at 12:00 am",
}
BAD = {
    **EN,
    **dict.fromkeys(("brand", "question", "offer", "consent", "program", "again", "why", "reply", "welcome"), HOSTILE),
    "options": [("1", HOSTILE), ("2", HOSTILE)],
    "places": [HOSTILE],
    "keywords": (HOSTILE, HOSTILE),
}
KINDS: dict[str, dict[str, Any]] = {"ordinary": EN, "chinese": ZH, "longest": LONG, "hostile": BAD}


def site(words: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": words["brand"],
        "palette": palette("#7A3E1D"),
        "languages": [("en", "English"), ("zh", "中文")],
        "simulated": True,
        "home": "/",
        "support": {"phone": "+1 206 555 0100", "email": "help@lantern.example"},
    }


def qr() -> Markup:
    code = segno.make("http://192.168.1.20:8080/c/K7QM2X9F?s=AbCdEfGhIjKlMnOp", micro=False, error="m")
    return Markup(code.svg_inline(omitsize=True, border=2, svgclass=None, lineclass=None))


def contexts(words: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each page with the contexts it is met in: a name for the picture, the template, the context."""
    question, options, offer = words["question"], words["options"], words["offer"]
    vote, latte = words["keywords"]
    votes = [412, 318, 770, 0, 0, 0, 0, 12][: len(options)]
    whole = sum(votes)
    rows = [
        {"key": key, "label": label, "votes": n, "percent": round(100 * n / whole), "leads": n == max(votes)}
        for (key, label), n in zip(options, votes, strict=True)
    ]
    voting = {"question": question, "options": options, "number": "20655", "keyword": vote, "until": EVENING,
              "results": "/cup/results", "token": TOKEN, "chosen": "", "mistake": "", "opens": None,
              "leave": "/leave/AAAAAAAAAAAAAAAAAAAAAA"}  # fmt: skip
    yield "vote", "vote.html", voting | {"phone": "42"}
    yield "vote-mended", "vote.html", voting | {"phone": "42", "chosen": "2", "mistake": words["why"]}
    yield "vote-stranger", "vote.html", voting | {"phone": "", "leave": ""}
    yield "vote-early", "vote.html", voting | {"phone": "42", "opens": EVENING}
    voted = {"key": options[-1][0], "label": options[-1][1], "again": words["again"], "left": 0, "today": True,
             "results": "/cup/results"}  # fmt: skip
    yield "voted", "voted.html", voted
    yield "voted-more", "voted.html", voted | {"left": 2}
    yield "already", "already.html", voted
    yield "results", "results.html", {"question": question, "rows": rows, "votes": whole, "open": True,
                                      "until": EVENING, "vote": "/cup"}  # fmt: skip
    yield "results-closed", "results.html", {"question": question, "rows": rows, "votes": whole, "open": False,
                                             "until": EVENING, "vote": ""}  # fmt: skip
    yield "results-hidden", "results.html", {"question": question, "rows": [], "votes": 0, "open": True,
                                             "until": None, "vote": "/cup"}  # fmt: skip
    coupon = {"offer": offer, "code": "K7QM-2X9F", "qr": qr(), "until": EVENING, "places": words["places"],
              "used_at": None, "used_place": "", "votes": [{"href": "/v/cup/AAAA", "title": question}]}  # fmt: skip
    yield "coupon", "coupon.html", coupon | {"state": "unused"}
    used = {"state": "used", "used_at": EVENING, "used_place": words["places"][0]}
    yield "coupon-used", "coupon.html", coupon | used
    yield "coupon-ended", "coupon.html", coupon | {"state": "ended"}
    yield "coupon-withdrawn", "coupon.html", coupon | {"state": "withdrawn", "until": None}
    give = {"offer": offer, "program": words["program"], "consent": words["consent"], "keyword": latte,
            "number": "20655", "codes": 5000, "until": EVENING, "mine": ""}  # fmt: skip
    yield "give", "give.html", give | {"state": "open"}
    yield "give-again", "give.html", give | {"state": "open", "mine": "/c/k7qm2x9fk7qm2x9f"}
    yield "give-gone", "give.html", give | {"state": "gone"}
    yield "give-ended", "give.html", give | {"state": "ended", "until": None}
    yield from staff(words)
    leave = {"phone": "42", "programs": [words["program"]], "number": "20655", "token": TOKEN}
    yield "leave", "leave.html", leave | {"state": "in"}
    yield "left", "leave.html", leave | {"state": "left"}
    doors = [{"href": "/cup", "title": question, "kind": "vote"}, {"href": "/latte", "title": offer, "kind": "give"}]
    yield "home", "home.html", {"greeting": "", "pages": doors}
    yield "home-quiet", "home.html", {"greeting": words["brand"], "pages": []}
    for status in (400, 403, 404, 405, 408, 413, 429, 500, 503):
        yield f"error-{status}", "error.html", {"status": status, "here": ""}


def staff(words: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    shops = [(f"shop_{n}", name) for n, name in enumerate(words["places"])]
    sign_in = {"shops": shops, "chosen": "shop_0", "token": TOKEN, "mistake": "", "wait": 0, "till": "/till"}
    yield "till-sign-in", "till_sign_in.html", sign_in
    yield "till-wrong-pin", "till_sign_in.html", sign_in | {"mistake": "pin"}
    yield "till-locked", "till_sign_in.html", sign_in | {"mistake": "locked", "wait": 5}
    till = {"shop": words["places"][0], "token": TOKEN, "verdict": None, "till": "/till", "note": ""}
    verdict = {"good": True, "words": words["offer"], "code": "K7QM-2X9F", "at": EVENING, "undo": "/till/undo/81"}
    yield "till", "till.html", till
    yield "till-undone", "till.html", till | {"note": words["why"]}
    yield "till-yes", "till.html", till | {"verdict": verdict}
    yield "till-no", "till.html", till | {"verdict": verdict | {"good": False, "words": words["why"], "undo": ""}}
    redeem = {"shop": words["places"][0], "offer": words["offer"], "code": "K7QM-2X9F", "token": TOKEN,
              "till": "/till"}  # fmt: skip
    yield "redeem", "redeem.html", redeem
    undo = redeem | {"at": EVENING, "minutes": 8, "action": "/till/undo/81", "mistake": ""}
    yield "undo", "undo.html", undo
    yield "undo-mended", "undo.html", undo | {"mistake": words["why"]}


def private_contexts(words: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    frame = {"mode": "simulator", "carriers": "simulator", "clocks": [("Seattle", "Tue 18:30"), ("上海", "Wed 10:30")],
             "tabs": [("/", "page_board_title"), ("/handset", "page_handset_title"),
                      ("/webhooks", "page_webhooks_title")], "here": "/"}  # fmt: skip
    public = {name: context for name, _, context in contexts(words)}
    reasons = [("left", 14), ("no consent", 31), ("capped", 0), ("hold-out", 57)]
    outcomes = [("delivered", 431), ("sent", 20), ("queued", 52), ("in_doubt", 2), ("failed", 5)]
    campaign = {"name": "spring", "state": "running", "matched": 612, "reasons": reasons, "sending": 510,
                "outcomes": outcomes, "why": "", "cost": "3.64 USD", "replies": 38}  # fmt: skip
    channel = {"name": "us_sms", "carrier": "simulator", "up": True, "elsewhere": False, "rate": "48/s",
               "limit": "50/s", "flying": 52}  # fmt: skip
    board = frame | {
        "campaigns": [campaign],
        "contests": [public["results"]],
        "coupons": [{"offer": words["offer"], "codes": 5000, "given": 231, "redeemed": 58}],
        "clients": [{"name": "shop", "texts": 18_204, "delivered": 18_000, "failed": 4, "open": 200}],
        "channels": [
            channel,
            channel | {"name": "cn_sms", "up": False, "rate": "0/s", "limit": "100/s"},
            channel | {"name": "uk_sms", "up": False, "elsewhere": True, "rate": "0/s", "limit": "100/s"},
        ],
        "look": [(EVENING, words["why"])],
        "feed": [(EVENING, f"+1206···42 {words['keywords'][0]} 3")] * 6,
    }
    yield "board", "board.html", board
    empty: dict[str, Any] = dict.fromkeys(
        ("campaigns", "contests", "coupons", "clients", "channels", "feed", "look"), ()
    )
    yield "board-live", "board.html", board | empty | {"mode": "live", "carriers": words["brand"]}
    texts = [
        {"id": 1, "mine": True, "text": words["keywords"][1], "time": "6:31 pm", "parts": 1, "delay": ""},
        {"id": 2, "mine": False, "text": words["welcome"], "time": "6:31 pm", "parts": 2, "delay": "0.02 s"},
        {"id": 3, "mine": True, "text": words["keywords"][0] + " 3", "time": "6:32 pm", "parts": 1, "delay": ""},
        {"id": 4, "mine": False, "text": words["reply"], "time": "6:32 pm", "parts": 1, "delay": "0.02 s"},
    ]
    phone = {"number": "+12065550142", "title": "Seattle, English", "to": "20655", "log": texts,
             "tries": ["LATTE", "VOTE 3", "STOP", "HELP", "START"]}  # fmt: skip
    other = {"number": "+8613800138000", "title": "上海，中文", "to": "10690555", "log": [],
             "tries": ["拿铁", "投票3", "退订", "HELP", "START"]}  # fmt: skip
    handset = frame | {"here": "/handset", "phones": [phone, other], "numbers": ["+12065550142", "+8613800138000"],
                       "token": TOKEN, "refresh_s": 2}  # fmt: skip
    yield "handset", "handset.html", handset
    shop = {"name": words["program"], "where": "https://shop.example/carillon", "others": [], "waiting": 10_412,
            "told": 231_077, "given_up": 12, "kept": 0, "trouble": words["why"], "trouble_at": EVENING}  # fmt: skip
    till = shop | {"name": "till", "where": "", "others": ["kannel", "twilio"], "trouble": "", "given_up": 0, "kept": 9}
    told = frame | {"here": "/webhooks", "clients": [shop, till, till | {"others": []}], "token": TOKEN,
                    "spans": [("1", "1 h"), ("24", "24 h")], "kinds": ["message.sent", "message.delivered"],
                    "again": {"client": words["program"], "n": 4120}}  # fmt: skip
    yield "webhooks", "webhooks.html", told
    yield "webhooks-none", "webhooks.html", told | {"clients": [], "again": None}


def render(template: str, words: dict[str, Any], language: str, context: dict[str, Any]) -> str:
    frame = {"site": site(words), "zone": SEATTLE, "here": "/cup"}
    return PAGES.render(template, language, **frame | context)


def rendered(pages: Any) -> dict[str, str]:
    every = {}
    for kind, words in KINDS.items():
        for language in LANGUAGES:
            for name, template, context in pages(words):
                every[f"{kind}-{name}-{language}"] = render(template, words, language, context)
    return every


PUBLIC = rendered(contexts)
PRIVATE = rendered(private_contexts)
EVERY = PUBLIC | PRIVATE

VOID = {"meta", "link", "input", "br", "hr", "img", "option", "rect", "path"}


class Outline(HTMLParser):
    """What a browser would find: tags that close in order, ids, every attribute, the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"</{tag}> at {self.getpos()}")

    def having(self, attribute: str) -> list[str]:
        return [value or "" for _, attributes in self.tags for name, value in attributes.items() if name == attribute]


OUTLINES = {name: Outline(html) for name, html in EVERY.items()}


def test_every_template_is_shown_here() -> None:
    shown = {template for _, template, _ in [*contexts(EN), *private_contexts(EN)]}
    frames = {"base.html", "parts.html", "private.html"}
    assert {path.name for path in (ROOT / "pages").glob("*.html")} == shown | frames


def test_a_page_is_whole() -> None:
    broken = {name: outline.mistakes + outline.open for name, outline in OUTLINES.items()}
    assert {name: mistakes for name, mistakes in broken.items() if mistakes} == {}


def test_a_page_says_its_language() -> None:
    said = {name: dict(outline.tags)["html"]["lang"] for name, outline in OUTLINES.items()}
    assert said == {name: {"en": "en", "zh": "zh-Hans"}[name[-2:]] for name in EVERY}


def test_a_page_has_one_heading_and_no_name_twice() -> None:
    for name, outline in OUTLINES.items():
        ids = outline.having("id")
        assert len(ids) == len(set(ids)), name
        assert [tag for tag, _ in outline.tags].count("h1") == 1, name


def test_a_page_fits_the_first_flight_of_packets() -> None:
    # The longest board is read on the machine that serves it, so only what travels is held to it there.
    travels = PUBLIC | {name: html for name, html in PRIVATE.items() if name.startswith(("ordinary", "chinese"))}
    assert {name: size for name, html in travels.items() if (size := len(html.encode())) >= LIGHT} == {}


def test_a_page_fetches_nothing_from_elsewhere() -> None:
    ours = re.compile(r"/(?!/)|sms:|tel:|mailto:|data:image/svg\+xml,|http://localhost:8080/c/")
    for name, outline in OUTLINES.items():
        reached = [*outline.having("href"), *outline.having("src"), *outline.having("action")]
        assert [one for one in reached if not ours.match(one)] == [], name
        assert "@import" not in EVERY[name]
        assert "url(" not in EVERY[name]


def test_what_people_typed_stays_text() -> None:
    for name, outline in OUTLINES.items():
        assert not {tag for tag, _ in outline.tags} & {"img", "iframe", "object", "embed"}, name
        assert not [key for _, attributes in outline.tags for key in attributes if key.startswith("on")], name
        assert outline.having("style") == [], name  # the policy forbids them, so they would be lost
        assert "alert(" not in "".join(re.findall(r"<(?:script|style)>(.*?)</", EVERY[name], re.DOTALL)), name


def test_a_public_page_has_no_script() -> None:
    tags = {tag for name in PUBLIC for tag, _ in OUTLINES[name].tags}
    assert not tags & {"script", "noscript"}


def test_all_public_pages_share_one_policy() -> None:
    policies = {content_policy([html]) for html in PUBLIC.values()}
    assert len(policies) == 1
    assert "script-src" not in policies.pop()


def test_every_form_that_posts_carries_the_token() -> None:
    forms = [form for html in EVERY.values() for form in re.findall(r'<form[^>]*"post".*?</form>', html, re.DOTALL)]
    assert len(forms) > 100
    assert [form for form in forms if f'name="token" value="{TOKEN}"' not in form] == []


def test_every_field_has_a_name_that_can_be_heard() -> None:
    for name, outline in OUTLINES.items():
        labels = outline.having("for")
        fields = [attributes for tag, attributes in outline.tags if tag == "input" and "id" in attributes]
        nameless = [a for tag, a in outline.tags if tag == "input" and "id" not in a and a.get("type") != "hidden"]
        assert {field["id"] for field in fields} == set(labels), name
        assert {field["name"] for field in nameless} <= {"left", "right"}, name  # inside their labels


def test_a_coupon_is_shown_without_a_way_to_scan_it_once_it_is_used() -> None:
    assert "<svg" in PUBLIC["ordinary-coupon-en"]
    assert "<svg" not in PUBLIC["ordinary-coupon-used-en"].partition("<body>")[2]
    assert "Used on Tue 1 Dec at 6:42 pm, Pike Place." in PUBLIC["ordinary-coupon-used-en"]
    assert "已于12月1日18:42在派克市场店使用。" in PUBLIC["chinese-coupon-used-zh"]


def test_a_verdict_is_told_by_word_and_sign_and_time() -> None:
    yes, no = PUBLIC["ordinary-till-yes-en"], PUBLIC["ordinary-till-no-en"]
    assert "YES ✓" in yes
    assert "6:42 pm" in yes
    assert "NO ✗" in no


def test_a_stranger_is_told_to_vote_by_text() -> None:
    assert 'href="sms:20655?&amp;body=VOTE%203"' in PUBLIC["ordinary-vote-stranger-en"]
    assert "<form" not in PUBLIC["ordinary-vote-stranger-en"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("brand", ["#7A3E1D", "#ffdd00", "#000000", "#ffffff", "#2266ff", "#ff6f91"])
def test_inks_of_the_style_are_legible_on_their_grounds(scheme: str, brand: str) -> None:
    style = PAGES.render("style.css", "en", site={"palette": palette(brand)})
    inks = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", style.partition("@media")[0]))
    if scheme == "dark":
        inks |= dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", style.partition("@media")[2].partition("}}")[0]))
    for ground in ("paper", "card", "wash"):
        for ink in ("ink", "soft", "accent"):
            assert contrast(inks[ink], inks[ground]) >= 4.5, (ink, ground)
    assert contrast(inks["on-brand"], inks["brand"]) >= 4.5
    assert contrast("#ffffff", inks["yes"]) >= 4.5
    assert contrast("#ffffff", inks["no"]) >= 4.5


@pytest.fixture(scope="module")
def phone() -> Iterator[Page]:
    """A small phone without script, in a real browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 360, "height": 640}, java_script_enabled=False)
        yield context.new_page()
        browser.close()


# Links within a sentence are exempt (WCAG 2.2, 2.5.8).
SMALL = """() => [...document.querySelectorAll("a:not(.log a), button, .option, input:not([type=hidden]):not(.pick)")]
    .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
    .filter(([_, box]) => box.width && (box.width < 44 || box.height < 43.9)).map(([html, _]) => html)"""


def test_a_page_fits_a_narrow_phone_and_a_thumb(phone: Page) -> None:
    for name, html in EVERY.items():
        phone.set_content(html)
        assert phone.evaluate("document.scrollingElement.scrollWidth") <= 360, name
        assert phone.evaluate(SMALL) == [], name
