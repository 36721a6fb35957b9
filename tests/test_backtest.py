"""The back-test: nothing hidden is seen, planted leaks are caught, scores are those of a hand calculation."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.cli.commands import run
from territory_opt.errors import DataError
from territory_opt.estimate.backtest import AS_ATTAINED, AS_SET, Backtest, backtest
from territory_opt.estimate.history import History
from territory_opt.estimate.methods import METHODS, Basis, Past
from territory_opt.estimate.shocks import Shocks
from territory_opt.estimate.transfer import learn_transfer_loss
from territory_opt.model.model import Model
from territory_opt.quota.fairness import past_fairness
from territory_opt.synthetic.market import generate_market, write_market

ROOT = Path(__file__).parents[1]


def company(seed: int = 1, accounts: int = 200, reps: int = 8, months: int = 36) -> to.Problem:
    tables = generate_market(accounts, reps, seed, months=months)
    return to.Problem.from_tables(**tables)


def by_hand(sales: dict[str, list[float]], quotas: pd.DataFrame | None = None) -> to.Problem:
    """One account per rep, who sells to it; months from January 2024."""
    names = list(sales)
    accounts = pd.DataFrame(
        {"account_id": names, "lat": 48.0, "lon": 9.0 + np.arange(len(names)) / 10, "incumbent": names,
         "potential": 1000.0}
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": names, "lat": 48.0, "lon": 9.0 + np.arange(len(names)) / 10})
    rows = [
        {"account_id": name, "month": str(pd.Period("2024-01", freq="M") + k), "sales": amount, "rep_id": name}
        for name, amounts in sales.items()
        for k, amount in enumerate(amounts)
    ]
    return to.Problem.from_tables(accounts, reps, sales=pd.DataFrame(rows), quota_history=quotas)


# --- no leakage -----------------------------------------------------------------------------------------------


def test_nothing_reads_the_plan_year() -> None:
    """Sales in the plan year, or mistyped after it, choose no method, no odds, no loss and no test of last year."""
    tables = generate_market(120, 6, 2, months=30)
    sales = tables["sales"]
    plan_year = sales[sales["month"].astype(str) >= "2026-07"].assign(month="2027-02")
    odd = sales.iloc[:1].assign(month="2038-12", sales=777.0)
    quotas = {"method": "auto", "target": 1e6, "odds": {"common_shock": "auto"}}
    policy = to.Policy.model_validate({"quotas": quotas})
    found = []
    for table in (sales, pd.concat([sales, plan_year, odd], ignore_index=True)):
        problem = to.Problem.from_tables(**{**tables, "sales": table}, policy=policy)
        model = Model.build(problem)
        told = [backtest(problem), learn_transfer_loss(problem), past_fairness(model), model.problem.policy.quotas.odds]
        found.append([*map(str, told), str(model.estimate.basis), model.estimate.expected.tolist()])
    assert found[0] == found[1]


def test_accounts_that_came_later_are_said_and_can_be_left_out() -> None:
    """Half of the accounts first buy in the last year: a look before knows nothing of them once since says so."""
    problem = company(accounts=60, reps=4)
    ids = problem.accounts["account_id"].to_numpy(object)
    late = np.arange(60) % 2 == 1
    early_sale = problem.sales["account_id"].isin(ids[late]) & (problem.sales["month"] < "2026-01-01")
    sales = problem.sales[~early_sale].reset_index(drop=True)
    unsaid = replace(problem, sales=sales)
    (warning,) = (text for text in backtest(unsaid, months=12).warnings if "accounts.since" in text)
    assert "first bought in the hidden months" in warning
    dates = pd.Series(np.where(late, "2026-01-05", "2020-01-01")).astype("datetime64[s]")
    said = replace(unsaid, accounts=problem.accounts.assign(since=dates))
    found = backtest(said, months=12)
    assert not [text for text in found.warnings if "accounts.since" in text]
    without = replace(unsaid, accounts=problem.accounts.assign(potential=problem.accounts["potential"].mask(late, 0.0)))
    known, blind = (frame.looks.query("method == 'potential-share' and first_month == '2026-01'").set_index("rep_id")
                    for frame in (found, backtest(without, months=12)))  # fmt: skip
    np.testing.assert_allclose(known["forecast"], blind.loc[known.index, "forecast"])
    assert known["forecast"].sum() == pytest.approx(blind["forecast"].sum())


def test_no_figure_depends_on_hidden_months() -> None:
    """Other sales in the hidden months of the last look: every method's forecast for it stays the same to the bit."""
    problem = company()
    last = pd.Period("2025-12", freq="M")
    hidden = pd.PeriodIndex(problem.sales["month"], freq="M") > last
    other = problem.sales.copy()
    rng = np.random.default_rng(0)
    other.loc[hidden, "sales"] = rng.permutation(other.loc[hidden, "sales"]) * 3.0 + 17.0
    other.loc[hidden, "rep_id"] = rng.permutation(other.loc[hidden, "rep_id"])
    first, second = (backtest(p, months=12).looks for p in (problem, replace(problem, sales=other)))
    chosen = first["first_month"] == "2026-01"
    assert chosen.sum() == len(METHODS) * 8
    pd.testing.assert_frame_equal(
        first.loc[chosen, ["method", "rep_id", "forecast", "spread", "book"]],
        second.loc[chosen, ["method", "rep_id", "forecast", "spread", "book"]],
    )
    assert (first.loc[chosen, "sales"] != second.loc[chosen, "sales"]).all()


