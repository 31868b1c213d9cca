"""Settings checked before an engine sees them: some engines abort the process on a bad one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hdsl.backend import Settings
from hdsl_stan.failures import BAD_SETTING, failed

_WHOLE: Mapping[str, int] = {"chains": 1, "draws": 1, "warmup": 0, "seed": 0, "max_tree_depth": 1}
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Option:
    """An option of an engine: its type, and what it may be (`least` for numbers, `choices` for words)."""

    type: type
    least: float | None = None
    choices: tuple[str, ...] = ()

    def allows(self, value: object) -> bool:
        """Tell whether a value may be given."""
        if not isinstance(value, self.type) or isinstance(value, bool) != (self.type is bool):
            return False
        if self.least is not None and isinstance(value, int | float) and not self.least <= value <= _MOST:
            return False
        return not self.choices or value in self.choices

    def described(self) -> str:
        """Return in words what may be given."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return f"{self.type.__name__}" + ("" if self.least is None else f" of at least {self.least:g}")


PARALLEL = Option(int, least=1)
METRIC = Option(str, choices=("diag_e", "dense_e", "unit_e"))


def check(settings: Settings, known: Mapping[str, Option], engine: str) -> None:
    """Raise SamplingFailed (HDM713) for a setting out of range, an unknown option or a bad value of one."""
    for name, least in _WHOLE.items():
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
            raise failed(BAD_SETTING, f"`{name}` is {value!r}.", f"Give a whole number of at least {least}.")
    if not 0 < settings.target_accept < 1:
        raise failed(BAD_SETTING, f"`target_accept` is {settings.target_accept!r}.", "Give a number between 0 and 1.")
    for name, value in settings.options.items():
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise failed(BAD_SETTING, f"{engine} has no option `{name}`.", f"Options of {engine}: {listed}.")
        if not known[name].allows(value):
            raise failed(BAD_SETTING, f"`{name}` is {value!r}.", f"Give {known[name].described()}.")
