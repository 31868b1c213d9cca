"""Sums of rows: cells of equal keys with their number of rows, means and cross-products, which can be added up.

Cross-products are about the means of the cell, so that nothing is subtracted from anything much larger than the
result; two tables are added by the formula of Chan, Golub & LeVeque (1983) for the sums of two samples,
S = S1 + S2 + (m1 - m2)(m1 - m2)' n1 n2 / (n1 + n2).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.data.table import ArrowTable, compute, numbers
from hdsl.diagnostics import Diagnostic

Reals = NDArray[np.float64]
Codes = NDArray[np.int64]
FORMAT = 1
MARK = b"hdsl"
KEY, LOW, HIGH = "key ", "low ", "high "


@dataclass(frozen=True, eq=False)
class Cells:
    """The rows of a table, summed up.

    Attributes
    ----------
    keys : pyarrow table, (cells,)
        The columns by which rows were grouped.
    lows, highs : pyarrow tables, (cells,)
        The smallest and largest values of columns that should be constant within units above the rows.
    count : array, shape (cells,)
        Complete rows.
    mean : array, shape (cells, measures)
        Means of the measures, less `shift`.
    scatter : array, shape (cells, measures, measures)
        Sums of products of the deviations from these means.
    shift : array, shape (measures,)
        A number near the values of each measure.
    missing : dict
        By measure, rows in which it is missing.
    bad : dict
        By measure, rows whose value does not fit its kind.
    rows : int
        Rows read, with incomplete ones.
    source, sha256, digest : str
        The table, its fingerprint, and that of the plan.
    """

    keys: ArrowTable
    lows: ArrowTable
    highs: ArrowTable
    count: Reals
    mean: Reals
    scatter: Reals
    shift: Reals
    rows: int
    source: str
    sha256: str
    digest: str
    missing: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of cells."""
        return len(self.count)


def merged(parts: Sequence[Cells]) -> Cells:
    """Add up the sums of disjoint sets of rows; the order in which they stand does not matter but for rounding.

    Parameters
    ----------
    parts
        At least one, all of the same plan.
    """
    import pyarrow as pa

    parts = sorted(parts, key=lambda part: (part.sha256, part.source))
    first = parts[0]
    keys = pa.concat_tables([part.keys for part in parts], promote_options="permissive")
    codes, places = codes_of(keys, sum(part.size for part in parts))
    count = np.concatenate([part.count for part in parts])
    mean = np.concatenate([part.mean + (part.shift - first.shift) for part in parts])
    scatter = np.concatenate([part.scatter for part in parts])
    size = len(places)
    total = np.bincount(codes, count, size)
    start = mean[places]
    moved = (mean - start[codes]) * count[:, None]
    middle = start + _summed(moved, codes, size) / total[:, None]
    away = mean - middle[codes]
    spread = _summed(scatter + count[:, None, None] * away[:, :, None] * away[:, None, :], codes, size)
    return Cells(
        keys=keys.take(pa.Array.from_buffers(pa.int64(), size, [None, pa.py_buffer(places)])),
        lows=_extremes([part.lows for part in parts], codes, size, "min"),
        highs=_extremes([part.highs for part in parts], codes, size, "max"),
        count=total,
        mean=middle,
        scatter=spread,
        shift=first.shift,
        rows=sum(part.rows for part in parts),
        source=", ".join(dict.fromkeys(part.source for part in parts)),
        sha256=first.sha256 if len(parts) == 1 else _hashed([part.sha256 for part in parts]),
        digest=first.digest,
        missing=_added([part.missing for part in parts]),
        bad=_added([part.bad for part in parts]),
    )


def codes_of(table: ArrowTable, rows: int) -> tuple[Codes, Codes]:
    """Return the code of each row's combination of values, sorted by the values, and the first row of each code."""
    codes = np.zeros(rows, np.int64)
    for column in table.columns:
        encoded: Any = column.combine_chunks().dictionary_encode(null_encoding="encode")
        order = numbers(compute().array_sort_indices(encoded.dictionary))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        _, codes = np.unique(codes * max(len(order), 1) + rank[numbers(encoded.indices)], return_inverse=True)
    _, places = np.unique(codes, return_index=True)
    return codes.astype(np.int64), places.astype(np.int64)


