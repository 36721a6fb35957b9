"""Checking tables against each other: one test per finding, with the sentence a planner reads."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from territory_opt import Problem
from territory_opt.errors import DataError, Issue
from territory_opt.intake.table_source import TableSource
from territory_opt.intake.tables import read_table
from territory_opt.intake.validate import validate_tables
from territory_opt.problem.policy import Policy

Tables = dict[str, pd.DataFrame]


def text_frame(text: str, file: str = "", **attrs: object) -> pd.DataFrame:
    """Make a frame of raw text from lines of comma-separated cells."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.strip().splitlines()]
    frame = pd.DataFrame(rows[1:], columns=rows[0], dtype=str)
    frame.attrs = {"file": file, **attrs}
    return frame


def good() -> Tables:
    """Return a small team that is in order."""
    accounts = text_frame(
        """account_id,name,lat,lon,incumbent,family,potential,workload,visits,current_sales,industry,currency
        A-1,Acme,  52.5,13.4,R-1,F,100,10,4,50,steel,USD
        A-2,Birch, 52.4,13.1,R-1,F,200,20,4,60,food,USD
        A-3,Cobalt,48.1,11.5,R-2,,300,30,4,70,food;steel,
        A-4,Delta, 48.2,11.6,,,400,40,4,80,,USD""",
        "accounts.csv",
    )
    reps = text_frame(
        """rep_id,name,lat,lon,fte,ramp,capacity_hours,start_date,end_date,manager,last_quota,industry
        R-1,J. Ortiz-Lee,52.5,13.3,1,1,1800,2020-01-01,,M-1,500,steel:0.9;food
        R-2,Kim,48.1,11.6,0.5,1,900,,2027-06-30,M-2,600,food""",
        "reps.csv",
    )
    return {"accounts": accounts, "reps": reps}


def with_cell(table: str, position: int, column: str, value: object) -> Tables:
    tables = good()
    attrs = tables[table].attrs
    frame = tables[table].astype(object)
    if column not in frame:
        frame[column] = ""
    frame.loc[position, column] = value
    frame.attrs = attrs
    return {**tables, table: frame}


def findings(tables: Tables, policy: dict[str, Any] | None = None) -> list[Issue]:
    """Return all findings, whether or not they are errors."""
    try:
        return list(validate_tables(tables, Policy.model_validate(policy or {})).issues)
    except DataError as error:
        return error.issues


def errors(tables: Tables, policy: dict[str, Any] | None = None) -> list[str]:
    return [str(issue) for issue in findings(tables, policy) if issue.severity == "error"]


def warnings(tables: Tables, policy: dict[str, Any] | None = None) -> list[str]:
    found = findings(tables, policy)
    assert not [issue for issue in found if issue.severity == "error"]
    return [str(issue) for issue in found if issue.severity == "warning"]


def imputed(tables: Tables, policy: dict[str, Any] | None = None) -> list[str]:
    return [str(issue) for issue in findings(tables, policy) if issue.severity == "imputed"]


def test_good_tables_have_no_errors_or_warnings() -> None:
    tables = good()
    before = copy.deepcopy(tables)
    problem = validate_tables(tables, Policy(), strict=True)
    assert problem.n_accounts == 4
    assert problem.accounts["potential"].tolist() == [100.0, 200.0, 300.0, 400.0]
    assert problem.accounts.index.equals(pd.RangeIndex(4))
    assert problem.managers["manager_id"].tolist() == ["M-1", "M-2"]
    assert problem.reps["end_date"][1] == pd.Timestamp("2027-06-30")
    assert list(problem.sales.columns) == ["account_id", "month", "sales", "rep_id"]
    assert list(problem.rules.columns) == ["rule", "account_id", "rep_id", "reason", "expires"]
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(frame, before[name])


# --- cells -----------------------------------------------------------------------------------------------

CELLS = [
    ("accounts", "potential", "12.500,00", 'row 3  potential  "12.500,00"  not a number under decimal="."; '
     'set tables.accounts.decimal: "," and thousands: "."'),
    ("accounts", "potential", "12,5", 'row 3  potential  "12,5"  not a number under decimal="."; '
     'set tables.accounts.decimal: ","'),
    ("accounts", "potential", "1,234.5", 'row 3  potential  "1,234.5"  not a number without a thousands separator; '
     'set tables.accounts.thousands: ","'),
    ("accounts", "potential", "€1200", 'row 3  potential  "€1200"  carries a currency sign; '
     "write the plain number; all money is in USD"),
    ("accounts", "potential", "1200 EUR", 'row 3  potential  "1200 EUR"  carries a currency sign; '
     "write the plain number; all money is in USD"),
    ("accounts", "potential", "50%", 'row 3  potential  "50%"  not a number; '
     "write it without the percent sign, for example 0.5 for 50 %"),
    ("accounts", "potential", "", "row 3  potential  is missing; write a number; 0 if there is none"),
    ("accounts", "potential", "nan", 'row 3  potential  "nan"  not a number; write a plain number'),
    ("accounts", "potential", "inf", 'row 3  potential  "inf"  is not a finite number; correct it'),
    ("accounts", "potential", float("inf"), 'row 3  potential  "inf"  is not a finite number; correct it'),
    ("accounts", "potential", float("nan"), "row 3  potential  is missing; write a number; 0 if there is none"),
    ("accounts", "potential", True, 'row 3  potential  "True"  not a number; write a plain number'),
    ("accounts", "potential", "-5", 'row 3  potential  "-5"  is negative; write 0 or a positive number'),
    ("accounts", "workload", "-5", 'row 3  workload  "-5"  is negative; write 0 or a positive number'),
    ("accounts", "workload", "", "row 3  workload  is missing; write a number; 0 if there is none"),
    ("accounts", "account_id", "", "row 3  account_id  is empty; write unique name of the account"),
    ("accounts", "account_id", " A-1 ", 'row 3  account_id  "A-1"  the same id is in row 2; keep one or give a new id'),
    ("accounts", "incumbent", "J. Ortiz", 'row 3  incumbent  "J. Ortiz"  no such rep; nearest: "J. Ortiz-Lee" (R-1)'),
    ("accounts", "incumbent", "Kim", 'row 3  incumbent  "Kim"  is the name of a rep, not an id; write R-2'),
    ("accounts", "incumbent", "Zzzzzz", 'row 3  incumbent  "Zzzzzz"  no such rep; known: 2, for example R-1'),
    ("accounts", "lat", "", "row 3  lat  is missing although lon is given; write both lat and lon, or neither"),
    ("accounts", "lon", "", "row 3  lon  is missing although lat is given; write both lat and lon, or neither"),
    ("accounts", "lat", "91", 'row 3  lat  "91"  latitude is outside -90 to 90; lat and lon look swapped; '
     "exchange lat and lon"),
    ("accounts", "lat", "5240", 'row 3  lat  "5240"  latitude outside -90 to 90; write degrees, for example 52.52'),
    ("accounts", "lon", "-181", 'row 3  lon  "-181"  longitude outside -180 to 180; write degrees, for example -97.74'),
    ("accounts", "lat", "north", 'row 3  lat  "north"  not a number; write a plain number'),
    ("accounts", "currency", "EUR", 'row 3  currency  "EUR"  not the currency of the plan, USD; '
     "convert the amounts to USD, or set currency: EUR if all of them are"),
    ("reps", "end_date", "30.06.2027", 'row 3  end_date  "30.06.2027"  not a date of the form YYYY-MM-DD; '
     'write YYYY-MM-DD or set tables.reps.date_format, like "%d.%m.%Y"'),
    ("reps", "end_date", "2027-02-30", 'row 3  end_date  "2027-02-30"  not a date of the form YYYY-MM-DD; '
     'write YYYY-MM-DD or set tables.reps.date_format, like "%d.%m.%Y"'),
    ("reps", "end_date", "2026-12-31", 'row 3  end_date  "2026-12-31"  Kim (R-2) leaves before the plan year starts '
     "(2027-01-01); remove the rep or change the date"),
    ("reps", "start_date", "2028-01-01", 'row 3  start_date  "2028-01-01"  Kim (R-2) starts after the plan year ends '
     "(2027-12-31); remove the rep or change the date"),
    ("reps", "rep_id", "", "row 3  rep_id  is empty; write unique name of the rep"),
    ("reps", "fte", "", "row 3  fte  is missing; write a number; 0 if there is none"),
    ("reps", "manager", "R-2", 'row 3  manager  "R-2"  manages itself; '
     "name somebody above, or leave the cell empty for the company"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "value", "message"), CELLS)
