"""A linear program that is solved again and again with some pairs closed: GLOP keeps its basis between solves.

MathOpt hands every answer over as a message, which takes ten times as long as the few pivots of a solve from a basis.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ortools.linear_solver import linear_solver_pb2, pywraplp

from territory_opt.optimize.mip.linear import LinearModel
from territory_opt.optimize.mip.settings import SOLVERS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Relaxed:
    """``x`` (n_asked,) of the pairs asked for; ``multipliers`` (n_rows,) in money per unit; ``duals`` of all."""

    x: FloatArray
    multipliers: FloatArray
    duals: FloatArray


class WarmLp:
    """The relaxation of one linear model; ``asked`` are the pairs (columns) whose x is read after each solve."""

    def __init__(self, linear: LinearModel, asked: IntArray) -> None:
        self.linear = linear
        self.asked = asked.tolist()
        self._load()
        self.settings = pywraplp.MPSolverParameters()
        for name, value in (
            (self.settings.PRESOLVE, self.settings.PRESOLVE_OFF),
            (self.settings.LP_ALGORITHM, self.settings.DUAL),
            (self.settings.INCREMENTALITY, self.settings.INCREMENTALITY_ON),
        ):
            self.settings.SetIntegerParam(name, value)

    def _load(self) -> None:
        """Begin with no pair closed, and from no basis."""
        self.solver = pywraplp.Solver.CreateSolver("GLOP")
        self.solver.LoadModelFromProto(_proto(self.linear))
        self.columns, self.constraints = self.solver.variables(), self.solver.constraints()
        self.closed: set[int] = set()

    def solve(self, closed: Iterable[int], *, time_limit: float) -> Relaxed | None:
        """Solve with the pairs (columns) ``closed`` left out; None: no solution, or none in time (seconds)."""
        wanted = set(closed)
        status = self._solve(wanted, time_limit)
        if status == pywraplp.Solver.ABNORMAL:  # a basis that went bad: once more from none
            self._load()
            status = self._solve(wanted, time_limit)
        if status != pywraplp.Solver.OPTIMAL:
            return None
        duals = np.array([constraint.dual_value() for constraint in self.constraints])
        x = np.array([self.columns[k].solution_value() for k in self.asked])
        return Relaxed(x, self.linear.multipliers(duals), duals)

    def point(self) -> FloatArray:
        """Every column of the last solution, (n_columns,)."""
        return np.array([column.solution_value() for column in self.columns])

    def add(self, linear: LinearModel) -> None:
        """Go on with a model that has more constraints after those there are; the basis stays."""
        matrix = linear.matrix
        for row in range(len(self.constraints), matrix.shape[0]):
            added = self.solver.Constraint(float(linear.low[row]), float(linear.high[row]))
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            for k, coefficient in zip(matrix.indices[part].tolist(), matrix.data[part].tolist(), strict=True):
                added.SetCoefficient(self.columns[k], coefficient)
        self.linear, self.constraints = linear, self.solver.constraints()

    def _solve(self, closed: set[int], time_limit: float) -> int:
        for k in self.closed - closed:
            self.columns[k].SetUb(float(self.linear.column_high[k]))
        for k in closed - self.closed:
            self.columns[k].SetUb(0.0)
        self.closed = closed
        self.solver.SetTimeLimit(int(1000 * max(time_limit, SOLVERS.least)))
        return int(self.solver.Solve(self.settings))


def _proto(linear: LinearModel) -> linear_solver_pb2.MPModelProto:
    proto = linear_solver_pb2.MPModelProto(maximize=True)
    for low, high, cost in zip(
        linear.column_low.tolist(), linear.column_high.tolist(), linear.cost.tolist(), strict=True
    ):
        proto.variable.add(lower_bound=low, upper_bound=high, objective_coefficient=cost)
    matrix = linear.matrix
    for row, (low, high) in enumerate(zip(linear.low.tolist(), linear.high.tolist(), strict=True)):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        proto.constraint.add(
            lower_bound=low,
            upper_bound=high,
            var_index=matrix.indices[part].tolist(),
            coefficient=matrix.data[part].tolist(),
        )
    return proto
