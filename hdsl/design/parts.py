"""Small constructors of the Python way in: variables and assignment mechanisms."""

from __future__ import annotations

from hdsl.design import ir, snippets
from hdsl.design.expr import Expr, Number, Sequence


def covariate(
    name: str,
    kind: str,
    measured_in: str | None = None,
    *,
    missing: bool = False,
    column: str | None = None,
) -> ir.Variable:
    """Return a covariate, measured before treatment.

    Parameters
    ----------
    name : str
        Its name in formulas, and its column where `column` is not given.
    kind : str
        As in a study: `real`, `positive`, `proportion`, `count`, `count of trials`, `binary`, `category`,
        `ordered`, `duration censored by lost`, `real known sd se`.
    measured_in : str, optional
        Its unit of measurement.
    missing : bool
        True where gaps are to be modelled, not dropped.
    column : str, optional
        The column of the data that holds it.

    Raises
    ------
    StudyError
        Where the name or kind is not one of the language.

    Examples
    --------
    >>> hdsl.covariate("age", "real", "years", column="Age at entry").column
    'Age at entry'
    """
    return _variable("covariate", name, kind, measured_in, missing, column)


def outcome(name: str, kind: str, measured_in: str | None = None, *, column: str | None = None) -> ir.Variable:
    """Return an outcome; arguments as in `covariate`.

    Examples
    --------
    >>> hdsl.outcome("score", "real", "points").role
    'outcome'
    """
    return _variable("outcome", name, kind, measured_in, False, column)


def intermediate(name: str, kind: str, measured_in: str | None = None, *, column: str | None = None) -> ir.Variable:
    """Return a variable measured after treatment and before the outcome; arguments as in `covariate`.

    Examples
    --------
    >>> hdsl.intermediate("enrolled", "binary").role
    'intermediate'
    """
    return _variable("intermediate", name, kind, measured_in, False, column)


def weight(
    name: str, kind: str = "positive", measured_in: str | None = None, *, column: str | None = None
) -> ir.Variable:
    """Return a survey weight; arguments as in `covariate`.

    Examples
    --------
    >>> hdsl.weight("w").kind.name
    'positive'
    """
    return _variable("weight", name, kind, measured_in, False, column)


def exposure(
    name: str, kind: str = "positive", measured_in: str | None = None, *, column: str | None = None
) -> ir.Variable:
    """Return the exposure of a count, whose logarithm is the offset; arguments as in `covariate`.

    Examples
    --------
    >>> hdsl.exposure("months").role
    'exposure'
    """
    return _variable("exposure", name, kind, measured_in, False, column)


def _variable(
    role: ir.Role, name: str, kind: str, measured_in: str | None, missing: bool, column: str | None
) -> ir.Variable:
    return snippets.made(
        ir.Variable,
        role=role,
        name=name,
        kind=snippets.kind(kind),
        missing=missing,
        measured_in=measured_in,
        column=column,
    )


def complete(*probability: float | str) -> ir.Mechanism:
    """Return complete randomisation: a fixed share of the units, or one share for each arm.

    Examples
    --------
    >>> hdsl.complete(0.5).probability.value
    0.5
    >>> len(hdsl.complete(0.5, 0.25, 0.25).probability.items)
    3
    """
    return ir.Mechanism(name="complete", probability=_probability("complete", probability))


def bernoulli(*probability: float | str) -> ir.Mechanism:
    """Return independent randomisation with a probability, or the name of a proportion variable.

    Examples
    --------
    >>> hdsl.bernoulli("p_offer").probability.name
    'p_offer'
    """
    return ir.Mechanism(name="bernoulli", probability=_probability("bernoulli", probability))


def ignorable(*given: str) -> ir.Mechanism:
    """Return an observational assignment that is ignorable given these covariates or formulas.

    Examples
    --------
    >>> len(hdsl.ignorable("age", "age * age").given)
    2
    """
    return ir.Mechanism(name="ignorable", given=tuple(snippets.term(text) for text in given))


def rule(variable: str, cutoff: float) -> ir.Mechanism:
    """Return assignment by whether a variable reaches a cutoff.

    Examples
    --------
    >>> hdsl.rule("score", 50).cutoff
    50.0
    """
    return snippets.made(ir.Mechanism, name="rule", given=(snippets.term(variable),), cutoff=cutoff)


def _probability(name: str, probabilities: tuple[float | str, ...]) -> Expr | None:
    if not probabilities and name == "complete":
        return None
    if not probabilities:
        raise snippets.unfit(f"`{name}` has no probability.", f"Write `{name}(0.5)`.")
    found = tuple(_number_or_term(probability) for probability in probabilities)
    return found[0] if len(found) == 1 else Sequence(items=found)


def _number_or_term(value: float | str) -> Expr:
    return snippets.term(value) if isinstance(value, str) else snippets.made(Number, value=value)
