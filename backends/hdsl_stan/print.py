"""Stan syntax trees as text: two-space indent, lines broken at 90 columns, the same text every time."""

from __future__ import annotations

from collections.abc import Sequence

from hdsl_stan.syntax import (
    All,
    Assign,
    Binary,
    Braces,
    Call,
    Comment,
    Conditional,
    Declare,
    Expression,
    For,
    Function,
    If,
    Index,
    Name,
    Negative,
    Number,
    Return,
    Row,
    StanProgram,
    Statement,
    Target,
    Tilde,
    Transpose,
    Type,
    While,
)

WIDTH = 90
_LONG_HEAD = 36
_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    ".*": 6,
    "./": 6,
    "^": 9,
    ".^": 9,
}
_UNARY = 8
_POSTFIX = 10


def program(tree: StanProgram) -> str:
    """Return the text of a program."""
    blocks = (
        ("data", tree.data),
        ("transformed data", tree.transformed_data),
        ("parameters", tree.parameters),
        ("transformed parameters", tree.transformed_parameters),
        ("model", tree.model),
        ("generated quantities", tree.generated_quantities),
    )
    lines = [f"// {line}".rstrip() for line in tree.header]
    if tree.functions:
        lines += ["functions {", *_functions(tree.functions), "}"]
    for title, body in blocks:
        if body:
            lines += [f"{title} {{", *_statements(body, 1), "}"]
    return "\n".join(lines) + "\n"


def expression(node: Expression) -> str:
    """Return the text of an expression."""
    return _show(node, 0)


def _functions(functions: Sequence[Function]) -> list[str]:
    lines: list[str] = []
    for function in functions:
        arguments = ", ".join(f"{each.type} {each.name}" for each in function.arguments)
        lines += [f"  // {function.comment}"] if function.comment else []
        lines += [f"  {function.returns} {function.name}({arguments}) {{"]
        lines += [*_statements(function.body, 2), "  }"]
    return lines


def _statements(body: Sequence[Statement], depth: int) -> list[str]:
    return [line for statement in body for line in _statement(statement, depth)]


