"""Laws of data as Stan statements, row by row where Stan has no vectorised form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hdsl.model.distributions import DISTRIBUTIONS as KINDS
from hdsl.model.distributions import NESTED
from hdsl.model.ir import Apply, Const, Expr, Observation, Var
from hdsl.model.log_kernels import log_kernel
from hdsl_stan import lowrank
from hdsl_stan import nested as nested_groups
from hdsl_stan.context import POSITIONS, Context
from hdsl_stan.densities import Density, stan_law
from hdsl_stan.expressions import assignment, free_dims, local, lower
from hdsl_stan.linear import glm
from hdsl_stan.priors import joint, joint_args, nested
from hdsl_stan.syntax import (
    All,
    Declare,
    Expression,
    If,
    Name,
    Number,
    Statement,
    Target,
    Tilde,
    Type,
    at,
    binary,
    call,
)
from hdsl_stan.values import Env, Stored, access, element


@dataclass(frozen=True)
class Row:
    """The law of data at one element: the outcome, and Stan's name and arguments."""

    outcome: Expression
    density: Density
    name: str
    args: tuple[Expression, ...]


def likelihood(context: Context, observation: Observation) -> None:
    """Write the statements of a law of data in the model block."""
    density, name, _ = stan_law(observation.law)
    if observation.law.distribution == "multinormal_lowrank" and len(observation.dims) == 2:
        lowrank.likelihood(context, observation)
        return
    if observation.law.distribution in NESTED.values():
        nested_groups.likelihood(context, observation)
        return
    if density.user:
        context.functions.add(f"{name}_{_suffix(observation)}")
    if KINDS[observation.law.distribution].event:
        joint(context, context.stored[observation.slot], observation.law, observation.dims[:-1])
        return
    if glm(context, observation):
        return
    wide = density.vectorised and len(observation.dims) == 1
    if observation.weight is not None and observation.event is None and _kernel(context, observation):
        return
    if wide and observation.weight is None:
        (_censored if observation.event else _plain)(context, observation)
        return
    args = _wide_arguments(context, observation)
    nested(
        context,
        observation.dims,
        {},
        lambda env: context.body.extend(_statements(context, observation, env, args)),
    )


def generated(context: Context, observation: Observation, log_lik: Stored, replicate: Stored) -> None:
    """Write the loop that fills the log likelihood and the replicated outcomes."""
    if KINDS[observation.law.distribution].event:
        _generated_jointly(context, observation, log_lik, replicate)
        return
    args = _wide_arguments(context, observation)

    def write(env: Env) -> None:
        row = _at_row(context, observation, env, args)
        context.body += _log_likelihood(context, observation, row, element(log_lik, env), env)
        context.body.append(assignment(element(replicate, env), _draw(context, row)))

    nested(context, observation.dims, {}, write)


def _generated_jointly(context: Context, observation: Observation, log_lik: Stored, replicate: Stored) -> None:
    _, name, _ = stan_law(observation.law)
    *batch, event = observation.dims
    outcome = context.stored[observation.slot]

    def write(env: Env) -> None:
        args = joint_args(context, observation.law, (event,), env)
        log_density = call(f"{name}_lpdf", element(outcome, env), given=args)
        context.body.append(assignment(element(log_lik, env), log_density))
        context.body.append(assignment(element(replicate, env), call(f"{name}_rng", *args)))

    nested(context, tuple(batch), {}, write)


def _suffix(observation: Observation) -> str:
    return "lpmf" if KINDS[observation.law.distribution].discrete else "lpdf"


def _plain(context: Context, observation: Observation) -> None:
    density, name, args = stan_law(observation.law)
    nodes = tuple(
        _integer(context, arg, {}) if place in density.integers else lower(context, arg, {}).node
        for place, arg in enumerate(args)
    )
    context.body.append(Tilde(Name(context.names[observation.slot]), name, nodes))


def _integer(context: Context, arg: Expr, env: Env) -> Expression:
    if isinstance(arg, Const):
        return Number(int(arg.value))
    if isinstance(arg, Var):
        variable = context.stored[arg.name]
        return at(Name(variable.name), *(env.get(dim, All()) for dim in variable.dims))
    raise TypeError(f"an integer argument must be a slot or a number, not {arg}")


def _censored(context: Context, observation: Observation) -> None:
    """Write ended durations as draws and the others as survivals."""
    density, name, args = stan_law(observation.law)
    outcome = Name(context.names[observation.slot])
    wide = {
        place: local(context, arg, _wanted(observation, place))
        for place, arg in enumerate(args)
        if free_dims(context, arg)
    }
    ended, unended = _event_rows(context, observation)

    def chosen(rows: Expression) -> tuple[Expression, ...]:
        return tuple(
            at(Name(wide[place].name), rows) if place in wide else lower(context, arg, {}).node
            for place, arg in enumerate(args)
        )

    context.body.append(Tilde(at(outcome, ended), name, chosen(ended)))
    last = Row(at(outcome, unended), density, name, chosen(unended))
    context.body.append(Target(_survival(last)))


