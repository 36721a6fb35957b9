"""Fill what the tables leave open from what they say elsewhere, and list every cell that was filled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from territory_opt.geography.sphere import degrees_of, weighted_middles
from territory_opt.intake.checks import Findings, Names, row_of
from territory_opt.intake.parse import Floats
from territory_opt.problem.calendar import first_month, last_year, of_months, quota_months, same_months
from territory_opt.problem.policy import Hours, Policy
from territory_opt.words import named

_ABSENT = {
    ("accounts", "workload"): "no such column; every account counts as 0 hours of service",
    ("accounts", "incumbent"): "no such column; no account has a rep today, so nothing counts as moved",
    ("reps", "fte"): "no such column; every rep counts as 1 full-time equivalent",
    ("reps", "ramp"): "no such column; every rep counts as fully productive",
    ("reps", "manager"): "no such column; every rep reports to the company",
    ("managers", "level"): 'no such column; every node counts as level "manager"',
    ("managers", "reports_to"): "no such column; every node reports to the company",
}


def list_defaults(given: Mapping[str, pd.DataFrame], findings: Findings) -> None:
    """Record the columns that are absent as a whole and whose default matters."""
    for (table, column), problem in _ABSENT.items():
        if table in given and column not in [str(label).strip() for label in given[table].columns]:
            findings.imputed(table, 0, column, "", problem)


def empty_sales() -> pd.DataFrame:
    """Return a sales table without rows."""
    return pd.DataFrame(
        {
            "account_id": pd.Series([], dtype=object),
            "month": pd.Series(np.array([], dtype="datetime64[s]")),
            "sales": pd.Series([], dtype=np.float64),
            "rep_id": pd.Series([], dtype=object),
        }
    )


def fill_names(frame: pd.DataFrame, key: str) -> None:
    """Use the id where there is no name (cosmetic, so not listed)."""
    frame["name"] = frame["name"].where(frame["name"] != "", frame[key])


def fill_visits(accounts: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Use the policy's visits per year where the table is silent."""
    per_year = policy.territories.travel.visits_per_year
    at = np.flatnonzero(accounts["visits"].isna().to_numpy())
    accounts["visits"] = accounts["visits"].fillna(per_year)
    problem = f"set to {per_year:g} visits a year (territories.travel.visits_per_year)"
    findings.filled("accounts", "visits", at, len(accounts), problem)


