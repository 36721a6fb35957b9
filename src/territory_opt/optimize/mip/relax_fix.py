"""Relax and fix: large accounts are placed first, while all others may still be shared among reps.

Accounts larger than a few per cent of a territory decide how well the rest can be fitted, and moves of one or two
accounts cannot undo a bad place of theirs. In waves from the largest on, branch and bound places some whole; quotas are
free and small accounts are shared over their few best reps, so that each model is little more than a linear program.
What a wave has placed stays. Where there are many reps, a wave is solved in groups of competing ones, all other reps
as the linear program of everyone has them. Source: Wolsey, Integer Programming, 1998, section 12.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Pairs
from territory_opt.optimize.bound.bounded import hard_prices
from territory_opt.optimize.bound.dual import territory_shares
from territory_opt.optimize.mip.linear import largest_shares, linear_model
from territory_opt.optimize.mip.mathopt import MipLimits, solve_mip
from territory_opt.optimize.mip.part import part_of, totals_of
from territory_opt.optimize.mip.settings import RelaxSettings, Wave
from territory_opt.optimize.mip.warm_lp import Relaxed, WarmLp
from territory_opt.optimize.pairs.pricing import reduced_values
from territory_opt.optimize.search.candidates import Candidates, candidates, competition, make_groups
from territory_opt.optimize.task import Task

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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
    settings, rows = _settings(task), task.rows
    too_large = task.factors.n_nodes > settings.most_nodes
    if too_large or not len(rows) or task.clock.out("large accounts", needs=settings.least_seconds):
        return None
    placing = _Placing(task)
    for number, wave in enumerate(settings.waves):
        if not placing.next_wave(number, wave) or task.clock.out("large accounts", needs=settings.least_seconds):
            break
    return placing.placed


def many_large(task: Task) -> bool:
    """Whether territories alone are worth placing large accounts first: so many are that moves cannot undo them."""
    settings, n_nodes = task.settings.relax, task.factors.n_nodes
    if not settings.least_nodes_alone <= n_nodes <= settings.most_nodes_alone or task.rows.set_quotas:
        return False
    listed = candidates(task, [task.bounded.start], width=1, within=np.inf)
    shares = territory_shares(task.rows, listed.pairs)
    return int(np.count_nonzero(shares >= settings.large)) >= settings.large_per_rep * task.rows.n_reps


def _settings(task: Task) -> RelaxSettings:
    """Those of territories with quotas, or of territories alone."""
    return task.settings.relax if task.rows.set_quotas else task.settings.relax.alone()


class _Placing:
    """The waves so far: who has been placed (``fixed``, -1: nobody yet), and the linear program of what is left."""

    def __init__(self, task: Task) -> None:
        self.task, self.settings, self.seed = task, _settings(task), task.seed
        self.placed: Placed | None = None
        self.fixed = np.full(task.factors.n_nodes, -1)
        self.listed = self._listed(task.multipliers, task.bounded.start)
        share = territory_shares(task.rows, self.listed.pairs)
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
        pairs = self._open_pairs(large)
        linear = linear_model(task.model, pairs, task.rows, violations="price", hard_price=self.prices)
        program = WarmLp(linear, np.arange(linear.n_pairs))
        shared = program.solve((), time_limit=clock.left)
        if shared is None:
            return False
        for core, window in self._windows(largest_shares(pairs, shared.x)):
            if clock.out("large accounts", needs=self.settings.least_seconds):
                return False
            main = largest_shares(pairs, shared.x)
            whole = large & (self.fixed < 0) & np.isin(main, core)
            if not whole.any():
                continue
            self._place(pairs, main, whole, shared, wave=wave, window=window)
            found = program.solve(np.flatnonzero(self._elsewhere(pairs)).tolist(), time_limit=clock.left)
            if found is None:
                return False
            shared = found
        # The rest of those whose rep changed on the way comes with the next wave.
        self.waiting = np.concatenate([chosen[self.fixed[chosen] < 0], self.waiting])
        self.placed = Placed(largest_shares(pairs, shared.x), shared.multipliers)
        return True

    def _listed(self, multipliers: FloatArray, reps: IntArray) -> Candidates:
        task = self.task.with_bound(replace(self.task.bounded, multipliers=multipliers))
        return candidates(task, [reps], width=self.settings.width, within=np.inf)

    def _open_pairs(self, large: BoolArray) -> Pairs:
        """Pairs of a wave: of large accounts all that are listed, of small ones the few best."""
        pairs = self.listed.pairs
        node, fixed = pairs.node, self.fixed[pairs.node]
        is_open = large[node] | (pairs.place < self.settings.small_width)
        return pairs.keep(np.where(fixed < 0, is_open, pairs.rep == fixed))

    def _elsewhere(self, pairs: Pairs) -> BoolArray:
        """Which pairs are of accounts that have been placed with another rep."""
        fixed = self.fixed[pairs.node]
        return np.asarray((fixed >= 0) & (pairs.rep != fixed))

    def _place(
        self, pairs: Pairs, main: IntArray, whole: BoolArray, shared: Relaxed, *, wave: Wave, window: IntArray
    ) -> None:
        """Place the ``whole`` nodes; all reps of the ``window`` may trade, the others have what is ``shared``.

        ``main`` (n_nodes,) is who has most of each node.
        """
        task, x, settings = self.task, shared.x, self.settings
        inside, near = np.isin(main, window)[pairs.node], np.isin(pairs.rep, window)
        stays = ~inside | (~near & ~whole[pairs.node])
        fixed = totals_of(task, pairs, np.where(stays, x, 0.0))
        own = pairs.keep(inside & near & self._worth_opening(pairs, whole, shared, wave, window))
        part = part_of(task, own, window, fixed, violations="price", hard_price=self.prices)
        gone = np.bincount(pairs.node[stays], x[stays], minlength=len(main))[part.nodes].astype(float)
        linear = part.linear.whole_only(whole[part.nodes]).shared_before(gone)
        limits = MipLimits(min(task.clock.left, settings.seconds), wave.gap, task.seed, settings.tree)
        found = solve_mip(linear, limits, solver="highs", stop=task.clock.stopped)
        reps = part.reps(found.values, main) if len(found.values) else main
        self.fixed[whole] = reps[whole]

    def _worth_opening(
        self, pairs: Pairs, whole: BoolArray, shared: Relaxed, wave: Wave, window: IntArray
    ) -> BoolArray:
        """Which pairs a model looks at, (n_pairs,): those that lose little now, more of them of ``whole`` nodes."""
        settings, of_whole = self.settings, whole[pairs.node]
        reduced = reduced_values(pairs, self.task.rows.at_rep(shared.multipliers))
        loss = np.maximum.reduceat(reduced, pairs.start[:-1])[pairs.node] - reduced
        within = np.where(of_whole, wave.within, settings.small_within) * self.listed.unit
        alone = len(window) == self.task.rows.n_reps
        width = 0 if alone else settings.large_pairs // max(int(np.count_nonzero(whole)), 1)
        open_anyway = (shared.x > 0) | (of_whole & (pairs.place_by(loss) < width))
        return np.asarray(((loss <= within) | open_anyway) & ~self._elsewhere(pairs))

    def _windows(self, main: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield groups of reps whose accounts are placed, each with the reps around it that it may trade with.

        All in one where there are few.
        """
        n_reps, settings = self.task.rows.n_reps, self.settings
        if n_reps <= settings.window:
            yield np.arange(n_reps), np.arange(n_reps)
            return
        self.seed += 1
        pull = competition(self.listed, main, n_reps, self.listed.unit)
        count = -(-n_reps // settings.core)
        for core in make_groups(pull, -(-n_reps // count), np.random.default_rng(self.seed)):
            outside = np.setdiff1d(np.arange(n_reps), core)
            nearest = outside[np.argsort(-pull[core].sum(axis=0)[outside], kind="stable")]
            yield core, np.concatenate([core, nearest[: settings.window - len(core)]])
