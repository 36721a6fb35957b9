"""Expected sales over coming months, with their spread, learnt from what the same levels said in the past.

The forecast is a weighted sum of the levels of :mod:`levels`. The weights are learnt on the history itself: stand at
earlier months, look the same stretch ahead, and fit what came (non-negative least squares, relative errors, older
looks count less), shrunk to fixed weights as a ridge prior. So lapsing, shrinkage towards the segment and the yield of
accounts that never bought are all what they have been in the data. This is stacking with non-negative weights
(Breiman, Machine Learning 24, 1996) of an empirical-Bayes kind: the prior stands where data are thin. Growth is told
apart (:mod:`growth`), since a look from less than a year of history cannot tell it from the season: there only how
accounts differ is learnt. Where orders are rare and large, or less than two years are known, the sum of the accounts is
brought to what the company as a whole suggests: weights learnt when many accounts had just been seen for the first time
do not fit later ones.

The spread is that of the errors of those looks. Their squares are fitted as

    variance = a x lump x level  +  b x level^2

the first term is outcome (orders come in lumps: a compound Poisson process), the second is how uncertain the
estimate itself is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from territory_opt.estimate.growth import elapsed, growth, level_doubt, top_down
from territory_opt.estimate.history import History
from territory_opt.estimate.levels import OWN, Levels, levels
from territory_opt.estimate.seasonality import seasonality
from territory_opt.estimate.settings import ForecastSettings, SpreadSettings
from territory_opt.problem.numbers import MONTHS_PER_YEAR, TINY

FloatArray = npt.NDArray[np.float64]
Fitted = dict[bool, tuple[float, float]]
"""Coefficients a and b of accounts that ever bought (True) and that never did (False)."""

SETTINGS, SPREAD = ForecastSettings(), SpreadSettings()


@dataclass(frozen=True, slots=True)
class Forecast:
    """Per account, over the months asked for.

    ``expected`` (n_accounts,) money; ``parts`` (n_accounts, 2) what own history and what potential contribute to it;
    ``outcome`` and ``doubt`` (n_accounts,) money squared: variance of the outcome, and of the estimate itself.
    ``level_doubt``: what is open of the company's level besides, see :func:`level_doubt`.
    """

    expected: FloatArray
    parts: FloatArray
    outcome: FloatArray
    doubt: FloatArray
    level_doubt: float

    @property
    def variance(self) -> FloatArray:
        """Predictive variance, (n_accounts,) money squared."""
        return self.outcome + self.doubt


def forecast(history: History, *, horizon: int, lead: int = 0) -> Forecast:
    """Forecast ``horizon`` months that begin ``lead`` months after ``history`` ends. Cost: linear in account-months."""
    factors, grows = seasonality(history), growth(history)
    pace = grows.pace[history.segment]
    now = levels(history, lead=lead, horizon=horizon, factors=factors)
    looks = _Looks(history, lead, horizon, factors, pace)
    now = replace(now, amounts=now.amounts * _grown(pace, history.n_months, lead, horizon)[:, None])
    weights = looks.weights()
    parts = np.column_stack([now.amounts[:, :OWN] @ weights[:OWN], now.amounts[:, OWN:] @ weights[OWN:]])
    parts *= _reconciled(history, float(parts.sum()), lead, horizon, factors, grows.pace)
    expected = parts.sum(axis=1)
    outcome, doubt = looks.spread(weights, now, expected)
    return Forecast(expected, parts, outcome, doubt, level_doubt(history, grows.doubt, lead=lead, horizon=horizon))


class _Looks:
    """Earlier months, what the levels were then, and what came."""

    def __init__(self, history: History, lead: int, horizon: int, factors: FloatArray, pace: FloatArray) -> None:
        self.history = history
        n, stretch = history.n_months, horizon
        lead = min(lead, max(n - SETTINGS.good_history - stretch, 0))
        while n - lead - stretch < SETTINGS.good_history and stretch > SETTINGS.step:
            stretch = max(stretch - SETTINGS.step, SETTINGS.step)
        self.looks: list[tuple[Levels, FloatArray, float]] = []
        for number in range(SETTINGS.looks):
            at = n - lead - stretch - SETTINGS.step * number
            if at < SETTINGS.least_history:
                break
            came = history.sales[:, at + lead : at + lead + stretch].sum(axis=1)
            seen = levels(history.until(at), lead=lead, horizon=stretch, factors=factors)
            seen = replace(seen, amounts=seen.amounts * _grown(pace, at, lead, stretch)[:, None])
            came = came if at >= MONTHS_PER_YEAR else _without_season(seen, came)
            if came is not None:
                self.looks.append((seen, came, SETTINGS.decay**number))

    def weights(self) -> FloatArray:
        """Weight of each column of the levels, all non-negative."""
        from scipy.optimize import nnls

        size = len(SETTINGS.prior)
        gram, target = np.zeros((size, size)), np.zeros(size)
        for seen, came, counts in self.looks:
            weighted = seen.amounts * (counts / _scale(seen.amounts))[:, None]
            gram += weighted.T @ seen.amounts
            target += weighted.T @ came
        ridge = np.where(np.diag(gram) > 0, SETTINGS.prior_strength**2 * np.diag(gram), 1.0)
        # What prospects bring is no matter of opinion once many were looked at, some of whom may be very large.
        ridge[-1] *= min(1.0, SETTINGS.prospects / max(sum(int((~seen.bought).sum()) for seen, _, _ in self.looks), 1))
        factor = np.linalg.cholesky(gram + np.diag(ridge))
        found, _ = nnls(factor.T, np.linalg.solve(factor, target + ridge * np.array(SETTINGS.prior)))
        return np.asarray(found)

    def spread(self, weights: FloatArray, now: Levels, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Variance of outcome and of estimate for accounts at levels ``now``, (n_accounts,) money squared each."""
        fitted = {group: self._coefficients(weights, group) for group in (True, False)}
        outcome, doubt = _variances(fitted, now, expected)
        ratio = self._by_segment(weights, fitted)[self.history.segment]
        total = (outcome + doubt) * ratio
        least, most = (SPREAD.least_cv * expected) ** 2, (SPREAD.most_cv * expected) ** 2
        bounded = np.clip(total, least, np.maximum(most, least))
        share = np.divide(outcome, outcome + doubt, out=np.ones_like(outcome), where=outcome + doubt > 0)
        share = np.maximum(share, SPREAD.least_outcome)
        return share * bounded, (1.0 - share) * bounded

    def _coefficients(self, weights: FloatArray, bought: bool) -> tuple[float, float]:
        """Fit a and b on the relative squared errors of accounts that had (or had not) ``bought`` by then."""
        from scipy.optimize import nnls

        rows, squares, counts = [], [], []
        for seen, came, count in self.looks:
            level = seen.amounts @ weights
            chosen = (seen.bought == bought) & (level > 0)
            rows.append(np.column_stack([seen.lump[chosen] / level[chosen], np.ones(chosen.sum())]))
            squares.append(((came[chosen] - level[chosen]) / level[chosen]) ** 2)
            counts.append(np.full(chosen.sum(), count) * level[chosen] / max(level[chosen].sum(), TINY))
        if not squares or sum(map(len, squares)) == 0:
            return SPREAD.prior
        stacked, square, count = np.vstack(rows), np.concatenate(squares), np.sqrt(np.concatenate(counts))
        square = np.minimum(square, np.quantile(square, SPREAD.outlier))
        (a, b), _ = nnls(stacked * count[:, None], square * count)
        return float(a), max(float(b), SPREAD.least_doubt_cv**2)

    def _by_segment(self, weights: FloatArray, fitted: Fitted) -> FloatArray:
        """Squared errors of each segment against those of the company's formula, (n_segments,), shrunk to 1."""
        history = self.history
        found = np.zeros(len(history.segments))
        formula, number = np.zeros_like(found), np.zeros_like(found)
        for seen, came, count in self.looks:
            level = seen.amounts @ weights
            outcome, doubt = _variances(fitted, seen, level)
            found += history.by_segment(count * (came - level) ** 2)
            formula += history.by_segment(count * (outcome + doubt))
            number += history.by_segment(np.full(len(level), count))
        typical = np.divide(formula, number, out=np.zeros_like(formula), where=number > 0)
        extra = SPREAD.segment_errors * typical
        return np.divide(found + extra, formula + extra, out=np.ones_like(found), where=formula + extra > 0)


