"""Sales of the plan year so far, read and checked like the sales table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from territory_opt.intake.checks import Findings, names_of, read_columns, row_of, rows_lie
from territory_opt.intake.crosschecks import clean_sales, empty_months, warn_empty_months
from territory_opt.intake.parse import NumberFormat, as_numbers
from territory_opt.intake.table_source import TableSource
from territory_opt.intake.tables import read_file
from territory_opt.problem.calendar import plan_days
from territory_opt.problem.problem import Problem


def read_actuals(path: str | Path, problem: Problem, source: TableSource | None = None) -> pd.DataFrame:
    """Read a file of sales; ``source`` says how it is written (by default a plain table). See :func:`check_actuals`."""
    path = Path(path)
    return check_actuals(read_file("sales", source or TableSource(path=path.name), path), problem)


def check_actuals(sales: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """Return sales of the plan year by account, month and rep; ``attrs["issues"]`` lists what was left out or summed.

    Rows of other months and of unknown accounts are left out with a warning. Raise :class:`DataError` with every
    unreadable cell, or if nothing of the plan year is left.
    """
    findings = Findings({"sales": str(sales.attrs.get("file") or "sales"), "accounts": "accounts", "reps": "reps"})
    findings.take(sales)
    frame = read_columns("sales", sales, problem.policy, findings)
    findings.raise_errors()
    accounts, reps = names_of("account", problem.accounts, "account_id"), names_of("rep", problem.reps, "rep_id")
    frame = clean_sales(frame, accounts, reps, findings)
    findings.raise_errors()
    first, last = plan_days(problem.policy)
    inside = (frame["month"] >= first) & (frame["month"] <= last)
    if not inside.all():
        other = frame[~inside]
        problem_is = f"{rows_lie(len(other))} outside the plan year ({first:%Y-%m} to {last:%Y-%m})"
        row, month = row_of(int(other.index[0])), f"{other['month'].iloc[0]:%Y-%m}"
        findings.warn("sales", row, "month", month, problem_is, "they are left out")
    if not inside.any():
        findings.error("sales", 0, "month", "", "no row lies in the plan year", "give sales of the plan year")
    findings.raise_errors()
    kept = frame[inside].reset_index(drop=True)
    empty = empty_months(pd.concat([kept["month"], pd.Series([first])]))
    if first not in set(kept["month"]):
        empty.insert(0, f"{first:%Y-%m}")
    warn_empty_months(empty, findings, most=problem.policy.period.months)
    kept.attrs["issues"] = tuple(issue for issue in findings.issues if issue.severity == "warning")
    return kept


def read_metrics(path: str | Path, problem: Problem) -> pd.DataFrame:
    """Read a file of figures by rep. See :func:`check_metrics`."""
    path = Path(path)
    return check_metrics(read_file("metrics", TableSource(path=path.name), path), problem)


def check_metrics(frame: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """Return figures by rep (win rate, cycle, deal size ...): column rep_id, the others as numbers or text.

    Raise :class:`DataError` for a table without rep_id or a rep named twice; reps nobody knows are left out, and listed
    in ``attrs["issues"]``.
    """
    findings = Findings({"metrics": str(frame.attrs.get("file") or "metrics")})
    findings.take(frame)
    if "rep_id" not in frame:
        findings.error("metrics", 1, "rep_id", "", "the column is missing", "name each row's rep in a column rep_id")
        findings.raise_errors()
    reps = frame["rep_id"].astype(str).str.strip()
    for position in np.flatnonzero(reps.duplicated().to_numpy()):
        row, rep = row_of(int(position)), reps.iloc[position]
        findings.error("metrics", row, "rep_id", rep, "this rep has a row already", "keep one of them")
    findings.raise_errors()
    columns: dict[str, object] = {"rep_id": reps}
    for name in frame.columns.drop("rep_id"):
        read = as_numbers(frame[name], NumberFormat(".", None))
        columns[str(name)] = frame[name] if read.bad.any() else read.values
    table, known = pd.DataFrame(columns), reps.isin(problem.reps["rep_id"])
    for position in np.flatnonzero(~known.to_numpy()):
        row, rep = row_of(int(position)), reps.iloc[position]
        findings.warn("metrics", row, "rep_id", rep, "no rep of this name: left out", "correct the id, or add the rep")
    kept = table[known].reset_index(drop=True)
    kept.attrs["issues"] = tuple(findings.issues)
    return kept
