"""Expected sales from history: planted seasons, growth, lapses, lumps are found; figures behave as money does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from benchmarks.sensitivity import changed
from hypothesis import given, settings
from hypothesis import strategies as st

import territory_opt as to
from territory_opt.estimate.expected import estimate_sales
from territory_opt.estimate.forecast import forecast
from territory_opt.estimate.growth import SETTINGS, growth
from territory_opt.estimate.history import History
from territory_opt.estimate.levels import OWN, levels
from territory_opt.estimate.seasonality import seasonality
from territory_opt.synthetic.market import generate_market

FloatArray = npt.NDArray[np.float64]


def history(
    sales: FloatArray, *, start: str = "2023-01", potential: FloatArray | None = None, segment: list[int] | None = None
) -> History:
    """A history of (n_accounts, n_months) sales; by default everyone's potential is twice the last year's sales."""
    n = len(sales)
    could = np.full(n, 2.0 * max(sales[:, -12:].sum() / n, 1.0)) if potential is None else potential
    group = np.zeros(n, dtype=np.int64) if segment is None else np.array(segment)
    names = tuple(f"s{k}" for k in range(group.max() + 1))
    return History(sales, pd.Period(start, freq="M"), could, group, names)


def steady(n: int = 40, months: int = 36, *, growth: float = 1.0, seed: int = 0, noise: float = 0.1) -> FloatArray:
    """Monthly sales of about 100 per account with yearly growth and noise."""
    rng = np.random.default_rng(seed)
    level = 100.0 * rng.lognormal(0.0, 0.5, (n, 1)) * growth ** (np.arange(months) / 12.0)
    return np.asarray(level * rng.lognormal(-(noise**2) / 2, noise, (n, months)))


# --- the company as a whole -----------------------------------------------------------------------------------


CHRISTMAS = np.array([0.8] * 9 + [1.6] * 3)
SUMMER = 1.0 + 0.5 * np.sin(2 * np.pi * (np.arange(12) - 2) / 12)


@pytest.mark.parametrize("season", [CHRISTMAS, np.roll(CHRISTMAS, 3), SUMMER, np.roll(SUMMER, 6)])
@pytest.mark.parametrize("months", [12, 15, 18, 24, 36])
def test_a_strong_season_is_no_growth(season: FloatArray, months: int) -> None:
    """A company that sells the same every year is expected to, wherever in its season a short history ends."""
    rng = np.random.default_rng(3)
    sales = steady(200, months + 12) * season[(np.arange(months + 12) - months) % 12]
    sales *= rng.gamma(20.0, 1 / 20.0, sales.shape)
    start = str(pd.Period("2027-01", freq="M") - months)
    found = forecast(history(sales[:, :months], start=start), horizon=12)
    assert found.expected.sum() == pytest.approx(sales[:, months:].sum(), rel=0.04)


def test_other_settings_are_used_and_put_back() -> None:
    """Who takes it for certain that nothing grows, sees none; before and after, growth of 15 % is seen."""
    past = history(steady(200, 48, growth=1.15))
    with changed(SETTINGS, replace(SETTINGS, spread=1e-6)):
        assert growth(past).pace == pytest.approx([0.0], abs=1e-6)
    assert growth(past).pace == pytest.approx([np.log(1.15)], abs=0.04)


@pytest.mark.parametrize("months", [18, 24, 36])
def test_growth_is_told_from_the_season(months: int) -> None:
    sales = steady(200, months + 12, growth=1.15) * CHRISTMAS[(np.arange(months + 12) - months) % 12]
    start = str(pd.Period("2027-01", freq="M") - months)
    found = forecast(history(sales[:, :months], start=start), horizon=12)
    # Half a year against the same half year before says less, and is shrunk more.
    assert found.expected.sum() == pytest.approx(sales[:, months:].sum(), rel=0.08 if months == 18 else 0.05)
    if months == 18:
        assert found.expected.sum() > 1.04 * sales[:, months - 12 : months].sum()


def test_years_that_differ_by_chance_are_not_extrapolated() -> None:
    """Each year lies 5 % off the level at random: not much worse than last year again."""
    off = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        sales = steady(100, 48, seed=seed) * np.repeat(1.0 + 0.05 * rng.normal(size=4), 12)
        found = forecast(history(sales[:, :36]), horizon=12).expected.sum()
        came, last_year = sales[:, 36:].sum(), sales[:, 24:36].sum()
        off.append((found / came - 1.0, last_year / came - 1.0))
    ours, naive = np.sqrt(np.mean(np.array(off) ** 2, axis=0))
    assert ours < 1.3 * naive


def test_segments_grow_apart() -> None:
    month = np.arange(60)
    sales = steady(200, 60)
    sales[:100] *= 0.8 ** (month / 12)
    sales[100:] *= 1.2 ** (month / 12)
    found = forecast(history(sales[:, :48], segment=[0] * 100 + [1] * 100), horizon=12).expected
    for half in (slice(0, 100), slice(100, 200)):
        assert found[half].sum() == pytest.approx(sales[half, 48:].sum(), rel=0.07)


@pytest.mark.parametrize("credit", [0.5, 0.9, 0.99, 1.01])
def test_a_credit_does_not_blow_up_a_quarter(credit: float) -> None:
    """Two segments of opposite seasons; a credit of so much of the first one's last year."""
    month = np.arange(24)
    swing = 0.8 * np.cos(2 * np.pi * month / 12)
    sales = steady(20, 24)
    sales[:10] *= 1 + swing
    sales[10:] *= 1 - swing
    alike = [0] * 10 + [1] * 10
    plain = forecast(history(sales, segment=alike), horizon=3).expected.sum()
    sales[0, 20] -= credit * sales[:10, 12:].sum()
    assert forecast(history(sales, segment=alike), horizon=3).expected.sum() == pytest.approx(plain, rel=0.3)


