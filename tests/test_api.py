"""The door for Python: a verb for every command, results and loaded plans alike, tables with units."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import territory_opt as to
from territory_opt import api
from territory_opt.cli import commands as cli
from territory_opt.plan.figures import Figures
from territory_opt.plan.tables import moves_table

mpl.use("Agg")

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "territory_opt"
TOY = ROOT / "scenarios" / "toy"
UNIT = re.compile(r"(^|_)((usd|eur|hours|km)_(per_year|in_6_months)|usd_last_12_months|usd|eur|km|share|probability)$")
"""How a column with a unit ends."""
LONGEST_REPR = 240


@pytest.fixture(scope="module")
def scenario() -> to.Scenario:
    return to.load_scenario(TOY)


@pytest.fixture(scope="module")
def result(scenario: to.Scenario) -> to.Result:
    return to.solve(scenario.problem(), time_limit=10)


@pytest.fixture(scope="module")
def company() -> to.Problem:
    """A made-up company with a history and quarterly quotas."""
    tables = to.generate(90, 4, seed=3, months=24)
    policy = to.Policy.model_validate({"quotas": {"target": 5_000_000, "step": 100, "periods": "quarter"}})
    return to.Problem.from_tables(**tables, policy=policy)


@pytest.fixture(scope="module")
def planned(company: to.Problem) -> to.Result:
    return to.solve(company, time_limit=20)


@pytest.fixture(scope="module")
def loaded(planned: to.Result, tmp_path_factory: pytest.TempPathFactory) -> to.SavedPlan:
    """The company's plan, saved in one call without a scenario, and read again from another place."""
    place = tmp_path_factory.mktemp("plans")
    folder = to.save_plan(planned, place / "first")
    return to.load_plan(shutil.move(folder, place / "moved"))


# --- the door ---------------------------------------------------------------------------------------------------


def test_every_command_is_a_verb() -> None:
    commands = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    assert commands <= set(to.__all__)
    assert {"save_plan", "load_plan", "estimate"} <= set(to.__all__)


def test_the_list_of_names_is_one_list() -> None:
    """What is announced can be loaded, what type checkers see is the same, and the list is in order."""
    assert list(to._HOME) == to.__all__
    assert to.__all__ == sorted(to.__all__, key=lambda name: (name[0].islower(), name))
    for name in to.__all__:
        assert callable(getattr(to, name))
    seen = (SOURCE / "__init__.py").read_text(encoding="utf-8").split("if TYPE_CHECKING:")[1].split("class ")[0]
    assert [name for name in to.__all__ if name not in seen.replace(",", " ").split()] == []


@pytest.mark.parametrize("first", ["territory_opt.estimate.backtest", "territory_opt.api"])
def test_a_verb_with_the_name_of_a_folder_can_be_called(first: str) -> None:
    """``estimate`` is a stage of the work too; whichever is imported first, both work."""
    code = (
        f"import {first}, territory_opt as to; problem = to.load_scenario({str(TOY)!r}).problem();"
        "first = to.estimate(problem); import territory_opt.estimate.backtest as stage;"
        "print(to.estimate(problem).accounts.equals(first.accounts), callable(stage.backtest))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("first", ["import territory_opt.estimate", "to.estimate(problem)"])
def test_a_verb_with_the_name_of_a_folder_travels(first: str) -> None:
    """As every other verb does, to a process that has imported nothing yet."""
    code = (
        f"import pickle, sys, territory_opt as to; problem = to.load_scenario({str(TOY)!r}).problem(); {first};"
        "sys.stdout.buffer.write(pickle.dumps([to.estimate, to.solve]))"
    )
    sent = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, check=True)
    code = (
        "import pickle, sys; verb, _ = pickle.load(sys.stdin.buffer); import territory_opt as to;"
        f"print(verb({str(TOY)!r}).reps.equals(to.estimate({str(TOY)!r}).reps))"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, input=sent.stdout, capture_output=True, check=False)
    assert done.stdout.split() == [b"True"], done.stderr


