"""Rows: every rule of a plan that adds something up per rep, in one form that all parts read.

A row says: low <= sum of (coefficient x rep total of a quantity) + sum of (coefficient x quota) <= high, with a
price per unit below and above, or hard. Bands, hours, move budgets, skill coverage, roll-ups, guards, odds and
fairness are builders, one small function each. A new rule is one more builder: the mixed-integer model, the
bound, the audit and the explanations follow by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import norm

from territory_opt.estimate.expected import Estimate
from territory_opt.estimate.methods import QUOTA_BASIS
from territory_opt.model.hierarchy import Hierarchy
from territory_opt.model.presence import share_targets, typical_credit
from territory_opt.problem.policy import Policy
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. ``totals``: (rep position, quantity) -> coefficient; ``quotas``: rep position -> coefficient.

    ``scale`` is the size against which a violation is judged (a share target, a budget); ``price`` is money
    per unit outside the limits, ignored for a hard row. ``sets_quotas`` marks rules of the quota stage.
    """

    rule: str
    subject: str
    totals: dict[tuple[int, str], float]
    quotas: dict[int, float]
    low: float
    high: float
    hard: bool
    price: float
    scale: float
    unit: str
    sentence: str
    sets_quotas: bool = False
    worst_price: float = 0.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as arrays. ``totals`` is (n_rows, n_reps * n_quantities), ``quotas`` (n_rows, n_reps), both CSR.

    ``price`` is infinite for hard rows. ``worst_group`` gives the group whose largest deviation is priced
    once more at ``worst_price`` (-1: none).
    """

    items: tuple[Row, ...]
    quantities: tuple[str, ...]
    n_reps: int
    totals: sparse.csr_matrix
    quotas: sparse.csr_matrix
    low: FloatArray
    high: FloatArray
    price: FloatArray
    hard: npt.NDArray[np.bool_]
    scale: FloatArray
    worst_group: IntArray
    worst_price: FloatArray

    @classmethod
    def from_items(cls, items: Iterable[Row], quantities: tuple[str, ...], n_reps: int) -> Rows:
        """Pack rows into arrays."""
        rows = tuple(items)
        column = {name: k for k, name in enumerate(quantities)}
        at = [(r, j * len(quantities) + column[q], c) for r, row in enumerate(rows) for (j, q), c in row.totals.items()]
        own = [(r, j, c) for r, row in enumerate(rows) for j, c in row.quotas.items()]
        priced = list(dict.fromkeys(row.rule for row in rows if row.worst_price > 0))
        return cls(
            items=rows,
            quantities=quantities,
            n_reps=n_reps,
            totals=_csr(at, (len(rows), n_reps * len(quantities))),
            quotas=_csr(own, (len(rows), n_reps)),
            low=np.array([row.low for row in rows], dtype=float),
            high=np.array([row.high for row in rows], dtype=float),
            price=np.array([np.inf if row.hard else row.price for row in rows], dtype=float),
            hard=np.array([row.hard for row in rows], dtype=bool),
            scale=np.array([row.scale for row in rows], dtype=float),
            worst_group=np.array([priced.index(row.rule) if row.worst_price > 0 else -1 for row in rows], dtype=int),
            worst_price=np.array([next(r.worst_price for r in rows if r.rule == rule) for rule in priced], dtype=float),
        )

    def __len__(self) -> int:
        return len(self.items)

    def activity(self, totals: FloatArray, quotas: FloatArray) -> FloatArray:
        """Return each row's value, (n_rows,), for rep totals (n_reps, n_quantities) and quotas (n_reps,)."""
        return np.asarray(self.totals @ totals.ravel() + self.quotas @ quotas)

    def at_rep(self, multipliers: FloatArray) -> FloatArray:
        """Return what one unit of each quantity is worth at each rep, (n_reps, n_quantities), for (n_rows,)."""
        return np.asarray(self.totals.T @ multipliers).reshape(self.n_reps, len(self.quantities))

    @property
    def owner(self) -> IntArray:
        """The one rep each row is about, (n_rows,); -1 for rows over several reps."""
        touched = ({j for j, _ in row.totals} | set(row.quotas) for row in self.items)
        return np.array([next(iter(reps)) if len(reps) == 1 else -1 for reps in touched], dtype=np.int64)

    def outside(self, totals: FloatArray, quotas: FloatArray) -> FloatArray:
        """Return how far each row is outside its limits: negative below, positive above, 0 within."""
        value = self.activity(totals, quotas)
        return np.where(value < self.low, value - self.low, np.where(value > self.high, value - self.high, 0.0))

    def costs(self, outside: FloatArray) -> dict[str, float]:
        """Return the price paid per rule for the priced rows (hard rows have no price)."""
        paid = np.where(self.hard, 0.0, self.price) * np.abs(outside)
        cost: dict[str, float] = {}
        for row, amount in zip(self.items, paid, strict=True):
            cost[row.rule] = cost.get(row.rule, 0.0) + float(amount)
        for group, price in enumerate(self.worst_price):
            members = np.flatnonzero(self.worst_group == group)
            cost[self.items[members[0]].rule] += float(price * np.abs(outside[members]).max())
        return cost

    def territory_only(self) -> Rows:
        """Return the rows that do not involve quotas."""
        return Rows.from_items((row for row in self.items if not row.sets_quotas), self.quantities, self.n_reps)

    def quota_only(self) -> Rows:
        """Return the rows that involve quotas."""
        return Rows.from_items((row for row in self.items if row.sets_quotas), self.quantities, self.n_reps)


