"""Account-rep pairs: who may serve whom, what it is worth, what it adds to each quantity.

NumPy only, as the judge reads it. Nothing here holds accounts x reps at once: a *block* covers a slice of nodes (an
account, or the accounts of one family) against all reps. A *quantity* is anything a rule adds up per rep: potential,
hours, sales, moves. Arrays keep their smallest shape: what does not depend on the rep is (n, 1) and broadcasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.estimate.expected import Estimate
from territory_opt.estimate.methods import QUOTA_BASIS
from territory_opt.geography.sphere import DISTANCE_SLACK_KM, distance_km, unit_vectors
from territory_opt.model.presence import credit
from territory_opt.model.skills import SkillTables
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_T = TypeVar("_T")
_N = TypeVar("_N", bound=np.generic)

BLOCK_CELLS = 65_536
"""Pairs per block: small enough for the cache, large enough for NumPy."""

NEUTRAL_FIT = 0.5
"""Fit against which an account without incumbent is compared."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of pairs: of a slice of accounts with all reps, arrays (n, n_reps), or of single pairs, (n,)."""

    eligible: BoolArray
    distance_km: FloatArray
    fit: FloatArray
    gross_sales: FloatArray
    transfer_loss: FloatArray
    travel_cost: FloatArray
    travel_hours: FloatArray
    moved: BoolArray
    credit: FloatArray

    @property
    def net_sales(self) -> FloatArray:
        """Expected sales after transfer loss, money per year."""
        return np.maximum(self.gross_sales - self.transfer_loss, 0.0)

    @property
    def credited_sales(self) -> FloatArray:
        """Part of the net sales that counts for the rep: what comes while the rep is there, money per year."""
        return self.net_sales * self.credit

    def full(self) -> Facts:
        """Return the same with every array in the full shape (views, not copies)."""
        shape = self.distance_km.shape
        return Facts(*(np.broadcast_to(getattr(self, name), shape) for name in self.__slots__))


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


@dataclass(frozen=True, slots=True)
class Classes:
    """Accounts with the same needs are one class: ``of_account`` (n,), one ``example`` (position) of each.

    ``allowed`` (n_classes, n_reps) by required skills alone; ``factor`` (n_classes, n_reps) of sales by fit.
    """

    of_account: IntArray
    example: IntArray
    allowed: BoolArray
    factor: FloatArray


