"""The cases of the conformance suite: designs, each distribution as a law of data and of a parameter, each
function, weights and censoring, and what tests of single backends have shown to be easy to get wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from hdsl.model.distributions import DISTRIBUTIONS, NESTED
from hdsl.model.ir import (
    Definition,
    Factor,
    IndexSet,
    Model,
    ModelData,
    Observation,
    add,
    apply,
    const,
    gather,
    mul,
    sub,
    var,
)
from tests import models
from tests.conformance.derived import DERIVED
from tests.models import Case

Builder = Callable[[], Case]

# Laws of censored values: the continuous ones, but for those whose tail nothing here computes well.
_NO_TAIL = ("skewnormal", "hurdle_lognormal", "hurdle_gamma")
CENSORABLE = tuple(name for name in models.OBSERVABLE if not DISTRIBUTIONS[name].discrete and name not in _NO_TAIL)


def linear(distribution: str = "normal") -> Case:
    """Several covariates with slopes, a group intercept, and no other use of the mean."""
    rng = np.random.default_rng(50)
    sets = (models.level("clinic", 4), models.level("patient", 20))
    values = {
        "clinic_of_patient": (np.arange(20) % 4).astype(np.int64),
        "arm": (np.arange(20) // 4 % 2).astype(np.int64),
        "age": rng.normal(0, 1, 20),
        "dose": rng.uniform(0, 2, 20),
    }
    discrete = DISTRIBUTIONS[distribution].discrete
    values["y"] = rng.integers(0, 2, 20).astype(np.int64) if discrete else rng.normal(0, 2, 20)
    mean = add(
        var("intercept"),
        mul(var("slope_age"), var("age")),
        gather(var("a"), var("clinic_of_patient"), "clinic"),
        mul(mul(var("slope_dose"), const(0.5)), mul(var("age"), var("dose"))),
    )
    mean = sub(mean, mul(var("arm"), var("effect")))
    extra = {"normal": ("residual",), "negbinomial_log": ("residual",)}.get(distribution, ())
    dims = ("patient",)
    slots = (
        models.int_slot("clinic_of_patient", dims, indexes="clinic"),
        models.int_slot("arm", dims),
        models.real_slot("age", dims),
        models.real_slot("dose", dims),
        models.int_slot("y", dims) if discrete else models.real_slot("y", dims),
    )
    scalars = ("intercept", "slope_age", "slope_dose", "effect")
    model = Model(
        name=f"linear_{distribution}",
        unit="patient",
        index_sets=sets,
        slots=slots,
        statements=(
            *(models.random(name, name, "normal", 0, 2) for name in scalars),
            models.random("residual", "residual", "halfnormal", 1),
            models.random("a", "intercept[clinic]", "normal", 0, 1, dims=("clinic",)),
            Definition(name="mu", dims=dims, value=mean),
        ),
        observations=(models.observe(dims, distribution, "mu", *extra),),
    )
    return model, ModelData(values=values, coords=models.labels(sets))


def two_outcomes() -> Case:
    """Two observations that share a parameter, one at the level of the group, and a factor."""
    rng = np.random.default_rng(51)
    sets = (models.level("site", 3), models.level("person", 12))
    values = {
        "site_of_person": (np.arange(12) % 3).astype(np.int64),
        "score": rng.normal(0, 1, 12),
        "open": np.array([1, 0, 1], dtype=np.int64),
    }
    by_person = gather(var("a"), var("site_of_person"), "site")
    model = Model(
        name="two_outcomes",
        unit="person",
        index_sets=sets,
        slots=(
            models.int_slot("site_of_person", ("person",), indexes="site"),
            models.real_slot("score", ("person",)),
            models.int_slot("open", ("site",)),
        ),
        statements=(
            models.random("a", "intercept[site]", "normal", 0, 1, dims=("site",)),
            models.random("residual", "residual", "exponential", 1),
        ),
        observations=(
            Observation(
                name="score_observed",
                outcome="score",
                slot="score",
                dims=("person",),
                law=models.law("normal", by_person, "residual"),
            ),
            Observation(
                name="open_observed",
                outcome="open",
                slot="open",
                dims=("site",),
                law=models.law("bernoulli_logit", mul(const(0.5), var("a"))),
            ),
        ),
        factors=(
            Factor(name="closeness", value=apply("neg", apply("square", var("a")))),
            Factor(name="tilt", value=mul(const(0.1), apply("log", var("residual")))),
        ),
    )
    return model, ModelData(values=values, coords=models.labels(sets))


def types_apart(distribution: str) -> Case:
    """Whole numbers with a continuous law, or real numbers with a discrete one."""
    y = np.array([0, 1, 1, 0, 1])
    whole = not DISTRIBUTIONS[distribution].discrete
    sets = (models.level("row", 5),)
    model = Model(
        name=f"types_apart_{distribution}",
        unit="row",
        index_sets=sets,
        slots=(models.int_slot("y", ("row",)) if whole else models.real_slot("y", ("row",)),),
        statements=(models.random("a", "intercept", "normal", 0, 1), models.random("s", "sd", "exponential", 1)),
        observations=(models.observe(("row",), distribution, "a", *(("s",) if whole else ())),),
    )
    values = {"y": y.astype(np.int64) if whole else y.astype(np.float64)}
    return model, ModelData(values=values, coords=models.labels(sets))


def moving_bounds() -> Case:
    """A uniform parameter between a parameter and a definition of it."""
    sets = (models.level("row", 4),)
    model = Model(
        name="moving_bounds",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)),),
        statements=(
            models.random("low", "low", "normal", 0, 1),
            Definition(name="high", value=add(var("low"), const(2))),
            models.random("theta", "theta", "uniform", "low", "high", dims=("row",)),
        ),
        observations=(models.observe(("row",), "normal", "theta", 1),),
    )
    return model, ModelData(values={"y": np.array([0.1, -0.4, 1.0, 0.7])}, coords=models.labels(sets))


FAR: Mapping[str, tuple[models.Term, ...]] = {
    "normal": ("a", "s"),
    "logistic": ("a", "s"),
    "lognormal": ("a", "s"),
    "halfnormal": ("s",),
    "weibull": ("s", apply("exp", var("a"))),
}


def far_away(distribution: str) -> Case:
    """Censored values that are many standard deviations away, where survival functions underflow."""
    sets = (models.level("row", 4),)
    y = np.array([9.0, 14.0, 25.0, 1.0])
    model = Model(
        name=f"far_away_{distribution}",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)), models.real_slot("ended", ("row",))),
        statements=(models.random("a", "intercept", "normal", 0, 1), models.random("s", "sd", "lognormal", 0, 0.2)),
        observations=(models.observe(("row",), distribution, *FAR[distribution], event="ended"),),
    )
    values = {"y": np.exp(y) if distribution == "lognormal" else y, "ended": np.array([0.0, 0.0, 0.0, 1.0])}
    return model, ModelData(values=values, coords=models.labels(sets))


def nested_groups() -> Case:
    """Covariates of groups and of groups of groups, seen from the rows, and an index through an index."""
    rng = np.random.default_rng(52)
    sets = (models.level("district", 2), models.level("school", 4), models.level("student", 12))
    values = {
        "district_of_school": np.array([0, 1, 1, 0], dtype=np.int64),
        "school_of_student": (np.arange(12) * 7 % 4).astype(np.int64),
        "poverty": rng.uniform(0, 1, 4),
        "spending": rng.normal(0, 1, 2),
        "size": np.array([3, 1, 4, 2], dtype=np.int64),
        "y": rng.normal(0, 1, 12),
    }
    by_student, by_school = var("school_of_student"), var("district_of_school")
    district = gather(by_school, by_student, "school")
    delta = add(var("delta"), mul(var("slope_spending"), var("spending")))
    mean = add(
        gather(var("alpha"), by_student, "school"),
        mul(var("slope_poverty"), gather(var("poverty"), by_student, "school")),
        mul(const(0.1), gather(var("spending"), district, "district")),
        mul(var("slope_poverty"), apply("log", gather(var("size"), by_student, "school"))),
        gather(var("delta"), district, "district"),
    )
    model = Model(
        name="nested_groups",
        unit="student",
        index_sets=sets,
        slots=(
            models.int_slot("district_of_school", ("school",), indexes="district"),
            models.int_slot("school_of_student", ("student",), indexes="school"),
            models.real_slot("poverty", ("school",)),
            models.real_slot("spending", ("district",)),
            models.int_slot("size", ("school",)),
            models.real_slot("y", ("student",)),
        ),
        statements=(
            models.random("slope_spending", "slope(spending)", "normal", 0, 1),
            models.random("slope_poverty", "slope(poverty)", "normal", 0, 1),
            models.random("delta", "intercept[district]", "normal", 0, 1, dims=("district",)),
            Definition(name="centre", dims=("school",), value=gather(delta, by_school, "district")),
            models.random("alpha", "intercept[school]", "normal", "centre", 0.5, dims=("school",)),
            Definition(name="mu", dims=("student",), value=mean),
        ),
        observations=(models.observe(("student",), "normal", "mu", 1),),
    )
    return model, ModelData(values=values, coords=models.labels(sets))


def long_loops(distribution: str) -> Case:
    """Sixty rows in no order, which targets without a vectorised form for them take one by one.

    The effects of groups are picked by two indices, the rows are weighted, and groups of rows are jointly normal.
    """
    rng = np.random.default_rng(53)
    sets = (
        models.level("group", 7),
        models.level("row", 60),
        models.level("set", 15),
        IndexSet(name="arm", size=3, kind="arms"),
        IndexSet(name="member", size=4, kind="cells"),
        IndexSet(name="member_2", size=4, kind="cells"),
    )
    discrete = DISTRIBUTIONS[distribution].discrete
    values = {
        "group_of_row": rng.integers(0, 7, 60),
        "arm_of_row": rng.integers(0, 3, 60),
        "row_of": rng.permutation(60).reshape(15, 4),
        "weight": rng.uniform(0.5, 2, 60),
        "y": rng.integers(0, 2, 60) if discrete else rng.normal(0, 2, 60),
        "together": rng.normal(0, 1, (15, 4)),
    }
    effect = gather(gather(var("u"), var("group_of_row"), "group"), var("arm_of_row"), "arm")
    more = {"student": (4, "mu", "s"), "normal": ("mu", "s"), "bernoulli_logit": ("mu",)}[distribution]
    model = Model(
        name=f"long_loops_{distribution}",
        unit="row",
        index_sets=sets,
        slots=(
            models.int_slot("group_of_row", ("row",), indexes="group"),
            models.int_slot("arm_of_row", ("row",), indexes="arm"),
            models.int_slot("row_of", ("set", "member"), indexes="row"),
            models.real_slot("weight", ("row",)),
            models.int_slot("y", ("row",)) if discrete else models.real_slot("y", ("row",)),
            models.real_slot("together", ("set", "member")),
        ),
        statements=(
            models.random("u", "effect[group]", "normal", 0, 1, dims=("group", "arm")),
            models.random("s", "sd", "lognormal", 0, 0.3),
            models.random("factor", "corr", "lkj_cholesky", 2, dims=("member", "member_2")),
            Definition(name="mu", dims=("row",), value=effect),
        ),
        observations=(
            models.observe(("row",), distribution, *more, weight="weight"),
            Observation(
                name="together_observed",
                outcome="together",
                slot="together",
                dims=("set", "member"),
                law=models.law("multinormal_cholesky", gather(var("mu"), var("row_of"), "row"), "factor"),
            ),
        ),
    )
    return model, ModelData(values=values, coords=models.labels(sets))


def awkward_names() -> Case:
    """Names that are words of target languages."""
    sets = (models.level("data", 5), models.level("lambda", 2))
    model = Model(
        name="awkward_names",
        unit="data",
        index_sets=sets,
        slots=(
            models.real_slot("model", ("data",)),
            models.real_slot("target", ("data",)),
            models.int_slot("in", ("data",), indexes="lambda"),
        ),
        statements=(
            models.random("real", "intercept", "normal", 0, 1),
            models.random("vector", "slope", "normal", 0, 1, dims=("lambda",)),
            models.random("class", "residual", "halfnormal", 1),
        ),
        observations=(
            Observation(
                name="observed",
                outcome="model",
                slot="model",
                dims=("data",),
                law=models.law(
                    "normal",
                    add(var("real"), mul(gather(var("vector"), var("in"), "lambda"), var("target"))),
                    "class",
                ),
            ),
        ),
    )
    values = {
        "model": np.array([0.2, 1.0, -0.3, 0.5, 0.0]),
        "target": np.array([1.0, -1.0, 0.5, 2.0, 0.3]),
        "in": np.array([0, 1, 1, 0, 1], dtype=np.int64),
    }
    return model, ModelData(values=values, coords=models.labels(sets))


def _table() -> dict[str, Builder]:
    table: dict[str, Builder] = {f"design: {name}": build for name, build in models.MODELS.items()}
    for name in ("normal", "bernoulli_logit", "poisson_log", "negbinomial_log"):
        table[f"linear: {name}"] = lambda name=name: linear(name)
    table |= {
        "nested groups": nested_groups,
        "two outcomes": two_outcomes,
        "moving bounds": moving_bounds,
        "awkward names": awkward_names,
        **{f"units in units: {levels}": partial(models.nested_units, levels) for levels in NESTED},
        **DERIVED,
    }
    for name in ("normal", "bernoulli_logit"):
        table[f"types apart: {name}"] = lambda name=name: types_apart(name)
    for name in models.OBSERVABLE:
        table[f"data: {name}"] = lambda name=name: models.observed(name)
        table[f"weighted data: {name}"] = lambda name=name: models.observed(name, weight=True)
    for name in CENSORABLE:
        table[f"censored data: {name}"] = lambda name=name: models.observed(name, event=True)
        table[f"weighted censored data: {name}"] = lambda name=name: models.observed(name, weight=True, event=True)
    table |= {
        f"long loops: {name}": lambda name=name: long_loops(name) for name in ("student", "normal", "bernoulli_logit")
    }
    table |= {f"censored far away: {name}": lambda name=name: far_away(name) for name in FAR}
    table |= {f"parameter: {name}": lambda name=name: models.prior(name) for name in models.PRIORS}
    table |= {f"function: {name}": lambda name=name: models.computed(name) for name in models.COMPUTABLE}
    return table


CASES: dict[str, Builder] = _table()
