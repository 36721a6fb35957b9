"""Quotas that follow another method than the estimate: what they are in proportion to, in both modes, for the judge."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from builders import mostly_slow
from territory_opt.cli.commands import run
from territory_opt.errors import DataError
from territory_opt.estimate.backtest import backtest
from territory_opt.estimate.methods import METHODS
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.quota.explain_quota import explain_quotas
from territory_opt.synthetic.market import generate_market

ROOT = Path(__file__).parents[1]
STANDARD = [name for name in METHODS if name != "estimate"]


@cache
def tables() -> dict[str, pd.DataFrame]:
    return generate_market(120, 5, seed=11)


def company(**quotas: object) -> to.Problem:
    """120 accounts, five reps; fairness is the only rule on quotas, and nobody changes hands."""
    policy = {
        "territories": {"keep": {"max_moved_accounts": 30}, "balance": {}},
        "quotas": {"target": 8_000_000, "odds": None, **quotas},
    }
    return to.Problem.from_tables(**tables(), policy=to.Policy.model_validate(policy))


@pytest.mark.parametrize("method", mostly_slow(STANDARD, quick=1))
def test_quotas_are_in_proportion_to_the_methods_basis(method: str) -> None:
    """Every standard method: quotas per unit of basis are the same for all reps, and the judge agrees with the rest."""
    problem = company(method=method)
    result = to.solve(problem, time_limit=60.0)
    assert to.audit(problem, result.plan) == []
    certificate = to.certify(problem, result.plan, result.certificate)
    assert certificate.objective == pytest.approx(result.objective)
    assert certificate.bound == pytest.approx(result.bound)
    assert certificate.gap >= 0
    model = result.model
    assert model.estimate.basis is not None
    reps = model.source.rep_index.get_indexer(result.plan.assignment)
    base = np.bincount(reps, model.estimate.basis.amounts, minlength=5) + model.estimate.basis.equal * model.share
    ratio = result.plan.annual.to_numpy() / base
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.01)
    for explained in explain_quotas(Figures(model, result.plan)):
        assert round(explained.lines["amount"].sum(), 2) == explained.quota


def test_flat_is_the_same_for_everyone_by_working_time() -> None:
    problem = company(method="flat")
    result = to.solve(problem, time_limit=60.0)
    per_share = result.plan.annual.to_numpy() / Model.build(problem).share
    np.testing.assert_allclose(per_share, 8_000_000, rtol=1e-3)
    explained = explain_quotas(Figures(result.model, result.plan))[0]
    assert explained.lines["line"].iloc[0] == "the same for everyone, by working time"
    assert explained.doubts
    assert all(text.endswith(", and the odds with them, not this quota") for text in explained.doubts)
    assert not [text for text in explained.what_would_change if "potential" in text]


@pytest.mark.parametrize("method", ["history-amount", "maintain-and-grow"])
def test_nobody_is_asked_for_less_than_nothing_where_sales_shrink(method: str) -> None:
    """Three reps of 1,000 a month, one of 20, and a quarter less every year: all lose the same share."""
    accounts = pd.DataFrame({"account_id": list("ABCD"), "lat": 48.0, "lon": [9.0, 9.1, 9.2, 9.3], "potential": 2e4})
    accounts["incumbent"] = list("RSTU")
    reps = pd.DataFrame({"rep_id": list("RSTU"), "lat": 48.0, "lon": [9.0, 9.1, 9.2, 9.3]})
    months = pd.period_range("2024-01", "2026-12", freq="M")
    levels = {"A": 1000.0, "B": 1000.0, "C": 1000.0, "D": 20.0}
    rows = [(name, str(month), levels[name] * 0.75 ** (k / 12)) for name in levels for k, month in enumerate(months)]
    policy = {"territories": {"keep": {"max_moved_accounts": 0}, "balance": {}},
              "quotas": {"target": 20_000, "method": method, "odds": None, "step": 1}}  # fmt: skip
    problem = to.Problem.from_tables(
        accounts, reps, sales=pd.DataFrame(rows, columns=["account_id", "month", "sales"]),
        policy=to.Policy.model_validate(policy),
    )  # fmt: skip
    found = to.solve(problem, time_limit=10.0).plan.annual
    np.testing.assert_allclose(found[list("RST")] / found["U"], 50.0, rtol=0.02)
    assert (backtest(problem).looks["forecast"] >= 0).all()


@pytest.mark.parametrize("months", [1, 2, 8])
def test_auto_keeps_the_estimate_where_the_history_is_too_short(months: int) -> None:
    frames = tables()
    latest = np.sort(frames["sales"]["month"].astype(str).unique())[-months:]
    sales = frames["sales"][frames["sales"]["month"].astype(str).isin(latest)]
    policy = to.Policy.model_validate({"quotas": {"target": 8_000_000, "method": "auto", "methods": {"mid": "flat"}}})
    problem = to.Problem.from_tables(**{**frames, "sales": sales}, policy=policy)
    basis = Model.build(problem).estimate.basis
    assert basis is not None
    assert "flat for mid" in basis.method
    assert "estimate for small" in basis.method
    assert basis.method.endswith("; the history is too short for a back-test to choose")


def test_segments_can_have_their_own_method() -> None:
    problem = company(methods={"enterprise": "history-percent", "small": "potential-share"})
    model = Model.build(problem)
    basis = model.estimate.basis
    assert basis is not None
    segment = problem.accounts["segment"].to_numpy(object)
    assert basis.method == "history-percent for enterprise, potential-share for small, estimate for mid" or all(
        part in basis.method
        for part in ("history-percent for enterprise", "potential-share for small", "estimate for mid")
    )
    np.testing.assert_allclose(basis.amounts[segment == "mid"], model.estimate.expected[segment == "mid"])
    small = segment == "small"
    potential = problem.accounts["potential"].to_numpy(float)[small]
    np.testing.assert_allclose(basis.amounts[small] / basis.amounts[small].sum(), potential / potential.sum())


def test_auto_takes_the_best_of_the_back_test() -> None:
    problem = company(method="auto")
    best = backtest(problem).best
    basis = Model.build(problem).estimate.basis
    if best == "estimate":
        assert basis is None
    else:
        assert basis is not None
        assert basis.method.startswith(best)


def test_auto_with_a_planted_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the back-test names is used, by the solver and by the judge alike."""
    monkeypatch.setattr("territory_opt.estimate.backtest.Backtest.best", property(lambda _: "weighted-index"))
    problem = company(method="auto")
    result = to.solve(problem, time_limit=60.0)
    assert result.model.estimate.basis is not None
    assert result.model.estimate.basis.method == "weighted-index; best in a back-test"
    assert to.audit(problem, result.plan) == []


def test_methods_that_cannot_be_followed() -> None:
    with pytest.raises(DataError, match="no account is of this segment"):
        Model.build(company(methods={"huge": "flat"}))
    bare = {name: table for name, table in tables().items() if name != "sales"}
    policy = to.Policy.model_validate({"quotas": {"target": 8_000_000, "method": "history-percent"}})
    with pytest.raises(DataError, match="neither a sales table nor current_sales"):
        Model.build(to.Problem.from_tables(**bare, policy=policy))
    bare["accounts"] = bare["accounts"].assign(current_sales=1000.0)
    assert Model.build(to.Problem.from_tables(**bare, policy=policy)).estimate.basis is not None


def test_the_command_says_what_quotas_follow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = ROOT / "scenarios" / "toy"
    assert run(["solve", str(toy), "--set", "quotas.method=history-percent", "--out", str(tmp_path / "out")]) == 0
    assert "history-percent" in capsys.readouterr().out
    assert run(["check", str(tmp_path / "out")]) == 0
    assert run(["validate", str(toy), "--set", "quotas.method=guesswork"]) == 2