@pytest.mark.parametrize("months", [4, 5, 7, 8, 9, 11])
def test_less_than_a_year_stands_for_all_of_it(months: int) -> None:
    rng = np.random.default_rng(2)
    sales = rng.lognormal(10.0, 0.5, (300, 1)) * 4.0 * (rng.random((300, months + 12)) < 0.25)
    found = forecast(history(sales[:, :months]), horizon=12)
    assert found.expected.sum() == pytest.approx(sales[:, :months].sum() * 12 / months, rel=0.12)


@pytest.mark.parametrize("every", [6, 12])
@pytest.mark.parametrize("months", [12, 24, 36, 48])
def test_rare_large_orders_mean_more_spread_and_not_fewer_sales(every: int, months: int) -> None:
    """Every account orders once in ``every`` months, by lot: the mean over ten companies is near the truth."""
    ratio = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sales = rng.lognormal(10.0, 0.8, (300, 1)) * every * (rng.random((300, months + 12)) < 1 / every)
        found = forecast(history(sales[:, :months]), horizon=12)
        ratio.append(found.expected.sum() / sales[:, months:].sum())
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.09)


@pytest.mark.parametrize("months", [24, 36, 60, 120])
def test_a_small_company_of_rare_orders_is_not_far_off(months: int) -> None:
    """30 accounts with one order a year by lot, no growth: little worse than last year again, however long known."""
    off = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sales = rng.lognormal(10.0, 0.5, (30, 1)) * (rng.random((30, months + 12)) < 1 / 12)
        found = forecast(history(sales[:, :months]), horizon=12).expected.sum()
        came, last_year = sales[:, months:].sum(), sales[:, months - 12 : months].sum()
        off.append((found / came - 1.0, last_year / came - 1.0))
    ours, naive = np.sqrt(np.mean(np.array(off) ** 2, axis=0))
    assert ours < 1.1 * naive


@pytest.mark.parametrize("months", [6, 9, 12, 18, 24, 30, 36])
def test_prospects_who_never_bought_add_nothing(months: int) -> None:
    """Four in five accounts never bought in any look; theirs is three times the potential of the others."""
    sales = steady(200, months + 12)
    sales[40:] = 0.0
    could = np.where(np.arange(200) < 40, 2400.0, 7200.0)
    found = forecast(history(sales[:, :months], potential=could), horizon=12)
    assert found.expected.sum() == pytest.approx(sales[:, months:].sum(), rel=0.06)


@pytest.mark.parametrize("months", [12, 13, 15, 18, 24])
def test_renewals_once_a_year_are_expected_again(months: int) -> None:
    """Everyone orders in a month of its own, the same every year: no order in the half year after one means nothing."""
    rng = np.random.default_rng(1)
    size = rng.lognormal(10.0, 0.5, 240)
    sales = np.where(np.arange(months + 12)[None, :] % 12 == np.arange(240)[:, None] % 12, size[:, None], 0.0)
    found = forecast(history(sales[:, :months]), horizon=12)
    assert found.expected.sum() == pytest.approx(size.sum(), rel=0.1)


