"""Checks of the tables against each other and against the policy. Nothing is changed but skill cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from territory_opt.intake.checks import Findings, Names, nearest, row_of, rows_lie, skill_columns
from territory_opt.intake.parse import normal_scores, normal_values, part_names
from territory_opt.problem.calendar import (
    before_plan_year,
    first_month,
    month_numbers,
    month_text,
    plan_days,
    quota_months,
)
from territory_opt.problem.numbers import MONTHS_PER_YEAR
from territory_opt.problem.policy import Policy
from territory_opt.problem.schema import ACCOUNTS
from territory_opt.words import MOST_NAMED, listed, named

STALE_MONTHS = 3
"""A history that ends longer before the plan year is worth a warning: a quarter, as a convention; history is
often closed a little late."""
RULE_WORDS = ("lock", "forbid")
_METRICS = ("potential", "workload", "current_sales")
Tables = Mapping[str, pd.DataFrame]


def check_references(table: str, frame: pd.DataFrame, column: str, known: Names, findings: Findings) -> None:
    """Record each non-empty cell of ``column`` that is no known id."""
    values = frame[column].to_numpy(dtype=object)
    for position in np.flatnonzero((values != "") & ~known.known(values)):
        findings.error(table, row_of(position), column, values[position], *known.unknown(values[position]))


def check_currency(tables: Tables, policy: Policy, findings: Findings) -> None:
    """Record each currency that is not the policy's, once per table."""
    for name, frame in tables.items():
        if "currency" not in frame:
            continue
        values = frame["currency"]
        for value, rows in values[(values != "") & (values != policy.currency)].groupby(values, sort=False):
            many = f" ({len(rows):,} rows)" if len(rows) > 1 else ""
            fix = f"convert the amounts to {policy.currency}, or set currency: {value} if all of them are"
            problem = f"not the currency of the plan, {policy.currency}{many}"
            findings.error(name, row_of(int(rows.index[0])), "currency", value, problem, fix)


