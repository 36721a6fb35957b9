"""A review in the year: the past is frozen to the cent, totals stay, budgets hold; plans of part of a year."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import territory_opt as to
from territory_opt.cli.commands import run
from territory_opt.errors import ScenarioError
from territory_opt.intake.actuals import check_actuals
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import month_weights
from territory_opt.quota.by_part import by_part
from territory_opt.synthetic.market import generate_market, write_market
from territory_opt.whatif.replan import Replan, replan
from territory_opt.whatif.write import write_scenario

YEAR = pd.period_range("2027-01", periods=12, freq="M").astype(str)


@cache
def solved(**quotas: object) -> to.Result:
    tables = generate_market(90, 4, seed=3, months=24)
    settings = {"target": 4_500_000, "step": 100, "growth_guard": None, **quotas}
    problem = to.Problem.from_tables(**tables, policy=to.Policy.model_validate({"quotas": settings}))
    return to.solve(problem, time_limit=60.0)


def so_far(result: to.Result, months: int, factor: float = 1.0) -> pd.DataFrame:
    """What was expected of each account in the first ``months``, times ``factor``."""
    model = result.model
    expected = model.estimate.expected / 12.0 * factor
    accounts = model.problem.accounts["account_id"]
    rows = [{"account_id": a, "month": month, "sales": round(float(x), 2), "rep_id": result.plan.assignment[a]}
            for a, x in zip(accounts, expected, strict=True) for month in YEAR[:months]]  # fmt: skip
    return check_actuals(pd.DataFrame(rows), model.problem)


def without(problem: to.Problem, gone: str) -> dict[str, pd.DataFrame]:
    """Accounts and reps after ``gone`` has left."""
    return {
        "accounts": problem.accounts.assign(incumbent=problem.accounts["incumbent"].replace(gone, "")),
        "reps": problem.reps[problem.reps["rep_id"] != gone].reset_index(drop=True),
    }


def reviewed(**options: object) -> tuple[to.Result, Replan, to.Result]:
    result = solved()
    rest = replan(result.model.problem, result.plan, as_of="2027-06", sales=so_far(result, 6), **options)
    return result, rest, to.solve(rest.problem, time_limit=60.0)


# --- what is frozen, what is left -----------------------------------------------------------------------------


@pytest.mark.slow
def test_past_and_rest_add_up_to_the_year() -> None:
    result, rest, again = reviewed(max_moved_accounts=5)
    assert to.audit(rest.problem, again.plan) == []
    year = rest.year(again.plan)
    assert year.columns.tolist() == ["rep_id", "period", "quota", "before", "status"]
    past = year[year["status"] == "past"]
    assert (past["quota"] == past["before"]).all()
    assert past["period"].unique().tolist() == ["2027-01 to 2027-03", "2027-04 to 2027-06"]
    assert year["quota"].sum() == pytest.approx(4_500_000, abs=1e-6)
    assert year["before"].sum() == pytest.approx(result.plan.annual.sum(), abs=1e-6)
    assert sorted(year["period"].unique()) == sorted(result.plan.quotas["period"].unique())


@pytest.mark.parametrize("moves", [0, 3])
def test_no_more_accounts_move_than_the_budget_says(moves: int) -> None:
    result, rest, again = reviewed(max_moved_accounts=moves)
    assert (again.plan.assignment != result.plan.assignment).sum() <= moves
    assert again.evaluation is not None
    assert again.evaluation.moved_accounts <= moves
    assert rest.problem.accounts["incumbent"].tolist() == result.plan.assignment.tolist()


def test_quotas_of_the_rest_change_no_more_than_the_budget_says() -> None:
    _, rest, again = reviewed(max_quota_change=0.05)
    assert to.audit(rest.problem, again.plan) == []
    before = rest.ahead.groupby("rep_id")["quota"].sum()
    change = again.plan.annual / before.reindex(again.plan.annual.index) - 1.0
    assert (change.abs() <= 0.05 + 1e-9).all()


def test_a_free_hand_gains_more_than_budgets() -> None:
    _, _, tight = reviewed(max_moved_accounts=0, max_quota_change=0.02)
    _, _, free = reviewed()
    assert free.bound >= tight.objective
    assert free.objective >= tight.objective - 0.002 * abs(tight.objective)


def test_a_plan_that_went_as_expected_is_left_nearly_as_it_was() -> None:
    result, rest, again = reviewed(max_moved_accounts=0)
    before = rest.ahead.groupby("rep_id")["quota"].sum().reindex(again.plan.annual.index)
    assert (again.plan.annual / before - 1.0).abs().max() < 0.15
    expected = Figures(again.model, again.plan).evaluation.rep_sales.sum()
    assert expected == pytest.approx(Figures(result.model, result.plan).evaluation.rep_sales.sum() / 2, rel=0.15)


def test_sales_so_far_change_what_is_expected() -> None:
    result = solved()
    sums = [
        Model.build(
            replan(result.model.problem, result.plan, as_of="2027-06", sales=so_far(result, 6, factor)).problem
        ).estimate.expected.sum()
        for factor in (0.5, 1.0, 1.5)
    ]
    assert sums[0] < 0.9 * sums[1] < 0.9 * sums[2]


def test_who_left_keeps_the_quotas_of_the_past_and_the_others_carry_the_rest() -> None:
    result = solved()
    problem = result.model.problem
    gone = problem.reps["rep_id"].iloc[0]
    now = to.Problem.from_tables(
        **without(problem, gone),
        managers=problem.managers,
        sales=problem.sales.assign(rep_id=problem.sales["rep_id"].replace(gone, "")),
        policy=problem.policy,
    )
    rest = replan(problem, result.plan, as_of="2027-03", now=now)
    again = to.solve(rest.problem, time_limit=60.0)
    year = rest.year(again.plan)
    mine = year[year["rep_id"] == gone]
    assert (mine["quota"] > 0).tolist() == [True, False, False, False]
    assert (mine["before"] > 0).all()
    assert year["quota"].sum() == pytest.approx(4_500_000, abs=1e-6)
    assert (rest.problem.accounts["incumbent"] == "").sum() == (result.plan.assignment == gone).sum()


@pytest.mark.slow
def test_targets_of_managers_and_hedges_are_freed_of_what_is_frozen() -> None:
    """Two teams of two, one with a target of its own; the company hedges by 5 %, the other team by 3 %."""
    problem = solved().model.problem
    managers = pd.DataFrame({"manager_id": ["m1", "m2"], "level": ["team", "team"], "target": [2_000_000.0, np.nan]})
    settings = {"target": 4_500_000, "hedge": {"company": 0.05, "m2": 0.03}, "periods": "quarter"}
    strict = to.Problem.from_tables(
        accounts=problem.accounts,
        reps=problem.reps.assign(manager=["m1", "m1", "m2", "m2"]),
        managers=managers,
        sales=problem.sales,
        policy=to.Policy.model_validate({"quotas": settings}),
    )
    first = to.solve(strict, time_limit=60.0)
    assert to.audit(strict, first.plan) == []
    rest = replan(strict, first.plan, as_of="2027-09")
    again = to.solve(rest.problem, time_limit=60.0)
    assert to.audit(rest.problem, again.plan) == []
    year = rest.year(again.plan)
    by_rep = year.groupby("rep_id")["quota"].sum().reindex(problem.reps["rep_id"]).to_numpy()
    assert by_rep[:2].sum() == pytest.approx(2_000_000, abs=2.0)
    assert (by_rep[:2].sum() + by_rep[2:].sum() / 1.03) / 1.05 == pytest.approx(4_500_000, abs=4.0)


@pytest.mark.parametrize(
    ("as_of", "periods", "text"),
    [
        (
            "2027-05",
            "quarter",
            "no quota period before the last ends with 2027-05; give one of 2027-03, 2027-06, 2027-09",
        ),
        ("2027-12", "quarter", "no quota period before the last ends with 2027-12"),
        ("June", "quarter", '"June" is not a month; write it like 2027-06'),
        ("2027-06", "year", "the plan has one quota for the year; set quotas.periods to quarter or month"),
    ],
)
def test_what_cannot_be_frozen_is_said(as_of: str, periods: str, text: str) -> None:
    result = solved(periods=periods)
    with pytest.raises(ScenarioError) as raised:
        replan(result.model.problem, result.plan, as_of=as_of)
    assert text in str(raised.value)


def test_nothing_left_of_the_target_is_said() -> None:
    result = solved()
    problem = result.model.problem
    policy = problem.policy.model_copy(
        update={"quotas": problem.policy.quotas.model_copy(update={"target": 1_000_000.0})}
    )
    now = to.Problem.from_tables(
        accounts=problem.accounts, reps=problem.reps, managers=problem.managers, sales=problem.sales, policy=policy
    )
    with pytest.raises(ScenarioError, match="leave nothing of the target 1,000,000"):
        replan(problem, result.plan, as_of="2027-06", now=now)


# --- plans of part of a year ----------------------------------------------------------------------------------


def test_two_halves_expect_what_the_year_does() -> None:
    problem = solved().model.problem

    def expected(start: str, months: int) -> np.ndarray:
        policy = problem.policy.model_copy(
            update={"period": problem.policy.period.model_validate({"start": start, "months": months})}
        )
        part = to.Problem.from_tables(
            accounts=problem.accounts, reps=problem.reps, managers=problem.managers, sales=problem.sales, policy=policy
        )
        model = Model.build(part)
        assert model.estimate.growth == pytest.approx(solved().model.estimate.growth, rel=0.1)
        weight = month_weights(model, solved().plan.assignment)
        assert weight.shape == (4, months)
        return model.estimate.expected

    year = expected("2027-01-01", 12)
    halves = expected("2027-01-01", 6) + expected("2027-07-01", 6)
    assert halves.sum() == pytest.approx(year.sum(), rel=0.05)


def test_quarters_need_whole_quarters() -> None:
    with pytest.raises(ValueError, match=r"period\.months is 5, which is not whole quarters"):
        to.Policy.model_validate({"period": {"months": 5}, "quotas": {"periods": "quarter"}})
    assert to.Policy.model_validate({"period": {"months": 5}, "quotas": {"periods": "month"}}).period.months == 5


# --- the command ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made-up company and its plan, made by the command with a seed and a time limit of its own."""
    folder = tmp_path_factory.mktemp("company")
    path = write_market(generate_market(90, 4, seed=3, months=24), folder / "company")
    options = ["--set", "solve.seed=5", "--set", "solve.time_limit=21", "--set", "solve.gap=0.05"]
    assert run(["solve", str(path), "--out", str(folder / "plan"), "--quiet", *options]) in (0, 3)
    return folder


