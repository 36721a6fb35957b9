"""A plan: who serves which account, and what each rep owes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.problem.calendar import month_text
from territory_opt.problem.show import html_table
from territory_opt.problem.units import with_units

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Territories and quotas.

    ``assignment``: Series account_id -> rep_id. ``annual``: Series rep_id -> yearly quota in money (empty
    without quotas). ``quotas``: DataFrame with columns rep_id, period, quota (money of that period). ``kappa``: fair
    quota per unit of expected sales that the plan was made with. :class:`Result` has more tables, with names and units.

    >>> import territory_opt as to
    >>> plan = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10).plan
    >>> plan.assignment["A10"], float(plan.annual["R4"])
    ('R4', 280.0)
    """

    assignment: pd.Series[str]
    annual: pd.Series[float]
    quotas: pd.DataFrame
    kappa: float = 0.0

    @classmethod
    def from_positions(cls, model: Model, rep_of_node: IntArray, quotas: FloatArray | None) -> Plan:
        """Build a plan from rep positions per node (n_nodes,) and yearly quotas (n_reps,) in whole steps."""
        problem = model.problem
        rep_ids = problem.reps["rep_id"].to_numpy()
        assignment = pd.Series(
            rep_ids[rep_of_node[model.source.nodes.of_account]],
            index=pd.Index(problem.accounts["account_id"], name="account_id"),
            name="rep_id",
        )
        annual = pd.Series(
            [] if quotas is None else np.round(quotas, 2),
            index=pd.Index([] if quotas is None else rep_ids, name="rep_id", dtype=object),
            name="quota",
            dtype=float,
        )
        return cls(assignment, annual, split_periods(model, assignment, annual), model.kappa)

    @classmethod
    def today(cls, model: Model) -> Plan:
        """Return today as a plan: the incumbents, and last quotas where they are known.

        An incumbent who is no rep of the problem stays named; last quotas are of the whole year, so that ``quotas``
        holds no periods.
        """
        problem = model.problem
        index = pd.Index(problem.accounts["account_id"], name="account_id")
        assignment = pd.Series(problem.accounts["incumbent"].to_numpy(object), index=index, name="rep_id")
        last = problem.reps.set_index("rep_id")["last_quota"].dropna().rename("quota")
        annual = last if model.has_quotas else last.iloc[:0]
        none = with_units(pd.DataFrame({"rep_id": [], "period": [], "quota": []}), {"quota": problem.policy.currency})
        return cls(assignment, annual, none, model.kappa)

    @property
    def has_quotas(self) -> bool:
        """Whether the plan sets quotas."""
        return len(self.annual) > 0

    def __repr__(self) -> str:
        total = f" · quotas {self.annual.sum():,.0f}" if self.has_quotas else ""
        return f"Plan({len(self.assignment):,} accounts to {self.assignment.nunique()} reps{total})"

    def _repr_html_(self) -> str:
        table = self.assignment.value_counts().rename_axis("rep_id").rename("accounts").sort_index().to_frame()
        if self.has_quotas:
            table = table.reindex(table.index.union(self.annual.index), fill_value=0).assign(quota=self.annual)
        return html_table(repr(self), table.reset_index())


def held_by_rep(model: Model, rep_of_account: npt.NDArray[np.integer[Any]], metric: str = "potential") -> FloatArray:
    """Sum a metric of the accounts of each rep, (n_reps,); ``rep_of_account`` (n_accounts,), -1 for nobody."""
    held, amounts = rep_of_account >= 0, model.problem.accounts[metric].to_numpy(float)
    return np.bincount(rep_of_account[held], amounts[held], minlength=model.problem.n_reps).astype(float)


def period_labels(model: Model) -> list[str]:
    """Names of the plan's quota periods, oldest first: "2027", "2027-Q1" or "2027-01"."""
    policy, first = model.problem.policy, model.problem.calendar.first_month
    months = [month_text(first + k) for k in range(policy.period.months)]
    if policy.quotas.periods == "month":
        return months
    if policy.quotas.periods == "quarter":
        return [f"{months[k]} to {months[k + 2]}" for k in range(0, len(months), 3)]
    return [f"{months[0]} to {months[-1]}"]


def split_periods(model: Model, assignment: pd.Series[str], annual: pd.Series[float]) -> pd.DataFrame:
    """Split yearly quotas over the periods in whole steps that add up to the year.

    In proportion to the seasonality of the rep's accounts x the days the rep is there x the ramp of a joiner.
    """
    policy, labels = model.problem.policy, period_labels(model)
    weight = month_weights(model, assignment).reshape(model.problem.n_reps, len(labels), -1).sum(axis=2)
    known = model.source.rep_index.get_indexer(annual.index)
    even = np.full((1, len(labels)), 1.0 / len(labels))
    share = np.where(known[:, None] >= 0, weight[known], even)
    share = np.where(share.sum(axis=1, keepdims=True) > 0, share, even)
    until = np.cumsum(share, axis=1) / share.sum(axis=1, keepdims=True)
    step = policy.quotas.step
    steps = np.round(annual.to_numpy(float)[:, None] / step * np.column_stack([np.zeros(len(annual)), until]))
    amounts = np.round(np.diff(steps, axis=1) * step, 2)
    table = pd.DataFrame(
        {
            "rep_id": np.repeat(annual.index.to_numpy(object), len(labels)),
            "period": np.tile(np.array(labels, dtype=object), len(annual)),
            "quota": amounts.ravel(),
        }
    )
    return with_units(table, {"quota": policy.currency})


def month_weights(model: Model, assignment: pd.Series[str]) -> FloatArray:
    """Weight of each month of the plan year for each rep, (n_reps, months): season x days there x ramp."""
    return season_weights(model, assignment) * model.problem.calendar.presence


def season_weights(model: Model, assignment: pd.Series[str]) -> FloatArray:
    """Share of a year's sales of each rep's accounts that falls into each month of the plan year, (n_reps, months)."""
    problem = model.problem
    wanted = assignment[~assignment.index.duplicated()].reindex(problem.accounts["account_id"])
    rep = np.asarray(model.source.rep_index.get_indexer(wanted.to_numpy(object)), dtype=np.int64)
    season = np.roll(model.estimate.seasons(rep, problem.n_reps), 1 - problem.policy.period.start.month, axis=1)
    return season[:, : problem.policy.period.months]
