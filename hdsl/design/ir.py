"""The Study IR: what the design is. Built from text or in Python, two equal designs compare equal.

Spans of the source live in a side table (`hdsl.design.from_syntax`), never here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hdsl.design.expr import Call, Expr, Node, Target
from hdsl.design.words import Finite, Line, Name

Role = Literal["covariate", "intermediate", "outcome", "weight", "exposure"]
KindName = Literal["real", "positive", "proportion", "count", "binary", "category", "ordered", "duration"]
LevelWord = Literal["group", "wave", "unit"]
MechanismName = Literal["complete", "bernoulli", "ignorable", "rule"]
Shape = Literal["linear", "spline", "gp"]


class Kind(Node):
    """The kind of a variable.

    `trials` is the N of `count of N` (a column or a number), `censored_by` the column that is 1 where a duration was
    cut off (0: its end was seen), `known_sd` the sampling standard deviation of a summary.
    """

    name: KindName
    trials: Expr | None = None
    censored_by: Line | None = None
    known_sd: Expr | None = None

    @model_validator(mode="after")
    def _whole(self) -> Kind:
        given = {"count": self.trials, "duration": self.censored_by, "real": self.known_sd}
        for name, value in given.items():
            if value is not None and name != self.name:
                raise ValueError(f"a variable of kind {self.name} cannot have what belongs to a {name}")
        return self


class Variable(Node):
    """A measured variable; it belongs to the level in whose block it stands."""

    role: Role
    name: Name
    kind: Kind
    missing: bool = False
    measured_in: Line | None = None
    column: Line | None = None


class Level(Node):
    """A set of units. `parents` are levels it nests in, `crosses` the factors of a crossed unit."""

    word: LevelWord
    name: Name
    id: Line | None = None
    parents: tuple[Name, ...] = ()
    crosses: tuple[Name, ...] = ()
    file: Line | None = None
    variables: tuple[Variable, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Level:
        if len(self.crosses) == 1:
            raise ValueError(f"{self.word} {self.name} cannot cross a single level")
        if self.word == "wave" and (self.above or self.file is not None):
            raise ValueError(f"wave {self.name} cannot nest in a level or come from a file")
        return self

    @property
    def above(self) -> tuple[str, ...]:
        """The levels directly above: those it nests in, then those it crosses."""
        return self.parents + self.crosses


class Arm(Node):
    """A treatment level and the code that stands for it in the data."""

    name: Name
    code: Finite | Line


class Treatment(Node):
    """A treatment: arms (the first is the reference) or, with `dose`, a continuous quantity."""

    name: Name
    column: Line | None = None
    arms: tuple[Arm, ...] = ()
    ordered: bool = False
    dose: Literal["real", "positive", "proportion", "count"] | None = None
    measured_in: Line | None = None

    @model_validator(mode="after")
    def _whole(self) -> Treatment:
        if bool(self.arms) == (self.dose is not None):
            raise ValueError(f"treatment {self.name} wants arms, or else the kind of its dose")
        if (self.ordered and not self.arms) or (self.measured_in is not None and self.arms):
            raise ValueError(f"treatment {self.name}: `ordered` belongs to arms, `measured_in` to a dose")
        return self


class Mechanism(Node):
    """How a treatment was assigned.

    `probability`: the p of `complete(p)` or `bernoulli(p)`, a number or the name of a proportion variable;
    with more than two arms a sequence of probabilities, one per arm. `given`: the covariates of `ignorable`.
    `cutoff`: of `rule(x, cutoff)`, whose x is the only element of `given`.
    """

    name: MechanismName
    probability: Expr | None = None
    given: tuple[Expr, ...] = ()
    cutoff: Finite | None = None

    @model_validator(mode="after")
    def _whole(self) -> Mechanism:
        randomised = self.name in ("complete", "bernoulli")
        if (self.probability is not None and not randomised) or (self.given and randomised):
            raise ValueError(f"`{self.name}` has {'no covariates' if randomised else 'no probability'}")
        if self.name != "rule" and self.cutoff is not None:
            raise ValueError(f"`{self.name}` has no cutoff")
        return self


class Condition(Node):
    """`if T2 = arm`: the assignment is made only where another treatment has that arm."""

    treatment: Name
    arm: Name


class Assignment(Node):
    """`assign T to UNIT [within G, ...] [if T2 = arm] by MECHANISM`."""

    treatment: Name
    to: Name
    within: tuple[Name, ...] = ()
    condition: Condition | None = None
    mechanism: Mechanism


class Stratum(Node):
    """A principal stratum: the intermediate's value under each arm; `unaffected` = exclusion restriction."""

    name: Name
    values: tuple[Finite | Line, ...] = Field(min_length=2)
    unaffected: bool = False


class Principal(Node):
    """`principal NAME from D under Z { ... }`: the strata that exist; those not listed do not."""

    name: Name
    intermediate: Name
    treatment: Name
    strata: tuple[Stratum, ...]


class Family(Node):
    """`family OUTCOME FAMILY(...)`; options such as `link = probit` are in `options` of `law`."""

    node: Literal["family"] = "family"
    outcome: Name
    law: Call


class Adjust(Node):
    """`adjust for TERM, ...`."""

    node: Literal["adjust"] = "adjust"
    terms: tuple[Expr, ...] = Field(min_length=1)


