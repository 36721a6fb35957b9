"""The story of a solve: a bound, then a plan; territories alone, then with quotas; anew if an old plan is no help."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.optimize.bound.bounded import bound_at_scale, bound_by_program
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.finish import by_cases, finish
from territory_opt.optimize.found import Claim, Found
from territory_opt.optimize.mip.core import core_stage
from territory_opt.optimize.mip.exact import exact_plan
from territory_opt.optimize.mip.lumps import lump_start
from territory_opt.optimize.mip.polish import polish_stage
from territory_opt.optimize.previous import Previous, Solved, possible
from territory_opt.optimize.result import ProgressCallback, Result
from territory_opt.optimize.search.candidates import Candidates
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.search.rounds import search_stage
from territory_opt.optimize.settings import Settings, SolveSettings
from territory_opt.optimize.task import Task
from territory_opt.problem.problem import Problem

IntArray = npt.NDArray[np.int64]
USUAL = SolveSettings()


def solve(
    problem: Problem,
    *,
    seed: int = 0,
    time_limit: float = USUAL.time_limit,
    gap: float = USUAL.gap,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
    previous: Solved | None = None,
    settings: Settings | None = None,
) -> Result:
    """Assign territories and set quotas in one model.

    ``time_limit`` in seconds; ``gap`` relative to the objective; ``progress`` is called with
    :class:`Progress`. ``previous`` is a result (or plan folder) for the problem before an edit: its plan and
    multipliers are the start, which takes a fraction of the time. Ctrl-C and the time limit return the best plan so
    far. Raises :class:`DataError` if an account has no eligible rep. The work is fixed by size and seed: unless the
    time limit, or that of a single model in branch and bound (a minute), cuts it short, the same inputs and seed give
    the same plan, whatever the number of ``threads``. ``settings`` are the numbers that steer the work: the defaults
    are those of the benchmarks.
    """
    _check(time_limit, gap, seed, threads)
    clock = Clock(time_limit, progress)
    with clock.ctrl_c():
        model = clock.run("model", lambda: Model.build(problem))
        task = clock.run("model", lambda: Task.of(model, clock, settings=settings, seed=seed, gap=gap, threads=threads))
        way = clock.run("model", lambda: _Way.of(task, previous is not None))
        clock.tell("model", way.why)
        return _from_scratch(way, task) if previous is None or way.exact else _from_previous(way, task, previous)


def _check(time_limit: float, gap: float, seed: int, threads: int | None) -> None:
    """Raise ValueError for an option out of range."""
    if not time_limit > 0:
        raise ValueError(f"time_limit is {time_limit:g}; it must be positive seconds")
    if not 0 <= gap < np.inf:
        raise ValueError(f"gap is {gap:g}; it must be a share of 0 or more, such as 0.001")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be a whole number of 0 or more")
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}; it must be 1 or more")


# --- the way ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    """How a problem is solved: ``pairs`` are all eligible ones where the exact method works, else None.

    ``kept`` are plans (n_nodes,), -1 for nobody, that no search ends worse than. ``why`` says in words which
    way and why.
    """

    pairs: Pairs | None
    kept: tuple[IntArray, ...]
    why: str

    @classmethod
    def of(cls, task: Task, again: bool) -> _Way:
        """Choose by size; today's alignment is kept in mind all along."""
        pairs = eligible_pairs(task)
        today = possible(task.model, task.model.source.incumbent)
        kept = (today,) if (today >= 0).any() else ()
        return cls(pairs, kept, _why(task, pairs, again=again))

    @property
    def exact(self) -> bool:
        """Whether the exact method works."""
        return self.pairs is not None

    def anew(self, task: Task, plan: IntArray) -> _Way:
        """Return the thorough way after a previous plan was of little help; ``plan`` is what came of it."""
        return replace(self, kept=(*self.kept, plan), why=_why(task, self.pairs, again=True, anew=True))


