"""A task is one thing: what is to be solved, with all that strategies need, handed on as one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, fair_kappa
from territory_opt.model.rows import Rows
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import Lists, nearest_reps
from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.settings import Course, Settings
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import dual_bound

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bounded:
    """Multipliers (n_rows,) with the bound they prove, by the judge's own formula.

    ``start`` is the assignment they suggest, (n_nodes,). ``cases`` prove the tighter bound ``proven``, infinite while
    nobody has tried; what a pair loses counts against ``bound``, which stands at the same multipliers.
    """

    multipliers: FloatArray
    bound: float
    start: IntArray
    cases: Cases | None = None
    proven: float = np.inf

    @property
    def best(self) -> float:
        """The tightest bound that is proven."""
        return min(self.bound, self.proven)


@dataclass(frozen=True, slots=True)
class Task:
    """Rows of a model to be solved, the compiled pairs, the clock and the settings; once known, a bound.

    ``nearest`` are each node's best reps at zero multipliers; ``known`` multipliers by rule and subject from earlier
    work; ``course`` how thorough it is; ``gap`` relative. A task does not change: another model, other rows or a bound
    make another task.
    """

    model: Model
    rows: Rows
    factors: Factors
    nearest: Lists
    clock: Clock
    settings: Settings
    course: Course
    seed: int
    gap: float
    threads: int
    known: Mapping[tuple[str, str], float] = field(default_factory=dict)
    _bounded: Bounded | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        clock: Clock,
        *,
        settings: Settings | None = None,
        seed: int = 0,
        gap: float = 0.0,
        threads: int | None = None,
    ) -> Task:
        """Take up all rows of a model."""
        settings = settings or Settings()
        threads = threads or settings.solve.threads
        factors = Factors.of(model)
        nearest = nearest_reps(factors, settings.ascent.width, threads)
        return cls(model, model.rows, factors, nearest, clock, settings, settings.usual, seed, gap, threads)

    @property
    def bounded(self) -> Bounded:
        """The bound. Raise RuntimeError while there is none."""
        if self._bounded is None:
            raise RuntimeError("this task has no bound yet")
        return self._bounded

    @property
    def multipliers(self) -> FloatArray:
        """Those of the bound, (n_rows,)."""
        return self.bounded.multipliers

    def with_bound(self, bounded: Bounded) -> Task:
        """Return the task with a bound; its multipliers are known to later tasks."""
        named = dict(zip(self.rows.names, bounded.multipliers.tolist(), strict=True))
        return replace(self, known={**self.known, **named}, _bounded=bounded)

    def with_rows(self, rows: Rows) -> Task:
        """Return the task with other rows of the same model."""
        return replace(self, rows=rows, _bounded=None)

    def at_kappa(self, kappa: float) -> Task:
        """Return the task with all rows at another fair quota per unit of expected sales."""
        model = self.model.with_kappa(kappa)
        return replace(self, model=model, rows=model.rows, _bounded=None)

    def moved_to(self, kappa: float) -> Task:
        """Return the task at another kappa with the multipliers it has, and the bound that they prove there.

        ``start`` stays that of the kappa before.
        """
        if not self.rows.whole:
            raise RuntimeError("only a task of all rows can be moved to another kappa")
        task, values = self.at_kappa(kappa), self.multipliers
        bound = dual_bound(task.model, values)
        return task.with_bound(replace(self.bounded, bound=bound, cases=None, proven=np.inf))

    def kappa_of(self, reps: IntArray) -> float:
        """Fair quota per unit of the fair base of an assignment (n_nodes,)."""
        totals, _ = self.model.totals(reps)
        return fair_kappa(self.model.problem, self.model.hierarchy, self.model.fair_base(totals))

    def judged(self, reps: IntArray) -> Incumbent:
        """Judge an assignment (n_nodes,) by the rows at its best (unrounded) quotas."""
        return Incumbent.of(self.model, self.rows, reps)
