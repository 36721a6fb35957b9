"""One file of a table while it is read: what was found in it, and the checks that all kinds of files share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from territory_opt.errors import DataError, Issue, more_findings
from territory_opt.intake.table_source import TableSource
from territory_opt.problem.limits import MOST_FINDINGS
from territory_opt.words import MOST_NAMED, listed


class TableFile:
    """One file being read, and what was found in it; ``errors`` stop the reading, ``warnings`` go with the table.

    Of the errors ``MOST_FINDINGS`` are kept, the rest is counted.
    """

    def __init__(self, table: str, source: TableSource, path: Path) -> None:
        self.table = table
        self.source = source
        self.path = path
        self.errors: list[Issue] = []
        self.warnings: list[Issue] = []
        self._more = 0

    def error(self, problem: str, fix: str = "", *, row: int = 0, column: str = "", value: str = "") -> None:
        """Record an error."""
        if len(self.errors) >= MOST_FINDINGS:
            self._more += 1
            return
        self.errors.append(Issue("error", self.path.name, row, column, value, problem, fix))

    def warn(self, problem: str, fix: str = "", *, row: int = 0, column: str = "", value: str = "") -> None:
        """Record a warning."""
        self.warnings.append(Issue("warning", self.path.name, row, column, value, problem, fix))

    def stop(self, problem: str, fix: str = "", *, row: int = 0, column: str = "", value: str = "") -> NoReturn:
        """Record an error and raise all that were found."""
        self.errors.append(Issue("error", self.path.name, row, column, value, problem, fix))
        raise self._failure()

    def raise_errors(self) -> None:
        """Raise :class:`DataError` if there are errors."""
        if self.errors:
            raise self._failure()

    def _failure(self) -> DataError:
        rest = [more_findings("error", self.path.name, "", self._more)] if self._more else []
        return DataError([*self.errors, *rest])

    def check_header(self, header: Sequence[str]) -> None:
        """Raise :class:`DataError` if a column has no name, or one that another has too."""
        nameless = [position for position, column in enumerate(header, start=1) if not column]
        for first, last in runs(nameless):
            what = f"column {first} has" if first == last else f"columns {first:,} to {last:,} have"
            self.error(f"{what} no header", "name it or remove the column", row=1)
        for column, count in Counter(header).items():
            if column and count > 1:
                places = listed([i for i, other in enumerate(header, start=1) if other == column], most=MOST_NAMED)
                self.error(f"{count} columns have this header ({places})", "rename one", row=1, column=column)
        self.raise_errors()

    def report_empty(self, first: int, last: int) -> None:
        """Record the empty rows ``first`` to ``last`` between filled ones as one finding."""
        if first == last:
            self.error("the row is empty", "delete it", row=first)
        elif first < last:
            self.error(f"the rows down to {last:,} are empty", "delete them", row=first)


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return (first, last) of each run of consecutive ``numbers``, which ascend."""
    found = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return [(run[0], run[-1]) for run in found]


def fold(text: str) -> str:
    """Return a name so that case, spaces and hyphens make no difference."""
    return re.sub(r"[\s\-]+", "_", text.strip().lower())
