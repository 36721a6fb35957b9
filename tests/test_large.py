"""The large-scale method: compiled pricing, the dual, fixing, exchanges, re-solve; all against the judge."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from benchmarks.markets import make_market
from benchmarks.scale import edited

import territory_opt as to
from builders import bounded, bounded_task, mostly_slow, program_bound, random_problem, tuned
from territory_opt.model.model import Model
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import (
    ceiling_prices,
    hard_prices,
    prove_least_violation,
)
from territory_opt.optimize.bound.dual import settle_quotas
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.pairs import pricing
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import BARRED, best_reps, pairs_of, union
from territory_opt.optimize.search.candidates import candidates
from territory_opt.optimize.search.exchange import exchange
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.search.moves import Effort, Search, State
from territory_opt.optimize.search.moves import _gather as gather
from territory_opt.optimize.search.rows import SearchRows, rep_cost, shared_cost
from territory_opt.optimize.settings import CeilingSettings
from territory_opt.optimize.solve import solve
from territory_opt.optimize.task import Task
from territory_opt.plan.certificate import dual_bound, multiplier_problems
from territory_opt.synthetic.market import generate_market

SEEDS = range(40)


@cache
def market(accounts: int = 400, reps: int = 8, seed: int = 1) -> to.Problem:
    return make_market("heavy", accounts, reps, seed=seed).problem()


@cache
def with_everything() -> to.Problem:
    """300 accounts x 8 reps with quotas, families, required skills, hours, a move budget and a distance limit."""
    tables = generate_market(accounts=300, reps=8, seed=5, months=12)
    frames = {name: frame for name, frame in tables.items() if name != "units"}
    target = round(1.05 * float(tables["sales"]["sales"].sum()), -4)
    policy = {
        "territories": {
            "balance": {"potential": {"band": 0.2, "price_per_point": 2000}},
            "hours": {},
            "keep": {"max_moved_revenue": 0.6},
            "travel": {"max_distance_km": 4000},
        },
        "quotas": {"target": target},
    }
    return to.Problem.from_tables(**frames, policy=to.Policy.model_validate(policy))


# --- pricing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", mostly_slow(SEEDS, quick=8))
def test_compiled_pairs_are_those_of_the_judge(seed: int) -> None:
    """Every eligible pair, its value and its quantities, for every family of rules."""
    model = Model.build(random_problem(seed))
    factors, expected = Factors.of(model), model.pairs()
    shape = (model.problem.n_reps, len(model.source.names))
    scale = np.maximum(np.abs(expected.quantities).max(axis=1), 1e-9)
    at_rep = np.random.default_rng(seed).normal(size=shape) * 1000.0 / scale
    lists = best_reps(factors, at_rep, shape[0])
    start, rep = union([lists.rep], shape[0])
    found = pairs_of(factors, start, rep)
    np.testing.assert_array_equal(start, expected.start)
    np.testing.assert_array_equal(rep, expected.rep)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(found.quantities, expected.quantities, rtol=1e-9, atol=1e-9)
    reduced = expected.value + np.einsum("pk,kp->p", at_rep[expected.rep], expected.quantities)
    best = np.maximum.reduceat(reduced, expected.start[:-1])
    np.testing.assert_allclose(lists.best, best, rtol=1e-7, atol=1e-4)
    assert (lists.best > BARRED * 0.1).all()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_size_of_blocks_changes_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Families larger than a block, too: what is worked on at a time is no part of the answer."""
    rng = np.random.default_rng(size)
    n, m = 40, 6
    accounts = pd.DataFrame(
        {
            "account_id": [f"A{i}" for i in range(n)],
            "lat": rng.uniform(40, 50, n),
            "lon": rng.uniform(0, 10, n),
            "potential": rng.uniform(10, 100, n),
            "current_sales": rng.uniform(0, 50, n),
            "workload": rng.uniform(1, 9, n),
            "incumbent": [f"R{j}" if j < m else "" for j in rng.integers(0, m + 2, n)],
            "family": ["large" if i < 9 else "small" if i < 12 else "" for i in rng.permutation(n)],
        }
    )
    reps = pd.DataFrame(
        {"rep_id": [f"R{j}" for j in range(m)], "lat": rng.uniform(40, 50, m), "lon": rng.uniform(0, 10, m)}
    )
    policy = to.Policy.model_validate({"quotas": {"target": 2000.0}} if size % 2 else {})
    model = Model.build(to.Problem.from_tables(accounts=accounts, reps=reps, policy=policy))
    factors = Factors.of(model)
    at_rep = rng.normal(size=(m, factors.n_quantities))
    monkeypatch.setattr(pricing, "INNER", replace(pricing.INNER, pricing_cells=size * m, pricing_nodes=4))
    lists = best_reps(factors, at_rep, m)
    for block in model.source.blocks():
        reduced = block.value + sum(at_rep[:, k] * block.quantities[k] for k in range(factors.n_quantities))
        reduced = np.where(block.eligible, reduced, -np.inf)
        order = np.argsort(-reduced, axis=1, kind="stable")
        assert (lists.rep[block.start : block.stop] == order).all()
        np.testing.assert_allclose(lists.best[block.start : block.stop], reduced.max(axis=1), rtol=1e-12, atol=1e-9)


