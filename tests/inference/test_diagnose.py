"""What is said about good and bad draws."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
from hdsl_numpyro import backend
from numpy.typing import NDArray

from hdsl.backend import Draws, Settings
from hdsl.diagnostics import CODES
from hdsl.inference.diagnose import Diagnosis, diagnose, in_words
from hdsl.model.ir import Model, ModelData, apply, const, mul, var
from hdsl.resources import code_page
from tests import models

Array = NDArray[np.float64]


def _statistics(chains: int, draws: int) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(5)
    return {
        "diverging": np.zeros((chains, draws), dtype=bool),
        "tree_depth": np.full((chains, draws), 4),
        "energy": rng.normal(50, 3, (chains, draws)),
    }


def _diagnosed(
    draws: Array, statistics: Mapping[str, NDArray[np.generic]] | None = None, role: str = "effect(z)"
) -> tuple[Diagnosis, list[str]]:
    given = _statistics(*draws.shape[:2]) if statistics is None else statistics
    diagnosis, found = diagnose({role: draws}, Draws({}, given, "none", {}, max_tree_depth=10))
    assert all(d.severity == "warning" and d.help for d in found)
    return diagnosis, [d.code for d in found]


def _independent(chains: int = 4, draws: int = 1000, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(chains, draws))


def test_sound_draws() -> None:
    """Independent draws give no warning."""
    diagnosis, codes = _diagnosed(_independent())
    assert codes == []
    assert diagnosis.verdict == "ok"
    assert diagnosis.max_rhat < 1.01
    assert diagnosis.min_ess_bulk > 3000
    assert in_words(diagnosis).startswith("Sampling looks sound: 4 chains of 1000 draws, R-hat at most 1.0")


def test_chains_apart() -> None:
    """A chain elsewhere is HDM701, names the quantity, and fails."""
    draws = _independent()
    draws[2] += 3
    diagnosis, codes = _diagnosed(draws, role="sd(intercept, school)")
    assert codes[0] == "HDM701"
    assert diagnosis.verdict == "fail"
    assert diagnosis.worst_rhat == "sd(intercept, school)"


def test_slow_mixing() -> None:
    """Few effective draws are HDM702."""
    draws = _independent(draws=400)
    for at in range(1, 400):
        draws[:, at] = 0.8 * draws[:, at - 1] + 0.6 * draws[:, at]
    diagnosis, codes = _diagnosed(draws)
    assert "HDM702" in codes
    assert diagnosis.min_ess_bulk < 400
    assert diagnosis.verdict != "ok"


@pytest.mark.parametrize(("number", "verdict"), [(1, "warn"), (500, "fail")])
def test_divergences(number: int, verdict: str) -> None:
    """One divergence warns; a tenth of all draws fails."""
    statistics = _statistics(4, 1000)
    statistics["diverging"][1, :number] = True
    diagnosis, codes = _diagnosed(_independent(), statistics)
    assert codes == ["HDM703"]
    assert (diagnosis.divergences, diagnosis.verdict) == (number, verdict)


@pytest.mark.parametrize(("number", "throughout"), [(1, False), (400, False), (401, True), (4000, True)])
def test_divergence_throughout_has_words_of_its_own(number: int, throughout: bool) -> None:
    """Up to a tenth the step size is to be tried first; above it the results are no use, and the model comes first."""
    statistics = _statistics(4, 1000)
    statistics["diverging"].flat[:number] = True
    diagnosis, (found,) = diagnose({"effect(z)": _independent()}, Draws({}, statistics, "none", {}, max_tree_depth=10))
    assert found.code == "HDM703"
    assert found.message.startswith(f"{number} of 4000 draws diverged")
    assert ("cannot be used" in found.message, diagnosis.verdict == "fail") == (throughout, throughout)
    help_ = found.help or ""
    assert ("priors" in help_ and help_.index("priors") < help_.index("--target-accept")) == throughout


def test_energy() -> None:
    """A random walk of the energy is HDM704; there is one value for each chain."""
    statistics = _statistics(4, 1000)
    energy = np.array(statistics["energy"], dtype=np.float64)
    energy[3] = np.cumsum(np.random.default_rng(1).normal(size=1000))
    diagnosis, codes = _diagnosed(_independent(), {**statistics, "energy": energy})
    assert codes == ["HDM704"]
    assert len(diagnosis.ebfmi) == 4
    # Independent energies have E-BFMI 2: the mean squared difference is twice the variance.
    assert diagnosis.ebfmi[:3] == pytest.approx([2, 2, 2], abs=0.3)
    assert diagnosis.min_ebfmi == diagnosis.ebfmi[3] < 0.1


def test_tree_depth() -> None:
    """Draws at the greatest depth are HDM705 once they are many."""
    statistics = _statistics(4, 1000)
    depth = np.array(statistics["tree_depth"])
    depth[0, :40] = 10
    assert _diagnosed(_independent(), {**statistics, "tree_depth": depth})[1] == []
    depth[0, :200] = 10
    diagnosis, codes = _diagnosed(_independent(), {**statistics, "tree_depth": depth})
    assert codes == ["HDM705"]
    assert diagnosis.max_treedepth_hits == 200


def test_one_chain() -> None:
    """One chain cannot be judged: HDM706, and R-hat is unknown."""
    diagnosis, codes = _diagnosed(_independent(chains=1))
    assert codes == ["HDM706"]
    assert np.isnan(diagnosis.max_rhat)
    assert diagnosis.to_json()["max_rhat"] is None
    assert "R-hat" not in in_words(diagnosis)


def test_draws_that_are_not_finite() -> None:
    """A NaN anywhere is HDM707 and fails."""
    draws = _independent()
    draws[1, 5] = np.nan
    diagnosis, codes = _diagnosed(draws)
    assert codes == ["HDM707"]
    assert (diagnosis.verdict, diagnosis.not_finite) == ("fail", 1)


def test_constants_are_no_problem() -> None:
    """A quantity that is known exactly, as the diagonal of a correlation matrix, is left out."""
    both = np.stack([np.ones((4, 1000)), _independent()], axis=-1)
    assert _diagnosed(both)[1] == []


def test_backend_without_statistics() -> None:
    """A sampler that gives no statistics is judged by its draws."""
    diagnosis, codes = _diagnosed(_independent(), {})
    assert codes == []
    assert diagnosis.ebfmi == ()


def test_json_is_strict() -> None:
    """The diagnosis is JSON without NaN, whatever is unknown."""
    diagnosis, _ = _diagnosed(_independent(chains=1, draws=3), {})
    text = json.dumps(diagnosis.to_json(), allow_nan=False)
    assert json.loads(text)["chains"] == 1


def _funnel() -> models.Case:
    """A standard deviation on the log scale and what it scales, written so that NUTS cannot follow it."""
    sets = (models.level("row", 1), models.level("part", 9))
    model = Model(
        name="funnel",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)),),
        statements=(
            models.random("v", "log_spread", "normal", 0, 3),
            models.random("x", "x[part]", "normal", 0, apply("exp", mul(const(0.5), var("v"))), dims=("part",)),
        ),
        observations=(models.observe(("row",), "normal", 0, 1),),
    )
    return model, ModelData({"y": np.zeros(1)}, models.labels(sets))


def test_funnel_is_caught() -> None:
    """Few draws from a funnel are not called sound."""
    model, data = _funnel()
    settings = Settings(chains=4, draws=200, warmup=200, seed=3, target_accept=0.8)
    sampled = backend.sample(backend.lower(model, data), model, data, settings)
    diagnosis, found = diagnose(sampled.values, sampled)
    assert diagnosis.verdict != "ok"
    assert {"HDM702", "HDM703"} <= {d.code for d in found}


@pytest.mark.parametrize("code", [code for code in CODES if code.startswith(("HDM60", "HDM7"))])
def test_every_code_has_a_page(code: str) -> None:
    """The page says what, why, and how to mend it, under the code's title."""
    page = code_page(code)
    assert page is not None
    assert page.startswith(f"# {code}: {CODES[code].title}\n")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## What", "## Why it is bad", "## Example", "## Mend"]
