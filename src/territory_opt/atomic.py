"""Folders that are there as a whole or not at all, with what the user keeps in them, and one writer at a time.

While a folder is written, hidden entries stand beside it; KEY is a hash of its name:

.territory-opt-KEY.lock     held by the run that writes the folder; the lock ends with its process
.territory-opt-KEY.part-*   new content, not complete yet; a file of that name is locked by the run that writes it
.territory-opt-KEY.new-*    new content, complete; once it has taken the place of the folder, what was there before
.territory-opt-KEY.old-*    what was there before, where two folders cannot be exchanged in one step
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from territory_opt.errors import PlanFolderError
from territory_opt.paths import resolved
from territory_opt.whole_file import PART, is_still, naming, prefix, rights_of, sync, tidy

try:
    import fcntl
except ImportError:  # not POSIX: two writers are not told of each other there
    fcntl = None  # type: ignore[assignment]

NEW, OLD = "new-", "old-"
_AT_FDCWD, _EXCHANGE = -100, 2
"""Linux: paths from the working directory; swap two paths, which macOS writes as the same number."""
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""Errors of a system, or of a file system, that cannot swap two paths."""

Ours = Callable[[Path], tuple[str, ...]]
"""Names of the files in a folder that we have written, the one that says so last; all others are the user's."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that this run alone writes: ``shown`` as the user calls it, ``path`` where it is, links followed."""

    shown: Path
    path: Path
    ours: Ours


def nothing(_folder: Path) -> tuple[str, ...]:
    """Say that no file in a folder is ours."""
    return ()


@contextlib.contextmanager
def reserve(folder: Path, ours: Ours = nothing) -> Iterator[Place]:
    """While inside, only this run writes ``folder``; what a killed run has left of it is brought in order first.

    Folders above it are made; those still empty at the end are removed. Raise :class:`PlanFolderError` if another run
    writes it, or it is a link to nowhere; :class:`OSError` for a name or a place that cannot be written.
    """
    path = real_path(folder)
    made = [above for above in path.parents if not above.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path, folder) as alone:
            if alone:
                _finish(path, ours)
            try:
                yield Place(folder, path, ours)
            finally:
                if alone:
                    _finish(path, ours)
    finally:
        for above in made:
            with contextlib.suppress(OSError):
                above.rmdir()


@contextlib.contextmanager
def replaced(place: Place) -> Iterator[Path]:
    """Yield a new hidden folder to write to; at the end it takes the place of the old one, in one step where possible.

    What is not ours in the old folder moves into the new one. If anything fails before, the old one stays as it is.
    """
    with staging(place) as part:
        yield part
        put(part, place)


def put(part: Path, place: Place) -> None:
    """Put a complete folder of :func:`staging` in its place."""
    refuse_collisions(place, [path.name for path in part.iterdir()])
    part.chmod(rights_of(place.path) if place.path.exists() else _usual_rights(part))
    _sync_all(part)
    _swap(part, place)


@contextlib.contextmanager
def staging(place: Place) -> Iterator[Path]:
    """Yield a new hidden folder beside a place, which is removed at the end."""
    part = Path(tempfile.mkdtemp(prefix=prefix(place.path) + PART, dir=place.path.parent))
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _usual_rights(folder: Path) -> int:
    """Rights that a folder made in ``folder`` gets here; one made by ``tempfile`` is its owner's alone."""
    probe = folder / "rights"
    probe.mkdir()
    try:
        return rights_of(probe)
    finally:
        probe.rmdir()


def refuse_collisions(place: Place, names: list[str]) -> None:
    """Raise :class:`PlanFolderError` if files of the user in ``place`` have ``names`` that are to be written."""
    if place.path.exists():
        taken = sorted(set(_users(place.path, place.ours)) & set(names))
        if taken:
            raise PlanFolderError(
                f"{place.shown} holds {', '.join(taken)}, which this program did not write there and would have to "
                "write over; move it away, or choose another --out"
            )


def recover(folder: Path, ours: Ours) -> None:
    """Bring in order what a killed run has left of ``folder``, if there is anything and nobody writes it now.

    Raise :class:`PlanFolderError` if the folder is missing and cannot be brought back here; the message says where
    its content is.
    """
    try:
        path = resolved(folder)
    except ValueError:  # no name of a file
        return
    for place in (path, path.parent):
        tidy(place)
    left = [*_leftovers(path, NEW), *_leftovers(path, OLD)]
    if not left:
        return
    try:
        with _locked(path, folder) as alone:
            if alone:
                _finish(path, ours)
    except (OSError, PlanFolderError) as error:
        if not os.path.lexists(path):
            raise PlanFolderError(
                f"{folder} is missing, but its content is whole in {left[0]}: a run was stopped while it put it in its "
                f"place; rename it to {path.name} ({error})"
            ) from error


