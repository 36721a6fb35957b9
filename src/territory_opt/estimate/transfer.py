"""What accounts lost when their rep changed, learnt from the history: difference in differences.

An account whose sellers were one rep for some months and another rep for as many after is held against the accounts
of its segment that kept their rep over the same months: what it sold less than they did, as a share, is the loss.
Months before and after are the same for both, so season and trend fall out (Angrist and Pischke, Mostly Harmless
Econometrics, 2009, chapter 5). The spread is a jackknife over the accounts that changed. Accounts are not moved by lot:
where those in trouble are moved, the loss is overstated; accounts that stopped buying altogether are not seen, which
understates it. Only accounts that buy in most months count, changed or not: of the others a change would be seen at the
next order, so that the time after it would always begin with one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.estimate.history import History
from territory_opt.estimate.settings import TransferSettings
from territory_opt.problem.calendar import month_numbers
from territory_opt.problem.numbers import RANGE_80, TINY
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SETTINGS = TransferSettings()


@dataclass(frozen=True, slots=True)
class TransferLoss:
    """Share of sales lost after a change of rep: ``rate``, with the 80 % range ``low`` to ``high``.

    From ``changes`` accounts, ``months`` before and after each.
    """

    rate: float
    low: float
    high: float
    changes: int
    months: int

    def __str__(self) -> str:
        less = self.rate >= 0
        low, high = (self.low, self.high) if less else (-self.high, -self.low)
        way = "less" if less else "more"
        return (
            f"accounts that changed rep sold {abs(self.rate):.0%} {way} than those that kept theirs "
            f"({self.changes} changes, {self.months} months after; 80 % range {low:.0%} to {high:.0%})"
        )


def learn_transfer_loss(problem: Problem) -> TransferLoss | None:
    """Return the loss the history shows, None if it names no sellers or too few accounts changed theirs."""
    if (problem.past_sales["rep_id"] == "").all():
        return None
    history, seller = History.of(problem), _sellers(problem)
    for months in SETTINGS.windows:
        before, expected, after = _changes(history, seller, months)
        if len(before) >= SETTINGS.fewest_changes and expected.sum() > 0:
            total_after, total_expected = after.sum(), expected.sum()
            left_out = 1.0 - (total_after - after) / np.maximum(total_expected - expected, TINY)
            n = len(after)
            spread = RANGE_80 * math.sqrt((n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum()))
            rate = 1.0 - float(total_after / total_expected)
            return TransferLoss(rate, rate - spread, rate + spread, n, months)
    return None


def _sellers(problem: Problem) -> IntArray:
    """Who sold each account in each month, (n_accounts, n_months); -1 where nobody is named."""
    table, accounts = problem.past_sales, problem.accounts
    month = month_numbers(table["month"])
    row = pd.Index(accounts["account_id"]).get_indexer(table["account_id"])
    code, names = pd.factorize(table["rep_id"])
    code = np.where(np.asarray(names == "")[code], -1, code)
    seller = np.full((len(accounts), int(month.max() - month.min()) + 1), -1, dtype=np.int64)
    seller[row, month - month.min()] = code
    return seller


def _changes(history: History, seller: IntArray, months: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of each change: sales before, what the others' growth makes of it, and sales after, (n_changes,) each."""
    found: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for at in range(months, history.n_months - months + 1):
        old, was_one = _only(seller[:, at - months : at])
        new, is_one = _only(seller[:, at : at + months])
        stable = was_one & is_one & ((seller[:, at - months : at + months] >= 0).mean(axis=1) >= SETTINGS.often)
        changed = stable & (old != new) & (seller[:, at] >= 0)
        if not changed.any():
            continue
        before, after = history.sales[:, at - months : at].sum(axis=1), history.sales[:, at : at + months].sum(axis=1)
        changed &= before > 0
        growth = _growth(history.segment, before, after, stable & (old == new))
        at_segment = growth[history.segment[changed]]
        found.append((before[changed], before[changed] * at_segment, after[changed]))
    if not found:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    before, expected, after = (np.concatenate(parts) for parts in zip(*found, strict=True))
    known = np.isfinite(expected)
    return before[known], expected[known], after[known]


def _only(seller: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """The one seller of each account in some months, and whether there is exactly one."""
    known = seller >= 0
    highest = np.where(known, seller, -1).max(axis=1)
    lowest = np.where(known, seller, np.iinfo(np.int64).max).min(axis=1)
    return highest, known.any(axis=1) & (highest == lowest)


def _growth(segment: IntArray, before: FloatArray, after: FloatArray, kept: npt.NDArray[np.bool_]) -> FloatArray:
    """Sales after over sales before of the accounts that kept their rep, by segment; the company's where few did."""
    size = int(segment.max()) + 1
    count = np.bincount(segment[kept], minlength=size)
    was = np.bincount(segment[kept], before[kept], minlength=size)
    now = np.bincount(segment[kept], after[kept], minlength=size)
    company = float(now.sum() / was.sum()) if was.sum() > 0 else np.nan
    own = np.divide(now, was, out=np.full(size, company), where=(was > 0) & (count >= SETTINGS.fewest_kept))
    return np.asarray(own)
