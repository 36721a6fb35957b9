"""What a year that is under way may still bring, for every rep and for the company.

With expected sales M of the months there, of which a part f should have come by now, sales so far S and of the rest R
are taken as

    S / M = f (1 + t + u + q) + w sin(pi f) + e1
    R / M = (1 - f) (1 + t + u) - w sin(pi f) + e2

    t ~ N(0, doubt / M^2)             own level of the year: the estimate is not certain (own shocks add to t and luck)
    u ~ N(0, L s^2 + g^2)             what all share of it: s the shared shock, L the part of its variance that lasts,
                                      g the growth that a short history leaves open
    q ~ N(0, (1 - L) s^2 / f)         what all share of the months so far; e2 holds that of the months to come
    w ~ N(0, season_doubt / pi^2)     sales that came early: one wave over the year, of unknown phase
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

FloatArray = npt.NDArray[np.float64]

LASTING = 0.25
"""Part of a shared shock's variance that lies on the whole year alike; chosen on generated companies (benchmarks)."""
RANGE = float(norm.ppf(0.9))
"""Standard deviations on either side of the outlook that hold 80 %."""


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
        return (np.maximum(self.left - RANGE * self.spread, 0.0), np.maximum(self.left + RANGE * self.spread, 0.0))


def look_ahead(book: Book, sold: FloatArray, shared: float, own: float, growth: float = 0.0) -> Outlook:
    """What the year may still bring after ``sold`` (n,) money.

    ``shared`` is the spread of the shock that all share, ``own`` that of shocks which a rep shares with some (a region,
    a segment) and the others say nothing of, ``growth`` that of the company's growth; all as shares of sales.
    """
    mean, f, wave = np.maximum(book.mean, 1e-9), book.past, np.sin(np.pi * book.past)
    rest, known = 1.0 - f, (f > 0) & (book.mean > 0)
    level, passing = book.doubt / mean**2 + LASTING * own**2, (1.0 - LASTING) * own**2
    luck = book.outcome / mean**2
    told, doubt = _shared(book, sold, shared, own, growth)
    seen_by, rest_by = np.column_stack([f, f, wave]), np.column_stack([rest, 0 * f, -wave])
    told_of_rest = (rest_by[:, None, :] @ doubt)[:, 0]
    seen = np.einsum("ni,nij,nj->n", seen_by, doubt, seen_by) + f**2 * level + f * (luck + passing)
    both = (told_of_rest * seen_by).sum(axis=1) + f * rest * level
    ahead = (told_of_rest * rest_by).sum(axis=1) + rest**2 * level
    ahead += rest * (luck + passing + (1.0 - LASTING) * shared**2)
    off = sold / mean - f - (seen_by * told).sum(axis=1)
    by = np.divide(off, seen, out=np.zeros_like(mean), where=known & (seen > 0))
    explained = np.divide(both**2, seen, out=np.zeros_like(mean), where=known & (seen > 0))
    left = mean * np.maximum(rest + (rest_by * told).sum(axis=1) + both * by, 0.0)
    # 1 + t + u + q: own and shared level of the year, and the shocks of the months so far.
    reach = (doubt[:, :2] @ seen_by[:, :, None])[:, :, 0].sum(axis=1) + f * level + passing
    adjusted = 1.0 + told[:, 0] + told[:, 1] + reach * by
    return Outlook(left, mean * np.sqrt(np.maximum(ahead - explained, 0.0)), adjusted)


def _shared(book: Book, sold: FloatArray, shared: float, own: float, growth: float) -> tuple[FloatArray, FloatArray]:
    """Mean (n, 3) and covariance (n, 3, 3) of u, q and w for each rep, from what all the others sold."""
    n = len(sold)
    mean = float(book.mean.sum()) - book.mean
    due = float(book.mean @ book.past) - book.mean * book.past
    f = np.divide(due, mean, out=np.zeros(n), where=mean > 0)
    part = float(book.mean @ book.past) / max(float(book.mean.sum()), 1e-12)
    passing = (1.0 - LASTING) * shared**2 / part if part > 0 else 0.0
    prior = np.array([LASTING * shared**2 + growth**2, passing, book.season_doubt / np.pi**2])
    gone = book.past
    noise = gone**2 * (book.doubt + LASTING * (own * book.mean) ** 2)
    noise += gone * (book.outcome + (1.0 - LASTING) * (own * book.mean) ** 2)
    noise = np.maximum(float(noise.sum()) - noise, 0.0) / np.maximum(mean, 1e-9) ** 2
    by = np.column_stack([f, f, np.sin(np.pi * f)]) * prior
    seen = (by * np.column_stack([f, f, np.sin(np.pi * f)])).sum(axis=1) + noise
    known = (mean > 0) & (due > 0) & (seen > 0)
    gain = np.divide(by, seen[:, None], out=np.zeros((n, 3)), where=known[:, None])
    off = np.divide(float(sold.sum()) - sold, mean, out=np.zeros(n), where=mean > 0) - f
    return gain * off[:, None], np.diag(prior)[None] - gain[:, :, None] * by[:, None, :]
