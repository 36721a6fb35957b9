"""The door: statuses, progress, reproducibility, interruption, joint against sequential."""

from __future__ import annotations

import math
import signal
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from builders import mostly_slow, random_problem
from territory_opt.cli.screen import Screen
from territory_opt.cli.wording import outcome
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip import exact, mathopt
from territory_opt.optimize.mip.linear import LinearModel
from territory_opt.optimize.mip.mathopt import MipLimits, Solution, solve_mip
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.search.moves import Search
from territory_opt.report.headline import proof_sentence
from territory_opt.synthetic.market import generate_market

TOY = Path(__file__).parents[1] / "scenarios" / "toy"


@cache
def market() -> to.Problem:
    """250 accounts x 8 reps: beyond the exact method, with quotas, a hard band, priced odds and fairness."""
    tables = generate_market(accounts=250, reps=8, seed=3, months=12)
    frames = {name: frame for name, frame in tables.items() if name != "units"}
    target = round(1.1 * float(tables["sales"]["sales"].sum()), -4)
    policy = to.Policy.model_validate(
        {
            "territories": {"balance": {"potential": {"band": 0.15, "hard": True}}},
            "quotas": {"target": target, "hedge": {"company": 0.03}},
        }
    )
    return to.Problem.from_tables(**frames, policy=policy)


def with_quotas(problem: to.Problem, **changes: Any) -> to.Problem:
    policy = problem.policy.model_dump()
    policy["quotas"] |= changes
    return replace(problem, policy=to.Policy.model_validate(policy))


def toy(**overrides: Any) -> to.Problem:
    return to.load_scenario(
        TOY, overrides={key.replace("__", "."): value for key, value in overrides.items()}
    ).problem()


@cache
def solved_market() -> tuple[to.Result, list[to.Progress]]:
    seen: list[to.Progress] = []
    return to.solve(market(), seed=7, progress=seen.append), seen


# --- statuses -------------------------------------------------------------------------------------------------


def test_toy_is_solved_to_the_optimum() -> None:
    result = to.solve(toy())
    assert result.status == to.Status.OPTIMAL
    assert result.method == "exact"
    assert result.violations == ()
    assert result.plan.assignment["A10"] == "R4"
    assert result.plan.annual.sum() == pytest.approx(1200.0)
    assert result.bound >= result.objective - 1e-6
    assert result.bound_kind == "verified"
    assert result.gap_money == pytest.approx(result.bound - result.objective)
    assert not result.proven


def test_impossible_rules_give_the_least_bad_plan_and_a_proof() -> None:
    result = to.solve(toy(territories__keep__max_moved_accounts=0))
    assert result.status == to.Status.INFEASIBLE
    assert result.has_plan
    assert result.proven
    assert {v.rule for v in result.violations} <= {"balance: potential", "moved accounts"}
    assert 0 < result.least_violation <= sum(v.share for v in result.violations) + 1e-7
    assert any(way.enough for way in result.relaxations)
    assert to.certify(result.model.problem, result.plan, result.certificate).least_violation > 0


@pytest.mark.slow
def test_a_market_beyond_the_exact_method() -> None:
    result, _ = solved_market()
    assert result.method == "large"
    assert result.status in (to.Status.OPTIMAL, to.Status.FEASIBLE)
    assert to.audit(market(), result.plan) == []
    assert result.bound >= result.objective
    assert result.gap < 0.05
    assert result.plan.assignment.index.tolist() == market().accounts["account_id"].tolist()


@pytest.mark.parametrize("limit", [1e-3, 0.02, 0.1, 0.3, 5.0])
def test_a_search_is_called_complete_only_if_it_was(limit: float) -> None:
    """Whatever the clock cut: what is called optimal by a complete search names no branch and bound as cut short."""
    result = to.solve(toy(), time_limit=limit)
    by_search = result.status is to.Status.OPTIMAL and result.gap > 1e-3
    assert result.searched or not by_search
    assert not (result.searched and "branch and bound" in result.cut_short)
    said = "a complete search found no better one" in proof_sentence(result)
    assert said == (result.searched and result.gap_money >= 0.005)
    if limit > 1:
        assert result.searched