def eligible_pairs(task: Task) -> Pairs | None:
    """Return all eligible pairs if they are few enough for the exact method, else None."""
    model, most = task.model, task.settings.solve.exact_pairs
    if model.source.n_nodes * model.problem.n_reps > task.settings.solve.cells_per_pair * most:
        return None
    pairs = model.pairs()
    return pairs if len(pairs.rep) <= most else None


def _why(task: Task, pairs: Pairs | None, *, again: bool, anew: bool = False) -> str:
    """Which method runs, and why."""
    nodes, reps = task.model.source.n_nodes, task.model.problem.n_reps
    reach = task.model.problem.policy.territories.travel.reach
    rule = f"; by rule {reach}" if reach else ""
    if pairs is not None:
        most = f"at most {task.settings.solve.exact_pairs} are searched completely"
        start = "; the previous plan is not needed" if again else ""
        return f"exact: {len(pairs.rep):,} eligible pairs, {most}{start}{rule}"
    start = ", from the previous plan" if again else ""
    start += ", which was of little help: then without it" if anew else ""
    return f"large-scale: {nodes:,} accounts and families x {reps:,} reps are too many pairs to search all{start}{rule}"


# --- the story --------------------------------------------------------------------------------------------------


def _from_scratch(way: _Way, task: Task) -> Result:
    """Territories alone, then (with quotas) the joint model until kappa is stable."""
    clock, quotas = task.clock, task.model.problem.policy.quotas
    if not task.model.has_quotas:
        return _finish(way, _solve_rows(way, task, []))
    joint = quotas.mode == "joint"
    clock.begin("territories alone")
    clock.stage = task.settings.solve.sequential_share if joint else 1.0
    alone = _solve_rows(way, task.with_rows(task.rows.territory_only()), [])
    clock.stage = 1.0
    task = alone.task.at_kappa(task.kappa_of(alone.best.reps))
    sequential = task.judged(alone.best.reps)
    if joint:
        return _finish(way, _together(way, task, sequential))
    return _finish(way, Found(_bound(way, task), sequential, alone.claim))


def _together(way: _Way, task: Task, sequential: Incumbent) -> Found:
    """Solve the joint model from the sequential plan, re-fixing kappa until it is stable; briefly after the first.

    The exact method solves anew every time.
    """
    best, claim, last = sequential, Claim(), task.settings.solve.kappa_rounds - 1
    for round_ in range(last + 1):
        if round_ == 0 or way.exact:
            task.clock.begin("territories and quotas together", best.shown)
            found = _solve_rows(way, task, [best.reps])
            task, claim, fresh = found.task, found.claim, found.best
        else:
            task, claim = _bound(way, task), Claim()
            short = replace(task, course=task.settings.again)
            fresh = best if task.clock.out("search") else _search(way, short, [best.reps])[0]
        best = best_of([best, fresh])
        kappa = task.kappa_of(best.reps)
        if _stable(task, kappa) or round_ == last or (round_ > 0 and task.clock.out("fair share")):
            break
        task = task.at_kappa(kappa)
        best, sequential = task.judged(best.reps), task.judged(sequential.reps)
        best = best_of([best, sequential])
    same_rules = best.score[0] == sequential.score[0]
    return Found(task, best, claim, sequential.score[1] - best.score[1] if same_rules else float("nan"))


def _from_previous(way: _Way, task: Task, previous: Solved) -> Result:
    """The short stages from a previous plan; all of them where that is of little help."""
    before = Previous.of(previous, task.model)
    again = replace(task, known=before.multipliers, course=task.settings.again)
    found = _again(way, again, before.reps)
    gap = task.settings.solve.again_gap
    if found.best.close_to(found.task.bounded.bound, gap) or task.clock.out("search"):
        return _finish(way, found)
    way = way.anew(task, found.best.reps)
    task.clock.tell("model", way.why)
    return _from_scratch(way, task)


