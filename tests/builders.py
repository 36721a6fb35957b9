"""Small random problems for the tests: every family of rules is in play across seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from territory_opt import Problem
from territory_opt.errors import DataError
from territory_opt.model.model import Model
from territory_opt.model.rows import Rows
from territory_opt.optimize.bound.bounded import bound_at_scale, bound_by_program
from territory_opt.optimize.clock import Clock
from territory_opt.optimize.settings import Settings
from territory_opt.optimize.task import Bounded, Task
from territory_opt.plan import claims
from territory_opt.problem.policy import Policy

MOST_TRIES = 100
SKILLS = ("a", "b", "c")


def random_problem(seed: int, *, quotas: bool | None = None, reps: int | None = None) -> Problem:
    """Return a problem of 3-8 accounts and 2-3 reps in which every account has an eligible rep.

    ``quotas`` forces a target (True) or none (False); ``reps`` the number of reps.
    """
    for attempt in itertools.count():
        rng = np.random.default_rng([seed, attempt])
        try:
            problem = _draw(rng, quotas, reps)
            Model.build(problem)
        except DataError:
            if attempt > MOST_TRIES:
                raise
            continue
        return problem
    raise AssertionError("not reached")


def mostly_slow(seeds: Iterable[int], *, quick: int, usual: int | None = None) -> list[Any]:
    """Return seeds for ``parametrize``: all but the first ``quick`` are slow, all but the first ``usual`` long, too."""

    def marks(k: int) -> list[pytest.MarkDecorator]:
        own = [pytest.mark.slow] if k >= quick else []
        return [*own, pytest.mark.long] if usual is not None and k >= usual else own

    return [pytest.param(seed, marks=marks(k)) for k, seed in enumerate(seeds)]


def tuned(**groups: dict[str, Any]) -> Settings:
    """The usual settings but for some: ``tuned(program={"nodes": 0})``."""
    usual = Settings()
    return replace(usual, **{name: replace(getattr(usual, name), **own) for name, own in groups.items()})


def bounded_task(
    model: Model, rows: Rows | None = None, clock: Clock | None = None, settings: Settings | None = None
) -> Task:
    """The task of ``rows``, by default all of the model, with its bound at scale."""
    task = Task.of(model, clock or Clock(1e9), settings=settings, threads=2)
    return bound_at_scale(task.with_rows(rows) if rows is not None else task)


def bounded(model: Model, rows: Rows | None = None, **options: Any) -> Bounded:
    """The bound at scale, see :func:`bounded_task`."""
    return bounded_task(model, rows, **options).bounded


def program_bound(model: Model) -> Bounded:
    """The bound of the linear program over all pairs."""
    return bound_by_program(Task.of(model, Clock(100.0)), model.pairs()).bounded


def _draw(rng: np.random.Generator, quotas: bool | None, reps: int | None) -> Problem:
    n_reps = reps or int(rng.integers(2, 4))
    with_quotas = bool(rng.random() < 0.75) if quotas is None else quotas
    n_accounts = int(rng.integers(3, 9))
    if n_reps == 3 and with_quotas:
        n_accounts = min(n_accounts, 6)
    rep_table = _reps(rng, n_reps)
    accounts = _accounts(rng, n_accounts, rep_table["rep_id"].tolist())
    managers = _managers(rng)
    rep_table["manager"] = rng.choice([*managers["manager_id"], ""], n_reps)
    policy = _policy(rng, accounts, rep_table, with_quotas)
    if with_quotas and _maybe(rng, 0.15):
        under = rep_table["manager"] == "m1"
        managers.loc[managers["manager_id"] == "m1", "target"] = np.round(
            policy["quotas"]["target"] * under.mean() * rng.uniform(0.7, 1.1), 2
        )
    return Problem.from_tables(
        accounts=accounts,
        reps=rep_table,
        managers=managers,
        rules=_rules(rng, accounts, rep_table),
        sales=_sales(rng, accounts) if _maybe(rng, 0.15) else None,
        policy=Policy.model_validate(policy),
    )


def _maybe(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _money(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.round(rng.lognormal(10.5, 0.7, n), 2)


def _accounts(rng: np.random.Generator, n: int, rep_ids: list[str]) -> pd.DataFrame:
    potential = _money(rng, n)
    needs = ["", "", *SKILLS[:2]]
    wants = ["", *SKILLS, "a;b"]
    family = np.where(rng.random(n) < 0.35, "F", "") if _maybe(rng, 0.4) else np.full(n, "")
    return pd.DataFrame(
        {
            "account_id": [f"A{k}" for k in range(n)],
            "lat": np.round(rng.uniform(48, 51, n), 4),
            "lon": np.round(rng.uniform(8, 12, n), 4),
            "segment": rng.choice(["s", "t"], n),
            "incumbent": rng.choice([*rep_ids, *rep_ids, ""], n),
            "family": family,
            "potential": potential,
            "workload": np.round(rng.uniform(20, 400, n), 1),
            "visits": rng.integers(0, 15, n).astype(float),
            "current_sales": np.round(potential * rng.uniform(0, 1.1, n), 2),
            "need": rng.choice(needs, n),
            "want": rng.choice(wants, n),
            "cover": rng.choice(wants, n),
        }
    )


def _reps(rng: np.random.Generator, n: int) -> pd.DataFrame:
    def offers(full: float) -> list[str]:
        return [
            ";".join(f"{s}:{rng.uniform(0.1, 1):.2f}" if _maybe(rng, 0.5) else s for s in SKILLS if _maybe(rng, full))
            for _ in range(n)
        ]

    # A generator of its own: the problem of a seed stays what it was.
    leave = rng.spawn(1)[0].random(n) < 0.25
    return pd.DataFrame(
        {
            "rep_id": [f"R{k}" for k in range(n)],
            "lat": np.round(rng.uniform(48, 51, n), 4),
            "lon": np.round(rng.uniform(8, 12, n), 4),
            "fte": rng.choice([1.0, 1.0, 0.8, 0.5], n),
            "ramp": rng.choice([1.0, 1.0, 0.7], n),
            "capacity_hours": np.round(rng.uniform(300, 2000, n)),
            "start_date": rng.choice(["", "", "2027-03-01"], n),
            "end_date": rng.choice(["", "", "2027-10-31"], n),
            "leave_start": np.where(leave, "2027-02-15", ""),
            "leave_end": np.where(leave, "2027-05-31", ""),
            "last_quota": np.where(rng.random(n) < 0.85, _money(rng, n) * 2, np.nan),
            "last_sales": np.where(rng.random(n) < 0.85, _money(rng, n) * 2, np.nan),
            "ote": np.where(rng.random(n) < 0.85, np.round(rng.uniform(2e4, 6e4, n)), np.nan),
            "need": offers(0.85),
            "want": offers(0.6),
            "cover": offers(0.5),
        }
    )


def _managers(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "manager_id": ["m1", "m2", "east"],
            "name": ["Mona", "Milo", "East"],
            "reports_to": [rng.choice(["east", ""]), "", ""],
            "level": ["manager", "manager", "region"],
            "target": [np.nan, np.nan, np.nan],
        }
    )


def _rules(rng: np.random.Generator, accounts: pd.DataFrame, reps: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for word, probability in (("lock", 0.4), ("forbid", 0.4), ("forbid", 0.2)):
        if _maybe(rng, probability):
            lines.append([word, rng.choice(accounts["account_id"]), rng.choice(reps["rep_id"]), "because"])
    return pd.DataFrame(lines, columns=["rule", "account_id", "rep_id", "reason"])


def _sales(rng: np.random.Generator, accounts: pd.DataFrame) -> pd.DataFrame:
    months = pd.period_range("2024-12", "2026-12", freq="M").astype(str)[-int(rng.integers(6, 25)) :]
    lines = [(a, m, round(float(rng.gamma(0.6, 4000.0)), 2)) for a in accounts["account_id"] for m in months]
    kept = [line for line in lines if _maybe(rng, 0.8)]
    return pd.DataFrame(kept, columns=["account_id", "month", "sales"])


def _policy(rng: np.random.Generator, accounts: pd.DataFrame, reps: pd.DataFrame, quotas: bool) -> dict[str, Any]:
    def band() -> dict[str, Any]:
        hard = _maybe(rng, 0.35)
        width = rng.uniform(0.3, 0.95) if hard else rng.uniform(0.02, 0.4)
        return {"band": width, "hard": hard, "price_per_point": float(np.exp(rng.uniform(2, 7)))}

    balance = {"potential": band()} if _maybe(rng, 0.85) else {}
    if _maybe(rng, 0.35):
        balance[str(rng.choice(["workload", "current_sales"]))] = band()
    territories: dict[str, Any] = {
        "margin": rng.uniform(0.1, 0.7),
        "balance": balance,
        "travel": {
            "cost_per_km": rng.uniform(0, 1),
            "cost_per_hour": rng.uniform(0, 40) if _maybe(rng, 0.5) else 0.0,
            "speed_kmh": rng.uniform(40, 90),
            "detour": rng.uniform(1, 1.5),
            "max_distance_km": float(rng.uniform(200, 400)) if _maybe(rng, 0.3) else None,
        },
        "keep": {
            "loss_rate": rng.uniform(0, 0.4),
            "similar_skill_discount": rng.uniform(0, 0.8),
            "max_moved_accounts": int(rng.integers(0, len(accounts))) if _maybe(rng, 0.3) else None,
            "max_moved_revenue": rng.uniform(0.1, 0.9) if _maybe(rng, 0.25) else None,
        },
        "skills": {
            "required": ["need"] if _maybe(rng, 0.4) else [],
            "preferred": [str(c) for c in rng.permutation(["want", "cover"])[: rng.integers(0, 3)]],
            "fit_lift": rng.uniform(0, 0.6),
        },
    }
    if _maybe(rng, 0.4):
        territories["hours"] = {"hard": _maybe(rng, 0.4), "price_per_hour": rng.uniform(1, 100)}
    if _maybe(rng, 0.3):
        territories["skills"]["coverage"] = {
            "cover": {"share": rng.uniform(0.1, 0.7), "hard": _maybe(rng, 0.5), "price_per_point": rng.uniform(10, 500)}
        }
    found = {"territories": territories, "quotas": _quotas(rng, accounts, reps) if quotas else {}}
    # A generator of its own: the problem of a seed stays what it was, but for a plan of part of a year.
    short = rng.spawn(1)[0]
    if short.random() < 0.2:
        found["period"] = {"start": "2027-04-01", "months": int(short.choice([3, 6, 9]))}
    if quotas and short.random() < 0.2:
        found["quotas"]["ramp"] = [0.25, 0.5, 0.75]
    return found


def _quotas(rng: np.random.Generator, accounts: pd.DataFrame, reps: pd.DataFrame) -> dict[str, Any]:
    target = float(np.round(accounts["current_sales"].sum() * rng.uniform(0.8, 1.3) + 1000.0))
    fair = target / len(reps)
    # Last year's quotas near this year's fair share, so that guards bite without always clashing.
    reps["last_quota"] = np.round(reps["last_quota"] * 0 + fair * rng.uniform(0.6, 1.5, len(reps)), 2)
    reps["last_sales"] = np.round(reps["last_sales"] * 0 + fair * rng.uniform(0.5, 1.8, len(reps)), 2)

    def rule(**settings: Any) -> dict[str, Any]:
        return {**settings, "hard": _maybe(rng, 0.35), "price": float(np.exp(rng.uniform(-4, 1)))}

    levels = {"company": 0.4, "manager": 0.5, "region": 0.4}
    odds = {"common_shock": rng.uniform(0, 0.2), **rule()}
    odds["hard"] = _maybe(rng, 0.2)
    found: dict[str, Any] = {
        "target": target,
        "hedge": {level: round(rng.uniform(0, 0.15), 3) for level, p in levels.items() if _maybe(rng, p)},
        "hit_share": rng.uniform(0.4, 0.8),
        "odds": odds if _maybe(rng, 0.6) else None,
        "fairness": {
            "price": float(np.exp(rng.uniform(-5, 0))) if _maybe(rng, 0.8) else 0.0,
            "worst_price": float(np.exp(rng.uniform(-4, 1))) if _maybe(rng, 0.4) else 0.0,
        },
        "step": float(rng.choice([0.01, 1.0, 1000.0], p=[0.8, 0.1, 0.1])),
        "periods": str(rng.choice(["year", "quarter", "month"])),
    }
    if _maybe(rng, 0.35):
        found["growth_guard"] = rule(up=rng.uniform(0.1, 0.7), down=rng.uniform(0.05, 0.5))
    if _maybe(rng, 0.25):
        found["ratchet_guard"] = rule(share=rng.uniform(0, 1), growth=rng.uniform(0, 0.5))
    if _maybe(rng, 0.25):
        found["limits"] = rule(
            low=fair * rng.uniform(0, 0.6), high=fair * rng.uniform(1.1, 3) if _maybe(rng, 0.7) else None
        )
    if _maybe(rng, 0.2):
        found["ote_ratio"] = rule(low=rng.uniform(0, 0.5), high=rng.uniform(2, 8) if _maybe(rng, 0.7) else None)
    return found


def bare_claims(**own: Any) -> dict[str, Any]:
    """What ``plan.json`` must at least state, each key with an empty value of its kind, but for ``own``."""
    words = ("name", "currency", "why")
    counts = ("seed", "accounts", "reps", "moved_accounts")
    found: dict[str, Any] = dict.fromkeys(claims.KEYS) | dict.fromkeys(words, "") | dict.fromkeys(counts, 0)
    found |= {
        "status": "feasible",
        "parts": {},
        "incumbent_parts": {},
        "violations": [],
        "ways_out": [],
        "cut_short": [],
    }
    found |= {"cut_short": [], "raw_status": claims.COMPLETE, "method": "exact", "bound_kind": claims.VERIFIED}
    found |= {"solver_bound_kind": claims.CLAIMED, "schema_version": claims.SCHEMA_VERSION}
    claims.check_claims(found | own)
    return found | own
