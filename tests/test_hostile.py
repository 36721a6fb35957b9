"""What others wrote is read back as it was written, refused with its place, or shown so that it does nothing."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import territory_opt as to
from territory_opt.cli.commands import run
from territory_opt.cli.screen import inert
from territory_opt.errors import DataError, Issue, ScenarioError
from territory_opt.intake.parse import NumberFormat, numbers_from_text
from territory_opt.intake.table_source import TableSource
from territory_opt.intake.tables import read_table
from territory_opt.plan.folder import read_folder
from territory_opt.plan.write_folder import table_csv
from territory_opt.problem.limits import LONGEST_ID, MOST_FINDINGS, MOST_TAGS, MOST_VARIANTS
from territory_opt.problem.policy import parse_share
from territory_opt.report.page import isolated
from territory_opt.whatif.strict_yaml import parse_value
from territory_opt.whatif.write import write_scenario
from territory_opt.words import HIDDEN, UNSEEN, brief, escaped, message, visible

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)
ESCAPE = "\x1b[31mred\x1b[0m"


LAUGHS = "[&x0 [1], " + ", ".join(f"&x{i + 1} [{', '.join([f'*x{i}'] * 10)}]" for i in range(9)) + "]"
"""Each list holds the one before ten times."""


def company(*, key: str = "A", name: str = "Acme", segment: str = "all", extra: str = "") -> to.Problem:
    columns = {
        "account_id": [key, "B"], "name": [name, "Birch"], "segment": [segment, "all"], "note": [extra, ""],
        "lat": [1.0, 1.0], "lon": [5.0, 5.5], "potential": [100.0, 200.0], "incumbent": ["R1", "R2"],
    }  # fmt: skip
    accounts = pd.DataFrame({column: pd.Series(cells, dtype=object) for column, cells in columns.items()})
    reps = pd.DataFrame({"rep_id": ["R1", "R2"], "lat": 1.0, "lon": [5.0, 5.5]})
    return to.Problem.from_tables(accounts=accounts, reps=reps, policy=to.Policy())


# --- read back ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(key=ANY_TEXT, name=ANY_TEXT, extra=ANY_TEXT)
@example(key="a\rb", name="a\rb", extra="a\rb")
@example(key="'", name="=1", extra="\ufeff")
@example(key="A", name="\x0b", extra="\x85")
def test_what_is_accepted_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, key: str, name: str, extra: str
) -> None:
    """Whatever text a table holds: refused with its row, or the same from a folder that was written."""
    try:
        problem = company(key=key, name=name, extra=extra)
    except DataError as error:
        found = error
    else:
        found = None
    if found is not None:
        assert all(issue.row or issue.column for issue in found.issues)
        assert not HIDDEN.search(str(found).replace("\n", ""))
        return
    folder = tmp_path_factory.mktemp("texts") / "again"
    again = to.load_scenario(write_scenario(problem, folder, name="again")).problem()
    for column in ("account_id", "name", "note"):
        assert again.accounts[column].tolist() == problem.accounts[column].tolist()


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]).filter(lambda c: not HIDDEN.match(c)), min_size=1, max_size=12))
@example("'")
@example("\xa0x")
def test_ids_of_a_plan_are_read_back(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    from territory_opt.plan.folder import _read_csv

    path = tmp_path_factory.getbasetemp() / "one.csv"
    table = pd.DataFrame({"account_id": [key], "rep_id": [f"{key}{key}"]})
    path.write_text(table_csv(table), encoding="utf-8", newline="\n")
    assert _read_csv(path, ["account_id", "rep_id"]).to_dict("list") == table.to_dict("list")


@pytest.mark.parametrize("wrong", ["a\rb", "a\nb", ESCAPE, "a\x00", "a\ud800", "a\u202eb", "x" * (LONGEST_ID + 1)])
def test_ids_that_nobody_can_see_are_refused(wrong: str) -> None:
    with pytest.raises(DataError) as caught:
        company(key=wrong)
    issue = caught.value.issues[0]
    assert (issue.row, issue.column) == (2, "account_id")
    assert issue.fix in ("remove it", "shorten it")
    with pytest.raises(DataError):
        company(segment=wrong)


SEEN_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Of category Cf, but seen: signs that stand before or below a number."""


@pytest.mark.parametrize("around", ["{}", "A{}", "A{}B", "{}B", "\u6771{}\u4eac"])
def test_no_character_of_an_id_is_invisible(around: str) -> None:
    """By Unicode's own categories; fillers and selectors, which are letters and marks there, one by one."""
    formats = [chr(k) for k in range(0x110000) if unicodedata.category(chr(k)) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    hidden = [c for c in formats if ord(c) not in SEEN_FORMATS]
    hidden += "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u2800\u3164\ufe00\ufe0f\uffa0\ufff0"
    hidden += [chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF)]
    hidden += "\ufdd0\ufdef\U000e0000\U000e0041\U000e0100\U000e0fff"
    assert [hex(ord(c)) for c in hidden if not UNSEEN.search(around.format(c))] == []


