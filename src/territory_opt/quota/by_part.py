"""Each rep's quota by segment (or any column of accounts), so that rows and parts have their own sums.

Every cell starts as the rep's fair quota from the accounts of that part. Rows are then brought to the reps' quotas and
columns to the sums the policy asks for, by turns, which keeps the proportions as well as can be (iterative proportional
fitting: Deming and Stephan, Ann. Math. Stat. 11, 1940). Last, cells are rounded to whole steps so that every row is met
exactly and every part to within a step: a flow problem, which always has such a solution (Cox, JASA 82, 1987).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from ortools.graph.python import min_cost_flow

from territory_opt.errors import ScenarioError
from territory_opt.intake.parse import NO_PART, as_text
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.quota.settings import PartSettings

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SETTINGS = PartSettings()


def by_part(figures: Figures) -> pd.DataFrame:
    """Return columns rep_id, part, quota: every rep's quota by ``quotas.by``, in whole steps that add up to the year.

    Sums of ``quotas.part_targets`` hold to within a step, hedges included. Raise :class:`ScenarioError` if no column is
    named, a part is unknown, or the sums cannot be met by those who have accounts of the part.
    """
    model = figures.model
    policy = model.problem.policy.quotas
    if not policy.by:
        raise ScenarioError("quotas.by names no column of accounts")
    if policy.by not in model.problem.accounts:
        raise ScenarioError(f'quotas.by: the accounts table has no column "{policy.by}"')
    part, names = _parts(model, policy.by)
    quotas = figures.quotas
    cells = _fair_cells(figures, part, len(names))
    wanted = _sums(model, names, float(quotas.sum()))
    fitted = _fit(cells, quotas, wanted, names, policy.step)
    steps = round_cells(fitted / policy.step, np.rint(quotas / policy.step).astype(np.int64))
    amounts = np.round(steps * policy.step, 2)
    reps = model.problem.reps["rep_id"].to_numpy(object)
    return pd.DataFrame(
        {
            "rep_id": np.repeat(reps, len(names)),
            "part": np.tile(np.array(names, dtype=object), len(reps)),
            "quota": amounts.ravel(),
        }
    )


def _parts(model: Model, column: str) -> tuple[IntArray, list[str]]:
    """Part of each account, (n_accounts,), and the names."""
    codes, names = pd.factorize(as_text(model.problem.accounts[column]), sort=True)
    return codes.astype(np.int64), [str(name) or NO_PART for name in names]


def _fair_cells(figures: Figures, part: IntArray, n_parts: int) -> FloatArray:
    """Fair quota of each rep from the accounts of each part, (n_reps, n_parts).

    What a method shares out equally goes by expected sales; where a rep expects nothing, by potential, then equally.
    """
    model = figures.model
    pairs, n_reps = figures.pairs, model.problem.n_reps
    account = pairs["account"].to_numpy(int)
    basis = model.estimate.basis
    key = pairs["rep"].to_numpy(int) * n_parts + part[account]

    def summed(worth: FloatArray) -> FloatArray:
        cells = np.bincount(key, np.maximum(worth, 0.0), minlength=n_reps * n_parts)
        return np.asarray(cells.reshape(n_reps, n_parts), dtype=float)

    spread = summed(pairs["credited"].to_numpy(float))
    for other in (summed(model.problem.accounts["potential"].to_numpy(float)[account]), np.ones_like(spread)):
        spread = np.where(spread.sum(axis=1, keepdims=True) > 0, spread, other)
    if basis is None:
        return spread
    cells = summed(basis.amounts[account] * pairs["credit"].to_numpy(float))
    equal = (basis.equal * model.share)[:, None] * spread / spread.sum(axis=1, keepdims=True)
    return np.where((cells + equal).sum(axis=1, keepdims=True) > 0, cells + equal, spread)


def _sums(model: Model, names: list[str], total: float) -> FloatArray:
    """What each part has to come to with all hedges, (n_parts,); NaN where the policy leaves it open."""
    policy = model.problem.policy.quotas
    unknown = [name for name in policy.part_targets if name not in names]
    if unknown:
        raise ScenarioError(
            f"quotas.part_targets: no account has {policy.by} {unknown[0]}; known: {', '.join(names[: SETTINGS.named])}"
        )
    target = float(policy.target or 0.0)
    named = sum(policy.part_targets.values())
    complete = len(policy.part_targets) == len(names)
    if named > target + policy.step or (complete and abs(named - target) > policy.step):
        raise ScenarioError(f"quotas.part_targets: they come to {named:,.2f}, the company's target is {target:,.2f}")
    hedged = total / target if target > 0 else 1.0
    return np.array([policy.part_targets.get(name, np.nan) * hedged for name in names])


def _fit(cells: FloatArray, rows: FloatArray, columns: FloatArray, names: list[str], step: float) -> FloatArray:
    """Scale cells to the sums of rows and of the columns that have one."""
    fixed = ~np.isnan(columns)
    fitted = np.asarray(cells * (rows / cells.sum(axis=1))[:, None], dtype=float)
    if not fixed.any():
        return fitted
    rest = float(rows.sum()) - float(columns[fixed].sum())
    off = np.inf
    for _ in range(SETTINGS.rounds):
        sums = fitted.sum(axis=0)
        factor = np.ones(len(columns))
        factor[fixed] = np.divide(columns[fixed], sums[fixed], out=np.zeros(fixed.sum()), where=sums[fixed] > 0)
        open_sum = float(sums[~fixed].sum())
        factor[~fixed] = max(rest, 0.0) / open_sum if open_sum > 0 else 1.0
        fitted *= factor
        across = fitted.sum(axis=1)
        fitted *= np.divide(rows, across, out=np.zeros_like(rows), where=across > 0)[:, None]
        off = float(np.abs(fitted.sum(axis=0) - columns)[fixed].max())
        if off <= SETTINGS.close * max(float(rows.sum()), 1.0) and np.abs(fitted.sum(axis=1) - rows).max() <= step:
            return fitted
    missed = np.where(fixed, np.abs(fitted.sum(axis=0) - np.nan_to_num(columns)), 0.0)
    short = np.abs(fitted.sum(axis=1) - rows) > step
    worst = int(missed.argmax())
    if off > step or short.any():
        can = float(rows[cells[:, worst] > 0].sum())
        raise ScenarioError(
            f"quotas.part_targets: {names[worst]} cannot come to {columns[worst]:,.0f}, {missed[worst]:,.0f} off; "
            f"reps who have such accounts owe {can:,.0f} in all, and parts of their own besides"
        )
    return fitted


def round_cells(cells: FloatArray, rows: IntArray) -> IntArray:
    """Round ``cells`` (n, m) down or up so that row sums are ``rows`` and column sums are off by less than one.

    ``rows`` (n,) must be the sums of the cells up to float rounding. Of all such roundings, the nearest.
    """
    n, m = cells.shape
    floor = np.floor(cells + SETTINGS.whole_cell)
    fraction = np.clip(cells - floor, 0.0, 1.0)
    supply = rows - floor.sum(axis=1).astype(np.int64)
    open_sums = fraction.sum(axis=0)
    least = np.floor(open_sums + SETTINGS.whole).astype(np.int64)
    most = np.ceil(open_sums - SETTINGS.whole).astype(np.int64)
    flow = min_cost_flow.SimpleMinCostFlow()
    row, column = (index.ravel() for index in np.indices((n, m)))
    source, sink = n + m, n + m + 1
    flow.add_arcs_with_capacity_and_unit_cost(
        row,
        n + column,
        np.ones(n * m, dtype=np.int64),
        np.rint((1.0 - fraction.ravel()) * SETTINGS.resolution).astype(np.int64),
    )
    flow.add_arcs_with_capacity_and_unit_cost(np.full(n, source), np.arange(n), supply, np.zeros(n, dtype=np.int64))
    # Up to the floor of a column's sum flow is free; one more costs more than any change of cells can save, beyond that
    # it costs more than everything else together.
    inner, dear = n + np.arange(m), 2 * (n + m) * SETTINGS.resolution
    for capacity, cost in ((least, 0), (most - least, dear), (np.full(m, n), 100 * dear)):
        flow.add_arcs_with_capacity_and_unit_cost(inner, np.full(m, sink), capacity, np.full(m, cost, dtype=np.int64))
    flow.set_node_supply(source, int(supply.sum()))
    flow.set_node_supply(sink, -int(supply.sum()))
    if flow.solve() != flow.OPTIMAL:
        raise RuntimeError("quotas by part could not be rounded")
    up = np.asarray(flow.flows(np.arange(n * m))).reshape(n, m)
    return np.asarray(floor + up, dtype=np.int64)
