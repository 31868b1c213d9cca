"""Modules that libraries load on the way and a command does not need, in a process that is the command's own."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.util import LazyLoader, find_spec, module_from_spec
from typing import Any


class _NoPandas(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def arrow_without_pandas() -> None:
    """Keep pyarrow from loading pandas (0.1 seconds) with the first value it is given, to see whether that is pandas'.

    It looks for pandas once in a process; what returns a data frame loads it all the same.
    """
    import pyarrow as pa

    hidden = _NoPandas()
    sys.meta_path.insert(0, hidden)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(hidden)


def numpy_without_f2py() -> None:
    """Load `numpy.f2py` (0.06 seconds) when something in it is used: SciPy looks up every name that NumPy has."""
    import numpy

    spec = find_spec("numpy.f2py")
    if "numpy.f2py" in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules["numpy.f2py"] = module
    spec.loader.exec_module(module)
    numpy.f2py = module
