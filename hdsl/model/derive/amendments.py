"""A study's amendments sorted by what they amend; what cannot be derived yet is told apart here."""

from __future__ import annotations

from dataclasses import dataclass

from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.diagnostics import Diagnostic


@dataclass(frozen=True)
class Amendments:
    """The amendments that the derivation uses, each kind in order."""

    families: tuple[ir.Family, ...]
    terms: tuple[study.Expr, ...]
    varying: tuple[ir.VaryAcross, ...]
    arrays: tuple[ir.VaryAcross, ...]
    moderators: tuple[ir.VaryWith, ...]
    interactions: tuple[ir.Interact, ...]
    variance_by: tuple[ir.VarianceBy, ...]
    variance_with: tuple[ir.VarianceWith, ...]
    variance_across: tuple[ir.VarianceAcross, ...]
    effect_variances: tuple[ir.EffectVarianceWith, ...]
    pools: dict[str, str]
    shrink: str = "halft"
    correlations: tuple[ir.Correlate, ...] = ()


def sort(design: ir.StudyFields) -> Amendments:
    """Return the amendments of a study by kind."""

    def pick[T](kind: type[T]) -> tuple[T, ...]:
        return tuple(item for item in design.analysis if isinstance(item, kind))

    terms = dict.fromkeys(term for adjust in pick(ir.Adjust) for term in adjust.terms)
    return Amendments(
        families=pick(ir.Family),
        terms=tuple(terms),
        varying=tuple(item for item in pick(ir.VaryAcross) if item.law != "array"),
        arrays=tuple(item for item in pick(ir.VaryAcross) if item.law == "array"),
        moderators=pick(ir.VaryWith),
        interactions=pick(ir.Interact),
        variance_by=pick(ir.VarianceBy),
        variance_with=pick(ir.VarianceWith),
        variance_across=pick(ir.VarianceAcross),
        effect_variances=pick(ir.EffectVarianceWith),
        pools={pool.group: pool.how for pool in pick(ir.Pool)},
        shrink=next((shrink.prior for shrink in pick(ir.Shrink)), "halft"),
        correlations=pick(ir.Correlate),
    )


def not_yet(design: ir.StudyFields) -> list[Diagnostic]:
    """Return a HDM620 error for every statement that parses but has no derivation."""
    return [
        Diagnostic("HDM620", f"{what} is not derived yet.", help=help_, path=("analysis", place))
        for place, item in enumerate(design.analysis)
        for what, help_ in _unsupported(item)
    ]


def _unsupported(item: ir.Amendment) -> list[tuple[str, str]]:
    match item:
        case _:
            return []
