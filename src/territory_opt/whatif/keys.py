"""Dotted keys of a settings model: what exists, and what a misspelt one probably meant."""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel

ALIKE = 0.6
"""Words at least so similar are taken for a misspelling: the usual cutoff of ``difflib``."""
ELSEWHERE = 0.75
"""A key of another section has to be more similar: there are many of them. A convention."""


def dotted(loc: Sequence[str | int]) -> str:
    """Return ``territories.keep.loss_rate`` for a location."""
    return ".".join(str(part) for part in loc)


def section_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the settings class at a location, or None if the location is a value or does not exist."""
    here: Any = model
    for part in loc:
        if get_origin(here) is dict:
            here = _section(get_args(here)[1])
        elif _is_section(here) and str(part) in here.model_fields:
            here = _section(here.model_fields[str(part)].annotation)
        else:
            return None
    return here if _is_section(here) else None


def known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of a settings class, sections before what they hold."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        yield key
        inner = _section(field.annotation)
        if _is_section(inner):
            yield from known_keys(inner, f"{key}.")


def suggest(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    """Say what an unknown key at ``loc`` probably meant: a near sibling, the same word elsewhere, or all siblings."""
    word = str(loc[-1])
    section = section_at(model, loc[:-1])
    siblings = list(section.model_fields) if section else []
    near = difflib.get_close_matches(word, siblings, n=1)
    if near:
        return f"did you mean {dotted([*loc[:-1], near[0]])}?"
    everywhere = {key.rsplit(".", 1)[-1]: key for key in reversed(list(known_keys(model)))}
    near = difflib.get_close_matches(word.rsplit(".", 1)[-1], list(everywhere), n=1, cutoff=ELSEWHERE)
    if near:
        return f"did you mean {everywhere[near[0]]}?"
    return f"known here: {', '.join(siblings)}"


def _section(annotation: Any) -> Any:
    """Return the settings class or ``dict[...]`` inside an annotation, None for a plain value."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _section(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return next((inner for arg in get_args(annotation) if (inner := _section(arg)) is not None), None)
    if origin is dict:
        return annotation
    return annotation if _is_section(annotation) else None


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def nearest(word: str, known: Iterable[str], cutoff: float = ALIKE) -> str:
    """Return '; did you mean ...?' for the nearest known word, or an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""
