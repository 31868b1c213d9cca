"""Draws summarised: mean, standard deviation and quantiles, one entry per element of the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hdsl.storage import blocks, turned

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Summary:
    """The posterior of one number.

    Attributes
    ----------
    name : str
        An estimand's name or a parameter's role.
    index : mapping
        Level to label, for one element of an indexed quantity.
    positive : float
        The posterior probability that the number is above zero.
    curve : bool
        Whether the index is a covariate along which a curve is shown.
    """

    name: str
    index: Mapping[str, str]
    mean: float
    sd: float
    q5: float
    q50: float
    q95: float
    positive: float
    curve: bool = False

    def to_json(self, key: str) -> dict[str, object]:
        """Return the JSON entry, with the name under `key` (`name` or `role`)."""
        return {
            key: self.name,
            "index": dict(self.index),
            "mean": self.mean,
            "sd": self.sd,
            "q5": self.q5,
            "q50": self.q50,
            "q95": self.q95,
        }


def summarise(
    name: str, draws: NDArray[np.float64], index: Mapping[str, Sequence[str]], *, curve: bool = False
) -> list[Summary]:
    """Return a summary of each element.

    Parameters
    ----------
    draws : float array, shape (chain, draw, *sizes of index)
    index : mapping
        Level to labels, in the order of the axes.
    """
    flat = draws.reshape(draws.shape[0] * draws.shape[1], -1)
    found: list[Summary] = []
    elements = _elements(index)
    for some in blocks(flat.shape[1], len(flat)):
        found += [Summary(name, next(elements), *each, curve=curve) for each in _numbers(turned(flat, some))]
    return found


def _numbers(rows: NDArray[np.float64]) -> list[list[float]]:
    """Return mean, standard deviation (nan for one draw), quantiles and share above zero of rows, which it sorts."""
    mean = rows.mean(axis=1)
    spread = rows.std(axis=1, ddof=1) if rows.shape[1] > 1 else np.full(len(rows), np.nan)
    positive = (rows > 0).mean(axis=1)
    rows.sort(axis=1)
    quantiles = np.quantile(rows, QUANTILES, axis=1, overwrite_input=True)
    # adding 0.0 turns -0.0 into 0.0
    return (np.stack([mean, spread, *quantiles, positive], axis=1) + 0.0).tolist()


def _elements(index: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for labels in product(*index.values()):
        yield dict(zip(index, labels, strict=True))