def fill_capacity(reps: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Use fte x hours per FTE where the table is silent."""
    per_fte = (policy.territories.hours or Hours()).per_fte
    at = np.flatnonzero(reps["capacity_hours"].isna().to_numpy())
    reps["capacity_hours"] = reps["capacity_hours"].fillna(reps["fte"] * per_fte)
    findings.filled("reps", "capacity_hours", at, len(reps), f"set to fte x {per_fte:g} hours")


def fill_current_sales(accounts: pd.DataFrame, sales: pd.DataFrame | None, given: bool, findings: Findings) -> None:
    """Set ``current_sales`` to the last 12 months of the sales table, else keep the column, else 0."""
    if sales is None:
        at = np.flatnonzero(accounts["current_sales"].isna().to_numpy())
        accounts["current_sales"] = accounts["current_sales"].fillna(0.0)
        if given:
            findings.filled("accounts", "current_sales", at, len(accounts), "set to 0")
        else:
            problem = "neither this column nor a sales table is given; no revenue is at risk when accounts move"
            findings.warn("accounts", 0, "current_sales", "", problem, "give a sales table or this column")
        return
    recent = last_year(sales)
    total = recent.groupby("account_id")["sales"].sum()
    values = accounts["account_id"].map(total).fillna(0.0).to_numpy(dtype=np.float64).copy()
    months = f"{recent['month'].min():%Y-%m} to {recent['month'].max():%Y-%m}" if len(recent) else "no months"
    instead = "; the column of the accounts table is not used" if given else ""
    text = f"summed from {findings.label('sales')}, {months}{instead}"
    findings.imputed("accounts", 0, "current_sales", "", text)
    for position in np.flatnonzero(values < 0):
        findings.imputed(
            "accounts", row_of(position), "current_sales", values[position], "credits exceed sales; set to 0"
        )
    accounts["current_sales"] = np.maximum(values, 0.0)


def fill_last_quota(reps: pd.DataFrame, history: pd.DataFrame | None, policy: Policy, findings: Findings) -> None:
    """Sum last year's part of the quota history where the reps table names no last quota."""
    if history is None or history.empty:
        return
    first, length = quota_months(history)
    start = first_month(policy)
    early = first < start
    if not early.any():
        return
    # Of each period the part counts whose months lie in the rep's last year, and in the months that the plan has.
    latest = pd.Series(np.where(early, first, 0)).groupby(history["rep_id"].to_numpy()).transform("max")
    last = latest.to_numpy()[:, None] + length
    months = first[:, None] + np.arange(length)
    counts = (months >= last - 12) & (months < last) & ((months - start) % 12 < policy.period.months)
    known = counts.any(axis=1) & early
    total = (history["quota"] * counts.mean(axis=1))[known].groupby(history["rep_id"][known]).sum()
    found = reps["rep_id"].map(total)
    at = np.flatnonzero((reps["last_quota"].isna() & found.notna()).to_numpy())
    reps["last_quota"] = reps["last_quota"].fillna(found).astype(np.float64)
    text = f"summed from {of_months(policy)} of {findings.label('quota_history')}"
    findings.filled("reps", "last_quota", at, len(reps), text)


def fill_last_sales(
    reps: pd.DataFrame, accounts: pd.DataFrame, sales: pd.DataFrame | None, policy: Policy, findings: Findings
) -> None:
    """Sum each rep's sales of the same months last year: by seller where the sales table names it, else by incumbent.

    Current sales of the accounts are of a whole year, of which the plan's part counts.
    """
    if sales is not None and (sales["rep_id"] != "").any():
        recent = same_months(sales, policy)
        total = recent[recent["rep_id"] != ""].groupby("rep_id")["sales"].sum()
        text = f"summed by rep_id from {of_months(policy)} of {findings.label('sales')}"
    else:
        amounts, whose = _by_account(accounts, sales, policy)
        if not amounts.any():
            return
        served = accounts["incumbent"] != ""
        total = amounts[served].groupby(accounts["incumbent"][served]).sum()
        text = f"summed over the accounts the rep serves today{whose}"
    found = reps["rep_id"].map(total)
    at = np.flatnonzero((reps["last_sales"].isna() & found.notna()).to_numpy())
    reps["last_sales"] = reps["last_sales"].fillna(found).astype(np.float64)
    findings.filled("reps", "last_sales", at, len(reps), text)


def _by_account(accounts: pd.DataFrame, sales: pd.DataFrame | None, policy: Policy) -> tuple[pd.Series[float], str]:
    """Sales of the same months last year by account, (n_accounts,), and what that is in words."""
    if policy.period.months == 12:
        return accounts["current_sales"], ""
    if sales is None:
        return accounts["current_sales"] * policy.period.part, f", {policy.period.months} twelfths of current_sales"
    total = same_months(sales, policy).groupby("account_id")["sales"].sum()
    return accounts["account_id"].map(total).fillna(0.0).clip(lower=0.0), f", {of_months(policy)}"


class Dealings:
    """Which rep serves or has sold to which account, as parallel arrays of positions and sales."""

    def __init__(self, accounts: pd.DataFrame, reps: Names, sales: pd.DataFrame | None, account_names: Names) -> None:
        served = pd.DataFrame(
            {
                "account": np.arange(len(accounts)),
                "rep": reps.positions(accounts["incumbent"].to_numpy(dtype=object)),
                "sales": accounts["current_sales"].fillna(0.0).to_numpy(),
            }
        )
        parts = [served]
        if sales is not None:
            total = sales.groupby(["account_id", "rep_id"], sort=False)["sales"].sum().reset_index()
            sold = pd.DataFrame(
                {
                    "account": account_names.positions(total["account_id"].to_numpy(dtype=object)),
                    "rep": reps.positions(total["rep_id"].to_numpy(dtype=object)),
                    "sales": total["sales"].to_numpy(),
                }
            )
            parts = [sold, served]
        pairs = pd.concat(parts, ignore_index=True)
        pairs = pairs[(pairs["rep"] >= 0) & (pairs["account"] >= 0)].drop_duplicates(["rep", "account"])
        self.pairs = pairs.reset_index(drop=True)


def fill_homes(reps: pd.DataFrame, accounts: pd.DataFrame, dealings: Dealings, findings: Findings) -> None:
    """Place reps without a home in the weighted middle of their accounts; record those without any account."""
    lat, lon = reps["lat"].to_numpy().copy(), reps["lon"].to_numpy().copy()
    homeless = np.flatnonzero(np.isnan(lat) & np.isnan(lon))
    if not len(homeless):
        return
    middles, words = _middles(accounts, dealings, len(reps))
    found_lat, found_lon = degrees_of(middles)
    for position in homeless:
        row = row_of(position)
        if not words[position]:
            who = named(reps["name"][position], reps["rep_id"][position])
            problem = f"{who} has no home, and no account to infer it from"
            findings.error("reps", row, "lat", "", problem, "write lat and lon")
            continue
        lat[position], lon[position] = found_lat[position], found_lon[position]
        where = f"{found_lat[position]:.3f}, {found_lon[position]:.3f}"
        findings.imputed("reps", row, "lat", where, f"home set to the {words[position]} middle of the rep's accounts")
    reps["lat"], reps["lon"] = lat, lon


def _middles(accounts: pd.DataFrame, dealings: Dealings, n: int) -> tuple[Floats, list[str]]:
    """Return the middle of each rep's accounts, weighted by sales, else potential, else equally; and how."""
    pairs = dealings.pairs
    account, rep = pairs["account"].to_numpy(), pairs["rep"].to_numpy()
    lat, lon = accounts["lat"].to_numpy()[account], accounts["lon"].to_numpy()[account]
    here = np.isfinite(lat) & np.isfinite(lon)
    account, rep, lat, lon = account[here], rep[here], lat[here], lon[here]
    potential = accounts["potential"].fillna(0.0).to_numpy()[account]
    choices = {
        "sales-weighted": np.maximum(pairs["sales"].fillna(0.0).to_numpy()[here], 0.0),
        "potential-weighted": potential,
        "unweighted": np.ones(len(account)),
    }
    out = np.zeros((n, 3))
    words = [""] * n
    for word, weights in choices.items():
        largest = weights.max(initial=0.0) or 1.0
        middles = weighted_middles(rep, weights / largest, lat, lon, n)
        total = np.bincount(rep, weights / largest, minlength=n)
        for position in np.flatnonzero(total > 0):
            if not words[position]:
                words[position], out[position] = word, middles[position]
    return out, words


def fill_skills(
    reps: pd.DataFrame, accounts: pd.DataFrame, dealings: Dealings, policy: Policy, findings: Findings
) -> None:
    """Fill skill columns the reps table lacks with the values of the accounts each rep serves or has sold to."""
    for column in policy.territories.skills.from_history:
        if column not in accounts or (column in reps and (reps[column] != "").any()):
            continue
        values = accounts[column].to_numpy(dtype=object)[dealings.pairs["account"].to_numpy()]
        of_rep: list[dict[str, None]] = [{} for _ in range(len(reps))]
        pairs = pd.DataFrame({"rep": dealings.pairs["rep"], "value": values}).drop_duplicates()
        for rep, value in zip(pairs["rep"], pairs["value"], strict=True):
            of_rep[rep].update(dict.fromkeys(part for part in value.split(";") if part))
        cells = [";".join(sorted(found)) for found in of_rep]
        reps[column] = pd.Series(cells, dtype=object)
        for position, cell in enumerate(cells):
            if cell:
                text = "filled with the values of the accounts the rep serves or has sold to"
                findings.imputed("reps", row_of(position), column, cell, text)
            else:
                who = named(reps["name"][position], reps["rep_id"][position])
                problem = f"{who} serves nobody and has no history"
                findings.warn("reps", row_of(position), column, "", problem, "write the skills into the reps table")
