"""The rules of ``docs/model.md`` for the second audit: rows of territories, then rows of quotas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import pandas as pd

from second_company import MILLIONTH, Company, values_of

HALF_CENT = 0.005
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


def _scale(amounts: dict[str, float]) -> dict[str, float]:
    """A share target of 0 takes the average as scale."""
    average = sum(amounts.values()) / len(amounts)
    return {rep: amount if amount > 0 else average for rep, amount in amounts.items()}


def rows_of(company: Company) -> Iterator[Row]:
    """Yield every row that the docs list."""
    yield from _balance(company)
    yield from _hours(company)
    yield from _budgets(company)
    yield from _coverage(company)
    if company.policy.quotas.target is not None:
        yield from _roll_up(company)
        yield from _guards(company)
        yield from _odds_and_fairness(company)


def _balance(company: Company) -> Iterator[Row]:
    for metric, rule in company.policy.territories.balance.items():
        total = sum(row[metric] for row in company.accounts.values())
        target = {rep: share * total for rep, share in company.shares.items()}
        scale = _scale(target)
        for rep in company.reps:
            price = INFINITY if rule.hard else rule.price_per_point / (0.01 * scale[rep])
            low, high = (1 - rule.band) * target[rep], (1 + rule.band) * target[rep]
            pair = {(a, rep): row[metric] for a, row in company.accounts.items()}
            yield Row(f"balance: {metric}", rep, low, high, scale[rep], price, pair)


def _hours(company: Company) -> Iterator[Row]:
    rule, speed = company.policy.territories.hours, company.policy.territories.travel.speed_kmh
    for rep, row in company.reps.items() if rule else ():
        capacity = row["capacity_hours"]
        capacity = row["fte"] * rule.per_fte if pd.isna(capacity) else capacity
        pair = {(a, rep): own["workload"] + company.travel_km[a, rep] / speed for a, own in company.accounts.items()}
        price = INFINITY if rule.hard else rule.price_per_hour * company.part
        yield Row("hours", rep, -INFINITY, capacity, capacity, price, pair)


def _budgets(company: Company) -> Iterator[Row]:
    keep = company.policy.territories.keep
    moves = [pair for pair in company.value if company.moves(*pair)]
    if keep.max_moved_accounts is not None:
        most = float(keep.max_moved_accounts)
        yield Row("moved accounts", "", -INFINITY, most, max(most, 1.0), pair=dict.fromkeys(moves, 1.0))
    if keep.max_moved_revenue is not None:
        total = sum(row["current_sales"] for row in company.accounts.values())
        pair = {(a, r): company.accounts[a]["current_sales"] for a, r in moves}
        yield Row("moved revenue", "", -INFINITY, keep.max_moved_revenue * total, total, pair=pair)


def _coverage(company: Company) -> Iterator[Row]:
    for skill, rule in company.policy.territories.skills.coverage.items():
        naming = {a: row["potential"] for a, row in company.accounts.items() if values_of(row[skill])}
        total = sum(naming.values())
        pair = {
            (a, r): amount
            for a, amount in naming.items()
            for r in company.reps
            if set(values_of(company.accounts[a][skill])) <= set(values_of(company.reps[r].get(skill)))
        }
        scale = total or 1.0
        price = INFINITY if rule.hard else rule.price_per_point / (0.01 * scale)
        yield Row(f"coverage: {skill}", "", rule.share * total, INFINITY, scale, price, pair)


def _roll_up(company: Company) -> Iterator[Row]:
    for node, target in company.targets().items():
        slack = company.slack(node)
        quota = {rep: 1 / compound for rep, compound in company.compounds(node).items()}
        if quota:
            yield Row("roll-up", node, target - slack, target + slack, target, quota=quota)


def _guards(company: Company) -> Iterator[Row]:
    quotas = company.policy.quotas
    for rep, row in company.reps.items():
        last, sold, ote, there = row["last_quota"], row["last_sales"], row["ote"], company.days_there(rep)
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


def _odds_and_fairness(company: Company) -> Iterator[Row]:
    quotas, z = company.policy.quotas, max(0.0, NormalDist().inv_cdf(company.policy.quotas.hit_share))
    expected, variance = sum(company.expected.values()), sum(company.variance.values())
    scale = _scale({rep: share * expected for rep, share in company.shares.items()})
    for rep in company.reps:
        credited = sum(s * p for s, p in zip(company.company_season, company.present[rep], strict=True))
        s0 = math.sqrt(company.shares[rep] * credited * variance)
        if (rule := quotas.odds) is not None:
            price = INFINITY if rule.hard else rule.price
            pair = {}
            for a in company.accounts:
                c = company.credit[a, rep]
                pair[a, rep] = -(1 - z * company.shared_spread) * c * company.net[a, rep]
                pair[a, rep] += c * company.variance[a] * z / (2 * s0) if z and s0 else 0.0
            yield Row("odds", rep, -INFINITY, -z * s0 / 2, scale[rep], price, pair, {rep: 1.0})
        rule = quotas.fairness
        pair = {(a, rep): -company.kappa * company.credit[a, rep] * company.net[a, rep] for a in company.accounts}
        size = float(quotas.target) / len(company.reps)
        yield Row("fairness", rep, 0.0, 0.0, size, rule.price, pair, {rep: 1.0})
