"""What a planner reads first: three sentences, the cards, today against the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.plan.captured import DIGITS, about_today, over_today
from territory_opt.plan.tables import balanced_metrics
from territory_opt.problem.numbers import HALF_CENT, TINY
from territory_opt.study.comparison import Comparison
from territory_opt.study.side import BAND_TOLERANCE, Side, band
from territory_opt.words import at_most, at_most_short, money, percent, plural, short_money

if TYPE_CHECKING:
    from territory_opt.optimize.result import Result
    from territory_opt.plan.odds import CompanyOdds

FloatArray = npt.NDArray[np.float64]
Tone = Literal["plain", "good", "warn"]

GOOD_GAP = 0.05
"""Up to this gap the card of the gap is green. A choice of looks."""
MOST_PAIRS_LOOKED_AT = 200_000_000
"""Up to so many accounts x reps the page says where the slack sits: about four seconds for each 50 million pairs."""
SHOWN_SHARE = 0.0005
"""Below this a difference reads as 0.0 %."""
PART_NAMES = {
    "gain from fit": "Gain from fitting skills",
    "transfer loss": "Margin lost on moved accounts",
    "travel": "Travel",
    "hours": "Hours above what reps have",
    "fairness": "Quotas away from a fair share",
    "odds": "Quotas above what reps can likely reach",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One headline figure: label, value, a note below it and a tone."""

    label: str
    value: str
    note: str
    tone: Tone = "plain"


def sentences(result: Result, pair: Comparison, odds: CompanyOdds | None) -> tuple[str, ...]:
    """Return the three sentences of the summary: what moves, what is owed, how good it is."""
    lines = [_moves_sentence(pair)]
    if result.plan.has_quotas:
        lines.append(_quota_sentence(pair, odds))
    return (*lines, proof_sentence(result))


def proof_sentence(result: Result) -> str:
    """Say how far the plan is from the best possible one and what it captures, or which hard rules it breaks."""
    currency = result.model.problem.policy.currency
    if result.violations:
        count = plural(len(result.violations), "hard rule")
        proof = "it is proven that they cannot all hold" if result.proven else "no plan that keeps them all was found"
        return f"This is the least bad plan: it breaks {count} ({proof}). First: {result.violations[0]}."
    if not np.isfinite(result.bound):
        return "How much better a plan could be is not known: there is no bound for this run."
    reach = result.model.problem.policy.territories.travel.reach
    rules = f"under these rules ({reach})" if reach else "under these rules"
    if result.gap_money < HALF_CENT:
        first = f"No plan {rules} is worth more than this one (verified)."
    else:
        first = f"No plan {rules} is worth more than {at_most(result.gap_money, currency)} above this one (verified)"
        first += "; a complete search found no better one." if result.searched else "."
    share, about = over_today(result.captured), about_today(result.figures.today)
    rest = [f"It {share}."] if share else []
    return " ".join([first, *rest, *([f"{about[0].upper()}{about[1:]}."] if about else [])])


def slack_sentence(result: Result) -> str:
    """Say where the gap sits; empty where there is none, the command where that takes longer than anybody waits."""
    if result.violations or not np.isfinite(result.bound) or result.gap_money < HALF_CENT:
        return ""
    problem = result.model.problem
    if problem.n_accounts * problem.n_reps > MOST_PAIRS_LOOKED_AT:
        return "Where the slack sits: see territory-opt explain FOLDER --gap, which looks at all pairs."
    return result.split_of_gap.sentence


def cards(result: Result, pair: Comparison, odds: CompanyOdds | None) -> tuple[Card, ...]:
    """Return the headline figures."""
    policy, found = pair.model.problem.policy, pair.after.evaluation
    at_risk = short_money(found.sales_at_risk, policy.currency)
    moved = Card(
        "Accounts that move", f"{int(pair.changed.sum()):,}", f"of {len(pair.after.rep):,}; {at_risk} of sales at risk"
    )
    shown = [*(_quota_cards(result, pair, odds) if result.plan.has_quotas else []), moved]
    for metric in balanced_metrics(pair.model)[:1]:
        width = band(pair.model, metric)
        inside = None if width is None else within(pair.after.shares[metric], width)
        note = f"of a fair share; today {pair.before.spread(metric)}"
        tone: Tone = "plain" if inside is None else "good" if inside.all() else "warn"
        shown.append(Card(f"{metric.capitalize()} per rep", pair.after.spread(metric), note, tone))
    return (*shown, _gap_card(result))


