"""Every number that steers an estimate, by file: frozen, named, each with what chose it or what hangs on it.

A pair like "10.8 / 23.2 %" is the error of rep totals in the back-tests of the field team and of AdventureWorks, which
is 10.1 / 22.3 % as set; "x 0.5" and "x 2" mean half and twice the number, all others kept. "No matter": neither moves
any error of ``python -m benchmarks.sensitivity`` by more than 0.1 points. All figures stand in
``benchmarks/results/0.1.0-settings.md``. They say how much hangs on a number, not that no other is better.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GrowthSettings:
    """How far growth that was seen is believed."""

    most_months: int = 24
    """Months that are held against those a year before, at most. With 12, companies of which three years are known
    are 12.8 % off instead of 11.4; 48 are no matter."""
    spread: float = 0.1
    """Standard deviation of a year's growth where nothing is known of it: of companies, and of segments about
    theirs. x 0.5: 10.8 / 23.2 %, x 2: 10.0 / 23.5 %; of companies that grow by 15 %, 40, 80 (as set) and 100 % of
    totals lie in their range."""
    yearly_spread: float = 0.05
    """Standard deviation, as a share, of a year's sales that is neither growth nor luck of single orders. x 0.5:
    10.0 / 22.8 %, x 2: 10.7 / 22.6 %."""
    lumpy: float = 0.005
    """Lumpiness at which the sum of the accounts and the company as a whole count alike. x 0.5: 10.1 / 22.5 %, x 2:
    10.1 / 22.1 %; either of them alone breaks tests/test_forecast.py."""
    most: float = 1.0
    """Largest growth of a year that is believed, as a logarithm. x 0.5: 10.1 / 22.9 %, x 2: 10.1 / 22.2 %."""


@dataclass(frozen=True, slots=True)
class SeasonalitySettings:
    """How far monthly ratios are believed."""

    noise: float = 0.15
    """Standard deviation of one year's ratio of a month about its factor, of the company, ... x 0.5: 10.1 / 22.5 %,
    x 2: 10.1 / 22.4 %, and where the last quarter brings 40 % of the year 5.7 % off instead of 5.3."""
    segment_noise: float = 0.2
    """... and of a segment: no matter."""
    least_years: float = 0.1
    """A ratio is shrunk as if so many years at least, ... No matter."""
    most_years: float = 4.0
    """... and so many at most, had been flat (of a segment: like the company). No matter; with 0.1 a handful of
    orders is taken for a season, without end credits blow up a quarter (tests/test_forecast.py)."""
    assumed_spread: float = 0.15
    """Spread of a company's monthly factors where its own history cannot tell: moves ranges only. Of totals of
    companies whose last quarter brings 40 % of the year 80, 85 (as set) and 100 % lie in their range."""
    least_net: float = 0.25
    """A year in which credits leave less than this share of what was moved tells nothing about the season. No
    matter; with 0 a credit blows up a quarter (tests/test_forecast.py)."""


@dataclass(frozen=True, slots=True)
class LevelSettings:
    """What is looked at of an account's past."""

    block: int = 3
    """Months in a block: accounts that order once a quarter have no zeros then. 2 months: 10.1 / 23.1 %, 6: 10.2 /
    24.0 %."""
    half_lives: tuple[float, ...] = (0.25, 1.0, 4.0)
    """Half-lives of the own levels in blocks: the last quarter, the last half year, the last two years. All x 0.5:
    10.1 / 22.2 %, x 2: 10.1 / 22.5 %."""
    lapsed_gaps: float = 3.0
    """An account is active if it bought within a year, or within so many typical gaps of its segment. No matter."""
    borrowed: float = 0.05
    """A segment's yield per unit of potential is shrunk to the company's by this share of an average segment. No
    matter."""
    least_factor: float = 0.2
    """A seasonal factor below this does not blow up what was sold in such a month: a guard. No matter."""
    lump_months: float = 3.0
    """The size of an account's orders is shrunk to its segment's as if it had so many more months with sales. No
    matter."""


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """How the weights of the levels are learnt."""

    prior: tuple[float, ...] = (0.40, 0.10, 0.10, 0.20, 0.20, 0.10)
    """Weights where nothing can be learnt: own levels and the segment's yield for what an account buys, a tenth of
    the yield for an account that never bought. A quarter of each: 11.1 / 23.8 %; last year alone for what is bought:
    9.8 / 22.5 %, and companies of known truth 9.2 % off instead of 8.9."""
    prior_strength: float = 0.3
    """Standard ridge strength, relative to the size of each column. x 0.5: 10.2 / 22.2 %, x 2: 10.0 / 22.7 %."""
    looks: int = 6
    """How many earlier months to stand at, ... 3: 10.1 / 22.4 %, 12 the same."""
    step: int = 3
    """... months between them, ... 2: 10.1 / 22.0 %, 6: 10.1 / 22.4 % and with a year known 17.2 % off instead of
    16.5."""
    decay: float = 0.8
    """... and how much each older one counts of the one after it. 0.6 and 0.9: up to 0.1 points."""
    least_history: int = 3
    """Months of history needed at a look. 2: 10.1 / 22.3 %; 6: the same, but with a year known 17.2 % off instead of
    16.5. With 1 less than a year no longer stands for all of it (tests/test_forecast.py)."""
    good_history: int = 6
    """The stretch ahead is shortened until a look has so many months of history. With a year known 3: 16.3 % off,
    12: 16.7, as set 16.5."""
    teaches: tuple[float, float] = (1 / 3, 3.0)
    """Limits of what came against what was to come, beyond which a look from less than a year teaches nothing. Both
    x 0.5: companies whose accounts order once a year are 12.8 % off instead of 11.1; without limits renewals once a
    year are not expected again (tests/test_forecast.py)."""
    reconciled: tuple[float, float] = (0.1, 10.0)
    """Limits of the factor between the company as a whole and the sum of its accounts: a guard. No matter."""
    prospects: float = 20.0
    """Accounts without any sales, counted at each look, beyond which the prior of what they bring fades. No matter;
    without fading prospects who never bought add to the total (tests/test_forecast.py)."""
    least_level: float = 0.1
    """Errors are relative to the level plus this share of the mean level. No matter."""


