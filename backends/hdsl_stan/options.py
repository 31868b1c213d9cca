"""Settings checked before an engine sees them: some engines abort the process on a bad one."""

from __future__ import annotations

from collections.abc import Mapping

from hdsl.backend import Settings
from hdsl_stan.failures import BAD_SETTING, failed

_WHOLE: Mapping[str, int] = {"chains": 1, "draws": 1, "warmup": 0, "seed": 0, "max_tree_depth": 1}
_MOST = 2**31 - 1


def check(settings: Settings, known: Mapping[str, type]) -> None:
    """Raise SamplingFailed (HDM703) for a setting out of range or an unknown option.

    `known` maps the engine's options to their types.
    """
    for name, least in _WHOLE.items():
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
            raise failed(BAD_SETTING, f"`{name}` is {value!r}.", f"Give a whole number of at least {least}.")
    if not 0 < settings.target_accept < 1:
        raise failed(BAD_SETTING, f"`target_accept` is {settings.target_accept!r}.", "Give a number between 0 and 1.")
    for name, value in settings.options.items():
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise failed(BAD_SETTING, f"There is no option `{name}`.", f"Options of this engine: {listed}.")
        if not isinstance(value, known[name]) or isinstance(value, bool) != (known[name] is bool):
            raise failed(BAD_SETTING, f"`{name}` is {value!r}.", f"Give a value of type {known[name].__name__}.")
