"""A plan read back from its folder, with the problem it was made for: it offers what a result offers."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from territory_opt.errors import PlanFolderError, TerritoryError
from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation, audit_figures
from territory_opt.plan.certificate import Multipliers, certify_figures
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import Check, PlanFolder, changed_inputs, check_folder, read_folder
from territory_opt.plan.outcome import Outcome
from territory_opt.plan.plan import Plan
from territory_opt.plan.write_folder import recover_folder
from territory_opt.problem.problem import Problem
from territory_opt.whatif.overlay import is_there
from territory_opt.whatif.scenario import Scenario, load_scenario
from territory_opt.words import listed

if TYPE_CHECKING:
    from territory_opt.optimize.result import Result

PLAN_FILE = "plan.json"
"""What makes a folder a plan folder."""
SHOWN = 2
"""Inputs that have changed which are named."""
GIVE_IT = "give it with --scenario PATH, in Python with scenario=PATH"


@dataclass(frozen=True, repr=False, eq=False)
class SavedPlan(Outcome):
    """A plan folder that was read, with its tables (see :class:`Outcome`) and its problem.

    Figures are those of the data as they are now. As long as these are the data the plan was made from, ``status``,
    ``objective``, ``bound``, ``gap`` and :meth:`summary` repeat what the folder states (:meth:`check` recomputes it);
    once an input has changed (:attr:`changed_inputs`), all of them are recomputed, and the plan says so wherever it
    shows itself. ``folder.claims`` has what was stated in any case; it is what the figures are too where the data are
    not in reach. Scenario and tables are read when they are first needed.
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
        """The status in the words of :class:`Status`."""
        return str(self.folder.claims["status"]) if self._judged is None else self._judged.status.value

    @property
    def objective(self) -> float:
        """Worth, money of the plan's period."""
        return self._stated("objective") if self._judged is None else self._judged.objective

    @property
    def bound(self) -> float:
        """Limit of what any plan can be worth, money of the plan's period."""
        return self._stated("bound") if self._judged is None else self._judged.bound

    @property
    def gap(self) -> float:
        """(bound - objective) / |objective|."""
        return self._stated("gap") if self._judged is None else self._judged.gap

    @property
    def gap_money(self) -> float:
        """Gap, money of the plan's period."""
        return self._stated("gap_money") if self._judged is None else self._judged.gap_money

    @property
    def broken_rules(self) -> int:
        """Number of hard rules that the plan breaks."""
        return len(self.folder.claims["violations"]) if self._judged is None else self._judged.broken_rules

    def claims(self) -> dict[str, Any]:
        """Return what ``plan.json`` states, or would state by inputs that have changed."""
        stated = self.folder.claims
        return dict(stated) if self._judged is None else self._judged.claims(str(stated["name"]))

    def summary(self) -> dict[str, Any]:
        """As :meth:`Outcome.summary`; ``changed_inputs`` says in words which inputs have changed, if any have."""
        return super().summary() | ({} if self._judged is None else {"changed_inputs": self._judged.raw_status})

    @cached_property
    def figures(self) -> Figures:
        """What the plan comes to by the data as they are now."""
        return Figures(self.model, self.folder.plan)

    @cached_property
    def violations(self) -> tuple[Violation, ...]:
        """Hard rules that the plan breaks by the data as they are now."""
        return tuple(audit_figures(self.figures))

    def as_result(self) -> Result:
        """Return the plan as the result it was saved from, or as it stands by inputs that have changed."""
        if self._judged is not None:
            return self._judged
        from territory_opt.optimize.result import Relaxation, Status  # late: a check loads no solver's part

        claims = self.folder.claims
        return self._result(
            status=Status(self.status),
            raw_status=claims["raw_status"],
            objective=self.objective,
            bound=self.bound,
            solver_bound=self._stated("solver_bound"),
            relaxations=tuple(Relaxation(str(way["text"]), bool(way["enough"])) for way in claims["ways_out"]),
            least_violation=self._stated("least_violation"),
            joint_gain=self._stated("joint_gain"),
        )

    def check(self) -> Check:
        """Recompute everything the folder claims from the data and its proof, without any solver."""
        return check_folder(self.folder, self.problem)

    def _stated(self, name: str) -> float:
        value = self.folder.claims[name]
        return math.nan if value is None else float(value)

    @cached_property
    def _judged(self) -> Result | None:
        """The plan judged by inputs that have changed since; None if none has, or none is in reach."""
        changed = self._changes()
        if not changed:
            return None
        from territory_opt.optimize.result import Status

        proof = certify_figures(self.figures, self.certificate)
        return self._result(
            status=Status.INFEASIBLE if self.violations else Status.FEASIBLE,
            raw_status=changed,
            objective=proof.objective,
            bound=proof.bound,
            solver_bound=math.nan,
            least_violation=proof.least_violation if self.violations else 0.0,
            warnings=(changed,),
        )

    def _result(self, **facts: Any) -> Result:
        from territory_opt.optimize.result import Result

        claims = self.folder.claims
        return Result(
            model=self.model,
            method=claims["method"],
            why=claims["why"],
            certificate=self.certificate,
            violations=self.violations,
            seed=claims["seed"],
            seconds=math.nan,
            _figures=self.figures,
            **facts,
        )

    def _changes(self) -> str:
        """Say which inputs are not those the plan was made from; nothing if all are, or none is in reach."""
        try:
            changed = self.changed_inputs
        except TerritoryError:
            return ""
        return f"{listed(changed, most=SHOWN)}: figures are recomputed from the data as they are now" if changed else ""

    def _lines(self) -> dict[str, str]:
        changed = {} if self._judged is None else {"inputs": self._judged.raw_status}
        return {**changed, **super()._lines()}

    def __repr__(self) -> str:
        changed = self._changes()
        return f"SavedPlan({self.folder.path} · {changed or self.folder.claims['status']} · {self.plan!r})"


def holds_plan(path: Path) -> bool:
    """Whether a path is a plan folder; one that a killed run has left beside its place is put there first."""
    recover_folder(path)
    return is_there(path / PLAN_FILE)


def load_plan(folder: str | Path, *, scenario: str | Path | None = None) -> SavedPlan:
    """Read a plan folder that ``save_plan`` or the command ``solve`` has written.

    ``scenario`` is where the scenario is now, if it is not where the folder says. Raise :class:`PlanFolderError` naming
    the file that is missing or damaged.
    """
    folder = Path(folder)
    recover_folder(folder)
    if not (is_there(folder) and folder.is_dir()):
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
    if not is_there(path):
        raise PlanFolderError(f"{plan.path}: the scenario it was made from is not at {path}; {GIVE_IT}")
    return load_scenario(path, variant, overrides)


def _shortest(path: Path) -> Path:
    """Return ``path`` without detours, from here if it lies below."""
    plain = Path(os.path.normpath(path))
    here = Path.cwd()
    return plain.relative_to(here) if plain.is_relative_to(here) else plain
