"""What to expect of accounts, of reps with the accounts they have today, and of the company, before any plan."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from territory_opt.model.model import Model
from territory_opt.plan.odds import company_shock, range_80
from territory_opt.problem.show import html_table
from territory_opt.problem.units import money_of, with_units


@dataclass(frozen=True, slots=True, repr=False)
class SalesEstimate:
    """Expected sales of the plan's period, in ``currency``, with their spread.

    ``accounts``: account_id, expected_sales, sd (standard deviation of what the account may bring). ``reps``: rep_id,
    expected_sales, low_80, high_80 (eight years in ten lie between) of the accounts that have the rep as incumbent, as
    if they stayed. ``company``: expected_sales, low_80, high_80 in one row; accounts without a rep count. Ranges hold
    the shocks that accounts share (``quotas.odds`` of the policy), which do not average out. All of it is money of the
    plan's period (``USD per year``; ``attrs["units"]`` of each table says so). ``source`` says what the figures rest
    on, ``months`` how many months they are for.
    """

    accounts: pd.DataFrame = field(repr=False)
    reps: pd.DataFrame = field(repr=False)
    company: pd.DataFrame = field(repr=False)
    source: str
    currency: str
    months: int

    @classmethod
    def of(cls, model: Model) -> SalesEstimate:
        """Add up the estimate of a model."""
        problem, found, today = model.problem, model.estimate, model.source.incumbent
        owned, n = today >= 0, model.problem.n_reps
        mean, variance = (
            np.bincount(today[owned], amounts[owned], minlength=n).astype(float)
            for amounts in (found.expected, found.variance)
        )
        low, high = range_80(mean, variance, model.estimate.shocks.together)
        total, spread = found.expected.sum(keepdims=True), found.variance.sum(keepdims=True)
        least, most = range_80(total, spread, company_shock(model))
        money = money_of(problem.policy)
        summed = cls(
            accounts=pd.DataFrame(
                {
                    "account_id": problem.accounts["account_id"].to_numpy(object),
                    "expected_sales": found.expected,
                    "sd": np.sqrt(found.variance),
                }
            ),
            reps=pd.DataFrame(
                {
                    "rep_id": problem.reps["rep_id"].to_numpy(object),
                    "expected_sales": mean,
                    "low_80": np.maximum(low, 0.0),
                    "high_80": high,
                }
            ),
            company=pd.DataFrame({"expected_sales": total, "low_80": np.maximum(least, 0.0), "high_80": most}),
            source=found.source,
            currency=problem.policy.currency,
            months=problem.policy.period.months,
        )
        for table in (summed.accounts, summed.reps, summed.company):
            with_units(table, dict.fromkeys(table.columns.difference(["account_id", "rep_id"]), money))
        return summed

    def __repr__(self) -> str:
        total, low, high = self.company.iloc[0].tolist()
        money = f"{self.currency} {total:,.0f} ({low:,.0f} to {high:,.0f} eight years in ten)"
        return f"SalesEstimate({money} in {self.months} months, from {self.source})"

    def _repr_html_(self) -> str:
        return html_table(repr(self), self.reps.round(0))
