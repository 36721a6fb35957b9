"""Dates, read once: the months of a plan and when each rep is there; what "last year" means.

A month is a number (0 is January 1970), a day as well (0 is 1 January 1970): what is computed with them parses nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import ScenarioError
from territory_opt.problem.numbers import MONTHS_PER_YEAR
from territory_opt.problem.policy import Policy

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DAYS_OF_A_YEAR = 365.25
"""Mean length of the Julian year: a leap day every four years."""
EPOCH_YEAR = 1970
"""Months are numbered from January of this year, as NumPy does."""
NEXT_MONTH_FROM = 28
"""A quota period that starts on this day of a month or later counts from the next month. A convention: in every
month there are at most four such days: it is a start of the next one, written a little early."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The months of a plan, and when each rep is there in them.

    ``first_month`` is a month number; ``start``, ``gone``, ``leave_start`` and ``back`` (n_reps,) are day numbers: the
    first working day, the day after the last, the first day of a leave, the first after it; -inf, inf or NaN where
    none is named. ``there`` (n_reps, months): part of each month, by days, that the rep is employed and not on leave;
    ``ramp`` (n_reps, months): what the rep can do in it, below 1 in a joiner's first months.
    """

    first_month: int
    start: FloatArray
    gone: FloatArray
    leave_start: FloatArray
    back: FloatArray
    there: FloatArray
    ramp: FloatArray

    @classmethod
    def of(cls, reps: pd.DataFrame, policy: Policy) -> Calendar:
        """Read the dates of the ``reps`` table, checked, for the period of ``policy``."""
        first, months = first_month(policy), policy.period.months
        start, end = _days(reps["start_date"], -np.inf), _days(reps["end_date"], np.inf)
        leave, until = _days(reps["leave_start"], np.nan), _days(reps["leave_end"], np.nan)
        spans = start, end + 1.0, leave, until + 1.0
        there = np.column_stack([_part_there(*spans, first + k, first + k + 1) for k in range(months)])
        return cls(first, *spans, there, _ramp(month_numbers(reps["start_date"]), first, policy))

    def part_there(self, months: int, *, after: int = 0) -> FloatArray:
        """Part of ``months`` of the plan, ``after`` so many, that each rep is there, by days, (n_reps,)."""
        first = self.first_month + after
        return _part_there(self.start, self.gone, self.leave_start, self.back, first, first + months)

    @property
    def presence(self) -> FloatArray:
        """Days there x ramp in each month, (n_reps, months), from 0 to 1."""
        return self.there * self.ramp

    @property
    def covered(self) -> FloatArray:
        """:attr:`presence` and the days away, (n_reps, months): below 1 only while a joiner ramps up."""
        return self.presence + 1.0 - self.there

    @property
    def years_before(self) -> FloatArray:
        """Years each rep has been there when the plan starts, (n_reps,), at least 0; NaN where no start is named."""
        years = (_first_day(self.first_month) - np.where(np.isinf(self.start), np.nan, self.start)) / DAYS_OF_A_YEAR
        return np.asarray(np.maximum(years, 0.0))


def _days(dates: pd.Series[pd.Timestamp], missing: float) -> FloatArray:
    """Day numbers of a column of dates, ``missing`` where there is none."""
    days = dates.to_numpy().astype("datetime64[D]")
    return np.where(np.isnat(days), missing, days.astype(np.int64).astype(float))


def _first_day(month: int) -> float:
    """Day number of the first of a month."""
    return float(np.datetime64(month, "M").astype("datetime64[D]").astype(np.int64))


def _part_there(
    start: FloatArray, gone: FloatArray, leave_start: FloatArray, back: FloatArray, first: int, last: int
) -> FloatArray:
    """Part of the days from month ``first`` to before month ``last`` between the first and the last, less leave."""
    begin, end = _first_day(first), _first_day(last)
    start, gone = np.clip(start, begin, end), np.clip(gone, begin, end)
    away = np.minimum(np.clip(back, begin, end), gone) - np.maximum(np.clip(leave_start, begin, end), start)
    days = np.maximum(gone - start, 0.0) - np.maximum(np.nan_to_num(away), 0.0)
    return np.asarray(days / (end - begin))


def _ramp(started: IntArray, first: int, policy: Policy) -> FloatArray:
    steps = np.array([*policy.quotas.ramp, 1.0])
    # No date has the smallest number of all: a rep whose start is not known is past any ramp.
    since = first + np.arange(policy.period.months)[None, :] - started[:, None].astype(float)
    return np.asarray(steps[np.clip(since, 0, len(steps) - 1).astype(int)])


def first_month(policy: Policy) -> int:
    """Number of the first month of the plan."""
    start = policy.period.start
    return MONTHS_PER_YEAR * (start.year - EPOCH_YEAR) + start.month - 1


def plan_days(policy: Policy) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last day of the plan."""
    first = pd.Timestamp(policy.period.start)
    return first, first + pd.DateOffset(months=policy.period.months) - pd.Timedelta(days=1)


def month_numbers(dates: pd.Series[pd.Timestamp]) -> IntArray:
    """Numbers of the months of a column of dates, (n,); the smallest integer where there is none."""
    return np.asarray(dates.to_numpy().astype("datetime64[M]").astype(np.int64))


def month_text(number: int) -> str:
    """Name a month by its number: ``2027-01``."""
    return str(np.datetime64(int(number), "M"))


def read_month(text: str) -> pd.Period:
    """Read a month as people write it, ``2027-06``. Raise :class:`ScenarioError` for anything else."""
    try:
        return pd.Period(dt.datetime.strptime(text.strip(), "%Y-%m"), freq="M")
    except ValueError:
        raise ScenarioError(f'"{text}" is not a month; write it like 2027-06') from None


def before_plan_year(sales: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Return the rows before the plan year: what is known when it is planned; all where none are."""
    early = sales["month"] < plan_days(policy)[0]
    found: pd.DataFrame = sales if early.all() or not early.any() else sales[early]
    return found


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
    month = month_numbers(starts) + (starts.dt.day >= NEXT_MONTH_FROM).to_numpy(np.int64)
    by_rep = pd.Series(month).groupby(history["rep_id"].to_numpy())
    gaps = [int(gap) for _, own in by_rep for gap in np.diff(np.unique(own))]
    return month, min(int(np.median(gaps)), MONTHS_PER_YEAR) if gaps else MONTHS_PER_YEAR
