"""Draws food.png: python docs/gallery/food.py"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "food"
QUANTREG = HERE.parents[1] / "tests" / "cases" / "engel-food" / "expected.json"
WIDE = 1.645


def main() -> None:
    """Fit the study, with corrected intervals and without, and draw its quantiles over the data."""
    study = hdsl.load(EXAMPLE / "food.hdm").data(str(EXAMPLE / "food.csv"))
    rest = tuple(item for item in study.analysis if item.node != "family")
    plain = study.model_copy(update={"analysis": rest})
    plain = plain.family("foodexp", "quantile(0.1, 0.25, 0.5, 0.75, 0.9, intervals = working)")
    found, working = (_by_role(hdsl.run(each, settings=Settings(seed=1))) for each in (study, plain))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0), layout="constrained", width_ratios=(3, 2))
    _lines(left, found)
    _slopes(right, found, working)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "food.png", dpi=110)


def _by_role(result: Any) -> dict[tuple[str, str], Any]:
    return {(s.name, s.index["quantile"]): s for s in result.parameter_summaries}


def _quantiles(found: dict[tuple[str, str], Any]) -> list[str]:
    return [q for role, q in found if role == "slope(income)"]


def _lines(axes: Any, found: dict[tuple[str, str], Any]) -> None:
    table = np.genfromtxt(EXAMPLE / "food.csv", delimiter=",", names=True)
    income = np.array([table["income"].min(), table["income"].max()])
    axes.scatter(table["income"], table["foodexp"], s=9, color="0.6", lw=0)
    for color, q in zip(plt.colormaps["viridis"](np.linspace(0.85, 0.1, 5)), _quantiles(found), strict=True):
        slope = found["slope(income)", q].mean
        axes.plot(income, found["intercept", q].mean + slope * income, color=color, label=f"{q}: {slope:.2f}")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], title="quantile: francs for each franc", frameon=False, loc="upper left")
    axes.set(xlabel="income, francs a year", ylabel="food, francs a year", xlim=(300, 3200), ylim=(200, 2200))


def _slopes(axes: Any, found: dict[tuple[str, str], Any], working: dict[tuple[str, str], Any]) -> None:
    theirs = json.loads(QUANTREG.read_text())["fits"]["quantiles"]["quantities"]
    for place, q in enumerate(_quantiles(found)):
        other = theirs[f"tau_{q} b"]
        rows = [
            (found["slope(income)", q], "#0a5c9e", -0.2, "corrected"),
            (working["slope(income)", q], "0.6", 0.0, "of the likelihood"),
        ]
        for row, color, shift, label in rows:
            axes.plot([place + shift] * 2, [row.q5, row.q95], color=color, lw=2.5, label=None if place else label)
            axes.plot(place + shift, row.mean, "o", color=color, ms=5)
        low, high = other["value"] - WIDE * other["se"], other["value"] + WIDE * other["se"]
        axes.plot([place + 0.2] * 2, [low, high], color="#b5502b", lw=2.5, label=None if place else "quantreg in R")
        axes.plot(place + 0.2, other["value"], "o", color="#b5502b", ms=5)
        here, before = (each["slope(income)", q] for each in (found, working))
        sys.stdout.write(f"{q} {here.mean:.3f} {here.sd:.3f} {before.sd:.3f} {other['value']:.3f} {other['se']:.3f}\n")
    axes.set_xticks(range(len(_quantiles(found))), _quantiles(found))
    axes.set(xlabel="quantile", ylabel="francs for each franc, 90% intervals")
    axes.legend(frameon=False, loc="upper left")


if __name__ == "__main__":
    main()
