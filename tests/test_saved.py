"""Loaded plans: whatever is wrong with a file is said with its name, and inputs that have changed are never silent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import territory_opt as to
from territory_opt.plan import claims

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
GONE = object()
WRONG = {"nothing": GONE, "null": None, "number": -3.5, "list": ["x", 2], "mapping": {"x": [1]}, "flag": True,
         "long text": "x" * 5000}  # fmt: skip


@pytest.fixture(scope="module")
def result() -> to.Result:
    return to.solve(TOY, time_limit=10)


@pytest.fixture(scope="module")
def saved(result: to.Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to.save_plan(result, tmp_path_factory.mktemp("saved") / "plan")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A folder of its own, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "plan"))


# --- damaged ----------------------------------------------------------------------------------------------------


def test_every_key_of_the_file_has_a_kind(result: to.Result) -> None:
    assert set(claims.KEYS) == {*result.claims("toy"), "schema_version"}
    assert set(claims.STATUSES) == {status.value for status in to.Status} - {"no_plan"}


def everything(folder: Path) -> tuple[list[str], str]:
    """Do what a user does with a loaded plan; return what the check finds wrong, or what could not be read."""
    try:
        plan = to.load_plan(folder)
        faults = to.check(plan).faults
        assert repr(plan)
        assert plan._repr_html_()
        assert plan.summary()["status"] == plan.status == plan.as_result().status
    except to.TerritoryError as error:
        return [], str(error)
    return [*faults, *plan.changed_inputs], ""


KEYS = [("plan.json", key) for key in claims.KEYS] + [
    ("manifest.json", key) for key in ("scenario", "variant", "overrides", "inputs", "outputs", "seed", "versions")
]


@pytest.mark.parametrize(("name", "key"), KEYS, ids=[f"{name}-{key}" for name, key in KEYS])
def test_a_wrong_value_is_named_with_its_file_or_found_by_the_check(folder: Path, name: str, key: str) -> None:
    """Never an error without a file; ``manifest.json`` vouches for all files but itself, so that nothing is lost."""
    whole = json.loads((folder / name).read_text(encoding="utf-8"))
    assert key in whole
    for what, value in WRONG.items():
        if value == whole[key]:
            continue
        content = {other: kept for other, kept in whole.items() if other != key}
        (folder / name).write_text(json.dumps(content if value is GONE else {**content, key: value}), encoding="utf-8")
        faults, error = everything(folder)
        if error:
            assert str(folder) in error, what
            assert name in error or key in ("scenario", "variant", "overrides"), (what, error)
        else:
            assert faults or key in ("seed", "versions", "overrides", "variant"), what


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "status",
            "splendid",
            "plan.json is damaged: status is 'splendid', not one of optimal, feasible, infeasible; ",
        ),
        ("status", 3, "plan.json is damaged: status is 3, not one of optimal"),
        ("seed", None, "plan.json is damaged: seed is null, not a whole number"),
        ("objective", "much", "plan.json is damaged: objective is 'much', not a number or null"),
        ("objective", float("nan"), "plan.json is damaged: objective is nan, not a number or null"),
        ("ways_out", ["x"], "not a list of ways out, each with text and enough"),
        ("schema_version", 2, "plan.json is damaged: schema_version is 2, not version 1"),
        ("name", "x" * 9 + "y" * 99, None),
    ],
)
def test_the_message_has_key_and_value(folder: Path, key: str, value: object, message: str | None) -> None:
    path = folder / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), key: value}), encoding="utf-8")
    if message is None:
        assert to.load_plan(folder).claims()[key] == value
        return
    with pytest.raises(to.PlanFolderError) as caught:
        to.load_plan(folder)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "solve again, or restore it from a copy" in str(caught.value)


# --- inputs that have changed -----------------------------------------------------------------------------------


@pytest.fixture
def edited(result: to.Result, tmp_path: Path) -> to.SavedPlan:
    """The toy's plan, after Inner Circle (A10) has come to sell twice as much."""
    shutil.copytree(TOY, tmp_path / "toy")
    folder = to.save_plan(result, tmp_path / "plan", scenario=to.load_scenario(tmp_path / "toy"))
    path = tmp_path / "toy" / "accounts.csv"
    accounts = pd.read_csv(path, dtype=str, keep_default_na=False)
    accounts.loc[accounts["account_id"] == "A10", "current_sales"] = "400"
    accounts.to_csv(path, index=False)
    return to.load_plan(folder)


def test_a_plan_whose_inputs_have_changed_says_so(edited: to.SavedPlan) -> None:
    said = "accounts.csv is not the file the plan was made from: figures are recomputed from the data as they are now"
    assert said in repr(edited)
    assert said in edited._repr_html_()
    assert edited.summary()["changed_inputs"] == said
    assert edited.as_result().warnings == (said,)


