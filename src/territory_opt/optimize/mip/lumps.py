"""A start that places the large accounts well: branch and bound over these alone, all others may be shared.

Accounts larger than a few per cent of a territory decide how well the rest can be fitted, and moves of one or two
accounts cannot undo a bad place of theirs. Here only they are whole; small accounts stay fractional, each over its few
best reps by reduced value, so that the model is little more than a linear program. For priced rules alone; where quotas
are set, see :mod:`territory_opt.optimize.mip.relax_fix`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from territory_opt.optimize.bound.dual import territory_shares
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.mathopt import MipLimits, solve_mip
from territory_opt.optimize.search.candidates import candidates
from territory_opt.optimize.task import Task

IntArray = npt.NDArray[np.int64]


def lump_start(task: Task) -> IntArray | None:
    """Return an assignment (n_nodes,) with the large accounts well placed; None where it is of no use."""
    rows, clock, settings, bounded = task.rows, task.clock, task.settings.lumps, task.bounded
    too_large = task.factors.n_nodes > settings.nodes
    if (
        too_large
        or not len(rows)
        or rows.hard.any()
        or rows.set_quotas
        or clock.out("lumps", needs=task.settings.core.least_seconds)
    ):
        return None
    listed = candidates(task, [bounded.start], width=settings.width, within=np.inf).pairs
    lump = territory_shares(rows, listed) >= settings.share
    if not 0 < lump.sum() <= settings.most:
        return None
    clock.tell("lumps", f"{lump.sum():,} large accounts first")
    node = listed.node
    pairs = listed.keep(lump[node] | (listed.place < settings.small_width) | (listed.rep == bounded.start[node]))
    linear = linear_model(task.model, pairs, rows)
    limits = MipLimits(settings.share_of_time * clock.left, gap=settings.gap, seed=task.seed, tree=settings.tree)
    found = solve_mip(linear.whole_only(lump), limits, light=True, stop=clock.stopped)
    return linear.reps(found.values) if len(found.values) else None
