"""The closed lists of words, and what people write in place of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.diagnostics.suggest import did_you_mean
from hdsl.source import Span
from hdsl.syntax import ast

KINDS: tuple[ast.KindName, ...] = get_args(ast.KindName)
DOSES: tuple[ast.DoseKind, ...] = get_args(ast.DoseKind)
MECHANISMS: tuple[ast.MechanismName, ...] = get_args(ast.MechanismName)
AGGREGATES: tuple[ast.AggregateName, ...] = get_args(ast.AggregateName)
VARY_LAWS: tuple[ast.VaryLaw, ...] = get_args(ast.VaryLaw)
SHAPES: tuple[ast.Shape, ...] = get_args(ast.Shape)
SHRINK_PRIORS: tuple[ast.ShrinkPrior, ...] = get_args(ast.ShrinkPrior)
VARIANCE_MODELS: tuple[ast.VarianceModel, ...] = get_args(ast.VarianceModel)
STRUCTURES: tuple[ast.Structure, ...] = get_args(ast.Structure)
POOLINGS: tuple[ast.Pooling, ...] = get_args(ast.Pooling)
PROPENSITY_USES: tuple[ast.PropensityUse, ...] = get_args(ast.PropensityUse)
SURFACE_LAWS: tuple[ast.SurfaceLaw, ...] = get_args(ast.SurfaceLaw)

MEANT: Mapping[str, str] = {
    "numeric": "real",
    "continuous": "real",
    "number": "real",
    "float": "real",
    "integer": "count",
    "int": "count",
    "factor": "category",
    "categorical": "category",
    "nominal": "category",
    "string": "category",
    "text": "category",
    "boolean": "binary",
    "bool": "binary",
    "logical": "binary",
    "dummy": "binary",
    "dichotomous": "binary",
    "ordinal": "ordered",
    "likert": "ordered",
    "percent": "proportion",
    "rate": "proportion",
    "survival": "duration",
    "time": "duration",
    "randomised": "complete",
    "randomized": "complete",
    "random": "complete",
    "randomisation": "complete",
    "lottery": "complete",
    "coin": "bernoulli",
    "observational": "ignorable",
    "selection": "ignorable",
    "unconfounded": "ignorable",
    "cutoff": "rule",
    "mean": "average",
    "avg": "average",
    "expectation": "average",
    "std": "sd",
    "stdev": "sd",
    "var": "variance",
    "fraction": "share",
    "probability": "share",
    "t": "student",
    "gaussian": "normal",
    "gam": "spline",
    "lines": "linear",
    "regularized_horseshoe": "horseshoe",
    "laplace": "lasso",
    "compound": "exchangeable",
    "ar": "ar1",
    "full": "completely",
    "complete": "completely",
    "partial": "partially",
    "no": "none",
    "never": "none",
    "weights": "weight",
    "ipw": "weight",
    "subclassification": "strata",
    "trees": "bart",
}
"""Words of other languages and of daily speech: what was probably meant."""


def choose[W: str](word: str, span: Span, allowed: tuple[W, ...], what: str, report: list[Diagnostic]) -> W:
    """Return the word if it is in the list; else report it and return the one that was probably meant.

    Parameters
    ----------
    what
        What the words are, with its article, for the message: `a kind of variable`.
    """
    for candidate in allowed:
        if candidate == word:
            return candidate
    meant = MEANT.get(word.casefold())
    near = meant if meant in allowed else did_you_mean(word, allowed)
    words = ", ".join(f"`{candidate}`" for candidate in allowed)
    report.append(
        Diagnostic(
            code="HDM114",
            message=f"`{word}` is not {what}" + (f"; did you mean `{near}`?" if near else "."),
            span=span,
            help=f"Write one of {words}.",
        )
    )
    return next((candidate for candidate in allowed if candidate == near), allowed[0])