def _survival(row: Row) -> Expression:
    """Return the log probability of a value above the outcome."""
    if not row.density.mirror:
        return call(f"{row.name}_lccdf", row.outcome, given=row.args)
    outcome = call("log", row.outcome) if row.density.log else row.outcome
    mean, *others = row.args or (Number(0), Number(1))
    return call(f"{row.density.mirror}_lcdf", mean, given=(outcome, *others))


def _event_rows(context: Context, observation: Observation) -> tuple[Expression, Expression]:
    """Return the positions of ended and of censored rows, from transformed data."""
    return _positions(context, observation, "ended", 1), _positions(context, observation, "censored", 0)


def _positions(context: Context, observation: Observation, wanted: str, value: int) -> Expression:
    assert observation.event is not None
    event = context.stored[observation.event]
    key = Apply(function=f"rows_{wanted}", args=(Var(name=observation.event),))
    if key not in context.precomputed:
        whole: Expression = Name(event.name)
        whole = call("to_vector", whole) if event.base == "int" else whole
        search = call(POSITIONS, whole, Number(value))
        rows = Stored(context.fresh(f"rows_{wanted}"), observation.dims, "int")
        type_ = Type("int", arrays=(call("size", search),))
        context.transformed_data.append(Declare(type_, rows.name, search))
        context.precomputed[key] = rows
        context.functions.add(POSITIONS)
    return Name(context.precomputed[key].name)


def _kernel(context: Context, observation: Observation) -> bool:
    """Write weighted outcomes as one dot product, where the log density has a simple form."""
    assert observation.weight is not None
    outcome = Var(name=observation.slot)
    kernel = log_kernel(observation.law.distribution, outcome, observation.law.args)
    if kernel is None or len(observation.dims) != 1 or free_dims(context, kernel) != observation.dims:
        return False
    weight = lower(context, Var(name=observation.weight), {}).node
    context.body.append(Target(call("dot_product", weight, lower(context, kernel, {}).node)))
    return True


def _wide_arguments(context: Context, observation: Observation) -> tuple[Expr | Stored, ...]:
    """Return the arguments of a law, those over the rows computed once into local variables."""
    density, _, args = stan_law(observation.law)
    whole = density.integers + density.vectors
    return tuple(
        local(context, arg, _wanted(observation, place)) if place not in whole and _is_wide(context, arg) else arg
        for place, arg in enumerate(args)
    )


def _wanted(observation: Observation, place: int) -> str:
    """Return a name for an argument: the parameter of the law it is."""
    density, _, args = stan_law(observation.law)
    parameters = KINDS[observation.law.distribution].parameters
    same = len(args) == len(parameters) and args == observation.law.args
    return f"{parameters[place]}_{observation.dims[-1]}" if same else f"{density.name}_{place + 1}"


def _is_wide(context: Context, arg: Expr) -> bool:
    return isinstance(arg, Apply) and bool(free_dims(context, arg)) and arg.function != "stack"


def _at_row(context: Context, observation: Observation, env: Env, args: Sequence[Expr | Stored]) -> Row:
    density, name, _ = stan_law(observation.law)
    nodes: list[Expression] = []
    for place, arg in enumerate(args):
        if isinstance(arg, Stored):
            nodes.append(access(arg, [env.get(dim, All()) for dim in arg.dims]).node)
        elif place in density.integers:
            nodes.append(_integer(context, arg, env))
        else:
            nodes.append(lower(context, arg, env).node)
    outcome = element(context.stored[observation.slot], env)
    return Row(outcome, density, name, tuple(nodes))


def _statements(context: Context, observation: Observation, env: Env, args: Sequence[Expr | Stored]) -> list[Statement]:
    row = _at_row(context, observation, env, args)
    if observation.weight is None and observation.event is None:
        return [Tilde(row.outcome, row.name, row.args)]
    suffix = _suffix(observation).replace("lp", "lup") if not row.density.user else _suffix(observation)
    log_density = call(f"{row.name}_{suffix}", row.outcome, given=row.args)
    ended = Target(_weighted(context, observation, log_density, env))
    if observation.event is None:
        return [ended]
    unended = Target(_weighted(context, observation, _survival(row), env))
    event = element(context.stored[observation.event], env)
    return [If(binary("==", event, Number(1)), (ended,), (unended,))]


def _weighted(context: Context, observation: Observation, node: Expression, env: Env) -> Expression:
    if observation.weight is None:
        return node
    return binary("*", element(context.stored[observation.weight], env), node)


def _log_likelihood(
    context: Context, observation: Observation, row: Row, target: Expression, env: Env
) -> list[Statement]:
    """Return the statements that give `target` the row's log likelihood, with its constants."""

    def assigned(node: Expression) -> Statement:
        whole = binary("+", node, call("log2")) if row.density.doubled else node
        return assignment(target, _weighted(context, observation, whole, env))

    ended = assigned(call(f"{row.name}_{_suffix(observation)}", row.outcome, given=row.args))
    if observation.event is None:
        return [ended]
    event = element(context.stored[observation.event], env)
    return [If(binary("==", event, Number(1)), (ended,), (assigned(_survival(row)),))]


def _draw(context: Context, row: Row) -> Expression:
    """Return a draw from a row's law."""
    name = row.density.random or f"{row.name}_rng"
    if row.density.random:
        context.functions.add(name)
    drawn = call(name, *row.args)
    return call("abs", drawn) if row.density.doubled else drawn
