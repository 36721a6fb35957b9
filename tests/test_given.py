"""Every verb takes whatever has what it needs, and says of anything else what to hand in instead."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import territory_opt as to

OVERRIDES = {"quotas.target": 5_000_000, "quotas.step": 100, "quotas.periods": "quarter"}


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One of each kind that has a problem, and of many that have none, by name."""
    place = tmp_path_factory.mktemp("given")
    to.generate(40, 3, seed=3, months=24, folder=place / "made")
    scenario = to.load_scenario(place / "made", overrides=OVERRIDES)
    problem = scenario.problem()
    result = to.solve(problem, time_limit=20)
    folder = to.save_plan(result, place / "plan", scenario=scenario)
    empty = replace(result, status=to.Status.NO_PLAN, raw_status="time limit", _figures=None)
    return {
        "problem": problem, "scenario": scenario, "result": result, "saved plan": to.load_plan(folder),
        "plan folder": folder, "plan folder as text": str(folder), "scenario folder": scenario.path.parent,
        "scenario file": str(scenario.path), "result without a plan": empty,
        "plan": result.plan, "multipliers": result.certificate, "no place": str(place / "nowhere"),
        "empty folder": tmp_path_factory.mktemp("empty"), "no text": "", "null": None, "number": 5, "text": "today",
        "long text": "x" * 5000,
        "list": [result], "mapping": {"accounts": problem.accounts}, "table": problem.accounts, "object": object(),
        "account": problem.accounts["account_id"].iloc[0], "rep": problem.reps["rep_id"].iloc[0],
        "sold": pd.DataFrame({"account_id": problem.accounts["account_id"], "month": "2027-01", "sales": 3000.0}),
        "class": to.Problem, "graph": to.planning_graph(problem), "replan": to.replan(result, as_of="2027-03"),
    }  # fmt: skip


