"""Makes the small tables of the pages: `python docs/data/simulate.py`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def reading() -> Iterable[Sequence[object]]:
    """Pupils of 15 schools, half of each tutored; the effect is 3 points on average and differs between schools."""
    random = np.random.default_rng(20)
    yield "school", "poverty", "pupil", "pretest", "tutored", "score"
    for school in range(1, 16):
        poverty = round(float(random.beta(2, 3)), 2)
        level, effect = random.normal(52 - 8 * poverty, 2), random.normal(3, 1.5)
        arms = random.permutation(np.arange(20) % 2)
        for pupil, arm in enumerate(arms, start=1):
            pretest = random.normal(50, 10)
            score = level + 0.6 * (pretest - 50) + effect * arm + random.normal(0, 5)
            yield school, poverty, pupil, f"{pretest:.1f}", arm, f"{score:.1f}"


def voucher() -> Iterable[Sequence[object]]:
    """Applicants to a course by lottery: a fifth would never enrol, a tenth always; enrolling gives compliers 2."""
    random = np.random.default_rng(4)
    yield "site", "schooling", "offered", "enrolled", "earnings"
    for site in range(1, 9):
        level = random.normal(20, 1)
        for offered in random.permutation(np.arange(60) % 2):
            stratum = random.choice(["never", "complier", "always"], p=[0.2, 0.7, 0.1])
            schooling = int(random.integers(8, 17))
            enrolled = int(stratum == "always" or (stratum == "complier" and offered == 1))
            own = {"never": -2.0, "complier": 0.0, "always": 2.0}[stratum]
            earnings = (
                level + own + 0.5 * (schooling - 12) + 2 * enrolled * (stratum == "complier") + random.normal(0, 2)
            )
            yield site, schooling, offered, enrolled, f"{earnings:.2f}"


def gaps() -> Iterable[Sequence[object]]:
    """Pupils whose parents' income is not known for a quarter, more often where the pretest is low."""
    random = np.random.default_rng(8)
    yield "school", "pretest", "income", "tutored", "score"
    for school in range(1, 9):
        level = random.normal(50, 2)
        for arm in random.permutation(np.arange(20) % 2):
            pretest = random.normal(0, 1)
            income = float(np.exp(random.normal(3.5 + 0.2 * pretest, 0.4)))
            score = level + 3 * pretest + 4 * (np.log(income) - 3.5) + 3 * arm + random.normal(0, 3)
            known = random.uniform() > 0.25 - 0.1 * pretest
            yield school, f"{pretest:.2f}", f"{income:.1f}" if known else "", arm, f"{score:.1f}"


def write() -> None:
    """Write the tables beside this file."""
    for made in (reading, voucher, gaps):
        with (HERE / f"{made.__name__}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(made())


if __name__ == "__main__":
    write()
