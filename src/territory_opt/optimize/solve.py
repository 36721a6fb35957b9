"""The door: problem in, result out. Picks the exact or the large method by size and says which."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs, fair_kappa
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import Bounded, bound_at_scale, bound_by_program, prove_least_violation
from territory_opt.optimize.bound.branching import prove_by_cases
from territory_opt.optimize.bound.dual import WARM, nearest_reps
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.core import core_stage
from territory_opt.optimize.mip.least_bad import exact_least_bad, relaxations
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.lumps import lump_start
from territory_opt.optimize.mip.mathopt import solve_mip
from territory_opt.optimize.mip.polish import polish_stage
from territory_opt.optimize.mip.quotas import far_above_fair, set_quotas
from territory_opt.optimize.pairs.candidates import Candidates
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import Lists
from territory_opt.optimize.previous import Previous, Solved, possible
from territory_opt.optimize.result import ProgressCallback, Relaxation, Result, Status
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.search.rounds import Schedule, search_stage
from territory_opt.plan.audit import audit_model
from territory_opt.plan.certificate import Multipliers, dual_bound, tolerated
from territory_opt.plan.evaluate import evaluate
from territory_opt.plan.plan import Plan
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

EXACT_PAIRS = 400
"""Up to this many eligible pairs the whole model goes to branch and bound."""
KAPPA_TOLERANCE = 1e-3
"""Kappa is stable when the plan's own fair share differs by less than this."""
KAPPA_ROUNDS = 4
CLAIM_TOLERANCE = 2e-6
"""A solver may break a row by about this share of its scale: the best plan may miss its claim by as much."""
SEQUENTIAL_SHARE = 0.45
"""Share of the time limit for territories alone when quotas are then set jointly."""
LEAST_BOUND_SECONDS = 5.0
"""The linear program of a small problem gets at least this long: a plan without a bound is worth little."""
DEFAULT_THREADS = 2
CUT_OFF = "branch and bound ended without an answer: the plan is that of the search"
AGAIN = Schedule(rounds=6, threes=0, hot=1.0, warm=0.1, steps=50, thorough=False, still_good=0.05)
"""The search after an edit: short, from the previous plan where that is still good."""
AGAIN_WARM = 1 / 128
"""First temperature of the bound after an edit."""
AGAIN_GAP = 0.01
"""Where the search after an edit ends farther from its bound, the previous plan was no help: everything runs anew."""


def solve(
    problem: Problem,
    *,
    seed: int = 0,
    time_limit: float = 60.0,
    gap: float = 1e-3,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
    previous: Solved | None = None,
) -> Result:
    """Assign territories and set quotas in one model.

    ``time_limit`` in seconds; ``gap`` relative to the objective; ``progress`` is called with
    :class:`Progress`. ``previous`` is a result (or plan folder) for the problem before an edit: its plan and
    multipliers are the start, which takes a fraction of the time. Ctrl-C and the time limit return the best plan so
    far. Raises :class:`DataError` if an account has no eligible rep. The work is fixed by size and seed: unless the
    time limit, or that of a single model in branch and bound (a minute), cuts it short, the same inputs and seed give
    the same plan, whatever the number of ``threads``.
    """
    if not time_limit > 0:
        raise ValueError(f"time_limit is {time_limit:g}; it must be positive seconds")
    if not 0 <= gap < np.inf:
        raise ValueError(f"gap is {gap:g}; it must be a share of 0 or more, such as 0.001")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be a whole number of 0 or more")
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}; it must be 1 or more")
    clock = Clock(time_limit, progress)
    with clock.ctrl_c():
        model = clock.run("model", lambda: Model.build(problem))
        run = _Run(model, clock, seed=seed, gap=gap, threads=threads, previous=previous)
        clock.tell("model", run.why)
        return run.result()


def eligible_pairs(model: Model) -> Pairs | None:
    """Return all eligible pairs if they are few enough for the exact method, else None."""
    if model.source.n_nodes * model.problem.n_reps > 50 * EXACT_PAIRS:
        return None
    pairs = model.pairs()
    return pairs if len(pairs.rep) <= EXACT_PAIRS else None


