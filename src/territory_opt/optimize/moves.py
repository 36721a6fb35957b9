"""Local search in compiled code: annealed shifts and swaps on the priced objective.

The objective is the model's own: pair values, less each rep's priced rows at the best quota for the rep's totals
(the roll-up enters through its multiplier), less the company-wide rows. Hard rows carry a high price here; whether
they hold is for the judge to say. The number of steps is fixed by the caller, so the same seed gives the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HARD_JUMP = 0.01
"""Breaking a hard row at all costs as much as breaking it by this share of its scale."""


@dataclass(frozen=True, slots=True)
class SearchRows:
    """Rows split for the search: each rep's own rows, and rows over all reps.

    Own rows are CSR by rep (``start``); ``coefficient`` (n_own, K), ``quota`` (n_own,), limits and prices.
    ``shared`` (n_shared, n_reps, K). A hard row outside its limits also costs its ``jump`` at once, so that
    breaking it by very little never pays. ``quota_gain`` (n_reps,) is what one unit of quota is worth to the roll-up.
    """

    start: IntArray
    coefficient: FloatArray
    quota: FloatArray
    low: FloatArray
    high: FloatArray
    price: FloatArray
    jump: FloatArray
    shared: FloatArray
    shared_low: FloatArray
    shared_high: FloatArray
    shared_price: FloatArray
    shared_jump: FloatArray
    quota_gain: FloatArray
    quota_high: FloatArray

    @classmethod
    def of(cls, model: Model, rows: Rows, multipliers: FloatArray, hard_price: FloatArray) -> SearchRows:
        """Split ``rows``; hard rows get ``hard_price`` (n_rows,) per unit."""
        n_reps, n_quantities = rows.n_reps, len(rows.quantities)
        price = np.where(rows.hard, hard_price, rows.price)
        price = price + np.where(rows.worst_group >= 0, np.maximum(np.abs(multipliers) - price, 0.0), 0.0)
        jump = np.where(rows.hard, HARD_JUMP * price * rows.scale, 0.0)
        dense = [rows.totals[r].toarray().reshape(n_reps, n_quantities) for r in range(len(rows))]
        touched = [set(np.flatnonzero(d.any(axis=1))) | set(rows.quotas[r].indices) for r, d in enumerate(dense)]
        own = sorted((next(iter(t)), r) for r, t in enumerate(touched) if len(t) == 1)
        own = [(j, r) for j, r in own if rows.items[r].rule != "roll-up"]
        shared = [r for r, t in enumerate(touched) if len(t) > 1 and not rows.quotas[r].nnz]
        rolled = [r for r in range(len(rows)) if rows.quotas[r].nnz and rows.items[r].rule == "roll-up"]
        own_rows = np.array([r for _, r in own], dtype=int)
        count = np.bincount(np.array([j for j, _ in own], dtype=int), minlength=n_reps)
        gain = rows.quotas[rolled].T @ multipliers[rolled] if rolled else np.zeros(n_reps)
        return cls(
            start=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
            coefficient=np.array([dense[r][j] for j, r in own]).reshape(len(own), n_quantities),
            quota=np.array([rows.quotas[r, j] for j, r in own], dtype=float),
            low=rows.low[own_rows],
            high=rows.high[own_rows],
            price=price[own_rows],
            jump=jump[own_rows],
            shared=np.array([dense[r] for r in shared]).reshape(len(shared), n_reps, n_quantities),
            shared_low=rows.low[shared],
            shared_high=rows.high[shared],
            shared_price=price[shared],
            shared_jump=jump[shared],
            quota_gain=np.asarray(gain, dtype=float),
            quota_high=model.quota_limit,
        )


def search(
    pairs: Pairs,
    rows: SearchRows,
    rep_of_node: IntArray,
    *,
    steps: int,
    temperature: tuple[float, float],
    seed: int,
    stop: IntArray | None = None,
) -> IntArray:
    """Return the best assignment (n_nodes,) found in ``steps`` annealed moves from ``rep_of_node``.

    Every node's current rep must be among its ``pairs``. ``temperature`` is first and last, in money.
    ``stop`` (1,) ends the search soon when another thread sets it.
    """
    at = np.full(len(rep_of_node), -1, dtype=np.int64)
    match = pairs.rep == rep_of_node[pairs.node]
    at[pairs.node[match]] = np.flatnonzero(match)
    if (at < 0).any():
        raise ValueError("the start uses a pair outside the candidates")
    weight = np.ascontiguousarray(pairs.quantities.T)
    best = _anneal(
        pairs.start, pairs.rep, pairs.value, weight, at, rows.start, rows.coefficient, rows.quota, rows.low, rows.high,
        rows.price, rows.jump, rows.shared, rows.shared_low, rows.shared_high, rows.shared_price, rows.shared_jump,
        rows.quota_gain,
        rows.quota_high, steps, temperature[0], temperature[1], seed,
        np.zeros(1, dtype=np.int64) if stop is None else stop,
    )  # fmt: skip
    return np.asarray(pairs.rep[best])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _charge(value: float, low: float, high: float, price: float, jump: float) -> float:
    if value < low:
        return price * (low - value) + jump
    if value > high:
        return price * (value - high) + jump
    return 0.0


@numba.njit(cache=True)
def _rep_cost(  # type: ignore[no-untyped-def]
    j, total, start, coefficient, quota, low, high, price, jump, gain, quota_high, value
):
    """Price of a rep's own rows at the best quota for these totals; ``value`` (n_own,) is working space.

    The price is convex and piecewise linear in the quota, so its best point is a limit of some row.
    """
    fixed = 0.0
    uses_quota = False
    for r in range(start[j], start[j + 1]):
        value[r] = 0.0
        for k in range(total.shape[0]):
            value[r] += coefficient[r, k] * total[k]
        if quota[r] == 0.0:
            fixed += _charge(value[r], low[r], high[r], price[r], jump[r])
        else:
            uses_quota = True
    if not uses_quota:
        return fixed
    best = np.inf
    for r in range(start[j] - 1, start[j + 1]):
        for side in range(2):
            if r < start[j]:
                q = 0.0 if side == 0 else quota_high[j]
            else:
                if quota[r] == 0.0:
                    continue
                limit = low[r] if side == 0 else high[r]
                if not np.isfinite(limit) or (side == 1 and limit == low[r]):
                    continue
                q = min(max((limit - value[r]) / quota[r], 0.0), quota_high[j])
            cost = -gain[j] * q
            for s in range(start[j], start[j + 1]):
                if quota[s] != 0.0:
                    cost += _charge(value[s] + quota[s] * q, low[s], high[s], price[s], jump[s])
                    if cost >= best:
                        break
            if cost < best:
                best = cost
    return fixed + best


@numba.njit(cache=True)
def _transfer(node, giver, receiver, members, member_count, place):  # type: ignore[no-untyped-def]
    """Move a node between the member lists of two reps."""
    last = members[giver, member_count[giver] - 1]
    members[giver, place[node]] = last
    place[last] = place[node]
    member_count[giver] -= 1
    members[receiver, member_count[receiver]] = node
    place[node] = member_count[receiver]
    member_count[receiver] += 1


@numba.njit(cache=True, nogil=True)
def _anneal(  # type: ignore[no-untyped-def]
    node_start, pair_rep, pair_value, weight, at, start, coefficient, quota, low, high, price, jump,
    shared, shared_low, shared_high, shared_price, shared_jump, gain, quota_high, steps, hot, cold, seed, stop,
):  # fmt: skip
    np.random.seed(seed)
    n_nodes, n_quantities, n_reps = len(at), weight.shape[1], len(start) - 1
    n_shared = shared.shape[0]
    total = np.zeros((n_reps, n_quantities))
    at = at.copy()
    # Nodes of each rep, for picking the other half of a swap.
    members = np.empty((n_reps, n_nodes), np.int32) if n_reps * n_nodes <= 4_000_000 else np.empty((1, 1), np.int32)
    member_count = np.zeros(n_reps, np.int64)
    place = np.zeros(n_nodes, np.int64)
    swaps = members.shape[1] == n_nodes and members.shape[0] == n_reps
    objective = 0.0
    for i in range(n_nodes):
        j = pair_rep[at[i]]
        objective += pair_value[at[i]]
        for k in range(n_quantities):
            total[j, k] += weight[at[i], k]
        if swaps:
            members[j, member_count[j]] = i
            place[i] = member_count[j]
            member_count[j] += 1
    cost, value_of = np.empty(n_reps), np.empty(len(quota))
    for j in range(n_reps):
        cost[j] = _rep_cost(j, total[j], start, coefficient, quota, low, high, price, jump, gain, quota_high, value_of)
        objective -= cost[j]
    activity = np.zeros(n_shared)
    for s in range(n_shared):
        for j in range(n_reps):
            for k in range(n_quantities):
                activity[s] += shared[s, j, k] * total[j, k]
        objective -= _charge(activity[s], shared_low[s], shared_high[s], shared_price[s], shared_jump[s])
    best_objective = objective
    best = at.copy()
    after_a, after_b, after_c = np.empty(n_quantities), np.empty(n_quantities), np.empty(n_quantities)
    new_activity = np.empty(n_shared)
    ratio = (cold / hot) ** (1.0 / max(steps, 1))
    temperature = hot
    for step in range(steps):
        if step % 65536 == 0 and stop[0] != 0:
            break
        temperature *= ratio
        i = np.random.randint(n_nodes)
        first, last = node_start[i], node_start[i + 1]
        if last - first < 2:
            continue
        # Candidates are ordered best first: the squared draw prefers the better ones.
        draw = np.random.random()
        p = first + int(draw * draw * (last - first))
        old = at[i]
        if p == old:
            continue
        a, b = pair_rep[old], pair_rep[p]
        other, other_old, other_new, c = -1, -1, -1, -1
        if swaps and member_count[b] > 0 and np.random.random() < 0.5:
            # A chain: the receiver passes a node of its own on; back to the giver it is a swap.
            other = members[b, np.random.randint(member_count[b])]
            other_old = at[other]
            first, last = node_start[other], node_start[other + 1]
            draw = np.random.random()
            other_new = first + int(draw * draw * (last - first))
            if other_new == other_old:
                continue
            c = pair_rep[other_new]
        change = pair_value[p] - pair_value[old]
        for k in range(n_quantities):
            after_a[k] = total[a, k] - weight[old, k]
            after_b[k] = total[b, k] + weight[p, k]
        if other >= 0:
            change += pair_value[other_new] - pair_value[other_old]
            for k in range(n_quantities):
                after_b[k] -= weight[other_old, k]
                if c == a:
                    after_a[k] += weight[other_new, k]
                else:
                    after_c[k] = total[c, k] + weight[other_new, k]
        for s in range(n_shared):
            value = activity[s]
            for k in range(n_quantities):
                value += shared[s, a, k] * (after_a[k] - total[a, k]) + shared[s, b, k] * (after_b[k] - total[b, k])
                if c >= 0 and c != a:
                    value += shared[s, c, k] * (after_c[k] - total[c, k])
            new_activity[s] = value
            change += _charge(activity[s], shared_low[s], shared_high[s], shared_price[s], shared_jump[s])
            change -= _charge(value, shared_low[s], shared_high[s], shared_price[s], shared_jump[s])
        cost_a = _rep_cost(a, after_a, start, coefficient, quota, low, high, price, jump, gain, quota_high, value_of)
        cost_b = _rep_cost(b, after_b, start, coefficient, quota, low, high, price, jump, gain, quota_high, value_of)
        change += cost[a] + cost[b] - cost_a - cost_b
        cost_c = 0.0
        if c >= 0 and c != a:
            cost_c = _rep_cost(
                c, after_c, start, coefficient, quota, low, high, price, jump, gain, quota_high, value_of
            )
            change += cost[c] - cost_c
        if change <= 0.0 and np.random.random() >= np.exp(change / temperature):
            continue
        objective += change
        cost[a], cost[b] = cost_a, cost_b
        for k in range(n_quantities):
            total[a, k], total[b, k] = after_a[k], after_b[k]
            if c >= 0 and c != a:
                total[c, k] = after_c[k]
        for s in range(n_shared):
            activity[s] = new_activity[s]
        at[i] = p
        if swaps:
            _transfer(i, a, b, members, member_count, place)
        if other >= 0:
            at[other] = other_new
            _transfer(other, b, c, members, member_count, place)
            if c != a:
                cost[c] = cost_c
        if objective > best_objective + 1e-9 * abs(best_objective):
            best_objective = objective
            best[:] = at
    return best
