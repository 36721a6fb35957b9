"""Who is next to whom: units that share a border, and points joined by a pruned Delaunay triangulation.

An ``adjacency`` table given by the user always wins; these functions are for problems without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.errors import DataError, Issue
from territory_opt.geography.sphere import MOST_LAT, MOST_LON, WGS84, distance_km, unit_vectors
from territory_opt.problem.numbers import TINY

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Edges = tuple[IntArray, IntArray, FloatArray]

GRID_DEGREES = 1e-7
"""Outlines are compared on a grid of this step, about a centimetre: rounding noise closes, a real gap does not."""

SHORTEST_BORDER_KM = 1e-4
"""Borders up to 10 cm are a corner seen through the grid, not a border."""

WIDEST_ANGLE = 150.0
"""Degrees. Two points that a third sees under a wider angle are neighbours of it, not of each other. A convention:
the long thin triangles at the rim of a triangulation are wider, ordinary ones are not."""

SAME_PLACE = 9
"""Points whose unit vectors agree to this many decimals (6 mm) are at the same place."""

ONE_LINE = 1e-9
"""Points that stray from a line by this part of its length lie on it: a triangulation of them is noise."""

LONGEST_EDGE = 3.0
"""An edge between points may be this many times the usual length at one of its ends. A convention."""

QUARTILE = 4
"""The usual length of an edge at a point is the lower quartile of its edges."""


# --- polygons ---------------------------------------------------------------------------------------------


def adjacency_from_polygons(units: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of units that share a border (rook adjacency): ``unit_a``, ``unit_b``, ``border_km``.

    ``units`` has ``unit_id`` and ``geometry`` (shapely polygons in degrees, EPSG:4326; a GeoDataFrame with
    another CRS is converted). Each pair stands once, ``unit_a < unit_b``, sorted. Touching in a corner is no
    border; gaps are not bridged; outlines that overlap without a common line are not neighbours. Borders
    along the date line count. A unit without an outline, or an island, has no pair: that is ordinary.

    ``border_km`` adds the great-circle length of each segment of the shared line, so it needs no projection and
    holds anywhere; an outline simplified for maps is shorter than the true one. Cost: one pass of a spatial
    index, then linear in the vertices of touching pairs; 3,220 counties take about two seconds.
    """
    shapes = _polygons(units)
    ids = units["unit_id"].to_numpy(dtype=object)
    _require_unique(ids, "units", "unit_id")
    shape, owner = _with_copies_across_the_date_line(shapes)
    first, second, border = _shared_borders(shape)
    edges = _canonical(owner[first], owner[second], border, ids.astype(str), np.add)
    return _table(edges, ids, ("unit_a", "unit_b", "border_km"))


