"""Designs of growing size, simulated, for comparisons with other programs: one study and one formula for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Table = Mapping[str, NDArray[np.generic]]
Simulate = Callable[[np.random.Generator, int, int], Table]

RESIDUAL = "residual ~ halfnormal(10)"


@dataclass(frozen=True)
class Shape:
    """A design.

    Attributes
    ----------
    sizes : tuple of (rows, groups)
    study : str
        The study, with data in `bench.csv`.
    formula : str
        The same model as lme4, brms and bambi write it.
    priors : mapping
        The study's priors in brms's classes: `b`, `Intercept`, `sd`, `cor`, `sigma`.
    shared : mapping
        Role to the name of the coefficient in lme4's output.
    by_hand : str
        The programs in `benchmarks/hand/against`: `correlated`, `intercepts` or `binary`.
    """

    name: str
    what: str
    sizes: tuple[tuple[int, int], ...]
    simulate: Simulate
    study: str
    formula: str
    priors: Mapping[str, str]
    shared: Mapping[str, str]
    family: str = "gaussian"
    by_hand: str = "intercepts"

    def write(self, folder: Path, rows: int, groups: int) -> Path:
        """Write the study and its data, the same at every call, and return the study's path."""
        import pyarrow as pa
        from pyarrow import csv

        table = self.simulate(np.random.default_rng(20), rows, groups)
        csv.write_csv(pa.table({name: pa.array(column) for name, column in table.items()}), folder / "bench.csv")
        (folder / "bench.hdm").write_text(f'study bench\ndata "bench.csv"\n{self.study}\n')
        return folder / "bench.hdm"


