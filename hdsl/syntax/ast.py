"""The syntax tree of a study: what was written, with the place of every part.

Spans are left out of comparison, so two texts that differ only in layout have equal trees. A column that
is quoted in the text (`id "pupil no."`) is a `Name` like any other. Names are in Unicode form NFC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hdsl.source import Span

LevelWord = Literal["group", "wave", "unit"]
Role = Literal["covariate", "intermediate", "outcome", "weight", "exposure"]
KindName = Literal["real", "positive", "proportion", "count", "binary", "category", "ordered", "duration"]
DoseKind = Literal["real", "positive", "proportion", "count"]
MechanismName = Literal["complete", "bernoulli", "ignorable", "rule"]
AggregateName = Literal["average", "median", "quantile", "sd", "variance", "share"]
LogicalOperator = Literal["and", "or", "not"]
Operator = Literal["+", "-", "*", "/", "^"]
Comparator = Literal["=", "!=", "<", "<=", ">", ">="]
VaryLaw = Literal["normal", "student", "dirichlet", "array"]
Shape = Literal["linear", "spline", "gp"]
Status = Literal["prespecified", "exploratory"]
ShrinkPrior = Literal["halft", "horseshoe", "r2d2", "lasso", "heredity"]
VarianceModel = Literal["additive", "subtractive", "replacement"]
Structure = Literal["ar1", "exchangeable", "unstructured"]
Pooling = Literal["completely", "partially", "none"]
PropensityUse = Literal["strata", "weight", "covariate"]
SurfaceLaw = Literal["bart", "gp"]


def _span() -> Span:
    """Return the field for the place of a node."""
    return field(compare=False, kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name that stands for a declaration, a column or an arm."""

    text: str
    span: Span = _span()


# Expressions


