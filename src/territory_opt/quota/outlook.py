"""What a year that is under way may still bring, for every rep and for the company.

With expected sales M of the months there, of which a part f should have come by now, sales so far S and of the rest R
are taken as

    S / M = f (1 + t + u + q) + w sin(pi f) + e1
    R / M = (1 - f) (1 + t + u) - w sin(pi f) + e2

    t ~ N(0, doubt / M^2)             own level of the year: the estimate is not certain (own shocks add to t and luck)
    u ~ N(0, L s^2)                   what all share of it: s the shared shock, L the part of its variance that lasts
    q ~ N(0, (1 - L) s^2 / f)         what all share of the months so far, f the company's; that of the months to come
                                      is in e2
    w ~ N(0, season_doubt / pi^2)     sales that came early: one wave over the year, of unknown phase, own to each since
                                      books differ in their segments
    e1, e2                            luck: variances f V and (1 - f) V, V = outcome / M^2

All are normal, so that R given S is a regression (Gelman et al., Bayesian Data Analysis, 2.5). A shared shock is not
known after half a year: most of its variance is bad and good months that come and go. What all share is learnt from the
others first: their sales together say more of it than those of one rep. The leaderboard ranks by 1 + t + u + q given S:
sales against what these accounts were expected to bring, freed of luck and season: a lucky month of a small book is
shrunk more, towards how the others do, than a good half year of a large one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from territory_opt.problem.numbers import RANGE_80, ROUNDING
from territory_opt.quota.settings import OutlookSettings

FloatArray = npt.NDArray[np.float64]

SETTINGS = OutlookSettings()


@dataclass(frozen=True, slots=True)
class Book:
    """What was expected of each rep, (n,) each: money of the year, variances, and the part of it that is past.

    ``season_doubt`` is the variance of a monthly factor's error.
    """

    mean: FloatArray
    outcome: FloatArray
    doubt: FloatArray
    past: FloatArray
    season_doubt: float = 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Sales of the rest of the year, (n,) each: ``left`` expected, ``spread`` its standard deviation; money.

    ``adjusted``: sales so far against what was expected, freed of luck and season.
    """

    left: FloatArray
    spread: FloatArray
    adjusted: FloatArray

    def chance(self, missing: FloatArray) -> FloatArray:
        """Probability that the rest brings what is ``missing`` (n,); 1 where nothing is, since it brings nothing less.

        Returns to come are not foreseen.
        """
        certain = np.where(self.left >= missing, np.inf, -np.inf)
        z = np.divide(self.left - missing, self.spread, out=certain, where=self.spread > 0)
        return np.where(missing <= 0, 1.0, norm.cdf(z))

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """The 80 % range of the rest, (n,) each, nothing at least."""
        return (
            np.maximum(self.left - RANGE_80 * self.spread, 0.0),
            np.maximum(self.left + RANGE_80 * self.spread, 0.0),
        )


def look_ahead(book: Book, sold: FloatArray, shared: float, own: float) -> Outlook:
    """What the year may still bring after ``sold`` (n,) money.

    ``shared`` is the spread of the shock that all share, ``own`` that of shocks which a rep shares with some (a region,
    a segment) and the others say nothing of; both as shares of sales.
    """
    mean, f = np.maximum(book.mean, ROUNDING), book.past
    rest, known = 1.0 - f, (f > 0) & (book.mean > 0)
    level, passing = book.doubt / mean**2 + SETTINGS.lasting * own**2, (1.0 - SETTINGS.lasting) * own**2
    luck, early = book.outcome / mean**2 + passing, _early(book.season_doubt, f)
    told, doubt = _shared(book, sold, shared, own)
    # Covariance of u with u + q, of q with u + q; of u + q; and of u alone.
    with_u, with_q, alone = doubt[:, 0].sum(axis=1), doubt[:, 1].sum(axis=1), doubt[:, 0, 0]
    seen = f**2 * (level + with_u + with_q) + early + f * luck
    both = f * rest * (level + with_u) - early
    ahead = rest**2 * (level + alone) + early + rest * (luck + (1.0 - SETTINGS.lasting) * shared**2)
    off = sold / mean - f * (1.0 + told.sum(axis=1))
    by = np.divide(off, seen, out=np.zeros_like(mean), where=known & (seen > 0))
    explained = np.divide(both**2, seen, out=np.zeros_like(mean), where=known & (seen > 0))
    left = mean * np.maximum(rest * (1.0 + told[:, 0]) + both * by, 0.0)
    # 1 + t + u + q: own and shared level of the year, and the shocks of the months so far.
    adjusted = 1.0 + told.sum(axis=1) + (f * (level + with_u + with_q) + passing) * by
    return Outlook(left, mean * np.sqrt(np.maximum(ahead - explained, 0.0)), adjusted)


def _early(season_doubt: float, past: FloatArray) -> FloatArray:
    """Variance of what came too early or late, as a share of the year squared, where the part ``past`` is over."""
    return np.asarray(season_doubt * (np.sin(np.pi * past) / np.pi) ** 2)


def _shared(book: Book, sold: FloatArray, shared: float, own: float) -> tuple[FloatArray, FloatArray]:
    """Mean (n, 2) and covariance (n, 2, 2) of u and q for each rep, from what all the others sold together."""
    mean = float(book.mean.sum()) - book.mean
    due = float(book.mean @ book.past) - book.mean * book.past
    f = np.divide(due, mean, out=np.zeros_like(mean), where=mean > 0)
    gone, part = book.past, float(book.mean @ book.past) / max(float(book.mean.sum()), ROUNDING)
    prior = np.array([SETTINGS.lasting * shared**2, (1.0 - SETTINGS.lasting) * shared**2 / part if part > 0 else 0.0])
    noise = gone**2 * (book.doubt + SETTINGS.lasting * (own * book.mean) ** 2)
    noise += gone * (book.outcome + (1.0 - SETTINGS.lasting) * (own * book.mean) ** 2)
    noise = np.maximum(float(noise.sum()) - noise, 0.0) / np.maximum(mean, ROUNDING) ** 2 + _early(book.season_doubt, f)
    by = f[:, None] * prior
    seen = f**2 * prior.sum() + noise
    known = (mean > 0) & (due > 0) & (seen > 0)
    gain = np.divide(by, seen[:, None], out=np.zeros_like(by), where=known[:, None])
    off = np.divide(float(sold.sum()) - sold, mean, out=np.zeros_like(mean), where=mean > 0) - f
    return gain * off[:, None], np.diag(prior)[None] - gain[:, :, None] * by[:, None, :]
