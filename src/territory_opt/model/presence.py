"""When each rep is there, and what part of an account's sales falls into that time.

A rep who joins, leaves or is on leave is credited only with what the accounts bring in the months there, a joiner in
the first of them with what the ramp says: quotas, odds and explanations all follow from that. While the rep is away
others are taken to cover, for the company and no quota; what a joiner does not sell yet nobody sells.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.estimate.expected import Estimate
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]

FULL_CREDIT = 1e-12
"""Credit this near to the whole year is the whole year."""


def share_targets(problem: Problem) -> FloatArray:
    """Fair share of each rep, (n_reps,), sum 1: FTE x ramp x the part of the plan year the rep is there."""
    reps, period = problem.reps, problem.policy.period
    weight = reps["fte"].to_numpy(float) * reps["ramp"].to_numpy(float) * active_share(problem, period.months)
    return np.asarray(weight / weight.sum())


def active_share(problem: Problem, months: int, *, after: int = 0) -> FloatArray:
    """Part of ``months`` of the plan year, ``after`` so many, that each rep is employed and not on leave, (n_reps,).

    By days.
    """
    first = pd.Timestamp(problem.policy.period.start) + pd.DateOffset(months=after)
    last = first + pd.DateOffset(months=months)
    year = (last - first).days
    start = (pd.to_datetime(problem.reps["start_date"]).fillna(first) - first).dt.days.to_numpy(float)
    end = (pd.to_datetime(problem.reps["end_date"]).fillna(last) - first).dt.days.to_numpy(float) + 1.0
    days = np.maximum(np.clip(end, 0.0, year) - np.clip(start, 0.0, year), 0.0)
    if "leave_start" in problem.reps:
        away_from = (pd.to_datetime(problem.reps["leave_start"]) - first).dt.days.to_numpy(float)
        away_until = (pd.to_datetime(problem.reps["leave_end"]) - first).dt.days.to_numpy(float) + 1.0
        begin = np.maximum(np.clip(away_from, 0.0, year), np.clip(start, 0.0, year))
        away = np.minimum(np.clip(away_until, 0.0, year), np.clip(end, 0.0, year)) - begin
        days = days - np.maximum(np.nan_to_num(away), 0.0)
    return np.asarray(days / year)


def days_there(problem: Problem) -> FloatArray:
    """Part of each month of the plan year, by days, that each rep is employed and not on leave, (n_reps, months)."""
    return np.column_stack([active_share(problem, 1, after=k) for k in range(problem.policy.period.months)])


def ramp_by_month(problem: Problem) -> FloatArray:
    """What each rep can do in each month of the plan year, (n_reps, months): below 1 in a joiner's first months."""
    steps = np.array([*problem.policy.quotas.ramp, 1.0])
    first = pd.Period(problem.policy.period.start, freq="M")
    started = pd.PeriodIndex(pd.to_datetime(problem.reps["start_date"]), freq="M")
    # NaT has the smallest ordinal: a rep whose start is not known is past any ramp.
    since = first.ordinal + np.arange(problem.policy.period.months)[None, :] - started.asi8[:, None].astype(float)
    return np.asarray(steps[np.clip(since, 0, len(steps) - 1).astype(int)])


def presence(problem: Problem) -> FloatArray:
    """Days there x ramp in each month of the plan year, (n_reps, months), from 0 to 1."""
    return days_there(problem) * ramp_by_month(problem)


def typical_credit(problem: Problem, estimate: Estimate) -> FloatArray:
    """Part of the year that counts for each rep with a book like the company's, (n_reps,)."""
    expected = np.bincount(estimate.segment, estimate.expected, minlength=len(estimate.seasonality))
    total = float(expected.sum())
    weight = expected / total if total > 0 else np.full(len(expected), 1.0 / len(expected))
    return _whole(weight @ credit(problem, estimate))


def credit(problem: Problem, estimate: Estimate) -> FloatArray:
    """Part of the plan year's sales of an account that counts for a rep, (n_segments, n_reps), from 0 to 1.

    Segments are the rows of ``estimate.seasonality``: sum over months of season x days there x ramp.
    """
    return _over_the_year(problem, estimate, presence(problem))


def company_part(problem: Problem, estimate: Estimate) -> FloatArray:
    """Part of the plan year's sales of an account of each rep that comes at all, (n_segments, n_reps): with cover."""
    return _over_the_year(problem, estimate, covered(problem))


def covered(problem: Problem) -> FloatArray:
    """:func:`presence` and the days away, (n_reps, months): below 1 only while a joiner ramps up."""
    return presence(problem) + 1.0 - days_there(problem)


def _over_the_year(problem: Problem, estimate: Estimate, by_month: FloatArray) -> FloatArray:
    """Sum over the months of the plan of season x ``by_month`` (n_reps, months), (n_segments, n_reps)."""
    calendar = (problem.policy.period.start.month - 1 + np.arange(problem.policy.period.months)) % 12
    season = estimate.seasonality[:, calendar]
    total = season.sum(axis=1, keepdims=True)
    even = np.full_like(season, 1.0 / len(calendar))
    return _whole(np.divide(season, total, out=even, where=total > 0) @ by_month.T)


def _whole(part: FloatArray) -> FloatArray:
    """``part`` with what is a whole but for the rounding of floats as exactly 1."""
    return np.where(part > 1.0 - FULL_CREDIT, 1.0, part)
