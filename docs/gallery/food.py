"""Draws food.png: python docs/gallery/food.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "food"


def main() -> None:
    """Fit the study and draw its quantiles over the data."""
    study = hdsl.load(EXAMPLE / "food.hdm").data(str(EXAMPLE / "food.csv"))
    result: Any = hdsl.run(study, settings=Settings(seed=1))
    table = np.genfromtxt(EXAMPLE / "food.csv", delimiter=",", names=True)
    income = np.array([table["income"].min(), table["income"].max()])
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    axes.scatter(table["income"], table["foodexp"], s=9, color="0.6", lw=0)
    found = {(s.name, s.index.get("quantile")): s for s in result.parameter_summaries}
    for color, (name, q) in zip(plt.colormaps["viridis"](np.linspace(0.85, 0.1, 5)), _lines(found), strict=True):
        slope = found[name, q].mean
        axes.plot(income, found["intercept", q].mean + slope * income, color=color, label=f"{q}: {slope:.2f}")
        sys.stdout.write(f"{q} {slope:.3f} {found[name, q].sd:.3f}\n")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], title="quantile: francs for each franc", frameon=False, loc="upper left")
    axes.set(xlabel="income, francs a year", ylabel="food, francs a year", xlim=(300, 3200), ylim=(200, 2200))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "food.png", dpi=110)


def _lines(found: dict[Any, Any]) -> list[tuple[str, str]]:
    return [key for key in found if key[0] == "slope(income)"]


if __name__ == "__main__":
    main()
