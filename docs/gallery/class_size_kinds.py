"""Draws class_size_kinds.png: python docs/gallery/class_size_kinds.py"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "class_size_kinds"


def normal(study: Study) -> Study:
    """Return the study with a normal law of the effects."""
    *others, varied = study.analysis
    return study.model_copy(update={"analysis": (*others, varied.model_copy(update={"law": "normal"}))})


def main() -> None:
    """Fit with clusters and with a normal law; draw the density of the effects and those of the schools."""
    study = hdsl.load(EXAMPLE / "class_size_kinds.hdm").data(str(EXAMPLE / "class_size_kinds.csv"))
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for color, name, each in (("C0", "as dirichlet", study), ("0.5", "normal", normal(study))):
        result = hdsl.run(each, settings=Settings(seed=1))
        posterior = result.posterior["posterior"]
        sys.stdout.write(f"{name}: {result.verdict}\n")
        for found in (*result.estimand_summaries, *result.parameter_summaries):
            if not found.index:
                sys.stdout.write(
                    f"  {found.name} {found.mean:.2f} ({found.sd:.2f}), {found.q5:.2f} to {found.q95:.2f}\n"
                )
        schools = np.median(posterior["effect(small)[school]"].values, axis=(0, 1))
        axes.plot(schools, np.full(len(schools), 0.0 if name == "normal" else -0.0012), "|", color=color, ms=8)
        mean, sd = (
            np.ravel(posterior[role].values)[:, None] for role in ("effect(small)", "sd(effect(small), school)")
        )
        if name == "normal":
            x = np.linspace(-40, 70, 111)
            density = np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        else:
            shown = posterior["density(effect(small), school)"].values
            places = np.linspace(-3, 3, shown.shape[-1])
            flat = shown.reshape(-1, shown.shape[-1])
            x = np.linspace(-40, 70, 111)
            rows = zip(mean[:, 0], sd[:, 0], flat, strict=True)
            density = np.array([np.interp((x - m) / s, places, d, 0, 0) / s for m, s, d in rows])
        low, middle, high = np.quantile(density, (0.1, 0.5, 0.9), axis=0)
        axes.fill_between(x, low, high, color=color, alpha=0.2, lw=0)
        axes.plot(x, middle, color=color, label=name)
    axes.set(xlabel="effect of a small class, points", ylabel="density over schools")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "class_size_kinds.png", dpi=110)


if __name__ == "__main__":
    main()