def test_the_best_reps_are_listed_best_first() -> None:
    model = Model.build(market())
    factors = Factors.of(model)
    lists = best_reps(factors, np.zeros((8, 2)), 4)
    pairs = model.pairs()
    value = pairs.value.reshape(-1, 8)
    np.testing.assert_array_equal(lists.rep, np.argsort(-value, axis=1, kind="stable")[:, :4])


def test_far_ends_of_the_globe() -> None:
    """Distances beyond a quarter of the globe take another branch in compiled code."""
    accounts = pd.DataFrame(
        {"account_id": ["N", "S", "E"], "lat": [80.0, -80.0, 0.0], "lon": [0.0, 170.0, 90.0], "potential": 1.0}
    )
    reps = pd.DataFrame({"rep_id": ["A", "B"], "lat": [85.0, -85.0], "lon": [10.0, 0.0]})
    model = Model.build(to.Problem.from_tables(accounts, reps))
    pairs = model.pairs()
    factors = Factors.of(model)
    lists = best_reps(factors, np.zeros((2, len(model.source.names))), 2)
    best = np.maximum.reduceat(pairs.value, pairs.start[:-1])
    np.testing.assert_allclose(lists.best, best, rtol=1e-8)
    assert len(pairs.rep) == 6
    np.testing.assert_allclose(pairs_of(factors, pairs.start, pairs.rep).value, pairs.value, rtol=1e-8)


# --- the dual -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 6_000], ids=["by ascent alone", "from a linear program"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_dual_meets_the_linear_program(seed: int, first: int) -> None:
    """On a market without quotas the ascent ends within 0.05 % of the exact optimum, and never below it."""
    model = Model.build(market(seed=seed))
    exact = program_bound(model)
    found = bounded(model, settings=tuned(program={"nodes": first}))
    assert found.bound >= exact.bound - 1e-6 * abs(exact.bound)
    assert found.bound - exact.bound <= 5e-4 * abs(exact.bound)


def test_the_dual_meets_the_linear_program_with_quotas() -> None:
    model = Model.build(with_everything())
    exact = program_bound(model)
    found = bounded(model)
    assert abs(found.bound - exact.bound) <= 1e-3 * abs(exact.bound)
    assert multiplier_problems(model, to.Multipliers.of(model, found.multipliers)) == []


@pytest.mark.slow
def test_a_sample_is_a_good_start() -> None:
    """The coarse problem changes the way, not the bound."""
    model, by_ascent = Model.build(market(2000, 8)), {"nodes": 0}
    whole = bounded(model, settings=tuned(program=by_ascent))
    passes: list[float] = []
    clock = Clock(1e9, lambda step: passes.append(step.bound))
    sampled = tuned(program=by_ascent, ascent={"coarse_nodes": 300, "coarse_per_rep": 1})
    coarse = bounded(model, clock=clock, settings=sampled)
    assert np.isnan(passes[0])
    assert coarse.bound == pytest.approx(whole.bound, rel=2e-4)


@pytest.mark.parametrize("seed", mostly_slow(range(25), quick=5))
def test_quota_multipliers_are_settled_within_their_prices(seed: int) -> None:
    """Whatever the ascent leaves, no positive reduced value of a quota remains where rows can take it."""
    model = Model.build(random_problem(seed, quotas=True))
    rows = model.rows
    price = ceiling_prices(rows, 1e6, CeilingSettings())
    values = np.random.default_rng(seed).uniform(-1, 1, len(rows)) * np.where(rows.hard, 0.5, price)
    values = np.where((values > 0) & np.isinf(rows.low), 0.0, values)
    values = np.where((values < 0) & np.isinf(rows.high), 0.0, values)
    settled = settle_quotas(rows, values, price)
    assert multiplier_problems(model, to.Multipliers.of(model, settled)) == []
    assert (rows.quotas.T @ settled).max() <= max(float((rows.quotas.T @ values).max()), 1e-9)


