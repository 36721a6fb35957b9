"""Part of a problem: some nodes are free, all others stay; every quota is free, as all are tied by the roll-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.optimize.mip.linear import LinearModel, Violations, linear_model
from territory_opt.optimize.task import Task

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """The model of the ``nodes`` (n,) that are free; its rows count from what all others use."""

    nodes: IntArray
    linear: LinearModel

    def reps(self, solution: FloatArray, before: IntArray) -> IntArray:
        """Return all reps (n_nodes,) where the free nodes have those of a solution, the others those of ``before``."""
        reps = before.copy()
        reps[self.nodes] = self.linear.reps(solution)
        return reps


def totals_of(task: Task, pairs: Pairs, share: FloatArray) -> FloatArray:
    """Rep totals (n_reps, K) of pairs of which each counts by its ``share`` (n_pairs,)."""
    totals = np.zeros((task.rows.n_reps, len(task.rows.quantities)))
    for k, quantity in enumerate(pairs.quantities):
        totals[:, k] = np.bincount(pairs.rep, quantity * share, minlength=task.rows.n_reps)
    return totals


def part_of(
    task: Task,
    pairs: Pairs,
    group: IntArray,
    fixed: FloatArray,
    *,
    violations: Violations = "none",
    hard_price: FloatArray | None = None,
) -> Part:
    """Build the model of the nodes that have ``pairs`` (CSR over all nodes) to reps of a ``group`` (m,).

    ``fixed`` (n_reps, K) are the rep totals of all other nodes. Rows that neither the group nor quotas touch are left
    out.
    """
    nodes = np.flatnonzero(np.diff(pairs.start) > 0)
    own = Pairs(np.append(pairs.start[nodes], pairs.start[-1]), pairs.rep, pairs.value, pairs.quantities)
    everyone = task.rows.owner < 0
    touched = (
        everyone
        | (task.rows.worst_group >= 0)
        | np.isin(task.rows.owner, group)
        | (np.diff(task.rows.quotas.indptr) > 0)
    )
    kept = np.flatnonzero(touched)
    rows = task.rows.take(kept).beside(fixed)
    price = None if hard_price is None else hard_price[kept]
    return Part(nodes, linear_model(task.model, own, rows, violations=violations, hard_price=price))
