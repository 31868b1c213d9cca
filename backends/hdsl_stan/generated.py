"""The generated quantities: log likelihood by row and replicated outcomes, where the data ask for them."""

from __future__ import annotations

from hdsl.model.distributions import DISTRIBUTIONS as KINDS
from hdsl.model.ir import Observation
from hdsl_stan import likelihood
from hdsl_stan.context import Context
from hdsl_stan.definitions import define, needed
from hdsl_stan.syntax import Conditional, Declare, If, Name, Number, Statement, Type
from hdsl_stan.values import Stored


def generated_quantities(context: Context, predict: str) -> list[Statement]:
    """Declare log likelihoods and replicates, filled where `predict` is 1; of sums over rows there are none."""
    observations = [each for each in context.model.observations if each.outcome]
    declared: list[Statement] = []
    filled: list[tuple[Observation, Stored, Stored]] = []
    for observation in observations:
        suffix = "" if len(observations) == 1 else f"_{context.names[observation.slot]}"
        kind = KINDS[observation.law.distribution]
        each_dims = observation.dims[: len(observation.dims) - kind.event]
        log_lik = Stored(context.fresh(f"log_lik{suffix}"), each_dims, "real")
        wanted = f"{context.names[observation.slot]}_rep"
        base = "vector" if kind.event else "int" if kind.discrete else "real"
        replicate = Stored(context.fresh(wanted), observation.dims, base)
        for each in (log_lik, replicate):
            sizes = [context.sizes[dim] for dim in each.dims]
            if sizes:
                sizes[0] = Conditional(Name(predict), sizes[0], Number(0))
            declared.append(
                Declare(Type(each.base, tuple(sizes[each.arrays :]), tuple(sizes[: each.arrays])), each.name)
            )
        filled.append((observation, log_lik, replicate))
    context.body = []
    for definition in needed(context, observations):
        define(context, definition)
    for observation, log_lik, replicate in filled:
        likelihood.generated(context, observation, log_lik, replicate)
    body = tuple(context.body)
    return [*declared, If(Name(predict), body)] if declared else []
