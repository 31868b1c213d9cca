"""Where in its text each part of a study stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hdsl.source import Span

type Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Spans:
    """The places of the parts of a study, by path: attribute names and positions, from the study inwards.

    `("levels", 1, "variables", 0)` is the first variable of the second level, `("analysis", 3, "across", 0)`
    the group of an amendment. The empty path is the whole study. A study built in Python has no spans.
    """

    by_path: Mapping[Path, Span] = field(default_factory=dict[Path, Span])

    def of(self, *path: str | int) -> Span | None:
        """Return the place of a part, or of the nearest part around it; None for a study without text."""
        while path and path not in self.by_path:
            path = path[:-1]
        return self.by_path.get(path)
