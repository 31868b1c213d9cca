"""The table of diagnostic codes. Each code has a page in docs/codes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from hdsl.diagnostics.diagnostic import Severity


class CodeInfo(NamedTuple):
    """What a code stands for, and its usual severity."""

    title: str
    severity: Severity = "error"


CODES: Mapping[str, CodeInfo] = MappingProxyType(
    {
        "HDM101": CodeInfo("the study file cannot be read"),
        "HDM102": CodeInfo("the study file is not UTF-8 text"),
        "HDM103": CodeInfo("the study is empty"),
        "HDM104": CodeInfo("text that does not fit the statement"),
        "HDM105": CodeInfo("a character that has no meaning here"),
        "HDM106": CodeInfo("a word that starts no statement"),
        "HDM107": CodeInfo("a brace or bracket that is not closed, or not opened"),
        "HDM108": CodeInfo("a string that is not closed"),
        "HDM109": CodeInfo("a keyword taken for a name"),
        "HDM110": CodeInfo("nested too deeply"),
        "HDM111": CodeInfo("a language version that is not known"),
        "HDM112": CodeInfo("a number that cannot be represented"),
        "HDM113": CodeInfo("the same clause given twice"),
    }
)
