"""The company of a problem for the second audit (``second_audit.py``): time, pairs and hierarchy, from the docs alone.

Plain loops over accounts and reps; nothing of ``territory_opt.model`` or ``territory_opt.plan`` is used. What the docs
do not give as a formula is taken as given: the estimate (expected sales, variance, seasonality, shocks) of
``territory_opt.estimate``, and the tables and the policy as ``Problem`` has them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from territory_opt import Problem
from territory_opt.estimate.expected import estimate_sales

EARTH_KM = 6371.0088
MILLIONTH = 1e-6


def values_of(cell: object) -> dict[str, float]:
    """Read a skill cell: the values named, each with its score."""
    found = {}
    for part in str(cell or "").split(";"):
        name, _, score = part.strip().partition(":")
        if name:
            found[name] = float(score) if score else 1.0
    return found


def km_between(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """Great-circle distance by the haversine formula."""
    phi1, phi2 = math.radians(a["lat"]), math.radians(b["lat"])
    wave = math.sin((phi1 - phi2) / 2) ** 2
    wave += math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(a["lon"] - b["lon"]) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(wave)))


class Company:
    """What a problem says, and what follows for each pair of account and rep, as the docs describe it."""

    def __init__(self, problem: Problem, kappa: float) -> None:
        self.problem, self.policy, self.kappa = problem, problem.policy, kappa
        self.there = cache(self._there)
        self.accounts = {str(row["account_id"]): row for row in problem.accounts.to_dict("records")}
        self.reps = {str(row["rep_id"]): row for row in problem.reps.to_dict("records")}
        self.part = self.policy.period.months / 12
        estimate = estimate_sales(problem)
        self.expected = dict(zip(self.accounts, estimate.expected.tolist(), strict=True))
        self.variance = dict(zip(self.accounts, estimate.variance.tolist(), strict=True))
        odds = self.policy.quotas.odds
        spreads = (odds.common_shock, odds.region_shock, odds.segment_shock) if odds else (0.0,)
        self.shared_spread = math.sqrt(sum(s * s for s in spreads) + estimate.level_doubt**2)
        self.seasons = {
            account: self._plan_months(estimate.seasonality[segment])
            for account, segment in zip(self.accounts, estimate.segment.tolist(), strict=True)
        }
        everyone = np.zeros(len(self.accounts), dtype=np.int64)
        self.company_season = self._plan_months(estimate.seasons(everyone, 1)[0])
        self.nodes = self._nodes()
        self._pairs()
        self.shares = self._shares()

    # -- time --------------------------------------------------------------------------------------------------------

    def _months(self) -> list[pd.Period]:
        first = pd.Period(self.policy.period.start, freq="M")
        return [first + k for k in range(self.policy.period.months)]

    def _plan_months(self, by_calendar_month: Any) -> list[float]:
        """Share of the plan's sales that falls into each of its months."""
        factors = [float(by_calendar_month[month.month - 1]) for month in self._months()]
        return [factor / sum(factors) for factor in factors]

    def _there(self, rep: str, month: pd.Period) -> float:
        """Part of the days of a month that a rep is employed and not on leave."""
        row, present = self.reps[rep], 0
        days = [month.start_time + pd.Timedelta(days=k) for k in range(month.days_in_month)]
        for day in days:
            employed = not (day < row["start_date"] or day > row["end_date"])
            on_leave = row["leave_start"] <= day <= row["leave_end"]
            present += employed and not on_leave
        return present / len(days)

    def days_there(self, rep: str) -> float:
        """Part of the days of the plan that a rep is there."""
        months = self._months()
        return sum(self.there(rep, m) * m.days_in_month for m in months) / sum(m.days_in_month for m in months)

    def ramp(self, rep: str, month: pd.Period) -> float:
        """What a joiner can do in a month (``quotas.ramp``)."""
        start, steps = self.reps[rep]["start_date"], self.policy.quotas.ramp
        if pd.isna(start):
            return 1.0
        since = (month.year - start.year) * 12 + month.month - start.month
        return steps[since] if 0 <= since < len(steps) else 1.0

    # -- pairs -------------------------------------------------------------------------------------------------------

    def _nodes(self) -> list[list[str]]:
        by_family = defaultdict(list)
        for account, row in self.accounts.items():
            by_family[("family", row["family"]) if row["family"] else ("account", account)].append(account)
        return list(by_family.values())

    def bars(self, account: str, rep: str) -> list[str]:
        """What keeps a rep from an account, families aside: required columns, distance, a lock, a forbid rule."""
        row, skills = self.accounts[account], self.policy.territories.skills
        found = [
            column
            for column in skills.required
            if not set(values_of(row[column])) <= set(values_of(self.reps[rep].get(column)))
        ]
        most = self.policy.territories.travel.max_distance_km
        if most is not None and self.km[account, rep] > most + 1e-6:
            found.append("distance")
        first_day = pd.Timestamp(self.policy.period.start)
        own = [rule for rule in self.problem.rules.to_dict("records") if rule["account_id"] == account]
        valid = [rule for rule in own if not rule["expires"] < first_day]
        if any(rule["rule"] == "lock" and rule["rep_id"] != rep for rule in valid):
            found.append("lock")
        if any(rule["rule"] == "forbid" and rule["rep_id"] == rep for rule in valid):
            found.append("forbid")
        return found

    def _fit(self, account: str, rep: str) -> float | None:
        """Mean over the preferred columns that the account names of the rep's mean score; None if it names none."""
        means = []
        for column in self.policy.territories.skills.preferred:
            named = values_of(self.accounts[account][column])
            if named:
                has = values_of(self.reps[rep].get(column))
                means.append(sum(has.get(value, 0.0) for value in named) / len(named))
        return sum(means) / len(means) if means else None

    def _gross(self, account: str, rep: str) -> float:
        fit, lift = self._fit(account, rep), self.policy.territories.skills.fit_lift
        if fit is None:
            return self.expected[account]
        incumbent = self.accounts[account]["incumbent"]
        today = self._fit(account, incumbent) if incumbent else 0.5
        return self.expected[account] * (1 + lift * fit) / (1 + lift * today)

    def _likeness(self, a: str, b: str) -> float:
        """Cosine of two reps' scores over all skill columns."""
        skills = self.policy.territories.skills
        columns = dict.fromkeys([*skills.required, *skills.preferred, *skills.coverage])
        x, y = (
            {
                (column, value): score
                for column in columns
                for value, score in values_of(self.reps[rep].get(column)).items()
            }
            for rep in (a, b)
        )
        length = math.sqrt(sum(s * s for s in x.values()) * sum(s * s for s in y.values()))
        return sum(score * y.get(key, 0.0) for key, score in x.items()) / length if length else 0.0

    def _loss(self, account: str, rep: str) -> float:
        row, keep = self.accounts[account], self.policy.territories.keep
        incumbent = row["incumbent"]
        if not incumbent or incumbent == rep:
            return 0.0
        rate = keep.loss_rate * (1 - keep.similar_skill_discount * self._likeness(incumbent, rep))
        sales = row["current_sales"] * self.part
        return min(rate * sales, self._gross(account, rep))

    def _pairs(self) -> None:
        """Work out every pair: distance, who may serve, gross, loss, net, credit, travel, value."""
        travel, margin = self.policy.territories.travel, self.policy.territories.margin
        pairs = [(account, rep) for account in self.accounts for rep in self.reps]
        self.km = {(a, r): km_between(self.accounts[a], self.reps[r]) for a, r in pairs}
        self.eligible = {
            (a, r): not any(self.bars(member, r) for member in node)
            for node in self.nodes
            for a in node
            for r in self.reps
        }
        self.gross = {pair: self._gross(*pair) for pair in pairs}
        self.loss = {pair: self._loss(*pair) for pair in pairs}
        self.net = {pair: self.gross[pair] - self.loss[pair] for pair in pairs}
        present = {r: [self.there(r, m) * self.ramp(r, m) for m in self._months()] for r in self.reps}
        self.present = present
        self.credit = {(a, r): sum(s * p for s, p in zip(self.seasons[a], present[r], strict=True)) for a, r in pairs}
        self.common = {a: min(self.gross[a, r] for r in self.reps if self.eligible[a, r]) for a in self.accounts}
        self.travel_km = {}
        for a, r in pairs:
            visits = self.accounts[a]["visits"]
            visits = travel.visits_per_year if pd.isna(visits) else visits
            self.travel_km[a, r] = 2 * visits * self.km[a, r] * travel.detour
        per_km = travel.cost_per_km + travel.cost_per_hour / travel.speed_kmh
        self.travel_cost = {pair: km * per_km * self.part for pair, km in self.travel_km.items()}
        self.value = {(a, r): margin * (self.net[a, r] - self.common[a]) - self.travel_cost[a, r] for a, r in pairs}

    def moves(self, account: str, rep: str) -> bool:
        """Whether an account changes its rep."""
        return self.accounts[account]["incumbent"] not in ("", rep)

    # -- hierarchy ---------------------------------------------------------------------------------------------------

    def _chain(self, rep: str) -> list[str]:
        """Node ids from a rep's own node up to the company ("" stands for it)."""
        parent = {str(m["manager_id"]): str(m["reports_to"] or "") for m in self.problem.managers.to_dict("records")}
        node, chain = str(self.reps[rep]["manager"] or ""), []
        while node:
            chain.append(node)
            node = parent[node]
        return [*chain, ""]

    def _hedge(self, node: str) -> float:
        hedges = self.policy.quotas.hedge
        level = "company"
        if node:
            level = next(m["level"] for m in self.problem.managers.to_dict("records") if m["manager_id"] == node)
        return hedges.get(node or "company", hedges.get(level, 0.0))

    def compounds(self, node: str) -> dict[str, float]:
        """Product of (1 + hedge) from each rep below a node up to and including it."""
        found = {}
        for rep in self.reps:
            chain = self._chain(rep)
            if node in chain:
                found[rep] = math.prod(1 + self._hedge(above) for above in chain[: chain.index(node) + 1])
        return found

    def targets(self) -> dict[str, float]:
        """Nodes with a target of their own."""
        found = {"": float(self.policy.quotas.target)}
        for m in self.problem.managers.to_dict("records"):
            if not pd.isna(m["target"]):
                found[str(m["manager_id"])] = float(m["target"])
        return found

    def slack(self, node: str) -> float:
        """How far a roll-up may miss a target: nothing where whole steps can meet it, else one step.

        That is where it is the only target, all reps have one compound, and the target with it is a multiple.
        """
        targets, step = self.targets(), self.policy.quotas.step
        compounds = {round(compound, 12) for compound in self.compounds(node).values()}
        if len(targets) == 1 and len(compounds) == 1:
            steps = targets[node] * compounds.pop() / step
            if abs(steps - round(steps)) < MILLIONTH:
                return 0.0
        return float(step)

    def name_of(self, subject: str) -> str:
        """What people call a rep or a node; "" is the company."""
        names = {str(row["rep_id"]): row["name"] for row in self.reps.values()}
        names |= {str(m["manager_id"]): m["name"] for m in self.problem.managers.to_dict("records")}
        return str(names.get(subject, "Company"))

    # -- shares --------------------------------------------------------------------------------------------------------

    def _shares(self) -> dict[str, float]:
        weight = {r: row["fte"] * row["ramp"] * self.days_there(r) for r, row in self.reps.items()}
        return {r: w / sum(weight.values()) for r, w in weight.items()}
