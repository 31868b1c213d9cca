"""A result as one NetCDF file, and back: draws, model, study, data as bound, findings.

Besides the groups of the posterior (`hdsl.inference.posterior`) the file has `estimands` (draws of the estimands),
`bound` (the arrays of the study bound to its data) and `record` (one JSON text with everything that is no array).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from hdsl.backend import Settings
from hdsl.data.bound import Audit, Bound, BoundLag, BoundLevel, BoundTreatment, BoundVariable
from hdsl.design.study import Study, StudyError
from hdsl.diagnostics import Diagnostic
from hdsl.inference.diagnose import Diagnosis
from hdsl.inference.groups import Group, Named, Posterior
from hdsl.model.ir import Model, ModelData
from hdsl.report.result import Result
from hdsl.report.summary import Summary
from hdsl.source import Source, Span
from hdsl.storage import NotStored

FORMAT = 2
RECORD, BOUND = "record", "bound"
ARRAY = "\0array"
FREQUENCY = "frequency"
DAMAGED = "A file of draws alone, or one that was cut off or damaged, is no result: run the study again."
Arrays = dict[str, np.ndarray]


def save(result: Result, path: Path) -> None:
    """Write a result as NetCDF, whole or not at all.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    from hdsl.inference.posterior import save as save_groups

    arrays: Arrays = {}
    record = json.dumps(_record(result, arrays), ensure_ascii=False)
    text = Group({RECORD: Named((), np.asarray(record, dtype=object))}, {}, {"format": FORMAT})
    save_groups(result.kept.now().with_groups({BOUND: _group(arrays), RECORD: text}), path)


def load(path: Path) -> Result:
    """Read a saved result; its large draws stay in the file until they are wanted.

    Raises
    ------
    StudyError
        HDM117: there is no such file, it is no result of this version of hdsl, or it was damaged. HDM713: the
        environment says no usable size of draws in memory.
    """
    from hdsl.inference.posterior import is_whole
    from hdsl.inference.posterior import load as load_groups

    if not path.is_file():
        raise _unusable(f"There is no file {path}.", "Save a result with `--out FILE.nc` or `result.save(...)`.")
    try:
        if not is_whole(path):
            raise OSError("cut off or damaged")
        found = load_groups(path)
        record = found.groups[RECORD]
        written = int(record.notes["format"])
        content = json.loads(str(record.arrays[RECORD].values))
    except NotStored as problem:
        raise StudyError([problem.diagnostic]) from None
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise _unusable(f"{path} is no whole result of hdsl ({_said(error)}).", DAMAGED) from None
    if written != FORMAT:
        help_ = "Run the study again, or read it with the hdsl that wrote it."
        raise _unusable(f"{path} is a result in format {written}; this hdsl reads format {FORMAT}.", help_)
    return _result(found, content)


def _said(error: Exception) -> str:
    return str(error) if type(error) is OSError and not error.errno else type(error).__name__


def _unusable(message: str, help_: str) -> StudyError:
    return StudyError([Diagnostic("HDM117", message, help=help_)])


def _group(arrays: Arrays) -> Group:
    return Group({name: Named(tuple(f"{name}_{i}" for i in range(a.ndim)), a) for name, a in arrays.items()}, {})


def _record(result: Result, arrays: Arrays) -> dict[str, Any]:
    return {
        "study": json.loads(result.study.model_dump_json()),
        "backend": result.backend,
        "inference": result.inference,
        "how": result.how,
        "intervals": result.intervals,
        "estimands": [_flat(each, arrays, "") for each in result.estimand_summaries],
        "parameters": [_flat(each, arrays, "") for each in result.parameter_summaries],
        "diagnosis": _flat(result.diagnosis, arrays, ""),
        "warnings": [_finding(each) for each in result.warnings],
        "source": None if result.source is None else [result.source.name, result.source.text],
        "heading": result.heading,
        "seconds": dict(result.seconds),
        "settings": _flat(result.settings, arrays, ""),
        "model": json.loads(result.model.model_dump_json()),
        "coords": {name: list(labels) for name, labels in result.data.coords.items()},
        "bound": _bound_record(result.bound, arrays),
    }


