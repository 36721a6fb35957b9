"""What a sales history holds that changes how quotas come about: returns, changes of rep, reps without any sales."""

from __future__ import annotations

import pandas as pd

from territory_opt.problem.checks import Findings, row_of
from territory_opt.problem.fill import last_year

SHOWN = 5
"""Ids named in one message."""


def check_history(sales: pd.DataFrame, accounts: pd.DataFrame, reps: pd.DataFrame, findings: Findings) -> None:
    """Say what is particular about ``sales`` (cleaned). Cost: linear in rows."""
    _returns(sales, findings)
    _changes(sales, findings)
    _without_history(sales, accounts, reps, findings)


def _returns(sales: pd.DataFrame, findings: Findings) -> None:
    """Warn of amounts below zero: they count against the account, and are no error."""
    below = sales[sales["sales"] < 0]
    if len(below):
        ids = below["account_id"].drop_duplicates()
        who = _listed(ids[:SHOWN].tolist(), len(ids))
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
    named = _listed(
        [f"{account} from {before[account]} to {last[account]}" for account in before.index[:SHOWN]], len(before)
    )
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


def _listed(first: list[str], count: int) -> str:
    """The ``first`` of ``count`` names, and how many more there are."""
    return ", ".join(first) + (f" and {count - len(first):,} more" if count > len(first) else "")
