"""The plan folder: written as a whole or not at all, and read back.

plan.json         status, objective, bound, gap and their parts
assignments.csv   account_id, rep_id
quotas.csv        rep_id, period, quota
certificate.npz   multipliers that prove the bound
manifest.json     inputs and outputs with hashes, versions, seed, overrides
plan.xlsx, report.html   for people
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import PlanFolderError
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import Multipliers
from territory_opt.plan.claims import SCHEMA_VERSION, check_claims
from territory_opt.plan.plan import Plan
from territory_opt.problem.limits import LARGEST_UNPACKED
from territory_opt.problem.numbers import FOLDER_MODE
from territory_opt.problem.units import with_units
from territory_opt.words import message, plain

_T = TypeVar("_T")
CORE_FILES = ("plan.json", "assignments.csv", "quotas.csv", "certificate.npz")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
READ_AT_ONCE = 1 << 20
"""Bytes of a file that are hashed at a time, a mebibyte: files of any size take little memory."""


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


def write_folder(
    folder: Path,
    *,
    plan: Plan,
    certificate: Multipliers,
    claims: Mapping[str, Any],
    manifest: Mapping[str, Any],
    extras: Mapping[str, Callable[[Path], None]] | None = None,
) -> None:
    """Write a plan folder atomically: a killed run leaves the old folder or none, never half a new one.

    ``extras`` maps further file names to functions that write them. Raises :class:`PlanFolderError` if
    ``folder`` holds something that is not a plan.
    """
    folder = folder.absolute()
    require_plan_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-{os.getpid()}-", dir=folder.parent))
    try:
        _write_files(fresh, plan, certificate, claims)
        for name, write in (extras or {}).items():
            write(fresh / name)
        outputs = {path.name: file_hash(path) for path in sorted(fresh.iterdir())}
        _write_json(fresh / "manifest.json", {**manifest, "outputs": outputs})
        fresh.chmod(FOLDER_MODE)
        _swap(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def require_plan_folder(folder: Path) -> None:
    """Raise :class:`PlanFolderError` if ``folder`` holds something that is not a plan: it is not overwritten."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "plan.json").exists())):
        raise PlanFolderError(f"{folder} exists and is not a plan folder; choose another --out")


def read_folder(folder: Path) -> PlanFolder:
    """Read a plan folder. Raise :class:`PlanFolderError` naming the file that is missing or damaged."""
    claims = named(folder / "plan.json", _read_claims)
    manifest = named(folder / "manifest.json", _read_json)
    assignments = named(folder / "assignments.csv", lambda path: _read_csv(path, ["account_id", "rep_id"]))
    quotas = named(folder / "quotas.csv", read_quotas)
    certificate = named(folder / "certificate.npz", _read_certificate)
    index = pd.Index(assignments["account_id"], name="account_id")
    assignment = pd.Series(assignments["rep_id"].to_numpy(object), index=index, name="rep_id")
    with_units(quotas, {"quota": claims["currency"]})
    annual = quotas.groupby("rep_id", sort=False)["quota"].sum().round(2)
    return PlanFolder(folder, Plan(assignment, annual, quotas, certificate.kappa), certificate, claims, manifest)


def named(path: Path, read: Callable[[Path], _T]) -> _T:
    """Read one file of a folder; whatever is wrong with it is said with its name."""
    try:
        return read(path)
    except FileNotFoundError:
        raise PlanFolderError(f"{path} is missing; solve again, or restore the folder from a copy") from None
    except Exception as error:  # a damaged archive or nested text raises nearly anything
        said = message(str(error)) or type(error).__name__
        raise PlanFolderError(f"{path} is damaged: {said}; solve again, or restore it from a copy") from error


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


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(READ_AT_ONCE), b""):
            digest.update(chunk)
    return digest.hexdigest()


def table_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV whose text cells no spreadsheet takes for a formula (a leading ' marks them)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_shield(name) for name in table.columns])
    columns = [[_shield(cell) for cell in table[name]] for name in table.columns]
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table by :func:`table_csv`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(table_csv(table), encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _shield(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def _write_files(folder: Path, plan: Plan, certificate: Multipliers, claims: Mapping[str, Any]) -> None:
    assignments = plan.assignment.rename("rep_id").rename_axis("account_id").reset_index()
    (folder / "assignments.csv").write_text(table_csv(assignments), encoding="utf-8")
    quotas = plan.quotas.assign(quota=[f"{amount:.2f}" for amount in plan.quotas["quota"]])
    (folder / "quotas.csv").write_text(table_csv(quotas), encoding="utf-8")
    _write_json(folder / "plan.json", {"schema_version": SCHEMA_VERSION, **claims})
    np.savez_compressed(
        folder / "certificate.npz",
        values=certificate.values,
        rules=np.array(certificate.rules, dtype=np.str_),
        subjects=np.array(certificate.subjects, dtype=np.str_),
        kappa=np.array(certificate.kappa),
        least_violation=certificate.least_violation,
        **_case_arrays(certificate.cases),
    )


def _case_arrays(cases: Cases | None) -> dict[str, Any]:
    if cases is None:
        return {}
    return {
        "case_accounts": np.array(cases.accounts, dtype=np.str_),
        "case_reps": np.array(cases.reps, dtype=np.str_),
        "case_values": cases.values,
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _swap(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; the old one goes only when the new one stands."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = folder.parent / f".{folder.name}.old-{os.getpid()}"
    folder.rename(old)
    try:
        fresh.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Clear what a killed run has left beside the folder, and bring an old plan back if it stands alone."""
    for old in sorted(folder.parent.glob(f".{folder.name}.old-*")):
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)
    for fresh in folder.parent.glob(f".{folder.name}.new-*"):
        owner = fresh.name.removeprefix(f".{folder.name}.new-").split("-")[0]
        if not _alive(owner):
            shutil.rmtree(fresh, ignore_errors=True)


def _alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(int(pid), 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_key_once)
    if not isinstance(content, dict):
        raise ValueError("it does not hold a JSON object")
    return content


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"it has a key twice: {max(keys, key=keys.count)}")
    return found


def _read_claims(path: Path) -> dict[str, Any]:
    claims = _read_json(path)
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


def read_quotas(path: Path, by: str = "period") -> pd.DataFrame:
    """Read a file of quotas by rep and ``by``. Raise ValueError for what is no finite number."""
    quotas = _read_csv(path, ["rep_id", by, "quota"])
    quotas["quota"] = quotas["quota"].astype(float)
    if not np.isfinite(quotas["quota"].to_numpy(float)).all():
        raise ValueError("a quota is not a finite number")
    return quotas


def _read_certificate(path: Path) -> Multipliers:
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > LARGEST_UNPACKED:
            raise ValueError(f"it unpacks to more than {LARGEST_UNPACKED // 2**20} MiB")
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
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"it holds {array.dtype}, not numbers")
    return np.asarray(array, dtype=float)
