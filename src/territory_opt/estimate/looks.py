"""The places in the past from which a back-test looks ahead: what was known there, and what came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.estimate.history import History
from territory_opt.estimate.methods import Past
from territory_opt.estimate.settings import BacktestSettings
from territory_opt.problem.calendar import month_numbers, quota_months
from territory_opt.problem.numbers import MONTHS_PER_YEAR
from territory_opt.problem.policy import ASSUMED_SHOCK
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SETTINGS = BacktestSettings()
UNKNOWN = -(10**9)
"""Month number of what is not known."""


@dataclass(frozen=True, slots=True)
class Stage:
    """All looks of one back-test.

    ``cutoffs``: months known at each look, oldest first; ``rows``: the sales table as month number (0 is the first),
    account and rep positions (-1: not named) and money; ``incumbent`` (n_accounts,) and ``rep_ids`` (n_reps,);
    ``since`` (n_accounts,) the month in which each account came onto the list, ``UNKNOWN`` where that is not said;
    ``quotas``: months known -> quota of each rep for the months hidden then, NaN for none.
    """

    history: History
    cutoffs: tuple[int, ...]
    horizon: int
    rows: pd.DataFrame
    incumbent: IntArray
    since: IntArray
    rep_ids: npt.NDArray[np.object_]
    quotas: dict[int, FloatArray]
    shock: float

    @classmethod
    def of(cls, problem: Problem, history: History, months: int | None, looks: int | None) -> Stage:
        """Choose the looks: at every past quota period, else every three months from the end."""
        rep_ids = problem.reps["rep_id"].to_numpy(object)
        table, index = problem.past_sales, pd.Index(rep_ids)
        rows = pd.DataFrame(
            {
                "month": month_numbers(table["month"]) - history.start.ordinal,
                "account": pd.Index(problem.accounts["account_id"]).get_indexer(table["account_id"]),
                "rep": index.get_indexer(table["rep_id"]),
                "sales": table["sales"].to_numpy(float),
            }
        ).sort_values("month", kind="stable")
        quotas, period = past_quotas(problem, history.start.ordinal, index)
        horizon = months or period or hidden(history.n_months, MONTHS_PER_YEAR)
        quotas = quotas if horizon == period else {}
        odds = problem.policy.quotas.odds
        return cls(
            history,
            _cutoffs(quotas, history.n_months - horizon, looks),
            horizon,
            rows,
            index.get_indexer(problem.accounts["incumbent"].to_numpy(object)),
            _since(problem, history),
            rep_ids,
            quotas,
            ASSUMED_SHOCK if odds is None else odds.shock,
        )

    def independent(self, known: int) -> float:
        """How many looks those that had ended after ``known`` months would be without any overlap."""
        ended = [at for at in self.cutoffs if at + self.horizon <= known]
        return min((ended[-1] - ended[0] + self.horizon) / self.horizon, float(len(ended))) if ended else 0.0

    def label(self, at: int) -> str:
        """First hidden month of a look as text."""
        return str(self.history.start + at)

    def past(self, at: int) -> Past:
        """What was known after ``at`` months. Who had an account is who sold to it last, else its incumbent.

        Of an account that came onto the list later nobody knew, nor what it could buy.
        """
        known = self.rows[(self.rows["month"] < at) & (self.rows["rep"] >= 0)]
        last = known.drop_duplicates("account", keep="last")
        rep = self.incumbent.copy()
        rep[last["account"].to_numpy()] = last["rep"].to_numpy()
        history, later = self.history.until(at), self.since >= at
        later[self.rows.loc[self.rows["month"] < at, "account"].to_numpy()] = False
        rep[later] = -1
        history = replace(history, potential=np.where(later, 0.0, history.potential))
        active = ~np.isnan(self.quotas[at]) if at in self.quotas else np.isin(np.arange(len(self.rep_ids)), rep)
        return Past(history, rep.astype(np.int64), active, lead=0, horizon=self.horizon)

    def came(self, at: int, past: Past) -> FloatArray:
        """What each rep sold in the hidden months, (n_reps,): by seller if the table names any, else by account."""
        hidden = self.rows[(self.rows["month"] >= at) & (self.rows["month"] < at + self.horizon)]
        rep = hidden["rep"].to_numpy()
        if not (self.rows["rep"] >= 0).any():
            account = hidden["account"].to_numpy()
            rep = np.where(past.rep >= 0, past.rep, self.incumbent)[account]
        known = rep >= 0
        return np.bincount(rep[known], hidden["sales"].to_numpy()[known], minlength=len(self.rep_ids)).astype(float)

    def with_hidden(self, at: int, generator: np.random.Generator) -> Stage:
        """Return the same past with other hidden months: no figure of a look at ``at`` may depend on them."""
        sales = self.history.sales.copy()
        sales[:, at:] = generator.permutation(sales[:, at:].ravel()).reshape(sales[:, at:].shape) * 2.0 + 1.0
        return replace(self, history=replace(self.history, sales=sales))


def hidden(n_months: int, most: int) -> int:
    """Months that a look hides of ``n_months``: ``most``, or as large a part of the history as may be."""
    return max(min(most, n_months // SETTINGS.hidden_part), 1)


def _cutoffs(quotas: Iterable[int], last: int, looks: int | None) -> tuple[int, ...]:
    """Months known at each look, up to ``last``: those of past ``quotas``, else steps back from the last."""
    fewest = SETTINGS.least_history
    found = [at for at in sorted(quotas) if fewest <= at <= last]
    if not found:
        back = range(last, max(min(MONTHS_PER_YEAR, last), fewest) - 1, -SETTINGS.step)
        found = [at for at in back if at >= fewest][: looks or SETTINGS.most_looks][::-1]
    return tuple(found[-looks:] if looks else found)


def _since(problem: Problem, history: History) -> IntArray:
    """Month number in which each account came onto the list, (n_accounts,); ``UNKNOWN`` where that is not said."""
    dates = problem.accounts["since"]
    return np.where(dates.isna(), UNKNOWN, month_numbers(dates) - history.start.ordinal)


def past_quotas(problem: Problem, first: int, reps: pd.Index) -> tuple[dict[int, FloatArray], int]:
    """Quotas of each period by its first month (0 is the month with number ``first``), and the months of a period."""
    table = problem.quota_history
    if table is None or not len(table):
        return {}, 0
    month, length = quota_months(table)
    month = month - first
    position = reps.get_indexer(pd.Index(table["rep_id"]))
    found: dict[int, FloatArray] = {}
    for at in np.unique(month):
        chosen = (month == at) & (position >= 0)
        quotas = np.full(len(reps), np.nan)
        quotas[position[chosen]] = 0.0
        np.add.at(quotas, position[chosen], table["quota"].to_numpy(float)[chosen])
        found[int(at)] = quotas
    return found, length
