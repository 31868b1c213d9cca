"""JAX set up for hdsl, and programs loaded from their source."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hdsl.backend import Program
from hdsl.model.ir import ModelData

ModelFunction = Callable[[Mapping[str, Any]], None]


def cache_directory() -> Path:
    """Return the folder in which compiled programs are kept between runs, unless JAX is told another."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hdsl" / "jax"


def prepare() -> None:
    """Set JAX up: double precision, and a cache of compiled programs that outlives the process.

    Where the user has set a cache (`JAX_COMPILATION_CACHE_DIR`), it and its settings stay as they are.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    if jax.config.jax_compilation_cache_dir is not None:
        return
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def model_function(program: Program) -> ModelFunction:
    """Return the function `model` of a program's source."""
    namespace: dict[str, Any] = {"__name__": "hdsl_program"}
    exec(compile(program.source, "<numpyro program>", "exec"), namespace)
    return namespace["model"]


def device_data(data: ModelData) -> dict[str, Any]:
    """Return the arrays of a model as JAX arrays."""
    import jax.numpy as jnp

    return {name: jnp.asarray(values) for name, values in data.values.items()}
