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


def sell(rng: np.random.Generator, accounts: pd.DataFrame, months: int) -> tuple[Floats, Floats | None]:
    """Return each account's sales of the last 12 months and its sales by month (None without history).

    Scales potential, in place, and sales to the company's size.
    """
    size = len(accounts)
    names = [kind.name for kind in SEGMENTS]
    segment = pd.Categorical(accounts["segment"], categories=names).codes.astype(np.int64)
    rate = accounts["potential"].to_numpy(float) * np.clip(rng.beta(2.2, 2.6, size), 0.05, 0.8)
    rate[rng.random(size) < 0.03] = 0.0
    monthly = _by_month(rng, rate, segment, months) if months else None
    current = rate if monthly is None else monthly[:, -12:].sum(axis=1)
    factor = _SALES_PER_ACCOUNT * size / current.sum()
    accounts["potential"] = accounts["potential"] * factor
    if monthly is None:
        return current * factor, None
    monthly = (monthly * factor).round()
    return monthly[:, -12:].sum(axis=1), monthly


def _by_month(rng: np.random.Generator, rate: Floats, segment: Ints, months: int) -> Floats:
    """Return sales by account and month: growth, seasonality, drift by year, lumpy orders, comers and goers."""
    size = len(rate)
    month = np.arange(months)
    result = np.repeat(rate[:, None] / 12.0, months, axis=1)
    for index, kind in enumerate(SEGMENTS):
        amplitude, peak = kind.season
        calendar = (month - months) % 12
        shape = 1.0 + amplitude * np.cos(2 * np.pi * (calendar + 1 - peak) / 12)
        result[segment == index] *= shape * kind.growth ** ((month - (months - 6.5)) / 12)
    years = -(-months // 12)
    drift = rng.lognormal(-0.5 * 0.12**2, 0.12, (size, years))
    result *= np.repeat(drift, 12, axis=1)[:, years * 12 - months :]
    shape = of_segment("shape", segment)[:, None]
    result *= rng.gamma(np.broadcast_to(shape, result.shape)) / shape
    skipped = of_segment("skipped", segment)[:, None]
    result *= (rng.random(result.shape) >= skipped) / (1.0 - skipped)
    return result * _active(rng, size, months)


def _active(rng: np.random.Generator, size: int, months: int) -> Mask:
    """Say when each account buys: some came during the history, a few went."""
    draw = rng.random(size)
    first = np.where(draw < 0.08, rng.integers(1, max(2, months - 3), size), 0)
    last = np.where(draw > 0.96, rng.integers(months // 3, max(months // 3 + 1, months - 3), size), months)
    month = np.arange(months)
    return (month >= first[:, None]) & (month < last[:, None])


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
