"""Problems on which a search from the multipliers alone went wrong; each was reported by someone who tried to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.markets import make_market

import territory_opt as to
from builders import bounded, bounded_task, tuned
from builders import program_bound as bound_of_program
from territory_opt.model.model import Model
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.lumps import lump_start
from territory_opt.optimize.mip.mathopt import MipLimits, Solution, solve_mip
from territory_opt.optimize.solve import solve
from territory_opt.plan.certificate import dual_bound

pytestmark = pytest.mark.slow

Assigned = np.ndarray[Any, np.dtype[np.int64]]


def places(accounts: int, reps: int, seed: int, *, towns: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accounts with lognormal potential and reps in a box, or all of them at exactly so many ``towns``."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(38, 44, accounts + reps), rng.uniform(-95, -85, accounts + reps)
    if towns:
        town = np.concatenate([rng.integers(towns, size=accounts), np.arange(reps) % towns])
        lat, lon = lat[town], lon[town]
    potential = np.round(20_000 * rng.lognormal(0.0, 0.5, accounts), 2)
    table = pd.DataFrame(
        {
            "account_id": [f"A{k:04d}" for k in range(accounts)], "lat": lat[:accounts], "lon": lon[:accounts],
            "potential": potential, "visits": 12.0, "current_sales": np.round(0.6 * potential, 2),
        }
    )  # fmt: skip
    homes = pd.DataFrame({"rep_id": [f"R{k:02d}" for k in range(reps)], "lat": lat[accounts:], "lon": lon[accounts:]})
    return table, homes


def shared_evenly(potential: pd.Series, reps: int) -> Assigned:
    """Give each account, largest first, to the rep with the least so far."""
    total, rep = np.zeros(reps), np.zeros(len(potential), dtype=np.int64)
    for k in np.argsort(-potential.to_numpy()):
        rep[k] = total.argmin()
        total[rep[k]] += potential.iloc[k]
    return rep


def problem(
    accounts: pd.DataFrame, reps: pd.DataFrame, band: float, *, hard: bool = False, **keep: float
) -> to.Problem:
    policy = {
        "travel": {"cost_per_km": 0.3}, "keep": keep,
        "balance": {"potential": {"band": band, "hard": hard, "price_per_point": 1000.0}},
    }  # fmt: skip
    return to.Problem.from_tables(
        accounts=accounts, reps=reps, policy=to.Policy.model_validate({"territories": policy})
    )


def uneven_today(budget: float, *, accounts: int = 200, reps: int = 10, seed: int = 3) -> to.Problem:
    """Today everyone has the accounts next door; only so much of the sales may move."""
    table, homes = places(accounts, reps, seed)
    far = (table["lat"].to_numpy()[:, None] - homes["lat"].to_numpy()) ** 2
    far += (table["lon"].to_numpy()[:, None] - homes["lon"].to_numpy()) ** 2
    table["incumbent"] = homes["rep_id"].to_numpy()[far.argmin(axis=1)]
    return problem(table, homes, 0.05, max_moved_revenue=budget)


def program_bound(given: to.Problem) -> float:
    return bound_of_program(Model.build(given)).bound


def test_todays_alignment_is_found_where_it_keeps_every_hard_rule() -> None:
    """The band is as tight as today's alignment allows, and nothing else is known to keep it."""
    accounts, reps = 150, 15
    table, homes = places(accounts, reps, seed=1)
    rep = shared_evenly(table["potential"], reps)
    table["incumbent"] = homes["rep_id"].to_numpy()[rep]
    total = np.bincount(rep, table["potential"], minlength=reps)
    given = problem(table, homes, float(np.abs(total / total.mean() - 1.0).max()) + 1e-9, hard=True)
    result = to.solve(given, time_limit=60.0)
    assert result.status is not to.Status.INFEASIBLE
    assert to.audit(given, result.plan) == []


def test_an_account_above_every_band_is_named() -> None:
    """Exact and at scale; a band that one rep alone may have above it is no such clash."""
    for n_accounts, n_reps in ((30, 3), (120, 9)):
        table, homes = places(n_accounts, n_reps, seed=4)
        table.loc[0, ["name", "potential"]] = ["Giant Ltd", 2.0 * float(table["potential"].sum())]
        result = to.solve(problem(table, homes, 0.10, hard=True), time_limit=60.0)
        assert result.status is to.Status.INFEASIBLE
        assert result.relaxations[0].text.startswith("Giant Ltd alone is ")
        assert "divide the account" in result.relaxations[0].text
        assert not any("alone is" in way.text for way in result.relaxations[1:])


