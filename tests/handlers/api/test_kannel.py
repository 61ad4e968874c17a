"""Programs made for Kannel: calls of sendsms as curl makes them, answers and reports as they know them."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import aiohttp
import pytest
import pytest_asyncio

from campaigns.clients import Kind
from handlers.api.kannel import PATH
from tests.handlers.api.programs import DESK, LEO, MAYA, SHORT, Came, Stage, staged
from tests.tables import look

pytestmark = pytest.mark.asyncio(loop_scope="module")
CURL = shutil.which("curl")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A business that serves two programs."""
    async with staged(tmp_path_factory.mktemp("kannel")) as set_up:
        yield set_up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def password(stage: Stage) -> str:
    """A key, which is the password here."""
    return await stage.key()


async def call(
    stage: Stage, method: str, query: str = "", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str, Mapping[str, str]]:
    """One call: status, words, headers."""
    url = f"{stage.api}{PATH}" + (f"?{query}" if query else "")
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=body, headers=headers) as response,
    ):
        return response.status, await response.text(), dict(response.headers)


async def send(stage: Stage, password: str, **fields: str) -> tuple[int, str, Mapping[str, str]]:
    """The usual call with these fields; one that is empty is left out."""
    usual = {"username": "shop", "password": password, "to": MAYA, "from": DESK, "text": "Hello"}
    return await call(stage, "GET", urlencode({name: value for name, value in {**usual, **fields}.items() if value}))


async def heard(stage: Stage, phone: str, words: str) -> str:
    """The text on a phone that begins so, and from whom it came."""
    assert stage.app.simulator is not None
    handset = stage.app.simulator.handset(phone)
    await stage.box.until(lambda: [each for each in handset.messages if each.text.startswith(words)])
    return next(f"{each.other} {each.text}" for each in handset.messages if each.text.startswith(words))


async def test_octets_to_so_many_phones_that_they_would_fill_the_disk_are_refused(stage: Stage, password: str) -> None:
    fields = {"username": "shop", "password": password, "from": DESK, "coding": "1", "text": "x" * 4_000}
    phones = " ".join(f"+1206555{n:04}" for n in range(600))
    form = urlencode({**fields, "to": phones})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await call(stage, "POST", body=form.encode(), headers=kind))[:2] == (
        413, "Too many receivers for a text of this size, rejected"
    )  # fmt: skip


@pytest.mark.skipif(CURL is None, reason="curl is not installed: apt-get install curl")
async def test_curl_sends_as_the_user_guide_has_it(stage: Stage, password: str) -> None:
    url = f"{stage.api}{PATH}?username=shop&password={password}&from=12065550100&to=12065550142&text=Hello+from+curl"
    curl = await asyncio.create_subprocess_exec(
        str(CURL), "-s", "-w", " %{http_code}", url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await curl.communicate()
    assert out == b"0: Accepted for delivery 202"
    assert await heard(stage, MAYA, "Hello from curl") == f"{DESK} Hello from curl"


async def test_a_wrong_name_or_password_is_refused_as_kannel_does(stage: Stage, password: str) -> None:
    for query in ("", "username=shop&password=wrong", f"username=other&password={password}", f"password={password}"):
        status, words, _ = await call(stage, "GET", query)
        assert (status, words) == (403, "Authorization failed for sendsms")


async def test_a_key_without_the_right_to_send_is_refused_in_the_same_words(stage: Stage) -> None:
    key = await stage.key("other")
    status, words, _ = await send(stage, key, username="other")
    assert (status, words) == (403, "Authorization failed for sendsms")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"to": ""}, 400, "Missing receiver number, rejected"),
        ({"to": "abc"}, 400, "Number(s) has/have been denied by white- and/or black-lists."),
        ({"text": ""}, 400, "Empty text not allowed, rejected"),
        ({"text": "x" * 1601}, 400, "Text too long, rejected"),
        ({"from": "+12065550199"}, 403, "Not routable. Do not try again."),
        ({"to": "+447911123456"}, 403, "Not routable. Do not try again."),
        ({"to": "447911123456"}, 403, "Not routable. Do not try again."),
        ({"coding": "9"}, 400, "Coding field misformed, rejected"),
        ({"deferred": "5", "validity": "1"}, 400, "Validity field misformed, rejected"),
    ],
)
async def test_what_is_refused_is_told_in_kannels_words(
    stage: Stage, password: str, fields: dict[str, str], status: int, words: str
) -> None:
    assert (await send(stage, password, **fields))[:2] == (status, words)


