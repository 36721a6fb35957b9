"""What a sales history holds that changes how quotas come about: gaps, returns, changes of rep, no sales at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.intake.checks import Findings, row_of, rows_lie
from territory_opt.problem.calendar import before_plan_year, last_year, month_numbers, month_text
from territory_opt.problem.numbers import MONTHS_PER_YEAR
from territory_opt.problem.policy import Policy
from territory_opt.words import MOST_NAMED, listed

LONG_GAP = MONTHS_PER_YEAR
"""Months without any sales beyond which what lies before them is another story, or a month mistyped."""
GAP, STEADY, STEADY_ROWS = 3, 0.03, MONTHS_PER_YEAR
"""Empty months worth a word in an account that else misses three months in a hundred at most, over so many rows. A
convention: such an account orders every month, a quarter without a row is more often a file that is missing."""


def after_long_gap(sales: pd.DataFrame, policy: Policy, findings: Findings) -> pd.DataFrame:
    """Return the rows after the last stretch of ``LONG_GAP`` months in which nobody sold, and warn of those before.

    One row of twenty years ago would otherwise be twenty years without sales. It is an error where what comes after is
    the lesser part, and less than twelve months with sales: then the history lies before. Gaps that end in the plan
    year or later are none: such rows are left out, what comes before is kept. The index of ``sales`` is the place in
    the table given.
    """
    known = np.unique(_ordinals(before_plan_year(sales[sales["sales"] != 0], policy)))
    breaks = np.flatnonzero(np.diff(known) > LONG_GAP)
    if not len(breaks):
        return sales
    before, after = known[breaks[-1]], known[breaks[-1] + 1]
    month = month_numbers(sales["month"])
    # NaT has the smallest ordinal.
    old, new = sales["month"].notna().to_numpy() & (month < after), (month >= after) & (month <= known[-1])
    gap = f"{after - before - 1} months without any sales ({month_text(before)} to {month_text(after)})"
    if (known >= after).sum() < MONTHS_PER_YEAR and new.sum() < old.sum():
        where = f"after {gap}, but there are {int(old.sum()):,} before"
        fix = "correct the month, add the months that are missing, or take the rows before out of the table"
        _say(sales, new, where, fix, findings.error)
        return sales
    where, fix = f"before {gap}: left out of everything", "add the months that are missing, or correct the month"
    _say(sales, old, where, fix, findings.warn)
    kept: pd.DataFrame = sales[~old]
    return kept


def _say(sales: pd.DataFrame, rows: npt.NDArray[np.bool_], where: str, fix: str, record: Callable[..., None]) -> None:
    """Record that so many ``rows`` lie there, at the first of them."""
    at = int(np.flatnonzero(rows)[0])
    record(
        "sales",
        row_of(int(sales.index[at])),
        "month",
        f"{sales['month'].iloc[at]:%Y-%m}",
        f"{rows_lie(int(rows.sum()))} {where}",
        fix,
    )


def check_history(sales: pd.DataFrame, accounts: pd.DataFrame, reps: pd.DataFrame, findings: Findings) -> None:
    """Say what is particular about ``sales`` (cleaned). Cost: linear in rows."""
    _short(sales, findings)
    _gaps(sales, findings)
    _returns(sales, findings)
    _changes(sales, findings)
    _without_history(sales, accounts, reps, findings)


def _ordinals(sales: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The months of the rows that name one, as ordinals."""
    return month_numbers(sales["month"].dropna())


def _short(sales: pd.DataFrame, findings: Findings) -> None:
    """Warn of a history of less than a year."""
    months = _ordinals(sales)
    length = int(np.ptp(months)) + 1 if len(months) else MONTHS_PER_YEAR
    if length >= MONTHS_PER_YEAR:
        return
    some, given = ("one month", "is given") if length == 1 else (f"{length} months", "are given")
    problem = (
        f"only {some} of history {given}: sums of the last 12 months are of {some}, so that sales at risk and guards "
        "against last year come out low, and nothing is known of seasons"
    )
    first = f"{sales['month'].min():%Y-%m}"
    findings.warn("sales", 0, "month", first, problem, "add a year; give last_quota and last_sales of the reps")