def test_a_planted_leak_in_the_past_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the cut forgets to cut, the methods see later months: the back-test refuses to score them."""
    monkeypatch.setattr(History, "until", lambda self, n_months: self)
    with pytest.raises(DataError, match="depend on months that were hidden"):
        backtest(company(accounts=60, reps=4))


def test_a_method_that_peeks_through_its_own_door_is_caught() -> None:
    """A method that keeps hold of the whole history by a side way."""
    kept: list[History] = []
    until = History.until

    class Door(History):
        def until(self, n_months: int) -> History:
            kept.append(self)
            return until(self, n_months)

    def peek(past: Past) -> Basis:
        at = past.history.n_months
        return Basis({"peeked": kept[-1].sales[:, at : at + past.horizon].sum(axis=1)})

    import territory_opt.estimate.history as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.History, "until", Door.until)
        with pytest.raises(DataError, match="the figures of peek depend"):
            backtest(company(accounts=60, reps=4), methods={**METHODS, "peek": peek})


def test_potential_that_was_filled_in_afterwards_is_reported() -> None:
    honest = company(accounts=400)
    assert backtest(honest).warnings == ()
    last_year = honest.sales[honest.sales["month"] >= "2026-01-01"].groupby("account_id")["sales"].sum()
    accounts = honest.accounts.copy()
    accounts["potential"] = last_year.reindex(accounts["account_id"]).fillna(0.0).to_numpy() * 1.3
    (warning,) = backtest(replace(honest, accounts=accounts)).warnings
    assert "filled in afterwards" in warning


# --- scores ---------------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    """Steady sales: last year's figures are right to the cent; the same for everyone is not."""
    found = backtest(by_hand({"A": [100.0] * 24, "B": [300.0] * 24}), months=12)
    table = found.table().set_index("method")
    assert table.loc["history-percent", "rep_error"] == pytest.approx(0.0, abs=1e-9)
    assert table.loc["flat", "rep_error"] == pytest.approx((1200 + 1200) / 4800)
    assert table.loc["flat", "share_error"] == pytest.approx(0.25)
    assert table.loc["flat", "bias"] == pytest.approx(0.0, abs=1e-9)
    assert found.n_looks == 1
    assert found.horizon == 12
    assert found.best in set(table.index[table["rep_error"] < 1e-6])
    assert np.isnan(table.loc[found.best, "by_chance"])
    assert table.loc["estimate", "coverage"] == 1.0
    assert table.loc["flat", "hits"] == 0.5  # B sells more than half of the company, A less


