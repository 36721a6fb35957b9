"""The plan folder: written as a whole or not at all, and never over what is not ours.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.atomic import Place, recover, refuse_collisions, replaced, reserve
from territory_opt.errors import PlanFolderError
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import Multipliers
from territory_opt.plan.claims import SCHEMA_VERSION
from territory_opt.plan.plan import Plan
from territory_opt.whole_file import naming, write_whole
from territory_opt.words import MOST_NAMED, listed, plain

CORE_FILES = ("plan.json", "assignments.csv", "quotas.csv", "certificate.npz")
MANIFEST = "manifest.json"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
READ_AT_ONCE = 1 << 20
"""Bytes of a file that are hashed at a time, a mebibyte: files of any size take little memory."""


@contextlib.contextmanager
def reserve_folder(folder: Path, names: Iterable[str] = ()) -> Iterator[Place]:
    """While inside, only this run writes the plan folder ``folder``; what must fail then fails before.

    ``names`` are the files that will be written. Raise :class:`PlanFolderError` if the folder holds something that is
    not a plan, files of the user of one of these names, or a folder that cannot be moved; if another run writes it; or
    if it is a link to nowhere.
    """
    with reserve(folder, own_files) as place:
        if place.path.exists():
            _require_plan(place)
            refuse_collisions(place, [*CORE_FILES, MANIFEST, *names])
        yield place


def write_folder(
    folder: Path | Place,
    *,
    plan: Plan,
    certificate: Multipliers,
    claims: Mapping[str, Any],
    manifest: Mapping[str, Any],
    extras: Mapping[str, Callable[[Path], None]] | None = None,
) -> None:
    """Write a plan folder atomically: a killed run leaves the old folder or the new one, never a mixture.

    ``folder`` may be reserved already. ``extras`` maps further file names to functions that write them. Files and
    folders that no plan has brought there stay. Raises as :func:`reserve_folder`, and :class:`OSError` that names the
    file.
    """
    if not isinstance(folder, Place):
        with reserve_folder(folder, extras or ()) as place:
            write_folder(place, plan=plan, certificate=certificate, claims=claims, manifest=manifest, extras=extras)
        return
    writers = {**_writers(plan, certificate, claims), **(extras or {})}
    with replaced(folder) as fresh:
        for name, write in writers.items():
            with naming(folder.shown / name):
                write(fresh / name)
        outputs = {path.name: file_hash(path) for path in sorted(fresh.iterdir())}
        with naming(folder.shown / MANIFEST):
            _write_json(fresh / MANIFEST, {**manifest, "outputs": outputs})


def own_files(folder: Path) -> tuple[str, ...]:
    """Return the names of files that a plan folder's manifest lists, itself the last; none where it cannot be read."""
    try:
        outputs = read_json(folder / MANIFEST).get("outputs")
    except (OSError, ValueError, RecursionError):
        return ()
    if not isinstance(outputs, dict):
        return ()
    here = {name for name in outputs if Path(name).name == name}  # nothing that leads out of the folder
    return (*sorted(here - {MANIFEST}), MANIFEST)


def recover_folder(folder: Path) -> None:
    """Bring back the plan of a run that was killed while it put its folder in place, if there is one."""
    recover(folder, own_files)


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
    write_whole(path, table_csv(table).encode("utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raise ValueError for anything else, a key that stands twice too."""
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


def _require_plan(place: Place) -> None:
    """Raise :class:`PlanFolderError` if a place holds something that is not a plan, or cannot be exchanged."""
    path, shown = place.path, place.shown
    if not path.is_dir() or (any(path.iterdir()) and not (path / CORE_FILES[0]).exists()):
        raise PlanFolderError(f"{shown} exists and is not a plan folder; choose another --out")
    if path.is_mount():
        raise PlanFolderError(f"{shown} is mounted there, so it cannot be replaced; choose a folder in it as --out")
    if any(path.iterdir()) and not own_files(path):
        raise PlanFolderError(
            f"{shown / MANIFEST} is missing or damaged, so nobody can tell which files in {shown} are the plan's; "
            "move the folder away, or choose another --out"
        )
    fixed = [entry.name for entry in sorted(path.iterdir()) if entry.is_dir() and not entry.is_symlink()]
    fixed = [name for name in fixed if (path / name).is_mount() or not os.access(path / name, os.W_OK)]
    if fixed or not os.access(path, os.W_OK):
        named = listed(fixed, most=MOST_NAMED) or "it"
        raise PlanFolderError(f"{shown}: {named} may not be moved; change its rights, or choose another --out")


def _shield(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def assignments_csv(plan: Plan) -> str:
    """Return ``assignments.csv`` of a plan."""
    return table_csv(plan.assignment.rename("rep_id").rename_axis("account_id").reset_index())


def quotas_csv(quotas: pd.DataFrame) -> str:
    """Return quotas, one row per rep and period, as ``quotas.csv`` has them: whole cents, no negative zero."""
    return table_csv(quotas.assign(quota=[f"{round(amount, 2) + 0.0:.2f}" for amount in quotas["quota"]]))


def json_text(content: Mapping[str, Any]) -> str:
    """Return ``content`` as JSON files of a plan are written."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def certificate_arrays(certificate: Multipliers) -> dict[str, npt.NDArray[Any]]:
    """Return what ``certificate.npz`` holds, by name."""
    return {
        "values": certificate.values,
        "rules": np.array(certificate.rules, dtype=np.str_),
        "subjects": np.array(certificate.subjects, dtype=np.str_),
        "kappa": np.array(certificate.kappa),
        "least_violation": certificate.least_violation,
        **_case_arrays(certificate.cases),
    }


def packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as an archive; the same bytes wherever the same version of zlib packs them."""
    whole = io.BytesIO()  # a full disk does not meet half an archive
    np.savez_compressed(whole, allow_pickle=False, **arrays)
    return whole.getvalue()


def _writers(plan: Plan, certificate: Multipliers, claims: Mapping[str, Any]) -> dict[str, Callable[[Path], object]]:
    """The files that every plan folder has, each with what writes it; the same bytes on every system."""
    return {
        "assignments.csv": lambda path: path.write_bytes(assignments_csv(plan).encode("utf-8")),
        "quotas.csv": lambda path: path.write_bytes(quotas_csv(plan.quotas).encode("utf-8")),
        "plan.json": lambda path: _write_json(path, {"schema_version": SCHEMA_VERSION, **claims}),
        "certificate.npz": lambda path: path.write_bytes(packed(certificate_arrays(certificate))),
    }


def _case_arrays(cases: Cases | None) -> dict[str, npt.NDArray[Any]]:
    if cases is None:
        return {}
    return {
        "case_accounts": np.array(cases.accounts, dtype=np.str_),
        "case_reps": np.array(cases.reps, dtype=np.str_),
        "case_values": cases.values,
        **_cut_arrays(cases),
    }


def _cut_arrays(cases: Cases) -> dict[str, npt.NDArray[Any]]:
    cuts = cases.cuts
    if not len(cuts):
        return {}
    return {
        "cut_rows": cuts.rows,
        "cut_sides": cuts.sides,
        "cut_divisors": cuts.divisors,
        "cut_accounts": np.array(cuts.accounts, dtype=np.str_),
        "cut_counts": cuts.counts,
        "cut_values": cases.cut_values,
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_bytes(json_text(plain(content)).encode("utf-8"))
