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
    settings, rows = task.settings.settle, task.rows
    there = task.with_bound(replace(task.bounded, multipliers=multipliers))
    steps = max(min(settings.steps, settings.most_steps // max(len(reps), 1)), settings.least_steps)
    best = task.judged(reps)
    with task.clock.deadline():
        for retry in range(settings.retries):
            listed = candidates(there, [best.reps], width=settings.width, within=np.inf)
            factor = settings.hard_factor * settings.dearer**retry
            priced = SearchRows.of(
                task.model, rows, multipliers, hard_prices(rows, multipliers, listed.pairs, factor)
            )
            chains = [Search(listed.pairs, listed.loss, priced, best.reps) for _ in settings.hot]
            work = [
                chain.worker(
                    [np.arange(rows.n_reps)],
                    Effort(steps, hot * listed.unit, settings.cold * hot * listed.unit, settings.sweeps),
                    seed=task.seed + INNER.opening_step * retry + number,
                    stop=task.clock.flag,
                )
                for number, (chain, hot) in enumerate(zip(chains, settings.hot, strict=True))
            ]
            in_threads(lambda number, work=work: work[number](0), range(len(work)), task.threads)
            best = best_of([best, *(task.judged(chain.reps) for chain in chains)])
            task.clock.show(best.shown, "large accounts", best.broken)
            if best.keeps_rules or task.clock.out("search"):
                break
    return best
