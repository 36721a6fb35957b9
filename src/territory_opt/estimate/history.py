"""What was known of every account at the end of some month: sales by month, potential, segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.problem.calendar import month_numbers
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class History:
    """Sales of every account by month, oldest first.

    ``sales`` (n_accounts, n_months) money, credits negative; ``start`` the first month; ``potential`` (n_accounts,)
    money per year; ``segment`` (n_accounts,) positions in ``segments``.
    """

    sales: FloatArray
    start: pd.Period
    potential: FloatArray
    segment: IntArray
    segments: tuple[str, ...]

    @classmethod
    def of(cls, problem: Problem) -> History:
        """Read the sales table of ``problem``: it must have rows. A month without a row counts as no sales."""
        table, accounts = problem.past_sales, problem.accounts
        month = month_numbers(table["month"])
        row = pd.Index(accounts["account_id"]).get_indexer(table["account_id"])
        sales = np.zeros((len(accounts), int(month.max() - month.min()) + 1))
        np.add.at(sales, (row, month - month.min()), table["sales"].to_numpy(float))
        segment, names = pd.factorize(accounts["segment"])
        potential = accounts["potential"].to_numpy(float)
        start = pd.Period(ordinal=int(month.min()), freq="M")
        return cls(sales, start, potential, segment.astype(np.int64), tuple(str(name) for name in names))

    @property
    def n_months(self) -> int:
        """Number of months."""
        return int(self.sales.shape[1])

    def until(self, n_months: int) -> History:
        """Return what was known after the first ``n_months``: a copy, nothing of later months is in reach."""
        return History(self.sales[:, :n_months].copy(), self.start, self.potential, self.segment, self.segments)

    def calendar(self, first: int, count: int) -> IntArray:
        """Calendar months (0 is January) of ``count`` months from number ``first``, which may lie in the future."""
        return np.asarray((self.start.month - 1 + first + np.arange(count)) % 12, dtype=np.int64)

    def by_segment(self, amounts: FloatArray) -> FloatArray:
        """Sum (n_accounts,) amounts by segment, (n_segments,)."""
        return np.bincount(self.segment, amounts, minlength=len(self.segments)).astype(float)
