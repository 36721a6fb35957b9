"""The page of a plan: one HTML file with map and charts that opens anywhere and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from territory_opt.geography.palette import rep_colours
from territory_opt.report import columns as spec
from territory_opt.report.charts import balance_charts, parts_chart, quota_chart
from territory_opt.report.columns import Column, Kind, columns_of
from territory_opt.report.layout import PLACE_DIGITS
from territory_opt.report.outline import View, base_map
from territory_opt.report.views import Views
from territory_opt.study.side import BAND_TOLERANCE
from territory_opt.words import percent, visible

MAX_DOTS = 20_000
"""Accounts embedded in the page; beyond, an even sample that always holds the same accounts. A choice: it keeps the
page small."""
MAX_ISSUES = 500
"""Findings in the data shown on the page; the workbook has more."""

_RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
"""The blocks of letters that Unicode writes from right to left."""
_LEFTWARD = re.compile(f"[{_RTL}](?:[\\s\\d'\"-]*[{_RTL}])*")
"""Words of such letters and what a name may hold between them; "A → B" and "A 12 %, B 13 %" are two names, whose order
would turn with their letters."""

LEFT_TO_WORKBOOK = ("rep_id", "capacity", "last_quota")
"""Columns of the reps that only the workbook shows, so that the page's table fits a screen."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table on the page: text, value to sort by, CSS class."""

    text: str
    sort: str
    style: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table on the page: titled columns and rows of cells."""

    titles: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


def write_page(views: Views, path: str | Path) -> None:
    """Write the report page as one file: no request leaves it, and no text in it can run."""
    Path(path).write_bytes(render_page(views).encode("utf-8", "replace"))


def render_page(views: Views) -> str:
    """Return the page as HTML. The same views give the same text."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_isolated,
    )
    environment.filters["unbroken"] = lambda text: text.replace(" %", "\u00a0%")
    style, script = _asset("page.css"), _asset("page.js")
    colours = rep_colours(views.reps["lat"].to_numpy(float), views.reps["lon"].to_numpy(float))
    # Our own three files and escaped JSON; everything else goes through autoescape.
    return environment.get_template("page.html").render(
        views=views,
        csp=_policy(style, script),
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        data=Markup(inert_json(page_data(views, colours))),  # noqa: S704
        colours=colours,
        charts=[*balance_charts(views), *filter(None, [quota_chart(views)])],
        parts=parts_chart(views),
        tables=_tables(views),
        issues_left=max(len(views.issues) - MAX_ISSUES, 0),
    )


def _isolated(value: Any) -> Any:
    """Return a text so that its direction of writing ends with it; our own markup and what is no text stays."""
    return isolated(value) if type(value) is str else value


def isolated(text: str) -> str:
    """Return a text with hidden characters spelt out, and each name in letters written from right to left set apart.

    A name in Hebrew or Arabic then turns no figure that stands beside it (U+2068 to U+2069 are what ``<bdi>`` does).
    """
    text = visible(text, lines=True)
    return text if text.isascii() else _LEFTWARD.sub("\u2068\\g<0>\u2069", text)


