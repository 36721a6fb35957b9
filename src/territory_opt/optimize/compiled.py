"""Compile functions with numba, and keep the machine code: in a private place, never stale, and never of two writers.

Numba alone looks for changes only in the file of a function, not in those of the functions and constants it uses; lets
two processes that compile at the same time mix up their files; and gives up where it finds no place to write to. So the
code is kept in a folder named after all sources it is made of, files are written one process at a time, and where there
is no place, or a full disk, functions are compiled anew in each process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config, event

try:
    import fcntl
except ImportError:  # not POSIX: numba guards its files there as well as it can
    fcntl = None  # type: ignore[assignment]

PACKAGE = Path(__file__).parent.parent
SOURCES = (
    "geography/sphere.py",
    "model/quantities.py",
    "optimize/bound/dual.py",
    "optimize/compiled.py",
    "optimize/pairs/pricing.py",
    "optimize/search/exchange.py",
    "optimize/search/moves.py",
    "optimize/search/rows.py",
    "optimize/settings.py",
)
"""Files with compiled functions, and those with constants in them."""
UNUSED_SECONDS = 30 * 24 * 3600
"""Code that no process has asked for in so long is removed. A choice: a month."""
KEY_DIGITS = 16
"""Hexadecimal digits of a hash in a folder's name: 64 bits."""
_KEY = re.compile(f"[0-9a-f]{{{KEY_DIGITS}}}")
PRIVATE = stat.S_IRWXU
"""Rights of a folder whose code we run: its owner's alone."""


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function on its first call; ``options`` are numba's."""

    def decorate(function: Callable[..., Any]) -> Any:
        folder = cache_folder()
        if folder is None:
            return numba.njit(**options)(function)
        former, config.CACHE_DIR = config.CACHE_DIR, str(folder)  # numba takes it from there and from nowhere else
        try:
            dispatcher = numba.njit(cache=True, **options)(function)
            dispatcher._cache = _Guarded(dispatcher._cache, folder)
        except (RuntimeError, AttributeError):  # no folder any more, or a numba whose cache is another
            return numba.njit(**options)(function)
        finally:
            config.CACHE_DIR = former
        return dispatcher

    return decorate


class _Guarded:
    """Numba's cache of one function, written by one process at a time; no fault of it ends a solve."""

    def __init__(self, cache: Any, folder: Path) -> None:
        self._cache, self._folder = cache, folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def save_overload(self, signature: Any, code: Any) -> None:
        """Keep what was compiled, if that is possible."""
        with contextlib.suppress(OSError), _locked(self._folder / "lock"):
            self._cache.save_overload(signature, code)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was compiled before, or None."""
        try:
            return self._cache.load_overload(signature, context)
        except Exception:  # half a file, after a power cut: anything may come of reading it
            with contextlib.suppress(OSError), _locked(self._folder / "lock"):
                self._cache.flush()
            return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock, where there are locks; it ends with the process that holds it."""
    with path.open("a") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def on_compiling(began: Callable[[], None], ended: Callable[[], None]) -> Iterator[None]:
    """While inside, tell when a compilation begins and ends; those within another do not count."""
    with event.install_listener("numba:compile", _Outermost(began, ended)):
        yield


class _Outermost(event.Listener):  # type: ignore[misc]  # numba has no types
    """Hands on the first start and the last end of nested events."""

    def __init__(self, began: Callable[[], None], ended: Callable[[], None]) -> None:
        self._began, self._ended, self._depth = began, ended, 0

    def on_start(self, _event: event.Event) -> None:
        """Count one more, and say so if it is the outermost."""
        self._depth += 1
        if self._depth == 1:
            self._began()

    def on_end(self, _event: event.Event) -> None:
        """Count one less, and say so if it was the outermost."""
        self._depth -= 1
        if self._depth == 0:
            self._ended()


@cache
def cache_folder() -> Path | None:
    """Return the folder of compiled code, made if need be; None where there is no safe place.

    It lies in ``NUMBA_CACHE_DIR`` if that is set, else in the user's folder for such things, else in one of the user's
    own in the system's temporary folder.
    """
    try:
        key = fingerprint()
    except OSError:  # no sources
        return None
    if config.CACHE_DIR:
        return _made(Path(config.CACHE_DIR), f"territory-opt-{key}", private=False)
    for place in _places():
        found = _made(place, key, private=True)
        if found is not None:
            return found
    return None


def fingerprint() -> str:
    """Return a hash of all sources of compiled code, and of the compiler's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for name in SOURCES:
        digest.update((PACKAGE / name).read_bytes())
    return digest.hexdigest()[:KEY_DIGITS]


def _places() -> Iterator[Path]:
    """Yield folders for compiled code, the best first."""
    with contextlib.suppress(RuntimeError):  # no home
        home = Path.home()
        usual = {"win32": home / "AppData" / "Local", "darwin": home / "Library" / "Caches"}
        given = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
        yield (Path(given) if Path(given).is_absolute() else usual.get(sys.platform, home / ".cache")) / "territory-opt"
    owner = os.getuid() if hasattr(os, "getuid") else "own"
    with contextlib.suppress(OSError):  # no folder for temporary files either
        yield Path(tempfile.gettempdir()) / f"territory-opt-{owner}"


def _made(place: Path, name: str, *, private: bool) -> Path | None:
    """Make a folder in a place; None where nothing can be written, or where others could put code that we would run."""
    try:
        place.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if private and not _is_private(place):
            return None
        folder = place / name
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        _forget_unused(folder)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def _forget_unused(folder: Path) -> None:
    """Remove the code of other sources beside ``folder`` that nobody has used for long."""
    start, now = folder.name[:-KEY_DIGITS], time.time()
    for other in folder.parent.iterdir():
        code = other.name.removeprefix(start)
        if other.name == start + code and _KEY.fullmatch(code) and now - other.lstat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    """Whether a folder is the user's own, and nobody else may write to it."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & others
