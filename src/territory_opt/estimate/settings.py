"""Every number that steers an estimate, by file: frozen, named, each with what chose it.

"Moves ..." says what halving and doubling a number does to the error of rep totals (field team / AdventureWorks
quarters / made-up companies of one to three years, 10.1, 22.3 and 12.1 % at these settings), all others kept:
``python -m benchmarks.sensitivity``, figures in ``benchmarks/results/0.1.0-settings.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import norm

TINY = 1e-12
"""Against division by nothing."""
TIED = 1e-9
"""Statistics this near to each other are the same but for rounding of floats."""
RANGE_80 = float(norm.ppf(0.9))
"""Standard deviations on either side of the mean that hold 80 %."""


@dataclass(frozen=True, slots=True)
class GrowthSettings:
    """How far growth that was seen is believed."""

    most_months: int = 24
    """Months that are held against those a year before, at most."""
    spread: float = 0.1
    """Standard deviation of a year's growth where nothing is known: of companies, and of segments about theirs."""
    yearly_spread: float = 0.05
    """Standard deviation, as a share, of a year's sales that is neither growth nor luck of single orders."""
    lumpy: float = 0.005
    """Lumpiness at which the sum of the accounts and the company as a whole count alike."""
    most: float = 1.0
    """Largest growth of a year that is believed, as a logarithm."""


@dataclass(frozen=True, slots=True)
class SeasonalitySettings:
    """How far monthly ratios are believed."""

    noise: float = 0.15
    """Standard deviation of one year's ratio of a month about its factor, of the company, ..."""
    segment_noise: float = 0.2
    """... and of a segment."""
    least_years: float = 0.1
    """A ratio is shrunk as if so many years at least, ..."""
    most_years: float = 4.0
    """... and so many at most, had been flat (of a segment: like the company)."""
    assumed_spread: float = 0.15
    """Spread of a company's monthly factors where its own history cannot tell."""
    least_net: float = 0.25
    """A year in which credits leave less than this share of what was moved tells nothing about the season."""


@dataclass(frozen=True, slots=True)
class LevelSettings:
    """What is looked at of an account's past."""

    block: int = 3
    """Months in a block: accounts that order once a quarter have no zeros then."""
    half_lives: tuple[float, ...] = (0.25, 1.0, 4.0)
    """Half-lives of the own levels in blocks: the last quarter, the last half year, the last two years."""
    lapsed_gaps: float = 3.0
    """An account is active if it bought within a year, or within so many typical gaps of its segment."""
    borrowed: float = 0.05
    """A segment's yield per unit of potential is shrunk to the company's by this share of an average segment."""
    least_factor: float = 0.2
    """A seasonal factor below this does not blow up what was sold in such a month."""
    lump_months: float = 3.0
    """The size of an account's orders is shrunk to its segment's as if it had so many more months with sales."""


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """How the weights of the levels are learnt."""

    prior: tuple[float, ...] = (0.40, 0.10, 0.10, 0.20, 0.20, 0.10)
    """Weights where nothing can be learnt: own levels and the segment's yield for what an account buys, a tenth of the
    yield for an account that never bought."""
    prior_strength: float = 0.3
    """Standard ridge strength, relative to the size of each column."""
    looks: int = 6
    """How many earlier months to stand at, ..."""
    step: int = 3
    """... months between them, ..."""
    decay: float = 0.8
    """... and how much each older one counts of the one after it."""
    least_history: int = 3
    """Months of history needed at a look."""
    good_history: int = 6
    """The stretch ahead is shortened until a look has so many months of history."""
    teaches: tuple[float, float] = (1 / 3, 3.0)
    """Limits of what came against what was to come, beyond which a look from less than a year teaches nothing."""
    reconciled: tuple[float, float] = (0.1, 10.0)
    """Limits of the factor between the company as a whole and the sum of its accounts."""
    prospects: float = 20.0
    """Accounts without any sales, counted at each look, beyond which the prior of what they bring fades."""
    least_level: float = 0.1
    """Errors are relative to the level plus this share of the mean level."""


@dataclass(frozen=True, slots=True)
class SpreadSettings:
    """How wide the range of an account may be, from monthly sales or from one figure for last year."""

    least_cv: float = 0.10
    """Least coefficient of variation of an account's sales, ..."""
    most_cv: float = 3.0
    """... and the largest (pooled, where there is one figure for last year)."""
    least_outcome: float = 0.5
    """Least part of the spread that is luck of the months to come: errors of looks alone cannot tell it from doubt."""
    least_doubt_cv: float = 0.05
    """No estimate is surer than this coefficient of variation."""
    prior: tuple[float, float] = (1.0, 0.10)
    """Coefficients a and b where nothing can be learnt."""
    segment_errors: float = 50.0
    """A segment's spread is shrunk to the company's as if it had so many more errors of the company's size."""
    outlier: float = 0.999
    """Relative squared errors beyond this quantile count as much as the quantile."""


@dataclass(frozen=True, slots=True)
class LastYearSettings:
    """The estimate from one figure per account for last year, or from potential alone."""

    yearly_cv: float = 0.3
    """Coefficient of variation of an account's yearly sales where months are not known."""
    prior_cv: float = 0.60
    """Spread of an account around its potential where there are no sales at all."""
    borrowed: float = 0.05
    """A segment's yield is shrunk to the company's by this share of its own potential."""
    pooled: float = 0.5
    """Part of an account's noise that is its segment's, in proportion to size; the rest is its own."""
    least_between: float = 0.05
    """Least spread of accounts about their segment's yield, as a share: where none shows, own sales still count."""
    least_inside: float = 1e-3
    """Share of a year's sales that a plan of few months holds at least, where season says nearly none."""


@dataclass(frozen=True, slots=True)
class ShockSettings:
    """How far shared errors of the past are believed."""

    prior_looks: float = 3.0
    """The assumed spread counts as much as so many independent looks."""
    least_part: float = 0.02
    """Groups that expect less than this share of the company are too small to tell."""


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """What counts as a change of rep that tells something."""

    windows: tuple[int, ...] = (12, 6)
    """Months before and after a change that are compared: the longer where it finds enough changes."""
    fewest_changes: int = 8
    """Changes below which nothing is said."""
    fewest_kept: int = 5
    """Accounts of a segment that must have kept their rep, else the company's growth counts."""
    often: float = 0.75
    """Share of the months, before and after, in which an account must have sales to count."""


@dataclass(frozen=True, slots=True)
class MethodSettings:
    """The standard ways to spread a quota."""

    growth_limits: tuple[float, float] = (0.7, 1.5)
    """One odd year is not a trend."""
    index_weight: float = 0.5
    """Weight of history in the weighted index; the rest is potential."""


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """Where a back-test stands, and what it says."""

    most_looks: int = 8
    """Looks at most, ..."""
    step: int = 3
    """... and months between them, where there are no past quotas to line up with."""
    least_history: int = 2
    """Months that must be known at a look."""
    hidden_part: int = 3
    """One in so many months of the history is hidden at most."""
    fewest_looks: int = 2
    """Looks below which ``quotas.method: auto`` keeps the estimate."""
    permutations: int = 2_000
    """Permutations of the test whether one method is better than another."""
    fewest_reps: int = 4
    """Reps below which a rank correlation says nothing."""
    foresight: float = 0.5
    """A column is suspected of having been filled in afterwards if what it says about hidden months beyond the history
    correlates at least so much, ..."""
    foresight_more: float = 0.25
    """... and so much more than it did for the months before."""
    new_accounts: float = 0.1
    """Share of hidden sales from accounts that first bought then, from which it is said."""
    named: int = 10
    """Segments named in a message at most."""
