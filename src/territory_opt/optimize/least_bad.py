"""When the hard rules cannot all hold: the plan that breaks them least, the proof, and the ways out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model, Pairs
from territory_opt.model.rows import Rows
from territory_opt.optimize.linear import linear_model
from territory_opt.optimize.mathopt import solve_lp, solve_mip
from territory_opt.optimize.result import Relaxation
from territory_opt.plan.audit import Violation
from territory_opt.plan.certificate import least_violation_bound

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PROOF_SECONDS = 20.0
CHECK_SECONDS = 3.0
PROOF_TOLERANCE = 1e-7
MOST_CHECKED = 8
"""Ways out that are checked one by one for being enough on their own."""


def exact_least_bad(model: Model, pairs: Pairs, rows: Rows, *, time_limit: float, seed: int) -> IntArray | None:
    """Return the assignment with the least summed violation (each in units of its scale), then the best value."""
    count = linear_model(model, pairs, rows, violations="count")
    first = solve_mip(count, time_limit=time_limit / 2, gap=1e-9, seed=seed)
    if len(first.values) == 0:
        return None
    least = max(-first.objective, 0.0) * (1 + 1e-6) + 1e-7
    allowed = linear_model(model, pairs, rows, violations="limit", limit=least)
    second = solve_mip(allowed, time_limit=time_limit / 2, gap=1e-9, seed=seed)
    return allowed.reps(second.values) if len(second.values) else count.reps(first.values)


def prove_least_violation(model: Model, pairs: Pairs, *, time_limit: float) -> tuple[FloatArray, float]:
    """Return multipliers and the least summed violation they prove (0: not proven that the rules clash)."""
    linear = linear_model(model, pairs, model.rows, violations="count")
    solution = solve_lp(linear, time_limit=time_limit)
    if len(solution.duals) == 0:
        return np.zeros(0), 0.0
    rows = model.rows
    duals = -solution.duals[linear.n_nodes : linear.n_nodes + len(rows)] / rows.scale
    limit = np.where(rows.hard, 1.0 / rows.scale, 0.0)
    multipliers = np.clip(duals, -limit, limit)
    proven = least_violation_bound(model, multipliers)
    return multipliers, proven if proven > PROOF_TOLERANCE else 0.0


def relaxations(
    model: Model, pairs: Pairs, violations: list[Violation], *, check: bool, seed: int = 0
) -> tuple[Relaxation, ...]:
    """List what could give, in planner words.

    With ``check`` (small problems) the first few are tried one by one: ``enough`` means that a plan was found
    which keeps every other hard rule.
    """
    ways = [way for v in violations for r in _rows_of(model, v) for way in _ways_out(model, r, v)]
    found = [
        Relaxation(text, check and k < MOST_CHECKED and _holds(model, pairs, rows, seed))
        for k, (text, rows) in enumerate(ways)
    ]
    return tuple(sorted(found, key=lambda way: not way.enough))


def _rows_of(model: Model, violation: Violation) -> list[int]:
    return [r for r, row in enumerate(model.rows.items)
            if row.hard and row.rule == violation.rule and row.subject == violation.subject]  # fmt: skip


def _ways_out(model: Model, r: int, violation: Violation) -> list[tuple[str, Rows | None]]:
    """Sentences for one broken row, each with the rows as they would then be."""
    row, value = model.rows.items[r], violation.value
    margin = 1e-6 * row.scale
    wider = _with_limits(model.rows, r, min(row.low, value - margin), max(row.high, value + margin))
    over = value > row.high
    ways: list[tuple[str, Rows | None]] = []
    if row.rule.startswith("balance: "):
        metric, share = row.rule.removeprefix("balance: "), value / row.scale
        ways.append((f"widen the {metric} band of {row.subject} to {share:.0%} of a fair share", wider))
        ways += _unlock(model, r) if over else []
    elif row.rule == "hours":
        ways.append((f"give {row.subject} {value:,.0f} hours a year instead of {row.high:,.0f}", wider))
    elif row.rule == "moved revenue":
        ways.append((f"let {value / row.scale:.1%} of current sales change owner", wider))
    elif row.rule == "moved accounts":
        ways.append((f"let {_accounts(value)} change owner instead of {row.high:,.0f}", wider))
    elif row.rule.startswith("coverage: "):
        ways.append((f"ask for {value / row.scale:.0%} {row.rule} instead, or train a rep", wider))
    elif row.rule == "roll-up":
        ways.append((f"change the target of {row.subject} from {row.low:,.0f} to {value:,.0f}", wider))
    else:
        ways.append((f"let the {row.rule} of {row.subject} go to {value:,.0f} {row.unit}", wider))
    return ways


def _unlock(model: Model, r: int) -> list[tuple[str, Rows | None]]:
    """Name the locked accounts that push a rep over a band, the fewest that must be freed."""
    row = model.rows.items[r]
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
    return [(text, None)]


def _accounts(count: float) -> str:
    return "1 account" if round(count) == 1 else f"{count:,.0f} accounts"


def _with_limits(rows: Rows, r: int, low: float, high: float) -> Rows:
    items = list(rows.items)
    items[r] = replace(items[r], low=low, high=high)
    return Rows.from_items(items, rows.quantities, rows.n_reps)


def _holds(model: Model, pairs: Pairs, rows: Rows | None, seed: int) -> bool:
    """Whether branch and bound finds a plan that keeps all hard rules of ``rows``."""
    if rows is None:
        return False
    linear = linear_model(model, pairs, rows, violations="count")
    solution = solve_mip(linear, time_limit=CHECK_SECONDS, gap=0.0, seed=seed)
    return bool(len(solution.values)) and -solution.objective < PROOF_TOLERANCE
