"""The plan and multipliers of a problem before an edit, read against the problem after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.model.pairs import BLOCK_CELLS
from territory_opt.plan.certificate import Multipliers
from territory_opt.plan.plan import Plan

IntArray = npt.NDArray[np.int64]


class Solved(Protocol):
    """What a re-solve starts from: a :class:`Result` or a :class:`PlanFolder`."""

    @property
    def plan(self) -> Plan:
        """Its plan."""

    @property
    def certificate(self) -> Multipliers:
        """Its multipliers."""


@dataclass(frozen=True, slots=True)
class Previous:
    """``reps`` (n_nodes,): who had each node and may still serve it, else -1; multipliers by rule and subject."""

    reps: IntArray
    multipliers: dict[tuple[str, str], float]

    @classmethod
    def of(cls, solved: Solved, model: Model) -> Previous:
        """Match ids and names; accounts, reps and rules that are new or gone are left out."""
        plan, certificate, source = solved.plan, solved.certificate, model.source
        wanted = plan.assignment[~plan.assignment.index.duplicated()].reindex(model.problem.accounts["account_id"])
        reps = possible(model, source.rep_index.get_indexer(wanted.to_numpy(object)))
        named = zip(certificate.rules, certificate.subjects, certificate.values.tolist(), strict=True)
        return cls(reps, {(rule, subject): value for rule, subject, value in named if np.isfinite(value)})


def possible(model: Model, rep_of_account: npt.NDArray[np.integer[Any]]) -> IntArray:
    """Return who has each node and may serve it, (n_nodes,), -1: nobody; ``rep_of_account`` (n_accounts,) likewise."""
    source = model.source
    first = source.nodes.first
    rep = np.array(rep_of_account[first], dtype=np.int64)
    known = np.flatnonzero(rep >= 0)
    for start in range(0, len(known), BLOCK_CELLS):
        part = known[start : start + BLOCK_CELLS]
        rep[part[~source.facts(first[part], rep[part]).eligible]] = -1
    return rep
