"""Sound designs survive every way out and in, and the checks find no error of names or structure in them."""

from __future__ import annotations

from hypothesis import given

from hdsl import Study
from hdsl.checks import check_study
from tests.designs import designs


@given(designs())
def test_designs_return_from_text_and_json(study: Study) -> None:
    assert Study.from_text(study.to_text()) == study
    assert Study.from_json(study.to_json()) == study


@given(designs())
def test_designs_have_no_errors(study: Study) -> None:
    assert [found for found in check_study(study) if found.severity == "error"] == []
