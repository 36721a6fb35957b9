"""One plan as a side of a comparison: what each account and each rep has in it, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation, audit_figures, of_territories
from territory_opt.plan.evaluate import Evaluation
from territory_opt.plan.figures import Figures
from territory_opt.plan.odds import CompanyOdds
from territory_opt.plan.plan import Plan
from territory_opt.plan.tables import balanced_metrics, fair_shares
from territory_opt.words import percent

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
TextArray = npt.NDArray[np.object_]

NOBODY = "nobody"


@dataclass(frozen=True)
class Side:
    """One plan, judged by the rules of its model; ``figures`` are what it comes to.

    ``bound``: what no plan that keeps these rules can exceed, money; NaN where that is not proven. ``violations``:
    hard rules it breaks; None: not looked for yet. ``past``: it is how things stand, whose quotas need not keep this
    year's rules and whose accounts may have no rep. ``shares`` metric -> (n_reps,) share of the fair share, NaN for a
    rep without one.
    """

    name: str
    figures: Figures
    bound: float
    violations: Sequence[Violation] | None
    past: bool
    shares: dict[str, FloatArray]

    @classmethod
    def of(
        cls, name: str, figures: Figures, *, bound: float = np.nan, violations: Sequence[Violation] | None = None
    ) -> Side:
        """Take up the figures of a plan; give its ``violations`` where they are known already."""
        model = figures.model
        shares = {metric: fair_shares(model, figures.rep, metric) for metric in balanced_metrics(model)}
        return cls(name, figures, bound, violations, False, shares)

    @classmethod
    def today(cls, name: str, figures: Figures, *, bound: float) -> Side:
        """Take up the ``figures`` of today: incumbents and last quotas."""
        return replace(cls.of(name, figures, bound=bound), past=True)

    @property
    def model(self) -> Model:
        """The model that judges it."""
        return self.figures.model

    @property
    def plan(self) -> Plan:
        """Who has what and owes what."""
        return self.figures.plan

    @property
    def rep(self) -> IntArray:
        """Position of each account's rep, (n_accounts,), -1 for nobody."""
        return self.figures.rep

    @property
    def pairs(self) -> pd.DataFrame:
        """One line per account with the facts of its pair, NaN where it has no rep."""
        return self.figures.by_account

    @property
    def quotas(self) -> FloatArray:
        """Yearly quotas, (n_reps,)."""
        return self.figures.quotas

    @property
    def evaluation(self) -> Evaluation:
        """What the plan is worth."""
        return self.figures.evaluation

    def column(self, name: str) -> FloatArray:
        """Return one fact per account, (n_accounts,), NaN where it has no rep."""
        return self.pairs[name].to_numpy(float)

    def per_rep(self, name: str) -> FloatArray:
        """Return the sum of one fact per rep, (n_reps,)."""
        return self.figures.per_rep(name)

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
        return self.figures.odds if self.model.has_quotas else None

    @cached_property
    def broken(self) -> int:
        """How many hard rules it breaks; how things stand is held against the rules of territories only."""
        found = audit_figures(self.figures) if self.violations is None else self.violations
        return len(of_territories(self.model, found) if self.past else found)

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
