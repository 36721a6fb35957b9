"""Account-rep pairs, block by block: who may serve whom, what it is worth, what it adds to each quantity.

Nothing here holds accounts x reps at once: a *block* covers a slice of nodes (an account, or the accounts of
one family) against all reps. A *quantity* is anything a rule adds up per rep: potential, hours, sales, moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.estimate.expected import Estimate
from territory_opt.model.skills import SkillTables
from territory_opt.problem.geography import distance_km
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

BLOCK_CELLS = 1_000_000
"""Pairs per block: small enough for the cache, large enough for NumPy."""

NEUTRAL_FIT = 0.5
"""Fit against which an account without incumbent is compared."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of each pair of a slice of accounts with all reps; arrays (n, n_reps)."""

    eligible: BoolArray
    distance_km: FloatArray
    fit: FloatArray
    gross_sales: FloatArray
    transfer_loss: FloatArray
    travel_cost: FloatArray
    travel_hours: FloatArray
    moved: BoolArray
    common_sales: FloatArray

    @property
    def net_sales(self) -> FloatArray:
        """Expected sales after transfer loss, money per year."""
        return np.maximum(self.gross_sales - self.transfer_loss, 0.0)


@dataclass(frozen=True, slots=True)
class Block:
    """Pairs of nodes ``start:stop`` with all reps.

    ``eligible`` and ``value`` are (n_nodes, n_reps); each of ``quantities`` broadcasts to that shape.
    ``value`` is money per year *above* the sales an account brings whichever eligible rep has it.
    """

    start: int
    stop: int
    eligible: BoolArray
    value: FloatArray
    quantities: tuple[FloatArray, ...]


