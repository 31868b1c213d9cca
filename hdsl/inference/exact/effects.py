"""Exact draws of all effects given hyperparameters.

From the last that was integrated out to the first: the columns taken together, then the coarser groupings, then
the finest one, whose conditional laws are computed once for all units with the same pseudo-rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.random import SFC64, Generator, SeedSequence
from numpy.typing import NDArray

from hdsl.inference.exact import small
from hdsl.inference.exact.chain import Level, reduce_chain, roots
from hdsl.inference.exact.density import processors
from hdsl.inference.exact.hyper import Hyper, hyper_at, innovations, loading, places_of, spread_of, units_of
from hdsl.inference.exact.iterative import Parts, drawn_together, near_each_other, parts_of, precision_of
from hdsl.inference.exact.marginal import Marginal
from hdsl.inference.exact.together import LARGE, raw_of, solve_diagonal, solve_factor, solve_together
from hdsl.model.ir import Definition, Dims, RandomVariable, const, references
from hdsl.passes.marginal.structure import Grouping
from hdsl.reference.density import needed
from hdsl.reference.values import Array, Value, broadcast, evaluate
from hdsl.storage import Pages, room

AT_ONCE = 4_000_000
IN_CACHE = 20_000
SEVERAL = 50
Codes = NDArray[np.int64]
DRAW: Dims = ("draw",)
Deviations = dict[str, Array]
Said = Callable[[slice], list[Array]]


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
        Random variable to array (n, *dims), in a file where it is large (`hdsl.storage`).
    """
    sizes = marginal.linear.model.sizes
    shapes = {v.name: tuple(sizes[dim] for dim in v.dims) for v in marginal.linear.model.variables}
    found = {name: room((len(points), *shape)) for name, shape in shapes.items()}
    pages = Pages(*found.values())
    parts = _parts(marginal, points)
    pieces = _pieces(marginal, points, parts)
    seeds = SeedSequence([seed, 0xE]).spawn(len(pieces))

    def one(piece: slice | Codes, own: SeedSequence) -> None:
        space = {name: array[piece] for name, array in found.items()} if isinstance(piece, slice) else {}
        values = _piece(marginal, points[piece], Generator(SFC64(own)), parts, space)
        for name, array in found.items():
            if name not in space or not np.may_share_memory(values[name], space[name]):
                array[piece] = values[name]
        pages.after(len(points[piece]) / len(points))

    with ThreadPoolExecutor(processors()) as pool:
        for done in [pool.submit(one, piece, own) for piece, own in zip(pieces, seeds, strict=True)]:
            done.result()
    return found


def _parts(marginal: Marginal, points: Array) -> Parts | None:
    """Return what draws of many columns at many points share, where a factor for each point would be much work."""
    if marginal.statistics.columns < LARGE or len(np.unique(points, axis=0)) < SEVERAL:
        return None
    return parts_of(marginal)


