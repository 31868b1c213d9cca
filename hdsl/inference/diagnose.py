"""Convergence and sampler diagnostics, and what to do about them.

Sources: Vehtari et al. (2021) for R-hat and effective sample sizes; Betancourt (2016) for E-BFMI.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from hdsl.backend import Draws
from hdsl.diagnostics import Diagnostic
from hdsl.reference.values import Array

RHAT_LIMIT = 1.01
RHAT_FAIL = 1.05
ESS_PER_CHAIN = 100
EBFMI_LIMIT = 0.3
DIVERGENT_FAIL = 0.1
MOST_ELEMENTS = 1_000


@dataclass(frozen=True)
class Diagnosis:
    """What the draws say about the sampling. NaN marks what one chain or few draws cannot tell."""

    verdict: Literal["ok", "warn", "fail"]
    max_rhat: float
    worst_rhat: str
    min_ess_bulk: float
    min_ess_tail: float
    worst_ess: str
    divergences: int
    max_treedepth_hits: int
    min_ebfmi: float
    chains: int
    draws: int

    def to_json(self) -> dict[str, Any]:
        """Return the diagnostics as JSON values, None for what could not be told."""
        values = asdict(self)
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}


def diagnose(roles: Mapping[str, Array], sampled: Draws) -> tuple[Diagnosis, list[Diagnostic]]:
    """Return the diagnosis of all reported quantities and the warnings that follow.

    Parameters
    ----------
    roles : mapping
        Role to draws of shape (chain, draw, *dims).
    sampled : Draws
        The backend's draws with their sampler statistics.
    """
    names, columns = _flattened(roles)
    chains, draws = columns.shape[:2]
    rhat, bulk, tail = _convergence(columns)
    worst, thinnest = _worst(rhat, names, np.nanargmax), _worst(np.minimum(bulk, tail), names, np.nanargmin)
    statistics = sampled.statistics
    divergences = int(np.sum(statistics["diverging"])) if "diverging" in statistics else 0
    hits = _hits(sampled)
    ebfmi = _ebfmi(statistics["energy"]) if "energy" in statistics else float("nan")
    numbers = (_extreme(rhat, np.nanmax), _extreme(bulk, np.nanmin), _extreme(tail, np.nanmin))
    found = _findings(numbers, (worst, thinnest), divergences, hits, ebfmi, (chains, draws))
    diagnosis = Diagnosis(
        verdict=_verdict(numbers[0], divergences / (chains * draws), bool(found)),
        max_rhat=numbers[0],
        worst_rhat=worst,
        min_ess_bulk=numbers[1],
        min_ess_tail=numbers[2],
        worst_ess=thinnest,
        divergences=divergences,
        max_treedepth_hits=hits,
        min_ebfmi=ebfmi,
        chains=chains,
        draws=draws,
    )
    return diagnosis, found


def _flattened(roles: Mapping[str, Array]) -> tuple[list[str], Array]:
    """Return every scalar quantity as a column; of very many group effects, evenly spaced ones."""
    names: list[str] = []
    parts: list[Array] = []
    for role, values in roles.items():
        flat = values.reshape(*values.shape[:2], -1)
        step = max(1, flat.shape[2] // MOST_ELEMENTS)
        parts.append(flat[:, :, ::step])
        names += [role] * parts[-1].shape[2]
    return names, np.concatenate(parts, axis=2)


def _convergence(columns: Array) -> tuple[Array, Array, Array]:
    """Return rank-normalised R-hat and bulk and tail effective sample sizes, one per column."""
    from arviz_stats.base import array_stats

    with np.errstate(all="ignore"):
        bulk = array_stats.ess(columns, chain_axis=0, draw_axis=1, method="bulk")
        tail = array_stats.ess(columns, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95))
        rhat = np.full_like(bulk, np.nan)
        if columns.shape[0] > 1:
            rhat = array_stats.rhat(columns, chain_axis=0, draw_axis=1)
    constant = np.ptp(columns, axis=(0, 1)) == 0
    rhat, bulk, tail = (np.where(constant, np.nan, part) for part in (rhat, bulk, tail))
    return rhat, bulk, tail


def _worst(values: Array, names: list[str], pick: Any) -> str:
    return names[int(pick(values))] if np.any(np.isfinite(values)) else ""


def _extreme(values: Array, pick: Any) -> float:
    return float(pick(values)) if np.any(np.isfinite(values)) else float("nan")


def _hits(sampled: Draws) -> int:
    depth = sampled.statistics.get("tree_depth")
    return 0 if depth is None else int(np.sum(np.asarray(depth) >= sampled.max_tree_depth))


def _ebfmi(energy: Any) -> float:
    energies = np.asarray(energy, dtype=np.float64)
    if energies.shape[1] < 3:
        return float("nan")
    with np.errstate(all="ignore"):
        return float(np.min(np.mean(np.diff(energies, axis=1) ** 2, axis=1) / np.var(energies, axis=1)))


def _verdict(rhat: float, divergent: float, findings: bool) -> Literal["ok", "warn", "fail"]:
    if rhat > RHAT_FAIL or divergent > DIVERGENT_FAIL:
        return "fail"
    return "warn" if findings else "ok"


def _findings(
    numbers: tuple[float, float, float],
    where: tuple[str, str],
    divergences: int,
    hits: int,
    ebfmi: float,
    shape: tuple[int, int],
) -> list[Diagnostic]:
    rhat, bulk, tail = numbers
    total = shape[0] * shape[1]
    found: list[Diagnostic] = []
    if rhat > RHAT_LIMIT:
        message = f"The chains disagree: R-hat is {rhat:.3f} for {where[0]} (it should be below {RHAT_LIMIT})."
        found.append(_warning("HDM701", message, "Draw more (`--warmup 2000 --draws 2000`); then look at the model."))
    ess = min(bulk, tail)
    if ess < ESS_PER_CHAIN * shape[0]:
        message = f"Few effective draws: {ess:.0f} for {where[1]} (at least {ESS_PER_CHAIN * shape[0]} are wanted)."
        found.append(_warning("HDM702", message, "Draw more, for instance `--draws 4000`."))
    if divergences:
        message = f"{divergences} of {total} draws diverged: a region of the posterior may have been missed."
        help_ = "Raise `--target-accept` to 0.99; if that does not help, a spread may be too weakly determined."
        found.append(_warning("HDM703", message, help_))
    if ebfmi < EBFMI_LIMIT:
        message = f"The energy mixes slowly (E-BFMI {ebfmi:.2f}, below {EBFMI_LIMIT})."
        found.append(_warning("HDM704", message, "Draw more, and give spreads of few groups a tighter prior."))
    if hits > 0.01 * total:
        message = f"{hits} of {total} draws reached the greatest tree depth: sampling is slow, not wrong."
        found.append(_warning("HDM705", message, "Leave out predictors that say nearly the same."))
    return found


def _warning(code: str, message: str, help_: str) -> Diagnostic:
    return Diagnostic(code, message, severity="warning", help=help_)


def in_words(diagnosis: Diagnosis) -> str:
    """Return one line on the sampling."""
    verdict = {"ok": "Sampling looks sound", "warn": "Sampling has warnings", "fail": "Sampling failed"}
    rhat = "" if np.isnan(diagnosis.max_rhat) else f"R-hat at most {diagnosis.max_rhat:.3f}, "
    return (
        f"{verdict[diagnosis.verdict]}: {diagnosis.chains} chains of {diagnosis.draws} draws, {rhat}"
        f"at least {min(diagnosis.min_ess_bulk, diagnosis.min_ess_tail):.0f} effective draws, "
        f"{diagnosis.divergences} divergences."
    )
