"""A Model as a PyMC program: readable source that runs without hdsl."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np

from hdsl.backend import Program
from hdsl.model import distributions as laws
from hdsl.model.array_source import ATOM, Code, Scope, aligned, index_slots, law_arguments, law_sizes, lower
from hdsl.model.ir import (
    Const,
    Definition,
    Dims,
    Factor,
    IndexSet,
    Law,
    Model,
    ModelData,
    Observation,
    RandomVariable,
    Slot,
    Var,
)
from hdsl.model.roles import in_words
from hdsl.model.walk import needed
from hdsl_pymc.distributions import DISTRIBUTIONS, SURVIVAL, WRITTEN_OUT
from hdsl_pymc.functions import DIALECT
from hdsl_pymc.helpers import HELPERS
from hdsl_pymc.text import WIDTH, call, commented, helpers_used, plain, quoted, source_text

_FIXED = "np pm pt az sys model study data pytensor COORDS coords DOUBLE trace range"
_OURS = frozenset([*_FIXED.split(), *HELPERS])
TREES = 50
_RESERVED_DIMS = ("chain", "draw", "__sample__")


@dataclass(frozen=True)
class _Names:
    """Names of the program: Python names and dims of values, PyMC's names of dims, sites of observations."""

    scope: Scope
    dims: Mapping[str, str]
    sites: Mapping[str, str]


@dataclass(frozen=True)
class _Line:
    """One statement of the program with the comment above it."""

    code: str
    comment: str = ""


def lower_model(model: Model, data: ModelData) -> Program:
    """Return the PyMC program of a model; KeyError for a distribution or function that is not covered.

    Of the data it holds the sizes of index sets, and the labels of those that are not levels. Labels of levels are
    read with the data, where these have them (`data_file`); else their elements are numbered.
    """
    names = _names(model)
    kept = needed(model)
    body: list[_Line] = []
    for statement in model.statements:
        if isinstance(statement, RandomVariable):
            body.append(_variable(statement, names))
        elif statement.name in kept:
            line, names = _definition(statement, names, model.unit)
            body.append(line)
    for observation in model.observations:
        body.extend(_observation(observation, names))
    body.extend(_factor(factor, names) for factor in model.factors)
    source = _text(model, data, names, body, kept)
    return Program("pymc", source, {variable.name: variable.name for variable in model.variables})


def _fresh(name: str, taken: Iterable[str]) -> str:
    used = set(taken)
    while name in used or keyword.iskeyword(name):
        name += "_"
    return name


def _names(model: Model) -> _Names:
    python: dict[str, str] = {}
    for value in (*model.slots, *model.statements):
        python[value.name] = _fresh(value.name, (*_OURS, *python.values()))
    taken = [*_RESERVED_DIMS, *(value.name for value in (*model.slots, *model.statements))]
    sites: dict[str, str] = {}
    for value in (*model.observations, *model.factors):
        sites[value.name] = _fresh(value.name, (*taken, *sites.values()))
    dims: dict[str, str] = {}
    for index_set in model.index_sets:
        dims[index_set.name] = _fresh(index_set.name, (*taken, *sites.values(), *dims.values()))
    sizes = {index_set.name: str(index_set.size) for index_set in model.index_sets}
    return _Names(Scope(python, model.dims_of(), sizes, DIALECT, index_slots(model)), dims, sites)


def _arguments(law: Law, dims: Dims, names: _Names) -> dict[str, Code]:
    """Return a law's arguments by parameter name, aligned with the dims of the variable."""
    row = DISTRIBUTIONS[law.distribution]
    found = law_arguments(law, dims, names.scope)
    for name in row.full:
        code = found[name]
        if dims[-1] not in code.dims:
            places = "[..., None]" if code.dims else ""
            wide = f"{code.binding(ATOM)}{places} * np.ones({names.scope.sizes[dims[-1]]})"
            found[name] = Code(wide, 0, (*code.dims, dims[-1]))
    return found


def _filled(law: Law, args: Mapping[str, Code], dims: Dims, names: _Names) -> str:
    return ", ".join(_each(law, args, dims, names))


def _each(law: Law, args: Mapping[str, Code], dims: Dims, names: _Names) -> list[str]:
    event = names.scope.sizes[dims[-1]] if laws.DISTRIBUTIONS[law.distribution].event else ""
    return [each.format(**args, event=event) for each in DISTRIBUTIONS[law.distribution].arguments.split(", ")]


