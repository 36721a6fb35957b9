"""One market at one size: ``python -m benchmarks.scale ACCOUNTS REPS [--market heavy] [--seed N] [--json]``.

Prints wall seconds, peak memory, objective, verified bound, gap and the seconds of each phase; with ``--again`` also
the re-solve after an edit (a rep leaves, twenty locks, 1 % of the accounts changed); with ``--folder`` also the seconds
to read the market from its tables, to write the plan folder and to ``check`` it. The judge checks every answer; the
exit code is 1 if it disagrees.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

import territory_opt as to
from benchmarks.markets import MARKETS, PRICE_PER_POINT, Market, make_market
from benchmarks.run import judge_faults, machine, warm_up

T = TypeVar("T")
LOCKS, CHANGED_SHARE = 20, 0.01


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured solve; seconds, GiB, money per year. ``faults`` is empty when the judge agrees."""

    what: str
    accounts: int
    reps: int
    market: str
    seed: int
    wall: float
    peak_gib: float
    objective: float
    bound: float
    gap: float
    violations: int
    phases: dict[str, float]
    judge_seconds: float
    faults: tuple[str, ...]


def measure(
    market: Market, name: str, seed: int, *, time_limit: float, threads: int | None, previous: to.Result | None = None
) -> tuple[Measured, to.Result]:
    """Solve one market, from a previous result if there is one, and let the judge check the answer."""
    problem = market.problem()
    started = time.perf_counter()
    result = to.solve(problem, seed=seed, time_limit=time_limit, threads=threads, gap=1e-5, previous=previous)
    wall = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    started = time.perf_counter()
    broken = to.audit(problem, result.plan)
    certificate = to.certify(problem, result.plan, result.certificate)
    judge = time.perf_counter() - started
    measured = Measured(
        what="solve" if previous is None else "re-solve after an edit", accounts=problem.n_accounts,
        reps=problem.n_reps, market=name, seed=seed, wall=wall, peak_gib=peak, objective=certificate.objective,
        bound=certificate.bound, gap=certificate.gap, violations=len(broken), phases=dict(result.phases),
        judge_seconds=judge, faults=tuple(judge_faults(result, broken, certificate)),
    )  # fmt: skip
    return measured, result


def through_files(market: Market, result: to.Result, folder: Path) -> tuple[dict[str, float], list[str]]:
    """Write market and plan, check the plan by the command in a process of its own; return seconds and faults."""
    seconds = {}

    def timed(step: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        done = work()
        seconds[step] = time.perf_counter() - started
        return done

    path = market.write(folder / "scenario", f"{len(market.accounts):,} x {len(market.reps):,}")
    scenario, plan = to.load_scenario(path), folder / "plan"
    timed("read and check tables", scenario.problem)
    timed("write plan folder", lambda: to.save_plan(result, plan, scenario=scenario))
    command = [sys.executable, "-m", "territory_opt.cli", "check", str(plan)]
    checked = timed("check", lambda: subprocess.run(command, capture_output=True, text=True, check=False))
    return seconds, [] if checked.returncode == 0 else [f"check: {checked.stdout.strip()} {checked.stderr.strip()}"]


def edited(market: Market, plan: to.Plan, *, seed: int) -> Market:
    """A rep leaves, twenty accounts are locked where they are, and 1 % of the accounts change in size."""
    generator = np.random.default_rng(seed)
    accounts, reps = market.accounts.copy(), market.reps
    gone = str(generator.choice(reps["rep_id"]))
    changed = generator.choice(len(accounts), max(round(CHANGED_SHARE * len(accounts)), 1), replace=False)
    accounts.loc[changed, ["potential", "workload", "visits"]] *= generator.lognormal(0.0, 0.3, (len(changed), 1))
    stays = plan.assignment[plan.assignment != gone]
    locked = stays.sample(min(LOCKS, len(stays)), random_state=seed)
    rules = pd.DataFrame({"rule": "lock", "account_id": locked.index, "rep_id": locked.to_numpy()})
    return Market(accounts, reps[reps["rep_id"] != gone].reset_index(drop=True), market.policy, rules)


def as_text(found: Sequence[Measured], files: Mapping[str, float]) -> str:
    """Return a Markdown table, the phases and the seconds of each step through files."""
    head = ["", "accounts x reps", "market", "seed", "wall s", "peak GiB", "objective", "verified bound", "gap",
            "judge s", "judge"]  # fmt: skip
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head))]
    for m in found:
        cells = [
            m.what, f"{m.accounts:,} x {m.reps:,}", m.market, str(m.seed), f"{m.wall:.1f}", f"{m.peak_gib:.2f}",
            f"{m.objective:,.0f}", f"{m.bound:,.0f}", f"{m.gap:.3%}", f"{m.judge_seconds:.1f}",
            "disagrees" if m.faults else "agrees",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    for m in found:
        lines.append(f"\n{m.what}: " + ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in m.phases.items()))
        lines += [f"FAILED: {fault}" for fault in m.faults]
    if files:
        lines.append("\nfiles: " + ", ".join(f"{step} {seconds:.2f} s" for step, seconds in files.items()))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("accounts", type=int)
    parser.add_argument("reps", type=int)
    parser.add_argument("--market", choices=MARKETS, default="heavy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--price", type=float, default=PRICE_PER_POINT, help="of a point outside a band, as a share of "
                        "what an average territory costs")  # fmt: skip
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for the solve")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--again", action="store_true", help="also re-solve after an edit")
    parser.add_argument("--folder", type=Path, help="also write market and plan there, and check them")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.accounts < 1 or given.reps < 1:
        parser.error("accounts and reps must be 1 or more")
    if given.again and given.reps < 2:
        parser.error("--again lets a rep leave: it needs 2 or more")
    warm_up()
    try:
        market = make_market(given.market, given.accounts, given.reps, seed=given.seed, price_per_point=given.price)
    except ValueError as error:
        parser.error(str(error))
    settings: dict[str, Any] = {"time_limit": given.time_limit, "threads": given.threads}
    first, result = measure(market, given.market, given.seed, **settings)
    found = [first]
    if given.again:
        after = edited(market, result.plan, seed=given.seed)
        found.append(measure(after, given.market, given.seed, previous=result, **settings)[0])
    files, faults = through_files(market, result, given.folder) if given.folder else ({}, [])
    if given.json:
        shown = {"machine": machine(), "results": [asdict(m) for m in found], "files": files, "faults": faults}
        print(json.dumps(shown, indent=2))
    else:
        print("\n".join([as_text(found, files), *faults]))
    return int(bool(faults) or any(m.faults for m in found))


if __name__ == "__main__":
    sys.exit(main())