def _statement(node: Statement, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(node, Declare):
        return _declaration(node, pad)
    if isinstance(node, Comment):
        return [f"{pad}// {node.text}"]
    if isinstance(node, For):
        return _braced(f"for ({node.variable} in 1:{_show(node.last, _POSTFIX)})", node.body, depth)
    if isinstance(node, While):
        return _braced(f"while ({expression(node.condition)})", node.body, depth)
    if isinstance(node, Braces):
        return [f"{pad}{{", *_statements(node.body, depth + 1), f"{pad}}}"]
    if isinstance(node, If):
        return _branches(node, depth)
    return _simple(node, pad)


def _simple(node: Assign | Tilde | Target | Return, pad: str) -> list[str]:
    if isinstance(node, Assign):
        return _broken(f"{pad}{expression(node.target)} = ", node.value, ";", pad)
    if isinstance(node, Tilde):
        left = f"{pad}{expression(node.left)} ~ "
        return _broken(left, Call(node.distribution, node.args), ";", pad)
    head = "target += " if isinstance(node, Target) else "return "
    return _broken(f"{pad}{head}", node.value, ";", pad)


def _declaration(node: Declare, pad: str) -> list[str]:
    head = f"{pad}{_type(node.type)} {node.name}"
    plain = [f"{head};"] if node.value is None else _broken(f"{head} = ", node.value, ";", pad)
    if not node.comment:
        return plain
    noted = f"{plain[0]} // {node.comment}"
    fits = len(plain) == 1 and len(noted) <= WIDTH
    return [noted] if fits else [f"{pad}// {node.comment}", *plain]


def _braced(head: str, body: Sequence[Statement], depth: int) -> list[str]:
    pad = "  " * depth
    return [f"{pad}{head} {{", *_statements(body, depth + 1), f"{pad}}}"]


def _branches(node: If, depth: int) -> list[str]:
    lines = _braced(f"if ({expression(node.condition)})", node.yes, depth)
    if node.no:
        lines[-1] += " else {"
        lines += [*_statements(node.no, depth + 1), "  " * depth + "}"]
    return lines


def _type(node: Type) -> str:
    bounds = [
        f"{word}={_show(bound, _PRECEDENCE['+'])}"
        for word, bound in (("lower", node.lower), ("upper", node.upper))
        if bound is not None
    ]
    base = node.base + (f"<{', '.join(bounds)}>" if bounds else "")
    base += f"[{_list(node.sizes)}]" if node.sizes else ""
    return f"array[{_list(node.arrays)}] {base}" if node.arrays else base


def _list(nodes: Sequence[Expression]) -> str:
    return ", ".join(expression(node) for node in nodes)


def _broken(head: str, node: Expression, tail: str, pad: str) -> list[str]:
    """Return a statement on one line, or broken at its operators or arguments where that is too long.

    After a long head the expression starts on the next line.
    """
    if len(head + expression(node) + tail) <= WIDTH:
        return [head + expression(node) + tail]
    if len(head) > _LONG_HEAD and head.endswith("= "):
        return [head.rstrip(), *_broken(f"{pad}    ", node, tail, f"{pad}    ")]
    if isinstance(node, Conditional):
        return [
            f"{head}{_show(node.condition, 1)}",
            f"{pad}    ? {_show(node.yes, 1)}",
            f"{pad}    : {_show(node.no, 1)}{tail}",
        ]
    if isinstance(node, Binary) and node.operator == "*" and isinstance(node.right, Call):
        return _broken(f"{head}{_show(node.left, _PRECEDENCE['*'])} * ", node.right, tail, pad)
    if isinstance(node, Call) and node.args:
        start = f"{head}{node.function}("
        return _filled(start, _arguments(node, len(start)), tail)
    return _filled(head, _pieces(node, len(head)), tail)


def _arguments(node: Call, indent: int) -> list[str]:
    pieces: list[str] = []
    for args in (node.args, node.given or ()):
        for arg in args:
            own = _pieces(arg, indent) if indent + len(expression(arg)) >= WIDTH else [expression(arg)]
            pieces += [own[0], *(f"  {each}" for each in own[1:])]
            pieces[-1] += ","
        if args is node.args and node.given:
            pieces[-1] = pieces[-1][:-1] + " |"
    pieces[-1] = pieces[-1][:-1] + ")"
    return pieces


def _pieces(node: Expression, indent: int) -> list[str]:
    """Return the terms of a sum, and the factors of those that are too long for a line, with operators."""
    if not isinstance(node, Binary):
        return [expression(node)]
    pieces: list[str] = []
    for operator, operand in _chain(node):
        level = _PRECEDENCE[node.operator] + (1 if operator else 0)
        text = f"{operator} {_show(operand, level)}".strip()
        product = isinstance(operand, Binary) and _PRECEDENCE[operand.operator] == _PRECEDENCE["*"]
        if product and indent + len(text) >= WIDTH:
            first, *rest = _pieces(operand, indent)
            pieces += [f"{operator} {first}".strip(), *(f"  {each}" for each in rest)]
        else:
            pieces.append(text)
    return pieces


def _chain(node: Binary) -> list[tuple[str, Expression]]:
    """Return the operands of a run of operators that bind equally, each with the one before it."""
    level = _PRECEDENCE[node.operator]
    chain: list[tuple[str, Expression]] = []
    current: Expression = node
    while isinstance(current, Binary) and _PRECEDENCE[current.operator] == level and level < _PRECEDENCE["^"]:
        chain.append((current.operator, current.right))
        current = current.left
    return [("", current), *reversed(chain)]


def _filled(head: str, pieces: Sequence[str], tail: str) -> list[str]:
    indent = " " * min(len(head), _LONG_HEAD)
    lines = [head + pieces[0]]
    for position, piece in enumerate(pieces[1:], start=1):
        longer = f"{lines[-1]} {piece.strip()}"
        room = WIDTH - (len(tail) if position == len(pieces) - 1 else 0)
        if len(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(indent + piece)
    lines[-1] += tail
    return lines


def _show(node: Expression, outer: int) -> str:
    """Return the text of `node`, in parentheses where it binds less tightly than `outer`."""
    text, inner = _text(node)
    return f"({text})" if inner < outer else text


def _text(node: Expression) -> tuple[str, int]:
    if isinstance(node, Number):
        return _number(node.value), _POSTFIX
    if isinstance(node, Name):
        return node.name, _POSTFIX
    if isinstance(node, Call):
        given = f" | {_list(node.given)}" if node.given else ""
        return f"{node.function}({_list(node.args)}{given})", _POSTFIX
    if isinstance(node, Negative):
        return f"-{_show(node.operand, _UNARY)}", _UNARY
    if isinstance(node, Transpose):
        return f"{_show(node.operand, _POSTFIX)}'", _POSTFIX
    if isinstance(node, Index):
        return f"{_show(node.operand, _POSTFIX)}[{_indices(node)}]", _POSTFIX
    if isinstance(node, Row):
        return f"[{_list(node.items)}]", _POSTFIX
    if isinstance(node, Conditional):
        return f"{_show(node.condition, 1)} ? {_show(node.yes, 1)} : {_show(node.no, 1)}", 0
    return _binary(node)


def _indices(node: Index) -> str:
    return ", ".join(":" if isinstance(each, All) else expression(each) for each in node.indices)


def _binary(node: Binary) -> tuple[str, int]:
    level = _PRECEDENCE[node.operator]
    rightward = node.operator in ("^", ".^")
    left = _show(node.left, level + 1 if rightward else level)
    right = _show(node.right, level if rightward else level + 1)
    return f"{left} {node.operator} {right}", level


def _number(value: float | int) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
