"""Plans side by side: what moves, who has what, what each is worth; today is a plan like any other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import ComparisonError, GivenError
from territory_opt.model.model import Model
from territory_opt.paths import resolved
from territory_opt.plan.audit import Violation
from territory_opt.plan.certificate import certify_figures
from territory_opt.plan.explain_account import at_kappa_of
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import PlanFolder
from territory_opt.plan.plan import Plan
from territory_opt.plan.tables import balanced_metrics, money_unit
from territory_opt.problem.options import place, texts
from territory_opt.problem.policy import Policy
from territory_opt.problem.units import PROBABILITY, money_of, suffix, with_units
from territory_opt.study.side import Side, TextArray
from territory_opt.whatif.given import Place, ProblemLike, as_problem
from territory_opt.whatif.saved import SavedPlan, holds_plan, load_plan
from territory_opt.words import MOST_NAMED, aligned, at_most_short, listed, near_money, percent, plain, short_money

BoolArray = npt.NDArray[np.bool_]

TODAY = "today"
"""Stands for the incumbents and last quotas."""


ACCEPTED = f'give a result, a loaded plan, the path of a plan folder, or "{TODAY}"'


class Planned(Protocol):
    """What a solve gives: a plan, the model it was made for, and what is known of it."""

    @property
    def model(self) -> Model:
        """Pairs, rows and shares."""

    @property
    def figures(self) -> Figures:
        """What the plan comes to."""

    @property
    def bound(self) -> float:
        """What no plan that keeps the rules can exceed, money."""

    @property
    def violations(self) -> Sequence[Violation]:
        """Hard rules that the plan breaks."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two plans or more of the same accounts and reps, each judged by the rules it was made for.

    What changes, changes against the first plan. ``sides`` are the plans in the order given, each with its ``name``,
    ``figures`` and ``bound``.
    """

    sides: tuple[Side, ...]

    @property
    def before(self) -> Side:
        """The first plan."""
        return self.sides[0]

    @property
    def after(self) -> Side:
        """The last plan."""
        return self.sides[-1]

    @property
    def model(self) -> Model:
        """The model of the last plan."""
        return self.after.model

    @property
    def changed(self) -> BoolArray:
        """Whether an account goes from one rep to another between the first and the last plan, (n_accounts,)."""
        first, last = self.before.rep, self.after.rep
        return np.asarray((first >= 0) & (last >= 0) & (first != last))

    @property
    def rep_names(self) -> TextArray:
        """Display name of each rep, (n_reps,)."""
        return self.model.problem.reps["name"].to_numpy(object)

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """One row for each account that another rep has than in the first plan, plan by plan.

        Columns plan, account_id, name, from and to (rep ids, empty for nobody), from_name and to_name; potential and
        current_sales in money (``potential_usd_per_year``).
        """
        return pd.concat([self._moves(side) for side in self.sides[1:]], ignore_index=True)

    @cached_property
    def reps(self) -> pd.DataFrame:
        """One row for each rep in each plan.

        Columns plan, rep_id, name, accounts, gained and lost (accounts, against the first plan), what the rep
        has of each balanced metric (``potential_of_fair_share``), expected_sales and quota in money
        (``quota_usd_per_year``) and hit_probability; NaN where unknown.
        """
        return pd.concat([self._books(side) for side in self.sides], ignore_index=True)

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Return the headline figures of each plan by name, as plain values: money, counts and shares; None: unknown.

        ``moved_accounts``, ``moved_sales`` and ``sales_at_risk`` count against today's incumbents, ``left_to_gain`` is
        what any plan that keeps the rules could be worth above this one at most; today is not held against the rules of
        quotas.
        """
        return {side.name: plain(_figures(side)) for side in self.sides}

    def to_frame(self) -> pd.DataFrame:
        """Return :meth:`summary` as a table: one row per figure, one column per plan; NaN where unknown.

        ``attrs["units"]`` has the unit of each row.
        """
        table = pd.DataFrame({side.name: _figures(side) for side in self.sides}).rename_axis("figure")
        return with_units(table, {figure: _unit_of(str(figure), self.model.problem.policy) for figure in table.index})

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know to compare: where plans were made for other rules or other data."""
        problems = [side.model.problem for side in self.sides]
        notes = []
        if any(problem.policy != problems[0].policy for problem in problems[1:]):
            notes.append("The plans were made under different rules; worth and what is left are by each plan's own.")
        tables = [(problem.accounts, problem.reps) for problem in problems if problem is not problems[0]]
        if not all(one.equals(problems[0].accounts) and other.equals(problems[0].reps) for one, other in tables):
            notes.append("The plans were made from different tables; figures are by each plan's own.")
        return tuple(notes)

    def __repr__(self) -> str:
        rows = [("", *(side.name for side in self.sides)), *_lines(self.sides)]
        return "\n".join([*aligned(rows), *self.notes])

    def _repr_html_(self) -> str:
        heads, rows = [side.name for side in self.sides], _lines(self.sides)
        table = pd.DataFrame([row[1:] for row in rows], columns=heads, index=[row[0] for row in rows])
        return str(table.to_html()) + "".join(f"<p>{note}</p>" for note in self.notes)

    def _moves(self, side: Side) -> pd.DataFrame:
        first, table = self.before, side.model.problem.accounts
        currency = suffix(side.model.problem.policy.currency)
        at = np.flatnonzero((first.rep != side.rep) | (first.given != side.given))
        return pd.DataFrame(
            {
                "plan": side.name,
                "account_id": table["account_id"].to_numpy(object)[at],
                "name": table["name"].to_numpy(object)[at],
                "from": first.given[at],
                "from_name": first.owners[at],
                "to": side.given[at],
                "to_name": side.owners[at],
                f"potential_{currency}_per_year": table["potential"].to_numpy(float)[at],
                f"current_sales_{currency}_last_12_months": side.model.source.current_sales[at],
            }
        )

    def _books(self, side: Side) -> pd.DataFrame:
        reps, first, n = side.model.problem.reps, self.before.rep, side.model.problem.n_reps
        other = first != side.rep
        known = reps["rep_id"].isin(side.plan.annual.index).to_numpy(bool)
        frame = pd.DataFrame(
            {
                "plan": side.name,
                "rep_id": reps["rep_id"].to_numpy(object),
                "name": reps["name"].to_numpy(object),
                "accounts": side.counts(),
                "gained": np.bincount(side.rep[other & (side.rep >= 0)], minlength=n),
                "lost": np.bincount(first[other & (first >= 0)], minlength=n),
            }
        )
        for metric in balanced_metrics(side.model):
            frame[f"{metric}_of_fair_share"] = side.shares[metric]
        unit = money_unit(side.model)
        frame[f"expected_sales_{unit}"] = side.evaluation.rep_sales
        frame[f"quota_{unit}"] = np.where(known, side.quotas, np.nan)
        frame["hit_probability"] = np.nan if side.odds is None else side.odds.hits.to_numpy(float)
        return frame


def compare(
    *given: Planned | PlanFolder | Place, names: Sequence[str] | None = None, problem: ProblemLike | None = None
) -> Comparison:
    """Compare two plans or more of the same accounts and reps.

    Each is a result, a loaded plan or the path of its folder, or the word "today": incumbents and last quotas, judged
    by the rules of the first other plan. A plan folder read without its data is judged by those of the first result, or
    of ``problem``. ``names`` head the columns. Raise :class:`ComparisonError` for anything else, and for plans of other
    accounts or reps. Cost: a pass or two over each plan.

    >>> import territory_opt as to
    >>> result = to.solve(to.load_scenario("scenarios/toy").problem(), time_limit=10)
    >>> found = to.compare("today", result)
    >>> found.accounts[["account_id", "from_name", "to_name"]]
      account_id from_name to_name
    0        A10       Ada     Dan
    """
    plans = [_folder_at(plan) for plan in given]
    if len(plans) < 2:
        raise ComparisonError('one plan cannot be compared with itself; give two, or "today" and one')
    called, base = _called(plans, names), _base(plans, problem)
    named = [(name, plan) for name, plan in zip(called, plans, strict=True) if not isinstance(plan, str)]
    made = {name: _side(name, plan, base) for name, plan in named}
    lead = next(iter(made.values()), None)
    today = Figures(base, Plan.today(base)) if lead is None else lead.figures.today
    bound = np.nan if lead is None else lead.bound
    sides = [made.get(name) or Side.today(name, today, bound=bound) for name in called]
    return Comparison(tuple(sides))


def _folder_at(given: Planned | PlanFolder | Place) -> Planned | PlanFolder | str:
    """Load the plan folder at a path; everything else, and the word for today, as it is."""
    if not isinstance(given, str | os.PathLike):
        return given
    if given == TODAY:
        return TODAY
    if not holds_plan(place(given, "plans", ACCEPTED.removeprefix("give "))):
        raise ComparisonError(f'"{given}" is no plan; {ACCEPTED}')
    return load_plan(Path(given))


def _base(plans: Sequence[Planned | PlanFolder | str], problem: ProblemLike | None) -> Model:
    """The model that says which accounts and reps there are: of the first plan that brings one, or of ``problem``."""
    for plan in plans:
        if not isinstance(plan, str | PlanFolder) and not (hasattr(plan, "model") and hasattr(plan, "plan")):
            raise GivenError.of(plan, "plans", ACCEPTED.removeprefix("give "))
    models = [plan.model for plan in plans if not isinstance(plan, str | PlanFolder)]
    if models:
        return models[0]
    if problem is None:
        raise ComparisonError("none of these carries its data; name the problem they are plans for: problem=...")
    return Model.build(as_problem(problem))


def _called(plans: Sequence[Planned | PlanFolder | str], names: Sequence[str] | None) -> list[str]:
    """Names of the plans: as given, else today, the name of the folder, or the number."""
    if names is None:
        names = [_own_name(plan) or f"plan {number}" for number, plan in enumerate(plans, start=1)]
        if len(set(names)) < len(names):
            names = [f"{name} ({number})" for number, name in enumerate(names, start=1)]
    names = texts("names", names, '"today"')
    if len(names) != len(plans) or len(set(names)) < len(names):
        raise ComparisonError(f"there are {len(plans)} plans; give as many different names, not {names}")
    return names


def _own_name(plan: Planned | PlanFolder | str) -> str:
    """The word for it, or the name of the folder it was read from; empty where there is none."""
    if isinstance(plan, str):
        return plan
    folder = plan if isinstance(plan, PlanFolder) else plan.folder if isinstance(plan, SavedPlan) else None
    return "" if folder is None else resolved(folder.path).name


def _side(name: str, given: Planned | PlanFolder, base: Model) -> Side:
    """A result by its own model, or a plan folder by ``base``, as a side."""
    if not isinstance(given, PlanFolder):
        _require_same(name, base, given.model)
        bound = given.bound
        if isinstance(given, SavedPlan):  # what a folder states is a claim
            bound = certify_figures(given.figures, given.certificate).bound
        return Side.of(name, given.figures, bound=bound, violations=given.violations)
    _require_ids(name, "account", base.source.account_index, given.plan.assignment.index)
    _require_ids(name, "rep", base.source.rep_index, given.plan.annual.index.union(base.source.rep_index))
    figures = Figures(at_kappa_of(base, given.plan), given.plan)
    return Side.of(name, figures, bound=certify_figures(figures, given.certificate).bound)


def _require_same(name: str, base: Model, other: Model) -> None:
    """Raise unless both models have the same accounts and reps, in the same order."""
    for what, here, there in (
        ("account", base.source.account_index, other.source.account_index),
        ("rep", base.source.rep_index, other.source.rep_index),
    ):
        _require_ids(name, what, here, there)
        if not here.equals(there):
            problem = f"{name} has the same {what}s in another order"
            raise ComparisonError(f"{problem}; make both plans from tables in the same order")


def _require_ids(name: str, what: str, here: pd.Index[Any], there: pd.Index[Any]) -> None:
    ids = here.symmetric_difference(there)
    if len(ids):
        shown = listed([str(key) for key in ids[:MOST_NAMED]], most=MOST_NAMED, count=len(ids))
        problem = f"{name} is no plan for the same {what}s: only one side has {shown}"
        raise ComparisonError(f"{problem}; compare plans of the same accounts and reps")


def _figures(side: Side) -> dict[str, float]:
    """The headline figures of one plan; NaN where unknown."""
    found, odds, has = side.evaluation, side.odds, side.plan.has_quotas
    figures = {
        "moved_accounts": found.moved_accounts,
        "moved_sales": found.moved_sales,
        "sales_at_risk": found.sales_at_risk,
    }
    for metric in balanced_metrics(side.model):
        figures[f"{metric}_low"], figures[f"{metric}_high"] = side.range_of(metric)
    return figures | {
        "hard_rules_broken": side.broken,
        "objective": found.objective,
        "bound": side.bound,
        "left_to_gain": side.left_to_gain,
        "expected_sales": float(found.book_sales.sum()),
        "quotas": float(side.quotas.sum()) if has else np.nan,
        "expected_hits": np.nan if odds is None or not has else odds.expected_hits,
        "p_target": np.nan if odds is None else odds.p_company_target,
    }


def _unit_of(figure: str, policy: Policy) -> str:
    """The unit of a headline figure."""
    counts = {"moved_accounts": "accounts", "hard_rules_broken": "rules", "expected_hits": "reps"}
    if figure in counts:
        return counts[figure]
    if figure.endswith(("_low", "_high")):
        return "of a fair share"
    given = {"p_target": PROBABILITY, "moved_sales": f"{policy.currency} last 12 months"}
    return given.get(figure, money_of(policy))


def _lines(sides: Sequence[Side]) -> list[tuple[str, ...]]:
    """What a planner compares first, in words: label, then one cell per plan."""
    currency, shown = sides[-1].model.problem.policy.currency, [_figures(side) for side in sides]

    def told(label: str, cells: Sequence[str]) -> tuple[str, ...]:
        return label, *cells

    def amounts(label: str, key: str) -> tuple[str, ...]:
        return told(label, [near_money(f[key], currency) if np.isfinite(f[key]) else "–" for f in shown])

    moves = [f"{f['moved_accounts']:,.0f}" if f["moved_accounts"] else "–" for f in shown]
    risk = [short_money(f["sales_at_risk"], currency) if f["moved_accounts"] else "–" for f in shown]
    lines = [told("accounts that move", moves), told("sales at risk", risk)]
    for metric in dict.fromkeys(metric for side in sides for metric in balanced_metrics(side.model)):
        lines.append(told(f"{metric} per rep", [s.spread(metric) if metric in s.shares else "–" for s in sides]))
    if any(side.odds is not None for side in sides):
        lines.append(amounts("quotas in total", "quotas"))
        lines.append(told("odds of the target", [percent(f["p_target"]) for f in shown]))
    if any(side.broken for side in sides):
        lines.append(told("hard rules broken", [f"{side.broken:,}" if side.broken else "–" for side in sides]))
    lines.append(amounts("worth by the rules", "objective"))
    left = [at_most_short(f["left_to_gain"], currency) if np.isfinite(f["left_to_gain"]) else "–" for f in shown]
    return [*lines, told("at most left to gain", left)]
