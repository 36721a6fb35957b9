"""The judge at its edges: where a rule counts as broken, what rounding may cost, books that are empty."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.model import pairs
from territory_opt.model.model import Model
from territory_opt.plan.certificate import dual_bound, least_violation_bound, relative_gap
from territory_opt.plan.figures import Figures
from territory_opt.plan.odds import company_shock
from territory_opt.plan.plan import Plan
from territory_opt.plan.tables import reps_table
from territory_opt.synthetic.market import generate_market

TOY = Path(__file__).parents[1] / "scenarios" / "toy"


def toy(**overrides: object) -> Model:
    return Model.build(to.load_scenario(TOY, overrides=dict(overrides)).problem())


def kept(model: Model, quotas: list[float] | None = None) -> Plan:
    """Everyone keeps the accounts they have."""
    today = model.source.incumbent[model.source.nodes.first].astype(np.int64)
    return Plan.from_positions(model, today, None if quotas is None else np.array(quotas))


def zero(model: Model, **changes: object) -> to.Multipliers:
    return replace(to.Multipliers.of(model, np.zeros(len(model.rows))), **changes)


# --- where a rule counts as broken ----------------------------------------------------------------------------


@pytest.mark.parametrize(("high", "broken"), [(300.0, False), (299.996, False), (299.993, True), (299.99, True)])
def test_a_quota_is_over_its_cap_when_it_is_more_than_half_a_cent_over(high: float, broken: bool) -> None:
    model = toy(**{"quotas.limits": {"high": high}})
    found = to.audit(model.problem, kept(model, [300.0] * 4))
    assert ("quota limits" in {violation.rule for violation in found}) == broken


@pytest.mark.parametrize(("low", "broken"), [(0.005, False), (0.006, True)])
def test_the_audit_and_the_bound_draw_the_line_at_the_same_place(low: float, broken: bool) -> None:
    """A quota of nothing is below its floor by ``low``: either it is a broken rule, or the bound leaves room for it."""
    model, price = toy(**{"quotas.limits": {"low": low}}), 7.0
    values = np.zeros(len(model.rows))
    row = next(r for r, row in enumerate(model.rows.items) if row.rule == "quota limits")
    values[row] = price
    plan = kept(model, [0.0, 400.0, 400.0, 400.0])
    found = [v.subject for v in to.audit(model.problem, plan) if v.rule == "quota limits"]
    assert found == ([model.rows.items[row].subject] if broken else [])
    room = to.certify(model.problem, plan, to.Multipliers.of(model, values)).bound - dual_bound(model, values)
    assert room == pytest.approx(0.0 if broken else price * low, abs=1e-9)


def test_every_account_is_tried_with_every_rep() -> None:
    """Who may serve whom, by hand: Spanish for Ben alone, Gale's contract names Cleo, all else is free."""
    tables = to.load_scenario(TOY).problem()
    reps = tables.reps.assign(language=["en", "es;en", "en", "en"])
    model = Model.build(replace(tables, reps=reps))
    language = dict(zip(tables.accounts["account_id"], tables.accounts["language"], strict=True))
    plan = kept(model, [300.0] * 4)
    for rep in reps["rep_id"]:
        everyone = replace(plan, assignment=plan.assignment.map(lambda _, rep=rep: rep))
        wrong = {account for account, needs in language.items() if needs == "es" and rep != "R2"}
        wrong |= {"A07"} if rep != "R3" else set()
        found = [v for v in to.audit(model.problem, everyone) if v.rule == "eligibility"]
        assert {v.subject for v in found} == wrong
        assert all(v.sentence.startswith(f"{rep}: ") for v in found)
        assert [v.rule for v in to.audit(model.problem, everyone)].count("family") == 0


