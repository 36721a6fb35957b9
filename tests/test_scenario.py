"""Scenario files: strict, helpful, and every shipped one loads."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from territory_opt.errors import DataError, ScenarioError
from territory_opt.whatif.scenario import Scenario, load_scenario, parse_overrides, scenario_json_schema

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "scenarios").glob("*/*.yaml"))
OWN = [path for path in SHIPPED if "adventureworks" not in path.parts]
ACCOUNTS = "account_id,lat,lon,potential,incumbent\nA,1,5,100,R1\nB,1,5.5,200,R2\n"
REPS = "rep_id,lat,lon,last_quota\nR1,1,5,100\nR2,1,5.5,100\n"
BASE = """\
schema_version: 1
name: test
tables: {accounts: accounts.csv, reps: reps.csv}
"""


def write(folder: Path, text: str = "", name: str = "scenario.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "accounts.csv").write_text(ACCOUNTS, encoding="utf-8")
    (folder / "reps.csv").write_text(REPS, encoding="utf-8")
    path = folder / name
    path.write_text(text if text.startswith("schema_version") else BASE + text, encoding="utf-8")
    return path


def message(path: Path, variant: str | None = None, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, variant, overrides)
    return str(caught.value)


def test_a_minimal_file_loads(tmp_path: Path) -> None:
    """Defaults are the policy's; a folder stands for its scenario.yaml."""
    path = write(tmp_path)
    scenario = load_scenario(tmp_path)
    assert scenario.path == path
    assert scenario.label == "test"
    assert scenario.policy.territories.keep.loss_rate == 0.15
    assert scenario.problem().n_accounts == 2
    assert scenario.problem() is scenario.problem()
    assert scenario.input_files() == [path, tmp_path / "accounts.csv", tmp_path / "reps.csv"]
    assert "tables: accounts, reps" in str(scenario)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("territories: {ballance: {}}", "territories.ballance: unknown key; did you mean territories.balance?"),
        ("quotas: {hit_shar: 1}", "quotas.hit_shar: unknown key; did you mean quotas.hit_share?"),
        ("target: 5", "target: unknown key; did you mean quotas.target?"),
        (
            "territories: {balance: {potential: {bandd: 5 %}}}",
            "territories.balance.potential.bandd: unknown key; did you mean territories.balance.potential.band?",
        ),
        ("solve: {xyzzy: 1}", "solve.xyzzy: unknown key; known here: seed, time_limit, gap"),
    ],
)
def test_unknown_keys_name_the_nearest(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    assert message(path) == f"{path}: {expected}"


def test_unknown_table_and_table_setting(tmp_path: Path) -> None:
    text = BASE.replace("reps: reps.csv", "reps: {path: reps.csv, sheeet: x}, saless: s.csv")
    path = write(tmp_path, text)
    assert message(path).splitlines() == [
        f"{path}: tables.reps.sheeet: unknown key; did you mean tables.reps.sheet?",
        f"{path}: tables.saless: unknown key; did you mean tables.sales?",
    ]


def test_every_problem_is_listed(tmp_path: Path) -> None:
    """Wrong values, missing and empty keys come together, one per line."""
    text = (
        "schema_version: 2\ntables: {accounts: accounts.csv}\n"
        "quotas: {hit_share: 5 percent, step: -1, growth_guard: 3}\nterritories:\n"
    )
    path = write(tmp_path, text)
    lines = message(path).splitlines()
    assert f'{path}: quotas.hit_share: "5 percent" is not a share; write it like "5 %" or 0.05' in lines
    assert f"{path}: quotas.step: input should be greater than or equal to 0.01, not -1" in lines
    assert f"{path}: quotas.growth_guard: must hold keys of its own, not one value" in lines
    assert f"{path}: schema_version: input should be 1, not 2" in lines
    assert f"{path}: name: is missing; add it" in lines
    assert f"{path}: tables.reps: is missing; add it" in lines
    assert f"{path}: territories: is empty; give it a value or remove the line" in lines
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE + "quotas:\n  target: 5\n  target: 6\n", 'line 6: the key "target" stands twice (first in line 5)'),
        (BASE + "description: [\n", "line 5: expected the node content"),
        (BASE + "scenarios: {on: {}}\n", 'line 4: the key on is not text; write it in quotes: "on"'),
        (BASE + "name: !!python/object:os.system x\n", "line 4"),
        ("schema_version 1", "line 1: not a scenario"),
    ],
)
def test_yaml_errors_name_the_line(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path)
    path.write_text(text, encoding="utf-8")
    assert message(path).startswith(f"{path}: {expected}")


