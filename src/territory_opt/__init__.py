"""Sales territories and quotas in one model, with a verified bound on every plan.

    import territory_opt as to
    scenario = to.load_scenario("scenarios/field_team")
    result = to.solve(scenario.problem())
    result.plan.assignment, result.plan.quotas, result.gap
    to.save_plan(result, "out/plan", scenario=scenario)
    to.explain(to.load_plan("out/plan"), rep="R-01")

Names are loaded on first use, so importing the package is quick. docs/api.md describes all of them.
"""

from __future__ import annotations

import sys
from types import ModuleType

from territory_opt._version import __version__ as __version__

TYPE_CHECKING = False
"""As in ``typing``, which takes longer to import than all else here: Ctrl-C is not heard before."""

_HOME = {
    "AccountExplanation": "territory_opt.plan.explain_account",
    "Backtest": "territory_opt.estimate.backtest",
    "Certificate": "territory_opt.plan.certificate",
    "Check": "territory_opt.plan.check",
    "Comparison": "territory_opt.study.comparison",
    "ComparisonError": "territory_opt.errors",
    "Consistency": "territory_opt.quota.consistency",
    "DataError": "territory_opt.errors",
    "GapSplit": "territory_opt.plan.split",
    "GivenError": "territory_opt.errors",
    "Issue": "territory_opt.errors",
    "Model": "territory_opt.model.model",
    "Multipliers": "territory_opt.plan.certificate",
    "NoPlanError": "territory_opt.errors",
    "Outcome": "territory_opt.plan.outcome",
    "Plan": "territory_opt.plan.plan",
    "PlanFolderError": "territory_opt.errors",
    "PlanningGraph": "territory_opt.model.graph",
    "Policy": "territory_opt.problem.policy",
    "Problem": "territory_opt.intake.validate",
    "Progress": "territory_opt.optimize.result",
    "QuotaExplanation": "territory_opt.quota.explain_quota",
    "Replan": "territory_opt.whatif.replan",
    "Result": "territory_opt.optimize.result",
    "Review": "territory_opt.quota.review",
    "SalesEstimate": "territory_opt.plan.sales_estimate",
    "SavedPlan": "territory_opt.whatif.saved",
    "Scenario": "territory_opt.whatif.scenario",
    "ScenarioError": "territory_opt.errors",
    "Status": "territory_opt.optimize.result",
    "TerritoryError": "territory_opt.errors",
    "Tracking": "territory_opt.quota.track",
    "Violation": "territory_opt.plan.audit",
    "audit": "territory_opt.api",
    "backtest": "territory_opt.api",
    "certify": "territory_opt.api",
    "check": "territory_opt.api",
    "compare": "territory_opt.study.comparison",
    "estimate": "territory_opt.api",
    "explain": "territory_opt.api",
    "generate": "territory_opt.api",
    "load_plan": "territory_opt.api",
    "load_scenario": "territory_opt.whatif.scenario",
    "planning_graph": "territory_opt.api",
    "replan": "territory_opt.api",
    "review": "territory_opt.api",
    "save_plan": "territory_opt.api",
    "schema": "territory_opt.api",
    "solve": "territory_opt.api",
    "track": "territory_opt.api",
    "validate": "territory_opt.api",
}


__all__ = [
    "AccountExplanation",
    "Backtest",
    "Certificate",
    "Check",
    "Comparison",
    "ComparisonError",
    "Consistency",
    "DataError",
    "GapSplit",
    "GivenError",
    "Issue",
    "Model",
    "Multipliers",
    "NoPlanError",
    "Outcome",
    "Plan",
    "PlanFolderError",
    "PlanningGraph",
    "Policy",
    "Problem",
    "Progress",
    "QuotaExplanation",
    "Replan",
    "Result",
    "Review",
    "SalesEstimate",
    "SavedPlan",
    "Scenario",
    "ScenarioError",
    "Status",
    "TerritoryError",
    "Tracking",
    "Violation",
    "audit",
    "backtest",
    "certify",
    "check",
    "compare",
    "estimate",
    "explain",
    "generate",
    "load_plan",
    "load_scenario",
    "planning_graph",
    "replan",
    "review",
    "save_plan",
    "schema",
    "solve",
    "track",
    "validate",
]

if TYPE_CHECKING:
    from typing import Any

    from territory_opt.api import (
        audit,
        backtest,
        certify,
        check,
        estimate,
        explain,
        generate,
        load_plan,
        planning_graph,
        replan,
        review,
        save_plan,
        schema,
        solve,
        track,
        validate,
    )
    from territory_opt.errors import (
        ComparisonError,
        DataError,
        GivenError,
        Issue,
        NoPlanError,
        PlanFolderError,
        ScenarioError,
        TerritoryError,
    )
    from territory_opt.estimate.backtest import Backtest
    from territory_opt.model.graph import PlanningGraph
    from territory_opt.model.model import Model
    from territory_opt.optimize.result import Progress, Result, Status
    from territory_opt.plan.audit import Violation
    from territory_opt.plan.certificate import Certificate, Multipliers
    from territory_opt.plan.check import Check
    from territory_opt.plan.explain_account import AccountExplanation
    from territory_opt.plan.outcome import Outcome
    from territory_opt.plan.plan import Plan
    from territory_opt.plan.sales_estimate import SalesEstimate
    from territory_opt.plan.split import GapSplit
    from territory_opt.problem.policy import Policy
    from territory_opt.problem.problem import Problem
    from territory_opt.quota.consistency import Consistency
    from territory_opt.quota.explain_quota import QuotaExplanation
    from territory_opt.quota.review import Review
    from territory_opt.quota.track import Tracking
    from territory_opt.study.comparison import Comparison, compare
    from territory_opt.whatif.replan import Replan
    from territory_opt.whatif.saved import SavedPlan
    from territory_opt.whatif.scenario import Scenario, load_scenario


class _Stage(ModuleType):
    """A folder that has the name of a verb: it can be called as the verb."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the verb."""
        from territory_opt import api

        return getattr(api, self.__name__.rpartition(".")[2])(*arguments, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name, as a function is: whoever reads it imports the folder."""
        from importlib import import_module

        return import_module, (self.__name__,)


class _Package(ModuleType):
    """This package. When a folder is first imported, Python binds it here, over a verb of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Bind a name; a folder in the place of a verb is made callable (``estimate`` is both)."""
        if isinstance(value, ModuleType) and _HOME.get(name) == "territory_opt.api":
            value.__class__ = _Stage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'territory_opt' has no attribute {name!r}; it has: {', '.join(__all__)}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
