"""Population cells: predictions weighted by hand, new groups in closed form, and misuse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit

from hdsl import Settings, driver
from hdsl.driver import check, derive, run
from hdsl.estimands import Computed, compute, with_defaults
from hdsl.report.runs import key_of

HEAD = """study poll data "d.csv"
group state id state { covariate income : real }
unit voter in state { covariate sex : category  covariate age : real  outcome y : KIND }
treatment z { off = 0, on = 1 }
assign z to voter by bernoulli(0.5)
analysis { adjust for income, sex, age  vary z across state  poststratify over "cells.csv" weight N }
"""
CELLS = """state,income,sex,age,N,z
c,0.5,m,30,100,1
a,2,m,30,10,1
a,2,f,50,40,0
new,1,f,40,30,0
b,1,f,40,20,1
"""
STATE, SEX, AGE = np.array([2, 0, 0, -1, 1]), np.array([1, 1, 0, 0, 0]), np.array([30, 30, 50, 40, 40.0])
INCOME, N = np.array([0.5, 2, 2, 1, 1]), np.array([100, 10, 40, 30, 20.0])
ALPHA, TAU = np.array([0.6, -0.8, 0.1]), np.array([0.2, -0.3, 0.5])
VALUES: Mapping[str, Any] = {
    "intercept": -1.0,
    "effect(z)": 0.4,
    "slope(income)": 0.3,
    "slope(sex)[m]": 0.7,
    "slope(age)": 0.02,
    "residual": 1.5,
    "sd(intercept, state)": 0.9,
    "sd(effect(z), state)": 0.5,
    "corr_cholesky(state)": np.array([[1.0, 0.0], [0.6, 0.8]]),
    "deviation(state)": np.stack([ALPHA, TAU], axis=-1),
}


def write(folder: Path, estimands: str, cells: str = CELLS, kind: str = "real", head: str = HEAD) -> Path:
    """Write a study of three states with cells in these and a fourth."""
    rng = np.random.default_rng(4)
    incomes = {"a": 2, "b": 1, "c": 0.5}
    lines = ["state,income,sex,age,y,z,w"]
    for row in range(60):
        state = "abc"[row % 3]
        y = rng.integers(2) if kind == "binary" else rng.normal()
        lines.append(f"{state},{incomes[state]},{'fm'[row % 2]},{20 + row},{y},{row // 3 % 2},{1 + row % 4}")
    (folder / "d.csv").write_text("\n".join(lines) + "\n")
    (folder / "cells.csv").write_text(cells)
    (folder / "s.hdm").write_text(head.replace("KIND", kind) + estimands)
    return folder / "s.hdm"


def computed(path: Path, draws: int = 500) -> list[Computed]:
    """Compute estimands with every draw at the same known parameters."""
    derived = derive(path)
    assert derived.model is not None, derived.diagnostics
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    values = {
        v.name: np.broadcast_to(np.asarray(VALUES[v.role], np.float64), (2, draws, *np.shape(VALUES[v.role])))
        for v in derived.model.variables
    }
    return compute(with_defaults(bound.study), derived.model, derived.data, bound, values, seed=3)


def linear(z: np.ndarray | float) -> np.ndarray:
    """Return the linear predictor of each cell; a new state's deviations are zero."""
    alpha, tau = np.append(ALPHA, 0.0)[STATE], np.append(TAU, 0.0)[STATE]
    return -1.0 + alpha + 0.3 * INCOME + 0.7 * SEX + 0.02 * AGE + (0.4 + tau) * np.asarray(z)


def test_known_states_have_their_effects_and_a_new_one_is_drawn(tmp_path: Path) -> None:
    (found,) = computed(write(tmp_path, 'estimand e = average over "cells.csv" of y(z = on)'), draws=20_000)
    mean = linear(1.0) @ N / N.sum()
    law = np.array([[0.81, 0.6 * 0.45], [0.6 * 0.45, 0.25]])
    sd = np.sqrt(law.sum()) * 30 / N.sum()
    assert found.draws.mean() == pytest.approx(mean, abs=4 * sd / 200)
    assert found.draws.std() == pytest.approx(sd, rel=0.02)


