"""Studies of real data against figures of other software."""

from __future__ import annotations

import pytest

from hdsl import driver
from hdsl.backend import Settings
from hdsl.diagnostics import has_errors
from tests.cases.compare import names
from tests.cases.studies import HERE, CaseStudy, all_studies, compare

STUDIES = list(all_studies())
EACH = pytest.mark.parametrize("study", STUDIES, ids=[f"{s.case}-{s.fit}" for s in STUDIES])


@EACH
def test_study_derives(study: CaseStudy) -> None:
    derived = driver.derive(study.path)
    assert not has_errors(derived.diagnostics), derived.diagnostics
    assert derived.checked.bound is not None
    assert derived.checked.bound.rows == study.rows
    assert derived.model is not None
    roles = {reported.role for reported in derived.model.reported}
    wanted = {name.partition("@")[0].strip() for quantity in study.quantities for name in names(quantity.of)}
    assert wanted <= roles, wanted - roles


@pytest.mark.cases
@pytest.mark.slow
@pytest.mark.timeout(900)
@EACH
def test_fit_agrees(study: CaseStudy) -> None:
    result = driver.run(study.path, settings=Settings(draws=study.draws, seed=1))
    assert result.diagnosis.verdict != "fail", result.verdict
    compared = compare(study, result)
    far = [
        f"{found.quantity.name}: {check.what}: {check.distance:.3g} > {check.limit:.3g}"
        for found in compared
        for check in found.checks
        if not (check.holds or found.quantity.differs)
    ]
    assert not far, "\n".join(far)
    assert not [found.quantity.name for found in compared if found.quantity.differs and found.agrees]


def test_every_study_has_figures() -> None:
    files = {path for study in STUDIES for path in (study.path,)}
    here = {path for study in STUDIES for path in study.path.parent.glob("*.hdm")}
    assert files == here


@pytest.mark.parametrize(("fit", "there"), [("school-varying", False), ("school-fixed", True)])
def test_treated_share_enters_by_design_not_by_chance(fit: str, there: bool) -> None:
    model = driver.derive(HERE / "star-kindergarten" / f"{fit}.hdm").model
    assert model is not None
    assert any("mean(class_type, school)" in reported.role for reported in model.reported) == there
