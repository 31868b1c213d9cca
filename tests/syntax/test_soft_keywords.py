"""A keyword serves as a name wherever a name must stand; where both readings fit, the keyword wins."""

from __future__ import annotations

import pytest

from hdsl.source import Source
from hdsl.syntax import format_source, parse
from hdsl.syntax.grammar import tables

FORMS = {
    "study": "study K",
    "group": "group K id K in K",
    "crossing": "unit u id K in K * K",
    "wave": "wave K id K",
    "variables": "unit u { covariate K : real column K weight K : count of K exposure K : count }",
    "censored": "unit u { outcome K : duration censored by K outcome K : real known sd K }",
    "treatment": "treatment K column K { K = 0, K = 1 }",
    "dose": "treatment K : real column K",
    "assign": "assign K to K within K, K if K = K by complete(K)",
    "ignorable": "assign K to K by ignorable(K, K)",
    "principal": "principal K from K under K { K = (0, 1) }",
    "strata": "principal s from d under z { a = (0, 1) K = (0, 1) }",
    "adjust": "analysis { adjust for K, log(K), K * K, -K, mean(K, K) }",
    "vary": "analysis { vary K across K vary K with K vary K across K * K as array }",
    "interact": "analysis { interact K * K }",
    "variance": "analysis { variance of K by K variance of K with K variance of K across K with K }",
    "correlate": "analysis { correlate K within K as ar1 }",
    "pool": "analysis { pool K none }",
    "propensity": "analysis { propensity for K with K, K across K as weight }",
    "surface": "analysis { surface of K given K, K as gp }",
    "family": "analysis { family K student family K normal(K) }",
    "poststratify": 'analysis { poststratify over "f" weight K }',
    "priors": "priors { K(K) ~ normal(K, K) K ~ normal(K, K) }",
    "model": "model { K[K] ~ normal(K[K], K) K = K + 1 }",
    "definitions": "model { a = b K = 1 }",
    "estimand": "estimand K[K] = average over K where K = K of K(K = K) - K(K = K at K K..K)",
    "population": "estimand e = average over population K of K",
    "parentheses": "estimand e = (K) * K(K)",
    "sizes": "assume { K: 5 per K K(K) = 2 K = 3 }",
    "second size": "assume { a: 5 K: 5 }",
}
KEYWORD_WINS = {
    "strata": {"unaffected"},
    "definitions": {"over", "or", "and"},
    "population": {"of", "where"},
    "second size": {"per"},
}


def test_there_are_keywords():
    assert {"treatment", "weight", "group", "unit", "data", "id", "in", "of", "over", "with"} <= set(
        tables().keywords.values()
    )


@pytest.mark.parametrize("form", FORMS)
def test_keywords_as_names(form: str):
    refused: set[str] = set()
    for word in tables().keywords.values():
        source = Source.of("test", FORMS[form].replace("K", word))
        file, diagnostics = parse(source)
        if diagnostics:
            refused.add(word)
        else:
            assert parse(Source.of("again", format_source(source))) == (file, [])
    assert refused == KEYWORD_WINS.get(form, set())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("unit s id x in\nunit y id z", "unit"),
        ("assign z to s by\nestimand a = b", "estimand"),
        ("analysis { adjust for x,\n vary z across g }", "vary"),
        ("analysis { adjust for x, vary z across g }", "vary"),
        ("estimand a = b +\nestimand c = d", "estimand"),
        ("group g id\nunit u", "unit"),
    ],
)
def test_a_statement_swallowed_as_a_name_is_said_and_still_read(text: str, word: str):
    source = Source.of("test", text)
    file, diagnostics = parse(source)
    assert [d.code for d in diagnostics] == ["HDM109"]
    assert diagnostics[0].span is not None
    assert source.slice(diagnostics[0].span) == word
    last = file.statements[-1]
    assert source.slice(last.span).startswith((word, "analysis"))


def test_the_help_says_that_a_keyword_was_taken_for_a_name():
    _, (diagnostic,) = parse(Source.of("test", "unit s id in school"))
    assert "`in` was taken for a name, because `id` asks for one" in diagnostic.help