@pytest.mark.parametrize("credit", [200.0, 1000.0, 1080.0, 1200.0, 3000.0])
@pytest.mark.parametrize("months", [9, 12, 15, 18, 21])
def test_a_large_credit_does_not_decide_over_all_accounts(months: int, credit: float) -> None:
    """One credit, near all that the others bring in a quarter: they are expected to bring what they do."""
    sales = steady(20, months)
    sales[0, months - 2] = -credit * 6
    found = forecast(history(sales), horizon=12)
    others = sales[1:].sum() * 12 / months
    assert 0.7 * others < found.expected[1:].sum() < 1.3 * others


def test_a_handful_of_orders_is_no_season() -> None:
    """One account with three orders in three years, alone and as a segment beside others."""
    rare = np.zeros((1, 36))
    rare[0, [7, 19, 20]] = 500.0
    assert seasonality(history(rare)).max() < 6.0
    both = np.vstack([steady(20, 36), rare])
    assert seasonality(history(both, segment=[0] * 20 + [1])).max() < 6.0


def test_the_first_order_in_the_history_is_not_the_birth_of_the_account() -> None:
    """Orders every half year since before the history: the level is one order in six months from the start."""
    sales = np.zeros((30, 24))
    for account in range(30):
        sales[account, account % 6 :: 6] = 600.0
    found = levels(history(sales), lead=0, horizon=12, factors=np.ones((1, 12)))
    assert found.amounts[:, 0] == pytest.approx(1200.0)  # the last year
    assert found.amounts[:, OWN - 1] == pytest.approx(1200.0, rel=0.15)  # since the first order, by half-lives


# --- seasonality ----------------------------------------------------------------------------------------------


def test_each_segment_has_its_own_season() -> None:
    """One segment peaks in June, the other in December; both are found though the company as a whole is flat."""
    month = np.arange(48) % 12
    swing = 0.4 * np.cos(2 * np.pi * (month - 5) / 12)
    sales = steady(40, 48, noise=0.05)
    sales[:20] *= 1 + swing
    sales[20:] *= 1 - swing
    found = seasonality(history(sales, segment=[0] * 20 + [1] * 20))
    assert found.mean(axis=1) == pytest.approx([1.0, 1.0])
    assert found[0, 5] > 1.2
    assert found[0, 11] < 0.8
    assert found[1, 5] < 0.8
    assert found[1, 11] > 1.2


def test_growth_is_not_taken_for_a_season() -> None:
    """Sales that double every year are not larger in December by nature."""
    found = seasonality(history(steady(40, 48, growth=2.0, noise=0.01)))
    assert np.abs(found - 1.0).max() < 0.05


def test_below_a_year_nothing_is_seasonal() -> None:
    assert (seasonality(history(steady(5, 11))) == 1.0).all()


def test_a_season_starts_with_the_right_month() -> None:
    """A peak every March is a peak in March, wherever the history begins."""
    for start in ("2023-01", "2023-06", "2022-12"):
        first = pd.Period(start, freq="M")
        sales = steady(20, 40, noise=0.02)
        sales[:, [(first + k).month == 3 for k in range(40)]] *= 3.0
        assert seasonality(history(sales, start=start))[0].argmax() == 2


# --- expected sales -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("growth", [0.8, 1.0, 1.3])
def test_growth_goes_on(growth: float) -> None:
    sales = steady(200, 60, growth=growth)
    found = forecast(history(sales[:, :48]), horizon=12)
    assert found.expected.sum() == pytest.approx(sales[:, 48:].sum(), rel=0.06)


def test_the_months_asked_for_count() -> None:
    """A quarter in season and a quarter out of season; and a lead skips months."""
    month = np.arange(48) % 12
    sales = steady(60, 48, noise=0.02) * np.where(month < 6, 1.5, 0.5)
    past = history(sales)
    first, third = forecast(past, horizon=3), forecast(past, horizon=3, lead=6)
    assert first.expected.sum() > 2.0 * third.expected.sum()


def test_a_lapsed_account_is_expected_to_sell_little() -> None:
    """It bought for two years and not since a year; most of those who stopped in the past did not come back."""
    rng = np.random.default_rng(3)
    sales = steady(300, 48, seed=3)
    for account in range(100):
        sales[account, rng.integers(8, 36) :] = 0.0
    found = forecast(history(sales), horizon=12)
    assert found.expected[:100].mean() < 0.25 * found.expected[100:].mean()


