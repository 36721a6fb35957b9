"""The workbook of a plan: one sheet per table, inert text, the same bytes for the same inputs."""

from __future__ import annotations

import datetime as dt
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from territory_opt.report import columns as spec
from territory_opt.report import layout as look
from territory_opt.report.columns import Column, columns_of
from territory_opt.report.views import Views
from territory_opt.study.side import BAND_TOLERANCE

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

MAX_ROWS = 100_000
"""Rows per sheet; a larger table is cut there and the sheet says so. A choice: the CSV has all."""
MAX_TEXT = 32_767
"""Characters a cell can hold, by the specification of Excel."""
MAX_TITLE = 255
"""Characters of the title in the file's properties; readers need not take more."""
CREATED = dt.datetime(2000, 1, 1)
"""Fixed date in the file's properties, so that the same plan gives the same bytes."""
FORMATS = {
    "text": {},
    "money": {"num_format": "#,##0;[Red]-#,##0"},
    "count": {"num_format": "#,##0"},
    "number": {"num_format": "#,##0.0"},
    "share": {"num_format": "0%"},
    "percent": {"num_format": "0.0%"},
    "factor": {"num_format": "0.00"},
}


def write_workbook(views: Views, path: str | Path) -> None:
    """Write the sheets Summary, Reps, Accounts, Quotas, Roll-up, Violations, Data issues and Run.

    Every text is written as text: no name is ever read as a formula or a link.
    """
    import xlsxwriter

    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    whole = io.BytesIO()  # neither a full disk nor a missing folder for temporary files meets half an archive
    book = xlsxwriter.Workbook(whole, {**options, "in_memory": True})
    book.set_properties({"title": views.name[:MAX_TITLE], "created": CREATED})
    writer = _Writer(book, views.currency, views.term)
    _summary(writer, views)
    _reps(writer, views)
    writer.sheet("Accounts", views.accounts, spec.ACCOUNTS, freeze=1)
    writer.sheet("Quotas", views.quotas, spec.QUOTAS, freeze=1, empty="This plan sets no quotas.")
    writer.sheet("Roll-up", views.roll_up, spec.ROLL_UP, freeze=1, empty="This plan sets no quotas.")
    _violations(writer, views)
    writer.sheet("Data issues", views.issues, spec.ISSUES, empty="Nothing to report about the data.")
    writer.sheet("Run", views.run, spec.RUN, empty="Nothing was recorded about the run.")
    book.close()
    Path(path).write_bytes(whole.getvalue())


