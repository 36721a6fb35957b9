"""The files of a plan folder, checked: each is as it was written, says what the plan says, or is named as unchecked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from territory_opt.errors import Issue, PlanFolderError
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import PlanFolder, named, read_quotas
from territory_opt.plan.parts import part_problems
from territory_opt.plan.write_folder import (
    CORE_FILES,
    MANIFEST,
    assignments_csv,
    certificate_arrays,
    file_hash,
    json_text,
    packed,
    quotas_csv,
    read_json,
    table_csv,
)

ROLL_UP, PARTS, ISSUES = "roll_up.csv", "quotas_by_part.csv", "data_issues.csv"
FOR_PEOPLE = ("plan.xlsx", "report.html")
PLAN_FILES = (*CORE_FILES, MANIFEST, ROLL_UP, PARTS, ISSUES, *FOR_PEOPLE)
"""Files that a plan folder may hold, its own tables aside."""
MANIFEST_KEYS = ("scenario", "variant", "overrides", "inputs", "outputs", "seed", "versions")
CERTIFICATE = "certificate.npz"
ZIP_STARTS, ZIP_ENDS, ZIP_END = b"PK\3\4", b"PK\5\6", 22
"""First bytes of an archive and of its end record, and the bytes of that record without a comment."""
_OTHER_BYTES = "says what it says in other bytes than a plan is written in (digits, quotes, line ends): solve again"


def file_faults(found: PlanFolder, figures: Figures) -> list[str]:
    """List files that were changed, are missing, or say something else than the plan and its data."""
    model = figures.model
    return [
        *_changed_files(found),
        *_odd_manifest(found),
        *_odd_certificate(found),
        *_other_bytes(found),
        *_no_quotas(found, model),
        *_wrong_roll_up(found, figures),
        *_wrong_parts(found, model),
        *_wrong_issues(found, model),
    ]


def unchecked_files(found: PlanFolder, model: Model) -> list[str]:
    """Name what files say that nothing here recomputes."""
    present = _present(found)
    as_written = "only that it is as it was written"
    lines = [f"{name}: {as_written if name in present else 'it is not there'}" for name in FOR_PEOPLE]
    if PARTS in present:
        lines.append(f"{PARTS}: how quotas are shared out among parts, and the order of its rows; sums are checked")
    if ISSUES in present and stands_alone(found):
        lines.append(f"{ISSUES}: findings in the tables as they were first given, {as_written}")
    lines.append(f"{CERTIFICATE}: which of the proofs of this bound it holds")
    if (found.path / CERTIFICATE).read_bytes() != _packed_anew(found):
        lines.append(f"{CERTIFICATE}: how it is packed, which is not as here; the arrays in it are checked")
    lines += _other_order(found, model)
    lines.append("manifest.json: that variant, settings, seed and versions are those of the run")
    return lines + [f"{name}: no part of a plan" for name in sorted(_strangers(found))]


def stands_alone(found: PlanFolder) -> bool:
    """Whether the folder holds the tables it was made from."""
    named_scenario = found.manifest.get("scenario")
    return isinstance(named_scenario, str) and Path(named_scenario).name == named_scenario != ".."


def issue_table(issues: Sequence[Issue]) -> pd.DataFrame:
    """Return the findings in the data as a table, in the order given."""
    columns = ["severity", "table", "row", "column", "value", "problem", "fix"]
    return pd.DataFrame([[getattr(issue, key) for key in columns] for issue in issues], columns=columns)


def _present(found: PlanFolder) -> set[str]:
    return {path.name for path in found.path.iterdir()}


def _own_files(found: PlanFolder) -> set[str]:
    """Names of files that are a plan's: those of every plan, and the tables of one that stands alone."""
    inputs = found.manifest.get("inputs")
    own = {str(key) for key in inputs} if isinstance(inputs, dict) and stands_alone(found) else set()
    return {*PLAN_FILES, *own, *({str(found.manifest["scenario"])} if stands_alone(found) else ())}


def _strangers(found: PlanFolder) -> set[str]:
    return _present(found) - _own_files(found)


def _changed_files(found: PlanFolder) -> list[str]:
    """Files that differ from what the manifest says, and files that it does not vouch for or should not."""
    outputs = found.manifest.get("outputs")
    if not isinstance(outputs, dict):
        return ["manifest.json lists no output files"]
    present, own = _present(found) - {MANIFEST}, _own_files(found)
    faults = [
        f"{name} is not listed in manifest.json" for name in sorted(((present & own) | set(CORE_FILES)) - set(outputs))
    ]
    faults += [f"manifest.json lists {name}, which is no file of a plan" for name in sorted(set(outputs) - own)]
    return faults + [
        f"{name} was changed or removed after it was written"
        for name, digest in outputs.items()
        if name in own and not _as_written(found.path / name, digest)
    ]


def _as_written(path: Path, digest: object) -> bool:
    return path.is_file() and file_hash(path) == digest


def _odd_manifest(found: PlanFolder) -> list[str]:
    """Keys that are missing, keys that no plan has, and another seed than the plan's."""
    faults = [f'manifest.json has a key "{key}" that no plan has' for key in found.manifest if key not in MANIFEST_KEYS]
    faults += [f"manifest.json has no {key}" for key in MANIFEST_KEYS if key not in found.manifest]
    stated = found.manifest.get("seed", found.claims["seed"])
    if stated != found.claims["seed"] or isinstance(stated, bool):
        faults.append(f"the seed is {found.claims['seed']} in plan.json and {stated} in manifest.json")
    return faults


