"""A quantity and its row are added in two places; everything else follows: model, dual, moves, judge, explanation.

The two places are a formula in the registry and a builder of rows. The rule here: each rep drives at most so many km.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from brute_force import haversine
from builders import bounded, tuned
from territory_opt.model import quantities, rules
from territory_opt.model.quantities import Basis, Term
from territory_opt.model.rows import Kind, Row, Words
from territory_opt.optimize.pairs.factors import Factors
from territory_opt.optimize.pairs.pricing import best_reps, pairs_of
from territory_opt.optimize.solve import solve
from territory_opt.plan.explain_account import explain_account
from test_rows_golden import lp_text, toy_model

GOLDEN = Path(__file__).parent / "golden" / "added" / "kilometres.lp"
MOST_KM = 16_000.0


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Place one: the quantity. Place two: its row."""

    def kilometres(given: rules.RuleInputs) -> Iterator[Row]:
        words = Words(
            "each rep drives at most so many km a year", gives="{rival} drives enough", takes="{rival} drives enough"
        )
        for j, name in enumerate(given.names):
            yield Row(
                rule="kilometres", subject=name, kind=Kind.CAPACITY, totals={(j, "driven"): 1.0}, high=MOST_KM,
                hard=True, scale=MOST_KM, unit="km", words=words,
            )  # fmt: skip

    monkeypatch.setitem(quantities.REGISTRY, "driven", lambda _given, _detail: (Term(1.0, Basis.TRAVEL_KM),))
    monkeypatch.setattr(rules, "RULES", (*rules.RULES, kilometres))
    toy_model.cache_clear()
    yield
    toy_model.cache_clear()


def company(seed: int, accounts: int = 8, reps: int = 2) -> to.Problem:
    """Accounts around two homes; whoever serves most from home drives too far."""
    rng = np.random.default_rng(seed)
    return to.Problem.from_tables(
        pd.DataFrame(
            {
                "account_id": [f"A{k}" for k in range(accounts)],
                "lat": 50 + rng.uniform(0, 2, accounts),
                "lon": 10 + rng.uniform(0, 2, accounts),
                "potential": rng.uniform(50, 150, accounts),
                "visits": rng.integers(6, 30, accounts).astype(float),
                "incumbent": rng.choice([f"R{k}" for k in range(reps)], accounts),
                "current_sales": rng.uniform(50, 150, accounts),
            }
        ),
        pd.DataFrame(
            {
                "rep_id": [f"R{k}" for k in range(reps)],
                "lat": 50 + rng.uniform(0, 2, reps),
                "lon": 10 + rng.uniform(0, 2, reps),
            }
        ),
        policy=to.Policy.model_validate({"territories": {"balance": {}, "travel": {"cost_per_km": 0.01}}}),
    )


