"""Odds by simulation against closed forms, planted bias found, quotas that are not SMART named with their reason."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import territory_opt as to
from builders import mostly_slow
from territory_opt.cli.commands import run
from territory_opt.estimate.shocks import Shocks
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.problem.policy import Pay
from territory_opt.quota.fairness import holm, past_fairness, plan_fairness
from territory_opt.quota.review import review
from territory_opt.quota.simulate import Books, Shape, simulate
from territory_opt.quota.smart import lint
from territory_opt.synthetic.market import generate_market

ROOT = Path(__file__).parents[1]
DRAWS = 20_000
CLOSE = 4 * 0.5 / np.sqrt(DRAWS)
"""Four standard errors of a probability."""


def company(**quotas: object) -> to.Problem:
    """300 accounts, 24 reps with managers and regions, three years of sales."""
    tables = generate_market(600, 24, seed=7)
    target = float(tables["sales"].query("month >= '2026-01'")["sales"].sum())
    policy = to.Policy.model_validate({"quotas": {"target": round(target, -3), **quotas}})
    return to.Problem.from_tables(**tables, policy=policy)


def as_is(problem: to.Problem, factor: np.ndarray | float = 1.0) -> tuple[Model, Plan]:
    """Everyone keeps the accounts of today (vacant ones go to the first rep), fair quotas times ``factor``."""
    model = Model.build(problem)
    kept = np.maximum(model.source.incumbent[model.source.nodes.first], 0).astype(np.int64)
    sales = Figures(model, Plan.from_positions(model, kept, np.zeros(problem.n_reps))).evaluation.rep_sales
    quotas = np.round(sales / sales.sum() * float(problem.policy.quotas.target or 0.0) * factor)
    return model, Plan.from_positions(model, kept, quotas)


@cache
def base() -> tuple[Model, Plan]:
    return as_is(company(odds={"common_shock": "6 %"}))


# --- odds -----------------------------------------------------------------------------------------------------


def test_simulated_odds_are_those_of_the_closed_form() -> None:
    """Normal noise and one shock for all: exactly the model of the closed forms."""
    model, plan = base()
    found = simulate(Figures(model, plan), draws=DRAWS, shape="normal")
    exact, whole = Figures(model, plan).odds.hits, Figures(model, plan).odds
    assert np.abs(found.reps["p_hit"].to_numpy() - exact.to_numpy()).max() < CLOSE
    assert found.p_company_target == pytest.approx(whole.p_company_target, abs=CLOSE)
    assert found.hits["mean"] == pytest.approx(whole.expected_hits, abs=CLOSE * len(exact))
    company_row = found.nodes.iloc[0]
    for name, value in (("p10", whole.p10), ("p50", whole.p50), ("p90", whole.p90)):
        assert company_row[name] == pytest.approx(value, rel=0.01)


def test_shared_shocks_make_the_company_less_safe_but_not_the_rep() -> None:
    """The same spread per rep, once its own and once shared by all: independence overstates the company's odds."""
    model, plan = as_is(company(odds={"common_shock": "20 %"}, target=30_000_000))
    shared = simulate(Figures(model, plan), draws=DRAWS, shape="normal")
    alone = _own_noise(model, plan)
    assert shared.p_company_target < alone - 0.05


def _own_noise(model: Model, plan: Plan) -> float:
    """Odds of the company target if each rep's whole spread were its own."""
    found = Figures(model, plan).evaluation
    variance = float((found.rep_variance + (0.2 * found.rep_sales) ** 2).sum())
    target = float(model.problem.policy.quotas.target or 0.0)
    return float(norm.cdf((found.rep_sales.sum() - target) / np.sqrt(variance)))


def test_shocks_of_regions_and_segments_hit_who_they_should() -> None:
    model, plan = as_is(company(odds={"common_shock": 0, "region_shock": "30 %"}))
    books = replace(Books.of(Figures(model, plan)), variance=np.zeros(24))
    sales, _ = books.draw(np.random.default_rng(0), 4000, "normal")
    related = np.corrcoef(sales.T)
    same = books.region[:, None] == books.region[None, :]
    assert len(set(books.region)) > 1
    np.testing.assert_allclose(related[same], 1.0)
    assert np.abs(related[~same]).max() < 0.1
    model, plan = as_is(company(odds={"common_shock": 0, "segment_shock": "30 %"}))
    books = replace(Books.of(Figures(model, plan)), variance=np.zeros(24))
    sales, _ = books.draw(np.random.default_rng(0), 4000, "normal")
    spread = np.sqrt((0.3**2 * books.mean**2).sum(axis=1))
    np.testing.assert_allclose(sales.std(axis=0), spread, rtol=0.05)


