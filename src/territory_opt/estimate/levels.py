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

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BLOCK = 3
"""Months in a block."""
HALF_LIVES = (0.25, 1.0, 4.0)
"""Half-lives of the own levels in blocks: the last quarter, the last half year, the last two years."""
OWN = len(HALF_LIVES) + 1
"""Columns of own history, the first of them the last year; after them: potential of active accounts, potential of
accounts that never bought."""
YEAR_BLOCKS = 4
"""The last year: where it is known the season has no part in it."""
ACTIVE_BLOCKS, LAPSED_GAPS = 4, 3.0
"""An account is active if it bought within so many blocks, or within so many typical gaps of its segment."""
BORROWED = 0.05
"""A segment's yield per unit of potential is shrunk to the company's by this share of an average segment."""
LEAST_FACTOR = 0.2
"""A seasonal factor below this does not blow up what was sold in such a month."""


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
    n = history.n_months
    ahead = factors[:, history.calendar(n + lead, horizon)].sum(axis=1)[history.segment]
    block = min(BLOCK, n)
    count = n // block
    used = count * block
    sold = history.sales[:, n - used :].reshape(-1, count, block).sum(axis=2)
    season = factors[:, history.calendar(n - used, used)].reshape(-1, count, block).mean(axis=2)
    rate = sold / np.maximum(season[history.segment], LEAST_FACTOR) / block
    any_sale = rate != 0.0
    bought = any_sale.any(axis=1)
    first = np.where(bought, np.argmax(any_sale, axis=1), count - 1)
    quiet = np.argmax(any_sale[:, ::-1], axis=1)  # blocks since the last with sales
    gap, typical = _gaps(history, any_sale, np.where(bought, count - 1 - quiet - first, 0))
    since = np.clip(np.arange(count)[None, :] - first[:, None] + gap[:, None], 0.0, 1.0)
    age = np.arange(count)[::-1]
    year = slice(max(count - YEAR_BLOCKS, 0), count)
    exposed = (season[history.segment, year] * since[:, year]).sum(axis=1) * block
    columns = [np.maximum(sold[:, year].sum(axis=1) / np.maximum(exposed, LEAST_FACTOR), 0.0)]
    for half_life in HALF_LIVES:
        weight = 0.5 ** (age / half_life) * since
        columns.append(np.maximum((rate * weight).sum(axis=1) / weight.sum(axis=1), 0.0))
    middle = columns[2]
    sells = history.by_segment(np.where(bought, middle, 0.0))
    could = history.by_segment(np.where(bought, history.potential, 0.0))
    # A segment in which few accounts ever bought borrows the company's yield.
    company, extra = float(sells.sum()) / max(float(could.sum()), 1e-12), BORROWED * float(could.mean())
    yields = (sells + extra * company) / np.maximum(could + extra, 1e-12)
    suggested = yields[history.segment] * history.potential
    active = bought & (quiet < np.maximum(ACTIVE_BLOCKS, LAPSED_GAPS * typical[history.segment]))
    columns += [np.where(active, suggested, 0.0), np.where(bought, 0.0, suggested)]
    return Levels(np.column_stack(columns) * ahead[:, None], bought, _lumps(history))


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
    by_segment = np.divide(
        history.by_segment(squares), history.by_segment(sums), out=np.zeros(len(history.segments)),
        where=history.by_segment(sums) > 0,
    )  # fmt: skip
    typical = by_segment[history.segment]
    own = np.divide(squares, sums, out=typical.copy(), where=sums > 0)
    months = (history.sales != 0).sum(axis=1)
    return np.asarray((months * own + 3.0 * typical) / (months + 3.0))
