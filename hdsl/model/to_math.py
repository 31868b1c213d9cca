"""A Model's equations as MathML, with the reason of each: what notebooks and reports show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from hdsl.model.ir import Model
from hdsl.model.to_text import Equation, equations, priors

_TOKEN = re.compile(r"\s*(?:(?P<name>[^\W\d]\w*)|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<other>\S))")
_SIGNS = {"~": "∼", "-": "−", "*": "·", "'": "′", "<": "<", ">": ">"}
_OPEN, _CLOSE = {"(": ")", "[": "]"}, frozenset(")]")


def math(text: str, *, block: bool = False) -> str:
    """Return an equation as a `math` element.

    Names stay upright words, an index in brackets becomes a subscript, `^` a superscript, `sqrt(...)` a root.
    Any text gives well-formed MathML; what is no part of the notation stands as it is.

    Examples
    --------
    >>> math("y[a] ~ z")  # doctest: +ELLIPSIS
    '<math><mrow><msub><mi mathvariant="normal">y</mi><mi mathvariant="normal">a</mi></msub>...</mrow></math>'
    """
    tokens = [(match.lastgroup or "", match[match.lastgroup or 0]) for match in _TOKEN.finditer(text)]
    display = ' display="block"' if block else ""
    return f"<math{display}>{_Reader(tokens).whole()}</math>"


def wrapped_math(text: str) -> str:
    """Return an equation as `math` elements one after another, so that a line may break between its terms.

    Breaks come after commas and before signs of addition, but never within a role, an index or a root.
    """
    return " ".join(math(piece) for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    found, start, kept = [], 0, 0
    for match in re.finditer(r"(?P<called>\w)?\(|[\[)\]]|, | [+-] |\s~ ", text):
        sign = match[0][-1] if match[0].endswith("(") else match[0]
        of_law = re.search(r"~ \w+$", text[: match.end() - 1]) is not None
        if sign == "[" or (sign == "(" and (kept or (match["called"] and not of_law))):
            kept += 1
        elif sign in (")", "]") and kept:
            kept -= 1
        elif not kept and sign not in _CLOSE and sign != "(":
            end = match.end() if sign in (", ", " ~ ") else match.start()
            found.append(text[start:end])
            start = end
    return [piece for piece in (*found, text[start:]) if piece.strip()]


def model_html(model: Model) -> str:
    """Return the equations and priors of a model as an HTML fragment: MathML, each line with its reason."""
    parts = [f"<div class='hdsl-model'><p><strong>{escape(model.name)}</strong></p>"]
    parts += [equation_list(equations(model)), "<p>Priors</p>", equation_list(priors(model)), "</div>"]
    return "".join(parts)


def equation_list(lines: Sequence[Equation]) -> str:
    """Return equations as an HTML list, each with its reason."""
    items = [f"<li>{wrapped_math(line.text)}{_because(line.reason)}</li>" for line in lines]
    return f"<ul class='hdsl-equations'>{''.join(items)}</ul>"


def _because(reason: str) -> str:
    return f"<br><small>because {escape(reason)}</small>" if reason else ""


class _Reader:
    """Reads tokens from left to right; a closing bracket ends a row."""

    def __init__(self, tokens: Sequence[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.place = 0

    def whole(self) -> str:
        parts: list[str] = []
        while self.place < len(self.tokens):
            parts += self._items()
            if self.place < len(self.tokens):
                parts.append(_sign(self._next()))
        return _row(parts)

    def _items(self) -> list[str]:
        """Return the parts up to a closing bracket or the end."""
        parts: list[str] = []
        while self.place < len(self.tokens) and self._peek() not in _CLOSE:
            parts.append(self._part())
        return parts

    def _part(self) -> str:
        kind, text = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            return self._after(f"<mn>{text}</mn>")
        if kind == "name" and text == "sqrt" and self._peek() == "(":
            return self._after(f"<msqrt>{self._bracketed(shown=False)}</msqrt>")
        if kind == "name":
            return self._after(f'<mi mathvariant="normal">{escape(text)}</mi>')
        if text in _OPEN:
            self.place -= 1
            return self._after(self._bracketed(shown=True))
        return _sign(text)

    def _after(self, part: str) -> str:
        """Return a part with its arguments, index and exponent."""
        if self._peek() == "(" and part.startswith("<mi"):
            part = f"<mrow>{part}{self._bracketed(shown=True)}</mrow>"
        while self._peek() in ("[", "^"):
            if self._peek() == "[":
                part = f"<msub>{part}{self._bracketed(shown=False)}</msub>"
            else:
                self.place += 1
                power = self._part() if self.place < len(self.tokens) else "<mrow></mrow>"
                part = f"<msup>{part}{power}</msup>"
        return part

    def _bracketed(self, *, shown: bool) -> str:
        """Return what stands between this bracket and the one that closes it."""
        opened = self._next()
        inner = self._items()
        closed = [_fence(self._next())] if self.place < len(self.tokens) else []
        return _row([_fence(opened), *inner, *closed] if shown else inner)

    def _peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def _next(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1][1]


def _row(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


def _fence(text: str) -> str:
    return f'<mo stretchy="false">{escape(text)}</mo>'


def _sign(text: str) -> str:
    if text in "+-*~=":
        return f'<mo form="infix">{_SIGNS.get(text, text)}</mo>'
    return f"<mo>{escape(_SIGNS.get(text, text))}</mo>"
