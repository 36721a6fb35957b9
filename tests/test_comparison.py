"""Any two plans side by side, today among them: who changes, what each is worth, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.plan.audit import audit
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import PlanFolder, read_folder
from territory_opt.report.save import save_plan

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
SOFT = {"territories.balance": {"potential": {"band": "10 %", "price_per_point": 0.01}}}


def solved(**overrides: object) -> to.Result:
    return to.solve(to.load_scenario(TOY, overrides=overrides).problem(), time_limit=20)


@pytest.fixture(scope="module")
def base() -> to.Result:
    return solved()


@pytest.fixture(scope="module")
def soft() -> to.Result:
    return solved(**SOFT)


@pytest.fixture(scope="module")
def folder(base: to.Result, tmp_path_factory: pytest.TempPathFactory) -> PlanFolder:
    path = tmp_path_factory.mktemp("plans") / "base"
    save_plan(base, path, name="toy")
    return read_folder(path)


def test_today_against_the_plan_of_the_toy(base: to.Result) -> None:
    """Dan gets one of Ada's accounts, and with it everybody has a fair share."""
    found = to.compare("today", base, names=["today", "base"])
    (moved,) = found.accounts.to_dict("records")
    assert moved["plan"] == "base"
    assert (moved["account_id"], moved["name"]) == ("A10", "Inner Circle")
    assert (moved["from"], moved["from_name"], moved["to"], moved["to_name"]) == ("R1", "Ada", "R4", "Dan")
    figures = found.to_frame()
    assert list(figures.columns) == ["today", "base"]
    assert figures.loc["moved_accounts"].tolist() == [0, 1]
    assert figures.loc["sales_at_risk"].tolist() == [0.0, base.evaluation.sales_at_risk]  # type: ignore[union-attr]
    assert figures.loc["potential_low"].tolist() == pytest.approx([1 / 3, 1.0])
    assert figures.loc["potential_high"].tolist() == pytest.approx([5 / 3, 1.0])
    assert figures.loc["objective", "base"] == base.objective
    assert figures.loc["left_to_gain", "base"] == base.gap_money
    assert figures.loc["p_target", "base"] == Figures(base.model, base.plan).odds.p_company_target
    assert found.notes == ()


def test_today_is_a_plan_like_any_other(base: to.Result) -> None:
    """Incumbents and last quotas, judged by the judge; no side of the comparison is special."""
    today = to.Plan.today(base.model)
    assert today.assignment.tolist() == base.model.problem.accounts["incumbent"].tolist()
    assert today.annual.to_dict() == {"R1": 500.0, "R2": 300.0, "R3": 300.0, "R4": 100.0}
    figures = to.compare("today", base).to_frame()
    assert figures.loc["objective", "today"] == Figures(base.model, today).evaluation.objective
    there, back = to.compare("today", base, names=["a", "b"]), to.compare(base, "today", names=["b", "a"])
    pd.testing.assert_frame_equal(there.to_frame(), back.to_frame()[["a", "b"]])
    assert there.accounts[["from", "to"]].to_numpy().tolist() == back.accounts[["to", "from"]].to_numpy().tolist()


def test_books_of_reps(base: to.Result) -> None:
    reps = to.compare("today", base).reps
    assert len(reps) == 2 * base.model.problem.n_reps
    plan = reps[reps["plan"] == "plan 2"].set_index("rep_id")
    assert plan["accounts"].sum() == base.model.problem.n_accounts
    assert plan["gained"].to_dict() == {"R1": 0, "R2": 0, "R3": 0, "R4": 1}
    assert plan["lost"].to_dict() == {"R1": 1, "R2": 0, "R3": 0, "R4": 0}
    assert plan["quota_usd_per_year"].to_dict() == base.plan.annual.to_dict()
    assert plan["hit_probability"].tolist() == Figures(base.model, base.plan).odds.hits.tolist()
    assert plan["expected_sales_usd_per_year"].sum() == pytest.approx(base.evaluation.rep_sales.sum())  # type: ignore[union-attr]


def test_a_plan_folder_is_worth_what_its_result_is(base: to.Result, folder: PlanFolder) -> None:
    """Read back and recomputed, with the bound of its own certificate; alone it needs the problem."""
    by_result = to.compare(base, folder)
    assert by_result.accounts.empty
    assert by_result.to_frame()["plan 1"].to_dict() == pytest.approx(by_result.to_frame()["base"].to_dict())
    alone = to.compare("today", folder, problem=base.model.problem)
    assert alone.to_frame()["base"].to_dict() == pytest.approx(by_result.to_frame()["base"].to_dict())
    with pytest.raises(to.ComparisonError, match="name the problem they are plans for"):
        to.compare("today", folder)


