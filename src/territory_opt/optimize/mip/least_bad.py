"""When the hard rules cannot all hold: the plan that breaks them least, the proof, and the ways out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.model.pairs import Block
from territory_opt.model.rows import Kind, Rows
from territory_opt.optimize.mip.linear import LinearModel, linear_model
from territory_opt.optimize.mip.mathopt import MipLimits, solve_mip
from territory_opt.optimize.result import Relaxation
from territory_opt.optimize.task import Task
from territory_opt.plan.audit import ROW_TOLERANCE, Violation

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def exact_least_bad(task: Task, pairs: Pairs) -> IntArray | None:
    """Return the assignment with the least summed violation (each in units of its scale), then the best value."""
    clash = task.settings.clash
    count, stop = linear_model(task.model, pairs, task.rows, violations="count"), task.clock.stopped
    limits = MipLimits(task.clock.left / 2, gap=clash.gap, seed=task.seed)
    first = solve_mip(count, limits, stop=stop)
    if len(first.values) == 0:
        return None
    least = max(-first.objective, 0.0) * (1.0 + clash.least_share) + clash.least_more
    allowed = linear_model(task.model, pairs, task.rows, violations="limit", limit=least)
    second = solve_mip(allowed, limits, stop=stop)
    return allowed.reps(second.values) if len(second.values) else count.reps(first.values)


def relaxations(task: Task, pairs: Pairs | None, violations: list[Violation]) -> tuple[Relaxation, ...]:
    """List what could give, in planner words, cheapest first.

    With ``pairs`` (small problems) each rule is tried as the only one that may give: ``enough`` means that a
    plan was found which then keeps every other hard rule. Otherwise the list is what the least bad plan breaks.
    """
    model = task.model
    unlock = [text for v in violations for r in _rows_of(model, v) for text in _unlock(model, r)]
    ways = [] if pairs is None else _each_rule_alone(task, pairs)
    if not ways:
        ways = [Relaxation(model.rows.items[r].way_out(v.value), False) for v in violations for r in _rows_of(model, v)]
    named = task.settings.clash.most_named
    alone = [] if task.clock.over else [Relaxation(text, False) for text in _too_large(model)[:named]]
    return (*alone, *ways, *(Relaxation(text, False) for text in unlock))


def _too_large(model: Model) -> list[str]:
    """Name the accounts that alone are more than any rep who may serve them can have: no plan is without them."""
    rows, source = model.rows, model.source
    names, first = model.problem.accounts["name"].to_numpy(object), source.nodes.first
    limits = _upper_limits(rows)

    def look(block: Block) -> list[str]:
        texts: list[str] = []
        for metric, limit in limits.items():
            amount = np.broadcast_to(block.quantities[source.names.index(metric)], block.eligible.shape)
            over = np.where(block.eligible, amount - limit, np.inf)
            for i in np.flatnonzero(over.min(axis=1) > 0.0).tolist():
                j = int(np.argmin(over[i]))
                texts.append(
                    f"{names[first[block.start + i]]} alone is {amount[i, j]:,.0f} of {metric}, and no rep who may "
                    f"serve it can have more than {limit[j]:,.0f}: raise that limit, or divide the account"
                )
        return texts

    return [text for texts in source.over_blocks(look) for text in texts] if limits else []


def _upper_limits(rows: Rows) -> dict[str, FloatArray]:
    """What each rep may have at most, (n_reps,), of every quantity that a hard rule limits and that only adds up."""
    limits: dict[str, FloatArray] = {}
    for row in rows.items:
        if row.hard and not row.quotas and len(row.totals) == 1 and np.isfinite(row.high):
            (((j, metric), coefficient),) = row.totals.items()
            if coefficient > 0:
                most = (row.high + ROW_TOLERANCE * row.scale) / coefficient
                limits.setdefault(metric, np.full(rows.n_reps, np.inf))[j] = most
    return limits


def _each_rule_alone(task: Task, pairs: Pairs) -> list[Relaxation]:
    """For each hard rule: how far it alone must give so that all others hold, if that is possible."""
    model, rows, clock = task.model, task.model.rows, task.clock
    clash = task.settings.clash
    limits = MipLimits(clash.check_seconds, gap=clash.check_gap, seed=task.seed)
    linear = linear_model(model, pairs, rows, violations="count")
    first = linear.n_pairs + rows.n_reps
    found: list[tuple[float, str]] = []
    for rule in dict.fromkeys(rows.rule[rows.hard].tolist()):
        if clock.out("ways out"):
            break
        may_give = ~rows.hard | (rows.rule == rule)
        high = linear.column_high.copy()
        high[first : first + 2 * len(rows)] = np.where(np.tile(may_give, 2), np.inf, 0.0)
        solution = solve_mip(replace(linear, column_high=high), limits, stop=clock.stopped)
        if len(solution.values) == 0:
            continue
        value = (linear.matrix @ _without_slack(linear, solution.values))[linear.n_nodes :][: len(rows)] * rows.scale
        low, up = rows.low - ROW_TOLERANCE * rows.scale, rows.high + ROW_TOLERANCE * rows.scale
        broken = np.flatnonzero(rows.hard & ((value < low) | (value > up)))
        texts = [rows.items[r].way_out(float(value[r])) for r in broken]
        if texts:
            found.append((-solution.objective, " and ".join(texts)))
    return [Relaxation(text, True) for _, text in sorted(found)]


def _without_slack(linear: LinearModel, values: FloatArray) -> FloatArray:
    kept = np.zeros_like(values)
    kept[: linear.n_pairs + linear.rows.n_reps] = values[: linear.n_pairs + linear.rows.n_reps]
    return kept


def _rows_of(model: Model, violation: Violation) -> list[int]:
    return [
        r
        for r, row in enumerate(model.rows.items)
        if row.hard and (row.rule, row.subject) == (violation.rule, violation.subject)
    ]


def _unlock(model: Model, r: int) -> list[str]:
    """Name the locked accounts that push a rep over a band, the fewest that must be freed."""
    row = model.rows.items[r]
    if row.kind is not Kind.BAND:
        return []
    ((rep, metric),) = row.totals
    rules, accounts = model.problem.rules, model.problem.accounts
    rep_id = model.problem.reps["rep_id"].iloc[rep]
    locked = rules[(rules["rule"] == "lock") & (rules["rep_id"] == rep_id)]["account_id"]
    weights = accounts.set_index("account_id").loc[locked].sort_values(metric, ascending=False)
    excess = float(weights[metric].sum()) - row.high
    if excess <= 0 or weights.empty:
        return []
    enough = weights[metric].cumsum().searchsorted(excess) + 1
    names = ", ".join(weights["name"].head(int(enough)))
    text = (
        f"{row.subject} must keep {len(weights)} locked accounts = {weights[metric].sum() / row.scale:.0%} of a fair "
        f"share of {metric}: unlock {int(enough)} of them ({names})"
    )
    return [text]