def test_a_problem_out_of_a_pickle_reads_tables(scenario: to.Scenario) -> None:
    """In a process that has imported nothing yet, its class finds the reader by itself."""
    code = (
        "import pickle, sys; problem = pickle.load(sys.stdin.buffer);"
        "assert 'territory_opt.intake.validate' not in sys.modules;"
        "print(type(problem).from_tables(problem.accounts, problem.reps, policy=problem.policy))"
    )
    command, sent = [sys.executable, "-W", "error", "-c", code], pickle.dumps(scenario.problem())
    done = subprocess.run(command, input=sent, capture_output=True, check=False)
    assert done.stdout.decode().strip() == repr(scenario.problem()), done.stderr


WITH_EXAMPLES = [path for path in sorted(SOURCE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=[str(path.relative_to(SOURCE)) for path in WITH_EXAMPLES])
def test_examples_in_docstrings_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(".".join(["territory_opt", *path.relative_to(SOURCE).with_suffix("").parts]))
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_every_verb_has_an_example_or_points_to_one() -> None:
    verbs = [name for name in to.__all__ if to._HOME[name] == "territory_opt.api"]
    for name in verbs:
        text = inspect.getdoc(getattr(api, name)) or ""
        assert ">>> " in text or "has an example" in text or "has an\nexample" in text, name


# --- tables -----------------------------------------------------------------------------------------------------


def test_every_column_with_a_unit_says_it(result: to.Result, planned: to.Result) -> None:
    for table in (result.reps, result.accounts, result.quotas, result.moves, planned.reps, planned.accounts):
        measured = [name for name in table.columns if pd.api.types.is_float_dtype(table[name])]
        assert measured
        assert [name for name in measured if not UNIT.search(name)] == []


COUNTS = {"rank", "accounts", "accounts_in", "accounts_out", "gained", "lost", "pairs"}
"""Columns of whole numbers that count things."""


def without_unit(table: pd.DataFrame) -> list[str]:
    """Numeric columns whose unit stands neither in the name nor in ``attrs["units"]``, nor is a count."""
    numbers = table.select_dtypes("number")
    named = [name for name in numbers if UNIT.search(name) or name in table.attrs.get("units", {})]
    counts = [name for name in numbers if name in COUNTS and pd.api.types.is_integer_dtype(table[name])]
    return [name for name in numbers if name not in (*named, *counts)]


def test_every_table_says_its_units(result: to.Result, planned: to.Result, loaded: to.SavedPlan) -> None:
    """By the names of its columns, or where these are fixed by ``attrs["units"]``; the rest are counts."""
    sales = pd.DataFrame({"account_id": planned.problem.accounts["account_id"], "month": "2027-01", "sales": 3000.0})
    review, rest, expected = to.review(planned, draws=200), to.replan(planned, as_of="2027-03"), to.estimate(planned)
    parts = to.load_scenario(TOY, overrides={"quotas.by": "language"})
    rep = to.explain(to.solve(parts, time_limit=10), rep="R4")
    compared, past = to.compare("today", planned), to.backtest(planned, months=6, looks=2)
    tables = {
        **{f"result {name}": getattr(planned, name) for name in ("reps", "accounts", "quotas", "moves")},
        **{f"loaded {name}": getattr(loaded, name) for name in ("reps", "accounts", "quotas", "moves")},
        **{f"estimate {name}": getattr(expected, name) for name in ("accounts", "reps", "company")},
        **{f"explained {name}": getattr(rep, name) for name in ("lines", "periods", "parts")},
        **{f"replan {name}": getattr(rest, name) for name in ("past", "ahead")},
        "plan": planned.plan.quotas, "loaded plan": loaded.plan.quotas, "track": to.track(planned, sales).reps,
        "odds of reps": review.odds.reps, "odds of nodes": review.odds.nodes, "fairness": review.plan.table(),
        "review": review.table, "year": rest.year(planned), "looks": past.looks, "backtest": past.table(),
        "compared accounts": compared.accounts, "compared reps": compared.reps,
        "dropped": to.planning_graph(result).dropped,
    }  # fmt: skip
    assert {name: without for name, table in tables.items() if (without := without_unit(table))} == {}
    for name, table in tables.items():
        assert len(table), name
        assert set(table.attrs.get("units", {})) <= set(table.columns), name
    figures = compared.to_frame()
    assert list(figures.attrs["units"]) == list(figures.index)


def test_units_are_those_of_the_plan_in_names_and_notes() -> None:
    """A plan of six months in euros."""
    changes = {"currency": "EUR", "period.months": 6}
    found = to.solve(to.load_scenario(TOY, overrides=changes), time_limit=10)
    assert to.estimate(found).accounts.attrs["units"] == {"expected_sales": "EUR in 6 months", "sd": "EUR in 6 months"}
    assert found.plan.quotas.attrs["units"] == {"quota": "EUR"}
    assert {"p10_eur_in_6_months", "pay_share", "hit_probability"} <= set(to.review(found, draws=100).table)
    sold = pd.DataFrame({"account_id": ["A01"], "month": ["2027-01"], "sales": [40.0]})
    assert {"due_eur", "quota_eur_in_6_months", "finish_probability"} <= set(to.track(found, sold).reps)
    compared = to.compare("today", found)
    assert {"quota_eur_in_6_months", "potential_of_fair_share"} <= set(compared.reps)
    assert {"potential_eur_per_year", "current_sales_eur_last_12_months"} <= set(compared.accounts)
    assert compared.to_frame().attrs["units"]["objective"] == "EUR in 6 months"


def test_units_are_those_of_the_policy() -> None:
    """Currency and length of the plan stand in the names."""
    changes = {"currency": "EUR", "period.months": 6}
    found = to.solve(to.load_scenario(TOY, overrides=changes).problem(), time_limit=10)
    assert {"quota_eur_in_6_months", "expected_sales_eur_in_6_months", "hours_per_year"} <= set(found.reps.columns)
    assert {"potential_eur_per_year", "current_sales_eur_last_12_months"} <= set(found.accounts.columns)
    assert "quota_eur" in found.quotas


def test_tables_of_the_toy_are_those_done_by_hand(result: to.Result) -> None:
    """scenarios/toy/README.md: Inner Circle goes from Ada to Dan, a tenth of its 200 is lost, each then has 600."""
    reps, moves = result.reps.set_index("rep_id"), result.moves
    assert reps["potential_of_fair_share"].tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0])
    assert reps["potential_today_of_fair_share"].tolist() == pytest.approx([1000 / 600, 1.0, 1.0, 200 / 600])
    assert reps["accounts"].tolist() == [3, 3, 3, 3]
    assert (reps["accounts_in"]["R4"], reps["accounts_out"]["R1"]) == (1, 1)
    assert reps["expected_sales_usd_per_year"].tolist() == pytest.approx([300, 300, 300, 280])
    assert moves[["account_id", "from_rep", "to_rep"]].to_numpy().tolist() == [["A10", "Ada", "Dan"]]
    assert moves["sales_at_risk_usd_per_year"].tolist() == pytest.approx([20.0])
    assert moves["current_sales_usd_last_12_months"].tolist() == pytest.approx([200.0])


