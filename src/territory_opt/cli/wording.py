"""What the command line tells a planner: what was read, what came out, what clashes, what was confirmed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from territory_opt.cli.exit_codes import code_of
from territory_opt.problem.numbers import HALF_CENT
from territory_opt.words import MORE_DIGITS, at_most, money, near_money, percent, plural, short_money

if TYPE_CHECKING:
    from territory_opt.cli.screen import Screen
    from territory_opt.errors import Issue
    from territory_opt.estimate.backtest import Backtest
    from territory_opt.estimate.transfer import TransferLoss
    from territory_opt.model.hierarchy import Hierarchy
    from territory_opt.model.model import Model
    from territory_opt.optimize.result import Result
    from territory_opt.plan.audit import Violation
    from territory_opt.plan.check import Check
    from territory_opt.problem.problem import Problem
    from territory_opt.quota.consistency import Consistency
    from territory_opt.study.comparison import Comparison
    from territory_opt.whatif.replan import Replan

SHOWN_DRIFT = 1e-3
"""A kappa that is off the plan's own by this share is said: a forged one would make the gap look small."""
SHOWN_GROWTH = 0.005
"""Growth of the company below this is not worth a word: it reads as 0 %."""
DOUBTFUL = 0.05
"""A difference that comes by chance more often than this is called doubtful: the usual level of 5 %."""
MOST_PARTS = 4
"""Parts of the worth said in one line, the largest ones."""
UNKNOWN = "best possible not known"
ENDED = {"interrupted": "stopped by Ctrl-C", "time limit": "time limit"}


# --- what was read ----------------------------------------------------------------------------------------------


def opening(screen: Screen, name: str, problem: Problem, model: Model, *, written: bool) -> Consistency:
    """Say what was read, what to expect and whether target, hedge, odds and spread can hold together."""
    from territory_opt.quota.consistency import check_consistency

    found = check_consistency(model)
    screen.say(headline(name, problem))
    place = " (written to data_issues.csv)" if written and problem.issues else ""
    screen.line("reading", count_issues(problem.issues) + place)
    screen.line("expecting", _expecting(found, model))
    screen.line("consistency", found.sentence)
    if found.gives:
        screen.say("  for that, one of these has to give:")
        screen.several(found.gives)
    screen.several([*found.contradictions, *found.flags])
    return found


def headline(name: str, problem: Problem) -> str:
    """Return name, sizes and target: the first line a planner reads."""
    sizes = [plural(problem.n_accounts, "account"), plural(problem.n_reps, "rep")]
    if len(problem.managers):
        sizes.append(plural(len(problem.managers), "manager"))
    target = problem.policy.quotas.target
    if target is not None:
        sizes.append(f"target {money(target, problem.policy.currency)}")
    return f"{name}   {' · '.join(sizes)}"


def count_issues(issues: Iterable[Issue]) -> str:
    """Return "0 errors · 3 warnings · 12 notes on values filled in"."""
    found = Counter(issue.severity for issue in issues)
    text = f"{plural(found['error'], 'error')} · {plural(found['warning'], 'warning')}"
    return f"{text} · {plural(found['imputed'], 'note')} on values filled in" if found["imputed"] else text


def issue_rows(issues: Iterable[Issue]) -> list[dict[str, Any]]:
    """Return findings as plain mappings, errors first."""
    return [asdict(issue) for issue in sorted(issues, key=lambda issue: issue.severity != "error")]


def consistency_facts(found: Consistency) -> dict[str, Any]:
    """Return what is known before a solve as a plain mapping."""
    names = ("holds", "sentence", "expected", "expected_low", "expected_high", "largest_target")
    return {name: getattr(found, name) for name in (*names, "gives", "contradictions", "flags")}


def _expecting(found: Consistency, model: Model) -> str:
    currency = model.problem.policy.currency
    low, middle, high = (near_money(x, currency) for x in (found.expected_low, found.expected, found.expected_high))
    basis = model.estimate.basis
    follows = "" if basis is None else f"; quotas follow {basis.method}"
    grown = model.estimate.growth - 1.0
    than = f", {grown:+.0%} on the same months of last year" if abs(grown) >= SHOWN_GROWTH else ""
    return f"{middle} from {model.estimate.source} (80 % range {low} to {high}{than}){follows}"


