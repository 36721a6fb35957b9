"""Every number of the made-up companies: frozen, named, each with what it stands for.

Nothing here was measured. The numbers are made up so that a company looks plausible to a planner: a few large
accounts, an uneven alignment of old, seasons, lumpy orders, people who come and go. Where a number has another source,
its line says so. Changing any of them changes every generated company, ``scenarios/field_team`` included.
"""

from __future__ import annotations

from dataclasses import dataclass

PLAN_YEAR = 2027
"""Year that is planned; history ends with the year before. Fixed, so that the same seed gives the same tables."""


@dataclass(frozen=True, slots=True)
class SizeSettings:
    """How large a company is if nobody says: a field team that a planner can picture."""

    accounts: int = 2000
    reps: int = 40
    months: int = 36
    """Months of sales history: three years are what forecasts by season and growth can learn from."""
    least_months: int = 12
    """A shorter history than a year has no season."""
    reps_per_manager: float = 6.7
    """Made up: 40 reps have 6 managers."""
    managers_per_region: float = 2.0
    """Made up: 6 managers are in 3 regions."""


@dataclass(frozen=True, slots=True)
class Segment:
    """How accounts of one kind behave."""

    name: str
    share: float
    """Share of all accounts."""
    scale: float
    """Median potential, in units that are scaled to the company's sales at the end."""
    visits: int
    """Visits a year."""
    growth: float
    """Sales of a year as a multiple of the year before."""
    amplitude: float
    """Height of the season: the best month is this share above the average one."""
    peak: int
    """Best month of the year, 1 to 12."""
    shape: float
    """Shape of the gamma law of a month's sales: their spread is one over its root."""
    skipped: float
    """Share of months without an order."""


SEGMENTS = (
    Segment("enterprise", 0.08, 6.0, 6, 1.06, 0.25, 12, 5.0, 0.03),
    Segment("mid", 0.32, 1.8, 3, 1.08, 0.15, 10, 3.0, 0.15),
    Segment("small", 0.60, 0.5, 1, 1.10, 0.30, 6, 2.0, 0.60),
)
"""Made up: few large accounts that order every month, many small ones that order now and then."""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Where accounts are, how large, what they speak, and who belongs together. All made up."""

    spread_km: float = 12.0
    """Standard deviation, north and east, of accounts around the middle of their town."""
    potential_spread: float = 1.0
    """Standard deviation of the logarithm of potential inside a segment: a few accounts are most of it."""
    workload_power: float = 0.6
    """Workload grows with this power of potential: large accounts take less time per unit of money."""
    workload_spread: float = 0.4
    """Standard deviation of the logarithm of workload around that."""
    workload_hours: float = 18.0
    """Hours a year of an average account: 50 of them fill half of the scenario's 1,800 hours of a rep, the rest is
    for the road."""
    industry_shares: tuple[float, ...] = (0.3, 0.3, 0.25, 0.15)
    """Share of accounts in each industry, in the order of ``names.industries()``."""
    spanish: float = 0.01
    """Share of accounts that speak Spanish, ..."""
    spanish_there: float = 0.10
    """... and in ``SPANISH_STATES``."""
    french: float = 0.002
    """Share of accounts that speak French, ..."""
    french_there: float = 0.15
    """... and in ``FRENCH_STATES``."""
    family_starts: float = 0.03
    """Share of accounts that begin a family, ..."""
    family_sizes: tuple[int, int] = (2, 4)
    """... of so many accounts at least and at most (fewer where the neighbourhood ends)."""


@dataclass(frozen=True, slots=True)
class SalesSettings:
    """What accounts buy of their potential, and when. All made up."""

    per_account: float = 60_000.0
    """Mean sales of the last 12 months: 2,000 accounts sell 120 million."""
    share_a: float = 2.2
    """First parameter of the beta law of the share of its potential that an account buys, ..."""
    share_b: float = 2.6
    """... its second one (mean 0.46), ..."""
    share_limits: tuple[float, float] = (0.05, 0.8)
    """... and the limits of the share: nobody buys everything here."""
    prospects: float = 0.03
    """Share of accounts that never bought."""
    drift: float = 0.12
    """Standard deviation of the logarithm of an account's own good and bad years."""
    newcomers: float = 0.08
    """Share of accounts that came during the history, ..."""
    leavers: float = 0.04
    """... and share of those that went during it, ..."""
    settled_months: int = 3
    """... neither of them in its last so many months, ..."""
    stays: float = 1 / 3
    """... and nobody went in this first share of it."""
    lapses: float = 0.0017
    """Chance that an account stops buying in a month of the plan year: about as in the history, where ``leavers`` went
    in two years of three."""


