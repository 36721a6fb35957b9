"""Every scenario that ships is loaded, solved and judged."""

import os
from pathlib import Path

import numpy as np
import pytest

import territory_opt as to
from territory_opt.plan.rollup import roll_up

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("TERRITORY_OPT_DATA", ROOT.parent / "shared" / "data"))
GOOD_ENOUGH = 0.10
"""Gap at which the tests stop; how far the search comes is for the benchmarks to say."""
SHIPPED = sorted(path.parent.name for path in (ROOT / "scenarios").glob("*/scenario.yaml"))


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[] if name == "toy" else [pytest.mark.slow]) for name in SHIPPED]
)
def solved(request: pytest.FixtureRequest) -> to.Result:
    """Solve a shipped scenario with its own settings, but not further than GOOD_ENOUGH."""
    if request.param == "adventureworks":
        if not (DATA / "adventureworks" / "accounts.csv").exists():
            pytest.skip(f"AdventureWorks is not in {DATA}: set TERRITORY_OPT_DATA to the folder that holds it")
        os.environ.setdefault("TERRITORY_OPT_DATA", str(DATA))
    scenario = to.load_scenario(ROOT / "scenarios" / request.param)
    settings = scenario.file.solve
    gap = max(settings.gap, GOOD_ENOUGH)
    return to.solve(scenario.problem(), seed=settings.seed, time_limit=settings.time_limit, gap=gap, joint_gain=True)


def test_all_three_scenarios_ship():
    assert SHIPPED == ["adventureworks", "field_team", "toy"]


def test_the_plan_keeps_every_hard_rule_and_its_bound_is_verified(solved: to.Result):
    problem, plan = solved.model.problem, solved.plan
    assert to.audit(problem, plan) == []
    assert solved.status in (to.Status.OPTIMAL, to.Status.FEASIBLE)
    certificate = to.certify(problem, plan, solved.certificate)
    assert certificate.problems == ()
    assert certificate.objective == pytest.approx(solved.objective, abs=0.005)
    assert certificate.bound == pytest.approx(solved.bound, rel=1e-9, abs=0.005)
    assert certificate.objective <= certificate.bound + 0.005
    # Not a vacuous bound: it leaves less than a hundredth of the expected margin open.
    margin = problem.policy.territories.margin * solved.evaluation.rep_sales.sum()
    assert certificate.gap_money < 0.01 * margin


def test_quotas_tie_to_the_cent_at_every_node(solved: to.Result):
    plan, model = solved.plan, solved.model
    table = roll_up(model, plan.annual)
    cents = {name: np.round(table[name] * 100).astype(int) for name in ("target", "hedge", "rounding", "below")}
    assert (cents["target"] + cents["hedge"] + cents["rounding"] == cents["below"]).all()
    by_rep = plan.quotas.groupby("rep_id")["quota"].sum()
    assert np.round(by_rep.sum() * 100) == np.round(table["quotas"].iloc[0] * 100)
    step = model.problem.policy.quotas.step
    assert (np.abs(plan.quotas["quota"] / step - np.round(plan.quotas["quota"] / step)) < 1e-9).all()
    assert table["target"].iloc[0] == model.problem.policy.quotas.target


def test_today_breaks_a_hard_rule_or_is_worth_less(solved: to.Result):
    from territory_opt.plan.figures import Figures

    today, rows = Figures(solved.model, to.Plan.today(solved.model)).evaluation, solved.model.rows
    territory = np.array([row.hard and not row.sets_quotas for row in rows.items])
    broken = (np.abs(today.outside) > 1e-6 * rows.scale)[territory].any()
    assert broken or solved.objective > today.objective


def test_joint_solving_never_loses_against_territories_first(solved: to.Result):
    assert solved.joint_gain >= -0.005
