"""What people have in their files: columns with blanks and quotes, other scripts, names that are keywords."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types as lsp

from hdsl.driver import check
from hdsl.lsp.completion import complete
from hdsl.lsp.document import Document, read
from hdsl.lsp.edits import NotRenamed, rename
from hdsl.lsp.findings import mends, shown
from hdsl.lsp.hover import hover
from hdsl.lsp.names import uses
from hdsl.lsp.places import offset_of, position_of
from hdsl.syntax.grammar import tables
from tests.lsp.client import Editor, session

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted([*ROOT.glob("examples/*/*.hdm"), *ROOT.glob("tests/studies/*.hdm")])
TEXT = """# ein Kommentar 😀
study s "😀 <script>"
data "d.csv"
group school id "Schule \\"A\\""
unit kid id Kind in school {
  covariate pre : real "😀😀" column "Vor Test"
  outcome y : real
}
treatment tutor { none = 0, yes = 1 }
treatment book { none = 0, many = 1 }
assign tutor to kid within school by complete(0.5)
assign book to kid by complete(0.5)
analysis {
  adjust for pre
  vary tutor across school
  variance of y by tutor
  interact tutor * book
}
priors {
  residual[yes] ~ halfnormal(3)
  interaction(tutor * book)[yes, many] ~ normal(0, 1)
}
estimand ate = average over kid of y(tutor = yes) - y(tutor = none)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f'"<b>{i % 6}",k{i},{i % 7},{i * 0.5},{(i // 6) % 2},{(i // 12) % 2}' for i in range(96)]
    head = '"Schule ""A""",Kind,Vor Test,y,tutor,book'
    (tmp_path / "d.csv").write_bytes(("\r\n".join([head, *rows]) + "\r\n").encode())
    return tmp_path


def document(folder: Path, text: str = TEXT) -> Document:
    return read(text, folder / "s.hdm")


def after(text: str, words: str) -> int:
    assert text.count(words) == 1, words
    return text.index(words) + len(words)


def labels(folder: Path, text: str, words: str) -> list[str]:
    return [item.label for item in complete(document(folder, text), after(text, words))]


def renamed(known: Document, offset: int, name: str) -> str:
    text = known.source.text
    for edit in sorted(rename(known, offset, name), key=lambda each: offset_of(known.source, each.range.start))[::-1]:
        start, end = (offset_of(known.source, place) for place in (edit.range.start, edit.range.end))
        text = text[:start] + edit.new_text + text[end:]
    return text


def errors(known: Document) -> list[str]:
    return [found.code for found in known.checked.diagnostics if found.severity == "error"]


class TestRename:
    def test_arms_in_priors_of_residuals_and_interactions(self, folder: Path) -> None:
        known = document(folder)
        text = renamed(known, after(TEXT, "none = 0, ye"), "taught")
        assert "residual[taught]" in text
        assert "[taught, many]" in text
        assert "yes" not in text
        text = renamed(known, after(TEXT, "none = 0, man"), "lots")
        assert "[yes, lots]" in text
        assert "book { none = 0, lots = 1 }" in text

    def test_strata_in_priors(self, folder: Path) -> None:
        path = ROOT / "tests" / "cases" / "vitamin-a" / "principal-strata.hdm"
        known = read(path.read_text(), path)
        text = renamed(known, after(known.source.text, "  complie"), "taker")
        assert "complier" not in text
        assert not [each for each in check(read(text, path).opened).diagnostics if each.severity == "error"]

    @pytest.mark.parametrize("name", ["plain", "treatment", "within", "of"])
    @pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
    def test_it_keeps_the_study_or_is_refused(self, path: Path, name: str) -> None:
        known = read(path.read_text(encoding="utf-8"), path)
        before = [use.symbol.sort for use in uses(known.tree)]
        refused = 0
        every = [use for use in uses(known.tree) if use.declares]
        for use in every:
            try:
                other = read(renamed(known, use.span.start, name), path)
            except NotRenamed:
                refused += 1
                continue
            assert [each.symbol.sort for each in uses(other.tree)] == before
            assert use.symbol not in {each.symbol for each in uses(other.tree)}
            assert errors(other) == [] or errors(known)
        assert refused < len(every) / 2 or errors(known)

    def test_a_text_that_cannot_be_read_whole_is_left_alone(self, folder: Path) -> None:
        broken = TEXT.replace("interact tutor * book", "interact tutor * * book")
        with pytest.raises(NotRenamed, match="cannot be read"):
            rename(document(folder, broken), after(broken, "treatment tut"), "lesson")