def test_an_effect_is_of_the_same_new_state_in_both_worlds(tmp_path: Path) -> None:
    (found,) = computed(write(tmp_path, ""), draws=20_000)
    effects = (linear(1.0) - linear(0.0)) @ N / N.sum()
    assert found.name == "average_effect_z"
    assert found.draws.mean() == pytest.approx(effects, abs=0.003)
    assert found.draws.std() == pytest.approx(0.5 * 30 / N.sum(), rel=0.02)


def test_a_binary_outcome_is_averaged_on_its_own_scale(tmp_path: Path) -> None:
    text = 'estimand e = average over "cells.csv" where state = new of y(z = off)'
    (found,) = computed(write(tmp_path, text, kind="binary"), draws=20_000)
    middle = float(linear(0.0)[3])
    wanted, _ = integrate.quad(lambda u: expit(middle + u) * stats.norm.pdf(u, scale=0.9), -8, 8)
    assert found.draws.mean() == pytest.approx(wanted, abs=0.005)


def test_index_and_where(tmp_path: Path) -> None:
    text = 'estimand e[state] = average over "cells.csv" where age < 45 of y(z = on) - y(z = off)'
    (found,) = computed(write(tmp_path, text))
    labels = list(found.index["state"])
    assert sorted(labels) == ["a", "b", "c", "new"]
    for place, label in enumerate("abc"):
        values = found.draws[..., labels.index(label)]
        assert values == pytest.approx(np.full_like(values, 0.4 + TAU[place]))
    assert found.draws[..., labels.index("new")].std() == pytest.approx(0.5, rel=0.1)


def test_the_outcome_alone_has_the_treatments_of_the_cells(tmp_path: Path) -> None:
    text = 'estimand e = average over "cells.csv" where state != new of y'
    (found,) = computed(write(tmp_path, text))
    known = STATE >= 0
    wanted = (linear(np.array([1, 1, 0, 0, 1])) * N)[known].sum() / N[known].sum()
    assert found.draws == pytest.approx(np.full_like(found.draws, wanted))


def test_quantiles_are_of_the_population_within_and_between_cells(tmp_path: Path) -> None:
    text = """estimand q = quantile(0.9) over "cells.csv" where state != new of y(z = on)
    estimand above = share over "cells.csv" where state != new of y(z = on) > 1
    estimand spread = sd over "cells.csv" where state != new of y(z = on)"""
    q, above, spread = computed(write(tmp_path, text), draws=20)
    known = STATE >= 0
    middle, weights = linear(1.0)[known], N[known] / N[known].sum()
    assert (weights * stats.norm.cdf(q.draws.mean(), middle, 1.5)).sum() == pytest.approx(0.9, abs=0.005)
    assert above.draws.mean() == pytest.approx((weights * stats.norm.sf(1, middle, 1.5)).sum(), abs=0.01)
    variance = 1.5**2 + weights @ middle**2 - (weights @ middle) ** 2
    assert spread.draws.mean() == pytest.approx(np.sqrt(variance), rel=0.01)


def test_the_spread_of_individual_effects_needs_the_joint_distribution(tmp_path: Path) -> None:
    derived = driver.check(write(tmp_path, 'estimand e = sd over "cells.csv" of y(z = on) - y(z = off)'))
    assert "HDM502" in [d.code for d in derived.diagnostics]
    text = 'estimand e = sd over "cells.csv" where state = a of y(z = on) - y(z = off) assuming correlation = 0.5'
    (found,) = computed(write(tmp_path, text), draws=20)
    assert found.draws.mean() == pytest.approx(1.5, rel=0.02)


def test_second_tables_and_cells_without_the_covariate_of_a_known_group(tmp_path: Path) -> None:
    head = HEAD.replace("group state id state {", 'group state id state from "states.csv" {')
    (tmp_path / "states.csv").write_text("state,income\na,2\nb,1\nc,0.5\nnew,1\n")
    cells = "\n".join(line.split(",", 2)[0] + "," + line.split(",", 2)[2] for line in CELLS.strip().split("\n"))
    path = write(tmp_path, 'estimand e = average over "cells.csv" where state != new of y(z = on)', cells, head=head)
    (found,) = computed(path)
    known = STATE >= 0
    wanted = (linear(1.0) * N)[known].sum() / N[known].sum()
    assert found.draws == pytest.approx(np.full_like(found.draws, wanted))


