"""Tables as data frames, through narwhals: pandas, polars or pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hdsl.report.summary import Summary

Frames = Literal["pandas", "polars", "pyarrow"]
NUMBERS = ("mean", "sd", "q5", "q50", "q95", "positive")


def frame(columns: Mapping[str, Sequence[object]], kind: Frames) -> Any:
    """Return columns as a data frame of the kind asked for.

    Raises
    ------
    ModuleNotFoundError
        That library is not installed.
    """
    import narwhals as nw

    return nw.from_dict({name: list(values) for name, values in columns.items()}, backend=kind).to_native()


def table(key: str, rows: Sequence[Summary]) -> dict[str, list[object]]:
    """Return summaries as columns: the name under `key`, a column for each level of an index, the numbers.

    The column of a level is empty (None) for quantities that it does not index, and absent where it indexes none.
    """
    levels = list(dict.fromkeys(level for row in rows for level in row.index))
    found: dict[str, list[object]] = {key: [row.name for row in rows]}
    for level in levels:
        column = f"{level}_" if level in (key, *NUMBERS) else level
        found[column] = [row.index.get(level) for row in rows]
    return found | {name: [getattr(row, name) for row in rows] for name in NUMBERS}


def rows_of(data: Any) -> dict[str, list[Any]]:
    """Return any data frame that narwhals knows, or a mapping of columns, as columns of Python values."""
    if isinstance(data, Mapping):
        return {str(name): list(values) for name, values in data.items()}
    import narwhals as nw

    found = nw.from_native(data, eager_only=True)
    return {name: found[name].to_list() for name in found.columns}
