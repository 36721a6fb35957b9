"""Attainment of a plan year by Monte Carlo: what each rep, each manager and the company may sell, and what it pays.

A rep's sales are drawn as

    S = sum_g M_g (1 + c Z + r Z_region + s Z_g)  +  e

M_g the expected sales of the rep's accounts in segment g (in the months the rep is there), Z, Z_region and Z_g standard
normal shocks that the company, a region and a segment share (c, r, s: ``Estimate.shocks``), e the rep's own
noise with variance V: gamma-shaped (never below -M, a few large orders make it lopsided) or normal. What accounts bring
while their rep is not there counts for managers and the company. Shared shocks are what makes independence overstate
safety: a factor model (Vasicek, The distribution of loan portfolio value, Risk, 2002). Sales that a shock would push
below nothing are nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import ScenarioError
from territory_opt.estimate.shocks import Shocks, regions
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.problem.limits import MOST_DRAWS
from territory_opt.problem.numbers import HALF_CENT
from territory_opt.problem.options import seed_of, whole
from territory_opt.problem.policy import Pay
from territory_opt.problem.units import PROBABILITY, SHARE, money_of, with_units
from territory_opt.quota.settings import SimulationSettings

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Shape = Literal["gamma", "normal"]

SETTINGS = SimulationSettings()
PERCENTILES = {"p10": 10, "p50": 50, "p90": 90}
"""Columns of the tables, and the percentiles they hold."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """Outcome of ``draws`` plan years; money per year, probabilities and shares from 0 to 1.

    ``reps``: one row per rep with rep_id, quota, expected_sales, p_hit, p10, p50, p90 (sales), attainment (mean of
    sales / quota), pay (expected share of the target pay) and flag ("", "under-paid", "over-paid").
    ``nodes``: one row per node of the hierarchy: node_id, name, level, target, p_target, p10, p50, p90.
    ``hits``: mean and percentiles of the number of reps at or above quota. ``error``: largest standard error of any
    probability.
    """

    reps: pd.DataFrame = field(repr=False)
    nodes: pd.DataFrame = field(repr=False)
    hits: dict[str, float]
    draws: int
    seed: int
    shape: Shape

    @property
    def p_company_target(self) -> float:
        """Probability that the company's sales reach its target."""
        return float(self.nodes["p_target"].iloc[0])

    @property
    def error(self) -> float:
        """Largest standard error of any probability."""
        return 0.5 / float(np.sqrt(self.draws))

    def __str__(self) -> str:
        low, high = (round(self.hits[name]) for name in ("p10", "p90"))
        return (
            f"{self.hits['mean']:.0f} of {len(self.reps)} reps should make their quota (eight years in ten {low} to "
            f"{high}); odds of the company target: {self.p_company_target:.2f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "draws": self.draws,
            "seed": self.seed,
            "shape": self.shape,
            "hits": self.hits,
            "p_company_target": self.p_company_target,
            "reps": self.reps.to_dict("records"),
            "nodes": self.nodes.to_dict("records"),
        }


def simulate(
    figures: Figures, *, draws: int = SETTINGS.draws, seed: int = 0, shape: Shape = "gamma", pay: Pay | None = None
) -> Simulation:
    """Simulate ``draws`` plan years of ``plan``; ``pay`` by default the policy's. Cost: linear in draws x reps.

    The same seed gives the same figures. Raise :class:`ScenarioError` if the plan sets no quotas, :class:`GivenError`
    for draws or a seed out of range.
    """
    model, plan = figures.model, figures.plan
    if not plan.has_quotas:
        raise ScenarioError("the plan sets no quotas; set quotas.target and solve again")
    whole("draws", draws, least=1, most=MOST_DRAWS)
    seed_of(seed)
    pay = pay or model.problem.policy.quotas.pay
    books, quotas = Books.of(figures), figures.quotas
    members = membership(model)
    targets = figures.roll_up["target"].to_numpy(float)  # without the own hedge: what has to be sold
    tally = _Tally(len(quotas), draws)
    company = np.empty((draws, len(targets)))
    generator = np.random.default_rng(seed)
    for first in range(0, draws, SETTINGS.at_a_time):
        sales, besides = books.draw(generator, min(SETTINGS.at_a_time, draws - first), shape)
        tally.add(sales, quotas, pay)
        company[first : first + len(sales)] = (sales + besides) @ members.T
    reached = (company >= targets - HALF_CENT).mean(axis=0)
    return Simulation(
        _rep_table(model, books, quotas, tally),
        _node_table(model, targets, reached, company),
        tally.number_of_hits(),
        draws,
        seed,
        shape,
    )


