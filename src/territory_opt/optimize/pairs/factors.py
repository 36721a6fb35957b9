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
    """Terms of the value and of every quantity, side by side.

    Term t adds ``scale[t]`` x ``amount[a, column[t]]`` (1 where ``column`` is -1) x basis ``basis[t]`` x
    ``table[table_row[a, by_rep[t]], j]`` (1 where ``by_rep`` is -1) to quantity ``quantity[t]``; the value is quantity
    K, after the others. ``amount`` (n_accounts, n_columns); ``table`` (n_rows, n_reps); ``table_row`` (n_accounts,
    n_tables).
    """

    quantity: IntArray
    scale: FloatArray
    column: IntArray
    basis: IntArray
    by_rep: IntArray
    amount: FloatArray
    table: FloatArray
    table_row: SmallInts


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
    """Collects distinct columns and tables of terms; ``order`` is the node order of accounts."""

    order: IntArray
    n_reps: int
    columns: dict[int, FloatArray] = field(default_factory=dict)
    tables: dict[int, ByRep] = field(default_factory=dict)

    def terms(self, quantities: Sequence[Quantity]) -> Terms:
        """Pack the terms of ``quantities``, the value last."""
        flat = [(k, term) for k, quantity in enumerate(quantities) for term in quantity.terms]
        column = [self._column(term) for _, term in flat]
        by_rep = [self._table(term) for _, term in flat]
        amount = np.zeros((len(self.order), len(self.columns)))
        for k, values in enumerate(self.columns.values()):
            amount[:, k] = values[self.order]
        first = np.cumsum([0, *(len(found.table) for found in self.tables.values())])
        row = np.zeros((len(self.order), len(self.tables)), dtype=np.int32)
        for k, found in enumerate(self.tables.values()):
            row[:, k] = first[k] + found.row[self.order]
        return Terms(
            quantity=np.array([k for k, _ in flat], dtype=np.int64),
            scale=np.array([term.amount if np.ndim(term.amount) == 0 else 1.0 for _, term in flat], dtype=float),
            column=np.array(column, dtype=np.int64),
            basis=np.array([int(term.basis) for _, term in flat], dtype=np.int64),
            by_rep=np.array(by_rep, dtype=np.int64),
            amount=amount,
            table=np.vstack([np.zeros((0, self.n_reps)), *(found.table for found in self.tables.values())]),
            table_row=row,
        )

    def _column(self, term: Term) -> int:
        if np.ndim(term.amount) == 0:
            return NONE
        self.columns.setdefault(id(term.amount), np.asarray(term.amount))
        return list(self.columns).index(id(term.amount))

    def _table(self, term: Term) -> int:
        if term.by_rep is None:
            return NONE
        self.tables.setdefault(id(term.by_rep), term.by_rep)
        return list(self.tables).index(id(term.by_rep))


def _forbids(forbidden: IntArray, order: IntArray) -> tuple[IntArray, SmallInts]:
    """Forbidden reps per account in node order, CSR."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    rows = place[forbidden[:, 0]] if len(forbidden) else np.zeros(0, dtype=np.int64)
    by_row = np.argsort(rows, kind="stable")
    start = np.searchsorted(rows[by_row], np.arange(len(order) + 1)).astype(np.int64)
    return start, forbidden[by_row, 1].astype(np.int32) if len(forbidden) else np.zeros(0, dtype=np.int32)
