"""What a plan is worth and what it breaks, recomputed from the data; nothing here comes from a solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.estimate.methods import QUOTA_BASIS
from territory_opt.model.model import Model, fair_kappa
from territory_opt.model.pairs import BLOCK_CELLS
from territory_opt.model.presence import company_part
from territory_opt.plan.plan import Plan

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Worth of a plan in money per year.

    ``parts`` add up to ``objective``: gain from fit, transfer loss, travel (signed), then minus the price paid
    per rule. ``outside`` (n_rows,) says how far each row is outside its limits. ``common_margin`` is the margin
    on sales that come whoever serves the account: shown, never part of objective or bound. ``rep_sales`` and
    ``rep_variance`` (n_reps,) are what each rep is credited with, ``book_sales`` and ``book_variance`` what the rep's
    accounts bring the company: more where others cover for a rep who is not there all year.
    """

    objective: float
    parts: dict[str, float]
    totals: FloatArray
    outside: FloatArray
    rep_sales: FloatArray
    rep_variance: FloatArray
    book_sales: FloatArray
    book_variance: FloatArray
    rep_hours: FloatArray
    moved_accounts: int
    moved_sales: float
    sales_at_risk: float
    travel_km: float
    common_margin: float


def rep_positions(model: Model, plan: Plan) -> IntArray:
    """Return each account's rep position (n_accounts,); -1 for no rep or an unknown one."""
    wanted = plan.assignment.reindex(model.problem.accounts["account_id"])
    return np.asarray(model.source.rep_index.get_indexer(wanted.to_numpy(object)), dtype=np.int64)


def annual_quotas(model: Model, plan: Plan) -> FloatArray:
    """Return yearly quotas (n_reps,) in the order of the reps table; 0 where the plan sets none."""
    return np.asarray(plan.annual.reindex(model.problem.reps["rep_id"]).fillna(0.0), dtype=float)


def evaluate(model: Model, plan: Plan) -> Evaluation:
    """Evaluate a plan. Accounts without a rep add nothing. Cost: one pass over all blocks."""
    return evaluate_positions(model, rep_positions(model, plan), annual_quotas(model, plan))


def evaluate_positions(model: Model, rep_of_account: IntArray, quotas: FloatArray) -> Evaluation:
    """Evaluate rep positions (n_accounts,) and yearly quotas (n_reps,)."""
    chosen = _chosen_pairs(model, rep_of_account)
    margin = model.problem.policy.territories.margin
    totals = _totals(model, chosen)
    outside = model.rows.outside(totals, quotas)
    parts = {
        "gain from fit": margin * float((chosen["gross"] - chosen["common"]).sum()),
        "transfer loss": -margin * float(chosen["loss"].sum()),
        "travel": -float(chosen["travel_cost"].sum()),
    }
    hard = _hard_rules(model)
    parts |= {rule: -cost for rule, cost in model.rows.costs(outside).items() if rule not in hard}
    moved = chosen["moved"].to_numpy(bool)
    names = ["credited", "variance", "book", "book_variance", "hours"]
    by_rep = chosen.groupby("rep")[names].sum().reindex(range(model.problem.n_reps)).fillna(0.0)
    return Evaluation(
        objective=float(sum(parts.values())),
        parts=parts,
        totals=totals,
        outside=outside,
        rep_sales=by_rep["credited"].to_numpy(float),
        rep_variance=by_rep["variance"].to_numpy(float),
        book_sales=by_rep["book"].to_numpy(float),
        book_variance=by_rep["book_variance"].to_numpy(float),
        rep_hours=by_rep["hours"].to_numpy(float),
        moved_accounts=int(moved.sum()),
        moved_sales=float(chosen["current_sales"].to_numpy(float)[moved].sum()),
        sales_at_risk=float(chosen["loss"].sum()),
        travel_km=float(chosen["travel_km"].sum()),
        common_margin=margin * float(chosen["common"].sum()),
    )


def kappa_drift(model: Model, evaluation: Evaluation) -> float:
    """Return by how much the plan's own fair share of expected sales differs from the kappa it was made with."""
    if not model.has_quotas or model.kappa <= 0:
        return 0.0
    return fair_kappa(model.problem, model.hierarchy, model.fair_base(evaluation.totals)) / model.kappa - 1.0


