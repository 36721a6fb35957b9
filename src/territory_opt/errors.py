"""Every error this library raises on purpose, and the record of one finding in the data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from territory_opt.words import brief, message, plural

Severity = Literal["error", "warning", "imputed"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding in the input: where it stands, what is wrong and what to do next.

    ``table`` is the name of its file, or the table's own; ``column`` and ``value`` are of the cell, empty where it is
    none; ``problem`` says what is wrong and ``fix`` what to do. ``row`` is the row a spreadsheet shows (the header is
    row 1); 0 means the whole table.
    ``severity`` is ``error`` (nothing can be solved), ``warning`` or ``imputed`` (a cell we filled). What comes from a
    file is shortened, and characters that would act instead of being seen are spelt out. ``count`` is larger than 1 for
    findings that are not listed one by one.
    """

    severity: Severity
    table: str
    row: int
    column: str
    value: str
    problem: str
    fix: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        """Make every text fit to be shown."""
        for name in ("table", "column", "value"):
            object.__setattr__(self, name, brief(getattr(self, name)))
        for name in ("problem", "fix"):
            object.__setattr__(self, name, message(getattr(self, name)))

    def __str__(self) -> str:
        where = [self.table]
        if self.row:
            where.append(f"row {self.row}")
        if self.column:
            where.append(self.column)
        if self.value != "":
            where.append(f'"{self.value}"')
        text = "  ".join(where) + "  " + self.problem
        return f"{text}; {self.fix}" if self.fix else text


def more_findings(severity: Severity, table: str, column: str, more: int) -> Issue:
    """Return the finding that stands for ``more`` which are not listed, in one column or (empty) in the whole table."""
    where = "this column" if column else "this table"
    return Issue(severity, table, 0, column, "", f"{more:,} more findings in {where}", "correct these first", more)


MOST_ALIKE = 5
"""Findings of one kind in one column that are shown; all stand in ``DataError.issues``."""


def shown(issues: Iterable[Issue]) -> list[str]:
    """Return one line per issue; of those that say the same of one column the first few, and how many more."""
    lines: list[str] = []
    counts: dict[tuple[str, str, str, str], int] = {}
    for issue in issues:
        kind = (issue.table, issue.column, issue.problem, issue.fix)
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= MOST_ALIKE:
            lines.append(str(issue))
    for (table, column, problem, _), count in counts.items():
        if count > MOST_ALIKE:
            more = count - MOST_ALIKE
            lines.append(f"{table}  {column}  {more:,} more {'row' if more == 1 else 'rows'}: {problem}")
    return lines


class TerritoryError(Exception):
    """Base of every error this library raises on purpose. Its message is fit to be shown, whatever it repeats."""

    def __init__(self, text: str = "") -> None:
        super().__init__(message(text))


class DataError(TerritoryError):
    """The input cannot be used. ``issues`` lists every finding, errors first."""

    def __init__(self, issues: list[Issue]) -> None:
        self.issues = sorted(issues, key=lambda issue: issue.severity != "error")
        errors = [issue for issue in self.issues if issue.severity == "error"]
        lines = shown(errors)
        count = plural(sum(issue.count for issue in errors), "error")
        super().__init__("\n".join([*lines, f"{count}, nothing was written"]))

    def __reduce__(self) -> tuple[type[DataError], tuple[list[Issue]]]:
        """Pickle by the findings, so that the error comes back whole from another process."""
        return type(self), (self.issues,)


class GivenError(TerritoryError, ValueError):
    """Something was handed in that a verb does not take; the message says what it takes and how to get it.

    For options out of range or of another kind too; it is a ValueError as well.
    """

    @classmethod
    def of(cls, given: object, accepted: str, way: str) -> GivenError:
        """Say what was handed in, what is ``accepted``, and the ``way`` to it."""
        kind = type(given).__name__
        named = f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
        named = "None" if given is None else f"{named} ({brief(given)})" if isinstance(given, int | float) else named
        return cls(f"{named} is not accepted here; give {accepted}: {way}")


class ScenarioError(TerritoryError):
    """A scenario file or a policy is not well formed; the message names the key and the nearest known one."""


class ComparisonError(TerritoryError):
    """Plans cannot be compared: they are of other accounts or reps, or something given is no plan."""


class NoPlanError(TerritoryError):
    """A result was asked for its plan but holds none (for example, the time limit came first)."""


class PlanFolderError(TerritoryError):
    """A plan folder cannot be read, or may not be written; the message names the file and says what to do."""
