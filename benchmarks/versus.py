"""The same problem through other solvers: ``python -m benchmarks.versus ACCOUNTS REPS [--time-limit S]``.

Ours over all pairs; SCIP, HiGHS and CP-SAT as mixed-integer solvers and HiGHS as LP solver, all through MathOpt, over
the ``--candidates`` best pairs of each account by value and as many by reduced value at our multipliers (without the
latter their plans are far worse). ``--market joint`` is a made-up company with every rule whose territories and quotas
are planned together: the others get the same model at the kappa of our plan, and their territories the same setting of
quotas in whole steps. On a market of accounts alone k-means-constrained runs too, if it is installed, with homes as
first centres.

The judge evaluates every plan in the same money and counts the hard rules it breaks; a solver's own bound is *claimed*
and holds for its candidates only, the gap shown is against our verified bound over all pairs. The exit code is 1 if the
judge disagrees with our answer, or if any plan that keeps the rules is above our bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
import numpy.typing as npt

import territory_opt as to
from benchmarks.joint import TARGETS, company
from benchmarks.markets import MARKETS, PRICE_PER_POINT, make_market
from benchmarks.others import OTHERS, Found, by_kmeans, by_mathopt, candidate_pairs
from benchmarks.run import CENT, judge_faults, machine, warm_up
from territory_opt.model.model import Model
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.set_quotas import set_quotas
from territory_opt.optimize.settings import Settings
from territory_opt.plan.audit import audit_figures
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan

IntArray = npt.NDArray[np.int64]
T = TypeVar("T")
JOINT = "joint"
GAP = 1e-5
"""At which gap any of them may stop."""
THREADS = Settings().solve.threads


@dataclass(frozen=True, slots=True)
class Answer:
    """What one solver returned: judged ``objective`` (None: no plan), number of hard rules ``broken``, wall seconds.

    ``bound`` is what it claims (ours: verified); ``gap`` is to our verified bound, None where rules are broken.
    """

    solver: str
    threads: int
    wall: float
    objective: float | None
    broken: int
    bound: float | None
    gap: float | None
    status: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All ``answers``, ours first; ``faults`` say what the judge finds wrong with ours."""

    answers: tuple[Answer, ...]
    faults: tuple[str, ...]


def compare(problem: to.Problem, *, time_limit: float, candidates: int, seed: int) -> Comparison:
    """Run every solver once, one after the other, with ``time_limit`` seconds each."""
    ours, wall = timed(partial(to.solve, problem, seed=seed, time_limit=time_limit, gap=GAP, threads=THREADS))
    model = Model.build(problem, kappa=ours.plan.kappa)
    linear = linear_model(model, candidate_pairs(model, candidates, ours.certificate.values), model.rows)
    gap = None if ours.violations else ours.gap
    answers = [Answer("territory-opt, all pairs", THREADS, wall, ours.objective, ours.broken_rules, ours.bound, gap,
                      ours.raw_status)]  # fmt: skip
    for other in OTHERS:
        work = partial(by_mathopt, linear, other, time_limit=time_limit, gap=GAP, threads=THREADS)
        name, threads = f"{other.name}, {candidates} + {candidates} best pairs", other.given(THREADS)
        answers.append(answer(model, ours.bound, name, threads, work))
    if not model.has_quotas and find_spec("k_means_constrained"):
        answers.append(answer(model, ours.bound, "k-means-constrained, equal counts", 1, partial(by_kmeans, problem)))
    return Comparison(tuple(answers), (*faults_of(problem, ours), *above(answers, ours.bound)))


