"""After large accounts are placed: the small ones find their places around them, without much heat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from territory_opt.optimize.bound.bounded import hard_prices
from territory_opt.optimize.pairs.pricing import in_threads
from territory_opt.optimize.search.candidates import candidates
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.search.moves import Effort, Search
from territory_opt.optimize.search.rows import SearchRows
from territory_opt.optimize.settings import INNER
from territory_opt.optimize.task import Task

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def settle(task: Task, reps: IntArray, multipliers: FloatArray) -> Incumbent:
    """Anneal all reps at once from ``reps`` (n_nodes,) at ``multipliers`` (n_rows,) of what large accounts leave.

    Side by side at several temperatures; while hard rules are broken, again at dearer prices.
    """
    settings, clock, best = task.settings.settle, task.clock, task.judged(reps)
    there = task.with_bound(replace(task.bounded, multipliers=multipliers))
    with clock.deadline():
        for retry in range(settings.retries):
            best = best_of([best, *_annealed(there, best.reps, retry)])
            clock.show(best.shown, "large accounts", best.broken)
            if clock.cut_in("large accounts") or best.keeps_rules:
                break
    return best


def _annealed(task: Task, reps: IntArray, retry: int) -> list[Incumbent]:
    """Anneal from ``reps`` (n_nodes,) at every temperature; each ``retry`` makes broken hard rules cost more."""
    settings, rows, clock = task.settings.settle, task.rows, task.clock
    steps = settings.brief_steps
    if task.course.thorough:
        steps = max(min(settings.steps, settings.most_steps // max(len(reps), 1)), settings.least_steps)
    listed = candidates(task, [reps], width=settings.width, within=np.inf)
    prices = hard_prices(rows, task.multipliers, listed.pairs, settings.hard_factor * settings.dearer**retry)
    priced = SearchRows.of(task.model, rows, task.multipliers, prices)
    chains = [Search(listed.pairs, listed.loss, priced, reps) for _ in settings.hot]
    first = task.seed + INNER.opening_step * retry

    def work(number: int) -> None:
        hot = settings.hot[number] * listed.unit
        effort = Effort(steps, hot, settings.cold * hot, settings.sweeps)
        everyone = [np.arange(rows.n_reps)]
        chains[number].worker(everyone, effort, seed=first + number, stop=clock.flag)(0)

    in_threads(work, range(len(chains)), task.threads)
    return [task.judged(chain.reps) for chain in chains]
