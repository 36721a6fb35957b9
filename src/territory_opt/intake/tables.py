"""Read the source files as they are: CSV, Excel, Parquet and maps; no cell is coerced here.

Everything that is wrong with a *file* (missing, empty, wrong delimiter, wrong encoding, ragged rows, columns
that cannot be found) is reported here, all findings of a file at once; what is wrong with a *cell* is found by
:mod:`territory_opt.intake.validate`.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from territory_opt.errors import DataError, Issue, ScenarioError
from territory_opt.geography.sphere import WGS84
from territory_opt.problem.policy import Settings
from territory_opt.problem.schema import TABLES
from territory_opt.words import MOST_NAMED

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")
_TEXT = {".csv", ".tsv", ".tab", ".txt"}
_WORKBOOK = {".xlsx", ".xlsm"}
_PARQUET = {".parquet", ".pq"}
_MAP = {".geojson", ".json", ".gpkg", ".shp"}
_DELIMITER_NAMES = {";": "semicolon", "\t": "tab", "|": "bar", ",": "comma"}
_CHUNK = 50_000
"""Rows of a text file that are turned into columns at a time: a million rows never stand in memory as lists."""
_LONGEST_CELL = 2**31 - 1
"""Characters: the most that the csv module takes on every platform."""
_ZIP = b"PK\x03\x04"
"""How a zip archive begins, and with it a workbook."""
_ALIKE = 0.4
"""Headers at least so similar to a wanted one are offered; less than for ids, as there are few to choose from."""
_MOST_HEADERS = 3
"""Similar headers offered; without any, the first ``MOST_NAMED`` of the file."""


class TableSource(Settings):
    """Where one table is and how its file is written.

    ``columns`` maps the names of ``docs/data-formats.md`` to the names in the file. ``sheet`` is the sheet of
    a workbook or the layer of a map file. ``date_format`` is written as for strptime, for example ``%d.%m.%Y``.
    """

    path: str
    sheet: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = None
    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    date_format: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)


def expand_path(text: str, folder: Path) -> Path:
    """Return the path a scenario means: ``${NAME}`` and ``${NAME:-default}`` filled in, relative to ``folder``.

    Raises :class:`ScenarioError` for a variable that is not set, and for a relative path without a variable
    that leaves the folder.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if found is None:
            raise ScenarioError(
                f'"{text}" needs the environment variable {match[1]}, which is not set; '
                f"run: export {match[1]}=/path/to/folder, or write a default: ${{{match[1]}:-data}}"
            )
        return found

    expanded = _VARIABLE.sub(value, text)
    if "${" in expanded:
        raise ScenarioError(f'"{text}" has a variable that is not well formed; write ${{NAME}} or ${{NAME:-default}}')
    path = Path(expanded)
    if path.is_absolute():
        return path
    normal = os.path.normpath(expanded)
    if expanded == text and Path(normal).parts[:1] == (os.pardir,):
        raise ScenarioError(
            f'"{text}" leaves the folder of the scenario; move the file into it, '
            "or name its folder by an absolute path or an environment variable: ${DATA}/file.csv"
        )
    return folder / normal


def read_table(name: str, source: TableSource, folder: Path) -> pd.DataFrame:
    """Read table ``name`` from ``source``, columns renamed to the names this library knows.

    CSV cells stay text; workbooks, Parquet and map files keep their types. ``attrs`` of the frame hold
    ``file``, ``decimal``, ``thousands`` and ``date_format``. Row ``i`` of the frame is row ``i + 2`` of the
    file (a quoted cell with line breaks belongs to one row). Raises :class:`DataError` with every finding.
    """
    path = expand_path(source.path, folder)
    file = _File(name, source, path)
    if not path.is_file():
        file.stop("no such file", _nearest_file(path))
    frame = _read_raw(file)
    file.raise_errors()
    frame = _rename(file, frame)
    file.raise_errors()
    frame.attrs = {
        "file": path.name,
        "decimal": source.decimal,
        "thousands": source.thousands,
        "date_format": source.date_format,
    }
    return frame


class _File:
    """One file being read, and what was found wrong with it."""

    def __init__(self, table: str, source: TableSource, path: Path) -> None:
        self.table = table
        self.source = source
        self.path = path
        self.issues: list[Issue] = []

    def error(self, problem: str, fix: str = "", *, row: int = 0, column: str = "", value: str = "") -> None:
        self.issues.append(Issue("error", self.path.name, row, column, value, problem, fix))

    def stop(self, problem: str, fix: str = "", *, row: int = 0, column: str = "", value: str = "") -> None:
        self.error(problem, fix, row=row, column=column, value=value)
        self.raise_errors()

    def raise_errors(self) -> None:
        if self.issues:
            raise DataError(self.issues)


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent.name} either"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"nearest: {near[0]}" if near else "put the file beside the scenario or correct the name"