def test_tables_say_what_the_plan_says(planned: to.Result) -> None:
    plan, reps, accounts, quotas = planned.plan, planned.reps, planned.accounts, planned.quotas
    assert accounts.set_index("account_id")["rep_id"].to_dict() == plan.assignment.to_dict()
    assert quotas["quota_usd"].tolist() == plan.quotas["quota"].tolist()
    assert reps["quota_usd_per_year"].tolist() == plan.annual.tolist()
    assert reps["accounts"].sum() == len(accounts)
    known = accounts["incumbent"].isin(planned.problem.reps["rep_id"])
    changed = accounts[known & (accounts["incumbent"] != accounts["rep_id"])]
    assert set(planned.moves["account_id"]) == set(changed["account_id"])
    assert len(planned.moves) == planned.summary()["moved_accounts"] > 0
    assert (accounts.loc[~known, "change"] == "new").all()
    assert planned.moves["sales_at_risk_usd_per_year"].sum() == pytest.approx(planned.summary()["sales_at_risk"])


def test_accounts_in_and_out_are_counted_for_every_rep(planned: to.Result) -> None:
    accounts, reps = planned.accounts, planned.reps.set_index("rep_id")
    changed = accounts[accounts["incumbent"] != accounts["rep_id"]]
    for key, column in (("rep_id", "accounts_in"), ("incumbent", "accounts_out")):
        assert reps[column].tolist() == [int((changed[key] == rep).sum()) for rep in reps.index]
    assert reps["accounts_in"].iloc[0] > 0


