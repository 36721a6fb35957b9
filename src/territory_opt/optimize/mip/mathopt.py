"""OR-Tools MathOpt behind one small door: solve an LP with duals, or a MIP with a start, from arrays.

The solvers do not hear Ctrl-C (HiGHS ignores MathOpt's interrupter, SCIP fails with it), so one that might work for
long runs in a thread of its own, which is left to itself when the work is to end: it goes on at most to its time limit.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt

from territory_opt.optimize.mip.linear import LinearModel
from territory_opt.optimize.mip.settings import SOLVERS

FloatArray = npt.NDArray[np.float64]

INTERRUPTED = "interrupted"
GAVE_UP = ("[INTERNAL]", "HighsModelStatus was Unknown", "is not in SCIP's finite range", "on 'SCIPsolve(scip_)'")
"""What MathOpt says of a solver that fails at a sound model: SCIP where it ends before it has begun or numbers are too
large, all where they are too far apart. There is no plan and no proof then."""

Outcome = Literal["optimal", "feasible", "infeasible", "none"]


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solver returned: ``bound`` and ``objective`` in the linear model's own scaled units."""

    outcome: Outcome
    raw_status: str
    objective: float
    bound: float
    values: FloatArray
    duals: FloatArray


def solve_lp(linear: LinearModel, *, time_limit: float, stop: Callable[[], bool] | None = None) -> Solution:
    """Solve the LP relaxation by HiGHS; ``duals`` are per constraint. Where HiGHS gives up, GLOP tries once more.

    ``stop`` as in :func:`solve_mip`.
    """

    def by(solver: mathopt.SolverType) -> Solution:
        return _unless(stop, lambda: _solve(linear, solver, _parameters(MipLimits(time_limit)), relax=True))

    found = by(mathopt.SolverType.HIGHS)
    return by(mathopt.SolverType.GLOP) if any(text in found.raw_status for text in GAVE_UP) else found


@dataclass(frozen=True, slots=True)
class MipLimits:
    """When branch and bound ends: seconds, relative gap, nodes of its ``tree`` (None: as many as it takes)."""

    seconds: float
    gap: float = 0.0
    seed: int = 0
    tree: int | None = None


def solve_mip(
    linear: LinearModel,
    limits: MipLimits,
    *,
    start: FloatArray | None = None,
    light: bool = False,
    solver: Literal["scip", "highs"] = "scip",
    stop: Callable[[], bool] | None = None,
) -> Solution:
    """Solve the mixed-integer model by SCIP or HiGHS, from ``start`` if there is one.

    When ``stop`` says so, it returns within a moment with nothing.

    ``light`` leaves out cuts and most heuristics: several times faster to a good plan, with a weaker bound.
    SCIP in one thread: with two and a start it now and then ends at once with the status "unknown", and its answer may
    depend on which thread was first.
    """
    kind = mathopt.SolverType.GSCIP if solver == "scip" else mathopt.SolverType.HIGHS
    params = _parameters(limits)
    params.relative_gap_tolerance = limits.gap
    params.node_limit = limits.tree
    params.threads = 1 if kind is mathopt.SolverType.GSCIP else None
    if light:
        params.cuts, params.heuristics = mathopt.Emphasis.OFF, mathopt.Emphasis.LOW
    return _unless(stop, lambda: _solve(linear, kind, params, start=start))


def _unless(stop: Callable[[], bool] | None, work: Callable[[], Solution]) -> Solution:
    """Return what ``work`` returns, or nothing as soon as ``stop`` says so: the work is then left to itself."""
    if stop is None:
        return work()
    found: list[Solution | BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ends = float("inf")
    while thread.is_alive():
        thread.join(SOLVERS.look)
        ends = min(ends, time.perf_counter() + SOLVERS.grace) if stop() else ends
        if time.perf_counter() > ends:
            return Solution("none", INTERRUPTED, -np.inf, np.inf, np.zeros(0), np.zeros(0))
    (outcome,) = found
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _parameters(limits: MipLimits) -> mathopt.SolveParameters:
    seconds = max(limits.seconds, SOLVERS.least)
    return mathopt.SolveParameters(time_limit=dt.timedelta(seconds=seconds), random_seed=limits.seed)


def _solve(
    linear: LinearModel,
    solver: mathopt.SolverType,
    params: mathopt.SolveParameters,
    *,
    relax: bool = False,
    start: FloatArray | None = None,
) -> Solution:
    model = mathopt.Model.from_model_proto(model_proto(linear, relax=relax))
    hints = mathopt.ModelSolveParameters()
    if start is not None:
        values = {model.get_variable(k): float(v) for k, v in enumerate(start)}
        hints.solution_hints.append(mathopt.SolutionHint(variable_values=values))
    try:
        result = mathopt.solve(model, solver, params=params, model_params=hints)
    except AttributeError as error:
        # MathOpt's own error is lost on the way (its code has no canonical_code): the message stands in the context.
        message = str(error.__context__ or error)
        if any(text in message for text in GAVE_UP):
            return Solution("none", message, -np.inf, np.inf, np.zeros(0), np.zeros(0))
        raise RuntimeError(f"the solver refused the model: {message}") from error
    return _read(result, model, relax=relax)


def _read(result: mathopt.SolveResult, model: mathopt.Model, *, relax: bool) -> Solution:
    reason = result.termination.reason
    raw = f"{reason.name}: {result.termination.detail}".rstrip(": ")
    empty = np.zeros(0)
    if not result.has_primal_feasible_solution():
        no_plan = reason in (mathopt.TerminationReason.INFEASIBLE, mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED)
        bound = result.termination.objective_bounds.dual_bound
        return Solution("infeasible" if no_plan else "none", raw, -np.inf, bound, empty, empty)
    named = result.variable_values()
    values = np.array(result.variable_values(list(model.variables())) if named else [], dtype=float)
    duals = empty
    if relax and result.has_dual_feasible_solution():
        duals = np.array(result.dual_values(list(model.linear_constraints())), dtype=float)
    outcome: Outcome = "optimal" if reason == mathopt.TerminationReason.OPTIMAL else "feasible"
    return Solution(outcome, raw, result.objective_value(), result.best_objective_bound(), values, duals)


def model_proto(linear: LinearModel, *, relax: bool) -> model_pb2.ModelProto:
    """Fill MathOpt's model directly from arrays: far faster than one call per coefficient."""
    proto = model_pb2.ModelProto()
    n_columns, n_constraints = len(linear.cost), len(linear.low)
    proto.variables.ids.extend(range(n_columns))
    proto.variables.lower_bounds.extend(linear.column_low.tolist())
    proto.variables.upper_bounds.extend(linear.column_high.tolist())
    proto.variables.integers.extend([False] * n_columns if relax else linear.integer.tolist())
    proto.objective.maximize = True
    used = np.flatnonzero(linear.cost)
    proto.objective.linear_coefficients.ids.extend(used.tolist())
    proto.objective.linear_coefficients.values.extend(linear.cost[used].tolist())
    proto.linear_constraints.ids.extend(range(n_constraints))
    proto.linear_constraints.lower_bounds.extend(linear.low.tolist())
    proto.linear_constraints.upper_bounds.extend(linear.high.tolist())
    matrix = linear.matrix.tocoo()
    order = np.lexsort((matrix.col, matrix.row))
    proto.linear_constraint_matrix.row_ids.extend(matrix.row[order].tolist())
    proto.linear_constraint_matrix.column_ids.extend(matrix.col[order].tolist())
    proto.linear_constraint_matrix.coefficients.extend(matrix.data[order].tolist())
    return proto
