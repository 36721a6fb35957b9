"""Skills of reps against needs of accounts: may serve (hard), fit (soft) and likeness of two reps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.problem.numbers import TINY
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def parse_needs(cell: str) -> list[str]:
    """Read an account's cell: ``"health;retail"`` names two values."""
    return [part.strip() for part in str(cell).split(";") if part.strip()]


def parse_scores(cell: str) -> dict[str, float]:
    """Read a rep's cell: ``"health:0.9;retail"`` is ``{"health": 0.9, "retail": 1.0}``.

    What follows the last colon is a score only if it is a number: ``"es:mx"`` is one value.
    """
    scores: dict[str, float] = {}
    for part in parse_needs(cell):
        name, _, score = part.rpartition(":")
        try:
            scores[name.strip() or part] = float(score) if name.strip() else 1.0
        except ValueError:
            scores[part] = 1.0
    return scores


@dataclass(frozen=True, slots=True)
class SkillColumn:
    """One attribute column, coded: accounts share few distinct cells, so pairs are looked up by cell.

    ``cell`` (n_accounts,) index of the account's distinct cell; ``names_any`` (n_cells,) whether the cell
    names a value; ``has_all`` (n_cells, n_reps) whether the rep has every value of the cell; ``score``
    (n_cells, n_reps) mean of the rep's scores over the cell's values; ``rep_vector`` (n_reps, n_values).
    """

    name: str
    cell: IntArray
    names_any: BoolArray
    has_all: BoolArray
    score: FloatArray
    rep_vector: FloatArray

    @classmethod
    def from_problem(cls, problem: Problem, name: str) -> SkillColumn:
        """Code column ``name`` of the accounts and reps tables."""
        cell, cells = pd.factorize(problem.accounts[name].fillna("").astype(str))
        needs = [parse_needs(text) for text in cells]
        offers = [parse_scores(text) for text in problem.reps[name].fillna("").astype(str)]
        values = sorted({value for part in [*needs, *offers] for value in part})
        column = {value: k for k, value in enumerate(values)}
        rep_vector = np.zeros((len(offers), len(values)))
        for j, offer in enumerate(offers):
            for value, score in offer.items():
                rep_vector[j, column[value]] = score
        need = np.zeros((len(needs), len(values)))
        for c, wanted in enumerate(needs):
            for value in wanted:
                need[c, column[value]] = 1.0
        count = need.sum(axis=1)
        has_all = need @ (rep_vector > 0).T >= count[:, None] - 0.5
        score = need @ rep_vector.T / np.maximum(count, 1.0)[:, None]
        return cls(name, cell.astype(np.int64), count > 0, has_all, score, rep_vector)


@dataclass(frozen=True, slots=True)
class SkillTables:
    """All skill columns the policy names, ready for pair look-ups."""

    required: tuple[SkillColumn, ...]
    preferred: tuple[SkillColumn, ...]
    coverage: tuple[SkillColumn, ...]
    likeness: FloatArray

    @classmethod
    def from_problem(cls, problem: Problem) -> SkillTables:
        """Code every column named under ``territories.skills``."""
        skills = problem.policy.territories.skills
        names = dict.fromkeys([*skills.required, *skills.preferred, *skills.coverage])
        coded = {name: SkillColumn.from_problem(problem, name) for name in names}
        return cls(
            tuple(coded[name] for name in skills.required),
            tuple(coded[name] for name in skills.preferred),
            tuple(coded[name] for name in skills.coverage),
            _likeness([coded[name].rep_vector for name in names], problem.n_reps),
        )

    @property
    def all_columns(self) -> tuple[SkillColumn, ...]:
        """Every column that any rule reads, each once."""
        return tuple({c.name: c for c in (*self.required, *self.preferred, *self.coverage)}.values())

    def fit(self, accounts: IntArray, reps: IntArray | None = None) -> FloatArray:
        """Return fit in 0..1 of ``accounts`` with every rep, (n, n_reps), or each with its own of ``reps``, (n,).

        NaN where an account names no preferred skill; (n, 1) if there are no preferred skills at all.
        """
        if not self.preferred:
            return np.full((len(accounts), 1) if reps is None else len(accounts), np.nan)
        n_reps = self.likeness.shape[0]
        total = np.zeros((len(accounts), n_reps) if reps is None else len(accounts))
        count = np.zeros((len(accounts), 1) if reps is None else len(accounts))
        for column in self.preferred:
            cell = column.cell[accounts]
            named = column.names_any[cell] if reps is not None else column.names_any[cell][:, None]
            total += np.where(named, column.score[cell] if reps is None else column.score[cell, reps], 0.0)
            count += named
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _likeness(vectors: list[FloatArray], n_reps: int) -> FloatArray:
    """Cosine likeness of every two reps' skills, 0..1; 0 where there are no skills."""
    if not vectors:
        return np.zeros((n_reps, n_reps))
    stacked = np.hstack(vectors)
    length = np.linalg.norm(stacked, axis=1)
    unit = stacked / np.maximum(length, TINY)[:, None]
    return np.asarray(np.clip(unit @ unit.T, 0.0, 1.0))