def test_a_forged_certificate_proves_nothing(base: to.Result, folder: PlanFolder) -> None:
    short = replace(folder.certificate, values=folder.certificate.values[:-1])
    assert np.isnan(to.compare(base, replace(folder, certificate=short)).to_frame().loc["left_to_gain", "base"])


def test_what_is_left_to_gain_holds_for_today(soft: to.Result) -> None:
    """With no hard rule of territories to break, no plan is worth more than today by more than it says."""
    left = to.compare("today", soft).to_frame().loc["left_to_gain"]
    assert left["today"] == soft.bound - Figures(soft.model, to.Plan.today(soft.model)).evaluation.objective
    assert left["today"] >= left["plan 2"] == max(soft.gap_money, 0.0)


def test_a_plan_that_breaks_hard_rules_says_so(base: to.Result) -> None:
    """Today's books lie outside the hard band, in which no worth is left to gain."""
    figures = to.compare("today", base).to_frame()
    rules = [v.rule for v in audit(base.model.problem, to.Plan.today(base.model))]
    assert figures.loc["hard_rules_broken"].tolist() == [rules.count("balance: potential"), 0]
    assert figures.loc["hard_rules_broken", "today"] > 0
    assert np.isnan(figures.loc["left_to_gain", "today"])


def test_more_than_two_plans_under_different_rules(base: to.Result, soft: to.Result) -> None:
    """Each is judged by its own rules, changes count against the first, and the reader is told."""
    found = to.compare("today", base, soft, names=["today", "hard", "soft"])
    assert found.to_frame().loc["objective"].tolist()[1:] == [base.objective, soft.objective]
    assert set(found.accounts["plan"]) <= {"hard", "soft"}
    (note,) = found.notes
    assert note.startswith("The plans were made under different rules")
    assert str(found).splitlines()[-1] == note


def test_it_reads_like_a_table(base: to.Result) -> None:
    text = repr(to.compare("today", base, names=["today", "base"])).splitlines()
    assert text[0].split() == ["today", "base"]
    assert "accounts that move           –        1" in text
    assert "potential per rep     33–167 %    100 %" in text
    assert "odds of the target        50 %     43 %" in text
    page = to.compare("today", base, names=["today", "<b>"])._repr_html_()
    assert "<td>33–167 %</td>" in page
    assert "<b>" not in page


def test_figures_are_plain_values(base: to.Result) -> None:
    figures = to.compare("today", base).summary()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["today"]["left_to_gain"] is None


def test_an_incumbent_who_left_stays_visible() -> None:
    problem = to.load_scenario(TOY).problem()
    incumbents = ["R9", "", *problem.accounts["incumbent"][2:]]
    result = to.solve(replace(problem, accounts=problem.accounts.assign(incumbent=incumbents)), time_limit=20)
    moved = to.compare("today", result).accounts.set_index("account_id")
    first, second = problem.accounts["account_id"][:2]
    assert (moved.loc[first, "from"], moved.loc[first, "from_name"]) == ("R9", "R9")
    assert (moved.loc[second, "from"], moved.loc[second, "from_name"]) == ("", "nobody")


def test_what_cannot_be_compared(base: to.Result, folder: PlanFolder) -> None:
    """The message names what differs and what to do."""
    problem = base.model.problem
    fewer = replace(base, model=to.Model.build(replace(problem, accounts=problem.accounts[1:].reset_index(drop=True))))
    turned = problem.reps.iloc[::-1].reset_index(drop=True)
    other_order = replace(base, model=to.Model.build(replace(problem, reps=turned)))
    annual = folder.plan.annual.rename({"R1": "R7"})
    stranger = replace(folder, plan=replace(folder.plan, annual=annual))
    for plans, words in (
        ((base,), 'give two, or "today" and one'),
        (
            (base, "yesterday"),
            '"yesterday" is no plan; give a result, a loaded plan, the path of a plan folder, or "today"',
        ),
        ((base, problem), "a Problem is not accepted here; give plans: a result, a loaded plan"),
        ((base, fewer), "plan 2 is no plan for the same accounts: only one side has A01; compare plans of the same"),
        ((base, other_order), "plan 2 has the same reps in another order"),
        ((base, stranger), "base is no plan for the same reps: only one side has R7"),
    ):
        with pytest.raises((to.ComparisonError, to.GivenError)) as caught:
            to.compare(*plans)  # type: ignore[arg-type]
        assert words in str(caught.value)
    with pytest.raises(to.ComparisonError, match="there are 2 plans; give as many different names"):
        to.compare("today", base, names=["a", "a"])
