"""The exact method against trying every assignment, on small random problems with all families of rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest

import territory_opt as to
from brute_force import Best, BruteForce
from builders import mostly_slow, random_problem
from territory_opt.optimize.mip import mathopt

SEEDS = range(90)
RELATIVE = 1e-6


@dataclass(frozen=True)
class Case:
    """One solved problem beside its reference; ``number`` is the solver's assignment among all of them."""

    problem: to.Problem
    result: to.Result
    reference: BruteForce
    best: Best
    number: int
    quotas: np.ndarray

    @property
    def tolerance(self) -> float:
        """Money that floats and solver tolerances may explain."""
        return RELATIVE * max(1.0, abs(self.best.objective)) + 1e-3

    @property
    def rounded_away(self) -> bool:
        """Whether the least bad plan is due to whole steps alone: continuous quotas can keep all hard rules."""
        return self.best.feasible and not self.reference.whole_steps_exist(self.number)


@lru_cache(maxsize=8)
def solved(seed: int) -> Case:
    problem = random_problem(seed)
    result = to.solve(problem, time_limit=60.0)
    reference = BruteForce(problem, result.model.kappa)
    position = {rep: j for j, rep in enumerate(problem.reps["rep_id"])}
    given = result.plan.assignment
    number = reference.number_of([position[given[account]] for account in problem.accounts["account_id"]])
    annual = result.plan.annual.reindex(problem.reps["rep_id"]).fillna(0.0).to_numpy(float)
    return Case(problem, result, reference, reference.best(), number, annual)


@pytest.mark.parametrize("seed", mostly_slow(SEEDS, quick=5))
def test_exact_method_finds_the_best_plan(seed: int) -> None:
    case = solved(seed)
    result, reference, best, number = case.result, case.reference, case.best, case.number
    assert result.method == "exact"
    # The judge and the reference agree on what the plan is worth.
    assert result.objective == pytest.approx(reference.objective_at(number, case.quotas), rel=RELATIVE, abs=1e-3)
    if best.feasible:
        check_feasible(case)
    else:
        check_infeasible(case)


def check_feasible(case: Case) -> None:
    result, reference, best, number = case.result, case.reference, case.best, case.number
    assert result.bound >= best.objective - case.tolerance, "the verified bound cuts off the best plan"
    assert result.least_violation == 0.0, "a proof that the rules clash, though a plan keeps them all"
    # Territories: at its best continuous quotas the solver's assignment is as good as any.
    if reference.quota_rules:
        continuous = reference.territory_objective[number] - reference.best_quotas(number, 0.0)[1]
        assert continuous == pytest.approx(best.objective, abs=case.tolerance)
    # What branch and bound claims may be off by its own tolerance on the rows, never below the best plan.
    assert (
        -case.tolerance <= result.solver_bound - best.objective <= case.tolerance + 2e-6 * reference.price_of_scales()
    )
    # Quotas: no further from the best ones than rounding to steps can bring them.
    if case.rounded_away:
        assert result.status == to.Status.INFEASIBLE
        return
    assert to.audit(case.problem, result.plan) == []
    assert result.status == to.Status.OPTIMAL
    assert result.objective <= best.objective + case.tolerance
    assert result.objective >= best.objective - case.tolerance - reference.rounding_cost()


def check_infeasible(case: Case) -> None:
    result, reference, best, number = case.result, case.reference, case.best, case.number
    assert result.status == to.Status.INFEASIBLE
    assert to.audit(case.problem, result.plan)
    # The least violation may be exceeded by the solver's tolerance (a millionth) and by rounding.
    slack = 2e-6 * best.violation + 1e-6
    found = reference.violation_at(number, case.quotas)
    assert found == pytest.approx(sum(violation.share for violation in result.violations), abs=slack)
    assert best.violation - slack <= found <= best.violation + slack + reference.rounding_violation()
    assert result.least_violation <= best.violation + slack, "the proof claims more than is true"
    on_rows = 2e-6 * reference.price_of_scales()
    assert result.objective >= best.objective - case.tolerance - on_rows - reference.rounding_cost()


