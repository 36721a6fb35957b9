"""How fast sales grow, by segment: the last months against the same a year before, so that no season is in it.

Growth is shrunk as in the normal-normal model (Efron and Morris, JASA 70, 1975): the company's towards none, a
segment's towards the company's. What tells little is shrunk more: few months, rare large orders. With less than 13
months of history nothing is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.history import History
from territory_opt.estimate.seasonality import lumpiness, unseen_season
from territory_opt.estimate.settings import GrowthSettings
from territory_opt.problem.numbers import MONTHS_PER_YEAR

FloatArray = npt.NDArray[np.float64]

SETTINGS = GrowthSettings()


@dataclass(frozen=True, slots=True)
class Growth:
    """``pace`` (n_segments,): logarithm of a year's growth; ``doubt``: standard deviation of the company's."""

    pace: FloatArray
    doubt: float


def growth(history: History) -> Growth:
    """Return the growth of ``history`` by segment; none, with all doubt, where nothing is known."""
    size = len(history.segments)
    everyone = _Seen.of(history, np.ones(len(history.segment), dtype=bool))
    company, doubt = everyone.shrunk(0.0)
    if size == 1:
        return Growth(np.full(1, company), doubt)
    pace = [_Seen.of(history, history.segment == k).shrunk(company)[0] for k in range(size)]
    return Growth(np.array(pace), doubt)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Growth as it was seen, and the variance of its error; infinite where nothing was."""

    pace: float
    variance: float

    @classmethod
    def of(cls, history: History, chosen: npt.NDArray[np.bool_]) -> _Seen:
        """Of the accounts ``chosen`` (n_accounts,)."""
        months = min(history.n_months - MONTHS_PER_YEAR, SETTINGS.most_months)
        sales, n = history.sales[chosen], history.n_months
        if months < 1 or not len(sales):
            return cls(0.0, np.inf)
        pace = _log_ratio(sales, n - months, n)
        if np.isnan(pace):
            return cls(0.0, np.inf)
        # Two years' growth in a row share the year between: half of what single ones vary by.
        shared = 0.5 if months == SETTINGS.most_months else 1.0
        years = 2.0 * SETTINGS.yearly_spread**2 * MONTHS_PER_YEAR / months * shared
        return cls(pace, years + 2.0 * lumpiness(sales) / months)

    def shrunk(self, towards: float) -> tuple[float, float]:
        """Mean and standard deviation of growth given this, when it is about ``towards``."""
        if np.isinf(self.variance):
            return towards, SETTINGS.spread
        weight = SETTINGS.spread**2 / (SETTINGS.spread**2 + self.variance)
        return towards + weight * (self.pace - towards), float(SETTINGS.spread * np.sqrt(1.0 - weight))


def level_doubt(history: History, doubt: float, *, lead: int, horizon: int) -> float:
    """Standard deviation, as a share, of the company's sales ahead that ``history`` leaves open.

    ``doubt`` of a year's growth over the years that pass, and, with less than a year of history, of the season.
    """
    grown = doubt * elapsed(max(history.n_months, MONTHS_PER_YEAR), lead, horizon)
    return float(np.hypot(grown, unseen_season(history.n_months)))


def elapsed(n_months: int, lead: int, horizon: int) -> float:
    """Years from the middle of the last year that is known to that of ``horizon`` months, ``lead`` after its end."""
    return (lead + (min(n_months, MONTHS_PER_YEAR) + horizon) / 2.0) / MONTHS_PER_YEAR


def top_down(history: History, pace: FloatArray, *, lead: int, horizon: int, part: float) -> tuple[float, float]:
    """Return the company's sales ahead as its last years suggest, and how much that counts against the accounts' sum.

    ``pace`` (n_segments,) is that of :func:`growth`; ``part`` of a year lies ahead, by season, in ``horizon`` months. A
    year further back counts as much less as years differ beyond what lumpy orders explain. What there is of a first
    year stands for all of it, and counts as far as it is over. Source: reconciliation of hierarchical forecasts
    (Hyndman and Athanasopoulos, Forecasting, 11).
    """
    n = history.n_months
    if n < MONTHS_PER_YEAR:
        return float(_sold(history, 0, n).sum()) * MONTHS_PER_YEAR / n * part, n / MONTHS_PER_YEAR
    lump = lumpiness(history.sales)
    keeps = lump / (lump + MONTHS_PER_YEAR * SETTINGS.yearly_spread**2)
    total, weight = 0.0, 0.0
    for k in range(min(n, SETTINGS.most_months + MONTHS_PER_YEAR) // MONTHS_PER_YEAR):
        sold = _sold(history, n - MONTHS_PER_YEAR * (k + 1), n - MONTHS_PER_YEAR * k)
        grown = sold @ np.exp(pace * (k + elapsed(n, lead, horizon)))
        total, weight = total + keeps**k * float(grown), weight + keeps**k
    counts = 1.0 if n < 2 * MONTHS_PER_YEAR else lump / (lump + SETTINGS.lumpy)
    return total / weight * part, counts


def _sold(history: History, first: int, last: int) -> FloatArray:
    """Sales by segment, (n_segments,), of accounts that net less than nothing none: a credit is its account's own."""
    return history.by_segment(np.maximum(history.sales[:, first:last].sum(axis=1), 0.0))


def _log_ratio(sales: FloatArray, first: int, last: int) -> float:
    """Logarithm of the sales of some months over those of the same a year before; NaN where either is nothing."""
    now, before = (
        float(np.maximum(sales[:, at : at + last - first].sum(axis=1), 0.0).sum())
        for at in (first, first - MONTHS_PER_YEAR)
    )
    return float(np.clip(np.log(now / before), -SETTINGS.most, SETTINGS.most)) if now > 0 and before > 0 else np.nan
