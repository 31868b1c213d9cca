"""Posteriors with gaps modelled, against multiple imputation by R's mice and lme4 (README.md)."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hdsl import driver
from hdsl.backend import Settings

HERE = Path(__file__).parent
INCOMES = HERE.parents[1] / "examples/incomes/incomes.hdm"
STUDIES = {
    "incomes": (INCOMES, "effect(tutor)", "slope(pretest)", "slope(log(income))"),
    "smokers": (HERE / "smokers.hdm", "effect(t)", "slope(w)", "slope(smokes)"),
}
TERMS = {"incomes": ("tutor", "pretest", "log_income"), "smokers": ("t", "w", "smokes")}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", STUDIES)
def test_gaps_are_filled_as_by_multiple_imputation(name: str) -> None:
    with (HERE / "pooled.csv").open() as file:
        pooled = {(row["study"], row["term"]): row for row in csv.DictReader(file)}
    study, *roles = STUDIES[name]
    result = driver.run(study, settings=Settings(seed=1))
    found = {s.name: s for s in result.parameter_summaries if not s.index}
    for term, role in zip(TERMS[name], roles, strict=True):
        estimate, se = (float(pooled[name, term][key]) for key in ("estimate", "se"))
        assert abs(found[role].mean - estimate) < se, role
        assert 0.75 < found[role].sd / se < 1.25, role
