"""How much the data say about a varying effect, compared with its law."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Apply, Dims, Expr, Law, Model, ModelData, RandomVariable
from hdsl.reference.density import log_likelihood
from hdsl.reference.values import Array, Value, evaluate

TYPICAL = 0.3
GAUSSIAN = {"normal": "mean", "student": "mean", "lognormal": "meanlog"}


def informed(model: Model, data: ModelData, variable: RandomVariable, place: int = 0) -> float:
    """Return the typical ratio of the data's information on an element of `variable` to its prior's.

    For intercepts of a Gaussian outcome it is n sd_between^2 / sd_within^2 by the analysis of variance, with
    the lower bound of the variance between groups.
    Otherwise the information is the curvature of the log likelihood in column `place` of the variable,
    averaged over the level's units, at a typical point: locations at their prior's middle, scales at 0.3 of
    their prior's.
    """
    joint = variable.law.distribution == "multinormal_cholesky"
    if variable.role.startswith("deviation(intercept, ") or (joint and place == 0):
        found = _between_within(model, data, variable.dims[0])
        if found is not None:
            return found
    return _ratio(model, data, variable, typical(model, data), place)


def informed_units(model: Model, data: ModelData, variable: RandomVariable) -> tuple[Array, float] | None:
    """Return the ratio of the data's information on each unit's intercept to its prior's, and the prior's typical sd.

    As `informed`, of each unit by itself. `variable` has one dimension, its level. None where it is not found.
    """
    found = _anova(model, data, variable.dims[0])
    return _unit_ratios(model, data, variable) if found is None else (found.ratios, found.between**0.5)


class _Anova(NamedTuple):
    """n sd_between^2 / sd_within^2 of each unit, and the variance between units."""

    ratios: Array
    between: float


def _between_within(model: Model, data: ModelData, level: str) -> float | None:
    """Return n sd_between^2 / sd_within^2 of a Gaussian outcome over a level at the median n; None for others."""
    found = _anova(model, data, level)
    return None if found is None else float(np.median(found.ratios))


def _anova(model: Model, data: ModelData, level: str) -> _Anova | None:
    """Return the analysis of variance of a Gaussian outcome over a level; None for other outcomes."""
    if not model.observations:
        return None
    observed = model.observations[0]
    if observed.law.distribution not in GAUSSIAN or len(model.observations) > 1:
        return None
    codes = membership(model, data, observed.dims, level)
    if codes is None:
        return None
    y = np.asarray(data.values[observed.slot], dtype=np.float64)
    y = np.log(y) if observed.law.distribution == "lognormal" else y
    y = _given_predictors(model, data, y, codes)
    for coarser in _coarser(model, data, observed.dims, level):
        y = y - (np.bincount(coarser, y) / np.maximum(np.bincount(coarser), 1))[coarser]
    counts = np.bincount(codes, minlength=model.sizes[level])
    means = np.bincount(codes, y, minlength=len(counts)) / np.maximum(counts, 1)
    if len(y) <= len(counts) or len(counts) < 2:
        return _Anova(np.zeros(len(counts)), 0.0)
    within = float(np.sum((y - means[codes]) ** 2) / (len(y) - len(counts)))
    between = float(np.var(means, ddof=1)) - within * float(np.mean(1 / np.maximum(counts, 1)))
    if within <= 0:
        return _Anova(np.full(len(counts), np.inf), max(between, 0.0))
    ratios = np.asarray(counts * (max(between, 0.0) / within * _surely(len(counts))), dtype=np.float64)
    return _Anova(ratios, max(between, 0.0))


def _given_predictors(model: Model, data: ModelData, y: Array, codes: NDArray[np.int64]) -> Array:
    """Return the residuals of an outcome after least squares on the predictors that vary within the groups.

    What they explain is not between the groups: wages rise with experience, and so over the years.
    """
    found = [column for column in _predictors(model, data) if _varies_within(column, codes)]
    if not found or len(found) + 1 >= len(y):
        return y
    design = np.column_stack([np.ones(len(y)), *found])
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


def _coarser(model: Model, data: ModelData, rows: Dims, level: str) -> Iterator[NDArray[np.int64]]:
    """Yield the membership in each level of fewer units with effects of its own, which is not between these units."""
    levels = {v.dims[0] for v in model.variables if v.dims and v.role.startswith("deviation(")}
    for other in sorted(levels, key=lambda name: -model.sizes[name]):
        codes = membership(model, data, rows, other) if model.sizes[other] < model.sizes[level] else None
        if codes is not None:
            yield codes


def _varies_within(column: Array, codes: NDArray[np.int64]) -> bool:
    _, first = np.unique(codes, return_index=True)
    return not np.allclose(column, column[first][np.searchsorted(codes[first], codes)])


def _predictors(model: Model, data: ModelData) -> Iterator[Array]:
    """Yield what one unit more of each coefficient adds to the location of a Gaussian outcome in each row."""
    law = model.observations[0].law
    location = law.args[DISTRIBUTIONS[law.distribution].parameters.index(GAUSSIAN[law.distribution])]
    point = typical(model, data)
    base = evaluate(location, _environment(model, data, point)).real
    for variable in model.variables:
        if variable.dims or DISTRIBUTIONS[variable.law.distribution].location is None:
            continue
        moved = {**point, variable.name: point[variable.name] + 1.0}
        yield evaluate(location, _environment(model, data, moved)).real - base


def membership(model: Model, data: ModelData, rows: Dims, level: str) -> NDArray[np.int64] | None:
    """Return the unit of `level` to which each row belongs, through the levels between; None if it has none."""
    found: dict[Dims, NDArray[np.int64]] = {}
    waiting: list[tuple[Dims, NDArray[np.int64] | None]] = [(rows, None)]
    while waiting:
        dims, codes = waiting.pop(0)
        for slot in model.slots:
            if slot.dims != dims or slot.indexes is None or (slot.indexes,) in found:
                continue
            own = np.asarray(data.values[slot.name], dtype=np.int64)
            found[(slot.indexes,)] = own if codes is None else own[codes]
            waiting.append(((slot.indexes,), found[(slot.indexes,)]))
    return found.get((level,))


def _surely(groups: int) -> float:
    """Return the factor from an estimated variance between groups to its lower 99.5% bound.

    Of few groups a spread near zero stays possible, and with it the funnel of the centred form.
    """
    from scipy.special import chdtri

    return (groups - 1) / float(chdtri(groups - 1, 0.005))


def _ratio(model: Model, data: ModelData, variable: RandomVariable, point: dict[str, Array], place: int) -> float:
    prior = _prior_sd(model, data, variable, point, place)
    step = 0.05 * prior
    terms = _moved_likelihood(model, data, variable, point, place, step).values()
    likelihood = np.sum([value.reshape(3, -1).sum(axis=1) for value in terms], axis=0)
    return float(_curvature(likelihood, step) / point[variable.name].shape[0] * prior**2)


def _unit_ratios(model: Model, data: ModelData, variable: RandomVariable) -> tuple[Array, float] | None:
    """Return what `informed_units` does, by the curvature of each unit's log likelihood.

    None where a likelihood is not that of the units' rows.
    """
    point = typical(model, data)
    prior = _prior_sd(model, data, variable, point, 0)
    step = 0.05 * prior
    size = model.sizes[variable.dims[0]]
    terms = _moved_likelihood(model, data, variable, point, 0, step)
    total = np.zeros((3, size))
    for observation in model.observations:
        codes = membership(model, data, observation.dims, variable.dims[0])
        values = terms.pop(observation.name)
        if codes is None or values.shape != (3, len(codes)):
            return None
        total += np.stack([np.bincount(codes, each, minlength=size) for each in values])
    if terms:
        return None
    information = np.maximum(np.asarray(_curvature(total, step)), 0.0)
    newton = (total[2] - total[0]) / (2 * step) / np.where(information > 0, information, 1.0)
    spread = min(prior, moments(newton, information)[1] ** 0.5)
    return information * spread**2, spread


def moments(estimate: Array, information: Array, lost: int = 1) -> tuple[float, float]:
    """Return the variance between units and its lower 99.5% bound, by DerSimonian & Laird (1986).

    Parameters
    ----------
    estimate, information : arrays, shape (units,)
        Of each unit's deviation, and how much is known of it; units of which nothing is known are left out.
    lost
        How many of the units' differences are those of what they lie in.
    """
    estimate, information = estimate[information > 0], information[information > 0]
    freedom = len(estimate) - lost
    if freedom < 1:
        return 0.0, 0.0
    excess = float(np.sum(information * (estimate - np.average(estimate, weights=information)) ** 2)) / freedom
    whole = float(np.sum(information))
    typical = (whole - float(np.sum(information**2)) / whole) / (len(estimate) - 1)
    return max(excess - 1, 0.0) / typical, max(excess * _surely(freedom + 1) - 1, 0.0) / typical


def _moved_likelihood(
    model: Model, data: ModelData, variable: RandomVariable, point: dict[str, Array], place: int, step: float
) -> dict[str, Array]:
    """Return the log likelihood with column `place` of a variable a step below its value, at it and a step above."""
    base = point[variable.name]
    moves = np.zeros((3, *base.shape))
    moves[(slice(None), slice(None), place) if base.ndim > 1 else slice(None)] = (
        np.array([-step, 0.0, step])[:, None] if base.ndim > 0 else 0.0
    )
    batch = {name: np.broadcast_to(value, (3, *value.shape)) for name, value in point.items()}
    batch[variable.name] = base + moves
    return log_likelihood(model, data, batch)


def _curvature(values: Array, step: float) -> Array:
    return -(values[0] - 2 * values[1] + values[2]) / step**2


def _prior_sd(model: Model, data: ModelData, variable: RandomVariable, point: dict[str, Array], place: int) -> float:
    env = _environment(model, data, point)
    scale = evaluate(mixture_scale(variable.law) or variable.law.args[-1], env).real
    if scale.ndim >= 2:
        factor = scale.reshape(-1, *scale.shape[-2:])[0]
        return float(np.sqrt(np.sum(factor[place] ** 2)))
    return float(np.mean(scale))


def mixture_scale(law: Law) -> Expr | None:
    """Return the factor by which the means and spreads of a mixture are multiplied, None where there is none."""
    if law.distribution != "normal_mixture":
        return None
    means, sds = law.args[1:]
    if not all(isinstance(each, Apply) and each.function == "mul" for each in (means, sds)):
        return None
    assert isinstance(means, Apply)
    assert isinstance(sds, Apply)
    return means.args[0] if means.args[0] == sds.args[0] else None


def _environment(model: Model, data: ModelData, point: dict[str, Array]) -> dict[str, Value]:
    from hdsl.reference.density import definitions

    return dict(definitions(model, data, point))


def typical(model: Model, data: ModelData, chosen: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Return a typical point: a value for every random variable, shaped by its dims.

    What is `chosen` has that value, and what follows it in its law is typical given it.
    """
    sizes, chosen = model.sizes, chosen or {}
    env = {slot.name: Value(slot.dims, data.values[slot.name]) for slot in model.slots}
    point: dict[str, Array] = {}
    for statement in model.statements:
        if isinstance(statement, RandomVariable):
            shape = tuple(sizes[dim] for dim in statement.dims)
            args = [evaluate(arg, env).real for arg in statement.law.args]
            given = chosen.get(statement.name)
            point[statement.name] = _middle(statement, args, shape) if given is None else given
            env[statement.name] = Value(statement.dims, point[statement.name])
        else:
            env[statement.name] = evaluate(statement.value, env)
    return point


def _middle(variable: RandomVariable, args: list[Array], shape: tuple[int, ...]) -> Array:
    family = DISTRIBUTIONS[variable.law.distribution]
    if family.support == "cholesky_corr":
        return np.eye(shape[-1])
    if family.support == "ordered":
        return np.linspace(-1.0, 1.0, shape[-1])
    if family.support == "simplex":
        return np.full(shape, 1.0 / shape[-1])
    if family.support == "vector" or family.name == "normal_mixture":
        return np.zeros(shape)
    if family.location is not None:
        return np.broadcast_to(args[family.parameters.index(family.location)], shape).astype(np.float64)
    if family.scale is not None:
        return np.broadcast_to(TYPICAL * args[family.parameters.index(family.scale)], shape).astype(np.float64)
    return np.full(shape, 0.5 if family.support in ("unit", "interval") else 1.0)
