"""Draws incomes.png: python docs/gallery/incomes.py"""

from __future__ import annotations

import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
TRUTH = {"effect(tutor)": 3.0, "slope(log(income))": 8.0, "slope(pretest)": 0.5}
DATA_SETS = 16
SETTINGS = Settings(seed=1, chains=2, draws=300, warmup=300)


def dropping(study: Study) -> Study:
    """Return the study that drops rows without an income."""
    level = study.levels[-1]
    variables = tuple(v.model_copy(update={"missing": False}) for v in level.variables)
    return study.model_copy(update={"levels": (*study.levels[:-1], level.model_copy(update={"variables": variables}))})


def simulated(folder: Path, seed: int) -> Path:
    """Write data of the example's design from another seed, and return their path."""
    script = runpy.run_path(str(EXAMPLES / "simulate.py"))["incomes"]
    (folder / "incomes").mkdir(exist_ok=True)
    made = np.random.default_rng(seed)
    with mock.patch.dict(script.__globals__, HERE=folder), mock.patch("numpy.random.default_rng", return_value=made):
        script()
    return folder / "incomes" / "incomes.csv"


def main() -> None:
    """Fit the study with its gaps modelled and with rows dropped, in several data sets, beside the truth."""
    study = hdsl.load(EXAMPLES / "incomes" / "incomes.hdm")
    forms = {"gaps modelled": study, "rows dropped": dropping(study)}
    means: dict[tuple[str, str], list[float]] = {(form, role): [] for form in forms for role in TRUTH}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(100, 100 + DATA_SETS):
            path = simulated(Path(folder), seed)
            for form, each in forms.items():
                result: Any = hdsl.run(each, data=str(path), settings=SETTINGS)
                for s in result.parameter_summaries:
                    if s.name in TRUTH:
                        means[form, s.name].append(s.mean)
    figure, panels = plt.subplots(1, 3, figsize=(8.4, 2.2), layout="constrained", sharey=True)
    for panel, (role, truth) in zip(panels, TRUTH.items(), strict=True):
        for place, (form, color) in enumerate(zip(forms, ("C0", "C3"), strict=True)):
            found = np.array(means[form, role])
            panel.plot(found, np.full(len(found), 1 - place), "o", ms=4, alpha=0.45, color=color)
            panel.plot(found.mean(), 1 - place, "|", ms=26, mew=2, color=color)
            sys.stdout.write(f"{role}, {form}: {found.mean():.3f}\n")
        panel.axvline(truth, color="0.4", ls="--", lw=1)
        panel.set_title(role, fontsize=10)
        panel.set_ylim(-0.6, 1.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks([1, 0], list(forms))
    figure.savefig(HERE / "incomes.png", dpi=110)


if __name__ == "__main__":
    main()
