"""Linear forms: expressions of a Model as sums of effects times known and unknown coefficients.

An expression that is linear in the *effects* (random variables with normal laws) is brought to a list of terms,
each an element of one effect, or the mean of its elements, times an array known from data, times an expression of
the other parameters that is the same for all rows. What cannot be brought to this form raises `NotLinear`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Apply,
    Dims,
    Expr,
    Model,
    RandomVariable,
    Var,
    apply,
    column,
    const,
    mul,
)
from hdsl.passes.marginal.classes import at_class, classes_of
from hdsl.passes.marginal.scope import (
    Form,
    Multiplied,
    NotLinear,
    Scope,
    Stacked,
    Sum,
    Term,
    known_value,
    parameters_behind,
)
from hdsl.reference.values import AnyArray, Array, Value, evaluate, expand, scalar, union

EXPANDED_AT_MOST = 200
KINDS_AT_MOST = 8


def form_of(expr: Expr, scope: Scope) -> Form:
    """Return an expression as a linear form; raises NotLinear."""
    behind = parameters_behind(expr, scope)
    if not behind:
        return Sum((Term(known=known_value(expr, scope)),))
    alone = not behind & scope.effects.keys()
    if alone and not dims_of(expr, scope.dims):
        return Sum((Term(unknown=expr),))
    if isinstance(expr, Var):
        return _named(expr.name, scope)
    assert isinstance(expr, Apply)
    rule = _RULES.get(expr.function)
    if rule is not None and not (alone and expr.function == "column"):
        return rule(expr, scope)
    if alone:
        return _side_by_side(expr, scope)
    raise NotLinear(f"{_roles(behind, scope)} stands within {expr.function}(...)")


def sum_of(expr: Expr, scope: Scope) -> Sum:
    """Return an expression without an unresolved dim as a sum of terms; raises NotLinear."""
    form = form_of(expr, scope)
    if isinstance(form, Stacked):
        raise NotLinear(f"effects over {form.dim} enter side by side")
    return form


def _roles(names: Iterable[str], scope: Scope) -> str:
    roles = sorted(v.role for v in scope.model.variables if v.name in set(names))
    return ", ".join(roles[:3]) + (", ..." if len(roles) > 3 else "")


def _named(name: str, scope: Scope) -> Form:
    if name in scope.effects:
        return whole_effect(scope.effects[name], scope.model)
    if name in scope.definitions:
        if name not in scope.made:
            scope.made[name] = form_of(scope.definitions[name].value, scope)
        return scope.made[name]
    return _side_by_side(Var(name=name), scope)


def whole_effect(variable: RandomVariable, model: Model) -> Form:
    """Return a random variable as the linear form that it is itself."""
    dims, across = unit_dims(variable, model)
    shape = [model.sizes[dim] for dim in dims]
    unit = Value(dims, np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)) if dims else None
    if across is None:
        return Sum((Term(effect=variable.name, unit=unit),))
    places = range(model.sizes[across])
    return Stacked(across, tuple(Sum((Term(effect=variable.name, unit=unit, place=place),)) for place in places))


def unit_dims(variable: RandomVariable, model: Model) -> tuple[Dims, str | None]:
    """Return the dims over whose elements an effect varies, and that of the effects that vary together.

    The latter is the event dim of a joint law, or the last of several dims if it is no level.
    """
    if DISTRIBUTIONS[variable.law.distribution].event:
        return variable.dims[:-1], variable.dims[-1]
    kinds = {index_set.name: index_set.kind for index_set in model.index_sets}
    if len(variable.dims) > 1 and kinds[variable.dims[-1]] != "level":
        return variable.dims[:-1], variable.dims[-1]
    return variable.dims, None


def plus(left: Form, right: Form) -> Form:
    """Return the sum of two forms."""
    if isinstance(left, Stacked) and isinstance(right, Stacked):
        if left.dim != right.dim:
            raise NotLinear(f"effects over {left.dim} and {right.dim} are added")
        pairs = zip(left.parts, right.parts, strict=True)
        return Stacked(left.dim, tuple(Sum((*a.terms, *b.terms)) for a, b in pairs))
    if isinstance(left, Stacked) or isinstance(right, Stacked):
        stacked, other = (left, right) if isinstance(left, Stacked) else (right, left)
        assert isinstance(stacked, Stacked)
        assert isinstance(other, Sum)
        parts = enumerate(stacked.parts)
        return Stacked(stacked.dim, tuple(Sum((*p.terms, *_at(other, stacked.dim, k).terms)) for k, p in parts))
    return Sum((*left.terms, *right.terms))


def times(left: Form, right: Form) -> Form:
    """Return the product of two forms, of which one has no effects."""
    if isinstance(left, Stacked) or isinstance(right, Stacked):
        stacked, other = (left, right) if isinstance(left, Stacked) else (right, left)
        assert isinstance(stacked, Stacked)
        parts = [_product(part, _at(other, stacked.dim, place)) for place, part in enumerate(stacked.parts)]
        return Stacked(stacked.dim, tuple(parts))
    return _product(left, right)


def _product(left: Sum, right: Sum) -> Sum:
    found = [_times(a, b) for a in left.terms for b in right.terms]
    return Sum(tuple(term for term in found if np.any(term.known.array)) or tuple(found[:1]))


def _times(left: Term, right: Term) -> Term:
    if left.effect is not None and right.effect is not None:
        raise Multiplied(left.effect if left.unit is None else right.effect)
    effect, other = (left, right) if left.effect is not None else (right, left)
    return replace(effect, known=product(left.known, right.known), unknown=mul(effect.unknown, other.unknown))


def product(left: Value, right: Value) -> Value:
    """Return the product of two known values, aligned by their dims."""
    if not left.dims and float(left.array) == 1.0:
        return right
    if not right.dims and float(right.array) == 1.0:
        return left
    dims = union(left.dims, right.dims)
    return Value(dims, expand(left, dims) * expand(right, dims))


def _at(form: Form, dim: str, place: int) -> Sum:
    """Return element `place` of a form along `dim`, which it may lack."""
    if isinstance(form, Stacked):
        if form.dim != dim:
            raise NotLinear(f"effects over {form.dim} and {dim} are combined")
        return form.parts[place]
    return Sum(tuple(_term_at(term, dim, place) for term in form.terms))


def _term_at(term: Term, dim: str, place: int) -> Term:
    unit = None if term.unit is None else _value_at(term.unit, dim, place)
    return replace(term, known=_value_at(term.known, dim, place), unit=unit)


def _value_at(value: Value, dim: str, place: int) -> Value:
    if dim not in value.dims:
        return value
    axis = value.dims.index(dim)
    return Value(value.dims[:axis] + value.dims[axis + 1 :], np.take(value.array, place, axis=axis))


def _sum_rule(expr: Apply, scope: Scope) -> Form:
    return plus(form_of(expr.args[0], scope), form_of(expr.args[1], scope))


def _difference_rule(expr: Apply, scope: Scope) -> Form:
    return plus(form_of(expr.args[0], scope), negative(form_of(expr.args[1], scope)))


def negative(form: Form) -> Form:
    """Return -form."""
    return times(form, Sum((Term(known=scalar(-1.0)),)))


def _quotient_rule(expr: Apply, scope: Scope) -> Form:
    below = expr.args[1]
    behind = parameters_behind(below, scope)
    if behind & scope.effects.keys():
        raise NotLinear(f"{_roles(behind, scope)} stands below a fraction line")
    if not behind:
        inverse = Term(known=known_value(apply("div", const(1), below), scope))
    elif not dims_of(below, scope.dims):
        inverse = Term(unknown=apply("div", const(1), below))
    elif dims_of(below, scope.dims) == (scope.model.unit,):
        return times(form_of(expr.args[0], scope), _by_kind(apply("div", const(1), below), scope))
    else:
        raise NotLinear(f"a divisor with {_roles(behind, scope)} differs between units")
    return times(form_of(expr.args[0], scope), Sum((inverse,)))


def _gather_rule(expr: Apply, scope: Scope) -> Form:
    values, index = expr.args
    over = str(expr.static[0])
    if parameters_behind(index, scope):
        raise NotLinear("an index rests on parameters")
    pointer = known_value(index, scope)
    form = form_of(values, scope)
    if isinstance(form, Stacked):
        if form.dim == over:
            parts = [_product(part, Sum((Term(known=_is(pointer, k)),))) for k, part in enumerate(form.parts)]
            return Sum(tuple(term for part in parts for term in part.terms))
        return Stacked(form.dim, tuple(gathered(part, pointer, over) for part in form.parts))
    return gathered(form, pointer, over)


def _is(pointer: Value, place: int) -> Value:
    return Value(pointer.dims, (pointer.array == place).astype(np.float64))


def gathered(form: Sum, pointer: Value, over: str) -> Sum:
    """Return a form at the elements of `over` to which an index points."""
    return Sum(tuple(_term_gathered(term, pointer, over) for term in form.terms))


def _term_gathered(term: Term, pointer: Value, over: str) -> Term:
    unit = None if term.unit is None else _value_gathered(term.unit, pointer, over)
    return replace(term, known=_value_gathered(term.known, pointer, over), unit=unit)


def _value_gathered(value: Value, pointer: Value, over: str) -> Value:
    if over not in value.dims:
        return value
    if value.dims == (over,):
        return Value(pointer.dims, np.take(value.array, pointer.array.astype(np.intp)))
    env = {"values": Value(value.dims, value.array), "index": pointer}
    found = evaluate(Apply(function="gather", args=(Var(name="values"), Var(name="index")), static=(over,)), env)
    return Value(found.dims, found.array.astype(value.array.dtype))


def _column_rule(expr: Apply, scope: Scope) -> Form:
    dim, place = str(expr.static[0]), int(expr.static[1])
    form = form_of(expr.args[0], scope)
    if isinstance(form, Stacked) and form.dim != dim:
        return Stacked(form.dim, tuple(_at(part, dim, place) for part in form.parts))
    return _at(form, dim, place)


def _stack_rule(expr: Apply, scope: Scope) -> Form:
    return Stacked(str(expr.static[0]), tuple(sum_of(arg, scope) for arg in expr.args))


def _dot_rule(expr: Apply, scope: Scope) -> Form:
    dim = str(expr.static[0])
    return _expanded(lambda place: times(*(_part(arg, dim, place, scope) for arg in expr.args)), dim, scope)


def _part(expr: Expr, dim: str, place: int, scope: Scope) -> Form:
    """Return element `place` of an expression along `dim`, as an expression of parameters where it is one."""
    if dim not in dims_of(expr, scope.dims):
        return form_of(expr, scope)
    if parameters_behind(expr, scope) & scope.effects.keys():
        form = form_of(expr, scope)
        if isinstance(form, Stacked) and form.dim != dim:
            return Stacked(form.dim, tuple(_at(part, dim, place) for part in form.parts))
        return _at(form, dim, place)
    return form_of(column(expr, dim, place), scope)


def _side_by_side(expr: Expr, scope: Scope) -> Form:
    """Return an expression of other parameters over one small dim as its elements side by side, over rows by kind."""
    left = dims_of(expr, scope.dims)
    if left == (scope.model.unit,):
        return _by_kind(expr, scope)
    if len(left) != 1 or scope.model.sizes[left[0]] > EXPANDED_AT_MOST:
        raise _differs(expr, scope)
    places = range(scope.model.sizes[left[0]])
    return Stacked(left[0], tuple(Sum((Term(unknown=column(expr, left[0], place)),)) for place in places))


def _differs(expr: Expr, scope: Scope) -> NotLinear:
    roles = _roles(parameters_behind(expr, scope), scope)
    return NotLinear(f"{roles} has no normal law and differs between units")


def _by_kind(expr: Expr, scope: Scope) -> Sum:
    """Return an expression of other parameters over rows, of which it has few kinds, as a term for each kind."""
    rows = (scope.model.unit,)
    try:
        kinds = classes_of(expr, rows, scope)
    except NotLinear:
        raise _differs(expr, scope) from None
    if kinds.size > KINDS_AT_MOST:
        raise _differs(expr, scope)
    if kinds.of_row is None:
        return Sum((Term(unknown=kinds.sd),))
    masks = [Value(rows, (kinds.of_row == kind).astype(np.float64)) for kind in range(kinds.size)]
    return Sum(tuple(Term(known=mask, unknown=at_class(kinds, kind)) for kind, mask in enumerate(masks)))


def _expanded(part: Callable[[int], Form], dim: str, scope: Scope) -> Form:
    size = scope.model.sizes[dim]
    if size > EXPANDED_AT_MOST:
        raise NotLinear(f"a sum over the {size} elements of {dim}")
    total = part(0)
    for place in range(1, size):
        total = plus(total, part(place))
    return total


def _total_rule(expr: Apply, scope: Scope) -> Form:
    """The sum or mean along a dim: of an effect's own elements, or written out where there are few."""
    dim, size = str(expr.static[0]), scope.model.sizes[str(expr.static[0])]
    form = form_of(expr.args[0], scope)
    share = 1.0 / size if expr.function == "mean" else 1.0
    if isinstance(form, Sum) and all(_averages(term, dim, scope) for term in form.terms):
        whole = [_average(term, dim, size) for term in form.terms]
        return times(Sum(tuple(whole)), Sum((Term(known=scalar(share * size)),)))
    total = _expanded(lambda place: _at(form, dim, place), dim, scope)
    return times(total, Sum((Term(known=scalar(share)),)))


