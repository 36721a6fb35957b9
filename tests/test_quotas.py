"""Quotas for given territories: what is left over is carried evenly, at no price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.model.model import Model
from territory_opt.optimize.mip import mathopt
from territory_opt.optimize.mip.set_quotas import set_quotas
from territory_opt.plan.evaluate import choose, evaluate
from territory_opt.synthetic.market import generate_market


def overloaded(**quotas: object) -> tuple[Model, np.ndarray, np.ndarray]:
    """200 accounts, 6 reps who keep theirs; the target asks more of everybody than the odds allow."""
    tables = generate_market(200, 6, seed=2)
    settings = {"target": 14_000_000, "step": 1000, **quotas}
    problem = to.Problem.from_tables(**tables, policy=to.Policy.model_validate({"quotas": settings}))
    first = Model.build(problem)
    node = np.maximum(first.source.incumbent[first.source.nodes.first], 0).astype(np.int64)
    totals, _ = first.totals(node)
    kappa = 14_000_000 / float(first.fair_base(totals).sum())
    return first.with_kappa(kappa), node, totals


def test_what_the_odds_do_not_carry_is_shared_evenly() -> None:
    """Odds and fairness cost the same per money for everyone, so any split costs the same: nobody carries it all."""
    model, node, totals = overloaded()
    quotas = set_quotas(model, totals)
    fair = model.kappa * model.fair_base(totals)
    np.testing.assert_allclose(quotas, fair, rtol=0.0015)
    rep = node[model.source.nodes.of_account]
    # Moving 200,000 from one rep to another, as a corner of the program does, costs as much or more.
    moved = quotas + np.array([200_000.0, -200_000.0, 0, 0, 0, 0])
    assert (
        evaluate(model, choose(model, rep), moved).objective
        <= evaluate(model, choose(model, rep), quotas).objective + 1.0
    )


@pytest.mark.parametrize("target", [9_000_000, 12_000_000, 14_000_000])
def test_evenness_gives_up_nothing(target: float) -> None:
    """The objective is that of the program without the tie-break, but for whole steps."""
    model, node, totals = overloaded(target=target, ratchet_guard={"hard": False}, growth_guard={"hard": False})
    rep = node[model.source.nodes.of_account]
    plain, even = set_quotas(model, totals, rounded=False), set_quotas(model, totals)
    lost = evaluate(model, choose(model, rep), plain).objective - evaluate(model, choose(model, rep), even).objective
    assert lost <= 2.0 * 1000 * 6
    assert even.sum() == pytest.approx(target, abs=0.005)


def test_what_guards_leave_over_is_shared_by_those_who_may_carry_it() -> None:
    """Four reps may not grow; the two without a last quota carry the rest in proportion to their fair quotas."""
    model, node, totals = overloaded(growth_guard={"up": 0.0})
    fair, n_free = model.kappa * model.fair_base(totals), 2
    reps = model.problem.reps.assign(last_quota=np.where(np.arange(6) < 6 - n_free, np.round(0.95 * fair), np.nan))
    held = Model.build(replace(model.problem, reps=reps), kappa=model.kappa)
    quotas = set_quotas(held, totals)
    assert quotas.sum() == pytest.approx(14_000_000)
    over = (quotas / fair - 1.0)[-n_free:]
    assert (over > 0.08).all()
    assert over.max() < 1.45 * over.min()
    # All on one of them costs the same: what settles it is evenness.
    rest = quotas[-n_free:] - fair[-n_free:]
    lopsided = quotas + np.concatenate([np.zeros(6 - n_free), [-rest[0], rest[0]]])
    rep = node[held.source.nodes.of_account]
    costs = [evaluate(held, choose(held, rep), split).objective for split in (quotas, lopsided)]
    assert costs[0] == pytest.approx(costs[1], abs=0.01 * rest.sum())


def test_where_nothing_is_expected_working_time_decides() -> None:
    """Two years of sales of nothing: one rep of full time, one of half, and the target falls 2 to 1."""
    place = {"lat": 48.0, "lon": [9.0, 9.5]}
    accounts = pd.DataFrame({"account_id": ["A", "B"], "potential": 1000.0, "incumbent": ["R", "S"], **place})
    reps = pd.DataFrame({"rep_id": ["R", "S"], "fte": [1.0, 0.5], **place})
    months = pd.period_range("2025-01", "2026-12", freq="M").astype(str)
    sales = pd.DataFrame(
        [(name, month, 0.0) for name in "AB" for month in months], columns=["account_id", "month", "sales"]
    )
    policy = to.Policy.model_validate({"quotas": {"target": 900, "step": 10, "odds": None}})
    problem = to.Problem.from_tables(accounts, reps, sales=sales, policy=policy)
    model = Model.build(problem)
    totals, _ = model.totals(np.array([0, 1], dtype=np.int64))
    np.testing.assert_array_equal(set_quotas(model, totals), [600.0, 300.0])


def test_whole_steps_lie_next_to_the_even_split() -> None:
    """Quotas stuck between steps: no rep is rounded by more than a step from what all carry alike."""
    model, _, totals = overloaded(step=50_000)
    quotas = set_quotas(model, totals)
    fair = model.kappa * model.fair_base(totals)
    assert quotas.sum() == pytest.approx(14_000_000)
    assert (np.abs(quotas - fair) <= 50_000).all()


def test_where_one_solver_gives_up_another_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, totals = overloaded()
    plain = set_quotas(model, totals)
    solve, asked = mathopt.mathopt.solve, []

    def giving_up(model: object, solver: object, **options: object) -> object:
        asked.append(solver)
        if solver == mathopt.mathopt.SolverType.HIGHS:
            raise AttributeError("HighsModelStatus was Unknown")
        return solve(model, solver, **options)

    monkeypatch.setattr(mathopt.mathopt, "solve", giving_up)
    np.testing.assert_allclose(set_quotas(model, totals), plain, rtol=1e-3)
    assert mathopt.mathopt.SolverType.GLOP in asked


@pytest.mark.slow
def test_who_carries_what_the_guards_of_others_keep_away_is_named() -> None:
    """Five reps may grow by a quarter, which is too little; the sixth has no last quota and gets all the rest.

    Nobody can be given the accounts for it.
    """
    tables = generate_market(200, 6, seed=2)
    settings = {"target": 14_000_000, "step": 1000, "growth_guard": {"up": 0.25}}
    tables["reps"]["last_quota"] = [1_400_000.0] * 5 + [None]
    keep = {"keep": {"max_moved_accounts": 0}}
    policy = to.Policy.model_validate({"quotas": settings, "territories": keep})
    problem = to.Problem.from_tables(**tables, policy=policy)
    result = to.solve(problem, time_limit=100.0)
    assert result.violations == ()
    last = tables["reps"]["rep_id"].iloc[-1]
    (text,) = [text for text in result.warnings if "carries" in text]
    assert text.startswith(f"{last} carries {result.plan.annual[last]:,.0f} where ")
    assert "look at last_quota, guards and caps" in text
    free = to.Policy.model_validate({"quotas": {**settings, "growth_guard": None}, "territories": keep})
    fine = to.solve(to.Problem.from_tables(**tables, policy=free), time_limit=100.0)
    assert not [text for text in fine.warnings if "carries" in text]
