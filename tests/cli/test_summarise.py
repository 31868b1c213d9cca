"""`hdsl run --stream`, `hdsl summarise`, `hdsl run --shards`: the posterior is that of all rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdsl.cli import main
from hdsl.driver import run

STUDY = """study s data "rows.parquet"
group school id school
unit pupil in school { covariate x : real outcome y : real }
treatment z { off = 0, on = 1 }
assign z to pupil within school by bernoulli(0.5)
analysis { adjust for x  vary z across school }
estimand ate = average over pupil of y(z = on) - y(z = off)
estimand site[school] = average over pupil of y(z = on) - y(z = off)
"""
ROWS = 6_000


def _write(folder: Path) -> str:
    rng = np.random.default_rng(11)
    school, z = rng.integers(0, 30, ROWS), rng.integers(0, 2, ROWS)
    x = rng.normal(size=ROWS)
    effect = 0.4 + 0.2 * rng.normal(size=30)
    y = rng.normal(size=30)[school] + effect[school] * z + 0.5 * x + rng.normal(size=ROWS)
    table = pa.table({"school": school, "z": z, "x": x, "y": y})
    pq.write_table(table, folder / "rows.parquet")
    for i in range(3):
        pq.write_table(table.slice(i * 2_000, 2_000), folder / f"part-{i}.parquet")
    (folder / "s.hdm").write_text(STUDY)
    return str(folder / "s.hdm")


def _estimands(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[tuple[str, str], float]:
    assert main(["run", *arguments, "--json", "--draws", "200"]) == 0
    found = json.loads(capsys.readouterr().out)["estimands"]
    return {(each["name"], str(each["index"])): each["mean"] for each in found}


def test_streamed_rows_and_added_sums_have_the_posterior_of_all_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _write(tmp_path)
    monkeypatch.chdir(tmp_path)
    whole = _estimands(capsys, study, "--no-stream")
    for i in (2, 0, 1):
        assert main(["summarise", study, f"part-{i}.parquet", "--out", f"stats-{i}.parquet"]) == 0
        assert "2,000 rows summed up in 60 cells" in capsys.readouterr().out
    for found in (
        _estimands(capsys, study, "--stream"),
        _estimands(capsys, study, "--data", "part-*.parquet"),
        _estimands(capsys, study, "--shards", "stats-*.parquet"),
        _estimands(capsys, study, "--shards", "stats-2.parquet", "stats-1.parquet", "stats-0.parquet"),
    ):
        assert found.keys() == whole.keys()
        np.testing.assert_allclose([found[key] for key in whole], list(whole.values()), rtol=1e-8, atol=1e-10)


def test_draws_are_those_of_all_rows(tmp_path: Path) -> None:
    study = _write(tmp_path)
    whole, summed = run(study, stream=False), run(study, stream=True)
    assert "exact" in whole.inference
    for name in ("parameters", "estimands"):
        for key, values in whole.posterior[name].data_vars.items():
            np.testing.assert_allclose(
                summed.posterior[name][key].values, values.values, rtol=1e-6, atol=1e-8, err_msg=str(key)
            )
    assert "log_likelihood" not in summed.posterior
    assert summed.heading == whole.heading


def test_a_kept_run_of_sums_is_recalled_and_saved_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDSL_RUNS", "on")
    study = _write(tmp_path)
    first = run(study, stream=True, runs=True)
    again = run(study, stream=True, runs=True)
    assert again.recalled
    assert again.bound.frequency is not None
    np.testing.assert_array_equal(again.bound.frequency, first.bound.frequency)
    assert again.bound.measures == first.bound.measures == ("x", "y")


def test_the_process_ends_without_a_word(tmp_path: Path) -> None:
    """Libraries say at the end of a process what is left of them, where it is not put away."""
    command = [sys.executable, "-m", "hdsl", "summarise", _write(tmp_path), "rows.parquet", "--out", "stats.parquet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_kept_run_of_sums_has_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of it sums the rows up again to see that they are the same."""
    monkeypatch.setenv("HDSL_RUNS", "on")
    study = _write(tmp_path)
    run(study, stream=True, runs=True)
    assert main(["plot", "forest", study, "--out", str(tmp_path / "forest.svg"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["diagnostics"] == []
    table = pq.read_table(tmp_path / "rows.parquet")
    pq.write_table(table.slice(1), tmp_path / "rows.parquet")
    assert main(["plot", "forest", study, "--out", str(tmp_path / "forest.svg"), "--json"]) == 0
    assert [each["code"] for each in json.loads(capsys.readouterr().out)["diagnostics"]] == ["HDM120"]


def test_what_needs_rows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Path(_write(tmp_path))
    text = study.read_text()
    study.write_text(text + "estimand tail = quantile(0.9) over pupil of y(z = on)\n")
    assert main(["run", str(study), "--stream", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert found["code"] == "HDM370"
    study.write_text(text.replace("outcome y : real", "outcome y : positive column p").replace("within school ", ""))
    table = pq.read_table(tmp_path / "rows.parquet")
    pq.write_table(table.append_column("p", pa.array(np.exp(table["y"].to_numpy()))), tmp_path / "rows.parquet")
    assert main(["run", str(study), "--stream", "--json"]) == 1
    codes = [each["code"] for each in json.loads(capsys.readouterr().out)["diagnostics"] if each["severity"] == "error"]
    assert codes == ["HDM520"]


def test_summarise_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = _write(tmp_path)
    out = str(tmp_path / "stats.parquet")
    assert main(["summarise", study, str(tmp_path / "none.parquet"), "--out", out, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["diagnostics"][0]["code"] == "HDM210"
    assert not Path(out).exists()
    assert main(["run", study, "--shards", str(tmp_path / "rows.parquet"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["diagnostics"][0]["code"] == "HDM371"


def test_rows_that_were_summed_up_are_neither_predicted_nor_drawn(tmp_path: Path) -> None:
    import pandas as pd

    from hdsl.design.snippets import StudyError

    study = _write(tmp_path)
    summed, whole = run(study, stream=True), run(study, stream=False)
    new = pd.DataFrame({"school": [0, 3], "z": [0, 1], "x": [0.5, -1.0]})
    pd.testing.assert_frame_equal(summed.predict(new), whole.predict(new), rtol=1e-6)
    for asked in (summed.predict, summed.plot.ppc, summed.plot.shrinkage, summed.plot.curve):
        with pytest.raises(StudyError, match="summed up"):
            asked()
