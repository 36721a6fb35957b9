"""The audit: every hard rule a plan breaks, found from the data alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.model.rows import Rows
from territory_opt.model.rules import ASSIGNMENT, QUOTAS_TIE
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan, split_periods
from territory_opt.plan.rollup import off_steps, roll_up_problems
from territory_opt.problem.numbers import HALF_CENT
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]

ROW_TOLERANCE = 1e-6
"""A row counts as broken when it is outside its limits by more than this share of its scale."""
MOST_DIGITS = 9
"""Decimals of an amount in words: far below any tolerance."""
QUOTA_TOLERANCE = HALF_CENT
"""Rows on quotas alone are exact to the cent."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: by how much (``amount``, in ``unit``) the ``value`` of ``subject`` is outside the ``limit``.

    ``rule`` is its name ("balance: potential"), ``subject`` the rep, account, family or node of the hierarchy.
    ``share`` is the amount as a share of what is fair or allowed (0: there is none), ``sentence`` the rule in words.
    """

    rule: str
    subject: str
    amount: float
    unit: str = ""
    value: float = 0.0
    limit: float = 0.0
    share: float = 0.0
    sentence: str = ""

    def __str__(self) -> str:
        side = "above" if self.value > self.limit else "below"
        if self.unit and (self.value or self.limit):
            digits = digits_of(self.amount)
            value, limit = f"{self.value:,.{digits}f} {self.unit}", f"the limit of {self.limit:,.{digits}f}"
            share = f" ({self.share:.0%} of what is fair or allowed)" if 0.005 <= self.share < 100 else ""
            return f"{self.subject}: {self.rule} is {value}, {self.amount:,.{digits}f} {side} {limit}{share}"
        return f"{self.subject}: {self.rule}: {self.sentence}"


def digits_of(amount: float) -> int:
    """Decimals with which an amount does not look like nothing: none from ten on and for counts, else two figures."""
    if amount >= 10 or amount == round(amount) or not amount > 0:
        return 0
    return min(1 - math.floor(math.log10(amount)), MOST_DIGITS)


def audit(problem: Problem, plan: Plan) -> list[Violation]:
    """List every hard rule that ``plan`` breaks; an empty list means it breaks none. Knows no solver.

    >>> import territory_opt as to
    >>> problem = to.load_scenario("scenarios/toy").problem()
    >>> result = to.solve(problem, time_limit=10)
    >>> to.audit(problem, result.plan)
    []
    >>> stricter = to.load_scenario("scenarios/toy", overrides={"territories.keep.max_moved_accounts": 0}).problem()
    >>> [violation.rule for violation in to.audit(stricter, result.plan)]
    ['moved accounts']
    """
    return audit_figures(Figures(Model.build(problem, kappa=plan.kappa), plan))


def audit_figures(figures: Figures) -> list[Violation]:
    """As :func:`audit`, for a plan whose figures may be known already."""
    model, plan = figures.model, figures.plan
    twice = plan.assignment.index.has_duplicates or plan.annual.index.has_duplicates
    rows = [] if twice else broken_rows(figures)
    known = {(violation.rule, violation.subject) for violation in rows}
    return [
        *_assignment_problems(figures),
        *_eligibility_problems(figures),
        *_family_problems(figures),
        *rows,
        *(found for found in _quota_problems(model, plan) if (found.rule, found.subject) not in known),
    ]


def of_territories(model: Model, violations: Sequence[Violation]) -> list[Violation]:
    """Return those of the rules that how things stand is held against: those of territories.

    Its quotas need not keep this year's rules, and its accounts may have no rep.
    """
    beyond = {row.rule for row in model.rows.items if row.sets_quotas} | {ASSIGNMENT, *QUOTAS_TIE}
    return [violation for violation in violations if violation.rule not in beyond]


def broken_rows(figures: Figures) -> list[Violation]:
    """List the hard rows the plan breaks."""
    model, found = figures.model, figures.evaluation
    value = model.rows.activity(found.totals, figures.quotas)
    violations = []
    for r in np.flatnonzero(model.rows.hard & (np.abs(found.outside) > row_tolerances(model.rows))):
        row = model.rows.items[r]
        amount = float(found.outside[r])
        violations.append(
            Violation(
                row.rule,
                row.subject,
                abs(amount),
                row.unit,
                float(value[r]),
                row.low if amount < 0 else row.high,
                abs(amount) / row.scale,
                row.sentence,
            )
        )
    return violations


def row_tolerances(rows: Rows) -> FloatArray:
    """How far each row may be outside its limits and still count as kept, (n_rows,)."""
    alone = np.array([not row.totals for row in rows.items], dtype=bool)
    return np.where(alone, QUOTA_TOLERANCE, ROW_TOLERANCE * rows.scale)


def _assignment_problems(figures: Figures) -> list[Violation]:
    """Accounts without a rep, with two, or with one nobody knows; accounts nobody knows."""
    model, plan = figures.model, figures.plan
    known = pd.Index(model.problem.accounts["account_id"])
    found = [
        Violation("assignment", str(a), 1.0, sentence="the plan names it twice")
        for a in plan.assignment.index[plan.assignment.index.duplicated()]
    ]
    found += [
        Violation("assignment", str(a), 1.0, sentence="the account is not in the accounts table")
        for a in plan.assignment.index.difference(known)
    ]
    if plan.assignment.index.has_duplicates:
        return found
    rep = figures.rep
    wanted = plan.assignment.reindex(known)
    for i in np.flatnonzero(rep < 0):
        who = wanted.iloc[i]
        text = "has no rep" if pd.isna(who) else f'rep "{who}" is not in the reps table'
        found.append(Violation("assignment", str(known[i]), 1.0, sentence=text))
    return found


def _eligibility_problems(figures: Figures) -> list[Violation]:
    """Accounts with a rep who may not serve them, with the rule that forbids it."""
    model, plan = figures.model, figures.plan
    if plan.assignment.index.has_duplicates:
        return []
    rep = figures.rep
    found: list[Violation] = []
    accounts = np.flatnonzero(rep >= 0)
    distance = model.source.eligibility.distance_km(accounts, rep[accounts])
    for reason, excluded in model.source.eligibility.drop_reasons(accounts, distance, rep[accounts]):
        for account in accounts[excluded]:
            subject = str(model.problem.accounts["account_id"].iloc[account])
            who = model.problem.reps["rep_id"].iloc[rep[account]]
            found.append(Violation("eligibility", subject, 1.0, sentence=f"{who}: {reason}"))
    return found


def _family_problems(figures: Figures) -> list[Violation]:
    """Families whose accounts are with more than one rep; an account without a rep parts no family."""
    model, plan = figures.model, figures.plan
    if plan.assignment.index.has_duplicates:
        return []
    accounts = model.problem.accounts
    rep = pd.Series(figures.rep)
    named = (accounts["family"] != "") & (rep >= 0)
    reps_per_family = rep[named].groupby(accounts["family"][named]).nunique()
    return [
        Violation("family", str(family), float(count - 1), sentence=f"its accounts are with {count} reps")
        for family, count in reps_per_family[reps_per_family > 1].items()
    ]


def _quota_problems(model: Model, plan: Plan) -> list[Violation]:
    """Quotas that are missing, off the step, off their periods, or that do not roll up to the cent."""
    if not model.has_quotas:
        return []
    reps, step = model.problem.reps["rep_id"], model.problem.policy.quotas.step
    if plan.annual.index.has_duplicates:
        doubled = plan.annual.index[plan.annual.index.duplicated()]
        return [Violation("quota", str(rep), 1.0, sentence="the plan sets two quotas") for rep in doubled]
    known = plan.annual[np.isfinite(plan.annual)].index
    missing = [str(rep) for rep in reps if rep not in known]
    found = [Violation("quota", rep, 1.0, sentence="the plan sets no quota") for rep in missing]
    strangers = plan.annual.index.difference(pd.Index(reps))
    found += [Violation("quota", str(rep), 1.0, sentence="is not in the reps table") for rep in strangers]
    if found:
        return found
    periods = plan.quotas.groupby("rep_id")["quota"].sum().reindex(plan.annual.index).fillna(0.0)
    for rep, year, parts in zip(plan.annual.index, plan.annual, periods, strict=True):
        if year < 0:
            found.append(Violation("quota", str(rep), -year, sentence=f"{year:,.2f} is below 0"))
        elif off_steps(np.array([year]), step)[0]:
            off = abs(year - round(year / step) * step)
            found.append(Violation("quota step", str(rep), off, sentence=f"{year:,.10g} is not a multiple of {step:g}"))
        if abs(parts - year) > HALF_CENT:
            text = f"periods add up to {parts:,.2f}, the year is {year:,.2f}"
            found.append(Violation("period quotas", str(rep), abs(parts - year), sentence=text))
    expected = split_periods(model, plan.assignment, plan.annual).set_index(["rep_id", "period"])["quota"]
    given = plan.quotas.set_index(["rep_id", "period"])["quota"]
    same_rows = not given.index.has_duplicates and given.index.sort_values().equals(expected.index.sort_values())
    if not same_rows or (np.abs(given.reindex(expected.index) - expected) > HALF_CENT).any():
        text = "a period quota is not year x seasonality x days x ramp in whole steps"
        found.append(Violation("period quotas", "Company", 1.0, sentence=text))
    return found + [
        Violation("roll-up", node, abs(cents) / 100.0, sentence=text)
        for node, cents, text in roll_up_problems(model, plan.annual)
    ]


def violation_table(violations: list[Violation]) -> pd.DataFrame:
    """Return violations as a table, worst first."""
    columns = ["rule", "subject", "amount", "unit", "value", "limit", "share", "sentence"]
    rows: list[list[object]] = [[getattr(v, name) for name in columns] for v in violations]
    return pd.DataFrame(rows, columns=columns).sort_values("share", ascending=False, kind="stable", ignore_index=True)
