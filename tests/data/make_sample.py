"""Makes campaigns/sample.csv: 1,000 made-up people of a coffee chain, the same ones at every run.

American numbers lie in 555-0100 to 555-0199, which are kept for fiction (NANPA); China keeps no such range, so its
numbers only have the shape of mobile ones.
"""

from __future__ import annotations

import csv
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "campaigns" / "sample.csv"
HEADINGS = (
    "phone,first_name,last_name,language,city,birthday,gender,favourite,tier,tags,lat,lon,seen,consent,consent_time,"
    "consent_source"
)
AMERICANS, CHINESE = 664, 328  # and 5 lines that repeat someone, and 3 that no one can use
# (area code, city, how many of a hundred)
AREAS = [
    ("206", "Seattle", 38),
    ("425", "Seattle", 11),
    ("253", "Seattle", 7),
    ("360", "Seattle", 5),
    ("509", "Seattle", 4),
    ("503", "Seattle", 3),
    ("415", "Seattle", 4),
    ("510", "Seattle", 2),
    ("425", "Bellevue", 4),
    ("253", "Tacoma", 4),
    ("360", "Olympia", 3),
    ("509", "Spokane", 3),
    ("503", "Portland", 4),
    ("971", "Portland", 3),
    ("415", "San Francisco", 4),
    ("510", "Oakland", 2),
    ("650", "San Mateo", 2),
    ("305", "Miami", 2),
    ("405", "Oklahoma City", 2),
    ("808", "Honolulu", 1),
]
CHINESE_CITIES = [("Shanghai", 78), ("Hangzhou", 8), ("Suzhou", 7), ("Beijing", 4), ("Shenzhen", 3)]
CHINESE_PREFIXES = ["135", "136", "138", "139", "150", "159", "186", "189"]
WOMEN = (
    "Ana Amina Aoife Asha Astrid Beatriz Chidinma Chloe Dalia Eleni Emma Esperanza Farah Fatima Freya Grace Hana "
    "Ingrid Isabela Jasmine Jin-a Kalani Katarzyna Keisha Lakshmi Leilani Linh Lucia Mai Maya Mei Mónica Nadia "
    "Naomi Noor Olivia Oluchi Priya Rosa Ruth Sakura Selam Siobhán Sofia Tala Thandiwe Valentina Yara Zeynep Zoë"
)
MEN = (
    "Ahmed Aleksandar Andrés Arjun Bao Carlos Daniel Dmitri Emeka Ethan Faisal Finn Gabriel Giorgos Hamza Hiroshi "
    "Ibrahim Jamal James João José Juan Kai Kofi Kwame Lars Liam Luca Mateo Mikael Minh Mohammed Nikhil Noah Omar "
    "Pavel Pedro Rafael Ravi Samir Santiago Sione Tariq Tenzin Thomas Tomás Viktor William Yusuf Zoran"
)
SURNAMES = (
    "Abebe Adeyemi Ahmadi Andersen Baker Begum Bianchi Brown Castillo Chaudhry Cohen Costa Cruz Dang Davis "
    "Delgado Diallo Dubois Eriksson Fernández Fischer Flores García Gebre Haddad Hansen Hassan Hernandez Hoang "
    "Horvat Ito Ivanova Jackson Johnson Kahale Kamau Kaur Kim Kowalski Kumar Larsen Lee Lopez Mahlangu Martin "
    "Mensah Miller Molina Morales Murphy Nakamura Nguyen Novak O'Brien Okafor Olsen Ortiz Papadopoulos Park Patel "
    "Pereira Petrov Popescu Rahman Ramos Reyes Rossi Sato Schmidt Singh Smith Sørensen Tadesse Tanaka Torres Tran "
    "Tuiasosopo Vargas Walker Wang Watanabe Williams Wilson Yamamoto Yılmaz Zhang"
)
CHINESE_SURNAMES = "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗 梁 宋 郑 谢 韩 唐 冯 于 董 萧 欧阳 上官"
CHINESE_WOMEN = "静怡 欣怡 雨涵 梦洁 佳琪 晓燕 丽娜 婷婷 思雨 若曦 芳 敏 雪 兰 诗涵 紫萱 美玲 秀英 文静 可欣 慧 悦"
CHINESE_MEN = "浩然 子轩 宇航 俊杰 志强 建国 明 伟 磊 鹏 博文 天宇 一鸣 家豪 思远 海涛 凯 泽宇 文博 晨 旭东 国栋"
PIKE_PLACE, NANJING_ROAD = (47.6097, -122.3425), (31.2354, 121.4786)


