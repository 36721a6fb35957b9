"""Explanations of quotas and accounts: lines that add up to the cent, and words a planner reads."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from territory_opt import Problem
from territory_opt.errors import DataError
from territory_opt.model.model import Model, fair_kappa
from territory_opt.model.rows import Rows
from territory_opt.optimize.result import Result
from territory_opt.optimize.solve import solve
from territory_opt.plan.explain_account import AccountExplanation, MoneyLines, explain_account
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.problem.policy import Policy
from territory_opt.quota.explain_quota import QuotaExplanation, explain_quota, explain_quotas
from territory_opt.synthetic.market import generate_market
from territory_opt.whatif.scenario import load_scenario

TOY = Path(__file__).parents[1] / "scenarios" / "toy"


def plan_of(model: Model, changes: dict[str, str], quotas: list[float] | None) -> tuple[Model, Plan]:
    """Return model and plan: incumbents except ``changes``, these quotas, kappa as the plan's fair share."""
    accounts = model.problem.accounts
    wanted = [changes.get(*pair) for pair in zip(accounts["account_id"], accounts["incumbent"], strict=True)]
    reps = model.source.rep_index.get_indexer(wanted)
    nodes = reps[model.source.nodes.first]
    annual = None if quotas is None else np.array(quotas)
    if model.has_quotas:
        sales = Figures(model, Plan.from_positions(model, nodes, annual)).evaluation.rep_sales
        model = model.with_kappa(fair_kappa(model.problem, model.hierarchy, sales))
    return model, Plan.from_positions(model, nodes, annual)


def toy(
    overrides: dict[str, object] | None = None, quotas: tuple[float, ...] = (310, 310, 300, 280)
) -> tuple[Model, Plan]:
    """Return the toy's best plan, made by hand: A10 moves from Ada to Dan."""
    model = Model.build(load(overrides))
    return plan_of(model, {"A10": "R4"}, list(quotas))


def load(overrides: dict[str, object] | None = None) -> Problem:
    return load_scenario(TOY, overrides=overrides).problem()


@cache
def solved() -> Result:
    return solve(load(), time_limit=20)


def cents(frame: pd.DataFrame) -> list[int]:
    """Return the amounts in whole cents; they must be whole."""
    exact = frame["amount"].to_numpy(float) * 100
    assert np.abs(exact - np.round(exact)).max() < 1e-6
    return [round(amount) for amount in exact]


# --- money lines ------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=12))
def test_lines_add_up_and_each_is_honest(amounts: list[float]) -> None:
    lines = MoneyLines.from_amounts({str(k): amount for k, amount in enumerate(amounts)})
    assert lines.total_cents == round(float(np.cumsum(amounts)[-1]) * 100)
    assert max(abs(c - a * 100) for c, a in zip(lines.cents, amounts, strict=True)) <= 1.01


def test_lines_as_text() -> None:
    lines = MoneyLines.from_amounts({"own": 1234.5, "loss": -34.5})
    assert lines.text("quota") == "  own    1,234.50\n  loss     -34.50\n  ---------------\n  quota  1,200.00"


# --- quotas -----------------------------------------------------------------------------------------------------


def test_a_quota_of_the_toy() -> None:
    """Dan: 300 expected, 20 at risk for A10, fair share 284.75."""
    model, plan = toy()
    found = explain_quota(Figures(model, plan), "R4")
    assert found.expected_sales == pytest.approx(280)
    assert found.fair_quota == pytest.approx(280 * 1200 / 1180)
    lines = dict(zip(found.lines["line"], found.lines["amount"], strict=True))
    own = lines.pop("own history of the accounts") + lines.pop("potential of the accounts")
    assert own == pytest.approx(300)
    assert lines == {
        "fit of this rep": 0.0,
        "transfer loss": -20.0,
        "company goal against expected sales": 4.75,
        "rounding to a step of 10": -4.75,
        "what others carry or leave": 0.0,
    }
    assert found.binding == []
    assert found.what_would_change == [
        "a target 1 % higher (1,212) adds about 2.85",
        "one more point of hedge at the company adds about 2.85",
        "each account of 100 potential adds about 47.46",
    ]
    assert found.periods.to_dict("list") == {"period": ["2027-01 to 2027-12"], "quota": [280.0]}
    text = str(found)
    assert text.startswith("Dan (R4), USD per year\n  own history of the accounts ")
    assert f"chance to make it: {found.odds * 100:.0f} %\nwhat would change it:\n  a target 1 % higher" in text
    assert json.loads(json.dumps(found.to_dict()))["lines"][3] == {"line": "transfer loss", "amount": -20.0}


