"""From a result to a plan folder: the claims, the manifest, the workbook and the page."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from territory_opt import __version__
from territory_opt.optimize.result import Result
from territory_opt.plan.evaluate import evaluate, kappa_drift
from territory_opt.plan.folder import file_hash, table_csv, write_folder
from territory_opt.plan.plan import Plan
from territory_opt.plan.rollup import roll_up

VERSIONED = ("ortools", "numpy", "scipy", "pandas", "numba")


def save_plan(
    result: Result,
    folder: Path,
    *,
    name: str,
    scenario: str = "",
    variant: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Path] | None = None,
) -> None:
    """Write the plan folder of a result that has a plan, with workbook and page, atomically.

    ``scenario`` is how ``check`` finds the data again; ``inputs`` are hashed into the manifest.
    """
    from territory_opt.report.page import write_page
    from territory_opt.report.views import build_views, issue_table
    from territory_opt.report.workbook import write_workbook

    issues = result.model.problem.issues
    manifest = {
        "scenario": scenario,
        "variant": variant,
        "overrides": dict(overrides or {}),
        "inputs": {key: file_hash(path) for key, path in (inputs or {}).items()},
        "seed": result.seed,
        "versions": _versions(),
    }
    run = {"seed": str(result.seed), "method": result.why, "territory-opt": __version__}
    parts = _quotas_by_part(result)
    views = build_views(result, name=name, issues=issues, run=run, by_part=parts)
    extras = {
        "data_issues.csv": lambda path: _write_text(path, table_csv(issue_table(issues))),
        "roll_up.csv": lambda path: _write_text(path, table_csv(_roll_up_table(result))),
        "plan.xlsx": lambda path: write_workbook(views, path),
        "report.html": lambda path: write_page(views, path),
    }
    if parts is not None:
        extras["quotas_by_part.csv"] = lambda path: _write_text(path, table_csv(parts))
    write_folder(
        folder, plan=result.plan, certificate=result.certificate, claims=claims(result, name), manifest=manifest,
        extras=extras,
    )  # fmt: skip


def claims(result: Result, name: str) -> dict[str, Any]:
    """Return what ``plan.json`` states about a result."""
    evaluation = result.evaluation
    facts: dict[str, Any] = {
        "name": name,
        "currency": result.model.problem.policy.currency,
        "status": result.status.value,
        "raw_status": result.raw_status,
        "method": result.method,
        "why": result.why,
        "objective": result.objective,
        "bound": result.bound,
        "bound_kind": result.bound_kind,
        "gap": result.gap,
        "gap_money": result.gap_money,
        "solver_bound": result.solver_bound,
        "solver_bound_kind": "claimed by the solver, not verified",
        "joint_gain": result.joint_gain,
        "kappa": result.certificate.kappa,
        "seed": result.seed,
        "accounts": result.model.problem.n_accounts,
        "reps": result.model.problem.n_reps,
    }
    if evaluation is not None:
        incumbent = evaluate(result.model, Plan.today(result.model))
        facts |= {
            "parts": evaluation.parts,
            "incumbent_parts": incumbent.parts,
            "incumbent_objective": incumbent.objective,
            "moved_accounts": evaluation.moved_accounts,
            "moved_sales": evaluation.moved_sales,
            "sales_at_risk": evaluation.sales_at_risk,
            "kappa_drift": kappa_drift(result.model, evaluation),
            "margin_whoever_serves": evaluation.common_margin,
        }
    facts["violations"] = [
        {"rule": v.rule, "subject": v.subject, "amount": v.amount, "unit": v.unit, "value": v.value, "limit": v.limit,
         "text": str(v)}
        for v in result.violations
    ]  # fmt: skip
    facts["least_violation"] = result.least_violation
    facts["ways_out"] = [{"text": way.text, "enough": way.enough} for way in result.relaxations]
    return facts


def _quotas_by_part(result: Result) -> pd.DataFrame | None:
    if not (result.plan.has_quotas and result.model.problem.policy.quotas.by):
        return None
    from territory_opt.quota.by_part import by_part

    return by_part(result.model, result.plan)


def _roll_up_table(result: Result) -> pd.DataFrame:
    if not result.plan.has_quotas:
        return pd.DataFrame({"node_id": []})
    return roll_up(result.model, result.plan.annual)


def _versions() -> dict[str, str]:
    found = {"territory-opt": __version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in VERSIONED}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
