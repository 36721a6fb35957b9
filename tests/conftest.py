"""What every run of the tests shares: compiled code, kept from run to run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILED = ROOT / ".numba_cache"
SOURCES = ROOT / "src"
NUMBA_CACHE_DIR = "NUMBA_CACHE_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """Keep the compiled code of the tests, and of what they start, beside the sources; compile before the first test.

    Else the first solves of a fresh clone would spend their time limits on compiling.
    """
    os.environ[NUMBA_CACHE_DIR] = str(COMPILED)
    stamp = COMPILED / "stamp"
    made = stamp.stat().st_mtime if stamp.exists() else 0.0
    if not hasattr(config, "workerinput") and made < max(path.stat().st_mtime for path in SOURCES.rglob("*.py")):
        compile_all = "import territory_opt as to; to.solve('scenarios/toy', time_limit=1e6)"
        subprocess.run([sys.executable, "-c", compile_all], cwd=ROOT, check=True)
        stamp.touch()