@pytest.mark.slow
def test_clashing_rules_are_proven_to_clash_at_scale() -> None:
    """Every account locked to one rep: the bands cannot hold, and multipliers say so."""
    tables = make_market("moderate", 300, 4, seed=2)
    policy = to.Policy.model_validate({"territories": {"balance": {"potential": {"band": 0.05, "hard": True}}}})
    first = tables.accounts["account_id"].head(150)
    rules = pd.DataFrame({"rule": "lock", "account_id": first, "rep_id": tables.reps["rep_id"].iloc[0]})
    problem = to.Problem.from_tables(tables.accounts, tables.reps, rules=rules, policy=policy)
    model = Model.build(problem)
    values, proven = prove_least_violation(Task.of(model, Clock(1e9)))
    share = float(problem.accounts["potential"].head(150).sum() / (problem.accounts["potential"].sum() / 4))
    assert len(values) == len(model.rows)
    # Rep 1 is at least share - 1.05 above its band, and the other three share what is left.
    assert 0.9 * (share - 1.05) <= proven <= 2 * (share - 1.0)
    result = to.solve(problem, time_limit=30.0)
    assert result.status == to.Status.INFEASIBLE
    assert result.proven


# --- the plan -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", mostly_slow(range(0, 60, 4), quick=1))
def test_forced_onto_small_problems_it_is_never_above_its_bound(seed: int) -> None:
    """The large method on problems of a few accounts, every family of rules in play, next to the exact one."""
    problem = random_problem(seed)
    best = to.solve(problem)
    result = solve(problem, time_limit=20.0, settings=tuned(solve={"exact_pairs": 0}))
    assert result.method == "large"
    certificate = to.certify(problem, result.plan, result.certificate)
    assert certificate.problems == ()
    assert certificate.objective == pytest.approx(result.objective, abs=0.01)
    assert certificate.bound == pytest.approx(result.bound, abs=0.01)
    if result.status != to.Status.INFEASIBLE:
        assert to.audit(problem, result.plan) == []
        assert result.objective <= result.bound + 1e-6 * max(abs(result.bound), 1.0)
    if best.status == to.Status.INFEASIBLE:
        assert result.status == to.Status.INFEASIBLE


@pytest.mark.slow
def test_a_market_is_solved_close_to_its_bound() -> None:
    result = to.solve(market(1500, 8), time_limit=60.0)
    assert to.audit(market(1500, 8), result.plan) == []
    assert 0 <= result.gap <= 0.006
    assert "large-scale" in result.why


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "everything"])
def test_the_number_of_threads_changes_nothing(name: str) -> None:
    problem = market(300, 24) if name == "plain" else with_everything()
    settings = tuned(core={"pairs": 0})  # branch and bound has one thread anyway
    one, two = (solve(problem, time_limit=300.0, threads=k, seed=3, settings=settings) for k in (1, 2))
    assert one.raw_status == two.raw_status == "complete"
    pd.testing.assert_series_equal(one.plan.assignment, two.plan.assignment)
    assert one.objective == two.objective
    assert one.bound == two.bound


def test_fixed_pairs_cannot_be_in_a_better_plan() -> None:
    """Reduced-cost fixing: forcing a dropped pair in is bounded below the plan it was dropped for."""
    problem = market()
    model = Model.build(problem)
    task = bounded_task(model)
    found = task.bounded
    result = to.solve(problem, time_limit=60.0)
    keep = np.asarray(model.source.rep_index.get_indexer(result.plan.assignment), dtype=np.int64)
    room = found.bound - result.objective
    left = candidates(task, [keep], width=8, within=room)
    kept = set(zip(left.pairs.node.tolist(), left.pairs.rep.tolist(), strict=True))
    dropped = [(i, j) for i in range(400) for j in range(8) if (i, j) not in kept]
    assert dropped
    for i, j in [dropped[k] for k in np.random.default_rng(0).choice(len(dropped), 10, replace=False)]:
        ids = problem.accounts["account_id"].iloc[i], problem.reps["rep_id"].iloc[j]
        rules = pd.DataFrame({"rule": ["lock"], "account_id": [ids[0]], "rep_id": [ids[1]]})
        forced = Model.build(replace(problem, rules=pd.concat([problem.rules, rules], ignore_index=True)))
        assert dual_bound(forced, found.multipliers) <= result.objective + 1e-6 * abs(result.objective)


