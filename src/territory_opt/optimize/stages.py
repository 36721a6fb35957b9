"""The stages of a solve: bound by multipliers, a plan by annealing, polish by neighbourhood MIPs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.linear import LinearModel, Violations, linear_model, restrict
from territory_opt.optimize.mathopt import solve_lp, solve_mip
from territory_opt.optimize.moves import SearchRows, search
from territory_opt.optimize.quotas import set_quotas
from territory_opt.plan.audit import ROW_TOLERANCE
from territory_opt.plan.certificate import dual_bound

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CANDIDATES = 8
"""Reps per node in the search, best by reduced value; for speed only, the bound is over all pairs."""
STEPS_PER_NODE = 6000
MOST_STEPS = 6_000_000
HARD_FACTOR = 2.0
"""A hard row costs this multiple of its rule's largest multiplier during the search."""
HOT, COLD = 1.0, 0.001
"""First and last temperature of the search, in units of the median loss of a candidate against the best one."""
CHAINS = 2
"""Independent searches, one per thread; the number is fixed so that the plan does not depend on the machine."""
POLISH_ROUNDS = ((2, 1.5), (3, 0.2))
"""Size of the neighbourhoods in reps, and how many of them per rep: small ones pay most per second."""
MOST_NEIGHBOURHOODS = 200
POLISH_NODES = 30
POLISH_SECONDS = 60.0
"""Safety only: the node limit ends a neighbourhood, so that the plan does not depend on the clock."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """Multipliers of a set of rows with the bound they prove, and the LP's own assignment as a start."""

    multipliers: FloatArray
    bound: float
    start: IntArray
    possible: bool


def bound_stage(
    model: Model, pairs: Pairs, rows: Rows, *, time_limit: float, fallback: FloatArray | None = None
) -> Bounded:
    """Solve the LP relaxation over all eligible pairs; the bound is then recomputed by the judge's formula.

    When the hard rows cannot all hold (or time runs out), multipliers are zero, or those of the relaxation with
    priced violations, and ``possible`` is False. ``fallback`` (n_rows,) are multipliers for when time runs out.
    """
    linear = linear_model(model, pairs, rows)
    solution = solve_lp(linear, time_limit=time_limit)
    if len(solution.duals) == 0:
        priced = linear_model(model, pairs, rows, violations="price", hard_price=_default_hard_price(pairs, rows))
        solution = solve_lp(priced, time_limit=time_limit)
        known = np.zeros(len(rows)) if fallback is None else fallback
        multipliers = priced.multipliers(solution.duals) if len(solution.duals) else known
        start = linear.reps(solution.values) if len(solution.values) else _best_reps(pairs, rows, multipliers)
        return Bounded(multipliers, dual_bound(replace(model, rows=rows), multipliers), start, False)
    multipliers = linear.multipliers(solution.duals)
    multipliers = settle_quota_noise(rows, multipliers)
    return Bounded(multipliers, dual_bound(replace(model, rows=rows), multipliers), linear.reps(solution.values), True)


def settle_quota_noise(rows: Rows, multipliers: FloatArray) -> FloatArray:
    """Cancel tiny positive reduced values of quotas, which a large quota limit would blow up in the bound."""
    values = multipliers.copy()
    reduced = np.asarray(rows.quotas.T @ values)
    for j in np.flatnonzero(reduced > 0):
        for r in rows.quotas[:, j].nonzero()[0]:
            row = rows.items[r]
            if len(row.quotas) == 1 and row.hard and np.isfinite(row.high) and reduced[j] > 0:
                values[r] -= reduced[j] / row.quotas[j]
                reduced[j] = 0.0
    return values


def reduced_values(pairs: Pairs, rows: Rows, multipliers: FloatArray) -> FloatArray:
    """Value of each pair plus what its quantities are worth at the multipliers, (n_pairs,)."""
    at_rep = np.asarray(rows.totals.T @ multipliers).reshape(rows.n_reps, len(rows.quantities))
    return np.asarray(pairs.value + np.einsum("pk,kp->p", at_rep[pairs.rep], pairs.quantities))


def _best_reps(pairs: Pairs, rows: Rows, multipliers: FloatArray) -> IntArray:
    order = np.lexsort((-reduced_values(pairs, rows, multipliers), pairs.node))
    return np.asarray(pairs.rep[order[pairs.start[:-1]]])


def candidates(pairs: Pairs, reduced: FloatArray, keep: IntArray) -> Pairs:
    """Return each node's best pairs by reduced value, best first, and its pair with ``keep`` (n_nodes,)."""
    order = np.lexsort((-reduced, pairs.node))
    ordered = Pairs(pairs.start, pairs.rep[order], pairs.value[order], pairs.quantities[:, order])
    rank = np.arange(len(order)) - ordered.start[ordered.node]
    return ordered.keep((rank < CANDIDATES) | (ordered.rep == keep[ordered.node]))


