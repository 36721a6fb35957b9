"""The judge: a plan that somebody has changed is caught, with the rule and the subject named."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import territory_opt as to
from builders import mostly_slow, random_problem
from territory_opt.model.rules import ASSIGNMENT, QUOTAS_TIE
from territory_opt.plan.plan import split_periods

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
AUDIT = Path(to.__file__).parent / "plan" / "audit.py"


@cache
def toy_result(step: float = 10.0, hedge: float = 0.0, guard: float | None = None, target: float = 1200.0) -> to.Result:
    """The toy with quarterly quotas; ``guard`` is the share by which a quota may differ from last year's."""
    overrides: dict[str, Any] = {"quotas.step": step, "quotas.periods": "quarter", "quotas.hedge": {"company": hedge}}
    overrides["quotas.target"] = target
    if guard is not None:
        overrides["quotas.growth_guard"] = {"up": guard, "down": guard}
    return to.solve(to.load_scenario(TOY, overrides=overrides).problem())


def violations(plan: to.Plan, result: to.Result | None = None) -> list[tuple[str, str]]:
    problem = (result or toy_result()).model.problem
    return [(violation.rule, violation.subject) for violation in to.audit(problem, plan)]


def with_assignment(change: Callable[[pd.Series], pd.Series]) -> to.Plan:
    plan = toy_result().plan
    return replace(plan, assignment=change(plan.assignment.copy()))


def give(account: str, rep: str) -> to.Plan:
    def change(assignment: pd.Series) -> pd.Series:
        assignment[account] = rep
        return assignment

    return with_assignment(change)


def with_quotas(result: to.Result, changes: dict[str, float]) -> to.Plan:
    """Change yearly quotas and, in step with them, the last period."""
    annual, quotas = result.plan.annual.copy(), result.plan.quotas.copy()
    for rep, amount in changes.items():
        annual[rep] += amount
        last = quotas.index[quotas["rep_id"] == rep][-1]
        quotas.loc[last, "quota"] += amount
    return replace(result.plan, annual=annual, quotas=quotas)


def test_the_solved_toy_is_clean() -> None:
    assert toy_result().status == to.Status.OPTIMAL
    assert violations(toy_result().plan) == []


# --- who gets what --------------------------------------------------------------------------------------------


def test_account_with_a_rep_who_lacks_the_skill() -> None:
    found = to.audit(toy_result().model.problem, give("A04", "R4"))
    named = {(v.rule, v.subject): v.sentence for v in found}
    assert named["eligibility", "A04"] == "R4: lacks the required language"


def test_locked_account_with_another_rep() -> None:
    found = to.audit(toy_result().model.problem, give("A07", "R4"))
    named = {(v.rule, v.subject): v.sentence for v in found}
    assert named["eligibility", "A07"] == "R4: the account is locked to another rep"


def test_family_split() -> None:
    (found,) = [v for v in to.audit(toy_result().model.problem, give("A09", "R4")) if v.rule == "family"]
    assert (found.subject, found.amount, found.sentence) == ("Harbor", 1.0, "its accounts are with 2 reps")


def test_band_of_both_reps_when_an_account_moves() -> None:
    found = violations(give("A01", "R2"))
    assert ("balance: potential", "Ada (R1)") in found
    assert ("balance: potential", "Ben (R2)") in found


def test_unknown_rep() -> None:
    found = to.audit(toy_result().model.problem, give("A01", "R9"))
    (violation,) = [v for v in found if v.rule == "assignment"]
    assert (violation.subject, violation.sentence) == ("A01", 'rep "R9" is not in the reps table')


def test_what_no_row_measures_has_no_amounts_of_a_row() -> None:
    """An unknown rep is neither above nor below a limit, and no share of what is fair."""
    found = to.audit(toy_result().model.problem, give("A01", "R9"))
    (violation,) = [v for v in found if v.rule == "assignment"]
    assert (violation.amount, violation.value, violation.limit, violation.share) == (1.0, 0.0, 0.0, 0.0)


def test_account_left_out() -> None:
    plan = with_assignment(lambda assignment: assignment.drop("A01"))
    found = [v for v in to.audit(toy_result().model.problem, plan) if v.rule == "assignment"]
    assert [(v.subject, v.sentence) for v in found] == [("A01", "has no rep")]


