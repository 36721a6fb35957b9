"""Which way of expecting sales would have been best on the user's own past: hide months, forecast them, compare.

Each look back stands at the end of some month, hands every method what was known then, and holds its figures per rep
against what the reps went on to sell. With past quotas those stand in the table as one more method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from territory_opt.errors import DataError, Issue
from territory_opt.estimate import looks as looking
from territory_opt.estimate.history import History
from territory_opt.estimate.looks import UNKNOWN, Stage
from territory_opt.estimate.methods import ESTIMATE, METHODS, Method, Past
from territory_opt.estimate.shocks import SharedErrors, Shocks
from territory_opt.problem.numbers import MONTHS_PER_YEAR, RANGE_80, ROUNDING, TINY
from territory_opt.problem.options import seed_of, whole
from territory_opt.problem.problem import Problem
from territory_opt.problem.units import PROBABILITY, SHARE, with_units
from territory_opt.words import aligned, plain_rows

FloatArray = npt.NDArray[np.float64]

AS_SET, AS_ATTAINED = "quotas as they were", "quotas as they were x attainment"
"""Rows with the quotas of the quota_history table, and with these times the part that was sold of those before: what
whoever set them knew, without the padding. No methods, since next year's are not there yet."""
GIVEN = (AS_SET, AS_ATTAINED)
AMOUNTS = ("forecast", "spread", "sales", "book")
"""Columns of looks that are money of the hidden months."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a method did over all looks.

    ``rep_error``: summed distance of rep totals over summed sales; ``share_error``: half the summed distance of the
    reps' shares of the company; ``bias``: summed forecast over summed sales, less 1; ``hits``: share of
    reps who sold at least the figure; ``unfairness``: mean size of the
    rank correlation between attainment (sales over forecast) and the size of the rep's book; ``coverage``: share of
    rep totals inside their 80 % interval (NaN where the method gives none); ``by_chance``: probability that the best
    method's smaller error came by chance (sign-flip test over reps, NaN for the best itself).
    """

    method: str
    rep_error: float
    share_error: float
    bias: float
    hits: float
    unfairness: float
    coverage: float
    by_chance: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """Scores of each method, best first by ``rep_error``, and ``looks``: one row per look, method and rep.

    ``scores`` hold what :meth:`table` has as columns. Columns of ``looks``: first_month (text), method, rep_id;
    forecast, spread (NaN: the method gives none), sales and book (sales of the rep's accounts a year earlier) in money.
    ``horizon`` months were hidden at each of ``n_looks`` looks. ``shocks``: what many reps shared of the errors.
    ``warnings`` says what makes the scores doubtful.
    """

    scores: tuple[Score, ...]
    looks: pd.DataFrame = field(repr=False)
    horizon: int
    n_looks: int
    shocks: Shocks
    warnings: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """The method with the smallest error of rep totals; past quotas are no method."""
        return next(score.method for score in self.scores if score.method not in GIVEN)

    def table(self) -> pd.DataFrame:
        """One row per method, best first; errors as shares, ``by_chance`` a probability (see ``attrs["units"]``)."""
        table = pd.DataFrame([asdict(score) for score in self.scores])
        units = dict.fromkeys(table.columns.difference(["method"], sort=False), SHARE)
        return with_units(table, {**units, "unfairness": "rank correlation", "by_chance": PROBABILITY})

    def __repr__(self) -> str:
        return f"Backtest({self.n_looks} looks over {self.horizon} months · best: {self.best})"

    def __str__(self) -> str:
        heads = (
            "method",
            "error of rep totals",
            "of shares",
            "bias",
            "reps hit",
            "unfair",
            "in 80 % range",
            "by chance",
        )
        rows = [heads, *(_cells(score) for score in self.scores)]
        return "\n".join(aligned(rows))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "best": self.best,
            "horizon_months": self.horizon,
            "looks": self.n_looks,
            "shocks": asdict(self.shocks),
            "scores": plain_rows(self.table().to_dict("records")),
            "warnings": list(self.warnings),
        }


def backtest(
    problem: Problem,
    *,
    months: int | None = None,
    looks: int | None = None,
    methods: Mapping[str, Method] = METHODS,
    seed: int = 0,
) -> Backtest:
    """Hide ``months`` of the past, forecast them from what was known before, and compare with what came.

    ``months``: by default one period of the past quotas if there are any, else up to a year. ``looks``: how many times,
    by default every past quota period, else up to eight. Raise :class:`DataError` if the history is too short or if a
    method's figures depend on the hidden months.
    """
    for name, given in (("months", months), ("looks", looks)):
        if given is not None:
            whole(name, given, least=1)
    seed_of(seed)
    if not len(problem.sales):
        raise _refused(problem, "there is no sales table to look back on", "name one under tables.sales")
    history = History.of(problem)
    stage = Stage.of(problem, history, months, looks)
    if not stage.cutoffs:
        fix = f"give {stage.horizon + looking.SETTINGS.least_history} months or more, or hide fewer months"
        problem_is = f"{history.n_months} months of sales are too few to hide {stage.horizon} of them"
        raise _refused(problem, problem_is, fix)
    looked, done = [], _Done(problem, stage)
    for at in stage.cutoffs:
        past = stage.past(at)
        looked.append(_look(stage, at, past, methods, done.shock(at, past), done.attainment(at)))
        done.add(at, past, history.sales[:, at : at + stage.horizon].sum(axis=1))
    money = f"{problem.policy.currency} in {stage.horizon} months"
    frame = with_units(pd.concat(looked, ignore_index=True), dict.fromkeys(AMOUNTS, money))
    peeking = _peeking(stage, methods, seed)
    if peeking:
        fix = "let it use nothing but the past it is handed"
        raise _refused(problem, f"the figures of {', '.join(peeking)} depend on months that were hidden", fix)
    warnings = (*foresight(history, stage.cutoffs[-1], stage.horizon), *_hindsight(stage))
    shocks = done.shared(history.n_months).shocks(stage.independent(history.n_months))
    return Backtest(tuple(_scores(frame, seed)), frame, stage.horizon, len(stage.cutoffs), shocks, warnings)


