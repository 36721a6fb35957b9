"""What "last year" means: the months before a plan, the same months of last year, whole quota periods."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.problem.policy import Policy

NEXT_MONTH_FROM = 28
"""A quota period that starts on this day of a month or later counts from the next month."""


def before_plan_year(sales: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Return the rows before the plan year: what is known when it is planned; all where none are."""
    early: pd.DataFrame = sales[sales["month"] < pd.Timestamp(policy.period.start)]
    return early if len(early) else sales


def last_year(sales: pd.DataFrame, column: str = "month") -> pd.DataFrame:
    """Return the rows of the 12 months that end with the last one in the table."""
    if sales.empty:
        return sales
    recent = sales[column] > sales[column].max() - pd.DateOffset(months=12)
    found: pd.DataFrame = sales.loc[recent]
    return found


def same_months(sales: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Return the rows of the last year before the plan that lie in the months of the calendar which the plan has."""
    period, recent = policy.period, last_year(before_plan_year(sales, policy))
    inside = (recent["month"].dt.month - period.start.month) % 12 < period.months
    found: pd.DataFrame = recent.loc[inside]
    return found


def of_months(policy: Policy) -> str:
    """Say what :func:`same_months` holds."""
    return "the last 12 months" if policy.period.months == 12 else "the same months of last year"


def quota_months(history: pd.DataFrame) -> tuple[npt.NDArray[np.int64], int]:
    """First month of each row's quota period as an ordinal, (n,), and the months of a period."""
    starts = history["period_start"]
    month = np.asarray(pd.PeriodIndex(starts, freq="M").asi8 + (starts.dt.day >= NEXT_MONTH_FROM), dtype=np.int64)
    by_rep = pd.Series(month).groupby(history["rep_id"].to_numpy())
    gaps = [int(gap) for _, own in by_rep for gap in np.diff(np.unique(own))]
    return month, min(int(np.median(gaps)), 12) if gaps else 12