def check_rep_dates(reps: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Record reps whose dates leave no working day in the plan year, and a team without working time."""
    first, last = plan_days(policy)
    start, end = reps["start_date"], reps["end_date"]
    for position in np.flatnonzero((end < start).to_numpy()):
        problem = f"lies before the start date {start[position]:%Y-%m-%d}"
        findings.error("reps", row_of(position), "end_date", _iso(end[position]), problem, "correct one of the dates")
    for position in np.flatnonzero((end < first).to_numpy()):
        problem = f"{_rep(reps, position)} leaves before the plan year starts ({first:%Y-%m-%d})"
        fix = "remove the rep or change the date"
        findings.error("reps", row_of(position), "end_date", _iso(end[position]), problem, fix)
    for position in np.flatnonzero((start > last).to_numpy()):
        problem = f"{_rep(reps, position)} starts after the plan year ends ({last:%Y-%m-%d})"
        fix = "remove the rep or change the date"
        findings.error("reps", row_of(position), "start_date", _iso(start[position]), problem, fix)
    for position in np.flatnonzero((reps["leave_end"] < reps["leave_start"]).to_numpy()):
        value = _iso(reps["leave_end"][position])
        problem = f"lies before the leave starts ({_iso(reps['leave_start'][position])})"
        findings.error("reps", row_of(position), "leave_end", value, problem, "correct one of the dates")
    for position in np.flatnonzero((reps["leave_end"].isna() != reps["leave_start"].isna()).to_numpy()):
        missing = "leave_end" if reps["leave_end"].isna()[position] else "leave_start"
        problem = f"the leave of {_rep(reps, position)} has only one of its two days"
        findings.error("reps", row_of(position), missing, "", problem, "give first and last day, or neither")
    time = (reps["fte"] * reps["ramp"]).to_numpy()
    if not np.isnan(time).any() and time.sum() <= 0:
        findings.error("reps", 0, "fte", "", "all reps together have no working time", "give reps an fte above 0")


def _iso(day: pd.Timestamp) -> str:
    return f"{day:%Y-%m-%d}"


def _rep(reps: pd.DataFrame, position: int | np.intp) -> str:
    return named(reps["name"][int(position)], reps["rep_id"][int(position)])


def check_policy(accounts: pd.DataFrame, n_reps: int, policy: Policy, findings: Findings) -> None:
    """Record a target that is no goal, and metrics to balance that are no column of numbers."""
    quotas = policy.quotas
    if quotas.target is not None and not 0 < quotas.target < float("inf"):
        fix = "write the goal in money, or leave it out to plan without quotas"
        findings.error("policy", 0, "quotas.target", quotas.target, "the target must be above 0", fix)
    step, reps_count = quotas.step, max(n_reps, 1)
    if quotas.target is not None and 0 < quotas.target < step * reps_count:
        problem = f"is larger than an average quota ({quotas.target / reps_count:,.2f})"
        findings.error("policy", 0, "quotas.step", f"{step:g}", problem, "use a smaller step")
    for metric in policy.territories.balance:
        numeric = metric in accounts and pd.api.types.is_float_dtype(accounts[metric].dtype)
        if metric in _METRICS or (numeric and metric not in ("lat", "lon")):
            continue
        known = [*_METRICS, *(c for c in _extra(accounts) if pd.api.types.is_float_dtype(accounts[c].dtype))]
        problem = "named in territories.balance but not a column of numbers"
        findings.error("accounts", 0, metric, "", problem, nearest(metric, known))


def check_parts(accounts: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Record a column of parts that is not there, parts nobody has, and sums of parts that miss the target."""
    quotas = policy.quotas
    if quotas.target is None or not quotas.by:
        return
    if quotas.by not in accounts:
        known = [str(column) for column in accounts.columns if accounts[column].dtype == object or column == "segment"]
        findings.error("accounts", 0, quotas.by, "", "named in quotas.by but no such column", nearest(quotas.by, known))
        return
    names = part_names(accounts[quotas.by])
    for part in quotas.part_targets:
        if part not in names:
            fix = f"known: {', '.join(names[:10])}"
            findings.error("policy", 0, "quotas.part_targets", part, f"no account has {quotas.by} {part}", fix)
    total = sum(quotas.part_targets.values())
    complete = set(quotas.part_targets) == set(names)
    if total > quotas.target + quotas.step or (complete and abs(total - quotas.target) > quotas.step):
        problem = f"the parts come to {total:,.2f}, the target is {quotas.target:,.2f}"
        findings.error("policy", 0, "quotas.part_targets", f"{total:,.2f}", problem, "make them add up")


def check_guards(reps: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Warn of reps to whom a guard cannot apply for want of last year's quota, sales or OTE."""
    quotas = policy.quotas
    if quotas.target is None:
        return
    needs: dict[str, list[tuple[str, object]]] = {
        "last_quota": [("growth_guard", quotas.growth_guard), ("ratchet_guard", quotas.ratchet_guard)],
        "last_sales": [("ratchet_guard", quotas.ratchet_guard)],
        "ote": [("ote_ratio", quotas.ote_ratio)],
    }
    for column, users in needs.items():
        rules = " and ".join(f"quotas.{name}" for name, setting in users if setting is not None)
        unknown = np.flatnonzero(reps[column].isna().to_numpy())
        if rules and len(unknown):
            shown = listed(
                [_rep(reps, position) for position in unknown[:MOST_NAMED]], most=MOST_NAMED, count=len(unknown)
            )
            problem = f"unknown for {shown}; {rules} cannot hold for them"
            findings.warn("reps", 0, column, "", problem, "fill the cells, or accept reps without this guard")


def check_totals(accounts: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Record metrics to balance that add up to zero."""
    for metric in policy.territories.balance:
        if metric in accounts and not accounts[metric].sum() > 0:
            fix = "fill the column or take it out of territories.balance"
            findings.error("accounts", 0, metric, "", "adds up to zero, so it cannot be balanced", fix)


def check_hedges(managers: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Record a hedge for a level or a node that nobody has."""
    known = ["company", *dict.fromkeys(managers["level"]), *managers["manager_id"]]
    for key in policy.quotas.hedge:
        if key not in known and policy.quotas.target is not None:
            problem = "is neither a level of the managers table nor a manager_id"
            findings.error("policy", 0, f"quotas.hedge.{key}", "", problem, nearest(key, known))


# --- skills -----------------------------------------------------------------------------------------------


def _extra(accounts: pd.DataFrame) -> list[str]:
    known = {column.name for column in ACCOUNTS}
    return [str(column) for column in accounts.columns if column not in known]


def check_skills(accounts: pd.DataFrame, reps: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Check that skill columns exist and are well written; normalise their cells in place."""
    from_history = policy.territories.skills.from_history
    texts = [column for column in _extra(accounts) if not pd.api.types.is_float_dtype(accounts[column].dtype)]
    for column in skill_columns(policy):
        if column not in accounts:
            problem = "named in territories.skills but no such column"
            findings.error("accounts", 0, column, "", problem, nearest(column, texts))
        elif pd.api.types.is_numeric_dtype(accounts[column].dtype):
            findings.error("accounts", 0, column, "", "holds numbers to add up and cannot be a skill as well", "")
        else:
            _normalise("accounts", accounts, column, normal_values, findings)
        if column in reps and pd.api.types.is_object_dtype(reps[column].dtype):
            _normalise("reps", reps, column, normal_scores, findings)
        elif column not in reps and column not in from_history:
            fix = f"add the column, or list {column} under territories.skills.from_history"
            findings.error("reps", 0, column, "", "named in territories.skills but no such column", fix)


def _normalise(table: str, frame: pd.DataFrame, column: str, normal: Callable[[str], str], findings: Findings) -> None:
    codes, unique = pd.factorize(frame[column])
    clean = np.empty(len(unique), dtype=object)
    for at, cell in enumerate(unique):
        try:
            clean[at] = normal(cell)
        except ValueError as error:
            clean[at] = ""
            for position in np.flatnonzero(codes == at):
                fix = 'write "a;b", or scores between 0 and 1 like "a:0.9;b:0.5"'
                findings.error(table, row_of(position), column, cell, str(error), fix)
    frame[column] = pd.Series(clean[codes], dtype=object)


# --- rules ------------------------------------------------------------------------------------------------


def check_rules(tables: Tables, accounts: Names, reps: Names, policy: Policy, findings: Findings) -> None:
    """Record unknown words and ids, expired rules, and rules that contradict each other."""
    rules = tables["rules"]
    rules["rule"] = rules["rule"].str.lower()
    words = rules["rule"].to_numpy(dtype=object)
    for position in np.flatnonzero(~np.isin(words, (*RULE_WORDS, ""))):
        findings.error(
            "rules", row_of(position), "rule", words[position], "no such rule", nearest(words[position], RULE_WORDS)
        )
    check_references("rules", rules, "account_id", accounts, findings)
    check_references("rules", rules, "rep_id", reps, findings)
    start, year_end = plan_days(policy)
    for position in np.flatnonzero((rules["expires"] < start).to_numpy()):
        problem = f"expired before the plan year starts ({start:%Y-%m-%d})"
        fix = "remove the row or set a later date"
        findings.error("rules", row_of(position), "expires", _iso(rules["expires"][position]), problem, fix)
    during = (rules["expires"] >= start) & (rules["expires"] < year_end)
    for position in np.flatnonzero(during.to_numpy()):
        problem = f"ends during the plan year (to {year_end:%Y-%m-%d}); it is kept for the whole year"
        fix = "remove the row if the account should be free"
        findings.warn("rules", row_of(position), "expires", _iso(rules["expires"][position]), problem, fix)
    _contradictions(rules, tables["accounts"], findings)


def _contradictions(rules: pd.DataFrame, accounts: pd.DataFrame, findings: Findings) -> None:
    family = dict(zip(accounts["account_id"], accounts["family"], strict=True))
    locked: dict[str, int] = {}
    locked_family: dict[str, int] = {}
    account_of, rep_of = rules["account_id"], rules["rep_id"]
    for position in np.flatnonzero((rules["rule"] == "lock").to_numpy()):
        account, rep, row = account_of[position], rep_of[position], row_of(position)
        first = locked.setdefault(account, int(position))
        if rep_of[first] != rep:
            problem = f"account {account} is locked to {rep_of[first]} in row {row_of(first)} too"
            findings.error("rules", row, "rep_id", rep, problem, "keep one of the two")
            continue
        group = family.get(account, "")
        first = locked_family.setdefault(group, int(position)) if group else int(position)
        if rep_of[first] != rep:
            problem = (
                f'account {account} is in the family "{group}" of account {account_of[first]}, '
                f"which row {row_of(first)} locks to {rep_of[first]}"
            )
            findings.error("rules", row, "rep_id", rep, problem, "lock the family to one rep")
    _locked_and_forbidden(rules, family, locked, locked_family, findings)


def _locked_and_forbidden(
    rules: pd.DataFrame,
    family: dict[str, str],
    locked: dict[str, int],
    locked_family: dict[str, int],
    findings: Findings,
) -> None:
    account_of, rep_of = rules["account_id"], rules["rep_id"]
    for position in np.flatnonzero((rules["rule"] == "forbid").to_numpy()):
        account, rep, row = account_of[position], rep_of[position], row_of(position)
        first = locked.get(account, locked_family.get(family.get(account, "") or "\0"))
        if first is not None and rep_of[first] == rep:
            whose = "" if account_of[first] == account else f" (by its family, account {account_of[first]})"
            problem = f"account {account} is locked to this rep in row {row_of(first)}{whose}"
            findings.error("rules", row, "rep_id", rep, problem, "remove the lock or the forbid")


# --- sales and quota history ------------------------------------------------------------------------------


def clean_sales(sales: pd.DataFrame, accounts: Names, reps: Names, findings: Findings) -> pd.DataFrame:
    """Return the sales of known accounts, one row per account, month and rep; say what was left out or summed."""
    known = accounts.known(sales["account_id"].to_numpy(dtype=object))
    if len(sales) and not known.any():
        fix = f"compare the ids: {sales['account_id'].iloc[0]} here, {accounts.ids[0]} in {findings.label('accounts')}"
        findings.error("sales", 0, "account_id", "", "no row names an account of the accounts table", fix)
        return sales
    unknown = sales[~known & (sales["account_id"] != "").to_numpy()]
    for account, rows in unknown.groupby("account_id", sort=False):
        problem, fix = accounts.unknown(str(account))
        problem += f"; its {len(rows):,} rows with sales of {rows['sales'].sum():,.2f} are left out"
        findings.warn("sales", row_of(int(rows.index[0])), "account_id", account, problem, fix)
    _warn_former_reps("sales", sales, reps, findings)
    kept = sales[known]
    keys = ["account_id", "month", "rep_id"]
    _warn_repeats("sales", kept, keys, "same account, month and rep", findings)
    summed = kept.groupby(keys, sort=False, dropna=False)["sales"].sum(min_count=1).reset_index()
    # The index stays the place in the table that was given, of the first row summed.
    summed.index = kept.index[~kept.duplicated(keys)]
    return summed.loc[:, ["account_id", "month", "sales", "rep_id"]]


def warn_plan_year(sales: pd.DataFrame, policy: Policy, findings: Findings) -> None:
    """Warn of sales that lie in the plan year or after it, what is being planned must not be known; and of old ones."""
    warn_empty_months(empty_months(before_plan_year(sales, policy)["month"]), findings)
    if sales["month"].notna().any():
        last = int(month_numbers(sales["month"]).max())
        months = first_month(policy) - last - 1
        if months > STALE_MONTHS:
            problem = f"the history ends {months} months before the plan year; what changed since is not known"
            findings.warn("sales", 0, "month", month_text(last), problem, "add the latest months")
    late = sales["month"] >= plan_days(policy)[0]
    if late.any() and not late.all():
        fix = "to plan the rest of a year, use replan"
        _warn_late("sales", "month", late, sales.loc[late, "month"].min(), fix, findings)
    elif late.any():
        problem = "all rows lie in the plan year or after it: they count as the past"
        findings.warn(
            "sales", 0, "month", f"{sales['month'].min():%Y-%m}", problem, "set period.start, or add the past"
        )


def _warn_late(
    table: str, column: str, late: pd.Series[bool], first: pd.Timestamp, fix: str, findings: Findings
) -> None:
    """Warn of rows in the plan year or after it."""
    problem = f"{rows_lie(int(late.sum()))} in the plan year or after it, which is not known before it: left out"
    findings.warn(table, 0, column, f"{first:%Y-%m}", problem, fix)


def empty_months(dates: pd.Series[pd.Timestamp], until: pd.Period | None = None) -> list[str]:
    """Return the months without any of ``dates``, from the first of them to the last or ``until``."""
    have = set(pd.PeriodIndex(dates.dropna(), freq="M"))
    if not have:
        return []
    return [str(month) for month in pd.period_range(min(have), until or max(have), freq="M") if month not in have]


def warn_empty_months(empty: list[str], findings: Findings, *, most: int = MOST_NAMED) -> None:
    """Warn of months in which nobody sold anything: more often a month that is missing than one without sales.

    The first ``most`` are named.
    """
    if empty:
        shown = listed(empty, most=most)
        count = "it counts as a month" if len(empty) == 1 else "they count as months"
        problem = f"no account has a row in {shown}: {count} without sales"
        findings.warn("sales", 0, "month", empty[0], problem, "add what is missing")


def check_quota_history(history: pd.DataFrame, reps: Names, policy: Policy, findings: Findings) -> None:
    """Warn of quotas of unknown reps, of periods given twice, and of those that are no last year's."""
    late = pd.Series(quota_months(history)[0] >= first_month(policy))
    if late.any():
        first = history["period_start"][late].min()
        _warn_late("quota_history", "period_start", late, first, "nothing to do; quotas come from the plan", findings)
    last = history["period_start"].max()
    if pd.notna(last) and last < plan_days(policy)[0] - pd.DateOffset(months=MONTHS_PER_YEAR + STALE_MONTHS):
        problem = f"the quotas end with {last:%Y-%m}: what is filled in as last_quota is of a year long past"
        findings.warn("quota_history", 0, "period_start", f"{last:%Y-%m}", problem, "add the latest quotas")
    _warn_former_reps("quota_history", history, reps, findings)
    _warn_repeats("quota_history", history, ["rep_id", "period_start"], "same rep and period", findings)


def _warn_former_reps(table: str, frame: pd.DataFrame, reps: Names, findings: Findings) -> None:
    values = frame["rep_id"].to_numpy(dtype=object)
    at = np.flatnonzero((values != "") & ~reps.known(values))
    if not len(at):
        return
    who = list(dict.fromkeys(values[at]))
    shown = listed(who, most=MOST_NAMED)
    noun = "a rep who is" if len(who) == 1 else "reps who are"
    rows = "1 row names" if len(at) == 1 else f"{len(at):,} rows name"
    problem = f"{rows} {noun} not in {findings.label('reps')}: {shown}"
    kept = ": what they sold counts for the account" if table == "sales" else ""
    findings.warn(table, row_of(at[0]), "rep_id", values[at[0]], problem, f"nothing to do if they have left{kept}")


def _warn_repeats(table: str, frame: pd.DataFrame, keys: list[str], what: str, findings: Findings) -> None:
    frame = frame.dropna(subset=keys)  # unreadable months are errors of their own
    again = frame.duplicated(keys)
    if not again.any():
        return
    row = frame[again].iloc[0]
    same = (frame[keys] == row[keys]).all(axis=1)
    first, position = int(frame.index[same.to_numpy()][0]), int(frame.index[again.to_numpy()][0])
    count = int(again.sum())
    others = f"; {count:,} rows like this are summed" if count > 1 else "; the two are summed"
    problem = f"repeats row {row_of(first)} ({what}){others}"
    findings.warn(table, row_of(position), keys[0], row[keys[0]], problem, "remove it if it is a copy")
