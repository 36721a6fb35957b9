"""Write a problem as a scenario folder of its own, which every command reads like any other."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from territory_opt.errors import ScenarioError
from territory_opt.plan.folder import FORMULA_STARTS, table_csv
from territory_opt.problem.problem import Problem
from territory_opt.problem.schema import TABLES

PLACES = ("geometry",)


def write_scenario(problem: Problem, folder: str | Path, *, name: str) -> Path:
    """Write ``problem`` as CSV tables and a scenario file to a new folder; return the path of ``scenario.yaml``.

    The folder appears complete or not at all. Raises :class:`ScenarioError` if it holds files already, or if an id
    starts like a formula, which a spreadsheet would run.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScenarioError(f"{folder}: holds files already; choose a new folder")
    tables = {table: frame for table in TABLES if (frame := getattr(problem, table)) is not None and len(frame)}
    for table, frame in tables.items():
        _refuse_formulas(table, frame)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for table, frame in tables.items():
            (staging / f"{table}.csv").write_text(table_csv(_plain(frame)), encoding="utf-8", newline="\n")
        policy = problem.policy.model_dump(mode="json", exclude_defaults=True)
        settings = {"schema_version": 1, "name": name, "tables": {table: f"{table}.csv" for table in tables}, **policy}
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        (staging / "scenario.yaml").write_text(text, encoding="utf-8", newline="\n")
        staging.chmod(0o755)
        staging.replace(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder / "scenario.yaml"


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
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


def _refuse_formulas(table: str, frame: pd.DataFrame) -> None:
    """Raise for an id that ``table_csv`` would have to change, which would break what refers to it."""
    for column in TABLES[table]:
        if column.name not in frame or column.name not in ("account_id", "rep_id", "manager_id", "unit_id", "family"):
            continue
        text = frame[column.name].astype(str)
        bad = text[text.str.startswith(FORMULA_STARTS)]
        if len(bad):
            raise ScenarioError(
                f'{table}: {column.name} "{bad.iloc[0]}" starts like a formula; rename it, or use the Python function'
            )