def _odd_certificate(found: PlanFolder) -> list[str]:
    """Arrays that no certificate has, and bytes that are no part of one: before, in, between or after its arrays."""
    path = found.path / CERTIFICATE
    content = path.read_bytes()
    whole = content.startswith(ZIP_STARTS) and content[-ZIP_END:].startswith(ZIP_ENDS)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(io.BytesIO(_packed_anew(found))) as anew:
        members, wanted = archive.infolist(), {part.filename: anew.read(part) for part in anew.infolist()}
        names = [part.filename for part in members]
        remarks = archive.comment or any(part.comment or part.extra for part in members)
        alike = [archive.read(part) == wanted.get(part.filename) for part in members]
    odd = sorted({name for name in names if name not in wanted or names.count(name) > 1})
    faults = [] if whole and not remarks else [f"{CERTIFICATE} holds bytes that are no part of it"]
    faults += [
        f"{name.removesuffix('.npy')} in {CERTIFICATE} {_OTHER_BYTES}"
        for name, same in zip(names, alike, strict=True)
        if not same and name not in odd
    ]
    return faults + [
        f"{CERTIFICATE} holds {name.removesuffix('.npy')}, which no certificate has, or has it twice" for name in odd
    ]


def _packed_anew(found: PlanFolder) -> bytes:
    return packed(certificate_arrays(found.certificate))


def _other_bytes(found: PlanFolder) -> list[str]:
    """Files that say what they say in other bytes than a plan is written in: nobody but a plan's writer made them."""
    written = {"assignments.csv": assignments_csv(found.plan), "quotas.csv": quotas_csv(found.plan.quotas)}
    written |= {name: _json_anew(found.path / name) for name in ("plan.json", MANIFEST)}
    return [f"{name} {_OTHER_BYTES}" for name, text in written.items() if not _holds(found.path / name, text)]


def _json_anew(path: Path) -> str:
    try:
        return json_text(read_json(path))
    except (RecursionError, ValueError):  # nested deeper than any plan, or a number that JSON does not have
        return ""


def _other_order(found: PlanFolder, model: Model) -> list[str]:
    """Tables whose rows stand in another order than the data's, which no figure depends on."""
    problem, quotas = model.problem, found.plan.quotas
    places = pd.Index(problem.reps["rep_id"]).get_indexer(quotas["rep_id"])
    here = list(zip(places, quotas["period"], strict=True))
    accounts = pd.Index(problem.accounts["account_id"]).get_indexer(found.plan.assignment.index)
    orders = {"assignments.csv": accounts.tolist(), "quotas.csv": here}
    return [
        f"{name}: the order of its rows, which is not that of the data"
        for name, at in orders.items()
        if at != sorted(at)
    ]


def _no_quotas(found: PlanFolder, model: Model) -> list[str]:
    """Quotas where the plan has none."""
    if not model.has_quotas and len(found.plan.quotas):
        return ["quotas.csv holds quotas, although the scenario sets no target"]
    return []


def _wrong_roll_up(found: PlanFolder, figures: Figures) -> list[str]:
    """Compare roll_up.csv with the roll-up of the quotas, whatever order they stand in."""
    if figures.model.has_quotas:
        annual = found.plan.annual
        if annual.index.has_duplicates or set(annual.index) != set(figures.model.problem.reps["rep_id"]):
            return ["roll_up.csv cannot be the roll-up: quotas.csv does not hold each rep"]
        wanted = figures.roll_up
    else:
        wanted = pd.DataFrame({"node_id": []})
    return _compared(found.path / ROLL_UP, table_csv(wanted), "is not the roll-up of the quotas")


def _wrong_issues(found: PlanFolder, model: Model) -> list[str]:
    """Compare data_issues.csv with what reading the data finds; a folder that stands alone holds them mended."""
    if stands_alone(found):
        return [] if (found.path / ISSUES).is_file() else [f"{ISSUES} is missing"]
    return _compared(found.path / ISSUES, table_csv(issue_table(model.problem.issues)), "is not what the data show")


def _compared(path: Path, wanted: str, otherwise: str) -> list[str]:
    if not path.is_file():
        return [f"{path.name} is missing"]
    return [] if _holds(path, wanted) else [f"{path.name} {otherwise}"]


def _holds(path: Path, text: str) -> bool:
    return path.read_bytes() == text.encode("utf-8", "surrogatepass")


def _wrong_parts(found: PlanFolder, model: Model) -> list[str]:
    """Hold quotas_by_part.csv, which a plan with ``quotas.by`` must have and no other, against the quotas."""
    path, by = found.path / PARTS, model.problem.policy.quotas.by
    if not model.has_quotas or not by:
        return [f"{PARTS} is there, although quotas.by asks for none"] if path.exists() else []
    if not path.exists():
        return [f"{PARTS} is missing, although quotas.by asks for it"]
    try:
        table = named(path, lambda path: read_quotas(path, "part"))
    except PlanFolderError as error:
        return [str(error)]
    faults = [] if _holds(path, table_csv(table)) else [f"{PARTS} {_OTHER_BYTES}"]
    return faults + part_problems(model, found.plan.annual, table)
