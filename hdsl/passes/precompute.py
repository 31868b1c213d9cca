"""Definitions that depend on data alone become data.

Preserves the log density exactly. The definitions of the plain model remain for potential outcomes, which
are computed from the plain model.
"""

from __future__ import annotations

from hdsl.model.ir import Definition, Model, ModelData, RandomVariable, Slot, references
from hdsl.model.walk import expressions
from hdsl.reference.values import Value, evaluate


def precompute(model: Model, data: ModelData, open_: frozenset[str] = frozenset()) -> tuple[Model, ModelData]:
    """Return the model with data-only definitions turned into slots, and without slots nobody reads.

    What rests on the slots `open_`, whose values are not settled yet, stays a definition.
    """
    dims = {slot.name: slot.dims for slot in model.slots}
    env = {slot.name: Value(slot.dims, data.values[slot.name]) for slot in model.slots if slot.name not in open_}
    values = dict(data.values)
    slots = {slot.name: slot for slot in model.slots}
    kept: list[RandomVariable | Definition] = []
    for statement in model.statements:
        if isinstance(statement, Definition) and references(statement.value) <= env.keys():
            found = evaluate(statement.value, env)
            env[statement.name] = found
            values[statement.name] = found.real
            dims[statement.name] = found.dims
            slots[statement.name] = Slot(name=statement.name, dims=found.dims, source=statement.reason)
        else:
            kept.append(statement)
    lean = model.model_copy(update={"statements": tuple(kept), "slots": tuple(slots.values())})
    return _without_unread(lean, values, data)


def _without_unread(model: Model, values: dict, data: ModelData) -> tuple[Model, ModelData]:  # type: ignore[type-arg]
    read = {name for expr in expressions(model) for name in references(expr)}
    read |= {name for margin in model.margins for arg in margin.law.args for name in references(arg)}
    observed = (*model.observations, *model.margins)
    slots_of = ((o.slot, o.weight, o.event, o.sequence, o.rows) for o in observed)
    read |= {name for names in slots_of for name in names if name is not None}
    slots = tuple(slot for slot in model.slots if slot.name in read)
    return (
        model.model_copy(update={"slots": slots}),
        ModelData(values={slot.name: values[slot.name] for slot in slots}, coords=data.coords),
    )