class _Run:
    """One solve: holds what every stage needs."""

    def __init__(
        self, model: Model, clock: Clock, *, seed: int, gap: float, threads: int | None, previous: Solved | None
    ) -> None:
        self.model, self.clock, self.seed, self.gap = model, clock, seed, gap
        self.threads = threads or DEFAULT_THREADS
        self.pairs = clock.run("model", lambda: eligible_pairs(model))
        self.exact = self.pairs is not None
        self.factors = clock.run("model", lambda: Factors.of(model))
        self.previous = None if previous is None else Previous.of(previous, model)
        self.known: dict[tuple[str, str], float] = {} if self.previous is None else dict(self.previous.multipliers)
        self.solver_bound = float("nan")
        self.complete = self.cut_off = self.anew = False
        today = clock.run("model", lambda: possible(model, model.source.incumbent))
        self.kept = [today] if (today >= 0).any() else []
        """Plans (n_nodes,), -1 for nobody, that no search ends worse than, by the rows and the kappa it works with."""

    @cached_property
    def nearest(self) -> Lists:
        """Each node's best reps at zero multipliers: they depend on nothing that changes during the run."""
        return nearest_reps(self.factors, self.threads)

    @property
    def _quick(self) -> bool:
        """Whether the short stages after an edit run."""
        return self.previous is not None and not self.anew

    @property
    def why(self) -> str:
        """Which method runs, and why."""
        nodes, reps = self.model.source.n_nodes, self.model.problem.n_reps
        reach = self.model.problem.policy.territories.travel.reach
        rule = f"; by rule {reach}" if reach else ""
        if self.pairs is not None:
            count = f"{len(self.pairs.rep):,} eligible pairs"
            start = "" if self.previous is None else "; the previous plan is not needed"
            return f"exact: {count}, at most {EXACT_PAIRS} are searched completely{start}{rule}"
        start = "" if self.previous is None else ", from the previous plan"
        start += ", which was of little help: then without it" if self.anew else ""
        size = f"{nodes:,} accounts and families x {reps:,} reps"
        return f"large-scale: {size} are too many pairs to search all{start}{rule}"

    def result(self) -> Result:
        """Run all stages; from a previous plan the short ones first, and all if that is of little help."""
        if self.previous is None or self.exact:
            return self._from_scratch()
        bounded, found = self._again(self.previous)
        if self.clock.over or found.close_to(bounded.bound, AGAIN_GAP):
            return self._finish(bounded, found, float("nan"))
        self.anew, self.known = True, {}
        self.kept.append(found.reps)
        self.clock.tell("model", self.why)
        return self._from_scratch()

    def _from_scratch(self) -> Result:
        """Territories alone, then (with quotas) the joint model until kappa is stable."""
        joint_gain = float("nan")
        rows = self.model.rows
        if self.model.has_quotas:
            rows = self.model.rows.territory_only()
            self._say("territories alone")
            self.clock.stage = SEQUENTIAL_SHARE if self.model.problem.policy.quotas.mode == "joint" else 1.0
        bounded, found = self._territories(rows, None)
        self.clock.stage = 1.0
        if self.model.has_quotas:
            self.model = self.model.with_kappa(self._kappa_of(found.reps))
            sequential = Incumbent.of(self.model, self.model.rows, found.reps)
            found = sequential
            if self.model.problem.policy.quotas.mode == "joint":
                bounded, found, sequential = self._joint(sequential)
                joint_gain = sequential.score[1] - found.score[1] if found.score[0] == sequential.score[0] else np.nan
            else:
                bounded = self._bound(self.model.rows)
        return self._finish(bounded, found, joint_gain)

    def _again(self, previous: Previous) -> tuple[Bounded, Incumbent]:
        """Solve from a previous plan, in the joint mode until kappa is stable."""
        if not self.model.has_quotas:
            return self._on_from(previous.reps, self.model.rows)
        if self.model.problem.policy.quotas.mode != "joint":
            _, found = self._on_from(previous.reps, self.model.rows.territory_only())
            return self._at_kappa(self._kappa_of(found.reps), found)
        start = previous.reps
        kappa = self._kappa_of(np.where(start >= 0, start, self.nearest.rep[:, 0]))
        for _ in range(KAPPA_ROUNDS):
            self.model = self.model.with_kappa(kappa)
            bounded, found = self._on_from(start, self.model.rows)
            start, kappa = found.reps, self._kappa_of(found.reps)
            if self._stable(kappa) or self.clock.over:
                return bounded, found
        return self._at_kappa(kappa, found)

    def _on_from(self, start: IntArray, rows: Rows) -> tuple[Bounded, Incumbent]:
        """Solve ``rows`` from a plan, (n_nodes,), -1: nobody."""
        bounded = self._bound(rows)
        return self._large(rows, bounded, [bounded.start, np.where(start >= 0, start, bounded.start)])

    def _at_kappa(self, kappa: float, found: Incumbent) -> tuple[Bounded, Incumbent]:
        """Judge a plan, and bound all others, at ``kappa``."""
        self.model = self.model.with_kappa(kappa)
        return self._bound(self.model.rows), Incumbent.of(self.model, self.model.rows, found.reps)

    def _stable(self, kappa: float) -> bool:
        return abs(kappa / self.model.kappa - 1.0) < KAPPA_TOLERANCE

    def _joint(self, sequential: Incumbent) -> tuple[Bounded, Incumbent, Incumbent]:
        """Solve the joint model from the sequential plan, re-fixing kappa until it is stable; briefly after the first.

        The exact method solves anew every time.
        """
        best = sequential
        for round_ in range(KAPPA_ROUNDS):
            if round_ == 0 or self.exact:
                self._say("territories and quotas together", best)
                bounded, found = self._territories(self.model.rows, best)
            else:
                bounded = self._bound(self.model.rows)
                found = best if self.clock.over else self._search(self.model.rows, bounded, [best.reps], AGAIN)[0]
            best = best_of([best, found])
            kappa = self._kappa_of(best.reps)
            if self._stable(kappa) or round_ == KAPPA_ROUNDS - 1:
                break
            if round_ > 0 and self.clock.over:
                break
            self.model = self.model.with_kappa(kappa)
            self._claim(self.model.rows, best, float("nan"), 0.0)
            best = Incumbent.of(self.model, self.model.rows, best.reps)
            sequential = Incumbent.of(self.model, self.model.rows, sequential.reps)
            best = best_of([best, sequential])
        return bounded, best, sequential

    def _territories(self, rows: Rows, start: Incumbent | None) -> tuple[Bounded, Incumbent]:
        bounded = self._bound(rows)
        starts = [bounded.start] if start is None else [bounded.start, start.reps]
        if self.exact:
            self.clock.bound = bounded.bound
            self.clock.tell("bound")
            return bounded, self._exact(rows, bounded, starts)
        return self._large(rows, bounded, starts)

    def _bound(self, rows: Rows) -> Bounded:
        return self.clock.run("bound", lambda: self._multipliers(rows))

    def _multipliers(self, rows: Rows) -> Bounded:
        if self.pairs is not None:
            seconds = max(self.clock.left, LEAST_BOUND_SECONDS)
            return bound_by_program(self.model, self.pairs, rows, time_limit=seconds, stop=self.clock.stopped)
        names = list(rows.names)
        start = np.array([self.known.get(name, 0.0) for name in names]) if self.known else None
        bounded = bound_at_scale(
            self.model, self.factors, rows, self.clock, nearest=self.nearest, start=start, threads=self.threads,
            warm=AGAIN_WARM if self._quick else WARM,
        )  # fmt: skip
        self.known |= dict(zip(names, bounded.multipliers.tolist(), strict=True))
        return bounded

    def _search(
        self, rows: Rows, bounded: Bounded, starts: list[IntArray], schedule: Schedule
    ) -> tuple[Incumbent, Candidates]:
        """Search from the best start; what comes out is no worse than any plan that is to be kept."""
        kept = [np.where(plan >= 0, plan, bounded.start) for plan in self.kept]
        if schedule.thorough and not self.exact:
            lumps = self.clock.run(
                "lumps",
                lambda: lump_start(
                    self.model, self.factors, rows, bounded, self.clock, seed=self.seed, threads=self.threads
                ),
            )
            starts = starts if lumps is None else [lumps, *starts]
        found = self.clock.run(
            "search",
            lambda: search_stage(
                self.model, self.factors, rows, bounded, starts, kept, self.clock, gap=self.gap, seed=self.seed,
                threads=self.threads, schedule=schedule,
            ),
        )  # fmt: skip
        self._show(found[0], "search")
        return found

    def _large(self, rows: Rows, bounded: Bounded, starts: list[IntArray]) -> tuple[Bounded, Incumbent]:
        """Search, then polish by exact models, then what is still open as one; a re-solve is a short search alone."""
        best, open_pairs = self._search(rows, bounded, starts, AGAIN if self._quick else Schedule())
        if self._quick:
            return bounded, best
        polished = self.clock.run(
            "polish",
            lambda: polish_stage(
                self.model, rows, bounded, open_pairs, best, self.clock, gap=self.gap, seed=self.seed,
                threads=self.threads,
            ),
        )  # fmt: skip
        best = best_of([best, polished])
        self._show(best, "polish")
        if not rows.whole and best.score[0] == 0.0:
            return bounded, best
        if not rows.quotas.nnz:  # with quotas kappa may still change, and with it all rows
            bounded = self._by_cases(bounded, best)
        core = self.clock.run(
            "core",
            lambda: core_stage(
                self.model, self.factors, rows, bounded, best, self.clock, gap=self.gap, seed=self.seed,
                threads=self.threads,
            ),
        )  # fmt: skip
        self._claim(rows, core.best, core.bound, self.gap)
        self._show(core.best, "core")
        return bounded, core.best

    def _by_cases(self, bounded: Bounded, best: Incumbent) -> Bounded:
        """Return ``bounded`` with a proof by cases if that closes more of the distance to ``best``; tried once."""
        if np.isfinite(bounded.proven) or self.clock.over:
            return bounded
        gap = 0.0 if self.exact else self.gap
        quick = self._quick and not self.exact
        return self.clock.run(
            "cases", lambda: prove_by_cases(self.model, bounded, best, self.clock, gap=gap, quick=quick)
        )

    def _claim(self, rows: Rows, best: Incumbent, bound: float, gap: float) -> None:
        """Keep the ``bound`` that branch and bound claims if ``rows`` are the whole problem; NaN: none.

        The search is complete if ``best`` is within ``gap`` of it.
        """
        slack = CLAIM_TOLERANCE * float((rows.price * rows.scale)[~rows.hard].sum() + abs(best.value) + 1.0)
        near = best.score[0] == 0.0 and bound - best.value <= gap * abs(best.value) + slack
        self.complete = rows.whole and near
        self.solver_bound = bound if rows.whole else float("nan")

    def _exact(self, rows: Rows, bounded: Bounded, starts: list[IntArray]) -> Incumbent:
        """Give the whole model to branch and bound, from a search; if no plan keeps the hard rules, the least bad."""
        pairs = self.pairs
        assert pairs is not None  # noqa: S101  (the exact method has them)
        start, _ = self._search(rows, bounded, starts, Schedule())
        linear = linear_model(self.model, pairs, rows)
        point = None if start.score[0] > 0 else linear.point(start.reps, start.quotas)
        time_limit = max(self.clock.left, 0.1)
        solution = self.clock.run(
            "branch and bound",
            lambda: solve_mip(
                linear, time_limit=time_limit, gap=0.0, seed=self.seed, start=point, stop=self.clock.stopped
            ),
        )
        found, self.cut_off = [start], False
        if len(solution.values):
            found.append(Incumbent.of(self.model, rows, linear.reps(solution.values)))
        elif solution.outcome == "none" and point is not None:
            self.cut_off = not self.clock.over
        else:
            reps = self.clock.run(
                "least bad",
                lambda: exact_least_bad(self.model, pairs, rows, self.clock, seed=self.seed),
            )
            found += [] if reps is None else [Incumbent.of(self.model, rows, reps)]
        best = best_of(found)
        self._claim(rows, best, solution.bound * linear.money if len(solution.values) else float("nan"), 0.0)
        self._show(best, "branch and bound")
        return best

    def _finish(self, bounded: Bounded, found: Incumbent, joint_gain: float) -> Result:
        model = self.model
        totals, _ = model.totals(found.reps)
        quotas = self.clock.run("quotas", lambda: set_quotas(model, totals)) if model.has_quotas else None
        plan = Plan.from_positions(model, found.reps, quotas)
        evaluation = evaluate(model, plan)
        violations = audit_model(model, plan)
        least = np.zeros(0)
        least_violation = 0.0
        ways: tuple[Relaxation, ...] = ()
        if violations:
            least, least_violation = self.clock.run(
                "least bad", lambda: prove_least_violation(model, self.factors, self.clock, threads=self.threads)
            )
            ways = relaxations(model, None if self.clock.over else self.pairs, violations, self.clock, seed=self.seed)
        if bounded.rows is not model.rows:
            bounded = replace(
                bounded, rows=model.rows, bound=dual_bound(model, bounded.multipliers), cases=None, proven=np.inf
            )
        bounded = self._by_cases(bounded, Incumbent.of(model, model.rows, found.reps))
        certificate = Multipliers.of(model, bounded.multipliers, least if least_violation > 0 else None, bounded.cases)
        bound = bounded.best + tolerated(model.rows, certificate, evaluation.outside)
        self.clock.incumbent, self.clock.bound = float("nan") if violations else evaluation.objective, bound
        self.clock.tell("done", "hard rules broken" if violations else "")
        optimal = self.complete or bound - evaluation.objective <= self.gap * abs(evaluation.objective)
        status = Status.INFEASIBLE if violations else Status.OPTIMAL if optimal else Status.FEASIBLE
        return Result(
            status=status,
            raw_status=self._ended(),
            model=model,
            objective=evaluation.objective,
            bound=bound,
            solver_bound=self.solver_bound,
            method="exact" if self.exact else "large",
            why=self.why,
            certificate=certificate,
            evaluation=evaluation,
            violations=tuple(violations),
            relaxations=ways,
            least_violation=least_violation,
            joint_gain=float(joint_gain),
            seed=self.seed,
            seconds=self.clock.seconds,
            phases=dict(self.clock.phases),
            warnings=(*self._warnings(found), *(() if quotas is None else far_above_fair(model, totals, quotas))),
            _plan=plan,
        )

    def _ended(self) -> str:
        """How the search ended: a complete one is complete, even if its proof took the rest of the time."""
        if self.clock.interrupted:
            return "interrupted"
        return "time limit" if self.clock.over and not self.complete else "complete"

    def _kappa_of(self, reps: IntArray) -> float:
        totals, _ = self.model.totals(reps)
        return fair_kappa(self.model.problem, self.model.hierarchy, self.model.fair_base(totals))

    def _warnings(self, found: Incumbent) -> tuple[str, ...]:
        """Say what a planner should know about how the plan came about."""
        cut = (CUT_OFF,) if self.cut_off else ()
        if not self.model.has_quotas:
            return cut
        drift = self._kappa_of(found.reps) / self.model.kappa - 1.0
        if abs(drift) < KAPPA_TOLERANCE:
            return cut
        text = "fair quotas were measured with a share of expected sales that differs from this plan's own by"
        return (*cut, f"{text} {drift:+.1%}: small territories make it jump")

    def _say(self, phase: str, best: Incumbent | None = None) -> None:
        self.clock.bound, self.clock.incumbent = float("nan"), float("nan") if best is None else best.shown
        self.clock.tell(phase)

    def _show(self, incumbent: Incumbent, phase: str) -> None:
        self.clock.incumbent = incumbent.shown
        self.clock.tell(phase, incumbent.broken)
