"""Models that are derived from small studies, for structures that no hand-written model has."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from hdsl.inference.integrated import Integrated, integrated
from hdsl.model.ir import Model, ModelData
from tests.estimands import test_histories
from tests.model import test_array_effects, test_effect_scales, test_mixture_effects, test_serial
from tests.passes import shapes

Builder = Callable[[], tuple[Model, ModelData]]


def _serial(structure: str, kind: str) -> tuple[Model, ModelData]:
    with tempfile.TemporaryDirectory() as folder:
        return test_serial.made(test_serial.study(Path(folder), structure, kind=kind))


def _lagged(kind: str) -> tuple[Model, ModelData]:
    with tempfile.TemporaryDirectory() as folder:
        more = "adjust for lag(z), x correlate y within person as ar1"
        return test_serial.made(test_histories.study(Path(folder), kind=kind, more=more))


def _scales(kind: str, analysis: str) -> tuple[Model, ModelData]:
    with tempfile.TemporaryDirectory() as folder:
        return test_effect_scales.model_of(test_effect_scales.made(Path(folder), analysis, kind, groups=5, per=4))


def _clusters(kind: str, analysis: str) -> tuple[Model, ModelData]:
    with tempfile.TemporaryDirectory() as folder:
        path, _ = test_mixture_effects.made(Path(folder), analysis, kind, groups=6, per=4)
        return test_mixture_effects.model_of(path)


def _cells(kind: str, analysis: str) -> tuple[Model, ModelData]:
    with tempfile.TemporaryDirectory() as folder:
        return test_array_effects.model_of(test_array_effects.made(Path(folder), analysis, kind, per=1))


def _integrated(shape: str) -> tuple[Model, ModelData]:
    with tempfile.TemporaryDirectory() as folder:
        found = integrated(*shapes.made(shape, Path(folder)))
    assert isinstance(found, Integrated)
    return found.prepared, found.values


_TOGETHER = (
    ("ar1", "real"),
    ("ar1", "positive"),
    ("ar1", "binary"),
    ("exchangeable", "real"),
    ("unstructured", "real"),
    ("unstructured", "binary"),
)
_INTEGRATED = (
    "no groups",
    "joint effects",
    "separate effects",
    "spread by arm",
    "spread across schools",
    "nested, effects at both levels",
    "crossed, slopes by month",
    "weighted",
    "means with predictors",
    "products of spreads and standard effects",
)
DERIVED: Mapping[str, Builder] = {
    **{f"integrated out: {name}": partial(_integrated, name) for name in _INTEGRATED},
    **{f"rows together: {structure}, {kind}": partial(_serial, structure, kind) for structure, kind in _TOGETHER},
    **{f"spread of effects: {kind}": partial(_scales, kind, test_effect_scales.BOTH) for kind in ("real", "binary")},
    "spread of effects: student": partial(
        _scales, "real", "vary x across school uncorrelated as student variance of x across school with size"
    ),
    **{
        f"effects in clusters: {kind}": partial(_clusters, kind, test_mixture_effects.BOTH)
        for kind in ("real", "binary")
    },
    "effects in clusters, their spread by group": partial(
        _clusters, "real", f"{test_mixture_effects.EFFECT} variance of z across school with size"
    ),
    "effects over cells: two factors": partial(_cells, "real", test_array_effects.TWO),
    "effects over cells: three factors": partial(_cells, "binary", test_array_effects.THREE),
    **{f"lagged outcome: {kind}": partial(_lagged, kind) for kind in ("real", "binary")},
}
