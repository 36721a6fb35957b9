"""Read one sheet of a workbook, however small its file and however large what it unpacks to."""

from __future__ import annotations

import difflib
import warnings
import zipfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from territory_opt.intake.table_file import TableFile, fold
from territory_opt.intake.workbook_parts import Parts, TooManyTagsError
from territory_opt.problem.limits import (
    LARGEST_UNPACKED,
    LONGEST_GAP,
    MOST_CELLS,
    MOST_COLUMNS,
    MOST_ROWS,
    MOST_STRAY,
)
from territory_opt.words import brief, listed

_Row = list[Any]
_SMALLER = "save the table as CSV or Parquet, which take less room"
_BARE = "copy the table into a new workbook, or save it as CSV or Parquet"
_AGAIN = "open it in a spreadsheet program and save it as .xlsx"
_MOST_SHEETS = 10
"""Sheets that a message names. A choice of looks."""


def read_workbook(file: TableFile) -> pd.DataFrame:
    """Return the sheet, cells in their types; raise :class:`DataError` for whatever is wrong with the file."""
    _check_size(file)
    with ExitStack() as stack:
        with _readable(file):
            archive = stack.enter_context(Parts(file.path))
            book = _opened(archive, file.path)
            names = [str(name) for name in book.sheetnames]
        name = _sheet_name(file, names)
        with _readable(file):
            sheet = book[name]
        rows = _rows(file, stack.enter_context(closing(_parsed(sheet))))
    return _grid(file, rows)


def _opened(archive: Parts, path: Path) -> Any:
    """Return the workbook of an archive, as ``openpyxl.load_workbook`` does that of a file."""
    from openpyxl.reader.excel import ExcelReader

    reader = ExcelReader(path, read_only=True, data_only=True, keep_links=False)
    reader.archive.close()
    reader.archive = archive
    reader.read()
    return reader.wb


def _check_size(file: TableFile) -> None:
    """Refuse an archive that says of itself that it unpacks to more than the limit."""
    with _readable(file), zipfile.ZipFile(file.path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > LARGEST_UNPACKED:
        limit = f"{LARGEST_UNPACKED // 2**20:,} MiB"
        file.stop(f"unpacks to {unpacked // 2**20:,} MiB, more than the {limit} that are read", _SMALLER)


@contextmanager
def _readable(file: TableFile) -> Iterator[None]:
    """Turn whatever the reader of workbooks raises into the user's news: a damaged file raises nearly anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MemoryError:
        raise
    except TooManyTagsError as error:
        file.stop(str(error), _BARE)
    except Exception as error:
        said = brief(str(error) or type(error).__name__, most=200)
        file.stop(f"cannot be read as a workbook ({said})", _AGAIN)


def _sheet_name(file: TableFile, names: list[str]) -> str:
    wanted = file.source.sheet
    setting = f"tables.{file.table}.sheet"
    if not names:
        file.stop("holds no sheets", _AGAIN)
    if wanted in names:
        return str(wanted)
    if wanted is not None:
        near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)
        file.stop(f'no sheet "{brief(wanted)}"', f"nearest: {brief(near[0])}" if near else "")
    same = [name for name in names if fold(name) == fold(file.table)]
    if len(names) > 1 and not same:
        shown = listed([brief(name) for name in names], most=_MOST_SHEETS)
        file.stop(f"holds {len(names)} sheets ({shown})", f"set {setting} to one of them")
    return same[0] if same else names[0]


def _parsed(sheet: Any) -> Generator[tuple[int, list[dict[str, Any]]], None, None]:
    """Yield the rows that the sheet writes down, each with its number and cells.

    Openpyxl's own walk makes every row between them too, be it a thousand million of them, and leaves out what stands
    in another order.
    """
    from openpyxl.worksheet._reader import WorkSheetParser

    book = sheet.parent
    with sheet._get_source() as source:
        parser = WorkSheetParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        source.row_by_row()
        for found in parser.parse():
            source.row_by_row()
            yield found


def _rows(file: TableFile, parsed: Iterator[tuple[int, list[dict[str, Any]]]]) -> list[tuple[int, _Row]]:
    """Return the rows that are not empty, each with its number in the sheet."""
    rows: list[tuple[int, _Row]] = []
    cells_seen = last = 0
    while True:
        with _readable(file):
            found = next(parsed, None)
        if found is None:
            return rows
        number, row = found[0], _values(file, *found, after=last)
        cells_seen, last = cells_seen + len(row), number
        if cells_seen > MOST_CELLS:
            fix = f"delete what lies beside the table, or {_SMALLER}"
            file.stop(f"holds more than the {MOST_CELLS:,} cells that are read, empty ones included", fix)
        while row and (row[-1] is None or row[-1] == ""):
            row.pop()
        if row:
            rows.append((number, row))


def _values(file: TableFile, number: int, cells: list[dict[str, Any]], *, after: int) -> _Row:
    """Return the values of a row up to its last cell; rows and cells without a place of their own are damage."""
    columns = [cell["column"] for cell in cells]
    width = max(columns, default=0)
    if number > MOST_ROWS:
        file.stop(f"claims to have more than {MOST_ROWS:,} rows, the most that a sheet has", _AGAIN)
    if width > MOST_COLUMNS:
        file.stop(f"claims to have more than {MOST_COLUMNS:,} columns, the most that a sheet has", _AGAIN, row=number)
    if number <= after:
        file.stop(f"is damaged: row {number:,} comes after row {after:,}", _AGAIN)
    if len(set(columns)) < len(columns):
        file.stop("is damaged: two cells of the row are in one column", _AGAIN, row=number)
    row: _Row = [None] * width
    for column, cell in zip(columns, cells, strict=True):
        row[column - 1] = cell["value"]
    return row


def _grid(file: TableFile, rows: list[tuple[int, _Row]]) -> pd.DataFrame:
    """Make a frame of workbook rows: the first is the header, empty rows at the end are no rows."""
    if not rows:
        file.stop("the sheet is empty", "export it again with a header and rows")
    if rows[0][0] > 1:
        file.check_header([""])
    header = ["" if cell is None else str(cell).strip() for cell in rows[0][1]]
    file.check_header(header)
    body = _without_stray(file, rows[1:], header)
    if not body:
        file.error("holds a header but no rows", "export it again")
    width, last = len(header), 1
    for number, cells in body:
        file.report_empty(last + 1, number - 1)
        last = number
        if len(cells) > width:
            file.error(f"has {len(cells):,} cells, the header has {width:,}", row=number)
    file.raise_errors()
    padded = [cells + [None] * (width - len(cells)) for _, cells in body]
    return pd.DataFrame(padded, columns=header, dtype=object)


def _without_stray(file: TableFile, body: list[tuple[int, _Row]], header: list[str]) -> list[tuple[int, _Row]]:
    """Leave out what somebody has typed far below the table by accident, and say so: single cells, a few of them."""
    numbers = [1, *(number for number, _ in body)]
    gaps = [k for k in range(len(body)) if numbers[k + 1] - numbers[k] > LONGEST_GAP]
    if not gaps:
        return body
    stray = body[gaps[0] :]
    single = len(header) > 1 and all(sum(cell not in (None, "") for cell in cells) == 1 for _, cells in stray)
    if not single or len(stray) > MOST_STRAY or not gaps[0]:
        return body
    for number, cells in stray:
        empty = number - numbers[gaps[0]] - 1
        problem = f"a cell stands {empty:,} rows below the table; it is left out"
        file.warn(problem, "delete it", row=number, value=str(cells[-1]))
    return body[: gaps[0]]
