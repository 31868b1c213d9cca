"""NUTS over one flat vector of unconstrained parameters, in blocks of draws that are compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any

from hdsl.backend import Settings
from hdsl_numpyro.adapt import FIRST_STEP, adapted, first
from hdsl_numpyro.runtime import ModelFunction

BLOCK = 100
# The first transitions, whose scales are guesses, have shallow trees (docs/decisions/0020-starts.md).
EARLY, EARLY_DEPTH = 50, 5
Arrays = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Kernel:
    """Compiled functions.

    `start(key, position, arrays)` gives a sampler state; `advance(state, arrays, count)` gives the state
    after `count` transitions (at most `BLOCK`), their positions and statistics; `constrain(positions, arrays)` gives
    the random variables of positions (..., size).
    """

    size: int
    start: Callable[..., Any]
    advance: Callable[..., tuple[Any, Any, dict[str, Any]]]
    constrain: Callable[..., dict[str, Any]]


def free_shapes(model: ModelFunction, arrays: Arrays) -> Shapes:
    """Return the shape of each random variable's unconstrained array."""
    import jax
    import jax.numpy as jnp
    from numpyro import handlers
    from numpyro.distributions import biject_to

    shapes: Shapes = {}

    def probe() -> None:
        sites = handlers.trace(handlers.seed(model, jax.random.key(0))).get_trace(arrays)
        for name, site in sites.items():
            if site["type"] == "sample" and not site["is_observed"]:
                shapes[name] = biject_to(site["fn"].support).inverse_shape(jnp.shape(site["value"]))

    jax.eval_shape(probe)
    return shapes


def unpack(position: Any, shapes: Shapes) -> dict[str, Any]:
    """Return the unconstrained array of each random variable from a flat position."""
    found: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        found[name] = position[at : at + prod(shape)].reshape(shape)
        at += prod(shape)
    return found


def build(model: ModelFunction, arrays: Arrays, settings: Settings) -> Kernel:
    """Trace and compile the sampler of a model."""
    import jax

    shapes = free_shapes(model, arrays)
    size = sum(prod(shape) for shape in shapes.values())
    start, advance = _transitions(model, shapes, settings)
    key, position = jax.random.key(0), jax.ShapeDtypeStruct((size,), float)
    count = jax.ShapeDtypeStruct((), int)
    starting = jax.jit(start).lower(key, position, arrays)
    state = jax.eval_shape(start, key, position, arrays)
    advancing = jax.jit(advance).lower(state, arrays, count)
    with ThreadPoolExecutor(2) as pool:
        compiled = [pool.submit(each.compile) for each in (advancing, starting)]
        advance_, start_ = (each.result() for each in compiled)
    return Kernel(size, start_, advance_, constrain(model, shapes))


def _transitions(model: ModelFunction, shapes: Shapes, settings: Settings) -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp
    from numpyro.infer.hmc import hmc
    from numpyro.infer.util import potential_energy

    def potential(arrays: Arrays) -> Callable[[Any], Any]:
        return lambda position: potential_energy(model, (arrays,), {}, unpack(position, shapes))

    begin, step = hmc(potential_fn_gen=potential, algo="NUTS")
    dense, depth = bool(settings.options.get("dense_mass", False)), settings.max_tree_depth

    def start(key: Any, position: Any, arrays: Arrays) -> Any:
        state = begin(
            position,
            settings.warmup if dense else min(EARLY, settings.warmup),
            step_size=1.0 if dense else FIRST_STEP,
            target_accept_prob=settings.target_accept,
            max_tree_depth=depth if dense else (min(EARLY_DEPTH, depth), depth),  # pyright: ignore[reportArgumentType]
            dense_mass=dense,
            adapt_mass_matrix=dense,
            adapt_step_size=dense,
            model_args=(arrays,),
            rng_key=key,
        )
        return (None, state) if dense else first(state)

    def advance(state: Any, arrays: Arrays, count: Any) -> tuple[Any, Any, dict[str, Any]]:
        def transition(at: Any, carried: Any) -> Any:
            (adaptation, state), positions, statistics = carried
            state = step(state, (arrays,), {})
            if adaptation is not None:
                adaptation, state = adapted(adaptation, state, settings.warmup, settings.target_accept)
            positions = positions.at[at].set(state.z)
            values = statistics_of(state)
            return (
                (adaptation, state),
                positions,
                {name: each.at[at].set(values[name]) for name, each in statistics.items()},
            )

        positions = jnp.zeros((BLOCK, state[1].z.size))
        shaped = jax.eval_shape(statistics_of, state[1])
        statistics = {name: jnp.zeros(BLOCK, each.dtype) for name, each in shaped.items()}
        return jax.lax.fori_loop(0, count, transition, (state, positions, statistics))

    return start, advance


def statistics_of(state: Any) -> dict[str, Any]:
    """Return the statistics of a transition."""
    import jax.numpy as jnp

    return {
        "diverging": state.diverging,
        "tree_depth": jnp.ceil(jnp.log2(state.num_steps + 1.0)).astype(int),
        "energy": state.energy,
        "n_steps": state.num_steps,
        "acceptance_rate": state.accept_prob,
        "step_size": state.adapt_state.step_size,
        "lp": -state.potential_energy,
    }


def constrain(model: ModelFunction, shapes: Shapes) -> Callable[..., dict[str, Any]]:
    """Return the function that gives the random variables of positions (chains, draws, size)."""
    import jax
    from numpyro.infer.util import constrain_fn

    def one(position: Any, arrays: Arrays) -> dict[str, Any]:
        values = constrain_fn(model, (arrays,), {}, unpack(position, shapes))
        return {name: values[name] for name in shapes}

    return jax.jit(jax.vmap(jax.vmap(one, (0, None)), (0, None)))