HAVE_A_PLAN = {"result", "saved plan", "plan folder", "plan folder as text"}
HAVE_A_PROBLEM = HAVE_A_PLAN | {"problem", "scenario", "scenario folder", "scenario file", "result without a plan"}
KINDS = sorted(HAVE_A_PROBLEM | {
    "plan", "multipliers", "no place", "empty folder", "no text", "null", "number", "text", "long text", "list",
    "mapping", "table", "object", "class", "graph", "replan",
})  # fmt: skip
Verb = Callable[[Any, dict[str, Any], Path], object]
VERBS: dict[str, tuple[set[str], Verb]] = {
    "validate": (HAVE_A_PROBLEM, lambda given, _, __: to.validate(given)),
    "estimate": (HAVE_A_PROBLEM, lambda given, _, __: to.estimate(given)),
    "backtest": (HAVE_A_PROBLEM, lambda given, _, __: to.backtest(given, months=6, looks=2)),
    "planning_graph": (HAVE_A_PROBLEM, lambda given, _, __: to.planning_graph(given)),
    "solve": (HAVE_A_PROBLEM, lambda given, _, __: to.solve(given, progress=lambda _: False)),
    "solve from": (HAVE_A_PLAN | {"null"}, lambda given, all_, _: to.solve(
        all_["problem"], progress=lambda step: step.phase != "bound", previous=given)),
    "audit": (HAVE_A_PLAN, lambda given, _, __: to.audit(given)),
    "audit against": (HAVE_A_PROBLEM, lambda given, all_, _: to.audit(given, all_["result"].plan)),
    "audit of": (HAVE_A_PLAN | {"plan"}, lambda given, all_, _: to.audit(all_["scenario"], given)),
    "certify": (HAVE_A_PLAN, lambda given, _, __: to.certify(given)),
    "certify against": (HAVE_A_PROBLEM, lambda given, all_, _: to.certify(given, all_["result"])),
    "certify by": (HAVE_A_PLAN | {"multipliers", "result without a plan"}, lambda given, all_, _: to.certify(
        all_["problem"], all_["result"].plan, given)),
    "check": (HAVE_A_PLAN - {"result"}, lambda given, _, __: to.check(given)),
    "save_plan": (HAVE_A_PLAN, lambda given, _, place: to.save_plan(given, place / "again")),
    "load_plan": ({"plan folder", "plan folder as text"}, lambda given, _, __: to.load_plan(given)),
    "explain account": (HAVE_A_PLAN, lambda given, all_, _: to.explain(given, account=all_["account"])),
    "explain rep": (HAVE_A_PLAN, lambda given, all_, _: to.explain(given, rep=all_["rep"])),
    "review": (HAVE_A_PLAN, lambda given, _, __: to.review(given, draws=50)),
    "track": (HAVE_A_PLAN, lambda given, all_, _: to.track(given, all_["sold"])),
    "track sales": (set(), lambda given, all_, _: to.track(all_["result"], given)),
    "track metrics": ({"null"}, lambda given, all_, _: to.track(all_["result"], all_["sold"], metrics=given)),
    "replan": (HAVE_A_PLAN, lambda given, _, __: to.replan(given, as_of="2027-03")),
    "replan now": (HAVE_A_PROBLEM | {"null"}, lambda given, all_, _: to.replan(
        all_["result"], as_of="2027-03", now=given)),
    "compare": (HAVE_A_PLAN, lambda given, _, __: to.compare("today", given)),
    "load_scenario": ({"scenario folder", "scenario file"}, lambda given, _, __: to.load_scenario(given)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_works_or_says_what_it_takes(verb: str, kind: str, things: dict[str, Any], tmp_path: Path) -> None:
    """Never an error from the inside; and what comes back does not depend on how it was handed in."""
    accepted, call = VERBS[verb]
    if kind in accepted:
        assert call(things[kind], things, tmp_path) is not None
        return
    with pytest.raises(to.TerritoryError) as caught:
        call(things[kind], things, tmp_path)
    said = str(caught.value)
    assert re.search(r"give |name |solve|to\.|path|file", said), said
    assert len(said) > 30


@pytest.mark.parametrize("folder", [None, 5, ["out"]])
def test_a_plan_is_saved_to_a_path(folder: object, things: dict[str, Any]) -> None:
    with pytest.raises(to.GivenError, match="give the path of a folder"):
        to.save_plan(things["result"], folder)
    with pytest.raises(to.GivenError, match="give the path of a folder"):
        to.load_plan(things["plan folder"], scenario=folder or 0)


def test_a_plan_is_saved_with_a_scenario_or_its_path(things: dict[str, Any], tmp_path: Path) -> None:
    for given, place in ((things["scenario"], "one"), (Path(things["scenario file"]), "two")):
        policy = to.load_scenario(things["scenario file"]).policy
        if given is things["scenario"]:
            folder = to.save_plan(things["result"], tmp_path / place, scenario=given)
            assert to.load_plan(folder).scenario.path.resolve() == things["scenario"].path.resolve()
            continue
        assert policy != things["problem"].policy
        with pytest.raises(to.ScenarioError, match="its settings are not those"):
            to.save_plan(things["result"], tmp_path / place, scenario=given)
    with pytest.raises(to.GivenError, match="give a scenario or its path"):
        to.save_plan(things["result"], tmp_path / "three", scenario=things["problem"])


TO_A_PROBLEM = "a problem, a scenario, a result, a loaded plan, or the path of a scenario or of a plan folder"
TO_A_PLAN = "a result, a loaded plan, or the path of a plan folder"
MESSAGES = {
    "audit: scenario": f"a Scenario is not accepted here; give {TO_A_PLAN}: a scenario has no plan yet, to.solve makes "
    "one",
    "explain rep: plan": f"a Plan is not accepted here; give {TO_A_PLAN}: a plan alone holds no data, the result or "
    "the loaded plan it came from does",
    "solve: number": f"an int (5) is not accepted here; give {TO_A_PROBLEM}: to.load_scenario(path) or "
    "to.Problem.from_tables(accounts=..., reps=...) gives one",
    "solve: replan": f"a Replan is not accepted here; give {TO_A_PROBLEM}: its .problem is one",
    "estimate: table": f"a DataFrame is not accepted here; give {TO_A_PROBLEM}: to.Problem.from_tables(accounts=..., "
    "reps=...) makes a problem of tables",
    "check: result": "a Result is not accepted here; give a loaded plan or the path of a plan folder: to.audit(result) "
    "and to.certify(result) judge a result, to.save_plan(result, folder) writes its folder",
    "certify by: plan": "a Plan is not accepted here; give the multipliers of a plan: result.certificate; "
    "to.certify(result) needs no more",
    "review: scenario folder": '{given} is no plan folder; to.solve("{given}") makes a plan of a scenario',
    "validate: empty folder": 'there is no scenario and no plan folder at "{given}"; check the path',
    "review: result without a plan": "no plan was found (time limit); give a longer time limit",
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages_say_what_to_call_instead(case: str, things: dict[str, Any]) -> None:
    verb, kind = case.split(": ")
    with pytest.raises(to.TerritoryError) as caught:
        VERBS[verb][1](things[kind], things, Path())
    assert str(caught.value) == MESSAGES[case].format(given=things[kind])


def test_the_answer_is_the_same_however_it_is_handed_in(things: dict[str, Any]) -> None:
    for verb in ("estimate", "validate", "certify", "audit", "explain rep", "review", "track"):
        accepted, call = VERBS[verb]
        kinds = sorted(accepted - {"scenario folder", "scenario file"})  # which know nothing of the overrides
        answers = [call(things[kind], things, Path()) for kind in kinds]
        assert len({str(answer) for answer in answers}) == 1, verb


# --- options --------------------------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
KINDS_OF_SLIPS: dict[str, list[object]] = {
    "whole": ["5", "x", 1.5, NAN, INF, -5, True, [1], 10**400, 1e12, {}],
    "number": ["1", "x", NAN, INF, -1, -1e-9, True, [1], 10**400, 1e300, {}],
    "text": [5, b"2027-06", ["x"], True, {}, NAN],
    "file": ["a\0b", "\ud800", "x" * 5_000, 5, b"x", ["x"], {}],
    "flag": ["yes", 1, [], {}],
}
"""What nobody means, by the kind of option that it is given for."""
Option = tuple[str, list[object], Callable[[Any, dict[str, Any], Path], object]]
OPTIONS: dict[str, Option] = {
    "generate accounts": ("whole", [0, None], lambda bad, _, __: to.generate(bad, 1)),
    "generate reps": ("whole", [0, None], lambda bad, _, __: to.generate(9, bad)),
    "generate seed": ("whole", [2**31, None], lambda bad, _, __: to.generate(9, 1, seed=bad)),
    "generate months": ("whole", [601, None], lambda bad, _, __: to.generate(9, 1, months=bad)),
    "generate truth": ("flag", [None], lambda bad, _, __: to.generate(9, 1, truth=bad)),
    "generate folder": ("file", [], lambda bad, _, __: to.generate(9, 1, folder=bad)),
    "backtest months": ("whole", [0], lambda bad, all_, _: to.backtest(all_["problem"], months=bad)),
    "backtest looks": ("whole", [0], lambda bad, all_, _: to.backtest(all_["problem"], looks=bad)),
    "backtest seed": ("whole", [None], lambda bad, all_, _: to.backtest(all_["problem"], seed=bad)),
    "planning_graph nearest": ("whole", [0], lambda bad, all_, _: to.planning_graph(all_["problem"], nearest=bad)),
    "solve seed": ("whole", [2**31, None], lambda bad, all_, _: to.solve(all_["problem"], seed=bad)),
    "solve time_limit": ("number", [0, 2e9, None], lambda bad, all_, _: to.solve(all_["problem"], time_limit=bad)),
    "solve gap": ("number", [None], lambda bad, all_, _: to.solve(all_["problem"], gap=bad)),
    "solve joint_gain": ("flag", [1], lambda bad, all_, _: to.solve(all_["problem"], joint_gain=bad)),
    "solve threads": ("whole", [0], lambda bad, all_, _: to.solve(all_["problem"], threads=bad)),
    "solve progress": ("text", ["x"], lambda bad, all_, _: to.solve(all_["problem"], progress=bad)),
    "save_plan folder": ("file", [None], lambda bad, all_, _: to.save_plan(all_["result"], bad)),
    "save_plan name": (
        "text", ["\ud800", "a\0b", "a\nb", "\x1b[31m", "\u202ea", "x" * 256, None],
        lambda bad, all_, place: to.save_plan(all_["result"], place / "x", name=bad)),
    "save_plan scenario": (
        "file", [], lambda bad, all_, place: to.save_plan(all_["result"], place / "x", scenario=bad)),
    "load_plan folder": ("file", [None], lambda bad, _, __: to.load_plan(bad)),
    "load_plan scenario": ("file", [], lambda bad, all_, _: to.load_plan(all_["plan folder"], scenario=bad)),
    "load_scenario path": ("file", [None], lambda bad, _, __: to.load_scenario(bad)),
    "load_scenario variant": (
        "text", ["\ud800"], lambda bad, all_, _: to.load_scenario(all_["scenario file"], bad)),
    "load_scenario overrides": (
        "whole", [[("quotas.target", 1)], {5: 1}],
        lambda bad, all_, _: to.load_scenario(all_["scenario file"], overrides=bad or 5)),
    "validate place": ("file", [], lambda bad, _, __: to.validate(bad)),
    "audit place": ("file", [], lambda bad, _, __: to.audit(bad)),
    "check place": ("file", [], lambda bad, _, __: to.check(bad)),
    "certify place": ("file", [], lambda bad, all_, _: to.certify(all_["problem"], bad)),
    "compare place": ("file", [], lambda bad, _, __: to.compare("today", bad)),
    "compare names": (
        "whole", ["today", ["one"], [1, 2]], lambda bad, all_, _: to.compare("today", all_["result"], names=bad)),
    "explain none": ("flag", [], lambda _, all_, __: to.explain(all_["result"])),
    "explain gap": ("flag", [None], lambda bad, all_, _: to.explain(all_["result"], gap=bad)),
    "review draws": ("whole", [0, None], lambda bad, all_, _: to.review(all_["result"], draws=bad)),
    "review seed": ("whole", [2**31, None], lambda bad, all_, _: to.review(all_["result"], seed=bad)),
    "track sales": ("file", [None], lambda bad, all_, _: to.track(all_["result"], bad)),
    "track metrics": ("file", [], lambda bad, all_, _: to.track(all_["result"], all_["sold"], metrics=bad)),
    "track as_of": ("text", ["June", ""], lambda bad, all_, _: to.track(all_["result"], all_["sold"], as_of=bad)),
    "replan as_of": ("text", ["June", "", None], lambda bad, all_, _: to.replan(all_["result"], as_of=bad)),
    "replan moves": ("whole", [], lambda bad, all_, _: to.replan(
        all_["result"], as_of="2027-03", max_moved_accounts=bad)),
    "replan change": ("number", [1e30], lambda bad, all_, _: to.replan(
        all_["result"], as_of="2027-03", max_quota_change=bad)),
    "Replan.year": ("file", [None], lambda bad, all_, _: all_["replan"].year(bad)),
    "from_tables accounts": ("file", [None], lambda bad, all_, _: to.Problem.from_tables(bad, all_["problem"].reps)),
    "from_tables sales": ("file", [], lambda bad, all_, _: to.Problem.from_tables(
        all_["problem"].accounts, all_["problem"].reps, sales=bad)),
    "from_tables policy": ("whole", ["x"], lambda bad, all_, _: to.Problem.from_tables(
        all_["problem"].accounts, all_["problem"].reps, policy=bad)),
    "from_tables strict": ("flag", [None], lambda bad, all_, _: to.Problem.from_tables(
        all_["problem"].accounts, all_["problem"].reps, strict=bad)),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_makes_no_sense_is_refused_in_words(option: str, things: dict[str, Any], tmp_path: Path) -> None:
    """Each kind of slip for each option of each verb: never an error from the inside, always what to give."""
    kind, more, call = OPTIONS[option]
    for bad in [*KINDS_OF_SLIPS[kind], *more]:
        with pytest.raises(to.TerritoryError) as caught:
            call(bad, things, tmp_path)
        said = str(caught.value)
        assert re.search(r"it must be |give |write |check the path|no such|missing|not a month", said), (bad, said)
        assert len(said) < 1_500, (bad, said)
    assert list(tmp_path.iterdir()) == []


def test_every_option_of_every_verb_is_tried() -> None:
    """An option that is added to a verb has to be added to the table above, or to the names here."""
    tried = {tuple(name.split(" ")) for name in OPTIONS}
    things_given = {"problem", "result", "plan", "certificate", "previous", "now", "sales", "account", "rep", "given"}
    shorter = {"max_moved_accounts": "moves", "max_quota_change": "change"}
    for verb in [name for name in to.__all__ if name[0].islower()]:
        for option in set(inspect.signature(getattr(import_module(to._HOME[verb]), verb)).parameters) - things_given:
            assert (verb, shorter.get(option, option)) in tried, (verb, option)


def test_whole_numbers_of_numpy_and_whole_seconds_are_options_too(things: dict[str, Any]) -> None:
    assert to.review(things["result"], draws=np.int64(50), seed=np.int32(1)).odds.draws == 50
    found = to.solve(things["problem"], seed=np.int64(3), time_limit=np.float32(20), progress=lambda _: False)
    assert found.raw_status == "interrupted"


def test_tables_are_given_as_frames_or_as_paths(things: dict[str, Any]) -> None:
    folder = Path(things["scenario folder"])
    frames = {name: pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
              for name in ("accounts", "reps", "sales")}  # fmt: skip
    whole = to.Problem.from_tables(**frames)
    for given in ({**frames, "accounts": folder / "accounts.csv"}, {k: str(folder / f"{k}.csv") for k in frames}):
        found = to.Problem.from_tables(**given)
        for name in frames:
            pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name))


def test_findings_of_all_files_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(to.DataError) as caught:
        to.Problem.from_tables(accounts=tmp_path / "accounts.csv", reps=str(tmp_path / "reps.csv"))
    assert [issue.table for issue in caught.value.issues] == ["accounts.csv", "reps.csv"]


def test_the_year_of_a_replan_takes_whatever_has_a_plan(things: dict[str, Any], tmp_path: Path) -> None:
    rest = things["replan"]
    second = to.solve(rest.problem, time_limit=10)
    folder = to.save_plan(second, tmp_path / "rest")
    wanted = rest.year(second)
    for given in (second.plan, folder, str(folder), to.load_plan(folder)):
        pd.testing.assert_frame_equal(rest.year(given), wanted, check_dtype=False)
