"""The pairs of a model in factored form, for compiled code: memory grows with accounts + reps, not with their product.

What a pair is worth and adds up is a sum of products of account columns and rep columns (and small tables by class of
account), so that any pair can be computed in a few nanoseconds and none has to be stored. The same formulas in NumPy
are :mod:`territory_opt.model.pairs`, which the judge reads; a test holds the two equal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.methods import QUOTA_BASIS
from territory_opt.model.model import Model

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

OWN, HOURS, CREDITED_SALES, CREDITED_OWN, MOVED_ACCOUNTS, MOVED_SALES, COVERED = range(7)
"""Kinds of quantity: an account's own column, or one that depends on the rep."""


class Factors(NamedTuple):
    """Columns of a model's pairs. Accounts are in node order; node i holds accounts ``node_start[i]:node_start[i+1]``.

    ``point`` (n, 3) and ``home`` (3, m) unit vectors; ``road`` (n,) km of round trips a year per km of distance;
    ``gross`` (n,) sales at factor 1; ``factor`` and ``allowed`` (n_classes, m); ``kept`` (m, m) share of the loss
    rate for incumbent and new rep; ``credit`` (n_segments, m) part of the sales of an account of ``segment`` (n,) that
    counts for the rep; ``own`` (n, n_own); ``served`` (n_coverage, n_classes, m). ``kind`` and ``column``
    (K,) say where quantity k comes from.
    """

    node_start: IntArray
    point: FloatArray
    home: FloatArray
    road: FloatArray
    gross: FloatArray
    common: FloatArray
    group: SmallInts
    factor: FloatArray
    allowed: BoolArray
    incumbent: SmallInts
    loss: FloatArray
    current: FloatArray
    kept: FloatArray
    segment: SmallInts
    credit: FloatArray
    locked: SmallInts
    forbid_start: IntArray
    forbid_rep: SmallInts
    own: FloatArray
    workload: FloatArray
    potential: FloatArray
    served: BoolArray
    kind: IntArray
    column: IntArray
    margin: float
    cost_per_km: float
    hours_per_km: float
    max_km: float

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.node_start) - 1

    @property
    def n_reps(self) -> int:
        """Number of reps."""
        return int(self.home.shape[1])

    @classmethod
    def of(cls, model: Model) -> Factors:
        """Take the columns from a model. Cost: linear in accounts, plus classes of accounts x reps."""
        source, problem = model.source, model.problem
        accounts, policy = problem.accounts, problem.policy.territories
        order = source.order
        classes = source.classes
        place = source.unit_vectors
        kind, column, own = _quantities(model)
        forbid_start, forbid_rep = _forbids(source.forbidden, order)
        covered = source.skills.coverage
        served = np.zeros((max(len(covered), 1), len(classes.example), problem.n_reps), dtype=bool)
        for s, skill in enumerate(covered):
            cell = skill.cell[classes.example]
            served[s] = skill.has_all[cell] & skill.names_any[cell][:, None]
        discount = policy.keep.similar_skill_discount
        return cls(
            node_start=source.node_start,
            point=np.ascontiguousarray(place[0][order]),
            home=np.ascontiguousarray(place[1].T),
            road=source.road_per_km[order],
            gross=source.gross_base[order],
            common=source.common_sales[order],
            group=classes.of_account[order].astype(np.int32),
            factor=classes.factor,
            allowed=classes.allowed,
            incumbent=source.incumbent[order].astype(np.int32),
            loss=source.loss_rate * source.current_sales[order],
            current=source.current_sales[order],
            kept=np.ascontiguousarray(1.0 - discount * source.skills.likeness),
            segment=model.estimate.segment[order].astype(np.int32),
            credit=np.ascontiguousarray(source.credit),
            locked=source.locked[order].astype(np.int32),
            forbid_start=forbid_start,
            forbid_rep=forbid_rep,
            own=np.ascontiguousarray(own[order]),
            workload=accounts["workload"].to_numpy(float)[order],
            potential=accounts["potential"].to_numpy(float)[order],
            served=served,
            kind=kind,
            column=column,
            margin=policy.margin,
            cost_per_km=source.cost_per_km,
            hours_per_km=1.0 / policy.travel.speed_kmh,
            max_km=source.limit_km,
        )

    def take(self, nodes: IntArray) -> Factors:
        """Return the same for some nodes only, in their order."""
        size = np.diff(self.node_start)[nodes]
        start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        rows = np.repeat(self.node_start[nodes] - start[:-1], size) + np.arange(start[-1])
        count = np.diff(self.forbid_start)[rows]
        forbid_start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        at = np.repeat(self.forbid_start[rows] - forbid_start[:-1], count) + np.arange(forbid_start[-1])
        names = ("road", "gross", "common", "group", "incumbent", "loss", "current", "segment", "locked", "workload",
                 "potential")  # fmt: skip
        return self._replace(
            node_start=start,
            point=self.point[rows],
            own=self.own[rows],
            forbid_start=forbid_start,
            forbid_rep=self.forbid_rep[at],
            **{name: getattr(self, name)[rows] for name in names},
        )


def _quantities(model: Model) -> tuple[IntArray, IntArray, FloatArray]:
    """Kind and column of each quantity, and the accounts' own columns (n_accounts, n_own)."""
    pair_kinds = {
        "hours": HOURS, "credited_sales": CREDITED_SALES, "moved_accounts": MOVED_ACCOUNTS, "moved_sales": MOVED_SALES
    }  # fmt: skip
    follows_sales = OWN if model.source.all_there else CREDITED_OWN
    coverage = [f"covered: {skill.name}" for skill in model.source.skills.coverage]
    kind: list[int] = []
    column: list[int] = []
    own: list[FloatArray] = []
    for name in model.source.quantities:
        if name in pair_kinds:
            kind.append(pair_kinds[name])
            column.append(0)
        elif name in coverage:
            kind.append(COVERED)
            column.append(coverage.index(name))
        else:
            kind.append(follows_sales if name in ("variance", QUOTA_BASIS) else OWN)
            column.append(len(own))
            own.append(_own(model, name))
    stacked = np.column_stack(own) if own else np.zeros((model.problem.n_accounts, 0))
    return np.array(kind, dtype=np.int64), np.array(column, dtype=np.int64), stacked


def _own(model: Model, name: str) -> FloatArray:
    """An account's own amount of quantity ``name``, (n_accounts,)."""
    if name == "variance":
        return model.estimate.variance
    if name == QUOTA_BASIS and model.estimate.basis is not None:
        return model.estimate.basis.amounts
    return np.asarray(model.problem.accounts[name], dtype=float)


def _forbids(forbidden: IntArray, order: IntArray) -> tuple[IntArray, SmallInts]:
    """Forbidden reps per account in node order, CSR."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    rows = place[forbidden[:, 0]] if len(forbidden) else np.zeros(0, dtype=np.int64)
    by_row = np.argsort(rows, kind="stable")
    start = np.searchsorted(rows[by_row], np.arange(len(order) + 1)).astype(np.int64)
    return start, forbidden[by_row, 1].astype(np.int32) if len(forbidden) else np.zeros(0, dtype=np.int32)
