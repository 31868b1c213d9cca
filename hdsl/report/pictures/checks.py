"""Checks of the model and of the sampling: predictive checks, priors against posteriors, traces and ranks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hdsl.inference.posterior import DIVISION_SLASH, SLASH
from hdsl.report.effects import predicted
from hdsl.report.pictures.style import (
    BLUE,
    INK,
    ORANGE,
    axes,
    bare,
    figure,
    plain,
    refused,
    short,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hdsl.report.result import Result

Reals = NDArray[np.float64]
REPLICATES, PRIOR_DRAWS, MOST_PARAMETERS = 50, 1000, 12
LOW, HIGH = 0.05, 0.95


def ppc(result: Result, seed: int = 1) -> Figure:
    """Draw what was observed against what the model predicts: the distribution, and means and spreads by arm.

    Censored outcomes are shown as survival curves (Kaplan & Meier), with censoring times as they were.
    """
    name = result.model.response.outcome
    outcome = result.bound.variables[name]
    replicated = predicted(result, None, {}, "outcome", seed).values
    flat = replicated.reshape(-1, replicated.shape[-1])
    with styled():
        if outcome.event is not None:
            return _survival(name, outcome.values, outcome.event, flat, seed)
        made = figure(7.6, 3.2)
        left, middle, right = axes(made, 3, width_ratios=(1.5, 1, 1))
        if outcome.labels or outcome.kind in ("binary", "count") or len(np.unique(outcome.values)) <= 12:
            _shares(left, outcome.values, flat, outcome.labels)
        else:
            _densities(left, outcome.values, flat, seed)
        left.set_title(plain(name))
        groups = _arm_groups(result)
        _statistic(middle, "mean", groups, outcome.values, flat, np.mean)
        _statistic(right, "sd", groups, outcome.values, flat, np.std)
        made.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return made


def _densities(ax: Any, observed: Reals, flat: Reals, seed: int) -> None:
    from arviz_stats.base import array_stats

    chosen = np.random.default_rng(seed).permutation(len(flat))[:REPLICATES]
    for number, place in enumerate(chosen):
        grid, density, _ = array_stats.kde(flat[place])
        ax.plot(grid[::4], density[::4], color=BLUE, lw=0.6, alpha=0.35, label="predicted" if number == 0 else None)
    grid, density, _ = array_stats.kde(observed)
    ax.plot(grid, density, color=INK, lw=1.8, label="observed")
    ends = np.quantile(np.concatenate([observed, flat[chosen].ravel()]), (0.001, 0.999))
    ax.set_xlim(min(ends[0], observed.min()), max(ends[1], observed.max()))
    ax.set_yticks([])
    bare(ax)


def _shares(ax: Any, observed: Reals, flat: Reals, labels: Sequence[str]) -> None:
    top = float(np.quantile(np.concatenate([observed, flat.max(axis=1)]), HIGH))
    values = np.arange(len(labels)) if labels else np.unique(np.concatenate([observed, _middle_values(flat, top)]))
    shares = np.stack([(flat == value).mean(axis=1) for value in values], axis=1)
    low, high = np.quantile(shares, (LOW, HIGH), axis=0)
    here: Any = np.arange(len(values)) if labels else values
    ax.vlines(here, low, high, color=BLUE, lw=3.5, alpha=0.6, label="predicted (90%)")
    ax.plot(here, [(observed == value).mean() for value in values], "o", color=INK, ms=3.5, label="observed")
    if labels:
        ax.set_xticks(here, [plain(short(label, 12)) for label in labels], rotation=30 if len(labels) > 4 else 0)
    elif len(values) <= 8:
        ax.set_xticks(here)
    else:
        ax.set_xlim(right=1.3 * float(np.quantile(observed, 0.98)))
    ax.margins(x=0.15 if len(values) <= 8 else 0.03)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("share of rows")


def _middle_values(flat: Reals, top: float) -> Reals:
    values = np.unique(flat)
    return values[values <= top][:60]


def _arm_groups(result: Result) -> dict[str, NDArray[np.bool_]]:
    """Return which rows are in each arm of each treatment, and all rows."""
    bound = result.bound
    found = {"all rows": np.ones(bound.rows, np.bool_)}
    for name, treatment in bound.treatments.items():
        codes = bound.at_rows(treatment.level, treatment.values)
        several = len(bound.treatments) > 1
        for place, arm in enumerate(treatment.arms[:6]):
            if (codes == place).sum() > 1:
                found[f"{name}: {arm}" if several else arm] = codes == place
    return found


def _statistic(
    ax: Any, title: str, groups: dict[str, NDArray[np.bool_]], observed: Reals, flat: Reals, function: Any
) -> None:
    places = np.arange(len(groups))[::-1]
    for place, rows in zip(places.tolist(), groups.values(), strict=True):
        low, high = np.quantile(function(flat[:, rows], axis=1), (LOW, HIGH))
        ax.hlines(place, low, high, color=BLUE, lw=3.5, alpha=0.6)
        ax.plot(function(observed[rows]), place, "o", color=INK, ms=4)
    ax.set_yticks(places, [plain(short(name, 18)) for name in groups])
    ax.set_ylim(-0.7, len(groups) - 0.3)
    ax.set_title(title)
    bare(ax)


def _survival(name: str, observed: Reals, event: Reals, flat: Reals, seed: int) -> Figure:
    made = figure(5.0, 3.4)
    (ax,) = axes(made)
    chosen = np.random.default_rng(seed).permutation(len(flat))[:REPLICATES]
    limit = np.where(event != 0, np.inf, observed)
    for number, place in enumerate(chosen):
        times, ended = np.minimum(flat[place], limit), flat[place] <= limit
        label = "predicted" if number == 0 else None
        ax.step(*_kaplan_meier(times, ended), where="post", color=BLUE, lw=0.6, alpha=0.35, label=label)
    ax.step(*_kaplan_meier(observed, event != 0), where="post", color=INK, lw=1.8, label="observed")
    ax.set(ylim=(0, 1.02), xlim=(0, float(observed.max())), xlabel=plain(name), ylabel="share without the event")
    ax.legend()
    return made


def _kaplan_meier(times: Reals, ended: NDArray[np.bool_]) -> tuple[Reals, Reals]:
    """Return times and the share that survives each, after Kaplan & Meier (1958)."""
    order = np.argsort(times, kind="stable")
    at_risk = len(times) - np.arange(len(times))
    survived = np.cumprod(np.where(ended[order], 1 - 1 / at_risk, 1.0))
    return np.concatenate([[0.0], times[order]]), np.concatenate([[1.0], survived])


def prior_draws(result: Result, names: Sequence[str], seed: int = 1) -> dict[str, Reals]:
    """Return draws of roles from the prior, each of shape (draws,).

    Raises
    ------
    StudyError
        HDM118: the prior cannot be drawn from.
    """
    from hdsl.reference.density import reported
    from hdsl.reference.simulate import prior_draw

    try:
        drawn = prior_draw(result.model, result.data, np.random.default_rng(seed), draws=PRIOR_DRAWS)
    except ValueError as error:
        raise refused(f"Priors cannot be drawn: {error}.") from None
    found = reported(result.model, result.data, {name: value[None] for name, value in drawn.items()})
    return {name: found[name].reshape(-1) for name in names}


def main_parameters(result: Result, most: int = MOST_PARAMETERS) -> list[str]:
    """Return the roles of parameters without index, effects first."""
    order = ("effect(", "interaction(", "sd(effect(", "intercept", "slope(")
    names = [row.name for row in result.parameter_summaries if not row.index]
    ranked = sorted(names, key=lambda name: next((i for i, start in enumerate(order) if name.startswith(start)), 9))
    return ranked[:most]


def prior(result: Result, seed: int = 1) -> Figure:
    """Draw the prior and the posterior of each main parameter, each scaled to its own height."""
    from arviz_stats.base import array_stats

    names = main_parameters(result)
    if not names:
        raise refused("There is no parameter without an index to draw.")
    before = prior_draws(result, names, seed)
    columns = 3
    lines = -(-len(names) // columns)
    with styled():
        made = figure(7.4, 0.4 + 1.35 * lines)
        panels = axes(made, columns, lines)
        for ax, name in zip(panels, names, strict=False):
            after = np.ravel(result.draws(name).values)
            low, high = _reach(before[name], after)
            inside = before[name][(before[name] > low) & (before[name] < high)]
            for values, colour, label in ((inside, ORANGE, "prior"), (after, BLUE, "posterior")):
                if len(values) > 20 and np.ptp(values) > 0:
                    grid, density, _ = array_stats.kde(values)
                    ax.fill_between(grid, density / density.max(), color=colour, alpha=0.3, lw=0, label=label)
                    ax.plot(grid, density / density.max(), color=colour, lw=1.2)
            ax.set_title(plain(short(name, 30)), fontsize=8.5)
            ax.set_yticks([])
            ax.set_ylim(bottom=0)
            bare(ax)
        for ax in panels[len(names) :]:
            ax.set_axis_off()
        made.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return made


def _reach(before: Reals, after: Reals) -> tuple[float, float]:
    """Return the ends of a panel: most of the prior, but no more than 25 times the width of the posterior."""
    low, high = np.quantile(before, (0.02, 0.98))
    middle, width = float(np.median(after)), 25 * float(np.ptp(np.quantile(after, (0.02, 0.98))))
    ends = max(low, middle - width / 2), min(high, middle + width / 2)
    return min(ends[0], float(after.min())), max(ends[1], float(after.max()))


def trace(result: Result) -> Figure:
    """Draw the densities and traces of the estimands and main parameters, one line a chain."""
    made = _arviz(result, "plot_trace_dist", {"compact": False})
    for ax in made.axes[1::2]:
        ax.set_ylabel("")  # the name stands below the density beside it
    return made


def rank(result: Result) -> Figure:
    """Draw the ranks of the draws by chain: where chains agree they stay within the band (Säilynoja et al. 2022)."""
    if result.settings.chains < 2:
        raise refused("One chain has nothing to be ranked against.", "Run two chains or more.")
    made = _arviz(result, "plot_rank", {"col_wrap": 3, "figure_kwargs": {"figsize": (7.4, 4.6)}})
    for ax in made.axes:
        ax.set_title(short(ax.get_title(), 30))
    return made


def _arviz(result: Result, function: str, options: dict[str, Any]) -> Figure:
    import arviz_plots
    from xarray import DataTree

    chosen = main_parameters(result, 8) or list(dict.fromkeys(row.name for row in result.parameter_summaries))[:2]
    names = [name.replace(SLASH, DIVISION_SLASH) for name in chosen]
    tree: Any = DataTree.from_dict({"posterior": result.posterior["posterior"].to_dataset()[names]})
    if "sample_stats" in result.posterior:
        tree["sample_stats"] = DataTree(result.posterior["sample_stats"].to_dataset())
    with styled(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = getattr(arviz_plots, function)(tree, backend="matplotlib", **options)
        made: Any = found.viz["figure"].item()
        return made
