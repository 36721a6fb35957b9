"""The plan year so far: who is on pace, how likely each rep is to finish, and a leaderboard that is fair.

What is due by a month is the quota's part by the season of the rep's accounts, days there and ramp. What the rest of
the year may bring, and how good the year so far was, is worked out in :mod:`territory_opt.quota.outlook`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import Issue, ScenarioError
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.odds import company_shock
from territory_opt.plan.plan import month_weights, season_weights
from territory_opt.problem.calendar import month_numbers, month_text, read_month
from territory_opt.problem.numbers import ROUNDING
from territory_opt.problem.units import PROBABILITY, SHARE, money_of, units_in_names, with_units
from territory_opt.quota.outlook import Book, Outlook, look_ahead
from territory_opt.quota.settings import TrackingSettings
from territory_opt.words import aligned, named, plain_rows

FloatArray = npt.NDArray[np.float64]

SETTINGS = TrackingSettings()
STEMS = {"p_finish": "finish", "low": "low_80", "high": "high_80"}
"""Columns that have another name where the unit stands in it."""
LEFT = (1, 8)
"""Columns of words, which are aligned to the left."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where everyone stands after ``months`` months of the plan year; money, shares and probabilities.

    ``company`` holds the figures of :attr:`reps` once, without units in their names: quota (its target), due, sold (all
    sales there were), pace, p_finish, outlook, low, high, needed, adjusted.
    ``as_of`` is the last month that counts ("2027-05"). Money is in ``currency``.
    ``uncovered`` of them came while the account's rep was not there: they count for no rep. ``issues``: what was left
    out of the tables, and why.
    """

    as_of: str
    months: int
    _table: pd.DataFrame = field(repr=False)
    company: dict[str, float]
    uncovered: float
    currency: str
    issues: tuple[Issue, ...] = field(default=(), repr=False)

    @property
    def reps(self) -> pd.DataFrame:
        """One row per rep, best first on the leaderboard.

        Columns rank, rep_id, name; quota, due (of the quota by now), sold, outlook (sales of the year as now expected)
        and low_80 and high_80 (its range), in money; finish_probability; pace_share (sold / due), needed_share (what
        the rest of the year has to bring, of what was expected of it), adjusted_share (difficulty-adjusted attainment:
        sales against what was expected of these accounts, shrunk); status (ahead, on pace, behind), and the columns of
        the metrics table.
        """
        return units_in_names(self._table, STEMS)

    def __repr__(self) -> str:
        return f"Tracking(after {self.as_of}: {self._counts()})"

    def _counts(self) -> str:
        count = self._table["status"].value_counts()
        return ", ".join(f"{count.get(name, 0)} {name}" for name in ("ahead", "on pace", "behind"))

    def __str__(self) -> str:
        whole = self.company
        lines = [
            f"after {self.as_of} (month {self.months} of the plan year): {self._counts()}",
            f"company: {whole['sold']:,.0f} sold of {whole['due']:,.0f} due; outlook {whole['outlook']:,.0f} "
            f"({whole['low']:,.0f} to {whole['high']:,.0f} eight years in ten) against a target of "
            f"{whole['quota']:,.0f}; odds of reaching it {whole['p_finish']:.0%}",
        ]
        if self.uncovered >= 0.5:
            lines.append(
                f"of it {self.uncovered:,.0f} came while the account's rep was not there and count for no rep; name "
                "who covered in the column rep_id of the sales"
            )
        beside = list(self._table.columns)[list(self._table.columns).index("status") + 1 :]
        rows: list[tuple[str, ...]] = [("", "rep", "quota", "due", "sold", "pace", "odds", "adjusted", "", *beside)]
        for row in self._table.to_dict("records"):
            who = named(row["name"], row["rep_id"])
            money = [f"{row[name]:,.0f}" for name in ("quota", "due", "sold")]
            shares = [f"{row[name]:.0%}" for name in ("pace", "p_finish", "adjusted")]
            more = ["" if pd.isna(row[name]) else _figure(row[name]) for name in beside]
            rows.append((f"{row['rank']}.", who, *money, *shares, str(row["status"]), *more))
        return "\n".join([*lines, *(f"  {line}" for line in aligned(rows, left=LEFT))])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "as_of": self.as_of,
            "months": self.months,
            "company": self.company,
            "uncovered": self.uncovered,
            "reps": plain_rows(self._table.to_dict("records")),
        }


def _figure(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def track(
    figures: Figures, sales: pd.DataFrame, *, as_of: str | None = None, metrics: pd.DataFrame | None = None
) -> Tracking:
    """Hold ``sales`` of the plan year (see :func:`check_actuals`) against the quotas of ``plan``.

    ``as_of`` is the last whole month, "2027-05", by default the latest in ``sales``; later rows are left out. Sales
    count for the rep they name, else for the rep of the account: of a month by the days that the rep is there.
    ``metrics`` has a column rep_id; its other columns (win rate, cycle, deal size ...) are shown beside. Raise
    :class:`ScenarioError` for a month outside the plan year or if the plan sets no quotas.
    """
    model, plan = figures.model, figures.plan
    if not plan.has_quotas:
        raise ScenarioError("the plan sets no quotas; set quotas.target and solve again")
    last, months = _as_of(model, sales, as_of)
    sales = sales[month_numbers(sales["month"]) <= last]
    found, uncovered = _reps(figures, sales, months)
    reps = pd.DataFrame(found)
    reps.insert(0, "rank", reps["adjusted"].rank(ascending=False, method="min").astype(int))
    units = _units(model)
    if metrics is not None:
        known = set(reps) | set(units_in_names(with_units(reps, units), STEMS))
        taken = {name: f"{name} (metrics)" for name in metrics.columns if name in known and name != "rep_id"}
        reps = reps.merge(metrics.rename(columns=taken), on="rep_id", how="left", validate="one_to_one")
    return Tracking(
        month_text(last),
        months,
        with_units(reps.sort_values(["rank", "rep_id"], kind="stable").reset_index(drop=True), units),
        _whole(figures, float(sales["sales"].sum()), months),
        uncovered,
        model.problem.policy.currency,
    )


def _reps(figures: Figures, sales: pd.DataFrame, months: int) -> tuple[dict[str, Any], float]:
    """Columns of the reps' table after ``months``, and sales that count for no rep."""
    (book, due), (sold, uncovered) = _books(figures, months), _sold(figures, sales)
    shocks, reps = figures.model.estimate.shocks, figures.model.problem.reps
    ahead = look_ahead(book, sold, shocks.company, math.hypot(shocks.region, shocks.segment))
    names = {column: reps[column].to_numpy(object) for column in ("rep_id", "name")}
    return names | {"quota": figures.quotas} | _standing(book, due, sold, figures.quotas, ahead), uncovered


