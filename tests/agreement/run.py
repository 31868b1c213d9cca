"""Fit studies on every backend and write how far the posteriors are apart: `python -m tests.agreement.run [NAME ...]`.

A name is that of a study or of its folder; `--missing` takes the studies without figures, fewest rows first.
Figures are kept in `measured.json`, and the table in `README.md` is made from all of them: `--table` only writes it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl import driver
from hdsl.backend import Settings, load, refusal
from hdsl.diagnostics import Diagnostic
from hdsl.inference.fit import Fit, fit
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.report.compare import LEVEL, WANTED_ESS, Agreement, agreement_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MEASURED = HERE / "measured.json"
BACKENDS = ("numpyro", "pymc", "stan")
SETTINGS = Settings(chains=4, draws=1000, warmup=1000, seed=1, inference="nuts")
MOST_DRAWS = 20_000
AGAIN = 4  # times as many draws where posteriors seem to differ
LEFT_OUT = ("insteval",)  # NUTS on 73,421 rows and 4,114 effects takes hours
UNPOOLED = ("fixed-effects", "two-way-fixed")  # hundreds of gradients a draw for 545 unpooled intercepts
INTEGRATED = frozenset(  # NUTS on the whole model takes a quarter of an hour and more on one of the backends
    {
        "high-school-beyond/slopes-as-outcomes",
        "math-growth/conditional",
        "math-growth/unconditional",
        "microcredit/by-site",
        "star-kindergarten/effect-varying",
        "star-kindergarten/school-varying",
        "union-wage-panel/random-effects-reml",
        "union-wage-panel/two-way-varying",
    }
)
TREES = " as bart"  # their priors differ: see docs/decisions/0013
STUDIES: Mapping[str, Path] = {
    f"{path.parent.name}/{path.stem}": path
    for path in sorted((*ROOT.glob("examples/*/*.hdm"), *ROOT.glob("tests/cases/*/*.hdm")))
    if path.parent.name not in LEFT_OUT and TREES not in path.read_text()
    if not (path.parent.name == "union-wage-panel" and path.stem in UNPOOLED)
}
HEAD = f"""# The same posterior on every backend

Each example and each case study, sampled with NUTS on every backend: NumPyro, PyMC (by nutpie) and Stan (by stanli).
For every quantity that users see, each element of it by itself, means, standard deviations and 5% and 95% quantiles are
compared between each pair of backends, in standard errors of Monte Carlo. The limit is the normal quantile at {LEVEL}
divided by twice the number of comparisons. Every quantity has at least {WANTED_ESS:,} effective draws, bulk and tail,
on every backend: chains are made longer until it has. Where a difference is beyond the limit all is sampled again, with
another seed and four times the draws, and that comparison counts: a true difference would be twice as far beyond.
Left out: InstEval, on whose 73,421 rows and 4,114 effects NUTS would run for hours; response surfaces by trees,
which Stan cannot express and whose two libraries give trees different priors; and the union wage panel with intercepts
of 545 persons that are not pooled, from which squared experience can hardly be told (703 gradients a draw in Stan on
sums of rows; the two-way form was not tried). Where a study is marked "integrated",
NUTS on the whole model would take a quarter of an hour and more: its groups' effects are integrated out, as `hdsl run`
does by itself.

This table is written by `python -m tests.agreement.run`; the same is a test, `pytest -m slow tests/agreement`.
For a study of one's own: `hdsl compare study.hdm --backends numpyro pymc stan`.

