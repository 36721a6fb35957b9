"""Every quantity of a pair, written once: what a pair is worth, and what it adds to the rules.

A quantity is a sum of terms; a term is an amount of the account x a *basis* of the pair (x a table by rep). The judge
adds terms up in NumPy (:meth:`Quantity.of_pairs`), the solver in compiled code (``optimize/pairs``): both read the same
terms, so a new quantity is one more function here. A metric that is balanced needs none: its name is its column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from territory_opt.errors import Issue
from territory_opt.estimate.expected import Estimate
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_N = TypeVar("_N", bound=np.generic)


class Basis(IntEnum):
    """What of a pair a term multiplies."""

    ONE = 0
    """Every pair alike."""
    TRAVEL_KM = 1
    """Km on the road per year: visits x round trip x detour."""
    NET_SALES = 2
    """Expected sales after transfer loss, money of the plan period."""
    GAIN = 3
    """Net sales above what the account brings whichever eligible rep has it, money of the plan period."""
    MOVED = 4
    """1 where the account changes hands, else 0."""


Bases = Mapping[Basis, npt.NDArray[np.float64] | npt.NDArray[np.bool_]]
"""Bases of a set of pairs, but for ONE."""


@dataclass(frozen=True, slots=True)
class ByRep:
    """A table over reps: account i has row ``row[i]`` (n_accounts,) of ``table`` (n_rows, n_reps)."""

    row: IntArray
    table: FloatArray

    def of_pairs(self, accounts: IntArray, reps: IntArray | None) -> FloatArray:
        """Return the factor of ``accounts`` with every rep, (n, n_reps), or each with its own of ``reps``, (n,)."""
        row = self.row[accounts]
        return self.table[row] if reps is None else self.table[row, reps]


@dataclass(frozen=True, slots=True)
class Term:
    """One summand: ``amount`` (n_accounts,) or one number for all x ``basis`` of the pair x ``by_rep``, if any.

    ``label`` names it in a sum that is shown term by term.
    """

    amount: FloatArray | float
    basis: Basis = Basis.ONE
    by_rep: ByRep | None = None
    label: str = ""

    def of_pairs(self, accounts: IntArray, reps: IntArray | None, bases: Bases) -> FloatArray:
        """Return the term's part of a quantity, as :meth:`Quantity.of_pairs`."""
        own = np.full(len(accounts), self.amount) if np.ndim(self.amount) == 0 else np.asarray(self.amount)[accounts]
        amount: FloatArray = column(own, reps)
        if self.basis is not Basis.ONE:
            amount = amount * bases[self.basis]
        if self.by_rep is not None:
            amount = amount * self.by_rep.of_pairs(accounts, reps)
        return np.asarray(amount, dtype=float)


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a pair adds to the rules that name it (or, called "value", to the objective)."""

    name: str
    terms: tuple[Term, ...]

    @property
    def kind(self) -> Literal["by account", "by rep", "by pair"]:
        """What it depends on."""
        if any(term.basis is not Basis.ONE for term in self.terms):
            return "by pair"
        return "by rep" if any(term.by_rep is not None for term in self.terms) else "by account"

    def of_pairs(self, accounts: IntArray, reps: IntArray | None, bases: Bases) -> FloatArray:
        """Return the quantity of ``accounts`` (positions) with every rep, (n, n_reps), or each with one of ``reps``.

        ``bases`` holds the pairs' bases in the same shape. A quantity of the account alone is (n, 1) against all reps.
        """
        parts = [term.of_pairs(accounts, reps, bases) for term in self.terms]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


class Given(Protocol):
    """What formulas may read: see :class:`~territory_opt.model.pairs.PairSource`."""

    problem: Problem
    estimate: Estimate
    cost_per_km: float

    @property
    def current_sales(self) -> FloatArray:
        """Sales of the last 12 months, (n_accounts,)."""

    @property
    def credited(self) -> ByRep | None:
        """Part of an account's sales that counts for the rep; None where all of it does for everyone."""

    def covered(self, skill: str) -> ByRep:
        """1 where the account asks for ``skill`` and the rep has all of it."""


