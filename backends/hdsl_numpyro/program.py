"""A Model as a NumPyro program: readable source that runs without hdsl."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from textwrap import wrap

from hdsl.backend import Program, Settings
from hdsl.model import distributions as laws
from hdsl.model.array_source import ATOM, Code, Scope, aligned, index_slots, law_arguments, law_sizes, lower
from hdsl.model.ir import (
    Definition,
    Dims,
    Factor,
    Law,
    Model,
    Observation,
    RandomVariable,
)
from hdsl.model.python_text import folded, notes_paragraph, plain
from hdsl.model.roles import in_words
from hdsl.model.walk import needed
from hdsl_numpyro.distributions import DISTRIBUTIONS, HELPERS, SURVIVAL
from hdsl_numpyro.functions import DIALECT

WIDTH = 100
_FIXED = "np jax jnp numpyro dist model data sys MCMC NUTS sampler mcmc"
_OURS = frozenset([*_FIXED.split(), *HELPERS])

_HEAD = '''"""NumPyro program of the study {title}.
{notes}
Run it with:  python {file}.py data.npz
where data.npz holds the arrays that `model` reads; `hdsl compile --data-out data.npz` writes it.
"""

{imports}
import numpyro
import numpyro.distributions as dist

numpyro.enable_x64()
'''

_TAIL = f"""

if __name__ == "__main__":
    import sys

    import numpy as np
    from numpyro.infer import MCMC, NUTS

    sampler = NUTS(model, target_accept_prob={Settings.target_accept})
    mcmc = MCMC(sampler, num_warmup=1000, num_samples=1000, num_chains=4)
    mcmc.run(jax.random.key(1), dict(np.load(sys.argv[1])))
    mcmc.print_summary()
