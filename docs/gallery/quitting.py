"""Draws quitting.png: python docs/gallery/quitting.py"""

from __future__ import annotations

import sys
from pathlib import Path

import hdsl
from hdsl import Settings, Study

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples"
USES = (("weight", None), ("strata", 10), ("covariate", None))


def variant(use: str, strata: int | None) -> Study:
    """Return the study of the example with another use of the score."""
    data = EXAMPLE / "smoking_cessation" / "smoking_cessation.csv"
    study = hdsl.load(EXAMPLE / "quitting" / "quitting.hdm").data(str(data))
    (score,) = study.analysis
    return study.model_copy(update={"analysis": (score.model_copy(update={"use": use, "strata": strata}),)})


def main() -> None:
    """Fit with each use of the score, and draw overlap and balance under weights."""
    for use, strata in USES:
        result = hdsl.run(variant(use, strata), settings=Settings(seed=1))
        (ate,) = result.estimand_summaries
        text = f"{use}: {ate.mean:.2f} ({ate.sd:.2f}), {ate.q5:.2f} to {ate.q95:.2f}; {result.verdict}"
        sys.stdout.write(text + "\n")
        if use == "weight":
            result.plot.overlap().savefig(HERE / "quitting.png", dpi=110)


if __name__ == "__main__":
    main()
