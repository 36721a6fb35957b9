"""The mixed-integer model as arrays: variables, constraints and objective of one problem.

Variables, in this order: x (one per pair), q (one per rep), then for each row a part below and a part above its
limits, and one largest part per rule with a worst price. Everything is scaled: rows by their scale, quotas by an
average quota, money by ``money``; :meth:`LinearModel.multipliers` turns duals back into money per unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows
from territory_opt.plan.cuts import NONE, RoundedCuts

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_PER_UNIT = 1e15
"""A violation costs a solver at most so much, in units of an average pair's value: SCIP and HiGHS take less than 1e20,
and beside 1e15 all else is lost in the last digit of a double. A cheaper violation only loosens the model's bound."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Maximise ``cost @ y`` subject to ``low <= matrix @ y <= high`` and column limits.

    The first ``n_nodes`` constraints assign each node once; the next are the rows in order.
    """

    pairs: Pairs
    rows: Rows
    cost: FloatArray
    matrix: sparse.csr_matrix
    low: FloatArray
    high: FloatArray
    column_low: FloatArray
    column_high: FloatArray
    integer: npt.NDArray[np.bool_]
    money: float
    quota_unit: float

    @property
    def n_nodes(self) -> int:
        """Number of assignment constraints."""
        return len(self.pairs.start) - 1

    @property
    def n_pairs(self) -> int:
        """Number of x variables."""
        return len(self.pairs.rep)

    def whole_only(self, whole: npt.NDArray[np.bool_]) -> LinearModel:
        """Return the model in which only some nodes are ``whole`` (n_nodes,); all others may be shared."""
        integer = self.integer.copy()
        integer[: self.n_pairs] &= whole[self.pairs.node]
        return replace(self, integer=integer)

    def shared_before(self, gone: FloatArray) -> LinearModel:
        """Return the model in which a part of each node, ``gone`` (n_nodes,), has its place elsewhere."""
        left = (
            np.concatenate([1.0 - gone, self.low[self.n_nodes :]]),
            np.concatenate([1.0 - gone, self.high[self.n_nodes :]]),
        )
        return replace(self, low=left[0], high=left[1])

    def with_cuts(self, coefficients: sparse.csr_matrix, cuts: RoundedCuts) -> LinearModel:
        """Return the model with rounding cuts of ``coefficients`` (n_cuts, n_pairs) as its last constraints."""
        n_cuts, n_rows = len(cuts), len(self.rows)
        slacks = []
        for side in (-1, 1):
            cut, m = np.nonzero((cuts.rows != NONE) & (cuts.sides == side))
            row = cuts.rows[cut, m]
            taken = -cuts.outside[cut, m] * self.rows.scale[row]
            slacks.append(sparse.csr_matrix((taken, (cut, row)), shape=(n_cuts, n_rows)))
        n_worst = len(self.rows.worst_price)
        none = sparse.csr_matrix((n_cuts, self.rows.n_reps)), sparse.csr_matrix((n_cuts, n_worst))
        more = sparse.hstack([coefficients, none[0], *slacks, none[1]])
        return replace(
            self,
            matrix=sparse.vstack([self.matrix, more], format="csr"),
            low=np.concatenate([self.low, np.full(n_cuts, -np.inf)]),
            high=np.concatenate([self.high, cuts.limit]),
        )

    def cut_multipliers(self, duals: FloatArray, n_cuts: int) -> FloatArray:
        """Return multipliers (n_cuts,) of the rounding cuts that are the last constraints, money per unit."""
        return np.maximum(duals[len(duals) - n_cuts :], 0.0) * self.money

    def multipliers(self, duals: FloatArray) -> FloatArray:
        """Return row multipliers (n_rows,) in money per unit from the solver's duals, within their prices."""
        rows = self.rows
        values = -duals[self.n_nodes : self.n_nodes + len(rows)] * self.money / rows.scale
        values = np.where((values > 0) & np.isinf(rows.low), 0.0, values)
        values = np.where((values < 0) & np.isinf(rows.high), 0.0, values)
        free = rows.hard | (rows.worst_group >= 0)
        return np.where(free, values, np.clip(values, -_finite(rows.price), _finite(rows.price)))

    def point(self, rep_of_node: IntArray, quotas: FloatArray) -> FloatArray:
        """Return the solution vector of an assignment (n_nodes,) and quotas (n_reps,) with its slacks."""
        rows, n_pairs, n_rows = self.rows, self.n_pairs, len(self.rows)
        solution = np.zeros(len(self.cost))
        solution[:n_pairs] = self.pairs.rep == rep_of_node[self.pairs.node]
        solution[n_pairs : n_pairs + rows.n_reps] = quotas / self.quota_unit
        value = self.matrix[self.n_nodes : self.n_nodes + n_rows] @ solution
        first = n_pairs + rows.n_reps
        below, above = np.maximum(rows.low / rows.scale - value, 0.0), np.maximum(value - rows.high / rows.scale, 0.0)
        solution[first : first + n_rows] = below
        solution[first + n_rows : first + 2 * n_rows] = above
        group = _group_scale(rows)
        for g in range(len(group)):
            inside = rows.worst_group == g
            solution[first + 2 * n_rows + g] = (np.maximum(below, above) * rows.scale / group[g])[inside].max()
        return solution

    def quotas(self, solution: FloatArray) -> FloatArray:
        """Return quotas (n_reps,) in money from a solution vector."""
        return np.asarray(solution[self.n_pairs : self.n_pairs + self.rows.n_reps] * self.quota_unit)

    def reps(self, solution: FloatArray) -> IntArray:
        """Return for each node the rep with the largest x, (n_nodes,)."""
        return largest_shares(self.pairs, solution[: self.n_pairs])