def _averages(term: Term, dim: str, scope: Scope) -> bool:
    """Return whether the mean of a term along `dim` is its coefficient times an effect's mean."""
    if term.unit is None or term.average:
        return dim not in (() if term.unit is None else term.unit.dims)
    own = term.unit.dims == (dim,) and dim not in term.known.dims and term.effect is not None
    size = scope.model.sizes[dim]
    return own and bool(np.array_equal(term.unit.array, np.arange(size))) and _size(term, scope) == size


def _size(term: Term, scope: Scope) -> int:
    variable = scope.effects[str(term.effect)]
    return int(np.prod([scope.model.sizes[dim] for dim in unit_dims(variable, scope.model)[0]]))


def _average(term: Term, dim: str, size: int) -> Term:
    if term.unit is not None and not term.average:
        return replace(term, unit=None, average=True)
    if dim in term.known.dims:
        axis = term.known.dims.index(dim)
        rest = term.known.dims[:axis] + term.known.dims[axis + 1 :]
        return replace(term, known=Value(rest, np.asarray(np.mean(term.known.real, axis=axis))))
    return term


def _where_rule(expr: Apply, scope: Scope) -> Form:
    test, yes, no = expr.args
    if parameters_behind(test, scope):
        raise NotLinear("a condition rests on parameters")
    chosen = known_value(test, scope)
    mask = Value(chosen.dims, (chosen.array != 0).astype(np.float64))
    other = Value(chosen.dims, (chosen.array == 0).astype(np.float64))
    return plus(_masked(form_of(yes, scope), mask), _masked(form_of(no, scope), other))


