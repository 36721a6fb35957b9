"""Growth of time and memory with accounts at a fixed number of reps: ``python -m benchmarks.growth REPS [SIZES ...]``.

Every size is measured by :mod:`benchmarks.scale` in a process of its own. Prints a table and the exponent of wall
seconds, by least squares on logarithms; ``--plot FILE`` draws time and memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.markets import MARKETS

SIZES = (10_000, 31_623, 100_000, 316_228, 1_000_000)
PHASES = ("bound", "search")


def measure(n_accounts: int, n_reps: int, market: str, seed: int, time_limit: float) -> dict[str, Any]:
    """Solve one market in a process of its own; return the figures. Raise RuntimeError if the judge objects."""
    words = [sys.executable, "-m", "benchmarks.scale", str(n_accounts), str(n_reps), "--market", market,
             "--seed", str(seed), "--time-limit", str(time_limit), "--json"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{n_accounts:,} x {n_reps:,} failed: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)["results"][0]
    return found


def exponent(sizes: Sequence[float], amounts: Sequence[float]) -> float:
    """Slope of log amount on log size."""
    return float(np.polyfit(np.log(sizes), np.log(amounts), 1)[0])


def as_text(found: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table and the exponents."""
    lines = ["| accounts x reps | wall s | bound s | search s | peak GiB | gap |", "|---|---|---|---|---|---|"]
    for m in found:
        phases = " | ".join(f"{m['phases'].get(phase, 0.0):.1f}" for phase in PHASES)
        name = f"{m['accounts']:,} x {m['reps']:,}"
        lines.append(f"| {name} | {m['wall']:.1f} | {phases} | {m['peak_gib']:.2f} | {m['gap']:.3%} |")
    sizes = [m["accounts"] for m in found]
    if len(found) > 1:
        lines.append(f"\nExponent of wall seconds: {exponent(sizes, [m['wall'] for m in found]):.2f}")
    return "\n".join(lines)


def plot(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw wall seconds and peak memory against accounts, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    sizes = np.array([m["accounts"] for m in found], dtype=float)
    left, right = figure.subplots(1, 2)
    for axes, key, label in ((left, "wall", "wall seconds"), (right, "peak_gib", "peak memory, GiB")):
        amounts = np.array([m[key] for m in found], dtype=float)
        axes.loglog(sizes, amounts, "o-", color="#1F4E79", label=f"exponent {exponent(sizes, amounts):.2f}")
        axes.loglog(sizes, amounts[-1] * sizes / sizes[-1], ":", color="#52606D", label="linear")
        axes.set(xlabel=f"accounts, {found[0]['reps']:,} reps", ylabel=label)
        axes.legend(frameon=False)
        axes.grid(visible=True, which="both", alpha=0.2)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and draw; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("reps", type=int)
    parser.add_argument("sizes", type=int, nargs="*", default=list(SIZES), help="numbers of accounts")
    parser.add_argument("--market", choices=MARKETS, default="heavy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit", type=float, default=3600.0, help="seconds for each solve: it must not bite")
    parser.add_argument("--plot", type=Path, help="draw to this file (png, svg)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = []
    for size in given.sizes:
        found.append(measure(size, given.reps, given.market, given.seed, given.time_limit))
        print(f"{size:,}: {found[-1]['wall']:.1f} s", file=sys.stderr)
    print(json.dumps(found, indent=2) if given.json else as_text(found))
    if given.plot:
        plot(found, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
