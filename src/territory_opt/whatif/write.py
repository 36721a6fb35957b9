"""Write a problem as a scenario folder of its own, which every command reads like any other."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from territory_opt.errors import ScenarioError
from territory_opt.problem.numbers import FOLDER_MODE
from territory_opt.problem.problem import Problem
from territory_opt.problem.schema import TABLES
from territory_opt.whatif.scenario_file import Solve

PLACES = ("geometry",)


def write_scenario(problem: Problem, folder: str | Path, *, name: str, solve: Solve | None = None) -> Path:
    """Write ``problem`` as CSV tables and a scenario file to a new folder; return the path of ``scenario.yaml``.

    ``solve`` are settings of the search, by default the usual ones.

    The folder appears complete or not at all. Texts stand in the tables as they were read, so that the problem stays
    the same: unlike a plan's files these are for the program, not for a spreadsheet. Raises :class:`ScenarioError` if
    the folder holds files already.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScenarioError(f"{folder}: holds files already; choose a new folder")
    tables = {table: frame for table in TABLES if (frame := getattr(problem, table)) is not None and len(frame)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for table, frame in tables.items():
            (staging / f"{table}.csv").write_text(_csv(frame), encoding="utf-8", newline="\n")
        policy = problem.policy.model_dump(mode="json", exclude_defaults=True)
        settings = {"schema_version": 1, "name": name, "tables": {table: f"{table}.csv" for table in tables}, **policy}
        if solve is not None:
            settings["solve"] = solve.model_dump(mode="json")
        text = json.dumps(settings, indent=2, ensure_ascii=False)  # JSON is YAML with every text in quotes
        (staging / "scenario.yaml").write_text(text, encoding="utf-8", newline="\n")
        staging.chmod(FOLDER_MODE)
        staging.replace(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder / "scenario.yaml"


def _csv(frame: pd.DataFrame) -> str:
    """The frame as CSV with every text in quotes: a line break inside one then ends no row."""
    return str(_as_text(frame).to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC))


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with dates and shapes as text; what the reader adds again by itself is left out."""
    plain = frame.copy()
    for name in plain.columns:
        column = plain[name]
        if name in PLACES:
            plain[name] = [shape.wkt if shape is not None else "" for shape in column]
        elif pd.api.types.is_datetime64_any_dtype(column):
            plain[name] = column.dt.strftime("%Y-%m" if name == "month" else "%Y-%m-%d").fillna("")
        elif pd.api.types.is_float_dtype(column):
            plain[name] = pd.Series([float(v) if pd.notna(v) else "" for v in column], column.index, dtype=object)
    return plain
