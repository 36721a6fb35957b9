"""How fast sales grow, by segment: the last months against the same a year before, so that no season is in it.

Growth is shrunk as in the normal-normal model (Efron and Morris, JASA 70, 1975): the company's towards none, a
segment's towards the company's. With less than 13 months of history nothing is known of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.history import History
from territory_opt.estimate.seasonality import lumpiness

FloatArray = npt.NDArray[np.float64]

YEAR = 12
MOST_MONTHS = 24
"""Months that are held against those a year before, at most."""
NONE_MONTHS, LUMP_MONTHS = 3.0, 200.0
"""The company's growth is shrunk to none as if this many months had not grown, and so many times its lumpiness more."""
COMPANY_MONTHS = 24.0
"""A segment's growth is shrunk to the company's as if this many months had grown like the company, and
``LUMP_MONTHS`` times its lumpiness more."""
YEARLY_VARIANCE = 0.05**2
"""Variance of a year's sales that is not luck of single orders."""
LUMPY = 0.005
"""Lumpiness at which the sum of the accounts and the company as a whole count alike."""
GROWTH_SPREAD = 0.1
"""Standard deviation of companies' growth of a year where nothing is known of it."""
MOST_GROWTH = 1.0
"""Largest growth of a year that is believed, as a logarithm."""


def growth(history: History) -> FloatArray:
    """Return the logarithm of a year's growth by segment, (n_segments,); 0 where nothing is known."""
    months = min(history.n_months - YEAR, MOST_MONTHS)
    if months < 1:
        return np.zeros(len(history.segments))
    n = history.n_months
    now, before = _sold(history, n - months, n), _sold(history, n - months - YEAR, n - YEAR)
    none = NONE_MONTHS + LUMP_MONTHS * lumpiness(history.sales)
    both = (now > 0) & (before > 0)
    all_now, all_before = (np.array([float(amounts[both].sum())]) for amounts in (now, before))
    company = months / (months + none) * float(_log_ratio(all_now, all_before, 0.0)[0])
    trust = months * np.minimum(before / max(float(before.sum()), 1e-12) * len(before), 1.0)
    own = _log_ratio(now, before, company)
    alike = COMPANY_MONTHS + LUMP_MONTHS * np.array(
        [lumpiness(history.sales[history.segment == k]) for k in range(len(now))]
    )
    return np.asarray((trust * own + alike * company) / (trust + alike))


def growth_doubt(n_months: int, *, lead: int, horizon: int) -> float:
    """Standard deviation, as a share, of the growth that ``n_months`` of history leave open; 0 from two years on.

    Of the prior spread of growth, ``GROWTH_SPREAD``, what is left by as many months as have one a year before; from two
    years on it is among what shocks stand for.
    """
    if not 1 <= n_months < 2 * YEAR:
        return 0.0
    left = NONE_MONTHS / (NONE_MONTHS + max(n_months - YEAR, 0))
    return float(GROWTH_SPREAD * np.sqrt(left) * elapsed(max(n_months, YEAR), lead, horizon))


def elapsed(n_months: int, lead: int, horizon: int) -> float:
    """Years from the middle of the last year that is known to that of ``horizon`` months, ``lead`` after its end."""
    return (lead + (min(n_months, YEAR) + horizon) / 2.0) / YEAR


def top_down(history: History, pace: FloatArray, *, lead: int, horizon: int, part: float) -> tuple[float, float]:
    """Return the company's sales ahead as its last years suggest, and how much that counts against the accounts' sum.

    ``pace`` (n_segments,) is :func:`growth`; ``part`` of a year lies ahead, by season, in ``horizon`` months. A year
    further back counts as much less as years differ beyond what lumpy orders explain. Below a year of history nothing
    is said (0 counts). Source: reconciliation of hierarchical forecasts (Hyndman and Athanasopoulos, Forecasting, 11).
    """
    years = min(history.n_months, MOST_MONTHS + YEAR) // YEAR
    if years < 1:
        return 0.0, 0.0
    lump = lumpiness(history.sales)
    keeps = lump / (lump + YEAR * YEARLY_VARIANCE)
    total, weight = 0.0, 0.0
    for k in range(years):
        end = history.n_months - YEAR * k
        sold = _sold(history, end - YEAR, end)
        if not sold.any():
            continue
        grown = sold @ np.exp(pace * (k + elapsed(history.n_months, lead, horizon)))
        total, weight = total + keeps**k * float(grown), weight + keeps**k
    counts = 1.0 if history.n_months < 2 * YEAR else lump / (lump + LUMPY)
    return (total / weight * part, counts) if weight > 0 else (0.0, 0.0)


def _sold(history: History, first: int, last: int) -> FloatArray:
    """Sales by segment, (n_segments,), of accounts that net less than nothing none: a credit is its account's own."""
    return history.by_segment(np.maximum(history.sales[:, first:last].sum(axis=1), 0.0))


def _log_ratio(now: FloatArray, before: FloatArray, otherwise: float) -> FloatArray:
    known = (now > 0) & (before > 0)
    ratio = np.divide(now, before, out=np.ones_like(now), where=known)
    return np.where(known, np.clip(np.log(ratio), -MOST_GROWTH, MOST_GROWTH), otherwise)
