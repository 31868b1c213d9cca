"""Whether an estimand can be known: what the design rules out, and what needs a joint distribution."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.checks.estimands import aggregates, each, potentials
from hdsl.checks.finding import Findings, Rule, finding
from hdsl.checks.scope import Scope
from hdsl.checks.terms import stated_terms
from hdsl.design import ir
from hdsl.design.expr import (
    Aggregate,
    Call,
    Comparison,
    Expr,
    Logical,
    Negative,
    Number,
    Operation,
    Potential,
    Ref,
    names,
    walk,
)
from hdsl.design.roles import role_text
from hdsl.model.derive.scales import DEFAULTS, FAMILIES


def ruled_out(scope: Scope) -> Findings:
    """HDM501: no potential outcome sets a treatment where the design never assigns it."""
    for estimand, path in each(scope):
        for node, place, around in potentials(estimand, path):
            arms = {s.treatment: s.value.name for s in node.settings if isinstance(s.value, Ref)}
            for name, arm in arms.items():
                for assignment in scope.assignments(name):
                    on = assignment.condition
                    if on is None or arm not in scope.arms(name) or arm == scope.arms(name)[0]:
                        continue
                    where = dict(_required(around.where)) if around is not None and around.where is not None else {}
                    held = arms.get(on.treatment, where.get(on.treatment))
                    if held == on.arm:
                        continue
                    under = f"{on.treatment} = {held}" if held else f"whatever {on.treatment} was"
                    message = (
                        f"`{name} = {arm}` under {under} is ruled out: "
                        f"{name} is assigned only where {on.treatment} = {on.arm}."
                    )
                    help = f"Set `{on.treatment} = {on.arm}` too."
                    yield finding("HDM501", message, place, help)


def _required(test: Expr) -> Iterator[tuple[str, str]]:
    """Yield the treatments and arms that every unit of a `where` has."""
    match test:
        case Logical(operator="and", operands=operands):
            for operand in operands:
                yield from _required(operand)
        case Comparison(operator="=", left=Ref(name=name), right=Ref(name=arm)):
            yield name, arm
        case _:
            return


def joint(scope: Scope) -> Findings:
    """HDM502: no quantity needs the joint distribution of potential outcomes unless it is stated.

    The average of a sum is the sum of averages, so a sum of terms with one potential outcome each is known
    from the margins; anything else that combines two potential outcomes of one unit is not.
    """
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            if node.correlation is not None or len(_potentials(node.of)) < 2:
                continue
            if node.aggregate == "average" and separable(node.of):
                continue
            what = node.aggregate if node.aggregate != "average" else "average of a nonlinear combination"
            message = f"The {what} here needs the joint distribution of potential outcomes, of which only one is seen."
            help = f"State it, `assuming correlation = 0.5`, or {_instead(node)}."
            yield finding("HDM502", message, place, help)


def _instead(node: Aggregate) -> str:
    if node.aggregate == "average":
        return "combine two averages: `(average over ...) / (average over ...)`"
    word = f"quantile({node.probability:g})" if node.probability is not None else node.aggregate
    return f"compare two arms: `({word} over {node.over} of ...) - ({word} over {node.over} of ...)`"


def _potentials(expr: Expr) -> set[str]:
    return {role_text(node) for node in walk(expr) if isinstance(node, Potential)}


def separable(expr: Expr) -> bool:
    """Return whether an expression is a sum of terms with at most one potential outcome each."""
    if len(_potentials(expr)) <= 1:
        return True
    match expr:
        case Negative(of=of):
            return separable(of)
        case Operation(operator="+" | "-", left=left, right=right):
            return separable(left) and separable(right)
        case Operation(operator="*", left=left, right=right):
            return (not _potentials(right) and separable(left)) or (not _potentials(left) and separable(right))
        case Operation(operator="/", left=left, right=right):
            return not _potentials(right) and separable(left)
        case _:
            return False


def correlation_not_needed(scope: Scope) -> Findings:
    """HDM514: a correlation is stated where it changes something."""
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            if node.correlation is None:
                continue
            if len(_potentials(node.of)) < 2 or (node.aggregate == "average" and separable(node.of)):
                message = f"The {node.aggregate} here is the same whatever the correlation."
                yield finding("HDM514", message, place, "Leave out `assuming correlation`.")


def no_difference(scope: Scope) -> Findings:
    """HDM515: a difference or ratio is of two different potential outcomes."""
    for estimand, path in each(scope):
        for node in walk(estimand.value):
            match node:
                case Operation(operator="-" | "/", left=left, right=right) if left == right and _potentials(left):
                    message = f"`{role_text(node)}` compares a potential outcome with itself."
                    yield finding("HDM515", message, path, "Set the treatment to another arm on one side.")
                case _:
                    pass


def equal_by_index(scope: Scope) -> Findings:
    """HDM510: an indexed effect may differ between the groups of its index."""
    nodes = (node for term, _ in stated_terms(scope.study) for node in walk(term))
    lagged = any(isinstance(node, Call) and node.function == "lag" for node in nodes)
    if not scope.is_derived() or lagged:
        return
    for estimand, path in each(scope):
        treatments = {s.treatment for node, _, _ in potentials(estimand, path) for s in node.settings}
        outcomes = {node.outcome for node, _, _ in potentials(estimand, path)}
        if not estimand.index or len(treatments) == 0 or not all(_identity(scope, name) for name in outcomes):
            continue
        contrasts = all(_is_difference(node.of) for node, _ in aggregates(estimand, path))
        if contrasts and not any(_differs(scope, name) for name in treatments):
            what = ", ".join(sorted(treatments))
            message = (
                f"`{estimand.name}` is the same for every {estimand.index[0]}: the effect of {what} does not vary."
            )
            help = f"Write `vary {sorted(treatments)[0]} across {estimand.index[0]}`, or leave the index out."
            yield finding("HDM510", message, path, help)


def _is_difference(expr: Expr) -> bool:
    match expr:
        case Operation(operator="-", left=Potential(settings=a), right=Potential(settings=b)):
            plain = all(isinstance(s.value, Ref | Number) and s.at is None for s in (*a, *b))
            return plain and {s.treatment for s in a} == {s.treatment for s in b}
        case _:
            return False


def _identity(scope: Scope, outcome: str) -> bool:
    """Whether an effect on the linear predictor is the effect on the outcome, for every unit."""
    if outcome not in scope.outcomes:
        return False
    kind = scope.outcomes[outcome].kind
    name = DEFAULTS["count of" if kind.trials is not None else kind.name]
    for item in scope.study.analysis:
        if isinstance(item, ir.Surface):
            return False
        if isinstance(item, ir.Family) and item.outcome == outcome:
            name = item.law.function
    return name in FAMILIES and FAMILIES[name].links == ("identity",) and "lognormal" not in name


def _differs(scope: Scope, treatment: str) -> bool:
    """Whether anything in the analysis lets the effect of a treatment differ between units."""
    for item in scope.study.analysis:
        match item:
            case ir.VaryAcross(effect=effect) | ir.VaryWith(effect=effect):
                if treatment in names(effect):
                    return True
            case ir.Interact(treatments=treatments) if treatment in treatments:
                return True
            case ir.Adjust(terms=terms):
                if any(treatment in names(term) and not isinstance(term, Call) for term in terms):
                    return True
            case _:
                pass
    return False


RULES: tuple[Rule, ...] = (ruled_out, joint, correlation_not_needed, no_difference, equal_by_index)
