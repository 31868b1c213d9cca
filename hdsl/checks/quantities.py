"""What stands inside the aggregates of estimands: quantities and tests of units."""

from __future__ import annotations

from hdsl.checks.estimands import MATHS, aggregates, each, value_name
from hdsl.checks.finding import Findings, Path, Rule, finding, outside_lag, parts, places, suggestion
from hdsl.checks.scope import Scope
from hdsl.checks.terms import unknown_function
from hdsl.design.expr import (
    Aggregate,
    Call,
    Comparison,
    Expr,
    Indexed,
    Logical,
    Number,
    Potential,
    Ref,
    Sequence,
    Text,
)
from hdsl.design.ir import Variable
from hdsl.design.roles import role_text

POST_TREATMENT = ("intermediate", "outcome")
SIGNS = {"category": "= LABEL", "ordered": ">= LEVEL"}


def expressions(scope: Scope) -> Findings:
    """HDM227, 236, 237, 246, 504: what stands in an aggregate is arithmetic of potential outcomes and covariates."""
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            yield from _inside(scope, node.of, (*place, "of"), cells=node.cells)


def _inside(scope: Scope, expr: Expr, path: Path, *, cells: bool = False) -> Findings:
    """Check a quantity; over population `cells` the outcome's name is what the model predicts."""
    match expr:
        case Number() | Potential() | Aggregate():
            return
        case Ref(name=name) if cells and name in scope.outcomes:
            return
        case Ref(name=name):
            role = scope.variables[name].role if name in scope.variables else ""
            if role in POST_TREATMENT:
                message = f"`{name}` is what was observed, not what would have been."
                help = f"Say under which treatment: `{name}({_some_setting(scope)})`."
                if not scope.treatments:
                    help = "Without a treatment there are no potential outcomes; parameters are reported by themselves."
                yield finding("HDM504", message, path, help)
                return
            yield from value_name(scope, name, path)
        case Comparison():
            yield from check_test(scope, expr, path, inner=True, cells=cells)
        case Logical(operands=operands):
            for i, operand in enumerate(operands):
                yield from _inside(scope, operand, (*path, "operands", i), cells=cells)
        case Call(function=function) if function in scope.outcomes:
            help = f"Write `{function}({_some_setting(scope)})`."
            yield finding("HDM504", f"`{role_text(expr)}` sets no treatment to an arm.", path, help)
        case Call(function=function, args=args):
            if function not in MATHS:
                yield from unknown_function(scope, function, MATHS, path)
                return
            for i, argument in enumerate(args):
                yield from _inside(scope, argument, (*path, "args", i), cells=cells)
        case Text() | Indexed() | Sequence():
            yield finding("HDM247", f"`{role_text(expr)}` cannot stand in an estimand.", path)
        case _:
            for part, place in parts(expr, path):
                yield from _inside(scope, part, place, cells=cells)


def _some_setting(scope: Scope) -> str:
    for treatment in scope.study.treatments:
        return f"{treatment.name} = {treatment.arms[-1].name}" if treatment.arms else f"{treatment.name} = 1"
    return "z = arm"


def tests(scope: Scope) -> Findings:
    """HDM227, 229, 230, 236, 503: `where` is on covariates, treatments, levels and principal strata."""
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            if node.where is not None:
                yield from check_test(scope, node.where, (*place, "where"), inner=False)


def check_test(scope: Scope, expr: Expr, path: Path, *, inner: bool, cells: bool = False) -> Findings:
    """Check a test; `inner` tells that it stands in an aggregate's expression, where potential outcomes may."""
    match expr:
        case Logical(operands=operands):
            for i, operand in enumerate(operands):
                yield from check_test(scope, operand, (*path, "operands", i), inner=inner, cells=cells)
        case Comparison(left=Ref(name=name), right=right) if _has_labels(scope, name):
            yield from _labelled_test(scope, name, right, (*path, "right"))
        case Comparison(left=left, right=right):
            for side, place in ((left, (*path, "left")), (right, (*path, "right"))):
                yield from _side(scope, side, place, inner, cells)
        case Ref(name=name) if name in scope.variables and scope.variables[name].kind.name == "binary":
            yield from _side(scope, expr, path, inner, cells)
        case _:
            message = f"`{role_text(expr)}` is no test."
            yield finding("HDM247", message, path, "Compare: `where age > 40`, `where tutor = tutored`.")


