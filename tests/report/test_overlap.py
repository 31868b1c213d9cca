"""The picture of overlap and balance, of a study with propensity scores."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from hdsl import Settings, Study, covariate, ignorable, outcome, run
from hdsl.report.pictures.style import file_of
from tests.model.designs import write


def test_overlap_is_drawn_with_arms_and_covariates(tmp_path: Path) -> None:
    g = np.random.default_rng(3)
    x = g.normal(size=80).round(3)
    z = (g.random(80) < 1 / (1 + np.exp(-x))).astype(int)
    write(tmp_path / "d.csv", {"x": x, "z": z, "y": (x + z + g.normal(size=80)).round(3)})
    study = (
        Study("chosen")
        .data("d.csv")
        .unit("person", variables=[covariate("x", "real"), outcome("y", "real")])
        .treatment("z", off=0, on=1)
        .assign("z", to="person", by=ignorable("x"))
        .propensity("z", use="covariate")
    )
    settings = Settings(chains=2, draws=100, warmup=200)
    result = run(study, data=str(tmp_path / "d.csv"), settings=settings)
    svg = file_of(result.plot.overlap(), "svg")
    assert ET.fromstring(svg).tag.endswith("svg")
    from matplotlib.text import Text

    words = "\n".join(each.get_text() for each in result.plot.overlap().findobj(Text))
    assert f"on ({z.sum()})" in words
    assert "standardised mean difference" in words
