"""Builders of rows, one small function for each rule. A new rule is one more of them in :data:`RULES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from territory_opt.estimate.expected import Estimate
from territory_opt.model.hierarchy import Hierarchy
from territory_opt.model.presence import share_targets, typical_credit
from territory_opt.model.rows import Kind, Row, Rows, Words
from territory_opt.problem.numbers import SAME_FACTOR_DIGITS, TINY
from territory_opt.problem.policy import Guard, Quotas, Range, Ratchet
from territory_opt.problem.problem import Problem
from territory_opt.words import named

FloatArray = npt.NDArray[np.float64]

NEARLY_NOTHING = 1e-9
"""Stands for no share and for no variance at all, so that every row of odds has a scale, and its tangent a slope."""
WHOLE_STEPS = 1e-6
"""A sum this near to whole steps, in steps, is whole steps."""
MOVES = {"gives": "few moves are left", "takes": "few moves are left"}
ASSIGNMENT = "assignment"
"""What the judge calls an account without a rep, or an unknown one; no row says it."""
ROLL_UP = "roll-up"
QUOTAS_TIE = (ROLL_UP, "period quotas", "quota step", "quota")
"""Rules that say quotas are there, in whole steps, and add up at every node; of these only the first is one of rows."""
SALES = {"gives": "{name}'s quota needs its sales", "takes": "{rival}'s quota has enough sales"}


@dataclass(frozen=True, slots=True)
class RuleInputs:
    """What builders read; ``share`` (n_reps,) fair shares, ``kappa`` fair quota per unit of fair base."""

    problem: Problem
    estimate: Estimate
    hierarchy: Hierarchy
    share: FloatArray
    kappa: float

    @property
    def quotas(self) -> Quotas:
        """The policy on quotas."""
        return self.problem.policy.quotas

    @property
    def currency(self) -> str:
        """Unit of money."""
        return self.problem.policy.currency

    @property
    def names(self) -> list[str]:
        """Display names of the reps, "Lee (R-012)"."""
        pairs = zip(self.problem.reps["name"], self.problem.reps["rep_id"], strict=True)
        return [named(name, rep_id) for name, rep_id in pairs]


Builder = Callable[[RuleInputs], Iterator[Row]]


def build_rows(problem: Problem, estimate: Estimate, hierarchy: Hierarchy, kappa: float) -> Rows:
    """Collect the rows of every rule; ``kappa`` is fair quota per unit of expected sales."""
    given = RuleInputs(problem, estimate, hierarchy, share_targets(problem), kappa)
    builders = RULES if given.quotas.target is None else RULES + QUOTA_RULES
    return Rows.from_items((row for build in builders for row in build(given)), problem.n_reps)


# --- territories ------------------------------------------------------------------------------------------------


def balance(given: RuleInputs) -> Iterator[Row]:
    """Each rep's total of a metric near its share target."""
    problem = given.problem
    for metric, band in problem.policy.territories.balance.items():
        total = float(problem.accounts[metric].sum())
        words = Words(
            f"{metric} of each rep within {band.band:.0%} of the fair share",
            way_out="widen the {unit} band of {subject} to {share} of a fair share",
            gives="{name} has room for {unit}",
            takes="{rival} has enough {unit}",
        )
        for j, name in enumerate(given.names):
            target = given.share[j] * total
            scale = target if target > 0 else total / problem.n_reps
            yield Row(
                rule=f"balance: {metric}",
                subject=name,
                kind=Kind.BAND,
                totals={(j, metric): 1.0},
                low=target * (1 - band.band),
                high=target * (1 + band.band),
                hard=band.hard,
                price=band.price_per_point / max(scale / 100.0, TINY),
                scale=max(scale, TINY),
                unit=metric,
                words=words,
            )


def hours(given: RuleInputs) -> Iterator[Row]:
    """Service and travel within each rep's yearly hours."""
    problem, policy = given.problem, given.problem.policy.territories.hours
    if policy is None:
        return
    words = Words(
        "workload and travel within the rep's yearly hours",
        way_out="give {subject} {value:,.0f} hours a year instead of {high:,.0f}",
        gives="{rival} is short of hours",
        takes="{rival} is short of hours",
    )
    for j, (name, capacity) in enumerate(zip(given.names, problem.reps["capacity_hours"], strict=True)):
        yield Row(
            rule="hours",
            subject=name,
            kind=Kind.CAPACITY,
            totals={(j, "hours"): 1.0},
            high=float(capacity),
            hard=policy.hard,
            price=policy.price_per_hour * problem.policy.period.part,
            scale=max(float(capacity), 1.0),
            unit="hours",
            words=words,
        )


