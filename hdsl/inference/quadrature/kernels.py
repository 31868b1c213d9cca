"""Log likelihoods of outcomes as functions of their linear predictor, with slopes and curvatures.

Arrays are (points, cells). `ready` is what follows from the outcomes and from the family's own parameters and is
the same for all values of the predictor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdsl.reference.values import Array

Ready = tuple[Any, ...]


@dataclass(frozen=True)
class Outcome:
    """The outcomes of cells: values, trials (binomial), weights or None; each of shape (cells,)."""

    y: Array
    trials: Array
    weight: Array | None

    def of(self, cells: slice) -> Outcome:
        """Return the outcomes of some cells."""
        return Outcome(self.y[cells], self.trials[cells], None if self.weight is None else self.weight[cells])


@dataclass(frozen=True)
class Kernel:
    """A family of outcomes.

    `ready(outcome, extra)`: extra (points, m), the family's own parameters. `value(ready, eta)`: the log likelihood;
    `slopes(ready, eta)`: its slope and minus its curvature. `constant(outcome, extra)`, shape (points,): the terms on
    which eta does not bear, summed over cells.
    """

    ready: Callable[[Outcome, Array], Ready]
    value: Callable[[Ready, Array], Array]
    slopes: Callable[[Ready, Array], tuple[Array, Array]]
    constant: Callable[[Outcome, Array], Array]


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x))."""
    found = np.abs(x)
    np.negative(found, out=found)
    np.exp(found, out=found)
    found += 1.0
    np.log(found, out=found)
    found += np.maximum(x, 0.0)
    return found


def inv_logit(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)); exp(-x) may overflow to infinity."""
    found = np.negative(x)
    np.exp(found, out=found)
    found += 1.0
    return np.divide(1.0, found, out=found)


def _weighted(outcome: Outcome, *sums: Array) -> Array:
    total = sum(sums)
    return np.sum(total if outcome.weight is None else total * outcome.weight, axis=-1)


def _log_choose(outcome: Outcome, extra: Array) -> Array:
    from scipy.special import gammaln

    y, n = outcome.y, outcome.trials
    ways = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)
    return np.broadcast_to(_weighted(outcome, ways), (len(extra),))


def _logit_ready(outcome: Outcome, extra: Array) -> Ready:
    return outcome.y, outcome.trials


def _logit_value(ready: Ready, eta: Array) -> Array:
    y, n = ready
    found = softplus(eta)
    found *= n
    return np.subtract(y * eta, found, out=found)


def _logit_slopes(ready: Ready, eta: Array) -> tuple[Array, Array]:
    y, n = ready
    p = inv_logit(eta)
    mean = n * p
    return y - mean, mean * (1.0 - p)


def _probit_value(ready: Ready, eta: Array) -> Array:
    from scipy.special import log_ndtr

    y, n = ready
    return y * log_ndtr(eta) + (n - y) * log_ndtr(-eta)


def _probit_slopes(ready: Ready, eta: Array) -> tuple[Array, Array]:
    from scipy.special import log_ndtr

    y, n = ready
    log_phi = -0.5 * eta**2 - 0.5 * np.log(2 * np.pi)
    up, down = np.exp(log_phi - log_ndtr(eta)), np.exp(log_phi - log_ndtr(-eta))
    return y * up - (n - y) * down, y * up * (eta + up) + (n - y) * down * (down - eta)


def _cloglog_value(ready: Ready, eta: Array) -> Array:
    y, n = ready
    rate = np.exp(eta)
    return y * np.log(-np.expm1(-rate)) - (n - y) * rate


def _cloglog_slopes(ready: Ready, eta: Array) -> tuple[Array, Array]:
    y, n = ready
    rate = np.exp(np.minimum(eta, 30.0))
    below = np.expm1(rate)
    up = rate / below
    bend = up * (rate - 1.0 + up)
    return y * up - (n - y) * rate, y * bend + (n - y) * rate


def _poisson_ready(outcome: Outcome, extra: Array) -> Ready:
    return (outcome.y,)


def _poisson_value(ready: Ready, eta: Array) -> Array:
    found = ready[0] * eta
    found -= np.exp(eta)
    return found


def _poisson_slopes(ready: Ready, eta: Array) -> tuple[Array, Array]:
    mean = np.exp(eta)
    return ready[0] - mean, mean


def _log_factorial(outcome: Outcome, extra: Array) -> Array:
    from scipy.special import gammaln

    return np.broadcast_to(-_weighted(outcome, gammaln(outcome.y + 1)), (len(extra),))


def _negbinomial_ready(outcome: Outcome, extra: Array) -> Ready:
    shape = extra[:, :1]
    return outcome.y, outcome.y + shape, np.log(shape)


def _negbinomial_value(ready: Ready, eta: Array) -> Array:
    y, n, middle = ready
    found = softplus(eta - middle)
    found *= n
    return np.subtract(y * eta, found, out=found)


def _negbinomial_slopes(ready: Ready, eta: Array) -> tuple[Array, Array]:
    y, n, middle = ready
    p = inv_logit(eta - middle)
    mean = n * p
    return y - mean, mean * (1.0 - p)


def _negbinomial_constant(outcome: Outcome, extra: Array) -> Array:
    """log Gamma(y + s) - log Gamma(s) - log y! - y log s, by distinct y."""
    from scipy.special import gammaln

    y, place = np.unique(outcome.y, return_inverse=True)
    times = np.bincount(place.reshape(-1), outcome.weight, minlength=len(y))
    shape = extra[:, :1]
    each = gammaln(y + shape) - gammaln(shape) - gammaln(y + 1) - y * np.log(shape)
    return each @ times


def _ordinal_ready(outcome: Outcome, extra: Array) -> Ready:
    """Return the cutpoints above and below each outcome, and the log of what their distance takes off."""
    edge = np.full((len(extra), 1), np.inf)
    padded = np.concatenate([-edge, extra, edge], axis=1)
    with np.errstate(all="ignore"):
        gap = np.log(-np.expm1(padded[:, :-1] - padded[:, 1:]))
    category = outcome.y.astype(np.intp)
    return padded[:, category + 1], padded[:, category], gap[:, category]


def _ordinal_value(ready: Ready, eta: Array) -> Array:
    above, below, gap = ready
    return gap - softplus(eta - above) - softplus(below - eta)


def _ordinal_slopes(ready: Ready, eta: Array) -> tuple[Array, Array]:
    above, below, _ = ready
    over, under = inv_logit(eta - above), inv_logit(below - eta)
    return under - over, over * (1.0 - over) + under * (1.0 - under)


def _nothing(outcome: Outcome, extra: Array) -> Array:
    return np.zeros(len(extra))


KERNELS: Mapping[str, Kernel] = {
    "logit": Kernel(_logit_ready, _logit_value, _logit_slopes, _log_choose),
    "probit": Kernel(_logit_ready, _probit_value, _probit_slopes, _log_choose),
    "cloglog": Kernel(_logit_ready, _cloglog_value, _cloglog_slopes, _log_choose),
    "poisson": Kernel(_poisson_ready, _poisson_value, _poisson_slopes, _log_factorial),
    "negbinomial": Kernel(_negbinomial_ready, _negbinomial_value, _negbinomial_slopes, _negbinomial_constant),
    "ordinal": Kernel(_ordinal_ready, _ordinal_value, _ordinal_slopes, _nothing),
}
