"""Local search in compiled code: annealed chains of moves, then exchanges, on the model's own objective.

The work is cut into disjoint groups of reps, which run side by side on their own nodes; company-wide rows are shared
out among them, so that all groups together keep these rows. The number of steps is fixed by the caller: the same seed
gives the same plan, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.optimize.compiled import compiled
from territory_opt.optimize.pairs.pricing import in_threads
from territory_opt.optimize.search.exchange import exchange
from territory_opt.optimize.search.rows import SearchRows, rep_cost, shared_cost
from territory_opt.optimize.settings import INNER

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CHAIN_SHARE, QUENCH, LEAST_GAIN, STOP_STEPS = INNER.chain, INNER.quench, INNER.gain, INNER.stop_steps


class Effort(NamedTuple):
    """How much work one call does: steps per free node, first and last temperature in money, sweeps of exchanges.

    Exchanges are among two reps, with ``threes`` also among three: several times the work.
    """

    steps: int
    hot: float
    cold: float
    sweeps: int
    threes: bool = False


class Everyone(NamedTuple):
    """All nodes and pairs of a search; ``order`` nodes by rep, CSR by ``member_start``; ``at`` (n_nodes,) is written.

    ``start``, ``rep``, ``value``, ``loss``, ``weight`` are the candidate pairs, CSR by node; ``totals`` (n_reps, K).
    """

    order: IntArray
    member_start: IntArray
    start: IntArray
    rep: IntArray | npt.NDArray[np.int32]
    value: FloatArray
    loss: FloatArray
    weight: FloatArray
    at: IntArray
    totals: FloatArray


class State(NamedTuple):
    """A group of reps at work: its free nodes, their pairs inside the group, and the running totals.

    ``rep`` counts within the group, ``group`` says which rep it is. ``first`` (n_free + 1,) CSR of pairs; ``here`` the
    pair each node is at; ``members``, ``n_members``, ``place`` the nodes of each rep.
    """

    group: IntArray
    node: IntArray
    first: IntArray
    rep: npt.NDArray[np.int32]
    value: FloatArray
    loss: FloatArray
    weight: FloatArray
    origin: IntArray
    here: IntArray
    members: npt.NDArray[np.int32]
    n_members: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    total: FloatArray
    cost: FloatArray
    activity: FloatArray
    scratch: FloatArray


class Search:
    """A plan under improvement: nodes, their candidate pairs (best first) and the pair each is at.

    ``loss`` (n_pairs,) is how far each pair's reduced value is behind the node's best.
    """

    def __init__(self, pairs: Pairs, loss: FloatArray, rows: SearchRows, rep_of_node: IntArray) -> None:
        """Every node's current rep must be among its ``pairs``."""
        self.pairs, self.loss, self.rows = pairs, loss, rows
        self.n_reps = len(rows.start) - 1
        self.weight = np.ascontiguousarray(pairs.quantities.T)
        self.at = positions(pairs, rep_of_node)

    @property
    def reps(self) -> IntArray:
        """Rep of each node, (n_nodes,)."""
        return np.asarray(self.pairs.rep[self.at], dtype=np.int64)

    def improve(self, groups: Sequence[IntArray], effort: Effort, *, seed: int, threads: int, stop: IntArray) -> None:
        """Improve disjoint ``groups`` of reps side by side; ``stop`` (1,) ends the work soon when it is set.

        A group keeps what it finds only if it is better than before.
        """
        in_threads(self.worker(groups, effort, seed=seed, stop=stop), range(len(groups)), threads)

    def worker(self, groups: Sequence[IntArray], effort: Effort, *, seed: int, stop: IntArray) -> Callable[[int], None]:
        """Return what improves one of ``groups`` by its number, from where the search stands now: see improve."""
        everyone = self.everyone()
        rows = self.rows.shared_among(everyone.totals, len(groups))

        def work(number: int) -> None:
            _improve_group(groups[number], everyone, rows, effort, seed + INNER.seed_step * number, stop)

        return work

    def everyone(self) -> Everyone:
        """All nodes and pairs as they stand now, for compiled code."""
        pairs, reps = self.pairs, self.reps
        order = np.argsort(reps, kind="stable")
        return Everyone(
            order=order,
            member_start=np.searchsorted(reps[order], np.arange(self.n_reps + 1)),
            start=pairs.start,
            rep=pairs.rep,
            value=pairs.value,
            loss=self.loss,
            weight=self.weight,
            at=self.at,
            totals=self.totals(),
        )

    def totals(self) -> FloatArray:
        """Rep totals of each quantity, (n_reps, K)."""
        chosen, reps = self.weight[self.at], self.reps
        totals = np.empty((self.n_reps, chosen.shape[1]))
        for k in range(chosen.shape[1]):
            totals[:, k] = np.bincount(reps, chosen[:, k], minlength=self.n_reps)
        return totals


