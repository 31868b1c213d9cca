"""What is said of the inference is what is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdsl.backend import Settings, load
from hdsl.diagnostics import Diagnostic
from hdsl.inference.choose import choose
from hdsl.inference.exact.accept import NotAccepted, accepted_of
from hdsl.inference.exact.importance import Weighted
from hdsl.inference.fit import Fit, fit
from hdsl.inference.words import criteria, sampled_in_words
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.report.explain import inference_words
from tests import models
from tests.model import test_between, test_grouping_forms
from tests.passes import shapes

Case = tuple[Model, ModelData]
SETTINGS = Settings()


def said(case: Case) -> list[str]:
    """Return what is said of NUTS on a plain model."""
    return sampled_in_words(case[0], *prepare(*case))


def test_units_in_forms_of_their_own(tmp_path: Path) -> None:
    case = test_between.study(tmp_path, test_between.UNEVEN)
    (slot,) = [name for name in prepare(*case)[1].values if name.endswith("_share")]
    shares = prepare(*case)[1].values[slot]
    low, high = f"{shares.min():.2g}", f"{shares.max():.2g}"
    assert float(low) < 0.5 < float(high)
    assert said(case)[0] == (
        f"deviation(intercept, site): each unit between non-centred (0) and centred (1), at {low} to {high}"
    )


def test_groupings_between_the_forms(tmp_path: Path) -> None:
    """What is clear of districts centres them; schools are between."""
    case = test_grouping_forms.study(tmp_path)
    share = test_grouping_forms.forms(case)["school"].share
    assert said(case)[:2] == [
        "deviation(intercept, district): centred",
        f"deviation(intercept, school): between non-centred (0) and centred (1), at {share:g}",
    ]


def test_centred_and_non_centred(tmp_path: Path) -> None:
    """Twenty rows a site and a spread of three, or none."""
    clear = said(test_between.study(tmp_path, test_between.EVEN, sd=3.0))
    assert clear[0] == "deviation(intercept, site): centred"
    none = said(test_between.study(tmp_path, test_between.EVEN, sd=0.0))
    assert none[0] == "deviation(intercept, site): non-centred"
    assert none[1] == "sampled together with the mean of the non-centred deviations from them: intercept"


@pytest.mark.parametrize("sd", [0.0, 3.0])
def test_joint_effects(sd: float, tmp_path: Path) -> None:
    case = test_between.study(tmp_path, test_between.EVEN, sd=sd, more="vary x across site")
    roles = {variable.role for variable in prepare(*case)[0].variables}
    assert any("total(deviation(site))" in role for role in roles) == (sd > 0)
    words = "the first of them centred, the others non-centred given it" if sd else "non-centred"
    assert f"deviation(site): {words}" in said(case)


def test_starts_are_those_of_the_data(tmp_path: Path) -> None:
    """240 rows tell where slope and intercept are, and nothing tells where the spread between the sites is."""
    (starts,) = [line for line in said(test_between.study(tmp_path, test_between.EVEN)) if "chains start" in line]
    near, far = starts.split("; ")
    assert "slope(x)" in near
    assert "intercept" in near
    assert "residual" in near
    assert "sd(" not in near
    assert far == "around the middles of their priors for all else"


def test_starts_without_data(tmp_path: Path) -> None:
    model, data = models.prior("normal")
    assert "chains start around the middles of the priors, in their units" in said((model, data))


@pytest.mark.parametrize(("effective", "refused"), [(390, True), (410, False)])
def test_the_limits_are_those_that_are_met(effective: int, refused: bool, tmp_path: Path) -> None:
    """Of 4,000 weighted draws, a few with all the weight."""
    choice = choose(*shapes.made("joint effects", tmp_path), "numpyro", SETTINGS)
    assert "below 0.5 and at least 400 draws" in criteria(choice, SETTINGS)[0]
    rng = np.random.default_rng(1)
    weights = np.full(4_000, -60.0)
    weights[rng.choice(4_000, effective, replace=False)] = 0.0
    drawn = Weighted(rng.normal(size=(4_000, 1)), np.zeros(4_000), weights)
    found = accepted_of([drawn], SETTINGS, rng)
    assert (isinstance(found, NotAccepted) and f"{effective} effective draws of" in found.reason) == refused


def test_few_draws_are_judged_by_their_share(tmp_path: Path) -> None:
    choice = choose(*shapes.made("joint effects", tmp_path), "numpyro", SETTINGS)
    assert "at least 100 draws are" in criteria(choice, replace(SETTINGS, draws=100))[0]


def test_quadrature_has_a_limit_of_its_own() -> None:
    choice = choose(*models.bernoulli(), "numpyro", SETTINGS)
    assert "above 0.05" in criteria(choice, SETTINGS)[1]


def test_explained_wholly(tmp_path: Path) -> None:
    words = inference_words(*shapes.made("crossed", tmp_path))
    exact, nuts = words.split("Inference where a backend")
    assert "100 per chain; 25% of all, where that is less" in exact
    assert "in bulk and tails, in the chains made of them" in exact
    assert "curvature" in exact
    assert "deviation(intercept, month): " in nuts
    assert "chains start around" in nuts


def test_results_say_how(tmp_path: Path) -> None:
    """What was integrated out, in which form the rest is, and why draws are not exact."""
    backend = load("stan")
    assert not isinstance(backend, Diagnostic)
    short = Settings(chains=1, draws=20, warmup=40)
    case = shapes.made("crossed", tmp_path)
    found = fit(*case, backend, short)
    whole = fit(*case, backend, replace(short, inference="nuts"))
    assert isinstance(found, Fit)
    assert isinstance(whole, Fit)
    assert found.how.startswith("NUTS with effects integrated out; integrated out: deviation(intercept, person); ")
    assert "deviation(intercept, month): " in found.how
    assert found.how.endswith("exact draws were not made: stan was asked for")
    assert whole.how.startswith("NUTS on the whole model: NUTS was asked for; deviation(intercept, person): ")
    assert "chains start around" in whole.how
