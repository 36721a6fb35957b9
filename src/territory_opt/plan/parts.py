"""Quotas by part, judged: every rep's parts add up to the quota, every part to the sum it was promised."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from territory_opt.model.model import Model

CENT = 0.004


def part_problems(model: Model, annual: pd.Series[float], text: str) -> list[str]:
    """List what is wrong with quotas_by_part.csv, given as ``text``, for yearly quotas ``annual`` (rep_id -> money)."""
    policy = model.problem.policy.quotas
    table = pd.read_csv(io.StringIO(text), dtype={"rep_id": str, "part": str}, keep_default_na=False)
    if list(table.columns) != ["rep_id", "part", "quota"] or not pd.api.types.is_numeric_dtype(table["quota"]):
        return ["quotas_by_part.csv does not have the columns rep_id, part and quota in money"]
    for name in ("rep_id", "part"):  # a leading apostrophe marks text that a spreadsheet would take for a formula
        table[name] = table[name].str.removeprefix("'")
    steps = table["quota"] / policy.step
    faults = []
    if (table["quota"] < 0).any() or (np.abs(steps - steps.round()) * policy.step > CENT).any():
        faults.append(f"quotas_by_part.csv holds a quota that is not a multiple of {policy.step:g}, or is below 0")
    by_rep = table.groupby("rep_id")["quota"].sum()
    off = by_rep.sub(annual, fill_value=0.0)
    faults += [f"quotas_by_part.csv: the parts of {rep} are {amount:+,.2f} off the quota"
               for rep, amount in off[off.abs() > CENT].items()]  # fmt: skip
    hedged = float(annual.sum()) / policy.target if policy.target else 1.0
    by_part = table.groupby("part")["quota"].sum()
    faults += [f"quotas_by_part.csv: {part} comes to {by_part.get(part, 0.0):,.2f}, asked were {target * hedged:,.2f}"
               for part, target in policy.part_targets.items()
               if abs(by_part.get(part, 0.0) - target * hedged) > policy.step + CENT]  # fmt: skip
    return faults