# --- what the certificate says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "bound", "gap"),
    [
        (-50.0, -49.0, 0.02),
        (50.0, 51.0, 0.02),
        (1e6, 1e6 + 0.004, 0.0),
        (1e6, 1e6 + 0.02, 2e-8),
        (-1e6, -1e6 + 0.02, 2e-8),
        (0.001, 0.003, 2.0),
        (0.0, 0.0, 0.0),
        (0.0, 1.0, 1e9),
    ],
)
def test_the_gap_is_a_share_of_the_objective_whatever_its_sign(objective: float, bound: float, gap: float) -> None:
    """Both agree when they do to half a cent and to a millionth; nothing is divided by nothing."""
    assert relative_gap(objective, bound) == pytest.approx(gap, rel=1e-3)
    assert to.Certificate(objective, bound).gap == relative_gap(objective, bound)
    assert to.Certificate(objective, bound).gap_money == bound - objective


@pytest.mark.parametrize("cost_per_km", [0.7, 100.0])
def test_a_bound_leaves_room_for_what_every_block_may_round_away(
    monkeypatch: pytest.MonkeyPatch, cost_per_km: float
) -> None:
    """64 units in the last place of all that is added up, whatever its sign, and one more for every block."""
    policy = to.Policy.model_validate({"territories": {"travel": {"cost_per_km": cost_per_km}}})
    problem = to.Problem.from_tables(**generate_market(200, 6, seed=3), policy=policy)
    monkeypatch.setattr(pairs, "BLOCK_CELLS", problem.n_reps)
    model = Model.build(problem)
    blocks = list(model.source.blocks())
    assert len(blocks) == 200
    best = math.fsum(np.where(block.eligible, block.value, -np.inf).max() for block in blocks)
    size = math.fsum(np.abs(block.value).max() for block in blocks)
    room = (dual_bound(model, np.zeros(len(model.rows))) - best) / (np.finfo(float).eps * size)
    assert 64 + 200 - 20 <= room <= 64 + 200 + 20


def clash() -> tuple[to.Problem, Plan]:
    """One rep, target 100, a floor of 200 judged in units of 10: owing 200 breaks the roll-up by 1.0 and no less."""
    place = {"lat": [40.0], "lon": [-90.0]}
    accounts = pd.DataFrame(
        {"account_id": ["A"], **place, "potential": [100.0], "incumbent": ["R"], "current_sales": [100.0]}
    )
    reps = pd.DataFrame({"rep_id": ["R"], **place, "ote": [10.0]})
    policy = to.Policy.model_validate({"quotas": {"target": 100, "ote_ratio": {"low": 20}, "odds": None}})
    problem = to.Problem.from_tables(accounts, reps, policy=policy)
    return problem, kept(Model.build(problem), [200.0])


@pytest.mark.parametrize("size", [1.0, 10.0, 1e6])
def test_a_proof_of_a_clash_is_no_stronger_for_larger_multipliers(size: float) -> None:
    """Floor up, roll-up down, however hard: the violation that is proven is that of the best plan, 1.0."""
    problem, plan = clash()
    model = Model.build(problem, kappa=plan.kappa)
    values = np.array([1.0 if np.isfinite(row.low) and row.rule != "roll-up" else -1.0 for row in model.rows.items])
    found = to.certify(problem, plan, zero(model, least_violation=size * values))
    assert found.problems == ()
    assert found.least_violation == pytest.approx(1.0)
    assert sum(v.share for v in to.audit(problem, plan)) == pytest.approx(1.0)
    backwards = to.certify(problem, plan, zero(model, least_violation=-size * values))
    assert backwards.least_violation == 0.0


def test_rules_that_can_all_hold_are_never_proven_to_clash() -> None:
    """The toy has a plan that breaks nothing; priced rules prove nothing, whatever their multipliers."""
    rng = np.random.default_rng(0)
    for overrides in ({}, {"territories.balance.potential": {"band": 0.0, "price_per_point": 1}}):
        model = toy(**overrides)
        for size in (0.1, 1.0, 100.0):
            values = rng.uniform(-size, size, len(model.rows)) / model.rows.scale
            assert least_violation_bound(model, values) <= 1e-9


def test_a_plan_made_with_no_fair_share_has_no_drift() -> None:
    model = toy()
    plan = replace(kept(model, [300.0] * 4), kappa=0.0)
    at = Model.build(model.problem, kappa=0.0)
    assert to.certify(model.problem, plan, zero(at)).kappa_drift == 0.0


