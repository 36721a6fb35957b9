"""The linear program of a model over listed pairs, whose multipliers are priced over all eligible ones."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from territory_opt.optimize.bound.bounded import ceiling_prices, default_hard_price
from territory_opt.optimize.bound.dual import settle_quotas, territory_shares
from territory_opt.optimize.bound.rounding import Rounding
from territory_opt.optimize.mip.linear import linear_model
from territory_opt.optimize.mip.warm_lp import WarmLp
from territory_opt.optimize.pairs.pricing import reduced_values
from territory_opt.optimize.task import Task
from territory_opt.plan.certificate import apart_from_nodes, value_problems
from territory_opt.plan.cuts import NO_CUTS, Cuts, RoundedCuts
from territory_opt.problem.numbers import TINY

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """Multipliers of rows (n_rows,) and of cuts (n_cuts,), with the ``bound`` they prove."""

    values: FloatArray
    cut_values: FloatArray
    bound: float


class Program:
    """Solved again and again with other pairs closed, and with more cuts; positions are those of all ``pairs``.

    It is ``loaded`` when it is solved: after pairs are taken in or cuts left out many a program is not needed any more.
    """

    def __init__(self, task: Task, value: float) -> None:
        self.task, self.value, self.model, self.rows = task, value, task.model, task.model.rows
        self.settings, bounded = task.settings.cases, task.bounded
        self.pairs = self.model.pairs()
        self.node, self.ceiling = self.pairs.node, ceiling_prices(self.rows, np.inf, task.settings.ceiling)
        self.share = territory_shares(self.rows, self.pairs)
        self.first = Prices(bounded.multipliers, np.zeros(0), bounded.bound)
        reduced = reduced_values(self.pairs, self.rows.at_rep(bounded.multipliers))
        loss = self.best(reduced)[self.node] - reduced
        most = self.settings.per_node * self.model.source.n_nodes
        limit = np.partition(loss, most)[most] if most < len(loss) else np.inf
        near = loss <= min(self.settings.within * (bounded.bound - value), limit)
        self.listed = near | (self.pairs.place_by(loss) < self.settings.width)
        self.dear = self.settings.dearer * float((np.abs(bounded.multipliers) * self.rows.scale).max(initial=0.0))
        self.rounding = Rounding(self.model, self.pairs, task.settings.cuts)
        self.cuts, self.solved = NO_CUTS, 0
        self.worked_out, self.matrix = self.rounding.coefficients(NO_CUTS)
        self.loaded = False

    @property
    def n_listed(self) -> int:
        """Pairs of a program."""
        return max(int(self.listed.sum()), 1)

    def solve(self, closed: Collection[int], known: Prices) -> tuple[Prices, FloatArray | None]:
        """Return better prices than are ``known`` without the ``closed`` pairs, and the x of those asked for."""
        x = None
        for last in (False, True):
            if not self.loaded:
                self._load()
            columns = (int(self.column[k]) for k in closed if self.listed[k])
            found = self.lp.solve(columns, time_limit=self.task.clock.left)
            self.solved += 1
            if found is None:
                return known, None
            x = found.x
            values, cut_values = self._settled(
                found.multipliers, self.linear.cut_multipliers(found.duals, len(self.cuts))
            )
            reduced = self.reduced(values, cut_values, closed)
            best, listed = self.best(reduced), self.best(np.where(self.listed, reduced, -np.inf))
            bound = self.bound(values, cut_values, best)
            load = self.worked_out.loads(cut_values, len(self.rows))
            if bound < known.bound and not value_problems(self.rows, values, load):
                known = Prices(values, cut_values, bound)
            missing = ~self.listed & (reduced > listed[self.node])
            lost = float((best - listed).sum())
            if last or not missing.any() or lost <= self.settings.missed * (known.bound - self.value):
                break
            self.listed |= missing
            self.loaded = False
        return known, x

    def round(self, known: Prices) -> Prices:
        """Add rounding cuts while they pay; return better prices than are ``known``, with one of each cut."""
        settings = self.task.settings.cuts
        known, x_asked = self.solve((), known)
        for _ in range(settings.rounds):
            if x_asked is None or self.task.clock.out("cuts"):
                break
            point = self.lp.point()
            x = np.zeros(len(self.pairs.rep))
            x[self.listed] = point[: self.n_listed]
            if not self._add(self.rounding.find(x, self.linear.quotas(point))):
                break
            before = known.bound
            known, x_asked = self.solve((), self._padded(known))
            if before - known.bound < settings.worthwhile * (before - self.value):
                break
        return self._pruned(known)

    def at(self, prices: Prices, closed: Collection[int]) -> Prices:
        """Return prices with the bound that they prove without the ``closed`` pairs."""
        best = self.best(self.reduced(prices.values, prices.cut_values, closed))
        return replace(prices, bound=self.bound(prices.values, prices.cut_values, best))

    def reduced(self, values: FloatArray, cut_values: FloatArray, closed: Collection[int]) -> FloatArray:
        """Reduced value of every pair, -inf where it is closed."""
        reduced = reduced_values(self.pairs, self.rows.at_rep(values)) - self.matrix.T @ cut_values
        reduced[list(closed)] = -np.inf
        return np.asarray(reduced)

    def bound(self, values: FloatArray, cut_values: FloatArray, best: FloatArray) -> float:
        """The bound of multipliers where each node's best reduced value is ``best``, (n_nodes,)."""
        apart = apart_from_nodes(self.model, values, self.model.quota_limit)
        return float(best.sum()) + apart + float(cut_values @ self.worked_out.limit)

    def best(self, reduced: FloatArray) -> FloatArray:
        """Each node's best of values of pairs (n_pairs,)."""
        return np.asarray(np.maximum.reduceat(reduced, self.pairs.start[:-1]))

    def _load(self) -> None:
        """Build the program of the listed pairs with all cuts, and say whose x tells what is split."""
        self.column = np.cumsum(self.listed) - 1
        rows, settings = self.rows, self.settings
        dear = settings.hard_times * (self.first.bound - self.value) + self.dear
        self.linear = linear_model(
            self.model,
            self.pairs.keep(self.listed),
            rows,
            violations="price" if rows.hard.any() else "none",
            hard_price=default_hard_price(self.pairs, rows) + dear * rows.hard / rows.scale,
        ).with_cuts(self.matrix[:, self.listed], self.worked_out)
        open_pairs = np.flatnonzero(self.listed & (np.diff(self.pairs.start) > 1)[self.node])
        largest_first = np.argsort(-self.share[self.node[open_pairs]], kind="stable")
        self.asked = open_pairs[largest_first][: settings.most_asked]
        self.lp = WarmLp(self.linear, self.column[self.asked])
        self.loaded = True

    def _add(self, cuts: Cuts) -> bool:
        """Add ``cuts``; whether there are any."""
        if len(cuts):
            worked_out, matrix = self.rounding.coefficients(cuts)
            self.linear = self.linear.with_cuts(matrix[:, self.listed], worked_out)
            self.lp.add(self.linear)
            self.cuts = self.cuts.with_more(cuts)
            self.worked_out = RoundedCuts.of(self.model, self.cuts)
            self.matrix = sparse.vstack([self.matrix, matrix], format="csr")
        return len(cuts) > 0

    def _padded(self, known: Prices) -> Prices:
        """The same prices where there are more cuts now."""
        more = np.zeros(len(self.cuts) - len(known.cut_values))
        return replace(known, cut_values=np.concatenate([known.cut_values, more]))

    def _pruned(self, known: Prices) -> Prices:
        """Leave out the cuts that have no multiplier."""
        known = self._padded(known)
        kept = np.flatnonzero(known.cut_values > 0)
        self.cuts, self.matrix = self.cuts.take(kept), self.matrix[kept]
        self.worked_out = RoundedCuts.of(self.model, self.cuts)
        self.loaded = False
        return replace(known, cut_values=known.cut_values[kept])

    def _settled(self, values: FloatArray, cut_values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same multipliers within the prices of their rows, where quotas gain nothing by growing."""
        rows, cuts = self.rows, self.worked_out
        price = np.where(rows.hard | (rows.worst_group >= 0), np.inf, rows.price)
        no_low, no_high = np.isinf(rows.low), np.isinf(rows.high)
        below, above = cuts.loads(cut_values, len(rows))
        # The row's own multiplier makes room on one side where the other has a limit, too.
        used = np.where(no_low, above, np.where(no_high, below, 0.5 * (below + above)))
        fits = np.append(np.where(used > price, price / np.maximum(used, TINY), 1.0), 1.0)
        cut_values = cut_values * fits[cuts.rows].min(axis=1, initial=1.0)
        below, above = cuts.loads(cut_values, len(rows))
        values = np.clip(values, above - price, price - below)
        values = np.where(no_low, np.minimum(values, 0.0), np.where(no_high, np.maximum(values, 0.0), values))
        return settle_quotas(rows, values, self.ceiling - above), cut_values
