"""Are quotas fair? Attainment must not follow size, potential, tenure or region; growth must pay.

Each test holds reps' attainment (sales over quota) against something that is no merit of theirs: a rank correlation
(Spearman), for regions the share of the variance of ranks between them (eta squared), with the probability of so large
an effect by chance from random permutations of attainment among reps (Good, Permutation, Parametric and Bootstrap
Tests of Hypotheses, 2005). Among several tests chance strikes one more often: verdicts go by the probability that it
strikes any (Holm, Scandinavian Journal of Statistics 6, 1979). Small effects that are certain and large effects that
are not are both told, not called unfair. On a plan, sales are what is expected; on the past, what was sold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from territory_opt.estimate.shocks import regions
from territory_opt.model.model import Model
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.problem.calendar import month_numbers
from territory_opt.problem.numbers import MONTHS_PER_YEAR, ROUNDING
from territory_opt.problem.units import PROBABILITY, with_units
from territory_opt.quota.settings import FairnessSettings
from territory_opt.words import plain_rows

FloatArray = npt.NDArray[np.float64]

SETTINGS = FairnessSettings()


@dataclass(frozen=True, slots=True)
class FairnessTest:
    """One test: ``effect`` (rank correlation, eta squared or share), ``p`` by chance (NaN: none), ``n`` reps.

    ``p_any``: how often chance gives as much in any of the tests made together. ``verdict``: fair, unfair, doubtful
    (large but maybe chance) or unknown (too few reps, or all alike).
    """

    name: str
    effect: float
    p: float
    p_any: float
    n: int
    verdict: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Fairness:
    """All tests of one set of quotas; ``what`` says which."""

    what: str
    tests: tuple[FairnessTest, ...]

    @property
    def unfair(self) -> list[FairnessTest]:
        """Tests that found bias."""
        return [test for test in self.tests if test.verdict == "unfair"]

    def table(self) -> pd.DataFrame:
        """One row per test; ``n`` reps (see ``attrs["units"]``)."""
        table = pd.DataFrame([asdict(test) for test in self.tests])
        effect = "rank correlation, eta squared or share"
        return with_units(table, {"effect": effect, "p": PROBABILITY, "p_any": PROBABILITY, "n": "reps"})

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {test.sentence}" for test in self.tests)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"what": self.what, "tests": plain_rows(self.table().to_dict("records"))}


def plan_fairness(figures: Figures, *, seed: int = 0) -> Fairness:
    """Test the quotas of ``plan`` against expected sales."""
    model, found, quotas = figures.model, figures.evaluation, figures.quotas
    facts = {"size": found.rep_sales, "potential": figures.potential, "tenure": model.problem.calendar.years_before}
    return _tests("this plan", found.rep_sales, quotas, facts, regions(model.problem), None, seed)


def past_fairness(model: Model, *, seed: int = 0) -> Fairness | None:
    """Test last year's quotas against what was sold; None where fewer than two reps have both.

    Also None for a plan of part of a year: there last quotas may be what the plan of the whole year asks of the rest.
    """
    if model.problem.policy.period.months < MONTHS_PER_YEAR:
        return None
    reps = model.problem.reps
    sales, quotas = (reps[name].to_numpy(float) for name in ("last_sales", "last_quota"))
    if (np.isfinite(sales) & (quotas > 0)).sum() < 2:
        return None
    potential = Figures(model, Plan.today(model)).potential
    facts = {"size": quotas, "potential": potential, "tenure": model.problem.calendar.years_before}
    return _tests("last year", sales, quotas, facts, regions(model.problem), _growth(model), seed)


def _growth(model: Model) -> FloatArray | None:
    """Each rep's sales of the last 12 months against the 12 before, (n_reps,); None without two years by seller."""
    sales = model.problem.past_sales
    if not len(sales) or not (sales["rep_id"] != "").any():
        return None
    month = month_numbers(sales["month"])
    last = month.max()
    if month.min() > last - 2 * MONTHS_PER_YEAR + 1:
        return None
    recent = month > last - MONTHS_PER_YEAR
    before = ~recent & (month > last - 2 * MONTHS_PER_YEAR)
    by_rep = [sales[chosen].groupby("rep_id")["sales"].sum() for chosen in (recent, before)]
    late, early = (total.reindex(model.problem.reps["rep_id"]).to_numpy(float) for total in by_rep)
    return np.asarray(np.divide(late, early, out=np.full(len(late), np.nan), where=early > 0) - 1.0)


