"""The bound: whatever the multipliers, no plan is worth more; what proves nothing is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import territory_opt as to
from brute_force import BruteForce
from builders import random_problem
from territory_opt.model.rows import Rows
from territory_opt.optimize.mip.set_quotas import set_quotas
from territory_opt.plan.certificate import dual_bound, least_violation_bound
from territory_opt.plan.evaluate import choose, evaluate

CASES = 40


@lru_cache(maxsize=CASES)
def model_of(seed: int) -> to.Model:
    return to.Model.build(random_problem(seed))


@lru_cache(maxsize=CASES)
def reference_of(seed: int) -> BruteForce:
    return BruteForce(model_of(seed).problem, model_of(seed).kappa)


@lru_cache(maxsize=CASES)
def best_of(seed: int) -> tuple[float, float]:
    """Objective and least violation of the best of all plans."""
    best = reference_of(seed).best()
    return best.objective, best.violation


def random_multipliers(rows: Rows, rng: np.random.Generator, *, size: float) -> np.ndarray:
    """Multipliers that are allowed: within prices (own and worst), and none on a limit that does not exist."""
    own = np.where(rows.hard, size / rows.scale, rows.price)
    values = rng.uniform(-1, 1, len(rows)) * own
    for group, price in enumerate(rows.worst_price):
        members = np.flatnonzero(rows.worst_group == group)
        extra = rng.dirichlet(np.ones(len(members))) * price * rng.uniform(0, 1)
        # What goes beyond the own price is shared by the group.
        values[members] = np.sign(values[members]) * (np.where(extra > 0, own[members], 0.0) + extra)
    values = np.where((values > 0) & np.isinf(rows.low), -values, values)
    return np.where((values < 0) & np.isinf(rows.high), 0.0, values)


def multipliers_of(model: to.Model, values: np.ndarray) -> to.Multipliers:
    return to.Multipliers.of(model, values)


def any_plan(model: to.Model) -> to.Plan:
    first = np.array(
        [np.flatnonzero(block.eligible[k])[0] for block in model.source.blocks() for k in range(len(block.eligible))]
    )
    quotas = np.zeros(model.problem.n_reps) if model.has_quotas else None
    return to.Plan.from_positions(model, first, quotas)


# --- the bound holds ------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(st.integers(0, CASES - 1), st.integers(0, 10_000), st.floats(0, 1e6))
def test_no_plan_is_worth_more_than_the_bound(seed: int, draw: int, size: float) -> None:
    model = model_of(seed)
    values = random_multipliers(model.rows, np.random.default_rng(draw), size=size)
    certificate = to.certify(model.problem, replace(any_plan(model), kappa=model.kappa), multipliers_of(model, values))
    assert certificate.problems == ()
    objective, violation = best_of(seed)
    if violation == 0.0:
        assert certificate.bound >= objective - 1e-6 * max(1.0, abs(objective))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.integers(0, CASES - 1), st.integers(0, 10_000), st.floats(0, 1e5))
def test_every_assignment_that_keeps_the_rules_is_below_the_bound(seed: int, draw: int, size: float) -> None:
    """As above, plan by plan and through the judge's own evaluation, with the best quotas in whole steps."""
    model, reference = model_of(seed), reference_of(seed)
    rng = np.random.default_rng(draw)
    bound = dual_bound(model, random_multipliers(model.rows, rng, size=size))
    keeps = np.flatnonzero(reference.territory_violation == 0)
    assert (reference.territory_objective[keeps] <= bound + 1e-6 * abs(bound)).all() or reference.quota_rules
    for a in rng.permutation(keeps)[:3]:
        reps = reference.assignments[a]
        totals, _ = model.totals(reps[model.source.nodes.first])
        quotas = set_quotas(model, totals, rounded=False)
        found = evaluate(model, choose(model, reps), quotas)
        if (np.abs(found.outside)[model.rows.hard] <= 1e-9 * model.rows.scale[model.rows.hard]).all():
            assert found.objective <= bound + 1e-6 * max(1.0, abs(bound))


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(st.integers(0, CASES - 1), st.integers(0, 10_000), st.floats(0, 3))
def test_the_least_violation_is_never_overstated(seed: int, draw: int, size: float) -> None:
    """Any vector may be given: it is clipped to what proves something."""
    model = model_of(seed)
    values = np.random.default_rng(draw).uniform(-size, size, len(model.rows)) / model.rows.scale
    _, violation = best_of(seed)
    assert least_violation_bound(model, values) <= violation + 1e-7


