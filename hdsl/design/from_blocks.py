"""What stands in the blocks `analysis`, `model`, `priors` and `assume`, made into parts of the Study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hdsl.design import ir
from hdsl.design.from_exprs import Reading
from hdsl.design.spans import Path
from hdsl.syntax import ast


def one_by_one(amendments: Iterable[ast.Amendment]) -> Iterator[ast.Amendment]:
    """Yield the amendments, `vary EFFECT with a, b` as one for each moderator."""
    for node in amendments:
        if isinstance(node, ast.VaryWith):
            yield from (replace(node, terms=(term,)) for term in node.terms)
        else:
            yield node


def read_amendment(node: ast.Amendment, path: Path, reading: Reading) -> ir.Amendment:
    """Return an amendment of the analysis, its places noted under `path`."""
    reading.spans[path] = node.span
    match node:
        case ast.VarianceBy() | ast.VarianceWith() | ast.VarianceAcross() | ast.EffectVarianceWith():
            return _variance(node, path, reading)
        case ast.VaryAcross() | ast.VaryWith():
            return _vary(node, path, reading)
        case ast.Family(outcome=outcome, law=law):
            y = reading.name((*path, "outcome"), outcome)
            return ir.Family(outcome=y, law=reading.call((*path, "law"), law))
        case ast.Adjust(terms=terms):
            return ir.Adjust(terms=reading.exprs((*path, "terms"), terms))
        case ast.Interact(treatments=treatments):
            return ir.Interact(treatments=reading.names((*path, "treatments"), treatments))
        case ast.Shrink(prior=prior):
            return ir.Shrink(prior=prior)
        case ast.Correlate(outcome=outcome, within=within, structure=structure):
            y, unit = reading.name((*path, "outcome"), outcome), reading.name((*path, "within"), within)
            return ir.Correlate(outcome=y, within=unit, structure=structure)
        case ast.Pool(group=group, how=how):
            return ir.Pool(group=reading.name((*path, "group"), group), how=how)
        case ast.Propensity():
            return _propensity(node, path, reading)
        case ast.Surface(outcome=outcome, given=given, law=law):
            y = reading.name((*path, "outcome"), outcome)
            return ir.Surface(outcome=y, given=reading.exprs((*path, "given"), given), law=law)
        case ast.Poststratify(file=file, weight=weight):
            reading.text((*path, "file"), file)
            return ir.Poststratify(file=file.text, weight=reading.name((*path, "weight"), weight))


def _vary(node: ast.VaryAcross | ast.VaryWith, path: Path, reading: Reading) -> ir.VaryAcross | ir.VaryWith:
    effect = reading.expr((*path, "effect"), node.effect)
    if isinstance(node, ast.VaryWith):
        (one,) = node.terms
        term = reading.expr((*path, "term"), one)
        return ir.VaryWith(effect=effect, term=term, shape=node.shape or "linear", status=node.status)
    return ir.VaryAcross(
        effect=effect,
        across=reading.names((*path, "across"), node.across),
        uncorrelated=node.uncorrelated,
        law=node.law or "normal",
    )


def _variance(
    node: ast.VarianceBy | ast.VarianceWith | ast.VarianceAcross | ast.EffectVarianceWith,
    path: Path,
    reading: Reading,
) -> ir.VarianceBy | ir.VarianceWith | ir.VarianceAcross | ir.EffectVarianceWith:
    match node:
        case ast.VarianceBy(outcome=outcome, by=by, model=model):
            y, z = reading.name((*path, "outcome"), outcome), reading.name((*path, "by"), by)
            return ir.VarianceBy(outcome=y, by=z, model=model)
        case ast.VarianceWith(outcome=outcome, term=term):
            y = reading.name((*path, "outcome"), outcome)
            return ir.VarianceWith(outcome=y, term=reading.expr((*path, "term"), term))
        case ast.VarianceAcross(outcome=outcome, across=across):
            y, group = reading.name((*path, "outcome"), outcome), reading.name((*path, "across"), across)
            return ir.VarianceAcross(outcome=y, across=group)
        case ast.EffectVarianceWith(effect=effect, across=across, term=term):
            return ir.EffectVarianceWith(
                effect=reading.expr((*path, "effect"), effect),
                across=reading.name((*path, "across"), across),
                term=reading.expr((*path, "term"), term),
            )


def _propensity(node: ast.Propensity, path: Path, reading: Reading) -> ir.Propensity:
    return ir.Propensity(
        treatment=reading.name((*path, "treatment"), node.treatment),
        terms=reading.exprs((*path, "terms"), node.terms),
        across=reading.optional((*path, "across"), node.across),
        use=node.use,
        strata=node.strata,
    )


def read_equation(node: ast.Law | ast.Definition, path: Path, reading: Reading) -> ir.Equation:
    """Return a law or definition of an explicit model, its places noted under `path`."""
    reading.spans[path] = node.span
    match node:
        case ast.Law(targets=targets, law=law):
            made = tuple(reading.target((*path, "targets", i), target) for i, target in enumerate(targets))
            return ir.LawStatement(targets=made, law=reading.call((*path, "law"), law))
        case ast.Definition(target=target, value=value):
            name = reading.target((*path, "target"), target)
            return ir.DefinitionStatement(target=name, value=reading.expr((*path, "value"), value))


def read_prior(node: ast.Prior, path: Path, reading: Reading) -> ir.Prior:
    """Return a prior, its places noted under `path`."""
    reading.spans[path] = node.span
    target = reading.target((*path, "target"), node.target)
    return ir.Prior(target=target, law=reading.call((*path, "law"), node.law))


def read_assumption(
    node: ast.AssumedSize | ast.AssumedValue, path: Path, reading: Reading
) -> ir.AssumedSize | ir.AssumedValue:
    """Return an assumed size or value, its places noted under `path`."""
    reading.spans[path] = node.span
    low, high = node.low.value, None if node.high is None else node.high.value
    match node:
        case ast.AssumedSize(level=level, per=per):
            units = reading.name((*path, "level"), level)
            return ir.AssumedSize(level=units, low=low, high=high, per=reading.optional((*path, "per"), per))
        case ast.AssumedValue(target=target):
            return ir.AssumedValue(target=reading.target((*path, "target"), target), low=low, high=high)
