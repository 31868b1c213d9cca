"""Text to syntax tree: `read_source`, `parse`, `format_source`; the tree's classes are in `ast`."""

from __future__ import annotations

from hdsl.syntax import ast
from hdsl.syntax.format import format_source
from hdsl.syntax.parse import parse
from hdsl.syntax.read import read_source

__all__ = ["ast", "format_source", "parse", "read_source"]
