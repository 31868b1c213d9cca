"""Where a backend is known to fall short, case by case.

A key is (backend, aspect, case); the value says how and why. Such tests are expected to fail, strictly: one that
starts to pass fails the suite until its line is removed. Aspects: `value`, `gradient` (natural scale),
`transformed` (unconstrained scale, Jacobians included).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

ASPECTS = ("value", "gradient", "transformed")


class Gap(NamedTuple):
    """What is expected: that the model is `refused` (HDM604), or that figures `differ`; and the reason."""

    expected: Literal["refused", "differ"]
    reason: str


_GAMMA_TAIL = Gap(
    "differ", "Stan's derivative of gamma_lccdf by the shape is an approximation, off by up to one in a thousand"
)
_NORMAL_TAIL = Gap(
    "differ", "Stan's derivative of normal_lcdf is an approximation, off by up to three in a hundred thousand"
)
_NO_TAIL = Gap("refused", "its survival function is not written, for no family of durations has this law")
_CENSORED = ("censored data", "weighted censored data")
_WITHOUT_TAIL = ("student", "laplace", "asymmetric_laplace", "halfstudent", "beta", "beta_mean")

GAPS: dict[tuple[str, str, str], Gap] = (
    {("stan", "gradient", f"{kind}: {law}"): _GAMMA_TAIL for kind in _CENSORED for law in ("gamma", "gamma_mean")}
    | {("stan", "gradient", f"censored far away: {law}"): _NORMAL_TAIL for law in ("normal", "lognormal", "halfnormal")}
    | {
        (backend, aspect, f"{kind}: {law}"): _NO_TAIL
        for backend in ("numpyro", "pymc")
        for aspect in ASPECTS
        for kind in _CENSORED
        for law in _WITHOUT_TAIL
    }
)
