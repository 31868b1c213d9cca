"""Settings every test shares. They are in the environment, so that child processes have them too."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

_CACHE = Path(__file__).resolve().parent.parent / ".cache"

# JAX reads these when it is first imported, and conftest comes before any test module.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
# No run is recalled from, or kept in, the folders of the examples.
os.environ.setdefault("HDSL_RUNS", "off")

settings.register_profile("quick", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=1000)
settings.load_profile(os.environ.get("HDSL_HYPOTHESIS_PROFILE", "quick"))
