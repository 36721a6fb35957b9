"""What every run of the tests shares: compiled code, kept from run to run."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from pathlib import Path
from typing import IO

import pytest

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # not POSIX: numba then keeps its code beside the sources, as it does outside the tests
    flock = None

ROOT = Path(__file__).parents[1]
COMPILED = ROOT / ".numba_cache"
NUMBA_CACHE_DIR = "NUMBA_CACHE_DIR"


def compiled_sources() -> str:
    """Return a fingerprint of every file that numba compiles.

    Numba looks only at the file of a function, not at those of the functions it calls.
    """
    texts = (path.read_bytes() for path in sorted((ROOT / "src").rglob("*.py")))
    return hashlib.sha256(b"".join(text for text in texts if b"numba.njit" in text)).hexdigest()


def claim(root: Path, fingerprint: str) -> tuple[Path, IO[str]]:
    """Return a folder below ``root`` that no other process has, and the file that is locked meanwhile.

    Two processes that write the same cache of numba can mix up their functions: it gives out the names
    of its files before it writes them. What was compiled from other sources is thrown away.
    """
    for number in itertools.count():
        folder = root / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = (root / f"{number}.lock").open("a+", encoding="utf-8")
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        lock.seek(0)
        if lock.read() != fingerprint:
            shutil.rmtree(folder)
            folder.mkdir()
            lock.truncate(0)
            lock.write(fingerprint)
            lock.flush()
        return folder, lock
    raise AssertionError("not reached")


def pytest_configure(config: pytest.Config) -> None:
    """Give each process that runs tests, and whatever it starts, a folder of compiled code."""
    hands_out = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if flock is None or hands_out:
        return
    folder, lock = claim(COMPILED, compiled_sources())
    config.add_cleanup(lock.close)
    os.environ[NUMBA_CACHE_DIR] = str(folder)
