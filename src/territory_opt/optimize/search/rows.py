"""Rows as the search reads them: each rep's own rows side by side, company-wide rows apart; what they cost, compiled.

The cost of a rep is the price of its own rows at the best quota for its totals; the roll-up enters through its
multiplier. Hard rows carry a high price here; whether they hold is for the judge to say.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.model.model import Model
from territory_opt.model.rows import Kind, Rows
from territory_opt.optimize.compiled import compiled
from territory_opt.optimize.settings import ABOVE_ZERO, INNER

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LOW, HIGH, PRICE, JUMP, MULTIPLIER, QUOTA, FIRST = range(7)
"""Columns of ``SearchRows.own``, in which the coefficients of quantities begin at FIRST; the first five are also those
of ``SearchRows.shared_limits``."""
GAIN, QUOTA_HIGH, FLOOR = range(3)
"""Columns of ``SearchRows.by_rep``."""


class SearchRows(NamedTuple):
    """Rows split for the search, packed into few arrays: compiled code pays for every array it is handed.

    ``own`` (n_own, 6 + K) are the rows of one rep, CSR by rep (``start``). ``shared`` (n_shared, n_reps, K) are rows
    over several reps, ``shared_limits`` (n_shared, 5) their low, high, price, jump and multiplier. A hard row outside
    its limits also costs its jump at once, so that breaking it by very little never pays. ``by_rep`` (n_reps, 3): what
    one unit of quota is worth to the roll-up, the largest quota, and with ``at_own`` (n_reps, K) the floor: no totals
    t cost a rep less than floor - at_own t.
    """

    start: IntArray
    own: FloatArray
    by_rep: FloatArray
    at_own: FloatArray
    shared: FloatArray
    shared_limits: FloatArray

    @classmethod
    def of(cls, model: Model, rows: Rows, multipliers: FloatArray, hard_price: FloatArray) -> SearchRows:
        """Split ``rows``; hard rows get ``hard_price`` (n_rows,) per unit. Cost: linear in the rows' coefficients."""
        n_reps, n_quantities = rows.n_reps, len(rows.quantities)
        price = np.where(rows.hard, np.maximum(hard_price, np.abs(multipliers)), rows.price)
        price = price + np.where(rows.worst_group >= 0, np.maximum(np.abs(multipliers) - price, 0.0), 0.0)
        jump = np.where(rows.hard, INNER.hard_jump * price * rows.scale, 0.0)
        rolled = rows.of_kind(Kind.ROLL_UP)
        owner = rows.owner
        single = np.flatnonzero((owner >= 0) & ~rolled)
        row = single[np.argsort(owner[single], kind="stable")]
        rep = owner[row]
        shared = np.flatnonzero((owner < 0) & (np.diff(rows.totals.indptr) > 0) & (np.diff(rows.quotas.indptr) == 0))
        coefficient = np.zeros((len(row), n_quantities))
        for k in range(n_quantities):
            coefficient[:, k] = _entries(rows.totals, row, rep * n_quantities + k)
        at_own = np.zeros((n_reps, n_quantities))
        np.add.at(at_own, rep, multipliers[row, None] * coefficient)
        limit = np.where(multipliers > 0, rows.low, np.where(multipliers < 0, rows.high, 0.0))
        quota = _entries(rows.quotas, row, rep)
        limits = np.column_stack([rows.low, rows.high, price, jump, multipliers])
        gain = np.asarray(rows.quotas[np.flatnonzero(rolled)].T @ multipliers[rolled], dtype=float)
        floor = np.bincount(rep, multipliers[row] * limit[row], minlength=n_reps)
        return cls(
            start=np.searchsorted(rep, np.arange(n_reps + 1)).astype(np.int64),
            own=np.ascontiguousarray(np.column_stack([limits[row], quota, coefficient])),
            by_rep=np.ascontiguousarray(np.column_stack([gain, model.quota_limit, floor])),
            at_own=at_own,
            shared=rows.totals[shared].toarray().reshape(len(shared), n_reps, n_quantities),
            shared_limits=np.ascontiguousarray(limits[shared]),
        )

    def shared_among(self, totals: FloatArray, n_groups: int) -> SearchRows:
        """Return the rows for one of ``n_groups`` that work side by side from rep ``totals`` (n_reps, K).

        Each group may change company-wide rows by an equal part of what they leave free; limits count from now.
        """
        now = np.einsum("sjk,jk->s", self.shared, totals)
        limits = self.shared_limits.copy()
        limits[:, [LOW, HIGH]] = (limits[:, [LOW, HIGH]] - now[:, None]) / n_groups
        return self._replace(shared_limits=limits)