def test_growth_by_hand() -> None:
    """10 % growth a year: the percentage carries on; an equal amount is unfair to the small."""
    sales = {
        name: [level] * 12 + [level * 1.1] * 12 + [level * 1.21] * 12 for name, level in (("A", 100.0), ("B", 300.0))
    }
    looks = backtest(by_hand(sales), months=12, looks=1).looks.set_index(["method", "rep_id"])["forecast"]
    assert looks["history-percent", "A"] == pytest.approx(1452)
    assert looks["history-percent", "B"] == pytest.approx(4356)
    assert looks["history-amount", "A"] == pytest.approx(1320 + 264)
    assert looks["history-amount", "B"] == pytest.approx(3960 + 264)
    assert looks["flat", "A"] == looks["flat", "B"] == pytest.approx(2904)
    assert looks["weighted-index", "A"] == pytest.approx(5808 * (0.5 * 0.25 + 0.5 * 0.5))
    assert looks["potential-share", "A"] == pytest.approx(2904)
    assert looks["maintain-and-grow", "A"] == pytest.approx(1320 + 264)  # nobody has potential left to grow into


def test_growth_goes_where_potential_is_left() -> None:
    """B sold 3,960 last year of a potential of 1,000: nothing is left there, so that A has to grow by all 528."""
    sales = {
        name: [level] * 12 + [level * 1.1] * 12 + [level * 1.21] * 12 for name, level in (("A", 100.0), ("B", 300.0))
    }
    problem = by_hand(sales)
    problem = replace(problem, accounts=problem.accounts.assign(potential=[3000.0, 1000.0]))
    looks = backtest(problem, months=12, looks=1).looks.set_index(["method", "rep_id"])["forecast"]
    assert looks["maintain-and-grow", "A"] == pytest.approx(1320 + 528)
    assert looks["maintain-and-grow", "B"] == pytest.approx(3960)


def test_past_quotas_stand_in_the_table() -> None:
    """Quarterly quotas: one look per quarter that has a past, the row named as they were."""
    starts = ["2024-03-31", "2024-07-01", "2024-09-30", "2024-12-31", "2025-04-01"]
    rows = [{"rep_id": rep, "period_start": start, "quota": quota} for start in starts
            for rep, quota in (("A", 330.0), ("B", 870.0))]  # fmt: skip
    found = backtest(by_hand({"A": [100.0] * 18, "B": [300.0] * 18}, pd.DataFrame(rows)))
    assert found.horizon == 3
    assert sorted(found.looks["first_month"].unique()) == ["2024-04", "2024-07", "2024-10", "2025-01", "2025-04"]
    table = found.table().set_index("method")
    assert table.loc[AS_SET, "rep_error"] == pytest.approx((30 + 30) / 1200)
    assert found.best in METHODS
    assert (
        AS_SET
        not in backtest(by_hand({"A": [100.0] * 18, "B": [300.0] * 18}, pd.DataFrame(rows)), months=6)
        .table()["method"]
        .to_list()
    )


def test_padded_quotas_are_freed_of_what_was_never_sold_before() -> None:
    """Twice what is sold each quarter: only the first of five looks does not know it."""
    starts = ["2024-04-01", "2024-07-01", "2024-10-01", "2025-01-01", "2025-04-01"]
    rows = [{"rep_id": rep, "period_start": start, "quota": quota} for start in starts
            for rep, quota in (("A", 600.0), ("B", 1800.0))]  # fmt: skip
    found = backtest(by_hand({"A": [100.0] * 18, "B": [300.0] * 18}, pd.DataFrame(rows)))
    table = found.table().set_index("method")
    assert table.loc[AS_SET, "rep_error"] == pytest.approx(1.0)
    assert table.loc[AS_ATTAINED, "rep_error"] == pytest.approx(0.2)
    assert found.best in METHODS


def test_only_reps_with_a_quota_count_where_quotas_are_known() -> None:
    rows = [{"rep_id": "A", "period_start": "2024-07-01", "quota": 330.0}]
    found = backtest(by_hand({"A": [100.0] * 18, "B": [300.0] * 18}, pd.DataFrame(rows)), months=12)
    assert set(found.looks["rep_id"]) <= {"A", "B"}
    quarter = backtest(by_hand({"A": [100.0] * 24, "B": [300.0] * 24}, pd.DataFrame(rows)))
    assert set(quarter.looks["rep_id"]) == {"A"}


def test_a_flat_quota_is_unfair_to_the_small() -> None:
    table = backtest(company(accounts=400, reps=12)).table().set_index("method")
    assert table.loc["flat", "unfairness"] > 0.7 > table.loc["estimate", "unfairness"]


