"""The surviving core: branch and bound over every pair that could be in a better plan, when these are few.

By HiGHS: on these models it is several times faster than SCIP to a good plan, and to a proof. With quotas it only
mends: branch and bound finds nothing better there in the time it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.mathopt import MipLimits, solve_mip
from territory_opt.optimize.search.candidates import candidates
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.task import Task


@dataclass(frozen=True, slots=True)
class Core:
    """``best`` so far; ``bound`` is what branch and bound claims for the whole problem, money, NaN without a claim."""

    best: Incumbent
    bound: float


def core_stage(task: Task, best: Incumbent) -> Core:
    """Look for a better plan, or for any that keeps the hard rules, among all pairs that could be in one."""
    rows, clock, settings, bounded = task.rows, task.clock, task.settings.core, task.bounded
    none, broken = Core(best, float("nan")), not best.keeps_rules
    if rows.set_quotas and not broken:
        return none
    cells = task.model.source.n_nodes * rows.n_reps
    if cells > settings.most_cells or best.close_to(bounded.best, task.gap):
        return none
    if clock.out("core", needs=settings.least_seconds):
        return none
    pairs = candidates(task, [best.reps], width=rows.n_reps, within=best.gap_to(bounded.bound)).pairs
    count = np.diff(pairs.start)
    n_open = int(count[count > 1].sum())
    if not 0 < n_open <= (settings.mend_pairs if broken else settings.pairs):
        return none
    clock.tell("core", f"branch and bound over the {n_open:,} pairs that could be in a better plan")
    linear = linear_model(task.model, pairs, rows)
    seconds, gap = min(settings.seconds, clock.left), settings.mend_gap if broken else task.gap
    limits = MipLimits(seconds, gap=gap, seed=task.seed, tree=settings.tree)
    start = None if broken else linear.point(best.reps, best.quotas)
    found = solve_mip(linear, limits, start=start, solver="highs", stop=clock.stopped)
    if len(found.values) == 0:
        return none
    return Core(best_of([best, task.judged(linear.reps(found.values))]), found.bound * linear.money)
