"""Statements of the design, made into parts of the Study."""

from __future__ import annotations

from dataclasses import replace

from hdsl.design import ir
from hdsl.design.expr import Expr, Negative, Number, Sequence
from hdsl.design.from_exprs import Reading
from hdsl.design.spans import Path
from hdsl.syntax import ast


def read_level(node: ast.Level, path: Path, reading: Reading) -> ir.Level:
    """Return a level and its variables, their places noted under `path`."""
    reading.spans[path] = node.span
    variables = (read_variable(v, (*path, "variables", i), reading) for i, v in enumerate(node.variables))
    return ir.Level(
        word=node.word,
        name=reading.name((*path, "name"), node.name),
        id=reading.optional((*path, "id"), node.id),
        parents=reading.names((*path, "parents"), node.parents),
        crosses=reading.names((*path, "crosses"), node.crosses),
        file=reading.text((*path, "file"), node.file),
        variables=tuple(variables),
    )


def read_variable(node: ast.Variable, path: Path, reading: Reading) -> ir.Variable:
    """Return a variable, its places noted under `path`."""
    reading.spans[path] = node.span
    return ir.Variable(
        role=node.role,
        name=reading.name((*path, "name"), node.name),
        kind=read_kind(node.kind, (*path, "kind"), reading),
        missing=node.missing,
        measured_in=reading.text((*path, "measured_in"), node.measured_in),
        column=reading.optional((*path, "column"), node.column),
    )


def read_kind(node: ast.Kind, path: Path, reading: Reading) -> ir.Kind:
    """Return the kind of a variable, its places noted under `path`."""
    reading.spans[path] = node.span
    return ir.Kind(
        name=node.name,
        trials=reading.optional_expr((*path, "trials"), node.trials),
        censored_by=reading.optional((*path, "censored_by"), node.censored_by),
        known_sd=reading.optional_expr((*path, "known_sd"), node.known_sd),
    )


def read_treatment(node: ast.Treatment, path: Path, reading: Reading) -> ir.Treatment:
    """Return a treatment, its places noted under `path`."""
    reading.spans[path] = node.span
    if node.dose is not None:
        reading.spans[*path, "dose"] = node.dose.span
    return ir.Treatment(
        name=reading.name((*path, "name"), node.name),
        column=reading.optional((*path, "column"), node.column),
        arms=tuple(_arm(arm, (*path, "arms", i), reading) for i, arm in enumerate(node.arms)),
        ordered=node.ordered,
        dose=None if node.dose is None else node.dose.name,
        measured_in=reading.text((*path, "measured_in"), node.measured_in),
    )


def _arm(node: ast.Arm, path: Path, reading: Reading) -> ir.Arm:
    reading.spans[path] = node.span
    name = reading.name((*path, "name"), node.name)
    return ir.Arm(name=name, code=reading.literal((*path, "code"), node.code))


def read_assignment(node: ast.Assign, path: Path, reading: Reading) -> ir.Assignment:
    """Return an assignment, its places noted under `path`."""
    reading.spans[path] = node.span
    condition = None
    if node.condition is not None:
        reading.spans[*path, "condition"] = node.condition.span
        treatment = reading.name((*path, "condition", "treatment"), node.condition.treatment)
        arm = reading.name((*path, "condition", "arm"), node.condition.arm)
        condition = ir.Condition(treatment=treatment, arm=arm)
    return ir.Assignment(
        treatment=reading.name((*path, "treatment"), node.treatment),
        to=reading.name((*path, "to"), node.to),
        within=reading.names((*path, "within"), node.within),
        condition=condition,
        mechanism=read_mechanism(node.mechanism, (*path, "mechanism"), reading),
    )


def read_mechanism(node: ast.Mechanism, path: Path, reading: Reading) -> ir.Mechanism:
    """Return a mechanism of assignment, its places noted under `path`.

    Wrong arguments are HDM205, and are left out of the mechanism.
    """
    reading.spans[path] = node.span
    match node.name:
        case "rule":
            return _rule(node, path, reading)
        case "ignorable":
            return ir.Mechanism(name="ignorable", given=reading.exprs((*path, "given"), node.args))
        case "complete" | "bernoulli":
            return ir.Mechanism(name=node.name, probability=_probability(node, path, reading))


def _probability(node: ast.Mechanism, path: Path, reading: Reading) -> Expr | None:
    match node.args:
        case () if node.name == "complete":
            return None
        case ():
            reading.error(
                "HDM205",
                f"`{node.name}` has no probability.",
                node.span,
                f"Write `{node.name}(0.5)`, or one probability per arm: `{node.name}(0.2, 0.4, 0.4)`.",
            )
            return None
        case (single,):
            return reading.expr((*path, "probability"), single)
        case several:
            items = reading.exprs((*path, "probability", "items"), several)
            reading.spans[*path, "probability"] = several[0].span.to(several[-1].span)
            return Sequence(items=items)


def _rule(node: ast.Mechanism, path: Path, reading: Reading) -> ir.Mechanism:
    given = reading.exprs((*path, "given"), node.args[:1])
    cutoff = _constant(reading.expr((*path, "cutoff"), node.args[1])) if len(node.args) == 2 else None
    if cutoff is None:
        reading.error(
            "HDM205",
            "`rule` wants a variable and the number at which treatment begins.",
            node.span,
            "Write `rule(x, 50)`.",
        )
    return ir.Mechanism(name="rule", given=given, cutoff=cutoff)


def _constant(expr: Expr) -> float | None:
    match expr:
        case Number(value=value):
            return value
        case Negative(of=Number(value=value)):
            return -value
        case _:
            return None


def read_principal(node: ast.Principal, path: Path, reading: Reading) -> ir.Principal:
    """Return a principal stratification, its places noted under `path`."""
    reading.spans[path] = node.span
    strata = (_stratum(s, (*path, "strata", i), reading) for i, s in enumerate(node.strata))
    return ir.Principal(
        name=reading.name((*path, "name"), node.name),
        intermediate=reading.name((*path, "intermediate"), node.intermediate),
        treatment=reading.name((*path, "treatment"), node.treatment),
        strata=tuple(strata),
    )


def _stratum(node: ast.Stratum, path: Path, reading: Reading) -> ir.Stratum:
    reading.spans[path] = node.span
    return ir.Stratum(
        name=reading.name((*path, "name"), node.name),
        values=tuple(reading.literal((*path, "values", i), v) for i, v in enumerate(node.values)),
        unaffected=node.unaffected,
    )


def read_estimand(node: ast.Estimand, path: Path, reading: Reading) -> ir.Estimand:
    """Return an estimand, its places noted under `path`."""
    reading.spans[path] = node.span
    return ir.Estimand(
        name=reading.name((*path, "name"), node.name),
        index=reading.names((*path, "index"), node.index),
        value=replace(reading, potential=True).expr((*path, "value"), node.value),
    )