def test_bad_cell(table: str, column: str, value: object, message: str) -> None:
    found = errors(with_cell(table, 1, column, value))
    assert f"{table}.csv  {message}" in found
    if column not in ("rep_id", "start_date"):  # these have consequences in other rows
        assert len(found) == 1


def test_all_findings_at_once() -> None:
    tables = good()
    tables["accounts"].loc[0, "potential"] = "x"
    tables["accounts"].loc[1, "incumbent"] = "nobody"
    tables["reps"].loc[1, "end_date"] = "soon"
    with pytest.raises(DataError, match="3 errors, nothing was written"):
        validate_tables(tables, Policy())


def test_end_before_start() -> None:
    tables = with_cell("reps", 0, "end_date", "2019-01-01")
    assert errors(tables)[0] == (
        'reps.csv  row 2  end_date  "2019-01-01"  lies before the start date 2020-01-01; correct one of the dates'
    )


def test_decimal_comma_thousands_and_date_format() -> None:
    tables = good()
    tables["accounts"].loc[0, "potential"] = "12.500,75"
    tables["accounts"][["lat", "lon"]] = tables["accounts"][["lat", "lon"]].map(lambda cell: cell.replace(".", ","))
    tables["accounts"].attrs |= {"decimal": ",", "thousands": "."}
    tables["reps"].loc[1, "end_date"] = "30.06.2027"
    tables["reps"].attrs |= {"date_format": "%d.%m.%Y"}
    problem = validate_tables(tables, Policy())
    assert problem.accounts["potential"][0] == 12500.75
    assert problem.accounts["lat"][0] == 52.5
    assert problem.reps["end_date"][1] == pd.Timestamp("2027-06-30")


def test_wrong_settings_for_a_file_with_decimal_points() -> None:
    tables = good()
    tables["reps"].attrs |= {"decimal": ","}
    assert 'reps.csv  row 3  fte  "0.5"  not a number under decimal=","; set tables.reps.decimal: "."' in errors(tables)


@pytest.mark.parametrize("values", [[279, 280, 281, 282], [279.0, 280.0, 281.0, 282.0]])
def test_numeric_ids_become_text(values: list[float]) -> None:
    tables = good()
    tables["accounts"]["account_id"] = values
    assert validate_tables(tables, Policy()).accounts["account_id"].tolist() == ["279", "280", "281", "282"]


def test_missing_required_column_names_the_nearest() -> None:
    tables = good()
    tables["accounts"] = tables["accounts"].rename(columns={"potential": "potentials"})
    assert errors(tables) == [
        "accounts.csv  potential  no such column (what it could buy); nearest column: potentials; "
        "name the column under tables.accounts.columns.potential"
    ]


def test_empty_tables() -> None:
    tables = {name: frame.iloc[:0] for name, frame in good().items()}
    assert errors(tables) == [
        "accounts.csv  there are no accounts; give at least one row",
        "reps.csv  there are no reps; give at least one row",
    ]
    assert errors({"accounts": good()["accounts"]}) == ["reps  the table is missing; give a table of reps"]


def test_two_columns_of_one_name() -> None:
    tables = good()
    tables["reps"] = pd.concat([tables["reps"], tables["reps"][["fte"]]], axis=1)
    assert "reps.csv  row 1  fte  two columns have this name; rename one" in errors(tables)


def test_currency_is_reported_once_per_table() -> None:
    tables = good()
    tables["accounts"]["currency"] = "EUR"
    assert errors(tables) == [
        'accounts.csv  row 2  currency  "EUR"  not the currency of the plan, USD (4 rows); '
        "convert the amounts to USD, or set currency: EUR if all of them are"
    ]


# --- places ----------------------------------------------------------------------------------------------


def units(geometry: bool = False) -> pd.DataFrame:
    if geometry:
        return pd.DataFrame({"unit_id": ["U-1"], "geometry": ["POLYGON ((13 52, 14 52, 14 53, 13 53, 13 52))"]})
    return text_frame("unit_id,lat,lon\nU-1,52.5,13.5")


@pytest.mark.parametrize("geometry", [False, True])
def test_account_takes_the_place_of_its_unit(geometry: bool) -> None:
    tables = with_cell("accounts", 1, "unit_id", "U-1")
    tables["accounts"].loc[1, ["lat", "lon"]] = ""
    tables["units"] = units(geometry)
    problem = validate_tables(tables, Policy())
    assert problem.accounts.loc[1, ["lat", "lon"]].tolist() == [52.5, 13.5]
    assert "accounts.csv  row 3  lat  lat and lon set to the place of the unit" in imputed(tables)