def move_budgets(given: RuleInputs) -> Iterator[Row]:
    """At most so many accounts, or so much of current sales, change owner."""
    keep = given.problem.policy.territories.keep
    if keep.max_moved_accounts is not None:
        most = float(keep.max_moved_accounts)
        words = Words(
            f"at most {keep.max_moved_accounts} accounts change owner",
            way_out="let {accounts} change owner instead of {high:,.0f}",
            **MOVES,
        )
        yield _budget(given, "moved accounts", "moved_accounts", "accounts", words, high=most, scale=max(most, 1.0))
    if keep.max_moved_revenue is not None:
        total = float(given.problem.accounts["current_sales"].sum())
        most = keep.max_moved_revenue * total
        words = Words(
            f"at most {keep.max_moved_revenue:.0%} of current sales change owner",
            way_out="let {fraction:.1%} of current sales change owner",
            **MOVES,
        )
        yield _budget(given, "moved revenue", "moved_sales", "current sales", words, high=most, scale=max(total, 1.0))


def _budget(given: RuleInputs, rule: str, quantity: str, unit: str, words: Words, *, high: float, scale: float) -> Row:
    """One hard row on a ``quantity`` of all reps together."""
    return Row(
        rule=rule,
        subject="Company",
        kind=Kind.BUDGET,
        totals={(j, quantity): 1.0 for j in range(given.problem.n_reps)},
        high=high,
        hard=True,
        scale=scale,
        unit=unit,
        words=words,
    )


def skill_coverage(given: RuleInputs) -> Iterator[Row]:
    """Potential that asks for a skill meets a rep who has it."""
    problem = given.problem
    for skill, rule in problem.policy.territories.skills.coverage.items():
        asks = problem.accounts[skill].fillna("").astype(str).str.strip() != ""
        total = float(problem.accounts.loc[asks, "potential"].sum())
        has = "{name} has the {detail} that the plan still needs"
        yield Row(
            rule=f"coverage: {skill}",
            subject="Company",
            kind=Kind.COVERAGE,
            totals={(j, f"covered: {skill}"): 1.0 for j in range(problem.n_reps)},
            low=rule.share * total,
            hard=rule.hard,
            price=rule.price_per_point / max(total / 100.0, TINY),
            scale=max(total, 1.0),
            unit="potential",
            words=Words(
                f"at least {rule.share:.0%} of the potential that asks for {skill} meets a rep who has it",
                way_out="ask for {fraction:.0%} {rule} instead, or train a rep",
                gives=has,
                takes=has,
            ),
        )


# --- quotas -----------------------------------------------------------------------------------------------------


def roll_up(given: RuleInputs) -> Iterator[Row]:
    """Sum of quotas under a node, freed of the hedges on the way, equals the node's target."""
    hierarchy = given.hierarchy
    words = Words(
        "quotas add up to the target and its hedge",
        way_out="change the target of {subject} from {middle:,.0f} to {value:,.0f}",
        **SALES,
    )
    for node in np.flatnonzero(~np.isnan(hierarchy.target)).tolist():
        target, members = float(hierarchy.target[node]), hierarchy.members(node)
        if len(members) == 0:
            continue
        slack = rounding_slack(given.quotas.step, hierarchy, node)
        yield Row(
            rule=ROLL_UP,
            subject=hierarchy.names[node],
            kind=Kind.ROLL_UP,
            quotas={int(j): 1 / hierarchy.compound(int(j), node) for j in members},
            low=target - slack,
            high=target + slack,
            hard=True,
            scale=max(target, 1.0),
            unit=given.currency,
            words=words,
        )


def rounding_slack(step: float, hierarchy: Hierarchy, node: int) -> float:
    """Largest rounding (money) a node with a target may show: 0 where whole steps can meet it, else one step."""
    compounds = {round(hierarchy.compound(int(j), node), SAME_FACTOR_DIGITS) for j in hierarchy.members(node)}
    total = float(hierarchy.target[node]) * next(iter(compounds), 1.0)
    alone = np.count_nonzero(~np.isnan(hierarchy.target)) == 1
    even = len(compounds) == 1 and alone and abs(total / step - round(total / step)) < WHOLE_STEPS
    return 0.0 if even else step


def guards(given: RuleInputs) -> Iterator[Row]:
    """Limits on one rep's quota; for a rep who is not there all year they count in proportion to the days there."""
    quotas, reps = given.quotas, given.problem.reps
    there = given.problem.calendar.part_there(given.problem.policy.period.months)
    before = quotas.growth_guard is not None and quotas.growth_guard.against == "the plan before"
    # A plan before has asked for these days only.
    last = reps["last_quota"].to_numpy(float) * (1.0 if before else there)
    sold, ote = reps["last_sales"].to_numpy(float) * there, reps["ote"].to_numpy(float) * there
    for j in range(given.problem.n_reps):
        part = "" if there[j] >= 1.0 else ", for the days the rep is there"
        if quotas.growth_guard is not None and last[j] > 0:
            yield _growth_guard(given, j, quotas.growth_guard, last[j], "" if before else part)
        if quotas.ratchet_guard is not None and last[j] > 0 and np.isfinite(sold[j]):
            yield _ratchet_guard(given, j, quotas.ratchet_guard, last[j], sold[j], part)
        if quotas.limits is not None:
            yield _quota_limits(given, j, quotas.limits, there[j], part)
        if quotas.ote_ratio is not None and ote[j] > 0:
            yield _ote_ratio(given, j, quotas.ote_ratio, ote[j], part)