@pytest.mark.parametrize(
    "text",
    [
        "Müller & Söhne", "東京", "שלום", "العربية", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "क्\u200dष",
        "\u2764\ufe0f\u200d\U0001f525", "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467", "e\u0301", "\ue000", "A\u00a0B",
    ],
)  # fmt: skip
def test_ids_of_all_scripts_are_accepted(text: str) -> None:
    assert company(key=text, segment=text).accounts["account_id"].tolist() == [text, "B"]


@pytest.mark.parametrize(
    "wrong",
    [
        "\u200b",
        "A\u00ad",
        "A\u2060",
        "A\u034f",
        "\u115f",
        "\u3164",
        "A\u180e",
        "\ufff9",
        "\U000e0041",
        "\ufffe",
        "A\uffff",
    ],
)
def test_ids_that_look_like_others_are_refused(wrong: str) -> None:
    for columns in ({"key": wrong}, {"segment": wrong}):
        with pytest.raises(DataError) as caught:
            company(**columns)
        issue = caught.value.issues[0]
        assert (issue.severity, issue.row) == ("error", 2)
        assert issue.problem == f"holds what nobody can see: {escaped(wrong[-1])}"
    assert company(name=f"soft\u00adly {wrong}").accounts["name"].tolist()[0].startswith("soft\u00adly")


# --- shown ----------------------------------------------------------------------------------------------------


@given(ANY_TEXT)
def test_shown_text_does_nothing(text: str) -> None:
    assert not HIDDEN.search(visible(text))
    assert not HIDDEN.search(message(text).replace("\n", ""))
    visible(text).encode("utf-8")
    assert not HIDDEN.search(inert(json.dumps([text], ensure_ascii=False)))
    assert json.loads(inert(json.dumps([text], ensure_ascii=False))) == [text]


HUGE = 10**5_000
"""Python writes whole numbers of up to 4,300 digits."""


def test_numbers_that_python_does_not_write_out_are_no_error_from_the_inside() -> None:
    assert brief(HUGE) == brief([HUGE]) == "what cannot be written out"
    for verb in (to.load_scenario, to.load_plan, to.generate):
        with pytest.raises(to.TerritoryError, match=r"what cannot be written out|a larger number"):
            verb(HUGE)  # type: ignore[arg-type]
    with pytest.raises(ScenarioError, match="what cannot be written out"):
        to.load_scenario(TOY, overrides={"quotas.hedge": {"region": HUGE}})


@pytest.mark.parametrize("column", ["account_id", "name", "segment", "incumbent", "potential", "lat", "visits"])
def test_a_cell_of_five_thousand_digits_is_the_users_news(column: str) -> None:
    cells = {
        "account_id": "A",
        "name": "x",
        "segment": "s",
        "incumbent": "R1",
        "potential": 1.0,
        "lat": 1.0,
        "lon": 5.0,
    }
    accounts = pd.DataFrame([{**cells, "visits": 1.0}, {**cells, "account_id": "B", "visits": 1.0, column: HUGE}])
    reps = pd.DataFrame({"rep_id": ["R1"], "lat": 1.0, "lon": 5.0})
    if column == "name":  # a text of that length may be one
        problem = to.Problem.from_tables(accounts=accounts, reps=reps, policy=to.Policy())
        assert problem.accounts["name"][1] == "1" + "0" * 5_000
        return
    with pytest.raises(DataError) as caught:
        to.Problem.from_tables(accounts=accounts, reps=reps, policy=to.Policy())
    assert {(issue.row, issue.column) for issue in caught.value.issues if issue.severity == "error"} == {(3, column)}


def test_a_long_cell_is_not_echoed() -> None:
    issue = Issue("error", "t.csv", 2, "name", "y" * 50_000, "is wrong", "correct it")
    assert len(str(issue)) < 150
    assert len(brief("\x1b" * 50_000)) <= 80
    assert len(message("y" * 50_000)) <= 1_000
    with pytest.raises(ScenarioError) as caught:
        parse_value("[" + "y" * 50_000)
    assert len(str(caught.value)) < 300


def hostile_toy(folder: Path) -> Path:
    """Write the toy with names that colour a terminal, or turn the direction of writing."""
    tables = {table: pd.read_csv(TOY / f"{table}.csv") for table in ("accounts", "reps")}
    problem = to.load_scenario(TOY).problem()
    tables["accounts"].loc[:, "name"] = f"{ESCAPE}\u202eevil"
    tables["reps"].loc[:, "name"] = [f"{ESCAPE}{rep} \u05d0\u05d1\u05d2" for rep in tables["reps"]["rep_id"]]
    hostile = to.Problem.from_tables(**tables, policy=problem.policy)
    return write_scenario(hostile, folder, name="hostile").parent


@pytest.mark.slow
def test_names_reach_neither_terminal_nor_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, plan = hostile_toy(tmp_path / "toy"), tmp_path / "plan"
    assert run(["solve", str(scenario), "--out", str(plan), "--time-limit", "10"]) in (0, 3)
    commands = [["validate", str(scenario)], ["check", str(plan)], ["explain", str(plan), "--rep", "R1"]]
    for command in [*commands, [*commands[1], "--json"]]:
        run(command)
    shown = capsys.readouterr()
    assert "\\x1b[31m" in shown.out
    assert HIDDEN.findall((shown.out + shown.err).replace("\n", "")) == []
    page = (plan / "report.html").read_text(encoding="utf-8")
    assert HIDDEN.findall(page.replace("\n", "").replace("\u2068", "").replace("\u2069", "")) == []
    assert page.count("\u2068") == page.count("\u2069") > 0
    assert read_folder(plan).plan.assignment.notna().all()


