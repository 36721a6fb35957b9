"""Kill a command while it writes, at every step or at random moments, and count what is left.

A process of its own, which loads the package once and forks for every kill: ``python -m benchmarks.kills`` prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import territory_opt as to
from territory_opt import atomic
from territory_opt.cli.commands import run
from territory_opt.plan.folder import read_folder
from territory_opt.plan.write_folder import own_files, recover_folder, write_folder

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
STEPS = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.scandir", "os.listdir",
    "ctypes.dlopen", "ctypes.dlsym",
}  # fmt: skip
"""What Python tells an audit hook just before it asks the system."""
NOTED = 1_000_000_000.0
"""Time of the user's note: long ago."""


def end_at(step: int) -> None:
    """Kill this process just before its ``step``-th request to the system."""
    count = 0

    def hook(event: str, _arguments: object) -> None:
        nonlocal count
        if event in STEPS:
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def killed(work: Callable[[], object], *, step: int = 0, after: float = 0.0) -> bool:
    """Do ``work`` in a process that is killed at a step, or ``after`` seconds; return whether it was."""
    child = os.fork()
    if not child:
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        if step:
            end_at(step)
        work()
        os._exit(0)
    if not step:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def plan_files(folder: Path) -> dict[str, bytes]:
    """Return the files that a manifest lists, with their bytes, and itself."""
    return {name: (folder / name).read_bytes() for name in own_files(folder)}


def state(folder: Path, plans: dict[str, dict[str, bytes]]) -> str:
    """Say which plan a folder holds as a whole: a key of ``plans``, "missing" or "mixed"."""
    if not folder.exists():
        return "missing"
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "note.txt"}
    return next((name for name, files in plans.items() if files == found), "mixed")


def users_intact(folder: Path) -> bool:
    """Whether the user's note and folder are as they were, their times too."""
    note, deep = folder / "note.txt", folder / "mine" / "deep.txt"
    return (
        note.is_file() and note.read_bytes() == b"dear\r\n" and note.stat().st_mtime == NOTED
        and (folder / "mine").stat().st_mtime == NOTED and deep.read_text(encoding="utf-8") == "deep"
    )  # fmt: skip


def prepare(place: Path, old: Callable[[Path], None] | None) -> Path:
    """Return a folder of the old plan with a note and a folder of the user."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    folder = place / "plan"
    if old is not None:
        old(folder)
        (folder / "note.txt").write_bytes(b"dear\r\n")
        (folder / "mine").mkdir()
        (folder / "mine" / "deep.txt").write_text("deep", encoding="utf-8")
        for path in (folder / "note.txt", folder / "mine"):
            os.utime(path, (NOTED, NOTED))
    return folder


def kill_writers(place: Path, moments: list[dict[str, float]], *, steps: bool, first: bool) -> Counter[str]:
    """Kill a writer of a plan folder at each moment; count what was found.

    ``steps``: as where folders cannot be exchanged; ``first``: there was no plan before.
    """
    results = {
        name: to.solve(to.load_scenario(TOY, overrides={"quotas.target": target}).problem())
        for name, target in (("old", 1200.0), ("new", 1160.0))
    }

    def write(name: str, folder: Path) -> None:
        result = results[name]
        claims = result.claims("toy")
        write_folder(folder, plan=result.plan, certificate=result.certificate, claims=claims, manifest={})

    if steps:
        atomic._exchange = lambda *_: False
    plans = {}
    for name in results:
        write(name, prepare(place, None))
        plans[name] = plan_files(place / "plan")
    found: Counter[str] = Counter()
    for moment in moments:
        folder = prepare(place, None if first else lambda folder: write("old", folder))
        if not killed(lambda folder=folder: write("new", folder), **moment):
            found["not killed"] += 1
            if "step" in moment:
                break
            continue
        found["killed"] += 1
        found["at once: " + state(folder, plans)] += 1
        recover_folder(folder)
        found["recovered: " + state(folder, plans)] += 1
        if folder.exists():
            read_folder(folder)
            found["user's files lost"] += not (first or users_intact(folder))
        write("new", folder)
        found["written again: " + state(folder, plans)] += 1
        found["user's files lost"] += not (first or users_intact(folder))
        found["left behind"] += [path.name for path in place.iterdir()] != ["plan"]
    return found


def kill_replans(place: Path, n: int, seed: int) -> Counter[str]:
    """Kill ``replan`` at ``n`` random moments, then give the command again."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    plan, rest = place / "plan", place / "rest"
    asked = ["replan", str(plan), "--as-of", "2027-06", "--out", str(rest)]
    found: Counter[str] = Counter()
    found[f"solve: {run(['solve', str(TOY), '--set', 'quotas.periods=quarter', '--out', str(plan)])}"] += 1
    started = time.perf_counter()
    found[f"replan: {run(asked)}"] += 1
    takes = time.perf_counter() - started
    moments = random.Random(seed)
    for _ in range(n):
        shutil.rmtree(rest, ignore_errors=True)
        found["killed"] += killed(lambda: run(asked), after=moments.uniform(0.0, takes))
        if rest.exists():
            found[f"complete: {run(['check', str(rest / 'plan')])}"] += 1
        else:
            found[f"run again: {run(asked)}"] += 1
        found["left behind"] += sorted(path.name for path in place.iterdir()) != ["plan", "rest"]
    return found


def moments_of(arguments: argparse.Namespace) -> list[dict[str, float]]:
    """When to kill: at steps, or after seconds."""
    if arguments.every:
        return [{"step": step} for step in range(1, 10_000, arguments.every)]
    moments = random.Random(arguments.seed)
    return [{"after": moments.uniform(0.0, arguments.within)} for _ in range(arguments.random)]


def main() -> None:
    """Kill and print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["exchange", "steps", "first", "replan"])
    parser.add_argument("place", type=Path, help="a folder to work in; it is removed first")
    parser.add_argument("--every", type=int, default=0, help="kill at every so many steps")
    parser.add_argument("--random", type=int, default=5, help="kill at so many random moments")
    parser.add_argument("--within", type=float, default=0.1, help="seconds in which random kills fall")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    said, sys.stdout = sys.stdout, sys.stderr
    if arguments.what == "replan":
        found = kill_replans(arguments.place, arguments.random, arguments.seed)
    else:
        what = arguments.what
        found = kill_writers(arguments.place, moments_of(arguments), steps=what == "steps", first=what == "first")
    print(json.dumps(dict(sorted(found.items()))), file=said, flush=True)


if __name__ == "__main__":
    main()
