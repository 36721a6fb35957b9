"""What every number of a forecast (``estimate/settings.py``) does: ``python -m benchmarks.sensitivity [--seeds 4]``.

Each number is halved and doubled, all others kept. The error of rep totals in the back-tests of the field team and of
AdventureWorks (where ``TERRITORY_OPT_DATA`` names the data), of made-up companies of which one, two and three years are
known, and of companies of one shape (season, growth, one order a year), each with what lies in the 80 % range.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import territory_opt as to
from benchmarks.mid_year import companies
from territory_opt.estimate.backtest import backtest
from territory_opt.estimate.expected import estimate_sales
from territory_opt.estimate.forecast import forecast
from territory_opt.estimate.history import History
from territory_opt.estimate.methods import ESTIMATE, METHODS
from territory_opt.intake.actuals import check_actuals
from territory_opt.problem.numbers import RANGE_80

FloatArray = npt.NDArray[np.float64]

ROOT = Path(__file__).parents[1]
MODULES = ("growth", "seasonality", "levels", "forecast", "expected", "shocks")
SETTINGS = tuple(
    f"{name}Settings" for name in ("Growth", "Seasonality", "Level", "Forecast", "Spread", "LastYear", "Shock")
)
SHAPES = ("last quarter 40 %", "one order a year", "growth of 15 %")
Figures = dict[str, tuple[float, float]]
"""Name of the data -> error of rep totals (of the whole company for shapes), share in the 80 % range; percent."""


def measured(seeds: int) -> Figures:
    """All figures at the settings as they are now."""
    found: Figures = {}
    for name in ("field_team", "adventureworks"):
        if name == "field_team" or (Path(os.environ["TERRITORY_OPT_DATA"]) / "adventureworks" / "quotas.csv").exists():
            problem = to.load_scenario(ROOT / "scenarios" / name).problem()
            scores = backtest(problem, methods={ESTIMATE: METHODS[ESTIMATE]}).scores
            score = next(one for one in scores if one.method == ESTIMATE)
            found[name] = (100 * score.rep_error, 100 * score.coverage)
    for months in (12, 24, 36):
        found[f"{months} months known"] = against_truth(seeds, months)
    found["last year's figure"] = against_truth(seeds, 12, by_month=False)
    return found | {shape: shaped(shape) for shape in SHAPES}


def against_truth(seeds: int, months: int, *, by_month: bool = True) -> tuple[float, float]:
    """Rep totals of made-up companies of whose past ``months`` are known, or only what they come to by account."""
    means, spreads, sold = [], [], []
    for problem, coming in companies(seeds, months, accounts=200, reps=16):
        known, came = (
            problem if by_month else replace(problem, sales=problem.sales.iloc[:0]),
            check_actuals(coming, problem),
        )
        found, n = estimate_sales(known), problem.n_reps
        place = pd.Index(problem.accounts["account_id"]).get_indexer(came["account_id"])
        year = np.bincount(place, came["sales"].to_numpy(float), minlength=problem.n_accounts)
        rep = pd.Index(problem.reps["rep_id"]).get_indexer(problem.accounts["incumbent"])
        kept = rep >= 0
        mean, own, total = (
            np.bincount(rep[kept], x[kept], minlength=n) for x in (found.expected, found.variance, year)
        )
        means.append(mean)
        spreads.append(np.hypot(np.sqrt(own), found.shocks.together * mean))
        sold.append(total)
    off = np.abs(np.concatenate(means) - np.concatenate(sold))
    return 100 * float(off.sum() / np.concatenate(sold).sum()), 100 * float(
        (off <= RANGE_80 * np.concatenate(spreads)).mean()
    )


def shaped(shape: str) -> tuple[float, float]:
    """The company's total where all accounts have one ``shape``, over histories of 6 to 36 months."""
    off, inside = [], []
    for months in (6, 12, 18, 24, 36):
        for seed in range(4):
            rng = np.random.default_rng(seed)
            month = np.arange(months + 12)
            sales = 100.0 * rng.lognormal(0.0, 0.5, (200, 1)) * rng.gamma(20.0, 1 / 20.0, (200, months + 12))
            if shape == SHAPES[0]:
                sales = sales * np.where((month - months) % 12 < 9, 0.8, 1.6)
            elif shape == SHAPES[1]:
                sales = 12.0 * sales * (rng.random(sales.shape) < 1 / 12)
            else:
                sales = sales * 1.15 ** (month / 12)
            start, could = pd.Period("2027-01", freq="M") - months, np.full(200, 2400.0)
            past = History(sales[:, :months], start, could, np.zeros(200, dtype=np.int64), ("all",))
            found, came = forecast(past, horizon=12), float(sales[:, months:].sum())
            mean = float(found.expected.sum())
            spread = np.hypot(np.sqrt(found.variance.sum()), found.level_doubt * mean)
            off.append(abs(mean / came - 1.0))
            inside.append(abs(came - mean) <= RANGE_80 * spread)
    return 100 * float(np.mean(off)), 100 * float(np.mean(inside))


@contextmanager
def changed(old: Any, new: Any) -> Iterator[None]:
    """Let every module of the estimate that uses the settings ``old`` use ``new``."""
    modules = [importlib.import_module(f"territory_opt.estimate.{name}") for name in MODULES]
    places = [(module, name) for module in modules for name, value in vars(module).items() if type(value) is type(old)]
    for module, name in places:
        setattr(module, name, new)
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, old)


def variants(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Half and double a number, or every number of a tuple; a share stays below 1."""
    for label, factor in (("/ 2", 0.5), ("x 2", 2.0)):
        if isinstance(value, tuple):
            yield label, tuple(x * factor for x in value)
        elif isinstance(value, int):
            yield label, max(round(value * factor), 1)
        elif name in ("outlier", "decay"):  # what is left to 1
            yield label, 1.0 - (1.0 - value) * factor
        else:
            yield label, value * factor


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sensitivity", description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    given = parser.parse_args(arguments)
    os.environ.setdefault("TERRITORY_OPT_DATA", str(ROOT.parent / "shared" / "data"))
    base = measured(given.seeds)
    print(f"| | | {' | '.join(base)} |\n|---|---|{'---|' * len(base)}")
    print(f"| as set | | {' | '.join(f'{off:.2f} ({inside:.0f})' for off, inside in base.values())} |")
    instances: list[Any] = []
    for name in MODULES:
        for value in vars(importlib.import_module(f"territory_opt.estimate.{name}")).values():
            if type(value).__name__ in SETTINGS and value not in instances:
                instances.append(value)
    for settings in instances:
        for one in fields(settings):
            for label, value in variants(one.name, getattr(settings, one.name)):
                with changed(settings, replace(settings, **{one.name: value})):
                    found = measured(given.seeds)
                cells = ["" if found[k] == base[k] else f"{found[k][0]:.2f} ({found[k][1]:.0f})" for k in base]
                print(f"| {type(settings).__name__}.{one.name} | {label} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
