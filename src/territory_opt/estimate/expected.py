"""Expected sales of the plan year and their variance, per account, from history and potential.

The method is empirical Bayes: an account's own yearly sales are shrunk towards what its segment sells per
unit of potential, the more so the fewer and the noisier its own months are; a segment trend carries the
result into the plan year. Source: Efron and Morris, JASA 70 (1975), with a normal-normal model per account.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]

TREND_LIMITS = (0.7, 1.5)
"""A segment's yearly trend is kept within these factors: one odd year is not a trend."""
TREND_PRIOR_ACCOUNTS = 30.0
"""A segment's trend is shrunk to the company's as if this many average accounts had the company's trend."""
TREND_KEPT = 0.75
"""Power of last year's growth that goes on: a damped trend (Gardner and McKenzie, Management Science 31, 1985)."""
LEAST_CV = 0.10
"""No account's yearly sales are taken to be steadier than this coefficient of variation."""
MOST_CV = 3.0
"""Pooled spread is never larger than this coefficient of variation."""
PRIOR_CV = 0.60
"""Spread of an account around its segment where the data cannot tell."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to expect of each account in the plan year, before fit and transfer loss.

    ``expected`` (n_accounts,) money per year; ``variance`` (n_accounts,) money squared: outcome noise plus
    the uncertainty of the estimate; ``seasonality`` (12,) shares of the year by calendar month, sum 1;
    ``parts`` (n_accounts, 2): contribution of own history and of potential to ``expected``; ``source`` says
    in words where the figures come from.
    """

    expected: FloatArray
    variance: FloatArray
    seasonality: FloatArray
    parts: FloatArray
    source: str


def estimate_sales(problem: Problem) -> Estimate:
    """Estimate expected sales and variance for every account. Cost: linear in sales rows."""
    accounts = problem.accounts
    potential = accounts["potential"].to_numpy(float)
    segment = pd.factorize(accounts["segment"])[0]
    if len(problem.sales):
        return _from_history(problem, potential, segment)
    current = accounts["current_sales"].to_numpy(float)
    if current.sum() > 0:
        return _shrink(
            current, np.ones_like(current), None, potential, segment, _flat(), "last year's sales and potential"
        )
    variance = (PRIOR_CV * potential) ** 2
    parts = np.column_stack([np.zeros_like(potential), potential])
    return Estimate(potential.copy(), variance, _flat(), parts, "potential only: there is no sales history")


def monthly_matrix(problem: Problem) -> tuple[FloatArray, pd.DatetimeIndex]:
    """Return sales as (n_accounts, n_months) and the months, oldest first; months without a row are zero."""
    months = pd.date_range(problem.sales["month"].min(), problem.sales["month"].max(), freq="MS")
    row = pd.Index(problem.accounts["account_id"]).get_indexer(problem.sales["account_id"])
    column = months.get_indexer(pd.DatetimeIndex(problem.sales["month"]))
    matrix = np.zeros((problem.n_accounts, len(months)))
    np.add.at(matrix, (row, column), problem.sales["sales"].to_numpy(float))
    return matrix, months


def _from_history(problem: Problem, potential: FloatArray, segment: npt.NDArray[np.int64]) -> Estimate:
    matrix, months = monthly_matrix(problem)
    recent = matrix[:, -24:]
    first = np.where(matrix.any(axis=1), np.argmax(matrix != 0, axis=1), matrix.shape[1])
    observed = np.clip(matrix.shape[1] - first, 0, recent.shape[1]).astype(float)
    growth = _segment_growth(matrix, segment)
    trend = growth**TREND_KEPT
    # An account's yearly rate over the months it has existed, brought to the level of the last 12 months.
    yearly = np.where(observed > 0, recent.sum(axis=1) / np.maximum(observed, 1.0) * 12.0, 0.0)
    levelled = yearly * np.where(observed > 12, np.sqrt(growth), 1.0)
    years = observed / 12.0
    noise = recent.var(axis=1) * 12.0
    estimate = _shrink(levelled, years, noise, potential, segment, _seasonality(matrix, months), "")
    parts = estimate.parts * trend[:, None]
    return Estimate(
        parts.sum(axis=1),
        estimate.variance * trend**2,
        estimate.seasonality,
        parts,
        f"{matrix.shape[1]} months of sales, potential and segment trend",
    )