def test_an_account_without_history_is_expected_by_its_potential() -> None:
    """A tenth of those who had not bought start every year: their potential counts, but far below its full yield."""
    rng = np.random.default_rng(4)
    sales, potential = steady(400, 48, seed=4), 2400.0 * rng.lognormal(0.0, 0.5, 400)
    for account in range(200):
        sales[account, : rng.integers(0, 48)] = 0.0
    sales[:60] = 0.0
    found = forecast(history(sales, potential=potential), horizon=12)
    fresh = found.expected[:60]
    assert (found.parts[:60, 0] == 0).all()
    assert 0.02 < fresh.sum() / found.expected[200:].sum() * 200 / 60 < 0.6
    assert np.corrcoef(fresh, potential[:60])[0, 1] > 0.99


def test_few_large_orders_mean_more_spread() -> None:
    """The same yearly sales: one account buys every month, another once a year."""
    rng = np.random.default_rng(5)
    sales = steady(200, 48, seed=5)
    for account in range(100):
        year = sales[account].reshape(4, 12).sum(axis=1)
        sales[account] = 0.0
        for k, total in enumerate(year):
            sales[account, 12 * k + rng.integers(12)] = total * rng.lognormal(-0.125, 0.5)
    found = forecast(history(sales), horizon=12)
    spread = np.sqrt(found.variance) / found.expected
    assert np.median(spread[:100]) > 1.5 * np.median(spread[100:])
    assert np.median(found.outcome[:100] / found.expected[:100]) > 3.0 * np.median(
        found.outcome[100:] / found.expected[100:]
    )


def test_a_segment_that_cannot_be_foretold_has_a_wide_range() -> None:
    """Two segments of the same size and rhythm: in one, years go up and down by half."""
    rng = np.random.default_rng(6)
    sales = steady(200, 60, seed=6)
    sales[:100] *= np.repeat(rng.lognormal(-0.125, 0.5, (100, 5)), 12, axis=1)
    found = forecast(history(sales, segment=[0] * 100 + [1] * 100), horizon=12)
    spread = np.sqrt(found.variance) / found.expected
    assert np.median(spread[:100]) > 1.5 * np.median(spread[100:])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(1e-2, 1e4), st.integers(1, 12), st.integers(0, 6))
