"""A good exchange of up to four nodes among two or three reps, by meeting in the middle: the best of those it tries.

Single moves and swaps stop where totals would have to change by less than any one account. Four accounts together can
be fitted far more finely: list every set of at most two flips (a node that goes to another of these reps), and join
two such sets. The multipliers prune the search: an exchange whose flips lose more against the multipliers than the
reps' rows and the company-wide ones cost above what the multipliers say cannot gain; and the row that narrows most is
searched by its window.
"""

from __future__ import annotations

import numpy as np

from territory_opt.optimize.compiled import compiled
from territory_opt.optimize.search.rows import FIRST, FLOOR, GAIN, QUOTA, rep_cost, shared_cost, shared_misfit, window
from territory_opt.optimize.settings import ABOVE_ZERO, INNER

MOST_FLIPS, MOST_JOINS, LEAST_GAIN = INNER.flips, INNER.joins, INNER.gain


@compiled(nogil=True)
def exchange(state, rows, reps, flips):  # type: ignore[no-untyped-def]
    """Find the best exchange that is tried among ``reps`` of a group; write new pairs to ``flips`` (4,), -1: none.

    Return what it gains, 0 if nothing was found.
    """
    misfit, now = 0.0, 0.0
    for a in reps:
        misfit += _misfit(state, rows, a)
        now += state.cost[a]
    for s in range(len(state.activity)):
        misfit += shared_misfit(rows.shared_limits, s, state.activity[s])
    flip, flip_node, flip_loss = _flips(state, reps, misfit)
    if len(flip) == 0:
        return 0.0
    one, two, loss = _halves(flip_node, flip_loss, misfit)
    worth, change = _effects(state, reps, flip, flip_node, one, two)
    row, own, reach = _narrowest(state, rows, reps, misfit, change)
    by_reach = np.argsort(reach)
    sorted_reach = reach[by_reach]
    start, own_rows, by_rep, group, total, scratch = (
        rows.start,
        rows.own,
        rows.by_rep,
        state.group,
        state.total,
        state.scratch,
    )
    after = np.empty(total.shape[1])
    best, best_x, best_y, joins = LEAST_GAIN, -1, -1, 0
    for x in range(len(one)):
        if loss[x] + loss[0] >= misfit - best or joins > MOST_JOINS:
            break
        begin, end = 0, len(one)
        if row >= 0:
            below, above = window(own_rows, row, misfit - best - loss[x] - loss[0])
            begin = np.searchsorted(sorted_reach, below - own - reach[x])
            end = np.searchsorted(sorted_reach, above - own - reach[x])
        for t in range(begin, end):
            y = by_reach[t]
            if y <= x or loss[x] + loss[y] >= misfit - best or _overlap(flip_node, one, two, x, y):
                continue
            joins += 1
            gained = worth[x] + worth[y] + now
            for g in range(len(reps)):
                for k in range(len(after)):
                    after[k] = total[reps[g], k] + change[x, g, k] + change[y, g, k]
                gained -= rep_cost(start, own_rows, by_rep, group[reps[g]], after, scratch)
                if gained <= best and by_rep[group[reps[g]], GAIN] <= 0.0:
                    break
            if gained > best and len(state.activity) > 0:
                gained -= _shared_change(state, rows, reps, change[x], change[y])
            if gained > best:
                best, best_x, best_y = gained, x, y
    flips[:] = -1
    if best_x < 0:
        return 0.0
    for s, half in enumerate((one[best_x], two[best_x], one[best_y], two[best_y])):
        if half >= 0:
            flips[s] = flip[half]
    return best


@compiled(nogil=True)
def _overlap(node, one, two, x, y):  # type: ignore[no-untyped-def]
    """Whether two halves move the same node."""
    for p in (one[x], two[x]):
        for q in (one[y], two[y]):
            if p >= 0 and q >= 0 and node[p] == node[q]:
                return True
    return False


@compiled(nogil=True)
def _misfit(state, rows, a):  # type: ignore[no-untyped-def]
    """What the rows of rep ``a`` cost above what their multipliers say: never negative."""
    j, amount = state.group[a], state.cost[a] - rows.by_rep[state.group[a], FLOOR]
    for k in range(state.total.shape[1]):
        amount += rows.at_own[j, k] * state.total[a, k]
    return amount


