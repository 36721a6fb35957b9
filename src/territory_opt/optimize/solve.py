"""The story of a solve: a bound, then a plan; with quotas both together; anew if an old plan is no help.

A rep's fair quota is *kappa* x the fair base of the territory (mostly expected sales). Kappa is what makes fair quotas
add up to the target, so it hangs on the plan itself, which no linear program can say: it is held while the model is
solved, measured anew from the plan that was found, and the model is solved again until kappa stays.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.optimize.bound.bounded import bound_at_scale, bound_by_program
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.finish import by_cases, finish
from territory_opt.optimize.found import Claim, Found
from territory_opt.optimize.mip.core import core_stage
from territory_opt.optimize.mip.exact import exact_plan
from territory_opt.optimize.mip.lumps import lump_start
from territory_opt.optimize.mip.polish import polish_stage
from territory_opt.optimize.mip.relax_fix import many_large, place_large
from territory_opt.optimize.previous import Previous, Solved
from territory_opt.optimize.result import ProgressCallback, Result
from territory_opt.optimize.search.candidates import Candidates, candidates
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.search.rounds import search_stage
from territory_opt.optimize.search.settle import settle
from territory_opt.optimize.settings import Settings
from territory_opt.optimize.task import Task
from territory_opt.optimize.way import Way
from territory_opt.problem.options import check_solving
from territory_opt.problem.problem import Problem

IntArray = npt.NDArray[np.int64]
TOGETHER = "territories and quotas together"


def solve(
    problem: Problem,
    *,
    seed: int = 0,
    time_limit: float = 60.0,
    gap: float = 1e-3,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
    previous: Solved | None = None,
    joint_gain: bool = False,
    settings: Settings | None = None,
) -> Result:
    """Assign territories and set quotas in one model.

    ``time_limit`` in seconds; ``gap`` relative to the objective; ``progress`` is called with
    :class:`Progress`. ``previous`` is a result (or plan folder) for the problem before an edit: its plan and
    multipliers are the start, which takes a fraction of the time; ``joint_gain`` also measures what setting quotas
    together with territories gains over one after the other. Ctrl-C and the time limit return the best plan so
    far. Raises :class:`DataError` if an account has no eligible rep. The work is fixed by size and seed: unless the
    time limit, or that of a single model in branch and bound (a minute), cuts it short, the same inputs and seed give
    the same plan, whatever the number of ``threads``. ``settings`` are the numbers that steer the work: the defaults
    are those of the benchmarks.
    """
    check_solving(time_limit=time_limit, gap=gap, seed=seed, threads=threads, progress=progress, joint_gain=joint_gain)
    clock = Clock(time_limit, progress)
    with clock.ctrl_c(), clock.lends():
        with clock.phase("model"):
            task = Task.of(Model.build(problem), clock, settings=settings, seed=seed, gap=gap, threads=threads)
            way = Way.of(task, edited=previous is not None)
        clock.tell("model", way.why)
        if previous is None or way.exact:
            return _from_scratch(way, task, joint_gain=joint_gain)
        return _after_edit(way, task, previous, joint_gain=joint_gain)


# --- the story --------------------------------------------------------------------------------------------------


def _from_scratch(way: Way, task: Task, *, joint_gain: bool = False) -> Result:
    """Territories and quotas together until kappa stays; or as the policy says, quotas after territories."""
    if not task.model.has_quotas:
        return finish(_best_plan(way, task, []), way)
    if task.model.problem.policy.quotas.mode != "joint":
        task, alone = _one_after_the_other(way, task)
        return finish(Found(_with_bound(way, task), task.judged(alone.best.reps), alone.claim), way)
    found = _together(way, task)
    return finish(_with_gain(way, found) if joint_gain else found, way)


def _one_after_the_other(way: Way, task: Task) -> tuple[Task, Found]:
    """Territories alone; the task at the kappa of the plan that comes of it."""
    task.clock.begin("territories alone")
    alone = _best_plan(way, task.with_rows(task.rows.territory_only()), [])
    return alone.task.at_kappa(task.kappa_of(alone.best.reps)), alone


def _together(way: Way, task: Task) -> Found:
    """Solve the joint model; then again at each plan's own kappa until that stays."""
    task.clock.begin(TOGETHER)
    if way.exact:
        found = _best_plan(way, task, [])
    else:
        task = _with_bound(way, task)
        task = task.moved_to(task.kappa_of(task.bounded.start))
        task.clock.bound = task.bounded.bound
        found = _around_large(way, task)
    best = found.best
    for round_ in range(1, task.settings.solve.kappa_rounds):
        kappa = found.task.kappa_of(best.reps)
        if _same(found.task, kappa) or (round_ > 1 and task.clock.out("fair share")):
            break
        task = found.task.at_kappa(kappa)  # other rows: the plan is worth something else there
        best = task.judged(best.reps)
        found = _at_next_kappa(way, task, best)
        best = best_of([best, found.best])
    return replace(found, best=best)


