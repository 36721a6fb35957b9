"""The linear model of the toy, one family of rules at a time, as text that a person can check by hand.

Rows, quotas and money are in their own units (the scaling of ``linear_model`` is undone here). After an intended
change of the model: ``UPDATE_GOLDEN=1 pytest tests/test_rows_golden.py``, then read the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ortools.linear_solver.python import model_builder

import territory_opt as to
from territory_opt.model.rows import Rows
from territory_opt.optimize.mip.linear import linear_model

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Family:
    """One golden file: the policy on top of the toy's, and which rows are in it."""

    overrides: dict[str, Any]
    rule: Callable[[str], bool]


def _named(start: str) -> Callable[[str], bool]:
    return lambda rule: rule.startswith(start)


FAMILIES = {
    "assignment": Family({}, lambda rule: False),
    "balance_hard": Family({}, _named("balance")),
    "balance_priced": Family(
        {"territories.balance": {"workload": {"band": 0.2, "price_per_point": 3}}}, _named("balance")
    ),
    "hours_hard": Family({"territories.hours": {"per_fte": 60, "hard": True}}, _named("hours")),
    "hours_priced": Family({"territories.hours": {"per_fte": 60, "price_per_hour": 5}}, _named("hours")),
    "moved_accounts": Family({"territories.keep.max_moved_accounts": 2}, _named("moved accounts")),
    "moved_revenue": Family({"territories.keep.max_moved_revenue": 0.25}, _named("moved revenue")),
    "coverage": Family(
        {
            "territories.skills.required": [],
            "territories.skills.coverage": {"language": {"share": 0.9, "hard": False, "price_per_point": 10}},
        },
        _named("coverage"),
    ),
    "roll_up": Family({"quotas.hedge": {"company": 0.05, "manager": 0.1}}, _named("roll-up")),
    "growth_guard": Family({"quotas.growth_guard": {"up": 0.2, "down": 0.1}}, _named("growth")),
    "ratchet_guard": Family(
        {"quotas.ratchet_guard": {"share": 0.5, "growth": 0.1, "hard": False, "price": 2}}, _named("ratchet")
    ),
    "quota_limits": Family({"quotas.limits": {"low": 200, "high": 400}}, _named("quota limits")),
    "ote_ratio": Family({"quotas.ote_ratio": {"low": 2}}, _named("OTE")),
    "odds": Family({"quotas.odds": {"price": 0.2, "common_shock": 0.1}, "quotas.hit_share": 0.8}, _named("odds")),
    "fairness": Family(
        {"territories.keep.similar_skill_discount": 0.25, "quotas.fairness": {"price": 0.05}}, _named("fairness")
    ),
    "fairness_worst": Family({"quotas.fairness": {"price": 0.05, "worst_price": 0.5}}, _named("fairness")),
}


@cache
def toy_model(name: str) -> to.Model:
    """The toy with the family's overrides; on-target earnings of 50, 60, 70 and 80 are added to the reps."""
    problem = to.load_scenario(TOY, overrides=FAMILIES[name].overrides).problem()
    return to.Model.build(replace(problem, reps=problem.reps.assign(ote=[50.0, 60.0, 70.0, 80.0])))


def family_rows(model: to.Model, name: str, rule: str | None = None) -> Rows:
    rows, chosen = model.rows, FAMILIES[name].rule if rule is None else _named(rule)
    kept = (row for row in rows.items if chosen(row.rule))
    return Rows.from_items(kept, rows.n_reps, quantities=rows.quantities)


def lp_text(name: str, rule: str | None = None) -> str:
    """Write one family's linear model (or ``rule``'s), unscaled, with names a person knows."""
    model = toy_model(name)
    rows, pairs = family_rows(model, name, rule), model.pairs()
    linear = linear_model(model, pairs, rows)
    group_scale = [rows.scale[np.flatnonzero(rows.worst_group == g)[0]] for g in range(len(rows.worst_price))]
    quota_units = np.full(rows.n_reps, linear.quota_unit)
    unit = np.concatenate([np.ones(linear.n_pairs), quota_units, rows.scale, rows.scale, group_scale])
    worst = np.flatnonzero(rows.worst_group >= 0)
    by_row = np.concatenate([np.ones(linear.n_nodes), rows.scale, rows.scale[worst]])
    cost = linear.cost * linear.money / unit
    columns = column_names(model, rows)
    used = (linear.column_high > 0) & ((np.abs(linear.matrix).sum(axis=0).A1 > 0) | (cost != 0))
    lp = model_builder.Model()
    variables = {}
    for c in np.flatnonzero(used):
        high = float(linear.column_high[c] * unit[c])
        variables[c] = lp.new_var(0.0, tidy(high), bool(linear.integer[c]), columns[c])
    lp.maximize(sum((tidy(cost[c]) * v for c, v in variables.items() if cost[c]), start=0.0))
    for k, label in enumerate(row_names(model, rows)):
        line = linear.matrix[k].tocoo()
        terms = {c: tidy(a * by_row[k] / unit[c]) for c, a in zip(line.col, line.data, strict=True) if c in variables}
        left = sum((terms[c] * variables[c] for c in sorted(terms)), start=0.0)
        low, high = tidy(linear.low[k] * by_row[k]), tidy(linear.high[k] * by_row[k])
        lp.add_linear_constraint(left, low, high, label)
    return str(lp.export_to_lp_string())


