"""Adaptation of the step size and of a diagonal mass matrix.

Early in the warm-up the scale of a coordinate is the square root of the variance of its draws over the variance
of its gradients, which minimises the Fisher divergence to a normal distribution (Seyboldt, Carlson & Carpenter
2024, "Preconditioning Hamiltonian Monte Carlo by minimizing Fisher divergence"): five draws are enough to
begin, and trajectories are short from then on. Later it is the variance of the draws of a moving window, which
serves correlated posteriors better. The step size follows dual averaging (Hoffman & Gelman 2014) without
restarts, as the scales change little by little.
"""

from __future__ import annotations

from typing import Any, NamedTuple

EARLY_SHARE = 0.3
FROZEN_SHARE = 0.1
FIRST_STEP = 0.1
EARLY_WINDOW, LATE_WINDOW = 10, 200
LEAST_COUNT = 5
SMALLEST, LARGEST = 1e-20, 1e20


class Window(NamedTuple):
    """Running means and sums of squares of positions and gradients, each of shape (2, size)."""

    count: Any
    mean: Any
    squares: Any


class Adaptation(NamedTuple):
    """The window in use, the younger one that will replace it, and the state of the dual averaging."""

    foreground: Window
    background: Window
    averaging: Any


def empty_window(size: int) -> Window:
    """Return a window without draws."""
    import jax.numpy as jnp

    return Window(jnp.zeros((), int), jnp.zeros((2, size)), jnp.zeros((2, size)))


def first(state: Any) -> tuple[Adaptation, Any]:
    """Return an adaptation without draws, and the sampler state with scales guessed from the first gradient."""
    import jax.numpy as jnp
    from numpyro.infer.hmc_util import dual_averaging

    window = empty_window(state.z.size)
    begin: Any = dual_averaging()[0]
    guess = 1 / jnp.clip(jnp.abs(state.z_grad), 1e-10, 1e10)
    return Adaptation(window, window, begin(jnp.log(10 * FIRST_STEP))), _with_variance(state, guess)


def adapted(adaptation: Adaptation, state: Any, warmup: int, target_accept: float) -> tuple[Adaptation, Any]:
    """Return the adaptation and the sampler state after one more transition; unchanged after warm-up.

    The scales are frozen in the last tenth of the warm-up, which is left for the step size alone.
    """
    import jax
    import jax.numpy as jnp

    foreground, background = _windows(adaptation, state, warmup)
    scaled = _with_variance(state, _variance(foreground, state.adapt_state.inverse_mass_matrix))
    scaling = state.i <= (1 - FROZEN_SHARE) * warmup
    averaging, step = _step_size(adaptation, state, warmup, target_accept)
    moved = _either(scaling, scaled, state)
    moved = moved._replace(adapt_state=moved.adapt_state._replace(step_size=step))
    after = Adaptation(foreground, background, averaging), moved
    return jax.tree.map(lambda new, old: jnp.where(state.i <= warmup, new, old), after, (adaptation, state))


def _windows(adaptation: Adaptation, state: Any, warmup: int) -> tuple[Window, Window]:
    import jax.numpy as jnp

    point = jnp.stack([state.z, state.z_grad])
    foreground, background = _added(adaptation.foreground, point), _added(adaptation.background, point)
    full = background.count >= jnp.where(state.i < EARLY_SHARE * warmup, EARLY_WINDOW, LATE_WINDOW)
    return _either(full, background, foreground), _either(full, empty_window(state.z.size), background)


def _variance(window: Window, old: Any) -> Any:
    import jax.numpy as jnp

    draws, gradients = window.squares
    late = window.count >= LATE_WINDOW
    variance = jnp.clip(jnp.where(late, draws / (window.count - 1), jnp.sqrt(draws / gradients)), SMALLEST, LARGEST)
    usable = (window.count >= LEAST_COUNT) & jnp.isfinite(variance) & (draws > 0)
    return jnp.where(usable, variance, old)


def _step_size(adaptation: Adaptation, state: Any, warmup: int, target_accept: float) -> tuple[Any, Any]:
    import jax.numpy as jnp
    from numpyro.infer.hmc_util import dual_averaging

    _, update = dual_averaging()
    averaging = update(target_accept - state.accept_prob, adaptation.averaging)
    logarithm = jnp.where(state.i == warmup, averaging[1], averaging[0])
    return averaging, jnp.exp(jnp.clip(logarithm, -700.0, 700.0))


def _added(window: Window, point: Any) -> Window:
    count = window.count + 1
    change = point - window.mean
    mean = window.mean + change / count
    return Window(count, mean, window.squares + change * (point - mean))


def _either(test: Any, yes: Any, no: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda a, b: jnp.where(test, a, b), yes, no)


def _with_variance(state: Any, variance: Any) -> Any:
    import jax.numpy as jnp

    deviation = jnp.sqrt(variance)
    matrices = {
        "inverse_mass_matrix": variance,
        "mass_matrix_sqrt": 1 / deviation,
        "mass_matrix_sqrt_inv": deviation,
    }
    return state._replace(adapt_state=state.adapt_state._replace(**matrices))
