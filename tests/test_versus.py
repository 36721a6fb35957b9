"""Other solvers on our model: the same money, the same rules, the same judge."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.joint import company
from benchmarks.markets import make_market
from benchmarks.versus import Answer, Comparison, above, as_text, compare, judged, main

import territory_opt as to
from territory_opt.model.model import Model
from territory_opt.plan.evaluate import rep_positions

MIPS = ("SCIP", "HiGHS", "CP-SAT")


def by_name(found: Comparison) -> dict[str, Answer]:
    return {answer.solver.partition(",")[0]: answer for answer in found.answers if "LP only" not in answer.solver}


@pytest.fixture(scope="module")
def joint() -> to.Problem:
    return company(40, 4, 2, "holds")


def test_territories_and_quotas_by_all_solvers(joint: to.Problem) -> None:
    """Each account may go to any of four reps, so what a solver claims to be best is the best of all plans."""
    found = compare(joint, time_limit=20.0, candidates=4, seed=0)
    answers, (ours, *others) = by_name(found), found.answers
    assert found.faults == ()
    assert list(answers) == ["territory-opt", *MIPS]  # k-means knows no rules
    assert [answer.threads for answer in others] == [1, ours.threads, ours.threads, ours.threads]
    assert ours.bound is not None
    assert ours.objective is not None
    for name in MIPS:
        answer = answers[name]
        assert answer.objective is not None
        assert answer.gap is not None
        assert (answer.status, answer.broken) == ("optimal", 0)
        assert answer.objective == pytest.approx(ours.objective, rel=0.01)
        assert answer.gap == pytest.approx((ours.bound - answer.objective) / -answer.objective)
    for name in ("SCIP", "HiGHS"):  # CP-SAT's claim is of its grid
        claimed = answers[name].bound
        assert claimed is not None
        assert ours.objective <= claimed <= ours.bound * (1.0 - 1e-4)  # they may stop 1e-5 from their best plan


def test_quotas_are_set_as_ours_are(joint: to.Problem) -> None:
    ours = to.solve(joint, time_limit=20.0)
    model = Model.build(joint, kappa=ours.plan.kappa)
    reps = rep_positions(model, ours.plan)[model.source.nodes.order[model.source.nodes.start[:-1]]]
    assert judged(model, reps) == (pytest.approx(ours.objective, abs=0.01), 0)
    worth, broken = judged(model, np.zeros_like(reps))  # all to one rep
    assert broken >= model.problem.n_reps
    assert worth < ours.objective


def test_a_market_without_quotas() -> None:
    problem = make_market("heavy", 30, 3, seed=0).problem()
    found = compare(problem, time_limit=5.0, candidates=3, seed=0)
    ours, answers = found.answers[0], by_name(found)
    assert found.faults == ()
    assert ours.objective is not None
    for name in MIPS:
        assert answers[name].objective == pytest.approx(ours.objective, rel=0.02)


def test_broken_rules_and_missing_plans_are_shown() -> None:
    answers = (
        Answer("ours", 2, 1.0, -100.0, 0, -98.0, 0.02, "complete"),
        Answer("one", 1, 2.0, -90.0, 1, -97.0, None, "feasible"),
        Answer("two", 1, 2.0, -90.0, 3, None, None, "feasible"),
        Answer("none", 1, 2.0, None, 0, None, None, "no_solution_found"),
    )
    lines = as_text(Comparison(answers, ())).splitlines()[2:]
    assert lines == [
        "| ours | 2 | 1.0 | -100 | -98 (verified) | 2.000% | complete |",
        "| one | 1 | 2.0 | -90, breaks 1 rule | -97 (claimed) |  | feasible |",
        "| two | 1 | 2.0 | -90, breaks 3 rules |  |  | feasible |",
        "| none | 1 | 2.0 | no plan |  |  | no_solution_found |",
    ]


def test_a_plan_above_our_bound_is_a_fault() -> None:
    better = Answer("better", 1, 2.0, -97.5, 0, None, 0.0, "feasible")
    free = Answer("free", 1, 2.0, -90.0, 1, None, None, "feasible")
    (fault,) = above([better, free], -98.0)
    assert fault == "better: -97.50 is above our verified bound of -98.00"
    assert above([better, free], -97.5) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "high"], "--target is of companies with quotas; add --market joint"),
        (["--market", "joint", "--price", "0.1"], "--price is of a market without quotas"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["40", "4", *options])
    assert message in capsys.readouterr().err