def test_account_without_any_place() -> None:
    tables = with_cell("accounts", 1, "lat", "")
    tables["accounts"].loc[1, "lon"] = ""
    assert errors(tables) == [
        "accounts.csv  row 3  lat  account A-2 has no place; write lat and lon, or give a units table with its unit_id"
    ]
    assert errors({**tables, "units": units()}) == [
        "accounts.csv  row 3  lat  account A-2 has no place; write lat and lon, or a unit_id"
    ]


def test_unknown_units() -> None:
    tables = {**with_cell("accounts", 1, "unit_id", "U-2"), "units": units()}
    tables["adjacency"] = text_frame("unit_a,unit_b\nU-1,U-9")
    assert errors(tables) == [
        'adjacency  row 2  unit_b  "U-9"  no such unit; nearest: U-1',
        'accounts.csv  row 3  unit_id  "U-2"  no such unit; nearest: U-1',
    ]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("nonsense", "units  row 2  geometry  is not an outline in WKT; write it like POLYGON ((...))"),
        ("1e999", "units  row 2  geometry  is not an outline in WKT; write it like POLYGON ((...))"),
        ("", 'units  row 2  "U-1"  has no place; write lat and lon or an outline'),
        (
            "POINT (400000 5800000)",
            "units  row 2  geometry  lies outside longitude and latitude; export it in EPSG:4326",
        ),
    ],
)
def test_bad_outline(cell: str, message: str) -> None:
    bad = pd.DataFrame({"unit_id": ["U-1"], "geometry": [cell]})
    assert errors({**good(), "units": bad}) == [message]


def test_self_crossing_outline_is_repaired() -> None:
    bow = pd.DataFrame({"unit_id": ["U-1"], "geometry": ["POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"]})
    assert "units  row 2  geometry  the outline was repaired (Self-intersection[1 1])" in imputed(
        {**good(), "units": bow}
    )


def test_one_row_swapped() -> None:
    tables = with_cell("accounts", 3, "lat", "11.6")
    tables["accounts"].loc[3, "lon"] = "48.2"
    assert warnings(tables) == [
        'accounts.csv  row 5  lat  "11.6, 48.2"  lies far from all others; lat and lon look swapped; '
        "exchange lat and lon if they are swapped"
    ]


def test_whole_table_swapped() -> None:
    tables = good()
    tables["accounts"] = tables["accounts"].rename(columns={"lat": "lon", "lon": "lat"})
    assert warnings(tables)[0].startswith("accounts.csv  lat  most accounts lie ")
    assert warnings(tables)[0].endswith(
        " km from every rep; lat and lon look swapped in one of the tables; exchange lat and lon if they are swapped"
    )


def without(tables: Tables, table: str, *columns: str) -> Tables:
    frame = tables[table].drop(columns=list(columns))
    frame.attrs = tables[table].attrs
    return {**tables, table: frame}


def test_home_is_inferred_from_accounts() -> None:
    tables = without(good(), "reps", "lat", "lon")
    problem = validate_tables(tables, Policy())
    assert problem.reps["lat"].tolist() == pytest.approx([52.4455, 48.1], abs=1e-3)  # 50 : 60 between
    assert (
        'reps.csv  row 3  lat  "48.100, 11.500"  home set to the sales-weighted middle of the rep\'s accounts'
        in imputed(tables)
    )


def test_home_by_potential_when_there_are_no_sales() -> None:
    tables = without(without(good(), "reps", "lat", "lon"), "accounts", "current_sales")
    problem = validate_tables(tables, Policy())
    assert problem.reps["lat"][0] == pytest.approx(52.4333, abs=1e-3)


def test_home_with_nothing_to_infer_from() -> None:
    tables = without(good(), "reps", "lat", "lon")
    tables["accounts"].loc[2, "incumbent"] = ""
    assert errors(tables) == [
        "reps.csv  row 3  lat  Kim (R-2) has no home, and no account to infer it from; write lat and lon"
    ]


# --- hierarchy -------------------------------------------------------------------------------------------


def hierarchy(problem: Problem) -> dict[str, tuple[str, str]]:
    frame = problem.managers
    return {row.manager_id: (row.level, row.reports_to) for row in frame.itertuples()}


def test_managers_that_manage_each_other() -> None:
    tables = with_cell("reps", 0, "manager", "R-2")
    tables["reps"].loc[1, "manager"] = "R-1"
    assert errors(tables) == [
        'reps.csv  row 3  manager  "R-1"  manages itself through R-2; '
        "name somebody above, or leave the cell empty for the company"
    ]


def managers(reports_to: str = "") -> pd.DataFrame:
    return text_frame(f"manager_id,name,reports_to\nM-1,Ann,\nM-2,Bob,{reports_to}\nM-5,Cleo,M-2", "managers.csv")


def test_cycle_in_the_managers_table() -> None:
    assert errors({**good(), "managers": managers("M-5")}) == [
        'managers.csv  row 3  reports_to  "M-5"  manages itself through M-2; '
        "name somebody above, or leave the cell empty for the company"
    ]


def test_unknown_manager() -> None:
    tables = {**with_cell("reps", 0, "manager", "Anne"), "managers": managers("M-9")}
    assert errors(tables) == [
        'reps.csv  row 2  manager  "Anne"  no such manager; nearest: "Ann" (M-1)',
        'managers.csv  row 3  reports_to  "M-9"  no such manager; nearest: "Cleo" (M-5)',
    ]


def test_manager_named_company() -> None:
    table = text_frame("manager_id\ncompany\nM-1\nM-2", "managers.csv")
    assert errors({**good(), "managers": table}) == [
        'managers.csv  row 2  manager_id  "company"  is the name of the whole company; '
        "remove the row (set the company's goal with quotas.target) or give another id"
    ]


def test_playing_manager() -> None:
    problem = validate_tables(with_cell("reps", 0, "manager", "R-2"), Policy())
    assert problem.reps["manager"].tolist() == ["R-2", "R-2"]
    assert hierarchy(problem) == {"M-2": ("manager", ""), "R-2": ("manager", "M-2")}


def test_regions_from_the_reps_table() -> None:
    tables = good()
    tables["reps"]["region"] = ["North", "South"]
    assert hierarchy(validate_tables(tables, Policy())) == {
        "M-1": ("manager", "North"),
        "M-2": ("manager", "South"),
        "North": ("region", ""),
        "South": ("region", ""),
    }


