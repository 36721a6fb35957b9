"""A plan: who serves which account, and what each rep owes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.model.rows import active_share

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """Territories and quotas.

    ``assignment``: Series account_id -> rep_id. ``annual``: Series rep_id -> yearly quota in money (empty
    without quotas). ``quotas``: DataFrame with columns rep_id, period, quota. ``kappa``: fair quota per unit
    of expected sales that the plan was made with.
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
            rep_ids[rep_of_node[model.source.node_of_account]],
            index=pd.Index(problem.accounts["account_id"], name="account_id"),
            name="rep_id",
        )
        annual = pd.Series(
            [] if quotas is None else np.round(quotas, 2),
            index=pd.Index([] if quotas is None else rep_ids, name="rep_id", dtype=object),
            name="quota",
            dtype=float,
        )
        return cls(assignment, annual, split_periods(model, annual), model.kappa)

    @property
    def has_quotas(self) -> bool:
        """Whether the plan sets quotas."""
        return len(self.annual) > 0

    def __repr__(self) -> str:
        total = f" · quotas {self.annual.sum():,.0f}" if self.has_quotas else ""
        return f"Plan({len(self.assignment):,} accounts to {self.assignment.nunique()} reps{total})"


def period_labels(model: Model) -> list[str]:
    """Names of the plan's quota periods, oldest first: "2027", "2027-Q1" or "2027-01"."""
    policy = model.problem.policy
    start = pd.Period(policy.period.start, freq="M")
    months = [start + k for k in range(policy.period.months)]
    if policy.quotas.periods == "month":
        return [str(month) for month in months]
    if policy.quotas.periods == "quarter":
        return [f"{months[k]} to {months[k + 2]}" for k in range(0, 12, 3)]
    return [f"{months[0]} to {months[-1]}"]


def split_periods(model: Model, annual: pd.Series[float]) -> pd.DataFrame:
    """Split yearly quotas over the periods by seasonality x active days: whole steps that add up to the year."""
    policy = model.problem.policy
    labels = period_labels(model)
    months = policy.period.months // len(labels)
    season = np.roll(model.estimate.seasonality, 1 - policy.period.start.month).reshape(len(labels), -1).sum(axis=1)
    active = np.column_stack([active_share(model.problem, months, after=k * months) for k in range(len(labels))])
    weight = pd.DataFrame(season * active, index=model.problem.reps["rep_id"]).reindex(annual.index).fillna(0.0)
    share = weight.to_numpy(float)
    share = np.where(share.sum(axis=1, keepdims=True) > 0, share, season[None, :])
    until = np.cumsum(share, axis=1) / share.sum(axis=1, keepdims=True)
    step = policy.quotas.step
    steps = np.round(annual.to_numpy(float)[:, None] / step * np.column_stack([np.zeros(len(annual)), until]))
    amounts = np.round(np.diff(steps, axis=1) * step, 2)
    return pd.DataFrame(
        {
            "rep_id": np.repeat(annual.index.to_numpy(object), len(labels)),
            "period": np.tile(np.array(labels, dtype=object), len(annual)),
            "quota": amounts.ravel(),
        }
    )