class TestCompletion:
    def test_columns_and_files_within_quotes(self, folder: Path) -> None:
        text = TEXT.replace('column "Vor Test"', 'column "V')
        (item,) = (i for i in complete(document(folder, text), after(text, 'column "V')) if i.label == 'Schule "A"')
        assert item.insert_text == 'Schule \\"A\\"'
        assert "Vor Test" in labels(folder, text, 'column "V')
        assert labels(folder, TEXT.replace('data "d.csv"', 'data "'), 'data "') == ["d.csv"]
        assert labels(folder, TEXT, '"😀 <scr') == []
        assert labels(folder, TEXT + '# id "', '# id "') == []

    def test_a_keyword_that_could_only_be_a_name_is_not_offered(self, folder: Path) -> None:
        words = set(tables().keywords.values())
        for place in ("adjust for ", "tutor to ", "school by ", "of y("):
            assert not words & set(labels(folder, TEXT, place)) - {"not", "sd", "variance"}, place
        assert "population" in labels(folder, TEXT, "average over ")
        assert {"of", "where"} <= set(labels(folder, TEXT, "average over kid "))
        assert {"average", "share"} <= set(labels(folder, TEXT, "estimand ate = "))

    def test_targets_of_priors_and_links(self, folder: Path) -> None:
        found = labels(folder, TEXT, "priors {\n")
        assert {"effect(tutor)", "slope(pre)", "sd(effect(tutor), school)", "corr(school)", "residual"} <= set(found)
        text = TEXT.replace("interact tutor * book", "family y normal(link = ")
        assert {"identity", "log"} <= set(labels(folder, text, "(link = "))


class TestHover:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("average", "average over kid of y(tutor = yes) - y(tutor = none)"),
            ('column "Vor', "**pre**: covariate"),
            ("within school by comp", "assign TREATMENT to UNIT"),
            ("unit kid id Ki", "**kid**: unit in school"),
        ],
    )
    def test_what_is_no_name_tells_of_its_statement(self, folder: Path, words: str, said: str) -> None:
        found = hover(document(folder), after(TEXT, words))
        assert found is not None
        assert said in found[0]

    def test_a_law_is_no_name_of_the_model(self, folder: Path) -> None:
        found = hover(document(folder), after(TEXT, "~ norm"))
        assert found is None or "because" not in found[0]


def test_the_mend_of_a_file_keeps_its_quotes(folder: Path) -> None:
    known = document(folder, TEXT.replace('"d.csv"', '"e.csv"'))
    (wrong,) = shown(known.findings, known.source, "file:///s.hdm")
    (action,) = mends(known, "file:///s.hdm", [wrong])
    assert action.edit is not None
    assert action.edit.changes is not None
    assert [edit.new_text for edit in action.edit.changes["file:///s.hdm"]] == ['"d.csv"']


def test_changes_beyond_the_basic_plane(folder: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        assert await editor.findings(lambda found: not found) == []
        source = document(folder).source
        title = source.text.index("<script>")
        cut = lsp.Range(position_of(source, title), position_of(source, title + len("<script>")))
        pre = after(TEXT, "adjust for pre")
        name = lsp.Range(position_of(source, pre - 3), position_of(source, pre))
        editor.version += 1
        changes = [lsp.TextDocumentContentChangePartial(cut, "😀b"), lsp.TextDocumentContentChangePartial(name, "prae")]
        where = lsp.VersionedTextDocumentIdentifier(editor.version, editor.uri)
        editor.client.text_document_did_change(lsp.DidChangeTextDocumentParams(where, [*changes]))
        (found,) = await editor.findings(lambda found: bool(found))
        assert found.message.startswith("`prae` is not declared")
        assert found.range.end.character - found.range.start.character == 4

    session(folder / "s.hdm", use)
