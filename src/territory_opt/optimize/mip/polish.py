"""Polish: exact mixed-integer models over a few neighbouring reps; every quota is free in each of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from territory_opt.optimize.bound.bounded import hard_prices
from territory_opt.optimize.mip.linear import Violations
from territory_opt.optimize.mip.mathopt import MipLimits, solve_mip
from territory_opt.optimize.mip.part import part_of, totals_of
from territory_opt.optimize.mip.settings import PolishSettings
from territory_opt.optimize.search.candidates import Candidates, competition, grow_groups
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.task import Task

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def polish_stage(task: Task, open_pairs: Candidates, best: Incumbent) -> Incumbent:
    """Improve ``best`` by exact models; their number is fixed, the time limit may cut it short."""
    settings = task.settings.polish
    best = _polished(task, open_pairs, best, settings)
    if task.rows.set_quotas and len(best.reps) <= settings.few_nodes:
        best = _polished(task, open_pairs, best, settings.deeper())
    return best


def _polished(task: Task, open_pairs: Candidates, best: Incumbent, settings: PolishSettings) -> Incumbent:
    """Improve ``best`` by the rounds of ``settings``."""
    clock, bounded = task.clock, task.bounded
    most = settings.most_nodes_with_quotas if task.rows.set_quotas else settings.most_nodes
    too_large = len(best.reps) > most or not len(task.rows)
    if too_large or best.close_to(bounded.bound, task.gap) or clock.out("polish", needs=settings.least_seconds):
        return best
    near = _nearest(open_pairs, best.reps, settings.width)
    prices = hard_prices(task.rows, bounded.multipliers, near.pairs, settings.mend_factor)
    polisher = _Polisher(task, settings, near, prices, best)
    plan = _plan(settings, task)
    generator = np.random.default_rng(task.seed + 1)
    with ThreadPoolExecutor(max_workers=min(task.threads, settings.side_by_side)) as pool:
        for done, (size, around) in enumerate(plan, start=1):
            if polisher.best.close_to(bounded.bound, task.gap) or clock.out("polish", needs=settings.least_seconds):
                break
            pull = competition(near, polisher.best.reps, task.rows.n_reps, near.unit)
            groups = [group for group in grow_groups(pull, around, size, generator) if polisher.is_new(group)]
            polisher.accept(list(pool.map(polisher.improve, groups)))
            if clock.left <= 0:  # the last models may have been cut short
                clock.note_cut("polish")
                break
            clock.incumbent = polisher.best.shown
            clock.tell("polish", f"{done} of {len(plan)} pairs of neighbourhoods")
    return polisher.best


def _nearest(open_pairs: Candidates, reps: IntArray, width: int) -> Candidates:
    """The best few open pairs of each node and the one it is at."""
    pairs = open_pairs.pairs
    kept = (pairs.place < width) | (pairs.rep == reps[pairs.node])
    return Candidates(pairs.keep(kept), open_pairs.loss[kept])


def _plan(settings: PolishSettings, task: Task) -> list[tuple[int, IntArray]]:
    """The neighbourhoods to come: size and the reps they grow from, ``side_by_side`` at a time."""
    plan: list[tuple[int, IntArray]] = []
    n_reps, step, generator = task.rows.n_reps, settings.side_by_side, np.random.default_rng(task.seed)
    for size, per_rep in settings.rounds_with_quotas if task.rows.set_quotas else settings.rounds:
        count = min(max(round(per_rep * n_reps), step), settings.most_neighbourhoods)
        order = np.concatenate([generator.permutation(n_reps) for _ in range(-(-count // n_reps))])[:count]
        plan += [(size, order[k : k + step]) for k in range(0, count, step)]
    return plan


@dataclass(slots=True)
class _Polisher:
    """The best plan so far and the pairs it may use, ``near``; when a group of reps was tried, and a rep changed.

    ``prices`` (n_rows,) are those of hard rows while the plan breaks some.
    """

    task: Task
    settings: PolishSettings
    near: Candidates
    prices: FloatArray
    best: Incumbent
    now: int = 0
    tried: dict[frozenset[int], int] = field(default_factory=dict)
    changed: dict[int, int] = field(default_factory=dict)

    def is_new(self, group: IntArray) -> bool:
        """Whether a rep of the group has changed since it was last tried; it counts as tried from now on."""
        key = frozenset(group.tolist())
        last = max(self.changed.get(j, 0) for j in key)
        if self.tried.get(key, -1) >= last:
            return False
        self.tried[key] = self.now
        return True

    def improve(self, group: IntArray) -> IntArray:
        """Return the reps (n_nodes,) of the best plan in which only the nodes of ``group`` change reps within it."""
        task, settings, best, pairs = self.task, self.settings, self.best, self.near.pairs
        inside = np.isin(best.reps, group)
        own = pairs.keep(inside[pairs.node] & np.isin(pairs.rep, group))
        fixed = self._totals(~inside)
        kind: Violations = "none" if best.keeps_rules else "price"
        part = part_of(task, own, group, fixed, violations=kind, hard_price=self.prices)
        limits = MipLimits(min(settings.seconds, task.clock.left), settings.gap, task.seed, settings.tree)
        start = part.linear.point(best.reps[part.nodes], best.quotas)
        found = solve_mip(part.linear, limits, start=start, light=True, stop=task.clock.stopped)
        return part.reps(found.values, best.reps) if len(found.values) else best.reps

    def accept(self, found: list[IntArray]) -> None:
        """Take up, one after the other, what makes the plan better; each changes nodes of reps of its own."""
        before = self.best.reps
        self.now += 1
        for reps in found:
            together = self.task.judged(np.where(reps != before, reps, self.best.reps))
            worth = self.settings.gain * abs(self.best.value)
            broken, before_it = together.rank[0], self.best.rank[0]
            if broken < before_it or (broken == before_it and together.value > self.best.value + worth):
                moved = reps != before
                self.changed |= dict.fromkeys([*reps[moved].tolist(), *before[moved].tolist()], self.now)
                self.best = together

    def _totals(self, nodes: npt.NDArray[np.bool_]) -> FloatArray:
        """Rep totals (n_reps, K) of some nodes of the best plan."""
        pairs = self.near.pairs
        chosen = (pairs.rep == self.best.reps[pairs.node]) & nodes[pairs.node]
        return totals_of(self.task, pairs, chosen.astype(float))
