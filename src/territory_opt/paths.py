"""Where paths lead: links followed, whatever they are; the one place that does so. Imports nothing of the package."""

from __future__ import annotations

import os
from pathlib import Path


def resolved(path: Path) -> Path:
    """Return where a path leads; one that leads nowhere, in a circle too, as far as it can be followed.

    ``Path.resolve`` raises for circles what no caller expects. Raises ValueError for what no file can be called.
    """
    return Path(os.path.realpath(path))


def is_there(path: Path) -> bool:
    """Whether a file or folder is there; a name that no file can have is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def stays_in(path: Path, folder: Path) -> bool:
    """Whether a path lies in the folder once links are followed; one that cannot be followed leads nowhere."""
    try:
        return resolved(path).is_relative_to(resolved(folder))
    except (OSError, ValueError):
        return True
