"""Text, JSON and back: every study is found again."""

from __future__ import annotations

import json

from hypothesis import given

from hdsl.design import ir
from hdsl.design.from_syntax import to_study
from hdsl.design.study import Study, json_schema
from hdsl.source import Source
from hdsl.syntax.parse import parse
from tests.strategies import studies


def read(text: str) -> Study:
    """The study of a text without errors."""
    file, findings = parse(Source.of("study.hdm", text))
    assert findings == []
    study, _, findings = to_study(file)
    assert findings == []
    assert study is not None
    return study


@given(studies())
def test_text_round_trip(study: Study) -> None:
    text = study.to_text()
    assert read(text) == study
    assert read(text).to_text() == text


@given(studies())
def test_json_round_trip(study: Study) -> None:
    found = Study.from_json(study.to_json())
    assert found == study
    assert type(found) is Study
    assert ir.StudyFields.model_validate(json.loads(study.to_json())).model_dump() == study.model_dump()


@given(studies())
def test_equal_studies_have_equal_hashes(study: Study) -> None:
    assert hash(Study.from_json(study.to_json())) == hash(study)


def test_json_schema_names_every_part() -> None:
    schema = json_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(ir.StudyFields.model_fields) == set(schema["properties"])
    assert schema["properties"]["hdm"]["const"] == 1
    assert {"Level", "Treatment", "Aggregate", "Adjust"} <= set(schema["$defs"])