def test_zero_multipliers_bound_by_the_best_pair_of_each_account() -> None:
    model = model_of(1)
    pairs = model.pairs()
    best = np.maximum.reduceat(pairs.value, pairs.start[:-1]).sum()
    assert dual_bound(model, np.zeros(len(model.rows))) == pytest.approx(best)


def test_multipliers_without_a_proof_of_a_clash_prove_none() -> None:
    """Nothing need be broken as far as a certificate knows that holds no multipliers for it, or none that count."""
    model = model_of(0)
    plan, zero = replace(any_plan(model), kappa=model.kappa), multipliers_of(model, np.zeros(len(model.rows)))
    assert to.certify(model.problem, plan, zero).least_violation == 0.0
    listed = replace(zero, least_violation=np.zeros(len(model.rows)))
    assert to.certify(model.problem, plan, listed).least_violation == 0.0


def test_the_drift_is_how_far_the_fair_share_of_the_plan_is_from_its_kappa() -> None:
    """A plan at its own fair share has no drift; at twice that share it is one half below."""
    model = to.Model.build(random_problem(5, quotas=True, reps=3))
    plan = replace(any_plan(model), kappa=model.kappa)
    own = model.kappa * (1.0 + certified(model, np.zeros(len(model.rows))).kappa_drift)
    for times, drift in ((1.0, 0.0), (2.0, -0.5)):
        at = to.Model.build(model.problem, kappa=own * times)
        zero = multipliers_of(at, np.zeros(len(at.rows)))
        found = to.certify(at.problem, replace(plan, kappa=at.kappa), zero)
        assert found.kappa_drift == pytest.approx(drift, abs=1e-9)


# --- what proves nothing is refused ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fair() -> to.Model:
    """Two reps, quotas with a price per rep and for the worst, hours with no lower limit."""
    problem = random_problem(5, quotas=True, reps=3)
    settings_ = problem.policy.model_dump()
    settings_["territories"]["hours"] = {"hard": True}
    settings_["quotas"]["fairness"] = {"price": 0.1, "worst_price": 0.6}
    return to.Model.build(replace(problem, policy=to.Policy.model_validate(settings_)))


def certified(model: to.Model, values: np.ndarray) -> to.Certificate:
    return to.certify(model.problem, replace(any_plan(model), kappa=model.kappa), multipliers_of(model, values))


def rows_of(model: to.Model, rule: str) -> np.ndarray:
    return np.flatnonzero([row.rule == rule for row in model.rows.items])


def test_a_multiplier_above_its_price_is_refused() -> None:
    model = next(
        m for m in map(model_of, range(CASES)) if ((m.rows.worst_group < 0) & ~m.rows.hard & (m.rows.price > 0)).any()
    )
    row = int(np.flatnonzero((model.rows.worst_group < 0) & ~model.rows.hard & (model.rows.price > 0))[0])
    sign = 1.0 if np.isfinite(model.rows.low[row]) else -1.0
    values = np.zeros(len(model.rows))
    values[row] = sign * model.rows.price[row]
    assert certified(model, values).problems == ()
    values[row] *= 1.001
    found = certified(model, values)
    item = model.rows.items[row]
    assert found.bound == np.inf
    assert found.problems == (
        f"the multiplier of {item.rule}, {item.subject} is larger than its price: no bound follows",
    )


def test_a_hard_row_has_no_price_and_any_multiplier(fair: to.Model) -> None:
    values = np.zeros(len(fair.rows))
    values[rows_of(fair, "hours")] = -1e9
    assert certified(fair, values).problems == ()


def test_the_worst_price_is_shared_by_its_group(fair: to.Model) -> None:
    """Beyond 0.1 each, the three may use 0.6 together."""
    values = np.zeros(len(fair.rows))
    fairness = rows_of(fair, "fairness")
    values[fairness] = [0.3, -0.3, 0.3]
    assert certified(fair, values).problems == ()
    values[fairness] = [0.3, -0.3, 0.31]
    found = certified(fair, values)
    assert found.bound == np.inf
    assert "the price of its worst rep" in found.problems[0]
    values[fairness] = [0.7, 0.0, 0.0]
    assert certified(fair, values).problems == ()


