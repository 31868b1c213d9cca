"""Whether the fitted model could have made the data: predictive checks that the design suggests."""

from __future__ import annotations

from hdsl.report.predictive.before import check_prior
from hdsl.report.predictive.fit_check import check_fit
from hdsl.report.predictive.values import Check, FitCheck, LeftOut

__all__ = ["Check", "FitCheck", "LeftOut", "check_fit", "check_prior"]
