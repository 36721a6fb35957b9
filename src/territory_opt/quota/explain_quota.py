"""A quota as lines that add up to it to the cent, the rules that hold it, and what would change it.

    own history + potential + growth + fit - transfer loss = expected sales of the rep's accounts (or the basis of the
                                                             policy's method: quotas.method)
    - months the rep is not there                          = M, what the rep is credited with
    + company goal against expected sales                  = kappa M / compound, the fair share of the target
    + one line per hedge on the way up to the company      = kappa M, the fair quota
    + rounding to a step + one line per rule that moves it
    + what others carry or leave (roll-up)                 = the quota

kappa is fair quota per unit of expected sales (see model/model.py), compound the product of (1 + hedge) above the rep.
Every running subtotal is rounded to cents and each line is the difference of two, so nothing is left to absorb.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import DataError, Issue
from territory_opt.model.model import Model, fair_kappa
from territory_opt.model.rows import Kind
from territory_opt.plan.explain_account import MoneyLines, at_kappa_of, position_of
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.problem.numbers import HALF_CENT
from territory_opt.problem.units import money_of, with_units
from territory_opt.quota.settings import ExplanationSettings
from territory_opt.words import money, named, percent

FloatArray = npt.NDArray[np.float64]

RULES_LINE = "what others carry or leave"
"""Label of the last line: the roll-up, and the whole steps of others."""
SETTINGS = ExplanationSettings()
MATTERS = ("potential", "current_sales", "segment", "sales")
"""Columns of accounts that a quota depends on."""


@dataclass(frozen=True, slots=True)
class QuotaExplanation:
    """One rep's yearly quota explained.

    ``money`` holds the lines in whole cents, which add up to ``quota`` (``term`` says for what: "per year");
    ``expected_sales`` is M, ``fair_quota`` kappa M, ``odds`` the chance to make the quota (normal approximation).
    ``binding`` names the rules at their limit, ``what_would_change`` what moves the quota and by how much, ``doubts``
    the data that could move it most, ``periods`` has columns period and quota, ``parts`` part and quota (empty without
    ``quotas.by``); ``attrs["units"]`` of each table has the unit of its money.
    """

    rep_id: str
    name: str
    quota: float
    expected_sales: float
    fair_quota: float
    odds: float
    money: MoneyLines
    binding: list[str]
    what_would_change: list[str]
    doubts: list[str]
    periods: pd.DataFrame = field(repr=False)
    parts: pd.DataFrame = field(repr=False)
    currency: str
    term: str

    @property
    def lines(self) -> pd.DataFrame:
        """Columns line and amount (money); the amounts add up to the quota in whole cents."""
        return with_units(self.money.frame(), {"amount": f"{self.currency} {self.term}"})

    def __repr__(self) -> str:
        return f"QuotaExplanation({self.name} ({self.rep_id}) owes {self.quota:,.2f} {self.currency} {self.term})"

    def __str__(self) -> str:
        parts = [f"{named(self.name, self.rep_id)}, {self.currency} {self.term}", self.money.text("quota")]
        parts.append(f"chance to make it: {percent(self.odds)}")
        for heading, texts in (
            ("rules at their limit", self.binding),
            ("what would change it", self.what_would_change),
            ("data it depends on most", self.doubts),
        ):
            parts += [f"{heading}:", *(f"  {text}" for text in texts)] if texts else []
        if len(self.periods) > 1:
            amounts = zip(self.periods["period"], self.periods["quota"], strict=True)
            parts += ["by period:", *(f"  {period}  {amount:,.2f}" for period, amount in amounts)]
        if len(self.parts):
            amounts = zip(self.parts["part"], self.parts["quota"], strict=True)
            parts += ["by part:", *(f"  {part}  {amount:,.2f}" for part, amount in amounts)]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; money as numbers with two decimals."""
        return {
            "rep_id": self.rep_id,
            "name": self.name,
            "quota": self.quota,
            "expected_sales": round(self.expected_sales, 2),
            "fair_quota": round(self.fair_quota, 2),
            "odds": round(self.odds, SETTINGS.digits),
            "lines": self.lines.to_dict("records"),
            "binding": list(self.binding),
            "what_would_change": list(self.what_would_change),
            "doubts": list(self.doubts),
            "periods": self.periods.to_dict("records"),
            "parts": self.parts.to_dict("records"),
            "currency": self.currency,
        }


def explain_quota(figures: Figures, rep_id: str) -> QuotaExplanation:
    """Explain the yearly quota of ``rep_id`` in ``plan``.

    Raise :class:`DataError` for an unknown rep or a plan without a quota for the rep. Cost: one pass over the plan;
    use :func:`explain_quotas` for many reps.
    """
    return explain_quotas(figures, [rep_id])[0]


