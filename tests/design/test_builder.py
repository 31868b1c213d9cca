"""The Python way in: immutability, every method, and errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hdsl
from hdsl import Study, StudyError, bernoulli, complete, covariate, exposure, load, outcome, rule, weight


def body(text: str) -> Study:
    """The study `s` with these statements."""
    return Study.from_text(f"study s\n{text}")


S = Study("s")


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (S.data("a b.csv"), 'data "a b.csv"'),
        (S.group("g", within=["a", "b"]), "group g in a in b"),
        (S.unit("u", within=["a", "b * c"]), "unit u in a in b * c"),
        (S.wave("w", id="week no", variables=[covariate("t", "real")]), 'wave w id "week no" { covariate t : real }'),
        (S.unit("u", variables=[covariate("x", "real", missing=True)]), "unit u { covariate x : real missing }"),
        (
            S.unit("u", variables=[outcome("y", "count of n"), exposure("e"), weight("w", column="wt 1")]),
            'unit u { outcome y : count of n exposure e : positive weight w : positive column "wt 1" }',
        ),
        (
            S.unit("u", variables=[outcome("y", "duration censored by seen"), outcome("d", "real known sd se / 2")]),
            "unit u { outcome y : duration censored by seen outcome d : real known sd se / 2 }",
        ),
        (S.treatment("z", a=0, b="B", ordered=True), 'treatment z { a = 0, b = "B" } ordered'),
        (S.treatment("z", {"ordered": -1, "b": 2.5}, column="arm"), "treatment z column arm { ordered = -1, b = 2.5 }"),
        (S.treatment("d", dose="positive", measured_in="mg"), 'treatment d : positive "mg"'),
        (S.assign("z", to="u", by=complete(0.2, 0.8)), "assign z to u by complete(0.2, 0.8)"),
        (S.assign("z", to="u", by=rule("x", -3)), "assign z to u by rule(x, -3)"),
        (S.family("y", "student"), "analysis { family y student }"),
        (S.family("y", "bernoulli(link = probit)"), "analysis { family y bernoulli(link = probit) }"),
        (S.adjust("log(y)").adjust("x * w"), "analysis { adjust for log(y) adjust for x * w }"),
        (
            S.vary("z", across=["a", "b"], law="array").vary("intercept", across="g", uncorrelated=True),
            "analysis { vary z across a * b as array vary intercept across g uncorrelated }",
        ),
        (
            S.vary("z", moderator="log(x)", shape="gp", prespecified=False).vary("z", moderator="w"),
            "analysis { vary z with log(x) as gp exploratory vary z with w }",
        ),
        (S.interact("a", "b * c"), "analysis { interact a * b * c }"),
        (S.shrink("r2d2"), "analysis { shrink interactions as r2d2 }"),
        (S.variance("y", by="z"), "analysis { variance of y by z }"),
        (S.variance("y", with_="log(x)"), "analysis { variance of y with log(x) }"),
        (S.variance("y", across="g"), "analysis { variance of y across g }"),
        (S.variance("z", across="g", with_="x"), "analysis { variance of z across g with x }"),
        (S.correlate("y", within="u", structure="exchangeable"), "analysis { correlate y within u as exchangeable }"),
        (S.pool("g", "none"), "analysis { pool g none }"),
        (
            S.propensity("z", use="strata", strata=5, with_=["x", "log(w)"], across="g"),
            "analysis { propensity for z with x, log(w) across g as strata(5) }",
        ),
        (S.surface("y", given=["x", "w"], law="bart"), "analysis { surface of y given x, w as bart }"),
        (S.poststratify("c.csv", weight="n people"), 'analysis { poststratify over "c.csv" weight "n people" }'),
        (
            S.model("y[u] ~ normal(a[g] + b * x, s)\n a[g] ~ normal(m, t) c = exp(b)"),
            "model { y[u] ~ normal(a[g] + b * x, s) a[g] ~ normal(m, t) c = exp(b) }",
        ),
        (S.prior("effect(z)[b]", "normal(0, 1)"), "priors { effect(z)[b] ~ normal(0, 1) }"),
        (
            S.estimand("e", "average over population g of y(z = b)", index=["g", "h"]),
            "estimand e[g, h] = average over population g of y(z = b)",
        ),
        (
            S.assume("school: 20..40", "pupil: 25 per school  residual = 1", "effect(z) = -0.2..0.2"),
            "assume { school: 20..40 pupil: 25 per school residual = 1 effect(z) = -0.2..0.2 }",
        ),
        (S.waive("HDM401", because='it is "known"'), 'waive HDM401 because "it is \\"known\\""'),
    ],
)
def test_each_method_equals_its_statement(built: Study, text: str) -> None:
    assert built == body(text)
    assert Study.from_text(built.to_text()) == built


def test_methods_leave_the_study_as_it_was() -> None:
    first = S.group("g")
    assert S.levels == ()
    assert first.unit("u") != first
    assert len(first.levels) == 1
    with pytest.raises(ValueError, match="frozen"):
        first.name = "other"


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (lambda: Study("two words"), "HDM208", "is not a name"),
        (lambda: S.data("a\nb"), "HDM208", "line end"),
        (lambda: S.group("1g"), "HDM208", "'1g' is not a name"),
        (lambda: S.unit("u", within=["a * b", "c * d"]), "HDM209", "crosses levels twice"),
        (lambda: covariate("x", "reel"), "HDM114", "did you mean `real`"),
        (lambda: covariate("x", 'real "cm"'), "HDM209", "more than a kind"),
        (lambda: covariate("x", "real } unit v { covariate w : real"), "HDM209", "does not read as one kind"),
        (lambda: S.treatment("z"), "HDM208", "arms"),
        (lambda: S.treatment("z", a=float("nan")), "HDM208", "finite"),
        (lambda: S.assign("z", to="u", by="complte(0.5)"), "HDM114", "did you mean `complete`"),
        (lambda: S.assign("z", to="u", by="complete(0.5) within g"), "HDM104", "within"),
        (lambda: bernoulli(), "HDM209", "no probability"),
        (lambda: complete(-1), "HDM208", "greater than or equal to 0"),
        (lambda: S.principal("p", "d", under="z", strata={"a": (0, 1)}, unaffected="b"), "HDM209", "no stratum"),
        (lambda: S.adjust("log("), "HDM107", ""),
        (lambda: S.adjust("x, w"), "HDM209", "does not read as one term"),
        (lambda: S.adjust("x } study t { "), "HDM104", ""),
        (lambda: S.adjust("x vary z across g"), "HDM209", "does not read as one term"),
        (lambda: S.adjust(), "HDM208", "at least 1"),
        (lambda: S.vary("z"), "HDM209", "either `across` or `moderator`"),
        (lambda: S.vary("z", across="g", prespecified=True), "HDM209", "go with `moderator`"),
        (lambda: S.vary("z", moderator="x", uncorrelated=True), "HDM209", "go with `across`"),
        (lambda: S.variance("y"), "HDM209", "wants"),
        (lambda: S.variance("y", by="z", across="g"), "HDM209", "stands alone"),
        (lambda: S.interact("a"), "HDM208", "at least 2"),
        (lambda: S.adjust("x").model("a ~ normal(0, 1)"), "HDM209", "not both"),
        (lambda: S.estimand("e", "average over u of y(z = b) estimand f = 1"), "HDM209", "one estimand"),
        (lambda: S.prior("a", "normal(0, 1) b ~ normal(0, 1)"), "HDM209", "one prior"),
        (lambda: Study.from_json('{"hdm": 2, "name": "s"}'), "HDM208", "hdm"),
        (lambda: Study.from_json("{"), "HDM208", "JSON"),
        (lambda: Study.from_json('{"name": "s", "extra": 1}'), "HDM208", "extra"),
        (lambda: Study.from_text('data "x"'), "HDM201", "no `study`"),
        (lambda: Study.from_text(""), "HDM103", "empty"),
    ],
)
def test_bad_input_is_a_study_error(call: Callable[[], object], code: str, words: str) -> None:
    with pytest.raises(StudyError) as raised:
        call()
    assert code in [diagnostic.code for diagnostic in raised.value.diagnostics]
    assert words in str(raised.value)
    assert code in str(raised.value)


def test_load_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s.hdm"
    file.write_bytes(b'\xef\xbb\xbfstudy s "t"\r\nunit u\r\n')
    assert load(file) == Study("s", "t").unit("u")
    with pytest.raises(StudyError, match="HDM101"):
        load(tmp_path / "none.hdm")


def test_names_are_one_in_every_unicode_form() -> None:
    assert Study("café").unit("u", id="café id") == Study("cafe\u0301").unit("u", id="cafe\u0301 id")


def test_every_export_is_there() -> None:
    assert sorted(hdsl.__all__) == sorted(name for name in hdsl.__all__ if getattr(hdsl, name) is not None)
    assert set(hdsl.__all__) <= set(dir(hdsl))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hdsl.nothing