def kilometres(problem: to.Problem) -> np.ndarray:
    """Km a year of every pair, (n_accounts, n_reps), by a formula of its own."""
    travel = problem.policy.territories.travel
    return np.array(
        [
            [2 * a.visits * travel.detour * haversine(a.lat, a.lon, r.lat, r.lon) for r in problem.reps.itertuples()]
            for a in problem.accounts.itertuples()
        ]
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("method", ["exact", "large"])
def test_the_best_plan_that_keeps_it_is_found(seed: int, method: str) -> None:
    settings = tuned(solve={"exact_pairs": 0}) if method == "large" else None
    problem = company(seed)
    km, (value, _) = kilometres(problem), pair_values(problem)
    plans = np.array(list(itertools.product(range(2), repeat=problem.n_accounts)))
    driven = np.array([[km[plan == j, j].sum() for j in range(2)] for plan in plans])
    worth = value[np.arange(problem.n_accounts), plans].sum(axis=1)
    kept = (driven <= MOST_KM).all(axis=1)
    result = solve(problem, gap=0.0, time_limit=20, settings=settings)
    assert result.method == method
    if not kept.any():
        assert result.status is to.Status.INFEASIBLE
        assert any(v.rule == "kilometres" for v in result.violations)
        return
    assert result.objective == pytest.approx(worth[kept].max(), abs=1e-6)
    assert worth[kept].max() <= result.bound + 1e-6
    assert to.audit(problem, result.plan) == []


def test_the_rule_bites_somewhere() -> None:
    """Else the test above would prove nothing."""
    bites = 0
    for seed in range(12):
        problem = company(seed)
        km, (value, _) = kilometres(problem), pair_values(problem)
        best = value.argmax(axis=1)
        bites += any(km[best == j, j].sum() > MOST_KM for j in range(2))
    assert bites >= 4


def pair_values(problem: to.Problem) -> tuple[np.ndarray, np.ndarray]:
    block = to.Model.build(problem).source.block(0, problem.n_accounts)
    return block.value, block.quantities[0]


@pytest.mark.parametrize("seed", range(5))
def test_compiled_pairs_dual_and_judge_agree(seed: int) -> None:
    problem = company(seed, accounts=60, reps=5)
    model = to.Model.build(problem)
    assert model.source.names == ("driven",)
    assert model.source.quantities[0].kind == "by pair"
    factors = Factors.of(model)
    expected = model.pairs()
    found = pairs_of(factors, expected.start, expected.rep.astype(np.int32))
    np.testing.assert_allclose(found.quantities[0], kilometres(problem).ravel(), rtol=1e-9)
    np.testing.assert_allclose(found.quantities, expected.quantities, rtol=1e-9)
    at_rep = -np.full((5, 1), 0.02)
    best = best_reps(factors, at_rep, 1).best
    reduced = expected.value - 0.02 * expected.quantities[0]
    np.testing.assert_allclose(best, np.maximum.reduceat(reduced, expected.start[:-1]), rtol=1e-7)
    assert np.isfinite(bounded(model).bound)


def test_the_judge_sees_who_drives_too_far() -> None:
    problem = company(0)
    result = to.solve(problem, gap=0.0, time_limit=20)
    everyone = pd.Series("R0", index=result.plan.assignment.index)
    tampered = to.Plan(everyone, result.plan.annual, result.plan.quotas, result.plan.kappa)
    (found,) = [v for v in to.audit(problem, tampered) if v.rule == "kilometres"]
    assert found.subject == "R0"
    assert found.value == pytest.approx(kilometres(problem)[:, 0].sum())
    assert found.unit == "km"


def test_it_explains_itself() -> None:
    for seed in range(12):
        problem = company(seed)
        result = to.solve(problem, gap=0.0, time_limit=20)
        if result.violations or not result.certificate.values.any():
            continue
        texts = [
            str(explain_account(result.model, result.plan, a, result.certificate.values))
            for a in problem.accounts["account_id"]
        ]
        assert any("kilometres" in text for text in texts)
        return
    pytest.fail("no plan had a price on km")


def test_its_rows_read_as_the_golden_text() -> None:
    text = "\n".join(line for line in lp_text("assignment", rule="kilometres").splitlines() if line)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_the_judge_follows_a_new_term_of_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pair is worth is written once too: the objective, its parts and the explanation follow."""
    usual = quantities.value_of

    def with_a_fee(given: quantities.Given) -> quantities.Quantity:
        return quantities.Quantity("value", (*usual(given).terms, Term(-7.0, Basis.MOVED, label="handing over")))

    monkeypatch.setattr("territory_opt.model.pairs.value_of", with_a_fee)
    problem = company(3)
    result = to.solve(problem, gap=0.0, time_limit=20)
    moved = result.figures.evaluation.moved_accounts
    assert result.figures.evaluation.parts["handing over"] == pytest.approx(-7.0 * moved)
    assert result.objective <= result.bound + 1e-6
    assert to.certify(problem, result.plan, result.certificate).objective == pytest.approx(result.objective)
    texts = [str(explain_account(result.model, result.plan, a)) for a in problem.accounts["account_id"]]
    assert any("handing over" in text for text in texts)


@pytest.mark.parametrize("name", ["hours", "driven", "covered: east"])
def test_no_metric_may_have_the_name_of_a_quantity(name: str) -> None:
    problem = company(0)
    tables = {"accounts": problem.accounts.assign(**{name: 1.0}), "reps": problem.reps}
    policy = to.Policy.model_validate({"territories": {"balance": {name: {"band": 0.2}}}})
    with pytest.raises(to.DataError, match=f"balance.{name}.*is a name the model uses itself.*{name}_2"):
        to.solve(to.Problem.from_tables(**tables, policy=policy))