def test_yaml_reads_numbers_and_dates_as_people_mean_them(tmp_path: Path) -> None:
    path = write(tmp_path, "solve: {gap: 1e-4}\nperiod: {start: 2026-07-01}\n")
    scenario = load_scenario(path)
    assert scenario.file.solve.gap == 1e-4
    assert scenario.policy.period.start == dt.date(2026, 7, 1)


@pytest.mark.parametrize(("start", "nearest"), [("2027-01-15", "2027-01-01"), ("2026-12-16", "2027-01-01")])
def test_a_plan_starts_on_the_first_of_a_month(tmp_path: Path, start: str, nearest: str) -> None:
    path = write(tmp_path, f"period: {{start: {start}}}\n")
    expected = f"{path}: period.start: start is {start}, and sales are kept by month, so that a plan"
    assert message(path) == f"{expected} starts on the first of one; set {nearest}, the nearest"


def test_unreadable_files(tmp_path: Path) -> None:
    assert "cannot be read" in message(tmp_path / "none.yaml")
    path = write(tmp_path)
    path.write_bytes(b"schema_version: 1\nname: caf\xe9\n")
    assert "line 2: not UTF-8 text" in message(path)


# --- variants and overrides -------------------------------------------------------------------------------

VARIANTS = """\
quotas: {target: 1000}
scenarios:
  strict: {territories.keep.max_moved_revenue: 0 %, quotas.growth_guard.up: 5 %}
  big: {quotas.target: 2000}
  same:
"""


def test_variants_and_overrides(tmp_path: Path) -> None:
    """The caller's overrides win over the variant's, and what was applied is kept."""
    path = write(tmp_path, VARIANTS)
    base = load_scenario(path)
    assert base.variants == ("strict", "big", "same")
    assert base.policy.territories.keep.max_moved_revenue is None
    strict = load_scenario(path, "strict", {"quotas.target": "3000"})
    assert strict.policy.territories.keep.max_moved_revenue == 0
    assert strict.policy.quotas.growth_guard is not None
    assert strict.policy.quotas.growth_guard.up == 0.05
    assert strict.policy.quotas.target == 3000
    assert list(strict.overrides) == ["territories.keep.max_moved_revenue", "quotas.growth_guard.up", "quotas.target"]
    assert strict.label == "test · strict"
    big = load_scenario(path, "big", {"quotas.target": 7})
    assert big.overrides == {"quotas.target": 7}
    assert load_scenario(path, "same").policy == base.policy


def test_unknown_variant_lists_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path, VARIANTS)
    assert message(path, "strikt") == (
        f'{path}: no variant "strikt"; did you mean strict?; known here: strict, big, same'
    )


def test_variants_are_checked_even_if_not_asked_for(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "scenarios:\n  a: {territories.kep.loss_rate: 1 %}\n  b: {quotas.hit_share: 2}\n"
        "  c: {quotas: {}}\n  d: {quotas.odds: null, quotas.odds.price: 1}\n  e: {extends: x}\n",
    )
    assert message(path).splitlines() == [
        f"{path}: scenarios.a: territories.kep: unknown key; did you mean territories.keep?",
        f"{path}: scenarios.b: quotas: hit_share is 2; it must lie between 0 and 1, for example 65 %",
        f"{path}: scenarios.c: quotas: is a whole section; name one setting in it, such as territories.keep.loss_rate",
        f"{path}: scenarios.d: quotas.odds.price: is set twice, also by quotas.odds; keep one",
        f"{path}: scenarios.e: extends: cannot be changed by a variant",
    ]


def test_wrong_overrides_of_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert "did you mean quotas.target?" in message(path, None, {"quotas.targt": 5})
    assert "whole section" in message(path, None, {"quotas": {}})