def test_account_with_an_empty_rep() -> None:
    assert ("assignment", "A01") in violations(give("A01", ""))


def test_unknown_account() -> None:
    extra = pd.Series({"A99": "R1"})
    plan = with_assignment(lambda assignment: pd.concat([assignment, extra]))
    assert violations(plan) == [("assignment", "A99")]


@pytest.mark.parametrize("rep", ["R1", "R2"])
def test_account_named_twice(rep: str) -> None:
    """Twice with the same rep is wrong too; nothing else can be judged, but the audit does not fail."""
    extra = pd.Series({"A01": rep})
    plan = with_assignment(lambda assignment: pd.concat([assignment, extra]))
    assert ("assignment", "A01") in violations(plan)


def test_every_account_left_out() -> None:
    plan = with_assignment(lambda assignment: assignment.iloc[:0])
    found = violations(plan)
    assert [subject for rule, subject in found if rule == "assignment"] == [f"A{k:02d}" for k in range(1, 13)]


# --- who owes what --------------------------------------------------------------------------------------------


def test_one_step_more_for_one_rep_breaks_the_roll_up() -> None:
    found = violations(with_quotas(toy_result(), {"R1": 10.0}))
    assert ("roll-up", "Company") in found
    assert "quota step" not in {rule for rule, _ in found}


@pytest.mark.parametrize("cent", [0.01, -0.01])
def test_one_cent_breaks_the_roll_up_and_the_step(cent: float) -> None:
    found = violations(with_quotas(toy_result(), {"R1": cent}))
    assert ("roll-up", "Company") in found
    assert ("quota step", "R1") in found


@pytest.mark.parametrize("cent", [0.01, -0.01])
def test_one_cent_breaks_the_roll_up_where_cents_are_the_step(cent: float) -> None:
    """1200 x 1.05 = 1260 can be met to the cent, so it must be."""
    result = toy_result(step=0.01, hedge=0.05)
    assert violations(result.plan, result) == []
    assert ("roll-up", "Company") in violations(with_quotas(result, {"R3": cent}), result)


@pytest.mark.parametrize("cent", [0.01, -0.02])
def test_one_cent_of_a_large_target_breaks_the_roll_up(cent: float) -> None:
    """A cent is nothing against 120 million: the tie is in whole cents, not in shares of the target."""
    result = toy_result(step=0.01, target=120e6)
    total = result.plan.annual.sum()
    exact = with_quotas(result, {"R1": round(120e6 - total, 2)})
    assert ("roll-up", "Company") not in violations(exact, result)
    off = with_quotas(result, {"R1": round(120e6 - total, 2) + cent})
    assert ("roll-up", "Company") in violations(off, result)


@pytest.mark.parametrize(("step", "target"), [(0.01, 120e6), (1.0, 120e6), (1000.0, 120e6), (0.01, 1e10)])
def test_solved_quotas_tie_exactly_whatever_the_target(step: float, target: float) -> None:
    result = toy_result(step=step, target=target)
    assert violations(result.plan, result) == []
    assert round(result.plan.annual.sum() * 100) == round(target * 100)


def test_a_cent_from_one_rep_to_another_is_off_the_step() -> None:
    found = violations(with_quotas(toy_result(), {"R1": 0.01, "R2": -0.01}))
    assert {("quota step", "R1"), ("quota step", "R2")} <= set(found)
    assert "roll-up" not in {rule for rule, _ in found}


def test_year_and_periods_differ_by_a_cent() -> None:
    plan = toy_result().plan
    annual = plan.annual.copy()
    annual["R1"] += 0.01
    found = violations(replace(plan, annual=annual))
    assert ("period quotas", "R1") in found


def test_missing_quota() -> None:
    plan = toy_result().plan
    found = to.audit(toy_result().model.problem, replace(plan, annual=plan.annual.drop("R2")))
    assert ("quota", "R2") in [(v.rule, v.subject) for v in found]


def test_quota_of_an_unknown_rep() -> None:
    """Money that no known rep owes is no part of any roll-up: it must not pass in silence."""
    plan = toy_result().plan
    annual = pd.concat([plan.annual, pd.Series({"R9": 50.0})])
    rows = plan.quotas[plan.quotas["rep_id"] == "R1"].assign(rep_id="R9", quota=12.5)
    assert violations(replace(plan, annual=annual, quotas=pd.concat([plan.quotas, rows])))


