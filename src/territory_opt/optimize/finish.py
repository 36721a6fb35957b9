"""From the best plan found to the result: quotas in whole steps, then everything is said by the judge."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.optimize.bound.bounded import prove_least_violation
from territory_opt.optimize.bound.branching import prove_by_cases
from territory_opt.optimize.found import Found
from territory_opt.optimize.mip.least_bad import relaxations
from territory_opt.optimize.mip.set_quotas import far_above_fair, set_quotas
from territory_opt.optimize.result import Relaxation, Result, Status
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.task import Task
from territory_opt.optimize.way import Way
from territory_opt.plan.audit import Violation, audit_figures
from territory_opt.plan.certificate import Multipliers, tolerated
from territory_opt.plan.claims import BRANCH_AND_BOUND, COMPLETE, INTERRUPTED, TIME_LIMIT
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan

FloatArray = npt.NDArray[np.float64]

CUT_OFF = "branch and bound ended without an answer: the plan is that of the search"


def finish(found: Found, way: Way) -> Result:
    """Set quotas, let the judge evaluate and audit the plan, prove what can be proven."""
    task, best, clock = found.task, found.best, found.task.clock
    model, totals = task.model, task.model.totals(best.reps)[0]
    with clock.phase("quotas"):
        quotas = set_quotas(model, totals) if model.has_quotas else None
    plan = Plan.from_positions(model, best.reps, quotas)
    figures = Figures(model, plan)
    evaluation, violations = figures.evaluation, audit_figures(figures)
    clash = _clash(task, way.pairs, violations)
    gap = 0.0 if way.exact else task.gap  # what was searched completely is worth a proof to the cent
    task = by_cases(task, task.judged(best.reps), gap=gap)
    certificate = Multipliers.of(model, task.multipliers, clash.multipliers, task.bounded.cases)
    bound = task.bounded.best + tolerated(model, certificate, evaluation.outside)
    clock.bound, ended = bound, _ended(found)
    clock.show(float("nan") if violations else evaluation.objective, "done", "hard rules broken" if violations else "")
    near = bound - evaluation.objective <= task.gap * abs(evaluation.objective)
    searched = found.claim.complete and BRANCH_AND_BOUND not in clock.cut
    optimal = Status.OPTIMAL if searched or near else Status.FEASIBLE
    return Result(
        status=Status.INFEASIBLE if violations else optimal,
        raw_status=ended,
        cut_short=tuple(clock.cut),
        model=model,
        objective=evaluation.objective,
        bound=bound,
        solver_bound=found.claim.bound,
        method="exact" if way.exact else "large",
        why=way.why,
        certificate=certificate,
        violations=tuple(violations),
        relaxations=clash.ways,
        least_violation=clash.least_violation,
        joint_gain=found.joint_gain,
        seed=task.seed,
        seconds=clock.seconds,
        phases=dict(clock.phases),
        warnings=(*_warnings(found), *(() if quotas is None else far_above_fair(model, totals, quotas))),
        _figures=figures,
    )


def by_cases(task: Task, best: Incumbent, *, gap: float) -> Task:
    """Return ``task`` with a proof by cases if that closes more of the distance to ``best``; tried once."""
    if np.isfinite(task.bounded.proven):
        return task
    with task.clock.phase("cases"):
        return prove_by_cases(task, best, gap=gap)


@dataclass(frozen=True, slots=True)
class _Clash:
    """What is known of hard rules that a plan breaks: the proof that some must be, and what could give."""

    multipliers: FloatArray | None = None
    least_violation: float = 0.0
    ways: tuple[Relaxation, ...] = field(default=())


def _clash(task: Task, pairs: Pairs | None, violations: list[Violation]) -> _Clash:
    if not violations:
        return _Clash()
    with task.clock.phase("least bad"):
        least, least_violation = prove_least_violation(task)
    ways = relaxations(task, None if task.clock.out("ways out") else pairs, violations)
    return _Clash(least if least_violation > 0 else None, least_violation, ways)


def _ended(found: Found) -> str:
    """How the work ended: it is complete if time has cut nothing short, the proof neither."""
    clock = found.task.clock
    if clock.interrupted:
        return INTERRUPTED
    return TIME_LIMIT if clock.cut else COMPLETE


def _warnings(found: Found) -> tuple[str, ...]:
    """Say what a planner should know about how the plan came about."""
    task, cut = found.task, (CUT_OFF,) if found.claim.cut_off else ()
    if not task.model.has_quotas:
        return cut
    drift = task.kappa_of(found.best.reps) / task.model.kappa - 1.0
    if abs(drift) < task.settings.solve.kappa_tolerance:
        return cut
    text = "fair quotas were measured with a share of expected sales that differs from this plan's own by"
    return (*cut, f"{text} {drift:+.1%}: small territories make it jump")
