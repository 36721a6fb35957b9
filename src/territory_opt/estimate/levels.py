"""What may tell the future of an account: its own level over short and long spans, and what its potential suggests.

Every level is money per month at an average month; :func:`levels` brings them to the months that are asked for. Own
levels are the mean of the last year, which no season is in, and exponentially weighted means over blocks of three
months (accounts that order once a quarter have no zeros then) since one typical gap before the account's first order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.history import History
from territory_opt.estimate.settings import LevelSettings
from territory_opt.problem.numbers import MONTHS_PER_YEAR, TINY

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SETTINGS = LevelSettings()
OWN = len(SETTINGS.half_lives) + 1
"""Columns of own history, the first of them the last year; after them: potential of active accounts, potential of
accounts that never bought."""


@dataclass(frozen=True, slots=True)
class Levels:
    """``amounts`` (n_accounts, OWN + 2) money over the months asked for; ``bought`` who ever bought; ``lump`` money.

    ``lump`` (n_accounts,) is the size of a typical order: the mean of squared monthly sales over the mean. Few large
    orders have a large one; accounts without history have that of their segment.
    """

    amounts: FloatArray
    bought: BoolArray
    lump: FloatArray


def levels(history: History, *, lead: int, horizon: int, factors: FloatArray) -> Levels:
    """Return the levels for ``horizon`` months that begin ``lead`` months after the history ends.

    ``factors`` (n_segments, 12) are those of :func:`seasonality`.
    """
    blocks = _Blocks.of(history, factors)
    columns = [blocks.last_year(), *(blocks.smoothed(half_life) for half_life in SETTINGS.half_lives)]
    suggested = _yields(history, blocks.bought, columns[2])[history.segment] * history.potential
    columns += [np.where(blocks.active, suggested, 0.0), np.where(blocks.bought, 0.0, suggested)]
    ahead = factors[:, history.calendar(history.n_months + lead, horizon)].sum(axis=1)[history.segment]
    return Levels(np.column_stack(columns) * ahead[:, None], blocks.bought, _lumps(history))


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Sales by block of ``length`` months, oldest first.

    ``sold``, ``season`` (n_accounts, n_blocks): money, and mean seasonal factor; ``there``: part of each block that the
    account was there, from 0 to 1; ``bought``, ``active`` (n_accounts,): who ever did, and who is taken to still buy.
    """

    length: int
    sold: FloatArray
    season: FloatArray
    there: FloatArray
    bought: BoolArray
    active: BoolArray

    @classmethod
    def of(cls, history: History, factors: FloatArray) -> _Blocks:
        """Cut the history into whole blocks from its end; ``factors`` as in :func:`levels`."""
        n = history.n_months
        length = min(SETTINGS.block, n)
        count = n // length
        used = count * length
        sold = history.sales[:, n - used :].reshape(-1, count, length).sum(axis=2)
        season = factors[:, history.calendar(n - used, used)].reshape(-1, count, length).mean(axis=2)
        any_sale = sold != 0.0
        bought = any_sale.any(axis=1)
        first = np.where(bought, np.argmax(any_sale, axis=1), count - 1)
        quiet = np.argmax(any_sale[:, ::-1], axis=1)  # blocks since the last with sales
        gap, typical = _gaps(history, any_sale, np.where(bought, count - 1 - quiet - first, 0))
        there = np.clip(np.arange(count)[None, :] - first[:, None] + gap[:, None], 0.0, 1.0)
        active = bought & (quiet < np.maximum(_year_blocks(), SETTINGS.lapsed_gaps * typical[history.segment]))
        return cls(length, sold, season[history.segment], there, bought, active)

    def last_year(self) -> FloatArray:
        """Level of the last year, (n_accounts,) money per month: where all of it is known no season is in it."""
        year = slice(max(self.sold.shape[1] - _year_blocks(), 0), None)
        exposed = (self.season[:, year] * self.there[:, year]).sum(axis=1) * self.length
        return np.asarray(np.maximum(self.sold[:, year].sum(axis=1) / np.maximum(exposed, SETTINGS.least_factor), 0.0))

    def smoothed(self, half_life: float) -> FloatArray:
        """Level by weights that halve every ``half_life`` blocks, (n_accounts,) money per month."""
        rate = self.sold / np.maximum(self.season, SETTINGS.least_factor) / self.length
        weight = 0.5 ** (np.arange(self.sold.shape[1])[::-1] / half_life) * self.there
        return np.asarray(np.maximum((rate * weight).sum(axis=1) / weight.sum(axis=1), 0.0))


def _year_blocks() -> int:
    """Blocks in a year."""
    return MONTHS_PER_YEAR // SETTINGS.block


def _yields(history: History, bought: BoolArray, level: FloatArray) -> FloatArray:
    """Sales per unit of potential of accounts that ever bought, (n_segments,); ``level`` (n_accounts,) their own.

    A segment in which few accounts ever bought borrows the company's yield.
    """
    sells = history.by_segment(np.where(bought, level, 0.0))
    could = history.by_segment(np.where(bought, history.potential, 0.0))
    company, extra = float(sells.sum()) / max(float(could.sum()), TINY), SETTINGS.borrowed * float(could.mean())
    return np.asarray((sells + extra * company) / np.maximum(could + extra, TINY))


def _gaps(history: History, any_sale: BoolArray, span: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Blocks from one with sales to the next, of each account (n_accounts,) and segment (n_segments,), at least 1.

    ``span`` (n_accounts,) are the blocks from the first with sales to the last.
    An account counts as there one gap before its first order in the history: that it ordered nothing before is no
    sign that it is new. With one order its gap is that of the segment.
    """
    count = any_sale.shape[1]
    again = np.maximum(any_sale.sum(axis=1) - 1, 0)
    spans, agains = history.by_segment(span.astype(float)), history.by_segment(again.astype(float))
    company = spans.sum() / agains.sum() if agains.sum() > 0 else float(count)
    typical = (spans + company) / (agains + 1.0)
    return (span + typical[history.segment]) / (again + 1.0), typical


def _lumps(history: History) -> FloatArray:
    squares, sums = (history.sales**2).sum(axis=1), np.maximum(history.sales, 0.0).sum(axis=1)
    squared, summed = history.by_segment(squares), history.by_segment(sums)
    typical = np.divide(squared, summed, out=np.zeros_like(summed), where=summed > 0)[history.segment]
    own = np.divide(squares, sums, out=typical.copy(), where=sums > 0)
    months = (history.sales != 0).sum(axis=1)
    return np.asarray((months * own + SETTINGS.lump_months * typical) / (months + SETTINGS.lump_months))
