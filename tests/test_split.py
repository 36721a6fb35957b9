"""The split of the gap by account and rule adds up to the gap, and what a plan captures is said after the money."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import territory_opt as to
from territory_opt.cli import commands
from territory_opt.model.model import Model
from territory_opt.optimize.mip.set_quotas import set_quotas
from territory_opt.plan.audit import audit
from territory_opt.plan.certificate import certify_figures, dual_bound
from territory_opt.plan.figures import Figures
from territory_opt.plan.split import INSIDE, LARGEST, OUTSIDE, QUOTA, split_gap
from territory_opt.report.views import build_views
from test_bound import CASES, model_of, random_multipliers
from test_cases import random_cases, three_lumps

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
SOFT = {"territories.balance": {"potential": {"band": "10 %", "price_per_point": 2.0}}}


def random_plan(model: Model, rng: np.random.Generator) -> to.Plan:
    """Any rep who may serve it for each node, with the best quotas for that."""
    pairs = model.pairs()
    reps = np.array([rng.choice(pairs.rep[a:b]) for a, b in zip(pairs.start[:-1], pairs.start[1:], strict=True)])
    quotas = set_quotas(model, model.totals(reps)[0]) if model.has_quotas else None
    return to.Plan.from_positions(model, reps, quotas)


def total(found: to.GapSplit) -> float:
    return found.in_accounts + found.in_rules - found.ruled_out + found.rounding


def cent(model: Model, certificate: to.Multipliers) -> float:
    """A cent, and what floats may lose where multipliers are huge."""
    sums = np.abs(certificate.values) @ np.nan_to_num(
        np.maximum(np.abs(model.rows.low), np.abs(model.rows.high)), posinf=0
    )
    return 0.01 + 1e-9 * float(sums)


# --- it adds up -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, CASES - 1), st.integers(0, 10_000), st.booleans())
def test_parts_add_up_to_the_gap_whatever_the_plan_and_its_proof(seed: int, draw: int, by_cases: bool) -> None:
    """Every family of rules, families of accounts, quotas, worst prices; any multipliers, with and without cases."""
    model, rng = model_of(seed), np.random.default_rng(draw)
    values = random_multipliers(model.rows, rng, size=rng.choice([0.0, 100.0, 1e4]))
    certificate = to.Multipliers.of(model, values, cases=random_cases(model, rng) if by_cases else None)
    figures = Figures(model, random_plan(model, rng))
    judged = certify_figures(figures, certificate)
    if not np.isfinite(judged.bound):
        return  # a tree of questions that leaves an account without a rep at every leaf
    found, near = split_gap(figures, certificate), cent(model, certificate)
    assert found.gap == judged.gap_money
    assert total(found) == pytest.approx(judged.gap_money, abs=1e-6)
    assert found.in_accounts + found.in_rules >= dual_bound(model, values) - judged.objective - near
    assert abs(found.rounding) <= near or by_cases
    assert found.ruled_out >= 0.0
    if not by_cases:
        assert found.ruled_out == 0.0
    if not audit(model.problem, replace(figures.plan, kappa=model.kappa)):
        assert found.in_rules >= -near


@settings(deadline=None, max_examples=40)
@given(st.integers(0, CASES - 1), st.integers(0, 10_000))
def test_accounts_lose_what_their_best_rep_has_ahead(seed: int, draw: int) -> None:
    """Against all pairs at once with the weights of all rows, account by account."""
    model, rng = model_of(seed), np.random.default_rng(draw)
    values = random_multipliers(model.rows, rng, size=100.0)
    figures, pairs = Figures(model, random_plan(model, rng)), model.pairs()
    reduced = pairs.value + values @ model.row_matrix(pairs)
    own = pairs.rep == figures.rep[model.source.nodes.first][pairs.node]
    loss = np.maximum.reduceat(reduced, pairs.start[:-1]) - reduced[own]
    found = split_gap(figures, to.Multipliers.of(model, values)).accounts
    shown = np.flatnonzero(loss > 0.01)
    ids = model.problem.accounts["account_id"].to_numpy(object)[model.source.nodes.first]
    assert dict(zip(found["account_id"], found[found.columns[-1]], strict=True)) == pytest.approx(
        dict(zip(ids[shown], loss[shown], strict=True)), abs=1e-6 * max(1.0, float(np.abs(reduced).max()))
    )
    assert found[found.columns[-1]].is_monotonic_decreasing


@pytest.mark.parametrize("seed", range(12))
def test_every_part_of_a_solved_plan_is_above_zero(seed: int) -> None:
    model = model_of(seed)
    result = to.solve(model.problem, seed=seed)
    if result.violations:
        with pytest.raises(to.TerritoryError, match="the plan breaks"):
            _ = result.split_of_gap
        return
    found = result.split_of_gap
    assert total(found) == pytest.approx(result.gap_money, abs=1e-6)
    assert abs(found.rounding) < 0.01
    for table, shown in ((found.accounts, found.in_accounts), (found.rules, found.in_rules)):
        assert table[table.columns[-1]].min() > 0.01 or table.empty
        assert table[table.columns[-1]].sum() == pytest.approx(
            shown, abs=0.01 * (model.problem.n_accounts + len(model.rows))
        )


@pytest.fixture(scope="module")
def company() -> to.Result:
    """A made-up company with families, hard bands and quotas whose gap the cases do not close."""
    tables = to.generate(120, 4, seed=5)
    target = round(12.0 * float(tables["sales"].groupby("month")["sales"].sum().tail(12).mean()), -3)
    territories = {"balance": {"potential": {"band": 0.1, "hard": True}}, "hours": {"price_per_hour": 60}}
    policy = to.Policy.model_validate({"territories": territories, "quotas": {"target": target}})
    return to.solve(to.Problem.from_tables(**tables, policy=policy), time_limit=60, gap=0.05)


def test_the_gap_of_a_company_sits_in_accounts_and_rules(company: to.Result) -> None:
    found = company.split_of_gap
    assert total(found) == pytest.approx(company.gap_money, abs=0.01)
    assert abs(found.rounding) < 0.01
    loss, part = found.accounts.columns[-1], found.rules.columns[-1]
    assert (loss, part) == ("loss_usd_per_year", "part_usd_per_year")
    assert (found.accounts["rep_id"] != found.accounts["best_rep_id"]).all()
    assert set(found.rules["rule"]) <= {row.rule for row in company.model.rows.items} | {"quotas"}
    assert found.sentence.startswith("Where the slack sits: $")


def test_what_a_proof_by_cases_rules_out_is_taken_off() -> None:
    """Three equal accounts and two reps: one set of multipliers splits an account, the cases do not."""
    result = to.solve(three_lumps())
    root = split_gap(result.figures, replace(result.certificate, cases=None))
    found = result.split_of_gap
    assert root.ruled_out == 0.0
    assert root.gap == pytest.approx(root.in_accounts + root.in_rules, abs=0.01)
    assert found.ruled_out == pytest.approx(root.gap, rel=1e-6)
    assert found.gap == pytest.approx(0.0, abs=0.01)
    assert "that the proof rules out" in found.sentence


def test_a_family_is_one_line_and_the_worst_rep_pays_for_itself() -> None:
    """A family of two with the far rep; an unequal quota priced for the worst rep once more."""
    accounts = pd.DataFrame(
        {
            "account_id": ["A1", "A2", "A3"], "lat": 50.0, "lon": [10.0, 10.0, 12.0], "potential": 100.0,
            "current_sales": 100.0, "visits": 10.0, "family": ["Duo", "Duo", ""], "incumbent": ["R1", "R1", "R2"],
        }
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": ["R1", "R2"], "lat": 50.0, "lon": [10.0, 12.0], "last_quota": 100.0})
    quotas = {"target": 300.0, "fairness": {"price": 0.5, "worst_price": 0.25}}
    territories = {"travel": {"cost_per_km": 0.1}}
    problem = to.Problem.from_tables(
        accounts, reps, policy=to.Policy.model_validate({"territories": territories, "quotas": quotas})
    )
    model = Model.build(problem)
    plan = to.Plan.from_positions(model, np.array([1, 1]), np.array([50.0, 250.0]))
    certificate = to.Multipliers.of(model, np.zeros(len(model.rows)))
    found = split_gap(Figures(model, plan), certificate)
    (line,) = found.accounts.to_dict("records")
    assert (line["account_id"], line["family"], line["accounts"]) == ("A1", "Duo", 2)
    assert (line["rep_id"], line["best_rep_id"]) == ("R2", "R1")
    assert "family Duo (2 accounts)" in str(found)
    worst = found.rules[found.rules["subject"] == LARGEST]
    assert worst["rule"].tolist() == ["fairness"]
    outside = np.abs(Figures(model, plan).evaluation.outside)[model.rows.worst_group == 0]
    assert worst.iloc[0, -1] == pytest.approx(0.25 * outside.max())
    assert total(found) == pytest.approx(to.certify(problem, plan, certificate).gap_money, abs=1e-9)


def test_a_quota_with_a_price_of_its_own_is_a_line() -> None:
    """Where fairness alone pulls at one quota, that is so far from the most it could be."""
    model = next(m for m in map(model_of, range(CASES)) if any(item.rule == "fairness" for item in m.rows.items))
    row = next(r for r, item in enumerate(model.rows.items) if item.rule == "fairness")
    values = np.zeros(len(model.rows))
    values[row] = 0.5
    dear = replace(model, rows=replace(model.rows, price=np.maximum(model.rows.price, 1.0)))
    figures, rep = Figures(dear, random_plan(model, np.random.default_rng(0))), int(model.rows.owner[row])
    found = split_gap(figures, to.Multipliers.of(dear, values))
    (line,) = found.rules[found.rules["where"] == QUOTA].to_dict("records")
    assert (line["rule"], line["subject"]) == ("quotas", model.problem.reps["name"].iloc[rep])
    assert line["part_usd_per_year"] == pytest.approx(0.5 * (model.quota_limit[rep] - figures.quotas[rep]))


# --- where it is shown ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def soft() -> to.Result:
    """The toy with a priced band: today keeps every rule of territories, and the plan is worth more."""
    return to.solve(to.load_scenario(TOY, overrides=SOFT).problem(), time_limit=20)


def test_a_saved_plan_splits_the_gap_that_the_judge_finds(company: to.Result, tmp_path: Path) -> None:
    saved = to.load_plan(to.save_plan(company, tmp_path / "plan"))
    assert json.dumps(saved.split_of_gap.to_dict()) == json.dumps(to.explain(saved, gap=True).to_dict())  # type: ignore[union-attr]
    assert saved.split_of_gap.gap == pytest.approx(company.gap_money, abs=1e-6)
    assert saved.captured == pytest.approx(company.captured, abs=1e-12)
    pd.testing.assert_frame_equal(saved.split_of_gap.accounts, company.split_of_gap.accounts)


def test_explain_gap_names_ten_accounts_and_all_rules(
    company: to.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, found = str(to.save_plan(company, tmp_path / "plan")), company.split_of_gap
    assert commands.run(["explain", folder, "--gap"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("No plan is worth more than $")
    assert found.sentence in said
    assert [f"({key})" in said for key in found.accounts["account_id"]] == [k < 10 for k in range(len(found.accounts))]
    assert sum(said.count(f"  {where} ") for where in (INSIDE, OUTSIDE, QUOTA)) == len(found.rules)
    assert commands.run(["explain", folder, "--gap", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["accounts"]) == len(found.accounts)
    assert total(to.GapSplit(**{k: told[k] for k in found.__slots__})) == pytest.approx(company.gap_money, abs=0.01)


def test_page_and_workbook_say_where_the_slack_sits(company: to.Result) -> None:
    views = build_views(company, name="company", issues=[], run={})
    assert views.sentences[-1] == company.split_of_gap.sentence
    assert views.cards[-1].note.startswith("per year, verified")


def test_where_no_rule_is_kept_there_is_no_gap_to_split() -> None:
    problem = to.load_scenario(TOY, overrides={"territories.keep.max_moved_accounts": 0}).problem()
    result = to.solve(problem, time_limit=20)
    assert result.violations
    assert np.isnan(result.captured)
    with pytest.raises(to.TerritoryError, match="there is no gap to split: the plan breaks 1 hard rule, "):
        to.explain(result, gap=True)
    assert not any("slack" in text for text in build_views(result, name="toy", issues=[], run={}).sentences)


# --- what a plan captures -------------------------------------------------------------------------------------


def test_what_is_captured_is_a_share_of_the_provable_gain(soft: to.Result) -> None:
    today = Figures(soft.model, to.Plan.today(soft.model)).evaluation.objective
    assert soft.bound > soft.objective > today
    assert soft.captured == pytest.approx((soft.objective - today) / (soft.bound - today), abs=1e-12)
    assert soft.summary()["captured"] == soft.captured
    share = f"captures at least {int(soft.captured * 1000) / 10:.1f} % of what can be gained over today"
    assert share in repr(soft)
    assert share in soft._repr_html_()
    proof = build_views(soft, name="toy", issues=[], run={}).sentences[-2]
    assert proof.index("above this one (verified)") < proof.index(f"It {share}.")
    assert "Today's alignment" not in proof


def test_the_share_never_says_more_than_is_true() -> None:
    """All but a trifle is not all of it."""
    result = to.solve(to.load_scenario(TOY, overrides=SOFT).problem(), time_limit=20)
    today = result.figures.today.evaluation.objective
    near = replace(result, bound=today + (result.objective - today) / 0.99999)
    assert "captures at least 99.9 % of" in repr(near)


def test_today_below_which_no_plan_can_be_is_said_to_break_rules() -> None:
    """The toy's books of today lie outside the hard band, and are worth more than any plan within."""
    result = to.solve(to.load_scenario(TOY).problem(), time_limit=20)
    assert result.figures.today.evaluation.objective > result.bound
    assert np.isnan(result.captured)
    views = build_views(result, name="toy", issues=[], run={})
    assert "captures" not in " ".join([*views.sentences, views.cards[-1].note, repr(result)])
    assert views.sentences[-2].endswith("Today's alignment breaks 2 hard rules.")


def test_without_a_rep_today_nothing_is_captured() -> None:
    problem = to.load_scenario(TOY, overrides=SOFT).problem()
    result = to.solve(replace(problem, accounts=problem.accounts.assign(incumbent="")), time_limit=20)
    assert np.isnan(result.captured)
    assert "today" not in build_views(result, name="toy", issues=[], run={}).sentences[-2].lower()


def test_today_is_worked_out_once(company: to.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving, comparing and what is captured read the same figures of today."""
    seen, real = [], to.Plan.today

    def today(model: Any) -> to.Plan:
        seen.append(model)
        return real(model)

    monkeypatch.setattr(to.Plan, "today", today)
    result = replace(company, _figures=Figures(company.model, company.plan))
    to.save_plan(result, tmp_path / "plan")
    _ = result.captured, repr(result), to.compare("today", result).summary()
    assert len(seen) == 1
