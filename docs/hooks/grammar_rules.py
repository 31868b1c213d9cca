"""The page of the grammar: each rule of grammar/hdm.lark, with what uses it and what stands for it in the examples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from lark import Lark, Token, Tree

from hdsl.resources import grammar_text

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TOKEN = re.compile(r'"[^"]*"|/(?:[^/\\]|\\.)*/|[A-Za-z_]\w*')
WORDS = {"NAME": "a word", "NUMBER": "a number", "STRING": 'a text in "quotes"', "NAMES": "any word, keywords too"}


@dataclass(frozen=True)
class Rule:
    """A rule of the grammar; `aliases` are the names that its alternatives have in the tree."""

    name: str
    section: str
    body: str
    aliases: tuple[str, ...]


def page() -> str:
    """Return the page."""
    lines = ["# Grammar", "", INTRODUCTION.strip(), ""]
    section = ""
    for rule in rules():
        if rule.section != section:
            section = rule.section
            lines += [f"## {section}", ""]
        lines += _entry(rule)
    return "\n".join(lines)


INTRODUCTION = """
Made from `grammar/hdm.lark`, the file from which the parser itself is made; [the language](../language.md) says what
each statement means. Read `x*` as "any number of x", `[x]` and `x?` as "x or nothing", `a | b` as "a or b".
Words in quotes are keywords. Blanks, line ends and comments (`# ...`) may stand between any two words. A keyword
serves as a name wherever a name must stand. Words of closed lists (kinds, mechanisms, families, structures) are
names here; [the parts of a study](study.md) list them. Lines below a rule are examples of it, taken from the studies
in `examples/`.
"""


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules in the order of the file, with the titles of its sections."""
    found: list[Rule] = []
    section = "A study"
    for block in re.split(r"\n(?=\S)", grammar_text().split("// Text without meaning")[0]):
        heading = re.match(r"// ([A-Z][^.:]*)$", block.split("\n")[0]) or re.match(r"// (Names): ", block)
        if heading:
            section = heading[1]
        match = re.match(r"[?!]*([a-z_]\w*): *(.*)", block, re.DOTALL)
        if match:
            body = re.sub(r"\n\s*//.*", "", match[2]).rstrip()
            aliases = tuple(re.findall(r"-> *(\w+)", body))
            found.append(Rule(match[1], section, re.sub(r" *-> *\w+", "", body), aliases))
    return tuple(found)


@cache
def _terminals() -> dict[str, str]:
    """Return the words and signs that terminals stand for."""
    return dict(re.findall(r'^([A-Z_]+): ("[^"]*")$', grammar_text(), re.M))


def _entry(rule: Rule) -> list[str]:
    users = [other.name for other in rules() if other is not rule and rule.name in TOKEN.findall(other.body)]
    lines = ['<div class="rule" markdown="1">', "", f"### {_plain(rule.name)} {{ #{_anchor(rule.name)} }}", ""]
    lines += [f"<pre><code>{_body(rule)}</code></pre>", ""]
    if users:
        links = ", ".join(f"[{_plain(name)}](#{_anchor(name)})" for name in users)
        lines += [f"Part of {links}.", ""]
    shown = [text for name in (rule.name, *rule.aliases) for text in examples().get(name, ())][:3]
    if shown and rule.name not in ("file", "name", "plain_name"):
        lines += ["```hdm", *shown, "```", ""]
    return [*lines, "</div>", ""]


def _body(rule: Rule) -> str:
    if rule.name == "plain_name":
        return escape(WORDS["NAMES"])
    known = {each.name for each in rules()}

    def shown(match: re.Match[str]) -> str:
        word = match[0]
        if word in known:
            return f'<a href="#{_anchor(word)}">{_plain(word)}</a>'
        text = _terminals().get(word) or WORDS.get(word) or word
        return f"<strong>{escape(text)}</strong>" if text.startswith('"') else f"<em>{escape(text)}</em>"

    return TOKEN.sub(shown, re.sub(r"\n\s*\|", "\n    |", rule.body))


def _plain(name: str) -> str:
    return name.lstrip("_")


def _anchor(name: str) -> str:
    return f"rule-{_plain(name).replace('_', '-')}"


@cache
def examples() -> dict[str, tuple[str, ...]]:
    """Return up to three short texts for each rule, from the studies of the examples."""
    parser = Lark(grammar_text(), start="file", parser="lalr", lexer="basic", propagate_positions=True)
    found: dict[str, list[str]] = {}
    for path in sorted(EXAMPLES.glob("*/*.hdm")):
        text = path.read_text(encoding="utf-8")
        for tree in parser.parse(text).iter_subtrees():
            words = " ".join(re.sub(r"#.*", "", _text(tree, text)).split())
            if words and words not in found.setdefault(str(tree.data), []):
                found[str(tree.data)].append(words)
    return {name: tuple(_varied(texts)) for name, texts in found.items()}


def _text(tree: Tree[Token], text: str) -> str:
    return "" if tree.meta.empty else text[tree.meta.start_pos : tree.meta.end_pos]


def _varied(texts: list[str]) -> list[str]:
    """Return three texts of different length, none longer than a line."""
    short = sorted((text for text in texts if len(text) <= 90), key=lambda text: (len(text), text))
    return list(dict.fromkeys(short[place] for place in (0, len(short) // 2, len(short) - 1))) if short else []
