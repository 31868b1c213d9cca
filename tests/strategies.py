"""Hypothesis strategies: parts of studies, whole studies of any content, and studies that hang together.

`studies()` uses every form of the language with arbitrary names: it is for round trips. `designs()` gives
studies whose names refer to what they declare, with few of anything: they are for checks and what follows.
"""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy, composite

from hdsl.design import expr as e
from hdsl.design import ir
from hdsl.design.study import Study

PLAIN = ("school", "pupil", "score", "tutor", "pretest", "size", "x", "y2", "mu_alpha", "Größe", "名前", "_a", "नमस्ते")
_WORDS = """
    hdm study data group wave unit treatment assign principal analysis model priors estimand assume waive
    covariate intermediate outcome weight exposure family adjust vary interact shrink variance correlate pool
    propensity surface poststratify id in from column missing censored known sd ordered to within if by under for
    across uncorrelated with prespecified exploratory as interactions given because population assuming
    correlation average median quantile share normal real complete linear none
"""
KEYWORDS = tuple(_WORDS.split())
"""Words of the language that serve as names wherever a name can stand."""
COMPARATORS = ("=", "!=", "<", "<=", ">", ">=")
MARKERS = frozenset({"and", "or", "not", "of", "where", "over", "at", "per", "unaffected"})
"""Words that are names too, but that are read as themselves after a name: texts with them are tried apart."""


@cache
def names() -> SearchStrategy[str]:
    """Names: plain, of other scripts, and keywords."""
    first, others = st.sampled_from("abXYé中_"), st.text(st.sampled_from("abXY_019é中"), max_size=5)
    made = st.builds(str.__add__, first, others)
    return st.sampled_from(PLAIN) | st.sampled_from(KEYWORDS) | made


@cache
def texts() -> SearchStrategy[str]:
    """Texts of any printable characters, quotes and backslashes among them."""
    characters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))
    awkward = st.sampled_from(['"', "\\", '\\"', "a b", "", "# no comment", "tab\there", "\\n", "e\u0301"])
    return st.text(characters, max_size=8) | awkward


@cache
def columns() -> SearchStrategy[str]:
    """Column names: names, and texts that are not."""
    return names() | texts()


@cache
def numbers() -> SearchStrategy[float]:
    """Finite numbers."""
    return st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000).map(float)


@cache
def codes() -> SearchStrategy[float | str]:
    """Codes of arms and strata."""
    return numbers() | texts()


def some[T](values: SearchStrategy[T], least: int = 0, most: int = 3) -> SearchStrategy[tuple[T, ...]]:
    """Short tuples."""
    return st.lists(values, min_size=least, max_size=most).map(tuple)


def maybe[T](values: SearchStrategy[T]) -> SearchStrategy[T | None]:
    """A value or None."""
    return st.none() | values


# Expressions


@cache
def _atoms() -> SearchStrategy[e.Expr]:
    return st.one_of(
        st.builds(e.Ref, name=names()),
        st.builds(e.Number, value=numbers().map(abs)),
        st.builds(e.Text, value=texts()),
        st.builds(e.Indexed, name=names(), index=some(columns(), 1, 2)),
    )


@cache
def _nested(depth: int, causal: bool) -> SearchStrategy[e.Expr]:
    """Expressions at most `depth` deep, with potential outcomes and aggregates where `causal`."""
    if depth == 0:
        return _atoms()
    inner = st.deferred(lambda: _nested(depth - 1, causal))
    forms: list[SearchStrategy[e.Expr]] = [
        _atoms(),
        st.builds(e.Negative, of=inner),
        st.builds(e.Operation, operator=st.sampled_from("+-*/^"), left=inner, right=inner),
        calls(inner),
        st.builds(e.Sequence, items=some(inner, 2, 3)),
        st.builds(e.Comparison, operator=st.sampled_from(COMPARATORS), left=inner, right=inner),
        st.builds(e.Logical, operator=st.sampled_from(["and", "or"]), operands=some(inner, 2, 3)),
        st.builds(e.Logical, operator=st.just("not"), operands=some(inner, 1, 1)),
    ]
    if causal:
        forms += [potentials(inner), aggregates(inner)]
    return st.one_of(forms)


@cache
def expressions() -> SearchStrategy[e.Expr]:
    """Expressions of any shape without potential outcomes or aggregates."""
    return st.integers(0, 2).flatmap(lambda depth: _nested(depth, False))


@cache
def estimand_values() -> SearchStrategy[e.Expr]:
    """Right sides of estimands."""
    return st.integers(0, 3).flatmap(lambda depth: _nested(depth, True))


