"""The language server, used by a client over standard input and output."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from hdsl.cli import main
from tests.lsp.client import Editor, session
from tests.report.made import STUDY, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path)


def codes(found: list[lsp.Diagnostic]) -> list[str]:
    return [str(each.code) for each in found]


async def rename(editor: Editor, name: str, before: str) -> lsp.WorkspaceEdit | None:
    return await editor.client.text_document_rename_async(lsp.RenameParams(new_name=name, **editor.at(before)))


def test_findings_come_as_one_types(path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open(STUDY)
        assert await editor.findings(lambda found: not found) == []
        editor.type(STUDY.replace("adjust for pretest", "adjust for pretset"))
        found = await editor.findings(lambda found: "HDM227" in codes(found))
        wrong = next(each for each in found if each.code == "HDM227")
        line = editor.text.splitlines()[wrong.range.start.line]
        assert "pretset" in line[wrong.range.start.character : wrong.range.end.character]
        assert wrong.severity == lsp.DiagnosticSeverity.Error
        editor.type(STUDY.replace("treatment tutor {", "treatment tutor "))
        found = await editor.findings(lambda found: bool(found))
        assert all(code.startswith("HDM1") for code in codes(found))

    session(path, use)


def test_the_data_are_looked_at_after_a_moment(path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open(
            STUDY.replace("covariate pretest : real", "covariate pretests : real").replace(
                "for pretest,", "for pretests,"
            )
        )
        found = await editor.findings(lambda found: "HDM217" in codes(found))
        wrong = next(each for each in found if each.code == "HDM217")
        assert "pretest" in wrong.message
        given = lsp.CodeActionContext([wrong])
        params = lsp.CodeActionParams(editor.document, wrong.range, given)
        actions: Any = await editor.client.text_document_code_action_async(params)
        mended = editor.edited(actions[0].edit.changes[editor.uri])
        assert "covariate pretests : real column pretest" in " ".join(mended.split())
        editor.type(mended)
        assert await editor.findings(lambda found: not found) == []

    session(path, use)


def test_the_mend_of_a_name_is_the_name_that_was_meant(path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open(STUDY.replace("vary tutor across school", "vary tutro across school"))
        found = await editor.findings(lambda found: bool(found))
        params = lsp.CodeActionParams(editor.document, found[0].range, lsp.CodeActionContext(found))
        actions: Any = await editor.client.text_document_code_action_async(params)
        assert editor.edited(actions[0].edit.changes[editor.uri]) == STUDY

    session(path, use)


def test_completion_knows_keywords_columns_levels_and_families(path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open(STUDY + "\n")
        assert {"estimand", "waive", "priors"} <= set(await editor.labels(STUDY))
        assert {"school", "poverty", "tutor", "pretest", "score"} <= set(await editor.labels("group school id "))
        assert {"school", "student"} <= set(await editor.labels("vary tutor across "))
        assert {"adjust", "vary", "variance", "family"} <= set(await editor.labels("analysis {"))
        assert {"real", "positive", "count", "binary"} <= set(await editor.labels("covariate poverty : "))
        assert {"complete", "bernoulli", "ignorable"} <= set(await editor.labels("within school by "))
        assert {"none", "tutored"} <= set(await editor.labels("score(tutor = tutored) - score(tutor = "))
        assert {"pretest", "poverty"} <= set(await editor.labels("adjust for pretest, "))
        editor.type(STUDY.replace("analysis {", "analysis { family score "))
        assert {"normal", "student", "lognormal"} <= set(await editor.labels("family score "))
        editor.type(STUDY + "priors { residual ~ ")
        assert {"normal", "halfnormal"} <= set(await editor.labels("residual ~ "))
        editor.type("# a comment ")
        assert await editor.labels("# a comment ") == []

    session(path, use)


def test_hover_tells_what_is_derived_and_why(path: Path) -> None:
    async def use(editor: Editor) -> None:
        async def told(before: str, within: int = 0) -> str:
            found = await editor.client.text_document_hover_async(lsp.HoverParams(**editor.at(before, within)))
            return "" if found is None else found.contents.value  # type: ignore[union-attr]

        editor.open(STUDY)
        tutor = await told("treatment tu")
        assert "none, tutored" in tutor
        assert "40" in tutor
        assert "effect(tutor)" in tutor
        varied = await told("  vary", -2)
        assert "vary EFFECT across GROUP" in varied
        assert "sd(effect(tutor), school)" in varied
        assert "because" in varied
        assigned = await told("assig", 0)
        assert "within school" in assigned or "because" in assigned
        assert "mean" in await told("covariate pre")

    session(path, use)


def test_definition_references_and_rename(path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open(STUDY)
        place: Any = await editor.client.text_document_definition_async(
            lsp.DefinitionParams(**editor.at("adjust for pre"))
        )
        lines = STUDY.splitlines()
        assert lines[place.range.start.line].strip().startswith("covariate pretest")
        context = lsp.ReferenceContext(include_declaration=True)
        params = lsp.ReferenceParams(context=context, **editor.at("treatment tut"))
        found = await editor.client.text_document_references_async(params)
        assert len(found or []) == 5
        edit = await editor.client.text_document_rename_async(
            lsp.RenameParams(new_name="before", **editor.at("for pret"))
        )
        assert edit is not None
        renamed = editor.edited(list((edit.changes or {})[editor.uri]))
        assert "covariate before : real column pretest" in " ".join(renamed.split())
        assert "adjust for before, poverty" in renamed
        editor.type(renamed)
        assert await editor.findings(lambda found: not found) == []
        with pytest.raises(Exception, match="taken"):
            await editor.client.text_document_rename_async(
                lsp.RenameParams(new_name="poverty", **editor.at("for befor"))
            )
        with pytest.raises(Exception, match="no name"):
            await rename(editor, "1st", "for befor")

    session(path, use)


def test_formatting_is_that_of_the_formatter(path: Path) -> None:
    from hdsl.driver import format_text

    rough = STUDY.replace("  vary tutor", "vary   tutor")

    async def use(editor: Editor) -> None:
        editor.open(rough)
        options = lsp.FormattingOptions(tab_size=2, insert_spaces=True)
        params = lsp.DocumentFormattingParams(editor.document, options)
        edits = await editor.client.text_document_formatting_async(params)
        made = editor.edited(list(edits or []))
        assert made == format_text(rough)
        assert made != rough
        editor.type(made)
        assert not await editor.client.text_document_formatting_async(params)
        editor.type("study {")
        assert not await editor.client.text_document_formatting_async(params)

    session(path, use)


def test_the_outline_has_levels_with_their_variables(path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open(STUDY)
        params = lsp.DocumentSymbolParams(editor.document)
        found: Any = await editor.client.text_document_document_symbol_async(params)
        named = {symbol.name: [child.name for child in symbol.children or []] for symbol in found}
        assert named["student"] == ["pretest", "score"]
        assert {"school", "tutor", "analysis", "ate"} <= set(named)

    session(path, use)


def test_colours_tell_keywords_from_names(path: Path) -> None:
    text = "study weight\nunit id id id { outcome group : real }\n"

    async def use(editor: Editor) -> None:
        editor.open(text)
        params = lsp.SemanticTokensParams(editor.document)
        found = await editor.client.text_document_semantic_tokens_full_async(params)
        assert found is not None
        lines, line, column, seen = text.splitlines(), 0, 0, []
        for down, right, length, kind, _ in zip(*[iter(found.data)] * 5, strict=True):
            line, column = line + down, right + (0 if down else column)
            seen.append((lines[line][column : column + length], kind))
        keyword, type_, name = 0, 1, 2
        assert seen == [
            ("study", keyword),
            ("weight", name),
            ("unit", keyword),
            ("id", name),
            ("id", keyword),
            ("id", name),
            ("outcome", keyword),
            ("group", name),
            ("real", type_),
        ]

    session(path, use)


def test_any_half_written_text_is_borne(path: Path) -> None:
    async def use(editor: Editor) -> None:
        editor.open("")
        for end in range(0, len(STUDY), 37):
            editor.type(STUDY[:end])
            position = lsp.Position(STUDY[:end].count("\n"), end - (STUDY.rfind("\n", 0, end) + 1))
            where: Any = {"text_document": editor.document, "position": position}
            await editor.client.text_document_completion_async(lsp.CompletionParams(**where))
            await editor.client.text_document_definition_async(lsp.DefinitionParams(**where))
            await editor.client.text_document_document_symbol_async(lsp.DocumentSymbolParams(editor.document))

    session(path, use)


def test_without_its_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("hdsl.commands.lsp.find_spec", lambda name: None if name == "pygls" else find(name))
    assert main(["lsp"]) == 1
    told = capsys.readouterr().err
    assert "HDM123" in told
    assert 'pip install "hdsl[lsp]"' in told