def test_the_roll_up_is_named_where_it_moves_a_quota() -> None:
    model, plan = toy()
    assert explain_quota(Figures(model, plan), "R3").binding == [
        "roll-up: all quotas and hedges meet the target of 1,200; with the limits and whole steps of every rep "
        "that moves this quota down by 10"
    ]


def test_hedges_guards_and_odds() -> None:
    guard = {"up": 0.3, "down": 0.3, "hard": True}
    settings_: dict[str, object] = {
        "quotas.hedge": {"company": 0.05, "manager": 0.03},
        "quotas.growth_guard": guard,
        "quotas.hit_share": 0.65,
        "quotas.odds": {"common_shock": 0.05},
        "quotas.periods": "quarter",
    }
    model, plan = toy(settings_, (390, 390, 380, 130))
    dan = explain_quota(Figures(model, plan), "R4")
    assert dan.lines["line"].tolist()[5:7] == ["hedge of manager Saul, 3 %", "hedge of the company, 5 %"]
    assert dan.binding == ["growth guard: quota at most 130 (quota at most 30% above and 30% below that of last year)"]
    assert dan.what_would_change[-1] == "none of these adds anything while the growth guard holds the quota"
    assert dan.periods["quota"].sum() == 130
    assert "by period:\n  2027-01 to 2027-03  30.00" in str(dan)
    ada = explain_quota(Figures(model, plan), "R1")
    assert ada.binding[0].startswith("odds: quota at most ")
    assert ada.binding[0].endswith(f"the quota is {390 - int(ada.binding[0][20:23])} above")
    assert ada.binding[1].startswith("roll-up: ")
    soft, plan = toy({**settings_, "quotas.growth_guard": {**guard, "hard": False}}, (390, 390, 380, 130))
    assert explain_quota(Figures(soft, plan), "R4").what_would_change[-1] == (
        "the growth guard is at its limit: other reps carry what it keeps away, unless its price is paid"
    )


def test_every_quota_of_a_solved_plan() -> None:
    result = solved()
    found = explain_quotas(Figures(result.model, result.plan))
    assert [one.rep_id for one in found] == ["R1", "R2", "R3", "R4"]
    assert sum(sum(cents(one.lines)) for one in found) == 120_000
    for one in found:
        assert_exact(one, result.plan)


def assert_exact(found: QuotaExplanation, plan: Plan) -> None:
    assert sum(cents(found.lines)) == round(plan.annual[found.rep_id] * 100)
    before = found.lines["line"].str.startswith("company goal").to_numpy().argmax()
    assert abs(sum(cents(found.lines)[:before]) - found.expected_sales * 100) <= 0.51
    rounding = found.lines["line"].str.startswith("rounding to a step").to_numpy().argmax()
    assert abs(sum(cents(found.lines)[:rounding]) - found.fair_quota * 100) <= 0.51
    json.dumps(found.to_dict())
    assert str(found)


def test_a_plan_made_elsewhere_is_held_against_its_own_fair_share() -> None:
    model, plan = toy()
    foreign = Plan(plan.assignment, plan.annual, plan.quotas)
    assert explain_quota(Figures(model, foreign), "R4").lines.equals(explain_quota(Figures(model, plan), "R4").lines)


def test_unknown_reps_and_plans_without_quotas() -> None:
    model, plan = toy()
    with pytest.raises(DataError, match=r'^reps  rep_id  "Dan"  is the name of a rep, not an id; write R4\n1 error'):
        explain_quota(Figures(model, plan), "Dan")
    with pytest.raises(DataError, match=r'"R44"  no such rep; nearest: "Dan" \(R4\)'):
        explain_quota(Figures(model, plan), "R44")
    bare = Plan(plan.assignment, plan.annual.iloc[:0], plan.quotas.iloc[:0])
    with pytest.raises(DataError, match="the plan sets no quota for this rep; set quotas"):
        explain_quota(Figures(model, bare), "R4")


# --- accounts ---------------------------------------------------------------------------------------------------


def multipliers(model: Model, values: dict[tuple[str, str], float]) -> npt.NDArray[np.float64]:
    """Return multipliers by rule and subject, 0 elsewhere."""
    return np.array([values.get((row.rule, row.subject), 0.0) for row in model.rows.items])


