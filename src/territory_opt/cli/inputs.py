"""What the commands read: scenarios, and options that are more than a number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from territory_opt.errors import GivenError
from territory_opt.paths import resolved
from territory_opt.problem.options import seconds as check_seconds

if TYPE_CHECKING:
    from territory_opt.model.model import Model
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


def default_out(chosen: Scenario) -> Path:
    """Where a plan goes if nobody says."""
    path = resolved(chosen.path)
    name = path.parent.name if path.name == "scenario.yaml" else path.stem
    return Path("out") / (f"{name}-{chosen.variant}" if chosen.variant else name)


def positive(seconds: float) -> float:
    """Check a number of seconds."""
    try:
        return check_seconds("--time-limit", seconds)
    except GivenError as error:
        raise typer.BadParameter(str(error)) from None


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