Formula = Callable[[Given, str], tuple[Term, ...]]
"""Terms of a quantity; the text is what follows ": " in its name ("covered: language"), empty for most."""

REGISTRY: dict[str, Formula] = {}
"""Formulas by name of quantity; those of a family by what their names begin with ("covered: "). Any other name is a
column of the accounts table."""


def quantity(name: str) -> Callable[[Formula], Formula]:
    """Enter the decorated formula under ``name``."""

    def enter(formula: Formula) -> Formula:
        REGISTRY[name] = formula
        return formula

    return enter


def quantity_of(name: str, given: Given) -> Quantity:
    """Return the quantity that rules call ``name``."""
    family, _, detail = name.partition(": ")
    for known, of in ((name, ""), (f"{family}: ", detail)):
        if known in REGISTRY:
            return Quantity(name, REGISTRY[known](given, of))
    return Quantity(name, (Term(_amounts(given, name)),))


def taken_names(problem: Problem) -> list[Issue]:
    """Name the balanced columns of the accounts table that are called like a quantity of the model."""
    return [
        Issue(
            "error",
            "policy",
            0,
            f"territories.balance.{metric}",
            "",
            "is a name the model uses itself",
            f"rename the column, for example to {metric}_2",
        )
        for metric in problem.policy.territories.balance
        if metric in REGISTRY or f"{metric.partition(': ')[0]}: " in REGISTRY
    ]


def value_of(given: Given) -> Quantity:
    """Return what a pair is worth: margin on the sales above what comes whoever serves the account, less travel."""
    margin = given.problem.policy.territories.margin
    return Quantity("value", (Term(margin, Basis.GAIN), Term(-given.cost_per_km, Basis.TRAVEL_KM, label="travel")))


@quantity("hours")
def _hours(given: Given, _: str) -> tuple[Term, ...]:
    """Service and travel, hours per year."""
    per_km = 1.0 / given.problem.policy.territories.travel.speed_kmh
    return Term(_amounts(given, "workload")), Term(per_km, Basis.TRAVEL_KM)


@quantity("moved_accounts")
def _moved_accounts(_given: Given, _: str) -> tuple[Term, ...]:
    """Accounts that change hands."""
    return (Term(1.0, Basis.MOVED),)


@quantity("moved_sales")
def _moved_sales(given: Given, _: str) -> tuple[Term, ...]:
    """Current sales that change hands, money per year."""
    return (Term(given.current_sales, Basis.MOVED),)


@quantity("covered: ")
def _covered(given: Given, skill: str) -> tuple[Term, ...]:
    """Potential that meets a rep who has the skill it asks for, money per year."""
    return (Term(_amounts(given, "potential"), by_rep=given.covered(skill)),)


@quantity("credited_sales")
def _credited_sales(given: Given, _: str) -> tuple[Term, ...]:
    """Net sales that count for the rep: what comes while the rep is there, money."""
    return (Term(1.0, Basis.NET_SALES, given.credited),)


@quantity("variance")
def _variance(given: Given, _: str) -> tuple[Term, ...]:
    """Variance of the sales that count for the rep, money squared."""
    return (Term(given.estimate.variance, by_rep=given.credited),)


@quantity("quota_basis")
def _quota_basis(given: Given, _: str) -> tuple[Term, ...]:
    """What fair quotas are in proportion to where that is not expected sales, money."""
    basis = given.estimate.basis
    if basis is None:
        raise KeyError("quotas follow expected sales here: there is no other basis")
    return (Term(basis.amounts, by_rep=given.credited),)


def _amounts(given: Given, name: str) -> FloatArray:
    """Return a column of the accounts table, (n_accounts,)."""
    return np.asarray(given.problem.accounts[name], dtype=float)


def column(values: npt.NDArray[_N], reps: IntArray | None) -> npt.NDArray[_N]:
    """Account values as a column against all reps, or as they are against one rep each."""
    return values[:, None] if reps is None else values