def _pieces(marginal: Marginal, points: Array, parts: Parts | None) -> Sequence[slice | Codes]:
    """Return which points are worked on at once: where one alone is much work, those that are alike."""
    if parts is not None:
        return near_each_other(points)
    if marginal.statistics.columns >= LARGE:
        _, key = np.unique(points, axis=0, return_inverse=True)
        order = np.argsort(key.reshape(-1), kind="stable")
        return np.split(order, np.flatnonzero(np.diff(key.reshape(-1)[order])) + 1)
    step = max(1, AT_ONCE // _numbers(marginal))
    return [slice(at, min(at + step, len(points))) for at in range(0, len(points), step)]


def _numbers(marginal: Marginal) -> int:
    """Return how many numbers are at work for one draw."""
    statistics = marginal.statistics
    total = statistics.columns**2 + 10
    if statistics.finest is not None:
        finest = statistics.finest
        total += finest.own.shape[0] * finest.own.shape[2] + (finest.others.size if marginal.patterns is None else 0)
    return total


def _piece(
    marginal: Marginal, points: Array, rng: Generator, parts: Parts | None, space: Mapping[str, Array]
) -> dict[str, Array]:
    """Return draws at points; those of the finest grouping stand in `space` where it has some and nothing is added."""
    hyper = hyper_at(marginal.linear, points)
    if marginal.diagonal is not None:
        return _values(marginal, hyper, _apart(marginal, hyper, rng), rng)
    with np.errstate(all="ignore"):
        if parts is not None:
            deviations = _by_parts(marginal, hyper, parts, points, rng)
            if deviations is None:
                alone = [_piece(marginal, point[None], rng, None, {}) for point in points]
                return {name: np.concatenate([each[name] for each in alone]) for name in alone[0]}
            return _values(marginal, hyper, deviations, rng)
        same = hyper_at(marginal.linear, points[:1]) if marginal.statistics.columns >= LARGE else hyper
        reduced = reduce_chain(marginal, same)
        solved = solve_together(marginal, same, reduced)
        noise = rng.standard_normal((len(points), solved.pull.shape[1]))
        drawn = solve_factor(solved.factor, solved.pull + noise, transposed=True) if noise.shape[1] else noise
        deviations, columns = _put_together(marginal, hyper, drawn, solved.loads)
        deviations |= _chain(marginal, hyper, reduced.levels, reduced.load, columns, rng, space)
    return _values(marginal, hyper, deviations, rng)


def _by_parts(marginal: Marginal, hyper: Hyper, parts: Parts, points: Array, rng: Generator) -> Deviations | None:
    """Draw all deviations by conjugate gradients; None where these do not come near enough."""
    finest = marginal.statistics.finest
    assert finest is not None
    load = loading(finest.grouping, finest.scales, hyper, marginal.linear)
    precision = precision_of(marginal, parts, hyper, load)
    drawn = drawn_together(marginal, precision, hyper, points, rng)
    if drawn is None:
        return None
    deviations, columns = _put_together(marginal, hyper, drawn, precision.loads)
    return deviations | _chain(marginal, hyper, (), load, columns, rng, {})


def _apart(marginal: Marginal, hyper: Hyper, rng: Generator) -> Deviations:
    """Draw coefficients in the basis in which they are independent."""
    assert marginal.diagonal is not None
    solved = solve_diagonal(marginal, hyper)
    drawn = solved.mean + rng.standard_normal(solved.mean.shape) / np.sqrt(solved.precision)
    deviations: Deviations = {}
    _put_fixed(marginal, drawn @ marginal.diagonal[1].T + marginal.statistics.middle, deviations)
    return deviations


def _put_together(marginal: Marginal, hyper: Hyper, drawn: Array, loads: tuple[Array, ...]) -> tuple[Deviations, Array]:
    """Return what standard normal draws (b, k) of the columns integrated out together are.

    The effects' deviations, (b, units, places), and minus the raw coefficients
    with ones for the outcome and minus the offsets, (b, q).
    """
    statistics, count = marginal.statistics, len(drawn)
    fixed = len(statistics.fixed)
    deviations: Deviations = {}
    whole, at = drawn + statistics.middle, fixed
    _put_fixed(marginal, whole[:, :fixed], deviations)
    for block, load in zip(statistics.blocks, loads, strict=True):
        units, per_unit = block.grouping.size, load.shape[3]
        piece = whole[:, at : at + units * per_unit].reshape(count, units, per_unit)
        at += units * per_unit
        _put(marginal, block.grouping, _spread(piece, block.grouping, hyper, marginal), deviations)
    raw = raw_of(drawn, statistics, loads)
    return deviations, np.concatenate([-raw, np.ones((count, 1)), -hyper.offsets], axis=1)


def _put_fixed(marginal: Marginal, drawn: Array, deviations: Deviations) -> None:
    units = {effect.name: units_of(effect, marginal.linear.model) for effect in marginal.linear.effects}
    for place, fixed in enumerate(marginal.statistics.fixed):
        if fixed.effect not in deviations:
            deviations[fixed.effect] = np.empty((len(drawn), units[fixed.effect], 1))
        deviations[fixed.effect][:, fixed.unit, 0] = drawn[:, place] * fixed.sd


def _spread(drawn: Array, grouping: Grouping, hyper: Hyper, marginal: Marginal) -> Array:
    return small.times(_spread_out(grouping, hyper, marginal), drawn[..., None])[..., 0]


def _put(marginal: Marginal, grouping: Grouping, drawn: Array, deviations: Deviations) -> None:
    starts, _ = innovations(grouping, marginal.linear)
    for effect in grouping.effects:
        start = starts[effect.name]
        deviations[effect.name] = drawn[:, :, start : start + places_of(effect, marginal.linear.model)]


def _chain(
    marginal: Marginal,
    hyper: Hyper,
    levels: Sequence[Level],
    load: Array | None,
    columns: Array,
    rng: Generator,
    space: Mapping[str, Array],
) -> Deviations:
    """Draw the chain's deviations, from the coarsest grouping down, given the coefficients of the other columns."""
    statistics = marginal.statistics
    deviations, above = draw_coarser(marginal, hyper, levels, columns, rng)
    if statistics.finest is None:
        return deviations
    finest = statistics.finest
    start = sum(raw.shape[2] for raw in above)
    tables = [table.T for table in finest.sparse] or [
        np.ascontiguousarray(finest.others[:, a, start:].T) for a in range(finest.own.shape[1])
    ]

    def said(some: slice) -> list[Array]:
        rows = [columns[some] @ table for table in tables]
        at = 0
        for raw, units in zip(above, marginal.statistics.ancestors[0], strict=True):
            for a in range(len(rows)):
                for k in range(raw.shape[2]):
                    rows[a] -= finest.others[:, a, at + k] * raw[some, :, k][:, units]
            at += raw.shape[2]
        return rows

    assert load is not None
    return deviations | conditional_effects(marginal, said, hyper, load, rng, space)


def draw_coarser(
    marginal: Marginal, hyper: Hyper, levels: Sequence[Level], columns: Array, rng: Generator
) -> tuple[Deviations, list[Array]]:
    """Draw the deviations of the first coarser groupings of the chain, from the last of `levels` down.

    Also return by what their columns are multiplied, (b, units, K) each.
    """
    statistics = marginal.statistics
    deviations: Deviations = {}
    above: list[Array] = []
    first = 0 if statistics.finest is None else 1
    for place in reversed(range(len(levels))):
        level, made = statistics.coarser[place], levels[place]
        ancestors = statistics.ancestors[place + first][: len(above)]
        drawn = _drawn_level(made, above, ancestors, columns, rng)
        _put(marginal, level.grouping, _spread(drawn, level.grouping, hyper, marginal), deviations)
        above.insert(0, small.times(made.load, drawn[..., None])[..., 0])
    return deviations, above


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
    pull = small.times(made.inverse, small.times(made.load.transpose(0, 1, 3, 2), said[..., None]))
    noise = rng.standard_normal(pull.shape)
    return small.times(np.swapaxes(made.inverse, -1, -2), pull + noise)[..., 0]


def conditional_effects(
    marginal: Marginal, said: Said, hyper: Hyper, load: Array, rng: Generator, space: Mapping[str, Array] | None = None
) -> Deviations:
    """Draw the finest grouping's deviations, given what the r pseudo-rows of its units say, each (b, units).

    The conditional law depends on a unit through its kind alone: its mean is a matrix times what is said. As many draws
    are worked on at once as stay in the cache of a processor, in arrays that are used again. `space` are arrays for
    whole random variables (b, ...), used for those whose laws have the mean zero.
    """
    finest, kinds = marginal.statistics.finest, marginal.kinds
    assert finest is not None
    assert kinds is not None
    spread = _spread_out(finest.grouping, hyper, marginal)
    pulls, factors = _conditional(finest.own[kinds.first], finest.classes[kinds.first], load, spread, hyper)
    count, units = len(hyper.log_prior), len(finest.own)
    deviations, targets = _targets(marginal, finest.grouping, count, space or {})
    step = min(max(1, IN_CACHE // units), count)
    noise = np.empty(len(factors) * step * units)
    total, term = np.empty((step, units)), np.empty((step, units))
    for start in range(0, count, step):
        some = slice(start, min(start + step, count))
        here = some.stop - start
        rows = said(some)
        drawn = noise[: len(factors) * here * units].reshape(len(factors), here, units)
        rng.standard_normal(out=drawn)
        for target, pull, factor in zip(targets, pulls, factors, strict=True):
            pairs = [*zip(pull, rows, strict=True), *zip(factor, drawn, strict=True)]
            for place, (weight, row) in enumerate(pairs):
                kinds.times(_some(weight, some), row, (term if place else total)[:here])
                if place:
                    np.add(total[:here], term[:here], out=target[some] if place == len(pairs) - 1 else total[:here])
    return deviations


def _targets(
    marginal: Marginal, grouping: Grouping, count: int, space: Mapping[str, Array]
) -> tuple[Deviations, list[Array]]:
    """Return arrays for the deviations of a grouping's effects, and of each place the part, (b, units)."""
    deviations: Deviations = {}
    targets: list[Array] = []
    for effect in grouping.effects:
        places = places_of(effect, marginal.linear.model)
        shape = (count, units_of(effect, marginal.linear.model), places)
        own = space.get(effect.name) if effect.law.args[0] == const(0) else None
        deviations[effect.name] = np.empty(shape) if own is None else own.reshape(shape)
        targets += [deviations[effect.name][:, :, place] for place in range(places)]
    return deviations, targets


def _some(values: Array, some: slice) -> Array:
    return values[some] if len(values) > 1 else values


def _conditional(own: Array, classes: Codes, load: Array, spread: Array, hyper: Hyper) -> tuple[small.Rows, small.Rows]:
    """Return by pattern the matrix from what pseudo-rows say to mean deviations, and the factor of their covariance.

    With B = root R G, the standard normal draws have the precision 1 + B'B and the mean (1 + B'B)^-1 B' root said.
    """
    root = roots(classes, hyper)
    rank, places = own.shape[1], load.shape[3]
    turned = [[_dot(own[:, a], load[:, :, :, m]) * root[a] for m in range(places)] for a in range(rank)]
    precision: small.Rows = []
    for i in range(places):
        row = [sum((turned[a][i] * turned[a][j] for a in range(rank)), 0.0) + float(i == j) for j in range(i + 1)]
        precision.append([np.asarray(entry) for entry in row])
    inverse = small.inverse_factor(small.cholesky(precision)[0])
    whole = [
        [sum((spread[:, :, i, m] * inverse[j][m] for m in range(j + 1)), np.zeros(1)) for j in range(places)]
        for i in range(places)
    ]
    half = [
        [sum((inverse[j][m] * turned[a][m] for m in range(j + 1)), np.zeros(1)) * root[a] for a in range(rank)]
        for j in range(places)
    ]
    pulls = [
        [sum((whole[i][j] * half[j][a] for j in range(places)), np.zeros(1)) for a in range(rank)]
        for i in range(places)
    ]
    return pulls, whole


def _dot(own: Array, load: Array) -> Array:
    """Return sums over the columns: own (patterns, K), load (b, patterns or 1, K) to (b, patterns)."""
    total = own[:, 0] * load[:, :, 0]
    for column in range(1, own.shape[1]):
        total = total + own[:, column] * load[:, :, column]
    return total


def _spread_out(grouping: Grouping, hyper: Hyper, marginal: Marginal) -> Array:
    """Return the factor from a unit's standard normal draws to its deviations, (b, units or 1, places, places)."""
    spreads = [spread_of(effect, hyper, marginal.linear) for effect in grouping.effects]
    total = sum(each.shape[3] for each in spreads)
    found = np.zeros((len(hyper.log_prior), max(each.shape[1] for each in spreads), total, total))
    at = 0
    for each in spreads:
        own = slice(at, at + each.shape[3])
        found[:, :, own, own] = each
        at = own.stop
    return found


def _values(marginal: Marginal, hyper: Hyper, deviations: Deviations, rng: Generator) -> dict[str, Array]:
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
            own = deviations.get(statement.name)
            value = value_of_effect(statement, env, own, hyper, marginal, rng)
            found[statement.name] = value
            env[statement.name] = Value((*DRAW, *statement.dims), value)
    sizes = linear.model.sizes
    return {
        v.name: np.broadcast_to(found[v.name], (count, *(sizes[dim] for dim in v.dims))) for v in linear.model.variables
    }


def value_of_effect(
    effect: RandomVariable,
    env: Mapping[str, Value],
    deviation: Array | None,
    hyper: Hyper,
    marginal: Marginal,
    rng: Generator,
) -> Array:
    """Return an effect: the mean of its law plus its deviation, which is drawn from its law where it is None."""
    linear = marginal.linear
    count = len(hyper.log_prior)
    sizes = {**linear.model.sizes, "draw": count}
    shape = [sizes[dim] for dim in (*DRAW, *effect.dims)]
    if deviation is None:
        places = places_of(effect, linear.model)
        drawn = rng.standard_normal((count, units_of(effect, linear.model), places))
        deviation = (spread_of(effect, hyper, linear) @ drawn[..., None])[..., 0]
    mean = effect.law.args[0]
    if mean == const(0):
        return deviation.reshape(shape)
    return deviation.reshape(shape) + np.broadcast_to(broadcast(evaluate(mean, env), effect.dims, sizes), shape)
