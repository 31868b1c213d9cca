"""Exact draws of the effects of a grouping and of those in which it nests, given draws of everything else."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from hdsl.inference.exact.chain import levels_given
from hdsl.inference.exact.density import processors
from hdsl.inference.exact.effects import DRAW, Deviations, conditional_effects, draw_coarser, value_of_effect
from hdsl.inference.exact.hyper import Hyper, hyper_at, loading, packed
from hdsl.inference.exact.marginal import Marginal
from hdsl.model.ir import Definition, RandomVariable, references
from hdsl.passes.marginal.forms import unit_dims
from hdsl.passes.marginal.structure import Entry
from hdsl.reference.density import needed
from hdsl.reference.values import Array, Value, broadcast, evaluate
from hdsl.storage import Pages, room

AT_ONCE = 4_000_000
Codes = NDArray[np.int64]


def draw_given(marginal: Marginal, sampled: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Return draws of all random variables of the plain model.

    Parameters
    ----------
    marginal : Marginal
        The effects of the first grouping of its chain were integrated out, and those of the next ones that are
        not in `sampled`.
    sampled : mapping
        Draws (n, *dims) of the random variables that were sampled.
    seed : int
        The result depends on it and on the draws alone.

    Returns
    -------
    dict
        Random variable to array (n, *dims), in a file where it is large (`hdsl.storage`).
    """
    count = len(next(iter(sampled.values())))
    sizes = marginal.linear.model.sizes
    found = {v.name: room((count, *(sizes[d] for d in v.dims))) for v in marginal.linear.model.variables}
    pages = Pages(*found.values(), *sampled.values())
    step = max(1, AT_ONCE // _numbers(marginal))
    pieces = [slice(at, min(at + step, count)) for at in range(0, count, step)]
    seeds = SeedSequence([seed, 0xF]).spawn(len(pieces))

    def one(piece: slice, own: SeedSequence) -> None:
        values = {name: array[piece] for name, array in sampled.items()}
        for name, array in _piece(marginal, values, np.random.default_rng(own)).items():
            found[name][piece] = array
        pages.after(len(next(iter(values.values()))) / count)

    with ThreadPoolExecutor(processors()) as pool:
        for done in [pool.submit(one, piece, own) for piece, own in zip(pieces, seeds, strict=True)]:
            done.result()
    return found


def _numbers(marginal: Marginal) -> int:
    finest = marginal.statistics.finest
    if finest is None:
        return 10 + marginal.statistics.columns
    groups, rows, own = finest.own.shape
    shared = 1 + sum(len(level.scales) for level in marginal.statistics.coarser)
    return 10 + marginal.statistics.columns + groups * (own + (rows + shared) * shared)


def _piece(marginal: Marginal, sampled: Mapping[str, Array], rng: Generator) -> dict[str, Array]:
    linear, count = marginal.linear, len(next(iter(sampled.values())))
    names = {v.name for v in linear.hyper.variables}
    points = packed(linear, {name: sampled[name] for name in names}) if names else np.zeros((count, 0))
    hyper = hyper_at(linear, points)
    env = dict(hyper.env)
    env |= {slot.name: Value(slot.dims, linear.data.values[slot.name]) for slot in linear.model.slots}
    env |= {v.name: Value((*DRAW, *v.dims), sampled[v.name]) for v in linear.model.variables if v.name in sampled}
    wanted = needed(linear.model, frozenset().union(*(references(e.law.args[0]) for e in linear.effects)))
    for definition in linear.model.definitions:
        if definition.name in wanted and references(definition.value) <= env.keys():
            env[definition.name] = evaluate(definition.value, env)
    deviations = _deviations(marginal, hyper, env, rng)
    found = {name: np.asarray(array) for name, array in sampled.items()}
    for statement in linear.model.statements:
        if isinstance(statement, Definition):
            if statement.name in wanted and statement.name not in env:
                env[statement.name] = evaluate(statement.value, env)
        elif statement.name not in found:
            found[statement.name] = value_of_effect(
                statement, env, deviations.get(statement.name), hyper, marginal, rng
            )
            env[statement.name] = Value((*DRAW, *statement.dims), found[statement.name])
    return {v.name: found[v.name] for v in linear.model.variables}


def _deviations(marginal: Marginal, hyper: Hyper, env: Mapping[str, Value], rng: Generator) -> Deviations:
    """Draw the integrated effects, less the means of their laws."""
    finest = marginal.statistics.finest
    if finest is None:
        return {}
    columns = _columns(marginal, hyper, env)
    gone = sum(level.grouping.effects[0].name not in env for level in marginal.statistics.coarser)
    first = sum(len(level.scales) for level in marginal.statistics.coarser[:gone])
    sampled = _above(marginal, hyper, env, gone)
    start = first + len(sampled)
    tables = [np.ascontiguousarray(finest.others[:, a, start:].T) for a in range(finest.own.shape[1])]

    def said(some: slice, above: list[tuple[Array, Codes]], place: int) -> list[Array]:
        rows = [columns[some] @ table for table in tables]
        for at, (raw, units) in enumerate(above, start=place):
            at_groups = raw[some][:, units]
            for a, row in enumerate(rows):
                row -= finest.others[:, a, at] * at_groups
        return rows

    load = loading(finest.grouping, finest.scales, hyper, marginal.linear)
    with np.errstate(all="ignore"):
        if not gone:
            return conditional_effects(marginal, lambda some: said(some, sampled, 0), hyper, load, rng)
        left = np.stack(said(slice(None), sampled, first), axis=2)[..., None]
        shared = np.broadcast_to(finest.others[None, :, :, :first], (*left.shape[:3], first))
        levels = levels_given(marginal, hyper, load, np.concatenate([shared, left], axis=3), gone)
        deviations, drawn = draw_coarser(marginal, hyper, levels, np.ones((len(columns), 1)), rng)
        above = [
            (raw[:, :, k], units)
            for raw, units in zip(drawn, marginal.statistics.ancestors[0], strict=False)
            for k in range(raw.shape[2])
        ]
        every = [*above, *sampled]
        return deviations | conditional_effects(marginal, lambda some: said(some, every, 0), hyper, load, rng)


def _columns(marginal: Marginal, hyper: Hyper, env: Mapping[str, Value]) -> Array:
    """Return minus the raw coefficients, ones for the outcome and minus the offsets, (b, q)."""
    statistics, linear = marginal.statistics, marginal.linear
    count = len(hyper.log_prior)
    effects = {effect.name: effect for effect in linear.effects}
    raw = np.zeros((count, statistics.columns))
    for place, fixed in enumerate(statistics.fixed):
        own = _off_mean(effects[fixed.effect], env, marginal, count)[:, fixed.unit, fixed.place]
        raw[:, place] = own / fixed.sd - statistics.middle[place]
    for block in statistics.blocks:
        entries = block.grouping.entries
        for k, entry in enumerate(entries):
            own = _raw(effects[entry.effect], entry, float(block.scales[k]), env, marginal, count, block.centre)
            raw[:, block.start + k : block.start + len(entries) * block.grouping.size : len(entries)] = own
    return np.concatenate([-raw, np.ones((count, 1)), -hyper.offsets], axis=1)


def _above(marginal: Marginal, hyper: Hyper, env: Mapping[str, Value], gone: int) -> list[tuple[Array, Codes]]:
    """Return raw coefficients (b, units) of sampled groupings in which the finest one nests, and each group's unit.

    The first `gone` were not sampled.
    """
    found: list[tuple[Array, Codes]] = []
    statistics = marginal.statistics
    for level, units in zip(statistics.coarser[gone:], statistics.ancestors[0][gone:], strict=True):
        effects = {effect.name: effect for effect in level.grouping.effects}
        for k, entry in enumerate(level.grouping.entries):
            scale = float(level.scales[k])
            raw = _raw(effects[entry.effect], entry, scale, env, marginal, len(hyper.log_prior))
            found.append((raw, units))
    return found


def _raw(
    effect: RandomVariable,
    entry: Entry,
    scale: float,
    env: Mapping[str, Value],
    marginal: Marginal,
    count: int,
    centre: float = 0.0,
) -> Array:
    """Return what multiplies the column of an entry, (b, units): of columns that were divided by `scale`."""
    unknown = np.broadcast_to(evaluate(entry.unknown, env).real, (count,)) * scale
    return unknown[:, None] * (_off_mean(effect, env, marginal, count)[:, :, entry.place] - centre)


def _off_mean(effect: RandomVariable, env: Mapping[str, Value], marginal: Marginal, count: int) -> Array:
    """Return a sampled effect less the mean of its law, (b, units, places)."""
    model = marginal.linear.model
    sizes = {**model.sizes, "draw": count}
    dims, across = unit_dims(effect, model)
    shape = [sizes[dim] for dim in (*DRAW, *effect.dims)]
    mean = np.broadcast_to(broadcast(evaluate(effect.law.args[0], env), effect.dims, sizes), shape)
    units = int(np.prod([sizes[dim] for dim in dims]))
    return (env[effect.name].array - mean).reshape(count, units, 1 if across is None else sizes[across])


__all__ = ["draw_given"]
