"""A review in the year: what is past is frozen, the rest is a problem of its own with budgets for what may change.

The rest of the year is a plan of fewer months (see :class:`Period`): whoever has an account now is its incumbent, sales
so far join the history, and the target of every node is what its frozen quotas have left of it. So past and rest add up
to the target of the year again, and everything that works on a plan works on the rest: the bound, the explanations,
``check``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import Issue, ScenarioError
from territory_opt.intake.crosschecks import empty_months
from territory_opt.intake.validate import validate_tables
from territory_opt.model.hierarchy import Hierarchy
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.problem.calendar import month_numbers, read_month
from territory_opt.problem.numbers import TINY
from territory_opt.problem.options import share, whole
from territory_opt.problem.policy import Guard, Policy
from territory_opt.problem.problem import Problem
from territory_opt.problem.units import with_units
from territory_opt.quota.by_part import by_part
from territory_opt.whatif.given import PlanLike, as_plan
from territory_opt.words import MOST_NAMED, listed

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_SMALLEST = 6
"""Decimals of money left of a target: what is smaller is the rounding of sums."""
YEAR_COLUMNS = ["rep_id", "period", "quota", "before", "status"]


@dataclass(frozen=True, slots=True)
class Replan:
    """The rest of a plan year: ``problem`` to solve, and the quotas that frame it.

    ``past`` are the frozen quotas and ``ahead`` those the plan had set for the rest: columns rep_id, period, quota.
    ``as_of`` is the last frozen month. ``issues``: what was left out of the sales so far, and why.
    """

    problem: Problem
    past: pd.DataFrame = field(repr=False)
    ahead: pd.DataFrame = field(repr=False)
    as_of: str
    issues: tuple[Issue, ...] = field(default=(), repr=False)

    def year(self, planned: Plan | PlanLike) -> pd.DataFrame:
        """Return the quotas of the whole year: rep_id, period, quota, before (as planned), status (past or rest).

        Quotas are money of their period (``attrs["units"]``).

        ``planned`` is the solved rest of the year: a result, a loaded plan, the path of its folder, or the plan alone.
        """
        plan = as_plan(planned)
        past = self.past.assign(before=self.past["quota"], status="past")
        old = self.ahead.rename(columns={"quota": "before"})
        rest = plan.quotas.merge(old, on=["rep_id", "period"], how="outer").fillna({"quota": 0.0, "before": 0.0})
        table = pd.concat([past, rest.assign(status="rest")], ignore_index=True)[YEAR_COLUMNS]
        table = table.sort_values(["rep_id", "period"], kind="stable", ignore_index=True)
        return with_units(table, dict.fromkeys(("quota", "before"), self.problem.policy.currency))


def replan(
    problem: Problem,
    plan: Plan,
    *,
    as_of: str,
    sales: pd.DataFrame | None = None,
    now: Problem | None = None,
    max_moved_accounts: int | None = None,
    max_quota_change: float | None = None,
) -> Replan:
    """Freeze ``plan`` up to the month ``as_of`` ("2027-06"), the last of a quota period; return the rest to solve.

    ``problem`` is what the plan was made for, ``now`` how things stand today if tables or rules have changed (reps who
    joined or left, other territories). ``sales`` of the year so far (see :func:`check_actuals`) join the history where
    there is one. At most ``max_moved_accounts`` accounts change owner against the plan, and the rest of each quota by
    at most the share ``max_quota_change``. Limits of quotas and on-target earnings count in proportion to the months
    left. Reps whose last day lies in the past have left. Raise :class:`ScenarioError` if nothing can be frozen there,
    nothing of the target is left, or the plan names reps that ``problem`` does not have.
    """
    if not plan.has_quotas:
        raise ScenarioError("the plan sets no quotas; set quotas.target and solve again")
    if max_moved_accounts is not None:
        whole("max_moved_accounts", max_moved_accounts)
    if max_quota_change is not None:
        share("max_quota_change", max_quota_change, "0.1")
    _refuse_strangers(problem, plan)
    now = now or problem
    last = _frozen_until(plan, as_of)
    ended = _last_months(plan.quotas) <= last
    past, ahead = (plan.quotas[mask].reset_index(drop=True) for mask in (ended, ~ended))
    months = problem.calendar.first_month + problem.policy.period.months - 1 - last.ordinal
    before, frozen = Hierarchy.from_problem(problem), past.groupby("rep_id")["quota"].sum()
    policy = _policy_of_the_rest(now.policy, last, months, max_moved_accounts, max_quota_change)
    goal = _left(before, frozen, problem, "company", float(now.policy.quotas.target or 0.0))
    parts = _parts_left(problem, plan, frozen, now.policy, goal)
    numbers = {"target": goal, "part_targets": parts}
    policy = policy.model_copy(update={"quotas": policy.quotas.model_copy(update=numbers)})
    here = _still_here(now, last)
    history = None if now.quota_history is None else _without_leavers(now.quota_history, now, here)
    tables = {
        "accounts": _accounts(now, plan, here),
        "reps": _reps(now, problem, ahead, months)[here].reset_index(drop=True),
        "managers": _managers(now, before, frozen, problem),
        "sales": _sales(now, sales, last),
        "rules": _rules(now, last, here),
        "units": now.units,
        "adjacency": now.adjacency,
        "quota_history": history,
    }
    rest = validate_tables({name: table for name, table in tables.items() if table is not None}, policy)
    for quotas in (past, ahead):
        with_units(quotas, {"quota": problem.policy.currency})
    return Replan(rest, past, ahead, str(last))


def _frozen_until(plan: Plan, as_of: str) -> pd.Period:
    """The month ``as_of``, checked: a quota period ends with it, and another one follows."""
    last = read_month(as_of)
    ends = sorted(set(_last_months(plan.quotas)))
    if len(ends) == 1:
        raise ScenarioError(
            "the plan has one quota for the year; set quotas.periods to quarter or month to freeze part"
        )
    if last not in ends[:-1]:
        named = ", ".join(map(str, ends[:-1]))
        raise ScenarioError(f"no quota period before the last ends with {last}; give one of {named}")
    return last


def _last_months(quotas: pd.DataFrame) -> pd.PeriodIndex:
    """The month each row's quota period ends with: "2027-01 to 2027-03" says it last."""
    return pd.PeriodIndex(quotas["period"].str[-len("2027-03") :], freq="M")