def _around_large(way: Way, task: Task) -> Found:
    """Place the large accounts and the others around them, fix kappa, bound all plans there, then polish.

    Where the large accounts give no plan that keeps the rules, the search goes on from them.
    """
    settled = _settled(task)
    if settled is None or not settled.keeps_rules:
        return _best_plan(way, task, [] if settled is None else [settled.reps])
    kept, kappa = way.kept_from(settled.reps), task.kappa_of(settled.reps)
    task = _with_bound(way, task if _same(task, kappa) else task.at_kappa(kappa))
    best = best_of([task.judged(settled.reps), *(task.judged(plan) for plan in kept)])
    width, within = task.settings.search.most_width, best.gap_to(task.bounded.bound)
    return _polished(task, best, candidates(task, [best.reps, *kept], width=width, within=within))


def _settled(task: Task) -> Incumbent | None:
    """Place the large accounts and the others around them; None where none is large, or without time."""
    with task.clock.phase("large accounts"):
        placed = place_large(task)
        return None if placed is None else settle(task, placed.reps, placed.multipliers)


def _with_gain(way: Way, found: Found) -> Found:
    """Measure what joint solving gains over quotas after territories, at the plan's own kappa; the plan stays.

    What time cuts short there is no matter of the plan, but the gain is then not known.
    """
    clock = found.task.clock
    cut = dict(clock.cut)
    _, alone = _one_after_the_other(way, found.task)
    sequential = found.task.judged(alone.best.reps)
    known = clock.cut == cut and found.best.keeps_rules and sequential.keeps_rules
    clock.cut = cut
    return replace(found, joint_gain=found.best.value - sequential.value if known else float("nan"))


def _at_next_kappa(way: Way, task: Task, best: Incumbent) -> Found:
    """Solve anew where the exact method works, else bound all plans and search briefly from ``best``."""
    if way.exact:
        task.clock.begin(TOGETHER, best.shown)
        return _best_plan(way, task, [best.reps])
    task = _with_bound(way, task)
    brief = replace(task, course=task.settings.brief)
    best = best_of([best, *(task.judged(plan) for plan in way.kept_from(best.reps))])
    return Found(task, best if task.clock.out("search") else _search(way, brief, [best.reps])[0])


def _after_edit(way: Way, task: Task, previous: Solved, *, joint_gain: bool) -> Result:
    """A brief course from the plan before the edit; where that is of little help, all from scratch."""
    before = Previous.of(previous, task.model)
    brief = replace(task, known=before.multipliers, course=task.settings.brief)
    found = _from_plan(way, brief, before.reps)
    solving = task.settings.solve
    helpful = solving.helpful_gap_with_quotas if task.model.has_quotas else solving.helpful_gap
    if found.best.close_to(found.task.bounded.bound, helpful) or task.clock.out("search"):
        return finish(_with_gain(way, found) if joint_gain and task.model.has_quotas else found, way)
    way = way.without_previous(task, found.best.reps)
    task.clock.tell("model", way.why)
    return _from_scratch(way, task, joint_gain=joint_gain)


def _from_plan(way: Way, task: Task, start: IntArray) -> Found:
    """Solve from a plan (n_nodes,), -1 for nobody; in the joint mode until kappa stays."""
    if not task.model.has_quotas:
        return _large_from(way, task, start)
    if task.model.problem.policy.quotas.mode != "joint":
        found = _large_from(way, task.with_rows(task.rows.territory_only()), start)
        return _judged_at(way, found, task.kappa_of(found.best.reps))
    kappa = task.kappa_of(np.where(start >= 0, start, task.nearest.rep[:, 0]))
    for _ in range(task.settings.solve.kappa_rounds):
        found = _large_from(way, task.at_kappa(kappa), start)
        task, start = found.task, found.best.reps
        kappa = task.kappa_of(start)
        if _same(task, kappa) or task.clock.out("fair share"):
            return found
    return _judged_at(way, found, kappa)


