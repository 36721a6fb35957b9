"""The problem as given: checked tables and a policy, immutable from here on."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Protocol, TypeAlias

import pandas as pd

from territory_opt.errors import Issue
from territory_opt.problem.calendar import Calendar, before_plan_year
from territory_opt.problem.policy import Policy
from territory_opt.problem.show import html_lines

Table: TypeAlias = pd.DataFrame | str | os.PathLike[str]
"""A table as it is handed in, or the path of its file."""


class TableReader(Protocol):
    """Turns tables as given into a checked problem: what :mod:`territory_opt.intake` hands in."""

    def __call__(self, given: Mapping[str, Table], policy: Policy, *, strict: bool = False) -> Problem:
        """Check ``given``, by name of table, against each other and the policy."""


class _Unread:
    """Stands until a reader is handed in: nothing is read here.

    Whoever takes the class from its public name, ``territory_opt.Problem``, has been handed the reader; a problem that
    comes out of a pickle brings the class without it.
    """

    def __call__(self, given: Mapping[str, Table], policy: Policy, *, strict: bool = False) -> Problem:
        """Ask for the public name, whose home hands in the reader, and read with it."""
        public: type[Problem] = sys.modules[__name__.partition(".")[0]].Problem
        return public.reader(given, policy, strict=strict)


@dataclass(frozen=True, eq=False)
class Problem:
    """Accounts, reps and rules after validation.

    Every frame has a RangeIndex and the columns of :mod:`territory_opt.problem.schema`, plus any other column the
    source had (as skill attributes or further metrics). Ids are strings. ``accounts.incumbent`` and ``reps.manager``
    are empty strings where there is none. Accounts and reps have finite ``lat``/``lon``. ``accounts.current_sales`` is
    the last 12 months of the sales table where there is one, and ``reps.last_quota`` / ``reps.last_sales`` are NaN
    where unknown. ``managers`` has one row per node of the hierarchy, ``rules`` one per lock or forbidden pair,
    ``units`` and ``adjacency`` are None where they were not given, as is ``quota_history``, which has one row per rep
    and past period. ``sales`` may hold months of the plan year, which nothing but a replan reads: see ``past_sales``.
    ``policy`` is everything that was decided and is no table. ``issues``: what was found in the tables, and every cell
    that was filled. Do not change the frames: use :meth:`from_tables` with new ones. ``calendar`` and ``past_sales``
    are worked out on first use and kept.

    >>> import pandas as pd
    >>> import territory_opt as to
    >>> accounts = pd.DataFrame({"account_id": ["a", "b"], "lat": [48.1, 48.9], "lon": [11.5, 12.1],
    ...                          "potential": [300, 200], "current_sales": [100, 150], "incumbent": ["Ada", "Ben"]})
    >>> reps = pd.DataFrame({"rep_id": ["Ada", "Ben"], "lat": [48.0, 49.0], "lon": [11.4, 12.0]})
    >>> problem = to.Problem.from_tables(accounts=accounts, reps=reps, policy=to.Policy(quotas={"target": 260}))
    >>> problem
    Problem(2 accounts · 2 reps · target USD 260)
    >>> to.solve(problem, time_limit=10).plan.assignment.to_dict()
    {'a': 'Ada', 'b': 'Ben'}
    """

    accounts: pd.DataFrame
    reps: pd.DataFrame
    managers: pd.DataFrame
    sales: pd.DataFrame
    rules: pd.DataFrame
    policy: Policy
    units: pd.DataFrame | None = None
    adjacency: pd.DataFrame | None = None
    quota_history: pd.DataFrame | None = None
    issues: tuple[Issue, ...] = field(default=(), repr=False)

    reader: ClassVar[TableReader] = _Unread()
    """Handed in by :mod:`territory_opt.intake.validate`, where the public name ``Problem`` comes from."""

    @classmethod
    def from_tables(
        cls,
        accounts: Table,
        reps: Table,
        units: Table | None = None,
        adjacency: Table | None = None,
        sales: Table | None = None,
        rules: Table | None = None,
        policy: Policy | None = None,
        *,
        managers: Table | None = None,
        quota_history: Table | None = None,
        strict: bool = False,
    ) -> Problem:
        """Check the tables against each other and the policy; each is a DataFrame or the path of a file.

        Columns are those of ``docs/data-formats.md``. Raises :class:`DataError` with *all* findings,
        :class:`GivenError` for what is no table; ``strict`` turns warnings into errors. Cost: linear in rows.
        """
        tables: Mapping[str, Table | None] = {
            "accounts": accounts,
            "reps": reps,
            "units": units,
            "adjacency": adjacency,
            "sales": sales,
            "rules": rules,
            "managers": managers,
            "quota_history": quota_history,
        }
        given = {name: table for name, table in tables.items() if table is not None}
        return cls.reader(given, Policy() if policy is None else policy, strict=strict)

    @cached_property
    def calendar(self) -> Calendar:
        """The months of the plan, and when each rep is there in them."""
        return Calendar.of(self.reps, self.policy)

    @cached_property
    def past_sales(self) -> pd.DataFrame:
        """The rows of ``sales`` before the plan year: what is known when it is planned; all where none are."""
        return before_plan_year(self.sales, self.policy)

    @property
    def n_accounts(self) -> int:
        """Number of accounts."""
        return len(self.accounts)

    @property
    def n_reps(self) -> int:
        """Number of reps."""
        return len(self.reps)

    def __repr__(self) -> str:
        target = self.policy.quotas.target
        goal = f" · target {self.policy.currency} {target:,.0f}" if target else ""
        return f"Problem({self.n_accounts:,} accounts · {self.n_reps:,} reps{goal})"

    def _repr_html_(self) -> str:
        policy, found = self.policy, Counter(issue.severity for issue in self.issues)
        lines = {"accounts": f"{self.n_accounts:,}", "reps": f"{self.n_reps:,}", "managers": f"{len(self.managers):,}"}
        if len(self.sales):
            months = self.sales["month"]
            lines["sales"] = f"{months.min():%Y-%m} to {months.max():%Y-%m}"
        lines["plan"] = f"{policy.period.months} months from {policy.period.start:%Y-%m}"
        if policy.quotas.target is not None:
            lines["target"] = f"{policy.quotas.target:,.0f} {policy.currency} {policy.period.term}"
        lines["data"] = f"{found['warning']:,} warnings, {found['imputed']:,} notes on values filled in"
        return html_lines("Problem", lines)
