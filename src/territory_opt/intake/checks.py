"""Read each column of a table into its type and record every cell that does not fit.

Work is vectorised; Python loops touch bad cells only, so the cost of a clean table is linear and small.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import DataError, Issue, Severity, more_findings
from territory_opt.intake.parse import (
    Mask,
    NumberFormat,
    ReadNumbers,
    Texts,
    as_dates,
    as_months,
    as_numbers,
    as_text,
    cell_text,
    number_advice,
)
from territory_opt.problem.limits import LONGEST_ID, LONGEST_TEXT, MOST_FINDINGS
from territory_opt.problem.policy import Policy
from territory_opt.problem.schema import TABLES, Column
from territory_opt.words import UNSEEN, UNWRITABLE, brief, escaped, listed

Positions = npt.NDArray[np.intp]
_LOOKUPS = 200
"""Unknown names for which a similar one is sought: each costs a pass over the table, and nobody reads more."""
_POOL = 2000
"""Names that are compared with an unknown one at most, so that a large table costs no more; ..."""
_ENDS = 3
"""... of a larger table those that share so many first letters, and are at most so much longer or shorter."""
_MOST_KNOWN = 12
"""Known texts that are listed where none is alike. A choice of looks."""
_ALIKE = 0.6
"""Names at least so similar are offered as a correction: the usual cutoff of ``difflib``."""


class Findings:
    """Everything found so far. ``labels`` gives the name of each table in messages (its file, if it has one)."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        self._listed: list[Issue] = []
        self._counts: Counter[tuple[Severity, str, str]] = Counter()
        self._wrong: set[tuple[str, int, str]] = set()

    @property
    def issues(self) -> list[Issue]:
        """The findings: of errors and of warnings in one column the first ``MOST_FINDINGS``, and how many more."""
        more = {kind: count - MOST_FINDINGS for kind, count in self._counts.items() if count > MOST_FINDINGS}
        return [*self._listed, *(more_findings(*kind, count) for kind, count in more.items())]

    def label(self, table: str) -> str:
        """Return what a planner calls this table."""
        return self.labels.get(table, table)

    def add(
        self, severity: Severity, table: str, row: int, column: str, value: object, problem: str, fix: str = ""
    ) -> None:
        """Record one finding at spreadsheet row ``row`` (0: the whole table)."""
        label = self.label(table)
        if severity == "error":
            self._wrong.add((label, row, column))
        if severity != "imputed":
            self._counts[severity, label, column] += 1
        if self._counts[severity, label, column] <= MOST_FINDINGS:
            self._listed.append(Issue(severity, label, row, column, cell_text(value), problem, fix))

    def take(self, frame: pd.DataFrame) -> None:
        """Take over what was found when the file of a table was read."""
        for issue in frame.attrs.get("issues", ()):
            self._listed.append(issue)

    def error(self, table: str, row: int, column: str, value: object, problem: str, fix: str = "") -> None:
        """Record an error."""
        self.add("error", table, row, column, value, problem, fix)

    def warn(self, table: str, row: int, column: str, value: object, problem: str, fix: str = "") -> None:
        """Record a warning."""
        self.add("warning", table, row, column, value, problem, fix)

    def imputed(self, table: str, row: int, column: str, value: object, problem: str, fix: str = "") -> None:
        """Record a cell (or, at row 0, a column) that was filled."""
        self.add("imputed", table, row, column, value, problem, fix)

    def filled(self, table: str, column: str, positions: Positions, n_rows: int, problem: str) -> None:
        """Record filled cells: one finding for a whole column, else one per cell."""
        if len(positions) == n_rows:
            self.imputed(table, 0, column, "", problem)
            return
        for position in positions:
            self.imputed(table, row_of(position), column, "", problem)

    def wrong_cells(self, table: str) -> set[tuple[int, str]]:
        """Return (row, column) of every error of one table."""
        label = self.label(table)
        return {(row, column) for of, row, column in self._wrong if of == label}

    def raise_errors(self, *, strict: bool = False) -> None:
        """Raise :class:`DataError` if there are errors; with ``strict``, warnings count as errors."""
        issues = [_as_error(issue) for issue in self.issues] if strict else self.issues
        if any(issue.severity == "error" for issue in issues):
            raise DataError(issues)


def _as_error(issue: Issue) -> Issue:
    return replace(issue, severity="error") if issue.severity == "warning" else issue


def rows_lie(count: int) -> str:
    """Return ``1 row lies`` or ``1,204 rows lie``."""
    return "1 row lies" if count == 1 else f"{count:,} rows lie"