def _policy_of_the_rest(
    policy: Policy, last: pd.Period, months: int, moves: int | None, change: float | None
) -> Policy:
    """The rules for the months left, with the budgets; last year's quotas no longer count."""
    quotas, keep = policy.quotas, policy.territories.keep
    if quotas.periods == "quarter" and months % 3:
        raise ScenarioError(f"{months} months are left, which are not whole quarters; set quotas.periods to month")
    part = months / policy.period.months
    limits = quotas.limits
    if limits is not None:
        high = None if limits.high is None else part * limits.high
        limits = limits.model_copy(update={"low": part * limits.low, "high": high})
    guard = None if change is None else Guard(up=change, down=change, against="the plan before")
    budget = keep if moves is None else keep.model_copy(update={"max_moved_accounts": moves})
    return policy.model_copy(
        update={
            "period": policy.period.model_copy(update={"start": (last + 1).start_time.date(), "months": months}),
            "territories": policy.territories.model_copy(update={"keep": budget}),
            "quotas": quotas.model_copy(update={"growth_guard": guard, "ratchet_guard": None, "limits": limits}),
        }
    )


def _left(tree: Hierarchy, frozen: pd.Series[float], problem: Problem, node: str, target: float) -> float:
    """What the frozen quotas below ``node``, freed of their hedges, leave of its ``target``."""
    if node not in tree.ids or target == 0:
        return target
    at = tree.ids.index(node)
    by_rep = frozen.reindex(problem.reps["rep_id"]).fillna(0.0).to_numpy(float)
    used = float(sum(by_rep[j] / tree.compound(int(j), at) for j in tree.members(at)))
    left = round(target - used, _SMALLEST)
    if left <= 0:
        raise ScenarioError(f"{tree.names[at]}: frozen quotas of {used:,.2f} leave nothing of the target {target:,.2f}")
    return left


def _refuse_strangers(problem: Problem, plan: Plan) -> None:
    """Raise if frozen quotas would be lost because a rep is missing from the tables."""
    missing = plan.annual.index.difference(pd.Index(problem.reps["rep_id"]))
    if len(missing):
        named = listed(missing.tolist(), most=MOST_NAMED)
        raise ScenarioError(
            f"the plan sets quotas for {named}, who are not in the reps table it was made from; "
            "keep reps who have left in that table and name them under reps.remove"
        )


def _still_here(now: Problem, last: pd.Period) -> BoolArray:
    """Which reps have days left after ``last``, (n_reps,)."""
    end = now.reps["end_date"]
    return np.asarray(end.isna() | (end > last.end_time))


