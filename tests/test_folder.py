"""The plan folder: there as a whole or not at all, safe to open in a spreadsheet, and read back as it was."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from builders import bare_claims
from territory_opt.plan.check import _otherwise, _unconfirmed_violations, check_folder
from territory_opt.plan.check_files import MANIFEST_KEYS, issue_table
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import changed_inputs, read_folder
from territory_opt.plan.rollup import roll_up
from territory_opt.plan.write_folder import file_hash, quotas_csv, table_csv, write_folder
from territory_opt.report.save import save_plan

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
CORE = ("plan.json", "manifest.json", "assignments.csv", "quotas.csv", "certificate.npz")
REPORTS = {"data_issues.csv", "roll_up.csv"}
"""What :func:`write` adds."""


@cache
def toy_result(target: float = 1200.0) -> to.Result:
    return to.solve(to.load_scenario(TOY, overrides={"quotas.target": target}).problem())


def write(folder: Path, result: to.Result | None = None, **options: Any) -> None:
    """Write a plan folder without workbook and page."""
    result = result or toy_result()
    none = pd.DataFrame({"node_id": []})
    rolled = result.figures.roll_up if result.plan.has_quotas else none
    tables = {"roll_up.csv": rolled, "data_issues.csv": issue_table(result.problem.issues)}
    extras = {name: partial(_write_table, table=table) for name, table in tables.items()}
    write_folder(
        folder,
        plan=result.plan,
        certificate=result.certificate,
        claims=result.claims("toy"),
        manifest={**{key: {} for key in MANIFEST_KEYS}, "scenario": "../toy", "seed": 0},
        extras=extras | options.pop("extras", {}),
        **options,
    )


def _write_table(path: Path, *, table: pd.DataFrame) -> None:
    path.write_text(table_csv(table), encoding="utf-8")


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


def checked(tmp_path: Path, result: to.Result | None = None, **changes: object) -> list[str]:
    """What the check of a plan folder finds when its claims say ``changes``; None leaves the claim out."""
    if not (tmp_path / "plan").exists():
        write(tmp_path / "plan", result)
    found = read_folder(tmp_path / "plan")
    claims = {name: value for name, value in {**found.claims, **changes}.items() if value is not None}
    return list(check_folder(replace(found, claims=claims), (result or toy_result()).model.problem).faults)


FIGURES = ("objective", "bound", "gap", "gap_money", "moved_accounts", "moved_sales", "sales_at_risk", "accounts",
           "reps", "margin_whoever_serves", "kappa", "kappa_drift")  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_held_to_what_the_data_give(tmp_path: Path, name: str) -> None:
    """A cent more, a thousandth of it for a share, or nothing at all is a fault; what floats lose is none."""
    assert checked(tmp_path) == []
    value = float(toy_result().claims("toy")[name])
    assert checked(tmp_path, **{name: value * (1 + 1e-12)}) == []
    off = 0.01 if abs(value) > 1 else 1e-5
    for stated in (value + off, value - off, None, "plenty"):
        faults = checked(tmp_path, **{name: stated})
        assert len([fault for fault in faults if fault.startswith(f"{name} is stated as ")]) == 1, stated
        assert len(faults) == 1, faults


@pytest.mark.parametrize(
    ("money", "off", "holds"),
    [(money, *case) for money in (0.5, 1.5, 150.0) for case in ((1e-12, True), (1e-5, False), (0.004, False))],
)
def test_parts_are_held_to_the_digits_of_their_sum(tmp_path: Path, money: float, off: float, holds: bool) -> None:
    """Travel by today's territories costs ``money`` a year: what floats lose is none, a part of a cent is off."""
    problem = to.load_scenario(TOY, overrides={"quotas.target": None}).problem()
    at_ten_cents = -kept(problem).evaluation.parts["travel"]
    policy = problem.policy.model_dump()
    policy["territories"]["travel"]["cost_per_km"] = 0.1 * money / at_ten_cents
    figures = kept(replace(problem, policy=to.Policy.model_validate(policy)))
    parts = figures.evaluation.parts
    assert parts["travel"] == pytest.approx(-money)
    claims = bare_claims(parts={**parts, "travel": parts["travel"] + off})
    proof = to.Multipliers.of(figures.model, np.zeros(len(figures.model.rows)))
    write_folder(tmp_path / "plan", plan=figures.plan, certificate=proof, claims=claims, manifest={})
    faults = check_folder(read_folder(tmp_path / "plan"), figures.model.problem).faults
    assert [
        fault for fault in faults if fault.startswith('part "') and " of the objective " in fault
    ] == [] or not holds
    assert any(fault.startswith('part "travel" of the objective is stated as') for fault in faults) != holds


def kept(problem: to.Problem) -> Figures:
    """Today's territories, without quotas."""
    return Figures(model := to.Model.build(problem), to.Plan.today(model))


