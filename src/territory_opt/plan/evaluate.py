"""What a plan is worth and what it breaks, recomputed from the data; nothing here comes from a solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model, fair_kappa
from territory_opt.model.pairs import BLOCK_CELLS
from territory_opt.model.presence import company_part
from territory_opt.model.quantities import Quantity, quantity_of
from territory_opt.plan.plan import Plan

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SHOWN = {"hours": "hours", "credited": "credited_sales", "variance": "variance"}
"""Columns of the chosen pairs that are quantities, by name."""


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


@dataclass(frozen=True, slots=True)
class Chosen:
    """``pairs``: one line per assigned account with the facts of its pair; ``totals`` (n_reps, n_quantities).

    ``worth``: the value of the pairs by term, money.
    """

    pairs: pd.DataFrame
    totals: FloatArray
    worth: dict[str, float]


def rep_positions(model: Model, plan: Plan) -> IntArray:
    """Return each account's rep position (n_accounts,); -1 for no rep or an unknown one."""
    wanted = plan.assignment.reindex(model.problem.accounts["account_id"])
    return np.asarray(model.source.rep_index.get_indexer(wanted.to_numpy(object)), dtype=np.int64)


def annual_quotas(model: Model, plan: Plan) -> FloatArray:
    """Return yearly quotas (n_reps,) in the order of the reps table; 0 where the plan sets none."""
    return np.asarray(plan.annual.reindex(model.problem.reps["rep_id"]).fillna(0.0), dtype=float)


def evaluate(model: Model, found: Chosen, quotas: FloatArray) -> Evaluation:
    """Evaluate the pairs that a plan chose, with yearly quotas (n_reps,); accounts without a rep add nothing."""
    chosen, totals = found.pairs, found.totals
    margin = model.problem.policy.territories.margin
    outside = model.rows.outside(totals, quotas)
    parts = dict(found.worth)
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


def choose(model: Model, rep_of_account: IntArray) -> Chosen:
    """Collect the pairs of an assignment (n_accounts,), -1 for no rep. Cost: linear in accounts, in blocks."""
    source, n_reps = model.source, model.problem.n_reps
    company = company_part(model.problem, model.estimate)
    shown = {column: quantity_of(name, source) for column, name in SHOWN.items()}
    assigned = np.flatnonzero(rep_of_account >= 0)
    edges = range(0, max(len(assigned), 1), BLOCK_CELLS)
    found = [_chosen_block(model, company, shown, assigned[k : k + BLOCK_CELLS], rep_of_account) for k in edges]
    pairs = pd.concat([pairs for pairs, *_ in found], ignore_index=True)
    totals, rep = np.zeros((n_reps, len(source.names))), pairs["rep"].to_numpy(int)
    for k in range(len(source.names)):
        totals[:, k] = np.bincount(rep, np.concatenate([amounts[k] for _, amounts, _ in found]), minlength=n_reps)
    worth = {label: float(sum(parts[label].sum() for *_, parts in found)) for label in found[0][2]}
    return Chosen(pairs, totals, worth)


def _chosen_block(
    model: Model, company: FloatArray, shown: dict[str, Quantity], accounts: IntArray, rep_of_account: IntArray
) -> tuple[pd.DataFrame, list[FloatArray], dict[str, FloatArray]]:
    """Facts, quantities and value by part of some accounts with their reps.

    ``company`` from :func:`company_part`; ``shown`` are quantities that get a column whatever the rules add up.
    """
    source, rep = model.source, rep_of_account[accounts]
    facts = source.facts(accounts, rep)
    comes = company[model.estimate.segment[accounts], rep]
    credit = np.ones(len(accounts)) if source.credited is None else source.credited.of_pairs(accounts, rep)
    bases = source.bases(accounts, rep, facts)
    pairs = pd.DataFrame(
        {
            "account": accounts,
            "rep": rep,
            "gross": facts.gross_sales,
            "common": source.common_sales[accounts],
            "loss": facts.transfer_loss,
            "net": facts.net_sales,
            "credit": credit,
            "book": facts.net_sales * comes,
            "book_variance": model.estimate.variance[accounts] * comes,
            "travel_cost": facts.travel_km * source.cost_per_km,
            "travel_km": facts.travel_km,
            "moved": facts.moved,
            "current_sales": source.current_sales[accounts],
            "eligible": facts.eligible,
            "distance_km": facts.distance_km,
            "fit": facts.fit,
            **{column: quantity.of_pairs(accounts, rep, bases) for column, quantity in shown.items()},
        }
    )
    amounts = [q.of_pairs(accounts, rep, bases) for q in source.quantities]
    return pairs, amounts, source.value_parts(accounts, rep, facts, bases)
