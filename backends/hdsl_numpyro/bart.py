"""Sums of regression trees, drawn by bartz between the steps of NUTS (Gibbs sampling by blocks).

Given the other parameters, the outcome less the rest of its mean is a sum of trees plus normal errors: bartz moves each
tree in that conditional distribution. Given the trees, NUTS moves the rest. Each leaves the joint posterior as it is,
and so does doing both in turn. The program reads the surface from its data, where each step puts the latest.
A binary outcome is made such a one by a Polya-Gamma variable for each row, drawn before the trees and then forgotten.
Sources: Chipman, George & McCulloch (2010); Tan & Roy (2019) on trees beside other terms; Polson, Scott & Windle
(2013) on binary outcomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from hdsl.backend import Settings
from hdsl.model.ir import Const, Model, ModelData, RandomVariable, Var
from hdsl_numpyro.adapt import FIRST_STEP, adapted, first
from hdsl_numpyro.kernel import BLOCK, Arrays, Kernel, constrain, free_shapes, statistics_of, unpack
from hdsl_numpyro.polya_gamma import polya_gamma
from hdsl_numpyro.runtime import ModelFunction

TREES = 200
DEPTH = 6
TYPICAL_SCALE = 2.0
FEWEST_TO_SPLIT = 10


@dataclass(frozen=True)
class Surface:
    """A surface of trees: its name, shape (arms, rows), and where the data of its training are."""

    name: str
    shape: tuple[int, ...]
    covariates: str
    arm: str
    sd: float
    binary: bool


def surface_of(model: Model) -> Surface | None:
    """Return the surface of a model, None where it has none."""
    return next((_read(model, each) for each in model.variables if each.law.distribution == "bart"), None)


def _read(model: Model, variable: RandomVariable) -> Surface:
    covariates, arm, sd = variable.law.args
    assert isinstance(covariates, Var)
    assert isinstance(arm, Var)
    assert isinstance(sd, Const)
    shape = tuple(model.sizes[dim] for dim in variable.dims)
    binary = any(observation.law.distribution == "bernoulli_logit" for observation in model.observations)
    return Surface(variable.name, shape, covariates.name, arm.name, sd.value, binary)


def build_with_trees(
    program: ModelFunction, surface: Surface, arrays: Arrays, data: ModelData, settings: Settings
) -> Kernel:
    """Return the sampler of a model with a surface; positions are those of NUTS, then the surface."""
    import jax

    full = {**arrays, surface.name: np.zeros(surface.shape)}
    shapes = free_shapes(program, full)
    inner = sum(prod(shape) for shape in shapes.values())
    forest = _Forest.of(surface, data)
    start, advance = _transitions(program, shapes, inner, surface, forest, settings)
    values = constrain(program, shapes)

    def constrained(positions: Any, arrays: Arrays) -> dict[str, Any]:
        known = {**arrays, surface.name: np.zeros(surface.shape)}
        found = values(positions[..., :inner], known)
        return {**found, surface.name: positions[..., inner:].reshape(*positions.shape[:-1], *surface.shape)}

    return Kernel(inner + prod(surface.shape), start, jax.jit(advance), constrained)


@dataclass(frozen=True)
class _Forest:
    """bartz's state before the first step, the binned covariates of every row under every arm, the rows' own arms."""

    initial: Any
    everywhere: Any
    own: Any
    shape: tuple[int, ...]

    @staticmethod
    def of(surface: Surface, data: ModelData) -> _Forest:
        import jax
        import jax.numpy as jnp
        from bartz.mcmcstep import Wishart, init, make_p_nonterminal
        from bartz.prepcovars import UniqueQuantileBinner

        covariates, arm = data.values[surface.covariates], data.values[surface.arm].astype(np.int64)
        rows = np.arange(surface.shape[1])
        with jax.enable_x64(False):  # bartz computes in single precision only
            trained = jnp.asarray(covariates[arm, rows].T, jnp.float32)
            binner = UniqueQuantileBinner(trained, max_subsample=None)
            flat = jnp.asarray(covariates.reshape(-1, covariates.shape[-1]).T, jnp.float32)
            initial = init(
                X=binner.bin(trained),
                y=jnp.zeros(len(rows), jnp.float32),
                offset=0.0,
                max_split=jnp.array(binner.max_split),
                num_trees=TREES,
                p_nonterminal=make_p_nonterminal(DEPTH),
                leaf_prior_cov_inv=Wishart(None, None, TREES / surface.sd**2),
                error_cov_inv=Wishart(1.0, 1.0, 1.0),
                error_scale=jnp.full(len(rows), TYPICAL_SCALE) if surface.binary else None,
                min_points_per_decision_node=FEWEST_TO_SPLIT,
            )
            everywhere = binner.bin(flat)
        return _Forest(initial, everywhere, (arm, rows), surface.shape)

    def values(self, state: Any) -> Any:
        """Return the surface, shape (arms, rows)."""
        from bartz.grove import evaluate_forest

        return evaluate_forest(self.everywhere, state.forest, sum_batch_axis=0).reshape(self.shape)

    def moved(self, key: Any, state: Any, target: Any, precision: Any) -> Any:
        """Return the state after a step for each tree, given what the surface is to explain and how precisely.

        The precision is one number, or one for each row of a binary outcome.
        """
        import jax
        from bartz.mcmcstep import step

        residual = (target - self.values(state)[self.own]) / state.resid_unit
        known = _with_precision(replace(state, resid=residual.astype(state.resid.dtype)), precision)
        with jax.enable_x64(False):
            return step(key, known)


def _with_precision(state: Any, precision: Any) -> Any:
    """Return bartz's state at other precisions; where they are by row, with the sums that it keeps for each leaf."""
    import jax
    import jax.numpy as jnp

    one = state.prec_scale is None
    value = jnp.asarray(precision if one else 1.0, jnp.float32)
    state = replace(state, error_cov_inv=replace(state.error_cov_inv, value=value))
    if one:
        return state
    scaled = jnp.asarray(precision / state.inv_sdev_unit**2, jnp.float32)
    kept = state.forest.prec_tree
    sums = jax.vmap(lambda leaves: jnp.zeros(kept.shape[-1], jnp.float32).at[leaves].add(scaled))
    tree = sums(state.forest.leaf_indices)
    for level in reversed(range(DEPTH - 1)):  # a node above leaves holds theirs, as after a branch is cut
        start, end = 2**level, 2 ** (level + 1)
        tree = tree.at[:, start:end].add(tree[:, 2 * start : 2 * end].reshape(len(tree), -1, 2).sum(axis=-1))
    forest = replace(state.forest, prec_tree=tree.astype(kept.dtype))
    narrow = scaled.astype(state.prec_scale.dtype)
    return replace(state, prec_scale=narrow, inv_sdev_scale=jnp.sqrt(narrow), forest=forest)


