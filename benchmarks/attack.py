"""Attack with spoilt files, forged plans and kills: ``python -m benchmarks.attack [--inputs 10000] [--json]``.

Spoilt files are read or refused with a sentence; forgeries are found or named as not checked; a killed writer leaves
the old plan or the new one. What must be 0 is said first, and makes the exit code 1 where it is not.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import territory_opt as to
from benchmarks import mutations
from benchmarks.forgeries import caught, forgeries
from territory_opt.errors import TerritoryError

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
SCENARIOS = {"csv": "accounts.csv", "yaml": "scenario.yaml", "xlsx": "accounts.xlsx", "parquet": "accounts.parquet"}
PLANS = {"json": "plan.json", "npz": "certificate.npz", "plan csv": "roll_up.csv"}
MUTATE: dict[str, mutations.Mutate] = {
    "csv": mutations.mutate_csv,
    "yaml": mutations.mutate_yaml,
    "xlsx": mutations.mutate_xlsx,
    "parquet": mutations.mutate_parquet,
    "json": mutations.mutate_json,
    "npz": mutations.mutate_npz,
    "plan csv": mutations.mutate_csv,
}
LONGEST_LINE = 2_000
"""Characters of a line of a message, at most."""
EXPECTED = ("ok", "refused")


def scenario_folder(folder: Path, kind: str) -> Path:
    """Make a copy of the toy whose accounts are a file of this kind."""
    shutil.copytree(TOY, folder)
    name = SCENARIOS[kind]
    accounts = pd.read_csv(TOY / "accounts.csv")
    if kind == "xlsx":
        accounts.to_excel(folder / name, index=False)
    elif kind == "parquet":
        accounts.to_parquet(folder / name)
    if kind in ("xlsx", "parquet"):
        scenario = folder / "scenario.yaml"
        scenario.write_text(scenario.read_text().replace("accounts.csv", name))
    return folder


def plan_folder(folder: Path, **settings: Any) -> Path:
    """Solve the toy and save its plan."""
    scenario = to.load_scenario(TOY, overrides=settings)
    to.save_plan(to.solve(scenario.problem()), folder, scenario=scenario)
    return folder


def outcome(read: Callable[[], object]) -> str:
    """Say how reading ended: "ok", "refused", or where an exception that is not ours came from."""
    try:
        read()
    except TerritoryError as error:
        plain = all(line.isprintable() and len(line) < LONGEST_LINE for line in str(error).split("\n"))
        return "refused" if plain else "unprintable message"
    except Exception as error:
        frame = next(f for f in reversed(traceback.extract_tb(error.__traceback__)) if "territory_opt" in f.filename)
        return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    return "ok"


def rows_of(data: bytes) -> int:
    """Rows of a CSV file that hold anything, below its head."""
    lines = csv.reader(io.StringIO(data.decode("utf-8-sig", errors="replace"), newline=""))
    return sum(any(cell.strip() for cell in line) for line in lines) - 1


def dropped(problem: to.Problem, data: bytes) -> bool:
    """Whether a table was taken with fewer accounts than it has rows, and nobody was told."""
    return problem.n_accounts < rows_of(data) and not any(issue.table == "accounts" for issue in problem.issues)


def spoil(kind: str, path: Path, read: Callable[[], object], count: int) -> Counter[str]:
    """Spoil the file at ``path`` ``count`` times, each time anew, and count how reading it ended."""
    sound, found = path.read_bytes(), Counter[str]()
    for seed in range(count):
        spoilt, taken = MUTATE[kind](np.random.default_rng(seed), sound), []
        path.write_bytes(spoilt)
        ended = outcome(lambda taken=taken: taken.append(read()))
        silent = kind == "csv" and ended == "ok" and dropped(taken[0], spoilt)
        found["silent drop" if silent else ended] += 1
    return found


def counts(kind: str, folder: Path, plan: Path, count: int) -> Counter[str]:
    """Attack one kind of file in ``folder``, a new one; ``plan`` is a sound plan folder."""
    if kind in SCENARIOS:
        scenario_folder(folder, kind)
        return spoil(kind, folder / SCENARIOS[kind], lambda: to.load_scenario(folder).problem(), count)
    shutil.copytree(plan, folder)
    return spoil(kind, folder / PLANS[kind], lambda: to.check(to.load_plan(folder, scenario=TOY)), count)


def forged(place: Path) -> Counter[str]:
    """Forge every field and file of a plan that holds and of one that breaks rules; count what the check says."""
    found = Counter[str]()
    for name, settings in (("holds", {}), ("breaks", {"territories.keep.max_moved_accounts": 0})):
        original = plan_folder(place / name, **settings)
        for forgery in forgeries(original):
            found[caught(forgery, original, place / "forged")] += 1
    return found


def killed(place: Path, what: str, every: int) -> dict[str, int]:
    """Kill writers at every so many steps, in a process of their own, see ``benchmarks.kills``."""
    command = [sys.executable, "-m", "benchmarks.kills", what, str(place / what), "--every", str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=TOY.parents[1])
    found: dict[str, int] = json.loads(done.stdout)
    return found


def must_be_none(found: dict[str, Any]) -> dict[str, int]:
    """What a sound package has none of."""
    spoilt = {kind: Counter(each) for kind, each in found["spoilt"].items()}
    odd = sum(n for each in spoilt.values() for ended, n in each.items() if ended not in EXPECTED)
    drops = sum(each["silent drop"] for each in spoilt.values())
    kills = [Counter(each) for each in found["kills"].values()]
    return {
        "tracebacks and unprintable messages": odd - drops,
        "silent drops": drops,
        "forgeries that pass unlisted": found["forged"].get("passed", 0),
        "mixed folders": sum(n for each in kills for what, n in each.items() if what.endswith("mixed")),
        "users' files lost": sum(each["user's files lost"] for each in kills),
        "leftovers": sum(each["left behind"] for each in kills),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Attack, print the counts, return 1 if anything that must be 0 is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="spoilt files in all")
    parser.add_argument("--every", type=int, default=2, help="kill writers at every so many steps")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        plan, each = plan_folder(place / "plan"), -(-args.inputs // len(MUTATE))
        spoilt = {kind: dict(counts(kind, place / kind, plan, each)) for kind in MUTATE}
        found: dict[str, Any] = {"spoilt": spoilt, "forged": dict(forged(place))}
        found["kills"] = {what: killed(place, what, args.every) for what in ("exchange", "steps", "first")}
    none = must_be_none(found)
    found = {"must be 0": none, **found, "seconds": round(time.perf_counter() - start, 1)}
    print(json.dumps(found, indent=None if args.json else 2))
    return int(any(none.values()))


if __name__ == "__main__":
    sys.exit(main())
