"""Names of a Model: ASCII identifiers that are free in every target language, made from any text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_PYTHON = (
    "and as assert async await break class continue def del elif else except finally for from global if "
    "import in is lambda nonlocal not or pass raise return try while with yield match case type None True "
    "False "
)
_STAN = (
    "for in while repeat until if then else true false target int real complex vector simplex unit_vector "
    "ordered positive_ordered row_vector matrix cholesky_factor_corr column_stochastic_matrix "
    "row_stochastic_matrix sum_to_zero_vector sum_to_zero_matrix cholesky_factor_cov corr_matrix "
    "cov_matrix lower upper offset multiplier functions model data parameters quantities transformed "
    "generated profile return print reject fatal_error break continue void array struct typedef export "
    "auto extern var static tuple "
)
_MODULES = (
    "np jnp jax numpyro dist pm pt pytensor lax scipy model data math observed random abs exp log sqrt "
    "sin cos tanh sum mean min max pow square logit inv_logit beta gamma normal e pi "
)
RESERVED = frozenset(f"{_PYTHON} {_STAN} {_MODULES}".split())


def identifier(text: str) -> str:
    """Return an ASCII identifier that resembles `text`: no reserved word, no leading digit or underscore.

    Different texts may give the same identifier; `fresh` tells them apart.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    name = words or "x"
    if name[0].isdigit():
        name = f"x_{name}"
    name = name[:48].rstrip("_")
    return f"{name}_" if name in RESERVED or name.endswith("__") else name


def fresh(text: str, taken: Iterable[str]) -> str:
    """Return an identifier like `text` that is not in `taken` (compared without case)."""
    used = {name.lower() for name in taken}
    base = identifier(text)
    if base.lower() not in used:
        return base
    number = 2
    while f"{base.rstrip('_')}_{number}".lower() in used:
        number += 1
    return f"{base.rstrip('_')}_{number}"
