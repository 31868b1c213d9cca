"""Draws home_visits.png: python docs/gallery/home_visits.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "home_visits"


def main() -> None:
    """Fit the study and draw the effect on each child by birth weight, with the truth of the simulation."""
    study = hdsl.load(EXAMPLE / "home_visits.hdm").data(str(EXAMPLE / "home_visits.csv"))
    result: Any = hdsl.run(study, settings=Settings(seed=1))
    for found in result.estimand_summaries:
        sys.stdout.write(f"{found.name} {found.mean:.2f} {found.sd:.2f}\n")
    weight = np.genfromtxt(EXAMPLE / "home_visits.csv", delimiter=",", names=True)["weight"]
    order = np.argsort(weight)
    surface = np.asarray(result.posterior["parameters"]["surface_score"])
    effects = (surface[:, :, 1] - surface[:, :, 0]).reshape(-1, len(weight))[:, order]
    low, high = np.quantile(effects, [0.05, 0.95], axis=0)
    truth = 8 / (1 + np.exp(6 * (weight[order] - 2.0)))
    sys.stdout.write(f"covered {np.mean((low <= truth) & (truth <= high)):.2f}\n")
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    axes.vlines(weight[order], low, high, color="0.8", lw=1, label="each child, 90%")
    axes.scatter(weight[order], effects.mean(axis=0), s=8, color="C0", lw=0, label="each child, mean", zorder=3)
    axes.plot(weight[order], truth, color="C3", lw=1.5, label="truth of the simulation", zorder=4)
    axes.set(xlabel="birth weight, kg", ylabel="effect of visits, points")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(HERE / "home_visits.png", dpi=110)


if __name__ == "__main__":
    main()
