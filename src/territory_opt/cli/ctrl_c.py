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
    """End the program at once: what it was writing is not there yet, and its next run clears it away."""
    os.write(2, b"\nstopped; nothing was written\n")
    os._exit(ABORTED)