def test_unfairness_of_attainment_that_is_alike_is_unknown() -> None:
    """Four reps sell again what they sold last year: all attain 100 %, there is no rank to hold against books.

    A flat quota is 250 a month for all, attainment 40, 80, 120 and 160 %: in the order of the books.
    """
    sales = {"A": [100.0] * 24, "B": [200.0] * 24, "C": [300.0] * 24, "D": [400.0] * 24}
    table = backtest(by_hand(sales), months=12).table().set_index("method")
    assert np.isnan(table.loc["history-percent", "unfairness"])
    assert table.loc["flat", "unfairness"] == pytest.approx(1.0)


def test_the_estimate_is_closest_on_a_company_like_any_other() -> None:
    found = [backtest(company(seed, accounts=500, reps=12)) for seed in range(3)]
    errors = pd.concat([f.table().set_index("method")["rep_error"] for f in found], axis=1).mean(axis=1)
    assert errors.idxmin() == "estimate"


def test_same_seed_same_table() -> None:
    one, two = (backtest(company(accounts=80, reps=5), seed=4) for _ in range(2))
    assert str(one) == str(two)
    assert one.to_dict() == two.to_dict()


# --- bad input ------------------------------------------------------------------------------------------------


def test_what_cannot_be_looked_back_on() -> None:
    short = by_hand({"A": [100.0] * 3, "B": [300.0] * 3})
    with pytest.raises(DataError, match="3 months of sales are too few to hide 12"):
        backtest(short, months=12)
    assert isinstance(backtest(short), Backtest)
    with pytest.raises(DataError, match="no sales table"):
        backtest(to.load_scenario(ROOT / "scenarios" / "toy").problem())


