"""Draws ratings.png: python docs/gallery/ratings.py"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "ratings"


def main() -> None:
    """Fit and draw the expected rating in each cell, and how alike the two factors' units are."""
    result = hdsl.run(EXAMPLE / "ratings.hdm", settings=Settings(seed=1))
    posterior = result.posterior["posterior"]
    sys.stdout.write(f"{result.verdict}\n")
    alike: dict[str, list[tuple[float, str]]] = {"dept": [], "lectage": []}
    for found in result.parameter_summaries:
        if found.name.startswith("corr("):
            alike[found.name.rsplit(", ", 1)[1][:-1]].append((found.mean, found.name))
        elif not found.index:
            sys.stdout.write(f"  {found.name} {found.mean:.3f} ({found.sd:.3f}), {found.q5:.3f} to {found.q95:.3f}\n")
    for name, pairs in alike.items():
        sys.stdout.write(f"{name}: {sorted(pairs)[:2]} ... {sorted(pairs)[-3:]}\n")
    cells = posterior["intercept[dept * lectage]"]
    (dim,) = (dim for dim in cells.dims if dim not in ("chain", "draw"))
    labels = [str(label).split(", ") for label in cells.coords[dim].values]
    means = cells.mean(("chain", "draw")).values
    depts = sorted({a for a, _ in labels}, key=int)
    ages = sorted({b for _, b in labels}, key=int)
    table = np.full((len(depts), len(ages)), np.nan)
    for (a, b), value in zip(labels, means, strict=True):
        table[depts.index(a), ages.index(b)] = value
    order = np.argsort(np.nanmean(table, axis=1))
    figure, axes = plt.subplots(figsize=(5.6, 4.4), layout="constrained")
    image = axes.imshow(table[order], aspect="auto", cmap="viridis")
    axes.set_xticks(range(len(ages)), ages)
    axes.set_yticks(range(len(depts)), [depts[k] for k in order])
    axes.set(xlabel="semesters since the lecture", ylabel="department")
    figure.colorbar(image, label="expected rating, of 5")
    figure.savefig(HERE / "ratings.png", dpi=110)


if __name__ == "__main__":
    main()
