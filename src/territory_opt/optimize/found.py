"""Where a solve stands: the task with its bound, the best plan, and what a solver claims of it."""

from __future__ import annotations

from dataclasses import dataclass

from territory_opt.optimize.search.incumbent import Incumbent
from territory_opt.optimize.task import Task


@dataclass(frozen=True, slots=True)
class Claim:
    """What branch and bound says without proof: a ``bound`` in money (NaN: nothing), whether it searched all of it.

    ``cut_off`` says that it ended without an answer though there was time.
    """

    bound: float = float("nan")
    complete: bool = False
    cut_off: bool = False

    @classmethod
    def of(cls, task: Task, best: Incumbent, bound: float, *, gap: float, cut_off: bool = False) -> Claim:
        """Take up the ``bound`` that branch and bound claims for a task; only for all rows of a model it counts.

        The search is complete if ``best`` is within ``gap`` of it.
        """
        rows = task.rows
        if not rows.whole:
            return cls(cut_off=cut_off)
        priced = float((rows.price * rows.scale)[~rows.hard].sum())
        slack = task.settings.solve.claim_tolerance * (priced + abs(best.value) + 1.0)
        near = best.keeps_rules and bound - best.value <= gap * abs(best.value) + slack
        return cls(bound, near, cut_off)


@dataclass(frozen=True, slots=True)
class Found:
    """``joint_gain``: what joint solving gained over territories first and quotas after, NaN where not compared."""

    task: Task
    best: Incumbent
    claim: Claim = Claim()
    joint_gain: float = float("nan")
