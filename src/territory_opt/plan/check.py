"""The check of a plan folder: all that it says is recomputed from the data and its proof, without a solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from territory_opt.errors import PlanFolderError
from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation, audit_figures
from territory_opt.plan.certificate import Certificate, certify_figures
from territory_opt.plan.evaluate import Evaluation, kappa_drift
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import CORE_FILES, PlanFolder, file_hash, named, read_quotas, table_csv
from territory_opt.plan.parts import part_problems
from territory_opt.plan.rollup import roll_up
from territory_opt.problem.numbers import HALF_CENT, ROUNDING
from territory_opt.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class Check:
    """Outcome of checking a plan folder: ``faults`` is empty when everything it claims holds."""

    certificate: Certificate
    violations: tuple[Violation, ...]
    faults: tuple[str, ...]
    claims: dict[str, Any]

    @property
    def holds(self) -> bool:
        """Whether everything the folder claims was confirmed."""
        return not self.faults

    def __repr__(self) -> str:
        return f"Check({'holds' if self.holds else f'{len(self.faults):,} faults'} · {self.certificate!r})"


def check_folder(found: PlanFolder, problem: Problem) -> Check:
    """Recompute everything a plan folder claims from ``problem``, its assignment and its multipliers; no solver."""
    model = Model.build(problem, kappa=found.plan.kappa)
    figures = Figures(model, found.plan)
    certificate, violations = certify_figures(figures, found.certificate), audit_figures(figures)
    faults = list(certificate.problems)
    faults += _changed_files(found)
    faults += _unconfirmed_claims(found, figures, certificate, violations)
    faults += _wrong_roll_up(found, model)
    faults += _wrong_parts(found, model)
    return Check(certificate, tuple(violations), tuple(faults), found.claims)


def _changed_files(found: PlanFolder) -> list[str]:
    """Files that differ from what the manifest says, and files that it does not vouch for."""
    outputs = found.manifest.get("outputs")
    if not isinstance(outputs, dict):
        return ["manifest.json lists no output files"]
    present = {path.name for path in found.path.iterdir() if path.name != "manifest.json"}
    faults = [f"{name} is not listed in manifest.json" for name in sorted((present | set(CORE_FILES)) - set(outputs))]
    return faults + [
        f"{name} was changed or removed after it was written"
        for name, digest in outputs.items()
        if name not in present or file_hash(found.path / name) != digest
    ]


def _wrong_roll_up(found: PlanFolder, model: Model) -> list[str]:
    """Compare roll_up.csv, if the folder has one, with the roll-up of the quotas."""
    path = found.path / "roll_up.csv"
    if not path.exists() or not model.has_quotas or not found.plan.annual.index.equals(_rep_ids(model)):
        return []
    same = path.read_text(encoding="utf-8") == table_csv(roll_up(model, found.plan.annual))
    return [] if same else ["roll_up.csv is not the roll-up of the quotas"]


def _wrong_parts(found: PlanFolder, model: Model) -> list[str]:
    """Hold quotas_by_part.csv, which a plan with ``quotas.by`` must have, against the quotas."""
    if not model.has_quotas or not model.problem.policy.quotas.by:
        return []
    path = found.path / "quotas_by_part.csv"
    if not path.exists():
        return ["quotas_by_part.csv is missing, although quotas.by asks for it"]
    try:
        table = named(path, lambda path: read_quotas(path, "part"))
    except PlanFolderError as error:
        return [str(error)]
    return part_problems(model, found.plan.annual, table)


def _rep_ids(model: Model) -> pd.Index[Any]:
    return pd.Index(model.problem.reps["rep_id"].astype(str))


def _unconfirmed_claims(
    found: PlanFolder, figures: Figures, certificate: Certificate, violations: list[Violation]
) -> list[str]:
    """Every figure of plan.json that a recomputation does not confirm."""
    claims = found.claims
    evaluation = None if found.plan.assignment.index.has_duplicates else figures.evaluation
    faults = [
        f"{name} is stated as {_stated(claims.get(name))}, recomputed it is {_stated(value)}"
        for name, value in _recomputed(figures.model, evaluation, certificate, violations).items()
        if not _same(claims.get(name), value)
    ]
    if not certificate.problems and certificate.objective > certificate.bound + HALF_CENT and not violations:
        faults.append("the objective is above the bound: one of them is wrong")
    if (claims.get("status") == "infeasible") != bool(violations):
        faults.append(f'the status is stated as "{claims.get("status")}", with {len(violations)} hard rules broken')
    faults += [] if evaluation is None else _unconfirmed_parts(claims.get("parts"), evaluation.parts)
    faults += _unconfirmed_violations(claims, violations)
    stated_least = claims.get("least_violation") or 0.0
    if not isinstance(stated_least, int | float) or not stated_least <= certificate.least_violation + ROUNDING:
        faults.append(f"states that rules must be broken by {stated_least}, proven is {certificate.least_violation}")
    return faults


def _recomputed(
    model: Model, evaluation: Evaluation | None, certificate: Certificate, violations: list[Violation]
) -> dict[str, float | None]:
    """The figures of plan.json as the data give them."""
    figures: dict[str, float | None] = {"objective": certificate.objective, "bound": certificate.bound}
    figures |= {"gap": None, "gap_money": None, "accounts": model.problem.n_accounts, "reps": model.problem.n_reps}
    if not violations:
        figures |= {"gap": certificate.gap, "gap_money": certificate.gap_money}
    if evaluation is None:
        return figures
    return figures | {
        "moved_accounts": evaluation.moved_accounts,
        "moved_sales": evaluation.moved_sales,
        "sales_at_risk": evaluation.sales_at_risk,
        "margin_whoever_serves": evaluation.common_margin,
        "kappa": model.kappa,
        "kappa_drift": kappa_drift(model, evaluation),
    }


def _unconfirmed_parts(stated: object, parts: dict[str, float]) -> list[str]:
    """The stated parts of the objective that the recomputed ``parts`` do not confirm, missing and made-up ones too."""
    given = stated if isinstance(stated, dict) else {}
    return [
        f'part "{name}" of the objective is stated as {_stated(given.get(name))}, recomputed it is '
        f"{_stated(parts.get(name))}"
        for name in dict.fromkeys([*parts, *map(str, given)])
        if not _same(given.get(name), parts.get(name))
    ]


def _unconfirmed_violations(claims: Mapping[str, Any], violations: list[Violation]) -> list[str]:
    listed = claims.get("violations")
    stated = (
        {(str(v.get("rule")), str(v.get("subject"))) for v in listed if isinstance(v, dict)}
        if isinstance(listed, list)
        else set()
    )
    faults = [
        f"breaks a rule that the plan does not admit: {violation}"
        for violation in violations
        if (violation.rule, violation.subject) not in stated
    ]
    missing = stated - {(v.rule, v.subject) for v in violations}
    return faults + [f"states a broken rule that is not broken: {rule}, {subject}" for rule, subject in sorted(missing)]


def _same(stated: object, value: float | None) -> bool:
    if value is None or not np.isfinite(value):
        return stated is None
    """Whether a stated figure is the recomputed ``value``: but for rounding, and for half a cent of what is money."""
    allowed = HALF_CENT * (abs(value) > 1) + ROUNDING * max(abs(value), 1.0)
    return isinstance(stated, int | float) and abs(value - stated) <= allowed


def _stated(value: object) -> str:
    """Write a figure so exactly that a claim which is off by a cent differs."""
    if value is None:
        return "nothing"
    if not isinstance(value, int | float):
        return f'"{value}"'
    return f"{value:,.6g}" if isinstance(value, float) and abs(value) < 1 else f"{value:,.2f}"