def test_parse_overrides() -> None:
    parsed = parse_overrides(["quotas.target=1e6", "territories.keep.loss_rate = 5 %", "reps.remove=[R1, R2]"])
    assert parsed == {"quotas.target": 1e6, "territories.keep.loss_rate": "5 %", "reps.remove": ["R1", "R2"]}
    with pytest.raises(ScenarioError, match="is not a setting; write it like"):
        parse_overrides(["quotas.target"])
    with pytest.raises(ScenarioError, match="is not a value"):
        parse_overrides(["quotas.target=[1"])


def test_vary_makes_every_combination(tmp_path: Path) -> None:
    base = load_scenario(write(tmp_path, VARIANTS), "big")
    runs = base.vary(**{"quotas.target": [1, 2], "territories.keep.max_moved_revenue": [0, "5 %"]})
    assert [run.policy.quotas.target for run in runs] == [1, 1, 2, 2]
    assert [run.policy.territories.keep.max_moved_revenue for run in runs] == [0, 0.05, 0, 0.05]
    assert {run.label for run in runs} == {"test · big"}


# --- extends ----------------------------------------------------------------------------------------------


def test_extends_merges_and_keeps_paths(tmp_path: Path) -> None:
    """Sections merge key by key; a table path is relative to the file that says it."""
    write(tmp_path / "base", VARIANTS)
    text = (
        "schema_version: 1\nextends: ../base\nname: child\nquotas: {step: 10}\nscenarios: {big: {quotas.target: 9}}\n"
    )
    path = write(tmp_path / "child", text)
    child = load_scenario(path)
    assert child.name == "child"
    assert child.policy.quotas.target == 1000
    assert child.policy.quotas.step == 10
    assert child.variants == ("strict", "big", "same")
    assert load_scenario(path, "big").policy.quotas.target == 9
    assert child.input_files() == [
        path,
        tmp_path / "base" / "scenario.yaml",
        tmp_path / "base" / "accounts.csv",
        tmp_path / "base" / "reps.csv",
    ]
    assert child.problem().n_reps == 2


def test_an_error_names_the_file_it_stands_in(tmp_path: Path) -> None:
    base = write(tmp_path, "quotas: {targt: 1}\n", "base.yaml")
    path = write(tmp_path, "schema_version: 1\nextends: base.yaml\nsolve: {sed: 1}\n")
    assert message(path).splitlines() == [
        f"{base}: quotas.targt: unknown key; did you mean quotas.target?",
        f"{path}: solve.sed: unknown key; did you mean solve.seed?",
    ]


def test_extends_cycles_and_escapes(tmp_path: Path) -> None:
    folder = tmp_path / "scenarios" / "a"
    write(folder, "schema_version: 1\nextends: two.yaml\n", "one.yaml")
    path = write(folder, "schema_version: 1\nextends: one.yaml\n", "two.yaml")
    assert "goes in a circle" in message(path)
    write(tmp_path)
    for target in ("../../scenario.yaml", str(tmp_path / "scenario.yaml")):
        path = write(folder, f"schema_version: 1\nextends: {target}\n")
        assert "leaves the folder of scenarios" in message(path)
    path = write(folder, "schema_version: 1\nextends: ../none\n")
    assert "does not exist" in message(path)


# --- tables -----------------------------------------------------------------------------------------------


