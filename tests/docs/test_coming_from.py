"""Formulas beside studies: each study has the terms that its formula has, under the names that are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hdsl.driver import check, derive
from hdsl.report.formula import Formula, Random, Term, read_formula, text_of
from tests.docs.blocks import DOCS, blocks, studies
from tests.docs.made import write_tables

TREATMENTS = {"tutor", "curriculum", "primed", "exercise", "extract", "card", "film", "ward"}
PAIR = re.compile(r'<div class="pair" markdown="1">\n(.*?)\n</div>', re.S)
BY_FORMULA = r"(slope|effect|interaction|sd|corr)\((?!residual|spline|gp|interactions|income, ).*"


@dataclass(frozen=True)
class Pair:
    """What stands on the left and on the right, and the names below."""

    page: str
    line: int
    language: str
    left: str
    study: str
    names: tuple[str, ...]


def _pairs() -> Iterator[Pair]:
    for page in sorted((DOCS / "coming_from").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        whole = {block.line: study for block, study in studies(page)}
        formulas = {block.line: block for block in blocks(page) if block.language in ("r", "stata", "text")}
        for match in PAIR.finditer(text):
            first, last = text.count("\n", 0, match.start()) + 1, text.count("\n", 0, match.end()) + 1
            (left,) = [block for line, block in formulas.items() if first <= line <= last]
            (study,) = [study for line, study in whole.items() if first <= line <= last]
            names = tuple(re.findall(r"`([^`]+)`", match[1].split("Reported as")[1]))
            yield Pair(page.stem, first, left.language, left.text, study, names)


PAIRS = [pytest.param(pair, id=f"{pair.page}:{pair.line}") for pair in _pairs()]


def test_there_are_rows_for_each_program() -> None:
    found = [pair.page for pair in _pairs()]
    assert {page: found.count(page) >= 10 for page in found} == dict.fromkeys(("bambi", "brms", "lme4", "stata"), True)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_names_are_those_reported(pair: Pair, tmp_path: Path) -> None:
    assert list(pair.names) == reported(pair.study, tmp_path)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_study_has_the_terms_of_the_formula(pair: Pair, tmp_path: Path) -> None:
    found = {re.sub(r"\[[^\]]*\]$", "", name) for name in reported(pair.study, tmp_path)}
    found = {name for name in found if re.fullmatch(BY_FORMULA, name)} - {"sd(income)"}
    fixed = set(re.findall(r"pool (\w+) none", pair.study))
    assert found | {f"slope(factor({group}))" for group in fixed} == terms(formula(pair.language, pair.left))


def reported(study: str, folder: Path) -> list[str]:
    """Return the roles of a study's model without those that have a value for each group."""
    path = folder / "study.hdm"
    path.write_text(study, encoding="utf-8")
    opened = check(path, with_data=False).opened.study
    assert opened is not None
    write_tables(opened, folder)
    model = derive(path).model
    assert model is not None
    many = {each.name for each in model.index_sets if each.kind in ("level", "grid")}
    return list(dict.fromkeys(each.role for each in model.reported if not many & set(each.dims)))


def formula(language: str, text: str) -> Formula:
    """Return the formula of a call of lme4, brms or bambi, or of a command of Stata."""
    if language == "stata":
        return read_formula(_of_stata(text))
    text = re.sub(r"gr\((\w+), [^)]*\)", r"\1", re.sub(r"\+\s*ar\([^)]*\)", "", text))
    found = re.search(r"\(\s*(?:bf\(|bmb\.Formula\()?\"?(?=\w[\w(). ,|-]* ~)", text)
    assert found is not None
    inside, depth = "", 0
    for sign in text[found.end() :]:
        if (sign in ',"' or (sign == ")" and depth == 0)) and (depth == 0 or sign == '"'):
            break
        depth += (sign == "(") - (sign == ")")
        inside += sign
    inside = re.sub(r"cbind\((\w+), [^)]*\)|p\((\w+), \w+\)", r"\1\2", inside)
    read = read_formula(" ".join(inside.replace("np.", "").split()))
    return _independent(read) if "bmb." in text else read


def _independent(read: Formula) -> Formula:
    """Return a formula of bambi, whose effects of groups are not correlated."""
    random = tuple(Random(each.groups, each.intercept, each.terms, False) for each in read.random)
    return Formula(read.response, read.helpers, read.intercept, read.terms, random, read.offsets)


def _of_stata(text: str) -> str:
    command, *groups = re.sub(r"///\n", " ", text).split("||")
    fixed = command.split(",")[0].split()[1:]
    parts = [fixed[0], "~", " + ".join(_factors(word) for word in fixed[1:])]
    for group in groups:
        name, _, rest = group.partition(":")
        effects, _, options = rest.partition(",")
        level = effects.strip().removeprefix("R.") if name.strip() == "_all" else name.strip()
        varying = "" if name.strip() == "_all" else "".join(f" + {_factors(word)}" for word in effects.split())
        sign = "|" if "unstructured" in options else "||"
        parts.append(f"+ (1{varying} {sign} {level})")
    return " ".join(parts)


def _factors(word: str) -> str:
    word = re.sub(r"\b[ic]\.", "", word)
    return re.sub(r"(\w+)##\1$", r"\1 + I(\1 * \1)", word).replace("##", "*").replace("#", ":")


def terms(read: Formula) -> set[str]:
    """Return the roles that a formula's terms have, but for curves, which have none here."""
    found = {_role(term) for term in read.terms if text_of(term[0]).split("(")[0] not in ("s", "gp")}
    found |= {f"slope({text_of(term[0].args[0])})" for term in read.terms if text_of(term[0]).startswith("s(")}
    for random in read.random:
        group = random.groups[-1]
        varying = ["intercept"] * random.intercept + [_role(term) for term in random.terms]
        found |= {f"sd({each}, {group})" for each in varying}
        pairs = [(a, b) for place, a in enumerate(varying) for b in varying[place + 1 :]]
        found |= {f"corr({a}, {b}, {group})" for a, b in pairs if random.correlated}
    return found


def _role(term: Term) -> str:
    treated = [text_of(factor) for factor in term if text_of(factor) in TREATMENTS]
    others = [_text(text_of(factor)) for factor in term if text_of(factor) not in TREATMENTS]
    if treated:
        return f"interaction({treated[0]} * {others[0]})" if others else f"effect({treated[0]})"
    return f"slope({' * '.join(others)})"


def _text(factor: str) -> str:
    inside = re.fullmatch(r"(I|mi)\((.*)\)", factor)
    return inside[2] if inside else factor.replace("center(", "centre(")
