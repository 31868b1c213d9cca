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


@pytest.mark.slow
def test_twenty_million_rows_of_one_group_keep_their_digits(tmp_path: Path) -> None:
    """Values repeat after 1,000 rows, so that their products are known in rational numbers."""
    from fractions import Fraction

    import duckdb

    from hdsl.data.stream import summed
    from hdsl.data.stream_cells import Cells
    from hdsl.driver import open_study

    rows, period = 20_000_000, 1_000
    x = "1e6 + 7 * ((i * 7919) % 1000) / 1000.0"
    y = "3e5 + 2 * (i % 2) - 1 + ((i * 7919) % 1000) / 500.0"
    asked = f"SELECT 0 AS school, {x} AS x, {y} AS y FROM range({rows}) AS t(i)"
    duckdb.connect().execute(f"COPY ({asked}) TO '{tmp_path / 'rows.parquet'}'")
    (tmp_path / "s.hdm").write_text("""study s data "rows.parquet" group school id school
    unit pupil in school { covariate x : real outcome y : real } analysis { adjust for x }""")
    study = open_study(tmp_path / "s.hdm").study
    assert study is not None
    found = summed(study, tmp_path, ["rows.parquet"])
    assert isinstance(found, Cells)
    table = duckdb.connect().sql(f"SELECT x, y FROM '{tmp_path / 'rows.parquet'}' LIMIT {period}").fetchnumpy()
    columns = [[Fraction(float(value)) for value in table[name]] for name in ("x", "y")]
    for i, one in enumerate(columns):
        for j, other in enumerate(columns):
            products = sum(a * b for a, b in zip(one, other, strict=True)) - sum(one) * sum(other) / period
            assert found.scatter[0, i, j] == pytest.approx(float(products * (rows // period)), rel=1e-11)
