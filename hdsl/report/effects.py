"""Effects and predictions from a result's draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hdsl.design.expr import Negative, Number, Ref, Setting
from hdsl.design.ir import Estimand, StudyFields
from hdsl.design.snippets import StudyError
from hdsl.diagnostics import Diagnostic, did_you_mean
from hdsl.estimands import EstimandError, compute, with_defaults
from hdsl.estimands.predict import NewRows, rows_of_study, to_new_rows
from hdsl.estimands.quantile_effects import quantile_effects
from hdsl.estimands.quantiles import of_quantiles
from hdsl.inference.posterior import DIVISION_SLASH, SLASH, values_of
from hdsl.reference.values import Array
from hdsl.report.frames import frame, rows_of, table
from hdsl.report.result import Result
from hdsl.report.summary import Summary, summarise
from hdsl.storage import NotStored

if TYPE_CHECKING:
    from xarray import DataArray


def draws_of(result: Result, name: str) -> DataArray:
    """Return the draws of an estimand or a role; KeyError where there is none."""
    stored = name.replace(SLASH, DIVISION_SLASH)
    groups = [result.posterior[group] for group in ("estimands", "posterior") if group in result.posterior]
    for group in groups:
        if stored in group.data_vars:
            return group.data_vars[stored]
    known = [str(each).replace(DIVISION_SLASH, SLASH) for group in groups for each in group.data_vars]
    near = did_you_mean(name, known)
    raise KeyError(f"no {name!r} here; did you mean {near!r}?" if near else f"no {name!r}; there are {known}")


def parameters(result: Result) -> dict[str, Array]:
    """Return the draws of the plain model's random variables, each of shape (chain, draw, *dims).

    Raises StudyError (HDM728) where large draws of a saved result find no place on the disk.
    """
    try:
        return {str(name): values_of(values) for name, values in result.posterior["parameters"].data_vars.items()}
    except NotStored as problem:
        raise StudyError([problem.diagnostic]) from None


def effects(result: Result, treatment: str, by: tuple[str, ...]) -> Any:
    """Return the frame of `Result.effects`."""
    rows = effect_summaries(result, treatment, by)
    columns = table("arm", rows)
    against = _reference(result.study, treatment)
    return frame({"arm": columns.pop("arm"), "against": [against] * len(rows), **columns}, result.frames)


def effect_summaries(result: Result, treatment: str, by: tuple[str, ...] = ()) -> list[Summary]:
    """Return average effects of each arm of a treatment, for each element of the levels `by`."""
    _known(treatment, [each.name for each in result.study.treatments], "treatment")
    for level in by:
        _known(level, [each.name for each in result.study.levels], "level")
    if of_quantiles(result.study, result.model) is not None:
        return _on_quantiles(result, treatment, by)
    bare = result.study.model_copy(update={"estimands": ()})
    wanted = [(arm, replace_index(estimand, by)) for arm, estimand in _contrasts(bare, treatment)]
    found = compute_or_raise(result, [estimand for _, estimand in wanted])
    return [
        replace(summary, name=arm)
        for (arm, _), each in zip(wanted, found, strict=True)
        for summary in summarise(each.name, each.draws, each.index)
    ]


def _on_quantiles(result: Result, treatment: str, by: tuple[str, ...]) -> list[Summary]:
    alone = tuple(each for each in result.study.treatments if each.name == treatment)
    study = result.study.model_copy(update={"treatments": alone})
    found = quantile_effects(study, result.model, result.data, result.bound, parameters(result), by)
    arms = [arm.name for arm in alone[0].arms[1:]] or ["+1"]
    return [
        replace(summary, name=arm)
        for arm, each in zip(arms, found, strict=True)
        for summary in summarise(each.name, each.draws, each.index)
    ]


def replace_index(estimand: Estimand, by: tuple[str, ...]) -> Estimand:
    """Return the estimand for each element of some levels."""
    return estimand.model_copy(update={"index": by})


def compute_or_raise(result: Result, estimands: Sequence[Estimand]) -> list[Any]:
    """Compute estimands from a result's draws; StudyError where that cannot be."""
    try:
        return compute(estimands, result.model, result.data, result.bound, parameters(result), result.settings.seed)
    except EstimandError as error:
        raise StudyError([Diagnostic(error.code, error.message, help=error.help)]) from None
    except NotStored as problem:
        raise StudyError([problem.diagnostic]) from None


