"""Compiled code is kept between runs, never shared by two processes, and never older than its sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import conftest

needs_locks = pytest.mark.skipif(conftest.flock is None, reason="folders are locked the POSIX way")


@needs_locks
def test_this_process_has_a_folder_of_its_own() -> None:
    assert Path(os.environ[conftest.NUMBA_CACHE_DIR]).parent == conftest.COMPILED


@needs_locks
def test_who_comes_second_gets_another_folder(tmp_path: Path) -> None:
    first, lock = conftest.claim(tmp_path, "same")
    second, other = conftest.claim(tmp_path, "same")
    assert first != second
    lock.close()
    third, again = conftest.claim(tmp_path, "same")
    assert third == first
    other.close()
    again.close()


@needs_locks
def test_what_was_compiled_is_kept_until_the_sources_change(tmp_path: Path) -> None:
    left = []
    for fingerprint in ("old", "old", "new", "new"):
        folder, lock = conftest.claim(tmp_path, fingerprint)
        left.append((folder / "code").exists())
        (folder / "code").touch()
        lock.close()
    assert left == [False, True, False, True]


def test_compiled_functions_are_all_seen() -> None:
    """The fingerprint goes by the words ``numba.njit``; numba is not asked to compile in any other words."""
    sources = {path: path.read_text(encoding="utf-8") for path in (conftest.ROOT / "src").rglob("*.py")}
    numba = {path.name for path, text in sources.items() if "import numba" in text or "from numba" in text}
    assert numba == {path.name for path, text in sources.items() if "numba.njit" in text}
    assert len(numba) >= 3