def test_moves_of_equal_sales_stand_by_account(planned: to.Result) -> None:
    """Giving everything of one rep to another; largest sales first, then by name."""
    problem = planned.problem
    accounts = problem.accounts.assign(current_sales=100.0)
    first, second = problem.reps["rep_id"].iloc[:2]
    model = to.Model.build(replace(problem, accounts=accounts, sales=problem.sales.iloc[:0]))
    given = planned.plan.assignment.where(accounts["incumbent"].to_numpy() != first, second)
    moves = moves_table(Figures(model, replace(planned.plan, assignment=given)))
    order = moves.sort_values(["current_sales_usd_last_12_months", "account_id"], ascending=[False, True])
    assert moves.index.tolist() == order.index.tolist() == list(range(len(moves)))
    assert len(moves) > 1


def test_odds_and_range_are_of_one_normal_distribution(planned: to.Result) -> None:
    """The quota's odds follow from the range: both ends hold nine tenths."""
    reps = planned.reps
    mean = reps["expected_sales_usd_per_year"]
    spread = (reps["high_80_usd_per_year"] - mean) / norm.ppf(0.9)
    assert (spread > 0).all()
    odds = norm.sf((reps["quota_usd_per_year"] - mean) / spread)
    assert reps["hit_probability"].tolist() == pytest.approx(odds.tolist(), abs=1e-9)


def test_a_plan_without_quotas_has_empty_quotas() -> None:
    free = to.solve(to.load_scenario(TOY, overrides={"quotas.target": None}).problem(), time_limit=10)
    assert free.quotas.empty
    assert list(free.quotas.columns) == ["rep_id", "name", "period", "quota_usd"]
    assert "quota_usd_per_year" not in free.reps
    assert "target" not in free.summary()
    with pytest.raises(to.NoPlanError, match="sets no quotas"):
        free.plot_quotas()
    with pytest.raises(to.ScenarioError, match="sets no quotas"):
        to.review(free)


# --- headline figures -------------------------------------------------------------------------------------------


def test_the_summary_is_what_the_judge_finds(planned: to.Result) -> None:
    found = planned.summary()
    judged = to.certify(planned.problem, planned.plan, planned.certificate)
    assert found["objective"] == pytest.approx(judged.objective, abs=0.005)
    assert found["bound"] == pytest.approx(judged.bound, rel=1e-9, abs=0.005)
    assert found["gap_money"] == pytest.approx(judged.gap_money, abs=0.01)
    assert found["broken_rules"] == len(to.audit(planned.problem, planned.plan))
    assert found["quotas_total"] == pytest.approx(planned.plan.annual.sum())
    assert found["expected_hits"] == pytest.approx(planned.reps["hit_probability"].sum())
    assert found["low_80"] < found["expected_sales"] < found["high_80"]
    assert found["target"] == 5_000_000
    assert found["cut_short"] == ""
    json.dumps(found)


def test_the_summary_names_what_was_cut_short(scenario: to.Scenario, tmp_path: Path) -> None:
    """A made-up cut: a result and the plan that is loaded from its folder say it alike."""
    result = replace(to.solve(scenario.problem()), raw_status="time limit", cut_short=("search", "cases"))
    assert result.summary()["cut_short"] == "search, cases"
    loaded = to.load_plan(to.save_plan(result, tmp_path / "plan"))
    assert loaded.summary()["cut_short"] == "search, cases"


