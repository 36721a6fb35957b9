"""Pricing in compiled code: the best reps of every node at given multipliers, over all eligible pairs.

10^9 pairs take a few seconds on two cores. Nothing is kept but the lists that are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from territory_opt.geography.sphere import EARTH_RADIUS_KM
from territory_opt.model.model import Pairs
from territory_opt.optimize.pairs.factors import (
    COVERED,
    CREDITED_OWN,
    CREDITED_SALES,
    HOURS,
    MOVED_ACCOUNTS,
    OWN,
    Factors,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]

CHUNK_NODES = 2048
"""Nodes per unit of work: results never depend on the number of threads."""
_ASIN = tuple(
    float(np.prod(np.arange(1, 2 * k, 2)) / np.prod(np.arange(2, 2 * k + 1, 2)) / (2 * k + 1)) for k in range(12)
)
"""Taylor series of asin(x)/x in x^2: exact to 10^-10 up to x = 0.5; larger x are folded below."""
BARRED = -1e300
"""Value of a pair that may not be."""
_FAST = {"contract", "nsz", "arcp", "nnan"}


@dataclass(frozen=True, slots=True)
class Lists:
    """For each node its best reps, (n_nodes, width), best first; -1 where there are fewer. ``best`` (n_nodes,)."""

    rep: SmallInts
    best: FloatArray


def best_reps(factors: Factors, at_rep: FloatArray, width: int, *, within: float = np.inf, threads: int = 2) -> Lists:
    """Return each node's ``width`` best eligible reps by value + sum of ``at_rep`` (m, K) x quantities.

    Only reps whose reduced value is within ``within`` of the node's best are listed. Cost: one pass over all pairs.
    """
    prices = np.ascontiguousarray(at_rep.T)
    rep = np.full((factors.n_nodes, width), -1, dtype=np.int32)
    best = np.empty(factors.n_nodes)
    plain = tuple(factors)

    def work(first: int) -> None:
        last = min(first + CHUNK_NODES, factors.n_nodes)
        _best_reps(plain, prices, first, last, within, rep, best)

    in_threads(work, range(0, factors.n_nodes, CHUNK_NODES), threads)
    return Lists(rep, best)


def pairs_of(factors: Factors, start: IntArray, rep: SmallInts, *, threads: int = 2) -> Pairs:
    """Return value and quantities of listed pairs, CSR by node."""
    value, weight = np.empty(len(rep)), np.empty((len(rep), len(factors.kind)))
    plain = tuple(factors)

    def work(first: int) -> None:
        _fill(plain, start, rep, first, min(first + CHUNK_NODES, factors.n_nodes), value, weight)

    in_threads(work, range(0, factors.n_nodes, CHUNK_NODES), threads)
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


@numba.njit(cache=True, inline="always")
def _angle(chord):  # type: ignore[no-untyped-def]
    """Arc of a chord of the unit circle, without a branch, so that loops over reps become vector code."""
    x = 0.5 * chord
    far = x > 0.5
    square = 0.5 * (1.0 - x) if far else x * x
    square = max(square, 0.0)
    series = _ASIN[11]
    for k in range(10, -1, -1):
        series = series * square + _ASIN[k]
    angle = series * np.sqrt(square)
    return np.pi - 4.0 * angle if far else 2.0 * angle


@numba.njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _add_account(f, a, prices, km, shift, out):  # type: ignore[no-untyped-def]
    """Add the reduced values of account ``a`` with every rep to ``out`` (m,); ``km``, ``shift`` are working space."""
    (_, point, home, road, gross, _, group, factor, allowed, incumbent, loss, current, kept, segment, credit, locked,
     forbid_start, forbid_rep, own, workload, potential, served, kind, column, margin, cost_per_km, hours_per_km,
     max_km) = f  # fmt: skip
    m = out.shape[0]
    x, y, z, far = point[a, 0], point[a, 1], point[a, 2], road[a]
    hx, hy, hz = home[0], home[1], home[2]
    for j in range(m):
        dx, dy, dz = x - hx[j], y - hy[j], z - hz[j]
        km[j] = EARTH_RADIUS_KM * _angle(np.sqrt(dx * dx + dy * dy + dz * dz))
    scale = -far * cost_per_km
    for j in range(m):
        out[j] += scale * km[j]
    sales_price = -1
    for k in range(kind.shape[0]):
        price = prices[k]
        if kind[k] == OWN:
            amount = own[a, column[k]]
            for j in range(m):
                out[j] += amount * price[j]
        elif kind[k] == HOURS:
            hours, per_km = workload[a], far * hours_per_km
            for j in range(m):
                out[j] += price[j] * (hours + per_km * km[j])
        elif kind[k] == CREDITED_SALES:
            sales_price = k
        elif kind[k] == CREDITED_OWN:
            amount, counts = own[a, column[k]], credit[segment[a]]
            for j in range(m):
                out[j] += amount * counts[j] * price[j]
        elif kind[k] == COVERED:
            for j in range(m):
                if served[column[k], group[a], j]:
                    out[j] += potential[a] * price[j]
        elif incumbent[a] >= 0:
            amount = 1.0 if kind[k] == MOVED_ACCOUNTS else current[a]
            for j in range(m):
                out[j] += amount * price[j]
            out[incumbent[a]] -= amount * price[incumbent[a]]
    base = gross[a]
    for j in range(m):
        shift[j] = base * factor[group[a], j]
    if incumbent[a] >= 0 and loss[a] > 0.0:
        before, likeness = shift[incumbent[a]], kept[incumbent[a]]
        for j in range(m):
            shift[j] = max(shift[j] - loss[a] * likeness[j], 0.0)
        shift[incumbent[a]] = before
    if sales_price >= 0:
        price, counts = prices[sales_price], credit[segment[a]]
        for j in range(m):
            out[j] += (margin + counts[j] * price[j]) * shift[j]
    else:
        for j in range(m):
            out[j] += margin * shift[j]
    _bar(km, max_km, allowed[group[a]], forbid_rep[forbid_start[a] : forbid_start[a + 1]], locked[a], out)


@numba.njit(cache=True, nogil=True)
def _bar(km, max_km, allowed, forbidden, locked, out):  # type: ignore[no-untyped-def]
    """Push the pairs that an account may not have far below all others."""
    for j in range(len(out)):
        if km[j] > max_km or not allowed[j] or (locked >= 0 and j != locked):
            out[j] = BARRED
    for j in forbidden:
        out[j] = BARRED


@numba.njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _best_reps(f, prices, first, last, within, rep, best):  # type: ignore[no-untyped-def]
    """Write the best reps of nodes ``first:last``, best first, and the best reduced value."""
    node_start, common, margin = f[0], f[5], f[24]
    m, width = prices.shape[1], rep.shape[1]
    out, km, shift = np.empty(m), np.empty(m), np.empty(m)
    value = np.empty(width)
    for i in range(first, last):
        constant = 0.0
        out[:] = 0.0
        for a in range(node_start[i], node_start[i + 1]):
            _add_account(f, a, prices, km, shift, out)
            constant += margin * common[a]
        count = 0
        least = 0.1 * BARRED
        for j in range(m):
            if out[j] <= least:
                continue
            spot = min(count, width - 1)
            while spot > 0 and value[spot - 1] < out[j]:
                value[spot] = value[spot - 1]
                rep[i, spot] = rep[i, spot - 1]
                spot -= 1
            value[spot] = out[j]
            rep[i, spot] = j
            count = min(count + 1, width)
            if count == width:
                least = value[width - 1]
        best[i] = value[0] - constant
        for s in range(count):
            if value[s] < value[0] - within:
                rep[i, s] = -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill(f, start, rep, first, last, value, weight):  # type: ignore[no-untyped-def]
    """Write value and quantities of the listed pairs of nodes ``first:last``."""
    (node_start, point, home, road, gross, common, group, factor, _, incumbent, loss, current, kept, segment, credit, _,
     _, _, own, workload, potential, served, kind, column, margin, cost_per_km, hours_per_km, _) = f  # fmt: skip
    for i in range(first, last):
        for p in range(start[i], start[i + 1]):
            j = rep[p]
            value[p] = 0.0
            for k in range(kind.shape[0]):
                weight[p, k] = 0.0
            for a in range(node_start[i], node_start[i + 1]):
                dx, dy, dz = point[a, 0] - home[0, j], point[a, 1] - home[1, j], point[a, 2] - home[2, j]
                half = min(0.5 * np.sqrt(dx * dx + dy * dy + dz * dz), 1.0)
                travel = road[a] * (2.0 * EARTH_RADIUS_KM * np.arcsin(half))
                moved = incumbent[a] >= 0 and incumbent[a] != j
                net = gross[a] * factor[group[a], j]
                if moved:
                    net = max(net - loss[a] * kept[incumbent[a], j], 0.0)
                value[p] += margin * (net - common[a]) - travel * cost_per_km
                for k in range(kind.shape[0]):
                    if kind[k] == OWN:
                        weight[p, k] += own[a, column[k]]
                    elif kind[k] == HOURS:
                        weight[p, k] += workload[a] + travel * hours_per_km
                    elif kind[k] == CREDITED_SALES:
                        weight[p, k] += net * credit[segment[a], j]
                    elif kind[k] == CREDITED_OWN:
                        weight[p, k] += own[a, column[k]] * credit[segment[a], j]
                    elif kind[k] == COVERED:
                        if served[column[k], group[a], j]:
                            weight[p, k] += potential[a]
                    elif moved:
                        weight[p, k] += 1.0 if kind[k] == MOVED_ACCOUNTS else current[a]
