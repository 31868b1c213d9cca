"""Arrow columns made plain: one array of text, numbers, dates or truth values, and how it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.data.table import ArrowArray, Column, Mask, compute
from hdsl.data.textfile import MISSING
from hdsl.diagnostics import Diagnostic

NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
COMMA_NUMBER = r"^[-+]?(\d+,\d+|,\d+)([eE][-+]?\d+)?$"
TRAILING_ZEROS = r"^-?\d+\.0+$"
ISO_DATE = r"^\d{4}-[01]\d-[0-3]\d([T ][0-2]\d:[0-5]\d(:[0-5]\d)?)?$"
EXACT = 2.0**53


def to_plain(column: Column) -> Any:
    """One Arrow array of trimmed text (large_string), integers, float32 or float64, bool, decimal or dates.

    Texts are in Unicode form NFC, dictionaries are decoded, and NaN is null. HDM220 for lists, structures and
    other things.
    """
    import pyarrow as pa

    pc = compute()
    t = pa.types
    values = column.values
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    if t.is_run_end_encoded(values.type):
        values = pc.run_end_decode(values)
    if t.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    type = values.type
    if t.is_string(type) or t.is_large_string(type) or t.is_string_view(type) or t.is_null(type):
        text = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
        plain_text = pc.all(pc.string_is_ascii(text)).as_py() is not False
        return text if plain_text else pc.utf8_normalize(text, form="NFC")
    if t.is_floating(type):
        values = values.cast(pa.float64()) if not t.is_float32(type) else values
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if t.is_integer(type) or t.is_boolean(type) or t.is_decimal(type) or is_date(type):
        return values
    message = f"Column {column.name!r} in {column.source} is neither number, text nor date but {type}."
    return Diagnostic("HDM220", message, help="Store it as a number, a text or a date.")


def as_text(column: Column) -> Any:
    """The column as Arrow text, numbers and dates written naturally; HDM220 where it cannot be."""
    plain = to_plain(column)
    return plain if isinstance(plain, Diagnostic) else natural_text(plain)


def natural_text(plain: ArrowArray) -> ArrowArray:
    import pyarrow as pa

    pc = compute()
    t, wide = pa.types, pa.large_string()
    if t.is_large_string(plain.type):
        whole = len(plain) > 0 and all_match(plain, TRAILING_ZEROS)
        return pc.replace_substring_regex(plain, r"\.0+$", "") if whole else plain
    if t.is_floating(plain.type):
        wide_values = plain.cast(pa.float64())
        whole = pc.and_(pc.equal(pc.floor(wide_values), wide_values), pc.less(pc.abs(wide_values), EXACT))
        integers = pc.if_else(whole, wide_values, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(wide)
        return pc.if_else(whole, integers, plain.cast(wide))
    text = plain.cast(wide)
    if t.is_decimal(plain.type):
        return pc.replace_substring_regex(pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1"), r"\.$", "")
    if t.is_timestamp(plain.type):
        text = pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")
        midnight = all_match(text, r" 00:00:00Z?$")
        return pc.replace_substring_regex(text, r" 00:00:00Z?$", "") if midnight else text
    return text


def natural_order(names: ArrowArray) -> NDArray[np.int64]:
    """The order of distinct texts: by size if all are numbers, else by their bytes."""
    pc = compute()
    by_text = np.asarray(pc.sort_indices(names)).astype(np.int64)
    if len(names) == 0 or not all_match(names, NUMBER):
        return by_text
    sizes = np.asarray(names.cast("float64"))
    return by_text[np.argsort(sizes[by_text], kind="stable")]


def numbers(plain: ArrowArray, decimal_comma: bool) -> tuple[NDArray[np.float64], Mask]:
    """Values as float64 (NaN for missing and bad), and which of them are no numbers."""
    import pyarrow as pa

    if is_date(plain.type):
        return np.full(len(plain), np.nan), np.asarray(plain.is_valid())
    if not is_text(plain.type):
        return floats(plain.cast(pa.float64(), safe=False)), np.zeros(len(plain), np.bool_)
    return _numbers_of_text(plain, decimal_comma)


def _numbers_of_text(text: ArrowArray, decimal_comma: bool) -> tuple[NDArray[np.float64], Mask]:
    import pyarrow as pa

    pc = compute()
    null = pa.scalar(None, text.type)
    text = pc.if_else(pc.is_in(text, value_set=pa.array(MISSING, text.type)), null, text)
    try:
        return floats(text.cast(pa.float64())), np.zeros(len(text), np.bool_)
    except pa.ArrowInvalid:
        pass
    good = pc.match_substring_regex(text, NUMBER)
    if decimal_comma:
        comma = pc.match_substring_regex(text, COMMA_NUMBER)
        pointed = pc.and_(good, pc.match_substring(text, "."))
        if not pc.any(pointed).as_py():
            text = pc.if_else(comma, pc.replace_substring(text, ",", "."), text)
            good = pc.or_(good, comma)
    bad = ~np.asarray(good.fill_null(True))
    return floats(pc.if_else(good, text, null).cast(pa.float64())), bad


def label_numbers(names: ArrowArray) -> NDArray[np.float64]:
    """Labels as numbers, true and false as 1 and 0, NaN for the rest."""
    import pyarrow as pa

    pc = compute()
    low = pc.utf8_lower(names)
    for word, number in (("true", "1"), ("false", "0")):
        low = pc.if_else(pc.equal(low, word), pa.scalar(number, low.type), low)
    return floats(pc.if_else(pc.match_substring_regex(low, NUMBER), low, None).cast(pa.float64()))


def equal_text(names: ArrowArray, text: str) -> Mask:
    """Which of the names are `text`."""
    return np.asarray(compute().equal(names, text))


def marks_missing(names: ArrowArray) -> Mask:
    """Which of the names stand for a missing value, as NA does."""
    import pyarrow as pa

    return np.asarray(compute().is_in(names, value_set=pa.array(MISSING, names.type)))


def days(plain: ArrowArray) -> tuple[NDArray[np.float64], Mask]:
    """Dates, timestamps or ISO text as days since the first, and which are no dates."""
    import pyarrow as pa

    pc = compute()
    valid = np.asarray(plain.is_valid())
    moments = plain
    if is_text(plain.type):
        iso = pc.match_substring_regex(plain, ISO_DATE)
        moments = _moments(pc.if_else(iso, plain, pa.scalar(None, plain.type)))
    elif pa.types.is_date(plain.type):
        moments = plain.cast(pa.timestamp("s"))
    unit = moments.type.unit
    ticks = floats(moments.cast(pa.int64()).cast(pa.float64(), safe=False))
    known = ticks[~np.isnan(ticks)]
    per_day = 86400.0 * {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
    return (ticks - (known.min() if known.size else 0.0)) / per_day, valid & np.isnan(ticks)


def _moments(text: ArrowArray) -> ArrowArray:
    """ISO dates, with or without a time of day, as timestamps; null for a date that no calendar has."""
    import pyarrow as pa

    pc = compute()
    text = pc.replace_substring(text, "T", " ")
    text = pc.replace_substring_regex(text, r"^(.{10})$", r"\1 00:00:00")
    text = pc.replace_substring_regex(text, r"^(.{16})$", r"\1:00")
    moments = pc.strptime(text, "%Y-%m-%d %H:%M:%S", "s", error_is_null=True)
    same_day = pc.equal(pc.day(moments), pc.utf8_slice_codeunits(text, 8, 10).cast(pa.int64()))
    return pc.if_else(same_day, moments, pa.scalar(None, moments.type))


def floats(values: ArrowArray) -> NDArray[np.float64]:
    """A copy that may be written to, NaN for null."""
    return np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def all_match(text: ArrowArray, pattern: str) -> bool:
    pc = compute()
    return pc.all(pc.match_substring_regex(text, pattern)).as_py() is not False


def is_text(type: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_large_string(type)


def is_date(type: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_date(type) or pa.types.is_timestamp(type)
