"""Rounding cuts: what whole accounts cannot do although accounts that are split could.

The rows of one rep say  sum_i a_i x_i - s <= b  with x_i 0 or 1 and s >= 0 by how much they are outside; of rows on the
rep's quota two are added so that the quota cancels. For any divisor d and any set C of accounts, x_i read as 1 - x'_i
for those in C,

    sum_(i not in C) F(a_i / d) x_i - sum_(i in C) F(-a_i / d) x_i - s / (d (1 - f))
        <=  floor(b' / d) - sum_(i in C) F(-a_i / d)

with b' = b - sum_C a_i, f the fraction of b' / d and F(a) = floor(a) + max(0, a - floor(a) - f) / (1 - f): mixed
integer rounding (Nemhauser and Wolsey, A recursive procedure to generate all cuts for 0-1 mixed integer programs,
Mathematical Programming 46, 1990). A cut is kept as what it is made of, its rows, sides, divisor and accounts C; all
else is worked out here, for every pair of the rep, so that a cut that holds is the only kind there is. See
docs/bound.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.model.model import Model
from territory_opt.model.pairs import Block
from territory_opt.model.rows import Rows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MOST_CUTS = 10_000
"""More cuts are refused, ..."""
MOST_LOOKED_AT = 8_000_000
"""... and those that have more coefficients than this in one block of accounts (64 MiB)."""
LEAST_ROOM = 1e-4
"""A cut with less than this between f and 1 is refused: there the last digits of floats decide."""
SLIP = 1e-12
"""Floats may be off by so much of what they add up; coefficients are moved by it to the safe side."""
NONE = -1
"""In place of a second row."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """What cuts are made of.

    ``rows`` (n_cuts, 2) are positions of rows of one rep, the second -1 where there is one only; ``sides`` (n_cuts, 2)
    say which limit of each counts, 1: the upper, -1: the lower; ``divisors`` (n_cuts,) in the first row's unit.
    ``accounts`` are those of C, the ``counts`` (n_cuts,) of one cut after the other's; a family is named by its first
    account.
    """

    rows: IntArray
    sides: IntArray
    divisors: FloatArray
    accounts: tuple[str, ...]
    counts: IntArray

    def __post_init__(self) -> None:
        """Take lists too."""
        for name in ("rows", "sides", "counts"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        object.__setattr__(self, "divisors", np.asarray(self.divisors, dtype=float))
        object.__setattr__(self, "accounts", tuple(self.accounts))

    def __len__(self) -> int:
        return len(self.divisors)

    @property
    def of_account(self) -> IntArray:
        """The cut that each of ``accounts`` belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)

    def with_more(self, more: Cuts) -> Cuts:
        """Return these cuts and then ``more``."""
        both = (np.concatenate([getattr(self, n), getattr(more, n)]) for n in ("rows", "sides", "divisors", "counts"))
        rows, sides, divisors, counts = both
        return Cuts(rows, sides, divisors, (*self.accounts, *more.accounts), counts)

    def take(self, kept: IntArray) -> Cuts:
        """Return the cuts at positions ``kept``, in order."""
        of_account = self.of_account
        accounts = [a for a, c in zip(self.accounts, np.isin(of_account, kept), strict=True) if c]
        return Cuts(self.rows[kept], self.sides[kept], self.divisors[kept], tuple(accounts), self.counts[kept])

    def problems(self, model: Model) -> list[str]:
        """List why these prove nothing for ``model``; empty if they can."""
        what = "the certificate's rounding cuts"
        n, rows, named = len(self), model.rows, len(self.accounts)
        if n > MOST_CUTS or n * model.source.block_rows > MOST_LOOKED_AT:
            return [f"{what} are {n:,}, more than are looked at"]
        shapes = self.rows.shape == self.sides.shape == (n, 2) and self.counts.shape == self.divisors.shape == (n,)
        # No sum of so few counts of so few accounts can leave the range of whole numbers.
        if not shapes or ((self.counts < 0) | (self.counts > named)).any() or int(self.counts.sum()) != named:
            return [f"{what} are not two rows, two sides, a divisor and a list of accounts each"]
        second = self.rows[:, 1] != NONE
        if (self.rows[:, 0] < 0).any() or (self.rows < NONE).any() or (self.rows >= len(rows)).any():
            return [f"{what} name rows that do not exist"]
        if not np.isin(self.sides, (-1, 1)).all() or not (np.isfinite(self.divisors) & (self.divisors > 0)).all():
            return [f"{what} have sides other than 1 and -1, or divisors that are not above zero"]
        owner = rows.owner[self.rows]
        if (owner[:, 0] < 0).any() or (owner[second, 0] != owner[second, 1]).any():
            return [f"{what} add up rows that are not of one rep"]
        if np.isinf(_limits(rows, self)).any():
            return [f"{what} stand on a limit that does not exist"]
        unknown = sorted({account for account in self.accounts if account not in model.source.account_index})
        if unknown:
            return [f"{what} name {account}, which is not in these tables" for account in unknown]
        with np.errstate(all="ignore"):
            worked_out = RoundedCuts.of(model, self)
        if len(np.unique([worked_out.nodes, worked_out.of_node], axis=1).T) < len(self.accounts):
            return [f"{what} count an account twice"]
        if not worked_out.cancels.all():
            return [f"{what} add up rows in which the rep's quota does not cancel"]
        sure = np.isfinite(worked_out.limit) & np.isfinite(worked_out.outside).all(axis=1)
        return [] if (sure & (worked_out.room >= LEAST_ROOM)).all() else [f"{what} round by too little to be sure of"]


