"""What commands that make a plan do after reading: solve, save, say what came out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from territory_opt.cli.exit_codes import NO_PLAN, code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from territory_opt.atomic import Place
    from territory_opt.cli.screen import Screen
    from territory_opt.optimize.result import Result
    from territory_opt.problem.problem import Problem
    from territory_opt.quota.consistency import Consistency
    from territory_opt.whatif.replan import Replan
    from territory_opt.whatif.scenario import Scenario
    from territory_opt.whatif.scenario_file import Solve


def plan_and_tell(
    screen: Screen,
    chosen: Scenario,
    problem: Problem,
    save: Callable[[Result], Path],
    options: dict[str, Any],
    found: Consistency,
) -> int:
    """Solve, save and say what came out; return the exit code. ``save`` writes the plan and returns its folder."""
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
        folder = save(result)
        button.saved = True
        return _tell(screen, chosen, result, folder, seconds, found)


def plan_and_save(
    screen: Screen, chosen: Scenario, problem: Problem, place: Place, options: dict[str, Any], found: Consistency
) -> int:
    """Solve, save to a reserved folder and say what came out; return the exit code."""
    from territory_opt.report import save

    return plan_and_tell(
        screen, chosen, problem, lambda result: save.save_plan(result, place, scenario=chosen), options, found
    )


def plan_the_rest(screen: Screen, rest: Replan, place: Place, name: str, solve: Solve) -> int:
    """Solve the rest of a year; write it, its plan and the quotas of the whole year as one new folder.

    Nothing is there before all of it is, so a killed run can be given again. Return the exit code.
    """
    from territory_opt.atomic import Place, put, staging
    from territory_opt.cli.wording import frozen, opening
    from territory_opt.model.model import Model
    from territory_opt.plan.write_folder import own_files, write_csv
    from territory_opt.report import save
    from territory_opt.whatif.scenario import load_scenario
    from territory_opt.whatif.write import write_tables
    from territory_opt.whole_file import naming

    options = {"seed": solve.seed, "time_limit": solve.time_limit, "gap": solve.gap, "threads": None, "previous": None}
    years: list[pd.DataFrame] = []
    with staging(place) as fresh:
        chosen = load_scenario(write_tables(rest.problem, fresh, name=name, solve=solve, shown=place.shown))
        problem = chosen.problem()
        frozen(screen, rest)
        found = opening(screen, chosen.label, problem, Model.build(problem), written=True)

        def save_all(result: Result) -> Path:
            years.append(rest.year(result.plan))
            inner = Place(place.shown / "plan", fresh / "plan", own_files)
            save.save_plan(result, inner, scenario=chosen)
            with naming(place.shown / "year.csv"):
                write_csv(years[0], fresh / "year.csv")
            put(fresh, place)
            return inner.shown

        code = plan_and_tell(screen, chosen, problem, save_all, options, found)
    for year in years:
        total, before = year["quota"].sum(), year["before"].sum()
        screen.say(f"quotas of the whole year: {total:,.2f}, planned {before:,.2f}; {place.shown / 'year.csv'}")
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
        "captured": result.captured,
        "seconds": round(seconds, 3),
        "folder": str(folder),
        "files": sorted(path.name for path in folder.iterdir()),
        "exit_code": code,
    }
    screen.result({**result.claims(chosen.label), **facts})
    return code
