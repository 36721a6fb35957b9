"""A second audit of a plan, written from ``docs/model.md``, ``docs/data-formats.md`` and ``docs/bound.md`` alone.

``second_company.py`` says what is given, ``second_rules.py`` the rules; here a plan is judged. Nothing of
``territory_opt.model`` or ``territory_opt.plan`` is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from second_company import MILLIONTH, Company
from second_rules import HALF_CENT, rows_of
from territory_opt import Problem

Fault = tuple[str, str, float]
"""Rule, subject, amount; NaN where the docs leave open whether it is one. Several may have one name."""


@dataclass
class Judged:
    """What the second audit says of a plan."""

    parts: dict[str, float]
    violations: list[Fault]
    moved_accounts: int
    moved_sales: float
    sales_at_risk: float
    own_kappa: float
    trifles: dict[int, float]

    @property
    def objective(self) -> float:
        """Worth, money of the period."""
        return sum(self.parts.values())


class SecondAudit(Company):
    """A company that judges plans of its own."""

    def __init__(self, problem: Problem, kappa: float) -> None:
        super().__init__(problem, kappa)
        self.rows = list(rows_of(self))

    # -- a plan ------------------------------------------------------------------------------------------------------

    def judge(
        self, served: Mapping[str, str], quotas: Mapping[str, float], by_period: Mapping[str, list[float]]
    ) -> Judged:
        """Say what a plan is worth, and which rules it breaks by how much."""
        pairs = [(a, r) for a, r in served.items() if a in self.accounts and r in self.reps]
        margin = self.policy.territories.margin
        parts = {
            "gain from fit": sum(margin * (self.gross[a, r] - self.common[a]) for a, r in pairs),
            "transfer loss": -sum(margin * self.loss[pair] for pair in pairs),
            "travel": -sum(self.travel_cost[pair] for pair in pairs),
        }
        broken: list[Fault] = []
        worst, trifles = 0.0, {}
        for k, row in enumerate(self.rows):
            outside = row.outside(served, quotas)
            if row.rule == "fairness":
                worst = max(worst, outside)
            if row.hard:
                if outside <= row.tolerance:
                    trifles[k] = outside
                else:
                    broken.append((row.rule, self.name_of(row.subject), outside))
            else:
                parts[row.rule] = parts.get(row.rule, 0.0) - row.price * outside
        worst_price = self.policy.quotas.fairness.worst_price
        if worst_price and self.policy.quotas.target is not None:
            parts["worst fairness"] = -worst_price * worst
        moved = [pair for pair in pairs if self.moves(*pair)]
        known = {fault[:2] for fault in broken}  # a target that is missed by its row is not missed a second time
        of_quotas = self.quota_faults(served, quotas, by_period)
        return Judged(
            parts,
            [*self._assignment_faults(served), *broken, *(fault for fault in of_quotas if fault[:2] not in known)],
            len(moved),
            sum(self.accounts[a]["current_sales"] for a, _ in moved),
            sum(self.loss[pair] for pair in moved),
            self.fair_share(served),
            trifles,
        )

    def fair_share(self, served: Mapping[str, str]) -> float:
        """The plan's own kappa: fair quotas meet the target."""
        if self.policy.quotas.target is None:
            return 0.0
        compounds = self.compounds("")
        total = sum(
            self.credit[a, r] * self.net[a, r] / compounds[r]
            for a, r in served.items()
            if r in self.reps and a in self.accounts
        )
        return float(self.policy.quotas.target) / total if total > 0 else 0.0

    def _assignment_faults(self, served: Mapping[str, str]) -> list[Fault]:
        """Every account exactly one rep whom nothing bars, each bar a fault; families together; no strangers."""
        found = [("assignment", account, 1.0) for account in served if account not in self.accounts]
        for node in self.nodes:
            owners = {served[a] for a in node if served.get(a) in self.reps}
            if len(owners) > 1:
                found.append(("family", str(self.accounts[node[0]]["family"]), float(len(owners) - 1)))
            for account in node:
                rep = served.get(account)
                if rep not in self.reps:
                    found.append(("assignment", account, 1.0))
                else:
                    found += [("eligibility", account, 1.0)] * len(self.bars(account, rep))
        return found

    # -- quotas ------------------------------------------------------------------------------------------------------

    def periods_follow(self, served: Mapping[str, str], rep: str, quota: float, given: list[float]) -> bool | None:
        """Whether periods are season of the rep's accounts x days there x ramp, rounded cumulatively to whole steps.

        None where it depends on where half a step goes, which the docs leave open.
        """
        own = [a for a, r in served.items() if r == rep and a in self.accounts]
        season = [sum(self.expected[a] * self.seasons[a][k] for a in own) for k in range(len(self._months()))]
        season = season if sum(season) > 0 else self.company_season
        weight = [s * p for s, p in zip(season, self.present[rep], strict=True)]
        length = {"year": len(weight), "quarter": 3, "month": 1}[self.policy.quotas.periods]
        parts = [sum(weight[k : k + length]) for k in range(0, len(weight), length)]
        parts = parts if sum(parts) > 0 else [1.0] * len(parts)
        step, last = self.policy.quotas.step, len(parts)
        if len(given) != last:
            return False
        until = [quota * sum(parts[: k + 1]) / sum(parts) for k in range(last)]
        off = [abs(sum(given[: k + 1]) - until[k]) - step / 2 for k in range(last)]
        whole = all(abs(amount - round(amount / step) * step) <= HALF_CENT for amount in given)
        if not whole or max(off) > MILLIONTH:
            return False
        return True if max(off) < -MILLIONTH else None

    def quota_faults(
        self, served: Mapping[str, str], quotas: Mapping[str, float], by_period: Mapping[str, list[float]]
    ) -> list[Fault]:
        """Quotas that are missing, of strangers, below 0, off the step or not the sum of their periods.

        NaN: the docs leave it open.
        """
        if self.policy.quotas.target is None:
            return []
        found = [("quota", rep, 1.0) for rep in self.reps if rep not in quotas]
        found += [("quota", rep, 1.0) for rep in quotas if rep not in self.reps]
        if found:
            return found
        step = self.policy.quotas.step
        for node, target in self.targets().items():
            below = self.compounds(node)
            if below and self.slack(node) == 0.0:  # to the cent, hedges and all
                off = abs(sum(quotas[rep] for rep in below) - target * next(iter(below.values())))
                if off > HALF_CENT:
                    found.append(("roll-up", self.name_of(node), round(off, 2)))
        follow: list[bool | None] = []
        for rep, quota in quotas.items():
            given = by_period.get(rep, [])
            if quota < 0:
                found.append(("quota", rep, -quota))
            elif (off := abs(quota - round(quota / step) * step)) > HALF_CENT:
                found.append(("quota step", rep, off))
            if abs(sum(given) - quota) > HALF_CENT:
                found.append(("period quotas", rep, abs(sum(given) - quota)))
            follow.append(self.periods_follow(served, rep, quota, given))
        if False in follow:
            found.append(("period quotas", "Company", 1.0))
        elif None in follow:
            found.append(("period quotas", "Company", math.nan))
        return found

    # -- the bound ---------------------------------------------------------------------------------------------------

    def bound(self, multipliers: list[float]) -> float:
        """No plan under the rules is worth more, for one multiplier per row in the order of ``rows``."""
        total = 0.0
        for u, row in zip(multipliers, self.rows, strict=True):
            total -= u * row.low if u > 0 else u * row.high if u < 0 else 0.0
        for node in self.nodes:
            total += max(
                sum(
                    self.value[a, r]
                    + sum(u * row.pair.get((a, r), 0.0) for u, row in zip(multipliers, self.rows, strict=True))
                    for a in node
                )
                for r in self.reps
                if self.eligible[node[0], r]
            )
        if self.policy.quotas.target is None:
            return total
        compounds = self.compounds("")
        most = {rep: (float(self.policy.quotas.target) + self.slack("")) * compounds[rep] for rep in self.reps}
        for rep in self.reps:
            price = sum(u * row.quota.get(rep, 0.0) for u, row in zip(multipliers, self.rows, strict=True))
            total += max(0.0, price * most[rep])
        return total
