"""The tree rep -> manager -> region -> company, with the hedge and the target of each node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.errors import DataError, Issue
from territory_opt.problem.problem import Problem

COMPANY = "company"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Nodes in an order where parents come first; node 0 is the company.

    ``parent`` holds positions (-1 for the company), ``hedge`` shares, ``target`` money (NaN: derived),
    ``rep_node`` (n_reps,) the node each rep reports to.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    levels: tuple[str, ...]
    parent: npt.NDArray[np.int64]
    hedge: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    rep_node: npt.NDArray[np.int64]

    @classmethod
    def from_problem(cls, problem: Problem) -> Hierarchy:
        """Build the tree from ``managers``, ``reps.manager`` and the policy's hedges and target.

        Raise :class:`DataError` if a node has a target but no reps.
        """
        managers = problem.managers
        above = dict(zip(managers["manager_id"], managers["reports_to"], strict=True))
        ids = [COMPANY, *sorted(above, key=lambda node: _depth(node, above))]
        position = {node: k for k, node in enumerate(ids)}
        table = managers.set_index("manager_id")
        levels = [COMPANY, *(str(table.at[node, "level"]) for node in ids[1:])]
        quotas = problem.policy.quotas
        hedge = [quotas.hedge.get(node, quotas.hedge.get(level, 0.0)) for node, level in zip(ids, levels, strict=True)]
        company_target = quotas.target if quotas.target is not None else np.nan
        rep_node = np.array([position.get(m, 0) for m in problem.reps["manager"]], dtype=np.int64)
        tree = cls(
            ids=tuple(ids),
            names=("Company", *(str(table.at[node, "name"]) or node for node in ids[1:])),
            levels=tuple(levels),
            parent=np.array([-1, *(position.get(above[node], 0) for node in ids[1:])], dtype=np.int64),
            hedge=np.array(hedge, dtype=float),
            target=np.array([company_target, *table["target"].reindex(ids[1:]).to_numpy(float)], dtype=float),
            rep_node=rep_node,
        )
        _check_targets(tree)
        return tree

    def path(self, node: int) -> list[int]:
        """Nodes from ``node`` up to the company, both included."""
        nodes = [node]
        while self.parent[nodes[-1]] >= 0:
            nodes.append(int(self.parent[nodes[-1]]))
        return nodes

    def members(self, node: int) -> npt.NDArray[np.int64]:
        """Positions of all reps below ``node``, directly or not."""
        return np.flatnonzero([node in self.path(int(start)) for start in self.rep_node])

    def compound(self, rep: int, node: int = 0) -> float:
        """Product of (1 + hedge) from the rep's own node up to and including ``node``."""
        path = self.path(int(self.rep_node[rep]))
        return float(np.prod(1.0 + self.hedge[path[: path.index(node) + 1]]))

    def children(self, node: int) -> list[int]:
        """Nodes directly below ``node``."""
        return [int(k) for k in np.flatnonzero(self.parent == node)]

    def reps_of(self, node: int) -> npt.NDArray[np.int64]:
        """Reps who report to ``node`` directly."""
        return np.flatnonzero(self.rep_node == node)


def _check_targets(tree: Hierarchy) -> None:
    """Raise if somebody has a target but no reps to carry it."""
    lonely = [k for k in range(1, len(tree.ids)) if tree.target[k] > 0 and len(tree.members(k)) == 0]
    if lonely:
        raise DataError([_lonely(tree.names[k], float(tree.target[k])) for k in lonely])


def _lonely(name: str, target: float) -> Issue:
    problem, fix = f"{name} has a target but no rep reports there", "remove the target or give the node reps"
    return Issue("error", "managers", 0, "target", f"{target:,.2f}", problem, fix)


def _depth(node: str, above: dict[str, str]) -> int:
    count = 0
    while node in above:
        node, count = above[node], count + 1
    return count