async def test_who_was_denied_among_many_is_named_behind_the_answer(stage: Stage, password: str) -> None:
    status, words, headers = await send(stage, password, to=f"{MAYA} abc {LEO} 1", text="many")
    assert (status, words) == (202, "0: Accepted for delivery Denied receivers are: abc 1")
    assert len(headers["X-Message-Id"].split()) == 2
    await heard(stage, LEO, "many")


@pytest.mark.parametrize("to", ["12065550142", "0012065550142", "+12065550142", "2065550142"])
async def test_a_number_may_be_written_in_every_usual_way(stage: Stage, password: str, to: str) -> None:
    words = f"to {len(to)}"
    assert (await send(stage, password, to=to, text=words))[:2] == (202, "0: Accepted for delivery")
    await heard(stage, MAYA, words)


@pytest.mark.parametrize("sender", ["12065550100", "0012065550100", "+12065550100", "desk"])
async def test_a_sender_may_be_written_so_too(stage: Stage, password: str, sender: str) -> None:
    words = f"from {sender}"
    await send(stage, password, **{"from": sender, "text": words})
    assert await heard(stage, MAYA, words) == f"{DESK} {words}"


async def test_without_a_sender_we_choose_one(stage: Stage, password: str) -> None:
    await send(stage, password, **{"from": "", "text": "whoever"})
    assert (await heard(stage, MAYA, "whoever")).split()[0] in {DESK, SHORT}


async def test_chinese_arrives_whatever_its_alphabet_was(stage: Stage, password: str) -> None:
    login = f"username=shop&password={password}&to=%2B12065550142&from=%2B12065550100"
    for number, (text, more) in enumerate(
        [("优惠1", ""), ("优惠2", "&charset=GBK"), ("优惠3", "&coding=2"), ("优惠4", "&coding=2&charset=UTF-8")]
    ):
        encoding = ("utf-8", "gbk", "utf-16-be", "utf-8")[number]
        status, _, _ = await call(stage, "GET", f"{login}&text={quote(text.encode(encoding))}{more}")
        assert status == 202
        await heard(stage, MAYA, text)


async def test_posts_of_every_kind_are_understood(stage: Stage, password: str) -> None:
    headers = {"X-Kannel-Username": "shop", "X-Kannel-Password": password, "X-Kannel-To": f"{MAYA} {LEO}",
               "X-Kannel-From": DESK}  # fmt: skip
    plain = {**headers, "Content-Type": "text/plain; charset=ISO-8859-1"}
    assert (await call(stage, "POST", body="café".encode("latin-1"), headers=plain))[:2] == (
        202,
        "0: Accepted for delivery",
    )
    await heard(stage, LEO, "café")
    form = urlencode({"username": "shop", "password": password, "to": MAYA, "from": DESK, "text": "by form"})
    assert (
        await call(stage, "POST", body=form.encode(), headers={"Content-Type": "application/x-www-form-urlencoded"})
    )[0] == 202
    await heard(stage, MAYA, "by form")
    html = {**headers, "Content-Type": "text/html"}
    assert (await call(stage, "POST", body=b"x", headers=html))[:2] == (415, "Unsupported content-type, rejected")
    binary = {**headers, "Content-Type": "application/octet-stream"}
    assert (await call(stage, "POST", body=b"\0\xff" * 21, headers=binary))[0] == 202
    await heard(stage, MAYA, "[42 octets]")


