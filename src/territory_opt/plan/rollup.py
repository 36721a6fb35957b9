"""Quotas up the hierarchy, in whole cents: rep -> manager -> region -> company.

At every node: own target + hedge + rounding = sum of what the nodes and reps below owe, exactly.
A node with a target of its own (the company always) keeps it; any other node's target follows from below.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from territory_opt.model.hierarchy import Hierarchy
from territory_opt.model.model import Model
from territory_opt.model.rows import rounding_slack


def roll_up(model: Model, annual: pd.Series[float]) -> pd.DataFrame:
    """Return one line per node: target, hedge, rounding, below (sum of the level below), quotas (sum of reps).

    Money with two decimals; ``target + hedge + rounding == below`` holds in whole cents.
    """
    hierarchy = model.hierarchy
    cents = {rep: round(amount * 100) for rep, amount in annual.items()}
    by_rep = [cents[rep] for rep in model.problem.reps["rep_id"]]
    target, below = _targets_in_cents(hierarchy, by_rep)
    hedge = [round(t * h) if not np.isnan(hierarchy.target[k]) else b - t
             for k, (t, h, b) in enumerate(zip(target, hierarchy.hedge, below, strict=True))]  # fmt: skip
    lines = []
    for k, node in enumerate(hierarchy.ids):
        quotas = sum(by_rep[j] for j in hierarchy.members(k))
        lines.append(
            {
                "node_id": node,
                "name": hierarchy.names[k],
                "level": hierarchy.levels[k],
                "parent": hierarchy.ids[hierarchy.parent[k]] if hierarchy.parent[k] >= 0 else "",
                "target": target[k] / 100.0,
                "hedge_share": hierarchy.hedge[k],
                "hedge": hedge[k] / 100.0,
                "rounding": (below[k] - target[k] - hedge[k]) / 100.0,
                "below": below[k] / 100.0,
                "quotas": quotas / 100.0,
            }
        )
    return pd.DataFrame(lines)


def _targets_in_cents(hierarchy: Hierarchy, quotas: list[int]) -> tuple[list[int], list[int]]:
    """Return target and sum below of every node in cents, leaves first."""
    n = len(hierarchy.ids)
    target, below = [0] * n, [0] * n
    for node in reversed(range(n)):
        children = hierarchy.children(node)
        below[node] = sum(target[child] for child in children) + sum(quotas[j] for j in hierarchy.reps_of(node))
        if np.isnan(hierarchy.target[node]):
            target[node] = round(below[node] / (1.0 + hierarchy.hedge[node]))
        else:
            target[node] = round(float(hierarchy.target[node]) * 100)
            below[node] += _settle(hierarchy, node, children, target, below[node])
    return target, below


def _settle(hierarchy: Hierarchy, node: int, children: list[int], target: list[int], below: int) -> int:
    """Move the few cents that deriving targets has rounded away into the largest derived child; return them."""
    wanted = target[node] + round(target[node] * float(hierarchy.hedge[node]))
    cents = wanted - below
    derived = [child for child in children if np.isnan(hierarchy.target[child])]
    if not derived or cents == 0 or abs(cents) > len(hierarchy.ids):
        return 0
    target[max(derived, key=lambda child: target[child])] += cents
    return cents


def roll_up_problems(model: Model, annual: pd.Series[float]) -> Iterator[tuple[str, int, str]]:
    """Yield (node, cents, sentence) for every node that does not tie."""
    table = roll_up(model, annual)
    for k, line in table.iterrows():
        node = int(str(k))
        if np.isnan(model.hierarchy.target[node]) or len(model.hierarchy.members(node)) == 0:
            continue
        limit = round(rounding_slack(model.problem.policy.quotas.step, model.hierarchy, node) * 100)
        cents = round(line["rounding"] * 100)
        if abs(cents) > limit:
            text = f"target {line['target']:,.2f} and hedge {line['hedge']:,.2f} do not meet {line['below']:,.2f} below"
            yield str(line["name"]), cents, text
