"""The whole compiler: text becomes a study, a study a model, a model draws, draws an answer.

Each stage returns its result with the diagnostics it found; nothing here prints or exits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hdsl.design.spans import Spans
from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic, has_errors
from hdsl.source import Source

if TYPE_CHECKING:
    from hdsl.backend import Progress, Settings
    from hdsl.data.bound import Bound
    from hdsl.model.ir import Model, ModelData
    from hdsl.report.compare import Agreement
    from hdsl.report.result import Result
    from hdsl.report.versus import Comparison
    from hdsl.syntax import ast


@dataclass(frozen=True)
class Opened:
    """A study and where it came from. `study` is None where the text declares none."""

    study: Study | None
    base: Path
    source: Source | None = None
    spans: Spans = field(default_factory=Spans)
    diagnostics: tuple[Diagnostic, ...] = ()
    tree: ast.File | None = None

    def with_places(self, diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Return the diagnostics with the spans of the parts of the study that they name."""
        return tuple(
            replace(d, span=self.spans.of(*d.path)) if d.span is None and d.path is not None else d for d in diagnostics
        )


@dataclass(frozen=True)
class Checked:
    """A study that was checked, against its data where `bound` is there."""

    opened: Opened
    bound: Bound | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def failed(self) -> bool:
        """Whether an error stands in the way of a model."""
        return has_errors(self.diagnostics) or self.opened.study is None


@dataclass(frozen=True)
class Derived:
    """A checked study with its plain model; `model` and `data` are None where an error stands in the way."""

    checked: Checked
    model: Model | None
    data: ModelData | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def failed(self) -> bool:
        """Whether there is no model."""
        return self.model is None


def open_study(study: str | Path | Study | Opened, base: Path | None = None) -> Opened:
    """Read a study from a .hdm file, or take one built in Python (files then relative to `base`).

    Where the text has errors of syntax, only they are reported: what else is missing may stand in what was not read.
    """
    if isinstance(study, Opened):
        return study
    if isinstance(study, Study):
        return Opened(study, base or Path.cwd())
    from hdsl.design.from_syntax import to_study
    from hdsl.syntax.parse import parse
    from hdsl.syntax.read import read_source

    path = Path(study)
    source = read_source(path)
    if isinstance(source, Diagnostic):
        return Opened(None, path.parent, None, Spans(), (source,))
    tree, found = parse(source)
    made, spans, more = to_study(tree)
    told = found if has_errors(found) else [*found, *more]
    return Opened(made, base or path.parent, source, spans, tuple(told), tree)


def check(
    study: str | Path | Study | Opened,
    data: str | None = None,
    *,
    with_data: bool = True,
    stream: bool | None = None,
    shards: Sequence[str] = (),
) -> Checked:
    """Check a study against itself and, unless `with_data` is False, against its data.

    `stream` and `shards`: whether rows are summed up in place of held, see `hdsl.data.stream.bind_or_sum`.

    Examples
    --------
    >>> checked = hdsl.check("tutoring.hdm")
    >>> checked.failed, [found.code for found in checked.diagnostics]
    (False, [])
    """
    from hdsl.checks import apply_waivers, check_data, check_study

    opened = open_study(study)
    found = list(opened.diagnostics)
    bound = None
    if opened.study is not None:
        if not has_errors(found):
            found += check_study(opened.study)
        if with_data and not has_errors(found) and (data or shards or opened.study.table):
            from hdsl.data.stream import bind_or_sum

            bound, problems = bind_or_sum(opened.study, opened.base, data, stream=stream, shards=shards)
            found += problems
            if bound is not None:
                found += check_data(opened.study, bound)
        found = apply_waivers(opened.study, found)
    return Checked(opened, bound, opened.with_places(found))


def derive(
    study: str | Path | Study | Opened,
    data: str | None = None,
    *,
    stream: bool | None = None,
    shards: Sequence[str] = (),
) -> Derived:
    """Check a study and derive its plain model; `stream` and `shards` as for `check`.

    Examples
    --------
    >>> [found.role for found in hdsl.derive("tutoring.hdm").model.variables][:2]
    ['effect(tutor)', 'slope(pretest)']
    """
    return derived_of(check(study, data, stream=stream, shards=shards))