def positions(pairs: Pairs, rep_of_node: IntArray) -> IntArray:
    """Return the pair each node is at, (n_nodes,). Raise ValueError if one is not among the pairs."""
    at = np.full(len(rep_of_node), -1, dtype=np.int64)
    node = pairs.node
    match = pairs.rep == rep_of_node[node]
    at[node[match]] = np.flatnonzero(match)
    if (at < 0).any():
        raise ValueError("the start uses a pair outside the candidates")
    return at


@compiled(nogil=True)
def _improve_group(group, everyone, rows, effort, seed, stop):  # type: ignore[no-untyped-def]
    """Anneal the nodes of ``group``, then exchange; write ``at`` of its nodes if that is an improvement."""
    np.random.seed(seed)
    state = _gather(group, everyone, rows)
    if len(state.node) == 0:
        return
    improvement = _anneal(state, rows, effort.steps * len(state.node), effort.hot, effort.cold, stop)
    improvement += _sweep(state, rows, effort.sweeps, effort.threes, stop)
    if improvement > 0.0:
        for f in range(len(state.node)):
            everyone.at[state.node[f]] = state.origin[state.here[f]]


@compiled(nogil=True)
def _count_free(group, local, everyone):  # type: ignore[no-untyped-def]
    """Count the nodes of ``group`` with two or more candidates inside, and these candidates."""
    n_free, n_pairs = 0, 0
    for j in group:
        for s in range(everyone.member_start[j], everyone.member_start[j + 1]):
            i, inside = everyone.order[s], 0
            for p in range(everyone.start[i], everyone.start[i + 1]):
                inside += local[everyone.rep[p]] >= 0
            if inside > 1:
                n_free += 1
                n_pairs += inside
    return n_free, n_pairs


@compiled(nogil=True)
def _gather(group, everyone, rows):  # type: ignore[no-untyped-def]
    """Copy what a group needs side by side: nodes with two or more candidates inside; all others only add to totals."""
    order, member_start, at, totals = everyone.order, everyone.member_start, everyone.at, everyone.totals
    pair_start, pair_rep, pair_value = everyone.start, everyone.rep, everyone.value
    pair_loss, pair_weight = everyone.loss, everyone.weight
    n_local, n_quantities = len(group), pair_weight.shape[1]
    local = np.full(len(rows.start) - 1, -1, np.int32)
    for g in range(n_local):
        local[group[g]] = g
    n_free, n_pairs = _count_free(group, local, everyone)
    node, first = np.empty(n_free, np.int64), np.zeros(n_free + 1, np.int64)
    rep, value, loss = np.empty(n_pairs, np.int32), np.empty(n_pairs), np.empty(n_pairs)
    weight, origin = np.empty((n_pairs, n_quantities)), np.empty(n_pairs, np.int64)
    here, place = np.empty(n_free, np.int64), np.empty(n_free, np.int32)
    members, count = np.empty((n_local, n_free), np.int32), np.zeros(n_local, np.int32)
    f, n = 0, 0
    for g in range(n_local):
        for s in range(member_start[group[g]], member_start[group[g] + 1]):
            i, begin = order[s], n
            for p in range(pair_start[i], pair_start[i + 1]):
                if local[pair_rep[p]] >= 0 and n < n_pairs:
                    rep[n], value[n], loss[n], origin[n] = local[pair_rep[p]], pair_value[p], pair_loss[p], p
                    weight[n] = pair_weight[p]
                    if p == at[i]:
                        here[min(f, n_free - 1)] = n
                    n += 1
            if n - begin < 2:
                n = begin
                continue
            node[f], first[f + 1] = i, n
            members[g, count[g]], place[f] = f, count[g]
            count[g] += 1
            f += 1
    total = np.empty((n_local, n_quantities))
    cost, scratch = np.empty(n_local), np.empty(len(rows.own))
    for g in range(n_local):
        total[g] = totals[group[g]]
        cost[g] = rep_cost(rows.start, rows.own, rows.by_rep, group[g], total[g], scratch)
    return State(
        group,
        node,
        first,
        rep,
        value,
        loss,
        weight,
        origin,
        here,
        members,
        count,
        place,
        total,
        cost,
        np.zeros(len(rows.shared)),
        scratch,
    )


