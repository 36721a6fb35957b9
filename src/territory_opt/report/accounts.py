"""The table of accounts: who had it, who gets it and why, in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.geography.sphere import nearest_km, unit_vectors
from territory_opt.plan.tables import balanced_metrics, changes
from territory_opt.report.sides import Side, Sides, TextArray, band
from territory_opt.report.words import percent, short_money

BoolArray = npt.NDArray[np.bool_]

NOBODY = "nobody"
CLOSER_KM = 5.0
"""A new rep counts as closer from this many km on."""
BETTER_FIT = 0.05
"""A new rep counts as a better fit from this difference of skill scores on."""
NEAREST_KM = 1.0
"""A rep counts as the nearest within this distance of the nearest home."""


def account_table(sides: Sides) -> pd.DataFrame:
    """Return one line per account: owners, change, reason and money; moved accounts first, then by potential.

    ``old`` and ``new`` are rep positions (-1: nobody); ``lat`` and ``lon`` degrees. Cost: linear in accounts.
    """
    accounts, today, plan = sides.model.problem.accounts, sides.today, sides.plan
    frame = pd.DataFrame(
        {
            "name": accounts["name"].to_numpy(object),
            "account_id": accounts["account_id"].to_numpy(object),
            "old_rep": _owners(sides, today),
            "new_rep": _owners(sides, plan),
            "change": changes(sides.today.rep, sides.plan.rep),
            "reason": account_reasons(sides),
            "potential": accounts["potential"].to_numpy(float),
            "current_sales": sides.model.source.current_sales,
            "sales_at_risk": np.nan_to_num(plan.column("loss")),
            "expected_sales": np.nan_to_num(plan.column("net")),
            "distance_km": plan.column("distance_km"),
            "lat": accounts["lat"].to_numpy(float),
            "lon": accounts["lon"].to_numpy(float),
            "old": today.rep,
            "new": plan.rep,
        }
    )
    order = np.lexsort((-frame["potential"].to_numpy(float), (frame["change"] == "stays").to_numpy(bool)))
    return frame.iloc[order].reset_index(drop=True)


def account_reasons(sides: Sides) -> TextArray:
    """Say in plain words why each account goes where it goes, (n_accounts,)."""
    stays = sides.today.rep == sides.plan.rep
    parts = [_lock_text(sides), _must_text(sides), *_move_texts(sides)]
    moving = _joined(parts)
    moving[moving == ""] = "balances the plan as a whole"
    staying = _joined([parts[0], _near_text(sides), _risk_text(sides)])
    staying[staying == ""] = "a move would not pay"
    text = np.where(stays, "stays: " + staying, moving)
    return np.where(sides.plan.rep < 0, "has no rep in this plan", text)


def _owners(sides: Sides, side: Side) -> TextArray:
    """Name each account's rep; an id that is no rep's stays visible as the id of someone who left."""
    names = np.append(sides.rep_names, NOBODY)[side.rep]
    if side is sides.today:
        given = sides.model.problem.accounts["incumbent"].to_numpy(object)
        names = np.where((side.rep < 0) & (given != ""), given, names)
    return names


def _lock_text(sides: Sides) -> TextArray:
    """``locked to Cleo: Contract names Cleo`` for accounts under a lock rule."""
    rules, source = sides.model.problem.rules, sides.model.source
    text = _blank(sides)
    locks = rules[rules["rule"] == "lock"]
    account = source.account_index.get_indexer(locks["account_id"])
    rep = source.rep_index.get_indexer(locks["rep_id"])
    for i, j, why in zip(account, rep, locks["reason"], strict=True):
        if i >= 0 and j >= 0:
            text[i] = f"locked to {sides.rep_names[j]}" + (f": {why}" if why else "")
    return text


def _must_text(sides: Sides) -> TextArray:
    """Say for accounts whose incumbent is gone or may not serve them any more."""
    text, source = _blank(sides), sides.model.source
    accounts = sides.model.problem.accounts
    text[sides.today.rep < 0] = np.where(accounts["incumbent"] == "", "had no rep", "its rep is not in the team")[
        sides.today.rep < 0
    ]
    allowed = sides.today.pairs["eligible"].fillna(True).to_numpy(bool)
    barred = np.flatnonzero((sides.today.rep >= 0) & ~allowed)
    if len(barred) == 0:
        return text
    family = accounts["family"].to_numpy(object)[barred]
    text[barred] = [f"its family {name} stays together" for name in family]
    old = sides.today.rep[barred]
    distance = source.distance_km(barred, old)
    for reason, excluded in source.drop_reasons(barred, distance, old):
        hit = barred[excluded]
        text[hit] = [f"{sides.rep_names[j]}: {reason}" for j in old[excluded]]
    return text


def _move_texts(sides: Sides) -> list[TextArray]:
    """What speaks for the new rep: closer, better fit, relief for the old rep, room at the new one."""
    closer, fit, relief, room = (_blank(sides) for _ in range(4))
    saved = sides.today.column("distance_km") - sides.plan.column("distance_km")
    better = sides.plan.column("fit") - sides.today.column("fit")
    changed = sides.changed
    near = changed & (saved >= CLOSER_KM)
    closer[near] = [f"closer by {km:,.0f} km" for km in saved[near]]
    fits = changed & (better >= BETTER_FIT)
    pair = zip(sides.plan.column("fit")[fits], sides.today.column("fit")[fits], strict=True)
    fit[fits] = [f"better fit ({new:.0%} against {old:.0%})" for new, old in pair]
    over, under = _loads(sides)
    relief[changed] = over[sides.today.rep[changed]]
    served = sides.plan.rep >= 0
    gains = served & (sides.today.rep != sides.plan.rep)
    room[gains] = under[sides.plan.rep[gains]]
    nearest = served & (sides.today.rep < 0) & _is_nearest(sides)
    closer[nearest] = "nearest home"
    return [closer, fit, relief, room]


def _loads(sides: Sides) -> tuple[TextArray, TextArray]:
    """Per rep, (n_reps,): ``Lee was over by 22 % of potential`` and ``Ada was 30 % under in potential``, or empty."""
    n_reps = sides.model.problem.n_reps
    over, under = np.full(n_reps, "", dtype=object), np.full(n_reps, "", dtype=object)
    capacity = sides.model.problem.reps["capacity_hours"].to_numpy(float)
    if sides.model.problem.policy.territories.hours is not None:
        for j in np.flatnonzero(sides.today.per_rep("hours") > 1.02 * capacity):
            excess = sides.today.per_rep("hours")[j] / max(capacity[j], 1.0) - 1.0
            over[j] = f"{sides.rep_names[j]} was {percent(excess)} over the year's hours"
    for metric in reversed(balanced_metrics(sides.model)):
        share, width = sides.today.shares[metric], max(band(sides.model, metric) or 0.0, 0.02)
        for j in np.flatnonzero(share > 1 + width):
            over[j] = f"{sides.rep_names[j]} was over by {percent(share[j] - 1)} of {metric}"
        for j in np.flatnonzero(share < 1 - width):
            under[j] = f"{sides.rep_names[j]} was under by {percent(1 - share[j])} of {metric}"
    return over, under


def _near_text(sides: Sides) -> TextArray:
    text = _blank(sides)
    fit = sides.plan.column("fit")
    nearest = _is_nearest(sides)
    good = fit >= 0.5
    text[nearest & good] = "nearest home and fitting skills"
    text[nearest & ~good] = "nearest home"
    text[~nearest & good] = "fitting skills"
    return text


def _risk_text(sides: Sides) -> TextArray:
    """What a move would put at risk, for accounts with sales."""
    text = _blank(sides)
    currency, rate = sides.model.problem.policy.currency, sides.model.problem.policy.territories.keep.loss_rate
    loss = rate * sides.model.source.current_sales
    some = (loss >= 1.0) & (sides.today.rep >= 0)
    text[some] = [f"a move risks up to {short_money(round(amount), currency)} of sales" for amount in loss[some]]
    return text


def _is_nearest(sides: Sides) -> BoolArray:
    """Whether no other rep's home is clearly nearer to the account than its rep's in the plan."""
    problem = sides.model.problem
    homes, places = (unit_vectors(t["lat"].to_numpy(float), t["lon"].to_numpy(float))
                     for t in (problem.reps, problem.accounts))  # fmt: skip
    least = nearest_km(homes, places)
    return np.asarray(np.nan_to_num(sides.plan.column("distance_km"), nan=np.inf) <= least + NEAREST_KM)


def _joined(parts: list[TextArray]) -> TextArray:
    lines = zip(*parts, strict=True)
    return np.array(["; ".join(filter(None, line)) for line in lines], dtype=object)


def _blank(sides: Sides) -> TextArray:
    return np.full(sides.model.problem.n_accounts, "", dtype=object)
