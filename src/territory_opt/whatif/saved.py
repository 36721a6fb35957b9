"""A plan read back from its folder, with the problem it was made for: it offers what a result offers."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from territory_opt.errors import GivenError, PlanFolderError, TerritoryError
from territory_opt.model.model import Model
from territory_opt.paths import is_there, resolved
from territory_opt.plan.audit import Violation, audit_figures
from territory_opt.plan.certificate import Multipliers, certify_figures
from territory_opt.plan.check import Check, check_folder
from territory_opt.plan.claims import RECOMPUTED
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import PlanFolder, changed_inputs, read_folder
from territory_opt.plan.outcome import Outcome, headlines
from territory_opt.plan.plan import Plan
from territory_opt.plan.split import GapSplit, split_gap
from territory_opt.plan.write_folder import CORE_FILES, MANIFEST, recover_folder
from territory_opt.problem.problem import Problem
from territory_opt.whatif.scenario import Scenario, load_scenario
from territory_opt.words import listed

if TYPE_CHECKING:
    from territory_opt.optimize.result import Result

SHOWN = 2
"""Inputs that have changed which are named."""
GIVE_IT = "give it with --scenario PATH, in Python with scenario=PATH"


@dataclass(frozen=True, repr=False, eq=False)
class SavedPlan(Outcome):
    """A plan folder that was read, with its tables (see :class:`Outcome`) and its problem.

    Figures are those of the data as they are now. As long as these are the data the plan was made from, ``status``,
    ``objective``, ``bound``, ``gap`` and :meth:`summary` repeat what the folder states (:meth:`check` recomputes it);
    once an input has changed (:attr:`changed_inputs`), all of them are recomputed, and the plan says so wherever it
    shows itself. Where the data cannot be read any more, it says that, and these figures stay what the folder states;
    tables and pictures, which need the data, raise the error. Which of the three it is, is looked up once.

    ``folder`` is what the folder says; ``moved_to`` where the scenario is now, if it was given.
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

    @cached_property
    def changed_inputs(self) -> list[str]:
        """Sentences on input files that are not those the plan was made from."""
        present = {name: path for name, path in self.scenario.inputs().items() if path.is_file()}
        return changed_inputs(self.manifest, present)

    @property
    def status(self) -> str:
        """The status in the words of :class:`Status`."""
        return str(self.folder.claims["status"]) if self._now.judged is None else self._now.judged.status.value

    @property
    def objective(self) -> float:
        """Worth, money of the plan's period."""
        return self._stated("objective") if self._now.judged is None else self._now.judged.objective

    @property
    def bound(self) -> float:
        """Limit of what any plan can be worth, money of the plan's period."""
        return self._stated("bound") if self._now.judged is None else self._now.judged.bound

    @property
    def gap(self) -> float:
        """(bound - objective) / |objective|."""
        return self._stated("gap") if self._now.judged is None else self._now.judged.gap

    @property
    def gap_money(self) -> float:
        """Gap, money of the plan's period."""
        return self._stated("gap_money") if self._now.judged is None else self._now.judged.gap_money

    @property
    def broken_rules(self) -> int:
        """Number of hard rules that the plan breaks."""
        return len(self.folder.claims["violations"]) if self._now.judged is None else self._now.judged.broken_rules

    def claims(self) -> dict[str, Any]:
        """Return what ``plan.json`` states, or would state by inputs that have changed."""
        stated = self.folder.claims
        return dict(stated) if self._now.judged is None else self._now.judged.claims(str(stated["name"]))

    def summary(self) -> dict[str, Any]:
        """As :meth:`Outcome.summary`; ``changed_inputs`` says in words which inputs have changed, if any have.

        Where the data cannot be read any more, it is what ``plan.json`` states.
        """
        said = {"changed_inputs": self._now.said} if self._now.said else {}
        return (super().summary() if self._now.readable else headlines(self.claims())) | said

    @cached_property
    def figures(self) -> Figures:
        """What the plan comes to by the data as they are now."""
        return Figures(self.model, self.folder.plan)

    @cached_property
    def violations(self) -> tuple[Violation, ...]:
        """Hard rules that the plan breaks by the data as they are now."""
        return tuple(audit_figures(self.figures))

    @property
    def split_of_gap(self) -> GapSplit:
        """As :attr:`Outcome.split_of_gap`, of the gap that the judge finds by the data as they are now."""
        return split_gap(self.figures, self.certificate, broken=len(self.violations))

    def as_result(self) -> Result:
        """Return the plan as the result it was saved from, or as it stands by inputs that have changed."""
        if self._now.judged is not None:
            return self._now.judged
        from territory_opt.optimize.result import Relaxation, Status  # late: a check loads no solver's part

        claims = self.folder.claims
        return self._result(
            status=Status(self.status),
            raw_status=claims["raw_status"],
            cut_short=tuple(claims.get("cut_short", ())),
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
    def _now(self) -> _Now:
        """How the plan stands by its inputs as they are now."""
        try:
            changed = self.changed_inputs
            if not changed:
                return _Now()
            said = f"{listed(changed, most=SHOWN)}: {RECOMPUTED}"
            return _Now(said, self._judged(said))
        except (TerritoryError, OSError) as error:
            why = str(error).splitlines()[0]
            return _Now(f"its inputs cannot be read as they are now ({why}): figures are those it states", None, False)

    def _judged(self, said: str) -> Result:
        """Judge the plan by inputs that have changed since, as they ``said``."""
        from territory_opt.optimize.result import Status

        proof = certify_figures(self.figures, self.certificate)
        return self._result(
            status=Status.INFEASIBLE if self.violations else Status.FEASIBLE,
            raw_status=said,
            objective=proof.objective,
            bound=proof.bound,
            solver_bound=math.nan,
            least_violation=proof.least_violation if self.violations else 0.0,
            warnings=(said,),
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

    def _lines(self) -> dict[str, str]:
        said = {"inputs": self._now.said} if self._now.said else {}
        if self._now.readable:
            return {**said, **super()._lines()}
        return {**said, "status": self.status, "worth by the rules": f"{self.objective:,.2f}"}

    def __repr__(self) -> str:
        stands = [self._now.said] if self._now.judged is not None else [self.status, self._now.said]
        return f"SavedPlan({' · '.join([str(self.folder.path), *filter(None, stands), repr(self.plan)])})"


@dataclass(frozen=True, slots=True)
class _Now:
    """What inputs that are not as they were mean: ``said`` in words (empty: they are as they were).

    ``judged`` is the plan by changed inputs; not ``readable``: there is no judging it.
    """

    said: str = ""
    judged: Result | None = None
    readable: bool = True


def holds_plan(path: Path) -> bool:
    """Whether a path is a plan folder; one that a killed run has left beside its place is put there first."""
    recover_folder(path)
    return is_there(path / CORE_FILES[0])


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
        raise PlanFolderError(f"{plan.path / MANIFEST}: scenario, variant or overrides are not as solve writes them")
    path = moved_to or _shortest(resolved(plan.path) / named)
    if not named and moved_to is None:
        raise PlanFolderError(f"{plan.path}: it does not say what scenario it was made from; {GIVE_IT}")
    if not is_there(path):
        raise PlanFolderError(f"{plan.path}: the scenario it was made from is not at {path}; {GIVE_IT}")
    try:
        return load_scenario(path, variant, overrides)
    except GivenError as error:
        raise PlanFolderError(f"{plan.path / MANIFEST}: {error}") from error


def _shortest(path: Path) -> Path:
    """Return ``path`` without detours, from here if it lies below."""
    plain = Path(os.path.normpath(path))
    here = Path.cwd()
    return plain.relative_to(here) if plain.is_relative_to(here) else plain