def hard_prices(rows: Rows, multipliers: FloatArray, pairs: Pairs, *, possible: bool) -> FloatArray:
    """Price per unit of each hard row in the search: above any multiplier of its rule; all there is if hopeless."""
    per_scale = np.abs(multipliers) * rows.scale
    floor = _default_hard_price(pairs, rows) * rows.scale
    price = np.zeros(len(rows))
    names = np.array([row.rule for row in rows.items], dtype=object)
    for rule in set(names[rows.hard]):
        same = (names == rule) & rows.hard
        largest = HARD_FACTOR * per_scale[same].max()
        price[same] = largest if possible and largest > 0 else floor[same]
    return price / rows.scale


def _default_hard_price(pairs: Pairs, rows: Rows) -> FloatArray:
    """All the value there is to decide, per full scale of the row."""
    best = np.maximum.reduceat(pairs.value, pairs.start[:-1])
    worst = np.minimum.reduceat(pairs.value, pairs.start[:-1])
    return np.where(rows.hard, max(float((best - worst).sum()), 1.0) * 2.0, 0.0) / rows.scale


def rank(rows: Rows, totals: FloatArray, value: float, quotas: FloatArray) -> tuple[float, float]:
    """Judge a point by (summed hard violation, -objective), smaller is better, over ``rows``."""
    outside = rows.outside(totals, quotas)
    excess = np.where(np.abs(outside) > ROW_TOLERANCE * rows.scale, np.abs(outside) / rows.scale, 0.0)
    return float(excess[rows.hard].sum()), -(value - sum(rows.costs(outside).values()))


@dataclass(slots=True)
class Incumbent:
    """The best plan so far for a set of rows: assignment, quotas and how it ranks."""

    reps: IntArray
    quotas: FloatArray
    score: tuple[float, float]

    @classmethod
    def of(cls, model: Model, rows: Rows, reps: IntArray) -> Incumbent:
        """Judge an assignment at its best (unrounded) quotas."""
        totals, value = model.totals(reps)
        quotas = set_quotas(model, totals, rounded=False) if rows.quotas.nnz else np.zeros(rows.n_reps)
        return cls(reps, quotas, rank(rows, totals, value, quotas))


def anneal_stage(
    model: Model,
    pairs: Pairs,
    rows: Rows,
    bounded: Bounded,
    start: IntArray,
    clock: Clock,
    *,
    seed: int,
    threads: int | None,
    effort: float = 1.0,
) -> Incumbent:
    """Anneal from ``start`` over each node's candidates."""
    reduced = reduced_values(pairs, rows, bounded.multipliers)
    near = candidates(pairs, reduced, start)
    prices = hard_prices(rows, bounded.multipliers, pairs, possible=bounded.possible)
    near_reduced = reduced_values(near, rows, bounded.multipliers)
    loss = np.maximum.reduceat(near_reduced, near.start[:-1])[near.node] - near_reduced
    spread = float(np.median(loss[loss > 0])) if (loss > 0).any() else 1.0
    steps = int(effort * min(STEPS_PER_NODE * len(start), MOST_STEPS))
    split = SearchRows.of(model, rows, bounded.multipliers, prices)
    temperature = (HOT * spread, COLD * spread)
    with clock.deadline(), ThreadPoolExecutor(max_workers=threads or CHAINS) as pool:
        chains = pool.map(
            lambda chain: search(
                near, split, start, steps=steps, temperature=temperature, seed=seed + chain, stop=clock.flag
            ),
            range(CHAINS),
        )
        found = [Incumbent.of(model, rows, reps) for reps in chains]
    return min(found, key=lambda incumbent: incumbent.score)


def polish_stage(
    model: Model,
    pairs: Pairs,
    rows: Rows,
    bounded: Bounded,
    incumbent: Incumbent,
    clock: Clock,
    *,
    gap: float,
    seed: int,
    threads: int | None,
) -> Incumbent:
    """Improve ``incumbent`` by exact MIPs over a few neighbouring reps at a time; the number of MIPs is fixed."""
    generator = np.random.default_rng(seed)
    near = candidates(pairs, reduced_values(pairs, rows, bounded.multipliers), incumbent.reps)
    loss = _losses(near, rows, bounded.multipliers)
    prices = hard_prices(rows, bounded.multipliers, pairs, possible=False)
    kind: Violations = "none" if incumbent.score[0] == 0.0 else "price"
    linear = linear_model(model, near, rows, violations=kind, hard_price=prices)
    polisher = _Polisher(linear, _rep_of_rows(rows), clock, seed, threads)
    solution = linear.point(incumbent.reps, incumbent.quotas)
    plan = _polish_plan(rows.n_reps, generator)
    with ThreadPoolExecutor(max_workers=threads or CHAINS) as pool:
        for done, (size, around) in enumerate(plan, start=1):
            if clock.left < 1.0 or _close_enough(bounded.bound, incumbent, gap):
                break
            pull = _pull(near, loss, linear.reps(solution), rows.n_reps)
            groups = _groups(pull, around, size, generator)
            for kept, values in pool.map(partial(polisher.improve, solution), groups):
                solution = polisher.accept(solution, kept, values)
            incumbent = _judged(model, rows, linear, solution)
            clock.incumbent = -incumbent.score[1]
            clock.tell("polish", f"{done} of {len(plan)} pairs of neighbourhoods")
    return Incumbent.of(model, rows, linear.reps(solution))