def test_the_moved_account_of_the_toy() -> None:
    """A10 is as far from Dan as from Ada and costs 10 of margin to move; the balance pays for it."""
    model, plan = toy()
    prices = multipliers(model, {("balance: potential", "Ada (R1)"): -0.05, ("balance: potential", "Dan (R4)"): 0.05})
    found = explain_account(model, plan, "A10", prices)
    assert found.reason == "Dan has room for potential"
    assert found.moved_from == ("Ada",)
    assert found.notes == ("71 km from home", "moves from Ada")
    ada = next(other for other in found.alternatives if other.incumbent)
    assert (ada.rep_id, ada.name) == ("R1", "Ada")
    assert dict(zip(ada.lines.labels, ada.lines.cents, strict=True)) == {
        "sales from fit": 0, "transfer loss paid": -1000, "travel": 0, "balance: potential": 4000
    }  # fmt: skip
    assert ada.advantage == 30.0
    assert str(found).startswith(
        "Inner Circle (A10) is with Dan (R4): Dan has room for potential\n71 km from home\nmoves from Ada\n"
        "against Ben (R2), USD per year:\n  sales from fit          0.00\n"
    )


def test_closer_and_kept() -> None:
    model, plan = toy()
    found = explain_account(model, plan, "A01", None)
    assert found.reason == "closer by 80 km than Cleo; stays with Ada, no sales at risk"
    assert found.notes[-1] == "the prices of the rules were not given: only the pair's own money is compared"
    assert found.to_dict()["fit"] is None


def test_a_full_rival_and_an_account_that_would_be_worth_more_elsewhere() -> None:
    model, plan = toy()
    others = {("balance: potential", name): -1.0 for name in ("Ben (R2)", "Cleo (R3)", "Dan (R4)")}
    full = explain_account(model, plan, "A03", multipliers(model, others))
    assert full.reason == "Cleo has enough potential; closer by 60 km than Cleo"
    short = multipliers(model, {("balance: potential", "Dan (R4)"): 1.0})
    found = explain_account(model, plan, "A01", short)
    assert found.alternatives[0].name == "Dan"
    assert found.alternatives[0].advantage < 0
    assert found.reason.endswith("USD per year more with Dan; rules on whole books, or the gap, keep it here")


def test_of_several_rows_of_a_rule_the_one_that_counts_speaks() -> None:
    """Each rep has a row of the balance; here each says who it is of."""
    model, plan = toy()
    own = [
        replace(row, unit=f"potential by the row of {row.subject}") if row.rule == "balance: potential" else row
        for row in model.rows.items
    ]
    model = replace(model, rows=Rows.from_items(own, model.rows.n_reps, quantities=model.rows.quantities))
    room = multipliers(model, {("balance: potential", "Dan (R4)"): 1.0, ("balance: potential", "Ada (R1)"): 0.1})
    assert explain_account(model, plan, "A10", room).reason.startswith(
        "Dan has room for potential by the row of Dan (R4)"
    )
    others = {("balance: potential", name): -1.0 for name in ("Ben (R2)", "Cleo (R3)", "Dan (R4)")}
    full = explain_account(model, plan, "A03", multipliers(model, others))
    assert full.reason.startswith("Cleo has enough potential by the row of Cleo (R3)")


def test_of_two_rows_on_one_rep_the_stronger_speaks() -> None:
    model, plan = toy()
    (dan,) = [row for row in model.rows.items if (row.rule, row.subject) == ("balance: potential", "Dan (R4)")]
    weak, strong = (replace(dan, subject=f"Dan, {name}", unit=f"{name} potential") for name in ("weak", "strong"))
    for pair in ((weak, strong), (strong, weak)):
        rows = Rows.from_items([*pair, *model.rows.items], model.rows.n_reps)
        prices = [{"weak potential": 0.1, "strong potential": 0.5}.get(row.unit, 0.0) for row in rows.items]
        found = explain_account(replace(model, rows=rows), plan, "A10", np.array(prices))
        assert found.reason.startswith("Dan has room for strong potential")


def test_of_several_locks_in_a_family_its_own_is_named() -> None:
    tables = load()
    locks = pd.DataFrame({"rule": "lock", "account_id": ["A09", "A08"], "rep_id": "R3", "reason": ["West", "East"]})
    problem = Problem.from_tables(tables.accounts, tables.reps, rules=locks, policy=tables.policy)
    model, plan = plan_of(Model.build(problem), {}, None)
    for account, reason in (("A08", "East"), ("A09", "West")):
        assert explain_account(model, plan, account, None).reason == f"locked to Cleo ({reason})"


