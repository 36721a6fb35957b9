"""The check before any solve: can target, hedge, share of reps and spread hold, and do quota rules contradict?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import territory_opt as to
from territory_opt.model.model import Model
from territory_opt.quota.consistency import Consistency, check_consistency
from territory_opt.synthetic.market import generate_market
from territory_opt.whatif.scenario import load_scenario
from territory_opt.words import percent

ROOT = Path(__file__).parents[1] / "scenarios"


def said(share: float, *, down: bool = False) -> str:
    return percent(share, 1, down=down, trim=True)


def check(scenario: str = "toy", **overrides: Any) -> Consistency:
    """Check a shipped scenario with quota settings changed: ``hedge={...}`` is ``quotas.hedge``."""
    changed = {f"quotas.{key}": value for key, value in overrides.items()}
    return check_consistency(Model.build(load_scenario(ROOT / scenario, overrides=changed).problem()))


def test_the_toy_holds() -> None:
    """The target is what the accounts are expected to bring, and half of the reps are to hit."""
    found = check()
    assert found.sentence == f"target $1,200, hedge 0 %, 50 % of reps to hit, spread {said(found.spread)}: can hold"
    assert str(found) == found.sentence
    assert found.holds
    assert found.expected == pytest.approx(1200)
    assert found.largest_target == pytest.approx(1200)
    assert found.expected_high - 1200 == pytest.approx(1200 - found.expected_low)
    assert (found.gives, found.contradictions) == ((), ())


def test_growth_cannot_hold() -> None:
    """No hedge and no spread help when the target is above expected sales."""
    found = check(target=1320)
    assert not found.holds
    assert found.sentence == (
        f"target $1,320, hedge 0 %, 50 % of reps to hit, spread {said(found.spread)}: cannot hold: "
        "the expected $1,200 carry a target of at most $1,200"
    )
    assert found.gives == (
        "target at most $1,200",
        "hedge: even no hedge is not enough",
        f"share of reps at most {said(norm.cdf(-0.1 / found.spread), down=True)}",
        "spread: even no spread is not enough, because expected sales are below target and hedge",
    )


def test_each_of_the_four_alone_is_enough() -> None:
    """What the sentences name makes the four hold; a little more does not."""
    given: dict[str, Any] = {"target": 1000, "hit_share": 0.8, "hedge": {"company": 0.08}}
    found = check(**given)
    assert not found.holds
    number = [float(re.findall(r"[\d.]+", text.replace(",", ""))[0]) for text in found.gives]
    assert [text.split(" at most ")[0] for text in found.gives] == ["target", "hedge", "share of reps", "spread"]
    for change, more in (
        ({"target": number[0]}, {"target": number[0] + 1}),
        ({"hedge": {"company": number[1] / 100}}, {"hedge": {"company": number[1] / 100 + 0.001}}),
        ({"hit_share": number[2] / 100}, {"hit_share": number[2] / 100 + 0.001}),
    ):
        assert check(**given | change).holds
        assert not check(**given | more).holds
    z = norm.ppf(0.8)
    assert 1200 * (1 - number[3] / 100 * z) >= 1000 * 1.08
    assert 1200 * (1 - (number[3] / 100 + 0.001) * z) < 1000 * 1.08


def test_the_formula() -> None:
    found = check(odds={"common_shock": 0.05}, hit_share=0.65, hedge={"company": 0.02, "manager": 0.03}, target=900)
    model = Model.build(load_scenario(ROOT / "toy").problem())
    own = np.sqrt(model.estimate.variance.sum() / 4) / 300
    assert found.spread == pytest.approx(own + 0.05)
    assert found.hedge == pytest.approx(1.02 * 1.03 - 1)
    assert found.largest_target == pytest.approx(1200 * (1 - norm.ppf(0.65) * found.spread) / (1.02 * 1.03))
    assert found.expected_high - 1200 == pytest.approx(
        norm.ppf(0.9) * np.sqrt(model.estimate.variance.sum() + (0.05 * 1200) ** 2)
    )


def test_no_target() -> None:
    found = check(target=None)
    assert found.holds
    assert found.target is None
    assert found.sentence == "no target is set; $1,200 of sales are expected"


def test_no_target_is_small_enough() -> None:
    found = check(odds={"common_shock": 3.0}, hit_share=0.9)
    assert found.largest_target == 0
    assert found.gives[:2] == (
        "target: even the smallest target is too much for these expected sales and this spread",
        "hedge: even no hedge is not enough",
    )
    assert found.gives[2:] == ("share of reps at most 50 %", "spread at most 0 %")


def test_caps_below_the_target() -> None:
    """Last quotas 500, 300, 300, 100: with 5 % growth at most 1,260 can be owed; target and hedge ask for 1,320."""
    found = check(growth_guard={"up": 0.05, "down": 0.5}, hedge={"company": 0.10})
    assert found.contradictions == (
        "the quota caps (growth guard) of the 4 reps of the company add up to $1,260, "
        "$60 below the $1,320 that target and hedge ask for",
    )
    assert not found.holds


def test_only_the_rules_contradict() -> None:
    """The four can hold, the floors cannot: the sentence says so."""
    found = check(target=1000, limits={"low": 290})
    assert found.gives == ()
    assert found.sentence == (
        f"target $1,000, hedge 0 %, 50 % of reps to hit, spread {said(found.spread)}: cannot hold: "
        "the quota floors (quota limits) of the 4 reps of the company add up to $1,160, "
        "$160 above the $1,000 that target and hedge ask for"
    )


def test_floor_above_cap() -> None:
    found = check(growth_guard={"up": 0.3, "down": 0.3}, limits={"low": 0, "high": 340})
    assert found.contradictions[0] == (
        "Ada (R1): the growth guard asks for at least $350 and the quota limits allows at most $340"
    )


def test_priced_rules_contradict_nothing() -> None:
    assert check(growth_guard={"up": 0, "down": 0, "hard": False}, limits={"low": 900, "hard": False}).holds


def test_field_team() -> None:
    found = check("field_team")
    words = r"target \$120\.0M, hedge [\d.]+ %, \d+ % of reps to hit, spread [\d.]+ %: can(not)? hold.*"
    assert re.fullmatch(words, found.sentence)
    assert found.expected_low < found.expected < found.expected_high


def test_targets_of_nodes_that_cannot_add_up_are_said() -> None:
    tables = generate_market(200, 6, seed=3)
    managers = pd.DataFrame({"manager_id": ["m1", "m2"], "name": ["North", "South"], "target": [3e6, 9e6]})
    reps = tables["reps"].assign(manager=["m1", "m1", "m1", "m2", "m2", "m2"])

    def found(target: float, **quotas: Any) -> tuple[str, ...]:
        policy = to.Policy.model_validate({"quotas": {"target": target, **quotas}})
        frames = {"accounts": tables["accounts"], "reps": reps, "managers": managers, "sales": tables["sales"]}
        return check_consistency(Model.build(to.Problem.from_tables(**frames, policy=policy))).contradictions

    assert found(12e6) == ()
    assert found(12e6 / 1.05, hedge={"company": 0.05}) == ()
    (sentence,) = found(10e6)
    assert sentence.startswith(
        "the targets of North, South come to $12,000,000, $2,000,000 above what the target of the"
    )
    assert "$1,000,000 below what the target of the company" in found(13e6)[0]


def test_targets_are_compared_through_levels_without_one() -> None:
    """A manager of all reps, below a region without a target, asks for more than the company: 2 % of hedge between."""
    tables = generate_market(100, 3, seed=3)
    managers = pd.DataFrame({"manager_id": ["m1", "r1"], "name": ["North", "Region"], "level": ["manager", "region"],
                             "reports_to": ["r1", ""], "target": [9e6, np.nan]})  # fmt: skip
    frames = {"accounts": tables["accounts"], "reps": tables["reps"].assign(manager="m1"), "managers": managers}

    def found(target: float) -> tuple[str, ...]:
        policy = to.Policy.model_validate({"quotas": {"target": target, "hedge": {"region": 0.02}}})
        return check_consistency(Model.build(to.Problem.from_tables(**frames, policy=policy))).contradictions

    assert found(9e6 / 1.02) == ()
    (sentence,) = found(7.2e6)
    assert sentence.startswith(
        "the targets of North come to $8,823,529, $1,623,529 above what the target of the company"
    )


def test_a_target_beyond_what_the_accounts_of_its_reps_support_is_said() -> None:
    tables = generate_market(200, 6, seed=3)
    reps = tables["reps"].assign(manager=["m1", "m1", "m1", "m2", "m2", "m2"])

    def flags(north: float, south: float) -> tuple[str, ...]:
        managers = pd.DataFrame({"manager_id": ["m1", "m2"], "name": ["North", "South"], "target": [north, south]})
        policy = to.Policy.model_validate({"quotas": {"target": north + south}})
        frames = {"accounts": tables["accounts"], "reps": reps, "managers": managers, "sales": tables["sales"]}
        return check_consistency(Model.build(to.Problem.from_tables(**frames, policy=policy))).flags

    model = Model.build(to.Problem.from_tables(accounts=tables["accounts"], reps=reps, sales=tables["sales"]))
    known = model.source.incumbent >= 0
    sales = np.bincount(model.source.incumbent[known], model.estimate.expected[known], minlength=6)
    sales += model.estimate.expected[~known].sum() * model.share
    north, south = float(sales[:3].sum()), float(sales[3:].sum())
    assert flags(0.5 * north, 0.5 * south) == ()
    # In line with the accounts, a target too high for the company is the company's fault alone.
    assert flags(1.5 * north, 1.5 * south) == ()
    (text,) = flags(1.2 * north, 0.3 * south)
    assert text.startswith("the target of North is $")
    assert "the accounts its reps have today support $" in text