def _named(site: str, law: Law, dims: Dims, names: _Names, more: Iterable[str]) -> list[str]:
    """Return the function and the arguments that make a named variable of a law."""
    row = DISTRIBUTIONS[law.distribution]
    given = _each(law, _arguments(law, dims, names), dims, names)
    arguments = [json.dumps(site), *([", ".join(given)] if sum(map(len, given)) + 16 <= WIDTH else given)]
    target = row.target
    if row.logp:
        target = "pm.CustomDist"
        arguments.append(f"logp={row.target}")
        arguments += [f'signature="{row.signature}"'] if row.signature else []
        arguments += ['dtype="int64"'] if laws.DISTRIBUTIONS[law.distribution].discrete else []
    return [target, *arguments, *more, *_dims_argument(dims, names)]


def _dims_argument(dims: Dims, names: _Names) -> list[str]:
    shown = [json.dumps(names.dims[dim]) for dim in dims]
    if not shown:
        return []
    return [f"dims={shown[0]}" if len(shown) == 1 else f"dims=({', '.join(shown)})"]


def _variable(variable: RandomVariable, names: _Names) -> _Line:
    law, dims = variable.law, variable.dims
    more: list[str] = []
    if law.distribution == "bart":
        return _trees(variable, names)
    if laws.DISTRIBUTIONS[law.distribution].support == "ordered":
        more = ["transform=pm.distributions.transforms.ordered", f"initval={_increasing(dims, names)}"]
    function, *arguments = _named(variable.name, law, dims, names, more)
    name = names.scope.names[variable.name]
    return _Line(call(f"{name} = {function}", *arguments), _comment(variable.role, variable.reason))


def _trees(variable: RandomVariable, names: _Names) -> _Line:
    """Return a sum of trees over the rows under each arm; `Y` holds no data but the scale of the prior."""
    covariates, _, sd = variable.law.args
    assert isinstance(covariates, Var)
    assert isinstance(sd, Const)
    name, site = names.scope.names[variable.name], json.dumps(f"{variable.name}_trees")
    x = f"data[{json.dumps(covariates.name)}]"
    points = f"{x}.reshape(-1, {x}.shape[-1])"
    scale = f"np.resize([{-sd.value!r}, {sd.value!r}], {x}.shape[0] * {x}.shape[1])"
    made = call(f"{name}_trees = pymc_bart.BART", site, points, scale, f"m={TREES}")
    kept = f"{name}_trees.reshape({x}.shape[:2])"
    shown = call(f"{name} = pm.Deterministic", json.dumps(variable.name), kept, *_dims_argument(variable.dims, names))
    return _Line(f"{made}\n{shown}", _comment(variable.role, variable.reason))


def _increasing(dims: Dims, names: _Names) -> str:
    sizes = [names.scope.sizes[dim] for dim in dims]
    line = f"np.linspace(-1.0, 1.0, {sizes[-1]})"
    return line if len(sizes) == 1 else f"np.tile({line}, ({', '.join([*sizes[:-1], '1'])}))"


def _comment(role: str | None, reason: str) -> str:
    return ": ".join(plain(part) for part in (in_words(role or ""), reason) if part)


def _definition(definition: Definition, names: _Names, unit: str) -> tuple[_Line, _Names]:
    """Return a definition; one that has a role and is not over the rows is kept among the draws."""
    code = lower(definition.value, names.scope)
    name = names.scope.names[definition.name]
    role = definition.role or ""
    shown = role and in_words(role) == role and unit not in code.dims
    text = _kept(name, definition.name, code, names) if shown else _assignment(name, code)
    line = _Line(text, _comment(role, definition.reason))
    scope = replace(names.scope, dims={**names.scope.dims, definition.name: code.dims})
    return line, replace(names, scope=scope)


def _kept(name: str, site: str, code: Code, names: _Names) -> str:
    text = code.text
    if len(text) + 12 > WIDTH and len(code.terms) > 1:
        first, *rest = code.terms
        text = "\n    ".join([first[1], *(f"{sign} {term}" for sign, term in rest)])
    return call(f"{name} = pm.Deterministic", json.dumps(site), text, *_dims_argument(code.dims, names))


def _assignment(name: str, code: Code) -> str:
    line = f"{name} = {code.text}"
    if len(line) + 8 <= WIDTH or len(code.terms) < 2:
        return line
    first, *rest = code.terms
    return "\n    ".join([f"{name} = (", first[1], *(f"{sign} {text}" for sign, text in rest)]) + "\n)"


