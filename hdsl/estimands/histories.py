"""Treatment histories: treatments set on some occasions, and what follows through lagged treatments and outcomes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from hdsl.data.bound import Bound, BoundLag
from hdsl.design import expr as study
from hdsl.design.expr import Setting
from hdsl.estimands.joint import BATCH, drawn, jointly
from hdsl.estimands.rows import EstimandError, Values, arithmetic
from hdsl.model.ir import Apply, Definition, Expr, Model, ModelData, Observation, Slot, Var
from hdsl.reference import distributions
from hdsl.reference.sequence import Given, in_sequence
from hdsl.reference.values import Array, Value, expand

Draws = Mapping[str, Array]
REPLICATES = 16
MEAN_IS_LOCATION = {"normal": 0, "student": 1}
ELEMENTWISE = ("where", "gather", "column", "stack", "sum", "mean", "cumulative_sum")


def set_lagged(bound: Bound, slot: Slot, observed: np.ndarray, setting: Setting) -> np.ndarray:
    """Return the lagged values of a treatment that was set, where the occasion they are of is among those set."""
    treatment, lag = bound.treatments[setting.treatment], bound.lags[setting.treatment, slot.lag]
    if treatment.arms:
        chosen = np.full_like(observed, treatment.arms.index(_arm(setting.value)))
    else:
        chosen = np.broadcast_to(_dose(setting, lag), observed.shape).astype(observed.dtype)
    return chosen if setting.at is None else np.where(_inside(bound, setting.at, lag.positions), chosen, observed)


def _arm(value: study.Expr) -> str:
    return value.name if isinstance(value, study.Ref) else ""


def _dose(setting: Setting, lag: BoundLag) -> Values:
    def lookup(node: study.Expr) -> Values | None:
        if isinstance(node, study.Ref) and node.name == setting.treatment:
            return lag.values
        if isinstance(node, study.Ref):
            name = setting.treatment
            message = f"`{name}` is set by `{node.name}`, whose value on the occasion before is not in the model."
            raise EstimandError("HDM522", message, "Set the dose to a number, or by its own value.")
        return None

    return arithmetic(setting.value, lookup)


def _inside(bound: Bound, at: study.Occasions, positions: Values) -> Values:
    first, last = (occasion(bound, at.wave, edge) for edge in (at.first, at.last))
    return (positions >= first) & (positions <= last)


def occasion(bound: Bound, wave: str, edge: float | str) -> float:
    """Return an occasion's value as a number; EstimandError for one that is not in the data."""
    level = bound.levels[wave]
    assert level.positions is not None
    if isinstance(edge, float):
        return edge
    if edge in level.labels:
        return float(level.positions[level.labels.index(edge)])
    raise EstimandError("HDM520", f"There is no occasion {edge!r}.", f"Occasions: {', '.join(level.labels[:12])}.")


def check_histories(bound: Bound, outcome: str, settings: tuple[Setting, ...]) -> None:
    """Raise EstimandError (HDM522) where an outcome that a history would have changed is held as it was observed.

    With `lag(y)` a unit's first outcome has no model: it is where the later ones start from. A history can begin
    after it, but not with it or before it; and after a missed occasion outcomes start anew.
    """
    for (name, _), lag in bound.lags.items():
        if name != outcome:
            continue
        for setting in settings:
            _check_start(bound, outcome, lag, setting)


