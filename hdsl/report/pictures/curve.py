"""Curves: the expected outcome, and the effect of a treatment, along a covariate, an occasion or a dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hdsl.design.expr import Negative, Number, Ref, Setting
from hdsl.estimands.defaults import quantiles_only
from hdsl.estimands.predict import NewRows, rows_of_study
from hdsl.estimands.quantiles import of_several
from hdsl.model.ir import ModelData
from hdsl.report.effects import draws_of, parameters
from hdsl.report.pictures.style import BLUE, FAINT, axes, colours, figure, plain, refused, short, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hdsl.report.result import Result

Reals = NDArray[np.float64]
POINTS, DRAWS, CELLS = 40, 400, 400_000
LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95


@dataclass(frozen=True)
class Band:
    """Quantiles (5, 50, 95%) along a grid, shape (3, points)."""

    label: str
    values: Reals


@dataclass(frozen=True)
class Curve:
    """Bands along a grid. `effects` are against the reference arm; both are averages over the rows of the study."""

    x: str
    outcome: str
    grid: Reals
    arms: tuple[Band, ...]
    effects: tuple[Band, ...]
    treatment: str | None
    rug: Reals


def curve_names(result: Result) -> list[str]:
    """Return what curves can be drawn along: numeric covariates in the model, waves, doses, reported curves."""
    slots = result.model.slots
    used = {slot.variable for slot in slots if slot.variable is not None}
    bound = result.bound
    found = [
        name
        for name, variable in bound.variables.items()
        if name in used and not variable.labels and variable.role == "covariate" and np.ptp(variable.values) > 0
    ]
    waves = [name for name, level in bound.levels.items() if level.positions is not None and _wave_slot(result, name)]
    doses = [name for name, treatment in bound.treatments.items() if treatment.continuous]
    return [*found, *waves, *doses]


def _wave_slot(result: Result, wave: str) -> str | None:
    wanted = f"the value of each {wave}"
    return next((slot.name for slot in result.model.slots if slot.source == wanted), None)


def curve_of(result: Result, x: str, treatment: str | None = None, seed: int = 1) -> Curve:
    """Return the expected outcome along x by arm, and the effect of each arm.

    Each row of the study has its x set to a value of the grid (40 values, or those of a wave), all else as observed,
    and its treatment set to an arm; means are over the rows. At most 400 draws are used, fewer where rows are many.

    Raises
    ------
    StudyError
        HDM118: x is not in the model.
    """
    names = curve_names(result)
    if x not in names:
        raise refused(f"There is no curve along {x!r}.", f"Curves: {', '.join(names) or 'none in this model'}.")
    if result.bound.frequency is not None:
        raise refused("A curve is a mean over rows, and the study's rows were summed up.", "Predict new rows along it.")
    if quantiles_only(result.study) and of_several(result.model):
        raise refused("Curves of several quantiles are not drawn.", "`result.predict(new_data)` has their numbers.")
    rows = _thinned(result, seed)
    treatments = [t for t in result.study.treatments if t.arms and t.name != x]
    chosen = next((t for t in treatments if t.name == (treatment or t.name)), None)
    grid = _grid(result, x)
    arms = [] if chosen is None else [arm.name for arm in chosen.arms]
    draws = {arm: _along(result, rows, x, grid, {} if chosen is None else {chosen.name: arm}) for arm in arms or [""]}
    bands = tuple(Band(arm, _quantiles(values)) for arm, values in draws.items())
    effects = tuple(Band(arm, _quantiles(draws[arm] - draws[arms[0]])) for arm in arms[1:])
    outcome = result.model.response.outcome
    return Curve(x, outcome, grid, bands, effects, None if chosen is None else chosen.name, _values(result, x))


def _values(result: Result, x: str) -> Reals:
    bound = result.bound
    if x in bound.variables:
        return bound.variables[x].values
    if x in bound.treatments:
        return bound.treatments[x].values
    return np.asarray(bound.levels[x].positions)


def _grid(result: Result, x: str) -> Reals:
    values = np.unique(_values(result, x))
    return values if len(values) <= POINTS else np.linspace(values[0], values[-1], POINTS)


def _thinned(result: Result, seed: int) -> NewRows:
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in parameters(result).items()}
    number = next(iter(flat.values())).shape[0]
    most = max(50, min(DRAWS, CELLS // max(result.bound.rows, 1)))
    chosen = np.sort(np.random.default_rng(seed).permutation(number)[:most])
    return rows_of_study(result.model, result.data, result.bound, {name: value[chosen] for name, value in flat.items()})


def _along(result: Result, rows: NewRows, x: str, grid: Reals, do: Mapping[str, str]) -> Reals:
    """Return the mean expected outcome, shape (draws, points)."""
    settings = [Setting(treatment=name, value=Ref(name=arm)) for name, arm in do.items()]
    dose = x in result.bound.treatments
    found: list[Reals] = []
    for value in grid.tolist():
        here = settings if not dose else [*settings, Setting(treatment=x, value=_number(value))]
        moved = rows if dose else replace(rows, data=_with(result, rows.data, x, value))
        found.append(moved.predicted(tuple(here), "expected", 1).mean(axis=1))
    return np.stack(found, axis=1)


def _number(value: float) -> Any:
    return Number(value=value) if value >= 0 else Negative(of=Number(value=-value))


def _with(result: Result, data: ModelData, x: str, value: float) -> ModelData:
    names = {slot.name for slot in result.model.slots if slot.variable == x} | {_wave_slot(result, x)}
    values = {name: np.full_like(array, value) if name in names else array for name, array in data.values.items()}
    return ModelData(values=values, coords=data.coords)


def _quantiles(draws: Reals) -> Reals:
    return np.quantile(draws, (LOW, MIDDLE, HIGH), axis=0)


def curve(result: Result, x: str | None = None, treatment: str | None = None) -> Figure:
    """Draw the expected outcome along x by arm, and beside it the effect of each arm against the reference.

    Parameters
    ----------
    x : str, optional
        A covariate, wave or dose, or the role of a reported curve; by default the first there is.
    treatment : str, optional
        Whose arms are shown; by default the first treatment.
    """
    grids = [row.name for row in result.parameter_summaries if row.curve]
    if x is not None and x in grids:
        return _reported(result, x)
    names = curve_names(result)
    if x is None and not names:
        raise refused("There is nothing to draw a curve along: the model has no numeric covariate, wave or dose.")
    found = curve_of(result, x or names[0], treatment)
    with styled():
        made = figure(7.6 if found.effects else 4.6, 3.3)
        panels = axes(made, 2 if found.effects else 1)
        shades = colours([band.label for band in found.arms])
        _draw(panels[0], found.grid, found.arms, {"": BLUE} | shades, found.rug)
        what = "quantile of" if quantiles_only(result.study) else "expected"
        panels[0].set_title(plain(f"{what} {found.outcome}"))
        panels[0].set_xlabel(plain(_unit(result, found.x)))
        if found.effects:
            _draw(panels[1], found.grid, found.effects, shades, found.rug)
            panels[1].axhline(0, color=FAINT, lw=1, zorder=0)
            panels[1].set_title(plain(f"effect of {found.treatment}"))
            panels[1].set_ylabel(plain(short(f"against {found.arms[0].label}")))
            panels[1].set_xlabel(plain(_unit(result, found.x)))
        return made


def _draw(ax: Any, grid: Reals, bands: Sequence[Band], shades: Mapping[str, str], rug: Reals) -> None:
    few = len(grid) <= 8
    for band in bands:
        low, middle, high = band.values
        colour = shades.get(band.label, BLUE)
        ax.fill_between(grid, low, high, color=colour, alpha=0.18, lw=0)
        ax.plot(grid, middle, color=colour, lw=1.8, marker="o" if few else "", ms=4, label=plain(band.label) or None)
    ax.plot(rug, np.full(len(rug), 0.0), "|", color=FAINT, ms=6, transform=ax.get_xaxis_transform(), zorder=0)
    if bands[0].label:
        ax.legend()


def _unit(result: Result, x: str) -> str:
    declared = [v for level in result.study.levels for v in level.variables if v.name == x and v.measured_in]
    return f"{x} ({declared[0].measured_in})" if declared else x


def _reported(result: Result, role: str) -> Figure:
    """Draw a curve that the model reports, such as a smooth term."""
    rows = [row for row in result.parameter_summaries if row.name == role]
    label = next(iter(rows[0].index))
    draws = draws_of(result, role).values
    values = np.quantile(draws.reshape(draws.shape[0] * draws.shape[1], -1), (LOW, MIDDLE, HIGH), axis=0)
    grid = np.array([float(row.index[label]) for row in rows])
    with styled():
        made = figure(4.6, 3.3)
        (ax,) = axes(made)
        _draw(ax, grid, (Band("", values),), {"": BLUE}, grid)
        ax.set_title(plain(role))
        ax.set_xlabel(plain(label))
        return made
