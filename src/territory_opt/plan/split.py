"""Where the gap of a plan sits: which accounts another rep would suit better, which rules are not used to the full.

At the multipliers u of a plan's certificate, bound(u) less what the plan is worth falls apart into parts that are not
negative (docs/bound.md has the derivation):

- an account loses the reduced value of its best rep less that of the rep it has;
- a row loses what it pays outside its limits, or u times what it leaves free within them;
- a quota that has a price of its own loses that times its distance from its best end.

Where rounding cuts and cases prove a tighter bound than bound(u), the difference is taken off: so much of the parts
nobody can win.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import TerritoryError
from territory_opt.model.model import Model
from territory_opt.model.pairs import Block
from territory_opt.plan.audit import row_tolerances
from territory_opt.plan.certificate import (
    Multipliers,
    certify_figures,
    multiplier_problems,
    price_excess,
    reduced_values,
)
from territory_opt.plan.figures import Figures
from territory_opt.plan.tables import money_unit
from territory_opt.problem.numbers import CENT, HALF_CENT
from territory_opt.words import aligned, at_most, listed, named, near_money, plain_rows, plural

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SHOWN_ACCOUNTS = 10
"""Accounts told one by one, those that lose most; a choice of looks."""
SHOWN_RULES = 4
"""Rules named in one line, those that hold most; a choice of looks."""
OUTSIDE, INSIDE, QUOTA = "outside its limits", "room left inside", "quota"
"""Where a rule's part of the gap comes from."""
QUOTAS = "quotas"
"""Stands for a rule where a quota itself has a price."""
LARGEST = "largest deviation"
"""The subject of what is paid for the worst of a rule's reps."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GapSplit:
    """Where the gap sits; money in ``currency`` and ``term`` ("per year").

    ``accounts`` has one row for each account (for a family its first one, with the number of its ``accounts``) that
    another rep would suit better by more than a cent: account_id, name, family, accounts, rep_id, rep, best_rep_id,
    best_rep, and the ``loss`` in money (``loss_usd_per_year``), largest first. ``rules`` has one row for each rule and
    subject with more than a cent: rule, subject, where (outside its limits, room left inside, quota), and its ``part``
    in money, largest first. Both are at the prices of the certificate: what room in each rule is worth.

    ``in_accounts`` + ``in_rules`` - ``ruled_out`` + ``rounding`` is the ``gap``: ``ruled_out`` is what cuts and
    cases show that nobody can win, ``rounding`` what the bound allows for floats.
    """

    accounts: pd.DataFrame
    rules: pd.DataFrame
    gap: float
    in_accounts: float
    in_rules: float
    ruled_out: float
    rounding: float
    currency: str
    term: str

    @property
    def sentence(self) -> str:
        """Say in one line where the gap sits."""
        return f"Where the slack sits: {', '.join(self._parts())}."

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, every account and every rule."""
        names = ("gap", "in_accounts", "in_rules", "ruled_out", "rounding", "currency", "term")
        tables = {name: plain_rows(getattr(self, name).to_dict("records")) for name in ("accounts", "rules")}
        return {**{name: getattr(self, name) for name in names}, **tables}

    def __repr__(self) -> str:
        return f"GapSplit({', '.join(self._parts())})"

    def __str__(self) -> str:
        if self.gap < HALF_CENT:
            lines = ["No plan is worth more than this one."]
        else:
            most = f"{at_most(self.gap, self.currency)} {self.term}"
            lines = [f"No plan is worth more than {most} above this one.", self.sentence]
        if len(self.accounts):
            first = "The accounts" if len(self.accounts) <= SHOWN_ACCOUNTS else f"The {SHOWN_ACCOUNTS} accounts"
            lines += [f"{first} that lose most, {self.currency} {self.term}:", *self._told_accounts()]
        if len(self.rules):
            lines += [f"The rules, {self.currency} {self.term}:", *self._told_rules()]
        return "\n".join(lines)

    def _parts(self) -> list[str]:
        """Say accounts, rules and what is ruled out, each with its money where there is any."""
        parts = []
        if len(self.accounts):
            suits = f"{plural(len(self.accounts), 'account')} that another rep would suit better at these prices"
            parts.append(f"{self._money(self.in_accounts)} in {suits}")
        by_rule = self.rules.groupby("rule")[self.rules.columns[-1]].sum().sort_values(ascending=False, kind="stable")
        words = [f"{str(rule).removeprefix('balance: ')} {self._money(part)}" for rule, part in by_rule.items()]
        if words:
            parts.append(f"{self._money(self.in_rules)} in rules ({listed(words, most=SHOWN_RULES)})")
        if self.ruled_out >= HALF_CENT:
            parts.append(f"less {self._money(self.ruled_out)} that the proof rules out")
        return parts

    def _money(self, amount: float) -> str:
        return near_money(amount, self.currency)

    def _told_accounts(self) -> list[str]:
        rows = []
        for row in self.accounts.head(SHOWN_ACCOUNTS).to_dict("records"):
            family = f", family {row['family']} ({plural(row['accounts'], 'account')})" if row["accounts"] > 1 else ""
            who = named(row["name"], row["account_id"]) + family
            has, best = named(row["rep"], row["rep_id"]), named(row["best_rep"], row["best_rep_id"])
            rows.append((who, f"with {has}", f"best with {best}", f"{row[self.accounts.columns[-1]]:,.2f}"))
        return [f"  {line}" for line in aligned(rows, left=(0, 1, 2))]

    def _told_rules(self) -> list[str]:
        rows = [
            (row["rule"], row["subject"], row["where"], f"{row[self.rules.columns[-1]]:,.2f}")
            for row in self.rules.to_dict("records")
        ]
        return [f"  {line}" for line in aligned(rows, left=(0, 1, 2))]


