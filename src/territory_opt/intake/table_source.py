"""Where a table is and how its file is written: the settings of one table."""

from __future__ import annotations

import datetime as dt
import re

from pydantic import Field, field_validator

from territory_opt.problem.limits import LONGEST_ID, LONGEST_PATH
from territory_opt.problem.policy import Settings
from territory_opt.words import brief

_DAY = dt.date(2031, 10, 1)
"""A date that every format of days or months must bring back: no two of its numbers are alike."""


class TableSource(Settings):
    """Where one table is and how its file is written.

    ``columns`` maps the names of ``docs/data-formats.md`` to the names in the file. ``sheet`` is the sheet of
    a workbook or the layer of a map file. ``date_format`` is written as for strptime, for example ``%d.%m.%Y``.
    """

    path: str = Field(max_length=LONGEST_PATH)
    sheet: str | None = Field(default=None, max_length=LONGEST_ID)
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = Field(default=None, max_length=LONGEST_ID)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    date_format: str | None = Field(default=None, max_length=LONGEST_ID)
    columns: dict[str, str] = Field(default_factory=dict)

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, encoding: str | None) -> str | None:
        """Refuse what is no encoding of text; one that is only wrong for the file is found with the file."""
        try:
            if encoding is not None:
                b"a".decode(encoding)
        except (LookupError, ValueError) as error:
            if not isinstance(error, UnicodeDecodeError):
                raise ValueError(f'there is no encoding "{brief(encoding)}"; write utf-8 or latin-1') from None
        return encoding

    @field_validator("date_format")
    @classmethod
    def _reads_dates(cls, style: str | None) -> str | None:
        """Refuse a format that does not bring a month back."""
        try:
            if style is not None and dt.datetime.strptime(_DAY.strftime(style), style).date() == _DAY:
                return style
        except (ValueError, re.error, OverflowError, UnicodeError):
            pass
        if style is None:
            return None
        raise ValueError(f'"{brief(style)}" is no format of dates; write it like "%d.%m.%Y"')
