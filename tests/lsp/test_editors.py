"""What editors and page makers are given: the VS Code extension and the Pygments lexer agree with the grammar."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Error, Keyword, Name

import hdsl
from hdsl.cli import main
from hdsl.syntax.grammar import tables
from hdsl.syntax.pygments_lexer import HdmLexer

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "editors" / "vscode"
STUDIES = sorted([*ROOT.glob("examples/*/*.hdm"), *ROOT.glob("tests/studies/*.hdm"), *ROOT.glob("tests/cases/*/*.hdm")])


def read(name: str) -> Any:
    return json.loads((CODE / name).read_text(encoding="utf-8"))


def patterns() -> dict[str, str]:
    """Return every regular expression of the TextMate grammar by its place in the repository."""
    found: dict[str, str] = {}
    for name, rule in read("syntaxes/hdm.tmLanguage.json")["repository"].items():
        found |= {f"{name}.{key}": rule[key] for key in ("match", "begin", "end") if key in rule}
    return found


def alternatives(pattern: str) -> set[str]:
    """Return the words that the first group of a pattern lists."""
    inner = re.search(r"\((?!\?)([a-z|]+)\)", pattern)
    assert inner is not None, pattern
    return set(inner[1].split("|"))


class TestCode:
    def test_the_keywords_are_those_of_the_grammar(self) -> None:
        found = patterns()
        listed = [alternatives(found[f"{name}.match"]) for name in ("statement", "role", "amendment", "clause")]
        assert set().union(*listed) == set(tables().keywords.values())
        assert sum(map(len, listed)) == len(set().union(*listed))
        statements = {word for kind, word in tables().keywords.items() if kind in tables().statement_types}
        assert listed[0] == statements

    def test_the_patterns_can_be_read_and_match(self) -> None:
        found = {name: re.compile(pattern) for name, pattern in patterns().items()}
        declared = found["role.match"].match("covariate weight : real")
        assert declared is not None
        assert declared.groups() == ("covariate", "weight")
        kind = found["kind.match"].search("covariate weight : real")
        assert kind is not None
        assert kind[2] == "real"
        assert found["number.match"].fullmatch("1.5e-3")
        assert found["number.match"].match("2nd") is None
        assert found["clause.match"].match("withinness") is None

    def test_every_pattern_is_included(self) -> None:
        grammar = read("syntaxes/hdm.tmLanguage.json")
        assert {each["include"] for each in grammar["patterns"]} == {f"#{name}" for name in grammar["repository"]}

    def test_the_files_that_are_named_exist(self) -> None:
        package = read("package.json")
        given = package["contributes"]
        named = [package["main"], given["languages"][0]["configuration"], given["grammars"][0]["path"]]
        assert all((CODE / name).is_file() for name in named)
        assert given["grammars"][0]["scopeName"] == read("syntaxes/hdm.tmLanguage.json")["scopeName"]
        assert package["version"] == hdsl.__version__

    def test_the_command_is_one_of_hdsl(self, capsys: pytest.CaptureFixture[str]) -> None:
        program, *arguments = read("package.json")["contributes"]["configuration"]["properties"]["hdsl.command"][
            "default"
        ]
        assert program == "hdsl"
        with pytest.raises(SystemExit) as stop:
            main([*arguments, "--help"])
        assert stop.value.code == 0
        assert "editor" in capsys.readouterr().out

    def test_the_comment_and_the_brackets_are_those_of_the_language(self) -> None:
        told = read("language-configuration.json")
        assert told["comments"] == {"lineComment": "#"}
        assert told["brackets"] == [["{", "}"], ["[", "]"], ["(", ")"]]
        assert all(re.compile(pattern) for pattern in told["indentationRules"].values())

    @pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
    def test_the_client_starts_stops_and_says_what_is_missing(self) -> None:
        command = ["node", "--test", "test/extension.test.js"]
        done = subprocess.run(command, cwd=CODE, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


class TestPygments:
    def test_it_is_found_by_name_and_by_file(self) -> None:
        assert isinstance(get_lexer_by_name("hdm"), HdmLexer)
        assert isinstance(get_lexer_for_filename("a/study.hdm"), HdmLexer)

    @pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.relative_to(ROOT).as_posix())
    def test_studies_have_no_errors_and_keep_their_text(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8-sig")
        found = list(HdmLexer(stripnl=False, ensurenl=False).get_tokens(text))
        assert [value for kind, value in found if kind is Error] == []
        assert "".join(value for _, value in found) == text
        assert any(kind is Keyword and value in ("study", "unit") for kind, value in found)

    def test_a_keyword_in_the_place_of_a_name_is_a_name(self) -> None:
        found = HdmLexer().get_tokens("unit id { covariate weight : real column column }")
        words = [(kind, value) for kind, value in found if value.isidentifier()]
        assert words == [
            (Keyword, "unit"),
            (Name, "id"),
            (Keyword, "covariate"),
            (Name, "weight"),
            (Keyword.Type, "real"),
            (Keyword, "column"),
            (Name, "column"),
        ]

    @pytest.mark.parametrize("text", ["", "$ study", "study s 'a'", 'study s "open', "}}}{{{", "é = \u201cx\u201d"])
    def test_any_text_is_borne_and_kept(self, text: str) -> None:
        found = list(HdmLexer(stripnl=False, ensurenl=False).get_tokens(text))
        assert "".join(value for _, value in found) == text
        assert any(kind is Error for kind, _ in found) == any(sign in text for sign in ("$", "'", '"open', "\u201c"))