@compiled(nogil=True)
def _flips(state, reps, misfit):  # type: ignore[no-untyped-def]
    """New pairs of the nodes that could change among ``reps``, least loss first: pair, node, loss."""
    inside = np.zeros(len(state.group), np.bool_)
    most = 0
    for a in reps:
        inside[a] = True
        most += state.n_members[a]
    most *= len(reps) - 1
    pair, node, loss = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most)
    n = 0
    for a in reps:
        for s in range(state.n_members[a]):
            i = state.members[a, s]
            for p in range(state.first[i], state.first[i + 1]):
                lost = state.loss[p] - state.loss[state.here[i]]
                if inside[state.rep[p]] and state.rep[p] != a and lost < misfit:
                    pair[n], node[n], loss[n] = p, i, lost
                    n += 1
    ranked = np.argsort(loss[:n])[:MOST_FLIPS]
    return pair[ranked], node[ranked], loss[ranked]


@compiled(nogil=True)
def _halves(flip_node, flip_loss, misfit):  # type: ignore[no-untyped-def]
    """Sets of at most two flips that can be part of a gain, least loss first: both flips (-1: none) and the loss."""
    n = len(flip_loss)
    count = 1 + n + n * (n - 1) // 2
    one, two, loss = np.full(count, -1, np.int64), np.full(count, -1, np.int64), np.zeros(count)
    h = 1
    for x in range(n):
        one[h], loss[h] = x, flip_loss[x]
        h += 1
        for y in range(x + 1, n):
            if flip_node[x] != flip_node[y]:
                one[h], two[h], loss[h] = x, y, flip_loss[x] + flip_loss[y]
                h += 1
    ranked = np.argsort(loss[:h])
    kept = ranked[: np.searchsorted(loss[ranked], misfit - loss[ranked[0]])]
    return one[kept], two[kept], loss[kept]


@compiled(nogil=True)
def _effects(state, reps, flip, flip_node, one, two):  # type: ignore[no-untyped-def]
    """Value of each half and what it adds to the totals of each rep, (n, n_reps, K)."""
    n_quantities = state.weight.shape[1]
    place = np.zeros(len(state.group), np.int64)
    for g in range(len(reps)):
        place[reps[g]] = g
    worth, change = np.zeros(len(one)), np.zeros((len(one), len(reps), n_quantities))
    for h in range(len(one)):
        for x in (one[h], two[h]):
            if x < 0:
                continue
            old, new = state.here[flip_node[x]], flip[x]
            worth[h] += state.value[new] - state.value[old]
            giver, taker = place[state.rep[old]], place[state.rep[new]]
            for k in range(n_quantities):
                change[h, giver, k] -= state.weight[old, k]
                change[h, taker, k] += state.weight[new, k]
    return worth, change


@compiled(nogil=True)
def _narrowest(state, rows, reps, misfit, change):  # type: ignore[no-untyped-def]
    """The own row of any rep whose window leaves the fewest halves: row (-1: none), its value, each half's part."""
    best_row, best_own, narrowest = -1, 0.0, np.inf
    n = len(change)
    best_reach, reach = np.zeros(n), np.empty(n)
    for g in range(len(reps)):
        j = state.group[reps[g]]
        for r in range(rows.start[j], rows.start[j + 1]):
            if rows.own[r, QUOTA] != 0.0 or n == 0:
                continue
            own, least, most = 0.0, np.inf, -np.inf
            for k in range(change.shape[2]):
                own += rows.own[r, FIRST + k] * state.total[reps[g], k]
            for h in range(n):
                reach[h] = 0.0
                for k in range(change.shape[2]):
                    reach[h] += rows.own[r, FIRST + k] * change[h, g, k]
                least, most = min(least, reach[h]), max(most, reach[h])
            below, above = window(rows.own, r, misfit)
            share = (above - below) / max(most - least, ABOVE_ZERO)
            if share < narrowest:
                narrowest, best_row, best_own = share, r, own
                best_reach[:] = reach
    return best_row, best_own, best_reach


@compiled(nogil=True)
def _shared_change(state, rows, reps, first, second):  # type: ignore[no-untyped-def]
    """What company-wide rows cost more after an exchange."""
    cost = 0.0
    for s in range(len(state.activity)):
        moved = state.activity[s]
        for g in range(len(reps)):
            for k in range(first.shape[1]):
                moved += rows.shared[s, state.group[reps[g]], k] * (first[g, k] + second[g, k])
        cost += shared_cost(rows.shared_limits, s, moved) - shared_cost(rows.shared_limits, s, state.activity[s])
    return cost
