"""The standard ways to spread a quota, as forecasts of what each rep will sell: what the estimate has to beat.

Each takes what was known at some month and returns money per rep for the months asked for. Source: Zoltners, Sinha and
Lorimer, The Complete Guide to Sales Force Incentive Compensation, 2006, chapter 8, for all but the last two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.forecast import Forecast, forecast
from territory_opt.estimate.history import History

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GROWTH_LIMITS = (0.7, 1.5)
"""One odd year is not a trend."""
INDEX_WEIGHT = 0.5
"""Weight of history in the weighted index; the rest is potential."""


@dataclass(frozen=True)
class Past:
    """What was known at the end of ``history``: ``rep`` (n_accounts,) who had each account, -1 for nobody.

    ``active`` (n_reps,) says which reps are to get a quota; ``lead`` and ``horizon`` are months.
    """

    history: History
    rep: IntArray
    active: npt.NDArray[np.bool_]
    lead: int
    horizon: int

    def by_rep(self, amounts: FloatArray) -> FloatArray:
        """Sum (n_accounts,) amounts by rep, (n_reps,); 0 for reps who get no quota."""
        known = self.rep >= 0
        total = np.bincount(self.rep[known], amounts[known], minlength=len(self.active)).astype(float)
        return np.where(self.active, total, 0.0)

    @cached_property
    def forecast(self) -> Forecast:
        """This library's own forecast."""
        return forecast(self.history, horizon=self.horizon, lead=self.lead)

    @property
    def base(self) -> FloatArray:
        """Sales of the same months a year earlier, (n_accounts,); with less than a year, the mean of all months."""
        sales, n = self.history.sales, self.history.n_months
        first = n + self.lead - 12
        if first >= 0 and self.lead + self.horizon <= 12:
            return np.asarray(sales[:, first : first + self.horizon].sum(axis=1))
        recent = sales[:, -min(n, 12) :]
        return np.asarray(recent.mean(axis=1) * self.horizon)

    @property
    def growth(self) -> float:
        """The company's last 12 months against the 12 before, as a factor; 1 where there are no two years."""
        sales = self.history.sales
        if self.history.n_months < 24:
            return 1.0
        before = float(sales[:, -24:-12].sum())
        return float(np.clip(sales[:, -12:].sum() / before, *GROWTH_LIMITS)) if before > 0 else 1.0


Method = Callable[[Past], FloatArray]


def history_percent(past: Past) -> FloatArray:
    """The same months of last year, and the same percentage more for everyone."""
    return past.by_rep(past.base) * past.growth


def history_amount(past: Past) -> FloatArray:
    """The same months of last year, and the same amount more for everyone."""
    base = past.by_rep(past.base)
    return base + np.where(past.active, base.sum() * (past.growth - 1.0) / max(past.active.sum(), 1), 0.0)


def flat(past: Past) -> FloatArray:
    """The same for everyone."""
    return np.asarray(np.where(past.active, history_percent(past).sum() / max(past.active.sum(), 1), 0.0))


def potential_share(past: Past) -> FloatArray:
    """The company's total by each rep's share of potential."""
    return _share(past.by_rep(past.history.potential)) * float(history_percent(past).sum())


def weighted_index(past: Past) -> FloatArray:
    """The company's total by half the share of history and half the share of potential."""
    share = INDEX_WEIGHT * _share(past.by_rep(past.base))
    share = share + (1.0 - INDEX_WEIGHT) * _share(past.by_rep(past.history.potential))
    return share * float(history_percent(past).sum())


def maintain_and_grow(past: Past) -> FloatArray:
    """Last year's sales, and the company's growth by each rep's share of the potential that is not sold to yet."""
    base = past.by_rep(past.base)
    untapped = past.by_rep(np.maximum(past.history.potential - past.base * 12.0 / past.horizon, 0.0))
    return base + _share(untapped) * float(base.sum() * (past.growth - 1.0))


def regression(past: Past) -> FloatArray:
    """Least squares of accounts' latest sales on those of the stretch before and on potential, applied once more."""
    sales, n = past.history.sales, past.history.n_months
    stretch = min(past.horizon, n // 2)
    if stretch == 0:
        return history_percent(past)
    before, latest = sales[:, n - 2 * stretch : n - stretch].sum(axis=1), sales[:, n - stretch :].sum(axis=1)
    ones = np.ones_like(latest)
    weights, *_ = np.linalg.lstsq(np.column_stack([ones, before, past.history.potential]), latest, rcond=None)
    found = np.column_stack([ones, latest, past.history.potential]) @ weights
    return past.by_rep(np.maximum(found, 0.0) * past.horizon / stretch)


def estimate(past: Past) -> FloatArray:
    """This library's own: see :mod:`territory_opt.estimate.forecast`."""
    return past.by_rep(past.forecast.expected)


ESTIMATE = "estimate"
METHODS: Mapping[str, Method] = {
    ESTIMATE: estimate,
    "flat": flat,
    "history-percent": history_percent,
    "history-amount": history_amount,
    "potential-share": potential_share,
    "weighted-index": weighted_index,
    "maintain-and-grow": maintain_and_grow,
    "regression": regression,
}


def _share(amounts: FloatArray) -> FloatArray:
    total = float(amounts.sum())
    return amounts / total if total > 0 else np.full(len(amounts), 1.0 / max(len(amounts), 1))