def main(path: Path = SAMPLE) -> None:
    """Write the sample."""
    chance = random.Random(20655)
    people = americans(chance) + chinese(chance)
    people[0].update(FIRST)
    people[1].update(SECOND)
    chance.shuffle(people)
    people.sort(key=lambda person: person["phone"] != FIRST["phone"])  # the one whom the tour texts stands first
    lines = people + repeats(people[100:105])
    for place, broken in zip((211, 504, 777), BROKEN, strict=True):
        lines.insert(place, broken)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADINGS.split(","), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


FIRST = {
    "phone": "+12065550142",
    "first_name": "Maya",
    "last_name": "Okafor",
    "language": "en",
    "city": "Seattle",
    "birthday": "2004-03-14",
    "gender": "female",
    "favourite": "latte",
    "tier": "gold",
    "tags": "student;newsletter",
    "lat": "",
    "lon": "",
    "seen": "",
    "consent": "yes",
    "consent_time": "2026-03-14T10:22:00-07:00",
    "consent_source": "form",
}
SECOND = FIRST | {
    "phone": "+12065550143",
    "first_name": "Daniel",
    "last_name": "Kowalski",
    "birthday": "2005-11-02",
    "gender": "male",
    "favourite": "mocha",
    "tier": "silver",
    "tags": "student",
    "consent_time": "2026-02-09T17:05:00-08:00",
}
BROKEN = (
    {"phone": "1.38E+10", "first_name": "婷婷", "last_name": "周", "language": "zh", "city": "Shanghai"},
    {"phone": "206-555-01", "first_name": "Pavel", "last_name": "Novak", "language": "en", "city": "Seattle"},
    {"phone": "ask at the till", "first_name": "Grace", "last_name": "Kim", "language": "en", "city": "Tacoma"},
)


def americans(chance: random.Random) -> list[dict[str, str]]:
    """The people with an American number: the first two phones are those of the tour."""
    lines = {code: [f"{number:04d}" for number in range(100, 200)] for code, _, _ in AREAS}
    lines["206"] = ["0142", "0143", *(line for line in lines["206"] if line not in {"0142", "0143"})]
    people = []
    for index in range(AMERICANS):
        weights = [weight if lines[code] else 0 for code, _, weight in AREAS]
        code, city, _ = AREAS[0] if index < 2 else chance.choices(AREAS, weights)[0]
        line = lines[code].pop(0)
        woman = chance.random() < 0.53
        person = someone(chance, woman=woman, zone_hours=-8, home=PIKE_PLACE if city == "Seattle" else None)
        names = {
            "first_name": chance.choice((WOMEN if woman else MEN).split()),
            "last_name": chance.choice(SURNAMES.split()),
        }
        people.append({"phone": spelled(chance, code, line), **names, "language": "en", "city": city, **person})
    return people


