"""What the parser makes of each form, written out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from hdsl.source import Source, Span
from hdsl.syntax import ast, parse

HERE = Span(0, 0)


def n(text: str) -> ast.Name:
    return ast.Name(text, span=HERE)


def s(text: str) -> ast.String:
    return ast.String(text, span=HERE)


def v(text: str) -> ast.NameExpr:
    return ast.NameExpr(text, span=HERE)


def num(value: float) -> ast.Number:
    return ast.Number(value, span=HERE)


def op(sign: Any, left: ast.Expr, right: ast.Expr) -> ast.Binary:
    return ast.Binary(sign, left, right, span=HERE)


def call(name: str, *args: ast.Expr, **settings: ast.Expr) -> ast.Call:
    found = tuple(ast.Setting(n(key), value, span=HERE) for key, value in settings.items())
    return ast.Call(n(name), args, found, span=HERE)


def compare(sign: Any, left: ast.Expr, right: ast.Expr) -> ast.Compare:
    return ast.Compare(sign, left, right, span=HERE)


def one(text: str) -> ast.Statement:
    file, diagnostics = parse(Source.of("test", text))
    assert diagnostics == []
    (statement,) = file.statements
    return statement


def amendment(text: str) -> ast.Amendment:
    statement = one(f"analysis {{ {text} }}")
    assert isinstance(statement, ast.Analysis)
    (found,) = statement.amendments
    return found


def value(text: str) -> ast.Expr:
    statement = one(f"estimand e = {text}")
    assert isinstance(statement, ast.Estimand)
    return statement.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", op("+", v("a"), op("*", v("b"), v("c")))),
        ("a - b - c", op("-", op("-", v("a"), v("b")), v("c"))),
        ("a / b * c", op("*", op("/", v("a"), v("b")), v("c"))),
        ("(a - b) - (c)", op("-", op("-", v("a"), v("b")), v("c"))),
        ("a - (b - c)", op("-", v("a"), op("-", v("b"), v("c")))),
        ("-a ^ 2", ast.Unary("-", op("^", v("a"), num(2)), span=HERE)),
        ("a ^ b ^ c", op("^", v("a"), op("^", v("b"), v("c")))),
        ("2 ^ -1", op("^", num(2), ast.Unary("-", num(1), span=HERE))),
        ("+a", v("a")),
        ("1.5e-3", num(0.0015)),
        (".5", num(0.5)),
        ("f(a, b = c)", call("f", v("a"), b=v("c"))),
        ("f()", call("f")),
        ("a[g, 2]", ast.Indexed(v("a"), (v("g"), num(2)), span=HERE)),
        ("effect(z)[b]", ast.Indexed(call("effect", v("z")), (v("b"),), span=HERE)),
        ("(a, b)", ast.TupleExpr((v("a"), v("b")), span=HERE)),
        ("a < b", compare("<", v("a"), v("b"))),
        ("not a = 1", ast.Logical("not", (compare("=", v("a"), num(1)),), span=HERE)),
        (
            "a or b and c",
            ast.Logical("or", (v("a"), ast.Logical("and", (v("b"), v("c")), span=HERE)), span=HERE),
        ),
        ("a and b and c", ast.Logical("and", (v("a"), v("b"), v("c")), span=HERE)),
    ],
)
def test_expressions(text: str, expected: ast.Expr):
    assert value(text) == expected


def aggregate(name: Any, over: ast.Name | ast.String, of: ast.Expr, **more: Any) -> ast.Aggregate:
    return ast.Aggregate(name=name, over=over, of=of, span=HERE, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "average over s of y(z = b) - y(z = a)",
            aggregate("average", n("s"), op("-", call("y", z=v("b")), call("y", z=v("a")))),
        ),
        ("quantile(0.9) over s of y", aggregate("quantile", n("s"), v("y"), probability=num(0.9))),
        ("average over population s of y", aggregate("average", n("s"), v("y"), population=True)),
        ("average over population of y", aggregate("average", n("population"), v("y"))),
        ('average over "c.csv" of y', aggregate("average", s("c.csv"), v("y"))),
        (
            "sd over s where z = b of y assuming correlation = -.5",
            aggregate("sd", n("s"), v("y"), where=compare("=", v("z"), v("b")), correlation=num(-0.5)),
        ),
        ("share over s of y > 5", aggregate("share", n("s"), compare(">", v("y"), num(5)))),
        (
            "(average over s of y) / (sd over s of y)",
            op("/", aggregate("average", n("s"), v("y")), aggregate("sd", n("s"), v("y"))),
        ),
    ],
)
def test_aggregates(text: str, expected: ast.Expr):
    assert value(text) == expected


def test_treatment_histories():
    month = ast.Occasions(n("month"), num(1), num(3), span=HERE)
    last = ast.Occasions(n("month"), num(4), num(4), span=HERE)
    settings = (
        ast.Setting(n("track"), num(1), month, span=HERE),
        ast.Setting(n("track"), num(0), last, span=HERE),
    )
    expected = ast.Call(n("pay"), (), settings, span=HERE)
    assert value("pay(track = 1 at month 1..3, track = 0 at month 4)") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hdm 1", ast.Hdm(1, span=HERE)),
        ('study s "t"', ast.Study(n("s"), s("t"), span=HERE)),
        ("study s", ast.Study(n("s"), span=HERE)),
        (r'data "a\"b\\c\d"', ast.Data(s(r'a"b\c\d'), span=HERE)),
        (
            'group g id "the id" in h in k from "f.csv"',
            ast.Level("group", n("g"), n("the id"), (n("h"), n("k")), (), s("f.csv"), span=HERE),
        ),
        ("unit u in a * b", ast.Level("unit", n("u"), crosses=(n("a"), n("b")), span=HERE)),
        ("unit u in c in a * b id x", ast.Level("unit", n("u"), n("x"), (n("c"),), (n("a"), n("b")), span=HERE)),
        ("wave w id x { }", ast.Level("wave", n("w"), n("x"), span=HERE)),
        (
            'treatment z column c { a = -1, b = "x" } ordered',
            ast.Treatment(
                n("z"),
                n("c"),
                (ast.Arm(n("a"), num(-1), span=HERE), ast.Arm(n("b"), s("x"), span=HERE)),
                ordered=True,
                span=HERE,
            ),
        ),
        (
            'treatment d : positive "mg"',
            ast.Treatment(n("d"), dose=ast.Dose("positive", span=HERE), measured_in=s("mg"), span=HERE),
        ),
        (
            "assign z to u within a, b if t = on by complete(0.5)",
            ast.Assign(
                n("z"),
                n("u"),
                ast.Mechanism("complete", (num(0.5),), span=HERE),
                (n("a"), n("b")),
                ast.Condition(n("t"), n("on"), span=HERE),
                span=HERE,
            ),
        ),
        (
            "principal s from d under z { c = (0, 1) a = (1, 1) unaffected }",
            ast.Principal(
                n("s"),
                n("d"),
                n("z"),
                (
                    ast.Stratum(n("c"), (num(0), num(1)), span=HERE),
                    ast.Stratum(n("a"), (num(1), num(1)), unaffected=True, span=HERE),
                ),
                span=HERE,
            ),
        ),
        (
            "model { a[g], b[g] ~ normal(m, s)  m = 1 + x }",
            ast.Model(
                (
                    ast.Law(
                        (ast.Indexed(v("a"), (v("g"),), span=HERE), ast.Indexed(v("b"), (v("g"),), span=HERE)),
                        call("normal", v("m"), v("s")),
                        span=HERE,
                    ),
                    ast.Definition(v("m"), op("+", num(1), v("x")), span=HERE),
                ),
                span=HERE,
            ),
        ),
        (
            "priors { sd(effect(z), g) ~ halfnormal(2) }",
            ast.Priors(
                (ast.Prior(call("sd", call("effect", v("z")), v("g")), call("halfnormal", num(2)), span=HERE),),
                span=HERE,
            ),
        ),
        ("estimand e[g, h] = 1", ast.Estimand(n("e"), num(1), (n("g"), n("h")), span=HERE)),
        (
            "assume { g: 20..40  u: 25 per g  effect(z) = -0.1..0.2 }",
            ast.Assume(
                (
                    ast.AssumedSize(n("g"), num(20), num(40), span=HERE),
                    ast.AssumedSize(n("u"), num(25), None, n("g"), span=HERE),
                    ast.AssumedValue(call("effect", v("z")), num(-0.1), num(0.2), span=HERE),
                ),
                span=HERE,
            ),
        ),
        ('waive HDM401 because "r"', ast.Waive(n("HDM401"), s("r"), span=HERE)),
    ],
)
def test_statements(text: str, expected: ast.Statement):
    assert one(text) == expected


def variable(text: str) -> ast.Variable:
    statement = one(f"unit u {{ {text} }}")
    assert isinstance(statement, ast.Level)
    (found,) = statement.variables
    return found


def kind(name: Any, **more: Any) -> ast.Kind:
    return ast.Kind(name, span=HERE, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'covariate x : real missing "m" column c',
            ast.Variable("covariate", n("x"), kind("real"), True, s("m"), n("c"), span=HERE),
        ),
        (
            'covariate x : real column "a b" "m" missing',
            ast.Variable("covariate", n("x"), kind("real"), True, s("m"), n("a b"), span=HERE),
        ),
        ("outcome y : ordered", ast.Variable("outcome", n("y"), kind("ordered"), span=HERE)),
        ("outcome y : count of k", ast.Variable("outcome", n("y"), kind("count", trials=v("k")), span=HERE)),
        (
            'outcome y : duration censored by "the event" "days"',
            ast.Variable(
                "outcome", n("y"), kind("duration", censored_by=n("the event")), measured_in=s("days"), span=HERE
            ),
        ),
        (
            "outcome y : real known sd se / 2",
            ast.Variable("outcome", n("y"), kind("real", known_sd=op("/", v("se"), num(2))), span=HERE),
        ),
    ],
)
def test_variables(text: str, expected: ast.Variable):
    assert variable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("family y normal", ast.Family(n("y"), call("normal"), span=HERE)),
        ("family y binomial(link = probit)", ast.Family(n("y"), call("binomial", link=v("probit")), span=HERE)),
        ("adjust for x, log(x)", ast.Adjust((v("x"), call("log", v("x"))), span=HERE)),
        ("vary z across g", ast.VaryAcross(v("z"), (n("g"),), span=HERE)),
        (
            "vary z across a * b as array uncorrelated",
            ast.VaryAcross(v("z"), (n("a"), n("b")), True, "array", span=HERE),
        ),
        ("vary z with x", ast.VaryWith(v("z"), (v("x"),), span=HERE)),
        ("vary z with x as gp exploratory", ast.VaryWith(v("z"), (v("x"),), "gp", "exploratory", span=HERE)),
        ("vary z with x, w exploratory", ast.VaryWith(v("z"), (v("x"), v("w")), None, "exploratory", span=HERE)),
        ("interact a * b * c", ast.Interact((n("a"), n("b"), n("c")), span=HERE)),
        ("shrink interactions as r2d2", ast.Shrink("r2d2", span=HERE)),
        ("variance of y by z", ast.VarianceBy(n("y"), n("z"), span=HERE)),
        ("variance of y by z as replacement", ast.VarianceBy(n("y"), n("z"), "replacement", span=HERE)),
        ("variance of y with x", ast.VarianceWith(n("y"), v("x"), span=HERE)),
        ("variance of y across g", ast.VarianceAcross(n("y"), n("g"), span=HERE)),
        ("variance of z across g with x", ast.EffectVarianceWith(v("z"), n("g"), v("x"), span=HERE)),
        ("correlate y within u as unstructured", ast.Correlate(n("y"), n("u"), "unstructured", span=HERE)),
        ("pool g none", ast.Pool(n("g"), "none", span=HERE)),
        ("propensity for z as weight", ast.Propensity(n("z"), "weight", span=HERE)),
        (
            "propensity for z with x, w across g as strata(5)",
            ast.Propensity(n("z"), "strata", (v("x"), v("w")), n("g"), 5, span=HERE),
        ),
        ("surface of y given x, w as bart", ast.Surface(n("y"), (v("x"), v("w")), "bart", span=HERE)),
        ('poststratify over "f" weight n', ast.Poststratify(s("f"), n("n"), span=HERE)),
    ],
)
def test_amendments(text: str, expected: ast.Amendment):
    assert amendment(text) == expected


def test_names_are_compared_in_normal_form():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert value(composed) == value(decomposed)
