"""Write a problem as a scenario folder of its own, which every command reads like any other."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd

from territory_opt.atomic import replaced, reserve
from territory_opt.errors import ScenarioError
from territory_opt.problem.problem import Problem
from territory_opt.problem.schema import TABLES
from territory_opt.whatif.scenario_file import Solve
from territory_opt.whole_file import naming

PLACES = ("geometry",)
SCENARIO_FILE = "scenario.yaml"


def write_scenario(problem: Problem, folder: str | Path, *, name: str, solve: Solve | None = None) -> Path:
    """Write ``problem`` as CSV tables and a scenario file to a new folder; return the path of ``scenario.yaml``.

    ``solve`` are settings of the search, by default the usual ones.

    The folder appears complete or not at all. Texts stand in the tables as they were read, so that the problem stays
    the same: unlike a plan's files these are for the program, not for a spreadsheet. Raises :class:`ScenarioError` if
    the folder holds files already.
    """
    folder = Path(folder)
    with reserve(folder) as place:
        require_new(folder)
        with replaced(place) as fresh:
            write_tables(problem, fresh, name=name, solve=solve, shown=folder)
    return folder / SCENARIO_FILE


def require_new(folder: Path) -> None:
    """Raise :class:`ScenarioError` if ``folder`` holds files already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScenarioError(f"{folder}: holds files already; choose a new folder")


def write_tables(problem: Problem, folder: Path, *, name: str, solve: Solve | None, shown: Path) -> Path:
    """Write the files of :func:`write_scenario` to a folder that is there; errors name them as files of ``shown``."""
    tables = {table: frame for table in TABLES if (frame := getattr(problem, table)) is not None and len(frame)}
    for table, frame in tables.items():
        with naming(shown / f"{table}.csv"):
            (folder / f"{table}.csv").write_text(_csv(frame), encoding="utf-8", newline="\n")
    policy = problem.policy.model_dump(mode="json", exclude_defaults=True)
    settings = {"schema_version": 1, "name": name, "tables": {table: f"{table}.csv" for table in tables}, **policy}
    if solve is not None:
        settings["solve"] = solve.model_dump(mode="json")
    text = json.dumps(settings, indent=2, ensure_ascii=False)  # JSON is YAML with every text in quotes
    with naming(shown / SCENARIO_FILE):
        (folder / SCENARIO_FILE).write_text(text, encoding="utf-8", newline="\n")
    return folder / SCENARIO_FILE


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