def test_a_plan_says_which_form_its_files_have(tmp_path: Path) -> None:
    """Readers elsewhere go by this number: it changes with the form, and with nothing else."""
    write(tmp_path / "plan")
    assert json.loads((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))["schema_version"] == 1


def test_a_status_or_a_broken_rule_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    broken = {"rule": "hours", "subject": "Ada (R1)"}
    assert checked(tmp_path, status="infeasible") == ['the status is stated as "infeasible", with 0 hard rules broken']
    assert checked(tmp_path, violations=[broken]) == ["states a broken rule that is not broken: hours, Ada (R1)"]
    (fault,) = checked(tmp_path, least_violation=0.5)
    assert fault.startswith("least_violation is stated as 0.5, recomputed it is 0")
    (fault,) = checked(tmp_path, least_violation="much")
    assert fault.startswith('least_violation is stated as "much"')
    (fault,) = checked(tmp_path, parts={**toy_result().claims("toy")["parts"], "luck": 5.0})
    assert fault == 'part "luck" of the objective is stated as 5.00, recomputed it is nothing'


def test_where_an_account_is_named_twice_no_figure_is_confirmed(tmp_path: Path) -> None:
    """Nobody can say what such a plan is worth, so what it states of its worth is a fault; its size is what it is."""
    write(tmp_path / "plan")
    with (tmp_path / "plan" / "assignments.csv").open("a", encoding="utf-8") as file:
        file.write("A01,R2\n")
    faults = checked(tmp_path)
    for name in ("objective", "bound", "gap", "gap_money"):
        assert [fault for fault in faults if fault.startswith(f"{name} is stated as ")] != [], name
    assert "the assignment names an account twice" in faults
    assert any(fault.startswith("accounts is stated as 13") for fault in checked(tmp_path, accounts=13))


def test_a_plan_that_breaks_rules_must_admit_each(tmp_path: Path) -> None:
    """Nobody may move although Ada has far too much: the plan states what it breaks, and no gap."""
    stricter = {"territories.keep.max_moved_accounts": 0}
    result = to.solve(to.load_scenario(TOY, overrides=stricter).problem())
    assert result.status is to.Status.INFEASIBLE
    assert checked(tmp_path, result) == []
    claims = result.claims("toy")
    assert claims["violations"]
    for k, violation in enumerate(claims["violations"]):
        (fault,) = checked(tmp_path, result, violations=claims["violations"][:k] + claims["violations"][k + 1 :])
        assert fault.startswith("breaks a rule that the plan does not admit: ")
        assert violation["subject"] in fault
    assert checked(tmp_path, result, gap=0.0) == ["gap is stated as 0, recomputed it is nothing"]
    assert checked(tmp_path, result, gap_money=1.0) == ["gap_money is stated as 1.00, recomputed it is nothing"]
    assert any("hard rule" in fault for fault in checked(tmp_path, result, status="optimal"))
    more = claims["least_violation"] + 1e-6
    assert any(
        fault.startswith("least_violation is stated as ") for fault in checked(tmp_path, result, least_violation=more)
    )


def test_a_broken_rule_is_stated_once_and_with_its_own_figures(tmp_path: Path) -> None:
    """A false line before or after the true one, the true one twice, and a figure that no check looks at."""
    result = to.solve(to.load_scenario(TOY, overrides={"territories.keep.max_moved_accounts": 0}).problem())
    true, *others = result.claims("toy")["violations"]
    false, name = {**true, "amount": 999.0, "value": 999.0}, f"{true['rule']}, {true['subject']}"
    for lines in ([true, true], [true, false]):
        assert checked(tmp_path, result, violations=[*lines, *others]) == [f"states a broken rule too often: {name}"]
    for lines, count in (([false, true], 2), ([false], 1), ([{**true, "share": 77.0}], 1)):
        faults = checked(tmp_path, result, violations=[*lines, *others])
        assert len(faults) == count, faults
        assert faults[0].startswith("states other figures or words of a broken rule: ")


def test_several_broken_rules_of_one_name_are_each_admitted(tmp_path: Path) -> None:
    """Two things may be wrong with one quota: below 0 and no whole step; the figures of each are compared."""
    result = toy_result()
    problem = result.model.problem
    rep, *rest = result.plan.annual.index
    annual = pd.Series([-1.0, *result.plan.annual[rest]], index=result.plan.annual.index)
    plan = replace(result.plan, annual=annual)
    found = [violation for violation in to.audit(problem, plan) if violation.subject == rep]
    assert found
    lines = [{"rule": v.rule, "subject": v.subject, "unit": v.unit, "amount": v.amount, "value": v.value,
              "limit": v.limit, "text": str(v)} for v in found]  # fmt: skip
    assert _unconfirmed_violations({"violations": [*lines, *lines]}, [*found, *found]) == []
    assert _unconfirmed_violations({"violations": lines}, [*found, *found])[0].startswith("breaks a rule that the plan")


