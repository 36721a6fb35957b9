"""A proof by cases: where large accounts decide, the best multipliers differ with who serves them.

A tree of questions "does this rep serve this account?", each of which every plan answers with yes or no, and
multipliers at every leaf. At a leaf the accounts asked about have only the reps that the answers leave them, so the
bound of its multipliers is lower than over all pairs; no plan is worth more than the largest bound of a leaf. See
docs/bound.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cases:
    """The tree in preorder, "yes" before "no": ``accounts`` and ``reps`` (n_entries,) of each question, "" at a leaf.

    ``values`` (n_leaves, n_rows) are the multipliers of the leaves, in that order.
    """

    accounts: tuple[str, ...]
    reps: tuple[str, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        """Take lists too."""
        for name in ("accounts", "reps"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "values", np.asarray(self.values, dtype=float))

    def answers(self) -> Iterator[tuple[tuple[str, str, bool], ...]]:
        """Yield the answers that lead to each leaf: account, rep, yes or no. Raise ValueError if this is no tree."""
        open_paths: list[tuple[tuple[str, str, bool], ...]] = [()]
        for account, rep in zip(self.accounts, self.reps, strict=True):
            if not open_paths:
                raise ValueError("entries follow the last leaf")
            path = open_paths.pop()
            if not account:
                yield path
                continue
            open_paths += [(*path, (account, rep, False)), (*path, (account, rep, True))]
        if open_paths:
            raise ValueError("a question has no leaf for each answer")

    def problems(self, model: Model) -> list[str]:
        """List why this proves nothing for ``model``, multipliers apart; empty if it can."""
        try:
            leaves = list(self.answers())
        except ValueError as error:
            return [f"the certificate's proof by cases is not a tree: {error}"]
        if self.values.shape != (len(leaves), len(model.rows)):
            return ["the certificate's proof by cases has not one multiplier per case and row"]
        source = model.source
        questions = {(account, rep) for account, rep in zip(self.accounts, self.reps, strict=True) if account}
        return [
            f"the certificate's proof by cases asks about {account} and {rep}, which are not both in these tables"
            for account, rep in sorted(questions)
            if account not in source.account_index or rep not in source.rep_index
        ]

    def allowed(self, model: Model) -> Iterator[dict[int, BoolArray]]:
        """Yield for each leaf the nodes asked about, each with the reps that the answers leave it, (n_reps,)."""
        source = model.source
        for path in self.answers():
            left: dict[int, BoolArray] = {}
            for account, rep, yes in path:
                node = int(source.node_of_account[source.account_index.get_loc(account)])
                same = np.arange(source.n_reps) == source.rep_index.get_loc(rep)
                left[node] = left.get(node, np.ones(source.n_reps, dtype=bool)) & (same if yes else ~same)
            yield left