def quantity_names(policy: Policy, estimate: Estimate) -> tuple[str, ...]:
    """Name every quantity the policy's rows add up."""
    territories, keep = policy.territories, policy.territories.keep
    names = list(territories.balance)
    if territories.hours is not None:
        names.append("hours")
    if keep.max_moved_accounts is not None:
        names.append("moved_accounts")
    if keep.max_moved_revenue is not None:
        names.append("moved_sales")
    names += [f"covered: {skill}" for skill in territories.skills.coverage]
    if policy.quotas.target is not None:
        names += ["credited_sales", "variance"]
        if estimate.basis is not None:
            names.append(QUOTA_BASIS)
    return tuple(dict.fromkeys(names))


def build_rows(problem: Problem, estimate: Estimate, hierarchy: Hierarchy, kappa: float) -> Rows:
    """Collect the rows of every rule; ``kappa`` is fair quota per unit of expected sales."""
    share = share_targets(problem)
    items: list[Row] = []
    items += _balance(problem, share)
    items += _hours(problem)
    items += _move_budgets(problem)
    items += _skill_coverage(problem)
    if problem.policy.quotas.target is not None:
        items += _roll_up(problem, hierarchy)
        items += _guards(problem)
        items += _odds(problem, estimate, share)
        items += _fairness(problem, estimate, share, kappa)
    return Rows.from_items(items, quantity_names(problem.policy, estimate), problem.n_reps)


def _names(problem: Problem) -> list[str]:
    """Display names of the reps, "Lee (R-012)"."""
    pairs = zip(problem.reps["name"], problem.reps["rep_id"], strict=True)
    return [f"{name} ({rep_id})" if name != rep_id else str(rep_id) for name, rep_id in pairs]


def _balance(problem: Problem, share: FloatArray) -> Iterator[Row]:
    for metric, band in problem.policy.territories.balance.items():
        total = float(problem.accounts[metric].sum())
        for j, name in enumerate(_names(problem)):
            target = share[j] * total
            scale = target if target > 0 else total / problem.n_reps
            yield Row(
                f"balance: {metric}", name, {(j, metric): 1.0}, {}, target * (1 - band.band), target * (1 + band.band),
                band.hard, band.price_per_point / max(scale / 100.0, 1e-12), max(scale, 1e-12), metric,
                f"{metric} of each rep within {band.band:.0%} of the fair share",
            )  # fmt: skip


def _hours(problem: Problem) -> Iterator[Row]:
    hours = problem.policy.territories.hours
    if hours is None:
        return
    price = hours.price_per_hour * problem.policy.period.part
    for j, (name, capacity) in enumerate(zip(_names(problem), problem.reps["capacity_hours"], strict=True)):
        yield Row(
            "hours", name, {(j, "hours"): 1.0}, {}, -np.inf, float(capacity), hours.hard, price,
            max(float(capacity), 1.0), "hours", "workload and travel within the rep's yearly hours",
        )  # fmt: skip


