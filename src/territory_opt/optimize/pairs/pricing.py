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
from territory_opt.model.quantities import Basis
from territory_opt.optimize.pairs.factors import (
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
ONE, TRAVEL_KM, NET_SALES, GAIN, MOVED = (int(basis) for basis in Basis)
N_BASES = len(Basis)


@dataclass(frozen=True, slots=True)
class Lists:
    """For each node its best reps, (n_nodes, width), best first; -1 where there are fewer. ``best`` (n_nodes,)."""

    rep: SmallInts
    best: FloatArray


def best_reps(factors: Factors, at_rep: FloatArray, width: int, *, within: float = np.inf, threads: int = 2) -> Lists:
    """Return each node's ``width`` best eligible reps by value + sum of ``at_rep`` (m, K) x quantities.

    Only reps whose reduced value is within ``within`` of the node's best are listed. Cost: one pass over all pairs.
    """
    prices = np.vstack([at_rep.T, np.ones(factors.n_reps)])
    rep = np.full((factors.n_nodes, width), -1, dtype=np.int32)
    best = np.empty(factors.n_nodes)

    def work(first: int) -> None:
        last = min(first + CHUNK_NODES, factors.n_nodes)
        _best_reps(factors, prices, first, last, within, rep, best)

    in_threads(work, range(0, factors.n_nodes, CHUNK_NODES), threads)
    return Lists(rep, best)


def nearest_reps(factors: Factors, width: int, threads: int) -> Lists:
    """Each node's ``width`` best reps at zero multipliers."""
    return best_reps(factors, np.zeros((factors.n_reps, factors.n_quantities)), width, threads=threads)


def pairs_of(factors: Factors, start: IntArray, rep: SmallInts, *, threads: int = 2) -> Pairs:
    """Return value and quantities of listed pairs, CSR by node."""
    value, weight = np.empty(len(rep)), np.empty((len(rep), factors.n_quantities))

    def work(first: int) -> None:
        _fill(factors, start, rep, first, min(first + CHUNK_NODES, factors.n_nodes), value, weight)

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


@numba.njit(cache=True, inline="always")
def _chord(dx, dy, dz):  # type: ignore[no-untyped-def]
    """Straight distance of two points of the unit sphere that are so far apart."""
    return np.sqrt(dx * dx + dy * dy + dz * dz)


@numba.njit(cache=True, inline="always")
def _net_sales(gross, loss):  # type: ignore[no-untyped-def]
    """Expected sales after transfer loss."""
    return max(gross - loss, 0.0)


@numba.njit(cache=True, inline="always")
def _look(f, a, bases):  # type: ignore[no-untyped-def]
    """Write what terms multiply for account ``a`` and every rep to ``bases`` (5, m), but km as the crow flies."""
    m, group, incumbent, gross, loss = bases.shape[1], f.group[a], f.incumbent[a], f.gross[a], f.loss[a]
    x, y, z = f.point[a, 0], f.point[a, 1], f.point[a, 2]
    for j in range(m):
        chord = _chord(x - f.home[0, j], y - f.home[1, j], z - f.home[2, j])
        bases[TRAVEL_KM, j] = EARTH_RADIUS_KM * _angle(chord)
    for j in range(m):
        bases[NET_SALES, j] = gross * f.factor[group, j]
    if incumbent >= 0:
        before = bases[NET_SALES, incumbent]
        for j in range(m):
            bases[NET_SALES, j] = _net_sales(bases[NET_SALES, j], loss * f.kept[incumbent, j])
        bases[NET_SALES, incumbent] = before


@numba.njit(cache=True, inline="always")
def _moves(incumbent, moved):  # type: ignore[no-untyped-def]
    """Write 1 to ``moved`` (m,) where a rep is not the incumbent, if there is one."""
    moved[:] = 1.0 if incumbent >= 0 else 0.0
    if incumbent >= 0:
        moved[incumbent] = 0.0


@numba.njit(cache=True, inline="always")
def _add_account(f, a, prices, bases, out):  # type: ignore[no-untyped-def]
    """Add the reduced values of account ``a`` with every rep to ``out`` (m,), and return what is the same for all.

    ``prices`` (K + 1, m) of the quantities, 1 for the value; ``bases`` is working space. Shared arrays are read element
    by element: a view of one would be counted, and threads would wait for each other to count.
    """
    _look(f, a, bases)
    terms, m, constant = f.terms, out.shape[0], 0.0
    for t in range(len(terms.quantity)):
        q, basis, table, amount = terms.quantity[t], terms.basis[t], terms.by_rep[t], terms.scale[t]
        if terms.column[t] >= 0:
            amount *= terms.amount[a, terms.column[t]]
        if basis == TRAVEL_KM:
            amount *= f.road[a]
        elif basis == MOVED:
            _moves(f.incumbent[a], bases[MOVED])
        if amount == 0.0:
            continue
        if basis == GAIN and table < 0 and q == f.n_quantities:
            constant, basis = constant - amount * f.common[a], NET_SALES
        elif basis == GAIN:
            for j in range(m):
                bases[GAIN, j] = bases[NET_SALES, j] - f.common[a]
        if table >= 0:
            row = terms.table_row[a, table]
            for j in range(m):
                out[j] += amount * prices[q, j] * (terms.table[row, j] * bases[basis, j])
        elif q == f.n_quantities and basis == ONE:
            constant += amount
        elif q == f.n_quantities:
            for j in range(m):
                out[j] += amount * bases[basis, j]
        elif basis == ONE:
            for j in range(m):
                out[j] += amount * prices[q, j]
        else:
            for j in range(m):
                out[j] += amount * prices[q, j] * bases[basis, j]
    _bar(f, a, bases[TRAVEL_KM], out)
    return constant


@numba.njit(cache=True, inline="always")
def _bar(f, a, km, out):  # type: ignore[no-untyped-def]
    """Push the pairs that account ``a`` may not have far below all others."""
    group, locked = f.group[a], f.locked[a]
    for j in range(len(out)):
        if km[j] > f.max_km or not f.allowed[group, j] or (locked >= 0 and j != locked):
            out[j] = BARRED
    for s in range(f.forbid_start[a], f.forbid_start[a + 1]):
        out[f.forbid_rep[s]] = BARRED


@numba.njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _best_reps(f, prices, first, last, within, rep, best):  # type: ignore[no-untyped-def]
    """Write the best reps of nodes ``first:last``, best first, and the best reduced value."""
    m, width = prices.shape[1], rep.shape[1]
    out, bases = np.empty(m), np.ones((N_BASES, m))
    value = np.empty(width)
    for i in range(first, last):
        constant = 0.0
        out[:] = 0.0
        for a in range(f.node_start[i], f.node_start[i + 1]):
            constant += _add_account(f, a, prices, bases, out)
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
        best[i] = value[0] + constant
        for s in range(count):
            if value[s] < value[0] - within:
                rep[i, s] = -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill(f, start, rep, first, last, value, weight):  # type: ignore[no-untyped-def]
    """Write value and quantities of the listed pairs of nodes ``first:last``."""
    terms, bases = f.terms, np.ones(N_BASES)
    for i in range(first, last):
        for p in range(start[i], start[i + 1]):
            j = rep[p]
            value[p] = 0.0
            weight[p] = 0.0
            for a in range(f.node_start[i], f.node_start[i + 1]):
                incumbent = f.incumbent[a]
                moved = incumbent >= 0 and incumbent != j
                dx, dy, dz = f.point[a, 0] - f.home[0, j], f.point[a, 1] - f.home[1, j], f.point[a, 2] - f.home[2, j]
                half = min(0.5 * _chord(dx, dy, dz), 1.0)
                bases[TRAVEL_KM] = f.road[a] * (2.0 * EARTH_RADIUS_KM * np.arcsin(half))
                lost = f.loss[a] * f.kept[incumbent, j] if moved else 0.0
                bases[NET_SALES] = _net_sales(f.gross[a] * f.factor[f.group[a], j], lost)
                bases[GAIN] = bases[NET_SALES] - f.common[a]
                bases[MOVED] = 1.0 if moved else 0.0
                for t in range(len(terms.quantity)):
                    amount = terms.scale[t] * bases[terms.basis[t]]
                    if terms.column[t] >= 0:
                        amount *= terms.amount[a, terms.column[t]]
                    if terms.by_rep[t] >= 0:
                        amount *= terms.table[terms.table_row[a, terms.by_rep[t]], j]
                    if terms.quantity[t] < f.n_quantities:
                        weight[p, terms.quantity[t]] += amount
                    else:
                        value[p] += amount
