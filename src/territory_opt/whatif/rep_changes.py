"""Apply the reps who join or leave in a what-if variant to the tables as read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from territory_opt.errors import ScenarioError
from territory_opt.whatif.keys import nearest
from territory_opt.whatif.scenario_file import RepChanges

_FORMAT = ("decimal", "thousands", "date_format")


def change_reps(tables: Mapping[str, pd.DataFrame], changes: RepChanges, path: Path) -> dict[str, pd.DataFrame]:
    """Return the tables with joining reps appended and leaving ones taken out; the given frames stay as they are.

    ``tables`` holds the joining reps under ``reps.add``. Raises :class:`ScenarioError` for a leaving rep who is
    not there, and for a file of joiners written in another number or date format than the reps.
    """
    result = dict(tables)
    joining = result.pop("reps.add", None)
    if joining is not None:
        result["reps"] = _join(result["reps"], joining, path)
    if changes.remove:
        _check_known(result["reps"], changes.remove, path)
        result = {name: _without(name, frame, set(changes.remove)) for name, frame in result.items()}
    return result


def _join(reps: pd.DataFrame, joining: pd.DataFrame, path: Path) -> pd.DataFrame:
    if any(reps.attrs.get(key) != joining.attrs.get(key) for key in _FORMAT):
        raise ScenarioError(f"{path}: reps.add: must be written in the number and date format of tables.reps")
    both = pd.concat([reps, joining], ignore_index=True)
    both.attrs = {**reps.attrs, "file": f"{reps.attrs.get('file')} + {joining.attrs.get('file')}"}
    return both


def _check_known(reps: pd.DataFrame, leaving: tuple[str, ...], path: Path) -> None:
    ids = set(_text(reps["rep_id"])) if "rep_id" in reps.columns else set()
    lines = [f'{path}: reps.remove: no rep "{rep}"{nearest(rep, sorted(ids))}' for rep in leaving if rep not in ids]
    if lines:
        raise ScenarioError("\n".join(lines))


def _without(name: str, frame: pd.DataFrame, leaving: set[str]) -> pd.DataFrame:
    """Drop rows about leaving reps; in accounts and sales only their id is emptied."""
    column = "incumbent" if name == "accounts" else "rep_id"
    if column not in frame.columns:
        return frame
    gone = _text(frame[column]).isin(leaving)
    if name in ("accounts", "sales"):
        changed = frame.assign(**{column: frame[column].mask(gone, "")})
    else:
        changed = frame[~gone].reset_index(drop=True)
    changed.attrs = dict(frame.attrs)
    return changed


def _text(column: pd.Series) -> pd.Series:
    return column.astype(str).str.strip()
