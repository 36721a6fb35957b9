"""The decisions a planner makes, as frozen settings: what to balance, what moving costs, how quotas are set.

Defaults are round numbers to start from, where no line below them names a source; none was measured here.

One ``Policy`` holds everything that is not a table. It is the ``territories`` and ``quotas`` part of a
scenario file, and the ``policy`` argument of :meth:`Problem.from_tables`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from territory_opt.problem.limits import (
    FIRST_YEAR,
    LARGEST,
    LARGEST_SHARE,
    LAST_YEAR,
    LONGEST_CURRENCY,
    LONGEST_ID,
    MOST_A_YEAR,
    SMALLEST,
)
from territory_opt.problem.numbers import CENT, ROUNDING
from territory_opt.words import brief


def parse_share(value: Any) -> Any:
    """Read a share: ``"5 %"`` and ``0.05`` are the same. Raise ValueError on anything else."""
    if isinstance(value, str):
        match = re.fullmatch(r"([-+]?\d+(?:\.\d+)?)\s*(%?)", value.strip())
        if not match:
            raise ValueError(f'"{brief(value)}" is not a share; write it like "5 %" or 0.05')
        return float(match[1]) / (100.0 if match[2] else 1.0)
    return value


def parse_shock(value: Any) -> Any:
    """Read a share of 0 or more, or ``auto``. Raise ValueError on anything else."""
    if value == "auto":
        return value
    share = value if isinstance(value, bool) else parse_share(value)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= LARGEST_SHARE:
        raise ValueError(f'"{brief(value)}" is neither a share, like "5 %" or 0.05, nor auto')
    return float(share)


_SHARE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[-+]?\d+(\.\d+)?\s*%?\s*$"}],
    "description": 'a share: "5 %" or 0.05',
}
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    Field(ge=0, le=LARGEST_SHARE, allow_inf_nan=False),
    WithJsonSchema(_SHARE_SCHEMA),
]
Part = Annotated[
    float,
    BeforeValidator(parse_share),
    Field(ge=0, le=1, allow_inf_nan=False),
    WithJsonSchema(_SHARE_SCHEMA),
]
Money = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=SMALLEST, le=MOST_A_YEAR, allow_inf_nan=False)]
"""What something is divided by or multiplied with: hours, visits, kilometres."""
Level = Annotated[str, Field(max_length=LONGEST_ID)]


LONGEST_REPR = 100
"""Letters of the short form of a policy."""


class Settings(BaseModel):
    """Frozen settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Band(Settings):
    """How far a rep's total of one metric may lie from its share target.

    A hard band must hold; otherwise each percentage point of the share target outside it costs
    ``price_per_point`` (money).
    """

    band: Share = 0.10
    hard: bool = False
    price_per_point: Money = 1000.0


class Travel(Settings):
    """Cost and time of travel: visits x round trip x great circle x ``detour``."""

    cost_per_km: Money = 0.70
    cost_per_hour: Money = 0.0
    speed_kmh: Positive = 70.0
    detour: float = Field(default=1.25, ge=1, le=MOST_A_YEAR)
    """Road over great circle, near the 1.20 of the United States; Spain 1.58 (Ballou, Rahardja and Sakai 2002)."""
    visits_per_year: float = Field(default=6.0, ge=0, le=MOST_A_YEAR)
    max_distance_km: Positive | None = None

    @property
    def reach(self) -> str:
        """The rule on distance in words; empty without one."""
        return (
            "" if self.max_distance_km is None else f"no account farther than {self.max_distance_km:,g} km from its rep"
        )


class Hours(Settings):
    """Yearly hours a rep has for workload and travel together; ``per_fte`` is used where the table is silent."""

    per_fte: Positive = 1800.0
    hard: bool = False
    price_per_hour: Money = 60.0


class Keep(Settings):
    """What moving an account to another rep costs and how much may move.

    ``loss_rate`` is the share of a moved account's yearly sales at risk (published range 13.2-17.6 %:
    J. Marketing 81(2), 2017); ``similar_skill_discount`` lowers it for a rep with the same skills.
    """

    loss_rate: Part = 0.15
    """Inside the range that is published, see above."""
    similar_skill_discount: Part = 0.25
    max_moved_accounts: int | None = Field(default=None, ge=0, le=LARGEST)
    max_moved_revenue: Part | None = None


class Coverage(Settings):
    """At least ``share`` of the potential of accounts that name this skill goes to reps who have it."""

    share: Part
    hard: bool = True
    price_per_point: Money = 1000.0


