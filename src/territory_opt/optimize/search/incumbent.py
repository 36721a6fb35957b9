"""The best plan so far, as the rows judge it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.model.rows import Rows
from territory_opt.optimize.mip.set_quotas import set_quotas
from territory_opt.plan.audit import ROW_TOLERANCE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def best_of(incumbents: Iterable[Incumbent]) -> Incumbent:
    """Return the one that ranks best, the first of equals."""
    return min(incumbents, key=lambda incumbent: incumbent.rank)


@dataclass(slots=True)
class Incumbent:
    """A plan for a set of rows: assignment (n_nodes,), quotas (n_reps,), which hard rows it ``breaks``, (n_rows,).

    ``excess`` is the summed share by which it breaks them, ``value`` its objective, money of the plan's period.
    """

    reps: IntArray
    quotas: FloatArray
    breaks: npt.NDArray[np.bool_]
    excess: float
    value: float

    @classmethod
    def of(cls, model: Model, rows: Rows, reps: IntArray) -> Incumbent:
        """Judge an assignment at its best (unrounded) quotas."""
        totals, value = model.totals(reps)
        quotas = set_quotas(model, totals, rounded=False) if rows.quotas.nnz else np.zeros(rows.n_reps)
        return cls.at(rows, reps, quotas, totals, value)

    @classmethod
    def at(cls, rows: Rows, reps: IntArray, quotas: FloatArray, totals: FloatArray, value: float) -> Incumbent:
        """Judge an assignment with its rep ``totals`` (n_reps, K) and summed ``value`` at given ``quotas``."""
        outside = rows.outside(totals, quotas)
        breaks = rows.hard & (np.abs(outside) > ROW_TOLERANCE * rows.scale)
        excess = float((np.abs(outside) / rows.scale)[breaks].sum())
        return cls(reps, quotas, breaks, excess, value - sum(rows.costs(outside).values()))

    @property
    def keeps_rules(self) -> bool:
        """Whether no hard row is broken."""
        return self.excess == 0.0

    @property
    def rank(self) -> tuple[float, float]:
        """Fewer broken rules first, then more value: smaller is better.

        Excess counts in units of the tolerance of a row, so that two plans which break rules alike are told apart by
        their value; no rule is broken by less than one.
        """
        return round(self.excess / ROW_TOLERANCE), -self.value

    @property
    def shown(self) -> float:
        """The value if all hard rules hold, else NaN: the bound says nothing about a plan that breaks them."""
        return self.value if self.keeps_rules else float("nan")

    @property
    def broken(self) -> str:
        """By how much hard rules are broken, in words; empty if all hold."""
        return "" if self.keeps_rules else f"hard rules broken by {self.excess:.2%} in all"

    def close_to(self, bound: float, gap: float) -> bool:
        """Whether no plan can be better by more than the share ``gap``."""
        return self.gap_to(bound) <= gap * abs(self.value)

    def gap_to(self, bound: float) -> float:
        """How much better a plan could be, money per year; infinite while hard rules are broken."""
        return max(bound - self.value, 0.0) if self.keeps_rules else np.inf
