"""The planning graph: who may serve whom and who is next to whom, in compressed arrays or as a networkx graph.

Accounts, reps and units are nodes. A *candidate* edge joins an account to a rep who may serve it; a *spatial*
edge joins neighbouring units, or neighbouring accounts where the problem has no units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import TerritoryError
from territory_opt.estimate.expected import estimate_sales
from territory_opt.geography.adjacency import adjacency_from_polygons, delaunay_edges
from territory_opt.geography.sphere import distance_km, unit_vectors
from territory_opt.model import pairs
from territory_opt.model.model import Model
from territory_opt.problem.options import whole
from territory_opt.problem.problem import Problem

if TYPE_CHECKING:
    import networkx as nx

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

MOST_NETWORKX_EDGES = 2_000_000
"""Edges that ``to_networkx`` is willing to build: each takes about half a kilobyte there."""

FAMILY_REASON = "another member of the family may not be served"

EDGE_UNITS = {
    "distance_km": "km, great circle",
    "fit": "share, 0 to 1; NaN where the account names no preferred skill",
    "expected_sales": "money per year, before transfer loss",
    "loss": "money per year at risk because the account changes rep; 0 for its incumbent",
    "cost": "money per year of travel",
}
"""Meaning and unit of each edge attribute. Spatial edges have ``distance_km`` only."""

_ACCOUNT_COLUMNS = (
    "name",
    "lat",
    "lon",
    "unit_id",
    "segment",
    "family",
    "incumbent",
    "potential",
    "workload",
    "visits",
    "current_sales",
)
_REP_COLUMNS = ("name", "lat", "lon", "fte", "ramp", "capacity_hours", "manager")


@dataclass(frozen=True, slots=True, eq=False)
class PlanningGraph:
    """Candidate and spatial edges of a problem.

    Candidate edges of account ``i`` stand at ``start[i]:start[i + 1]``, by rep position: ``start``
    (n_accounts + 1,) and, one per edge (n_candidates,), ``rep``, ``distance_km`` from the rep's home, ``fit`` of skills
    from 0 to 1, and in money per year ``expected_sales``, ``loss`` (margin that a change of rep may lose) and ``cost``
    (of travel).
    Positions are rows of the problem's tables. Only eligible pairs stand here; ``dropped`` (reason, pairs) counts
    every other pair once, under the first rule that applies, so that both together are accounts x reps.

    Spatial neighbours of node ``k`` stand at ``spatial_start[k]:spatial_start[k + 1]`` in ``spatial_neighbor``,
    with the distance of the two places in ``spatial_km``; each edge stands at both of its ends. The nodes are
    rows of the units table if ``spatial_kind`` is ``unit``, else of the accounts table. ``nearest``: how many reps per
    account were kept, None for all; ``source`` computes pairs that are not in the graph.
    """

    problem: Problem
    start: IntArray
    rep: IntArray
    distance_km: FloatArray
    fit: FloatArray
    expected_sales: FloatArray
    loss: FloatArray
    cost: FloatArray
    spatial_kind: str
    spatial_start: IntArray
    spatial_neighbor: IntArray
    spatial_km: FloatArray
    dropped: pd.DataFrame
    nearest: int | None
    source: pairs.PairSource = field(repr=False)

    @property
    def n_candidates(self) -> int:
        """Number of candidate edges."""
        return len(self.rep)

    @property
    def n_spatial(self) -> int:
        """Number of spatial edges, each counted once."""
        return len(self.spatial_neighbor) // 2

    @property
    def account(self) -> IntArray:
        """Account position of each candidate edge, (n_candidates,)."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def drop_reason(self, account_id: str, rep_id: str) -> str | None:
        """Return the rule that keeps this rep from this account, or None if they are a candidate pair.

        Raises :class:`TerritoryError` for an id the problem does not have. Cost: linear in reps.
        """
        i = _position(self.source.account_index, "account", account_id)
        j = _position(self.source.rep_index, "rep", rep_id)
        accounts = np.array([i], dtype=np.int64)
        facts = self.source.facts(accounts)
        for reason, mask in _reasons(self.source, accounts, facts, self.nearest):
            if mask[0, j]:
                return reason
        return None

    def to_networkx(self) -> nx.Graph[Any]:
        """Return an undirected ``networkx.Graph`` with named attributes, for algorithms on moderate sizes.

        Nodes are ``("account", id)``, ``("rep", id)`` and ``("unit", id)``, with ``kind``, ``name``, ``lat``,
        ``lon`` (degrees) and the figures of their table (``potential`` and ``current_sales`` in money per year,
        ``workload`` and ``capacity_hours`` in hours per year); an account also has ``expected_sales``. Edges have
        ``kind`` (``candidate`` or ``spatial``) and the attributes whose units stand in ``graph.graph["units"]``.

        Raises :class:`TerritoryError` above 2,000,000 edges. Cost: linear in edges, half a kilobyte each.
        """
        import networkx as nx

        edges = self.n_candidates + self.n_spatial
        if edges > MOST_NETWORKX_EDGES:
            raise TerritoryError(
                f"a networkx graph of {edges:,} edges would not fit (at most {MOST_NETWORKX_EDGES:,}); "
                "limit the list with planning_graph(problem, nearest=10), or use the arrays of this graph"
            )
        graph: nx.Graph[Any] = nx.Graph(units=dict(EDGE_UNITS), nearest=self.nearest)
        for kind, table in self._node_tables().items():
            ids = table.pop("id")
            for key, row in zip(ids, _records(table), strict=True):
                graph.add_node((kind, key), kind=kind, **row)
        graph.add_edges_from(self._candidate_edges())
        graph.add_edges_from(self._spatial_edges())
        return graph

    def __repr__(self) -> str:
        limit = f" (the {self.nearest:,} nearest reps of each account)" if self.nearest is not None else ""
        return (
            f"PlanningGraph({self.problem.n_accounts:,} accounts · {self.problem.n_reps:,} reps · "
            f"{self.n_candidates:,} candidate edges{limit} · {int(self.dropped['pairs'].sum()):,} pairs dropped · "
            f"{self.n_spatial:,} spatial edges between {self.spatial_kind}s)"
        )

    def _node_tables(self) -> dict[str, pd.DataFrame]:
        """Return the attributes of the nodes of each kind, with their ids in column ``id``."""
        problem = self.problem
        accounts = problem.accounts[["account_id", *_ACCOUNT_COLUMNS]].rename(columns={"account_id": "id"})
        accounts["expected_sales"] = self.source.estimate.expected
        reps = problem.reps[["rep_id", *_REP_COLUMNS]].rename(columns={"rep_id": "id"})
        tables = {"account": accounts, "rep": reps}
        if problem.units is not None:
            numbers = problem.units.select_dtypes("number").columns.difference(["lat", "lon"])
            columns = ["unit_id", "name", "lat", "lon", *numbers]
            tables["unit"] = problem.units[columns].rename(columns={"unit_id": "id"})
        return tables

    def _candidate_edges(self) -> Iterator[tuple[tuple[str, str], tuple[str, str], dict[str, Any]]]:
        account_ids = self.problem.accounts["account_id"].tolist()
        rep_ids = self.problem.reps["rep_id"].tolist()
        values = pd.DataFrame({name: getattr(self, name) for name in EDGE_UNITS})
        for i, j, row in zip(self.account.tolist(), self.rep.tolist(), _records(values), strict=True):
            yield ("account", account_ids[i]), ("rep", rep_ids[j]), {"kind": "candidate", **row}

    def _spatial_edges(self) -> Iterator[tuple[tuple[str, str], tuple[str, str], dict[str, Any]]]:
        kind = self.spatial_kind
        table = self.problem.accounts if self.problem.units is None else self.problem.units
        ids = table[f"{kind}_id"].tolist()
        first = np.repeat(np.arange(len(self.spatial_start) - 1), np.diff(self.spatial_start))
        once = first < self.spatial_neighbor
        columns = (first[once].tolist(), self.spatial_neighbor[once].tolist(), self.spatial_km[once].tolist())
        for a, b, km in zip(*columns, strict=True):
            yield (kind, ids[a]), (kind, ids[b]), {"kind": "spatial", "distance_km": km}


