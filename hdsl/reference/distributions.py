"""The distributions of Model laws as functions of values with named dims.

Every function takes `dims`: the dims of the random variable or observation, whose last `event` dims (see
`hdsl.model.distributions`) are those of one draw. Where a function takes the variable `x`, they default to
x's own. Batch dims on `x` or on any argument carry through. Arguments are aligned by name; the categories of
`categorical_logit`, the components of `normal_mixture`, the cutpoints of `ordinal_*` and the columns of a Cholesky
factor are the one dim that the argument has and `dims` has not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Dims
from hdsl.reference.categories import CATEGORIES
from hdsl.reference.continuous import LOCATED
from hdsl.reference.discrete import COUNTS
from hdsl.reference.joint import JOINT
from hdsl.reference.mixtures import MIXTURES
from hdsl.reference.positive import POSITIVE
from hdsl.reference.rules import Array, Function, Rules
from hdsl.reference.values import BATCH, Value, common_sizes, expand, union, without_batch

RULES: Mapping[str, Rules] = {**LOCATED, **POSITIVE, **COUNTS, **CATEGORIES, **JOINT, **MIXTURES}

_NESTED = ("event", "event", "event extra", "event extra", "first")
_ABOVE = ("event extra", "extra")
_TRAILING: Mapping[str, tuple[str, ...]] = {
    "ordinal_logit": ("", "extra"),
    "ordinal_probit": ("", "extra"),
    "categorical_logit": ("extra",),
    "normal_mixture": ("extra", "extra", "extra"),
    "multinormal_cholesky": ("event", "event extra"),
    "multinormal_lowrank": ("event", "event", "event extra"),
    "multinormal_nested": _NESTED,
    "multinormal_nested_2": (*_NESTED, *_ABOVE),
    "multinormal_nested_3": (*_NESTED, *_ABOVE, *_ABOVE),
    "ordered_normal": ("event", "event"),
    "dirichlet": ("event",),
    "bart": ("event extra", "event", ""),
}


@dataclass(frozen=True)
class _Layout:
    """The axes of a law's values: `lead` (batch, then rows), `event`, and each argument's trailing axes."""

    lead: Dims
    event: Dims
    trailing: tuple[Dims, ...]


def _layout(name: str, dims: Dims, args: Sequence[Value], x: Value | None = None) -> _Layout:
    count = DISTRIBUTIONS[name].event
    core = without_batch(dims)
    rows, event = core[: len(core) - count], core[len(core) - count :]
    every = (*args, x) if x is not None else tuple(args)
    lead = union(*(tuple(dim for dim in each.dims if dim in BATCH) for each in every), dims)
    lead = tuple(dim for dim in lead if dim in BATCH) + rows
    kinds = _TRAILING.get(name, ("",) * len(args))
    trailing = tuple(_trailing(kind, arg, lead, event) for kind, arg in zip(kinds, args, strict=True))
    return _Layout(lead, event, trailing)


def _trailing(kind: str, arg: Value, lead: Dims, event: Dims) -> Dims:
    own = event if "event" in kind else event[:1] if kind == "first" else ()
    if "extra" not in kind:
        return own
    extra = tuple(dim for dim in arg.dims if dim not in (*lead, *own))
    if len(extra) != 1:
        raise ValueError(f"an argument over {arg.dims} should have one dim beyond {(*lead, *own)}")
    return (*own, *extra)


def _arrays(layout: _Layout, args: Sequence[Value]) -> list[Array]:
    return [expand(arg, layout.lead + trail) for arg, trail in zip(args, layout.trailing, strict=True)]


def _known(name: str, function: Function | None, what: str) -> Function:
    if function is None:
        raise ValueError(f"the distribution {name} has no {what}")
    return function


def _at(name: str, function: Function, x: Value, args: Sequence[Value], dims: Dims | None) -> Value:
    layout = _layout(name, x.dims if dims is None else dims, args, x)
    arrays = _arrays(layout, args)
    with np.errstate(all="ignore"):
        result = np.asarray(function(expand(x, layout.lead + layout.event), *arrays), dtype=np.float64)
    return Value(layout.lead, result)


def _moment(name: str, function: Function, args: Sequence[Value], dims: Dims) -> Value:
    layout = _layout(name, dims, args)
    with np.errstate(all="ignore"):
        result = np.asarray(function(*_arrays(layout, args)), dtype=np.float64)
    return Value(layout.lead + layout.event, result)


def log_density(name: str, x: Value, args: Sequence[Value], dims: Dims | None = None) -> Value:
    """Return the exactly normalised log density (or log mass), -inf outside the support.

    Parameters
    ----------
    name : str
        A distribution of `hdsl.model.distributions`.
    x : Value
        The variable.
    args : sequence of Value
        The parameters in the table's order.
    dims : dims, optional
        The variable's dims; x's own by default. A dim that x and all args lack has length one in the result.

    Returns
    -------
    Value
        Over the batch dims and the variable's dims but for its event dims.
    """
    return _at(name, RULES[name].log_density, x, args, dims)


def cdf(name: str, x: Value, args: Sequence[Value], dims: Dims | None = None) -> Value:
    """Return the probability of a value not above `x`. ValueError for a distribution that has none."""
    return _at(name, _known(name, RULES[name].cdf, "distribution function"), x, args, dims)


def survival(name: str, x: Value, args: Sequence[Value], dims: Dims | None = None) -> Value:
    """Return the probability of a value above `x`, accurate in the tail."""
    return _at(name, _known(name, RULES[name].survival, "survival function"), x, args, dims)


def log_survival(name: str, x: Value, args: Sequence[Value], dims: Dims | None = None) -> Value:
    """Return the log probability of a value above `x`."""
    rules = RULES[name]
    if rules.log_survival is not None:
        return _at(name, rules.log_survival, x, args, dims)
    plain = survival(name, x, args, dims)
    with np.errstate(divide="ignore"):
        return Value(plain.dims, np.log(plain.real))


def quantile(name: str, p: Value, args: Sequence[Value], dims: Dims | None = None) -> Value:
    """Return the smallest value whose distribution function reaches `p`."""
    return _at(name, _known(name, RULES[name].quantile, "quantile"), p, args, dims)


def mean(name: str, args: Sequence[Value], dims: Dims) -> Value:
    """Return the mean over `dims`; of `ordinal_*`, that of the categories' numbers 0, 1, ...

    NaN or inf where the mean does not exist; ValueError for categories without order and for matrices.
    """
    return _moment(name, _known(name, RULES[name].mean, "mean"), args, dims)


def variance(name: str, args: Sequence[Value], dims: Dims) -> Value:
    """Return the variance (of each element) over `dims`, like `mean`."""
    return _moment(name, _known(name, RULES[name].variance, "variance"), args, dims)


def draw(name: str, rng: Generator, args: Sequence[Value], dims: Dims, sizes: Mapping[str, int]) -> Value:
    """Draw a random value.

    Parameters
    ----------
    name : str
        The distribution.
    rng : numpy Generator
        The source of randomness.
    args : sequence of Value
        The parameters.
    dims : dims
        The dims of the variable, its event dims last; they may include batch dims to draw many.
    sizes : mapping
        The length of each of `dims`.

    Returns
    -------
    Value
        Over the batch dims of `dims` and `args`, then `dims`; int64 for a discrete distribution.
    """
    layout = _layout(name, dims, args)
    known = {**sizes, **common_sizes(args)}
    full = layout.lead + layout.event
    shape = tuple(known[dim] for dim in full)
    with np.errstate(all="ignore"):
        drawn = RULES[name].draw(rng, shape, *_arrays(layout, args))
    dtype = np.int64 if DISTRIBUTIONS[name].discrete else np.float64
    return Value(full, np.asarray(drawn).astype(dtype))


def category_probabilities(name: str, args: Sequence[Value], dims: Dims, categories: str) -> Value:
    """Return the probability of each category 0, 1, ... along a new last dim called `categories`."""
    layout = _layout(name, dims, args)
    count = _category_count(name, args, layout)
    parts = [log_density(name, Value((), np.asarray(float(k))), args, dims) for k in range(count)]
    return Value((*layout.lead, categories), np.exp(np.stack([part.real for part in parts], axis=-1)))


def _category_count(name: str, args: Sequence[Value], layout: _Layout) -> int:
    if name in ("bernoulli", "bernoulli_logit"):
        return 2
    if name not in CATEGORIES:
        raise ValueError(f"the distribution {name} has no categories")
    size = args[-1].sizes[layout.trailing[-1][-1]]
    return size if name == "categorical_logit" else size + 1