async def test_a_post_of_xml_goes_to_each_of_its_numbers_with_its_reports(stage: Stage, password: str) -> None:
    body = f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE message SYSTEM "http://a.example/sms.dtd">
<message><submit>
  <from><user>shop</user><pass>{password}</pass><account>till</account></from>
  <oa><number>{DESK}</number></oa>
  <da><number>{MAYA}</number></da><da> <number> {LEO} </number> </da>
  <ud>By+xml%2C caf\u00e9 %26 cr%E8me</ud>
  <statusrequest><dlr-mask>1</dlr-mask><dlr-url>{stage.box.url}/xml?to=%p&amp;code=%d</dlr-url></statusrequest>
</submit></message>""".encode("latin-1")
    status, words, _ = await call(stage, "POST", body=body, headers={"Content-Type": "text/xml"})
    assert (status, words) == (202, "0: Accepted for delivery")
    for phone in (MAYA, LEO):
        assert await heard(stage, phone, "By xml") == f"{DESK} By xml, café & crème"
    await stage.box.until(lambda: len([each for each in stage.box.came if "/xml?" in each.url]) == 2)


async def test_who_is_too_fast_is_told_to_come_again(stage: Stage) -> None:
    key = await stage.key("slow")
    answers = [await send(stage, key, username="slow", text=f"fast {n}") for n in range(4)]
    assert answers[0][:2] == (202, "0: Accepted for delivery")
    status, words, headers = answers[-1]
    assert (status, words) == (503, "Temporal failure, try again later.")
    assert int(headers["Retry-After"]) >= 1


async def test_a_report_into_our_own_network_is_refused_unless_the_file_allows_it(stage: Stage) -> None:
    key = await stage.key("slow")
    status, words, _ = await send(stage, key, username="slow", **{"dlr-mask": "1", "dlr-url": "http://10.0.0.1/x"})
    assert (status, words) == (400, "DLR-URL field leads into our own network, rejected")


async def test_no_fuzzed_call_fails_on_our_side(stage: Stage, password: str) -> None:
    chance = random.Random(6)
    names = ["to", "from", "text", "udh", "coding", "charset", "validity", "deferred", "dlr-mask", "dlr-url", "account"]
    values = ["", "%00", "%ff", "2", "8", "+".join(["1"] * 50), "%D9%A3", "%ED%A0%80", "x" * 3000, "utf-16", "idna",
              "050003010201", "http://[", "http://x:99999/", "%25", "http://x/%d%A%s%s%s", "12065550142", "35000",
              "%2B1"]  # fmt: skip
    for _ in range(150):
        fields = {name: chance.choice(values) for name in chance.sample(names, chance.randint(1, 8))}
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        status, words, _ = await call(stage, "GET", f"username=shop&password={password}&{query}")
        assert status < 500, (fields, words)


async def test_other_addresses_are_unknown_as_kannel_says(stage: Stage) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{stage.api}/cgi-bin/sendota") as response:
        assert (response.status, await response.text()) == (404, "Unknown request.")
    assert (await call(stage, "PUT"))[:2] == (405, "Unknown request.")


async def test_what_is_planned_is_queued_for_later(stage: Stage, password: str) -> None:
    assert (await send(stage, password, deferred="10"))[:2] == (202, "3: Queued for later delivery")


def reports(stage: Stage, path: str) -> list[Came]:
    return [each for each in stage.box.came if urlsplit(each.url).path == path]


async def test_reports_come_with_their_escapes_filled_in(stage: Stage, password: str) -> None:
    url = f"{stage.box.url}/dlr?d=%d&p=%p&P=%P&n=%n&F=%F&o=%o&A=%A"
    _, _, headers = await send(
        stage,
        password,
        **{"to": "12065550142", "from": "12065550100", "account": "acme", "dlr-mask": "31", "dlr-url": url},
    )
    await stage.box.until(lambda: len(reports(stage, "/dlr")) == 2)
    first, last = (parse_qs(urlsplit(each.url).query) for each in reports(stage, "/dlr"))
    assert (first["d"], last["d"]) == (["8"], ["1"])
    assert (first["A"], last["A"][0].split()[0]) == (["ACK/"], f"id:{headers['X-Message-Id']}")
    for each in (first, last):
        assert (each["p"], each["P"], each["n"], each["o"]) == (["12065550142"], ["12065550100"], ["shop"], ["acme"])
        assert each["F"] == [headers["X-Message-Id"]]


async def test_only_what_the_mask_asks_for_is_reported(stage: Stage, password: str) -> None:
    await send(stage, password, **{"dlr-mask": "1", "dlr-url": f"{stage.box.url}/final?d=%d"})
    await stage.box.until(lambda: reports(stage, "/final"))
    await asyncio.sleep(0.3)
    assert [urlsplit(each.url).query for each in reports(stage, "/final")] == ["d=1"]


async def test_without_a_mask_nothing_is_reported(stage: Stage, password: str) -> None:
    await send(stage, password, **{"text": "silent", "dlr-url": f"{stage.box.url}/none?d=%d"})
    await heard(stage, MAYA, "silent")
    kept = "SELECT b.callback FROM submission b JOIN message m ON m.id = b.message WHERE m.text = 'silent'"
    assert await stage.app.store.read(look, kept) == [("",)]
    assert reports(stage, "/none") == []


async def test_pieces_of_a_long_text_are_joined_in_any_order(stage: Stage, password: str) -> None:
    login = f"username=shop&password={password}&to=%2B12065550142&from=%2B12065550100"
    report = f"&dlr-mask=1&dlr-url={quote(stage.box.url + '/long?d=%d')}"
    second = f"{login}&text=and+this+the+second&udh=%05%00%03%42%02%02{report}"
    first = f"{login}&text=This+is+the+first+piece+&udh=%05%00%03%42%02%01{report}"
    for query in (second, first):
        assert (await call(stage, "GET", query))[:2] == (202, "0: Accepted for delivery")
    assert await heard(stage, MAYA, "This is the first") == f"{DESK} This is the first piece and this the second"
    await stage.box.until(lambda: reports(stage, "/long"))


async def test_octets_with_a_header_of_any_kind_leave_and_what_does_not_fit_is_refused(
    stage: Stage, password: str
) -> None:
    login = f"username=shop&password={password}&to=%2B12065550142&from=%2B12065550100"
    ports = f"{login}&coding=1&udh=%06%05%04%0B%84%23%F0&text="
    assert (await call(stage, "GET", ports + "%01" * 133))[:2] == (202, "0: Accepted for delivery")
    await heard(stage, MAYA, "[133 octets]")
    piece = f"{login}&coding=1&udh=%05%00%03%07%02%01&text={'%01' * 135}"
    assert (await call(stage, "GET", piece))[:2] == (400, "Text too long, rejected")
    kept = "SELECT m.content FROM message m WHERE m.text = '[133 octets]'"
    assert await stage.app.store.read(look, kept) == [(f'{{"octets":"{"01" * 133}","header":"0605040b8423f0"}}',)]


async def test_nothing_leaves_with_a_test_key_not_even_in_pieces(stage: Stage) -> None:
    key = await stage.key(kind=Kind.TEST)
    assert (await send(stage, key, to="+15005550010", text="try"))[0] == 202
    assert (await send(stage, key, to="+15005550004"))[:2] == (
        400, "Number(s) has/have been denied by white- and/or black-lists."
    )  # fmt: skip
    assert (await send(stage, key, text="real phone"))[0] == 202
    query = f"username=shop&password={key}&to=%2B12065550142&from=%2B12065550100&text=x&udh=%05%00%03%42%02%01"
    assert (await call(stage, "GET", query))[0] == 400
    await asyncio.sleep(0.5)
    assert stage.app.simulator is not None
    assert not [each for each in stage.app.simulator.handset(MAYA).messages if each.text == "real phone"]