def _contrasts(study: StudyFields, treatment: str) -> list[tuple[str, Estimand]]:
    """Return the default estimands of one treatment, each with the arm that it is about."""
    alone = tuple(each for each in study.treatments if each.name == treatment)
    found = with_defaults(study.model_copy(update={"treatments": alone}))
    arms = [arm.name for arm in alone[0].arms[1:]] or ["+1"]
    return list(zip(arms, found, strict=True))


def _reference(study: StudyFields, treatment: str) -> str:
    declared = next(each for each in study.treatments if each.name == treatment)
    return declared.arms[0].name if declared.arms else "as observed"


def _known(name: str, names: Sequence[str], what: str) -> None:
    if name in names:
        return
    near = did_you_mean(name, list(names))
    help_ = f"Did you mean {near!r}?" if near else f"Its {what}s are: {', '.join(names)}."
    raise StudyError([Diagnostic("HDM118", f"The study has no {what} {name!r}.", help=help_)])


def predict(
    result: Result, new_data: Any, do: Mapping[str, str | float], kind: Literal["expected", "outcome"], seed: int
) -> Any:
    """Return the frame of `Result.predict`."""
    found = predicted(result, new_data, do, kind, seed)
    index = {str(dim): [str(label) for label in np.asarray(found.coords[dim])] for dim in found.dims[2:]}
    rows = summarise("", found.values, index)
    columns = table("", rows)
    del columns[""]
    return frame({**columns, "row": [int(str(label)) for label in columns["row"]]}, result.frames)


def predicted(
    result: Result, new_data: Any, do: Mapping[str, str | float], kind: Literal["expected", "outcome"], seed: int
) -> DataArray:
    """Return draws of predictions, with axes chain, draw, row, and quantile where the family has several."""
    from xarray import DataArray

    settings = tuple(_setting(result.study, name, value) for name, value in do.items())
    try:
        rows = _rows(result, new_data, settings, seed)
        flat = rows.predicted(settings, kind, seed)
    except EstimandError as error:
        raise StudyError([Diagnostic(error.code, error.message, help=error.help)]) from None
    chains, draws = next(iter(parameters(result).values())).shape[:2]
    shaped = flat.reshape(chains, draws, *flat.shape[1:])
    coords: dict[str, Any] = {"row": np.arange(1, shaped.shape[2] + 1)}
    observation = of_quantiles(result.study, result.model)
    if observation is not None and len(observation.dims) > 1:
        coords["quantile"] = list(result.data.coords[observation.dims[1]])
    return DataArray(shaped, dims=("chain", "draw", *coords), coords=coords)


def _rows(result: Result, new_data: Any, settings: tuple[Setting, ...], seed: int) -> NewRows:
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in parameters(result).items()}
    if new_data is None:
        return rows_of_study(result.model, result.data, result.bound, flat)
    made = to_new_rows(result.model, result.data, result.bound, flat, rows_of(new_data), settings, seed)
    if isinstance(made, NewRows):
        return made
    raise StudyError(made)


def _setting(study: StudyFields, name: str, value: str | float) -> Setting:
    _known(name, [each.name for each in study.treatments], "treatment")
    treatment = next(each for each in study.treatments if each.name == name)
    if treatment.arms:
        _known(str(value), [arm.name for arm in treatment.arms], f"arm of {name} called")
        return Setting(treatment=name, value=Ref(name=str(value)))
    dose = Number(value=abs(float(value)))
    return Setting(treatment=name, value=dose if float(value) >= 0 else Negative(of=dose))