def calls(inner: SearchStrategy[e.Expr]) -> SearchStrategy[e.Call]:
    """Functions: with arguments, and named ones, or without any."""
    options = some(st.builds(e.Option, name=names(), value=inner), 0, 2)
    index = st.just(()) | some(columns(), 1, 2)
    filled = st.builds(e.Call, function=names(), args=some(inner, 1, 2), options=options, index=index)
    return filled | st.builds(e.Call, function=names(), index=index)


def potentials(inner: SearchStrategy[e.Expr]) -> SearchStrategy[e.Potential]:
    """Potential outcomes, some set at occasions of a wave."""
    bound = numbers() | texts() | names()
    occasions = st.builds(e.Occasions, wave=names(), first=bound, last=bound)
    setting = st.builds(e.Setting, treatment=names(), value=inner, at=maybe(occasions))
    return st.builds(e.Potential, outcome=names(), settings=some(setting, 1, 2))


@composite
def aggregates(draw: st.DrawFn, inner: SearchStrategy[e.Expr]) -> e.Aggregate:
    """Aggregates over levels, populations and files of cells."""
    name = draw(st.sampled_from(["average", "median", "quantile", "sd", "variance", "share"]))
    cells = draw(st.booleans())
    return e.Aggregate.model_validate(
        {
            "aggregate": name,
            "probability": draw(st.floats(0, 1)) if name == "quantile" else None,
            "population": not cells and draw(st.booleans()),
            "over": draw(texts() if cells else names()),
            "cells": cells,
            "where": draw(maybe(inner)),
            "of": draw(inner),
            "correlation": draw(maybe(st.floats(-1, 1))),
        }
    )


@cache
def laws() -> SearchStrategy[e.Call]:
    """Families, distributions and priors."""
    named = some(st.builds(e.Option, name=names(), value=expressions()), 0, 2)
    return st.builds(e.Call, function=names(), args=some(expressions(), 0, 2), options=named)


@cache
def targets() -> SearchStrategy[e.Ref | e.Call | e.Indexed]:
    """Parameters and roles."""
    return st.one_of(
        st.builds(e.Ref, name=names()),
        st.builds(e.Indexed, name=names(), index=some(columns(), 1, 2)),
        calls(expressions()),
    )


# The design


@composite
def kinds(draw: st.DrawFn) -> ir.Kind:
    """Kinds of variables."""
    match draw(st.integers(0, 3)):
        case 0:
            return ir.Kind(name="count", trials=draw(expressions()))
        case 1:
            return ir.Kind(name="duration", censored_by=draw(columns()))
        case 2:
            return ir.Kind(name="real", known_sd=draw(expressions()))
        case _:
            plain = ["real", "positive", "proportion", "count", "binary", "category", "ordered"]
            return ir.Kind.model_validate({"name": draw(st.sampled_from(plain))})


@composite
def variables(draw: st.DrawFn) -> ir.Variable:
    """Variables of every role; only covariates may be `missing`."""
    role = draw(st.sampled_from(["covariate", "intermediate", "outcome", "weight", "exposure"]))
    return ir.Variable.model_validate(
        {
            "role": role,
            "name": draw(names()),
            "kind": draw(kinds()),
            "missing": role == "covariate" and draw(st.booleans()),
            "measured_in": draw(maybe(texts())),
            "column": draw(maybe(columns())),
        }
    )


@composite
def levels(draw: st.DrawFn) -> ir.Level:
    """Groups, waves and units."""
    word = draw(st.sampled_from(["group", "wave", "unit"]))
    above = word != "wave"
    return ir.Level.model_validate(
        {
            "word": word,
            "name": draw(names()),
            "id": draw(maybe(columns())),
            "parents": draw(some(names(), 0, 2)) if above else (),
            "crosses": draw(st.just(()) | some(names(), 2, 3)) if above else (),
            "file": draw(maybe(texts())) if above else None,
            "variables": draw(some(variables())),
        }
    )


@cache
def treatments() -> SearchStrategy[ir.Treatment]:
    """Treatments with arms, and doses."""
    column = maybe(columns())
    arms = some(st.builds(ir.Arm, name=names(), code=codes()), 1, 3)
    dose = st.sampled_from(["real", "positive", "proportion", "count"])
    return st.builds(ir.Treatment, name=names(), column=column, arms=arms, ordered=st.booleans()) | st.builds(
        ir.Treatment, name=names(), column=column, dose=dose, measured_in=maybe(texts())
    )


@cache
def mechanisms() -> SearchStrategy[ir.Mechanism]:
    """Mechanisms of assignment."""
    randomised = st.sampled_from(["complete", "bernoulli"])
    return st.one_of(
        st.builds(ir.Mechanism, name=randomised, probability=expressions()),
        st.builds(ir.Mechanism, name=st.just("ignorable"), given=some(expressions())),
        st.builds(ir.Mechanism, name=st.just("rule"), given=some(expressions(), 1, 1), cutoff=numbers()),
    )


