"""The exact method: the whole model of a small problem goes to branch and bound, from a search."""

from __future__ import annotations

from territory_opt.model.model import Pairs
from territory_opt.optimize.found import Claim, Found
from territory_opt.optimize.mip.least_bad import exact_least_bad
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.mathopt import MipLimits, solve_mip
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.task import Task
from territory_opt.plan.claims import BRANCH_AND_BOUND


def exact_plan(task: Task, pairs: Pairs, start: Incumbent) -> Found:
    """Give all ``pairs`` to branch and bound; if no plan keeps the hard rules, look for the least bad one."""
    clock, linear = task.clock, linear_model(task.model, pairs, task.rows)
    point = linear.point(start.reps, start.quotas) if start.keeps_rules else None
    limits = MipLimits(clock.left, seed=task.seed)
    with clock.phase(BRANCH_AND_BOUND):
        solution = solve_mip(linear, limits, start=point, stop=clock.stopped)
    found, bound, cut_off = [start], float("nan"), False
    if len(solution.values):
        found.append(task.judged(linear.reps(solution.values)))
        bound = solution.bound * linear.money
    elif solution.outcome == "none" and point is not None:
        cut_off = not clock.over
    else:
        with clock.phase("least bad"):
            reps = exact_least_bad(task, pairs)
        clock.out("least bad")
        found += [] if reps is None else [task.judged(reps)]
    best = best_of(found)
    clock.show(best.shown, BRANCH_AND_BOUND, best.broken)
    claim = Claim.of(task, best, bound, gap=0.0, cut_off=cut_off)
    if not (claim.complete or solution.outcome in ("optimal", "infeasible")):
        clock.out(BRANCH_AND_BOUND)
    return Found(task, best, claim)