def _tests(
    what: str,
    sales: FloatArray,
    quotas: FloatArray,
    facts: dict[str, FloatArray],
    region: npt.NDArray[np.int64],
    growth: FloatArray | None,
    seed: int,
) -> Fairness:
    has = (quotas > 0) & np.isfinite(sales)
    attainment = np.divide(sales, quotas, out=np.full(len(sales), np.nan), where=has)
    generator = np.random.default_rng(seed)
    found = [_rank_test(name, attainment, amounts, generator) for name, amounts in facts.items()]
    found.append(_region_test(attainment, region, generator))
    if growth is not None:
        found.append(_growth_test(attainment, growth, generator))
    together = int(np.isfinite([one.p for one in found]).sum())
    tests = [one.judged(p_any, together) for one, p_any in zip(found, holm([one.p for one in found]), strict=True)]
    return Fairness(what, (*tests, _near_test(attainment[has])))


def holm(chances: Sequence[float]) -> list[float]:
    """Probability of so small a chance in any of the tests, by Holm's step-down; NaN stays NaN and does not count."""
    p = np.array(chances, dtype=float)
    order = [k for k in np.argsort(p, kind="stable").tolist() if not np.isnan(p[k])]
    adjusted, largest = p.copy(), 0.0
    for done, k in enumerate(order):
        largest = max(largest, min((len(order) - done) * p[k], 1.0))
        adjusted[k] = largest
    return [float(x) for x in adjusted]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a test found before it is judged: is the effect ``large`` enough to matter, and ``words`` by verdict."""

    name: str
    effect: float
    p: float
    n: int
    large: bool
    words: dict[str, str]
    size: str

    def judged(self, p_any: float, tests: int) -> FairnessTest:
        if np.isnan(self.effect):
            return _unknown(self.name, self.n)
        verdict = "fair" if not self.large else "unfair" if p_any <= SETTINGS.certain else "doubtful"
        sentence = f"{self.name}: {self.words[verdict]} ({self.size}, {_chance(self.p)}"
        sentence += f"; in any of {tests} tests {_chance(p_any)})" if self.large else ")"
        return FairnessTest(self.name, self.effect, self.p, p_any, self.n, verdict, sentence)


_HIGH = {"size": "larger books", "potential": "books with more potential", "tenure": "reps who have been there longer"}


def _rank_test(name: str, attainment: FloatArray, amounts: FloatArray, generator: np.random.Generator) -> _Found:
    effect, p, n = _rank_effect(attainment, amounts, generator)
    easier = "easier" if effect > 0 else "harder"
    words = {
        "fair": "no bias",
        "unfair": f"quotas are {easier} for {_HIGH[name]}",
        "doubtful": f"quotas seem {easier} for {_HIGH[name]}, which may be chance",
    }
    large = abs(effect) >= SETTINGS.unfair_rank and _apart(attainment, amounts) >= SETTINGS.material
    return _Found(name, effect, p, n, large, words, f"rank correlation {effect:+.2f}")


def _growth_test(attainment: FloatArray, growth: FloatArray, generator: np.random.Generator) -> _Found:
    effect, p, n = _rank_effect(attainment, growth, generator)
    words = {
        "fair": "growth pays" if effect > 0 and p <= SETTINGS.certain else "no sign that growth costs",
        "unfair": "who grew more attained less",
        "doubtful": "who grew more seems to have attained less",
    }
    worse = effect <= -SETTINGS.unfair_rank and _apart(attainment, growth) >= SETTINGS.material
    return _Found("growth", effect, p, n, worse, words, f"rank correlation {effect:+.2f}")


def _rank_effect(
    attainment: FloatArray, amounts: FloatArray, generator: np.random.Generator
) -> tuple[float, float, int]:
    """Spearman's correlation, its p-value by permutation (two-sided) and the number of reps; NaN: cannot tell."""
    known = np.isfinite(attainment) & np.isfinite(amounts)
    n = int(known.sum())
    x, y = rankdata(np.round(attainment[known], SETTINGS.digits)), rankdata(amounts[known])
    if n < SETTINGS.fewest_reps or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, n
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    effect = float(x @ y) / n
    shuffled = generator.permuted(np.tile(x, (SETTINGS.permutations, 1)), axis=1) @ y / n
    return effect, _p_value(np.abs(shuffled), abs(effect)), n