def test_manager_in_two_regions() -> None:
    tables = with_cell("reps", 1, "manager", "M-1")
    tables["reps"]["region"] = ["North", "South"]
    assert errors(tables) == [
        'reps.csv  row 3  region  "South"  M-1 has reps in two regions, "North" (row 2) and "South"; '
        "give each region its own manager"
    ]


def test_region_named_like_a_manager() -> None:
    tables = good()
    tables["reps"]["region"] = "M-1"
    assert errors(tables) == ['reps.csv  row 2  region  "M-1"  is also the id of a manager; rename one']


def test_manager_cell_with_the_name_of_a_rep() -> None:
    assert warnings(with_cell("reps", 0, "manager", "Kim")) == [
        'reps.csv  row 2  manager  "Kim"  is taken as a manager of its own, but is also the name of rep R-2; '
        "write R-2 if it is the same person"
    ]


# --- rules -----------------------------------------------------------------------------------------------

RULES = [
    (["lok,A-1,R-1"], 'row 2  rule  "lok"  no such rule; nearest: lock'),
    (["lock,A-9,R-1"], 'row 2  account_id  "A-9"  no such account; nearest: "Acme" (A-1)'),
    (["lock,A-1,Kim"], 'row 2  rep_id  "Kim"  is the name of a rep, not an id; write R-2'),
    (["lock,A-3,R-1", "Lock,A-3,R-2"], 'row 3  rep_id  "R-2"  account A-3 is locked to R-1 in row 2 too; '
     "keep one of the two"),
    (["lock,A-3,R-1", "forbid,A-3,R-1"], 'row 3  rep_id  "R-1"  account A-3 is locked to this rep in row 2; '
     "remove the lock or the forbid"),
    (["lock,A-1,R-1", "lock,A-2,R-2"], 'row 3  rep_id  "R-2"  account A-2 is in the family "F" of account A-1, '
     "which row 2 locks to R-1; lock the family to one rep"),
    (["lock,A-1,R-1", "forbid,A-2,R-1"], 'row 3  rep_id  "R-1"  account A-2 is locked to this rep in row 2 '
     "(by its family, account A-1); remove the lock or the forbid"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), RULES)
def test_bad_rule(rows: list[str], message: str) -> None:
    rules = text_frame("\n".join(["rule,account_id,rep_id", *rows]), "rules.csv")
    found = errors({**good(), "rules": rules})
    if "A-9" in message:
        assert found[0].startswith('rules.csv  row 2  account_id  "A-9"  no such account; nearest: "')
    else:
        assert found == [f"rules.csv  {message}"]


def test_expired_rule() -> None:
    rules = text_frame("rule,account_id,rep_id,expires\nlock,A-1,R-1,2026-12-31\nlock,A-3,R-1,2027-01-01", "rules.csv")
    assert errors({**good(), "rules": rules}) == [
        'rules.csv  row 2  expires  "2026-12-31"  expired before the plan year starts (2027-01-01); '
        "remove the row or set a later date"
    ]


# --- policy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0, -1])
def test_bad_target(target: float) -> None:
    assert errors(good(), {"quotas": {"target": target}})[0].startswith("policy  quotas.target")
    assert "the target must be above 0" in errors(good(), {"quotas": {"target": target}})[0]


def test_metrics_to_balance() -> None:
    assert errors(good(), {"territories": {"balance": {"potentials": {}}}}) == [
        "accounts.csv  potentials  named in territories.balance but not a column of numbers; nearest: potential"
    ]
    tables = good()
    tables["accounts"]["workload"] = "0"
    assert errors(tables, {"territories": {"balance": {"workload": {}}}}) == [
        "accounts.csv  workload  adds up to zero, so it cannot be balanced; "
        "fill the column or take it out of territories.balance"
    ]
    tables["accounts"]["beds"] = ["1", "2", "x", "4"]
    assert errors(tables, {"territories": {"balance": {"beds": {}}}}) == [
        'accounts.csv  row 4  beds  "x"  not a number; write a plain number'
    ]
    tables["accounts"]["beds"] = ["1", "2", "3", "4"]
    problem = validate_tables(tables, Policy.model_validate({"territories": {"balance": {"beds": {}}}}))
    assert problem.accounts["beds"].tolist() == [1, 2, 3, 4]


def test_codes_with_leading_zeros_stay_text() -> None:
    tables = good()
    tables["accounts"]["zip"] = ["01234", "12345", "23456", "34567"]
    tables["accounts"]["beds"] = ["1", "2", "3", "4"]
    problem = validate_tables(tables, Policy())
    assert problem.accounts["zip"].tolist() == ["01234", "12345", "23456", "34567"]
    assert problem.accounts["beds"].dtype == np.float64


def test_no_working_time() -> None:
    tables = good()
    tables["reps"]["fte"] = "0"
    assert errors(tables) == ["reps.csv  fte  all reps together have no working time; give reps an fte above 0"]


def test_guards_without_last_years_figures() -> None:
    tables = with_cell("reps", 1, "last_quota", "")
    assert warnings(tables, {"quotas": {"target": 100, "growth_guard": {}}}) == [
        "reps.csv  last_quota  unknown for Kim (R-2); quotas.growth_guard cannot hold for them; "
        "fill the cells, or accept reps without this guard"
    ]


def test_hedge_of_a_level_nobody_has() -> None:
    assert errors(good(), {"quotas": {"target": 100, "hedge": {"manger": 0.1}}}) == [
        "policy  quotas.hedge.manger  is neither a level of the managers table nor a manager_id; nearest: manager"
    ]


# --- skills ----------------------------------------------------------------------------------------------


def skills(**lists: object) -> dict[str, Any]:
    return {"territories": {"skills": lists}}


def test_skill_cells_are_normalised() -> None:
    tables = with_cell("accounts", 0, "industry", " steel ; food;steel")
    tables["reps"].loc[1, "industry"] = "food : 0.50; steel:1"
    problem = validate_tables(tables, Policy.model_validate(skills(preferred=["industry"])))
    assert problem.accounts["industry"][0] == "steel;food"
    assert problem.reps["industry"].tolist() == ["steel:0.9;food", "food:0.5;steel:1"]


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("steel:x", 'the score of "steel:x" is not a number'),
        ("steel:1.5", 'the score of "steel:1.5" is not between 0 and 1'),
        (":0.5", '":0.5" names no skill'),
        ("steel:0.5;steel:0.6", '"steel" has two different scores'),
    ],
)
def test_bad_skill_cell(cell: str, problem: str) -> None:
    assert errors(with_cell("reps", 1, "industry", cell), skills(required=["industry"])) == [
        f'reps.csv  row 3  industry  "{cell}"  {problem}; write "a;b", or scores between 0 and 1 like "a:0.9;b:0.5"'
    ]


