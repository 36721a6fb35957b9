"""What every number of ``optimize/settings.py`` does: ``python -m benchmarks.steering [--only GROUP] [--out FILE]``.

Each number is halved and doubled, all others kept, and four problems are solved to gap 0: a market with narrow bands, a
company with quotas, that company again after an edit, and a company of 250 accounts whose rules leave most room for
better plans. The judge certifies every plan. What is shown is the gap of the last and the mean gap of the others, with
the seconds of all; limits of time and seeds are left out. Every variant runs in a process of its own with one thread,
as compiled code reads some numbers when it is compiled. The last branch and bound (core), which takes longest, only
runs where its own numbers are changed. Plans hang on chance: the lines "as set" say by how much.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

FIXED = ("INNER", "QUOTAS", "SOLVERS")
"""Groups that cannot be handed in: they are changed before anything reads them."""
LEFT_OUT = (
    "seconds",
    "time_limit",
    "share_of_time",
    "threads",
    "seed_step",
    "round_step",
    "opening_step",
    "look",
    "grace",
)
"""Limits of time and seeds: no work is meant to hang on them."""


def numbers() -> Iterator[tuple[str, str, float]]:
    """Yield group, field and value of every number that can be halved and doubled."""
    from territory_opt.optimize import settings

    groups: dict[str, Any] = {one.name: getattr(settings.Settings(), one.name) for one in fields(settings.Settings)}
    groups |= {name: getattr(home_of(name), name) for name in FIXED}
    for group, values in groups.items():
        for field in fields(values):
            inner = getattr(values, field.name)
            parts = {field.name: inner}
            if is_dataclass(inner):
                parts = {f"{field.name}.{part.name}": getattr(inner, part.name) for part in fields(inner)}
            for name, value in parts.items():
                if (
                    isinstance(value, int | float)
                    and not isinstance(value, bool)
                    and value
                    and not name.endswith(LEFT_OUT)
                ):
                    yield group, name, value


def home_of(group: str) -> Any:
    """Return the module that holds a group which cannot be handed in."""
    from territory_opt.optimize import settings
    from territory_opt.optimize.mip import settings as mip_settings

    return settings if hasattr(settings, group) else mip_settings


def changed(values: Any, name: str, factor: float) -> Any:
    """Return settings with one number times ``factor``; whole numbers stay whole."""
    first, _, rest = name.partition(".")
    value = getattr(values, first)
    if rest:
        return replace(values, **{first: changed(value, rest, factor)})
    return replace(values, **{first: max(round(value * factor), 1) if isinstance(value, int) else value * factor})


def measure(group: str, name: str, factor: float, seed: int) -> dict[str, float]:
    """Solve all problems with one number changed; return gaps in percent, broken plans and seconds."""
    from territory_opt.optimize import settings

    if name and group in FIXED:
        setattr(home_of(group), group, changed(getattr(home_of(group), group), name, factor))
    chosen = settings.Settings()
    if group != "core":
        chosen = replace(chosen, core=replace(chosen.core, pairs=0))
    if name and group not in FIXED:
        chosen = replace(chosen, **{group: changed(getattr(chosen, group), name, factor)})
    import territory_opt as to
    from benchmarks.markets import make_market
    from territory_opt.optimize.solve import solve

    company = to.generate(150, 5, seed=3, months=24)
    problems = [
        make_market("heavy", 600, 8, seed=0, price_per_point=0.05).problem(),
        company_problem(company),
    ]
    gaps, broken, previous = [], 0, None
    solve(problems[1], time_limit=1.0, settings=chosen)  # so that nothing is compiled while the clock runs
    start = time.perf_counter()
    edited = company_problem(dict(company, accounts=company["accounts"].iloc[3:]))
    for k, problem in enumerate([*problems, edited, shipped_rules(250, 8)]):
        found = solve(
            problem,
            seed=seed,
            gap=0.0,
            time_limit=60.0,
            threads=1,
            settings=chosen,
            previous=previous if k == len(problems) else None,
        )
        previous = found
        proof = to.certify(problem, found.plan, found.certificate)
        if proof.problems or abs(proof.objective - found.objective) > 0.01:
            raise SystemExit(f"{group}.{name} x {factor}: the judge does not confirm the plan: {proof}")
        broken += bool(found.violations)
        gaps.append(100.0 * proof.gap)
    *easy, hard = gaps
    seconds = time.perf_counter() - start
    return {"hard": hard, "easy": sum(easy) / len(easy), "broken": broken, "seconds": seconds}


def shipped_rules(accounts: int, reps: int) -> Any:
    """A made-up company with the rules that ``generate`` writes."""
    import territory_opt as to

    with tempfile.TemporaryDirectory() as place:
        to.generate(accounts, reps, folder=Path(place) / "company")
        return to.load_scenario(Path(place) / "company").problem()


def company_problem(tables: dict[str, Any]) -> Any:
    """A company that sets quotas together with territories."""
    import territory_opt as to

    target = 12.0 * float(tables["sales"].groupby("month")["sales"].sum().tail(12).mean())
    known = set(tables["accounts"]["account_id"])
    own = {name: table[table["account_id"].isin(known)] if "account_id" in table else table
           for name, table in tables.items()}  # fmt: skip
    return to.Problem.from_tables(**own, policy=to.Policy.model_validate({"quotas": {"target": target}}))


def run(group: str, name: str, factor: float, seed: int = 0) -> dict[str, float]:
    """Measure in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        own = {"NUMBA_CACHE_DIR": cache} if group == "INNER" else {}
        command = [sys.executable, "-m", "benchmarks.steering", "--one", group, name, str(factor), str(seed)]
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(found: dict[str, float]) -> str:
    """One measurement in words."""
    broken = f", {found['broken']:.0f} broken" if found["broken"] else ""
    return f"{found['hard']:.2f} and {found['easy']:.3f} %{broken}, {found['seconds']:.0f} s"


def main(argv: Sequence[str] | None = None) -> None:
    """Print (and write) the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one group, such as ascent")
    parser.add_argument("--out", type=Path, help="write the table here, line by line")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        group, name, factor, seed = args.one
        print(json.dumps(measure(group, name, float(factor), int(seed))))
        return

    def say(text: str) -> None:
        print(text, flush=True)
        if args.out:
            with args.out.open("a", encoding="utf-8") as file:
                file.write(text + "\n")

    say("| setting | value | half | twice |\n|---|---:|---|---|")
    for group in ("", "core"):
        found = "; ".join(line(run(group, "", 1.0, seed)) for seed in range(3))
        say(f"| {group} as set, three seeds | | {found} | |".replace("|  as", "| as"))
    for group, name, value in numbers():
        if args.only in (None, group):
            half, twice = (line(run(group, name, factor)) for factor in (0.5, 2.0))
            say(f"| {group}.{name} | {value:g} | {half} | {twice} |")


if __name__ == "__main__":
    main()
