"""Today and the plan side by side: the same facts for the incumbents and for the new owners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.plan.evaluate import Evaluation, annual_quotas, chosen_pairs, evaluate_positions, rep_positions
from territory_opt.plan.plan import Plan
from territory_opt.plan.tables import balanced_metrics, fair_shares

if TYPE_CHECKING:
    from territory_opt.optimize.result import Result

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
TextArray = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Side:
    """One assignment, judged by this year's rules.

    ``rep`` (n_accounts,) positions, -1 for nobody; ``pairs`` one line per account with the facts of its pair (NaN
    where it has no rep); ``quotas`` (n_reps,); ``shares`` metric -> (n_reps,) share of the fair share, NaN for a rep
    without one.
    """

    rep: IntArray
    pairs: pd.DataFrame
    quotas: FloatArray
    evaluation: Evaluation
    shares: dict[str, FloatArray]

    @classmethod
    def of(cls, model: Model, plan: Plan, quotas: FloatArray, evaluation: Evaluation | None = None) -> Side:
        """Collect the facts of the assignment of ``plan``; evaluate it with ``quotas`` unless that is done."""
        rep = rep_positions(model, plan)
        pairs = chosen_pairs(model, plan).set_index("account").reindex(range(model.problem.n_accounts))
        shares = {metric: fair_shares(model, rep, metric) for metric in balanced_metrics(model)}
        return cls(rep, pairs, quotas, evaluation or evaluate_positions(model, rep, quotas), shares)

    def column(self, name: str) -> FloatArray:
        """Return one fact per account, (n_accounts,), NaN where it has no rep."""
        return self.pairs[name].to_numpy(float)

    def per_rep(self, name: str) -> FloatArray:
        """Return the sum of one fact per rep, (n_reps,)."""
        known = self.rep >= 0
        return np.bincount(self.rep[known], self.column(name)[known], minlength=len(self.quotas)).astype(float)

    def counts(self) -> IntArray:
        """Return the number of accounts of each rep, (n_reps,)."""
        return np.bincount(self.rep[self.rep >= 0], minlength=len(self.quotas)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Sides:
    """``today``: incumbents and last year's quotas; ``plan``: what was decided."""

    model: Model
    today: Side
    plan: Side

    @classmethod
    def of(cls, result: Result) -> Sides:
        """Compare the plan of ``result`` with the incumbents. Raise :class:`NoPlanError` if there is no plan."""
        model, plan = result.model, result.plan
        accounts = model.problem.accounts
        incumbents = pd.Series(accounts["incumbent"].to_numpy(object), index=pd.Index(accounts["account_id"]))
        today = Plan(incumbents, plan.annual.iloc[:0], plan.quotas.iloc[:0], plan.kappa)
        last_quota = np.nan_to_num(model.problem.reps["last_quota"].to_numpy(float))
        decided = Side.of(model, plan, annual_quotas(model, plan), result.evaluation)
        return cls(model, Side.of(model, today, last_quota), decided)

    @property
    def changed(self) -> npt.NDArray[np.bool_]:
        """Whether an account goes from one rep to another, (n_accounts,)."""
        return np.asarray((self.today.rep >= 0) & (self.plan.rep >= 0) & (self.today.rep != self.plan.rep))

    @property
    def rep_names(self) -> TextArray:
        """Display name of each rep, (n_reps,)."""
        return self.model.problem.reps["name"].to_numpy(object)


BAND_TOLERANCE = 5e-4
"""A share counts as inside its band up to this much outside it: less than a table shows."""


def band(model: Model, metric: str) -> float | None:
    """Return the half-width of the metric's band as a share, None where it is not balanced."""
    rule = model.problem.policy.territories.balance.get(metric)
    return None if rule is None else rule.band
