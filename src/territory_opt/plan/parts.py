"""Quotas by part, judged: every rep's parts add up to the quota, every part to the sum it was promised."""

from __future__ import annotations

from itertools import product

import pandas as pd

from territory_opt.intake.parse import part_names
from territory_opt.model.model import Model
from territory_opt.plan.rollup import off_steps
from territory_opt.problem.numbers import HALF_CENT


def part_problems(model: Model, annual: pd.Series[float], table: pd.DataFrame) -> list[str]:
    """List what is wrong with quotas by part for yearly quotas ``annual`` (rep_id -> money).

    ``table`` has the columns rep_id, part and quota (money): one row for each rep and part.
    """
    policy = model.problem.policy.quotas
    cells = list(zip(table["rep_id"], table["part"], strict=True))
    wanted = set(product(annual.index, part_names(model.problem.accounts[policy.by])))
    if len(cells) != len(set(cells)) or set(cells) != wanted:
        return [f"quotas_by_part.csv does not hold one row for each rep and each {policy.by}"]
    amounts, faults = table["quota"].to_numpy(float), []
    if (amounts < 0).any() or off_steps(amounts, policy.step).any():
        faults.append(f"quotas_by_part.csv holds a quota that is not a multiple of {policy.step:g}, or is below 0")
    off = table.groupby("rep_id")["quota"].sum().sub(annual, fill_value=0.0)
    faults += [
        f"quotas_by_part.csv: the parts of {rep} are {amount:+,.2f} off the quota"
        for rep, amount in off[off.abs() > HALF_CENT].items()
    ]
    hedged = float(annual.sum()) / policy.target if policy.target else 1.0
    by_part = table.groupby("part")["quota"].sum()
    for part, target in policy.part_targets.items():
        given, asked = by_part.get(part, 0.0), target * hedged
        if abs(given - asked) > policy.step + HALF_CENT:
            faults.append(f"quotas_by_part.csv: {part} comes to {given:,.2f}, asked were {asked:,.2f}")
    return faults
