"""The page of the Python interface: what `hdsl` offers, from the docstrings."""

from __future__ import annotations

import hdsl

PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Writing a study": (
        "`Study` is built step by step; every method returns a new study. Variables and assignment mechanisms are "
        "made by small functions.",
        (
            "Study", "covariate", "intermediate", "outcome", "weight", "exposure",
            "complete", "bernoulli", "ignorable", "rule",
            "load", "starter", "format_text", "json_schema",
        ),
    ),
    "Looking at it": ("What a study is, what is wrong with it, what is derived from it.",
                      ("check", "explain", "derive", "emit", "doctor")),
    "Running it": ("", ("run", "Settings", "compare", "compare_pooling", "compare_studies")),
    "What a run gives": ("", ("Result",)),
    "When it fails": ("Findings are values; only these two are raised.", ("StudyError", "SamplingFailed")),
}  # fmt: skip
OTHERS: dict[str, tuple[str, ...]] = {
    "Pictures of a result: `result.plot`": ("hdsl.report.pictures.Plots",),
    "Findings": ("hdsl.diagnostics.Diagnostic",),
    "What commands return": ("hdsl.driver.Opened", "hdsl.driver.Checked", "hdsl.driver.Derived"),
    "Backends": (
        "hdsl.backend.Backend", "hdsl.backend.Capabilities", "hdsl.backend.Program",
        "hdsl.backend.Draws", "hdsl.backend.Progress",
    ),
}  # fmt: skip


def page() -> str:
    """Return the page; every public name of `hdsl` is on it."""
    homes = {name: _home(name) for name in hdsl.__all__}
    lines = ["# In Python", "", "Everything below is found in `hdsl` itself: `import hdsl`, then `hdsl.run(...)`.", ""]
    for title, (words, names) in PARTS.items():
        lines += [f"## {title}", "", words, ""]
        for name in names:
            lines += _entry(homes.pop(name), f"hdsl.{name}")
    if homes:
        raise ValueError(f"docs/hooks/api.py has no place for {', '.join(homes)}")
    for title, paths in OTHERS.items():
        lines += [f"## {title}", ""]
        for path in paths:
            lines += _entry(path, path)
    return "\n".join(lines)


def _home(name: str) -> str:
    value = getattr(hdsl, name)
    return f"{value.__module__}.{value.__qualname__}"


def _entry(path: str, heading: str) -> list[str]:
    return [f"::: {path}", "    options:", f'      heading: "{heading}"', f'      toc_label: "{heading}"', ""]
