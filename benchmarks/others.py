"""Other solvers for our model: SCIP, HiGHS and CP-SAT through MathOpt, and k-means-constrained."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from ortools.math_opt.python import mathopt

import territory_opt as to
from territory_opt.model.model import Model, Pairs
from territory_opt.optimize.mip.linear import LinearModel
from territory_opt.optimize.mip.mathopt import model_proto
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import best_reps, pairs_of, union

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GRID = 1000
"""CP-SAT knows whole numbers only: quotas and what is outside a limit come in thousandths, of an average quota or of
what a row is scaled by. In whole ones, MathOpt's default, its plan of 200 x 5 with quotas is 19 % worse after 20 s."""
FARTHEST = 100.0
"""CP-SAT: nothing is farther outside a limit, in the row's scale. Without an end the numbers that it makes whole are so
large that it loses their last digits: its plan of 200 x 5 is 8 % worse after 20 s."""


@dataclass(frozen=True, slots=True)
class Other:
    """One solver: ``relax`` asks it for the linear program alone; ``threads`` are at most so many (None: as ours)."""

    name: str
    kind: mathopt.SolverType
    relax: bool = False
    threads: int | None = None

    def given(self, threads: int) -> int:
        """Return how many threads it gets where ours has ``threads``."""
        return min(threads, self.threads or threads)


OTHERS = (
    Other("SCIP", mathopt.SolverType.GSCIP, threads=1),  # with two it ends at once, "status: UNKNOWN"
    Other("HiGHS", mathopt.SolverType.HIGHS),
    Other("CP-SAT", mathopt.SolverType.CP_SAT),
    Other("HiGHS, LP only", mathopt.SolverType.HIGHS, relax=True),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a solver returned: ``reps`` (n_nodes,) or no plan, the bound it claims in money, how it ended."""

    reps: IntArray | None
    bound: float | None
    status: str


def candidate_pairs(model: Model, count: int, multipliers: FloatArray) -> Pairs:
    """Each account's ``count`` best pairs by value, and by reduced value at ``multipliers`` (n_rows,)."""
    factors = Factors.of(model)
    prices = (np.zeros((factors.n_reps, factors.n_quantities)), model.rows.at_rep(multipliers))
    lists = [best_reps(factors, at_rep, min(count, factors.n_reps)).rep for at_rep in prices]
    pairs = pairs_of(factors, *union(lists, factors.n_reps))
    return Pairs(pairs.start, pairs.rep.astype(np.int64), pairs.value, pairs.quantities)


def by_mathopt(linear: LinearModel, other: Other, *, time_limit: float, gap: float, threads: int) -> Found:
    """Solve by one of the others, in a thread of its own: HiGHS keeps the number of threads that its caller had first.

    ``time_limit`` in seconds, ``gap`` relative to the objective.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        params = _parameters(other, time_limit=time_limit, gap=gap, threads=other.given(threads))
        return pool.submit(_solve, linear, other, params).result()


def _parameters(other: Other, *, time_limit: float, gap: float, threads: int) -> mathopt.SolveParameters:
    params = mathopt.SolveParameters(time_limit=dt.timedelta(seconds=time_limit))
    if not other.relax:
        params.relative_gap_tolerance = gap
    if other.kind is mathopt.SolverType.HIGHS:
        params.highs.int_options["threads"] = threads  # it refuses the parameter that the others take
    else:
        params.threads = threads
    params.cp_sat.mip_var_scaling = GRID
    return params


def _solve(linear: LinearModel, other: Other, params: mathopt.SolveParameters) -> Found:
    if other.kind is mathopt.SolverType.CP_SAT:
        linear = replace(linear, column_high=np.minimum(linear.column_high, _ends(linear)))
    model = mathopt.Model.from_model_proto(model_proto(linear, relax=other.relax))
    try:
        result = mathopt.solve(model, other.kind, params=params)
    except Exception as error:  # a solver that refuses the model is an answer, too
        return Found(None, None, f"refused: {error.__context__ or error}")
    reason = result.termination.reason.name.lower()
    bound = result.termination.objective_bounds.dual_bound * linear.money
    claimed = bound if np.isfinite(bound) else None
    if other.relax or not result.has_primal_feasible_solution():
        return Found(None, claimed, reason)
    return Found(linear.reps(np.array(result.variable_values(list(model.variables())))), claimed, reason)


def _ends(linear: LinearModel) -> FloatArray:
    """Largest value of each variable for CP-SAT: the usual one, or ``FARTHEST`` where there is none."""
    return np.where(np.isfinite(linear.column_high), linear.column_high, FARTHEST)


def by_kmeans(problem: to.Problem) -> Found:
    """k-means with equal counts, homes as first centres; it knows neither weights nor rules nor fixed homes."""
    from k_means_constrained import KMeansConstrained

    n, m = problem.n_accounts, problem.n_reps
    place = problem.accounts[["lon", "lat"]].to_numpy(float) * [np.cos(np.radians(39.0)), 1.0]
    homes = problem.reps[["lon", "lat"]].to_numpy(float) * [np.cos(np.radians(39.0)), 1.0]
    low, high = int(0.95 * n / m), int(np.ceil(1.05 * n / m))
    model = KMeansConstrained(n_clusters=m, size_min=low, size_max=high, init=homes, n_init=1, random_state=0)
    return Found(np.asarray(model.fit_predict(place), dtype=np.int64), None, "complete")
