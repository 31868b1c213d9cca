"""Convergence and sampler diagnostics, and what to do about them.

Sources: Vehtari et al. (2021) for R-hat and effective sample sizes; Betancourt (2016) for E-BFMI.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from hdsl.backend import Draws
from hdsl.diagnostics import Diagnostic
from hdsl.inference.convergence import LEAST_DRAWS, convergence
from hdsl.reference.values import Array
from hdsl.storage import blocks, let_go, on_disk

RHAT_LIMIT = 1.01
RHAT_FAIL = 1.05
ESS_PER_CHAIN = 100
EBFMI_LIMIT = 0.3
DIVERGENT_FAIL = 0.1
MOST_ELEMENTS = 2_000


@dataclass(frozen=True)
class Diagnosis:
    """What the draws say about the sampling. NaN marks what one chain or few draws cannot tell.

    `ebfmi` has one value per chain, `min_ebfmi` the least of them; both are empty or NaN where the backend
    gives no energies. `not_finite` counts draws in which some reported quantity is no finite number. `khat` and
    `importance_ess` are those of importance sampling (`Draws.quality`), NaN elsewhere; `interpolation_error` is the
    standard deviation of the error of an interpolated log density, NaN where each draw has its own.
    """

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
    ebfmi: tuple[float, ...] = ()
    not_finite: int = 0
    khat: float = float("nan")
    importance_ess: float = float("nan")
    interpolation_error: float = float("nan")

    def to_json(self) -> dict[str, Any]:
        """Return the diagnostics as JSON values, None for what could not be told."""
        return {name: _json(value) for name, value in asdict(self).items()}


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


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
    rhat, bulk, tail = convergence(columns)
    broken = int(np.sum(~np.all(np.isfinite(columns), axis=2)))
    statistics = sampled.statistics
    ebfmi = _ebfmi(statistics["energy"]) if "energy" in statistics else ()
    diagnosis = Diagnosis(
        verdict="ok",
        max_rhat=_extreme(rhat, np.nanmax),
        worst_rhat=_worst(rhat, names, np.nanargmax),
        min_ess_bulk=_extreme(bulk, np.nanmin),
        min_ess_tail=_extreme(tail, np.nanmin),
        worst_ess=_worst(np.minimum(bulk, tail), names, np.nanargmin),
        divergences=_count(statistics.get("diverging")),
        max_treedepth_hits=_hits(sampled),
        min_ebfmi=min(ebfmi, default=float("nan")),
        chains=chains,
        draws=draws,
        ebfmi=ebfmi,
        not_finite=broken,
        khat=sampled.quality.get("khat", float("nan")),
        importance_ess=sampled.quality.get("importance_ess", float("nan")),
        interpolation_error=sampled.quality.get("interpolation_error", float("nan")),
    )
    found = [*_findings_of_draws(diagnosis), *_findings_of_sampler(diagnosis)]
    return replace(diagnosis, verdict=_verdict(diagnosis, bool(found))), found


def _flattened(roles: Mapping[str, Array]) -> tuple[list[str], Array]:
    """Return every scalar quantity as a column; of very many group effects, evenly spaced ones."""
    names: list[str] = []
    parts: list[Array] = []
    for role, values in roles.items():
        flat = values.reshape(*values.shape[:2], -1)
        step = max(1, flat.shape[2] // MOST_ELEMENTS)
        parts.append(_every(step, flat))
        names += [role] * parts[-1].shape[2]
    return names, np.concatenate(parts, axis=2)


def _every(step: int, flat: Array) -> Array:
    """Return each `step`-th quantity of draws (chain, draw, quantity), copied in blocks where they lie in a file."""
    if not on_disk(flat):
        return flat[:, :, ::step]
    found = np.empty((*flat.shape[:2], len(range(0, flat.shape[2], step))))
    for some in blocks(flat.shape[1], flat.shape[0] * flat.shape[2]):
        found[:, some] = flat[:, some, ::step]
        let_go(flat)
    return found


def _worst(values: Array, names: list[str], pick: Any) -> str:
    return names[int(pick(values))] if np.any(np.isfinite(values)) else ""


def _extreme(values: Array, pick: Any) -> float:
    return float(pick(values)) if np.any(np.isfinite(values)) else float("nan")


def _hits(sampled: Draws) -> int:
    depth = sampled.statistics.get("tree_depth")
    return 0 if depth is None else _count(np.asarray(depth, dtype=np.int64) >= sampled.max_tree_depth)


def _count(flags: Any) -> int:
    return 0 if flags is None else int(np.count_nonzero(flags))


def _ebfmi(energy: Any) -> tuple[float, ...]:
    """Return the energy's Bayesian fraction of missing information of each chain."""
    energies = np.asarray(energy, dtype=np.float64)
    if energies.shape[1] < LEAST_DRAWS:
        return ()
    with np.errstate(all="ignore"):
        values = np.mean(np.diff(energies, axis=1) ** 2, axis=1) / np.var(energies, axis=1)
    return tuple(float(value) for value in values)


def _verdict(diagnosis: Diagnosis, findings: bool) -> Literal["ok", "warn", "fail"]:
    if _reasons_to_fail(diagnosis):
        return "fail"
    return "warn" if findings else "ok"


