"""Before any solve: can target, hedge, share of reps to hit and spread hold together, and do the quota rules?

At fair shares a rep with expected sales M owes M x T (1 + h) / E. The rep makes it with probability p when that is at
most M (1 - c z), z = PhiInv(p), so that

    T / E  <=  (1 - c z) / (1 + h)

with target T, compound hedge h, expected sales E and spread c = sqrt(V) / M + common shock: the square root is the odds
row without its tangent, the sum is above the true spread sqrt(V + (shock M)^2) / M, so a plan that passes is safe.
A rep with a wider spread than the median rep (a smaller book) needs more; the odds row of the model looks at each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from territory_opt.model.hierarchy import Hierarchy
from territory_opt.model.model import Model
from territory_opt.model.presence import typical_credit
from territory_opt.model.rows import Kind, Row
from territory_opt.plan.odds import company_shock, range_80
from territory_opt.problem.numbers import HALF_CENT, ROUNDING
from territory_opt.quota.settings import ConsistencySettings
from territory_opt.words import money, named, near_money, percent, plural

FloatArray = npt.NDArray[np.float64]

SETTINGS = ConsistencySettings()
_money, _percent = partial(near_money, digits=1), partial(percent, digits=1, trim=True)


@dataclass(frozen=True, slots=True)
class Consistency:
    """What can be said of target and quota rules before any plan is known.

    ``target`` is None where the policy sets none; ``hedge``, ``hit_share`` and ``spread`` are shares; ``expected`` is
    the sales of all accounts, ``credited`` the part of them that comes while reps are there (at fair shares),
    ``expected_low`` to ``expected_high`` the 80 % range of ``expected``, ``largest_target`` the largest
    target that hedge, share and spread leave room for: money per year. ``gives`` says for each of the four what it
    would have to become alone; ``contradictions`` lists quota rules that no quotas can meet together; ``flags`` what
    can hold but should not be. All are empty where nothing is wrong. ``holds``: whether target, hedge, share and spread
    can be had together; ``sentence`` says it in words.
    """

    target: float | None
    hedge: float
    hit_share: float
    spread: float
    expected: float
    credited: float
    expected_low: float
    expected_high: float
    largest_target: float
    holds: bool
    sentence: str
    gives: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Consistency({self.sentence})"

    def __str__(self) -> str:
        return "\n".join([self.sentence, *self.gives, *self.contradictions, *self.flags])


def check_consistency(model: Model) -> Consistency:
    """Hold the target against expected sales and the hard quota rules against each other. Cost: linear in reps."""
    quotas, currency = model.problem.policy.quotas, model.problem.policy.currency
    expected, hedge, spread = float(model.estimate.expected.sum()), _hedge(model), _spread(model)
    credited = expected * float(_parts_of_the_year(model).sum())
    four = _Four(quotas.target, hedge, quotas.hit_share, spread, credited, currency)
    low, high = range_80(np.array([expected]), model.estimate.variance.sum(keepdims=True), company_shock(model))
    contradictions = () if quotas.target is None else tuple(_contradictions(model))
    return Consistency(
        target=quotas.target,
        hedge=hedge,
        hit_share=quotas.hit_share,
        spread=spread,
        expected=expected,
        credited=credited,
        expected_low=float(low[0]),
        expected_high=float(high[0]),
        largest_target=four.largest_target,
        holds=four.hold and not contradictions,
        sentence=four.sentence(contradictions),
        gives=() if four.hold else four.gives(),
        contradictions=contradictions,
        flags=() if quotas.target is None else tuple(_flags(model, four, expected)),
    )


@dataclass(frozen=True, slots=True)
class _Four:
    """Target, hedge, share of reps to hit and spread against the expected sales that count for reps."""

    target: float | None
    hedge: float
    hit_share: float
    spread: float
    expected: float
    currency: str

    @property
    def safe_sales(self) -> float:
        """Sales that the asked share of reps reaches, E (1 - c z); not below 0."""
        return max(self.expected * (1.0 - self.spread * max(float(norm.ppf(self.hit_share)), 0.0)), 0.0)

    @property
    def largest_target(self) -> float:
        """Largest target that can hold, money per year."""
        return self.safe_sales / (1.0 + self.hedge)

    @property
    def hold(self) -> bool:
        """Whether the four can hold together."""
        return self.target is None or self.target <= self.largest_target + ROUNDING * self.target

    def sentence(self, contradictions: tuple[str, ...]) -> str:
        """One line: the four, and whether they can hold."""
        expected = _money(self.expected, self.currency)
        if self.target is None:
            return f"no target is set; {expected} of sales are expected"
        given = (
            f"target {_money(self.target, self.currency)}, hedge {_percent(self.hedge)}, "
            f"{_percent(self.hit_share)} of reps to hit, spread {_percent(self.spread)}"
        )
        if not self.hold:
            most = _money(self.largest_target, self.currency, down=True)
            return f"{given}: cannot hold: the expected {expected} carry a target of at most {most}"
        return f"{given}: cannot hold: {contradictions[0]}" if contradictions else f"{given}: can hold"

    def gives(self) -> tuple[str, ...]:
        """What each of the four would have to become if it alone gave way."""
        return (self._target_gives(), self._hedge_gives(), self._share_gives(), self._spread_gives())

    def _target_gives(self) -> str:
        if self.largest_target <= 0:
            return "target: even the smallest target is too much for these expected sales and this spread"
        return f"target at most {_money(self.largest_target, self.currency, down=True)}"

    def _hedge_gives(self) -> str:
        most = self.safe_sales / self._wanted - 1.0
        return "hedge: even no hedge is not enough" if most < 0 else f"hedge at most {_percent(most, down=True)}"

    def _share_gives(self) -> str:
        room = self._room
        if self.spread <= 0 or not math.isfinite(room):
            return "share of reps: even a small share is too much, because expected sales are below target and hedge"
        return f"share of reps at most {_percent(float(norm.cdf(room / self.spread)), down=True)}"

    def _spread_gives(self) -> str:
        room, z = self._room, float(norm.ppf(self.hit_share))
        if room < 0 or z <= 0:
            return "spread: even no spread is not enough, because expected sales are below target and hedge"
        return f"spread at most {_percent(room / z, down=True)}"

    @property
    def _wanted(self) -> float:
        return float(self.target or 0.0)

    @property
    def _room(self) -> float:
        """Share of expected sales above target and hedge: 1 - T (1 + h) / E."""
        return 1.0 - self._wanted * (1.0 + self.hedge) / self.expected if self.expected > 0 else -math.inf


def _hedge(model: Model) -> float:
    """Compound hedge at fair shares: quotas together come to target x (1 + hedge)."""
    compound = np.array([model.hierarchy.compound(j) for j in range(model.problem.n_reps)])
    share = _parts_of_the_year(model)
    share = share / share.sum() if share.sum() > 0 else model.share
    return float(1.0 / (share / compound).sum() - 1.0)


def _piled_hedges(model: Model) -> Iterator[str]:
    """Say where hedges compound to more than the policy allows, once for every way up to the company."""
    tree, most = model.hierarchy, model.problem.policy.quotas.most_hedge
    for node in np.unique(tree.rep_node):
        path = tree.path(int(node))
        compound = float(np.prod(1.0 + tree.hedge[path])) - 1.0
        if compound <= most + ROUNDING:
            continue
        layers = ", ".join(f"{tree.names[k]} {_percent(float(tree.hedge[k]))}" for k in path if tree.hedge[k] > 0)
        reps = len(tree.reps_of(int(node)))
        yield (
            f"hedges compound to {_percent(compound)} for {plural(reps, 'rep')} ({layers}), "
            f"above quotas.most_hedge of {_percent(most)}: lower one of them, or few reps will make it"
        )


def _targets_beyond_accounts(model: Model, four: _Four) -> Iterator[str]:
    """Name nodes whose target is beyond what the accounts of their reps support, by more than the company's is.

    Support is the largest target that the same odds and hedges leave room for with the expected sales of the accounts
    that the node's reps have today, and of an equal part of those that nobody has.
    """
    tree, currency, expected = model.hierarchy, model.problem.policy.currency, model.estimate.expected
    owned = model.source.incumbent >= 0
    own = np.bincount(model.source.incumbent[owned], expected[owned], minlength=model.problem.n_reps)
    per_rep = own + float(expected[~owned].sum()) * model.share
    per_rep *= typical_credit(model.problem, model.estimate)
    supported = four.largest_target / four.expected if four.expected > 0 else 0.0
    if not owned.any() or supported <= 0:
        return
    beyond = SETTINGS.uneven_target * max(1.0, float(four.target or 0.0) / four.largest_target)
    for node in np.flatnonzero(~np.isnan(tree.target)).tolist():
        support = supported * float(per_rep[tree.members(node)].sum())
        if node and float(tree.target[node]) > beyond * support:
            yield (
                f"the target of {tree.names[node]} is {_money(float(tree.target[node]), currency)}, and the accounts "
                f"its reps have today support {_money(support, currency, down=True)}: lower it, or see that accounts "
                "can move there"
            )


def _flags(model: Model, four: _Four, expected: float) -> Iterator[str]:
    """What can hold but should be looked at."""
    yield from _piled_hedges(model)
    yield from _away(expected, min(four.expected, _credited_today(model)), four.currency)
    yield from _targets_beyond_accounts(model, four)


def _away(expected: float, credited: float, currency: str) -> Iterator[str]:
    """Name what falls into months in which reps are not there, if it is worth a word."""
    if expected - credited > SETTINGS.least_away * expected:
        yield (
            f"{_money(expected - credited, currency)} of the expected {_money(expected, currency)} may come while "
            "reps are not there or new: they count for no rep, so that the others owe more of the target"
        )


def _credited_today(model: Model) -> float:
    """Expected sales that count for the reps who have the accounts today; of accounts without a rep at fair shares."""
    expected, source = model.estimate.expected, model.source
    owned = np.flatnonzero(source.incumbent >= 0)
    credit = 1.0 if source.credited is None else source.credited.of_pairs(owned, source.incumbent[owned])
    own = (credit * expected[owned]).sum()
    return float(own) + float(expected[source.incumbent < 0].sum()) * float(_parts_of_the_year(model).sum())


def _parts_of_the_year(model: Model) -> FloatArray:
    """Fair share of each rep in all expected sales, (n_reps,), as far as they come while the rep is there."""
    return np.asarray(model.share * typical_credit(model.problem, model.estimate))


def _spread(model: Model) -> float:
    """Spread of the median rep at a fair share of sales and variance, plus the common shock; 0 without sales."""
    share = _parts_of_the_year(model)
    share = share[share > 0]
    expected, variance = float(model.estimate.expected.sum()), float(model.estimate.variance.sum())
    if expected <= 0 or not len(share):
        return 0.0
    return float(np.median(np.sqrt(share * variance) / (share * expected))) + model.estimate.shocks.together


# --- quota rules against each other ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Limits:
    """Tightest floor and cap of each rep's quota from hard rules, (n_reps,), and the rules that set them."""

    floor: FloatArray
    cap: FloatArray
    floor_rule: list[str]
    cap_rule: list[str]