def _polygons(units: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the outlines of ``units`` in degrees, (n,); None where there is none."""
    crs = getattr(units, "crs", None)
    if crs is not None and crs != f"EPSG:{WGS84}":
        units = units.to_crs(WGS84)  # type: ignore[operator]  # only a GeoDataFrame has a CRS
    return np.asarray(units["geometry"].to_numpy(dtype=object))


def _with_copies_across_the_date_line(shapes: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.object_], IntArray]:
    """Return the boundary lines (m,) and the unit of each: units that touch 180 W stand at 180 E as well."""
    import shapely

    lines = np.array([_boundary(shape) for shape in shapes], dtype=object)
    owner = np.flatnonzero([line is not None for line in lines])
    lines = lines[owner]
    west = shapely.bounds(lines)[:, 0] if len(lines) else np.empty(0)
    at = np.flatnonzero(west <= -MOST_LON + GRID_DEGREES)
    copies = [shapely.transform(line, lambda xy: np.add(xy, (2 * MOST_LON, 0.0))) for line in lines[at]]
    both = np.empty(len(lines) + len(copies), dtype=object)
    both[: len(lines)], both[len(lines) :] = lines, copies
    return both, np.append(owner, owner[at]).astype(np.int64)


def _boundary(shape: Any) -> Any:
    """Return the boundary lines of the polygons in ``shape``, or None if it holds no polygon."""
    import shapely

    if not isinstance(shape, shapely.Geometry) or shapely.is_empty(shape):
        return None
    parts = shapely.get_parts(shapely.get_parts(shape))  # twice: a repaired outline can be a nested collection
    rings = shapely.boundary(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return shapely.multilinestrings(shapely.get_parts(rings)) if len(rings) else None


def _shared_borders(lines: npt.NDArray[np.object_]) -> Edges:
    """Return the pairs of ``lines`` (positions) that share a line, and its length in km."""
    import shapely

    tree = shapely.STRtree(lines)
    first, second = tree.query(lines, predicate="dwithin", distance=GRID_DEGREES)
    once = first < second
    first, second = first[once], second[once]
    shared = shapely.intersection(lines[first], lines[second], grid_size=GRID_DEGREES)
    parts, pair = shapely.get_parts(shared, return_index=True)
    is_line = shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING
    points, part = shapely.get_coordinates(parts[is_line], return_index=True)
    segment = part[1:] == part[:-1]
    a, b = points[:-1][segment], points[1:][segment]
    length = distance_km(unit_vectors(a[:, 1], a[:, 0]), unit_vectors(b[:, 1], b[:, 0]))
    border = np.bincount(pair[is_line][part[1:][segment]], length, minlength=len(first))
    kept = border > SHORTEST_BORDER_KM
    return first[kept].astype(np.int64), second[kept].astype(np.int64), border[kept].astype(float)


# --- points -----------------------------------------------------------------------------------------------


def adjacency_from_points(
    ids: Sequence[object], lat: npt.ArrayLike, lon: npt.ArrayLike, max_factor: float = LONGEST_EDGE
) -> pd.DataFrame:
    """Return neighbouring points: columns ``a``, ``b`` (of ``ids``, ``a < b``, sorted) and ``distance_km``.

    ``lat`` and ``lon`` are degrees, (n,). Neighbours are those of :func:`delaunay_edges`; the result does not
    depend on the order of the points. Raises :class:`DataError` naming every point without a place.
    """
    names = np.asarray(ids, dtype=object)
    phi, lam = np.asarray(lat, dtype=float), np.asarray(lon, dtype=float)
    _require_unique(names, "points", "id")
    _require_places(names, phi, lam)
    order = np.argsort(names.astype(str), kind="stable")
    first, second, distance = delaunay_edges(phi[order], lam[order], max_factor)
    return _table((order[first], order[second], distance), names, ("a", "b", "distance_km"))


def delaunay_edges(lat: FloatArray, lon: FloatArray, max_factor: float = LONGEST_EDGE) -> Edges:
    """Return neighbouring points as positions ``first < second`` (sorted) and their distance in km.

    The triangulation is the Delaunay triangulation of the sphere: a stereographic projection keeps circles, so
    the planar triangulation of the projected points is the spherical one with one more site at the centre of
    projection, which is put where there are no points. Neither date line nor poles matter.

    Pruning has two steps. An edge goes if a third point of its triangle lies almost between its ends (sees them
    under more than 150 degrees): the flat triangles along the rim; the way over that point stays. Then an edge
    goes if it is longer than ``max_factor`` times the lower quartile of the edges at *each* of its ends: edges
    across a bay or between two far cities go, so the result may have several parts; a lone point keeps its
    neighbours, because they are ordinary for it, so that no point ends up alone.

    Points at the same place are joined in a chain of length 0, whose first point carries the outer edges;
    fewer than 3 places and places in one line form a chain. Cost: n log n; 100,000 points take about three seconds.
    """
    head, chain = _places(lat, lon)
    first, second = _triangulate(unit_vectors(lat[head], lon[head]))
    a, b = head[first], head[second]
    distance = distance_km(unit_vectors(lat[a], lon[a]), unit_vectors(lat[b], lon[b]))
    kept = _not_too_long(first, second, distance, len(head), max_factor)
    a, b = np.append(a[kept], chain[:, 0]), np.append(b[kept], chain[:, 1])
    distance = np.append(distance[kept], np.zeros(len(chain)))
    return _canonical(a, b, distance, np.arange(len(lat)), np.minimum)


def _places(lat: FloatArray, lon: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the first point of each place, and links (k, 2) that chain the points of each place."""
    rounded = np.round(unit_vectors(lat, lon), SAME_PLACE) + 0.0
    order = np.lexsort(rounded.T)
    new = np.r_[True, (np.diff(rounded[order], axis=0) != 0).any(axis=1)][: len(order)]
    links = np.column_stack([order[:-1], order[1:]])[~new[1:]]
    return order[new].astype(np.int64), links.astype(np.int64)


def _triangulate(vectors: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the edges between distinct points on the unit sphere (n, 3), as two arrays of positions."""
    from scipy.spatial import Delaunay, QhullError

    plane = _project(vectors)
    spread = np.linalg.svd(plane - plane.mean(axis=0), compute_uv=False) if len(plane) > 2 else np.zeros(2)
    if spread[1] <= ONE_LINE * spread[0]:
        return _chain(plane)
    try:
        mesh = Delaunay(plane / np.abs(plane).max())
    except QhullError:  # too thin for a triangle
        return _chain(plane)
    sides = _sides(vectors, mesh.simplices.astype(np.int64))
    near = mesh.coplanar[:, [0, 2]].astype(np.int64)  # a point too near another for the mesh, and that other
    sides = np.unique(np.sort(np.vstack([sides, near]), axis=1), axis=0)
    return sides[:, 0], sides[:, 1]


def _sides(vectors: FloatArray, triangles: IntArray) -> IntArray:
    """Return the sides (k, 2) of ``triangles`` (t, 3), without those that face an angle above ``WIDEST_ANGLE``."""
    corners = [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    sides = np.vstack([np.sort(triangles[:, [a, b]], axis=1) for a, b, _ in corners])
    square = [((vectors[triangles[:, a]] - vectors[triangles[:, b]]) ** 2).sum(axis=1) for a, b, _ in corners]
    widest = np.cos(np.radians(WIDEST_ANGLE))
    wide = []
    for k in range(3):
        opposite, left, right = square[k], square[k - 1], square[k - 2]
        wide.append(opposite - left - right > -2 * widest * np.sqrt(left * right))  # law of cosines
    flat = sides[np.concatenate(wide)]
    n = len(vectors)
    return np.asarray(sides[~np.isin(sides @ [n, 1], flat @ [n, 1])])


def _project(vectors: FloatArray) -> FloatArray:
    """Project stereographically from the emptiest of 15 directions; plane coordinates (n, 2) about the middle."""
    if not len(vectors):
        return np.empty((0, 2))
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3.0)
    middle = vectors.mean(axis=0)
    opposite = -middle / max(float(np.linalg.norm(middle)), TINY)
    directions = np.vstack([opposite, np.eye(3), -np.eye(3), corners])
    pole = directions[np.argmin((vectors @ directions.T).max(axis=0))]
    seed = np.eye(3)[np.argmin(np.abs(pole))]
    east = np.cross(pole, seed)
    east /= np.linalg.norm(east)
    axes = np.column_stack([east, np.cross(pole, east)])
    return np.asarray((vectors @ axes) / (1.0 - vectors @ pole)[:, None])


def _chain(plane: FloatArray) -> tuple[IntArray, IntArray]:
    """Join points in a line, in the order along their longest direction."""
    if len(plane) < 2:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    centred = plane - plane.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0] if len(plane) > 2 else centred[1]
    order = np.argsort(centred @ direction, kind="stable").astype(np.int64)
    return order[:-1], order[1:]


def _not_too_long(
    first: IntArray, second: IntArray, length: FloatArray, n: int, max_factor: float
) -> npt.NDArray[np.bool_]:
    """Tell which edges are at most ``max_factor`` times the usual length at one of their ends.

    Usual is the lower quartile, not the median: a point on a coast has more edges across than along it.
    """
    end, along = np.append(first, second), np.append(length, length)
    order = np.lexsort([along, end])
    degree = np.bincount(end, minlength=n)
    start = np.cumsum(degree) - degree
    usual = np.zeros(n)
    joined = degree > 0
    usual[joined] = along[order[(start + (degree - 1) // QUARTILE)[joined]]]
    return np.asarray(length <= max_factor * np.maximum(usual[first], usual[second]))


# --- both -------------------------------------------------------------------------------------------------


def _canonical(first: IntArray, second: IntArray, value: FloatArray, names: npt.NDArray[Any], join: np.ufunc) -> Edges:
    """Return each undirected edge once, its lesser name first, sorted by name; ``join`` merges repeated values."""
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    low = np.minimum(rank[first], rank[second])
    high = np.maximum(rank[first], rank[second])
    apart = low != high
    low, high, value = low[apart], high[apart], value[apart]
    at = np.lexsort([high, low])
    low, high, value = low[at], high[at], value[at]
    new = np.flatnonzero(np.r_[True, (np.diff(low) != 0) | (np.diff(high) != 0)][: len(low)])
    merged = join.reduceat(value, new) if len(new) else value
    return order[low[new]].astype(np.int64), order[high[new]].astype(np.int64), np.asarray(merged)


def _table(edges: Edges, ids: npt.NDArray[np.object_], columns: tuple[str, str, str]) -> pd.DataFrame:
    first, second, value = edges
    return pd.DataFrame(dict(zip(columns, (ids[first], ids[second], value), strict=True)))


def _require_unique(ids: npt.NDArray[np.object_], table: str, column: str) -> None:
    repeated = np.flatnonzero(pd.Series(ids, dtype=object).astype(str).duplicated())
    if len(repeated):
        fix = "give each its own id"
        raise DataError([Issue("error", table, int(i) + 2, column, str(ids[i]), "stands twice", fix) for i in repeated])


def _require_places(ids: npt.NDArray[np.object_], lat: FloatArray, lon: FloatArray) -> None:
    if not len(ids) == len(lat) == len(lon):
        what = f"{len(ids)} ids, {len(lat)} latitudes and {len(lon)} longitudes"
        raise DataError([Issue("error", "points", 0, "", "", what, "give one of each per point")])
    with np.errstate(invalid="ignore"):
        lost = np.flatnonzero(~((np.abs(lat) <= MOST_LAT) & np.isfinite(lon)))
    if len(lost):
        fix = "write degrees, for example 52.52"
        raise DataError([Issue("error", "points", int(i) + 2, "lat", str(ids[i]), "has no place", fix) for i in lost])
