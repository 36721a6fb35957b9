"""Read the cells of one column: text, numbers, dates, months and skills, without ever guessing.

Every reader takes a whole column, works on raw strings as well as on typed values, and says which cells
it could not read; naming the row and the way out is the work of :mod:`territory_opt.intake.checks`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import numbers as abstract_numbers
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Texts = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]
Mask = npt.NDArray[np.bool_]

NO_PART = "(none)"
"""How a part without a name is called where quotas are split by a column."""
_MOST_WHOLE = 1e16
"""From here on floating-point numbers are not written as whole ones: their last digits would be made up."""
_ISO_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?", re.ASCII)
_ISO_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_GROUPED = {
    (",", "."): re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII),
    (".", ","): re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?", re.ASCII),
}


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a file writes numbers."""

    decimal: str = "."
    thousands: str | None = None


@dataclass(frozen=True, slots=True)
class ReadNumbers:
    """A column of numbers: NaN where ``missing`` (empty cell) or ``bad`` (not a number)."""

    values: Floats
    missing: Mask
    bad: Mask


@dataclass(frozen=True, slots=True)
class ReadDates:
    """A column of days (datetime64[s]): NaT where ``missing`` (empty cell) or ``bad`` (not a date)."""

    values: Dates
    missing: Mask
    bad: Mask