def test_lopsided_noise_keeps_mean_and_spread_and_is_never_below_nothing() -> None:
    model, plan = base()
    books = replace(Books.of(Figures(model, plan)), shocks=Shocks())
    sales, _ = books.draw(np.random.default_rng(1), 40_000, "gamma")
    assert sales.min() >= 0
    np.testing.assert_allclose(sales.mean(axis=0), books.mean.sum(axis=1), rtol=0.02)
    np.testing.assert_allclose(sales.var(axis=0), books.variance, rtol=0.1)


def test_the_rule_on_odds_keeps_its_promise_in_the_simulation() -> None:
    """A quota at the very limit of the odds row is made with at least the probability that was asked for."""
    problem = company(hit_share="70 %", odds={"common_shock": "6 %", "hard": True})
    model, plan = as_is(problem)
    sales = Figures(model, plan).evaluation.rep_sales
    totals, _ = model.totals(model.source.rep_index.get_indexer(plan.assignment)[model.source.nodes.first])
    limit = np.zeros(24)
    for row, matrix in zip(model.rows.items, model.rows.totals, strict=True):
        if row.rule == "odds":
            ((j, coefficient),) = row.quotas.items()
            limit[j] = (row.high - (matrix @ totals.ravel()).item()) / coefficient
    assert (limit[sales > 0] > 0).any()
    chosen = limit > 1000
    at_limit = Plan(plan.assignment, pd.Series(np.where(chosen, np.floor(limit), 1.0), index=plan.annual.index),
                    plan.quotas, plan.kappa)  # fmt: skip
    for shape, slack in (("normal", 0.0), ("gamma", 0.03)):
        found = simulate(Figures(model, at_limit), draws=DRAWS, shape=shape)
        assert found.reps["p_hit"].to_numpy()[chosen].min() >= 0.7 - slack - CLOSE


def test_pay_is_that_of_the_pieces() -> None:
    """Against the closed form: E min(A, 1) + accelerator x E max(A - 1, 0) for normal attainment."""
    model, plan = base()
    pay = Pay(threshold=0.0, accelerator=2.5, cap=None)
    found = simulate(Figures(model, plan), draws=DRAWS, shape="normal", pay=pay)
    facts, quotas = Figures(model, plan).evaluation, plan.annual.to_numpy()
    mean = facts.rep_sales / quotas
    spread = np.sqrt(facts.rep_variance + (0.06 * facts.rep_sales) ** 2) / quotas
    above = (mean - 1) * norm.cdf((mean - 1) / spread) + spread * norm.pdf((mean - 1) / spread)
    expected = mean + 1.5 * above
    kept = (mean - 3 * spread) > 0  # pay is never below nothing: where sales could be, the form does not hold
    assert kept.sum() >= 12
    np.testing.assert_allclose(found.reps["pay"].to_numpy()[kept], expected[kept], atol=0.03)
    shares = Pay(threshold=0.5, accelerator=2.0, cap=1.8).share(np.array([0.0, 0.49, 0.5, 1.0, 1.2, 3.0]))
    assert shares.tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.4, 1.8])


@pytest.mark.parametrize("shape", ["gamma", "normal"])
def test_no_year_sells_less_than_nothing(shape: Shape) -> None:
    books = Books.of(Figures(*as_is(company(odds={"common_shock": "90 %", "region_shock": "60 %"}))))
    sales, _ = books.draw(np.random.default_rng(3), 2_000, shape)
    assert sales.min() == 0.0


def test_who_is_over_or_under_paid_is_flagged() -> None:
    factor = np.ones(24)
    factor[:3], factor[3:6] = 2.5, 0.4
    flags = simulate(Figures(*as_is(company(), factor)), draws=2_000).reps["flag"].tolist()
    assert flags[:3] == ["under-paid"] * 3
    assert flags[3:6] == ["over-paid"] * 3


