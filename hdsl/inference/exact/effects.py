"""Exact draws of all effects given hyperparameters.

From the last that was integrated out to the first: the columns taken together, then the coarser groupings, then
the finest one. For the finest, a draw from the prior and from the noise of its pseudo-rows is corrected by what the
rows say (Matheron's rule, Doucet 2010), which needs no matrix of the size of its effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
from numpy.random import Generator, SeedSequence

from hdsl.inference.exact import small
from hdsl.inference.exact.density import (
    Level,
    Marginal,
    Reduced,
    Together,
    covariance,
    reduce_chain,
    roots,
    solve_together,
)
from hdsl.inference.exact.hyper import Hyper, hyper_at, innovations, places_of, spread_of, units_of
from hdsl.model.ir import Definition, Dims, RandomVariable, references
from hdsl.passes.marginal.structure import Grouping
from hdsl.reference.density import needed
from hdsl.reference.values import Array, Value, broadcast, evaluate

AT_ONCE = 3_000_000
DRAW: Dims = ("draw",)
Standard = dict[str, Array]


def draw_effects(marginal: Marginal, points: Array, seed: int) -> dict[str, Array]:
    """Return draws of all random variables of the plain model.

    Parameters
    ----------
    points : array, shape (n, d)
        Unconstrained hyperparameters.
    seed : int
        The draws depend on it and on the points alone.

    Returns
    -------
    dict
        Random variable to array (n, *dims).
    """
    sizes = marginal.linear.model.sizes
    shapes = {v.name: tuple(sizes[dim] for dim in v.dims) for v in marginal.linear.model.variables}
    found = {name: np.empty((len(points), *shape)) for name, shape in shapes.items()}
    step = max(1, AT_ONCE // _numbers(marginal))
    pieces = [slice(at, min(at + step, len(points))) for at in range(0, len(points), step)]
    seeds = SeedSequence([seed, 0xE]).spawn(len(pieces))

    def one(piece: slice, own: SeedSequence) -> None:
        values = _piece(marginal, points[piece], np.random.default_rng(own))
        for name, array in found.items():
            array[piece] = values[name]

    with ThreadPoolExecutor(min(len(pieces), cpu_count() or 1)) as pool:
        for done in [pool.submit(one, piece, own) for piece, own in zip(pieces, seeds, strict=True)]:
            done.result()
    return found


def _numbers(marginal: Marginal) -> int:
    statistics = marginal.statistics
    total = statistics.columns**2 + 10
    if statistics.finest is not None:
        finest = statistics.finest
        wide = finest.others.size if marginal.patterns is None else 0
        total += 3 * finest.own.size + finest.own.shape[0] * finest.own.shape[1] + wide
    return total


def _piece(marginal: Marginal, points: Array, rng: Generator) -> dict[str, Array]:
    hyper = hyper_at(marginal.linear, points)
    with np.errstate(all="ignore"):
        reduced = reduce_chain(marginal, hyper)
        together = solve_together(marginal, hyper, reduced)
    standard, columns = _together(marginal, hyper, together, rng)
    standard |= _chain(marginal, hyper, reduced, columns, rng)
    return _values(marginal, hyper, standard, rng)


def _together(marginal: Marginal, hyper: Hyper, solved: Together, rng: Generator) -> tuple[Standard, Array]:
    """Draw the columns that were integrated out together.

    Returns the standard normal draws behind the effects, (b, units, places), and minus the raw coefficients
    with ones for the outcome and minus the offsets, (b, q).
    """
    statistics = marginal.statistics
    count, size = solved.pull.shape
    noise = rng.standard_normal((count, size))
    drawn = (
        np.linalg.solve(solved.factor.transpose(0, 2, 1), (solved.pull + noise)[..., None])[..., 0] if size else noise
    )
    fixed = len(statistics.fixed)
    parts = [drawn[:, :fixed]]
    standard: Standard = {}
    _put_fixed(marginal, drawn[:, :fixed] + statistics.middle, standard)
    at = fixed
    for block, load in zip(statistics.blocks, solved.loads, strict=True):
        units, per_unit = block.grouping.size, load.shape[3]
        piece = drawn[:, at : at + units * per_unit].reshape(count, units, per_unit)
        at += units * per_unit
        parts.append((load @ piece[..., None])[..., 0].reshape(count, -1))
        _put(marginal, block.grouping, piece, standard)
    raw = np.concatenate(parts, axis=1)
    return standard, np.concatenate([-raw, np.ones((count, 1)), -hyper.offsets], axis=1)


def _put_fixed(marginal: Marginal, drawn: Array, standard: Standard) -> None:
    units = {effect.name: units_of(effect, marginal.linear.model) for effect in marginal.linear.effects}
    for place, fixed in enumerate(marginal.statistics.fixed):
        if fixed.effect not in standard:
            standard[fixed.effect] = np.empty((len(drawn), units[fixed.effect], 1))
        standard[fixed.effect][:, fixed.unit, 0] = drawn[:, place]


def _put(marginal: Marginal, grouping: Grouping, drawn: Array, standard: Standard) -> None:
    starts, _ = innovations(grouping, marginal.linear)
    for effect in grouping.effects:
        start = starts[effect.name]
        standard[effect.name] = drawn[:, :, start : start + places_of(effect, marginal.linear.model)]


def _chain(marginal: Marginal, hyper: Hyper, reduced: Reduced, columns: Array, rng: Generator) -> Standard:
    """Draw the chain's groupings, from the coarsest down, given the coefficients of the columns taken together."""
    statistics = marginal.statistics
    standard: Standard = {}
    if statistics.finest is None:
        return standard
    above: list[Array] = []
    for place in reversed(range(len(statistics.coarser))):
        level, made = statistics.coarser[place], reduced.levels[place]
        drawn = _drawn_level(made, above, marginal.ancestors[place + 1], columns, rng)
        _put(marginal, level.grouping, drawn, standard)
        above.insert(0, (made.load @ drawn[..., None])[..., 0])
    finest = statistics.finest
    said = np.tensordot(finest.others[..., sum(a.shape[2] for a in above) :], columns, axes=(2, 1)).transpose(2, 0, 1)
    at = 0
    for raw, units in zip(above, marginal.ancestors[0], strict=True):
        own = finest.others[:, :, at : at + raw.shape[2]]
        said = said - np.einsum("urk,buk->bur", own, raw[:, units])
        at += raw.shape[2]
    assert reduced.load is not None
    drawn = _corrected(said, finest.own, finest.classes, reduced.load, hyper, rng)
    _put(marginal, finest.grouping, drawn, standard)
    return standard