def test_letters_from_right_to_left_are_set_apart() -> None:
    assert isolated("Lee 12 %") == "Lee 12 %"
    assert isolated("\u05d0\u05d1 (R-1) 12 %") == "\u2068\u05d0\u05d1\u2069 (R-1) 12 %"
    assert isolated("a\u202eb") == "a\\u202eb"
    assert isolated("\u05d0 \u05d1-\u05d2 7 \u05d3 12 %") == "\u2068\u05d0 \u05d1-\u05d2 7 \u05d3\u2069 12 %"
    for between in (" \u2192 ", " 12 %, ", " (R-1) over ", ": $9; ", " / "):
        assert isolated(f"\u05d0{between}\u05d1") == f"\u2068\u05d0\u2069{between}\u2068\u05d1\u2069"


# --- paths ----------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    for path in TOY.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_link_out_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    """Nothing of the foreign file is told."""
    (tmp_path / "foreign.csv").write_text("secret\n1,2\n", encoding="utf-8")
    for name in ("accounts.csv", "scenario.yaml"):
        kept = (copy / name).read_bytes()
        (copy / name).unlink()
        (copy / name).symlink_to(tmp_path / "foreign.csv")
        with pytest.raises(ScenarioError, match="is a link that leaves") as caught:
            to.load_scenario(copy).problem()
        assert "secret" not in str(caught.value)
        (copy / name).unlink()
        (copy / name).write_bytes(kept)
    (copy / "reps.csv").rename(copy / "team.csv")
    (copy / "reps.csv").symlink_to("team.csv")
    assert to.load_scenario(copy).problem().n_reps == 4