def _apart(attainment: FloatArray, amounts: FloatArray) -> float:
    """By how much mean attainment differs between a part of the reps, those with the most, and those with the least."""
    known = np.flatnonzero(np.isfinite(attainment) & np.isfinite(amounts))
    ranked = known[np.argsort(amounts[known], kind="stable")]
    some = max(len(ranked) // SETTINGS.part, 1)
    return abs(float(attainment[ranked[-some:]].mean() - attainment[ranked[:some]].mean()))


def _region_test(attainment: FloatArray, region: npt.NDArray[np.int64], generator: np.random.Generator) -> _Found:
    known = np.isfinite(attainment)
    n = int(known.sum())
    x, (group, _) = rankdata(np.round(attainment[known], SETTINGS.digits)), pd.factorize(region[known])
    if n < SETTINGS.fewest_reps or np.ptp(x) == 0 or group.max() == 0 or np.bincount(group).max() < 2:
        return _Found("region", np.nan, np.nan, n, False, {}, "")
    x = (x - x.mean()) / x.std()
    size = np.bincount(group)
    sums = np.zeros((len(size), n))
    sums[group, np.arange(n)] = 1.0

    def between(ranks: FloatArray) -> FloatArray:
        return np.asarray(((ranks @ sums.T) ** 2 / size).sum(axis=-1) / n)

    effect = float(between(x))
    shuffled = between(generator.permuted(np.tile(x, (SETTINGS.permutations, 1)), axis=1))
    # So much of the variance lies between regions by chance: what counts is what is beyond.
    beyond = effect - float(shuffled.mean())
    p = _p_value(shuffled, effect)
    means = np.bincount(group, attainment[known]) / size
    words = {
        "fair": "no bias",
        "unfair": "quotas are easier in some regions than in others",
        "doubtful": "quotas seem easier in some regions, which may be chance",
    }
    large = beyond >= SETTINGS.unfair_region and float(np.ptp(means)) >= SETTINGS.material
    return _Found("region", effect, p, n, large, words, f"{effect:.0%} of the variance lies between regions")


def _near_test(attainment: FloatArray) -> FairnessTest:
    if len(attainment) < SETTINGS.fewest_reps:
        return _unknown("spread", len(attainment))
    middle = float(np.median(attainment))
    share = float((np.abs(attainment - middle) <= SETTINGS.near * abs(middle)).mean())
    verdict = "fair" if share >= SETTINGS.near_share else "unfair"
    sentence = f"spread: {share:.0%} of reps lie within {SETTINGS.near:.0%} of the median attainment of {middle:.0%}"
    return FairnessTest("spread", share, np.nan, np.nan, len(attainment), verdict, sentence)


def _unknown(name: str, n: int) -> FairnessTest:
    why = f"{n} reps are too few to tell" if n < SETTINGS.fewest_reps else "all alike, nothing to tell"
    return FairnessTest(name, np.nan, np.nan, np.nan, n, "unknown", f"{name}: {why}")


def _p_value(shuffled: FloatArray, effect: float) -> float:
    return float((1 + (shuffled >= effect - ROUNDING).sum()) / (len(shuffled) + 1))


def _chance(p: float) -> str:
    return "by chance in less than 1 of 1,000 cases" if p < SETTINGS.least_chance else f"by chance in {p:.1%} of cases"