OTHER_DIGITS = {
    "digits of another script": lambda amount: "".join(chr(0x660 + int(c)) if c.isdigit() else c for c in amount),
    "a zero before": lambda amount: f"0{amount}",
    "a zero after": lambda amount: f"{amount}0",
    "an exponent": lambda amount: f"{float(amount):e}",
    "quoted": lambda amount: f'"{amount}"',
}


@pytest.mark.parametrize("how", OTHER_DIGITS)
def test_amounts_are_written_in_one_way(tmp_path: Path, how: str) -> None:
    """Python takes digits of any script for a number, a spreadsheet does not."""
    write(tmp_path / "plan")
    path = tmp_path / "plan" / "quotas.csv"
    head, first, *lines = path.read_text(encoding="utf-8").splitlines()
    start, _, amount = first.rpartition(",")
    path.write_text("\n".join([head, f"{start},{OTHER_DIGITS[how](amount)}", *lines]) + "\n", encoding="utf-8")
    faults = checked(tmp_path)
    assert any(fault.startswith("quotas.csv says what it says in other bytes") for fault in faults), faults


def test_quotas_are_never_minus_nothing() -> None:
    quotas = pd.DataFrame({"rep_id": ["R1", "R2"], "period": "2027", "quota": [-0.0, -0.001]})
    assert quotas_csv(quotas).splitlines()[1:] == ["R1,2027,0.00", "R2,2027,0.00"]


@pytest.mark.parametrize("value", ["NaN", "[" * 400 + "]" * 400])
def test_what_no_plan_is_written_with_is_a_fault(tmp_path: Path, value: str) -> None:
    """A number that JSON does not have, and a list nested deeper than it can be written again."""
    write(tmp_path / "plan")
    path = tmp_path / "plan" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("{", f'{{\n  "made_up": {value},', 1), encoding="utf-8")
    assert any(fault.startswith("manifest.json says what it says in other bytes") for fault in checked(tmp_path))


def test_a_figure_that_is_off_is_shown_in_so_many_digits_that_it_differs() -> None:
    for stated, found in ((1.0215, 1.01695), (0.50000001, 0.5), (1234567.004, 1234567.0), (2e9 + 8, 2e9), (3, None)):
        said = re.fullmatch(r"stated as (.+), recomputed it is (.+)", _otherwise(stated, found))
        assert said
        assert said[1] != said[2]


@pytest.mark.parametrize("off", [1e-6, 0.004])
@pytest.mark.parametrize("name", ["objective", "bound", "gap", "gap_money", "kappa", "moved_sales", "sales_at_risk"])
def test_no_figure_may_be_off_by_less_than_a_cent_either(tmp_path: Path, name: str, off: float) -> None:
    stated = toy_result().claims("toy")[name]
    assert [fault for fault in checked(tmp_path, **{name: stated + off}) if fault.startswith(f"{name} is stated as")]


def test_a_search_that_was_cut_short_was_not_complete(tmp_path: Path) -> None:
    assert checked(tmp_path, cut_short=["search"]) == ['raw_status is "complete", although cut_short names search']


def test_the_fair_share_is_no_money(tmp_path: Path) -> None:
    """Kappa is 1.017 here: half a cent more would be half a percent of every quota."""
    stated = toy_result().claims("toy")["kappa"]
    assert stated > 1
    for more in (0.004, 1e-7):
        (fault,) = checked(tmp_path, kappa=stated + more)
        said = re.fullmatch(r"kappa is stated as (\S+), recomputed it is (\S+)", fault)
        assert said
        assert said[1] != said[2]
        assert float(said[1]) == pytest.approx(stated + more, abs=more)


def test_quotas_come_back_in_the_order_of_the_reps_and_their_roll_up_is_checked(tmp_path: Path) -> None:
    """Reps of a table need not stand in the order of their ids."""
    problem = toy_result().model.problem
    turned = replace(problem, reps=problem.reps.iloc[::-1].reset_index(drop=True))
    result = to.solve(turned)
    for name, change in (("right", lambda text: text), ("wrong", lambda text: text.replace("1200", "1201"))):
        text = change(table_csv(roll_up(result.model, result.plan.annual)))
        write(tmp_path / name, result, extras={"roll_up.csv": lambda path, text=text: path.write_text(text, "utf-8")})
        found = read_folder(tmp_path / name)
        assert found.plan.annual.index.tolist() == ["R4", "R3", "R2", "R1"]
        wanted = [] if name == "right" else ["roll_up.csv is not the roll-up of the quotas"]
        assert list(check_folder(found, turned).faults) == wanted


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
    assert set(contents(tmp_path / "plan")) == {*CORE, "roll_up.csv", "data_issues.csv"}
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
