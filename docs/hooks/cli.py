"""The page of the command line, from what the commands themselves say of their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from hdsl import cli


def page() -> str:
    """Return the page: each command, its arguments and options."""
    parser = cli._parser()
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    lines = [
        "# Command line",
        "",
        "`hdsl COMMAND --help` prints the same. Exit codes: 0 fine, 1 findings, 2 a command that",
    ]
    lines += ["cannot be understood, 3 the sampling failed. `--json` prints one JSON object (`docs/json.md`)."]
    for name, command in commands.choices.items():
        lines += ["", f"## hdsl {name}", "", str(command.description), "", "```text", *_usage(command), "```", ""]
        lines += ["| Argument | |", "|---|---|", *_rows(command)]
    return "\n".join([*lines, ""])


def _usage(command: argparse.ArgumentParser) -> list[str]:
    formatter = argparse.HelpFormatter(command.prog, width=84)
    formatter.add_usage(command.usage, command._actions, command._mutually_exclusive_groups)
    return formatter.format_help().strip().splitlines()


def _rows(command: argparse.ArgumentParser) -> Iterator[str]:
    for action in command._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        value = ""
        if action.option_strings and action.nargs != 0:
            chosen = (
                "\\|".join(map(str, action.choices)) if action.choices else str(action.metavar or action.dest.upper())
            )
            value = f" {chosen}"
        words = " ".join((action.help or "").split()).replace("|", "\\|").replace("%%", "%")
        yield f"| `{names}{value}` | {words} |"