def test_an_account_that_changed_owner_counts_for_who_had_it_then() -> None:
    """B sells to A's account from 2025 on: at the look before, the book is A's, and A's forecast holds it."""
    problem = by_hand({"A": [100.0] * 24, "B": [300.0] * 24})
    sales = problem.sales.copy()
    moved = (sales["account_id"] == "A") & (sales["month"] >= "2025-01-01")
    sales.loc[moved, "rep_id"] = "B"
    looks = backtest(replace(problem, sales=sales), months=12).looks.set_index(["method", "rep_id"])
    assert looks.loc[("history-percent", "A"), "forecast"] == pytest.approx(1200)
    assert looks.loc[("history-percent", "A"), "sales"] == 0
    assert looks.loc[("history-percent", "B"), "sales"] == pytest.approx(4800)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_market(generate_market(60, 4, 3), tmp_path / "company")
    assert run(["backtest", str(path), "--looks", "2"]) == 0
    text = capsys.readouterr().out
    assert "2 looks back, 12 months hidden" in text
    assert "Closest to what reps sold:" in text
    assert run(["backtest", str(path), "--months", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["horizon_months"] == 3
    assert facts["best"] == facts["scores"][0]["method"]
    assert run(["backtest", str(ROOT / "scenarios" / "toy")]) == 2


def test_adventureworks_against_its_own_quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real quotas: ours must be closer to what reps sold than theirs and than every standard method."""
    data = Path(os.environ.get("TERRITORY_OPT_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "adventureworks" / "accounts.csv").exists():
        pytest.skip(f"AdventureWorks is not in {data}: set TERRITORY_OPT_DATA to the folder that holds it")
    monkeypatch.setenv("TERRITORY_OPT_DATA", str(data))
    found = backtest(to.load_scenario(ROOT / "scenarios" / "adventureworks").problem())
    table = found.table().set_index("method")
    assert found.n_looks == 11
    assert table["rep_error"].drop(AS_ATTAINED).idxmin() == "estimate"
    assert table.loc["estimate", "rep_error"] < 0.9 * table.loc[AS_SET, "rep_error"]
    # Known and told: what whoever set the quotas knew is beyond the tables, once their padding is taken off.
    assert table.loc[AS_ATTAINED, "rep_error"] < table.loc["estimate", "rep_error"]


# --- shared shocks --------------------------------------------------------------------------------------------


def shaken(what: str, spread: float, seed: int) -> to.Problem:
    """60 months in which every year hits the company, one region or one segment by a shock of this spread."""
    tables = generate_market(300, 12, seed, managers=4, regions=3, months=60)
    rng = np.random.default_rng(100 + seed)
    sales, accounts = tables["sales"], tables["accounts"].set_index("account_id")
    year = sales["month"].str[:4]
    by_manager = (
        tables["reps"].set_index("rep_id")["manager"].map(tables["managers"].set_index("manager_id")["reports_to"])
    )
    group = {
        "company": pd.Series("all", index=sales.index),
        "segment": sales["account_id"].map(accounts["segment"]),
        "region": sales["rep_id"].map(by_manager).fillna("none"),
    }[what]
    key = group + " " + year
    factor = {k: float(np.exp(rng.normal(0.0, spread))) for k in sorted(key.unique())}
    tables["sales"] = sales.assign(sales=sales["sales"] * key.map(factor))
    return to.Problem.from_tables(**tables)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["company", "region", "segment"])
def test_planted_shocks_are_found_where_they_are(what: str) -> None:
    """A spread of 25 % against none, averaged over a few companies: the planted one stands out."""
    planted = [getattr(backtest(shaken(what, 0.25, seed), months=12).shocks, what) for seed in range(4)]
    calm = [getattr(backtest(shaken(what, 0.0, seed), months=12).shocks, what) for seed in range(4)]
    assert np.mean(planted) > 0.10
    assert np.mean(planted) > 1.8 * np.mean(calm)


def test_shocks_of_a_calm_company_stay_near_what_is_assumed() -> None:
    shocks = backtest(company(accounts=400), months=12).shocks
    assert 0.02 < shocks.company < 0.08
    assert shocks.region < 0.06
    assert 1.0 <= shocks.n_looks <= 8.0


# --- shared shocks, estimated ---------------------------------------------------------------------------------


def swinging(swing: float, seed: int = 3) -> to.Problem:
    """Everybody's sales are multiplied alike in each stretch of six months."""
    problem = company(seed, months=48)
    month = pd.PeriodIndex(problem.sales["month"], freq="M")
    factor = np.exp(np.random.default_rng(seed).normal(0.0, swing, 8))[(month.asi8 - month.asi8.min()) // 6]
    policy = to.Policy.model_validate({"quotas": {"target": 1e7, "odds": {"common_shock": "auto"}}})
    return replace(problem, sales=problem.sales.assign(sales=problem.sales["sales"] * factor), policy=policy)


def test_auto_takes_the_shocks_of_the_history() -> None:
    models = [Model.build(swinging(swing)) for swing in (0.0, 0.4)]
    calm, wild = (model.estimate.shocks for model in models)
    assert 0.02 < calm.company < 0.08
    assert wild.company > 2.0 * calm.company
    assert wild.n_looks >= 1.0


def test_what_is_learnt_stands_in_the_estimate_and_not_in_the_policy() -> None:
    problem = swinging(0.2)
    model = Model.build(problem)
    assert model.problem is problem
    odds = model.problem.policy.quotas.odds
    assert odds is not None
    assert odds.common_shock == "auto"


def test_auto_without_a_history_is_the_assumed_shock() -> None:
    problem = replace(swinging(0.0), sales=swinging(0.0).sales.iloc[:0])
    assert Model.build(problem).estimate.shocks == Shocks(company=0.05)


def test_a_range_counts_only_with_errors_that_were_known_by_then() -> None:
    """Doubling the sales of the last hidden stretch changes no range, neither of that look nor of one before."""
    problem = swinging(0.2)
    late = pd.PeriodIndex(problem.sales["month"], freq="M") > pd.Period("2026-09", freq="M")
    other = replace(problem, sales=problem.sales.assign(sales=problem.sales["sales"] * np.where(late, 2.0, 1.0)))
    first, second = (backtest(p, months=3, looks=6).looks for p in (problem, other))
    pd.testing.assert_series_equal(first["spread"], second["spread"])
    fixed = to.Policy.model_validate({"quotas": {"target": 1e7}})
    given = backtest(replace(problem, policy=fixed), months=3, looks=6).looks
    estimate = first["method"] == "estimate"
    first_look = first["first_month"] == first["first_month"].min()
    assert (given["spread"][estimate & first_look] == first["spread"][estimate & first_look]).all()
    assert (given["spread"][estimate & ~first_look] < first["spread"][estimate & ~first_look]).all()