class _Done:
    """Looks so far. A look knows the errors of those whose hidden months had passed by then, and of no others."""

    def __init__(self, problem: Problem, stage: Stage) -> None:
        self.problem, self.stage = problem, stage
        odds = problem.policy.quotas.odds
        self.auto = odds is not None and odds.common_shock == "auto"
        self.looks: list[tuple[int, Past, FloatArray]] = []

    def add(self, at: int, past: Past, came: FloatArray) -> None:
        """Take in the look after ``at`` months and what each account went on to sell, (n_accounts,)."""
        self.looks.append((at, past, came))

    def shared(self, at: int) -> SharedErrors:
        """Errors that are known after ``at`` months."""
        shared = SharedErrors(self.problem)
        for looked, past, came in self.looks:
            if looked + self.stage.horizon <= at:
                shared.add(past, came)
        return shared

    def attainment(self, at: int) -> float:
        """What was sold of the quotas of looks that had ended after ``at`` months; 1 where there are none."""
        ended = [
            (looked, past)
            for looked, past, _ in self.looks
            if looked in self.stage.quotas and looked + self.stage.horizon <= at
        ]
        asked = sum(float(np.nansum(self.stage.quotas[looked])) for looked, _ in ended)
        sold = sum(float(self.stage.came(looked, past)[past.active].sum()) for looked, past in ended)
        return sold / asked if asked > 0 else 1.0

    def shock(self, at: int, past: Past) -> float:
        """The shock that ranges after ``at`` months count with, given what was known: the policy's, or estimated."""
        known = self.stage.independent(at)
        if not (self.auto and known):
            return math.hypot(self.stage.shock, past.forecast.level_doubt)
        return self.shared(at).shocks(known).together