def test_a_run_with_survey_weights_equals_its_draws_weighted_by_hand(tmp_path: Path) -> None:
    head = """study poll data "d.csv"
    group state id state
    unit voter in state { weight w : positive  covariate sex : category  outcome y : binary }
    analysis { adjust for sex  poststratify over "cells.csv" weight N }
    """
    cells = "\n".join(line for line in CELLS.strip().split("\n") if not line.startswith("new"))
    path = write(tmp_path, "", cells, kind="binary", head=head)
    result = run(path, settings=Settings(chains=2, draws=150, warmup=200, inference="nuts"))
    posterior: Any = result.posterior["posterior"]
    inner = posterior["intercept[state]"]
    states = np.stack([inner.sel(state=s).values for s in ("c", "a", "a", "b")], axis=-1)
    eta = states + posterior["slope(sex)[m]"].values[..., None] * np.array([1, 1, 0, 0])
    weights = np.array([100, 10, 40, 20])
    wanted = expit(eta) @ weights / weights.sum()
    assert result.posterior["estimands"]["average_y"].values == pytest.approx(wanted)
    assert result.model is not None
    assert result.model.observations[0].weight is not None


MISUSE = {
    "HDM217": CELLS.replace("N", "M"),
    "HDM525": CELLS.replace("age", "years"),
    "HDM526": CELLS.replace("f", "female"),
    "HDM527": CELLS.replace("100", "-100"),
    "HDM528": CELLS.replace("state", "land"),
}


@pytest.mark.parametrize("code", MISUSE)
def test_misuse_of_cells_has_a_code(tmp_path: Path, code: str) -> None:
    checked = check(write(tmp_path, "", MISUSE[code]))
    assert code in [d.code for d in checked.diagnostics]


def test_gaps_zeros_and_weights_that_are_no_numbers(tmp_path: Path) -> None:
    assert _codes(write(tmp_path, "", CELLS.replace(",30,100", ",NA,100"))) == {"HDM525"}
    assert _codes(write(tmp_path, "", CELLS.replace("100", "NA"))) == {"HDM527"}
    assert _codes(write(tmp_path, "", CELLS.replace("100", "many"))) == {"HDM350"}
    none = "state,income,sex,age,N,z\na,2,m,30,0,1\n"
    assert _codes(write(tmp_path, "", none)) == {"HDM527"}
    assert _codes(write(tmp_path, "", CELLS)) == set()


def _codes(path: Path) -> set[str]:
    return {d.code for d in check(path).diagnostics if d.severity == "error"}


def test_estimands_and_cells_belong_together(tmp_path: Path) -> None:
    unused = check(write(tmp_path, "estimand e = average over voter of y(z = on)"))
    assert "HDM529" in [d.code for d in unused.diagnostics]
    head = HEAD.replace('poststratify over "cells.csv" weight N', "")
    unweighted = check(write(tmp_path, 'estimand e = average over "cells.csv" of y(z = on)', head=head))
    assert [d.code for d in unweighted.diagnostics if d.code == "HDM524"]
    twice = HEAD.replace("weight N", 'weight N poststratify over "cells.csv" weight age')
    assert "HDM260" in _codes(write(tmp_path, "", head=twice))


def test_cells_must_tell_treatments_that_are_not_set(tmp_path: Path) -> None:
    cells = "\n".join(line.rsplit(",", 1)[0] for line in CELLS.strip().split("\n"))
    from hdsl.design.snippets import StudyError

    path = write(tmp_path, 'estimand e = average over "cells.csv" of y', cells)
    with pytest.raises(StudyError) as error:
        run(path, settings=Settings(chains=1, draws=5, warmup=5))
    assert "HDM525" in [d.code for d in error.value.diagnostics]


def test_other_cells_are_another_run(tmp_path: Path) -> None:
    keys = set[str]()
    for cells in (CELLS, CELLS.replace("100", "101"), CELLS.replace("new", "other")):
        derived = derive(write(tmp_path, "", cells))
        bound = derived.checked.bound
        assert bound is not None
        assert derived.model is not None
        assert derived.data is not None
        keys.add(key_of(bound, derived.model, derived.data, "numpyro", Settings()))
    assert len(keys) == 3
