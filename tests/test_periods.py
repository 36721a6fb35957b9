"""Period quotas: each rep's own season, days, leave and ramp; hedges that pile up are flagged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.errors import DataError
from territory_opt.model.model import Model
from territory_opt.plan.plan import split_periods
from territory_opt.quota.consistency import check_consistency

MONTHS = [str(month) for month in pd.period_range("2023-01", periods=48, freq="M")]


def problem(
    reps: dict[str, object] | None = None, managers: pd.DataFrame | None = None, **quotas: object
) -> to.Problem:
    """Rep S sells to a segment that buys in summer, rep W to one that buys in winter; 48 months of history."""
    accounts = pd.DataFrame(
        {"account_id": [f"A{k}" for k in range(8)], "lat": 48.0, "lon": np.repeat([9.0, 11.0], 4),
         "segment": np.repeat(["summer", "winter"], 4), "incumbent": np.repeat(["S", "W"], 4), "potential": 4000.0}
    )  # fmt: skip
    rows = [
        {
            "account_id": account,
            "month": month,
            "sales": 200.0 if (month[-2:] in ("06", "07", "08")) == summer else 50.0,
        }
        for account, summer in zip(accounts["account_id"], accounts["segment"] == "summer", strict=True)
        for month in MONTHS
    ]
    people = pd.DataFrame({"rep_id": ["S", "W"], "lat": 48.0, "lon": [9.0, 11.0], **(reps or {})})
    policy = to.Policy.model_validate({"quotas": {"target": 12_000, "periods": "month", **quotas}})
    return to.Problem.from_tables(accounts, people, sales=pd.DataFrame(rows), managers=managers, policy=policy)


def monthly(problem: to.Problem, quota: float = 12_000) -> pd.DataFrame:
    """Quotas by month for everyone keeping the accounts of today, (12, 2)."""
    model = Model.build(problem)
    assignment = problem.accounts.set_index("account_id")["incumbent"]
    annual = pd.Series(quota, index=pd.Index(["S", "W"], name="rep_id"))
    return split_periods(model, assignment, annual).pivot_table(index="period", columns="rep_id", values="quota")


def test_every_rep_has_the_season_of_the_own_accounts() -> None:
    found = monthly(problem())
    assert found.sum().tolist() == [12_000, 12_000]
    assert found.loc["2027-07", "S"] > 1.5 * found.loc["2027-01", "S"]
    assert found.loc["2027-07", "W"] < 0.7 * found.loc["2027-01", "W"]


def test_who_joins_leaves_or_is_on_leave_owes_only_what_falls_into_the_days_there() -> None:
    joins = monthly(problem({"start_date": ["2027-04-16", ""]}))
    assert (joins["S"].iloc[:3] == 0).all()
    assert joins["S"].iloc[3] == pytest.approx(0.5 * joins["S"].iloc[4], rel=0.01)
    away = monthly(problem({"leave_start": ["2027-02-01", ""], "leave_end": ["2027-03-31", ""]}))
    assert (away["S"].iloc[1:3] == 0).all()
    assert away["S"].iloc[0] > 0
    assert away["S"].sum() == 12_000
    leaves = monthly(problem({"end_date": ["2027-09-30", ""]}))
    assert (leaves["S"].iloc[9:] == 0).all()


def test_the_quota_of_nobody_known_is_split_evenly() -> None:
    model = Model.build(problem())
    assignment = model.problem.accounts.set_index("account_id")["incumbent"]
    found = split_periods(model, assignment, pd.Series({"nobody": 12_000.0}))
    assert found["quota"].tolist() == [1_000.0] * 12


def test_a_leave_lowers_the_share_of_everything() -> None:
    """Half a year away: half the fair share, in brute force terms 184 of 365 days there."""
    share = Model.build(problem({"leave_start": ["2027-01-01", ""], "leave_end": ["2027-06-30", ""]})).share
    assert share[0] / share[1] == pytest.approx(184 / 365)
    both = Model.build(
        problem({"start_date": ["2027-04-01", ""], "leave_start": ["2027-03-01", ""], "leave_end": ["2027-06-30", ""]})
    ).share
    assert both[0] / both[1] == pytest.approx(184 / 365)


def test_a_joiner_ramps_up() -> None:
    even = problem({"start_date": ["2027-01-01", ""]}, ramp=["25 %", "50 %", "75 %"])
    plain = monthly(problem({"start_date": ["2027-01-01", ""]}))
    found = monthly(even)
    ratio = (found["S"] / plain["S"]).to_numpy()
    assert ratio[:3] / ratio[3] == pytest.approx([0.25, 0.5, 0.75], rel=0.01)
    assert found["S"].sum() == 12_000
    assert found["W"].tolist() == plain["W"].tolist()
    earlier = monthly(problem({"start_date": ["2026-12-01", ""]}, ramp=["25 %", "50 %", "75 %"]))
    assert (earlier["S"] / plain["S"]).to_numpy()[:2] / (earlier["S"] / plain["S"]).iloc[3] == pytest.approx(
        [0.5, 0.75], rel=0.01
    )


def test_half_a_leave_is_an_error() -> None:
    with pytest.raises(DataError, match="has only one of its two days"):
        problem({"leave_start": ["2027-01-01", ""], "leave_end": ["", ""]})
    with pytest.raises(DataError, match="lies before the leave starts"):
        problem({"leave_start": ["2027-05-01", ""], "leave_end": ["2027-04-01", ""]})


def test_three_layers_of_five_percent_are_flagged() -> None:
    managers = pd.DataFrame(
        {"manager_id": ["M", "N"], "reports_to": ["N", ""], "level": ["manager", "region"], "name": ["Lee", "North"]}
    )
    hedges = {"company": "5 %", "region": "5 %", "manager": "5 %"}
    flagged = check_consistency(Model.build(problem({"manager": ["M", "M"]}, managers, hedge=hedges))).flags
    assert len(flagged) == 1
    assert "hedges compound to 15.8% for 2 reps (Lee 5%, North 5%, Company 5%)" in flagged[0].replace(" %", "%")
    fewer = {"region": "2 %", "manager": "3 %"}
    assert check_consistency(Model.build(problem({"manager": ["M", "M"]}, managers, hedge=fewer))).flags == ()
    allowed = problem({"manager": ["M", "M"]}, managers, hedge=hedges, most_hedge="20 %")
    assert check_consistency(Model.build(allowed)).flags == ()
