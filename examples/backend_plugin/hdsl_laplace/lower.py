"""A Model as a JAX program: a function of the parameters and the data that gives the log density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hdsl.backend import Program
from hdsl.model.distributions import DISTRIBUTIONS as LAWS
from hdsl.model.functions import FUNCTIONS as RULES
from hdsl.model.ir import Apply, Const, Dims, Expr, Law, Model, RandomVariable, Var
from hdsl.model.walk import needed
from hdsl_laplace.tables import DISTRIBUTIONS, FUNCTIONS, REDUCTIONS, SURVIVAL

_HEAD = '''"""The log density of the study {title}, up to a constant."""

import jax.numpy as jnp
from jax.scipy.special import betaln, gammaln

SUPPORT = {supports}


def student(x, df, mean, scale):
    kernel = (df + 1) / 2 * jnp.log1p(((x - mean) / scale) ** 2 / df)
    return gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * jnp.log(df) - jnp.log(scale) - kernel


def log_density(parameters, data):
    total = 0.0
'''


class Code(NamedTuple):
    """Code of a value, and the index sets over which it runs."""

    text: str
    dims: Dims


class Scope(NamedTuple):
    """Names as they are written in the program, with their dims, and sizes of index sets."""

    values: Mapping[str, Code]
    sizes: Mapping[str, int]


def lower(model: Model) -> Program:
    """Return the program of a model that the tables can express."""
    kept, dims = needed(model), model.dims_of()
    names = {name: Code(f"v_{name}", dims[name]) for name in dims}
    scope = Scope(names, model.sizes)
    lines = [f'{names[slot.name].text} = data["{slot.name}"]' for slot in model.slots if slot.name in kept]
    for statement in model.statements:
        name = names[statement.name].text
        if isinstance(statement, RandomVariable):
            lines.append(f'{name} = parameters["{statement.name}"]')
            lines.append(_total(_density(statement.law, names[statement.name], scope)))
        elif statement.name in kept:
            lines.append(f"{name} = {along(code(statement.value, scope), statement.dims)}")
    for each in model.observations:
        seen = names[each.slot]
        value = _density(each.law, seen, scope)
        if each.event is not None:
            lasted = _filled(SURVIVAL[each.law.distribution], each.law, seen, scope)
            value = f"jnp.where({along(names[each.event], seen.dims)} == 1, {value}, {lasted})"
        if each.weight is not None:
            value = f"{along(names[each.weight], seen.dims)} * ({value})"
        lines.append(_total(value))
    lines += [_total(code(factor.value, scope).text) for factor in model.factors]
    supports = {each.name: LAWS[each.law.distribution].support for each in model.variables}
    title = " ".join(model.name.replace("\\", "/").replace('"', "'").split())
    body = "".join(f"    {line}\n" for line in (*lines, "return total"))
    return Program("laplace", _HEAD.format(title=title, supports=supports) + body, {name: name for name in supports})


def _total(value: str) -> str:
    return f"total = total + jnp.sum({value})"


def _density(law: Law, x: Code, scope: Scope) -> str:
    return _filled(DISTRIBUTIONS[law.distribution], law, x, scope)


def _filled(template: str, law: Law, x: Code, scope: Scope) -> str:
    parameters = LAWS[law.distribution].parameters
    args = {name: along(code(arg, scope), x.dims) for name, arg in zip(parameters, law.args, strict=True)}
    return template.format(x=x.text, **args)


def along(value: Code, dims: Dims) -> str:
    """Return code whose array broadcasts against one of `dims`, which include the value's own."""
    if value.dims == dims or not value.dims:
        return value.text
    own = [dim for dim in dims if dim in value.dims]
    text = f"jnp.transpose({value.text}, {tuple(value.dims.index(dim) for dim in own)})"
    return f"{text}[{', '.join(':' if dim in own else 'None' for dim in dims)}]"


def code(expr: Expr, scope: Scope) -> Code:
    """Return the code of an expression."""
    if isinstance(expr, Const):
        return Code(f"({expr.value!r})", ())
    if isinstance(expr, Var):
        return scope.values[expr.name]
    args = [code(arg, scope) for arg in expr.args]
    dims = RULES[expr.function].dims([arg.dims for arg in args], expr.static)
    if expr.function in FUNCTIONS:
        return Code(FUNCTIONS[expr.function].format(*(along(arg, dims) for arg in args)), dims)
    if expr.function == "gather":
        return Code(_gathered(args[0], args[1], str(expr.static[0]), dims, scope), dims)
    return Code(_along_one(expr, args[0], scope), dims)


def _along_one(expr: Apply, value: Code, scope: Scope) -> str:
    dim = str(expr.static[0])
    if expr.function == "column":
        places = [str(expr.static[1]) if each == dim else ":" for each in value.dims]
        return f"{value.text}[{', '.join(places)}]"
    if dim not in value.dims:
        return f"({scope.sizes[dim]} * {value.text})" if expr.function == "sum" else value.text
    return f"{REDUCTIONS[expr.function]}({value.text}, axis={value.dims.index(dim)})"


def _gathered(value: Code, index: Code, dim: str, dims: Dims, scope: Scope) -> str:
    """Return value[..., index, ...]: every dim of the value is indexed by an array over the dims of the result."""
    if value.dims == (dim,):
        return f"{value.text}[{along(index, dims)}]"
    places = {each: Code(f"jnp.arange({scope.sizes[each]})", (each,)) for each in value.dims} | {dim: index}
    return f"{value.text}[{', '.join(along(places[each], dims) for each in value.dims)}]"
