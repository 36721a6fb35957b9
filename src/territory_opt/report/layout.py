"""How the workbook and the page look: sizes, widths and colours, all in one place. All are a choice of looks."""

from __future__ import annotations

# --- columns of tables (the others stand with their titles in columns.py) ---------------------------------------

SHARE_WIDTH, MONEY_WIDTH = 13, 16
"""Characters: a share with a title of several words, and money of a rep or account."""

# --- workbook ---------------------------------------------------------------------------------------------------

INK, ACCENT, RULE = "#1F2933", "#1F4E79", "#C9D3DD"
"""Text; titles and headers; lines."""
RED = "#F8D7DA"
"""Cells outside their band."""
ON_ACCENT, NOTE_INK = "#FFFFFF", "#52606D"
"""Text of headers, and of notes below a table."""
SHARE_BAR, ODDS_BAR = "#9DC3E6", "#A9D18E"
"""Bars behind shares of a fair share, and behind odds."""
TITLE_SIZE, HEADING_SIZE = 16, 12
"""Points."""
HEADER_HEIGHT = 45
"""Points: three lines of a title with its unit."""
SUMMARY_WIDTHS = (48, 24, 24, 24)
"""Columns of the summary, in characters."""
LINE_HEIGHT, LINE_CHARACTERS = 15.0, 110
"""Points of a line of text in the summary, and how many characters the four columns hold in one (about 120)."""

# --- charts of the page, in pixels ------------------------------------------------------------------------------

WIDTH = 560.0
"""A chart: two of them fit beside each other on a screen of 1,280."""
LEFT, LEFT_OF_PARTS = 150.0, 270.0
"""Room for names of reps, and for the longer ones of the parts of the worth."""
RIGHT = 74.0
"""Room for the figure beside a line."""
LINE = 18.0
"""Height of a line."""
TOP, BOTTOM = 26.0, 8.0
"""Room for the axis, and below the last line."""
TICKS = 5
"""Steps of an axis, about."""
ROUND = (1.0, 2.0, 5.0, 10.0)
"""A step of an axis is one of these times a power of ten."""
SHARES_FROM, SHARES_TO = 0.9, 1.1
"""An axis of shares of a fair share shows this range at least, ..."""
FROM_ZERO = 0.25
"""... and begins at zero where somebody has less than this."""

# --- map of the page --------------------------------------------------------------------------------------------

MARGIN = 0.07
"""Room around the data, as a share of its extent."""
LEAST_DEGREES = 0.5
"""Smallest extent of a view, degrees of latitude."""
WHOLE_EARTH = (-180.0, -60.0, 180.0, 80.0)
"""West, south, east and north of the view of nothing: where people live, in degrees."""
NEAREST_POLE = 89.0
"""Degrees of latitude: the projection of the map has no pole."""
PLACE_DIGITS = 4
"""Digits of degrees on the map: ten metres."""