def test_unset_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables that need a variable are named, with what to do."""
    monkeypatch.delenv("TEST_PLAN_DATA", raising=False)
    text = BASE.replace("accounts.csv", '"${TEST_PLAN_DATA}/accounts.csv"')
    path = write(tmp_path, text)
    scenario = load_scenario(path)
    with pytest.raises(ScenarioError, match=r"tables.accounts: .*TEST_PLAN_DATA, which is not set; run: export"):
        scenario.problem()
    monkeypatch.setenv("TEST_PLAN_DATA", str(tmp_path))
    assert scenario.problem().n_accounts == 2


def test_findings_of_all_tables_come_together(tmp_path: Path) -> None:
    path = write(tmp_path, BASE.replace("accounts.csv", "acounts.csv").replace("reps.csv", "rep.csv"))
    with pytest.raises(DataError) as caught:
        load_scenario(path).problem()
    assert len(caught.value.issues) == 2


def test_misspelt_column_mapping_warns(tmp_path: Path) -> None:
    """A mapped column nobody knows is an attribute; one that looks misspelt is a warning, strict an error."""
    text = BASE.replace("accounts: accounts.csv", "accounts: {path: accounts.csv, columns: {incumbentt: incumbent}}")
    scenario = load_scenario(write(tmp_path, text))
    assert [str(issue) for issue in scenario.warnings] == [
        "scenario.yaml  tables.accounts.columns.incumbentt  is kept as an attribute; did you mean incumbent?"
    ]
    assert scenario.warnings[0] in scenario.problem().issues
    with pytest.raises(DataError):
        scenario.problem(strict=True)
    text = text.replace("incumbentt", "tier")
    assert load_scenario(write(tmp_path, text)).warnings == ()


def test_reps_join_and_leave(tmp_path: Path) -> None:
    path = write(tmp_path, "scenarios:\n  grow: {reps.add: new.csv}\n  shrink: {reps.remove: [R2]}\n")
    (tmp_path / "new.csv").write_text("rep_id,lat,lon,last_quota\nR3,1,5.2,\n", encoding="utf-8")
    grown = load_scenario(path, "grow")
    assert list(grown.problem().reps["rep_id"]) == ["R1", "R2", "R3"]
    assert tmp_path / "new.csv" in grown.input_files()
    shrunk = load_scenario(path, "shrink").problem()
    assert list(shrunk.reps["rep_id"]) == ["R1"]
    assert list(shrunk.accounts["incumbent"]) == ["R1", ""]
    with pytest.raises(ScenarioError, match=r'reps.remove: no rep "R22"; did you mean R2\?'):
        load_scenario(path, None, {"reps.remove": ["R22"]}).problem()


# --- what is shipped --------------------------------------------------------------------------------------


def test_published_schema_is_in_sync() -> None:
    """Run tests/test_scenario.py as a script to write it again."""
    assert json.loads((ROOT / "docs" / "scenario.schema.json").read_text(encoding="utf-8")) == scenario_json_schema()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_scenarios_follow_the_schema(path: Path) -> None:
    data = json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))
    jsonschema.Draft202012Validator(scenario_json_schema()).validate(data)


@pytest.mark.parametrize(
    "wrong", [{"name": "x"}, {"schema_version": 1, "name": "x"}, {"schema_version": 1, "extends": "x", "nam": 1}]
)
def test_the_schema_refuses_wrong_files(wrong: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(scenario_json_schema()).is_valid(wrong)


def test_the_schema_accepts_shares_as_text() -> None:
    good = {"schema_version": 1, "extends": "base", "quotas": {"hit_share": "65 %", "hedge": {"region": 0.02}}}
    validator = jsonschema.Draft202012Validator(scenario_json_schema())
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "quotas": {"hit_share": "a lot"}})


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.parent.name)
def test_shipped_scenarios_load_with_every_variant(path: Path) -> None:
    scenario = load_scenario(path)
    accounts = scenario.problem().n_accounts
    assert len(scenario.variants) >= 3
    for variant in (None, *scenario.variants):
        one = load_scenario(path, variant)
        assert isinstance(one, Scenario)
        assert one.problem().n_accounts == accounts
        assert all(file.is_file() for file in one.input_files())


def test_adventureworks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the data the message says which file is missing; with it everything is inferred from history."""
    path = ROOT / "scenarios" / "adventureworks"
    monkeypatch.setenv("TERRITORY_OPT_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no such file; .*from the environment variable TERRITORY_OPT_DATA"):
        load_scenario(path).problem()
    monkeypatch.delenv("TERRITORY_OPT_DATA")
    scenario = load_scenario(path)
    if not all(file.is_file() for file in scenario.input_files()):
        pytest.skip("the AdventureWorks tables are not here")
    problem = scenario.problem()
    assert (problem.n_accounts, problem.n_reps) == (701, 17)


if __name__ == "__main__":
    text = json.dumps(scenario_json_schema(), indent=2, ensure_ascii=False) + "\n"
    (ROOT / "docs" / "scenario.schema.json").write_text(text, encoding="utf-8")
