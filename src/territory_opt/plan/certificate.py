"""The bound: recomputed from the data and one multiplier per row, in plain NumPy, without any solver.

For multipliers u (positive at a lower limit, negative at an upper one) no plan is worth more than

    sum_i max_j (value_ij + sum_r u_r weight_r,ij)
      + sum_j max_q q_j sum_r u_r c_rj  -  sum_r (u_r+ low_r - u_r- high_r)

over *all* eligible pairs, rounded up by what floats may have lost, as long as |u_r| stays within the price of a priced
row (a hard row has no price and no range): Lagrangian duality, Geoffrion (1974). A proof by cases does the same at
every leaf of a tree of questions, see :mod:`territory_opt.plan.cases`. docs/bound.md has the derivation in one page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.model.model import Model
from territory_opt.model.pairs import Block
from territory_opt.model.rows import Rows
from territory_opt.plan.audit import row_tolerances
from territory_opt.plan.cases import Cases
from territory_opt.plan.cuts import RoundedCuts
from territory_opt.plan.evaluate import kappa_drift
from territory_opt.plan.figures import Figures
from territory_opt.plan.plan import Plan
from territory_opt.problem.numbers import HALF_CENT
from territory_opt.problem.problem import Problem

FloatArray = npt.NDArray[np.float64]
Load = tuple[FloatArray, FloatArray] | tuple[float, float]

ROUNDING = 64
"""Floats may lose so many units in the last place of all amounts that a bound adds up, and one more for every block."""
SAME_SHARE = 1e-6
"""A gap below half a cent is none if it is below this share of what the plan is worth, too, ..."""
LEAST_WORTH = 1e-3
"""... which counts as so much money at least; ..."""
LEAST_DIVISOR = 1e-9
"""... a larger one is a share of so much at least."""
KAPPA_TOLERANCE = 1e-12
"""Relative slack when a certificate's kappa is held against the plan's: they are the same float, written and read."""
PRICE_TOLERANCE = 1e-9
"""Relative slack when a multiplier is held against its price (rounding of floats only)."""


@dataclass(frozen=True, slots=True, repr=False)
class Multipliers:
    """What a plan carries as its proof: one multiplier per row, with the names of the rows.

    ``values`` are those that prove the bound, (n_rows,), in money per unit of the row; ``rules`` and ``subjects`` name
    the rows, ``kappa`` is the fair quota per unit of expected sales that they were built with.
    ``least_violation`` are the multipliers (per row, in units of the row's scale) that prove how much the hard
    rules must at least be broken; empty when they can all hold. ``cases`` prove a tighter bound where few accounts
    decide.
    """

    values: FloatArray
    rules: tuple[str, ...]
    subjects: tuple[str, ...]
    kappa: float
    least_violation: FloatArray
    cases: Cases | None = None

    def __post_init__(self) -> None:
        """Take lists of numbers too."""
        for name in ("values", "least_violation"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        for name in ("rules", "subjects"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def of(
        cls, model: Model, values: FloatArray, least_violation: FloatArray | None = None, cases: Cases | None = None
    ) -> Multipliers:
        """Label ``values`` (n_rows,) with the rows of ``model``."""
        rules, subjects = zip(*model.rows.names, strict=True) if len(model.rows) else ((), ())
        least = np.zeros(0) if least_violation is None else least_violation
        return cls(values, rules, subjects, model.kappa, least, cases)

    def __repr__(self) -> str:
        cases = "" if self.cases is None else f" · {len(self.cases.values):,} cases"
        return f"Multipliers({len(self.values):,} rows{cases} · kappa {self.kappa:.6g})"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the judge finds: money values and the gap, all recomputed.

    It says what a plan is worth and what no plan can exceed, not whether the plan keeps the rules: ask :func:`audit`.
    Both hold at the plan's kappa; ``kappa_drift`` is by how much the plan's own fair share of expected sales differs
    from it (0 without quotas), which is small for a plan that was solved and large for one with a forged kappa.
    ``objective`` and ``bound`` are money of the plan's period. ``problems`` lists why the multipliers do not prove
    anything (then ``bound`` is infinite). ``least_violation``: by how much hard rules must at least be broken, each in
    units of its scale; 0 where nothing is proven.
    """

    objective: float
    bound: float
    problems: tuple[str, ...] = ()
    least_violation: float = 0.0
    kappa_drift: float = 0.0

    @property
    def gap(self) -> float:
        """Relative gap: (bound - objective) / |objective|."""
        return relative_gap(self.objective, self.bound)

    @property
    def gap_money(self) -> float:
        """The gap in money per year."""
        return self.bound - self.objective


def relative_gap(objective: float, bound: float) -> float:
    """Return (bound - objective) / |objective|; 0 when both agree to the cent and to one part in a million."""
    difference = bound - objective
    same = abs(difference) < min(HALF_CENT, SAME_SHARE * max(abs(bound), abs(objective), LEAST_WORTH))
    return 0.0 if same else difference / max(abs(objective), LEAST_DIVISOR)


def certify(problem: Problem, plan: Plan, certificate: Multipliers) -> Certificate:
    """Recompute objective, bound and gap of ``plan`` from the data and the multipliers alone.

    >>> import territory_opt as to
    >>> problem = to.load_scenario("scenarios/toy").problem()
    >>> result = to.solve(problem, time_limit=10)
    >>> found = to.certify(problem, result.plan, result.certificate)
    >>> round(found.objective, 2), round(found.gap_money, 2), found.problems
    (-53.15, 0.98, ())
    """
    return certify_figures(Figures(Model.build(problem, kappa=plan.kappa), plan), certificate)


def certify_figures(figures: Figures, certificate: Multipliers) -> Certificate:
    """As :func:`certify`, for a plan whose figures may be known already."""
    model, plan = figures.model, figures.plan
    problems = multiplier_problems(model, certificate)
    named = {"the assignment names an account": plan.assignment.index, "the quotas name a rep": plan.annual.index}
    twice = [what for what, index in named.items() if index.has_duplicates]
    if twice:
        return Certificate(np.nan, np.inf, (*(f"{what} twice" for what in twice), *problems))
    found = figures.evaluation
    objective, drift = found.objective, kappa_drift(model, found)
    if problems:
        return Certificate(objective, np.inf, tuple(problems), kappa_drift=drift)
    bound = dual_bound(model, certificate.values)
    if certificate.cases is not None:
        bound = min(bound, bound_by_cases(model, certificate.cases))
    bound += tolerated(model, certificate, found.outside)
    least = least_violation_bound(model, certificate.least_violation) if len(certificate.least_violation) else 0.0
    return Certificate(objective, bound, (), max(least, 0.0), drift)


def tolerated(model: Model, certificate: Multipliers, outside: FloatArray) -> float:
    """What a plan may be worth beyond the bound, since hard rows count as kept that are ``outside`` by a trifle.

    A plan that breaks row r by d is worth at most the bound + sum |u_r| d, and what cuts make of the row besides: for
    the audit's tolerances less than a cent or a millionth of a limit each.
    """
    rows, cases = model.rows, certificate.cases
    trifle = np.where(rows.hard & (np.abs(outside) <= row_tolerances(rows)), np.abs(outside), 0.0)
    weights = [np.abs(certificate.values)]
    if cases is not None:
        weights += [np.abs(own) + sum(load) for own, load in zip(cases.values, _loads(model, cases), strict=True)]
    return float(np.max([weight @ trifle for weight in weights]))


def multiplier_problems(model: Model, certificate: Multipliers) -> list[str]:
    """List why the multipliers cannot prove a bound for this model; empty if they can."""
    rows = model.rows
    rules, subjects = zip(*rows.names, strict=True) if len(rows) else ((), ())
    if certificate.rules != rules or certificate.subjects != subjects:
        return ["the certificate was made for other rules, reps or tables than these"]
    if not (np.isfinite(certificate.kappa) and np.isfinite(model.kappa) and model.kappa >= 0):
        return ["the fair share of expected sales (kappa) is not a number"]
    if abs(certificate.kappa - model.kappa) > KAPPA_TOLERANCE * max(1.0, abs(model.kappa)):
        return ["the certificate was made for another fair share of expected sales (kappa) than the plan's"]
    least, cases = certificate.least_violation, certificate.cases
    if least.shape not in ((0,), (len(rows),)) or not np.isfinite(least).all():
        return ["the certificate's proof that the rules clash is not one number per row"]
    problems = value_problems(rows, certificate.values)
    if cases is None or problems:
        return problems
    problems = cases.problems(model)
    if problems:
        return problems
    loads = _loads(model, cases)
    found = (
        text for values, load in zip(cases.values, loads, strict=True) for text in value_problems(rows, values, load)
    )
    return list(dict.fromkeys(found))


def _loads(model: Model, cases: Cases) -> list[Load]:
    """What cuts take of each row's price, for each case."""
    rounded = RoundedCuts.of(model, cases.cuts)
    return [rounded.loads(own, len(model.rows)) for own in cases.cut_values]


def value_problems(rows: Rows, values: FloatArray, load: Load = (0.0, 0.0)) -> list[str]:
    """List why multipliers ``values`` prove no bound for ``rows``; empty if they do.

    ``load``: what rounding cuts take of each row's price, below and above its limits, (n_rows,) each.
    """
    if values.shape != (len(rows),) or not np.isfinite(values).all():
        return ["the certificate holds a multiplier that is missing or not a number"]
    if not all(np.isfinite(part).all() for part in load):
        return ["the certificate holds a multiplier of a rounding cut that is too large: no bound follows"]
    problems = [
        f"the multiplier of {rows.items[r].rule}, {rows.items[r].subject} stands on a limit that does not exist"
        for r in np.flatnonzero(((values > 0) & np.isinf(rows.low)) | ((values < 0) & np.isinf(rows.high)))
    ]
    excess = price_excess(rows, values, load)
    allowed = np.zeros(len(rows.worst_price))
    np.add.at(allowed, rows.worst_group[rows.worst_group >= 0], excess[rows.worst_group >= 0])
    problems += [
        f"the multiplier of {rows.items[r].rule}, {rows.items[r].subject} is larger than its price: no bound follows"
        for r in np.flatnonzero((excess > 0) & (rows.worst_group < 0))
    ]
    problems += [
        "the multipliers of one rule together are larger than the price of its worst rep: no bound follows"
        for used, price in zip(allowed, rows.worst_price, strict=True)
        if used > price * (1 + PRICE_TOLERANCE)
    ]
    return problems


def price_excess(rows: Rows, values: FloatArray, load: Load = (0.0, 0.0)) -> FloatArray:
    """By how much each multiplier, with the ``load`` of cuts, exceeds the row's own price, (n_rows,); 0 if hard.

    Below its limits a row with u < 0 gains |u| for every unit, which cuts may use up, too; likewise above them.
    """
    limit = np.where(rows.hard, np.inf, rows.price * (1 + PRICE_TOLERANCE))
    used = np.maximum(values + load[0], load[1] - values)
    return np.asarray(np.maximum(used - limit, 0.0))


def dual_bound(
    model: Model, values: FloatArray, *, value_weight: float = 1.0, quota_limit: FloatArray | None = None
) -> float:
    """Return the Lagrangian bound at multipliers ``values`` (n_rows,) over all eligible pairs, money per year."""
    limit = model.quota_limit if quota_limit is None else quota_limit
    one = Cases(("",), ("",), values[None, :])
    return float(_bounds(model, one, value_weight, limit)[0])


def bound_by_cases(model: Model, cases: Cases) -> float:
    """Return the largest bound of a leaf, money per year: what no plan can exceed, whatever it answers."""
    return float(_bounds(model, cases, 1.0, model.quota_limit).max())


def _bounds(model: Model, cases: Cases, value_weight: float, quota_limit: FloatArray) -> FloatArray:
    """Bound at each leaf, (n_leaves,); -inf: an account has no rep left there."""
    at_reps = [model.rows.at_rep(own) for own in cases.values]
    allowed, cuts = list(cases.allowed(model)), RoundedCuts.of(model, cases.cuts)

    def look(block: Block) -> tuple[FloatArray, FloatArray, FloatArray]:
        sums, by_cut = np.empty(len(at_reps)), cuts.of_block(block)
        for k, at_rep in enumerate(at_reps):
            reduced = reduced_values(block, at_rep, value_weight)
            if len(cuts):
                reduced -= cuts.per_rep(by_cut, cases.cut_values[k], model.rows.n_reps)
            for node, reps in allowed[k].items():
                if block.start <= node < block.stop:
                    reduced[node - block.start, ~reps] = -np.inf
            sums[k] = reduced.max(axis=1).sum()
        sizes = np.array([_size(amounts) for amounts in (block.value, *block.quantities)])
        return sums, sizes, np.abs(by_cut).sum(axis=0)

    looks = list(model.source.over_blocks(look))
    sums, size, by_cut = (np.sum([found[k] for found in looks], axis=0) for k in range(3))
    size[0] *= value_weight
    lost = np.finfo(float).eps * (ROUNDING + len(looks))
    rounded = cases.cut_values @ cuts.limit
    amounts = cases.cut_values @ (by_cut + np.abs(cuts.limit))
    return np.array(
        [
            best
            + more
            + apart_from_nodes(model, own, quota_limit)
            + lost * (amount + _amounts(model, own, quota_limit, size))
            for best, more, own, amount in zip(sums, rounded, cases.values, amounts, strict=True)
        ]
    )


def _size(amounts: FloatArray) -> float:
    """Sum over nodes of the largest amount, whatever its sign."""
    return float(np.maximum(amounts.max(axis=1), -amounts.min(axis=1)).sum())


def _amounts(model: Model, values: FloatArray, quota_limit: FloatArray, size: FloatArray) -> float:
    """Sum of the sizes of all that a bound adds up; ``size`` (1 + n_quantities,) of values and of each quantity."""
    rows, own = model.rows, np.abs(values)
    at_rep = np.asarray(abs(rows.totals).T @ own).reshape(rows.n_reps, -1)
    limits = np.where(values > 0, rows.low, np.where(values < 0, rows.high, 0.0))
    quotas = float(np.asarray(abs(rows.quotas).T @ own) @ quota_limit)
    return float(size[0] + at_rep.max(axis=0) @ size[1:] + own @ np.abs(limits)) + quotas


def apart_from_nodes(model: Model, values: FloatArray, quota_limit: FloatArray) -> float:
    """Return the part of the bound that does not depend on who serves whom: quotas at their best end, limits."""
    rows, low, high = model.rows, values > 0, values < 0
    limits = float(values[low] @ rows.low[low] + values[high] @ rows.high[high])
    return float(np.maximum(rows.quotas.T @ values, 0.0) @ quota_limit) - limits


def reduced_values(block: Block, at_rep: FloatArray, value_weight: float) -> FloatArray:
    """Reduced values of a block's pairs, (n, n_reps); -inf: not eligible."""
    reduced = block.value * value_weight
    used = np.flatnonzero(at_rep.any(axis=0)).tolist()
    alone = [k for k in used if block.quantities[k].shape[1] == 1]
    if alone:
        reduced += np.hstack([block.quantities[k] for k in alone]) @ at_rep[:, alone].T
    for k in used:
        if k not in alone:
            reduced += at_rep[:, k] * block.quantities[k]
    if not block.eligible.all():
        reduced[~block.eligible] = -np.inf
    return reduced


def least_violation_bound(model: Model, values: FloatArray) -> float:
    """Return a proven lower limit on the summed violation of hard rows, each in units of its scale.

    ``values`` (n_rows,) are clipped to +-1/scale on hard rows and must be 0 elsewhere; positive means that the
    hard rules cannot all hold.
    """
    rows = model.rows
    limit = np.where(rows.hard, 1.0 / rows.scale, 0.0)
    clipped = np.clip(values, -limit, limit)
    clipped = np.where((clipped > 0) & np.isinf(rows.low), 0.0, clipped)
    clipped = np.where((clipped < 0) & np.isinf(rows.high), 0.0, clipped)
    return -dual_bound(model, clipped, value_weight=0.0, quota_limit=model.quota_reach)
