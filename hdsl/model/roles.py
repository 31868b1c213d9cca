"""The roles that passes give to rewritten values, in words, for the comments of programs."""

from __future__ import annotations

import re

_WORDS = {
    "standard": "{} in standard units",
    "centred": "{} at average predictors",
    "anchored": "{} plus the mean deviation",
    "total": "{} and its mean",
    "mixture": "clusters of {}",
    "array": "what the cells add to {}",
    "shift": "what average predictors add to {}",
}
_WRAPPED = re.compile(rf"({'|'.join(_WORDS)})\((.*)\)", re.DOTALL)
_PLACE = re.compile(r"(.*), (\d+)", re.DOTALL)


def in_words(role: str) -> str:
    """Return what a role says; the role itself, `effect(tutor)`, where no pass made it."""
    found = _WRAPPED.fullmatch(role)
    if found is None:
        return role
    kind, inner = found.groups()
    numbered = _PLACE.fullmatch(inner) if kind == "standard" else None
    if numbered is None:
        return _WORDS[kind].format(in_words(inner))
    return f"{_WORDS[kind].format(in_words(numbered[1]))}, part {numbered[2]}"