@pytest.mark.slow
def test_the_command_freezes_and_plans_the_rest(
    company: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, rest = company / "plan", tmp_path / "rest"
    scenario = company / "company" / "scenario.yaml"
    target = yaml.safe_load(scenario.read_text(encoding="utf-8"))["quotas"]["target"]
    capsys.readouterr()
    code = run(
        [
            "replan",
            str(plan),
            "--as-of",
            "2027-06",
            "--max-moves",
            "4",
            "--max-quota-change",
            "20 %",
            "--out",
            str(rest),
        ]
    )
    out = capsys.readouterr().out
    assert code in (0, 3), out
    assert "frozen        2 periods until 2027-06" in out
    year = pd.read_csv(rest / "year.csv")
    hedged = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    assert hedged["status"] in ("feasible", "optimal", "infeasible")
    planned = pd.read_csv(plan / "quotas.csv")["quota"].sum()
    assert year["quota"].sum() == pytest.approx(planned, rel=2e-5)
    assert target > 0
    assert run(["check", str(rest / "plan")]) == 0
    assert "Everything this folder claims holds." in capsys.readouterr().out
    again = run(["replan", str(plan), "--as-of", "2027-06", "--out", str(rest)])
    assert again == 2
    assert "holds files already" in capsys.readouterr().err


def test_a_written_scenario_is_the_same_problem(tmp_path: Path) -> None:
    problem = solved().model.problem
    again = to.load_scenario(write_scenario(problem, tmp_path / "copy", name="copy")).problem()
    assert again.policy == problem.policy
    first, second = Model.build(problem), Model.build(again)
    np.testing.assert_array_equal(first.estimate.expected, second.estimate.expected)
    assert first.rows.items == second.rows.items
    pairs = first.pairs(), second.pairs()
    np.testing.assert_array_equal(pairs[0].value, pairs[1].value)


def test_odd_texts_survive_the_round_trip(tmp_path: Path) -> None:
    ids = ["001", "1e5", "NA", "null", "007", "Ü-ä", "a,b", 'q"q', "=1+1", "-low"]
    accounts = pd.DataFrame(
        {
            "account_id": ids,
            "name": ["multi\nline", "'s-Hertogenbosch", "=SUM(A1)", *"abcdefg"],
            "lat": 48.0,
            "lon": -9.0,
            "segment": ["NA", "-low", "1e5", "null", ""] * 2,
            "potential": np.pi * np.arange(1, 11),
            "colour": ["-a", "b"] * 5,
            "incumbent": ["01", "NA"] * 5,
            "current_sales": 1 / 3,
        }
    )
    reps = pd.DataFrame({"rep_id": ["01", "NA"], "lat": 48.0, "lon": [-9.0, 10.0], "colour": ["b;-a", "-a;b"]})
    policy = {
        "territories": {"skills": {"required": ["colour"]}},
        "quotas": {"target": 90, "method": "estimate", "methods": {"-low": "flat", "1e5": "potential-share"}},
    }
    problem = to.Problem.from_tables(accounts, reps, policy=to.Policy.model_validate(policy))
    again = to.load_scenario(write_scenario(problem, tmp_path / "copy", name="x: y # z")).problem()
    assert again.policy == problem.policy
    for name in problem.accounts.columns:
        assert again.accounts[name].tolist() == problem.accounts[name].tolist()
    assert Model.build(again).rows.items == Model.build(problem).rows.items


# --- what the strict reviewer found ---------------------------------------------------------------------------


def test_a_plan_for_other_reps_is_refused() -> None:
    """Their frozen quotas would be lost."""
    result = solved()
    problem = result.model.problem
    gone = problem.reps["rep_id"].iloc[0]
    other = to.Problem.from_tables(**without(problem, gone), policy=problem.policy)
    with pytest.raises(ScenarioError, match=f"the plan sets quotas for {gone}, who are not in the reps table"):
        replan(other, result.plan, as_of="2027-06")


def test_who_leaves_in_the_frozen_part_has_left() -> None:
    result = solved()
    problem = result.model.problem
    ends = problem.reps["end_date"].copy()
    ends.iloc[0] = pd.Timestamp("2027-05-31")
    now = to.Problem.from_tables(
        accounts=problem.accounts, reps=problem.reps.assign(end_date=ends), managers=problem.managers,
        sales=problem.sales, rules=problem.rules, policy=problem.policy,
    )  # fmt: skip
    rest = replan(problem, result.plan, as_of="2027-06", now=now)
    assert problem.reps["rep_id"].iloc[0] not in set(rest.problem.reps["rep_id"])
    assert len(rest.problem.reps) == 3


def test_sums_of_parts_are_freed_of_what_is_frozen() -> None:
    sums = {"enterprise": 1_500_000.0, "mid": 2_000_000.0, "small": 1_000_000.0}
    first = solved().model.problem
    policy = to.Policy.model_validate(
        {"quotas": {"target": 4_500_000, "step": 100, "by": "segment", "part_targets": sums}}
    )
    problem = to.Problem.from_tables(
        accounts=first.accounts, reps=first.reps, managers=first.managers, sales=first.sales, policy=policy
    )
    plan = solved().plan
    rest = replan(problem, plan, as_of="2027-06")
    left = rest.problem.policy.quotas.part_targets
    assert sum(left.values()) == pytest.approx(rest.problem.policy.quotas.target, abs=0.01)
    assert all(0 < left[name] < amount for name, amount in sums.items())
    by_part(Figures(Model.build(rest.problem), to.solve(rest.problem, time_limit=60.0).plan))


def test_months_that_are_missing_are_not_months_without_sales() -> None:
    result = solved()
    sales = so_far(result, 6)
    late = sales[sales["month"] >= "2027-05-01"]
    with pytest.raises(ScenarioError, match="no account has sales in 2027-01, 2027-02, 2027-03, 2027-04"):
        replan(result.model.problem, result.plan, as_of="2027-06", sales=late)


@pytest.mark.slow
def test_a_failed_review_leaves_no_half_folder(
    company: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, rest = str(company / "plan"), tmp_path / "rest"
    monkeypatch.setattr("territory_opt.report.save.save_plan", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    assert run(["replan", plan, "--as-of", "2027-03", "--out", str(rest)]) == 2
    assert not rest.exists()
    monkeypatch.undo()
    assert run(["replan", plan, "--as-of", "2027-03", "--out", str(rest)]) in (0, 3)
    written = yaml.safe_load((rest / "scenario.yaml").read_text(encoding="utf-8"))
    assert (written["solve"]["seed"], written["solve"]["time_limit"]) == (5, 21)