def test_all_its_figures_are_of_the_data_as_they_are_now(edited: to.SavedPlan, result: to.Result) -> None:
    """One meaning: none is as stated, each is what the judge finds; A10 moves, and a tenth of its 400 is at risk."""
    found, judged = edited.summary(), to.certify(edited.problem, result.plan, result.certificate)
    assert found["sales_at_risk"] == pytest.approx(40.0)
    assert edited.moves["sales_at_risk_usd_per_year"].tolist() == pytest.approx([40.0])
    assert found["expected_sales"] == pytest.approx(edited.reps["expected_sales_usd_per_year"].sum())
    for name in ("objective", "bound", "gap", "gap_money"):
        assert found[name] == getattr(edited, name) == getattr(edited.as_result(), name)
        assert found[name] == pytest.approx(getattr(judged, name), nan_ok=True)
        assert found[name] != edited.folder.claims[name]
    broken = to.audit(edited.problem, result.plan)
    assert (found["broken_rules"], edited.status) == (len(broken), "infeasible" if broken else "feasible")
    assert edited.folder.claims["sales_at_risk"] == pytest.approx(20.0)


def test_the_check_still_holds_against_what_was_stated(edited: to.SavedPlan) -> None:
    faults = to.check(edited).faults
    assert any(fault.startswith("objective is stated as") for fault in faults), faults


def test_saved_again_it_states_the_figures_of_now(edited: to.SavedPlan, tmp_path: Path) -> None:
    again = to.load_plan(to.save_plan(edited, tmp_path / "again"))
    assert again.changed_inputs == []
    assert to.check(again).faults == ()
    assert again.objective == pytest.approx(edited.objective)


def test_a_plan_whose_inputs_are_as_they_were_says_nothing(saved: Path, result: to.Result) -> None:
    plan = to.load_plan(saved)
    assert "changed_inputs" not in plan.summary()
    assert plan.objective == result.objective
    assert plan.status == result.status
    assert repr(plan) == f"SavedPlan({saved} · optimal · {result.plan!r})"


def test_a_plan_whose_data_are_out_of_reach_has_what_was_stated(saved: Path, result: to.Result, tmp_path: Path) -> None:
    lost = to.load_plan(saved, scenario=tmp_path / "nowhere")
    assert (lost.objective, lost.status) == (result.objective, "optimal")
    assert "optimal" in repr(lost)
    assert "is not at" in lost.summary()["changed_inputs"]
    with pytest.raises(to.PlanFolderError, match="is not at"):
        _ = lost.reps


# --- inputs that cannot be read any more ------------------------------------------------------------------------


def spoil(scenario: Path, how: str) -> None:
    accounts = scenario / "accounts.csv"
    if how == "table gone":
        accounts.unlink()
    elif how == "table in another encoding":
        accounts.write_bytes(accounts.read_text(encoding="utf-8").encode("utf-16"))
    elif how == "table that is a folder":
        accounts.unlink()
        accounts.mkdir()
    elif how == "negative potential":
        table = pd.read_csv(accounts, dtype=str)
        table.loc[0, "potential"] = "-5"
        table.to_csv(accounts, index=False)
    elif how == "scenario gone":
        (scenario / "scenario.yaml").unlink()
    else:
        (scenario / "scenario.yaml").write_text("tables: [", encoding="utf-8")


@pytest.mark.parametrize(
    "how",
    [
        "table gone",
        "table in another encoding",
        "table that is a folder",
        "negative potential",
        "scenario gone",
        "scenario that is no YAML",
    ],
)
def test_unreadable_inputs_leave_what_was_stated_and_say_so(result: to.Result, tmp_path: Path, how: str) -> None:
    scenario = Path(shutil.copytree(TOY, tmp_path / "toy"))
    made = to.solve(scenario, time_limit=10)
    to.save_plan(made, tmp_path / "plan", scenario=to.load_scenario(scenario))
    spoil(scenario, how)
    plan = to.load_plan(tmp_path / "plan")
    for shown in (repr(plan), plan._repr_html_(), plan.summary()["changed_inputs"]):
        assert "cannot be read" in shown, shown
    assert (plan.status, plan.objective, plan.bound) == ("optimal", made.objective, made.bound)
    assert plan.summary()["objective"] == made.objective
    with pytest.raises(to.TerritoryError):
        _ = plan.reps


def test_how_a_plan_stands_is_looked_up_once(tmp_path: Path) -> None:
    """What is shown of one object never mixes the inputs of two moments."""
    scenario = Path(shutil.copytree(TOY, tmp_path / "toy"))
    made = to.solve(scenario, time_limit=10)
    to.save_plan(made, tmp_path / "plan", scenario=to.load_scenario(scenario))
    plan = to.load_plan(tmp_path / "plan")
    assert plan.status == "optimal"
    spoil(scenario, "negative potential")
    assert "cannot be read" not in repr(plan)
    assert "cannot be read" in repr(to.load_plan(tmp_path / "plan"))
