"""The bound of a set of rows: by linear program where the exact method works, by the dual at scale above."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.dual import WARM, Ceiling, Watch, ascend, nearest_reps, sample_nodes, settle_quotas
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.mathopt import solve_lp
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import Lists, best_reps, pairs_of, reduced_values, union
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import dual_bound, least_violation_bound

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HARD_CEILING = 200.0
"""Largest multiplier of a hard row at scale: this many times what an average rep's nodes are worth and its priced rows
cost per full scale, per full scale."""
COMPANY_WIDE = 10.0
"""So many times more for a row over all reps: a budget of a few moves may be worth far more per move than the mean."""
FARTHEST, FARTHEST_NODES = 4.0, 256
"""Or this many times what such nodes lose with the worst rep of all, by a sample of nodes, if that is more."""
MOST_PER_MONEY = 100.0
"""Largest multiplier of a hard row on quotas, in units of the largest price on quotas: both are money per money."""
PROOF_TOLERANCE = 1e-7
LEAST_PROOF_SECONDS = 10.0
"""That rules clash is worth proving even when the time is up."""
PROGRAM_PER_REP = 20
"""A sample for company-wide rules has at least so many nodes of each rep, else the ascent starts from its own."""
PROGRAM_NODES, PROGRAM_WIDTH, PROGRAM_NEW, PROGRAM_ROUNDS = 6_000, 8, 3, 6
"""The linear program that finds the first multipliers (of quotas and company-wide rules at any size): nodes, reps of
each at first, best reps added to each after every round (column generation), rounds."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """Multipliers of a set of ``rows`` with the bound they prove, by the judge's own formula.

    ``start`` is the assignment they suggest, (n_nodes,). ``cases`` prove the tighter bound ``proven``, infinite while
    nobody has tried; what a pair loses counts against ``bound``, which stands at the same multipliers.
    """

    rows: Rows
    multipliers: FloatArray
    bound: float
    start: IntArray
    cases: Cases | None = None
    proven: float = np.inf

    @property
    def best(self) -> float:
        """The tightest bound that is proven."""
        return min(self.bound, self.proven)


def bound_by_program(
    model: Model, pairs: Pairs, rows: Rows, *, time_limit: float, stop: Callable[[], bool] | None = None
) -> Bounded:
    """Solve the LP relaxation over all eligible pairs; the bound is then recomputed by the judge's formula.

    When the hard rows cannot all hold (or time runs out), multipliers are those of the relaxation with priced
    violations, or zero.
    """
    values = _program_multipliers(model, pairs, rows, default_hard_price(pairs, rows), time_limit, stop)
    values = np.zeros(len(rows)) if values is None else settle_quotas(rows, values, ceiling_prices(rows, np.inf))
    best = np.lexsort((-reduced_values(pairs, rows.at_rep(values)), pairs.node))[pairs.start[:-1]]
    start = pairs.rep[best].astype(np.int64)
    return Bounded(rows, values, dual_bound(replace(model, rows=rows), values), start)


def bound_at_scale(
    model: Model,
    factors: Factors,
    rows: Rows,
    clock: Clock,
    *,
    nearest: Lists,
    start: FloatArray | None,
    threads: int,
    warm: float = WARM,
) -> Bounded:
    """Ascend the dual over all eligible pairs, from multipliers ``start`` (n_rows,) if there are any.

    ``nearest`` from :func:`nearest_reps`.
    """

    def tell(bound: float) -> None:
        clock.bound = bound
        clock.tell("bound")

    fair = model.share * float(model.problem.policy.quotas.target or 0.0)
    fair *= np.array([model.hierarchy.compound(j) for j in range(rows.n_reps)])
    ceiling = Ceiling(ceiling_prices(rows, _dearest(factors, rows, nearest)), model.quota_limit, fair)
    company_wide = (rows.owner < 0).any() and rows.n_reps * PROGRAM_PER_REP <= PROGRAM_NODES
    if clock.left > 0 and (rows.quotas.nnz or company_wide or factors.n_nodes <= PROGRAM_NODES):
        limit = max(clock.left / 3, 1.0)
        start = _program_start(
            model, factors, rows, start, nearest, ceiling.price, time_limit=limit, stop=clock.stopped, threads=threads
        )
    watch = Watch(tell, lambda: clock.left <= 0.0)
    ascent = ascend(factors, rows, ceiling, nearest, start=start, warm=warm, watch=watch, threads=threads)
    bound = dual_bound(replace(model, rows=rows), ascent.multipliers)
    clock.bound = bound
    clock.tell("bound", f"{ascent.passes} passes over all eligible pairs")
    return Bounded(rows, ascent.multipliers, bound, ascent.reps)


def _dearest(factors: Factors, rows: Rows, nearest: Lists) -> float:
    """Largest multiplier of a hard row of one rep, money per full scale; it may have to outweigh the priced rows."""
    step = -(-factors.n_nodes // FARTHEST_NODES)
    nodes = np.arange(step // 2, factors.n_nodes, step)
    everyone = np.tile(np.arange(factors.n_reps, dtype=np.int32), (len(nodes), 1))
    pairs = pairs_of(factors.take(nodes), *union([everyone], factors.n_reps))
    lost = nearest.best[nodes] - np.minimum.reduceat(pairs.value, pairs.start[:-1])
    per_rep = factors.n_nodes / factors.n_reps
    priced = ~rows.hard & (np.diff(rows.quotas.indptr) == 0)
    charged = float((rows.price * rows.scale)[priced].sum()) / factors.n_reps
    worth = max(float(np.abs(nearest.best).mean()) * per_rep + charged, 1.0)
    return max(HARD_CEILING * worth, FARTHEST * float(lost.mean()) * per_rep)


def _program_start(
    model: Model, factors: Factors, rows: Rows, known: FloatArray | None, nearest: Lists, price: FloatArray, *,
    time_limit: float, stop: Callable[[], bool], threads: int,
) -> FloatArray | None:  # fmt: skip
    """Multipliers of the linear program over a sample of nodes and their best pairs; ``known`` if it has none in time.

    ``price`` (n_rows,) is the largest multiplier of each: hard rows that clash, or that only a pair outside the lists
    can meet, cost so much. Multipliers of quotas stand and fall together (the roll-up pushes, odds and fairness hold
    against it), which makes a narrow valley for the ascent; the program finds its bottom at once, on few nodes as well
    as on many.
    """
    nodes, weight = np.arange(factors.n_nodes), np.ones(factors.n_nodes)
    if factors.n_nodes > PROGRAM_NODES:
        nodes, weight = sample_nodes(factors, rows, nearest, PROGRAM_NODES, threads)
    part = factors.take(nodes)
    lists = [nearest.rep[nodes, :PROGRAM_WIDTH]]
    if known is not None:
        lists.append(best_reps(part, rows.at_rep(known), PROGRAM_WIDTH, threads=threads).rep)
    values, until = known, time.perf_counter() + time_limit
    for _ in range(PROGRAM_ROUNDS):
        pairs = pairs_of(part, *union(lists, rows.n_reps), threads=threads)
        stands_for = weight[pairs.node]
        pairs = Pairs(pairs.start, pairs.rep, pairs.value * stands_for, pairs.quantities * stands_for)
        found = _program_multipliers(model, pairs, rows, price, max(until - time.perf_counter(), 0.1), stop)
        if found is None:
            break
        values = found
        fresh = best_reps(part, rows.at_rep(values), PROGRAM_NEW, threads=threads).rep
        key = pairs.node * rows.n_reps + pairs.rep
        wanted = np.repeat(np.arange(len(fresh)), fresh.shape[1]) * rows.n_reps + fresh.ravel()
        if np.isin(wanted[fresh.ravel() >= 0], key).all():
            break
        lists.append(fresh)
    return values


def _program_multipliers(
    model: Model, pairs: Pairs, rows: Rows, hard_price: FloatArray, time_limit: float, stop: Callable[[], bool] | None
) -> FloatArray | None:
    """Multipliers of the linear relaxation, or of the one with priced violations if hard rows clash; None: no time."""
    until = time.perf_counter() + time_limit
    linear = linear_model(model, pairs, rows)
    solution = solve_lp(linear, time_limit=time_limit, stop=stop)
    if len(solution.duals) == 0:
        linear = linear_model(model, pairs, rows, violations="price", hard_price=hard_price)
        solution = solve_lp(linear, time_limit=max(until - time.perf_counter(), 0.1), stop=stop)
    return linear.multipliers(solution.duals) if len(solution.duals) else None


def prove_least_violation(model: Model, factors: Factors, clock: Clock, *, threads: int) -> tuple[FloatArray, float]:
    """Return multipliers and the least summed violation they prove (0: not proven that the rules clash).

    Past the time limit it gets a few seconds more; Ctrl-C ends it.
    """
    rows = model.rows
    price = np.where(rows.hard, 1.0 / rows.scale, 0.0)
    worthless = factors.worthless()
    fair = model.quota_limit / rows.n_reps
    ceiling = Ceiling(price, model.quota_reach, fair)
    until = time.perf_counter() + max(clock.left, LEAST_PROOF_SECONDS)
    watch = Watch(lambda _: None, lambda: clock.interrupted or time.perf_counter() > until)
    nearest, start = nearest_reps(worthless, threads), None
    if factors.n_nodes <= PROGRAM_NODES:
        counted = replace(rows, price=np.where(rows.hard, rows.price, 0.0), worst_price=np.zeros_like(rows.worst_price))
        start = _program_start(
            model, worthless, counted, None, nearest, price, time_limit=LEAST_PROOF_SECONDS, stop=clock.stopped,
            threads=threads,
        )  # fmt: skip
        if start is not None and not start.any():
            return start, 0.0  # the rules hold where accounts may be split: no multipliers prove more
    ascent = ascend(worthless, rows, ceiling, nearest, start=start, watch=watch, threads=threads)
    values = np.where(rows.hard, np.clip(ascent.multipliers, -price, price), 0.0)
    proven = least_violation_bound(model, values)
    return values, proven if proven > PROOF_TOLERANCE else 0.0


def ceiling_prices(rows: Rows, hard: float) -> FloatArray:
    """Largest multiplier of each row, (n_rows,): its price, and an equal part of its rule's worst price.

    A hard row has none; ``hard`` (money per full scale of one rep's row) keeps the ascent of clashing rules finite.
    """
    members = np.bincount(rows.worst_group[rows.worst_group >= 0], minlength=len(rows.worst_price))
    extra = np.append(rows.worst_price / np.maximum(members, 1), 0.0)[rows.worst_group]
    on_quotas = np.diff(rows.quotas.indptr) > 0
    per_money = MOST_PER_MONEY * max(1.0, float(rows.price[on_quotas & ~rows.hard].max(initial=0.0)))
    whole = np.where(rows.owner < 0, COMPANY_WIDE * rows.n_reps * hard, hard)  # their scale is all reps' together
    return np.where(rows.hard, np.where(on_quotas, per_money, whole / rows.scale), rows.price + extra)


def default_hard_price(pairs: Pairs, rows: Rows) -> FloatArray:
    """All the value there is to decide, per full scale of the row."""
    best = np.maximum.reduceat(pairs.value, pairs.start[:-1])
    worst = np.minimum.reduceat(pairs.value, pairs.start[:-1])
    return np.where(rows.hard, max(float((best - worst).sum()), 1.0) * 2.0, 0.0) / rows.scale


def hard_prices(rows: Rows, multipliers: FloatArray, pairs: Pairs, factor: float) -> FloatArray:
    """Price per unit of each hard row in a search: ``factor`` times the largest multiplier of its rule."""
    per_scale = np.abs(multipliers) * rows.scale
    floor = default_hard_price(pairs, rows) * rows.scale / max(rows.n_reps, 1)
    price = np.zeros(len(rows))
    rules = rows.rule
    for rule in set(rules[rows.hard]):
        same = (rules == rule) & rows.hard
        price[same] = factor * per_scale[same].max()
        if not price[same].any():
            price[same] = floor[same]
    return price / rows.scale
