"""Every stage of the compilation as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic, did_you_mean

STAGES = ("ast", "study", "model", "passes")


def stage_text(
    study: str | Path | Study, stage: str, data: str | None = None
) -> tuple[str, tuple[Diagnostic, ...]]:
    """Return a stage as text (JSON for the representations, source for backends), and the diagnostics met."""
    from hdsl.backend import installed

    known = (*STAGES, *sorted(installed()))
    if stage not in known:
        near = did_you_mean(stage, list(known))
        help_ = f"Did you mean {near}?" if near else f"Stages: {', '.join(known)}."
        return "", (Diagnostic("HDM603", f"There is no stage {stage!r} to emit.", help=help_),)
    if stage == "ast":
        return _ast(study)
    if stage == "study":
        return _study(study)
    return _model(study, stage, data)


def _ast(study: str | Path | Study) -> tuple[str, tuple[Diagnostic, ...]]:
    from hdsl.syntax.parse import parse
    from hdsl.syntax.read import read_source

    if isinstance(study, Study):
        return "", (Diagnostic("HDM603", "A study built in Python has no syntax tree.", help="Emit `study`."),)
    source = read_source(Path(study))
    if isinstance(source, Diagnostic):
        return "", (source,)
    tree, found = parse(source)
    return json.dumps(_plain(tree), indent=2, ensure_ascii=False), tuple(found)


def _plain(node: Any) -> Any:
    from dataclasses import fields, is_dataclass

    if is_dataclass(node) and not isinstance(node, type):
        inner = {f.name: _plain(getattr(node, f.name)) for f in fields(node)}
        return {"node": type(node).__name__, **inner}
    if isinstance(node, tuple | list):
        return [_plain(item) for item in node]
    return node


def _study(study: str | Path | Study) -> tuple[str, tuple[Diagnostic, ...]]:
    from hdsl.driver import open_study

    opened = open_study(study)
    text = "" if opened.study is None else opened.study.to_json()
    return text, opened.with_places(opened.diagnostics)


def _model(study: str | Path | Study, stage: str, data: str | None) -> tuple[str, tuple[Diagnostic, ...]]:
    from hdsl import backend as backends
    from hdsl.driver import derive
    from hdsl.passes import prepare

    derived = derive(study, data)
    if derived.model is None or derived.data is None:
        return "", derived.diagnostics
    if stage == "model":
        return derived.model.model_dump_json(indent=2), derived.diagnostics
    prepared, values = prepare(derived.model, derived.data)
    if stage == "passes":
        return prepared.model_dump_json(indent=2), derived.diagnostics
    backend = backends.load(stage)
    if isinstance(backend, Diagnostic):
        return "", (*derived.diagnostics, backend)
    refused = backends.refusal(prepared, backend)
    if refused is not None:
        return "", (*derived.diagnostics, refused)
    return backend.lower(prepared, values).source, derived.diagnostics