@dataclass(frozen=True, slots=True)
class SpreadSettings:
    """How wide the range of an account may be, from monthly sales or from one figure for last year."""

    least_cv: float = 0.10
    """Least coefficient of variation of an account's sales, ... No matter, nor for ranges."""
    most_cv: float = 3.0
    """... and the largest (pooled, where there is one figure for last year). No matter; ranges hold up to 2 points
    more or less of the totals."""
    least_outcome: float = 0.5
    """Least part of the spread that is luck of the months to come: errors of looks alone cannot tell it from doubt.
    Moves outlooks in the year only: half a year on, with a year known before, ranges hold 79 % of reps with 0.25, 84
    as set, 88 with 1 (``benchmarks.mid_year``, 8 companies)."""
    least_doubt_cv: float = 0.05
    """No estimate is surer than this coefficient of variation: a guard. No matter, nor for ranges."""
    prior: tuple[float, float] = (1.0, 0.10)
    """Coefficients a and b where nothing can be learnt: a compound Poisson process of orders of typical size, and a
    doubt of a third (the root of 0.1). Moves ranges of AdventureWorks and of companies with an order a year, by up
    to 5 points of the totals they hold."""
    segment_errors: float = 50.0
    """A segment's spread is shrunk to the company's as if it had so many more errors of the company's size. No
    matter; shrunk all the way, a segment that cannot be foretold has no wider range (tests/test_forecast.py)."""
    outlier: float = 0.999
    """Relative squared errors beyond this quantile count as much as the quantile. No matter, nor for ranges."""