def _look(
    stage: Stage, at: int, past: Past, methods: Mapping[str, Method], shock: float, attainment: float
) -> pd.DataFrame:
    """Rows of one look: every method, and the quotas as they were set, against what the reps sold."""
    sales = stage.came(at, past)
    book = past.by_rep(past.base)
    figures = {name: (past.totals(method(past)), np.full(len(sales), np.nan)) for name, method in methods.items()}
    if ESTIMATE in figures:
        total = figures[ESTIMATE][0]
        variance = past.by_rep(past.forecast.variance) + (shock * total) ** 2
        figures[ESTIMATE] = (total, np.sqrt(variance))
    if at in stage.quotas:
        none = np.full(len(sales), np.nan)
        figures |= {AS_SET: (stage.quotas[at], none), AS_ATTAINED: (stage.quotas[at] * attainment, none)}
    frames = [
        pd.DataFrame(
            {
                "first_month": stage.label(at),
                "method": name,
                "rep_id": stage.rep_ids,
                "forecast": total,
                "spread": spread,
                "sales": sales,
                "book": book,
            }
        )[past.active]
        for name, (total, spread) in figures.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _peeking(stage: Stage, methods: Mapping[str, Method], seed: int) -> list[str]:
    """Methods whose figures change when the hidden months of the last look do."""
    at, generator = stage.cutoffs[-1], np.random.default_rng(seed)
    other = stage.with_hidden(at, generator)
    found = []
    for name, method in methods.items():
        pasts = (looked.past(at) for looked in (stage, other))
        told, changed = (past.totals(method(past)) for past in pasts)
        if not np.array_equal(told, changed):
            found.append(name)
    return found


def _scores(looks: pd.DataFrame, seed: int) -> list[Score]:
    """Scores of all methods, best first."""
    by_rep = {str(name): rows for name, rows in looks.groupby("method", sort=False)}
    missed = {
        name: rows.assign(missed=(rows["forecast"] - rows["sales"]).abs()).groupby("rep_id")["missed"].sum()
        for name, rows in by_rep.items()
    }
    order = sorted(by_rep, key=lambda name: float(missed[name].sum()))
    best = next((name for name in order if name not in GIVEN), order[0])
    generator = np.random.default_rng(seed)
    return [
        _score(name, by_rep[name], np.nan if name == best else _by_chance(missed[name] - missed[best], generator))
        for name in order
    ]


def _score(name: str, rows: pd.DataFrame, by_chance: float) -> Score:
    forecast, sales = rows["forecast"].to_numpy(float), rows["sales"].to_numpy(float)
    total = max(float(np.abs(sales).sum()), TINY)
    off, unfair = [], []
    for _, look in rows.groupby("first_month"):
        told, came = look["forecast"].to_numpy(float), look["sales"].to_numpy(float)
        if told.sum() > 0 and came.sum() > 0:
            off.append(0.5 * float(np.abs(told / told.sum() - came / came.sum()).sum()))
        unfair.append(_rank_correlation(look))
    spread = rows["spread"].to_numpy(float)
    inside = np.abs(sales - forecast) <= RANGE_80 * spread
    return Score(
        method=name,
        rep_error=float(np.abs(forecast - sales).sum()) / total,
        share_error=float(np.mean(off)) if off else np.nan,
        bias=float(forecast.sum() / total - 1.0),
        hits=float((sales >= forecast).mean()),
        unfairness=float(np.nanmean(np.abs(unfair))) if np.isfinite(unfair).any() else np.nan,
        coverage=float(inside[np.isfinite(spread)].mean()) if np.isfinite(spread).any() else np.nan,
        by_chance=by_chance,
    )


def _rank_correlation(look: pd.DataFrame) -> float:
    """Spearman's correlation of attainment and book; NaN below four reps or where all are alike."""
    look = look[(look["forecast"] > 0) & (look["book"] > 0)]
    if len(look) < looking.SETTINGS.fewest_reps:
        return np.nan
    attainment, book = (rankdata(x) for x in (look["sales"] / look["forecast"], look["book"]))
    if np.ptp(attainment) == 0 or np.ptp(book) == 0:
        return np.nan
    return float(np.corrcoef(attainment, book)[0, 1])


def _by_chance(more: pd.Series[float], generator: np.random.Generator) -> float:
    """Probability of at least so large a summed difference if each rep's sign were a coin."""
    difference = more.to_numpy(float)
    signs = generator.choice([-1.0, 1.0], (looking.SETTINGS.permutations, len(difference)))
    return float((1 + (signs @ difference >= difference.sum() - ROUNDING).sum()) / (looking.SETTINGS.permutations + 1))


def foresight(history: History, at: int, horizon: int) -> list[str]:
    """Say if potential knows the hidden months: then it was filled in afterwards and makes methods look too good."""
    earlier = at - horizon
    if earlier < looking.SETTINGS.least_history:
        return []
    now, before = _told(history, at, horizon), _told(history, earlier, horizon)
    if not (now > looking.SETTINGS.foresight and now > before + looking.SETTINGS.foresight_more):
        return []
    return [
        f"accounts.potential tells the hidden months beyond what the history does (partial rank correlation {now:.2f}, "
        f"{before:.2f} for the months before): was it filled in afterwards? Methods that use it look too good"
    ]


def _hindsight(stage: Stage) -> list[str]:
    """Say if accounts that nobody sold to yet, and that may not have been known, brought much of the hidden sales."""
    sales, shares = stage.history.sales, []
    for at in stage.cutoffs:
        new = (sales[:, :at] == 0).all(axis=1) & (stage.since == UNKNOWN)
        came = sales[:, at : at + stage.horizon].sum(axis=1)
        shares.append(float(came[new].sum()) / max(float(np.maximum(came, 0.0).sum()), TINY))
    if max(shares) < looking.SETTINGS.new_accounts:
        return []
    return [
        f"accounts that first bought in the hidden months brought up to {max(shares):.0%} of their sales (middle look "
        f"{np.median(shares):.0%}); they, their potential and their reps count as known before. Where they were "
        "not, methods look too good: name in accounts.since when each came onto the list"
    ]


def _told(history: History, at: int, horizon: int) -> float:
    """Partial rank correlation of potential and the sales of ``horizon`` months from ``at``, given those before."""
    came = history.sales[:, at : at + horizon].sum(axis=1)
    before = history.sales[:, max(at - MONTHS_PER_YEAR, 0) : at].sum(axis=1)
    told, given, future = (rankdata(x) for x in (history.potential, before, came))
    design = np.column_stack([np.ones_like(given), given])
    rest = [x - design @ np.linalg.lstsq(design, x, rcond=None)[0] for x in (told, future)]
    size = float(np.linalg.norm(rest[0]) * np.linalg.norm(rest[1]))
    return float(rest[0] @ rest[1]) / size if size > ROUNDING else 0.0


def _refused(problem: Problem, what: str, fix: str) -> DataError:
    file = str(problem.sales.attrs.get("file", "sales"))
    return DataError([Issue("error", file, 0, "", "", what, fix)])


def _cells(score: Score) -> tuple[str, ...]:
    shares = asdict(score)
    del shares["method"]
    forms = ("{:.1%}", "{:.1%}", "{:+.1%}", "{:.0%}", "{:.2f}", "{:.0%}", "{:.3f}")
    return (
        score.method,
        *("" if np.isnan(x) else form.format(x) for form, x in zip(forms, shares.values(), strict=True)),
    )
