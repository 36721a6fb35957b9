"""The standard ways to spread a quota, as forecasts of what each rep will sell: what the estimate has to beat.

Each takes what was known at some month and says what quotas are to be in proportion to. Source: Zoltners, Sinha and
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
from territory_opt.estimate.settings import MethodSettings
from territory_opt.problem.numbers import MONTHS_PER_YEAR

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

SETTINGS = MethodSettings()


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

    def held(self, amounts: FloatArray) -> FloatArray:
        """``amounts`` (n_accounts,) of accounts whose rep gets a quota, else 0."""
        return np.where((self.rep >= 0) & self.active[self.rep], amounts, 0.0)

    def share(self, amounts: FloatArray) -> FloatArray:
        """Each account's share of all ``amounts`` held, (n_accounts,); equal shares where there is nothing."""
        held = self.held(amounts)
        total = float(held.sum())
        even = self.held(np.ones_like(amounts))
        return held / total if total > 0 else even / max(float(even.sum()), 1.0)

    def totals(self, basis: Basis) -> FloatArray:
        """Basis of each rep, (n_reps,)."""
        return self.by_rep(basis.amounts) + np.where(self.active, basis.equal / max(self.active.sum(), 1), 0.0)

    @property
    def total(self) -> float:
        """What the company would ask for in all: the same months of last year with the company's growth."""
        return float(self.held(self.base).sum()) * self.growth

    def by_rep(self, amounts: FloatArray) -> FloatArray:
        """Sum (n_accounts,) amounts by rep, (n_reps,); 0 for reps who get no quota."""
        known = self.rep >= 0
        total = np.bincount(self.rep[known], amounts[known], minlength=len(self.active)).astype(float)
        return np.where(self.active, total, 0.0)

    @cached_property
    def forecast(self) -> Forecast:
        """This library's own forecast."""
        return forecast(self.history, horizon=self.horizon, lead=self.lead)

    @cached_property
    def base(self) -> FloatArray:
        """Sales of the same months a year earlier, (n_accounts,); with less than a year, the mean of all months."""
        sales, n = self.history.sales, self.history.n_months
        first = n + self.lead - MONTHS_PER_YEAR
        if first >= 0 and self.lead + self.horizon <= MONTHS_PER_YEAR:
            return np.asarray(sales[:, first : first + self.horizon].sum(axis=1))
        recent = sales[:, -min(n, MONTHS_PER_YEAR) :]
        return np.asarray(recent.mean(axis=1) * self.horizon)

    @property
    def growth(self) -> float:
        """The company's last 12 months against the 12 before, as a factor; 1 where there are no two years."""
        sales, year = self.history.sales, MONTHS_PER_YEAR
        if self.history.n_months < 2 * year:
            return 1.0
        before = float(sales[:, -2 * year : -year].sum())
        return float(np.clip(sales[:, -year:].sum() / before, *SETTINGS.growth_limits)) if before > 0 else 1.0


@dataclass(frozen=True)
class Basis:
    """What quotas are to be in proportion to: ``lines`` (label -> (n_accounts,) money) and ``equal`` money shared out.

    A rep's basis is what the lines come to for its accounts, plus a part of ``equal``. ``method``: its name.
    """

    lines: Mapping[str, FloatArray]
    equal: float = 0.0
    method: str = ""

    @property
    def estimated(self) -> BoolArray:
        """Which accounts follow the estimate of expected sales, (n_accounts,)."""
        found = [self.lines[name] for name in ESTIMATED if name in self.lines]
        return np.asarray(sum(found) > 0) if found else np.zeros(len(self.amounts), dtype=bool)

    @cached_property
    def amounts(self) -> FloatArray:
        """Sum of the lines, (n_accounts,)."""
        return np.asarray(sum(self.lines.values()), dtype=float)


Method = Callable[[Past], Basis]

LAST_YEAR = "same months of last year"
ESTIMATED = ("own history", "potential")
"""Lines of the estimate."""


def history_percent(past: Past) -> Basis:
    """The same months of last year, and the same percentage more for everyone."""
    return Basis({LAST_YEAR: past.base, "growth, the same percentage for all": past.base * (past.growth - 1.0)})


def history_amount(past: Past) -> Basis:
    """The same months of last year, and the same amount more for everyone; less is the same percentage less.

    The same amount less would ask less than nothing of small reps.
    """
    if past.growth < 1.0:
        return history_percent(past)
    return Basis({LAST_YEAR: past.base}, float(past.held(past.base).sum()) * (past.growth - 1.0))


def flat(past: Past) -> Basis:
    """The same for everyone."""
    return Basis({"accounts": np.zeros_like(past.base)}, past.total)


def potential_share(past: Past) -> Basis:
    """The company's total by each rep's share of potential."""
    return Basis({"share of potential": past.share(past.history.potential) * past.total})


def weighted_index(past: Past) -> Basis:
    """The company's total by half the share of history and half the share of potential."""
    history, potential = past.share(past.base), past.share(past.history.potential)
    return Basis(
        {
            "by history": SETTINGS.index_weight * history * past.total,
            "by potential": (1.0 - SETTINGS.index_weight) * potential * past.total,
        }
    )


def maintain_and_grow(past: Past) -> Basis:
    """Last year's sales, and the company's growth by each rep's share of the potential that is not sold to yet.

    Where sales shrink, there is no growth to share: everyone keeps the same percentage less.
    """
    if past.growth < 1.0:
        return history_percent(past)
    untapped = np.maximum(past.history.potential - past.base * MONTHS_PER_YEAR / past.horizon, 0.0)
    growth = float(past.held(past.base).sum()) * (past.growth - 1.0)
    return Basis({LAST_YEAR: past.base, "growth by potential not sold to yet": past.share(untapped) * growth})


def regression(past: Past) -> Basis:
    """Least squares of accounts' latest sales on those of the stretch before and on potential, applied once more."""
    sales, n = past.history.sales, past.history.n_months
    stretch = min(past.horizon, n // 2)
    if stretch == 0:
        return history_percent(past)
    before, latest = sales[:, n - 2 * stretch : n - stretch].sum(axis=1), sales[:, n - stretch :].sum(axis=1)
    ones = np.ones_like(latest)
    weights, *_ = np.linalg.lstsq(np.column_stack([ones, before, past.history.potential]), latest, rcond=None)
    found = np.column_stack([ones, latest, past.history.potential]) @ weights
    return Basis({"regression on sales and potential": np.maximum(found, 0.0) * past.horizon / stretch})


def estimate(past: Past) -> Basis:
    """This library's own: see :mod:`territory_opt.estimate.forecast`."""
    own, potential = past.forecast.parts.T
    return Basis(dict(zip(ESTIMATED, (own, potential), strict=True)))


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