| study | comparisons | limit | largest difference | of | fewest effective draws | seconds |
| --- | --- | --- | --- | --- | --- | --- |
"""


def measure(name: str) -> dict[str, Any]:
    """Fit a study on every backend and return the comparison as JSON values."""
    derived = driver.derive(STUDIES[name])
    assert derived.model is not None, derived.diagnostics
    assert derived.data is not None
    refused = {backend: _refused(backend, derived.model, derived.data) for backend in BACKENDS}
    able = [backend for backend, why in refused.items() if why is None]
    settings = replace(SETTINGS, inference="marginal") if name in INTEGRATED else SETTINGS
    entry = _compared(derived.model, derived.data, able, settings)
    if not entry["agrees"]:
        longer = replace(settings, draws=AGAIN * max(entry["draws"].values()), seed=settings.seed + 1)
        entry = _compared(derived.model, derived.data, able, longer) | {"again": True}
    if name in INTEGRATED:
        entry |= {"integrated": True}
    return entry | {"refused": {backend: why for backend, why in refused.items() if why is not None}}


def _compared(model: Model, data: ModelData, backends: Sequence[str], settings: Settings) -> dict[str, Any]:
    fits: dict[str, Fit] = {}
    seconds: dict[str, float] = {}
    for backend in backends:
        began = time.monotonic()
        fits[backend] = _long_enough(backend, model, data, settings)
        seconds[backend] = round(time.monotonic() - began, 1)
    found = agreement_of({backend: each.roles for backend, each in fits.items()})
    return _entry(found, fits) | {"seconds": seconds}


def _refused(backend: str, model: Model, data: ModelData) -> str | None:
    """Return why a backend cannot express a model, None where it can."""
    loaded = load(backend)
    assert not isinstance(loaded, Diagnostic), loaded.message
    found = refusal(prepare(model, data)[0], loaded)
    return None if found is None else found.message


def _long_enough(backend: str, model: Model, data: ModelData, settings: Settings) -> Fit:
    """Return a fit with the effective draws that the comparison wants, or with the most that are tried."""
    loaded = load(backend)
    assert not isinstance(loaded, Diagnostic)
    while True:
        fitted = fit(model, data, loaded, settings)
        assert isinstance(fitted, Fit), fitted
        ess = agreement_of({backend: fitted.roles}).weakest[backend].ess
        if ess >= WANTED_ESS or settings.draws >= MOST_DRAWS:
            return fitted
        wanted = int(settings.draws * 1.3 * WANTED_ESS / max(ess, 50))
        settings = replace(settings, draws=min(max(wanted, 2 * settings.draws), MOST_DRAWS))


def _entry(found: Agreement, fits: Mapping[str, Fit]) -> dict[str, Any]:
    worst = found.differences[0]
    return {
        "comparisons": len(found.differences),
        "limit": round(found.limit, 3),
        "worst": round(abs(worst.z), 3),
        "of": f"{worst.quantity}, {worst.statistic}",
        "between": list(worst.backends),
        "ess": {name: round(each.ess) for name, each in found.weakest.items()},
        "draws": {name: each.settings.draws for name, each in fits.items()},
        "divergences": {name: _divergences(each.sampled.statistics) for name, each in fits.items()},
        "agrees": found.agrees,
        "enough": found.enough,
    }


def _divergences(statistics: Mapping[str, NDArray[np.generic]]) -> int:
    return int(np.count_nonzero(statistics["diverging"]))


def table(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the comparison of all studies as Markdown."""
    rows = [_row(name, entry) for name, entry in sorted(measured.items())]
    absent = [f"`{name}`" for name in STUDIES if name not in measured]
    found = HEAD + "\n".join(rows) + "\n"
    return found + (f"\nNot measured, since NUTS takes long: {', '.join(absent)}.\n" if absent else "")


def _row(name: str, entry: Mapping[str, Any]) -> str:
    worst = f"{entry['worst']:.2f}" + (" (sampled again)" if entry.get("again") else "")
    worst += "" if entry["agrees"] else " **beyond the limit**"
    of = f"`{entry['of']}`, {' and '.join(entry['between'])}".replace("|", "\\|")
    ess = min(entry["ess"].items(), key=lambda item: item[1])
    spent = ", ".join(f"{backend} {seconds:.0f}" for backend, seconds in entry["seconds"].items())
    title = f"{name} (integrated)" if entry.get("integrated") else name
    cells = (title, f"{entry['comparisons']:,}", f"{entry['limit']:.2f}", worst, of, f"{ess[1]:,} ({ess[0]})", spent)
    refused = "".join(f" {why}" for why in entry["refused"].values())
    return "| " + " | ".join(cells) + refused + " |"


def kept() -> dict[str, Any]:
    """Return the figures measured so far."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def _rows(name: str) -> int:
    bound = driver.check(STUDIES[name]).bound
    return 0 if bound is None else bound.rows


def _wanted(arguments: Sequence[str]) -> list[str]:
    if "--table" in arguments:
        return []
    if "--missing" in arguments:
        return sorted((name for name in STUDIES if name not in kept()), key=_rows)
    return [name for name in STUDIES if not arguments or {name, name.partition("/")[0]} & set(arguments)]


def main(arguments: Sequence[str]) -> None:
    """Compare the studies named (all for none) one after another and rewrite the table."""
    for name in _wanted(arguments):
        entry = measure(name)
        sys.stdout.write(f"{name}: {json.dumps(entry)}\n")
        sys.stdout.flush()
        MEASURED.write_text(json.dumps(dict(sorted((kept() | {name: entry}).items())), indent=1) + "\n")
    (HERE / "README.md").write_text(table(kept()))


if __name__ == "__main__":
    main(sys.argv[1:])
