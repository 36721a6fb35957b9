"""What fair quotas of the plan are in proportion to, where the policy names a method other than the estimate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import DataError, Issue
from territory_opt.estimate import looks
from territory_opt.estimate.backtest import backtest
from territory_opt.estimate.history import History
from territory_opt.estimate.methods import ESTIMATE, ESTIMATED, METHODS, Basis, Past
from territory_opt.problem.calendar import month_numbers
from territory_opt.problem.numbers import MONTHS_PER_YEAR
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]

AUTO = "auto"


def methods_by_segment(problem: Problem) -> tuple[dict[str, str], str]:
    """The method of each segment of the accounts table, and all in words.

    ``auto`` stands for the best in a back-test on this problem, for the estimate if that can look back only once.
    Raise :class:`DataError` for a segment that no account has, or a method that needs sales where there are none.
    """
    quotas, segments = problem.policy.quotas, list(dict.fromkeys(problem.accounts["segment"]))
    unknown = [name for name in quotas.methods if name not in segments]
    if unknown:
        what, fix = "no account is of this segment", f"segments are: {', '.join(segments[: looks.SETTINGS.named])}"
        raise DataError([Issue("error", "policy", 0, "quotas.methods", name, what, fix) for name in unknown])
    chosen, said = {segment: str(quotas.methods.get(segment, quotas.method)) for segment in segments}, ""
    if AUTO in chosen.values():
        best = _best(problem)
        chosen = {segment: best or ESTIMATE if method == AUTO else method for segment, method in chosen.items()}
        said = "; best in a back-test" if best else "; the history is too short for a back-test to choose"
    if len(set(chosen.values())) == 1:
        return chosen, f"{next(iter(chosen.values()))}{said}"
    return chosen, ", ".join(f"{method} for {segment}" for segment, method in chosen.items()) + said


def _best(problem: Problem) -> str | None:
    """The best method in a back-test; None where the history is too short for two looks."""
    dates = month_numbers(problem.past_sales["month"])
    n_months = int(np.ptp(dates)) + 1 if len(dates) else 0
    if 0 < n_months <= looks.SETTINGS.least_history:
        return None
    # As many months as the plan has, where the history allows: what is best for a quarter need not be for a year.
    found = backtest(problem, months=looks.hidden(n_months, problem.policy.period.months))
    return found.best if found.n_looks >= looks.SETTINGS.fewest_looks else None


def quota_basis(problem: Problem, parts: FloatArray, lead: int) -> Basis | None:
    """Return what fair quotas follow; None where that is expected sales for every account (or no quotas are set).

    ``parts`` (n_accounts, 2): what own history and potential contribute to expected sales of the plan year, which
    begins ``lead`` months after the history ends.
    """
    quotas = problem.policy.quotas
    if quotas.target is None or (quotas.method == ESTIMATE and not quotas.methods):
        return None
    chosen, words = methods_by_segment(problem)
    if set(chosen.values()) == {ESTIMATE}:
        return None
    history, names = _history(problem), problem.accounts["segment"]
    lines: dict[str, FloatArray] = {}
    equal = 0.0
    for method in dict.fromkeys(chosen.values()):
        inside = names.map(chosen).to_numpy(object) == method
        part = replace(
            history, sales=history.sales[inside], potential=history.potential[inside], segment=history.segment[inside]
        )
        everyone = np.zeros(int(inside.sum()), dtype=np.int64)
        past = Past(part, everyone, np.ones(1, dtype=bool), lead=lead, horizon=problem.policy.period.months)
        if method == ESTIMATE:
            basis = Basis(dict(zip(ESTIMATED, parts[inside].T, strict=True)))
        else:
            basis = METHODS[method](past)
        for label, amounts in basis.lines.items():
            whole = lines.setdefault(label, np.zeros(len(names)))
            whole[inside] += amounts
        equal += basis.equal
    return Basis(lines, equal, words)


def _history(problem: Problem) -> History:
    """The history; last year's figure spread evenly over its months where there is no sales table."""
    if len(problem.sales):
        return History.of(problem)
    current = problem.accounts["current_sales"].to_numpy(float)
    if not current.any():
        what = "there is neither a sales table nor current_sales to follow"
        fix = "give one of them, or set quotas.method: estimate"
        raise DataError([Issue("error", "policy", 0, "quotas.method", str(problem.policy.quotas.method), what, fix)])
    segment, names = pd.factorize(problem.accounts["segment"])
    months = np.repeat(current[:, None] / MONTHS_PER_YEAR, MONTHS_PER_YEAR, axis=1)
    start = pd.Period(ordinal=problem.calendar.first_month - MONTHS_PER_YEAR, freq="M")
    potential = problem.accounts["potential"].to_numpy(float)
    return History(months, start, potential, segment.astype(np.int64), tuple(str(name) for name in names))