NO_CUTS = Cuts(np.zeros((0, 2), int), np.zeros((0, 2), int), np.zeros(0), (), np.zeros(0, int))
"""None at all."""


@dataclass(frozen=True, slots=True)
class RoundedCuts:
    """Cuts worked out for a model, all (n_cuts,) unless said otherwise.

    ``rep`` is whose pairs they are about, ``rates`` (n_cuts, K) what a unit of each quantity adds to a_i, ``room``
    1 - f, ``limit`` the right side; ``outside`` (n_cuts, 2) what a unit outside each row takes off the left side, in
    ``rows`` (n_cuts, 2) at ``sides``; ``cancels`` whether the quota does. ``nodes`` are those of C, of the cuts
    ``of_node``.
    """

    rows: IntArray
    sides: IntArray
    rep: IntArray
    rates: FloatArray
    divisor: FloatArray
    room: FloatArray
    limit: FloatArray
    outside: FloatArray
    cancels: BoolArray
    nodes: IntArray
    of_node: IntArray

    @classmethod
    def of(cls, model: Model, cuts: Cuts) -> RoundedCuts:
        """Work out cuts whose rows, sides and accounts exist."""
        rows, source = model.rows, model.source
        rep = rows.owner[cuts.rows[:, 0]]
        weight, left = _weights(rows, cuts)
        signed = weight * cuts.sides
        rates = _rates(rows, cuts, rep, signed)
        limits = np.where(weight > 0, _limits(rows, cuts), 0.0)
        accounts = source.account_index.get_indexer(list(cuts.accounts)) if cuts.accounts else np.zeros(0, np.int64)
        nodes, of_node = source.nodes.of_account[accounts], cuts.of_account
        amounts, sizes = _amounts_of(model, nodes, rates[of_node], rep[of_node])
        size = (weight * np.abs(limits)).sum(axis=1) + _exact_sums(sizes, cuts.counts)
        b = (signed * limits).sum(axis=1) - _exact_sums(amounts, cuts.counts)
        b = (b + SLIP * size + np.abs(left) * model.quota_limit[rep]) / cuts.divisors
        room = 1.0 - (b - np.floor(b))
        # Twice what coefficients are moved by: amounts come from another sum there, which may differ in its last digit.
        turned = rounded((-amounts - 2.0 * SLIP * sizes) / cuts.divisors[of_node], room[of_node])
        return cls(
            rows=cuts.rows,
            sides=cuts.sides,
            rep=rep,
            rates=rates,
            divisor=cuts.divisors,
            room=room,
            limit=np.floor(b) - _exact_sums(turned, cuts.counts),
            outside=weight / (cuts.divisors * room)[:, None],
            cancels=np.abs(left) <= SLIP * np.abs(_on_quota(rows, cuts)[:, 0]),
            nodes=nodes,
            of_node=of_node,
        )

    def __len__(self) -> int:
        return len(self.rep)

    def of_block(self, block: Block) -> FloatArray:
        """Coefficients of a block's nodes with each cut's rep, (n_nodes, n_cuts)."""
        n = block.stop - block.start
        amounts, sizes = np.zeros((n, len(self))), np.zeros((n, len(self)))
        for k in np.flatnonzero(self.rates.any(axis=0)):
            quantity = block.quantities[k]
            part = self.rates[:, k] * (quantity if quantity.shape[1] == 1 else quantity[:, self.rep])
            amounts += part
            sizes += np.abs(part)
        turned = np.zeros((n, len(self)), dtype=bool)
        inside = (self.nodes >= block.start) & (self.nodes < block.stop)
        turned[self.nodes[inside] - block.start, self.of_node[inside]] = True
        return self.coefficients(amounts, sizes, turned, slice(None))

    def coefficients(self, amounts: FloatArray, sizes: FloatArray, turned: BoolArray, cut: int | slice) -> FloatArray:
        """Coefficients of pairs that add ``amounts`` (a sum of terms of ``sizes``) to the rows of a ``cut`` each.

        ``turned``: the node is one of C.
        """
        sign = np.where(turned, -1.0, 1.0)
        return sign * rounded((sign * amounts - SLIP * sizes) / self.divisor[cut], self.room[cut])

    def per_rep(self, by_cut: FloatArray, values: FloatArray, n_reps: int) -> FloatArray:
        """What cuts of ``values`` (n_cuts,) take off each node's pairs, (n, n_reps), for coefficients (n, n_cuts)."""
        spread = sparse.csr_matrix((values, (self.rep, np.arange(len(self)))), shape=(n_reps, len(self)))
        return np.asarray((spread @ by_cut.T).T)

    def loads(self, values: FloatArray, n_rows: int) -> tuple[FloatArray, FloatArray]:
        """Return how much of each row's price cuts of ``values`` (n_cuts,) take up, below and above: (n_rows,) each."""
        with np.errstate(over="ignore"):  # what is not finite is refused by who asks
            taken = values[:, None] * self.outside
        used = self.rows != NONE
        below, above = (
            np.bincount(self.rows[mask], taken[mask], minlength=n_rows).astype(float)
            for mask in (used & (self.sides < 0), used & (self.sides > 0))
        )
        return below, above


