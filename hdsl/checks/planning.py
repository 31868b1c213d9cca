"""What is assumed for planning: sizes and true values that can be."""

from __future__ import annotations

from hdsl.checks.finding import Findings, Path, Rule, finding, listed, want_level
from hdsl.checks.scope import Scope
from hdsl.design.ir import AssumedSize, AssumedValue
from hdsl.design.roles import role_text


def assumed_sizes(scope: Scope) -> Findings:
    """HDM226, HDM264: assumed sizes are whole positive numbers of declared levels, per a level above."""
    for i, item in enumerate(scope.study.assumptions):
        path: Path = ("assumptions", i)
        if item.high is not None and item.high < item.low:
            yield finding("HDM264", "The range ends below its beginning.", path, "Write the smaller number first.")
        match item:
            case AssumedSize(level=level, per=per):
                yield from want_level(scope, level, (*path, "level"))
                if item.low < 1 or item.low != int(item.low):
                    yield finding("HDM264", f"There cannot be {item.low:g} of {level}.", path, "Give 1 or more.")
                if per is not None:
                    yield from _per(scope, level, per, path)
            case AssumedValue(target=target):
                spread = role_text(target).startswith(("sd(", "residual"))
                if spread and item.low < 0:
                    yield finding("HDM264", f"`{role_text(target)}` cannot be negative.", path)


def _per(scope: Scope, level: str, per: str, path: Path) -> Findings:
    yield from want_level(scope, per, (*path, "per"))
    if {level, per} <= scope.levels.keys() and (level == per or not scope.contains(per, level)):
        message = f"`{level}: ... per {per}`: {level} does not lie in {per}."
        help = f"Above {level}: {listed(sorted(scope.above[level]))}." if scope.above[level] else ""
        yield finding("HDM264", message, (*path, "per"), help)


RULES: tuple[Rule, ...] = (assumed_sizes,)
