"""The proof by cases: no plan is worth more than it says, it closes the gap where few accounts decide, and a tree that
proves nothing is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.markets import make_market
from hypothesis import given, settings
from hypothesis import strategies as st

import territory_opt as to
from builders import mostly_slow, random_problem, tuned
from territory_opt.optimize.solve import solve
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import bound_by_cases
from territory_opt.plan.check import check_folder
from territory_opt.plan.folder import read_folder
from territory_opt.plan.write_folder import write_folder
from test_bound import CASES, any_plan, best_of, model_of, random_multipliers


def random_cases(model: to.Model, rng: np.random.Generator) -> Cases:
    """A tree of random questions with allowed multipliers, some of them large."""
    accounts, reps, open_cases, leaves = [], [], 1, 0
    while open_cases:
        if rng.random() < 0.4 and len(accounts) < 12:
            accounts.append(str(rng.choice(model.problem.accounts["account_id"])))
            reps.append(str(rng.choice(model.problem.reps["rep_id"])))
            open_cases += 1
        else:
            accounts.append("")
            reps.append("")
            open_cases, leaves = open_cases - 1, leaves + 1
    size = rng.choice([0.0, 100.0, 1e5])
    values = [random_multipliers(model.rows, rng, size=size) for _ in range(leaves)]
    return Cases(tuple(accounts), tuple(reps), np.array(values).reshape(leaves, len(model.rows)))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, CASES - 1), st.integers(0, 10_000))
def test_no_plan_is_worth_more_than_the_bound_by_cases(seed: int, draw: int) -> None:
    model, rng = model_of(seed), np.random.default_rng(draw)
    values = random_multipliers(model.rows, rng, size=1e5)
    certificate = to.Multipliers.of(model, values, cases=random_cases(model, rng))
    found = to.certify(model.problem, replace(any_plan(model), kappa=model.kappa), certificate)
    assert found.problems == ()
    objective, violation = best_of(seed)
    if violation == 0.0:
        assert found.bound >= objective - 1e-6 * max(1.0, abs(objective))


def test_one_leaf_is_the_bound_of_its_multipliers_and_an_answer_lowers_it() -> None:
    model = model_of(1)
    values = np.zeros(len(model.rows))
    pairs = model.pairs()
    best = np.maximum.reduceat(pairs.value, pairs.start[:-1])
    assert bound_by_cases(model, Cases(("",), ("",), values[None])) == pytest.approx(best.sum())
    account = str(model.source.account_index[model.source.nodes.order[0]])
    rep = int(pairs.rep[pairs.start[0] : pairs.start[1]][np.argmin(pairs.value[pairs.start[0] : pairs.start[1]])])
    tree = Cases((account, "", ""), (str(model.source.rep_index[rep]), "", ""), np.tile(values, (2, 1)))
    with_it, without = (set_of_reps(left, 0) for left in tree.allowed(model))
    assert with_it == {rep}
    assert without == set(range(model.problem.n_reps)) - {rep}


def set_of_reps(left: dict[int, np.ndarray], node: int) -> set[int]:
    return set(np.flatnonzero(left[node]).tolist())


def three_lumps() -> to.Problem:
    """Three equal accounts and two reps at one place: any whole plan is 2 to 1, a split one even."""
    accounts = pd.DataFrame(
        {"account_id": ["A1", "A2", "A3"], "lat": 50.0, "lon": 10.0, "potential": 100.0, "current_sales": 10.0}
    )
    reps = pd.DataFrame({"rep_id": ["R1", "R2"], "lat": 50.0, "lon": 10.0})
    balance = {"potential": {"band": 0.05, "price_per_point": 1000.0}}
    return to.Problem.from_tables(accounts, reps, policy=to.Policy(territories={"balance": balance}))


def without_cases(certificate: to.Multipliers) -> to.Multipliers:
    return replace(certificate, cases=None)


def test_a_gap_that_only_whole_accounts_explain_is_closed() -> None:
    problem = three_lumps()
    result = to.solve(problem)
    assert result.status == "optimal"
    assert result.gap == 0.0
    assert to.certify(problem, result.plan, without_cases(result.certificate)).gap > 0.1
    assert to.certify(problem, result.plan, result.certificate).bound == pytest.approx(result.bound, abs=0.005)


@pytest.mark.parametrize("seed", mostly_slow(range(24), quick=2))
def test_a_small_plan_is_proven_best(seed: int) -> None:
    """With every family of rules in play; rounding of quotas is all that may be left."""
    problem = random_problem(seed)
    result = to.solve(problem, seed=seed)
    if result.status == "infeasible":
        return
    step = problem.policy.quotas.step if problem.policy.quotas.target is not None else 0.0
    rows = result.model.rows
    rounding = step * problem.n_reps * float((rows.price[~rows.hard]).max(initial=0.0)) if step else 0.0
    found = to.certify(problem, result.plan, result.certificate)
    assert found.bound == pytest.approx(result.bound, rel=1e-9, abs=0.005)
    assert found.bound <= found.objective + 2e-6 * abs(found.objective) + 3.0 * rounding + 0.01


@pytest.mark.slow
def test_where_large_accounts_decide_the_gap_at_scale_shrinks() -> None:
    settings = tuned(core={"pairs": 0})
    problem = make_market("heavy", 400, 5, seed=0).problem()
    result = solve(problem, gap=1e-5, threads=2, settings=settings)
    assert result.method == "large"
    root = to.certify(problem, result.plan, without_cases(result.certificate))
    found = to.certify(problem, result.plan, result.certificate)
    assert found.objective <= found.bound < root.bound
    assert found.gap < 0.8 * root.gap
    again = solve(problem, gap=1e-5, threads=1, settings=settings)
    assert again.bound == result.bound
    pd.testing.assert_series_equal(again.plan.assignment, result.plan.assignment)


# --- what proves nothing is refused ---------------------------------------------------------------------------


def drop_last_leaf(cases: Cases) -> Cases:
    return Cases(cases.accounts[:-1], cases.reps[:-1], cases.values[:-1])


def only_the_best_leaf(cases: Cases) -> Cases:
    return Cases((*cases.accounts[:1], ""), (*cases.reps[:1], ""), cases.values[:1])


def one_entry_more(cases: Cases) -> Cases:
    return Cases((*cases.accounts, ""), (*cases.reps, ""), np.vstack([cases.values, cases.values[:1]]))


def an_unknown_account(cases: Cases) -> Cases:
    return replace(cases, accounts=("X9", *cases.accounts[1:]))


def an_unknown_rep(cases: Cases) -> Cases:
    return replace(cases, reps=("X9", *cases.reps[1:]))


def a_multiplier_above_its_price(cases: Cases) -> Cases:
    return replace(cases, values=cases.values + 1e6)


def not_a_number(cases: Cases) -> Cases:
    return replace(cases, values=np.full_like(cases.values, np.nan))


def a_row_less(cases: Cases) -> Cases:
    return replace(cases, values=cases.values[:, :-1])


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (drop_last_leaf, "not a tree"),
        (only_the_best_leaf, "not a tree"),
        (one_entry_more, "not a tree"),
        (an_unknown_account, "asks about X9"),
        (an_unknown_rep, "X9, which are not both"),
        (a_multiplier_above_its_price, "larger than its price"),
        (not_a_number, "not a number"),
        (a_row_less, "one multiplier per case and row"),
    ],
)
def test_a_forged_tree_is_refused(forge: Callable[[Cases], Cases], reason: str) -> None:
    problem = three_lumps()
    result = solve(problem, settings=tuned(cuts={"rounds": 0}))  # a single cut would close the gap
    cases = result.certificate.cases
    assert cases is not None
    found = to.certify(problem, result.plan, replace(result.certificate, cases=forge(cases)))
    assert found.bound == np.inf
    assert any(reason in text for text in found.problems), found.problems


def only_one_may_move() -> tuple[to.Problem, to.Plan]:
    """Two accounts worth more with another rep, one of which may move; and the plan that moves none."""
    accounts = pd.DataFrame(
        {
            "account_id": ["A1", "A2"], "lat": 50.0, "lon": 10.0, "potential": 100.0, "current_sales": 1000.0,
            "incumbent": "R1", "want": "x",
        }
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": ["R1", "R2"], "lat": 50.0, "lon": 10.0, "want": ["", "x"]})
    keep = {"max_moved_accounts": 1, "loss_rate": 0.0}
    territories = {"margin": 1.0, "keep": keep, "skills": {"preferred": ["want"], "fit_lift": 0.5}}
    policy = to.Policy.model_validate({"territories": {**territories, "balance": {}}})
    problem = to.Problem.from_tables(accounts, reps, policy=policy)
    kept = pd.Series("R1", index=pd.Index(["A1", "A2"], name="account_id"), name="rep_id")
    return problem, to.Plan(kept, pd.Series(dtype=float), pd.DataFrame({"rep_id": [], "period": [], "quota": []}))


@pytest.mark.parametrize("size", [1e15, 1e17, 1e20, 1e300])
def test_what_floats_lose_never_lowers_a_bound(size: float) -> None:
    """A multiplier so large that the values beside it vanish; in these cases its limit is met exactly."""
    problem, plan = only_one_may_move()
    result = to.solve(problem)
    assert result.objective == pytest.approx(500.0)
    values = np.array([[-size], [-size], [0.0]])
    forged = replace(result.certificate, cases=Cases(("A1", "", "A2", "", ""), ("R2", "", "R2", "", ""), values))
    assert to.certify(problem, plan, forged).bound >= result.objective


def test_more_cases_than_anyone_needs_are_refused_before_they_are_looked_at() -> None:
    problem, plan = only_one_may_move()
    result = to.solve(problem)
    chain = 300_000
    cases = Cases(("A1", "") * chain + ("",), ("R2", "") * chain + ("",), np.zeros((1, 1)))
    found = to.certify(problem, plan, replace(result.certificate, cases=cases))
    assert found.problems == (
        "the certificate's proof by cases has 300,001 cases, more than the 1,000 that are looked at",
    )


@pytest.mark.parametrize("beyond", [0.0, 3e-7, 9e-7])
def test_a_band_missed_by_a_trifle_is_kept_and_the_bound_knows(beyond: float) -> None:
    """A hard band whose limit the best plan misses by less than the audit's millionth."""
    potential = [100.0 * (1.0 + beyond), 100.0]
    accounts = pd.DataFrame(
        {"account_id": ["A1", "A2"], "lat": 50.0, "lon": [10.0, 12.0], "potential": potential, "visits": 100.0}
    )
    reps = pd.DataFrame({"rep_id": ["R1", "R2"], "lat": 50.0, "lon": [10.0, 12.0]})
    balance = {"potential": {"band": 0.0, "hard": True}}
    problem = to.Problem.from_tables(accounts, reps, policy=to.Policy(territories={"balance": balance}))
    result = to.solve(problem)
    assert result.violations == ()
    assert result.bound >= result.objective
    found = to.certify(problem, result.plan, result.certificate)
    assert found.bound == pytest.approx(result.bound, rel=1e-12)


