"""The best exchange of up to four nodes between two reps, by meeting in the middle.

Single moves and swaps stop where totals would have to change by less than any one account. Four accounts together can
be fitted far more finely: list every set of at most two flips (a node of one rep that goes to the other), and join two
such sets. The multipliers prune the search: an exchange whose flips lose more against the multipliers than the two
reps' rows cost above what the multipliers say cannot gain; and the row that narrows most is searched by its window.
"""

from __future__ import annotations

import numba
import numpy as np

from territory_opt.optimize.search_rows import charge, rep_cost, window

MOST_FLIPS = 48
"""Single flips that are joined, least loss first."""
MOST_JOINS = 20_000
"""Joined sets that are evaluated at most; the search goes by least loss and keeps the best so far."""


@numba.njit(cache=True, nogil=True)
def exchange(state, rows, a, b, flips):  # type: ignore[no-untyped-def]
    """Find the best exchange between reps ``a`` and ``b`` of a group; write its new pairs to ``flips`` (4,), -1: none.

    Return what it gains, 0 if nothing was found.
    """
    misfit = _misfit(state, rows, a) + _misfit(state, rows, b)
    for s in range(len(state.activity)):
        misfit += charge(
            state.activity[s], rows.shared_low[s], rows.shared_high[s], rows.shared_price[s], rows.shared_jump[s]
        )
    flip, flip_node, flip_loss = _flips(state, a, b)
    if len(flip) < 2:
        return 0.0
    one, two, loss = _halves(flip_loss, misfit)
    worth, change_a, change_b = _effects(state, a, flip, flip_node, one, two)
    row, own, reach = _narrowest(state, rows, a, b, misfit, change_a, change_b)
    by_reach = np.argsort(reach)
    sorted_reach = reach[by_reach]
    now = state.cost[a] + state.cost[b]
    after = np.empty(state.total.shape[1])
    best, best_x, best_y, joins = 1e-9, -1, -1, 0
    for x in range(len(one)):
        if loss[x] + loss[0] >= misfit - best or joins > MOST_JOINS:
            break
        begin, end = 0, len(one)
        if row >= 0:
            below, above = window(rows, row, misfit - best - loss[x] - loss[0])
            begin = np.searchsorted(sorted_reach, below - own - reach[x])
            end = np.searchsorted(sorted_reach, above - own - reach[x])
        for t in range(begin, end):
            y = by_reach[t]
            if y <= x or loss[x] + loss[y] >= misfit - best:
                continue
            if one[x] >= 0 and (one[x] == one[y] or one[x] == two[y]):
                continue
            if two[x] >= 0 and (two[x] == one[y] or two[x] == two[y]):
                continue
            joins += 1
            gained = worth[x] + worth[y] + now
            for k in range(len(after)):
                after[k] = state.total[a, k] + change_a[x, k] + change_a[y, k]
            gained -= rep_cost(rows, state.group[a], after, state.scratch)
            if gained <= best:
                continue
            for k in range(len(after)):
                after[k] = state.total[b, k] + change_b[x, k] + change_b[y, k]
            gained -= rep_cost(rows, state.group[b], after, state.scratch)
            if gained > best and len(state.activity) > 0:
                gained -= _shared_change(state, rows, a, b, change_a[x], change_a[y], change_b[x], change_b[y])
            if gained > best:
                best, best_x, best_y = gained, x, y
    flips[:] = -1
    if best_x < 0:
        return 0.0
    for s, half in enumerate((one[best_x], two[best_x], one[best_y], two[best_y])):
        if half >= 0:
            flips[s] = flip[half]
    return best


@numba.njit(cache=True, nogil=True)
def _misfit(state, rows, a):  # type: ignore[no-untyped-def]
    """What the rows of rep ``a`` cost above what their multipliers say: never negative."""
    j, amount = state.group[a], state.cost[a] - rows.floor[state.group[a]]
    for k in range(state.total.shape[1]):
        amount += rows.at_own[j, k] * state.total[a, k]
    return amount


