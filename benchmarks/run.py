"""Run the benchmarks: ``python -m benchmarks.run [--only NAME] [--json] [--repeat N]``.

Prints wall seconds per phase (median over repeats) and the quality of the plan. Exits with 1 if a plan breaks a
hard rule, if the judge disagrees with the solver, or if a run is worse than what is known to be possible: a
benchmark that finishes fast with a wrong answer fails.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import territory_opt as to
from benchmarks.registry import MARKET, PHASES, ROOT, Entry, Size, entries

CENT = 0.01
PACKAGES = ("ortools", "numpy", "scipy", "pandas", "numba")


@dataclass(frozen=True, slots=True)
class Run:
    """One measured solve. Money per year; ``gap`` relative; ``faults`` is empty when the judge agrees."""

    seconds: dict[str, float]
    total: float
    status: str
    raw_status: str
    objective: float
    bound: float
    gap: float
    gap_money: float
    moved: int
    fingerprint: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """All runs of one entry. Times are medians; quality is that of the worst run, not of a lucky one."""

    name: str
    size: str
    seed: int
    time_limit: float
    runs: tuple[Run, ...]

    @property
    def seconds(self) -> dict[str, float]:
        """Median seconds per phase that took part."""
        taken = [phase for phase in PHASES if any(phase in run.seconds for run in self.runs)]
        return {phase: statistics.median(run.seconds.get(phase, 0.0) for run in self.runs) for phase in taken}

    @property
    def total(self) -> float:
        """Median of the whole run: read, solve and judge."""
        return statistics.median(run.total for run in self.runs)

    @property
    def worst(self) -> Run:
        """The run with the largest gap."""
        return max(self.runs, key=lambda run: run.gap if math.isfinite(run.gap) else math.inf)

    @property
    def plans(self) -> int:
        """Number of different plans: 1 unless a time limit cut a run short."""
        return len({run.fingerprint for run in self.runs})

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, over all runs, each said once."""
        return tuple(dict.fromkeys(fault for run in self.runs for fault in run.faults))


def measure(entry: Entry, repeat: int) -> Measurement:
    """Solve ``entry`` ``repeat`` times with the scenario's own seed, time limit and gap."""
    with tempfile.TemporaryDirectory() as folder:
        path = entry.spec.prepare(Path(folder), entry.size)
        settings = to.load_scenario(path).file.solve
        runs = tuple(_run(entry, path) for _ in range(repeat))
    return Measurement(entry.name, str(entry.size), settings.seed, settings.time_limit, runs)


def _run(entry: Entry, path: Path) -> Run:
    started = time.perf_counter()
    scenario = to.load_scenario(path)
    problem = scenario.problem()
    read = time.perf_counter() - started
    settings = scenario.file.solve
    result = to.solve(problem, seed=settings.seed, time_limit=settings.time_limit, gap=settings.gap)
    before_judge = time.perf_counter()
    faults = _faults(entry, problem, result)
    judge = time.perf_counter() - before_judge
    assignment = tuple(result.plan.assignment) if result.has_plan else ()
    return Run(
        seconds={"read": read, **result.phases, "judge": judge},
        total=time.perf_counter() - started,
        status=result.status.value,
        raw_status=result.raw_status,
        objective=result.objective,
        bound=result.bound,
        gap=result.gap,
        gap_money=result.gap_money,
        moved=result.evaluation.moved_accounts if result.evaluation is not None else 0,
        fingerprint=hash(assignment),
        faults=tuple(faults),
    )


def _faults(entry: Entry, problem: to.Problem, result: to.Result) -> list[str]:
    """Ask the judge, which knows no solver, whether the answer is right; list what is not."""
    size = Size(problem.n_accounts, problem.n_reps)
    faults = [] if size == entry.size else [f"the problem is {size}, the registry says {entry.size}"]
    if not result.has_plan:
        return [*faults, f"no plan ({result.raw_status})"]
    certificate = to.certify(problem, result.plan, result.certificate)
    faults += judge_faults(result, to.audit(problem, result.plan), certificate)
    if entry.best_known is not None and certificate.objective < entry.best_known - CENT:
        faults.append(f"worth {certificate.objective:,.2f}, but {entry.best_known:,.2f} is possible")
    skipped = [phase for phase in entry.phases if phase not in {"read", "judge", *result.phases}]
    return faults + [f"the phase {phase} did not take part" for phase in skipped]


