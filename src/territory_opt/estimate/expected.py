"""Expected sales of the plan year and their variance, per account, from history and potential.

With monthly sales: the forecast of :mod:`territory_opt.estimate.forecast`. With one figure per account for last year:
empirical Bayes, the account's own sales shrunk towards what its segment sells per unit of potential (Efron and Morris,
JASA 70, 1975, with a normal-normal model per account). With neither: potential.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.estimate.forecast import forecast
from territory_opt.estimate.history import History
from territory_opt.estimate.methods import Basis
from territory_opt.estimate.quota_basis import quota_basis
from territory_opt.estimate.seasonality import lumpiness, season_doubt, seasonality
from territory_opt.estimate.settings import LastYearSettings, SpreadSettings
from territory_opt.estimate.shocks import NO_SHOCKS, Shocks, shocks_of
from territory_opt.problem.calendar import same_months
from territory_opt.problem.numbers import MONTHS_PER_YEAR, TINY
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SETTINGS, SPREAD = LastYearSettings(), SpreadSettings()
POTENTIAL_ONLY = "potential only: there is no sales history"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to expect of each account in the plan year, before fit and transfer loss.

    ``expected`` (n_accounts,) money of the plan year; ``variance`` (n_accounts,) money squared: outcome noise plus
    ``doubt``, the uncertainty of the estimate; ``seasonality`` (n_segments, 12) factors by calendar month with mean 1,
    ``segment`` (n_accounts,) the row of each account; ``parts`` (n_accounts, 2): contribution of own history and of
    potential to ``expected``; ``source`` says in words where the figures come from. ``basis``: what fair quotas follow
    where that is not expected sales; ``growth``: expected sales of the company against those of the same months in the
    last 12; ``inside`` (n_segments,): part of a year's sales that falls into a plan of fewer months;
    ``history_months``: months of sales that seasonality was learnt from; ``level_doubt``: standard deviation, as a
    share, of what they leave open of the company's level; ``lumpiness``: variance of a month's sales against its level
    that single orders bring. ``shocks``: spreads of what the company, a region and a segment share of the plan year,
    given or learnt, ``level_doubt`` in that of the company; all 0 where the policy asks for no odds.
    """

    expected: FloatArray
    variance: FloatArray
    doubt: FloatArray
    seasonality: FloatArray
    segment: IntArray
    parts: FloatArray
    source: str
    basis: Basis | None = None
    growth: float = 1.0
    inside: FloatArray | None = None
    history_months: int = 0
    level_doubt: float = 0.0
    lumpiness: float = 0.0
    shocks: Shocks = NO_SHOCKS

    @property
    def season_doubt(self) -> float:
        """Variance of the error of the company's monthly factors."""
        everyone = np.zeros(len(self.expected), dtype=np.int64)
        return season_doubt(MONTHS_PER_YEAR * self.seasons(everyone, 1)[0], self.history_months, self.lumpiness)

    def over(self, part: float) -> Estimate:
        """Return an estimate of a year for a ``part`` of it: noise grows with time, doubt with its square."""
        if part == 1.0:
            return self
        doubt = part**2 * self.doubt
        variance = part * (self.variance - self.doubt) + doubt
        return replace(self, expected=part * self.expected, variance=variance, doubt=doubt, parts=part * self.parts)

    def seasons(self, group: IntArray, n_groups: int) -> FloatArray:
        """Share of the year by calendar month of groups of accounts, (n_groups, 12), rows sum to 1.

        ``group`` (n_accounts,) is the group of each account, -1 for none; a group that expects nothing follows the
        company.
        """
        size = len(self.seasonality)
        yearly = self.expected if self.inside is None else self.expected / self.inside[self.segment]
        company = np.bincount(self.segment, yearly, minlength=size) @ self.seasonality
        company = company / company.sum() if company.sum() > 0 else np.full(MONTHS_PER_YEAR, 1.0 / MONTHS_PER_YEAR)
        inside = group >= 0
        key = group[inside] * size + self.segment[inside]
        mixed = np.bincount(key, yearly[inside], minlength=n_groups * size).reshape(n_groups, size)
        by_group = mixed @ self.seasonality
        total = by_group.sum(axis=1, keepdims=True)
        return np.where(total > 0, np.divide(by_group, total, out=np.zeros_like(by_group), where=total > 0), company)


