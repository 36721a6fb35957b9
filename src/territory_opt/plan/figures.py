"""What a plan comes to, computed once: chosen pairs, rep totals, worth, odds, roll-up; all else reads it here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.plan.evaluate import Chosen, Evaluation, annual_quotas, choose, evaluate, rep_positions
from territory_opt.plan.odds import CompanyOdds, company_odds
from territory_opt.plan.plan import Plan, held_by_rep
from territory_opt.plan.rollup import roll_up

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Figures:
    """A plan under the rules of ``model``; each figure is worked out when it is first asked for, and kept."""

    model: Model
    plan: Plan

    def __repr__(self) -> str:
        return f"Figures({self.plan!r})"

    def __getstate__(self) -> dict[str, object]:
        """Leave out what can be worked out again: it would be many times the plan."""
        return {"model": self.model, "plan": self.plan}

    @cached_property
    def rep(self) -> IntArray:
        """Position of each account's rep, (n_accounts,), -1 for nobody."""
        return rep_positions(self.model, self.plan)

    @cached_property
    def quotas(self) -> FloatArray:
        """Yearly quotas, (n_reps,), in the order of the reps table; 0 where the plan sets none."""
        return annual_quotas(self.model, self.plan)

    @cached_property
    def chosen(self) -> Chosen:
        """Facts of the chosen pairs and rep totals. Cost: one pass over the accounts."""
        return choose(self.model, self.rep)

    @property
    def pairs(self) -> pd.DataFrame:
        """One line per assigned account with the facts of its pair (positions in account, rep)."""
        return self.chosen.pairs

    @cached_property
    def by_account(self) -> pd.DataFrame:
        """The same with one line per account, in order: NaN where it has no rep."""
        return self.pairs.set_index("account").reindex(range(self.model.problem.n_accounts))

    @property
    def totals(self) -> FloatArray:
        """Rep totals of each quantity, (n_reps, n_quantities)."""
        return self.chosen.totals

    @cached_property
    def evaluation(self) -> Evaluation:
        """What the plan is worth."""
        return evaluate(self.model, self.chosen, self.quotas)

    @cached_property
    def odds(self) -> CompanyOdds:
        """Odds of reps and company."""
        known = self.model.problem.reps["rep_id"].isin(self.plan.annual.index).to_numpy(bool)
        return company_odds(self.model, self.evaluation, self.quotas, known)

    @cached_property
    def today(self) -> Figures:
        """Figures of the incumbents and last quotas under the same rules."""
        return Figures(self.model, Plan.today(self.model))

    @cached_property
    def roll_up(self) -> pd.DataFrame:
        """Quotas up the hierarchy, one line per node; for a plan with quotas."""
        return roll_up(self.model, pd.Series(self.quotas, self.model.problem.reps["rep_id"]))

    @cached_property
    def potential(self) -> FloatArray:
        """Potential of each rep's accounts, (n_reps,)."""
        return held_by_rep(self.model, self.rep)

    @cached_property
    def credited_potential(self) -> FloatArray:
        """Potential of each rep's accounts in the plan's period, as far as sales there count for the rep, (n_reps,)."""
        problem, pairs = self.model.problem, self.pairs
        potential = problem.accounts["potential"].to_numpy(float)[pairs["account"]] * problem.policy.period.part
        return np.bincount(pairs["rep"], potential * pairs["credit"], minlength=problem.n_reps).astype(float)

    def per_rep(self, name: str) -> FloatArray:
        """Sum of one fact of the chosen pairs, (n_reps,)."""
        n_reps = self.model.problem.n_reps
        return np.bincount(self.pairs["rep"], self.pairs[name], minlength=n_reps).astype(float)
