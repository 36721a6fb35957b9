"""Finding rounding cuts that a linear program breaks.

For the rows of a rep, and for two on its quota in which the quota cancels: accounts of which the rep has the larger
part are read the other way round, divisors are what accounts that are split add to the rows, and halves, quarters and
eighths of the best one; then split accounts are turned one by one while that helps. Source: Marchand and Wolsey,
Aggregation and mixed integer rounding to solve MIPs, Operations Research 49, 2001. What a cut is, and why it holds:
:mod:`territory_opt.plan.cuts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.settings import CutSettings
from territory_opt.plan.cuts import NONE, Cuts, RoundedCuts, rounded
from territory_opt.problem.numbers import TINY

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Base:
    """One or two rows of a rep at one limit each, with their weights and the ``limit`` of the sum: what is rounded."""

    rows: tuple[int, ...]
    sides: tuple[int, ...]
    weights: tuple[float, ...]
    limit: float


@dataclass(frozen=True, slots=True)
class _Found:
    """A cut of a base with ``divisor``; ``turned`` are positions of pairs; ``depth`` by how much it is broken."""

    base: _Base
    divisor: float
    turned: IntArray
    depth: float


@dataclass(frozen=True, slots=True)
class _Rep:
    """Positions of a rep's ``pairs`` and ``rows``, what a unit of each quantity adds to these (n, K), and the bases."""

    pairs: IntArray
    rows: IntArray
    rates: FloatArray
    bases: tuple[_Base, ...]

    @classmethod
    def of(cls, rows: Rows, pairs: IntArray, rep: int) -> _Rep:
        own, n_quantities = np.flatnonzero(rows.owner == rep), len(rows.quantities)
        rates = rows.totals[own][:, rep * n_quantities : (rep + 1) * n_quantities].toarray()
        return cls(pairs, own, rates, tuple(_bases(rows, own)))


class Rounding:
    """Looks for cuts of one model over its eligible ``pairs``."""

    def __init__(self, model: Model, pairs: Pairs, settings: CutSettings) -> None:
        self.model, self.pairs, self.settings, self.node = model, pairs, settings, pairs.node
        ends = np.cumsum(np.bincount(pairs.rep, minlength=model.rows.n_reps))
        of_reps = np.split(np.argsort(pairs.rep, kind="stable"), ends[:-1])
        self.reps = [_Rep.of(model.rows, own, rep) for rep, own in enumerate(of_reps)]

    def find(self, x: FloatArray, quotas: FloatArray) -> Cuts:
        """Return cuts that ``x`` (n_pairs,) with ``quotas`` (n_reps,) money breaks; may be none."""
        pairs, rows = self.pairs, self.model.rows
        used = [np.bincount(pairs.rep, quantity * x, rows.n_reps).astype(float) for quantity in pairs.quantities]
        outside = np.abs(rows.outside(np.array(used).reshape(-1, rows.n_reps).T, quotas))
        return self._packed([cut for rep in self.reps for cut in self._of_rep(rep, x, outside)])

    def coefficients(self, cuts: Cuts) -> tuple[RoundedCuts, sparse.csr_matrix]:
        """Work out ``cuts`` and their coefficients over all pairs, (n_cuts, n_pairs)."""
        worked_out = RoundedCuts.of(self.model, cuts)
        line, column, data = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0)]
        for c, rep in enumerate(worked_out.rep):
            own = self.reps[rep].pairs
            parts = worked_out.rates[c][:, None] * self.pairs.quantities[:, own]
            turned = np.isin(self.node[own], worked_out.nodes[worked_out.of_node == c])
            found = worked_out.coefficients(parts.sum(axis=0), np.abs(parts).sum(axis=0), turned, c)
            kept = found != 0.0
            line.append(np.full(int(kept.sum()), c))
            column.append(own[kept])
            data.append(found[kept])
        shape, at = (len(cuts), len(self.pairs.rep)), (np.concatenate(line), np.concatenate(column))
        return worked_out, sparse.csr_matrix((np.concatenate(data), at), shape=shape)

    def _of_rep(self, rep: _Rep, x: FloatArray, outside: FloatArray) -> list[_Found]:
        """The deepest cuts of one rep, one per base at most."""
        own = rep.pairs[x[rep.pairs] > self.settings.split]
        if (x[own] >= 1.0 - self.settings.split).all():
            return []
        amounts = dict(zip(rep.rows.tolist(), rep.rates @ self.pairs.quantities[:, own], strict=True))
        found = []
        for base in rep.bases:
            amount = sum(w * s * amounts[r] for r, s, w in zip(base.rows, base.sides, base.weights, strict=True))
            # Outside, a row is so at one of its limits: at the other the cut would be broken all the less.
            slack = float(sum(w * outside[r] for r, w in zip(base.rows, base.weights, strict=True)))
            cut = _deepest(base, own, amount, x[own], slack, self.settings)
            found += [] if cut is None else [cut]
        return sorted(found, key=lambda cut: -cut.depth)[: self.settings.per_rep]

    def _packed(self, found: list[_Found]) -> Cuts:
        """The cuts as they are kept."""
        source = self.model.source
        first = source.nodes.first
        named = [str(source.account_index[first[self.node[p]]]) for cut in found for p in cut.turned]
        pair = [(*cut.base.rows, NONE)[:2] for cut in found]
        sides = [(*cut.base.sides, 1)[:2] for cut in found]
        return Cuts(
            np.array(pair).reshape(-1, 2),
            np.array(sides).reshape(-1, 2),
            np.array([cut.divisor for cut in found]),
            tuple(named),
            np.array([len(cut.turned) for cut in found]),
        )


