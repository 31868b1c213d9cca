"""The language server on standard input and output: a thin layer over the other modules of this folder.

The text is checked at once on every change; a moment after the last one it is checked against the data, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from hdsl.lsp.colours import LEGEND, colours
from hdsl.lsp.completion import complete
from hdsl.lsp.document import Document, read
from hdsl.lsp.edits import NotRenamed, formatted, outline, renamable, rename
from hdsl.lsp.findings import mends, shown
from hdsl.lsp.hover import hover
from hdsl.lsp.names import declaration, use_at, uses
from hdsl.lsp.places import offset_of, range_of

QUIET_SECONDS = 0.4


class Server(LanguageServer):
    """The server with the newest version of each open study."""

    def __init__(self, quiet: float = QUIET_SECONDS) -> None:
        super().__init__("hdsl", version("hdsl"))
        self.quiet = quiet
        self.documents: dict[str, Document] = {}
        self.waiting: dict[str, asyncio.Task[None]] = {}

    def document(self, uri: str) -> Document:
        """Return the newest version of a study."""
        text = self.workspace.get_text_document(uri).source
        known = self.documents.get(uri)
        path = Path(to_fs_path(uri) or "study.hdm")
        made = read(text, path)
        if known is None or known.source.text != made.source.text:
            self.documents[uri] = made
        return self.documents[uri]

    def publish(self, uri: str, number: int | None, found: list[lsp.Diagnostic]) -> None:
        """Send the findings of a study to the editor."""
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found, number))

    def look(self, uri: str) -> None:
        """Check a study: its text at once, with its data when no change has come for a moment."""
        document = self.document(uri)
        number = self.workspace.get_text_document(uri).version
        self.publish(uri, number, shown(document.checked.diagnostics, document.source, uri))
        if uri in self.waiting:
            self.waiting[uri].cancel()
        self.waiting[uri] = asyncio.get_running_loop().create_task(self._with_data(uri, number, document))

    async def _with_data(self, uri: str, number: int | None, document: Document) -> None:
        await asyncio.sleep(self.quiet)
        found = await asyncio.to_thread(lambda: document.findings)
        if self.documents.get(uri) is document:
            self.publish(uri, number, shown(found, document.source, uri))

    def forget(self, uri: str) -> None:
        """Forget a study that was closed."""
        self.documents.pop(uri, None)
        if uri in self.waiting:
            self.waiting.pop(uri).cancel()


def make_server(quiet: float = QUIET_SECONDS) -> Server:
    """Return a server with all its features."""
    server = Server(quiet)
    _watch(server)
    _tell(server)
    _edit(server)
    return server


def _feature(server: Server, name: str, function: Callable[..., Any], options: Any = None) -> None:
    server.feature(name, options)(function)


def _watch(server: Server) -> None:
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.look(params.text_document.uri)

    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.look(params.text_document.uri)

    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        server.documents.pop(params.text_document.uri, None)  # the data may have changed too
        server.look(params.text_document.uri)

    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.forget(params.text_document.uri)
        server.publish(params.text_document.uri, None, [])

    _feature(server, lsp.TEXT_DOCUMENT_DID_OPEN, opened)
    _feature(server, lsp.TEXT_DOCUMENT_DID_CHANGE, changed)
    _feature(server, lsp.TEXT_DOCUMENT_DID_SAVE, saved)
    _feature(server, lsp.TEXT_DOCUMENT_DID_CLOSE, closed)


def _tell(server: Server) -> None:
    def completion(params: lsp.CompletionParams) -> lsp.CompletionList:
        document, offset = _at(server, params)
        return lsp.CompletionList(is_incomplete=False, items=complete(document, offset))

    async def hovered(params: lsp.HoverParams) -> lsp.Hover | None:
        document, offset = _at(server, params)
        found = await asyncio.to_thread(lambda: hover(document, offset))
        if found is None:
            return None
        text, span = found
        content = lsp.MarkupContent(lsp.MarkupKind.Markdown, text)
        return lsp.Hover(content, range_of(document.source, span))

    def definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        document, offset = _at(server, params)
        use = use_at(document.tree, offset)
        found = None if use is None else declaration(document.tree, use.symbol)
        uri = params.text_document.uri
        return None if found is None else lsp.Location(uri, range_of(document.source, found.span))

    def references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        document, offset = _at(server, params)
        use = use_at(document.tree, offset)
        found = [] if use is None else [each for each in uses(document.tree) if each.symbol == use.symbol]
        return [lsp.Location(params.text_document.uri, range_of(document.source, each.span)) for each in found]

    def symbols(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        return outline(server.document(params.text_document.uri))

    def coloured(params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
        return lsp.SemanticTokens(colours(server.document(params.text_document.uri).source))

    starts = lsp.CompletionOptions(trigger_characters=[" ", "(", "=", ":", "~", ","])
    _feature(server, lsp.TEXT_DOCUMENT_COMPLETION, completion, starts)
    _feature(server, lsp.TEXT_DOCUMENT_HOVER, hovered)
    _feature(server, lsp.TEXT_DOCUMENT_DEFINITION, definition)
    _feature(server, lsp.TEXT_DOCUMENT_REFERENCES, references)
    _feature(server, lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL, symbols)
    _feature(server, lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, coloured, LEGEND)


def _edit(server: Server) -> None:
    def prepared(params: lsp.PrepareRenameParams) -> lsp.Range | None:
        document, offset = _at(server, params)
        use = renamable(document, offset)
        return None if use is None else range_of(document.source, use.span)

    def renamed(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        document, offset = _at(server, params)
        try:
            edits = rename(document, offset, params.new_name)
        except NotRenamed as error:
            raise JsonRpcInvalidParams(str(error)) from None
        return lsp.WorkspaceEdit(changes={params.text_document.uri: edits})

    def laid_out(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        return formatted(server.document(params.text_document.uri))

    def actions(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        return mends(server.document(uri), uri, params.context.diagnostics)

    kinds = lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
    _feature(server, lsp.TEXT_DOCUMENT_PREPARE_RENAME, prepared)
    _feature(server, lsp.TEXT_DOCUMENT_RENAME, renamed, lsp.RenameOptions(prepare_provider=True))
    _feature(server, lsp.TEXT_DOCUMENT_FORMATTING, laid_out)
    _feature(server, lsp.TEXT_DOCUMENT_CODE_ACTION, actions, kinds)


def _at(server: Server, params: Any) -> tuple[Document, int]:
    document = server.document(params.text_document.uri)
    return document, offset_of(document.source, params.position)


def serve() -> None:
    """Serve an editor on standard input and output until it leaves."""
    make_server().start_io()