def _entries(matrix: sparse.csr_matrix, row: IntArray, column: IntArray) -> FloatArray:
    """Single entries of a sparse matrix, (n,); without any, the matrix gives no array of the right shape."""
    return np.asarray(matrix[row, column], dtype=float).reshape(len(row)) if len(row) else np.zeros(0)


@compiled()
def charge(value: float, low: float, high: float, price: float, jump: float) -> float:
    """Price of a row's ``value`` outside its limits."""
    if value < low:
        return price * (low - value) + jump
    if value > high:
        return price * (value - high) + jump
    return 0.0


@compiled()
def rep_cost(start, own, by_rep, j, total, scratch):  # type: ignore[no-untyped-def]
    """Price of the own rows of rep ``j`` at the best quota for its ``total`` (K,); ``scratch`` (n_own,).

    The price is convex and piecewise linear in the quota, so its best point is a limit of some row.
    """
    fixed, uses_quota = 0.0, False
    for r in range(start[j], start[j + 1]):
        amount = 0.0
        for k in range(total.shape[0]):
            amount += own[r, FIRST + k] * total[k]
        if own[r, QUOTA] == 0.0:
            fixed += charge(amount, own[r, LOW], own[r, HIGH], own[r, PRICE], own[r, JUMP])
        else:
            scratch[r] = amount
            uses_quota = True
    return fixed + quota_cost(start, own, by_rep, j, scratch) if uses_quota else fixed


@compiled()
def quota_cost(start, own, by_rep, j, scratch):  # type: ignore[no-untyped-def]
    """Least price of the rows on the quota of rep ``j``, whose other parts stand in ``scratch``."""
    best = np.inf
    for r in range(start[j] - 1, start[j + 1]):
        if r >= start[j] and own[r, QUOTA] == 0.0:
            continue
        for side in range(2):
            q = by_rep[j, QUOTA_HIGH] if side == 1 else 0.0
            if r >= start[j]:
                limit = own[r, LOW] if side == 0 else own[r, HIGH]
                if not np.isfinite(limit) or (side == 1 and limit == own[r, LOW]):
                    continue
                q = min(max((limit - scratch[r]) / own[r, QUOTA], 0.0), by_rep[j, QUOTA_HIGH])
            cost = -by_rep[j, GAIN] * q
            for s in range(start[j], start[j + 1]):
                if own[s, QUOTA] != 0.0:
                    amount = scratch[s] + own[s, QUOTA] * q
                    cost += charge(amount, own[s, LOW], own[s, HIGH], own[s, PRICE], own[s, JUMP])
                    if cost >= best:
                        break
            best = min(best, cost)
    return best


@compiled()
def window(own, r, budget):  # type: ignore[no-untyped-def]
    """Range of own row ``r`` in which it costs at most ``budget`` more than its multiplier says."""
    u, price, low, high = own[r, MULTIPLIER], own[r, PRICE], own[r, LOW], own[r, HIGH]
    if u > 0.0:
        return low - budget / max(price - u, ABOVE_ZERO), low + budget / u
    if u < 0.0:
        return high + budget / u, high + budget / max(price + u, ABOVE_ZERO)
    return low - budget / max(price, ABOVE_ZERO), high + budget / max(price, ABOVE_ZERO)


@compiled()
def shared_cost(shared_limits, s, value):  # type: ignore[no-untyped-def]
    """Price of company-wide row ``s`` at ``value``."""
    limits = shared_limits
    return charge(value, limits[s, LOW], limits[s, HIGH], limits[s, PRICE], limits[s, JUMP])


@compiled()
def shared_misfit(shared_limits, s, value):  # type: ignore[no-untyped-def]
    """What company-wide row ``s`` costs at ``value`` above what its multiplier says: never negative."""
    u = shared_limits[s, MULTIPLIER]
    if u == 0.0:
        return shared_cost(shared_limits, s, value)
    limit = shared_limits[s, LOW if u > 0.0 else HIGH]
    return shared_cost(shared_limits, s, value) - u * (limit - value)
