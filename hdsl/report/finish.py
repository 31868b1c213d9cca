"""From a plain model to a Result: fit, estimands, summaries, diagnosis."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from hdsl.backend import Backend, Progress, Settings
from hdsl.data.bound import Bound
from hdsl.design.ir import Estimand, Propensity
from hdsl.diagnostics import Diagnostic
from hdsl.estimands import Computed, EstimandError, compute, with_defaults
from hdsl.estimands.crossing import crossing
from hdsl.estimands.instrument import against_instrument
from hdsl.estimands.quantile_effects import quantile_effects
from hdsl.inference.balance import Balance, balances, group, warnings_of
from hdsl.inference.diagnose import diagnose
from hdsl.inference.fit import Fit, fit
from hdsl.inference.groups import SAMPLES, Group, Named, Posterior
from hdsl.inference.limits import beyond_limits
from hdsl.inference.posterior import posterior
from hdsl.inference.propensity import interleaved
from hdsl.inference.stages import fit_in_stages
from hdsl.inference.working import few_beyond, fit_quantiles
from hdsl.model.derive.quantiles import wants_correction
from hdsl.model.ir import Model, ModelData
from hdsl.model.walk import distributions_used
from hdsl.report.result import Result
from hdsl.report.summary import Summary, summarise
from hdsl.report.words import heading_of
from hdsl.source import Source

PACKAGES = ("numpy", "scipy", "xarray", "arviz-stats")


def fit_and_finish(
    bound: Bound,
    model: Model,
    data: ModelData,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None,
    warnings: Sequence[Diagnostic],
    source: Source | None,
) -> Result | Diagnostic:
    """Return the result of a run, or the error that stands in its way.

    Raises
    ------
    NotStored
        Large draws find no place on the disk.
    SamplingFailed
        The backend gave no usable draws.
    """
    estimands = with_defaults(bound.study)
    refused = _first_problem(estimands, bound, model, data)
    if refused is not None:
        return refused
    if any(isinstance(item, Propensity) for item in bound.study.analysis):
        staged = fit_in_stages(bound, model, data, backend, settings, progress)
    else:
        staged = _fitted(bound, model, data, backend, settings, progress)
    if isinstance(staged, Diagnostic):
        return staged
    fitted = staged if isinstance(staged, Fit) else staged.fit
    model, data = fitted.model, fitted.data
    found = computed_of(estimands, bound, fitted, settings.seed)
    found += _on_quantiles(bound, fitted)
    roles = {computed.name: computed.draws for computed in found}
    diagnosis, more = diagnose({**fitted.roles, **roles}, fitted.sampled)
    more += beyond_limits(model, fitted.parameters)
    more += against_instrument(bound, model, data, fitted.parameters)
    more += crossing(model, data, fitted.parameters)
    more += few_beyond(fitted, counted=_counted(bound))
    scored = () if isinstance(staged, Fit) else balances(bound, staged.chances)
    more += [warning for balance in scored for warning in warnings_of(balance)]
    return Result(
        study=bound.study,
        backend=fitted.backend,
        inference=fitted.sampled.engine,
        estimand_summaries=tuple(s for computed in found for s in _estimand(computed)),
        parameter_summaries=tuple(_parameters(fitted)),
        diagnosis=diagnosis,
        warnings=(*warnings, *more),
        kept=_with_scores(_with_estimands(posterior(fitted, _attributes(bound, fitted)), found), scored),
        source=source,
        heading=heading_of(bound),
        seconds=fitted.sampled.seconds,
        settings=settings,
        model=model,
        data=data,
        bound=bound,
        how=fitted.how,
        intervals=fitted.intervals,
    )


def _fitted(
    bound: Bound,
    model: Model,
    data: ModelData,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None,
) -> Fit | Diagnostic:
    """Return the fit of one stage; draws of quantiles are corrected for their working likelihood."""
    if wants_correction(bound.study):
        return fit_quantiles(model, data, backend, settings, progress, counted=_counted(bound))
    return fit(model, data, backend, settings, progress)


def _counted(bound: Bound) -> bool:
    """Return whether weights count identical rows."""
    return any(v.role == "weight" and v.kind == "count" for v in bound.variables.values())


def computed_of(estimands: Sequence[Estimand], bound: Bound, fitted: Fit, seed: int) -> list[Computed]:
    """Return the estimands; of a mixture of fits, each with its own data."""
    if not fitted.parts:
        return compute(estimands, fitted.model, fitted.data, bound, fitted.parameters, seed)
    each = [compute(estimands, p.model, p.data, bound, p.parameters, seed + i) for i, p in enumerate(fitted.parts)]
    return [replace(same[0], draws=interleaved([one.draws for one in same])) for same in zip(*each, strict=True)]


def _on_quantiles(bound: Bound, fitted: Fit) -> list[Computed]:
    """Return the effects on quantiles of a family of quantiles; of a mixture of fits, each with its own data."""
    parts = fitted.parts or (fitted,)
    each = [quantile_effects(bound.study, p.model, p.data, bound, p.parameters) for p in parts]
    if not fitted.parts:
        return each[0]
    return [replace(same[0], draws=interleaved([one.draws for one in same])) for same in zip(*each, strict=True)]


def _with_estimands(found: Posterior, estimands: Sequence[Computed]) -> Posterior:
    """Return the posterior with a group `estimands`, whose dims are the levels of their indices."""
    if not estimands:
        return found
    index = {level: labels for computed in estimands for level, labels in computed.index.items()}
    labels = {level: Named((level,), np.asarray(list(labels), dtype=str)) for level, labels in index.items()}
    arrays = {each.name: Named((*SAMPLES, *each.index), each.draws) for each in estimands}
    return found.with_groups({"estimands": Group(arrays, labels)})


def _with_scores(found: Posterior, scored: tuple[Balance, ...]) -> Posterior:
    """Return the posterior with a group `propensity`, where there are propensity scores."""
    return found.with_groups({"propensity": group(scored)}) if scored else found


def _first_problem(estimands: Sequence[Estimand], bound: Bound, model: Model, data: ModelData) -> Diagnostic | None:
    """Compute each estimand on one prior draw (trees: a typical point), so that an impossible one is known early."""
    from hdsl.passes.informed import typical
    from hdsl.reference.simulate import prior_draw

    if "bart" in distributions_used(model):
        draws = {k: v[None, None] for k, v in typical(model, data).items()}
    else:
        draws = {k: v[None] for k, v in prior_draw(model, data, np.random.default_rng(0), draws=1).items()}
    for place, estimand in enumerate(estimands):
        try:
            compute([estimand], model, data, bound, draws, 0)
        except EstimandError as error:
            path = ("estimands", place) if bound.study.estimands else None
            return Diagnostic(error.code, f"{estimand.name}: {error.message}", help=error.help, path=path)
    return None


def _estimand(computed: Computed) -> list[Summary]:
    return summarise(computed.name, computed.draws, computed.index)


def _parameters(fitted: Fit) -> list[Summary]:
    sets = {index_set.name: index_set for index_set in fitted.model.index_sets}
    levels = {name for name, index_set in sets.items() if index_set.kind == "level"}
    found: list[Summary] = []
    for reported in fitted.model.reported:
        names = [sets[dim].label or _level_name(dim, reported.role, levels) for dim in reported.dims]
        index = {name: fitted.data.coords[dim] for name, dim in zip(names, reported.dims, strict=True)}
        curve = any(sets[dim].kind == "grid" for dim in reported.dims)
        found += summarise(reported.role, fitted.roles[reported.role], index, curve=curve)
    return found


def _level_name(dim: str, role: str, levels: set[str]) -> str:
    """Return the study's name of a dim: a level whose name is no identifier stands in the role."""
    if dim in levels and role.endswith("]") and "[" in role:
        return role.rsplit("[", 1)[1].removesuffix("]")
    return dim


def _attributes(bound: Bound, fitted: Fit) -> Mapping[str, str]:
    settings = fitted.settings
    return {
        "study": bound.study.name,
        "study_json": bound.study.model_dump_json(),
        "backend": fitted.backend,
        "inference": fitted.sampled.engine,
        "inference_reason": fitted.how,
        "intervals": fitted.intervals,
        "data": bound.audit.source,
        "data_sha256": bound.audit.sha256,
        "rows": str(bound.audit.rows_used),
        "rows_summed_up": "" if bound.frequency is None else str(bound.rows),
        "seed": str(settings.seed),
        "chains": str(settings.chains),
        "draws": str(settings.draws),
        "warmup": str(settings.warmup),
        "hdsl": version("hdsl"),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