def test_a_folder_keeps_the_proof_and_check_holds_it_against_the_claim(tmp_path: Path) -> None:
    problem = three_lumps()
    result = to.solve(problem)
    claims = {**result.claims("three lumps"), "gap": 0.0, "gap_money": 0.0}
    for name, certificate in (("kept", result.certificate), ("lost", without_cases(result.certificate))):
        write_folder(tmp_path / name, plan=result.plan, certificate=certificate, claims=claims, manifest={})
    kept, lost = (check_folder(read_folder(tmp_path / name), problem) for name in ("kept", "lost"))
    assert kept.certificate.bound == result.bound
    assert not any(fault.startswith("bound") for fault in kept.faults)
    assert any(fault.startswith("bound is stated as") for fault in lost.faults)


def test_a_case_table_of_unequal_columns_is_a_damaged_file(tmp_path: Path) -> None:
    result = to.solve(three_lumps())
    write_folder(
        tmp_path / "p", plan=result.plan, certificate=result.certificate, claims=result.claims("toy"), manifest={}
    )
    path = tmp_path / "p" / "certificate.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    np.savez_compressed(path, **{**content, "case_reps": content["case_reps"][:-1]})
    with pytest.raises(to.PlanFolderError, match="case_accounts and case_reps differ in length"):
        read_folder(tmp_path / "p")