def _drawn_level(
    made: Level, above: list[Array], ancestors: tuple[np.ndarray, ...], columns: Array, rng: Generator
) -> Array:
    at = sum(raw.shape[2] for raw in above)
    said = np.einsum(
        "bukq,bq->buk", np.broadcast_to(made.others, (len(columns), *made.others.shape[1:]))[..., at:], columns
    )
    at = 0
    for raw, units in zip(above, ancestors, strict=True):
        said = said - np.einsum("bukj,buj->buk", made.others[..., at : at + raw.shape[2]], raw[:, units])
        at += raw.shape[2]
    pull = np.linalg.solve(made.factor, (made.load.transpose(0, 1, 3, 2) @ said[..., None]))
    noise = rng.standard_normal(pull.shape)
    return np.linalg.solve(np.swapaxes(made.factor, -1, -2), pull + noise)[..., 0]


def _corrected(said: Array, own: Array, classes: np.ndarray, load: Array, hyper: Hyper, rng: Generator) -> Array:
    """Return standard normal draws (b, units, k) given what the pseudo-rows say, (b, units, r)."""
    root = roots(classes, hyper)
    rank, entries, places = own.shape[1], own.shape[2], load.shape[3]
    count, units = said.shape[:2]
    factor, _ = small.cholesky(covariance(own, load, root))
    inverse = small.inverse_factor(factor)
    drawn = [rng.standard_normal((count, units)) for _ in range(places)]
    raw = [sum(load[:, :, j, m] * drawn[m] for m in range(places)) for j in range(entries)]
    gap = [
        root[a] * (said[:, :, a] - sum(own[:, a, j] * raw[j] for j in range(entries)))
        - rng.standard_normal((count, units))
        for a in range(rank)
    ]
    half = [sum(inverse[a][c] * gap[c] for c in range(a + 1)) for a in range(rank)]
    pull = [root[c] * sum(inverse[a][c] * half[a] for a in range(c, rank)) for c in range(rank)]
    back = [sum(own[:, a, j] * pull[a] for a in range(rank)) for j in range(entries)]
    moved = [drawn[m] + sum(load[:, :, j, m] * back[j] for j in range(entries)) for m in range(places)]
    return np.stack(moved, axis=2)


def _values(marginal: Marginal, hyper: Hyper, standard: Standard, rng: Generator) -> dict[str, Array]:
    """Return the random variables: effects are the means of their laws plus their deviations."""
    linear = marginal.linear
    count = len(hyper.log_prior)
    env = dict(hyper.env)
    env |= {slot.name: Value(slot.dims, linear.data.values[slot.name]) for slot in linear.model.slots}
    effects = {effect.name: effect for effect in linear.effects}
    means = frozenset().union(*(references(effect.law.args[0]) for effect in linear.effects))
    wanted = needed(linear.model, means)
    found: dict[str, Array] = {name: np.asarray(array) for name, array in hyper.parameters.items()}
    for statement in linear.model.statements:
        if isinstance(statement, Definition):
            if statement.name in wanted and statement.name not in env:
                env[statement.name] = evaluate(statement.value, env)
        elif statement.name in effects:
            own = standard.get(statement.name)
            value = _effect(statement, env, own, hyper, marginal, rng)
            found[statement.name] = value
            env[statement.name] = Value((*DRAW, *statement.dims), value)
    sizes = linear.model.sizes
    return {
        v.name: np.broadcast_to(found[v.name], (count, *(sizes[dim] for dim in v.dims))) for v in linear.model.variables
    }


def _effect(
    effect: RandomVariable,
    env: Mapping[str, Value],
    drawn: Array | None,
    hyper: Hyper,
    marginal: Marginal,
    rng: Generator,
) -> Array:
    linear = marginal.linear
    sizes = {**linear.model.sizes, "draw": len(hyper.log_prior)}
    shape = [sizes[dim] for dim in (*DRAW, *effect.dims)]
    units = units_of(effect, linear.model)
    if drawn is None:
        drawn = rng.standard_normal((sizes["draw"], units, places_of(effect, linear.model)))
    spread = spread_of(effect, hyper, linear)
    deviation = _times(spread, drawn).reshape(shape)
    mean = evaluate(effect.law.args[0], env)
    return deviation + np.broadcast_to(broadcast(mean, effect.dims, sizes), shape)


def _times(spread: Array, drawn: Array) -> Array:
    if spread.shape[3] == 1:
        return spread[..., 0] * drawn
    return (spread @ drawn[..., None])[..., 0]
