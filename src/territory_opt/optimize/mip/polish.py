"""Polish: exact mixed-integer models over a few neighbouring reps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import Bounded, hard_prices
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.mip.linear import LinearModel, Violations, linear_model, restrict
from territory_opt.optimize.mip.mathopt import solve_mip
from territory_opt.optimize.pairs.candidates import Candidates, competition, grow_groups
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.plan.audit import ROW_TOLERANCE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_NODES = 5_000
"""Above this many nodes the search alone makes the plan: a neighbourhood's model would cost more than it finds."""
WIDTH = 6
"""Reps per node in the models, best by reduced value."""
PAIRS_OF_MODELS = 2
"""Models solved side by side; the number is fixed so that the plan does not depend on the machine."""
ROUNDS = ((2, 1.5), (3, 0.2))
"""Size of the neighbourhoods in reps, and how many of them per rep: small ones pay most per second."""
MOST_NEIGHBOURHOODS = 60
NODE_LIMIT = 30
MEND_FACTOR = 2.0
"""Price of a broken hard row against the largest multiplier of its rule."""
SECONDS = 60.0
"""Safety only: the node limit ends a neighbourhood, so that the plan does not depend on the clock."""


def polish_stage(
    model: Model,
    rows: Rows,
    bounded: Bounded,
    open_pairs: Candidates,
    incumbent: Incumbent,
    clock: Clock,
    *,
    gap: float,
    seed: int,
    threads: int,
) -> Incumbent:
    """Improve ``incumbent`` by exact models; their number is fixed, the time limit may cut it short."""
    if len(incumbent.reps) > MOST_NODES or clock.left < 1.0 or incumbent.close_to(bounded.bound, gap):
        return incumbent
    near, loss = _nearest(open_pairs, incumbent.reps)
    prices = hard_prices(rows, bounded.multipliers, near, MEND_FACTOR)
    kind: Violations = "none" if incumbent.score[0] == 0.0 else "price"
    linear = linear_model(model, near, rows, violations=kind, hard_price=prices)
    polisher = _Polisher(linear, rows.owner, clock, seed)
    solution = linear.point(incumbent.reps, incumbent.quotas)
    plan = _plan(rows.n_reps, np.random.default_rng(seed))
    generator = np.random.default_rng(seed + 1)
    pull_of = Candidates(near, loss)
    with ThreadPoolExecutor(max_workers=min(threads, PAIRS_OF_MODELS)) as pool:
        for done, (size, around) in enumerate(plan, start=1):
            if clock.left < 1.0 or incumbent.close_to(bounded.bound, gap):
                break
            pull = competition(pull_of, linear.reps(solution), rows.n_reps, pull_of.unit)
            groups = grow_groups(pull, around, size, generator)
            masks = [np.isin(np.arange(rows.n_reps), group) for group in groups]
            for kept, values in pool.map(partial(polisher.improve, solution, nodes=NODE_LIMIT), masks):
                solution = polisher.accept(solution, kept, values)
            incumbent = _judged(model, rows, linear, solution)
            clock.incumbent = incumbent.shown
            clock.tell("polish", f"{done} of {len(plan)} pairs of neighbourhoods")
    return Incumbent.of(model, rows, linear.reps(solution))


def _nearest(open_pairs: Candidates, reps: IntArray) -> tuple[Pairs, FloatArray]:
    """The best few open pairs of each node and the one it is at."""
    pairs = open_pairs.pairs
    node = pairs.node
    kept = (np.arange(len(node)) - pairs.start[node] < WIDTH) | (pairs.rep == reps[node])
    return pairs.keep(kept), open_pairs.loss[kept]


def _plan(n_reps: int, generator: np.random.Generator) -> list[tuple[int, IntArray]]:
    """The neighbourhoods to come: size and the reps they grow from, ``PAIRS_OF_MODELS`` at a time."""
    plan: list[tuple[int, IntArray]] = []
    for size, per_rep in ROUNDS:
        count = min(max(round(per_rep * n_reps), PAIRS_OF_MODELS), MOST_NEIGHBOURHOODS)
        order = np.concatenate([generator.permutation(n_reps) for _ in range(-(-count // n_reps))])[:count]
        plan += [(size, order[k : k + PAIRS_OF_MODELS]) for k in range(0, count, PAIRS_OF_MODELS)]
    return plan


def _judged(model: Model, rows: Rows, linear: LinearModel, solution: FloatArray) -> Incumbent:
    reps, quotas = linear.reps(solution), linear.quotas(solution)
    totals, value = model.totals(reps)
    return Incumbent.at(rows, reps, quotas, totals, value)


@dataclass(frozen=True, slots=True)
class _Polisher:
    """Solves the model in which only a few reps and their nodes are free."""

    linear: LinearModel
    row_rep: IntArray
    clock: Clock
    seed: int

    def improve(self, solution: FloatArray, group: npt.NDArray[np.bool_], *, nodes: int) -> tuple[IntArray, FloatArray]:
        """Return the free columns and their new values; no values if nothing better was found."""
        linear = self.linear
        inside = group[linear.reps(solution)]
        free_pairs = inside[linear.pairs.node] & group[linear.pairs.rep]
        free_rows = np.where(self.row_rep >= 0, group[np.maximum(self.row_rep, 0)], True)
        tail = np.ones(len(linear.rows.worst_price), dtype=bool)
        small, kept = restrict(linear, solution, np.concatenate([free_pairs, group, free_rows, free_rows, tail]))
        before = float(small.cost @ solution[kept])
        found = solve_mip(
            small, time_limit=min(SECONDS, max(self.clock.left, 0.1)), gap=1e-5, seed=self.seed,
            start=solution[kept], node_limit=nodes, light=True,
        )  # fmt: skip
        better = len(found.values) > 0 and found.objective > before + 1e-9 * abs(before)
        return kept, found.values if better else np.zeros(0)

    def accept(self, solution: FloatArray, kept: IntArray, values: FloatArray) -> FloatArray:
        """Return the solution with the new values if it is still possible and better, else as it was."""
        if len(values) == 0:
            return solution
        linear, changed = self.linear, solution.copy()
        changed[kept] = values
        exact = linear.point(linear.reps(changed), linear.quotas(changed))
        possible = bool((exact <= linear.column_high + ROW_TOLERANCE).all())
        return exact if possible and float(linear.cost @ exact) > float(linear.cost @ solution) else solution
