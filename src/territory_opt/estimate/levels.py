"""What may tell the future of an account: its own level over short and long spans, and what its potential suggests.

Every level is money per month at an average month; :func:`levels` brings them to the months that are asked for. Own
levels are exponentially weighted means over blocks of three months (accounts that order once a quarter have no
zeros then) since the account's first order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.history import History
from territory_opt.estimate.seasonality import seasonality

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BLOCK = 3
"""Months in a block."""
HALF_LIVES = (0.25, 1.0, 4.0)
"""Half-lives of the own levels in blocks: the last quarter, the last half year, the last two years."""
OWN = len(HALF_LIVES)
"""Columns of own history; after them: potential of active accounts, potential of accounts that never bought."""
ACTIVE_BLOCKS = 4
"""An account is active if it bought within so many blocks."""
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


def levels(history: History, *, lead: int, horizon: int) -> Levels:
    """Return the levels for ``horizon`` months that begin ``lead`` months after the history ends."""
    factors, n = seasonality(history), history.n_months
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
    since = np.arange(count)[None, :] >= first[:, None]
    age = np.arange(count)[::-1]
    columns = []
    for half_life in HALF_LIVES:
        weight = 0.5 ** (age / half_life) * since
        columns.append(np.maximum((rate * weight).sum(axis=1) / weight.sum(axis=1), 0.0))
    middle = columns[1]
    sells = history.by_segment(np.where(bought, middle, 0.0))
    could = history.by_segment(np.where(bought, history.potential, 0.0))
    # A segment in which few accounts ever bought borrows the company's yield.
    company, extra = float(sells.sum()) / max(float(could.sum()), 1e-12), BORROWED * float(could.mean())
    yields = (sells + extra * company) / np.maximum(could + extra, 1e-12)
    suggested = yields[history.segment] * history.potential
    active = any_sale[:, -ACTIVE_BLOCKS:].any(axis=1)
    columns += [np.where(active, suggested, 0.0), np.where(bought, 0.0, suggested)]
    return Levels(np.column_stack(columns) * ahead[:, None], bought, _lumps(history))


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