def estimate_sales(problem: Problem) -> Estimate:
    """Estimate expected sales and variance for every account. Cost: linear in sales rows."""
    found, lead = _expected(problem)
    period = problem.policy.period
    season = found.seasons(np.zeros(len(found.expected), dtype=np.int64), 1)[0]
    inside = (period.start.month - 1 + np.arange(period.months)) % MONTHS_PER_YEAR
    sold = float(problem.accounts["current_sales"].sum()) * float(season[inside].sum())
    if period.months < MONTHS_PER_YEAR and len(problem.sales):
        sold = float(same_months(problem.past_sales, problem.policy)["sales"].sum())
    # Less than a year of history is no last year to have grown from.
    known = sold > 0 and found.expected.sum() > 0 and not 0 < found.history_months < MONTHS_PER_YEAR
    growth = float(found.expected.sum()) / sold if known else 1.0
    shocks = shocks_of(problem, found.level_doubt)
    return replace(found, basis=quota_basis(problem, found.parts, lead), growth=growth, shocks=shocks)


def _expected(problem: Problem) -> tuple[Estimate, int]:
    """The estimate without a basis, and the months between the end of the history and the plan year."""
    if len(problem.sales):
        return _from_history(problem)
    accounts, part = problem.accounts, problem.policy.period.part
    potential = accounts["potential"].to_numpy(float)
    current = accounts["current_sales"].to_numpy(float)
    if current.sum() > 0:
        return _from_last_year(current, potential, pd.factorize(accounts["segment"])[0]).over(part), 0
    variance = (SETTINGS.prior_cv * potential) ** 2
    parts = np.column_stack([np.zeros_like(potential), potential])
    flat, segment = np.ones((1, MONTHS_PER_YEAR)), np.zeros(len(potential), dtype=np.int64)
    return Estimate(potential.copy(), variance, variance, flat, segment, parts, POTENTIAL_ONLY).over(part), 0


def _from_history(problem: Problem) -> tuple[Estimate, int]:
    history = History.of(problem)
    ahead = problem.calendar.first_month - history.start.ordinal - history.n_months
    # A history that ended longer ago is taken to have ended a year or more later: the same months lie ahead.
    lead = max(ahead, 0) if ahead <= MONTHS_PER_YEAR else (ahead - 1) % MONTHS_PER_YEAR + 1
    found = forecast(history, horizon=problem.policy.period.months, lead=lead)
    source = f"{history.n_months} months of sales, potential and segment"
    factors, months = seasonality(history), problem.policy.period.months
    inside = factors[:, history.calendar(history.n_months + lead, months)].sum(axis=1) / MONTHS_PER_YEAR
    estimate = Estimate(
        found.expected,
        found.variance,
        found.doubt,
        factors,
        history.segment,
        found.parts,
        source,
        history_months=history.n_months,
        level_doubt=found.level_doubt,
        lumpiness=lumpiness(history.sales),
    )
    return (
        estimate if months == MONTHS_PER_YEAR else replace(estimate, inside=np.maximum(inside, SETTINGS.least_inside))
    ), lead


def _from_last_year(yearly: FloatArray, potential: FloatArray, segment: npt.NDArray[np.int64]) -> Estimate:
    """Shrink each account's sales of one year to its segment's yield per unit of potential (normal-normal)."""
    company_yield = yearly.sum() / max(potential.sum(), TINY)
    sold, could = np.bincount(segment, yearly), np.bincount(segment, potential)
    rate = (sold + company_yield * SETTINGS.borrowed * could) / np.maximum((1.0 + SETTINGS.borrowed) * could, TINY)
    prior = rate[segment] * potential
    noise = (SETTINGS.yearly_cv * yearly) ** 2
    # Variance grows with the mean inside a segment (lumpy orders): pool it, then mix with the account's own.
    dispersion = np.bincount(segment, noise) / np.maximum(sold, TINY)
    level = np.maximum(prior, yearly)
    pooled = np.minimum(dispersion[segment] * level, (SPREAD.most_cv * level) ** 2)
    mixed = (1.0 - SETTINGS.pooled) * noise + SETTINGS.pooled * pooled
    spread = (yearly - prior) ** 2 - mixed
    ratio = np.bincount(segment, spread) / np.maximum(np.bincount(segment, prior**2), TINY)
    between = np.clip(ratio, SETTINGS.least_between**2, 1.0)[segment] * prior**2
    # Without potential nothing but the account's own sales tells anything.
    own = np.where(prior > 0, between / np.maximum(between + mixed, TINY), 1.0)
    history_part, potential_part = own * yearly, (1.0 - own) * prior
    expected = history_part + potential_part
    doubt = own * mixed
    variance = np.maximum(mixed, (SPREAD.least_cv * expected) ** 2) + doubt
    parts = np.column_stack([history_part, potential_part])
    everyone = np.zeros(len(yearly), dtype=np.int64)
    return Estimate(
        expected, variance, doubt, np.ones((1, MONTHS_PER_YEAR)), everyone, parts, "last year's sales and potential"
    )