# --- what would have been best ----------------------------------------------------------------------------------


def looked_back(screen: Screen, name: str, found: Backtest, lost: TransferLoss | None, loss_rate: float) -> None:
    """Show the table of a back-test, say which method was best and how sure that is.

    ``lost`` is the transfer loss that the history shows, ``loss_rate`` the one the policy assumes.
    """
    screen.say(f"{name}   {plural(found.n_looks, 'look')} back, {plural(found.horizon, 'month')} hidden at each")
    screen.several(str(found).splitlines(), most=len(found.scores) + 1)
    best = next(score for score in found.scores if score.method == found.best)
    screen.say(f"Closest to what reps sold: {best.method}, off by {best.rep_error:.1%} of sales.")
    behind = found.scores[found.scores.index(best) + 1 :]
    close = [score.method for score in behind if score.by_chance > DOUBTFUL]
    if close:
        screen.say(f"It may be by chance that it is closer than {', '.join(close)}.")
    for score in found.scores[: found.scores.index(best)]:
        screen.say(
            f"Closer still, off by {score.rep_error:.1%}: {score.method}. Whoever set these quotas knew more than the "
            "tables say; no method can draw on it before the next ones are set."
        )
    screen.say(f"Errors {found.shocks}.")
    if lost is not None:
        screen.say(f"By the history {lost}; the plan assumes {loss_rate:.0%} less (territories.keep.loss_rate).")
    screen.several(found.warnings)


# --- what came out ----------------------------------------------------------------------------------------------


def outcome(screen: Screen, result: Result, folder: Path, seconds: float) -> list[str]:
    """Print what a planner reads after a solve; return its sentences."""
    from territory_opt.plan.captured import over_today
    from territory_opt.study.comparison import TODAY, compare

    model, pair = result.model, compare(TODAY, result)
    if not result.violations:
        worth = standing(result.objective, result.bound, model.problem.policy.currency)
        share, ended = over_today(result.captured), _ended(result)
        worth += f"   {share}" if share else ""
        screen.line("planning", f"{worth}   moves {int(pair.changed.sum()):,}   {clock(seconds)}{ended}")
    if result.plan.has_quotas:
        screen.line("quotas", quotas_tie(model.hierarchy, model.problem.n_reps, result.violations))
    if result.evaluation is not None:
        screen.line("worth", worth_words(result))
    for text in result.warnings:
        screen.line("note", text)
    if result.violations:
        screen.say()
        _conflict(screen, result, folder)
    told = _sentences(result, pair, folder)
    screen.say("\nWhat changed")
    for number, text in enumerate(told, start=1):
        screen.say(f"{number}. {text}")
    screen.say(f"\n{folder / 'report.html'}   plan.xlsx   assignments.csv   quotas.csv   certificate.npz")
    return told


def _ended(result: Result) -> str:
    """Say what ended the search before its own end, if anything did, and which work it cut short."""
    if result.raw_status not in ENDED:
        return ""
    cut = f" (cut short: {', '.join(result.cut_short)})" if result.cut_short else ""
    return f"   {ENDED[result.raw_status]}{cut}"


def worth_words(result: Result) -> str:
    """Say what the worth is made of, and what margin comes whoever serves whom (so that it is left out)."""
    currency = result.model.problem.policy.currency
    evaluation = result.evaluation
    if evaluation is None:
        return ""
    parts = sorted(evaluation.parts.items(), key=lambda part: -abs(part[1]))
    listed = ", ".join(
        f"{name} {short_money(amount, currency)}" for name, amount in parts[:MOST_PARTS] if abs(amount) >= 1
    )
    common = short_money(evaluation.common_margin, currency)
    return f"{listed}; the {common} of margin that come whoever serves whom are left out"


def _sentences(result: Result, pair: Comparison, folder: Path) -> list[str]:
    from territory_opt.report.headline import sentences

    told = list(sentences(result, pair, pair.after.odds))
    if result.violations:
        return told[:-1]  # the clash is told in full below
    told[-1] = told[-1].replace("(verified)", f"(proof: territory-opt check {folder})")
    if result.gap_money >= HALF_CENT:
        told[-1] += f" Where the slack sits: territory-opt explain {folder} --gap"
    if result.plan.has_quotas and result.joint_gain >= HALF_CENT:
        policy = result.model.problem.policy
        gain = f"{near_money(result.joint_gain, policy.currency)} {policy.period.term}"
        told.append(f"Setting quotas together with territories is worth {gain} more than one after the other.")
    return told