def test_the_summary_of_a_clash_counts_what_is_broken(scenario: to.Scenario) -> None:
    clash = to.solve(to.load_scenario(TOY, "keep-everyone").problem(), time_limit=10)
    found = clash.summary()
    assert found["status"] == "infeasible"
    assert found["broken_rules"] == len(clash.violations) > 0
    assert np.isnan(found["gap"])
    assert "hard rules" in repr(clash)
    assert "least bad plan" in clash._repr_html_()


def test_a_result_without_a_plan_says_so(result: to.Result) -> None:
    none = replace(result, status=to.Status.NO_PLAN, raw_status="time limit", _figures=None)
    assert repr(none) == "Result(no_plan: time limit)"
    assert none.summary()["status"] == "no_plan"
    assert "give a longer time limit" in none._repr_html_()
    for ask in (lambda: none.reps, lambda: none.moves, lambda: none.figures, none.plot_map):
        with pytest.raises(to.NoPlanError, match="time limit"):
            ask()


# --- saved and loaded -------------------------------------------------------------------------------------------


def test_a_plan_saved_in_one_call_stands_alone(loaded: to.SavedPlan, planned: to.Result) -> None:
    """Even after the folder has moved: tables and scenario are in it, and the check confirms all of it."""
    assert loaded.changed_inputs == []
    assert to.check(loaded).faults == ()
    assert loaded.problem.accounts["account_id"].tolist() == planned.problem.accounts["account_id"].tolist()
    assert loaded.objective == pytest.approx(planned.objective)
    assert (loaded.status, loaded.broken_rules) == (planned.status, len(planned.violations))


