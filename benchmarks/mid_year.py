"""How good the odds are once part of the year has passed: ``python -m benchmarks.mid_year [--seeds 30]``.

Made-up companies keep their last 12 months to themselves. A plan is made on what is known before, everyone keeping
their accounts; after three, six and nine months the odds of finishing are held against how the year turned out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

import territory_opt as to
from territory_opt.intake.actuals import check_actuals
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.quota.track import track
from territory_opt.synthetic.market import generate_market

YEAR, AFTER = "2026", (3, 6, 9)
GOALS = (0.85, 0.95, 1.0, 1.05, 1.15)
"""Quotas as multiples of what was expected."""
PLAIN = {
    "quota_usd_per_year": "quota", "low_80_usd_per_year": "low", "high_80_usd_per_year": "high",
    "finish_probability": "p_finish",
}  # fmt: skip
"""Columns of reps as those of the company are called."""
SURE = 0.02
"""Odds below this, or above one less this, are sure."""


def companies(seeds: int, history: int, accounts: int, reps: int) -> Iterator[tuple[to.Problem, pd.DataFrame]]:
    """What was known at the start of the year, and the sales of the year, of each company."""
    for seed in range(1, seeds + 1):
        tables = generate_market(accounts, reps, seed, months=history + 12)
        sales = tables["sales"]
        coming = sales["month"] >= f"{YEAR}-01"
        tables["sales"] = sales[~coming]
        tables["accounts"] = tables["accounts"].drop(columns="current_sales", errors="ignore")
        tables["reps"] = tables["reps"].drop(columns="last_sales", errors="ignore")
        target = float(tables["sales"]["sales"].sum()) * 12 / history
        settings = {"period": {"start": f"{YEAR}-01-01"}, "quotas": {"target": target, "odds": {}, "step": 1}}
        problem = to.Problem.from_tables(**tables, policy=to.Policy.model_validate(settings))
        yield problem, sales[coming].drop(columns="rep_id")


def stands(problem: to.Problem, coming: pd.DataFrame, after: Sequence[int] = AFTER) -> pd.DataFrame:
    """One row per rep (and the company), month and goal: odds, whether it was met, and whether the range held."""
    model = to.Model.build(problem)
    kept = model.source.incumbent[model.source.nodes.first]
    kept = np.maximum(kept, 0).astype(np.int64)
    expected = Figures(model, Plan.from_positions(model, kept, np.zeros(problem.n_reps))).evaluation.rep_sales
    sales, rows = check_actuals(coming, problem), []
    year = track(Figures(model, Plan.from_positions(model, kept, expected)), sales)
    sold = year.reps.set_index("rep_id")["sold_usd"]
    for goal in GOALS:
        plan = Plan.from_positions(model, kept, goal * expected)
        quotas = model.problem.policy.quotas.model_copy(update={"target": goal * float(expected.sum())})
        policy = model.problem.policy.model_copy(update={"quotas": quotas})
        aimed = replace(model, problem=replace(model.problem, policy=policy))
        for months in after:
            found = track(Figures(aimed, plan), sales, as_of=f"{YEAR}-{months:02d}")
            reps = found.reps.rename(columns=PLAIN)
            reps = reps[reps["quota"] > 0].assign(who="rep")
            came = sold[reps["rep_id"]].to_numpy(float)
            everyone = pd.DataFrame([found.company]).assign(who="company")
            for table, total in ((reps, came), (everyone, np.array([year.company["sold"]]))):
                met = total >= table["quota"].to_numpy(float)
                held = (total >= table["low"].to_numpy(float)) & (total <= table["high"].to_numpy(float))
                columns = {"who": table["who"], "months": months, "odds": table["p_finish"], "met": met, "held": held}
                rows.append(pd.DataFrame(columns))
    return pd.concat(rows, ignore_index=True)


def mid_year(
    seeds: int, history: int, accounts: int = 200, reps: int = 16, after: Sequence[int] = AFTER
) -> pd.DataFrame:
    """One row for reps and company and month looked from: how often the 80 % range held, and odds by whether they did.

    ``stated`` and ``met`` are means over odds between 20 and 80 %; ``sure_wrong`` is the share of odds below 2 or above
    98 % that came out the other way.
    """
    found = pd.concat([stands(*company, after) for company in companies(seeds, history, accounts, reps)])
    sure, open_ = np.minimum(found["odds"], 1.0 - found["odds"]) < SURE, found["odds"].between(0.2, 0.8)
    by = ["who", "months"]
    wrong = (found["odds"] > 0.5) != found["met"]
    table = found.groupby(by).agg(n=("held", "size"), covered=("held", "mean"))
    table["n"] //= len(GOALS)
    table[["stated", "met"]] = found[open_].groupby(by)[["odds", "met"]].mean()
    table["sure_wrong"] = wrong[sure].groupby([found.loc[sure, name] for name in by]).mean()
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mid_year", description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    given = parser.parse_args(arguments)
    for history in (12, 24, 36):
        print(f"{history} months of history, {given.seeds} companies of 16 reps:")
        print(mid_year(given.seeds, history).round(3).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
