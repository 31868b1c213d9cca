"""Simulates trials with many moderators, and draws many_moderators.png: python docs/gallery/many_moderators.py"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import hdsl
from hdsl import Settings, Study, bernoulli, covariate, outcome

HERE = Path(__file__).parent
MODERATORS = tuple(f"x{i}" for i in range(1, 13))
ROWS = 400
FORMS = ("wide", "halft", "horseshoe", "r2d2", "lasso", "heredity")
LABELS = {"wide": "prespecified (wide priors)", "halft": "half-t", "r2d2": "R2-D2"}
SETTINGS = Settings(chains=2, draws=400, warmup=400)


def study(form: str) -> Study:
    """Return the study with wide priors, or with exploratory moderators under a prior that shrinks."""
    variables = [*(covariate(name, "real") for name in MODERATORS), outcome("score", "real")]
    made = (
        Study("moderators")
        .data("d.csv")
        .unit("pupil", id="pupil", variables=variables)
        .treatment("tutor", none=0, tutored=1)
        .assign("tutor", to="pupil", by=bernoulli(0.5))
        .vary("tutor", moderator=MODERATORS, prespecified=form == "wide")
    )
    return made if form == "wide" else made.shrink(form)  # pyright: ignore[reportArgumentType]


def write(path: Path, rng: np.random.Generator, slopes: Sequence[float], interactions: Sequence[float]) -> None:
    """Write a trial with an effect of 0.5; one standard deviation of the residuals is 1, and of each moderator, too."""
    x, tutor = rng.normal(size=(ROWS, len(MODERATORS))), rng.integers(0, 2, ROWS)
    score = x @ np.asarray(slopes) + tutor * (0.5 + x @ np.asarray(interactions)) + rng.normal(size=ROWS)
    table = np.column_stack([np.arange(ROWS), tutor, x.round(4), score.round(4)])
    lines = [",".join(["pupil", "tutor", *MODERATORS, "score"]), *(",".join(f"{v:g}" for v in row) for row in table)]
    path.write_text("\n".join(lines) + "\n")


def estimates(form: str, path: Path, seed: int) -> np.ndarray:
    """Return mean, 5% and 95% quantiles of the interactions, shape (moderators, 3)."""
    result: Any = hdsl.run(study(form), data=str(path), settings=replace(SETTINGS, seed=seed))
    found = {s.name: s for s in result.parameter_summaries if s.name.startswith("interaction(")}
    rows = [found[f"interaction(tutor * {name})"] for name in MODERATORS]
    return np.array([[s.mean, s.q5, s.q95] for s in rows])


def nothing_but_one(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes, and interactions of which one is there."""
    interactions = np.zeros(len(MODERATORS))
    interactions[0] = 0.3
    return rng.normal(0, 0.2, len(MODERATORS)), interactions


def large_from_large(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes of which a few are large, and interactions in proportion to their roots."""
    slopes = np.where(np.arange(len(MODERATORS)) < 4, rng.choice([-0.6, 0.6], len(MODERATORS)), 0.0)
    return slopes, rng.normal(0, 0.4, len(MODERATORS)) * np.sqrt(np.abs(slopes) * 0.5)


COMPARED = {"one of twelve": FORMS, "large from large": ("wide", "halft", "horseshoe", "heredity")}
TRUTHS = {"one of twelve": nothing_but_one, "large from large": large_from_large}


def simulate(truth: str, forms: Sequence[str], replicates: int, seed: int = 1) -> dict[str, dict[str, float]]:
    """Return for each form what becomes of the interactions, over replicated trials.

    `false`: share of the absent interactions whose 90% interval leaves out zero; `any false`: share of trials with
    one; `found`: share of those there that are found; `exaggeration`: mean size of what is called an interaction,
    relative to the truth (type M, of those that are there); `rmse`: root mean squared error.
    """
    rng, made = np.random.default_rng(seed), TRUTHS[truth]
    kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {form: [] for form in forms}
    with tempfile.TemporaryDirectory() as folder:
        for replicate in range(replicates):
            slopes, interactions = made(rng)
            path = Path(folder) / "d.csv"
            write(path, rng, slopes, interactions)
            for form in forms:
                kept[form].append((estimates(form, path, replicate), interactions))
    return {form: _judged(found) for form, found in kept.items()}


def _judged(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    means = np.stack([each[:, 0] for each, _ in found])
    called = np.stack([(each[:, 1] > 0) | (each[:, 2] < 0) for each, _ in found])
    truth = np.stack([interactions for _, interactions in found])
    there = truth != 0
    right = called & there
    return {
        "false": float(called[~there].mean()),
        "any false": float((called & ~there).any(axis=1).mean()),
        "found": float(called[there].mean()),
        "exaggeration": float(np.mean(np.abs(means[right]) / np.abs(truth[right]))) if right.any() else float("nan"),
        "rmse": float(np.sqrt(np.mean((means - truth) ** 2))),
    }


def draw(results: dict[str, dict[str, dict[str, float]]]) -> None:
    """Draw false findings and errors by prior."""
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.2), layout="constrained")
    panels = (
        (
            "one of twelve",
            "any false",
            100,
            "C3",
            "trials with a false interaction, %",
            "one of twelve moderators matters",
        ),
        (
            "large from large",
            "rmse",
            1,
            "C0",
            "error of an interaction",
            "large from large",
        ),
    )
    for each, (truth, what, factor, color, label, title) in zip(axes, panels, strict=True):
        forms = COMPARED[truth]
        places = np.arange(len(forms))[::-1]
        each.barh(places, [factor * results[truth][form][what] for form in forms], color=color, height=0.6)
        each.set_yticks(places, [LABELS.get(form, form) for form in forms])
        each.set_xlabel(label)
        each.set_title(title, fontsize=10)
        each.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "many_moderators.png", dpi=110)


def main() -> None:
    """Simulate, print the figures of the page and draw the picture."""
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    results = {truth: simulate(truth, COMPARED[truth], replicates) for truth in TRUTHS}
    sys.stdout.write(json.dumps(results, indent=1) + "\n")
    draw(results)


if __name__ == "__main__":
    main()