@compiled(nogil=True)
def _anneal(state, rows, steps, hot, cold, stop):  # type: ignore[no-untyped-def]
    """Try ``steps`` moves; return what they gained. Temperature falls from ``hot`` to ``cold``, then zero.

    A move gives a node to another rep; in half of them the receiver passes a node of its own on, back to the giver (a
    swap) or to a third rep.
    """
    group, first, here, rep, value, weight = state.group, state.first, state.here, state.rep, state.value, state.weight
    members, count, total, cost, activity = state.members, state.n_members, state.total, state.cost, state.activity
    start, own, by_rep, shared, limits = rows.start, rows.own, rows.by_rep, rows.shared, rows.shared_limits
    scratch = state.scratch
    n_free, gained_in_all = len(state.node), 0.0
    quench = int(steps * (1.0 - QUENCH))
    ratio = (cold / hot) ** (1.0 / max(quench, 1))
    temperature = hot
    n_quantities = weight.shape[1]
    after_a, after_b, after_c = np.empty(n_quantities), np.empty(n_quantities), np.empty(n_quantities)
    for step in range(steps):
        if step % STOP_STEPS == 0 and stop[0] != 0:
            break
        temperature = 0.0 if step >= quench else temperature * ratio
        i = np.random.randint(n_free)
        # Candidates are ordered best first: the squared draw prefers the better ones.
        draw = np.random.random()
        p, old = first[i] + int(draw * draw * (first[i + 1] - first[i])), here[i]
        if p == old:
            continue
        a, b = rep[old], rep[p]
        other, other_old, other_new, c = -1, -1, -1, -1
        if count[b] > 0 and np.random.random() < CHAIN_SHARE:
            other = members[b, np.random.randint(count[b])]
            other_old, draw = here[other], np.random.random()
            other_new = first[other] + int(draw * draw * (first[other + 1] - first[other]))
            if other_new == other_old:
                continue
            c = rep[other_new]
        change = value[p] - value[old] + cost[a] + cost[b]
        for k in range(n_quantities):
            after_a[k] = total[a, k] - weight[old, k]
            after_b[k] = total[b, k] + weight[p, k]
        if other >= 0:
            change += value[other_new] - value[other_old]
            for k in range(n_quantities):
                after_b[k] -= weight[other_old, k]
                if c == a:
                    after_a[k] += weight[other_new, k]
                else:
                    after_c[k] = total[c, k] + weight[other_new, k]
        for s in range(len(activity)):
            moved = activity[s]
            for k in range(n_quantities):
                moved += shared[s, group[b], k] * weight[p, k] - shared[s, group[a], k] * weight[old, k]
                if other >= 0:
                    moved += shared[s, group[c], k] * weight[other_new, k]
                    moved -= shared[s, group[b], k] * weight[other_old, k]
            change += shared_cost(limits, s, activity[s]) - shared_cost(limits, s, moved)
        change -= rep_cost(start, own, by_rep, group[a], after_a, scratch)
        change -= rep_cost(start, own, by_rep, group[b], after_b, scratch)
        if other >= 0 and c != a:
            change += cost[c] - rep_cost(start, own, by_rep, group[c], after_c, scratch)
        if change <= LEAST_GAIN and (temperature == 0.0 or np.random.random() >= np.exp(change / temperature)):
            continue
        gained_in_all += change
        _shift(state, rows, i, p)
        if other >= 0:
            _shift(state, rows, other, other_new)
    return gained_in_all


