"""One plan as a side of a comparison: what each account and each rep has in it, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation, audit_model
from territory_opt.plan.evaluate import Evaluation, annual_quotas, chosen_pairs, evaluate, rep_positions
from territory_opt.plan.odds import CompanyOdds, company_odds
from territory_opt.plan.plan import Plan
from territory_opt.plan.tables import balanced_metrics, fair_shares
from territory_opt.words import percent

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
TextArray = npt.NDArray[np.object_]

NOBODY = "nobody"
BEYOND_TERRITORIES = {"assignment", "quota", "quota step", "period quotas"}
"""Rules, besides those of rows that set quotas, which say that a plan is complete: how things stand need not be."""


@dataclass(frozen=True)
class Side:
    """One plan, judged by the rules of ``model``.

    ``bound``: what no plan that keeps these rules can exceed, money; NaN where that is not proven. ``violations``:
    hard rules it breaks; None: not looked for yet. ``past``: it is how things stand, whose quotas need not keep this
    year's rules and whose accounts may have no rep. ``rep`` (n_accounts,) positions, -1 for nobody; ``pairs`` one line
    per account with the facts of its pair (NaN where it has no rep); ``quotas`` (n_reps,); ``shares`` metric ->
    (n_reps,) share of the fair share, NaN for a rep without one.
    """

    name: str
    model: Model
    plan: Plan
    bound: float
    violations: Sequence[Violation] | None
    past: bool
    rep: IntArray
    pairs: pd.DataFrame
    quotas: FloatArray
    evaluation: Evaluation
    shares: dict[str, FloatArray]

    @classmethod
    def of(
        cls,
        name: str,
        model: Model,
        plan: Plan,
        *,
        bound: float = np.nan,
        evaluation: Evaluation | None = None,
        violations: Sequence[Violation] | None = None,
    ) -> Side:
        """Collect the facts of ``plan``; give its ``evaluation`` and ``violations`` where they are known already."""
        rep = rep_positions(model, plan)
        pairs = chosen_pairs(model, plan).set_index("account").reindex(range(model.problem.n_accounts))
        shares = {metric: fair_shares(model, rep, metric) for metric in balanced_metrics(model)}
        found = evaluate(model, plan) if evaluation is None else evaluation
        return cls(name, model, plan, bound, violations, False, rep, pairs, annual_quotas(model, plan), found, shares)

    @classmethod
    def today(cls, name: str, model: Model, *, bound: float) -> Side:
        """Collect the facts of today by the rules of ``model``: incumbents and last quotas."""
        return replace(cls.of(name, model, Plan.today(model), bound=bound), past=True)

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

    @property
    def given(self) -> TextArray:
        """Id of each account's rep as the plan names it, (n_accounts,); empty for nobody."""
        wanted = self.plan.assignment.reindex(self.model.problem.accounts["account_id"])
        return wanted.fillna("").to_numpy(object)

    @property
    def owners(self) -> TextArray:
        """Name of each account's rep, (n_accounts,); an id that is no rep's stays visible: someone who left."""
        names = np.append(self.model.problem.reps["name"].to_numpy(object), NOBODY)[self.rep]
        return np.where((self.rep < 0) & (self.given != ""), self.given, names)

    @cached_property
    def odds(self) -> CompanyOdds | None:
        """Odds of reps and company; None where the policy asks for no quotas."""
        return company_odds(self.model, self.plan) if self.model.has_quotas else None

    @cached_property
    def broken(self) -> int:
        """How many hard rules it breaks; how things stand is held against the rules of territories only."""
        found = audit_model(self.model, self.plan) if self.violations is None else self.violations
        quota_rules = {row.rule for row in self.model.rows.items if row.sets_quotas} | BEYOND_TERRITORIES
        return sum(not self.past or violation.rule not in quota_rules for violation in found)

    @property
    def left_to_gain(self) -> float:
        """What any plan that keeps the rules could be worth above this one at most, money.

        NaN where that is not proven, and for a plan that breaks hard rules: it may be worth more than any that keeps
        them.
        """
        known = np.isfinite(self.bound) and not self.broken
        return max(self.bound - self.evaluation.objective, 0.0) if known else np.nan

    def range_of(self, metric: str) -> tuple[float, float]:
        """Return the least and the largest share of the fair share of a rep; NaN where nobody has one."""
        known = self.shares[metric][np.isfinite(self.shares[metric])]
        return (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)

    def spread(self, metric: str) -> str:
        """Say :meth:`range_of` in words: ``50–186 %``."""
        low, high = (percent(share) for share in self.range_of(metric))
        return low if low == high else f"{low.removesuffix(' %')}–{high}"


BAND_TOLERANCE = 5e-4
"""A share counts as inside its band up to this much outside it: less than a table shows."""


def band(model: Model, metric: str) -> float | None:
    """Return the half-width of the metric's band as a share, None where it is not balanced."""
    rule = model.problem.policy.territories.balance.get(metric)
    return None if rule is None else rule.band
