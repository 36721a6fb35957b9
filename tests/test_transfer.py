"""Transfer loss learnt from the history: a planted loss is found, none is found where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.cli.commands import run
from territory_opt.estimate.transfer import TransferLoss, learn_transfer_loss
from territory_opt.whatif.write import write_scenario


def company(loss: float, *, changes: int = 60, accounts: int = 240, seed: int = 0, named: bool = True) -> to.Problem:
    """36 months with season and growth by segment; ``changes`` accounts get another rep in some month of the last two
    years and sell ``loss`` less from then on."""
    rng = np.random.default_rng(seed)
    months = [str(month) for month in pd.period_range("2024-01", periods=36, freq="M")]
    segment = np.where(np.arange(accounts) % 2, "a", "b")
    level = rng.lognormal(8.0, 0.5, accounts)
    season = 1.0 + 0.4 * np.sin(np.arange(36) * np.pi / 6.0)
    growth = np.where(segment == "a", 1.03, 0.99)[:, None] ** np.arange(36)
    sales = level[:, None] * season * growth * rng.gamma(8.0, 1 / 8.0, (accounts, 36))
    seller = np.repeat(rng.integers(0, 4, accounts)[:, None], 36, axis=1)
    for account in rng.permutation(accounts)[:changes]:
        at = int(rng.integers(12, 25))
        seller[account, at:] = (seller[account, 0] + 1) % 4
        sales[account, at:] *= 1.0 - loss
    rows = pd.DataFrame(
        {
            "account_id": np.repeat([f"A{k}" for k in range(accounts)], 36),
            "month": np.tile(months, accounts),
            "sales": np.round(sales.ravel(), 2),
            "rep_id": [f"R{k}" if named else "" for k in seller.ravel()],
        }
    )
    table = pd.DataFrame(
        {"account_id": [f"A{k}" for k in range(accounts)], "lat": 48.0, "lon": 9.0, "segment": segment,
         "incumbent": [f"R{k}" for k in seller[:, -1]], "potential": 12 * level}
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": [f"R{k}" for k in range(4)], "lat": 48.0, "lon": 9.0})
    return to.Problem.from_tables(table, reps, sales=rows)


@pytest.mark.parametrize("loss", [0.0, 0.15, 0.3])
def test_a_planted_loss_is_found(loss: float) -> None:
    found = learn_transfer_loss(company(loss))
    assert found is not None
    assert found.months == 12
    assert found.changes == 60
    assert found.rate == pytest.approx(loss, abs=0.04)
    assert found.high - found.low < 0.12


@pytest.mark.slow
def test_the_range_holds_the_planted_loss_about_four_times_in_five() -> None:
    held = 0
    for seed in range(40):
        found = learn_transfer_loss(company(0.2, changes=30, accounts=120, seed=seed))
        assert found is not None
        held += found.low <= 0.2 <= found.high
    assert 26 <= held <= 38


@pytest.mark.parametrize("often", [0.2, 0.6, 0.9])
def test_lumpy_orders_do_not_look_like_a_gain(often: float) -> None:
    """A change shows at the next order, so the time after it begins with one; but nothing was gained."""
    problem = company(0.0)
    bought = np.random.default_rng(1).random(len(problem.sales)) < often
    found = learn_transfer_loss(replace(problem, sales=problem.sales[bought].reset_index(drop=True)))
    assert found is None or (abs(found.rate) < 0.06 and found.low < 0.03)


def test_the_range_is_in_the_words_of_the_sentence() -> None:
    assert "sold 9% more than" in str(TransferLoss(-0.09, -0.20, 0.02, 20, 12))
    assert "80 % range -2% to 20%" in str(TransferLoss(-0.09, -0.20, 0.02, 20, 12))
    assert "80 % range 2% to 20%" in str(TransferLoss(0.09, 0.02, 0.20, 20, 12))


def test_nothing_is_said_without_changes_or_sellers() -> None:
    assert learn_transfer_loss(company(0.2, changes=3)) is None
    assert learn_transfer_loss(company(0.2, named=False)) is None


def test_it_is_said_by_the_backtest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_scenario(company(0.25), tmp_path / "company", name="company")
    assert run(["backtest", str(path), "--looks", "2"]) == 0
    assert "By the history accounts that changed rep sold 2" in capsys.readouterr().out
    assert run(["backtest", str(path), "--looks", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["transfer_loss"]["changes"] == 60