def split_gap(figures: Figures, certificate: Multipliers, *, broken: int = 0, bound: float | None = None) -> GapSplit:
    """Split the gap of a plan at the multipliers of its certificate, in NumPy and without a solver.

    ``broken`` hard rules that the plan breaks leave no gap to split: raise :class:`TerritoryError`, as for multipliers
    that prove nothing and accounts without a rep who may serve them. ``bound`` (money) is what the judge has found, if
    it has been asked; else it is. Cost: one look at all pairs in blocks, one more where the judge has to be asked.
    """
    model = figures.model
    _require_gap(figures, certificate, broken)
    loss, best = _losses(figures, certificate.values)
    parts = _rule_parts(figures, certificate)
    if bound is None:
        bound = certify_figures(figures, certificate).bound
    in_accounts, in_rules = float(loss.sum()), sum(part for *_, part in parts)
    gap = bound - figures.evaluation.objective
    beyond = in_accounts + in_rules - gap
    ruled_out = beyond if certificate.cases is not None and beyond > 0 else 0.0
    policy = model.problem.policy
    return GapSplit(
        accounts=_account_table(figures, loss, best),
        rules=_rule_table(model, parts),
        gap=gap,
        in_accounts=in_accounts,
        in_rules=in_rules,
        ruled_out=ruled_out,
        rounding=ruled_out - beyond,
        currency=policy.currency,
        term=policy.period.term,
    )


def _require_gap(figures: Figures, certificate: Multipliers, broken: int) -> None:
    if broken:
        text = f"the plan breaks {plural(broken, 'hard rule')}, and the bound is about plans that keep them"
        raise TerritoryError(f"there is no gap to split: {text}; to.audit names them, or territory-opt check")
    problems = multiplier_problems(figures.model, certificate)
    if problems:
        raise TerritoryError(f"there is no gap to split: {problems[0]}; solve again")
    if (figures.rep < 0).any():
        raise TerritoryError(
            "there is no gap to split: some accounts have no rep; territory-opt check FOLDER says which"
        )