def _observation(observation: Observation, names: _Names) -> Iterator[_Line]:
    law, dims, site = observation.law, observation.dims, names.sites[observation.name]
    y = names.scope.names[observation.slot]
    comment = _comment(observation.outcome, observation.reason)
    if law.distribution in WRITTEN_OUT and observation.weight is None:
        args = _arguments(law, dims, names)
        sizes = law_sizes(law, args, names.scope)
        written = WRITTEN_OUT[law.distribution].format(**args, **sizes, value=y, event=names.scope.sizes[dims[-1]])
        batch = dims[: len(dims) - laws.DISTRIBUTIONS[law.distribution].event]
        yield _Line(call("pm.Potential", json.dumps(site), written, *_dims_argument(batch, names)), comment)
        return
    if observation.weight is None and observation.event is None:
        function, *arguments = _named(site, law, dims, names, [f"observed={y}"])
        yield _Line(call(function, *arguments), comment)
        return
    args = _arguments(law, dims, names)
    log_prob = _log_prob(law, args, dims, names, y)
    if observation.event is not None:
        ended = _aligned(observation.event, dims, names)
        survival = SURVIVAL[law.distribution].format(**args, value=y)
        name = _fresh(f"{y}_logp", (*_OURS, *names.scope.names.values()))
        yield _Line(call(f"{name} = pt.where", f"pt.neq({ended}, 0)", log_prob, survival), comment)
        log_prob, comment = name, ""
    if observation.weight is not None:
        log_prob = f"{_aligned(observation.weight, dims, names)} * {log_prob}"
    yield _Line(call("pm.Potential", json.dumps(site), log_prob, *_dims_argument(dims, names)), comment)


def _log_prob(law: Law, args: Mapping[str, Code], dims: Dims, names: _Names, y: str) -> str:
    row = DISTRIBUTIONS[law.distribution]
    filled = _filled(law, args, dims, names)
    return f"{row.target}({y}, {filled})" if row.logp else f"pm.logp({row.target}.dist({filled}), {y})"


def _aligned(name: str, dims: Dims, names: _Names) -> str:
    code = Code(names.scope.names[name], ATOM, names.scope.dims[name])
    return aligned(code, dims).binding(ATOM)


def _factor(factor: Factor, names: _Names) -> _Line:
    value = lower(factor.value, names.scope)
    return _Line(call("pm.Potential", json.dumps(names.sites[factor.name]), value.text), _comment(None, factor.reason))


def _text(model: Model, data: ModelData, names: _Names, body: list[_Line], kept: frozenset[str]) -> str:
    lines = [_data(slot, names) for slot in model.slots if slot.name in kept]
    code = [text for line in (*lines, *body) for text in commented(line.code, line.comment, beside=line in lines)]
    coords = _coords(model, data, names, "\n".join(code))
    return source_text(model.name, coords, helpers_used(code), code, model.notes)


def _data(slot: Slot, names: _Names) -> _Line:
    value = f"data[{json.dumps(slot.name)}]"
    code = call(
        f"{names.scope.names[slot.name]} = pm.Data", json.dumps(slot.name), value, *_dims_argument(slot.dims, names)
    )
    return _Line(code, plain(slot.source))


def _coords(model: Model, data: ModelData, names: _Names, code: str) -> list[str]:
    """Return the lines of the coordinates: numbers for the elements of levels, labels for the others."""
    lines: list[str] = []
    for index_set in model.index_sets:
        name = json.dumps(names.dims[index_set.name])
        if not re.search(rf"dims=[^=]*{re.escape(name)}", code):
            continue
        labels = _labels(index_set, data)
        if index_set.kind == "level" or not labels:
            lines.append(f"{name}: range({index_set.size}),")
        else:
            lines.append(f"{name}: [{', '.join(quoted(label) for label in labels)}],")
    return lines


def _labels(index_set: IndexSet, data: ModelData) -> list[str]:
    """Return the labels of the elements, none where they do not tell them apart."""
    labels = [str(label) for label in data.coords.get(index_set.name, ())]
    return labels if len(set(labels)) == index_set.size == len(labels) else []


def data_file(model: Model, data: ModelData) -> bytes:
    """Return the npz file that a program reads when it is run by hand: the data, and the labels of the levels."""
    dims = _names(model).dims
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in data.values.items()}
    for index_set in model.index_sets:
        labels = _labels(index_set, data)
        if index_set.kind == "level" and labels:
            arrays[f"coords:{dims[index_set.name]}"] = np.array(labels, dtype=np.str_)
    file = BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()