@pytest.mark.parametrize(("accounts", "reps", "places_seed", "seed"), [(100, 12, 2, 0), (150, 15, 3, 0)])
def test_a_poor_plan_that_keeps_the_rules_does_not_end_the_search(
    accounts: int, reps: int, places_seed: int, seed: int
) -> None:
    """Only today's plan keeps the band at first; plans worth a third more break it by little."""
    table, homes = places(accounts, reps, seed=places_seed)
    rep = shared_evenly(table["potential"], reps)
    table["incumbent"] = homes["rep_id"].to_numpy()[rep]
    total = np.bincount(rep, table["potential"], minlength=reps)
    given = problem(table, homes, float(np.abs(total / total.mean() - 1.0).max()) * 1.0000001, hard=True)
    result = solve(given, seed=seed, time_limit=100.0, settings=tuned(core={"pairs": 0}))
    assert to.audit(given, result.plan) == []
    assert result.gap < 0.05


def test_a_tight_band_is_met_without_a_plan_that_keeps_it() -> None:
    table, homes = places(150, 10, seed=2)
    given = problem(table, homes, 0.0005, hard=True)
    result = to.solve(given, time_limit=60.0)
    assert to.audit(given, result.plan) == []
    assert result.bound >= result.objective


@pytest.mark.parametrize("hard", [False, True])
def test_ties_in_place_hide_no_plan(hard: bool) -> None:
    """Reps in one town are equally near to everyone: what differs is how potential fits into bands."""
    table, homes = places(120, 9, seed=0, towns=3)
    given = problem(table, homes, 0.03, hard=hard)
    model = Model.build(given)
    linear = linear_model(model, model.pairs(), model.rows)
    best = solve_mip(linear, MipLimits(100.0, gap=1e-4), solver="highs")
    result = to.solve(given, time_limit=100.0)
    assert result.method == "large"
    assert result.objective >= best.objective * linear.money - 1e-3 * abs(best.objective * linear.money)
    # What branch and bound claims is said apart, and stands between the plan and the verified bound.
    assert result.objective - 1e-6 <= result.solver_bound <= result.bound + 1e-6 * abs(result.bound)


def test_a_looser_move_budget_gives_no_worse_plan() -> None:
    budgets = (0.01, 0.05, 0.4)
    results = [to.solve(uneven_today(budget), time_limit=60.0) for budget in budgets]
    worth = [result.objective for result in results]
    assert worth == sorted(worth)
    for budget, result in zip(budgets, results, strict=True):
        root = dual_bound(result.model, result.certificate.values)
        assert root == pytest.approx(program_bound(uneven_today(budget)), rel=1e-3)
        assert result.bound <= root


@pytest.mark.parametrize("nodes", [6_000, 100], ids=["all nodes", "a sample"])
def test_a_move_budget_that_outweighs_priced_bands_is_bounded(nodes: int) -> None:
    """The multiplier of the budget has to be as large as all the points it would mend."""
    given = uneven_today(0.02, accounts=300, reps=12, seed=5)
    found = bounded(Model.build(given), settings=tuned(program={"nodes": nodes}))
    assert found.bound == pytest.approx(program_bound(given), rel=2e-3)
    assert found.bound >= program_bound(given) - 1e-6 * abs(found.bound)


def test_a_previous_plan_of_little_help_is_dropped() -> None:
    """Another budget makes most of the old plan wrong: hardly worse than without it."""
    first = to.solve(uneven_today(0.0), time_limit=60.0)
    edited = uneven_today(0.4)
    cold, again = to.solve(edited, time_limit=60.0), to.solve(edited, time_limit=60.0, previous=first)
    assert again.objective >= cold.objective - 1e-2 * abs(cold.objective)
    assert again.bound <= cold.bound + 1e-3 * abs(cold.bound)


def test_it_is_said_when_a_previous_plan_was_of_little_help() -> None:
    table, homes = places(200, 10, seed=3)
    easy, tight = problem(table, homes, 0.5), problem(table, homes, 0.0005, hard=True)
    first = to.solve(easy, time_limit=60.0)
    again = to.solve(tight, time_limit=60.0, previous=first)
    assert "of little help" in again.why
    assert to.audit(tight, again.plan) == []


def test_large_accounts_are_placed_before_all_others() -> None:
    """A start with the large accounts well placed is far better than each node's best rep, and the plan is close."""
    market = make_market("heavy", 600, 6, seed=1).problem()
    model = Model.build(market)
    task = bounded_task(model, clock=Clock(100.0))
    start = lump_start(task)
    assert start is not None
    assert task.judged(start).value > task.judged(task.bounded.start).value
    result = to.solve(market, time_limit=100.0, gap=1e-5)
    assert "lumps" in result.phases
    assert result.gap < 0.01


def test_the_exact_method_is_no_worse_than_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where branch and bound is cut short, what the search found stands."""
    table, homes = places(40, 10, seed=4)
    given = problem(table, homes, 0.02, hard=True)
    full = to.solve(given, time_limit=20.0)
    assert full.method == "exact"

    cut_off = Solution("none", "stopped", -np.inf, np.inf, np.zeros(0), np.zeros(0))
    monkeypatch.setattr("territory_opt.optimize.mip.exact.solve_mip", lambda *_, **__: cut_off)
    cut = to.solve(given, time_limit=20.0)
    assert len(to.audit(given, cut.plan)) <= len(to.audit(given, full.plan))
    assert np.isnan(cut.solver_bound)
