"""How the year is spread over the months, by segment: ratios to a centred year, shrunk towards the company's and flat.

Source: the classical decomposition by a centred 2 x 12 moving average (Hyndman and Athanasopoulos, Forecasting, 3.4),
with ratios shrunk as in Miller and Williams, Int. J. Forecasting 19, 2003: young or small segments borrow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.history import History

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CENTRED = np.concatenate([[0.5], np.ones(11), [0.5]]) / 12.0
FLAT_YEARS = 1.0
"""The company's ratio of a month is shrunk to 1 as if this many years had been flat."""
COMPANY_YEARS = 2.0
"""A segment's ratio is shrunk to the company's as if this many years had been the company's."""
FEWEST_CENTRED = 18
"""Months below which no centred year tells enough; from 12 on, the last year is then taken as it is."""

ASSUMED_SPREAD = 0.15
"""Spread of a company's monthly factors where its own history cannot tell."""

LEAST_NET = 0.25
"""A year in which credits leave less than this share of what was moved tells nothing about the season."""


def seasonality(history: History) -> FloatArray:
    """Return factors by segment and calendar month, (n_segments, 12), with mean 1; all 1 below a year of history."""
    sums, counts = _ratios(history.sales.sum(axis=0), history)
    company = (sums + FLAT_YEARS) / (counts + FLAT_YEARS)
    total = max(float(np.abs(history.sales).sum()), 1e-12)
    factors = np.empty((len(history.segments), 12))
    for k in range(len(factors)):
        own = history.sales[history.segment == k]
        sums, counts = _ratios(own.sum(axis=0), history)
        trust = min(float(np.abs(own).sum()) / total * len(factors), 1.0)
        factors[k] = (trust * sums + COMPANY_YEARS * company) / (trust * counts + COMPANY_YEARS)
    factors = np.maximum(factors, 0.0)
    return np.asarray(factors * 12.0 / factors.sum(axis=1, keepdims=True))


def season_doubt(factors: FloatArray, n_months: int) -> float:
    """Variance of the error of a monthly factor, given ``factors`` (12,) learnt from ``n_months`` of history.

    Factors shrunk as from n years and one flat year have the posterior variance t / (n + 1), where t is the variance
    of the true factors (normal-normal model); t is read off the factors themselves and ``ASSUMED_SPREAD``.
    """
    years = (n_months - 12) / 12.0 if n_months >= FEWEST_CENTRED else float(n_months >= 12)
    true = float(np.var(factors)) + ASSUMED_SPREAD**2 / (years + 1.0)
    return true / (years + 1.0)


def _ratios(sales: FloatArray, history: History) -> tuple[FloatArray, FloatArray]:
    """Sum and number of each calendar month's ratios to its year, (12,) both; ``sales`` (n_months,)."""
    n = len(sales)
    if n >= FEWEST_CENTRED:
        level, value, month = np.convolve(sales, CENTRED, "valid"), sales[6 : n - 6], history.calendar(6, n - 12)
    elif n >= 12:
        level, value, month = np.full(12, sales[-12:].mean()), sales[-12:], history.calendar(n - 12, 12)
    else:
        return np.zeros(12), np.zeros(12)
    # Credits can bring a year near nothing, whose months would then be many times their year.
    gross = (
        np.convolve(np.abs(sales), CENTRED, "valid") if n >= FEWEST_CENTRED else np.full(12, np.abs(sales[-12:]).mean())
    )
    known = level > LEAST_NET * gross
    ratio = np.clip(np.divide(value, level, out=np.ones_like(value), where=known), 0.0, 12.0)
    sums, counts = np.bincount(month, ratio * known, minlength=12), np.bincount(month, known, minlength=12)
    return sums.astype(float), counts.astype(float)