"""


@dataclass(frozen=True)
class _Line:
    """One statement of the program with the comment above it."""

    code: str
    comment: str = ""


def lower_model(model: Model) -> Program:
    """Return the NumPyro program of a model; KeyError for a distribution or function that is not covered."""
    scope = _scope(model)
    kept = needed(model)
    body: list[_Line] = []
    for statement in model.statements:
        if isinstance(statement, RandomVariable):
            body.append(_variable(statement, scope))
        elif statement.name in kept:
            line, scope = _definition(statement, scope)
            body.append(line)
    sites = _sites(model)
    for observation in model.observations:
        body.extend(_observation(observation, sites[observation.name], scope))
    body.extend(_factor(factor, sites[factor.name], scope) for factor in model.factors)
    source = _text(model, scope, body, kept)
    return Program("numpyro", source, {variable.name: variable.name for variable in model.variables})


def _fresh(name: str, taken: Iterable[str]) -> str:
    used = set(taken)
    while name in used or keyword.iskeyword(name):
        name += "_"
    return name


def _scope(model: Model) -> Scope:
    names: dict[str, str] = {}
    for value in (*model.slots, *model.statements):
        names[value.name] = _fresh(value.name, (*_OURS, *names.values()))
    sizes: dict[str, str] = {}
    for index_set in model.index_sets:
        sizes[index_set.name] = _fresh(f"n_{index_set.name}", (*_OURS, *names.values(), *sizes.values()))
    return Scope(names, model.dims_of(), sizes, DIALECT, index_slots(model))


def _sites(model: Model) -> dict[str, str]:
    """Return the name of each observation's and factor's site, apart from those of the random variables."""
    taken = {variable.name for variable in model.variables}
    found: dict[str, str] = {}
    for value in (*model.observations, *model.factors):
        found[value.name] = _fresh(value.name, (*taken, *found.values()))
    return found


def _over_event(args: Mapping[str, Code], law: Law, dims: Dims, scope: Scope) -> dict[str, Code]:
    """Return the arguments with those that must have the event dim broadcast over it."""
    found = dict(args)
    size = scope.sizes[dims[-1]]
    for name in DISTRIBUTIONS[law.distribution].full:
        code = found[name]
        if dims[-1] not in code.dims:
            wide = f"jnp.tile({code.binding(ATOM)}[..., None], {size})"
            found[name] = Code(wide if code.dims else f"jnp.full({size}, {code})", ATOM, (*code.dims, dims[-1]))
    return found


def _constructor(law: Law, args: Mapping[str, Code], dims: Dims, scope: Scope, value: str = "") -> str:
    row, event = DISTRIBUTIONS[law.distribution], laws.DISTRIBUTIONS[law.distribution].event
    given = _over_event(args, law, dims, scope) if row.full else args
    size = scope.sizes[dims[-1]] if event else ""
    return row.template.format(**given, **law_sizes(law, args, scope), value=value, event=size)


def _variable(variable: RandomVariable, scope: Scope) -> _Line:
    law, dims = variable.law, variable.dims
    if law.distribution == "bart":
        surface = f"{scope.names[variable.name]} = data[{json.dumps(variable.name)}]"
        return _Line(surface, f"{_comment(variable.role, variable.reason)}; bartz draws it between the steps of NUTS")
    args = law_arguments(law, dims, scope)
    event = laws.DISTRIBUTIONS[law.distribution].event
    batch = dims[: len(dims) - event]
    constructor = _constructor(law, args, dims, scope)
    covered = {dim for code in args.values() for dim in code.dims}
    if not covered.issuperset(batch):
        constructor += f".expand({_shape(batch, scope)})"
    name = scope.names[variable.name]
    code = _call(f"{name} = numpyro.sample", json.dumps(variable.name), constructor)
    return _Line(code, _comment(variable.role, variable.reason))


def _call(function: str, *args: str) -> str:
    """Return a call on one line, or with one argument a line where it would be too long."""
    line = f"{function}({', '.join(args)})"
    if len(line) + 4 <= WIDTH:
        return line
    return "\n    ".join([f"{function}(", *(f"{arg}," for arg in args)]) + "\n)"


def _shape(dims: Dims, scope: Scope) -> str:
    return f"[{', '.join(scope.sizes[dim] for dim in dims)}]"


def _comment(role: str | None, reason: str) -> str:
    return ": ".join(plain(part) for part in (in_words(role or ""), reason) if part)


def _definition(definition: Definition, scope: Scope) -> tuple[_Line, Scope]:
    code = lower(definition.value, scope)
    name = scope.names[definition.name]
    line = _Line(_assignment(name, code), _comment(definition.role, definition.reason))
    return line, replace(scope, dims={**scope.dims, definition.name: code.dims})


def _assignment(name: str, code: Code) -> str:
    line = f"{name} = {code.text}"
    if len(line) + 4 <= WIDTH or len(code.terms) < 2:
        return line
    first, *rest = code.terms
    return "\n    ".join([f"{name} = (", first[1], *(f"{sign} {text}" for sign, text in rest)]) + "\n)"


def _observation(observation: Observation, site: str, scope: Scope) -> Iterator[_Line]:
    law, dims = observation.law, observation.dims
    args = law_arguments(law, dims, scope)
    y = scope.names[observation.slot]
    comment = _comment(observation.outcome, observation.reason)
    row = DISTRIBUTIONS[law.distribution]
    built = _constructor(law, args, dims, scope, y)
    if not row.log_prob and observation.weight is None and observation.event is None:
        yield _Line(_call("numpyro.sample", json.dumps(site), built, f"obs={y}"), comment)
        return
    log_prob = built if row.log_prob else f"{built}.log_prob({y})"
    if observation.event is not None:
        ended = aligned(lower_name(observation.event, scope), dims).binding(ATOM)
        survival = SURVIVAL[law.distribution].format(**args, value=y)
        name = _fresh(f"{y}_log_prob", (*_OURS, *scope.names.values(), *scope.sizes.values()))
        yield _Line(_call(f"{name} = jnp.where", f"{ended} != 0", log_prob, survival), comment)
        log_prob, comment = name, ""
    if observation.weight is not None:
        weight = aligned(lower_name(observation.weight, scope), dims).binding(ATOM)
        log_prob = f"{weight} * {log_prob}"
    yield _Line(_call("numpyro.factor", json.dumps(site), log_prob), comment)


def lower_name(name: str, scope: Scope) -> Code:
    """Return the code of a named value."""
    return Code(scope.names[name], ATOM, scope.dims[name])


def _factor(factor: Factor, site: str, scope: Scope) -> _Line:
    return _Line(f"numpyro.factor({json.dumps(site)}, {lower(factor.value, scope)})", _comment(None, factor.reason))


def _text(model: Model, scope: Scope, body: list[_Line], kept: frozenset[str]) -> str:
    code = "\n".join(line.code for line in body)
    words = set(re.findall(r"\w+", code))
    sizes = [f"{scope.sizes[each.name]} = {each.size}" for each in model.index_sets if scope.sizes[each.name] in words]
    helpers = _helpers(words)
    file = re.sub(r"\W+", "_", model.name) or "study"
    imports = _imports("".join([code, *helpers]))
    head = _HEAD.format(title=plain(model.name), notes=notes_paragraph(model.notes, WIDTH), file=file, imports=imports)
    slots = [
        _Line(f"{scope.names[slot.name]} = data[{json.dumps(slot.name)}]", plain(slot.source))
        for slot in model.slots
        if slot.name in kept
    ]
    lines = ["def model(data):", *_indented(_slot_lines(slots)), *_indented(_commented(body))]
    parts = [head, "\n".join([*sizes, ""]) if sizes else "", *helpers]
    return folded(_joined(parts) + "\n\n" + "\n".join(lines) + "\n" + _TAIL, WIDTH)


def _imports(code: str) -> str:
    used = ["import jax"]
    used += ["import jax.numpy as jnp"] if "jnp." in code else []
    used += [f"import {module}" for module in ("jax.scipy.special", "jax.scipy.stats") if module in code]
    return "\n".join(used)


def _joined(parts: Iterable[str]) -> str:
    head, sizes, *helpers = parts
    text = head + (f"\n{sizes}" if sizes else "")
    return text + "".join(f"\n\n{helper.strip()}\n" for helper in helpers)


def _helpers(words: set[str]) -> list[str]:
    wanted = set(words)
    for name, text in reversed(list(HELPERS.items())):
        if name in wanted:
            wanted |= set(re.findall(r"\w+", text))
    return [text for name, text in HELPERS.items() if name in wanted]


def _slot_lines(slots: list[_Line]) -> list[str]:
    return [f"{line.code}  # {line.comment}" if line.comment else line.code for line in slots]


def _commented(body: list[_Line]) -> list[str]:
    lines: list[str] = []
    for line in body:
        lines += wrap(line.comment, WIDTH - 4, initial_indent="# ", subsequent_indent="# ")
        lines.extend(line.code.split("\n"))
    return lines


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
