"""How the year is spread over the months, by segment: ratios to a centred year, shrunk towards the company's and flat.

Source: the classical decomposition by a centred 2 x 12 moving average (Hyndman and Athanasopoulos, Forecasting, 3.4),
with ratios shrunk as in Miller and Williams, Int. J. Forecasting 19, 2003: young or small segments borrow. Ratios that
lie far from 1 compared with the noise of a month are shrunk less than a faint season (empirical Bayes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.history import History

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CENTRED = np.concatenate([[0.5], np.ones(11), [0.5]]) / 12.0
NOISE, SEGMENT_NOISE = 0.15**2, 0.2**2
"""Variance of one year's ratio of a month about its factor, of the company and of a segment."""
LEAST_YEARS, MOST_YEARS = 0.1, 4.0
"""A ratio is shrunk as if so many years at least, and at most, had been flat (of a segment: like the company)."""
FEWEST_CENTRED = 24
"""Months below which no centred year is known of every month; from 12 on, the last year is then taken as it is."""

ASSUMED_SPREAD = 0.15
"""Spread of a company's monthly factors where its own history cannot tell."""

LEAST_NET = 0.25
"""A year in which credits leave less than this share of what was moved tells nothing about the season."""


def seasonality(history: History) -> FloatArray:
    """Return factors by segment and calendar month, (n_segments, 12), with mean 1; all 1 below a year of history."""
    sums, counts = _ratios(history.sales.sum(axis=0), history)
    company = _shrunk(sums, counts, np.ones(12), NOISE + lumpiness(history.sales))
    total = max(float(np.abs(history.sales).sum()), 1e-12)
    factors = np.empty((len(history.segments), 12))
    for k in range(len(factors)):
        own = history.sales[history.segment == k]
        sums, counts = _ratios(own.sum(axis=0), history)
        trust = min(float(np.abs(own).sum()) / total * len(factors), 1.0)
        factors[k] = _shrunk(trust * sums, trust * counts, company, SEGMENT_NOISE + lumpiness(own))
    factors = np.maximum(factors, 0.0)
    return np.asarray(factors * 12.0 / factors.sum(axis=1, keepdims=True))


def season_doubt(factors: FloatArray, n_months: int, lumps: float = 0.0) -> float:
    """Variance of the error of a monthly factor, given ``factors`` (12,) learnt from ``n_months`` of history.

    In the normal-normal model the posterior variance of a factor after n years is 1 / (1 / t + n / noise), where t is
    the variance of the true factors, read off the factors themselves and ``ASSUMED_SPREAD``, and the noise is ``NOISE``
    and the :func:`lumpiness` of the sales, ``lumps``.
    """
    years = (n_months - 12) / 12.0 if n_months >= FEWEST_CENTRED else float(n_months >= 12)
    true = float(np.var(factors)) + ASSUMED_SPREAD**2 / (years + 1.0)
    return 1.0 / (1.0 / true + years / (NOISE + lumps))


def lumpiness(sales: FloatArray) -> float:
    """Variance of a month's sales against its level that the orders of ``sales`` (n_accounts, n_months) bring.

    As if accounts bought independently of each other; of one account alone all that varies counts as its orders.
    """
    sums = sales.sum(axis=1, keepdims=True)
    total, n = float(np.maximum(sums, 0.0).sum()), int((sums > 0).sum())
    if total <= 0:
        return 0.0
    share = sales.sum(axis=0) / total if n > 1 else np.full(sales.shape[1], 1.0 / sales.shape[1])
    off = sales - sums * share
    return float((off**2).sum() * sales.shape[1] / total**2 * n / max(n - 1, 1))


def _shrunk(sums: FloatArray, counts: FloatArray, prior: FloatArray, noise: float) -> FloatArray:
    """Mean ratios shrunk to ``prior`` (12,), less the stronger the season is (empirical Bayes)."""
    years = float(counts.mean())
    if years == 0.0:
        return prior
    mean = np.divide(sums, counts, out=prior.copy(), where=counts > 0)
    true = float(np.mean((mean - prior) ** 2)) - noise / years
    flat = np.clip(noise / max(true, 1e-12), LEAST_YEARS, MOST_YEARS)
    return np.asarray((sums + flat * prior) / (counts + flat))


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
