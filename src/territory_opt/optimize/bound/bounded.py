"""The bound of a set of rows: by linear program where the exact method works, by the dual at scale above."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.dual import Ceiling, Dual, Watch, ascend, settle_quotas
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.mathopt import solve_lp
from territory_opt.optimize.pairs.pricing import best_reps, nearest_reps, pairs_of, reduced_values, union
from territory_opt.optimize.settings import CeilingSettings
from territory_opt.optimize.task import Bounded, Task
from territory_opt.plan.certificate import dual_bound, least_violation_bound

FloatArray = npt.NDArray[np.float64]


def bound_by_program(task: Task, pairs: Pairs) -> Task:
    """Bound a small task by the linear program over all eligible ``pairs``, by the judge's formula.

    When the hard rows cannot all hold (or time runs out), multipliers are those of the relaxation with priced
    violations, or zero.
    """
    rows, seconds = task.rows, max(task.clock.left, task.settings.program.least_seconds)
    values = _program_multipliers(task, pairs, rows, default_hard_price(pairs, rows), seconds)
    free = ceiling_prices(rows, np.inf, task.settings.ceiling)
    if values is None:
        task.clock.note_cut("bound")
    values = np.zeros(len(rows)) if values is None else settle_quotas(rows, values, free)
    best = np.lexsort((-reduced_values(pairs, rows.at_rep(values)), pairs.node))[pairs.start[:-1]]
    start = pairs.rep[best].astype(np.int64)
    return task.with_bound(Bounded(values, dual_bound(replace(task.model, rows=rows), values), start))


def bound_at_scale(task: Task) -> Task:
    """Ascend the dual over all eligible pairs, from the multipliers that are known."""
    clock, rows = task.clock, task.rows

    def tell(bound: float) -> None:
        clock.bound = bound
        clock.tell("bound")

    start = np.array([task.known.get(name, 0.0) for name in rows.names]) if task.known else None
    dual = _dual_of(task)
    start = _first_multipliers(task, dual, start)
    watch = Watch(tell, lambda: clock.out("bound"))
    ascent = ascend(dual, watch, start=start, warm=task.course.warm)
    bound = dual_bound(replace(task.model, rows=rows), ascent.multipliers)
    clock.bound = bound
    clock.tell("bound", f"{ascent.passes} passes over all eligible pairs")
    return task.with_bound(Bounded(ascent.multipliers, bound, ascent.reps))


def _dual_of(task: Task) -> Dual:
    """The dual of all nodes of a task."""
    model, rows = task.model, task.rows
    fair = model.share * float(model.problem.policy.quotas.target or 0.0)
    fair *= np.array([model.hierarchy.compound(j) for j in range(rows.n_reps)])
    price = ceiling_prices(rows, _dearest(task), task.settings.ceiling)
    ceiling = Ceiling(price, model.quota_limit, fair)
    everyone = np.ones(task.factors.n_nodes)
    return Dual(task.factors, rows, ceiling, task.nearest.rep, everyone, task.settings.ascent, task.threads)


def _first_multipliers(task: Task, dual: Dual, known: FloatArray | None) -> FloatArray | None:
    """Those of the linear program where it pays: with quotas, company-wide rows and small problems; else ``known``."""
    rows, settings, left = task.rows, task.settings.program, task.clock.left
    all_known = known is not None and rows.set_quotas and all(name in task.known for name in rows.names)
    if all_known and not task.course.thorough and task.factors.n_nodes > settings.nodes:
        return known
    company_wide = (rows.owner < 0).any() and rows.n_reps * settings.per_rep <= settings.nodes
    if left > 0 and (rows.set_quotas or company_wide or task.factors.n_nodes <= settings.nodes):
        return _program_start(task, dual, known, max(settings.share_of_time * left, 1.0))
    return known


def _dearest(task: Task) -> float:
    """Largest multiplier of a hard row of one rep, money per full scale; it may have to outweigh the priced rows."""
    factors, rows, nearest, settings = task.factors, task.rows, task.nearest, task.settings.ceiling
    step = -(-factors.n_nodes // settings.farthest_nodes)
    nodes = np.arange(step // 2, factors.n_nodes, step)
    everyone = np.tile(np.arange(factors.n_reps, dtype=np.int32), (len(nodes), 1))
    pairs = pairs_of(factors.take(nodes), *union([everyone], factors.n_reps))
    lost = nearest.best[nodes] - np.minimum.reduceat(pairs.value, pairs.start[:-1])
    per_rep = factors.n_nodes / factors.n_reps
    priced = ~rows.hard & (np.diff(rows.quotas.indptr) == 0)
    charged = float((rows.price * rows.scale)[priced].sum()) / factors.n_reps
    worth = max(float(np.abs(nearest.best).mean()) * per_rep + charged, 1.0)
    return max(settings.hard * worth, settings.farthest * float(lost.mean()) * per_rep)


def _program_start(task: Task, dual: Dual, known: FloatArray | None, time_limit: float) -> FloatArray | None:
    """Multipliers of the linear program over a sample of nodes and their best pairs; ``known`` if it has none in time.

    Hard rows that clash, or that only a pair outside the lists can meet, cost what the dual's ceiling says.
    Multipliers of quotas stand and fall together (the roll-up pushes, odds and fairness hold against it), which makes a
    narrow valley for the ascent; the program finds its bottom at once, on few nodes as well as on many.
    """
    settings, rows = task.settings.program, dual.rows
    part = dual.sampled(settings.nodes) if dual.factors.n_nodes > settings.nodes else dual
    lists = [part.nearest[:, : settings.width]]
    if known is not None:
        lists.append(best_reps(part.factors, rows.at_rep(known), settings.width, threads=part.threads).rep)
    values, until = known, time.perf_counter() + time_limit
    for _ in range(settings.rounds):
        pairs = pairs_of(part.factors, *union(lists, rows.n_reps), threads=part.threads)
        stands_for = part.weight[pairs.node]
        pairs = Pairs(pairs.start, pairs.rep, pairs.value * stands_for, pairs.quantities * stands_for)
        found = _program_multipliers(task, pairs, rows, dual.ceiling.price, until - time.perf_counter())
        if found is None:
            task.clock.note_cut("bound")
            break
        values = found
        fresh = best_reps(part.factors, rows.at_rep(values), settings.new, threads=part.threads).rep
        key = pairs.node * rows.n_reps + pairs.rep
        wanted = np.repeat(np.arange(len(fresh)), fresh.shape[1]) * rows.n_reps + fresh.ravel()
        if np.isin(wanted[fresh.ravel() >= 0], key).all():
            break
        lists.append(fresh)
    return values


def _program_multipliers(
    task: Task, pairs: Pairs, rows: Rows, hard_price: FloatArray, time_limit: float
) -> FloatArray | None:
    """Multipliers of the linear relaxation, or of the one with priced violations if hard rows clash; None: no time."""
    stop, until = task.clock.stopped, time.perf_counter() + time_limit
    linear = linear_model(task.model, pairs, rows)
    solution = solve_lp(linear, time_limit=time_limit, stop=stop)
    if len(solution.duals) == 0:
        linear = linear_model(task.model, pairs, rows, violations="price", hard_price=hard_price)
        solution = solve_lp(linear, time_limit=until - time.perf_counter(), stop=stop)
    return linear.multipliers(solution.duals) if len(solution.duals) else None


def prove_least_violation(task: Task) -> tuple[FloatArray, float]:
    """Return multipliers and the least summed violation they prove (0: not proven that the rules clash).

    Past the time limit it gets a few seconds more; Ctrl-C ends it, and after Ctrl-C it is not begun.
    """
    model, rows, clock, settings = task.model, task.rows, task.clock, task.settings
    if clock.interrupted:
        clock.note_cut("least bad")
        return np.zeros(len(rows)), 0.0
    price = np.where(rows.hard, 1.0 / rows.scale, 0.0)
    worthless = task.factors.worthless()
    nearest = nearest_reps(worthless, settings.ascent.width, task.threads)
    ceiling = Ceiling(price, model.quota_reach, model.quota_limit / rows.n_reps)
    everyone = np.ones(worthless.n_nodes)
    dual = Dual(worthless, rows, ceiling, nearest.rep, everyone, settings.ascent, task.threads)
    until, start = time.perf_counter() + max(clock.left, settings.clash.least_seconds), None
    if worthless.n_nodes <= settings.program.nodes:
        counted = replace(rows, price=np.where(rows.hard, rows.price, 0.0), worst_price=np.zeros_like(rows.worst_price))
        start = _program_start(task, replace(dual, rows=counted), None, settings.clash.least_seconds)
        if start is not None and not start.any():
            return start, 0.0  # the rules hold where accounts may be split: no multipliers prove more
    watch = Watch(lambda _: None, lambda: clock.interrupted or time.perf_counter() > until)
    ascent = ascend(dual, watch, start=start, warm=settings.ascent.warm)
    values = np.where(rows.hard, np.clip(ascent.multipliers, -price, price), 0.0)
    proven = least_violation_bound(model, values)
    return values, proven if proven > settings.clash.tolerance else 0.0


def ceiling_prices(rows: Rows, hard: float, settings: CeilingSettings) -> FloatArray:
    """Largest multiplier of each row, (n_rows,): its price, and an equal part of its rule's worst price.

    A hard row has none; ``hard`` (money per full scale of one rep's row) keeps the ascent of clashing rules finite.
    """
    members = np.bincount(rows.worst_group[rows.worst_group >= 0], minlength=len(rows.worst_price))
    extra = np.append(rows.worst_price / np.maximum(members, 1), 0.0)[rows.worst_group]
    on_quotas = np.diff(rows.quotas.indptr) > 0
    per_money = settings.per_money * max(1.0, float(rows.price[on_quotas & ~rows.hard].max(initial=0.0)))
    whole = np.where(
        rows.owner < 0, settings.company_wide * rows.n_reps * hard, hard
    )  # their scale is all reps' together
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
