"""What solving returns: a status, the plan if there is one, and what is known about how good it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from territory_opt.errors import NoPlanError
from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation
from territory_opt.plan.captured import over_today
from territory_opt.plan.certificate import Multipliers, relative_gap
from territory_opt.plan.claims import BRANCH_AND_BOUND, CLAIMED
from territory_opt.plan.evaluate import Evaluation, kappa_drift
from territory_opt.plan.figures import Figures
from territory_opt.plan.outcome import Outcome


class Status(StrEnum):
    """Outcome in planner terms.

    ``optimal``: within the asked gap of the bound, or of what a complete branch and bound claims. ``feasible``: a plan
    that keeps all hard rules. ``infeasible``: the hard rules cannot all hold or no plan that keeps them was found
    (see ``Result.proven``); the plan is the least bad one. ``no_plan``: the time limit came first.
    """

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    NO_PLAN = "no_plan"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a running solve.

    ``phase`` is the work at hand ("bound", "search", "branch and bound" ..., as in ``Result.phases``), ``seconds`` are
    those since the start. ``incumbent`` is what the best plan so far is worth and ``bound`` what no plan can exceed, in
    money of the plan's period; NaN while unknown. ``detail`` says more in words.
    """

    phase: str
    seconds: float
    incumbent: float
    bound: float
    detail: str = ""

    @property
    def gap(self) -> float:
        """Relative gap, NaN while unknown."""
        return relative_gap(self.incumbent, self.bound)


ProgressCallback = Callable[[Progress], object]
"""Called with each step of a solve; returning ``False`` ends the solve soon, with the best plan so far."""


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One way to make the rules hold: ``text`` in planner words; ``enough`` if it suffices on its own."""

    text: str
    enough: bool


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Result(Outcome):
    """A solved problem: its plan, how good it is, and its tables (see :class:`Outcome`).

    ``status`` is in planner terms. ``objective`` and ``bound`` are money per year; ``bound`` is verified from
    ``certificate``; ``solver_bound`` is what branch and bound claims (NaN: no claim). ``joint_gain`` is the objective
    of joint solving less that of territories first and quotas after (NaN where not compared). ``method`` is ``exact``
    or ``large``, ``why`` says in words which and why. ``proven`` says, for an infeasible status, whether multipliers
    prove that the hard rules cannot all hold. ``raw_status`` is ``complete`` where nothing depends on the time limit;
    else ``cut_short`` names the work, in the words of ``phases``, that the time limit or Ctrl-C ended: search, branch
    and bound, bound, cases (of the proof), ...

    ``model`` holds pairs, rows and hierarchy that decide what a plan is worth. ``violations`` are the hard rules that
    the plan breaks, ``relaxations`` what could give instead: ``text``, and whether it is ``enough`` alone;
    ``least_violation`` is by how much hard rules must at least be broken, each in units of its scale (0: not proven
    that any must). ``seed`` is that of the solve, ``seconds`` how long it took (NaN for a loaded plan), ``phases`` the
    seconds of each kind of work. ``warnings`` say in words what to know about how the plan came about. ``bound_kind``
    is always ``verified``: recomputed from the multipliers.
    """

    status: Status
    raw_status: str
    model: Model = field(repr=False)
    objective: float = field()
    bound: float = field()
    solver_bound: float
    method: str
    why: str
    certificate: Multipliers = field(repr=False)
    violations: tuple[Violation, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    least_violation: float = 0.0
    joint_gain: float = float("nan")
    seed: int = 0
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    cut_short: tuple[str, ...] = ()
    bound_kind: Literal["verified"] = "verified"
    _figures: Figures | None = field(default=None, repr=False)

    @property
    def figures(self) -> Figures:
        """What the plan comes to, computed once. Raise :class:`NoPlanError` if there is none."""
        if self._figures is None:
            raise NoPlanError(f"no plan was found ({self.raw_status}); give a longer time limit")
        return self._figures

    @property
    def has_plan(self) -> bool:
        """Whether there is a plan."""
        return self._figures is not None

    @property
    def evaluation(self) -> Evaluation | None:
        """What the plan is worth by the data; None without a plan."""
        return None if self._figures is None else self._figures.evaluation

    @property
    def gap(self) -> float:
        """(bound - objective) / |objective|; NaN when hard rules are broken: the bound is for plans that keep them."""
        return float("nan") if self.status is Status.INFEASIBLE else relative_gap(self.objective, self.bound)

    @property
    def gap_money(self) -> float:
        """The gap in money per year; NaN when hard rules are broken."""
        return float("nan") if self.status is Status.INFEASIBLE else self.bound - self.objective

    @property
    def broken_rules(self) -> int:
        """Number of hard rules that the plan breaks; ``violations`` lists them."""
        return len(self.violations)

    @property
    def searched(self) -> bool:
        """Whether branch and bound claims to have searched the whole problem without finding a better plan."""
        claimed = math.isfinite(self.solver_bound) and BRANCH_AND_BOUND not in self.cut_short
        return claimed and self.method == "exact" and self.status is Status.OPTIMAL

    @property
    def proven(self) -> bool:
        """Whether it is proven that the hard rules cannot all hold."""
        return self.least_violation > 0.0

    def claims(self, name: str = "") -> dict[str, Any]:
        """Return what ``plan.json`` states about the plan, called ``name``."""
        evaluation, problem = self.evaluation, self.model.problem
        facts: dict[str, Any] = {
            "name": name,
            "currency": problem.policy.currency,
            "status": self.status.value,
            "raw_status": self.raw_status,
            "cut_short": list(self.cut_short),
            "method": self.method,
            "why": self.why,
            "objective": self.objective,
            "bound": self.bound,
            "bound_kind": self.bound_kind,
            "gap": self.gap,
            "gap_money": self.gap_money,
            "solver_bound": self.solver_bound,
            "solver_bound_kind": CLAIMED,
            "joint_gain": self.joint_gain,
            "kappa": self.certificate.kappa,
            "seed": self.seed,
            "accounts": problem.n_accounts,
            "reps": problem.n_reps,
        }
        if evaluation is not None:
            incumbent = self.figures.today.evaluation
            facts |= {
                "parts": evaluation.parts,
                "incumbent_parts": incumbent.parts,
                "incumbent_objective": incumbent.objective,
                "moved_accounts": evaluation.moved_accounts,
                "moved_sales": evaluation.moved_sales,
                "sales_at_risk": evaluation.sales_at_risk,
                "kappa_drift": kappa_drift(self.model, evaluation),
                "margin_whoever_serves": evaluation.common_margin,
            }
        keys = ("rule", "subject", "amount", "unit", "value", "limit")
        facts["violations"] = [{**{key: getattr(v, key) for key in keys}, "text": str(v)} for v in self.violations]
        facts["least_violation"] = self.least_violation
        facts["ways_out"] = [{"text": way.text, "enough": way.enough} for way in self.relaxations]
        return facts

    def __repr__(self) -> str:
        if not self.has_plan:
            return f"Result({self.status.value}: {self.raw_status})"
        stands = [self.status.value, self._standing(), over_today(self.captured), repr(self.plan)]
        return f"Result({' · '.join(filter(None, stands))})"
