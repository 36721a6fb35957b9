"""How likely each rep is to make the quota, and the company its target: closed forms of a normal approximation.

A rep's sales are taken as  M (1 + sigma Z) + e:  M the expected sales of the rep's accounts, Z one standard normal
shock shared by the whole company (sigma: ``Estimate.shocks``), e the rep's own noise with variance
V, the sum over the rep's accounts. So a rep's variance is V + (sigma M)^2, and for the company the V add up while the
shock does not average out: it is what makes independence overstate safety (a one-factor model, Vasicek 2002).
The approximation ignores that sales cannot fall below zero and that a few large orders make them lopsided.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from territory_opt.estimate.shocks import regions
from territory_opt.model.model import Model
from territory_opt.plan.evaluate import Evaluation
from territory_opt.problem.numbers import RANGE_80, TINY

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CompanyOdds:
    """Odds of the whole company (normal approximation).

    ``expected_hits`` reps are expected to make their quota; ``p_company_target`` is the probability that the
    company's sales reach its target (NaN without one); ``p10``, ``p50``, ``p90`` are the sales that one, five and nine
    years in ten stay below, money per year; ``hits``: Series rep_id -> probability.
    """

    expected_hits: float
    p_company_target: float
    p10: float
    p50: float
    p90: float
    hits: pd.Series[float] = field(repr=False)

    def __str__(self) -> str:
        target = "" if np.isnan(self.p_company_target) else f"; odds of the company target: {self.p_company_target:.2f}"
        return f"{self.expected_hits:.0f} of {len(self.hits)} reps should make their quota{target}"


def company_shock(model: Model) -> float:
    """Return the spread of all shared shocks for the company's sales: those of regions and segments offset each other.

    Root of c^2 + r^2 sum(share of region)^2 + s^2 sum(share of segment)^2; regions by fair shares of their reps.
    """
    shocks = model.estimate.shocks
    segment = pd.factorize(model.problem.accounts["segment"])[0]
    by_region = np.bincount(regions(model.problem), model.share)
    by_segment = np.bincount(segment, model.estimate.expected) / max(float(model.estimate.expected.sum()), TINY)
    regional = shocks.region**2 * float(by_region @ by_region)
    return float(np.sqrt(shocks.company**2 + regional + shocks.segment**2 * float(by_segment @ by_segment)))


def chance_to_reach(goal: FloatArray, mean: FloatArray, variance: FloatArray, shock: float) -> FloatArray:
    """Return P(sales >= goal) for normal sales of ``mean`` and of variance ``variance + (shock x mean)^2``.

    Arrays of one shape. Without any variance sales are certain: 1 where the mean reaches the goal, else 0.
    """
    spread = np.sqrt(variance + (shock * mean) ** 2)
    above = mean - goal
    certain = np.where(above >= 0, np.inf, -np.inf)
    standard = np.divide(above, spread, out=certain, where=spread > 0)
    return np.asarray(norm.cdf(standard))


def range_80(mean: FloatArray, variance: FloatArray, shock: float) -> tuple[FloatArray, FloatArray]:
    """Return what normal sales as in :func:`chance_to_reach` stay above, and below, nine years in ten each."""
    reach = RANGE_80 * np.sqrt(variance + (shock * mean) ** 2)
    return np.asarray(mean - reach), np.asarray(mean + reach)


def company_odds(model: Model, found: Evaluation, quotas: FloatArray, known: BoolArray) -> CompanyOdds:
    """Return the odds of reps and company: who should hit, P(target), and the 10, 50, 90 % points of its sales.

    Normal approximation; nothing is simulated. ``quotas`` (n_reps,) yearly, where they are ``known`` (n_reps,): the
    probability of other reps is NaN.
    """
    shocks, shock = model.estimate.shocks, company_shock(model)
    chance = chance_to_reach(quotas, found.rep_sales, found.rep_variance, shocks.together)
    index = pd.Index(model.problem.reps["rep_id"].to_numpy(object), name="rep_id")
    hits = pd.Series(np.where(known, chance, np.nan), index=index, name="probability", dtype=float)
    mean, variance = found.book_sales.sum(keepdims=True), found.book_variance.sum(keepdims=True)
    target = model.problem.policy.quotas.target
    reach = np.nan if target is None else float(chance_to_reach(np.array([target]), mean, variance, shock)[0])
    low, high = range_80(mean, variance, shock)
    return CompanyOdds(float(hits.sum()), reach, float(low[0]), float(mean[0]), float(high[0]), hits)
