"""How objects show themselves in a notebook: a heading and a few lines, everything escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd

MOST_ROWS = 10
"""Rows of a table that are shown; the rest is counted. A choice of looks: it fits a screen."""
LEFT = 'style="text-align:left"'


def html_lines(title: str, lines: Mapping[str, object]) -> str:
    """Return a heading and one row per line, as HTML."""
    rows = (
        f"<tr><th {LEFT}>{escape(str(name))}</th><td {LEFT}>{escape(str(text))}</td></tr>"
        for name, text in lines.items()
    )
    return f"<p><b>{escape(title)}</b></p><table>{''.join(rows)}</table>"


def html_table(title: str, table: pd.DataFrame) -> str:
    """Return a heading and the first rows of a table as HTML, and how many more there are."""
    more = len(table) - MOST_ROWS
    rest = f"<p>and {more:,} more rows</p>" if more > 0 else ""
    return f"<p><b>{escape(title)}</b></p>{table.head(MOST_ROWS).to_html(index=False)}{rest}"
