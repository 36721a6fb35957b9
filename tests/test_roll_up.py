"""Quotas up the hierarchy: targets, hedges and the last cent, by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.model.model import Model
from territory_opt.plan.rollup import roll_up, roll_up_problems

QUOTAS = {"a": 366.67, "b": 366.67, "c": 366.66}


@cache
def company(**hedge: float) -> Model:
    """Three managers with a hedge of a tenth or ``hedge``, one rep each, c's in a region; the target is 1,000."""
    place = {"lat": [40.0] * 3, "lon": [-90.0] * 3}
    accounts = pd.DataFrame({"account_id": ["x", "y", "z"], **place, "potential": [500.0] * 3, "incumbent": [*"abc"]})
    reps = pd.DataFrame({"rep_id": [*"abc"], **place, "manager": ["ma", "mb", "mc"]})
    managers = pd.DataFrame(
        {
            "manager_id": ["ma", "mb", "mc", "east"],
            "name": ["Mia", "Max", "Moe", "East"],
            "reports_to": ["", "", "east", ""],
            "level": ["manager", "manager", "manager", "region"],
            "target": [np.nan] * 4,
        }
    )
    quotas = {"target": 1000, "step": 0.01, "hedge": {"manager": 0.1, **hedge}}
    policy = to.Policy.model_validate({"quotas": quotas})
    return Model.build(to.Problem.from_tables(accounts, reps, managers=managers, policy=policy))


def test_the_cent_that_rounding_makes_is_taken_from_the_largest_target() -> None:
    """366.67 / 1.1 is 333.34 twice and 366.66 / 1.1 is 333.33: a cent too much, that Mia's target gives back."""
    table = roll_up(company(), pd.Series(QUOTAS)).set_index("node_id")
    assert table["parent"].to_dict() == {
        "company": "",
        "ma": "company",
        "mb": "company",
        "east": "company",
        "mc": "east",
    }
    assert table["quotas"].to_dict() == {"company": 1100.0, "ma": 366.67, "mb": 366.67, "east": 366.66, "mc": 366.66}
    assert table["target"].to_dict() == {"company": 1000.0, "ma": 333.33, "mb": 333.34, "east": 333.33, "mc": 333.33}
    assert table["hedge"].to_dict() == {"company": 0.0, "ma": 33.34, "mb": 33.33, "east": 0.0, "mc": 33.33}
    assert table["below"].to_dict() == {"company": 1000.0, "ma": 366.67, "mb": 366.67, "east": 333.33, "mc": 366.66}
    assert (table["rounding"] == 0.0).all()


@pytest.mark.parametrize("cents", [-1, 0, 1])
def test_a_cent_off_the_target_is_a_problem_of_the_company(cents: int) -> None:
    annual = pd.Series(QUOTAS) + pd.Series({"a": cents / 100, "b": 0.0, "c": 0.0})
    found = [(node, off) for node, off, _ in roll_up_problems(company(), annual)]
    assert found == ([("Company", cents)] if cents else [])


def test_a_plan_with_one_quota_has_quotas() -> None:
    plan = to.Plan(pd.Series({"x": "a"}), pd.Series({"a": 100.0}), pd.DataFrame())
    assert plan.has_quotas
    assert not to.Plan(plan.assignment, plan.annual.iloc[:0], plan.quotas).has_quotas


def test_every_rep_owes_with_the_hedges_of_the_own_line() -> None:
    """366.74 / 1.1 twice and 333.20 without a hedge make 1,000; 1.10 more for a is 1.00 more of the target."""
    annual, more = pd.Series({"a": 366.74, "b": 366.74, "c": 333.2}), pd.Series({"a": 1.1, "b": 0.0, "c": 0.0})
    assert list(roll_up_problems(company(mc=0.0), annual)) == []
    assert [(node, off) for node, off, _ in roll_up_problems(company(mc=0.0), annual + more)] == [("Company", 100)]


def test_a_manager_without_reps_may_have_a_target_of_nothing() -> None:
    """Nobody owes it anything, and the company's target is judged as if the manager were not there."""
    tables = company().problem
    idle = tables.managers.iloc[:1].assign(manager_id="idle", name="Ida", target=0.0)
    managers = pd.concat([tables.managers, idle], ignore_index=True)
    reps = tables.reps[["rep_id", "lat", "lon", "manager"]]
    accounts = tables.accounts[["account_id", "lat", "lon", "potential", "incumbent"]]
    model = Model.build(to.Problem.from_tables(accounts, reps, managers=managers, policy=tables.policy))
    annual = pd.Series(QUOTAS)
    assert list(roll_up_problems(model, annual)) == []
    assert [node for node, *_ in roll_up_problems(model, annual + 1.0)] == ["Company"]
    line = roll_up(model, annual).set_index("node_id").loc["idle"]
    assert line[["target", "hedge", "rounding", "below", "quotas"]].tolist() == [0.0] * 5
