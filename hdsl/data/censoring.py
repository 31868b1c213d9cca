"""The column after `duration censored by`: 1 where the duration was cut off, 0 where the event was seen."""

from __future__ import annotations

import re

import numpy as np

from hdsl.data.columns import Coerced, to_category
from hdsl.data.plain import compute, label_numbers, marks_missing
from hdsl.data.table import Column, Mask, bad_rows
from hdsl.diagnostics import Diagnostic

CUT_OFF = ("right", "censored", "right-censored", "right censored", "yes")
SEEN = ("none", "event", "uncensored", "not censored", "no")
_NEGATED = re.compile(r"(?:un|not |non ?)cens")
_EVENT = re.compile(
    r"\b(?:events?|status|delta|seen|observed|occurred|happened|died|dead|deaths?|deceased|relapsed?|recurrence"
    r"|fail(?:ed|ures?)?|progress(?:ed|ion)|infect(?:ed|ion)|diagnosed|hospitali[sz]ed|recovered|cured"
    r"|(?:re)?arrested|convicted|hired|(?:re|un)?employed|married|divorced|found(?: job)?)\b"
)


def to_censored(column: Column) -> Coerced:
    """1 for a duration that was cut off and 0 for an event that was seen, int64; -1 and `missing` for gaps.

    Values are 1 and 0, true and false, or words: `right` or `censored`, and `none` or `event`. HDM355 for others;
    HDM320, a warning, for numbers in a column that is named after the event.
    """
    coded = to_category(column)
    sizes, low = label_numbers(coded.names), compute().utf8_lower(coded.names)
    table = np.full(len(coded.names) + 1, -2)
    table[:-1][(sizes == 1) | _among(low, CUT_OFF)] = 1
    table[:-1][(sizes == 0) | _among(low, SEEN)] = 0
    table[:-1][marks_missing(coded.names)] = -1
    table[-1] = -1
    values = table[coded.codes]
    what = ("does not say whether a duration was cut off", "do not say whether a duration was cut off")
    help = "Write 1, true or censored where it was cut off, and 0, false or event where its end was seen."
    problems = coded.problems + bad_rows(column, values == -2, "HDM355", what, help)
    if not problems and named_after_event(column.name) and np.isin(sizes, (0, 1)).any():
        problems = [_other_way_round(column.name)]
    values[values == -2] = -1
    missing: Mask = values < 0
    return Coerced(values, missing if missing.any() else None, problems)


def _among(low: object, words: tuple[str, ...]) -> Mask:
    import pyarrow as pa

    return np.asarray(compute().is_in(low, value_set=pa.array(words, pa.large_string())))


def named_after_event(column: str) -> bool:
    """Return whether a column's name sounds as if a 1 in it were an event that was seen."""
    words = re.sub(r"[_.\-]+", " ", column).casefold()
    return bool(_NEGATED.search(words) or ("cens" not in words and _EVENT.search(words)))


def _other_way_round(column: str) -> Diagnostic:
    message = f"1 in {column!r} is taken for a duration that was cut off, but the column is named after the event."
    help = (
        f"If 1 means that the event was seen, turn it round in the data (censored = 1 - {column}) and write "
        "`censored by censored`; else waive this."
    )
    return Diagnostic("HDM320", message, severity="warning", help=help)
