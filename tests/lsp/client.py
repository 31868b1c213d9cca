"""An editor for tests: a client of the language server over standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

WAIT = 60.0
FINDINGS = 15.0


class Editor:
    """A client with one open study; offsets are given by the text that stands there."""

    def __init__(self, client: LanguageClient, path: Path) -> None:
        self.client = client
        self.path = path
        self.uri = path.as_uri()
        self.version = 0
        self.text = ""
        self.published: list[lsp.PublishDiagnosticsParams] = []

    @property
    def document(self) -> lsp.TextDocumentIdentifier:
        return lsp.TextDocumentIdentifier(self.uri)

    def open(self, text: str) -> None:
        self.text = text
        item = lsp.TextDocumentItem(self.uri, "hdm", self.version, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def type(self, text: str) -> None:
        """Replace the whole text, as after a key was pressed."""
        self.text = text
        self.version += 1
        where = lsp.VersionedTextDocumentIdentifier(self.version, self.uri)
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(where, [change]))

    def at(self, before: str, within: int = 0) -> dict[str, Any]:
        """Return the place just after some text, moved by `within` characters."""
        assert self.text.count(before) == 1, f"{before!r} is there {self.text.count(before)} times"
        offset = self.text.index(before) + len(before) + within
        line = self.text.count("\n", 0, offset)
        column = offset - (self.text.rfind("\n", 0, offset) + 1)
        return {"text_document": self.document, "position": lsp.Position(line, column)}

    async def findings(self, test: Callable[[list[lsp.Diagnostic]], bool]) -> list[lsp.Diagnostic]:
        """Wait for findings of this version of the text that pass a test, and return them."""
        end = asyncio.get_running_loop().time() + FINDINGS
        while asyncio.get_running_loop().time() < end:
            for told in reversed(self.published):
                if told.version == self.version and test(list(told.diagnostics)):
                    return list(told.diagnostics)
            await asyncio.sleep(0.02)
        raise AssertionError(f"such findings never came: {self.published}")

    async def labels(self, before: str) -> list[str]:
        """Return what completion offers after some text."""
        found = await self.client.text_document_completion_async(lsp.CompletionParams(**self.at(before)))
        items = found.items if isinstance(found, lsp.CompletionList) else found or []
        return [item.label for item in items]

    def edited(self, edits: list[lsp.TextEdit]) -> str:
        """Return the text after edits."""
        lines = self.text.splitlines(keepends=True)
        starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
        text = self.text
        for edit in sorted(edits, key=lambda each: (each.range.start.line, each.range.start.character), reverse=True):
            start = starts[edit.range.start.line] + edit.range.start.character
            end = starts[edit.range.end.line] + edit.range.end.character
            text = text[:start] + edit.new_text + text[end:]
        return text


def session(path: Path, use: Callable[[Editor], Awaitable[None]]) -> None:
    """Start `hdsl lsp`, greet it, use it, and see it leave with exit code 0."""
    asyncio.run(_session(path, use))


async def _session(path: Path, use: Callable[[Editor], Awaitable[None]]) -> None:
    client = LanguageClient("test", "1")
    editor = Editor(client, path)

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def _(params: lsp.PublishDiagnosticsParams) -> None:
        editor.published.append(params)

    await client.start_io(sys.executable, "-c", "from hdsl.cli import main; raise SystemExit(main(['lsp']))")
    process = client._server
    try:
        made = await asyncio.wait_for(
            client.initialize_async(lsp.InitializeParams(capabilities=lsp.ClientCapabilities())), WAIT
        )
        assert made.server_info is not None
        assert made.server_info.name == "hdsl"
        client.initialized(lsp.InitializedParams())
        await asyncio.wait_for(use(editor), WAIT)
        await asyncio.wait_for(client.shutdown_async(None), WAIT)
        client.exit(None)
        assert process is not None
        assert await asyncio.wait_for(process.wait(), WAIT) == 0
    finally:
        if process is not None and process.returncode is None:
            process.kill()
        client._stop_event.set()