def test_links_in_a_circle(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They lead nowhere: no command falls over them, whatever part of a path they are."""
    loop, inner = tmp_path / "loop", tmp_path / "loop" / "inner"
    loop.symlink_to(loop)
    shutil.copytree(copy, tmp_path / "own")
    (tmp_path / "own" / "scenario.yaml").unlink()
    (tmp_path / "own" / "scenario.yaml").symlink_to("scenario.yaml")
    shutil.copytree(copy, tmp_path / "table")
    (tmp_path / "table" / "reps.csv").unlink()
    (tmp_path / "table" / "reps.csv").symlink_to("reps.csv")
    (copy / "next.yaml").write_text("schema_version: 1\nextends: more\n", encoding="utf-8")
    (copy / "more").symlink_to("more")
    toy, plan = str(TOY), ["--as-of", "2027-06"]
    commands = [
        *(["validate", place] for place in map(str, (loop, inner, tmp_path / "own", tmp_path / "table"))),
        *([verb, str(loop)] for verb in ("solve", "check", "review", "backtest", "generate")),
        *([verb, str(inner)] for verb in ("solve", "check", "review", "backtest", "generate")),
        ["validate", str(copy / "next.yaml")], ["validate", toy, "--set", f"tables.reps={loop}"],
        ["solve", toy, "--out", str(loop)], ["solve", toy, "--out", str(inner)],
        ["solve", toy, "--previous", str(loop), "--out", str(tmp_path / "out")],
        ["replan", str(loop), *plan], ["track", str(loop), *plan, "--sales", str(loop)],
        ["explain", str(loop), "--rep", "R1"],
    ]  # fmt: skip
    for command in commands:
        assert run(command) == 2, command
        said = capsys.readouterr().err
        assert "defect" not in said, command
        assert said.strip(), command
    with pytest.raises(to.TerritoryError, match="no scenario and no plan folder"):
        to.solve(loop)


def test_what_is_extended_stays_in_its_folder(copy: Path, tmp_path: Path) -> None:
    """A link leads nowhere else, and what stands in another folder is not repeated, wrong as it may be."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    lines = "schema_version: 1\nsolve: {seed: secret}\nname: [secret]\nscenarios: {a: {quotas.target: secret}}\n"
    (foreign / "scenario.yaml").write_text(lines, encoding="utf-8")
    (foreign / "broken.yaml").write_text("secret: !!int secret\nsecret: 1\n", encoding="utf-8")
    (foreign / "sound.yaml").write_text("schema_version: 1\nname: sound\n", encoding="utf-8")
    (copy / "file.yaml").symlink_to(foreign / "sound.yaml")
    (copy / "folder").symlink_to(foreign)
    (tmp_path / "beside").symlink_to("/")
    entry = copy / "own.yaml"

    def said(extends: str) -> str:
        entry.write_text(f"schema_version: 1\nextends: {extends}\n", encoding="utf-8")
        with pytest.raises(ScenarioError) as caught:
            to.load_scenario(entry)
        assert "secret" not in str(caught.value).replace(str(foreign), "")
        return str(caught.value)

    for link in ("file.yaml", "folder", "folder/sound.yaml", "./folder/../folder/sound.yaml"):
        assert "is a link that leaves its folder" in said(link)
    assert "is a link that leaves its folder" in said("../beside/etc/passwd")
    assert "leaves the folder of scenarios" in said("../../etc/passwd")
    assert "is no sound scenario file; territory-opt validate" in said("../foreign/broken.yaml")
    for line in ("solve.seed", "name", "scenarios.a: quotas.target"):
        assert f"{line}: is not what it has to be" in said("../foreign")
    entry.write_text("schema_version: 1\nextends: ../foreign/sound.yaml\nsolve: {seed: mine}\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r'solve\.seed: .*, not "mine"'):
        to.load_scenario(entry)


# --- settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!bool maybe", '"maybe" is not true or false'),
        ("!!int abc", '"abc" is not a whole number'),
        ("!!timestamp abc", '"abc" is not a date'),
        ("9" * 5_001, "is not a whole number"),
        ("0x" + "f" * 5_000, "is not a whole number"),
        ("1" + ":10" * 5_000, "is not a whole number"),
        ("1" * 500 + ".5", "is not a number"),
        ("!!set [a]", 'this is of kind "set"'),
        ("{a: !!map [a]}", "this is not keys with values"),
        ("\x07", r"holds what nobody can see: \x07"),
        ('"\\e[31m"', r"holds what nobody can see: \x1b"),
        ('"\\ud800"', r"holds what nobody can see: \ud800"),
        ("[" * 3_000 + "]" * 3_000, "nested more than 50 levels deep"),
        ("&a [*a]", "or one of itself"),
        (LAUGHS, "once its aliases"),
    ],
)  # fmt: skip
def test_values_that_are_none(text: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_value(text)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_is_nearly_a_number_is_read_in_no_time() -> None:
    """A million characters: with a pattern that tries every way to split them each of these would take hours."""
    long = "1" * 1_000_000
    assert parse_value(f"{long}x") == f"{long}x"
    assert np.isnan(numbers_from_text(np.array([f"{long}x"], dtype=object), NumberFormat())).all()
    with pytest.raises(ValueError, match="is not a share"):
        parse_share(f"1{' ' * len(long)}x")


TAGS = [
    *(f"!!{kind}" for kind in ("map", "seq", "omap", "set", "pairs", "str", "int", "float", "bool", "null", "binary")),
    "!!timestamp", "!!merge", "!!value", "!!yaml", "!!python/object:os.system", "!mine", "!", "!<tag:x>", "!!",
]  # fmt: skip
NODES = [
    "a", "1", "''", "'a b'", "~", "=", "<<", "[]", "[a]", "[[a, b]]", "[{a: 1}]", "[{a: 1, b: 2}]", "{}", "{a: 1}",
    "{a}", "{? [a] : 1}", "{<<: a}", "{<<: [a]}", "{<<: {a: 1}}", "{1: 2}", "2027-13-01", "2027-01-01 00:00:00 +99:99",
]  # fmt: skip
LONG = 3_000
NUMBERS = [
    f"{sign}{text}"
    for sign in ("", "-", "+")
    for text in (
        "9" * LONG, "0x" + "f" * LONG, "0b" + "1" * LONG, "0" + "7" * LONG, "1" + ":1" * LONG, "1" + ":5" * LONG + ".5",
        "1" * LONG + ".", "1" * LONG + "x", "1e" + "9" * LONG, "1_" * LONG + "1", "0x" + "f" * 250, "1" + ":59" * 80,
        "1:1:1.e", "0x", "0b", "0b2", "09", "0o7", "1e400", ".inf", ".nan", "._", "1__", "0x_", "0b_", ":", "1:", "::",
    )
]  # fmt: skip


@pytest.mark.parametrize("tag", ["", *TAGS])
def test_every_tag_on_every_node(tag: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read as what it says, or refused with its line: in a file, in a variant, on the command line."""
    for text in (f"{tag} {node}" for node in [*NODES, *NUMBERS]):
        said = refusal(text)
        assert "line 1" in said or not said
        assert len(said) < 600
    whole = (copy / "scenario.yaml").read_text(encoding="utf-8")
    for node in ("a", "[a]", "{a: 1}", "0x" + "f" * LONG, "1" + ":1" * LONG):
        assert run(["validate", str(TOY), "--set", f"quotas.target={tag} {node}"]) == 2
        for more in (f"territories.margin: {tag} {node}", f"name: {tag} {node}"):
            (copy / "scenario.yaml").write_text(f"{whole}  more: {{{more}}}\n", encoding="utf-8")
            run_without_defect(["validate", str(copy)], capsys)
        (copy / "scenario.yaml").write_text(whole.replace("quotas:\n", f"quotas: {tag} {node}\n#", 1), encoding="utf-8")
        run_without_defect(["validate", str(copy)], capsys)


def refusal(text: str) -> str:
    """Return what reading a value says, nothing if it can be read."""
    try:
        parse_value(text)
    except ScenarioError as error:
        return str(error)
    return ""


def run_without_defect(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["%YAML 1." + "9" * 5_000 + "\n--- a", '"\\UFFFFFFFF"', '"\\U00110000"', "%TAG ! %ff%fe\n--- !a b", "!%ff a"],
)
def test_what_no_yaml_can_mean(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"line \d") as caught:
        parse_value(text)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!map a", '"a" is not keys with values'),
        ("!!seq a", '"a" is not a list'),
        ("!!set {a}", 'this is of kind "set", which no setting is'),
        ("!!omap [a: 1]", 'this is of kind "omap"'),
        ("!!binary aGk=", '"aGk=" is of kind "binary"'),
        ("!!null secret", '"secret" is not null'),
        ("0x" + "f" * LONG, "is not a whole number: it has 3,002 characters"),
        ("1" + ":1" * LONG, "is not a whole number: it has 6,001 characters"),
    ],
)
def test_kinds_that_no_setting_has(text: str, expected: str) -> None:
    """A set has no order, bytes are no text: what would be read as something else is refused."""
    with pytest.raises(ScenarioError) as caught:
        parse_value(text)
    assert expected in str(caught.value)


def test_a_number_that_python_cannot_show() -> None:
    for key in ("quotas.target", "name", "solve.seed", "reps.remove"):
        with pytest.raises(ScenarioError) as caught:
            to.load_scenario(TOY, overrides={key: 10**5_000})
        assert key in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tables.accounts.date_format", "%d.%d.%Y"), ("tables.accounts.date_format", "%d.%m"),
        ("tables.accounts.encoding", "undefined"), ("tables.accounts.path", "x" * 5_000), ("quotas.step", 1e308),
        ("quotas.step", 1e-320), ("solve.seed", 2**31), ("territories.hours.per_fte", 1e30),
        ("territories.travel.visits_per_year", 1e308), ("territories.travel.speed_kmh", 1e-320),
        ("quotas.target", 1e16), ("quotas.limits.high", 1e300), ("quotas.hedge.company", 1e9), ("currency", "x" * 99),
        ("period.start", "9999-01-01"), ("solve.time_limit", 1e300), ("name", "x" * 300),
    ],
)  # fmt: skip
def test_settings_beyond_every_measure(key: str, value: Any) -> None:
    with pytest.raises(ScenarioError) as caught:
        to.load_scenario(TOY, overrides={key: value})
    assert key in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        {"territories.hours.per_fte": 1e-6, "territories.hours.price_per_hour": 1e15},
        {"quotas.odds.price": 1e15, "territories.hours.hard": False, "territories.keep.loss_rate": 0.5},
        {
            "quotas.fairness.price": 1e15, "quotas.hedge.company": 1e6, "quotas.growth_guard.up": 0,
            "territories.keep.loss_rate": 0, "territories.travel.cost_per_km": 0,
        },
        {
            "quotas.fairness.worst_price": 1e9, "quotas.target": 1e15, "territories.hours.per_fte": 1e6,
            "territories.balance.potential.price_per_point": 0,
        },
        {
            "quotas.target": 100, "quotas.fairness.price": 1e15, "quotas.growth_guard.price": 1e15,
            "territories.hours.hard": False, "territories.travel.visits_per_year": 1e6,
        },
    ],
)  # fmt: skip
def test_settings_that_solvers_give_up_on(overrides: dict[str, Any], tmp_path: Path) -> None:
    """Within every limit, but too far apart for a solver: there is a plan, and its bound holds by the judge's count."""
    given = [part for key, value in overrides.items() for part in ("--set", f"{key}={value}")]
    assert run(["solve", str(TOY), *given, "--time-limit", "2", "--out", str(tmp_path / "plan")]) in (0, 3)
    assert run(["check", str(tmp_path / "plan")]) in (0, 3)


def test_no_file_has_such_a_name() -> None:
    for path in ("x" * 300 + ".csv", "a/" * 1_500 + "x.csv"):
        with pytest.raises(DataError, match="no such file"):
            to.load_scenario(TOY, overrides={"tables.accounts.path": path}).problem()


def test_too_many_variants_are_counted(copy: Path) -> None:
    text = (copy / "scenario.yaml").read_text(encoding="utf-8").split("scenarios:")[0]
    many = "".join(f"  v{i}: {{quotas.target: {i + 1}}}\n" for i in range(MOST_VARIANTS + 1))
    (copy / "scenario.yaml").write_text(f"{text}scenarios:\n{many}", encoding="utf-8")
    with pytest.raises(ScenarioError, match="scenarios: holds 501 entries, more than 500"):
        to.load_scenario(copy)


def test_numbers_of_tables_have_a_limit() -> None:
    tables = {table: pd.read_csv(TOY / f"{table}.csv") for table in ("accounts", "reps")}
    tables["accounts"] = tables["accounts"].assign(visits=1e308)
    with pytest.raises(DataError) as caught:
        to.Problem.from_tables(**tables, policy=to.Policy())
    assert (
        str(caught.value.issues[0]) == 'accounts  row 2  visits  "1e+308"  is beyond 1,000,000; correct it, or its unit'
    )


# --- workbooks ------------------------------------------------------------------------------------------------


def workbook(folder: Path, edit: Callable[[Any], None]) -> pd.DataFrame:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["account_id", "potential"], ["A", 1], ["B", 2]):
        sheet.append(row)
    edit(sheet)
    book.save(folder / "a.xlsx")
    return read_table("accounts", TableSource(path="a.xlsx"), folder)


def refused(folder: Path, edit: Callable[[Any], None]) -> list[str]:
    with pytest.raises(DataError) as caught:
        workbook(folder, edit)
    return [str(issue) for issue in caught.value.issues]


def test_a_stray_cell_is_said_and_left_out(tmp_path: Path) -> None:
    for column in (1, 16_384):
        frame = workbook(tmp_path, lambda sheet, column=column: sheet.cell(1_048_576, column, "x"))
        assert len(frame) == 2
        assert [str(issue) for issue in frame.attrs["issues"]] == [
            'a.xlsx  row 1048576  "x"  a cell stands 1,048,572 rows below the table; it is left out; delete it'
        ]


def test_rows_far_below_are_not_dropped(tmp_path: Path) -> None:
    def edit(sheet: Any) -> None:
        sheet.cell(5_000, 1, "C")
        sheet.cell(5_000, 2, 3)

    assert refused(tmp_path, edit) == ["a.xlsx  row 4  the rows down to 4,999 are empty; delete them"]


def test_a_stray_header_is_one_finding(tmp_path: Path) -> None:
    assert refused(tmp_path, lambda sheet: sheet.cell(1, 16_384, "x")) == [
        "a.xlsx  row 1  columns 3 to 16,383 have no header; name it or remove the column"
    ]


def respelt(folder: Path, part: str, change: Callable[[bytes], bytes]) -> list[str]:
    """Change one part of a workbook; return what reading it says."""
    workbook(folder, lambda sheet: None)
    path = folder / "a.xlsx"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, change(content) if name.endswith(part) else content)
    path.write_bytes(out.getvalue())
    with pytest.raises(DataError) as caught:
        read_table("accounts", TableSource(path="a.xlsx"), folder)
    return [str(issue) for issue in caught.value.issues]


