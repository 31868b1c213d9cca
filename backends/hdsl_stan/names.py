"""Names in Stan programs: those of the Model, kept clear of Stan's keywords and of each other."""

from __future__ import annotations

from collections.abc import Iterable

_KEYWORDS = (
    "for in while repeat until if then else true false target int real complex void array tuple lower upper offset "
    "multiplier vector row_vector matrix simplex unit_vector ordered positive_ordered sum_to_zero_vector "
    "sum_to_zero_matrix cholesky_factor_corr cholesky_factor_cov corr_matrix cov_matrix column_stochastic_matrix "
    "row_stochastic_matrix functions model data parameters quantities transformed generated jacobian return "
    "profile print reject fatal_error break continue struct typedef export auto extern var static"
)
# Legal in Stan, but renamed on the way to C++.
_RENAMED = (
    "alignas alignof and and_eq asm bitand bitor bool case catch char char16_t char32_t class compl concept const "
    "const_cast constexpr decltype default delete do double dynamic_cast enum explicit false float friend goto "
    "inline long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public "
    "register reinterpret_cast requires short signed sizeof static_assert static_cast switch template this "
    "thread_local throw try typeid typename union unsigned using virtual volatile wchar_t xor xor_eq fvar"
)
KEYWORDS = frozenset((_KEYWORDS + " " + _RENAMED).split())


def fresh(wanted: str, taken: Iterable[str]) -> str:
    """Return `wanted`, or a name like it, that is no keyword and not in `taken`."""
    used = set(taken) | KEYWORDS
    base = wanted.strip("_")
    if not base or base[0].isdigit():
        base = f"x_{base}"
    if base not in used:
        return base
    number = 2
    while f"{base}_{number}" in used:
        number += 1
    return f"{base}_{number}"
