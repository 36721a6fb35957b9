"""The plan at scale: candidates by reduced value, rounds of search in groups of reps, proof-carrying fixing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound import Bounded, default_hard_price
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.factors import Factors
from territory_opt.optimize.incumbent import Incumbent
from territory_opt.optimize.moves import Effort, Search
from territory_opt.optimize.pricing import best_reps, pairs_of, union
from territory_opt.optimize.search_rows import SearchRows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FIRST_WIDTH, MOST_WIDTH = 8, 20
"""Reps per node in the first round, and at most once a plan says which pairs are still open."""
HARD_FACTOR = 2.0
"""A hard row costs this multiple of its rule's largest multiplier during the search."""
GROUP, THREES_GROUP = 10, 20
"""Reps that are searched together; more of them where exchanges are also among three."""
ROUNDS, THREES_ROUNDS = 20, 3
"""Rounds with exchanges between two reps, then rounds that exchange among three as well."""
THREES_NODES = 30_000
"""Up to this many nodes there are rounds with exchanges among three reps."""
HOT, WARM, COLD = 0.3, 0.01, 0.02
"""Temperature of the first and the last round, in units of the median loss of a node's second-best rep; and how far
it falls inside a round."""
BROKEN_HOT = 3.0
"""The same while hard rules are broken."""
STEPS_PER_NODE, BROKEN_STEPS = 10, 300
"""Steps of one round per free node; while hard rules are broken, the annealing has to mend them."""
OPENING_NODES, OPENING_STEPS, OPENING_HOT, OPENING_COLD = 5_000, 6_000, 20.0, 0.0001
"""Up to this many nodes, plans with hard rules or quotas open with independent annealings over all reps at once;
steps per node, first temperature against the median loss of a candidate, last temperature against the first."""
SWEEPS = 5


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of each node that the search may use, best first; ``loss`` (n_pairs,) behind the node's best.

    ``complete``: no pair that was left out can be part of a plan better than the one they were chosen for.
    """

    pairs: Pairs
    loss: FloatArray
    complete: bool

    @property
    def unit(self) -> float:
        """Median loss of the second-best rep: the temperature scale."""
        second = self.pairs.start[:-1][np.diff(self.pairs.start) > 1] + 1
        positive = self.loss[second][self.loss[second] > 0]
        return float(np.median(positive)) if len(positive) else 1.0


def candidates(
    factors: Factors,
    rows: Rows,
    multipliers: FloatArray,
    keep: list[IntArray],
    *,
    width: int,
    within: float,
    threads: int,
) -> Candidates:
    """Return each node's best pairs over all eligible ones, up to ``width``, and those with ``keep``, (n_nodes,) each.

    A pair whose loss exceeds ``within``, what any plan can still gain, cannot be in a better plan: it is left out with
    proof (reduced-cost fixing).
    """
    at_rep = rows.at_rep(multipliers)
    width = min(width, rows.n_reps)
    lists = best_reps(factors, at_rep, width, within=within, threads=threads)
    start, rep = union([lists.rep, *(reps[:, None].astype(np.int32) for reps in keep)], rows.n_reps)
    pairs = pairs_of(factors, start, rep, threads=threads)
    node = pairs.node
    loss = lists.best[node] - pairs.value
    for k in range(len(rows.quantities)):
        loss -= at_rep[rep, k] * pairs.quantities[k]
    order = np.lexsort((rep, loss, node))
    full = lists.rep[:, -1] >= 0
    complete = width == rows.n_reps or not full.any()
    return Candidates(
        Pairs(start, rep[order], pairs.value[order], np.ascontiguousarray(pairs.quantities[:, order])),
        np.maximum(loss[order], 0.0), bool(complete),
    )  # fmt: skip


def hard_prices(rows: Rows, multipliers: FloatArray, pairs: Pairs) -> FloatArray:
    """Price per unit of each hard row in the search: above any multiplier of its rule."""
    per_scale = np.abs(multipliers) * rows.scale
    floor = default_hard_price(pairs, rows) * rows.scale / max(rows.n_reps, 1)
    price = np.zeros(len(rows))
    names = np.array([row.rule for row in rows.items], dtype=object)
    for rule in set(names[rows.hard]):
        same = (names == rule) & rows.hard
        price[same] = np.maximum(HARD_FACTOR * per_scale[same].max(), 0.0)
        if not price[same].any():
            price[same] = floor[same]
    return price / rows.scale


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rounds of search: how many, first and last temperature in units, steps per free node and round.

    ``thorough`` opens with annealings over all reps and looks again for pairs that can be dropped or come in.
    """

    rounds: int = ROUNDS
    threes: int = THREES_ROUNDS
    hot: float = HOT
    warm: float = WARM
    steps: int = STEPS_PER_NODE
    thorough: bool = True


