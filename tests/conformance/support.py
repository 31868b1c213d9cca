"""The table of what each backend supports, in docs/backends.md: `python -m tests.conformance.support` writes it.

It is made from the backends' capabilities and the known gaps of their densities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hdsl import backend as backends
from hdsl.backend import Capabilities
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.functions import FUNCTIONS
from tests.conformance.gaps import GAPS
from tests.conformance.refused import SHIPPED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "backends.md"
BEGIN, END = "<!-- support -->\n", "<!-- end of support -->\n"
TREES = "bart"
NO_TREES = "no: its sampler has no steps that draw trees"
OUTCOMES = {
    "normal": "an outcome with normal errors",
    "lognormal": "an outcome with lognormal errors",
    "normal with a spread by row": "an outcome with normal errors whose spread differs by row",
    "lognormal with a spread by row": "an outcome with lognormal errors whose spread differs by row",
    "bernoulli_logit": "a binary outcome",
}


def capabilities() -> dict[str, Capabilities]:
    """Return what the backends that hdsl ships can lower."""
    found: dict[str, Capabilities] = {}
    for name in SHIPPED:
        backend = backends.load(name)
        assert not isinstance(backend, backends.Diagnostic), backend.message
        found[name] = backend.capabilities()
    return found


def table(able: Mapping[str, Capabilities]) -> str:
    """Return the table, and the notes below it, as Markdown."""
    head = "| What a study asks for | " + " | ".join(f"`{name}`" for name in able) + " |\n|---|" + "---|" * len(able)
    return "\n".join([head, *_functions(able), *_laws(able), *_censored(able), *_others(able), "", *_gaps()]) + "\n"


def _row(asked: str, able: Mapping[str, Capabilities], cell: Callable[[str, Capabilities], str]) -> str:
    return f"| {asked} | " + " | ".join(cell(name, each) for name, each in able.items()) + " |"


def _lacking(lacking: set[str] | frozenset[str]) -> str:
    return f"all but {_listed(lacking)}" if lacking else "yes"


def _listed(names: set[str] | frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _functions(able: Mapping[str, Capabilities]) -> list[str]:
    asked = f"each of the {len(FUNCTIONS)} functions of a model"
    return [_row(asked, able, lambda _, each: _lacking(set(FUNCTIONS) - each.functions))]


def _laws(able: Mapping[str, Capabilities]) -> list[str]:
    laws = set(DISTRIBUTIONS) - {TREES}
    asked = f"each of the {len(laws)} laws of outcomes, effects and priors"
    return [_row(asked, able, lambda _, each: _lacking(laws - each.distributions))]


def _censored(able: Mapping[str, Capabilities]) -> list[str]:
    """Return a row for the laws of censored outcomes that every backend has, and one for each set that some lack."""
    who = {law: tuple(law in each.censored for each in able.values()) for law in DISTRIBUTIONS}
    rows: list[str] = []
    for pattern in sorted({found for found in who.values() if any(found)}, reverse=True):
        laws = {law for law, found in who.items() if found == pattern}
        asked = f"censored values (`duration censored by`) of the law {_listed(laws)}"
        rows.append(_row(asked, able, lambda name, each, laws=laws: _survival(name, laws, each)))
    nowhere = sum(not any(found) for found in who.values())
    why = "no: their survival functions are not written"
    return [*rows, _row(f"censored values of the other {nowhere} laws", able, lambda *_: why)]


def _survival(name: str, laws: set[str], able: Capabilities) -> str:
    if laws <= able.censored:
        return "yes"
    reasons = {
        gap.reason
        for (backend, _, case), gap in GAPS.items()
        if backend == name and gap.expected == "refused" and case.rpartition(": ")[2] in laws
    }
    assert len(reasons) == 1, f"no reason, or several, why {name} lacks censored {laws}"
    return f"no: {reasons.pop()}"


def _others(able: Mapping[str, Capabilities]) -> list[str]:
    rows = [_row("weights of rows", able, lambda _, each: "yes" if each.weights else "no")]
    for law in sorted(frozenset().union(*(each.surfaces for each in able.values())), key=list(OUTCOMES).index):
        asked = f"trees (`surface ... as bart`) of {OUTCOMES[law]}"
        rows.append(_row(asked, able, lambda _, each, law=law: _trees(law, each)))
    return rows


def _trees(law: str, able: Capabilities) -> str:
    if TREES not in able.distributions:
        return NO_TREES
    return "yes" if law in able.surfaces else f"no: only {', '.join(sorted(able.surfaces))}"


def _gaps() -> list[str]:
    """Return the known differences of densities and gradients, each with the cases it is about."""
    cases: dict[tuple[str, str, str], set[str]] = {}
    for (backend, aspect, case), gap in GAPS.items():
        if gap.expected == "differ":
            cases.setdefault((backend, aspect, gap.reason), set()).add(case)
    said = [f"- `{who}`, {aspect}: {why} ({'; '.join(sorted(of))})." for (who, aspect, why), of in cases.items()]
    return ["Known differences from the reference:", "", *said]


def with_table(page: str, made: str) -> str:
    """Return a page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + made + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(), table(capabilities())))