def planning_graph(problem_or_model: Problem | Model, *, nearest: int | None = None) -> PlanningGraph:
    """Build the planning graph of a problem (accounts without any eligible rep are allowed) or of a model.

    ``nearest`` keeps only that many eligible reps per account, by distance from home, and says so in ``dropped``.
    Such a list is for looking at, not for solving: a bound holds over all eligible pairs only. The members of a
    family are limited one by one.

    Spatial edges come from the ``adjacency`` table if there is one, else from outlines of units (shared borders),
    else from points of units, or of accounts where there are no units (pruned Delaunay triangulation).

    Time is linear in accounts x reps; memory in candidate edges, plus one block of pairs.

    >>> import territory_opt as to
    >>> graph = to.planning_graph(to.load_scenario("scenarios/toy").problem())
    >>> graph.n_candidates, graph.drop_reason("A04", "R1")
    (43, 'lacks the required language')
    """
    if nearest is not None:
        whole("nearest", nearest, least=1, must="at least 1, or None for every eligible rep")
    if isinstance(problem_or_model, Model):
        source = problem_or_model.source
    else:
        source = pairs.PairSource(problem_or_model, estimate_sales(problem_or_model), ())
    problem = source.problem
    start, rep, values, dropped = _candidates(source, nearest)
    kind, (spatial_start, neighbor, km) = _spatial(problem)
    return PlanningGraph(
        problem=problem,
        start=start,
        rep=rep,
        **values,
        spatial_kind=kind,
        spatial_start=spatial_start,
        spatial_neighbor=neighbor,
        spatial_km=km,
        dropped=dropped,
        nearest=nearest,
        source=source,
    )