class VaryAcross(Node):
    """`vary EFFECT across GROUP [uncorrelated] [as LAW]`; several groups (`A * B`) only `as array`."""

    node: Literal["vary_across"] = "vary_across"
    effect: Expr
    across: tuple[Name, ...] = Field(min_length=1)
    uncorrelated: bool = False
    law: Literal["normal", "student", "dirichlet", "array"] = "normal"


class VaryWith(Node):
    """`vary EFFECT with TERM [as SHAPE] [prespecified / exploratory]` (neither said: prespecified)."""

    node: Literal["vary_with"] = "vary_with"
    effect: Expr
    term: Expr
    shape: Shape = "linear"
    status: Literal["prespecified", "exploratory"] | None = None


class Interact(Node):
    """`interact z1 * z2 [* z3]`."""

    node: Literal["interact"] = "interact"
    treatments: tuple[Name, ...] = Field(min_length=2)


class Shrink(Node):
    """`shrink interactions as PRIOR`."""

    node: Literal["shrink"] = "shrink"
    prior: Literal["halft", "horseshoe", "r2d2", "lasso", "heredity"]


class VarianceBy(Node):
    """`variance of OUTCOME by z [as MODEL]`."""

    node: Literal["variance_by"] = "variance_by"
    outcome: Name
    by: Name
    model: Literal["additive", "subtractive", "replacement"] | None = None


class VarianceWith(Node):
    """`variance of OUTCOME with x`: log-linear residual standard deviation."""

    node: Literal["variance_with"] = "variance_with"
    outcome: Name
    term: Expr


class VarianceAcross(Node):
    """`variance of OUTCOME across GROUP`: hierarchical residual standard deviations."""

    node: Literal["variance_across"] = "variance_across"
    outcome: Name
    across: Name


class EffectVarianceWith(Node):
    """`variance of EFFECT across GROUP with x`: the spread of group effects depends on x."""

    node: Literal["effect_variance_with"] = "effect_variance_with"
    effect: Expr
    across: Name
    term: Expr


class Correlate(Node):
    """`correlate OUTCOME within UNIT as STRUCTURE`."""

    node: Literal["correlate"] = "correlate"
    outcome: Name
    within: Name
    structure: Literal["ar1", "exchangeable", "unstructured"]


class Pool(Node):
    """`pool GROUP completely / partially / none`."""

    node: Literal["pool"] = "pool"
    group: Name
    how: Literal["completely", "partially", "none"]


class Propensity(Node):
    """`propensity for z [with x, ...] [across GROUP] as strata(k) / weight / covariate`."""

    node: Literal["propensity"] = "propensity"
    treatment: Name
    terms: tuple[Expr, ...] = ()
    across: Name | None = None
    use: Literal["strata", "weight", "covariate"]
    strata: int | None = None


class Surface(Node):
    """`surface of OUTCOME given x, ... as bart / gp`."""

    node: Literal["surface"] = "surface"
    outcome: Name
    given: tuple[Expr, ...] = Field(min_length=1)
    law: Literal["bart", "gp"]


class Poststratify(Node):
    """`poststratify over "file.csv" weight COLUMN`."""

    node: Literal["poststratify"] = "poststratify"
    file: Line
    weight: Line


Amendment = Annotated[
    Family
    | Adjust
    | VaryAcross
    | VaryWith
    | Interact
    | Shrink
    | VarianceBy
    | VarianceWith
    | VarianceAcross
    | EffectVarianceWith
    | Correlate
    | Pool
    | Propensity
    | Surface
    | Poststratify,
    Field(discriminator="node"),
]


class LawStatement(Node):
    """`alpha[school], tau[school] ~ multinormal(...)` of an explicit model; a target without index is a Ref."""

    node: Literal["law"] = "law"
    targets: tuple[Target, ...] = Field(min_length=1)
    law: Call


class DefinitionStatement(Node):
    """`name = expr` or `name[level] = expr` of an explicit model."""

    node: Literal["definition"] = "definition"
    target: Target
    value: Expr


Equation = Annotated[LawStatement | DefinitionStatement, Field(discriminator="node")]


class Prior(Node):
    """`TARGET ~ DIST`: the target is a role, as in `sd(effect(tutor), school)`, or `effect(tutor)[trained]`."""

    target: Target
    law: Call


class Estimand(Node):
    """`estimand NAME[index] = EXPR`."""

    name: Name
    index: tuple[Name, ...] = ()
    value: Expr


class AssumedSize(Node):
    """`school: 40` or `student: 25 per school`; `high` closes a range."""

    node: Literal["size"] = "size"
    level: Name
    low: Finite
    high: Finite | None = None
    per: Name | None = None


class AssumedValue(Node):
    """`effect(tutor) = 0.2`; `high` closes a range."""

    node: Literal["value"] = "value"
    target: Target
    low: Finite
    high: Finite | None = None


Assumption = Annotated[AssumedSize | AssumedValue, Field(discriminator="node")]


class Waiver(Node):
    """`waive CODE because "reason"`."""

    code: Name
    because: Line


class StudyFields(Node):
    """The content of a study; `hdsl.design.study.Study` adds the Python way of writing it.

    `hdm` is the language version. `analysis` is None where the study has explicit `model` equations; both
    empty means the model is derived as it stands.
    """

    hdm: Literal[1] = 1
    name: Name
    title: Line | None = None
    table: Line | None = None
    levels: tuple[Level, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    principals: tuple[Principal, ...] = ()
    analysis: tuple[Amendment, ...] = ()
    equations: tuple[Equation, ...] = ()
    priors: tuple[Prior, ...] = ()
    estimands: tuple[Estimand, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    waivers: tuple[Waiver, ...] = ()
