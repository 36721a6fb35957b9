"""Odds: closed forms against hand calculation and simulation, and the odds row of the model is safe."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import territory_opt as to
from territory_opt.estimate.shocks import Shocks
from territory_opt.model.model import Model
from territory_opt.model.rules import build_rows
from territory_opt.plan.figures import Figures
from territory_opt.plan.odds import chance_to_reach, company_shock
from territory_opt.plan.plan import Plan
from territory_opt.problem.policy import Odds
from territory_opt.quota.simulate import simulate
from territory_opt.synthetic.market import generate_market
from territory_opt.whatif.scenario import load_scenario

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
BEST = {"A10": "R4"}
"""What the best plan of the toy changes; everything else stays."""


@cache
def base() -> tuple[Model, Plan]:
    """Return :func:`toy` as it is, built once."""
    return toy()


def toy(**overrides: object) -> tuple[Model, Plan]:
    """Return the toy's model and its best plan with quotas of 300 each."""
    model = Model.build(load_scenario(TOY, overrides=dict(overrides)).problem())
    accounts = model.problem.accounts
    wanted = [BEST.get(*pair) for pair in zip(accounts["account_id"], accounts["incumbent"], strict=True)]
    reps = model.source.rep_index.get_indexer(wanted)
    nodes = reps[model.source.nodes.first]
    return model, Plan.from_positions(model, nodes, np.full(4, 300.0))


def test_toy_by_hand() -> None:
    """Ada, Ben and Cleo expect exactly their quota; Dan expects 20 less, what moving A10 puts at risk."""
    model, plan = toy()
    hits = Figures(model, plan).odds.hits
    assert hits.index.tolist() == ["R1", "R2", "R3", "R4"]
    assert hits[["R1", "R2", "R3"]].tolist() == pytest.approx([0.5, 0.5, 0.5])
    found = Figures(model, plan).evaluation
    assert found.rep_sales[3] == pytest.approx(280)
    assert hits["R4"] == pytest.approx(norm.cdf(-20 / np.sqrt(found.rep_variance[3])))


def test_company_by_hand() -> None:
    model, plan = toy(**{"quotas.odds": {"common_shock": 0.1}})
    found, odds = Figures(model, plan).evaluation, Figures(model, plan).odds
    spread = np.sqrt(found.rep_variance.sum() + (0.1 * found.rep_sales.sum()) ** 2)
    assert odds.p50 == pytest.approx(1180)
    assert odds.p90 - odds.p50 == pytest.approx(1.2815516 * spread)
    assert odds.p50 - odds.p10 == pytest.approx(1.2815516 * spread)
    assert odds.p_company_target == pytest.approx(norm.cdf(-20 / spread))
    assert odds.expected_hits == pytest.approx(Figures(model, plan).odds.hits.sum())
    assert str(odds) == f"2 of 4 reps should make their quota; odds of the company target: {odds.p_company_target:.2f}"


def test_company_against_simulation() -> None:
    """The shared shock does not average out; own noise does."""
    model, plan = toy(**{"quotas.odds": {"common_shock": 0.2}, "quotas.target": 1300})
    found, odds = Figures(model, plan).evaluation, Figures(model, plan).odds
    rng = np.random.default_rng(0)
    shock = rng.standard_normal((200_000, 1))
    own = rng.standard_normal((200_000, 4)) * np.sqrt(found.rep_variance)
    sales = found.rep_sales * (1 + 0.2 * shock) + own
    assert odds.p_company_target == pytest.approx((sales.sum(axis=1) >= 1300).mean(), abs=0.01)
    assert odds.hits.to_numpy() == pytest.approx((sales >= 300).mean(axis=0), abs=0.01)
    assert odds.p10 == pytest.approx(np.quantile(sales.sum(axis=1), 0.1), rel=0.01)


def test_without_odds_target_or_quotas() -> None:
    model, plan = toy(**{"quotas.target": None})
    bare = Plan(plan.assignment, plan.annual.iloc[:0], plan.quotas.iloc[:0])
    odds = Figures(model, bare).odds
    assert model.estimate.shocks.together == 0.0
    assert np.isnan(odds.p_company_target)
    assert Figures(model, bare).odds.hits.isna().all()
    assert str(odds) == "0 of 4 reps should make their quota"


def test_sales_that_are_certain() -> None:
    zero = np.zeros(3)
    chance = chance_to_reach(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]), zero, 0.0)
    assert chance.tolist() == [1.0, 1.0, 0.0]


@settings(max_examples=60, deadline=None)
@given(
    mean=st.lists(st.floats(1, 2000), min_size=4, max_size=4),
    cv=st.lists(st.floats(0, 2), min_size=4, max_size=4),
    hit_share=st.floats(0.05, 0.99),
    shock=st.floats(0, 0.5),
)
def test_the_odds_row_is_safe(mean: list[float], cv: list[float], hit_share: float, shock: float) -> None:
    """At any sales and variance: a quota at the limit of the row is reached with the asked probability or more."""
    model, _ = base()
    quotas = model.problem.policy.quotas.model_copy(update={"hit_share": hit_share, "odds": Odds(common_shock=shock)})
    problem = replace(model.problem, policy=model.problem.policy.model_copy(update={"quotas": quotas}))
    estimate = replace(model.estimate, shocks=Shocks(shock))
    rows = build_rows(problem, estimate, model.hierarchy, model.kappa)
    at = [r for r, row in enumerate(rows.items) if row.rule == "odds"]
    sales, variance = np.array(mean), (np.array(cv) * np.array(mean)) ** 2
    totals = np.zeros((4, len(rows.quantities)))
    totals[:, rows.quantities.index("credited_sales")] = sales
    totals[:, rows.quantities.index("variance")] = variance
    limit = rows.high[at] - (rows.totals @ totals.ravel())[at]
    assert (rows.outside(totals, limit)[at] <= 1e-9 * rows.scale[at]).all()
    assert (chance_to_reach(limit, sales, variance, shock) >= hit_share - 1e-9).all()


def test_types() -> None:
    model, plan = toy()
    assert isinstance(Figures(model, plan).odds.hits, pd.Series)
    assert isinstance(Figures(model, plan).odds.expected_hits, float)


def test_shocks_of_regions_and_segments_offset_each_other_for_the_company() -> None:
    """The closed form and the simulation agree on the company's range, with shocks of all kinds."""
    tables = generate_market(800, 40, seed=4)
    odds = {"common_shock": 0.02, "region_shock": 0.2, "segment_shock": 0.1}
    policy = to.Policy.model_validate({"quotas": {"target": 2e7, "odds": odds}})
    model = Model.build(to.Problem.from_tables(**tables, policy=policy))
    node = np.maximum(model.source.incumbent[model.source.nodes.first], 0).astype(np.int64)
    plan = Plan.from_positions(model, node, np.full(40, 5e5))
    closed, drawn = (
        Figures(model, plan).odds,
        simulate(Figures(model, plan), draws=20_000, shape="normal").nodes.iloc[0],
    )
    assert closed.p90 - closed.p10 == pytest.approx(drawn["p90"] - drawn["p10"], rel=0.12)
    assert company_shock(model) < 0.8 * model.estimate.shocks.together
