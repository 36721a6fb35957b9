"""Which pairs a search may use: each node's best by reduced value, and the reps that compete for the same nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.optimize.pairs.pricing import best_reps, pairs_of
from territory_opt.optimize.settings import INNER
from territory_opt.optimize.task import Task

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of each node that the search may use, best first; ``loss`` (n_pairs,) behind the node's best."""

    pairs: Pairs
    loss: FloatArray

    @property
    def unit(self) -> float:
        """Median loss of the second-best rep where it is not as good as the best: the temperature scale."""
        second = self.loss[self.pairs.start[:-1][np.diff(self.pairs.start) > 1] + 1]
        worse = second[second > self._tie]
        return float(np.median(worse)) if len(worse) else self.spread

    @property
    def spread(self) -> float:
        """Median loss of a candidate that is not as good as the best."""
        worse = self.loss[self.loss > self._tie]
        return float(np.median(worse)) if len(worse) else 1.0

    @property
    def _tie(self) -> float:
        """A loss no larger than this is rounding: reps who live at one place are equally good."""
        return INNER.tie * float(np.abs(self.pairs.value).mean()) if len(self.loss) else 0.0


def candidates(task: Task, keep: list[IntArray], *, width: int, within: float) -> Candidates:
    """Return each node's best pairs over all eligible ones, up to ``width``, and those with ``keep``, (n_nodes,) each.

    A pair whose loss exceeds ``within``, what any plan can still gain, cannot be in a better plan: it is left out with
    proof (reduced-cost fixing).
    """
    rows, threads = task.rows, task.threads
    at_rep = rows.at_rep(task.multipliers)
    width = min(width, rows.n_reps)
    within *= 1.0 + task.settings.search.rounding
    lists = best_reps(task.factors, at_rep, width, within=within, threads=threads)
    start, rep = _with(lists.rep, keep)
    pairs = pairs_of(task.factors, start, rep, threads=threads)
    loss = np.repeat(lists.best, np.diff(start)) - pairs.value
    for k in range(len(rows.quantities)):
        loss -= at_rep[rep, k] * pairs.quantities[k]
    return Candidates(pairs, np.maximum(loss, 0.0, out=loss))


def _with(listed: SmallInts, keep: list[IntArray]) -> tuple[IntArray, SmallInts]:
    """Append to each node's list, -1 for none, the reps ``keep`` that are not in it; return CSR start and reps."""
    for reps in keep:
        fresh = np.where((listed == reps[:, None]).any(axis=1), -1, reps).astype(np.int32)
        listed = np.column_stack([listed, fresh])
    start = np.concatenate([[0], np.cumsum((listed >= 0).sum(axis=1))]).astype(np.int64)
    return start, listed[listed >= 0]


def competition(open_pairs: Candidates, reps: IntArray, n_reps: int, unit: float) -> FloatArray:
    """How much every two reps compete for the same nodes, (n_reps, n_reps)."""
    pairs = open_pairs.pairs
    key = reps[pairs.node] * n_reps + pairs.rep
    pull = np.bincount(key, np.exp(-open_pairs.loss / unit), minlength=n_reps * n_reps).reshape(n_reps, n_reps)
    return np.asarray(pull + pull.T)


def make_groups(pull: FloatArray, size: int, generator: np.random.Generator) -> list[IntArray]:
    """Cut the reps into groups of ``size`` competing ones, with some chance in it; every rep is in one group.

    ``pull`` from :func:`competition`.
    """
    return grow_groups(pull, generator.permutation(len(pull)), size, generator)


def grow_groups(pull: FloatArray, around: IntArray, size: int, generator: np.random.Generator) -> list[IntArray]:
    """Grow disjoint groups of at most ``size`` reps around those of ``around`` that are still free.

    Each takes in the free rep that competes most with it, with some chance; ``pull`` from :func:`competition`.
    """
    n_reps = len(pull)
    free = np.ones(n_reps, dtype=bool)
    groups = []
    for rep in around:
        if not free[rep]:
            continue
        group, weight = [int(rep)], pull[rep].copy()
        free[rep] = False
        while len(group) < size:
            choice = int(np.where(free, weight * generator.uniform(INNER.by_chance, 1.0, n_reps), 0.0).argmax())
            if not free[choice] or weight[choice] <= 0.0:
                break
            group.append(choice)
            free[choice] = False
            weight += pull[choice]
        groups.append(np.array(group, dtype=np.int64))
    return groups