def test_what_unpacks_to_too_much(tmp_path: Path) -> None:
    (said,) = respelt(tmp_path, "sheet1.xml", lambda content: content + b" " * 2**28)
    assert said.startswith("a.xlsx  unpacks to 256 MiB, more than the 256 MiB that are read")
    rows = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (i, i) for i in range(9, 2_000))
    (said,) = respelt(tmp_path, "sheet1.xml", lambda content: content.replace(b"</sheetData>", rows + b"</sheetData>"))
    assert said.startswith("a.xlsx  holds more than the 20,000,000 cells that are read")


def repacked(path: Path, changes: dict[str, tuple[str, str]], **new: str) -> None:
    """Put into parts of a workbook, before a word, what nobody expects there; ``new`` are parts of folder ``xl``."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    for name, (word, more) in changes.items():
        assert word in parts[name]
        parts[name] = parts[name].replace(word, more + word, 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (parts | {f"xl/{name}.xml": content for name, content in new.items()}).items():
            archive.writestr(name, content)


MANY = 600_000
SHEET, TYPES = "xl/worksheets/sheet1.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml"
TEXTS = f'<Override PartName="/xl/texts.xml" ContentType="{TYPES}.sharedStrings+xml"/>'


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"xl/styles.xml": ("<cellXfs", f"<a>{'<font/>' * MANY}</a>")}, "xl/styles.xml holds more formats, links"),
        ({"xl/workbook.xml": ("<sheets>", f"<a>{'<view/>' * MANY}</a>")}, "xl/workbook.xml holds more formats, links"),
        ({"[Content_Types].xml": ("</Types>", TEXTS)}, "xl/texts.xml holds more than 500,000 tags, which no"),
        ({SHEET: ("</sheetData>", f"<row>{'<c/>' * MANY}</row>")}, f"{SHEET} holds more than 500,000 tags, which no"),
        ({SHEET: ("</sheetData>", "<row>" * MANY + "</row>" * MANY)}, f"{SHEET} holds more than 500,000 tags, which"),
    ],
    ids=["formats", "views", "texts", "one row", "rows in rows"],
)  # fmt: skip
def test_tags_of_a_workbook_are_counted(tmp_path: Path, changes: dict[str, tuple[str, str]], expected: str) -> None:
    """A few kilobytes hold millions of elements, far below the limit of bytes; each costs the reader microseconds."""
    workbook(tmp_path, lambda sheet: None)
    repacked(tmp_path / "a.xlsx", changes, texts=f"<sst>{'<si/>' * MANY}</sst>")
    assert (tmp_path / "a.xlsx").stat().st_size < 40_000
    with pytest.raises(DataError) as caught:
        read_table("accounts", TableSource(path="a.xlsx"), tmp_path)
    said = str(caught.value.issues[0])
    assert said.startswith(f"a.xlsx  {expected}")
    assert said.endswith("; copy the table into a new workbook, or save it as CSV or Parquet")


def test_tags_of_one_row_are_counted(tmp_path: Path) -> None:
    """In a larger file too, where the table may hold more of them: the row would stand in memory as a whole."""
    noise = np.random.default_rng(1).bytes(200_000).hex().encode()
    row = b'<row r="4"><c r="A4"><v>' + noise + b"</v></c>" + b"<c/>" * 600_000 + b"</row>"
    (said,) = respelt(tmp_path, "sheet1.xml", lambda content: content.replace(b"</sheetData>", row + b"</sheetData>"))
    assert said.startswith(
        "a.xlsx  xl/worksheets/sheet1.xml holds one row, or things beside the rows, of more than 500,000"
    )


def test_a_large_table_of_equal_cells_is_read(tmp_path: Path) -> None:
    """As many tags for each byte as a real table has: no limit stops it."""
    pd.DataFrame({f"c{k}": [0] * 30_000 for k in range(6)}).to_excel(tmp_path / "a.xlsx", index=False)
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        assert archive.read("xl/worksheets/sheet1.xml").count(b"<") > MOST_TAGS
    assert len(read_table("accounts", TableSource(path="a.xlsx"), tmp_path)) == 30_000


def test_links_to_other_workbooks_are_not_followed(tmp_path: Path) -> None:
    """What lies in other files as it was when this one was saved is not unpacked."""
    about, link = "http://schemas.openxmlformats.org/officeDocument/2006/relationships", "/xl/others.xml"
    named = f'<externalReferences><externalReference xmlns:r="{about}" r:id="rIdX"/></externalReferences>'
    place = f'<Relationship Id="rIdX" Type="{about}/externalLink" Target="{link}"/>'
    changes = {"xl/workbook.xml": ("<definedNames", named), "xl/_rels/workbook.xml.rels": ("</Relationships>", place)}
    workbook(tmp_path, lambda sheet: None)
    repacked(tmp_path / "a.xlsx", changes, others=f"<externalLink>{'<a/>' * MANY}</externalLink>")
    assert len(read_table("accounts", TableSource(path="a.xlsx"), tmp_path)) == 2


def test_a_sheet_has_no_more_rows_than_spreadsheets_have(tmp_path: Path) -> None:
    """Nine digits in a file of five kilobytes: empty rows are not read one by one up to there."""
    said = respelt(tmp_path, "sheet1.xml", lambda content: content.replace(b'<row r="3"', b'<row r="100000000"'))
    assert said == [
        "a.xlsx  claims to have more than 1,048,576 rows, the most that a sheet has; "
        "open it in a spreadsheet program and save it as .xlsx"
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ('<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>', "claims to have more than 1,048,576 rows"),
        ('<row r="1e300"/>', "claims to have more than 1,048,576 rows"),
        (f'<row r="{"9" * 5_000}"/>', "cannot be read as a workbook"),
        ('<row r="4"><c r="XFE4"><v>1</v></c></row>', "row 4  claims to have more than 16,384 columns"),
        ('<row r="4"><c r="ZZZZ4"><v>1</v></c></row>', "cannot be read as a workbook"),
        (f'<row r="4">{"<c/>" * 16_385}</row>', "row 4  claims to have more than 16,384 columns"),
        ('<row r="2"><c r="A2"><v>1</v></c></row>', "is damaged: row 2 comes after row 3"),
        ('<row r="-7"/>', "is damaged: row -7 comes after row 3"),
        ('<row r="4"><c r="A4"><v>1</v></c><c r="A4"><v>2</v></c></row>', "row 4  is damaged: two cells of the row"),
    ],
)  # fmt: skip
def test_rows_and_columns_that_no_sheet_has(tmp_path: Path, rows: str, expected: str) -> None:
    """None of them is left out without a word, and no time is spent on the rows before it."""
    end = b"</sheetData>"
    started = time.perf_counter()
    (said,) = respelt(tmp_path, "sheet1.xml", lambda content: content.replace(end, rows.encode() + end))
    assert said.startswith(f"a.xlsx  {expected}")
    assert time.perf_counter() - started < 2.0


def test_empty_rows_take_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    values = sys.modules["territory_opt.intake.workbook"]._values

    def counted(file: Any, number: int, *rest: Any, **more: Any) -> Any:
        made.append(number)
        return values(file, number, *rest, **more)

    monkeypatch.setattr(sys.modules["territory_opt.intake.workbook"], "_values", counted)
    workbook(tmp_path, lambda sheet: sheet.cell(1_048_576, 1, "x"))
    assert made == [1, 2, 3, 1_048_576]


@pytest.mark.parametrize("line", ["1", "1,2\n"])
def test_findings_of_a_file_are_counted(tmp_path: Path, line: str) -> None:
    """Rows that are too short, and empty rows between filled ones."""
    (tmp_path / "a.csv").write_text("a,b\n" + f"{line}\n" * 3_000 + "1,2\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_table("accounts", TableSource(path="a.csv"), tmp_path)
    assert len(caught.value.issues) == MOST_FINDINGS + 1
    assert str(caught.value.issues[-1]) == "a.csv  2,000 more findings in this table; correct these first"
    assert str(caught.value).endswith("3,000 errors, nothing was written")


def test_findings_of_one_column_are_counted() -> None:
    accounts = pd.DataFrame({"account_id": [f"A{i}" for i in range(3_000)], "lat": 1.0, "lon": 5.0, "potential": "abc"})
    reps = pd.DataFrame({"rep_id": ["R1"], "lat": 1.0, "lon": 5.0})
    with pytest.raises(DataError) as caught:
        to.Problem.from_tables(accounts=accounts, reps=reps, policy=to.Policy())
    errors = [issue for issue in caught.value.issues if issue.severity == "error"]
    assert len(errors) == MOST_FINDINGS + 1
    assert "2,000 more findings in this column" in str(errors[-1])
    assert str(caught.value).endswith("3,000 errors, nothing was written")


def test_memory_is_the_users_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sys.modules["territory_opt.intake.tables"], "_read_raw", full)
    with pytest.raises(DataError, match="needs more memory than there is"):
        workbook(tmp_path, lambda sheet: None)


def test_memory_is_no_defect_of_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("territory_opt.cli.commands.read_scenario", full)
    assert run(["validate", str(TOY)]) == 2
    assert "more memory than there is" in capsys.readouterr().err


def test_a_small_parquet_file_does_not_blow_up(tmp_path: Path) -> None:
    """Thirty million equal cells take some ten thousand bytes; so many different ones are a table like any other."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    equal = pyarrow.table({"account_id": pyarrow.array(np.zeros(2_000_000, dtype=np.int64))})
    with parquet.ParquetWriter(tmp_path / "a.parquet", equal.schema, compression="zstd") as writer:
        for _ in range(15):
            writer.write_table(equal)
    with pytest.raises(DataError) as caught:
        read_table("accounts", TableSource(path="a.parquet"), tmp_path)
    assert str(caught.value.issues[0]).startswith("a.parquet  holds 30,000,000 cells in a file of ")