def _whole(figures: Figures, sold: float, months: int) -> dict[str, float]:
    """The same figures of the company, which has ``sold`` so much, against its target."""
    target = float(figures.model.problem.policy.quotas.target or 0.0)
    (book, due), total = _company(figures, months), np.array([sold])
    ahead = look_ahead(book, total, company_shock(figures.model), 0.0)
    found = _standing(book, due, total, np.array([target]), ahead)
    return {"quota": target} | {name: float(values[0]) for name, values in found.items() if name != "status"}


def _units(model: Model) -> dict[str, str]:
    """Units of the columns of the table."""
    currency, year = model.problem.policy.currency, money_of(model.problem.policy)
    money = {"quota": year, "due": currency, "sold": currency, "outlook": year, "low": year, "high": year}
    return {**money, "p_finish": PROBABILITY, "pace": SHARE, "needed": SHARE, "adjusted": SHARE}


def _as_of(model: Model, sales: pd.DataFrame, as_of: str | None) -> tuple[int, int]:
    """Number of the last month that counts, ``as_of`` or the latest in ``sales``, and months of the plan until then."""
    latest, first = int(month_numbers(sales["month"]).max()), model.problem.calendar.first_month
    last = latest if as_of is None else read_month(as_of).ordinal
    months = last - first + 1
    if not 1 <= months <= model.problem.policy.period.months:
        text = f"{month_text(last)} lies outside the plan year, which starts with {month_text(first)}"
        raise ScenarioError(text)
    if last > latest:
        ends = month_text(latest)
        raise ScenarioError(f"sales end with {ends}: give those of {month_text(last)} too, or track as of {ends}")
    return last, months


