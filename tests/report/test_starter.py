"""Starter studies: what typical tables give, and that every table gives one that checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdsl.diagnostics import Diagnostic
from hdsl.driver import check
from hdsl.report.starter import beside, starter

type Columns = dict[str, Sequence[object]]
type Start = Callable[[Columns], tuple[str, list[Diagnostic]]]


def _start(folder: Path, columns: Columns) -> tuple[str, list[Diagnostic]]:
    """Return the starter study of a table and what the checks find in it."""
    csv.write_csv(pa.table({name: pa.array(list(values)) for name, values in columns.items()}), folder / "data.csv")
    text, found = starter(str(folder / "data.csv"), folder)
    assert text is not None
    assert found == []
    (folder / "data.hdm").write_text(text, encoding="utf-8")
    return text, list(check(folder / "data.hdm").diagnostics)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return lambda columns: _start(tmp_path, columns)


def errors(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    return [each for each in found if each.severity == "error"]


def multisite() -> Columns:
    """Six schools, each with classes 1 to 3 and pupils 1 to 8 in each class; pupils drawn."""
    random = np.random.default_rng(1)
    cells = [(s, c, p) for s in range(6) for c in range(1, 4) for p in range(1, 9)]
    return {
        "school": [f"S{s}" for s, _, _ in cells],
        "class": [c for _, c, _ in cells],
        "id": list(range(len(cells))),
        "treatment": [p % 2 for _, _, p in cells],
        "pretest": random.normal(50, 10, len(cells)).round(2).tolist(),
        "score": random.normal(50, 10, len(cells)).round(2).tolist(),
    }


def test_classes_in_schools_with_pupils_drawn(start: Start) -> None:
    text, found = start(multisite())
    assert "group school id school " in text
    assert "group class id class in school " in text
    assert "unit person id id in class {" in text
    assert "  covariate pretest : positive" in text
    assert "outcome score : real" in text
    assert "treatment treatment { control = 0, treated = 1 }" in text
    assert "assign treatment to person within class by complete(0.5)" in text
    assert "\nanalysis { adjust for pretest }" in text
    assert "score(treatment = treated) - score(treatment = control)" in text
    assert {each.severity for each in found} <= {"note"}


def test_whole_schools_drawn(start: Start) -> None:
    columns = multisite()
    columns["treatment"] = [int(str(school)[1:]) % 2 for school in columns["school"]]
    text, found = start(columns)
    assert "assign treatment to school by complete(0.5)" in text
    assert errors(found) == []


def test_a_covariate_stands_at_its_own_level(start: Start) -> None:
    columns = multisite()
    columns["poverty"] = [int(str(school)[1:]) / 10 + 0.05 for school in columns["school"]]
    text, found = start(columns)
    school, rest = text.split("group class", 1)
    assert "covariate poverty : proportion" in school
    assert "poverty" not in rest.split("analysis")[0]
    assert errors(found) == []


def test_people_in_waves(start: Start) -> None:
    cells = [(p, w) for p in range(20) for w in range(4) if (p, w) != (3, 2)]
    text, found = start(
        {
            "pid": [p for p, _ in cells],
            "wave": [w for _, w in cells],
            "arm": [["usual care", "mindful"][p % 2] for p, _ in cells],
            "stress": [p + 0.5 * w for p, w in cells],
        }
    )
    assert "group person id pid " in text
    assert "wave wave_2 id wave" in text or "wave wave id wave" in text
    assert "unit record in person * wave" in text
    assert 'treatment arm { usual_care = "usual care", mindful = "mindful" }' in text
    assert "assign arm to person by complete(0.5)" in text
    assert errors(found) == []


def test_crossed_raters(start: Start) -> None:
    random = np.random.default_rng(2)
    cells = [(e, r) for e in range(15) for r in range(5)]
    text, found = start(
        {
            "essay_id": [f"e{e}" for e, _ in cells],
            "rater": [f"r{r}" for _, r in cells],
            "condition": [["control", "feedback"][e % 2] for e, _ in cells],
            "mark": random.normal(size=len(cells)).tolist(),
        }
    )
    assert "unit record in essay * rater {" in text
    assert "assign condition to essay by complete" in text
    assert errors(found) == []


def test_arms_of_unequal_size_have_their_shares(start: Start) -> None:
    arms = ["placebo"] * 50 + ["high"] * 30 + ["low"] * 20
    text, found = start({"patient": list(range(100)), "arm": arms, "y": [float(i % 7) + 0.1 for i in range(100)]})
    assert 'treatment arm { placebo = "placebo", high = "high", low = "low" }' in text
    assert "by complete((50/100, 30/100, 20/100))" in text
    assert text.count("\nestimand ") == 2
    assert [each.code for each in found] == []


def test_a_third_treated_is_a_third(start: Start) -> None:
    text, _ = start({"id": list(range(90)), "z": [int(i % 3 == 0) for i in range(90)], "y": list(np.arange(90) / 7)})
    assert "by complete(1/3)" in text


def test_a_dose_is_a_number(start: Start) -> None:
    doses = [[0.0, 5.0, 10.0, 20.0][i % 4] for i in range(40)]
    text, found = start({"patient": list(range(40)), "dose_mg": doses, "sbp": [100 + i / 3 for i in range(40)]})
    assert "treatment dose_mg : real" in text
    assert errors(found) == []


def test_awkward_columns_are_quoted(start: Start) -> None:
    text, found = start(
        {
            "Pair No": [i // 2 for i in range(30)],
            "Arm (as randomised)": ["control", 'new "drug"'] * 15,
            "2nd score": [i / 3 for i in range(30)],
        }
    )
    assert 'group Pair id "Pair No"' in text
    assert 'new_drug = "new \\"drug\\""' in text
    assert 'outcome x_2nd_score : real column "2nd score"' in text
    assert errors(found) == []


def test_what_is_not_known_is_a_question(start: Start) -> None:
    text, found = start({"height": [1.5, 1.6, 1.7], "weight": [50.0, 60.0, 70.5]})
    assert "# outcome y : real    # Which column is the outcome?" in text
    assert "# treatment training { none = 0, trained = 1 }" in text
    assert [each.code for each in errors(found)] == ["HDM234"]


def test_the_data_count_from_the_folder_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.csv").write_text("id,z,y\n" + "".join(f"{i},{i % 2},{i / 3}\n" for i in range(9)))
    monkeypatch.chdir(tmp_path)
    for folder, shown in ((Path(), "data.csv"), (tmp_path, "data.csv"), (Path("a/b"), "../../data.csv")):
        text, _ = starter("data.csv", folder)
        assert text is not None
        assert f'data "{shown}"' in text
    text, _ = starter(str(tmp_path / "data.csv"), Path("a"))
    assert text is not None
    assert f'data "{tmp_path / "data.csv"}"' in text


def test_the_study_is_written_beside_the_data() -> None:
    assert beside("folder/trial.csv") == Path("folder/trial.hdm")
    assert beside("duckdb:///f.duckdb#people") == Path("people.hdm")
    assert beside(".").suffix == ".hdm"


def test_no_data_no_study(tmp_path: Path) -> None:
    assert starter(str(tmp_path / "none.csv"))[0] is None
    (tmp_path / "head.csv").write_text("a,b\n")
    text, found = starter(str(tmp_path / "head.csv"))
    assert text is None
    assert [each.code for each in found] == ["HDM362"]


NAMES = """
id pid school class school_id class_id student_id site district pair block week wave month year visit_no
treatment treat arm group z dose score y outcome pretest age sex unit study in of by 2x é_à data.1 a"b x,y essay rater
estimand
"""
KINDS = ("ids", "codes", "few", "binary", "labels", "real", "proportion", "text", "gaps", "constant", "empty", "dates")


@st.composite
def tables(draw: st.DrawFn) -> Columns:
    """Tables of columns with typical and awkward names, with values that need not fit them."""
    rows = draw(st.integers(4, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    made: dict[str, Callable[[], Sequence[object]]] = {
        "ids": lambda: random.permutation(rows).tolist(),
        "codes": lambda: random.integers(0, max(rows // 4, 2), rows).tolist(),
        "few": lambda: random.integers(1, 4, rows).tolist(),
        "binary": lambda: random.integers(0, 2, rows).tolist(),
        "labels": lambda: random.choice(["control", "new one", "new-one", "1b"], rows).tolist(),
        "real": lambda: random.normal(size=rows).tolist(),
        "proportion": lambda: random.uniform(size=rows).tolist(),
        "text": lambda: [f"word {i}" for i in random.integers(0, 99, rows)],
        "gaps": lambda: [None if missing else 1.5 for missing in random.random(rows) < 0.3],
        "constant": lambda: [7] * rows,
        "empty": lambda: [None] * rows,
        "dates": lambda: [f"2024-0{i}-01" for i in random.integers(1, 6, rows)],
    }
    names = draw(st.lists(st.sampled_from(NAMES.split()), min_size=1, max_size=8, unique=True))
    columns = {name: made[draw(st.sampled_from(KINDS))]() for name in names}
    return {**columns, "filled": list(range(rows))}


@given(tables())
def test_every_table_gives_a_study_without_errors_but_a_missing_outcome(
    tmp_path_factory: pytest.TempPathFactory, columns: Columns
) -> None:
    text, found = _start(tmp_path_factory.mktemp("table"), columns)
    asked = {"HDM234"} if "# outcome y" in text else set[str]()
    of_the_data = {"HDM304", "HDM306", "HDM307", "HDM313", "HDM364"}  # tables this small can have an empty arm
    assert {each.code for each in errors(found)} <= asked | of_the_data, text