def _conflict(screen: Screen, result: Result, folder: Path) -> None:
    """Say which hard rules clash and the least that must give."""
    first = "These hard rules cannot all hold:" if result.proven else "No plan that keeps all hard rules was found:"
    screen.say(first, always=True)
    worst = sorted(result.violations, key=lambda violation: -violation.share)
    screen.several([violation_words(violation) for violation in worst], always=True)
    for heading, ways in _ways_out(result).items():
        screen.say(f"{heading}:", always=True)
        screen.several(ways, always=True)
    if not result.proven and result.raw_status in ENDED:
        ended = _ended(result).strip()
        screen.say(f"The search ended early, {ended}; a longer one may find a plan that keeps them all.", always=True)
    code = code_of(result)
    screen.say(f"The least bad plan was written with this list to {folder} (exit code {code})", always=True)


def _ways_out(result: Result) -> dict[str, list[str]]:
    """Group the ways out by what is known of them; without proof of a clash none is known to be needed."""
    found: dict[str, list[str]] = {}
    for way in result.relaxations:
        proven = "Least that must give (one is enough)" if way.enough else "Least that must give (together)"
        found.setdefault(proven if result.proven else "What would give room", []).append(way.text)
    return found


def violation_words(violation: Violation) -> str:
    """Return a broken rule as a sentence for a planner: who, what it is, what was allowed."""
    from territory_opt.plan.audit import digits_of

    side = "at most" if violation.value > violation.limit else "at least"
    if violation.rule.startswith("balance: ") and violation.share > 0:
        scale = violation.amount / violation.share
        has, allowed = percent(violation.value / scale), percent(violation.limit / scale)
        if has == allowed:
            has, allowed = percent(violation.value / scale, MORE_DIGITS), percent(violation.limit / scale, MORE_DIGITS)
        metric = violation.rule.removeprefix("balance: ")
        return f"{violation.subject} has {has} of a fair share of {metric}, but the band allows {side} {allowed}"
    if violation.unit and (violation.value or violation.limit):
        digits = digits_of(violation.amount)
        here = f"here {violation.value:,.{digits}f} {violation.unit}"
        limits = f"allowed {side} {violation.limit:,.{digits}f}, {here}"
        if violation.unit == "accounts":
            limits = f"here {plural(round(violation.value), 'account')}"
        return f"{violation.subject}: {violation.sentence}; {limits}"
    return f"{violation.subject}: {violation.sentence or violation.rule}"


def quotas_tie(hierarchy: Hierarchy, n_reps: int, violations: Iterable[Violation]) -> str:
    """Return the way up ("40 reps → 6 managers → company") and whether the quotas add up on it."""
    count = Counter(reversed(hierarchy.levels[1:]))
    way = " → ".join([plural(n_reps, "rep"), *(plural(n, level) for level, n in count.items()), "company"])
    broken = dict.fromkeys(v.subject for v in _of_quotas(violations))
    return f"{way}; do not add up at {', '.join(broken)}" if broken else f"{way}, tied to the cent"


def _of_quotas(violations: Iterable[Violation]) -> list[Violation]:
    """Return the violations which say that quotas are missing or do not add up."""
    from territory_opt.model.rules import QUOTAS_TIE

    return [violation for violation in violations if violation.rule in QUOTAS_TIE]


def standing(best: float, bound: float, currency: str) -> str:
    """Return the best plan and what is left above it, in words; each part says so while it is not known."""
    if not math.isfinite(best):
        limit = (
            f"no plan can exceed {near_money(bound, currency)}" if math.isfinite(bound) else "best possible not known"
        )
        return f"no plan yet   {limit}"
    return f"best {near_money(best, currency)}   {_left(best, bound, currency)}"