def test_a_search_that_was_cut_short_is_not_called_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Branch and bound gives back the plan it was given, and no better bound, as at the end of its time."""

    def cut(linear: LinearModel, limits: MipLimits, *, start: Any = None, **options: Any) -> Solution:
        found = solve_mip(linear, limits, start=start, **options)
        return replace(found, outcome="feasible", bound=found.bound + 1e6)

    monkeypatch.setattr(exact, "solve_mip", cut)
    monkeypatch.setattr(Clock, "out", lambda clock, work, needs=0.0: clock.note_cut(work) or True)
    result = to.solve(toy())
    assert "branch and bound" in result.cut_short
    assert result.status is to.Status.FEASIBLE
    assert not result.searched
    assert "complete search" not in proof_sentence(result)


def test_no_time_before_any_plan() -> None:
    """A limit no solver can keep still gives a result that says what it knows, with or without a plan."""
    result = to.solve(market(), time_limit=1e-6)
    assert result.raw_status.startswith("time limit")
    assert math.isfinite(result.bound)
    if result.status == to.Status.NO_PLAN:
        with pytest.raises(to.NoPlanError, match="no plan was found"):
            _ = result.plan


def test_what_the_time_limit_cut_short_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A result names the work that was not done, and so does the screen; one that was all done names none."""
    whole, cut = to.solve(toy()), to.solve(market(), time_limit=1e-6)
    assert (whole.raw_status, whole.cut_short) == ("complete", ())
    assert cut.raw_status == "time limit"
    assert cut.cut_short[0] == "bound"
    assert set(cut.cut_short) <= {
        "bound",
        "large accounts",
        "search",
        "polish",
        "cases",
        "core",
        "least bad",
        "ways out",
    }
    outcome(Screen(), cut, Path("plan"), seconds=0.0)
    assert f"time limit (cut short: {', '.join(cut.cut_short)})" in capsys.readouterr().out


def test_seconds_of_compiling_are_lent_to_the_time_limit() -> None:
    clock, told = Clock(10.0, lambda progress: told.append(progress.phase)), []

    @numba.njit
    def double(x: float) -> float:
        return 2 * x

    with clock.lends():
        assert double(2.0) == 4.0
        compiling = clock.lent
        assert double(3.0) == 6.0
    assert 0 < compiling == clock.lent
    assert told == ["compiling"]
    clock.started -= 10.0
    assert clock.over is (clock.seconds >= 10.0 + compiling)
    assert clock.left == pytest.approx(max(10.0 + compiling - clock.seconds, 0.0), abs=0.1)


@pytest.mark.parametrize(("folder", "said"), [(Path("kept"), "once for this machine"), (None, "set NUMBA_CACHE_DIR")])
def test_code_that_cannot_be_kept_is_no_secret(monkeypatch: pytest.MonkeyPatch, folder: Path | None, said: str) -> None:
    monkeypatch.setattr("territory_opt.optimize.clock.cache_folder", lambda: folder)
    clock, told = Clock(10.0, lambda progress: told.append(progress.detail)), []

    @numba.njit
    def triple(x: float) -> float:
        return 3 * x

    with clock.lends():
        triple(2.0)
    assert len(told) == 1
    assert said in told[0]


def test_work_is_stopped_at_its_deadline_and_not_before_it() -> None:
    clock = Clock(0.05)
    with clock.deadline():
        assert clock.flag[0] == 0
        while clock.flag[0] == 0:
            assert clock.seconds < 60
        assert clock.over
    assert clock.flag[0] == 0


