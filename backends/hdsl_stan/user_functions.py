"""Functions that programs define where Stan has no such density, generator or search.

Each is written only into the programs that call it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from hdsl_stan import lowrank, nested
from hdsl_stan.context import POSITIONS
from hdsl_stan.syntax import (
    Argument,
    Assign,
    Declare,
    Expression,
    For,
    Function,
    If,
    Index,
    Name,
    Negative,
    Number,
    Return,
    Statement,
    Type,
    While,
    at,
    binary,
    call,
)

_Y, _ZERO, _LATENT = Name("y"), Name("zero"), Name("latent")
_REAL, _INT = Type("real"), Type("int")
_MOST_TRIES = 100_000


def used(wanted: Collection[str]) -> tuple[Function, ...]:
    """Return the definitions of the functions that are wanted, by name."""
    return tuple(function for name, function in FUNCTIONS.items() if name in wanted)


def _reals(*names: str) -> tuple[Argument, ...]:
    return tuple(Argument("real", name) for name in names)


def _density(name: str, parameters: tuple[str, ...], zero: Expression, rest: Expression, what: str) -> Function:
    """Return a density that has its own value at 0; `name` ends in its suffix."""
    outcome = Argument("int" if name.endswith("lpmf") else "real", "y")
    body = (If(binary("==", _Y, Number(0)), (Return(zero),)), Return(rest))
    comment = f"0 with probability zero, else {what}."
    return Function("real", name, (outcome, *_reals(*parameters, "zero")), body, comment)


def _hurdle(base: str, suffix: str, parameters: tuple[str, ...], what: str) -> Function:
    given = tuple(Name(parameter) for parameter in parameters)
    rest: Expression = binary("+", call("log1m", _ZERO), call(f"{base}_{suffix}", _Y, given=given))
    if suffix == "lpmf":
        rest = binary("-", rest, call("log1m_exp", call(f"{base}_lpmf", Number(0), given=given)))
        what += " that is not 0"
    return _density(f"hurdle_{base}_{suffix}", parameters, call("log", _ZERO), rest, what)


def _zero_inflated_poisson() -> Function:
    rest = binary("+", call("log1m", _ZERO), call("poisson_log_lpmf", _Y, given=(Name("log_mean"),)))
    at_zero = call("log_sum_exp", call("log", _ZERO), rest)
    return _density("zero_inflated_poisson_log_lpmf", ("log_mean",), at_zero, rest, "Poisson")


def _generator(returns: str, name: str, parameters: tuple[str, ...], *body: Statement) -> Function:
    """Return a generator that gives 0 with probability `zero`, else what the body returns."""
    start = If(call("bernoulli_rng", _ZERO), (Return(Number(0)),))
    return Function(returns, name, _reals(*parameters, "zero"), (start, *body))


def _positive_poisson() -> tuple[Statement, ...]:
    """Draw a Poisson that is not 0: the time of the first event, then the number after it."""
    mean, first = Name("mean"), Name("first")
    below = binary("*", call("uniform_rng", Number(0), Number(1)), call("expm1", Negative(mean)))
    return (
        Declare(_REAL, "mean", call("exp", Name("log_mean"))),
        Declare(_REAL, "first", Negative(call("log1p", below))),
        Return(binary("+", Number(1), call("poisson_rng", binary("-", mean, first)))),
    )


def _positive_negbinomial() -> tuple[Statement, ...]:
    """Draw until the count is not 0; after very many tries it is taken to be 1."""
    tries = Name("tries")
    draw = call("neg_binomial_2_log_rng", Name("log_mean"), Name("shape"))
    again = binary("&&", binary("==", _Y, Number(0)), binary("<", tries, Number(_MOST_TRIES)))
    body = (Assign(_Y, draw), Assign(tries, binary("+", tries, Number(1))))
    return (
        Declare(_INT, "y", draw),
        Declare(_INT, "tries", Number(0)),
        While(again, body),
        Return(call("max", _Y, Number(1))),
    )


def _ordered(name: str, noise: str) -> Function:
    """Return a generator of ordered categories: how many cutpoints a latent variable passes, plus 1."""
    cutpoints, y = Name("cutpoints"), Name("y")
    passed = binary(">", _LATENT, at(cutpoints, Name("k")))
    step = Assign(y, binary("+", y, passed))
    body = (
        Declare(_REAL, "latent", call(noise, Name("location"), Number(1))),
        Declare(_INT, "y", Number(1)),
        For("k", call("size", cutpoints), (step,)),
        Return(y),
    )
    return Function("int", name, (*_reals("location"), Argument("vector", "cutpoints")), body)


def _skewed_normal() -> Function:
    shape, slant = Name("shape"), Name("slant")
    size = call("sqrt", binary("+", Number(1), call("square", shape)))
    rest = call("sqrt", binary("-", Number(1), call("square", slant)))
    half = binary("*", slant, call("abs", call("std_normal_rng")))
    mixed = binary("+", half, binary("*", rest, call("std_normal_rng")))
    body = (
        Declare(_REAL, "slant", binary("/", shape, size)),
        Declare(_REAL, "z", mixed),
        Return(binary("+", Name("location"), binary("*", Name("scale"), Name("z")))),
    )
    return Function("real", "skewed_normal_rng", _reals("location", "scale", "shape"), body)


def _asymmetric_laplace() -> Function:
    """Draw as the difference of two exponentials."""
    scale, share = Name("scale"), Name("share")
    up = call("exponential_rng", binary("/", binary("*", Number(2), share), scale))
    other = binary("*", Number(2), binary("-", Number(1), share))
    down = call("exponential_rng", binary("/", other, scale))
    body = (Return(binary("-", binary("+", Name("location"), up), down)),)
    return Function("real", "asymmetric_laplace_rng", _reals("location", "scale", "share"), body)


def _binomial_logits() -> Function:
    draw = call("binomial_rng", Name("trials"), call("inv_logit", Name("logit_share")))
    arguments = (Argument("int", "trials"), *_reals("logit_share"))
    return Function("int", "binomial_logits_rng", arguments, (Return(draw),))


def _normal_mixture() -> Function:
    means, sds = Name("means"), Name("sds")
    scaled = binary("./", binary("-", _Y, means), sds)
    square = binary("*", Number(0.5), call("square", scaled))
    each = binary("-", binary("-", call("log_softmax", Name("logits")), square), call("log", sds))
    summed = binary("-", call("log_sum_exp", each), Number(0.5 * math.log(2 * math.pi)))
    arguments = (Argument("real", "y"), *(Argument("vector", name) for name in ("logits", "means", "sds")))
    return Function("real", "normal_mixture_lpdf", arguments, (Return(summed),), "A mixture of normals.")


def _positions() -> Function:
    """Return the function that gives the positions at which an array or vector has a value."""
    x, value, found, k, i = (Name(name) for name in ("x", "value", "found", "k", "i"))
    match = binary("==", at(x, i), value)
    count = (If(match, (Assign(k, binary("+", k, Number(1))),)),)
    fill = (If(match, (*(count[0].yes), Assign(Index(found, (k,)), i))),)
    body = (
        Declare(_INT, "k", Number(0)),
        For("i", call("size", x), count),
        Declare(Type("int", arrays=(k,)), "found"),
        Assign(k, Number(0)),
        For("i", call("size", x), fill),
        Return(found),
    )
    arguments = (Argument("data vector", "x"), Argument("data real", "value"))
    return Function("array[] int", POSITIONS, arguments, body, "The positions at which x has a value.")


FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        _positions(),
        _normal_mixture(),
        lowrank.one_by_one(),
        lowrank.all_groups(),
        nested.products_of_rows(),
        nested.integrated_out(),
        nested.first_of_units(),
        _zero_inflated_poisson(),
        _hurdle("poisson_log", "lpmf", ("log_mean",), "a Poisson"),
        _hurdle("neg_binomial_2_log", "lpmf", ("log_mean", "shape"), "a negative binomial"),
        _hurdle("lognormal", "lpdf", ("mean_log", "sd_log"), "lognormal"),
        _density(
            "hurdle_gamma_lpdf",
            ("mean", "shape"),
            call("log", _ZERO),
            binary(
                "+",
                call("log1m", _ZERO),
                call("gamma_lpdf", _Y, given=(Name("shape"), binary("/", Name("shape"), Name("mean")))),
            ),
            "gamma",
        ),
        _generator(
            "int",
            "zero_inflated_poisson_log_rng",
            ("log_mean",),
            Return(call("poisson_log_rng", Name("log_mean"))),
        ),
        _generator("int", "hurdle_poisson_log_rng", ("log_mean",), *_positive_poisson()),
        _generator("int", "hurdle_neg_binomial_2_log_rng", ("log_mean", "shape"), *_positive_negbinomial()),
        _generator(
            "real",
            "hurdle_lognormal_rng",
            ("mean_log", "sd_log"),
            Return(call("lognormal_rng", Name("mean_log"), Name("sd_log"))),
        ),
        _generator(
            "real",
            "hurdle_gamma_rng",
            ("mean", "shape"),
            Return(call("gamma_rng", Name("shape"), binary("/", Name("shape"), Name("mean")))),
        ),
        _ordered("ordered_logits_rng", "logistic_rng"),
        _ordered("ordered_probits_rng", "normal_rng"),
        _skewed_normal(),
        _asymmetric_laplace(),
        _binomial_logits(),
    )
}
