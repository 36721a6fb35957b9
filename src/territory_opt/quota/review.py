"""One look at a plan's quotas: their odds by simulation, whether they are fair, whether each is SMART."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from territory_opt.plan.figures import Figures
from territory_opt.problem.units import units_in_names
from territory_opt.quota import simulate as simulation
from territory_opt.quota.fairness import Fairness, past_fairness, plan_fairness
from territory_opt.quota.settings import ReviewSettings
from territory_opt.quota.simulate import Simulation, simulate
from territory_opt.quota.smart import Finding, lint
from territory_opt.words import listed

SETTINGS = ReviewSettings()


@dataclass(frozen=True, slots=True)
class Review:
    """What was found in a plan's quotas.

    ``odds``: what the simulated years say of reps, nodes of the hierarchy and the company. ``plan`` and ``past``:
    tests whether quotas of the plan, and of last year, are fair; ``past`` is None where last year's quotas or sales are
    not known. ``findings``: rep_id, criterion and reason of each quota that is not SMART. ``hit_share``: the share of
    reps who should make their quota, from the policy.
    ``short`` (Series rep_id -> probability): reps whose simulated odds are below the policy's ``hit_share`` by more
    than chance in the simulation, worst first.
    """

    odds: Simulation
    plan: Fairness
    past: Fairness | None
    findings: tuple[Finding, ...]
    short: pd.Series[float]
    hit_share: float

    def __str__(self) -> str:
        lines = [f"odds      {self.odds} ({self.odds.draws:,} simulated years)"]
        for _, node in self.odds.nodes.iterrows():
            where = "company" if node["node_id"] == "company" else f"{node['level']} {node['name']}"
            lines.append(
                f"  {where}: {node['p_target']:.0%} to sell its {node['target']:,.0f} "
                f"(8 years in 10: {node['p10']:,.0f} to {node['p90']:,.0f})"
            )
        if len(self.short):
            worst = listed([f"{rep} {chance:.0%}" for rep, chance in self.short.items()], most=SETTINGS.shown)
            many = "1 rep is" if len(self.short) == 1 else f"{len(self.short):,} reps are"
            lines.append(f"  {many} below the {self.hit_share:.0%} asked for: {worst}")
        flagged = self.odds.reps[self.odds.reps["flag"] != ""]
        for flag, reps in flagged.groupby("flag"):
            names = ", ".join(f"{row.rep_id} {row.pay:.0%}" for row in reps.head(SETTINGS.shown).itertuples())
            lines.append(f"  expected variable pay, {flag}: {names}")
        lines.append("fairness")
        lines += [f"  {line}" for found in (self.past, self.plan) if found for line in str(found).splitlines()]
        lines.append(f"smart     {self._smart()}")
        lines += [f"  {finding}" for finding in self.findings[: SETTINGS.shown]]
        if len(self.findings) > SETTINGS.shown:
            lines.append(f"  and {len(self.findings) - SETTINGS.shown:,} more")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Review({self.odds})"

    @property
    def table(self) -> pd.DataFrame:
        """One row per rep: what the simulation found, odds_low (below the policy's hit_share), not_smart (reasons).

        Columns rep_id; quota, expected_sales, p10, p50 and p90 (percentiles of sales) in money; hit_probability;
        attainment_share (mean of sales / quota), pay_share (of the target pay) and flag (under-paid, over-paid).
        """
        reasons = pd.Series([f"{found.criterion}: {found.reason}" for found in self.findings], dtype=object)
        by_rep = reasons.groupby([found.rep_id for found in self.findings]).agg("; ".join)
        ids = self.odds.reps["rep_id"]
        return units_in_names(self.odds.reps, {"p_hit": "hit"}).assign(
            odds_low=ids.isin(self.short.index), not_smart=by_rep.reindex(ids).fillna("").to_numpy(object)
        )

    def _smart(self) -> str:
        failing = len({finding.rep_id for finding in self.findings})
        total = len(self.odds.reps)
        if not failing:
            return f"all {total} quotas are specific, measurable, attainable, relevant and time-bound"
        return f"{total - failing} of {total} quotas hold; what is wrong with the others:"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "odds": self.odds.to_dict(),
            "fairness": {"plan": self.plan.to_dict(), "last_year": None if self.past is None else self.past.to_dict()},
            "smart": [asdict(finding) for finding in self.findings],
            "below_hit_share": {str(rep): float(chance) for rep, chance in self.short.items()},
        }


def review(figures: Figures, *, draws: int = simulation.SETTINGS.draws, seed: int = 0) -> Review:
    """Simulate, test and lint the quotas of ``plan``. Raise :class:`ScenarioError` if it sets none."""
    model = figures.model
    odds = simulate(figures, draws=draws, seed=seed)
    hit_share = model.problem.policy.quotas.hit_share
    chance = pd.Series(odds.reps["p_hit"].to_numpy(float), index=odds.reps["rep_id"], name="probability")
    low = chance[
        (chance < hit_share - SETTINGS.errors * np.sqrt(hit_share * (1.0 - hit_share) / draws)).to_numpy()
    ].sort_values()
    return Review(
        odds,
        plan_fairness(figures, seed=seed),
        past_fairness(model, seed=seed),
        tuple(lint(figures, odds)),
        low,
        hit_share,
    )
