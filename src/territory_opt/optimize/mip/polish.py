"""Polish: exact mixed-integer models over a few neighbouring reps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from territory_opt.optimize.bound.bounded import hard_prices
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.linear import LinearModel, Violations, linear_model, restrict
from territory_opt.optimize.mip.mathopt import MipLimits, solve_mip
from territory_opt.optimize.search.candidates import Candidates, competition, grow_groups
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.settings import PolishSettings
from territory_opt.optimize.task import Task
from territory_opt.plan.audit import ROW_TOLERANCE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def polish_stage(task: Task, open_pairs: Candidates, best: Incumbent) -> Incumbent:
    """Improve ``best`` by exact models; their number is fixed, the time limit may cut it short."""
    rows, clock, settings, bounded = task.rows, task.clock, task.settings.polish, task.bounded
    too_large = len(best.reps) > settings.most_nodes
    if too_large or best.close_to(bounded.bound, task.gap) or clock.out("polish", needs=settings.least_seconds):
        return best
    near = _nearest(open_pairs, best.reps, settings.width)
    prices = hard_prices(rows, bounded.multipliers, near.pairs, settings.mend_factor)
    kind: Violations = "none" if best.keeps_rules else "price"
    linear = linear_model(task.model, near.pairs, rows, violations=kind, hard_price=prices)
    polisher = _Polisher(linear, rows.owner, clock, settings, task.seed)
    solution = linear.point(best.reps, best.quotas)
    plan = _plan(settings, rows.n_reps, np.random.default_rng(task.seed))
    generator = np.random.default_rng(task.seed + 1)
    with ThreadPoolExecutor(max_workers=min(task.threads, settings.side_by_side)) as pool:
        for done, (size, around) in enumerate(plan, start=1):
            if best.close_to(bounded.bound, task.gap) or clock.out("polish", needs=settings.least_seconds):
                break
            pull = competition(near, linear.reps(solution), rows.n_reps, near.unit)
            groups = grow_groups(pull, around, size, generator)
            masks = [np.isin(np.arange(rows.n_reps), group) for group in groups]
            for kept, values in pool.map(partial(polisher.improve, solution), masks):
                solution = polisher.accept(solution, kept, values)
            best = _judged(task, linear, solution)
            clock.incumbent = best.shown
            clock.tell("polish", f"{done} of {len(plan)} pairs of neighbourhoods")
    return task.judged(linear.reps(solution))


def _nearest(open_pairs: Candidates, reps: IntArray, width: int) -> Candidates:
    """The best few open pairs of each node and the one it is at."""
    pairs = open_pairs.pairs
    node = pairs.node
    kept = (np.arange(len(node)) - pairs.start[node] < width) | (pairs.rep == reps[node])
    return Candidates(pairs.keep(kept), open_pairs.loss[kept])


def _plan(settings: PolishSettings, n_reps: int, generator: np.random.Generator) -> list[tuple[int, IntArray]]:
    """The neighbourhoods to come: size and the reps they grow from, ``side_by_side`` at a time."""
    plan: list[tuple[int, IntArray]] = []
    step = settings.side_by_side
    for size, per_rep in settings.rounds:
        count = min(max(round(per_rep * n_reps), step), settings.most_neighbourhoods)
        order = np.concatenate([generator.permutation(n_reps) for _ in range(-(-count // n_reps))])[:count]
        plan += [(size, order[k : k + step]) for k in range(0, count, step)]
    return plan


def _judged(task: Task, linear: LinearModel, solution: FloatArray) -> Incumbent:
    reps, quotas = linear.reps(solution), linear.quotas(solution)
    totals, value = task.model.totals(reps)
    return Incumbent.at(task.rows, reps, quotas, totals, value)


@dataclass(frozen=True, slots=True)
class _Polisher:
    """Solves the model in which only a few reps and their nodes are free."""

    linear: LinearModel
    row_rep: IntArray
    clock: Clock
    settings: PolishSettings
    seed: int

    def improve(self, solution: FloatArray, group: npt.NDArray[np.bool_]) -> tuple[IntArray, FloatArray]:
        """Return the free columns and their new values; no values if nothing better was found."""
        linear = self.linear
        inside = group[linear.reps(solution)]
        free_pairs = inside[linear.pairs.node] & group[linear.pairs.rep]
        free_rows = np.where(self.row_rep >= 0, group[np.maximum(self.row_rep, 0)], True)
        tail = np.ones(len(linear.rows.worst_price), dtype=bool)
        small, kept = restrict(linear, solution, np.concatenate([free_pairs, group, free_rows, free_rows, tail]))
        before = float(small.cost @ solution[kept])
        seconds = min(self.settings.seconds, self.clock.left)
        limits = MipLimits(seconds, gap=self.settings.gap, seed=self.seed, tree=self.settings.tree)
        found = solve_mip(small, limits, start=solution[kept], light=True)
        better = len(found.values) > 0 and found.objective > before + self.settings.gain * abs(before)
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
