"""A plan as tables: reps, accounts, quotas, moves. Every column that has a unit says it in its name.

The unit stands at the end: money in the policy's currency with what it is for (``_usd_per_year``, for a plan of six
months ``_usd_in_6_months``), ``_km``, ``_hours_per_year``, ``_share`` (1 is all of it), ``_probability``. A name
without a unit is an id, a word or a count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.odds import range_80
from territory_opt.plan.plan import held_by_rep
from territory_opt.problem.units import money_of, suffix

FloatArray = npt.NDArray[np.float64]
TextArray = npt.NDArray[np.object_]
Positions = npt.NDArray[np.integer[Any]]


def money_unit(model: Model) -> str:
    """Return the unit of the plan's money as columns end in it: ``usd_per_year``."""
    return suffix(money_of(model.problem.policy))


def reps_table(figures: Figures) -> pd.DataFrame:
    """Return one row per rep, in the order of the reps table; see :attr:`Outcome.reps`."""
    model, plan = figures.model, figures.plan
    reps, n, unit = model.problem.reps, model.problem.n_reps, money_unit(model)
    rep, today, found = figures.rep, model.source.incumbent, figures.evaluation
    low, high = range_80(found.rep_sales, found.rep_variance, model.estimate.shocks.together)
    table = pd.DataFrame(
        {
            "rep_id": reps["rep_id"].to_numpy(object),
            "name": reps["name"].to_numpy(object),
            "manager": np.array(model.hierarchy.names, dtype=object)[model.hierarchy.rep_node],
            "accounts": np.bincount(rep[rep >= 0], minlength=n),
            "accounts_in": np.bincount(rep[(rep >= 0) & (rep != today)], minlength=n),
            "accounts_out": np.bincount(today[(today >= 0) & (rep >= 0) & (rep != today)], minlength=n),
            f"expected_sales_{unit}": found.rep_sales,
            f"low_80_{unit}": np.maximum(low, 0.0),
            f"high_80_{unit}": high,
        }
    )
    if plan.has_quotas:
        table[f"quota_{unit}"] = plan.annual.reindex(reps["rep_id"]).to_numpy(float)
        table[f"last_quota_{unit}"] = reps["last_quota"].to_numpy(float)
        table["hit_probability"] = figures.odds.hits.to_numpy(float)
    for metric in balanced_metrics(model):
        table[f"{metric}_of_fair_share"] = fair_shares(model, rep, metric)
        table[f"{metric}_today_of_fair_share"] = fair_shares(model, today, metric)
    table["hours_per_year"] = found.rep_hours
    table["capacity_hours_per_year"] = reps["capacity_hours"].to_numpy(float)
    table["travel_km_per_year"] = figures.per_rep("travel_km")
    return table


def accounts_table(figures: Figures) -> pd.DataFrame:
    """Return one row per account, in the order of the accounts table; see :attr:`Outcome.accounts`."""
    model = figures.model
    accounts, rep, unit = model.problem.accounts, figures.rep, money_unit(model)
    pairs = figures.by_account
    ids, names = (np.append(model.problem.reps[key].to_numpy(object), "") for key in ("rep_id", "name"))
    return pd.DataFrame(
        {
            "account_id": accounts["account_id"].to_numpy(object),
            "name": accounts["name"].to_numpy(object),
            "segment": accounts["segment"].to_numpy(object),
            "rep_id": ids[rep],
            "rep": names[rep],
            "incumbent": accounts["incumbent"].to_numpy(object),
            "change": changes(model.source.incumbent, rep),
            f"potential_{model.problem.policy.currency.lower()}_per_year": accounts["potential"].to_numpy(float),
            f"current_sales_{model.problem.policy.currency.lower()}_last_12_months": model.source.current_sales,
            f"expected_sales_{unit}": pairs["net"].to_numpy(float),
            f"sales_at_risk_{unit}": pairs["loss"].to_numpy(float),
            f"travel_cost_{unit}": pairs["travel_cost"].to_numpy(float),
            "hours_per_year": pairs["hours"].to_numpy(float),
            "distance_km": pairs["distance_km"].to_numpy(float),
            "fit_share": pairs["fit"].to_numpy(float),
        }
    )


def moves_table(figures: Figures) -> pd.DataFrame:
    """Return one row per account that goes from one rep to another, largest sales first; see :attr:`Outcome.moves`."""
    model = figures.model
    table = accounts_table(figures)
    moved = np.flatnonzero(table["change"] == "moves")
    rep, today = figures.rep[moved], model.source.incumbent[moved]
    names = model.problem.reps["name"].to_numpy(object)
    before = model.source.facts(moved, today)
    table = table.iloc[moved].rename(columns={"incumbent": "from_rep_id", "rep_id": "to_rep_id"})
    table = table.drop(columns=["rep", "change", "segment"])
    table.insert(3, "to_rep", names[rep])
    order = ["account_id", "name", "from_rep_id", "from_rep", "to_rep_id", "to_rep"]
    table = table.assign(from_rep=names[today], distance_before_km=before.distance_km, fit_before_share=before.fit)
    table = table[[*order, *table.columns.difference(order, sort=False)]]
    sales = next(name for name in table.columns if name.startswith("current_sales_"))
    return table.sort_values([sales, "account_id"], ascending=[False, True], ignore_index=True)


def quotas_table(figures: Figures) -> pd.DataFrame:
    """Return one row per rep and quota period, empty without quotas; see :attr:`Outcome.quotas`."""
    model, plan = figures.model, figures.plan
    reps, quotas = model.problem.reps, plan.quotas
    names = dict(zip(reps["rep_id"], reps["name"], strict=True))
    return pd.DataFrame(
        {
            "rep_id": quotas["rep_id"].to_numpy(object),
            "name": [names.get(rep_id, "") for rep_id in quotas["rep_id"]],
            "period": quotas["period"].to_numpy(object),
            f"quota_{model.problem.policy.currency.lower()}": quotas["quota"].to_numpy(float),
        }
    )


def changes(today: Positions, rep: Positions) -> TextArray:
    """Return what happens to each account, (n,): ``moves``, ``stays``, ``new`` (nobody had it) or ``no rep``.

    ``today`` and ``rep`` (n,) are positions of reps, -1 for nobody.
    """
    words = np.where(today < 0, "new", np.where(today != rep, "moves", "stays")).astype(object)
    words[rep < 0] = "no rep"
    return np.asarray(words)


def balanced_metrics(model: Model) -> tuple[str, ...]:
    """Name the balanced metrics, the most telling one first; potential where nothing is balanced."""
    balanced = tuple(model.problem.policy.territories.balance)
    return tuple(sorted(balanced, key=lambda name: name != "potential")) or ("potential",)


def fair_shares(model: Model, rep: Positions, metric: str) -> FloatArray:
    """Return what each rep holds of ``metric`` as a share of the fair share, (n_reps,); NaN for a rep without one."""
    held = held_by_rep(model, rep, metric)
    fair = model.share * model.problem.accounts[metric].to_numpy(float).sum()
    return np.where(fair > 0, held / np.where(fair > 0, fair, 1.0), np.nan)