def derived_of(checked: Checked) -> Derived:
    """Derive the plain model of a study that was checked; a study without data has none (HDM223)."""
    if checked.failed or checked.bound is None:
        missing = () if checked.failed else (Diagnostic("HDM223", "The study names no data.", help="Add `data`."),)
        return Derived(checked, None, None, (*checked.diagnostics, *missing))
    from hdsl.model.derivation import model_of

    made, found = model_of(checked.bound)
    everything = (*checked.diagnostics, *checked.opened.with_places(_waived(checked, found)))
    model, values = made if made is not None else (None, None)
    return Derived(checked, model, values, everything)


def _waived(checked: Checked, found: list[Diagnostic]) -> list[Diagnostic]:
    study = checked.opened.study
    reasons = {waiver.code: waiver.because for waiver in study.waivers} if study is not None else {}
    return [replace(d, waived=reasons[d.code]) if d.severity == "warning" and d.code in reasons else d for d in found]


def run(
    study: str | Path | Study | Opened,
    *,
    backend: str = "numpyro",
    data: str | None = None,
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    runs: str | Path | bool = False,
    fresh: bool = False,
    stream: bool | None = None,
    shards: Sequence[str] = (),
) -> Result:
    """Derive a study's model, draw from its posterior and compute its estimands.

    Parameters
    ----------
    study : path of a .hdm file, or Study
    backend : str
        `numpyro`, `pymc`, `stan`, or another that is installed.
    data : str, optional
        A table to use in place of the study's own.
    settings : Settings, optional
        How to sample.
    progress : callable, optional
        Is told how each chain gets on.
    runs : path or bool
        A folder in which runs are kept; True: `.hdsl` beside the study. A run of the same study, data and settings that
        is kept there is recalled in place of a new one, unless `fresh`.
    stream : bool, optional
        Whether rows are summed up in one pass in place of held in memory; by default where there are very many.
    shards : sequence of str
        Sums of rows made by `hdsl summarise`, in place of data.

    Raises
    ------
    StudyError
        The study, its data or the backend has errors; carries the diagnostics.
    SamplingFailed
        The backend gave no usable draws.

    Examples
    --------
    >>> found = hdsl.run("tutoring.hdm", settings=hdsl.Settings(chains=2, draws=200, seed=1))
    >>> found.estimands["name"][0]
    'ate'
    """
    from hdsl import backend as backends
    from hdsl.backend import Settings
    from hdsl.design.snippets import StudyError

    derived = derive(study, data, stream=stream, shards=shards)
    if derived.model is None or derived.data is None or derived.checked.bound is None:
        raise StudyError(list(derived.diagnostics), derived.checked.opened.source)
    chosen = backends.load(backend)
    if isinstance(chosen, Diagnostic):
        raise StudyError([*derived.diagnostics, chosen], derived.checked.opened.source)
    from hdsl.report.runs import Shelf, key_of
    from hdsl.storage import NotStored

    given = settings or Settings()
    bound, source = derived.checked.bound, derived.checked.opened.source
    model, values = derived.model, derived.data
    shelf = Shelf.of(study, runs, bound.study.name, lambda: key_of(bound, model, values, backend, given))
    kept = None if shelf is None or fresh else shelf.recall(bound, source, derived.diagnostics)
    if kept is not None:
        return kept
    from hdsl.report.finish import fit_and_finish

    try:
        found = fit_and_finish(bound, model, values, chosen, given, progress, derived.diagnostics, source)
    except NotStored as problem:
        found = problem.diagnostic
    if isinstance(found, Diagnostic):
        raise StudyError([*derived.diagnostics, found], source)
    return found if shelf is None else shelf.keep(found)


def format_text(text: str, name: str = "study.hdm") -> str:
    """Return the text of a study in canonical layout; StudyError where it has syntax errors.

    Examples
    --------
    >>> print(hdsl.format_text("study s   data \\"d.csv\\"  unit u{outcome y:real}"), end="")
    study s
    data "d.csv"
    unit u { outcome y : real }
    """
    from hdsl.design.snippets import StudyError
    from hdsl.syntax.format import format_source
    from hdsl.syntax.parse import parse

    source = Source.of(name, text)
    _, found = parse(source)
    if has_errors(found):
        raise StudyError(found, source)
    return format_source(source)


