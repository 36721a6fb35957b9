"""The columns this library knows, table by table: one place for reading, checking and documenting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from territory_opt.problem.limits import LARGEST, LARGEST_SHARE, MOST_A_YEAR

Kind = Literal["id", "text", "number", "latitude", "longitude", "date", "month", "skills", "geometry"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how it is read, whether it must be there, and what an absent column means.

    ``default`` fills a column that is absent from the table as a whole (and is reported as imputed);
    a missing *cell* in a present column is an error for numbers unless ``optional_cells``. ``free`` is text in words,
    which may hold line breaks; any other text is a name that rows are matched by.
    """

    name: str
    kind: Kind
    required: bool = False
    minimum: float | None = None
    maximum: float = LARGEST
    free: bool = False
    default: float | str | None = None
    optional_cells: bool = False
    unit: str = ""
    meaning: str = ""


ACCOUNTS = (
    Column("account_id", "id", required=True, meaning="unique name of the account"),
    Column("name", "text", free=True, default="", meaning="what people call it; the id where absent"),
    Column("lat", "latitude", optional_cells=True, unit="degrees", meaning="latitude, WGS84"),
    Column("lon", "longitude", optional_cells=True, unit="degrees", meaning="longitude, WGS84"),
    Column("unit_id", "text", default="", meaning="areal unit that gives the place where lat/lon are absent"),
    Column("segment", "text", default="all", meaning="group that shares trend and spread"),
    Column("incumbent", "text", default="", meaning="rep_id who serves it today; empty: nobody"),
    Column("family", "text", default="", meaning="accounts with the same family stay with one rep"),
    Column("potential", "number", required=True, minimum=0, unit="money per year", meaning="what it could buy"),
    Column(
        "workload",
        "number",
        minimum=0,
        maximum=MOST_A_YEAR,
        default=0.0,
        unit="hours per year",
        meaning="service time without travel",
    ),
    Column(
        "visits",
        "number",
        minimum=0,
        maximum=MOST_A_YEAR,
        unit="per year",
        meaning="visits; the policy's figure where absent",
    ),
    Column(
        "current_sales",
        "number",
        minimum=0,
        optional_cells=True,
        unit="money, last 12 months",
        meaning="read from the sales table where there is one",
    ),
    Column(
        "since", "date", optional_cells=True, meaning="first day on the list; a back-test knows nothing of it before"
    ),
    Column("currency", "text", default="", meaning="must be one currency, the policy's"),
)
"""Columns of the table ``accounts``."""

REPS = (
    Column("rep_id", "id", required=True, meaning="unique name of the rep"),
    Column("name", "text", free=True, default="", meaning="what people call the rep; the id where absent"),
    Column(
        "lat",
        "latitude",
        optional_cells=True,
        unit="degrees",
        meaning="home; where absent, the sales-weighted middle of the accounts served or sold to",
    ),
    Column("lon", "longitude", optional_cells=True, unit="degrees", meaning="home"),
    Column(
        "fte",
        "number",
        minimum=0,
        maximum=MOST_A_YEAR,
        default=1.0,
        unit="full-time equivalents",
        meaning="1 = full time",
    ),
    Column(
        "ramp",
        "number",
        minimum=0,
        maximum=LARGEST_SHARE,
        default=1.0,
        unit="share",
        meaning="productivity of a new joiner this year",
    ),
    Column(
        "capacity_hours",
        "number",
        minimum=0,
        maximum=MOST_A_YEAR,
        optional_cells=True,
        unit="hours per year",
        meaning="fte x the policy's hours per FTE where absent",
    ),
    Column("start_date", "date", optional_cells=True, meaning="first working day"),
    Column("end_date", "date", optional_cells=True, meaning="last working day"),
    Column("leave_start", "date", optional_cells=True, meaning="first day of a long leave"),
    Column("leave_end", "date", optional_cells=True, meaning="last day of the leave"),
    Column("manager", "text", default="", meaning="manager_id, or the rep_id of a playing manager"),
    Column("region", "text", default="", meaning="a level above the managers where there is no managers table"),
    Column(
        "last_quota",
        "number",
        minimum=0,
        optional_cells=True,
        unit="money per year",
        meaning="last year's quota, of as many months as the plan; summed from the quota history where there is one",
    ),
    Column(
        "last_sales",
        "number",
        optional_cells=True,
        unit="money, as many months",
        meaning="own sales of last year; summed from the sales table where there is one",
    ),
    Column("ote", "number", minimum=0, optional_cells=True, unit="money per year", meaning="on-target earnings"),
    Column("currency", "text", default="", meaning="must be one currency, the policy's"),
)
"""Columns of the table ``reps``."""

MANAGERS = (
    Column("manager_id", "id", required=True, meaning="unique name of a node of the hierarchy"),
    Column("name", "text", free=True, default="", meaning="what people call it"),
    Column("reports_to", "text", default="", meaning="manager_id of the node above; empty: the company"),
    Column("level", "text", default="manager", meaning="manager, region, ...: names the hedge that applies"),
    Column(
        "target", "number", minimum=0, optional_cells=True, unit="money per year", meaning="own goal, if it has one"
    ),
)
"""Columns of the table ``managers``."""

SALES = (
    Column("account_id", "text", required=True, meaning="who bought"),
    Column("month", "month", required=True, meaning="YYYY-MM"),
    Column("sales", "number", required=True, unit="money", meaning="sales of that month; credits are negative"),
    Column("rep_id", "text", default="", meaning="who sold"),
    Column("currency", "text", default="", meaning="must be one currency, the policy's"),
)
"""Columns of the table ``sales``."""

QUOTA_HISTORY = (
    Column("rep_id", "text", required=True, meaning="whose quota"),
    Column("period_start", "date", required=True, meaning="first day of the period"),
    Column("quota", "number", required=True, minimum=0, unit="money", meaning="quota of the period"),
)
"""Columns of the table ``quota_history``."""

RULES = (
    Column("rule", "text", required=True, meaning="lock (keep with this rep) or forbid (never this rep)"),
    Column("account_id", "text", required=True, meaning="which account"),
    Column("rep_id", "text", required=True, meaning="which rep"),
    Column("reason", "text", free=True, default="", meaning="why, in words"),
    Column("expires", "date", optional_cells=True, meaning="last day the rule holds"),
)
"""Columns of the table ``rules``."""

UNITS = (
    Column("unit_id", "id", required=True, meaning="unique name of the areal unit"),
    Column("name", "text", free=True, default="", meaning="what people call it"),
    Column("lat", "latitude", optional_cells=True, unit="degrees", meaning="a point inside"),
    Column("lon", "longitude", optional_cells=True, unit="degrees", meaning="a point inside"),
    Column("geometry", "geometry", meaning="polygon (shapely geometry or WKT, EPSG:4326)"),
)
"""Columns of the table ``units``."""

ADJACENCY = (
    Column("unit_a", "text", required=True, meaning="one unit"),
    Column("unit_b", "text", required=True, meaning="its neighbour"),
)
"""Columns of the table ``adjacency``."""

TABLES: dict[str, tuple[Column, ...]] = {
    "accounts": ACCOUNTS,
    "reps": REPS,
    "managers": MANAGERS,
    "sales": SALES,
    "quota_history": QUOTA_HISTORY,
    "rules": RULES,
    "units": UNITS,
    "adjacency": ADJACENCY,
}
