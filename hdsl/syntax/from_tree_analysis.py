"""Parse trees of amendments to the amendments of the syntax tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from lark import Token, Tree

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.syntax import ast
from hdsl.syntax.from_tree_expr import Node, Report, call, expression, expressions, name, place, string
from hdsl.syntax.words import (
    POOLINGS,
    PROPENSITY_USES,
    SHAPES,
    SHRINK_PRIORS,
    STRUCTURES,
    SURFACE_LAWS,
    VARIANCE_MODELS,
    VARY_LAWS,
    choose,
)

FEWEST_STRATA = 2


def amendment(node: Tree[Token], report: Report) -> ast.Amendment:
    """Return the amendment of a parse tree."""
    return _AMENDMENTS[str(node.data)](node, report)


def _parts(node: Tree[Token]) -> list[Node | None]:
    return cast("list[Node | None]", node.children)


def _names(node: Node | None) -> tuple[ast.Name, ...]:
    assert isinstance(node, Tree)
    return tuple(name(child) for child in node.children)


def _terms(node: Node | None, report: Report) -> tuple[ast.Expr, ...]:
    assert isinstance(node, Tree)
    return expressions(node.children, report)


def _as[W: str](node: Node | None, allowed: tuple[W, ...], what: str, report: Report) -> W:
    assert isinstance(node, Tree)
    word = name(node.children[0])
    return choose(word.text, word.span, allowed, what, report)


def _optional[W: str](node: Node | None, allowed: tuple[W, ...], what: str, report: Report) -> W | None:
    return None if node is None else _as(node, allowed, what, report)


def _outcome(node: Node | None, report: Report) -> ast.Name:
    """Return the outcome of `variance of OUTCOME`, which is a name."""
    found = expression(node, report)
    if isinstance(found, ast.NameExpr):
        return ast.Name(found.name, span=found.span)
    report.append(
        Diagnostic(
            code="HDM104",
            message="The outcome of `variance of` is a name.",
            span=found.span,
            help="Write the name of the outcome; its residual variance is meant.",
        )
    )
    return ast.Name("", span=found.span)


class _Options:
    """The options after an amendment, each at most once."""

    def __init__(self, nodes: list[Node | None], report: Report) -> None:
        self.law: Node | None = None
        self.flag: Token | None = None
        for node in nodes:
            first = self.law if isinstance(node, Tree) else self.flag
            if first is not None and node is not None:
                self._report(first, node, report)
            elif isinstance(node, Tree):
                self.law = node
            else:
                self.flag = node

    @staticmethod
    def _report(first: Node, node: Node, report: Report) -> None:
        what = "`as`" if isinstance(node, Tree) else f"`{first}`"
        both = isinstance(node, Tree) or first == node
        report.append(
            Diagnostic(
                code="HDM113",
                message=f"{what} is given twice." if both else f"{what} and `{node}` exclude each other.",
                span=place(node),
                help="Keep one of the two.",
                related=((place(first), "first here"),),
            )
        )


def _family(node: Tree[Token], report: Report) -> ast.Family:
    outcome, law = _parts(node)
    return ast.Family(name(outcome), call(law, report), span=place(node))


def _adjust(node: Tree[Token], report: Report) -> ast.Adjust:
    return ast.Adjust(_terms(node.children[0], report), span=place(node))


def _vary_across(node: Tree[Token], report: Report) -> ast.VaryAcross:
    effect, across, *options = _parts(node)
    chosen = _Options(options, report)
    law: ast.VaryLaw | None = _optional(chosen.law, VARY_LAWS, "a law of varying effects", report)
    return ast.VaryAcross(expression(effect, report), _names(across), chosen.flag is not None, law, span=place(node))


def _vary_with(node: Tree[Token], report: Report) -> ast.VaryWith:
    effect, terms, *options = _parts(node)
    chosen = _Options(options, report)
    shape: ast.Shape | None = _optional(chosen.law, SHAPES, "a shape of effect variation", report)
    status = None if chosen.flag is None else cast("ast.Status", str(chosen.flag))
    return ast.VaryWith(expression(effect, report), _terms(terms, report), shape, status, span=place(node))


def _interact(node: Tree[Token], report: Report) -> ast.Interact:
    return ast.Interact(_names(node), span=place(node))


def _shrink(node: Tree[Token], report: Report) -> ast.Shrink:
    prior: ast.ShrinkPrior = _as(node.children[0], SHRINK_PRIORS, "a prior of interactions", report)
    return ast.Shrink(prior, span=place(node))


def _variance_by(node: Tree[Token], report: Report) -> ast.VarianceBy:
    outcome, by, model = _parts(node)
    chosen: ast.VarianceModel | None = _optional(model, VARIANCE_MODELS, "a model of treatment error", report)
    return ast.VarianceBy(_outcome(outcome, report), name(by), chosen, span=place(node))


def _variance_with(node: Tree[Token], report: Report) -> ast.VarianceWith:
    outcome, term = _parts(node)
    return ast.VarianceWith(_outcome(outcome, report), expression(term, report), span=place(node))


def _variance_across(node: Tree[Token], report: Report) -> ast.VarianceAcross | ast.EffectVarianceWith:
    subject, across, *term = _parts(node)
    if not term:
        return ast.VarianceAcross(_outcome(subject, report), name(across), span=place(node))
    return ast.EffectVarianceWith(
        expression(subject, report), name(across), expression(term[0], report), span=place(node)
    )


def _correlate(node: Tree[Token], report: Report) -> ast.Correlate:
    outcome, within, structure = _parts(node)
    chosen: ast.Structure = _as(structure, STRUCTURES, "a correlation structure", report)
    return ast.Correlate(name(outcome), name(within), chosen, span=place(node))


def _pool(node: Tree[Token], report: Report) -> ast.Pool:
    group, how = _parts(node)
    word = name(how)
    chosen: ast.Pooling = choose(word.text, word.span, POOLINGS, "a way of pooling", report)
    return ast.Pool(name(group), chosen, span=place(node))


def _propensity(node: Tree[Token], report: Report) -> ast.Propensity:
    treatment, terms, across, use = _parts(node)
    found = call(use, report)
    word: ast.PropensityUse = choose(
        found.name.text, found.name.span, PROPENSITY_USES, "a use of the propensity score", report
    )
    return ast.Propensity(
        name(treatment),
        word,
        () if terms is None else _terms(terms, report),
        None if across is None else name(across),
        _strata(word, found, report),
        span=place(node),
    )


def _strata(word: str, found: ast.Call, report: Report) -> int | None:
    """Return the number of strata of `strata(5)`."""
    match found.args, found.settings:
        case (), ():
            return None
        case (ast.Number(value=value),), () if word == "strata" and value >= FEWEST_STRATA and value == int(value):
            return int(value)
        case _:
            report.append(
                Diagnostic(
                    code="HDM104",
                    message=f"`{word}` does not take these arguments.",
                    span=found.span,
                    help="`strata(5)` takes a whole number from 2 up; `weight` and `covariate` take none.",
                )
            )
            return None


def _surface(node: Tree[Token], report: Report) -> ast.Surface:
    outcome, given, law = _parts(node)
    chosen: ast.SurfaceLaw = _as(law, SURFACE_LAWS, "a response surface", report)
    return ast.Surface(name(outcome), _terms(given, report), chosen, span=place(node))


def _poststratify(node: Tree[Token], report: Report) -> ast.Poststratify:
    file, weight = node.children
    return ast.Poststratify(string(file), name(weight), span=place(node))


_AMENDMENTS: Mapping[str, Callable[[Tree[Token], Report], ast.Amendment]] = {
    "family": _family,
    "adjust": _adjust,
    "vary_across": _vary_across,
    "vary_with": _vary_with,
    "interact": _interact,
    "shrink": _shrink,
    "variance_by": _variance_by,
    "variance_with": _variance_with,
    "variance_across": _variance_across,
    "correlate": _correlate,
    "pool": _pool,
    "propensity": _propensity,
    "surface": _surface,
    "poststratify": _poststratify,
}