def long_texts(kind: str) -> Any:
    """Two hundred and fifty texts of a megabyte, as a few hundred bytes of Parquet hold them."""
    pyarrow = pytest.importorskip("pyarrow")
    long = "x" * 1_000_000
    made = {
        "text": lambda: pyarrow.array([long]).take(pyarrow.array([0] * 250)),
        "list": lambda: pyarrow.array([[long] * 25] * 10),
        "structure": lambda: pyarrow.array([{"part": long}] * 250),
        "category": lambda: pyarrow.array([long] * 250).dictionary_encode(),
        "same beginning": lambda: pyarrow.array([f"{long}{k}" for k in range(250)]),
        "fixed": lambda: pyarrow.array([long.encode()] * 250, pyarrow.binary(len(long))),
    }
    return pyarrow.table({"account_id": made[kind]()})


@pytest.mark.parametrize("kind", ["text", "list", "structure", "category", "same beginning", "fixed"])
def test_long_texts_of_a_small_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """One text in many rows is written once: what it unpacks to is measured before it is read."""
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("territory_opt.intake.parquet_size.LARGEST_UNPACKED", 2**26)
    shared = {"use_dictionary": False, "column_encoding": {"account_id": "DELTA_BYTE_ARRAY"}}
    given = shared if kind == "same beginning" else {}
    parquet.write_table(long_texts(kind), tmp_path / "a.parquet", compression="zstd", **given)
    assert (tmp_path / "a.parquet").stat().st_size < 2_000
    with pytest.raises(DataError) as caught:
        read_table("accounts", TableSource(path="a.parquet"), tmp_path)
    assert str(caught.value.issues[0]).startswith("a.parquet  unpacks to more than 64 MiB, the most that is read of ")