def search_stage(
    model: Model,
    factors: Factors,
    rows: Rows,
    bounded: Bounded,
    starts: list[IntArray],
    clock: Clock,
    *,
    schedule: Schedule,
    gap: float,
    seed: int,
    threads: int,
) -> tuple[Incumbent, Candidates]:
    """Search from the best of ``starts`` in rounds of falling temperature; every round cuts the reps into new groups.

    After the first round, pairs that cannot be in a better plan are dropped for good.
    """
    first_width = MOST_WIDTH if rows.n_reps <= THREES_GROUP else FIRST_WIDTH
    best = min((Incumbent.of(model, rows, start) for start in starts), key=lambda incumbent: incumbent.score)
    open_pairs = candidates(
        factors, rows, bounded.multipliers, [best.reps, starts[0]], width=first_width, within=np.inf, threads=threads
    )
    unit = open_pairs.unit
    priced = SearchRows.of(model, rows, bounded.multipliers, hard_prices(rows, bounded.multipliers, open_pairs.pairs))
    search = Search(open_pairs.pairs, open_pairs.loss, priced, best.reps)
    generator = np.random.default_rng(seed)
    with clock.deadline():
        if schedule.thorough and factors.n_nodes <= OPENING_NODES and (rows.hard.any() or rows.quotas.nnz):
            opened = _opening(search, [best.reps, starts[0]], clock, seed=seed, threads=threads)
            best = min([best, *(Incumbent.of(model, rows, reps) for reps in opened)], key=lambda found: found.score)
            search = Search(open_pairs.pairs, open_pairs.loss, priced, best.reps)
        threes = schedule.threes if factors.n_nodes <= THREES_NODES and not rows.quotas.nnz else 0
        for number in range(schedule.rounds + threes):
            if clock.left <= 0 or best.close_to(bounded.bound, gap):
                break
            broken = best.score[0] > 0.0
            falling = (schedule.warm / schedule.hot) ** (number / max(schedule.rounds + threes - 1, 1))
            hot = unit * (BROKEN_HOT if broken else schedule.hot * falling)
            effort = Effort(
                steps=BROKEN_STEPS if broken else schedule.steps, hot=hot, cold=COLD * hot, sweeps=SWEEPS,
                threes=number >= schedule.rounds,
            )  # fmt: skip
            size = THREES_GROUP if effort.threes or rows.n_reps <= THREES_GROUP else GROUP
            groups = make_groups(open_pairs, search.reps, rows.n_reps, unit, size, generator)
            search.improve(groups, effort, seed=seed + 104_729 * number, threads=threads, stop=clock.flag)
            found = Incumbent.of(model, rows, search.reps)
            if found.score < best.score:
                best = found
            if schedule.thorough and number in (0, schedule.rounds // 2):
                within = best.gap_to(bounded.bound)
                open_pairs = candidates(
                    factors, rows, bounded.multipliers, [search.reps], width=MOST_WIDTH if np.isfinite(within) else
                    FIRST_WIDTH, within=within, threads=threads,
                )  # fmt: skip
                search = Search(open_pairs.pairs, open_pairs.loss, priced, search.reps)
            clock.incumbent = best.value
            done = f"round {number + 1} of {schedule.rounds + threes}, {len(open_pairs.pairs.rep):,} pairs open"
            clock.tell("search", f"{best.broken}, {done}" if best.broken else done)
    return best, open_pairs


def _opening(search: Search, starts: list[IntArray], clock: Clock, *, seed: int, threads: int) -> list[IntArray]:
    """Anneal all reps at once from every start, independently; return the assignments found."""
    hot = OPENING_HOT * float(np.median(search.loss[search.loss > 0])) if (search.loss > 0).any() else 1.0
    effort = Effort(steps=OPENING_STEPS, hot=hot, cold=OPENING_COLD * hot, sweeps=0)
    everyone = [np.arange(search.n_reps)]

    def chain(number: int) -> IntArray:
        own = Search(search.pairs, search.loss, search.rows, starts[number])
        own.improve(everyone, effort, seed=seed + number, threads=1, stop=clock.flag)
        return own.reps

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(chain, range(len(starts))))


def make_groups(
    open_pairs: Candidates, reps: IntArray, n_reps: int, unit: float, size: int, generator: np.random.Generator
) -> list[IntArray]:
    """Cut the reps into groups of ``size`` competing ones, with some chance in it; every rep is in one group."""
    if n_reps <= size:
        return [np.arange(n_reps)]
    pull = competition(open_pairs, reps, n_reps, unit)
    free = np.ones(n_reps, dtype=bool)
    groups = []
    for rep in generator.permutation(n_reps):
        if not free[rep]:
            continue
        group, weight = [int(rep)], pull[rep].copy()
        free[rep] = False
        while len(group) < size:
            choice = int(np.where(free, weight * generator.uniform(0.3, 1.0, n_reps), 0.0).argmax())
            if not free[choice] or weight[choice] <= 0.0:
                break
            group.append(choice)
            free[choice] = False
            weight += pull[choice]
        groups.append(np.array(group, dtype=np.int64))
    return groups


def competition(open_pairs: Candidates, reps: IntArray, n_reps: int, unit: float) -> FloatArray:
    """How much every two reps compete for the same nodes, (n_reps, n_reps)."""
    pairs = open_pairs.pairs
    key = reps[pairs.node] * n_reps + pairs.rep
    pull = np.bincount(key, np.exp(-open_pairs.loss / unit), minlength=n_reps * n_reps).reshape(n_reps, n_reps)
    return np.asarray(pull + pull.T)