def _transitions(
    program: ModelFunction, shapes: Any, inner: int, surface: Surface, forest: _Forest, settings: Settings
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    import jax
    import jax.numpy as jnp
    from numpyro.infer.hmc import hmc
    from numpyro.infer.util import potential_energy

    def potential(arrays: Arrays) -> Callable[[Any], Any]:
        return lambda position: potential_energy(program, (arrays,), {}, unpack(position, shapes))

    begin, step = hmc(potential_fn_gen=potential, algo="NUTS")

    def start(key: Any, position: Any, arrays: Arrays) -> Any:
        nuts, trees = jax.random.split(key)
        state = begin(
            jnp.asarray(position)[:inner],
            settings.warmup,
            step_size=FIRST_STEP,
            target_accept_prob=settings.target_accept,
            max_tree_depth=settings.max_tree_depth,
            adapt_mass_matrix=False,
            adapt_step_size=False,
            model_args=({**arrays, surface.name: jnp.zeros(surface.shape)},),
            rng_key=nuts,
        )
        return (*first(state), jax.tree.map(jnp.array, forest.initial), trees)

    def transition(carried: Any, arrays: Arrays) -> Any:
        adaptation, state, trees, key = carried
        values = forest.values(trees).astype(float)
        known = {**arrays, surface.name: values}
        energy, gradient = jax.value_and_grad(potential(known))(state.z)
        state = step(state._replace(potential_energy=energy, z_grad=gradient), (known,), {})
        adaptation, state = adapted(adaptation, state, settings.warmup, settings.target_accept)
        key, augmenting, own = jax.random.split(key, 3)
        bare = {**arrays, surface.name: jnp.zeros(surface.shape)}
        target, precision = _left(program, unpack(state.z, shapes), bare, values[forest.own], augmenting)
        return adaptation, state, forest.moved(own, trees, target, precision), key

    def advance(state: Any, arrays: Arrays, count: Any) -> tuple[Any, Any, dict[str, Any]]:
        def one(at: Any, carried: Any) -> Any:
            state, positions, statistics = carried
            state = transition(state, arrays)
            place = jnp.concatenate([state[1].z, forest.values(state[2]).astype(float).ravel()])
            new = statistics_of(state[1])
            return state, positions.at[at].set(place), {n: v.at[at].set(new[n]) for n, v in statistics.items()}

        shaped = jax.eval_shape(statistics_of, state[1])
        statistics = {name: jnp.zeros(BLOCK, each.dtype) for name, each in shaped.items()}
        positions = jnp.zeros((BLOCK, inner + prod(surface.shape)))
        return jax.lax.fori_loop(0, count, one, (state, positions, statistics))

    return start, advance


def _left(program: ModelFunction, position: Any, arrays: Arrays, surface: Any, key: Any) -> tuple[Any, Any]:
    """Return what of the outcome the surface (now `surface` at the rows) is to explain, and the errors' precision."""
    import jax.numpy as jnp
    from numpyro import handlers
    from numpyro.infer.util import constrain_fn

    values = constrain_fn(program, (arrays,), {}, position)
    sites = handlers.trace(handlers.substitute(program, values)).get_trace(arrays)
    seen = next(site for site in sites.values() if site["type"] == "sample" and site["is_observed"])
    law, y = seen["fn"], seen["value"]
    if hasattr(law, "logits"):
        rest = jnp.broadcast_to(law.logits, surface.shape)
        precision = polya_gamma(key, rest + surface)
        return (y - 0.5) / precision - rest, precision
    base = getattr(law, "base_dist", law)
    outcome = y if base is law else jnp.log(y)
    return outcome - base.loc, jnp.ravel(base.scale)[0] ** -2.0