@compiled(nogil=True)
def _shift(state, rows, i, new):  # type: ignore[no-untyped-def]
    """Move node ``i`` to pair ``new``: totals, costs, company-wide rows, member lists."""
    group, here, rep, weight, place = state.group, state.here, state.rep, state.weight, state.place
    members, count, total, cost, activity = state.members, state.n_members, state.total, state.cost, state.activity
    shared, scratch = rows.shared, state.scratch
    old = here[i]
    a, b = rep[old], rep[new]
    for k in range(weight.shape[1]):
        total[a, k] -= weight[old, k]
        total[b, k] += weight[new, k]
        for s in range(len(activity)):
            activity[s] += shared[s, group[b], k] * weight[new, k] - shared[s, group[a], k] * weight[old, k]
    here[i] = new
    last = members[a, count[a] - 1]
    members[a, place[i]] = last
    place[last] = place[i]
    count[a] -= 1
    members[b, count[b]] = i
    place[i] = count[b]
    count[b] += 1
    cost[a] = rep_cost(rows.start, rows.own, rows.by_rep, group[a], total[a], scratch)
    cost[b] = rep_cost(rows.start, rows.own, rows.by_rep, group[b], total[b], scratch)


@compiled(nogil=True)
def _sweep(state, rows, sweeps, threes, stop):  # type: ignore[no-untyped-def]
    """Exchange among every two (then every three) reps of the group until nothing is gained; return what was gained."""
    n_local, gained_in_all = len(state.group), 0.0
    two, three = np.empty(2, np.int64), np.empty(3, np.int64)
    # When a rep last changed, and when a set of reps was last tried without success.
    changed, tried_two = np.ones(n_local, np.int64), np.zeros((n_local, n_local), np.int64)
    size = n_local if threes else 0
    tried_three = np.zeros((size, size, size), np.int64)
    now = 1
    for sweep in range(sweeps):
        before = gained_in_all
        for a in range(n_local):
            for b in range(a + 1, n_local):
                if stop[0] == 0 and max(changed[a], changed[b]) > tried_two[a, b]:
                    two[0], two[1] = a, b
                    now += 1
                    gained = _apply(state, rows, two)
                    if gained > 0.0:
                        changed[a] = changed[b] = now
                        gained_in_all += gained
                    else:
                        tried_two[a, b] = now
        if not threes or (gained_in_all > before and sweep < sweeps - 1):
            if gained_in_all == before:
                break
            continue
        for a in range(n_local):
            for b in range(a + 1, n_local):
                for c in range(b + 1, n_local):
                    if stop[0] == 0 and max(changed[a], changed[b], changed[c]) > tried_three[a, b, c]:
                        three[0], three[1], three[2] = a, b, c
                        now += 1
                        gained = _apply(state, rows, three)
                        if gained > 0.0:
                            changed[a] = changed[b] = changed[c] = now
                            gained_in_all += gained
                        else:
                            tried_three[a, b, c] = now
        if gained_in_all == before:
            break
    return gained_in_all


@compiled(nogil=True)
def _apply(state, rows, reps):  # type: ignore[no-untyped-def]
    """Make the best exchange among ``reps``; return what it gained."""
    flips = np.empty(4, np.int64)
    gained = exchange(state, rows, reps, flips)
    if gained > 0.0:
        for pair in flips:
            if pair >= 0:
                _shift(state, rows, np.searchsorted(state.first, pair, side="right") - 1, pair)
    return gained
