"""The best plan of a small problem by trying every assignment: an independent reference for the tests.

Nothing of ``model/``, ``plan/`` or ``optimize/`` is used. Formulas are those of the design's section 4; expected
sales and their variance are data (``estimate_sales``), and so is kappa. Quotas are continuous here.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.stats import norm

from territory_opt import Problem
from territory_opt.estimate.expected import estimate_sales

KEPT = 1e-9
"""A rule counts as kept up to this share of its scale."""


@dataclass(frozen=True)
class Rule:
    """low <= constant + quota . q <= high; ``constant`` per assignment, ``quota`` per rep (None: no quota in it)."""

    name: str
    constant: np.ndarray
    quota: np.ndarray | None
    low: float
    high: float
    hard: bool
    price: float
    scale: float
    worst_price: float = 0.0

    def outside(self, activity: np.ndarray) -> np.ndarray:
        return np.maximum(self.low - activity, 0.0) + np.maximum(activity - self.high, 0.0)


@dataclass(frozen=True)
class Best:
    """The best plan: rep position per account, summed violation of hard rules in units of their scales."""

    assignment: tuple[int, ...]
    objective: float
    violation: float
    quotas: np.ndarray

    @property
    def feasible(self) -> bool:
        return self.violation == 0.0


def haversine(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    a, b = math.radians(lat_a), math.radians(lat_b)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon_b - lon_a) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(min(half, 1.0)))


def skills_of(cell: str) -> dict[str, float]:
    found = {}
    for part in str(cell).split(";"):
        if part.strip():
            name, _, score = part.partition(":")
            found[name.strip()] = float(score) if score.strip() else 1.0
    return found


class BruteForce:
    """All assignments of one problem that eligibility and families allow, with what each is worth."""

    def __init__(self, problem: Problem, kappa: float) -> None:
        self.problem, self.kappa = problem, kappa
        self.accounts = problem.accounts.to_dict("records")
        self.reps = problem.reps.to_dict("records")
        estimate = estimate_sales(problem)
        self.expected, self.variance = estimate.expected, estimate.variance
        self.shock = (
            math.hypot(problem.policy.quotas.odds.common_shock, estimate.level_doubt)
            if problem.policy.quotas.odds
            else 0.0
        )
        self.season, self.segment = estimate.seasonality, estimate.segment
        self.n, self.m = len(self.accounts), len(self.reps)
        self._facts()
        self.assignments = self._assignments()
        self.with_rep = [self.assignments == j for j in range(self.m)]
        self.value = self._of(self.pair_value).sum(axis=1)

    # --- pairs ---------------------------------------------------------------------------------------------

    def _facts(self) -> None:
        t = self.problem.policy.territories
        shape = (self.n, self.m)
        self.distance = np.array(
            [[haversine(a["lat"], a["lon"], r["lat"], r["lon"]) for r in self.reps] for a in self.accounts]
        )
        self.eligible = np.array(
            [[self._may(a, r, i, j) for j, r in enumerate(self.reps)] for i, a in enumerate(self.accounts)]
        )
        families: dict[str, list[int]] = {}
        for i, account in enumerate(self.accounts):
            families.setdefault(account["family"] or f"\0{i}", []).append(i)
        self.nodes = list(families.values())
        for node in self.nodes:
            self.eligible[node] = self.eligible[node].all(axis=0)
        road = np.array([[2 * a["visits"] * t.travel.detour] for a in self.accounts]) * self.distance
        self.travel_hours = road / t.travel.speed_kmh
        self.moved = np.array([[a["incumbent"] not in ("", r["rep_id"]) for r in self.reps] for a in self.accounts])
        gross, loss, part = np.zeros(shape), np.zeros(shape), self.problem.policy.period.months / 12
        for i, account in enumerate(self.accounts):
            for j in range(self.m):
                gross[i, j] = self.expected[i] * self._fit_factor(account, j)
                if self.moved[i, j]:
                    rate = (
                        part
                        * t.keep.loss_rate
                        * (1 - t.keep.similar_skill_discount * self._likeness(account["incumbent"], j))
                    )
                    loss[i, j] = min(rate * account["current_sales"], gross[i, j])
        self.net = gross - loss
        common = np.array([gross[i, self.eligible[i]].min() for i in range(self.n)])
        cost = part * (road * t.travel.cost_per_km + self.travel_hours * t.travel.cost_per_hour)
        self.pair_value = t.margin * (self.net - common[:, None]) - cost

    def _may(self, account: dict, rep: dict, i: int, j: int) -> bool:
        t = self.problem.policy.territories
        for column in t.skills.required:
            if any(skills_of(rep[column]).get(value, 0.0) <= 0 for value in skills_of(account[column])):
                return False
        if t.travel.max_distance_km is not None and self.distance[i, j] > t.travel.max_distance_km:
            return False
        for rule in self.problem.rules.to_dict("records"):
            if rule["account_id"] == account["account_id"]:
                same = rule["rep_id"] == rep["rep_id"]
                if (rule["rule"] == "lock") != same:
                    return False
        return True

    def _fit(self, account: dict, j: int) -> float | None:
        scores = []
        for column in self.problem.policy.territories.skills.preferred:
            wanted = skills_of(account[column])
            if wanted:
                offer = skills_of(self.reps[j][column])
                scores.append(sum(offer.get(value, 0.0) for value in wanted) / len(wanted))
        return sum(scores) / len(scores) if scores else None

    def _fit_factor(self, account: dict, j: int) -> float:
        lift, fit = self.problem.policy.territories.skills.fit_lift, self._fit(account, j)
        if fit is None:
            return 1.0
        known = [k for k, r in enumerate(self.reps) if r["rep_id"] == account["incumbent"]]
        reference = self._fit(account, known[0]) if known else 0.5
        return (1 + lift * fit) / (1 + lift * reference)

    def _likeness(self, incumbent: str, j: int) -> float:
        s = self.problem.policy.territories.skills
        columns = dict.fromkeys([*s.required, *s.preferred, *s.coverage])
        k = next(k for k, r in enumerate(self.reps) if r["rep_id"] == incumbent)
        a, b = ({(c, v): x for c in columns for v, x in skills_of(self.reps[r][c]).items()} for r in (k, j))
        length = math.sqrt(sum(x * x for x in a.values())) * math.sqrt(sum(x * x for x in b.values()))
        return sum(x * b.get(key, 0.0) for key, x in a.items()) / length if length > 0 else 0.0

    def _assignments(self) -> np.ndarray:
        choices = [np.flatnonzero(self.eligible[node[0]]) for node in self.nodes]
        chosen = np.array(list(itertools.product(*choices)))
        full = np.zeros((len(chosen), self.n), dtype=int)
        for k, node in enumerate(self.nodes):
            full[:, node] = chosen[:, [k]]
        return full

    # --- totals per assignment -----------------------------------------------------------------------------

    def _of(self, pairs: np.ndarray) -> np.ndarray:
        """Look up a pair table (n, m) for every assignment: (n_assignments, n)."""
        return pairs[np.arange(self.n), self.assignments]

    def total(self, weights: np.ndarray, j: int) -> np.ndarray:
        """Rep total of account weights (n,) or pair weights (n, m) in every assignment."""
        own = weights if weights.ndim == 1 else weights[:, j]
        return self.with_rep[j] @ own

    @cached_property
    def year(self) -> pd.DatetimeIndex:
        """The days of the plan year."""
        first = pd.Timestamp(self.problem.policy.period.start)
        return pd.date_range(first, first + pd.DateOffset(months=self.problem.policy.period.months), inclusive="left")

    @cached_property
    def there(self) -> list[list[pd.Timestamp]]:
        """The days of the plan year on which each rep is there."""
        found = []
        for rep in self.reps:
            there = [d for d in self.year if not (d < rep["start_date"]) and not (d > rep["end_date"])]
            found.append([d for d in there if not (rep["leave_start"] <= d <= rep["leave_end"])])
        return found

    @cached_property
    def share(self) -> np.ndarray:
        weight = [r["fte"] * r["ramp"] * len(d) / len(self.year) for r, d in zip(self.reps, self.there, strict=True)]
        return np.array(weight) / sum(weight)

    @cached_property
    def credit(self) -> np.ndarray:
        """Part of each account's sales that counts for each rep, (n, m): day by day, by season and ramp."""
        steps = [*self.problem.policy.quotas.ramp, 1.0]
        found = np.zeros((self.n, self.m))
        for i in range(self.n):
            season = self.season[self.segment[i]]
            whole = sum(season[d.month - 1] / d.days_in_month for d in self.year)
            for j, rep in enumerate(self.reps):
                for d in self.there[j]:
                    since, start = len(steps) - 1, rep["start_date"]
                    if start == start and start is not pd.NaT:
                        since = min((d.year - start.year) * 12 + d.month - start.month, since)
                    found[i, j] += steps[since] * season[d.month - 1] / d.days_in_month
            found[i] /= whole
        return found

    def column(self, name: str) -> np.ndarray:
        return np.array([float(account[name]) for account in self.accounts])

    # --- rules ---------------------------------------------------------------------------------------------

    @cached_property
    def territory_rules(self) -> list[Rule]:
        t, inf = self.problem.policy.territories, math.inf
        found = []
        for metric, band in t.balance.items():
            total = self.column(metric).sum()
            for j in range(self.m):
                fair = self.share[j] * total
                scale = fair if fair > 0 else total / self.m
                activity = self.total(self.column(metric), j)
                low, high = fair * (1 - band.band), fair * (1 + band.band)
                price = band.price_per_point * 100 / scale
                found.append(Rule(f"{metric} {j}", activity, None, low, high, band.hard, price, scale))
        if t.hours is not None:
            hours = self.column("workload")[:, None] + self.travel_hours
            hour = t.hours.price_per_hour * self.problem.policy.period.months / 12
            for j, rep in enumerate(self.reps):
                cap = rep["capacity_hours"]
                activity = self.total(hours, j)
                found.append(Rule(f"hours {j}", activity, None, -inf, cap, t.hours.hard, hour, max(cap, 1.0)))
        moved = self._of(self.moved)
        if t.keep.max_moved_accounts is not None:
            most = t.keep.max_moved_accounts
            found.append(Rule("moved accounts", moved.sum(axis=1) * 1.0, None, -inf, most, True, 0.0, max(most, 1.0)))
        if t.keep.max_moved_revenue is not None:
            sales = self.column("current_sales")
            most = t.keep.max_moved_revenue * sales.sum()
            found.append(Rule("moved revenue", moved @ sales, None, -inf, most, True, 0.0, max(sales.sum(), 1.0)))
        for skill, rule in t.skills.coverage.items():
            asks = [skills_of(account[skill]) for account in self.accounts]
            offers = [skills_of(rep[skill]) for rep in self.reps]
            has = np.array([[bool(a) and all(o.get(v, 0.0) > 0 for v in a) for o in offers] for a in asks])
            total = float(sum(p for p, a in zip(self.column("potential"), asks, strict=True) if a))
            covered = self._of(has) @ self.column("potential")
            price = rule.price_per_point / max(total / 100, 1e-12)
            found.append(
                Rule(f"coverage {skill}", covered, None, rule.share * total, inf, rule.hard, price, max(total, 1.0))
            )
        return found

    def _path(self, rep: dict) -> list[str]:
        """Nodes above a rep, nearest first, the company last."""
        above = dict(zip(self.problem.managers["manager_id"], self.problem.managers["reports_to"], strict=True))
        path, node = [], rep["manager"]
        while node in above:
            path.append(node)
            node = above[node]
        return [*path, "company"]

    def _hedge(self, node: str) -> float:
        hedge = self.problem.policy.quotas.hedge
        levels = dict(zip(self.problem.managers["manager_id"], self.problem.managers["level"], strict=True))
        return hedge.get(node, hedge.get(levels.get(node, "company"), 0.0))

    def compound(self, rep: dict, node: str = "company") -> float:
        """Hedges from the rep's own node up to ``node``, multiplied."""
        path = self._path(rep)
        return math.prod(1 + self._hedge(k) for k in path[: path.index(node) + 1])

    @cached_property
    def quota_limit(self) -> np.ndarray:
        target = self.problem.policy.quotas.target
        return np.array([target * self.compound(rep) for rep in self.reps])

    @cached_property
    def quota_rules(self) -> list[Rule]:
        q, inf, none = self.problem.policy.quotas, math.inf, np.zeros(len(self.assignments))
        if q.target is None:
            return []
        found = self._roll_up_rules()
        one = np.eye(self.m)
        for j, rep in enumerate(self.reps):
            part = len(self.there[j]) / len(self.year)
            last, sold, ote = part * rep["last_quota"], part * rep["last_sales"], part * rep["ote"]
            if q.growth_guard and last > 0:
                g = q.growth_guard
                found.append(
                    Rule(f"growth {j}", none, one[j], last * (1 - g.down), last * (1 + g.up), g.hard, g.price, last)
                )
            if q.ratchet_guard and last > 0 and sold == sold:
                g = q.ratchet_guard
                high = last * (1 + g.growth) + g.share * max(0.0, sold - last)
                found.append(Rule(f"ratchet {j}", none, one[j], -inf, high, g.hard, g.price, last))
            if q.limits:
                g = q.limits
                high, scale = (inf, max(g.low, 1.0)) if g.high is None else (g.high, max(g.high, 1.0))
                found.append(Rule(f"limits {j}", none, one[j], part * g.low, part * high, g.hard, g.price, scale))
            if q.ote_ratio and ote > 0:
                g = q.ote_ratio
                high = inf if g.high is None else g.high * ote
                found.append(Rule(f"ote {j}", none, one[j], g.low * ote, high, g.hard, g.price, ote))
            sales, noise = self.total(self.net * self.credit, j), self.total(self.variance[:, None] * self.credit, j)
            if q.odds:
                z = max(float(norm.ppf(q.hit_share)), 0.0)
                typical = float(self.expected @ self.credit[:, j]) / self.expected.sum()
                s0 = math.sqrt(self.share[j] * typical * self.variance.sum())
                safe = sales - z * (s0 / 2 + noise / (2 * s0)) - z * self.shock * sales
                scale = self.share[j] * max(self.expected.sum(), 1.0)
                found.append(Rule(f"odds {j}", -safe, one[j], -inf, 0.0, q.odds.hard, q.odds.price, scale))
            f = q.fairness
            scale = max(q.target / self.m, 1.0)
            found.append(Rule(f"fair {j}", -self.kappa * sales, one[j], 0.0, 0.0, False, f.price, scale, f.worst_price))
        return found

    def _roll_up_rules(self) -> list[Rule]:
        q, none = self.problem.policy.quotas, np.zeros(len(self.assignments))
        targets = {"company": q.target}
        targets |= {
            m["manager_id"]: m["target"] for m in self.problem.managers.to_dict("records") if m["target"] == m["target"]
        }
        found = []
        for node, target in targets.items():
            below = [j for j, rep in enumerate(self.reps) if node in self._path(rep)]
            if not below:
                continue
            compounds = {j: self.compound(self.reps[j], node) for j in below}
            # One step of rounding is allowed unless whole steps can meet the only target exactly.
            first = next(iter(compounds.values()))
            steps = target * first / q.step
            exact = (
                len(targets) == 1
                and all(abs(c - first) < 1e-12 for c in compounds.values())
                and abs(steps - round(steps)) < 1e-6
            )
            slack = 0.0 if exact else q.step
            weights = np.array([1 / compounds[j] if j in below else 0.0 for j in range(self.m)])
            found.append(
                Rule(f"roll-up {node}", none, weights, target - slack, target + slack, True, 0.0, max(target, 1.0))
            )
        return found

    # --- the best plan -------------------------------------------------------------------------------------

    @cached_property
    def territory_objective(self) -> np.ndarray:
        priced = [rule.price * rule.outside(rule.constant) for rule in self.territory_rules if not rule.hard]
        return self.value - sum(priced, np.zeros(len(self.assignments)))

    @cached_property
    def territory_violation(self) -> np.ndarray:
        shares = [rule.outside(rule.constant) / rule.scale for rule in self.territory_rules if rule.hard]
        return sum((np.where(s > KEPT, s, 0.0) for s in shares), np.zeros(len(self.assignments)))

    def objective_at(self, a: int, quotas: np.ndarray) -> float:
        """Objective of assignment number ``a`` at given quotas."""
        worst = [
            (r.worst_price, r.outside(r.constant[a] + r.quota @ quotas)) for r in self.quota_rules if r.worst_price > 0
        ]
        cost = sum(r.price * float(r.outside(r.constant[a] + r.quota @ quotas)) for r in self.quota_rules if not r.hard)
        largest = worst[0][0] * max(float(w) for _, w in worst) if worst else 0.0
        return float(self.territory_objective[a]) - cost - largest

    def violation_at(self, a: int, quotas: np.ndarray) -> float:
        """Summed violation of hard rules, in units of their scales, of assignment number ``a`` at given quotas."""
        shares = [float(r.outside(r.constant[a] + r.quota @ quotas)) / r.scale for r in self.quota_rules if r.hard]
        return float(self.territory_violation[a]) + sum(shares)

    def number_of(self, reps: list[int]) -> int:
        """Number of the assignment that gives account i to ``reps[i]``."""
        return int(np.flatnonzero((self.assignments == np.array(reps)).all(axis=1))[0])

    def least_quota_violation(self, a: int) -> float:
        """Least summed violation of the hard quota rules in assignment number ``a``."""
        hard = [rule for rule in self.quota_rules if rule.hard]
        key = tuple(round(float(rule.constant[a]), 6) for rule in hard)
        if key not in self._least:
            least = self._quotas(a, count=True)[1] if hard else 0.0
            self._least[key] = least if least > 1e-8 else 0.0
        return self._least[key]

    @cached_property
    def _least(self) -> dict[tuple[float, ...], float]:
        return {}

    def best_quotas(self, a: int, violation: float) -> tuple[np.ndarray, float]:
        """Quotas of least cost, and the cost, with summed hard violation at most ``violation``."""
        return self._quotas(a, count=False, most=violation)

    def _quotas(self, a: int, *, count: bool, most: float = 0.0) -> tuple[np.ndarray, float]:
        """Linear program over quotas q, a part below and above per rule, and the largest unfairness."""
        rules, m, unit = self.quota_rules, self.m, 1000.0
        k = len(rules)
        cost = np.zeros(m + 2 * k + 1)
        limits = [(0.0, limit / unit) for limit in self.quota_limit] + [(0.0, None)] * (2 * k + 1)
        lines, right = [], []
        hard_sum = np.zeros(m + 2 * k + 1)
        for r, rule in enumerate(rules):
            parts = [m + r, m + k + r]
            if rule.hard:
                hard_sum[parts] = unit / rule.scale
                if most == 0.0 and not count:
                    limits[parts[0]] = limits[parts[1]] = (0.0, 0.0)
            if count:
                cost[parts] = unit / rule.scale if rule.hard else 0.0
            else:
                cost[parts] = 0.0 if rule.hard else rule.price * unit
            line = np.zeros(m + 2 * k + 1)
            line[:m] = rule.quota
            line[parts[0]], line[parts[1]] = 1.0, -1.0
            if np.isfinite(rule.high):
                lines.append(line)
                right.append((rule.high - rule.constant[a]) / unit)
            if np.isfinite(rule.low):
                lines.append(-line)
                right.append((rule.constant[a] - rule.low) / unit)
            if rule.worst_price > 0:
                line = np.zeros(m + 2 * k + 1)
                line[parts], line[-1] = 1.0, -1.0
                lines.append(line)
                right.append(0.0)
                cost[-1] = 0.0 if count else rule.worst_price * unit
        if most > 0:
            lines.append(hard_sum)
            right.append(most)
        found = linprog(cost, A_ub=np.array(lines), b_ub=np.array(right), bounds=limits, method="highs")
        if found.status != 0:
            return np.zeros(m), math.inf
        return found.x[:m] * unit, float(found.fun)

    def whole_steps_exist(self, a: int) -> bool:
        """Tell whether quotas in whole steps can keep every hard rule in assignment number ``a``."""
        step = self.problem.policy.quotas.step
        if self.territory_violation[a] > 0 or not self.quota_rules:
            return not self.territory_violation[a] > 0
        hard = [rule for rule in self.quota_rules if rule.hard]
        # In units of steps the solver's own tolerance is far below a cent.
        weights = np.array([rule.quota for rule in hard])
        low = np.array([(rule.low - rule.constant[a]) / step for rule in hard])
        high = np.array([(rule.high - rule.constant[a]) / step for rule in hard])
        found = milp(
            np.zeros(self.m),
            integrality=np.ones(self.m),
            bounds=Bounds(np.zeros(self.m), self.quota_limit / step),
            constraints=LinearConstraint(weights, low, high),
        )
        return bool(found.status == 0)

    def rounding_cost(self) -> float:
        """Most that moving every quota by one step can cost in the objective."""
        step = self.problem.policy.quotas.step
        prices = [r.price * float(np.abs(r.quota).sum()) for r in self.quota_rules if not r.hard]
        return step * (sum(prices) + max((r.worst_price for r in self.quota_rules), default=0.0))

    def price_of_scales(self) -> float:
        """Cost of breaking every priced rule by its whole scale: what a relative tolerance on rows applies to."""
        priced = [r for r in (*self.territory_rules, *self.quota_rules) if not r.hard]
        worst = max((r.worst_price * r.scale for r in priced), default=0.0)
        return sum(r.price * r.scale for r in priced) + worst

    def rounding_violation(self) -> float:
        """Most that moving every quota by one step can add to the summed violation."""
        step = self.problem.policy.quotas.step
        return step * sum(float(np.abs(r.quota).sum()) / r.scale for r in self.quota_rules if r.hard)

    def best(self) -> Best:
        """Return the plan with the least summed violation of hard rules, then the highest objective."""
        if not self.quota_rules:
            a = int(np.lexsort((-self.territory_objective, self.territory_violation))[0])
            return self._plan(a, self.territory_objective[a], self.territory_violation[a], np.zeros(self.m))
        least, tied = math.inf, []
        for a in np.argsort(self.territory_violation, kind="stable"):
            if self.territory_violation[a] > least + 1e-9:
                break
            violation = self.territory_violation[a] + self.least_quota_violation(a)
            tied.append((violation, int(a)))
            least = min(least, violation)
        # Quotas can only cost: once the territories alone are worth less than the best plan, nothing follows.
        near = [a for violation, a in tied if violation <= least + 1e-9]
        best: Best | None = None
        for a in sorted(near, key=lambda a: -self.territory_objective[a]):
            if best is not None and self.territory_objective[a] <= best.objective:
                break
            spare = self.least_quota_violation(a)
            quotas, cost = self.best_quotas(a, spare * (1 + 1e-9) + 1e-9 if spare > 0 else 0.0)
            objective = float(self.territory_objective[a]) - cost
            if best is None or objective > best.objective:
                best = self._plan(a, objective, least, quotas)
        assert best is not None
        return best

    def _plan(self, a: int, objective: float, violation: float, quotas: np.ndarray) -> Best:
        return Best(tuple(self.assignments[a].tolist()), float(objective), float(violation), quotas)