def _losses(figures: Figures, values: FloatArray) -> tuple[FloatArray, IntArray]:
    """What each node loses with the rep it has, money, and the position of its best rep, (n_nodes,) each."""
    model = figures.model
    at_rep, rep = model.rows.at_rep(values), figures.rep[model.source.nodes.first]

    def look(block: Block) -> tuple[FloatArray, IntArray]:
        reduced = reduced_values(block, at_rep, 1.0)
        node, best = np.arange(len(reduced)), reduced.argmax(axis=1)
        return reduced[node, best] - reduced[node, rep[block.start : block.stop]], best

    found = list(model.source.over_blocks(look))
    loss, best = (np.concatenate([part[k] for part in found]) for k in range(2))
    if not np.isfinite(loss).all():
        raise TerritoryError(
            "there is no gap to split: a rep has accounts that they may not serve, which to.audit names"
        )
    return loss, best.astype(np.int64)


def _rule_parts(figures: Figures, certificate: Multipliers) -> list[tuple[str, str, str, float]]:
    """Rule, subject, where and money of each row, of the worst of each rule that prices it, and of each quota."""
    model, found, values = figures.model, figures.evaluation, certificate.values
    rows, outside = model.rows, np.abs(found.outside)
    low, high = np.where(values > 0, rows.low, 0.0), np.where(values < 0, rows.high, 0.0)
    trifle = rows.hard & (outside <= row_tolerances(rows))
    # A hard row that is outside by a trifle counts as kept: the judge adds so much to the bound.
    price = np.where(rows.hard, np.where(trifle, np.abs(values), 0.0), rows.price)
    spread = price_excess(rows, values) * outside
    activity = rows.activity(found.totals, figures.quotas)
    money = price * outside + values * (activity - low - high) + spread
    parts = [
        (row.rule, row.subject, OUTSIDE if out > 0 and not small else INSIDE, float(amount))
        for row, amount, out, small in zip(rows.items, money, outside, trifle, strict=True)
    ]
    for group, worst in enumerate(rows.worst_price):
        members = np.flatnonzero(rows.worst_group == group)
        left = float(worst * outside[members].max() - spread[members].sum())
        parts.append((rows.items[members[0]].rule, LARGEST, OUTSIDE, left))
    own = np.asarray(rows.quotas.T @ values)
    quotas = np.maximum(own, 0.0) * model.quota_limit - own * figures.quotas
    names = model.problem.reps["name"]
    return parts + [(QUOTAS, str(name), QUOTA, float(part)) for name, part in zip(names, quotas, strict=True)]


def _account_table(figures: Figures, loss: FloatArray, best: IntArray) -> pd.DataFrame:
    """One row per node that loses more than a cent, the largest first."""
    model = figures.model
    nodes, accounts, reps = model.source.nodes, model.problem.accounts, model.problem.reps
    losing = np.flatnonzero(loss > CENT)
    losing = losing[np.argsort(-loss[losing], kind="stable")]
    first, count = nodes.first[losing], np.diff(nodes.start)[losing]
    ids, names = reps["rep_id"].to_numpy(object), reps["name"].to_numpy(object)
    has, better = figures.rep[first], best[losing]
    return pd.DataFrame(
        {
            "account_id": accounts["account_id"].to_numpy(object)[first],
            "name": accounts["name"].to_numpy(object)[first],
            "family": np.where(count > 1, accounts["family"].to_numpy(object)[first], ""),
            "accounts": count,
            "rep_id": ids[has],
            "rep": names[has],
            "best_rep_id": ids[better],
            "best_rep": names[better],
            f"loss_{money_unit(model)}": loss[losing],
        }
    )


def _rule_table(model: Model, parts: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    """One row per rule and subject with more than a cent, the largest first."""
    shown = sorted((part for part in parts if part[-1] > CENT), key=lambda part: -part[-1])
    return pd.DataFrame(shown, columns=["rule", "subject", "where", f"part_{money_unit(model)}"])