def largest_shares(pairs: Pairs, x: FloatArray) -> IntArray:
    """Return for each node the rep with its largest share ``x`` (n_pairs,), (n_nodes,)."""
    order = np.lexsort((-x, pairs.node))
    return np.asarray(pairs.rep[order[pairs.start[:-1]]], dtype=np.int64)


Violations = Literal["none", "count", "limit", "price"]


def linear_model(
    model: Model,
    pairs: Pairs,
    rows: Rows,
    *,
    violations: Violations = "none",
    limit: float = np.inf,
    hard_price: FloatArray | None = None,
) -> LinearModel:
    """Build the arrays.

    ``violations`` of hard rows: "none" are possible; "count" minimises their sum in units of each row's scale
    and nothing else; "limit" allows a sum of up to ``limit`` at no cost (last constraint); "price" lets each
    unit cost ``hard_price`` (n_rows,), in money.
    """
    value = pairs.value
    money = max(float(np.abs(value).mean()) if len(value) else 1.0, 1.0)
    n_reps, n_rows = rows.n_reps, len(rows)
    uses_quotas = rows.quotas.nnz > 0
    quota_unit = max(float(model.quota_limit.mean()) / n_reps, 1.0)
    priced = np.zeros(n_rows) if hard_price is None or violations != "price" else hard_price
    slack_high = np.where(rows.hard, 0.0 if violations == "none" else np.inf, np.inf)
    slack_cost = _finite(np.where(rows.hard, priced, rows.price)) * rows.scale / money
    n_worst = len(rows.worst_price)
    weight = 0.0 if violations == "count" else 1.0
    slack_cost = np.where(rows.hard & (violations == "count"), 1.0, weight * slack_cost)
    cost = np.concatenate(
        [
            weight * value / money,
            np.zeros(n_reps),
            -np.minimum(slack_cost, MOST_PER_UNIT),
            -np.minimum(slack_cost, MOST_PER_UNIT),
            -np.minimum(weight * rows.worst_price * _group_scale(rows) / money, MOST_PER_UNIT),
        ]
    )
    matrix, low, high = _constraints(model, pairs, rows, quota_unit)
    if violations == "limit":
        hard = rows.hard.astype(float)
        total = np.concatenate([np.zeros(len(value) + n_reps), hard, hard, np.zeros(n_worst)])
        matrix = sparse.vstack([matrix, sparse.csr_matrix(total)], format="csr")
        low, high = np.append(low, -np.inf), np.append(high, limit)
    reach = model.quota_limit if violations == "none" else model.quota_reach
    quota_high = reach / quota_unit if uses_quotas else np.zeros(n_reps)
    return LinearModel(
        pairs=pairs,
        rows=rows,
        cost=cost,
        matrix=matrix,
        low=low,
        high=high,
        column_low=np.zeros(len(cost)),
        column_high=np.concatenate([np.ones(len(value)), quota_high, slack_high, slack_high, np.full(n_worst, np.inf)]),
        integer=np.concatenate([np.ones(len(value), bool), np.zeros(n_reps + 2 * n_rows + n_worst, bool)]),
        money=money,
        quota_unit=quota_unit,
    )


def _constraints(
    model: Model, pairs: Pairs, rows: Rows, quota_unit: float
) -> tuple[sparse.csr_matrix, FloatArray, FloatArray]:
    """Assignment, rows with their two slacks, and the largest part of each worst-priced rule."""
    n_pairs, n_rows, n_nodes, n_worst = len(pairs.rep), len(rows), len(pairs.start) - 1, len(rows.worst_price)
    assign = sparse.csr_matrix((np.ones(n_pairs), np.arange(n_pairs), pairs.start), shape=(n_nodes, n_pairs))
    scaled = sparse.diags(1.0 / rows.scale) if n_rows else sparse.csr_matrix((0, 0))
    over_pairs = scaled @ model.row_matrix(pairs, rows)
    over_quotas = scaled @ rows.quotas * quota_unit
    below, above = sparse.identity(n_rows), -sparse.identity(n_rows)
    blocks: list[list[sparse.spmatrix | None]] = [
        [assign, sparse.csr_matrix((n_nodes, rows.n_reps)), None, None, None],
        [over_pairs, over_quotas, below, above, None],
    ]
    low = [np.ones(n_nodes), rows.low / rows.scale]
    high = [np.ones(n_nodes), rows.high / rows.scale]
    if n_worst:
        members = np.flatnonzero(rows.worst_group >= 0)
        pick = sparse.csr_matrix((np.ones(len(members)), (np.arange(len(members)), members)), (len(members), n_rows))
        scale = (rows.scale / np.append(_group_scale(rows), 1.0)[rows.worst_group])[members]
        largest = sparse.csr_matrix(
            (-1.0 / scale, (np.arange(len(members)), rows.worst_group[members])), (len(members), n_worst)
        )
        blocks.append([None, None, pick, pick, largest])
        low.append(np.full(len(members), -np.inf))
        high.append(np.zeros(len(members)))
    return sparse.bmat(blocks, format="csr"), np.concatenate(low), np.concatenate(high)


def _group_scale(rows: Rows) -> FloatArray:
    """Scale of the largest part of each worst-priced rule: the first member's."""
    return np.array([rows.scale[np.flatnonzero(rows.worst_group == g)[0]] for g in range(len(rows.worst_price))])


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, 0.0)
