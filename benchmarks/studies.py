"""Six studies of different shape: their data, simulated with known truth, and the quantities that are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
Table = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Case:
    """A study: how its rows come about, and for each role the name in the hand-written programs.

    `levels` says of what the rows are grouped; a column that names a unit of a level is 0, 1, ... `constant` are
    columns that a hand-written program takes once for each unit of a level.
    """

    name: str
    shape: str
    simulate: Callable[[np.random.Generator], Table]
    levels: tuple[str, ...]
    constant: Mapping[str, str]
    shared: Mapping[str, str]

    def table(self) -> Table:
        """Return the rows, the same on every call."""
        return self.simulate(np.random.default_rng(20))

    def write(self, folder: Path) -> Path:
        """Write the study and its data into a folder and return the study's path."""
        table = self.table()
        lines = [
            ",".join(table),
            *(",".join(f"{value:.10g}" for value in row) for row in zip(*table.values(), strict=True)),
        ]
        (folder / f"{self.name}.csv").write_text("\n".join(lines) + "\n")
        path = folder / f"{self.name}.hdm"
        path.write_text((HERE / "studies" / path.name).read_text())
        return path

    def by_hand(self) -> dict[str, Any]:
        """Return the data of the hand-written programs: columns, and the number of units of each level as `n_LEVEL`."""
        table = self.table()
        found: dict[str, Any] = dict(table)
        for level in self.levels:
            found[f"n_{level}"] = int(table[level].max()) + 1
        for name, level in self.constant.items():
            _, first = np.unique(table[level], return_index=True)
            found[name] = table[name][first]
        return found

    @property
    def indexes(self) -> frozenset[str]:
        """Return the columns that name units, which Stan counts from 1."""
        return frozenset(self.levels)


def _multisite(rng: np.random.Generator) -> Table:
    site = np.repeat(np.arange(30), 40)
    tutor, pretest = rng.integers(0, 2, len(site)), rng.normal(size=len(site))
    alpha, tau = 50 + 4 * rng.normal(size=30), 2 + rng.normal(size=30)
    score = alpha[site] + tau[site] * tutor + 3 * pretest + 6 * rng.normal(size=len(site))
    return {"site": site, "tutor": tutor, "pretest": pretest, "score": score}


def _clusters(rng: np.random.Generator) -> Table:
    school = np.repeat(np.arange(72), 20)
    district = school // 6
    curriculum = np.concatenate([rng.permutation([0, 0, 0, 1, 1, 1]) for _ in range(12)])[school]
    before = rng.integers(0, 2, len(school))
    eta = -0.5 + 0.4 * rng.normal(size=12)[district] + 0.6 * rng.normal(size=72)[school]
    eta = eta + 0.5 * curriculum + before
    passed = rng.random(len(school)) < 1 / (1 + np.exp(-eta))
    columns = {"district": district, "school": school, "curriculum": curriculum, "before": before}
    return {**columns, "passed": passed.astype(int)}


def _panel(rng: np.random.Generator) -> Table:
    person, year = np.repeat(np.arange(250), 8), np.tile(np.arange(8), 250)
    schooling, start = rng.integers(-4, 5, 250), rng.integers(-7, 8, 250)
    exper = start[person] + year - 4
    union = (rng.random(len(person)) < 1 / (1 + np.exp(0.5 - 0.05 * exper))).astype(int)
    mean = 1.3 + 0.1 * union + 0.03 * exper + 0.08 * schooling[person]
    mean = mean + 0.35 * rng.normal(size=250)[person] + 0.1 * rng.normal(size=8)[year]
    wage = mean + 0.35 * rng.normal(size=len(person))
    columns = {"person": person, "year": year, "schooling": schooling[person], "exper": exper}
    return {**columns, "union": union, "wage": wage}


def _counts(rng: np.random.Generator) -> Table:
    building = np.repeat(np.arange(40), 20)
    control, before = rng.integers(0, 2, len(building)), rng.gamma(1.0, 1.0, len(building))
    days = rng.integers(5, 15, len(building)).astype(float)
    eta = np.log(days) - 0.5 + 0.5 * rng.normal(size=40)[building] - 0.6 * control + 0.5 * before
    caught = rng.poisson(np.exp(eta) * rng.gamma(1.5, 1 / 1.5, len(building)))
    return {"building": building, "control": control, "before": before, "days": days, "caught": caught}


