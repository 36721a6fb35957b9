"""The model of one problem: pairs with their money value, and rows. Solver and judge both start here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.errors import DataError, Issue
from territory_opt.estimate.expected import Estimate, estimate_sales
from territory_opt.intake.checks import row_of
from territory_opt.model.hierarchy import Hierarchy
from territory_opt.model.pairs import BLOCK_CELLS, PairSource
from territory_opt.model.presence import share_targets, typical_credit
from territory_opt.model.quantities import taken_names
from territory_opt.model.rows import Rows
from territory_opt.model.rules import build_rows, rounding_slack
from territory_opt.problem.numbers import TINY
from territory_opt.problem.problem import Problem
from territory_opt.words import listed

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NAMED_ACCOUNTS = 20
"""Accounts without any eligible rep that are named rep by rep in the message; enough to see why, few enough to read."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Eligible pairs in node order (CSR): ``start`` (n_nodes + 1,), ``rep``, ``value``; ``quantities`` (K, n_pairs)."""

    start: IntArray
    rep: IntArray | npt.NDArray[np.int32]
    value: FloatArray
    quantities: FloatArray

    @property
    def node(self) -> IntArray:
        """Node of each pair."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    @property
    def place(self) -> IntArray:
        """Place of each pair in the list of its node, (n_pairs,), from 0."""
        return np.arange(len(self.rep)) - self.start[self.node]

    def place_by(self, figure: FloatArray) -> IntArray:
        """Place of each pair among those of its node by a ``figure`` of each, smallest first: (n_pairs,), from 0."""
        order = np.lexsort((figure, self.node))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = self.place
        return place

    def keep(self, mask: npt.NDArray[np.bool_]) -> Pairs:
        """Return the pairs where ``mask`` holds."""
        count = np.bincount(self.node[mask], minlength=len(self.start) - 1)
        start = np.concatenate([[0], np.cumsum(count)])
        return Pairs(start, self.rep[mask], self.value[mask], self.quantities[:, mask])


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that decides what a plan is worth: pairs on demand, rows, shares, hierarchy.

    ``estimate``: what to expect of accounts; ``source``: pairs of account and rep; ``rows``: the rules; ``hierarchy``:
    managers and their reps; ``share`` (n_reps,): each rep's fair share of the company, adding up to 1.
    ``kappa`` is fair quota per unit of :meth:`fair_base` (0 without quotas); it is data, carried by the plan.
    """

    problem: Problem
    estimate: Estimate
    source: PairSource
    rows: Rows
    hierarchy: Hierarchy
    share: FloatArray
    kappa: float

    @classmethod
    def build(cls, problem: Problem, kappa: float | None = None) -> Model:
        """Build the model.

        Raise :class:`DataError` naming every account that no rep may serve, or a metric named like a quantity.
        """
        taken = taken_names(problem)
        if taken:
            raise DataError(taken)
        estimate = estimate_sales(problem)
        hierarchy = Hierarchy.from_problem(problem)
        if kappa is None:
            kappa = first_kappa(problem, estimate, hierarchy)
        rows = build_rows(problem, estimate, hierarchy, kappa)
        source = PairSource(problem, estimate, rows.quantities)
        model = cls(problem, estimate, source, rows, hierarchy, share_targets(problem), kappa)
        model._require_eligible()
        return model

    def with_kappa(self, kappa: float) -> Model:
        """Return the same model with another fair quota per unit of expected sales."""
        rows = build_rows(self.problem, self.estimate, self.hierarchy, kappa)
        return replace(self, rows=rows, kappa=kappa)

    def __repr__(self) -> str:
        size = f"{self.problem.n_accounts:,} accounts · {self.problem.n_reps:,} reps · {len(self.rows):,} rows"
        return f"Model({size}{f' · kappa {self.kappa:.6g}' if self.has_quotas else ''})"

    @property
    def has_quotas(self) -> bool:
        """Whether the policy asks for quotas."""
        return self.problem.policy.quotas.target is not None

    def fair_base(self, totals: FloatArray) -> FloatArray:
        """What fair quotas are in proportion to, (n_reps,) money, for rep totals (n_reps, n_quantities).

        Expected sales that the rep is credited with, or the basis of the policy's method with each rep's part of what
        is shared out equally.
        """
        basis = self.estimate.basis
        if basis is None:
            return np.asarray(totals[:, self.source.names.index("credited_sales")])
        return np.asarray(totals[:, self.source.names.index("quota_basis")] + basis.equal * self.share)

    @property
    def quota_limit(self) -> FloatArray:
        """Largest quota each rep could have under the company target, (n_reps,): no quota is negative."""
        if not self.has_quotas:
            return np.zeros(self.problem.n_reps)
        quotas = self.problem.policy.quotas
        most = float(quotas.target or 0.0) + rounding_slack(quotas.step, self.hierarchy, 0)
        return np.array([most * self.hierarchy.compound(j) for j in range(self.problem.n_reps)])

    @property
    def quota_reach(self) -> FloatArray:
        """As :attr:`quota_limit` when hard rules may be broken, (n_reps,): no floor asks for more than this."""
        reach = self.quota_limit.copy()
        for row in self.rows.items:
            if len(row.quotas) == 1 and not row.totals and np.isfinite(row.low):
                ((j, coefficient),) = row.quotas.items()
                reach[j] = max(reach[j], row.low / coefficient)
        return reach

    def pairs(self) -> Pairs:
        """Return all eligible pairs at once: for sizes where they fit."""
        counts, reps, values = [], [], []
        columns: list[list[FloatArray]] = [[] for _ in self.source.quantities]
        for block in self.source.blocks():
            mask = block.eligible
            counts.append(mask.sum(axis=1))
            reps.append(np.nonzero(mask)[1])
            values.append(block.value[mask])
            for column, quantity in zip(columns, block.quantities, strict=True):
                column.append(np.broadcast_to(quantity, mask.shape)[mask])
        start = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        stacked = np.array([np.concatenate(column) for column in columns]).reshape(len(columns), int(start[-1]))
        return Pairs(start, np.concatenate(reps), np.concatenate(values), stacked)

    def totals(self, rep_of_node: IntArray) -> tuple[FloatArray, float]:
        """Return rep totals (n_reps, n_quantities) and the summed value of an assignment (n_nodes,)."""
        n_reps, n_quantities = self.problem.n_reps, len(self.source.quantities)
        totals, value = np.zeros((n_reps, n_quantities)), 0.0
        rep = rep_of_node[self.source.nodes.of_account]
        for start in range(0, len(rep), BLOCK_CELLS):
            accounts = np.arange(start, min(start + BLOCK_CELLS, len(rep)))
            worth, columns = self.source.chosen(accounts, rep[accounts])
            value += float(worth.sum())
            for k, column in enumerate(columns):
                totals[:, k] += np.bincount(rep[accounts], column, minlength=n_reps)
        return totals, value

    def row_matrix(self, pairs: Pairs, rows: Rows | None = None) -> sparse.csr_matrix:
        """Return the weights of ``rows`` (all of the model's by default) over pairs, CSR (n_rows, n_pairs)."""
        rows = self.rows if rows is None else rows
        n_quantities, n_pairs = pairs.quantities.shape
        column = np.repeat(np.arange(n_pairs), n_quantities)
        slot = (pairs.rep[:, None] * n_quantities + np.arange(n_quantities)[None, :]).ravel()
        shape = (self.problem.n_reps * n_quantities, n_pairs)
        spread = sparse.csr_matrix((pairs.quantities.T.ravel(), (slot, column)), shape=shape)
        matrix = (rows.totals @ spread).tocsr()
        matrix.eliminate_zeros()
        return matrix

    def _require_eligible(self) -> None:
        """Raise if some node has no eligible rep, naming for each the rule that excludes each rep."""
        orphans = [int(account) for account in self.source.orphans()]
        if orphans:
            raise DataError([self._orphan_issue(account) for account in orphans])

    def _orphan_issue(self, account: int) -> Issue:
        row = self.problem.accounts.iloc[account]
        node = self.source.nodes.of_account[account]
        members = self.source.nodes.members(node)
        distance = self.source.eligibility.distance_km(members)
        why: dict[str, list[str]] = {}
        for reason, excluded in self.source.eligibility.drop_reasons(members, distance):
            for j in np.flatnonzero(excluded.any(axis=0)):
                why.setdefault(reason, []).append(str(self.problem.reps["rep_id"].iloc[j]))
        rules = "; ".join(f"{reason}: {listed(reps, most=NAMED_ACCOUNTS)}" for reason, reps in why.items())
        whom = f' (with its family "{row["family"]}")' if len(members) > 1 else ""
        table, key = str(self.problem.accounts.attrs.get("file", "accounts")), str(row["account_id"])
        problem, fix = f"{row['name']}{whom} has no eligible rep: {rules}", _ways_out(why, len(members) > 1)
        return Issue("error", table, row_of(account), "account_id", key, problem, fix)


