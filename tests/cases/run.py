"""Fit the studies and write what came out: `python -m tests.cases.run [CASE[/FIT] ...]`.

Measured figures are kept in `measured.json`, one entry for each study, and the table in `README.md` is made from
all of them: `python -m tests.cases.run --table` only writes the table.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from hdsl import driver
from hdsl.backend import Settings
from tests.cases.compare import Reference
from tests.cases.studies import HERE, CaseStudy, Compared, Quantity, all_studies, compare

MEASURED = HERE / "measured.json"
TABLE = HERE / "README.md"
HEAD = """# Fits against reference figures

Studies written for real data, fitted with the NumPyro backend, next to figures that other software computed. Each
folder holds the data with their source, the studies and `expected.json`, the figures they are compared with. This
table is written by `python -m tests.cases.run`; the same comparisons are tests, `pytest -m "cases and slow"`.

Tolerance classes: **A** same model and priors (mean within 0.1 sd and Monte Carlo error, sd within 10%, 5% and 95%
quantiles within 0.2 sd). **B** weak priors against likelihood (mean within 0.25 standard errors, sd within 20%, a
standard deviation or correlation inside the central 90% interval). **B2** the same with few groups (0.35 standard
errors, sd from 0.85 to 1.4 times, 95% interval). **C** flat or weak priors against least squares (0.1 standard errors,
sd within 10%). **D** a working likelihood against quantile regression (0.5 standard errors).
**G** against a design-based or robust estimate (0.5 standard errors).

A reference is a mean with its sd (A) or an estimate with its standard error (the others); ours is the posterior mean
with its sd. Where the reference has no standard error, ours is the interval in which it must lie. Where the two are
known not to agree the verdict gives the reason.

Left out: figures at the boundary (a standard deviation estimated as zero), sums of squares, the synthetic data of the
National Study of Learning Mindsets (their terms do not allow a copy here).
"""


def measure(study: CaseStudy) -> dict[str, Any]:
    """Fit a study and return the comparison as JSON values."""
    started = time.monotonic()
    result = driver.run(study.path, settings=Settings(draws=study.draws, seed=1))
    compared = compare(study, result)
    return {
        "seconds": round(time.monotonic() - started, 1),
        "sampling": result.verdict,
        "quantities": {found.quantity.name: _measured(found) for found in compared},
    }


def _measured(found: Compared) -> dict[str, Any]:
    return {
        "mean": _rounded(found.estimate.mean),
        "sd": _rounded(found.estimate.sd),
        "quantiles": [_rounded(q) for q in found.estimate.quantiles],
        "ess": round(found.estimate.ess),
        "agrees": found.agrees,
        "checks": [
            {**asdict(check), "distance": _rounded(check.distance), "limit": _rounded(check.limit)}
            for check in found.checks
        ],
    }


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


def table(studies: Iterable[CaseStudy], measured: dict[str, Any]) -> str:
    """Return the comparison of all studies, side by side, as Markdown."""
    lines = [HEAD]
    for study in studies:
        entry = measured.get(f"{study.case}/{study.fit}")
        if entry is None:
            continue
        lines += ["", f"## {study.case}: {study.fit}", "", f"{study.how} {study.rows} rows."]
        lines += [f"{entry['sampling']} {entry['seconds']:.0f} s.", ""]
        lines += ["| quantity | here | class | reference | hdsl | verdict |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [_row(q, entry["quantities"][q.name]) for q in study.quantities if q.name in entry["quantities"]]
    return "\n".join(lines) + "\n"


def _row(quantity: Quantity, found: dict[str, Any]) -> str:
    there, here, verdict = _reference(quantity.reference), _ours(found), _verdict(found, quantity.differs)
    cells = (quantity.name, f"`{quantity.of}`", quantity.tolerance, there, here, verdict)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _reference(reference: Reference) -> str:
    if reference.mean is not None:
        return f"{reference.mean:.4g} ({reference.sd:.3g})"
    return f"{reference.value:.4g}" + ("" if reference.se is None else f" ({reference.se:.3g})")


def _ours(found: dict[str, Any]) -> str:
    interval = next((check["what"] for check in found["checks"] if check["what"].startswith("in the")), None)
    if interval is None:
        return f"{found['mean']:.4g} ({found['sd']:.3g})"
    return f"{found['mean']:.4g}, {interval.split('interval ')[1]}"


def _verdict(found: dict[str, Any], why: str = "") -> str:
    far = [c for c in found["checks"] if not c["distance"] <= c["limit"]]
    said = [f"{c['what']}: {c['distance']:.2g} > {c['limit']:.2g}" for c in far]
    return "; ".join([*said, *([why] if why else [])]) if far else "agrees"


def main(arguments: Sequence[str]) -> None:
    """Fit the studies named (all for none) one after another and rewrite the table."""
    studies = list(all_studies())
    wanted = [] if arguments == ["--table"] else [s for s in studies if _named(s, arguments)]
    for study in wanted:
        entry = measure(study)
        _say(f"{study.case}/{study.fit}: {entry['seconds']} s. {entry['sampling']}")
        for name, found in entry["quantities"].items():
            if not found["agrees"]:
                _say(f"  {name}: {_ours(found)}; {_verdict(found)}")
        measured = _kept() | {f"{study.case}/{study.fit}": entry}
        MEASURED.write_text(json.dumps(dict(sorted(measured.items())), indent=1) + "\n")
    TABLE.write_text(table(studies, _kept()))


def _kept() -> dict[str, Any]:
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _named(study: CaseStudy, arguments: Sequence[str]) -> bool:
    return not arguments or study.case in arguments or f"{study.case}/{study.fit}" in arguments


if __name__ == "__main__":
    main(sys.argv[1:])