def _splitplot(rng: np.random.Generator) -> Table:
    plot = np.repeat(np.arange(48), 6)
    block = plot // 4
    irrigation = np.concatenate([rng.permutation([0, 0, 1, 1]) for _ in range(12)])[plot]
    nitrogen = np.concatenate([rng.permutation([0, 0, 1, 1, 2, 2]) for _ in range(48)])
    mean = 50 + 3 * rng.normal(size=12)[block] + 4 * rng.normal(size=48)[plot] + 5 * irrigation
    mean = mean + np.array([0, 4, 6])[nitrogen] + np.array([0, 2, 3])[nitrogen] * irrigation
    return {
        "block": block,
        "plot": plot,
        "irrigation": irrigation,
        "nitrogen": nitrogen,
        "harvest": mean + 3 * rng.normal(size=len(plot)),
    }


def _growth(rng: np.random.Generator) -> Table:
    child = np.repeat(np.arange(300), 5)
    school, year = child // 15, np.tile(np.arange(5), 300)
    programme = rng.integers(0, 2, 300)[child]
    level = 50 + 4 * rng.normal(size=20)[school] + 6 * rng.normal(size=300)[child]
    growth = 5 + 0.8 * rng.normal(size=20)[school] + 1.5 * rng.normal(size=300)[child]
    score = level + growth * year + 2 * programme + 4 * rng.normal(size=len(child))
    return {"school": school, "child": child, "year": year, "programme": programme, "score": score}


CASES = (
    Case(
        "multisite",
        "Gaussian, 1,200 pupils in 30 sites, intercept and effect vary together",
        _multisite,
        ("site",),
        {},
        {
            "intercept": "mu",
            "effect(tutor)": "tau",
            "slope(pretest)": "beta",
            "sd(intercept, site)": "sd_alpha",
            "sd(effect(tutor), site)": "sd_tau",
            "corr(intercept, effect(tutor), site)": "rho",
            "residual": "sigma",
        },
    ),
    Case(
        "clusters",
        "binary, 1,440 students in 72 schools, drawn within 12 districts",
        _clusters,
        ("district", "school"),
        {"district": "school", "curriculum": "school"},
        {
            "intercept": "mu",
            "effect(curriculum)": "tau",
            "slope(before)": "beta",
            "sd(intercept, district)": "sd_district",
            "sd(intercept, school)": "sd_school",
        },
    ),
    Case(
        "panel",
        "Gaussian, 250 people crossed with 8 years",
        _panel,
        ("person", "year"),
        {"schooling": "person"},
        {
            "intercept": "mu",
            "effect(union)": "tau",
            "slope(exper)": "beta_exper",
            "slope(schooling)": "beta_schooling",
            "sd(intercept, person)": "sd_person",
            "sd(intercept, year)": "sd_year",
            "residual": "sigma",
        },
    ),
    Case(
        "counts",
        "negative binomial with exposure, 800 flats in 40 buildings",
        _counts,
        ("building",),
        {},
        {
            "intercept": "mu",
            "effect(control)": "tau",
            "slope(before)": "beta",
            "sd(intercept, building)": "sd_building",
            "shape": "shape",
        },
    ),
    Case(
        "splitplot",
        "Gaussian, 288 sub-plots in 48 plots in 12 blocks, two treatments and their interaction",
        _splitplot,
        ("block", "plot"),
        {"block": "plot", "irrigation": "plot"},
        {
            "intercept": "mu",
            "effect(irrigation)": "wet",
            "effect(nitrogen)[low]": "low",
            "effect(nitrogen)[high]": "high",
            "interaction(irrigation * nitrogen)[low]": "wet_low",
            "interaction(irrigation * nitrogen)[high]": "wet_high",
            "sd(intercept, block)": "sd_block",
            "sd(intercept, plot)": "sd_plot",
            "residual": "sigma",
        },
    ),
    Case(
        "growth",
        "Gaussian, 1,500 tests of 300 children in 20 schools, level and growth vary at both levels",
        _growth,
        ("school", "child"),
        {"school": "child", "programme": "child"},
        {
            "intercept": "mu",
            "effect(programme)": "tau",
            "slope(year)": "beta",
            "sd(intercept, school)": "sd_level_school",
            "sd(slope(year), school)": "sd_growth_school",
            "corr(intercept, slope(year), school)": "rho_school",
            "sd(intercept, child)": "sd_level_child",
            "sd(slope(year), child)": "sd_growth_child",
            "corr(intercept, slope(year), child)": "rho_child",
            "residual": "sigma",
        },
    ),
)