# --- what a plan comes to -------------------------------------------------------------------------------------


def test_a_rep_without_accounts_comes_to_nothing() -> None:
    """All twelve accounts with Ada: the others sell nothing, drive nowhere, work no hours."""
    model = toy()
    plan = replace(kept(model), assignment=kept(model).assignment.map(lambda _: "R1"))
    found = Figures(model, plan)
    evaluation = found.evaluation
    for name in ("rep_sales", "rep_variance", "book_sales", "book_variance", "rep_hours"):
        amounts = getattr(evaluation, name)
        assert amounts[0] > 0 or name.endswith("variance"), name
        assert amounts[1:].tolist() == [0.0] * 3, name
    table = reps_table(found).set_index("rep_id")
    assert table["accounts"].to_dict() == {"R1": 12, "R2": 0, "R3": 0, "R4": 0}
    assert table["accounts_in"].to_dict() == {"R1": 8, "R2": 0, "R3": 0, "R4": 0}
    assert table["accounts_out"].to_dict() == {"R1": 0, "R2": 3, "R3": 3, "R4": 2}
    assert table["potential_of_fair_share"].tolist() == pytest.approx([4.0, 0.0, 0.0, 0.0])
    assert table["potential_today_of_fair_share"].tolist() == pytest.approx([1000 / 600, 1.0, 1.0, 200 / 600])
    assert table["travel_km_per_year"].tolist()[1:] == [0.0] * 3
    assert (table.filter(like="_80_").loc["R2":] == 0.0).all().all()


@cache
def market() -> Model:
    return Model.build(to.Problem.from_tables(**generate_market(200, 6, seed=3)))


def test_a_fact_of_the_pairs_adds_up_by_rep_and_by_account() -> None:
    """Summed in plain Python over the accounts; an account without a rep has no line and no figure."""
    model = market()
    plan = kept(model)
    gone = plan.assignment.index[:5]
    figures = Figures(model, replace(plan, assignment=plan.assignment.drop(gone)))
    sums = dict.fromkeys(model.problem.reps["rep_id"], 0.0)
    wanted = figures.plan.assignment
    for position, account in enumerate(model.problem.accounts["account_id"]):
        line = figures.by_account.loc[position]
        assert np.isnan(line["net"]) == (account in gone)
        if account in wanted.index:
            sums[wanted[account]] += float(line["net"])
    assert figures.per_rep("net").tolist() == pytest.approx(list(sums.values()))
    assert figures.potential.sum() == pytest.approx(model.problem.accounts["potential"].iloc[5:].sum())
    assert [v.sentence for v in to.audit(model.problem, figures.plan) if v.rule == "assignment"] == ["has no rep"] * 5


def test_what_a_joiner_does_not_sell_yet_has_no_spread_either() -> None:
    """Sales and variance of an account come to the company in the same part: all of it unless its rep ramps up."""
    tables = generate_market(200, 6, seed=3)
    tables["reps"] = tables["reps"].assign(start_date=["2027-01-01", *[""] * 5])
    policy = to.Policy.model_validate(
        {"period": {"start": "2027-01-01"}, "quotas": {"target": 1e7, "ramp": [0.25, 0.5]}}
    )
    model = Model.build(to.Problem.from_tables(**tables, policy=policy))
    lines = Figures(model, to.Plan.today(model)).pairs
    part, joins = lines["book"] / lines["net"], lines["rep"] == 0
    spread = lines["book_variance"] / model.estimate.variance[lines["account"]]
    assert spread.to_numpy() == pytest.approx(part.to_numpy())
    assert (part[joins] < 0.95).all()
    assert (part[~joins] == 1.0).all()


def test_shared_shocks_of_the_company_by_hand() -> None:
    """North and South have half of the fair shares each, all accounts are of one segment."""
    model = toy(**{"quotas.odds": {"common_shock": 0.1, "region_shock": 0.2, "segment_shock": 0.3}})
    assert company_shock(model) == pytest.approx(math.sqrt(0.1**2 + 0.2**2 * (0.5**2 + 0.5**2) + 0.3**2))