def test_quota_that_is_not_a_number() -> None:
    plan = toy_result().plan
    annual, quotas = plan.annual.copy(), plan.quotas.copy()
    annual["R1"] = float("nan")
    assert violations(replace(plan, annual=annual, quotas=quotas))


def test_negative_quota() -> None:
    result = toy_result()
    low = -result.plan.annual["R1"] - 10.0
    plan = with_quotas(result, {"R1": low, "R2": -low})
    (found,) = [v for v in to.audit(result.model.problem, plan) if v.subject == "R1"]
    assert found.sentence == "-10.00 is below 0"


def test_money_moved_between_periods() -> None:
    plan = toy_result().plan
    quotas = plan.quotas.copy()
    quotas.loc[0, "quota"] += 10.0
    quotas.loc[1, "quota"] -= 10.0
    assert violations(replace(plan, quotas=quotas)) == [("period quotas", "Company")]


def test_period_row_changed() -> None:
    plan = toy_result().plan
    quotas = plan.quotas.copy()
    quotas.loc[0, "quota"] += 0.01
    assert ("period quotas", "R1") in violations(replace(plan, quotas=quotas))


def test_period_row_that_is_not_a_number() -> None:
    plan = toy_result().plan
    quotas = plan.quotas.copy()
    quotas.loc[0, "quota"] = float("nan")
    assert ("period quotas", "R1") in violations(replace(plan, quotas=quotas))


@pytest.mark.parametrize("change", ["dropped", "doubled", "renamed"])
def test_period_rows_dropped_doubled_or_renamed(change: str) -> None:
    plan = toy_result().plan
    quotas = plan.quotas.copy()
    if change == "dropped":
        quotas = quotas.iloc[1:]
    elif change == "doubled":
        quotas = pd.concat([quotas, quotas.iloc[:1]], ignore_index=True)
    else:
        quotas.loc[0, "period"] = "2031-01 to 2031-03"
    assert "period quotas" in {rule for rule, _ in violations(replace(plan, quotas=quotas))}


def test_period_rows_in_another_order_say_the_same() -> None:
    plan = toy_result().plan
    assert violations(replace(plan, quotas=plan.quotas.iloc[::-1].reset_index(drop=True))) == []


def test_assignment_and_quotas_in_another_order_say_the_same() -> None:
    plan = toy_result().plan
    assert violations(replace(plan, assignment=plan.assignment.iloc[::-1], annual=plan.annual.iloc[::-1])) == []


def test_quotas_that_break_a_guard() -> None:
    result = toy_result(guard=0.5)
    found = to.audit(result.model.problem, with_quotas(result, {"R4": 500.0, "R3": -500.0}))
    (violation,) = [v for v in found if v.subject == "Dan (R4)" and v.rule == "growth guard"]
    assert violation.limit == pytest.approx(150.0)
    assert violation.amount == pytest.approx(violation.value - 150.0)


# --- sentences and figures ------------------------------------------------------------------------------------


def test_a_violation_says_by_how_much_a_band_is_broken() -> None:
    """With the account in the middle back, Ada has 1000 of a share of 600."""
    (ada,) = [v for v in to.audit(toy_result().model.problem, give("A10", "R1")) if v.subject == "Ada (R1)"]
    assert str(ada).startswith("Ada (R1): balance: potential")
    assert "1,000 potential, 340 above the limit of 660" in str(ada)
    assert (ada.amount, ada.share) == pytest.approx((340.0, 340.0 / 600.0))


@pytest.mark.parametrize("seed", mostly_slow(range(10), quick=3))
def test_audit_does_not_trust_the_result(seed: int) -> None:
    """The public audit, from the problem alone, finds what the result says."""
    problem = random_problem(seed)
    result = to.solve(problem)
    assert [str(v) for v in to.audit(problem, result.plan)] == [str(v) for v in result.violations]


def test_a_broken_roll_up_is_listed_once() -> None:
    result = toy_result(step=1.0, target=120e6)
    annual = result.plan.annual.copy()
    annual.iloc[0] += 50.0
    plan = to.Plan(
        result.plan.assignment, annual, split_periods(result.model, result.plan.assignment, annual), result.plan.kappa
    )
    assert [v.rule for v in to.audit(result.model.problem, plan)].count("roll-up") == 1


