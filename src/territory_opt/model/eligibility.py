"""Which rep may serve which account: required skills, distance, locks, forbids; families stand and fall together.

An account, or the accounts of one family, is a *node*: what one rep gets as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.geography.sphere import DISTANCE_SLACK_KM, distance_km
from territory_opt.model.quantities import column
from territory_opt.model.skills import SkillTables
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nodes:
    """Accounts in node order: node i holds ``order[start[i]:start[i + 1]]``; ``of_account`` (n_accounts,) its node."""

    order: IntArray
    start: IntArray
    of_account: IntArray

    @classmethod
    def of(cls, family: pd.Series[str]) -> Nodes:
        """Group accounts by ``family`` (empty: none); a family stands where its first account does."""
        n = len(family)
        codes, _ = pd.factorize(family.where(family != "", None))
        first = np.arange(n)
        known = codes >= 0
        if known.any():
            earliest = np.full(codes.max() + 1, n)
            np.minimum.at(earliest, codes[known], first[known])
            first = np.where(known, earliest[codes], first)
        order = np.argsort(first, kind="stable").astype(np.int64)
        start = np.append(np.flatnonzero(np.r_[True, np.diff(first[order]) != 0]), n).astype(np.int64)
        of_account = np.empty(n, dtype=np.int64)
        of_account[order] = np.repeat(np.arange(len(start) - 1), np.diff(start))
        return cls(order, start, of_account)

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def in_family(self) -> BoolArray:
        """Whether an account is not alone in its node, (n_accounts,)."""
        return np.asarray(np.diff(self.start)[self.of_account] > 1)

    @property
    def first(self) -> IntArray:
        """The first account of each node, (n_nodes,)."""
        return self.order[self.start[:-1]]

    def members(self, node: int) -> IntArray:
        """Accounts of a node."""
        return self.order[self.start[node] : self.start[node + 1]]


class Eligibility:
    """Answers who may serve whom; ``places`` and ``homes`` are unit vectors, (n_accounts, 3) and (n_reps, 3)."""

    def __init__(
        self, problem: Problem, skills: SkillTables, nodes: Nodes, places: FloatArray, homes: FloatArray
    ) -> None:
        self.problem, self.skills, self.nodes = problem, skills, nodes
        self.places, self.homes, self.n_reps = places, homes, problem.n_reps
        self.locked, self.forbidden = _rules(problem)
        self._any_locked = bool((self.locked >= 0).any())
        self._in_family = nodes.in_family

    @property
    def limit_km(self) -> float:
        """Distance above which a pair does not exist; infinite without a rule."""
        limit = self.problem.policy.territories.travel.max_distance_km
        return np.inf if limit is None else limit + DISTANCE_SLACK_KM

    @property
    def special(self) -> IntArray:
        """Accounts whose eligible reps do not follow from their needs alone."""
        special = (self.locked >= 0) | self._in_family | (self.limit_km < np.inf)
        special[self.forbidden[:, 0]] = True
        return np.flatnonzero(special)

    def distance_km(self, accounts: IntArray, reps: IntArray | None = None) -> FloatArray:
        """Distance of ``accounts`` (positions) to every rep, (n, n_reps), or to ``reps``, (n,)."""
        if reps is not None:
            return distance_km(self.places[accounts], self.homes[reps])
        return distance_km(self.places[accounts][:, None, :], self.homes[None, :, :])

    def drop_reasons(
        self, accounts: IntArray, distance: FloatArray, reps: IntArray | None = None
    ) -> Iterator[tuple[str, BoolArray]]:
        """Yield each rule that can exclude a pair, in planner words, with the pairs it excludes.

        Of ``accounts`` (positions) with every rep, (n, n_reps), or each with its own of ``reps``, (n,).
        """
        against = np.arange(self.n_reps)[None, :] if reps is None else reps
        for skill in self.skills.required:
            cell = skill.cell[accounts]
            has_all = skill.has_all[cell] if reps is None else skill.has_all[cell, reps]
            yield f"lacks the required {skill.name}", ~has_all
        if self.limit_km < np.inf:
            named = self.problem.policy.territories.travel.max_distance_km
            yield f"home is more than {named:g} km away", distance > self.limit_km
        locked = self.locked[accounts]
        if self._any_locked:
            mask = column(locked >= 0, reps) & (column(locked, reps) != against)
            yield "the account is locked to another rep", mask
        if len(self.forbidden):
            yield "a forbid rule names this rep", self._forbids(accounts, reps)

    def of(self, accounts: IntArray, distance: FloatArray, reps: IntArray | None = None) -> BoolArray:
        """Return which reps may serve each account; a family is served only by reps who may serve all of it.

        The shape is that of :meth:`drop_reasons` or broadcasts to it.
        """
        allowed = np.ones((1, 1) if reps is None else 1, dtype=bool)
        for _, excluded in self.drop_reasons(accounts, distance, reps):
            allowed = allowed & ~excluded
        kin = np.flatnonzero(self._in_family[accounts])
        if len(kin):
            shape = (len(accounts), self.n_reps) if reps is None else (len(accounts),)
            allowed = np.broadcast_to(allowed, shape).copy()
            for at in kin:
                by_all = self._family_allows(int(self.nodes.of_account[accounts[at]]))
                allowed[at] &= by_all if reps is None else by_all[reps[at]]
        return allowed

    def _forbids(self, accounts: IntArray, reps: IntArray | None) -> BoolArray:
        if reps is not None:
            return np.isin(accounts * self.n_reps + reps, self.forbidden[:, 0] * self.n_reps + self.forbidden[:, 1])
        at = pd.Index(accounts).get_indexer(pd.Index(self.forbidden[:, 0]))
        mask = np.zeros((len(accounts), self.n_reps), dtype=bool)
        mask[at[at >= 0], self.forbidden[at >= 0, 1]] = True
        return mask

    def _family_allows(self, node: int) -> BoolArray:
        """Reps allowed by every member of a family node, (n_reps,)."""
        members = self.nodes.members(node)
        excluded = np.zeros((len(members), self.n_reps), dtype=bool)
        for _, mask in self.drop_reasons(members, self.distance_km(members)):
            excluded |= mask
        return np.asarray(~excluded.any(axis=0))


def _rules(problem: Problem) -> tuple[IntArray, IntArray]:
    """Return the rep each account is locked to (or -1) and the forbidden (account, rep) positions, (n, 2)."""
    rules = problem.rules
    account = pd.Index(problem.accounts["account_id"]).get_indexer(rules["account_id"])
    rep = pd.Index(problem.reps["rep_id"]).get_indexer(rules["rep_id"])
    lock = (rules["rule"] == "lock").to_numpy(bool)
    locked = np.full(problem.n_accounts, -1, dtype=np.int64)
    locked[account[lock]] = rep[lock]
    return locked, np.column_stack([account[~lock], rep[~lock]]).astype(np.int64)