def test_same_seed_same_figures_and_draws_in_chunks() -> None:
    model, plan = base()
    one, two = (simulate(Figures(model, plan), draws=2_500, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(one.reps, two.reps)
    assert one.to_dict() == two.to_dict()
    assert simulate(Figures(model, plan), draws=2_500, seed=6).to_dict() != one.to_dict()
    with pytest.raises(ValueError, match="draws is 0"):
        simulate(Figures(model, plan), draws=0)


# --- fairness -------------------------------------------------------------------------------------------------


def test_fair_quotas_are_called_fair() -> None:
    model, plan = base()
    found = plan_fairness(Figures(model, plan))
    assert found.unfair == []
    assert {test.name for test in found.tests} == {"size", "potential", "tenure", "region", "spread"}


@pytest.mark.parametrize("seed", mostly_slow(range(3), quick=1))
@pytest.mark.parametrize("what", ["size", "tenure", "region"])
def test_planted_bias_is_found_and_named(what: str, seed: int) -> None:
    """Quotas 15 % easier or harder by size, tenure or region, under noise: the right test says so."""
    problem = company()
    rng = np.random.default_rng(seed)
    reps = problem.reps.copy()
    reps["start_date"] = pd.Timestamp("2027-01-01") - pd.to_timedelta(rng.integers(100, 5000, 24), unit="D")
    problem = replace(problem, reps=reps)
    model, plan = as_is(problem)
    sales = Figures(model, plan).evaluation.rep_sales
    kept = sales > 0
    years = (pd.Timestamp("2027-01-01") - reps["start_date"]).dt.days.to_numpy(float)
    region = Books.of(Figures(model, plan)).region
    by = {"size": sales, "tenure": years, "region": (region == region.max()) * 1.0}[what]
    rank = (pd.Series(by).rank(pct=True).to_numpy() - 0.5) * 2 if what != "region" else by * 2 - 1
    factor = (1 + 0.15 * rank) * rng.lognormal(0, 0.04, 24)
    biased = plan_fairness(Figures(*as_is(problem, factor)))
    assert kept.sum() >= 20
    named = [test.name for test in biased.unfair]
    assert what in named
    assert next(test for test in biased.unfair if test.name == what).p < 0.05


@pytest.mark.slow
def test_bias_is_rarely_seen_where_there_is_none() -> None:
    """Noise alone: of the plans tested, about one in twenty is called unfair, however many tests it stands."""
    plans, struck = 40, 0
    for seed in range(plans):
        noise = np.random.default_rng(100 + seed).lognormal(0, 0.1, 24)
        found = plan_fairness(Figures(*_noisy(noise)))
        known = [test for test in found.tests if test.verdict != "unknown" and test.name != "spread"]
        assert len(known) >= 3
        assert all(test.p <= test.p_any <= min(len(known) * test.p, 1.0) for test in known)
        struck += any(test.verdict == "unfair" for test in known)
    assert struck / plans <= 0.15


def test_chances_of_several_tests_count_together() -> None:
    """The example worked by hand: the smallest of four counts four times, and none less than one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.03]) == [0.03]
    with_unknown = holm([float("nan"), 0.02, 0.5])
    assert np.isnan(with_unknown[0])
    assert with_unknown[1:] == pytest.approx([0.04, 0.5])


def _noisy(noise: np.ndarray) -> tuple[Model, Plan]:
    model, plan = base()
    annual = (plan.annual * noise).round()
    return model, Plan(plan.assignment, annual, plan.quotas, plan.kappa)


def test_last_years_quotas_are_tested_too() -> None:
    problem = company()
    model = Model.build(problem)
    reps = problem.reps.copy()
    sold = reps["last_sales"].to_numpy(float)
    reps["last_quota"] = sold * (1 + 0.3 * pd.Series(sold).rank(pct=True).to_numpy())
    found = past_fairness(replace(model, problem=replace(problem, reps=reps)))
    assert found is not None
    assert "size" in [test.name for test in found.unfair]
    assert "growth" in [test.name for test in found.tests]
    reps["last_quota"] = np.nan
    assert past_fairness(replace(model, problem=replace(problem, reps=reps))) is None


@pytest.mark.parametrize(("top", "verdict"), [(1.013, "unfair"), (1.010, "fair")])
def test_what_matters_is_a_point_between_the_outer_thirds(top: float, verdict: str) -> None:
    """Nine books: who has more attained a trifle more, the smallest three 1.001 on average, the largest three ``top``.

    The three in between, at 1.004, count on neither side: with them the upper side would be at 1.0085 for 1.013.
    """
    attained = np.array([1.000, 1.001, 1.002, 1.003, 1.004, 1.005, top - 0.001, top, top + 0.001])
    names, quotas = [f"R{k}" for k in range(9)], 100_000.0 * np.arange(1, 10)
    reps = pd.DataFrame(
        {"rep_id": names, "lat": 48.0, "lon": 9.0, "last_quota": quotas, "last_sales": quotas * attained}
    )
    accounts = pd.DataFrame({"account_id": names, "lat": 48.0, "lon": 9.0, "incumbent": names, "potential": 1000.0})
    found = past_fairness(Model.build(to.Problem.from_tables(accounts, reps)))
    assert found is not None
    size = next(test for test in found.tests if test.name == "size")
    assert size.effect == pytest.approx(1.0)
    assert size.verdict == verdict


# --- smart ----------------------------------------------------------------------------------------------------


def reasons(model: Model, plan: Plan) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for f in lint(Figures(model, plan), simulate(Figures(model, plan), draws=1000)):
        found[f.rep_id, f.criterion] = found.get((f.rep_id, f.criterion), "") + f.reason + "; "
    return found


@pytest.mark.slow
def test_good_quotas_are_smart() -> None:
    result = to.solve(company(hit_share="50 %", step=100), time_limit=20.0, gap=0.05)
    assert reasons(result.model, result.plan) == {}


def test_each_criterion_fails_for_its_own_reason() -> None:
    model, plan = as_is(company())
    first, second, third = plan.annual.index[:3]
    hard = plan.annual.copy()
    hard[first] *= 6
    found = reasons(model, Plan(plan.assignment, hard, plan.quotas, plan.kappa))
    assert "the odds are 0%" in found[first, "attainable"]
    assert "above this territory's fair part" in found[first, "relevant"] or "add up" in found[first, "relevant"]
    assert "the periods add up" in found[first, "time-bound"]
    empty = plan.assignment.replace(second, third)
    assert "no account to make it with" in reasons(model, replace(plan, assignment=empty))[second, "specific"]
    none = replace(plan, annual=plan.annual.drop(third))
    assert "sets no quota" in reasons(model, none)[third, "specific"]
    reps = model.problem.reps.copy()
    reps["end_date"] = reps["end_date"].where(reps["rep_id"] != first, pd.Timestamp("2027-06-30"))
    gone = replace(model, problem=replace(model.problem, reps=reps))
    assert "when the rep is not there" in reasons(gone, plan)[first, "time-bound"]
    bare = replace(model, problem=replace(model.problem, sales=model.problem.sales.iloc[:0]))
    assert "no sales are recorded" in reasons(bare, plan)[first, "measurable"]


# --- the command ----------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "toy"
    assert run(["solve", str(ROOT / "scenarios" / "toy"), "--out", str(out), "--quiet"]) == 0
    capsys.readouterr()
    assert run(["review", str(out), "--draws", "500"]) == 0
    text = capsys.readouterr().out
    for expected in ("odds of the company target", "fairness", "4 reps are too few to tell", "smart"):
        assert expected in text
    assert run(["review", str(out), "--draws", "500", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["odds"]["draws"] == 500
    assert len(facts["odds"]["reps"]) == 4
    assert run(["review", str(tmp_path / "nothing")]) == 2
    assert run(["review", str(out), "--draws", "500", "--out", str(tmp_path / "reps.csv")]) == 0
    table = pd.read_csv(tmp_path / "reps.csv")
    assert table["rep_id"].tolist() == ["R1", "R2", "R3", "R4"]
    assert {"hit_probability", "p10_usd_per_year", "p90_usd_per_year", "pay_share", "odds_low", "not_smart"} <= set(
        table.columns
    )


def test_a_review_reads_as_text() -> None:
    model, plan = base()
    text = str(review(Figures(model, plan), draws=500))
    assert "of 24 reps should make their quota" in text
    assert "this plan" in text
    assert "last year" in text
