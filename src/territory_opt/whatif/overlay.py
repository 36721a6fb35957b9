"""Lay scenario files and overrides over each other, as plain data."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from territory_opt.errors import ScenarioError
from territory_opt.paths import is_there, resolved, stays_in
from territory_opt.whatif.keys import nearest
from territory_opt.whatif.scenario_file import as_source, is_told
from territory_opt.whatif.strict_yaml import read_yaml
from territory_opt.words import MOST_NAMED, brief, listed

SCENARIO_FILE = "scenario.yaml"
REP_FILE = ("reps", "add")
_FIXED = ("schema_version", "extends", "scenarios")
_SECTIONS = ("tables", "territories", "quotas", "solve", "reps", "period")
Folders = dict[tuple[str, ...], Path]


@dataclass(frozen=True)
class Source:
    """One file of a chain, as plain data."""

    path: Path
    raw: dict[str, Any]


@dataclass(frozen=True)
class Merged:
    """A chain of files as one: plain data, the folder each table path is relative to, and the variants."""

    raw: dict[str, Any]
    folders: Folders
    variants: dict[str, tuple[dict[str, Any], Path]]


def scenario_path(path: Path) -> Path:
    """Return the scenario file of a folder, or the file itself.

    Raise :class:`ScenarioError` if the folder's file is a link out of it: its words would be quoted as the folder's.
    """
    if not (is_there(path) and path.is_dir()):
        return path
    found = path / SCENARIO_FILE
    if not stays_in(found, path):
        raise ScenarioError(f"{found}: is a link that leaves its folder; name the file that is meant")
    return found


def read_chain(entry: Path) -> list[Source]:
    """Return the file and what it extends, nearest first."""
    chain: list[Source] = []
    path, root = entry, resolved(entry.parent).parent
    while True:
        raw = read_yaml(path) if is_told(path, entry) else _read_untold(path)
        chain.append(Source(path, raw))
        if raw.get("extends") is None:
            return chain
        following = _extended(path, raw["extends"], root)
        seen = [resolved(source.path) for source in chain]
        if resolved(following) in seen:
            circle = " -> ".join(str(source.path) for source in chain)
            raise ScenarioError(f"{path}: extends: goes in a circle ({circle} -> {following}); remove one extends")
        path = following


def _read_untold(path: Path) -> dict[str, Any]:
    try:
        return read_yaml(path)
    except ScenarioError:
        raise ScenarioError(f"{path}: is no sound scenario file; territory-opt validate {path} says why") from None


def _extended(path: Path, text: Any, root: Path) -> Path:
    """Return the extended file: in the folder of its file or, where the text says so by "..", beside that folder."""
    if not isinstance(text, str) or not text.strip():
        raise ScenarioError(f"{path}: extends: must be the relative path of a scenario file or folder")
    said = f'{path}: extends: "{brief(text)}"'
    target = Path(os.path.normpath(text))
    above = target.parts.count(os.pardir)
    folder = Path(os.path.normpath(path.parent.joinpath(*[os.pardir] * above)))
    if target.is_absolute() or not stays_in(folder, root):
        raise ScenarioError(f"{said} leaves the folder of scenarios {root.name}; use a relative path inside it")
    following = Path(os.path.normpath(path.parent / target))
    if stays_in(following, folder):
        following = scenario_path(following)
    if not stays_in(following, folder):
        raise ScenarioError(f"{said} is a link that leaves its folder; copy the file into it")
    if not (is_there(following) and following.is_file()):
        raise ScenarioError(f"{said} does not exist; check the path")
    return following


def merge(chain: Sequence[Source]) -> Merged:
    """Lay each file over the one it extends: sections are merged key by key, everything else is replaced."""
    merged = Merged({}, {}, {})
    for source in reversed(chain):
        raw = _normal(source.raw)
        variants = raw.pop("scenarios", None)
        _note_folders(merged.folders, raw, source.path.parent)
        merged = replace(merged, raw=_overlay(merged.raw, raw))
        if isinstance(variants, dict):
            own = {name: (body or {}, source.path.parent) for name, body in variants.items()}
            merged.variants.update({name: pair for name, pair in own.items() if isinstance(pair[0], dict)})
            merged.raw["scenarios"] = {**merged.raw.get("scenarios", {}), **variants}
        elif variants is not None:
            merged.raw["scenarios"] = variants
    return merged


def _normal(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Copy plain data, writing a table given as a path alone as a mapping."""
    data = copy.deepcopy(dict(raw))
    if isinstance(data.get("tables"), dict):
        data["tables"] = {name: as_source(value) for name, value in data["tables"].items()}
    if isinstance(data.get("reps"), dict) and "add" in data["reps"]:
        data["reps"]["add"] = as_source(data["reps"]["add"])
    return data


def _note_folders(folders: Folders, raw: Mapping[str, Any], folder: Path) -> None:
    """Remember which folder each path in ``raw`` is relative to."""
    tables = raw.get("tables")
    for name, source in tables.items() if isinstance(tables, dict) else ():
        if isinstance(source, dict) and "path" in source:
            folders["tables", str(name)] = folder
    if isinstance(raw.get("reps"), dict) and "add" in raw["reps"]:
        folders[REP_FILE] = folder


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


# --- overrides --------------------------------------------------------------------------------------------


def variant_overrides(merged: Merged, variant: str | None, entry: Path) -> tuple[dict[str, Any], Path]:
    """Return the overrides of a variant and the folder its paths are relative to."""
    if variant is None:
        return {}, entry.parent
    if variant in merged.variants:
        return merged.variants[variant]
    names = listed([brief(name) for name in merged.variants], most=MOST_NAMED) or "none"
    raise ScenarioError(
        f'{entry}: no variant "{brief(variant)}"{nearest(variant, merged.variants)}; known here: {names}'
    )


def apply_overrides(merged: Merged, overrides: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Folders]:
    """Set each dotted key; the value replaces what stands there."""
    raw = copy.deepcopy(merged.raw)
    folders = dict(merged.folders)
    for key, value in overrides.items():
        parts = tuple(key.split("."))
        here = raw
        for part in parts[:-1]:
            if not isinstance(here.get(part), dict):
                here[part] = {}
            here = here[part]
        here[parts[-1]] = copy.deepcopy(value)
        if parts[0] == "tables" and (len(parts) == 2 or parts[2:] == ("path",)):
            folders[parts[:2]] = folder
        if parts[:2] == REP_FILE and (len(parts) == 2 or parts[2:] == ("path",)):
            folders[REP_FILE] = folder
    return _normal(raw), folders


def misplaced(overrides: Mapping[str, Any]) -> list[str]:
    """Say which override keys cannot be set, and which contradict each other."""
    lines = []
    for key in overrides:
        if key in _SECTIONS:
            lines.append(f"{key}: is a whole section; name one setting in it, such as territories.keep.loss_rate")
        elif key.split(".")[0] in _FIXED:
            lines.append(f"{key}: cannot be changed by a variant")
        lines += [
            f"{other}: is set twice, also by {key}; keep one" for other in overrides if other.startswith(f"{key}.")
        ]
    return lines


def shadowed(key: str, given: Mapping[str, Any]) -> bool:
    """Say whether ``given`` sets the key, or a section that holds it."""
    return any(key == other or key.startswith(f"{other}.") for other in given)
