"""Test statistics along covariates and occasions, and of the shape of residuals and counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hdsl.data.bound import Bound, Reals
from hdsl.report.predictive.residuals import Residuals, covariates, group_sums, outcome_variable
from hdsl.report.predictive.statistics import FEW_ROWS, Function, Statistic, levels_above

MOST_COVARIATES = 20


def between(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    """Yield whether units of groups with higher means differ by more than the slope within groups says.

    Source: Mundlak (1978); the comparison that Hausman (1978) tests.
    """
    inner = [(name, codes) for name, codes, arms in _treatments(bound) if arms in (0, 2)]
    waves = {name for name, level in bound.levels.items() if level.positions is not None}
    inner += [(name, values) for name, values in covariates(bound) if name not in waves]
    for level in levels_above(bound):
        for name, values in inner[:MOST_COVARIATES]:
            means = (group_sums(values, level.rows, level.size) / level.counts)[level.rows]
            column = residuals.beyond(means)
            if column.any() and not np.allclose(means, values):
                help_ = f"`adjust for mean({name}, {level.name})`."
                label = f"slope of {name} between units of {level.name}, beyond that within"
                higher = f"Units of {level.name} with a higher mean of {name} lie"
                words = [f"{higher} {side} than the slope within them says." for side in ("higher", "lower")]
                yield Statistic(label, _product(residuals, column), "new", help_, *words)


def _treatments(bound: Bound) -> Iterator[tuple[str, Reals, int]]:
    for treatment in bound.treatments.values():
        values = bound.at_rows(treatment.level, treatment.values).astype(np.float64)
        yield treatment.name, values, len(treatment.arms)


def along(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    """Yield what is left along covariates: bends, changing spread, effects that depend on them."""
    arms = [(name, codes) for name, codes, count in _treatments(bound) if count == 2]
    for name, values, count in _treatments(bound):
        if count == 0:
            arms_help = f"{name} as arms, each dose with an effect of its own: `{name} {{ low = 0, ... }} ordered`."
            yield from _bend(residuals, name, values, arms_help)
    for name, values in list(covariates(bound))[:MOST_COVARIATES]:
        centred = (values - values.mean()) / values.std()
        yield from _bend(residuals, name, values, f"`adjust for spline({name})`, or its square.")
        yield _spread(bound, residuals, name, centred)
        for z, codes in arms:
            moved = residuals.beyond(centred * (codes - codes.mean()))
            if moved.any():
                words = [f"The effect of {z} is {side} where {name} is high." for side in ("higher", "lower")]
                yield Statistic(
                    f"effect of {z} along {name}",
                    _product(residuals, moved),
                    "same",
                    f"`vary {z} with {name}`.",
                    *words,
                )


def _bend(residuals: Residuals, name: str, values: Reals, help_: str) -> Iterator[Statistic]:
    bend = residuals.beyond(((values - values.mean()) / values.std()) ** 2)
    if len(np.unique(values)) > 2 and bend.any():
        words = [f"The outcome bends {side} along {name} as the model does not." for side in ("up", "down")]
        yield Statistic(f"bend along {name}", _product(residuals, bend), "same", help_, *words)


def _spread(bound: Bound, residuals: Residuals, name: str, centred: Reals) -> Statistic:
    outcome = outcome_variable(bound).name
    words = [f"Outcomes are {side} spread out where {name} is high." for side in ("more", "less")]
    help_ = f"`variance of {outcome} with {name}`."
    return Statistic(f"spread along {name}", _spread_along(residuals, centred), "same", help_, *words)


def _product(residuals: Residuals, column: Reals) -> Function:
    def correlation(y: Reals) -> Reals:
        left = residuals.of(y)
        return (left @ column) / np.linalg.norm(left, axis=1)

    return correlation


def _spread_along(residuals: Residuals, centred: Reals) -> Function:
    scaled = centred / np.linalg.norm(centred)

    def correlation(y: Reals) -> Reals:
        sizes = np.abs(residuals.of(y))
        sizes = sizes - sizes.mean(axis=1, keepdims=True)
        return (sizes @ scaled) / np.linalg.norm(sizes, axis=1)

    return correlation


def serial(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    """Yield how alike the residuals of one unit are on successive occasions, its mean taken off."""
    row = next((level for level in bound.study.levels if level.name == bound.row), None)
    crosses = () if row is None else row.crosses
    waves = [name for name in crosses if bound.levels[name].positions is not None]
    units = [name for name in crosses if name not in waves]
    if len(waves) != 1 or len(units) != 1:
        return
    unit, wave = bound.levels[units[0]], bound.levels[waves[0]]
    assert wave.positions is not None
    order = np.lexsort((wave.positions[wave.rows], unit.rows))
    together = unit.rows[order][1:] == unit.rows[order][:-1]
    before, after = order[:-1][together], order[1:][together]
    if len(before) < FEW_ROWS:
        return

    def correlation(y: Reals) -> Reals:
        left = residuals.of(y)
        own = left - (group_sums(left, unit.rows, unit.size) / unit.counts)[:, unit.rows]
        return (own[:, before] * own[:, after]).mean(axis=1) / own.var(axis=1)

    outcome = outcome_variable(bound).name
    words = [
        f"Successive rows of one {unit.name} are {side} alike than the model makes them." for side in ("more", "less")
    ]
    help_ = f"`correlate {outcome} within {unit.name} as ar1`."
    yield Statistic(f"correlation of successive rows of one {unit.name}", correlation, "same", help_, *words)


def shape(residuals: Residuals) -> Iterator[Statistic]:
    """Yield skewness and kurtosis of residuals."""

    def moment(order: int) -> Function:
        def of(y: Reals) -> Reals:
            left = residuals.of(y)
            centred = (left - left.mean(axis=1, keepdims=True)) / left.std(axis=1, keepdims=True)
            return (centred**order).mean(axis=1) - (3 if order == 4 else 0)

        return of

    help_ = "Another family: skewnormal, lognormal or gamma; or a logarithm of what is adjusted for."
    words = [f"Residuals have a longer tail {side} than the model's." for side in ("to the right", "to the left")]
    yield Statistic("skewness of residuals", moment(3), "same", help_, *words)
    words = [f"{side} residuals are extreme than under the model." for side in ("More", "Fewer")]
    yield Statistic("excess kurtosis of residuals", moment(4), "same", "Heavier tails: `family ... student`.", *words)


def counts(outcome: str) -> Iterator[Statistic]:
    """Yield the share of zeros, the variance over the mean, and the largest count."""
    zeros = [f"There are {side} zeros than the model makes." for side in ("more", "fewer")]
    family = f"`family {outcome} negbinomial`"
    yield Statistic(
        "share of zeros",
        lambda y: np.mean(y == 0, axis=1),
        "same",
        f"`family {outcome} zipoisson`, or a hurdle.",
        *zeros,
    )

    def dispersion(y: Reals) -> Reals:
        return y.var(axis=1) / np.maximum(y.mean(axis=1), 1e-12)

    spread = [f"Counts are {side} spread out than the model makes them." for side in ("more", "less")]
    yield Statistic("variance over mean", dispersion, "same", f"{family}.", *spread)
    largest = [f"The largest count is {side} than the model makes it." for side in ("larger", "smaller")]
    yield Statistic("largest count", lambda y: y.max(axis=1), "same", f"{family}, or a covariate.", *largest)


def successes(outcome: str, trials: Reals, residuals: Residuals) -> Iterator[Statistic]:
    """Yield the variance of residual shares over that of a binomial outcome: Pearson's dispersion, up to a factor."""

    def dispersion(y: Reals) -> Reals:
        share = np.clip(y.sum(axis=1) / trials.sum(), 1e-9, 1 - 1e-9)
        return np.mean(trials * residuals.of(y / trials) ** 2, axis=1) / (share * (1 - share))

    words = [f"Shares are {side} spread out than the model makes them." for side in ("more", "less")]
    yield Statistic("variance over that of a binomial", dispersion, "same", f"`family {outcome} betabinomial`.", *words)