def judge_faults(result: to.Result, broken: Sequence[to.Violation], certificate: to.Certificate) -> list[str]:
    """List what the judge, which knows no solver, finds wrong with an answer."""
    faults = [*(f"breaks a hard rule: {violation}" for violation in broken), *certificate.problems]
    for name in ("objective", "bound"):
        claimed, found = getattr(result, name), getattr(certificate, name)
        if not abs(claimed - found) <= CENT + 1e-9 * abs(found):
            faults.append(f"{name}: the solver says {claimed:,.2f}, the judge finds {found:,.2f}")
    if certificate.objective > certificate.bound + CENT:
        faults.append(f"the plan ({certificate.objective:,.2f}) is above the bound ({certificate.bound:,.2f})")
    return faults


def warm_up() -> None:
    """Solve one small problem unmeasured, so that compiling the search and first imports are not counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = MARKET.prepare(Path(folder), Size(60, 8))
        to.solve(to.load_scenario(path).problem(), time_limit=10.0)


def machine() -> dict[str, str]:
    """Describe where this runs: processor, cores, versions, commit. No host name, no path."""
    return {
        "commit": _commit(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("territory-opt", *PACKAGES)},
    }


def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def as_text(found: Sequence[Measurement], where: dict[str, str]) -> str:
    """Return two Markdown tables, speed and quality apart, and the machine."""
    lines = ["## Machine", "", *(f"- {key}: {value}" for key, value in where.items())]
    lines += ["", "## Speed (wall seconds, median)", ""]
    lines += _table(
        ["problem", "size", "runs", "total", *PHASES],
        [
            [m.name, m.size, str(len(m.runs)), f"{m.total:.2f}", *(_seconds(m.seconds.get(p)) for p in PHASES)]
            for m in found
        ],
    )
    lines += ["", "## Quality (money per year; the worst run)", ""]
    head = ["problem", "status", "ended", "objective", "verified bound", "gap", "gap in money", "moved",
            "plans", "judge"]  # fmt: skip
    lines += _table(head, [_quality(m) for m in found])
    for m in found:
        lines += [f"\nFAILED {m.name}: {fault}" for fault in m.faults]
    return "\n".join(lines)


def _quality(m: Measurement) -> list[str]:
    run = m.worst
    return [
        m.name, run.status, run.raw_status, f"{run.objective:,.2f}", f"{run.bound:,.2f}", f"{run.gap:.3%}",
        f"{run.gap_money:,.2f}", f"{run.moved:,}", str(m.plans), "disagrees" if m.faults else "agrees",
    ]  # fmt: skip


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def as_json(found: Sequence[Measurement], where: dict[str, str]) -> str:
    """Return everything measured as JSON; unknown numbers are null."""
    results = [
        {"name": m.name, "size": m.size, "seed": m.seed, "time_limit": m.time_limit, "total": m.total,
         "seconds": m.seconds, "plans": m.plans, "faults": list(m.faults), "runs": [_plain(asdict(r)) for r in m.runs]}
        for m in found
    ]  # fmt: skip
    return json.dumps({"machine": where, "results": results}, indent=2, allow_nan=False)


def _plain(run: dict[str, Any]) -> dict[str, Any]:
    del run["fingerprint"]
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in run.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.split("\n")[0])
    parser.add_argument("--only", metavar="NAME", help="run this benchmark alone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="runs of each benchmark (default 1)")
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    try:
        chosen = entries(options.only)
    except ValueError as error:
        parser.error(str(error))
    warm_up()
    found = [measure(entry, options.repeat) for entry in chosen]
    print((as_json if options.json else as_text)(found, machine()))
    return 1 if any(m.faults for m in found) else 0


if __name__ == "__main__":
    sys.exit(main())