def test_the_command_check_accepts_it(loaded: to.SavedPlan, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", str(loaded.folder.path)]) == cli.DONE, capsys.readouterr().out


def test_a_plan_saved_with_its_scenario_points_to_it(result: to.Result, scenario: to.Scenario, tmp_path: Path) -> None:
    folder = to.save_plan(result, tmp_path / "plan", scenario=scenario)
    assert not (folder / "accounts.csv").exists()
    found = to.load_plan(folder)
    assert found.scenario.path.resolve() == scenario.path.resolve()
    assert to.check(found).holds


def test_a_scenario_that_has_moved_can_be_named(result: to.Result, tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "toy")
    folder = to.save_plan(result, tmp_path / "plan", scenario=to.load_scenario(tmp_path / "toy"))
    (tmp_path / "toy").rename(tmp_path / "elsewhere")
    lost = to.load_plan(folder)
    assert lost.plan.assignment["A10"] == "R4"
    with pytest.raises(to.PlanFolderError, match="in Python with scenario=PATH"):
        _ = lost.problem
    assert to.check(to.load_plan(folder, scenario=tmp_path / "elsewhere")).holds


def test_changed_inputs_are_named(result: to.Result, tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "toy")
    folder = to.save_plan(result, tmp_path / "plan", scenario=to.load_scenario(tmp_path / "toy"))
    (tmp_path / "toy" / "rules.csv").write_text("rule,account_id,rep_id,reason,expires\n", encoding="utf-8")
    assert to.load_plan(folder).changed_inputs == ["rules.csv is not the file the plan was made from"]


def test_a_loaded_plan_has_the_tables_of_the_result(loaded: to.SavedPlan, planned: to.Result) -> None:
    for name in ("reps", "accounts", "quotas", "moves"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(planned, name))
    was, now = planned.summary(), loaded.summary()
    assert {key for key in was if key not in now} == set()
    assert now["p_company_target"] == pytest.approx(was["p_company_target"])
    assert now["gap_money"] == pytest.approx(was["gap_money"])


def test_verbs_accept_what_was_loaded(loaded: to.SavedPlan, planned: to.Result) -> None:
    """With the same answers as for the result itself."""
    account, rep = planned.moves["account_id"].iloc[0], planned.reps["rep_id"].iloc[0]
    sales = pd.DataFrame({"account_id": planned.problem.accounts["account_id"], "month": "2027-01", "sales": 3000.0})
    for ask in (
        lambda plan: to.explain(plan, account=account).to_dict(),
        lambda plan: to.explain(plan, rep=rep).to_dict(),
        lambda plan: to.review(plan, draws=500).to_dict(),
        lambda plan: to.track(plan, sales).to_dict(),
        lambda plan: to.replan(plan, as_of="2027-03").problem.policy.quotas.target,
    ):
        assert ask(loaded) == ask(planned)
    assert to.audit(loaded.problem, loaded.plan) == to.audit(planned.problem, planned.plan)
    assert to.certify(loaded.problem, loaded.plan, loaded.certificate).bound == pytest.approx(planned.bound)


def test_a_loaded_plan_can_be_saved_again(loaded: to.SavedPlan, planned: to.Result, tmp_path: Path) -> None:
    """It states the same and proves it."""
    again = to.load_plan(to.save_plan(loaded, tmp_path / "again"))
    assert to.check(again).faults == ()
    same = {key: value for key, value in loaded.claims().items() if key != "name"}
    assert {key: again.claims()[key] for key in same} == same
    assert loaded.as_result().status is planned.status
    assert loaded.violations == planned.violations


@pytest.mark.slow
def test_a_loaded_plan_is_a_start(result: to.Result, planned: to.Result, loaded: to.SavedPlan) -> None:
    again = to.solve(loaded.problem, previous=loaded, time_limit=20)
    assert "previous plan" in again.why
    assert again.objective >= planned.objective - 0.02 * abs(planned.objective)


def test_the_command_line_says_what_the_verb_says(
    result: to.Result, scenario: to.Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = to.save_plan(result, tmp_path / "plan", scenario=scenario)
    assert cli.run(["explain", str(folder), "--rep", "R4", "--json"]) == cli.DONE
    said = json.loads(capsys.readouterr().out)
    assert said["lines"] == to.explain(to.load_plan(folder), rep="R4").to_dict()["lines"]


def test_explain_wants_one_id(result: to.Result) -> None:
    for ids in ({}, {"account": "A10", "rep": "R4"}):
        with pytest.raises(ValueError, match="one of account=ID, rep=ID and gap=True"):
            to.explain(result, **ids)


def test_what_is_left_out_of_sales_is_said(result: to.Result, tmp_path: Path) -> None:
    """The same for a table and for a file."""
    sales = pd.DataFrame({"account_id": ["A01", "nobody"], "month": "2027-01", "sales": [40.0, 10.0]})
    sales.to_csv(tmp_path / "sold.csv", index=False)
    metrics = pd.DataFrame({"rep_id": ["R1", "R9"], "win_rate": [0.3, 0.5]})
    found = to.track(result, sales, metrics=metrics)
    assert [issue.value for issue in found.issues] == ["nobody", "R9"]
    assert found.reps.set_index("rep_id")["win_rate"].dropna().to_dict() == {"R1": 0.3}
    assert to.track(result, tmp_path / "sold.csv").to_dict()["company"] == found.to_dict()["company"]


# --- estimate ---------------------------------------------------------------------------------------------------


def test_the_estimate_adds_up(company: to.Problem) -> None:
    """Accounts to reps by incumbent, and all of them to the company."""
    found = to.estimate(company)
    assert list(found.accounts.columns) == ["account_id", "expected_sales", "sd"]
    assert list(found.reps.columns) == ["rep_id", "expected_sales", "low_80", "high_80"]
    assert list(found.company.columns) == ["expected_sales", "low_80", "high_80"]
    assert len(found.company) == 1
    by_rep = found.accounts.groupby(company.accounts["incumbent"])["expected_sales"].sum()
    reps = found.reps.set_index("rep_id")
    assert reps["expected_sales"].tolist() == pytest.approx(by_rep.reindex(reps.index).tolist())
    assert found.company["expected_sales"].sum() == pytest.approx(found.accounts["expected_sales"].sum())
    assert ((reps["low_80"] < reps["expected_sales"]) & (reps["expected_sales"] < reps["high_80"])).all()


def test_without_shared_shocks_variances_add_up(company: to.Problem) -> None:
    """The range of a rep is then 1.28 standard deviations on both sides; with shocks it is wider."""
    quotas = {"target": 5_000_000, "odds": None}
    tables = {name: getattr(company, name) for name in ("accounts", "reps", "managers", "sales")}
    alone = to.estimate(to.Problem.from_tables(**tables, policy=to.Policy.model_validate({"quotas": quotas})))
    variance = (alone.accounts["sd"] ** 2).groupby(company.accounts["incumbent"]).sum()
    reps = alone.reps.set_index("rep_id")
    wide = (reps["high_80"] - reps["expected_sales"]) / 1.2815515655446004
    assert wide.tolist() == pytest.approx(np.sqrt(variance.reindex(reps.index)).tolist())
    shared = to.estimate(company).reps["high_80"].to_numpy()
    assert (shared > alone.reps["high_80"].to_numpy()).all()


# --- progress and cancelling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_callback_that_returns_false_ends_with_a_plan(company: to.Problem, number: int) -> None:
    seen: list[to.Progress] = []

    def stop_soon(step: to.Progress) -> bool:
        seen.append(step)
        return len(seen) < number

    found = to.solve(company, time_limit=60, progress=stop_soon)
    assert found.raw_status == "interrupted"
    assert found.has_plan
    assert found.plan.assignment.notna().all()
    assert np.isfinite(found.bound)
    assert found.seconds < 30


@pytest.mark.parametrize("answer", [None, True, 0, ""])
def test_only_false_ends_a_solve(scenario: to.Scenario, answer: object) -> None:
    found = to.solve(scenario.problem(), time_limit=10, progress=lambda _: answer)
    assert found.raw_status == "complete"


# --- shown and sent ---------------------------------------------------------------------------------------------


def test_everything_travels_between_processes(scenario: to.Scenario, planned: to.Result, loaded: to.SavedPlan) -> None:
    judged = to.certify(planned.problem, planned.plan, planned.certificate)
    things = (scenario, planned.problem, planned, planned.plan, planned.certificate, judged, loaded)
    back = [pickle.loads(pickle.dumps(thing)) for thing in things]
    assert [type(one) for one in back] == [type(one) for one in things]
    for one in (back[2], back[-1]):
        pd.testing.assert_frame_equal(one.reps, planned.reps)
    assert to.certify(back[1], back[3], back[4]) == judged
    assert back[0].problem().n_accounts == 12


def test_errors_travel_whole() -> None:
    """A worker's list of findings reaches whoever started it."""
    reps = pd.DataFrame({"rep_id": ["a", "a"], "lat": [1.0, 95.0], "lon": [1.0, 1.0]})
    accounts = pd.DataFrame({"account_id": ["x"], "lat": [1.0], "lon": [1.0], "potential": [1.0]})
    with pytest.raises(to.DataError) as caught:
        to.Problem.from_tables(accounts=accounts, reps=reps)
    back = pickle.loads(pickle.dumps(caught.value))
    assert back.issues == caught.value.issues
    assert str(back) == str(caught.value)
    assert len(back.issues) >= 2


def test_objects_are_short_in_a_console(scenario: to.Scenario, planned: to.Result, loaded: to.SavedPlan) -> None:
    sales = pd.DataFrame({"account_id": planned.problem.accounts["account_id"], "month": "2027-01", "sales": 3000.0})
    things = (
        scenario, planned.problem, planned, planned.plan, planned.certificate, to.check(loaded), loaded,
        to.estimate(planned.problem), to.review(planned, draws=200), to.track(planned, sales),
        to.explain(planned, rep=planned.reps["rep_id"].iloc[0]), to.replan(planned, as_of="2027-03"),
        to.explain(planned, account=planned.accounts["account_id"].iloc[0]), to.validate(planned.problem),
        to.backtest(planned.problem, months=6, looks=2),
    )  # fmt: skip
    for thing in things:
        assert "\n" not in repr(thing)
        assert len(repr(thing).replace(str(loaded.folder.path), "")) <= LONGEST_REPR, repr(thing)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, "Policy()"),
        ({"currency": "EUR", "quotas": {"target": 5e6}}, "Policy(currency=EUR, quotas.target=5000000.0)"),
        ({"quotas": {"odds": {"price": 2.0}}, "territories": {"balance": {"potential": {"band": "5 %"}}}},
         "Policy(territories.balance.potential.band=0.05, quotas.odds.price=2.0)"),
    ],
)  # fmt: skip
def test_a_policy_shows_what_differs_from_the_default(given: dict[str, object], shown: str) -> None:
    assert repr(to.Policy.model_validate(given)) == shown