@pytest.mark.parametrize("cut", [True, False])
def test_a_round_that_was_cut_short_says_so_however_good_its_plan(monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    """The clock tells a round to stop, and its plan happens to meet the gap."""
    improve, rounds = Search.improve, []

    def round_of(search: Search, *given: Any, stop: Any, **options: Any) -> None:
        improve(search, *given, stop=stop, **options)
        rounds.append(1)
        stop[0] = int(cut)

    monkeypatch.setattr(Search, "improve", round_of)
    monkeypatch.setattr(Incumbent, "close_to", lambda *_: bool(rounds))
    result = to.solve(with_quotas(market(), mode="sequential"), time_limit=100)
    assert rounds
    assert ("search" in result.cut_short, result.raw_status == "complete") == (cut, not cut)


def test_a_result_without_a_plan_refuses_to_give_one() -> None:
    result = replace(to.solve(toy()), _figures=None, status=to.Status.NO_PLAN, raw_status="time limit before any plan")
    assert not result.has_plan
    with pytest.raises(to.NoPlanError) as raised:
        _ = result.plan
    assert str(raised.value) == "no plan was found (time limit before any plan); give a longer time limit"


@pytest.mark.parametrize("limit", [0, -1.0])
def test_time_limit_must_be_positive(limit: float) -> None:
    with pytest.raises(ValueError, match=f"time_limit is {limit:g}; it must be positive seconds"):
        to.solve(toy(), time_limit=limit)


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("time_limit", math.nan, "time_limit is nan; it must be positive seconds"),
        ("gap", -1.0, "gap is -1; it must be a share of 0 or more"),
        ("gap", math.nan, "gap is nan; it must be a share of 0 or more"),
        ("seed", -1, "seed is -1; it must be a whole number from 0 to 2,147,483,647"),
    ],
)
def test_options_that_make_no_sense_are_refused(option: str, value: float, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        to.solve(toy(), **{option: value})


def test_account_that_nobody_may_serve() -> None:
    problem = toy(territories__travel__max_distance_km=45)
    with pytest.raises(to.DataError, match="Inner Circle has no eligible rep") as raised:
        to.solve(problem)
    assert {issue.fix.split(", or ")[0] for issue in raised.value.issues} == {
        "raise territories.travel.max_distance_km"
    }


# --- progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_progress_ends_with_a_plan_and_a_bound(large: bool) -> None:
    if large:
        result, seen = solved_market()
    else:
        seen = []
        result = to.solve(toy(), progress=seen.append)
    assert len(seen) >= 3
    last = seen[-1]
    assert math.isfinite(last.incumbent)
    assert math.isfinite(last.bound)
    assert last.incumbent <= last.bound + 1e-6 * abs(last.bound)
    # Rounding of quotas aside, what was shown is what is returned.
    quotas = result.model.problem.policy.quotas
    rounding = (
        quotas.step * result.model.problem.n_reps * (quotas.fairness.price + (quotas.odds.price if quotas.odds else 0))
    )
    assert last.incumbent == pytest.approx(result.objective, abs=rounding + 1e-3 * abs(result.objective))
    assert [p.seconds for p in seen] == sorted(p.seconds for p in seen)
    assert all(p.phase for p in seen)


@pytest.mark.slow
def test_seconds_and_phases_are_reported() -> None:
    result, _ = solved_market()
    assert 0 < sum(result.phases.values()) <= result.seconds + 0.1
    assert {"model", "bound", "large accounts", "polish", "quotas"} <= set(result.phases)
    assert result.summary()["gap"] == result.gap


# --- same seed, same plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pytest.param(market, marks=pytest.mark.slow), toy])
def test_same_seed_same_plan(make: Any) -> None:
    first = solved_market()[0] if make is market else to.solve(make(), seed=7)
    again = to.solve(make(), seed=7)
    assert first.plan.assignment.equals(again.plan.assignment)
    assert first.plan.annual.to_numpy().tobytes() == again.plan.annual.to_numpy().tobytes()
    assert first.plan.quotas["quota"].to_numpy().tobytes() == again.plan.quotas["quota"].to_numpy().tobytes()
    assert first.objective == again.objective
    assert first.bound == again.bound
    assert first.certificate.values.tobytes() == again.certificate.values.tobytes()


def test_solving_leaves_the_problem_as_it_was() -> None:
    problem = random_problem(3)
    before = {name: getattr(problem, name).copy() for name in ("accounts", "reps", "managers", "rules")}
    to.solve(problem)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(getattr(problem, name), frame)


# --- quotas ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_joint_is_at_least_as_good_as_sequential() -> None:
    joint = to.solve(market(), seed=7, joint_gain=True)
    assert joint.joint_gain > 0.0
    assert joint.objective == solved_market()[0].objective, "measuring changes no plan"
    assert math.isnan(to.solve(market(), time_limit=1e-6, joint_gain=True).joint_gain)
    assert math.isnan(solved_market()[0].joint_gain)
    sequential = to.solve(with_quotas(market(), mode="sequential"), seed=7)
    assert to.audit(market(), sequential.plan) == []
    # Both judged at the joint plan's fair share of expected sales.
    judged = to.certify(market(), replace(sequential.plan, kappa=joint.plan.kappa), joint.certificate)
    assert joint.objective >= judged.objective - 1e-3 * abs(judged.objective)
    assert judged.objective <= judged.bound


@pytest.mark.parametrize("seed", mostly_slow(range(6), quick=2))
def test_sequential_mode_takes_the_territories_of_a_plan_without_quotas(seed: int) -> None:
    problem = random_problem(seed, quotas=True)
    alone = to.solve(with_quotas(problem, target=None))
    sequential = to.solve(with_quotas(problem, mode="sequential"))
    assert sequential.plan.assignment.equals(alone.plan.assignment)
    assert sequential.plan.has_quotas
    assert math.isnan(sequential.joint_gain)
    if sequential.status != to.Status.INFEASIBLE:
        assert sequential.bound >= sequential.objective - 1e-6 * abs(sequential.objective)


@pytest.mark.slow
def test_sequential_mode_does_not_claim_the_optimum_of_the_joint_model() -> None:
    """Branch and bound has seen the territories alone: its claim is not one about territories with quotas."""
    wrong = []
    for seed in range(12):
        problem = random_problem(seed, quotas=True)
        sequential = to.solve(with_quotas(problem, mode="sequential"))
        if sequential.status == to.Status.OPTIMAL and sequential.gap > 1e-3:
            joint = to.solve(problem)
            judged = to.certify(problem, replace(joint.plan, kappa=sequential.plan.kappa), sequential.certificate)
            if judged.objective > sequential.objective * (1 + 1e-3 * np.sign(sequential.objective)) + 1.0:
                wrong.append((seed, sequential.objective, judged.objective))
    assert wrong == []


@pytest.mark.slow
def test_territories_without_quotas() -> None:
    result = to.solve(with_quotas(market(), target=None))
    assert not result.plan.has_quotas
    assert result.plan.annual.empty
    assert result.plan.quotas.empty
    assert result.plan.kappa == 0.0
    assert math.isnan(result.joint_gain)
    assert to.audit(result.model.problem, result.plan) == []
    assert result.gap < 0.05


@pytest.mark.slow
def test_quotas_add_up_to_the_hedged_target() -> None:
    result, _ = solved_market()
    target = market().policy.quotas.target
    assert target is not None
    assert result.plan.annual.sum() == pytest.approx(target * 1.03, abs=1.0)
    assert result.plan.quotas["quota"].sum() == pytest.approx(result.plan.annual.sum(), abs=1e-6)


@pytest.mark.slow
def test_kappa_of_the_plan_is_its_own_fair_share() -> None:
    """Quotas at kappa times expected sales meet the target: kappa is data, but not any data."""
    result, _ = solved_market()
    sales = result.evaluation.rep_sales.sum()
    assert result.plan.kappa == pytest.approx(market().policy.quotas.target * 1.03 / sales, rel=1e-3)


# --- Ctrl-C ---------------------------------------------------------------------------------------------------


def interrupted_at(problem: to.Problem, number: int) -> tuple[to.Result, list[to.Progress]]:
    """Solve; the callback raises KeyboardInterrupt at its call ``number``, once."""
    seen: list[to.Progress] = []

    def callback(progress: to.Progress) -> None:
        seen.append(progress)
        if len(seen) == number:
            raise KeyboardInterrupt

    try:
        return to.solve(problem, seed=7, progress=callback), seen
    except KeyboardInterrupt:
        # A plain failure: pytest itself would stop at the interrupt.
        raise AssertionError(f'Ctrl-C during "{seen[-1].phase}" (call {number}) escaped from solve') from None


@pytest.mark.parametrize("number", mostly_slow([2, 3, 4, 6, 10, 11, 12, 14, 17], quick=2))
def test_ctrl_c_returns_a_plan_and_a_bound(number: int) -> None:
    """Calls 2-9 are about territories alone, 10-17 about territories with quotas."""
    result, seen = interrupted_at(market(), number)
    assert len(seen) >= number
    assert result.raw_status == "interrupted"
    assert result.has_plan
    assert math.isfinite(result.bound)
    assert result.plan.assignment.notna().all()
    if result.status != to.Status.INFEASIBLE:
        assert result.bound >= result.objective - 1e-6 * abs(result.objective)
    shown = seen[number - 1]
    joint = any(p.phase == "territories and quotas together" for p in seen[:number])
    if joint and math.isfinite(shown.incumbent) and not shown.detail.startswith("hard rules"):
        assert result.objective >= shown.incumbent - 1e-4 * abs(result.objective)


@pytest.mark.parametrize("number", [2, 3, 4, 6, 8])
def test_ctrl_c_keeps_the_best_plan_so_far(number: int) -> None:
    """What the planner saw on the screen is not lost."""
    problem = with_quotas(market(), target=None)
    result, seen = interrupted_at(problem, number)
    assert result.raw_status == "interrupted"
    if result.status != to.Status.INFEASIBLE:
        assert result.bound >= result.objective - 1e-6 * abs(result.objective)
    clean = [p.incumbent for p in seen if math.isfinite(p.incumbent) and not p.detail.startswith("hard rules")]
    shown = max(clean, default=-math.inf)
    assert to.audit(problem, result.plan) == [] or math.isinf(shown)
    assert result.objective >= shown - 1e-6 * abs(result.objective)


def test_ctrl_c_is_heard_while_a_solver_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver goes on for ever, as far as this run is concerned; the interrupt comes from another thread."""
    release, seen = threading.Event(), []
    inner = mathopt._solve

    def endless(linear: Any, *arguments: Any, **options: Any) -> Any:
        if not options.get("relax") and not seen:
            seen.append(True)
            timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
            timer.start()
            release.wait(60.0)
        return inner(linear, *arguments, **options)

    monkeypatch.setattr(mathopt, "_solve", endless)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background starts without
    try:
        result = to.solve(toy(), seed=7)
        assert not release.is_set()
    finally:
        release.set()
        signal.signal(signal.SIGINT, before)
    assert result.raw_status == "interrupted"
    assert to.audit(result.model.problem, result.plan) == []


@pytest.mark.parametrize("number", range(2, 6))
def test_ctrl_c_in_the_exact_method(number: int) -> None:
    result, _ = interrupted_at(toy(), number)
    assert result.raw_status == "interrupted"
    assert result.has_plan
    assert math.isfinite(result.bound)
