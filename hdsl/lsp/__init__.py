"""The language server: what an editor shows of a study while it is written."""
