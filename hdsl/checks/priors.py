"""Priors and assumed values: their targets are roles, their laws exist and have parameters that can be."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.checks.elsewhere import suggested_law
from hdsl.checks.finding import Findings, Path, Rule, finding, listed, suggestion, want_arm, want_level
from hdsl.checks.numbers import constant
from hdsl.checks.scope import Scope
from hdsl.checks.terms import check_term
from hdsl.design.expr import Call, Expr, Indexed, Operation, Ref, names
from hdsl.design.ir import AssumedValue
from hdsl.design.roles import role_text
from hdsl.model.derive.priors import HALVES, LAW_NAMES
from hdsl.model.distributions import DISTRIBUTIONS

PLAIN = ("intercept", "residual", "df", "skew", "shape", "precision", "zero", "cutpoint")
LOGS = ("log_odds", "log_sd", "concentration")
FUNCTIONS = ("effect", "slope", "interaction", "sd", "lengthscale", "corr", "residual", "df", "removed", *LOGS)
POSITIVE = ("residual", "df", "shape", "precision", "sd", "slab", "lengthscale")
ANY_NUMBER = ("mean", "location", "meanlog", "low", "high")
SHAPES = "`effect(z)`, `slope(x)`, `intercept`, `residual`, `sd(effect(z), group)`, `corr(group)`"


def targets(scope: Scope) -> Findings:
    """HDM226 to 231, 248: a prior, and an assumed value, is of a parameter by its role."""
    for expr, path in _targets(scope):
        if scope.is_derived():
            yield from _role(scope, expr, path) if not _is_of_gaps(scope, expr) else _of_gaps(scope, expr, path)


def _is_of_gaps(scope: Scope, expr: Expr) -> bool:
    """Return whether a role is of the law of a covariate that is declared `missing`."""
    match expr:
        case Call(function="mean" | "sd" | "log_odds", args=(Ref(name=name),)):
            return _has_gaps(scope, name)
        case Call(function="sd" | "slope", args=(Ref(name=name), _)):
            return _has_gaps(scope, name)
        case _:
            return False


def _has_gaps(scope: Scope, name: str) -> bool:
    return any(v.name == name and v.missing for level in scope.study.levels for v in level.variables)


def _of_gaps(scope: Scope, expr: Expr, path: Path) -> Findings:
    match expr:
        case Call(function="sd", args=(_, Ref(name=group))):
            yield from want_level(scope, group, (*path, "args", 1))
        case Call(function="slope", args=(_, term)):
            yield from check_term(scope, term, (*path, "args", 1))
        case _:
            return


def _targets(scope: Scope) -> Iterator[tuple[Expr, Path]]:
    yield from ((prior.target, ("priors", i, "target")) for i, prior in enumerate(scope.study.priors))
    for i, item in enumerate(scope.study.assumptions):
        if isinstance(item, AssumedValue):
            yield item.target, ("assumptions", i, "target")


def beside_equations(scope: Scope) -> Findings:
    """HDM273: with explicit equations the priors are laws of the model."""
    if scope.study.priors and not scope.is_derived():
        help = "Move each line into `model`, with the name that the parameter has there."
        yield finding("HDM273", "`priors` belongs to a derived model; here the model is given.", ("priors", 0), help)


def _role(scope: Scope, expr: Expr, path: Path) -> Findings:
    match expr:
        case Ref(name=name) if name in PLAIN:
            return
        case Ref(name=name):
            yield from _bare(scope, name, path)
        case Indexed(name="residual"):
            return
        case Call(function="effect", args=(Ref(name=name),), index=index):
            yield from _effect(scope, name, index, path)
        case Call(function="slope", args=(Call(function="first", args=(inner,)),)):
            yield from check_term(scope, inner, (*path, "args", 0, "args", 0))
        case Call(function="slope", args=(term,)):
            yield from _slope(scope, term, path)
        case Call(function="interaction", args=(Operation(operator="*") as term,)):
            yield from check_term(scope, term, (*path, "args", 0))
        case Call(function="sd" | "df" | "concentration", args=(role, Ref(name=group))):
            yield from _role(scope, role, (*path, "args", 0))
            yield from want_level(scope, group, (*path, "args", 1))
        case Call(function="sd" | "slab" | "r2", args=(Ref(name="interactions"),)):
            return
        case Call(function="sd", args=(role, Operation(operator="*") as cells)):
            yield from _role(scope, role, (*path, "args", 0))
            for name in names(cells):
                yield from want_level(scope, name, (*path, "args", 1))
        case Call(function="sd" | "lengthscale", args=(term,)) if _curve(term) is not None:
            yield from check_term(scope, term, (*path, "args", 0))
        case Call(function="sd", args=(Call(function="residual", args=(term,)),)) if _curve(term) is not None:
            yield from check_term(scope, term, (*path, "args", 0, "args", 0))
        case Call(function="log_odds", args=(Ref(name=stratum), *terms)):
            yield from _stratum(scope, stratum, path)
            for place, term in enumerate(terms, 1):
                yield from check_term(scope, term, (*path, "args", place))
        case Call(function="log_sd", args=(role, Ref(name=group), term)):
            yield from _role(scope, role, (*path, "args", 0))
            yield from want_level(scope, group, (*path, "args", 1))
            yield from check_term(scope, term, (*path, "args", 2))
        case Call(function="corr", args=(Ref(name=group),)):
            yield from want_level(scope, group, (*path, "args", 0))
        case Call(function="corr", args=(Ref(name="residual"), Ref(name=group))):
            yield from want_level(scope, group, (*path, "args", 1))
        case Call(function="corr", args=(role, Ref(name=group))):
            yield from _role(scope, role, (*path, "args", 0))
            yield from want_level(scope, group, (*path, "args", 1))
        case Call(function="corr", args=(one, other, Ref(name=group))):
            yield from _role(scope, one, (*path, "args", 0))
            yield from _role(scope, other, (*path, "args", 1))
            yield from want_level(scope, group, (*path, "args", 2))
        case Call(function="residual" | "removed", args=(_, *_)):
            return
        case Call(function=function):
            near = suggestion(function, FUNCTIONS) if function not in FUNCTIONS else f"Parameters are {SHAPES}."
            yield finding("HDM248", f"`{role_text(expr)}` is no parameter.", path, near)
        case _:
            yield finding("HDM248", f"`{role_text(expr)}` is no parameter.", path, f"Parameters are {SHAPES}.")


def _curve(term: Expr) -> Call | None:
    """Return the `spline(...)` or `gp(...)` of a term that is one, or an effect times one."""
    if isinstance(term, Operation) and term.operator == "*":
        return _curve(term.right)
    return term if isinstance(term, Call) and term.function in ("spline", "gp") else None


def _bare(scope: Scope, name: str, path: Path) -> Findings:
    if name in scope.treatments:
        help = f"Write `effect({name})`."
    elif name in scope.variables:
        help = f"Write `slope({name})`."
    elif name in scope.levels:
        help = f"Write `sd(intercept, {name})`."
    else:
        help = suggestion(name, PLAIN) if len(name) > 2 else f"Parameters are {SHAPES}."
    yield finding("HDM248", f"`{name}` is no parameter.", path, help)


def _effect(scope: Scope, name: str, index: tuple[str, ...], path: Path) -> Findings:
    if name in scope.variables:
        yield finding("HDM231", f"`{name}` is no treatment, so it has no effect.", path, f"Write `slope({name})`.")
        return
    if name not in scope.treatments:
        help = suggestion(name, scope.treatments)
        yield finding("HDM228", f"There is no treatment `{name}`.", (*path, "args", 0), help)
        return
    arms = scope.arms(name)
    strata = {stratum.name for p in scope.study.principals if p.treatment == name for stratum in p.strata}
    for j, arm in enumerate(index):
        if arm in strata:
            continue
        if arm in scope.levels:
            help = f"Its spread across {arm} is `sd(effect({name}), {arm})`."
            yield finding("HDM231", f"Single effects by {arm} have no prior of their own.", path, help)
            continue
        yield from want_arm(scope, name, arm, (*path, "index", j))
        if arms and arm == arms[0]:
            message = f"`{arm}` is the reference arm of `{name}`: it has no effect of its own."
            yield finding("HDM231", message, path, f"Name one of {listed(arms[1:])}.")


def _stratum(scope: Scope, name: str, path: Path) -> Findings:
    strata = [stratum.name for principal in scope.study.principals for stratum in principal.strata]
    if name not in strata:
        help = suggestion(name, strata) if strata else "Strata are declared by `principal`."
        yield finding("HDM231", f"There is no principal stratum `{name}`.", (*path, "args", 0), help)


def _slope(scope: Scope, term: Expr, path: Path) -> Findings:
    if isinstance(term, Ref) and term.name in scope.treatments:
        help = f"Write `effect({term.name})`."
        yield finding("HDM231", f"`{term.name}` is a treatment: it has an effect.", path, help)
        return
    yield from check_term(scope, term, (*path, "args", 0))


def laws(scope: Scope) -> Findings:
    """HDM249, HDM274: the law of a prior exists, and its parameters are numbers that can be."""
    for i, prior in enumerate(scope.study.priors):
        if not scope.is_derived():
            continue
        path: Path = ("priors", i, "law")
        if prior.law.function not in LAW_NAMES:
            help = suggested_law(prior.law.function, LAW_NAMES)
            yield finding("HDM274", f"There is no prior `{prior.law.function}`.", path, help)
            continue
        found = list(check_law(prior.law, path))
        yield from found
        if not found:
            yield from _fits(prior.target, prior.law, path)


def check_law(law: Call, path: Path) -> Findings:
    """HDM249 for the wrong number of parameters, or one that is no number or not positive where it must be."""
    parameters = DISTRIBUTIONS[LAW_NAMES[law.function]].parameters
    if len(law.args) != len(parameters) or law.options:
        message = f"`{law.function}` takes {len(parameters)} numbers, not {len(law.args) + len(law.options)}."
        yield finding("HDM249", message, path, f"Write `{law.function}({', '.join(parameters)})`.")
        return
    values = [constant(argument) for argument in law.args]
    for j, (parameter, value) in enumerate(zip(parameters, values, strict=True)):
        place = (*path, "args", j)
        if value is None:
            message = f"`{role_text(law.args[j])}` is not a number."
            yield finding("HDM249", message, place, "Parameters of priors are numbers.")
        elif parameter not in ANY_NUMBER and value <= 0:
            yield finding("HDM249", f"The {parameter} of `{law.function}` must be positive, not {value:g}.", place)
    if law.function == "uniform" and values[0] is not None and values[1] is not None and values[0] >= values[1]:
        yield finding("HDM249", "`uniform` wants its lower end first.", path, "Write the smaller number first.")


def _fits(target: Expr, law: Call, path: Path) -> Findings:
    """HDM249: correlations have an LKJ prior; spreads have a prior on positive numbers."""
    role = target.function if isinstance(target, Call) else target.name if isinstance(target, Ref | Indexed) else ""
    if (role == "corr") != (law.function == "lkj"):
        message = "A correlation has the prior `lkj`." if role == "corr" else "`lkj` is a prior of correlations only."
        yield finding("HDM249", message, path, "Write `corr(group) ~ lkj(2)`.")
        return
    name = LAW_NAMES[law.function]
    if role not in POSITIVE or DISTRIBUTIONS[name].support != "real":
        return
    if name not in HALVES or constant(law.args[-2]) != 0:
        half = HALVES.get(name, "halfnormal")
        message = f"`{role_text(target)}` is positive; `{law.function}` here is not."
        yield finding("HDM249", message, path, f"Write `{half}(...)`, `lognormal(...)` or `gamma(...)`.")


def repeated_priors(scope: Scope) -> Findings:
    """HDM260: a parameter has one prior."""
    seen: set[str] = set()
    for i, prior in enumerate(scope.study.priors):
        text = role_text(prior.target)
        if text in seen:
            yield finding("HDM260", f"`{text}` has two priors.", ("priors", i), "Keep one of the two.")
        seen.add(text)


def parameters_of_the_model(scope: Scope) -> Findings:
    """HDM231: a prior of a spread or correlation is of something that varies."""
    from hdsl.design.ir import EffectVarianceWith, VarianceAcross, VaryAcross

    if not scope.is_derived():
        return
    varied = {(role_text(a.effect), g) for a in scope.study.analysis if isinstance(a, VaryAcross) for g in a.across}
    kept = {a.across for a in scope.study.analysis if isinstance(a, VarianceAcross | EffectVarianceWith)}
    for i, prior in enumerate(scope.study.priors):
        match prior.target:
            case Call(function="sd", args=(Call(args=(inner,)) as role, Ref(name=group))):
                text = role_text(inner)
                known = group in scope.levels and all(scope.level_of(name) for name in names(inner))
                if known and group not in kept and (text, group) not in varied:
                    message = f"`{role_text(role)}` does not vary across {group}."
                    help = f"Write `vary {text} across {group}` in `analysis`."
                    yield finding("HDM231", message, ("priors", i, "target"), help)
            case Call(function="corr", args=(Ref(name=group),)):
                if group in scope.levels and not any(g == group for _, g in varied):
                    message = f"Only the intercept varies across {group}, so there is no correlation."
                    help = f"Leave the prior out, or write `vary ... across {group}` in `analysis`."
                    yield finding("HDM231", message, ("priors", i, "target"), help)
            case _:
                pass


RULES: tuple[Rule, ...] = (targets, beside_equations, laws, repeated_priors, parameters_of_the_model)