def _growth_guard(given: RuleInputs, rep: int, guard: Guard, last: float, part: str) -> Row:
    text = f"quota at most {guard.up:.0%} above and {guard.down:.0%} below that of {guard.against}"
    low, high = last * (1 - guard.down), last * (1 + guard.up)
    return _guard(given, rep, guard, "growth guard", text + part, within=(low, high), scale=last)


def _ratchet_guard(given: RuleInputs, rep: int, ratchet: Ratchet, last: float, sold: float, part: str) -> Row:
    high = last * (1 + ratchet.growth) + ratchet.share * max(0.0, sold - last)
    text = f"at most {ratchet.share:.0%} of last year's sales above quota enter the new quota"
    return _guard(given, rep, ratchet, "ratchet guard", text + part, within=(-np.inf, high), scale=last)


def _quota_limits(given: RuleInputs, rep: int, limits: Range, there: float, part: str) -> Row:
    high = np.inf if limits.high is None else limits.high * there
    scale = max(limits.low if limits.high is None else limits.high, 1.0)
    text = "quota between the floor and the cap"
    return _guard(given, rep, limits, "quota limits", text + part, within=(limits.low * there, high), scale=scale)


def _ote_ratio(given: RuleInputs, rep: int, ratio: Range, ote: float, part: str) -> Row:
    high = np.inf if ratio.high is None else ratio.high * ote
    text = f"quota between {ratio.low:g} and {ratio.high or np.inf:g} times on-target earnings"
    return _guard(given, rep, ratio, "OTE ratio", text + part, within=(ratio.low * ote, high), scale=ote)


def _guard(
    given: RuleInputs,
    rep: int,
    policy: Guard | Ratchet | Range,
    rule: str,
    sentence: str,
    *,
    within: tuple[float, float],
    scale: float,
) -> Row:
    """One row on one rep's quota alone, which lies ``within`` a lower and an upper limit."""
    low, high = within
    return Row(
        rule=rule,
        subject=given.names[rep],
        kind=Kind.GUARD,
        quotas={rep: 1.0},
        low=low,
        high=high,
        hard=policy.hard,
        price=policy.price,
        scale=scale,
        unit=given.currency,
        words=Words(sentence, **SALES),
    )


def odds(given: RuleInputs) -> Iterator[Row]:
    """q <= M - z (s0/2 + V/(2 s0)) - z sigma M: the tangent lies above the square root, so the row is safe."""
    quotas, estimate, share = given.quotas, given.estimate, given.share
    if quotas.odds is None:
        return
    z, shock = max(float(norm.ppf(quotas.hit_share)), 0.0), estimate.shocks.together
    # Any tangent is safe; it touches where a fair share of the variance lies that counts for the rep. For a rep who is
    # never there nothing counts, and nothing varies.
    credit = typical_credit(given.problem, estimate)
    tangent = np.sqrt(np.maximum(share * credit, NEARLY_NOTHING) * max(float(estimate.variance.sum()), NEARLY_NOTHING))
    tangent = np.where(credit > 0, tangent, 0.0)
    words = Words(f"each rep reaches the quota with probability {quotas.hit_share:.0%} or more", **SALES)
    for j, name in enumerate(given.names):
        totals = {(j, "credited_sales"): z * shock - 1.0}
        totals |= {(j, "variance"): z / (2 * float(tangent[j]))} if tangent[j] > 0 else {}
        yield Row(
            rule="odds",
            subject=name,
            kind=Kind.ODDS,
            totals=totals,
            quotas={j: 1.0},
            high=-z * float(tangent[j]) / 2,
            hard=quotas.odds.hard,
            price=quotas.odds.price,
            scale=max(float(share[j]), NEARLY_NOTHING) * max(float(estimate.expected.sum()), 1.0),
            unit=given.currency,
            words=words,
        )


def fairness(given: RuleInputs) -> Iterator[Row]:
    """q = kappa x fair base: expected sales, or the basis of the policy's method with its equal part."""
    quotas, basis, kappa = given.quotas, given.estimate.basis, given.kappa
    quantity, equal = ("credited_sales", 0.0) if basis is None else ("quota_basis", kappa * basis.equal)
    what = "expected sales" if basis is None else "the basis that quotas follow"
    words = Words(f"quota is the same share of {what} for everyone", **SALES)
    for j, name in enumerate(given.names):
        yield Row(
            rule="fairness",
            subject=name,
            kind=Kind.FAIRNESS,
            totals={(j, quantity): -kappa},
            quotas={j: 1.0},
            low=equal * given.share[j],
            high=equal * given.share[j],
            hard=False,
            price=quotas.fairness.price,
            worst_price=quotas.fairness.worst_price,
            scale=max(float(quotas.target or 0.0) / given.problem.n_reps, 1.0),
            unit=given.currency,
            words=words,
        )


RULES: tuple[Builder, ...] = (balance, hours, move_budgets, skill_coverage)
"""Rules on territories."""
QUOTA_RULES: tuple[Builder, ...] = (roll_up, guards, odds, fairness)
"""Rules on quotas, where there is a target."""
