"""What editors and readers are told of config.yaml agrees with the models."""

from pathlib import Path
from typing import Any

from campaigns.schema import config_reference, json_schema, schema_text
from campaigns.settings import Config
from gateway.config import load

ROOT = Path(__file__).parents[2]


def shipped() -> Config:
    return load(ROOT / "config.yaml", Config, {}).value


def every(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [one for inside in part for one in every(inside)]
    return [part, *(one for inside in part.values() for one in every(inside))] if isinstance(part, dict) else []


def test_the_committed_schema_is_the_one_that_is_made() -> None:
    assert (ROOT / "docs" / "config.schema.json").read_text("utf-8") == schema_text(shipped())


def test_the_committed_reference_is_the_one_that_is_made() -> None:
    assert (ROOT / "docs" / "config.md").read_text("utf-8") == config_reference()


def test_an_editor_completes_the_files_own_names() -> None:
    segment = json_schema(shipped())["$defs"]["Audience"]["properties"]["segment"]
    assert segment["anyOf"][0] == {"enum": ["students", "near_the_market", "gone_quiet", "spring_crowd"]}


def test_an_editor_completes_attributes_and_their_values() -> None:
    keys = json_schema(shipped())["$defs"]["Segment"]["anyOf"][1]["properties"]
    assert keys["tier"]["anyOf"][0] == {"enum": ["gold", "silver", "bronze"]}


def test_without_a_file_no_names_are_offered() -> None:
    schema = json_schema(None)
    assert schema["$defs"]["Audience"]["properties"]["segment"] == {
        "type": ["string", "number", "boolean"], "description": "The segment that gets it.",
    }  # fmt: skip


def test_every_setting_is_described() -> None:
    for model in every(json_schema(shipped())):
        for name, setting in model.get("properties", {}).items():
            if model.get("additionalProperties") is False and isinstance(setting, dict):
                described = "description" in setting or "$ref" in setting or name in ("last", "within")
                assert described or setting.get("anyOf"), name


def test_a_name_is_no_setting() -> None:
    schema = json_schema(shipped())
    assert all("key" not in model.get("properties", {}) for model in schema["$defs"].values())


def test_the_reference_names_every_section() -> None:
    reference = config_reference()
    assert all(f"## {section}\n" in reference for section in Config.model_fields)


def test_each_kind_of_carrier_has_a_table_of_its_own() -> None:
    channels = config_reference().partition("## channels\n")[2].partition("\n## ")[0]
    tables = {part.partition("\n")[0]: part for part in channels.split("### kind: ")[1:]}
    assert {"smpp", "http"} <= tables.keys()
    assert "| `window` |" in tables["smpp"]
    assert "| `window` |" not in tables["http"]
    assert all("| `price` | What one part costs. | must stand |" in table for table in tables.values())


def test_an_editor_tells_the_kinds_of_carrier_apart() -> None:
    schema = json_schema(shipped())
    lines = schema["properties"]["channels"]["additionalProperties"]["oneOf"]
    kinds = {schema["$defs"][line["$ref"].rpartition("/")[2]]["properties"]["kind"]["const"] for line in lines}
    assert {"smpp", "http"} <= kinds


def test_an_editor_takes_one_thing_or_a_list_where_a_rule_may_name_either() -> None:
    rule = json_schema(shipped())["$defs"]["RouteSettings"]["properties"]
    one = {"type": ["string", "number", "boolean"]}
    assert rule["country"]["anyOf"] == [one, {"type": "array", "items": one}]
    campaign, campaigns = rule["campaign"]["anyOf"]
    assert campaign["anyOf"][0] == campaigns["items"]["anyOf"][0] == {"enum": ["spring"]}
    assert rule["type"]["anyOf"][0]["enum"][:2] == ["mobile", "landline"]
