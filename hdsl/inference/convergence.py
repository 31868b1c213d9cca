"""R-hat and effective sample sizes of many quantities at once.

Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2): rank-normalised split
R-hat, bulk and tail effective sample sizes. The numbers are those of ArviZ, which computes them one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hdsl.reference.values import Array

AT_ONCE = 128
TAIL = (0.05, 0.95)
LEAST_DRAWS = 4


class Convergence(NamedTuple):
    """R-hat, bulk and tail effective sample size, one of each per quantity; NaN where they cannot be told."""

    rhat: Array
    bulk: Array
    tail: Array


def convergence(columns: Array) -> Convergence:
    """Return the convergence statistics of quantities.

    Parameters
    ----------
    columns : array, shape (chain, draw, quantity)

    Returns
    -------
    Convergence
        Arrays of shape (quantity,). NaN for a quantity that is constant or not finite, for fewer than four
        draws, and R-hat for a single chain.
    """
    count = columns.shape[2]
    if columns.shape[1] < LEAST_DRAWS or count == 0:
        return Convergence(*(np.full(count, np.nan) for _ in range(3)))
    parts = [_some(columns[:, :, start : start + AT_ONCE]) for start in range(0, count, AT_ONCE)]
    rhat, bulk, tail = (np.concatenate(each) for each in zip(*parts, strict=True))
    if columns.shape[0] < 2:
        rhat = np.full(count, np.nan)
    return Convergence(rhat, bulk, tail)


def _some(columns: Array) -> tuple[Array, Array, Array]:
    draws = np.ascontiguousarray(np.moveaxis(columns, 2, 0), dtype=np.float64)
    whole = draws.reshape(len(draws), -1)
    with np.errstate(invalid="ignore"):
        known = np.all(np.isfinite(whole), axis=1) & (np.ptp(whole, axis=1) > 0)
    split = _split(np.where(known[:, None, None], draws, 0.0))
    scaled = _normal_scores(split)
    centre = np.median(split, axis=(1, 2), keepdims=True)
    with np.errstate(all="ignore"):
        rhat = np.maximum(_rhat(scaled), _rhat(_normal_scores(np.abs(split - centre))))
        bulk = _ess(scaled)
        tail = np.minimum(*(_ess(_below(draws, share)) for share in TAIL))
    rhat, bulk, tail = (np.where(known, each, np.nan) for each in (rhat, bulk, tail))
    return rhat, bulk, tail


def _split(draws: Array) -> Array:
    """Return each chain's halves as chains of their own; the middle draw of an odd number is left out."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[:, :, :half], draws[:, :, -half:]], axis=1)


def _normal_scores(chains: Array) -> Array:
    """Return the normal quantiles of the draws' ranks; equal draws share their mean rank."""
    from scipy.special import ndtri

    flat = chains.reshape(len(chains), -1)
    size = flat.shape[1]
    order = np.argsort(flat, axis=1)
    increasing = np.take_along_axis(flat, order, axis=1)
    tied = np.any(increasing[:, 1:] == increasing[:, :-1], axis=1)
    ranks = np.broadcast_to(np.arange(1.0, size + 1), flat.shape)
    if np.any(tied):
        ranks = np.array(ranks)
        ranks[tied] = [_mean_ranks(each) for each in increasing[tied]]
    scores = np.empty_like(flat)
    np.put_along_axis(scores, order, ndtri((ranks - 0.375) / (size + 0.25)), axis=1)
    return scores.reshape(chains.shape)


def _mean_ranks(increasing: Array) -> Array:
    """Return the ranks of sorted numbers: `scipy.stats.rankdata`, whose module takes long to load."""
    first, after = (np.searchsorted(increasing, increasing, side) for side in ("left", "right"))
    return np.asarray(0.5 * (first + after + 1), dtype=np.float64)


def _below(draws: Array, share: float) -> Array:
    """Return, as split chains of 0 and 1, whether each draw lies at or below its quantity's quantile."""
    flat = draws.reshape(len(draws), -1)
    limit = np.quantile(flat, share, axis=1)
    return _split((draws <= limit[:, None, None]).astype(np.float64))


def _rhat(chains: Array) -> Array:
    length = chains.shape[2]
    between = length * np.var(np.mean(chains, axis=2), axis=1, ddof=1)
    within = np.mean(np.var(chains, axis=2, ddof=1), axis=1)
    return np.sqrt((between / within + length - 1) / length)


def _autocovariance(chains: Array) -> Array:
    """Return the mean over chains of the autocovariances, shape (quantity, lag)."""
    length = chains.shape[2]
    padded = 1 << (2 * length - 1).bit_length()
    centred = chains - np.mean(chains, axis=2, keepdims=True)
    power = np.mean(np.abs(np.fft.rfft(centred, padded, axis=2)) ** 2, axis=1)
    return np.fft.irfft(power, padded, axis=1)[:, :length] / length


def _ess(chains: Array) -> Array:
    """Return effective sample sizes by Geyer's initial monotone sequence."""
    _, number, length = chains.shape
    covariance = _autocovariance(chains)
    within = covariance[:, :1] * length / (length - 1)
    total = covariance[:, :1] + np.var(np.mean(chains, axis=2), axis=1, ddof=1)[:, None]
    correlation = 1 - (within - covariance) / total
    correlation[:, 0] = 1
    even = correlation[:, 0 : length - 1 : 2]
    pairs = even + correlation[:, 1:length:2]
    last = _last_pair(pairs, length)
    rows = np.arange(len(pairs))
    kept = np.arange(pairs.shape[1]) < last[:, None]
    decreasing = np.minimum.accumulate(pairs, axis=1)
    tail = even[rows, last]
    tail = np.where((tail > 0) | (pairs[rows, last] >= 0), tail, 0)
    time = -1 + 2 * np.sum(np.where(kept, decreasing, 0), axis=1) + tail
    return number * length / np.maximum(time, 1 / np.log10(number * length))


def _last_pair(pairs: Array, length: int) -> np.ndarray:
    """Return the first pair of autocorrelations whose sum is not positive, or the last that is looked at."""
    bound = min(max(0, -(-(length - 4) // 2)), pairs.shape[1] - 1)
    stopped = pairs <= 0
    stopped[:, bound] = True
    return np.argmax(stopped, axis=1)
