"""Tracking: what is due, odds of finishing against brute force, a leaderboard that knows difficulty, bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.mid_year import mid_year
from hypothesis import given, settings
from hypothesis import strategies as st

import territory_opt as to
from territory_opt.cli.commands import run
from territory_opt.errors import DataError, ScenarioError
from territory_opt.estimate.seasonality import season_doubt
from territory_opt.estimate.shocks import Shocks
from territory_opt.intake.actuals import check_actuals, read_metrics
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan, month_weights
from territory_opt.problem.policy import ASSUMED_SHOCK
from territory_opt.quota.outlook import SETTINGS, Book, look_ahead
from territory_opt.quota.track import Tracking, track
from territory_opt.synthetic.market import generate_market, write_market

MONTHS = pd.period_range("2027-01", periods=12, freq="M").astype(str)


def company(**quotas: object) -> to.Problem:
    tables = generate_market(200, 6, seed=2)
    return to.Problem.from_tables(
        **tables, policy=to.Policy.model_validate({"quotas": {"target": 11_000_000, **quotas}})
    )


def planned(problem: to.Problem, factor: np.ndarray | float = 1.0) -> tuple[Model, Plan]:
    """Everyone keeps the accounts of today (vacant ones go to the first rep); quotas are expected sales x factor."""
    model = Model.build(problem)
    kept = np.maximum(model.source.incumbent[model.source.nodes.first], 0).astype(np.int64)
    sales = Figures(model, Plan.from_positions(model, kept, np.zeros(problem.n_reps))).evaluation.rep_sales
    return model, Plan.from_positions(model, kept, np.round(sales * factor))


def as_expected(model: Model, plan: Plan, months: int, factor: np.ndarray | float = 1.0) -> pd.DataFrame:
    """One row per rep and month: exactly what was expected, times ``factor``, booked on the rep's largest account."""
    weight = month_weights(model, plan.assignment)
    share = weight / weight.sum(axis=1, keepdims=True)
    sales = Figures(model, plan).evaluation.rep_sales * factor
    rows = [
        {"account_id": plan.assignment.index[(plan.assignment == rep).to_numpy()][0], "month": MONTHS[k],
         "sales": sales[j] * share[j, k], "rep_id": rep}
        for j, rep in enumerate(model.problem.reps["rep_id"]) for k in range(months)
    ]  # fmt: skip
    return check_actuals(pd.DataFrame(rows), model.problem)


def test_who_sells_what_was_expected_is_on_pace() -> None:
    model, plan = planned(company())
    found = track(Figures(model, plan), as_expected(model, plan, 5))
    assert found.as_of == "2027-05"
    assert found.months == 5
    for name in ("pace_share", "adjusted_share", "needed_share"):
        np.testing.assert_allclose(found.reps[name], 1.0, atol=1e-4)
    np.testing.assert_allclose(found.reps["finish_probability"], 0.5, atol=1e-3)
    np.testing.assert_allclose(found.reps["outlook_usd_per_year"], found.reps["quota_usd_per_year"], rtol=1e-5)
    assert found.company["pace"] == pytest.approx(found.company["sold"] / found.company["due"])


def test_due_follows_the_season_not_the_calendar() -> None:
    """Five months of a year that peaks late are less than five twelfths of the quota."""
    model, plan = planned(company())
    due = track(Figures(model, plan), as_expected(model, plan, 5)).reps.set_index("rep_id")["due_usd"]
    weight = month_weights(model, plan.assignment)
    part = weight[:, :5].sum(axis=1) / weight.sum(axis=1)
    assert np.ptp(part) > 1e-4
    np.testing.assert_allclose(due[model.problem.reps["rep_id"]], plan.annual * part, rtol=1e-9)


