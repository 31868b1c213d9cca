"""A small tutoring study with known effects, for tests of results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

STUDY = """study tutoring "Tutoring, randomised within schools"
data "tutoring.csv"
group school id school { covariate poverty : proportion }
unit student in school {
  covariate pretest : real "points"
  outcome   score   : real "points"
}
treatment tutor { none = 0, tutored = 1 }
assign tutor to student within school by complete(0.5)
analysis {
  adjust for pretest, poverty
  vary tutor across school
}
estimand ate = average over student of score(tutor = tutored) - score(tutor = none)
"""
SCHOOLS, PUPILS, EFFECT = 8, 10, 4.0


def write(folder: Path) -> Path:
    """Write the study and its data (8 schools of 10 pupils) and return the path of the study."""
    random = np.random.default_rng(11)
    rows = ["school,poverty,tutor,pretest,score"]
    for school in range(SCHOOLS):
        poverty = round(float(random.beta(2, 3)), 3)
        level, effect = random.normal(50 - 10 * poverty, 2), random.normal(EFFECT, 1)
        for pupil in range(PUPILS):
            pretest, tutor = round(float(random.normal(40, 10)), 2), pupil % 2
            score = level + 0.5 * (pretest - 40) + effect * tutor + random.normal(0, 3)
            rows.append(f"s{school + 1},{poverty},{tutor},{pretest},{score:.2f}")
    (folder / "tutoring.csv").write_text("\n".join(rows) + "\n")
    path = folder / "tutoring.hdm"
    path.write_text(STUDY)
    return path