def test_texts_of_a_large_parquet_file_are_read(tmp_path: Path) -> None:
    """More text than the limit of a small file, lists and categories too: what its bytes tell apart is read."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    ids = [f"{k:040}" for k in range(40_000)]
    table = pyarrow.table(
        {"account_id": ids, "tags": [[key, "a"] for key in ids], "segment": pyarrow.array(ids).dictionary_encode()}
    )
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=10_000)
    sizes = sys.modules["territory_opt.intake.parquet_size"]
    columns = sizes._columns(tmp_path / "a.parquet")
    exact = {column.path: sum(sizes._texts(tmp_path / "a.parquet", column, 2**22)) for column in columns}
    assert list(exact.values()) == [40 * 40_000, 41 * 40_000, 40 * 40_000]
    assert len(read_table("accounts", TableSource(path="a.parquet"), tmp_path)) == 40_000


def test_texts_of_parquet_that_are_no_utf_8(tmp_path: Path) -> None:
    """They are found where the file is read, not where the first column is looked at."""
    shutil.copytree(TOY, tmp_path / "toy")
    table = pd.read_csv(TOY / "accounts.csv")
    table.to_parquet(tmp_path / "toy" / "accounts.parquet", compression=None)
    name = str(table["name"].iloc[0]).encode()
    data = (tmp_path / "toy" / "accounts.parquet").read_bytes()
    (tmp_path / "toy" / "accounts.parquet").write_bytes(data.replace(name, b"\xff" * len(name)))
    scenario = tmp_path / "toy" / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("accounts.csv", "accounts.parquet"))
    with pytest.raises(to.TerritoryError, match="cannot be read as Parquet"):
        to.load_scenario(scenario.parent).problem()