def _read_raw(file: _File) -> pd.DataFrame:
    kind = file.path.suffix.lower()
    if kind in _TEXT:
        return _read_text(file)
    if kind in _WORKBOOK:
        return _read_workbook(file)
    if kind in _PARQUET:
        return _read_parquet(file)
    if kind in _MAP:
        return _read_map(file)
    fix = "save it as .xlsx" if kind == ".xls" else "use .csv, .tsv, .xlsx, .parquet, .geojson or .gpkg"
    file.stop(f'files of kind "{kind}" cannot be read', fix)
    raise AssertionError("unreachable")


def _read_text(file: _File) -> pd.DataFrame:
    text = _decode(file, file.path.read_bytes())
    if not text.strip():
        file.stop("the file is empty", "export it again with a header and rows")
    delimiter = file.source.delimiter or ("\t" if file.path.suffix.lower() in (".tsv", ".tab") else ",")
    # Polygons as text are longer than the csv module's cautious limit; the limit is put back afterwards.
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = _check_header(file, next(rows), delimiter)
        return _collect(file, header, rows)
    except csv.Error as error:
        file.stop(f"the quotes of the file do not match ({error})", 'write a quote inside a quoted cell as ""')
        raise
    finally:
        csv.field_size_limit(limit)


def _decode(file: _File, raw: bytes) -> str:
    setting = f"tables.{file.table}.encoding"
    if raw.startswith(_ZIP):
        file.stop("is a workbook or zip archive, not text", "name it .xlsx or save it as CSV")
    encoding = file.source.encoding
    if encoding is None and raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        file.stop("is UTF-16 text", f'save it as "CSV UTF-8" or set {setting}: utf-16')
    try:
        text = raw.decode(encoding or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        wanted = "UTF-8" if encoding is None else encoding
        fix = f"set {setting}: latin-1" if encoding is None else f"correct {setting}"
        file.stop(f"is not {wanted} text (byte {error.start:,})", fix, row=row)
        raise
    except LookupError:
        file.stop(f'there is no encoding "{encoding}"', f"set {setting}: utf-8 or latin-1")
        raise
    if "\x00" in text:
        file.stop("holds NUL characters: a binary file or UTF-16 text", 'save it as "CSV UTF-8"')
    return text


def _check_header(file: _File, cells: Sequence[str], delimiter: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if not header:
        file.stop("the first row is empty", "put the header into the first row", row=1)
    if len(header) == 1:
        for other, word in _DELIMITER_NAMES.items():
            if other != delimiter and other in header[0]:
                shown = "\\t" if other == "\t" else other
                quote = '"' if other == "\t" else "'"
                file.stop(f"looks {word}-separated", f"set tables.{file.table}.delimiter: {quote}{shown}{quote}")
    _check_names(file, header)
    return header


def _check_names(file: _File, header: Sequence[str]) -> None:
    for position, column in enumerate(header, start=1):
        if not column:
            file.error(f"column {position} has no header", "name it or remove the column", row=1)
    for column, count in Counter(header).items():
        if column and count > 1:
            places = [str(i) for i, other in enumerate(header, start=1) if other == column]
            file.error(f"{count} columns have this header ({', '.join(places)})", "rename one", row=1, column=column)
    file.raise_errors()


def _collect(file: _File, header: list[str], rows: Iterator[list[str]]) -> pd.DataFrame:
    """Gather rows in chunks of typed text, so that a million rows do not live as Python lists."""
    width = len(header)
    chunks: list[pd.DataFrame] = []
    chunk: list[list[str]] = []
    empty_rows: list[int] = []
    for number, cells in enumerate(rows, start=2):
        if not cells:
            empty_rows.append(number)
            continue
        _report_gap(file, empty_rows)
        if len(cells) != width:
            fix = f'quote cells that hold the delimiter: "{cells[0]}, ..."' if len(cells) > width else ""
            file.error(f"has {len(cells)} cells, the header has {width}", fix, row=number)
            continue
        chunk.append(cells)
        if len(chunk) == _CHUNK:
            chunks.append(pd.DataFrame(chunk, columns=header, dtype=str))
            chunk = []
    if not chunks and not chunk and not file.issues:
        file.error("holds a header but no rows", "export it again")
    chunks.append(pd.DataFrame(chunk, columns=header, dtype=str))
    return pd.concat(chunks, ignore_index=True)


def _report_gap(file: _File, empty_rows: list[int]) -> None:
    """Report empty rows between filled ones (empty rows at the end of a file are no rows)."""
    for row in empty_rows:
        file.error("the row is empty", "delete it", row=row)
    empty_rows.clear()


def _read_workbook(file: _File) -> pd.DataFrame:
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(file.path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        file.stop(f"cannot be read as a workbook ({error})", "open it in a spreadsheet program and save it as .xlsx")
        raise
    try:
        sheet = book[_sheet_name(file, book.sheetnames)]
        sheet.reset_dimensions()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = [_trimmed(row) for row in sheet.iter_rows(values_only=True)]
    finally:
        book.close()
    return _grid(file, rows)


def _sheet_name(file: _File, names: list[str]) -> str:
    wanted = file.source.sheet
    setting = f"tables.{file.table}.sheet"
    if wanted in names:
        return str(wanted)
    if wanted is not None:
        near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)
        file.stop(f'no sheet "{wanted}"', f"nearest: {near[0]}" if near else "")
    same = [name for name in names if _fold(name) == _fold(file.table)]
    if len(names) > 1 and not same:
        file.stop(f"holds {len(names)} sheets ({', '.join(names)})", f"set {setting} to one of them")
    return same[0] if same else names[0]


def _trimmed(row: Iterable[Any]) -> list[Any]:
    cells = list(row)
    while cells and (cells[-1] is None or cells[-1] == ""):
        cells.pop()
    return cells


def _grid(file: _File, rows: list[list[Any]]) -> pd.DataFrame:
    """Make a frame of workbook rows: the first is the header, empty rows at the end are no rows."""
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        file.stop("the sheet is empty", "export it again with a header and rows")
    header = ["" if cell is None else str(cell).strip() for cell in rows[0]]
    _check_names(file, header)
    width = len(header)
    body = rows[1:]
    if not body:
        file.error("holds a header but no rows", "export it again")
    for number, cells in enumerate(body, start=2):
        if not cells:
            file.error("the row is empty", "delete it", row=number)
        elif len(cells) > width:
            file.error(f"has {len(cells)} cells, the header has {width}", row=number)
    file.raise_errors()
    padded = [cells + [None] * (width - len(cells)) for cells in body]
    return pd.DataFrame(padded, columns=header, dtype=object)


def _read_parquet(file: _File) -> pd.DataFrame:
    try:
        import pyarrow as pa
    except ImportError:
        file.stop("Parquet files need pyarrow", 'run: pip install "territory-opt[parquet]"')
        raise
    try:
        frame = pd.read_parquet(file.path, engine="pyarrow")
    except (pa.ArrowException, OSError, ValueError) as error:
        file.stop(f"cannot be read as Parquet ({error})", "write the file again")
        raise
    return _checked(file, frame.reset_index(drop=isinstance(frame.index, pd.RangeIndex)))


def _read_map(file: _File) -> pd.DataFrame:
    import geopandas as gpd

    try:
        frame = gpd.read_file(file.path, layer=file.source.sheet)
    except Exception as error:  # the drivers raise many kinds, none of them ours
        file.stop(f"cannot be read as a map file ({error})", "write it as GeoJSON or GeoPackage")
        raise
    if getattr(frame, "crs", None) is not None:
        frame = frame.to_crs(epsg=WGS84)
    return _checked(file, pd.DataFrame(frame))


def _checked(file: _File, frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.rename(columns=str)
    _check_names(file, [str(column).strip() for column in frame.columns])
    if frame.empty:
        file.error("holds no rows", "export it again")
    return frame


def _rename(file: _File, frame: pd.DataFrame) -> pd.DataFrame:
    """Give columns the names this library knows: the mapping first, then headers that differ in case or spaces."""
    headers = [str(column) for column in frame.columns]
    mapping = {wanted: _mapped(file, wanted, given, headers) for wanted, given in file.source.columns.items()}
    file.raise_errors()
    taken = set(mapping.values())
    free = [header for header in headers if header not in taken]
    for column in TABLES.get(file.table, ()):
        if column.name in mapping or column.name in headers:
            continue
        same = [header for header in free if _fold(header) == column.name]
        if len(same) > 1:
            fix = f"map one of them under tables.{file.table}.columns"
            file.error(f"{len(same)} columns could be this one: {', '.join(same)}", fix, column=column.name)
        elif same:
            mapping[column.name] = same[0]
    renamed = set(mapping.values())
    parts = {header: header for header in headers if header not in renamed}
    for wanted, header in mapping.items():
        if wanted in parts and header != wanted:
            fix = f"remove the mapping under tables.{file.table}.columns or rename the column in the file"
            file.error(f'the file has this column, and "{header}" is mapped to it too', fix, column=wanted)
        parts[wanted] = header
    out = frame[list(parts.values())].copy()
    out.columns = pd.Index(list(parts))
    return out


def _mapped(file: _File, wanted: str, given: str, headers: list[str]) -> str:
    if given in headers:
        return given
    same = [header for header in headers if _fold(header) == _fold(given)]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(given, headers, n=_MOST_HEADERS, cutoff=_ALIKE) or headers[:MOST_NAMED]
    shown = ", ".join(near)
    file.error(f'no column "{given}" to read {wanted} from', f"nearest: {shown}", column=wanted)
    return given


def _fold(text: str) -> str:
    return re.sub(r"[\s\-]+", "_", text.strip().lower())