def compare(
    study: str | Path | Study,
    names: Sequence[str] | None = None,
    *,
    data: str | None = None,
    settings: Settings | None = None,
) -> tuple[dict[str, Result], Agreement]:
    """Run a study on several backends and compare the posteriors that their own samplers give.

    By default on all that are installed and can express the study. A name may give the engine as well:
    `stan:cmdstan`. Effects are integrated out only where `settings` ask for it.

    Raises StudyError and SamplingFailed as `run` does, the latter with the name of what failed; StudyError (HDM116)
    also where there are not two to compare. Backends and engines that are not there are told before any runs.

    Examples
    --------
    >>> settings = hdsl.Settings(chains=2, draws=100, warmup=100, inference="marginal")
    >>> results, agreement = hdsl.compare("tutoring.hdm", ["numpyro", "stan"], settings=settings)
    >>> sorted(agreement.weakest)
    ['numpyro', 'stan']
    """
    from hdsl.backend import SamplingFailed, Settings
    from hdsl.design.snippets import StudyError
    from hdsl.report.compare import agreement, not_comparable

    given = settings or Settings()
    given = replace(given, inference="nuts") if given.inference == "auto" else given
    results: dict[str, Result] = {}
    chosen = names or _able(study, data)
    problem = not_comparable(chosen)
    if problem is not None:
        raise StudyError([problem], None)
    for name in chosen:
        backend, _, engine = name.partition(":")
        own = replace(given, engine=engine) if engine else given
        try:
            results[name] = run(study, backend=backend, data=data, settings=own)
        except SamplingFailed as error:
            told = [replace(each, message=f"{name}: {each.message}") for each in error.diagnostics]
            raise SamplingFailed(told) from error
    return results, agreement(results)


def _able(study: str | Path | Study, data: str | None) -> list[str]:
    """Return the backends that are installed and can express a study.

    Raises StudyError where the study has errors.
    """
    from hdsl import backend as backends
    from hdsl.design.snippets import StudyError
    from hdsl.passes import prepare

    derived = derive(study, data)
    if derived.model is None or derived.data is None:
        raise StudyError(list(derived.diagnostics), derived.checked.opened.source)
    model, _ = prepare(derived.model, derived.data)
    found = {name: backends.load(name) for name in sorted(backends.installed())}
    usable = {name: each for name, each in found.items() if not isinstance(each, Diagnostic)}
    return [name for name, each in usable.items() if backends.refusal(model, each) is None]


def compare_studies(
    studies: Sequence[str | Path | Study | Opened],
    names: Sequence[str] = (),
    *,
    by: str | None = None,
    data: str | None = None,
    backend: str = "numpyro",
    settings: Settings | None = None,
    runs: str | Path | bool = False,
) -> Comparison:
    """Run several studies of the same outcome, and put estimands, parameters and predictive accuracy side by side.

    Predictive accuracy is that of rows left out, and of whole units of the level `by` left out (by default the level
    just above the rows), with stacking weights.

    Raises StudyError and SamplingFailed as `run` does.

    Examples
    --------
    >>> plain = hdsl.load("tutoring.hdm").model_copy(update={"analysis": ()})
    >>> versus = hdsl.compare_studies(["tutoring.hdm", plain], ("declared", "plain"))
    >>> sorted(versus.fit["name"])
    ['declared', 'plain']
    """
    from hdsl.report.versus import versus

    found = [run(each, backend=backend, data=data, settings=settings, runs=runs) for each in studies]
    return versus(found, names, by)


def compare_pooling(
    study: str | Path | Study,
    group: str | None = None,
    *,
    data: str | None = None,
    backend: str = "numpyro",
    settings: Settings | None = None,
) -> Comparison:
    """Run a study with a group pooled completely, partially, not at all, and partially beside group means (Mundlak).

    `group` is by default the level within which treatment varies.

    Raises StudyError (HDM122: there is no such group) and SamplingFailed as `run` does.

    Examples
    --------
    >>> forms = hdsl.compare_pooling("tutoring.hdm", settings=hdsl.Settings(chains=2, draws=200))
    >>> forms.names
    ('complete', 'partial', 'none', 'mundlak')
    """
    from hdsl.design.pooling import pooled_forms, treated_within, why_not
    from hdsl.design.snippets import StudyError

    opened = open_study(study)
    if opened.study is None or has_errors(opened.diagnostics):
        raise StudyError(list(opened.diagnostics), opened.source)
    chosen = group or treated_within(opened.study)
    problem = why_not(opened.study, chosen)
    if problem is not None or chosen is None:
        raise StudyError([Diagnostic("HDM122", problem or "", help="Name a level: `--pooling school`.")], opened.source)
    forms = pooled_forms(opened.study, chosen)
    each = [Opened(form, opened.base) for form in forms.values()]
    return compare_studies(each, tuple(forms), by=chosen, data=data, backend=backend, settings=settings)