def _check_start(bound: Bound, outcome: str, lag: BoundLag, setting: Setting) -> None:
    starts = lag.previous < 0
    later = starts & _after_a_gap(bound, lag)
    changed = np.ones(len(starts), np.bool_)
    if setting.at is not None:
        changed = lag.positions >= occasion(bound, setting.at.wave, setting.at.first)
        early = starts & ~later & changed & (lag.positions <= occasion(bound, setting.at.wave, setting.at.last))
        if early.any():
            wave = setting.at.wave
            message = (
                f"`{setting.treatment}` is set at {wave} {_shown(lag.positions[early])}, where {outcome} is a first "
                f"outcome: it has no model, so what the setting does to it and by it cannot be computed."
            )
            raise EstimandError("HDM522", message, f"Begin the history one {wave} later.")
    if (later & changed).any():
        count = int((later & changed).sum())
        message = (
            f"{count} rows start from an observed {outcome} after a missed occasion, which `{setting.treatment}` "
            "on the occasions before would have changed."
        )
        raise EstimandError("HDM522", message, "Leave out the rows of a unit after its first gap.")


def _after_a_gap(bound: Bound, lag: BoundLag) -> np.ndarray:
    """Return which rows are not the first of their unit among the rows used."""
    from hdsl.design.levels import row_level

    crosses = row_level(bound.study).crosses
    wave = next(name for name in crosses if bound.levels[name].positions is not None)
    codes = np.zeros(bound.rows, np.int64)
    for name in crosses:
        if name != wave:
            codes = codes * bound.levels[name].size + bound.levels[name].rows
    _, units = np.unique(codes, return_inverse=True)
    at = bound.levels[wave].rows
    first = np.full(int(units.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, units, at)
    return at > first[units]


def _shown(positions: Values) -> str:
    return ", ".join(f"{value:g}" for value in np.unique(positions)[:5])


def expected_in_sequence(model: Model, data: ModelData, observation: Observation, draws: Draws, rows: int) -> Array:
    """Return the expected outcome of each row where laws depend on the outcomes of earlier rows, shape (draws, rows).

    Where the mean is linear in them, their expectations are carried forward, which is exact. Else outcomes are
    drawn forward, and the expectations of each row given those before it are averaged over replicates (the
    g-formula, Robins 1986). The same draws give the same replicates in every world.
    """
    law, dims = observation.law, observation.dims

    def mean(args: list[Value]) -> Array:
        found = distributions.mean(law.distribution, args, dims)
        return np.broadcast_to(expand(found, (*BATCH, *dims)), (number, rows))

    number = next(iter(draws.values())).shape[0]
    place = MEAN_IS_LOCATION.get(law.distribution)
    if place is not None and degree(model, law.args[place], observation.slot) <= 1:
        return in_sequence(model, data, draws, observation, BATCH, mean)
    rng = np.random.default_rng(zlib.crc32(b"".join(np.ascontiguousarray(value).tobytes() for value in draws.values())))
    given = Given.of(model, data, draws, observation, BATCH)
    total = np.zeros((number, rows))
    replicates = int(np.clip(5000 // max(rows, 1), 1, REPLICATES))
    for _ in range(replicates):
        made = jointly(model, data, (observation,), draws, rows, drawn(model, rng, number))
        total += mean(given.arguments(made))
    return total / replicates


def degree(model: Model, expr: Expr, slot: str) -> float:
    """Return the degree of an expression in the values of a slot: 0 without, 1 linear, inf for anything else."""
    values = {definition.name: definition for definition in model.definitions}
    known: dict[str, float] = {slot: 1.0}

    def of(node: Expr) -> float:
        if isinstance(node, Var):
            if node.name not in known:
                found = values.get(node.name)
                known[node.name] = of(found.value) if isinstance(found, Definition) else 0.0
            return known[node.name]
        return _combined(node, [of(arg) for arg in node.args]) if isinstance(node, Apply) else 0.0

    return of(expr)


def _combined(node: Apply, degrees: list[float]) -> float:
    if not any(degrees):
        return 0.0
    match node.function:
        case "add" | "sub" | "neg":
            return max(degrees)
        case "mul" | "dot":
            return sum(degrees) if sum(degrees) <= 1 else np.inf
        case "div":
            return degrees[0] if degrees[1] == 0 else np.inf
        case name if name in ELEMENTWISE:
            return max(degrees)
        case _:
            return np.inf