def test_locks_families_and_skills() -> None:
    model, plan = toy()
    prices = np.zeros(len(model.rows))
    free = explain_account(model, plan, "A01", prices)
    assert free.notes[-1].startswith("the plan's certificate puts no price on any rule here")
    locked = explain_account(model, plan, "A07", prices)
    assert locked.reason == "locked to Cleo (Contract names Cleo)"
    assert locked.excluded == {"the account is locked to another rep": 3}
    assert (locked.eligible, locked.alternatives) == (1, ())
    spanish = explain_account(model, plan, "A04", prices)
    assert spanish.excluded == {"lacks the required language": 2}
    assert "2 of 4 reps may not serve it (lacks the required language: 2)" in spanish.notes
    assert [other.name for other in spanish.alternatives] == ["Cleo"]
    east, west = (explain_account(model, plan, account, prices) for account in ("A08", "A09"))
    assert east.family == "Harbor"
    assert east.accounts == west.accounts == ("A08", "A09")
    assert east.notes[0] == 'family "Harbor": 2 accounts decided and explained together'
    assert [one.lines for one in east.alternatives] == [one.lines for one in west.alternatives]


def test_an_account_with_a_rep_who_may_not_serve_it() -> None:
    model, plan = toy()
    wrong = Plan(plan.assignment.mask(plan.assignment.index == "A04", "R1"), plan.annual, plan.quotas, plan.kappa)
    assert explain_account(model, wrong, "A04", None).reason == "Ada may not serve it under these rules"


def test_only_one_may_serve_it() -> None:
    tables = load()
    reps = tables.reps.assign(language=["en", "en;es", "en", "en"])
    problem = Problem.from_tables(
        tables.accounts, reps, rules=tables.rules, managers=tables.managers, policy=tables.policy
    )
    model, plan = plan_of(Model.build(problem), {}, [300] * 4)
    assert explain_account(model, plan, "A04", None).reason == "only Ben may serve it"


def test_unknown_accounts_and_accounts_without_a_rep() -> None:
    model, plan = toy()
    with pytest.raises(DataError, match=r'^accounts  account_id  "A1"  no such account; nearest: '):
        explain_account(model, plan, "A1", None)
    with pytest.raises(DataError, match=r"is the name of an? account, not an id; write A12"):
        explain_account(model, plan, "Kite Studio", None)
    with pytest.raises(DataError, match='"A10"  the plan gives it no rep; give it one, or solve again'):
        explain_account(model, Plan(plan.assignment.drop("A10"), plan.annual, plan.quotas), "A10", None)
    nobody = plan.assignment.mask(plan.assignment.index == "A10")
    with pytest.raises(DataError, match='"A10"  the plan gives it no rep; give it one, or solve again'):
        explain_account(model, Plan(nobody, plan.annual, plan.quotas), "A10", None)
    with pytest.raises(ValueError, match=r"multipliers have shape \(2,\); the model has 9 rows"):
        explain_account(model, plan, "A10", np.zeros(2))


def test_every_account_of_a_solved_plan() -> None:
    result = solved()
    for account in result.model.problem.accounts["account_id"]:
        found = explain_account(result.model, result.plan, account, result.certificate.values)
        assert_adds_up(found, result.model, result.plan, result.certificate.values)
    moved = explain_account(result.model, result.plan, "A10", result.certificate.values)
    assert moved.reason.startswith("Dan has room for potential")


def assert_adds_up(found: AccountExplanation, model: Model, plan: Plan, values: npt.NDArray[np.float64]) -> None:
    """Every advantage is the difference of reduced values (plan/certificate.py), to the cent."""
    rows, source = model.rows, model.source
    at_rep = (rows.totals.T @ values).reshape(rows.n_reps, -1)
    node = source.nodes.of_account[source.account_index.get_loc(found.account_id)]
    block = source.block(node, node + 1)
    reduced = block.value[0] + sum(at_rep[:, k] * q[0] for k, q in enumerate(block.quantities))
    chosen = source.rep_index.get_loc(plan.assignment[found.account_id])
    size = np.abs(reduced).max() + np.abs(at_rep).max()
    for other in found.alternatives:
        assert sum(cents(other.lines.frame())) == other.lines.total_cents
        wanted = reduced[chosen] - reduced[source.rep_index.get_loc(other.rep_id)]
        assert abs(other.lines.total_cents / 100 - wanted) <= 0.0051 + 1e-9 * size
    json.dumps(found.to_dict())
    assert found.reason
    assert str(found)


# --- random problems --------------------------------------------------------------------------------------------


