"""Stan syntax trees as text: two-space indent, lines broken at 90 columns, the same text every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

from hdsl_stan.layout import Doc, Filled, Joined, broken, flat
from hdsl_stan.syntax import (
    All,
    Assign,
    Between,
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
_SHORT_FACTOR = 24
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
    lines: list[str] = []
    for text in tree.header:
        lines += wrap(text, WIDTH, initial_indent="// ", subsequent_indent="// ") or ["//"]
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
        lines += wrap(function.comment, WIDTH, initial_indent="  // ", subsequent_indent="  // ")
        head = f"{function.returns} {function.name}("
        under = " " * (len(head) + 2)
        lines += wrap(f"{head}{arguments}) {{", WIDTH, initial_indent="  ", subsequent_indent=under)
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
        return _assigned(f"{pad}{expression(node.target)} =", node.value, pad)
    if isinstance(node, Tilde):
        left = f"{pad}{expression(node.left)} ~ "
        return broken((left,), _doc(Call(node.distribution, node.args))[0], ";", WIDTH)
    head = "target += " if isinstance(node, Target) else "return "
    return broken((f"{pad}{head}",), _doc(node.value)[0], ";", WIDTH)


def _declaration(node: Declare, pad: str) -> list[str]:
    head = f"{pad}{_type(node.type)} {node.name}"
    if len(head) >= WIDTH and node.value is None:
        plain = [*_long_type(node.type, pad), f"{pad}    {node.name};"]
    else:
        plain = [f"{head};"] if node.value is None else _assigned(f"{head} =", node.value, pad)
    if not node.comment:
        return plain
    noted = f"{plain[0]} // {node.comment}"
    fits = len(plain) == 1 and len(noted) <= WIDTH
    above = wrap(node.comment, WIDTH, initial_indent=f"{pad}// ", subsequent_indent=f"{pad}// ")
    return [noted] if fits else [*above, *plain]


def _braced(head: str, body: Sequence[Statement], depth: int) -> list[str]:
    pad = "  " * depth
    return [f"{pad}{head} {{", *_statements(body, depth + 1), f"{pad}}}"]


def _branches(node: If, depth: int) -> list[str]:
    lines = _braced(f"if ({expression(node.condition)})", node.yes, depth)
    if node.no:
        lines[-1] += " else {"
        lines += [*_statements(node.no, depth + 1), "  " * depth + "}"]
    return lines


def _long_type(node: Type, pad: str) -> list[str]:
    """Return a type on a line, or on two where it is an array and one line is too short."""
    whole = f"{pad}{_type(node)}"
    if len(whole) <= WIDTH or not node.arrays:
        return [whole]
    return [f"{pad}array[{_list(node.arrays)}]", f"{pad}    {_type(replace(node, arrays=()))}"]


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


def _assigned(head: str, value: Expression, pad: str) -> list[str]:
    """Return an assignment; after a long head the value starts on the next line."""
    doc = _doc(value)[0]
    whole = f"{head} {flat(doc)};"
    if len(whole) <= WIDTH:
        return [whole]
    same, next_ = f"{head} ", f"{head}\n{pad}    "
    return broken((next_, same) if len(head) > _LONG_HEAD else (same, next_), doc, ";", WIDTH)


def _show(node: Expression, outer: int) -> str:
    """Return the text of `node`, in parentheses where it binds less tightly than `outer`."""
    return flat(_within(node, outer))


def _within(node: Expression, outer: int) -> Doc:
    doc, inner = _doc(node)
    return Joined(("(", doc, ")")) if inner < outer else doc


def _doc(node: Expression) -> tuple[Doc, int]:
    """Return an expression with the places where it may be broken, and how tightly it binds."""
    if isinstance(node, Number):
        return _number(node.value), _POSTFIX
    if isinstance(node, Name):
        return node.name, _POSTFIX
    if isinstance(node, Call):
        return Joined((f"{node.function}(", _items(node.args, node.given or ()), ")")), _POSTFIX
    if isinstance(node, Negative):
        return Joined(("-", _within(node.operand, _UNARY))), _UNARY
    if isinstance(node, Transpose):
        return Joined((_within(node.operand, _POSTFIX), "'")), _POSTFIX
    if isinstance(node, Index):
        return Joined((_within(node.operand, _POSTFIX), f"[{_indices(node)}]")), _POSTFIX
    if isinstance(node, Row):
        return Joined(("[", _items(node.items), "]")), _POSTFIX
    if isinstance(node, Conditional):
        yes, no = Joined(("? ", _within(node.yes, 1))), Joined((": ", _within(node.no, 1)))
        return Filled((_within(node.condition, 1), yes, no), inset=2), 0
    return _binary(node)


def _items(nodes: Sequence[Expression], given: Sequence[Expression] = ()) -> Doc:
    docs = [_doc(each)[0] for each in (*nodes, *given)]
    ends = [" |" if given and place == len(nodes) - 1 else "," for place in range(len(docs))]
    ends[-1:] = [""] * bool(docs)
    return Filled(tuple(Joined((doc, end)) for doc, end in zip(docs, ends, strict=True)), enclosed=True)


def _indices(node: Index) -> str:
    return ", ".join(_place(each) for each in node.indices)


def _place(node: Expression | All | Between) -> str:
    if isinstance(node, Between):
        return f"{expression(node.low)}:{expression(node.high)}"
    return ":" if isinstance(node, All) else expression(node)


def _binary(node: Binary) -> tuple[Doc, int]:
    """Return a run of operators that bind equally, broken before them; powers associate to the right."""
    level = _PRECEDENCE[node.operator]
    if level == _PRECEDENCE["^"]:
        return Joined((_within(node.left, level + 1), f" {node.operator} ", _within(node.right, level))), level
    items: list[Doc] = []
    current: Expression = node
    while isinstance(current, Binary) and _PRECEDENCE[current.operator] == level:
        items.append(Joined((f"{current.operator} ", _within(current.right, level + 1))))
        current = current.left
    items.append(_within(current, level))
    product = level > _PRECEDENCE["+"]
    bracketed = isinstance(node.right, Transpose | Row | Call)
    if product and bracketed and len(items) == 2 and len(flat(items[1])) <= _SHORT_FACTOR:
        return Joined((items[1], " ", items[0])), level
    return Filled(tuple(reversed(items)), inset=2 if product else 0), level


def _number(value: float | int) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
