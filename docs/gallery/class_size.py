"""Draws class_size.png: python docs/gallery/class_size.py"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "class_size"
ROLE = "log_sd(effect(small), school, mean(free_lunch, school))"


def main() -> None:
    """Fit and draw each school's effect against its share of free lunches, with the spread around the line."""
    result = hdsl.run(EXAMPLE / "class_size.hdm", settings=Settings(seed=1))
    posterior = result.posterior["posterior"]
    sys.stdout.write(f"{result.verdict}\n")
    for found in result.parameter_summaries:
        if not found.index:
            sys.stdout.write(f"  {found.name} {found.mean:.2f} ({found.sd:.2f}), {found.q5:.2f} to {found.q95:.2f}\n")
    table = np.genfromtxt(EXAMPLE / "class_size.csv", delimiter=",", names=True)
    schools = np.unique(table["school"])
    share = np.array([np.mean(table["free_lunch"][table["school"] == school]) for school in schools])
    effects = posterior["effect(small)[school]"].values.reshape(-1, len(schools))
    spread = posterior["sd(effect(small), school)[school]"].values.reshape(-1, len(schools))
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    low, middle, high = np.quantile(effects, (0.1, 0.5, 0.9), axis=0)
    axes.vlines(share, low, high, color="C0", alpha=0.35, lw=1)
    axes.plot(share, middle, "o", color="C0", ms=4, label="schools, with 80% intervals")
    order = np.argsort(share)
    line = np.polynomial.Polynomial.fit(share, effects.mean(axis=0), 1)(share[order])
    band = np.median(spread, axis=0)[order]
    axes.fill_between(
        share[order], line - band, line + band, color="C1", alpha=0.2, lw=0, label="one spread about a line"
    )
    axes.axhline(0, color="0.8", lw=0.8, zorder=0)
    axes.set(xlabel="share of pupils with free lunch", ylabel="effect of a small class, points")
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "class_size.png", dpi=110)


if __name__ == "__main__":
    main()