def cell_text(value: Any) -> str:
    """Return one cell as stripped text: empty for nothing, ``279`` for 279.0, ISO for dates."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return ""
        whole = float(value).is_integer() and abs(float(value)) < _MOST_WHOLE
        return str(int(value)) if whole else repr(float(value))
    if isinstance(value, dt.datetime):
        plain = value.replace(tzinfo=None)
        return plain.date().isoformat() if plain.time() == dt.time() else plain.isoformat(sep=" ")
    if isinstance(value, int):
        return f"{Decimal(value):f}"  # str() refuses whole numbers of more than 4,300 digits
    return str(value).strip()


def as_text(cells: pd.Series[Any]) -> Texts:
    """Return a column as an object array of stripped ``str``; missing cells are empty strings."""
    values = cells.to_numpy(dtype=object)
    out = np.empty(len(values), dtype=object)
    out[:] = [value.strip() if type(value) is str else cell_text(value) for value in values]
    return out


def part_names(cells: pd.Series[Any]) -> list[str]:
    """Return the parts that a column of accounts splits quotas into, sorted."""
    return sorted({text or NO_PART for text in as_text(cells)})


def as_numbers(cells: pd.Series[Any], style: NumberFormat) -> ReadNumbers:
    """Read a column of numbers. Typed numbers are taken as they are, text under the given number format."""
    kind = cells.dtype
    if pd.api.types.is_integer_dtype(kind) or pd.api.types.is_float_dtype(kind):
        values = np.array(cells.to_numpy(dtype=np.float64, na_value=np.nan))
        return ReadNumbers(values, np.isnan(values), np.zeros(len(values), dtype=bool))
    text = as_text(cells)
    values = numbers_from_text(text, style)
    if pd.api.types.infer_dtype(cells, skipna=True) not in ("string", "empty"):
        _take_typed(cells, values)
    missing = np.asarray(text == "", dtype=bool)
    return ReadNumbers(values, missing, np.isnan(values) & ~missing)


def _take_typed(cells: pd.Series[Any], values: Floats) -> None:
    """Overwrite ``values`` where the cell is a number already (spreadsheets mix numbers and text)."""
    for position, cell in enumerate(cells.to_numpy(dtype=object)):
        if isinstance(cell, (bool, np.bool_)):
            values[position] = np.nan
        elif isinstance(cell, (abstract_numbers.Real, Decimal)):
            with contextlib.suppress(OverflowError):  # its text was read as infinite
                values[position] = float(cell)


def numbers_from_text(text: Texts, style: NumberFormat) -> Floats:
    """Return floats; NaN for every text that is not a number under ``style``. Vectorised."""
    plain = text
    if style.thousands or style.decimal != ".":
        unique, inverse = _unique(text)
        converted = np.empty(len(unique), dtype=object)
        converted[:] = [_to_plain(cell, style) for cell in unique]
        plain = converted[inverse]
    read = pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce")
    values = np.array(read.to_numpy(dtype=np.float64, na_value=np.nan))
    for position in np.flatnonzero(~np.isfinite(values) & (plain != "")):
        values[position] = _infinite(plain[position])
    return values


def _infinite(text: str) -> float:
    """Return +-inf for a text that says so (or overflows), NaN for anything else."""
    if re.fullmatch(r"[-+]?inf(?:inity)?", text, re.IGNORECASE) or _PLAIN_NUMBER.fullmatch(text):
        return float(text)
    return math.nan


def _to_plain(cell: str, style: NumberFormat) -> str:
    """Rewrite one number to a plain one with a decimal point; return a non-number unchanged but unreadable."""
    thousands, decimal = style.thousands, style.decimal
    if thousands and thousands in cell:
        pattern = rf"[-+]?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(decimal)}\d+)?"
        if not re.fullmatch(pattern, cell, re.ASCII):
            return "not a number"
        cell = cell.replace(thousands, "")
    if decimal != ".":
        if "." in cell:
            return "not a number"
        cell = cell.replace(decimal, ".")
    return cell


def number_advice(cell: str, style: NumberFormat, table: str, currency: str) -> tuple[str, str]:
    """Say why a text is no number and what to do: (problem, fix)."""
    under = f"not a number under decimal={_shown(style.decimal)}"
    if re.search(r"[$€£¥₹]|\b[A-Z]{3}\b", cell) and re.search(r"\d", cell):
        return "carries a currency sign", f"write the plain number; all money is in {currency}"
    if style.decimal == "." and "," in cell:
        if _GROUPED[(",", ".")].fullmatch(cell):
            return "not a number without a thousands separator", f'set tables.{table}.thousands: ","'
        if re.fullmatch(r"[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+", cell):
            more = ' and thousands: "."' if "." in cell and style.thousands != "." else ""
            return under, f'set tables.{table}.decimal: ","' + more
    if style.decimal == "," and "." in cell:
        if _GROUPED[(".", ",")].fullmatch(cell):
            return "not a number without a thousands separator", f'set tables.{table}.thousands: "."'
        if _PLAIN_NUMBER.fullmatch(cell):
            return under, f'set tables.{table}.decimal: "."'
    if cell.endswith("%"):
        return "not a number", "write it without the percent sign, for example 0.5 for 50 %"
    return "not a number", "write a plain number"


def _shown(text: str) -> str:
    return f'"{text}"'


def as_dates(cells: pd.Series[Any], date_format: str | None) -> ReadDates:
    """Read days. Text is ISO (YYYY-MM-DD) or in ``date_format`` (strptime); a time of day is left out."""
    return _read_days(cells, lambda text: _day(text, date_format))


def as_months(cells: pd.Series[Any], date_format: str | None) -> ReadDates:
    """Read months as the first day of each: YYYY-MM, or a full date for the month it lies in."""
    read = _read_days(cells, lambda text: _month(text, date_format))
    first = read.values.astype("datetime64[M]").astype("datetime64[s]")
    return ReadDates(first, read.missing, read.bad)


def _read_days(cells: pd.Series[Any], parse: Callable[[str], dt.date | None]) -> ReadDates:
    if isinstance(cells.dtype, pd.PeriodDtype):
        cells = cells.dt.to_timestamp()
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        cells = cells.dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(cells.dtype):
        days = cells.to_numpy().astype("datetime64[D]").astype("datetime64[s]")
        return ReadDates(days, np.isnat(days), np.zeros(len(days), dtype=bool))
    text = as_text(cells)
    unique, inverse = _unique(text)
    parsed = [None if cell == "" else parse(cell) for cell in unique]
    unique_days = np.array([np.datetime64("NaT") if day is None else day for day in parsed], dtype="datetime64[D]")
    days = unique_days.astype("datetime64[s]")[inverse]
    missing = np.asarray(text == "", dtype=bool)
    return ReadDates(days, missing, np.isnat(days) & ~missing)


def _day(text: str, date_format: str | None) -> dt.date | None:
    """Parse one date in the given format, or else ISO (which cannot be mistaken); None where neither fits."""
    if date_format:
        try:
            return dt.datetime.strptime(text, date_format).date()
        except ValueError:
            pass
    match = _ISO_DATE.fullmatch(text)
    if not match:
        return None
    try:
        return dt.date.fromisoformat(match[1])
    except ValueError:
        return None


def _month(text: str, date_format: str | None) -> dt.date | None:
    return _day(f"{text}-01" if _ISO_MONTH.fullmatch(text) else text, date_format)


def _unique(text: Texts) -> tuple[Texts, npt.NDArray[np.intp]]:
    codes, unique = pd.factorize(text)
    return np.asarray(unique, dtype=object), codes


def normal_values(cell: str) -> str:
    """Normalise an account's skill cell: ``" a ; b "`` becomes ``"a;b"`` (each value once, order kept)."""
    parts = [part.strip() for part in cell.split(";")]
    return ";".join(dict.fromkeys(part for part in parts if part))


def normal_scores(cell: str) -> str:
    """Normalise a rep's skill cell: ``"a;b"`` or scores in [0, 1] like ``"a:0.9;b:0.5"``.

    Raises ValueError with the reason if the cell is not written like that.
    """
    scores: dict[str, str] = {}
    for part in (piece.strip() for piece in cell.split(";")):
        if not part:
            continue
        name, colon, score = (piece.strip() for piece in part.rpartition(":"))
        if not colon:
            name, score = part, ""
        elif not name:
            raise ValueError(f'"{part}" names no skill')
        else:
            score = f"{_score(part, score):g}"
        if scores.setdefault(name, score) != score:
            raise ValueError(f'"{name}" has two different scores')
    return ";".join(f"{name}:{score}" if score else name for name, score in scores.items())


def _score(part: str, text: str) -> float:
    if not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError(f'the score of "{part}" is not a number')
    score = float(text)
    if not 0.0 <= score <= 1.0:
        raise ValueError(f'the score of "{part}" is not between 0 and 1')
    return score
