"""A tighter bound where large accounts decide: branching on who serves them, multipliers of its own in every case.

The linear relaxation splits large accounts; no multipliers can say that it may not. Asking "does this rep serve this
account?" about the one that is split most, always in the case with the largest bound, closes most of the distance with
a few dozen questions. Sources: best-first branching on the Lagrangian bound, Fisher, Management Science 27, 1981.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from territory_opt.optimize.bound.bounded import ceiling_prices, default_hard_price
from territory_opt.optimize.bound.dual import settle_quotas, territory_shares
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.warm_lp import WarmLp
from territory_opt.optimize.pairs.pricing import reduced_values
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.task import Task
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import apart_from_nodes, bound_by_cases, value_problems

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def prove_by_cases(task: Task, best: Incumbent, *, gap: float) -> Task:
    """Return ``task`` with a proof by cases that no plan is better than ``best`` by more than ``gap``, or nearly so.

    It comes back as it is where that is of no use: at large sizes, where the gap is met, where ``best`` breaks
    hard rules, without time, and where it would take more than the task's course allows.
    """
    settings, bounded = task.settings.cases, task.bounded
    cells = task.model.source.n_nodes * task.model.problem.n_reps
    target = best.value + max(gap, settings.same_money) * abs(best.value)
    if not best.keeps_rules or bounded.bound <= target or not len(task.rows) or cells > settings.most_cells:
        return task
    if task.clock.out("cases"):
        return task
    tree = _Tree(task, best.value, target)
    most = min(settings.most_programs, task.course.case_work // tree.n_listed)
    if most < settings.patience:
        return task
    cases = tree.cases() if tree.grow(most) else None
    proven = bounded.bound if cases is None else bound_by_cases(task.model, cases)
    return task.with_bound(replace(bounded, cases=cases if proven < bounded.bound else None, proven=proven))


@dataclass(slots=True)
class _Case:
    """Multipliers (n_rows,) with the ``bound`` they prove without the ``closed`` pairs.

    ``split`` is the pair to ask about next, -1 where no account is split.
    """

    closed: frozenset[int]
    values: FloatArray
    bound: float
    split: int = -1
    answers: list[_Case] = field(default_factory=list)


class _Tree:
    """The questions asked so far over all eligible pairs of one model; positions are those of ``pairs``."""

    def __init__(self, task: Task, value: float, target: float) -> None:
        self.model, self.value, self.target, self.clock = task.model, value, target, task.clock
        self.settings, bounded = task.settings.cases, task.bounded
        self.rows, self.pairs = self.model.rows, self.model.pairs()
        self.node, self.ceiling = self.pairs.node, ceiling_prices(self.rows, np.inf, task.settings.ceiling)
        self.share = territory_shares(self.rows, self.pairs)
        self.root = _Case(frozenset(), bounded.multipliers, bounded.bound)
        reduced = reduced_values(self.pairs, self.rows.at_rep(bounded.multipliers))
        width = max(self.settings.program_pairs // self.model.source.n_nodes, self.settings.least_width)
        self.listed = (self.pairs.place_by(-reduced) < width) | (self.share >= self.settings.large_share)[self.node]
        self.dear = self.settings.dearer * float((np.abs(bounded.multipliers) * self.rows.scale).max(initial=0.0))
        self.programs = 0
        self._load()

    @property
    def n_listed(self) -> int:
        """Pairs of a program."""
        return max(int(self.listed.sum()), 1)

    def grow(self, most: int) -> bool:
        """Ask questions until the target is met, it is not worth it, or ``most`` programs are solved.

        Return whether there is any answer.
        """
        self._solve(self.root)
        heap, ticket = [(-self.root.bound, 0, self.root)], itertools.count(1)
        checked, before = 0, self.root.bound
        patience = max(self.settings.patience, self.settings.patient_work // self.n_listed)
        while heap and self.programs < most:
            case = heap[0][2]
            if case.bound <= self.target or case.split < 0 or self.clock.out("cases"):
                break
            if self.programs - checked >= patience:
                if before - case.bound < self.settings.worthwhile * (before - self.value):
                    break
                checked, before = self.programs, case.bound
            heapq.heappop(heap)
            case.answers = [self._answer(case, yes) for yes in (True, False)]
            for answer in case.answers:
                heapq.heappush(heap, (-answer.bound, next(ticket), answer))
            self.clock.bound = min(self.clock.bound, -heap[0][0])
            self.clock.tell("cases", f"{len(heap):,} cases")
        return bool(self.root.answers)

    def cases(self) -> Cases:
        """The tree as a proof."""
        source, accounts, reps, values = self.model.source, [], [], []
        first = source.nodes.first
        todo = [self.root]
        while todo:
            case = todo.pop()
            if case.answers:
                accounts.append(str(source.account_index[first[self.node[case.split]]]))
                reps.append(str(source.rep_index[self.pairs.rep[case.split]]))
                todo += case.answers[::-1]
            else:
                accounts.append("")
                reps.append("")
                values.append(case.values)
        return Cases(tuple(accounts), tuple(reps), np.array(values))

    def _answer(self, case: _Case, yes: bool) -> _Case:
        node = self.node[case.split]
        others = range(int(self.pairs.start[node]), int(self.pairs.start[node + 1]))
        closed = case.closed | ({k for k in others if k != case.split} if yes else {case.split})
        best = self._best(self._reduced(case.values, closed))
        answer = _Case(frozenset(closed), case.values, self._bound(case.values, best))
        if answer.bound > self.target:
            self._solve(answer)
        return answer

    def _solve(self, case: _Case) -> None:
        """Find better multipliers for ``case`` by the linear program, and the account to ask about next."""
        for last in (False, True):
            found = self.program.solve(
                (int(self.column[k]) for k in case.closed if self.listed[k]), time_limit=self.clock.left
            )
            self.programs += 1
            values = case.values if found is None else settle_quotas(self.rows, found.multipliers, self.ceiling)
            reduced = self._reduced(values, case.closed)
            best, listed = self._best(reduced), self._best(np.where(self.listed, reduced, -np.inf))
            bound = self._bound(values, best)
            if found is not None:
                case.split = self._most_split(found.x)
                if bound < case.bound and not value_problems(self.rows, values):
                    case.values, case.bound = values, bound
            missing = ~self.listed & (reduced > listed[self.node])
            lost = float((best - listed).sum())
            if last or not missing.any() or lost <= self.settings.missed * (case.bound - self.value):
                return
            self.listed |= missing
            self._load()

    def _load(self) -> None:
        """Build the program of the listed pairs, and say whose x tells what is split."""
        self.column = np.cumsum(self.listed) - 1
        rows, settings = self.rows, self.settings
        dear = settings.hard_times * (self.root.bound - self.value) + self.dear
        linear = linear_model(
            self.model,
            self.pairs.keep(self.listed),
            rows,
            violations="price" if rows.hard.any() else "none",
            hard_price=default_hard_price(self.pairs, rows) + dear * rows.hard / rows.scale,
        )
        open_pairs = np.flatnonzero(self.listed & (np.diff(self.pairs.start) > 1)[self.node])
        self.asked = open_pairs[np.argsort(-self.share[self.node[open_pairs]], kind="stable")][
            : self.settings.most_asked
        ]
        self.program = WarmLp(linear, self.column[self.asked])

    def _most_split(self, x: FloatArray) -> int:
        apart = np.minimum(x, 1.0 - x)
        weight = np.where(apart > self.settings.split, apart * self.share[self.node[self.asked]], 0.0)
        return int(self.asked[np.argmax(weight)]) if weight.any() else -1

    def _reduced(self, values: FloatArray, closed: Collection[int]) -> FloatArray:
        """Reduced value of every pair, -inf where it is closed."""
        reduced = reduced_values(self.pairs, self.rows.at_rep(values))
        reduced[list(closed)] = -np.inf
        return reduced

    def _bound(self, values: FloatArray, best: FloatArray) -> float:
        """The bound of ``values`` where each node's best reduced value is ``best``, (n_nodes,)."""
        return float(best.sum()) + apart_from_nodes(self.model, values, self.model.quota_limit)

    def _best(self, reduced: FloatArray) -> FloatArray:
        return np.asarray(np.maximum.reduceat(reduced, self.pairs.start[:-1]))
