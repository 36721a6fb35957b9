"""Files that are there as a whole or not at all.

A file is written under a hidden name beside its place, ``.territory-opt-KEY.part-TOKEN``; KEY is a hash of its name. It
is locked by the run that writes it: what a killed run has left is known by that, and goes with the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from territory_opt.paths import resolved

try:
    import fcntl
except ImportError:  # not POSIX: nobody can tell there what is still written, and it stays
    fcntl = None  # type: ignore[assignment]

HIDDEN = ".territory-opt-"
"""How the names of all hidden entries begin."""
PART = "part-"
KEY_LENGTH = 16
"""Hexadecimal digits of a key: 64 bits, so that no two names of a folder share one."""
_TOKEN_BYTES = 8
"""The same of what tells two writers of a file apart."""
_UNDER_WAY = re.compile(rf"{re.escape(HIDDEN)}[0-9a-f]{{{KEY_LENGTH}}}\.{PART}[0-9a-f]{{{2 * _TOKEN_BYTES}}}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with the rights of the one it replaces; errors name it.

    What killed runs have left in its folder is removed.
    """
    with naming(path):
        path = resolved(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        tidy(path.parent)
        part = path.parent / f"{prefix(path)}{PART}{secrets.token_hex(_TOKEN_BYTES)}"
        try:
            with _held(part):
                part.write_bytes(content)
                if path.exists():
                    part.chmod(rights_of(path))
                sync(part)
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Remove the files in a folder that killed runs were writing: those that nobody holds."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _UNDER_WAY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_if_free(Path(entry.path))


def _remove_if_free(part: Path) -> None:
    file = os.open(part, os.O_RDWR)
    try:
        if _lock(file):
            part.unlink()
    finally:
        os.close(file)


@contextlib.contextmanager
def _held(part: Path) -> Iterator[None]:
    """Make an empty file and hold its lock while inside, where there are locks."""
    file = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while _lock(file) is False or not is_still(part, file):  # somebody has found it before it was locked
            os.close(file)
            file = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        yield
    finally:
        os.close(file)


def _lock(file: int) -> bool | None:
    """Lock an open file; False while another run holds it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_still(lock: Path, file: int) -> bool:
    """Whether an open file is the one of that name: who held the lock before may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(lock))  # noqa: PTH116
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make an error of the system inside name ``path``: a full disk does not say of itself which file it was."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def rights_of(path: Path) -> int:
    """Return the rights of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def prefix(path: Path) -> str:
    """Return how the names of hidden entries beside ``path`` begin."""
    return f"{HIDDEN}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:KEY_LENGTH]}."


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk: a rename may reach it before what was renamed."""
    if os.name != "posix":
        return
    with naming(path):
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
