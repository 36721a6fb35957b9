"""Read a plan folder back, and check all it says without a solver (``write_folder.py`` writes it)."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import PlanFolderError
from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation, audit_figures
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import Certificate, Multipliers, certify_figures
from territory_opt.plan.claims import check_claims
from territory_opt.plan.evaluate import Evaluation, kappa_drift
from territory_opt.plan.figures import Figures
from territory_opt.plan.parts import part_problems
from territory_opt.plan.plan import Plan
from territory_opt.plan.rollup import roll_up
from territory_opt.plan.write_folder import CORE_FILES, file_hash, read_json, table_csv
from territory_opt.problem.numbers import HALF_CENT, ROUNDING
from territory_opt.problem.problem import Problem
from territory_opt.problem.units import with_units

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PlanFolder:
    """What a plan folder says: the plan, its proof, and the figures it claims."""

    path: Path
    plan: Plan
    certificate: Multipliers
    claims: dict[str, Any]
    manifest: dict[str, Any]

    def __repr__(self) -> str:
        return f"PlanFolder({self.path} · {self.plan!r})"


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


def read_folder(folder: Path) -> PlanFolder:
    """Read a plan folder. Raise :class:`PlanFolderError` naming the file that is missing or damaged."""
    claims = _named(folder / "plan.json", _read_claims)
    manifest = _named(folder / "manifest.json", read_json)
    assignments = _named(folder / "assignments.csv", lambda path: _read_csv(path, ["account_id", "rep_id"]))
    quotas = _named(folder / "quotas.csv", _read_quotas)
    certificate = _named(folder / "certificate.npz", _read_certificate)
    index = pd.Index(assignments["account_id"], name="account_id")
    assignment = pd.Series(assignments["rep_id"].to_numpy(object), index=index, name="rep_id")
    with_units(quotas, {"quota": claims["currency"]})
    annual = quotas.groupby("rep_id", sort=False)["quota"].sum().round(2)
    return PlanFolder(folder, Plan(assignment, annual, quotas, certificate.kappa), certificate, claims, manifest)


def _named(path: Path, read: Callable[[Path], _T]) -> _T:
    """Read one file of a folder; whatever is wrong with it is said with its name."""
    try:
        return read(path)
    except FileNotFoundError:
        raise PlanFolderError(f"{path} is missing; solve again, or restore the folder from a copy") from None
    except (ValueError, KeyError, TypeError, OSError, EOFError, csv.Error, zipfile.BadZipFile) as error:
        raise PlanFolderError(f"{path} is damaged: {error}; solve again, or restore it from a copy") from error


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


def changed_inputs(manifest: Mapping[str, Any], paths: Mapping[str, Path]) -> list[str]:
    """List input files that are not those the plan was made from."""
    recorded = manifest.get("inputs")
    if not isinstance(recorded, dict):
        return ["manifest.json lists no input files"]
    changed = [f"{name} is no longer among the inputs" for name in recorded if name not in paths]
    for name, path in paths.items():
        if recorded.get(name) != file_hash(path):
            changed.append(f"{name} is not the file the plan was made from")
    return changed


def _read_claims(path: Path) -> dict[str, Any]:
    claims = read_json(path)
    check_claims(claims)
    return claims


def _read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, strict=True))
    if not lines or lines[0] != columns:
        raise ValueError(f"its columns are {lines[0] if lines else 'missing'}, not {columns}")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns):
            raise ValueError(f"row {number} has {len(line)} cells, not {len(columns)}")
    cells = [[cell.removeprefix("'") for cell in line] for line in lines[1:]]
    return pd.DataFrame(cells, columns=columns, dtype=object)


def _read_quotas(path: Path, by: str = "period") -> pd.DataFrame:
    quotas = _read_csv(path, ["rep_id", by, "quota"])
    quotas["quota"] = quotas["quota"].astype(float)
    if not np.isfinite(quotas["quota"].to_numpy(float)).all():
        raise ValueError("a quota is not a finite number")
    return quotas


def _read_certificate(path: Path) -> Multipliers:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return Multipliers(
            values=_real(arrays["values"]),
            rules=tuple(arrays["rules"].tolist()),
            subjects=tuple(arrays["subjects"].tolist()),
            kappa=float(arrays["kappa"]),
            least_violation=_real(arrays["least_violation"]),
            cases=_read_cases(arrays) if "case_values" in arrays else None,
        )


def _read_cases(arrays: Mapping[str, Any]) -> Cases:
    names = arrays["case_accounts"], arrays["case_reps"]
    if any(array.dtype.kind != "U" or array.ndim != 1 for array in names):
        raise ValueError("case_accounts and case_reps are not lists of names")
    if len(names[0]) != len(names[1]):
        raise ValueError("case_accounts and case_reps differ in length")
    return Cases(tuple(names[0].tolist()), tuple(names[1].tolist()), _real(arrays["case_values"]))


def _real(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Numbers as stored; ValueError for what is none."""
    if array.dtype.kind not in "fiu":
        raise ValueError(f"it holds {array.dtype}, not numbers")
    return np.asarray(array, dtype=float)


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
        table = _named(path, lambda path: _read_quotas(path, "part"))
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