def _contradictions(model: Model) -> list[str]:
    """Sentences for hard quota rules that cannot hold together, whatever the territories."""
    limits = _limits(model)
    currency = model.problem.policy.currency
    names, ids = (model.problem.reps[column].to_numpy(object) for column in ("name", "rep_id"))
    found = []
    for j in np.flatnonzero(limits.floor > limits.cap + HALF_CENT).tolist():
        least, most = (money(float(amounts[j]), currency) for amounts in (limits.floor, limits.cap))
        found.append(
            f"{named(names[j], ids[j])}: the {limits.floor_rule[j]} asks for at least {least} "
            f"and the {limits.cap_rule[j]} allows at most {most}"
        )
    sums = [row for row in model.rows.items if row.kind is Kind.ROLL_UP]
    found += [sentence for row in sums if (sentence := _sum_problem(model, row, limits))]
    return found + list(_target_problems(model))


def _target_problems(model: Model) -> Iterator[str]:
    """Say where targets of nodes cannot add up to that of the node above and its hedge."""
    tree, currency, step = model.hierarchy, model.problem.policy.currency, model.problem.policy.quotas.step
    for node in np.flatnonzero(~np.isnan(tree.target)).tolist():
        below, total, complete = _named_below(tree, node)
        if not below:
            continue
        hedged = float(tree.target[node] * (1.0 + tree.hedge[node]))
        if total > hedged + step or (complete and total < hedged - step):
            names = ", ".join(tree.names[child] for child in below)
            off = f"{money(abs(total - hedged), currency)} {'above' if total > hedged else 'below'}"
            where = "the company" if node == 0 else tree.names[node]
            yield (
                f"the targets of {names} come to {money(total, currency)}, {off} what the target of "
                f"{where} and its hedge ask for"
            )


