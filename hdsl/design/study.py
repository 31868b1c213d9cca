"""A study, and the Python way to write one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from hdsl.design import ir, snippets
from hdsl.design.snippets import StudyError, made, unfit
from hdsl.diagnostics import Diagnostic
from hdsl.source import Source

__all__ = ["Study", "StudyError", "json_schema", "load"]

type Names = str | Sequence[str]


class Study(ir.StudyFields):
    """A study design. Every method returns a new study with one more part, and raises StudyError.

    Texts given to the methods are read with the grammar of .hdm files; what is built here equals what the
    same statements in a file give.

    Examples
    --------
    >>> study = (
    ...     Study("coaching", "Job-search coaching")
    ...     .data("coaching.csv")
    ...     .unit("person", id="person_id", variables=[covariate("age", "real"), outcome("pay", "positive")])
    ...     .treatment("coaching", usual=0, coached=1)
    ...     .assign("coaching", to="person", by=complete(0.5))
    ...     .adjust("age")
    ... )
    """

    def __init__(self, name: str, title: str | None = None, **fields: Any) -> None:
        try:
            super().__init__(name=name, title=title, **fields)
        except ValidationError as error:
            raise snippets.invalid(error) from None

    def data(self, table: str | PathLike[str]) -> Study:
        """Name the table of units: a file, or a database and its table, as in `duckdb:///f.duckdb#t`."""
        return self._with(table=fspath(table))

    def group(
        self,
        name: str,
        *,
        id: str | None = None,
        within: Names = (),
        file: str | None = None,
        variables: Sequence[ir.Variable] = (),
    ) -> Study:
        """Declare a set of units.

        `within` names the level it nests in, or several; `"person * month"` crosses levels. `file` is a
        second table, joined on `id`.

        Examples
        --------
        >>> study = hdsl.Study("s").group("school", id="school_id", variables=[covariate("poverty", "proportion")])
        >>> study.levels[0].variables[0].name
        'poverty'
        """
        return self._level("group", name, id, within, file, variables)

    def unit(
        self,
        name: str,
        *,
        id: str | None = None,
        within: Names = (),
        file: str | None = None,
        variables: Sequence[ir.Variable] = (),
    ) -> Study:
        """Declare what is observed or treated; arguments as in `group`. The last unit is the row.

        Examples
        --------
        >>> study = hdsl.Study("s").group("school").unit("pupil", within="school", variables=[outcome("y", "real")])
        >>> study.levels[-1].parents
        ('school',)
        """
        return self._level("unit", name, id, within, file, variables)

    def wave(self, name: str, *, id: str | None = None, variables: Sequence[ir.Variable] = ()) -> Study:
        """Declare ordered occasions."""
        return self._level("wave", name, id, (), None, variables)

    def treatment(
        self,
        name: str,
        arms: Mapping[str, float | str] | None = None,
        *,
        ordered: bool = False,
        column: str | None = None,
        dose: Literal["real", "positive", "proportion", "count"] | None = None,
        measured_in: str | None = None,
        **codes: float | str,
    ) -> Study:
        """Declare a treatment by its arms and their codes, the reference first, or by the kind of its dose.

        Examples
        --------
        >>> [arm.name for arm in hdsl.Study("s").treatment("tutor", none=0, tutored=1).treatments[0].arms]
        ['none', 'tutored']
        >>> hdsl.Study("s").treatment("drug", dose="positive", measured_in="mg").treatments[0].dose
        'positive'
        """
        pairs = {**(arms or {}), **codes}
        found = made(
            ir.Treatment,
            name=name,
            column=column,
            arms=tuple(made(ir.Arm, name=arm, code=code) for arm, code in pairs.items()),
            ordered=ordered,
            dose=dose,
            measured_in=measured_in,
        )
        return self._with(treatments=(*self.treatments, found))

    def assign(
        self,
        treatment: str,
        *,
        to: str,
        by: ir.Mechanism | str,
        within: Names = (),
        given: tuple[str, str] | None = None,
    ) -> Study:
        """Say at which level, in which blocks and how a treatment was assigned.

        `given=("mailing", "mailed")` says that it was assigned only where another treatment has that arm.

        Examples
        --------
        >>> study = hdsl.load("tutoring.hdm")
        >>> study.assignments[0] == hdsl.Study("s").assign(
        ...     "tutor", to="student", within="school", by=complete(0.5)
        ... ).assignments[0]
        True
        """
        condition = None if given is None else made(ir.Condition, treatment=given[0], arm=given[1])
        found = made(
            ir.Assignment,
            treatment=treatment,
            to=to,
            within=_names(within),
            condition=condition,
            mechanism=snippets.mechanism(by) if isinstance(by, str) else by,
        )
        return self._with(assignments=(*self.assignments, found))

    def principal(
        self,
        name: str,
        intermediate: str,
        *,
        under: str,
        strata: Mapping[str, Sequence[float | str]],
        unaffected: Names = (),
    ) -> Study:
        """Declare the principal strata that exist: the intermediate's value under each arm of `under`."""
        spared = _names(unaffected)
        if unknown := [stratum for stratum in spared if stratum not in strata]:
            raise unfit(f"`{unknown[0]}` is unaffected but no stratum.", f"Strata: {', '.join(strata)}.")
        found = made(
            ir.Principal,
            name=name,
            intermediate=intermediate,
            treatment=under,
            strata=tuple(
                made(ir.Stratum, name=stratum, values=tuple(values), unaffected=stratum in spared)
                for stratum, values in strata.items()
            ),
        )
        return self._with(principals=(*self.principals, found))

    def family(self, outcome: str, family: str) -> Study:
        """Choose the family of an outcome, as in `student` or `bernoulli(link = probit)`."""
        return self._amend(made(ir.Family, outcome=outcome, law=snippets.family(family)))

    def adjust(self, *terms: str) -> Study:
        """Put covariates into the outcome model, each a formula such as `log(size)`."""
        return self._amend(made(ir.Adjust, terms=tuple(snippets.term(term) for term in terms)))

    def vary(
        self,
        effect: str,
        *,
        across: Names | None = None,
        moderator: Names | None = None,
        uncorrelated: bool = False,
        law: Literal["normal", "student", "dirichlet", "array"] = "normal",
        shape: ir.Shape = "linear",
        prespecified: bool | None = None,
    ) -> Study:
        """Let an effect vary across groups, or with a moderator.

        `across` is a group, several, or `"A * B"`; `uncorrelated` and `law` go with it. `shape` and
        `prespecified` (False: exploratory) go with `moderator`, which is a term or several.
        """
        if (across is None) == (moderator is None):
            raise unfit("`vary` wants either `across` or `moderator`.")
        if moderator is not None and (uncorrelated or law != "normal"):
            raise unfit("`uncorrelated` and `law` go with `across`.")
        if across is not None:
            if shape != "linear" or prespecified is not None:
                raise unfit("`shape` and `prespecified` go with `moderator`.")
            return self._amend(
                made(
                    ir.VaryAcross,
                    effect=snippets.term(effect),
                    across=_factors(across),
                    uncorrelated=uncorrelated,
                    law=law,
                )
            )
        status = None if prespecified is None else "prespecified" if prespecified else "exploratory"
        named = (moderator,) if isinstance(moderator, str) else moderator or ()
        study = self
        for text in named:
            term = snippets.term(text)
            study = study._amend(made(ir.VaryWith, effect=snippets.term(effect), term=term, shape=shape, status=status))
        return study

    def interact(self, *treatments: str) -> Study:
        """Let treatments interact."""
        return self._amend(made(ir.Interact, treatments=_factors(treatments)))

    def shrink(self, prior: Literal["halft", "horseshoe", "r2d2", "lasso", "heredity"]) -> Study:
        """Choose the prior of exploratory effect variation."""
        return self._amend(made(ir.Shrink, prior=prior))

    def variance(
        self,
        target: str,
        *,
        by: str | None = None,
        model: Literal["additive", "subtractive", "replacement"] | None = None,
        with_: str | None = None,
        across: str | None = None,
    ) -> Study:
        """Let a residual spread differ by treatment, with a term or across groups.

        With `across` and `with_` together, `target` is an effect whose spread across groups depends on a term.
        """
        if by is not None and with_ is None and across is None:
            return self._amend(made(ir.VarianceBy, outcome=target, by=by, model=model))
        if by is not None or model is not None:
            raise unfit("`by` stands alone, or with `model`.")
        if with_ is None and across is None:
            raise unfit("`variance` wants `by`, `with_` or `across`.")
        if with_ is None:
            return self._amend(made(ir.VarianceAcross, outcome=target, across=across))
        term = snippets.term(with_)
        if across is None:
            return self._amend(made(ir.VarianceWith, outcome=target, term=term))
        effect = snippets.term(target)
        return self._amend(made(ir.EffectVarianceWith, effect=effect, across=across, term=term))

    def correlate(
        self, outcome: str, *, within: str, structure: Literal["ar1", "exchangeable", "unstructured"]
    ) -> Study:
        """Let the outcomes of one unit be correlated over waves."""
        return self._amend(made(ir.Correlate, outcome=outcome, within=within, structure=structure))

    def pool(self, group: str, how: Literal["completely", "partially", "none"]) -> Study:
        """Choose the pooling of a group's intercepts."""
        return self._amend(made(ir.Pool, group=group, how=how))

    def propensity(
        self,
        treatment: str,
        *,
        use: Literal["strata", "weight", "covariate"],
        strata: int | None = None,
        with_: Names = (),
        across: str | None = None,
    ) -> Study:
        """Use the propensity score of an observational treatment."""
        terms = tuple(snippets.term(term) for term in _names(with_))
        found = made(ir.Propensity, treatment=treatment, terms=terms, across=across, use=use, strata=strata)
        return self._amend(found)

    def surface(self, outcome: str, *, given: Names, law: Literal["bart", "gp"]) -> Study:
        """Model an outcome as one flexible function of treatment and covariates."""
        terms = tuple(snippets.term(term) for term in _names(given))
        return self._amend(made(ir.Surface, outcome=outcome, given=terms, law=law))

    def poststratify(self, file: str, *, weight: str) -> Study:
        """Weight results to population cells, one row of a file each."""
        return self._amend(made(ir.Poststratify, file=file, weight=weight))

    def model(self, equations: str) -> Study:
        """Give the model as explicit equations, as they would stand in `model { }`."""
        return self._with(equations=(*self.equations, *snippets.equations(equations)))

    def prior(self, target: str, law: str) -> Study:
        """Give the prior of a role, as in `prior("effect(tutor)", "normal(0, 5)")`."""
        return self._with(priors=(*self.priors, snippets.prior(target, law)))

    def estimand(self, name: str, value: str, *, index: Names = ()) -> Study:
        """Ask for a causal quantity in potential outcomes; with `index`, one value per element of a level."""
        found = made(ir.Estimand, name=name, index=_names(index), value=snippets.estimand(value))
        return self._with(estimands=(*self.estimands, found))

    def assume(self, *texts: str) -> Study:
        """Assume sizes and true values, as in `assume("school: 40", "effect(tutor) = 0.2")`."""
        found = tuple(part for text in texts for part in snippets.assumptions(text))
        return self._with(assumptions=(*self.assumptions, *found))

    def waive(self, code: str, *, because: str) -> Study:
        """Silence a warning, for a reason that every report repeats."""
        return self._with(waivers=(*self.waivers, made(ir.Waiver, code=code, because=because)))

    def to_text(self) -> str:
        """Return the study as the text of a .hdm file."""
        from hdsl.design.to_text import to_text

        return to_text(self)

    def _repr_html_(self) -> str:
        from hdsl.design.to_html import text_html

        return text_html(self.to_text())

    def to_json(self) -> str:
        """Return the study as JSON; `Study.from_json` reads it back."""
        return self.model_dump_json(indent=2, exclude_none=True)

    @staticmethod
    def from_text(text: str, name: str = "<study>") -> Study:
        """Return the study of a .hdm text; `name` is what messages call the text.

        Raises
        ------
        StudyError
            Where the text has errors of syntax or structure.

        Examples
        --------
        >>> study = hdsl.load("tutoring.hdm")
        >>> hdsl.Study.from_text(study.to_text()) == study
        True
        """
        from hdsl.design.from_syntax import read_study

        return read_study(Source.of(name, text))

    @staticmethod
    def from_json(text: str | bytes) -> Study:
        """Return the study of a JSON text.

        Raises
        ------
        StudyError
            Where the text is not JSON, not a study, or of another version of the language.

        Examples
        --------
        >>> study = hdsl.load("tutoring.hdm")
        >>> hdsl.Study.from_json(study.to_json()) == study
        True
        """
        try:
            fields = ir.StudyFields.model_validate_json(text)
        except ValidationError as error:
            raise snippets.invalid(error) from None
        return Study(**dict(fields))

    def _level(
        self,
        word: ir.LevelWord,
        name: str,
        id: str | None,
        within: Names,
        file: str | None,
        variables: Sequence[ir.Variable],
    ) -> Study:
        names = (within,) if isinstance(within, str) else tuple(within)
        crossed = [_factors(name) for name in names if "*" in name]
        if len(crossed) > 1:
            raise unfit(f"{word} {name} crosses levels twice.", "Write all of them in one product.")
        found = made(
            ir.Level,
            word=word,
            name=name,
            id=id,
            parents=tuple(name for name in names if "*" not in name),
            crosses=crossed[0] if crossed else (),
            file=file,
            variables=tuple(variables),
        )
        return self._with(levels=(*self.levels, found))

    def _amend(self, amendment: ir.Amendment) -> Study:
        return self._with(analysis=(*self.analysis, amendment))

    def _with(self, **changes: Any) -> Study:
        changed = Study(**{**dict(self), **changes})
        if changed.analysis and changed.equations:
            raise unfit(
                "A study has amendments of the derived model or explicit equations, not both.",
                "Write what the amendments ask for as equations.",
            )
        return changed


def load(path: str | PathLike[str]) -> Study:
    """Return the study of a .hdm file.

    Raises
    ------
    StudyError
        Where the file cannot be read, or has errors of syntax or structure.

    Examples
    --------
    >>> hdsl.load("tutoring.hdm").vary("pretest", across="school").name
    'tutoring'
    """
    from hdsl.design.from_syntax import read_study
    from hdsl.syntax.read import read_source

    source = read_source(Path(path))
    if isinstance(source, Diagnostic):
        raise StudyError([source])
    return read_study(source)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a study.

    Examples
    --------
    >>> hdsl.json_schema()["title"]
    'hdsl study, version 1'
    """
    schema = ir.StudyFields.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "hdsl study, version 1"}


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _factors(names: Names) -> tuple[str, ...]:
    return tuple(part.strip() for name in _names(names) for part in name.split("*"))