def _left(best: float, bound: float, currency: str) -> str:
    """Say what any plan could be worth above ``best`` at most, money."""
    if not math.isfinite(bound):
        return UNKNOWN
    left = bound - best
    return f"no plan is worth more than {at_most(left, currency)} above it" if left >= HALF_CENT else "none is better"


def clock(seconds: float) -> str:
    """Return ``0:00:14``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def frozen(screen: Screen, rest: Replan) -> None:
    """Print what a review leaves as it is."""
    currency, quotas = rest.problem.policy.currency, rest.problem.policy.quotas
    periods = plural(rest.past["period"].nunique(), "period")
    screen.line("frozen", f"{periods} until {rest.as_of}, quotas of {money(rest.past['quota'].sum(), currency)}")
    screen.line(
        "left", f"{money(quotas.target or 0.0, currency)} of the target for {rest.problem.policy.period.months} months"
    )


# --- what was confirmed -----------------------------------------------------------------------------------------


def confirmed(
    screen: Screen, name: str, problem: Problem, found: Check, inputs: Sequence[str], settings: Mapping[str, Any]
) -> None:
    """Print what the judge recomputed of a plan folder.

    ``inputs`` are the input files that have changed, ``settings`` what was set on top of the scenario.
    """
    from territory_opt.model.hierarchy import Hierarchy

    currency = problem.policy.currency
    screen.say(headline(name, problem))
    screen.line("inputs", f"{len(inputs)} changed" if inputs else "those the plan was made from")
    if settings:
        screen.line("settings", "   ".join(f"{key} = {value}" for key, value in settings.items()))
    worth = f"{near_money(found.certificate.objective, currency)} {problem.policy.period.term}"
    screen.line("worth", f"{worth}, recomputed from the data")
    screen.line("best possible", _proven(found, currency))
    if problem.policy.territories.travel.reach:
        screen.line("by rule", f"{problem.policy.territories.travel.reach}: the bound is about such plans")
    claimed = found.claims.get("solver_bound")
    if isinstance(claimed, int | float) and not found.violations:
        screen.line("solver says", f"no plan can exceed {near_money(claimed, currency)}: claimed, not verified")
    broken = plural(len(found.violations), "hard rule")
    screen.line("hard rules", f"this plan breaks {broken}:" if found.violations else "all kept")
    screen.several([violation_words(violation) for violation in found.violations])
    if problem.policy.quotas.target is not None:
        hierarchy = Hierarchy.from_problem(problem)
        screen.line("quotas", quotas_tie(hierarchy, problem.n_reps, found.violations))
        drift = found.certificate.kappa_drift
        if abs(drift) >= SHOWN_DRIFT:
            screen.line(
                "fair share", f"{drift:+.1%} off this plan's own; the gap counts only for the one it was made with"
            )
    for text in found.not_checked:
        screen.line("not checked", text)


def _proven(found: Check, currency: str) -> str:
    proof = found.certificate
    if proof.problems or not math.isfinite(proof.bound):
        return "this folder proves nothing about it"
    if found.violations:
        if proof.least_violation > 0:
            return "the hard rules cannot all hold (verified)"
        limit = near_money(proof.bound, currency)
        return f"no plan that keeps the hard rules can exceed {limit} (verified without a solver); this one breaks some"
    limit = f"no plan can exceed {near_money(proof.bound, currency)}"
    left = f"at most {at_most(max(proof.gap_money, 0.0), currency)} above this one"
    return f"{limit}, {left} (verified without a solver)"


def check_facts(found: Check) -> dict[str, Any]:
    """Return what the judge recomputed as a plain mapping."""
    proof = found.certificate
    names = ("rule", "subject", "amount", "unit", "value", "limit")
    broken = [{**{name: getattr(v, name) for name in names}, "text": violation_words(v)} for v in found.violations]
    return {
        "objective": proof.objective,
        "bound": proof.bound,
        "bound_kind": "none" if proof.problems else "verified",
        "gap": proof.gap,
        "gap_money": proof.gap_money,
        "solver_bound": found.claims.get("solver_bound"),
        "solver_bound_kind": "claimed, not verified",
        "least_violation": proof.least_violation,
        "kappa_drift": proof.kappa_drift,
        "quotas_tie": not _of_quotas(found.violations),
        "violations": broken,
        "not_checked": list(found.not_checked),
    }