@dataclass(frozen=True, slots=True)
class LastYearSettings:
    """The estimate from one figure per account for last year, or from potential alone."""

    yearly_cv: float = 0.3
    """Coefficient of variation of an account's yearly sales where months are not known. Rep totals from last year's
    figure are 20.8 % off and 72 % lie in their range; x 0.5: 19.3 and 53 %, x 2: 19.6 and 95 %."""
    prior_cv: float = 0.60
    """Spread of an account around its potential where there are no sales at all: an assumption, no data to hold it
    against."""
    borrowed: float = 0.05
    """A segment's yield is shrunk to the company's by this share of its own potential. No matter."""
    pooled: float = 0.5
    """Part of an account's noise that is its segment's, in proportion to size; the rest is its own. Rep totals from
    last year's figure, 20.8 % off: 21.7 with 0.25, 19.3 with 1."""
    least_between: float = 0.05
    """Least spread of accounts about their segment's yield, as a share: where none shows, own sales still count. No
    matter."""
    least_inside: float = 1e-3
    """Share of a year's sales that a plan of few months holds at least, where season says nearly none: a guard."""


@dataclass(frozen=True, slots=True)
class ShockSettings:
    """How far shared errors of the past are believed."""

    prior_looks: float = 3.0
    """The assumed spread counts as much as so many independent looks. Moves ranges only: those of AdventureWorks
    hold 76 % of rep totals x 0.5, 75 as set, 73 x 2."""
    least_part: float = 0.02
    """Groups that expect less than this share of the company are too small to tell. Moves ranges of AdventureWorks
    only, by less than 1 point of the totals they hold."""


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """What counts as a change of rep that tells something."""

    windows: tuple[int, ...] = (12, 6)
    """Months before and after a change that are compared, the longer where it finds enough changes: a year and half
    a year by convention."""
    fewest_changes: int = 8
    """Changes below which nothing is said: a convention (docs/quotas.md). A planted loss is found to within 4 points
    from 60 (benchmarks/results/0.1.0-quotas.md)."""
    fewest_kept: int = 5
    """Accounts of a segment that must have kept their rep, else the company's growth counts: a convention."""
    often: float = 0.75
    """Share of the months, before and after, in which an account must have sales to count: a convention. None is
    found then where orders are rare and nothing was lost (tests/test_transfer.py)."""


@dataclass(frozen=True, slots=True)
class MethodSettings:
    """The standard ways to spread a quota."""

    growth_limits: tuple[float, float] = (0.7, 1.5)
    """One odd year is not a trend: neither the field team nor AdventureWorks comes near. With 0.85 and 1.25
    history-percent is 38.6 % off at AdventureWorks instead of 40.4."""
    index_weight: float = 0.5
    """Weight of history in the weighted index, the rest is potential: halves by convention. 0.75: 11.6 / 36.3 % off,
    0.25: 13.5 / 31.8, as set 12.2 / 32.9."""


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """Where a back-test stands, and what it says."""

    most_looks: int = 8
    """Looks at most, ... A convention."""
    step: int = 3
    """... and months between them, where there are no past quotas to line up with: a quarter by convention."""
    least_history: int = 2
    """Months that must be known at a look: as many as AdventureWorks had sales for at the first quarter that is
    scored."""
    hidden_part: int = 3
    """One in so many months of the history is hidden at most, so that twice as many are known: a convention."""
    fewest_looks: int = 2
    """Looks below which ``quotas.method: auto`` keeps the estimate: one may be chance."""
    permutations: int = 2_000
    """Permutations of the test whether one method is better than another: a chance of 5 % is known to 0.5 points."""
    fewest_reps: int = 4
    """Reps below which a rank correlation says nothing: of three it takes four values only."""
    foresight: float = 0.5
    """A column is suspected of having been filled in afterwards if what it says about hidden months beyond the
    history correlates at least so much, ... The field team's potential: 0.34, AdventureWorks's: -0.06, ..."""
    foresight_more: float = 0.25
    """... and so much more than it did for the months before. With the field team's hidden sales for potential:
    1.00, and 0.54 for the months before."""
    new_accounts: float = 0.1
    """Share of hidden sales from accounts that first bought then, from which it is said: a convention.
    AdventureWorks: up to 50 %, 1 % in the middle look (benchmarks/results/0.1.0-quotas.md)."""
    named: int = 10
    """Segments named in a message at most: a convention."""