def row_of(position: int | np.intp) -> int:
    """Return the spreadsheet row of a record: the header is row 1."""
    return int(position) + 2


class Names:
    """Ids of one table with their names: finds unknown ones and suggests what was meant."""

    def __init__(self, what: str, ids: Texts, names: Texts | None = None) -> None:
        self.what = what
        self.ids = ids
        self.index = pd.Index(ids, dtype=object)
        self.names: Texts = ids if names is None else names
        self._cache: dict[str, tuple[str, str]] = {}
        self._by_name: dict[str, str] | None = None

    def positions(self, values: Texts) -> Positions:
        """Return the position of each id, -1 where there is none. Ids must be unique."""
        return np.asarray(self.index.get_indexer(pd.Index(values, dtype=object)), dtype=np.intp)

    def known(self, values: Texts) -> Mask:
        """Tell which values are ids."""
        return np.asarray(pd.Series(values, dtype=object).isin(self.index), dtype=bool)

    def unknown(self, value: str) -> tuple[str, str]:
        """Return (problem, fix) for a value that is no id."""
        if value not in self._cache:
            self._cache[value] = self._advice(value)
        return self._cache[value]

    def id_named(self, value: str) -> str | None:
        """Return the id of the one with exactly this name, if its id differs."""
        if self._by_name is None:
            pairs = zip(self.names, self.ids, strict=True)
            self._by_name = {name: key for name, key in pairs if name and name != key}
        return self._by_name.get(value)

    def _advice(self, value: str) -> tuple[str, str]:
        key = self.id_named(value)
        if key is not None:
            return f"is the name of a {self.what}, not an id", f"write {key}"
        problem = f"no such {self.what}"
        near = self._nearest(value) if len(self._cache) < _LOOKUPS else None
        if near is None:
            return problem, f"known: {len(self.ids):,}, for example {brief(self.ids[0])}" if len(
                self.ids
            ) else "there are none"
        key, name = near
        name, key = brief(name), brief(key)
        return problem, f'nearest: "{name}" ({key})' if name and name != key else f"nearest: {key}"

    def _nearest(self, value: str) -> tuple[str, str] | None:
        by_name = self._by_name or {}
        folded = value.lower()
        by_text = {key.lower(): key for key in _pool(value, self.ids)}
        by_text |= {name.lower(): by_name[name] for name in _pool(value, list(by_name))}
        found = difflib.get_close_matches(folded, list(by_text), n=1, cutoff=_ALIKE)
        if not found:
            return None
        key = by_text[found[0]]
        return key, str(self.names[int(self.index.get_indexer(pd.Index([key], dtype=object))[0])])


def names_of(what: str, frame: pd.DataFrame, key: str) -> Names:
    """Return the ids and names of a table for look-ups (each id once)."""
    once = frame.loc[~frame[key].duplicated() & (frame[key] != "")]
    names = once["name"].to_numpy(dtype=object) if "name" in once else None
    return Names(what, once[key].to_numpy(dtype=object), names)


def _pool(value: str, texts: Sequence[str] | Texts) -> list[str]:
    """Return the texts worth comparing: all of a small table, else those that start or end alike."""
    if len(texts) <= _POOL:
        return list(texts)
    ends = _spellings(value[-_ENDS:])
    starts = _spellings(value[:_ENDS])
    alike = [text for text in texts if abs(len(text) - len(value)) <= _ENDS and text.startswith(starts)]
    alike.sort(key=lambda text: not text.endswith(ends))
    return alike[:_POOL]


def _spellings(part: str) -> tuple[str, str, str]:
    return part, part.lower(), part.upper()


def nearest(value: str, known: Iterable[str], prefix: str = "nearest: ") -> str:
    """Return ``nearest: X`` for the known text closest to ``value``, or the list of known ones."""
    texts = [str(text) for text in known]
    folded = {text.lower(): text for text in texts}
    found = difflib.get_close_matches(value.lower(), list(folded), n=1, cutoff=0.5)
    if found:
        return prefix + brief(folded[found[0]])
    return "known: " + ", ".join(map(brief, texts[:_MOST_KNOWN])) if texts else ""


def number_format(frame: pd.DataFrame) -> NumberFormat:
    """Return how the source of this frame writes numbers."""
    return NumberFormat(frame.attrs.get("decimal") or ".", frame.attrs.get("thousands"))