class Skills(Settings):
    """Attribute columns of accounts that reps answer.

    ``required``: a rep must have the account's value. ``preferred``: the rep's score (0 to 1) is the fit;
    a full fit sells ``fit_lift`` more than none. ``from_history``: where the reps table is silent about a
    column, take the values of the accounts each rep serves or has sold to.
    """

    required: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    fit_lift: Share = 0.10
    coverage: dict[str, Coverage] = {}
    from_history: tuple[str, ...] = ()


class Territories(Settings):
    """Who may get what, and what it is worth."""

    margin: Part = 0.30
    balance: dict[str, Band] = {"potential": Band()}
    hours: Hours | None = None
    travel: Travel = Travel()
    keep: Keep = Keep()
    skills: Skills = Skills()


class Guard(Settings):
    """Quota against ``reps.last_quota``: at most ``up`` above and ``down`` below.

    ``against`` says in words whose quota that is.
    """

    up: Share = 0.25
    down: Share = 0.10
    hard: bool = True
    price: Money = 1.0
    against: Literal["last year", "the plan before"] = "last year"


class Ratchet(Settings):
    """Guard against punishing success: of last year's sales above quota, at most ``share`` enters the new quota.

    quota <= last quota x (1 + growth) + share x max(0, last sales - last quota)
    """

    share: Share = 0.5
    growth: Share = 0.10
    hard: bool = True
    price: Money = 1.0


class Range(Settings):
    """Lower and upper limit."""

    low: Money = 0.0
    high: Money | None = None
    hard: bool = True
    price: Money = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.high is not None and self.high < self.low:
            raise ValueError(f"high ({self.high:g}) is below low ({self.low:g})")
        return self


class Fairness(Settings):
    """Price of one money unit of quota away from the same share of expected sales for everyone.

    ``price`` is paid on each rep's distance, ``worst_price`` on the largest one.
    """

    price: Money = 0.05
    worst_price: Money = 0.0


ASSUMED_SHOCK = 0.05
"""Spread of what hits the whole company, where nothing else is known: share of sales. A plain
assumption, not measured; ``common_shock: auto`` learns it from a history that is long enough."""


class Odds(Settings):
    """Each rep should reach the quota with probability ``hit_share``; see docs/model.md for the safe tangent.

    The shocks are spreads, as shares of sales, of what hits the whole company, a region or a segment at once;
    ``common_shock: auto`` estimates all three from the history, where it is long enough.
    """

    hard: bool = False
    price: Money = 0.20
    common_shock: Annotated[
        float | Literal["auto"],
        BeforeValidator(parse_shock),
        WithJsonSchema({"anyOf": [*_SHARE_SCHEMA["anyOf"], {"const": "auto"}], "description": 'a share, or "auto"'}),
    ] = ASSUMED_SHOCK
    region_shock: Share = 0.0
    segment_shock: Share = 0.0

    @property
    def shock(self) -> float:
        """Spread of all shared shocks together for one rep, the assumed one where the company's is to be learnt.

        A segment's counts as if the rep sold to no other.
        """
        company = ASSUMED_SHOCK if isinstance(self.common_shock, str) else self.common_shock
        return math.hypot(company, self.region_shock, self.segment_shock)