@dataclass(frozen=True, slots=True)
class Number:
    """A number; where a literal is wanted (arm codes, ranges) it carries its sign."""

    value: float
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class String:
    """A quoted text, without its quotes."""

    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class NameExpr:
    """A name used as a value."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Unary:
    """`- of` (a plus sign before an expression leaves no node)."""

    op: Literal["-"]
    of: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic of two expressions."""

    op: Operator
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Compare:
    """A test of two expressions."""

    op: Comparator
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Logical:
    """`and`, `or` of two or more tests, or `not` of one."""

    op: LogicalOperator
    operands: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Occasions:
    """`at month 1..3`: the occasions of a wave; a single one has `first` equal to `last`."""

    wave: Name
    first: Number | String | NameExpr
    last: Number | String | NameExpr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Setting:
    """A named argument: `tutor = tutored`, `track = 1 at month 1..3`, `link = probit`."""

    name: Name
    value: Expr
    at: Occasions | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    """`name(args, settings)`. A potential outcome is a call that has settings and no args."""

    name: Name
    args: tuple[Expr, ...] = ()
    settings: tuple[Setting, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Indexed:
    """`alpha[school]`, or in priors `effect(tutor)[trained]`."""

    of: NameExpr | Call
    indices: tuple[NameExpr | Number | String, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class TupleExpr:
    """`(a, b)`: two or more expressions."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`AGG over [population] UNIT [where TEST] of EXPR [assuming correlation = r]`.

    `over` is a level, or a file of population cells. `probability` is the q of `quantile(q)`.
    """

    name: AggregateName
    over: Name | String
    of: Expr
    probability: Number | None = None
    population: bool = False
    where: Expr | None = None
    correlation: Number | None = None
    span: Span = _span()


type Expr = Number | String | NameExpr | Unary | Binary | Compare | Logical | Call | Indexed | TupleExpr | Aggregate


# Statements of the design


@dataclass(frozen=True, slots=True)
class Hdm:
    """`hdm 1`."""

    version: int
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Study:
    """`study NAME "title"`."""

    name: Name
    title: String | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Data:
    """`data "file.csv"`."""

    table: String
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a variable, with what belongs to it: trials, censoring column, known sd."""

    name: KindName
    trials: Expr | None = None
    censored_by: Name | None = None
    known_sd: Expr | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Variable:
    """`role NAME : kind [missing] ["measured in"] [column C]`."""

    role: Role
    name: Name
    kind: Kind
    missing: bool = False
    measured_in: String | None = None
    column: Name | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Level:
    """`group`, `wave` or `unit`. `parents` are the levels it nests in, `crosses` the factors of `in A * B`."""

    word: LevelWord
    name: Name
    id: Name | None = None
    parents: tuple[Name, ...] = ()
    crosses: tuple[Name, ...] = ()
    file: String | None = None
    variables: tuple[Variable, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Arm:
    """`tutored = 1`."""

    name: Name
    code: Number | String
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Dose:
    """The kind of a continuous treatment."""

    name: DoseKind
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Treatment:
    """`treatment NAME [column C] { arms } [ordered]`, or `treatment NAME : kind ["measured in"] [column C]`."""

    name: Name
    column: Name | None = None
    arms: tuple[Arm, ...] = ()
    ordered: bool = False
    dose: Dose | None = None
    measured_in: String | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Condition:
    """`if mailing = mailed`."""

    treatment: Name
    arm: Name
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Mechanism:
    """`complete(0.5)`, `ignorable(x, z)`."""

    name: MechanismName
    args: tuple[Expr, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Assign:
    """`assign T to UNIT [within G, ...] [if T2 = arm] by MECHANISM`."""

    treatment: Name
    to: Name
    mechanism: Mechanism
    within: tuple[Name, ...] = ()
    condition: Condition | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Stratum:
    """`complier = (0, 1) [unaffected]`."""

    name: Name
    values: tuple[Number | String, ...]
    unaffected: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Principal:
    """`principal NAME from D under Z { strata }`."""

    name: Name
    intermediate: Name
    treatment: Name
    strata: tuple[Stratum, ...]
    span: Span = _span()


# Amendments of `analysis`


@dataclass(frozen=True, slots=True)
class Family:
    """`family OUTCOME FAMILY(...)`; a bare family is a call without arguments."""

    outcome: Name
    law: Call
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Adjust:
    """`adjust for TERM, ...`."""

    terms: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class VaryAcross:
    """`vary EFFECT across A * B [uncorrelated] [as LAW]`; `law` is None where none is written."""

    effect: Expr
    across: tuple[Name, ...]
    uncorrelated: bool = False
    law: VaryLaw | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class VaryWith:
    """`vary EFFECT with TERM, ... [as SHAPE] [prespecified / exploratory]`."""

    effect: Expr
    terms: tuple[Expr, ...]
    shape: Shape | None = None
    status: Status | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Interact:
    """`interact z1 * z2`."""

    treatments: tuple[Name, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Shrink:
    """`shrink interactions as PRIOR`."""

    prior: ShrinkPrior
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class VarianceBy:
    """`variance of OUTCOME by z [as MODEL]`."""

    outcome: Name
    by: Name
    model: VarianceModel | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class VarianceWith:
    """`variance of OUTCOME with x`."""

    outcome: Name
    term: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class VarianceAcross:
    """`variance of OUTCOME across GROUP`."""

    outcome: Name
    across: Name
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class EffectVarianceWith:
    """`variance of EFFECT across GROUP with x`."""

    effect: Expr
    across: Name
    term: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Correlate:
    """`correlate OUTCOME within UNIT as STRUCTURE`."""

    outcome: Name
    within: Name
    structure: Structure
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Pool:
    """`pool GROUP completely / partially / none`."""

    group: Name
    how: Pooling
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Propensity:
    """`propensity for z [with x, ...] [across GROUP] as strata(5) / weight / covariate`."""

    treatment: Name
    use: PropensityUse
    terms: tuple[Expr, ...] = ()
    across: Name | None = None
    strata: int | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Surface:
    """`surface of OUTCOME given x, ... as bart / gp`."""

    outcome: Name
    given: tuple[Expr, ...]
    law: SurfaceLaw
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Poststratify:
    """`poststratify over "file.csv" weight COLUMN`."""

    file: String
    weight: Name
    span: Span = _span()


type Amendment = (
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
    | Poststratify
)


@dataclass(frozen=True, slots=True)
class Analysis:
    """`analysis { ... }`."""

    amendments: tuple[Amendment, ...]
    span: Span = _span()


# Equations, priors, estimands, planning


@dataclass(frozen=True, slots=True)
class Law:
    """`alpha[school], tau[school] ~ multinormal(...)`."""

    targets: tuple[NameExpr | Call | Indexed, ...]
    law: Call
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Definition:
    """`eta[student] = alpha[school] + beta * pretest`."""

    target: NameExpr | Call | Indexed
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Model:
    """`model { ... }`."""

    equations: tuple[Law | Definition, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Prior:
    """`sd(effect(tutor), school) ~ halfnormal(2)`."""

    target: NameExpr | Call | Indexed
    law: Call
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Priors:
    """`priors { ... }`."""

    priors: tuple[Prior, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Estimand:
    """`estimand NAME[index] = EXPR`."""

    name: Name
    value: Expr
    index: tuple[Name, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class AssumedSize:
    """`student: 25 per school`, `school: 20..40`; `high` is None unless a range is given."""

    level: Name
    low: Number
    high: Number | None = None
    per: Name | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class AssumedValue:
    """`effect(tutor) = 0.2`, `residual = 0.5..1`."""

    target: NameExpr | Call | Indexed
    low: Number
    high: Number | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Assume:
    """`assume { ... }`."""

    items: tuple[AssumedSize | AssumedValue, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Waive:
    """`waive HDM401 because "reason"`."""

    code: Name
    because: String
    span: Span = _span()


type Statement = (
    Hdm | Study | Data | Level | Treatment | Assign | Principal | Analysis | Model | Priors | Estimand | Assume | Waive
)


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, from its `#` to the end of its line."""

    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class File:
    """A whole study: its statements in the order written, and its comments."""

    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False)
    span: Span = _span()
