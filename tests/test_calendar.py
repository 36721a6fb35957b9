"""Dates are read once: the months of a plan and when each rep is there are numbers from then on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import territory_opt as to
from territory_opt.errors import ScenarioError
from territory_opt.plan.figures import Figures
from territory_opt.problem.calendar import first_month, month_numbers, month_text, read_month
from territory_opt.quota.review import review
from territory_opt.synthetic.market import generate_market

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
DATES = ("to_datetime", "Timestamp", "Period", "PeriodIndex", "DateOffset")


def counted(patch: pytest.MonkeyPatch) -> Counter[str]:
    """Count every date that is parsed or built from now on."""
    calls: Counter[str] = Counter()

    def counting(name: str) -> Any:
        made = getattr(pd, name)

        def count(*args: Any, **given: Any) -> Any:
            calls[name] += 1
            return made(*args, **given)

        return count

    for name in DATES:
        patch.setattr(pd, name, counting(name))
    return calls


def dated(**dates: str) -> to.Problem:
    """A company of three reps, of whom the first has these dates."""
    tables = generate_market(30, 3, seed=1, months=30)
    reps = tables["reps"].assign(**{name: [date, "", ""] for name, date in dates.items()})
    policy = to.Policy.model_validate({"quotas": {"target": 1e6, "ramp": ["50 %"], "odds": {"common_shock": "auto"}}})
    return to.Problem.from_tables(**{**tables, "reps": reps}, policy=policy)


def test_a_solve_of_the_toy_parses_no_date(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = to.load_scenario(TOY).problem()
    calls = counted(monkeypatch)
    assert to.solve(problem).has_plan
    assert not calls


def test_a_solve_and_review_with_history_and_absences_handle_few_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = dated(start_date="2027-02-10", leave_start="2027-05-01", leave_end="2027-06-15")
    calls = counted(monkeypatch)
    result = to.solve(problem)
    review(Figures(result.model, result.plan), draws=100)
    assert calls.total() <= 10, calls


def test_the_calendar_is_worked_out_once() -> None:
    problem = dated(start_date="2027-02-10")
    assert problem.calendar is problem.calendar
    assert to.Model.build(problem).problem.calendar is problem.calendar


def test_parts_of_the_year_are_days() -> None:
    """From 10 February, away from 1 May to 15 June, last day 30 November: counted by hand."""
    dates = {"start_date": "2027-02-10", "end_date": "2027-11-30", "leave_start": "2027-05-01"}
    calendar = dated(**dates, leave_end="2027-06-15").calendar
    days = [0, 19, 31, 30, 0, 15, 31, 31, 30, 31, 30, 0]
    lengths = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    np.testing.assert_allclose(calendar.there[0], np.array(days) / lengths)
    assert (calendar.there[1:] == 1.0).all()
    assert calendar.part_there(12)[0] == sum(days) / 365
    assert calendar.part_there(3, after=4)[0] == pytest.approx((0 + 15 + 31) / (31 + 30 + 31))
    assert calendar.ramp[0].tolist() == [0.5, 0.5, *[1.0] * 10]  # before the start the first step stands
    assert calendar.years_before[0] == 0.0
    assert np.isnan(calendar.years_before[1:]).all()


def test_months_are_numbers_and_back() -> None:
    dates = pd.Series(pd.to_datetime(["2027-01-31", None, "1969-12-01"]))
    assert month_numbers(dates).tolist() == [684, np.iinfo(np.int64).min, -1]
    assert [month_text(684), month_text(-1)] == ["2027-01", "1969-12"]
    assert first_month(to.Policy()) == 684
    assert read_month(" 2027-01 ").ordinal == 684
    with pytest.raises(ScenarioError, match=r'^"Jan" is not a month; write it like 2027-06$'):
        read_month("Jan")
