"""Draws summarised: mean, standard deviation and quantiles, one entry per element of the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

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
    low, middle, high = np.quantile(flat, QUANTILES, axis=0)
    columns = zip(
        _elements(index),
        (flat.mean(axis=0) + 0.0).tolist(),  # adding 0.0 turns -0.0 into 0.0
        _spread(flat).tolist(),
        (low + 0.0).tolist(),
        (middle + 0.0).tolist(),
        (high + 0.0).tolist(),
        (flat > 0).mean(axis=0).tolist(),
        strict=True,
    )
    return [Summary(name, element, *numbers, curve=curve) for element, *numbers in columns]


def _spread(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation over draws, nan where there is one draw only."""
    return flat.std(axis=0, ddof=1) if len(flat) > 1 else np.full(flat.shape[1], np.nan)


def _elements(index: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for labels in product(*index.values()):
        yield dict(zip(index, labels, strict=True))
