"""How a problem is solved: which method its size allows, which plans nothing may end worse than, and why in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.optimize.previous import possible
from territory_opt.optimize.task import Task

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Way:
    """``pairs`` are all eligible ones where the exact method works, else None.

    ``kept`` are plans (n_nodes,), -1 for nobody, that no search ends worse than. ``why`` says in words which way and
    why.
    """

    pairs: Pairs | None
    kept: tuple[IntArray, ...]
    why: str

    @classmethod
    def of(cls, task: Task, *, edited: bool) -> Way:
        """Choose by size; today's alignment is kept in mind. ``edited``: there is a plan from before an edit."""
        pairs = _eligible_pairs(task)
        today = possible(task.model, task.model.source.incumbent)
        kept = (today,) if (today >= 0).any() else ()
        return cls(pairs, kept, _why(task, pairs, ", from the previous plan" if edited else ""))

    @property
    def exact(self) -> bool:
        """Whether the exact method works."""
        return self.pairs is not None

    def kept_from(self, plan: IntArray) -> list[IntArray]:
        """Return the plans that are kept, (n_nodes,) each; nodes without a rep there have that of ``plan``."""
        return [np.where(kept >= 0, kept, plan) for kept in self.kept]

    def without_previous(self, task: Task, plan: IntArray) -> Way:
        """Return the way on after a previous plan was of little help; ``plan`` is what came of it."""
        why = _why(task, self.pairs, ", from the previous plan, which was of little help: then without it")
        return replace(self, kept=(*self.kept, plan), why=why)


def _eligible_pairs(task: Task) -> Pairs | None:
    """Return all eligible pairs if they are few enough for the exact method, else None."""
    model, most = task.model, task.settings.solve.exact_pairs
    if model.source.n_nodes * model.problem.n_reps > task.settings.solve.cells_per_pair * most:
        return None
    pairs = model.pairs()
    return pairs if len(pairs.rep) <= most else None


def _why(task: Task, pairs: Pairs | None, start: str) -> str:
    """Which method runs, and why; ``start`` says from what, empty where there is nothing to start from."""
    nodes, reps = task.model.source.n_nodes, task.model.problem.n_reps
    reach = task.model.problem.policy.territories.travel.reach
    rule = f"; by rule {reach}" if reach else ""
    if pairs is not None:
        most = f"at most {task.settings.solve.exact_pairs} are searched completely"
        start = "; the previous plan is not needed" if start else ""
        return f"exact: {len(pairs.rep):,} eligible pairs, {most}{start}{rule}"
    return f"large-scale: {nodes:,} accounts and families x {reps:,} reps are too many pairs to search all{start}{rule}"