def random_case(seed: int) -> tuple[Model, Plan]:
    """Return a random small company with families, skills, hedges and guards, and a random eligible plan."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(4, 14)), int(rng.integers(2, 5))
    reps = [f"R{j}" for j in range(m)]
    accounts = pd.DataFrame({
        "account_id": [f"A{i}" for i in range(n)], "lat": rng.uniform(0, 2, n), "lon": rng.uniform(5, 7, n),
        "potential": rng.uniform(1, 1e5, n).round(2), "current_sales": rng.uniform(0, 9e4, n).round(2),
        "incumbent": rng.choice([*reps, ""], n), "family": rng.choice(["", "", "F"], n),
        "industry": rng.choice(["x", "y", ""], n), "workload": rng.uniform(1, 40, n).round(1),
    })  # fmt: skip
    rep_table = pd.DataFrame({
        "rep_id": reps, "lat": rng.uniform(0, 2, m), "lon": rng.uniform(5, 7, m), "manager": rng.choice(["M", "N"], m),
        "industry": rng.choice(["x:0.9", "y:0.3", "x;y"], m), "last_quota": rng.uniform(1e4, 1e5, m).round(2),
        "language": "en",
    })  # fmt: skip
    step = float(rng.choice([0.01, 1, 1000]))
    quotas = {"target": float(rng.uniform(1e4, 1e6).__round__(2)), "step": step, "hit_share": 0.6,
              "hedge": {"company": 0.05, "manager": float(rng.uniform(0, 0.1))}, "odds": {"common_shock": 0.1},
              "growth_guard": {"hard": bool(rng.integers(2))}}  # fmt: skip
    territories = {"skills": {"preferred": ["industry"]}, "hours": {"per_fte": 200}, "keep": {"max_moved_revenue": 0.5}}
    policy = Policy.model_validate({"quotas": quotas, "territories": territories})
    model = Model.build(Problem.from_tables(accounts, rep_table, policy=policy))
    nodes = rng.integers(0, m, model.source.n_nodes)
    annual = np.round(rng.uniform(0, 2e5, m) / step) * step
    model = model.with_kappa(float(rng.uniform(0.5, 2)))
    return model, Plan.from_positions(model, nodes, annual)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
@example(1323)  # growth too small for a line of its own
def test_random_quotas_add_up(seed: int) -> None:
    model, plan = random_case(seed)
    for found in explain_quotas(Figures(model, plan)):
        assert_exact(found, plan)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_random_accounts_add_up(seed: int) -> None:
    model, plan = random_case(seed)
    values = np.random.default_rng(seed).normal(0, 1, len(model.rows)) * 10
    for account in model.problem.accounts["account_id"][:4]:
        found = explain_account(model, plan, account, values)
        assert 1 <= len(found.alternatives) <= 3
        assert_adds_up(found, model, plan, values)


def test_the_fit_of_a_family_is_the_mean_of_its_accounts() -> None:
    """Harbor East and Harbor West ask for English, which Cleo speaks: each fits by 1, and so does the family."""
    model, plan = toy({"territories.skills": {"required": [], "preferred": ["language"]}})
    found = explain_account(model, plan, "A08")
    assert 'family "Harbor": 2 accounts' in str(found)
    assert found.fit == pytest.approx(1.0)


def test_an_explanation_as_plain_values() -> None:
    """Everything a page or another program reads, by hand: Dan against all three others, the best one first."""
    model, plan = toy()
    prices = multipliers(model, {("balance: potential", "Ada (R1)"): -0.05, ("balance: potential", "Dan (R4)"): 0.05})
    found = explain_account(model, plan, "A10", prices).to_dict()
    others = found.pop("alternatives")
    assert found == {
        "account_id": "A10",
        "name": "Inner Circle",
        "family": "",
        "accounts": ["A10"],
        "rep_id": "R4",
        "rep_name": "Dan",
        "km": 70.8,
        "fit": None,
        "moved_from": ["Ada"],
        "eligible_reps": 4,
        "excluded_reps": {},
        "reason": "Dan has room for potential",
        "notes": ["71 km from home", "moves from Ada"],
        "currency": "USD",
    }
    assert [other["advantage"] for other in others] == [20.0, 20.0, 30.0]
    assert others[-1] == {
        "rep_id": "R1",
        "name": "Ada",
        "km": 70.7,
        "fit": None,
        "incumbent": True,
        "lines": [
            {"line": "sales from fit", "amount": 0.0},
            {"line": "transfer loss paid", "amount": -10.0},
            {"line": "travel", "amount": 0.0},
            {"line": "balance: potential", "amount": 40.0},
        ],
        "advantage": 30.0,
    }
    assert [other["incumbent"] for other in others] == [False, False, True]


def test_a_cent_decides_where_nothing_else_does() -> None:
    """Nothing is lost by moving and driving costs next to nothing: 160 km a year at 0.006 cents are one cent."""
    nothing: dict[str, object] = {"territories.keep.loss_rate": 0.0, "territories.travel.cost_per_km": 0.00006}
    model, plan = toy(nothing)
    found = explain_account(model, plan, "A01", None)
    assert found.alternatives[0].advantage == 0.01
    assert found.reason == "closer by 80 km than Cleo"
    model, plan = toy({**nothing, "territories.travel.cost_per_km": 0.0})
    assert explain_account(model, plan, "A01", None).reason.startswith("as good as with ")


def test_what_is_less_than_a_tenth_of_the_advantage_is_no_reason() -> None:
    """Of A01 7.50 would be lost by moving; the 160 km to Cleo count when they cost more than a tenth of the whole."""
    for cost, counts in ((0.004, False), (0.006, True)):
        model, plan = toy({"territories.travel.cost_per_km": cost})
        found = explain_account(model, plan, "A01", None)
        assert found.reason.startswith("stays with Ada, no sales at risk")
        assert ("; closer by 80 km" in found.reason) == counts


def test_the_distance_of_a_family_is_the_mean_of_its_accounts() -> None:
    """Harbor East is 0.09 degrees of longitude from Cleo, Harbor West 0.18 of latitude: 10 and 20 km."""
    model, plan = toy()
    found = explain_account(model, plan, "A09", None)
    assert found.km == pytest.approx(15.0, abs=0.05)
    assert found.to_dict()["km"] == 15.0


@pytest.mark.parametrize("seed", range(3))
def test_the_alternatives_are_the_best_others_and_the_incumbent(seed: int) -> None:
    """Against a sort in plain Python, over six reps: three others by worth, of whom the incumbent is always one."""
    tables, rng = generate_market(60, 6, seed=seed), np.random.default_rng(seed)
    tables["accounts"] = tables["accounts"].assign(incumbent=rng.choice(tables["reps"]["rep_id"], 60))
    model = Model.build(Problem.from_tables(**tables))
    source, ids = model.source, model.problem.reps["rep_id"].tolist()
    plan = Plan.from_positions(model, rng.integers(0, 6, source.n_nodes), None)
    forced = 0
    for account in model.problem.accounts["account_id"]:
        node = int(source.nodes.of_account[source.account_index.get_loc(account)])
        block = source.block(node, node + 1)
        chosen = ids.index(plan.assignment[account])
        others = sorted((-block.value[0, j], j) for j in range(6) if block.eligible[0, j] and j != chosen)
        ranked = [j for _, j in others]
        owners = {int(j) for j in source.incumbent[source.nodes.members(node)]} & set(ranked)
        spare = 3 - len(owners)
        wanted = owners | set([j for j in ranked if j not in owners][:spare])
        forced += bool(owners - set(ranked[:3]))
        found = explain_account(model, plan, account, None)
        assert [ids.index(other.rep_id) for other in found.alternatives] == [j for j in ranked if j in wanted]
        assert [ids.index(other.rep_id) in owners for other in found.alternatives] == [
            other.incumbent for other in found.alternatives
        ]
        assert found.eligible == int(block.eligible.sum())
    assert forced, "no incumbent who is not among the best"


def test_the_only_one_who_speaks_the_language_fits_better() -> None:
    """Delta asks for Spanish: with Ben it buys more, and the lines say by how much."""
    settings_: dict[str, object] = {"territories.skills": {"required": [], "preferred": ["language"], "fit_lift": 0.5}}
    tables = load(settings_)
    reps = tables.reps.assign(language=["en", "en;es", "en", "en"])
    problem = Problem.from_tables(
        tables.accounts, reps, rules=tables.rules, managers=tables.managers, policy=tables.policy
    )
    model, plan = plan_of(Model.build(problem), {}, [300] * 4)
    found = explain_account(model, plan, "A04", None)
    assert f"fits better than {found.alternatives[0].name}" in found.reason
    for other in found.alternatives:
        assert (found.fit, other.fit) == (1.0, 0.0)
        assert dict(zip(other.lines.labels, other.lines.cents, strict=True))["sales from fit"] > 0