def _quota_cards(result: Result, pair: Comparison, odds: CompanyOdds | None) -> list[Card]:
    policy = pair.model.problem.policy
    target, total = float(policy.quotas.target or 0.0), float(result.plan.annual.sum())
    expected = short_money(float(pair.after.evaluation.book_sales.sum()), policy.currency)
    shown = [
        Card("Company target", short_money(target, policy.currency), f"expected sales {expected}"),
        Card("Quotas", short_money(total, policy.currency), _against(total, target)),
    ]
    if odds is not None:
        low, high, wanted = percent(odds.hits.min()), percent(odds.hits.max()), policy.quotas.hit_share
        tone: Tone = "good" if odds.hits.mean() >= wanted else "warn"
        note = f"should make theirs; odds per rep {low} to {high}, wanted {percent(wanted)}"
        shown.append(Card("Reps on quota", _hits(odds), note, tone))
        shown.append(Card("Odds of the target", percent(odds.p_company_target), _range_text(odds, policy.currency)))
    return shown


def _gap_card(result: Result) -> Card:
    if result.violations:
        return Card("Hard rules broken", f"{len(result.violations):,}", "the list is below", "warn")
    if not np.isfinite(result.bound):
        return Card("Best possible", "not known", "there is no bound for this run", "warn")
    term = result.model.problem.policy.period.term
    above = at_most_short(max(result.gap_money, 0.0), result.model.problem.policy.currency)
    tone: Tone = "good" if result.gap <= GOOD_GAP else "plain"
    share = over_today(result.captured)
    note = f"{term}, verified; {share}" if share else f"{term}, verified"
    return Card("Room for a better plan", f"≤\u00a0{above}", note, tone)


def summary_table(result: Result, pair: Comparison, odds: CompanyOdds | None) -> pd.DataFrame:
    """Return figure, today and this plan as text: what a manager compares first."""
    currency, model = model_currency(pair), pair.model
    term = model.problem.policy.period.term
    today, plan = pair.before, pair.after
    lines = [("Accounts that change rep", "–", f"{int(pair.changed.sum()):,} of {len(plan.rep):,}")]
    lines.append(("Sales that change rep, last 12 months", "–", money(plan.evaluation.moved_sales, currency)))
    lines.append((f"Sales at risk through changes, {term}", "–", money(plan.evaluation.sales_at_risk, currency)))
    for metric in balanced_metrics(model):
        lines.append((f"{metric.capitalize()} per rep, of a fair share", today.spread(metric), plan.spread(metric)))
        width = band(model, metric)
        if width is not None:
            label = f"Reps within ± {percent(width)} of {metric}"
            lines.append((label, _within_text(today, metric, width), _within_text(plan, metric, width)))
    lines.append(("Travel, km per year", f"{today.evaluation.travel_km:,.0f}", f"{plan.evaluation.travel_km:,.0f}"))
    lines.append(
        _money_line(
            f"Expected sales, {term}", today.evaluation.book_sales.sum(), plan.evaluation.book_sales.sum(), currency
        )
    )
    if result.plan.has_quotas:
        lines.append(("Company target", "–", money(float(model.problem.policy.quotas.target or 0.0), currency)))
        lines.append(_money_line("Quotas in total", today.quotas.sum(), plan.quotas.sum(), currency))
        if odds is not None:
            lines.append(("Reps who should make their quota", "–", _hits(odds)))
            lines.append(("Odds that the company reaches its target", "–", percent(odds.p_company_target)))
    lines.append(
        _money_line(f"Worth of the plan by its rules, {term}", today.evaluation.objective, result.objective, currency)
    )
    if np.isfinite(result.bound):
        lines.append(("Best any plan could be worth (verified)", "–", money(result.bound, currency)))
    if result.captured >= 0.0:
        share = percent(min(result.captured, 1.0), DIGITS, down=True)
        lines.append(("At least captured of what can be gained over today", "–", share))
    return pd.DataFrame(lines, columns=["figure", "today", "plan"])