def explain(study: str | Path | Study, data: str | None = None, *, how: bool = False) -> tuple[str, Derived]:
    """Return the explanation of a study (design, model with reasons, priors, estimands) and its derivation.

    `how`: say how it will be sampled as well.

    Examples
    --------
    >>> text, derived = hdsl.explain("tutoring.hdm")
    >>> "because tutor was assigned within each school" in text
    True
    """
    from hdsl.report.explain import explanation, inference_words

    derived = derive(study, data)
    text = explanation(derived.checked.opened.study, derived.checked.bound, derived.model)
    if how and derived.model is not None and derived.data is not None:
        text += "\n" + inference_words(derived.model, derived.data)
    return text, derived


def emit_data(
    study: str | Path | Study, stage: str, data: str | None = None, inference: str = "auto"
) -> tuple[bytes, tuple[Diagnostic, ...]]:
    """Return the data that the emitted program of a backend reads, as a file: JSON for Stan, else NumPy's npz.

    The bytes are empty where diagnostics stand in the way.
    """
    return _emitted_data(derive(study, data), stage, inference)


def emit_both(
    study: str | Path | Study, stage: str, data: str | None = None, inference: str = "auto"
) -> tuple[str, bytes, tuple[Diagnostic, ...]]:
    """Return the program of a backend and the data that it reads, as `emit` and `emit_data` do one by one."""
    from hdsl.report import stages

    unknown = stages.unknown_stage(stage)
    if unknown is not None:
        return "", b"", (unknown,)
    derived = derive(study, data)
    arrays, found = _emitted_data(derived, stage, inference)
    if any(each.severity == "error" for each in found):
        return "", b"", found
    text, found = _emitted(derived, stage, inference)
    return text, arrays, found


def _emitted_data(derived: Derived, stage: str, inference: str) -> tuple[bytes, tuple[Diagnostic, ...]]:
    from hdsl.report import stages

    if derived.model is None or derived.data is None:
        return b"", derived.diagnostics
    made = stages.data_file(derived.model, derived.data, stage, inference)
    return (b"", (*derived.diagnostics, made)) if isinstance(made, Diagnostic) else (made, derived.diagnostics)


def _emitted(derived: Derived, stage: str, inference: str) -> tuple[str, tuple[Diagnostic, ...]]:
    from hdsl.report import stages

    if derived.model is None or derived.data is None:
        return "", derived.diagnostics
    text, problem = stages.model_text(derived.model, derived.data, stage, inference)
    return text, derived.diagnostics if problem is None else (*derived.diagnostics, problem)


def emit(
    study: str | Path | Study, stage: str, data: str | None = None, inference: str = "auto"
) -> tuple[str, tuple[Diagnostic, ...]]:
    """Return a stage of the compilation as text: `ast`, `study`, `model`, `passes`, or a backend's source.

    Of a backend and of `passes` it is the program that NUTS runs: with effects integrated out, unless `inference` is
    `nuts` or the model does not allow it. The text is empty where diagnostics stand in the way.

    Examples
    --------
    >>> text, found = hdsl.emit("tutoring.hdm", "numpyro")
    >>> "numpyro.sample" in text, found
    (True, ())
    """
    from hdsl.report import stages

    unknown = stages.unknown_stage(stage)
    if unknown is not None:
        return "", (unknown,)
    opened = open_study(study)
    if stage == "ast":
        return stages.tree_text(opened.tree), opened.diagnostics
    if stage == "study":
        return ("" if opened.study is None else opened.study.to_json()), opened.with_places(opened.diagnostics)
    return _emitted(derive(study, data), stage, inference)