def _has_labels(scope: Scope, name: str) -> bool:
    return name in scope.principals or bool(scope.arms(name)) or name in scope.levels


def _labelled_test(scope: Scope, name: str, right: Expr, path: Path) -> Findings:
    said = right.name if isinstance(right, Ref) else role_text(right)
    if name in scope.principals:
        strata = [stratum.name for stratum in scope.principals[name].strata]
        if said not in strata:
            yield finding("HDM230", f"`{name}` has no stratum `{said}`.", path, suggestion(said, strata))
    elif name in scope.treatments and said not in scope.arms(name):
        help = suggestion(said, scope.arms(name))
        yield finding("HDM229", f"`{name}` has no arm `{said}`.", path, help)


def _side(scope: Scope, expr: Expr, path: Path, inner: bool, cells: bool) -> Findings:
    if inner:
        if not isinstance(expr, Ref | Text) or (isinstance(expr, Ref) and scope.described(expr.name) is not None):
            yield from _inside(scope, expr, path, cells=cells)
        return
    strata = {s.name: p.name for p in scope.study.principals for s in p.strata}
    for name, place in outside_lag(expr, path):
        variable = scope.variables.get(name)
        if variable is not None and variable.role in POST_TREATMENT:
            message = f"`{name}` comes after treatment, so the units with a value of it differ between arms."
            help = "Choose units by covariates, or by a principal stratum: `where STRATUM = complier`."
            yield finding("HDM503", message, place, help)
        elif scope.described(name) is None and path[-1] == "left":
            help = f"Write `where {strata[name]} = {name}`." if name in strata else ""
            near = help or suggestion(name, (*scope.variables, *scope.treatments, *scope.principals))
            yield finding("HDM227", f"`{name}` is not declared.", place, near)


def share_of_test(scope: Scope) -> Findings:
    """HDM516: a share is of units that pass a test; an average is of numbers."""
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            tested = isinstance(node.of, Comparison | Logical) or _is_binary(scope, node.of)
            if node.aggregate == "share" and not tested:
                help = "Write a test, as in `share over UNIT of y(z = arm) > 10`."
                yield finding("HDM516", f"`{role_text(node.of)}` is no test, so no share passes it.", place, help)
            outcome = _labelled(scope, node.of)
            if node.aggregate != "share" and outcome is not None:
                kind = scope.outcomes[outcome].kind.name
                what = "is a category, which has" if kind == "category" else "has ordered levels, which have"
                help = f"Write `share over {node.over} of {outcome}(...) {SIGNS[kind]}`."
                yield finding("HDM516", f"`{outcome}` {what} no {node.aggregate}.", place, help)


def effects_to_ask_for(scope: Scope) -> Findings:
    """HDM530: an effect on labels is asked for: no average one is computed unasked."""
    if scope.study.estimands or not scope.study.treatments:
        return
    for i, level in enumerate(scope.study.levels):
        for j, variable in enumerate(level.variables):
            if variable.role == "outcome" and variable.kind.name in SIGNS:
                message = f"No effect is computed unasked: `{variable.name}` has labels, which have no average."
                help = f"Ask for shares: `estimand more = {_shares(scope, level.name, variable)}`."
                yield finding("HDM530", message, ("levels", i, "variables", j), help)


def _shares(scope: Scope, level: str, outcome: Variable) -> str:
    treatment = scope.study.treatments[0]
    name = treatment.name
    last, first = (treatment.arms[-1].name, treatment.arms[0].name) if treatment.arms else (f"{name} + 1", name)
    share = f"(share over {level} of {outcome.name}({name} = {{}}) {SIGNS[outcome.kind.name]})"
    return f"{share.format(last)} - {share.format(first)}"


def _is_binary(scope: Scope, expr: Expr) -> bool:
    match expr:
        case Potential(outcome=name) | Ref(name=name):
            return name in scope.variables and scope.variables[name].kind.name == "binary"
        case _:
            return False


def _labelled(scope: Scope, expr: Expr) -> str | None:
    """Return an outcome of labels that is used as a number."""
    if isinstance(expr, Comparison | Logical):
        return None
    found = (node.outcome for node, _ in places(expr, ()) if isinstance(node, Potential))
    return next((n for n in found if n in scope.outcomes and scope.outcomes[n].kind.name in SIGNS), None)


RULES: tuple[Rule, ...] = (expressions, tests, share_of_test, effects_to_ask_for)