def _summed(values: Reals, codes: Codes, size: int) -> Reals:
    found = np.empty((size, *values.shape[1:]))
    flat, summed = values.reshape(len(values), int(np.prod(values.shape[1:]))), found.reshape(size, -1)
    for place, column in enumerate(flat.T):
        summed[:, place] = np.bincount(codes, column, size)
    return found


def _extremes(parts: Sequence[ArrowTable], codes: Codes, size: int, which: str) -> ArrowTable:
    import pyarrow as pa

    whole = pa.concat_tables(parts, promote_options="permissive")
    if whole.num_columns == 0:
        return whole
    grouped = whole.append_column("\0code", pa.array(codes)).group_by("\0code")
    found = grouped.aggregate([(name, which) for name in whole.column_names]).sort_by("\0code")
    return pa.table({name: found.column(f"{name}_{which}") for name in whole.column_names})


def _hashed(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _added(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, number in part.items():
            found[name] = found.get(name, 0) + number
    return found


def save(cells: Cells, path: Path) -> None:
    """Write sums as Parquet, whole or not at all.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    measures = range(cells.mean.shape[1])
    columns: dict[str, Any] = {KEY + name: cells.keys.column(name) for name in cells.keys.column_names}
    columns |= {LOW + name: cells.lows.column(name) for name in cells.lows.column_names}
    columns |= {HIGH + name: cells.highs.column(name) for name in cells.highs.column_names}
    columns["rows"] = cells.count
    columns |= {f"mean {i}": cells.mean[:, i] for i in measures}
    columns |= {f"scatter {i} {j}": cells.scatter[:, i, j] for i in measures for j in measures if i <= j}
    names = ("rows", "source", "sha256", "digest", "missing", "bad")
    note = {name: getattr(cells, name) for name in names} | {"shift": cells.shift.tolist(), "format": FORMAT}
    table = pa.table(columns).replace_schema_metadata({MARK: json.dumps(note)})
    temporary = path.with_name(f".{path.name}.part")
    try:
        pq.write_table(table, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> Cells | Diagnostic:
    """Read sums; HDM371 where the file is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    help_ = "Make it with `hdsl summarise STUDY.hdm part.parquet --out stats.parquet`."
    try:
        table = pq.ParquetFile(path).read()
        note = json.loads((table.schema.metadata or {})[MARK])
        if note.pop("format") != FORMAT:
            return Diagnostic("HDM371", f"{path} was written by another version of hdsl.", help=help_)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        reason = f"{type(error).__name__}" if not isinstance(error, FileNotFoundError) else "there is no such file"
        return Diagnostic("HDM371", f"{path} holds no sums of rows ({reason}).", help=help_)
    shift = np.asarray(note.pop("shift"), np.float64)
    size = len(shift)
    mean, scatter = np.empty((table.num_rows, size)), np.empty((table.num_rows, size, size))
    for i in range(size):
        mean[:, i] = reals(table, f"mean {i}")
        for j in range(i, size):
            scatter[:, i, j] = scatter[:, j, i] = reals(table, f"scatter {i} {j}")
    kept = {name: value for name, value in note.items() if name in {each.name for each in fields(Cells)}}
    return Cells(
        keys=_begun(table, KEY),
        lows=_begun(table, LOW),
        highs=_begun(table, HIGH),
        count=reals(table, "rows"),
        mean=mean,
        scatter=scatter,
        shift=shift,
        **kept,
    )


def reals(table: ArrowTable, name: str) -> Reals:
    """Return a column as floats, NaN where a value is missing."""
    return numbers(table.column(name)).astype(np.float64)


def _begun(table: ArrowTable, prefix: str) -> ArrowTable:
    names = [name for name in table.column_names if name.startswith(prefix)]
    return table.select(names).rename_columns([name.removeprefix(prefix) for name in names])
