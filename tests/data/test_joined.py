"""Second tables: joined on ids, which may hold the ids of the levels above."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from hdsl.data.bind import bind
from hdsl.data.bound import Bound
from hdsl.data.sources import open_table
from hdsl.data.table import Table
from hdsl.design.parts import complete, covariate, outcome
from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic

PUPILS = {"a": "b1", "b": "b1", "c": "b2", "d": "b3"}
DISTRICTS = {"b1": "north", "b2": "north", "b3": "south"}


def _study(**groups: str | None) -> Study:
    return (
        Study("curriculum")
        .data("pupils.csv")
        .group("district", id="district", file=groups.get("district"))
        .group("school", id="school", within="district", file="schools.csv", variables=[covariate("size", "count")])
        .unit("pupil", id="pupil", within="school", variables=[outcome("score", "real")])
        .treatment("new", no=0, yes=1)
        .assign("new", to="school", within="district", by=complete(0.5))
    )


def _write(folder: Path, schools: str) -> None:
    rows = [f"{pupil},{school},{i}.5,{int(school != 'b1')}" for i, (pupil, school) in enumerate(PUPILS.items())]
    (folder / "pupils.csv").write_text("\n".join(["pupil,school,score,new", *rows]))
    (folder / "schools.csv").write_text(schools)


def _bound(folder: Path, study: Study) -> tuple[Bound | None, list[Diagnostic]]:
    return bind(study, folder)


def test_the_id_above_may_stand_only_in_the_second_table(tmp_path: Path) -> None:
    _write(tmp_path, "school,district,size\nb3,south,30\nb1,north,10\nb2,north,20\n")
    bound, problems = _bound(tmp_path, _study())
    assert bound is not None, problems
    assert bound.levels["district"].labels == ("north", "south")
    assert [bound.levels["district"].labels[i] for i in bound.levels["district"].rows] == [
        DISTRICTS[school] for school in PUPILS.values()
    ]
    np.testing.assert_array_equal(bound.at_rows("school", bound.variables["size"].values), [10, 10, 20, 30])


def test_a_chain_of_tables(tmp_path: Path) -> None:
    _write(tmp_path, "school,district,size\nb3,south,30\nb1,north,10\nb2,north,20\n")
    (tmp_path / "districts.csv").write_text("district,income\nsouth,7\nnorth,9\n")
    study = (
        Study("curriculum")
        .data("pupils.csv")
        .group("district", id="district", file="districts.csv", variables=[covariate("income", "real")])
        .group("school", id="school", within="district", file="schools.csv", variables=[covariate("size", "count")])
        .unit("pupil", id="pupil", within="school", variables=[outcome("score", "real")])
    )
    bound, problems = _bound(tmp_path, study)
    assert bound is not None, problems
    np.testing.assert_array_equal(bound.at_rows("district", bound.variables["income"].values), [9, 9, 9, 7])


def test_an_id_in_neither_table_is_told(tmp_path: Path) -> None:
    _write(tmp_path, "school,size\nb3,30\nb1,10\nb2,20\n")
    bound, problems = _bound(tmp_path, _study())
    assert bound is None
    assert [problem.code for problem in problems] == ["HDM217"]
    assert "'district'" in problems[0].message


def test_only_the_columns_in_use_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str] | None] = []

    def spied(locator: str, base: Path, columns: Sequence[str] | None = None) -> Table | list[Diagnostic]:
        asked.append(columns)
        return open_table(locator, base, columns)

    monkeypatch.setattr("hdsl.data.bind.open_table", spied)
    _write(tmp_path, "school,district,size,head,head\nb3,south,30,x,y\nb1,north,10,x,y\nb2,north,20,x,y\n")
    bound, problems = _bound(tmp_path, _study())
    assert bound is not None, problems
    assert asked[1] == ["district", "school", "size"]


def test_a_table_without_any_column_in_use(tmp_path: Path) -> None:
    _write(tmp_path, "building,head\nb3,x\n")
    bound, problems = _bound(tmp_path, _study())
    assert bound is None
    assert {problem.code for problem in problems} == {"HDM217"}


def test_accents_that_are_letters_of_their_own(tmp_path: Path) -> None:
    """Files from some systems spell é as e and an accent; names, ids and codes are the same in either form."""
    pupils = "élève,école,note,tutorat\n1,Zoé,3.5,privé\n2,Zoé,4.5,aucun\n3,René,5.5,privé\n4,René,4.0,aucun\n"
    (tmp_path / "pupils.csv").write_text(normalize("NFD", pupils))
    (tmp_path / "schools.csv").write_text(normalize("NFC", "école,crédits\nZoé,3\nRené,4\n"))
    study = (
        Study("école")
        .data("pupils.csv")
        .group("école", id="école", file="schools.csv", variables=[covariate("crédits", "real")])
        .unit("élève", id="élève", within="école", variables=[outcome("note", "real")])
        .treatment("tutorat", aucun="aucun", privé="privé")
        .assign("tutorat", to="élève", within="école", by=complete(0.5))
    )
    bound, problems = _bound(tmp_path, study)
    assert bound is not None, problems
    np.testing.assert_array_equal(bound.variables["crédits"].values[bound.levels["école"].rows], [3, 3, 4, 4])
    np.testing.assert_array_equal(bound.treatments["tutorat"].values, [1, 0, 1, 0])


@pytest.mark.parametrize(("dose", "codes"), [("0", []), ("-1", ["HDM352"])])
def test_a_dose_may_be_zero_and_not_negative(dose: str, codes: list[str], tmp_path: Path) -> None:
    (tmp_path / "pills.csv").write_text(f"mg,pain\n{dose},3.5\n10,2.5\n20,2.0\n")
    study = (
        Study("pills")
        .data("pills.csv")
        .unit("patient", variables=[outcome("pain", "real")])
        .treatment("mg", dose="positive")
        .assign("mg", to="patient", by=complete())
    )
    bound, problems = _bound(tmp_path, study)
    assert [problem.code for problem in problems if problem.severity == "error"] == codes
    assert (bound is None) == bool(codes)