class _Writer:
    """Writes tables into one workbook with one set of formats."""

    def __init__(self, book: Workbook, currency: str, term: str) -> None:
        self.book, self.currency, self.term = book, currency, term
        cell = {"valign": "top", "font_color": look.INK}
        self.formats = {kind: book.add_format(cell | style) for kind, style in FORMATS.items()}
        self.wrapped = book.add_format(cell | {"text_wrap": True})
        self.title = book.add_format({"bold": True, "font_size": look.TITLE_SIZE, "font_color": look.ACCENT})
        self.heading = book.add_format({"bold": True, "font_size": look.HEADING_SIZE, "font_color": look.ACCENT})
        self.header = book.add_format(
            {
                "bold": True,
                "text_wrap": True,
                "valign": "vcenter",
                "font_color": look.ON_ACCENT,
                "bg_color": look.ACCENT,
                "border": 1,
                "border_color": look.RULE,
            }
        )
        self.warn = book.add_format({"bg_color": look.RED})
        self.note = book.add_format({"italic": True, "font_color": look.NOTE_INK})

    def sheet(
        self, title: str, frame: pd.DataFrame, known: tuple[Column, ...], *, freeze: int = 0, empty: str = ""
    ) -> Worksheet:
        """Add a sheet with one table: filter on the header, header row and ``freeze`` columns fixed."""
        page = self.book.add_worksheet(title)
        page.hide_gridlines(2)
        page.set_landscape()
        page.fit_to_pages(1, 0)
        page.repeat_rows(0)
        shown = columns_of(frame, known)
        for at, column in enumerate(shown):
            page.set_column(at, at, column.width)
        end = self.table(page, 0, frame, shown)
        page.freeze_panes(1, freeze)
        if len(frame):
            page.autofilter(0, 0, end - 1, len(shown) - 1)
        elif empty:
            page.write_string(1, 0, empty, self.note)
        if len(frame) > MAX_ROWS:
            text = f"The first {MAX_ROWS:,} of {len(frame):,} rows; all of them are in the plan's CSV files."
            page.write_string(end, 0, text, self.note)
        return page

    def table(self, page: Worksheet, top: int, frame: pd.DataFrame, shown: tuple[Column, ...]) -> int:
        """Write header and rows at row ``top``; return the row after the last."""
        page.set_row(top, look.HEADER_HEIGHT)
        for at, column in enumerate(shown):
            page.write_string(top, at, column.titled(self.currency, self.term), self.header)
        rows = frame.head(MAX_ROWS)
        for at, column in enumerate(shown):
            style = self.formats[column.kind]
            for down, value in enumerate(rows[column.key].tolist(), start=top + 1):
                self.cell(page, down, at, value, style)
        return top + 1 + len(rows)

    def cell(self, page: Worksheet, row: int, column: int, value: Any, style: Any) -> None:
        """Write one value: numbers as numbers, all else as text; nothing where it is unknown."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if math.isfinite(value):
                page.write_number(row, column, value, style)
        elif value is not None and not (isinstance(value, str) and value == ""):
            page.write_string(row, column, str(value)[:MAX_TEXT], style)


def _summary(writer: _Writer, views: Views) -> None:
    page = writer.book.add_worksheet("Summary")
    page.hide_gridlines(2)
    page.set_landscape()
    page.fit_to_pages(1, 0)
    for at, width in enumerate(look.SUMMARY_WIDTHS):
        page.set_column(at, at, width)
    writer.cell(page, 0, 0, views.name, writer.title)
    row = 2
    for sentence in views.sentences:
        page.merge_range(row, 0, row, len(look.SUMMARY_WIDTHS) - 1, "", writer.wrapped)
        writer.cell(page, row, 0, sentence, writer.wrapped)
        page.set_row(row, look.LINE_HEIGHT * math.ceil(len(sentence) / look.LINE_CHARACTERS))
        row += 1
    row = writer.table(page, row + 1, views.summary, columns_of(views.summary, spec.SUMMARY)) + 1
    writer.cell(page, row, 0, "What the plan's worth is made of", writer.heading)
    row = writer.table(page, row + 1, views.parts, columns_of(views.parts, spec.PARTS)) + 1
    for note in views.notes:
        writer.cell(page, row, 0, note, writer.note)
        row += 1


def _reps(writer: _Writer, views: Views) -> None:
    page = writer.sheet("Reps", views.reps, spec.REPS, freeze=1, empty="There are no reps.")
    last = min(len(views.reps), MAX_ROWS)
    shown = columns_of(views.reps, spec.REPS)
    # The plain bars of 2007: newer ones are an extension that other readers warn about.
    bars = {"type": "data_bar", "min_type": "num", "min_value": 0, "max_type": "num"}
    for at, column in enumerate(shown):
        if column.key.startswith(("before: ", "after: ")):
            width = views.bands.get(column.key.partition(": ")[2])
            if width is not None:
                around = {"minimum": 1 - width - BAND_TOLERANCE, "maximum": 1 + width + BAND_TOLERANCE}
                limits = {"type": "cell", "criteria": "not between", **around, "format": writer.warn}
                page.conditional_format(1, at, last, at, limits)
            page.conditional_format(1, at, last, at, {**bars, "bar_color": look.SHARE_BAR, "max_value": 2})
        elif column.key == "odds":
            page.conditional_format(1, at, last, at, {**bars, "bar_color": look.ODDS_BAR, "max_value": 1})


def _violations(writer: _Writer, views: Views) -> None:
    page = writer.sheet("Violations", views.violations, spec.VIOLATIONS, empty="The plan keeps every hard rule.")
    if len(views.ways):
        row = len(views.violations) + 3
        writer.cell(page, row - 1, 0, "What would help", writer.heading)
        writer.table(page, row, views.ways, columns_of(views.ways, spec.WAYS))
