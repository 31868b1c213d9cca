"""Results in Python: frames, effects, predictions, comparisons, and files that hold all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hdsl import Result, Settings, StudyError, run
from hdsl.report.effects import parameters
from tests.report.made import EFFECT, PUPILS, SCHOOLS, STUDY, write


def rows_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path.parent / "tutoring.csv")


class TestFrames:
    def test_the_numbers_are_those_of_the_draws(self, found: Result) -> None:
        frame = found.estimands
        draws = found.draws("ate").values.ravel()
        assert frame["name"].tolist() == ["ate"]
        assert frame["mean"][0] == pytest.approx(draws.mean())
        assert frame["q95"][0] == pytest.approx(np.quantile(draws, 0.95))
        assert frame["positive"][0] == (draws > 0).mean()
        assert abs(frame["mean"][0] - EFFECT) < 4 * frame["sd"][0]

    def test_each_library_gives_the_same_table(self, found: Result) -> None:
        import polars
        import pyarrow

        ours = found.parameters
        polar, arrow = found.using("polars").parameters, found.using("pyarrow").parameters
        assert isinstance(polar, polars.DataFrame)
        assert isinstance(arrow, pyarrow.Table)
        assert polar.columns == arrow.column_names == ours.columns.tolist()
        assert polar["mean"].to_list() == arrow.column("mean").to_pylist() == ours["mean"].tolist()
        assert polar["school"].null_count() == int(ours["school"].isna().sum()) > 0

    def test_a_name_that_is_not_there_is_suggested(self, found: Result) -> None:
        with pytest.raises(KeyError, match=r"effect\(tutor\)"):
            found.draws("efect(tutor)")


class TestEffects:
    def test_by_school_they_average_to_the_whole(self, found: Result) -> None:
        by = found.effects("tutor", by="school")
        assert by["school"].tolist() == [f"s{i + 1}" for i in range(SCHOOLS)]
        whole = found.effects("tutor")
        assert (whole["arm"][0], whole["against"][0]) == ("tutored", "none")
        assert by["mean"].mean() == pytest.approx(whole["mean"][0])
        assert whole["mean"][0] == pytest.approx(found.estimands["mean"][0])
        own = found.draws("effect(tutor)[school]").values.mean(axis=(0, 1))
        np.testing.assert_allclose(by["mean"], own)

    @pytest.mark.parametrize(("treatment", "by"), [("tutr", ()), ("tutor", "schol")])
    def test_unknown_names_are_told(self, found: Result, treatment: str, by: Any) -> None:
        with pytest.raises(StudyError, match="HDM118"):
            found.effects(treatment, by=by)


class TestPredictions:
    def test_the_rows_of_the_study_as_new_rows_are_the_same(self, found: Result, study_path: Path) -> None:
        new = rows_of(study_path).drop(columns="score")
        pd.testing.assert_frame_equal(found.predict(new), found.predict())
        pd.testing.assert_frame_equal(found.predict(new.iloc[[3, 70]])[["mean"]].reset_index(drop=True), _at(found))

    def test_the_expected_outcome_is_that_of_the_equations(self, found: Result, study_path: Path) -> None:
        rows, draws = rows_of(study_path), found.posterior["posterior"]
        school = [int(name[1:]) - 1 for name in rows["school"]]
        expected = (
            draws["intercept[school]"].values[..., school]
            + draws["effect(tutor)[school]"].values[..., school]
            + draws["slope(pretest)"].values[..., None] * rows["pretest"].to_numpy()
        )
        np.testing.assert_allclose(found.predict_draws(do={"tutor": "tutored"}).values, expected)

    def test_a_new_school_is_drawn_from_the_population(self, found: Result) -> None:
        new = {"school": ["new"] * 1, "poverty": [0.4], "pretest": [40.0]}
        drawn = found.predict_draws(new, do={"tutor": "none"}).values.ravel()
        posterior = found.posterior["posterior"]
        mean = posterior["intercept"] + 0.4 * posterior["slope(poverty)"] + 40 * posterior["slope(pretest)"]
        spread = np.sqrt(np.var(mean.values) + np.mean(posterior["sd(intercept, school)"].values ** 2))
        assert drawn.mean() == pytest.approx(float(mean.mean()), abs=5 * spread / np.sqrt(drawn.size))
        assert drawn.std() == pytest.approx(spread, rel=0.15)

    def test_two_rows_of_a_new_school_share_it_and_rows_without_school_do_not(self, found: Result) -> None:
        shared = {"school": ["new", "new"], "poverty": [0.4, 0.4], "pretest": [40.0, 40.0]}
        first, second = np.moveaxis(found.predict_draws(shared, do={"tutor": "none"}).values, 2, 0)
        np.testing.assert_array_equal(first, second)
        apart = {name: shared[name] for name in ("poverty", "pretest")}
        first, second = np.moveaxis(found.predict_draws(apart, do={"tutor": "none"}).values, 2, 0)
        assert np.mean(first != second) > 0.99

    def test_outcomes_have_the_residual(self, found: Result) -> None:
        expected, outcome = found.predict_draws(), found.predict_draws(kind="outcome")
        residual = np.mean(found.draws("residual").values ** 2)
        assert np.var(outcome.values - expected.values) == pytest.approx(residual, rel=0.05)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"pretest": None}, "covariate pretest"),
            ({"pretest": [None]}, "missing values"),
            ({"pretest": ["high"]}, "not a number"),
        ],
    )
    def test_what_is_missing_is_named(self, found: Result, change: dict[str, Any], says: str) -> None:
        new = {"school": ["s1"], "poverty": [0.4], "pretest": [40.0]}
        given = {name: values for name, values in (new | change).items() if values is not None}
        with pytest.raises(StudyError, match=says):
            found.predict(given, do={"tutor": "none"})


def _at(found: Result) -> pd.DataFrame:
    return found.predict().iloc[[3, 70]][["mean"]].reset_index(drop=True)


NESTED = """study s
data "s.csv"
group district id district
group school id school in district
unit pupil in school {
  covariate kind : category
  outcome y : real
}
treatment z { no = "n", yes = "y" }
assign z to pupil within school by complete(0.5)
analysis { adjust for kind, centre(age), spline(age)  vary z across district }
"""


def test_compound_ids_categories_and_curves_of_new_rows(tmp_path: Path) -> None:
    """School 1 of one district is not school 1 of another, also where the new rows have it but once."""
    random = np.random.default_rng(5)
    table = pd.DataFrame(
        [
            {"district": f"d{d}", "school": k, "kind": "abc"[(d + k + i) % 3], "age": random.integers(5, 60)}
            for d in range(4)
            for k in range(3)
            for i in range(6)
        ]
    )
    table["z"] = ["n", "y"] * (len(table) // 2)
    table["y"] = random.normal(size=len(table)) + (table["z"] == "y")
    table.to_csv(tmp_path / "s.csv", index=False)
    (tmp_path / "s.hdm").write_text(NESTED.replace("covariate kind", "covariate age : real covariate kind"))
    found = run(tmp_path / "s.hdm", settings=Settings(chains=1, draws=60, warmup=100))
    whole = found.predict_draws().values
    chosen = [7, 40]
    new = table.drop(columns="y").iloc[chosen]
    np.testing.assert_allclose(found.predict_draws(new).values, whole[..., chosen])
    assert found.predict(new.assign(kind="b"))["mean"].notna().all()
    with pytest.raises(StudyError, match="no category 'd'"):
        found.predict(new.assign(kind="d"))


def test_group_means_are_those_of_known_groups(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(STUDY.replace("pretest, poverty", "centre(pretest, school), mean(pretest, school)"))
    found = run(path, settings=Settings(chains=1, draws=60, warmup=100))
    table = rows_of(path).drop(columns="score")
    np.testing.assert_allclose(found.predict_draws(table.iloc[:1]).values, found.predict_draws().values[..., :1])
    with pytest.raises(StudyError, match=r"mean\(pretest, school\)"):
        found.predict(table.iloc[:1].assign(school="new"))


class TestFiles:
    def test_all_of_a_result_comes_back(self, found: Result, tmp_path: Path) -> None:
        file = tmp_path / "r.nc"
        found.save(file)
        again = Result.load(file)
        assert again.to_json() == {**found.to_json(), "saved": str(file)}
        assert (again.study, again.model, again.settings, again.source) == (
            found.study,
            found.model,
            found.settings,
            found.source,
        )
        assert again.warnings == found.warnings
        for name, values in parameters(found).items():
            np.testing.assert_array_equal(parameters(again)[name], values)
        for name, values in found.data.values.items():
            np.testing.assert_array_equal(again.data.values[name], values)
            assert again.data.values[name].dtype == values.dtype
        assert [path.name for path in tmp_path.iterdir()] == ["r.nc"]

    def test_it_goes_on_elsewhere_without_the_data(self, found: Result, tmp_path: Path) -> None:
        found.save(tmp_path / "r.nc")
        again = Result.load(tmp_path / "r.nc")
        pd.testing.assert_frame_equal(again.effects("tutor", by="school"), found.effects("tutor", by="school"))
        new, do = {"school": ["s1", "x"], "poverty": [0.2, 0.2], "pretest": [30.0, 50.0]}, {"tutor": "none"}
        pd.testing.assert_frame_equal(again.predict(new, do=do), found.predict(new, do=do))

    def test_what_is_no_result_is_refused(self, found: Result, tmp_path: Path) -> None:
        from hdsl.inference.posterior import save

        file = tmp_path / "r.nc"
        with pytest.raises(StudyError, match="HDM117"):
            Result.load(file)
        save(found.kept, file)
        with pytest.raises(StudyError, match="HDM117"):
            Result.load(file)
        found.save(file)
        content = file.read_bytes()
        for length in (0, 100, len(content) // 2, len(content) - 1000):
            file.write_bytes(content[:length])
            with pytest.raises(StudyError, match="HDM117"):
                Result.load(file)


class TestComparisons:
    def test_side_by_side_with_the_fit(self, found: Result, study_path: Path) -> None:
        text = study_path.read_text().replace("adjust for pretest, poverty", "adjust for poverty")
        path = study_path.with_name("without.hdm")
        path.write_text(text)
        poorer = run(path, settings=found.settings)
        versus = found.compare(poorer, names=("with", "without"))
        assert versus.estimands["with mean"][0] == found.estimands["mean"][0]
        assert versus.estimands["without sd"][0] == poorer.estimands["sd"][0]
        assert versus.fit["name"].tolist() == ["with", "without"]
        assert versus.fit["elpd_diff"][1] < -3 * versus.fit["dse"][1]
        assert "slope(pretest)" in versus.parameters["role"].tolist()

    def test_other_data_have_no_common_fit(self, found: Result, tmp_path: Path) -> None:
        path = write(tmp_path)
        table = rows_of(path)
        table.iloc[:60].to_csv(tmp_path / "tutoring.csv", index=False)
        other = run(path, settings=Settings(chains=1, draws=50, warmup=50))
        versus = found.compare(other)
        assert versus.fit is None
        assert versus.fit_reason == "the data differ"
        assert list(versus.estimands.columns)[3] == "tutoring (2) mean"


def test_rows(found: Result) -> None:
    assert len(found.predict()) == SCHOOLS * PUPILS
