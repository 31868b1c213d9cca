"""Variables that vary within the units of their level, columns that are missing, and rows that are doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdsl.data.bind import bind
from hdsl.design.from_syntax import read_study
from hdsl.diagnostics import Diagnostic
from hdsl.source import Source

STUDY = """study icu
data "d.csv"
group hospital id hospital
wave period id period
group cell in hospital * period
unit patient id patient in cell { covariate age : real  outcome pain : real }
treatment protocol { standard = 0, light = 1 }
assign protocol to cell within hospital by complete(0.5)
"""
HEAD = "patient,hospital,period,protocol,age,pain"
ROWS = [f"{n},H{n // 8},{n // 4 % 2},{n // 4 % 2},{30 + n},{n % 5}" for n in range(96)]


def told(folder: Path, *edits: tuple[str, str], head: str = HEAD, rows: list[str] = ROWS) -> list[Diagnostic]:
    text = STUDY
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder / "d.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    return bind(read_study(Source.of("s.hdm", text)), folder)[1]


def test_the_study_is_sound(tmp_path: Path) -> None:
    assert told(tmp_path) == []


def test_a_treatment_that_varies_below_names_the_level_where_it_does_not(tmp_path: Path) -> None:
    (found,) = told(tmp_path, ("to cell within hospital", "to hospital"))
    assert found.code == "HDM302"
    assert "`protocol` varies within 12 of 12 units of hospital: H0, H1, H10, H11, H2, ..." in found.message
    assert found.help == "If it is meant so, write `assign protocol to cell`."


def test_one_wrong_code_is_to_be_mended_in_the_data(tmp_path: Path) -> None:
    rows = [ROWS[0].replace(",0,0,", ",0,1,"), *ROWS[1:]]
    (found,) = told(tmp_path, rows=rows)
    assert "varies within 1 of 24 units of cell: H0/0." in found.message
    assert found.help.startswith("Mend the data in these rows, or write `assign protocol to patient`")
    assert found.rows == (2, 3, 4)


def test_a_covariate_of_the_wrong_level(tmp_path: Path) -> None:
    edits = (("covariate age : real", ""), ("group hospital id hospital", "group hospital { covariate age : real }"))
    (found,) = told(tmp_path, *edits)
    assert found.code == "HDM301"
    assert found.help == "If it is meant so, declare it in the block of patient."


def test_a_level_that_nothing_lies_in(tmp_path: Path) -> None:
    edit = ("wave period", "group ward id ward { covariate beds : real }\nwave period")
    rows = [f"{row},{n % 3},{n % 7}" for n, row in enumerate(ROWS)]
    (found,) = told(tmp_path, edit, head=f"{HEAD},ward,beds", rows=rows)
    assert found.help == "If it is meant so, declare it in the block of patient."


@pytest.mark.parametrize(
    ("edit", "help"),
    [
        (("id hospital", "id hospitl"), "Did you mean 'hospital'? Write `id hospital`."),
        (("age : real", "agee : real"), "Did you mean 'age'? Write `column age` after its kind, or call it so."),
        (("age : real", "years : real column agee"), "Did you mean 'age'?"),
        (("protocol", "protocl"), "Did you mean 'protocol'? Write `treatment protocl column protocol ...`."),
        (("age : real", "xyz : real"), "Its columns are: patient, hospital, period, protocol, age, pain."),
    ],
)
def test_a_missing_column_says_how_to_name_another(edit: tuple[str, str], help: str, tmp_path: Path) -> None:
    (found,) = told(tmp_path, edit)
    assert (found.code, found.help) == ("HDM217", help)


def test_doubled_rows_are_named(tmp_path: Path) -> None:
    (found,) = told(tmp_path, rows=[*ROWS, ROWS[7]])
    assert (found.code, found.rows) == ("HDM305", (8, 97))
    assert "Remove rows that are doubled" in found.help


CROSSED = """study s
data "d.csv"
unit clinic id clinic
wave month id month
unit record in clinic * month { outcome y : real }
"""


def test_a_cell_with_several_rows_where_most_have_one(tmp_path: Path) -> None:
    study = read_study(Source.of("s.hdm", CROSSED))
    rows = [f"{n // 4},{n % 4},{n}" for n in range(40)]
    for doubled, codes in (([], []), ([rows[5]], ["HDM305"]), (rows, [])):
        (tmp_path / "d.csv").write_text("\n".join(["clinic,month,y", *rows, *doubled]))
        bound, problems = bind(study, tmp_path)
        assert bound is not None
        assert [d.code for d in problems] == codes
        assert all(d.severity == "warning" and "1/1" in d.message and d.rows == (6, 41) for d in problems)


def test_a_known_sd_of_zero_is_named_by_its_row(tmp_path: Path) -> None:
    text = 'study s\ndata "d.csv"\nunit trial id trial { outcome y : real known sd se }\n'
    (tmp_path / "d.csv").write_text("trial,y,se\n1,2,1\n2,3,0\n3,1,1\n")
    (found,) = bind(read_study(Source.of("s.hdm", text)), tmp_path)[1]
    assert (found.code, found.rows) == ("HDM352", (2,))


def test_many_bad_values_are_told_once_each(tmp_path: Path) -> None:
    (found,) = told(
        tmp_path, rows=[row.rsplit(",", 1)[0] + (",n.n." if n < 90 else ",?") for n, row in enumerate(ROWS)]
    )
    assert (
        "96 values of column 'pain' in d.csv are not numbers: \"n.n.\" in row 1 (line 2) and 89 more rows"
        in found.message
    )
    assert '"?" in row 91 (line 92) and 5 more rows.' in found.message