def rounded(amount: FloatArray, room: FloatArray) -> FloatArray:
    """F(amount) where the fraction of the right side leaves ``room`` to 1."""
    whole = np.floor(amount)
    return np.asarray(whole + np.maximum(amount - whole - (1.0 - room), 0.0) / room)


def _exact_sums(amounts: FloatArray, counts: IntArray) -> FloatArray:
    """Sums of ``counts`` (n,) amounts each, one after the other's, rounded once: over many equal ones errors add up."""
    ends = np.cumsum(counts)
    parts = zip((ends - counts).tolist(), ends.tolist(), strict=True)
    return np.array(
        [math.fsum(amounts[start:end]) if np.isfinite(amounts[start:end]).all() else np.nan for start, end in parts],
        dtype=float,
    )


def _limits(rows: Rows, cuts: Cuts) -> FloatArray:
    """The limit of each row that counts, (n_cuts, 2); 0 for no row."""
    limits = np.where(cuts.sides > 0, rows.high[cuts.rows], rows.low[cuts.rows])
    return np.where(cuts.rows == NONE, 0.0, limits)


def _on_quota(rows: Rows, cuts: Cuts) -> FloatArray:
    """Coefficient of the rep's quota in each row at its side, (n_cuts, 2): the only quota in a row of one rep."""
    found = np.asarray(rows.quotas.sum(axis=1)).ravel()[cuts.rows]
    return np.where(cuts.rows == NONE, 0.0, cuts.sides * found)


def _weights(rows: Rows, cuts: Cuts) -> tuple[FloatArray, FloatArray]:
    """Weight of each row, (n_cuts, 2): 1, and what makes the quota cancel; and what is left of the quota, (n_cuts,)."""
    first, second = _on_quota(rows, cuts).T
    there = cuts.rows[:, 1] != NONE
    ratio = np.abs(np.divide(first, second, out=np.zeros(len(cuts)), where=second != 0))
    weight = np.column_stack([np.ones(len(cuts)), np.where(there, ratio, 0.0)])
    return weight, first + weight[:, 1] * second


def _rates(rows: Rows, cuts: Cuts, rep: IntArray, signed: FloatArray) -> FloatArray:
    """What a unit of each quantity of the rep adds to the rows with ``signed`` weights (n_cuts, 2): (n_cuts, K)."""
    n_quantities = len(rows.quantities)
    rates = np.zeros((len(cuts), n_quantities))
    for m in (0, 1):
        whole = rows.totals[cuts.rows[:, m]].tocoo()
        own = whole.col // n_quantities == rep[whole.row]
        line, k = whole.row[own], whole.col[own] % n_quantities
        rates[line, k] += signed[line, m] * whole.data[own]
    return rates


def _amounts_of(model: Model, nodes: IntArray, rates: FloatArray, reps: IntArray) -> tuple[FloatArray, FloatArray]:
    """What ``nodes`` (n,) with their ``reps`` add at ``rates`` (n, K), and the sum of the sizes of its terms, (n,)."""
    if len(nodes) == 0:
        return np.zeros(0), np.zeros(0)
    source = model.source
    edge = source.nodes.start
    length = edge[nodes + 1] - edge[nodes]
    line = np.repeat(np.arange(len(nodes)), length)
    place = np.arange(len(line)) - np.repeat(np.cumsum(length) - length, length)
    accounts = source.nodes.order[edge[nodes][line] + place]
    _, columns = source.chosen(accounts, reps[line])
    parts = [rates[:, k] * np.bincount(line, column, minlength=len(nodes)) for k, column in enumerate(columns)]
    return np.sum(parts, axis=0), np.sum(np.abs(parts), axis=0)
