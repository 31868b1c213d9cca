"""Draws model_checks.png: python docs/gallery/model_checks.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study
from hdsl.report.pictures.fit import scaled

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "rice"
SETTINGS = Settings(seed=1)
REACH = 4.5


def studies() -> dict[str, Study]:
    """Return the study of the example, and the same with an interaction of nitrogen and variety."""
    study = hdsl.load(EXAMPLE / "rice.hdm").data(str(EXAMPLE / "rice.csv"))
    mended = study.interact("nitrogen", "variety")
    for dose in (0, 140):
        effect = f"yield(nitrogen = {dose}, variety = v3) - yield(nitrogen = {dose}, variety = v1)"
        mended = mended.estimand(f"variety_3_at_{dose}", f"average over plot of {effect}")
    return {"as declared": study, "with interact nitrogen * variety": mended}


def main() -> None:
    """Fit both, check both, and draw the checks side by side."""
    results = {name: hdsl.run(study, settings=SETTINGS) for name, study in studies().items()}
    checks = {name: {c.name: c for c in result.check_fit().checks} for name, result in results.items()}
    first, second = checks.values()
    shown = [name for name in first if name in second and first[name].replicates != "prior"]
    places = np.arange(len(shown))[::-1]
    figure, ax = plt.subplots(figsize=(8.6, 6.2), layout="constrained")
    ax.hlines(places, -1.645, 1.645, color="0.85", lw=6)
    for (name, found), colour, shift in zip(checks.items(), ("C1", "C0"), (0.12, -0.12), strict=True):
        values = [float(np.clip(scaled(found[each]), -REACH, REACH)) for each in shown]
        ax.plot(values, places + shift, "o", color=colour, ms=5, label=name)
    label: Any = {"fontsize": 8}
    ax.set_yticks(places, shown, **label)
    ax.set(xlim=(-REACH - 0.3, REACH + 0.3), xticks=[-1.645, 0, 1.645])
    ax.set_xticklabels(["5%", "median", "95%"])
    ax.set_xlabel("the data among replicates of the fitted model")
    ax.legend(frameon=False, loc="upper right")
    ax.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(HERE / "model_checks.png", dpi=110)
    for name, result in results.items():
        found = result.check_fit()
        sys.stdout.write(f"{name}: {found.verdict}\n")
        for told in found.findings:
            sys.stdout.write(f"  {told.message}\n")
        for left in found.left_out:
            sys.stdout.write(f"  each {left.what} left out: elpd {left.elpd:.1f} (se {left.se:.1f})\n")
        for row in result.estimand_summaries:
            sys.stdout.write(f"  {row.name}: {row.mean:.2f} (sd {row.sd:.2f}), {row.q5:.2f} to {row.q95:.2f}\n")


if __name__ == "__main__":
    main()
