"""What part of an account's sales falls into the time its rep is there (see :class:`Calendar`).

A rep who joins, leaves or is on leave is credited only with what the accounts bring in the months there, a joiner in
the first of them with what the ramp says: quotas, odds and explanations all follow from that. While the rep is away
others are taken to cover, for the company and no quota; what a joiner does not sell yet nobody sells.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.expected import Estimate
from territory_opt.problem.numbers import MONTHS_PER_YEAR, TINY
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]


def share_targets(problem: Problem) -> FloatArray:
    """Fair share of each rep, (n_reps,), sum 1: FTE x ramp x the part of the plan year the rep is there."""
    reps, there = problem.reps, problem.calendar.part_there(problem.policy.period.months)
    weight = reps["fte"].to_numpy(float) * reps["ramp"].to_numpy(float) * there
    return np.asarray(weight / weight.sum())


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
    return _over_the_year(problem, estimate, problem.calendar.presence)


def company_part(problem: Problem, estimate: Estimate) -> FloatArray:
    """Part of the plan year's sales of an account of each rep that comes at all, (n_segments, n_reps): with cover."""
    return _over_the_year(problem, estimate, problem.calendar.covered)


def _over_the_year(problem: Problem, estimate: Estimate, by_month: FloatArray) -> FloatArray:
    """Sum over the months of the plan of season x ``by_month`` (n_reps, months), (n_segments, n_reps)."""
    calendar = (problem.policy.period.start.month - 1 + np.arange(problem.policy.period.months)) % MONTHS_PER_YEAR
    season = estimate.seasonality[:, calendar]
    total = season.sum(axis=1, keepdims=True)
    even = np.full_like(season, 1.0 / len(calendar))
    return _whole(np.divide(season, total, out=even, where=total > 0) @ by_month.T)


def _whole(part: FloatArray) -> FloatArray:
    """``part`` with what is a whole but for the rounding of floats as exactly 1."""
    return np.where(part > 1.0 - TINY, 1.0, part)
