"""Why an account is with its rep: the plan's choice against the best alternatives, in money lines that add up.

A pair is worth its own money (sales from fit, transfer loss, travel) plus what it adds to the rules, each quantity at
the shadow price that the plan's multipliers give it at that rep: the reduced value of Lagrangian duality (Geoffrion
1974; see plan/certificate.py). The advantage of one rep over another is the difference, line by line. A single account
can stand with a rep who is not the best for it: accounts are whole, rules hold for whole books, and a plan has a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import DataError, Issue
from territory_opt.intake.checks import Names
from territory_opt.model.model import Model
from territory_opt.model.pairs import Facts
from territory_opt.model.rows import Row
from territory_opt.plan.plan import Plan
from territory_opt.words import named, plain

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ALTERNATIVES = 3
"""Reps the choice is compared with; a choice of looks."""
STRONG, MOST_STRONG = 0.1, 2
"""A line that is this share of the advantage is an argument; so many of them are said. A choice of looks."""


@dataclass(frozen=True, slots=True)
class MoneyLines:
    """Labelled money in whole cents; the lines add up to ``total_cents`` exactly.

    Every running subtotal is rounded to cents and a line is the difference of two of them, so no line absorbs the
    rounding of the others and each is within one cent of its own amount.
    """

    labels: tuple[str, ...]
    cents: tuple[int, ...]

    @classmethod
    def from_amounts(cls, lines: Mapping[str, float]) -> MoneyLines:
        """Make lines from amounts per label, in order."""
        return cls.from_subtotals(tuple(lines), np.cumsum(list(lines.values())).tolist())

    @classmethod
    def from_subtotals(cls, labels: Sequence[str], subtotals: Sequence[float]) -> MoneyLines:
        """Make lines from the running sum after each line."""
        rounded = [0, *(round(amount * 100) for amount in subtotals)]
        return cls(tuple(labels), tuple(after - before for before, after in pairwise(rounded)))

    @property
    def total_cents(self) -> int:
        """Sum of the lines in cents."""
        return sum(self.cents)

    def frame(self) -> pd.DataFrame:
        """Return columns line and amount (money)."""
        return pd.DataFrame({"line": list(self.labels), "amount": [cents / 100 for cents in self.cents]})

    def text(self, total: str) -> str:
        """Return aligned text, one line each, with the sum labelled ``total`` below."""
        rows = [*zip(self.labels, self.cents, strict=True), (total, self.total_cents)]
        amounts = [f"{cents / 100:,.2f}" for _, cents in rows]
        wide, right = max(len(label) for label, _ in rows), max(len(amount) for amount in amounts)
        text = [f"  {label:<{wide}}  {amount:>{right}}" for (label, _), amount in zip(rows, amounts, strict=True)]
        return "\n".join([*text[:-1], "  " + "-" * (wide + right + 2), text[-1]])


@dataclass(frozen=True, slots=True)
class Alternative:
    """The chosen rep against one other who may serve the account.

    ``lines`` add up to the advantage of the chosen rep (money per year; negative: the other would be worth more).
    ``km`` is from the rep's home to the account as the crow flies (mean over a family); ``fit`` 0 to 1, NaN where the
    account names no preferred skill; ``incumbent`` tells whether the account is theirs today.
    """

    rep_id: str
    name: str
    km: float
    fit: float
    incumbent: bool
    lines: MoneyLines

    @property
    def advantage(self) -> float:
        """What the chosen rep is worth above this one, money per year."""
        return self.lines.total_cents / 100


@dataclass(frozen=True, slots=True)
class AccountExplanation:
    """Why one account (or the whole family it belongs to) is with its rep.

    ``accounts`` are the ids of all accounts of the decision, ``family`` is the name of the family, empty for one
    account alone. ``km`` is from the rep's home as the crow flies (mean over a family), ``fit`` of skills from 0 to 1
    (NaN where the account names no preferred skill). ``moved_from`` names the reps who have the accounts today, if
    others; ``excluded`` counts reps per rule that keeps them out (a rep can count under several); ``eligible`` is the
    number who may serve it. ``alternatives`` are the best other reps and today's: each with rep_id, name, km, fit,
    incumbent (whether it is today's), and lines that add up to its ``advantage``, what the chosen rep is worth above
    it, in ``currency`` and ``term`` ("per year"). ``reason`` says in words why it is this rep, ``notes`` are facts in
    words.
    """

    account_id: str
    name: str
    family: str
    accounts: tuple[str, ...]
    rep_id: str
    rep_name: str
    km: float
    fit: float
    moved_from: tuple[str, ...]
    eligible: int
    excluded: dict[str, int]
    alternatives: tuple[Alternative, ...]
    reason: str
    notes: tuple[str, ...]
    currency: str
    term: str

    def __repr__(self) -> str:
        return f"AccountExplanation({self.name} ({self.account_id}) is with {self.rep_name} ({self.rep_id}))"

    def __str__(self) -> str:
        account, rep = named(self.name, self.account_id), named(self.rep_name, self.rep_id)
        parts = [f"{account} is with {rep}: {self.reason}", *self.notes]
        for other in self.alternatives:
            parts.append(f"against {named(other.name, other.rep_id)}, {self.currency} {self.term}:")
            parts.append(other.lines.text(f"advantage of {self.rep_name}"))
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; money as numbers with two decimals, no fit as None."""
        return {
            "account_id": self.account_id,
            "name": self.name,
            "family": self.family,
            "accounts": list(self.accounts),
            "rep_id": self.rep_id,
            "rep_name": self.rep_name,
            "km": round(self.km, 1),
            "fit": plain(round(self.fit, 3)),
            "moved_from": list(self.moved_from),
            "eligible_reps": self.eligible,
            "excluded_reps": dict(self.excluded),
            "alternatives": [
                {
                    "rep_id": other.rep_id,
                    "name": other.name,
                    "km": round(other.km, 1),
                    "fit": plain(round(other.fit, 3)),
                    "incumbent": other.incumbent,
                    "lines": other.lines.frame().to_dict("records"),
                    "advantage": other.advantage,
                }
                for other in self.alternatives
            ],
            "reason": self.reason,
            "notes": list(self.notes),
            "currency": self.currency,
        }


def explain_account(
    model: Model, plan: Plan, account_id: str, multipliers: FloatArray | None = None
) -> AccountExplanation:
    """Explain why ``account_id`` is with its rep in ``plan``, against the best alternatives and the incumbent.

    ``multipliers`` (n_rows,) are the values of the plan's certificate; without them only the pair's own money is
    compared. Raise :class:`DataError` for an unknown account, or one without a rep in the plan. Cost: one account
    against all reps.
    """
    account = position_of(model, "account", account_id)
    chosen = _rep_of(model, plan, account_id)
    decision = _Decision.of(at_kappa_of(model, plan), account, multipliers)
    alternatives = tuple(decision.compare(chosen, other) for other in decision.others(chosen))
    row, reps = model.problem.accounts.iloc[account], model.problem.reps
    excluded = decision.excluded()
    moved_from = tuple(str(reps["name"].iloc[j]) for j in decision.incumbents if j != chosen)
    return AccountExplanation(
        account_id=account_id,
        name=str(row["name"]),
        family=str(row["family"]) if len(decision.members) > 1 else "",
        accounts=tuple(model.problem.accounts["account_id"].iloc[decision.members]),
        rep_id=str(reps["rep_id"].iloc[chosen]),
        rep_name=str(reps["name"].iloc[chosen]),
        km=decision.km(chosen),
        fit=decision.fit(chosen),
        moved_from=moved_from,
        eligible=int(decision.eligible.sum()),
        excluded=excluded,
        alternatives=alternatives,
        reason=_reason(decision, chosen, alternatives),
        notes=tuple(_notes(decision, chosen, moved_from, excluded, multipliers is not None)),
        currency=model.problem.policy.currency,
        term=model.problem.policy.period.term,
    )


def position_of(model: Model, what: str, wanted: str) -> int:
    """Return the position of an account or rep by id. Raise :class:`DataError` naming the nearest one."""
    index = model.source.account_index if what == "account" else model.source.rep_index
    found = int(index.get_indexer([wanted])[0])
    if found < 0:
        table = model.problem.accounts if what == "account" else model.problem.reps
        problem, fix = Names(what, index.to_numpy(object), table["name"].to_numpy(object)).unknown(wanted)
        raise DataError([Issue("error", f"{what}s", 0, f"{what}_id", wanted, problem, fix)])
    return found


def at_kappa_of(model: Model, plan: Plan) -> Model:
    """Return the model with the fair share (kappa) that the plan was made with."""
    return model.with_kappa(plan.kappa) if plan.kappa > 0 and plan.kappa != model.kappa else model


def _rep_of(model: Model, plan: Plan, account_id: str) -> int:
    rep = plan.assignment.get(account_id)
    if rep is None or pd.isna(rep):
        problem, fix = "the plan gives it no rep", "give it one, or solve again"
        raise DataError([Issue("error", "plan", 0, "account_id", account_id, problem, fix)])
    return position_of(model, "rep", str(rep))


@dataclass(frozen=True, slots=True)
class _Decision:
    """One node against all reps: money per line and what the rules say; arrays (n_reps,), families summed.

    ``account`` is the one that was asked about, ``quantities`` (K, n_reps) what the node adds to the rows at each rep,
    ``multipliers`` (n_rows,) the rows' shadow prices.
    """

    model: Model
    account: int
    members: IntArray
    facts: Facts
    eligible: npt.NDArray[np.bool_]
    money: dict[str, FloatArray]
    rules: dict[str, FloatArray]
    quantities: FloatArray
    multipliers: FloatArray | None

    @classmethod
    def of(cls, model: Model, account: int, multipliers: FloatArray | None) -> _Decision:
        """Collect what is known of the node of ``account``."""
        source = model.source
        node = int(source.nodes.of_account[account])
        members = source.nodes.members(node)
        facts, block = source.facts(members), source.block(node, node + 1)
        parts = source.value_parts(members, None, facts, source.bases(members, None, facts))
        shape = facts.distance_km.shape
        money = {label: np.broadcast_to(amounts, shape).sum(axis=0) for label, amounts in parts.items()}
        quantities = np.array([np.broadcast_to(q, block.eligible.shape)[0] for q in block.quantities])
        rules = {} if multipliers is None else _rule_values(model, quantities, multipliers)
        return cls(model, account, members, facts, block.eligible[0], money, rules, quantities, multipliers)

    @property
    def incumbents(self) -> list[int]:
        """Reps who have the accounts today, once each."""
        owner = self.model.source.incumbent[self.members]
        return [int(j) for j in dict.fromkeys(owner[owner >= 0].tolist())]

    def km(self, rep: int) -> float:
        """Distance from the rep's home, mean over the accounts."""
        return float(self.facts.distance_km[:, rep].mean())

    def fit(self, rep: int) -> float:
        """Fit, mean over the accounts that name a preferred skill; NaN if none does."""
        known = self.facts.fit[:, rep][~np.isnan(self.facts.fit[:, rep])]
        return float(known.mean()) if len(known) else float("nan")

    def name(self, rep: int) -> str:
        """Name of a rep."""
        return str(self.model.problem.reps["name"].iloc[rep])

    def others(self, chosen: int) -> list[int]:
        """Return the best eligible other reps, best first; the incumbents are always among them."""
        worth = np.sum([*self.money.values(), *self.rules.values()], axis=0)
        ranked = [int(j) for j in np.argsort(-worth, kind="stable") if self.eligible[j] and j != chosen]
        kept = [j for j in self.incumbents if j in ranked][:ALTERNATIVES]
        best = [j for j in ranked if j not in kept][: ALTERNATIVES - len(kept)]
        return [j for j in ranked if j in kept or j in best]

    def compare(self, chosen: int, other: int) -> Alternative:
        """Return the advantage of ``chosen`` over ``other``, line by line."""
        lines = {label: float(values[chosen] - values[other]) for label, values in self.money.items()}
        lost = lines.pop("transfer loss")
        label = "transfer loss avoided" if lost >= 0 else "transfer loss paid"
        lines = {"sales from fit": lines.pop("gain from fit"), label: lost, **lines}
        lines |= {
            rule: float(values[chosen] - values[other])
            for rule, values in self.rules.items()
            if values[chosen] != 0 or values[other] != 0
        }
        rep_id, name = str(self.model.problem.reps["rep_id"].iloc[other]), self.name(other)
        shown, incumbent = MoneyLines.from_amounts(lines), other in self.incumbents
        return Alternative(rep_id, name, self.km(other), self.fit(other), incumbent, shown)

    def speaking(self, rule: str, chosen: int, other: int) -> tuple[Row, bool]:
        """Return the row of ``rule`` that speaks most for ``chosen``, and whether it gives room there.

        A rule can have a row for each rep: where it is worth something at ``chosen``, the row worth most there; else
        the one that costs most at ``other``.
        """
        gives = bool(self.rules[rule][chosen] > 0)
        rep, sign = (chosen, 1.0) if gives else (other, -1.0)
        rows, size = self.model.rows, len(self.quantities)
        at = np.flatnonzero(rows.rule == rule)
        own = rows.totals[at, rep * size : (rep + 1) * size] @ self.quantities[:, rep]
        prices = np.zeros(len(at)) if self.multipliers is None else self.multipliers[at]
        return rows.items[int(at[np.argmax(sign * prices * own)])], gives

    def excluded(self) -> dict[str, int]:
        """Count the reps each rule keeps out, most first."""
        reasons = self.model.source.eligibility.drop_reasons(self.members, self.facts.distance_km)
        counts = {reason: int(mask.any(axis=0).sum()) for reason, mask in reasons}
        return {reason: count for reason, count in sorted(counts.items(), key=lambda item: -item[1]) if count}


def _rule_values(model: Model, quantities: FloatArray, multipliers: FloatArray) -> dict[str, FloatArray]:
    """Return per rule what a pair's quantities (K, n_reps) are worth at the rule's shadow prices, (n_reps,)."""
    rows = model.rows
    if multipliers.shape != (len(rows),):
        raise ValueError(f"multipliers have shape {multipliers.shape}; the model has {len(rows)} rows")
    rules = rows.rule
    values = {}
    for rule in dict.fromkeys(rules.tolist()):
        own = np.where(rules == rule, multipliers, 0.0)
        at_rep = np.asarray(rows.totals.T @ own).reshape(rows.n_reps, len(rows.quantities))
        worth = (at_rep * quantities.T).sum(axis=1)
        if worth.any():
            values[str(rule)] = worth
    return values


# --- words ------------------------------------------------------------------------------------------------------


def _reason(decision: _Decision, chosen: int, alternatives: tuple[Alternative, ...]) -> str:
    """One sentence in planner words: what speaks for the chosen rep against the best alternative."""
    name = decision.name(chosen)
    lock = _lock(decision, chosen)
    if lock:
        return f"locked to {lock}"
    if not decision.eligible[chosen]:
        return f"{name} may not serve it under these rules"
    if not alternatives:
        return f"only {name} may serve it"
    rival = alternatives[0]
    other = int(decision.model.source.rep_index.get_loc(rival.rep_id))
    lines = sorted(zip(rival.lines.labels, rival.lines.cents, strict=True), key=lambda line: -line[1])
    whole = abs(rival.lines.total_cents) or 1
    strong = [label for label, cents in lines if cents > 0 and cents >= STRONG * whole][:MOST_STRONG]
    words = "; ".join(dict.fromkeys(_argument(decision, chosen, other, label) for label in strong))
    if rival.lines.total_cents < 0:
        policy = decision.model.problem.policy
        size = f"{-rival.advantage:,.2f} {policy.currency} {policy.period.term}"
        alone = f"alone it would be worth {size} more with {rival.name}; rules on whole books, or the gap, keep it here"
        return f"{words}; {alone}" if words else alone
    return words or f"as good as with {rival.name}"


def _argument(decision: _Decision, chosen: int, other: int, label: str) -> str:
    """Say what one positive line means."""
    name, rival = decision.name(chosen), decision.name(other)
    if label == "sales from fit":
        return f"fits better than {rival}"
    if label == "transfer loss avoided":
        return f"stays with {name}, no sales at risk" if chosen in decision.incumbents else "fewer sales at risk"
    if label == "travel":
        closer = decision.km(other) - decision.km(chosen)
        return f"closer by {closer:,.0f} km than {rival}" if closer >= 1 else f"less travel than for {rival}"
    if label in decision.money:
        return f"better by {label} than {rival}"
    row, gives = decision.speaking(label, chosen, other)
    return row.argument(name, rival, gives=gives)


def _notes(
    decision: _Decision, chosen: int, moved_from: tuple[str, ...], excluded: dict[str, int], priced: bool
) -> list[str]:
    """Facts in words: family, distance and fit, who had it, who may not serve it and why."""
    notes = []
    if len(decision.members) > 1:
        family = decision.model.problem.accounts["family"].iloc[decision.members[0]]
        notes.append(f'family "{family}": {len(decision.members)} accounts decided and explained together')
    fit = decision.fit(chosen)
    notes.append(f"{decision.km(chosen):,.0f} km from home" + ("" if np.isnan(fit) else f", fit {fit:.2f}"))
    if moved_from:
        notes.append(f"moves from {', '.join(moved_from)}")
    elif chosen in decision.incumbents:
        notes.append(f"stays with {decision.name(chosen)}")
    else:
        notes.append("had no rep")
    shut = decision.model.problem.n_reps - int(decision.eligible.sum())
    if shut:
        why = "; ".join(f"{reason}: {count}" for reason, count in excluded.items())
        notes.append(f"{shut} of {decision.model.problem.n_reps} reps may not serve it ({why})")
    if not priced:
        notes.append("the prices of the rules were not given: only the pair's own money is compared")
    elif not decision.rules:
        notes.append("the plan's certificate puts no price on any rule here: only the pair's own money is compared")
    return notes


def _lock(decision: _Decision, chosen: int) -> str:
    """Return "Cleo (Contract names Cleo)" for a locked account or family, else an empty text.

    Of several locks in a family, one that names the chosen rep, of the account itself if it has one.
    """
    rules, problem = decision.model.problem.rules, decision.model.problem
    ids = problem.accounts["account_id"]
    locks = rules[(rules["rule"] == "lock") & rules["account_id"].isin(ids.iloc[decision.members])]
    if locks.empty:
        return ""
    own, here = (
        locks["account_id"] == ids.iloc[decision.account],
        locks["rep_id"] == problem.reps["rep_id"].iloc[chosen],
    )
    lock = locks.loc[(2 * here.astype(int) + own.astype(int)).idxmax()]
    name = decision.name(int(decision.model.source.rep_index.get_loc(lock["rep_id"])))
    reason = str(lock["reason"] or "")
    return f"{name} ({reason})" if reason else name
