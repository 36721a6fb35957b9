"""A proof by cases: where large accounts decide, the best multipliers differ with who serves them.

A tree of questions "does this rep serve this account?", each of which every plan answers with yes or no, and
multipliers at every leaf. At a leaf the accounts asked about have only the reps that the answers leave them, so the
bound of its multipliers is lower than over all pairs; no plan is worth more than the largest bound of a leaf. See
docs/bound.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.plan.cuts import NO_CUTS, Cuts

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


MOST_CASES = 1_000
"""More cases are refused: each costs the judge a look at all pairs."""
MOST_CUT_WORK = 5_000_000_000
"""More cuts x cases x accounts are refused: this much takes the judge about a quarter of a minute."""


@dataclass(frozen=True, slots=True)
class Cases:
    """The tree in preorder, "yes" before "no": ``accounts`` and ``reps`` (n_entries,) of each question, "" at a leaf.

    ``values`` (n_leaves, n_rows) are the multipliers of the leaves, in that order, ``cut_values`` (n_leaves, n_cuts)
    those of rounding ``cuts``, which hold in every case. Without any question, cuts tighten the one case there is.
    """

    accounts: tuple[str, ...]
    reps: tuple[str, ...]
    values: FloatArray
    cuts: Cuts = NO_CUTS
    cut_values: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        """Take lists too, and nothing for the multipliers of no cuts."""
        for name in ("accounts", "reps"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("values", "cut_values"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        if not len(self.cuts) and not self.cut_values.size:
            object.__setattr__(self, "cut_values", np.zeros((len(self.values), 0)))

    def problems(self, model: Model) -> list[str]:
        """List why this proves nothing for ``model``, multipliers apart; empty if it can."""
        what = "the certificate's proof by cases"
        # Every question opens one more place for an entry than it takes: the tree ends where none is open.
        still_open = list(accumulate((1 if account else -1 for account in self.accounts), initial=1))
        if len(self.accounts) != len(self.reps) or still_open[-1] != 0 or 0 in still_open[:-1]:
            return [f"{what} is not a tree: every question needs what follows for yes and for no"]
        n_leaves = self.accounts.count("")
        if n_leaves > MOST_CASES:
            return [f"{what} has {n_leaves:,} cases, more than the {MOST_CASES:,} that are looked at"]
        if self.values.shape != (n_leaves, len(model.rows)):
            return [f"{what} has not one multiplier per case and row"]
        if self.cut_values.shape != (n_leaves, len(self.cuts)):
            return [f"{what} has not one multiplier per case and rounding cut"]
        if self.cut_values.size * model.source.n_nodes > MOST_CUT_WORK:
            return [f"{what} has more rounding cuts in more cases than are looked at"]
        if not (np.isfinite(self.cut_values) & (self.cut_values >= 0)).all():
            return [f"{what} has a multiplier of a rounding cut that is below zero or not a number"]
        source = model.source
        questions = {(account, rep) for account, rep in zip(self.accounts, self.reps, strict=True) if account}
        unknown = [
            f"{what} asks about {account} and {rep}, which are not both in these tables"
            for account, rep in sorted(questions)
            if account not in source.account_index or rep not in source.rep_index
        ]
        return unknown or self.cuts.problems(model)

    def allowed(self, model: Model) -> Iterator[dict[int, BoolArray]]:
        """Yield for each leaf the nodes asked about, each with the reps that the answers leave it, (n_reps,).

        For a tree without :meth:`problems`.
        """
        source = model.source
        waiting: list[dict[int, BoolArray]] = [{}]
        for account, rep in zip(self.accounts, self.reps, strict=True):
            left = waiting.pop()
            if not account:
                yield left
                continue
            node = int(source.nodes.of_account[source.account_index.get_loc(account)])
            named = np.arange(source.n_reps) == source.rep_index.get_loc(rep)
            so_far = left.get(node, np.ones(source.n_reps, dtype=bool))
            waiting += [{**left, node: so_far & ~named}, {**left, node: so_far & named}]
