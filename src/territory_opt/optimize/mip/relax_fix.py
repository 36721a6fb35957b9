"""Relax and fix: large accounts are placed first, while all others may still be shared among reps.

Accounts larger than a few per cent of a territory decide how well the rest can be fitted, and moves of one or two
accounts cannot undo a bad place of theirs. In waves from the largest on, branch and bound places some whole; quotas are
free and small accounts are shared over their few best reps, so that each model is little more than a linear program.
What a wave has placed stays. Where there are many reps, a wave is solved in groups of competing ones, all other reps
as the linear program of everyone has them. Source: Wolsey, Integer Programming, 1998, section 12.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.optimize.bound.bounded import hard_prices
from territory_opt.optimize.bound.dual import node_sizes
from territory_opt.optimize.mip.linear import LinearModel, linear_model
from territory_opt.optimize.mip.mathopt import MipLimits, solve_lp, solve_mip
from territory_opt.optimize.mip.part import part_of
from territory_opt.optimize.search.candidates import Candidates, candidates, competition, make_groups
from territory_opt.optimize.settings import ABOVE_ZERO, Wave
from territory_opt.optimize.task import Task

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NOBODY = -1


@dataclass(frozen=True, slots=True)
class Placed:
    """An assignment (n_nodes,) of all, rounded where accounts were shared; ``multipliers`` (n_rows,) of what is left.

    These are those of the linear program in which large accounts stay where they are: at them it shows which of the
    small ones are in the wrong place.
    """

    reps: IntArray
    multipliers: FloatArray


def place_large(task: Task) -> Placed | None:
    """Place the large accounts of a task; None where none is large, or without time."""
    settings, rows = task.settings.relax, task.rows
    too_large = task.factors.n_nodes > settings.most_nodes
    if too_large or not len(rows) or task.clock.out("large accounts", needs=settings.least_seconds):
        return None
    placing = _Placing(task)
    for number, wave in enumerate(settings.waves):
        if not placing.next_wave(number, wave) or task.clock.out("large accounts", needs=settings.least_seconds):
            break
    return placing.placed


class _Placing:
    """The waves so far: who has been placed (``fixed``, -1: nobody yet), and the linear program of what is left."""

    def __init__(self, task: Task) -> None:
        self.task, self.settings, self.seed = task, task.settings.relax, task.seed
        self.placed: Placed | None = None
        self.fixed = np.full(task.factors.n_nodes, NOBODY)
        self.listed = self._listed(task.multipliers, task.bounded.start)
        size = node_sizes(task.rows, self.listed.pairs)
        share = size / max(float(size.sum()) / task.rows.n_reps, ABOVE_ZERO)
        largest_first = np.argsort(-share, kind="stable")
        self.waiting = largest_first[: np.count_nonzero(share >= self.settings.share)]
        self.prices = hard_prices(task.rows, task.multipliers, self.listed.pairs, self.settings.hard_factor)

    def next_wave(self, number: int, wave: Wave) -> bool:
        """Place the next accounts; False where none are left, or no time."""
        task, clock = self.task, self.task.clock
        count = round(wave.per_rep * task.rows.n_reps)
        chosen, self.waiting = self.waiting[:count], self.waiting[count:]
        if len(chosen) == 0:
            return False
        clock.tell("large accounts", f"wave {number + 1} of {len(self.settings.waves)}, {len(chosen):,} accounts")
        if self.placed is not None:
            self.listed = self._listed(self.placed.multipliers, self.placed.reps)
        large = np.isin(np.arange(len(self.fixed)), chosen)
        pairs = self._open_pairs(wave, large)
        shared = self._relaxed(pairs)
        if shared is None:
            return False
        linear, x, _ = shared
        reps = self._whole(pairs, large, linear.reps(x), x[: linear.n_pairs], wave)
        self.fixed = np.where(large, reps, self.fixed)
        fixed = self.fixed[pairs.node]
        left = self._relaxed(pairs.keep((fixed == NOBODY) | (pairs.rep == fixed)))
        if left is None:
            return False
        linear, x, multipliers = left
        self.placed = Placed(linear.reps(x), multipliers)
        return True

    def _listed(self, multipliers: FloatArray, reps: IntArray) -> Candidates:
        task = self.task.with_bound(replace(self.task.bounded, multipliers=multipliers))
        return candidates(task, [reps], width=self.settings.width, within=np.inf)

    def _open_pairs(self, wave: Wave, large: BoolArray) -> Pairs:
        """Pairs of this wave: of large accounts those that lose little, of small ones the few best."""
        pairs, loss, unit, settings = self.listed.pairs, self.listed.loss, self.listed.unit, self.settings
        node, fixed = pairs.node, self.fixed[pairs.node]
        rank = np.arange(len(pairs.rep)) - pairs.start[node]
        of_large = large[node] & (loss <= wave.within * unit)
        of_small = ~large[node] & (rank < settings.small_width) & (loss <= settings.small_within * unit)
        return pairs.keep(np.where(fixed == NOBODY, of_large | of_small | (rank == 0), pairs.rep == fixed))

    def _relaxed(self, pairs: Pairs) -> tuple[LinearModel, FloatArray, FloatArray] | None:
        """The linear program in which all may be shared, its solution and multipliers (n_rows,)."""
        task = self.task
        linear = linear_model(task.model, pairs, task.rows, violations="price", hard_price=self.prices)
        found = solve_lp(linear, time_limit=max(task.clock.left, self.settings.least_seconds), stop=task.clock.stopped)
        return (linear, found.values, linear.multipliers(found.duals)) if len(found.duals) else None

    def _whole(self, pairs: Pairs, large: BoolArray, main: IntArray, x: FloatArray, wave: Wave) -> IntArray:
        """Return reps (n_nodes,) in which the ``large`` nodes are whole; group by group from the shares ``x``."""
        task, reps = self.task, main.copy()
        used = pairs.quantities * x
        n_reps = task.rows.n_reps

        def work(group: IntArray) -> tuple[IntArray, IntArray]:
            inside, near = np.isin(main, group)[pairs.node], np.isin(pairs.rep, group)
            stays = ~inside | (~near & ~large[pairs.node])
            fixed = np.column_stack([np.bincount(pairs.rep[stays], q[stays], minlength=n_reps) for q in used])
            part = part_of(task, pairs.keep(inside & near), group, fixed, violations="price", hard_price=self.prices)
            gone = np.bincount(pairs.node[stays], x[stays], minlength=len(main))[part.nodes]
            limits = MipLimits(min(task.clock.left, self.settings.seconds), wave.gap, task.seed, self.settings.tree)
            linear = part.linear.whole_only(large[part.nodes]).shared_before(gone)
            found = solve_mip(linear, limits, solver="highs", stop=task.clock.stopped)
            return part.nodes, linear.reps(found.values) if len(found.values) else main[part.nodes]

        with ThreadPoolExecutor(max_workers=min(task.threads, self.settings.side_by_side)) as pool:
            for nodes, found in pool.map(work, list(self._groups(main))):
                reps[nodes] = found
        return reps

    def _groups(self, main: IntArray) -> Iterator[IntArray]:
        """Yield groups of competing reps, all in one where there are few."""
        n_reps = self.task.rows.n_reps
        count = -(-n_reps // self.settings.group)
        if count == 1:
            yield np.arange(n_reps)
            return
        self.seed += 1
        pull = competition(self.listed, main, n_reps, self.listed.unit)
        yield from make_groups(pull, -(-n_reps // count), np.random.default_rng(self.seed))
