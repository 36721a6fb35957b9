"""Rows: every rule of a plan that adds something up per rep, in one form that all parts read.

A row says: low <= sum of (coefficient x rep total of a quantity) + sum of (coefficient x quota) <= high, with a
price per unit below and above, or hard; and it says itself in words. Builders are in :mod:`territory_opt.model.rules`;
the mixed-integer model, the bound, the moves, the audit and the explanations read rows and ask none for its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.words import MORE_DIGITS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NEAR_LIMIT = 0.01
"""A share this near to its limit is written with more digits, so that it reads as different: ``MORE_DIGITS``."""


class Kind(StrEnum):
    """What a row is about."""

    BAND = "band"
    """A metric of one rep, near a share target."""
    CAPACITY = "capacity"
    """What one rep has, of which no more can be used."""
    BUDGET = "budget"
    """What all reps together may use up."""
    COVERAGE = "coverage"
    """What all reps together must reach."""
    ROLL_UP = "roll-up"
    """Quotas under a node that add up to its target."""
    GUARD = "guard"
    """Limits on one rep's quota alone."""
    ODDS = "odds"
    """A quota that a rep makes with some probability."""
    FAIRNESS = "fairness"
    """A quota in proportion to what the rep's accounts bring."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a row says of itself.

    ``sentence`` is the rule as a planner reads it. ``way_out`` says how it could give (fields: see
    :meth:`Row.way_out`). ``gives`` and ``takes`` argue for a rep against a rival (fields ``name``, ``rival``, ``unit``,
    ``detail``): because the rep is to have more of what the row adds up, or because the rival is to have less.
    """

    sentence: str
    way_out: str = "let the {rule} of {subject} go to {value:,.0f} {unit}"
    gives: str = "the {rule} is better served by {name}"
    takes: str = "the {rule} is better served by {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rule. ``totals``: (rep position, quantity) -> coefficient; ``quotas``: rep position -> coefficient.

    ``rule`` and ``subject`` name it together. ``scale`` is the size against which a violation is judged (a share
    target, a budget); ``price`` is money per unit outside the limits, ignored for a hard row; ``worst_price`` is paid
    once more on the largest deviation of all rows of this rule.
    """

    rule: str
    subject: str
    kind: Kind
    totals: dict[tuple[int, str], float] = field(default_factory=dict)
    quotas: dict[int, float] = field(default_factory=dict)
    low: float = -np.inf
    high: float = np.inf
    hard: bool
    price: float = 0.0
    worst_price: float = 0.0
    scale: float
    unit: str
    words: Words

    @property
    def sets_quotas(self) -> bool:
        """Whether it is a rule of the quota stage."""
        return bool(self.quotas)

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return self.words.sentence

    def way_out(self, value: float) -> str:
        """Say how the row would have to give so that ``value`` is allowed.

        Fields of the template: rule, subject, unit, value, low, high, middle of the limits, ``share`` (of the scale,
        as text), ``fraction`` (the same as a number), ``accounts`` ("1 account").
        """
        limit = self.high if value > self.high else self.low
        digits = 0 if abs(value - limit) > NEAR_LIMIT * self.scale else MORE_DIGITS
        return self.words.way_out.format(
            rule=self.rule,
            subject=self.subject,
            unit=self.unit,
            value=value,
            low=self.low,
            high=self.high,
            middle=(self.low + self.high) / 2,
            share=f"{value / self.scale:.{digits}%}",
            fraction=value / self.scale,
            accounts="1 account" if round(value) == 1 else f"{value:,.0f} accounts",
        )

    def argument(self, name: str, rival: str, *, gives: bool) -> str:
        """Say why the row speaks for ``name`` against ``rival``: it ``gives`` room there, or is full here."""
        text = self.words.gives if gives else self.words.takes
        detail = self.rule.partition(": ")[2]
        return text.format(name=name, rival=rival, unit=self.unit, rule=self.rule, detail=detail)


@dataclass(frozen=True)
class Rows:
    """Rows as arrays. ``totals`` is (n_rows, n_reps * n_quantities), ``quotas`` (n_rows, n_reps), both CSR.

    ``price`` is infinite for hard rows. ``worst_group`` gives the group whose largest deviation is priced
    once more at ``worst_price`` (-1: none). ``whole`` says whether these are all rows of their model.
    """

    items: tuple[Row, ...]
    quantities: tuple[str, ...]
    n_reps: int
    totals: sparse.csr_matrix
    quotas: sparse.csr_matrix
    low: FloatArray
    high: FloatArray
    price: FloatArray
    hard: npt.NDArray[np.bool_]
    scale: FloatArray
    worst_group: IntArray
    worst_price: FloatArray
    whole: bool = True

    @classmethod
    def from_items(
        cls, items: Iterable[Row], n_reps: int, *, quantities: tuple[str, ...] | None = None, whole: bool = True
    ) -> Rows:
        """Pack rows into arrays; ``quantities`` are those the rows name unless given."""
        rows = tuple(items)
        if quantities is None:
            quantities = tuple(dict.fromkeys(name for row in rows for _, name in row.totals))
        column = {name: k for k, name in enumerate(quantities)}
        at = [(r, j * len(quantities) + column[q], c) for r, row in enumerate(rows) for (j, q), c in row.totals.items()]
        own = [(r, j, c) for r, row in enumerate(rows) for j, c in row.quotas.items()]
        priced = list(dict.fromkeys(row.rule for row in rows if row.worst_price > 0))
        return cls(
            items=rows,
            quantities=quantities,
            n_reps=n_reps,
            totals=_csr(at, (len(rows), n_reps * len(quantities))),
            quotas=_csr(own, (len(rows), n_reps)),
            low=np.array([row.low for row in rows], dtype=float),
            high=np.array([row.high for row in rows], dtype=float),
            price=np.array([np.inf if row.hard else row.price for row in rows], dtype=float),
            hard=np.array([row.hard for row in rows], dtype=bool),
            scale=np.array([row.scale for row in rows], dtype=float),
            worst_group=np.array([priced.index(row.rule) if row.worst_price > 0 else -1 for row in rows], dtype=int),
            worst_price=np.array([next(r.worst_price for r in rows if r.rule == rule) for rule in priced], dtype=float),
            whole=whole,
        )

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Rule and subject of each row."""
        return tuple((row.rule, row.subject) for row in self.items)

    @cached_property
    def rule(self) -> npt.NDArray[np.object_]:
        """Rule of each row, (n_rows,): the rows of one rule belong together."""
        return np.array([row.rule for row in self.items], dtype=object)

    def of_kind(self, kind: Kind) -> npt.NDArray[np.bool_]:
        """Which rows are of one kind, (n_rows,)."""
        return np.array([row.kind is kind for row in self.items], dtype=bool)

    @cached_property
    def set_quotas(self) -> bool:
        """Whether any row is about quotas."""
        return bool(self.quotas.nnz)

    @cached_property
    def owner(self) -> IntArray:
        """The one rep each row is about, (n_rows,); -1 for rows over several reps."""
        touched = ({j for j, _ in row.totals} | set(row.quotas) for row in self.items)
        return np.array([next(iter(reps)) if len(reps) == 1 else -1 for reps in touched], dtype=np.int64)

    def with_more(self, more: Rows) -> Rows:
        """Return these rows and then ``more`` on the same quantities, none of which prices a worst deviation."""

        def joined(name: str) -> Any:
            return np.concatenate([getattr(self, name), getattr(more, name)])

        return replace(
            self,
            items=(*self.items, *more.items),
            totals=sparse.vstack([self.totals, more.totals]).tocsr(),
            quotas=sparse.vstack([self.quotas, more.quotas]).tocsr(),
            low=joined("low"),
            high=joined("high"),
            price=joined("price"),
            hard=joined("hard"),
            scale=joined("scale"),
            worst_group=joined("worst_group"),
        )

    def take(self, kept: IntArray) -> Rows:
        """Return the rows at positions ``kept`` (n,); of a rule with a price of its worst, all or none."""
        return replace(
            self,
            items=tuple(self.items[r] for r in kept),
            totals=self.totals[kept],
            quotas=self.quotas[kept],
            **{name: getattr(self, name)[kept] for name in ("low", "high", "price", "hard", "scale", "worst_group")},
            whole=self.whole and len(kept) == len(self),
        )

    def beside(self, totals: FloatArray) -> Rows:
        """Return the rows for what comes on top of rep ``totals`` (n_reps, n_quantities) that stay."""
        used = np.asarray(self.totals @ totals.ravel())
        return replace(self, low=self.low - used, high=self.high - used)

    def activity(self, totals: FloatArray, quotas: FloatArray) -> FloatArray:
        """Return each row's value, (n_rows,), for rep totals (n_reps, n_quantities) and quotas (n_reps,)."""
        return np.asarray(self.totals @ totals.ravel() + self.quotas @ quotas)

    def at_rep(self, multipliers: FloatArray) -> FloatArray:
        """Return what one unit of each quantity is worth at each rep, (n_reps, n_quantities), for (n_rows,)."""
        return np.asarray(self.totals.T @ multipliers).reshape(self.n_reps, len(self.quantities))

    def outside(self, totals: FloatArray, quotas: FloatArray) -> FloatArray:
        """Return how far each row is outside its limits: negative below, positive above, 0 within."""
        value = self.activity(totals, quotas)
        return np.where(value < self.low, value - self.low, np.where(value > self.high, value - self.high, 0.0))

    def costs(self, outside: FloatArray) -> dict[str, float]:
        """Return the price paid per rule for the priced rows (hard rows have no price)."""
        paid = np.where(self.hard, 0.0, self.price) * np.abs(outside)
        cost: dict[str, float] = {}
        for row, amount in zip(self.items, paid, strict=True):
            cost[row.rule] = cost.get(row.rule, 0.0) + float(amount)
        for group, price in enumerate(self.worst_price):
            members = np.flatnonzero(self.worst_group == group)
            cost[self.items[members[0]].rule] += float(price * np.abs(outside[members]).max())
        return cost

    def territory_only(self) -> Rows:
        """Return the rows that do not involve quotas."""
        return self._only([row for row in self.items if not row.sets_quotas])

    def quota_only(self) -> Rows:
        """Return the rows that involve quotas."""
        return self._only([row for row in self.items if row.sets_quotas])

    def _only(self, kept: list[Row]) -> Rows:
        whole = self.whole and len(kept) == len(self)
        return Rows.from_items(kept, self.n_reps, quantities=self.quantities, whole=whole)


def _csr(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> sparse.csr_matrix:
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csr_matrix((values, (rows, columns)), shape=shape, dtype=float)
