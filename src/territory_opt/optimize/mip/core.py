"""The surviving core: branch and bound over every pair that could be in a better plan, when these are few.

By HiGHS: on these models it is several times faster than SCIP to a good plan, and to a proof. With quotas it only
mends: branch and bound finds nothing better there in the time it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from territory_opt.model.model import Model
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import Bounded
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.mathopt import solve_mip
from territory_opt.optimize.pairs.candidates import candidates
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.search.incumbent import Incumbent, best_of

CORE_PAIRS, MEND_PAIRS = 6_000, 20_000
"""Up to so many open pairs, of nodes that still have a choice, go to branch and bound as a whole; the second while hard
rules are broken."""
MOST_PAIRS = 200_000
"""Above so many pairs in all nobody looks how many are still open."""
SECONDS = 60.0
"""At most so long."""
CORE_NODES, MEND_GAP = 200, 0.01
"""Nodes of branch and bound; its gap while hard rules are broken: any plan that keeps them is welcome."""


@dataclass(frozen=True, slots=True)
class Core:
    """``best`` so far; ``bound`` is what branch and bound claims for the whole problem, money, NaN without a claim."""

    best: Incumbent
    bound: float


def core_stage(
    model: Model, factors: Factors, rows: Rows, bounded: Bounded, best: Incumbent, clock: Clock, *, gap: float,
    seed: int, threads: int,
) -> Core:  # fmt: skip
    """Look for a better plan, or for any that keeps the hard rules, among all pairs that could be in one."""
    none = Core(best, float("nan"))
    broken = best.score[0] > 0.0
    if rows.quotas.nnz and not broken:
        return none
    if model.source.n_nodes * rows.n_reps > MOST_PAIRS or clock.left < 1.0 or best.close_to(bounded.best, gap):
        return none
    pairs = candidates(
        factors, rows, bounded.multipliers, [best.reps], width=rows.n_reps, within=best.gap_to(bounded.bound),
        threads=threads,
    ).pairs  # fmt: skip
    count = np.diff(pairs.start)
    n_open = int(count[count > 1].sum())
    if not 0 < n_open <= (MEND_PAIRS if broken else CORE_PAIRS):
        return none
    clock.tell("core", f"branch and bound over the {n_open:,} pairs that could be in a better plan")
    linear = linear_model(model, pairs, rows)
    found = solve_mip(
        linear, time_limit=min(SECONDS, clock.left), gap=MEND_GAP if broken else gap, seed=seed,
        start=None if broken else linear.point(best.reps, best.quotas), node_limit=CORE_NODES, solver="highs",
        stop=clock.stopped,
    )  # fmt: skip
    if len(found.values) == 0:
        return none
    return Core(best_of([best, Incumbent.of(model, rows, linear.reps(found.values))]), found.bound * linear.money)
