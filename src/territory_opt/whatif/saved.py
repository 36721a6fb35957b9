"""A plan read back from its folder, with the problem it was made for: it offers what a result offers."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from territory_opt.errors import PlanFolderError
from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation, audit_figures
from territory_opt.plan.certificate import Multipliers
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import Check, PlanFolder, changed_inputs, check_folder, read_folder
from territory_opt.plan.outcome import Outcome
from territory_opt.plan.plan import Plan
from territory_opt.problem.problem import Problem
from territory_opt.whatif.scenario import Scenario, load_scenario

if TYPE_CHECKING:
    from territory_opt.optimize.result import Result

PLAN_FILE = "plan.json"
"""What makes a folder a plan folder."""
GIVE_IT = "give it with --scenario PATH, in Python with scenario=PATH"


@dataclass(frozen=True, repr=False, eq=False)
class SavedPlan(Outcome):
    """A plan folder that was read, with its tables (see :class:`Outcome`) and its problem.

    ``objective``, ``bound``, ``gap`` and ``gap_money`` are what the folder states, NaN where it states nothing;
    :meth:`check` recomputes them. Scenario and tables are read when they are first needed; they may have changed since,
    see :attr:`changed_inputs`.
    """

    folder: PlanFolder
    moved_to: Path | None = None

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.folder.plan

    @property
    def certificate(self) -> Multipliers:
        """The multipliers that prove the bound."""
        return self.folder.certificate

    @property
    def manifest(self) -> dict[str, Any]:
        """Where the plan comes from: scenario, variant, overrides, hashes of inputs and outputs, versions, seed."""
        return self.folder.manifest

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario the plan was made from, as it is now. Raise :class:`PlanFolderError` if it is not there."""
        return _scenario_of(self.folder, self.moved_to)

    @property
    def problem(self) -> Problem:
        """The problem of :attr:`scenario`."""
        return self.scenario.problem()

    @cached_property
    def model(self) -> Model:
        """Pairs, rows and hierarchy of :attr:`problem`, at the fair share that the plan was made with."""
        return Model.build(self.problem, kappa=self.folder.plan.kappa)

    @property
    def changed_inputs(self) -> list[str]:
        """Sentences on input files that are not those the plan was made from."""
        present = {name: path for name, path in self.scenario.inputs().items() if path.exists()}
        return changed_inputs(self.manifest, present)

    @property
    def status(self) -> str:
        """The status that the folder states, in the words of :class:`Status`."""
        return str(self.folder.claims.get("status"))

    @property
    def objective(self) -> float:
        """Stated worth, money of the plan's period."""
        return self._stated("objective")

    @property
    def bound(self) -> float:
        """Stated limit of what any plan can be worth, money of the plan's period."""
        return self._stated("bound")

    @property
    def gap(self) -> float:
        """Stated (bound - objective) / |objective|."""
        return self._stated("gap")

    @property
    def gap_money(self) -> float:
        """Stated gap, money of the plan's period."""
        return self._stated("gap_money")

    @property
    def broken_rules(self) -> int:
        """Number of hard rules that the folder says the plan breaks."""
        broken = self.folder.claims.get("violations")
        return len(broken) if isinstance(broken, list) else 0

    def claims(self) -> dict[str, Any]:
        """Return what ``plan.json`` states."""
        return dict(self.folder.claims)

    @cached_property
    def figures(self) -> Figures:
        """What the plan comes to by the data as they are now."""
        return Figures(self.model, self.folder.plan)

    @cached_property
    def violations(self) -> tuple[Violation, ...]:
        """Hard rules that the plan breaks by the data as they are now."""
        return tuple(audit_figures(self.figures))

    def as_result(self) -> Result:
        """Return the plan as the result it was saved from: claims as stated, violations and worth by the data."""
        from territory_opt.optimize.result import Relaxation, Result, Status  # late: a check loads no solver's part

        claims = self.folder.claims
        ways = tuple(Relaxation(str(way["text"]), bool(way["enough"])) for way in claims.get("ways_out") or ())
        return Result(
            status=Status(self.status),
            raw_status=str(claims.get("raw_status")),
            model=self.model,
            objective=self.objective,
            bound=self.bound,
            solver_bound=self._stated("solver_bound"),
            method=str(claims.get("method")),
            why=str(claims.get("why")),
            certificate=self.certificate,
            violations=self.violations,
            relaxations=ways,
            least_violation=self._stated("least_violation"),
            joint_gain=self._stated("joint_gain"),
            seed=int(claims.get("seed") or 0),
            seconds=math.nan,
            _figures=self.figures,
        )

    def check(self) -> Check:
        """Recompute everything the folder claims from the data and its proof, without any solver."""
        return check_folder(self.folder, self.problem)

    def _stated(self, name: str) -> float:
        value = self.folder.claims.get(name)
        return float(value) if isinstance(value, int | float) else math.nan

    def __repr__(self) -> str:
        return f"SavedPlan({self.folder.path} · {self.status} · {self.plan!r})"


def load_plan(folder: str | Path, *, scenario: str | Path | None = None) -> SavedPlan:
    """Read a plan folder that ``save_plan`` or the command ``solve`` has written.

    ``scenario`` is where the scenario is now, if it is not where the folder says. Raise :class:`PlanFolderError` naming
    the file that is missing or damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PlanFolderError(
            f"{folder}: there is no such plan folder; territory-opt solve SCENARIO --out DIR writes one"
        )
    return SavedPlan(read_folder(folder), None if scenario is None else Path(scenario))


def _scenario_of(plan: PlanFolder, moved_to: Path | None) -> Scenario:
    """Load the scenario that the manifest names, or the one at ``moved_to`` with its variant and overrides."""
    named, variant, overrides = (plan.manifest.get(key) for key in ("scenario", "variant", "overrides"))
    if not (isinstance(named, str) and isinstance(variant, str | None) and isinstance(overrides, dict | None)):
        raise PlanFolderError(
            f"{plan.path / 'manifest.json'}: scenario, variant or overrides are not as solve writes them"
        )
    path = moved_to or _shortest(plan.path.resolve() / named)
    if not named and moved_to is None:
        raise PlanFolderError(f"{plan.path}: it does not say what scenario it was made from; {GIVE_IT}")
    if not path.exists():
        raise PlanFolderError(f"{plan.path}: the scenario it was made from is not at {path}; {GIVE_IT}")
    return load_scenario(path, variant, overrides)


def _shortest(path: Path) -> Path:
    """Return ``path`` without detours, from here if it lies below."""
    plain = Path(os.path.normpath(path))
    here = Path.cwd()
    return plain.relative_to(here) if plain.is_relative_to(here) else plain