def _all_isolated(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _all_isolated(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_all_isolated(value) for value in data]
    return _isolated(data)


def inert_json(data: Any) -> str:
    """Return JSON that cannot end the script element it stands in, nor turn what stands beside its texts."""
    text = json.dumps(_all_isolated(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def page_data(views: Views, colours: list[str]) -> dict[str, Any]:
    """Return what the map and the lists of accounts read: reps, at most ``MAX_DOTS`` accounts, base map."""
    accounts = _sample(views.accounts)
    reasons, texts = pd.factorize(accounts["reason"])
    reps = views.reps
    view = View.around(np.append(views.accounts["lat"], reps["lat"]), np.append(views.accounts["lon"], reps["lon"]))
    return {
        "currency": views.currency,
        "total": len(views.accounts),
        "view": [round(edge, PLACE_DIGITS) for edge in (view.west, view.south, view.east, view.north)],
        "outline": base_map(view),
        "reps": {
            "name": reps["name"].tolist(),
            "id": reps["rep_id"].tolist(),
            "lat": _numbers(reps["lat"], PLACE_DIGITS),
            "lon": _numbers(reps["lon"], PLACE_DIGITS),
            "colour": colours,
        },
        "reasons": list(texts),
        "accounts": {
            "name": accounts["name"].tolist(),
            "id": accounts["account_id"].tolist(),
            "lat": _numbers(accounts["lat"], PLACE_DIGITS),
            "lon": _numbers(accounts["lon"], PLACE_DIGITS),
            "old": accounts["old"].tolist(),
            "new": accounts["new"].tolist(),
            "potential": _numbers(accounts["potential"], 0),
            "sales": _numbers(accounts["current_sales"], 0),
            "km": _numbers(accounts["distance_km"], 0),
            "reason": reasons.tolist(),
        },
    }


def _sample(accounts: pd.DataFrame) -> pd.DataFrame:
    if len(accounts) <= MAX_DOTS:
        return accounts
    chosen = np.random.default_rng(0).choice(len(accounts), MAX_DOTS, replace=False)
    return accounts.iloc[np.sort(chosen)]


def _numbers(column: pd.Series[float], digits: int) -> list[float | int | None]:
    """Return rounded numbers, None where unknown; whole numbers without a decimal point."""
    values = np.round(column.to_numpy(float), digits).tolist()
    return [None if not math.isfinite(v) else int(v) if digits == 0 else v for v in values]


def _tables(views: Views) -> dict[str, Table]:
    return {
        "summary": _table(views, views.summary, spec.SUMMARY),
        "reps": _table(views, views.reps, tuple(column for column in spec.REPS if column.key not in LEFT_TO_WORKBOOK)),
        "roll_up": _table(views, views.roll_up, spec.ROLL_UP),
        "quotas": _table(views, views.quotas, spec.QUOTAS),
        "violations": _table(views, views.violations, spec.VIOLATIONS[:1]),
        "ways": _table(views, views.ways, spec.WAYS),
        "issues": _table(views, views.issues.head(MAX_ISSUES), spec.ISSUES),
        "run": _table(views, views.run, spec.RUN),
    }


def _table(views: Views, frame: pd.DataFrame, known: tuple[Column, ...]) -> Table:
    shown = columns_of(frame, known)
    titles = tuple(
        Cell(column.titled(views.currency, views.term), column.kind, _class(column.kind)) for column in shown
    )
    columns = [[_cell(value, column, views) for value in frame[column.key].tolist()] for column in shown]
    return Table(titles, tuple(zip(*columns, strict=True)) if columns else ())


def _cell(value: Any, column: Column, views: Views) -> Cell:
    style = _class(column.kind)
    if not isinstance(value, (int, float)):
        return Cell(str(value), "", style)
    if not math.isfinite(value):
        return Cell("–", "", style)
    metric = column.key.removeprefix("after: ")
    width = views.bands.get(metric) if metric != column.key else None
    outside = width is not None and abs(value - 1.0) > width + BAND_TOLERANCE
    return Cell(_number_text(value, column.kind), f"{value:.6g}", f"{style} warn" if outside else style)


def _number_text(value: float, kind: Kind) -> str:
    if kind in ("share", "percent"):
        return percent(value, 0 if kind == "share" else 1)
    return f"{value:,.1f}" if kind == "number" else f"{value + 0.0:,.0f}"


def _class(kind: Kind) -> str:
    return "text" if kind == "text" else "number"


def _policy(style: str, script: str) -> str:
    """Return the content security policy: nothing from anywhere but this style and this script."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _asset(name: str) -> str:
    """Return a file of ``report/templates``."""
    source = importlib.resources.files("territory_opt.report") / "templates" / name
    return source.read_text(encoding="utf-8").replace("\r\n", "\n")
