"""The diagnostics of the sampling with a verdict in plain words for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Literal

from hdsl.inference.diagnose import DIVERGENT_FAIL, EBFMI_LIMIT, ESS_PER_CHAIN, RHAT_FAIL, RHAT_LIMIT, Diagnosis

Grade = Literal["ok", "warn", "fail"]
KHAT_LIMIT = 0.5


@dataclass(frozen=True)
class Verdict:
    """One diagnostic: what it is called, its value, how it is judged, and what that means."""

    name: str
    value: str
    grade: Grade
    words: str


def verdicts(diagnosis: Diagnosis) -> list[Verdict]:
    """Return the diagnostics that could be told, each with its verdict."""
    return [*_chains(diagnosis), *_importance(diagnosis), *_sampler(diagnosis)]


def _chains(d: Diagnosis) -> Iterator[Verdict]:
    if not isnan(d.max_rhat):
        grade: Grade = "fail" if d.max_rhat > RHAT_FAIL else "warn" if d.max_rhat > RHAT_LIMIT else "ok"
        words = {
            "ok": "The chains agree: started apart, they found the same posterior.",
            "warn": f"The chains agree nearly, least for {d.worst_rhat}. Draw more.",
            "fail": f"The chains disagree, most for {d.worst_rhat}: do not use the results.",
        }
        yield Verdict("R-hat, greatest", f"{d.max_rhat:.3f}", grade, words[grade])
    least = min((ess for ess in (d.min_ess_bulk, d.min_ess_tail) if not isnan(ess)), default=float("nan"))
    if not isnan(least):
        enough = least >= ESS_PER_CHAIN * d.chains
        good = "Enough draws: means and 90% intervals are known well compared with their width."
        few = f"Few independent draws of {d.worst_ess}: the ends of its intervals are rough. Draw more."
        yield Verdict("effective draws, least", f"{least:.0f}", "ok" if enough else "warn", good if enough else few)
    if d.not_finite:
        yield Verdict("draws without a finite value", f"{d.not_finite}", "fail", "A quantity overflowed.")


def _importance(d: Diagnosis) -> Iterator[Verdict]:
    if isnan(d.khat):
        return
    grade: Grade = "ok" if d.khat < KHAT_LIMIT else "fail"
    words = {
        "ok": "The approximation from which draws were weighted is close to the posterior.",
        "fail": "The weights have a heavy tail: the draws do not represent the posterior.",
    }
    yield Verdict("Pareto k-hat of the weights", f"{d.khat:.2f}", grade, words[grade])
    if not isnan(d.interpolation_error):
        near = "No mean is off by more than about this share of its posterior standard deviation."
        yield Verdict("error of the interpolated log density", f"{d.interpolation_error:.4f}", "ok", near)


def _sampler(d: Diagnosis) -> Iterator[Verdict]:
    total = d.chains * d.draws
    if isnan(d.khat):
        share = d.divergences / total
        grade: Grade = "fail" if share > DIVERGENT_FAIL else "warn" if d.divergences else "ok"
        words = {
            "ok": "The sampler could follow the posterior everywhere it went.",
            "warn": "The sampler lost its way a few times: a narrow region may be missing.",
            "fail": "The sampler lost its way often: regions of the posterior are missing.",
        }
        yield Verdict("divergences", f"{d.divergences} of {total}", grade, words[grade])
        deep = d.max_treedepth_hits > 0.01 * total
        slow = "Sampling was slow, not wrong." if deep else "Trajectories ended by themselves."
        yield Verdict("draws at the greatest tree depth", f"{d.max_treedepth_hits}", "warn" if deep else "ok", slow)
    if not isnan(d.min_ebfmi):
        low = d.min_ebfmi < EBFMI_LIMIT
        said = "The tails are explored slowly." if low else "The tails are explored."
        yield Verdict("E-BFMI, least", f"{d.min_ebfmi:.2f}", "warn" if low else "ok", said)