def _result(found: Posterior, content: Mapping[str, Any]) -> Result:
    arrays: Arrays = {name: each.values for name, each in found.groups[BOUND].arrays.items()}
    study = Study.from_json(json.dumps(content["study"]))
    model = Model.model_validate(content["model"])
    names = {slot.name for slot in model.slots}
    stored = {
        name: each.values
        for group in ("constant_data", "observed_data")
        if group in found.groups
        for name, each in found.groups[group].arrays.items()
    }
    data = ModelData(values={n: stored[n] for n in stored if n in names}, coords=_tuples(content["coords"]))
    return Result(
        study=study,
        backend=content["backend"],
        inference=content["inference"],
        how=content["how"],
        intervals=content.get("intervals", ""),
        estimand_summaries=tuple(_unflat(Summary, each, arrays) for each in content["estimands"]),
        parameter_summaries=tuple(_unflat(Summary, each, arrays) for each in content["parameters"]),
        diagnosis=_unflat(Diagnosis, content["diagnosis"], arrays),
        warnings=tuple(_finding_back(each) for each in content["warnings"]),
        kept=found.without((BOUND, RECORD)),
        source=None if content["source"] is None else Source.of(*content["source"]),
        heading=content["heading"],
        seconds=content["seconds"],
        settings=_unflat(Settings, content["settings"], arrays),
        model=model,
        data=data,
        bound=_bound_back(study, content["bound"], arrays),
    )


def _flat(value: Any, arrays: Arrays, prefix: str) -> dict[str, Any]:
    """Return a dataclass as JSON values; its arrays are put into `arrays`, and named in their place."""
    found: dict[str, Any] = {}
    for each in fields(value):
        part = getattr(value, each.name)
        if isinstance(part, np.ndarray):
            name = f"{prefix}_{each.name}"
            arrays[name] = part
            part = {ARRAY: name}
        found[each.name] = dict(part) if isinstance(part, Mapping) else part
    return found


def _unflat[Kind](kind: type[Kind], content: Mapping[str, Any], arrays: Arrays) -> Kind:
    values: dict[str, Any] = {}
    for name, part in content.items():
        if isinstance(part, dict) and set(part) == {ARRAY}:
            values[name] = arrays[part[ARRAY]]
        else:
            values[name] = tuple(part) if isinstance(part, list) else part
    return kind(**values)


def _tuples(content: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values) for name, values in content.items()}


def _bound_record(bound: Bound, arrays: Arrays) -> dict[str, Any]:
    return {
        "row": bound.row,
        "summed": _summed(bound, arrays),
        "audit": _flat(bound.audit, arrays, "audit"),
        "levels": [_flat(each, arrays, f"level{i}") for i, each in enumerate(bound.levels.values())],
        "variables": [_flat(each, arrays, f"variable{i}") for i, each in enumerate(bound.variables.values())],
        "treatments": [_flat(each, arrays, f"treatment{i}") for i, each in enumerate(bound.treatments.values())],
        "lags": [_flat(each, arrays, f"lag{i}") for i, each in enumerate(bound.lags.values())],
    }


def _bound_back(study: Study, content: Mapping[str, Any], arrays: Arrays) -> Bound:
    levels = [_unflat(BoundLevel, each, arrays) for each in content["levels"]]
    variables = [_unflat(BoundVariable, each, arrays) for each in content["variables"]]
    treatments = [_unflat(BoundTreatment, each, arrays) for each in content["treatments"]]
    lags = [_unflat(BoundLag, each, arrays) for each in content["lags"]]
    return Bound(
        study=study,
        row=content["row"],
        levels={each.name: each for each in levels},
        variables={each.name: each for each in variables},
        treatments={each.name: each for each in treatments},
        audit=_unflat(Audit, content["audit"], arrays),
        lags={(each.name, each.back): each for each in lags},
        frequency=arrays.get(FREQUENCY),
        measures=tuple(content.get("summed", ())),
    )


def _summed(bound: Bound, arrays: Arrays) -> list[str]:
    """Return the measures of rows that were summed up; their frequencies are put into `arrays`."""
    if bound.frequency is not None:
        arrays[FREQUENCY] = bound.frequency
    return list(bound.measures)


def _finding(found: Diagnostic) -> dict[str, Any]:
    return {
        "code": found.code,
        "message": found.message,
        "severity": found.severity,
        "span": _span(found.span),
        "help": found.help,
        "related": [[_span(span), note] for span, note in found.related],
        "rows": list(found.rows),
        "waived": found.waived,
        "path": None if found.path is None else list(found.path),
    }


def _finding_back(content: Mapping[str, Any]) -> Diagnostic:
    return Diagnostic(
        code=content["code"],
        message=content["message"],
        severity=content["severity"],
        span=_span_back(content["span"]),
        help=content["help"],
        related=tuple((Span(*span), note) for span, note in content["related"]),
        rows=tuple(content["rows"]),
        waived=content["waived"],
        path=None if content["path"] is None else tuple(content["path"]),
    )


def _span(span: Span | None) -> list[int] | None:
    return None if span is None else [span.start, span.end]


def _span_back(content: list[int] | None) -> Span | None:
    return None if content is None else Span(*content)
