"""Draws scholarship.png: python docs/gallery/scholarship.py"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study, bernoulli, complete, outcome

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "scholarship"
TRIALS, TRUTH = 100, 2.0


def simulated(folder: Path, seed: int) -> Study:
    """Write a trial like the example's, without pretest, and return its study without an assignment."""
    rng = np.random.default_rng(seed)
    school, count = np.repeat(np.arange(50), 8), rng.choice([1, 2, 4, 6, 7], 50)
    z = np.concatenate([rng.permutation(np.arange(8) < k) for k in count]).astype(int)
    base = 50 - 14 * (count / 8 - 0.5) + rng.normal(0, 1.5, 50)
    y = base[school] + TRUTH * z + rng.normal(0, 6, len(z))
    rows = np.column_stack((school, z, y))
    np.savetxt(folder / "trial.csv", rows, ["%d", "%d", "%.9g"], ",", header="school,z,y", comments="")
    return (
        Study("trial")
        .data(str(folder / "trial.csv"))
        .group("school", id="school")
        .unit("pupil", within="school", variables=[outcome("y", "real")])
        .treatment("z", lost=0, won=1)
        .estimand("ate", "average over pupil of y(z = won) - y(z = lost)")
    )


def estimates() -> dict[str, list[float]]:
    """Return the average effect in each simulated trial, with the share and without."""
    found: dict[str, list[float]] = {"with the share": [], "without": []}
    with TemporaryDirectory() as folder:
        for seed in range(TRIALS):
            study = simulated(Path(folder), seed)
            for name, by in zip(found, (complete(), bernoulli(0.5)), strict=True):
                stated = study.assign("z", to="pupil", within=["school"], by=by)
                found[name].append(hdsl.run(stated, settings=Settings(draws=250)).estimand_summaries[0].mean)
    return found


def main() -> None:
    """Draw schools' intercepts against their shares, and the estimates of simulated trials."""
    result = hdsl.run(EXAMPLE / "scholarship.hdm")
    posterior = result.posterior["posterior"]
    rows = np.genfromtxt(EXAMPLE / "scholarship.csv", delimiter=",", names=True)
    school = rows["school"].astype(int)
    share = np.bincount(school, rows["scholarship"])[1:] / np.bincount(school)[1:]
    order = np.argsort(np.asarray(posterior["intercept[school]"].coords["school"].values).astype(int))
    alpha = posterior["intercept[school]"].values.reshape(-1, 50)[:, order]

    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.6), layout="constrained")
    low, middle, high = np.quantile(alpha, (0.05, 0.5, 0.95), axis=0)
    place = share + np.random.default_rng(1).uniform(-0.015, 0.015, 50)
    left.vlines(place, low, high, color="C0", lw=1, alpha=0.5)
    left.plot(place, middle, "o", ms=3.5, color="C0")
    x = np.linspace(0.05, 0.95, 40)
    slope, level = (
        np.ravel(posterior[role].values)[:, None] for role in ("slope(mean(scholarship, school))", "intercept")
    )
    band = np.quantile(level + slope * (x - rows["scholarship"].mean()), (0.05, 0.5, 0.95), axis=0)
    left.fill_between(x, band[0], band[2], color="0.5", alpha=0.25, lw=0)
    left.plot(x, band[1], color="0.3")
    left.set(xlabel="treated share of the school", ylabel="intercept of the school, points")

    found: dict[str, list[float]] = estimates()
    bins: Any = np.arange(-2, 5, 0.35)
    for (name, values), color in zip(found.items(), ("C0", "C1"), strict=True):
        right.hist(values, bins=bins, color=color, alpha=0.55, label=name)
        sys.stdout.write(f"{name}: mean {np.mean(values):.2f}, sd {np.std(values, ddof=1):.2f}\n")
    right.set(ylim=(0, 25), yticks=range(0, 26, 5))
    right.axvline(TRUTH, color="0.2", lw=1)
    right.annotate("truth", (TRUTH, right.get_ylim()[1]), xytext=(4, -10), textcoords="offset points", fontsize=8)
    right.set(xlabel="estimated effect, points", ylabel=f"of {TRIALS} simulated trials")
    right.legend(frameon=False, loc="upper left", fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "scholarship.png", dpi=110)
    for summary in result.estimand_summaries:
        sys.stdout.write(
            f"{summary.name} {summary.mean:.2f} ({summary.sd:.2f}), {summary.q5:.2f} to {summary.q95:.2f}\n"
        )


if __name__ == "__main__":
    main()
