"""Read a plan folder back (``write_folder.py`` writes it, ``check.py`` checks all it says)."""

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
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import Multipliers
from territory_opt.plan.claims import check_claims
from territory_opt.plan.cuts import Cuts
from territory_opt.plan.plan import Plan
from territory_opt.plan.write_folder import file_hash, read_json
from territory_opt.problem.limits import LARGEST_UNPACKED
from territory_opt.problem.units import with_units
from territory_opt.words import message

_T = TypeVar("_T")
CASE_ARRAYS = ("case_accounts", "case_reps", "case_values")
"""What a certificate holds of a proof by cases, ..."""
CUT_ARRAYS = ("cut_rows", "cut_sides", "cut_divisors", "cut_accounts", "cut_counts", "cut_values")
"""... and of its rounding cuts: all of either or nothing."""


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


def read_folder(folder: Path) -> PlanFolder:
    """Read a plan folder. Raise :class:`PlanFolderError` naming the file that is missing or damaged."""
    claims = named(folder / "plan.json", _read_claims)
    manifest = named(folder / "manifest.json", read_json)
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
            rules=_names(arrays, "rules"),
            subjects=_names(arrays, "subjects"),
            kappa=float(arrays["kappa"]),
            least_violation=_real(arrays["least_violation"]),
            cases=_read_cases(arrays),
        )


def _read_cases(arrays: Mapping[str, Any]) -> Cases | None:
    with_cuts = _holds(arrays, CUT_ARRAYS)
    if not _holds(arrays, CASE_ARRAYS):
        if with_cuts:
            raise ValueError("it holds rounding cuts without the cases that they are for")
        return None
    accounts, reps = (_names(arrays, name) for name in CASE_ARRAYS[:2])
    if len(accounts) != len(reps):
        raise ValueError("case_accounts and case_reps differ in length")
    values = _real(arrays["case_values"])
    if not with_cuts:
        return Cases(accounts, reps, values)
    rows, sides, counts = (_whole(arrays[name]) for name in ("cut_rows", "cut_sides", "cut_counts"))
    cuts = Cuts(rows, sides, _real(arrays["cut_divisors"]), _names(arrays, "cut_accounts"), counts)
    return Cases(accounts, reps, values, cuts, _real(arrays["cut_values"]))


def _holds(arrays: Mapping[str, Any], wanted: tuple[str, ...]) -> bool:
    """Whether all arrays are there; ValueError where some are."""
    there = [name in arrays for name in wanted]
    if any(there) and not all(there):
        raise ValueError(f"it does not hold all of {', '.join(wanted)}")
    return all(there)


def _names(arrays: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of names as stored; ValueError for anything else."""
    array = arrays[name]
    if array.dtype.kind != "U" or array.ndim != 1 or (array.itemsize == 0 and len(array)):
        raise ValueError(f"{name} is not a list of names")
    return tuple(array.tolist())


def _whole(array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Whole numbers as stored; ValueError for others."""
    if not isinstance(array, np.ndarray) or array.dtype != np.int64:
        raise ValueError(f"it holds {array.dtype}, not whole numbers")
    return np.asarray(array, dtype=np.int64)


def _real(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Numbers as stored; ValueError for what is none."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"it holds {array.dtype}, not numbers")
    return np.asarray(array, dtype=float)