def searched(problem: to.Problem, start: npt.NDArray[np.int64] | None = None) -> tuple[Model, Rows, Search]:
    """A search over the 8 best reps of each node, without rows on quotas; from ``start``, else from the bound's."""
    model = Model.build(problem)
    rows = model.rows.territory_only()
    task = bounded_task(model, rows)
    found = task.bounded
    start = found.start if start is None else start
    lists = candidates(task, [start], width=8, within=np.inf)
    prices = hard_prices(rows, found.multipliers, lists.pairs, task.settings.search.hard_factor)
    return model, rows, Search(lists.pairs, lists.loss, SearchRows.of(model, rows, found.multipliers, prices), start)


def incumbents(problem: to.Problem) -> npt.NDArray[np.int64]:
    """Each node's rep of today."""
    source = Model.build(problem).source
    return np.maximum(source.incumbent[source.nodes.first], 0).astype(np.int64)


def with_budget(share: float) -> to.Problem:
    """The problem with everything, but with this share of revenue that may move."""
    problem = with_everything()
    keep = problem.policy.territories.keep.model_copy(update={"max_moved_revenue": share})
    territories = problem.policy.territories.model_copy(update={"keep": keep})
    return replace(problem, policy=problem.policy.model_copy(update={"territories": territories}))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_groups_keep_company_wide_rows_together(share: float) -> None:
    """Groups of reps that work side by side share what a move budget leaves free: together they do not exceed it."""
    problem = with_budget(share)
    stay = incumbents(problem)
    groups = [np.arange(0, 4), np.arange(4, 8)]

    def moved(problem: to.Problem) -> float:
        model, _, search = searched(problem, stay)
        search.improve(groups, Effort(50, 100.0, 1.0, 2), seed=0, threads=2, stop=np.zeros(1, np.int64))
        totals, _ = model.totals(search.reps)
        return float(totals[:, model.source.names.index("moved_sales")].sum())

    revenue = problem.accounts["current_sales"].sum()
    assert moved(with_budget(1.0)) > 1.5 * share * revenue
    assert 0.5 * share * revenue < moved(problem) <= share * revenue * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("threes", [False, True])
def test_exchanges_only_gain(threes: bool) -> None:
    """Whatever the compiled search believes to gain, the judge finds no loss."""
    model, rows, search = searched(market(400, 8, seed=2))
    values = [Incumbent.of(model, rows, search.reps).value]
    for round_ in range(3):
        effort = Effort(0, 1.0, 0.5, 3, threes=threes)
        search.improve([np.arange(8)], effort, seed=round_, threads=1, stop=np.zeros(1, np.int64))
        values.append(Incumbent.of(model, rows, search.reps).value)
    assert values[1] > values[0]
    assert values == sorted(values)


def group_state(search: Search, group: npt.NDArray[np.int64]) -> State:
    """The state of one group of reps as the compiled search sees it."""
    everyone = search.everyone()
    return gather(group, everyone, search.rows.shared_among(everyone.totals, 1))


def test_an_exchange_gains_what_the_judge_says() -> None:
    model, rows, search = searched(market(400, 8, seed=2))
    state, before = group_state(search, np.arange(8)), Incumbent.of(model, rows, search.reps).value
    found = 0
    for a, b in itertools.combinations(range(8), 2):
        flips = np.empty(4, np.int64)
        gained = exchange(state, search.rows.shared_among(search.totals(), 1), np.array([a, b]), flips)
        if gained == 0.0:
            continue
        found += 1
        reps = search.reps.copy()
        for pair in flips[flips >= 0]:
            local = np.searchsorted(state.first, pair, side="right") - 1
            assert state.rep[state.here[local]] in (a, b)
            reps[state.node[local]] = state.group[state.rep[pair]]
        assert Incumbent.of(model, rows, reps).value - before == pytest.approx(gained, rel=1e-6, abs=1e-6)
    assert found >= 3