def test_odds_of_finishing_against_brute_force() -> None:
    """Draw a million years month by month, keep those that began like this one: the share that finishes."""
    rng = np.random.default_rng(0)
    mean, outcome, doubt, past, shock, season = 1000.0, 90.0**2, 60.0**2, 0.4, 0.08, 0.02
    quota, sold, draws = 1020.0, 440.0, 4_000_000
    found = look_ahead(one(mean, outcome, doubt, past, season), np.array([sold]), shock, 0.0)
    level = rng.normal(1.0, np.sqrt(doubt / mean**2 + SETTINGS.lasting * shock**2), draws)
    # A factor is off by one wave over the year, of a phase that nobody knows: what comes early is missing later.
    height, phase = np.sqrt(2 * season), 2 * np.pi * rng.random(draws)
    off = height * (np.sin(2 * np.pi * past + phase) - np.sin(phase)) / (2 * np.pi)
    shared, rest_shared = (
        rng.normal(0.0, np.sqrt(part * (1 - SETTINGS.lasting)) * shock, draws) for part in (past, 1 - past)
    )
    first = mean * (past * level + off + shared) + rng.normal(0.0, np.sqrt(past * outcome), draws)
    alike = np.abs(first - sold) < 3.0
    rest = mean * ((1 - past) * level - off + rest_shared)[alike]
    rest += rng.normal(0.0, np.sqrt((1 - past) * outcome), alike.sum())
    assert alike.sum() > 50_000
    assert found.chance(np.array([quota - sold]))[0] == pytest.approx((sold + rest >= quota).mean(), abs=0.02)
    assert sold + found.left[0] == pytest.approx(sold + rest.mean(), rel=0.003)
    assert found.adjusted[0] == pytest.approx((level + shared / past)[alike].mean(), abs=0.005)


def test_what_the_others_sold_tells_of_the_shared_shock() -> None:
    """Against the joint normal of all that is uncertain, built variable by variable, given what was seen."""
    mean, outcome, doubt = np.array([[300.0, 500.0, 900.0], [900.0, 1600.0, 2500.0], [80.0, 90.0, 70.0]])
    f, shared, own, season, sold = 0.4, 0.08, 0.03, 0.02, np.array([100.0, 190.0, 330.0])
    found = look_ahead(Book(mean, outcome, doubt, np.full(3, f), season), sold, shared, own)
    # Independent: own levels (3) and waves (3), shared level, shared shock so far and to come, then luck and own shocks
    # of the months so far (3) and to come (3); the others' wave is one of its own.
    own_level, luck = doubt / mean**2 + SETTINGS.lasting * own**2, outcome / mean**2 + (1 - SETTINGS.lasting) * own**2
    wave, shock = season / np.pi**2 * np.sin(np.pi * f) ** 2 * np.ones(3), (1 - SETTINGS.lasting) * shared**2
    variance = np.array([*own_level, *wave, SETTINGS.lasting * shared**2, f * shock, (1 - f) * shock, *(f * luck),
                         *((1 - f) * luck)])  # fmt: skip
    unit, none, ones = np.eye(3), np.zeros((3, 3)), np.ones((3, 1))
    first = mean[:, None] * np.hstack([f * unit, unit, f * ones, ones, 0 * ones, unit, none]) * np.sqrt(variance)
    rest = mean[:, None] * np.hstack([(1 - f) * unit, -unit, (1 - f) * ones, 0 * ones, ones, none, unit])
    rest *= np.sqrt(variance)
    for j in range(3):
        others = np.arange(3) != j
        together = first[others].sum(axis=0)
        together[3:6] = np.where(others, np.sqrt((mean[others].sum() ** 2 / 2) * wave), 0.0)
        seen = np.vstack([first[j], together])
        off = np.array([sold[j] - f * mean[j], (sold - f * mean)[others].sum()])
        by = np.linalg.solve(seen @ seen.T, seen @ rest[j])
        assert found.left[j] == pytest.approx((1 - f) * mean[j] + by @ off)
        assert found.spread[j] ** 2 == pytest.approx(rest[j] @ rest[j] - by @ seen @ rest[j])


def test_a_bad_year_of_all_does_not_favour_small_books() -> None:
    """All reps have the same true level, 15 % below (above) the plan: the leaderboard does not follow size."""
    rng, mean = np.random.default_rng(0), np.geomspace(2e5, 5e6, 20)
    variance = (0.35 * mean) ** 2 * mean[0] / mean
    book = Book(mean, 0.8 * variance, 0.2 * variance, np.full(20, 0.5), 0.002)
    for level in (0.85, 1.0, 1.15):
        follows = []
        for _ in range(200):
            sold = 0.5 * mean * level + rng.normal(0.0, np.sqrt(0.5 * book.outcome))
            rank = np.argsort(np.argsort(look_ahead(book, sold, 0.05, 0.0).adjusted))
            follows.append(np.corrcoef(rank, range(20))[0, 1])
        assert abs(np.mean(follows)) < 0.1


def test_what_is_sold_is_sold() -> None:
    """The rest of the year brings nothing less than nothing: no range below it, and a quota that is made stays made."""
    found = look_ahead(one(100.0, 100.0**2, 0.0, 0.5), np.array([40.0]), 0.05, 0.0)
    low, high = found.bounds()
    assert low[0] == 0.0 < found.left[0] < high[0]
    made, just, missed = (found.chance(np.array([missing]))[0] for missing in (-1.0, 0.0, 1.0))
    assert made == just == 1.0 > missed


