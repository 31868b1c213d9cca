"""Test statistics of groups and arms: what rows of one group share, how arms differ, effects within sites and strata.

Each is a number of one data set, computed alike for what was observed and for replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, BoundLevel, Integers, Reals
from hdsl.report.predictive.residuals import Residuals, group_sums, outcome_variable

Mask = NDArray[np.bool_]
Function = Callable[[Reals], Reals]
FEW_GROUPS, MANY_GROUPS, FEW_ROWS = 3, 10, 10


@dataclass(frozen=True)
class Statistic:
    """A test statistic.

    Attributes
    ----------
    name : str
        What it measures, as `intraclass correlation of school`.
    of : function
        Outcomes of shape (draws, rows) to values of shape (draws,).
    groups : {"same", "new"}
        Whether replicates are in the same groups or in new ones: in the same groups, whatever their effects were, they
        would differ as they did.
    help_ : str
        What to try where the model fails it.
    above, below : str
        What it means for the data's value to lie above or below those of replicates; where `below` is empty, a low
        value does not fail.
    """

    name: str
    of: Function
    groups: Literal["same", "new"]
    help_: str
    above: str
    below: str


def of_groups(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    """Yield how alike the rows of a group are, and whether some groups lie far from the others."""
    for level in levels_above(bound):
        name = level.name
        help_ = f"Let the intercept vary across {name}, and look at its covariates."
        words = [f"Rows of one {name} are {side} alike than the model makes them." for side in ("more", "less")]
        of = _of_level(residuals, level, icc)
        yield Statistic(f"intraclass correlation of {name}", of, "new", help_, *words)
        if level.size >= MANY_GROUPS:
            words = [f"Some {name} lies further from the others than the model makes any.", _tails(name)]
            of = _of_level(residuals, level, kurtosis_of_means)
            yield Statistic(f"excess kurtosis of {name} means", of, "new", f"`... across {name} as student`.", *words)


def _tails(name: str) -> str:
    return f"Units of {name} lie closer together than the model makes them."


def _of_level(residuals: Residuals, level: BoundLevel, function: Callable[[Reals, BoundLevel], Reals]) -> Function:
    return lambda y: function(residuals.of(y), level)


def levels_above(bound: Bound) -> Iterator[BoundLevel]:
    """Yield the levels above the rows that have some units, of several rows somewhere."""
    for name, level in bound.levels.items():
        if name != bound.row and FEW_GROUPS <= level.size < bound.rows:
            yield level


def icc(values: Reals, level: BoundLevel) -> Reals:
    """Return the intraclass correlation by analysis of variance, for groups of unequal size.

    Source: Donner (1986).
    """
    counts = level.counts.astype(np.float64)
    rows, groups = len(level.rows), level.size
    means = group_sums(values, level.rows, groups) / counts
    within = np.sum((values - means[..., level.rows]) ** 2, axis=-1) / max(rows - groups, 1)
    between = np.sum(counts * (means - values.mean(axis=-1, keepdims=True)) ** 2, axis=-1) / (groups - 1)
    size = (rows - float(np.sum(counts**2)) / rows) / (groups - 1)
    with np.errstate(all="ignore"):
        return (between - within) / (between + (size - 1) * within)


def kurtosis_of_means(values: Reals, level: BoundLevel) -> Reals:
    """Return the excess kurtosis of group means, each scaled by the root of its group's size."""
    means = group_sums(values, level.rows, level.size) / level.counts
    means = means - means.mean(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        return (means**4).mean(axis=-1) / (means**2).mean(axis=-1) ** 2 - 3


def of_arms(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    """Yield the variance of residuals in each arm over that in the reference."""
    outcome = outcome_variable(bound).name
    for treatment in bound.treatments.values():
        if not treatment.arms:
            continue
        codes = bound.at_rows(treatment.level, treatment.values).astype(np.int64)
        for place, arm in enumerate(treatment.arms[1:], start=1):
            chosen, reference = codes == place, codes == 0
            if min(chosen.sum(), reference.sum()) < FEW_ROWS:
                continue

            def ratio(y: Reals, chosen: Mask = chosen, reference: Mask = reference) -> Reals:
                left = residuals.of(y)
                return left[:, chosen].var(axis=1) / left[:, reference].var(axis=1)

            help_ = f"`variance of {outcome} by {treatment.name}`, or another family."
            name = f"variance of {arm} over that of {treatment.arms[0]} ({treatment.name})"
            than = f"beside {treatment.arms[0]}, than the model makes them."
            words = [f"Outcomes under {arm} are {side} spread out, {than}" for side in ("more", "less")]
            yield Statistic(name, ratio, "same", help_, *words)


def of_sites(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    """Yield the spread of site effects: of the difference of arms within each group that has both."""
    for treatment in bound.treatments.values():
        if len(treatment.arms) < 2:
            continue
        codes = bound.at_rows(treatment.level, treatment.values).astype(np.int64)
        for level in levels_above(bound):
            for place, arm in enumerate(treatment.arms[1:], start=1):
                counts = [np.bincount(level.rows[codes == k], minlength=level.size) for k in (0, place)]
                both = (counts[0] > 0) & (counts[1] > 0)
                if both.sum() < FEW_GROUPS:
                    continue
                of = _site_spread(residuals, level, codes, place, both)
                label = f" ({arm})" if len(treatment.arms) > 2 else ""
                name = f"spread of the effects of {treatment.name}{label} across {level.name}"
                than = f"between units of {level.name} than the model lets them."
                words = [f"Effects of {treatment.name}{label} differ {side} {than}" for side in ("more", "less")]
                yield Statistic(name, of, "new", _mend(bound, treatment.name, level.name), *words)


def _mend(bound: Bound, treatment: str, level: str) -> str:
    """Return what lets an effect differ between units: an interaction with what was assigned to them, or variation."""
    others = [each.treatment for each in bound.study.assignments if each.to == level and each.treatment != treatment]
    interactions = "".join(f"`interact {other} * {treatment}`, or " for other in others)
    return f"{interactions}`vary {treatment} across {level}`."


def _site_spread(residuals: Residuals, level: BoundLevel, codes: Integers, arm: int, both: Mask) -> Function:
    masks = [(codes == k).astype(np.float64) for k in (0, arm)]
    counts = [np.bincount(level.rows, mask, minlength=level.size)[both] for mask in masks]
    precision = 1 / (1 / counts[0] + 1 / counts[1])

    def spread(y: Reals) -> Reals:
        left = residuals.of(y)
        means = [group_sums(left * m, level.rows, level.size)[:, both] / n for m, n in zip(masks, counts, strict=True)]
        effects = means[1] - means[0]
        middle = (effects * precision).sum(axis=1, keepdims=True) / precision.sum()
        return np.sqrt(((effects - middle) ** 2 * precision).sum(axis=1) / precision.sum())

    return spread


def of_strata(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    """Yield how far residuals of strata and arms are from zero, for the blocks of an assignment."""
    for assignment in bound.study.assignments:
        treatment = bound.treatments.get(assignment.treatment)
        for block in assignment.within:
            if treatment is None or not treatment.arms or block not in bound.levels:
                continue
            level = bound.levels[block]
            codes = bound.at_rows(treatment.level, treatment.values).astype(np.int64)
            of = _largest(residuals, np.asarray(level.rows * len(treatment.arms) + codes, np.int64))
            name = f"largest mean residual of a {block} under one arm of {treatment.name}"
            words = f"Some {block} lies further from its prediction than the model makes any."
            help_ = f"Look at each {block}, and at effects that vary across {block}."
            yield Statistic(name, of, "new", help_, words, "")


def _largest(residuals: Residuals, cells: Integers) -> Function:
    """Return the largest scaled mean residual of the cells, beside the spread of all residuals."""
    _, places, counts = np.unique(cells, return_inverse=True, return_counts=True)

    def largest(y: Reals) -> Reals:
        left = residuals.of(y)
        scaled = group_sums(left, places, len(counts)) / np.sqrt(counts)
        return np.abs(scaled).max(axis=1) / left.std(axis=1)

    return largest
