"""The plan at scale: rounds of search in groups of reps over candidates by reduced value, proof-carrying fixing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import hard_prices
from territory_opt.optimize.pairs.pricing import in_threads
from territory_opt.optimize.search.candidates import Candidates, candidates, competition, make_groups
from territory_opt.optimize.search.incumbent import Incumbent, best_of
from territory_opt.optimize.search.moves import Effort, Search, positions
from territory_opt.optimize.search.rows import SearchRows
from territory_opt.optimize.settings import INNER, Course, SearchSettings
from territory_opt.optimize.task import Task

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def _efforts(
    settings: SearchSettings, course: Course, rows: Rows, open_pairs: Candidates
) -> tuple[list[Effort], list[Effort]]:
    """Return the long annealings of a rugged problem (few nodes, hard rules), and the short rounds."""
    n_nodes, schedule = len(open_pairs.pairs.start) - 1, course.schedule
    rugged = course.thorough and n_nodes <= settings.rugged_nodes and (rows.set_quotas or bool(rows.hard.any()))
    threes = schedule.threes if n_nodes <= settings.threes_nodes and not rows.set_quotas else 0
    count = settings.rugged_rounds if rugged else 0
    long = open_pairs.spread * _falling(settings.rugged_hot, settings.rugged_warm, count)
    short = open_pairs.unit * _falling(schedule.hot, schedule.warm, schedule.rounds + threes)
    cold, sweeps = settings.cold, settings.sweeps
    return [Effort(settings.rugged_steps, hot, cold * hot, sweeps) for hot in long], [
        Effort(schedule.steps, hot, cold * hot, sweeps, k >= schedule.rounds) for k, hot in enumerate(short)
    ]


def _falling(first: float, last: float, count: int) -> FloatArray:
    return np.asarray(first * (last / first) ** (np.arange(count) / max(count - 1, 1)))


def search_stage(task: Task, starts: list[IntArray], kept: list[IntArray]) -> tuple[Incumbent, Candidates]:
    """Search from the best of ``starts`` in rounds of falling temperature; every round cuts the reps into new groups.

    What comes out is no worse than any of ``kept``. After the first short round, pairs that cannot be in a better plan
    are dropped for good.
    """
    rounds, schedule = _Rounds(task, starts, kept), task.course.schedule
    long, short = _efforts(task.settings.search, task.course, task.rows, rounds.open_pairs)
    efforts = [*long, *short]
    with task.clock.deadline():
        if schedule.still_good is not None:
            rounds.mix(starts[0], starts[-1], schedule.still_good)
        if long:
            rounds.open()
            if not rounds.best.keeps_rules:
                rounds.insist()
        for number, effort in enumerate(efforts):
            if rounds.done(number, len(efforts)):
                break
            rounds.run(rounds.mending(effort))
            if task.course.thorough and number - len(long) in (0, len(short) // 2):
                rounds.look_again()
        else:
            if not rounds.done(len(efforts), len(efforts)) and long and rounds.astray:
                rounds.insist()
                for effort in short[-task.settings.search.last_rounds :]:
                    rounds.run(effort)
                rounds.done(len(efforts), len(efforts))
    return rounds.best, rounds.open_pairs


class _Rounds:
    """The search under way: the best plan, the one it stands at, open pairs, prices of hard rows."""

    def __init__(self, task: Task, starts: list[IntArray], kept: list[IntArray]) -> None:
        self.task, self.settings, self.rows, self.bounded = task, task.settings.search, task.rows, task.bounded
        self.first, self.kept, self.number = starts[0], kept, 0
        self.generator = np.random.default_rng(task.seed)
        first = best_of(task.judged(start) for start in starts)
        self.best = best_of([first, *(task.judged(plan) for plan in kept)])
        few = self.rows.n_reps <= self.settings.group
        width = self.settings.most_width if few else self.settings.first_width
        self.open_pairs = candidates(task, [*starts, *kept], width=width, within=np.inf)
        self.unit = self.open_pairs.unit
        factor = self.settings.hard_factor
        self.prices = hard_prices(self.rows, self.bounded.multipliers, self.open_pairs.pairs, factor)
        self.here = first
        self.search = self._search(first.reps)

    def done(self, number: int, count: int) -> bool:
        """Report after ``number`` of ``count`` rounds; whether the time is up or the gap is met.

        Work that compiled code was told to leave was cut short, however good its plan.
        """
        clock, best = self.task.clock, self.best
        cut = self.number > 0 and bool(clock.flag[0]) and clock.cut_in("search")
        clock.incumbent = best.shown
        text = f"round {number} of {count}, {len(self.open_pairs.pairs.rep):,} pairs open"
        if number:
            clock.tell("search", f"{best.broken}, {text}" if best.broken else text)
        return cut or best.close_to(self.bounded.bound, self.task.gap) or clock.out("search")

    def mending(self, effort: Effort) -> Effort:
        """Return ``effort``, or a hotter and longer one while hard rules are broken and it is short."""
        settings = self.settings
        if self.best.keeps_rules or effort.steps >= settings.broken_steps:
            return effort
        hot = settings.broken_hot * self.open_pairs.unit
        return Effort(settings.broken_steps, hot, settings.cold * hot, settings.sweeps, effort.threes)

    def mix(self, best: IntArray, plan: IntArray, still_good: float) -> None:
        """Start from ``plan`` where it loses at most ``still_good`` units against the best rep, else from ``best``."""
        loss = self.open_pairs.loss[positions(self.open_pairs.pairs, plan)]
        self.here = self.task.judged(np.where(loss <= still_good * self.unit, plan, best))
        self.search = self._search(self.here.reps)

    def open(self) -> None:
        """Anneal all reps at once from the plan at hand, from the first start and from those kept, side by side.

        The search goes on from the best one; from a kept plan only if that is also best at the prices of the time, for
        one that breaks a hard row by little is closer to a very good plan than a poor one that keeps it.
        """
        settings, seed, stop = self.settings, self.task.seed, self.task.clock.flag
        hot = settings.opening_hot * self.open_pairs.spread
        effort = Effort(settings.rugged_steps, hot, settings.opening_cold * hot, settings.sweeps)
        everyone = [np.arange(self.rows.n_reps)]

        chains = [self._search(plan) for plan in (self.here.reps, self.first, *self.kept)]
        work = [
            chain.worker(everyone, effort, seed=seed + INNER.opening_step * self.number + number, stop=stop)
            for number, chain in enumerate(chains)
        ]
        self.number += 1
        in_threads(lambda number: work[number](0), range(len(work)), self.task.threads)
        found = [self.task.judged(chain.reps) for chain in chains]
        self.best = best_of([self.best, *found])
        own = best_of(found[:2])
        self._stand(best_of([own, *(one for one in found[2:] if self._priced(one) < self._priced(own))]))

    @property
    def astray(self) -> bool:
        """Whether no plan keeps the hard rules, or only one worse than the broken one at hand, at its prices."""
        broken = not self.here.keeps_rules and self._priced(self.here) < self._priced(self.best)
        return broken or not self.best.keeps_rules

    def insist(self) -> None:
        """While the search is :attr:`astray`, anneal again at ever dearer prices, and go on half-way back."""
        if not self.astray:
            return
        before, settings = self.prices, self.settings
        keep = [self.here.reps, self.best.reps, self.first, *self.kept]
        self.open_pairs = candidates(self.task, keep, width=settings.most_width, within=np.inf)
        for retry in range(1, settings.retries + 1):
            if not self.astray or self.task.clock.out("search"):
                break
            self.prices = settings.dearer_again**retry * before
            self.open()
        self.prices = np.sqrt(before * self.prices)
        self.search = self._search(self.here.reps)

    def run(self, effort: Effort) -> None:
        """One round."""
        task, n_reps = self.task, self.rows.n_reps
        groups = [np.arange(n_reps)]
        if n_reps > self.settings.group:
            pull = competition(self.open_pairs, self.here.reps, n_reps, self.unit)
            groups = make_groups(pull, self.settings.group, self.generator)
        seed = task.seed + INNER.round_step * self.number
        self.search.improve(groups, effort, seed=seed, threads=task.threads, stop=task.clock.flag)
        self.number += 1
        found = task.judged(self.search.reps)
        self.best = best_of([self.best, found])
        self._stand(found)

    def look_again(self) -> None:
        """Drop pairs that cannot be in a better plan, take in those that can."""
        within = self.best.gap_to(self.bounded.bound)
        width = self.settings.most_width if np.isfinite(within) else self.settings.first_width
        self.open_pairs = candidates(self.task, [self.here.reps, self.best.reps], width=width, within=within)
        self.search = self._search(self.here.reps)

    def _stand(self, found: Incumbent) -> None:
        """Go on from ``found``; hard rows that it breaks get dearer."""
        moved = not np.array_equal(found.reps, self.search.reps)
        self.here = found
        if found.breaks.any():
            self.prices = np.where(found.breaks, self.settings.dearer * self.prices, self.prices)
        if moved or found.breaks.any():
            self.search = self._search(found.reps)

    def _priced(self, found: Incumbent) -> float:
        """What ``found`` loses at the prices of hard rows the search works with, money; smaller is better."""
        totals, _ = self.task.model.totals(found.reps)
        outside = np.abs(self.rows.outside(totals, found.quotas))
        return float((self.prices * outside)[self.rows.hard].sum()) - found.value

    def _search(self, reps: IntArray) -> Search:
        priced = SearchRows.of(self.task.model, self.rows, self.bounded.multipliers, self.prices)
        return Search(self.open_pairs.pairs, self.open_pairs.loss, priced, reps)
