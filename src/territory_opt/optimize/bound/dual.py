"""The dual bound at scale: multipliers from smoothed Lagrangian ascent, over all eligible pairs.

The bound of :mod:`territory_opt.plan.certificate` is a convex function of one multiplier per row: each node takes its
best rep. Its maximum over reps is smoothed at temperature T (a soft maximum, T weighted by the node's size), minimised
with L-BFGS-B within the prices, T halved, and so on. Lists of reps per node are rebuilt at every temperature from the
multipliers so far and *united* with the nearest and the previous ones: replacing them makes the multipliers oscillate.
Every temperature ends with a pass over all pairs, so the value that is kept is a bound for the whole problem. Where
the lists promised a better bound than all pairs give (a rep who lives far away was in no list, and its price went
through the roof), the temperature starts again from where it was with the pairs found there: a null step.

Sources: smoothing, Nesterov, Mathematical Programming 103, 2005; L-BFGS-B, Byrd, Lu, Nocedal and Zhu, SIAM J. Sci.
Comput. 16, 1995; null steps, Lemaréchal, in Nondifferentiable Optimization, 1978; the proximal term on quotas,
Rockafellar, Math. Oper. Res. 1, 1976.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from territory_opt.model.model import Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.compiled import compiled
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import best_reps, in_threads, pairs_of, reduced_values, union
from territory_opt.optimize.settings import ABOVE_ZERO, INNER, AscentSettings
from territory_opt.problem.numbers import TINY

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Ascent:
    """Multipliers (n_rows,) with the best bound that compiled code found in so many passes; the judge decides.

    ``reps`` (n_nodes,) is each node's best rep at these multipliers.
    """

    multipliers: FloatArray
    reps: IntArray
    passes: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What limits multipliers and quotas of one problem.

    ``price`` (n_rows,) largest multiplier; ``quota_limit`` and ``quota_fair`` (n_reps,) money.
    """

    price: FloatArray
    quota_limit: FloatArray
    quota_fair: FloatArray


@dataclass(frozen=True, slots=True)
class Watch:
    """``tell`` is called with the best bound after every temperature (NaN: not one of the whole problem yet).

    ``over`` says whether to end soon.
    """

    tell: Callable[[float], None]
    over: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Dual:
    """Nodes whose bound is to be found: pairs, rows, ceilings; ``nearest`` (n_nodes, any) best reps by value alone.

    ``weight`` (n_nodes,): nodes of a sample stand for others.
    """

    factors: Factors
    rows: Rows
    ceiling: Ceiling
    nearest: SmallInts
    weight: FloatArray
    settings: AscentSettings
    threads: int

    def sampled(self, count: int) -> Dual:
        """Return the dual of about ``count`` nodes that stand for all."""
        nodes, weight = sample_nodes(self, count)
        return replace(self, factors=self.factors.take(nodes), nearest=self.nearest[nodes], weight=weight)


def ascend(dual: Dual, watch: Watch, *, start: FloatArray | None, warm: float) -> Ascent:
    """Return good multipliers, from those of a sample if the problem is large and nothing is known yet.

    ``warm`` is the first temperature when there is a ``start`` (n_rows,): the better the start, the lower.
    """
    settings, zero = dual.settings, np.zeros(len(dual.rows))
    n_coarse = max(settings.coarse_nodes, settings.coarse_per_rep * dual.rows.n_reps)
    first = warm if start is not None else settings.hottest
    if start is None and dual.factors.n_nodes > settings.coarse_from * n_coarse:
        quiet = Watch(lambda _: watch.tell(np.nan), watch.over)
        start = _Ascending(dual.sampled(n_coarse)).run(zero, settings.hottest, settings.coarse_warm, quiet).multipliers
        first = settings.warm
    return _Ascending(dual).run(zero if start is None else start, first, settings.coolest, watch)


