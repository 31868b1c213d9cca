"""Draws road_toll.png: python docs/gallery/road_toll.py"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
EXAMPLE = EXAMPLES / "road_toll"


def main() -> None:
    """Fit, and draw each county's support in the poll and in the population against the truth."""
    result = hdsl.run(EXAMPLE / "road_toll.hdm", settings=Settings(seed=1, draws=2000))
    _, cells, people, chance = runpy.run_path(str(EXAMPLES / "simulate.py"))["road_toll_census"]()
    poll = np.genfromtxt(EXAMPLE / "poll.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    sys.stdout.write(f"{result.verdict}\n")
    for found in (s for s in (*result.estimand_summaries, *result.parameter_summaries) if not s.index):
        sys.stdout.write(f"  {found.name} {found.mean:.3f} ({found.sd:.3f}), {found.q5:.3f} to {found.q95:.3f}\n")
    sys.stdout.write(f"truth {np.average(chance, weights=people):.4f}, in the poll {poll['support'].mean():.4f}\n")
    raw = np.array([poll["support"][poll["county"] == k].mean() for k in range(1, 37)])
    sizes = np.array([(poll["county"] == k).sum() for k in range(1, 37)])
    truth = np.array([np.average(chance[own], weights=people[own]) for own in (cells[:, 0] == k for k in range(36))])
    estimates = {int(s.index["county"]): s for s in result.estimand_summaries if s.name == "by_county"}
    chosen = [estimates[k] for k in range(1, 37)]
    _report(raw, truth, chosen)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4.2), layout="constrained", sharex=True, sharey=True)
    left.scatter(truth, raw, s=8 + sizes, color="0.45", alpha=0.7, lw=0)
    means = np.array([s.mean for s in chosen])
    spread = np.abs(np.array([[s.q5 for s in chosen], [s.q95 for s in chosen]]) - means)
    right.errorbar(truth, means, spread, fmt="none", ecolor="#7aa6c2", elinewidth=0.9)
    right.scatter(truth, means, s=8 + sizes, color="#1b6ca8", alpha=0.8, lw=0)
    _frame(left, "share in the poll", "support")
    _frame(right, "model and census", "")
    figure.savefig(HERE / "road_toll.png", dpi=110)


def _report(raw: Any, truth: Any, estimates: list[Any]) -> None:
    means = np.array([s.mean for s in estimates])
    inside = np.mean([s.q5 <= value <= s.q95 for s, value in zip(estimates, truth, strict=True)])
    for name, guess in (("poll", raw), ("model", means)):
        off = guess - truth
        sys.stdout.write(f"{name}: mean error {off.mean():.3f}, root mean square {np.sqrt(np.mean(off**2)):.3f}\n")
    sys.stdout.write(f"90% intervals that hold the truth: {inside:.2f}\n")


def _frame(axes: Any, title: str, label: str) -> None:
    axes.axline((0.5, 0.5), slope=1, color="0.7", lw=0.8, zorder=0)
    axes.set(title=title, xlabel="true support in the county", ylabel=label, xlim=(0.05, 0.95), ylim=(0, 1.03))
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
