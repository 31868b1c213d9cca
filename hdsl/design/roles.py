"""The text of a role: the name under which a parameter appears in every output."""

from __future__ import annotations

from hdsl.design.expr import Expr
from hdsl.design.expr_text import expr_text


def role_text(expr: Expr) -> str:
    """Return the canonical text of a role or of a term in a role.

    Two ways to write one role give one text: `sd( effect(tutor),school )` is `sd(effect(tutor), school)`.

    Examples
    --------
    `intercept`, `residual`, `effect(tutor)`, `effect(tutor)[trained]`, `slope(log(size))`,
    `slope(exper * exper)`, `sd(effect(tutor), school)`, `corr(intercept, effect(tutor), school)`.
    """
    return expr_text(expr)