@cache
def assignments() -> SearchStrategy[ir.Assignment]:
    """Assignments, some of them conditional."""
    condition = maybe(st.builds(ir.Condition, treatment=names(), arm=names()))
    return st.builds(
        ir.Assignment,
        treatment=names(),
        to=names(),
        within=some(names()),
        condition=condition,
        mechanism=mechanisms(),
    )


@cache
def principals() -> SearchStrategy[ir.Principal]:
    """Principal stratifications."""
    stratum = st.builds(ir.Stratum, name=names(), values=some(codes(), 2, 3), unaffected=st.booleans())
    return st.builds(ir.Principal, name=names(), intermediate=names(), treatment=names(), strata=some(stratum))


# What is asked of the model


@composite
def _propensities(draw: st.DrawFn) -> ir.Propensity:
    use = draw(st.sampled_from(["strata", "weight", "covariate"]))
    return ir.Propensity.model_validate(
        {
            "treatment": draw(names()),
            "terms": draw(some(expressions())),
            "across": draw(maybe(names())),
            "use": use,
            "strata": draw(maybe(st.integers(2, 20))) if use == "strata" else None,
        }
    )


@cache
def amendments() -> SearchStrategy[ir.Amendment]:
    """Every form of amendment."""
    name, term, terms = names(), expressions(), some(expressions(), 1, 3)
    return st.one_of(
        st.builds(ir.Family, outcome=name, law=laws()),
        st.builds(ir.Adjust, terms=terms),
        st.builds(
            ir.VaryAcross,
            effect=term,
            across=some(name, 1, 3),
            uncorrelated=st.booleans(),
            law=st.sampled_from(["normal", "student", "dirichlet", "array"]),
        ),
        st.builds(
            ir.VaryWith,
            effect=term,
            term=term,
            shape=st.sampled_from(["linear", "spline", "gp"]),
            status=st.sampled_from([None, "prespecified", "exploratory"]),
        ),
        st.builds(ir.Interact, treatments=some(name, 2, 3)),
        st.builds(ir.Shrink, prior=st.sampled_from(["halft", "horseshoe", "r2d2", "lasso", "heredity"])),
        st.builds(
            ir.VarianceBy,
            outcome=name,
            by=name,
            model=st.sampled_from([None, "additive", "subtractive", "replacement"]),
        ),
        st.builds(ir.VarianceWith, outcome=name, term=term),
        st.builds(ir.VarianceAcross, outcome=name, across=name),
        st.builds(ir.EffectVarianceWith, effect=term, across=name, term=term),
        st.builds(
            ir.Correlate,
            outcome=name,
            within=name,
            structure=st.sampled_from(["ar1", "exchangeable", "unstructured"]),
        ),
        st.builds(ir.Pool, group=name, how=st.sampled_from(["completely", "partially", "none"])),
        _propensities(),
        st.builds(ir.Surface, outcome=name, given=terms, law=st.sampled_from(["bart", "gp"])),
        st.builds(ir.Poststratify, file=texts(), weight=columns()),
    )


@cache
def equations() -> SearchStrategy[ir.Equation]:
    """Laws and definitions of explicit models."""
    value = expressions() | aggregates(_atoms())
    return st.builds(ir.LawStatement, targets=some(targets(), 1, 2), law=laws()) | st.builds(
        ir.DefinitionStatement, target=targets(), value=value
    )


@cache
def assumptions() -> SearchStrategy[ir.Assumption]:
    """Assumed sizes and values."""
    low, high = numbers(), maybe(numbers())
    size = st.builds(ir.AssumedSize, level=names(), low=low, high=high, per=maybe(names()))
    return size | st.builds(ir.AssumedValue, target=targets(), low=low, high=high)


@composite
def studies(draw: st.DrawFn) -> Study:
    """Studies of any content: legal text, mostly without sense."""
    explicit = draw(st.booleans())
    return Study(
        draw(names()),
        draw(maybe(texts())),
        table=draw(maybe(texts())),
        levels=draw(some(levels())),
        treatments=draw(some(treatments(), 0, 2)),
        assignments=draw(some(assignments(), 0, 2)),
        principals=draw(some(principals(), 0, 1)),
        analysis=() if explicit else draw(some(amendments())),
        equations=draw(some(equations())) if explicit else (),
        priors=draw(some(st.builds(ir.Prior, target=targets(), law=laws()), 0, 2)),
        estimands=draw(
            some(st.builds(ir.Estimand, name=names(), index=some(names(), 0, 2), value=estimand_values()), 0, 2)
        ),
        assumptions=draw(some(assumptions(), 0, 2)),
        waivers=draw(some(st.builds(ir.Waiver, code=st.sampled_from(["HDM401", "HDM404"]), because=texts()), 0, 1)),
    )
