"""Several errors in one run, good statements kept, and odd texts answered with diagnostics."""

from __future__ import annotations

import time

import pytest

from hdsl.source import Source
from hdsl.syntax import ast, format_source, parse, read_source

GOOD = "treatment z { a = 0, b = 1 }"


def codes(text: str) -> list[str]:
    return [d.code for d in parse(Source.of("test", text))[1]]


def kinds(text: str) -> list[type]:
    return [type(statement) for statement in parse(Source.of("test", text))[0].statements]


def test_three_errors_and_the_good_statements():
    text = f"""study s "t"
unit person id pid household {{ covariate age : real }}
{GOOD}
assign z to person
analysis {{
  adjust for age sex
  vary z across person
  pool person = none
}}
estimand ate = average over person of y(z = b)
"""
    file, diagnostics = parse(Source.of("test", text))
    assert [Source.of("test", text).position(d.span.start)[0] for d in diagnostics if d.span] == [2, 5, 6, 8]
    assert [type(s) for s in file.statements][-1] is ast.Estimand
    analysis = next(s for s in file.statements if isinstance(s, ast.Analysis))
    assert [type(a) for a in analysis.amendments] == [ast.Adjust, ast.VaryAcross]


def test_variables_around_an_error_are_kept():
    file, diagnostics = parse(
        Source.of("t", "unit u {\n covariate a : real\n covariate b real\n outcome c : real\n}\nstudy s")
    )
    level = file.statements[0]
    assert isinstance(level, ast.Level)
    assert [variable.name.text for variable in level.variables] == ["a", "c"]
    assert len(diagnostics) == 1
    assert isinstance(file.statements[1], ast.Study)


def test_priors_around_an_error_are_kept():
    file, diagnostics = parse(
        Source.of("t", "priors {\n a ~ normal(0, 1)\n b ~ normal(0 1)\n sd(c, g) ~ normal(0, 1)\n}")
    )
    (priors,) = file.statements
    assert isinstance(priors, ast.Priors)
    assert len(priors.priors) == 2
    assert len(diagnostics) == 1


@pytest.mark.parametrize(
    ("text", "code", "kept"),
    [
        ("unit u {\n covariate x : real\n" + GOOD, "HDM107", [ast.Level, ast.Treatment]),
        ("unit u {\n covariate x : real", "HDM107", [ast.Level]),
        ("estimand a = (b + c\nestimand d = e", "HDM107", [ast.Estimand, ast.Estimand]),
        ("priors { a ~ normal(0, 1\n}\nstudy s", "HDM107", [ast.Priors, ast.Study]),
        (GOOD + "\n}\nstudy s", "HDM107", [ast.Treatment, ast.Study]),
        ("estimand a = b)\nstudy s", "HDM107", [ast.Estimand, ast.Study]),
        ('data "f.csv\nstudy s', "HDM108", [ast.Data, ast.Study]),
        ("study s;\n" + GOOD, "HDM105", [ast.Study, ast.Treatment]),
        ("assing z to u by complete(0.5)\nstudy s", "HDM106", [ast.Study]),
        ("unit u { covarate x : real }\nstudy s", "HDM106", [ast.Level, ast.Study]),
        ("hdm 2\nstudy s", "HDM111", [ast.Hdm, ast.Study]),
        ("estimand a = 1e999", "HDM112", [ast.Estimand]),
        ("unit u id a id b", "HDM113", [ast.Level]),
        ("unit u { covariate x : real missing missing }", "HDM113", [ast.Level]),
        ("assign z to u by complete(1) \nunit u in a * b in c * d", "HDM113", [ast.Assign, ast.Level]),
        ("unit u { covariate x : numeric }", "HDM114", [ast.Level]),
        ("assign z to u by randomised(0.5)", "HDM114", [ast.Assign]),
        ("estimand a = mean over u of y", "HDM114", [ast.Estimand]),
        ("analysis { pool g fully }", "HDM114", [ast.Analysis]),
        ("analysis { vary z across g as student as normal }", "HDM113", [ast.Analysis]),
        ("analysis { vary z with g exploratory prespecified }", "HDM113", [ast.Analysis]),
        ("analysis { variance of log(y) by z }", "HDM104", [ast.Analysis]),
        ("analysis { propensity for z as strata(1.5) }", "HDM104", [ast.Analysis]),
        ("estimand a = quantile over u of y", "HDM104", [ast.Estimand]),
        ("estimand a = average(2) over u of y", "HDM104", [ast.Estimand]),
        ("estimand a = average[g] over u of y", "HDM104", [ast.Estimand]),
        ("estimand a = f(b at m 3)", "HDM104", [ast.Estimand]),
        ("assign z to u by complete(p = 0.5)", "HDM104", [ast.Assign]),
        ("unit u { outcome y : real of 5 }", "HDM104", [ast.Level]),
        ("study s \uff0c data", "HDM105", [ast.Study]),
        ("estimand a = b \u2212 c", "HDM105", [ast.Estimand]),
    ],
)
def test_one_error_keeps_the_rest(text: str, code: str, kept: list[type]):
    found = codes(text)
    assert found[0] == code
    if code != "HDM105":
        assert len(found) == 1
    assert kinds(text) == kept


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("unit u { covariate x : numeric }", "real"),
        ("unit u { covariate x : factor }", "category"),
        ("unit u { covariate x : reel }", "real"),
        ("assign z to u by randomised(0.5)", "complete"),
        ("assign z to u by bernouli(0.5)", "bernoulli"),
        ("estimand a = mean over u of y", "average"),
        ("analysis { shrink interactions as horse_shoe }", "horseshoe"),
        ("tratment z { a = 0, b = 1 }", "treatment"),
        ("analysis { adjst for x }", "adjust"),
        ("group g id x inn h", "in"),
    ],
)
def test_suggestions(text: str, meant: str):
    _, diagnostics = parse(Source.of("test", text))
    assert f"did you mean `{meant}`?" in diagnostics[0].message