def _deepest(
    base: _Base, own: IntArray, amount: FloatArray, x: FloatArray, slack: float, settings: CutSettings
) -> _Found | None:
    """The deepest cut of one base for pairs ``own`` of which ``x`` are used; None: none is broken."""
    split = (x > settings.split) & (x < 1.0 - settings.split)
    turned = x > 0.5

    def depth(turned: BoolArray, divisors: FloatArray) -> FloatArray:
        sign = np.where(turned, -1.0, 1.0)
        right = (base.limit - amount[turned].sum()) / divisors
        room = 1.0 - (right - np.floor(right))
        sure = (room >= settings.least_room) & (room <= settings.most_room)
        room = np.where(sure, room, 1.0)
        left = rounded((sign * amount)[None, :] / divisors[:, None], room[:, None])
        broken = left @ np.where(turned, 1.0 - x, x) - slack / (divisors * room) - np.floor(right)
        size = np.sqrt((left**2).sum(axis=1))
        return np.where(sure, broken / np.maximum(size, TINY), -np.inf)

    divisors = np.unique(np.abs(amount[split]))
    divisors = divisors[divisors > settings.least_divisor * np.abs(amount).max(initial=0.0)]
    if not len(divisors):
        return None
    found = depth(turned, divisors)
    best = float(divisors[np.argmax(found)])
    parts = best / np.array(settings.divisor_parts)
    found = depth(turned, parts)
    best, deep = float(parts[np.argmax(found)]), float(found.max())
    for k in np.flatnonzero(split)[np.argsort(np.abs(x[split] - 0.5), kind="stable")]:
        other = turned.copy()
        other[k] = ~other[k]
        there = float(depth(other, np.array([best]))[0])
        if there > deep:
            turned, deep = other, there
    return _Found(base, best, own[turned], deep) if deep > settings.least_depth else None


def _bases(rows: Rows, own: IntArray) -> Iterator[_Base]:
    """Rows of one rep at each of their limits, and two on its quota at limits where it cancels."""
    on_quota = dict(zip(own.tolist(), np.asarray(rows.quotas[own].sum(axis=1)).ravel().tolist(), strict=True))
    limit = {(int(r), s): float((rows.high if s > 0 else rows.low)[r]) for r in own for s in (1, -1)}
    sides = [at for at, amount in limit.items() if np.isfinite(amount)]
    adds = np.diff(rows.totals.indptr) > 0
    yield from (_Base((r,), (s,), (1.0,), s * limit[r, s]) for r, s in sides if on_quota[r] == 0.0)
    for (r, s), (other, t) in product(sides, sides):
        first, second = s * on_quota[r], t * on_quota[other]
        if r < other and first * second < 0 and (adds[r] or adds[other]):
            weight = abs(first / second)
            both = s * limit[r, s] + weight * t * limit[other, t]
            yield _Base((r, other), (s, t), (1.0, weight), both)