class PairSource:
    """Computes pairs on demand from the columns of accounts and reps."""

    def __init__(self, problem: Problem, estimate: Estimate, quantities: tuple[str, ...]) -> None:
        self.problem = problem
        self.estimate = estimate
        self.quantities = quantities
        self.skills = SkillTables.from_problem(problem)
        accounts, reps = problem.accounts, problem.reps
        self.n_reps = problem.n_reps
        self.rep_index = pd.Index(reps["rep_id"])
        self.account_index = pd.Index(accounts["account_id"])
        self.incumbent = self.rep_index.get_indexer(accounts["incumbent"])
        self.current_sales = accounts["current_sales"].to_numpy(float)
        self._place = tuple(t[c].to_numpy(float) for t in (accounts, reps) for c in ("lat", "lon"))
        self._visits = accounts["visits"].to_numpy(float)
        self._locked, self._forbidden = self._rules()
        self.order, self.node_start = _nodes(accounts["family"])
        self._in_family = np.isin(np.arange(len(self.order)), self.order[self._family_positions()])

    @property
    def n_nodes(self) -> int:
        """Number of nodes: accounts, with each family counted once."""
        return len(self.node_start) - 1

    @cached_property
    def node_of_account(self) -> IntArray:
        """Node of each account, (n_accounts,)."""
        node = np.empty(len(self.order), dtype=np.int64)
        node[self.order] = np.repeat(np.arange(self.n_nodes), np.diff(self.node_start))
        return node

    def facts(self, accounts: IntArray) -> Facts:
        """Return what is known of the pairs of ``accounts`` (positions) with every rep."""
        territories = self.problem.policy.territories
        lat, lon, home_lat, home_lon = self._place
        distance = distance_km(lat[accounts, None], lon[accounts, None], home_lat[None, :], home_lon[None, :])
        travel = territories.travel
        road = 2.0 * self._visits[accounts, None] * distance * travel.detour
        fit = self.skills.fit(accounts)
        incumbent = self.incumbent[accounts]
        moved = (incumbent[:, None] >= 0) & (incumbent[:, None] != np.arange(self.n_reps)[None, :])
        gross = self.estimate.expected[accounts, None] * self._fit_factor(fit, incumbent)
        keep = territories.keep
        likeness = np.where((incumbent >= 0)[:, None], self.skills.likeness[incumbent], 0.0)
        rate = keep.loss_rate * (1.0 - keep.similar_skill_discount * likeness)
        loss = np.where(moved, rate * self.current_sales[accounts, None], 0.0)
        eligible = self.eligible(accounts, distance)
        common = np.where(eligible, gross, np.inf).min(axis=1, keepdims=True)
        return Facts(
            eligible=eligible,
            distance_km=distance,
            fit=fit,
            gross_sales=gross,
            transfer_loss=np.minimum(loss, gross),
            travel_cost=road * (travel.cost_per_km + travel.cost_per_hour / travel.speed_kmh),
            travel_hours=road / travel.speed_kmh,
            moved=moved,
            common_sales=np.where(np.isfinite(common), common, 0.0),
        )

    def drop_reasons(self, accounts: IntArray, distance: FloatArray) -> Iterator[tuple[str, BoolArray]]:
        """Yield each rule that can exclude a pair, in planner words, with the pairs it excludes."""
        for column in self.skills.required:
            yield f"lacks the required {column.name}", ~column.has_all[column.cell[accounts]]
        limit = self.problem.policy.territories.travel.max_distance_km
        if limit is not None:
            yield f"home is more than {limit:g} km away", distance > limit
        reps = np.arange(self.n_reps)
        locked = self._locked[accounts]
        yield "the account is locked to another rep", (locked[:, None] >= 0) & (locked[:, None] != reps)
        if len(self._forbidden):
            at = pd.Index(accounts).get_indexer(pd.Index(self._forbidden[:, 0]))
            mask = np.zeros((len(accounts), self.n_reps), dtype=bool)
            mask[at[at >= 0], self._forbidden[at >= 0, 1]] = True
            yield "a forbid rule names this rep", mask

    def eligible(self, accounts: IntArray, distance: FloatArray) -> BoolArray:
        """Return which reps may serve each account; a family is served only by reps who may serve all of it."""
        allowed = np.ones((len(accounts), self.n_reps), dtype=bool)
        for _, excluded in self.drop_reasons(accounts, distance):
            allowed &= ~excluded
        kin = np.flatnonzero(self._in_family[accounts])
        for at in kin:
            allowed[at] &= self._family_allows(int(self.node_of_account[accounts[at]]))
        return allowed

    def block(self, start: int, stop: int) -> Block:
        """Return the pairs of nodes ``start:stop``."""
        accounts = self.order[self.node_start[start] : self.node_start[stop]]
        facts = self.facts(accounts)
        value = self.problem.policy.territories.margin * (facts.net_sales - facts.common_sales) - facts.travel_cost
        columns = [self._quantity(name, accounts, facts) for name in self.quantities]
        eligible = facts.eligible
        if len(accounts) > stop - start:
            edges = self.node_start[start:stop] - self.node_start[start]
            eligible = np.logical_and.reduceat(eligible, edges, axis=0)
            value = np.add.reduceat(value, edges, axis=0)
            columns = [np.add.reduceat(column, edges, axis=0) for column in columns]
        return Block(start, stop, eligible, value, tuple(columns))

    def blocks(self) -> Iterator[Block]:
        """Yield all nodes in blocks of bounded size."""
        step = max(1, BLOCK_CELLS // max(self.n_reps, 1))
        for start in range(0, self.n_nodes, step):
            yield self.block(start, min(start + step, self.n_nodes))

    def _quantity(self, name: str, accounts: IntArray, facts: Facts) -> FloatArray:
        """Return quantity ``name`` as (n, 1) if it is the account's own, or (n, n_reps) if the pair's."""
        if name == "hours":
            workload = self.problem.accounts["workload"].to_numpy(float)[accounts, None]
            return np.asarray(workload + facts.travel_hours)
        if name == "net_sales":
            return facts.net_sales
        if name == "variance":
            return self.estimate.variance[accounts, None]
        if name == "moved_accounts":
            return facts.moved.astype(float)
        if name == "moved_sales":
            return np.where(facts.moved, self.current_sales[accounts, None], 0.0)
        if name.startswith("covered: "):
            column = next(c for c in self.skills.coverage if f"covered: {c.name}" == name)
            cell = column.cell[accounts]
            served = column.has_all[cell] & column.names_any[cell][:, None]
            return np.asarray(served * self.problem.accounts["potential"].to_numpy(float)[accounts, None])
        return self.problem.accounts[name].to_numpy(float)[accounts, None]

    def _fit_factor(self, fit: FloatArray, incumbent: IntArray) -> FloatArray:
        """Sales under each rep relative to sales under the incumbent, from fit alone."""
        lift = self.problem.policy.territories.skills.fit_lift
        own = np.take_along_axis(fit, np.maximum(incumbent, 0)[:, None], axis=1)
        reference = np.where((incumbent >= 0)[:, None], own, NEUTRAL_FIT)
        factor = (1.0 + lift * fit) / (1.0 + lift * reference)
        return np.where(np.isnan(fit), 1.0, factor)

    def _rules(self) -> tuple[IntArray, IntArray]:
        """Return the rep each account is locked to (or -1) and the forbidden (account, rep) positions."""
        rules = self.problem.rules
        account = self.account_index.get_indexer(rules["account_id"])
        rep = self.rep_index.get_indexer(rules["rep_id"])
        lock = (rules["rule"] == "lock").to_numpy(bool)
        locked = np.full(self.problem.n_accounts, -1, dtype=np.int64)
        locked[account[lock]] = rep[lock]
        return locked, np.column_stack([account[~lock], rep[~lock]]).astype(np.int64)

    def _family_positions(self) -> BoolArray:
        """Positions in ``order`` that belong to a node of more than one account."""
        size = np.diff(self.node_start)
        return np.repeat(size > 1, size)

    def _family_allows(self, node: int) -> BoolArray:
        """Reps allowed by every member of a family node, (n_reps,)."""
        members = self.order[self.node_start[node] : self.node_start[node + 1]]
        lat, lon, home_lat, home_lon = self._place
        distance = distance_km(lat[members, None], lon[members, None], home_lat[None, :], home_lon[None, :])
        excluded = np.zeros((len(members), self.n_reps), dtype=bool)
        for _, mask in self.drop_reasons(members, distance):
            excluded |= mask
        return np.asarray(~excluded.any(axis=0))


def _nodes(family: pd.Series[str]) -> tuple[IntArray, IntArray]:
    """Return accounts in node order (a family stands where its first account does) and where each node starts."""
    n = len(family)
    codes, _ = pd.factorize(family.where(family != "", None))
    first = np.arange(n)
    known = codes >= 0
    if known.any():
        earliest = np.full(codes.max() + 1, n)
        np.minimum.at(earliest, codes[known], first[known])
        first = np.where(known, earliest[codes], first)
    order = np.argsort(first, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(first[order]) != 0])
    return order.astype(np.int64), np.append(starts, n).astype(np.int64)