def one(mean: float, outcome: float, doubt: float, past: float, season: float = 0.0) -> Book:
    return Book(*(np.array([x]) for x in (mean, outcome, doubt, past)), season)


def test_a_shock_of_the_rest_of_the_year_is_not_known_at_half_time() -> None:
    """Everyone is struck at once: what remains of the company is as uncertain as the shock, however large it is."""
    found = look_ahead(one(1e9, 0.0, 0.0, 0.5), np.array([0.5e9]), 0.05, 0.0)
    # The rest alone has a passing shock with half the year's variance of it: sd 0.05 sqrt(0.75 / 2) of the year.
    assert 0.2 < found.chance(np.array([0.52e9]))[0] < 0.3


@pytest.mark.slow
def test_mid_year_odds_come_true_on_companies_whose_year_is_known() -> None:
    """80 % ranges after half a year hold about so many totals; sure is seldom wrong (figures: benchmarks)."""
    reps = mid_year(seeds=4, history=36, accounts=120, after=(6,)).loc[("rep", 6)]
    assert reps["n"] > 50
    assert 0.70 < reps["covered"] < 0.92
    assert reps["sure_wrong"] < 0.06


def test_a_short_history_says_less_about_the_season() -> None:
    factors = 1.0 + 0.2 * np.cos(2 * np.pi * np.arange(12) / 12)
    doubts = [season_doubt(factors, months) for months in (60, 48, 36, *range(30, 5, -1))]
    assert doubts == sorted(doubts)
    assert season_doubt(np.ones(12), 0) > 0


def test_a_short_history_makes_ranges_wider() -> None:
    """Through the public door: what a season and growth learnt from one year leave open, for reps and the company."""
    tables = generate_market(120, 6, 5, months=36)
    sales, widths = tables["sales"], []
    for first in ("2023-01", "2026-01"):
        known = sales[sales["month"].astype(str) >= first]
        policy = to.Policy.model_validate({"quotas": {"target": 9e6, "odds": {}}})
        model, plan = planned(to.Problem.from_tables(**{**tables, "sales": known}, policy=policy))
        sold = as_expected(model, plan, 6)
        certain = replace(model.estimate, history_months=10**6, shocks=Shocks(ASSUMED_SHOCK))
        exact = replace(model, estimate=certain)
        for one_model in (model, exact):
            found = track(Figures(one_model, plan), sold)
            reps, whole = found.reps, found.company
            low, high, quota = (reps[f"{name}_usd_per_year"] for name in ("low_80", "high_80", "quota"))
            widths.append([float(((high - low) / quota).mean()),
                           (whole["high"] - whole["low"]) / whole["quota"]])  # fmt: skip
    long, long_exact, short, short_exact = np.array(widths)
    assert (long > long_exact).all()
    assert (short > 1.1 * short_exact).all()
    assert (short - short_exact > long - long_exact).all()


def test_when_the_year_is_over_there_is_nothing_left_to_chance() -> None:
    model, plan = planned(company())
    factor = np.array([1.01, 0.99, 1.2, 0.5, 1.01, 0.99])
    found = track(Figures(model, plan), as_expected(model, plan, 12, factor)).reps.set_index("rep_id")
    chance = found.loc[model.problem.reps["rep_id"], "finish_probability"].to_numpy()
    assert chance.tolist() == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    assert found.loc[model.problem.reps["rep_id"], "status"].tolist() == ["ahead", "behind"] * 3


def test_the_leaderboard_knows_difficulty_and_luck() -> None:
    """The same pace on an easy and a hard quota ranks by the accounts, not by the quota; small books shrink more."""
    problem = company()
    ease = np.array([0.7, 1.3, 1.0, 1.0, 1.0, 1.0])
    model, plan = planned(problem, ease)
    found = track(Figures(model, plan), as_expected(model, plan, 4, np.array([0.95, 1.05, 1, 1, 1, 1]))).reps.set_index(
        "rep_id"
    )
    easy, hard = problem.reps["rep_id"].iloc[0], problem.reps["rep_id"].iloc[1]
    assert found.loc[easy, "pace_share"] > found.loc[hard, "pace_share"]
    assert found.loc[easy, "adjusted_share"] < found.loc[hard, "adjusted_share"]
    assert found.loc[easy, "rank"] > found.loc[hard, "rank"]
    lucky = [look_ahead(one(m, 50.0**2, 0.0, 0.25), np.array([1.2 * 0.25 * m]), 0.1, 0.0).adjusted[0]
             for m in (1000.0, 100.0)]  # fmt: skip
    assert 1.0 < lucky[1] < lucky[0] < 1.2