def _move_budgets(problem: Problem) -> Iterator[Row]:
    keep, everyone = problem.policy.territories.keep, range(problem.n_reps)
    if keep.max_moved_accounts is not None:
        yield Row(
            "moved accounts", "Company", {(j, "moved_accounts"): 1.0 for j in everyone}, {}, -np.inf,
            float(keep.max_moved_accounts), True, 0.0, max(float(keep.max_moved_accounts), 1.0), "accounts",
            f"at most {keep.max_moved_accounts} accounts change owner",
        )  # fmt: skip
    if keep.max_moved_revenue is not None:
        total = float(problem.accounts["current_sales"].sum())
        yield Row(
            "moved revenue", "Company", {(j, "moved_sales"): 1.0 for j in everyone}, {}, -np.inf,
            keep.max_moved_revenue * total, True, 0.0, max(total, 1.0), "current sales",
            f"at most {keep.max_moved_revenue:.0%} of current sales change owner",
        )  # fmt: skip


def _skill_coverage(problem: Problem) -> Iterator[Row]:
    for skill, rule in problem.policy.territories.skills.coverage.items():
        asks = problem.accounts[skill].fillna("").astype(str).str.strip() != ""
        total = float(problem.accounts.loc[asks, "potential"].sum())
        yield Row(
            f"coverage: {skill}", "Company", {(j, f"covered: {skill}"): 1.0 for j in range(problem.n_reps)}, {},
            rule.share * total, np.inf, rule.hard, rule.price_per_point / max(total / 100.0, 1e-12), max(total, 1.0),
            "potential", f"at least {rule.share:.0%} of the potential that asks for {skill} meets a rep who has it",
        )  # fmt: skip


def _roll_up(problem: Problem, hierarchy: Hierarchy) -> Iterator[Row]:
    """Sum of quotas under a node, freed of the hedges on the way, equals the node's target."""
    for node in np.flatnonzero(~np.isnan(hierarchy.target)):
        target, members = float(hierarchy.target[node]), hierarchy.members(int(node))
        if len(members) == 0:
            continue
        slack = rounding_slack(problem.policy.quotas.step, hierarchy, int(node))
        yield Row(
            "roll-up", hierarchy.names[node], {}, {int(j): 1 / hierarchy.compound(int(j), int(node)) for j in members},
            target - slack, target + slack, True, 0.0, max(target, 1.0), problem.policy.currency,
            "quotas add up to the target and its hedge", sets_quotas=True,
        )  # fmt: skip


def rounding_slack(step: float, hierarchy: Hierarchy, node: int) -> float:
    """Largest rounding (money) a node with a target may show: 0 where whole steps can meet it, else one step."""
    compounds = {round(hierarchy.compound(int(j), node), 12) for j in hierarchy.members(node)}
    total = float(hierarchy.target[node]) * next(iter(compounds), 1.0)
    alone = np.count_nonzero(~np.isnan(hierarchy.target)) == 1
    even = len(compounds) == 1 and alone and abs(total / step - round(total / step)) < 1e-6
    return 0.0 if even else step


