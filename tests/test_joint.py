"""Territories and quotas together: large accounts first, all others around them; models of a part of a problem."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

import territory_opt as to
from builders import random_problem
from territory_opt.model.model import Model
from territory_opt.optimize.bound.bounded import bound_at_scale
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.part import part_of
from territory_opt.optimize.mip.relax_fix import place_large
from territory_opt.optimize.search.settle import settle
from territory_opt.optimize.task import Task


@cache
def company(accounts: int = 120, reps: int = 4) -> to.Problem:
    tables = to.generate(accounts, reps, seed=5)
    target = round(12.0 * float(tables["sales"].groupby("month")["sales"].sum().tail(12).mean()), -3)
    policy = {"territories": {"balance": {"potential": {"band": 0.1, "hard": True}}}, "quotas": {"target": target}}
    return to.Problem.from_tables(**tables, policy=to.Policy.model_validate(policy))


def bounded(problem: to.Problem, **options: int) -> Task:
    return bound_at_scale(Task.of(Model.build(problem), Clock(1e6), **options))


@pytest.mark.parametrize("seed", range(8))
def test_a_part_of_a_problem_is_worth_what_the_whole_says(seed: int) -> None:
    """Nodes of two reps are free: the best of the small model is the best of the whole one with all others fixed."""
    task = bounded(random_problem(seed, quotas=True, reps=3), seed=seed)
    pairs, reps = task.model.pairs(), task.bounded.start
    group = np.array([0, 1])
    inside = np.isin(reps, group)
    own = pairs.keep(inside[pairs.node] & np.isin(pairs.rep, group))
    fixed = np.zeros((task.rows.n_reps, len(task.rows.quantities)))
    stays = ~inside[pairs.node] & (pairs.rep == reps[pairs.node])
    for k, q in enumerate(pairs.quantities):
        fixed[:, k] = np.bincount(pairs.rep[stays], q[stays], minlength=task.rows.n_reps)
    price = np.where(task.rows.hard, 1e4 / task.rows.scale, 0.0)
    part = part_of(task, own, group, fixed, violations="price", hard_price=price)
    whole = linear_model(task.model, pairs, task.rows, violations="price", hard_price=price)
    may = np.where(inside[pairs.node], np.isin(pairs.rep, group), pairs.rep == reps[pairs.node])
    high = np.minimum(whole.column_high, np.concatenate([may, np.full(len(whole.cost) - len(may), np.inf)]))
    rows = task.rows
    left_out = (rows.owner == 2) & (np.diff(rows.quotas.indptr) == 0)
    paid = np.where(rows.hard, price, rows.price) * np.abs(rows.outside(fixed, np.zeros(3)))
    outside = float(pairs.value[stays].sum() - paid[left_out].sum())
    assert best_of(part.linear) + outside == pytest.approx(
        best_of(replace(whole, column_high=high)), rel=1e-6, abs=1e-3
    )


def best_of(linear) -> float:  # type: ignore[no-untyped-def]
    """The optimum in money, by a solver that is not ours."""
    found = milp(
        -linear.cost,
        integrality=linear.integer.astype(int),
        bounds=Bounds(linear.column_low, linear.column_high),
        constraints=LinearConstraint(linear.matrix, linear.low, linear.high),
    )
    assert found.status == 0, found.message
    return float(-found.fun) * linear.money


def test_large_accounts_are_placed_and_the_rest_settles_around_them() -> None:
    task = bounded(company())
    placed = place_large(task)
    assert placed is not None
    assert (placed.reps >= 0).all()
    assert placed.multipliers.shape == (len(task.rows),)
    rounded, settled = task.judged(placed.reps), settle(task, placed.reps, placed.multipliers)
    assert settled.rank <= rounded.rank
    assert settled.value <= task.bounded.bound + 1e-6 * abs(task.bounded.bound)


def test_large_accounts_keep_to_eligible_reps() -> None:
    problem = company()
    task = bounded(problem)
    placed = place_large(task)
    assert placed is not None
    model = task.model
    assert model.source.facts(model.source.nodes.first, placed.reps).eligible.all()


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_windows_of_many_reps_give_the_same_plan_for_any_number_of_threads(threads: int) -> None:
    task = bounded(company(400, 24), threads=threads)
    relax = replace(task.settings.relax, window=10, core=5)
    placed = place_large(replace(task, settings=replace(task.settings, relax=relax)))
    assert placed is not None
    assert task.judged(placed.reps).rank < task.judged(task.nearest.rep[:, 0].astype(np.int64)).rank
    first = bounded(company(400, 24), threads=1)
    again = place_large(replace(first, settings=replace(first.settings, relax=relax)))
    assert again is not None
    assert placed.reps.tolist() == again.reps.tolist()


@pytest.mark.slow
def test_the_joint_way_is_close_to_its_bound_and_the_judge_agrees() -> None:
    problem = company()
    result = to.solve(problem)
    assert result.method == "large"
    assert "large accounts" in result.phases
    assert to.audit(problem, result.plan) == []
    certificate = to.certify(problem, result.plan, result.certificate)
    assert certificate.problems == ()
    assert certificate.objective <= certificate.bound
    assert result.gap < 0.02


@pytest.mark.slow
def test_without_time_large_accounts_are_named_as_cut_short() -> None:
    result = to.solve(company(), time_limit=1e-6)
    assert "large accounts" in result.cut_short


@pytest.mark.slow
def test_a_problem_without_rows_needs_no_polish() -> None:
    problem = company()
    policy = problem.policy.model_copy(
        update={
            "territories": problem.policy.territories.model_copy(update={"balance": {}}),
            "quotas": problem.policy.quotas.model_copy(update={"target": None}),
        }
    )
    result = to.solve(replace(problem, policy=policy), gap=0.0)
    assert result.gap == pytest.approx(0.0, abs=1e-6)
    assert to.audit(result.model.problem, result.plan) == []


@pytest.mark.slow
def test_ctrl_c_while_large_accounts_are_placed_returns_the_best_so_far() -> None:
    result = to.solve(company(400, 24), progress=lambda step: step.phase != "large accounts")
    assert result.raw_status == "interrupted"
    assert result.has_plan
    assert to.certify(company(400, 24), result.plan, result.certificate).problems == ()
