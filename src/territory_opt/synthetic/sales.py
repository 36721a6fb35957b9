"""What the accounts of a synthetic company buy: segments, growth, seasonality, lumpy orders, comers and goers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.synthetic.settings import PLAN_YEAR, SALES, SEGMENTS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_FROM_MIDDLE_OF_LAST_YEAR = 6.5
"""Months from the middle of last year, where growth is counted from, to that of the first month of the plan year."""


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
    rate = accounts["potential"].to_numpy(float) * np.clip(
        rng.beta(SALES.share_a, SALES.share_b, size), *SALES.share_limits
    )
    rate[rng.random(size) < SALES.prospects] = 0.0
    active, monthly = np.ones((size, 1), dtype=bool), None
    if months:
        monthly = _by_month(rng, rate, segment, np.arange(-months, 0))
        active = _active(rng, size, months)
        monthly *= active
    current = rate if monthly is None else monthly[:, -12:].sum(axis=1)
    factor = SALES.per_account * size / current.sum()
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
        shape = 1.0 + kind.amplitude * np.cos(2 * np.pi * (month % 12 + 1 - kind.peak) / 12)
        result[segment == index] *= shape * kind.growth ** ((month + _FROM_MIDDLE_OF_LAST_YEAR) / 12)
    return result


def _by_month(rng: np.random.Generator, rate: Floats, segment: Ints, month: Ints) -> Floats:
    """Return sales by account and month: growth, seasonality, drift by year, lumpy orders."""
    result = _smooth(rate, segment, month)
    years = -(-len(month) // 12)
    drift = rng.lognormal(-0.5 * SALES.drift**2, SALES.drift, (len(rate), years))
    result *= np.repeat(drift, 12, axis=1)[:, years * 12 - len(month) :]
    shape = of_segment("shape", segment)[:, None]
    result *= rng.gamma(np.broadcast_to(shape, result.shape)) / shape
    skipped = of_segment("skipped", segment)[:, None]
    return result * ((rng.random(result.shape) >= skipped) / (1.0 - skipped))


def _active(rng: np.random.Generator, size: int, months: int) -> Mask:
    """Say when each account buys: some came during the history, a few went."""
    draw = rng.random(size)
    settled, stays = months - SALES.settled_months, int(months * SALES.stays)
    first = np.where(draw < SALES.newcomers, rng.integers(1, max(2, settled), size), 0)
    last = np.where(draw > 1.0 - SALES.leavers, rng.integers(stays, max(stays + 1, settled), size), months)
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
    expected = (_smooth(rate, segment, month) * active[:, None] * (1.0 - SALES.lapses) ** month).sum(axis=1)
    return np.asarray((coming * factor).round().sum(axis=1)), np.asarray(expected * factor)


def _stays(rng: np.random.Generator, active: Mask) -> Mask:
    """Say in which months of the plan year each account still buys."""
    lapsed = np.cumsum(rng.random((len(active), 12)) < SALES.lapses, axis=1) > 0
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
