"""How much of a year hits many at once: spreads of shocks that the company, a region or a segment share.

Errors of the forecast at each look back are summed over the company, over each region and over each segment. What their
squares exceed the sum of the accounts' own variances by is shared; a region's and a segment's is what is left once the
company's error is taken out. Few looks that overlap say little: the estimates are shrunk to what is commonly assumed
(a method of moments for variance components: Searle, Casella and McCulloch, Variance Components, 1992).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.growth import growth, level_doubt
from territory_opt.estimate.history import History
from territory_opt.estimate.looks import Stage, hidden
from territory_opt.estimate.methods import Past
from territory_opt.estimate.settings import ShockSettings
from territory_opt.problem.policy import ASSUMED_SHOCK
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SETTINGS = ShockSettings()


@dataclass(frozen=True, slots=True)
class Shocks:
    """Spreads, as shares of sales, of what all of the company, a region or a segment share of a stretch.

    ``n_looks``: how many independent looks back they were learnt from; 0 where they are given or assumed.
    """

    company: float = 0.0
    region: float = 0.0
    segment: float = 0.0
    n_looks: float = 0.0

    @property
    def together(self) -> float:
        """Spread of all of them for one rep: a segment's counts as if the rep sold to no other."""
        return math.hypot(self.company, self.region, self.segment)

    def __str__(self) -> str:
        return (
            f"shared by the company {self.company:.1%}, by a region {self.region:.1%}, by a segment {self.segment:.1%} "
            f"(common_shock, region_shock and segment_shock under quotas.odds)"
        )


NO_SHOCKS = Shocks()
"""Where the policy asks for no odds."""


class SharedErrors:
    """Errors of the forecast at the looks so far, summed over the company, each region and each segment."""

    def __init__(self, problem: Problem) -> None:
        self._of_rep = regions(problem)
        self._company, self._region, self._segment = _Moments(), _Moments(), _Moments()

    def add(self, past: Past, came: FloatArray) -> None:
        """Take in one look: what was known, and what every account went on to sell, (n_accounts,)."""
        mean, variance, came = (past.held(x) for x in (past.forecast.expected, past.forecast.variance, came))
        total = float(mean.sum())
        if total <= 0:
            return
        off = float(came.sum()) / total - 1.0
        self._company.add(np.array([off]), np.array([float(variance.sum()) / total**2]))
        rest = came - mean * (1.0 + off)
        where = np.where(past.rep >= 0, self._of_rep[past.rep], 0)
        for moments, group in ((self._region, where), (self._segment, past.history.segment)):
            moments.add(*_by_group(rest, mean, variance, group))

    def shocks(self, looks: float) -> Shocks:
        """Return the shocks from so many independent ``looks``."""
        company = self._company.spread(looks, ASSUMED_SHOCK)
        return Shocks(company, self._region.spread(looks, 0.0), self._segment.spread(looks, 0.0), looks)


def shocks_of(problem: Problem, doubt: float) -> Shocks:
    """Return the shocks of the plan: those of its policy, or learnt where that says ``common_shock: auto``.

    ``doubt``, what the history leaves open of the company's level (a share), joins the company's; none without odds.
    Where the history is too short to look back on, the assumed shock takes the place of what would be learnt.
    """
    odds = problem.policy.quotas.odds
    if odds is None:
        return NO_SHOCKS
    if odds.common_shock == "auto":
        found = _looked_back(problem)
    else:
        found = Shocks(odds.common_shock, odds.region_shock, odds.segment_shock)
    return replace(found, company=math.hypot(found.company, doubt))


def _looked_back(problem: Problem) -> Shocks:
    """Shocks of stretches as long as the plan, or as long as a third of the history."""
    if not len(problem.sales):
        return Shocks(ASSUMED_SHOCK)
    history = History.of(problem)
    months = hidden(history.n_months, problem.policy.period.months)
    stage, shared = Stage.of(problem, history, months, None), SharedErrors(problem)
    for at in stage.cutoffs:
        shared.add(stage.past(at), history.sales[:, at : at + months].sum(axis=1))
    found = shared.shocks(stage.independent(history.n_months))
    if not stage.cutoffs:
        return found
    # The errors hold what the history leaves open of growth, which is added where the shock is used.
    left = level_doubt(history, growth(history).doubt, lead=0, horizon=problem.policy.period.months)
    return replace(found, company=float(np.sqrt(max(found.company**2 - left**2, 0.0))))


def regions(problem: Problem) -> IntArray:
    """The manager right below the company above each rep, (n_reps,): 1, 2, ... as in the managers table; 0: none."""
    above = dict(zip(problem.managers["manager_id"], problem.managers["reports_to"], strict=True))
    tops = [node for node, parent in above.items() if parent not in above]
    found = []
    for manager in problem.reps["manager"]:
        node = manager
        while node in above and above[node] in above:
            node = above[node]
        found.append(tops.index(node) + 1 if node in above else 0)
    return np.array(found, dtype=np.int64)


class _Moments:
    """Squared relative errors, what the accounts' own noise explains of them, and how much each group weighs."""

    def __init__(self) -> None:
        self.excess, self.weight = 0.0, 0.0

    def add(self, off: FloatArray, own: FloatArray, weight: FloatArray | None = None) -> None:
        counts = np.ones_like(off) if weight is None else weight
        self.excess += float(counts @ (off**2 - own))
        self.weight += float(counts.sum())

    def spread(self, looks: float, prior: float) -> float:
        """Root of the shared variance, shrunk to ``prior``."""
        found = max(self.excess / self.weight, 0.0) if self.weight > 0 else 0.0
        return float(np.sqrt((looks * found + SETTINGS.prior_looks * prior**2) / (looks + SETTINGS.prior_looks)))


def _by_group(
    rest: FloatArray, mean: FloatArray, variance: FloatArray, group: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Relative error, own variance and weight of each group that is large enough; none if there is only one."""
    expected, missed, own = (np.bincount(group, amounts) for amounts in (mean, rest, variance))
    share = expected / expected.sum()
    large = share > SETTINGS.least_part
    if large.sum() < 2:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    # The company's error is taken out: a group of share s keeps 1 - s of its own variance.
    kept = 1.0 - share[large]
    return missed[large] / expected[large], own[large] / expected[large] ** 2 * kept, share[large] * kept