def _named_below(tree: Hierarchy, node: int) -> tuple[list[int], float, bool]:
    """The nearest nodes below with a target, what they ask for at ``node``, and whether nobody else is below."""
    nodes: list[int] = []
    total, complete = 0.0, not len(tree.reps_of(node))
    for child in tree.children(node):
        if not np.isnan(tree.target[child]):
            nodes.append(child)
            total += float(tree.target[child])
            continue
        lower, asked, whole = _named_below(tree, child)
        nodes += lower
        total, complete = total + asked / (1.0 + float(tree.hedge[child])), complete and whole
    return nodes, total, complete


def _limits(model: Model) -> _Limits:
    """Collect floors and caps from the hard rows on one rep's quota alone (guards, limits, OTE ratio)."""
    n = model.problem.n_reps
    limits = _Limits(np.zeros(n), np.full(n, np.inf), ["floor"] * n, ["cap"] * n)
    for row in model.rows.items:
        if not row.hard or row.totals or len(row.quotas) != 1 or row.kind is Kind.ROLL_UP:
            continue
        ((rep, coefficient),) = row.quotas.items()
        if row.low / coefficient > limits.floor[rep]:
            limits.floor[rep], limits.floor_rule[rep] = row.low / coefficient, row.rule
        if row.high / coefficient < limits.cap[rep]:
            limits.cap[rep], limits.cap_rule[rep] = row.high / coefficient, row.rule
    return limits


def _sum_problem(model: Model, row: Row, limits: _Limits) -> str:
    """Say if caps cannot reach, or floors overshoot, what quotas under one node have to add up to."""
    members = np.array(list(row.quotas))
    weight = np.array(list(row.quotas.values()))
    for side, amounts, rules in (("caps", limits.cap, limits.cap_rule), ("floors", limits.floor, limits.floor_rule)):
        total = float(weight @ amounts[members])
        short = row.low - total if side == "caps" else total - row.high
        if not math.isfinite(total) or short <= ROUNDING * row.scale:
            continue
        # The row adds quotas freed of their hedges; the same comparison with the hedges on, at their average here.
        added = float(amounts[members].sum())
        needed = added * (row.low if side == "caps" else row.high) / total
        currency = model.problem.policy.currency
        names = ", ".join(sorted({rules[j] for j in members} - {"cap", "floor"}))
        where = "the company" if row.subject == model.hierarchy.names[0] else row.subject
        size = "below" if side == "caps" else "above"
        return (
            f"the quota {side} ({names}) of the {len(members)} reps of {where} add up to "
            f"{money(added, currency)}, {money(abs(needed - added), currency)} {size} "
            f"the {money(needed, currency)} that target and hedge ask for"
        )
    return ""
