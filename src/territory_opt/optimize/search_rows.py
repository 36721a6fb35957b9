"""Rows as the search reads them: each rep's own rows side by side, company-wide rows apart; what they cost, compiled.

The cost of a rep is the price of its own rows at the best quota for its totals; the roll-up enters through its
multiplier. Hard rows carry a high price here; whether they hold is for the judge to say.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.model.rows import Rows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HARD_JUMP = 0.01
"""Breaking a hard row at all costs as much as breaking it by this share of its scale."""


class SearchRows(NamedTuple):
    """Rows split for the search.

    Own rows are CSR by rep (``start``): ``coefficient`` (n_own, K), ``quota`` (n_own,), limits, prices, multipliers.
    ``shared`` (n_shared, n_reps, K) are rows over several reps. A hard row outside its limits also costs its ``jump``
    at once, so that breaking it by very little never pays. ``gain`` (n_reps,) is what one unit of quota is worth to
    the roll-up. ``at_own`` (n_reps, K) and ``floor`` (n_reps,): no totals t cost a rep less than floor - at_own t.
    """

    start: IntArray
    coefficient: FloatArray
    quota: FloatArray
    low: FloatArray
    high: FloatArray
    price: FloatArray
    jump: FloatArray
    multiplier: FloatArray
    shared: FloatArray
    shared_low: FloatArray
    shared_high: FloatArray
    shared_price: FloatArray
    shared_jump: FloatArray
    gain: FloatArray
    quota_high: FloatArray
    at_own: FloatArray
    floor: FloatArray

    @classmethod
    def of(cls, model: Model, rows: Rows, multipliers: FloatArray, hard_price: FloatArray) -> SearchRows:
        """Split ``rows``; hard rows get ``hard_price`` (n_rows,) per unit. Cost: linear in the rows' coefficients."""
        n_reps, n_quantities = rows.n_reps, len(rows.quantities)
        price = np.where(rows.hard, np.maximum(hard_price, np.abs(multipliers)), rows.price)
        price = price + np.where(rows.worst_group >= 0, np.maximum(np.abs(multipliers) - price, 0.0), 0.0)
        jump = np.where(rows.hard, HARD_JUMP * price * rows.scale, 0.0)
        touched = [{j for j, _ in row.totals} | set(row.quotas) for row in rows.items]
        rolled = np.array([row.rule == "roll-up" for row in rows.items], dtype=bool)
        single = [(next(iter(reps)), r) for r, reps in enumerate(touched) if len(reps) == 1 and not rolled[r]]
        own = np.array(sorted(single), dtype=np.int64).reshape(-1, 2)
        rep, row = own[:, 0], own[:, 1]
        shared = [r for r, reps in enumerate(touched) if len(reps) > 1 and not rows.items[r].quotas]
        coefficient = np.zeros((len(own), n_quantities))
        for k in range(n_quantities):
            coefficient[:, k] = np.asarray(rows.totals[row, rep * n_quantities + k]).reshape(len(own))
        at_own = np.zeros((n_reps, n_quantities))
        np.add.at(at_own, rep, multipliers[row, None] * coefficient)
        limit = np.where(multipliers > 0, rows.low, np.where(multipliers < 0, rows.high, 0.0))
        return cls(
            start=np.searchsorted(rep, np.arange(n_reps + 1)).astype(np.int64),
            coefficient=coefficient,
            quota=np.asarray(rows.quotas[row, rep], dtype=float).reshape(len(own)),
            low=rows.low[row],
            high=rows.high[row],
            price=price[row],
            jump=jump[row],
            multiplier=multipliers[row],
            shared=rows.totals[shared].toarray().reshape(len(shared), n_reps, n_quantities),
            shared_low=rows.low[shared],
            shared_high=rows.high[shared],
            shared_price=price[shared],
            shared_jump=jump[shared],
            gain=np.asarray(rows.quotas[np.flatnonzero(rolled)].T @ multipliers[rolled], dtype=float),
            quota_high=model.quota_limit,
            at_own=at_own,
            floor=np.bincount(rep, multipliers[row] * limit[row], minlength=n_reps),
        )

    def shared_among(self, totals: FloatArray, n_groups: int) -> SearchRows:
        """Return the rows for one of ``n_groups`` that work side by side from rep ``totals`` (n_reps, K).

        Each group may change company-wide rows by an equal part of what they leave free; limits count from now.
        """
        now = np.einsum("sjk,jk->s", self.shared, totals)
        return self._replace(
            shared_low=(self.shared_low - now) / n_groups, shared_high=(self.shared_high - now) / n_groups
        )


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def charge(value: float, low: float, high: float, price: float, jump: float) -> float:
    """Price of a row's ``value`` outside its limits."""
    if value < low:
        return price * (low - value) + jump
    if value > high:
        return price * (value - high) + jump
    return 0.0


@numba.njit(cache=True)
def rep_cost(rows, j, total, scratch):  # type: ignore[no-untyped-def]
    """Price of the own rows of rep ``j`` at the best quota for its ``total`` (K,); ``scratch`` (n_own,).

    The price is convex and piecewise linear in the quota, so its best point is a limit of some row.
    """
    fixed, uses_quota = 0.0, False
    for r in range(rows.start[j], rows.start[j + 1]):
        amount = 0.0
        for k in range(total.shape[0]):
            amount += rows.coefficient[r, k] * total[k]
        if rows.quota[r] == 0.0:
            fixed += charge(amount, rows.low[r], rows.high[r], rows.price[r], rows.jump[r])
        else:
            scratch[r] = amount
            uses_quota = True
    if not uses_quota:
        return fixed
    best = np.inf
    for r in range(rows.start[j] - 1, rows.start[j + 1]):
        if r >= rows.start[j] and rows.quota[r] == 0.0:
            continue
        for side in range(2):
            q = rows.quota_high[j] if side == 1 else 0.0
            if r >= rows.start[j]:
                limit = rows.low[r] if side == 0 else rows.high[r]
                if not np.isfinite(limit) or (side == 1 and limit == rows.low[r]):
                    continue
                q = min(max((limit - scratch[r]) / rows.quota[r], 0.0), rows.quota_high[j])
            cost = -rows.gain[j] * q
            for s in range(rows.start[j], rows.start[j + 1]):
                if rows.quota[s] != 0.0:
                    amount = scratch[s] + rows.quota[s] * q
                    cost += charge(amount, rows.low[s], rows.high[s], rows.price[s], rows.jump[s])
                    if cost >= best:
                        break
            best = min(best, cost)
    return fixed + best


@numba.njit(cache=True)
def window(rows, r, budget):  # type: ignore[no-untyped-def]
    """Range of own row ``r`` in which it costs at most ``budget`` more than its multiplier says."""
    u, price = rows.multiplier[r], rows.price[r]
    if u > 0.0:
        return rows.low[r] - budget / max(price - u, 1e-300), rows.low[r] + budget / u
    if u < 0.0:
        return rows.high[r] + budget / u, rows.high[r] + budget / max(price + u, 1e-300)
    slack = budget / max(price, 1e-300)
    return rows.low[r] - slack, rows.high[r] + slack
