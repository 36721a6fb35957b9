"""The plan at scale: rounds of search in groups of reps over candidates by reduced value, proof-carrying fixing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import Bounded, hard_prices
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.pairs.candidates import Candidates, candidates, make_groups
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import in_threads
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.search.moves import Effort, Search, positions
from territory_opt.optimize.search.rows import SearchRows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FIRST_WIDTH, MOST_WIDTH = 8, 20
"""Reps per node in the first round, and at most once a plan says which pairs are still open."""
HARD_FACTOR, DEARER = 1.05, 1.2
"""A hard row starts at this multiple of its rule's largest multiplier, and gets dearer after each round it is broken:
prices no higher than they must be leave the search room to move."""
GROUP = 20
"""Reps that are searched together."""
ROUNDS, THREES_ROUNDS = 12, 3
"""Rounds with exchanges between two reps, then rounds that exchange among three as well."""
THREES_NODES = 30_000
"""Up to this many nodes there are rounds with exchanges among three reps."""
HOT, WARM, COLD = 1.0, 0.01, 0.02
"""Temperature of the first and the last round, in units of the median loss of a node's second-best rep; and how far
it falls inside a round."""
STEPS_PER_NODE = 50
"""Steps of one round per free node."""
BROKEN_HOT, BROKEN_STEPS = 3.0, 300
"""The same while hard rules are broken and the annealing has to mend them."""
RUGGED_NODES, RUGGED_ROUNDS, RUGGED_STEPS = 5_000, 12, 1_000
"""Up to this many nodes, hard rules or quotas call for long annealings first: rounds, and steps per node in each."""
RUGGED_HOT, RUGGED_WARM = 5.0, 1.0
"""Temperature of the first and the last of them, in units of the median loss of a candidate."""
OPENING_HOT, OPENING_COLD = 20.0, 0.0001
"""Before them, one annealing of all reps at once from each start: first temperature, and how far it falls."""
RETRIES, DEARER_AGAIN = 8, 2.0
"""The same again, at most so often, while hard rules are broken; each time they cost so many times more."""
LAST_ROUNDS = 3
"""Short rounds after the last of these."""
SWEEPS = 5


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rounds of search: how many, first and last temperature in units, steps per free node and round.

    ``thorough`` begins with long annealings where rules are hard, and looks again for pairs to drop or to take in.
    With ``still_good`` the search starts from the last plan where it loses at most so many units, else from the first.
    """

    rounds: int = ROUNDS
    threes: int = THREES_ROUNDS
    hot: float = HOT
    warm: float = WARM
    steps: int = STEPS_PER_NODE
    thorough: bool = True
    still_good: float | None = None

    def efforts(self, rows: Rows, open_pairs: Candidates) -> tuple[list[Effort], list[Effort]]:
        """Return the long annealings of a rugged problem (few nodes, hard rules), and the short rounds."""
        n_nodes, quotas = len(open_pairs.pairs.start) - 1, rows.quotas.nnz > 0
        rugged = self.thorough and n_nodes <= RUGGED_NODES and (quotas or bool(rows.hard.any()))
        threes = self.threes if n_nodes <= THREES_NODES and not quotas else 0
        long = open_pairs.spread * _falling(RUGGED_HOT, RUGGED_WARM, RUGGED_ROUNDS if rugged else 0)
        short = open_pairs.unit * _falling(self.hot, self.warm, self.rounds + threes)
        return [Effort(RUGGED_STEPS, hot, COLD * hot, SWEEPS) for hot in long], [
            Effort(self.steps, hot, COLD * hot, SWEEPS, threes=k >= self.rounds) for k, hot in enumerate(short)
        ]


def _falling(first: float, last: float, count: int) -> FloatArray:
    return np.asarray(first * (last / first) ** (np.arange(count) / max(count - 1, 1)))