@pytest.mark.parametrize("share", [0.02, 1.0])
def test_an_exchange_is_no_worse_than_the_best_single_flip(share: float) -> None:
    """What prunes must not hide a gain, under a company-wide budget as little as without."""
    _, _, search = searched(with_budget(share))
    shared = search.rows.shared_among(search.totals(), 1)
    state = group_state(search, np.arange(8))
    gains = 0
    for a, b in itertools.combinations(range(8), 2):
        best = max((single_flip(state, shared, a, b, i) for i in range(len(state.node))), default=0.0)
        gained = exchange(state, shared, np.array([a, b]), np.empty(4, np.int64))
        assert gained >= best - 1e-6 * max(abs(best), 1.0)
        gains += best > 1e-6
    assert gains >= 2


def single_flip(state: State, rows: SearchRows, a: int, b: int, i: int) -> float:
    """What it gains to hand node ``i`` from one of two reps to the other, by the priced rows."""
    old = state.here[i]
    if state.rep[old] not in (a, b):
        return 0.0
    other = b if state.rep[old] == a else a
    pairs = range(state.first[i], state.first[i + 1])
    new = next((p for p in pairs if state.rep[p] == other), None)
    if new is None:
        return 0.0
    gain, activity = float(state.value[new] - state.value[old]), state.activity.copy()
    for rep, change in ((state.rep[old], -state.weight[old]), (other, state.weight[new])):
        total = state.total[rep] + change
        cost = rep_cost(rows.start, rows.own, rows.by_rep, state.group[rep], total, np.zeros(len(rows.own)))
        gain += float(state.cost[rep] - cost)
        activity += rows.shared[:, state.group[rep], :] @ change
    for s, value in enumerate(activity):
        gain += shared_cost(rows.shared_limits, s, state.activity[s]) - shared_cost(rows.shared_limits, s, value)
    return gain


# --- re-solve -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_result_is_the_start_after_an_edit() -> None:
    """A rep leaves, twenty locks, changed accounts: the old plan and multipliers carry over."""
    tables = make_market("heavy", 1500, 12, seed=4)
    first = to.solve(tables.problem(), time_limit=60.0)
    after = edited(tables, first.plan, seed=4)
    problem = after.problem()
    result = to.solve(problem, time_limit=60.0, previous=first)
    assert "from the previous plan" in result.why
    assert to.audit(problem, result.plan) == []
    assert result.gap <= 0.03
    same = result.plan.assignment == first.plan.assignment.reindex(result.plan.assignment.index)
    assert same.mean() > 0.6
    assert after.rules is not None
    locked = after.rules.set_index("account_id")["rep_id"]
    assert (result.plan.assignment[locked.index] == locked).all()


@pytest.mark.slow
def test_a_re_solve_with_quotas_and_new_names() -> None:
    """Rows of new reps have no multiplier yet; quotas still tie."""
    problem = with_everything()
    first = to.solve(problem, time_limit=60.0)
    reps = problem.reps.copy()
    reps.loc[0, "rep_id"] = "R-NEW"
    accounts = problem.accounts.copy()
    gone = problem.reps["rep_id"].iloc[0]
    accounts.loc[accounts["incumbent"] == gone, "incumbent"] = ""
    again = replace(problem, reps=reps, accounts=accounts)
    result = to.solve(again, time_limit=60.0, previous=first)
    assert result.plan.annual.sum() == pytest.approx(first.plan.annual.sum(), rel=1e-3)
    assert result.bound >= result.objective or result.violations
    assert to.certify(again, result.plan, result.certificate).problems == ()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_a_re_solve_after_a_new_target(mode: str) -> None:
    """Fair quotas follow the new target, and the mode of the policy is kept."""
    tables = {
        name: t for name, t in generate_market(accounts=150, reps=6, seed=5, months=12).items() if name != "units"
    }
    target = round(float(tables["sales"]["sales"].sum()), -4)
    policies = [to.Policy.model_validate({"quotas": {"target": share * target, "mode": mode}}) for share in (1.0, 1.2)]
    problems = [to.Problem.from_tables(**tables, policy=policy) for policy in policies]
    first, fresh = (to.solve(problem, time_limit=60.0) for problem in problems)
    again = to.solve(problems[1], time_limit=60.0, previous=first)
    assert again.model.kappa == pytest.approx(fresh.model.kappa, rel=0.01)
    assert again.objective >= fresh.objective - 0.02 * abs(fresh.objective)
    assert to.certify(problems[1], again.plan, again.certificate).problems == ()


