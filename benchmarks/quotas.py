"""How good quotas from data are: ``python -m benchmarks.quotas [--seeds 50] [--json]``.

The back-test on AdventureWorks (against its 163 historical quotas, where ``TERRITORY_OPT_DATA`` names the data) and on
the field team; calibration of odds there; coverage of 80 % ranges on made-up companies whose truth is known; time of a
simulation of 10,000 years of 1,000 reps.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

import territory_opt as to
from benchmarks.run import machine
from territory_opt.estimate.backtest import Backtest, backtest
from territory_opt.estimate.expected import estimate_sales
from territory_opt.estimate.methods import ESTIMATE
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.quota.simulate import simulate
from territory_opt.synthetic.market import TRUTH, generate_market

FloatArray = npt.NDArray[np.float64]

ROOT = Path(__file__).parents[1]
MULTIPLES = (0.7, 0.85, 1.0, 1.15, 1.3)
"""Goals for the calibration of odds, as multiples of the forecast."""
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def calibration(found: Backtest) -> pd.DataFrame:
    """Stated odds against how often they came true, for goals around the forecast: one row per bin of odds."""
    looks = found.looks[found.looks["method"] == ESTIMATE]
    mean, spread, sales = (looks[name].to_numpy(float) for name in ("forecast", "spread", "sales"))
    known = (mean > 0) & (spread > 0)
    return binned(mean[known], spread[known], sales[known])


def binned(mean: FloatArray, spread: FloatArray, sales: FloatArray) -> pd.DataFrame:
    """Stated odds and share that came true by bin, for goals at multiples of ``mean``."""
    stated = np.concatenate([norm.cdf((mean - multiple * mean) / spread) for multiple in MULTIPLES])
    came = np.concatenate([sales >= multiple * mean for multiple in MULTIPLES])
    place = np.clip(np.digitize(stated, BINS) - 1, 0, len(BINS) - 2)
    frame = pd.DataFrame({"bin": place, "stated": stated, "came": came})
    table = frame.groupby("bin").agg(n=("came", "size"), stated=("stated", "mean"), came=("came", "mean"))
    table.insert(0, "odds", [f"{BINS[k]:.0%} to {BINS[k + 1]:.0%}" for k in table.index])
    return table.reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Truth:
    """Rep totals of made-up companies: share inside their 80 % range, slope of outcome on forecast, bias, odds.

    The range is that of the odds: with the shock that is assumed to be shared. ``alone``: the share without it.
    """

    seeds: int
    reps: int
    coverage: float
    alone: float
    slope: float
    bias: float
    odds: list[dict[str, Any]]


def against_truth(seeds: int, accounts: int = 600, reps: int = 12) -> Truth:
    """Forecast the plan year of ``seeds`` companies and compare with how it turns out."""
    means, spreads, shocks, outcomes = [], [], [], []
    for seed in range(seeds):
        tables = generate_market(accounts, reps, seed, truth=True)
        came = tables.pop(TRUTH)["plan_year_sales"].to_numpy(float)
        problem = to.Problem.from_tables(**tables)
        estimate = estimate_sales(problem)
        rep = pd.Index(problem.reps["rep_id"]).get_indexer(pd.Index(problem.accounts["incumbent"]))
        kept = rep >= 0
        mean, variance, sold = (
            np.bincount(rep[kept], amounts[kept], minlength=reps)
            for amounts in (estimate.expected, estimate.variance, came)
        )
        means.append(mean)
        spreads.append(np.sqrt(variance))
        shocks.append(estimate.shocks.together * mean)
        outcomes.append(sold)
    mean, own, shock, sold = (np.concatenate(x) for x in (means, spreads, shocks, outcomes))
    mean, own, shock, sold = (x[mean > 0] for x in (mean, own, shock, sold))
    spread = np.hypot(own, shock)
    inside, alone = (float((np.abs(sold - mean) <= norm.ppf(0.9) * x).mean()) for x in (spread, own))
    slope = float(np.polyfit(mean, sold, 1)[0])
    odds = binned(mean, spread, sold).to_dict("records")
    return Truth(seeds, len(mean), inside, alone, slope, float(mean.sum() / sold.sum() - 1.0), odds)


def simulation_seconds(accounts: int = 20_000, reps: int = 1_000, draws: int = 10_000) -> float:
    """Seconds to simulate ``draws`` plan years of ``reps`` reps."""
    tables = generate_market(accounts, reps, seed=0, months=0)
    target = float(tables["accounts"]["current_sales"].sum())
    problem = to.Problem.from_tables(**tables, policy=to.Policy.model_validate({"quotas": {"target": target}}))
    model = to.Model.build(problem)
    node = np.maximum(model.source.incumbent[model.source.nodes.first], 0)
    plan = Plan.from_positions(model, node.astype(np.int64), np.full(reps, np.round(target / reps)))
    started = time.perf_counter()
    simulate(Figures(model, plan), draws=draws)
    return time.perf_counter() - started


def plot(odds: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Draw stated odds against how often they came true, one line per company; a point's size is its count."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "territory-opt"})
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color="#52606D", label="as stated")
    for (name, table), colour in zip(odds.items(), ("#1F4E79", "#C05621", "#2F855A"), strict=False):
        axes.plot(table["stated"], table["came"], "-", color=colour, label=name)
        axes.scatter(table["stated"], table["came"], 200 * table["n"] / table["n"].max(), color=colour, alpha=0.5)
    axes.set(xlabel="stated odds of a goal", ylabel="share of such goals that were met", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def looked_back(folder: Path, **settings: Any) -> Backtest:
    """The back-test of a shipped scenario."""
    return backtest(to.load_scenario(folder).problem(), **settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 1 if the estimate is not the closest on either company."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quotas", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--plot", type=Path, help="draw the calibration of odds to this file (png, svg)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    data = Path(os.environ.setdefault("TERRITORY_OPT_DATA", str(ROOT.parent / "shared" / "data")))
    found = {"field team": looked_back(ROOT / "scenarios" / "field_team")}
    if (data / "adventureworks" / "quotas.csv").exists():
        found["AdventureWorks"] = looked_back(ROOT / "scenarios" / "adventureworks")
    else:
        print(f"AdventureWorks is not in {data}: set TERRITORY_OPT_DATA", file=sys.stderr)
    truth, seconds = against_truth(given.seeds), simulation_seconds()
    if given.plot:
        known = {"known truth": pd.DataFrame(truth.odds)}
        plot({**{name: calibration(back) for name, back in found.items()}, **known}, given.plot)
    if given.json:
        shown = {
            "machine": machine(), "backtests": {name: b.to_dict() for name, b in found.items()},
            "calibration": {name: calibration(b).to_dict("records") for name, b in found.items()},
            "truth": asdict(truth), "simulation_seconds": seconds,
        }  # fmt: skip
        print(json.dumps(shown, indent=2))
    else:
        for name, back in found.items():
            print(f"{name}: {back.n_looks} looks, {back.horizon} months hidden\n{back}\n{calibration(back)}\n")
        print(f"{truth.seeds} companies with known truth, {truth.reps} reps: coverage {truth.coverage:.1%} "
              f"({truth.alone:.1%} without the shared shock), "
              f"slope {truth.slope:.3f}, bias {truth.bias:+.1%}\n{pd.DataFrame(truth.odds)}\n")  # fmt: skip
        print(f"10,000 plan years of 1,000 reps: {seconds:.2f} s")
    return int(any(back.best != ESTIMATE for back in found.values()))


if __name__ == "__main__":
    sys.exit(main())
