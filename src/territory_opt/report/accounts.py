"""The table of accounts: who had it, who gets it and why, in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.geography.sphere import nearest_km, unit_vectors
from territory_opt.plan.tables import balanced_metrics, changes
from territory_opt.study.comparison import Comparison
from territory_opt.study.side import TextArray, band
from territory_opt.words import percent, short_money

BoolArray = npt.NDArray[np.bool_]

# Reasons in words: from where on something is worth saying. Conventions; no plan depends on them.
CLOSER_KM = 5.0
"""A new rep counts as closer from this many km on."""
BETTER_FIT = 0.05
"""A new rep counts as a better fit from this difference of skill scores on."""
GOOD_FIT = 0.5
"""Skills count as fitting from this score on."""
CLEARLY_OVER = 0.02
"""A rep was over or under from this share of a fair share, or of the year's hours, on, and outside the band."""
NEAREST_KM = 1.0
"""A rep counts as the nearest within this distance of the nearest home."""


def account_table(pair: Comparison) -> pd.DataFrame:
    """Return one line per account: owners, change, reason and money; moved accounts first, then by potential.

    ``old`` and ``new`` are rep positions (-1: nobody); ``lat`` and ``lon`` degrees. Cost: linear in accounts.
    """
    accounts, today, plan = pair.model.problem.accounts, pair.before, pair.after
    frame = pd.DataFrame(
        {
            "name": accounts["name"].to_numpy(object),
            "account_id": accounts["account_id"].to_numpy(object),
            "old_rep": today.owners,
            "new_rep": plan.owners,
            "change": changes(pair.before.rep, pair.after.rep),
            "reason": account_reasons(pair),
            "potential": accounts["potential"].to_numpy(float),
            "current_sales": pair.model.source.current_sales,
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


def account_reasons(pair: Comparison) -> TextArray:
    """Say in plain words why each account goes where it goes, (n_accounts,)."""
    stays = pair.before.rep == pair.after.rep
    parts = [_lock_text(pair), _must_text(pair), *_move_texts(pair)]
    moving = _joined(parts)
    moving[moving == ""] = "balances the plan as a whole"
    staying = _joined([parts[0], _near_text(pair), _risk_text(pair)])
    staying[staying == ""] = "a move would not pay"
    text = np.where(stays, "stays: " + staying, moving)
    return np.where(pair.after.rep < 0, "has no rep in this plan", text)


def _lock_text(pair: Comparison) -> TextArray:
    """``locked to Cleo: Contract names Cleo`` for accounts under a lock rule."""
    rules, source = pair.model.problem.rules, pair.model.source
    text = _blank(pair)
    locks = rules[rules["rule"] == "lock"]
    account = source.account_index.get_indexer(locks["account_id"])
    rep = source.rep_index.get_indexer(locks["rep_id"])
    for i, j, why in zip(account, rep, locks["reason"], strict=True):
        if i >= 0 and j >= 0:
            text[i] = f"locked to {pair.rep_names[j]}" + (f": {why}" if why else "")
    return text


def _must_text(pair: Comparison) -> TextArray:
    """Say for accounts whose incumbent is gone or may not serve them any more."""
    text, source = _blank(pair), pair.model.source
    accounts = pair.model.problem.accounts
    text[pair.before.rep < 0] = np.where(accounts["incumbent"] == "", "had no rep", "its rep is not in the team")[
        pair.before.rep < 0
    ]
    allowed = pair.before.pairs["eligible"].fillna(True).to_numpy(bool)
    barred = np.flatnonzero((pair.before.rep >= 0) & ~allowed)
    if len(barred) == 0:
        return text
    family = accounts["family"].to_numpy(object)[barred]
    text[barred] = [f"its family {name} stays together" for name in family]
    old = pair.before.rep[barred]
    distance = source.eligibility.distance_km(barred, old)
    for reason, excluded in source.eligibility.drop_reasons(barred, distance, old):
        hit = barred[excluded]
        text[hit] = [f"{pair.rep_names[j]}: {reason}" for j in old[excluded]]
    return text


def _move_texts(pair: Comparison) -> list[TextArray]:
    """What speaks for the new rep: closer, better fit, relief for the old rep, room at the new one."""
    closer, fit, relief, room = (_blank(pair) for _ in range(4))
    saved = pair.before.column("distance_km") - pair.after.column("distance_km")
    better = pair.after.column("fit") - pair.before.column("fit")
    changed = pair.changed
    near = changed & (saved >= CLOSER_KM)
    closer[near] = [f"closer by {km:,.0f} km" for km in saved[near]]
    fits = changed & (better >= BETTER_FIT)
    changes = zip(pair.after.column("fit")[fits], pair.before.column("fit")[fits], strict=True)
    fit[fits] = [f"better fit ({new:.0%} against {old:.0%})" for new, old in changes]
    over, under = _loads(pair)
    relief[changed] = over[pair.before.rep[changed]]
    served = pair.after.rep >= 0
    gains = served & (pair.before.rep != pair.after.rep)
    room[gains] = under[pair.after.rep[gains]]
    nearest = served & (pair.before.rep < 0) & _is_nearest(pair)
    closer[nearest] = "nearest home"
    return [closer, fit, relief, room]


def _loads(pair: Comparison) -> tuple[TextArray, TextArray]:
    """Per rep, (n_reps,): ``Lee was over by 22 % of potential`` and ``Ada was 30 % under in potential``, or empty."""
    n_reps = pair.model.problem.n_reps
    over, under = np.full(n_reps, "", dtype=object), np.full(n_reps, "", dtype=object)
    capacity = pair.model.problem.reps["capacity_hours"].to_numpy(float)
    if pair.model.problem.policy.territories.hours is not None:
        hours = pair.before.per_rep("hours")
        for j in np.flatnonzero(hours > (1 + CLEARLY_OVER) * capacity):
            excess = hours[j] / max(capacity[j], 1.0) - 1.0
            over[j] = f"{pair.rep_names[j]} was {percent(excess)} over the year's hours"
    for metric in reversed(balanced_metrics(pair.model)):
        share, width = pair.before.shares[metric], max(band(pair.model, metric) or 0.0, CLEARLY_OVER)
        for j in np.flatnonzero(share > 1 + width):
            over[j] = f"{pair.rep_names[j]} was over by {percent(share[j] - 1)} of {metric}"
        for j in np.flatnonzero(share < 1 - width):
            under[j] = f"{pair.rep_names[j]} was under by {percent(1 - share[j])} of {metric}"
    return over, under


def _near_text(pair: Comparison) -> TextArray:
    text = _blank(pair)
    fit = pair.after.column("fit")
    nearest = _is_nearest(pair)
    good = fit >= GOOD_FIT
    text[nearest & good] = "nearest home and fitting skills"
    text[nearest & ~good] = "nearest home"
    text[~nearest & good] = "fitting skills"
    return text


def _risk_text(pair: Comparison) -> TextArray:
    """What a move would put at risk, for accounts with sales."""
    text = _blank(pair)
    currency, rate = pair.model.problem.policy.currency, pair.model.problem.policy.territories.keep.loss_rate
    loss = rate * pair.model.source.current_sales
    some = (loss >= 1.0) & (pair.before.rep >= 0)
    text[some] = [f"a move risks up to {short_money(round(amount), currency)} of sales" for amount in loss[some]]
    return text


def _is_nearest(pair: Comparison) -> BoolArray:
    """Whether no other rep's home is clearly nearer to the account than its rep's in the plan."""
    problem = pair.model.problem
    homes, places = (
        unit_vectors(table["lat"].to_numpy(float), table["lon"].to_numpy(float))
        for table in (problem.reps, problem.accounts)
    )
    least = nearest_km(homes, places)
    return np.asarray(np.nan_to_num(pair.after.column("distance_km"), nan=np.inf) <= least + NEAREST_KM)


def _joined(parts: list[TextArray]) -> TextArray:
    lines = zip(*parts, strict=True)
    return np.array(["; ".join(filter(None, line)) for line in lines], dtype=object)


def _blank(pair: Comparison) -> TextArray:
    return np.full(pair.model.problem.n_accounts, "", dtype=object)
