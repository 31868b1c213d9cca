"""Explicit equations become a Model.

Laws and definitions may stand in any order. An index in brackets is a level: a value of a higher level is
gathered to the units of a lower one. Covariates, two-arm treatments (1 in the second arm) and waves stand by
their names; `tutor[trained]` is 1 where a treatment or category has that value.

Laws of outcomes (`hdsl.model.equations.laws` has the forms): normal(mean, sd), student(df, mean, scale), cauchy,
laplace, logistic(location, scale), skewnormal(location, scale, shape), asymmetric_laplace(quantile, scale,
probability), lognormal(meanlog, sdlog), gamma(shape, rate) or gamma(mean = m, shape = k), weibull(shape, scale),
exponential(rate), beta(a, b) or beta(mean = m, precision = k), bernoulli(probability) or bernoulli(logit = eta),
binomial(trials, probability) or binomial(trials, logit = eta) (no trials where the outcome is `count of N`),
poisson(mean) or poisson(logmean = eta), negbinomial(mean, shape), zipoisson(mean, zero), hurdle_*(..., zero),
ordinal(location, cutpoints), ordinal_probit, categorical((0, eta_2, ...)). `bernoulli(inv_logit(eta))` and
`poisson(exp(eta))` are computed on the scale of eta.

Laws of parameters: the continuous ones, halfnormal(sd), halfstudent(df, scale), halfcauchy(scale), uniform(low,
high), lkj(eta) for the correlation of a multinormal law, ordered_normal(mean, sd) for cutpoints.

A declared weight multiplies the log likelihood, a duration is censored as declared, and the log of a declared
exposure that no equation names is added to the log mean.
"""

from __future__ import annotations

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.design.levels import outcomes
from hdsl.design.roles import role_text
from hdsl.diagnostics import Diagnostic, has_errors
from hdsl.model.derive.amendments import not_yet
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.equations.centring import add_shift
from hdsl.model.equations.names import Part, Scope, Unknown
from hdsl.model.equations.outcomes import add_outcome
from hdsl.model.equations.parameters import add_definition, add_law
from hdsl.model.equations.program import Statement, in_order, read
from hdsl.model.ir import Model, ModelData

MOST_REPORTED = 1000


def from_equations(bound: Bound) -> tuple[tuple[Model, ModelData] | None, list[Diagnostic]]:
    """Return the model of a bound study with explicit equations.

    Returns
    -------
    (model, data) or None
        None where an equation cannot stand. Parameters are reported by their own names (`mu_alpha`,
        `alpha[school]`); values of the rows only where there are at most 1000.
    diagnostics
        HDM64x and HDM65x errors, one for each equation that has one.
    """
    found = [*not_yet(bound.study), *_priors(bound)]
    statements, problems = read(bound)
    ordered, circles = in_order(statements)
    found += [*problems, *circles, *_without_law(bound, statements)]
    scope = Scope(
        draft=Draft(bound),
        targets={target.name: target for statement in statements for target in statement.targets},
        companions=_companions(bound),
        named=frozenset(name for statement in statements for name in study.names(statement.right)),
        failed=frozenset(_stated(bound)),
    )
    for statement in ordered:
        found += _add(scope, statement)
    found += _unsized(scope, statements)
    if has_errors(found):
        return None, sorted(found, key=lambda d: tuple(str(step).zfill(6) for step in d.path or ()))
    add_shift(scope, statements)
    _report(scope, statements)
    return scope.draft.finish(bound.study.name), found


def _priors(bound: Bound) -> list[Diagnostic]:
    help_ = "Write it as a law in `model`, with the name that the parameter has there."
    return [
        Diagnostic(
            "HDM650",
            f"The prior of `{role_text(prior.target)}` has no place beside explicit equations.",
            help=help_,
            path=("priors", place),
        )
        for place, prior in enumerate(bound.study.priors)
    ]


def _without_law(bound: Bound, statements: list[Statement]) -> list[Diagnostic]:
    given = {target.name for statement in statements for target in statement.targets}
    return [
        Diagnostic(
            "HDM649",
            f"The outcome `{variable.name}` has no law.",
            help=f"Write `{variable.name}[{level.name}] ~ normal(..., sigma)`.",
        )
        for level, variable in outcomes(bound.study)
        if variable.name not in given | _stated(bound)
    ]


def _stated(bound: Bound) -> set[str]:
    """Return the names on the left sides of all equations, sound or not."""
    found: set[str] = set()
    for equation in bound.study.equations:
        lefts = equation.targets if isinstance(equation, ir.LawStatement) else (equation.target,)
        found.update(left.name for left in lefts if not isinstance(left, study.Call))
    return found


def _companions(bound: Bound) -> dict[study.Expr, tuple[str, Part]]:
    """Return the expressions by which equations may call an outcome's trials and known sd."""
    found: dict[study.Expr, tuple[str, Part]] = {}
    for _, variable in outcomes(bound.study):
        parts: tuple[tuple[study.Expr | None, Part], ...] = (
            (variable.kind.trials, "trials"),
            (variable.kind.known_sd, "known_sd"),
        )
        for expr, part in parts:
            if expr is not None and not isinstance(expr, study.Number):
                found[expr] = (variable.name, part)
    return found


def _add(scope: Scope, statement: Statement) -> list[Diagnostic]:
    """Add a statement to the model and return the error that it has, if any."""
    equation = statement.equation
    try:
        if isinstance(equation, ir.DefinitionStatement):
            add_definition(scope, statement.targets[0], equation.value)
        elif any(target.observed for target in statement.targets):
            _add_outcome(scope, statement, equation.law)
        else:
            add_law(scope, statement.targets, equation.law)
    except Unknown:
        return []
    except NotDerivable as reason:
        return [Diagnostic(reason.code, reason.message, help=reason.help, path=statement.path)]
    return []


def _add_outcome(scope: Scope, statement: Statement, law: study.Call) -> None:
    target, *others = statement.targets
    if others:
        raise NotDerivable("HDM655", "An outcome has no joint law with others yet.", "Write one law for each.")
    add_outcome(scope, target, law)


def _unsized(scope: Scope, statements: list[Statement]) -> list[Diagnostic]:
    """Return an error for each law of a correlation or of cutpoints whose size nothing tells."""
    found: list[Diagnostic] = []
    for statement in statements:
        name = statement.targets[0].name
        if name in scope.shapes and name not in scope.sized and name not in scope.named:
            help_ = "Use it as `corr = ...` of a multinormal law, or as the cutpoints of an ordinal law."
            message = f"Nothing tells how large `{name}` is."
            found.append(Diagnostic("HDM647", message, help=help_, path=statement.path))
    return found


def _report(scope: Scope, statements: list[Statement]) -> None:
    """Report the parameters and definitions in the order in which they were written."""
    draft = scope.draft
    for statement in statements:
        for target in statement.targets:
            for role, value in scope.sized.get(target.name, {}).items():
                draft.report(role, value)
            made = scope.made.get(target.name)
            if made is not None and _is_short(scope, target.level):
                draft.report(target.role, made.expr)


def _is_short(scope: Scope, level: str | None) -> bool:
    bound = scope.draft.bound
    return level is None or bound.levels[level].size < bound.rows or bound.rows <= MOST_REPORTED