class Pay(Settings):
    """How attainment turns into variable pay, as a share of the target pay: linear pieces, for odds of pay only.

    Nothing below ``threshold`` of the quota; from there in proportion to attainment up to the quota; above it each
    point of attainment pays ``accelerator`` points; at most ``cap``.
    """

    threshold: Part = 0.0
    accelerator: Share = 1.5
    cap: Positive | None = 2.0

    def share(self, attainment: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return pay as a share of the target pay for ``attainment`` (any shape), 1 = quota."""
        paid = np.minimum(attainment, 1.0) + self.accelerator * np.maximum(attainment - 1.0, 0.0)
        paid = np.where(attainment < self.threshold, 0.0, np.maximum(paid, 0.0))
        return paid if self.cap is None else np.minimum(paid, self.cap)


Method = Literal[
    "estimate",
    "auto",
    "flat",
    "history-percent",
    "history-amount",
    "potential-share",
    "weighted-index",
    "maintain-and-grow",
    "regression",
]
"""What fair quotas follow: expected sales, the best in a back-test, or a standard way (see docs/quotas.md)."""


class Quotas(Settings):
    """What each rep owes and how it is set.

    ``methods`` names segments whose accounts count by another method. Each quota is also shown ``by`` a column of
    accounts, where ``part_targets`` gives some parts sums of their own. ``ramp`` is what a joiner can do in the first
    months after ``start_date``: it lowers the quota of the joining year and shifts it to later periods. Hedges that
    compound to more than ``most_hedge`` are flagged.
    """

    target: float | None = Field(default=None, ge=-LARGEST, le=LARGEST)
    method: Method = "estimate"
    methods: dict[str, Method] = {}
    by: str = ""
    part_targets: dict[str, Money] = {}
    mode: Literal["joint", "sequential"] = "joint"
    hedge: dict[Level, Share] = {}
    hit_share: Share = 0.65
    """A round number to start from: of three reps about two make their quota."""
    odds: Odds | None = Odds()
    pay: Pay = Pay()
    fairness: Fairness = Fairness()
    growth_guard: Guard | None = None
    ratchet_guard: Ratchet | None = None
    limits: Range | None = None
    ote_ratio: Range | None = None
    step: float = Field(default=1.0, ge=CENT, le=LARGEST)
    ramp: tuple[Part, ...] = ()
    most_hedge: Share = 0.10
    periods: Literal["year", "quarter", "month"] = "quarter"

    @model_validator(mode="after")
    def _sensible(self) -> Quotas:
        if not 0.0 < self.hit_share < 1.0:
            raise ValueError(f"hit_share is {self.hit_share:g}; it must lie between 0 and 1, for example 65 %")
        if abs(self.step * 100 - round(self.step * 100)) > ROUNDING:
            raise ValueError(f"step is {self.step:g}; it must be whole cents")
        return self


_LONGEST_MONTH = 31
"""Days."""


class Period(Settings):
    """The plan year: first day and number of months; fewer than 12 for a half year, or the rest of a year.

    It starts on the first of a month, as sales and seasons are kept by month.
    Sales, quotas and the objective are those of the period. What tables give by year (workload, visits, current sales,
    hours) stays by year: costs and losses that follow from it are counted for the period.
    """

    start: dt.date = Field(default=dt.date(2027, 1, 1), ge=dt.date(FIRST_YEAR, 1, 1), le=dt.date(LAST_YEAR, 12, 31))
    months: int = Field(default=12, ge=1, le=12)

    @field_validator("start")
    @classmethod
    def _first_of_a_month(cls, start: dt.date) -> dt.date:
        if start.day == 1:
            return start
        first = start.replace(day=1)
        following = (first + dt.timedelta(days=_LONGEST_MONTH)).replace(day=1)
        raise ValueError(
            f"start is {start}, and sales are kept by month, so that a plan starts on the first of one; "
            f"set {first if start.day <= _LONGEST_MONTH // 2 else following}, the nearest"
        )

    @property
    def part(self) -> float:
        """The period as a share of a year."""
        return self.months / 12.0

    @property
    def term(self) -> str:
        """What money of the plan is for, in words."""
        return "per year" if self.months == 12 else "in one month" if self.months == 1 else f"in {self.months} months"


Currency = Annotated[str, Field(max_length=LONGEST_CURRENCY)]


class Policy(Settings):
    """Everything a planner decides that is not a table: the sections of a scenario file (docs/data-formats.md).

    >>> import territory_opt as to
    >>> policy = to.Policy(quotas={"target": 1_200_000, "hit_share": "60 %"})
    >>> policy.quotas.hit_share, policy.period.term
    (0.6, 'per year')
    >>> policy
    Policy(quotas.target=1200000.0, quotas.hit_share=0.6)
    """

    currency: Currency = "USD"
    period: Period = Period()
    territories: Territories = Territories()
    quotas: Quotas = Quotas()

    @model_validator(mode="after")
    def _whole_periods(self) -> Policy:
        check_periods(self.period, self.quotas)
        return self

    def __repr__(self) -> str:
        """Name what differs from the default, as much of it as fits."""
        given = list(_flat(self.model_dump(mode="json", exclude_defaults=True)))
        for shown in range(len(given), 0, -1):
            more = f" and {len(given) - shown} more" if shown < len(given) else ""
            text = f"Policy({', '.join(given[:shown])}{more})"
            if len(text) <= LONGEST_REPR:
                return text
        return f"Policy({len(given)} settings)" if given else "Policy()"


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield ``quotas.target=1200000.0`` for every setting; a section without one by its name alone."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}" if value == {} else f"{prefix}{key}={value}"


def check_periods(period: Period, quotas: Quotas) -> None:
    """Raise :class:`ValueError` if the plan is not whole periods of quotas."""
    if quotas.periods == "quarter" and period.months % 3:
        text = f"period.months is {period.months}, which is not whole quarters"
        raise ValueError(f"{text}; set quotas.periods to month or year")
