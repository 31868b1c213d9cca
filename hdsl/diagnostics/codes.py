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
        "HDM114": CodeInfo("a word outside the list of those allowed"),
        "HDM201": CodeInfo("no `study` statement"),
        "HDM202": CodeInfo("a statement given twice"),
        "HDM203": CodeInfo("`analysis` together with `model`"),
        "HDM204": CodeInfo("`hdm` that does not stand first"),
        "HDM205": CodeInfo("arguments of an assignment mechanism"),
        "HDM206": CodeInfo("occasions where no treatment is set"),
        "HDM208": CodeInfo("a part of a study that cannot be"),
        "HDM209": CodeInfo("an argument in Python that does not fit"),
        "HDM210": CodeInfo("a data file that does not exist"),
        "HDM211": CodeInfo("a data file that cannot be read"),
        "HDM212": CodeInfo("a data format that is not read"),
        "HDM213": CodeInfo("a table that the database does not have"),
        "HDM214": CodeInfo("a data address that cannot be used"),
        "HDM215": CodeInfo("a database that cannot be opened"),
        "HDM216": CodeInfo("a database driver that is not installed"),
        "HDM217": CodeInfo("a column that the data do not have"),
        "HDM218": CodeInfo("two columns of the same name"),
        "HDM219": CodeInfo("a data file without columns"),
        "HDM220": CodeInfo("a column that is neither number, text nor date"),
        "HDM221": CodeInfo("a data file that is not UTF-8", "warning"),
        "HDM222": CodeInfo("a row that does not fit the header"),
        "HDM350": CodeInfo("a value that is not a number"),
        "HDM351": CodeInfo("a value that is infinite"),
        "HDM352": CodeInfo("a positive variable that is not above zero"),
        "HDM353": CodeInfo("a proportion outside 0 to 1"),
        "HDM354": CodeInfo("a count that is not 0, 1, 2, ..."),
        "HDM355": CodeInfo("a binary variable with other values"),
        "HDM356": CodeInfo("an ordered variable whose levels have no known order"),
        "HDM357": CodeInfo("an occasion that is neither a number nor a date"),
        "HDM358": CodeInfo("a value that is no arm's code"),
        "HDM359": CodeInfo("a missing id"),
        "HDM360": CodeInfo("an id that the joined table does not have"),
        "HDM361": CodeInfo("an id that the joined table has twice"),
        "HDM362": CodeInfo("data without rows"),
    }
)
