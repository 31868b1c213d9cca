"""A million rows, summed up in one pass: the posterior of all rows, in less memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stream import EFFECT, make

PROGRAM = """
import json, resource, sys
from hdsl.driver import run
result = run(sys.argv[1], stream=sys.argv[2] == "stream")
(ate,) = (each for each in result.estimand_summaries if each.name == "ate")
parameters = [each.mean for each in result.parameter_summaries]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"ate": ate.mean, "sd": ate.sd, "parameters": parameters, "peak": peak}))
"""


def _run(study: Path, how: str) -> dict[str, object]:
    import json

    command = [sys.executable, "-c", PROGRAM, str(study), how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500)
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_a_million_rows(tmp_path: Path) -> None:
    make(tmp_path, 1_000_000, 200)
    study = tmp_path / "study.hdm"
    study.write_text(study.read_text().replace("part-*.parquet", "part-0.parquet"))
    summed, whole = _run(study, "stream"), _run(study, "whole")
    np.testing.assert_allclose(summed["parameters"], whole["parameters"], rtol=1e-6, atol=1e-9)
    assert summed["ate"] == pytest.approx(whole["ate"], rel=1e-8)
    error = 0.2 / np.sqrt(200)  # the standard error of the mean of the groups' effects
    assert abs(float(str(summed["ate"])) - EFFECT) < 3 * error
    assert int(str(summed["peak"])) < 0.75 * int(str(whole["peak"]))