def faults_of(problem: to.Problem, ours: to.Result) -> list[str]:
    """List what the judge finds wrong with our answer; a plan that says which hard rules it breaks is none."""
    broken = to.audit(problem, ours.plan)
    if not ours.violations:
        return judge_faults(ours, broken, to.certify(problem, ours.plan, ours.certificate))
    same = list(ours.violations) == broken
    return [] if same else [f"we say that {len(ours.violations)} hard rules are broken, the judge finds {len(broken)}"]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what ``work`` returns, and its wall seconds."""
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started


def answer(model: Model, bound: float, name: str, threads: int, work: Callable[[], Found]) -> Answer:
    """Let one of the others ``work``, and judge its plan; ``bound`` is ours, verified."""
    found, wall = timed(work)
    worth, broken = (None, 0) if found.reps is None else judged(model, found.reps)
    gap = None if worth is None or broken else (bound - worth) / abs(worth)
    return Answer(name, threads, wall, worth, broken, found.bound, gap, found.status)


def judged(model: Model, reps: IntArray) -> tuple[float, int]:
    """Set quotas for an assignment (n_nodes,), if there are any; return its worth and how many hard rules it breaks."""
    quotas = set_quotas(model, model.totals(reps)[0]) if model.has_quotas else None
    figures = Figures(model, Plan.from_positions(model, reps, quotas))
    return figures.evaluation.objective, len(audit_figures(figures))


def above(answers: Sequence[Answer], bound: float) -> list[str]:
    """Name those whose plan keeps all rules and is above a ``bound`` that none can exceed."""
    return [
        f"{a.solver}: {a.objective:,.2f} is above our verified bound of {bound:,.2f}"
        for a in answers
        if a.objective is not None and not a.broken and a.objective > bound + CENT
    ]


def as_text(found: Comparison) -> str:
    """Return a Markdown table, and what is wrong below it."""
    lines = [
        "| solver | threads | wall s | objective (judged) | bound | gap to our verified bound | ended |",
        "|---|---|---|---|---|---|---|",
    ]
    for n, a in enumerate(found.answers):
        kind = "verified" if n == 0 else "claimed"
        bound = "" if a.bound is None else f"{a.bound:,.0f} ({kind})"
        objective = "no plan" if a.objective is None else f"{a.objective:,.0f}"
        broken = f", breaks {a.broken} rule{'s' if a.broken > 1 else ''}" if a.broken else ""
        gap = "" if a.gap is None else f"{a.gap:.3%}"
        lines.append(
            f"| {a.solver} | {a.threads} | {a.wall:.1f} | {objective}{broken} | {bound} | {gap} | {a.status} |"
        )
    return "\n".join([*lines, *(f"\nFAILED: {fault}" for fault in found.faults)])


def problem_of(given: argparse.Namespace) -> to.Problem:
    """Make up the market or company asked for. Raise ValueError if an option does not go with it."""
    if given.market == JOINT:
        if given.price is not None:
            raise ValueError("--price is of a market without quotas; leave it out, or choose another --market")
        return company(given.accounts, given.reps, given.seed, given.target or "holds")
    if given.target is not None:
        raise ValueError(f"--target is of companies with quotas; add --market {JOINT}")
    price = PRICE_PER_POINT if given.price is None else given.price
    return make_market(given.market, given.accounts, given.reps, seed=given.seed, price_per_point=price).problem()


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus", description=__doc__)
    parser.add_argument("accounts", type=int)
    parser.add_argument("reps", type=int)
    parser.add_argument("--market", choices=(*MARKETS, JOINT), default="heavy")
    parser.add_argument("--target", choices=tuple(TARGETS), help="of a joint company: last year's sales (the default), "
                        "or 15 %% more")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--price", type=float, help="of a point outside a band, as a share of what an average "
                        f"territory costs (default {PRICE_PER_POINT})")  # fmt: skip
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for each solver")
    parser.add_argument(
        "--candidates", type=int, default=5, help="pairs per account for the other solvers, of either kind"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        problem = problem_of(given)
    except ValueError as error:
        parser.error(str(error))
    warm_up()
    found = compare(problem, time_limit=given.time_limit, candidates=given.candidates, seed=given.seed)
    print(json.dumps({"machine": machine(), **asdict(found)}, indent=2) if given.json else as_text(found))
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