@dataclass(frozen=True, slots=True)
class Books:
    """What each rep's book may bring: ``mean`` (n, n_segments), ``variance`` (n,), ``region`` (n,).

    The first ``n_reps`` rows are what reps are credited with. Where some are not there all year, as many rows follow
    for what their accounts bring besides: it counts for the company and its managers, for no rep. ``shocks`` are those
    of the estimate.
    """

    n_reps: int
    mean: FloatArray
    variance: FloatArray
    region: IntArray
    shocks: Shocks

    @classmethod
    def of(cls, figures: Figures) -> Books:
        """Sum the chosen pairs by rep and segment."""
        model = figures.model
        pairs, n_reps = figures.pairs, model.problem.n_reps
        segment, names = pd.factorize(model.problem.accounts["segment"])
        rep = pairs["rep"].to_numpy(int)
        key = rep * len(names) + segment[pairs["account"].to_numpy(int)]
        credited, whole = (pairs[name].to_numpy(float) for name in ("credited", "book"))
        noise, all_noise = (pairs[name].to_numpy(float) for name in ("variance", "book_variance"))
        kinds = [(credited, noise)]
        if model.source.credited is not None:
            kinds.append((whole - credited, all_noise - noise))
        mean = [np.bincount(key, sales, minlength=n_reps * len(names)).reshape(n_reps, -1) for sales, _ in kinds]
        variance = [np.bincount(rep, squares, minlength=n_reps) for _, squares in kinds]
        region = np.tile(regions(model.problem), len(kinds))
        means, variances = np.vstack(mean).astype(float), np.concatenate(variance).astype(float)
        return cls(n_reps, means, variances, region, model.estimate.shocks)

    def draw(self, generator: np.random.Generator, count: int, shape: Shape) -> tuple[FloatArray, FloatArray]:
        """Draw ``count`` years of sales: what each rep is credited with, and what comes besides, (count, n_reps)."""
        n_segments = self.mean.shape[1]
        shock = self.shocks.company * generator.standard_normal((count, 1))
        by_region = self.shocks.region * generator.standard_normal((count, int(self.region.max()) + 1))
        by_segment = self.shocks.segment * generator.standard_normal((count, n_segments))
        total = self.mean.sum(axis=1)
        sales = total * (1.0 + shock + by_region[:, self.region]) + by_segment @ self.mean.T
        sales = np.maximum(sales + self._noise(generator, count, shape, total), 0.0)
        besides = sales[:, self.n_reps :]
        return sales[:, : self.n_reps], besides if besides.size else np.zeros((1, self.n_reps))

    def _noise(self, generator: np.random.Generator, count: int, shape: Shape, total: FloatArray) -> FloatArray:
        spread = np.sqrt(self.variance)
        if shape == "normal":
            return np.asarray(generator.standard_normal((count, len(spread))) * spread)
        lopsided = (total > 0) & (self.variance > 0)
        kind = np.where(lopsided, total**2 / np.where(lopsided, self.variance, 1.0), 1.0)
        scale = np.where(lopsided, self.variance / np.where(lopsided, total, 1.0), 0.0)
        noise = generator.standard_gamma(np.broadcast_to(kind, (count, len(kind)))) * scale
        return np.asarray(np.where(lopsided, noise - total, 0.0))


def membership(model: Model) -> FloatArray:
    """1 where a rep reports to a node, directly or not, (n_nodes, n_reps)."""
    tree = model.hierarchy
    found = np.zeros((len(tree.ids), model.problem.n_reps))
    for rep, node in enumerate(tree.rep_node):
        found[tree.path(int(node)), rep] = 1.0
    return found


class _Tally:
    """Running counts and, for percentiles, every draw in single precision."""

    def __init__(self, n_reps: int, draws: int) -> None:
        self.sales = np.empty((draws, n_reps), dtype=np.float32)
        self.hit, self.attained, self.paid = np.zeros(n_reps), np.zeros(n_reps), np.zeros(n_reps)
        self.hits = np.empty(draws, dtype=np.int64)
        self.done = 0

    def add(self, sales: FloatArray, quotas: FloatArray, pay: Pay) -> None:
        owes = quotas > 0
        attainment = np.divide(sales, quotas, out=np.ones_like(sales), where=owes)
        hit = (sales >= quotas - HALF_CENT) | ~owes
        self.hit += hit.sum(axis=0)
        self.attained += attainment.sum(axis=0)
        self.paid += pay.share(attainment).sum(axis=0)
        rows = slice(self.done, self.done + len(sales))
        self.hits[rows], self.sales[rows] = hit.sum(axis=1), sales
        self.done += len(sales)

    def number_of_hits(self) -> dict[str, float]:
        found = _percentiles(self.hits)
        return {"mean": float(self.hits.mean())} | {name: float(count) for name, count in found.items()}


def _percentiles(drawn: npt.NDArray[Any]) -> dict[str, FloatArray]:
    """Percentiles over the first axis, the draws, by their names."""
    found = np.percentile(drawn, list(PERCENTILES.values()), axis=0).astype(float)
    return dict(zip(PERCENTILES, found, strict=True))


def _rep_table(model: Model, books: Books, quotas: FloatArray, tally: _Tally) -> pd.DataFrame:
    paid = tally.paid / tally.done
    under, over = paid < SETTINGS.under_paid, paid > SETTINGS.over_paid
    table = pd.DataFrame(
        {
            "rep_id": model.problem.reps["rep_id"].to_numpy(object),
            "quota": quotas,
            "expected_sales": books.mean[: books.n_reps].sum(axis=1),
            "p_hit": tally.hit / tally.done,
            **_percentiles(tally.sales),
            "attainment": tally.attained / tally.done,
            "pay": paid,
            "flag": np.where(under, "under-paid", np.where(over, "over-paid", "")),
        }
    )
    money = dict.fromkeys(("quota", "expected_sales", "p10", "p50", "p90"), money_of(model.problem.policy))
    return with_units(table, {**money, "p_hit": PROBABILITY, "attainment": SHARE, "pay": SHARE})


def _node_table(model: Model, targets: FloatArray, reached: FloatArray, sales: FloatArray) -> pd.DataFrame:
    tree = model.hierarchy
    facts = {"node_id": tree.ids, "name": tree.names, "level": tree.levels, "target": targets, "p_target": reached}
    money = dict.fromkeys(("target", "p10", "p50", "p90"), money_of(model.problem.policy))
    return with_units(pd.DataFrame(facts | _percentiles(sales)), {**money, "p_target": PROBABILITY})