def test_figures_behave_as_money_does(seed: int, months: int, money: float, horizon: int, lead: int) -> None:
    """Other currency: everything scales; the order of accounts does not matter; parts add up; nothing is negative."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    sales = steady(n, months, seed=seed, noise=0.8) * (rng.random((n, months)) < rng.uniform(0.1, 1.0))
    sales -= 20.0 * (rng.random((n, months)) < 0.05)
    potential = 1000.0 * rng.lognormal(0.0, 1.0, n)
    segment = rng.integers(0, 3, n)
    past = History(sales, pd.Period("2024-03", freq="M"), potential, segment, ("a", "b", "c"))
    found = forecast(past, horizon=horizon, lead=lead)
    assert (found.expected >= 0).all()
    assert (found.outcome >= 0).all()
    assert (found.doubt >= 0).all()
    assert np.isfinite(found.variance).all()
    np.testing.assert_allclose(found.parts.sum(axis=1), found.expected, rtol=1e-12)
    dear = forecast(replace(past, sales=sales * money, potential=potential * money), horizon=horizon, lead=lead)
    np.testing.assert_allclose(dear.expected, found.expected * money, rtol=1e-5, atol=1e-6 * money)
    order = rng.permutation(n)
    mixed = replace(past, sales=sales[order], potential=potential[order], segment=segment[order])
    np.testing.assert_allclose(forecast(mixed, horizon=horizon, lead=lead).expected, found.expected[order], rtol=1e-5,
                               atol=1e-6)  # fmt: skip


def test_what_is_hidden_is_out_of_reach() -> None:
    """A past that was cut off is a copy: no view leads back to later months."""
    past = history(steady(5, 24)).until(12)
    assert past.n_months == 12
    assert past.sales.base is None


def test_levels_of_an_account_that_never_bought() -> None:
    sales = steady(10, 24)
    sales[0] = 0.0
    found = levels(history(sales), lead=0, horizon=12, factors=np.ones((1, 12)))
    assert not found.bought[0]
    assert found.bought[1:].all()
    assert (found.amounts[0, :OWN] == 0).all()
    assert found.amounts[0, OWN:].tolist() == [0.0, found.amounts[0, -1]]
    assert found.amounts[0, -1] > 0
    assert (found.amounts[1:, -1] == 0).all()


# --- in a problem ---------------------------------------------------------------------------------------------


def problem(sales: pd.DataFrame, **policy: object) -> to.Problem:
    accounts = pd.DataFrame(
        {"account_id": ["A", "B", "C"], "lat": 48.0, "lon": [9.0, 9.5, 10.0], "potential": [900.0, 900.0, 900.0]}
    )
    reps = pd.DataFrame({"rep_id": ["R", "S"], "lat": 48.0, "lon": [9.0, 10.0]})
    return to.Problem.from_tables(accounts, reps, sales=sales, policy=to.Policy.model_validate(policy))


def monthly(account: str, months: int, amount: float = 100.0, start: str = "2025-01") -> pd.DataFrame:
    dates = pd.period_range(start, periods=months, freq="M").astype(str)
    return pd.DataFrame({"account_id": account, "month": dates, "sales": amount})


def test_gaps_returns_and_duplicates_in_a_history() -> None:
    """Missing months are no sales, credits are subtracted, and rows of one month are summed and reported."""
    rows = pd.concat([monthly("A", 24), monthly("B", 24), monthly("B", 1, -40.0, "2026-12"), monthly("C", 3)])
    found = problem(rows)
    past = History.of(found)
    assert past.n_months == 24
    assert past.sales[1, 23] == 60.0
    assert (past.sales[2, 3:] == 0).all()
    assert any("repeats row" in issue.problem for issue in found.issues)
    estimate = estimate_sales(found)
    assert np.isfinite(estimate.expected).all()
    assert (estimate.expected >= 0).all()
    assert estimate.expected[0] == pytest.approx(1200, rel=0.25)
    assert estimate.expected[2] < 0.5 * estimate.expected[0]
    assert "24 months of sales" in estimate.source


@pytest.mark.parametrize("potential", [[0.0, 0.0, 0.0], [0.0, 900.0, 900.0]])
@pytest.mark.parametrize("by_month", [False, True])
def test_figures_stay_figures_where_nothing_can_be_bought(potential: list[float], by_month: bool) -> None:
    """No account, or none of a segment, has potential: there is no yield per unit of it to divide by."""
    past = pd.concat([monthly(account, 24) for account in "ABC"])
    given = problem(past, territories={"balance": {}})
    accounts = given.accounts.assign(potential=potential, segment=["a", "b", "b"])
    given = replace(given, accounts=accounts, sales=given.sales if by_month else given.sales.iloc[:0])
    found = estimate_sales(given)
    assert found.source.startswith("24 months" if by_month else "last year")
    assert np.isfinite(found.expected).all()
    assert np.isfinite(found.variance).all()
    if by_month:
        assert found.expected[0] == pytest.approx(1200, rel=0.25)


def test_a_single_month_is_enough_to_say_something() -> None:
    estimate = estimate_sales(problem(monthly("A", 1)))
    assert np.isfinite(estimate.expected).all()
    assert estimate.expected[0] > 0
    assert estimate.seasons(np.zeros(3, dtype=int), 1)[0] == pytest.approx(np.full(12, 1 / 12))


def test_intervals_hold_what_they_promise_on_a_company_with_known_truth() -> None:
    """80 % ranges of rep totals hold about 80 % of the outcomes, and what is expected is what comes on average."""
    within, expected, came = [], 0.0, 0.0
    for seed in range(6):
        tables = generate_market(500, 12, seed, truth=True)
        truth = tables.pop("truth")
        company = to.Problem.from_tables(**tables)
        estimate = estimate_sales(company)
        rep = pd.Index(company.reps["rep_id"]).get_indexer(company.accounts["incumbent"])
        kept = rep >= 0
        mean, variance, sold = (
            np.bincount(rep[kept], amounts[kept])
            for amounts in (estimate.expected, estimate.variance, truth["plan_year_sales"].to_numpy(float))
        )
        within.append(np.abs(sold - mean) <= 1.2816 * np.sqrt(variance))
        expected += float(mean.sum())
        came += float(sold.sum())
    assert 0.65 <= np.concatenate(within).mean() <= 0.95
    assert came / expected == pytest.approx(1.0, abs=0.06)