@pytest.mark.slow
def test_a_re_solve_fixes_kappa_anew() -> None:
    """The previous plan is of other territories: what is fair must follow the plan that comes out."""
    problems = []
    for seed in (5, 11):
        tables = generate_market(accounts=120, reps=5, seed=seed, months=12)
        target = round(float(tables["sales"]["sales"].sum()), -4)
        frames = {name: table for name, table in tables.items() if name != "units"}
        problems.append(to.Problem.from_tables(**frames, policy=to.Policy(quotas={"target": target})))
    result = to.solve(problems[1], previous=to.solve(problems[0]))
    assert "from the previous plan" in result.why
    assert abs(to.certify(problems[1], result.plan, result.certificate).kappa_drift) < 1e-3


def test_an_only_rep_with_quotas_has_no_gap() -> None:
    """There is one plan; the quota is the target, which is its limit too."""
    tables = make_market("moderate", 500, 1, seed=0)
    policy = to.Policy.model_validate({**tables.policy.model_dump(), "quotas": {"target": 1e6}})
    result = to.solve(to.Problem.from_tables(tables.accounts, tables.reps, policy=policy))
    assert result.method == "large"
    assert result.gap < 1e-6


@pytest.mark.parametrize("quotas", [{}, {"target": 1_000_000}])
def test_a_problem_without_any_rule(quotas: dict[str, float]) -> None:
    """No band, nothing to price: every account has its best rep, and that is proven."""
    tables = make_market("heavy", 450, 5, seed=1)
    policy = {"territories": {"balance": {}}, "quotas": quotas}
    problem = to.Problem.from_tables(tables.accounts, tables.reps, policy=to.Policy.model_validate(policy))
    result = to.solve(problem, time_limit=60.0)
    assert to.audit(problem, result.plan) == []
    assert result.bound >= result.objective
    if not quotas:
        assert result.gap_money == pytest.approx(0.0, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 7, 9, 14, 16])
def test_clashing_quota_rules_are_proven(seed: int) -> None:
    """Hard rules on quotas that cannot all hold: that is proven, and no plan that is found breaks them by less."""
    problem = random_problem(seed, quotas=True)
    model = Model.build(problem)
    _, proven = prove_least_violation(Task.of(model, Clock(1e9)))
    result = to.solve(problem, time_limit=60.0)
    assert result.violations
    assert result.proven
    assert proven > 0.0


def test_a_maximum_distance_equal_to_a_distance() -> None:
    """The farthest pair that is needed is allowed by the solver and by the judge alike."""
    tables = make_market("heavy", 60, 8, seed=4)
    far = Model.build(tables.problem()).source.eligibility.distance_km(np.arange(60))
    policy = to.Policy.model_validate({"territories": {"travel": {"max_distance_km": float(far.min(axis=1).max())}}})
    problem = to.Problem.from_tables(tables.accounts, tables.reps, policy=policy)
    model = Model.build(problem)
    assert (best_reps(Factors.of(model), np.zeros((8, len(model.source.names))), 1).rep >= 0).all()
    assert to.audit(problem, to.solve(problem, time_limit=60.0).plan) == []