class _Ascending:
    """The ascent of one dual under way."""

    def __init__(self, dual: Dual) -> None:
        self.dual, self.settings = dual, dual.settings
        self.factors, self.rows, self.ceiling = dual.factors, dual.rows, dual.ceiling
        self.weight, self.nearest, self.threads = dual.weight, dual.nearest, dual.threads
        self.sides = _Sides.of(self.rows, self.ceiling)
        few = union([self.nearest[:, : self.settings.sized_by]], self.rows.n_reps)
        listed = pairs_of(self.factors, *few, threads=self.threads)
        best = np.maximum.reduceat(listed.value, listed.start[:-1])
        loss = best - np.minimum.reduceat(listed.value, listed.start[:-1])
        size = node_sizes(self.rows, listed)
        self.size = np.clip(size / max(float(size.mean()), ABOVE_ZERO), self.settings.smallest, self.settings.largest)
        typical = float(np.average(loss / self.size, weights=self.weight))
        # Where pairs are worth nothing (a proof that rules clash), money is shares of scale.
        self.unit = typical if typical > 0 else max(float(size.mean()), ABOVE_ZERO)
        total = float(self.weight @ np.abs(best)) + float(self.weight @ loss)
        self.money = total / self.rows.n_reps if total > 0 else 1.0
        self.fair = self.ceiling.quota_fair.copy()
        self.listed = self.nearest

    def run(self, start: FloatArray, hottest: float, coolest: float, watch: Watch) -> Ascent:
        """Lower the temperature from ``hottest`` to ``coolest``; keep the multipliers with the best bound."""
        n_stages = max(round(np.log2(hottest / coolest)) + 1, 1)
        side = self.sides.split(start)
        values = settle_quotas(self.rows, self.sides.join(side), self.ceiling.price)
        quick = best_reps(self.factors, self.rows.at_rep(values), self.settings.width, threads=self.threads)
        first = _Kept(self._bound(values, quick.best), self.sides.split(values), quick.rep[:, 0])
        best, kept = first.bound, first
        passes, calm, gained = 1, 0, np.inf
        for stage in range(n_stages + self.settings.more_stages):
            if watch.over() or (calm >= 2 and stage > n_stages // 2 + 1):
                break
            if stage >= n_stages and gained < self.settings.worthwhile * abs(best):
                break
            temperature = hottest * 0.5**stage * self.unit
            progress = min(stage / max(n_stages - 1, 1), 1.0)
            steps = round(self.settings.steps_hot + (self.settings.steps_cold - self.settings.steps_hot) * progress**2)
            known = [_Point(self.sides.join(side), quick.rep)]
            for _ in range(1 + self.settings.null_steps):
                pairs = self._listed_pairs(known, temperature)
                found = self._descend(pairs, side, temperature, steps, hottest * 0.5**stage, watch.over)
                values = settle_quotas(self.rows, self.sides.join(found), self.ceiling.price)
                quick = best_reps(self.factors, self.rows.at_rep(values), self.settings.width, threads=self.threads)
                bound = self._bound(values, quick.best)
                passes += 1
                if watch.over() or not self._too_far(pairs, values, bound, best):
                    break
                known.append(_Point(values, quick.rep))
            side = found
            gained = best - bound
            calm = calm + 1 if gained < self.settings.settled * abs(bound) else 0
            if bound < kept.bound or kept is first:
                kept = _Kept(bound, self.sides.split(values), quick.rep[:, 0])
            best = min(best, bound)
            self._forget(pairs, values, temperature)
            watch.tell(best)
        kept = kept if kept.bound <= first.bound + self.settings.even * abs(first.bound) else first
        return Ascent(self.sides.join(kept.side), kept.rep.astype(np.int64), passes)

    def _bound(self, values: FloatArray, best: FloatArray) -> float:
        bound = float(self.weight @ best)
        bound += float(np.maximum(self.rows.quotas.T @ values, 0.0) @ self.ceiling.quota_limit)
        return bound - self.sides.limits(self.sides.split(values))

    def _too_far(self, pairs: Pairs, values: FloatArray, bound: float, best: float) -> bool:
        """Whether ``values`` give a much worse ``bound`` than ``best``, and ``pairs`` promised better."""
        if bound <= best + self.settings.too_far * self.money * self.rows.n_reps:
            return False
        promised = np.maximum.reduceat(reduced_values(pairs, self.rows.at_rep(values)), pairs.start[:-1])
        return self._bound(values, promised) <= best + self.settings.too_far_promise * (bound - best)

    def _listed_pairs(self, known: list[_Point], temperature: float) -> Pairs:
        """The pairs of all lists that have weight at this temperature at a known point, or could get some on the way.

        The first point is where the descent starts, the others where it went too far.
        """
        start, rep = union([self.nearest, *(point.rep for point in known), self.listed], self.rows.n_reps)
        pairs = pairs_of(self.factors, start, rep, threads=self.threads)
        weighty = [self._weighty(pairs, point.values, self.settings.on_the_way * temperature) for point in known]
        return pairs.keep(np.logical_or.reduce(weighty))

    def _weighty(self, pairs: Pairs, values: FloatArray, temperature: float) -> npt.NDArray[np.bool_]:
        """Which pairs have any weight at multipliers ``values`` and ``temperature``, (n_pairs,)."""
        reduced, length = reduced_values(pairs, self.rows.at_rep(values)), np.diff(pairs.start)
        behind = np.repeat(np.maximum.reduceat(reduced, pairs.start[:-1]), length) - reduced
        return np.asarray(behind <= self.settings.faded * temperature * np.repeat(self.size, length))

    def _forget(self, pairs: Pairs, values: FloatArray, temperature: float) -> None:
        """Keep as the previous list only reps that still have weight at half the temperature."""
        length, kept = np.diff(pairs.start), self._weighty(pairs, values, 0.5 * temperature)
        rank = np.cumsum(kept) - 1
        rank -= np.repeat(np.concatenate([[0], np.cumsum(kept)])[pairs.start[:-1]], length)
        width = int(rank[kept].max()) + 1
        listed = np.full((len(length), width), -1, dtype=np.int32)
        listed[np.repeat(np.arange(len(length)), length)[kept], rank[kept]] = pairs.rep[kept]
        self.listed = listed

    def _descend(
        self, pairs: Pairs, side: FloatArray, temperature: float, steps: int, relative: float, over: Callable[[], bool]
    ) -> FloatArray:
        """Minimise the smoothed bound from ``side`` (multipliers by side of each row)."""
        if len(side) == 0:
            return side
        rows, sides = self.rows, self.sides
        weight, longest = np.ascontiguousarray(pairs.quantities.T), int(np.diff(pairs.start).max())
        spread = temperature * self.size
        listed = _Listed(pairs.start, pairs.rep, pairs.value, weight, spread, self.weight, longest, self.settings.faded)
        # A quota moves by a fair quota when its reduced value changes by this much: small, as it is exact at the end.
        softness = self.settings.soft_quotas * relative * sides.quota_price
        quota = self.fair

        def value(scaled: FloatArray) -> tuple[float, FloatArray]:
            nonlocal quota
            values = sides.join(scaled * sides.unit(self.money))
            total, use = _soft_best(listed, self.rows.at_rep(values), self.threads)
            activity = rows.totals @ use.ravel()
            if sides.quota_price > 0:
                reduced = np.asarray(rows.quotas.T @ values)
                stiff = softness / np.maximum(self.fair, TINY)
                quota = np.clip(self.fair + reduced / stiff, 0.0, self.ceiling.quota_limit)
                total += float((quota * reduced - 0.5 * stiff * (quota - self.fair) ** 2).sum())
                activity = activity + rows.quotas @ quota
            total -= sides.limits(scaled * sides.unit(self.money))
            slope = sides.slope(np.asarray(activity)) * sides.unit(self.money)
            return total / self.money, slope / self.money

        def stop_in_time(_: FloatArray) -> None:
            if over():
                raise StopIteration

        unit = sides.unit(self.money)
        found = minimize(
            value,
            side / unit,
            jac=True,
            method="L-BFGS-B",
            callback=stop_in_time,
            bounds=np.column_stack([sides.least / unit, sides.most / unit]),
            options=self.settings.lbfgs(steps),
        )
        if sides.quota_price > 0:
            value(found.x)
            self.fair = quota.copy()
        return np.asarray(found.x * unit)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A bound over all pairs with its multipliers by side, and each node's best rep there."""

    bound: float
    side: FloatArray
    rep: SmallInts


@dataclass(frozen=True, slots=True)
class _Point:
    """Multipliers (n_rows,) at which all pairs were priced, and each node's best reps there."""

    values: FloatArray
    rep: SmallInts


@dataclass(frozen=True, slots=True)
class _Sides:
    """Multipliers by side: one variable per limit that exists; an equality has one of either sign.

    ``row``, ``sign``, ``limit``, ``least``, ``most`` (n_sides,). The bound is linear in each on its range.
    """

    rows: Rows
    row: IntArray
    sign: FloatArray
    limit: FloatArray
    least: FloatArray
    most: FloatArray
    quota_price: float

    @classmethod
    def of(cls, rows: Rows, ceiling: Ceiling) -> _Sides:
        equal = rows.low == rows.high
        lower, upper = np.isfinite(rows.low) & ~equal, np.isfinite(rows.high) & ~equal
        row = np.concatenate([np.flatnonzero(lower), np.flatnonzero(upper), np.flatnonzero(equal)])
        sign = np.concatenate([np.ones(lower.sum()), -np.ones(upper.sum()), np.ones(equal.sum())])
        limit = np.concatenate([rows.low[lower], rows.high[upper], rows.low[equal]])
        most = ceiling.price[row]
        least = np.where(equal[row], -most, 0.0)
        on_quotas = (np.diff(rows.quotas.indptr) > 0) & (ceiling.price > 0)
        alone = on_quotas & (np.diff(rows.quotas.indptr) == 1) & ~rows.hard
        # Where no priced row stands on a quota (a proof that rules clash), the hard ones give the scale.
        quota_price = float(ceiling.price[alone if alone.any() else on_quotas].min(initial=np.inf))
        quota_price = quota_price if np.isfinite(quota_price) else float(rows.quotas.nnz > 0)
        return cls(rows, row, sign, limit, least, most, quota_price)

    def unit(self, money: float) -> FloatArray:
        """Size of a variable: ``money`` per scale of its row."""
        return money / self.rows.scale[self.row]

    def join(self, side: FloatArray) -> FloatArray:
        """Multipliers per row from those by side."""
        return np.asarray(np.bincount(self.row, self.sign * side, minlength=len(self.rows)), dtype=float)

    def split(self, values: FloatArray) -> FloatArray:
        """Multipliers by side from those per row, within their ranges."""
        return np.clip(self.sign * values[self.row], self.least, self.most)

    def limits(self, side: FloatArray) -> float:
        """Sum of multiplier x limit, which the bound subtracts."""
        return float((self.sign * side) @ self.limit)

    def slope(self, activity: FloatArray) -> FloatArray:
        """Derivative of the bound by each variable for row activities (n_rows,)."""
        return np.asarray(self.sign * (activity[self.row] - self.limit))


def node_sizes(rows: Rows, pairs: Pairs) -> FloatArray:
    """How much of a rep's limits each node uses with the first of its ``pairs``, summed over rules, (n_nodes,)."""
    coefficient = abs(rows.totals).T @ (1.0 / rows.scale)
    rate = np.asarray(coefficient).reshape(rows.n_reps, len(rows.quantities))
    first = pairs.start[:-1]
    return np.asarray(np.einsum("nk,kn->n", rate[pairs.rep[first]], np.abs(pairs.quantities[:, first])))


def territory_shares(rows: Rows, pairs: Pairs) -> FloatArray:
    """Size of each node as a share of an average territory, (n_nodes,)."""
    size = node_sizes(rows, pairs)
    return size / max(float(size.sum()) / rows.n_reps, ABOVE_ZERO)


def sample_nodes(dual: Dual, count: int) -> tuple[IntArray, FloatArray]:
    """Choose about ``count`` nodes, every large one and of the others each n-th by place and size, with weights."""
    rows = dual.rows
    listed = pairs_of(dual.factors, *union([dual.nearest[:, :1]], rows.n_reps), threads=dual.threads)
    size = node_sizes(rows, listed)
    limit = dual.settings.large_share * float(size.sum()) / rows.n_reps
    large, small = np.flatnonzero(size > limit), np.flatnonzero(size <= limit)
    step = max(int(np.ceil(len(small) / max(count - len(large), 1))), 1)
    by_place = small[np.lexsort((size[small], dual.nearest[small, 0]))]
    picked = by_place[step // 2 :: step]
    share = size[picked].sum() / size[small].sum() if size[picked].sum() > 0 else len(picked) / max(len(small), 1)
    stands_for = np.full(len(picked), 1.0 / max(share, ABOVE_ZERO))
    nodes = np.concatenate([large, picked])
    order = np.argsort(nodes)
    return nodes[order], np.concatenate([np.ones(len(large)), stands_for])[order]


def settle_quotas(rows: Rows, values: FloatArray, price: FloatArray) -> FloatArray:
    """Cancel positive reduced values of quotas, which a large quota limit would blow up in the bound.

    The multipliers of rows on one rep's quota give way first, within their prices; then those of the roll-up. The quota
    of an only rep is the target, which is its limit: there is nothing to blow up.
    """
    if rows.quotas.nnz == 0 or rows.n_reps == 1:
        return values
    values = values.copy()
    reduced = np.asarray(rows.quotas.T @ values)
    alone = np.flatnonzero(np.diff(rows.quotas.indptr) == 1)
    for r in alone[np.argsort(rows.hard[alone], kind="stable")]:
        j, coefficient = int(rows.quotas.indices[rows.quotas.indptr[r]]), float(rows.quotas.data[rows.quotas.indptr[r]])
        if reduced[j] <= 0 or coefficient <= 0:
            continue
        floor = -price[r] if np.isfinite(rows.high[r]) else 0.0
        change = min(reduced[j] / coefficient, max(values[r] - floor, 0.0))
        values[r] -= change
        reduced[j] -= change * coefficient
    for r in np.flatnonzero(np.diff(rows.quotas.indptr) > 1):
        inside = slice(rows.quotas.indptr[r], rows.quotas.indptr[r + 1])
        excess = float((reduced[rows.quotas.indices[inside]] / rows.quotas.data[inside]).max())
        if excess > 0:
            values[r] -= excess
            reduced[rows.quotas.indices[inside]] -= excess * rows.quotas.data[inside]
    return values


class _Listed(NamedTuple):
    """Listed pairs for compiled code, CSR by node: ``rep``, ``value``, ``weight`` (n_pairs, K).

    ``spread`` (n_nodes,) is each node's temperature, ``stands_for`` (n_nodes,) how many nodes it stands for; no node
    has more than ``longest`` pairs; one that is ``faded`` temperatures behind the best has no weight.
    """

    start: IntArray
    rep: SmallInts | IntArray
    value: FloatArray
    weight: FloatArray
    spread: FloatArray
    stands_for: FloatArray
    longest: int
    faded: float


def _soft_best(listed: _Listed, at_rep: FloatArray, threads: int) -> tuple[float, FloatArray]:
    """Return the summed soft maximum over nodes and its derivative by ``at_rep``, (n_reps, K)."""
    n_nodes = len(listed.start) - 1
    parts = range(0, n_nodes, INNER.ascent_nodes)
    use = np.zeros((len(parts), *at_rep.shape))
    total = np.zeros(len(parts))

    def work(first: int) -> None:
        last, part = min(first + INNER.ascent_nodes, n_nodes), first // INNER.ascent_nodes
        total[part] = _soft_part(listed, at_rep, first, last, use[part])

    in_threads(work, parts, threads)
    return float(total.sum()), use.sum(axis=0)


@compiled(nogil=True, fastmath={"contract", "nsz", "reassoc", "arcp"}, error_model="numpy")
def _soft_part(listed, at_rep, first, last, use):  # type: ignore[no-untyped-def]
    """Return the summed soft maximum over nodes ``first:last``; add its derivative by ``at_rep`` to ``use``."""
    start, rep, value, weight = listed.start, listed.rep, listed.value, listed.weight
    spread, stands_for = listed.spread, listed.stands_for
    n_quantities = weight.shape[1]
    reduced = np.empty(listed.longest)
    total = 0.0
    for i in range(first, last):
        begin, count = start[i], start[i + 1] - start[i]
        best = -np.inf
        for s in range(count):
            p = begin + s
            amount = value[p]
            for k in range(n_quantities):
                amount += at_rep[rep[p], k] * weight[p, k]
            reduced[s] = amount
            best = max(best, amount)
        mass = 0.0
        for s in range(count):
            behind = (reduced[s] - best) / spread[i]
            reduced[s] = np.exp(behind) if behind > -listed.faded else 0.0
            mass += reduced[s]
        total += stands_for[i] * (best + spread[i] * np.log(mass))
        for s in range(count):
            if reduced[s] > 0.0:
                part = stands_for[i] * reduced[s] / mass
                for k in range(n_quantities):
                    use[rep[begin + s], k] += part * weight[begin + s, k]
    return total
