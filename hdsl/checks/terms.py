"""Terms of linear predictors: names, functions, and whether a thing of its kind can stand there."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.checks.finding import Findings, Path, finding, listed, parts, suggestion, want_level
from hdsl.checks.scope import Scope
from hdsl.design.expr import Call, Expr, Negative, Number, Operation, Ref
from hdsl.design.ir import (
    Adjust,
    EffectVarianceWith,
    Propensity,
    StudyFields,
    Surface,
    VarianceWith,
    VaryAcross,
    VaryWith,
)
from hdsl.design.roles import role_text

MATHS = ("log", "log1p", "exp", "sqrt", "square", "abs", "sin", "cos")
ARGUMENTS = {"mean": (2, 2), "centre": (1, 2), "factor": (1, 1), "lag": (1, 2), "spline": (1, 1), "gp": (1, 9)}
WITH_LEVEL = ("mean", "centre")
WITH_OPTIONS = ("spline", "gp")
POSITIVE_ONLY = ("log", "sqrt")
LABELLED = ("category", "ordered")


def stated_terms(study: StudyFields) -> Iterator[tuple[Expr, Path]]:
    """Yield every term of the assignments and the analysis, but not what varies, each with its place."""
    for i, assignment in enumerate(study.assignments):
        yield from ((t, ("assignments", i, "mechanism", "given", j)) for j, t in enumerate(assignment.mechanism.given))
    for i, item in enumerate(study.analysis):
        match item:
            case Adjust(terms=terms) | Propensity(terms=terms):
                yield from ((term, ("analysis", i, "terms", j)) for j, term in enumerate(terms))
            case Surface(given=given):
                yield from ((term, ("analysis", i, "given", j)) for j, term in enumerate(given))
            case VaryWith(term=term) | VarianceWith(term=term) | EffectVarianceWith(term=term):
                yield term, ("analysis", i, "term")
            case _:
                pass


def varied_effects(study: StudyFields) -> Iterator[tuple[Expr, Path]]:
    """Yield every EFFECT of the analysis that is not the intercept, with its place."""
    for i, item in enumerate(study.analysis):
        match item:
            case VaryAcross(effect=effect) | VaryWith(effect=effect) | EffectVarianceWith(effect=effect):
                if effect != Ref(name="intercept"):
                    yield effect, ("analysis", i, "effect")
            case _:
                pass


def terms(scope: Scope) -> Findings:
    """HDM226, 227, 236, 237, 238, 246, 247: each term names known things and uses them as their kinds allow."""
    for expr, path in (*stated_terms(scope.study), *varied_effects(scope.study)):
        yield from check_term(scope, expr, path)


def check_term(scope: Scope, expr: Expr, path: Path, *, number: bool = False) -> Findings:
    """Check one term; `number` tells that a number is wanted, so that a category cannot stand here."""
    match expr:
        case Number():
            return
        case Ref(name=name):
            yield from _name(scope, name, path, number)
        case Negative() | Operation():
            plain = isinstance(expr, Operation) and expr.operator == "*"
            for part, place in parts(expr, path):
                yield from check_term(scope, part, place, number=number or not plain)
        case Call():
            yield from _call(scope, expr, path)
        case _:
            message = f"`{role_text(expr)}` is no term."
            yield finding("HDM247", message, path, "A term is a variable, or arithmetic or a function of variables.")


def _name(scope: Scope, name: str, path: Path, number: bool) -> Findings:
    what = scope.described(name)
    if what is None:
        waves = (level.name for level in scope.study.levels if level.word == "wave")
        candidates = (*scope.variables, *scope.treatments, *waves)
        yield finding("HDM227", f"`{name}` is not declared.", path, suggestion(name, candidates))
    elif name in scope.levels and scope.levels[name].word != "wave":
        help = f"Its intercept varies already; for fixed effects write `pool {name} none`."
        yield finding("HDM236", f"`{name}` is {what}; it has no value that could be a term.", path, help)
    elif name in scope.principals:
        yield finding("HDM236", f"`{name}` is {what}; it has no value that could be a term.", path)
    elif number and is_labelled(scope, name):
        help = f"Use `{name}` as a term of its own, or in a product (`*`)."
        yield finding("HDM237", f"`{name}` has labels, not numbers: no arithmetic can be done with it.", path, help)


def is_labelled(scope: Scope, name: str) -> bool:
    """Return whether a name stands for labels: a category, or a treatment with more than two arms."""
    if name in scope.variables:
        return scope.variables[name].kind.name in LABELLED
    return len(scope.arms(name)) > 2


def _call(scope: Scope, call: Call, path: Path) -> Findings:
    name = call.function
    if name not in MATHS and name not in ARGUMENTS:
        yield from unknown_function(scope, name, (*MATHS, *ARGUMENTS), path)
        return
    fewest, most = ARGUMENTS.get(name, (1, 1))
    if not fewest <= len(call.args) <= most or (call.options and name not in WITH_OPTIONS):
        yield finding("HDM247", f"`{role_text(call)}` has the wrong arguments.", path, f"Write `{_usage(name)}`.")
        return
    numbers = call.args[:1] if name in WITH_LEVEL else call.args if name in (*MATHS, "gp") else call.args[:1]
    for i, argument in enumerate(numbers):
        yield from check_term(scope, argument, (*path, "args", i), number=name not in ("mean", "factor", "lag"))
    if name in WITH_LEVEL and len(call.args) == 2:
        yield from _level_argument(scope, call, path)
    if name in POSITIVE_ONLY:
        yield from _may_be_negative(scope, call, path)


def unknown_function(scope: Scope, name: str, known: tuple[str, ...], path: Path) -> Findings:
    """HDM246 for a function that does not exist, with the nearest that does."""
    help = suggestion(name, known)
    if name in scope.variables:
        help = f"`{name}` is a variable; for a product write `{name} * ...`."
    yield finding("HDM246", f"There is no function `{name}`.", path, help)


def _usage(name: str) -> str:
    shapes = {"mean": "mean(x, school)", "centre": "centre(x)` or `centre(x, school)", "lag": "lag(y)"}
    return shapes.get(name, f"{name}(x)")


def _level_argument(scope: Scope, call: Call, path: Path) -> Findings:
    argument, place = call.args[1], (*path, "args", 1)
    if not isinstance(argument, Ref):
        message = f"`{role_text(argument)}` is no level."
        yield finding("HDM247", message, place, f"Write `{_usage(call.function)}`, with one of {listed(scope.levels)}.")
        return
    yield from want_level(scope, argument.name, place)
    for lower in scope.levels_of(call.args[0]):
        if argument.name in scope.levels and scope.contains(lower, argument.name):
            message = f"`{role_text(call.args[0])}` has one value per {lower}, so `{role_text(call)}` says nothing new."
            yield finding("HDM419", message, path, f"Name a level above {lower}.")


def _may_be_negative(scope: Scope, call: Call, path: Path) -> Findings:
    argument = call.args[0]
    if not isinstance(argument, Ref):
        return
    variable, treatment = scope.variables.get(argument.name), scope.treatments.get(argument.name)
    kind = variable.kind.name if variable is not None else treatment.dose if treatment is not None else None
    arms = bool(scope.arms(argument.name)) and call.function == "log"
    if kind == "real" or (kind == "binary" and call.function == "log") or arms:
        said = f"`{argument.name}` is {kind or 'a set of arms'}"
        message = f"{said}, so it may be zero or negative, where `{call.function}` has no value."
        yield finding("HDM238", message, path, f"Declare `{argument.name}` as `positive` if it is.")