def _without_season(seen: Levels, came: FloatArray) -> FloatArray | None:
    """What came, of accounts that had bought by then brought to what they were to bring in all.

    A look from less than a year of history then teaches how they differ. None where it can teach nothing: nearly
    nothing came of them (they order once a year), or many times as much.
    """
    came = np.maximum(came, 0.0)
    told, brought = (float(amounts[seen.bought].sum()) for amounts in (seen.amounts @ np.array(SETTINGS.prior), came))
    if told <= 0 or not SETTINGS.teaches[0] <= brought / told <= SETTINGS.teaches[1]:
        return None
    return np.where(seen.bought, came * (told / brought), came)


def _reconciled(
    history: History, total: float, lead: int, horizon: int, factors: FloatArray, pace: FloatArray
) -> float:
    """Factor that brings the accounts' ``total`` towards that of the company as a whole, where that tells more."""
    ahead = factors[:, history.calendar(history.n_months + lead, horizon)].sum(axis=1) / MONTHS_PER_YEAR
    sold = history.by_segment(np.maximum(history.sales[:, -MONTHS_PER_YEAR:].sum(axis=1), 0.0))
    part = float(ahead @ sold / sold.sum()) if sold.sum() > 0 else horizon / MONTHS_PER_YEAR
    whole, counts = top_down(history, pace, lead=lead, horizon=horizon, part=part)
    return float(np.clip(whole / total, *SETTINGS.reconciled) ** counts) if total > 0 and whole > 0 else 1.0


def _grown(pace: FloatArray, known: int, lead: int, stretch: int) -> FloatArray:
    """Growth from the last year that is known to the stretch ahead, (n_accounts,)."""
    return np.asarray(np.exp(pace * elapsed(known, lead, stretch)))


def _variances(fitted: Fitted, seen: Levels, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Variance of outcome and of estimate at ``level`` (n_accounts,) by the formula."""
    a, b = (np.where(seen.bought, fitted[True][k], fitted[False][k]) for k in range(2))
    return a * seen.lump * level, b * level**2


def _scale(amounts: FloatArray) -> FloatArray:
    mean = amounts.mean(axis=1)
    return np.asarray(np.maximum(mean + SETTINGS.least_level * float(mean.mean()), TINY))
