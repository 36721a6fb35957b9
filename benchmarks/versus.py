"""The same problem through other solvers: ``python -m benchmarks.versus ACCOUNTS REPS [--time-limit S]``.

Ours over all pairs; SCIP, HiGHS and CP-SAT as mixed-integer solvers and HiGHS as LP solver, all through MathOpt, over
the ``--candidates`` best pairs of each account by value and as many by reduced value at our multipliers (without the
latter their plans are far worse); k-means-constrained, if it is installed, with homes as first centres. The judge
evaluates every assignment in the same money; a solver's own bound is *claimed* and holds for its candidates only, the
gap shown is against our verified bound over all pairs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
from ortools.math_opt.python import mathopt

import territory_opt as to
from benchmarks.markets import MARKETS, PRICE_PER_POINT, make_market
from benchmarks.run import machine, warm_up
from territory_opt.model.model import Model, Pairs
from territory_opt.optimize.mip.linear import LinearModel, linear_model
from territory_opt.optimize.mip.mathopt import model_proto
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import best_reps, pairs_of, union
from territory_opt.plan.evaluate import choose, evaluate

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one solver returned: judged objective (None: no plan), its claimed bound, gap to our verified bound."""

    solver: str
    wall: float
    objective: float | None
    claimed_bound: float | None
    gap: float | None
    status: str


def candidate_pairs(model: Model, count: int, multipliers: FloatArray) -> Pairs:
    """Each account's ``count`` best pairs by value, and by reduced value at ``multipliers`` (n_rows,)."""
    factors = Factors.of(model)
    prices = (np.zeros((factors.n_reps, len(factors.kind))), model.rows.at_rep(multipliers))
    lists = [best_reps(factors, at_rep, min(count, factors.n_reps)).rep for at_rep in prices]
    pairs = pairs_of(factors, *union(lists, factors.n_reps))
    return Pairs(pairs.start, pairs.rep.astype(np.int64), pairs.value, pairs.quantities)


def by_mathopt(
    linear: LinearModel, solver: mathopt.SolverType, *, relax: bool, time_limit: float
) -> tuple[IntArray | None, float | None, str]:
    """Return the assignment (n_nodes,) if there is one, the claimed bound in money, and the raw status."""
    model = mathopt.Model.from_model_proto(model_proto(linear, relax=relax))
    params = mathopt.SolveParameters(time_limit=dt.timedelta(seconds=time_limit))
    try:
        result = mathopt.solve(model, solver, params=params)
    except Exception as error:  # a solver that refuses the model is an answer, too
        return None, None, f"refused: {error.__context__ or error}"
    reason = result.termination.reason.name.lower()
    bound = result.termination.objective_bounds.dual_bound * linear.money
    if not result.has_primal_feasible_solution():
        return None, bound if np.isfinite(bound) else None, reason
    values = np.array(result.variable_values(list(model.variables())))
    return linear.reps(values), bound, reason


def by_kmeans(problem: to.Problem) -> IntArray:
    """k-means with equal counts, homes as first centres; it knows neither weights nor fixed homes."""
    from k_means_constrained import KMeansConstrained

    n, m = problem.n_accounts, problem.n_reps
    place = problem.accounts[["lon", "lat"]].to_numpy(float) * [np.cos(np.radians(39.0)), 1.0]
    homes = problem.reps[["lon", "lat"]].to_numpy(float) * [np.cos(np.radians(39.0)), 1.0]
    low, high = int(0.95 * n / m), int(np.ceil(1.05 * n / m))
    model = KMeansConstrained(n_clusters=m, size_min=low, size_max=high, init=homes, n_init=1, random_state=0)
    return np.asarray(model.fit_predict(place), dtype=np.int64)


def compare(problem: to.Problem, *, time_limit: float, candidates: int, seed: int) -> list[Answer]:
    """Run every solver once, one after the other."""
    model = Model.build(problem)
    started = time.perf_counter()
    ours = to.solve(problem, seed=seed, time_limit=time_limit, gap=1e-5)
    answers = [Answer("territory-opt, all pairs", time.perf_counter() - started, ours.objective, ours.bound, ours.gap,
                      ours.raw_status)]  # fmt: skip
    linear = linear_model(model, candidate_pairs(model, candidates, ours.certificate.values), model.rows)

    def run(name: str, work: Callable[[], tuple[IntArray | None, float | None, str]], *, plan: bool = True) -> None:
        started = time.perf_counter()
        reps, bound, status = work()
        wall = time.perf_counter() - started
        objective = None
        if plan and reps is not None:
            quotas = np.zeros(problem.n_reps)
            objective = evaluate(model, choose(model, reps[model.source.nodes.of_account]), quotas).objective
        gap = None if objective is None else (ours.bound - objective) / abs(objective)
        answers.append(Answer(name, wall, objective, bound, gap, status))

    kinds = mathopt.SolverType
    for name, kind, relax in (("SCIP", kinds.GSCIP, False), ("HiGHS", kinds.HIGHS, False),
                              ("CP-SAT", kinds.CP_SAT, False), ("HiGHS, LP only", kinds.HIGHS, True)):  # fmt: skip
        run(
            f"{name}, {candidates} + {candidates} best pairs",
            lambda kind=kind, relax=relax: by_mathopt(linear, kind, relax=relax, time_limit=time_limit),  # type: ignore[misc]
            plan=not relax,
        )
    if find_spec("k_means_constrained"):
        run("k-means-constrained, equal counts", lambda: (by_kmeans(problem), None, "complete"))
    return answers


def as_text(answers: Sequence[Answer]) -> str:
    """Return a Markdown table."""
    lines = [
        "| solver | wall s | objective (judged) | bound | gap to our verified bound | ended |",
        "|---|---|---|---|---|---|",
    ]
    for n, a in enumerate(answers):
        kind = "verified" if n == 0 else "claimed"
        bound = "" if a.claimed_bound is None else f"{a.claimed_bound:,.0f} ({kind})"
        objective = "no plan" if a.objective is None else f"{a.objective:,.0f}"
        gap = "" if a.gap is None else f"{a.gap:.3%}"
        lines.append(f"| {a.solver} | {a.wall:.1f} | {objective} | {bound} | {gap} | {a.status} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus", description=__doc__)
    parser.add_argument("accounts", type=int)
    parser.add_argument("reps", type=int)
    parser.add_argument("--market", choices=MARKETS, default="heavy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--price", type=float, default=PRICE_PER_POINT, help="of a point outside a band, as a share of "
                        "what an average territory costs")  # fmt: skip
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for each solver")
    parser.add_argument(
        "--candidates", type=int, default=5, help="pairs per account for the other solvers, of either kind"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    warm_up()
    try:
        market = make_market(given.market, given.accounts, given.reps, seed=given.seed, price_per_point=given.price)
        problem = market.problem()
    except ValueError as error:
        parser.error(str(error))
    answers = compare(problem, time_limit=given.time_limit, candidates=given.candidates, seed=given.seed)
    if given.json:
        print(json.dumps({"machine": machine(), "answers": [asdict(a) for a in answers]}, indent=2))
    else:
        print(as_text(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
