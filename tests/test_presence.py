"""Who joins, leaves, is on leave or new is credited only with what comes while there: quota, odds, lines, tracking."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan, month_weights, split_periods
from territory_opt.problem.policy import Period
from territory_opt.quota.consistency import check_consistency
from territory_opt.quota.explain_quota import explain_quota
from territory_opt.quota.simulate import Books, simulate
from territory_opt.quota.track import track
from territory_opt.whatif.replan import replan

MONTHS = [str(month) for month in pd.period_range("2023-01", periods=48, freq="M")]
TARGET = 12_000.0
JOINS = {"start_date": ["2027-07-01", ""]}


def problem(reps: dict[str, Any] | None = None, **quotas: Any) -> to.Problem:
    """Reps S and W keep four accounts each: S sells in summer (June to August four times as much), W evenly."""
    summer = np.repeat([True, False], 4)
    accounts = pd.DataFrame(
        {
            "account_id": [f"A{k}" for k in range(8)], "lat": 48.0, "lon": np.repeat([9.0, 11.0], 4),
            "segment": np.where(summer, "summer", "even"), "incumbent": np.where(summer, "S", "W"), "potential": 4000.0,
        }
    )  # fmt: skip
    rows = [
        {"account_id": a, "month": m, "sales": 200.0 if s and m[-2:] in ("06", "07", "08") else 50.0 if s else 87.5}
        for a, s in zip(accounts["account_id"], summer, strict=True)
        for m in MONTHS
    ]
    rules = accounts[["account_id", "incumbent"]].rename(columns={"incumbent": "rep_id"})
    people = pd.DataFrame({"rep_id": ["S", "W"], "lat": 48.0, "lon": [9.0, 11.0], **(reps or {})})
    wanted = {"target": TARGET, "periods": "month", "odds": None, "step": 0.01, **quotas}
    policy = to.Policy.model_validate({"territories": {"balance": {}}, "quotas": wanted})
    return to.Problem.from_tables(
        accounts, people, sales=pd.DataFrame(rows), rules=rules.assign(rule="lock", reason="keeps"), policy=policy
    )


def solved(given: to.Problem) -> tuple[Model, Plan]:
    result = to.solve(given)
    assert result.violations == ()
    return result.model, result.plan


def test_a_joiner_owes_the_same_share_of_what_comes_from_the_first_day_on() -> None:
    whole_model, whole = solved(problem())
    model, plan = solved(problem(JOINS))
    book, found = Figures(whole_model, whole).evaluation, Figures(model, plan).evaluation
    # S sells 600 of 1,050 per account from July to December; the estimate's season is a little flatter.
    assert found.rep_sales[0] / book.rep_sales[0] == pytest.approx(600 / 1050, rel=0.05)
    assert found.rep_sales[1] == pytest.approx(book.rep_sales[1])
    np.testing.assert_allclose(found.book_sales, book.rep_sales)
    attained = found.rep_sales / plan.annual.to_numpy()
    assert attained[0] == pytest.approx(attained[1], rel=1e-5)
    assert plan.annual.sum() == pytest.approx(TARGET)
    assert plan.annual["S"] < 0.6 * plan.annual["W"]
    owed = plan.quotas.pivot_table(index="period", columns="rep_id", values="quota")
    assert owed["S"].iloc[:6].sum() == 0
    assert owed["S"].sum() == pytest.approx(plan.annual["S"])


def test_a_leave_costs_as_much_as_its_season_and_a_ramp_what_it_says() -> None:
    model, whole = solved(problem())
    season = model.estimate.seasonality[model.estimate.segment[0]] / 12

    def quota_of(reps: dict[str, Any], **quotas: Any) -> float:
        """Quota of S against that of W, who is there all year."""
        _, plan = solved(problem(reps, **quotas))
        return float(plan.annual["S"] / plan.annual["W"]) / float(whole.annual["S"] / whole.annual["W"])

    summer = quota_of({"leave_start": ["2027-06-01", ""], "leave_end": ["2027-08-31", ""]})
    winter = quota_of({"leave_start": ["2027-01-01", ""], "leave_end": ["2027-03-31", ""]})
    assert summer == pytest.approx(1 - season[5:8].sum(), rel=1e-5)
    assert winter == pytest.approx(1 - season[:3].sum(), rel=1e-5)
    assert summer < 0.6 < 0.8 < winter
    new = quota_of({"start_date": ["2027-01-01", ""]}, ramp=["0 %", "0 %", "0 %"])
    assert new == pytest.approx(winter, rel=1e-6)


def test_what_comes_while_a_rep_is_away_counts_for_the_company_alone() -> None:
    model, plan = solved(problem(JOINS, odds={"common_shock": 0}))
    found = Figures(model, plan).evaluation
    drawn = simulate(Figures(model, plan), draws=4000, seed=1)
    np.testing.assert_allclose(drawn.reps["expected_sales"], found.rep_sales)
    assert drawn.reps["p50"].to_numpy() == pytest.approx(found.rep_sales, rel=0.03)
    assert drawn.nodes["p50"].iloc[0] == pytest.approx(found.book_sales.sum(), rel=0.03)
    odds = Figures(model, plan).odds
    assert odds.p50 == pytest.approx(found.book_sales.sum())
    assert odds.p_company_target == pytest.approx(drawn.p_company_target, abs=0.03)


def test_the_lines_say_so_and_add_up() -> None:
    model, plan = solved(problem(JOINS))
    found = explain_quota(Figures(model, plan), "S")
    lines = found.lines.set_index("line")["amount"]
    gone = lines["months the rep is not there, or new"]
    evaluation = Figures(model, plan).evaluation
    assert gone == pytest.approx(evaluation.rep_sales[0] - evaluation.book_sales[0], abs=0.02)
    assert round(lines.sum(), 2) == plan.annual["S"]
    assert found.expected_sales == evaluation.rep_sales[0]
    assert "months the rep is not there, or new" not in explain_quota(Figures(model, plan), "W").lines["line"].tolist()


def test_limits_count_for_the_days_there() -> None:
    reps = {**JOINS, "last_quota": [6000.0, 6000.0]}
    guard = {"up": "10 %", "down": "10 %", "hard": True}
    model = Model.build(problem(reps, growth_guard=guard, limits={"low": 100, "high": 9000}))
    rows = {(row.rule, row.subject): row for row in model.rows.items}
    part = 184 / 365
    assert (rows["growth guard", "S"].low, rows["growth guard", "S"].high) == pytest.approx((5400 * part, 6600 * part))
    assert (rows["quota limits", "S"].low, rows["quota limits", "S"].high) == pytest.approx((100 * part, 9000 * part))
    assert (rows["growth guard", "W"].low, rows["growth guard", "W"].high) == pytest.approx((5400, 6600))
    assert "for the days the rep is there" in rows["growth guard", "S"].sentence


def test_validate_says_what_falls_into_months_without_a_rep() -> None:
    found = check_consistency(Model.build(problem(JOINS)))
    assert found.credited < 0.9 * found.expected
    assert any("come while reps are not there or new" in text for text in found.flags)
    everyone = check_consistency(Model.build(problem()))
    assert everyone.credited == pytest.approx(everyone.expected)
    assert everyone.flags == ()


def sold(amounts: dict[str, float], rep: str = "") -> pd.DataFrame:
    lines = [(account, month, amount, rep) for month, amount in amounts.items() for account in ("A0", "A4")]
    table = pd.DataFrame(lines, columns=["account_id", "month", "sales", "rep_id"])
    return table.assign(month=pd.to_datetime(table["month"]))


def test_tracking_credits_a_rep_with_the_days_there_and_whoever_is_named() -> None:
    model, plan = solved(problem({"start_date": ["2027-06-16", ""]}))
    found = track(Figures(model, plan), sold({"2027-05": 100.0, "2027-06": 80.0, "2027-07": 60.0}))
    by_rep = found.reps.set_index("rep_id")["sold_usd"]
    assert by_rep["S"] == pytest.approx(80.0 / 2 + 60.0)
    assert by_rep["W"] == 240.0
    assert found.company["sold"] == 480.0
    assert found.uncovered == pytest.approx(140.0)
    assert "140 came while the account's rep was not there" in str(found)
    named = track(Figures(model, plan), sold({"2027-05": 100.0}, rep="W"))
    assert named.reps.set_index("rep_id")["sold_usd"].to_dict() == {"S": 0.0, "W": 200.0}
    assert named.uncovered == 0.0


def test_a_year_as_expected_is_on_pace_for_joiner_and_company() -> None:
    """Sales that follow the estimate to the month: due, sold and expectation agree."""
    model, plan = solved(problem(JOINS))
    estimate = model.estimate
    lines = [
        (account, f"2027-{month:02d}", estimate.expected[i] * estimate.seasonality[estimate.segment[i], month - 1] / 12)
        for i, account in enumerate(model.problem.accounts["account_id"])
        for month in range(1, 10)
    ]
    sales = pd.DataFrame(lines, columns=["account_id", "month", "sales"]).assign(rep_id="")
    found = track(Figures(model, plan), sales.assign(month=pd.to_datetime(sales["month"])))
    assert found.reps["adjusted_share"].to_numpy() == pytest.approx(1.0)
    assert np.ptp(found.reps["pace_share"]) < 1e-6
    assert found.company["adjusted"] == pytest.approx(1.0)
    assert found.company["outlook"] == pytest.approx(Figures(model, plan).evaluation.book_sales.sum())


def test_a_ramp_as_planned_is_on_pace_and_what_it_takes_off_comes_for_nobody() -> None:
    ramp = [0.25, 0.5, 0.75]
    model, plan = solved(problem({"start_date": ["2027-01-01", ""]}, ramp=ramp))
    estimate, found = model.estimate, Figures(model, plan).evaluation
    np.testing.assert_allclose(found.book_sales, found.rep_sales)
    lines = [
        (account, f"2027-{month:02d}", estimate.expected[i] * estimate.seasonality[estimate.segment[i], month - 1] / 12
         * (ramp[month - 1] if i < 4 and month <= 3 else 1.0))
        for i, account in enumerate(model.problem.accounts["account_id"])
        for month in range(1, 7)
    ]  # fmt: skip
    sales = pd.DataFrame(lines, columns=["account_id", "month", "sales"]).assign(rep_id="")
    tracked = track(Figures(model, plan), sales.assign(month=pd.to_datetime(sales["month"])))
    assert tracked.reps["adjusted_share"].to_numpy() == pytest.approx(1.0)
    assert tracked.company["adjusted"] == pytest.approx(1.0)
    assert tracked.company["outlook"] == pytest.approx(found.rep_sales.sum())


def test_a_rep_who_now_leaves_earlier_has_a_budget_in_proportion() -> None:
    given, leaves = problem(), problem({"end_date": ["2027-09-30", ""]})
    _, plan = solved(given)
    rest = replan(given, plan, as_of="2027-06", now=leaves, max_quota_change=0.1)
    asked = plan.quotas[plan.quotas["period"] > "2027-06"].groupby("rep_id")["quota"].sum()
    part = 92 / 184
    assert rest.problem.reps["last_quota"].tolist() == pytest.approx([part * asked["S"], asked["W"]])
    row = next(r for r in Model.build(rest.problem).rows.items if r.rule == "growth guard" and r.subject == "S")
    assert (row.low, row.high) == pytest.approx((0.9 * part * asked["S"], 1.1 * part * asked["S"]))


def test_a_team_that_is_all_new_can_be_checked() -> None:
    new = problem({"start_date": ["2027-01-01", "2027-01-01"]}, ramp=["0 %"] * 12)
    found = check_consistency(Model.build(new))
    assert found.credited == 0.0
    assert not found.holds


def test_the_rest_of_a_year_of_someone_who_leaves_has_a_budget_for_the_days_left() -> None:
    given = problem({"end_date": ["2027-09-30", ""]})
    _, plan = solved(given)
    rest = replan(given, plan, as_of="2027-06", max_quota_change=0.1)
    asked = plan.quotas[plan.quotas["period"] > "2027-06"].groupby("rep_id")["quota"].sum()
    rows = {(row.rule, row.subject): row for row in Model.build(rest.problem).rows.items}
    for rep in ("S", "W"):
        limits = rows["growth guard", rep]
        assert "that of the plan before" in limits.sentence
        assert (limits.low, limits.high) == pytest.approx((0.9 * asked[rep], 1.1 * asked[rep]))
    assert to.solve(rest.problem).violations == ()


def test_a_rep_who_is_never_there_owes_nothing_and_breaks_no_rule() -> None:
    away = {"leave_start": ["2027-01-01", ""], "leave_end": ["2027-12-31", ""]}
    odds = {"common_shock": 0, "hard": True}
    model, plan = solved(problem(away, target=3000.0, odds=odds, limits={"low": 500, "hard": True}))
    assert plan.annual.to_dict() == {"S": 0.0, "W": 3000.0}
    assert (plan.quotas.loc[plan.quotas["rep_id"] == "S", "quota"] == 0).all()
    lines = explain_quota(Figures(model, plan), "S").lines
    assert round(lines["amount"].sum(), 2) == 0.0


def test_a_rep_who_expects_nothing_has_the_season_of_the_company() -> None:
    """W has all accounts, so that W's months are the company's; S has none and owes by the same months."""
    given = problem()
    model, everyone = Model.build(given), pd.Series("W", index=given.accounts["account_id"])
    annual = pd.Series(12_000.0, index=pd.Index(["S", "W"], name="rep_id"))
    owed = split_periods(model, everyone, annual).pivot_table(index="period", columns="rep_id", values="quota")
    assert owed["S"].tolist() == owed["W"].tolist()
    # 4 x 200 + 4 x 87.5 in July, 4 x 50 + 4 x 87.5 in January: 2.09 times, a little flatter in the estimate.
    assert 1.7 < owed["S"].loc["2027-07"] / owed["S"].loc["2027-01"] < 2.1


def test_a_plan_of_a_few_months_has_the_season_of_the_same_months_of_a_year() -> None:
    """Accounts of both kinds: May is to June as in a whole year, though the plan holds most of the summer's sales."""
    given = problem()
    short = replace(given, policy=given.policy.model_copy(update={"period": Period(start="2027-05-01", months=3)}))
    everyone = pd.Series("W", index=given.accounts["account_id"])
    year, part = (month_weights(Model.build(of), everyone)[1] for of in (given, short))
    np.testing.assert_allclose(part / part[0], year[4:7] / year[4], rtol=0.01)
    # 4 x 200 + 4 x 87.5 in June against 4 x 50 + 4 x 87.5 in May, a little flatter in the estimate.
    assert 1.7 < part[1] / part[0] < 2.1


def test_what_comes_besides_has_the_rest_of_the_noise() -> None:
    """A book's noise is that of what the joiner is credited with and of what comes before: together as much as ever."""
    model, plan = solved(problem(JOINS))
    books, found = Books.of(Figures(model, plan)), Figures(model, plan).evaluation
    assert books.variance[:2] == pytest.approx(found.rep_variance)
    assert books.variance[:2] + books.variance[2:] == pytest.approx(found.book_variance)
    assert 0.3 < books.variance[2] / found.book_variance[0] < 0.6
    assert books.variance[3] == pytest.approx(0.0)
