"""Every number that steers what is said of quotas, by file: frozen, named, each with what chose it.

None of them moves a quota, but for the split by part: they decide what is drawn, tested, named and flagged.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartSettings:
    """The split of quotas by part."""

    rounds: int = 2_000
    """Turns of fitting at most: a safety; by segment the field team meets sums 30 % off its own in 20."""
    close: float = 1e-9
    """Share of all quotas by which sums may be missed: on 100 million, ten cents. A thousand times as much changes no
    cell of the field team by segment."""
    whole: float = 1e-4
    """A sum this near to whole steps is whole, ..."""
    whole_cell: float = 1e-7
    """... and one cell, which is no sum of others. Half and twice as much change no cell of the field team."""
    resolution: int = 1_000_000
    """Fractions of a step count to so many parts in the flow, which takes whole costs; a thousand are as good there."""
    named: int = 10
    """Parts named in a message at most: a convention."""


@dataclass(frozen=True, slots=True)
class ConsistencySettings:
    """What is flagged before any solve."""

    least_away: float = 0.01
    """Expected sales that come while reps are not there are named from this share of all on: a convention."""
    uneven_target: float = 1.05
    """A node's target is named from this multiple of what its accounts support on: a convention (docs/quotas.md); a few
    moves make up for less."""


@dataclass(frozen=True, slots=True)
class ExplanationSettings:
    """What an explanation of a quota names."""

    most_doubts: int = 5
    """Data cells named at most: a convention."""
    least_doubt: float = 0.001
    """Accounts whose doubt moves the quota by less than this share are not named: a convention."""
    least_growth: float = 0.0005
    """Growth of the company below this is no line of its own: it would read "+0.0 %"."""
    digits: int = 4
    """Digits of the odds in tables: a convention."""
    rounding: float = 1e-6
    """Share of a rule's scale by which a limit may be passed before it counts as broken: that of the audit."""


@dataclass(frozen=True, slots=True)
class FairnessSettings:
    """What the fairness tests call unfair."""

    permutations: int = 5_000
    """A chance of 5 % is then known to 0.3 points (its standard error)."""
    fewest_reps: int = 6
    """Below this many reps a test says nothing: of five, a rank correlation comes by chance in 2 of 120 orders or more,
    which is 8 % in any of five tests: too much to call one unfair."""
    unfair_rank: float = 0.3
    """Rank correlations from here on matter: a medium effect (Cohen, Statistical Power Analysis, 1988)."""
    unfair_region: float = 0.1
    """Shares of variance between regions, beyond chance, from here on matter: between a medium and a large eta squared
    (Cohen 1988: 0.06 and 0.14)."""
    certain: float = 0.05
    """Chance in any of the tests up to which an effect is certain: a convention (Fisher, Statistical Methods, 1925)."""
    part: int = 3
    """Mean attainment of the reps with the most is held against that of those with the least: one in so many of each, a
    convention."""
    near: float = 0.2
    """Attainment within this share of the median is near; ..."""
    near_share: float = 0.6
    """... so many reps should be. Both a convention; on the shipped companies 94 to 100 % are
    (benchmarks/results/0.1.0-quotas.md)."""
    material: float = 0.01
    """A point of attainment between the extremes is the least that matters: a convention; less is the rounding of
    quotas."""
    digits: int = 9
    """Attainments that agree to so many digits are tied."""
    least_chance: float = 0.001
    """Chances below this are said as "less than 1 of 1,000": a convention."""


@dataclass(frozen=True, slots=True)
class OutlookSettings:
    """What the year so far says of the rest."""

    lasting: float = 0.25
    """Part of a shared shock's variance that lies on the whole year alike: chosen on 30 made-up companies
    (benchmarks/results/0.1.0-quotas.md). Half a year on, with three known before, open odds of reps were 49.1 % and
    57.0 % of them were met; x 0.5: 49.3 and 56.5 %, x 2: 49.6 and 59.2 % (``benchmarks.mid_year``, 8 companies)."""


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """What a review names."""

    shown: int = 10
    """Reps and reasons that are shown in words, tables hold all: a convention."""
    errors: float = 3.0
    """Standard errors of a simulated chance below what is asked for that chance in the draws does not explain: it would
    name 1 of 741 reps who are just at it (normal)."""


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """How many years are drawn, and what is flagged of them."""

    draws: int = 10_000
    """The standard error of a chance is then 0.5 points at most; 1,000 reps take 1.4 s
    (benchmarks/results/0.1.0-quotas.md)."""
    at_a_time: int = 1_000
    """Years drawn at a time: memory stays at so many x reps. Another number draws other years."""
    under_paid: float = 0.8
    """Expected variable pay below this share of the target pay is flagged, ..."""
    over_paid: float = 1.2
    """... and above this one: a convention (docs/quotas.md)."""


@dataclass(frozen=True, slots=True)
class SmartSettings:
    """What is not attainable, and what is not tied to its territory."""

    least_chance: float = 0.5
    """A quota is attainable if its odds are at least this share of those that the policy asks for: a convention."""
    far: float = 0.25
    """A quota is tied to its territory if it lies within this share of the rep's fair part of the target: a
    convention (docs/quotas.md)."""


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Who is ahead and who behind."""

    behind: float = 0.5
    """Below this probability of finishing a rep is behind, ..."""
    ahead: float = 0.85
    """... and from this one on ahead: a convention (docs/quotas.md)."""
