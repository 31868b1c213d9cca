"""Each rule on a study that breaks it, and on one that nearly does.

A case of `cases/*.txt` is: its code, the base study, and the text at which the finding points; edits that
raise that code and nothing else (`+ text` adds, `- old => new` replaces); `ok` and edits that raise nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given

from hdsl.checks import check_study
from hdsl.design.study import Study
from hdsl.diagnostics import CODES
from tests.checks import studies
from tests.checks.studies import Edit, checked, read
from tests.design.language import TEXTS
from tests.designs import designs
from tests.strategies import studies as any_studies

BASES = {
    "schools": studies.SCHOOLS,
    "visits": studies.VISITS,
    "voters": studies.VOTERS,
    "doses": studies.DOSES,
    "equations": studies.EQUATIONS,
}


@dataclass(frozen=True)
class Case:
    """A code, where it points, and the edits that raise it or nothing."""

    name: str
    code: str
    base: str
    at: str
    bad: tuple[Edit, ...]
    good: tuple[Edit, ...]


def _edit(line: str) -> Edit:
    if line.startswith("+ "):
        return line[2:]
    old, new = line.removeprefix("- ").split(" => ") if " => " in line else (line[2:].removesuffix(" =>"), "")
    return old, new


def _cases() -> Iterator[Case]:
    for path in sorted((Path(__file__).parent / "cases").glob("*.txt")):
        for number, block in enumerate(path.read_text(encoding="utf-8").strip().split("\n\n")):
            head, *lines = block.splitlines()
            code, _, base, at = head.replace(" at ", " ", 1).split(" ", 3)
            place = lines.index("ok")
            bad, good = tuple(map(_edit, lines[:place])), tuple(map(_edit, lines[place + 1 :]))
            yield Case(f"{path.stem}-{number}-{code}", code, base, at, bad, good)


CASES = tuple(_cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_rule_finds_what_it_is_for(case: Case) -> None:
    found = checked(BASES[case.base], *case.bad)
    assert found.codes == {case.code}, [(d.code, d.message) for d in found.findings]
    assert case.at in {found.at(finding) for finding in found.findings}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_near_miss_is_no_finding(case: Case) -> None:
    found = checked(BASES[case.base], *case.good)
    assert [(d.code, d.message) for d in found.findings] == []


@pytest.mark.parametrize("name", TEXTS)
def test_the_examples_of_the_language_are_sound(name: str) -> None:
    assert check_study(read(TEXTS[name])[0]) == []


def test_every_code_of_the_checks_has_a_case() -> None:
    from tests.checks.test_data import DATA_CODES, PYTHON_CODES

    emitted = set()
    for path in (Path(__file__).parents[2] / "hdsl" / "checks").glob("*.py"):
        emitted |= {code for code in CODES if f'"{code}"' in path.read_text(encoding="utf-8")}
    assert emitted - {case.code for case in CASES} - DATA_CODES - PYTHON_CODES == set()


@given(any_studies())
def test_any_study_gets_findings_and_no_exception(study: Study) -> None:
    for finding in check_study(study):
        assert finding.code in CODES
        assert finding.path is not None
        assert finding.message.endswith((".", "?"))


@given(designs())
def test_a_sound_design_has_no_errors(study: Study) -> None:
    assert [d.message for d in check_study(study) if d.severity == "error"] == []
