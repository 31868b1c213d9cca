"""Small studies of every shape in which effects can be integrated out, with their plain models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hdsl.driver import derive
from hdsl.model.ir import Model, ModelData

HEAD = 'study shape data "rows.csv"\n'
NESTED = """group district id district group school id school in district
unit pupil in school { covariate x : real covariate w : real outcome y : real }
treatment z { off = 0, on = 1 }
"""
SCHOOLS = """group school id school
unit pupil in school { covariate x : real covariate w : real outcome y : real }
treatment z { off = 0, on = 1 }
"""
CLUSTERS = SCHOOLS.replace("{ off", "column zs { off") + "assign z to school by complete(0.5)\n"
WITHIN = "assign z to pupil within school by bernoulli(0.5)\n"
PANEL = """unit person id school wave month id month
unit visit in person * month { covariate x : real outcome y : real }
treatment z { off = 0, on = 1 }
assign z to visit within person by ignorable(x)
"""
SERIAL = """unit person id school wave day id t
unit visit in person * day { covariate x : real outcome y : real }
treatment z { off = 0, on = 1 }
assign z to visit within person by ignorable(x)
"""

SHAPES: dict[str, str] = {
    "no groups": """unit pupil { covariate x : real outcome y : real }
treatment z { off = 0, on = 1 } assign z to pupil by complete(0.5) analysis { adjust for x }""",
    "intercepts": SCHOOLS + WITHIN + "analysis { adjust for x }",
    "joint effects": SCHOOLS + WITHIN + "analysis { adjust for x  vary z across school }",
    "three joint effects": SCHOOLS
    + WITHIN
    + "analysis { adjust for x, w  vary z across school  vary x across school }",
    "separate effects": SCHOOLS + WITHIN + "analysis { adjust for x  vary x across school uncorrelated }",
    "predicted effects": SCHOOLS + WITHIN + "analysis { adjust for x  vary z across school  vary z with x }",
    "serial, beside intercepts": SERIAL
    + "analysis { adjust for x  pool day completely  correlate y within person as ar1 }",
    "serial": SERIAL
    + "analysis { adjust for x  pool day completely  pool person completely  correlate y within person as ar1 }",
    "serial, beside effects, two spreads": SERIAL
    + "analysis { adjust for x  vary z across person  pool day completely "
    + "correlate y within person as ar1  variance of y by z }",
    "clusters": CLUSTERS + "analysis { adjust for x }",
    "nested": NESTED + WITHIN + "analysis { adjust for x }",
    "nested, effects at both levels": NESTED
    + WITHIN
    + "analysis { adjust for x, w  vary z across district  vary x across school }",
    "nested, the same effects at both levels": NESTED
    + WITHIN
    + "analysis { adjust for x  vary z across district  vary z across school }",
    "crossed": PANEL + "analysis { adjust for x }",
    "crossed, slopes by month": PANEL + "analysis { adjust for x  vary x across month  vary x across person }",
    "spread by arm": SCHOOLS + WITHIN + "analysis { vary z across school  variance of y by z as additive }",
    "spread by cluster arm": CLUSTERS + "analysis { adjust for x  variance of y by z }",
    "spread with a covariate": SCHOOLS + WITHIN + "analysis { adjust for x  variance of y with x }",
    "spread across schools": SCHOOLS + WITHIN + "analysis { adjust for x  variance of y across school }",
    "no pooling": SCHOOLS + WITHIN + "analysis { adjust for x  pool school none }",
    "lognormal": SCHOOLS.replace("outcome y : real", "outcome p : positive") + WITHIN + "analysis { adjust for x }",
    "weighted": SCHOOLS.replace("covariate w : real", "weight wt : real")
    + WITHIN
    + "analysis { vary z across school }",
    "one row a group": """group pair id row
unit pupil in pair { covariate x : real outcome y : real known sd s }
treatment z { off = 0, on = 1 } assign z to pupil by complete(0.5)""",
    "summaries": "unit site id row { covariate x : real outcome y : real known sd s }\nanalysis { adjust for x }",
}
EQUATIONS: dict[str, str] = {
    "products of spreads and standard effects": """group school id school
unit pupil in school { covariate x : real outcome y : real }
model {
  y[pupil] ~ normal(alpha + spread * u[school] + beta * x, sigma)
  u[school] ~ normal(0, 1)  alpha ~ normal(1, 3)  spread ~ halfnormal(1)  beta ~ student(4, 0, 1)
  sigma ~ halfnormal(2)
}""",
    "means with predictors": """group school id school { covariate m : real }
unit pupil in school { covariate x : real outcome y : real }
model {
  y[pupil] ~ normal(alpha[school] + tau[school] * x, sigma)
  alpha[school], tau[school] ~ multinormal((mu + gamma * m, delta), sd = (sa, st), corr = rho)
  mu ~ normal(0, 2)  gamma ~ normal(0, 1)  delta ~ normal(0, 1)  sa ~ exponential(1)  st ~ gamma(2, 2)
  rho ~ lkj(2)  sigma ~ halfcauchy(1)
}""",
    "spreads of coefficients": """unit pupil { covariate x : real covariate w : real outcome y : real }
model {
  y[pupil] ~ normal(alpha + a * x + b * w, sigma)
  alpha ~ normal(0, 2)  a ~ normal(0, shrink)  b ~ normal(0, shrink)  shrink ~ halfcauchy(1)
  sigma ~ halfnormal(2)
}""",
}
ALL = {**SHAPES, **EQUATIONS}


def table(seed: int = 3, rows: int = 24) -> dict[str, np.ndarray]:
    """Return the columns: six schools in two districts, one of them with a single row, one with a single arm."""
    rng = np.random.default_rng(seed)
    school = np.sort(np.concatenate([np.arange(6), rng.choice([0, 1, 2, 4, 5], rows - 6)]))
    z = rng.integers(0, 2, rows)
    z[school == 1] = 1
    x = rng.normal(size=rows)
    y = 2 + rng.normal(size=6)[school] + 0.5 * x + z + rng.normal(size=rows)
    place = np.arange(rows) - np.searchsorted(school, school)
    return {
        "row": np.arange(rows),
        "district": school // 3,
        "school": school,
        "month": place % 5,
        "t": np.cumsum(np.tile([1, 1, 2, 4], rows))[place],
        "x": x,
        "w": rng.normal(size=rows),
        "m": rng.normal(size=6)[school],
        "wt": rng.uniform(0.3, 2, rows),
        "s": rng.uniform(0.5, 1.5, rows),
        "z": z,
        "zs": school % 2,
        "y": y,
        "p": np.exp(0.3 * y),
    }


def made(name: str, folder: Path, columns: dict[str, np.ndarray] | None = None) -> tuple[Model, ModelData]:
    """Return the plain model and data of a shape."""
    return model_of_text(HEAD + ALL[name], folder, columns)


def model_of_text(text: str, folder: Path, columns: dict[str, np.ndarray] | None = None) -> tuple[Model, ModelData]:
    """Return the plain model and data of a study's text."""
    found = table() if columns is None else columns
    lines = [
        ",".join(found),
        *(",".join(map(repr, row)) for row in zip(*(v.tolist() for v in found.values()), strict=True)),
    ]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "shape.hdm").write_text(text)
    derived = derive(folder / "shape.hdm")
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    return derived.model, derived.data