def test_what_is_large_shows_its_size(planned: to.Result) -> None:
    model, figures, policy = planned.model, planned.figures, planned.problem.policy
    assert repr(figures) == f"Figures({planned.plan!r})"
    assert repr(model).startswith(f"Model(90 accounts · 4 reps · {len(model.rows):,} rows · kappa ")
    keep = {"max_moved_accounts": 7, "max_moved_revenue": "12 %", "loss_rate": "17 %"}
    long = to.Policy.model_validate({"currency": "CHF", "territories": {"keep": keep}, "quotas": {"target": 9}})
    assert repr(long).endswith(" and 3 more)")
    for thing in (model, figures, policy, long):
        assert len(repr(thing)) <= 100, repr(thing)


def test_objects_show_themselves_in_a_notebook(scenario: to.Scenario, planned: to.Result, loaded: to.SavedPlan) -> None:
    for thing in (scenario, planned.problem, planned, planned.plan, loaded, to.estimate(scenario)):
        assert "<table" in thing._repr_html_()
    html = planned._repr_html_()
    for text in ("accounts move", "for a target of 5,000,000 USD per year", "left to gain", "odds of the target"):
        assert text in html
    assert "20 more rows" not in planned.plan._repr_html_()


def test_names_are_no_html() -> None:
    named = to.load_scenario(TOY, overrides={"name": "<script>x</script>"})
    assert "<script>" not in named._repr_html_()
    assert "&lt;script&gt;" in named._repr_html_()


