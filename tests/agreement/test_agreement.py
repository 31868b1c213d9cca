"""NumPyro, PyMC and Stan draw from the same posterior, study by study."""

from __future__ import annotations

import pytest

from tests.agreement.run import HERE, STUDIES, kept, measure, table


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", STUDIES)
def test_posteriors_agree(name: str) -> None:
    """No mean, sd or 5% or 95% quantile of any quantity differs by more than Monte Carlo error."""
    entry = measure(name)
    assert entry["refused"] == {}
    assert entry["enough"], entry["ess"]
    assert entry["agrees"], f"{entry['of']} differs by {entry['worst']} standard errors between {entry['between']}"


def test_the_table_is_that_of_the_figures() -> None:
    assert (HERE / "README.md").read_text() == table(kept())


def test_what_was_measured_agrees() -> None:
    """The figures that the table shows are within their limits."""
    assert [name for name, entry in kept().items() if not (entry["agrees"] and entry["enough"])] == []