@pytest.mark.parametrize("use", [{"required": ["langage"]}, {"preferred": ["langage"]}])
def test_skill_columns_that_are_not_there(use: dict[str, list[str]]) -> None:
    tables = good()
    tables["accounts"]["language"] = "de"
    assert errors(tables, skills(**use)) == [
        "accounts.csv  langage  named in territories.skills but no such column; nearest: language",
        "reps.csv  langage  named in territories.skills but no such column; "
        "add the column, or list langage under territories.skills.from_history",
    ]
    assert errors(tables, skills(coverage={"language": {"share": 0.5}})) == [
        "reps.csv  language  named in territories.skills but no such column; "
        "add the column, or list language under territories.skills.from_history"
    ]


def test_skills_from_history() -> None:
    tables = without(good(), "reps", "industry")
    tables["accounts"].loc[2, "incumbent"] = "R-1"
    tables["sales"] = text_frame("account_id,month,sales,rep_id\nA-4,2026-01,5,R-1")
    policy = skills(preferred=["industry"], from_history=["industry"])
    assert validate_tables(tables, Policy.model_validate(policy)).reps["industry"].tolist() == ["food;steel", ""]
    assert (
        'reps.csv  row 2  industry  "food;steel"  filled with the values of the accounts the rep serves or has sold to'
        in imputed(tables, policy)
    )
    assert [text for text in warnings(tables, policy) if "industry" in text] == [
        "reps.csv  row 3  industry  Kim (R-2) serves nobody and has no history; write the skills into the reps table"
    ]


# --- sales and quota history -----------------------------------------------------------------------------

SALES = """account_id,month,sales,rep_id
A-1,2025-12,1000,R-1
A-1,2026-01,10,R-1
A-1,2026-12,20,R-2
A-3,2026-06,-5,R-2
A-3,2026-07,4,R-2"""


def sales(*rows: str) -> pd.DataFrame:
    return text_frame("\n".join([SALES, *rows]), "sales.csv")


def test_last_twelve_months() -> None:
    problem = validate_tables({**good(), "sales": sales()}, Policy())
    assert problem.accounts["current_sales"].tolist() == [30, 0, 0, 0]
    assert problem.reps["last_sales"].tolist() == [10, 19]
    assert problem.sales["month"][0] == pd.Timestamp("2025-12-01")
    text = imputed({**good(), "sales": sales()})
    assert (
        "accounts.csv  current_sales  summed from sales.csv, 2026-01 to 2026-12; "
        "the column of the accounts table is not used" in text
    )
    assert 'accounts.csv  row 4  current_sales  "-1"  credits exceed sales; set to 0' in text


def test_sales_of_unknown_accounts_and_former_reps() -> None:
    found = warnings({**good(), "sales": sales("A-77x,2026-12,5,R-1", "A-1,2026-11,6,R-77")})
    assert found[0].startswith('sales.csv  row 7  account_id  "A-77x"  no such account; its 1 rows with sales of 5.00 ')
    assert found[1] == (
        'sales.csv  row 8  rep_id  "R-77"  1 row names a rep who is not in reps.csv: R-77; '
        "nothing to do if they have left: what they sold counts for the account"
    )


def test_no_sales_row_matches() -> None:
    other = text_frame("account_id,month,sales\nX,2026-01,1", "sales.csv")
    assert errors({**good(), "sales": other}) == [
        "sales.csv  account_id  no row names an account of the accounts table; "
        "compare the ids: X here, A-1 in accounts.csv"
    ]


def test_repeated_sales_rows_are_summed() -> None:
    tables = {**good(), "sales": sales("A-1,2026-12,3,R-2")}
    assert [text for text in warnings(tables) if "row 7" in text] == [
        'sales.csv  row 7  account_id  "A-1"  repeats row 4 (same account, month and rep); the two are summed; '
        "remove it if it is a copy"
    ]
    assert validate_tables(tables, Policy()).accounts["current_sales"][0] == 33


@pytest.mark.parametrize("cell", ["2026-13", "Jan 2026", "202601"])
def test_bad_month(cell: str) -> None:
    assert errors({**good(), "sales": sales(f"A-1,{cell},3,R-2")}) == [
        f'sales.csv  row 7  month  "{cell}"  not a month of the form YYYY-MM; '
        'write YYYY-MM or set tables.sales.date_format, like "%d.%m.%Y"'
    ]


def test_two_rows_without_a_month() -> None:
    tables = {**good(), "sales": sales("A-1,,3,R-2", "A-1,,3,R-2")}
    assert errors(tables) == [f"sales.csv  row {row}  month  is missing; YYYY-MM" for row in (7, 8)]


def test_no_sales_at_all() -> None:
    tables = without(good(), "accounts", "current_sales")
    assert warnings(tables) == [
        "accounts.csv  current_sales  neither this column nor a sales table is given; "
        "no revenue is at risk when accounts move; give a sales table or this column"
    ]
    with pytest.raises(DataError, match="1 error, nothing was written"):
        validate_tables(tables, Policy(), strict=True)


def test_last_quota_from_history() -> None:
    quarters = ["2025-10-01", "2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01"]
    rows = "\n".join(f"R-1,{quarter},{10 + i}" for i, quarter in enumerate(quarters))
    tables = without(good(), "reps", "last_quota")
    tables["quota_history"] = text_frame(f"rep_id,period_start,quota\n{rows}\nR-9,2026-10-01,1", "quotas.csv")
    problem = validate_tables(tables, Policy())
    assert problem.reps["last_quota"][0] == 11 + 12 + 13 + 14
    assert np.isnan(problem.reps["last_quota"][1])
    assert "reps.csv  row 2  last_quota  summed from the last 12 months of quotas.csv" in imputed(tables)
    assert len(warnings(tables)) == 1