def explain_quotas(figures: Figures, rep_ids: Sequence[str] | None = None) -> list[QuotaExplanation]:
    """Explain the yearly quotas of ``rep_ids`` (all reps by default) with one pass over the plan.

    Raise :class:`DataError` naming every rep without a quota, or the first that is unknown.
    """
    model, plan = figures.model, figures.plan
    ids = [str(rep) for rep in model.problem.reps["rep_id"]] if rep_ids is None else list(rep_ids)
    positions = [position_of(model, "rep", rep_id) for rep_id in ids]
    bare = [rep_id for rep_id in ids if not model.has_quotas or rep_id not in plan.annual.index]
    if bare:
        problem, fix = "the plan sets no quota for this rep", "set quotas.target and solve again"
        raise DataError([Issue("error", "plan", 0, "rep_id", rep_id, problem, fix) for rep_id in bare])
    # A plan made elsewhere carries no kappa: it is held against its own fair share.
    kappa = (
        plan.kappa if plan.kappa > 0 else fair_kappa(model.problem, model.hierarchy, model.fair_base(figures.totals))
    )
    book, model = _Book(figures.pairs), at_kappa_of(model, plan)
    cases = [_Case.of(model, rep, book.of(rep), figures, kappa) for rep in positions]
    parts = _by_part(figures)
    return [_explanation(plan, parts, rep_id, case) for rep_id, case in zip(ids, cases, strict=True)]


def _by_part(figures: Figures) -> pd.DataFrame:
    """Quotas by part, if the policy asks for them: rep_id, part, quota."""
    model = figures.model
    if not model.problem.policy.quotas.by:
        return pd.DataFrame({"rep_id": [], "part": [], "quota": []})
    from territory_opt.quota.by_part import by_part

    return by_part(figures)


def _explanation(plan: Plan, parts: pd.DataFrame, rep_id: str, case: _Case) -> QuotaExplanation:
    periods = plan.quotas.loc[plan.quotas["rep_id"] == rep_id, ["period", "quota"]].reset_index(drop=True)
    own, policy = parts[parts["rep_id"] == rep_id].drop(columns="rep_id"), case.model.problem.policy
    return QuotaExplanation(
        rep_id=rep_id,
        name=str(case.model.problem.reps["name"].iloc[case.rep]),
        quota=case.quota,
        expected_sales=case.expected,
        fair_quota=case.fair,
        odds=case.odds,
        money=case.lines(),
        binding=case.binding(),
        what_would_change=case.changes(),
        doubts=case.doubts,
        periods=with_units(periods, {"quota": policy.currency}),
        parts=with_units(own.reset_index(drop=True), {"quota": money_of(policy)}),
        currency=policy.currency,
        term=policy.period.term,
    )


class _Book:
    """The chosen pairs by rep."""

    def __init__(self, pairs: pd.DataFrame) -> None:
        self._pairs = pairs
        self._lines = pairs.groupby("rep").indices

    def of(self, rep: int) -> pd.DataFrame:
        """Return the pairs of one rep."""
        return self._pairs.iloc[self._lines.get(rep, np.zeros(0, dtype=np.intp))]


@dataclass(frozen=True, slots=True)
class _Limit:
    """A limit on this rep's quota alone that the quota has reached or is ``beyond``."""

    text: str
    upper: bool
    hard: bool
    beyond: bool
    rule: str
    at: float


