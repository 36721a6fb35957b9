"""A tighter bound where large accounts decide: branching on who serves them, multipliers of its own in every case.

The linear relaxation splits large accounts; no multipliers can say that it may not. Asking "does this rep serve this
account?" about the one that is split most, always in the case with the largest bound, closes most of the distance with
a few dozen questions. Sources: best-first branching on the Lagrangian bound, Fisher, Management Science 27, 1981.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from territory_opt.optimize.bound.program import Prices, Program
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.task import Task
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import Multipliers, bound_by_cases, multiplier_problems

FloatArray = npt.NDArray[np.float64]


def prove_by_cases(task: Task, best: Incumbent, *, gap: float) -> Task:
    """Return ``task`` with a proof by cases that no plan is better than ``best`` by more than ``gap``, or nearly so.

    It comes back as it is where that is of no use: at large sizes, where the gap is met, where ``best`` breaks
    hard rules, without time, and where it would take more than the task's course allows.
    """
    settings, bounded = task.settings, task.bounded
    cells = task.model.source.n_nodes * task.model.problem.n_reps
    target = best.value + max(gap, settings.cases.same_money) * abs(best.value)
    if not best.keeps_rules or bounded.bound <= target or not len(task.rows) or cells > settings.cuts.most_cells:
        return task
    if task.clock.out("cases"):
        return task
    work, patience = task.course.case_work // max(task.model.source.n_nodes, 1), settings.cases.patience
    if not task.course.thorough and work // settings.cases.width < patience:
        return task
    tree = _Tree(task, best.value, target)
    tree.tighten()
    most = min(settings.cases.most_programs, task.course.case_work // tree.program.n_listed)
    if cells <= settings.cases.most_cells and most >= patience:
        tree.grow(most)
    cases = tree.cases()
    if multiplier_problems(task.model, Multipliers.of(task.model, bounded.multipliers, cases=cases)):
        return task  # cuts that the judge does not take
    proven = bound_by_cases(task.model, cases)
    return task.with_bound(replace(bounded, cases=cases if proven < bounded.bound else None, proven=proven))


@dataclass(slots=True)
class _Case:
    """Multipliers with the bound they prove without the ``closed`` pairs.

    ``split`` is the pair to ask about next, -1 where no account is split.
    """

    closed: frozenset[int]
    prices: Prices
    split: int = -1
    answers: list[_Case] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """What no plan with these answers can exceed."""
        return self.prices.bound


class _Tree:
    """The questions asked so far over all eligible pairs of one model; positions are those of ``pairs``."""

    def __init__(self, task: Task, value: float, target: float) -> None:
        self.model, self.value, self.target, self.clock = task.model, value, target, task.clock
        self.settings, self.program = task.settings.cases, Program(task, value)
        self.pairs, self.node = self.program.pairs, self.program.node
        self.root = _Case(frozenset(), self.program.first)

    def tighten(self) -> None:
        """Add rounding cuts, which hold whatever the answers are."""
        self.root.prices = self.program.round(self.root.prices)
        self.clock.bound = min(self.clock.bound, self.root.bound)
        self.clock.tell("cases", f"{len(self.program.cuts):,} rounding cuts")

    def grow(self, most: int) -> None:
        """Ask questions until the target is met, it is not worth it, or ``most`` programs are solved."""
        self._solve(self.root)
        heap, ticket = [(-self.root.bound, 0, self.root)], itertools.count(1)
        program = self.program
        most += program.solved
        checked, before = program.solved, self.root.bound
        patience = max(self.settings.patience, self.settings.patient_work // program.n_listed)
        while heap and program.solved < most:
            case = heap[0][2]
            if case.bound <= self.target or case.split < 0 or self.clock.out("cases"):
                break
            if program.solved - checked >= patience:
                if before - case.bound < self.settings.worthwhile * (before - self.value):
                    break
                checked, before = program.solved, case.bound
            heapq.heappop(heap)
            case.answers = [self._answer(case, yes) for yes in (True, False)]
            for answer in case.answers:
                heapq.heappush(heap, (-answer.bound, next(ticket), answer))
            self.clock.bound = min(self.clock.bound, -heap[0][0])
            self.clock.tell("cases", f"{len(heap):,} cases")

    def cases(self) -> Cases:
        """The tree as a proof."""
        source, accounts, reps, leaves = self.model.source, [], [], []
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
                leaves.append(case.prices)
        values, cut_values = (np.array([getattr(leaf, name) for leaf in leaves]) for name in ("values", "cut_values"))
        return Cases(tuple(accounts), tuple(reps), values, self.program.cuts, cut_values)

    def _answer(self, case: _Case, yes: bool) -> _Case:
        node = self.node[case.split]
        others = range(int(self.pairs.start[node]), int(self.pairs.start[node + 1]))
        closed = case.closed | ({k for k in others if k != case.split} if yes else {case.split})
        answer = _Case(frozenset(closed), self.program.at(case.prices, closed))
        if answer.bound > self.target:
            self._solve(answer)
        return answer

    def _solve(self, case: _Case) -> None:
        """Find better multipliers for ``case`` by the linear program, and the account to ask about next."""
        case.prices, x = self.program.solve(case.closed, case.prices)
        if x is not None:
            case.split = self._most_split(x)

    def _most_split(self, x: FloatArray) -> int:
        apart, asked = np.minimum(x, 1.0 - x), self.program.asked
        weight = np.where(apart > self.settings.split, apart * self.program.share[self.node[asked]], 0.0)
        return int(asked[np.argmax(weight)]) if weight.any() else -1