def search_stage(
    model: Model,
    factors: Factors,
    rows: Rows,
    bounded: Bounded,
    starts: list[IntArray],
    kept: list[IntArray],
    clock: Clock,
    *,
    schedule: Schedule,
    gap: float,
    seed: int,
    threads: int,
) -> tuple[Incumbent, Candidates]:
    """Search from the best of ``starts`` in rounds of falling temperature; every round cuts the reps into new groups.

    What comes out is no worse than any of ``kept``. After the first short round, pairs that cannot be in a better plan
    are dropped for good.
    """
    rounds = _Rounds(model, factors, rows, bounded, starts, kept, seed=seed, threads=threads)
    long, short = schedule.efforts(rows, rounds.open_pairs)
    count = len(long) + len(short)

    def done(number: int) -> bool:
        best = rounds.best
        clock.incumbent = best.shown
        text = f"round {number} of {count}, {len(rounds.open_pairs.pairs.rep):,} pairs open"
        if number:
            clock.tell("search", f"{best.broken}, {text}" if best.broken else text)
        return clock.left <= 0 or best.close_to(bounded.bound, gap)

    with clock.deadline():
        if schedule.still_good is not None:
            rounds.mix(starts[0], starts[-1], schedule.still_good)
        if long:
            rounds.open(starts[0], kept, clock.flag)
            if rounds.best.score[0] > 0.0:
                rounds.insist(starts[0], kept, clock)
        for number, effort in enumerate([*long, *short]):
            if done(number):
                break
            mend = rounds.best.score[0] > 0.0 and effort.steps < BROKEN_STEPS
            hot = BROKEN_HOT * rounds.open_pairs.unit
            rounds.run(Effort(BROKEN_STEPS, hot, COLD * hot, SWEEPS, effort.threes) if mend else effort, clock.flag)
            if schedule.thorough and number - len(long) in (0, len(short) // 2):
                rounds.look_again()
        else:
            if not done(count) and long and rounds.astray:
                rounds.insist(starts[0], kept, clock)
                for effort in short[-LAST_ROUNDS:]:
                    rounds.run(effort, clock.flag)
                done(count)
    return rounds.best, rounds.open_pairs


class _Rounds:
    """The search under way: the best plan, the one it stands at, open pairs, prices of hard rows."""

    def __init__(
        self,
        model: Model,
        factors: Factors,
        rows: Rows,
        bounded: Bounded,
        starts: list[IntArray],
        kept: list[IntArray],
        *,
        seed: int,
        threads: int,
    ) -> None:
        self.model, self.factors, self.rows, self.bounded = model, factors, rows, bounded
        self.seed, self.threads, self.number = seed, threads, 0
        self.generator = np.random.default_rng(seed)
        first = best_of(Incumbent.of(model, rows, start) for start in starts)
        self.best = best_of([first, *(Incumbent.of(model, rows, plan) for plan in kept)])
        width = MOST_WIDTH if rows.n_reps <= GROUP else FIRST_WIDTH
        self.open_pairs = self._candidates([*starts, *kept], width, np.inf)
        self.unit = self.open_pairs.unit
        self.prices = hard_prices(rows, bounded.multipliers, self.open_pairs.pairs, HARD_FACTOR)
        self.here = first
        self.search = self._search(first.reps)

    def mix(self, best: IntArray, plan: IntArray, still_good: float) -> None:
        """Start from ``plan`` where it loses at most ``still_good`` units against the best rep, else from ``best``."""
        loss = self.open_pairs.loss[positions(self.open_pairs.pairs, plan)]
        self.here = Incumbent.of(self.model, self.rows, np.where(loss <= still_good * self.unit, plan, best))
        self.search = self._search(self.here.reps)

    def open(self, first: IntArray, kept: list[IntArray], stop: IntArray) -> None:
        """Anneal all reps at once from the plan at hand, from ``first`` and from the ``kept``, side by side.

        The search goes on from the best one; from a kept plan only if that is also best at the prices of the time, for
        one that breaks a hard row by little is closer to a very good plan than a poor one that keeps it.
        """
        hot = OPENING_HOT * self.open_pairs.spread
        effort = Effort(steps=RUGGED_STEPS, hot=hot, cold=OPENING_COLD * hot, sweeps=SWEEPS)
        everyone = [np.arange(self.rows.n_reps)]

        chains = [self._search(plan) for plan in (self.here.reps, first, *kept)]
        work = [
            chain.worker(everyone, effort, seed=self.seed + 31 * self.number + number, stop=stop)
            for number, chain in enumerate(chains)
        ]
        self.number += 1
        in_threads(lambda number: work[number](0), range(len(work)), self.threads)
        found = [Incumbent.of(self.model, self.rows, chain.reps) for chain in chains]
        self.best = best_of([self.best, *found])
        own = best_of(found[:2])
        self._stand(best_of([own, *(one for one in found[2:] if self._priced(one) < self._priced(own))]))

    @property
    def astray(self) -> bool:
        """Whether no plan keeps the hard rules, or only one worse than the broken one at hand, at its prices."""
        broken = self.here.score[0] > 0.0 and self._priced(self.here) < self._priced(self.best)
        return broken or self.best.score[0] > 0.0

    def insist(self, first: IntArray, kept: list[IntArray], clock: Clock) -> None:
        """While the search is :attr:`astray`, anneal again at ever dearer prices, and go on half-way back."""
        if not self.astray:
            return
        before = self.prices
        self.open_pairs = self._candidates([self.here.reps, self.best.reps, first, *kept], MOST_WIDTH, np.inf)
        for retry in range(1, RETRIES + 1):
            if not self.astray or clock.left <= 0.0:
                break
            self.prices = DEARER_AGAIN**retry * before
            self.open(first, kept, clock.flag)
        self.prices = np.sqrt(before * self.prices)
        self.search = self._search(self.here.reps)

    def run(self, effort: Effort, stop: IntArray) -> None:
        """One round."""
        groups = make_groups(self.open_pairs, self.here.reps, self.rows.n_reps, self.unit, GROUP, self.generator)
        self.search.improve(groups, effort, seed=self.seed + 104_729 * self.number, threads=self.threads, stop=stop)
        self.number += 1
        found = Incumbent.of(self.model, self.rows, self.search.reps)
        self.best = best_of([self.best, found])
        self._stand(found)

    def look_again(self) -> None:
        """Drop pairs that cannot be in a better plan, take in those that can."""
        within = self.best.gap_to(self.bounded.bound)
        width = MOST_WIDTH if np.isfinite(within) else FIRST_WIDTH
        self.open_pairs = self._candidates([self.here.reps, self.best.reps], width, within)
        self.search = self._search(self.here.reps)

    def _stand(self, found: Incumbent) -> None:
        """Go on from ``found``; hard rows that it breaks get dearer."""
        moved = not np.array_equal(found.reps, self.search.reps)
        self.here = found
        if found.breaks.any():
            self.prices = np.where(found.breaks, DEARER * self.prices, self.prices)
        if moved or found.breaks.any():
            self.search = self._search(found.reps)

    def _priced(self, found: Incumbent) -> float:
        """What ``found`` loses at the prices of hard rows the search works with, money; smaller is better."""
        totals, _ = self.model.totals(found.reps)
        outside = np.abs(self.rows.outside(totals, found.quotas))
        return float((self.prices * outside)[self.rows.hard].sum()) - found.value

    def _candidates(self, keep: list[IntArray], width: int, within: float) -> Candidates:
        return candidates(
            self.factors, self.rows, self.bounded.multipliers, keep, width=width, within=within, threads=self.threads
        )

    def _search(self, reps: IntArray) -> Search:
        priced = SearchRows.of(self.model, self.rows, self.bounded.multipliers, self.prices)
        return Search(self.open_pairs.pairs, self.open_pairs.loss, priced, reps)
