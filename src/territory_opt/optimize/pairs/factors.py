"""The pairs of a model in factored form, for compiled code: memory grows with accounts + reps, not with their product.

What a pair is worth and adds up is a sum of terms (:mod:`territory_opt.model.quantities`): an amount of the account x a
basis of the pair x, for some, a table by rep. Any pair can be computed in a few nanoseconds and none has to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.model.quantities import ByRep, Quantity, Term

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

NONE = -1


class Terms(NamedTuple):
    """Distinct terms of the value and of all quantities: one stands for all that have its amount, basis and table.

    Term t is ``amount[a, column[t]]`` (1 where ``column`` is -1) x basis ``basis[t]`` x ``table[table_row[a,
    by_rep[t]], j]`` (1 where ``by_rep`` is -1). It adds ``scale[s]`` times that to ``quantity[s]`` for each s of
    ``start[t]:start[t + 1]``; the value is quantity K, after the others. ``amount`` (n_accounts, n_columns); ``table``
    (n_rows, n_reps); ``table_row`` (n_accounts, n_tables).
    """

    column: IntArray
    basis: IntArray
    by_rep: IntArray
    start: IntArray
    quantity: IntArray
    scale: FloatArray
    amount: FloatArray
    table: FloatArray
    table_row: SmallInts

    def priced(self, price: FloatArray) -> FloatArray:
        """Return what one unit of each term costs with each rep, (n_terms, m), at ``price`` (K + 1, m)."""
        each = self.scale[:, None] * price[self.quantity]
        return np.add.reduceat(each, self.start[:-1], axis=0)


class Factors(NamedTuple):
    """Columns of a model's pairs. Accounts are in node order; node i holds accounts ``node_start[i]:node_start[i+1]``.

    ``point`` (n, 3) and ``home`` (3, m) unit vectors; ``road`` (n,) km of round trips a year per km of distance;
    ``gross`` (n,) sales at factor 1 and ``common`` (n,) with whatever rep; ``factor`` and ``allowed`` (n_classes, m),
    ``group`` (n,) class of each account; ``loss`` (n,) sales at risk at full rate, ``kept`` (m, m) share of that for
    incumbent and new rep; ``locked`` (n,) rep or -1; forbidden reps in CSR. ``n_quantities`` without the value.
    """

    node_start: IntArray
    point: FloatArray
    home: FloatArray
    road: FloatArray
    gross: FloatArray
    common: FloatArray
    group: SmallInts
    factor: FloatArray
    allowed: BoolArray
    incumbent: SmallInts
    loss: FloatArray
    kept: FloatArray
    locked: SmallInts
    forbid_start: IntArray
    forbid_rep: SmallInts
    max_km: float
    terms: Terms
    n_quantities: int

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.node_start) - 1

    @property
    def n_reps(self) -> int:
        """Number of reps."""
        return int(self.home.shape[1])

    @classmethod
    def of(cls, model: Model) -> Factors:
        """Take the columns from a model. Cost: linear in accounts, plus classes of accounts x reps."""
        source, eligibility = model.source, model.source.eligibility
        order, classes, (places, homes) = source.nodes.order, source.classes, source.unit_vectors
        forbid_start, forbid_rep = _forbids(eligibility.forbidden, order)
        discount = model.problem.policy.territories.keep.similar_skill_discount
        return cls(
            node_start=source.nodes.start,
            point=np.ascontiguousarray(places[order]),
            home=np.ascontiguousarray(homes.T),
            road=source.road_per_km[order],
            gross=source.gross_base[order],
            common=source.common_sales[order],
            group=classes.of_account[order].astype(np.int32),
            factor=classes.factor,
            allowed=classes.allowed,
            incumbent=source.incumbent[order].astype(np.int32),
            loss=source.loss_rate * source.current_sales[order],
            kept=np.ascontiguousarray(1.0 - discount * source.skills.likeness),
            locked=eligibility.locked[order].astype(np.int32),
            forbid_start=forbid_start,
            forbid_rep=forbid_rep,
            max_km=eligibility.limit_km,
            terms=_Packing(order, model.problem.n_reps).terms((*source.quantities, source.value)),
            n_quantities=len(source.quantities),
        )

    def take(self, nodes: IntArray) -> Factors:
        """Return the same for some nodes only, in their order."""
        size = np.diff(self.node_start)[nodes]
        start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        rows = np.repeat(self.node_start[nodes] - start[:-1], size) + np.arange(start[-1])
        count = np.diff(self.forbid_start)[rows]
        forbid_start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        at = np.repeat(self.forbid_start[rows] - forbid_start[:-1], count) + np.arange(forbid_start[-1])
        by_account = ("point", "road", "gross", "common", "group", "incumbent", "loss", "locked")
        terms = self.terms._replace(amount=self.terms.amount[rows], table_row=self.terms.table_row[rows])
        return self._replace(
            node_start=start,
            forbid_start=forbid_start,
            forbid_rep=self.forbid_rep[at],
            terms=terms,
            **{name: getattr(self, name)[rows] for name in by_account},
        )

    def worthless(self) -> Factors:
        """Return the same pairs, all worth 0: what is left is what rules add up."""
        terms = self.terms
        scale = np.where(terms.quantity == self.n_quantities, 0.0, terms.scale)
        return self._replace(terms=terms._replace(scale=scale))


@dataclass(slots=True)
class _Packing:
    """Collects distinct columns, tables and terms; ``order`` is the node order of accounts."""

    order: IntArray
    n_reps: int
    columns: list[FloatArray] = field(default_factory=list)
    tables: list[ByRep] = field(default_factory=list)
    users: dict[tuple[int, int, int], list[tuple[int, float]]] = field(default_factory=dict)

    def terms(self, quantities: Sequence[Quantity]) -> Terms:
        """Pack the terms of ``quantities``, the value last."""
        for k, quantity in enumerate(quantities):
            for term in quantity.terms:
                scale = float(term.amount) if np.ndim(term.amount) == 0 else 1.0
                key = (self._column(term), int(term.basis), self._table(term))
                self.users.setdefault(key, []).append((k, scale))
        column, basis, by_rep = np.array(list(self.users), dtype=np.int64).T
        users = [user for each in self.users.values() for user in each]
        first = np.cumsum([0, *(len(found.table) for found in self.tables)])
        rows = [first[k] + found.row[self.order] for k, found in enumerate(self.tables)]
        n = len(self.order)
        return Terms(
            column=column.copy(),
            basis=basis.copy(),
            by_rep=by_rep.copy(),
            start=np.cumsum([0, *(len(each) for each in self.users.values())]).astype(np.int64),
            quantity=np.array([k for k, _ in users], dtype=np.int64),
            scale=np.array([scale for _, scale in users]),
            amount=np.column_stack([np.zeros((n, 0)), *(values[self.order] for values in self.columns)]),
            table=np.vstack([np.zeros((0, self.n_reps)), *(found.table for found in self.tables)]),
            table_row=np.column_stack([np.zeros((n, 0)), *rows]).astype(np.int32),
        )

    def _column(self, term: Term) -> int:
        if np.ndim(term.amount) == 0:
            return NONE
        amount = np.asarray(term.amount)
        for k, known in enumerate(self.columns):
            if known is amount or np.array_equal(known, amount):
                return k
        self.columns.append(amount)
        return len(self.columns) - 1

    def _table(self, term: Term) -> int:
        if term.by_rep is None:
            return NONE
        for k, known in enumerate(self.tables):
            if known is term.by_rep:
                return k
        self.tables.append(term.by_rep)
        return len(self.tables) - 1


def _forbids(forbidden: IntArray, order: IntArray) -> tuple[IntArray, SmallInts]:
    """Forbidden reps per account in node order, CSR."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    rows = place[forbidden[:, 0]] if len(forbidden) else np.zeros(0, dtype=np.int64)
    by_row = np.argsort(rows, kind="stable")
    start = np.searchsorted(rows[by_row], np.arange(len(order) + 1)).astype(np.int64)
    return start, forbidden[by_row, 1].astype(np.int32) if len(forbidden) else np.zeros(0, dtype=np.int32)
