"""How the column after `duration censored by` is read: by its name, as its author must have meant it."""

from __future__ import annotations

import re
from typing import Literal

Meaning = Literal["event", "censored"]

_CENSORED = re.compile(r"cens|\bcut off|\bopen\b")
_NOT_CENSORED = re.compile(r"(?:un|not |non )cens")
_EVENT = re.compile(
    r"\b(?:events?|seen|observed|occurred|happened|ended|died|dead|deaths?|deceased|relapsed?|fail(?:ed|ures?)?|found"
    r"|complete[d]?|exit(?:ed)?|quit|dropout|dropped|cured|recovered|diagnosed|hospitali[sz]ed|married|divorced"
    r"|unemployed|employed|hired|convicted|arrested|rearrested|progressed|progression|infected|infection|status)\b"
)
_STATUS = re.compile(r"\bstatus\b")


def one_means(column: str) -> Meaning:
    """Return what a 1 in the column stands for.

    A column named after the event (`died`, `event seen`) is 1 where the event was seen, as in R's survival
    package; every other is 1 where the duration was cut off, as the words `censored by` say.
    """
    words = re.sub(r"[_.\-]+", " ", column).lower()
    if _NOT_CENSORED.search(words):
        return "event"
    if _CENSORED.search(words):
        return "censored"
    return "event" if _EVENT.search(words) else "censored"


def is_plain(column: str) -> bool:
    """Return whether the column's name leaves no doubt about what a 1 stands for."""
    words = re.sub(r"[_.\-]+", " ", column).lower()
    return bool(_CENSORED.search(words) or (_EVENT.search(words) and not _STATUS.search(words)))
