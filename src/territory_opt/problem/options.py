"""Options of verbs, checked in one way: each returns what was given, or says in a :class:`GivenError` what to give.

Whatever comes in is somebody's slip at worst: no option ends in an error from the inside.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from territory_opt.errors import GivenError
from territory_opt.problem.limits import LARGEST_SEED, LARGEST_SHARE, LONGEST_ID, LONGEST_LIMIT, LONGEST_PATH
from territory_opt.words import HIDDEN, UNWRITABLE, brief, escaped

MOST_WHOLE = 10**15
"""Larger whole numbers are shown as large: nobody reads their digits."""


def whole(name: str, given: object, *, least: int = 0, most: int = MOST_WHOLE, must: str = "") -> int:
    """Return a whole number from ``least`` to ``most``; ``must`` says in words what it has to be."""
    if isinstance(given, Integral) and not isinstance(given, bool) and least <= int(given) <= most:
        return int(given)
    upwards = f"of {least:,} or more" if most == MOST_WHOLE else f"from {least:,} to {most:,}"
    raise _refused(name, given, must or f"a whole number {upwards}")


def number(name: str, given: object, holds: Callable[[float], bool], must: str) -> float:
    """Return a finite number for which ``holds`` is true; ``must`` says in words which these are."""
    if isinstance(given, Real) and not isinstance(given, bool):
        try:
            value = float(given)
        except OverflowError:
            value = math.inf
        if math.isfinite(value) and holds(value):
            return value
    raise _refused(name, given, must)


def seconds(name: str, given: object) -> float:
    """Return a time limit."""
    return number(
        name, given, lambda x: 0 < x <= LONGEST_LIMIT, f"positive seconds, at most {LONGEST_LIMIT:g}, such as 60"
    )


def share(name: str, given: object, example: str) -> float:
    """Return a share of 0 or more."""
    return number(name, given, lambda x: 0 <= x <= LARGEST_SHARE, f"a share of 0 or more, such as {example}")


def seed_of(given: object) -> int:
    """Return the seed of a generator of random numbers."""
    return whole("seed", given, most=LARGEST_SEED)


def flag(name: str, given: object) -> bool:
    """Return True or False."""
    if isinstance(given, bool):
        return given
    raise _refused(name, given, "True or False")


def text(name: str, given: object, example: str) -> str:
    """Return a short text of one line, without characters that nobody sees."""
    if not isinstance(given, str):
        raise _refused(name, given, f"a text, such as {example}")
    hidden = HIDDEN.search(given)
    if hidden:
        raise GivenError(f'{name} holds "{escaped(hidden[0])}", which nobody can see; give it without')
    if len(given) > LONGEST_ID:
        raise GivenError(f"{name} has {len(given):,} characters; give {LONGEST_ID:,} at most")
    return given


def place(given: object, accepted: str, way: str) -> Path:
    """Return a path that a file can have; ``accepted`` and ``way`` are words as of :meth:`GivenError.of`."""
    if not isinstance(given, str | os.PathLike):
        raise GivenError.of(given, accepted, way)
    path = Path(given)
    hidden = UNWRITABLE.search(str(path))
    if hidden or len(str(path)) > LONGEST_PATH:
        what = f'holds "{escaped(hidden[0])}"' if hidden else f"has {len(str(path)):,} characters"
        raise GivenError(f'"{brief(path)}" {what}, which no path can; give {accepted}: {way}')
    return path


def mapping(name: str, given: object, example: str) -> Mapping[str, Any]:
    """Return values by name."""
    if isinstance(given, Mapping) and all(isinstance(key, str) for key in given):
        return given
    raise _refused(name, given, f"values by name, such as {example}")


def texts(name: str, given: object, example: str) -> list[str]:
    """Return a list of texts."""
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        return [text(f"one of {name}", one, example) for one in given]
    raise _refused(name, given, f"a list of texts, such as [{example}]")


def check_solving(
    *, time_limit: object, gap: object, seed: object, threads: object, progress: object, joint_gain: object
) -> None:
    """Check the options of a solve."""
    seconds("time_limit", time_limit)
    share("gap", gap, "0.001")
    seed_of(seed)
    if threads is not None:
        whole("threads", threads, least=1, must="1 or more")
    flag("joint_gain", joint_gain)
    if progress is not None and not callable(progress):
        raise _refused("progress", progress, "a function that takes a Progress")


def _refused(name: str, given: object, must: str) -> GivenError:
    return GivenError(f"{name} is {_shown(given)}; it must be {must}")


def _shown(given: object) -> str:
    if isinstance(given, Integral) and not isinstance(given, bool):
        return str(given) if -MOST_WHOLE <= int(given) <= MOST_WHOLE else "a larger number"
    if isinstance(given, float):
        return f"{given:g}"
    return (
        brief(repr(given)) if given is None or isinstance(given, str | bool) else f"of the kind {type(given).__name__}"
    )