@dataclass(frozen=True, slots=True)
class _Case:
    """One rep's figures, money per year; ``parts``: what the fair quota is in proportion to, label and amount."""

    model: Model
    rep: int
    quota: float
    parts: tuple[tuple[str, float], ...]
    expected: float
    potential: float
    typical_potential: float
    kappa: float
    odds: float
    limits: tuple[_Limit, ...]
    doubts: list[str]

    @classmethod
    def of(cls, model: Model, rep: int, own: pd.DataFrame, figures: Figures, kappa: float) -> _Case:
        """Collect the figures of ``rep`` from its pairs ``own`` and the plan; rows of ``model`` are at ``kappa``."""
        potential = model.problem.accounts["potential"].to_numpy(float)[own["account"].to_numpy(int)]
        parts = _parts(model, rep, own)
        return cls(
            model,
            rep,
            float(figures.quotas[rep]),
            parts,
            float(figures.evaluation.rep_sales[rep]),
            float(figures.potential[rep]),
            float(np.median(potential)) if len(potential) else 0.0,
            kappa,
            float(figures.odds.hits.iloc[rep]),
            tuple(_limits_reached(model, rep, figures.totals, figures.quotas)),
            _doubts(model, own, kappa, kappa * sum(amount for _, amount in parts)),
        )

    @property
    def fair(self) -> float:
        """Fair quota: the same share of expected sales (or of the method's basis) for everyone, hedges included."""
        return self.kappa * sum(amount for _, amount in self.parts)

    @property
    def fair_steps(self) -> float:
        """Fair quota in whole steps."""
        step = self.model.problem.policy.quotas.step
        return round(self.fair / step) * step

    def lines(self) -> MoneyLines:
        """Return the lines; each label stands with the running subtotal after it."""
        labels = [label for label, _ in self.parts]
        subtotals = np.cumsum([amount for _, amount in self.parts]).tolist()
        hierarchy = self.model.hierarchy
        subtotals.append(self.fair / hierarchy.compound(self.rep))
        against = "expected sales" if self.model.estimate.basis is None else "this basis"
        labels.append(f"company goal against {against}")
        for node in hierarchy.path(int(hierarchy.rep_node[self.rep])):
            if hierarchy.hedge[node] != 0:
                labels.append(f"hedge of {_node_name(self.model, node)}, {hierarchy.hedge[node] * 100:g} %")
                subtotals.append(subtotals[-1] * (1.0 + float(hierarchy.hedge[node])))
        subtotals.append(self.fair_steps)
        labels.append(f"rounding to a step of {self.model.problem.policy.quotas.step:,g}")
        for limit in self.moved_by:
            labels.append(limit.rule)
            subtotals.append(min(subtotals[-1], limit.at) if limit.upper else max(subtotals[-1], limit.at))
        return MoneyLines.from_subtotals([*labels, RULES_LINE], [*subtotals, self.quota])

    @property
    def moved_by(self) -> list[_Limit]:
        """Limits that keep the quota from its fair whole steps, those that move it least first."""
        away = [
            limit
            for limit in self.limits
            if not limit.beyond and (limit.at < self.fair_steps if limit.upper else limit.at > self.fair_steps)
        ]
        return sorted(away, key=lambda limit: abs(limit.at - self.fair_steps))

    def binding(self) -> list[str]:
        """Return the rules at their limit in words, and the roll-up where no rule of this rep explains the move."""
        found = [limit.text for limit in self.limits]
        moved = self.quota - self.fair_steps
        if abs(moved) >= HALF_CENT and not any(
            limit.upper == (moved < 0) and not limit.beyond for limit in self.limits
        ):
            direction = "up" if moved > 0 else "down"
            target = money(float(self.model.problem.policy.quotas.target or 0.0))
            found.append(
                f"roll-up: all quotas and hedges meet the target of {target}; with the limits and whole steps of every "
                f"rep that moves this quota {direction} by {money(abs(moved))}"
            )
        return found

    def changes(self) -> list[str]:
        """Return what moves the quota: target, hedge and potential, all from the same figures."""
        quotas, hierarchy = self.model.problem.policy.quotas, self.model.hierarchy
        target = float(quotas.target or 0.0)
        top = hierarchy.path(int(hierarchy.rep_node[self.rep]))[-1]
        point = self.fair / 100.0 / (1.0 + float(hierarchy.hedge[top]))
        found = [
            f"a target 1 % higher ({money(target * 1.01)}) adds about {money(self.fair * 0.01)}",
            f"one more point of hedge at {_node_name(self.model, top)} adds about {money(point)}",
        ]
        if self.model.estimate.basis is None and self.potential > 0 and self.typical_potential > 0:
            size = _round_size(self.typical_potential)
            adds = self.fair / self.potential * size
            found.append(f"each account of {size:,g} potential adds about {money(adds)}")
        for cap in (limit for limit in self.limits if limit.upper and not limit.beyond):
            hard = f"none of these adds anything while the {cap.rule} holds the quota"
            soft = f"the {cap.rule} is at its limit: other reps carry what it keeps away, unless its price is paid"
            found.append(hard if cap.hard else soft)
        return found


def _parts(model: Model, rep: int, own: pd.DataFrame) -> tuple[tuple[str, float], ...]:
    """What makes up the base of the fair quota of ``rep`` with pairs ``own``."""
    accounts, basis = own["account"].to_numpy(int), model.estimate.basis
    if basis is not None:
        lines = [
            (f"{label} (accounts)", float(amounts[accounts].sum()))
            for label, amounts in basis.lines.items()
            if amounts.any()
        ]
        lines += _away(model, rep, own, basis.amounts[accounts])
        shared = [("the same for everyone, by working time", basis.equal * float(model.share[rep]))]
        return tuple(line for line in [*lines, *(shared if basis.equal else [])])
    history, from_potential = (float(part) for part in model.estimate.parts[accounts].sum(axis=0))
    gross, net = float(own["gross"].sum()), float(own["net"].sum())
    growth = model.estimate.growth
    growth = (
        growth if abs(growth - 1.0) >= SETTINGS.least_growth else 1.0
    )  # too little for a line: it stays in the two others
    moves = [(f"growth of the company, {growth - 1.0:+.1%}", (history + from_potential) * (1.0 - 1.0 / growth))]
    return (
        ("own history of the accounts", history / growth),
        ("potential of the accounts", from_potential / growth),
        *(moves if growth != 1.0 else []),
        ("fit of this rep", gross - history - from_potential),
        ("transfer loss", net - gross),
        *_away(model, rep, own, own["net"].to_numpy(float)),
    )