def first_kappa(problem: Problem, estimate: Estimate, hierarchy: Hierarchy) -> float:
    """Fair quota per unit of expected sales before any plan is known: hedged target over all expected sales."""
    if problem.policy.quotas.target is None:
        return 0.0
    basis, share = estimate.basis, share_targets(problem)
    follows = float(estimate.expected.sum()) if basis is None else float(basis.amounts.sum())
    equal = 0.0 if basis is None else basis.equal
    return fair_kappa(problem, hierarchy, share * (follows * typical_credit(problem, estimate) + equal))


def fair_kappa(problem: Problem, hierarchy: Hierarchy, base: FloatArray) -> float:
    """Fair quota per unit of ``base`` (n_reps,), see :meth:`Model.fair_base`: kappa x base meets the target."""
    compound = np.array([hierarchy.compound(j) for j in range(problem.n_reps)])
    return float((problem.policy.quotas.target or 0.0) / max(float((base / compound).sum()), TINY))


def _ways_out(why: dict[str, list[str]], in_family: bool) -> str:
    """What could give an account a rep, for the reps that each reason excludes: the one that excludes most first."""
    ways = {
        "home is more": "raise territories.travel.max_distance_km",
        "lacks": "give a rep the skill",
        "the account is locked": "drop the lock",
        "a forbid rule": "drop a forbid rule",
    }
    worst = sorted(why, key=lambda reason: -len(why[reason]))
    named = dict.fromkeys(way for reason in worst for start, way in ways.items() if reason.startswith(start))
    return ", or ".join([*named, *(["take the account out of its family"] if in_family else [])])
