"""Random studies whose rows can be summed up, as text and as a Parquet file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from hdsl.data.stream import summed
from hdsl.data.stream_cells import Cells
from hdsl.driver import open_study


@dataclass(frozen=True)
class Drawn:
    """A study's text without its data, and what its columns are made from."""

    text: str
    seed: int
    rows: int

    def write(self, folder: Path) -> Path:
        """Write study and data; return the study's path."""
        pq.write_table(pa.table(columns(self.seed, self.rows)), folder / "rows.parquet")
        path = folder / "s.hdm"
        path.write_text(f'study s data "rows.parquet"\n{self.text}')
        return path


@st.composite
def drawn_studies(draw: st.DrawFn) -> Drawn:
    """Draw a study with one or two groupings, or crossed ones, and covariates, treatments and terms of all sorts."""
    nested, positive = draw(st.booleans()), draw(st.booleans())
    to = draw(st.sampled_from(["pupil", "pupil", "school"]))
    dose = to == "pupil" and draw(st.booleans())
    terms = draw(st.lists(st.sampled_from(TERMS), unique=True, max_size=4))
    extra = draw(st.lists(st.sampled_from(_amendments(to, dose)), unique=True, max_size=2))
    mechanism = draw(st.sampled_from(["complete(0.5)", "bernoulli(0.5)", "ignorable(x)"]))
    within = "within school " if to == "pupil" and not dose and draw(st.booleans()) else ""
    if dose:
        mechanism, within = "ignorable(x)", ""
    district = "group district id district\n" if nested else ""
    outcome = "p : positive" if positive else "y : real"
    adjust = "adjust for " + ", ".join(terms) if terms else ""
    arms = ": real column d" if dose else ("column zs " if to == "school" else "") + "{ off = 0, on = 1 }"
    inside = "in district" if nested else ""
    text = f"""{district}group school id school {inside} {{ covariate m : real covariate type : category }}
unit pupil in school {{
  covariate x : real covariate w : real covariate age : count covariate girl : binary covariate form : category
  outcome {outcome}
}}
treatment z {arms}
treatment v {{ a = 0, b = 1, c = 2 }}
assign z to {to} {within}by {mechanism}
assign v to pupil by complete(0.3, 0.3, 0.4)
"""
    statements = f"{adjust} {' '.join(extra).replace('OUTCOME', outcome.split()[0])}".strip()
    text += f"analysis {{ {statements} }}\n" if statements else ""
    if not dose:
        text += f"""estimand ate = average over pupil of {outcome[0]}(z = on) - {outcome[0]}(z = off)
estimand site[school] = average over pupil of {outcome[0]}(z = on) - {outcome[0]}(z = off)
estimand schools = average over school of {outcome[0]}(z = on) - {outcome[0]}(z = off)
estimand girls = average over pupil where girl = 1 of {outcome[0]}(z = on)
"""
    return Drawn(text, draw(st.integers(0, 2**31)), draw(st.integers(60, 300)))


TERMS = ["x", "w", "x * m", "x * girl", "age", "log(age + 1)", "type", "form", "m", "mean(x, school)"]
TERMS += ["centre(x, school)", "girl", "age * form", "centre(w * girl)", "mean(girl, school)"]


def _amendments(to: str, dose: bool) -> list[str]:
    found = ["vary x across school", "vary girl across school uncorrelated", "variance of OUTCOME by v"]
    found += ["variance of OUTCOME with m", "vary v with x", "vary v with m exploratory"]
    if to == "pupil":
        found.append("vary z across school")
    return found if dose else [*found, "interact z * v", "vary z with x prespecified"]


OUTCOMES = {
    "b : binary": "",
    "b : binary with probit": "family b bernoulli(link = probit)",
    "n : count": "",
    "n : count with exposure": "family n poisson",
    "o : ordered": "",
    "c : category": "",
    "hits : count of tries": "",
}
COUNTED_TERMS = ["few", "few * m", "girl", "log(age + 1)", "mean(few, school)", "centre(few, school)", "form", "type"]


@st.composite
def counted_studies(draw: st.DrawFn) -> Drawn:
    """Draw a study of an outcome of few values, whose rows are counted by all that they have."""
    stated = draw(st.sampled_from(sorted(OUTCOMES)))
    outcome, _, more = stated.partition(" with ")
    name = outcome.split()[0]
    terms = draw(st.lists(st.sampled_from(COUNTED_TERMS), unique=True, max_size=3))
    vary = draw(st.sampled_from(["", "vary z across school", "vary few across school uncorrelated"]))
    adjust = "adjust for " + ", ".join(terms) if terms else ""
    text = f"""group school id school {{ covariate m : real covariate type : category }}
unit pupil in school {{
  covariate few : real covariate age : count covariate girl : binary covariate form : category
  {"exposure time : positive" if more == "exposure" else ""} outcome {outcome}
}}
treatment z {{ off = 0, on = 1 }}
assign z to pupil within school by complete(0.5)
analysis {{ {OUTCOMES[stated]} {adjust} {"" if name == "c" else vary} }}
"""
    if name in ("b", "n", "hits"):
        text += f"""estimand ate = average over pupil of {name}(z = on) - {name}(z = off)
estimand site[school] = average over pupil of {name}(z = on) - {name}(z = off)
estimand schools = average over school of {name}(z = on) - {name}(z = off)
estimand girls = average over pupil where girl = 1 of {name}(z = on)
"""
    return Drawn(text, draw(st.integers(0, 2**31)), draw(st.integers(60, 300)))


def columns(seed: int, rows: int) -> dict[str, np.ndarray]:
    """Return columns in which cells have one to many rows, one school has a single row and one a single arm."""
    rng = np.random.default_rng(seed)
    school = np.concatenate([np.arange(8), rng.choice([0, 1, 2, 4, 5, 7], rows - 8)])
    z = rng.integers(0, 2, rows)
    z[school == 1] = 1
    x = rng.normal(3, 1, rows)
    y = 2 + rng.normal(size=8)[school] + 0.5 * x + z + rng.normal(size=rows)
    return {
        "district": school // 3,
        "school": np.array([f"s{code}" for code in range(8)])[school],
        "m": rng.normal(size=8)[school],
        "type": np.array(["new", "old", "odd"])[school % 3],
        "x": x,
        "w": rng.normal(size=rows),
        "age": rng.integers(0, 4, rows),
        "girl": rng.integers(0, 2, rows),
        "form": np.array(["A", "B"])[rng.integers(0, 2, rows)],
        "z": z,
        "zs": school % 2,
        "d": rng.normal(1, 1, rows),
        "v": np.arange(rows) % 3,
        "few": rng.integers(0, 3, rows),
        "b": (y > 4).astype(np.int64),
        "n": rng.poisson(np.exp(0.1 * y)),
        "o": 1 + np.digitize(y, [3.5, 5.0]),
        "c": np.array(["bus", "car", "foot"])[rng.integers(0, 3, rows)],
        "tries": 3 + rng.integers(0, 2, rows),
        "hits": rng.binomial(3, 0.4, rows),
        "time": 1.0 + rng.integers(0, 2, rows),
        "y": y,
        "p": np.exp(0.3 * y),
    }


def sums_of(path: Path, *tables: str) -> Cells:
    """Return the sums of the rows of tables for a study."""
    study = open_study(path).study
    assert study is not None
    found = summed(study, path.parent, tables)
    assert isinstance(found, Cells), found
    return found
