"""Quotas up the hierarchy, in whole cents: rep -> manager -> region -> company.

At every node: own target + hedge + rounding = sum of what the nodes and reps below owe, exactly.
A node with a target of its own (the company always) keeps it; any other node's target follows from below.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.hierarchy import Hierarchy
from territory_opt.model.model import Model
from territory_opt.model.rules import rounding_slack
from territory_opt.problem.numbers import HALF_CENT, SAME_FACTOR_DIGITS

FloatArray = npt.NDArray[np.float64]
STEP_TOLERANCE = 1e-3
"""An amount is a whole number of steps if it is off by no more than this share of one, nor by half a cent, ..."""
LAST_PLACES = 4.0
"""... and this many units in the last place: quotas are quotients and products of floats."""


def off_steps(amounts: FloatArray, step: float) -> npt.NDArray[np.bool_]:
    """Return which ``amounts`` of money are no multiple of ``step``."""
    off = np.abs(amounts - np.round(amounts / step) * step)
    return np.asarray(off > min(STEP_TOLERANCE * step, HALF_CENT) + LAST_PLACES * np.finfo(float).eps * np.abs(amounts))


def roll_up(model: Model, annual: pd.Series[float]) -> pd.DataFrame:
    """Return one line per node: target, hedge, rounding, below (sum of the level below), quotas (sum of reps).

    Money with two decimals; ``target + hedge + rounding == below`` holds in whole cents.
    """
    hierarchy = model.hierarchy
    cents = {rep: round(amount * 100) for rep, amount in annual.items()}
    by_rep = [cents[rep] for rep in model.problem.reps["rep_id"]]
    target, below = _targets_in_cents(hierarchy, by_rep)
    own = ~np.isnan(hierarchy.target)
    hedge = [round(t * h) if has else b - t for t, h, b, has in zip(target, hierarchy.hedge, below, own, strict=True)]
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
            if abs(missed(hierarchy, node, np.array(quotas) / 100.0)) < HALF_CENT:
                below[node] += _settle(hierarchy, node, children, target, below[node])
    return target, below


def _settle(hierarchy: Hierarchy, node: int, children: list[int], target: list[int], below: int) -> int:
    """Move the few cents that deriving targets has rounded away into the largest derived child; return them."""
    wanted = target[node] + round(target[node] * float(hierarchy.hedge[node]))
    cents = wanted - below
    derived = [child for child in children if np.isnan(hierarchy.target[child])]
    if not derived or cents == 0:
        return 0
    target[max(derived, key=lambda child: target[child])] += cents
    return cents


def missed(hierarchy: Hierarchy, node: int, quotas: npt.NDArray[np.float64]) -> float:
    """By how much (money) the quotas under ``node`` differ from its target with the hedges on the way.

    Where hedges differ from rep to rep, quotas without their hedges differ by it from the target.
    """
    members = hierarchy.members(node)
    compound = np.array([hierarchy.compound(int(j), node) for j in members])
    if len(set(np.round(compound, SAME_FACTOR_DIGITS))) == 1:
        return float(quotas[members].sum() - hierarchy.target[node] * compound[0])
    return float((quotas[members] / compound).sum() - hierarchy.target[node])


def roll_up_problems(model: Model, annual: pd.Series[float]) -> Iterator[tuple[str, int, str]]:
    """Yield (node, cents, sentence) for every node with a target that its quotas do not meet."""
    hierarchy = model.hierarchy
    quotas = np.asarray(annual.reindex(model.problem.reps["rep_id"]), dtype=float)
    for node in np.flatnonzero(~np.isnan(hierarchy.target)):
        members = hierarchy.members(int(node))
        if len(members) == 0:
            continue
        off = missed(hierarchy, int(node), quotas)
        slack = rounding_slack(model.problem.policy.quotas.step, hierarchy, int(node))
        compounds = {round(hierarchy.compound(int(j), int(node)), SAME_FACTOR_DIGITS) for j in members}
        # As the row: half a cent of the target beside the step. One compound: what is missed is in money of quotas.
        hedges = compounds.pop() if len(compounds) == 1 else 1.0
        allowed = (slack + HALF_CENT) * hedges if slack else HALF_CENT
        if np.isnan(off):
            yield hierarchy.names[node], 0, "a rep below has no quota, so that the quotas add up to no target"
        elif abs(off) > allowed:
            total = float(quotas[members].sum())
            text = (
                f"quotas of {total:,.2f} are {off:+,.2f} off the target {hierarchy.target[node]:,.2f} with its hedges"
            )
            yield hierarchy.names[node], round(off * 100), text
