"""Draws depression.png: python docs/gallery/depression.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study
from hdsl.design.ir import Correlate

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "depression"
MONTHS = (2, 3, 5, 8)


def variant(structure: str) -> Study:
    """Return the study of the example with another structure; as ar1 without the patient's intercept beside it."""
    study = hdsl.load(EXAMPLE / "depression.hdm").data(str(EXAMPLE / "depression.csv"))
    changed = [a.model_copy(update={"structure": structure}) if isinstance(a, Correlate) else a for a in study.analysis]
    study = study.model_copy(update={"analysis": tuple(changed)})
    return study.pool("patient", "completely") if structure == "ar1" else study


def draws(result: Any, role: str) -> Any:
    """Return the draws of a role as one axis."""
    return np.ravel(result.posterior["posterior"][role].values)


def main() -> None:
    """Fit with each structure and draw the correlation of two visits against the months between them."""
    names = ("ar1", "exchangeable", "unstructured")
    results = {name: hdsl.run(variant(name), settings=Settings(seed=1)) for name in names}
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    months = np.linspace(0.5, 6.2, 80)
    curve = draws(results["ar1"], "corr(residual, patient)")[:, None] ** months
    level = draws(results["exchangeable"], "corr(residual, patient)")[:, None] * np.ones(80)
    for values, color, name in ((curve, "C0", "ar1"), (level, "C1", "exchangeable")):
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95), axis=0)
        axes.fill_between(months, low, high, color=color, alpha=0.2, lw=0)
        axes.plot(months, middle, color=color, label=f"as {name}")
    pairs = [(a, b) for i, a in enumerate(MONTHS) for b in MONTHS[i + 1 :]]
    for place, (a, b) in enumerate(pairs):
        found = draws(results["unstructured"], f"corr(residual[{a}], residual[{b}], patient)")
        low, middle, high = np.quantile(found, (0.05, 0.5, 0.95))
        x = b - a + (0.12 if (a, b) == (5, 8) else 0.0)
        axes.plot([x, x], [low, high], color="0.25", lw=1)
        axes.plot(x, middle, "o", color="0.25", ms=5, label="as unstructured" if place == 0 else None)
        label: Any = {"xytext": (-22 if (a, b) == (2, 5) else 5, 3), "fontsize": 8, "color": "0.25"}
        axes.annotate(f"{a}, {b}", (x, middle), textcoords="offset points", **label)
    axes.set(xlabel="months between two visits", ylabel="correlation of residuals", ylim=(0, 1))
    axes.legend(frameon=False, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "depression.png", dpi=110)
    for name, result in results.items():
        for found in result.estimand_summaries:
            line = f"{name:13} {found.name:5} {found.mean:6.2f} ({found.sd:.2f}), {found.q5:.2f} to {found.q95:.2f}"
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
