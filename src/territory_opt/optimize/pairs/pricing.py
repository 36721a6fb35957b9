"""Pricing in compiled code: the best reps of every node at given multipliers, over all eligible pairs.

10^9 pairs take a few seconds on two cores. Nothing is kept but the lists that are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Chebyshev, Polynomial

from territory_opt.geography.sphere import EARTH_RADIUS_KM
from territory_opt.model.model import Pairs
from territory_opt.model.quantities import Basis
from territory_opt.optimize.compiled import compiled
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.settings import INNER

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]

_FAR = 0.5
"""Half a chord above which an angle is found by that of the rest."""
_ASIN = tuple(
    float(c)
    for c in Chebyshev.interpolate(lambda s: np.arcsin(np.sqrt(s)) / np.sqrt(s), 11, domain=(0.0, _FAR**2))
    .convert(kind=Polynomial, domain=(-1.0, 1.0))
    .coef
)
"""asin(x)/x as a polynomial in x^2, right to 10^-14 up to there."""
BARRED = -1e300
"""Value of a pair that may not be."""
ELIGIBLE = 0.1 * BARRED
"""A pair with a lower reduced value may not be."""
_kernel = compiled(nogil=True, fastmath={"contract", "nsz", "arcp", "nnan"}, error_model="numpy")
ONE, TRAVEL_KM, NET_SALES = int(Basis.ONE), int(Basis.TRAVEL_KM), int(Basis.NET_SALES)
GAIN, MOVED = int(Basis.GAIN), int(Basis.MOVED)


class Lists(NamedTuple):
    """For each node its best reps, (n_nodes, width), best first; -1 where there are fewer. ``best`` (n_nodes,)."""

    rep: SmallInts
    best: FloatArray


def best_reps(factors: Factors, at_rep: FloatArray, width: int, *, within: float = np.inf, threads: int = 2) -> Lists:
    """Return each node's ``width`` best eligible reps by value + sum of ``at_rep`` (m, K) x quantities.

    Only reps whose reduced value is within ``within`` of the node's best are listed. Cost: one pass over all pairs.
    """
    price = factors.terms.priced(np.vstack([at_rep.T, np.ones(factors.n_reps)]))
    lists = Lists(np.full((factors.n_nodes, width), -1, dtype=np.int32), np.empty(factors.n_nodes))
    block = max(INNER.pricing_cells // factors.n_reps, 1)

    def work(first: int) -> None:
        last = min(first + INNER.pricing_nodes, factors.n_nodes)
        _best_reps(factors, price, first, last, block, within, lists)

    in_threads(work, range(0, factors.n_nodes, INNER.pricing_nodes), threads)
    return lists


def nearest_reps(factors: Factors, width: int, threads: int) -> Lists:
    """Each node's ``width`` best reps at zero multipliers."""
    return best_reps(factors, np.zeros((factors.n_reps, factors.n_quantities)), width, threads=threads)


def pairs_of(factors: Factors, start: IntArray, rep: SmallInts, *, threads: int = 2) -> Pairs:
    """Return value and quantities of listed pairs, CSR by node."""
    value, weight = np.empty(len(rep)), np.empty((len(rep), factors.n_quantities))

    def work(first: int) -> None:
        _fill(factors, start, rep, first, min(first + INNER.pricing_nodes, factors.n_nodes), value, weight)

    in_threads(work, range(0, factors.n_nodes, INNER.pricing_nodes), threads)
    return Pairs(start, rep, value, weight.T)


def reduced_values(pairs: Pairs, at_rep: FloatArray) -> FloatArray:
    """Value of each pair + sum of ``at_rep`` (m, K) x quantities, (n_pairs,)."""
    reduced = pairs.value.copy()
    for k in range(at_rep.shape[1]):
        reduced += at_rep[pairs.rep, k] * pairs.quantities[k]
    return reduced


def union(lists: list[SmallInts], n_reps: int) -> tuple[IntArray, SmallInts]:
    """Unite lists of reps per node, (n_nodes, any width) each with -1 for none; return CSR start and sorted reps."""
    stacked = np.sort(np.hstack([np.where(part < 0, n_reps, part) for part in lists]).astype(np.int32), axis=1)
    keep = stacked < n_reps
    keep[:, 1:] &= stacked[:, 1:] != stacked[:, :-1]
    start = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64)
    return start, stacked[keep]


