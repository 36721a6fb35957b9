"""The judge against a second audit, which was written from the docs alone: on odd problems and plans both agree.

Plans break every kind of rule: forbidden pairs, families apart, accounts without a rep or with one nobody knows,
quotas off their step, their periods or the roll-up.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from builders import mostly_slow, random_problem
from second_audit import Fault, Judged, SecondAudit
from second_rules import Row
from territory_opt.model.model import Model
from territory_opt.plan.rollup import roll_up

PLANS_OF_A_PROBLEM = 10
QUICK, USUAL, ALL = 15, 45, 300
"""Problems: 150 plans in the quick tests, 450 in the usual ones, 3,000 in all."""
CENT = 0.01


def odd_plans(model: Model, rng: np.random.Generator) -> Iterator[to.Plan]:
    """Plans of a model, every second one with something broken on purpose."""
    for k in range(PLANS_OF_A_PROBLEM):
        nodes = int(model.source.nodes.of_account.max()) + 1
        plan = to.Plan.from_positions(model, rng.integers(0, model.problem.n_reps, nodes), _quotas(model, rng))
        yield _spoiled(plan, model, rng) if k % 2 else plan


def _quotas(model: Model, rng: np.random.Generator) -> np.ndarray | None:
    """Whole steps that nearly roll up to the target: at it, up to two steps off it, or far off."""
    policy = model.problem.policy.quotas
    if policy.target is None:
        return None
    n = model.problem.n_reps
    compound = np.array([model.hierarchy.compound(j) for j in range(n)])
    share = rng.dirichlet(np.ones(n)) * (1.0 if rng.random() < 0.7 else rng.uniform(0.5, 1.5))
    steps = np.round(share * policy.target * compound / policy.step)
    steps[0] += rng.integers(-2, 3)
    return np.asarray(np.maximum(steps, 0) * policy.step)


def _spoiled(plan: to.Plan, model: Model, rng: np.random.Generator) -> to.Plan:
    """The plan with one fault more: who serves an account, or what a rep owes."""
    assignment, annual, quotas = plan.assignment.copy(), plan.annual.copy(), plan.quotas.copy()
    account, reps = str(rng.choice(assignment.index)), model.problem.reps["rep_id"]
    match rng.integers(0, 9 if plan.has_quotas else 5):
        case 0:
            assignment = assignment.drop(account)
        case 1:
            assignment[account] = rng.choice(["", "nobody knows"])
        case 2:
            assignment["stranger"] = reps[0]
        case 3 | 4:
            assignment[account] = rng.choice(reps)
        case 5:
            annual = annual.drop(rng.choice(reps))
        case 6:
            annual[rng.choice(reps)] += rng.choice([-1, 1]) * rng.choice([0.02, 0.3, 7.77, 1e5])
        case 7:
            quotas.loc[rng.integers(len(quotas)), "quota"] += rng.choice([0.01, -3.0, 100.0])
        case 8:
            quotas = quotas.drop(int(rng.integers(len(quotas))))
    return replace(plan, assignment=assignment, annual=annual, quotas=quotas)


def second(audit: SecondAudit, plan: to.Plan) -> Judged:
    by_period = {str(rep): own["quota"].tolist() for rep, own in plan.quotas.groupby("rep_id", sort=False)}
    return audit.judge(plan.assignment.to_dict(), plan.annual.to_dict(), by_period)


def multipliers(rows: list[Row], rng: np.random.Generator) -> list[float]:
    """Multipliers that prove a bound: within their prices, none on a limit that does not exist."""
    found = []
    for row in rows:
        u = rng.uniform(-1, 1) * min(row.price, 10.0 if row.quota else 100.0)
        u = -abs(u) if row.low == -np.inf else u
        u = abs(u) if row.high == np.inf else u
        found.append(0.0 if row.low == -row.high == -np.inf else float(u))
    return found


def sorted_without(faults: list[Fault], left_open: set[tuple[str, str]]) -> list[Fault]:
    """Every fault, those of one name each, but for what the docs leave open."""
    return sorted(fault for fault in faults if fault[:2] not in left_open)


def test_the_second_audit_uses_nothing_of_the_first() -> None:
    """Nor of what both of the program's own sides read."""
    imported = set()
    for file in Path(__file__).parent.glob("second_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported |= {name for name in names if name.startswith("territory_opt")}
    assert imported == {"territory_opt", "territory_opt.estimate.expected"}


def same(a: float, b: float, within: float = 1e-9) -> bool:
    return abs(a - b) <= within * max(1.0, abs(a), abs(b))


@pytest.mark.parametrize("seed", mostly_slow(range(ALL), quick=QUICK, usual=USUAL))
def test_both_audits_agree(seed: int) -> None:
    """Worth with its parts, every broken rule with its amount, what moves, and the bound of random multipliers."""
    problem, rng = random_problem(seed), np.random.default_rng([seed, 17])
    kappa = float(rng.uniform(0.3, 2.0)) if problem.policy.quotas.target else 0.0
    model, audit = Model.build(problem, kappa=kappa), SecondAudit(problem, kappa)
    values = multipliers(audit.rows, rng)
    rules, subjects = [row.rule for row in audit.rows], [audit.name_of(row.subject) for row in audit.rows]
    by_name = dict(zip(zip(rules, subjects, strict=True), values, strict=True))
    assert by_name.keys() == set(model.rows.names)
    proof = to.Multipliers.of(model, np.array([by_name[name] for name in model.rows.names]))
    limit = audit.bound(values)
    for plan in odd_plans(model, rng):
        mine, found = second(audit, plan), to.certify(problem, plan, proof)
        assert found.problems == ()
        assert same(found.objective, mine.objective)
        trifles = sum(abs(u) * mine.trifles.get(k, 0.0) for k, u in enumerate(values))
        assert same(found.bound, limit + trifles, 1e-8)
        broken = [(v.rule, v.subject, v.amount) for v in to.audit(problem, plan)]
        left_open = {(rule, subject) for rule, subject, amount in mine.violations if np.isnan(amount)}
        theirs, own = sorted_without(broken, left_open), sorted_without(mine.violations, left_open)
        assert [fault[:2] for fault in theirs] == [fault[:2] for fault in own]
        assert all(same(a[2], b[2], 1e-6) for a, b in zip(theirs, own, strict=True))
        if kappa and mine.own_kappa:
            assert same(found.kappa_drift, mine.own_kappa / kappa - 1.0, 1e-8)


@pytest.mark.parametrize("seed", mostly_slow(range(100), quick=10, usual=20))
def test_the_roll_up_adds_up(seed: int) -> None:
    """At every node target + hedge + rounding = what is owed below, in whole cents; rounding as the docs allow."""
    problem, rng = random_problem(seed, quotas=True), np.random.default_rng([seed, 18])
    model, audit = Model.build(problem, kappa=1.0), SecondAudit(problem, 1.0)
    for plan in odd_plans(model, rng):
        if set(plan.annual.index) != set(audit.reps):
            continue
        table = roll_up(model, plan.annual).set_index("node_id")
        _holds(table, audit, plan.annual.to_dict(), second(audit, plan).violations)


def _holds(table: pd.DataFrame, audit: SecondAudit, annual: dict[str, float], broken: list[Fault]) -> None:
    company = table.index[table["parent"] == ""][0]
    for node, line in table.iterrows():
        compounds = audit.compounds("" if node == company else str(node))
        assert same(line["quotas"], sum(annual[rep] for rep in compounds), CENT)
        assert abs(line["target"] + line["hedge"] + line["rounding"] - line["below"]) < CENT / 2
        direct = sum(annual[r] for r in audit.reps if (audit._chain(r)[0] or company) == node)
        children = table.loc[table["parent"] == node, "target"].sum()
        assert abs(line["below"] - direct - children) < CENT / 2
        own = audit.targets().get("" if node == company else str(node))
        if own is None or not compounds:
            continue
        assert line["target"] == own
        if not any(rule == "roll-up" for rule, _, _ in broken):
            slack = sum(audit.slack(n) for n in audit.targets()) * max(compounds.values())
            assert abs(line["rounding"]) <= slack + CENT * (1 + len(table))
