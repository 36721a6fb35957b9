"""Sales territories and quotas in one model, with a verified bound on every plan.

    import territory_opt as to
    scenario = to.load_scenario("scenarios/field_team")
    result = to.solve(scenario.problem())
    result.plan.assignment, result.plan.quotas, result.gap

Names are loaded on first use, so importing the package is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Certificate": "territory_opt.plan.certificate",
    "Comparison": "territory_opt.study.comparison",
    "ComparisonError": "territory_opt.errors",
    "DataError": "territory_opt.errors",
    "Issue": "territory_opt.errors",
    "Model": "territory_opt.model.model",
    "Multipliers": "territory_opt.plan.certificate",
    "NoPlanError": "territory_opt.errors",
    "Plan": "territory_opt.plan.plan",
    "PlanningGraph": "territory_opt.model.graph",
    "PlanFolderError": "territory_opt.errors",
    "Policy": "territory_opt.problem.policy",
    "Problem": "territory_opt.intake.validate",
    "Progress": "territory_opt.optimize.result",
    "Result": "territory_opt.optimize.result",
    "Scenario": "territory_opt.whatif.scenario",
    "ScenarioError": "territory_opt.errors",
    "Status": "territory_opt.optimize.result",
    "TerritoryError": "territory_opt.errors",
    "Violation": "territory_opt.plan.audit",
    "audit": "territory_opt.plan.audit",
    "certify": "territory_opt.plan.certificate",
    "compare": "territory_opt.study.comparison",
    "load_scenario": "territory_opt.whatif.scenario",
    "planning_graph": "territory_opt.model.graph",
    "solve": "territory_opt.optimize.solve",
}


__all__ = [
    "Certificate",
    "Comparison",
    "ComparisonError",
    "DataError",
    "Issue",
    "Model",
    "Multipliers",
    "NoPlanError",
    "Plan",
    "PlanFolderError",
    "PlanningGraph",
    "Policy",
    "Problem",
    "Progress",
    "Result",
    "Scenario",
    "ScenarioError",
    "Status",
    "TerritoryError",
    "Violation",
    "audit",
    "certify",
    "compare",
    "load_scenario",
    "planning_graph",
    "solve",
]

if TYPE_CHECKING:
    from territory_opt.errors import (
        ComparisonError,
        DataError,
        Issue,
        NoPlanError,
        PlanFolderError,
        ScenarioError,
        TerritoryError,
    )
    from territory_opt.model.graph import PlanningGraph, planning_graph
    from territory_opt.model.model import Model
    from territory_opt.optimize.result import Progress, Result, Status
    from territory_opt.optimize.solve import solve
    from territory_opt.plan.audit import Violation, audit
    from territory_opt.plan.certificate import Certificate, Multipliers, certify
    from territory_opt.plan.plan import Plan
    from territory_opt.problem.policy import Policy
    from territory_opt.problem.problem import Problem
    from territory_opt.study.comparison import Comparison, compare
    from territory_opt.whatif.scenario import Scenario, load_scenario


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'territory_opt' has no attribute {name!r}; it has: {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