def _hard_rules(model: Model) -> set[str]:
    """Rules of which every row is hard: they have no price."""
    return {row.rule for row in model.rows.items} - {row.rule for row in model.rows.items if not row.hard}


def _chosen_pairs(model: Model, rep_of_account: IntArray) -> pd.DataFrame:
    """One line per assigned account with the facts of its pair."""
    source, policy = model.source, model.problem.policy.territories
    lines: list[pd.DataFrame] = []
    company = company_part(model.problem, model.estimate)
    assigned = np.flatnonzero(rep_of_account >= 0)
    for start in range(0, len(assigned), BLOCK_CELLS):
        accounts = assigned[start : start + BLOCK_CELLS]
        rep = rep_of_account[accounts]
        facts = source.facts(accounts, rep)
        comes = company[model.estimate.segment[accounts], rep]
        workload = model.problem.accounts["workload"].to_numpy(float)[accounts]
        lines.append(
            pd.DataFrame(
                {
                    "account": accounts,
                    "rep": rep,
                    "gross": facts.gross_sales,
                    "common": source.common_sales[accounts],
                    "loss": facts.transfer_loss,
                    "net": facts.net_sales,
                    "credit": facts.credit,
                    "credited": facts.credited_sales,
                    "variance": model.estimate.variance[accounts] * facts.credit,
                    "book": facts.net_sales * comes,
                    "book_variance": model.estimate.variance[accounts] * comes,
                    "travel_cost": facts.travel_cost,
                    "travel_km": facts.travel_hours * policy.travel.speed_kmh,
                    "hours": workload + facts.travel_hours,
                    "moved": facts.moved,
                    "current_sales": source.current_sales[accounts],
                    "eligible": facts.eligible,
                    "distance_km": facts.distance_km,
                    "fit": facts.fit,
                }
            )
        )
    return pd.concat(lines, ignore_index=True) if lines else _no_pairs()


def chosen_pairs(model: Model, plan: Plan) -> pd.DataFrame:
    """Return one line per account with the facts of the pair the plan chose (positions in account, rep)."""
    return _chosen_pairs(model, rep_positions(model, plan))


def _no_pairs() -> pd.DataFrame:
    sales = (
        "gross",
        "common",
        "loss",
        "net",
        "credit",
        "credited",
        "variance",
        "book",
        "book_variance",
        "current_sales",
    )
    empty = {name: np.zeros(0) for name in (*sales, "travel_cost", "travel_km", "hours", "distance_km", "fit")}
    return pd.DataFrame({"account": np.zeros(0, int), "rep": np.zeros(0, int), **empty,
                         "moved": np.zeros(0, bool), "eligible": np.zeros(0, bool)})  # fmt: skip


def _totals(model: Model, chosen: pd.DataFrame) -> FloatArray:
    """Rep totals of each quantity from the chosen pairs alone."""
    accounts = chosen["account"].to_numpy(int)
    rep = chosen["rep"].to_numpy(int)
    totals = np.zeros((model.problem.n_reps, len(model.source.quantities)))
    for k, name in enumerate(model.source.quantities):
        weights = _weights(model, name, chosen, accounts, rep)
        totals[:, k] = np.bincount(rep, weights, minlength=len(totals))
    return totals


def _weights(model: Model, name: str, chosen: pd.DataFrame, accounts: IntArray, rep: IntArray) -> FloatArray:
    direct = {"hours": "hours", "credited_sales": "credited", "variance": "variance"}
    if name in direct:
        return np.asarray(chosen[direct[name]], dtype=float)
    if name == QUOTA_BASIS and model.estimate.basis is not None:
        return np.asarray(model.estimate.basis.amounts[accounts] * chosen["credit"].to_numpy(float))
    if name == "moved_accounts":
        return np.asarray(chosen["moved"], dtype=float)
    if name == "moved_sales":
        return np.asarray(chosen["current_sales"] * chosen["moved"], dtype=float)
    if name.startswith("covered: "):
        column = next(c for c in model.source.skills.coverage if f"covered: {c.name}" == name)
        cell = column.cell[accounts]
        served = column.has_all[cell, rep] & column.names_any[cell]
        return np.asarray(served * model.problem.accounts["potential"].to_numpy(float)[accounts])
    return np.asarray(model.problem.accounts[name], dtype=float)[accounts]
