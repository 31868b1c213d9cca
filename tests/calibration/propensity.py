"""Coverage of effects by propensity scores, simulated: both stages together, and a mixture over draws of the scores.

Hundreds of trials with NUTS take hours. Here coefficients of the score are drawn from the normal law at their mode, and
those of each outcome model from its posterior under flat priors (normal outcomes: in closed form; binary ones: the
normal law at the mode). Which scores are taken, what becomes of them, the models and the correction are hdsl's own.
`python -m tests.calibration.propensity` prints the table of docs/decisions/0012-propensity-scores-are-cut.md.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hdsl.backend import Draws, Settings
from hdsl.data.bind import bind
from hdsl.data.bound import Bound
from hdsl.design.parts import covariate, ignorable, outcome
from hdsl.design.study import Study
from hdsl.inference.fit import Fit
from hdsl.inference.linearised import location, precision, unflat_draws
from hdsl.inference.propensity import drawn_chances, interleaved
from hdsl.inference.stages import typical, why_not, with_both_stages
from hdsl.model.derivation import model_of
from hdsl.model.derive.propensity import assignment_bound, scores_of, with_values
from hdsl.model.ir import Model, ModelData
from hdsl.model.working import Working, linear_of
from hdsl.reference.density import reported
from hdsl.report.finish import computed_of
from tests.model.designs import write

Array = np.ndarray
ALL, EACH = 1000, 50
EFFECT = 0.7


@dataclass(frozen=True)
class Design:
    """A simulated observational study: x and w decide who is treated and what comes out.

    The effect is 0.7 + `varying` x (binary outcomes: 0.7 in log odds); `spread` is the residual sd of the treated.
    """

    name: str
    use: str
    adjust: tuple[str, ...] = ()
    rows: int = 300
    varying: float = 0.0
    spread: float = 1.0
    skewed: bool = False
    binary: bool = False
    stronger: float = 1.0

    def simulate(self, g: np.random.Generator) -> tuple[dict[str, Array], float]:
        """Return the columns of one trial and the average effect in its units."""
        x, w = g.normal(size=(2, self.rows))
        z = (g.random(self.rows) < _expit(self.stronger * (0.6 * x - 0.4 * w))).astype(int)
        off, effect = x - 0.5 * w, EFFECT + self.varying * x
        if self.binary:
            y = (g.random(self.rows) < _expit(off + effect * z)).astype(int)
            return {"x": x, "w": w, "z": z, "y": y}, float(np.mean(_expit(off + effect) - _expit(off)))
        noise = g.standard_exponential(self.rows) - 1 if self.skewed else g.normal(size=self.rows)
        y = off + effect * z + np.where(z == 1, self.spread, 1.0) * noise
        return {"x": x, "w": w, "z": z, "y": y}, float(effect.mean())

    @property
    def study(self) -> Study:
        """The study of it."""
        kind = "binary" if self.binary else "real"
        variables = [covariate("x", "real"), covariate("w", "real"), outcome("y", kind)]
        study = Study("obs").data("d.csv").unit("patient", variables=variables).treatment("z", no=0, yes=1)
        study = study.assign("z", to="patient", by=ignorable("x", "w"))
        study = study.adjust(*self.adjust) if self.adjust else study
        use, _, strata = self.use.partition(" ")
        study = study.propensity("z", use=use, strata=int(strata) if strata else None)  # pyright: ignore[reportArgumentType]
        return study.estimand("ate", "average over patient of y(z = yes) - y(z = no)")


BOTH = ("x", "w")
DESIGNS = (
    Design("weight", "weight"),
    Design("weight, adjusted for x and w", "weight", BOTH),
    Design("covariate", "covariate"),
    Design("strata(5)", "strata 5"),
    Design("strata(5), adjusted for x and w", "strata 5", BOTH),
    Design("weight, effect varies, skewed, spread doubled", "weight", varying=0.5, spread=2.0, skewed=True),
    Design("weight, adjusted for x, effect varies, spread doubled", "weight", ("x",), varying=0.5, spread=2.0),
    Design("covariate, spread doubled", "covariate", spread=2.0),
    Design("strata(10), 1,000 units", "strata 10", rows=1000),
    Design("weight, 1,000 units, little overlap", "weight", rows=1000, stronger=2.0),
    Design("weight, binary outcome", "weight", rows=600, binary=True),
)


def fits_of(
    design: Design, columns: Mapping[str, Array], folder: Path, g: np.random.Generator, *, mixed: bool
) -> tuple[list[Fit], Bound]:
    """Return the fit of both stages together, and where `mixed` the mixture over draws of the scores, as in hdsl."""
    write(folder / "d.csv", dict(columns))
    bound, problems = bind(design.study, folder)
    assert bound is not None, problems
    (score,) = scores_of(bound)
    assignment = {"z": _logistic(*_model(assignment_bound(bound, score)), ALL, g)}
    model, data = _model(bound)
    assert why_not(bound, model, assignment) is None
    draw = _logistic if design.binary else _normal
    plain = draw(model, with_values(bound, model, data, typical(assignment)), ALL, g)
    together = with_both_stages(bound, plain, assignment)
    assert together is not None
    if not mixed:
        return [together], bound
    drawn = drawn_chances(assignment)["z"]
    parts = tuple(draw(model, with_values(bound, model, data, {"z": each}), EACH, g) for each in drawn)
    values = {name: interleaved([part.parameters[name] for part in parts]) for name in parts[0].parameters}
    return [together, replace(_fit(model, data, values), parts=parts)], bound


def _model(bound: Bound) -> tuple[Model, ModelData]:
    made, problems = model_of(bound)
    assert made is not None, problems
    return made


def _fit(model: Model, data: ModelData, values: Mapping[str, Array]) -> Fit:
    sampled = Draws(values=dict(values), statistics={}, engine="direct", seconds={}, max_tree_depth=0)
    return Fit(model, data, "", sampled, values, reported(model, data, dict(values)), Settings())


def _empty(model: Model, data: ModelData) -> tuple[Fit, Working]:
    """Return a fit of zeros (spreads one), for the linear structure of its model."""
    values = {
        v.name: np.full((1, 1, *(model.sizes[d] for d in v.dims)), float(v.law.distribution.startswith("half")))
        for v in model.variables
    }
    working = linear_of(model)
    assert isinstance(working, Working), working
    return _fit(model, data, values), working


def _weights(data: ModelData, working: Working, rows: int) -> Array:
    weight = working.observation.weight
    return np.ones(rows) if weight is None else np.asarray(data.values[weight], np.float64)


def _with(found: Fit, working: Working, flat: Array, others: Mapping[str, Array]) -> Fit:
    """Return the fit with draws of coefficients, (draws, coefficients), and of the rest."""
    like = {v.name: found.parameters[v.name] for v in working.coefficients}
    return _fit(found.model, found.data, {**unflat_draws(flat[None, :, None], like, working), **others})


def _normal(model: Model, data: ModelData, draws: int, g: np.random.Generator) -> Fit:
    found, working = _empty(model, data)
    (x,), (offset,) = location(found, working)
    y = np.asarray(data.values[working.observation.slot], np.float64) - offset
    w = _weights(data, working, len(y))
    cross = (x * w[:, None]).T
    inverse = np.linalg.inv(cross @ x)
    middle = inverse @ (cross @ y)
    squares = np.sum(w * (y - x @ middle) ** 2)
    spread = np.sqrt(squares / g.chisquare(w.sum() - x.shape[1], draws))
    noise = g.normal(size=(draws, x.shape[1])) @ np.linalg.cholesky(inverse).T
    (other,) = (v.name for v in model.variables if v.role == "residual")
    return _with(found, working, middle + spread[:, None] * noise, {other: spread[None]})


def _logistic(model: Model, data: ModelData, draws: int, g: np.random.Generator) -> Fit:
    found, working = _empty(model, data)
    (x,), (offset,) = location(found, working)
    (prior,) = precision(found, working)
    y = np.asarray(data.values[working.observation.slot], np.float64)
    w = _weights(data, working, len(y))
    middle, covariance = np.zeros(x.shape[1]), np.eye(x.shape[1])
    for _ in range(30):
        p = _expit(offset + x @ middle)
        covariance = np.linalg.inv((x * (w * p * (1 - p))[:, None]).T @ x + prior)
        middle = middle + covariance @ (x.T @ (w * (y - p)) - prior @ middle)
    return _with(found, working, g.multivariate_normal(middle, covariance, draws), {})


def effects(bound: Bound, found: Fit) -> Array:
    """Return draws of the average effect."""
    (ate,) = computed_of(bound.study.estimands, bound, found, 0)
    return ate.draws.reshape(-1)


def trials(design: Design, number: int, seed: int, *, mixed: bool = False) -> Array:
    """Return estimate, posterior sd, whether the 90% interval holds the truth, and the truth, (trials, 1 or 2, 4).

    Second axis: both stages together, and where `mixed` the mixture.
    """
    found = np.empty((number, 1 + mixed, 4))
    with tempfile.TemporaryDirectory() as folder:
        for trial in range(number):
            g = np.random.default_rng([seed, trial])
            columns, truth = design.simulate(g)
            fits, bound = fits_of(design, columns, Path(folder), g, mixed=mixed)
            for place, each in enumerate(fits):
                draws = effects(bound, each)
                low, high = np.quantile(draws, [0.05, 0.95])
                found[trial, place] = draws.mean(), draws.std(), low <= truth <= high, truth
    return found


@dataclass(frozen=True)
class Summary:
    """What came of many trials: bias, its Monte Carlo error, sd about the truth, mean posterior sd, coverage."""

    bias: float
    error: float
    sd: float
    posterior_sd: float
    covered: float


def summary(found: Array) -> Summary:
    """Return the summary of trials of one way, (trials, 4)."""
    off = found[:, 0] - found[:, 3]
    sd = float(off.std(ddof=1))
    return Summary(
        float(off.mean()), sd / math.sqrt(len(off)), sd, float(found[:, 1].mean()), float(found[:, 2].mean())
    )


def _expit(log_odds: Array) -> Array:
    return 1 / (1 + np.exp(-log_odds))


def main(arguments: Sequence[str]) -> None:
    """Print a row for each design: `[TRIALS [SEED [FIRST LAST]]]`."""
    numbers = [int(argument) for argument in arguments]
    number, seed = (numbers + [200, 2024][len(numbers) :])[:2]
    sys.stdout.write(
        f"{number} trials, seed {seed}; Monte Carlo error of a share near 0.9: {0.3 / math.sqrt(number):.3f}\n"
    )
    for design in DESIGNS[slice(*numbers[2:4]) if len(numbers) > 2 else slice(None)]:
        found = trials(design, number, seed, mixed=True)
        cells: list[str] = []
        for place in (0, 1):
            s = summary(found[:, place])
            cells.append(f"{s.bias:.3f}, {s.sd:.3f}, {s.posterior_sd:.3f}, {s.covered:.3f}")
        sys.stdout.write(f"| {design.name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
