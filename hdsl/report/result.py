"""The result of a run: estimands, parameters by role, diagnostics, and the posterior to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdsl.diagnostics import Diagnostic, to_json
from hdsl.inference.diagnose import Diagnosis
from hdsl.report.summary import Summary
from hdsl.source import Source

if TYPE_CHECKING:
    from xarray import DataTree

    from hdsl.design.ir import StudyFields

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes
    ----------
    study : StudyFields
    backend, inference : str
        Which backend ran, and how it sampled (engine and version).
    estimands : tuple of Summary
    parameters : tuple of Summary
        By role; group effects have an index.
    diagnosis : Diagnosis
        R-hat, effective sample sizes, divergences and the verdict.
    warnings : tuple of Diagnostic
        Of the checks, the derivation and the sampling; waived ones too, with their reasons.
    posterior : DataTree
        The draws by role with named coordinates, sampler statistics, data.
    """

    study: StudyFields
    backend: str
    inference: str
    estimands: tuple[Summary, ...]
    parameters: tuple[Summary, ...]
    diagnosis: Diagnosis
    warnings: tuple[Diagnostic, ...]
    posterior: DataTree
    source: Source | None
    heading: str
    seconds: Mapping[str, float]

    @property
    def verdict(self) -> str:
        """One line on the sampling."""
        from hdsl.inference.diagnose import in_words

        return in_words(self.diagnosis)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values (schema in docs/json.md)."""
        return {
            "schema": SCHEMA,
            "study": self.study.name,
            "backend": self.backend,
            "inference": self.inference,
            "estimands": [summary.to_json("name") for summary in self.estimands],
            "parameters": [summary.to_json("role") for summary in self.parameters],
            "diagnostics": self.diagnosis.to_json(),
            "warnings": to_json(self.warnings, self.source),
            "seconds": dict(self.seconds),
        }

    def save(self, path: Path) -> None:
        """Write the posterior as NetCDF, whole or not at all."""
        from hdsl.inference.posterior import save

        save(self.posterior, path)

