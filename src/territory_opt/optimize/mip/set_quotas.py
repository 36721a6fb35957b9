"""Quotas for fixed territories: the same rows, the totals known, quotas in whole steps.

Often it costs the same who carries what is left: prices per money are alike for all reps. A small price that grows with
the distance from each rep's own fair quota, as a share of it, then settles it, so that nobody carries it all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.errors import TerritoryError
from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Kind, Row, Rows, Words
from territory_opt.model.rules import rounding_slack
from territory_opt.optimize.mip.linear import LinearModel, Violations, linear_model
from territory_opt.optimize.mip.mathopt import MipLimits, Solution, solve_lp, solve_mip
from territory_opt.optimize.mip.settings import QUOTAS
from territory_opt.plan.rollup import missed
from territory_opt.problem.numbers import HALF_CENT
from territory_opt.words import brief

FloatArray = npt.NDArray[np.float64]


def set_quotas(model: Model, totals: FloatArray, *, rounded: bool = True) -> FloatArray:
    """Return the best yearly quotas (n_reps,) for rep totals (n_reps, n_quantities), in whole steps.

    Hard rules are kept if they can be; otherwise their summed violation is least, then cost.
    """
    if not model.has_quotas:
        return np.zeros(model.problem.n_reps)
    rows = model.rows.quota_only()
    constant = rows.totals @ totals.ravel()
    fixed = replace(
        rows, totals=sparse.csr_matrix(rows.totals.shape), low=rows.low - constant, high=rows.high - constant
    )
    if not rounded:
        return _best(model, fixed, None)
    fair = model.kappa * model.fair_base(totals)
    if not fair.any():  # where nothing is expected of anybody, by working time
        fair = model.share * float(model.problem.policy.quotas.target or 0.0)
    linear = _best(model, _evened(fixed, fair, QUOTAS.even_shares), None)
    step = model.problem.policy.quotas.step
    # Whole steps around the continuous optimum; the constraint matrix is a laminar sum, so this is easy.
    window = np.floor(linear / step + QUOTAS.rounding) * step
    near = _evened(fixed, linear, (0.0,)) if rows.n_reps <= QUOTAS.most_evened else fixed
    steps = np.round(_best(model, near, window) / step)
    tied = _tie(model, steps, step)
    # Only rounding noise is tied: a roll-up that the caps keep from holding stays as it is.
    noise = np.maximum(QUOTAS.kept * step, QUOTAS.rounding * fixed.scale)
    kept = np.abs(fixed.outside(np.zeros_like(totals), tied)) <= noise
    return tied if kept[fixed.hard].all() else np.asarray(np.round(steps * step, 2))


def far_above_fair(model: Model, totals: FloatArray, quotas: FloatArray) -> tuple[str, ...]:
    """Say which ``quotas`` (n_reps,) lie far above the fair ones, worst first, and what to do.

    That happens where guards or caps hold the quotas of the others: what these cannot carry falls to whoever has none,
    for want of a last quota for example.
    """
    fair = model.kappa * model.fair_base(totals)
    times = quotas / np.maximum(fair, max(model.problem.policy.quotas.step, HALF_CENT))
    reps = model.problem.reps["rep_id"].to_numpy(object)
    far = [int(j) for j in np.argsort(-times, kind="stable") if times[j] > QUOTAS.far_above]
    ways = "limits on this quota, or on others whose rest falls to it; look at last_quota, guards and caps, "
    named = [
        f"{reps[j]} carries {quotas[j]:,.0f} where {fair[j]:,.0f} is fair: {ways}"
        "or set the target to what the data supports"
        for j in far[: QUOTAS.most_named]
    ]
    more = len(far) - len(named)
    return (*named, *([f"{more} more carry over {QUOTAS.far_above:g} times the fair quota"] if more else []))


def _evened(rows: Rows, fair: FloatArray, shares: tuple[float, ...]) -> Rows:
    """Return ``rows`` on quotas alone with those that price distance from ``fair`` (n_reps,) a little.

    The price grows beyond each of ``shares`` of it. Violations are counted in quotas of a usual size: in single money
    units such small prices would drown in the solver's tolerance.
    """
    n, levels = len(fair), len(shares)
    share, own, size = np.repeat(shares, n), np.tile(fair, levels), max(float(fair.mean()), 1.0)
    low, high = own - share * np.abs(own), own + share * np.abs(own)
    even = [
        Row(
            rule="evenness",
            subject=str(k),
            kind=Kind.FAIRNESS,
            quotas={k % n: 1.0},
            low=low[k],
            high=high[k],
            hard=False,
            price=QUOTAS.even_price,
            scale=size,
            unit="",
            words=Words("quotas are as near to fair ones as the rules let them"),
        )
        for k in range(n * levels)
    ]
    return rows.with_more(Rows.from_items(even, rows.n_reps, quantities=rows.quantities))


def _tie(model: Model, steps: FloatArray, step: float) -> FloatArray:
    """Return quotas of whole ``steps``; what the solver's tolerance left over goes to the largest quotas, step by step.

    Only where one hedge holds for all and whole steps can meet the target: elsewhere a rounding is shown instead.
    """
    quotas = np.round(steps * step, 2)
    if rounding_slack(step, model.hierarchy, 0) > 0:
        return np.asarray(quotas)
    left = round(-missed(model.hierarchy, 0, quotas) / step)
    if left == 0 or abs(left) > QUOTAS.tied_steps * len(steps):
        return np.asarray(quotas)
    order = np.argsort(-quotas, kind="stable")
    steps = steps.copy()
    for k in range(abs(left)):
        steps[order[k % len(order)]] += np.sign(left)
    return np.asarray(np.round(steps * step, 2))


def _best(model: Model, rows: Rows, window: FloatArray | None) -> FloatArray:
    strict = _solve(_quota_model(model, rows, window, "none", np.inf))
    if not len(strict.values) and window is not None:
        strict = _solve(_quota_model(model, rows, window, "none", np.inf, wide=True))
    if len(strict.values):
        return _quotas(model, rows, strict, window)
    counted = _solve(_quota_model(model, rows, window, "count", np.inf))
    least = -counted.objective * (1.0 + QUOTAS.least_share) + QUOTAS.least_more
    relaxed = _solve(_quota_model(model, rows, window, "limit", least))
    return _quotas(model, rows, relaxed if len(relaxed.values) else counted, window)


def _quota_model(
    model: Model,
    rows: Rows,
    window: FloatArray | None,
    violations: Violations,
    limit: float,
    *,
    wide: bool = False,
) -> LinearModel:
    empty = Pairs(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros((len(rows.quantities), 0)))
    linear = linear_model(model, empty, rows, violations=violations, limit=limit)
    if window is None:
        return linear
    # Column q becomes the number of steps above the window's floor: between -1 and 2 unless that is too narrow.
    step, unit, n = model.problem.policy.quotas.step, linear.quota_unit, rows.n_reps
    scale = np.concatenate([np.full(n, step / unit), np.ones(len(linear.cost) - n)])
    base = np.concatenate([window / unit, np.zeros(len(linear.cost) - n)])
    shift = linear.matrix @ base
    low = linear.column_low.copy()
    high = linear.column_high.copy()
    low[:n] = np.maximum(-np.inf if wide else -1.0, -np.round(window / step))
    high[:n] = np.maximum(np.ceil((model.quota_reach - window) / step), 0.0) + 1.0 if wide else 2.0
    matrix = (linear.matrix @ sparse.diags(scale)).tocsr()
    # One step must be about 1 in every row: at the scale of a target it would drown in the solver's tolerance.
    largest = np.maximum(np.asarray(abs(matrix[:, :n]).max(axis=1).todense()).ravel(), 0.0)
    unit_row = sparse.diags(np.where(largest > 0, 1.0 / np.where(largest > 0, largest, 1.0), 1.0))
    return replace(
        linear,
        matrix=(unit_row @ matrix).tocsr(),
        low=unit_row @ (linear.low - shift),
        high=unit_row @ (linear.high - shift),
        column_low=low,
        column_high=high,
        integer=np.arange(len(linear.cost)) < n,
    )


def _solve(linear: LinearModel) -> Solution:
    if linear.integer.any():
        tree = QUOTAS.few_tree if linear.rows.n_reps <= QUOTAS.few_reps else QUOTAS.tree
        return solve_mip(linear, MipLimits(QUOTAS.seconds, gap=QUOTAS.gap, tree=tree))
    return solve_lp(linear, time_limit=QUOTAS.seconds)


def _quotas(model: Model, rows: Rows, solution: Solution, window: FloatArray | None) -> FloatArray:
    if len(solution.values) == 0:
        raise TerritoryError(
            f"quotas cannot be set: no solver copes with the numbers ({brief(solution.raw_status)}); "
            "bring target, prices and limits of quotas nearer to each other"
        )
    n = rows.n_reps
    if window is None:
        unit = max(float(model.quota_limit.mean()) / n, 1.0)
        return np.asarray(solution.values[:n] * unit)
    step = model.problem.policy.quotas.step
    return np.asarray(window + np.round(solution.values[:n]) * step)