def test_defaults_are_listed() -> None:
    tables = without(good(), "accounts", "workload", "visits", "name", "currency", "family", "incumbent")
    tables = without(tables, "reps", "fte", "ramp", "capacity_hours", "manager", "name")
    problem = validate_tables(tables, Policy())
    assert problem.reps["capacity_hours"].tolist() == [1800, 1800]
    assert problem.accounts["visits"].tolist() == [6] * 4
    assert problem.accounts["name"].tolist() == ["A-1", "A-2", "A-3", "A-4"]
    found = {(issue.table, issue.column) for issue in problem.issues if issue.row == 0}
    assert found == {
        ("accounts.csv", "workload"),
        ("accounts.csv", "visits"),
        ("accounts.csv", "incumbent"),
        ("reps.csv", "fte"),
        ("reps.csv", "ramp"),
        ("reps.csv", "capacity_hours"),
        ("reps.csv", "manager"),
    }


# --- both doors, size, and abuse -------------------------------------------------------------------------


def typed() -> Tables:
    accounts, reps = (frame.replace("", None) for frame in good().values())
    numbers = ["lat", "lon", "potential", "workload", "visits", "current_sales"]
    accounts[numbers] = accounts[numbers].astype(float)
    reps[["lat", "lon", "fte", "last_quota"]] = reps[["lat", "lon", "fte", "last_quota"]].astype(float)
    reps[["ramp", "capacity_hours"]] = reps[["ramp", "capacity_hours"]].astype(int)
    for column in ("start_date", "end_date"):
        reps[column] = pd.to_datetime(reps[column])
    frame = text_frame(SALES)
    frame["month"] = pd.PeriodIndex(frame["month"], freq="M")
    frame["sales"] = frame["sales"].astype(int)
    return {"accounts": accounts, "reps": reps, "sales": frame}


def test_typed_frames_and_text_give_the_same_problem(tmp_path: Path) -> None:
    tables = typed()
    from_files = {}
    for name, frame in tables.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        from_files[name] = read_table(name, TableSource(path=f"{name}.csv"), tmp_path)
    one = Problem.from_tables(**tables)
    two = Problem.from_tables(**from_files)
    for name in ("accounts", "reps", "managers", "sales", "rules"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name), check_exact=True)
    assert [(i.row, i.column, i.problem.replace(".csv", "")) for i in two.issues] == [
        (i.row, i.column, i.problem) for i in one.issues
    ]


def test_a_checked_problem_is_good_input() -> None:
    tables = good()
    tables["reps"]["region"] = ["North", "South"]
    first = validate_tables(tables, Policy())
    again = Problem.from_tables(first.accounts, first.reps, managers=first.managers, sales=first.sales)
    pd.testing.assert_frame_equal(again.reps, first.reps)
    pd.testing.assert_frame_equal(again.managers, first.managers)


def test_two_hundred_thousand_accounts() -> None:
    n, m = 200_000, 300
    random = np.random.default_rng(0)
    accounts = pd.DataFrame(
        {
            "account_id": [f"A-{i}" for i in range(n)],
            "lat": random.uniform(47, 55, n).round(5).astype(str),
            "lon": random.uniform(6, 15, n).round(5).astype(str),
            "incumbent": [f"R-{i}" for i in random.integers(0, m, n)],
            "potential": random.lognormal(10, 1, n).round(2).astype(str),
        }
    )
    accounts.loc[[5, 150_000], "incumbent"] = ["R-999", "R-1000"]
    reps = pd.DataFrame({"rep_id": [f"R-{i}" for i in range(m)]})
    assert len(errors({"accounts": accounts, "reps": reps})) == 2
    accounts.loc[[5, 150_000], "incumbent"] = ""
    assert validate_tables({"accounts": accounts, "reps": reps}, Policy()).n_accounts == n


GARBAGE = st.one_of(
    st.sampled_from(["", " ", "-1", "nan", "inf", "1e999", "1,5", "R-1", "A-1", "Kim", "M-1", "2026-01-01", "'", '"']),
    st.sampled_from([";", ":", ",", "\n", "\t", "NULL", "\u0661", "[", "(", "\\", "company", "9" * 400, "POINT (1 1)"]),
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=8),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_give_findings_or_all_accounts(tmp_path: Path, data: st.DataObject) -> None:
    lines = {name: frame.to_csv(index=False) for name, frame in {**good(), "sales": sales()}.items()}
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(lines)))
        text = lines[name]
        start = data.draw(st.integers(0, len(text)))
        stop = min(len(text), start + data.draw(st.integers(0, 6)))
        lines[name] = text[:start] + data.draw(GARBAGE) + text[stop:]
    try:
        tables = {}
        for name, text in lines.items():
            (tmp_path / f"{name}.csv").write_bytes(text.encode())
            tables[name] = read_table(name, TableSource(path=f"{name}.csv"), tmp_path)
        problem = validate_tables(tables, Policy.model_validate(skills(preferred=["industry"])))
    except DataError:
        return
    assert problem.n_accounts == len(tables["accounts"])
    assert problem.n_reps == len(tables["reps"])
    assert np.isfinite(problem.accounts[["lat", "lon", "potential", "current_sales"]].to_numpy()).all()
    assert np.isfinite(problem.reps[["lat", "lon", "fte", "capacity_hours"]].to_numpy()).all()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_cells_give_findings_or_all_accounts(data: st.DataObject) -> None:
    tables = {**good(), "sales": sales(), "managers": managers()}
    tables["rules"] = text_frame("rule,account_id,rep_id,reason,expires\nlock,A-1,R-1,x,2028-01-01")
    tables["quota_history"] = text_frame("rep_id,period_start,quota\nR-1,2026-01-01,5")
    tables["units"] = units(geometry=True)
    values = st.one_of(
        GARBAGE, st.integers(), st.floats(), st.none(), st.booleans(), st.just(pd.Timestamp("2026-05-05"))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(tables)))
        frame = tables[name].astype(object)
        frame.iloc[data.draw(st.integers(0, len(frame) - 1)), data.draw(st.integers(0, frame.shape[1] - 1))] = (
            data.draw(values)
        )
        tables[name] = frame
    policy = Policy.model_validate(skills(preferred=["industry"], from_history=["industry"]))
    try:
        problem = validate_tables(tables, policy)
    except DataError:
        return
    assert problem.n_accounts == 4


def test_sales_in_the_plan_year_and_missing_months_are_said() -> None:
    found = warnings({**good(), "sales": sales("A-1,2027-03,3,R-2")})
    assert any("1 row lies in the plan year or after it" in text for text in found)
    assert any("no account has a row in 2026-02" in text for text in found)
    later = Policy.model_validate({"period": {"start": "2027-05-01"}})
    texts = [str(issue) for issue in validate_tables({**good(), "sales": sales()}, later).issues]
    assert any("the history ends 4 months before the plan year" in text for text in texts)


# --- what a history holds -------------------------------------------------------------------------------------


