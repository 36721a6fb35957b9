"""Synthetic markets: reproducible, plausible, and the files written load again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from territory_opt.errors import ScenarioError
from territory_opt.synthetic.market import generate_market, write_market
from territory_opt.synthetic.places import places
from territory_opt.whatif.scenario import load_scenario

FIELD_TEAM = Path(__file__).parents[1] / "scenarios" / "field_team"


@pytest.fixture(scope="module")
def market() -> dict[str, pd.DataFrame]:
    return generate_market(2000, 40, seed=3)


def shares(tables: dict[str, pd.DataFrame]) -> np.ndarray:
    """Potential per rep as a multiple of the fair share."""
    accounts, reps = tables["accounts"], tables["reps"]
    held = accounts.groupby("incumbent")["potential"].sum().reindex(reps["rep_id"], fill_value=0).to_numpy(float)
    weight = (reps["fte"] * reps["ramp"]).to_numpy(float)
    return np.asarray(held / (accounts["potential"].sum() * weight / weight.sum()))


def test_bundled_places() -> None:
    towns = places()
    assert len(towns) == 3349
    assert towns["population"].min() >= 15_000
    assert towns["lat"].between(24, 50).all()
    assert towns["lon"].between(-125, -66).all()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        write_market(generate_market(300, 8, seed=seed), tmp_path / name, seed=5)
    names = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert names == ["accounts.csv", "managers.csv", "reps.csv", "rules.csv", "sales.csv", "scenario.yaml"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "one" / "sales.csv").read_bytes() != (tmp_path / "three" / "sales.csv").read_bytes()


def test_the_legacy_alignment_is_unfair(market: dict[str, pd.DataFrame]) -> None:
    share = shares(market)
    assert share.max() / share.min() > 2.5
    assert 0.15 < share.min() < 0.75
    assert 1.4 < share.max() < 2.3
    vacant = (market["accounts"]["incumbent"] == "").mean()
    assert 0.005 < vacant < 0.04


def test_every_account_has_a_rep_who_speaks_its_language(market: dict[str, pd.DataFrame]) -> None:
    accounts, reps = market["accounts"], market["reps"].set_index("rep_id")
    spoken = set(";".join(reps["language"]).split(";"))
    assert set(accounts["language"]) <= spoken
    assert accounts["language"].nunique() == 3
    served = accounts[accounts["incumbent"] != ""]
    known = reps.loc[served["incumbent"], "language"]
    assert all(word in text.split(";") for word, text in zip(served["language"], known, strict=True))


def test_sales_history(market: dict[str, pd.DataFrame]) -> None:
    """36 months, growing, seasonal, with lumpy accounts, newcomers and lapsed ones."""
    sales = market["sales"]
    assert (sales["month"].min(), sales["month"].max(), sales["month"].nunique()) == ("2024-01", "2026-12", 36)
    assert (sales["sales"] > 0).all()
    year = sales.groupby(sales["month"].str[:4])["sales"].sum()
    assert year["2026"] == pytest.approx(120e6, rel=1e-4)
    assert 1.03 < year["2026"] / year["2025"] < 1.2
    last = sales.groupby("account_id")["month"].max()
    assert (last < "2026-06").sum() > 20
    season = sales.groupby(sales["month"].str[5:])["sales"].sum()
    assert season.max() / season.min() > 1.15


def test_people_and_rules(market: dict[str, pd.DataFrame]) -> None:
    reps, managers, rules = market["reps"], market["managers"], market["rules"]
    assert (managers["level"] == "region").sum() == 3
    assert (managers["level"] == "manager").sum() == 6
    assert set(reps["manager"]) == set(managers.loc[managers["level"] == "manager", "manager_id"])
    assert reps.groupby("manager").size().between(5, 9).all()
    assert (reps["ramp"] < 1).sum() == 2
    assert (reps["last_quota"].isna() == (reps["ramp"] < 1)).all()
    assert {"lock", "forbid"} == set(rules["rule"])
    assert (rules["expires"] > "2027-01-01").all()
    assert rules["reason"].str.len().min() > 10


def test_families_and_names(market: dict[str, pd.DataFrame]) -> None:
    accounts = market["accounts"]
    family = accounts[accounts["family"] != ""].groupby("family")
    assert family.ngroups > 10
    assert family.size().between(2, 4).all()
    assert family["language"].nunique().max() == 1
    text = " ".join(accounts["name"])
    assert all(sign in text for sign in (",", "'", "é", "&"))
    assert accounts["name"].nunique() > 1900


@pytest.mark.parametrize(("accounts", "reps"), [(1, 1), (5, 2), (60, 7), (3000, 12)])
def test_any_size_is_valid(accounts: int, reps: int, tmp_path: Path) -> None:
    path = write_market(generate_market(accounts, reps, seed=1), tmp_path / "market")
    problem = load_scenario(path).problem()
    assert (problem.n_accounts, problem.n_reps) == (accounts, reps)


def test_without_history(tmp_path: Path) -> None:
    tables = generate_market(50_000, 200, seed=2, months=0)
    assert "sales" not in tables
    assert tables["accounts"]["current_sales"].mean() == pytest.approx(60_000, rel=1e-3)
    small = generate_market(100, 4, months=0)
    assert "sales" not in load_scenario(write_market(small, tmp_path / "m")).file.tables.given()


def test_wrong_sizes_say_what_to_do() -> None:
    with pytest.raises(ScenarioError, match="each number must be at least 1 and no larger than the one before"):
        generate_market(10, 20)
    with pytest.raises(ScenarioError, match=r"must be 0 .no history. or at least 12"):
        generate_market(months=5)


def test_writing_never_mixes_with_other_files(tmp_path: Path) -> None:
    tables = generate_market(100, 4)
    (tmp_path / "market").mkdir()
    path = write_market(tables, tmp_path / "market", name='it\'s "quoted": #1')
    assert load_scenario(path).name == 'it\'s "quoted": #1'
    with pytest.raises(ScenarioError, match="holds files already"):
        write_market(tables, tmp_path / "market")
    (tmp_path / "market" / "notes.txt").write_text("mine", encoding="utf-8")
    write_market(tables, tmp_path / "market", name="new", overwrite=True)
    assert load_scenario(path).name == "new"
    assert (tmp_path / "market" / "notes.txt").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["market"]


def test_the_shipped_field_team() -> None:
    """What its README says."""
    names = ("accounts", "reps", "managers", "sales", "rules")
    tables = {name: pd.read_csv(FIELD_TEAM / f"{name}.csv", keep_default_na=False) for name in names}
    assert [len(tables[name]) for name in ("accounts", "reps", "rules")] == [2000, 40, 8]
    share = shares(tables)
    assert share.min() == pytest.approx(0.50, abs=0.005)
    assert share.max() == pytest.approx(1.86, abs=0.005)
    assert tables["sales"].loc[tables["sales"]["month"] >= "2026", "sales"].sum() == pytest.approx(120e6, rel=1e-3)
    assert (FIELD_TEAM / "sales.csv").stat().st_size < 1_500_000