def in_threads(work: Callable[[int], None], parts: range, threads: int) -> None:
    """Call ``work`` with every part; compiled code runs side by side, and Ctrl-C is heard meanwhile."""
    list(_pool(threads).map(work, parts))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: the ascent hands them work of a millisecond some thousand times."""
    return ThreadPoolExecutor(max_workers=threads)


if hasattr(os, "register_at_fork"):  # the threads of a pool do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)


@compiled(inline="always")
def _km(dx, dy, dz):  # type: ignore[no-untyped-def]
    """Great-circle distance of two points of the unit sphere that are so far apart, without a branch.

    So loops over reps become vector code.
    """
    x = 0.5 * np.sqrt(dx * dx + dy * dy + dz * dz)
    far = x > _FAR
    square = max(0.5 * (1.0 - x) if far else x * x, 0.0)
    series = _ASIN[-1]
    for k in range(len(_ASIN) - 2, -1, -1):
        series = series * square + _ASIN[k]
    angle = 2.0 * series * np.sqrt(square)
    return EARTH_RADIUS_KM * (np.pi - 2.0 * angle if far else angle)


@compiled(inline="always")
def _net_sales(gross, lost):  # type: ignore[no-untyped-def]
    """Expected sales after transfer loss."""
    return max(gross - lost, 0.0)


class Space(NamedTuple):
    """Working space for some accounts with every rep, (any, m): ``km`` as the crow flies, ``net`` sales; and for some
    nodes with every rep ``out``, reduced values."""

    km: FloatArray
    net: FloatArray
    out: FloatArray


@compiled(inline="always")
def _basis(basis, km, sales, moved):  # type: ignore[no-untyped-def]
    """What a term multiplies; ``sales`` net, for a gain above what comes with whatever rep; km are those of the road in
    the term's amount."""
    if basis == TRAVEL_KM:
        return km
    if basis == MOVED:
        return moved
    return 1.0 if basis == ONE else sales


@_kernel
def _look(f, first, last, space):  # type: ignore[no-untyped-def]
    """Write ``km`` and ``net`` of accounts ``first:last``."""
    km, net = space.km, space.net
    for a in range(first, last):
        row, group, incumbent, gross, loss = a - first, f.group[a], f.incumbent[a], f.gross[a], f.loss[a]
        x, y, z = f.point[a, 0], f.point[a, 1], f.point[a, 2]
        for j in range(km.shape[1]):
            km[row, j] = _km(x - f.home[0, j], y - f.home[1, j], z - f.home[2, j])
        for j in range(km.shape[1]):
            net[row, j] = gross * f.factor[group, j]
        if incumbent >= 0:
            own = net[row, incumbent]
            for j in range(km.shape[1]):
                net[row, j] = _net_sales(net[row, j], loss * f.kept[incumbent, j])
            net[row, incumbent] = own


@_kernel
def _add(f, first, last, price, node, space):  # type: ignore[no-untyped-def]
    """Add the reduced values of accounts ``first:last`` to ``out``, whose row 0 is ``node``; ``price`` (n_terms, m)."""
    km, net, out = space.km, space.net, space.out
    terms, m, i = f.terms, out.shape[1], node
    for a in range(first, last):
        while f.node_start[i + 1] <= a:
            i += 1
        row, to, incumbent = a - first, i - node, f.incumbent[a]
        for t in range(len(terms.basis)):
            basis, table, amount, shift = terms.basis[t], terms.by_rep[t], 1.0, 0.0
            if terms.column[t] >= 0:
                amount = terms.amount[a, terms.column[t]]
            if amount == 0.0 or (basis == MOVED and incumbent < 0):
                continue
            kept = out[to, max(incumbent, 0)]
            if basis == TRAVEL_KM:
                amount *= f.road[a]
            elif basis == GAIN:
                shift = f.common[a]
            if table >= 0:
                of_rep = terms.table_row[a, table]
                for j in range(m):
                    of_pair = _basis(basis, km[row, j], net[row, j] - shift, 1.0)
                    out[to, j] += amount * price[t, j] * (terms.table[of_rep, j] * of_pair)
            elif basis == TRAVEL_KM:
                for j in range(m):
                    out[to, j] += amount * price[t, j] * km[row, j]
            elif basis in (NET_SALES, GAIN):
                for j in range(m):
                    out[to, j] += amount * price[t, j] * (net[row, j] - shift)
            else:
                for j in range(m):
                    out[to, j] += amount * price[t, j]
            if basis == MOVED:
                out[to, incumbent] = kept


