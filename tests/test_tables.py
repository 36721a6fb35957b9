"""Reading source files: what is accepted, and the sentence for everything that is not."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pandas as pd
import pytest

from territory_opt.errors import DataError, ScenarioError
from territory_opt.intake.table_source import TableSource
from territory_opt.intake.tables import expand_path, read_table

CSV = "account_id,name,potential\nA-1,Acme,100\nA-2,Birch,200\n"


def read(folder: Path, content: str | bytes, name: str = "accounts.csv", **source: object) -> pd.DataFrame:
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(raw)
    return read_table("accounts", TableSource(path=name, **source), folder)


def errors(folder: Path, content: str | bytes, name: str = "accounts.csv", **source: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(folder, content, name, **source)
    return [str(issue) for issue in caught.value.issues]


def test_cells_stay_text_and_attrs_say_how_to_read_them(tmp_path: Path) -> None:
    frame = read(tmp_path, CSV.replace("200", "NA"), decimal=",", thousands=".", date_format="%d.%m.%Y")
    assert frame["potential"].tolist() == ["100", "NA"]
    assert frame.attrs == {"file": "accounts.csv", "decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y"}


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, bom: str, end: str) -> None:
    frame = read(tmp_path, bom + CSV.replace("\n", end))
    assert frame["account_id"].tolist() == ["A-1", "A-2"]


def test_quoted_line_breaks_are_one_row(tmp_path: Path) -> None:
    text = 'account_id,name,potential\nA-1,"Acme\nLtd",1\nA-2,Birch\n'
    assert errors(tmp_path, text) == ["accounts.csv  row 3  has 2 cells, the header has 3"]


def test_tab_separated(tmp_path: Path) -> None:
    assert read(tmp_path, CSV.replace(",", "\t"), "accounts.tsv")["name"].tolist() == ["Acme", "Birch"]


def test_long_outline_in_a_cell(tmp_path: Path) -> None:
    wkt = "POLYGON ((" + ", ".join(f"{i} 0" for i in range(40_000)) + "))"
    assert read(tmp_path, f'unit_id,geometry\nU-1,"{wkt}"\n')["geometry"][0] == wkt


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "accounts.csv  the file is empty; export it again with a header and rows"),
        ("account_id,potential\n", "accounts.csv  holds a header but no rows; export it again"),
        (
            CSV.replace(",", ";"),
            "accounts.csv  looks semicolon-separated; set tables.accounts.delimiter: ';'",
        ),
        (CSV.replace(",", "\t"), 'accounts.csv  looks tab-separated; set tables.accounts.delimiter: "\\t"'),
        (
            CSV.encode("utf-16"),
            'accounts.csv  is UTF-16 text; save it as "CSV UTF-8" or set tables.accounts.encoding: utf-16',
        ),
        (
            CSV.replace("Birch", "Bäcker").encode("latin-1"),
            "accounts.csv  row 3  is not UTF-8 text (byte 44); set tables.accounts.encoding: latin-1",
        ),
        (
            "account_id,name,name\nA-1,x,y\n",
            "accounts.csv  row 1  name  2 columns have this header (2, 3); rename one",
        ),
        ("account_id,\nA-1,x\n", "accounts.csv  row 1  column 2 has no header; name it or remove the column"),
        ("a,b\n1,2\n\n3,4\n", "accounts.csv  row 3  the row is empty; delete it"),
        (
            "a,b\n1,2\nX,Y,Z\n",
            'accounts.csv  row 3  has 3 cells, the header has 2; quote cells that hold the delimiter: "X, ..."',
        ),
        (b"PK\x03\x04rest", "accounts.csv  is a workbook or zip archive, not text; name it .xlsx or save it as CSV"),
        (
            'a,b\n1,"2\n',
            "accounts.csv  the quotes of the file do not match (unexpected end of data); "
            'write a quote inside a quoted cell as ""',
        ),
        ("\na,b\n", "accounts.csv  row 1  the first row is empty; put the header into the first row"),
        (
            b"a,b\n1,\x00\n",
            'accounts.csv  holds NUL characters: a binary file or UTF-16 text; save it as "CSV UTF-8"',
        ),
    ],
)
def test_file_finding(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert errors(tmp_path, content) == [message]


def test_all_ragged_rows_at_once(tmp_path: Path) -> None:
    assert len(errors(tmp_path, "a,b\n1\n1,2\n3\n\n4\n")) == 4


def test_encoding_settings(tmp_path: Path) -> None:
    raw = CSV.replace("Acme", "Bäcker")
    assert read(tmp_path, raw.encode("latin-1"), encoding="latin-1")["name"][0] == "Bäcker"
    assert read(tmp_path, raw.encode("utf-16"), encoding="utf-16")["name"][0] == "Bäcker"
    for none in ("latin-99", "undefined", "hex", "a\0b"):
        with pytest.raises(ValueError, match="there is no encoding"):
            TableSource(path="accounts.csv", encoding=none)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text(CSV)
    with pytest.raises(DataError) as caught:
        read_table("accounts", TableSource(path="acounts.csv"), tmp_path)
    assert str(caught.value) == ("acounts.csv  no such file; nearest: accounts.csv\n1 error, nothing was written")


def test_unknown_kind(tmp_path: Path) -> None:
    assert errors(tmp_path, "x", "accounts.xls") == [
        'accounts.xls  files of kind ".xls" cannot be read; save it as .xlsx'
    ]


# --- columns ---------------------------------------------------------------------------------------------


def test_mapping_and_folded_headers(tmp_path: Path) -> None:
    text = "Account ID,Kaufkraft,Unit-Id,Industry\n1,2,3,4\n"
    frame = read(tmp_path, text, columns={"potential": "Kaufkraft", "trade": "industry"})
    assert sorted(frame.columns) == ["account_id", "potential", "trade", "unit_id"]


def test_mapped_column_that_is_not_there(tmp_path: Path) -> None:
    assert errors(tmp_path, CSV, columns={"workload": "potentail", "lat": "zz"}) == [
        'accounts.csv  workload  no column "potentail" to read workload from; nearest: potential, account_id',
        'accounts.csv  lat  no column "zz" to read lat from; nearest: account_id, name, potential',
    ]


def test_mapping_onto_an_existing_column(tmp_path: Path) -> None:
    assert errors(tmp_path, CSV, columns={"potential": "name"}) == [
        'accounts.csv  potential  the file has this column, and "name" is mapped to it too; '
        "remove the mapping under tables.accounts.columns or rename the column in the file"
    ]


def test_two_headers_for_one_column(tmp_path: Path) -> None:
    assert errors(tmp_path, "Account ID,ACCOUNT_ID\n1,2\n") == [
        "accounts.csv  account_id  2 columns could be this one: Account ID, ACCOUNT_ID; "
        "map one of them under tables.accounts.columns"
    ]


# --- other kinds of files --------------------------------------------------------------------------------


def workbook(folder: Path, sheets: dict[str, list[list[object]]], name: str = "plan.xlsx") -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(folder / name)


ROWS: list[list[object]] = [["Account ID", "potential"], [279, 1.5], ["A-2", "12,5"]]


def test_workbook_keeps_types(tmp_path: Path) -> None:
    workbook(tmp_path, {"Accounts": ROWS, "Reps": [["rep_id"], ["R-1"]]})
    frame = read_table("accounts", TableSource(path="plan.xlsx"), tmp_path)
    assert frame["account_id"].tolist() == [279, "A-2"]
    assert frame["potential"].tolist() == [1.5, "12,5"]


def test_workbook_findings(tmp_path: Path) -> None:
    workbook(tmp_path, {"Kunden": [*ROWS, [], ["A-3", 1, 2]], "Leer": []})
    cases = {
        None: "plan.xlsx  holds 2 sheets (Kunden, Leer); set tables.accounts.sheet to one of them",
        "Kunde": 'plan.xlsx  no sheet "Kunde"; nearest: Kunden',
        "Leer": "plan.xlsx  the sheet is empty; export it again with a header and rows",
        "Kunden": "plan.xlsx  row 4  the row is empty; delete it\nplan.xlsx  row 5  has 3 cells, the header has 2",
    }
    for sheet, message in cases.items():
        with pytest.raises(DataError) as caught:
            read_table("accounts", TableSource(path="plan.xlsx", sheet=sheet), tmp_path)
        assert "\n".join(str(issue) for issue in caught.value.issues) == message


def test_broken_workbook(tmp_path: Path) -> None:
    assert errors(tmp_path, "nonsense", "plan.xlsx") == [
        "plan.xlsx  cannot be read as a workbook (File is not a zip file); "
        "open it in a spreadsheet program and save it as .xlsx"
    ]


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"Account ID": [1], "potential": [2.0]}).to_parquet(tmp_path / "a.parquet")
    frame = read_table("accounts", TableSource(path="a.parquet"), tmp_path)
    assert frame.to_dict("records") == [{"potential": 2.0, "account_id": 1}]
    assert "cannot be read as Parquet" in errors(tmp_path, "x", "b.parquet")[0]


def test_map_file_comes_in_degrees(tmp_path: Path) -> None:
    import geopandas as gpd
    import shapely

    shapes = gpd.GeoDataFrame({"unit_id": ["U-1"]}, geometry=[shapely.box(10, 50, 11, 51)], crs=4326)
    shapes.to_crs(3857).to_file(tmp_path / "units.gpkg")
    frame = read_table("units", TableSource(path="units.gpkg"), tmp_path)
    assert type(frame) is pd.DataFrame
    assert frame["geometry"][0].bounds == pytest.approx((10, 50, 11, 51))


# --- paths -----------------------------------------------------------------------------------------------


def test_expand_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAN_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("PLAN_OTHER", raising=False)
    assert expand_path("sub/../a.csv", tmp_path) == tmp_path / "a.csv"
    assert expand_path("${PLAN_DATA}/a.csv", tmp_path) == tmp_path / "data" / "a.csv"
    assert expand_path("${PLAN_OTHER:-own}/a.csv", tmp_path) == tmp_path / "own" / "a.csv"
    assert expand_path("/srv/a.csv", tmp_path) == Path("/srv/a.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "${PLAN_OTHER}/a.csv",
            '"${PLAN_OTHER}/a.csv" needs the environment variable PLAN_OTHER, which is not set; '
            "run: export PLAN_OTHER=/path/to/folder, or write a default: ${PLAN_OTHER:-data}",
        ),
        (
            "x/../../a.csv",
            '"x/../../a.csv" leaves the folder of the scenario; move the file into it, '
            "or name its folder by an absolute path or an environment variable: ${DATA}/file.csv",
        ),
        (
            "${1}/a.csv",
            '"${1}/a.csv" has a variable that is not well formed; write ${NAME} or ${NAME:-default}',
        ),
    ],
)
def test_bad_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.delenv("PLAN_OTHER", raising=False)
    with pytest.raises(ScenarioError) as caught:
        expand_path(text, tmp_path)
    assert str(caught.value) == message


# --- what is said beside the rows -----------------------------------------------------------------------------


def units(folder: Path, *, closed: bool) -> pd.DataFrame:
    """Write a map of one square whose ring is closed or not, and read it."""
    ring = [[0, 0], [0, 1], [1, 1], [1, 0], *([[0, 0]] if closed else [])]
    square = {"type": "Polygon", "coordinates": [ring]}
    features = [{"type": "Feature", "properties": {"unit_id": "u1"}, "geometry": square}]
    (folder / "units.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return read_table("units", TableSource(path="units.geojson"), folder)


def test_a_ring_that_is_not_closed(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(DataError, match=r"cannot be read as a map file \(.*do not form a closed linestring"):
        units(tmp_path, closed=False)
    assert not recwarn.list


def test_what_the_reader_of_maps_warns_of_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import geopandas

    ordinary = geopandas.read_file

    def warned(*arguments: object, **options: object) -> object:
        for _ in range(2):
            warnings.warn("a ring is odd", RuntimeWarning, stacklevel=1)
        warnings.warn("a function is old", DeprecationWarning, stacklevel=1)
        return ordinary(*arguments, **options)

    monkeypatch.setattr(geopandas, "read_file", warned)
    (issue,) = units(tmp_path, closed=True).attrs["issues"]
    assert str(issue) == "units.geojson  the reader of maps warns: a ring is odd; correct the map"
    assert issue.severity == "warning"


@pytest.mark.parametrize("other", ["Potential", "POTENTIAL", "Account ID", "account-id"])
def test_a_column_that_is_nearly_another_one_is_named(tmp_path: Path, other: str) -> None:
    (tmp_path / "accounts.csv").write_text(f"account_id,potential,{other}\nA,1,2\n", encoding="utf-8")
    frame = read_table("accounts", TableSource(path="accounts.csv"), tmp_path)
    (issue,) = frame.attrs["issues"]
    assert (issue.severity, issue.column) == ("warning", other)
    assert f'differs from "{"account_id" if "ccount" in other else "potential"}" only in case' in issue.problem
    assert frame["potential"].tolist() == ["1"]


def test_nearly_equal_columns_that_are_attributes_or_mapped(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account_id,Pot,Potential,Tier,tier\nA,1,2,x,y\n", encoding="utf-8")
    source = TableSource(path="accounts.csv", columns={"potential": "Pot"})
    found = read_table("accounts", source, tmp_path).attrs["issues"]
    assert [issue.column for issue in found] == ["Potential", "Tier"]


def test_no_names_of_other_folders_are_offered(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "foreign" / "secret-accounts.csv").touch()
    for path in (tmp_path / "foreign" / "secret-acounts.csv", "/dev/stdim"):
        with pytest.raises(DataError, match=r"no such file; correct the path") as caught:
            read_table("accounts", TableSource(path=str(path)), tmp_path / "own")
        assert "nearest" not in str(caught.value)
