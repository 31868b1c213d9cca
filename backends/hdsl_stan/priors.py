"""Laws of parameters as Stan statements."""

from __future__ import annotations

from collections.abc import Callable

from hdsl.model.distributions import DISTRIBUTIONS as KINDS
from hdsl.model.ir import Dims, Expr, Law, RandomVariable, Var
from hdsl_stan.context import Context
from hdsl_stan.densities import stan_law
from hdsl_stan.expressions import assignment, free_dims, loop, lower
from hdsl_stan.syntax import Declare, Expression, Name, Tilde, Type, call
from hdsl_stan.values import Env, Stored, Value, element, fit

Write = Callable[[Env], None]


def prior(context: Context, variable: RandomVariable) -> None:
    """Write the statement of a parameter's law."""
    target = context.stored[variable.name]
    event = KINDS[variable.law.distribution].event
    batch = variable.dims[: len(variable.dims) - event]
    if variable.law.distribution == "normal_mixture":
        _mixture(context, target, variable.law, batch)
    elif variable.law.distribution == "ordered_normal":
        nested(context, batch, {}, lambda env: _elementwise(context, target, variable.law, env))
    elif event:
        joint(context, target, variable.law, batch)
    else:
        _elementwise(context, target, variable.law, {})


def nested(context: Context, dims: Dims, env: Env, write: Write) -> None:
    """Write loops over `dims` around what `write` writes for each element."""
    if not dims:
        write(env)
        return
    loop(context, dims[0], env, lambda inner: nested(context, dims[1:], inner, write))


def _elementwise(context: Context, target: Stored, law: Law, env: Env) -> None:
    dims = tuple(dim for dim in target.dims if dim not in env)
    _, name, args = stan_law(law)
    if len(dims) <= 1:
        nodes = tuple(lower(context, arg, env).node for arg in args)
        context.body.append(Tilde(element(target, env), name, nodes))
        return
    constant = not any(free_dims(context, arg) for arg in args)
    if len(dims) == 2 and constant:
        nodes = tuple(lower(context, arg, env).node for arg in args)
        context.body.append(Tilde(call("to_vector", element(target, env)), name, nodes))
        return
    dim = dims[-1] if len(dims) == 2 else dims[0]
    loop(context, dim, env, lambda inner: _elementwise(context, target, law, inner))


def _mixture(context: Context, target: Stored, law: Law, batch: Dims) -> None:
    """Write the law of numbers that are each of one of several components, its arguments vectors over these."""
    row, name, args = stan_law(law)
    context.functions.add(f"{name}_lpdf")
    (over,) = {dim for arg in args for dim in free_dims(context, arg)} - set(batch)

    def write(env: Env) -> None:
        nodes = tuple(fit(lower(context, arg, env), (over,), context.sizes).node for arg in args)
        context.body.append(Tilde(element(target, env), row.name, nodes))

    nested(context, batch, {}, write)


def joint(context: Context, target: Stored, law: Law, batch: Dims) -> None:
    """Write the statement of the law of vectors or matrices, one for each element of `batch`."""
    event = target.dims[len(batch) :]
    density, name, args = stan_law(law)
    if density.user:
        context.functions.add(f"{name}_lpdf")
    varies = any(dim in free_dims(context, args[-1]) for dim in batch)
    if law.distribution == "multinormal_cholesky" and len(batch) == 1 and not varies:
        mean = _means(context, args[0], batch[0], event[0])
        factor = _factor(context, args[1], event[0], {})
        context.body.append(Tilde(Name(target.name), name, (mean, factor)))
        return

    def write(env: Env) -> None:
        context.body.append(Tilde(element(target, env), name, joint_args(context, law, event, env)))

    nested(context, batch, {}, write)


def joint_args(context: Context, law: Law, event: Dims, env: Env) -> tuple[Expression, ...]:
    """Return Stan's arguments of the law of a vector or matrix over the dims `event`."""
    if law.distribution == "lkj_cholesky":
        return (lower(context, law.args[0], env).node,)
    first = fit(lower(context, law.args[0], env), (event[0],), context.sizes).node
    if law.distribution == "dirichlet":
        return (first,)
    if law.distribution == "multinormal_lowrank":
        sd = fit(lower(context, law.args[1], env), (event[0],), context.sizes).node
        return (first, sd, _factor(context, law.args[2], event[0], env))
    return (first, _factor(context, law.args[1], event[0], env))


def _factor(context: Context, arg: Expr, dim: str, env: Env) -> Expression:
    """Return a Cholesky factor with `dim` as its rows."""
    value = lower(context, arg, env)
    rows_first = Value(value.node, value.dims)
    if value.dims[0] != dim:
        rows_first = fit(value, (value.dims[1], value.dims[0]), context.sizes)
    return rows_first.node


def _means(context: Context, arg: Expr, batch: str, event: str) -> Expression:
    """Return the means of a multivariate normal: one vector, or an array of vectors over `batch`."""
    if batch not in free_dims(context, arg):
        return fit(lower(context, arg, {}), (event,), context.sizes).node
    if isinstance(arg, Var) and context.stored[arg.name].arrays == 1:
        return Name(context.stored[arg.name].name)
    means = Stored(context.fresh("mean_each"), (batch, event), "vector")
    sizes = context.sizes
    context.body.append(Declare(Type("vector", (sizes[event],), (sizes[batch],)), means.name))

    def write(env: Env) -> None:
        value = fit(lower(context, arg, env), (event,), sizes).node
        context.body.append(assignment(element(means, env), value))

    loop(context, batch, {}, write)
    return Name(means.name)
