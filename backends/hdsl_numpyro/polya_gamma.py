"""Exact draws of the Polya-Gamma law PG(1, c), which makes a logistic likelihood normal given the draws.

With w ~ PG(1, psi), the likelihood of a binary y at log odds psi is, given w, that of (y - 1/2) / w seen with a normal
error of precision w. NumPyro has the law without tilt and truncated only. Source: Polson, Scott & Windle (2013),
section 4, after Devroye (2009): rejection from an exponential law above `MIDDLE` and an inverse Gaussian below it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MIDDLE = 0.64
TERMS = 12
LARGEST = 1e4


def polya_gamma(key: Any, tilt: Any) -> Any:
    """Return a draw of PG(1, c) for each c.

    Parameters
    ----------
    key : JAX random key
    tilt : float array, shape (n,)
        The log odds, c.
    """
    import jax
    import jax.numpy as jnp

    z = jnp.minimum(jnp.nan_to_num(jnp.abs(tilt) / 2), LARGEST)

    def proceed(carried: Any) -> Any:
        return jnp.any(carried[1] == 0)

    def again(carried: Any) -> Any:
        key, found = carried
        key, own = jax.random.split(key)
        proposal, accepted = _proposed(own, z)
        return key, jnp.where((found == 0) & accepted, proposal, found)

    _, found = jax.lax.while_loop(proceed, again, (key, jnp.zeros_like(z)))
    return found / 4


def _proposed(key: Any, z: Any) -> tuple[Any, Any]:
    """Return a proposal for each z, on a side of `MIDDLE` by its share of the envelope, and whether it is accepted."""
    import jax
    import jax.numpy as jnp

    side, below, above, accept = jax.random.split(key, 4)
    rate = np.pi**2 / 8 + z**2 / 2
    small = z < 1 / MIDDLE
    left = jnp.where(small, np.log(2) + jnp.log(jax.scipy.special.erfc(1 / np.sqrt(2 * MIDDLE))), np.log(2) - z)
    right = jnp.log(np.pi / (2 * rate)) - rate * MIDDLE
    low = jax.random.uniform(side, z.shape) < jax.nn.sigmoid(left - right)
    levy, tilted = _levy(below, z)
    inverse = jnp.where(small, levy, tilted)
    x = jnp.where(low, inverse, MIDDLE + jax.random.exponential(above, z.shape) / rate)
    kept = jnp.where(low, jnp.where(small, jnp.exp(-(z**2) * x / 2), 1.0), 1.0) * _ratio(x)
    return x, (jax.random.uniform(accept, z.shape) < kept) & (~low | (x <= MIDDLE))


def _levy(key: Any, z: Any) -> tuple[Any, Any]:
    """Return draws of the Levy law below `MIDDLE` and of the inverse Gaussian law of mean 1 / z and shape 1."""
    import jax
    import jax.numpy as jnp

    first, second, third = jax.random.split(key, 3)
    edge = np.sqrt(1 / MIDDLE)
    levy = jax.random.truncated_normal(first, edge, jnp.inf, z.shape) ** -2.0
    mean = 1 / jnp.maximum(z, 1e-8)
    square = jax.random.normal(second, z.shape) ** 2
    root = mean + mean**2 * square / 2 - mean / 2 * jnp.sqrt(4 * mean * square + (mean * square) ** 2)
    other = jax.random.uniform(third, z.shape) > mean / (mean + root)
    return levy, jnp.where(other, mean**2 / root, root)


def _ratio(x: Any) -> Any:
    """Return the alternating series of the density over its first term, which is the envelope."""
    import jax.numpy as jnp

    n = np.arange(TERMS)
    below = -2 * (n * (n + 1)) / x[..., None]
    above = -(np.pi**2) * (n * (n + 1)) * x[..., None] / 2
    terms = jnp.exp(jnp.where(x[..., None] <= MIDDLE, below, above)) * (2 * n + 1) * (-1.0) ** n
    return jnp.sum(terms, axis=-1)
