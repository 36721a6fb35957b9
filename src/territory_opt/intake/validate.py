"""From tables as given to a checked :class:`Problem`: read, check, fill, in that order, with every finding listed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from territory_opt.errors import DataError, GivenError, Issue, ScenarioError
from territory_opt.intake import crosschecks as check
from territory_opt.intake import fill, places
from territory_opt.intake.checks import Findings, names_of, nearest, read_columns
from territory_opt.intake.managers import build_managers
from territory_opt.intake.sales_checks import after_long_gap, check_history
from territory_opt.intake.table_source import TableSource
from territory_opt.intake.tables import read_file
from territory_opt.problem.calendar import before_plan_year
from territory_opt.problem.options import flag, place
from territory_opt.problem.policy import Policy
from territory_opt.problem.problem import Problem, Table
from territory_opt.problem.schema import TABLES


def validate_tables(given: Mapping[str, pd.DataFrame], policy: Policy, *, strict: bool = False) -> Problem:
    """Check the tables against the schema, each other and the policy, and fill what can be inferred.

    ``given`` holds the tables of :data:`territory_opt.problem.schema.TABLES`, of which ``accounts`` and
    ``reps`` are needed; cells may be raw text (read under ``attrs`` of the frame: ``file``, ``decimal``,
    ``thousands``, ``date_format``) or typed. The frames are not changed. Raises
    :class:`~territory_opt.errors.DataError` with all findings if there is an error (or, with ``strict``, a
    warning). Cost: linear in rows.
    """
    findings = Findings({name: str(frame.attrs.get("file") or name) for name, frame in given.items()})
    for frame in given.values():
        findings.take(frame)
    tables = _read(given, policy, findings)
    problem_of = _Checked(tables, given, policy, findings)
    problem_of.check()
    findings.raise_errors()
    problem = problem_of.fill()
    findings.raise_errors(strict=strict)
    return problem


def _read(given: Mapping[str, pd.DataFrame], policy: Policy, findings: Findings) -> dict[str, pd.DataFrame]:
    """Read every table into typed columns; stop early only if a needed table or column is not there."""
    for name in given:
        if name not in TABLES:
            raise ScenarioError(f'there is no table "{name}"; {nearest(name, TABLES)}')
    tables = {name: read_columns(name, frame, policy, findings) for name, frame in given.items()}
    for name in ("accounts", "reps"):
        if name not in tables:
            findings.error(name, 0, "", "", "the table is missing", f"give a table of {name}")
        elif tables[name].empty:
            findings.error(name, 0, "", "", f"there are no {name}", "give at least one row")
    needed = {name: [column.name for column in TABLES[name] if column.required] for name in tables}
    absent = any(issue.row == 0 and issue.severity == "error" for issue in findings.issues)
    if absent and any(name not in tables or tables[name].empty for name in ("accounts", "reps")):
        findings.raise_errors()
    if any(column not in [str(c).strip() for c in given[name].columns] for name in needed for column in needed[name]):
        findings.raise_errors()
    return tables


class _Checked:
    """The steps of one validation, over tables that are changed in place."""

    def __init__(
        self,
        tables: dict[str, pd.DataFrame],
        given: Mapping[str, pd.DataFrame],
        policy: Policy,
        findings: Findings,
    ) -> None:
        self.tables = tables
        self.given = given
        self.policy = policy
        self.findings = findings
        self.accounts = tables["accounts"]
        self.reps = tables["reps"]
        self.account_names = names_of("account", self.accounts, "account_id")
        self.rep_names = names_of("rep", self.reps, "rep_id")
        self.sales: pd.DataFrame | None = tables.get("sales")
        self.past: pd.DataFrame | None = None
        self.managers = pd.DataFrame()

    def check(self) -> None:
        """Record everything that is wrong, and what can be said without filling."""
        policy, findings = self.policy, self.findings
        fill.list_defaults(self.given, findings)
        self._check_places()
        check.check_references("accounts", self.accounts, "incumbent", self.rep_names, findings)
        self.managers = build_managers(self.reps, self.tables.get("managers"), findings)
        check.check_currency(self.tables, policy, findings)
        check.check_rep_dates(self.reps, policy, findings)
        check.check_policy(self.accounts, len(self.reps), policy, findings)
        check.check_parts(self.accounts, policy, findings)
        check.check_hedges(self.managers, policy, findings)
        check.check_skills(self.accounts, self.reps, policy, findings)
        if "rules" in self.tables:
            check.check_rules(self.tables, self.account_names, self.rep_names, policy, findings)
        if self.sales is not None:
            self.sales = check.clean_sales(self.sales, self.account_names, self.rep_names, findings)
            self.sales = after_long_gap(self.sales, policy, findings)
            check.warn_plan_year(self.sales, policy, findings)
            self.sales = self.sales.reset_index(drop=True)
            self.past = before_plan_year(self.sales, policy)
        if "quota_history" in self.tables:
            check.check_quota_history(self.tables["quota_history"], self.rep_names, policy, findings)
        had_sales = "current_sales" in [str(column).strip() for column in self.given["accounts"].columns]
        fill.fill_current_sales(self.accounts, self.past, had_sales, findings)
        if not self._ids_repeat():
            fill.fill_homes(self.reps, self.accounts, self._dealings(), findings)

    def _check_places(self) -> None:
        findings, units = self.findings, self.tables.get("units")
        if units is not None:
            places.check_coordinates("units", units, findings)
            places.read_geometry(units, findings)
            self._check_adjacency(units)
        places.check_coordinates("accounts", self.accounts, findings)
        places.check_coordinates("reps", self.reps, findings)
        places.place_accounts(self.accounts, units, findings)
        places.check_swapped("accounts", self.accounts, findings)
        places.check_swapped("reps", self.reps, findings)
        places.check_swapped_table(self.accounts, self.reps, findings)

    def _check_adjacency(self, units: pd.DataFrame) -> None:
        adjacency = self.tables.get("adjacency")
        if adjacency is None:
            return
        names = names_of("unit", units, "unit_id")
        check.check_references("adjacency", adjacency, "unit_a", names, self.findings)
        check.check_references("adjacency", adjacency, "unit_b", names, self.findings)

    def _dealings(self) -> fill.Dealings:
        return fill.Dealings(self.accounts, self.rep_names, self.past, self.account_names)

    def _ids_repeat(self) -> bool:
        """Whether positions by id would be wrong because ids are empty or repeated (an error already)."""
        return len(self.rep_names.ids) < len(self.reps) or len(self.account_names.ids) < len(self.accounts)

    def fill(self) -> Problem:
        """Fill what the tables leave open and return the problem."""
        policy, findings, accounts, reps = self.policy, self.findings, self.accounts, self.reps
        fill.fill_names(accounts, "account_id")
        fill.fill_names(reps, "rep_id")
        fill.fill_visits(accounts, policy, findings)
        fill.fill_capacity(reps, policy, findings)
        fill.fill_last_quota(reps, self.tables.get("quota_history"), policy, findings)
        fill.fill_last_sales(reps, accounts, self.past, policy, findings)
        fill.fill_skills(reps, accounts, self._dealings(), policy, findings)
        if self.past is not None:
            check_history(self.past, accounts, reps, findings)
        check.check_guards(reps, policy, findings)
        check.check_totals(accounts, policy, findings)
        return self._problem()

    def _problem(self) -> Problem:
        tables = self.tables
        rules = tables.get("rules")
        units = tables.get("units")
        if units is not None:
            fill.fill_names(units, "unit_id")
        return Problem(
            accounts=self.accounts,
            reps=self.reps,
            managers=self.managers,
            sales=fill.empty_sales() if self.sales is None else self.sales,
            rules=_empty_rules() if rules is None else rules,
            policy=self.policy,
            units=units,
            adjacency=tables.get("adjacency"),
            quota_history=tables.get("quota_history"),
            issues=tuple(self.findings.issues),
        )


def _empty_rules() -> pd.DataFrame:
    columns = ("rule", "account_id", "rep_id", "reason")
    frame = pd.DataFrame({column: pd.Series([], dtype=object) for column in columns})
    frame["expires"] = np.array([], dtype="datetime64[s]")
    return frame


def read_tables(given: Mapping[str, Table], policy: Policy, *, strict: bool = False) -> Problem:
    """As :func:`validate_tables`, for tables or paths of their files, with the findings of all files at once.

    Raise :class:`~territory_opt.errors.GivenError` for anything else.
    """
    if not isinstance(policy, Policy):
        raise GivenError.of(policy, "a policy", "policy=to.Policy(...), or the .policy of a scenario or a problem")
    flag("strict", strict)
    frames: dict[str, pd.DataFrame] = {}
    issues: list[Issue] = []
    for name, table in given.items():
        if isinstance(table, pd.DataFrame):
            frames[name] = table
            continue
        path = place(table, "a table or the path of one", f"{name}=DataFrame or {name}=PATH")
        try:
            frames[name] = read_file(name, TableSource(path=path.name), path)
        except DataError as error:
            issues += error.issues
    if issues:
        raise DataError(issues)
    return validate_tables(frames, policy, strict=strict)


Problem.reader = staticmethod(read_tables)
