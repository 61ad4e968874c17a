"""A config is read into its model, or every mistake in it is told at its place."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Discriminator, Field

from gateway.config import (
    KEY,
    ConfigErrors,
    Document,
    Finding,
    Loaded,
    Name,
    Named,
    Secret,
    Settings,
    load,
)
from gateway.values import Duration, LocalText


class Door(Settings):
    """A door."""

    wide: int = Field(1, ge=1, le=9)


class Shop(Named):
    """A shop."""

    later: ClassVar[dict[str, str]] = {"roof": "roofs come with winter"}

    name: LocalText = Field(description="What people read.", examples=["Pike Place"])
    kind: Literal["kiosk", "hall"] = "kiosk"
    is_open: bool = True
    door: Door = Door()
    near: tuple[Annotated[str, Name("shops")], ...] = ()
    key_file: Secret | None = None


class Town(Document):
    """A town."""

    rest: Duration | None = None
    mayor: str = Field(description="Who rules.")
    shops: Mapping[str, Shop] = {}

    def findings(self) -> Iterable[Finding]:
        for name, shop in self.shops.items():
            if shop.kind == "hall" and shop.door.wide < 2:
                yield Finding(("shops", name, "door", "wide"), "too narrow for a hall")
            if not shop.is_open:
                yield Finding(("shops", name, KEY), "is closed", is_warning=True)


def town(folder: Path, text: str, **environ: str) -> Loaded[Town]:
    path = folder / "town.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, Town, environ)


def mistakes(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        town(folder, text, **environ)
    return [f"{one.line}:{one.column}: {one.text}" for one in caught.value.mistakes]


def test_a_config_without_mistakes_becomes_its_model(tmp_path: Path) -> None:
    loaded = town(tmp_path, "mayor: no\nrest: 30 d\nshops:\n  pike: {name: 017, door: {wide: 3}, is_open: yes}\n")
    assert loaded.value.mayor == "no"
    assert loaded.value.shops["pike"].key == "pike"
    assert loaded.value.shops["pike"].name.say("en") == "017"
    assert loaded.value.shops["pike"].door.wide == 3
    assert loaded.warnings == ()


def test_every_mistake_is_told_at_once_and_in_order(tmp_path: Path) -> None:
    text = (
        "rest: 30\n"
        "shops:\n"
        "  pike: {nme: Pike, kind: kiosc, door: {wide: 12}}\n"
        "  hall: {name: Hall, near: [pike, pikee], roof: red, is_open: perhaps}\n"
        "  stall: just this\n"
        "shop: {}\n"
        "mayor: [a, b]\n"
    )
    assert mistakes(tmp_path, text) == [
        "1:7: found 30 without a unit; units are s, min, h, d, w: 30 d?",
        "3:3: name is missing; What people read, for example Pike Place",
        '3:10: no setting "nme" in shops.pike; did you mean name?',
        '3:27: found "kiosc", expected kiosk or hall; did you mean kiosk?',
        '3:47: found "12", expected at most 9',
        '4:35: no shop "pikee"; did you mean pike (line 3)?',
        '4:43: "roof" is not known yet: roofs come with winter',
        '4:63: found "perhaps", expected yes or no',
        '5:10: found "just this", expected settings, each a key, a colon, a space and a value',
        '6:1: no setting "shop" in the file; did you mean shops?',
        '7:8: found a list, expected a text (put quotes around one that holds ": " or ", ")',
    ]


def test_a_mistake_names_file_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        town(tmp_path, "mayor: x\nrest: 5\n")
    assert str(caught.value).startswith(f"{tmp_path}/town.yaml:2:7: found 5 without a unit")


def test_what_is_missing_at_the_top_is_told(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "rest: 1 d\n") == ["1:1: mayor is missing; Who rules."]


def test_a_broken_part_is_told_once_and_hides_nothing_else(tmp_path: Path) -> None:
    text = (
        "mayor: x\nshops:\n  pike:\n    name: Pike: the market\n    kind: kiosc\n  hall: {name: Hall, near: [pike]}\n"
    )
    assert mistakes(tmp_path, text) == [
        '4:11: put quotes around this text: "Pike: the market"',
        '5:11: found "kiosc", expected kiosk or hall; did you mean kiosk?',
    ]


def test_names_in_a_section_that_cannot_be_read_are_not_called_unknown(tmp_path: Path) -> None:
    class Street(Town):
        """A street."""

        first: Annotated[str, Name("shops")]

    path = tmp_path / "street.yaml"
    path.write_text("mayor: x\nfirst: pike\nshops: {pike: {name: Which?, x: y}}\n")
    with pytest.raises(ConfigErrors) as caught:
        load(path, Street, {})
    assert [one.line for one in caught.value.mistakes] == [3]


def test_a_key_with_nothing_behind_it_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "mayor: x\nshops:\n  pike:\n    name: Pike\n    kind: #hall\n") == [
        '5:5: nothing stands behind "kind"; write something (a # begins a comment)'
    ]


def test_a_text_that_a_comma_cut_in_two_is_told(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "mayor: x\nshops:\n  pike: {name: {en: Hello, my friend, zh: 您好}}\n") == [
        '3:28: nothing stands behind "my friend"; write something (a text that holds ", " wants quotes)'
    ]


def test_an_empty_section_is_an_empty_section(tmp_path: Path) -> None:
    assert town(tmp_path, "mayor: x\nshops:\n  # none yet\n").value.shops == {}


def test_a_setting_that_the_environment_leaves_empty_is_as_if_it_were_not_written(tmp_path: Path) -> None:
    text = "mayor: x\nshops:\n  pike: {name: Pike, key_file: '${KEY_FILE:-}'}\n"
    assert town(tmp_path, text).value.shops["pike"].key_file is None


def test_a_needed_setting_that_the_environment_leaves_empty_is_missing(tmp_path: Path) -> None:
    text = "mayor: x\nshops:\n  pike: {name: '${PIKE:-}'}\n"
    assert mistakes(tmp_path, text) == ["3:3: name is missing; What people read, for example Pike Place"]


def test_a_number_from_the_environment_is_read_as_one(tmp_path: Path) -> None:
    text = "mayor: x\nshops:\n  pike: {name: Pike, door: {wide: '${WIDE}'}}\n"
    assert town(tmp_path, text, WIDE="7").value.shops["pike"].door.wide == 7


def test_a_name_stands_for_itself_and_cannot_be_written_as_key(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "mayor: x\nshops:\n  pike: {name: Pike, key: market}\n") == [
        '3:22: no setting "key"; the name above is the key'
    ]


def test_a_check_of_the_model_points_to_the_value(tmp_path: Path) -> None:
    text = "mayor: x\nshops:\n  hall: {name: Hall, kind: hall, door: {wide: 1}}\n"
    assert mistakes(tmp_path, text) == ["3:47: too narrow for a hall"]


def test_the_models_checks_run_beside_other_mistakes(tmp_path: Path) -> None:
    text = "rest: 1\nshops:\n  hall: {name: Hall, kind: hall, door: {wide: 1}}\n  pike: {kind: hall}\n"
    assert [one.partition(":")[0] for one in mistakes(tmp_path, text)] == ["1", "1", "3", "4"]


def test_a_warning_stops_nothing(tmp_path: Path) -> None:
    loaded = town(tmp_path, "mayor: x\nshops:\n  pike: {name: Pike, is_open: no}\n")
    assert [(one.line, one.column, one.text) for one in loaded.warnings] == [(3, 3, "is closed")]


def test_a_caller_may_add_a_check(tmp_path: Path) -> None:
    path = tmp_path / "town.yaml"
    path.write_text("rest: 1 d\nmayor: x\n")
    with pytest.raises(ConfigErrors, match=r"town\.yaml:2:8: no such mayor"):
        load(path, Town, {}, also=lambda value: [Finding(("mayor",), "no such mayor")])


def test_a_secret_is_read_without_its_line_end_and_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    loaded = town(tmp_path, "mayor: x\nshops:\n  pike: {name: Pike, key_file: key}\n")
    key = loaded.value.shops["pike"].key_file
    assert key is not None
    assert key.text == "s3cret"
    assert "s3cret" not in repr(loaded)
    assert loaded.warnings == ()


def test_a_secret_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    (warning,) = town(tmp_path, "mayor: x\nshops:\n  pike: {name: Pike, key_file: key}\n").warnings
    assert (warning.line, warning.column) == (3, 32)
    assert "chmod 600" in warning.text


def test_a_secret_that_is_not_there_is_told_at_its_place(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "mayor: x\nshops:\n  pike: {name: Pike, key_file: keys/gone}\n") == [
        "3:32: cannot read the secret in keys/gone: No such file or directory"
    ]


def test_secrets_may_be_found_from_another_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "key").write_text("s3cret")
    path = tmp_path / "town.yaml"
    path.write_text("mayor: x\nshops:\n  pike: {name: Pike, key_file: key}\n")
    key = load(path, Town, {}, home=home).value.shops["pike"].key_file
    assert key is not None
    assert key.path == home / "key"


def test_included_files_bring_their_names(tmp_path: Path) -> None:
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "a.yaml").write_text("shops: {pike: {name: Pike}}\n")
    (tmp_path / "shops" / "b.yaml").write_text("shops: {hall: {name: Hall, near: [pike]}}\nrest: 1 d\n")
    loaded = town(tmp_path, "include: [shops/*.yaml]\nmayor: x\nshops: {stall: {name: Stall}}\n")
    assert list(loaded.value.shops) == ["stall", "pike", "hall"]
    assert [path.name for path in loaded.sources] == ["town.yaml", "a.yaml", "b.yaml"]
    assert loaded.position(("shops", "hall", "near", 0)) == (str(tmp_path / "shops" / "b.yaml"), 1, 35)


def test_a_name_that_stands_twice_cites_both_places(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("mayor: y\nshops:\n  pike: {name: Pike}\n")
    with pytest.raises(ConfigErrors) as caught:
        town(tmp_path, "include: [more.yaml]\nmayor: x\nshops:\n  pike: {name: Pike}\n")
    assert [str(one).replace(f"{tmp_path}/", "") for one in caught.value.mistakes] == [
        "more.yaml:1:1: mayor stands twice; it is already in town.yaml:2",
        "more.yaml:3:3: shops.pike stands twice; it is already in town.yaml:4",
    ]


def test_a_near_name_in_another_file_is_cited_with_that_file(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("shops:\n  pike: {name: Pike}\n")
    text = "include: [more.yaml]\nmayor: x\nshops: {hall: {name: Hall, near: [pke]}}\n"
    assert mistakes(tmp_path, text) == [f'3:35: no shop "pke"; did you mean pike ({tmp_path}/more.yaml:2)?']


def test_what_cannot_be_included_is_told(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("include: [town.yaml]\n")
    text = "include: [gone.yaml, more.yaml, town.yaml, {}]\nmayor: x\n"
    with pytest.raises(ConfigErrors) as caught:
        town(tmp_path, text)
    assert [str(one).replace(f"{tmp_path}/", "") for one in caught.value.mistakes] == [
        "more.yaml:1:1: only town.yaml itself can include files",
        'town.yaml:1:11: no file "gone.yaml"',
        "town.yaml:1:33: town.yaml is read already",
        "town.yaml:1:44: expected the name of a file such as campaigns/*.yaml",
    ]


def test_the_environment_chooses_what_is_included(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text("mayor: y\n")
    assert town(tmp_path, "include: ['${WHERE:-simulator}.yaml']\n", WHERE="live").value.mayor == "y"


def test_a_pattern_that_fits_no_file_is_a_warning(tmp_path: Path) -> None:
    (warning,) = town(tmp_path, "include: [campaigns/*.yaml]\nmayor: x\n").warnings
    assert (warning.line, warning.column, warning.text) == (1, 11, 'no file fits "campaigns/*.yaml"')


def test_comments_and_layout_do_not_change_the_digest(tmp_path: Path) -> None:
    one = town(tmp_path, "mayor: x\nshops: {pike: {name: Pike}}\n").digest
    assert town(tmp_path, "# ours\nmayor:   'x'\nshops:\n  pike:\n    name: Pike\n").digest == one


def test_a_word_or_the_environment_changes_the_digest(tmp_path: Path) -> None:
    digests = {
        town(tmp_path, "mayor: x\n").digest,
        town(tmp_path, "mayor: y\n").digest,
        town(tmp_path, "mayor: ${WHO}\n", WHO="z").digest,
    }
    assert len(digests) == 3


def test_a_position_is_that_of_the_value_or_of_its_key(tmp_path: Path) -> None:
    loaded = town(tmp_path, "mayor: x\nshops:\n  pike: {name: Pike, door: {wide: 3}}\n")
    assert loaded.position(("shops", "pike", "door", "wide"))[1:] == (3, 35)
    assert loaded.position(("shops", "pike", "door", "wide", KEY))[1:] == (3, 29)
    assert loaded.position(("shops", "pike", "door", "high", "low"))[1:] == (3, 28)


def test_a_file_that_cannot_be_read_is_the_only_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path / "gone.yaml", Town, {})
    assert str(caught.value) == f"{tmp_path}/gone.yaml:1:1: cannot read this file: No such file or directory"


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "town.yaml"
    path.write_bytes("mayor: x\n# 灯笼\n".encode("gbk"))
    with pytest.raises(ConfigErrors, match=r":2:1: found bytes that are not UTF-8; save the file as UTF-8"):
        load(path, Town, {})


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "mayor: x\n" + "#" * 1_000_000) == [
        "1:1: found 1,000,009 bytes, expected at most 1,000,000"
    ]


def test_beside_something_unreadable_nothing_is_called_missing(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "mayor: x\nshops:\n  pike:\n    door: {wide: 1\n    kind: hall\n") == [
        "4:11: this { is not closed with }"
    ]


def test_a_list_of_wrong_names_is_not_called_too_short_as_well(tmp_path: Path) -> None:
    class Street(Town):
        """A street."""

        corners: tuple[Annotated[str, Name("shops")], ...] = Field(min_length=1)

    path = tmp_path / "street.yaml"
    path.write_text("mayor: x\ncorners: [pik]\nshops: {pike: {name: Pike}}\n")
    with pytest.raises(ConfigErrors) as caught:
        load(path, Street, {})
    assert [one.text for one in caught.value.mistakes] == ['no shop "pik"; did you mean pike (line 3)?']


class Boat(Named):
    """A boat."""

    later: ClassVar[dict[str, str]] = {"motor": "motors come with summer"}

    kind: Literal["boat"]
    sails: int = Field(description="How many sails.", examples=["2"])


class Cart(Named):
    """A cart."""

    kind: Literal["cart", "waggon"]
    wheels: int = 2
    door: Door = Door()


class Harbour(Document):
    """A harbour."""

    vessels: Mapping[str, Annotated[Boat | Cart, Discriminator("kind")]]


def harbour(folder: Path, text: str) -> Loaded[Harbour]:
    path = folder / "harbour.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, Harbour, {})


def vessel_mistakes(folder: Path, *lines: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        harbour(folder, "\n  ".join(["vessels:", *lines]))
    return [f"{one.line}:{one.column}: {one.text}" for one in caught.value.mistakes]


def test_of_several_models_the_one_that_is_named_is_read(tmp_path: Path) -> None:
    value = harbour(tmp_path, "vessels: {a: {kind: boat, sails: 2}, b: {kind: waggon, door: {wide: 3}}}").value
    assert value.vessels["a"] == Boat(key="a", kind="boat", sails=2)
    assert value.vessels["b"] == Cart(key="b", kind="waggon", door=Door(wide=3))


def test_mistakes_in_one_of_several_models_are_told_as_in_any_other(tmp_path: Path) -> None:
    assert vessel_mistakes(
        tmp_path,
        "a: {kind: boat, sales: 2, motor: big}",
        "b: {kind: cart, wheels: four, door: {wide: 12, hight: 1}}",
        "c: {kind: waggon, sails: 2, key: c}",
    ) == [
        "2:3: sails is missing; How many sails, for example 2",
        '2:19: no setting "sales" in vessels.a; did you mean sails?',
        '2:29: "motor" is not known yet: motors come with summer',
        '3:27: found "four", expected a whole number',
        '3:46: found "12", expected at most 9',
        '3:50: no setting "hight" in vessels.b.door; there are wide',
        '4:21: no setting "sails" in vessels.c; there are kind, wheels, door',
        '4:31: no setting "key"; the name above is the key',
    ]


def test_a_wrong_word_for_the_model_is_told_and_hides_no_other_mistake(tmp_path: Path) -> None:
    assert vessel_mistakes(
        tmp_path, "a: {kind: baot, sales: 2}", "b: {kind: plane, sails: 2}", "c: {kind: [boat]}"
    ) == [
        "2:3: sails is missing; How many sails, for example 2",
        '2:13: found "baot", expected boat, cart or waggon; did you mean boat?',
        '2:19: no setting "sales" in vessels.a; did you mean sails?',
        '3:13: found "plane", expected boat, cart or waggon',
        "4:13: found a list, expected boat, cart or waggon",
    ]


def test_a_missing_word_for_the_model_is_told(tmp_path: Path) -> None:
    assert vessel_mistakes(tmp_path, "a: {sails: 2}", "b:", "  kind: #boat", "  sails: 2", "c: boat") == [
        "2:3: kind is missing; expected boat, cart or waggon",
        '4:5: nothing stands behind "kind"; write something (a # begins a comment)',
        '6:6: found "boat", expected settings, each a key, a colon, a space and a value',
    ]
