"""What `hdsl run --json` prints is what docs/run.schema.json says, and docs/json.md names every part of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hdsl.cli import main

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "run.schema.json").read_text())
EXAMPLE = str(ROOT / "examples" / "eight_schools" / "eight_schools.hdm")
SHORT = ["--chains", "1", "--draws", "40", "--warmup", "40"]
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
WORDS = {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "pattern", "anyOf", "$ref"}
NOTES = {"description", "title", "$schema", "$defs"}


def problems(value: Any, schema: Mapping[str, Any], place: str = "$") -> Iterator[str]:
    """What is wrong with a value, by the part of JSON Schema that is in use; other words are an error."""
    assert set(schema) <= WORDS | NOTES, sorted(set(schema) - WORDS - NOTES)
    if "$ref" in schema:
        yield from problems(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], place)
    if "anyOf" in schema:
        found = [list(problems(value, each, place)) for each in schema["anyOf"]]
        yield from min(found, key=len) if all(found) else ()
    if "type" in schema and not _is_of(value, schema["type"]):
        yield f"{place} is no {schema['type']}: {value!r}"
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{place} is {value!r}"
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        yield f"{place} is {value!r}"
    if isinstance(value, dict):
        yield from _entries(value, schema, place)
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from problems(item, schema.get("items", {}), f"{place}[{number}]")


def _is_of(value: Any, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(isinstance(value, TYPES[name]) for name in names) and not isinstance(value, bool)


def _entries(value: dict[str, Any], schema: Mapping[str, Any], place: str) -> Iterator[str]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    yield from (f"{place} has no {name}" for name in schema.get("required", []) if name not in value)
    for name, entry in value.items():
        if name not in known and rest is False:
            yield f"{place} has {name}, which the schema does not know"
            continue
        yield from problems(entry, known.get(name, rest or {}), f"{place}.{name}")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["run", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_run_is_as_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = printed(capsys, EXAMPLE, *SHORT)
    assert code in (0, 3)
    assert list(problems(found, SCHEMA)) == []
    assert list(problems(found, SCHEMA["$defs"]["result"])) == []
    roles = {(each["role"], *each["index"].items()) for each in found["parameters"]}
    assert {("intercept",), ("intercept[school]", ("school", "3"))} <= roles
    assert any(each["code"] == "HDM706" for each in found["warnings"])
    assert found["diagnostics"]["max_rhat"] is None


def test_a_refusal_is_as_the_schema_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.hdm"
    wrong.write_text("study s\nunit person { outcome y : reel }\nassign z to person by complete(0.5)\n")
    code, found = printed(capsys, str(wrong))
    assert code == 1
    assert list(problems(found, SCHEMA["$defs"]["refused"])) == []
    assert found["diagnostics"][0]["span"]["line"] == 2


def test_no_run_with_a_missing_part_or_a_strange_one_passes(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = printed(capsys, EXAMPLE, *SHORT)
    for name in list(found):
        assert list(problems({k: v for k, v in found.items() if k != name}, SCHEMA)), name
    assert list(problems({**found, "extra": 1}, SCHEMA))
    assert list(problems({**found, "estimands": [{"name": "a"}]}, SCHEMA))
    assert list(problems({**found, "diagnostics": {**found["diagnostics"], "verdict": "fine"}}, SCHEMA))


def test_the_page_names_every_part() -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    names = {name for part in SCHEMA["$defs"].values() for name in part["properties"]}
    assert {name for name in names if f"`{name}`" not in page} == set()
