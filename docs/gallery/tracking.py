"""Draws tracking.png: python docs/gallery/tracking.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study, ignorable

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "tracking"
YEARS = np.arange(2, 7)
EFFECT, CARRIED = 3.0, 0.6


def without_lag(study: Study) -> Study:
    """Return the study that does not know how lessons were given."""
    assignment = study.assignments[0].model_copy(update={"mechanism": ignorable("year")})
    return study.model_copy(update={"assignments": (assignment,), "waivers": ()})


def by_year(result: Any) -> Any:
    """Return mean, 5% and 95% quantiles of the effect in each of the years."""
    found = result.draws("by_year").sel(year=[str(year) for year in YEARS])
    return found.mean(("chain", "draw")), *found.quantile((0.05, 0.95), ("chain", "draw"))


def main() -> None:
    """Fit the study with and without last year's score, and draw the effects by year beside the truth."""
    study = hdsl.load(EXAMPLE / "tracking.hdm").data(str(EXAMPLE / "tracking.csv"))
    right, wrong = (hdsl.run(each, settings=Settings(seed=1)) for each in (study, without_lag(study)))
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    truth = EFFECT * np.cumsum(CARRIED ** np.arange(len(YEARS)))
    axes.plot(YEARS, truth, color="0.3", ls="--", lw=1.2, label="truth")
    for result, color, shift, label in (
        (right, "C0", 0.0, "given last year's score, carried forward"),
        (wrong, "C3", 0.12, "last year's score left out"),
    ):
        mean, low, high = by_year(result)
        axes.errorbar(YEARS + shift, mean, [mean - low, high - mean], fmt="o", ms=5, lw=1.3, color=color, label=label)
    axes.axhline(0, color="0.8", lw=0.8)
    axes.set(xlabel="year", ylabel="effect of lessons since year 2, points", xticks=YEARS)
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "tracking.png", dpi=110)
    for name, result in (("right", right), ("wrong", wrong)):
        for each in result.estimand_summaries:
            sys.stdout.write(f"{name} {each.name} {dict(each.index)} {each.mean:.2f} {each.q5:.2f} {each.q95:.2f}\n")
    for each in right.parameter_summaries:
        if not each.index:
            sys.stdout.write(f"{each.name} {each.mean:.2f} {each.sd:.2f}\n")


if __name__ == "__main__":
    main()
