"""The tables that workbook and page show, from a result alone: nothing here runs a solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import Issue
from territory_opt.plan.audit import violation_table
from territory_opt.plan.check_files import issue_table
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.plan.tables import balanced_metrics
from territory_opt.report.accounts import account_table
from territory_opt.report.headline import Card, cards, parts_table, sentences, slack_sentence, summary_table
from territory_opt.study.comparison import TODAY, Comparison, compare
from territory_opt.study.side import band

if TYPE_CHECKING:
    from territory_opt.model.model import Model
    from territory_opt.optimize.result import Result
    from territory_opt.plan.odds import CompanyOdds


@dataclass(frozen=True, slots=True)
class Views:
    """Everything a report shows. Titles and units of the columns are in :mod:`territory_opt.report.columns`.

    ``sentences`` and ``cards`` are the headline; ``bands`` metric -> half-width (None: not balanced); ``reps`` are in
    the order of the reps table, so that ``accounts.old`` and ``accounts.new`` are positions in it; ``notes`` say what
    a reader must know to compare.
    """

    name: str
    currency: str
    term: str
    sentences: tuple[str, ...]
    cards: tuple[Card, ...]
    bands: dict[str, float | None]
    hit_share: float
    notes: tuple[str, ...]
    summary: pd.DataFrame
    parts: pd.DataFrame
    reps: pd.DataFrame
    accounts: pd.DataFrame
    quotas: pd.DataFrame
    roll_up: pd.DataFrame
    violations: pd.DataFrame
    ways: pd.DataFrame
    issues: pd.DataFrame
    run: pd.DataFrame

    @property
    def has_quotas(self) -> bool:
        """Whether the plan sets quotas."""
        return len(self.quotas) > 0


def build_views(
    result: Result, *, name: str, issues: Sequence[Issue], run: dict[str, str], by_part: pd.DataFrame | None = None
) -> Views:
    """Collect every table of the report.

    ``issues`` are the findings in the data and ``run`` is shown as it is; ``by_part`` are the quotas by part. Raises
    :class:`NoPlanError` if the result holds no plan. Cost: five passes over all pairs (those of the odds and of the
    split of the gap included), in blocks.
    """
    pair = compare(TODAY, result)
    model, plan, odds = result.model, result.plan, pair.after.odds
    violations = violation_table(list(result.violations))
    violations["sentence"] = [str(v) for v in sorted(result.violations, key=lambda v: -v.share)]
    return Views(
        name=name,
        currency=model.problem.policy.currency,
        term=model.problem.policy.period.term,
        sentences=(*sentences(result, pair, odds), *filter(None, [slack_sentence(result)])),
        cards=cards(result, pair, odds),
        bands={metric: band(model, metric) for metric in balanced_metrics(model)},
        hit_share=model.problem.policy.quotas.hit_share,
        notes=_notes(pair, plan),
        summary=summary_table(result, pair, odds),
        parts=parts_table(pair),
        reps=rep_table(pair, plan, odds),
        accounts=account_table(pair),
        quotas=quota_table(model, plan, by_part),
        roll_up=_roll_up_table(result.figures),
        violations=violations[["sentence", "rule", "subject", "value", "limit", "amount", "unit"]],
        ways=pd.DataFrame(
            [(way.text, "yes" if way.enough else "together with others") for way in result.relaxations],
            columns=["text", "enough"],
        ),
        issues=issue_table(issues),
        run=pd.DataFrame([(key, str(value)) for key, value in run.items()], columns=["item", "value"]),
    )


def rep_table(pair: Comparison, plan: Plan, odds: CompanyOdds | None) -> pd.DataFrame:
    """Return one line per rep in the order of the reps table; shares are of a fair share, NaN where unknown."""
    reps, side = pair.model.problem.reps, pair.after
    served = side.rep >= 0
    frame = pd.DataFrame(
        {
            "name": pair.rep_names,
            "rep_id": reps["rep_id"].to_numpy(object),
            "manager": manager_names(pair.model),
            "accounts": side.counts(),
            "potential": side.figures.potential,
        }
    )
    for metric in balanced_metrics(pair.model):
        frame[f"before: {metric}"] = pair.before.shares[metric]
        frame[f"after: {metric}"] = side.shares[metric]
    gained = served & (pair.before.rep != side.rep)
    frame["expected_sales"] = side.per_rep("credited")
    if plan.has_quotas:
        last = reps["last_quota"].to_numpy(float)
        frame["annual_quota"] = side.quotas
        frame["last_quota"] = last
        frame["growth"] = np.where(last > 0, side.quotas / np.where(last > 0, last, 1.0) - 1.0, np.nan)
    if odds is not None:
        frame["odds"] = odds.hits.reindex(reps["rep_id"]).to_numpy(float)
    frame["hours"] = side.per_rep("hours")
    frame["capacity"] = reps["capacity_hours"].to_numpy(float)
    frame["travel_km"] = side.per_rep("travel_km")
    frame["moved_in"] = np.bincount(side.rep[gained], minlength=len(reps))
    frame["moved_out"] = np.bincount(pair.before.rep[pair.changed], minlength=len(reps))
    frame["lat"], frame["lon"] = reps["lat"].to_numpy(float), reps["lon"].to_numpy(float)
    return frame


def quota_table(model: Model, plan: Plan, by_part: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one line per rep with the year, every period and every part; empty without quotas.

    Columns ``period: label`` and, with ``by_part`` (rep_id, part, quota), ``part: name``.
    """
    reps = model.problem.reps
    rows = np.arange(len(reps) if plan.has_quotas else 0)
    frame = pd.DataFrame(
        {
            "name": reps["name"].to_numpy(object)[rows],
            "rep_id": reps["rep_id"].to_numpy(object)[rows],
            "manager": manager_names(model)[rows],
            "annual": plan.annual.reindex(reps["rep_id"]).to_numpy(float)[rows],
        }
    )
    for label, part in plan.quotas.groupby("period", sort=False):
        frame[f"period: {label}"] = part.set_index("rep_id")["quota"].reindex(frame["rep_id"]).to_numpy(float)
    if by_part is not None:
        for name, part in by_part.groupby("part", sort=False):
            frame[f"part: {name}"] = part.set_index("rep_id")["quota"].reindex(frame["rep_id"]).to_numpy(float)
    return frame


def manager_names(model: Model) -> npt.NDArray[np.object_]:
    """Name of the node each rep reports to, (n_reps,)."""
    return np.array(model.hierarchy.names, dtype=object)[model.hierarchy.rep_node]


def _roll_up_table(figures: Figures) -> pd.DataFrame:
    if not figures.plan.has_quotas:
        return pd.DataFrame(columns=["name", "level", "parent", "target", "hedge_share", "hedge", "quotas"])
    table = figures.roll_up.copy()
    names = dict(zip(table["node_id"], table["name"], strict=True))
    table["parent"] = [names.get(node, "") for node in table["parent"]]
    return table


def _notes(pair: Comparison, plan: Plan) -> tuple[str, ...]:
    """Say what a reader must know to compare today with the plan."""
    notes = ["Today means the incumbents and last year's quotas, judged by the rules of this plan."]
    without = int((~(pair.model.problem.reps["last_quota"].to_numpy(float) > 0)).sum())
    if plan.has_quotas and without:
        notes.append(f"{without:,} of {pair.model.problem.n_reps:,} reps have no last quota; it counts as 0 for today.")
    orphans = int((pair.before.rep < 0).sum())
    if orphans:
        notes.append(f"{orphans:,} accounts have no rep today; they add nothing to today's figures.")
    return tuple(notes)
