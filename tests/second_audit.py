"""A second audit of a plan, written from ``docs/model.md``, ``docs/data-formats.md`` and ``docs/bound.md`` alone.

Plain loops over accounts and reps; nothing of ``territory_opt.model`` or ``territory_opt.plan`` is used. What the docs
do not give as a formula is taken as given: the estimate (expected sales, variance, seasonality, shocks) of
``territory_opt.estimate``, and the tables and the policy as ``Problem`` has them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from territory_opt import Problem
from territory_opt.estimate.expected import estimate_sales

EARTH_KM = 6371.0088
MILLIONTH, HALF_CENT = 1e-6, 0.005
INFINITY = math.inf


@dataclass
class Row:
    """One rule: ``pair[account, rep]`` and ``quota[rep]`` coefficients, limits, price, scale."""

    rule: str
    subject: str
    low: float
    high: float
    scale: float
    price: float = INFINITY
    pair: dict[tuple[str, str], float] = field(default_factory=dict)
    quota: dict[str, float] = field(default_factory=dict)

    @property
    def hard(self) -> bool:
        """Whether it must hold."""
        return self.price == INFINITY

    def outside(self, served: Mapping[str, str], quotas: Mapping[str, float]) -> float:
        """By how much a plan misses the limits."""
        value = sum(c for (account, rep), c in self.pair.items() if served.get(account) == rep)
        value += sum(c * quotas.get(rep, 0.0) for rep, c in self.quota.items())
        return max(self.low - value, value - self.high, 0.0)

    @property
    def tolerance(self) -> float:
        """How far outside still counts as kept."""
        return HALF_CENT if self.quota else MILLIONTH * self.scale


@dataclass
class Judged:
    """What the second audit says of a plan."""

    parts: dict[str, float]
    violations: dict[tuple[str, str], float]
    moved_accounts: int
    moved_sales: float
    sales_at_risk: float
    own_kappa: float
    trifles: dict[int, float]

    @property
    def objective(self) -> float:
        """Worth, money of the period."""
        return sum(self.parts.values())


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


class SecondAudit:
    """The model of a problem as the docs describe it."""

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
        self.rows = list(self._rows())

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

    def may_serve(self, account: str, rep: str) -> bool:
        """Whether the pair exists: required values, distance, locks and forbids; families aside."""
        row, skills = self.accounts[account], self.policy.territories.skills
        for column in skills.required:
            if not set(values_of(row[column])) <= set(values_of(self.reps[rep].get(column))):
                return False
        most = self.policy.territories.travel.max_distance_km
        if most is not None and self.km[account, rep] > most + 1e-6:
            return False
        first_day = pd.Timestamp(self.policy.period.start)
        for rule in self.problem.rules.to_dict("records"):
            if rule["account_id"] == account and not rule["expires"] < first_day:
                if rule["rule"] == "lock" and rule["rep_id"] != rep:
                    return False
                if rule["rule"] == "forbid" and rule["rep_id"] == rep:
                    return False
        return True

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
            (a, r): all(self.may_serve(member, r) for member in node)
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

    # -- rows --------------------------------------------------------------------------------------------------------

    def _shares(self) -> dict[str, float]:
        weight = {r: row["fte"] * row["ramp"] * self.days_there(r) for r, row in self.reps.items()}
        return {r: w / sum(weight.values()) for r, w in weight.items()}

    def _scale(self, amounts: dict[str, float]) -> dict[str, float]:
        """A share target of 0 takes the average as scale."""
        average = sum(amounts.values()) / len(amounts)
        return {rep: amount if amount > 0 else average for rep, amount in amounts.items()}

    def _rows(self) -> Iterator[Row]:
        self.shares = self._shares()
        yield from self._balance()
        yield from self._hours()
        yield from self._budgets()
        yield from self._coverage()
        if self.policy.quotas.target is not None:
            yield from self._roll_up()
            yield from self._guards()
            yield from self._odds_and_fairness()

    def _balance(self) -> Iterator[Row]:
        for metric, rule in self.policy.territories.balance.items():
            total = sum(row[metric] for row in self.accounts.values())
            target = {rep: share * total for rep, share in self.shares.items()}
            scale = self._scale(target)
            for rep in self.reps:
                price = INFINITY if rule.hard else rule.price_per_point / (0.01 * scale[rep])
                low, high = (1 - rule.band) * target[rep], (1 + rule.band) * target[rep]
                pair = {(a, rep): row[metric] for a, row in self.accounts.items()}
                yield Row(f"balance: {metric}", rep, low, high, scale[rep], price, pair)

    def _hours(self) -> Iterator[Row]:
        rule, speed = self.policy.territories.hours, self.policy.territories.travel.speed_kmh
        for rep, row in self.reps.items() if rule else ():
            capacity = row["capacity_hours"]
            capacity = row["fte"] * rule.per_fte if pd.isna(capacity) else capacity
            pair = {(a, rep): own["workload"] + self.travel_km[a, rep] / speed for a, own in self.accounts.items()}
            price = INFINITY if rule.hard else rule.price_per_hour * self.part
            yield Row("hours", rep, -INFINITY, capacity, capacity, price, pair)

    def _moves(self, account: str, rep: str) -> bool:
        return self.accounts[account]["incumbent"] not in ("", rep)

    def _budgets(self) -> Iterator[Row]:
        keep = self.policy.territories.keep
        moves = [pair for pair in self.value if self._moves(*pair)]
        if keep.max_moved_accounts is not None:
            most = float(keep.max_moved_accounts)
            yield Row("moved accounts", "", -INFINITY, most, max(most, 1.0), pair=dict.fromkeys(moves, 1.0))
        if keep.max_moved_revenue is not None:
            total = sum(row["current_sales"] for row in self.accounts.values())
            pair = {(a, r): self.accounts[a]["current_sales"] for a, r in moves}
            yield Row("moved revenue", "", -INFINITY, keep.max_moved_revenue * total, total, pair=pair)

    def _coverage(self) -> Iterator[Row]:
        for skill, rule in self.policy.territories.skills.coverage.items():
            naming = {a: row["potential"] for a, row in self.accounts.items() if values_of(row[skill])}
            total = sum(naming.values())
            pair = {
                (a, r): amount
                for a, amount in naming.items()
                for r in self.reps
                if set(values_of(self.accounts[a][skill])) <= set(values_of(self.reps[r].get(skill)))
            }
            scale = total or 1.0
            price = INFINITY if rule.hard else rule.price_per_point / (0.01 * scale)
            yield Row(f"coverage: {skill}", "", rule.share * total, INFINITY, scale, price, pair)

    def _roll_up(self) -> Iterator[Row]:
        for node, target in self.targets().items():
            slack = self.slack(node)
            quota = {rep: 1 / compound for rep, compound in self.compounds(node).items()}
            if quota:
                yield Row("roll-up", node, target - slack, target + slack, target, quota=quota)

    def _guards(self) -> Iterator[Row]:
        quotas = self.policy.quotas
        for rep, row in self.reps.items():
            last, sold, ote, there = row["last_quota"], row["last_sales"], row["ote"], self.days_there(rep)
            limits = []
            if (rule := quotas.growth_guard) and last > 0:
                limits.append(("growth guard", rule, last * (1 - rule.down), last * (1 + rule.up), last))
            if (rule := quotas.ratchet_guard) and last > 0 and not pd.isna(sold):
                high = last * (1 + rule.growth) + rule.share * max(0.0, sold - last)
                limits.append(("ratchet guard", rule, -INFINITY, high, last))
            if rule := quotas.limits:
                high = INFINITY if rule.high is None else rule.high
                limits.append(("quota limits", rule, rule.low, high, rule.low if rule.high is None else high))
            if (rule := quotas.ote_ratio) and ote > 0:
                high = INFINITY if rule.high is None else rule.high * ote
                limits.append(("OTE ratio", rule, rule.low * ote, high, ote))
            for name, rule, low, high, scale in limits:
                price = INFINITY if rule.hard else rule.price
                size = scale * there if there and name != "quota limits" else scale
                there_high = high if high == INFINITY else high * there
                yield Row(name, rep, low * there, there_high, size, price, quota={rep: 1.0})

    def _odds_and_fairness(self) -> Iterator[Row]:
        quotas, z = self.policy.quotas, max(0.0, NormalDist().inv_cdf(self.policy.quotas.hit_share))
        expected, variance = sum(self.expected.values()), sum(self.variance.values())
        scale = self._scale({rep: share * expected for rep, share in self.shares.items()})
        for rep in self.reps:
            credited = sum(s * p for s, p in zip(self.company_season, self.present[rep], strict=True))
            s0 = math.sqrt(self.shares[rep] * credited * variance)
            if (rule := quotas.odds) is not None:
                price = INFINITY if rule.hard else rule.price
                pair = {}
                for a in self.accounts:
                    c = self.credit[a, rep]
                    pair[a, rep] = -(1 - z * self.shared_spread) * c * self.net[a, rep]
                    pair[a, rep] += c * self.variance[a] * z / (2 * s0) if z and s0 else 0.0
                yield Row("odds", rep, -INFINITY, -z * s0 / 2, scale[rep], price, pair, {rep: 1.0})
            rule = quotas.fairness
            pair = {(a, rep): -self.kappa * self.credit[a, rep] * self.net[a, rep] for a in self.accounts}
            size = float(quotas.target) / len(self.reps)
            yield Row("fairness", rep, 0.0, 0.0, size, rule.price, pair, {rep: 1.0})

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
        broken: dict[tuple[str, str], float] = {}
        worst, trifles = 0.0, {}
        for k, row in enumerate(self.rows):
            outside = row.outside(served, quotas)
            if row.rule == "fairness":
                worst = max(worst, outside)
            if row.hard:
                if outside <= row.tolerance:
                    trifles[k] = outside
                else:
                    broken[row.rule, self.name_of(row.subject)] = outside
            else:
                parts[row.rule] = parts.get(row.rule, 0.0) - row.price * outside
        worst_price = self.policy.quotas.fairness.worst_price
        if worst_price and self.policy.quotas.target is not None:
            parts["worst fairness"] = -worst_price * worst
        moved = [pair for pair in pairs if self._moves(*pair)]
        return Judged(
            parts,
            self.quota_faults(served, quotas, by_period) | broken | self._assignment_faults(served),
            len(moved),
            sum(self.accounts[a]["current_sales"] for a, _ in moved),
            sum(self.loss[pair] for pair in moved),
            self.fair_share(served),
            trifles,
        )

    def name_of(self, subject: str) -> str:
        """What people call a rep or a node; "" is the company."""
        names = {str(row["rep_id"]): row["name"] for row in self.reps.values()}
        names |= {str(m["manager_id"]): m["name"] for m in self.problem.managers.to_dict("records")}
        return str(names.get(subject, "Company"))

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

    def _assignment_faults(self, served: Mapping[str, str]) -> dict[tuple[str, str], float]:
        """Every account exactly one rep who may serve it; families together; no strangers."""
        found = {("assignment", account): 1.0 for account in served if account not in self.accounts}
        for node in self.nodes:
            owners = {served[a] for a in node if served.get(a) in self.reps}
            if len(owners) > 1:
                found["family", str(self.accounts[node[0]]["family"])] = float(len(owners) - 1)
            for account in node:
                rep = served.get(account)
                if rep not in self.reps:
                    found["assignment", account] = 1.0
                elif not self.may_serve(account, rep):
                    found["eligibility", account] = 1.0
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
    ) -> dict[tuple[str, str], float]:
        """Quotas that are missing, of strangers, below 0, off the step or not the sum of their periods.

        NaN: the docs leave it open.
        """
        if self.policy.quotas.target is None:
            return {}
        found = {("quota", rep): 1.0 for rep in self.reps if rep not in quotas}
        found |= {("quota", rep): 1.0 for rep in quotas if rep not in self.reps}
        if found:
            return found
        step = self.policy.quotas.step
        for node, target in self.targets().items():
            below = self.compounds(node)
            if below and self.slack(node) == 0.0:  # to the cent, hedges and all
                off = abs(sum(quotas[rep] for rep in below) - target * next(iter(below.values())))
                if off > HALF_CENT:
                    found["roll-up", self.name_of(node)] = round(off, 2)
        for rep, quota in quotas.items():
            given = by_period.get(rep, [])
            if quota < 0:
                found["quota", rep] = -quota
            elif (off := abs(quota - round(quota / step) * step)) > HALF_CENT:
                found["quota step", rep] = off
            if abs(sum(given) - quota) > HALF_CENT:
                found["period quotas", rep] = abs(sum(given) - quota)
            follow = self.periods_follow(served, rep, quota, given)
            if follow is False:
                found["period quotas", "Company"] = 1.0
            elif follow is None:
                found.setdefault(("period quotas", "Company"), math.nan)
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