class PairSource:
    """Computes pairs on demand from the columns of accounts and reps."""

    def __init__(self, problem: Problem, estimate: Estimate, quantities: tuple[str, ...]) -> None:
        self.problem = problem
        self.estimate = estimate
        self.quantities = quantities
        self.skills = SkillTables.from_problem(problem)
        accounts, reps, travel = problem.accounts, problem.reps, problem.policy.territories.travel
        self.n_reps = problem.n_reps
        self.rep_index = pd.Index(reps["rep_id"])
        self.account_index = pd.Index(accounts["account_id"])
        self.incumbent = self.rep_index.get_indexer(accounts["incumbent"])
        self.current_sales = accounts["current_sales"].to_numpy(float)
        self.unit_vectors = tuple(unit_vectors(t["lat"].to_numpy(float), t["lon"].to_numpy(float))
                                  for t in (accounts, reps))  # fmt: skip
        self.road_per_km = 2.0 * accounts["visits"].to_numpy(float) * travel.detour
        part = problem.policy.period.part
        self.cost_per_km = part * (travel.cost_per_km + travel.cost_per_hour / travel.speed_kmh)
        self.loss_rate = part * problem.policy.territories.keep.loss_rate
        self.locked, self.forbidden = self._rules()
        self.credit = self._credit()
        self.all_there = bool((self.credit == 1.0).all())
        self._any_locked = bool((self.locked >= 0).any())
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

    @cached_property
    def gross_base(self) -> FloatArray:
        """Expected sales at a factor of 1, (n_accounts,): :attr:`Classes.factor` of the rep turns them into gross."""
        lift, skills = self.problem.policy.territories.skills.fit_lift, self.skills
        if not skills.preferred:
            return self.estimate.expected
        everyone = np.arange(self.problem.n_accounts)
        own = skills.fit(everyone, np.maximum(self.incumbent, 0))
        reference = 1.0 + lift * np.where(self.incumbent >= 0, own, NEUTRAL_FIT)
        return np.asarray(self.estimate.expected / np.where(np.isnan(own), 1.0, reference))

    @cached_property
    def classes(self) -> Classes:
        """Accounts grouped by their needs. Cost: classes x reps."""
        columns = {column.name: column.cell for column in self.skills.all_columns}
        if not columns:
            return Classes(np.zeros(self.problem.n_accounts, np.int64), np.zeros(1, np.int64),
                           np.ones((1, self.n_reps), bool), np.ones((1, self.n_reps)))  # fmt: skip
        cells = np.column_stack(list(columns.values()))
        _, example, of_account = np.unique(cells, axis=0, return_index=True, return_inverse=True)
        allowed = np.ones((len(example), self.n_reps), dtype=bool)
        for column in self.skills.required:
            allowed &= column.has_all[column.cell[example]]
        factor = np.broadcast_to(self._factor(self.skills.fit(example)), allowed.shape).copy()
        return Classes(of_account.ravel().astype(np.int64), example, allowed, factor)

    @cached_property
    def common_sales(self) -> FloatArray:
        """Sales each account brings whichever eligible rep has it, (n_accounts,)."""
        if not self.skills.preferred:
            return self.estimate.expected
        classes, common = self.classes, np.zeros(self.problem.n_accounts)
        least = np.where(classes.allowed, classes.factor, np.inf).min(axis=1)
        common[:] = self.gross_base * np.where(np.isfinite(least), least, 0.0)[classes.of_account]

        for accounts in self._special_chunks():
            facts = self._facts(accounts, None)
            lowest = np.where(facts.eligible, facts.gross_sales, np.inf).min(axis=1)
            common[accounts] = np.where(np.isfinite(lowest), lowest, 0.0)
        return common

    def _credit(self) -> FloatArray:
        """Part of an account's sales that counts for each rep, (n_segments, n_reps)."""
        if self.problem.policy.quotas.target is None:
            return np.ones((len(self.estimate.seasonality), self.n_reps))
        return credit(self.problem, self.estimate)

    def orphans(self) -> IntArray:
        """Accounts that start a node which no rep may serve."""
        classes = self.classes
        nobody = ~np.asarray(classes.allowed.any(axis=1))[classes.of_account]
        for accounts in self._special_chunks():
            distance = self.distance_km(accounts) if self.limit_km < np.inf else np.zeros((1, 1))
            allowed = np.broadcast_to(self.eligible(accounts, distance), (len(accounts), self.n_reps))
            nobody[accounts] = ~allowed.any(axis=1)
        return np.unique(self.order[self.node_start[self.node_of_account[np.flatnonzero(nobody)]]])

    def distance_km(self, accounts: IntArray, reps: IntArray | None = None) -> FloatArray:
        """Distance of ``accounts`` (positions) to every rep, (n, n_reps), or to ``reps``, (n,)."""
        place, home = self.unit_vectors
        if reps is not None:
            return distance_km(place[accounts], home[reps])
        return distance_km(place[accounts][:, None, :], home[None, :, :])

    def facts(self, accounts: IntArray, reps: IntArray | None = None) -> Facts:
        """Return what is known of ``accounts`` (positions) with every rep, or each with its own of ``reps``."""
        return self._facts(accounts, reps).full()

    def _facts(self, accounts: IntArray, reps: IntArray | None) -> Facts:
        territories = self.problem.policy.territories
        against = np.arange(self.n_reps)[None, :] if reps is None else reps
        distance = self.distance_km(accounts, reps)
        road = _column(self.road_per_km[accounts], reps) * distance
        fit = self.skills.fit(accounts, reps)
        incumbent = self.incumbent[accounts]
        gross = _column(self.gross_base[accounts], reps) * self._factor(fit)
        nobody = _column(np.zeros(len(accounts)), reps)
        moved, loss = nobody.astype(bool), nobody
        if (incumbent >= 0).any():
            moved = _column(incumbent >= 0, reps) & (_column(incumbent, reps) != against)
            own = np.maximum(incumbent, 0)
            likeness = self.skills.likeness[own] if reps is None else self.skills.likeness[own, reps]
            keep = territories.keep
            rate = self.loss_rate * (1.0 - keep.similar_skill_discount * likeness)
            loss = np.where(moved, rate * _column(self.current_sales[accounts], reps), 0.0)
        return Facts(
            credit=self._credit_of(accounts, reps),
            eligible=self.eligible(accounts, distance, reps),
            distance_km=distance,
            fit=fit,
            gross_sales=gross,
            transfer_loss=np.minimum(loss, gross),
            travel_cost=road * self.cost_per_km,
            travel_hours=road * (1.0 / territories.travel.speed_kmh),
            moved=moved,
        )

    def _credit_of(self, accounts: IntArray, reps: IntArray | None) -> FloatArray:
        if self.all_there:
            return np.ones((1, 1) if reps is None else 1)
        segment = self.estimate.segment[accounts]
        return self.credit[segment] if reps is None else self.credit[segment, reps]

    @property
    def limit_km(self) -> float:
        """Distance above which a pair does not exist; infinite without a rule."""
        limit = self.problem.policy.territories.travel.max_distance_km
        return np.inf if limit is None else limit + DISTANCE_SLACK_KM

    def drop_reasons(
        self, accounts: IntArray, distance: FloatArray, reps: IntArray | None = None
    ) -> Iterator[tuple[str, BoolArray]]:
        """Yield each rule that can exclude a pair, in planner words, with the pairs it excludes; as :meth:`facts`."""
        against = np.arange(self.n_reps)[None, :] if reps is None else reps
        for column in self.skills.required:
            has_all = column.has_all[column.cell[accounts]] if reps is None else column.has_all[
                column.cell[accounts], reps]  # fmt: skip
            yield f"lacks the required {column.name}", ~has_all
        if self.limit_km < np.inf:
            named = self.problem.policy.territories.travel.max_distance_km
            yield f"home is more than {named:g} km away", distance > self.limit_km
        locked = self.locked[accounts]
        if self._any_locked:
            mask = _column(locked >= 0, reps) & (_column(locked, reps) != against)
            yield "the account is locked to another rep", mask
        if len(self.forbidden):
            yield "a forbid rule names this rep", self._forbids(accounts, reps)

    def _forbids(self, accounts: IntArray, reps: IntArray | None) -> BoolArray:
        if reps is not None:
            return np.isin(accounts * self.n_reps + reps, self.forbidden[:, 0] * self.n_reps + self.forbidden[:, 1])
        at = pd.Index(accounts).get_indexer(pd.Index(self.forbidden[:, 0]))
        mask = np.zeros((len(accounts), self.n_reps), dtype=bool)
        mask[at[at >= 0], self.forbidden[at >= 0, 1]] = True
        return mask

    def eligible(self, accounts: IntArray, distance: FloatArray, reps: IntArray | None = None) -> BoolArray:
        """Return which reps may serve each account; a family is served only by reps who may serve all of it.

        The shape is that of :meth:`facts` or broadcasts to it.
        """
        allowed = np.ones((1, 1) if reps is None else 1, dtype=bool)
        for _, excluded in self.drop_reasons(accounts, distance, reps):
            allowed = allowed & ~excluded
        kin = np.flatnonzero(self._in_family[accounts])
        if len(kin):
            shape = (len(accounts), self.n_reps) if reps is None else (len(accounts),)
            allowed = np.broadcast_to(allowed, shape).copy()
            for at in kin:
                by_all = self._family_allows(int(self.node_of_account[accounts[at]]))
                allowed[at] &= by_all if reps is None else by_all[reps[at]]
        return allowed

    def block(self, start: int, stop: int) -> Block:
        """Return the pairs of nodes ``start:stop``."""
        accounts = self.order[self.node_start[start] : self.node_start[stop]]
        facts = self._facts(accounts, None)
        value, columns = self._worth(accounts, facts, None)
        eligible = facts.eligible
        if len(accounts) > stop - start:
            edges = self.node_start[start:stop] - self.node_start[start]
            if len(eligible) == len(accounts):
                eligible = np.logical_and.reduceat(eligible, edges, axis=0)
            value = np.add.reduceat(value, edges, axis=0)
            columns = [np.add.reduceat(column, edges, axis=0) for column in columns]
        return Block(start, stop, np.broadcast_to(eligible, value.shape), value, tuple(columns))

    def chosen(self, accounts: IntArray, reps: IntArray) -> tuple[FloatArray, list[FloatArray]]:
        """Return value and quantities of ``accounts`` (positions), each with its own of ``reps``, (n,) each."""
        return self._worth(accounts, self._facts(accounts, reps), reps)

    def _worth(self, accounts: IntArray, facts: Facts, reps: IntArray | None) -> tuple[FloatArray, list[FloatArray]]:
        surplus = facts.net_sales - _column(self.common_sales[accounts], reps)
        value = self.problem.policy.territories.margin * surplus - facts.travel_cost
        return value, [self._quantity(name, accounts, facts, reps) for name in self.quantities]

    def blocks(self) -> Iterator[Block]:
        """Yield all nodes in blocks of bounded size."""
        for start, stop in self._ranges():
            yield self.block(start, stop)

    def over_blocks(self, work: Callable[[Block], _T], *, threads: int = 2) -> Iterator[_T]:
        """Yield ``work`` of every block in order, computed by a few threads: NumPy lets them run side by side."""
        with ThreadPoolExecutor(max_workers=threads) as pool:
            yield from pool.map(lambda part: work(self.block(*part)), self._ranges())

    @property
    def _block_rows(self) -> int:
        """Nodes or accounts whose pairs with all reps fit a block."""
        return max(1, BLOCK_CELLS // max(self.n_reps, 1))

    def _ranges(self) -> list[tuple[int, int]]:
        step = self._block_rows
        return [(start, min(start + step, self.n_nodes)) for start in range(0, self.n_nodes, step)]

    def _special_chunks(self) -> list[IntArray]:
        """Accounts whose eligible reps do not follow from their class alone, in chunks that fit a block."""
        special = (self.locked >= 0) | self._in_family | (self.limit_km < np.inf)
        special[self.forbidden[:, 0]] = True
        accounts, step = np.flatnonzero(special), self._block_rows
        return [accounts[first : first + step] for first in range(0, len(accounts), step)]

    def _quantity(self, name: str, accounts: IntArray, facts: Facts, reps: IntArray | None) -> FloatArray:
        """Return quantity ``name`` as in :meth:`_facts`: (n, 1) if it is the account's own and reps are all."""
        if name == "hours":
            return np.asarray(_column(self._own("workload", accounts), reps) + facts.travel_hours)
        if name == "credited_sales":
            return facts.credited_sales
        if name == QUOTA_BASIS and self.estimate.basis is not None:
            return _column(self.estimate.basis.amounts[accounts], reps) * facts.credit
        if name == "variance":
            return _column(self.estimate.variance[accounts], reps) * facts.credit
        if name == "moved_accounts":
            return facts.moved.astype(float)
        if name == "moved_sales":
            return np.where(facts.moved, _column(self.current_sales[accounts], reps), 0.0)
        if name.startswith("covered: "):
            column = next(c for c in self.skills.coverage if f"covered: {c.name}" == name)
            cell = column.cell[accounts]
            has_all = column.has_all[cell] if reps is None else column.has_all[cell, reps]
            served = has_all & _column(column.names_any[cell], reps)
            return np.asarray(served * _column(self._own("potential", accounts), reps))
        return _column(self._own(name, accounts), reps)

    def _own(self, name: str, accounts: IntArray) -> FloatArray:
        return self.problem.accounts[name].to_numpy(float)[accounts]

    def _factor(self, fit: FloatArray) -> FloatArray:
        """Sales of a pair relative to :attr:`gross_base`, from fit alone; 1 where an account names no skill."""
        lift = self.problem.policy.territories.skills.fit_lift
        return np.where(np.isnan(fit), 1.0, 1.0 + lift * fit)

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
        excluded = np.zeros((len(members), self.n_reps), dtype=bool)
        for _, mask in self.drop_reasons(members, self.distance_km(members)):
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


def _column(values: npt.NDArray[_N], reps: IntArray | None) -> npt.NDArray[_N]:
    """Account values as a column against all reps, or as they are against one rep each."""
    return values[:, None] if reps is None else values