def _gaps(sales: pd.DataFrame, findings: Findings) -> None:
    """Say which accounts sold month after month, then nothing for a while, then again: perhaps rows are missing."""
    sold = sales[["account_id", "month"]].dropna().drop_duplicates()
    code, ids = pd.factorize(sold["account_id"], sort=True)
    month = _ordinals(sold)
    order = np.lexsort((month, code))
    code, month = code[order], month[order]
    apart = np.where(np.diff(code) == 0, np.diff(month) - 1, 0)
    empty = np.zeros(len(ids), dtype=np.int64)
    np.add.at(empty, code[1:], apart)
    rows = np.bincount(code, minlength=len(ids))
    largest = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(largest, code[1:], apart)
    odd = np.flatnonzero((largest >= GAP) & (rows >= STEADY_ROWS) & (empty - largest <= STEADY * rows))
    if not len(odd):
        return
    named = []
    for account in odd[:MOST_NAMED]:
        at = int(np.flatnonzero((code[1:] == account) & (apart == largest[account]))[0])
        first, last = (month_text(number) for number in (month[at] + 1, month[at + 1] - 1))
        named.append(f"{ids[account]} from {first} to {last}")
    who = listed(named, most=MOST_NAMED, count=len(odd))
    many = "1 account that sells" if len(odd) == 1 else f"{len(odd):,} accounts that sell"
    has = "has" if len(odd) == 1 else "have"
    problem = (
        f"{many} nearly every month {has} no rows for {GAP} months or more ({who}): they count as months without sales"
    )
    findings.imputed("sales", 0, "month", "", problem)


def _returns(sales: pd.DataFrame, findings: Findings) -> None:
    """Warn of amounts below zero: they count against the account, and are no error."""
    below = sales[sales["sales"] < 0]
    if len(below):
        ids = below["account_id"].drop_duplicates()
        who = listed(ids.tolist(), most=MOST_NAMED)
        many = "1 amount is" if len(below) == 1 else f"{len(below):,} amounts are"
        problem = f"{many} below zero, {below['sales'].sum():,.2f} in all ({who}): they count as returns of that month"
        findings.warn("sales", 0, "sales", "", problem, "nothing to do if they are returns or credits")


def _changes(sales: pd.DataFrame, findings: Findings) -> None:
    """Say which accounts changed rep in the last 12 months: sales count for the account, whoever sold.

    Another rep has sold there before and no longer in the last month with sales; returns are nobody's sales.
    """
    recent = last_year(sales[(sales["rep_id"] != "") & (sales["sales"] > 0)]).sort_values("month", kind="stable")
    if recent.empty:
        return
    latest = recent.drop_duplicates("account_id", keep="last").set_index("account_id")
    last, until = latest["rep_id"], latest["month"].reindex(recent["account_id"]).to_numpy()
    still = recent.loc[recent["month"].to_numpy() == until, ["account_id", "rep_id"]].drop_duplicates()
    selling = pd.MultiIndex.from_frame(still)
    earlier = recent[~pd.MultiIndex.from_frame(recent[["account_id", "rep_id"]]).isin(selling)]
    before = earlier.drop_duplicates("account_id", keep="last").set_index("account_id")["rep_id"]
    if before.empty:
        return
    some = [f"{account} from {before[account]} to {last[account]}" for account in before.index[:MOST_NAMED]]
    named = listed(some, most=MOST_NAMED, count=len(before))
    many = "1 account" if len(before) == 1 else f"{len(before):,} accounts"
    problem = (
        f"{many} changed rep in the last 12 months ({named}): expected sales follow the account, "
        "whoever sold; last_sales of a rep is what that rep sold"
    )
    findings.imputed("sales", 0, "rep_id", "", problem)


def _without_history(sales: pd.DataFrame, accounts: pd.DataFrame, reps: pd.DataFrame, findings: Findings) -> None:
    """Warn of reps none of whose accounts ever sold anything, and who sold nothing themselves."""
    ever = set(sales.loc[sales["sales"] > 0, "account_id"])
    selling = accounts.loc[accounts["account_id"].isin(ever), "incumbent"]
    known = set(selling) | set(sales.loc[sales["sales"] > 0, "rep_id"])
    counts = accounts["incumbent"].value_counts()
    for position, rep in enumerate(reps["rep_id"]):
        if rep in known or rep not in counts.index:
            continue
        count = int(counts[rep])
        whose = "the one account of this rep has" if count == 1 else f"the {count:,} accounts of this rep have"
        problem = f"{whose} no sales on record: what is expected of them comes from potential and segment alone"
        findings.warn("reps", row_of(position), "rep_id", rep, problem, "look at that quota by hand")