def test_sales_without_a_seller_count_for_the_accounts_rep() -> None:
    model, plan = planned(company())
    named = as_expected(model, plan, 3)
    bare = check_actuals(named.drop(columns="rep_id"), model.problem)
    pd.testing.assert_series_equal(
        track(Figures(model, plan), named).reps["sold_usd"], track(Figures(model, plan), bare).reps["sold_usd"]
    )


def test_a_metric_never_takes_the_name_of_a_figure() -> None:
    """Neither with its unit nor without."""
    model, plan = planned(company())
    metrics = pd.DataFrame({"rep_id": model.problem.reps["rep_id"], "pace": 7.0, "sold_usd": 8.0})
    found = track(Figures(model, plan), as_expected(model, plan, 2), metrics=metrics)
    assert found.reps.columns.is_unique
    assert (found.reps["pace (metrics)"] == 7.0).all()
    assert (found.reps["sold_usd (metrics)"] == 8.0).all()
    assert (found.reps["sold_usd"] > 8.0).all()


def test_metrics_stand_beside(tmp_path: Path) -> None:
    model, plan = planned(company())
    metrics = pd.DataFrame({"rep_id": model.problem.reps["rep_id"].iloc[:3], "win_rate": [0.2, 0.3, 0.4]})
    found = track(Figures(model, plan), as_expected(model, plan, 2), metrics=metrics)
    assert found.reps["win_rate"].notna().sum() == 3
    assert len(found.reps) == 6
    heads, *lines = str(found).splitlines()[-7:]
    assert heads.split()[-1] == "win_rate"
    assert sorted(line.split()[-1] for line in lines if line.split()[-1][0].isdigit()) == ["0.2", "0.3", "0.4"]
    path = tmp_path / "metrics.csv"
    path.write_text("rep_id,win_rate\nR-1,0.5\nnobody,0.9\n", encoding="utf-8")
    read = read_metrics(path, by_hand_of("R-1"))
    assert read["rep_id"].tolist() == ["R-1"]
    assert [str(issue) for issue in read.attrs["issues"]] == [
        'metrics.csv  row 3  rep_id  "nobody"  no rep of this name: left out; correct the id, or add the rep'
    ]


def by_hand_of(rep: str) -> to.Problem:
    accounts = pd.DataFrame({"account_id": ["A"], "lat": 48.0, "lon": 9.0, "incumbent": rep, "potential": 1.0})
    return to.Problem.from_tables(accounts, pd.DataFrame({"rep_id": [rep], "lat": 48.0, "lon": 9.0}))


def test_months_of_the_year_without_any_row_are_said() -> None:
    rows = pd.DataFrame({"account_id": "A", "month": ["2027-02", "2027-05"], "sales": 5.0})
    found = check_actuals(rows, by_hand_of("R-1")).attrs["issues"]
    assert [issue.problem for issue in found] == [
        "no account has a row in 2027-01, 2027-03, 2027-04: they count as months without sales"
    ]


def test_the_row_of_a_month_outside_the_year_is_that_of_the_file() -> None:
    rows = pd.DataFrame({"account_id": ["nobody", "A", "A", "A"], "month": ["2027-01"] * 3 + ["2026-05"], "sales": 5.0})
    found = check_actuals(rows, by_hand_of("R-1")).attrs["issues"]
    assert [issue.row for issue in found if "1 row lies outside the plan year" in issue.problem] == [5]


