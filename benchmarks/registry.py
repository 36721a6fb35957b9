"""What is measured: specification x size x phase, one entry per problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from territory_opt.synthetic.market import generate_market, write_market

ROOT = Path(__file__).parents[1]

PHASES = (
    "read", "model", "bound", "large accounts", "lumps", "search", "polish", "cases", "core", "branch and bound",
    "least bad", "quotas", "judge",
)  # fmt: skip
"""Every phase a run can have, in order. ``read`` loads and checks the tables, ``judge`` is audit and certify."""

EXACT = ("read", "model", "bound", "search", "quotas", "judge")
JOINT = ("read", "model", "bound", "large accounts", "polish", "quotas", "judge")


@dataclass(frozen=True, slots=True)
class Spec:
    """A kind of problem. ``prepare`` gets an empty folder and the size, and returns the scenario to solve."""

    name: str
    asks: str
    prepare: Callable[[Path, Size], Path]


@dataclass(frozen=True, slots=True)
class Size:
    """Accounts and reps."""

    accounts: int
    reps: int

    def __str__(self) -> str:
        return f"{self.accounts}x{self.reps}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One problem to measure.

    ``phases`` must all take part, or the run fails: a benchmark that silently took another road measures
    nothing. ``best_known`` is the worth of the best plan where it is known for certain (money per year): a plan
    that is worse by more than a cent fails. Seed, time limit and gap are those of the scenario file.
    """

    name: str
    spec: Spec
    size: Size
    phases: tuple[str, ...]
    best_known: float | None = None


def _shipped(name: str) -> Callable[[Path, Size], Path]:
    """Return the preparation of a scenario that the project ships: nothing to do."""
    return lambda _folder, _size: ROOT / "scenarios" / name


def _market(folder: Path, size: Size) -> Path:
    """Generate a made-up company with seed 0 and the scenario that comes with it."""
    return write_market(generate_market(size.accounts, size.reps, seed=0), folder / "market", seed=0, name="market")


TOY = Spec("toy", "territories and quotas by hand's reach: branch and bound on the whole model", _shipped("toy"))
FIELD_TEAM = Spec("field_team", "territories and quotas of a field team, uneven today", _shipped("field_team"))
MARKET = Spec("market", "territories and quotas of a generated company, seed 0", _market)

ENTRIES = (
    # The toy's best plan is checked by hand in scenarios/toy/README.md and by full enumeration in tests.
    Entry("toy", TOY, Size(12, 4), EXACT, best_known=-53.15),
    Entry("market_250x8", MARKET, Size(250, 8), JOINT),
    Entry("field_team", FIELD_TEAM, Size(2000, 40), JOINT),
)


def entries(only: str | None = None) -> tuple[Entry, ...]:
    """Return all entries, or the one called ``only``. Raise ValueError naming the known ones."""
    chosen = tuple(entry for entry in ENTRIES if only in (None, entry.name))
    if not chosen:
        raise ValueError(f'no benchmark "{only}"; known: {", ".join(entry.name for entry in ENTRIES)}')
    return chosen
