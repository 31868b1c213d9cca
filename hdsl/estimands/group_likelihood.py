"""The likelihood of whole groups with their own effects integrated out, by draw: what leave-one-group-out rests on.

A group that is left out is a new one: of its effects nothing is known but their law. For each draw of the parameters
that groups share, the likelihood of a group is the integral of its rows' likelihood over its effects, and over those of
the units within it. Integrals are by adaptive quadrature: nodes around the mode, by one Newton step from the unit's
posterior mean, spread by the curvature there; with a normal likelihood and normal effects that is exact.

Sources: Merkle, Furr & Rabe-Hesketh (2019); Rabe-Hesketh, Skrondal & Pickles (2005) for adaptive quadrature.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound
from hdsl.estimands.predict import levels_of_sets
from hdsl.estimands.worlds import TREES
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Model, ModelData, RandomVariable, references
from hdsl.model.walk import applications
from hdsl.passes.precompute import precompute
from hdsl.reference.density import definitions, law_references, log_likelihood, variable_log_density
from hdsl.reference.values import Array, expand

BATCH = ("draw",)
Draws = Mapping[str, Array]
Integers = NDArray[np.int64]
LINE, PLANE, SPACE = 11, 7, 64
MOST_NODES = 800
STEP = 0.3
REDUCTIONS = frozenset({"sum", "mean", "dot", "log_sum_exp", "log_softmax", "cumulative_sum"})


class NotIntegrable(Exception):
    """The effects of a group cannot be integrated out; the message says why."""


@dataclass(frozen=True)
class _Own:
    """The random variables of one level that belong to a group.

    Attributes
    ----------
    variables : RandomVariables, each of dims (index set of the level, ...)
    middle, spread : float arrays, shape (units, d)
        Posterior means and standard deviations of all their values, side by side.
    """

    level: str
    variables: tuple[RandomVariable, ...]
    middle: Array
    spread: Array

    @property
    def width(self) -> int:
        """The number of effects of a unit."""
        return self.middle.shape[1]


def group_log_likelihood(model: Model, data: ModelData, bound: Bound, draws: Draws, level: str) -> Array:
    """Return the log likelihood of each unit of a level, its own effects integrated out.

    Parameters
    ----------
    model, data, bound
        The plain model, its arrays, and the study with its data.
    draws : mapping
        Random variable to draws of shape (draw, *dims).
    level : str
        A level above the rows; the rows of each unit are taken together.

    Returns
    -------
    float array, shape (draws, units)

    Raises
    ------
    NotIntegrable
        Rows lie in crossed units whose effects cannot be told apart by group, or effects have no smooth law.
    """
    lean, values = precompute(model, data)
    own = _owns(model, data, bound, draws, level)
    if np.prod([len(_nodes(each.width)[1]) for each in own]) > MOST_NODES:
        raise NotIntegrable(f"each {level} has too many effects to integrate out")
    chain = list(dict.fromkeys((level, *(each.level for each in own))))
    return _Problem(lean, values, bound).integral(dict(draws), own, chain)


def _owns(model: Model, data: ModelData, bound: Bound, draws: Draws, level: str) -> list[_Own]:
    """Return the variables of the level and of those within it, from the top down.

    Trees are a function of what the rows are like, not an effect of the rows.
    """
    sets = levels_of_sets(model, data, bound)
    if any((definition.role or "").startswith("array(") for definition in model.definitions):
        raise NotIntegrable("effects over the cells of crossed factors belong to several levels")
    by_level: dict[str, list[RandomVariable]] = {}
    for variable in model.variables:
        if variable.law.distribution == TREES:
            continue
        here = [sets[dim] for dim in variable.dims if dim in sets]
        for name in here:
            if bound.nests(name, level):
                if len(here) > 1 or sets[variable.dims[0]] != name:
                    raise NotIntegrable(f"{variable.role} belongs to several levels")
                by_level.setdefault(name, []).append(variable)
    order = sorted(by_level, key=lambda name: bound.levels[name].size)
    for upper, lower in itertools.pairwise(order):
        if not bound.nests(lower, upper):
            raise NotIntegrable(f"{lower} and {upper} are crossed within {level}")
    _check_apart(model, by_level)
    return [_own(name, by_level[name], draws) for name in order]


def _check_apart(model: Model, by_level: Mapping[str, Sequence[RandomVariable]]) -> None:
    """Refuse models in which the effects of a unit enter those of others: a new unit then has no law of its own."""
    reached = {variable.name for found in by_level.values() for variable in found}
    dims = {variable.dims[0] for found in by_level.values() for variable in found} | {model.unit}
    for definition in model.definitions:
        if not reached & references(definition.value):
            continue
        reached.add(definition.name)
        for node in applications(definition.value):
            if node.function in REDUCTIONS and node.static[0] in dims:
                raise NotIntegrable(f"the units of {node.static[0]} are centred at their own mean: there is no new one")


def _own(level: str, variables: Sequence[RandomVariable], draws: Draws) -> _Own:
    for variable in variables:
        if DISTRIBUTIONS[variable.law.distribution].support not in ("real", "vector"):
            raise NotIntegrable(f"{variable.role} has no law over all numbers")
    flat = np.concatenate([_flat(draws[v.name]) for v in variables], axis=2)
    return _Own(level, tuple(variables), flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-8))


def _flat(values: Array) -> Array:
    return values.reshape(values.shape[0], values.shape[1], -1)


def _nodes(d: int) -> tuple[Array, Array]:
    """Return standard normal nodes and log weights: Gauss-Hermite in one or two dimensions, else quasi-random."""
    if d <= 2:
        points, weights = np.polynomial.hermite_e.hermegauss(LINE if d == 1 else PLANE)
        logs = np.log(weights / weights.sum())
        grid = np.stack(np.meshgrid(*[points] * d, indexing="ij"), axis=-1).reshape(-1, d)
        return grid, np.stack(np.meshgrid(*[logs] * d, indexing="ij"), axis=-1).reshape(-1, d).sum(axis=1)
    from scipy.special import ndtri
    from scipy.stats import qmc

    unit = np.clip(qmc.Sobol(d, rng=1).random(SPACE), 1e-6, 1 - 1e-6)
    return ndtri(unit), np.full(SPACE, -np.log(SPACE))


@dataclass(frozen=True)
class _Problem:
    """The model whose likelihood is integrated."""

    model: Model
    data: ModelData
    bound: Bound

    def integral(self, draws: dict[str, Array], own: Sequence[_Own], chain: Sequence[str]) -> Array:
        """Return the log likelihood by unit of the first level of the chain, shape (draws, units)."""
        if not chain:
            return self.rows(draws)
        level, *rest = chain
        lower = rest[0] if rest else self.bound.row
        if not own or own[0].level != level:
            return _summed(self.bound, self.integral(draws, own, rest), lower, level)
        here, *below = own

        def joint(values: Array) -> Array:
            changed = {**draws, **_set(here, values, draws)}
            inner = _summed(self.bound, self.integral(changed, below, rest), lower, level)
            return inner + self.prior(here, changed)

        number = next(iter(draws.values())).shape[0]
        return _quadrature(joint, here, number)

    def prior(self, own: _Own, draws: Draws) -> Array:
        """Return the log density of the effects of each unit given the draws, shape (draws, units)."""
        names = frozenset().union(*(law_references(variable.law) for variable in own.variables))
        env = definitions(self.model, self.data, draws, {*names, *(v.name for v in own.variables)}, BATCH)
        total: Array | float = 0.0
        for variable in own.variables:
            value = variable_log_density(variable, env)
            array = expand(value, (*BATCH, *(dim for dim in value.dims if dim not in BATCH)))
            total = total + array.reshape(*array.shape[:2], -1).sum(axis=2)
        return np.asarray(total)

    def rows(self, draws: Draws) -> Array:
        """Return the log likelihood of each row, shape (draws, rows)."""
        parts = list(log_likelihood(self.model, self.data, draws).values())
        if len(parts) != 1 or parts[0].shape[1:] != (self.bound.rows,):
            raise NotIntegrable("rows have no likelihood of their own")
        return parts[0]


def _quadrature(joint: Callable[[Array], Array], own: _Own, number: int) -> Array:
    """Return the log of the integral of exp(joint) over the effects of each unit, shape (draws, units).

    `joint` takes values of shape (draws, units, d).
    """
    start = np.broadcast_to(own.middle, (number, *own.middle.shape))
    middle, factor = _mode(joint, start, own)
    size = np.log(np.diagonal(factor, axis1=2, axis2=3)).sum(axis=2) + 0.5 * own.width * np.log(2 * np.pi)
    total = np.full(middle.shape[:2], -np.inf)
    for z, weight in zip(*_nodes(own.width), strict=True):
        total = np.logaddexp(total, joint(middle + factor @ z) + (weight + 0.5 * float(z @ z)))
    return total + size


def _mode(joint: Callable[[Array], Array], start: Array, own: _Own) -> tuple[Array, Array]:
    """Return the mode and a Cholesky factor of the curvature's inverse, by differences around `start`.

    Where the curvature is of no maximum, the posterior mean and standard deviations stand in.
    """
    d = own.width
    steps = [np.where(np.arange(d) == j, STEP * own.spread, 0.0) for j in range(d)]
    scale = STEP * own.spread
    here = joint(start)
    up, down = ([joint(start + sign * step) for step in steps] for sign in (1, -1))
    gradient = np.stack([(u - w) / 2 for u, w in zip(up, down, strict=True)], axis=-1) / scale
    bend = np.empty((*here.shape, d, d))
    for i in range(d):
        bend[..., i, i] = up[i] + down[i] - 2 * here
        for j in range(i):
            both = joint(start + steps[i] + steps[j])
            bend[..., i, j] = bend[..., j, i] = both - up[i] - up[j] + here
    precision = -bend / (scale[:, :, None] * scale[:, None, :])
    values, vectors = np.linalg.eigh(np.where(np.isfinite(precision), precision, 0.0))
    sound = np.all(values > 0, axis=-1) & np.all(np.isfinite(gradient), axis=-1)
    values = np.where(sound[..., None], values, 1.0)
    inverse = (vectors / values[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    middle = start + np.where(sound[..., None], (inverse @ np.nan_to_num(gradient)[..., None])[..., 0], 0.0)
    plain = own.spread[:, :, None] ** 2 * np.eye(d)
    return middle, np.linalg.cholesky(np.where(sound[..., None, None], inverse, plain))


def _set(own: _Own, values: Array, draws: Draws) -> dict[str, Array]:
    """Return the variables with values of shape (draws, units, d)."""
    found: dict[str, Array] = {}
    start = 0
    for variable in own.variables:
        shape = draws[variable.name].shape
        width = int(np.prod(shape[2:], dtype=np.int64))
        found[variable.name] = values[..., start : start + width].reshape(shape)
        start += width
    return found


def _summed(bound: Bound, values: Array, lower: str, upper: str) -> Array:
    """Return sums over the units of `lower` in each unit of `upper`: (draws, lower) to (draws, upper)."""
    if lower == upper:
        return values
    from scipy.sparse import csr_matrix

    codes = bound.element_of(lower, upper)
    size = bound.levels[upper].size
    where = csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(size, len(codes)))
    return np.asarray((where @ values.T).T)