def chinese(chance: random.Random) -> list[dict[str, str]]:
    """The people with a Chinese number."""
    people = []
    for index in range(CHINESE):
        city = chance.choices([name for name, _ in CHINESE_CITIES], [weight for _, weight in CHINESE_CITIES])[0]
        woman = chance.random() < 0.55
        person = someone(chance, woman=woman, zone_hours=8, home=NANJING_ROAD if city == "Shanghai" else None)
        prefix = chance.choice(CHINESE_PREFIXES)
        names = {
            "first_name": chance.choice((CHINESE_WOMEN if woman else CHINESE_MEN).split()),
            "last_name": chance.choice(CHINESE_SURNAMES.split()),
        }
        plus = chance.choices(["+86", "0086 ", "＋８６"], [94, 4, 2])[0]
        phone = f"{plus}{prefix}0000{index * 7:04d}"
        people.append({"phone": phone, **names, "language": "zh", "city": city, **person})
    return people


def spelled(chance: random.Random, code: str, line: str) -> str:
    """An American number as a list kept by hand has it: nearly always alike."""
    spellings = [f"+1{code}555{line}", f"({code}) 555-{line}", f"{code}.555.{line}", f"1-{code}-555-{line}"]
    return spellings[0] if line in {"0142", "0143"} else chance.choices(spellings, [90, 5, 3, 2])[0]


def someone(chance: random.Random, *, woman: bool, zone_hours: int, home: tuple[float, float] | None) -> dict[str, str]:
    """What is known of a person besides name and number; about half are 17-25 in 2026 and the years after."""
    youngest, oldest = chance.choices([(2009, 2010), (2004, 2008), (2001, 2003), (1994, 2000), (1948, 1993)], BORN)[0]
    born = date(chance.randint(youngest, oldest), 1, 1) + timedelta(chance.randrange(365))
    student = 2001 <= born.year <= 2009 and chance.random() < 0.7
    kept = [("student", student), ("vip", chance.random() < 0.08), ("newsletter", chance.random() < 0.35)]
    return {
        "birthday": born.isoformat() if chance.random() < 0.97 else "",
        "gender": chance.choices(["female" if woman else "male", "other", ""], [94, 2, 4])[0],
        "favourite": chance.choices(["latte", "mocha", "tea", ""], [38, 27, 25, 10])[0],
        "tier": chance.choices(["gold", "silver", "bronze", ""], [12, 28, 48, 12])[0],
        "tags": ";".join(tag for tag, has in kept if has),
        **position(chance, home),
        **consent(chance, zone_hours),
    }


BORN = [6, 42, 10, 14, 28]


def position(chance: random.Random, home: tuple[float, float] | None) -> dict[str, str]:
    """Where the phone was last: for one in eight near a shop, some of them just now."""
    if home is None or chance.random() > 0.13:
        return {}
    lat, lon = (round(degrees + chance.gauss(0, 0.004), 4) for degrees in home)
    ago = chance.choice([f"{chance.randint(2, 11) * 5} min ago", f"{chance.randint(1, 9)} h ago"])
    return {"lat": f"{lat:.4f}", "lon": f"{lon:.4f}", "seen": ago}


def consent(chance: random.Random, zone_hours: int) -> dict[str, str]:
    """Yes with time and source for 95 of 100; the rest said no or were never asked."""
    if chance.random() > 0.95:
        return {"consent": chance.choice(["no", ""])}
    at = datetime(2025, 1, 2, 8, tzinfo=UTC) + timedelta(days=chance.randrange(600), minutes=chance.randrange(600))
    hours = f"{zone_hours:+03d}:00"
    return {"consent": "yes", "consent_time": at.strftime(f"%Y-%m-%dT%H:%M:00{hours}"), "consent_source": "form"}


def repeats(people: list[dict[str, str]]) -> list[dict[str, str]]:
    """Later lines of people who are there already: each brings a single thing that is new."""
    return [
        {"phone": person["phone"], "first_name": person["first_name"], **news}
        for person, news in zip(
            people,
            (
                {"favourite": "latte"},
                {"tier": "gold"},
                {"tags": "vip;newsletter"},
                {"favourite": "tea"},
                {"tier": "silver"},
            ),
            strict=True,
        )
    ]


if __name__ == "__main__":
    main()