def tidy(number: float) -> float:
    return float(f"{number:.9g}")


def word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def column_names(model: to.Model, rows: Rows) -> list[str]:
    accounts, reps = model.problem.accounts["account_id"], model.problem.reps["rep_id"]
    source, pairs = model.source, model.pairs()
    node = [
        "_".join(accounts.iloc[source.nodes.order[a:b]])
        for a, b in zip(source.nodes.start, source.nodes.start[1:], strict=False)
    ]
    names = [f"x_{node[i]}_{reps[j]}" for i, j in zip(pairs.node, pairs.rep, strict=True)]
    names += [f"q_{rep}" for rep in reps]
    names += [f"{side}_{word(row.rule)}_{word(row.subject)}" for side in ("below", "above") for row in rows.items]
    return names + [f"worst_{k}" for k in range(len(rows.worst_price))]


def row_names(model: to.Model, rows: Rows) -> list[str]:
    accounts, source = model.problem.accounts["account_id"], model.source
    names = [
        f"assign_{'_'.join(accounts.iloc[source.nodes.order[a:b]])}"
        for a, b in zip(source.nodes.start, source.nodes.start[1:], strict=False)
    ]
    names += [f"{word(row.rule)}_{word(row.subject)}" for row in rows.items]
    return names + [f"worst_{word(rows.items[r].subject)}" for r in np.flatnonzero(rows.worst_group >= 0)]


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_of_one_family_read_as_the_golden_text(name: str) -> None:
    path, text = GOLDEN / f"{name}.lp", lp_text(name)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no golden file {path.name}; write it with UPDATE_GOLDEN=1 and read it"
    assert text == path.read_text(encoding="utf-8")


def test_every_family_of_rules_has_a_golden_file() -> None:
    """A new row builder without a golden text fails here, as does a golden file nobody uses."""
    assert {path.stem for path in GOLDEN.glob("*.lp")} == set(FAMILIES)
    for name, family in FAMILIES.items():
        rules = [row.rule for row in toy_model(name).rows.items]
        assert name == "assignment" or any(family.rule(rule) for rule in rules), f"{name}: no such rows"


# --- by hand: the toy has 2400 of potential, 4 equal reps, 1200 of sales --------------------------------------


def only(name: str, subject: str) -> Any:
    (row,) = [row for row in family_rows(toy_model(name), name).items if row.subject == subject]
    return row


def test_each_rep_may_have_a_quarter_of_the_potential_plus_minus_a_tenth() -> None:
    row = only("balance_hard", "Ada (R1)")
    assert (row.low, row.high, row.scale) == pytest.approx((540.0, 660.0, 600.0))
    assert toy_model("balance_hard").share == pytest.approx([0.25] * 4)


def test_a_point_of_workload_costs_its_price() -> None:
    """240 hours in all, 60 each: one point is 0.6 hours and costs 3."""
    row = only("balance_priced", "Dan (R4)")
    assert (row.low, row.high, row.price) == pytest.approx((48.0, 72.0, 5.0))


def test_a_quarter_of_sales_may_move() -> None:
    row = only("moved_revenue", "Company")
    assert row.high == pytest.approx(300.0)


def test_nine_tenths_of_the_potential_that_names_a_language_is_covered() -> None:
    """All 2400 name one: a point is 24 of potential."""
    row = only("coverage", "Company")
    assert (row.low, row.price) == pytest.approx((2160.0, 10.0 / 24.0))


def test_quotas_carry_both_hedges() -> None:
    """The company adds 5 %, each manager 10 %: quotas add up to 1200 x 1.05 x 1.10 = 1386."""
    row = only("roll_up", "Company")
    assert row.quotas == pytest.approx(dict.fromkeys(range(4), 1 / 1.155))
    # 1386 is not a multiple of 10, so one step of rounding is allowed.
    assert (row.low, row.high) == pytest.approx((1190.0, 1210.0))


def test_growth_guard_of_ada() -> None:
    row = only("growth_guard", "Ada (R1)")
    assert (row.low, row.high) == pytest.approx((450.0, 600.0))


def test_ratchet_guard_takes_half_of_what_was_sold_above_quota() -> None:
    """Dan sold 100 on a quota of 100, Ada 500 on 500: no excess, so only 10 % growth."""
    assert only("ratchet_guard", "Dan (R4)").high == pytest.approx(110.0)
    assert only("ratchet_guard", "Ada (R1)").high == pytest.approx(550.0)


def test_fair_quota_is_sales_times_kappa() -> None:
    """Target 1200 over expected sales of 1200: kappa is 1.

    Inner Circle sells 200 with Ada. 10 % are at risk when it moves, a quarter less with Dan, who has exactly
    Ada's language, and a quarter x cos 45 degrees less with Cleo, who has one more.
    """
    assert toy_model("fairness").kappa == pytest.approx(1.0)
    text = (GOLDEN / "fairness.lp").read_text(encoding="utf-8")
    assert "-200 x_A10_R1" in line_of(text, "fairness_Ada_R1")
    assert "-185 x_A10_R4" in line_of(text, "fairness_Dan_R4")
    assert "-183.536 x_A10_R3" in line_of(text, "fairness_Cleo_R3")


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f" {name}:"))
