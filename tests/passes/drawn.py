"""Random studies of every shape in which effects can be integrated out, with small and awkward tables."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.passes import shapes

LEVELS = {
    "none": (),
    "one": ("school",),
    "two": ("district", "school"),
    "three": ("region", "district", "school"),
    "crossed": ("person", "month"),
    "serial": ("person",),
    "summaries": (),
}
CODES = {"person": "school"}
VARIABLES = "{ covariate x : real covariate w : real WEIGHT outcome y : OUTCOME }\n"
OUTCOMES = ("real", "real", "positive", "real known sd s")
CHAINS = ("one", "two", "three")
COLUMNS_X = ("any", "any", "binary", "of group")
COLUMNS_W = ("any", "2x", "x", "z")
POOLING = ("none", "completely")
SCALES = st.sampled_from([1.0, 1.0, 1e-6, 1e-3, 1e3, 1e6])


@dataclass(frozen=True)
class Drawn:
    """A study's text and its columns."""

    text: str
    columns: dict[str, np.ndarray]


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    """Draw groupings, what varies across them, the residual spread, coefficients, a table and its scales."""
    levels = draw(st.sampled_from(sorted(LEVELS)))
    groups = LEVELS[levels]
    clustered = levels in CHAINS and draw(st.booleans())
    outcome = OUTCOMES[-1] if levels == "summaries" else draw(st.sampled_from(OUTCOMES))
    known = "known" in outcome
    assume(not (known and levels == "serial"))
    weighted = levels != "serial" and not known and draw(st.integers(0, 4)) == 0
    terms = draw(st.lists(st.sampled_from(["x", "w", "x * w"]), unique=True))
    statements = [f"adjust for {', '.join(terms)}"] if terms else []
    for group in groups:
        some = [f"vary {term} across {group}" for term in _varying(group, groups, clustered) if draw(st.booleans())]
        apart = " uncorrelated" if draw(st.booleans()) else ""
        statements += [each + apart for each in some]
        if not some and len(groups) == 1 and draw(st.integers(0, 3)) == 0:
            statements.append(f"pool {group} {draw(st.sampled_from(POOLING[clustered or levels == 'serial' :]))}")
    if levels == "serial":
        statements += ["pool day completely", "correlate y within person as ar1"]
    if not known and draw(st.booleans()):
        statements.append(draw(st.sampled_from(_spreads(levels))))
    if levels != "summaries" and draw(st.integers(0, 3)) == 0:
        statements.append("vary z with x")
    analysis = f"analysis {{ {'  '.join(statements)} }}\n" if statements else ""
    design = _design(levels, groups, clustered, weighted).replace("OUTCOME", outcome)
    text = shapes.HEAD + design + analysis
    columns = draw(tables(clustered, within="vary x across" in text, positive=outcome == "positive"))
    for found in re.finditer(r"vary (\w+) across (\w+)", text):
        effect, group = str(found[1]), str(found[2])
        assume(_varies(columns["zs" if effect == "z" and clustered else effect], columns[CODES.get(group, group)]))
    return Drawn(text, columns)


def _varies(column: np.ndarray, code: np.ndarray) -> bool:
    """Return whether a column has more than one value in some group."""
    return any(np.ptp(column[code == each]) > 0 for each in np.unique(code))


def _varying(group: str, groups: tuple[str, ...], clustered: bool) -> list[str]:
    return ["x"] if clustered and group == groups[-1] else ["z", "x"]


def _spreads(levels: str) -> list[str]:
    found = ["variance of y by z", "variance of y by z as additive"]
    if levels == "serial":
        return found
    return [*found, "variance of y with x", *(["variance of y across school"] if levels in CHAINS else [])]


def _design(levels: str, groups: tuple[str, ...], clustered: bool, weighted: bool) -> str:
    variables = VARIABLES.replace("WEIGHT", "weight wt : real" if weighted else "")
    arms = f"treatment z {'column zs ' if clustered else ''}{{ off = 0, on = 1 }}\n"
    if levels == "summaries":
        return f"unit site id row {variables}"
    if levels in ("crossed", "serial"):
        wave = "wave month id month" if levels == "crossed" else "wave day id t"
        cross = "month" if levels == "crossed" else "day"
        return f"""unit person id school {wave}
unit visit in person * {cross} {variables}{arms}assign z to visit within person by ignorable(x)\n"""
    chain = "".join(
        f"group {group} id {group}{f' in {groups[at - 1]}' if at else ''}\n" for at, group in enumerate(groups)
    )
    inside = f" in {groups[-1]}" if groups else ""
    assign = "complete(0.5)" if clustered or not groups else "bernoulli(0.5)"
    to = "school" if clustered else "pupil within school" if groups else "pupil"
    return f"{chain}unit pupil{inside} {variables}{arms}assign z to {to} by {assign}\n"


@st.composite
def tables(
    draw: st.DrawFn, clustered: bool, within: bool, positive: bool = False, scaled: bool = True
) -> dict[str, np.ndarray]:
    """Draw columns: few rows, groups of any sizes (many of one row), arms that are missing, columns that are alike.

    Where x must vary `within` some group, it does so in the largest; the arms do so there, too. A `positive` outcome is
    lognormal. Columns are not `scaled` where priors are of their scales.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    rows, schools = draw(st.integers(8, 20)), draw(st.integers(4, 8))
    school = np.sort(np.concatenate([np.arange(schools), rng.choice(draw(st.integers(1, schools)), rows)]))
    rows = len(school)
    place = np.arange(rows) - np.searchsorted(school, school)
    z = np.arange(rows) % 2 if draw(st.booleans()) else rng.permutation(np.arange(rows) < rows // 3).astype(int)
    zs = np.arange(schools)[school] % 2
    base = {"any": rng.normal(size=rows), "binary": rng.permutation(np.arange(rows) % 2).astype(float)}
    for column in (z, base["binary"]):
        column[np.flatnonzero(school == np.argmax(np.bincount(school)))[:2]] = 0, 1
    kind = draw(st.sampled_from(COLUMNS_X[: 3 if within else 4]))
    x = {**base, "of group": rng.normal(size=schools)[school]}[kind]
    arm = zs if clustered else z
    w = {"any": rng.normal(size=rows), "2x": 2 * x, "x": x, "z": arm.astype(float)}[draw(st.sampled_from(COLUMNS_W))]
    y = 1 + rng.normal(size=schools)[school] + 0.5 * x + arm + rng.normal(size=rows)
    of_x, of_w, of_y = (draw(SCALES) if scaled else 1.0 for _ in range(3))
    if positive:
        y = np.exp(draw(st.sampled_from([0.01, 0.3, 1.0])) * y)
    errors = {"any": rng.uniform(0.5, 1.5, rows), "two": rng.choice([0.5, 1.25], rows), "one": np.full(rows, 0.75)}
    return {
        "row": np.arange(rows),
        "region": school // 4,
        "district": school // 2,
        "school": school,
        "month": place % 4,
        "t": np.cumsum(rng.integers(1, 4, rows))[place],
        "x": x * of_x,
        "w": w * of_w,
        "wt": rng.uniform(0.3, 2, rows),
        "s": errors[draw(st.sampled_from(sorted(errors)))] * of_y,
        "z": z,
        "zs": zs,
        "y": y * of_y,
    }