@pytest.mark.slow
def test_a_forked_child_can_work_in_threads() -> None:
    """Threads do not survive a fork: the child makes its own."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    code = (
        "import os\nfrom territory_opt.optimize.pairs.pricing import in_threads\n"
        "in_threads(lambda _: None, range(4), 2)\n"
        "child = os.fork()\nin_threads(lambda _: None, range(4), 2)\n"
        "if child == 0:\n    os._exit(0)\nassert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_threads_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="threads is 0; it must be 1 or more"):
        to.solve(market(), threads=0)


# --- the program that starts the quotas -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_program_of_a_sample_starts_the_quotas() -> None:
    """With few nodes in the program the bound still holds and stays near."""
    model = Model.build(with_everything())
    whole = bounded(model)
    part = bounded(model, settings=tuned(program={"nodes": 150}))
    assert part.bound >= whole.bound - 1e-3 * abs(whole.bound)
    assert part.bound <= whole.bound + 0.02 * abs(whole.bound)


# --- reps far from all others ---------------------------------------------------------------------------------


def with_a_far_rep(
    lat: float, lon: float = -89.0, *, accounts: int = 400, reps: int = 20, **territories: object
) -> to.Problem:
    """Equal accounts in a box of two degrees, all reps but the last one too; the last alone has the skill ``need``."""
    rng = np.random.default_rng(0)
    names = [f"R{k}" for k in range(reps)]
    return to.Problem.from_tables(
        accounts=pd.DataFrame(
            {
                "account_id": [f"A{k}" for k in range(accounts)],
                "lat": rng.uniform(40, 42, accounts),
                "lon": rng.uniform(-90, -88, accounts),
                "potential": 1.0,
                "visits": 12.0,
                "workload": 1.0,
                "need": "x",
            }
        ),
        reps=pd.DataFrame(
            {
                "rep_id": names,
                "lat": np.append(rng.uniform(40, 42, reps - 1), lat),
                "lon": np.append(rng.uniform(-90, -88, reps - 1), lon),
                "capacity_hours": [100.0] * (reps - 1) + [1e6],
                "need": [""] * (reps - 1) + ["x"],
            }
        ),
        policy=to.Policy.model_validate({"territories": {"travel": {"cost_per_km": 0.3}, **territories}}),
    )


HARD_BAND = {"balance": {"potential": {"band": 0.1, "hard": True}}}
DEAR_BAND = {"balance": {"potential": {"band": 0.1, "price_per_point": 1e5}}}
COVERAGE = {"balance": {}, "skills": {"coverage": {"need": {"share": 0.1, "hard": True}}}}
HOURS = {"balance": {}, "hours": {"hard": True}}
FAR = [
    pytest.param(43.0, -89.0, HARD_BAND, 18, id="one degree away"),
    pytest.param(44.0, -89.0, HARD_BAND, 18, id="two degrees away"),
    pytest.param(-35.0, 150.0, HARD_BAND, 18, id="on the other side of the world"),
    pytest.param(-35.0, 150.0, DEAR_BAND, 18, id="a dear band"),
    pytest.param(-35.0, 150.0, COVERAGE, 40, id="a skill that nobody else has"),
    pytest.param(44.0, -89.0, HOURS, 1, id="hours that the others do not have"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("lat", "lon", "territories", "share"), FAR)
def test_a_rep_far_from_all_others_gets_a_share(lat: float, lon: float, territories: dict, share: int) -> None:
    """No list of near reps names that rep, so that its price went through the roof and the search never saw it."""
    problem = with_a_far_rep(lat, lon, **territories)
    result = to.solve(problem, time_limit=120.0)
    assert result.method == "large"
    assert to.audit(problem, result.plan) == []
    assert (result.plan.assignment == "R19").sum() >= share
    assert result.gap < 0.03
    assert to.certify(problem, result.plan, result.certificate).bound == pytest.approx(result.bound, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 6_000], ids=["by ascent alone", "from a linear program"])
@pytest.mark.parametrize(("lat", "lon", "territories", "share"), FAR)
def test_the_bound_at_scale_meets_the_linear_program_there(
    lat: float, lon: float, territories: dict, share: int, first: int
) -> None:
    model = Model.build(with_a_far_rep(lat, lon, accounts=200, reps=15, **territories))
    found = bounded(model, settings=tuned(program={"nodes": first}))
    assert found.bound == pytest.approx(program_bound(model).bound, rel=1e-3)


@pytest.mark.slow
def test_a_plan_outside_the_near_pairs_is_found() -> None:
    """Few accounts may move, and bands are hard: most accounts must stay with reps far down any list."""
    rng = np.random.default_rng(2)
    near = with_a_far_rep(44.0, accounts=300, reps=20)
    accounts = near.accounts[["account_id", "lat", "lon", "visits"]].assign(
        incumbent=rng.choice(near.reps["rep_id"], 300), potential=rng.lognormal(0.0, 0.8, 300), current_sales=1.0
    )
    policy = {
        "territories": {
            "travel": {"cost_per_km": 1.0},
            "balance": {"potential": {"band": 0.05, "hard": True}},
            "keep": {"loss_rate": 0.0, "max_moved_accounts": 20},
        }
    }
    problem = to.Problem.from_tables(
        accounts=accounts, reps=near.reps[["rep_id", "lat", "lon"]], policy=to.Policy.model_validate(policy)
    )
    result = to.solve(problem, time_limit=120.0)
    assert to.audit(problem, result.plan) == []