def _segment_growth(matrix: FloatArray, segment: npt.NDArray[np.int64]) -> FloatArray:
    """Yearly growth factor per account's segment, shrunk to the company's; 1 with under two years of sales."""
    if matrix.shape[1] < 24:
        return np.ones(len(matrix))
    last, before = matrix[:, -12:].sum(axis=1), matrix[:, -24:-12].sum(axis=1)
    company = last.sum() / before.sum() if before.sum() > 0 else 1.0
    weight = TREND_PRIOR_ACCOUNTS * max(before.mean(), 1e-9)
    by_last, by_before = np.bincount(segment, last), np.bincount(segment, before)
    factor = (by_last + company * weight) / (by_before + weight)
    return np.asarray(np.clip(factor, *TREND_LIMITS)[segment])


def _shrink(
    yearly: FloatArray,
    years: FloatArray,
    noise: FloatArray | None,
    potential: FloatArray,
    segment: npt.NDArray[np.int64],
    seasonality: FloatArray,
    source: str,
) -> Estimate:
    """Shrink each account's yearly sales to its segment's yield per unit of potential (normal-normal)."""
    company_yield = yearly.sum() / max(potential.sum(), 1e-12)
    sold, could = np.bincount(segment, yearly), np.bincount(segment, potential)
    rate = (sold + company_yield * 0.05 * could) / np.maximum(1.05 * could, 1e-12)
    prior = rate[segment] * potential
    if noise is None:
        noise = (0.3 * yearly) ** 2
    # Variance grows with the mean inside a segment (lumpy orders): pool it, then mix with the account's own.
    by_segment = np.bincount(segment, yearly)
    company = noise.sum() / yearly.sum() if yearly.sum() > 0 else 0.0
    # A segment whose sales net to nothing (credits) says nothing about its spread: the company's is taken.
    known_spread = by_segment > 0.01 * np.bincount(segment, np.abs(yearly))
    dispersion = np.where(known_spread, np.bincount(segment, noise) / np.where(known_spread, by_segment, 1.0), company)
    level = np.maximum(prior, np.maximum(yearly, 0.0))
    pooled = np.minimum(np.maximum(dispersion[segment], 0.0) * level, (MOST_CV * level) ** 2)
    mixed = 0.5 * noise + 0.5 * pooled
    spread = (yearly - prior) ** 2 - mixed / np.maximum(years, 1e-9)
    known = years > 0
    ratio = np.bincount(segment, np.where(known, spread, 0.0)) / np.maximum(
        np.bincount(segment, np.where(known, prior**2, 0.0)), 1e-12
    )
    between = np.clip(ratio, 0.05**2, 1.0)[segment] * prior**2
    own = np.where(known, between / np.maximum(between + mixed / np.maximum(years, 1e-9), 1e-12), 0.0)
    history_part, potential_part = own * np.maximum(yearly, 0.0), (1.0 - own) * prior
    expected = history_part + potential_part
    variance = np.maximum(mixed, (LEAST_CV * expected) ** 2) + (1.0 - own) * between
    return Estimate(expected, variance, seasonality, np.column_stack([history_part, potential_part]), source)


def _seasonality(matrix: FloatArray, months: pd.DatetimeIndex) -> FloatArray:
    """Share of the year by calendar month from whole years of company sales; flat with under a year."""
    whole = matrix.shape[1] // 12 * 12
    if whole == 0:
        return _flat()
    totals = np.maximum(matrix[:, -whole:].sum(axis=0), 0.0)
    by_month = np.bincount(months[-whole:].month.to_numpy() - 1, totals, minlength=12)
    return np.asarray(by_month / by_month.sum()) if by_month.sum() > 0 else _flat()


def _flat() -> FloatArray:
    return np.full(12, 1.0 / 12.0)