def _again(way: _Way, task: Task, start: IntArray) -> Found:
    """Solve from a plan (n_nodes,), -1 for nobody; in the joint mode until kappa is stable."""
    if not task.model.has_quotas:
        return _on_from(way, task, start)
    if task.model.problem.policy.quotas.mode != "joint":
        found = _on_from(way, task.with_rows(task.rows.territory_only()), start)
        return _at_kappa(way, found, task.kappa_of(found.best.reps))
    kappa = task.kappa_of(np.where(start >= 0, start, task.nearest.rep[:, 0]))
    for _ in range(task.settings.solve.kappa_rounds):
        found = _on_from(way, task.at_kappa(kappa), start)
        task, start = found.task, found.best.reps
        kappa = task.kappa_of(start)
        if _stable(task, kappa) or task.clock.out("fair share"):
            return found
    return _at_kappa(way, found, kappa)


def _on_from(way: _Way, task: Task, start: IntArray) -> Found:
    task = _bound(way, task)
    first = task.bounded.start
    return _large_plan(way, task, [first, np.where(start >= 0, start, first)])


def _at_kappa(way: _Way, found: Found, kappa: float) -> Found:
    """Judge a plan, and bound all others, at ``kappa``."""
    task = _bound(way, found.task.at_kappa(kappa))
    return Found(task, task.judged(found.best.reps))


def _stable(task: Task, kappa: float) -> bool:
    return abs(kappa / task.model.kappa - 1.0) < task.settings.solve.kappa_tolerance


def _finish(way: _Way, found: Found) -> Result:
    return finish(found, way.pairs, why=way.why)


# --- one set of rows --------------------------------------------------------------------------------------------


def _solve_rows(way: _Way, task: Task, starts: list[IntArray]) -> Found:
    """A bound, then a plan, from its own start and others."""
    task = _bound(way, task)
    starts = [task.bounded.start, *starts]
    if way.pairs is None:
        return _large_plan(way, task, starts)
    return exact_plan(task, way.pairs, _search(way, task, starts)[0])


def _bound(way: _Way, task: Task) -> Task:
    """Return the task with multipliers and the bound they prove."""
    clock, pairs = task.clock, way.pairs
    if pairs is None:
        return clock.run("bound", lambda: bound_at_scale(task))
    bounded = clock.run("bound", lambda: bound_by_program(task, pairs))
    clock.bound = bounded.bounded.bound
    clock.tell("bound")
    return bounded


def _search(way: _Way, task: Task, starts: list[IntArray]) -> tuple[Incumbent, Candidates]:
    """Search from the best start; what comes out is no worse than any plan that is to be kept."""
    clock = task.clock
    kept = [np.where(plan >= 0, plan, task.bounded.start) for plan in way.kept]
    if task.course.exact_models and not way.exact:
        lumps = clock.run("lumps", lambda: lump_start(task))
        starts = starts if lumps is None else [lumps, *starts]
    best, open_pairs = clock.run("search", lambda: search_stage(task, starts, kept))
    clock.show(best.shown, "search", best.broken)
    return best, open_pairs


def _large_plan(way: _Way, task: Task, starts: list[IntArray]) -> Found:
    """Search, then polish by exact models, then what is still open as one; a re-solve is a short search alone."""
    clock = task.clock
    best, open_pairs = _search(way, task, starts)
    if not task.course.exact_models:
        return Found(task, best)
    best = best_of([best, clock.run("polish", lambda: polish_stage(task, open_pairs, best))])
    clock.show(best.shown, "polish", best.broken)
    if not task.rows.whole and best.score[0] == 0.0:
        return Found(task, best)
    if not task.rows.set_quotas:  # with quotas kappa may still change, and with it all rows
        task = by_cases(task, best, gap=task.gap)
    core = clock.run("core", lambda: core_stage(task, best))
    clock.show(core.best.shown, "core", core.best.broken)
    return Found(task, core.best, Claim.of(task, core.best, core.bound, gap=task.gap))
