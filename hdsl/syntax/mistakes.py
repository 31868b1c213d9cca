"""The written mistakes of grammar/mistakes: which message belongs to which failure of the parser.

A file begins with `# key: value` lines. `message` and `help` are shown; they may use `{found}` and
`{previous}`, the text of the token at which parsing failed and of the one before. `code` is HDM104 unless
given. The mistaken text follows, several examples separated by a line `# or`. A failure matches an example
when the innermost keyword that opened something, the parser's state and the type of the token agree;
`previous` limits a file to failures after one of the words it lists.

`anywhere: type` matches the type of the token wherever it stands, `anywhere: value` its text too.
`repair` says what the token is read as after the message, a token type or `skip`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lark import Token

from hdsl.resources import mistakes as mistake_files


@dataclass(frozen=True)
class Failure:
    """Where the parser failed: the opening keyword's type, the state, and the tokens around."""

    context: str | None
    state: Any
    token: Token
    previous: Token | None


@dataclass(frozen=True)
class Mistake:
    """One file of mistakes."""

    name: str
    message: str
    help: str
    code: str
    anywhere: str | None
    repair: str | None
    previous: frozenset[str]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Mistakes:
    """The mistakes by what they match."""

    by_place: Mapping[tuple[str | None, Any, str], Sequence[Mistake]]
    by_type: Mapping[str, Mistake]
    by_value: Mapping[tuple[str, str], Mistake]

    def of_token(self, token: Token) -> Mistake | None:
        """Return the mistake that a token is wherever it stands."""
        return self.by_value.get((token.type, str(token))) or self.by_type.get(token.type)

    def of_failure(self, failure: Failure, is_word: bool) -> Mistake | None:
        """Return the mistake that fits a failure; a keyword is also looked up as any other word."""
        place = (failure.context, failure.state)
        kinds = (look(failure.token), "NAME") if is_word else (look(failure.token),)
        found = (
            mistake
            for kind in kinds
            for mistake in sorted(self.by_place.get((*place, kind), ()), key=lambda m: not m.previous)
            if not mistake.previous or failure.previous in mistake.previous
        )
        return next(found, None)


def look(token: Token) -> str:
    """Return what mistakes are told apart by: the type of a token, and the text of a meaningless sign."""
    return f"{token.type} {token}" if token.type in ("SIGN", "CHARACTER") else token.type


def read_mistake(name: str, text: str) -> Mistake:
    """Return the mistake that a file describes.

    Raises
    ------
    ValueError
        If the file has no message, no help or no example.
    """
    lines = text.splitlines()
    header: dict[str, str] = {}
    while lines and lines[0].startswith("# ") and ":" in lines[0]:
        key, _, value = lines.pop(0).removeprefix("# ").partition(":")
        header[key.strip()] = value.strip()
    examples = tuple(part.strip("\n") for part in "\n".join(lines).split("\n# or\n"))
    if not header.get("message") or not header.get("help") or not all(examples):
        raise ValueError(f"{name}: a mistake has a message, a help and an example")
    return Mistake(
        name=name,
        message=header["message"],
        help=header["help"],
        code=header.get("code", "HDM104"),
        anywhere=header.get("anywhere"),
        repair=header.get("repair"),
        previous=frozenset(header.get("previous", "").split()),
        examples=examples,
    )


def load_mistakes(first_failure: Callable[[str], Failure | None]) -> Mistakes:
    """Return the mistakes of grammar/mistakes, placed by parsing their examples.

    Parameters
    ----------
    first_failure
        Parses a text without any repair and returns where it first fails.
    """
    by_place: dict[tuple[str | None, Any, str], list[Mistake]] = {}
    by_type: dict[str, Mistake] = {}
    by_value: dict[tuple[str, str], Mistake] = {}
    for name, text in mistake_files():
        if not name.endswith(".hdm"):
            continue
        mistake = read_mistake(name.removesuffix(".hdm"), text)
        for example in mistake.examples:
            failure = first_failure(example)
            if failure is None:
                raise ValueError(f"{name}: an example parses")
            token = failure.token
            match mistake.anywhere:
                case None:
                    by_place.setdefault((failure.context, failure.state, look(token)), []).append(mistake)
                case "type":
                    by_type.setdefault(token.type, mistake)
                case _:
                    by_value.setdefault((token.type, str(token)), mistake)
    return Mistakes(by_place, by_type, by_value)
