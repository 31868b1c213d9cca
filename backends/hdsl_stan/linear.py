"""Sums with several terms coefficient * data as a design matrix times a vector.

Stan takes one pass over the rows then, and has densities that take the matrix and the coefficients apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hdsl.model.ir import Apply, Dims, Expr, Observation, RandomVariable, Var, add, mul, references
from hdsl_stan.context import Context
from hdsl_stan.expressions import assignment, free_dims, lower, precompute
from hdsl_stan.syntax import (
    All,
    Declare,
    Expression,
    Name,
    Number,
    Row,
    Tilde,
    Transpose,
    Type,
    added,
    at,
    binary,
)
from hdsl_stan.values import Value, literal

GLMS = {
    "normal": "normal_id_glm",
    "bernoulli_logit": "bernoulli_logit_glm",
    "poisson_log": "poisson_log_glm",
    "negbinomial_log": "neg_binomial_2_log_glm",
}
_FEWEST = 2


@dataclass(frozen=True)
class Term:
    """coefficient * column, where the column is data over `dims` and the coefficient a scalar."""

    coefficient: Expr
    column: Expr


@dataclass(frozen=True)
class Linear:
    """A design matrix, its coefficients, and the rest of the sum (None where nothing is left)."""

    matrix: Expression
    coefficients: Expression
    rest: Expr | None


def split(context: Context, expr: Expr) -> Linear | None:
    """Return the linear part of a sum over one dim, or None where it has fewer than two such terms."""
    dims = free_dims(context, expr)
    if len(dims) != 1 or not isinstance(expr, Apply) or expr.function not in ("add", "sub"):
        return None
    terms: list[Term] = []
    rest: list[Expr] = []
    for sign, part in _summands(expr, 1):
        term = _term(context, part, dims)
        if term is None:
            rest.append(part if sign > 0 else Apply(function="neg", args=(part,)))
        else:
            terms.append(Term(_signed(term.coefficient, sign), term.column))
    if len(terms) < _FEWEST:
        return None
    matrix = _design(context, tuple(term.column for term in terms), dims)
    nodes = tuple(lower(context, term.coefficient, {}).node for term in terms)
    return Linear(matrix, Transpose(Row(nodes)), add(*rest) if rest else None)


def lower_sum(context: Context, expr: Expr) -> Value | None:
    """Return a sum as matrix * coefficients + rest, or None where it is not such a sum."""
    linear = split(context, expr)
    if linear is None:
        return None
    product = binary("*", linear.matrix, linear.coefficients)
    dims = free_dims(context, expr)
    if linear.rest is None:
        return Value(product, dims)
    return Value(added(lower(context, linear.rest, {}).node, product), dims)


def glm(context: Context, observation: Observation) -> bool:
    """Write the law of data as one of Stan's densities of linear models, where it is one."""
    name = GLMS.get(observation.law.distribution)
    if name is None or observation.weight is not None or observation.event is not None:
        return False
    inlined = inlined_mean(context, observation)
    mean, *others = observation.law.args
    linear = split(context, mean if inlined is None else inlined[1])
    if linear is None:
        return False
    rest = literal(0) if linear.rest is None else lower(context, linear.rest, {})
    nodes = tuple(lower(context, other, {}).node for other in others)
    args = (linear.matrix, rest.node, linear.coefficients, *nodes)
    context.body.append(Tilde(Name(context.names[observation.slot]), name, args))
    return True


def inlined_mean(context: Context, observation: Observation) -> tuple[str, Expr] | None:
    """Return the definition that is the mean of `observation` and of use nowhere else, with its value."""
    name = observation.law.args[0]
    if not isinstance(name, Var) or observation.law.distribution not in GLMS:
        return None
    if observation.weight is not None or observation.event is not None:
        return None
    for definition in context.model.definitions:
        if definition.name == name.name and name.name not in context.fixed:
            alone = _uses(context, name.name) == 1 and context.model.unit in definition.dims
            return (name.name, definition.value) if alone and _is_linear(context, definition.value) else None
    return None


def _is_linear(context: Context, value: Expr) -> bool:
    dims = free_dims(context, value)
    if len(dims) != 1 or not isinstance(value, Apply) or value.function not in ("add", "sub"):
        return False
    return sum(_term(context, part, dims) is not None for _, part in _summands(value, 1)) >= _FEWEST


def _uses(context: Context, name: str) -> int:
    model = context.model
    exprs: list[Expr] = [factor.value for factor in model.factors]
    for statement in model.statements:
        exprs += statement.law.args if isinstance(statement, RandomVariable) else [statement.value]
    for observation in model.observations:
        exprs += observation.law.args
    return sum(name in references(expr) for expr in exprs)


def _summands(expr: Expr, sign: int) -> list[tuple[int, Expr]]:
    if isinstance(expr, Apply) and expr.function in ("add", "sub"):
        left, right = expr.args
        return [*_summands(left, sign), *_summands(right, sign if expr.function == "add" else -sign)]
    if isinstance(expr, Apply) and expr.function == "neg":
        return _summands(expr.args[0], -sign)
    return [(sign, expr)]


def _term(context: Context, part: Expr, dims: Dims) -> Term | None:
    """Return a product of data over `dims` and scalars that are not all data."""
    factors = _factors(part)
    columns = [each for each in factors if free_dims(context, each)]
    scalars = [each for each in factors if not free_dims(context, each)]
    if not columns or not scalars or all(references(each) <= context.fixed for each in scalars):
        return None
    column = mul(*columns)
    if not references(column) <= context.fixed or free_dims(context, column) != dims:
        return None
    return Term(mul(*scalars), column)


def _factors(expr: Expr) -> list[Expr]:
    if isinstance(expr, Apply) and expr.function == "mul":
        return [factor for arg in expr.args for factor in _factors(arg)]
    return [expr]


def _signed(coefficient: Expr, sign: int) -> Expr:
    return coefficient if sign > 0 else Apply(function="neg", args=(coefficient,))


def _design(context: Context, columns: Sequence[Expr], dims: Dims) -> Expression:
    """Return the matrix of the columns, made once in transformed data."""
    key = Apply(function="design", args=tuple(columns))
    if key in context.designs:
        return Name(context.designs[key])
    outer, context.body = context.body, []
    nodes = [_column(context, each) for each in columns]
    name = context.fresh("X" if dims[0] == context.model.unit else f"X_{dims[0]}")
    type_ = Type("matrix", (context.sizes[dims[0]], Number(len(columns))))
    context.body.append(Declare(type_, name))
    for position, node in enumerate(nodes):
        context.body.append(assignment(at(Name(name), All(), Number(position + 1)), node))
    context.transformed_data += context.body
    context.body = outer
    context.designs[key] = name
    return Name(name)


def _column(context: Context, expr: Expr) -> Expression:
    """Return a column's values, written out unless they have a name already."""
    if isinstance(expr, Apply) and expr in context.precomputed:
        return Name(precompute(context, expr).name)
    return lower(context, expr, {}).node
