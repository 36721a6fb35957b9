"""From a result to a plan folder: the manifest, the workbook and the page, and the tables where it stands alone."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from territory_opt._version import __version__
from territory_opt.atomic import Place
from territory_opt.errors import ScenarioError
from territory_opt.optimize.result import Result
from territory_opt.paths import resolved
from territory_opt.plan.check_files import FOR_PEOPLE, ISSUES, PARTS, ROLL_UP, issue_table
from territory_opt.plan.write_folder import file_hash, table_csv, write_folder
from territory_opt.problem.policy import Policy
from territory_opt.problem.schema import TABLES
from territory_opt.whatif.saved import SavedPlan
from territory_opt.whatif.scenario import Scenario, load_scenario, relative_path
from territory_opt.whatif.write import SCENARIO_FILE, write_scenario

VERSIONED = ("ortools", "numpy", "scipy", "pandas", "numba")


def save_plan(
    outcome: Result | SavedPlan, folder: str | Path | Place, *, scenario: Scenario | None = None, name: str = ""
) -> Path:
    """Write the plan folder of a result or a loaded plan, with workbook and page, whole or not at all; return its path.

    ``scenario`` is where the problem came from: the folder says where it is, so that :func:`load_plan` and ``check``
    find the data again. Without one, the tables and a scenario of their own are written into the folder, which then
    stands alone; so it does if the scenario's data lie in ``folder`` itself. ``name`` stands on the reports, by default
    the scenario's. Files and folders that no plan has brought into ``folder`` stay there. ``folder`` may be reserved
    already (:func:`reserve_folder`). Raise :class:`PlanFolderError` if it holds something that is not a plan or is
    written by another run, :class:`ScenarioError` for another scenario's settings, :class:`NoPlanError` if there is no
    plan.
    """
    place = folder if isinstance(folder, Place) else Path(folder)
    shown, folder = (folder.shown, folder.path) if isinstance(folder, Place) else (Path(folder), Path(folder))
    result = outcome.as_result() if isinstance(outcome, SavedPlan) else outcome
    if scenario is not None and not _inside(folder, scenario):
        if scenario.policy != result.problem.policy:
            raise ScenarioError(f"{scenario.path}: its settings are not those that the plan was made with; solve again")
        link = {
            "scenario": relative_path(scenario.path, folder),
            "variant": scenario.variant,
            "overrides": dict(scenario.given),
            "inputs": _hashes(scenario.inputs()),
        }
        _write(result, place, name or scenario.label, link, {})
        return shown
    name = name or shown.name
    with tempfile.TemporaryDirectory() as aside:
        own = load_scenario(write_scenario(result.problem, Path(aside) / "tables", name=name))
        link = {"scenario": own.path.name, "variant": None, "overrides": {}, "inputs": _hashes(own.inputs())}
        _write(result, place, name, link, {file.name: partial(shutil.copyfile, file) for file in own.input_files()})
    return shown


def names_of_files(folder: Path, scenario: Scenario, policy: Policy) -> list[str]:
    """Return the names of files that :func:`save_plan` may write beside the plan and its proof."""
    tables = [f"{table}.csv" for table in TABLES] + [SCENARIO_FILE] if _inside(folder, scenario) else []
    return [ISSUES, ROLL_UP, *FOR_PEOPLE, *([PARTS] if policy.quotas.by else []), *tables]


def _inside(folder: Path, scenario: Scenario) -> bool:
    """Whether ``folder`` holds data of the scenario: they have to be written with the plan, which takes its place."""
    return any(resolved(path).is_relative_to(resolved(folder)) for path in scenario.input_files())


def _write(result: Result, folder: Path | Place, name: str, link: dict[str, Any], tables: dict[str, Any]) -> None:
    """Write the folder; ``link`` says where its data are, ``tables`` are further files with how to write them."""
    from territory_opt.report.page import write_page
    from territory_opt.report.views import build_views
    from territory_opt.report.workbook import write_workbook

    issues = result.model.problem.issues
    run = {"seed": str(result.seed), "method": result.why, "territory-opt": __version__}
    parts = _quotas_by_part(result)
    views = build_views(result, name=name, issues=issues, run=run, by_part=parts)
    extras = {
        ISSUES: lambda path: _write_text(path, table_csv(issue_table(issues))),
        ROLL_UP: lambda path: _write_text(path, table_csv(_roll_up_table(result))),
        "plan.xlsx": lambda path: write_workbook(views, path),
        "report.html": lambda path: write_page(views, path),
        **tables,
    }
    if parts is not None:
        extras[PARTS] = lambda path: _write_text(path, table_csv(parts))
    manifest = {**link, "seed": result.seed, "versions": _versions()}
    claims = result.claims(name)
    write_folder(
        folder, plan=result.plan, certificate=result.certificate, claims=claims, manifest=manifest, extras=extras
    )


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    return {key: file_hash(path) for key, path in files.items()}


def _quotas_by_part(result: Result) -> pd.DataFrame | None:
    if not (result.plan.has_quotas and result.model.problem.policy.quotas.by):
        return None
    from territory_opt.quota.by_part import by_part

    return by_part(result.figures)


def _roll_up_table(result: Result) -> pd.DataFrame:
    if not result.plan.has_quotas:
        return pd.DataFrame({"node_id": []})
    return result.figures.roll_up


def _versions() -> dict[str, str]:
    found = {"territory-opt": __version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in VERSIONED}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
