"""How the year is spread over the months, by segment: ratios to a centred year, shrunk towards the company's and flat.

Source: the classical decomposition by a centred 2 x 12 moving average (Hyndman and Athanasopoulos, Forecasting, 3.4),
with ratios shrunk as in Miller and Williams, Int. J. Forecasting 19, 2003: young or small segments borrow. Ratios that
lie far from 1 compared with the noise of a month are shrunk less than a faint season (empirical Bayes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.history import History
from territory_opt.estimate.settings import SeasonalitySettings
from territory_opt.problem.numbers import MONTHS_PER_YEAR, TINY

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SETTINGS = SeasonalitySettings()
CENTRED = np.concatenate([[0.5], np.ones(11), [0.5]]) / 12.0
"""A year about a month: the moving average over 2 x 12 months."""


def seasonality(history: History) -> FloatArray:
    """Return factors by segment and calendar month, (n_segments, 12), with mean 1; all 1 below a year of history."""
    sums, counts = _ratios(history.sales.sum(axis=0), history)
    company = _shrunk(sums, counts, np.ones(12), SETTINGS.noise**2 + lumpiness(history.sales))
    total = max(float(np.abs(history.sales).sum()), TINY)
    factors = np.empty((len(history.segments), 12))
    for k in range(len(factors)):
        own = history.sales[history.segment == k]
        sums, counts = _ratios(own.sum(axis=0), history)
        trust = min(float(np.abs(own).sum()) / total * len(factors), 1.0)
        factors[k] = _shrunk(trust * sums, trust * counts, company, SETTINGS.segment_noise**2 + lumpiness(own))
    factors = np.maximum(factors, 0.0)
    return np.asarray(factors * 12.0 / factors.sum(axis=1, keepdims=True))


def season_doubt(factors: FloatArray, n_months: int, lumps: float = 0.0) -> float:
    """Variance of the error of a monthly factor, given ``factors`` (12,) learnt from ``n_months`` of history.

    In the normal-normal model the posterior variance of a factor after n years is 1 / (1 / t + n / noise), where t is
    the variance of the true factors, read off the factors themselves and ``assumed_spread``, and the noise is that of a
    ratio (``noise``) and the :func:`lumpiness` of the sales, ``lumps``.
    """
    years = (n_months - MONTHS_PER_YEAR) / MONTHS_PER_YEAR if _centred(n_months) else float(n_months >= MONTHS_PER_YEAR)
    true = float(np.var(factors)) + SETTINGS.assumed_spread**2 / (years + 1.0)
    return 1.0 / (1.0 / true + years / (SETTINGS.noise**2 + lumps))


def unseen_season(n_months: int) -> float:
    """Spread that the season leaves open where only ``n_months``, less than a year, are known; 0 from a year on."""
    return float(SETTINGS.assumed_spread * np.sqrt(max(1.0 - n_months / MONTHS_PER_YEAR, 0.0)))


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
    flat = np.clip(noise / max(true, TINY), SETTINGS.least_years, SETTINGS.most_years)
    return np.asarray((sums + flat * prior) / (counts + flat))


def _ratios(sales: FloatArray, history: History) -> tuple[FloatArray, FloatArray]:
    """Sum and number of each calendar month's ratios to its year, (12,) both; ``sales`` (n_months,)."""
    n, year, half = len(sales), MONTHS_PER_YEAR, MONTHS_PER_YEAR // 2
    if n < year:
        return np.zeros(year), np.zeros(year)
    # Credits can bring a year near nothing, whose months would then be many times their year: gross is what was moved.
    gross = np.abs(sales)
    if _centred(n):
        value, month = sales[half : n - half], history.calendar(half, n - year)
        level, gross = (np.convolve(amounts, CENTRED, "valid") for amounts in (sales, gross))
    else:
        value, month = sales[-year:], history.calendar(n - year, year)
        level, gross = (np.full(year, amounts[-year:].mean()) for amounts in (sales, gross))
    known = level > SETTINGS.least_net * gross
    ratio = np.clip(np.divide(value, level, out=np.ones_like(value), where=known), 0.0, year)
    sums, counts = np.bincount(month, ratio * known, minlength=year), np.bincount(month, known, minlength=year)
    return sums.astype(float), counts.astype(float)


def _centred(n_months: int) -> bool:
    """Whether every month of the calendar has a year about it; else the last year is taken as it is."""
    return n_months >= 2 * MONTHS_PER_YEAR
