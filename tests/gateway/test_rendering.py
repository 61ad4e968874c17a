"""Words put together: what a marketer may write, what a phone receives, how days and sums read, and pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from gateway import rendering
from gateway.codecs import gsm7
from gateway.codecs.parts import measure
from gateway.rendering import BadTemplate, BadTexts, Pages, Texts, compile_text

FIELDS = ["first_name", "city", "coupon.link"]
SPRING = "Lantern Coffee: 2 lattes for 1, {{ first_name or 'friend' }}. {{ coupon.link }} Reply STOP to end"
LINK = "https://coffee.example/c/7GQ2XKM4PD9RTW3BZ"  # 42 characters
TEXTS_FOLDER = Path(__file__).parents[2] / "templates" / "texts"
SEATTLE, SHANGHAI = ZoneInfo("America/Los_Angeles"), ZoneInfo("Asia/Shanghai")


# --- a marketer's text ---------------------------------------------------------------------------------------------


def test_fields_stand_where_the_marketer_put_them() -> None:
    text = compile_text(SPRING, FIELDS)

    assert text.render({"first_name": "Ana", "coupon.link": LINK}) == (
        f"Lantern Coffee: 2 lattes for 1, Ana. {LINK} Reply STOP to end"
    )
    assert text.fields == {"first_name", "coupon.link"}


@pytest.mark.parametrize("values", [{"city": ""}, {}, {"city": "\u200b\n"}])
def test_an_empty_field_says_what_stands_after_or(values: dict[str, str]) -> None:
    assert compile_text("Hi {{city or 'there'}}!", FIELDS).render(values) == "Hi there!"
    assert compile_text('Hi {{ city  or  "it\'s you" }}!', FIELDS).render(values) == "Hi it's you!"


def test_a_field_without_or_must_be_given() -> None:
    with pytest.raises(KeyError):
        compile_text("Hi {{ city }}!", FIELDS).render({})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Ana\nReply STOP", "Ana Reply STOP"),
        ("  Ana\t Maria \r\n", "Ana Maria"),
        ("A\x00n\x1ba\x7f", "Ana"),
        ("\u202eana\u202c", "ana"),
        ("A\ufeffna", "Ana"),
        ("x" * 1000, "x" * 60),
        ("{{ coupon.link }}", "{{ coupon.link }}"),
        ("{0.__class__}", "{0.__class__}"),
        ("灯笼 咖啡", "灯笼 咖啡"),
        ("👩‍👧", "👩‍👧"),
    ],
)
def test_a_value_stays_a_value_on_one_line_and_short(value: str, said: str) -> None:
    assert compile_text("Hi {{ first_name }}!", FIELDS).render({"first_name": value}) == f"Hi {said}!"


def test_a_link_is_never_shortened() -> None:
    link = "https://coffee.example/" + "c" * 100

    assert compile_text("{{ coupon.link }}", FIELDS).render({"coupon.link": link}) == link


@given(st.text(max_size=200))
def test_whatever_a_value_holds_the_text_stays_bounded_and_printable(value: str) -> None:
    said = compile_text("{{ city }}", FIELDS).render({"city": value})

    assert len(said) <= rendering.LONGEST_VALUE
    assert not any(character in "\n\r\x00\x1b\u202e" for character in said)


NAMES = st.sampled_from(["", "Ana", "José", "诗涵", "👩‍👧", "A\nB", "\u200b", " a ", "[x]", "x" * 61]) | st.text(
    max_size=70
)


@given(
    st.lists(st.tuples(NAMES, NAMES), max_size=8),
    st.sampled_from([
        "plain", "{{ city }}", "Hi {{ first_name or 'friend' }} of {{city}}!", "{{ city or '' }}{{ first_name }}",
        "{{ first_name or 'a friend whom we do not know by any name, and would so much like to' }}",
    ]),
)  # fmt: skip
def test_many_people_get_the_texts_that_each_would_get(people: list[tuple[str, str]], template: str) -> None:
    text = compile_text(template, FIELDS)
    columns = {"first_name": [one for one, _ in people], "city": [other for _, other in people]}

    said = text.render_many(columns, len(people))

    assert said == [text.render({"first_name": one, "city": other}) for one, other in people]


def test_a_column_that_is_not_there_says_what_stands_after_or_or_must_be_given() -> None:
    assert compile_text("Hi {{ city or 'there' }}!", FIELDS).render_many({}, 2) == ["Hi there!"] * 2
    with pytest.raises(KeyError):
        compile_text("Hi {{ city }}!", FIELDS).render_many({}, 2)


# reference G-8 and, CVE-2016-10745, CVE-2019-10906, CVE-2024-56326, CVE-2025-27516
HOSTILE = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(name) }}",
    "{% set f='{0.__class__}'.format %}{{ f(name) }}",
    "{{ name|attr('__class__') }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ l.append(1) }}",
    "{{ range(10**9)|list }}",
    "{{ 'a'*10**10 }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ first_name.__class__ }}",
    "{{ first_name.format }}",
    "{{ first_name[0] }}",
    "{{ first_name!r:>999999999 }}",
    "{first_name.__class__}",
    "{x[0]}",
    "{x!r:>999999999}",
    "{first_name}",
    "{{ first_name|upper }}",
    "{{ first_name or city }}",
    "{{ first_name or 'a' or 'b' }}",
    "{{ first_name or '{{ city }}' }}",
    "{{ 'text' }}",
    "{{ 1 }}",
    "{{ }}",
    "{{}}",
    "{{{ first_name }}}",
    "{{ first_name }",
    "{ first_name }}",
    "{{ first_name",
    "first_name }}",
    "{{ {{ first_name }} }}",
    "{# comment #}",
    "{% if first_name %}x{% endif %}",
    "{{ first_name; city }}",
    "{{ first_name\x00 }}",
    "{{ first name }}",
    "{{ coupon . link }}",
    "{{ .link }}",
    "Hi\x00",
    "Hi\x1b[31m",
]


@pytest.mark.parametrize("template", HOSTILE)
def test_what_is_more_than_a_field_is_refused(template: str) -> None:
    with pytest.raises(BadTemplate):
        compile_text(template, FIELDS)


@given(st.text("{}% #'\"|.()_ orxcity", max_size=40))
def test_no_brace_survives_compiling(template: str) -> None:
    try:
        said = compile_text(template, FIELDS).render(dict.fromkeys(FIELDS, "V"))
    except BadTemplate:
        return
    assert not {"{", "}"} & set(said)


@pytest.mark.parametrize(
    ("template", "position", "text"),
    [
        ("Hi {{ frist_name }}", 6, 'no field "frist_name"; did you mean first_name?'),
        ("{{ coupon.lnik }}", 3, 'no field "coupon.lnik"; did you mean coupon.link?'),
        ("{{ zzz }}", 3, 'no field "zzz"; there are city, coupon.link, first_name'),
        ("Hi {{ city|upper }}!", 3, "{{ city|upper }}: only {{ field }} or {{ field or 'text' }} can stand in braces"),
        ("Hi {city}", 3, "a lone {: a field is written {{ field }}, other braces cannot be sent"),
        ("Hi\x07", 2, "the invisible character U+0007 stands here; delete it"),
    ],
)
def test_a_refusal_says_where_and_what_to_write(template: str, position: int, text: str) -> None:
    with pytest.raises(BadTemplate) as refused:
        compile_text(template, FIELDS)

    assert (refused.value.position, refused.value.text, str(refused.value)) == (position, text, text)


# --- our own texts -------------------------------------------------------------------------------------------------

LONGEST = {
    "en": {
        "brand": "Lantern Coffee Co.", "program": "Lantern Club Gold", "often": "up to 10 texts a month",
        "phone": "206-555-0100", "email": "help@lantern.example", "stop": "STOP", "keyword": "LATTE", "count": "10,000",
        "days": "30", "words": "LATTE, VOTE, HOURS, SPRING", "minutes": "60",
        "offer": "Two lattes for the price of one", "link": LINK, "day": "30 Sep",
        "when": "Wed 30 Sep at 12:42 pm", "place": "University Village",
        "places": "Pike Place, University Village, Nanjing Road", "code": "K7QM-2X9F",
        "reason": "Used on Wed 30 Sep at 12:42 pm, University Village.", "number": "12",
        "option": "The great horned owl", "next": "Wed 30 Sep at 12:42 pm",
        "choices": "1 fox, 2 crane, 3 great horned owl, 4 red panda",
        "question": "Which drawing goes on our next cup?", "results": "fox 21%, crane 30%, great horned owl 49%",
        "percent": "100",
    },
    "zh": {
        "brand": "灯笼咖啡馆", "program": "灯笼会员", "often": "每月最多10条短信", "phone": "206-555-0100",
        "email": "help@lantern.example", "stop": "R", "keyword": "拿铁", "count": "10,000", "days": "30",
        "words": "拿铁、投票、营业时间", "minutes": "60", "offer": "拿铁买一送一", "link": LINK, "day": "12月31日",
        "when": "12月31日18:42", "place": "派克市场店", "places": "派克市场店、南京路店", "code": "K7QM-2X9F",
        "reason": "已于12月31日18:42在派克市场店使用。", "number": "12", "option": "大角猫头鹰",
        "next": "12月31日18:42", "choices": "1狐狸 2仙鹤 3大角猫头鹰 4小熊猫", "question": "下一款杯子选哪幅画？",
        "results": "狐狸21% 仙鹤30% 大角猫头鹰49%", "percent": "100",
    },
}  # fmt: skip
TWO_PARTS_IN_CHINESE = {"welcome_coupon"}  # the link alone takes 42 of the 70 characters


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts(TEXTS_FOLDER, ["en", "zh"])


def names_for_phones() -> list[str]:
    lines = (TEXTS_FOLDER / "en.yaml").read_text("utf-8").splitlines()
    return [line.split(":")[0] for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("name", names_for_phones())
def test_every_english_text_fits_one_part_with_its_longest_likely_data(texts: Texts, name: str) -> None:
    values = {field: LONGEST["en"][field] for field in texts.fields[name]}
    if name == "welcome_coupon":
        values["offer"] = ""  # the whole offer would cost a second part

    cost = measure(texts.say(name, "en", **values))

    assert (cost.parts, cost.dear) == (1, "")


@pytest.mark.parametrize("name", names_for_phones())
def test_every_chinese_text_fits_one_part_with_its_longest_likely_data(texts: Texts, name: str) -> None:
    values = {field: LONGEST["zh"][field] for field in texts.fields[name]}

    assert measure(texts.say(name, "zh", **values)).parts == (2 if name in TWO_PARTS_IN_CHINESE else 1)


def test_the_texts_say_what_the_product_promises(texts: Texts) -> None:
    owl = {"number": "3", "option": "The owl"}
    said = [
        texts.say("stopped", "en", brand="Lantern Coffee"),
        texts.say("stopped", "zh", brand="灯笼咖啡"),
        texts.say("vote_counted_next", "en", **owl, next=texts.say("tomorrow", "en")),
        texts.say("vote_again_today", "zh", number="3", option="猫头鹰"),
        texts.say("vote_unsure", "en", **owl, choices="1 fox, 2 crane, 3 owl"),
        texts.say("coupon_used", "zh", when="12月1日18:42", place="派克市场店"),
        texts.say("you_left", "en", day="3 May", keyword="LATTE"),
    ]

    assert said == [
        "Lantern Coffee: you are unsubscribed and will get no more texts from us. Changed your mind? Text START.",
        "【灯笼咖啡】您已退订，不会再收到我们的短信。如需恢复，请回复START。",
        "Got it: 3, The owl. Next vote from this phone: tomorrow.",
        "本机今天已投3号 猫头鹰，仍然有效。",
        "Did you mean 3, The owl? Reply 3. Choices: 1 fox, 2 crane, 3 owl.",
        "已于12月1日18:42在派克市场店使用。",
        "You left on 3 May. Text START, then LATTE.",
    ]


@pytest.mark.parametrize("name", names_for_phones())
def test_no_english_text_holds_a_character_outside_gsm(texts: Texts, name: str) -> None:
    assert gsm7.outsider(texts.say(name, "en", **dict.fromkeys(texts.fields[name], "x"))) == ""


@pytest.mark.parametrize("file", sorted(path.name for path in TEXTS_FOLDER.glob("*.yaml")))
def test_no_name_stands_twice_in_a_file(file: str) -> None:
    lines = (TEXTS_FOLDER / file).read_text("utf-8").splitlines()
    names = [line.split(":")[0] for line in lines if line[:1].isalpha()]

    assert sorted(names) == sorted(set(names))


def test_readers_of_another_language_get_the_first(texts: Texts) -> None:
    assert texts.say("tomorrow", "fr") == texts.say("tomorrow", "en") == "tomorrow"


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / f"{name.replace('_', '.')}.yaml").write_text(content, "utf-8")
    return folder


def test_all_mistakes_in_the_texts_are_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        en='hello: "Hi {{ name }}"\nbye: "Bye"\nbad: "{{ name|upper }}"\n',
        zh='hello: "您好"\nbey: "再见"\nbad: ""\n',
        pages_en='bye: "Bye again"\n',
    )

    with pytest.raises(BadTexts) as refused:
        Texts(tmp_path, ["en", "zh", "fr"])

    lines = str(refused.value).splitlines()
    assert [line.replace(str(tmp_path), "") for line in lines] == [
        "/en.yaml: bad: {{ name|upper }}: only {{ field }} or {{ field or 'text' }} can stand in braces",
        "/pages.en.yaml: bye: the name stands in two files",
        "/fr.yaml: missing; every language of the brand needs its texts",
        "zh: bye: missing",
        "zh: hello: not the fields of the first language: name",
        'zh: no text "bey"; did you mean bye?',
        'zh: no text "bad"; there are bye, hello',
        "fr: hello: missing",
        "fr: bye: missing",
    ]


def test_a_text_that_reads_no_stays_a_text(tmp_path: Path) -> None:
    assert Texts(write(tmp_path, en="no: no\nnumber: 017\n"), ["en"]).say("no", "en") == "no"


# --- days and sums -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "zone", "language", "said"),
    [
        (datetime(2026, 12, 2, 2, 42, tzinfo=UTC), SEATTLE, "en", "Tue 1 Dec at 6:42 pm"),
        (datetime(2026, 12, 1, 10, 42, tzinfo=UTC), SHANGHAI, "zh", "12月1日18:42"),
        (datetime(2026, 12, 1, 8, 5, tzinfo=UTC), SEATTLE, "en", "Tue 1 Dec at 12:05 am"),
        (datetime(2026, 12, 1, 10, 42, tzinfo=UTC), SHANGHAI, "zh-Hans-CN", "12月1日18:42"),
        (datetime(2026, 12, 1, 10, 42, tzinfo=UTC), SHANGHAI, "fr", "mar. 1 déc. 18:42"),
        (datetime(2026, 12, 2, 2, 42, tzinfo=UTC), SEATTLE, "no such", "Tue 1 Dec at 6:42 pm"),
    ],
)
def test_a_moment_reads_as_people_there_say_it(at: datetime, zone: ZoneInfo, language: str, said: str) -> None:
    assert rendering.day_and_time(at, zone, language) == said


@pytest.mark.parametrize(("language", "said"), [("en", "15 Dec"), ("zh", "12月15日"), ("es", "15 dic")])
def test_a_day_is_the_day_there(language: str, said: str) -> None:
    assert rendering.day(datetime(2026, 12, 16, 7, 59, tzinfo=UTC), SEATTLE, language) == said


@pytest.mark.parametrize(("language", "said"), [("en", "5,000"), ("zh", "5,000"), ("de", "5.000"), ("fr", "5 000")])
def test_a_number_has_the_readers_thousands_and_a_plain_space(language: str, said: str) -> None:
    assert rendering.number(5000, language) == said


@pytest.mark.parametrize(
    ("micros", "currency", "language", "said"),
    [
        (3_640_000, "USD", "en", "3.64 USD"),
        (3_645_100, "USD", "en", "3.65 USD"),
        (7_900, "USD", "en", "0.0079 USD"),
        (50_000, "USD", "en", "0.05 USD"),
        (40_000_000, "USD", "de", "40,00 USD"),
        (1_234_567_000_000, "JPY", "en", "1,234,567 JPY"),
        (0, "CNY", "zh", "0.00 CNY"),
    ],
)
def test_money_is_rounded_only_when_shown(micros: int, currency: str, language: str, said: str) -> None:
    assert rendering.money(micros, currency, language) == said


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def pages(tmp_path: Path, texts: Texts) -> Pages:
    (tmp_path / "hello.html").write_text("<p>{{ name }} {{ say('vote_counted', number='3', option=name) }}</p>")
    (tmp_path / "sums.html").write_text(
        "{{ at|day_and_time }}, {{ at|day(zone) }}, {{ n|number }}, {{ m|money('USD') }}"
    )
    (tmp_path / "escape.html").write_text("{{ ''.__class__.__mro__ }}")
    (tmp_path / "change.html").write_text("{{ names.append('x') }}")
    return Pages(tmp_path, texts)


def test_a_page_speaks_its_readers_language_and_escapes_every_value(pages: Pages) -> None:
    said = pages.render("hello.html", "zh", name="<script>")

    assert said == "<p>&lt;script&gt; 已收到：3号 &lt;script&gt;。谢谢。</p>"


def test_a_page_says_days_and_sums_as_its_reader_does(pages: Pages) -> None:
    at = datetime(2026, 12, 2, 2, 42, tzinfo=UTC)

    assert pages.render("sums.html", "en", at=at, zone=SEATTLE, n=5000, m=3_640_000) == (
        "Tue 1 Dec at 6:42 pm, 1 Dec, 5,000, 3.64 USD"
    )


def test_a_page_never_shows_something_undefined(pages: Pages) -> None:
    with pytest.raises(UndefinedError):
        pages.render("hello.html", "en")


def test_a_page_cannot_reach_past_its_values(pages: Pages) -> None:
    with pytest.raises(SecurityError):
        pages.render("escape.html", "en")
    with pytest.raises(SecurityError):
        pages.render("change.html", "en", names=["a"])
