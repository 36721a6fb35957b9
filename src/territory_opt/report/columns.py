"""The columns of each table of the report: what they are called, their unit and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from territory_opt.report.layout import MONEY_WIDTH, SHARE_WIDTH

Kind = Literal["text", "money", "count", "number", "share", "percent", "factor"]
"""``share`` is a share of a fair share or a probability (0 decimals), ``percent`` a growth with one decimal."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a report table; ``width`` is in characters, a choice of looks: titles and usual values fit.

    ``title`` may hold ``{currency}``, and ``{unit}``: the currency and what the money is for ("USD in 6 months").
    """

    key: str
    title: str
    kind: Kind = "text"
    width: int = 14

    def titled(self, currency: str, term: str) -> str:
        """Return the title with its unit; ``term`` as ``Period.term``."""
        return self.title.replace("{unit}", f"{currency} {term}").replace("{currency}", currency)


SUMMARY = (
    Column("figure", "Figure", width=46),
    Column("today", "Today", width=22),
    Column("plan", "This plan", width=22),
)
"""Today against the plan."""
PARTS = (
    Column("part", "What counts", width=46),
    Column("today", "Today ({unit})", "money", 22),
    Column("plan", "This plan ({unit})", "money", 22),
    Column("difference", "Difference ({unit})", "money", 22),
)
"""What the plan's worth is made of."""
REPS = (
    Column("name", "Rep", width=24),
    Column("rep_id", "Rep id", width=10),
    Column("manager", "Manager", width=20),
    Column("accounts", "Accounts", "count", 10),
    Column("potential", "Potential ({currency} per year)", "money", 16),
    Column("expected_sales", "Expected sales while there ({unit})", "money", 16),
    Column("annual_quota", "Quota ({unit})", "money", 16),
    Column("last_quota", "Last quota ({unit})", "money", 16),
    Column("growth", "Quota growth", "percent", 10),
    Column("odds", "Odds of the quota", "share", 10),
    Column("hours", "Hours per year", "count", 11),
    Column("capacity", "Hours available", "count", 11),
    Column("travel_km", "Travel (km per year)", "count", 12),
    Column("moved_in", "Accounts in", "count", 10),
    Column("moved_out", "Accounts out", "count", 10),
)
"""One line per rep."""
ACCOUNTS = (
    Column("name", "Account", width=34),
    Column("account_id", "Account id", width=12),
    Column("old_rep", "Rep today", width=22),
    Column("new_rep", "Rep in this plan", width=22),
    Column("change", "Change", width=9),
    Column("reason", "Why", width=60),
    Column("potential", "Potential ({currency} per year)", "money", 16),
    Column("current_sales", "Sales, last 12 months ({currency})", "money", 16),
    Column("sales_at_risk", "Sales at risk ({unit})", "money", 16),
    Column("expected_sales", "Expected sales ({unit})", "money", 16),
    Column("distance_km", "Distance to the rep (km)", "count", 12),
)
"""One line per account."""
QUOTAS = (
    Column("name", "Rep", width=24),
    Column("rep_id", "Rep id", width=10),
    Column("manager", "Manager", width=20),
    Column("annual", "Year ({currency})", "money", 16),
)
"""Quotas of each rep, by period and part."""
ROLL_UP = (
    Column("name", "Team", width=24),
    Column("level", "Level", width=12),
    Column("parent", "Reports to", width=20),
    Column("target", "Target ({currency})", "money", 18),
    Column("hedge_share", "Hedge", "percent", 9),
    Column("hedge", "Hedge ({currency})", "money", 16),
    Column("rounding", "Rounding ({currency})", "money", 14),
    Column("below", "Sum of the level below ({currency})", "money", 20),
    Column("quotas", "Quotas of its reps ({currency})", "money", 18),
)
"""One line per node of the hierarchy."""
VIOLATIONS = (
    Column("sentence", "What is broken", width=80),
    Column("rule", "Rule", width=20),
    Column("subject", "Who", width=26),
    Column("value", "Value", "number", 14),
    Column("limit", "Limit", "number", 14),
    Column("amount", "Outside by", "number", 14),
    Column("unit", "Unit", width=12),
)
"""Hard rules that are broken."""
WAYS = (Column("text", "What would help", width=80), Column("enough", "Enough on its own", width=20))
"""What would let the rules hold."""
ISSUES = (
    Column("severity", "Kind", width=11),
    Column("table", "Table", width=20),
    Column("row", "Row", "count", 8),
    Column("column", "Column", width=18),
    Column("value", "Value", width=22),
    Column("problem", "Problem", width=60),
    Column("fix", "What to do", width=60),
)
"""Findings in the data."""
RUN = (Column("item", "Item", width=28), Column("value", "Value", width=80))
"""How the plan was made."""


def columns_of(frame: pd.DataFrame, known: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns of ``frame`` that are shown, in its order.

    A column named ``before: metric`` or ``after: metric`` is a share of the fair share; one named ``period: label``
    or ``part: name`` is money. Any other column that is not in ``known`` is left out.
    """
    by_key = {column.key: column for column in known}
    shown: list[Column] = []
    for key in map(str, frame.columns):
        family, _, rest = key.partition(": ")
        if key in by_key:
            shown.append(by_key[key])
        elif family in ("before", "after"):
            when = "today" if family == "before" else "in this plan"
            shown.append(Column(key, f"{rest.capitalize()} {when}, of a fair share", "share", SHARE_WIDTH))
        elif family in ("period", "part"):
            shown.append(Column(key, f"{rest} ({{currency}})", "money", MONEY_WIDTH))
    return tuple(shown)