def real_path(folder: Path) -> Path:
    """Return where a folder is, or is to be, links followed; raise for a link to nowhere and an impossible name."""
    path = resolved(folder)
    if os.path.islink(folder) and not os.path.exists(path):  # noqa: PTH110, PTH114
        raise PlanFolderError(f"{folder} is a link to {path}, which is not there; make it, or choose another --out")
    with contextlib.suppress(FileNotFoundError):
        os.lstat(path)  # a name that is too long, or a file in the place of a folder
    return path


# --- one writer -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(path: Path, shown: Path) -> Iterator[bool]:
    """Hold the lock of ``path``; yield False where there are no locks. Raise if another run holds it."""
    lock = path.parent / f"{prefix(path)}lock"
    held = None if fcntl is None else _take(lock, shown)
    if held is None:
        yield False
        return
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)  # before it is let go: whoever has opened it sees that it is gone
        os.close(held)


def _take(lock: Path, shown: Path) -> int | None:
    """Open and lock a file; None where the file system has no locks."""
    while True:
        with naming(lock.parent):
            file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_still(lock, file):
                with contextlib.suppress(OSError):  # a full disk: the lock holds without a name in it
                    os.ftruncate(file, 0)
                    os.write(file, _who().encode())
                return file
        except BlockingIOError:
            who = os.pread(file, 1000, 0).decode("utf-8", "replace") or "just started"
            os.close(file)
            raise PlanFolderError(
                f"another run is writing {shown} ({who}); wait until it has ended, or choose another --out"
            ) from None
        except OSError as error:
            os.close(file)
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL):
                return None
            raise
        os.close(file)


def _who() -> str:
    host = os.uname().nodename
    return f"process {os.getpid()} on {host}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"


# --- the swap ---------------------------------------------------------------------------------------------------


def _swap(part: Path, place: Place) -> None:
    """Put the complete folder ``part`` in its place; what was there goes, but for what is the user's."""
    path, start = place.path, prefix(place.path)
    before = None
    if not path.exists() or not any(path.iterdir()):
        if path.exists() and os.name == "nt":
            path.rmdir()
        part.replace(path)
    else:
        new, old = (path.parent / (start + kind + part.name.removeprefix(start + PART)) for kind in (NEW, OLD))
        part.rename(new)
        before = new if _exchange(new, path) else _step_aside(new, path, old)
    sync(path.parent)
    if before is not None:
        _keep_users(before, place)
        sync(path.parent)


def _step_aside(new: Path, path: Path, old: Path) -> Path:
    """Put ``new`` in the place of ``path`` in two steps; return where the content before is."""
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    return old


def _keep_users(before: Path, place: Place) -> None:
    """Move what is the user's from the folder ``before`` into its place, and remove the rest."""
    stays = _empty(before, place.path, place.ours)
    if stays:
        raise PlanFolderError(
            f"{place.shown} was written, but {', '.join(stays)} could not be moved into it: now in {before}"
        )


def _finish(path: Path, ours: Ours) -> None:
    """Bring in order what killed runs have left beside ``path``: it is there as a whole, with what is the user's."""
    for part in _leftovers(path, PART):
        shutil.rmtree(part, ignore_errors=True)
    left = [*_leftovers(path, NEW), *_leftovers(path, OLD)]
    if left and not os.path.lexists(path):
        left.pop(0).rename(path)
    for before in left:
        _empty(before, path, ours)


def _empty(before: Path, path: Path, ours: Ours) -> list[str]:
    """Move what is the user's in ``before`` into ``path``, remove the rest; return what could not be moved."""
    for name in _users(before, ours):
        if not os.path.lexists(path / name):
            with contextlib.suppress(OSError):
                (before / name).rename(path / name)
    sync(path)
    stays = _users(before, ours)
    if not stays:
        here = set(os.listdir(before))  # noqa: PTH208
        for name in ours(before):
            if name in here:
                (before / name).unlink()
        before.rmdir()
    return stays


def _users(folder: Path, ours: Ours) -> list[str]:
    """Names of what is not ours in a folder: every folder in it, and files that are not known to be."""
    own = set(ours(folder))
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name not in own or entry.is_dir(follow_symlinks=False))


def _leftovers(path: Path, kind: str) -> list[Path]:
    """Hidden folders of one kind beside ``path``."""
    start = prefix(path) + kind
    try:
        with os.scandir(path.parent) as entries:
            return sorted(path.parent / entry.name for entry in entries if entry.name.startswith(start))
    except OSError:
        return []


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    import ctypes

    if os.name != "posix":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _EXCHANGE)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(*paths, _EXCHANGE)
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _sync_all(folder: Path) -> None:
    """Have everything below ``folder`` on the disk before it is renamed."""
    for place, _, names in os.walk(folder):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))
