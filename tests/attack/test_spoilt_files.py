"""Whatever is wrong with a file is the user's news: read, or refused with its name; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.attack import EXPECTED, MUTATE, TOY, counts, dropped
from benchmarks.attack import plan_folder as save_plan

import territory_opt as to

QUICK, MANY = 20, 1_500
"""Inputs of each kind: in the quick sample, and in the long run."""


@pytest.fixture(scope="module")
def plan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_plan(tmp_path_factory.mktemp("plan") / "toy")


@pytest.mark.parametrize("kind", MUTATE)
def test_a_spoilt_file_is_read_or_refused(kind: str, tmp_path: Path, plan_folder: Path) -> None:
    found = counts(kind, tmp_path / "folder", plan_folder, QUICK)
    assert set(found) <= set(EXPECTED), found


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kind", MUTATE)
def test_many_spoilt_files_are_read_or_refused(kind: str, tmp_path: Path, plan_folder: Path) -> None:
    found = counts(kind, tmp_path / "folder", plan_folder, MANY)
    assert set(found) <= set(EXPECTED), found


def test_a_silent_drop_is_seen() -> None:
    problem = to.load_scenario(TOY).problem()
    sound = (TOY / "accounts.csv").read_bytes()
    assert not dropped(problem, sound)
    assert dropped(problem, sound + sound.splitlines()[-1] + b"\n")