def _polish_plan(n_reps: int, generator: np.random.Generator) -> list[tuple[int, IntArray]]:
    """The neighbourhoods to come: size and the reps they grow from, ``CHAINS`` at a time."""
    plan: list[tuple[int, IntArray]] = []
    for size, per_rep in POLISH_ROUNDS:
        count = min(max(round(per_rep * n_reps), CHAINS), MOST_NEIGHBOURHOODS)
        order = np.concatenate([generator.permutation(n_reps) for _ in range(-(-count // n_reps))])[:count]
        plan += [(size, order[k : k + CHAINS]) for k in range(0, count, CHAINS)]
    return plan


def _judged(model: Model, rows: Rows, linear: LinearModel, solution: FloatArray) -> Incumbent:
    reps, quotas = linear.reps(solution), linear.quotas(solution)
    totals, value = model.totals(reps)
    return Incumbent(reps, quotas, rank(rows, totals, value, quotas))


def _close_enough(bound: float, incumbent: Incumbent, gap: float) -> bool:
    value = -incumbent.score[1]
    return incumbent.score[0] == 0.0 and bound - value <= gap * abs(value)


@dataclass(frozen=True, slots=True)
class _Polisher:
    """Solves the model in which only a few reps and their nodes are free."""

    linear: LinearModel
    row_rep: IntArray
    clock: Clock
    seed: int
    threads: int | None

    def improve(self, solution: FloatArray, group: npt.NDArray[np.bool_]) -> tuple[IntArray, FloatArray]:
        """Return the free columns and their new values; no values if nothing better was found."""
        linear = self.linear
        inside = group[linear.reps(solution)]
        free_pairs = inside[linear.pairs.node] & group[linear.pairs.rep]
        free_rows = np.where(self.row_rep >= 0, group[np.maximum(self.row_rep, 0)], True)
        tail = np.ones(len(linear.rows.worst_price), dtype=bool)
        small, kept = restrict(linear, solution, np.concatenate([free_pairs, group, free_rows, free_rows, tail]))
        before = float(small.cost @ solution[kept])
        found = solve_mip(
            small, time_limit=min(POLISH_SECONDS, max(self.clock.left, 0.1)), gap=1e-5, seed=self.seed, threads=1,
            start=solution[kept], node_limit=POLISH_NODES,
        )  # fmt: skip
        better = len(found.values) > 0 and found.objective > before + 1e-9 * abs(before)
        return kept, found.values if better else np.zeros(0)

    def accept(self, solution: FloatArray, kept: IntArray, values: FloatArray) -> FloatArray:
        """Return the solution with the new values if it is still possible and better, else as it was."""
        if len(values) == 0:
            return solution
        linear, changed = self.linear, solution.copy()
        changed[kept] = values
        exact = linear.point(linear.reps(changed), linear.quotas(changed))
        possible = bool((exact <= linear.column_high + ROW_TOLERANCE).all())
        return exact if possible and float(linear.cost @ exact) > float(linear.cost @ solution) else solution


def _losses(near: Pairs, rows: Rows, multipliers: FloatArray) -> FloatArray:
    reduced = reduced_values(near, rows, multipliers)
    return np.asarray(np.maximum.reduceat(reduced, near.start[:-1])[near.node] - reduced)


def _pull(near: Pairs, loss: FloatArray, current: IntArray, n_reps: int) -> FloatArray:
    """How much every two reps compete for the same nodes, (n_reps, n_reps)."""
    scale = max(float(np.median(loss[loss > 0])) if (loss > 0).any() else 1.0, 1e-9)
    pull = np.zeros((n_reps, n_reps))
    np.add.at(pull, (current[near.node], near.rep), np.exp(-loss / scale))
    return pull + pull.T


def _groups(pull: FloatArray, reps: IntArray, size: int, generator: np.random.Generator) -> list[npt.NDArray[np.bool_]]:
    """Pick disjoint groups of competing reps around ``reps``, with some chance in it."""
    n_reps = len(pull)
    taken = np.zeros(n_reps, dtype=bool)
    groups = []
    for rep in reps:
        if taken[rep]:
            continue
        group = np.zeros(n_reps, dtype=bool)
        group[rep] = True
        for _ in range(min(size, n_reps) - 1):
            weight = pull[group].sum(axis=0) * generator.uniform(0.3, 1.0, n_reps)
            choice = int(np.where(group | taken, -1.0, weight).argmax())
            if not (group | taken)[choice]:
                group[choice] = True
        taken |= group
        groups.append(group)
    return groups


def _rep_of_rows(rows: Rows) -> IntArray:
    """The one rep each row is about, (n_rows,); -1 for rows over several reps."""
    owner = np.full(len(rows), -1, dtype=np.int64)
    for r, row in enumerate(rows.items):
        reps = {j for j, _ in row.totals} | set(row.quotas)
        if len(reps) == 1:
            owner[r] = reps.pop()
    return owner
