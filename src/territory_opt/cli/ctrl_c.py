"""Ctrl-C outside a solve: the command ends at once, with a sentence instead of a traceback.

Imports next to nothing, so that it can listen before anything else is imported.
"""

from __future__ import annotations

import os
import signal

from territory_opt.cli.exit_codes import ABORTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_IMPORT_SYSTEM = "<frozen importlib"
"""How Python names the source of its own import system in a frame."""


def listen() -> None:
    """End the command at Ctrl-C from here on, unless it is ignored, as in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)


def stop(_number: int, frame: FrameType | None) -> None:
    """End the program where modules are being imported, which may swallow the exception; else raise it."""
    if is_importing(frame):
        end()
    raise KeyboardInterrupt


def is_importing(frame: FrameType | None) -> bool:
    """Whether a frame, or one that called it, belongs to the import system."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False


def end() -> None:
    """End the program at once: what is under way is not there yet, and the next run clears it away."""
    os.write(2, f"\n{last_word()}\n".encode("utf-8", "replace"))
    os._exit(ABORTED)


def watch(path: str | os.PathLike[str]) -> None:
    """Remember how a file or folder is that the command may write, which appears whole or not at all."""
    _watched[os.fspath(path)] = _state(path)


def forget() -> None:
    """Forget what an earlier command was to write."""
    _watched.clear()


def last_word() -> str:
    """Say that the command was stopped, and what it had written by then."""
    written = [path for path, before in _watched.items() if _state(path) != before]
    said = f"{', '.join(written)} was already written" if written else "nothing was written"
    return f"stopped; {said}"


def _state(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return what differs for whatever takes the place of a file or folder; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  (pathlib is not imported yet)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_mtime_ns


_watched: dict[str, tuple[int, int] | None] = {}
"""What the command may write, as it was before: a signal has nobody else to ask."""