@_kernel
def _bar(f, first, last, node, space):  # type: ignore[no-untyped-def]
    """Push the pairs that accounts ``first:last`` may not have far below all others, as :func:`_add`."""
    km, out, i, max_km = space.km, space.out, node, f.max_km
    for a in range(first, last):
        while f.node_start[i + 1] <= a:
            i += 1
        group, locked, row, to = f.group[a], f.locked[a], a - first, i - node
        for j in range(out.shape[1]):
            if km[row, j] > max_km or not f.allowed[group, j] or (locked >= 0 and j != locked):
                out[to, j] = BARRED
        for s in range(f.forbid_start[a], f.forbid_start[a + 1]):
            out[to, f.forbid_rep[s]] = BARRED


@_kernel
def _pick(out, count, node, within, lists):  # type: ignore[no-untyped-def]
    """Write the best reps of ``count`` nodes from ``node`` on, best first, and the best reduced value."""
    rep, best = lists.rep, lists.best
    width = rep.shape[1]
    value = np.empty(width)
    for row in range(count):
        i, n, least = node + row, 0, ELIGIBLE
        for j in range(out.shape[1]):
            if out[row, j] <= least:
                continue
            spot = min(n, width - 1)
            while spot > 0 and value[spot - 1] < out[row, j]:
                value[spot] = value[spot - 1]
                rep[i, spot] = rep[i, spot - 1]
                spot -= 1
            value[spot] = out[row, j]
            rep[i, spot] = j
            n = min(n + 1, width)
            if n == width:
                least = value[width - 1]
        best[i] = value[0]
        for s in range(n):
            if value[s] < value[0] - within:
                rep[i, s] = -1


@_kernel
def _best_reps(f, price, first, last, size, within, lists):  # type: ignore[no-untyped-def]
    """Write the lists of nodes ``first:last``, so many at a time; ``price`` (n_terms, m)."""
    m = price.shape[1]
    space = Space(np.empty((size, m)), np.empty((size, m)), np.empty((size, m)))
    for node in range(first, last, size):
        count = min(size, last - node)
        space.out[:] = 0.0
        end = f.node_start[node + count]
        for a in range(f.node_start[node], end, size):
            until = min(a + size, end)
            _look(f, a, until, space)
            _add(f, a, until, price, node, space)
            _bar(f, a, until, node, space)
        _pick(space.out, count, node, within, lists)


@_kernel
def _fill(f, start, rep, first, last, value, weight):  # type: ignore[no-untyped-def]
    """Write value and quantities of the listed pairs of nodes ``first:last``."""
    longest = 0
    for i in range(first, last):
        longest = max(longest, start[i + 1] - start[i])
    km, net, part = np.empty(longest), np.empty(longest), np.empty(longest)
    for i in range(first, last):
        for p in range(start[i], start[i + 1]):
            value[p] = 0.0
            for q in range(weight.shape[1]):
                weight[p, q] = 0.0
        for a in range(f.node_start[i], f.node_start[i + 1]):
            begin, n, incumbent, group = start[i], start[i + 1] - start[i], f.incumbent[a], f.group[a]
            x, y, z, gross, loss = f.point[a, 0], f.point[a, 1], f.point[a, 2], f.gross[a], f.loss[a]
            for s in range(n):
                j = rep[begin + s]
                lost = loss * f.kept[incumbent, j] if incumbent >= 0 and incumbent != j else 0.0
                km[s] = _km(x - f.home[0, j], y - f.home[1, j], z - f.home[2, j])
                net[s] = _net_sales(gross * f.factor[group, j], lost)
            for t in range(len(f.terms.basis)):
                basis, table = f.terms.basis[t], f.terms.by_rep[t]
                amount = f.terms.amount[a, f.terms.column[t]] if f.terms.column[t] >= 0 else 1.0
                if basis == TRAVEL_KM:
                    amount *= f.road[a]
                shift = f.common[a] if basis == GAIN else 0.0
                for s in range(n):
                    moved = 1.0 if incumbent >= 0 and incumbent != rep[begin + s] else 0.0
                    part[s] = amount * _basis(basis, km[s], net[s] - shift, moved)
                    if table >= 0:
                        part[s] *= f.terms.table[f.terms.table_row[a, table], rep[begin + s]]
                for u in range(f.terms.start[t], f.terms.start[t + 1]):
                    q, scale = f.terms.quantity[u], f.terms.scale[u]
                    for s in range(n):
                        if q < f.n_quantities:
                            weight[begin + s, q] += scale * part[s]
                        else:
                            value[begin + s] += scale * part[s]
