"""The data of a program, as Stan takes them."""

from __future__ import annotations

import numpy as np

from hdsl.model.ir import Model, ModelData
from hdsl_stan.declarations import is_integer
from hdsl_stan.lower import Lowered

Json = int | float | list["Json"]


def stan_data(model: Model, data: ModelData, lowered: Lowered, predict: bool = False) -> dict[str, Json]:
    """Return the items of the data block, indices and categories counted from 1."""
    items: dict[str, Json] = {name: model.sizes[index_set] for index_set, name in lowered.sizes.items()}
    for slot_name, name in lowered.slots.items():
        slot = model.slot(slot_name)
        values = np.asarray(data.values[slot_name])
        if is_integer(model, slot, lowered.shifted):
            whole = values.astype(np.int64) + (slot_name in lowered.shifted)
            items[name] = whole.tolist()
        else:
            items[name] = values.astype(np.float64).tolist()
    if lowered.predict:
        items[lowered.predict] = int(predict)
    return items
