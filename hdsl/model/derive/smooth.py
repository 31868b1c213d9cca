"""Smooth terms: `spline(x)` and `gp(x, ...)` of the predictor, of an effect, or of the log residual spread.

A curve is a definition over the slot of its covariate, so that a dose that is set, or a value at which the curve is
shown, goes through the same basis as the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import Reals
from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.model.derive.bases import FEWEST_VALUES, GpBasis, SplineBasis, gp_basis, grid, spline_basis
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.priors import Priors, constant, halfnormal, quantile, rounded
from hdsl.model.derive.terms import Column, NotDerivable, at_rows, columns
from hdsl.model.ir import Dims, Expr, Law, Limit, Var, add, apply, const, div, dot, mul, sub, var

SMOOTHS = ("spline", "gp")
OPTIONS = {"spline": "knots", "gp": "functions"}
LIKELY = (0.01, 0.99)
MOST_INPUTS = 2
SHARE_OF_RANGE = 0.2
LOG_SPREAD = 0.5


def is_smooth(expr: study.Expr) -> bool:
    """Return whether a term is `spline(...)` or `gp(...)`."""
    return isinstance(expr, study.Call) and expr.function in SMOOTHS


def smooth_text(expr: study.Expr) -> str:
    """Return what a smooth term is called: its text without options."""
    return role_text(expr.model_copy(update={"options": ()}))


def straight_part(expr: study.Expr) -> study.Expr | None:
    """Return the term whose slope is the straight part of a smooth term; a Gaussian process has none."""
    return expr.args[0] if isinstance(expr, study.Call) and expr.function == "spline" else None


@dataclass(frozen=True)
class Smooth:
    """A smooth term: its kind, the text of its role, and the columns it is a curve of."""

    kind: str
    text: str
    inner: tuple[str, ...]
    columns: tuple[Column, ...]
    size: int | None = None

    @property
    def level(self) -> str:
        """The level at which a curve of one column has values."""
        return str(self.columns[0].level)


@dataclass(frozen=True)
class Curve:
    """A curve in the model, around its mean over the rows.

    Attributes
    ----------
    value : Expr
        At the units of `level`.
    at : callable
        The expression of the curve elsewhere, from those of its covariates.
    constant : Expr
        Its mean over the rows: zero for a spline.
    """

    smooth: Smooth
    level: str
    value: Expr
    at: Callable[[Sequence[Expr]], Expr]
    constant: Expr = const(0)


def smooth_of(draft: Draft, expr: study.Expr) -> Smooth:
    """Return a smooth term; raises NotDerivable where its arguments cannot be."""
    assert isinstance(expr, study.Call)
    text = smooth_text(expr)
    found = tuple(_input(draft, argument, text) for argument in expr.args)
    if len(found) > MOST_INPUTS:
        raise NotDerivable("HDM623", f"`{text}` has {len(found)} covariates.", f"`gp` takes up to {MOST_INPUTS}.")
    return Smooth(expr.function, text, tuple(role_text(a) for a in expr.args), found, _size(expr, text))


def _input(draft: Draft, expr: study.Expr, text: str) -> Column:
    found = columns(draft, expr)
    if len(found) != 1 or found[0].level is None:
        raise NotDerivable("HDM621", f"`{role_text(expr)}` is not a number, so there is no `{text}`.")
    count = len(np.unique(found[0].values))
    if count < FEWEST_VALUES:
        raise NotDerivable(
            "HDM660",
            f"`{role_text(expr)}` has {count} different values: too few for `{text}`.",
            f"Write `factor({role_text(expr)})` for a value of its own at each.",
        )
    return found[0]


def _size(expr: study.Call, text: str) -> int | None:
    size: int | None = None
    for option in expr.options:
        wanted = OPTIONS[expr.function]
        if option.name != wanted:
            raise NotDerivable("HDM623", f"`{text}` has no option `{option.name}`.", f"It takes `{wanted} = 30`.")
        value = constant(option.value)
        if not (value == int(value) and FEWEST_VALUES <= value <= 400):
            raise NotDerivable("HDM623", f"`{wanted} = {value:g}` of `{text}` must be a whole number from 4 to 400.")
        size = int(value)
    return size


def curve(
    draft: Draft, smooth: Smooth, role: str, family: str, sd: float, priors: Priors, free: Dims = (), reason: str = ""
) -> Curve:
    """Add a curve with its parameters.

    Parameters
    ----------
    role, family : str
        What the curve is called, and the role without arm under which one prior may serve several curves.
    sd : float
        The default prior scale of its standard deviation: for a spline of the distances from the straight part, for
        a Gaussian process of its values.
    """
    build = _spline if smooth.kind == "spline" else _gp
    return build(draft, smooth, role, family, sd, priors, free, reason)


def _spread(draft: Draft, role: str, family: str, sd: float, priors: Priors, free: Dims, why: str) -> Var:
    """Add the standard deviation of a curve; its role keeps the arm behind: `sd(z * spline(x))[arm]`."""
    name, common = _of("sd", role), _of("sd", family)
    found = draft.random(name, priors.positive(halfnormal(sd), name, common), free, why)
    draft.report(name, found)
    return found


def _of(function: str, role: str) -> str:
    """Return `function(role)` with the index of the role behind the parenthesis."""
    base, bracket, index = role.partition("[")
    return f"{function}({base}){bracket}{index}"


def _coefficients(draft: Draft, role: str, dims: Dims) -> Var:
    law = Law(distribution="normal", args=(const(0), const(1)))
    return draft.random(f"coefficient({role})", law, dims, "standardised coefficients of the basis")


def _at(draft: Draft, smooth: Smooth) -> tuple[str, tuple[Expr, ...]]:
    """Return the level at which a smooth term has values, and its covariates there."""
    level = draft.join(*(each.level for each in smooth.columns))
    assert level is not None
    return level, tuple(draft.at(each.expr, each.level, level) for each in smooth.columns)


def _spline(
    draft: Draft, smooth: Smooth, role: str, family: str, sd: float, priors: Priors, free: Dims, reason: str
) -> Curve:
    basis = spline_basis(at_rows(draft, smooth.columns[0]), smooth.size)
    level, inputs = _at(draft, smooth)
    terms, at = _spline_functions(draft, smooth, basis)
    fixed = _basis(draft, smooth, at(inputs))
    size = _spread(draft, role, family, sd, priors, free, f"how far {role} is from a straight line")
    coefficients = _coefficients(draft, role, (terms, *free))

    def value(functions: Expr) -> Expr:
        return mul(size, dot(functions, coefficients, terms))

    written = f"~ cubic_spline({smooth.inner[0]}, sd = {_of('sd', role)}) by {len(basis.level)} functions"
    found = draft.define(role, value(fixed), role=role, reason=reason, written=written)
    return Curve(smooth, level, found, lambda x: value(at(x)))


def _spline_functions(draft: Draft, smooth: Smooth, basis: SplineBasis) -> tuple[str, Callable[[Sequence[Expr]], Expr]]:
    """Add the data of a spline basis; return its index set and the expression of its functions."""
    knots, terms = f"{smooth.text} knots", f"{smooth.text} terms"
    over = _cached_set(draft, knots, len(basis.knots))
    to = _cached_set(draft, terms, len(basis.level))
    places = _cached_slot(draft, f"{smooth.text} knot", (over,), basis.knots, "knots, from 0 to 1")
    cubes = _cached_slot(draft, f"{smooth.text} cubes", (over, to), basis.cubes, "from |u - knot|^3 to the basis")
    level = _cached_slot(draft, f"{smooth.text} level", (to,), basis.level, "level of each basis function")
    slope = _cached_slot(draft, f"{smooth.text} slope", (to,), basis.slope, "slope of each basis function")

    def at(x: Sequence[Expr]) -> Expr:
        u = div(sub(x[0], const(basis.low)), const(basis.width))
        cubed = apply("pow", apply("abs", sub(u, places)), const(3))
        return add(dot(cubed, cubes, over), add(mul(u, slope), level))

    return to, at


def _gp(
    draft: Draft, smooth: Smooth, role: str, family: str, sd: float, priors: Priors, free: Dims, reason: str
) -> Curve:
    rows = [at_rows(draft, each) for each in smooth.columns]
    laws = [_length_law(smooth, role, family, place, each, priors) for place, each in enumerate(rows)]
    likely = [(quantile(law, LIKELY[0]), quantile(law, LIKELY[1])) for _, law in laws]
    basis = gp_basis(rows, likely, smooth.size)
    level, inputs = _at(draft, smooth)
    key = f"{role} functions"
    terms = _cached_set(draft, key, len(basis.frequencies))
    frequencies = [
        _cached_slot(draft, f"{role} frequency {place + 1}", (terms,), basis.frequencies[:, place], f"of {inner}")
        for place, inner in enumerate(smooth.inner)
    ]
    fixed = draft.define(f"{role} basis", _waves(basis, frequencies, inputs), reason=f"basis of {role}")
    size = _spread(draft, role, family, sd, priors, free, f"how far {role} is from zero")
    lengths = [_length(draft, *laws[place], place, basis, role, free) for place in range(len(rows))]
    coefficients = _coefficients(draft, role, (terms, *free))
    weights = mul(_spectrum(size, lengths, frequencies), coefficients)

    def value(functions: Expr) -> Expr:
        return dot(functions, weights, terms)

    means = basis.at(np.column_stack(rows)).mean(axis=0)
    over_rows = _cached_slot(draft, f"{role} mean", (terms,), means, "mean of each function over the rows")
    middle = _level(draft, role, value(over_rows))
    scales = ", ".join(f"lengthscale = {name}" for name, _ in laws)
    law = f"gaussian_process({', '.join(smooth.inner)}, sd = {_of('sd', role)}, {scales})"
    written = f"~ {law} - {_of('level', role)}, by {len(basis.frequencies)} functions"
    found = draft.define(role, sub(value(fixed), middle), role=role, reason=reason, written=written)
    return Curve(smooth, level, found, lambda x: sub(value(_waves(basis, frequencies, x)), middle), middle)


def _level(draft: Draft, role: str, value: Expr) -> Expr:
    name = _of("level", role)
    found = draft.define(f"level {role}", value, role=name, written="= the mean of the process over the rows")
    draft.report(name, found)
    return found


def _length_law(smooth: Smooth, role: str, family: str, place: int, rows: Reals, priors: Priors) -> tuple[str, Law]:
    """Return the role and the law of a length-scale: by default a fifth of the range, within a factor of about 2.3."""
    several = f"[{smooth.inner[place]}]" if len(smooth.inner) > 1 else ""
    name, common = _of("lengthscale", role), _of("lengthscale", family)
    middle = math.log(SHARE_OF_RANGE * float(np.ptp(rows)))
    default = Law(distribution="lognormal", args=(const(rounded(middle)), const(LOG_SPREAD)))
    return name + several, priors.positive(default, name + several, name, common)


def _length(draft: Draft, name: str, law: Law, place: int, basis: GpBasis, role: str, free: Dims) -> Var:
    found = draft.random(name, law, free, f"over which distance {role} changes")
    draft.report(name, found)
    short, long = basis.shortest[place], basis.longest[place]
    draft.limits.append(Limit(variable=found.name, role=name, low=rounded(short), high=rounded(long), of=role))
    return found


def _waves(basis: GpBasis, frequencies: Sequence[Expr], inputs: Sequence[Expr]) -> Expr:
    parts: list[Expr] = []
    for frequency, x, middle, edge in zip(frequencies, inputs, basis.middle, basis.edge, strict=True):
        moved = add(x, const(edge - middle))
        parts.append(div(apply("sin", mul(moved, frequency)), const(math.sqrt(edge))))
    return mul(*parts)


def _spectrum(size: Expr, lengths: Sequence[Expr], frequencies: Sequence[Expr]) -> Expr:
    """Return the square root of the spectral density of the squared exponential covariance at the frequencies."""
    waves = [apply("square", mul(length, each)) for length, each in zip(lengths, frequencies, strict=True)]
    decay = apply("exp", mul(const(-0.25), add(*waves)))
    area = mul(const((2 * math.pi) ** (len(lengths) / 4)), *(apply("sqrt", length) for length in lengths))
    return mul(mul(size, area), decay)


def _basis(draft: Draft, smooth: Smooth, value: Expr) -> Expr:
    key = ("basis", smooth.text)
    if key not in draft.cache:
        draft.cache[key] = draft.define(f"{smooth.text} basis", value, reason=f"basis of {smooth.text}")
    return draft.cache[key]


def _cached_set(draft: Draft, text: str, size: int) -> str:
    key = ("index set", text)
    if key not in draft.cache:
        draft.cache[key] = var(draft.index_set(text, [str(place + 1) for place in range(size)], "terms"))
    return draft.cache[key].name


def _cached_slot(draft: Draft, text: str, dims: Dims, values: Reals, source: str) -> Var:
    key = ("slot", text)
    if key not in draft.cache:
        draft.cache[key] = draft.slot(text, dims, values, source=source)
    return draft.cache[key]


def show(draft: Draft, smooth: Smooth, role: str, value: Callable[[Expr], Expr]) -> None:
    """Report a curve of one covariate at round values of it; `value` gives it from the covariate."""
    if len(smooth.columns) != 1:
        return
    draft.report(role, value(_grid(draft, smooth)))


def _grid(draft: Draft, smooth: Smooth) -> Var:
    key = ("grid", smooth.inner[0])
    if key not in draft.cache:
        values = grid(smooth.columns[0].values)
        inner = smooth.inner[0]
        dim = draft.index_set(f"{inner} shown", [f"{value:.10g}" for value in values], "grid", inner)
        text = f"values of {smooth.inner[0]} at which curves are shown"
        draft.cache[key] = draft.slot(f"{smooth.inner[0]} at", (dim,), values, source=text)
    return draft.cache[key]
