"""The posterior around its mode: a multivariate t with the curvature there, corrected by importance resampling.

Source of the correction: Vehtari et al. (2024), Pareto smoothed importance sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Array, Draws, Program, SamplingFailed, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData

PROPOSALS = 20  # for each draw that is kept
DEGREES = 7.0
WORST_K = 0.7
STARTS = 5


class Target(NamedTuple):
    """The log density over a flat vector of unconstrained coordinates, and the map to the parameters."""

    size: int
    log_density: Callable[[Any], Any]
    constrain: Callable[[Any], tuple[dict[str, Any], Any]]


def loaded(program: Program) -> dict[str, Any]:
    """Return what the source of a program defines, with JAX in double precision."""
    import jax

    jax.config.update("jax_enable_x64", True)
    namespace: dict[str, Any] = {}
    exec(compile(program.source, "<laplace program>", "exec"), namespace)
    return namespace


def target(program: Program, model: Model, data: ModelData) -> Target:
    """Return the density that is approximated: positive parameters by their logs, shares by their logits."""
    source = loaded(program)
    import jax.numpy as jnp
    from jax.nn import log_sigmoid, sigmoid

    arrays = {name: jnp.asarray(each) for name, each in data.values.items()}
    shapes = {each.name: tuple(model.sizes[dim] for dim in each.dims) for each in model.variables}
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])

    def constrain(flat: Any) -> tuple[dict[str, Any], Any]:
        values, jacobian = {}, 0.0
        for (name, shape), part in zip(shapes.items(), jnp.split(flat, ends[:-1]), strict=True):
            support = source["SUPPORT"][name]
            if support == "positive":
                values[name], slope = jnp.exp(part), part
            elif support == "unit":
                values[name], slope = sigmoid(part), log_sigmoid(part) + log_sigmoid(-part)
            else:
                values[name], slope = part, jnp.zeros(())
            values[name] = values[name].reshape(shape)
            jacobian = jacobian + jnp.sum(slope)
        return values, jacobian

    def log_density(flat: Any) -> Any:
        values, jacobian = constrain(flat)
        return source["log_density"](values, arrays) + jacobian

    return Target(int(ends[-1]), log_density, constrain)


def sample(program: Program, model: Model, data: ModelData, settings: Settings) -> Draws:
    """Draw from the approximation, by importance. Raises SamplingFailed where it is too far from the posterior."""
    import jax
    from arviz_stats.base import array_stats

    rng = np.random.default_rng(settings.seed)
    goal = target(program, model, data)
    mode = _mode(goal, rng)
    factor = _scale(goal, mode)
    wanted = settings.chains * settings.draws
    normals = rng.normal(size=(PROPOSALS * wanted, goal.size))
    stretch = np.sqrt(DEGREES / rng.chisquare(DEGREES, len(normals)))
    points = mode + stretch[:, None] * (normals @ factor.T)
    heights = np.asarray(jax.jit(jax.vmap(goal.log_density))(points))
    spread = np.sum(normals**2, axis=1) * stretch**2
    log_weights = np.nan_to_num(heights + (DEGREES + goal.size) / 2 * np.log1p(spread / DEGREES), nan=-np.inf)
    smoothed, k = array_stats.psislw(np.max(log_weights) - log_weights)
    if not k < WORST_K:
        raise _too_far(float(k))
    weights = np.exp(np.asarray(smoothed) - np.max(smoothed))
    weights /= np.sum(weights)
    chosen = points[rng.choice(len(points), wanted, p=weights)].reshape(settings.chains, settings.draws, -1)
    values = jax.jit(jax.vmap(jax.vmap(lambda flat: goal.constrain(flat)[0])))(chosen)
    return Draws(
        values={name: np.asarray(each, dtype=np.float64) for name, each in values.items()},
        statistics={},
        engine=f"normal approximation with importance resampling (Pareto k {k:.2f})",
        seconds={},
        quality={"khat": float(k), "importance_ess": float(1 / np.sum(weights**2))},
    )


def _mode(goal: Target, rng: np.random.Generator) -> Array:
    """Return the highest point that a search from several starts finds."""
    import jax
    from scipy.optimize import minimize

    climb = jax.jit(jax.value_and_grad(lambda flat: -goal.log_density(flat)))

    def down(flat: Array) -> tuple[float, Array]:
        height, slope = climb(flat)
        return float(height), np.asarray(slope, dtype=np.float64)

    starts = [np.zeros(goal.size), *rng.uniform(-1, 1, (STARTS - 1, goal.size))]
    found = [minimize(down, start, jac=True, method="BFGS", options={"maxiter": 2000}) for start in starts]
    best = min((each for each in found if np.isfinite(each.fun)), key=lambda each: each.fun, default=None)
    if best is None:
        raise _failed("HDM711", "No starting point with a finite density was found.", "Check the data and the priors.")
    return np.asarray(best.x, dtype=np.float64)


def _scale(goal: Target, mode: Array) -> NDArray[np.float64]:
    """Return the Cholesky factor of the inverse curvature at the mode."""
    import jax

    curvature = -np.asarray(jax.jit(jax.hessian(goal.log_density))(mode), dtype=np.float64)
    try:
        return np.linalg.cholesky(np.linalg.inv(curvature))
    except np.linalg.LinAlgError:
        message = "The posterior has no mode around which it is nearly normal."
        raise _failed("HDM712", message, "Use another backend, such as --backend numpyro.") from None


def _too_far(k: float) -> SamplingFailed:
    message = f"The posterior is too far from normal for this backend: Pareto k is {k:.2f}, above {WORST_K}."
    return _failed("HDM712", message, "Use another backend, such as --backend numpyro.")


def _failed(code: str, message: str, help_: str) -> SamplingFailed:
    return SamplingFailed([Diagnostic(code, message, help=help_)])


def natural(program: Program, data: ModelData) -> Callable[[Mapping[str, Array]], tuple[float, dict[str, Array]]]:
    """Return the log density of the parameters as given, with its gradient."""
    source = loaded(program)
    import jax
    import jax.numpy as jnp

    arrays = {name: jnp.asarray(each) for name, each in data.values.items()}
    function = jax.jit(jax.value_and_grad(lambda values: source["log_density"](values, arrays)))

    def evaluate(values: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
        height, slopes = function({name: jnp.asarray(each, dtype=float) for name, each in values.items()})
        return float(height), {name: np.asarray(each) for name, each in slopes.items()}

    return evaluate


def at_coordinates(program: Program, model: Model, data: ModelData) -> tuple[int, Callable[[Array], Any]]:
    """Return the number of coordinates, and the density that is approximated with the values at a point."""
    goal = target(program, model, data)

    def evaluate(flat: Array) -> tuple[float, dict[str, Array]]:
        values = {name: np.asarray(each) for name, each in goal.constrain(flat)[0].items()}
        return float(goal.log_density(flat)), values

    return goal.size, evaluate
