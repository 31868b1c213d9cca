"""Coverage of intervals of quantile effects, simulated: before and after the correction for the working likelihood.

Sampling hundreds of trials with NUTS takes hours. The posterior of each trial's derived model is sampled by Gibbs steps
instead, for all trials and quantiles at once, with the asymmetric Laplace law as a mixture of normal laws (Kozumi &
Kobayashi 2011, Journal of Statistical Computation and Simulation 81); everything after that is hdsl's own.
`python -m tests.calibration.quantiles` prints the table of docs/decisions/0014-quantiles-by-a-working-likelihood.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from hdsl.backend import Draws, Settings
from hdsl.data.bind import bind
from hdsl.design.parts import complete, outcome
from hdsl.design.study import Study
from hdsl.inference.fit import Fit
from hdsl.inference.linearised import linearised
from hdsl.inference.working import calibrated_scale, corrected, with_scale
from hdsl.model.derivation import model_of
from hdsl.model.ir import Apply, Const, Expr, Model, ModelData
from hdsl.model.working import Working, working_of
from hdsl.reference.density import reported
from tests.model.designs import write

Array = np.ndarray
PROBABILITIES = np.array([0.1, 0.5, 0.9])
WARMUP, DRAWS = 300, 1000
INTERCEPT, EFFECT = "intercept", "effect(z)"
VARIED = (INTERCEPT, EFFECT)
SPREAD = "sd(intercept, site)"


@dataclass(frozen=True)
class Design:
    """A simulated trial: outcomes are 1 + z + site + (1 + wider z) times an exponential or normal error.

    The parts of sites have a standard deviation of `between`, and their effects beside the common one of `varying`.
    """

    name: str
    rows: int = 200
    sites: int = 0
    to: str = "person"
    skewed: bool = True
    wider: float = 1.0
    between: float = 0.5
    varying: float = 0.0

    @property
    def varied(self) -> tuple[str, ...]:
        """What varies across sites."""
        return () if not self.sites else VARIED if self.varying else VARIED[:1]

    @property
    def site(self) -> Array:
        """The site of each row."""
        return np.arange(self.rows) % max(self.sites, 1)

    @property
    def z(self) -> Array:
        """The arm of each row: half of each site's rows, or half of the sites."""
        return self.site % 2 if self.to == "site" else (np.arange(self.rows) // max(self.sites, 1)) % 2

    @property
    def quantiles(self) -> Array:
        """The quantiles of an error."""
        return -np.log1p(-PROBABILITIES) if self.skewed else ndtri(PROBABILITIES)

    def simulate(self, trials: int, seed: int) -> tuple[Array, Array]:
        """Return outcomes (trials, rows) and the sites' own parts and effects (trials, sites, 2)."""
        g = np.random.default_rng([seed, self.rows, self.sites, self.skewed])
        errors = g.standard_exponential((trials, self.rows)) if self.skewed else g.normal(size=(trials, self.rows))
        parts = [sd * g.normal(size=(trials, max(self.sites, 1))) for sd in (self.between, self.varying)]
        own = np.stack(parts, axis=2) * (self.sites > 0)
        of_row = own[:, self.site, 0] + own[:, self.site, 1] * self.z
        return (1 + self.z + of_row + (1 + self.wider * self.z) * errors).round(6), own

    @property
    def study(self) -> Study:
        """The study of it, three quantiles at once."""
        study = Study("trial").data("d.csv")
        study = study.group("site", id="site") if self.sites else study
        within = "site" if self.sites else ()
        study = study.unit("person", within=within, variables=[outcome("y", "real")]).treatment("z", off=0, on=1)
        inside = "site" if self.sites and self.to == "person" else ()
        study = study.assign("z", to=self.to, within=inside, by=complete(0.5))
        study = study.vary("z", across="site", uncorrelated=True) if self.varying else study
        return study.family("y", f"quantile({', '.join(f'{p:g}' for p in PROBABILITIES)})")


DESIGNS = (
    Design("skewed, spread doubled by treatment"),
    Design("normal, one spread", skewed=False, wider=0.0),
    Design("20 sites of 20, treatment within sites, skewed, spread doubled", rows=400, sites=20),
    Design("20 sites of 20, treatment within sites, normal", rows=400, sites=20, skewed=False, wider=0.0),
    Design("12 sites of 30, effects that vary, skewed, spread doubled", rows=360, sites=12, varying=0.5),
    Design("20 sites of 20, treatment of sites, skewed", rows=400, sites=20, to="site", wider=0.0),
    Design("20 sites of 20, treatment of sites, normal", rows=400, sites=20, to="site", skewed=False, wider=0.0),
)


@dataclass(frozen=True)
class Trial:
    """A derived model with its data, and the numbers in its priors."""

    model: Model
    data: ModelData
    working: Working

    def prior(self, role: str) -> tuple[float, float]:
        """Return mean (at average predictors) and sd of a normal law, 0 and the sd of a half-normal one."""
        (law,) = (v.law for v in self.model.variables if v.role == role)
        numbers = [_number(arg) for arg in law.args]
        return (0.0, numbers[0]) if law.distribution == "halfnormal" else (numbers[0], numbers[1])


def _number(expr: Expr) -> float:
    """Return a number, or the first one of a difference: the law of an intercept is about average predictors."""
    if isinstance(expr, Const):
        return expr.value
    assert isinstance(expr, Apply)
    assert expr.function == "sub"
    return _number(expr.args[0])


def trials_of(design: Design, outcomes: Array, folder: Path) -> list[Trial]:
    """Return the derived model of each trial."""
    made: list[Trial] = []
    for y in outcomes:
        columns = {"site": design.site, "z": design.z, "y": y}
        write(folder / "d.csv", columns)
        bound, problems = bind(design.study, folder)
        assert bound is not None, problems
        found, diagnostics = model_of(bound)
        assert found is not None, diagnostics
        working = working_of(found[0])
        assert isinstance(working, Working)
        made.append(Trial(*found, working))
    return made


@dataclass
class _State:
    """Where all chains are: one for each trial and quantile, (chains, ...)."""

    phi: Array
    spread: Array
    scale: Array


class Gibbs:
    """The working posterior of many trials of one design; coefficients: intercept at average z, effect, sites."""

    def __init__(self, design: Design, trials: Sequence[Trial], outcomes: Array, seed: int) -> None:
        count, self.quantiles = len(trials), len(PROBABILITIES)
        self.chains = count * self.quantiles
        self.design, self.rng = design, np.random.default_rng(seed)
        self.y = np.repeat(outcomes, self.quantiles, axis=0)
        p = np.tile(PROBABILITIES, count)[:, None]
        self.p, self.shift, self.spread2 = p, (1 - 2 * p) / (p * (1 - p)), 2 / (p * (1 - p))
        self.z_mean = design.z.mean()
        site = np.eye(max(design.sites, 1))[design.site]
        own = [site * (design.z[:, None] if role == EFFECT else 1) for role in design.varied]
        self.x = np.hstack([np.column_stack([np.ones(design.rows), design.z - self.z_mean]), *own])
        self.places = [slice(2 + k * design.sites, 2 + (k + 1) * design.sites) for k in range(len(own))]
        self.outer = (self.x[:, :, None] * self.x[:, None, :]).reshape(design.rows, -1)
        priors = [np.array([t.prior(role) for t in trials]) for role in (INTERCEPT, EFFECT, "residual")]
        self.middle, self.sds = np.zeros((self.chains, self.x.shape[1])), np.ones((self.chains, self.x.shape[1]))
        for place in (0, 1):
            self.middle[:, place], self.sds[:, place] = np.repeat(priors[place], self.quantiles, axis=0).T
        self.of_scale = np.repeat(priors[2][:, 1], self.quantiles)
        sds = [[t.prior(f"sd({role}, site)")[1] for role in design.varied] for t in trials]
        self.of_spread = np.repeat(np.reshape(sds, (count, len(own))), self.quantiles, axis=0)

    def run(self, scale: Array | None = None) -> tuple[Array, Array, Array]:
        """Return draws (chains, draws, ...) of coefficients with the intercept at z = 0, spread, scale."""
        start = self.middle.copy()
        start[:, 0] = np.concatenate([np.quantile(y, PROBABILITIES) for y in self.y[:: self.quantiles]])
        given = None if scale is None else scale.reshape(-1)
        state = _State(start, 0.3 * self.of_spread, 0.15 * self.of_scale if given is None else given)
        kept: list[tuple[Array, Array, Array]] = []
        for step in range(WARMUP + DRAWS):
            self._step(state, fixed=given is not None)
            if step >= WARMUP:
                phi = state.phi.copy()
                phi[:, 0] -= self.z_mean * phi[:, 1]
                kept.append((phi, state.spread.copy(), state.scale.copy()))
        phi, spread, found = (np.stack(each, axis=1) for each in zip(*kept, strict=True))
        return phi, spread, found

    def _step(self, state: _State, *, fixed: bool) -> None:
        rest = self.y - state.phi @ self.x.T
        if not fixed:
            loss = np.sum(rest * (self.p - (rest < 0)), axis=1)
            proposed = loss / self.rng.gamma(self.y.shape[1] - 1, 1, self.chains)
            log_ratio = (state.scale**2 - proposed**2) / (2 * self.of_scale**2)
            state.scale = np.where(np.log(self.rng.random(self.chains)) < log_ratio, proposed, state.scale)
        scale = state.scale[:, None]
        psi, chi = (self.shift**2 / self.spread2 + 2) / scale, np.maximum(rest**2 / (self.spread2 * scale), 1e-12)
        inverse = np.clip(self.rng.wald(np.sqrt(psi / chi), np.broadcast_to(psi, rest.shape)), 1e-12, 1e12)
        weight, target = inverse / (self.spread2 * scale), self.y - self.shift / inverse
        self._coefficients(state, weight, target)
        for k, place in enumerate(self.places):
            self._spread(state, weight, target, k, place)

    def _coefficients(self, state: _State, weight: Array, target: Array) -> None:
        size = self.x.shape[1]
        prior = 1 / self.sds**2
        for k, place in enumerate(self.places):
            prior[:, place] = 1 / state.spread[:, k, None] ** 2
        precision = (weight @ self.outer).reshape(-1, size, size)
        precision[:, range(size), range(size)] += prior
        root = np.linalg.cholesky(precision)
        linear = (weight * target) @ self.x + prior * self.middle
        noise = self.rng.standard_normal((self.chains, size, 1))
        halfway = np.linalg.solve(root, linear[:, :, None]) + noise
        state.phi = np.linalg.solve(np.swapaxes(root, 1, 2), halfway)[:, :, 0]

    def _spread(self, state: _State, weight: Array, target: Array, k: int, place: slice) -> None:
        """Draw the spread of sites given their parts, then given their parts in units of it (Yu & Meng 2011)."""
        own, old, prior = state.phi[:, place], state.spread[:, k], self.of_spread[:, k]
        proposed = np.sqrt(np.sum(own**2, axis=1) / 2 / self.rng.gamma((own.shape[1] - 1) / 2, 1, self.chains))
        log_ratio = (old**2 - proposed**2) / (2 * prior**2)
        spread = np.where(np.log(self.rng.random(self.chains)) < log_ratio, proposed, old)
        unit = own / spread[:, None]
        here = unit @ self.x[:, place].T
        rest = target - state.phi @ self.x.T + own @ self.x[:, place].T
        precision = np.sum(weight * here**2, axis=1) + 1 / prior**2
        mean, sd = np.sum(weight * here * rest, axis=1) / precision, 1 / np.sqrt(precision)
        below = ndtr(-mean / sd)
        share = np.clip(below + (1 - below) * self.rng.random(self.chains), 1e-300, 1 - 1e-16)
        state.spread[:, k] = np.maximum(mean + sd * ndtri(share), 1e-6)
        state.phi[:, place] = unit * state.spread[:, k, None]


def fit_of(trial: Trial, phi: Array, spread: Array, scale: Array | None) -> Fit:
    """Return one trial's draws, (quantile, draws, ...), as a fit; `scale` None where it is given in the data."""
    drawn = {INTERCEPT: phi[..., 0], EFFECT: phi[..., 1]}
    drawn |= {f"sd({role}, site)": spread[..., k] for k, role in enumerate(VARIED[: spread.shape[-1]])}
    drawn |= {} if scale is None else {"residual": scale}
    values = {v.name: drawn[v.role].T[None] for v in trial.model.variables if v.role in drawn}
    own = [f"deviation({role}, site)" for role in VARIED]
    for variable in trial.model.variables:
        if variable.role in own:
            parts = np.split(phi[..., 2:], spread.shape[-1], axis=2)
            values[variable.name] = parts[own.index(variable.role)].transpose(1, 2, 0)[None]
    sampled = Draws(values=values, statistics={}, engine="gibbs", seconds={}, max_tree_depth=0)
    return Fit(trial.model, trial.data, "", sampled, values, reported(trial.model, trial.data, values), Settings())


def fits(design: Design, trials: int, seed: int) -> tuple[list[Fit], list[Fit], Array]:
    """Return fits of the working likelihood, corrected fits as `hdsl run` makes them, and the sites' own parts."""
    outcomes, own = design.simulate(trials, seed)
    with tempfile.TemporaryDirectory() as folder:
        made = trials_of(design, outcomes, Path(folder))
    sampler = Gibbs(design, made, outcomes, seed)

    def by_trial(values: Array) -> Array:
        return values.reshape(trials, len(PROBABILITIES), *values.shape[1:])

    drawn = [by_trial(each) for each in sampler.run()]
    before = [fit_of(trial, *(each[i] for each in drawn)) for i, trial in enumerate(made)]
    if not design.sites:
        return before, [corrected(fit, trial.working) for fit, trial in zip(before, made, strict=True)], own
    scales = np.array([calibrated_scale(linearised(f, t.working)) for f, t in zip(before, made, strict=True)])
    phi, spread, _ = (by_trial(each) for each in sampler.run(scales))
    after: list[Fit] = []
    for i, trial in enumerate(made):
        again = Trial(*with_scale(trial.model, trial.data, trial.working, scales[i]), trial.working)
        after.append(corrected(fit_of(again, phi[i], spread[i], None), trial.working))
    return before, after, own


def coverage(design: Design, fitted: Sequence[Fit], own: Array) -> Mapping[str, Array]:
    """Return shares of 90% intervals that hold the truth, and how far estimates are off, by quantile."""
    q = design.quantiles
    found = {"effect": _held(fitted, EFFECT, 1 + design.wider * q), "estimates' sd": _means(fitted, EFFECT).std(axis=0)}
    found["posterior sd"] = np.mean([fit.roles[EFFECT].std(axis=(0, 1)) for fit in fitted], axis=0)
    if design.sites:
        whole = _site_quantiles(design, own)
        draws = [np.swapaxes(fit.roles["intercept[site]"], 2, 3) for fit in fitted]
        held = [_inside(values, truth) for values, truth in zip(draws, whole, strict=True)]
        off = [(values.mean(axis=(0, 1)) - truth) ** 2 for values, truth in zip(draws, whole, strict=True)]
        found["sites"], found["sites' error"] = np.mean(held, axis=(0, 1)), np.sqrt(np.mean(off, axis=(0, 1)))
        if design.varying:
            truth = 1 + own[:, :, None, 1] + design.wider * q
            each = [np.swapaxes(fit.roles["effect(z)[site]"], 2, 3) for fit in fitted]
            found["sites' effects"] = np.mean([_inside(v, t) for v, t in zip(each, truth, strict=True)], axis=(0, 1))
            found["effects' spread"] = _held(fitted, "sd(effect(z), site)", np.full(len(q), design.varying))
        found["spread"] = _held(fitted, SPREAD, np.full(len(q), design.between))
        found["spread's mean"] = _means(fitted, SPREAD).mean(axis=0)
    return found


def _site_quantiles(design: Design, own: Array) -> Array:
    """Return the quantiles of each site as `intercept[site]` has them, (trials, sites, quantiles).

    The treatment of a site is part of its intercept; one within sites is not.
    """
    arm = (np.arange(design.sites) % 2 if design.to == "site" else np.zeros(design.sites))[None, :, None]
    return 1 + arm + own[:, :, :1] + (1 + design.wider * arm) * design.quantiles


def _inside(draws: Array, truth: Array) -> Array:
    low, high = np.quantile(draws, [0.05, 0.95], axis=(0, 1))
    return (low <= truth) & (truth <= high)


def _held(fitted: Sequence[Fit], role: str, truth: Array) -> Array:
    return np.mean([_inside(fit.roles[role], truth) for fit in fitted], axis=0)


def _means(fitted: Sequence[Fit], role: str) -> Array:
    return np.array([fit.roles[role].mean(axis=(0, 1)) for fit in fitted])


def main(trials: int = 200, seed: int = 2024, which: slice = slice(None)) -> None:
    """Print a table of coverage."""
    for design in DESIGNS[which]:
        before, after, own = fits(design, trials, seed)
        sys.stdout.write(f"\n{design.name}: {trials} trials, seed {seed}\n")
        rows = [coverage(design, fitted, own) for fitted in (before, after)]
        for name in rows[0]:
            texts = [" / ".join(f"{value:.3f}" for value in row[name]) for row in rows]
            sys.stdout.write(f"| {name} | {texts[0]} | {texts[1]} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*numbers[:2], which=slice(*numbers[2:]) if numbers[2:] else slice(None))
