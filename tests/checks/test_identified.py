"""What the checks let pass as known from the margins is computed, and comes out right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hdsl.checks import check_study
from hdsl.data.bind import bind
from hdsl.estimands.compute import compute
from hdsl.model.from_design import derive
from tests.checks.studies import read

LOGS = """
study logs
data "d.csv"
unit p { outcome y : positive }
treatment z { a = 0, b = 1 }
assign z to p by complete(0.5)
estimand e = average over p of log(y(z = b)) - log(y(z = a))
"""


def test_the_average_of_a_difference_of_logs_needs_no_joint_distribution(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    z = np.arange(100) % 2
    y = np.exp(rng.normal(size=100))
    lines = (f"{arm},{value:.4f}" for arm, value in zip(z, y, strict=True))
    (tmp_path / "d.csv").write_text("z,y\n" + "\n".join(lines), encoding="utf-8")
    study, _, _ = read(LOGS)
    assert check_study(study) == []
    bound, _ = bind(study, tmp_path)
    assert bound is not None
    made, _ = derive(bound)
    assert made is not None
    draws = {variable.name: np.full((1, 50), 0.7) for variable in made[0].variables}
    (found,) = compute(study.estimands, *made, bound, draws, seed=1)
    np.testing.assert_allclose(found.draws, 0.7, atol=1e-9)