def test_a_multiplier_on_a_limit_that_does_not_exist_is_refused(fair: to.Model) -> None:
    values = np.zeros(len(fair.rows))
    row = rows_of(fair, "hours")[0]
    values[row] = 1e-3
    found = certified(fair, values)
    assert found.bound == np.inf
    assert "stands on a limit that does not exist" in found.problems[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_multiplier_must_be_a_number(fair: to.Model, bad: float) -> None:
    values = np.zeros(len(fair.rows))
    values[0] = bad
    assert certified(fair, values).bound == np.inf


def test_multipliers_may_be_lists(fair: to.Model) -> None:
    zero = multipliers_of(fair, np.zeros(len(fair.rows)))
    listed = to.Multipliers(zero.values.tolist(), list(zero.rules), list(zero.subjects), fair.kappa, [])
    plan = replace(any_plan(fair), kappa=fair.kappa)
    assert to.certify(fair.problem, plan, listed) == to.certify(fair.problem, plan, zero)


def test_multipliers_of_other_rules_or_another_kappa_are_refused(fair: to.Model) -> None:
    zero = multipliers_of(fair, np.zeros(len(fair.rows)))
    plan = replace(any_plan(fair), kappa=fair.kappa)
    other = replace(zero, subjects=("somebody", *zero.subjects[1:]))
    assert "other rules, reps or tables" in to.certify(fair.problem, plan, other).problems[0]
    short = replace(zero, values=zero.values[:-1])
    assert to.certify(fair.problem, plan, short).bound == np.inf
    found = to.certify(fair.problem, plan, replace(zero, kappa=fair.kappa * 1.1))
    assert found.bound == np.inf
    assert "kappa" in found.problems[0]
    # A plan that claims another kappa is judged at that kappa, where these multipliers prove nothing.
    assert to.certify(fair.problem, replace(plan, kappa=fair.kappa * 1.1), zero).bound == np.inf


@pytest.mark.slow
def test_a_solved_plan_carries_its_own_proof() -> None:
    for seed in range(12):
        problem = random_problem(seed)
        result = to.solve(problem, time_limit=30.0)
        found = to.certify(problem, result.plan, result.certificate)
        assert found.problems == ()
        assert found.objective == pytest.approx(result.objective)
        assert found.bound == pytest.approx(result.bound)
        assert found.least_violation == pytest.approx(result.least_violation)
        if result.status is not to.Status.INFEASIBLE:
            assert found.gap == pytest.approx(result.gap)


def test_no_more_violation_is_proven_than_some_plan_has() -> None:
    """One rep, target 100, a floor of 200 judged in units of 10: owing 200 breaks the roll-up by 1.0 and no more."""
    accounts = pd.DataFrame(
        {"account_id": ["A"], "lat": [40.0], "lon": [-90.0], "potential": [100.0], "incumbent": ["R"],
         "current_sales": [100.0]}
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": ["R"], "lat": [40.0], "lon": [-90.0], "ote": [10.0]})
    settings = {"quotas": {"target": 100, "ote_ratio": {"low": 20}, "odds": None}}
    result = to.solve(to.Problem.from_tables(accounts, reps, policy=to.Policy.model_validate(settings)))
    assert result.status is to.Status.INFEASIBLE
    assert result.plan.annual.tolist() == [200.0]
    assert sum(violation.share for violation in result.violations) == pytest.approx(1.0)
    assert 0.9 < result.least_violation <= 1.0 + 1e-9


def test_a_joiner_owes_nothing_before_the_first_day() -> None:
    problem = to.load_scenario(
        Path(__file__).parents[1] / "scenarios" / "toy", overrides={"quotas.periods": "quarter"}
    ).problem()
    reps = problem.reps.copy()
    reps.loc[3, "start_date"] = pd.Timestamp("2027-07-01")
    result = to.solve(replace(problem, reps=reps))
    by_period = result.plan.quotas[result.plan.quotas["rep_id"] == "R4"]["quota"].tolist()
    assert by_period[:2] == [0.0, 0.0]
    assert min(by_period[2:]) > 0