def _away(model: Model, rep: int, own: pd.DataFrame, amounts: FloatArray) -> list[tuple[str, float]]:
    """The part of ``amounts`` (one per account) that comes while the rep is not there; no line where there is none."""
    there = model.problem.calendar.presence[rep]
    if (there >= 1.0).all():
        return []
    off = float((amounts * (own["credit"].to_numpy(float) - 1.0)).sum())
    return [("months the rep is not there, or new", off)]


def _doubts(model: Model, own: pd.DataFrame, kappa: float, fair: float) -> list[str]:
    """The data that could move this quota most: filled or doubtful cells of its accounts, and uncertain estimates."""
    accounts = own["account"].to_numpy(int)
    if not len(accounts) or fair <= 0:
        return []
    basis, table = model.estimate.basis, model.problem.accounts
    # What fair quotas follow: expected sales, with their doubt, or the given amounts of another method.
    credit = own["credit"].to_numpy(float)
    net = kappa * credit * (own["net"].to_numpy(float) if basis is None else basis.amounts[accounts])
    spread = kappa * credit * np.sqrt(model.estimate.doubt[accounts])
    followed = np.ones(len(accounts), dtype=bool) if basis is None else basis.estimated[accounts]
    place, names = {int(account): k for k, account in enumerate(accounts)}, table["name"].to_numpy(object)
    file = str(table.attrs.get("file", "accounts"))
    found: list[tuple[float, str]] = []
    for issue in model.problem.issues:
        k = place.get(issue.row - 2) if issue.table in (file, "accounts") and issue.row >= 2 else None
        if k is not None and issue.column in MATTERS and net[k] > 0.0:
            counts = f"the account counts {money(net[k])} of the quota"
            found.append((float(net[k]), f"{issue.column} of {names[accounts[k]]}: {issue.problem}; {counts}"))
    for k in np.argsort(-spread)[: SETTINGS.most_doubts]:
        if spread[k] > SETTINGS.least_doubt * fair:
            typical = money(np.sqrt(model.estimate.doubt[accounts[k]]))
            what = f"this quota by {money(spread[k])}" if followed[k] else "and the odds with them, not this quota"
            off = f"expected sales could be off by a typical {typical}, {what}"
            found.append((float(spread[k]), f"{names[accounts[k]]}: {off}"))
    return [text for _, text in sorted(found, key=lambda item: -item[0])[: SETTINGS.most_doubts]]


def _limits_reached(model: Model, rep: int, totals: FloatArray, quotas: FloatArray) -> list[_Limit]:
    """Find rows on this rep's quota alone whose limit lies within one step of the quota, or that it breaks.

    Rows that ask for one exact amount (fairness) are goals, not limits.
    """
    rows, step = model.rows, model.problem.policy.quotas.step
    fixed = rows.totals @ totals.ravel()
    found = []
    for r, row in enumerate(rows.items):
        if set(row.quotas) != {rep} or row.low == row.high or row.kind is Kind.ROLL_UP:
            continue
        coefficient = row.quotas[rep]
        for limit, upper in ((row.low, False), (row.high, True)):
            at = (limit - float(fixed[r])) / coefficient
            outside = float(quotas[rep] - at) * (1 if upper else -1)
            if math.isfinite(at) and outside > -step and (at > 0 or upper):
                beyond = outside > max(HALF_CENT, SETTINGS.rounding * row.scale)
                text = f"{row.rule}: quota {'at most' if upper else 'at least'} {money(at)} ({row.sentence})"
                text += f"; the quota is {money(outside)} {'above' if upper else 'below'}" if beyond else ""
                found.append(_Limit(text, upper, row.hard, beyond, row.rule, at))
    return found


def _node_name(model: Model, node: int) -> str:
    """Name a node of the hierarchy in a sentence."""
    return "the company" if node == 0 else f"{model.hierarchy.levels[node]} {model.hierarchy.names[node]}"


def _round_size(amount: float) -> float:
    """Round to one leading digit: 84,300 -> 80,000."""
    power = 10.0 ** math.floor(math.log10(amount))
    return max(round(amount / power), 1) * power