def _guards(problem: Problem) -> Iterator[Row]:
    """Limits on one rep's quota; for a rep who is not there all year they count in proportion to the days there."""
    quotas, reps, money = problem.policy.quotas, problem.reps, problem.policy.currency
    last = reps["last_quota"].to_numpy(float)
    sold = reps["last_sales"].to_numpy(float)
    ote = reps["ote"].to_numpy(float)
    there = problem.calendar.part_there(problem.policy.period.months)
    before = quotas.growth_guard is not None and quotas.growth_guard.against == "the plan before"
    last = last if before else last * there  # a plan before has asked for these days only
    sold, ote = sold * there, ote * there
    for j, name in enumerate(_names(problem)):
        part = "" if there[j] >= 1.0 else ", for the days the rep is there"
        if quotas.growth_guard is not None and last[j] > 0:
            guard = quotas.growth_guard
            yield _quota_row(
                "growth guard", name, j, last[j] * (1 - guard.down), last[j] * (1 + guard.up), guard.hard, guard.price,
                last[j], money,
                f"quota at most {guard.up:.0%} above and {guard.down:.0%} below that of {guard.against}"
                + ("" if before else part),
            )  # fmt: skip
        if quotas.ratchet_guard is not None and last[j] > 0 and np.isfinite(sold[j]):
            ratchet = quotas.ratchet_guard
            high = last[j] * (1 + ratchet.growth) + ratchet.share * max(0.0, sold[j] - last[j])
            yield _quota_row(
                "ratchet guard", name, j, -np.inf, high, ratchet.hard, ratchet.price, last[j], money,
                f"at most {ratchet.share:.0%} of last year's sales above quota enter the new quota" + part,
            )  # fmt: skip
        if quotas.limits is not None:
            limits = quotas.limits
            high = np.inf if limits.high is None else limits.high * there[j]
            yield _quota_row(
                "quota limits", name, j, limits.low * there[j], high, limits.hard, limits.price,
                max(limits.low, 1.0) if limits.high is None else max(limits.high, 1.0), money,
                "quota between the floor and the cap" + part,
            )  # fmt: skip
        if quotas.ote_ratio is not None and ote[j] > 0:
            ratio = quotas.ote_ratio
            high = np.inf if ratio.high is None else ratio.high * ote[j]
            yield _quota_row(
                "OTE ratio", name, j, ratio.low * ote[j], high, ratio.hard, ratio.price, ote[j], money,
                f"quota between {ratio.low:g} and {ratio.high or np.inf:g} times on-target earnings" + part,
            )  # fmt: skip


def _quota_row(
    rule: str, subject: str, rep: int, low: float, high: float, hard: bool, price: float, scale: float, unit: str,
    sentence: str,
) -> Row:  # fmt: skip
    """One row on one rep's quota alone."""
    return Row(rule, subject, {}, {rep: 1.0}, low, high, hard, price, scale, unit, sentence, sets_quotas=True)


def _odds(problem: Problem, estimate: Estimate, share: FloatArray) -> Iterator[Row]:
    """q <= M - z (s0/2 + V/(2 s0)) - z sigma M: the tangent lies above the square root, so the row is safe."""
    quotas = problem.policy.quotas
    if quotas.odds is None:
        return
    z, shock = max(float(norm.ppf(quotas.hit_share)), 0.0), estimate.shocks.together
    # Any tangent is safe; it touches where a fair share of the variance lies that counts for the rep. For a rep who is
    # never there nothing counts, and nothing varies.
    credit = typical_credit(problem, estimate)
    tangent = np.sqrt(np.maximum(share * credit, 1e-9) * max(float(estimate.variance.sum()), 1e-9))
    tangent = np.where(credit > 0, tangent, 0.0)
    for j, name in enumerate(_names(problem)):
        totals = {(j, "credited_sales"): z * shock - 1.0}
        totals |= {(j, "variance"): z / (2 * float(tangent[j]))} if tangent[j] > 0 else {}
        yield Row(
            "odds", name, totals, {j: 1.0}, -np.inf, -z * float(tangent[j]) / 2, quotas.odds.hard, quotas.odds.price,
            max(float(share[j]), 1e-9) * max(float(estimate.expected.sum()), 1.0), problem.policy.currency,
            f"each rep reaches the quota with probability {quotas.hit_share:.0%} or more", sets_quotas=True,
        )  # fmt: skip


def _fairness(problem: Problem, estimate: Estimate, share: FloatArray, kappa: float) -> Iterator[Row]:
    """q = kappa x fair base: expected sales, or the basis of the policy's method with its equal part."""
    fairness, quotas = problem.policy.quotas.fairness, problem.policy.quotas
    basis = estimate.basis
    quantity, equal = ("credited_sales", 0.0) if basis is None else (QUOTA_BASIS, kappa * basis.equal)
    what = "expected sales" if basis is None else "the basis that quotas follow"
    for j, name in enumerate(_names(problem)):
        yield Row(
            "fairness", name, {(j, quantity): -kappa}, {j: 1.0}, equal * share[j], equal * share[j], False,
            fairness.price, max(float(quotas.target or 0.0) / problem.n_reps, 1.0), problem.policy.currency,
            f"quota is the same share of {what} for everyone", sets_quotas=True,
            worst_price=fairness.worst_price,
        )  # fmt: skip


def _csr(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> sparse.csr_matrix:
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csr_matrix((values, (rows, columns)), shape=shape, dtype=float)