@numba.njit(cache=True, nogil=True)
def _flips(state, a, b):  # type: ignore[no-untyped-def]
    """New pairs of the nodes that could change between ``a`` and ``b``, least loss first: pair, node, loss."""
    most = state.count[a] + state.count[b]
    pair, node, loss = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most)
    n = 0
    for giver, taker in ((a, b), (b, a)):
        for s in range(state.count[giver]):
            i = state.members[giver, s]
            for p in range(state.first[i], state.first[i + 1]):
                if state.rep[p] == taker:
                    pair[n], node[n], loss[n] = p, i, state.loss[p] - state.loss[state.here[i]]
                    n += 1
    ranked = np.argsort(loss[:n])[:MOST_FLIPS]
    return pair[ranked], node[ranked], loss[ranked]


@numba.njit(cache=True, nogil=True)
def _halves(flip_loss, misfit):  # type: ignore[no-untyped-def]
    """Sets of at most two flips that can be part of a gain, least loss first: first flip, second flip (-1: none), loss."""
    n = len(flip_loss)
    count = 1 + n + n * (n - 1) // 2
    one, two, loss = np.full(count, -1, np.int64), np.full(count, -1, np.int64), np.zeros(count)
    h = 1
    for x in range(n):
        one[h], loss[h] = x, flip_loss[x]
        h += 1
        for y in range(x + 1, n):
            one[h], two[h], loss[h] = x, y, flip_loss[x] + flip_loss[y]
            h += 1
    ranked = np.argsort(loss)
    kept = ranked[: np.searchsorted(loss[ranked], misfit - loss[ranked[0]])]
    return one[kept], two[kept], loss[kept]


@numba.njit(cache=True, nogil=True)
def _effects(state, a, flip, flip_node, one, two):  # type: ignore[no-untyped-def]
    """Value of each half and what it adds to the totals of ``a`` and of the other rep, (n, K) each."""
    n_quantities = state.weight.shape[1]
    worth = np.zeros(len(one))
    change_a, change_b = np.zeros((len(one), n_quantities)), np.zeros((len(one), n_quantities))
    for h in range(len(one)):
        for x in (one[h], two[h]):
            if x < 0:
                continue
            old, new = state.here[flip_node[x]], flip[x]
            worth[h] += state.value[new] - state.value[old]
            for k in range(n_quantities):
                if state.rep[old] == a:
                    change_a[h, k] -= state.weight[old, k]
                    change_b[h, k] += state.weight[new, k]
                else:
                    change_a[h, k] += state.weight[new, k]
                    change_b[h, k] -= state.weight[old, k]
    return worth, change_a, change_b


@numba.njit(cache=True, nogil=True)
def _narrowest(state, rows, a, b, misfit, change_a, change_b):  # type: ignore[no-untyped-def]
    """The own row of either rep whose window leaves the fewest halves: row (-1: none), its value, each half's part."""
    best_row, best_own, narrowest = -1, 0.0, np.inf
    best_reach, reach = np.zeros(len(change_a)), np.empty(len(change_a))
    for side in range(2):
        rep = a if side == 0 else b
        change = change_a if side == 0 else change_b
        for r in range(rows.start[state.group[rep]], rows.start[state.group[rep] + 1]):
            if rows.quota[r] != 0.0 or len(change) == 0:
                continue
            own = 0.0
            for k in range(change.shape[1]):
                own += rows.coefficient[r, k] * state.total[rep, k]
            for h in range(len(change)):
                reach[h] = 0.0
                for k in range(change.shape[1]):
                    reach[h] += rows.coefficient[r, k] * change[h, k]
            below, above = window(rows, r, misfit)
            share = (above - below) / max(reach.max() - reach.min(), 1e-300)
            if share < narrowest:
                narrowest, best_row, best_own = share, r, own
                best_reach[:] = reach
    return best_row, best_own, best_reach


@numba.njit(cache=True, nogil=True)
def _shared_change(state, rows, a, b, first_a, second_a, first_b, second_b):  # type: ignore[no-untyped-def]
    """What company-wide rows cost more after an exchange."""
    cost = 0.0
    for s in range(len(state.activity)):
        moved = state.activity[s]
        for k in range(len(first_a)):
            moved += rows.shared[s, state.group[a], k] * (first_a[k] + second_a[k])
            moved += rows.shared[s, state.group[b], k] * (first_b[k] + second_b[k])
        cost += charge(moved, rows.shared_low[s], rows.shared_high[s], rows.shared_price[s], rows.shared_jump[s])
        cost -= charge(
            state.activity[s], rows.shared_low[s], rows.shared_high[s], rows.shared_price[s], rows.shared_jump[s]
        )
    return cost