def _books(figures: Figures, months: int) -> tuple[Book, FloatArray]:
    """What is expected of each rep, and the part of each quota that is due, (n_reps,)."""
    model, plan = figures.model, figures.plan
    pairs, n = figures.pairs, model.problem.n_reps
    rep, account = pairs["rep"].to_numpy(int), pairs["account"].to_numpy(int)
    mean, variance, doubt = (
        np.bincount(rep, amounts, minlength=n).astype(float)
        for amounts in (pairs["credited"], pairs["variance"], model.estimate.doubt[account] * pairs["credit"])
    )
    past = _part(month_weights(model, plan.assignment), months)
    return Book(mean, np.maximum(variance - doubt, 0.0), doubt, past, model.estimate.season_doubt), past


def _company(figures: Figures, months: int) -> tuple[Book, FloatArray]:
    """The company as one book: others cover while a rep is away, and quotas do not fall due."""
    model, plan = figures.model, figures.plan
    found, quotas = figures.evaluation, figures.quotas
    mean, variance = found.book_sales, float(found.book_variance.sum())
    doubt = float(model.estimate.doubt[figures.rep >= 0].sum())
    season = season_weights(model, plan.assignment) * model.problem.calendar.covered
    parts = [_part(weights, months) for weights in (season, month_weights(model, plan.assignment))]
    past, due = (
        float(part @ weight) / float(weight.sum()) if weight.sum() > 0 else float(part.mean())
        for part, weight in zip(parts, (mean, quotas), strict=True)
    )
    alone = (float(mean.sum()), max(variance - doubt, 0.0), doubt, past)
    total, noise, unsure, gone = (np.array([x]) for x in alone)
    return Book(total, noise, unsure, gone, model.estimate.season_doubt), np.array([due])


def _standing(book: Book, due: FloatArray, sold: FloatArray, quotas: FloatArray, ahead: Outlook) -> dict[str, Any]:
    """Figures of everyone, (n,) each, after ``sold``, of ``quotas`` of which the part ``due`` is due."""
    rest, missing, owed = book.mean * (1.0 - book.past), quotas - sold, quotas * due
    finish, (low, high) = ahead.chance(missing), ahead.bounds()
    return {
        "due": owed,
        "sold": sold,
        "pace": np.divide(sold, owed, out=np.ones_like(sold), where=owed > 0),
        "p_finish": finish,
        "outlook": sold + ahead.left,
        "low": sold + low,
        "high": sold + high,
        "needed": np.divide(np.maximum(missing, 0.0), rest, out=np.zeros_like(sold), where=rest > ROUNDING * book.mean),
        "adjusted": ahead.adjusted,
        "status": np.where(finish < SETTINGS.behind, "behind", np.where(finish >= SETTINGS.ahead, "ahead", "on pace")),
    }


def _part(weights: FloatArray, months: int) -> FloatArray:
    """Part of each rep's year, (n,), that lies in the first ``months``; by calendar where a year has no weight."""
    year = weights.sum(axis=1)
    even = np.full(len(year), months / weights.shape[1])
    return np.asarray(np.divide(weights[:, :months].sum(axis=1), year, out=even, where=year > 0))


def _sold(figures: Figures, sales: pd.DataFrame) -> tuple[FloatArray, float]:
    """Sales so far by rep, (n_reps,): of the seller where the row names one of the reps, else of the account's rep.

    The latter is credited with a month's sales by the days there; second, what came while that rep was away.
    """
    model = figures.model
    account = pd.Index(model.problem.accounts["account_id"]).get_indexer(pd.Index(sales["account_id"]))
    seller = model.source.rep_index.get_indexer(pd.Index(sales["rep_id"]))
    rep = np.where(seller >= 0, seller, figures.rep[account])
    amount, known = sales["sales"].to_numpy(float), rep >= 0
    calendar = model.problem.calendar
    month = np.clip(month_numbers(sales["month"]) - calendar.first_month, 0, calendar.there.shape[1] - 1)
    there = calendar.there[np.maximum(rep, 0), month]
    counts = np.where(seller >= 0, amount, amount * there)
    sold = np.bincount(rep[known], counts[known], minlength=model.problem.n_reps).astype(float)
    return sold, float((amount - counts)[known].sum())
