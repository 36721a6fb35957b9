"""What every run of the tests shares: compiled code, kept from run to run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILED = ROOT / ".numba_cache"
NUMBA_CACHE_DIR = "NUMBA_CACHE_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """Keep the compiled code of the tests, and of what they start, beside the sources."""
    os.environ[NUMBA_CACHE_DIR] = str(COMPILED)
