"""What callers hand to a verb, turned into what the verb works on: a problem, a plan with its problem, a table.

A verb that needs a problem takes whatever has one, and a verb that needs a plan whatever has one; a path stands for the
scenario or the plan folder that lies there. For anything else a :class:`GivenError` says what to hand in instead.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from territory_opt.errors import GivenError
from territory_opt.intake.actuals import check_actuals, check_metrics, read_actuals, read_metrics
from territory_opt.paths import is_there
from territory_opt.plan.certificate import Multipliers
from territory_opt.plan.folder import PlanFolder
from territory_opt.plan.outcome import Outcome
from territory_opt.plan.plan import Plan
from territory_opt.problem.options import place
from territory_opt.problem.problem import Problem
from territory_opt.whatif.overlay import scenario_path
from territory_opt.whatif.saved import SavedPlan, holds_plan, load_plan
from territory_opt.whatif.scenario import Scenario, load_scenario

if TYPE_CHECKING:
    from territory_opt.optimize.previous import Solved
    from territory_opt.optimize.result import Result

Place: TypeAlias = str | os.PathLike[str]
ProblemLike: TypeAlias = Problem | Scenario | Outcome | Place
"""What has a problem."""
PlanLike: TypeAlias = Outcome | Place
"""What has a plan and its problem."""
TableLike: TypeAlias = pd.DataFrame | Place

PROBLEMS = "a problem, a scenario, a result, a loaded plan, or the path of a scenario or of a plan folder"
PLANS = "a result, a loaded plan, or the path of a plan folder"
FOLDERS = "a loaded plan or the path of a plan folder"


def as_problem(given: ProblemLike) -> Problem:
    """Return the problem of what was handed in. Raise :class:`GivenError` for what has none."""
    given = loaded(given)
    if isinstance(given, Problem):
        return given
    if isinstance(given, Scenario):
        return given.problem()
    if isinstance(given, Outcome):
        return given.problem
    raise GivenError.of(given, PROBLEMS, _way_to_a_problem(given))


def as_outcome(given: PlanLike) -> Outcome:
    """Return the plan, with its problem and proof, of what was handed in. Raise :class:`GivenError` for what has none.

    A result of :func:`solve` is returned whether it holds a plan or not: it says so itself when it is asked.
    """
    given = _plan_at(given) if isinstance(given, str | os.PathLike) else given
    if isinstance(given, Outcome):
        return given
    raise GivenError.of(given, PLANS, _way_to_a_plan(given))


def as_result(given: PlanLike) -> Result:
    """Return a result of :func:`solve`, or a loaded plan as one. Raise :class:`GivenError` for what has no plan."""
    from territory_opt.optimize.result import Result  # late: a check loads no solver's part

    found = as_outcome(given)
    if isinstance(found, SavedPlan):
        return found.as_result()
    if isinstance(found, Result):
        return found
    raise GivenError.of(found, PLANS, _way_to_a_plan(found))


def as_plan(given: Plan | PlanLike) -> Plan:
    """Return the plan alone. Raise :class:`GivenError` for what has none."""
    return given if isinstance(given, Plan) else as_outcome(given).plan


def as_proof(given: Multipliers | PlanLike) -> Multipliers:
    """Return the multipliers that prove a bound. Raise :class:`GivenError` for what has none."""
    if isinstance(given, Multipliers):
        return given
    if isinstance(given, Outcome | str | os.PathLike):
        return as_outcome(given).certificate
    raise GivenError.of(given, "the multipliers of a plan", "result.certificate; to.certify(result) needs no more")


def as_start(given: PlanFolder | PlanLike) -> Solved:
    """Return what a solve starts from: a plan and its multipliers. Raise :class:`GivenError` for what has none."""
    if isinstance(given, PlanFolder):
        return given
    found = as_outcome(given)
    _ = found.plan  # a result without one says so here
    return found


def as_saved(given: SavedPlan | Place) -> SavedPlan:
    """Return the plan folder, read. Raise :class:`GivenError` for what is no folder."""
    given = _plan_at(given) if isinstance(given, str | os.PathLike) else given
    if isinstance(given, SavedPlan):
        return given
    way = _way_to_a_plan(given)
    if isinstance(given, Outcome):
        way = "to.audit(result) and to.certify(result) judge a result, to.save_plan(result, folder) writes its folder"
    raise GivenError.of(given, FOLDERS, way)


def as_path(given: Place) -> Path:
    """Return a path. Raise :class:`GivenError` for what is none."""
    return place(given, "the path of a folder", 'write it as text, "out/plan"')


def as_scenario(given: Scenario | Place) -> Scenario:
    """Return the scenario, read if it is a path. Raise :class:`GivenError` for what is none."""
    if isinstance(given, Scenario):
        return given
    if isinstance(given, str | os.PathLike):
        return _scenario_at(given)
    raise GivenError.of(given, "a scenario or its path", "to.load_scenario(path) reads one")


def as_sales(given: TableLike, problem: Problem, origin: object) -> pd.DataFrame:
    """Check sales so far; a file is read as the scenario of ``origin``, where it has one, reads its sales table."""
    if isinstance(given, pd.DataFrame):
        return check_actuals(given, problem)
    path = _table_at(given, "columns are account_id, month and sales")
    scenario = origin.scenario if isinstance(origin, SavedPlan) else origin
    return read_actuals(path, problem, scenario.file.tables.sales if isinstance(scenario, Scenario) else None)


def as_metrics(given: TableLike, problem: Problem) -> pd.DataFrame:
    """Check a table of figures by rep; a file is read first."""
    if isinstance(given, pd.DataFrame):
        return check_metrics(given, problem)
    return read_metrics(_table_at(given, "it needs a column rep_id"), problem)


def _table_at(given: Place, columns: str) -> Path:
    path = place(given, "a table or the path of one", columns)
    if not is_there(path):
        raise GivenError(f'there is no file "{given}"; check the path')
    return path


def loaded(given: ProblemLike) -> Problem | Scenario | Outcome:
    """Load the plan or the scenario that lies at a path; return anything else as it is."""
    if not isinstance(given, str | os.PathLike):
        return given
    path = place(given, PROBLEMS, "check the path")
    return load_plan(path) if holds_plan(path) else _scenario_at(path)


def _scenario_at(given: Place) -> Scenario:
    path = scenario_path(place(given, "a scenario or its path", "check the path"))
    if not is_there(path):
        raise GivenError(f'there is no scenario and no plan folder at "{given}"; check the path')
    return load_scenario(path)


def _plan_at(given: Place) -> SavedPlan:
    """Load a plan folder; say so if a scenario lies there, which has no plan yet."""
    path = place(given, PLANS, "check the path")
    if not holds_plan(path) and is_there(scenario_path(path)) and scenario_path(path).is_file():
        raise GivenError(f'{path} is no plan folder; to.solve("{path}") makes a plan of a scenario')
    return load_plan(path)


# --- words ------------------------------------------------------------------------------------------------------


def _way_to_a_problem(given: object) -> str:
    if isinstance(given, pd.DataFrame | Mapping):
        return "to.Problem.from_tables(accounts=..., reps=...) makes a problem of tables"
    if isinstance(getattr(given, "problem", None), Problem):
        return "its .problem is one"
    if isinstance(given, Plan):
        return "a plan alone holds no data, the result it came from does"
    return "to.load_scenario(path) or to.Problem.from_tables(accounts=..., reps=...) gives one"


def _way_to_a_plan(given: object) -> str:
    if isinstance(given, Problem | Scenario):
        return f"a {type(given).__name__.lower()} has no plan yet, to.solve makes one"
    if isinstance(given, Plan | PlanFolder):
        return "a plan alone holds no data, the result or the loaded plan it came from does"
    return "to.solve(problem) or to.load_plan(folder) gives one"
