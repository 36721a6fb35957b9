"""Territories and quotas together: ``python -m benchmarks.joint ACCOUNTS REPS [--seed N] [--target holds|high]``.

A made-up company with every rule (hard band on potential, workload, hours, travel, moves, skills, odds, guards) is
solved; the target is last year's sales (``holds``) or 15 % more (``high``). Prints wall seconds, peak memory, plan,
verified bound, the gap in money, as a share of the objective, of margin and of what can provably be gained over today,
the seconds of each part and the judge's verdict; the exit code is 1 if the judge disagrees.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import territory_opt as to
from benchmarks.run import judge_faults, machine, warm_up

TARGETS = {"holds": 1.0, "high": 1.15}
RULES: dict[str, Any] = {
    "territories": {
        "balance": {"potential": {"band": "8 %", "hard": True}, "workload": {"band": "15 %", "price_per_point": 2000}},
        "hours": {"per_fte": 1800, "price_per_hour": 60},
        "travel": {"cost_per_km": 0.70, "detour": 1.25},
        "keep": {"loss_rate": "15 %", "max_moved_revenue": "25 %"},
        "skills": {"required": ["language"], "preferred": ["industry"]},
    },
    "quotas": {
        "hedge": {"region": "2 %", "manager": "3 %"},
        "hit_share": "65 %",
        "growth_guard": {"up": "40 %", "down": "40 %", "hard": False},
        "step": 1000,
        "periods": "quarter",
    },
}
"""Those of a company that ``territory-opt generate`` writes."""


def company(accounts: int, reps: int, seed: int, target: str) -> to.Problem:
    """Make up a company and its plan's policy."""
    tables: dict[str, Any] = to.generate(accounts, reps, seed=seed)
    last_year = 12.0 * float(tables["sales"].groupby("month")["sales"].sum().tail(12).mean())
    quotas = {**RULES["quotas"], "target": round(TARGETS[target] * last_year, -3)}
    return to.Problem.from_tables(**tables, policy=to.Policy.model_validate({**RULES, "quotas": quotas}))


def measure(problem: to.Problem, *, seed: int, time_limit: float) -> dict[str, Any]:
    """Solve, and let the judge check the answer; money of the plan's period, seconds, GiB."""
    started = time.perf_counter()
    result = to.solve(problem, seed=seed, time_limit=time_limit)
    wall = time.perf_counter() - started
    certificate = to.certify(problem, result.plan, result.certificate)
    found = {
        "wall": wall,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "objective": result.objective,
        "bound": result.bound,
        "gap_money": result.gap_money,
        "gap": result.gap,
        "gap_of_margin": result.gap_money / margin(result),
        "captured": result.captured,
        "raw_status": result.raw_status,
        "violations": len(result.violations),
        "phases": result.phases,
        "faults": judge_faults(result, to.audit(problem, result.plan), certificate),
    }
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in found.items()}


def margin(result: to.Result) -> float:
    """Margin on what the plan is expected to sell."""
    return float(result.model.problem.policy.territories.margin * result.figures.evaluation.rep_sales.sum())


def as_text(found: dict[str, Any], what: str) -> str:
    """One paragraph for people; what is not known is not a number."""
    found = {key: float("nan") if value is None and key != "captured" else value for key, value in found.items()}
    share = (
        "not known (hard rules broken, or today not below the bound)"
        if found["captured"] is None
        else f"{found['captured']:.2%}"
    )
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in found["phases"].items())
    return "\n".join(
        [
            f"{what}: {found['wall']:.1f} s, {found['peak_gib']:.2f} GiB, {found['raw_status']}",
            f"plan {found['objective']:,.0f}, verified bound {found['bound']:,.0f}, gap {found['gap_money']:,.0f}: "
            f"{found['gap']:.2%} of the objective, {found['gap_of_margin']:.3%} of margin",
            f"of the provable improvement over today: {share}",
            f"seconds: {parts}",
            f"judge: {'; '.join(found['faults']) or 'agrees'}; hard rules broken: {found['violations']}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joint", description=__doc__.split("\n")[0])
    parser.add_argument("accounts", type=int)
    parser.add_argument("reps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=tuple(TARGETS), default="holds")
    parser.add_argument("--time-limit", type=float, default=1_000.0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    options = parser.parse_args(arguments)
    problem = company(options.accounts, options.reps, options.seed, options.target)
    warm_up()
    found = measure(problem, seed=options.seed, time_limit=options.time_limit)
    what = f"{options.accounts:,} x {options.reps:,}, seed {options.seed}, target {options.target}"
    print(json.dumps({"what": what, "machine": machine(), **found}) if options.json else as_text(found, what))
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
