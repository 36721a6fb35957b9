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
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from territory_opt.errors import DataError, ScenarioError
from territory_opt.geography.sphere import WGS84
from territory_opt.intake.parquet_size import check_parquet
from territory_opt.intake.table_file import TableFile, fold, runs
from territory_opt.intake.table_source import TableSource
from territory_opt.intake.workbook import read_workbook
from territory_opt.paths import stays_in
from territory_opt.problem.schema import TABLES
from territory_opt.words import MOST_NAMED, UNWRITABLE, brief, listed

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")
_TEXT = (".csv", ".tsv", ".tab", ".txt")
_WORKBOOK = (".xlsx", ".xlsm")
_PARQUET = (".parquet", ".pq")
_MAP = (".geojson", ".json", ".gpkg", ".shp")
_DELIMITER_NAMES = {";": "semicolon", "\t": "tab", "|": "bar", ",": "comma"}
_CHUNK = 50_000
"""Rows of a text file that are turned into columns at a time: a million rows never stand in memory as lists."""
_LONGEST_CELL = 2**31 - 1
"""Characters: the most that the csv module takes on every platform."""
_ZIP = b"PK\x03\x04"
"""How a zip archive begins, and with it a workbook."""
_LONGEST_CAUSE = 200
"""Characters of what a reader of files says. A choice of looks."""
_ALIKE = 0.4
"""Headers at least so similar to a wanted one are offered; less than for ids, as there are few to choose from."""
_MOST_HEADERS = 3
"""Similar headers offered; without any, the first ``MOST_NAMED`` of the file."""


