"""What commands that make a plan do after reading: solve, save, say what came out."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from territory_opt.cli.exit_codes import NO_PLAN, code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from territory_opt.cli.screen import Screen
    from territory_opt.optimize.result import Result
    from territory_opt.plan.plan import Plan
    from territory_opt.problem.problem import Problem
    from territory_opt.quota.consistency import Consistency
    from territory_opt.whatif.replan import Replan
    from territory_opt.whatif.scenario import Scenario


def plan_and_tell(
    screen: Screen,
    chosen: Scenario,
    problem: Problem,
    folder: Path,
    options: dict[str, Any],
    found: Consistency,
    also: Callable[[Plan], None] | None = None,
) -> int:
    """Solve, save and say what came out; return the exit code. ``also`` writes more, while the plan is being saved."""
    from territory_opt import api
    from territory_opt.cli.console import Planning, StopButton

    started = time.perf_counter()
    with StopButton() as button:
        with Planning(screen, problem.policy.currency) as progress:
            result = api.solve(problem, **options, progress=progress)
        if button.heard > 1:
            raise KeyboardInterrupt
        if not result.has_plan:
            return _without_plan(screen, options["time_limit"], stopped=button.heard > 0)
        seconds = time.perf_counter() - started
        button.saving = button.heard == 0
        api.save_plan(result, folder, scenario=chosen)
        if also is not None:
            also(result.plan)
        button.saved = True
        return _tell(screen, chosen, result, folder, seconds, found)


def plan_the_rest(screen: Screen, chosen: Scenario, rest: Replan, folder: Path) -> int:
    """Solve the rest of a year, then write the quotas of the whole year beside it; return the exit code."""
    from territory_opt.cli.wording import frozen, opening
    from territory_opt.model.model import Model
    from territory_opt.plan.folder import write_csv

    problem = chosen.problem()
    frozen(screen, rest)
    found = opening(screen, chosen.label, problem, Model.build(problem), written=True)
    given = chosen.file.solve
    options = {"seed": given.seed, "time_limit": given.time_limit, "gap": given.gap, "threads": None, "previous": None}
    years = []

    def write_year(plan: Plan) -> None:
        years.append(rest.year(plan))
        write_csv(years[0], folder / "year.csv")

    try:
        code = plan_and_tell(screen, chosen, problem, folder / "plan", options, found, write_year)
    finally:
        if not (folder / "plan").is_dir():  # nothing half done stays, so that the command can be given again
            shutil.rmtree(folder, ignore_errors=True)
    for year in years:
        total, before = year["quota"].sum(), year["before"].sum()
        screen.say(f"quotas of the whole year: {total:,.2f}, planned {before:,.2f}; {folder / 'year.csv'}")
    return code


def _without_plan(screen: Screen, limit: float, *, stopped: bool) -> int:
    longer = f"No plan was found in {limit:g} seconds; nothing was written. Give it longer: --time-limit SECONDS"
    text = "Stopped before there was a plan; nothing was written." if stopped else longer
    screen.say(text, always=True)
    screen.result({"error": text, "issues": [], "exit_code": NO_PLAN})
    return NO_PLAN


def _tell(screen: Screen, chosen: Scenario, result: Result, folder: Path, seconds: float, found: Consistency) -> int:
    """Say what came out; return the exit code."""
    from territory_opt.cli import wording

    code = code_of(result)
    facts = {
        "sentences": wording.outcome(screen, result, folder, seconds),
        "issues": wording.issue_rows(result.model.problem.issues),
        "consistency": wording.consistency_facts(found),
        "seconds": round(seconds, 3),
        "folder": str(folder),
        "files": sorted(path.name for path in folder.iterdir()),
        "exit_code": code,
    }
    screen.result({**result.claims(chosen.label), **facts})
    return code
