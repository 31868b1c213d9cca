"""Draws smoking_cessation.png: python docs/gallery/smoking_cessation.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "smoking_cessation"
SHAPES = ("linear", "spline", "gp")


def variant(shape: str) -> Study:
    """Return the study of the example with the effect varying in another shape."""
    study = hdsl.load(EXAMPLE / "smoking_cessation.hdm").data(str(EXAMPLE / "smoking_cessation.csv"))
    (moderator,) = study.analysis
    return study.model_copy(update={"analysis": (moderator.model_copy(update={"shape": shape}),)})


def along(result: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return cigarettes and draws of the effect there, shape (draws, values)."""
    posterior = result.posterior["posterior"]
    if "effect(quit)[cigarettes]" in posterior:
        values = posterior["effect(quit)[cigarettes]"]
        (dim,) = (dim for dim in values.dims if dim not in ("chain", "draw"))
        return values.coords[dim].values.astype(float), values.values.reshape(-1, values.sizes[dim])
    x = np.linspace(1, 80, 50)
    level, slope = (np.ravel(posterior[role].values) for role in ("effect(quit)", "interaction(quit * cigarettes)"))
    return x, level[:, None] + slope[:, None] * x


def main() -> None:
    """Fit with each shape and draw the effect against cigarettes."""
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for color, shape in zip(("0.5", "C0", "C1"), SHAPES, strict=True):
        result = hdsl.run(variant(shape), settings=Settings(seed=1))
        x, draws = along(result)
        low, middle, high = np.quantile(draws, (0.05, 0.5, 0.95), axis=0)
        if shape == "spline":
            axes.fill_between(x, low, high, color=color, alpha=0.25, lw=0)
        else:
            axes.plot(x, low, x, high, color=color, lw=0.8, ls=":")
        axes.plot(x, middle, color=color, label=f"as {shape}")
        sys.stdout.write(f"{shape}: {result.verdict}\n")
        for found in result.estimand_summaries:
            sys.stdout.write(
                f"  {found.name:6} {found.mean:5.2f} ({found.sd:.2f}), {found.q5:.2f} to {found.q95:.2f}\n"
            )
        for found in result.parameter_summaries:
            if found.name.startswith(("sd(quit", "interaction", "lengthscale(quit")):
                sys.stdout.write(f"  {found.name} {found.mean:.3f} ({found.sd:.3f})\n")
    people = np.genfromtxt(EXAMPLE / "smoking_cessation.csv", delimiter=",", names=True)["smokeintensity"]
    axes.plot(people, np.full(len(people), -3.8), "|", color="0.3", ms=4, alpha=0.2)
    axes.axhline(0, color="0.8", lw=0.8, zorder=0)
    axes.set(xlabel="cigarettes a day in 1971", ylabel="effect of quitting on weight, kg", xlim=(0, 62), ylim=(-4, 13))
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "smoking_cessation.png", dpi=110)


if __name__ == "__main__":
    main()