def _findings_of_draws(diagnosis: Diagnosis) -> list[Diagnostic]:
    """Return what the draws of the reported quantities give away."""
    found: list[Diagnostic] = []
    rhat, wanted = diagnosis.max_rhat, ESS_PER_CHAIN * diagnosis.chains
    if rhat > RHAT_LIMIT:
        message = (
            f"The chains disagree: R-hat is {rhat:.3f} for {diagnosis.worst_rhat} (it should be below {RHAT_LIMIT})."
        )
        found.append(_warning("HDM701", message, "Draw more (`--warmup 2000 --draws 2000`); then look at the model."))
    ess = np.fmin(diagnosis.min_ess_bulk, diagnosis.min_ess_tail)
    if ess < wanted:
        message = f"Few effective draws: {ess:.0f} for {diagnosis.worst_ess} (at least {wanted} are wanted)."
        found.append(_warning("HDM702", message, "Draw more, for instance `--draws 4000`."))
    if diagnosis.chains < 2 or diagnosis.draws < LEAST_DRAWS:
        few = "One chain" if diagnosis.chains < 2 else f"{diagnosis.draws} draws a chain"
        message = f"{few} cannot show whether chains agree."
        found.append(_warning("HDM706", message, "Run four chains of a thousand draws for results that you report."))
    if diagnosis.not_finite:
        total = diagnosis.chains * diagnosis.draws
        message = f"{diagnosis.not_finite} of {total} draws hold a quantity that is no finite number."
        found.append(
            _warning(
                "HDM707", message, "Give positive parameters tighter priors, or bring the data to a smaller scale."
            )
        )
    return found


def _findings_of_sampler(diagnosis: Diagnosis) -> list[Diagnostic]:
    """Return what the sampler's own statistics give away."""
    total = diagnosis.chains * diagnosis.draws
    found: list[Diagnostic] = []
    found += [_divergent(diagnosis.divergences, total)] if diagnosis.divergences else []
    if diagnosis.min_ebfmi < EBFMI_LIMIT:
        message = f"The energy mixes slowly (E-BFMI {diagnosis.min_ebfmi:.2f}, below {EBFMI_LIMIT})."
        found.append(_warning("HDM704", message, "Draw more, and give spreads of few groups a tighter prior."))
    if diagnosis.max_treedepth_hits > 0.01 * total:
        hits = diagnosis.max_treedepth_hits
        message = f"{hits} of {total} draws reached the greatest tree depth: sampling is slow, not wrong."
        found.append(_warning("HDM705", message, "Leave out predictors that say nearly the same."))
    return found


def _divergent(divergences: int, total: int) -> Diagnostic:
    """Return HDM703: a warning of some divergent draws, and of many that the results cannot be used."""
    if _divergent_throughout(divergences, total):
        message = (
            f"{divergences} of {total} draws diverged: the sampler could not follow the posterior, "
            "and these results cannot be used."
        )
        help_ = (
            "Give spreads (standard deviations) tighter priors, or take a simpler model with fewer effects that vary; "
            "raise `--target-accept` only afterwards."
        )
        return _warning("HDM703", message, help_)
    message = f"{divergences} of {total} draws diverged: a region of the posterior may have been missed."
    help_ = "Raise `--target-accept` to 0.99; if that does not help, a spread may be too weakly determined."
    return _warning("HDM703", message, help_)


def _warning(code: str, message: str, help_: str) -> Diagnostic:
    return Diagnostic(code, message, severity="warning", help=help_)


def why_unusable(diagnosis: Diagnosis) -> str:
    """Return what is said before estimates of a sampling that failed, with the reasons; else an empty text."""
    if diagnosis.verdict != "fail":
        return ""
    told = "; ".join(_reasons_to_fail(diagnosis))
    return f"SAMPLING FAILED: {told}. The numbers are not the posterior's: do not use or report them."


def _reasons_to_fail(diagnosis: Diagnosis) -> list[str]:
    """Return what shows that draws are not those of the posterior."""
    total = diagnosis.chains * diagnosis.draws
    reasons = [
        (diagnosis.max_rhat > RHAT_FAIL, f"the chains disagree (R-hat {diagnosis.max_rhat:.3f})"),
        (_divergent_throughout(diagnosis.divergences, total), f"{diagnosis.divergences} of {total} draws diverged"),
        (diagnosis.not_finite > 0, f"{diagnosis.not_finite} of {total} draws are no finite numbers"),
    ]
    return [text for true, text in reasons if true]


def _divergent_throughout(divergences: int, total: int) -> bool:
    return divergences > DIVERGENT_FAIL * total


def in_words(diagnosis: Diagnosis) -> str:
    """Return one line on the sampling."""
    verdict = {"ok": "Sampling looks sound", "warn": "Sampling has warnings", "fail": "Sampling failed"}
    rhat = "" if np.isnan(diagnosis.max_rhat) else f"R-hat at most {diagnosis.max_rhat:.3f}, "
    ess = np.fmin(diagnosis.min_ess_bulk, diagnosis.min_ess_tail)
    effective = "" if np.isnan(ess) else f"at least {ess:.0f} effective draws, "
    chains = "1 chain" if diagnosis.chains == 1 else f"{diagnosis.chains} chains"
    divergences = "1 divergence" if diagnosis.divergences == 1 else f"{diagnosis.divergences} divergences"
    return f"{verdict[diagnosis.verdict]}: {chains} of {diagnosis.draws} draws, {rhat}{effective}{divergences}."
