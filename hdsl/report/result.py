"""The result of a run: estimands, parameters by role, diagnostics, and the posterior to go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hdsl.backend import Settings
from hdsl.data.bound import Bound
from hdsl.diagnostics import Diagnostic, to_json
from hdsl.inference.diagnose import Diagnosis
from hdsl.inference.groups import Posterior
from hdsl.model.ir import Model, ModelData
from hdsl.report.frames import Frames, frame, table
from hdsl.report.summary import Summary
from hdsl.source import Source

if TYPE_CHECKING:
    from xarray import DataArray, DataTree

    from hdsl.design.ir import StudyFields
    from hdsl.report.pictures import Plots
    from hdsl.report.predictive import FitCheck
    from hdsl.report.versus import Comparison

SCHEMA = 1


@dataclass(frozen=True, repr=False)
class Result:
    """What a run found.

    Attributes
    ----------
    study : StudyFields
    backend, inference, how : str
        Which backend ran, how it sampled (engine and version), and why so.
    estimand_summaries, parameter_summaries : tuple of Summary
        `estimands` and `parameters` are the same as data frames.
    diagnosis : Diagnosis
        R-hat, effective sample sizes, divergences and the verdict.
    warnings : tuple of Diagnostic
        Of the checks, the derivation and the sampling; waived ones too, with their reasons.
    kept : Posterior
        The draws by role with named coordinates, sampler statistics, data; `posterior` is the same as a DataTree.
    model, data, bound
        The plain model, its arrays, and the study bound to its data.
    intervals : str
        How intervals were corrected, for a working likelihood (`family y quantile(...)`) or for propensity scores that
        were estimated from the same units, or why they were not, in words; else empty.
    frames : {"pandas", "polars", "pyarrow"}
        The kind of data frame that is returned; `using` changes it.
    saved : Path or None
        The file in which the result is kept, or from which it was read.
    recalled : str
        When the run was made (UTC), where a kept run was recalled in place of a new one; else empty.

    Examples
    --------
    >>> result = hdsl.run("tutoring.hdm", settings=hdsl.Settings(draws=200, warmup=200))
    >>> list(result.estimands.columns)
    ['name', 'mean', 'sd', 'q5', 'q50', 'q95', 'positive']
    >>> result.diagnosis.verdict in ("ok", "warn")
    True
    """

    study: StudyFields
    backend: str
    inference: str
    estimand_summaries: tuple[Summary, ...]
    parameter_summaries: tuple[Summary, ...]
    diagnosis: Diagnosis
    warnings: tuple[Diagnostic, ...]
    kept: Posterior
    source: Source | None
    heading: str
    seconds: Mapping[str, float]
    settings: Settings
    model: Model
    data: ModelData
    bound: Bound
    how: str = ""
    intervals: str = ""
    frames: Frames = "pandas"
    saved: Path | None = None
    recalled: str = ""

    @property
    def posterior(self) -> DataTree:
        """The draws by role with named coordinates, sampler statistics and data, as ArviZ takes them."""
        return self.kept.tree

    @property
    def verdict(self) -> str:
        """One line on the sampling."""
        from hdsl.inference.diagnose import in_words

        return in_words(self.diagnosis)

    @property
    def unusable(self) -> str:
        """Why the estimates must not be used, where the sampling failed; else an empty text.

        Examples
        --------
        >>> result.unusable
        ''
        """
        from hdsl.inference.diagnose import why_unusable

        return why_unusable(self.diagnosis)

    @property
    def estimands(self) -> Any:
        """The estimands as a data frame.

        Columns: `name`, one for each level that indexes an estimand, `mean`, `sd`, the quantiles `q5`, `q50` and
        `q95`, and `positive`, the posterior probability of being above zero.

        Examples
        --------
        >>> list(result.estimands["name"])
        ['ate']
        """
        return frame(table("name", self.estimand_summaries), self.frames)

    @property
    def parameters(self) -> Any:
        """The parameters by role as a data frame, with columns as in `estimands`.

        Examples
        --------
        >>> "sd(effect(tutor), school)" in set(result.parameters["role"])
        True
        """
        return frame(table("role", self.parameter_summaries), self.frames)

    @property
    def diagnostics(self) -> dict[str, Any]:
        """R-hat, effective sample sizes and the sampler's statistics, by name (docs/json.md)."""
        return self.diagnosis.to_json()

    def using(self, frames: Frames) -> Result:
        """Return the same result with data frames of another kind.

        Examples
        --------
        >>> type(result.using("polars").estimands).__module__.split(".")[0]
        'polars'
        """
        return replace(self, frames=frames)

    def draws(self, name: str) -> DataArray:
        """Return the draws of an estimand or of a parameter by role, with axes chain, draw and its index.

        Raises
        ------
        KeyError
            There is nothing of that name.

        Examples
        --------
        >>> result.draws("effect(tutor)").dims
        ('chain', 'draw')
        """
        from hdsl.report.effects import draws_of

        return draws_of(self, name)

    def effects(self, treatment: str, *, by: str | Sequence[str] = ()) -> Any:
        """Return average effects of each arm against the reference, on the scale of the outcome.

        Parameters
        ----------
        treatment : str
            A treatment; of a dose, the effect of one unit more.
        by : str or sequence of str
            Levels, such as `"school"`: one effect for each of its units, averaged over the rows of each.

        Returns
        -------
        data frame
            `arm`, `against`, a column for each level, and the columns of `estimands`.

        Raises
        ------
        StudyError
            HDM118: the study has no such treatment or level.

        Examples
        --------
        >>> found = result.effects("tutor", by="school")
        >>> len(found), list(found.columns[:3])
        (8, ['arm', 'against', 'school'])
        """
        from hdsl.report.effects import effects

        return effects(self, treatment, (by,) if isinstance(by, str) else tuple(by))

    def predict(
        self,
        new_data: Any = None,
        *,
        do: Mapping[str, str | float] | None = None,
        kind: Literal["expected", "outcome"] = "expected",
        seed: int = 1,
    ) -> Any:
        """Predict the outcome of the rows in the study, or of new ones, had treatments been set.

        Parameters
        ----------
        new_data : data frame, mapping of columns, or None
            Rows with the columns of the data file (pandas, polars, pyarrow); None: the rows of the study. Columns of
            treatments in `do` and of the outcome are not needed. Groups that the study knows have their own effects;
            a group that it does not know, or whose id column is left out, is a new one drawn from its population.
        do : mapping
            Treatment to arm, or to dose; treatments that are not named stay as they are in the rows.
        kind : {"expected", "outcome"}
            The expected outcome, or a new outcome with its residual.
        seed : int

        Returns
        -------
        data frame
            One line for each row: `row` (counted from 1), mean, sd, q5, q50, q95, positive. Of a family of quantiles,
            one line for each row and `quantile`: the quantiles of the outcome, which do not cross.

        Raises
        ------
        StudyError
            HDM119: a part of the model cannot be worked out for new rows; HDM2xx and HDM3xx for the new data.

        Examples
        --------
        >>> new = {"school": ["s1", "new"], "poverty": [0.4, 0.4], "pretest": [40.0, 40.0]}
        >>> found = result.predict(new, do={"tutor": "tutored"})
        >>> bool(found["sd"][0] < found["sd"][1])
        True
        """
        from hdsl.report.effects import predict

        return predict(self, new_data, dict(do or {}), kind, seed)

    def predict_draws(
        self,
        new_data: Any = None,
        *,
        do: Mapping[str, str | float] | None = None,
        kind: Literal["expected", "outcome"] = "expected",
        seed: int = 1,
    ) -> DataArray:
        """Return the draws behind `predict`, with axes chain, draw, row.

        Examples
        --------
        >>> result.predict_draws(do={"tutor": "none"}).dims
        ('chain', 'draw', 'row')
        """
        from hdsl.report.effects import predicted

        return predicted(self, new_data, dict(do or {}), kind, seed)

    def compare(self, *others: Result, names: Sequence[str] = (), by: str | None = None) -> Comparison:
        """Put this result beside others: estimands, parameters and expected predictive accuracy (PSIS-LOO).

        Parameters
        ----------
        others : Result
        names : sequence of str
            What to call the results, this one first; `study`, `study (2)`, ... by default.
        by : str or None
            The level whose units are left out whole as well; by default the one just above the rows.

        Examples
        --------
        >>> versus = result.compare(result, names=("first", "second"))
        >>> list(versus.estimands.columns)
        ['name', 'first mean', 'first sd', 'second mean', 'second sd']
        """
        from hdsl.report.versus import versus

        return versus((self, *others), names, by)

    def check_fit(self, seed: int = 1) -> FitCheck:
        """Check whether the fitted model could have made the data, with checks that the design suggests.

        Statistics such as the intraclass correlation, the ratio of variances between arms and the spread of site
        effects are held against replicates, rows and whole groups are left out, and priors are held against the data.

        Examples
        --------
        >>> found = result.check_fit()
        >>> list(found.table().columns)[:3], isinstance(found.verdict, str)
        (['name', 'observed', 'low'], True)
        """
        from hdsl.report.predictive import check_fit

        return check_fit(self, seed)

    @property
    def plot(self) -> Plots:
        """Pictures: `result.plot.forest()`, `.shrinkage()`, `.curve()`, `.ppc()`, `.design()`, ..."""
        from hdsl.report.pictures import Plots

        return Plots(self)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values (schema in docs/json.md)."""
        return {
            "schema": SCHEMA,
            "study": self.study.name,
            "backend": self.backend,
            "inference": self.inference,
            "estimands": [summary.to_json("name") for summary in self.estimand_summaries],
            "parameters": [summary.to_json("role") for summary in self.parameter_summaries],
            "diagnostics": self.diagnosis.to_json(),
            "warnings": to_json(self.warnings, self.source),
            "seconds": dict(self.seconds),
            "saved": None if self.saved is None else str(self.saved),
            "recalled": self.recalled or None,
            "intervals": self.intervals or None,
        }

    def report(self, path: str | PathLike[str]) -> None:
        """Write the report as one HTML file that needs no network and no other file.

        Examples
        --------
        >>> result.report("tutoring.html")
        """
        from hdsl.report.html.page import report_html

        Path(path).write_text(report_html(self), encoding="utf-8")

    def save(self, path: str | PathLike[str]) -> None:
        """Write the result as NetCDF, whole or not at all: draws, model, study, and the data that were used.

        Examples
        --------
        >>> result.save("tutoring.nc")
        >>> hdsl.Result.load("tutoring.nc").estimands.equals(result.estimands)
        True
        """
        from hdsl.report.record import save

        save(self, Path(path))

    @staticmethod
    def load(path: str | PathLike[str]) -> Result:
        """Read a result that was saved; neither the study's file nor its data are needed.

        Draws of more than 256 MiB (`HDSL_DRAWS_IN_MEMORY`) stay in the file until they are wanted: do not remove it.

        Raises
        ------
        StudyError
            HDM117: the file is no result.
        """
        from hdsl.report.record import load

        return replace(load(Path(path)), saved=Path(path))

    def __repr__(self) -> str:
        return f"<Result of {self.heading}\n{self.verdict}>"

    def _repr_html_(self) -> str:
        from hdsl.report.notebook import result_html

        return result_html(self)