def _accounts(now: Problem, plan: Plan, here: BoolArray) -> pd.DataFrame:
    """Accounts with their rep of today as incumbent; nobody where that rep has left."""
    owner = plan.assignment.reindex(now.accounts["account_id"]).to_numpy(object)
    owner = np.where(pd.notna(owner), owner, now.accounts["incumbent"].to_numpy(object))
    stays = np.isin(owner.astype(str), now.reps["rep_id"].to_numpy(str)[here])
    return now.accounts.assign(incumbent=np.where(stays, owner, ""))


def _reps(now: Problem, problem: Problem, ahead: pd.DataFrame, months: int) -> pd.DataFrame:
    """Reps with what the plan asks of them for the rest as last quota; earnings for the ``months`` left.

    Where a rep is there fewer or more days of the rest than the plan knew, it asks in proportion.
    """
    ids, whole = now.reps["rep_id"], now.policy.period.months
    asked = ahead.groupby("rep_id")["quota"].sum().reindex(ids).to_numpy(float)
    part, after = months / whole, whole - months
    before = pd.Series(problem.calendar.part_there(months, after=after), index=problem.reps["rep_id"])
    there, planned = now.calendar.part_there(months, after=after), before.reindex(ids).to_numpy(float)
    asked = np.divide(asked * there, planned, out=np.full(len(asked), np.nan), where=planned > 0)
    return now.reps.assign(last_quota=asked, last_sales=np.nan, ote=part * now.reps["ote"].to_numpy(float))


def _rules(now: Problem, last: pd.Period, here: BoolArray) -> pd.DataFrame | None:
    """Rules that still hold after ``last``, about reps who are there."""
    rules = _without_leavers(now.rules, now, here)
    expires = rules["expires"]
    kept: pd.DataFrame = rules[expires.isna() | (expires > last.end_time)].reset_index(drop=True)
    return kept if len(kept) else None


def _without_leavers(table: pd.DataFrame, now: Problem, here: BoolArray) -> pd.DataFrame:
    return table[~table["rep_id"].isin(now.reps["rep_id"][~here])].reset_index(drop=True)


def _parts_left(
    problem: Problem, plan: Plan, frozen: pd.Series[float], policy: Policy, goal: float
) -> dict[str, float]:
    """What the frozen quotas leave of each part's sum: every rep's parts are frozen in the proportion of the year."""
    asked, target = policy.quotas.part_targets, float(policy.quotas.target or 0.0)
    if not asked or problem.policy.quotas.by != policy.quotas.by:
        return dict(asked)
    table = by_part(Figures(Model.build(problem, kappa=plan.kappa), plan))
    annual = plan.annual.reindex(table["rep_id"]).to_numpy(float)
    past = frozen.reindex(table["rep_id"]).fillna(0.0).to_numpy(float)
    done = np.divide(past, annual, out=np.zeros_like(annual), where=annual > 0) * table["quota"]
    used = done.groupby(table["part"]).sum() * (target - goal) / max(float(done.sum()), TINY)
    left = {name: amount - float(used.get(name, 0.0)) for name, amount in asked.items()}
    short = [name for name, amount in left.items() if amount < 0]
    if short:
        raise ScenarioError(f"quotas.part_targets: what is frozen leaves nothing of the sum of {', '.join(short)}")
    return {name: round(amount, _SMALLEST) for name, amount in left.items()}


def _managers(now: Problem, before: Hierarchy, frozen: pd.Series[float], problem: Problem) -> pd.DataFrame | None:
    """Nodes with what is left of their targets; that of a node new since the plan is one for the rest."""
    if now.managers.empty:
        return None
    targets = [
        target if np.isnan(target) else _left(before, frozen, problem, str(node), float(target))
        for node, target in zip(now.managers["manager_id"], now.managers["target"], strict=True)
    ]
    return now.managers.assign(target=targets)


def _sales(now: Problem, sales: pd.DataFrame | None, last: pd.Period) -> pd.DataFrame | None:
    """The history with what was sold up to ``last``; without a history sales so far tell no year and are left out."""
    if now.sales.empty:
        return None
    known = now.sales[month_numbers(now.sales["month"]) <= last.ordinal]
    if sales is None:
        return known
    so_far = sales[month_numbers(sales["month"]) <= last.ordinal]
    first = so_far["month"].min() if len(so_far) else pd.NaT
    history: pd.DataFrame = known if pd.isna(first) else known[known["month"] < first]
    joined = pd.concat([history, so_far[list(history.columns.intersection(so_far.columns))]], ignore_index=True)
    missing = empty_months(joined["month"], last)
    if missing:
        shown = listed(missing, most=MOST_NAMED)
        raise ScenarioError(
            f"no account has sales in {shown}, between the history and {last}: give all months of the year so far; "
            "a month that is missing would count as one without sales"
        )
    return joined
