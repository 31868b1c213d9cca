"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, candidates: Iterable[str], closeness: float = 0.6) -> str | None:
    """Return the candidate nearest to `name`, or None where none is near.

    Case is ignored. `closeness` is the least similarity, from 0 (anything) to 1 (the same).
    """
    folded: dict[str, str] = {}
    for candidate in candidates:
        folded.setdefault(candidate.casefold(), candidate)
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=closeness)
    return folded[near[0]] if near else None
