"""What every plan offers, whether it was just solved or read from a folder: tables, headline figures, pictures."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from territory_opt.errors import NoPlanError
from territory_opt.model.model import Model
from territory_opt.plan import plots, tables
from territory_opt.plan.captured import captured_share, over_today
from territory_opt.plan.certificate import Multipliers
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.plan.split import GapSplit, split_gap
from territory_opt.problem.problem import Problem
from territory_opt.problem.show import html_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOT_HEADLINES = ("parts", "incumbent_parts", "violations", "ways_out", "schema_version")
"""What ``plan.json`` states in lists; a summary holds single figures."""


class Outcome(ABC):
    """A plan with its problem and its proof. Every function that takes a result takes this.

    The unit of every column stands at the end of its name: money in the policy's currency with what it is for
    (``_usd_per_year``, for a plan of six months ``_usd_in_6_months``), ``_km``, ``_hours_per_year``, ``_share`` (1 is
    all of it), ``_probability``. A name without a unit is an id, a word or a count. Tables are made anew at each
    call from figures that are computed once; they raise :class:`NoPlanError` if there is no plan.

    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> result.reps[["name", "accounts", "quota_usd_per_year", "hit_probability"]].round(2)
       name  accounts  quota_usd_per_year  hit_probability
    0   Ada         3               300.0             0.50
    1   Ben         3               310.0             0.43
    2  Cleo         3               310.0             0.43
    3   Dan         3               280.0             0.50
    >>> found = result.summary()
    >>> found["status"], found["moved_accounts"], round(found["gap_money"], 2), found["quotas_total"]
    ('optimal', 1, 0.98, 1200.0)
    """

    __slots__ = ()

    @property
    @abstractmethod
    def model(self) -> Model:
        """Pairs, rows and hierarchy that decide what the plan is worth."""

    @property
    @abstractmethod
    def figures(self) -> Figures:
        """What the plan comes to, computed once. Raise :class:`NoPlanError` if there is none."""

    @property
    def plan(self) -> Plan:
        """The plan. Raise :class:`NoPlanError` if there is none."""
        return self.figures.plan

    @property
    @abstractmethod
    def certificate(self) -> Multipliers:
        """The multipliers that prove the bound."""

    @abstractmethod
    def claims(self) -> dict[str, Any]:
        """Return what ``plan.json`` states."""

    @property
    @abstractmethod
    def objective(self) -> float:
        """What the plan is worth by its rules, money."""

    @property
    @abstractmethod
    def bound(self) -> float:
        """What no plan that keeps the rules can exceed, money."""

    @property
    @abstractmethod
    def gap_money(self) -> float:
        """The most that any plan could be worth above this one, money; NaN when hard rules are broken."""

    @property
    @abstractmethod
    def broken_rules(self) -> int:
        """Number of hard rules that the plan breaks."""

    @property
    def captured(self) -> float:
        """Share of what can provably be gained over today that the plan captures: (plan - today) / (bound - today).

        Today is the incumbents with last quotas by the rules of the plan, ``incumbent_objective`` of :meth:`summary`.
        NaN where hard rules are broken, where the bound is not above today, and where no account has a rep today; below
        0 where today is worth more, which it can be if it breaks hard rules.
        """
        if not math.isfinite(self.gap_money):
            return math.nan
        today = self.figures.today
        worth = today.evaluation.objective if (today.rep >= 0).any() else math.nan
        return captured_share(self.objective, today=worth, bound=self.bound)

    @property
    def split_of_gap(self) -> GapSplit:
        """Where the gap sits, by account and rule, in parts that add up to it. Cost: one look at all pairs.

        Raise :class:`TerritoryError` if hard rules are broken (there is no gap then).

        >>> import territory_opt as to
        >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
        >>> found = result.split_of_gap
        >>> round(found.in_accounts + found.in_rules - found.ruled_out, 2) == round(result.gap_money, 2)
        True
        """
        return split_gap(self.figures, self.certificate, broken=self.broken_rules, bound=self.bound)

    @property
    def problem(self) -> Problem:
        """The problem that the plan is for."""
        return self.model.problem

    @property
    def reps(self) -> pd.DataFrame:
        """One row per rep: book, range of sales, quota and odds, balance, hours and travel.

        Columns rep_id, name, manager, accounts, accounts_in, accounts_out; expected_sales, low_80 and high_80 (sales
        that count for the rep and their 80 % range) in money; quota, last_quota and hit_probability if the plan sets
        quotas; METRIC_of_fair_share and METRIC_today_of_fair_share of each balanced metric; hours_per_year,
        capacity_hours_per_year, travel_km_per_year.
        """
        return tables.reps_table(self.figures)

    @property
    def accounts(self) -> pd.DataFrame:
        """One row per account: who has it today, who gets it, what it may bring.

        Columns account_id, name, segment, rep_id, rep (name), incumbent (rep_id), change (stays, moves, new: nobody has
        it today); potential, current_sales, expected_sales (net of what a change may lose), sales_at_risk and
        travel_cost in money; hours_per_year with travel, distance_km from the rep's home, fit_share of skills.
        """
        return tables.accounts_table(self.figures)

    @property
    def quotas(self) -> pd.DataFrame:
        """One row per rep and period: rep_id, name, period, quota in money of that period. Empty without quotas."""
        return tables.quotas_table(self.figures)

    @property
    def moves(self) -> pd.DataFrame:
        """One row per account that goes from one rep to another, largest sales first.

        The columns of :attr:`accounts`, with from_rep_id, from_rep, to_rep_id and to_rep, and distance_before_km and
        fit_before_share of the rep it leaves.
        """
        return tables.moves_table(self.figures)

    def summary(self) -> dict[str, Any]:
        """Return every headline number, by name; numbers that are not known are NaN.

        What ``plan.json`` states but its lists (status, objective, bound, gap, gap_money, moved_accounts, sales_at_risk
        ...), and: months (that money is for), broken_rules, gain_over_today, captured (see :attr:`captured`),
        expected_sales with low_80 and high_80 (of the company), quotas_total, target, expected_hits (reps),
        p_company_target (probability). cut_short names what the time limit or Ctrl-C ended, empty if nothing. Money is
        in ``currency`` for ``months`` months; gap is a share of the objective.
        """
        claims = self.claims()
        lines = headlines(claims) | {"months": self.problem.policy.period.months, "broken_rules": self.broken_rules}
        if "incumbent_objective" in claims:
            gained = lines["objective"] - lines["incumbent_objective"]
            lines |= {"gain_over_today": gained, "captured": self.captured, **self._expectation()}
        return lines

    def plot_map(self, *, ax: Axes | None = None) -> Axes:
        """Draw accounts by rep with homes; return the axes. Raise :class:`TerritoryError` if matplotlib is missing."""
        return plots.plot_map(self.figures, note=self._standing(), ax=ax)

    def plot_quotas(self, *, ax: Axes | None = None) -> Axes:
        """Draw each rep's 80 % range, quota and odds; return the axes.

        Raise :class:`NoPlanError` if the plan sets no quotas, :class:`TerritoryError` if matplotlib is missing.
        """
        return plots.plot_quotas(self.figures, note=self._standing(), ax=ax)

    def _expectation(self) -> dict[str, Any]:
        odds = self.figures.odds
        found = {"expected_sales": odds.p50, "low_80": odds.p10, "high_80": odds.p90}
        if self.plan.has_quotas:
            found |= {
                "quotas_total": float(self.plan.annual.sum()),
                "target": float(self.problem.policy.quotas.target or 0.0),
                "expected_hits": odds.expected_hits,
                "p_company_target": odds.p_company_target,
            }
        return found

    def _standing(self) -> str:
        """Say how good the plan is, in one line."""
        policy, left = self.problem.policy, self.gap_money
        if self.broken_rules:
            return f"breaks {self.broken_rules:,} hard rules: the least bad plan"
        if not math.isfinite(left):
            return "how much better a plan could be is not known"
        most = math.ceil(max(left, 0.0) * 100.0) / 100.0  # rounded up: "at most" stays true
        return f"at most {policy.currency} {most:,.2f} {policy.period.term} left to gain"

    def _lines(self) -> dict[str, str]:
        """Return what a reader wants to know first, label and text."""
        policy, found = self.problem.policy, self.summary()
        lines = {"status": str(found["status"])}
        try:
            plan = self.plan
        except NoPlanError as error:
            return {**lines, "plan": str(error)}
        unit = f"{policy.currency} {policy.period.term}"
        lines["territories"] = f"{found['moved_accounts']:,} of {found['accounts']:,} accounts move"
        lines["sales at risk"] = f"{found['sales_at_risk']:,.0f} {unit}"
        lines["expected sales"] = (
            f"{found['expected_sales']:,.0f} {unit} ({found['low_80']:,.0f} to {found['high_80']:,.0f})"
        )
        if plan.has_quotas:
            lines["quotas"] = f"{found['quotas_total']:,.0f} for a target of {found['target']:,.0f} {unit}"
            lines["should make theirs"] = f"{found['expected_hits']:.0f} of {found['reps']:,} reps"
            lines["odds of the target"] = f"{found['p_company_target']:.0%}"
        lines["worth by the rules"] = f"{found['objective']:,.2f} {unit}; today {found['incumbent_objective']:,.2f}"
        lines["room for better"] = "; ".join(filter(None, [self._standing(), over_today(self.captured)]))
        return lines

    def _repr_html_(self) -> str:
        return html_lines(type(self).__name__, self._lines())


def headlines(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single figures of ``plan.json``, those that are not known as NaN; what was cut short as one text."""
    found = {key: math.nan if value is None else value for key, value in claims.items() if key not in NOT_HEADLINES}
    return found | {"cut_short": ", ".join(claims.get("cut_short", ()))}