def _multisite(rng: np.random.Generator, rows: int, groups: int) -> Table:
    site = np.repeat(np.arange(groups), rows // groups)
    tutor, pretest = rng.integers(0, 2, len(site)), rng.normal(size=len(site)).round(4)
    alpha, tau = 50 + 4 * rng.normal(size=groups), 2 + rng.normal(size=groups)
    score = alpha[site] + tau[site] * tutor + 3 * pretest + 6 * rng.normal(size=len(site))
    return {"site": site, "tutor": tutor, "pretest": pretest, "score": score.round(4)}


def _nested(rng: np.random.Generator, rows: int, groups: int) -> Table:
    each = rows // groups
    room = np.repeat(np.arange(groups), each)
    school = room // 10
    tutor, pretest = rng.integers(0, 2, len(room)), rng.normal(size=len(room)).round(4)
    mean = 50 + 3 * rng.normal(size=groups // 10 + 1)[school] + 2 * rng.normal(size=groups)[room]
    score = mean + 2 * tutor + 3 * pretest + 6 * rng.normal(size=len(room))
    return {"school": school, "room": room, "tutor": tutor, "pretest": pretest, "score": score.round(4)}


def _panel(rng: np.random.Generator, rows: int, groups: int) -> Table:
    person, year = np.repeat(np.arange(groups), rows // groups), np.tile(np.arange(rows // groups), groups)
    union, exper = rng.integers(0, 2, len(person)), rng.normal(size=len(person)).round(4)
    mean = 10 + 2 * rng.normal(size=groups)[person] + 0.5 * rng.normal(size=rows // groups)[year]
    wage = mean + 0.5 * union + exper + 2 * rng.normal(size=len(person))
    return {"person": person, "year": year, "union": union, "exper": exper, "wage": wage.round(4)}


def _crossed(rng: np.random.Generator, rows: int, groups: int) -> Table:
    others = groups * 2 // 5
    student, teacher = rng.integers(0, groups, rows), rng.integers(0, others, rows)
    service = rng.integers(0, 2, rows)
    mean = 3 + 0.3 * rng.normal(size=groups)[student] + 0.5 * rng.normal(size=others)[teacher]
    rating = mean - 0.1 * service + 1.2 * rng.normal(size=rows)
    return {"student": student, "teacher": teacher, "service": service, "rating": rating.round(4)}


def _binary(rng: np.random.Generator, rows: int, groups: int) -> Table:
    site = np.repeat(np.arange(groups), rows // groups)
    offer, female, age = (rng.integers(0, top, len(site)) for top in (2, 2, 4))
    eta = -0.5 + 0.7 * rng.normal(size=groups)[site] + 0.6 * offer + 0.3 * female - 0.2 * age
    took = (rng.random(len(site)) < 1 / (1 + np.exp(-eta))).astype(int)
    return {"site": site, "offer": offer, "female": female, "age": age, "took": took}


SHAPES = (
    Shape(
        "multisite",
        "intercept and effect vary across sites",
        ((1_000, 20), (10_000, 200), (100_000, 2_000), (1_000_000, 20_000)),
        _multisite,
        """group site id site
unit pupil in site { covariate pretest : real  outcome score : real }
treatment tutor { none = 0, given = 1 }
assign tutor to pupil within site by bernoulli(0.5)
analysis { adjust for pretest  vary tutor across site }
priors {
  intercept ~ normal(50, 10)  effect(tutor) ~ normal(0, 5)  slope(pretest) ~ normal(0, 5)
  sd(intercept, site) ~ halfnormal(5)  sd(effect(tutor), site) ~ halfnormal(5)
  corr(site) ~ lkj(2)  residual ~ halfnormal(10)
}""",
        "score ~ tutor + pretest + (1 + tutor | site)",
        {
            "Intercept": "normal(50, 10)",
            "b": "normal(0, 5)",
            "sd": "normal(0, 5)",
            "cor": "lkj(2)",
            "sigma": "normal(0, 10)",
        },
        {"effect(tutor)": "tutor", "slope(pretest)": "pretest"},
        by_hand="correlated",
    ),
    Shape(
        "nested",
        "pupils in classes in schools",
        ((2_000, 100), (20_000, 1_000), (200_000, 10_000)),
        _nested,
        """group school id school
group room id room in school
unit pupil in room { covariate pretest : real  outcome score : real }
treatment tutor { none = 0, given = 1 }
assign tutor to pupil within room by bernoulli(0.5)
analysis { adjust for pretest }
priors {
  intercept ~ normal(50, 10)  effect(tutor) ~ normal(0, 5)  slope(pretest) ~ normal(0, 5)
  sd(intercept, school) ~ halfnormal(5)  sd(intercept, room) ~ halfnormal(5)  residual ~ halfnormal(10)
}""",
        "score ~ tutor + pretest + (1 | school) + (1 | room)",
        {"Intercept": "normal(50, 10)", "b": "normal(0, 5)", "sd": "normal(0, 5)", "sigma": "normal(0, 10)"},
        {"effect(tutor)": "tutor", "slope(pretest)": "pretest"},
    ),
    Shape(
        "panel",
        "people crossed with eight years",
        ((2_000, 250), (16_000, 2_000), (160_000, 20_000)),
        _panel,
        """group person id person
group year id year
unit record in person * year { covariate exper : real  outcome wage : real }
treatment union { no = 0, yes = 1 }
assign union to record by bernoulli(0.5)
analysis { adjust for exper }
priors {
  intercept ~ normal(10, 10)  effect(union) ~ normal(0, 5)  slope(exper) ~ normal(0, 5)
  sd(intercept, person) ~ halfnormal(5)  sd(intercept, year) ~ halfnormal(5)  residual ~ halfnormal(10)
}""",
        "wage ~ union + exper + (1 | person) + (1 | year)",
        {"Intercept": "normal(10, 10)", "b": "normal(0, 5)", "sd": "normal(0, 5)", "sigma": "normal(0, 10)"},
        {"effect(union)": "union", "slope(exper)": "exper"},
    ),
    Shape(
        "crossed",
        "ratings by students of teachers, at random",
        ((3_000, 120), (73_000, 2_970)),
        _crossed,
        """group student id student
group teacher id teacher
unit mark in student * teacher { outcome rating : real }
treatment service { no = 0, yes = 1 }
assign service to mark by bernoulli(0.5)
priors {
  intercept ~ normal(3, 10)  effect(service) ~ normal(0, 5)
  sd(intercept, student) ~ halfnormal(5)  sd(intercept, teacher) ~ halfnormal(5)  residual ~ halfnormal(10)
}""",
        "rating ~ service + (1 | student) + (1 | teacher)",
        {"Intercept": "normal(3, 10)", "b": "normal(0, 5)", "sd": "normal(0, 5)", "sigma": "normal(0, 10)"},
        {"effect(service)": "service"},
    ),
    Shape(
        "binary",
        "binary, intercept varies across sites, covariates of few values",
        ((10_000, 1_000), (100_000, 2_000), (1_000_000, 2_000)),
        _binary,
        """group site id site
unit person in site { covariate female : binary  covariate age : real  outcome took : binary }
treatment offer { no = 0, yes = 1 }
assign offer to person by bernoulli(0.5)
analysis { adjust for female, age }
priors {
  intercept ~ normal(0, 5)  effect(offer) ~ normal(0, 5)  slope(female) ~ normal(0, 5)  slope(age) ~ normal(0, 5)
  sd(intercept, site) ~ halfnormal(5)
}""",
        "took ~ offer + female + age + (1 | site)",
        {"Intercept": "normal(0, 5)", "b": "normal(0, 5)", "sd": "normal(0, 5)"},
        {"effect(offer)": "offer", "slope(age)": "age"},
        "bernoulli",
        "binary",
    ),
)
