"""What the accounts of a synthetic company buy: segments, growth, seasonality, lumpy orders, comers and goers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
PLAN_YEAR = 2027
_SALES_PER_ACCOUNT = 60_000.0
LAPSES = 0.0017
"""Chance that an account stops buying in a month of the plan year: as in the history."""
DRIFT = 0.12
"""Spread of an account's own good and bad years."""


@dataclass(frozen=True, slots=True)
class Segment:
    """How accounts of one kind behave; ``season`` is the amplitude and the peak month of the year."""

    name: str
    share: float
    scale: float
    visits: int
    growth: float
    season: tuple[float, int]
    shape: float
    skipped: float


SEGMENTS = (
    Segment("enterprise", 0.08, 6.0, 6, 1.06, (0.25, 12), 5.0, 0.03),
    Segment("mid", 0.32, 1.8, 3, 1.08, (0.15, 10), 3.0, 0.15),
    Segment("small", 0.60, 0.5, 1, 1.10, (0.30, 6), 2.0, 0.60),
)


def of_segment(attribute: str, segment: Ints) -> Floats:
    """Return an attribute of each account's segment."""
    return np.array([getattr(kind, attribute) for kind in SEGMENTS], dtype=float)[segment]


@dataclass(frozen=True, slots=True)
class Sold:
    """Per account: sales of the last 12 months; by month (None without history); the plan year to come if asked for.

    ``coming`` (n,) are the plan year's sales as they will turn out, ``expected`` (n,) what they are on average.
    """

    current: Floats
    monthly: Floats | None
    coming: Floats | None
    expected: Floats | None


def sell(rng: np.random.Generator, accounts: pd.DataFrame, months: int, *, truth: bool) -> Sold:
    """Draw what every account buys, with ``truth`` in the plan year too.

    Scales potential, in place, and sales to the company's size.
    """
    size = len(accounts)
    names = [kind.name for kind in SEGMENTS]
    segment = pd.Categorical(accounts["segment"], categories=names).codes.astype(np.int64)
    rate = accounts["potential"].to_numpy(float) * np.clip(rng.beta(2.2, 2.6, size), 0.05, 0.8)
    rate[rng.random(size) < 0.03] = 0.0
    active, monthly = np.ones((size, 1), dtype=bool), None
    if months:
        monthly = _by_month(rng, rate, segment, np.arange(-months, 0))
        active = _active(rng, size, months)
        monthly *= active
    current = rate if monthly is None else monthly[:, -12:].sum(axis=1)
    factor = _SALES_PER_ACCOUNT * size / current.sum()
    accounts["potential"] = accounts["potential"] * factor
    coming = expected = None
    if truth:
        coming, expected = _plan_year(rng, rate, segment, active[:, -1], factor)
    if monthly is None:
        return Sold(current * factor, None, coming, expected)
    monthly = (monthly * factor).round()
    return Sold(monthly[:, -12:].sum(axis=1), monthly, coming, expected)


def _smooth(rate: Floats, segment: Ints, month: Ints) -> Floats:
    """Return sales by account and month without chance; months count from the first of the plan year."""
    result = np.repeat(rate[:, None] / 12.0, len(month), axis=1)
    for index, kind in enumerate(SEGMENTS):
        amplitude, peak = kind.season
        shape = 1.0 + amplitude * np.cos(2 * np.pi * (month % 12 + 1 - peak) / 12)
        result[segment == index] *= shape * kind.growth ** ((month + 6.5) / 12)
    return result


def _by_month(rng: np.random.Generator, rate: Floats, segment: Ints, month: Ints) -> Floats:
    """Return sales by account and month: growth, seasonality, drift by year, lumpy orders."""
    result = _smooth(rate, segment, month)
    years = -(-len(month) // 12)
    drift = rng.lognormal(-0.5 * DRIFT**2, DRIFT, (len(rate), years))
    result *= np.repeat(drift, 12, axis=1)[:, years * 12 - len(month) :]
    shape = of_segment("shape", segment)[:, None]
    result *= rng.gamma(np.broadcast_to(shape, result.shape)) / shape
    skipped = of_segment("skipped", segment)[:, None]
    return result * ((rng.random(result.shape) >= skipped) / (1.0 - skipped))


def _active(rng: np.random.Generator, size: int, months: int) -> Mask:
    """Say when each account buys: some came during the history, a few went."""
    draw = rng.random(size)
    first = np.where(draw < 0.08, rng.integers(1, max(2, months - 3), size), 0)
    last = np.where(draw > 0.96, rng.integers(months // 3, max(months // 3 + 1, months - 3), size), months)
    month = np.arange(months)
    return (month >= first[:, None]) & (month < last[:, None])


def _plan_year(
    rng: np.random.Generator, rate: Floats, segment: Ints, active: Mask, factor: float
) -> tuple[Floats, Floats]:
    """Return the plan year's sales as they turn out and on average, (n,) each, times ``factor``."""
    # A generator of its own: what was does not depend on what will be.
    future, month = rng.spawn(1)[0], np.arange(12)
    stays = _stays(future, active)
    coming = _by_month(future, rate, segment, month) * stays
    expected = (_smooth(rate, segment, month) * active[:, None] * (1.0 - LAPSES) ** month).sum(axis=1)
    return np.asarray((coming * factor).round().sum(axis=1)), np.asarray(expected * factor)


def _stays(rng: np.random.Generator, active: Mask) -> Mask:
    """Say in which months of the plan year each account still buys."""
    lapsed = np.cumsum(rng.random((len(active), 12)) < LAPSES, axis=1) > 0
    return active[:, None] & ~lapsed


def sales_table(monthly: Floats, accounts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per account and month with sales; the incumbent sold."""
    row, column = np.nonzero(monthly)
    count = monthly.shape[1]
    first = PLAN_YEAR * 12 - count
    labels = np.array([f"{(first + k) // 12}-{(first + k) % 12 + 1:02d}" for k in range(count)], dtype=object)
    return pd.DataFrame(
        {
            "account_id": accounts["account_id"].to_numpy(object)[row],
            "month": labels[column],
            "sales": monthly[row, column].astype(np.int64),
            "rep_id": accounts["incumbent"].to_numpy(object)[row],
        }
    )