def read_columns(name: str, given: pd.DataFrame, policy: Policy, findings: Findings) -> pd.DataFrame:
    """Return table ``name`` with every schema column in its type and other columns as numbers or text.

    Rows keep their order. Absent optional columns come with their default (recorded as imputed where that
    has consequences); unreadable cells become empty, and are recorded as errors.
    """
    frame = _unique_columns(name, given, findings)
    reader = _Reader(name, frame, policy, findings)
    out: dict[str, pd.Series[Any]] = {}
    for column in TABLES[name]:
        out[column.name] = reader.column(column)
    for label in frame.columns:
        if label not in out:
            out[label] = reader.other(label)
    return pd.DataFrame(out, index=pd.RangeIndex(len(frame)))


def _unique_columns(name: str, given: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    frame = pd.DataFrame(given).reset_index(drop=True)
    frame.attrs = dict(given.attrs)
    frame.columns = pd.Index([str(label).strip() for label in frame.columns], dtype=object)
    for label in frame.columns:
        if UNWRITABLE.search(label) or len(label) > LONGEST_ID:
            findings.error(name, 1, label, "", f"is no name of a column (at most {LONGEST_ID} characters)", "rename it")
    twice = frame.columns.duplicated()
    for label in frame.columns[twice]:
        findings.error(name, 1, label, "", "two columns have this name", "rename one")
    return frame.loc[:, ~twice]


class _Reader:
    """Reads the columns of one table."""

    def __init__(self, name: str, frame: pd.DataFrame, policy: Policy, findings: Findings) -> None:
        self.name = name
        self.frame = frame
        self.policy = policy
        self.findings = findings
        self.style = number_format(frame)
        self.date_format: str | None = frame.attrs.get("date_format")

    def column(self, column: Column) -> pd.Series[Any]:
        if column.name not in self.frame.columns:
            return self._absent(column)
        readers: dict[str, Callable[[Column], pd.Series[Any]]] = {
            "id": self._id,
            "number": self._number,
            "latitude": self._number,
            "longitude": self._number,
            "date": self._date,
            "month": self._date,
            "geometry": lambda column: self.frame[column.name].astype(object),
        }
        return readers.get(column.kind, self._text)(column)

    def other(self, label: str) -> pd.Series[Any]:
        """Read a column the schema does not know: a metric or skill of the policy, else numbers if all are."""
        cells = self.frame[label]
        territories = self.policy.territories
        if self.name == "accounts" and label in territories.balance:
            return self._number(Column(label, "number", minimum=0))
        text = as_text(cells)
        self._report_unwritable(label, text)
        if label not in skill_columns(self.policy):
            read = as_numbers(cells, self.style)
            codes = any(len(cell) > 1 and cell[0] == "0" and cell[1].isdigit() for cell in text)
            if len(text) and not codes and np.isfinite(read.values).all():
                return pd.Series(read.values)
        return pd.Series(text, dtype=object)

    def _absent(self, column: Column) -> pd.Series[Any]:
        n = len(self.frame)
        if column.required:
            fix = nearest(column.name, self.frame.columns, prefix="nearest column: ")
            what = f"no such column ({column.meaning})"
            self.findings.error(self.name, 0, column.name, "", what, _mapping_hint(fix, self.name, column.name))
        if column.kind in ("date", "month"):
            return pd.Series(np.full(n, np.datetime64("NaT"), dtype="datetime64[s]"))
        if column.kind in ("number", "latitude", "longitude"):
            default = np.nan if column.default is None else float(column.default)
            return pd.Series(np.full(n, default, dtype=np.float64))
        text = None if column.kind == "geometry" else str(column.default or "")
        return pd.Series([text] * n, dtype=object)

    def _text(self, column: Column) -> pd.Series[Any]:
        text = as_text(self.frame[column.name])
        self._report_unfit(column, text)
        if column.required:
            self._report_empty(column, text)
        return pd.Series(text, dtype=object)

    def _report_unfit(self, column: Column, text: Texts) -> None:
        """Record texts that are too long, and names with characters that nobody sees: they would match nothing."""
        most = LONGEST_TEXT if column.free else LONGEST_ID
        if len(text) and max(map(len, text)) > most:
            for position in np.flatnonzero([len(cell) > most for cell in text]):
                problem = f"has {len(text[position]):,} characters, more than {most:,}"
                self.findings.error(self.name, row_of(position), column.name, text[position], problem, "shorten it")
        self._report_unwritable(column.name, text, UNWRITABLE if column.free else UNSEEN)

    def _report_unwritable(self, column: str, text: Texts, pattern: re.Pattern[str] = UNWRITABLE) -> None:
        whole = "".join(text)
        if (whole.isascii() and whole.isprintable()) or not pattern.search(whole):
            return
        for position in np.flatnonzero([pattern.search(cell) is not None for cell in text]):
            hidden = listed([escaped(c) for c in dict.fromkeys(pattern.findall(text[position]))], most=3)
            problem = f"holds what nobody can see: {hidden}"
            self.findings.error(self.name, row_of(position), column, text[position], problem, "remove it")

    def _report_empty(self, column: Column, text: Texts) -> None:
        for position in np.flatnonzero(text == ""):
            self.findings.error(self.name, row_of(position), column.name, "", "is empty", f"write {column.meaning}")

    def _id(self, column: Column) -> pd.Series[Any]:
        text = as_text(self.frame[column.name])
        self._report_unfit(column, text)
        self._report_empty(column, text)
        ids = pd.Series(text, dtype=object)
        twice = np.flatnonzero(ids.duplicated().to_numpy() & (text != ""))
        if len(twice):
            first = dict(zip(text[::-1], range(len(text) - 1, -1, -1), strict=True))
            for position in twice:
                other = row_of(first[text[position]])
                problem = f"the same id is in row {other}"
                self.findings.error(
                    self.name, row_of(position), column.name, text[position], problem, "keep one or give a new id"
                )
        return ids

    def _number(self, column: Column) -> pd.Series[Any]:
        cells = self.frame[column.name]
        read, given = as_numbers(cells, self.style), cells.to_numpy(dtype=object)
        for position in np.flatnonzero(read.bad):
            value = cell_text(given[position])
            problem, fix = number_advice(value, self.style, self.name, self.policy.currency)
            self.findings.error(self.name, row_of(position), column.name, value, problem, fix)
        self._report_missing_numbers(column, read)
        self._report_range(column, read)
        values = np.where(np.isfinite(read.values), read.values, np.nan)
        return pd.Series(values.astype(np.float64))

    def _report_missing_numbers(self, column: Column, read: ReadNumbers) -> None:
        if column.optional_cells:
            return
        for position in np.flatnonzero(read.missing):
            fix = "write a number; 0 if there is none" if column.minimum == 0 else "write a number"
            self.findings.error(self.name, row_of(position), column.name, "", "is missing", fix)

    def _report_range(self, column: Column, read: ReadNumbers) -> None:
        for position in np.flatnonzero(np.isinf(read.values)):
            value = read.values[position]
            self.findings.error(self.name, row_of(position), column.name, value, "is not a finite number", "correct it")
        for position in np.flatnonzero(np.isfinite(read.values) & (np.abs(read.values) > column.maximum)):
            problem, value = f"is beyond {column.maximum:,.0f}", read.values[position]
            self.findings.error(self.name, row_of(position), column.name, value, problem, "correct it, or its unit")
        if column.minimum is None:
            return
        low = np.isfinite(read.values) & (read.values < column.minimum)
        for position in np.flatnonzero(low):
            value = read.values[position]
            self.findings.error(
                self.name, row_of(position), column.name, value, "is negative", "write 0 or a positive number"
            )

    def _date(self, column: Column) -> pd.Series[Any]:
        cells = self.frame[column.name]
        is_month = column.kind == "month"
        read = (as_months if is_month else as_dates)(cells, self.date_format)
        for position in np.flatnonzero(read.bad):
            value = cell_text(cells.iloc[position])
            problem, fix = _date_advice(self.name, is_month, self.date_format)
            self.findings.error(self.name, row_of(position), column.name, value, problem, fix)
        if not column.optional_cells:
            for position in np.flatnonzero(read.missing):
                self.findings.error(self.name, row_of(position), column.name, "", "is missing", column.meaning)
        return pd.Series(read.values)


def _date_advice(table: str, is_month: bool, date_format: str | None) -> tuple[str, str]:
    wanted = "YYYY-MM" if is_month else "YYYY-MM-DD"
    noun = "month" if is_month else "date"
    if date_format:
        return f"not a {noun} under date_format={date_format}", f"write {wanted} or correct tables.{table}.date_format"
    return f"not a {noun} of the form {wanted}", f'write {wanted} or set tables.{table}.date_format, like "%d.%m.%Y"'


def _mapping_hint(near: str, table: str, column: str) -> str:
    how = f"name the column under tables.{table}.columns.{column}"
    return f"{near}; {how}" if near.startswith("nearest") else how


def skill_columns(policy: Policy) -> list[str]:
    """Return every column the policy reads as a skill, each once."""
    skills = policy.territories.skills
    return list(dict.fromkeys([*skills.required, *skills.preferred, *skills.coverage, *skills.from_history]))
