"""A start that places the large accounts well: branch and bound over these alone, all others may be shared.

Accounts larger than a few per cent of a territory decide how well the rest can be fitted, and moves of one or two
accounts cannot undo a bad place of theirs. Here only they are whole; small accounts stay fractional, each over its few
best reps by reduced value, so that the model is little more than a linear program. Where rules are hard or quotas are
set, the long annealings of the search find the place of large accounts better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import Bounded
from territory_opt.optimize.bound.dual import node_sizes
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.mathopt import solve_mip
from territory_opt.optimize.pairs.candidates import candidates
from territory_opt.optimize.pairs.factors import Factors

IntArray = npt.NDArray[np.int64]

LUMP_NODES = 6_000
"""Above so many nodes no single one decides much, and the model would be large."""
LUMP_SHARE, MOST_LUMPS = 0.05, 100
"""An account is a lump from this share of an average territory on; where more of them are, no few decide."""
LUMP_WIDTH, SMALL_WIDTH = 20, 3
"""Reps of a lump and of any other account, best by reduced value."""
LUMP_GAP, LUMP_TREE = 3e-4, 30
"""Gap and nodes of branch and bound."""
SHARE_OF_TIME = 0.25
"""Of the time left, this share at most."""


def lump_start(
    model: Model, factors: Factors, rows: Rows, bounded: Bounded, clock: Clock, *, seed: int, threads: int
) -> IntArray | None:
    """Return an assignment (n_nodes,) with the large accounts well placed; None where it is of no use."""
    if factors.n_nodes > LUMP_NODES or clock.left < 1.0 or not len(rows) or rows.hard.any() or rows.quotas.nnz:
        return None
    listed = candidates(
        factors, rows, bounded.multipliers, [bounded.start], width=LUMP_WIDTH, within=np.inf, threads=threads
    ).pairs
    size = node_sizes(rows, listed)
    share = size / max(float(size.sum()) / rows.n_reps, 1e-300)
    lump = share >= LUMP_SHARE
    if not 0 < lump.sum() <= MOST_LUMPS:
        return None
    clock.tell("lumps", f"{lump.sum():,} large accounts first")
    node, rank = listed.node, np.arange(len(listed.rep)) - listed.start[listed.node]
    pairs = listed.keep(lump[node] | (rank < SMALL_WIDTH) | (listed.rep == bounded.start[node]))
    linear = linear_model(model, pairs, rows)
    whole = linear.integer.copy()
    whole[: linear.n_pairs] &= lump[pairs.node]
    found = solve_mip(
        replace(linear, integer=whole), time_limit=SHARE_OF_TIME * clock.left, gap=LUMP_GAP, seed=seed,
        node_limit=LUMP_TREE, light=True, stop=clock.stopped,
    )  # fmt: skip
    return linear.reps(found.values) if len(found.values) else None
