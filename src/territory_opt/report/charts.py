"""The geometry of the page's charts: numbers in, positions out; the template draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from territory_opt.problem.numbers import HALF_CENT, ROUNDING, TINY
from territory_opt.report.layout import (
    BOTTOM,
    FROM_ZERO,
    LEFT,
    LEFT_OF_PARTS,
    LINE,
    RIGHT,
    ROUND,
    SHARES_FROM,
    SHARES_TO,
    TICKS,
    TOP,
    WIDTH,
)
from territory_opt.report.views import Views
from territory_opt.study.side import BAND_TOLERANCE
from territory_opt.words import percent, short_money

MOST_BARS = 60
"""Reps drawn in one chart; beyond, the most telling ones. A choice of looks."""
LEAST_ODDS_BELOW = 0.005
"""Odds count as too low only where the rounded percentage shows it."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on the axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart. ``at`` and ``to`` are positions on the axis, ``tone`` a CSS class, ``note`` a tooltip."""

    y: float
    label: str
    at: float
    to: float
    tone: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with one line per rep or part. ``zone`` is a shaded range (start, length) on the axis, or None."""

    title: str
    unit: str
    kind: str
    lines: tuple[Line, ...]
    ticks: tuple[Tick, ...]
    zone: tuple[float, float] | None
    zero: float
    note: str = ""
    width: float = WIDTH
    left: float = LEFT

    @property
    def height(self) -> float:
        """Height of the drawing."""
        return TOP + LINE * len(self.lines) + BOTTOM


def balance_charts(views: Views) -> list[Chart]:
    """Return one chart per balanced metric: share of a fair share today and in the plan, with the band."""
    return [_balance(views, metric, width) for metric, width in views.bands.items()]


def quota_chart(views: Views) -> Chart | None:
    """Return quota against expected sales per rep, with the odds; None without quotas."""
    if not views.has_quotas:
        return None
    reps, cut = _most_telling(views.reps, -views.reps["odds"] if "odds" in views.reps else None)
    most = float(np.nanmax([*reps["expected_sales"], *reps["annual_quota"], 1.0]))
    scale, ticks = _axis(0.0, most, lambda value: short_money(value, views.currency))
    lines = []
    for k, row in enumerate(reps.to_dict("records")):
        quota, sales, odds = row["annual_quota"], row["expected_sales"], row.get("odds", math.nan)
        tone = "good" if not odds < views.hit_share - LEAST_ODDS_BELOW else "warn"
        note = (
            f"{row['name']}: quota {short_money(quota, views.currency)}, expected {short_money(sales, views.currency)}"
        )
        chance = percent(odds)
        lines.append(Line(_y(k), str(row["name"]), scale(sales), scale(quota), tone, chance, f"{note}, odds {chance}"))
    unit = f"bar: expected sales, mark: quota ({views.currency} {views.term}); right: odds of making it"
    return Chart("Quota against expected sales", unit, "bullet", tuple(lines), ticks, None, scale(0.0), cut)


def parts_chart(views: Views) -> Chart:
    """Return what the worth is made of, today against the plan."""
    parts = views.parts
    low = min(0.0, float(parts[["today", "plan"]].to_numpy().min()))
    high = max(0.0, float(parts[["today", "plan"]].to_numpy().max()))
    scale, ticks = _axis(
        low, max(high, low + 1.0), lambda value: short_money(value, views.currency), left=LEFT_OF_PARTS
    )
    lines = []
    for k, row in enumerate(parts.to_dict("records")):
        words = f"{short_money(row['today'], views.currency)} → {short_money(row['plan'], views.currency)}"
        tone = "good" if row["difference"] >= -HALF_CENT else "warn"
        change = short_money(row["difference"], views.currency)
        change = change if row["difference"] < 0 else f"+{change}"
        note = f"{row['part']}: {words}"
        lines.append(Line(_y(k), str(row["part"]), scale(row["today"]), scale(row["plan"]), tone, change, note))
    unit = f"upper bar: today, lower bar: this plan ({views.currency} {views.term}); right: change"
    return Chart(
        "What the plan's worth is made of", unit, "pair", tuple(lines), ticks, None, scale(0.0), left=LEFT_OF_PARTS
    )


def _balance(views: Views, metric: str, width: float | None) -> Chart:
    before, after = f"before: {metric}", f"after: {metric}"
    reps, cut = _most_telling(views.reps, (views.reps[before] - 1).abs())
    finite = np.nan_to_num(reps[[before, after]].to_numpy(float), nan=1.0)
    low = min(SHARES_FROM, float(finite.min()))
    scale, ticks = _axis(low if low > FROM_ZERO else 0.0, max(SHARES_TO, float(finite.max())), percent)
    lines = []
    for k, row in enumerate(reps.to_dict("records")):
        old, new = (row[key] if math.isfinite(row[key]) else 0.0 for key in (before, after))
        inside = width is None or abs(new - 1.0) <= width + BAND_TOLERANCE
        note = f"{row['name']}: {percent(row[before])} of a fair share today, {percent(row[after])} in this plan"
        tone = "good" if inside else "warn"
        lines.append(Line(_y(k), str(row["name"]), scale(old), scale(new), tone, percent(row[after]), note))
    zone = None if width is None else (scale(1 - width), scale(1 + width) - scale(1 - width))
    unit = "hollow: today, full: this plan, as a share of a fair share" + (
        "" if width is None else "; shaded: the band"
    )
    return Chart(f"{metric.capitalize()} per rep", unit, "dumbbell", tuple(lines), ticks, zone, scale(1.0), cut)


def _most_telling(reps: pd.DataFrame, weight: pd.Series[float] | None) -> tuple[pd.DataFrame, str]:
    """Return the reps to draw, largest weight first, and a note when some are left out."""
    if weight is not None:
        order = np.argsort(-np.nan_to_num(weight.to_numpy(float), nan=-np.inf), kind="stable")
        reps = reps.iloc[order]
    note = f"{MOST_BARS} of {len(reps):,} reps, the most extreme ones" if len(reps) > MOST_BARS else ""
    return reps.head(MOST_BARS), note


def _axis(
    low: float, high: float, label: Callable[[float], str], *, left: float = LEFT
) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """Return the scale from values to positions and its ticks at round numbers."""
    step = _step((high - low) / TICKS)
    first, last = math.floor(low / step + ROUNDING), math.ceil(high / step - ROUNDING)
    span = (last - first) * step

    def scale(value: float) -> float:
        return round(left + (WIDTH - left - RIGHT) * (value - first * step) / span, 1)

    return scale, tuple(Tick(scale(k * step), label(k * step)) for k in range(first, last + 1))


def _step(rough: float) -> float:
    """Return the round number (1, 2 or 5 times a power of ten) next above ``rough``."""
    power = 10.0 ** math.floor(math.log10(max(rough, TINY)))
    return next(factor * power for factor in ROUND if factor * power >= rough * (1 - ROUNDING))


def _y(line: int) -> float:
    return TOP + LINE * (line + 0.5)