def history(rows: list[tuple[str, str, float, str]]) -> Problem:
    """Three accounts of three reps with the sales given: account, month, amount, seller."""
    accounts = pd.DataFrame(
        {"account_id": ["A", "B", "C"], "lat": 48.0, "lon": [9.0, 9.5, 10.0], "incumbent": ["R", "S", "T"],
         "potential": 1000.0}
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": ["R", "S", "T"], "lat": 48.0, "lon": [9.0, 9.5, 10.0]})
    return Problem.from_tables(
        accounts, reps, sales=pd.DataFrame(rows, columns=["account_id", "month", "sales", "rep_id"])
    )


def said(problem: Problem, column: str) -> list[tuple[str, str]]:
    return [(issue.severity, issue.problem) for issue in problem.issues if issue.column == column]


def test_returns_are_counted_and_said() -> None:
    found = history([("A", "2026-05", 100.0, "R"), ("A", "2026-06", -30.0, "R"), ("B", "2026-06", -5.5, "S")])
    assert ("warning", "2 amounts are below zero, -35.50 in all (A, B): they count as returns of that month") in said(
        found, "sales"
    )
    assert found.sales["sales"].sum() == 64.5
    fine = said(history([("A", "2026-05", 100.0, "R")]), "sales")
    assert not [text for _, text in fine if "below zero" in text]


def test_less_than_a_year_of_history_is_said() -> None:
    months = pd.period_range("2025-06", "2026-06", freq="M").astype(str)
    texts = [
        [found for found in said(history([("A", month, 10.0, "R") for month in months[-count:]]), "month")
         if "months of history" in found[1]]
        for count in (5, 12, 13)
    ]  # fmt: skip
    ((kind, text),) = texts[0]
    assert kind == "warning"
    assert text.startswith("only 5 months of history are given: sums of the last 12 months are of 5 months")
    assert texts[1:] == [[], []]


def test_a_gap_of_one_steady_account_is_said() -> None:
    """Also where others sell in those months; accounts that buy now and then have no gaps."""
    months = pd.period_range("2024-01", "2026-06", freq="M").astype(str)
    rows = [("A", month, 10.0, "R") for month in months if not "2025-03" <= month <= "2025-06"]
    rows += [("B", month, 5.0, "S") for month in months]
    rows += [("C", month, 5.0, "T") for month in months[::4]]
    texts = [text for _, text in said(history(rows), "month") if "nearly every month" in text]
    assert texts == [
        "1 account that sells nearly every month has no rows for 3 months or more (A from 2025-03 to 2025-06): "
        "they count as months without sales"
    ]
    without = [row for row in rows if row[0] != "A"]
    assert not [text for _, text in said(history(without), "month") if "nearly every month" in text]


def test_a_month_of_long_ago_does_not_make_decades_without_sales() -> None:
    """What lies before a year without any sales is left out, and named; a shorter gap is a gap."""
    months = pd.period_range("2025-01", "2026-06", freq="M").astype(str)
    rows = [("A", month, 10.0, "R") for month in months]
    plain, old = history(rows), history([("B", "2002-10", 777.0, "S"), *rows])
    assert (
        "warning",
        "1 row lies before 266 months without any sales (2002-10 to 2025-01): left out of everything",
    ) in said(old, "month")
    pd.testing.assert_frame_equal(old.sales, plain.sales)
    late = history([*rows, ("B", "2038-12", 777.0, "S")])
    assert len(late.sales) == len(rows) + 1
    assert late.accounts["current_sales"].tolist() == plain.accounts["current_sales"].tolist()
    nothing = history([("B", "2002-10", 777.0, "S"), ("B", "2012-10", 0.0, "S"), *rows])
    assert len(nothing.sales) == len(rows)
    near = history([("B", "2024-06", 777.0, "S"), *rows])
    assert len(near.sales) == len(rows) + 1
    assert [text for _, text in said(near, "month") if "no account has a row in" in text]


def test_the_row_of_long_ago_is_that_of_the_file() -> None:
    """Rows of accounts that are not in the table, and repeats, stand before it and do not shift it."""
    months = pd.period_range("2025-01", "2026-06", freq="M").astype(str)
    rows = [("Z", "2026-01", 1.0, ""), ("A", "2026-06", 1.0, "R"), *(("A", month, 10.0, "R") for month in months)]
    found = history([*rows, ("B", "2002-10", 777.0, "S")])
    (issue,) = (issue for issue in found.issues if "266 months without any sales" in issue.problem)
    assert issue.row == 2 + len(rows)  # the first line holds the names of the columns


def test_a_mistyped_month_after_the_history_does_not_replace_it() -> None:
    months = pd.period_range("2023-01", "2024-06", freq="M").astype(str)
    rows = [("A", month, 10.0, "R") for month in months]
    with pytest.raises(DataError, match="2 rows lie after"):
        history([*rows, ("A", "2025-11", 10.0, "R"), ("A", "2026-11", 10.0, "R")])
    with pytest.raises(DataError) as caught:
        history([*rows, ("A", "2026-06", 10.0, "R")])
    (issue,) = (issue for issue in caught.value.issues if issue.severity == "error")
    assert (issue.row, issue.column, issue.value) == (20, "month", "2026-06")
    assert issue.problem == (
        "1 row lies after 23 months without any sales (2024-06 to 2026-06), but there are 18 before"
    )
    assert issue.fix == "correct the month, add the months that are missing, or take the rows before out of the table"


def test_an_account_that_changed_rep_during_the_year_is_said() -> None:
    months = pd.period_range("2025-01", "2026-06", freq="M").astype(str)
    rows = [("A", month, 10.0, "R" if month < "2026-03" else "S") for month in months]
    rows += [("B", month, 5.0, "T" if month < "2025-03" else "S") for month in months]
    rows += [("C", month, 5.0, rep) for month in months for rep in "RT"]  # a team sells it all along
    rows += [("B", "2026-04", -5.0, "R"), ("B", "2026-05", 0.0, "R")]  # a return and a nothing are no sales
    found = said(history(rows), "rep_id")
    assert [severity for severity, _ in found] == ["imputed"]
    assert found[0][1].startswith("1 account changed rep in the last 12 months (A from R to S): expected")


def test_a_rep_whose_accounts_never_sold_is_said() -> None:
    found = history([("A", "2026-05", 100.0, ""), ("B", "2026-06", 100.0, "")])
    assert said(found, "rep_id") == [
        ("warning", "the one account of this rep has no sales on record: what is expected of them comes from potential "
         "and segment alone")
    ]  # fmt: skip
    assert found.issues[-1].row == 4
    everyone = [(account, "2026-05", 1.0, "") for account in "ABC"]
    assert said(history(everyone), "rep_id") == []


def test_a_row_in_the_plan_year_changes_nothing_that_is_known_before_it() -> None:
    months = pd.period_range("2025-01", "2026-12", freq="M").astype(str)
    rows = [(account, month, 10.0, rep) for account, rep in zip("ABC", "RST", strict=True) for month in months]
    clean, stray = history(rows), history([*rows, ("A", "2027-12", 777.0, "R")])
    assert stray.accounts["current_sales"].tolist() == clean.accounts["current_sales"].tolist() == [120.0] * 3
    assert stray.reps["last_sales"].tolist() == clean.reps["last_sales"].tolist() == [120.0] * 3
    texts = [text for _, text in said(stray, "month")]
    assert texts == ["1 row lies in the plan year or after it, which is not known before it: left out"]


# --- last year's figures --------------------------------------------------------------------------------------


def test_a_plan_of_half_a_year_is_held_against_half_a_year() -> None:
    """Quotas, sales and current sales of the months that the plan has; quotas of the plan year are not last year's."""
    months = pd.period_range("2025-01", "2026-12", freq="M").astype(str)
    rows = [("A", month, 100.0 if month[-2:] <= "06" else 10.0, "R") for month in months]
    quotas = pd.DataFrame(
        {"rep_id": "R", "period_start": ["2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01", "2027-01-01"],
         "quota": [1.0, 2.0, 4.0, 8.0, 1000.0]}
    )  # fmt: skip
    accounts = pd.DataFrame({"account_id": ["A"], "lat": 48.0, "lon": 9.0, "incumbent": "R", "potential": 1000.0})
    reps = pd.DataFrame({"rep_id": ["R"], "lat": 48.0, "lon": 9.0})

    def found(months: int, sales: pd.DataFrame | None) -> tuple[float, float]:
        policy = Policy.model_validate({"period": {"months": months}})
        given = accounts if sales is not None else accounts.assign(current_sales=500.0)
        problem = Problem.from_tables(given, reps, sales=sales, quota_history=quotas, policy=policy)
        assert any("1 row lies in the plan year" in issue.problem for issue in problem.issues)
        return float(problem.reps["last_quota"].iloc[0]), float(problem.reps["last_sales"].iloc[0])

    sold = pd.DataFrame(rows, columns=["account_id", "month", "sales", "rep_id"])
    assert found(12, sold) == (15.0, 660.0)
    assert found(6, sold) == (3.0, 600.0)
    assert found(6, None) == (3.0, 250.0)


QUARTERS = ["2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01"]


@pytest.mark.parametrize(
    ("starts", "quotas", "period", "expected"),
    [
        (["2026-01-01"], [1200], {"months": 6}, 600),  # a year of which half counts
        (["2026-01-01"], [1200], {"months": 6, "start": "2027-07-01"}, 600),
        (["2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01"], [3, 6, 12, 24], {"months": 2}, 2),
        (
            ["2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01"],
            [3, 6, 12, 24],
            {"months": 3, "start": "2027-02-01"},
            4,
        ),
        # Dated the last day before: each counts from the next month, the last is the plan year's own.
        (["2025-12-31", "2026-03-31", "2026-06-30", "2026-09-30", "2026-12-31"], [1, 2, 4, 8, 1000], {}, 15),
        (["2027-01-01"], [5000], {}, None),
    ],
)
def test_last_quota_is_of_the_same_months(
    starts: list[str], quotas: list[float], period: dict[str, object], expected: float | None
) -> None:
    accounts = pd.DataFrame({"account_id": ["A"], "lat": 48.0, "lon": 9.0, "incumbent": "R", "potential": 1000.0})
    reps = pd.DataFrame({"rep_id": ["R"], "lat": 48.0, "lon": 9.0})
    history = pd.DataFrame({"rep_id": "R", "period_start": starts, "quota": quotas})
    policy = Policy.model_validate({"period": period, "quotas": {"periods": "year"}})
    problem = Problem.from_tables(accounts, reps, quota_history=history, policy=policy)
    found = float(problem.reps["last_quota"].iloc[0])
    assert found == pytest.approx(expected) if expected is not None else np.isnan(found)
    late = [issue.problem for issue in problem.issues if "in the plan year or after it" in issue.problem]
    assert len(late) == (starts[-1] in ("2026-12-31", "2027-01-01"))


def test_last_quota_of_one_rep_does_not_hang_on_others() -> None:
    """Annual quotas of R, one of S who came in November: each counts in full, as does R's after a year without."""
    accounts = pd.DataFrame({"account_id": ["A"], "lat": 48.0, "lon": 9.0, "incumbent": "R", "potential": 1000.0})
    reps = pd.DataFrame({"rep_id": ["R", "S"], "lat": 48.0, "lon": 9.0})

    def found(starts: list[str], names: str, quotas: list[float]) -> list[float]:
        history = pd.DataFrame({"rep_id": list(names), "period_start": starts, "quota": quotas})
        return Problem.from_tables(accounts, reps, quota_history=history).reps["last_quota"].fillna(0.0).tolist()

    assert found(["2025-01-01", "2026-01-01", "2026-11-01"], "RRS", [1100, 1200, 100]) == [1200.0, 100.0]
    assert found(["2020-01-01", "2026-01-01"], "RR", [1100, 1200]) == [1200.0, 0.0]


def test_sales_of_the_same_months_without_sellers() -> None:
    months = pd.period_range("2025-01", "2026-12", freq="M").astype(str)
    rows = [("A", month, 100.0 if month[-2:] <= "06" else 10.0) for month in months]
    accounts = pd.DataFrame({"account_id": ["A"], "lat": 48.0, "lon": 9.0, "incumbent": "R", "potential": 1000.0})
    reps = pd.DataFrame({"rep_id": ["R"], "lat": 48.0, "lon": 9.0})
    policy = Policy.model_validate({"period": {"months": 6}})
    sales = pd.DataFrame(rows, columns=["account_id", "month", "sales"])
    problem = Problem.from_tables(accounts, reps, sales=sales, policy=policy)
    assert problem.reps["last_sales"].tolist() == [600.0]


def test_quotas_of_years_ago_are_said() -> None:
    tables = good()
    tables["quota_history"] = text_frame("rep_id,period_start,quota\nR-1,2023-01-01,5")
    assert any("the quotas end with 2023-01" in text for text in warnings(tables))