def _masked(form: Form, mask: Value) -> Form:
    """Return a form where the mask is 1 and zero elsewhere, also where the form is not finite."""
    if isinstance(form, Stacked):
        raise NotLinear("effects side by side stand within where(...)")
    return Sum(tuple(replace(term, known=_selected(term.known, mask)) for term in form.terms))


def _selected(known: Value, mask: Value) -> Value:
    dims = union(known.dims, mask.dims)
    picked: Array = np.where(expand(mask, dims) != 0, expand(known, dims), 0.0)
    return Value(dims, picked)


def at_units(form: Sum, unit: Value | None, dims: Dims) -> Sum:
    """Return a form over `dims` (at most one) at the units to which a term points."""
    if unit is None or not dims:
        return form
    if len(dims) != 1:
        raise NotLinear("effects over two dims have means of their own")
    (dim,) = dims
    return gathered(form, unit, dim)


def array_of(value: Value, rows: Dims, sizes: Mapping[str, int]) -> AnyArray:
    """Return a value's array at the rows."""
    full = np.broadcast_to(
        value.array.transpose([value.dims.index(d) for d in rows if d in value.dims]).reshape(
            [sizes[dim] if dim in value.dims else 1 for dim in rows]
        ),
        [sizes[dim] for dim in rows],
    )
    return full.reshape(-1)


_RULES: Mapping[str, Callable[[Apply, Scope], Form]] = {
    "add": _sum_rule,
    "sub": _difference_rule,
    "mul": lambda expr, scope: times(form_of(expr.args[0], scope), form_of(expr.args[1], scope)),
    "div": _quotient_rule,
    "neg": lambda expr, scope: negative(form_of(expr.args[0], scope)),
    "gather": _gather_rule,
    "column": _column_rule,
    "stack": _stack_rule,
    "dot": _dot_rule,
    "sum": _total_rule,
    "mean": _total_rule,
    "where": _where_rule,
}