@pytest.mark.parametrize("text", ["", "   \n\t\n", "# only a comment", "\ufeff", "\r\n"])
def test_an_empty_study(text: str):
    source = Source.of("test", text)
    file, diagnostics = parse(source)
    assert [d.code for d in diagnostics] == ["HDM103"]
    assert file.statements == ()
    assert format_source(source) == ("# only a comment\n" if "#" in text else "")


DEPTH = 10_000


@pytest.mark.parametrize(
    "text",
    [
        "estimand a = " + "(" * DEPTH + "b" + ")" * DEPTH,
        "estimand a = " + "(" * DEPTH,
        "(" * DEPTH,
        "estimand a = " + "-" * DEPTH + "b",
        "estimand a = " + "not " * DEPTH + "b",
        "estimand a = " + "b ^ " * DEPTH + "b",
        "estimand a = " + "b + " * DEPTH + "b",
        "estimand a = " + "f(" * DEPTH + ")" * DEPTH,
        "priors { a ~ " + "f(" * DEPTH + ")" * DEPTH + "}",
        "model { a = " + "b * " * DEPTH + "b }",
        "}" * DEPTH,
        "{" * DEPTH,
        "unit u { " * DEPTH,
        "model { a[" * DEPTH,
    ],
)
def test_deep_nesting_is_a_diagnostic(text: str):
    source = Source.of("test", text + "\nstudy s")
    file, diagnostics = parse(source)
    assert diagnostics
    assert [type(statement) for statement in file.statements][-1] is ast.Study
    format_source(source)


def test_deep_nesting_has_its_code():
    assert codes("estimand a = " + "(" * DEPTH + "b" + ")" * DEPTH) == ["HDM110"]
    assert codes("estimand a = " + "b + " * DEPTH + "b") == ["HDM110"]
    assert codes("estimand a = " + "b + " * 50 + "b") == []
    assert codes("analysis { adjust for " + "x, " * DEPTH + "x }") == []


def test_many_errors_are_cut_off_with_a_count():
    _, diagnostics = parse(Source.of("test", "study x y\n" * 300))
    assert len(diagnostics) == 51
    assert diagnostics[-1].severity == "note"
    assert "250 more" in diagnostics[-1].message


def long_study(lines: int) -> str:
    variables = "\n".join(f'  covariate x{i} : real "years" column c{i}  # the {i}th' for i in range(lines))
    return f"study long\nunit person {{\n{variables}\n}}\n"


def seconds(text: str) -> float:
    begin = time.process_time()
    file, diagnostics = parse(Source.of("test", text))
    assert diagnostics == []
    assert len(file.statements) == 2
    return time.process_time() - begin


def test_time_grows_with_the_length():
    """Eight times the lines: 8 times the work if it is linear, 64 times if quadratic."""
    short, long = (min(seconds(long_study(lines)) for _ in range(3)) for lines in (1000, 8000))
    assert long < 30 * short


@pytest.mark.slow
def test_a_hundred_thousand_lines():
    assert seconds(long_study(100_000)) < 40


@pytest.mark.slow
def test_a_hundred_thousand_wrong_lines():
    begin = time.process_time()
    file, diagnostics = parse(Source.of("test", "unit person {\n" + "  covariate x real\n" * 100_000 + "}\nstudy s"))
    assert time.process_time() - begin < 60
    assert len(file.statements) == 2
    assert diagnostics


def test_reading_files(tmp_path):
    def code(path) -> str:
        found = read_source(path)
        assert not isinstance(found, Source)
        assert found.help
        return found.code

    assert code(tmp_path / "missing.hdm") == "HDM101"
    assert code(tmp_path) == "HDM101"
    assert code("nul\0byte.hdm") == "HDM101"
    latin = tmp_path / "latin.hdm"
    latin.write_bytes("study \u00e9tude".encode("latin-1"))
    assert code(latin) == "HDM102"
    dos = tmp_path / "dos.hdm"
    dos.write_bytes(b'\xef\xbb\xbfstudy s\r\ndata "x"\r\n')
    source = read_source(dos)
    assert isinstance(source, Source)
    assert source.text == 'study s\ndata "x"\n'


def test_a_brace_that_nothing_opened_loses_no_statement_before_the_mistake() -> None:
    text = "study s\ngroup g id g\ntreatment z ( a = 0, b = 1 }\nunit u in g { outcome y : real }\n"
    file, found = parse(Source.of("t.hdm", text))
    assert [type(statement).__name__ for statement in file.statements] == ["Study", "Level", "Level"]
    assert [diagnostic.code for diagnostic in found] == ["HDM104"]
