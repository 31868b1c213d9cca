"""Effects that vary together: `alpha[g], tau[g] ~ multinormal((m, n), sd = (s, t), corr = rho)`."""

from __future__ import annotations

from collections.abc import Sequence

from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.equations.arguments import is_treated
from hdsl.model.equations.laws import JOINT, Form, Parameter, arguments
from hdsl.model.equations.names import Scope, Unknown
from hdsl.model.equations.placed import Placed
from hdsl.model.equations.program import Target
from hdsl.model.equations.translate import at, translate
from hdsl.model.equations.words import REASON
from hdsl.model.ir import Expr, Law, Var, add, apply, column, const, dot, mul, stack, sub

FORM = Form("multinormal_cholesky", tuple(Parameter(name) for name in ("mean", "sd", "corr")))
EXAMPLE = f"Write `a[school], b[school] ~ {JOINT}((mu_a, mu_b), sd = (sd_a, sd_b), corr = rho)`, `rho ~ lkj(2)`."


def add_joint(scope: Scope, targets: tuple[Target, ...], call: study.Call) -> None:
    """Add the deviations of effects that are jointly normal, and each effect as its mean plus its deviation."""
    draft, what = scope.draft, "`" + ", ".join(target.role for target in targets) + "`"
    level = _common_level(targets, what)
    _, (mean, sd, corr) = arguments(call, (FORM,))
    means = [translate(scope, item, level) for item in _items(mean, len(targets))]
    centres = [at(scope, value, level, what) for value in means]
    scales = [_scale(scope, item, what) for item in _items(sd, len(targets))]
    names = [target.name for target in targets]
    dim = draft.index_set(f"{level}_effects", names, "effects")
    other = draft.index_set(f"{level}_effects_", names, "effects")
    factor = _factor(scope, corr, names, dim, other)
    scale = draft.define(f"sd {' '.join(names)}", stack(scales, dim))
    law = Law(distribution="multinormal_cholesky", args=(const(0), mul(scale, factor)))
    role = f"deviation({', '.join((*names, level))})"
    joint = draft.random(role, law, (draft.level(level), dim), REASON)
    for place, (target, centre) in enumerate(zip(targets, centres, strict=True)):
        total = add(centre, column(joint, dim, place))
        made = draft.define(target.name, total, role=target.role, reason=REASON)
        scope.made[target.name] = Placed(made, level)


def _common_level(targets: tuple[Target, ...], what: str) -> str:
    level = targets[0].level
    if len(targets) < 2 or level is None or {target.level for target in targets} != {level}:
        raise NotDerivable("HDM646", f"{what} cannot have a {JOINT} law: it is of two or more of one level.", EXAMPLE)
    return level


def _items(part: study.Expr, count: int) -> tuple[study.Expr, ...]:
    if isinstance(part, study.Sequence) and len(part.items) == count:
        return part.items
    raise NotDerivable("HDM647", f"`{role_text(part)}` should be {count} values in parentheses.", EXAMPLE)


def _scale(scope: Scope, sd: study.Expr, what: str) -> Expr:
    value = translate(scope, sd, None)
    if value.level is not None or is_treated(scope, value.expr):
        raise NotDerivable(
            "HDM655",
            f"{what}: the sd `{role_text(sd)}` differs between units, which a {JOINT} law does not have yet.",
            "Give each effect a normal law of its own.",
        )
    if value.range[0] < 0 or value.range[1] == 0:
        raise NotDerivable(
            "HDM648",
            f"{what}: an sd must be positive, and `{role_text(sd)}` can be below zero.",
            "Give it a law on positive numbers: `halfnormal(...)`.",
        )
    return value.expr


def _factor(scope: Scope, corr: study.Expr, names: Sequence[str], dim: str, other: str) -> Expr:
    """Return the Cholesky factor of the correlation matrix, dims (dim, other)."""
    if isinstance(corr, study.Ref) and _is_matrix(scope, corr.name):
        return _estimated(scope, corr.name, names, dim, other)
    value = translate(scope, corr, None)
    if len(names) > 2 or value.level is not None:
        raise NotDerivable(
            "HDM655", f"`corr = {role_text(corr)}` is no correlation matrix of {len(names)} effects.", EXAMPLE
        )
    if value.range[0] < -1 or value.range[1] > 1:
        raise NotDerivable(
            "HDM648",
            f"A correlation lies between -1 and 1, and `{role_text(corr)}` need not.",
            "Give it the law `lkj(2)`, or `uniform(-1, 1)`.",
        )
    return _from_number(scope.draft, value.expr, dim, other)


def _is_matrix(scope: Scope, name: str) -> bool:
    return name in scope.targets and name not in scope.made and name not in scope.draft.bound.variables


def _estimated(scope: Scope, name: str, names: Sequence[str], dim: str, other: str) -> Var:
    law = scope.shapes.get(name)
    if law is None:
        raise Unknown(name)
    if law.distribution != "lkj_cholesky":
        raise NotDerivable("HDM647", f"`{name}` is no correlation matrix.", f"Give it a law: `{name} ~ lkj(2)`.")
    if name in scope.sized:
        raise NotDerivable(
            "HDM655", f"`{name}` is the correlation of two {JOINT} laws.", "Give each its own correlation."
        )
    draft = scope.draft
    factor = draft.random(name, law, (dim, other), REASON)
    pairs: dict[str, Expr] = {}
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            role = name if len(names) == 2 else f"{name}({first}, {names[j]})"
            pairs[role] = dot(column(factor, dim, i), column(factor, dim, j), other)
    scope.sized[name] = pairs
    return factor


def _from_number(draft: Draft, corr: Expr, dim: str, other: str) -> Var:
    rest = apply("sqrt", sub(const(1), apply("square", corr)))
    first, second = stack([const(1), corr], dim), stack([const(0), rest], dim)
    return draft.define(f"correlation {dim}", stack([first, second], other))