# --- candidates -------------------------------------------------------------------------------------------


def _candidates(
    source: pairs.PairSource, nearest: int | None
) -> tuple[IntArray, IntArray, dict[str, FloatArray], pd.DataFrame]:
    """Return CSR start, rep positions, edge attributes and the count of dropped pairs by reason."""
    n_accounts = source.problem.n_accounts
    step = max(1, pairs.BLOCK_CELLS // max(source.n_reps, 1))
    counts, reps = [np.zeros(1, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    values: dict[str, list[FloatArray]] = {name: [np.empty(0)] for name in EDGE_UNITS}
    dropped: dict[str, int] = {}
    for first in range(0, n_accounts, step):
        accounts = np.arange(first, min(first + step, n_accounts))
        facts = source.facts(accounts)
        kept = np.ones(facts.eligible.shape, dtype=bool)
        for reason, mask in _reasons(source, accounts, facts, nearest):
            dropped[reason] = dropped.get(reason, 0) + int((kept & mask).sum())
            kept &= ~mask
        counts.append(kept.sum(axis=1))
        reps.append(np.nonzero(kept)[1])
        for name, matrix in _attributes(source, facts).items():
            values[name].append(matrix[kept])
    joined = {name: np.concatenate(values.pop(name)) for name in EDGE_UNITS}
    found = [(reason, number) for reason, number in dropped.items() if number]
    table = pd.DataFrame({"reason": [reason for reason, _ in found], "pairs": [number for _, number in found]})
    table = table.astype({"reason": object, "pairs": np.int64})
    return np.cumsum(np.concatenate(counts)), np.concatenate(reps), joined, table


def _attributes(source: pairs.PairSource, facts: pairs.Facts) -> dict[str, FloatArray]:
    """Return the attributes of :data:`EDGE_UNITS`, each (n, n_reps)."""
    return {
        "distance_km": facts.distance_km,
        "fit": facts.fit,
        "expected_sales": facts.gross_sales,
        "loss": facts.transfer_loss,
        "cost": facts.travel_km * source.cost_per_km,
    }


def _reasons(
    source: pairs.PairSource, accounts: IntArray, facts: pairs.Facts, nearest: int | None
) -> Iterator[tuple[str, BoolArray]]:
    """Yield every reason a pair is dropped for, in order, with a mask (n, n_reps); the first that applies counts."""
    yield from source.eligibility.drop_reasons(accounts, facts.distance_km)
    yield FAMILY_REASON, ~facts.eligible
    if nearest is not None:
        yield f"not among the nearest {nearest:,}", ~_nearest(facts, nearest)


def _nearest(facts: pairs.Facts, nearest: int) -> BoolArray:
    """Tell which pairs are among the ``nearest`` eligible ones of their account; of equals, the first rep."""
    if nearest >= facts.eligible.shape[1]:
        return facts.eligible
    distance = np.where(facts.eligible, facts.distance_km, np.inf)
    limit = np.partition(distance, nearest - 1, axis=1)[:, nearest - 1, None]
    nearer = distance < limit
    equal = (distance == limit) & facts.eligible
    room = nearest - nearer.sum(axis=1, keepdims=True)
    return np.asarray(nearer | (equal & (np.cumsum(equal, axis=1) <= room)))


def _position(index: pd.Index[Any], what: str, name: str) -> int:
    at = index.get_indexer(pd.Index([name], dtype=object))[0]
    if at < 0:
        raise TerritoryError(f'no {what} is called "{name}"; ids are those of the {what}s table')
    return int(at)


# --- neighbours -------------------------------------------------------------------------------------------


def _spatial(problem: Problem) -> tuple[str, tuple[IntArray, IntArray, FloatArray]]:
    """Return what the spatial nodes are and their neighbours as CSR start, neighbour, km."""
    units = problem.units
    if units is None:
        if problem.adjacency is not None:
            raise TerritoryError("the adjacency table names units, but there is no units table; give both or neither")
        lat, lon = _place(problem.accounts)
        first, second, km = delaunay_edges(lat, lon)
        return "account", _symmetric(first, second, km, len(lat))
    lat, lon = _place(units)
    if problem.adjacency is None and units["geometry"].isna().all():
        first, second, km = delaunay_edges(lat, lon)
        return "unit", _symmetric(first, second, km, len(lat))
    table = adjacency_from_polygons(units) if problem.adjacency is None else problem.adjacency
    index = pd.Index(units["unit_id"])
    first, second = _once(index.get_indexer(table["unit_a"]), index.get_indexer(table["unit_b"]))
    km = distance_km(unit_vectors(lat[first], lon[first]), unit_vectors(lat[second], lon[second]))
    return "unit", _symmetric(first, second, km, len(lat))


def _place(table: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    return table["lat"].to_numpy(float), table["lon"].to_numpy(float)


def _once(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> tuple[IntArray, IntArray]:
    """Return each undirected edge once: a user's table may name it both ways, twice, or join a unit to itself."""
    sides = np.sort(np.column_stack([first, second]), axis=1)
    sides = np.unique(sides[sides[:, 0] != sides[:, 1]], axis=0)
    return sides[:, 0].astype(np.int64), sides[:, 1].astype(np.int64)


def _symmetric(first: IntArray, second: IntArray, km: FloatArray, n: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Return edges as CSR over ``n`` nodes, each at both of its ends, neighbours in order."""
    source, target = np.append(first, second), np.append(second, first)
    order = np.lexsort([target, source])
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n))]).astype(np.int64)
    return start, target[order], np.append(km, km)[order]


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield rows as plain Python values."""
    names = [str(name) for name in table.columns]
    for row in zip(*(table[name].tolist() for name in table.columns), strict=True):
        yield dict(zip(names, row, strict=True))