@dataclass(frozen=True, slots=True)
class PeopleSettings:
    """Reps: homes, contracts, skills, pay. All made up."""

    spread_km: float = 8.0
    """Standard deviation, north and east, of homes around the middle of their town."""
    home_sample: int = 50_000
    """Homes are sought among so many accounts at most, drawn at random: the rest would only cost time."""
    home_rounds: int = 2
    """So many times a home moves to the middle of the accounts around it (Lloyd's algorithm, stopped early)."""
    part_time: float = 0.075
    """Share of reps that work part time, ..."""
    part_time_fte: tuple[float, ...] = (0.8, 0.8, 0.5)
    """... by turns so much of a full job."""
    joiners: float = 0.05
    """Share of reps that joined lately, ..."""
    joiner_ramp: tuple[float, float] = (0.5, 0.75)
    """... with a ramp between these, evenly spread, ..."""
    joiner_days: tuple[int, int] = (20, 150)
    """... so many days before the plan year (the second excluded)."""
    tenure_days: tuple[int, int] = (365, 15 * 365)
    """All others have been here between one and fifteen years."""
    spanish: float = 0.20
    """Share of reps that speak Spanish, ..."""
    spanish_there: float = 0.55
    """... and of those who live in ``SPANISH_STATES``."""
    french: float = 0.08
    """Share of reps that speak French, ..."""
    french_there: float = 0.60
    """... and of those who live in ``FRENCH_STATES``."""
    languages_spoken_by: int = 2
    """Each language is spoken by one rep at least, where the team has so many by different ones."""
    industries_known: tuple[int, int] = (1, 3)
    """A rep knows so many industries (the second excluded), ..."""
    score_tenths: tuple[int, int] = (5, 11)
    """... each with a score of so many tenths (the second excluded)."""
    quota_over_sales: tuple[float, float] = (1.0, 1.1)
    """Last year's quota as a multiple of what was sold, ..."""
    quota_step: float = 1000.0
    """... in whole steps, one at least."""
    ote_thousands: tuple[float, float] = (90.0, 150.0)
    """On-target earnings of a full-time rep, in thousands a year."""


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """Who serves what by tradition: near reps, grown unevenly, with leftovers. All made up."""

    wish_spread: float = 0.30
    """Standard deviation of the logarithm of how large a territory grew, ..."""
    wish_limits: tuple[float, float] = (0.55, 1.7)
    """... and its limits, as a multiple of a fair share."""
    nearest: int = 16
    """An account is served by one of so many nearest reps: enough to choose from, few enough for a million accounts."""
    rounds: int = 90
    """Rounds in which handicaps by rep are tuned to the wishes; by the last a step is a few thousandths: ..."""
    step: float = 0.03
    """... the first moves a handicap by so many earth radii (about 190 km) per factor e that a territory is off, ..."""
    cooling: float = 0.94
    """... each further one by this much of the one before, ..."""
    most_push: float = 1.0
    """... and none by more than for a territory that is off by this logarithm."""
    legacy: float = 0.10
    """Share of accounts that belong to another rep for old reasons, ..."""
    anywhere: float = 0.05
    """... this share of them to one who may live anywhere."""
    vacant: float = 0.02
    """Share of accounts that belong to nobody."""


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Locks and forbids: a handful, all made up."""

    accounts_per_rule: int = 250
    """One rule for so many accounts, ..."""
    rules: tuple[int, int] = (2, 40)
    """... but so many at least and at most: one of each kind, and a list that can be read."""
    pool: int = 4
    """They are drawn from the largest accounts, so many times more than rules, ..."""
    least_pool: int = 8
    """... and so many at least."""
    locks_of_five: int = 3
    """Of five rules so many are locks, the others forbids."""


SIZE = SizeSettings()
ACCOUNTS = AccountSettings()
SALES = SalesSettings()
PEOPLE = PeopleSettings()
ALIGNMENT = AlignmentSettings()
RULES = RuleSettings()