def test_the_map_shows_accounts_and_homes(result: to.Result) -> None:
    axes = result.plot_map()
    assert len(axes.collections[0].get_offsets()) == 12
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Ada", "Ben", "Cleo", "Dan"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("longitude, degrees", "latitude, degrees")
    assert "at most USD 0.99 per year left to gain" in axes.get_title()
    mpl.pyplot.close("all")


def test_the_quotas_stand_in_their_ranges(planned: to.Result, loaded: to.SavedPlan) -> None:
    axes = loaded.plot_quotas()
    reps = planned.reps
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    wanted = reps[["low_80_usd_per_year", "high_80_usd_per_year"]].to_numpy() / 1e6
    assert np.array(bars) == pytest.approx(wanted)
    (quotas,) = [line for line in axes.lines if line.get_label() == "quota"]
    assert quotas.get_xdata() == pytest.approx(reps["quota_usd_per_year"].to_numpy() / 1e6)
    said = [text.get_text().strip() for text in axes.texts]
    assert said == [f"{odds:.0%}" for odds in reps["hit_probability"]]
    assert axes.get_xlabel() == "sales and quota, million USD per year"
    mpl.pyplot.close("all")


def test_plots_go_where_one_wants(result: to.Result) -> None:
    _, (left, right) = mpl.pyplot.subplots(1, 2)
    assert result.plot_map(ax=left) is left
    assert result.plot_quotas(ax=right) is right
    mpl.pyplot.close("all")


def test_without_matplotlib_the_message_says_what_to_install(
    result: to.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(to.TerritoryError, match=r"pip install 'territory-opt\[notebook\]'"):
        result.plot_map()


# --- generate ---------------------------------------------------------------------------------------------------


def test_a_made_up_company_can_be_written(tmp_path: Path) -> None:
    tables = to.generate(40, 3, seed=2, months=0, folder=tmp_path / "made")
    problem = to.load_scenario(tmp_path / "made").problem()
    assert problem.n_accounts == len(tables["accounts"]) == 40
    assert "truth" not in tables
    assert "truth" in to.generate(40, 3, seed=2, months=12, truth=True)
