"""Parse trees of statements to the statements of the syntax tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

from lark import Token, Tree

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.source import Span
from hdsl.syntax import ast
from hdsl.syntax.from_tree_analysis import amendment
from hdsl.syntax.from_tree_expr import (
    Node,
    Report,
    call,
    code,
    expression,
    name,
    number,
    place,
    string,
    target,
)
from hdsl.syntax.words import DOSES, KINDS, MECHANISMS, choose

VERSION = 1
DEEPEST = 100

type Parts = list[Node | None]


def statements(tree: Tree[Token], report: Report) -> Iterator[ast.Statement]:
    """Yield the statements of a file; one whose expressions nest too deeply is reported and left out."""
    for node in tree.children:
        assert isinstance(node, Tree)
        deep = _deepest(node)
        if deep is None:
            yield _STATEMENTS[str(node.data)](node, report)
        else:
            report.append(
                Diagnostic(
                    code="HDM110",
                    message=f"An expression has more than {DEEPEST} parts inside each other.",
                    span=deep,
                    help="Split it into several shorter ones.",
                )
            )


def _deepest(tree: Tree[Token]) -> Span | None:
    """Return a place where the tree is deeper than the limit, None where there is none."""
    if tree.meta.end_pos - tree.meta.start_pos < DEEPEST:
        return None
    stack: list[tuple[Tree[Token], int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > DEEPEST:
            return place(node)
        stack.extend((child, depth + 1) for child in node.children if isinstance(child, Tree))
    return None


def _parts(node: Tree[Token]) -> Parts:
    return cast("Parts", node.children)


def _trees(nodes: Iterable[Node | None]) -> list[Tree[Token]]:
    return [node for node in nodes if isinstance(node, Tree)]


def _twice(what: str, node: Node, first: Span, report: Report) -> None:
    report.append(
        Diagnostic(
            code="HDM113",
            message=f"{what[0].upper()}{what[1:]} is given twice.",
            span=place(node),
            help="Keep one of the two.",
            related=((first, "first here"),),
        )
    )


class _Once:
    """Holds at most one node of each kind; a second one is reported."""

    def __init__(self, report: Report) -> None:
        self.found: dict[str, Node] = {}
        self.report = report

    def put(self, key: str, what: str, node: Node) -> None:
        if key in self.found:
            _twice(what, node, place(self.found[key]), self.report)
        else:
            self.found[key] = node

    def column(self) -> ast.Name | None:
        node = self.found.get("column_clause")
        return name(node.children[0]) if isinstance(node, Tree) else None

    def text(self) -> ast.String | None:
        return string(self.found["STRING"]) if "STRING" in self.found else None


def _hdm(node: Tree[Token], report: Report) -> ast.Hdm:
    version = number(node.children[0], report)
    if version.value != VERSION:
        report.append(
            Diagnostic(
                code="HDM111",
                message=f"Version {node.children[0]} of the language is not known.",
                span=version.span,
                help=f"This release reads `hdm {VERSION}`.",
            )
        )
    return ast.Hdm(int(version.value), span=place(node))


def _study(node: Tree[Token], report: Report) -> ast.Study:
    head, title = _parts(node)
    return ast.Study(name(head), None if title is None else string(title), span=place(node))


def _data(node: Tree[Token], report: Report) -> ast.Data:
    return ast.Data(string(node.children[0]), span=place(node))


def _level(node: Tree[Token], report: Report) -> ast.Level:
    word, head, *clauses = _parts(node)
    once = _Once(report)
    parents: list[ast.Name] = []
    for clause in _trees(clauses):
        match str(clause.data), len(clause.children):
            case "in_clause", 1:
                parents.append(name(clause.children[0]))
            case "in_clause", _:
                once.put("crosses", "the crossing", clause)
            case "id_clause", _:
                once.put("id", "`id`", clause)
            case "from_clause", _:
                once.put("from", "`from`", clause)
            case _:
                once.put("variables", "the block", clause)
    inside = {key: clause.children for key, clause in once.found.items() if isinstance(clause, Tree)}
    return ast.Level(
        word=cast("ast.LevelWord", str(word)),
        name=name(head),
        id=name(inside["id"][0]) if "id" in inside else None,
        parents=tuple(parents),
        crosses=tuple(name(factor) for factor in inside.get("crosses", ())),
        file=string(inside["from"][0]) if "from" in inside else None,
        variables=tuple(_variable(v, report) for v in _trees(inside.get("variables", ()))),
        span=place(node),
    )


def _variable(node: Tree[Token], report: Report) -> ast.Variable:
    role, head, kind, *modifiers = _parts(node)
    once = _Once(report)
    for modifier in _trees(modifiers):
        _modify(modifier.children[0], once)
    assert isinstance(kind, Tree)
    return ast.Variable(
        role=cast("ast.Role", str(role)),
        name=name(head),
        kind=_kind(kind, report),
        missing="MISSING" in once.found,
        measured_in=once.text(),
        column=once.column(),
        span=place(node),
    )


def _modify(modifier: Node, once: _Once) -> None:
    if isinstance(modifier, Tree):
        once.put("column_clause", "`column`", modifier)
    elif modifier.type == "STRING":
        once.put("STRING", "what it is measured in", modifier)
    else:
        once.put("MISSING", "`missing`", modifier)


_KIND_FORMS: Mapping[str, tuple[ast.KindName, str]] = {
    "trials_kind": ("count", "of"),
    "censored_kind": ("duration", "censored by"),
    "known_kind": ("real", "known sd"),
}


def _kind(node: Tree[Token], report: Report) -> ast.Kind:
    head, *rest = _parts(node)
    word = name(head)
    form = str(node.data)
    kind: ast.KindName = choose(word.text, word.span, KINDS, "a kind of variable", report)
    if not rest:
        return ast.Kind(kind, span=place(node))
    fitting, words = _KIND_FORMS[form]
    if kind != fitting:
        report.append(
            Diagnostic(
                code="HDM104",
                message=f"`{words}` belongs to the kind `{fitting}`, not to `{word.text}`.",
                span=place(node),
                help=f"Write `{fitting} {words} ...`, or `{kind}` alone.",
            )
        )
    return ast.Kind(
        fitting,
        trials=expression(rest[0], report) if form == "trials_kind" else None,
        censored_by=name(rest[0]) if form == "censored_kind" else None,
        known_sd=expression(rest[0], report) if form == "known_kind" else None,
        span=place(node),
    )


def _treatment(node: Tree[Token], report: Report) -> ast.Treatment:
    head, column, arms, ordered = _parts(node)
    assert isinstance(arms, Tree)
    return ast.Treatment(
        name=name(head),
        column=name(column.children[0]) if isinstance(column, Tree) else None,
        arms=tuple(_arm(arm, report) for arm in _trees(arms.children)),
        ordered=ordered is not None,
        span=place(node),
    )


def _arm(node: Tree[Token], report: Report) -> ast.Arm:
    return ast.Arm(name(node.children[0]), code(node.children[1], report), span=place(node))


def _dose(node: Tree[Token], report: Report) -> ast.Treatment:
    head, column, kind, *modifiers = _parts(node)
    once = _Once(report)
    for modifier in (column, *modifiers):
        if modifier is not None:
            _modify(modifier, once)
    word = name(kind)
    dose: ast.DoseKind = choose(word.text, word.span, DOSES, "a kind of continuous treatment", report)
    return ast.Treatment(
        name=name(head),
        column=once.column(),
        dose=ast.Dose(dose, span=word.span),
        measured_in=once.text(),
        span=place(node),
    )


def _assign(node: Tree[Token], report: Report) -> ast.Assign:
    treatment, to, *clauses, mechanism = _parts(node)
    once = _Once(report)
    for clause in _trees(clauses):
        once.put(str(clause.data), f"`{'if' if clause.data == 'condition' else 'within'}`", clause)
    within, condition = once.found.get("within"), once.found.get("condition")
    return ast.Assign(
        treatment=name(treatment),
        to=name(to),
        mechanism=_mechanism(mechanism, report),
        within=tuple(name(factor) for factor in within.children) if isinstance(within, Tree) else (),
        condition=_condition(condition) if isinstance(condition, Tree) else None,
        span=place(node),
    )


def _condition(node: Tree[Token]) -> ast.Condition:
    treatment, arm = node.children
    return ast.Condition(name(treatment), name(arm), span=place(node))


def _mechanism(node: Node | None, report: Report) -> ast.Mechanism:
    found = call(node, report)
    word: ast.MechanismName = choose(found.name.text, found.name.span, MECHANISMS, "a mechanism", report)
    for setting in found.settings:
        report.append(
            Diagnostic(
                code="HDM104",
                message=f"`{word}` has no argument named `{setting.name.text}`.",
                span=setting.span,
                help=f"Write the value alone, as in `{word}(...)`.",
            )
        )
    return ast.Mechanism(word, found.args, span=found.span)


def _principal(node: Tree[Token], report: Report) -> ast.Principal:
    head, intermediate, treatment, *strata = _parts(node)
    return ast.Principal(
        name(head),
        name(intermediate),
        name(treatment),
        tuple(_stratum(stratum, report) for stratum in _trees(strata)),
        span=place(node),
    )


def _stratum(node: Tree[Token], report: Report) -> ast.Stratum:
    head, *values, unaffected = _parts(node)
    codes = tuple(code(value, report) for value in values)
    return ast.Stratum(name(head), codes, unaffected is not None, span=place(node))


def _analysis(node: Tree[Token], report: Report) -> ast.Analysis:
    amendments = tuple(amendment(child, report) for child in _trees(_parts(node)))
    return ast.Analysis(amendments, span=place(node))


def _model(node: Tree[Token], report: Report) -> ast.Model:
    return ast.Model(tuple(_equation(child, report) for child in _trees(_parts(node))), span=place(node))


def _equation(node: Tree[Token], report: Report) -> ast.Law | ast.Definition:
    *left, right = _parts(node)
    if node.data == "law":
        return ast.Law(tuple(target(t, report) for t in left), call(right, report), span=place(node))
    return ast.Definition(target(left[0], report), expression(right, report), span=place(node))


def _priors(node: Tree[Token], report: Report) -> ast.Priors:
    priors = (
        ast.Prior(target(child.children[0], report), call(child.children[1], report), span=place(child))
        for child in _trees(_parts(node))
    )
    return ast.Priors(tuple(priors), span=place(node))


def _estimand(node: Tree[Token], report: Report) -> ast.Estimand:
    head, index, value = _parts(node)
    levels = tuple(name(level) for level in index.children) if isinstance(index, Tree) else ()
    return ast.Estimand(name(head), expression(value, report), levels, span=place(node))


def _assume(node: Tree[Token], report: Report) -> ast.Assume:
    return ast.Assume(tuple(_assumed(child, report) for child in _trees(_parts(node))), span=place(node))


def _assumed(node: Tree[Token], report: Report) -> ast.AssumedSize | ast.AssumedValue:
    head, extent, *per = _parts(node)
    assert isinstance(extent, Tree)
    low, *high = _parts(extent)
    bounds = number(low, report), number(high[0], report) if high else None
    if node.data == "size":
        unit = None if per[0] is None else name(per[0])
        return ast.AssumedSize(name(head), *bounds, unit, span=place(node))
    return ast.AssumedValue(target(head, report), *bounds, span=place(node))


def _waive(node: Tree[Token], report: Report) -> ast.Waive:
    return ast.Waive(name(node.children[0]), string(node.children[1]), span=place(node))


_STATEMENTS: Mapping[str, Callable[[Tree[Token], Report], ast.Statement]] = {
    "hdm": _hdm,
    "study": _study,
    "data": _data,
    "level": _level,
    "treatment": _treatment,
    "dose": _dose,
    "assign": _assign,
    "principal": _principal,
    "analysis": _analysis,
    "model": _model,
    "priors": _priors,
    "estimand": _estimand,
    "assume": _assume,
    "waive": _waive,
}
