"""Whatever is wrong with a file is the user's news: read, or refused with its name; never a traceback."""

from __future__ import annotations

import shutil
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks import mutations

import territory_opt as to
from territory_opt.errors import TerritoryError

TOY = Path(__file__).parents[2] / "scenarios" / "toy"
QUICK, MANY = 40, 1_500
"""Inputs of each kind: in the quick sample, and in the long run."""
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


@pytest.fixture(scope="module")
def plan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan") / "toy"
    scenario = to.load_scenario(TOY)
    to.save_plan(to.solve(scenario.problem(), time_limit=10), folder, scenario=scenario)
    return folder


def outcome(read: Callable[[], object]) -> str:
    """Say how reading ended: "ok", "refused", or where an exception that is not ours came from."""
    try:
        read()
    except TerritoryError as error:
        return "refused" if str(error).isprintable() or _plain(str(error)) else "unprintable message"
    except Exception as error:
        frame = next(f for f in reversed(traceback.extract_tb(error.__traceback__)) if "territory_opt" in f.filename)
        return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    return "ok"


def _plain(text: str) -> bool:
    return all(line.isprintable() and len(line) < 2_000 for line in text.split("\n"))


def attack(kind: str, path: Path, read: Callable[[], object], count: int) -> Counter[str]:
    """Spoil the file at ``path`` ``count`` times, each time anew, and count how reading it ended."""
    sound, found = path.read_bytes(), Counter[str]()
    for seed in range(count):
        path.write_bytes(MUTATE[kind](np.random.default_rng(seed), sound))
        found[outcome(read)] += 1
    return found


def counts(kind: str, folder: Path, plan_folder: Path, count: int) -> Counter[str]:
    """Attack one kind of file."""
    if kind in SCENARIOS:
        scenario_folder(folder, kind)
        return attack(kind, folder / SCENARIOS[kind], lambda: to.load_scenario(folder).problem(), count)
    shutil.copytree(plan_folder, folder)
    return attack(kind, folder / PLANS[kind], lambda: to.check(to.load_plan(folder, scenario=TOY)), count)


@pytest.mark.parametrize("kind", MUTATE)
def test_a_spoilt_file_is_read_or_refused(kind: str, tmp_path: Path, plan_folder: Path) -> None:
    found = counts(kind, tmp_path / "folder", plan_folder, QUICK)
    assert set(found) <= {"ok", "refused"}, found


@pytest.mark.slow
@pytest.mark.parametrize("kind", MUTATE)
def test_many_spoilt_files_are_read_or_refused(kind: str, tmp_path: Path, plan_folder: Path) -> None:
    found = counts(kind, tmp_path / "folder", plan_folder, MANY)
    assert set(found) <= {"ok", "refused"}, found
