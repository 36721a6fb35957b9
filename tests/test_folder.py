"""The plan folder: there as a whole or not at all, safe to open in a spreadsheet, and read back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.plan.folder import changed_inputs, check_folder, read_folder
from territory_opt.plan.write_folder import file_hash, table_csv, write_folder
from territory_opt.report.save import save_plan

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
CORE = ("plan.json", "manifest.json", "assignments.csv", "quotas.csv", "certificate.npz")


@cache
def toy_result(target: float = 1200.0) -> to.Result:
    return to.solve(to.load_scenario(TOY, overrides={"quotas.target": target}).problem())


def write(folder: Path, result: to.Result | None = None, **options: Any) -> None:
    """Write the core of a plan folder, without workbook and page."""
    result = result or toy_result()
    write_folder(
        folder, plan=result.plan, certificate=result.certificate, claims=result.claims("toy"), manifest={}, **options
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- written and read back ------------------------------------------------------------------------------------


def test_a_plan_is_read_back_as_it_was(tmp_path: Path) -> None:
    result = toy_result()
    write(tmp_path / "plan")
    found = read_folder(tmp_path / "plan")
    assert found.plan.assignment.to_dict() == result.plan.assignment.to_dict()
    assert found.plan.annual.to_dict() == result.plan.annual.to_dict()
    pd.testing.assert_frame_equal(found.plan.quotas, result.plan.quotas, check_dtype=False)
    assert found.plan.kappa == result.plan.kappa
    assert np.array_equal(found.certificate.values, result.certificate.values)
    assert found.certificate.rules == result.certificate.rules
    assert found.claims["objective"] == result.objective
    check = check_folder(found, result.model.problem)
    assert check.holds
    assert not check.violations


def test_a_plan_that_reaches_its_bound_is_confirmed(tmp_path: Path) -> None:
    """Without rules and quotas all accounts are where they are worth most: the bound is the objective, no fault."""
    free = {"quotas.target": None, "territories.balance": {}}
    result = to.solve(to.load_scenario(TOY, overrides=free).problem())
    assert result.bound == pytest.approx(result.objective, abs=0.001)
    write(tmp_path / "plan", result)
    assert check_folder(read_folder(tmp_path / "plan"), result.model.problem).faults == ()


def test_a_stated_part_of_the_objective_that_is_off_is_a_fault_to_the_cent(tmp_path: Path) -> None:
    write(tmp_path / "plan")
    found = read_folder(tmp_path / "plan")
    parts = dict(found.claims["parts"])
    real = parts["transfer loss"]
    claims = {**found.claims, "parts": {**parts, "transfer loss": real - 1000.0}}
    (fault,) = check_folder(replace(found, claims=claims), toy_result().model.problem).faults
    assert fault == (
        f'part "transfer loss" of the objective is stated as {real - 1000:,.2f}, recomputed it is {real:,.2f}'
    )


def test_the_manifest_has_a_hash_of_every_other_file(tmp_path: Path) -> None:
    save_plan(toy_result(), tmp_path / "plan", name="toy")
    outputs = json.loads((tmp_path / "plan" / "manifest.json").read_text(encoding="utf-8"))["outputs"]
    assert outputs == {path.name: file_hash(path) for path in (tmp_path / "plan").iterdir()
                       if path.name != "manifest.json"}  # fmt: skip


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    save_plan(toy_result(), tmp_path / "one", name="toy")
    again = to.solve(to.load_scenario(TOY).problem())
    save_plan(again, tmp_path / "two", name="toy")
    for name in ("assignments.csv", "quotas.csv", "roll_up.csv", "data_issues.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_plan_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "plan", extras={"old.txt": lambda path: path.write_text("old", encoding="utf-8")})
    write(tmp_path / "plan", toy_result(1160.0))
    assert set(contents(tmp_path / "plan")) == set(CORE)
    assert read_folder(tmp_path / "plan").plan.annual.sum() == 1160.0
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_inputs_that_changed_came_or_went_are_listed(tmp_path: Path) -> None:
    for name in ("same.csv", "changed.csv"):
        (tmp_path / name).write_text("1", encoding="utf-8")
    paths = {name: tmp_path / name for name in ("same.csv", "changed.csv")}
    manifest = {"inputs": {**{name: file_hash(path) for name, path in paths.items()}, "gone.csv": "0"}}
    paths["changed.csv"].write_text("2", encoding="utf-8")
    assert changed_inputs(manifest, paths) == [
        "gone.csv is no longer among the inputs",
        "changed.csv is not the file the plan was made from",
    ]


# --- spreadsheets ---------------------------------------------------------------------------------------------

ODD_IDS = (
    "=1+1",
    "+49",
    "-7",
    "@home",
    "'quoted",
    "''twice",
    "\ttab",
    'a,"b"',
    "two\nlines",
    "plain",
    "Ω",
    "NA",
    "007",
)


@pytest.mark.parametrize("manifest", [{}, {"inputs": None}, {"inputs": ["accounts.csv"]}])
def test_a_manifest_without_inputs_is_a_fault(manifest: dict[str, object]) -> None:
    assert changed_inputs(manifest, {}) == ["manifest.json lists no input files"]


def test_no_cell_is_taken_for_a_formula_and_every_id_comes_back(tmp_path: Path) -> None:
    result = toy_result()
    assignment = pd.Series(list(ODD_IDS), index=pd.Index(list(ODD_IDS), name="account_id"), name="rep_id")
    quotas = pd.DataFrame({"rep_id": list(ODD_IDS), "period": "2027", "quota": np.arange(len(ODD_IDS)) + 0.25})
    annual = quotas.set_index("rep_id")["quota"]
    odd = replace(result.plan, assignment=assignment, annual=annual, quotas=quotas)
    write_folder(tmp_path / "plan", plan=odd, certificate=result.certificate, claims=result.claims("toy"), manifest={})
    for name in ("assignments.csv", "quotas.csv"):
        text = (tmp_path / "plan" / name).read_text(encoding="utf-8")
        cells = [cell.strip('"') for line in text.splitlines()[1:] for cell in line.split(",")]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    found = read_folder(tmp_path / "plan").plan
    assert found.assignment.to_dict() == dict(zip(ODD_IDS, ODD_IDS, strict=True))
    assert found.annual.to_dict() == annual.to_dict()


def test_numbers_are_not_marked_as_text() -> None:
    assert table_csv(pd.DataFrame({"name": ["-a"], "amount": [-5.0]})) == "name,amount\n'-a,-5.0\n"


def test_no_head_of_a_column_is_taken_for_a_formula() -> None:
    assert table_csv(pd.DataFrame({"=cmd()": [1.5]})) == "'=cmd()\n1.5\n"


# --- refused and damaged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("occupied", ["folder", "file"])
def test_what_is_not_a_plan_is_never_written_over(tmp_path: Path, occupied: str) -> None:
    target = tmp_path / "mine"
    if occupied == "folder":
        target.mkdir()
        (target / "letters.txt").write_text("dear", encoding="utf-8")
    else:
        target.write_text("dear", encoding="utf-8")
    with pytest.raises(to.PlanFolderError, match="exists and is not a plan folder; choose another --out"):
        write(target)
    assert (target if occupied == "file" else target / "letters.txt").read_text(encoding="utf-8") == "dear"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


DAMAGES: dict[str, tuple[str, bytes | None]] = {
    "no plan": ("plan.json", None),
    "no manifest": ("manifest.json", None),
    "no assignments": ("assignments.csv", None),
    "no quotas": ("quotas.csv", None),
    "no certificate": ("certificate.npz", None),
    "cut json": ("plan.json", b'{"objective": 1'),
    "json of another shape": ("plan.json", b"[1, 2]"),
    "manifest of another shape": ("manifest.json", b'"text"'),
    "not text": ("plan.json", b"\xff\xfe\x00"),
    "empty assignments": ("assignments.csv", b""),
    "other columns": ("assignments.csv", b"account,rep\nA01,R1\n"),
    "a quota in words": ("quotas.csv", b"rep_id,period,quota\nR1,2027,plenty\n"),
    "an endless quota": ("quotas.csv", b"rep_id,period,quota\nR1,2027,inf\n"),
    "ragged lines": ("quotas.csv", b"rep_id,period,quota\nR1,2027,1,2,3\n"),
    "not an archive": ("certificate.npz", b"PK\x03\x04 but not really"),
    "empty certificate": ("certificate.npz", b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    name, content = DAMAGES[damage]
    write(tmp_path / "plan")
    if content is None:
        (tmp_path / "plan" / name).unlink()
    else:
        (tmp_path / "plan" / name).write_bytes(content)
    with pytest.raises(to.PlanFolderError) as caught:
        read_folder(tmp_path / "plan")
    assert name in str(caught.value)


def test_a_certificate_without_its_parts_is_named(tmp_path: Path) -> None:
    write(tmp_path / "plan")
    np.savez(tmp_path / "plan" / "certificate.npz", values=np.zeros(3))
    with pytest.raises(to.PlanFolderError, match=r"certificate\.npz"):
        read_folder(tmp_path / "plan")


def test_a_certificate_with_code_in_it_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "plan")
    path = tmp_path / "plan" / "certificate.npz"
    with np.load(path) as arrays:
        held = dict(arrays)
    np.savez(path, **{**held, "rules": np.array([{"any": "object"}], dtype=object)})
    with pytest.raises(to.PlanFolderError, match=r"certificate\.npz"):
        read_folder(tmp_path / "plan")
