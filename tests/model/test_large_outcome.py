"""An outcome so large that priors cannot be scaled by its spread."""

from __future__ import annotations

from pathlib import Path

import hdsl


def test_a_spread_that_is_no_number_is_a_finding(tmp_path: Path) -> None:
    rows = "\n".join(f"{row % 2},{row}e300" for row in range(1, 9))
    (tmp_path / "d.csv").write_text(f"z,y\n{rows}\n")
    study = tmp_path / "s.hdm"
    study.write_text(
        'study s\ndata "d.csv"\nunit u { outcome y : real }\n'
        'treatment z { off = 0, on = 1 }\nassign z to u by bernoulli(0.5)\n'
    )
    derived = hdsl.derive(study)
    assert derived.failed
    (found,) = [each for each in derived.diagnostics if each.severity == "error"]
    assert (found.code, found.message) == ("HDM365", "The spread of y is no finite number: its values are too large.")
