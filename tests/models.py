"""Small hand-written models for the tests of the reference, the passes and the backends.

Each builder returns (Model, ModelData). `MODELS` holds designs, `observed` gives one model for each
distribution as the law of data, `prior` one for each distribution as the law of a parameter, and `computed`
one for each function of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hdsl.model.distributions import DISTRIBUTIONS, NESTED
from hdsl.model.functions import FUNCTIONS, dims_of
from hdsl.model.ir import (
    Apply,
    Definition,
    Dims,
    Expr,
    IndexSet,
    Law,
    Model,
    ModelData,
    Observation,
    RandomVariable,
    Reported,
    Slot,
    add,
    apply,
    column,
    const,
    dot,
    gather,
    mul,
    stack,
    sub,
    var,
)

Case = tuple[Model, ModelData]
Builder = Callable[[], Case]
Number = float | int
Numbers = NDArray[np.float64] | NDArray[np.int64]
Term = Expr | Number | str


def expr(term: Term) -> Expr:
    """Return a number as a constant, a text as a name, an expression as it is."""
    if isinstance(term, str):
        return var(term)
    return const(term) if isinstance(term, float | int) else term


def law(distribution: str, *args: Term) -> Law:
    """Return a law whose arguments may be numbers, names or expressions."""
    return Law(distribution=distribution, args=tuple(expr(arg) for arg in args))


def random(name: str, role: str, distribution: str, *args: Term, dims: Dims = ()) -> RandomVariable:
    """Return a random variable."""
    return RandomVariable(name=name, dims=dims, role=role, law=law(distribution, *args))


def real_slot(name: str, dims: Dims) -> Slot:
    """Return a slot of real numbers."""
    return Slot(name=name, dims=dims)


def int_slot(name: str, dims: Dims, indexes: str | None = None, treatment: str | None = None) -> Slot:
    """Return a slot of integers."""
    return Slot(name=name, dims=dims, dtype="int", indexes=indexes, treatment=treatment)


def labels(model_sets: Sequence[IndexSet]) -> dict[str, list[str]]:
    """Return plain labels for the elements of each index set."""
    return {each.name: [f"{each.name}{i}" for i in range(each.size)] for each in model_sets}


def observe(
    dims: Dims, distribution: str, *args: Term, weight: str | None = None, event: str | None = None
) -> Observation:
    """Return the observation of slot `y`."""
    return Observation(
        name="y_observed",
        outcome="y",
        slot="y",
        dims=dims,
        law=law(distribution, *args),
        weight=weight,
        event=event,
    )


def level(name: str, size: int) -> IndexSet:
    """Return a level of the design."""
    return IndexSet(name=name, size=size, kind="level")


_SCHOOL_SETS = (
    level("school", 6),
    level("student", 48),
    IndexSet(name="effects_school", size=2, kind="effects"),
    IndexSet(name="effects_school_2", size=2, kind="effects"),
    IndexSet(name="tutor_arms", size=2, kind="arms"),
)
_SCHOOL_SLOTS = (
    real_slot("y", ("student",)),
    real_slot("pretest", ("student",)),
    int_slot("school_of_student", ("student",), indexes="school"),
    int_slot("tutor", ("student",), indexes="tutor_arms", treatment="tutor"),
)


def _school_data() -> ModelData:
    rng = np.random.default_rng(20)
    school = (np.arange(48) % 6).astype(np.int64)
    tutor = rng.permutation(np.arange(48) // 6 % 2).astype(np.int64)
    pretest = rng.normal(0, 1, 48)
    y = 1 + rng.normal(0, 0.8, 6)[school] + 0.5 * pretest + 0.7 * tutor + rng.normal(0, 1, 48)
    values: dict[str, Numbers] = {"y": y, "pretest": pretest, "school_of_student": school, "tutor": tutor}
    return ModelData(values=values, coords=labels(_SCHOOL_SETS))


def _school_mean() -> Expr:
    by_student = gather(var("u"), var("school_of_student"), "school")
    alpha, tau = (column(by_student, "effects_school", i) for i in range(2))
    return add(alpha, mul(var("slope_pretest"), var("pretest")), mul(tau, var("tutor")))


_SCHOOL_HYPER = (
    random("intercept", "intercept", "normal", 0, 5),
    random("effect_tutor", "effect(tutor)", "normal", 0, 2),
    random("slope_pretest", "slope(pretest)", "normal", 0, 2),
    random("sd_school", "sd(school)", "halfnormal", 1.5, dims=("effects_school",)),
    random("corr_school", "corr(school)", "lkj_cholesky", 2, dims=("effects_school", "effects_school_2")),
    random("residual", "residual", "halfstudent", 4, 2),
)
_SCHOOL_REPORTED = (
    Reported(role="effect(tutor)", value=var("effect_tutor")),
    Reported(role="sd(intercept, school)", value=column(var("sd_school"), "effects_school", 0)),
    Reported(
        role="corr(intercept, effect(tutor), school)",
        value=column(
            column(var("corr_school"), "effects_school", 1),
            "effects_school_2",
            0,
        ),
    ),
    Reported(
        role="effect(tutor)[school]",
        value=column(var("u"), "effects_school", 1),
        dims=("school",),
    ),
)


def _school_model(name: str, middle: tuple[RandomVariable | Definition, ...]) -> Model:
    return Model(
        name=name,
        unit="student",
        index_sets=_SCHOOL_SETS,
        slots=_SCHOOL_SLOTS,
        statements=(*_SCHOOL_HYPER, *middle, Definition(name="mu", dims=("student",), value=_school_mean())),
        observations=(observe(("student",), "normal", "mu", "residual"),),
        reported=_SCHOOL_REPORTED,
    )


def varying_slopes() -> Case:
    """Varying intercepts and slopes, jointly normal with an LKJ correlation, centred."""
    centre = stack((var("intercept"), var("effect_tutor")), "effects_school")
    cholesky = mul(var("sd_school"), var("corr_school"))
    effects = random(
        "u",
        "effects[school]",
        "multinormal_cholesky",
        centre,
        cholesky,
        dims=("school", "effects_school"),
    )
    return _school_model("varying_slopes", (effects,)), _school_data()


def varying_slopes_noncentred() -> Case:
    """The same model with standard normal deviations."""
    z = random("z", "deviations[school]", "normal", 0, 1, dims=("school", "effects_school_2"))
    centre = stack((var("intercept"), var("effect_tutor")), "effects_school")
    deviation = dot(var("z"), mul(var("sd_school"), var("corr_school")), "effects_school_2")
    u = Definition(name="u", dims=("school", "effects_school"), value=add(deviation, centre))
    return _school_model("varying_slopes_noncentred", (z, u)), _school_data()


def crossed() -> Case:
    """Persons crossed with items; both intercepts partially pooled."""
    sets = (level("person", 8), level("item", 5), level("answer", 40))
    rows = np.arange(40)
    rng = np.random.default_rng(21)
    values: dict[str, Numbers] = {
        "person_of_answer": (rows % 8).astype(np.int64),
        "item_of_answer": (rows // 8).astype(np.int64),
    }
    person, item = rng.normal(0, 1, 8), rng.normal(0, 0.5, 5)
    values["y"] = person[rows % 8] + item[rows // 8] + rng.normal(3, 0.7, 40)
    mean = add(
        var("intercept"),
        gather(var("a"), var("person_of_answer"), "person"),
        gather(var("b"), var("item_of_answer"), "item"),
    )
    model = Model(
        name="crossed",
        unit="answer",
        index_sets=sets,
        slots=(
            real_slot("y", ("answer",)),
            int_slot("person_of_answer", ("answer",), indexes="person"),
            int_slot("item_of_answer", ("answer",), indexes="item"),
        ),
        statements=(
            random("intercept", "intercept", "normal", 0, 10),
            random("sd_person", "sd(intercept, person)", "halfnormal", 2),
            random("sd_item", "sd(intercept, item)", "exponential", 1),
            random("residual", "residual", "lognormal", 0, 1),
            random("a", "intercept[person]", "normal", 0, "sd_person", dims=("person",)),
            random("b", "intercept[item]", "normal", 0, "sd_item", dims=("item",)),
        ),
        observations=(observe(("answer",), "normal", mean, "residual"),),
    )
    return model, ModelData(values=values, coords=labels(sets))


_GROUP_SETS = (level("site", 5), level("person", 30), IndexSet(name="z_arms", size=3, kind="arms"))
_GROUP_SLOTS = (
    int_slot("site_of_person", ("person",), indexes="site"),
    int_slot("z", ("person",), indexes="z_arms", treatment="z"),
    real_slot("x", ("person",)),
)
_GROUP_HYPER = (
    random("intercept", "intercept", "normal", 0, 2),
    random("effect_z", "effect(z)", "normal", 0, 1, dims=("z_arms",)),
    random("slope_x", "slope(x)", "student", 3, 0, 1),
    random("sd_site", "sd(intercept, site)", "halfcauchy", 1),
    random("a", "intercept[site]", "normal", 0, "sd_site", dims=("site",)),
)


def _group_values(rng: np.random.Generator) -> dict[str, Numbers]:
    rows = np.arange(30)
    return {
        "site_of_person": (rows % 5).astype(np.int64),
        "z": ((rows * 7 + rows // 5) % 3).astype(np.int64),
        "x": rng.normal(0, 1, 30),
    }


def _predictor() -> Definition:
    value = add(
        var("intercept"),
        gather(var("a"), var("site_of_person"), "site"),
        gather(var("effect_z"), var("z"), "z_arms"),
        mul(var("slope_x"), var("x")),
    )
    return Definition(name="eta", dims=("person",), value=value)


def _grouped(
    name: str,
    y: Numbers,
    observation: Observation,
    extra: tuple[RandomVariable | Definition, ...] = (),
    more: Mapping[str, Numbers] | None = None,
    sets: tuple[IndexSet, ...] = (),
) -> Case:
    values = {**_group_values(np.random.default_rng(22)), "y": y, **(more or {})}
    dtype = "int" if y.dtype.kind == "i" else "real"
    slots = [*_GROUP_SLOTS, Slot(name="y", dims=("person",), dtype=dtype)]
    slots += [real_slot(slot, ("person",)) for slot in more or {}]
    index_sets = (*_GROUP_SETS, *sets)
    model = Model(
        name=name,
        unit="person",
        index_sets=index_sets,
        slots=tuple(slots),
        statements=(*_GROUP_HYPER, _predictor(), *extra),
        observations=(observation,),
    )
    return model, ModelData(values=values, coords=labels(index_sets))


def _counts(high: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, high, 30).astype(np.int64)


def bernoulli() -> Case:
    """Binary outcome, three arms, sites."""
    return _grouped("bernoulli", _counts(2, 1), observe(("person",), "bernoulli_logit", "eta"))


def negbinomial() -> Case:
    """Counts with an exposure."""
    exposure = {"log_exposure": np.random.default_rng(3).normal(0, 0.3, 30)}
    shape = random("shape", "shape", "gamma", 2, 0.5)
    observation = observe(("person",), "negbinomial_log", add(var("eta"), var("log_exposure")), "shape")
    return _grouped("negbinomial", _counts(9, 2), observation, (shape,), exposure)


def ordinal() -> Case:
    """Four ordered categories: three cutpoints."""
    sets = (IndexSet(name="cutpoints_y", size=3, kind="categories"),)
    cutpoints = random("cutpoints", "cutpoints", "ordered_normal", 0, 2.5, dims=("cutpoints_y",))
    observation = observe(("person",), "ordinal_logit", "eta", "cutpoints")
    return _grouped("ordinal", _counts(4, 4), observation, (cutpoints,), sets=sets)


def student_by_arm() -> Case:
    """Student errors whose scale differs by arm."""
    y = np.random.default_rng(5).standard_t(4, 30)
    scale = random("residual", "residual", "halfnormal", 2, dims=("z_arms",))
    df = random("df", "df", "gamma", 2, 0.1)
    observation = observe(("person",), "student", "df", "eta", gather(var("residual"), var("z"), "z_arms"))
    return _grouped("student_by_arm", y, observation, (scale, df))


def weighted() -> Case:
    """Normal outcome with survey weights."""
    rng = np.random.default_rng(6)
    weights = {"weight": rng.uniform(0.3, 2.5, 30)}
    residual = random("residual", "residual", "inverse_gamma", 3, 2)
    observation = observe(("person",), "normal", "eta", "residual", weight="weight")
    return _grouped("weighted", rng.normal(1, 1.5, 30), observation, (residual,), weights)


def censored_weibull() -> Case:
    """Weighted and censored durations."""
    rng = np.random.default_rng(7)
    more: dict[str, Numbers] = {
        "weight": rng.uniform(0.5, 2, 30),
        "ended": (np.arange(30) % 3 > 0).astype(np.float64),
    }
    shape = random("shape", "shape", "halfnormal", 2)
    observation = observe(("person",), "weibull", "shape", apply("exp", var("eta")), weight="weight", event="ended")
    return _grouped("censored_weibull", rng.weibull(1.3, 30) * 2, observation, (shape,), more)


def categorical() -> Case:
    """Three unordered categories; the first is the reference."""
    sets = (
        IndexSet(name="categories_y", size=3, kind="categories"),
        IndexSet(name="contrasts_y", size=2, kind="categories"),
    )
    base = random("base", "intercept", "normal", 0, 1, dims=("contrasts_y",))
    first, second = (column(var("base"), "contrasts_y", i) for i in range(2))
    logits = stack((const(0), add(first, var("eta")), sub(second, var("eta"))), "categories_y")
    observation = observe(("person",), "categorical_logit", logits)
    return _grouped("categorical", _counts(3, 8), observation, (base,), sets=sets)


MODELS: dict[str, Builder] = {
    "varying_slopes": varying_slopes,
    "varying_slopes_noncentred": varying_slopes_noncentred,
    "crossed": crossed,
    "bernoulli": bernoulli,
    "negbinomial": negbinomial,
    "ordinal": ordinal,
    "student_by_arm": student_by_arm,
    "weighted": weighted,
    "censored_weibull": censored_weibull,
    "categorical": categorical,
}

# One model for each distribution: the arguments of its law, as expressions of `eta[row]` (any real number),
# `spread[row]` (a positive number near one) and `share[row]` (strictly between 0 and 1), and of the slots
# `trials[row]` and the parameter `cutpoints[cuts]`.
_ARGUMENTS: dict[str, tuple[Term, ...]] = {
    "normal": ("eta", "spread"),
    "student": (4.5, "eta", "spread"),
    "cauchy": ("eta", "spread"),
    "laplace": ("eta", "spread"),
    "logistic": ("eta", "spread"),
    "skewnormal": ("eta", "spread", mul(const(3), var("eta"))),
    "asymmetric_laplace": ("eta", "spread", "share"),
    "halfnormal": ("spread",),
    "halfstudent": (add(const(2), var("spread")), "spread"),
    "halfcauchy": ("spread",),
    "exponential": ("spread",),
    "lognormal": ("eta", "spread"),
    "gamma": (mul(const(2), var("spread")), "spread"),
    "gamma_mean": (apply("exp", var("eta")), "spread"),
    "inverse_gamma": (mul(const(2), var("spread")), "spread"),
    "weibull": ("spread", apply("exp", var("eta"))),
    "uniform": (sub(const(-1), var("spread")), add(const(4), var("spread"))),
    "beta": ("spread", mul(const(2), var("spread"))),
    "beta_mean": ("share", mul(const(4), var("spread"))),
    "bernoulli_logit": ("eta",),
    "bernoulli": ("share",),
    "binomial_logit": ("trials", "eta"),
    "binomial": ("trials", "share"),
    "betabinomial_logit": ("trials", "eta", "spread"),
    "poisson_log": ("eta",),
    "negbinomial_log": ("eta", "spread"),
    "zipoisson_log": ("eta", "share"),
    "hurdle_poisson_log": ("eta", "share"),
    "hurdle_negbinomial_log": ("eta", "spread", "share"),
    "hurdle_lognormal": ("eta", "spread", "share"),
    "hurdle_gamma": (apply("exp", var("eta")), "spread", "share"),
    "ordinal_logit": ("eta", "cutpoints"),
    "ordinal_probit": ("eta", "cutpoints"),
    "categorical_logit": (stack((const(0), var("eta"), mul(const(-0.5), var("eta")), var("share")), "categories"),),
}
OBSERVABLE = tuple(name for name in DISTRIBUTIONS if name in _ARGUMENTS)
_ROWS = 12


def _outcome(distribution: str) -> Numbers:
    rng = np.random.default_rng(30)
    support = DISTRIBUTIONS[distribution].support
    counts = np.array([0, 1, 3, 0, 2, 5, 1, 0, 4, 2, 6, 1], dtype=np.int64)
    if support in ("binary", "category", "count"):
        return counts % {"binary": 2, "category": 4, "count": 7}[support]
    if support == "unit":
        return rng.uniform(0.05, 0.95, _ROWS)
    if support == "interval":
        return rng.uniform(-1, 4, _ROWS)
    if support == "positive":
        positive = rng.gamma(2, 1, _ROWS)
        return np.where(counts == 0, 0.0, positive) if distribution.startswith("hurdle") else positive
    return rng.normal(0.5, 1.5, _ROWS)


def observed(distribution: str, weight: bool = False, event: bool = False) -> Case:
    """A model whose only observation has the given distribution (one of OBSERVABLE)."""
    rng = np.random.default_rng(31)
    y = _outcome(distribution)
    sets = (
        level("row", _ROWS),
        IndexSet(name="cuts", size=3, kind="categories"),
        IndexSet(name="categories", size=4, kind="categories"),
    )
    values: dict[str, Numbers] = {
        "y": y,
        "x": rng.normal(0, 1, _ROWS),
        "trials": np.array([6, 2, 3, 5, 4, 7, 2, 1, 9, 3, 6, 2], dtype=np.int64),
    }
    slots = [Slot(name="y", dims=("row",), dtype="int" if y.dtype.kind == "i" else "real")]
    slots += [real_slot("x", ("row",)), int_slot("trials", ("row",))]
    if weight:
        values["weight"] = rng.uniform(0.5, 2, _ROWS)
        slots.append(real_slot("weight", ("row",)))
    if event:
        values["ended"] = (np.arange(_ROWS) % 2).astype(np.float64)
        slots.append(real_slot("ended", ("row",)))
    observation = observe(
        ("row",),
        distribution,
        *_ARGUMENTS[distribution],
        weight="weight" if weight else None,
        event="ended" if event else None,
    )
    model = Model(
        name=f"observed_{distribution}",
        unit="row",
        index_sets=sets,
        slots=tuple(slots),
        statements=_arguments_of(distribution),
        observations=(observation,),
    )
    return model, ModelData(values=values, coords=labels(sets))


def _arguments_of(distribution: str) -> tuple[RandomVariable | Definition, ...]:
    slope = mul(var("b"), var("x"))
    statements: list[RandomVariable | Definition] = [
        random("a", "intercept", "normal", 0, 1),
        random("b", "slope(x)", "normal", 0, 0.5),
        random("s", "residual", "gamma", 4, 4),
        random("p", "share", "beta", 2, 3),
    ]
    if distribution.startswith("ordinal"):
        statements.append(random("cutpoints", "cutpoints", "ordered_normal", 0, 2, dims=("cuts",)))
    tilt = apply("exp", mul(const(0.2), var("x")))
    statements += [
        Definition(name="eta", dims=("row",), value=add(var("a"), slope)),
        Definition(name="spread", dims=("row",), value=mul(var("s"), tilt)),
        Definition(
            name="share",
            dims=("row",),
            value=apply("inv_logit", add(apply("logit", var("p")), mul(const(0.3), var("x")))),
        ),
    ]
    return tuple(statements)


# The laws of a continuous parameter, with a moving location and scale where there are any.
_PRIORS: dict[str, tuple[Term, ...]] = {
    "normal": ("m", "s"),
    "student": (add(const(2), var("s")), "m", "s"),
    "cauchy": ("m", "s"),
    "laplace": ("m", "s"),
    "logistic": ("m", "s"),
    "skewnormal": ("m", "s", 2),
    "asymmetric_laplace": ("m", "s", 0.3),
    "halfnormal": ("s",),
    "halfstudent": (4, "s"),
    "halfcauchy": ("s",),
    "exponential": ("s",),
    "lognormal": ("m", "s"),
    "gamma": (2, "s"),
    "gamma_mean": ("s", 3),
    "inverse_gamma": (3, "s"),
    "weibull": (1.5, "s"),
    "uniform": (-2, 3),
    "beta": ("s", 2),
    "beta_mean": (0.4, "s"),
    "normal_mixture": ("logits", mul(var("m"), var("logits")), apply("exp", mul(var("s"), var("logits")))),
    "multinormal_cholesky": ("m", mul(var("s"), var("factor"))),
    "multinormal_lowrank": ("m", add(const(0.5), var("s")), mul(var("s"), var("factor"))),
    "lkj_cholesky": ("s",),
    "ordered_normal": ("m", "s"),
    "dirichlet": ("s",),
}
PRIORS = tuple(name for name in DISTRIBUTIONS if name in _PRIORS)


def prior(distribution: str) -> Case:
    """A model with a parameter `theta` of the given law (one of PRIORS) and hyperparameters `m` and `s`."""
    event = DISTRIBUTIONS[distribution].event
    dims = {0: ("group",), 1: ("group", "part"), 2: ("part", "part_2")}[event]
    sets = (
        level("group", 2),
        level("row", 3),
        IndexSet(name="part", size=3, kind="effects"),
        IndexSet(name="part_2", size=3, kind="effects"),
        IndexSet(name="component", size=4, kind="terms"),
    )
    values: dict[str, Numbers] = {
        "y": np.array([0.3, -1.2, 0.8]),
        "factor": np.array([[1.0, 0, 0], [0.5, 0.8, 0], [-0.4, 0.3, 0.9]]),
        "logits": np.array([0.3, -0.9, 1.2, -2.0]),
        "part_index": np.array([2, 0, 1], dtype=np.int64),
        "group_index": np.array([1, 0, 1], dtype=np.int64),
    }
    first = column(var("theta"), "part_2", 0) if event == 2 else var("theta")
    by_row = gather(first, var("group_index"), "group") if "group" in dims else first
    by_row = gather(by_row, var("part_index"), "part") if "part" in dims else by_row
    model = Model(
        name=f"prior_{distribution}",
        unit="row",
        index_sets=sets,
        slots=(
            real_slot("y", ("row",)),
            real_slot("factor", ("part", "part_2")),
            real_slot("logits", ("component",)),
            int_slot("part_index", ("row",), indexes="part"),
            int_slot("group_index", ("row",), indexes="group"),
        ),
        statements=(
            random("m", "intercept", "normal", 0, 1),
            random("s", "scale", "gamma", 5, 4),
            random("theta", "theta", distribution, *_PRIORS[distribution], dims=dims),
        ),
        observations=(observe(("row",), "normal", by_row, 1.5),),
    )
    return model, ModelData(values=values, coords=labels(sets))


def nested_units(levels: int) -> Case:
    """The rows of groups in units of one level or more; of the first units one has one group, one has none."""
    rng = np.random.default_rng(33)
    units = (4, 2, 2)[:levels]
    below = (("group", 7), *((f"unit_{k}", size) for k, size in enumerate(units)))
    codes = (np.array([2, 0, 0, 3, 2, 0, 2]), np.array([1, 1, 0, 1]), np.array([1, 0]))
    sets = [level("group", 7), *(IndexSet(name=n, size=k, kind="cells") for n, k in (("row", 3), ("column", 2)))]
    slots = [
        real_slot("y", ("group", "row")),
        real_slot("x", ("row", "group")),
        real_slot("Z", ("row", "group", "column")),
    ]
    values: dict[str, Numbers] = {
        "y": rng.normal(size=(7, 3)),
        "x": rng.normal(size=(3, 7)),
        "Z": rng.normal(size=(3, 7, 2)),
    }
    args: list[Term] = [mul(var("b"), var("x")), add(const(0.2), var("s")), mul(var("s"), var("Z"))]
    for k, size in enumerate(units):
        (name, _), unit, dim, wide = below[k], f"unit_{k}", f"column_{k}", 1 + (k == 0)
        sets += [level(unit, size), IndexSet(name=dim, size=wide, kind="cells")]
        slots += [real_slot(f"W_{k}", ("row", "group", dim)), int_slot(f"{unit}_of", (name,), indexes=unit)]
        values |= {f"W_{k}": rng.normal(size=(3, 7, wide)), f"{unit}_of": codes[k].astype(np.int64)}
        args += [mul(mul(const(k + 0.5), var("t")), var(f"W_{k}")), var(f"{unit}_of")]
    model = Model(
        name=f"nested_units_{levels}",
        unit="group",
        index_sets=tuple(sets),
        slots=tuple(slots),
        statements=(
            random("b", "slope", "normal", 0, 1),
            random("s", "scale", "gamma", 4, 4),
            random("t", "spread", "gamma", 4, 4),
        ),
        observations=(observe(("group", "row"), NESTED[levels], *args).model_copy(update={"outcome": ""}),),
    )
    return model, ModelData(values=values, coords=labels(sets))


# For each function: its arguments and static arguments, in terms of the real parameters `b[part]`, `c[part]`
# and `w[group, part]`, shares `q[part]`, positive `s[part]`, and slots `group_index[row]`, `part_slot[part]`.
_COMPUTED: dict[str, tuple[tuple[Term, ...], tuple[str | int, ...]]] = {
    **dict.fromkeys(("add", "sub", "mul", "min", "max"), (("b", "c"), ())),
    **dict.fromkeys(("neg", "exp", "expm1", "square", "abs", "sin", "cos", "tanh"), (("b",), ())),
    **dict.fromkeys(("inv_logit", "inv_probit", "inv_cloglog", "log_inv_logit"), (("b",), ())),
    **dict.fromkeys(("log", "log1p", "sqrt"), (("s",), ())),
    **dict.fromkeys(("logit", "probit"), (("q",), ())),
    "div": (("b", "s"), ()),
    "pow": (("s", "b"), ()),
    "equal": (("part_slot", 1), ()),
    "less": (("part_slot", "x"), ()),
    "where": (("part_slot", "b", "c"), ()),
    "gather": (("w", "group_index"), ("group",)),
    "column": (("w",), ("group", 1)),
    "stack": (("b", "c", 0.5), ("copies",)),
    "sum": (("w",), ("group",)),
    "mean": (("w",), ("group",)),
    "log_sum_exp": (("w",), ("group",)),
    "log_softmax": (("w",), ("part",)),
    "cumulative_sum": (("w",), ("part",)),
    "dot": (("w", "b"), ("part",)),
    "cholesky": (
        (add(var("unit_matrix"), dot(var("w"), gather(var("w"), var("part_of_other"), "part"), "group")),),
        ("part", "other"),
    ),
}
COMPUTABLE = tuple(name for name in FUNCTIONS if name in _COMPUTED)


def _to_scalar(value: Expr, dims: Dims) -> Expr:
    for dim in dims:
        value = apply("sum", value, static=(dim,))
    return value


def computed(function: str) -> Case:
    """A model whose mean uses the given function (one of COMPUTABLE)."""
    args, static = _COMPUTED[function]
    sets = (
        level("group", 2),
        level("row", 4),
        IndexSet(name="part", size=3, kind="terms"),
        IndexSet(name="copies", size=3, kind="terms"),
        IndexSet(name="other", size=3, kind="terms"),
    )
    slots = (
        real_slot("y", ("row",)),
        real_slot("x", ("part",)),
        real_slot("unit_matrix", ("part", "other")),
        int_slot("part_of_other", ("other",), indexes="part"),
        int_slot("part_slot", ("part",)),
        int_slot("group_index", ("row",), indexes="group"),
    )
    statements = (
        random("b", "slope(b)", "normal", 0, 1, dims=("part",)),
        random("c", "slope(c)", "normal", 0, 1, dims=("part",)),
        random("s", "scale", "gamma", 3, 2, dims=("part",)),
        random("q", "share", "beta", 2, 2, dims=("part",)),
        random("w", "effect[group]", "normal", 0, 1, dims=("group", "part")),
    )
    scope = {each.name: each.dims for each in (*slots, *statements)}
    value = Apply(function=function, args=tuple(expr(arg) for arg in args), static=static)
    dims = dims_of(value, scope)
    model = Model(
        name=f"computed_{function}",
        unit="row",
        index_sets=sets,
        slots=slots,
        statements=(
            *statements,
            Definition(name="f", dims=dims, value=value),
            Definition(
                name="total",
                dims=tuple(dim for dim in dims if dim == "row"),
                value=_to_scalar(
                    mul(var("f"), add(var("b"), var("x"))), tuple(d for d in _with_part(dims) if d != "row")
                ),
            ),
        ),
        observations=(observe(("row",), "normal", "total", 1),),
        reported=(Reported(role="f", value=var("f"), dims=dims),),
    )
    values: dict[str, Numbers] = {
        "y": np.array([0.5, -0.3, 1.2, 0.1]),
        "x": np.array([0.4, -0.7, 1.9]),
        "unit_matrix": np.eye(3),
        "part_of_other": np.arange(3, dtype=np.int64),
        "part_slot": np.array([0, 1, 1], dtype=np.int64),
        "group_index": np.array([1, 0, 0, 1], dtype=np.int64),
    }
    return model, ModelData(values=values, coords=labels(sets))


def _with_part(dims: Dims) -> Dims:
    return dims if "part" in dims else (*dims, "part")
