"""One verb for each command of the command line: what analysts, notebooks and other tools call.

What needs data takes whatever has them: a :class:`Problem`, a :class:`Scenario`, a :class:`Result`, a
:class:`SavedPlan`, or the path of a scenario or a plan folder. What needs a plan takes a result, a loaded plan or the
path of its folder. All else is a :class:`GivenError` (see whatif/given.py). Functions are thin: each loads the part of
the library that does the work when it is called. Examples run from the folder of the project.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from territory_opt.estimate.backtest import Backtest
    from territory_opt.model.graph import PlanningGraph
    from territory_opt.optimize.result import ProgressCallback, Result
    from territory_opt.plan.audit import Violation
    from territory_opt.plan.certificate import Certificate, Multipliers
    from territory_opt.plan.check import Check
    from territory_opt.plan.explain_account import AccountExplanation
    from territory_opt.plan.plan import Plan
    from territory_opt.plan.sales_estimate import SalesEstimate
    from territory_opt.plan.split import GapSplit
    from territory_opt.quota.consistency import Consistency
    from territory_opt.quota.explain_quota import QuotaExplanation
    from territory_opt.quota.review import Review
    from territory_opt.quota.track import Tracking
    from territory_opt.whatif.given import Place, PlanLike, ProblemLike, TableLike
    from territory_opt.whatif.replan import Replan
    from territory_opt.whatif.saved import SavedPlan
    from territory_opt.whatif.scenario import Scenario


MONTH = '"2027-06"'
"""How a month is written."""

# --- before a plan ----------------------------------------------------------------------------------------------


def generate(
    accounts: int = 2000,
    reps: int = 40,
    *,
    seed: int = 0,
    months: int = 36,
    truth: bool = False,
    folder: str | Path | None = None,
) -> dict[str, pd.DataFrame]:
    """Make up a company to try things on; return its tables by name, ready for ``Problem.from_tables(**tables)``.

    ``months`` of sales history (0: none). ``truth`` adds a table of that name, which no problem takes: what each
    account will sell in the plan year. With ``folder``, a new one, the tables and a scenario that solves them are
    written there. Raise :class:`GivenError` for an option out of range, :class:`ScenarioError` for sizes that make no
    company or if the folder holds files.

    >>> import territory_opt as to
    >>> tables = to.generate(60, 3, seed=1, months=0)
    >>> to.Problem.from_tables(**tables)
    Problem(60 accounts · 3 reps)
    """
    from territory_opt.problem import options
    from territory_opt.problem.limits import MOST_MADE_UP, MOST_MONTHS
    from territory_opt.synthetic.market import generate_market, write_market

    for option, given in (("accounts", accounts), ("reps", reps)):
        options.whole(option, given, least=1, most=MOST_MADE_UP)
    options.whole("months", months, most=MOST_MONTHS)
    options.seed_of(seed)
    options.flag("truth", truth)
    if folder is not None:
        folder = options.place(folder, "the path of a new folder", 'write it as text, "company"')
    tables = generate_market(accounts, reps, seed, months=months, truth=truth)
    if folder is not None:
        write_market(tables, folder, seed=seed)
    return tables


def validate(problem: ProblemLike) -> Consistency:
    """Check everything that can be checked without solving; say whether target, hedge, odds and spread can hold.

    Tables of a scenario are read first. What was found in the data stands in ``Problem.issues``. Raise
    :class:`DataError` with all findings, accounts that nobody may serve included.

    >>> import territory_opt as to
    >>> found = to.validate(to.load_scenario("scenarios/toy"))
    >>> found.holds
    True
    >>> print(found)
    target $1,200, hedge 0 %, 50 % of reps to hit, spread 19.6 %: can hold
    """
    from territory_opt.model.model import Model
    from territory_opt.quota.consistency import check_consistency
    from territory_opt.whatif.given import as_problem

    return check_consistency(Model.build(as_problem(problem)))


def estimate(problem: ProblemLike) -> SalesEstimate:
    """Say what sales to expect, and how surely: by account, by rep with today's accounts, and of the company.

    >>> import territory_opt as to
    >>> found = to.estimate(to.load_scenario("scenarios/toy"))
    >>> found.company.round(0)
       expected_sales  low_80  high_80
    0          1200.0  1049.0   1351.0
    """
    from territory_opt.model.model import Model
    from territory_opt.plan.sales_estimate import SalesEstimate
    from territory_opt.whatif.given import as_problem

    return SalesEstimate.of(Model.build(as_problem(problem)))


def backtest(problem: ProblemLike, *, months: int | None = None, looks: int | None = None, seed: int = 0) -> Backtest:
    """Hide part of the past, forecast it in every way quotas are commonly set, and say which would have been best.

    ``months`` to hide at each look, ``looks`` how many times at most; by default as the history allows. Raise
    :class:`DataError` if the history is too short, :class:`GivenError` for options out of range.

    >>> import territory_opt as to
    >>> company = to.Problem.from_tables(**to.generate(80, 4, seed=1, months=24))
    >>> found = to.backtest(company, months=6, looks=2)
    >>> found.n_looks, found.horizon
    (2, 6)
    """
    from territory_opt.estimate.backtest import backtest as look_back
    from territory_opt.whatif.given import as_problem

    return look_back(as_problem(problem), months=months, looks=looks, seed=seed)


def planning_graph(problem: ProblemLike, *, nearest: int | None = None) -> PlanningGraph:
    """Build the graph of who may serve whom and who is next to whom; accounts that nobody may serve are allowed.

    ``nearest`` keeps only that many eligible reps per account, by distance from home, and says so in
    ``PlanningGraph.dropped``. Such a list is for looking at, not for solving: a bound holds over all eligible pairs
    only. Spatial edges come from the ``adjacency`` table, else from outlines of units (shared borders), else from
    points of units, or of accounts where there are no units. Cost: time linear in accounts x reps, memory in edges.

    >>> import territory_opt as to
    >>> graph = to.planning_graph(to.load_scenario("scenarios/toy"))
    >>> graph.n_candidates, graph.drop_reason("A04", "R1")
    (43, 'lacks the required language')
    """
    from territory_opt.model.graph import planning_graph as build
    from territory_opt.whatif.given import as_problem

    return build(as_problem(problem), nearest=nearest)


# --- a plan -----------------------------------------------------------------------------------------------------


def solve(
    problem: ProblemLike,
    *,
    seed: int = 0,
    time_limit: float = 60.0,
    gap: float = 1e-3,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
    previous: PlanLike | None = None,
    joint_gain: bool = False,
) -> Result:
    """Assign territories and set quotas in one model.

    ``time_limit`` in seconds; ``gap``: stop this close to the bound, a share of the objective. ``progress`` is called
    with a :class:`Progress` at each step: return ``False`` from it to end soon with the best plan so far (so does
    Ctrl-C, and so does the time limit); ``result.raw_status`` is then ``interrupted``. ``previous`` is a result or a
    loaded plan for the problem before an edit: its plan and multipliers are the start, which takes a fraction of the
    time. ``joint_gain`` also plans territories first and quotas after, with the same effort, and says in
    ``result.joint_gain`` what setting both together is worth more. The same inputs and seed give the same plan,
    whatever the number of ``threads``, unless time cuts it short.
    Raise :class:`DataError` if an account has no eligible rep, :class:`GivenError` for an option out of range.

    >>> import territory_opt as to
    >>> problem = to.load_scenario("scenarios/toy").problem()
    >>> result = to.solve(problem, time_limit=10)
    >>> result
    Result(optimal · at most USD 0.99 per year left to gain · Plan(12 accounts to 4 reps · quotas 1,200))
    >>> result.moves[["name", "from_rep", "to_rep", "sales_at_risk_usd_per_year"]]
               name from_rep to_rep  sales_at_risk_usd_per_year
    0  Inner Circle      Ada    Dan                        20.0
    >>> round(result.summary()["p_company_target"], 2)
    0.43

    The search can be ended from the outside:

    >>> stopped = to.solve(problem, progress=lambda step: step.phase != "bound")
    >>> stopped.raw_status, stopped.has_plan
    ('interrupted', True)
    """
    from territory_opt.optimize.solve import solve as solve_problem
    from territory_opt.whatif.given import as_problem, as_start

    start = None if previous is None else as_start(previous)
    return solve_problem(
        as_problem(problem),
        seed=seed,
        time_limit=time_limit,
        gap=gap,
        threads=threads,
        progress=progress,
        previous=start,
        joint_gain=joint_gain,
    )


def save_plan(result: PlanLike, folder: Place, *, scenario: Scenario | Place | None = None, name: str = "") -> Path:
    """Write the plan, its proof, a workbook and a page to ``folder``, whole or not at all; return the folder.

    With the ``scenario`` the problem came from, the folder says where that is; without, the tables are written into the
    folder too, which then stands alone. ``name`` stands on the reports. Raise :class:`PlanFolderError` if ``folder``
    holds something that is not a plan, :class:`NoPlanError` if the result has none.

    >>> import tempfile
    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = to.save_plan(result, f"{place}/toy")
    ...     loaded = to.load_plan(folder)
    ...     print(to.check(loaded).holds, loaded.gap_money == result.gap_money)
    True True
    """
    from territory_opt.problem.options import text
    from territory_opt.report import save
    from territory_opt.whatif.given import as_path, as_result, as_scenario

    text("name", name, '"plan A"')
    origin = None if scenario is None else as_scenario(scenario)
    return save.save_plan(as_result(result), as_path(folder), scenario=origin, name=name)


def load_plan(folder: Place, *, scenario: Place | None = None) -> SavedPlan:
    """Read a plan folder; what comes back is accepted wherever a result is.

    ``scenario`` is where the scenario is now, if it is not where the folder says. Raise :class:`PlanFolderError` naming
    the file that is missing or damaged. :func:`save_plan` has an example.
    """
    from territory_opt.whatif import saved
    from territory_opt.whatif.given import as_path

    return saved.load_plan(as_path(folder), scenario=None if scenario is None else as_path(scenario))


def check(plan: SavedPlan | Place) -> Check:
    """Recompute what a loaded plan claims from the data and its proof, without any solver; ``faults`` lists the rest.

    Input files that have changed are no fault of the plan: see ``SavedPlan.changed_inputs``. :func:`save_plan` has an
    example.
    """
    from territory_opt.whatif.given import as_saved

    return as_saved(plan).check()


def audit(problem: ProblemLike, plan: Plan | PlanLike | None = None) -> list[Violation]:
    """List every hard rule that a plan breaks, by the data alone; an empty list means it breaks none.

    ``audit(result)`` holds a result against its own problem, ``audit(problem, plan)`` any plan against any problem.

    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> to.audit(result)
    []
    >>> stricter = to.load_scenario("scenarios/toy", overrides={"territories.keep.max_moved_accounts": 0})
    >>> [violation.rule for violation in to.audit(stricter, result.plan)]
    ['moved accounts']
    """
    from territory_opt.plan.audit import audit as find_broken
    from territory_opt.whatif.given import as_outcome, as_plan, as_problem

    if plan is None:
        problem = plan = as_outcome(problem)  # type: ignore[arg-type]  # what has no plan is refused
    return find_broken(as_problem(problem), as_plan(plan))


def certify(
    problem: ProblemLike, plan: Plan | PlanLike | None = None, certificate: Multipliers | PlanLike | None = None
) -> Certificate:
    """Recompute what a plan is worth, and what no plan can exceed, from the data and the multipliers alone.

    ``certify(result)`` takes all three from a result, ``certify(problem, result)`` the last two.

    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> found = to.certify(result)
    >>> round(found.objective, 2), round(found.gap_money, 2), found.problems
    (-53.15, 0.98, ())
    >>> to.certify(result.problem, result.plan, result.certificate) == found
    True
    """
    from territory_opt.plan.certificate import certify as prove
    from territory_opt.whatif.given import as_outcome, as_plan, as_problem, as_proof

    if plan is None:
        problem = plan = as_outcome(problem)  # type: ignore[arg-type]  # what has no plan is refused
    proof = certificate if certificate is not None else plan
    return prove(as_problem(problem), as_plan(plan), as_proof(proof))  # type: ignore[arg-type]


# --- about a plan -----------------------------------------------------------------------------------------------


def explain(
    result: PlanLike, *, account: str | None = None, rep: str | None = None, gap: bool = False
) -> AccountExplanation | QuotaExplanation | GapSplit:
    """Say why an account is with its rep, why a rep owes this quota, or where the gap sits, in lines that add up.

    Give ``account`` or ``rep``, an id, or ``gap=True``. Raise :class:`DataError` for an id that is unknown or has no
    quota, :class:`GivenError` for several of them or none, :class:`TerritoryError` where hard rules are broken: that
    leaves no gap to explain.

    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> to.explain(result, rep="R4").quota
    280.0
    >>> print(to.explain(result, account="A10").reason)
    Dan has room for potential; Ada's quota has enough sales
    >>> round(to.explain(result, gap=True).gap, 2)
    0.98
    """
    from territory_opt.errors import GivenError
    from territory_opt.problem.options import flag
    from territory_opt.whatif.given import as_outcome

    if [account is not None, rep is not None, flag("gap", gap)].count(True) != 1:
        raise GivenError("give one of account=ID, rep=ID and gap=True")
    found = as_outcome(result)
    if gap:
        return found.split_of_gap
    if account is not None:
        from territory_opt.plan.certificate import multiplier_problems
        from territory_opt.plan.explain_account import explain_account

        proven = not multiplier_problems(found.model, found.certificate)
        return explain_account(found.model, found.plan, str(account), found.certificate.values if proven else None)
    from territory_opt.quota.explain_quota import explain_quota

    return explain_quota(found.figures, str(rep))


def review(result: PlanLike, *, draws: int = 10_000, seed: int = 0) -> Review:
    """Look at a plan's quotas: odds and pay by simulation, whether they are fair, whether each is SMART.

    ``draws`` plan years are simulated. Raise :class:`ScenarioError` if the plan sets no quotas, :class:`GivenError`
    for an option out of range.

    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> found = to.review(result, draws=2000)
    >>> found.table[["rep_id", "quota_usd_per_year", "hit_probability"]].round(1)
      rep_id  quota_usd_per_year  hit_probability
    0     R1               300.0              0.5
    1     R2               310.0              0.4
    2     R3               310.0              0.4
    3     R4               280.0              0.5
    """
    from territory_opt.quota.review import review as look_at
    from territory_opt.whatif.given import as_outcome

    return look_at(as_outcome(result).figures, draws=draws, seed=seed)


def track(
    result: PlanLike,
    sales: TableLike,
    *,
    as_of: str | None = None,
    metrics: TableLike | None = None,
) -> Tracking:
    """Hold sales of the plan year so far against a plan's quotas: pace, odds of finishing, a leaderboard that is fair.

    ``sales`` is a table, or a file, like the sales table of the problem (account_id, month, sales); ``as_of`` the last
    whole month ("2027-05"), by default the latest. ``metrics`` has a column rep_id and figures that are shown beside.
    What was left out stands in ``Tracking.issues``. Raise :class:`DataError` for tables that cannot be read,
    :class:`ScenarioError` for a month outside the plan year or a plan without quotas.

    >>> import pandas as pd
    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> sold = pd.DataFrame({"account_id": ["A01", "A10"], "month": ["2027-01", "2027-01"], "sales": [40.0, 10.0]})
    >>> to.track(result, sold).reps[["rep_id", "sold_usd", "status"]]
      rep_id  sold_usd   status
    0     R1      40.0  on pace
    1     R4      10.0   behind
    2     R2       0.0   behind
    3     R3       0.0   behind
    """
    from territory_opt.problem.options import text
    from territory_opt.quota.track import track as hold_against
    from territory_opt.whatif.given import as_metrics, as_outcome, as_sales

    if as_of is not None:
        text("as_of", as_of, MONTH)
    planned = as_outcome(result)
    so_far = as_sales(sales, planned.problem, planned)
    beside = None if metrics is None else as_metrics(metrics, planned.problem)
    found = hold_against(planned.figures, so_far, as_of=as_of, metrics=beside)
    return replace(found, issues=(*so_far.attrs["issues"], *(() if beside is None else beside.attrs["issues"])))


def replan(
    result: PlanLike,
    *,
    as_of: str,
    sales: TableLike | None = None,
    now: ProblemLike | None = None,
    max_moved_accounts: int | None = None,
    max_quota_change: float | None = None,
) -> Replan:
    """Review a plan in its year: freeze what is past, and return the rest of the year as a problem to solve.

    ``as_of`` is the last frozen month, "2027-06": a quota period ends with it. ``sales`` so far join the history;
    ``now`` is how things stand today if tables or rules have changed. At most ``max_moved_accounts`` accounts change
    owner, and the rest of each quota by at most the share ``max_quota_change``. Raise :class:`ScenarioError` if
    nothing can be frozen there or nothing of the target is left, :class:`GivenError` for an option out of range.

    >>> import territory_opt as to
    >>> toy = to.load_scenario("scenarios/toy", overrides={"quotas.periods": "quarter"})
    >>> rest = to.replan(to.solve(toy.problem(), time_limit=10), as_of="2027-06", max_moved_accounts=2)
    >>> second_half = to.solve(rest.problem, time_limit=10)
    >>> year = rest.year(second_half)
    >>> float(year["quota"].sum())
    1200.0
    """
    from territory_opt.problem.options import text
    from territory_opt.whatif.given import as_outcome, as_problem, as_sales, loaded
    from territory_opt.whatif.replan import replan as freeze

    text("as_of", as_of, MONTH)
    planned = as_outcome(result)
    origin = planned if now is None else loaded(now)
    today = None if now is None else as_problem(origin)
    so_far = None if sales is None else as_sales(sales, today or planned.problem, origin)
    rest = freeze(
        planned.problem,
        planned.plan,
        as_of=as_of,
        sales=so_far,
        now=today,
        max_moved_accounts=max_moved_accounts,
        max_quota_change=max_quota_change,
    )
    return rest if so_far is None else replace(rest, issues=so_far.attrs["issues"])


def schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files, for editors and other tools.

    >>> import territory_opt as to
    >>> "quotas" in to.schema()["properties"]
    True
    """
    from territory_opt.whatif.scenario import scenario_json_schema

    return scenario_json_schema()
