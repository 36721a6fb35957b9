"""Is each quota Specific, Measurable, Attainable, Relevant and Time-bound? A list of the reasons why not.

Source of the five: Doran, There's a S.M.A.R.T. way to write management's goals, Management Review 70(11), 1981.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.plan.figures import Figures
from territory_opt.plan.rollup import roll_up_problems
from territory_opt.problem.numbers import HALF_CENT
from territory_opt.quota.settings import SmartSettings
from territory_opt.quota.simulate import Simulation, membership

FloatArray = npt.NDArray[np.float64]

CRITERIA = ("specific", "measurable", "attainable", "relevant", "time-bound")
SETTINGS = SmartSettings()


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why a quota is not what it should be."""

    rep_id: str
    criterion: str
    reason: str

    def __str__(self) -> str:
        return f"{self.rep_id}: not {self.criterion}: {self.reason}"


def lint(figures: Figures, odds: Simulation) -> list[Finding]:
    """List every reason why a quota of ``plan`` is not SMART, by rep and criterion; empty if all are."""
    model = figures.model
    found = [
        Finding(rep, criterion, reason) for criterion, check in _CHECKS for rep, reason in check(_Case(figures, odds))
    ]
    order = {rep: k for k, rep in enumerate(model.problem.reps["rep_id"])}
    return sorted(found, key=lambda f: (order[f.rep_id], CRITERIA.index(f.criterion)))


class _Case:
    """What the checks look at, one value per rep."""

    def __init__(self, figures: Figures, odds: Simulation) -> None:
        model, plan = figures.model, figures.plan
        self.model, self.plan = model, plan
        self.reps = model.problem.reps["rep_id"].to_numpy(object)
        self.quota = figures.quotas
        self.chance = odds.reps["p_hit"].to_numpy(float)
        self.fair = plan.kappa * model.fair_base(figures.evaluation.totals)
        pairs = figures.pairs
        rep, account = pairs["rep"].to_numpy(int), pairs["account"].to_numpy(int)
        n = len(self.reps)
        self.accounts = np.bincount(rep, minlength=n)
        self.active = model.problem.calendar.part_there(model.problem.policy.period.months)
        self.potential = figures.credited_potential
        sold = set(model.problem.past_sales["account_id"])
        known = model.problem.accounts["account_id"].isin(sold).to_numpy() if sold else np.zeros(0, dtype=bool)
        self.known = np.bincount(rep, known[account], minlength=n) if len(known) else np.zeros(n)
        self.has_history = bool(sold)

    def where(self, mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, str]]:
        for j in np.flatnonzero(mask):
            yield int(j), str(self.reps[j])


def _specific(case: _Case) -> Iterator[tuple[str, str]]:
    """One figure for one rep and a list of accounts it is to come from."""
    named = pd.Index(case.plan.annual.index)
    for _, rep in case.where(np.asarray(~np.isin(case.reps, named.to_numpy(object)))):
        yield rep, "the plan sets no quota"
    for _, rep in case.where((case.quota > 0) & (case.accounts == 0)):
        yield rep, "there is a quota but no account to make it with"
    for j, rep in case.where((case.quota <= 0) & (case.accounts > 0)):
        away = case.active[j] <= 0
        yield rep, "the rep is never there" if away else "there are accounts but the quota is nothing"


def _measurable(case: _Case) -> Iterator[tuple[str, str]]:
    """Sales of the rep's accounts are recorded, so that attainment can be."""
    if not case.has_history:
        for _, rep in case.where(case.quota > 0):
            yield rep, "no sales are recorded for any account: attainment could not be measured the same way"
        return
    for _, rep in case.where((case.accounts > 0) & (case.known == 0)):
        yield rep, "none of the accounts has ever had sales in the sales table"


def _attainable(case: _Case) -> Iterator[tuple[str, str]]:
    """Good enough odds, and not more than the accounts could buy."""
    asked = case.model.problem.policy.quotas.hit_share
    least = SETTINGS.least_chance * asked
    for j, rep in case.where((case.quota > 0) & (case.chance < least)):
        yield (
            rep,
            f"the odds are {case.chance[j]:.0%}, below {least:.0%} (half of the {asked:.0%} asked for)",
        )
    for j, rep in case.where((case.quota > case.potential) & (case.accounts > 0)):
        yield (
            rep,
            f"the quota of {case.quota[j]:,.0f} is more than the accounts could buy at all ({case.potential[j]:,.0f})",
        )


def _relevant(case: _Case) -> Iterator[tuple[str, str]]:
    """Tied to the company's target through every node above, and to the territory."""
    model = case.model
    broken = {node for node, cents, _ in roll_up_problems(model, case.plan.annual) if abs(cents) > 0}
    under = membership(model)
    nodes = [k for k, name in enumerate(model.hierarchy.ids) if name in broken or model.hierarchy.names[k] in broken]
    for _, rep in case.where(np.asarray(under[nodes].any(axis=0), dtype=bool)):
        yield rep, "the quotas do not add up to the target of a node above"
    fair = case.fair
    off = np.divide(case.quota - fair, fair, out=np.zeros_like(fair), where=fair > 0)
    for j, rep in case.where((np.abs(off) > SETTINGS.far) & (case.quota > 0) & (case.plan.kappa > 0)):
        side = "above" if off[j] > 0 else "below"
        yield rep, f"it lies {abs(off[j]):.0%} {side} this territory's fair part of the target ({fair[j]:,.0f})"


def _time_bound(case: _Case) -> Iterator[tuple[str, str]]:
    """Periods that add up to the year, and none while the rep is not there."""
    table = case.plan.quotas
    total = table.groupby("rep_id")["quota"].sum().reindex(case.reps).fillna(0.0).to_numpy(float)
    for j, rep in case.where(np.abs(total - case.quota) > HALF_CENT):
        yield rep, f"the periods add up to {total[j]:,.2f}, the year is {case.quota[j]:,.2f}"
    labels = list(dict.fromkeys(table["period"]))
    months = case.model.problem.policy.period.months // max(len(labels), 1)
    wide = table.pivot_table(index="rep_id", columns="period", values="quota", aggfunc="sum").reindex(case.reps)
    for _, rep in case.where((case.active <= 0) & (case.quota > 0)):
        yield rep, "the rep is not there during the plan year"
    for k, label in enumerate(labels):
        there = case.model.problem.calendar.part_there(months, after=k * months)
        owed = wide[label].fillna(0.0).to_numpy(float)
        for j, rep in case.where((there <= 0) & (owed > HALF_CENT) & (case.active > 0)):
            yield rep, f"{owed[j]:,.2f} are owed for {label}, when the rep is not there"


_CHECKS = (
    ("specific", _specific),
    ("measurable", _measurable),
    ("attainable", _attainable),
    ("relevant", _relevant),
    ("time-bound", _time_bound),
)
