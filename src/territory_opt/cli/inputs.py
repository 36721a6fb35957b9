"""What the commands read: scenarios, plan folders, and options that are more than a number."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from territory_opt.errors import PlanFolderError

if TYPE_CHECKING:
    from territory_opt.model.model import Model
    from territory_opt.plan.folder import PlanFolder
    from territory_opt.problem.problem import Problem
    from territory_opt.whatif.scenario import Scenario


def overrides_of(settings: Sequence[str] | None) -> dict[str, Any]:
    """Read ``--set KEY=VALUE`` options."""
    from territory_opt.whatif.scenario import parse_overrides

    return parse_overrides(settings or ())


def read_scenario(
    path: Path, variant: str | None, settings: Sequence[str] | None, strict: bool
) -> tuple[Scenario, Problem, Model]:
    """Read a scenario and check all of it, accounts that nobody may serve included."""
    from territory_opt.model.model import Model
    from territory_opt.whatif.scenario import load_scenario

    chosen = load_scenario(path, variant, overrides_of(settings))
    problem = chosen.problem(strict=strict)
    return chosen, problem, Model.build(problem)


def open_plan(folder: Path, scenario: Path | None) -> tuple[PlanFolder, Scenario]:
    """Read a plan folder and the scenario it was made from."""
    from territory_opt.plan.folder import read_folder
    from territory_opt.whatif.scenario import load_scenario

    if not folder.is_dir():
        raise PlanFolderError(
            f"{folder}: there is no such plan folder; territory-opt solve SCENARIO --out DIR writes one"
        )
    plan = read_folder(folder)
    named, variant, overrides = (plan.manifest.get(key) for key in ("scenario", "variant", "overrides"))
    if not (isinstance(named, str) and isinstance(variant, str | None) and isinstance(overrides, dict | None)):
        raise PlanFolderError(
            f"{folder / 'manifest.json'}: scenario, variant or overrides are not as solve writes them"
        )
    path = scenario or shortest(folder.resolve() / named)
    if not named and scenario is None:
        raise PlanFolderError(f"{folder}: it does not say what scenario it was made from; give it with --scenario PATH")
    if not path.exists():
        raise PlanFolderError(f"{folder}: the scenario it was made from is not at {path}; give it with --scenario PATH")
    return plan, load_scenario(path, variant, overrides)


def shortest(path: Path) -> Path:
    """Return ``path`` without detours, from here if it lies below."""
    plain = Path(os.path.normpath(path))
    here = Path.cwd()
    return plain.relative_to(here) if plain.is_relative_to(here) else plain


def changed_since(plan: PlanFolder, chosen: Scenario) -> list[str]:
    """List input files that are not those the plan was made from."""
    from territory_opt.plan.folder import changed_inputs

    return changed_inputs(plan.manifest, {name: path for name, path in chosen.inputs().items() if path.exists()})


def default_out(chosen: Scenario) -> Path:
    """Where a plan goes if nobody says."""
    path = chosen.path.resolve()
    name = path.parent.name if path.name == "scenario.yaml" else path.stem
    return Path("out") / (f"{name}-{chosen.variant}" if chosen.variant else name)


def positive(seconds: float) -> float:
    """Check a number of seconds."""
    if not (seconds > 0 and math.isfinite(seconds)):
        raise typer.BadParameter(f"--time-limit is {seconds:g}; it must be positive seconds")
    return seconds


def share_of(text: str, option: str = "--gap") -> float:
    """Read a share like "0.1 %"."""
    from territory_opt.problem.policy import parse_share

    try:
        share = float(parse_share(text))
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None
    if share < 0:
        raise typer.BadParameter(f"{option} is {text}; it cannot be negative")
    return share
