"""The table of what each backend supports says what the backends' own tables say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conformance import support

for module in ("hdsl_numpyro", "hdsl_pymc", "hdsl_stan"):
    pytest.importorskip(module)


def test_the_table_in_the_docs_is_current() -> None:
    """Where it is not: `python -m tests.conformance.support`."""
    page = support.PAGE.read_text()
    assert page.count(support.BEGIN) == page.count(support.END) == 1
    assert support.with_table(page, support.table(support.capabilities())) == page


def test_what_a_backend_loses_shows_in_the_table() -> None:
    able = support.capabilities()
    stan = able["stan"]
    assert "all but" not in support.table(able)
    laws, functions = stan.distributions - {"gamma"}, stan.functions - {"exp"}
    less = replace(stan, functions=functions, distributions=laws, weights=False)
    said = support.table(able | {"stan": less})
    assert ("all but `exp`" in said, "all but `gamma`" in said) == (True, True)
    assert "| weights of rows | yes | yes | no |" in said
    with pytest.raises(AssertionError, match="no reason"):
        support.table(able | {"stan": replace(stan, censored=stan.censored - {"gamma"})})