@pytest.mark.slow
def test_problems_cover_what_they_should() -> None:
    """Across the seeds every family of rules is in play, with and without a plan that keeps them all."""
    rules: set[str] = set()
    both = ["balance: potential", "balance: workload", "hours", "coverage: cover", "odds", "growth guard"]
    both += ["ratchet guard", "quota limits", "OTE ratio"]
    wanted = {f"{rule} {kind}" for rule in both for kind in ("hard", "priced")}
    wanted |= {"moved accounts hard", "moved revenue hard", "roll-up hard", "fairness priced", "worst price"}
    wanted |= {"lock rule", "forbid rule", "family", "hedge", "node target", "away", "ramp"}
    for seed in SEEDS:
        if wanted <= rules:
            break
        problem = random_problem(seed)
        model = to.Model.build(problem)
        rules |= {f"{row.rule} {'hard' if row.hard else 'priced'}" for row in model.rows.items}
        rules |= {"worst price"} if model.rows.worst_price.size else set()
        rules |= {f"{word} rule" for word in problem.rules["rule"]}
        rules |= {"family"} if model.source.n_nodes < problem.n_accounts else set()
        rules |= {"hedge"} if any(problem.policy.quotas.hedge.values()) else set()
        rules |= {"node target"} if problem.managers["target"].notna().any() else set()
        rules |= set() if model.source.credited is None else {"away"}
        rules |= {"ramp"} if problem.policy.quotas.ramp else set()
    assert wanted <= rules


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 16, 81])
def test_no_solver_claim_is_carried_over_from_another_model(seed: int) -> None:
    """The joint model has no plan that keeps the rules: a claim about territories alone is not one about it."""
    result = solved(seed).result
    assert result.status == to.Status.INFEASIBLE
    assert np.isnan(result.solver_bound)


@pytest.mark.parametrize("seed", mostly_slow([*range(12), 18], quick=3))
def test_kappa_is_the_fair_share_of_the_plan_or_the_result_warns(seed: int) -> None:
    """The plan of seed 18 has another fair share than the one it is best for, and so has that one's best plan."""
    result = solved(seed).result
    if not result.plan.has_quotas:
        return
    hierarchy = result.model.hierarchy
    compound = np.array([hierarchy.compound(j) for j in range(len(result.evaluation.rep_sales))])
    own = result.model.problem.policy.quotas.target / (result.evaluation.rep_sales / compound).sum()
    assert own == pytest.approx(result.plan.kappa, rel=1e-3) or result.warnings


def test_a_solver_that_is_stopped_before_it_begins_costs_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """MathOpt turns SCIP's "unknown" into an AttributeError: the plan so far is kept, nothing falls over."""
    problem = random_problem(1, quotas=True)
    ordinary = mathopt.mathopt.solve
    calls = []

    def stopped(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) != 4:  # bound and plan of the territories, bound of both, then the plan of both
            return ordinary(*arguments, **options)
        try:
            raise ValueError("Unexpected GScipOutput.status: UNKNOWN [INTERNAL]")
        except ValueError as error:
            error.canonical_code  # type: ignore[attr-defined]  # noqa: B018

    monkeypatch.setattr(mathopt.mathopt, "solve", stopped)
    result = to.solve(problem)
    assert len(calls) >= 4
    assert result.has_plan
    assert to.audit(problem, result.plan) == list(result.violations)
    certificate = to.certify(problem, result.plan, result.certificate)
    assert certificate.bound >= certificate.objective - 1e-6 * abs(certificate.objective)


def test_a_model_the_solver_refuses_is_a_defect_with_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> object:
        try:
            raise ValueError("threads = 3 is not supported")
        except ValueError as error:
            error.canonical_code  # type: ignore[attr-defined]  # noqa: B018

    monkeypatch.setattr(mathopt.mathopt, "solve", refused)
    with pytest.raises(RuntimeError, match="threads = 3 is not supported"):
        to.solve(random_problem(1))
