"""The mixture of normals against SciPy's normal distribution, quadrature and draws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy.stats as st
from numpy.testing import assert_allclose
from scipy.integrate import quad

from hdsl.reference import distributions as ref
from hdsl.reference.values import Value

LOGITS = np.array([0.4, -1.0, 0.1])
MEANS = np.array([[-2.0, 0.5, 3.0], [0.0, 0.0, 4.0]])
SDS = np.array([0.5, 1.0, 0.2])
ARGS = [Value(("k",), LOGITS), Value(("g", "k"), MEANS), Value(("k",), SDS)]
WEIGHTS = np.exp(LOGITS) / np.sum(np.exp(LOGITS))


def test_density_is_the_weighted_sum() -> None:
    x = np.array([0.3, 3.1])
    got = ref.log_density("normal_mixture", Value(("g",), x), ARGS)
    each = st.norm.pdf(x[:, None], MEANS, SDS)
    assert got.dims == ("g",)
    assert_allclose(got.real, np.log(each @ WEIGHTS), rtol=1e-12)


def test_far_in_the_tail_it_stays_finite() -> None:
    got = ref.log_density("normal_mixture", Value(("g",), np.array([400.0, -400.0])), ARGS).real
    wanted = [max(np.log(WEIGHTS) + st.norm.logpdf(400.0, MEANS[0], SDS))]
    assert_allclose(got[0], wanted[0], rtol=1e-10)


def test_moments_are_integrals() -> None:
    def density(x: float) -> float:
        return float(np.exp(ref.log_density("normal_mixture", Value(("g",), np.array([x, x])), ARGS).real[0]))

    edges = [-12.0, -2.0, 0.5, 2.5, 3.0, 3.5, 12.0]
    moments = [sum(quad(lambda x, k=k: x**k * density(x), a, b)[0] for a, b in pairwise(edges)) for k in range(3)]
    mean = ref.mean("normal_mixture", ARGS, ("g",)).real
    variance = ref.variance("normal_mixture", ARGS, ("g",)).real
    assert_allclose([1.0, mean[0], variance[0] + mean[0] ** 2], moments, rtol=1e-6)
    cdf = ref.cdf("normal_mixture", Value(("g",), np.array([0.5, 0.5])), ARGS).real
    below = sum(quad(density, a, b)[0] for a, b in pairwise(edges[:3]))
    assert_allclose(cdf[0], below, rtol=1e-6)
    survival = ref.survival("normal_mixture", Value(("g",), np.array([0.5, 0.5])), ARGS).real
    assert_allclose(cdf + survival, 1.0)


def test_draws_follow_it() -> None:
    drawn = ref.draw("normal_mixture", np.random.default_rng(3), ARGS, ("n", "g"), {"n": 4000, "g": 2}).real
    for group in range(2):

        def below(x: np.ndarray, group: int = group) -> np.ndarray:
            return st.norm.cdf(np.asarray(x)[:, None], MEANS[group], SDS) @ WEIGHTS

        assert st.kstest(drawn[:, group], below).pvalue > 1e-3
