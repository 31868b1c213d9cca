"""Prior draws, new outcomes, and their agreement with the density (Geweke's joint-distribution test)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Factor, const
from hdsl.reference.density import log_density
from hdsl.reference.simulate import draw_outcome, prior_draw, simulate
from tests import models


def test_prior_draws_have_the_priors_moments() -> None:
    model, data = models.varying_slopes()
    draws = prior_draw(model, data, np.random.default_rng(1), draws=8000)
    assert draws["u"].shape == (8000, 6, 2)
    assert st.kstest(draws["intercept"], st.norm(0, 5).cdf).pvalue > 1e-3
    assert st.kstest(draws["sd_school"][:, 1], st.halfnorm(0, 1.5).cdf).pvalue > 1e-3
    assert st.kstest(draws["corr_school"][:, 1, 0], st.beta(2, 2, -1, 2).cdf).pvalue > 1e-3
    scaled = draws["sd_school"][:, :, None] * draws["corr_school"]
    centre = np.stack([draws["intercept"], draws["effect_tutor"]], -1)
    z = np.linalg.solve(scaled[:, None], (draws["u"] - centre[:, None])[..., None])[..., 0]
    assert st.kstest(z[:, 3, 1], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:, 3].T)[0, 1]) < 0.06


def test_one_prior_draw_has_no_leading_axis_and_a_finite_density() -> None:
    for build in models.MODELS.values():
        model, data = build()
        p = prior_draw(model, data, np.random.default_rng(2))
        for variable in model.variables:
            assert p[variable.name].shape == tuple(model.sizes[dim] for dim in variable.dims)
        assert np.isfinite(log_density(model, simulate(model, data, p, np.random.default_rng(3)), p))


@pytest.mark.parametrize("name", models.OBSERVABLE)
def test_simulated_outcomes_lie_in_the_support(name: str) -> None:
    model, data = models.observed(name)
    rng = np.random.default_rng(4)
    p = prior_draw(model, data, rng)
    new = simulate(model, data, p, rng)
    y, old = new.values["y"], data.values["y"]
    assert y.shape == old.shape
    assert y.dtype == old.dtype
    assert np.isfinite(log_density(model, new, p))
    assert set(new.values) == set(data.values)
    assert new.values["x"] is data.values["x"]
    assert not np.array_equal(y, old) or DISTRIBUTIONS[name].discrete


def test_the_same_seed_gives_the_same_draws() -> None:
    model, data = models.negbinomial()
    first = prior_draw(model, data, np.random.default_rng(5), draws=3)
    second = prior_draw(model, data, np.random.default_rng(5), draws=3)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_outcomes_over_posterior_draws() -> None:
    model, data = models.student_by_arm()
    p = prior_draw(model, data, np.random.default_rng(6), draws=5)
    drawn = draw_outcome(model, data, p, model.observations[0], np.random.default_rng(7), batch=("draw",))
    assert drawn.shape == (5, 30)


def test_censored_rows_keep_their_limit() -> None:
    model, data = models.censored_weibull()
    rng = np.random.default_rng(8)
    p = prior_draw(model, data, rng)
    p = {**p, "shape": np.asarray(1.0), "intercept": np.asarray(0.0), "a": np.zeros(5)}
    old, limit = data.values["ended"], data.values["y"]
    ended: list[np.ndarray] = []
    for _ in range(200):
        new = simulate(model, data, p, rng)
        ended.append(np.asarray(new.values["ended"]))
        cut = new.values["ended"] == 0
        assert np.all(old[cut] == 0)
        np.testing.assert_array_equal(new.values["y"][cut], limit[cut])
        assert np.all(new.values["y"][old == 0] <= limit[old == 0])
    assert np.all(np.stack(ended)[:, old == 1] == 1)
    assert 0 < np.mean(np.stack(ended)[:, old == 0]) < 1


def test_a_model_with_factors_has_no_prior_draws() -> None:
    model, data = models.crossed()
    more = model.model_copy(update={"factors": (Factor(name="f", value=const(1)),)})
    with pytest.raises(ValueError, match="factors"):
        prior_draw(more, data, np.random.default_rng(9))


def test_prior_and_density_agree_by_reweighting() -> None:
    """E[exp(log p(y | theta))] over the prior is the marginal density, known for a normal with normal prior."""
    model, data = models.prior("normal")
    draws = prior_draw(model, data, np.random.default_rng(10), draws=40_000)
    m, s, theta = draws["m"], draws["s"], draws["theta"]
    index = data.values["group_index"]
    y = data.values["y"]
    conditional = st.norm(theta[:, index], 1.5).logpdf(y).sum(1)
    spread = np.array([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
    exact = [
        st.multivariate_normal(np.full(3, m[i]), s[i] ** 2 * spread + 2.25 * np.eye(3)).pdf(y)
        for i in range(0, 40_000, 20)
    ]
    assert np.mean(np.exp(conditional)) == pytest.approx(np.mean(exact), rel=0.03)


def test_data_are_not_changed_in_place() -> None:
    model, data = models.crossed()
    before = np.array(data.values["y"])
    simulate(model, data, prior_draw(model, data, np.random.default_rng(11)), np.random.default_rng(12))
    np.testing.assert_array_equal(data.values["y"], before)