def _large_from(way: Way, task: Task, start: IntArray) -> Found:
    """Bound all plans, then search from one (n_nodes,), -1 for nobody, at large scale."""
    task = _with_bound(way, task)
    first = task.bounded.start
    if task.rows.set_quotas and task.model.source.n_nodes > task.settings.settle.after_edit:
        with task.clock.phase("search"):
            settled = settle(task, np.where(start >= 0, start, first), task.multipliers)
        return Found(task, best_of([settled, *(task.judged(plan) for plan in way.kept_from(first))]))
    return _large_plan(way, task, [first, np.where(start >= 0, start, first)])


def _judged_at(way: Way, found: Found, kappa: float) -> Found:
    """Judge a plan, and bound all others, at ``kappa``."""
    task = _with_bound(way, found.task.at_kappa(kappa))
    return Found(task, task.judged(found.best.reps))


def _same(task: Task, kappa: float) -> bool:
    """Whether ``kappa`` is the task's own, as nearly as matters."""
    return abs(kappa / task.model.kappa - 1.0) < task.settings.solve.kappa_tolerance


# --- one set of rows --------------------------------------------------------------------------------------------


def _best_plan(way: Way, task: Task, starts: list[IntArray]) -> Found:
    """A bound, then a plan, from its own start and others."""
    task = _with_bound(way, task)
    starts = [task.bounded.start, *starts]
    if way.pairs is None:
        return _large_plan(way, task, starts)
    return exact_plan(task, way.pairs, _search(way, task, starts)[0])


def _with_bound(way: Way, task: Task) -> Task:
    """Return the task with multipliers and the bound they prove."""
    clock, pairs = task.clock, way.pairs
    with clock.phase("bound"):
        if pairs is None:
            return bound_at_scale(task)
        task = bound_by_program(task, pairs)
    clock.bound = task.bounded.bound
    clock.tell("bound")
    return task


def _search(way: Way, task: Task, starts: list[IntArray]) -> tuple[Incumbent, Candidates]:
    """Search from the best start; what comes out is no worse than any plan that is to be kept."""
    clock = task.clock
    kept = way.kept_from(task.bounded.start)
    if task.course.thorough and not way.exact:
        settled = _settled(task) if many_large(task) else None
        if settled is not None and settled.keeps_rules:
            task, starts = replace(task, course=task.settings.brief), [settled.reps]
        else:
            with clock.phase("lumps"):
                lumps = lump_start(task)
            early = (lumps, None if settled is None else settled.reps)
            starts = [*(plan for plan in early if plan is not None), *starts]
    with clock.phase("search"):
        best, open_pairs = search_stage(task, starts, kept)
    clock.show(best.shown, "search", best.broken)
    return best, open_pairs


def _large_plan(way: Way, task: Task, starts: list[IntArray]) -> Found:
    """Search, then polish; in a brief course the search alone."""
    best, open_pairs = _search(way, task, starts)
    return _polished(task, best, open_pairs) if task.course.thorough else Found(task, best)


def _polished(task: Task, best: Incumbent, open_pairs: Candidates) -> Found:
    """Improve a plan by exact models over a few reps, then by what is still open as one."""
    clock = task.clock
    with clock.phase("polish"):
        best = best_of([best, polish_stage(task, open_pairs, best)])
    clock.show(best.shown, "polish", best.broken)
    if not task.rows.whole and best.keeps_rules:  # territories before quotas: there is nothing to prove yet
        return Found(task, best)
    if not task.rows.set_quotas:  # with quotas kappa may still change, and with it all rows
        task = by_cases(task, best, gap=task.gap)
    with clock.phase("core"):
        core = core_stage(task, best)
    clock.show(core.best.shown, "core", core.best.broken)
    return Found(task, core.best, Claim.of(task, core.best, core.bound, gap=task.gap))