def test_two_quotas_for_one_rep_are_reported() -> None:
    result = toy_result(step=1.0, target=1200.0)
    annual = pd.concat([result.plan.annual, result.plan.annual.iloc[:1]])
    plan = to.Plan(result.plan.assignment, annual, result.plan.quotas, result.plan.kappa)
    assert ("quota", "the plan sets two quotas") in {(v.rule, v.sentence) for v in to.audit(result.model.problem, plan)}
    assert to.certify(result.model.problem, plan, result.certificate).problems


def test_a_kappa_that_is_no_number_proves_nothing() -> None:
    result = toy_result(step=1.0, target=1200.0)
    plan = to.Plan(result.plan.assignment, result.plan.annual, result.plan.quotas, float("nan"))
    certificate = replace(result.certificate, kappa=float("nan"))
    assert to.certify(result.model.problem, plan, certificate).problems


@pytest.mark.parametrize(("cents", "broken"), [(0, False), (1, True)])
def test_limits_on_quotas_hold_to_the_cent(cents: int, broken: bool) -> None:
    """Ben's quota may be at most 300 x 1.11112 = 333.336: 333.34 is the same to the cent, 333.35 is more."""
    result = toy_result(step=0.01, guard=0.11112)
    plan = with_quotas(result, {"R2": round(333.34 + cents / 100 - result.plan.annual["R2"], 2)})
    assert (("growth guard", "Ben (R2)") in violations(plan, result)) == broken


def test_rows_on_accounts_hold_to_a_millionth() -> None:
    """Dan has 600 of a fair share of 600 +- 60; 59.998 more is within the band, 60.003 more is a trifle beyond it.

    A millionth of 600 is 0.0006: half a cent, which is enough for quotas, would not see it.
    """
    problem, plan = toy_result().model.problem, toy_result().plan
    dan = plan.assignment.index[plan.assignment == "R4"]
    for more, broken in ((59.998, False), (60.003, True)):
        # Others have as much less, so that the fair share stays 600.
        accounts = problem.accounts.set_index("account_id", drop=False)
        assert accounts.loc[dan, "potential"].sum() == 600.0
        accounts["potential"] = accounts["potential"].astype(float)
        accounts.loc[dan[0], "potential"] += more
        for account in ("A01", "A04", "A07"):  # Ada, Ben, Cleo
            accounts.loc[account, "potential"] -= more / 3
        changed = replace(problem, accounts=accounts.reset_index(drop=True))
        named = [(v.rule, v.subject) for v in to.audit(changed, plan)]
        assert (("balance: potential", "Dan (R4)") in named) == broken


def test_a_quota_below_nothing_is_off_by_what_it_lacks() -> None:
    result = toy_result()
    plan = with_quotas(result, {"R2": -50.0 - result.plan.annual["R2"]})
    (found,) = [v for v in to.audit(result.model.problem, plan) if v.rule == "quota"]
    assert (found.subject, found.amount, found.sentence) == ("R2", 50.0, "-50.00 is below 0")


def test_no_account_may_move_and_one_does() -> None:
    """A budget of nothing is judged in units of one account."""
    problem = to.load_scenario(TOY, overrides={"territories.keep.max_moved_accounts": 0}).problem()
    (found,) = [v for v in to.audit(problem, toy_result().plan) if v.rule == "moved accounts"]
    assert (found.amount, found.limit, found.share) == (found.value, 0.0, found.value)


@pytest.mark.parametrize(("limits", "scale"), [({"low": 50.0}, 50.0), ({"low": 50.0, "high": 400.0}, 400.0)])
def test_limits_on_quotas_are_judged_in_units_of_the_cap_or_else_of_the_floor(limits: dict, scale: float) -> None:
    problem = to.load_scenario(TOY, overrides={"quotas.limits": limits}).problem()
    rows = [row for row in to.Model.build(problem).rows.items if row.rule == "quota limits"]
    assert [row.scale for row in rows] == [scale] * problem.n_reps


def test_names_of_rules_that_only_the_judge_knows_stand_in_the_rules() -> None:
    """``model/rules.py`` lists them, so that whoever asks "do the quotas tie?" has them all."""
    tree = ast.parse(AUDIT.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Violation"]
    written = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert written <= {"eligibility", "family", ASSIGNMENT, *QUOTAS_TIE}
