"""Every stage of the compilation as text."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from hdsl import backend as backends
from hdsl.diagnostics import Diagnostic, did_you_mean
from hdsl.model.ir import Model, ModelData

STAGES = ("ast", "study", "model", "passes")


def unknown_stage(stage: str) -> Diagnostic | None:
    """Return HDM603 where there is no such stage."""
    known = (*STAGES, *sorted(backends.installed()))
    if stage in known:
        return None
    near = did_you_mean(stage, list(known))
    help_ = f"Did you mean {near}?" if near else f"Stages: {', '.join(known)}."
    return Diagnostic("HDM603", f"There is no stage {stage!r} to emit.", help=help_)


def tree_text(tree: Any) -> str:
    """Return a syntax tree as JSON."""
    return "" if tree is None else json.dumps(_plain(tree), indent=2, ensure_ascii=False)


def _plain(node: Any) -> Any:
    from dataclasses import fields, is_dataclass

    if is_dataclass(node) and not isinstance(node, type):
        inner = {f.name: _plain(getattr(node, f.name)) for f in fields(node)}
        return {"node": type(node).__name__, **inner}
    if isinstance(node, tuple | list):
        return [_plain(item) for item in node]
    return node


def model_text(model: Model, data: ModelData, stage: str, inference: str = "auto") -> tuple[str, Diagnostic | None]:
    """Return the plain model or the prepared one as JSON, or a backend's source; the problem where it cannot."""
    if stage == "model":
        return model.model_dump_json(indent=2), None
    if stage == "passes":
        made = _prepared(model, data, inference, None)
        return ("", made) if isinstance(made, Diagnostic) else (made[0].model_dump_json(indent=2), None)
    backend = backends.load(stage)
    if isinstance(backend, Diagnostic):
        return "", backend
    made = _prepared(model, data, inference, backend)
    return ("", made) if isinstance(made, Diagnostic) else (backend.lower(*made).source, None)


def _prepared(
    model: Model, data: ModelData, inference: str, backend: backends.Backend | None
) -> tuple[Model, ModelData] | Diagnostic:
    """Return the model that NUTS runs on, and its arrays."""
    from hdsl.backend import Settings
    from hdsl.inference.fit import not_integrated
    from hdsl.inference.integrated import Integrated, to_sample
    from hdsl.passes import prepare

    chosen = to_sample(model, data, Settings(inference=inference), backend)
    if isinstance(chosen, Integrated):
        return chosen.prepared, chosen.values
    if inference == "marginal":
        return not_integrated(chosen.reason, inference)
    prepared, values = prepare(model, data)
    refused = None if backend is None else backends.refusal(prepared, backend)
    return (prepared, values) if refused is None else refused


def data_file(model: Model, data: ModelData, stage: str, inference: str = "auto") -> bytes | Diagnostic:
    """Return the file from which a backend's program reads its data: as the backend writes it, else NumPy's npz."""
    if stage not in backends.installed():
        return Diagnostic("HDM603", f"The stage {stage!r} is no program that reads data.", help="Emit a backend.")
    backend = backends.load(stage)
    if isinstance(backend, Diagnostic):
        return backend
    made = _prepared(model, data, inference, backend)
    if isinstance(made, Diagnostic):
        return made
    prepared, values = made
    own = getattr(backend, "data_file", None)
    if own is not None:
        return bytes(own(prepared, values))
    file = io.BytesIO()
    arrays = {name: np.asarray(value) for name, value in values.values.items()}
    np.savez(file, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    return file.getvalue()