def parts_table(pair: Comparison) -> pd.DataFrame:
    """Return what the plan's worth is made of, today against the plan, in money per year; the total last."""
    today, plan = pair.before.evaluation, pair.after.evaluation
    keys = list(dict.fromkeys([*plan.parts, *today.parts]))
    rows = [(part_name(key), today.parts.get(key, 0.0), plan.parts.get(key, 0.0)) for key in keys]
    rows.append(("Worth by the rules", today.objective, plan.objective))
    frame = pd.DataFrame(rows, columns=["part", "today", "plan"])
    frame["difference"] = frame["plan"] - frame["today"]
    return frame


def part_name(key: str) -> str:
    """Return the planner's name of one part of the worth."""
    if key in PART_NAMES:
        return PART_NAMES[key]
    rule, _, metric = key.partition(": ")
    return f"Outside the band of {metric}" if rule == "balance" else f"Price of the rule: {key}"


def model_currency(pair: Comparison) -> str:
    """Return the currency of the plan."""
    return pair.model.problem.policy.currency


def within(share: FloatArray, width: float) -> npt.NDArray[np.bool_]:
    """Whether each known share lies within 1 +- width (but for less than a table shows)."""
    return np.abs(share[np.isfinite(share)] - 1.0) <= width + BAND_TOLERANCE


def _moves_sentence(pair: Comparison) -> str:
    found, currency, metric = pair.after.evaluation, model_currency(pair), balanced_metrics(pair.model)[0]
    sold, risk = short_money(found.moved_sales, currency), short_money(found.sales_at_risk, currency)
    verb = "moves" if pair.changed.sum() == 1 else "move"
    moved = f"{int(pair.changed.sum()):,} of {plural(len(pair.after.rep), 'account')}"
    first = f"{moved} {verb} ({sold} of sales, {risk} at risk)."
    orphans = int((pair.before.rep < 0).sum())
    if orphans:
        first += f" {plural(orphans, 'account')} had no rep."
    return (
        f"{first} {metric.capitalize()} per rep goes from {pair.before.spread(metric)} of a fair share "
        f"to {pair.after.spread(metric)}."
    )


def _quota_sentence(pair: Comparison, odds: CompanyOdds | None) -> str:
    currency, target = model_currency(pair), float(pair.model.problem.policy.quotas.target or 0.0)
    total, expected = float(pair.after.quotas.sum()), float(pair.after.evaluation.book_sales.sum())
    text = (
        f"Quotas total {short_money(total, currency)} for a target of {short_money(target, currency)}, "
        f"with sales of {short_money(expected, currency)} expected"
    )
    if odds is None:
        return f"{text}."
    company = f"odds of the company target: {percent(odds.p_company_target)}"
    return f"{text}; {_hits(odds)} reps should make theirs; {company}."


def _against(total: float, target: float) -> str:
    share = total / max(target, TINY) - 1
    if abs(share) < SHOWN_SHARE:
        return "equal to the target"
    return f"{percent(abs(share), 1)} {'above' if share > 0 else 'below'} the target"


def _hits(odds: CompanyOdds) -> str:
    return f"{odds.expected_hits:.0f} of {len(odds.hits):,}"


def _range_text(odds: CompanyOdds, currency: str) -> str:
    return f"eight years in ten bring {short_money(odds.p10, currency)} to {short_money(odds.p90, currency)}"


def _within_text(side: Side, metric: str, width: float) -> str:
    inside = within(side.shares[metric], width)
    return f"{int(inside.sum()):,} of {len(inside):,}"


def _money_line(label: str, today: float, plan: float, currency: str) -> tuple[str, str, str]:
    return label, money(float(today), currency), money(float(plan), currency)