def test_months_and_figures_that_cannot_be() -> None:
    model, plan = planned(company())
    sales = as_expected(model, plan, 3)
    assert track(Figures(model, plan), sales, as_of="2027-02").months == 2
    for month, words in (("2026-12", "lies outside the plan year"), ("May", "is not a month")):
        with pytest.raises(ScenarioError, match=words):
            track(Figures(model, plan), sales, as_of=month)
    late = pd.DataFrame({"account_id": ["A-0001"] * 2, "month": ["2026-11", "2028-01"], "sales": [1.0, 2.0]})
    late["account_id"] = model.problem.accounts["account_id"].iloc[0]
    with pytest.raises(DataError, match="no row lies in the plan year"):
        check_actuals(late, model.problem)
    odd = pd.concat([late, late.assign(month="2027-01", sales="12,5")])
    with pytest.raises(DataError, match="12,5"):
        check_actuals(odd, model.problem)
    mixed = check_actuals(pd.concat([late, late.iloc[:1].assign(month="2027-01", account_id="nobody"),
                                     late.iloc[:1].assign(month="2027-02", sales=-5.0)]), model.problem)  # fmt: skip
    assert len(mixed) == 1
    assert mixed["sales"].tolist() == [-5.0]
    words = " ".join(issue.problem for issue in mixed.attrs["issues"])
    assert "outside the plan year" in words
    assert "is not in" in words or "no such account" in words


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = write_market(generate_market(80, 4, 5), tmp_path / "company")
    assert run(["solve", str(scenario), "--out", str(tmp_path / "plan"), "--gap", "5 %", "--quiet"]) in (0, 3)
    problem = to.load_scenario(scenario).problem()
    rows = pd.DataFrame({"account_id": problem.accounts["account_id"], "month": "2027-01", "sales": 4000.0})
    rows.to_csv(tmp_path / "so_far.csv", index=False)
    pd.DataFrame({"rep_id": problem.reps["rep_id"], "win_rate": 0.25}).to_csv(tmp_path / "metrics.csv", index=False)
    capsys.readouterr()
    options = ["--sales", str(tmp_path / "so_far.csv"), "--metrics", str(tmp_path / "metrics.csv")]
    assert run(["track", str(tmp_path / "plan"), *options, "--out", str(tmp_path / "new" / "standing.csv")]) == 0
    assert "after 2027-01 (month 1 of the plan year)" in capsys.readouterr().out
    written = pd.read_csv(tmp_path / "new" / "standing.csv")
    assert (written["win_rate"] == 0.25).all()
    assert run(["track", str(tmp_path / "plan"), *options, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["reps"]) == 4
    assert run(["track", str(tmp_path / "plan"), "--sales", str(tmp_path / "nothing.csv")]) == 2
    (tmp_path / "bad.csv").write_text("who,win\nR,1\n")
    assert run(["track", str(tmp_path / "plan"), *options[:2], "--metrics", str(tmp_path / "bad.csv")]) == 2
    assert "rep_id" in capsys.readouterr().err


def test_a_tracking_reads_as_text() -> None:
    model, plan = planned(company())
    found = track(Figures(model, plan), as_expected(model, plan, 6))
    assert isinstance(found, Tracking)
    assert "on pace" in str(found)
    assert found.to_dict()["months"] == 6


def test_an_account_that_changed_owner_mid_year_counts_for_who_sold() -> None:
    """Its months before the change stay with the rep who sold them, wherever the plan has it."""
    model, plan = planned(company())
    account, owner = plan.assignment.index[0], plan.assignment.iloc[0]
    other = next(rep for rep in model.problem.reps["rep_id"] if rep != owner)
    rows = [
        {"account_id": account, "month": month, "sales": 1000.0, "rep_id": owner if month < "2027-03" else other}
        for month in MONTHS[:5]
    ]
    found = track(Figures(model, plan), check_actuals(pd.DataFrame(rows), model.problem)).reps.set_index("rep_id")
    assert found.loc[owner, "sold_usd"] == 2000.0
    assert found.loc[other, "sold_usd"] == 3000.0
    assert found["sold_usd"].sum() == 5000.0


CELLS = st.sampled_from(
    [
        "2027-03",
        "2027-13",
        "2026-12",
        "2028-01",
        "",
        "nan",
        "1e9",
        "-5",
        "abc",
        "A1",
        "=1+1",
        "R1",
        "nobody",
        "12,5",
        "\x00",
        "é",
    ]
)


ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(("account_id", "month", "sales", "rep_id"), CELLS)), max_size=6)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, dropped=st.sampled_from(["", "month", "sales", "account_id", "rep_id"]))
def test_no_table_of_sales_ends_in_anything_but_figures_or_findings(rows: list[dict[str, str]], dropped: str) -> None:
    model, plan = fuzzed()
    table = pd.DataFrame(rows, columns=["account_id", "month", "sales", "rep_id"]).drop(columns=dropped or [])
    try:
        sales = check_actuals(table, model.problem)
    except DataError as error:
        problems = [issue.problem for issue in error.issues]
    else:
        problems = []
        found = track(Figures(model, plan), sales)
        assert np.isfinite(found.reps.select_dtypes("number").to_numpy(float)).all()
    assert all(problems)


@cache
def fuzzed() -> tuple[Model, Plan]:
    return planned(company())


def test_months_that_the_file_does_not_hold_are_not_without_sales() -> None:
    model, plan = planned(company())
    with pytest.raises(
        ScenarioError, match="sales end with 2027-05: give those of 2027-09 too, or track as of 2027-05"
    ):
        track(Figures(model, plan), as_expected(model, plan, 5), as_of="2027-09")
