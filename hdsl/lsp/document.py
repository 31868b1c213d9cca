"""A study as an editor holds it: its text, tree, findings, and the model that is derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hdsl.design.from_syntax import to_study
from hdsl.diagnostics import Diagnostic, has_errors
from hdsl.driver import Checked, Derived, Opened, check, derive
from hdsl.source import Source
from hdsl.syntax import ast
from hdsl.syntax.parse import parse


@dataclass(frozen=True)
class Document:
    """A version of a study's text, read but not looked at with its data; `base` is the folder of its file."""

    source: Source
    base: Path
    tree: ast.File
    opened: Opened
    memory: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def checked(self) -> Checked:
        """The study checked against itself alone."""
        return self._kept("checked", lambda: check(self.opened, with_data=False))

    @property
    def derived(self) -> Derived:
        """The study checked against its data, with its model; it reads the data at first use."""
        return self._kept("derived", lambda: derive(self.opened))

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The columns of the data file and of second tables, by what the study calls the file."""
        return self._kept("columns", self._columns)

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """What is wrong, with the data where the study names any."""
        study = self.opened.study
        if study is None or study.table is None or has_errors(self.opened.diagnostics):
            return self.checked.diagnostics
        return self.derived.diagnostics

    def _kept(self, name: str, make: Any) -> Any:
        if name not in self.memory:
            self.memory[name] = make()
        return self.memory[name]

    def _columns(self) -> dict[str, tuple[str, ...]]:
        from hdsl.data.sources import list_columns

        files = [s.table.text for s in self.tree.statements if isinstance(s, ast.Data)]
        files += [s.file.text for s in self.tree.statements if isinstance(s, ast.Level) and s.file is not None]
        found = {file: list_columns(file, self.base) for file in files}
        return {file: names for file, names in found.items() if isinstance(names, tuple)}


def read(text: str, path: Path) -> Document:
    """Return a document from a text; `path` is the file that it will be."""
    source = Source.of(path.name, text)
    tree, found = parse(source)
    made, spans, more = to_study(tree)
    told = found if has_errors(found) else [*found, *more]
    return Document(source, path.parent, tree, Opened(made, path.parent, source, spans, tuple(told), tree))