def expand_path(text: str, folder: Path) -> Path:
    """Return the path a scenario means: ``${NAME}`` and ``${NAME:-default}`` filled in, relative to ``folder``.

    Raises :class:`ScenarioError` for a variable that is not set, and for a relative path without a variable
    that leaves the folder, by itself or through a symbolic link.
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
    inside = folder / normal
    if expanded == text and not stays_in(inside, folder):
        raise ScenarioError(
            f'"{text}" is a link that leaves the folder of the scenario; copy the file into it, '
            "or name its folder by an absolute path or an environment variable: ${DATA}/file.csv"
        )
    return inside


def read_table(name: str, source: TableSource, folder: Path) -> pd.DataFrame:
    """Read table ``name`` from ``source``, columns renamed to the names this library knows.

    CSV cells stay text; workbooks, Parquet and map files keep their types. ``attrs`` of the frame hold
    ``file``, ``decimal``, ``thousands`` and ``date_format``. Row ``i`` of the frame is row ``i + 2`` of the
    file (a quoted cell with line breaks belongs to one row). Raises :class:`DataError` with every finding.
    """
    return read_file(name, source, expand_path(source.path, folder), folder)


def read_file(name: str, source: TableSource, path: Path, folder: Path | None = None) -> pd.DataFrame:
    """Read table ``name`` from the file at ``path``, written as ``source`` says; else like :func:`read_table`.

    If there is none, a file of a similar name is offered: one that lies in ``folder``, where that is given.
    """
    file = TableFile(name, source, path)
    if not _is_file(path):
        told = folder is None or stays_in(path.parent, folder)
        file.stop("no such file", _nearest_file(path) if told else "correct the path")
    try:
        frame = _read_raw(file)
    except MemoryError:
        file.stop("needs more memory than there is", "close other programs, or split the table")
    file.raise_errors()
    frame = _rename(file, frame)
    file.raise_errors()
    frame.attrs = {
        "file": file.path.name,
        "decimal": source.decimal,
        "thousands": source.thousands,
        "date_format": source.date_format,
    }
    if file.warnings:
        frame.attrs["issues"] = tuple(file.warnings)
    return frame


def _is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _nearest_file(path: Path) -> str:
    try:
        if not path.parent.is_dir():
            return f"there is no folder {brief(path.parent.name)} either"
    except (OSError, ValueError):
        return "no file can have this name; correct the path"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"nearest: {brief(near[0])}" if near else "put the file beside the scenario or correct the name"


def _read_raw(file: TableFile) -> pd.DataFrame:
    kind = file.path.suffix.lower()
    readers = {_TEXT: _read_text, _WORKBOOK: read_workbook, _PARQUET: _read_parquet, _MAP: _read_map}
    found = [read for kinds, read in readers.items() if kind in kinds]
    if not found:
        fix = "save it as .xlsx" if kind == ".xls" else "use .csv, .tsv, .xlsx, .parquet, .geojson or .gpkg"
        file.stop(f'files of kind "{brief(kind)}" cannot be read', fix)
    return found[0](file)


def _read_text(file: TableFile) -> pd.DataFrame:
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
    finally:
        csv.field_size_limit(limit)


def _decode(file: TableFile, raw: bytes) -> str:
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
    except ValueError as error:  # what codecs raise that know no place
        file.stop(f"is not {encoding} text ({_said(error)})", f"set {setting}: utf-8 or latin-1")
    if encoding is not None and UNWRITABLE.search(text.replace("\x00", "")):
        file.stop(f"is not {encoding} text: it holds halves of characters", f"correct {setting}")
    if "\x00" in text:
        file.stop("holds NUL characters: a binary file or UTF-16 text", 'save it as "CSV UTF-8"')
    return text


def _check_header(file: TableFile, cells: Sequence[str], delimiter: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if not header:
        file.stop("the first row is empty", "put the header into the first row", row=1)
    if len(header) == 1:
        for other, word in _DELIMITER_NAMES.items():
            if other != delimiter and other in header[0]:
                shown = "\\t" if other == "\t" else other
                quote = '"' if other == "\t" else "'"
                file.stop(f"looks {word}-separated", f"set tables.{file.table}.delimiter: {quote}{shown}{quote}")
    file.check_header(header)
    return header


def _collect(file: TableFile, header: list[str], rows: Iterator[list[str]]) -> pd.DataFrame:
    """Gather rows in chunks of typed text, so that a million rows do not live as Python lists."""
    width = len(header)
    chunks: list[pd.DataFrame] = []
    chunk: list[list[str]] = []
    empty_rows: list[int] = []
    for number, cells in enumerate(rows, start=2):
        if not cells:
            empty_rows.append(number)
            continue
        for run in runs(empty_rows):
            file.report_empty(*run)
        empty_rows.clear()
        if len(cells) != width:
            fix = f'quote cells that hold the delimiter: "{brief(cells[0])}, ..."' if len(cells) > width else ""
            file.error(f"has {len(cells)} cells, the header has {width}", fix, row=number)
            continue
        chunk.append(cells)
        if len(chunk) == _CHUNK:
            chunks.append(pd.DataFrame(chunk, columns=header, dtype=str))
            chunk = []
    if not chunks and not chunk and not file.errors:
        file.error("holds a header but no rows", "export it again")
    chunks.append(pd.DataFrame(chunk, columns=header, dtype=str))
    return pd.concat(chunks, ignore_index=True)


def _read_parquet(file: TableFile) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        file.stop("Parquet files need pyarrow", 'run: pip install "territory-opt[parquet]"')
    check_parquet(file)
    try:
        frame = pd.read_parquet(file.path, engine="pyarrow")
        for name in frame.columns[[isinstance(kind, pd.StringDtype) for kind in frame.dtypes]]:
            frame[name].to_numpy(dtype=object)  # texts that are no UTF-8 show only when they are looked at
    except (MemoryError, DataError):
        raise
    except Exception as error:  # a damaged file raises nearly anything
        file.stop(f"cannot be read as Parquet ({_said(error)})", "write the file again")
    return _checked(file, frame.reset_index(drop=isinstance(frame.index, pd.RangeIndex)))


def _read_map(file: TableFile) -> pd.DataFrame:
    import geopandas as gpd

    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", RuntimeWarning)
            warnings.simplefilter("always", UserWarning)
            frame = gpd.read_file(file.path, layer=file.source.sheet)
            if getattr(frame, "crs", None) is not None:
                frame = frame.to_crs(epsg=WGS84)
    except Exception as error:  # the drivers raise many kinds, none of them ours
        file.stop(f"cannot be read as a map file ({_said(error)})", "write it as GeoJSON or GeoPackage")
    for text in dict.fromkeys(brief(warning.message, most=_LONGEST_CAUSE) for warning in told):
        file.warn(f"the reader of maps warns: {text}", "correct the map")
    return _checked(file, pd.DataFrame(frame))


def _said(error: Exception) -> str:
    return brief(str(error) or type(error).__name__, most=_LONGEST_CAUSE)


def _checked(file: TableFile, frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.rename(columns=str)
    file.check_header([str(column).strip() for column in frame.columns])
    if frame.empty:
        file.error("holds no rows", "export it again")
    return frame


def _rename(file: TableFile, frame: pd.DataFrame) -> pd.DataFrame:
    """Give columns the names this library knows: the mapping first, then headers that differ in case or spaces."""
    headers = [str(column) for column in frame.columns]
    mapping = {wanted: _mapped(file, wanted, given, headers) for wanted, given in file.source.columns.items()}
    file.raise_errors()
    taken = set(mapping.values())
    free = [header for header in headers if header not in taken]
    for column in TABLES.get(file.table, ()):
        if column.name in mapping or column.name in headers:
            continue
        same = [header for header in free if fold(header) == column.name]
        if len(same) > 1:
            fix = f"map one of them under tables.{file.table}.columns"
            file.error(f"{len(same)} columns could be this one: {_names(same)}", fix, column=column.name)
        elif same:
            mapping[column.name] = same[0]
    renamed = set(mapping.values())
    parts = {header: header for header in headers if header not in renamed}
    for wanted, header in mapping.items():
        if wanted in parts and header != wanted:
            fix = f"remove the mapping under tables.{file.table}.columns or rename the column in the file"
            file.error(f'the file has this column, and "{brief(header)}" is mapped to it too', fix, column=wanted)
        parts[wanted] = header
    _warn_of_doubles(file, list(parts))
    out = frame[list(parts.values())].copy()
    out.columns = pd.Index(list(parts))
    return out


def _warn_of_doubles(file: TableFile, columns: Sequence[str]) -> None:
    """Warn of columns that would have been read as another one, had it not been there."""
    first: dict[str, str] = {}
    for column in sorted(columns, key=lambda column: column != fold(column)):
        other = first.setdefault(fold(column), column)
        if other != column:
            problem = f'differs from "{brief(other)}" only in case, spaces or hyphens, and is not read as that column'
            file.warn(problem, "remove or rename one of the two", row=1, column=column)


def _mapped(file: TableFile, wanted: str, given: str, headers: list[str]) -> str:
    if given in headers:
        return given
    same = [header for header in headers if fold(header) == fold(given)]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(given, headers, n=_MOST_HEADERS, cutoff=_ALIKE) or headers[:MOST_NAMED]
    file.error(f'no column "{brief(given)}" to read {brief(wanted)} from', f"nearest: {_names(near)}", column=wanted)
    return given


def _names(headers: Sequence[str]) -> str:
    return listed([brief(header) for header in headers], most=MOST_NAMED)
